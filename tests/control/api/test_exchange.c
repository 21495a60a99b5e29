/* SPDX-License-Identifier: BSD-2-Clause */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "control/api/metrics.h"
#include "control/api/routes.h"
#include "tests/support/board.h"

struct fixture {
	struct levee_board *board;
	struct levee_api_answer answer;
	json_t *json; /* of the answer */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->board = test_board();
	*state = f;
	return 0;
}

static void forget(struct fixture *f)
{
	levee_api_answer_clear(&f->answer);
	json_decref(f->json);
	f->json = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	forget(f);
	levee_board_free(&f->board);
	free(f);
	return 0;
}

/* \return the status; f->json is the body */
static unsigned int ask_with(struct fixture *f, const struct levee_api_request *request)
{
	forget(f);
	test_ask(f->board, request, &f->answer);
	if (f->answer.body) {
		assert_int_equal(f->answer.len, strlen(f->answer.body));
		f->json = json_loads(f->answer.body, JSON_REJECT_DUPLICATES, NULL);
	} else if (f->answer.fixed) {
		f->json = json_loadb(f->answer.fixed, f->answer.fixed_len, 0, NULL);
	}
	return f->answer.status;
}

static unsigned int ask(struct fixture *f, const char *method, const char *uri)
{
	struct levee_api_request request = { .method = method, .uri = uri };

	return ask_with(f, &request);
}

static unsigned int post(struct fixture *f, const char *method, const char *uri, const char *body)
{
	struct levee_api_request request = { .method = method,
					     .uri = uri,
					     .content_type = "application/json",
					     .body = body,
					     .body_len = strlen(body) };

	return ask_with(f, &request);
}

static const char *member(const struct fixture *f, const char *name)
{
	const char *text = json_string_value(json_object_get(f->json, name));

	assert_non_null(text);
	return text;
}

static json_t *element(const struct fixture *f, const char *array, size_t i)
{
	json_t *e = json_array_get(json_object_get(f->json, array), i);

	assert_non_null(e);
	return e;
}

/* ---- what is shown ----------------------------------------------------------------------- */

static void every_answer_has_the_schema(void **state)
{
	static const char *const paths[] = {
		"status", "account", "bins",   "sources", "blocks", "allow", "exemptions", "nacl",
		"fleet",  "events",  "config", "drill",	  "health", "ready", "nowhere"
	};
	struct fixture *f = *state;
	char uri[64];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		snprintf(uri, sizeof(uri), "/api/v1/%s", paths[i]);
		ask(f, "GET", uri);
		assert_non_null(f->json);
		assert_int_equal(json_integer_value(json_object_get(f->json, "schema")),
				 LEVEE_API_SCHEMA);
	}
}

static void the_account_of_status_adds_up(void **state)
{
	struct fixture *f = *state;
	const json_t *total;

	assert_int_equal(ask(f, "GET", "/api/v1/status"), 200);
	total = json_object_get(json_object_get(f->json, "account"), "since_start");
	assert_int_equal(json_integer_value(json_object_get(total, "received")), 100);
	assert_int_equal(json_integer_value(json_object_get(total, "dropped")), 10);
	assert_string_equal(json_string_value(element(f, "interfaces", 0)), "eth0");
	assert_string_equal(
		json_string_value(json_object_get(element(f, "top_blocks", 0), "prefix")),
		"198.51.100.7");
}

static void a_block_says_why_and_until_when(void **state)
{
	struct fixture *f = *state;
	const json_t *b;

	assert_int_equal(ask(f, "GET", "/api/v1/blocks/198.51.100.7"), 200);
	b = json_object_get(f->json, "block");
	assert_string_equal(json_string_value(json_object_get(b, "reason")), "detected");
	assert_string_equal(json_string_value(json_object_get(b, "by")), "zscore");
	assert_int_equal(json_integer_value(json_object_get(b, "seconds_left")), 3540);
	assert_int_equal(json_integer_value(json_object_get(b, "dropped_packets")), 500);
	assert_true(fabs(json_real_value(json_object_get(b, "max_zscore")) - 7.5) < 1e-9);
	assert_string_equal(json_string_value(json_object_get(b, "until")), "2023-11-14T23:12:20Z");
	assert_string_equal(json_string_value(json_object_get(b, "last_drop")),
			    "2023-11-14T22:13:19Z");
	assert_int_equal(ask(f, "GET", "/api/v1/blocks/198.51.100.8"), 404);
}

