/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy/blocks.h"

#define S LEVEE_NS_PER_S

/* Boot time is so far behind wall time: the machine came up then. */
#define UP_S 1000000

struct fixture {
	struct levee_blocks *blocks;
	struct levee_finding findings[8];
	struct levee_evaluation evaluation;
	/* what was told, in order, and the last block of each kind */
	size_t told[LEVEE_BLOCK_HARDENED + 1];
	size_t n_told;
	struct levee_block last[LEVEE_BLOCK_HARDENED + 1];
};

static int setup_params(void **state, struct levee_blocks_params params)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->blocks = levee_blocks_new(&params);
	f->evaluation.findings = f->findings;
	*state = f;
	return f->blocks ? 0 : -1;
}

static int setup(void **state)
{
	return setup_params(state, (struct levee_blocks_params){ .bin_s = 60, .window_s = 3600 });
}

static int setup_releasing(void **state)
{
	return setup_params(state, (struct levee_blocks_params){ .bin_s = 60,
								 .window_s = 3600,
								 .release_unflagged = true });
}

static int setup_remembering(void **state)
{
	return setup_params(state, (struct levee_blocks_params){ .bin_s = 60,
								 .window_s = 3600,
								 .repeat_memory_s = 86400,
								 .repeat_factor = 2.0,
								 .max_block_s = 5 * 3600 });
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_blocks_free(&f->blocks);
	assert_null(f->blocks);
	levee_blocks_free(&f->blocks);
	free(f);
	return 0;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static struct levee_time at(uint64_t unix_s)
{
	return (struct levee_time){ .boot_ns = (unix_s - UP_S) * S, .unix_ns = unix_s * S };
}

static void hear(void *ctx, enum levee_block_change change, const struct levee_block *block)
{
	struct fixture *f = ctx;

	f->told[change]++;
	f->n_told++;
	f->last[change] = *block;
}

static void forget_told(struct fixture *f)
{
	memset(f->told, 0, sizeof(f->told));
	f->n_told = 0;
}

/* The next evaluation flags this source, too. */
static void flag(struct fixture *f, uint32_t addr, int64_t last_bin_s, double z)
{
	f->findings[f->evaluation.n_findings++] = (struct levee_finding){
		.source = ipv4(addr),
		.max_zscore = z,
		.max_packets = 20000,
		.last_bin_s = last_bin_s,
		.last_packets = 20000,
	};
}

static void judge_at(struct fixture *f, struct levee_time now)
{
	forget_told(f);
	assert_int_equal(levee_blocks_judge(f->blocks, &f->evaluation, &now, hear, f), 0);
	f->evaluation.n_findings = 0;
}

static void judge(struct fixture *f, uint64_t unix_s)
{
	judge_at(f, at(unix_s));
}

static void expire(struct fixture *f, uint64_t unix_s)
{
	struct levee_time now = at(unix_s);

	forget_told(f);
	levee_blocks_expire(f->blocks, &now, hear, f);
}

static const struct levee_block *get(struct fixture *f, uint32_t addr)
{
	struct levee_prefix prefix = ipv4(addr);

	return levee_blocks_get(f->blocks, &prefix);
}

static void put_manual(struct fixture *f, uint32_t addr, uint64_t expires_boot_ns)
{
	struct levee_block block = {
		.prefix = ipv4(addr),
		.reason = LEVEE_BLOCK_MANUAL,
		.expires_boot_ns = expires_boot_ns,
	};

	forget_told(f);
	assert_int_equal(levee_blocks_put(f->blocks, &block, hear, f), 0);
}

static void a_new_table_is_empty(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(levee_blocks_count(f->blocks), 0);
	assert_true(levee_blocks_next_expiry(f->blocks) == LEVEE_NEVER);
	assert_null(get(f, 1));
	levee_blocks_walk(f->blocks, NULL, NULL);
	expire(f, 2000000);
	assert_int_equal(f->n_told, 0);
}

static void a_finding_is_blocked_until_a_window_after_its_last_anomalous_bin(void **state)
{
	struct fixture *f = *state;
	const struct levee_block *block;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	block = get(f, 7);
	assert_int_equal(f->n_told, 1);
	assert_int_equal(f->told[LEVEE_BLOCK_ADDED], 1);
	assert_int_equal(block->reason, LEVEE_BLOCK_ZSCORE);
	assert_int_equal(block->expires_unix_ns, (2000040 + 60 + 3600) * S);
	assert_int_equal(block->expires_boot_ns, (2000040 + 60 + 3600 - UP_S) * S);
	assert_int_equal(block->created_unix_ns, 2000130 * S);
	assert_int_equal(block->created_boot_ns, (2000130 - UP_S) * S);
	assert_int_equal(block->last_bin_s, 2000040);
	assert_int_equal(block->max_packets, 20000);
	assert_true(block->max_zscore == 4.5);
	assert_true(block->flagged);
	assert_int_equal(levee_blocks_next_expiry(f->blocks), block->expires_boot_ns);
}

static void the_same_finding_again_changes_nothing_and_tells_nothing(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	flag(f, 7, 2000040, 4.5);
	judge(f, 2000160);
	assert_int_equal(f->n_told, 0);
	assert_int_equal(levee_blocks_count(f->blocks), 1);
}

/* Clocks that are read one after the other do not keep their distance to the nanosecond. */
static void the_end_does_not_wander_with_the_reading_of_the_clocks(void **state)
{
	struct fixture *f = *state;
	struct levee_time now = at(2000160);
	uint64_t end_ns;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	end_ns = get(f, 7)->expires_boot_ns;
	now.boot_ns += 12345;
	flag(f, 7, 2000040, 4.5);
	judge_at(f, now);
	assert_int_equal(get(f, 7)->expires_boot_ns, end_ns);
	assert_int_equal(f->n_told, 0);
}

static void another_anomalous_bin_moves_the_end(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	flag(f, 7, 2000100, 4.5);
	judge(f, 2000160);
	assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
	assert_int_equal(f->n_told, 1);
	assert_int_equal(get(f, 7)->expires_unix_ns, (2000100 + 60 + 3600) * S);
	assert_int_equal(get(f, 7)->expires_boot_ns, (2000100 + 60 + 3600 - UP_S) * S);
	assert_int_equal(get(f, 7)->created_unix_ns, 2000130 * S);
	assert_int_equal(levee_blocks_next_expiry(f->blocks), get(f, 7)->expires_boot_ns);
}

static void an_earlier_last_bin_does_not_shorten_a_block(void **state)
{
	struct fixture *f = *state;
	uint64_t end_ns;

	flag(f, 7, 2000100, 4.5);
	judge(f, 2000160);
	end_ns = get(f, 7)->expires_boot_ns;
	flag(f, 7, 2000040, 4.5);
	judge(f, 2000190);
	assert_int_equal(get(f, 7)->expires_boot_ns, end_ns);
	assert_int_equal(get(f, 7)->expires_unix_ns, (2000100 + 60 + 3600) * S);
}

/* After a restart with a clock set back, bins have earlier names; blocks must be renewed still. */
static void a_block_is_extended_even_if_names_of_bins_went_back(void **state)
{
	struct fixture *f = *state;
	struct levee_time now = at(2000160);
	uint64_t end_ns;

	flag(f, 7, 2000100, 4.5);
	judge_at(f, now);
	end_ns = get(f, 7)->expires_boot_ns;
	now.unix_ns -= 86400 * S;
	now.boot_ns += 600 * S;
	flag(f, 7, 2000100 - 86400, 4.5);
	judge_at(f, now);
	assert_int_equal(get(f, 7)->expires_boot_ns, end_ns + 600 * S);
}

static void a_score_that_changed_is_told_and_leaves_the_end(void **state)
{
	struct fixture *f = *state;
	uint64_t end_ns;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	end_ns = get(f, 7)->expires_boot_ns;
	flag(f, 7, 2000040, 5.5);
	judge(f, 2000160);
	assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
	assert_true(get(f, 7)->max_zscore == 5.5);
	assert_int_equal(get(f, 7)->expires_boot_ns, end_ns);
}

static void a_block_outlasts_its_flag_until_it_expires(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	judge(f, 2000160);
	assert_int_equal(f->n_told, 0);
	assert_false(get(f, 7)->flagged);
	judge(f, 2003699);
	assert_non_null(get(f, 7));
	judge(f, 2003700);
	assert_null(get(f, 7));
	assert_int_equal(f->told[LEVEE_BLOCK_EXPIRED], 1);
	assert_int_equal(f->n_told, 1);
	assert_true(levee_blocks_next_expiry(f->blocks) == LEVEE_NEVER);
}

static void where_asked_for_a_block_is_released_with_its_flag(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	flag(f, 8, 2000040, 4.5);
	judge(f, 2000130);
	flag(f, 8, 2000040, 4.5);
	judge(f, 2000160);
	assert_null(get(f, 7));
	assert_non_null(get(f, 8));
	assert_int_equal(f->told[LEVEE_BLOCK_RELEASED], 1);
	assert_int_equal(f->n_told, 1);
	assert_int_equal(f->last[LEVEE_BLOCK_RELEASED].prefix.hi, 7);
}

static void what_is_over_is_told_as_expired_and_not_as_released(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	judge(f, 2003700);
	assert_int_equal(f->told[LEVEE_BLOCK_EXPIRED], 1);
	assert_int_equal(f->n_told, 1);
}

static void a_finding_whose_block_would_be_over_adds_none(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	flag(f, 8, 2000100, 4.5);
	judge(f, 2000040 + 3660);
	assert_null(get(f, 7));
	assert_non_null(get(f, 8));
	assert_int_equal(f->n_told, 1);
}

static void a_block_that_is_due_but_flagged_anew_goes_on(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	flag(f, 7, 2003640, 4.5);
	judge(f, 2003700);
	assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
	assert_int_equal(f->n_told, 1);
	assert_non_null(get(f, 7));
}

static void steps_of_the_wall_clock_do_not_touch_a_block(void **state)
{
	struct fixture *f = *state;
	struct levee_time now = at(2000130);

	flag(f, 7, 2000040, 4.5);
	judge_at(f, now);
	now.unix_ns += 100000 * S;
	forget_told(f);
	levee_blocks_expire(f->blocks, &now, hear, f);
	assert_int_equal(f->n_told, 0);
	now.unix_ns -= 200000 * S;
	now.boot_ns += 3570 * S;
	levee_blocks_expire(f->blocks, &now, hear, f);
	assert_int_equal(f->told[LEVEE_BLOCK_EXPIRED], 1);
}

static void judging_leaves_manual_blocks_alone(void **state)
{
	struct fixture *f = *state;
	struct levee_block before;

	put_manual(f, 7, (2000200 - UP_S) * S);
	put_manual(f, 8, LEVEE_NEVER);
	before = *get(f, 7);
	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	assert_int_equal(f->n_told, 0);
	assert_true(get(f, 7)->flagged);
	assert_int_equal(get(f, 7)->reason, LEVEE_BLOCK_MANUAL);
	assert_int_equal(get(f, 7)->expires_boot_ns, before.expires_boot_ns);
	assert_int_equal(get(f, 7)->last_bin_s, 0);
	assert_true(get(f, 7)->max_zscore == 0.0);
	judge(f, 2000160);
	assert_int_equal(f->n_told, 0);
	assert_int_equal(levee_blocks_count(f->blocks), 2);
}

static void a_manual_block_that_is_over_makes_way_for_a_detected_one(void **state)
{
	struct fixture *f = *state;

	put_manual(f, 7, (2000130 - UP_S) * S);
	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	assert_int_equal(f->told[LEVEE_BLOCK_EXPIRED], 1);
	assert_int_equal(f->told[LEVEE_BLOCK_ADDED], 1);
	assert_int_equal(get(f, 7)->reason, LEVEE_BLOCK_ZSCORE);
}

static void a_block_without_end_never_expires(void **state)
{
	struct fixture *f = *state;
	struct levee_time end_of_time = { .boot_ns = UINT64_MAX, .unix_ns = UINT64_MAX };

	put_manual(f, 7, LEVEE_NEVER);
	assert_true(levee_blocks_next_expiry(f->blocks) == LEVEE_NEVER);
	levee_blocks_expire(f->blocks, &end_of_time, hear, f);
	assert_non_null(get(f, 7));
}

static void putting_adds_and_then_replaces(void **state)
{
	struct fixture *f = *state;

	put_manual(f, 7, 500 * S);
	assert_int_equal(f->told[LEVEE_BLOCK_ADDED], 1);
	put_manual(f, 7, 900 * S);
	assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
	assert_int_equal(f->n_told, 1);
	assert_int_equal(levee_blocks_next_expiry(f->blocks), 900 * S);
	put_manual(f, 7, 300 * S);
	assert_int_equal(levee_blocks_next_expiry(f->blocks), 300 * S);
	assert_int_equal(levee_blocks_count(f->blocks), 1);
}

static void removing_lifts_and_says_if_there_was_nothing(void **state)
{
	struct fixture *f = *state;
	struct levee_prefix prefix = ipv4(7);

	put_manual(f, 7, 500 * S);
	put_manual(f, 8, 600 * S);
	forget_told(f);
	assert_int_equal(levee_blocks_remove(f->blocks, &prefix, hear, f), 0);
	assert_int_equal(f->told[LEVEE_BLOCK_RELEASED], 1);
	assert_int_equal(f->last[LEVEE_BLOCK_RELEASED].prefix.hi, 7);
	assert_int_equal(levee_blocks_next_expiry(f->blocks), 600 * S);
	assert_int_equal(levee_blocks_remove(f->blocks, &prefix, hear, f), -ENOENT);
	assert_null(get(f, 7));
	assert_non_null(get(f, 8));
}

static void an_address_and_a_prefix_around_it_are_two_blocks(void **state)
{
	struct fixture *f = *state;
	struct levee_block net = {
		.prefix = { .hi = 0x0a000000, .family = 4, .length = 8 },
		.reason = LEVEE_BLOCK_MANUAL,
		.expires_boot_ns = LEVEE_NEVER,
	};

	put_manual(f, 0x0a000000, 500 * S);
	assert_int_equal(levee_blocks_put(f->blocks, &net, NULL, NULL), 0);
	assert_int_equal(levee_blocks_count(f->blocks), 2);
	expire(f, UP_S + 500);
	assert_int_equal(levee_blocks_count(f->blocks), 1);
	assert_non_null(levee_blocks_get(f->blocks, &net.prefix));
}

/* ---- a source that goes on while it is blocked ---------------------------------------------- */

struct flow {
	uint32_t addr;
	struct levee_block_traffic traffic;
};

static bool read_flow(void *ctx, const struct levee_block *block,
		      struct levee_block_traffic *traffic)
{
	const struct flow *flow = ctx;

	*traffic = flow->traffic;
	return block->prefix.hi == flow->addr;
}

/* A bin ends at end_s, in which the source of 7 brought the counter to `hits`. */
static void feed(struct fixture *f, uint64_t end_s, uint64_t counted, uint64_t hits)
{
	struct flow flow = { .addr = 7, .traffic = { counted, hits } };

	f->evaluation.limit_packets = 12000;
	levee_blocks_feed(f->blocks, (int64_t)end_s - 60, 1, read_flow, &flow);
	judge(f, end_s);
}

static uint64_t end_s(struct fixture *f, uint32_t addr)
{
	return get(f, addr)->expires_unix_ns / S;
}

static void a_block_goes_on_while_its_source_does(void **state)
{
	struct fixture *f = *state;
	uint64_t hits = 0;

	flag(f, 7, 1999980, 4.5);
	judge(f, 2000040);
	/* For two hours, and then below the threshold. */
	for (uint64_t now_s = 2000100; now_s <= 2000040 + 7200; now_s += 60) {
		feed(f, now_s, 0, hits += 12001);
		assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
		assert_int_equal(f->n_told, 1);
		assert_int_equal(end_s(f, 7), now_s + 3600);
		assert_int_equal(get(f, 7)->expires_boot_ns, (now_s + 3600 - UP_S) * S);
	}
	for (uint64_t now_s = 2000100 + 7200; now_s < 2000040 + 7200 + 3600; now_s += 60) {
		feed(f, now_s, 0, hits += 12000);
		assert_int_equal(f->n_told, 0);
	}
	feed(f, 2000040 + 7200 + 3600, 0, hits += 12000);
	assert_null(get(f, 7));
	assert_int_equal(f->told[LEVEE_BLOCK_EXPIRED], 1);
}

static void what_was_counted_and_what_was_dropped_in_a_bin_add_up(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 1999980, 4.5);
	judge(f, 2000040);
	feed(f, 2000100, 6000, 6000);
	assert_int_equal(end_s(f, 7), 2000040 + 3600);
	feed(f, 2000160, 6001, 12000);
	assert_int_equal(end_s(f, 7), 2000160 + 3600);
	/* A rule that was made anew begins at 0. */
	feed(f, 2000220, 0, 6000);
	assert_int_equal(end_s(f, 7), 2000160 + 3600);
	feed(f, 2000280, 0, 18001);
	assert_int_equal(end_s(f, 7), 2000280 + 3600);
}

