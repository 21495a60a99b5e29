/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/routes.h"

#include "control/api/endpoints.h"

#define LIST_MAX 10000
#define ID_MAX	 (1ULL << 53) /* what every reader of JSON counts to exactly */

const char *const levee_block_reasons[] = { "detected", "manual", "drill", NULL };
const char *const levee_block_orders[] = { "prefix", "drops", "zscore", "end", NULL };

/* clang-format off */
#define LIMIT	{ .name = "limit", .type = LEVEE_API_UINT, .min = 1, .max = LIST_MAX }
#define SKIP	{ .name = "skip", .type = LEVEE_API_UINT, .max = UINT32_MAX }
#define FOR	{ .name = "for_s", .type = LEVEE_API_UINT, .min = 1, .max = LEVEE_FOR_MAX_S }
#define NOTE	{ .name = "note", .type = LEVEE_API_TEXT, .max = LEVEE_NOTE_TEXT - 1 }
#define LOCAL	{ .name = "local", .type = LEVEE_API_BOOL }
#define FORCE	{ .name = "force", .type = LEVEE_API_BOOL }
#define END	{ .name = NULL }

static const struct levee_api_field bins_query[] = {
	{ .name = "limit", .type = LEVEE_API_UINT, .min = 1, .max = 10080 }, END
};
static const struct levee_api_field sources_query[] = {
	{ .name = "limit", .type = LEVEE_API_UINT, .min = 1, .max = LEVEE_BOARD_TOP }, END
};
static const struct levee_api_field page_query[] = { LIMIT, SKIP, END };
static const struct levee_api_field blocks_query[] = {
	LIMIT, SKIP,
	{ .name = "order", .type = LEVEE_API_CHOICE, .choices = levee_block_orders },
	{ .name = "reason", .type = LEVEE_API_CHOICE, .choices = levee_block_reasons },
	{ .name = "within", .type = LEVEE_API_PREFIX }, END
};
static const struct levee_api_field block_body[] = {
	{ .name = "prefix", .type = LEVEE_API_PREFIX, .required = true }, FOR, NOTE, FORCE, LOCAL, END
};
static const struct levee_api_field extend_body[] = { FOR, NOTE, LOCAL, END };
static const struct levee_api_field unblock_query[] = { FOR, NOTE, LOCAL, END };
static const struct levee_api_field unblock_all_query[] = {
	{ .name = "all", .type = LEVEE_API_BOOL, .required = true }, FOR, NOTE, LOCAL, END
};
static const struct levee_api_field allow_body[] = {
	{ .name = "prefix", .type = LEVEE_API_PREFIX, .required = true }, NOTE, FORCE, LOCAL, END
};
static const struct levee_api_field events_query[] = {
	{ .name = "after", .type = LEVEE_API_UINT, .max = ID_MAX },
	{ .name = "limit", .type = LEVEE_API_UINT, .min = 1, .max = LEVEE_BOARD_EVENTS },
	{ .name = "follow", .type = LEVEE_API_BOOL }, END
};
static const struct levee_api_field history_query[] = {
	{ .name = "since", .type = LEVEE_API_UINT, .max = UINT32_MAX },
	{ .name = "until", .type = LEVEE_API_UINT, .max = UINT32_MAX },
	LIMIT,
	{ .name = "kind", .type = LEVEE_API_TEXT, .max = 15 },
	{ .name = "within", .type = LEVEE_API_PREFIX }, END
};
static const struct levee_api_field no_body[] = { END };
static const struct levee_api_field drill_body[] = {
	{ .name = "source", .type = LEVEE_API_PREFIX },
	{ .name = "rate", .type = LEVEE_API_UINT, .min = 1, .max = 1000000000 },
	{ .name = "for_s", .type = LEVEE_API_UINT, .min = 1, .max = 86400 },
	{ .name = "push", .type = LEVEE_API_BOOL }, FORCE, END
};

#define V1	 "/api/v1/"
#define SNAPSHOT LEVEE_ROUTE_SNAPSHOT
#define PREFIX	 (LEVEE_ROUTE_PREFIX | LEVEE_ROUTE_SNAPSHOT)
#define PLAIN	 LEVEE_ROUTE_PLAIN
#define PAGE	 (LEVEE_ROUTE_PLAIN | LEVEE_ROUTE_PUBLIC)

