/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers: each reads the snapshot and writes the members of its answer. */
#include "control/api/endpoints.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/write.h"
#include "control/store/history.h"
#include "levee_version.h"

#define LIST_DEFAULT 100
#define TOP_BLOCKS   10

static uint64_t number(const struct levee_api_value *value, uint64_t otherwise)
{
	return value->is_given ? value->number : otherwise;
}

/* ---- status, health ----------------------------------------------------------------------- */

static void write_problems(struct levee_api_call *call)
{
	struct levee_board_problem problems[LEVEE_BOARD_PROBLEMS];
	size_t n = levee_board_problems(call->core->board, problems);
	struct levee_json *j = &call->json;

	levee_json_array(j, "problems");
	for (size_t i = 0; i < n; i++) {
		levee_json_object(j, NULL);
		levee_json_string(j, "name", problems[i].name);
		levee_json_bool(j, "not_ready", problems[i].not_ready);
		levee_json_string(j, "text", problems[i].text);
		levee_write_time(j, "since", problems[i].since_unix_ns);
		levee_json_end(j);
	}
	levee_json_end(j);
}

/* Protection works: there is a snapshot, it is fresh, and nothing that it needs is wrong. */
static bool is_ready(const struct levee_api_call *call)
{
	struct levee_board_problem problems[LEVEE_BOARD_PROBLEMS];
	size_t n = levee_board_problems(call->core->board, problems);

	for (size_t i = 0; i < n; i++)
		if (problems[i].not_ready)
			return false;
	return call->snapshot != NULL;
}

void levee_get_health(struct levee_api_call *call)
{
	levee_json_string(&call->json, "health", "alive");
}

void levee_get_ready(struct levee_api_call *call)
{
	bool ready = is_ready(call);

	if (!ready)
		call->answer->status = 503;
	levee_json_bool(&call->json, "ready", ready);
	write_problems(call);
}

/* The blocks that matter now: those that drop most at present, then those that dropped most. */
static int by_drops(const void *a, const void *b)
{
	const struct levee_board_block *const *left = a, *const *right = b;

	if ((*left)->drop_rate != (*right)->drop_rate)
		return (*left)->drop_rate < (*right)->drop_rate ? 1 : -1;
	if ((*left)->packets != (*right)->packets)
		return (*left)->packets < (*right)->packets ? 1 : -1;
	if ((*left)->block.max_packets != (*right)->block.max_packets)
		return (*left)->block.max_packets < (*right)->block.max_packets ? 1 : -1;
	return levee_prefix_compare(&(*left)->block.prefix, &(*right)->block.prefix);
}

static int by_zscore(const void *a, const void *b)
{
	const struct levee_board_block *const *left = a, *const *right = b;

	if ((*left)->block.max_zscore != (*right)->block.max_zscore)
		return (*left)->block.max_zscore < (*right)->block.max_zscore ? 1 : -1;
	return levee_prefix_compare(&(*left)->block.prefix, &(*right)->block.prefix);
}

static int by_end(const void *a, const void *b)
{
	const struct levee_board_block *const *left = a, *const *right = b;

	if ((*left)->block.expires_boot_ns != (*right)->block.expires_boot_ns)
		return (*left)->block.expires_boot_ns < (*right)->block.expires_boot_ns ? -1 : 1;
	return levee_prefix_compare(&(*left)->block.prefix, &(*right)->block.prefix);
}

/* Pointers to all blocks, in the snapshot's order. \return NULL if memory is short */
static const struct levee_board_block **point_at_blocks(const struct levee_snapshot *s)
{
	const struct levee_board_block **p = calloc(s->n_blocks + 1, sizeof(*p));

	for (size_t i = 0; p && i < s->n_blocks; i++)
		p[i] = &s->blocks[i];
	return p;
}

/* Where a verdict on the source is carried out. */
static void write_enforced(struct levee_api_call *call, const struct levee_prefix *source,
			   const struct levee_board_block *block)
{
	struct levee_json *j = &call->json;
	bool in_kernel = block && !block->shadowed;

	levee_json_object(j, "enforced");
	levee_json_bool(j, "kernel", in_kernel && !call->snapshot->audit);
	levee_json_bool(j, "audit", in_kernel && call->snapshot->audit);
	levee_board_service_explain(call->core->board, source, j);
	levee_json_end(j);
}

static void write_block(struct levee_api_call *call, const char *name,
			const struct levee_board_block *block)
{
	levee_begin_block(&call->json, name, call->snapshot, block);
	write_enforced(call, &block->block.prefix, block);
	levee_json_end(&call->json);
}

