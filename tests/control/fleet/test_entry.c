/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/fleet/entry.h"

#define NOW 1000000ULL

static uint64_t random_state = 20261126;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Few different values, so that ties are common. */
static struct levee_fleet_entry random_entry(void)
{
	struct levee_fleet_entry e = { .prefix = { 0xcb007101, 0, 4, 32 },
				       .lifted = next_random() % 3 == 0,
				       .manual = next_random() % 2 == 0,
				       .kind = next_random() % 2 ? LEVEE_KIND_DROP
								 : LEVEE_KIND_LIMIT,
				       .spoofable = next_random() % 2 == 0,
				       .expires_ms = NOW - 2 + next_random() % 6 };

	if (e.manual && next_random() % 4 == 0)
		e.expires_ms = 0;
	e.order_ms = e.manual ? NOW - next_random() % 4 : e.expires_ms;
	return e;
}

static bool same(const struct levee_fleet_entry *a, const struct levee_fleet_entry *b)
{
	return a->lifted == b->lifted && a->manual == b->manual && a->order_ms == b->order_ms &&
	       (a->lifted || (a->kind == b->kind && a->spoofable == b->spoofable));
}

static void entries_read_back(void **state)
{
	struct levee_fleet_entry e = { .prefix = { 0x20010db800010002, 0, 6, 64 },
				       .manual = true,
				       .order_ms = 1764000000123,
				       .expires_ms = 0,
				       .created_ms = 1764000000123,
				       .max_zscore = 4.25,
				       .max_packets = 1ULL << 48,
				       .reason = LEVEE_BLOCK_MANUAL,
				       .kind = LEVEE_KIND_LIMIT,
				       .measure = LEVEE_SYNS,
				       .max_value = 4711,
				       .repeats = 3,
				       .spoofable = true,
				       .node = "i-0123",
				       .note = "ticket 42, by hand" },
				 back;
	char text[LEVEE_FLEET_ENTRY_TEXT], prefix[LEVEE_PREFIX_TEXT], key[LEVEE_FLEET_KEY_TEXT];

	(void)state;
	levee_prefix_format(&e.prefix, prefix);
	assert_int_equal(levee_fleet_entry_parse(&back, prefix, levee_fleet_entry_format(&e, text)),
			 0);
	assert_int_equal(levee_prefix_compare(&e.prefix, &back.prefix), 0);
	assert_true(back.manual && !back.lifted && back.order_ms == e.order_ms &&
		    back.max_packets == e.max_packets);
	assert_float_equal(back.max_zscore, 4.25, 0);
	assert_true(back.reason == LEVEE_BLOCK_MANUAL && back.kind == LEVEE_KIND_LIMIT &&
		    back.measure == LEVEE_SYNS && back.max_value == 4711 && back.repeats == 3 &&
		    back.spoofable);
	assert_string_equal(back.node, "i-0123");
	assert_string_equal(back.note, "ticket 42, by hand");
	/* About the allow list: by another name, by hand and without end. */
	assert_string_equal(levee_fleet_entry_key(&e, key), prefix);
	e.allow = true;
	assert_true(levee_fleet_entry_key(&e, key)[0] == '+' && !strcmp(key + 1, prefix));
	assert_int_equal(levee_fleet_entry_parse(&back, key, levee_fleet_entry_format(&e, text)),
			 0);
	assert_true(back.allow && !levee_prefix_compare(&e.prefix, &back.prefix));
	assert_int_equal(levee_fleet_entry_parse(&back, "++203.0.113.1", text), -EINVAL);
	e.expires_ms = 1;
	assert_int_equal(levee_fleet_entry_parse(&back, key, levee_fleet_entry_format(&e, text)),
			 -EINVAL);
	e.expires_ms = 0;
	e.allow = false;
	levee_fleet_entry_format(&e, text);
	e.note[0] = '\0';
	assert_int_equal(levee_fleet_entry_parse(&back, prefix, levee_fleet_entry_format(&e, text)),
			 0);
	assert_string_equal(back.note, "");
}

