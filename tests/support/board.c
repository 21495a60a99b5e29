/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct levee_prefix test_prefix(const char *text)
{
	struct levee_prefix p = { 0 };

	if (levee_prefix_parse(&p, text, strlen(text), NULL))
		abort();
	return p;
}

static void put_blocks(struct levee_snapshot *s)
{
	s->blocks = calloc(3, sizeof(*s->blocks));
	s->n_blocks = 3;
	s->blocks[0] = (struct levee_board_block){
		.block = { .prefix = test_prefix("198.51.100.7"),
			   .reason = LEVEE_BLOCK_ZSCORE,
			   .created_boot_ns = TEST_BOARD_BOOT_NS - 60 * LEVEE_NS_PER_S,
			   .created_unix_ns = TEST_BOARD_UNIX_NS - 60 * LEVEE_NS_PER_S,
			   .expires_boot_ns = TEST_BOARD_BOOT_NS + 3540 * LEVEE_NS_PER_S,
			   .expires_unix_ns = TEST_BOARD_UNIX_NS + 3540 * LEVEE_NS_PER_S,
			   .last_bin_s = 1699999920,
			   .max_zscore = 7.5,
			   .max_packets = 120000,
			   .flagged = true },
		.packets = 500,
		.bytes = 30000,
		.last_boot_ns = TEST_BOARD_BOOT_NS - LEVEE_NS_PER_S,
		.drop_rate = 12.5,
	};
	s->blocks[1] = (struct levee_board_block){
		.block = { .prefix = test_prefix("203.0.113.0/24"),
			   .reason = LEVEE_BLOCK_MANUAL,
			   .created_unix_ns = TEST_BOARD_UNIX_NS,
			   .expires_boot_ns = LEVEE_NEVER,
			   .expires_unix_ns = LEVEE_NEVER,
			   .note = "said \"so\"\\" },
	};
	s->blocks[2] = (struct levee_board_block){
		.block = { .prefix = test_prefix("2001:db8:bad::/64"),
			   .reason = LEVEE_BLOCK_ZSCORE,
			   .expires_boot_ns = TEST_BOARD_BOOT_NS + LEVEE_NS_PER_S,
			   .expires_unix_ns = TEST_BOARD_UNIX_NS + LEVEE_NS_PER_S,
			   .marks = LEVEE_BLOCK_DRILL },
		.shadowed = true,
	};
}

static void put_bins(struct levee_snapshot *s)
{
	s->bins = calloc(2, sizeof(*s->bins));
	s->n_bins = 2;
	for (int i = 0; i < 2; i++) {
		s->bins[i].start_s = 1699999860 + 60 * i;
		levee_moments_add(&s->bins[i].moments, 10);
		levee_moments_add(&s->bins[i].moments, 20000);
	}
	s->bins[1].has_account = true;
	levee_moments_merge(&s->evaluation.moments, &s->bins[0].moments);
	levee_moments_merge(&s->evaluation.moments, &s->bins[1].moments);
	s->evaluation.now_s = 1699999980;
	s->evaluation.mean = levee_moments_mean(&s->evaluation.moments);
	s->evaluation.stddev = levee_moments_stddev(&s->evaluation.moments);
	s->evaluation.threshold = s->evaluation.mean + 3 * s->evaluation.stddev;
}

struct levee_snapshot *test_snapshot(void)
{
	struct levee_snapshot *s = levee_snapshot_new();

	s->taken = (struct levee_time){ TEST_BOARD_BOOT_NS, TEST_BOARD_UNIX_NS };
	s->started = (struct levee_time){ TEST_BOARD_BOOT_NS - 5 * LEVEE_NS_PER_S,
					  TEST_BOARD_UNIX_NS - 5 * LEVEE_NS_PER_S };
	s->bin_s = 60;
	s->window_s = 3600;
	s->detect = (struct levee_detect_params){ .min_zscore = 3, .min_packets = 12000 };
	s->detector = "zscore";
	s->fast = true;
	s->source6_length = 64;
	s->bin_start_s = 1699999980;
	s->last_bin_s = 1699999920;
	s->last_sources = 2;
	s->total.received = 100;
	s->total.outcome[LEVEE_COUNTED] = 90;
	s->total.outcome[LEVEE_DROPPED] = 10;
	put_blocks(s);
	put_bins(s);
	s->allowed = calloc(1, sizeof(*s->allowed));
	s->n_allowed = 1;
	s->allowed[0] = (struct levee_board_allowed){ test_prefix("10.0.0.0/8"),
						      LEVEE_ALLOW_CONFIG };
	s->exemptions = calloc(1, sizeof(*s->exemptions));
	s->n_exemptions = 1;
	s->exemptions[0] = (struct levee_board_exemption){ .prefix = test_prefix("192.0.2.9"),
							   .expires_boot_ns = LEVEE_NEVER,
							   .expires_unix_ns = LEVEE_NEVER };
	s->top = calloc(2, sizeof(*s->top));
	s->n_top = 2;
	s->top[0] = (struct levee_board_source){ test_prefix("198.18.0.1"), 20000, 1200000 };
	s->top[1] = (struct levee_board_source){ test_prefix("198.18.0.2"), 10, 600 };
	return s;
}

struct levee_board *test_board(void)
{
	struct levee_board_entry entry = { .kind = "block",
					   .subject = "198.51.100.7",
					   .text = "blocked: \"detected\"",
					   .zscore = 7.5,
					   .packets = 120000 };
	struct levee_board *board;

	if (levee_board_new(&board, TEST_BOARD_UNIX_NS))
		abort();
	levee_board_publish(board, test_snapshot());
	levee_board_event(board, &entry);
	entry.drill = true;
	levee_board_event(board, &entry);
	return board;
}

void test_execute(void *ctx, struct levee_request *request)
{
	char text[LEVEE_PREFIX_TEXT] = "-";

	(void)ctx;
	if (request->prefix.family)
		levee_prefix_format(&request->prefix, text);
	request->changed = 1;
	snprintf(request->message, sizeof(request->message),
		 "type %d prefix %s for %llu rate %llu%s%s%s note %s", request->type, text,
		 (unsigned long long)request->for_s, (unsigned long long)request->rate,
		 request->all ? " all" : "", request->force ? " force" : "",
		 request->push ? " push" : "", request->note);
	if (request->type == LEVEE_REQUEST_SOURCE) {
		request->source.source = request->prefix;
		request->source.bins = calloc(1, sizeof(*request->source.bins));
		request->source.n_bins = 1;
		request->source.bins[0] = (struct levee_source_bin){ .start_s = 1699999920,
								     .packets = 20000,
								     .abnormal = true };
	}
}

void test_ask(struct levee_board *board, const struct levee_api_request *request,
	      struct levee_api_answer *answer)
{
	static const char *const interfaces[] = { "eth0" };
	struct levee_api_core core = { .board = board,
				       .config_json = "{\"detect\": {\"bin\": \"60\"}}",
				       .interfaces = interfaces,
				       .n_interfaces = 1,
				       .state_file = "" };
	struct levee_request answered;

	levee_api_handle(&core, request, answer);
	if (answer->kind != LEVEE_ANSWER_CALL)
		return;
	answered = answer->call;
	test_execute(NULL, &answered);
	levee_api_finish(&core, answer, &answered);
}