static void write_top_blocks(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	const struct levee_board_block **blocks = point_at_blocks(s);

	levee_json_array(&call->json, "top_blocks");
	if (blocks)
		qsort(blocks, s->n_blocks, sizeof(*blocks), by_drops);
	for (size_t i = 0; blocks && i < s->n_blocks && i < TOP_BLOCKS; i++)
		write_block(call, NULL, blocks[i]);
	levee_json_end(&call->json);
	free(blocks);
}

static void write_block_counts(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	struct levee_json *j = &call->json;
	size_t manual = 0, drill = 0, not_in_force = 0;
	double rate = 0;

	for (size_t i = 0; i < s->n_blocks; i++) {
		const struct levee_block *b = &s->blocks[i].block;

		drill += (b->marks & LEVEE_BLOCK_DRILL) != 0;
		manual += !(b->marks & LEVEE_BLOCK_DRILL) && b->reason == LEVEE_BLOCK_MANUAL;
		not_in_force += s->blocks[i].shadowed;
		rate += s->blocks[i].drop_rate;
	}
	levee_json_object(j, "blocks");
	levee_json_uint(j, "total", s->n_blocks);
	levee_json_uint(j, "detected", s->n_blocks - manual - drill);
	levee_json_uint(j, "manual", manual);
	levee_json_uint(j, "drill", drill);
	levee_json_uint(j, "not_in_force", not_in_force);
	levee_json_double(j, "drop_rate", rate);
	levee_json_end(j);
}

static void write_bin(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	struct levee_json *j = &call->json;

	levee_json_object(j, "bin");
	levee_json_uint(j, "length_s", s->bin_s);
	levee_json_uint(j, "window_s", s->window_s);
	levee_json_int(j, "start", s->bin_start_s);
	levee_json_double(j, "ends_in_s",
			  s->bin_end_boot_ns > s->taken.boot_ns
				  ? (double)(s->bin_end_boot_ns - s->taken.boot_ns) / 1e9
				  : 0);
	levee_json_uint(j, "closed", s->bins_closed);
	levee_json_uint(j, "late", s->bins_late);
	levee_json_uint(j, "in_window", s->n_bins);
	levee_json_end(j);
}

/* Null where ports are the kernel's. */
static void write_losses(struct levee_json *j, const struct levee_losses *losses)
{
	if (!losses->known) {
		levee_write_null(j, "lost");
		return;
	}
	levee_json_object(j, "lost");
	levee_json_uint(j, "missed", losses->missed);
	levee_json_uint(j, "no_buffer", losses->no_buffer);
	levee_json_uint(j, "damaged", losses->damaged);
	levee_json_uint(j, "refused", losses->refused);
	levee_json_uint(j, "send_errors", losses->send_errors);
	levee_json_end(j);
}

static void write_accounts(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	struct levee_json *j = &call->json;

	levee_json_object(j, "account");
	levee_write_account(j, "running_bin", &s->running);
	levee_write_account(j, "last_bin", &s->last_bin);
	levee_write_account(j, "since_start", &s->total);
	write_losses(j, &s->losses);
	levee_json_double(j, "receive_rate", s->receive_rate);
	levee_json_double(j, "drop_rate", s->drop_rate);
	levee_json_end(j);
}

void levee_get_status(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	struct levee_json *j = &call->json;

	levee_json_string(j, "version", LEVEE_VERSION);
	levee_write_time(j, "time", s->taken.unix_ns);
	levee_write_time(j, "started", s->started.unix_ns);
	levee_json_uint(j, "uptime_s", (s->taken.boot_ns - s->started.boot_ns) / LEVEE_NS_PER_S);
	levee_json_string(j, "mode", s->audit ? "audit" : "enforce");
	levee_json_array(j, "interfaces");
	for (size_t i = 0; i < call->core->n_interfaces; i++)
		levee_json_string(j, NULL, call->core->interfaces[i]);
	levee_json_end(j);
	levee_json_bool(j, "ready", is_ready(call));
	write_problems(call);
	write_bin(call);
	write_accounts(call);
	levee_write_evaluation(j, "evaluation", s);
	levee_json_uint(j, "sources", s->last_sources);
	write_block_counts(call);
	write_top_blocks(call);
	levee_json_uint(j, "exemptions", s->n_exemptions);
	levee_json_uint(j, "allowed", s->n_allowed);
	levee_json_object(j, "rules");
	levee_json_uint(j, "used", s->rules_used);
	levee_json_uint(j, "room", s->rules_max);
	levee_json_end(j);
}

