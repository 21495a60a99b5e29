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

#include "control/detect/bin.h"

#define ROOM 1024

static int setup(void **state)
{
	*state = levee_bin_new(ROOM);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct levee_bin *bin = *state;

	levee_bin_free(&bin);
	assert_null(bin);
	levee_bin_free(&bin);
	return 0;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static struct levee_prefix ipv6(uint64_t hi)
{
	return (struct levee_prefix){ .hi = hi, .family = 6, .length = 64 };
}

static int add(struct levee_bin *bin, struct levee_prefix source, uint64_t packets, uint64_t bytes)
{
	return levee_bin_add(bin, &source, packets, bytes);
}

static uint64_t get(const struct levee_bin *bin, struct levee_prefix source)
{
	return levee_bin_get(bin, &source);
}

static struct levee_moments moments_of(const struct levee_bin *bin)
{
	struct levee_moments m;

	assert_int_equal(levee_bin_moments(bin, &m), 0);
	return m;
}

struct seen {
	size_t n;
	uint64_t packets;
	uint64_t bytes;
	uint64_t least;
};

static void see(void *ctx, const struct levee_bin_entry *entry)
{
	struct seen *seen = ctx;

	if (!seen->n || entry->packets < seen->least)
		seen->least = entry->packets;
	seen->n++;
	seen->packets += entry->packets;
	seen->bytes += entry->bytes;
}

static struct seen walk(const struct levee_bin *bin, uint64_t above)
{
	struct seen seen = { 0 };

	levee_bin_walk(bin, above, see, &seen);
	return seen;
}

static void an_empty_bin_holds_nothing(void **state)
{
	struct levee_moments m = moments_of(*state);

	assert_int_equal(levee_bin_sources(*state), 0);
	assert_int_equal(levee_bin_folded(*state), 0);
	assert_true(!m.n && !m.sum && !m.sq);
	assert_int_equal(get(*state, ipv4(1)), 0);
	assert_int_equal(walk(*state, 0).n, 0);
}

static void parts_of_a_source_add_up(void **state)
{
	struct seen seen;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(add(*state, ipv4(7), 3, 200), 0);
		assert_int_equal(add(*state, ipv6(7), 1, 100), 0);
	}
	seen = walk(*state, 0);
	assert_int_equal(levee_bin_sources(*state), 2);
	assert_int_equal(get(*state, ipv4(7)), 300);
	assert_int_equal(get(*state, ipv6(7)), 100);
	assert_int_equal(seen.packets, 400);
	assert_int_equal(seen.bytes, 30000);
}

static void no_packets_are_no_value(void **state)
{
	assert_int_equal(add(*state, ipv4(7), 0, 100), 0);
	assert_int_equal(levee_bin_sources(*state), 0);
	assert_int_equal(moments_of(*state).n, 0);
}

static void a_walk_leaves_out_what_is_not_above(void **state)
{
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(add(*state, ipv4(i), i, 0), 0);
	assert_int_equal(walk(*state, 90).n, 10);
	assert_int_equal(walk(*state, 90).least, 91);
	assert_int_equal(walk(*state, 100).n, 0);
	assert_int_equal(walk(*state, 0).n, 100);
}

static void a_source_may_reach_the_limit_but_not_pass_it(void **state)
{
	assert_int_equal(add(*state, ipv4(1), LEVEE_VALUE_MAX + 1, 0), -ERANGE);
	assert_int_equal(levee_bin_sources(*state), 0);
	assert_int_equal(add(*state, ipv4(1), LEVEE_VALUE_MAX - 1, 10), 0);
	assert_int_equal(add(*state, ipv4(1), 2, 10), -ERANGE);
	assert_int_equal(add(*state, ipv4(1), 1, 10), 0);
	assert_int_equal(add(*state, ipv4(1), 1, 10), -ERANGE);
	assert_int_equal(add(*state, ipv4(2), LEVEE_VALUE_MAX, 10), 0);
	assert_int_equal(get(*state, ipv4(1)), LEVEE_VALUE_MAX);
	assert_int_equal(walk(*state, 0).bytes, 30);
}