static void what_is_no_entry_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"B",
		"X 1 1 1 3 1 1 1 1 2 0 1 0 n ",
		"B 2 1 1 3 1 1 1 1 2 0 1 0 n ",
		"B 0 1 0 3 1 1 1 1 1 0 1 0 n ", /* a detector's block without an end */
		"B 1 1 1 3 1 1 nan 1 2 0 1 0 n ",
		"B 1 1 1 3 1 1 inf 1 2 0 1 0 n ",
		"B 1 1 1 3 1 -5 1 1 2 0 1 0 n ",
		"B 1 9999999999999999999 1 3 1 1 1 1 2 0 1 0 n ",
		"B 1 1 1 9 1 1 1 1 2 0 1 0 n ", /* the weight of a lift */
		"L 1 1 1 3 1 1 1 1 2 0 1 0 n ", /* and of a block */
		"B 1 1 1 3 1 1 1 1 7 0 1 0 n ", /* no such reason */
		"B 1 1 1 3 1 1 1 1 2 5 1 0 n ", /* no such measure */
		"B 1 1 1 3 1 1 1 1 2 0 1 0",
		"B 1 1 1 1 1 1 1 n ", /* schema 1 */
	};
	struct levee_fleet_entry e;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(levee_fleet_entry_parse(&e, "203.0.113.1", bad[i]), -EINVAL);
	assert_int_equal(levee_fleet_entry_parse(&e, "nobody", "B 1 1 1 3 1 1 1 1 2 0 1 0 n "),
			 -EINVAL);
	assert_int_equal(levee_fleet_entry_parse(&e, "203.0.113.1", "B 1 1 1 3 1 1 1 1 2 0 1 0 n "),
			 0);
}

static void by_hand_wins_over_a_detector(void **state)
{
	struct levee_fleet_entry hand = { .manual = true, .order_ms = 1 };
	struct levee_fleet_entry found = { .order_ms = NOW + 9, .expires_ms = NOW + 9 };

	(void)state;
	assert_true(levee_fleet_entry_wins(&hand, &found, NOW));
	assert_false(levee_fleet_entry_wins(&found, &hand, NOW));
}

static void a_lift_keeps_detectors_out_until_it_ends(void **state)
{
	struct levee_fleet_entry lift = {
		.lifted = true, .manual = true, .order_ms = 1, .expires_ms = NOW + 5
	};
	struct levee_fleet_entry found = { .order_ms = NOW + 9, .expires_ms = NOW + 9 };

	(void)state;
	assert_false(levee_fleet_entry_wins(&found, &lift, NOW));
	assert_true(levee_fleet_entry_wins(&found, &lift, NOW + 5));
}

static void the_later_command_and_the_later_end_win(void **state)
{
	struct levee_fleet_entry a = { .manual = true, .order_ms = 5, .expires_ms = NOW + 1 };
	struct levee_fleet_entry b = { .manual = true, .order_ms = 6, .expires_ms = NOW + 1 };
	struct levee_fleet_entry c = { .order_ms = NOW + 1, .expires_ms = NOW + 1 };
	struct levee_fleet_entry d = { .order_ms = NOW + 2, .expires_ms = NOW + 2 };

	(void)state;
	assert_true(levee_fleet_entry_wins(&b, &a, NOW));
	assert_false(levee_fleet_entry_wins(&a, &b, NOW));
	assert_true(levee_fleet_entry_wins(&d, &c, NOW));
	assert_false(levee_fleet_entry_wins(&c, &d, NOW));
	assert_false(levee_fleet_entry_wins(&a, &a, NOW));
}

/* The same bin, looked at again with more in it. */
static void a_drop_wins_over_a_limit_of_the_same_end(void **state)
{
	struct levee_fleet_entry limit = { .order_ms = NOW + 9,
					   .expires_ms = NOW + 9,
					   .kind = LEVEE_KIND_LIMIT };
	struct levee_fleet_entry drop = { .order_ms = NOW + 9, .expires_ms = NOW + 9 };
	struct levee_fleet_entry made_up = drop;

	(void)state;
	made_up.spoofable = true;
	assert_true(levee_fleet_entry_wins(&drop, &limit, NOW));
	assert_false(levee_fleet_entry_wins(&limit, &drop, NOW));
	assert_true(levee_fleet_entry_wins(&drop, &made_up, NOW));
	assert_true(levee_fleet_entry_wins(&made_up, &limit, NOW));
	limit.expires_ms = limit.order_ms = NOW + 10;
	assert_true(levee_fleet_entry_wins(&limit, &drop, NOW));
}