static void bins_that_nobody_closed_in_time_share_what_was_dropped(void **state)
{
	struct fixture *f = *state;
	struct flow flow = { .addr = 7, .traffic = { 0, 30000 } };

	f->evaluation.limit_packets = 12000;
	flag(f, 7, 1999980, 4.5);
	judge(f, 2000040);
	levee_blocks_feed(f->blocks, 2000040, 3, read_flow, &flow);
	judge(f, 2000220);
	assert_int_equal(end_s(f, 7), 2000040 + 3600);
	flow.traffic.hits = 30000 + 40000;
	levee_blocks_feed(f->blocks, 2000220, 3, read_flow, &flow);
	judge(f, 2000400);
	assert_int_equal(end_s(f, 7), 2000400 + 3600);
}

static void an_evaluation_in_mid_bin_judges_no_bin_twice(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 1999980, 4.5);
	judge(f, 2000040);
	feed(f, 2000100, 0, 20000);
	judge(f, 2000130);
	assert_int_equal(f->n_told, 0);
	assert_int_equal(get(f, 7)->last_bin_s, 2000040);
	/* The window still flags it for its first bin: the last one stays the last. */
	flag(f, 7, 1999980, 4.5);
	judge(f, 2000160);
	assert_int_equal(get(f, 7)->last_bin_s, 2000040);
	assert_int_equal(end_s(f, 7), 2000100 + 3600);
}