/* Additions wait a little before they are carried out: the limit must see them all the same. */
static void the_limit_counts_additions_that_are_still_pending(void **state)
{
	for (int i = 0; i < 8; i++)
		assert_int_equal(add(*state, ipv4(1), LEVEE_VALUE_MAX / 8, 0), 0);
	assert_int_equal(add(*state, ipv4(1), 1, 0), -ERANGE);
	assert_int_equal(add(*state, ipv4(2), 1, 0), 0);
	assert_int_equal(get(*state, ipv4(1)), LEVEE_VALUE_MAX);
}

static void bytes_that_would_wrap_are_refused(void **state)
{
	assert_int_equal(add(*state, ipv4(1), 1, INT64_MAX), 0);
	assert_int_equal(add(*state, ipv4(1), 1, 1), -ERANGE);
	assert_int_equal(get(*state, ipv4(1)), 1);
	assert_int_equal(add(*state, ipv4(1), 1, 0), 0);
}

static void packets_of_a_whole_bin_stay_below_2_to_the_64(void **state)
{
	struct levee_bin *bin = levee_bin_new(1 << 17);
	uint32_t n = 0;

	(void)state;
	while (!add(bin, ipv4(n), LEVEE_VALUE_MAX, 0))
		n++;
	assert_int_equal(n, 65535);
	assert_true(moments_of(bin).sum == (levee_u128)65535 << 48);
	assert_true(moments_of(bin).sq == (levee_u128)65535 << 96);
	levee_bin_free(&bin);
}

static void moments_are_those_of_the_sums_and_not_of_the_parts(void **state)
{
	struct levee_moments m;
	levee_u128 sq = 0;

	for (uint32_t i = 0; i < 500; i++)
		assert_int_equal(add(*state, ipv4(i % 10), i, 0), 0);
	m = moments_of(*state);
	assert_int_equal(m.n, 10);
	assert_true(m.sum == 500 * 499 / 2);
	for (uint32_t s = 0; s < 10; s++) {
		uint64_t sum = 0;

		for (uint32_t i = s; i < 500; i += 10)
			sum += i;
		sq += (levee_u128)sum * sum;
	}
	assert_true(m.sq == sq);
}

static void at_the_limit_the_light_half_gives_up_its_names_and_no_packet_is_lost(void **state)
{
	struct levee_moments m;
	levee_u128 sum = 1, sq = 1;

	/* Heavy ones first, last and in between. */
	for (uint32_t i = 0; i < ROOM; i++)
		assert_int_equal(add(*state, ipv4(i), i % 2 ? 100000 + i : 1 + i % 7, 10), 0);
	assert_int_equal(levee_bin_folded(*state), 0);
	assert_int_equal(add(*state, ipv4(ROOM), 1, 10), 0);
	assert_int_equal(levee_bin_folded(*state), ROOM / 2);
	assert_int_equal(levee_bin_sources(*state), ROOM / 2 + 1);
	assert_int_equal(walk(*state, 100000).n, ROOM / 2);
	m = moments_of(*state);
	assert_int_equal(m.n, ROOM + 1);
	for (uint32_t i = 0; i < ROOM; i++) {
		uint64_t v = i % 2 ? 100000 + i : 1 + i % 7;

		sum += v;
		sq += v * v;
	}
	assert_true(m.sum == sum && m.sq == sq);
}

static void among_equals_only_half_are_folded(void **state)
{
	for (uint32_t i = 0; i <= ROOM; i++)
		assert_int_equal(add(*state, ipv4(i), 1, 0), 0);
	assert_int_equal(levee_bin_sources(*state), ROOM / 2 + 1);
	assert_int_equal(levee_bin_folded(*state), ROOM / 2);
	assert_int_equal(moments_of(*state).n, ROOM + 1);
	/* The first to come are the first to go. */
	assert_int_equal(get(*state, ipv4(0)), 0);
	assert_int_equal(get(*state, ipv4(ROOM - 1)), 1);
}