static void an_evaluation_says_who_decides_and_how(void **state)
{
	struct fixture *f = *state;
	struct levee_snapshot *s = test_snapshot();
	const json_t *e;

	assert_int_equal(ask(f, "GET", "/api/v1/status"), 200);
	e = json_object_get(f->json, "evaluation");
	assert_string_equal(json_string_value(json_object_get(e, "detector")), "zscore");
	assert_true(json_is_null(json_object_get(e, "median")));
	assert_true(json_is_false(json_object_get(e, "masked")));
	s->detector = "both";
	s->evaluation.has_robust = true;
	s->evaluation.median = 12;
	s->evaluation.mad = 3;
	s->evaluation.masked = true;
	s->evaluation.n_above = 2;
	s->trip = (struct levee_trip){ .armed = true, .threshold = 15000, .bins = 7 };
	s->blocks[0].block.reason = LEVEE_BLOCK_TRIP;
	s->blocks[0].block.kind = LEVEE_KIND_LIMIT;
	s->blocks[0].block.measure = LEVEE_SYNS;
	s->blocks[0].block.max_value = 999;
	s->blocks[0].block.spoofable = true;
	levee_board_publish(f->board, s);
	assert_int_equal(ask(f, "GET", "/api/v1/status"), 200);
	e = json_object_get(f->json, "evaluation");
	assert_true(json_is_true(json_object_get(e, "masked")));
	assert_int_equal(json_integer_value(json_object_get(e, "above_minimum")), 2);
	assert_true(fabs(json_number_value(json_object_get(e, "mad")) - 3) < 1e-9);
	e = json_object_get(e, "fast");
	assert_true(json_is_true(json_object_get(e, "armed")));
	assert_int_equal(json_integer_value(json_object_get(e, "threshold")), 15000);
	assert_int_equal(ask(f, "GET", "/api/v1/blocks/198.51.100.7"), 200);
	e = json_object_get(f->json, "block");
	assert_string_equal(json_string_value(json_object_get(e, "by")), "fast");
	assert_string_equal(json_string_value(json_object_get(e, "kind")), "limit");
	assert_string_equal(json_string_value(json_object_get(e, "measure")), "syns");
	assert_int_equal(json_integer_value(json_object_get(e, "max_value")), 999);
	assert_true(json_is_true(json_object_get(e, "spoofable")));
	assert_int_equal(ask(f, "GET", "/metrics"), 200);
	assert_non_null(strstr(f->answer.body, "\nlevee_masked 1\n"));
	assert_non_null(strstr(f->answer.body, "\nlevee_fast_threshold_packets 15000\n"));
	assert_non_null(strstr(f->answer.body, "\nlevee_detected_blocks{by=\"fast\"} 1\n"));
	assert_non_null(strstr(f->answer.body, "\nlevee_limiting_blocks 1\n"));
	assert_non_null(strstr(f->answer.body, "\nlevee_spoofable_blocks 1\n"));
}

static void a_block_for_good_has_no_end(void **state)
{
	struct fixture *f = *state;
	const json_t *b;

	/* The slash of a prefix may stand as it is, or encoded. */
	assert_int_equal(ask(f, "GET", "/api/v1/blocks/203.0.113.0%2f24"), 200);
	assert_int_equal(ask(f, "GET", "/api/v1/blocks/203.0.113.0/24"), 200);
	b = json_object_get(f->json, "block");
	assert_true(json_is_null(json_object_get(b, "until")));
	assert_true(json_is_null(json_object_get(b, "seconds_left")));
	assert_string_equal(json_string_value(json_object_get(b, "note")), "said \"so\"\\");
}