void levee_get_account(struct levee_api_call *call)
{
	write_accounts(call);
}

void levee_get_bins(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	struct levee_json *j = &call->json;
	uint64_t limit = number(&call->query[0], UINT64_MAX);
	size_t first = s->n_bins > limit ? s->n_bins - limit : 0;

	levee_json_uint(j, "length_s", s->bin_s);
	levee_json_array(j, "bins");
	for (size_t i = first; i < s->n_bins; i++) {
		const struct levee_board_bin *b = &s->bins[i];

		levee_json_object(j, NULL);
		levee_json_int(j, "start", b->start_s);
		levee_json_uint(j, "values", b->moments.n);
		levee_json_double(j, "packets", (double)b->moments.sum);
		levee_json_double(j, "mean", levee_moments_mean(&b->moments));
		levee_json_double(j, "stddev", levee_moments_stddev(&b->moments));
		levee_json_uint(j, "above_minimum", b->candidates);
		levee_json_uint(j, "largest", b->largest);
		levee_json_bool(j, "estimated", b->flags & LEVEE_BIN_ESTIMATED);
		levee_json_bool(j, "folded", b->flags & LEVEE_BIN_FOLDED);
		if (b->has_account)
			levee_write_account(j, "account", &b->account);
		else
			levee_write_null(j, "account");
		levee_json_end(j);
	}
	levee_json_end(j);
}

/* ---- sources ------------------------------------------------------------------------------- */

void levee_get_sources(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	struct levee_json *j = &call->json;
	uint64_t limit = number(&call->query[0], LIST_DEFAULT);
	const struct levee_moments *m = &s->evaluation.moments;

	levee_json_int(j, "bin_start", s->last_bin_s);
	levee_json_uint(j, "total", s->last_sources);
	levee_json_array(j, "sources");
	for (size_t i = 0; i < s->n_top && i < limit; i++) {
		const struct levee_board_source *source = &s->top[i];

		levee_json_object(j, NULL);
		levee_write_prefix(j, "source", &source->prefix);
		levee_json_uint(j, "packets", source->packets);
		levee_json_uint(j, "bytes", source->bytes);
		levee_json_double(j, "rate", (double)source->packets / (double)s->bin_s);
		levee_json_double(j, "zscore", levee_moments_zscore(m, source->packets));
		levee_json_string(j, "verdict", levee_verdict_word(s, &source->prefix));
		levee_json_end(j);
	}
	levee_json_end(j);
}

void levee_get_source(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_SOURCE, .prefix = call->prefix };

	levee_api_submit(call, &request);
}

static void write_history(struct levee_json *j, const struct levee_source_view *view)
{
	levee_json_array(j, "bins");
	for (size_t i = 0; i < view->n_bins; i++) {
		levee_json_object(j, NULL);
		levee_json_int(j, "start", view->bins[i].start_s);
		levee_json_uint(j, "packets", view->bins[i].packets);
		levee_json_uint(j, "bytes", view->bins[i].bytes);
		levee_json_double(j, "zscore", view->bins[i].zscore);
		levee_json_bool(j, "abnormal", view->bins[i].abnormal);
		levee_json_end(j);
	}
	levee_json_end(j);
}

static void write_last(struct levee_json *j, const struct levee_source_view *view,
		       const struct levee_snapshot *s)
{
	levee_json_object(j, "last_bin");
	levee_json_int(j, "start", s->last_bin_s);
	if (view->in_last) {
		levee_json_uint(j, "packets", view->last_packets);
		levee_json_uint(j, "bytes", view->last_bytes);
		levee_json_double(j, "zscore",
				  levee_moments_zscore(&s->evaluation.moments, view->last_packets));
	} else {
		levee_write_null(j, "packets");
		levee_write_null(j, "bytes");
		levee_write_null(j, "zscore");
	}
	levee_json_uint(j, "at_most", view->in_last ? view->last_packets : view->last_at_most);
	levee_json_end(j);
}