static void a_manual_block_is_not_extended(void **state)
{
	struct fixture *f = *state;

	put_manual(f, 7, (2000500 - UP_S) * S);
	feed(f, 2000100, 0, 1000000);
	assert_int_equal(f->n_told, 0);
	assert_int_equal(get(f, 7)->expires_boot_ns, (2000500 - UP_S) * S);
}

static void a_block_that_is_due_when_its_bin_closes_goes_on_with_the_flood(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 1999980, 4.5);
	judge(f, 2000040);
	feed(f, 2000040 + 3600, 0, 12001);
	assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
	assert_int_equal(end_s(f, 7), 2000040 + 7200);
}

/* ---- repeat offenders ------------------------------------------------------------------------ */

/* Flagged for the bin before now_s. \return the length of its block from the end of that bin */
static uint64_t offend(struct fixture *f, uint64_t now_s)
{
	flag(f, 7, (int64_t)now_s - 60, 4.5);
	judge(f, now_s);
	return end_s(f, 7) - now_s;
}

static void a_repeat_offender_is_blocked_for_longer_up_to_a_limit(void **state)
{
	const uint64_t wanted[] = { 3600, 7200, 14400, 18000, 18000 };
	struct fixture *f = *state;
	uint64_t now_s = 2000040;

	for (uint32_t i = 0; i < 5; i++) {
		assert_int_equal(offend(f, now_s), wanted[i]);
		assert_int_equal(get(f, 7)->repeats, i);
		now_s += wanted[i] + 600;
		expire(f, now_s);
		assert_null(get(f, 7));
	}
}