static void blocks_are_ordered_filtered_and_paged(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/api/v1/blocks?order=zscore&limit=1"), 200);
	assert_int_equal(json_array_size(json_object_get(f->json, "blocks")), 1);
	assert_int_equal(json_integer_value(json_object_get(f->json, "total")), 3);
	assert_int_equal(json_integer_value(json_object_get(f->json, "matching")), 3);
	assert_int_equal(ask(f, "GET", "/api/v1/blocks?reason=manual"), 200);
	assert_int_equal(json_integer_value(json_object_get(f->json, "matching")), 1);
	assert_int_equal(ask(f, "GET", "/api/v1/blocks?within=2001:db8::/32"), 200);
	assert_true(json_is_false(json_object_get(element(f, "blocks", 0), "in_force")));
	assert_int_equal(ask(f, "GET", "/api/v1/blocks?skip=2"), 200);
	assert_int_equal(json_array_size(json_object_get(f->json, "blocks")), 1);
	assert_int_equal(ask(f, "GET", "/api/v1/blocks?skip=4000000000"), 200);
	assert_int_equal(json_array_size(json_object_get(f->json, "blocks")), 0);
}

static void a_source_shows_its_verdict_and_bins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/api/v1/sources/198.18.0.1"), 200);
	assert_string_equal(member(f, "verdict"), "passed");
	assert_true(json_is_true(json_object_get(element(f, "bins", 0), "abnormal")));
	ask(f, "GET", "/api/v1/sources/10.1.2.3");
	assert_string_equal(member(f, "verdict"), "allowed");
	ask(f, "GET", "/api/v1/sources/203.0.113.77");
	assert_string_equal(member(f, "verdict"), "blocked");
	ask(f, "GET", "/api/v1/sources/192.0.2.9");
	assert_string_equal(member(f, "verdict"), "exempt");
}

static void zscores_of_sources_are_the_detectors(void **state)
{
	struct fixture *f = *state;
	struct levee_moments m = { 0 };

	levee_moments_add(&m, 10);
	levee_moments_add(&m, 20000);
	levee_moments_add(&m, 10);
	levee_moments_add(&m, 20000);
	ask(f, "GET", "/api/v1/sources?limit=1");
	assert_int_equal(json_array_size(json_object_get(f->json, "sources")), 1);
	assert_true(json_number_value(json_object_get(element(f, "sources", 0), "zscore")) ==
		    levee_moments_zscore(&m, 20000));
}

static void nothing_is_known_before_the_first_snapshot(void **state)
{
	struct fixture *f = *state;

	levee_board_free(&f->board);
	assert_int_equal(levee_board_new(&f->board, TEST_BOARD_UNIX_NS), 0);
	assert_int_equal(ask(f, "GET", "/api/v1/status"), 503);
	assert_int_equal(ask(f, "GET", "/api/v1/ready"), 503);
	assert_int_equal(ask(f, "GET", "/api/v1/health"), 200);
}

static void ready_is_not_what_lacks_something_it_needs(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/api/v1/ready"), 200);
	levee_board_health(f->board, "state", false, "full");
	assert_int_equal(ask(f, "GET", "/api/v1/ready"), 200);
	levee_board_health(f->board, "counts", true, "gone");
	assert_int_equal(ask(f, "GET", "/api/v1/ready"), 503);
	assert_int_equal(json_array_size(json_object_get(f->json, "problems")), 2);
	assert_int_equal(ask(f, "GET", "/api/v1/status"), 200);
	assert_true(json_is_false(json_object_get(f->json, "ready")));
}

/* ---- what is asked of the controller ------------------------------------------------------- */