void levee_finish_source(struct levee_api_call *call, struct levee_request *answered)
{
	const struct levee_snapshot *s = call->snapshot;
	const struct levee_source_view *view = &answered->source;
	/* One address of an IPv6 source may be blocked or allowed by hand, and is what was asked for. */
	const struct levee_prefix *asked = answered->prefix.length > view->source.length
						   ? &answered->prefix
						   : &view->source;
	const struct levee_board_allowed *allowed = levee_snapshot_allowed(s, asked);
	const struct levee_board_exemption *exempt = levee_snapshot_exempt(s, asked);
	const struct levee_board_block *block = levee_snapshot_covering(s, asked);
	struct levee_json *j = &call->json;

	levee_write_prefix(j, "source", &view->source);
	levee_json_string(j, "verdict", levee_verdict_word(s, asked));
	if (allowed) {
		levee_json_object(j, "allowed");
		levee_write_prefix(j, "prefix", &allowed->prefix);
		levee_json_string(j, "origin", levee_allow_word(allowed->origin));
		levee_json_end(j);
	} else {
		levee_write_null(j, "allowed");
	}
	if (exempt)
		levee_write_exemption(j, "exemption", exempt);
	else
		levee_write_null(j, "exemption");
	if (block)
		write_block(call, "block", block);
	else
		levee_write_null(j, "block");
	write_enforced(call, asked, block);
	levee_write_evaluation(j, "evaluation", s);
	write_history(j, view);
	write_last(j, view, s);
	if (view->in_running)
		levee_json_uint(j, "running_packets", view->running_packets);
	else
		levee_write_null(j, "running_packets");
	levee_json_uint(j, "bin_s", s->bin_s);
}

/* ---- blocks -------------------------------------------------------------------------------- */

typedef int compare_fn(const void *a, const void *b);

static bool is_wanted(const struct levee_api_call *call, const struct levee_board_block *block)
{
	const struct levee_api_value *reason = &call->query[3], *within = &call->query[4];

	if (reason->is_given &&
	    strcmp(levee_block_word(&block->block), levee_block_reasons[reason->number]) != 0)
		return false;
	return !within->is_given || levee_prefix_covers(&within->prefix, &block->block.prefix);
}

void levee_get_blocks(struct levee_api_call *call)
{
	/* In the order of levee_block_orders; by prefix is the snapshot's own. */
	static compare_fn *const orders[] = { NULL, by_drops, by_zscore, by_end };
	const struct levee_snapshot *s = call->snapshot;
	const struct levee_board_block **blocks = point_at_blocks(s);
	uint64_t limit = number(&call->query[0], LIST_DEFAULT);
	uint64_t skip = number(&call->query[1], 0);
	compare_fn *order = orders[number(&call->query[2], 0)];
	struct levee_json *j = &call->json;
	uint64_t matching = 0;

	if (!blocks) {
		levee_api_refuse(call, 500, "no memory");
		return;
	}
	if (order)
		qsort(blocks, s->n_blocks, sizeof(*blocks), order);
	levee_json_uint(j, "total", s->n_blocks);
	levee_json_array(j, "blocks");
	for (size_t i = 0; i < s->n_blocks; i++) {
		if (!is_wanted(call, blocks[i]))
			continue;
		if (matching >= skip && matching - skip < limit)
			write_block(call, NULL, blocks[i]);
		matching++;
	}
	levee_json_end(j);
	levee_json_uint(j, "matching", matching);
	free(blocks);
}

void levee_get_block(struct levee_api_call *call)
{
	const struct levee_board_block *block = levee_snapshot_block(call->snapshot, &call->prefix);

	if (block)
		write_block(call, "block", block);
	else
		levee_api_refuse(call, 404, "this prefix is not blocked");
}

static void take_for(const struct levee_api_value *seconds, struct levee_request *request)
{
	if (seconds->is_given)
		request->for_s = seconds->number;
}

void levee_post_block(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_BLOCK,
					 .prefix = call->body[0].prefix,
					 .force = call->body[3].number,
					 .local = call->body[4].number };

	take_for(&call->body[1], &request);
	memcpy(request.note, call->body[2].text, sizeof(request.note));
	levee_api_submit(call, &request);
}

/* A block that is there ends at another time. */
void levee_patch_block(struct levee_api_call *call)
{
	const struct levee_board_block *block = levee_snapshot_block(call->snapshot, &call->prefix);
	struct levee_request request = { .type = LEVEE_REQUEST_BLOCK,
					 .prefix = call->prefix,
					 .force = true,
					 .local = call->body[2].number };

	if (!block) {
		levee_api_refuse(call, 404, "this prefix is not blocked");
		return;
	}
	take_for(&call->body[0], &request);
	memcpy(request.note, call->body[1].text, sizeof(request.note));
	levee_api_submit(call, &request);
}