static void an_offence_is_forgotten_after_the_memory(void **state)
{
	struct fixture *f = *state;

	offend(f, 2000040);
	expire(f, 2000040 + 3600);
	/* A day after its end is still within it, a second later it is not. */
	assert_int_equal(offend(f, 2000040 + 3600 + 86400), 7200);
	expire(f, 2000040 + 3600 + 86400 + 7200);
	assert_int_equal(offend(f, 2000040 + 3600 + 86400 + 7200 + 86401), 3600);
	assert_int_equal(get(f, 7)->repeats, 0);
}

static void each_further_bin_of_a_repeat_offender_counts_with_its_length(void **state)
{
	struct fixture *f = *state;

	offend(f, 2000040);
	expire(f, 2000040 + 3600);
	offend(f, 2010000);
	feed(f, 2010060, 0, 20000);
	assert_int_equal(end_s(f, 7), 2010060 + 7200);
	/* One bin more is no offence more. */
	assert_int_equal(get(f, 7)->repeats, 1);
}

static void a_block_that_was_lifted_by_hand_is_no_offence(void **state)
{
	struct fixture *f = *state;
	struct levee_prefix prefix = ipv4(7);

	offend(f, 2000040);
	assert_int_equal(levee_blocks_remove(f->blocks, &prefix, NULL, NULL), 0);
	assert_int_equal(offend(f, 2010000), 3600);
}