static void a_block_goes_to_the_controller_as_it_was_said(void **state)
{
	struct fixture *f = *state;
	char expected[128];

	assert_int_equal(post(f, "POST", "/api/v1/blocks",
			      "{\"prefix\": \"10.1.2.3/8\", \"for_s\": 60, \"note\": \"because\","
			      " \"force\": true}"),
			 200);
	snprintf(expected, sizeof(expected),
		 "type %d prefix 10.0.0.0/8 for 60 rate 0 force note because", LEVEE_REQUEST_BLOCK);
	assert_string_equal(member(f, "message"), expected);
	assert_int_equal(ask(f, "DELETE", "/api/v1/blocks/10.0.0.0%2F8?for_s=5"), 200);
	snprintf(expected, sizeof(expected), "type %d prefix 10.0.0.0/8 for 5 rate 0 note ",
		 LEVEE_REQUEST_UNBLOCK);
	assert_string_equal(member(f, "message"), expected);
	assert_int_equal(ask(f, "DELETE", "/api/v1/blocks?all=true"), 200);
	assert_non_null(strstr(member(f, "message"), " all"));
	assert_int_equal(ask(f, "DELETE", "/api/v1/blocks?all=false"), 400);
	assert_int_equal(ask(f, "DELETE", "/api/v1/blocks"), 400);
}

static void only_a_block_that_is_there_is_extended(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(post(f, "PATCH", "/api/v1/blocks/198.51.100.7", "{\"for_s\": 60}"), 200);
	assert_int_equal(post(f, "PATCH", "/api/v1/blocks/198.51.100.8", "{\"for_s\": 60}"), 404);
}

static void a_drill_has_defaults_that_are_the_controllers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(post(f, "POST", "/api/v1/drill", "{}"), 200);
	assert_non_null(strstr(member(f, "message"), "prefix - for 0 rate 0 note"));
	assert_int_equal(ask(f, "POST", "/api/v1/drill"), 200);
	assert_int_equal(post(f, "POST", "/api/v1/drill",
			      "{\"source\": \"192.0.2.1\", \"rate\": 5, \"push\": true}"),
			 200);
	assert_non_null(strstr(member(f, "message"), "prefix 192.0.2.1 for 0 rate 5 push note"));
}

/* ---- what is refused ----------------------------------------------------------------------- */

static void tricks_with_the_path_lead_nowhere(void **state)
{
	static const char *const uris[] = {
		"/api/v1/status%00",
		"/api/v1/status%0a",
		"/api//v1/status",
		"/api/v1/./status",
		"/api/v1/../v1/status",
		"/api/v1/%2e%2e/status",
		"/api/v1/status%",
		"/api/v1/status%2",
		"/api/v1/status%zz",
		"/api/v1\\status",
		"api/v1/status",
		"http://x/api/v1/status",
		"/api/v1/status/",
		"/api/v1/Status",
		"/api/v1/status#x",
		"*",
		"",
		"/api/v1/blocks/",
		"/api/v1/blocks/..",
		"/api/v1/blocks/1.2.3.4/../../status",
		"/api/v1/blocks/1.2.3",
		"/api/v1/blocks/1.2.3.4/33",
		"/api/v1/blocks/1.2.3.4%2F8%2F8",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
		unsigned int status = ask(f, "GET", uris[i]);

		if (status != 400 && status != 404)
			fail_msg("%s: %u", uris[i], status);
	}
}

static void queries_are_checked_against_the_table(void **state)
{
	static const char *const queries[] = {
		"x=1",	     "limit=0",	   "limit=10001", "limit=-1",
		"limit=1e3", "limit=",	   "limit",	  "limit=1&limit=2",
		"order=age", "within=x",   "limit=1%00",  "limit=99999999999999999999999",
		"limit=+1",  "limit=%31x", "=",		  "order=prefix%20",
	};
	struct fixture *f = *state;
	char uri[128];

	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		snprintf(uri, sizeof(uri), "/api/v1/blocks?%s", queries[i]);
		if (ask(f, "GET", uri) != 400)
			fail_msg("%s: %u", uri, f->answer.status);
	}
	assert_int_equal(ask(f, "GET", "/api/v1/blocks?"), 200);
	assert_int_equal(ask(f, "GET", "/api/v1/blocks?&limit=%31&"), 200);
}