const struct levee_api_route levee_api_routes[] = {
	{ .method = "GET", .path = V1 "status", .flags = SNAPSHOT, .handle = levee_get_status },
	{ .method = "GET", .path = V1 "account", .flags = SNAPSHOT, .handle = levee_get_account },
	{ .method = "GET", .path = V1 "bins", .flags = SNAPSHOT, .handle = levee_get_bins, .query = bins_query },
	{ .method = "GET", .path = V1 "sources", .flags = SNAPSHOT, .handle = levee_get_sources, .query = sources_query },
	{ .method = "GET", .path = V1 "sources/", .flags = PREFIX, .handle = levee_get_source, .finish = levee_finish_source },
	{ .method = "GET", .path = V1 "blocks", .flags = SNAPSHOT, .handle = levee_get_blocks, .query = blocks_query },
	{ .method = "POST", .path = V1 "blocks", .flags = SNAPSHOT, .handle = levee_post_block, .body = block_body },
	{ .method = "DELETE", .path = V1 "blocks", .flags = SNAPSHOT, .handle = levee_delete_blocks, .query = unblock_all_query },
	{ .method = "GET", .path = V1 "blocks/", .flags = PREFIX, .handle = levee_get_block },
	{ .method = "PATCH", .path = V1 "blocks/", .flags = PREFIX, .handle = levee_patch_block, .body = extend_body },
	{ .method = "DELETE", .path = V1 "blocks/", .flags = PREFIX, .handle = levee_delete_block, .query = unblock_query },
	{ .method = "GET", .path = V1 "exemptions", .flags = SNAPSHOT, .handle = levee_get_exemptions, .query = page_query },
	{ .method = "DELETE", .path = V1 "exemptions/", .flags = PREFIX, .handle = levee_delete_exemption },
	{ .method = "GET", .path = V1 "allow", .flags = SNAPSHOT, .handle = levee_get_allow, .query = page_query },
	{ .method = "POST", .path = V1 "allow", .flags = SNAPSHOT, .handle = levee_post_allow, .body = allow_body },
	{ .method = "DELETE", .path = V1 "allow/", .flags = PREFIX, .handle = levee_delete_allow },
	{ .method = "GET", .path = V1 "nacl", .flags = 0, .handle = levee_get_nacl },
	{ .method = "GET", .path = V1 "fleet", .flags = 0, .handle = levee_get_fleet },
	{ .method = "GET", .path = V1 "aws", .flags = 0, .handle = levee_get_aws },
	{ .method = "GET", .path = V1 "events", .flags = 0, .handle = levee_get_events, .query = events_query },
	{ .method = "GET", .path = V1 "history", .flags = 0, .handle = levee_get_history, .query = history_query },
	{ .method = "GET", .path = V1 "config", .flags = 0, .handle = levee_get_config },
	{ .method = "POST", .path = V1 "reload", .flags = 0, .handle = levee_post_reload, .body = no_body },
	{ .method = "GET", .path = V1 "drill", .flags = 0, .handle = levee_get_drill },
	{ .method = "POST", .path = V1 "drill", .flags = SNAPSHOT, .handle = levee_post_drill, .body = drill_body },
	{ .method = "DELETE", .path = V1 "drill", .flags = SNAPSHOT, .handle = levee_delete_drill },
	{ .method = "GET", .path = V1 "health", .flags = 0, .handle = levee_get_health },
	{ .method = "GET", .path = V1 "ready", .flags = 0, .handle = levee_get_ready },
	{ .method = "GET", .path = "/", .flags = PAGE, .handle = levee_get_page },
	{ .method = "GET", .path = "/page.js", .flags = PAGE, .handle = levee_get_page },
	{ .method = "GET", .path = "/page.css", .flags = PAGE, .handle = levee_get_page },
	{ .method = "GET", .path = "/icon.svg", .flags = PAGE, .handle = levee_get_page },
	{ .method = "GET", .path = V1 "openapi.json", .flags = PLAIN, .type = "application/json",
	  .handle = levee_get_openapi },
	{ .method = "GET", .path = "/metrics", .flags = PLAIN | SNAPSHOT,
	  .type = "text/plain; version=0.0.4; charset=utf-8", .handle = levee_get_metrics },
};
/* clang-format on */

const size_t levee_api_n_routes = sizeof(levee_api_routes) / sizeof(levee_api_routes[0]);