void levee_delete_block(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_UNBLOCK,
					 .prefix = call->prefix,
					 .local = call->query[2].number };

	take_for(&call->query[0], &request);
	memcpy(request.note, call->query[1].text, sizeof(request.note));
	levee_api_submit(call, &request);
}

void levee_delete_blocks(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_UNBLOCK,
					 .all = true,
					 .local = call->query[3].number };

	if (!call->query[0].number) {
		levee_api_refuse(call, 400,
				 "all: must be true, so that nobody lifts every block "
				 "by a slip");
		return;
	}
	take_for(&call->query[1], &request);
	memcpy(request.note, call->query[2].text, sizeof(request.note));
	levee_api_submit(call, &request);
}

/* ---- exemptions and the allow list ----------------------------------------------------------- */

void levee_get_exemptions(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	uint64_t limit = number(&call->query[0], LIST_DEFAULT);
	uint64_t skip = number(&call->query[1], 0);

	levee_json_uint(&call->json, "total", s->n_exemptions);
	levee_json_array(&call->json, "exemptions");
	for (size_t i = skip; i < s->n_exemptions && i - skip < limit; i++)
		levee_write_exemption(&call->json, NULL, &s->exemptions[i]);
	levee_json_end(&call->json);
}

void levee_delete_exemption(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_EXEMPT_END, .prefix = call->prefix };

	levee_api_submit(call, &request);
}

void levee_get_allow(struct levee_api_call *call)
{
	const struct levee_snapshot *s = call->snapshot;
	uint64_t limit = number(&call->query[0], LIST_DEFAULT);
	uint64_t skip = number(&call->query[1], 0);
	struct levee_json *j = &call->json;

	levee_json_uint(j, "total", s->n_allowed);
	levee_json_array(j, "allowed");
	for (size_t i = skip; i < s->n_allowed && i - skip < limit; i++) {
		levee_json_object(j, NULL);
		levee_write_prefix(j, "prefix", &s->allowed[i].prefix);
		levee_json_string(j, "origin", levee_allow_word(s->allowed[i].origin));
		levee_json_end(j);
	}
	levee_json_end(j);
}

void levee_post_allow(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_ALLOW_ADD,
					 .prefix = call->body[0].prefix,
					 .force = call->body[2].number,
					 .local = call->body[3].number };

	memcpy(request.note, call->body[1].text, sizeof(request.note));
	levee_api_submit(call, &request);
}

void levee_delete_allow(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_ALLOW_REMOVE,
					 .prefix = call->prefix };

	levee_api_submit(call, &request);
}

/* ---- events and history ---------------------------------------------------------------------- */

static bool wants_stream(const struct levee_api_call *call)
{
	return call->query[2].number ||
	       (call->request->accept && strstr(call->request->accept, "text/event-stream"));
}

/* Where a follower begins: after what it has seen, or with what comes. */
static int find_start(const struct levee_api_call *call, uint64_t *after)
{
	const char *last = call->request->last_event_id;
	char *end;

	*after = levee_board_last_event(call->core->board);
	if (call->query[0].is_given)
		*after = call->query[0].number;
	if (!last)
		return 0;
	if (!*last || strlen(last) > 18 || strspn(last, "0123456789") != strlen(last))
		return -EINVAL;
	*after = strtoull(last, &end, 10);
	return 0;
}

void levee_get_events(struct levee_api_call *call)
{
	uint64_t after = number(&call->query[0], 0), limit = number(&call->query[1], LIST_DEFAULT);
	struct levee_board_entry *entries;
	struct levee_json *j = &call->json;
	uint64_t missed;
	size_t n;

	if (wants_stream(call)) {
		call->answer->kind = LEVEE_ANSWER_FOLLOW;
		if (find_start(call, &call->answer->follow_after)) {
			call->answer->kind = LEVEE_ANSWER_READY;
			levee_api_refuse(call, 400, "Last-Event-ID: not a number");
		}
		return;
	}
	entries = calloc(limit, sizeof(*entries));
	if (!entries) {
		levee_api_refuse(call, 500, "no memory");
		return;
	}
	n = levee_board_events(call->core->board, after, entries, limit, &missed);
	levee_json_uint(j, "missed", missed);
	levee_json_array(j, "events");
	for (size_t i = 0; i < n; i++) {
		levee_json_object(j, NULL);
		levee_api_write_event(j, &entries[i]);
		levee_json_end(j);
	}
	levee_json_end(j);
	free(entries);
}