static void bodies_are_checked_against_the_table(void **state)
{
	static const char *const bodies[] = {
		"",
		"{",
		"[]",
		"null",
		"\"x\"",
		"{}",
		"{\"prefix\": 1}",
		"{\"prefix\": null}",
		"{\"prefix\": \"\"}",
		"{\"prefix\": \"1.2.3.4\", \"unknown\": 1}",
		"{\"prefix\": \"1.2.3.4\", \"prefix\": \"1.2.3.5\"}",
		"{\"prefix\": \"1.2.3.4\\u0000\"}",
		"{\"prefix\": \"1.2.3.4\", \"for_s\": \"60\"}",
		"{\"prefix\": \"1.2.3.4\", \"for_s\": 0}",
		"{\"prefix\": \"1.2.3.4\", \"for_s\": -1}",
		"{\"prefix\": \"1.2.3.4\", \"for_s\": 1.5}",
		"{\"prefix\": \"1.2.3.4\", \"for_s\": null}",
		"{\"prefix\": \"1.2.3.4\", \"for_s\": 99999999999999999999}",
		"{\"prefix\": \"1.2.3.4\", \"force\": \"yes\"}",
		"{\"prefix\": \"1.2.3.4\", \"note\": \"a\\nb\"}",
		"{\"prefix\": \"1.2.3.4\", \"note\": \"0123456789012345678901234567890123456789"
		"01234567890123456789012345678901234567890123456789012345\"}",
		"{\"prefix\": \"1.2.3.4\"} x",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		if (post(f, "POST", "/api/v1/blocks", bodies[i]) != 400)
			fail_msg("%s: %u", bodies[i], f->answer.status);
	assert_int_equal(post(f, "GET", "/api/v1/blocks", "{}"), 400);
	assert_int_equal(post(f, "DELETE", "/api/v1/blocks/1.2.3.4", "{}"), 400);
}

static void a_body_must_be_json_and_short(void **state)
{
	struct fixture *f = *state;
	char *large = calloc(1, LEVEE_API_BODY_MAX + 2);
	struct levee_api_request request = { .method = "POST",
					     .uri = "/api/v1/blocks",
					     .content_type = "text/plain",
					     .body = "{}",
					     .body_len = 2 };

	assert_int_equal(ask_with(f, &request), 415);
	request.content_type = NULL;
	assert_int_equal(ask_with(f, &request), 415);
	request.content_type = "application/jsonx";
	assert_int_equal(ask_with(f, &request), 415);
	request.content_type = "Application/JSON; charset=utf-8";
	assert_int_equal(ask_with(f, &request), 400);
	memset(large, ' ', LEVEE_API_BODY_MAX + 1);
	request.body = large;
	request.body_len = LEVEE_API_BODY_MAX + 1;
	assert_int_equal(ask_with(f, &request), 413);
	/* As deep as the body is long: the parser has a limit of its own. */
	memset(large, '[', LEVEE_API_BODY_MAX);
	request.body_len = LEVEE_API_BODY_MAX;
	assert_int_equal(ask_with(f, &request), 400);
	free(large);
}

static void an_address_must_be_short(void **state)
{
	struct fixture *f = *state;
	char uri[LEVEE_API_URI_MAX + 1];

	memset(uri, 'a', sizeof(uri));
	uri[0] = '/';
	uri[sizeof(uri) - 1] = '\0';
	assert_int_equal(ask(f, "GET", uri), 400);
}

static void another_method_is_told_which_there_are(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "PUT", "/api/v1/blocks"), 405);
	assert_string_equal(f->answer.allow, "GET, POST, DELETE");
	assert_int_equal(ask(f, "get", "/api/v1/blocks"), 405);
	assert_int_equal(ask(f, "HEAD", "/api/v1/blocks"), 200);
	assert_int_equal(ask(f, "TRACE", "/api/v1/health"), 405);
}