/* ---- limits, and addresses that may be made up ----------------------------------------------- */

static int setup_flows(void **state)
{
	return setup_params(state, (struct levee_blocks_params){
					   .bin_s = 60, .window_s = 3600, .flows = true });
}

static void a_source_that_never_answered_is_spoofable_until_it_does(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	flag(f, 8, 2000040, 4.5);
	f->findings[1].answered = true;
	judge(f, 2000130);
	assert_true(get(f, 7)->spoofable);
	assert_false(get(f, 8)->spoofable);
	flag(f, 7, 2000040, 4.5);
	f->findings[0].answered = true;
	judge(f, 2000160);
	assert_false(get(f, 7)->spoofable);
	assert_int_equal(f->told[LEVEE_BLOCK_UPDATED], 1);
}

static void where_nobody_looks_nobody_is_called_spoofable(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 4.5);
	judge(f, 2000130);
	assert_false(get(f, 7)->spoofable);
}

static void a_soft_finding_limits_and_a_hard_one_drops(void **state)
{
	struct fixture *f = *state;

	flag(f, 7, 2000040, 2.5);
	f->findings[0].soft = true;
	judge(f, 2000130);
	assert_int_equal(get(f, 7)->kind, LEVEE_KIND_LIMIT);
	flag(f, 7, 2000040, 4.5);
	f->findings[0].soft = false;
	judge(f, 2000160);
	assert_int_equal(get(f, 7)->kind, LEVEE_KIND_DROP);
	assert_int_equal(f->told[LEVEE_BLOCK_HARDENED], 1);
	assert_int_equal(f->n_told, 1);
	/* Softer again only with its next block. */
	flag(f, 7, 2000040, 2.5);
	f->findings[0].soft = true;
	judge(f, 2000190);
	assert_int_equal(get(f, 7)->kind, LEVEE_KIND_DROP);
}