/* The cutoff is found by digits of the count; try counts of every length. */
static void the_cutoff_is_the_median_whatever_the_size_of_the_counts(void **state)
{
	for (unsigned int shift = 0; shift <= 38; shift++) {
		levee_bin_reset(*state);
		for (uint32_t i = 0; i < ROOM; i++)
			assert_int_equal(
				add(*state, ipv4(i), (uint64_t)(i * 37 % ROOM + 1) << shift, 0), 0);
		assert_int_equal(add(*state, ipv4(ROOM), 1, 0), 0);
		/* 1 is the newcomer. */
		assert_int_equal(walk(*state, 1).least, (uint64_t)(ROOM / 2 + 1) << shift);
		assert_int_equal(walk(*state, 1).n, ROOM / 2);
	}
}

static void heavy_sources_survive_a_spoofed_flood(void **state)
{
	enum { FLOOD = 200000, HEAVY = 20 };
	struct levee_moments m;

	for (uint32_t i = 0; i < FLOOD; i++) {
		assert_int_equal(add(*state, ipv4(0x01000000 + i), 1, 60), 0);
		if (i % 100 == 0)
			for (uint32_t h = 0; h < HEAVY; h++)
				assert_int_equal(add(*state, ipv6(h), 10, 600), 0);
	}
	for (uint32_t h = 0; h < HEAVY; h++)
		assert_int_equal(get(*state, ipv6(h)), FLOOD / 100 * 10);
	m = moments_of(*state);
	assert_int_equal(m.n, FLOOD + HEAVY);
	assert_true(m.sum == FLOOD + HEAVY * FLOOD / 10);
	assert_int_equal(levee_bin_folded(*state) + levee_bin_sources(*state), FLOOD + HEAVY);
	assert_true(levee_bin_sources(*state) <= ROOM);
}

static void values_folded_in_the_data_path_keep_their_weight(void **state)
{
	struct levee_fold fold = { 0 };
	struct levee_moments m;

	levee_fold_add(&fold, 3, 180);
	levee_fold_add(&fold, 0xffffffffffffULL, 60);
	assert_int_equal(add(*state, ipv4(1), 5, 0), 0);
	assert_int_equal(levee_bin_add_fold(*state, &fold), 0);
	m = moments_of(*state);
	assert_int_equal(m.n, 3);
	assert_true(m.sum == 8 + 0xffffffffffffULL);
	assert_true(m.sq == 34 + (levee_u128)0xffffffffffffULL * 0xffffffffffffULL);
	assert_int_equal(levee_bin_folded(*state), 2);
	assert_int_equal(levee_bin_sources(*state), 1);
}

static void a_fold_that_no_values_have_is_refused(void **state)
{
	const struct levee_fold bad[] = {
		{ .n = 0, .packets = 1, .sq_lo = 1 },
		{ .n = 2, .packets = 10, .sq_lo = 49 },
		{ .n = UINT64_MAX, .packets = 1, .sq_lo = 1 },
		{ .n = 1, .packets = 1, .sq_hi = UINT64_MAX },
	};

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(levee_bin_add_fold(*state, &bad[i]), -ERANGE);
	assert_int_equal(moments_of(*state).n, 0);
}

static void reset_forgets_everything(void **state)
{
	struct levee_fold fold = { .n = 1, .packets = 1, .sq_lo = 1 };

	for (uint32_t i = 0; i < 2 * ROOM; i++)
		assert_int_equal(add(*state, ipv4(i), i + 1, 1), 0);
	assert_int_equal(levee_bin_add_fold(*state, &fold), 0);
	assert_int_equal(add(*state, ipv4(5), LEVEE_VALUE_MAX, 0), 0);
	levee_bin_reset(*state);
	an_empty_bin_holds_nothing(state);
	assert_int_equal(add(*state, ipv4(5), LEVEE_VALUE_MAX, INT64_MAX), 0);
}