static void errors_do_not_repeat_control_characters(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(post(f, "POST", "/api/v1/blocks", "{\"\\u001b[31m\\u0007\": 1}"), 400);
	assert_null(strchr(member(f, "error"), 27));
	assert_null(strchr(member(f, "error"), 7));
}

/* ---- events ---------------------------------------------------------------------------------- */

static void a_stream_begins_where_the_follower_left_off(void **state)
{
	struct fixture *f = *state;
	uint64_t last = levee_board_last_event(f->board);
	struct levee_api_request request = { .method = "GET",
					     .uri = "/api/v1/events",
					     .accept = "text/event-stream" };

	ask_with(f, &request);
	assert_int_equal(f->answer.kind, LEVEE_ANSWER_FOLLOW);
	assert_int_equal(f->answer.follow_after, last);
	request.uri = "/api/v1/events?after=0";
	ask_with(f, &request);
	assert_int_equal(f->answer.follow_after, 0);
	request.last_event_id = "17";
	ask_with(f, &request);
	assert_int_equal(f->answer.follow_after, 17);
	request.last_event_id = "x";
	assert_int_equal(ask_with(f, &request), 400);
	request.last_event_id = "99999999999999999999";
	assert_int_equal(ask_with(f, &request), 400);
}

static void an_event_is_one_message_of_the_stream(void **state)
{
	struct fixture *f = *state;
	struct levee_board_entry entry;
	uint64_t missed;
	char text[2048], *data;
	size_t n;
	json_t *json;

	assert_int_equal(levee_board_events(f->board, 0, &entry, 1, &missed), 1);
	n = levee_api_format_event(&entry, text, sizeof(text));
	assert_int_equal(n, strlen(text));
	assert_string_equal(text + n - 2, "\n\n");
	data = strstr(text, "\ndata: ");
	assert_non_null(data);
	assert_ptr_equal(strstr(data + 1, "\n"), text + n - 2);
	json = json_loads(data + 7, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "text")),
			    "blocked: \"detected\"");
	json_decref(json);
	assert_int_equal(levee_api_format_event(&entry, text, 40), 0);
}

static void events_can_be_had_without_a_stream(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/api/v1/events?limit=1"), 200);
	assert_int_equal(json_array_size(json_object_get(f->json, "events")), 1);
	assert_int_equal(ask(f, "GET", "/api/v1/events"), 200);
	assert_true(json_is_true(json_object_get(element(f, "events", 1), "drill")));
}

/* ---- document and metrics -------------------------------------------------------------------- */

/* "/api/v1/blocks/{prefix}" of the document is "/api/v1/blocks/" of the table. */
static json_t *find_path(const struct fixture *f, const struct levee_api_route *route)
{
	char path[64];

	snprintf(path, sizeof(path), "%s%s", route->path,
		 route->flags & LEVEE_ROUTE_PREFIX ? "{prefix}" : "");
	return json_object_get(json_object_get(f->json, "paths"), path);
}

static void check_fields(const struct levee_api_field *fields, json_t *documented, const char *path)
{
	size_t n = 0;

	for (; fields && fields[n].name; n++)
		if (!json_object_get(documented, fields[n].name))
			fail_msg("%s: %s is not in the document", path, fields[n].name);
	if (json_object_size(documented) != n)
		fail_msg("%s: the document has fields that are not in the table", path);
}

static json_t *query_of(json_t *operation)
{
	json_t *fields = json_object(), *parameter;
	size_t i;

	json_array_foreach(
		json_object_get(operation, "parameters"), i,
		parameter) if (!strcmp(json_string_value(json_object_get(parameter, "in")),
				       "query"))
		json_object_set(fields, json_string_value(json_object_get(parameter, "name")),
				json_object_get(parameter, "schema"));
	return fields;
}

static json_t *body_of(json_t *operation)
{
	json_t *at = json_object_get(operation, "requestBody");

	at = json_object_get(json_object_get(at, "content"), "application/json");
	return json_object_get(json_object_get(at, "schema"), "properties");
}