static void who_makes_a_limit_a_drop_has_decided(void **state)
{
	struct fixture *f = *state;
	struct levee_finding trip = {
		.source = ipv4(7), .by = LEVEE_BY_TRIP, .max_packets = 50000, .last_bin_s = 2000100
	};
	struct levee_time now = at(2000140);

	flag(f, 7, 2000040, 2.5);
	f->findings[0].soft = true;
	judge(f, 2000130);
	assert_int_equal(get(f, 7)->reason, LEVEE_BLOCK_ZSCORE);
	assert_int_equal(levee_blocks_add(f->blocks, &trip, &now, hear, f), 0);
	assert_int_equal(f->last[LEVEE_BLOCK_HARDENED].reason, LEVEE_BLOCK_TRIP);
	assert_int_equal(get(f, 7)->kind, LEVEE_KIND_DROP);
	/* It drops already: a later finding of another detector changes nothing about that. */
	flag(f, 7, 2000100, 9);
	judge(f, 2000190);
	assert_int_equal(f->told[LEVEE_BLOCK_HARDENED], 0);
	assert_int_equal(get(f, 7)->reason, LEVEE_BLOCK_TRIP);
}

static void a_limit_goes_on_above_the_soft_threshold(void **state)
{
	struct fixture *f = *state;

	f->evaluation.soft_packets = 5000;
	flag(f, 7, 1999980, 2.5);
	f->findings[0].soft = true;
	judge(f, 2000040);
	feed(f, 2000100, 3000, 2000);
	assert_int_equal(end_s(f, 7), 2000040 + 3600);
	feed(f, 2000160, 3000, 4001);
	assert_int_equal(end_s(f, 7), 2000160 + 3600);
}