static void additions_pending_at_a_reset_are_forgotten_too(void **state)
{
	assert_int_equal(add(*state, ipv4(1), 1, 1), 0);
	levee_bin_reset(*state);
	an_empty_bin_holds_nothing(state);
}

static void the_parts_of_a_split_add_up_to_the_whole(void **state)
{
	enum { PARTS = 7, N = 300 };
	uint64_t packets[N] = { 0 }, bytes = 0;
	struct levee_fold fold = { .n = 3, .packets = 6, .sq_lo = 14 };
	uint64_t folded = 0;

	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(add(*state, ipv4(i), 1 + i * i % 1000, 100 + i), 0);
	assert_int_equal(levee_bin_add_fold(*state, &fold), 0);
	for (unsigned int part = 0; part < PARTS; part++) {
		struct levee_bin *share = levee_bin_split(*state, PARTS, part);

		assert_non_null(share);
		for (uint32_t i = 0; i < N; i++)
			packets[i] += get(share, ipv4(i));
		bytes += walk(share, 0).bytes;
		folded += levee_bin_folded(share);
		assert_int_equal(levee_bin_folded(share), part == PARTS - 1 ? 3 : 0);
		levee_bin_free(&share);
	}
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(packets[i], get(*state, ipv4(i)));
	assert_int_equal(bytes, walk(*state, 0).bytes);
	assert_int_equal(folded, 3);
}

static void a_split_divides_evenly_and_leaves_zero_parts_out(void **state)
{
	struct levee_bin *first, *last;

	assert_int_equal(add(*state, ipv4(1), 11, 1100), 0);
	assert_int_equal(add(*state, ipv4(2), 2, 200), 0);
	first = levee_bin_split(*state, 3, 0);
	last = levee_bin_split(*state, 3, 2);
	assert_int_equal(get(first, ipv4(1)), 3);
	assert_int_equal(get(last, ipv4(1)), 5);
	assert_int_equal(levee_bin_sources(first), 1);
	assert_int_equal(get(last, ipv4(2)), 2);
	levee_bin_free(&first);
	levee_bin_free(&last);
}

static void a_split_into_one_is_a_copy(void **state)
{
	struct levee_bin *copy;
	struct levee_moments a, b;

	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(add(*state, ipv4(i), i + 1, i), 0);
	copy = levee_bin_split(*state, 1, 0);
	a = moments_of(*state);
	b = moments_of(copy);
	assert_true(a.n == b.n && a.sum == b.sum && a.sq == b.sq);
	levee_bin_free(&copy);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_bin_holds_nothing),
		TEST(parts_of_a_source_add_up),
		TEST(no_packets_are_no_value),
		TEST(a_walk_leaves_out_what_is_not_above),
		TEST(a_source_may_reach_the_limit_but_not_pass_it),
		TEST(the_limit_counts_additions_that_are_still_pending),
		TEST(bytes_that_would_wrap_are_refused),
		TEST(packets_of_a_whole_bin_stay_below_2_to_the_64),
		TEST(moments_are_those_of_the_sums_and_not_of_the_parts),
		TEST(at_the_limit_the_light_half_gives_up_its_names_and_no_packet_is_lost),
		TEST(among_equals_only_half_are_folded),
		TEST(the_cutoff_is_the_median_whatever_the_size_of_the_counts),
		TEST(heavy_sources_survive_a_spoofed_flood),
		TEST(values_folded_in_the_data_path_keep_their_weight),
		TEST(a_fold_that_no_values_have_is_refused),
		TEST(reset_forgets_everything),
		TEST(additions_pending_at_a_reset_are_forgotten_too),
		TEST(the_parts_of_a_split_add_up_to_the_whole),
		TEST(a_split_divides_evenly_and_leaves_zero_parts_out),
		TEST(a_split_into_one_is_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