static void the_document_has_every_route_with_its_fields_and_no_other(void **state)
{
	static const char *const methods[][2] = {
		{ "GET", "get" }, { "POST", "post" }, { "PATCH", "patch" }, { "DELETE", "delete" }
	};
	struct fixture *f = *state;
	const char *path;
	json_t *item, *operation, *query;
	size_t documented = 0, in_table = 0;

	assert_int_equal(ask(f, "GET", "/api/v1/openapi.json"), 200);
	assert_string_equal(member(f, "openapi"), "3.1.0");
	for (size_t i = 0; i < levee_api_n_routes; i++) {
		const struct levee_api_route *route = &levee_api_routes[i];

		if (route->flags & LEVEE_ROUTE_PUBLIC)
			continue;
		in_table++;
		item = find_path(f, route);
		operation = NULL;
		for (size_t k = 0; k < 4; k++)
			if (!strcmp(route->method, methods[k][0]))
				operation = json_object_get(item, methods[k][1]);
		if (!operation)
			fail_msg("%s %s is not in the document", route->method, route->path);
		query = query_of(operation);
		check_fields(route->query, query, route->path);
		check_fields(route->body, body_of(operation), route->path);
		json_decref(query);
	}
	json_object_foreach(json_object_get(f->json, "paths"), path, item)
		documented += json_object_size(item);
	assert_int_equal(documented, in_table);
}

static void every_metric_has_help_type_and_a_value(void **state)
{
	struct fixture *f = *state;
	char line[128];

	assert_int_equal(ask(f, "GET", "/metrics"), 200);
	for (const struct levee_metric *m = levee_metrics; m->name; m++) {
		snprintf(line, sizeof(line), "# HELP %s ", m->name);
		assert_non_null(strstr(f->answer.body, line));
		snprintf(line, sizeof(line), "# TYPE %s %s\n%s", m->name, m->type, m->name);
		assert_non_null(strstr(f->answer.body, line));
		/* Prometheus' conventions: counters end in _total, nothing else does. */
		assert_int_equal(!strcmp(m->type, "counter"),
				 strlen(m->name) > 6 &&
					 !strcmp(m->name + strlen(m->name) - 6, "_total"));
	}
	assert_non_null(strstr(f->answer.body, "levee_blocks{reason=\"manual\"} 1\n"));
	/* No source is ever a label. */
	assert_null(strstr(f->answer.body, "198."));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_answer_has_the_schema),
		TEST(the_account_of_status_adds_up),
		TEST(a_block_says_why_and_until_when),
		TEST(an_evaluation_says_who_decides_and_how),
		TEST(a_block_for_good_has_no_end),
		TEST(blocks_are_ordered_filtered_and_paged),
		TEST(a_source_shows_its_verdict_and_bins),
		TEST(zscores_of_sources_are_the_detectors),
		TEST(nothing_is_known_before_the_first_snapshot),
		TEST(ready_is_not_what_lacks_something_it_needs),
		TEST(a_block_goes_to_the_controller_as_it_was_said),
		TEST(only_a_block_that_is_there_is_extended),
		TEST(a_drill_has_defaults_that_are_the_controllers),
		TEST(tricks_with_the_path_lead_nowhere),
		TEST(queries_are_checked_against_the_table),
		TEST(bodies_are_checked_against_the_table),
		TEST(a_body_must_be_json_and_short),
		TEST(an_address_must_be_short),
		TEST(another_method_is_told_which_there_are),
		TEST(errors_do_not_repeat_control_characters),
		TEST(a_stream_begins_where_the_follower_left_off),
		TEST(an_event_is_one_message_of_the_stream),
		TEST(events_can_be_had_without_a_stream),
		TEST(the_document_has_every_route_with_its_fields_and_no_other),
		TEST(every_metric_has_help_type_and_a_value),
	};

	return cmocka_run_group_tests_name("exchange", tests, NULL, NULL);
}