static void a_limited_source_that_floods_is_dropped(void **state)
{
	struct fixture *f = *state;

	f->evaluation.soft_packets = 5000;
	flag(f, 7, 1999980, 2.5);
	f->findings[0].soft = true;
	judge(f, 2000040);
	feed(f, 2000100, 3000, 9000); /* all of it is not above the threshold */
	assert_int_equal(get(f, 7)->kind, LEVEE_KIND_LIMIT);
	feed(f, 2000160, 3000, 9000 + 9001);
	assert_int_equal(get(f, 7)->kind, LEVEE_KIND_DROP);
	assert_int_equal(f->told[LEVEE_BLOCK_HARDENED], 1);
	assert_int_equal(f->last[LEVEE_BLOCK_HARDENED].max_packets, 12001);
	assert_int_equal(end_s(f, 7), 2000160 + 3600);
}

static void a_manual_block_is_no_offence(void **state)
{
	struct fixture *f = *state;

	put_manual(f, 7, (2000500 - UP_S) * S);
	expire(f, 2000500);
	assert_int_equal(offend(f, 2010000), 3600);
}

static void a_block_from_the_store_is_remembered(void **state)
{
	struct fixture *f = *state;
	struct levee_block stored;

	offend(f, 2000040);
	stored = *get(f, 7);
	levee_blocks_free(&f->blocks);
	f->blocks = levee_blocks_new(&(struct levee_blocks_params){ .bin_s = 60,
								    .window_s = 3600,
								    .repeat_memory_s = 86400,
								    .repeat_factor = 2.0,
								    .max_block_s = 36000 });
	assert_int_equal(levee_blocks_put(f->blocks, &stored, NULL, NULL), 0);
	expire(f, 2003700);
	assert_int_equal(offend(f, 2010000), 7200);
}

static void one_finding_is_added_at_once_and_releases_nobody(void **state)
{
	struct fixture *f = *state;
	struct levee_finding trip = { .source = ipv4(8),
				      .by = LEVEE_BY_TRIP,
				      .max_zscore = 9,
				      .max_packets = 12001,
				      .last_bin_s = 2000040,
				      .last_packets = 12001 };
	struct levee_time now = at(2000050);

	offend(f, 2000040);
	forget_told(f);
	assert_int_equal(levee_blocks_add(f->blocks, &trip, &now, hear, f), 0);
	assert_int_equal(f->told[LEVEE_BLOCK_ADDED], 1);
	assert_int_equal(f->n_told, 1);
	assert_int_equal(get(f, 8)->reason, LEVEE_BLOCK_TRIP);
	assert_string_equal(levee_block_reason_name(get(f, 8)->reason), "fast");
	assert_int_equal(end_s(f, 8), 2000040 + 60 + 3600);
	assert_non_null(get(f, 7));
	assert_int_equal(levee_blocks_next_expiry(f->blocks), get(f, 7)->expires_boot_ns);
	/* A second event of the same bin, on its way while the first was worked. */
	trip.last_packets = trip.max_packets = 12500;
	assert_int_equal(levee_blocks_add(f->blocks, &trip, &now, hear, f), 0);
	assert_int_equal(levee_blocks_count(f->blocks), 2);
	assert_int_equal(get(f, 8)->repeats, 0);
}

struct order {
	struct levee_prefix before;
	size_t n;
};

static void check_order(void *ctx, const struct levee_block *block)
{
	struct order *order = ctx;

	if (order->n++)
		assert_true(levee_prefix_compare(&order->before, &block->prefix) < 0);
	order->before = block->prefix;
}