/* Any order of arrival, and any repetition, ends with the same entry. */
static void every_order_of_arrival_ends_with_the_same(void **state)
{
	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct levee_fleet_entry e[4], forward, backward;
		bool has = false;

		for (int i = 0; i < 4; i++)
			e[i] = random_entry();
		for (int i = 0; i < 4; i++) {
			if (levee_fleet_entry_over(&e[i], NOW))
				continue;
			if (levee_fleet_entry_wins(&e[i], has ? &forward : NULL, NOW))
				forward = e[i];
			has = true;
		}
		if (!has)
			continue;
		has = false;
		for (int i = 11; i >= 0; i--) {
			const struct levee_fleet_entry *x = &e[i % 4];

			if (levee_fleet_entry_over(x, NOW))
				continue;
			if (levee_fleet_entry_wins(x, has ? &backward : NULL, NOW))
				backward = *x;
			has = true;
		}
		assert_true(same(&forward, &backward));
	}
}

static void a_block_goes_there_and_back(void **state)
{
	struct levee_time there = { 500 * LEVEE_NS_PER_S, 2000 * LEVEE_NS_PER_S };
	struct levee_time here = { 9000 * LEVEE_NS_PER_S, 2001 * LEVEE_NS_PER_S };
	struct levee_block block = { .prefix = { 0xcb007101, 0, 4, 32 },
				     .reason = LEVEE_BLOCK_ZSCORE,
				     .created_unix_ns = there.unix_ns,
				     .expires_boot_ns = 560 * LEVEE_NS_PER_S,
				     .expires_unix_ns = 2060 * LEVEE_NS_PER_S,
				     .last_bin_s = 1980,
				     .max_zscore = 5,
				     .max_packets = 20000,
				     .kind = LEVEE_KIND_LIMIT,
				     .measure = LEVEE_BYTES,
				     .max_value = 1 << 30,
				     .repeats = 2,
				     .spoofable = true },
			   back;
	struct levee_fleet_entry e;

	(void)state;
	levee_fleet_entry_from_block(&e, &block, "a");
	assert_false(e.manual);
	assert_true(e.order_ms == e.expires_ms && e.expires_ms == 2060000);
	levee_fleet_entry_to_block(&e, &back, &here);
	assert_true(back.kind == LEVEE_KIND_LIMIT && back.repeats == 2 && back.spoofable &&
		    back.measure == LEVEE_BYTES && back.max_value == 1 << 30);
	assert_true(back.expires_boot_ns == 9059 * LEVEE_NS_PER_S);
	assert_true(back.expires_unix_ns == block.expires_unix_ns);
	assert_int_equal(back.reason, LEVEE_BLOCK_ZSCORE);
	block.reason = LEVEE_BLOCK_MANUAL;
	block.expires_boot_ns = block.expires_unix_ns = LEVEE_NEVER;
	levee_fleet_entry_from_block(&e, &block, "a");
	assert_true(e.manual && !e.expires_ms && e.order_ms == 2000000);
	levee_fleet_entry_to_block(&e, &back, &here);
	assert_true(back.expires_boot_ns == LEVEE_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_read_back),
		cmocka_unit_test(what_is_no_entry_is_refused),
		cmocka_unit_test(by_hand_wins_over_a_detector),
		cmocka_unit_test(a_lift_keeps_detectors_out_until_it_ends),
		cmocka_unit_test(the_later_command_and_the_later_end_win),
		cmocka_unit_test(a_drop_wins_over_a_limit_of_the_same_end),
		cmocka_unit_test(every_order_of_arrival_ends_with_the_same),
		cmocka_unit_test(a_block_goes_there_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