static void write_row(void *ctx, const struct levee_history_row *row)
{
	struct levee_json *j = ctx;

	levee_json_object(j, NULL);
	levee_write_time(j, "time", row->unix_ns);
	levee_json_string(j, "kind", row->kind);
	levee_json_string(j, "subject", row->subject);
	levee_json_string(j, "text", row->detail);
	levee_json_end(j);
}

void levee_get_history(struct levee_api_call *call)
{
	struct levee_history_filter filter = {
		.since_s = number(&call->query[0], 0),
		.until_s = number(&call->query[1], INT64_MAX / LEVEE_NS_PER_S),
		.limit = number(&call->query[2], LIST_DEFAULT),
		.kind = call->query[3].text,
	};
	int ret;

	if (call->query[4].is_given)
		filter.within = &call->query[4].prefix;
	if (!call->core->state_file || !call->core->state_file[0]) {
		levee_api_refuse(call, 404, "no history is kept: [state] file is empty");
		return;
	}
	levee_json_array(&call->json, "history");
	ret = levee_history_read(call->core->state_file, &filter, write_row, &call->json);
	levee_json_end(&call->json);
	if (ret)
		levee_api_refuse(call, 503, "the state file cannot be read: %s", strerror(-ret));
}

void levee_api_write_event(struct levee_json *j, const struct levee_board_entry *entry)
{
	levee_json_uint(j, "id", entry->id);
	levee_write_time(j, "time", entry->unix_ns);
	levee_json_double(j, "time_unix", (double)(entry->unix_ns / 1000000) / 1000);
	levee_json_string(j, "kind", entry->kind);
	levee_json_string(j, "subject", entry->subject);
	levee_json_string(j, "text", entry->text);
	levee_json_double(j, "zscore", entry->zscore);
	levee_json_uint(j, "packets", entry->packets);
	levee_json_uint(j, "dropped", entry->dropped);
	levee_write_time(j, "until", entry->end_unix_ns);
	levee_json_bool(j, "drill", entry->drill);
}

size_t levee_api_format_event(const struct levee_board_entry *entry, char *text, size_t size)
{
	FILE *out = fmemopen(text, size, "w");
	struct levee_json j;
	long n;

	if (!out)
		return 0;
	fprintf(out, "id: %" PRIu64 "\nevent: %s\ndata: ", entry->id, entry->kind);
	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	levee_json_uint(&j, "schema", LEVEE_API_SCHEMA);
	levee_api_write_event(&j, entry);
	levee_json_end(&j);
	fputs("\n\n", out);
	n = ftell(out);
	/* What does not fit whole is left out: half of an event would spoil the next. */
	return fclose(out) || n <= 0 || (size_t)n >= size ? 0 : (size_t)n;
}

/* ---- configuration, services, the rest -------------------------------------------------------- */

void levee_get_config(struct levee_api_call *call)
{
	fprintf(call->out, ", \"config\": %s", call->core->config_json);
}

static void write_service(struct levee_api_call *call, const char *name)
{
	struct levee_json *j = &call->json;
	int ret;

	levee_json_object(j, name);
	ret = levee_board_service_status(call->core->board, name, j);
	if (ret)
		levee_json_bool(j, "enabled", false);
	levee_json_end(j);
}

void levee_get_nacl(struct levee_api_call *call)
{
	write_service(call, "nacl");
}

void levee_get_fleet(struct levee_api_call *call)
{
	write_service(call, "fleet");
}

void levee_get_aws(struct levee_api_call *call)
{
	write_service(call, "aws");
}

void levee_post_reload(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_RELOAD };

	levee_api_submit(call, &request);
}

void levee_get_drill(struct levee_api_call *call)
{
	write_service(call, "drill");
}

void levee_post_drill(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_DRILL,
					 .rate = number(&call->body[1], 0),
					 .push = call->body[3].number,
					 .force = call->body[4].number };

	if (call->body[0].is_given)
		request.prefix = call->body[0].prefix;
	take_for(&call->body[2], &request);
	levee_api_submit(call, &request);
}

void levee_delete_drill(struct levee_api_call *call)
{
	struct levee_request request = { .type = LEVEE_REQUEST_DRILL_END };

	levee_api_submit(call, &request);
}

static const unsigned char openapi[] = {
#include "control/api/openapi.json.h"
	0,
};

void levee_get_openapi(struct levee_api_call *call)
{
	call->answer->fixed = (const char *)openapi;
	call->answer->fixed_len = sizeof(openapi) - 1;
}