/* Beside an array that is searched from end to end. */
static void thousands_of_blocks_come_and_go_in_order(void **state)
{
	enum { N = 3000 };
	static uint64_t expires_s[N];
	struct fixture *f = *state;
	uint64_t x = 1;

	memset(expires_s, 0, sizeof(expires_s));
	for (uint64_t now_s = 1; now_s < 200; now_s++) {
		struct levee_time now = { .boot_ns = now_s * S, .unix_ns = now_s * S };
		struct order order = { .n = 0 };
		uint64_t least = LEVEE_NEVER;
		size_t n = 0;

		for (int i = 0; i < 100; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			uint32_t addr = (uint32_t)(x >> 33) % N;

			expires_s[addr] = now_s + 1 + (x >> 50) % 100;
			put_manual(f, addr, expires_s[addr] * S);
		}
		levee_blocks_expire(f->blocks, &now, hear, f);
		for (uint32_t i = 0; i < N; i++) {
			bool there = expires_s[i] > now_s;

			assert_int_equal(get(f, i) != NULL, there);
			n += there;
			if (there && expires_s[i] * S < least)
				least = expires_s[i] * S;
		}
		assert_int_equal(levee_blocks_next_expiry(f->blocks), least);
		levee_blocks_walk(f->blocks, check_order, &order);
		assert_int_equal(order.n, n);
		assert_int_equal(levee_blocks_count(f->blocks), n);
	}
}

#define TEST(name)	  cmocka_unit_test_setup_teardown(name, setup, teardown)
#define RELEASING(name)	  cmocka_unit_test_setup_teardown(name, setup_releasing, teardown)
#define REMEMBERING(name) cmocka_unit_test_setup_teardown(name, setup_remembering, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_table_is_empty),
		TEST(a_finding_is_blocked_until_a_window_after_its_last_anomalous_bin),
		TEST(the_same_finding_again_changes_nothing_and_tells_nothing),
		TEST(the_end_does_not_wander_with_the_reading_of_the_clocks),
		TEST(another_anomalous_bin_moves_the_end),
		TEST(an_earlier_last_bin_does_not_shorten_a_block),
		TEST(a_block_is_extended_even_if_names_of_bins_went_back),
		TEST(a_score_that_changed_is_told_and_leaves_the_end),
		TEST(a_block_outlasts_its_flag_until_it_expires),
		RELEASING(where_asked_for_a_block_is_released_with_its_flag),
		RELEASING(what_is_over_is_told_as_expired_and_not_as_released),
		TEST(a_finding_whose_block_would_be_over_adds_none),
		TEST(a_block_that_is_due_but_flagged_anew_goes_on),
		TEST(steps_of_the_wall_clock_do_not_touch_a_block),
		RELEASING(judging_leaves_manual_blocks_alone),
		TEST(a_manual_block_that_is_over_makes_way_for_a_detected_one),
		TEST(a_block_without_end_never_expires),
		TEST(putting_adds_and_then_replaces),
		TEST(removing_lifts_and_says_if_there_was_nothing),
		TEST(an_address_and_a_prefix_around_it_are_two_blocks),
		TEST(a_block_goes_on_while_its_source_does),
		TEST(what_was_counted_and_what_was_dropped_in_a_bin_add_up),
		TEST(bins_that_nobody_closed_in_time_share_what_was_dropped),
		TEST(an_evaluation_in_mid_bin_judges_no_bin_twice),
		TEST(a_manual_block_is_not_extended),
		TEST(a_block_that_is_due_when_its_bin_closes_goes_on_with_the_flood),
		REMEMBERING(a_repeat_offender_is_blocked_for_longer_up_to_a_limit),
		REMEMBERING(an_offence_is_forgotten_after_the_memory),
		REMEMBERING(each_further_bin_of_a_repeat_offender_counts_with_its_length),
		REMEMBERING(a_block_that_was_lifted_by_hand_is_no_offence),
		cmocka_unit_test_setup_teardown(
			a_source_that_never_answered_is_spoofable_until_it_does, setup_flows,
			teardown),
		TEST(where_nobody_looks_nobody_is_called_spoofable),
		TEST(a_soft_finding_limits_and_a_hard_one_drops),
		TEST(who_makes_a_limit_a_drop_has_decided),
		TEST(a_limit_goes_on_above_the_soft_threshold),
		TEST(a_limited_source_that_floods_is_dropped),
		REMEMBERING(a_manual_block_is_no_offence),
		REMEMBERING(a_block_from_the_store_is_remembered),
		REMEMBERING(one_finding_is_added_at_once_and_releases_nobody),
		TEST(thousands_of_blocks_come_and_go_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
