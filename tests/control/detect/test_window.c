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

#include "control/detect/window.h"

static int setup(void **state)
{
	*state = levee_window_new(60, 3600);
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct levee_window *window = *state;

	levee_window_free(&window);
	assert_null(window);
	levee_window_free(&window);
	return 0;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

/* A record of n sources from `first` on, with 100, 101, ... packets; above 101 is a candidate. */
static struct levee_bin_record record_of(int64_t start_s, uint32_t first, uint32_t n)
{
	struct levee_bin *bin = levee_bin_new(1024);
	struct levee_bin_record record;

	for (uint32_t i = 0; i < n; i++) {
		struct levee_prefix source = ipv4(first + i);

		assert_int_equal(levee_bin_add(bin, &source, 100 + i, 1000 + i), 0);
	}
	assert_int_equal(levee_bin_record_make(&record, bin, start_s, 101), 0);
	levee_bin_free(&bin);
	return record;
}

static void push(struct levee_window *window, struct levee_bin_record record)
{
	assert_int_equal(levee_window_push(window, &record), 0);
	assert_null(record.candidates);
	assert_int_equal(record.n_candidates, 0);
}

static void a_record_keeps_moments_and_the_sources_above_the_minimum(void **state)
{
	struct levee_bin_record record = record_of(120, 1, 4);

	(void)state;
	assert_int_equal(record.start_s, 120);
	assert_int_equal(record.moments.n, 4);
	assert_true(record.moments.sum == 406);
	assert_int_equal(record.min_packets, 101);
	assert_int_equal(record.flags, 0);
	assert_int_equal(record.n_candidates, 2);
	assert_int_equal(record.candidates[0].source.hi, 3);
	assert_int_equal(record.candidates[0].packets, 102);
	assert_int_equal(record.candidates[0].bytes, 1002);
	levee_bin_record_clear(&record);
	assert_null(record.candidates);
	levee_bin_record_clear(&record);
}

static void candidates_are_sorted_by_source(void **state)
{
	struct levee_bin *bin = levee_bin_new(1024);
	struct levee_bin_record record;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct levee_prefix source = ipv4(i * 2654435761U);

		if (i % 3 == 0)
			source = (struct levee_prefix){ .hi = i, .family = 6, .length = 64 };
		assert_int_equal(levee_bin_add(bin, &source, 1, 0), 0);
	}
	assert_int_equal(levee_bin_record_make(&record, bin, 0, 0), 0);
	assert_int_equal(record.n_candidates, 1000);
	for (size_t i = 1; i < record.n_candidates; i++)
		assert_true(levee_prefix_compare(&record.candidates[i - 1].source,
						 &record.candidates[i].source) < 0);
	levee_bin_record_clear(&record);
	levee_bin_free(&bin);
}

static void a_record_of_a_bin_with_folded_values_says_so(void **state)
{
	struct levee_fold fold = { .n = 1, .packets = 4, .sq_lo = 16 };
	struct levee_bin *bin = levee_bin_new(1024);
	struct levee_bin_record record;

	(void)state;
	assert_int_equal(levee_bin_add_fold(bin, &fold), 0);
	assert_int_equal(levee_bin_record_make(&record, bin, 0, 0), 0);
	assert_int_equal(record.flags, LEVEE_BIN_FOLDED);
	assert_int_equal(record.moments.n, 1);
	levee_bin_record_clear(&record);
	levee_bin_free(&bin);
}

static void a_window_begins_60_complete_bins_before_the_running_one(void **state)
{
	assert_int_equal(levee_window_begin(*state, 7200), 3600);
	assert_int_equal(levee_window_begin(*state, 7201), 3600);
	assert_int_equal(levee_window_begin(*state, 7259), 3600);
	assert_int_equal(levee_window_begin(*state, 7260), 3660);
	assert_int_equal(levee_window_bin_s(*state), 60);
	assert_int_equal(levee_window_window_s(*state), 3600);
}

static void bins_are_held_in_order_of_time_whatever_order_they_come_in(void **state)
{
	static const int64_t starts[] = { 600, 60, 6000, 120, 0, 540 };

	for (size_t i = 0; i < 6; i++)
		push(*state, record_of(starts[i], 1, 4));
	assert_int_equal(levee_window_bins(*state), 6);
	for (size_t i = 1; i < 6; i++)
		assert_true(levee_window_bin(*state, i - 1)->start_s <
			    levee_window_bin(*state, i)->start_s);
}

static void advancing_forgets_what_the_window_does_not_hold(void **state)
{
	for (int64_t i = 0; i < 100; i++)
		push(*state, record_of(i * 60, 1, 4));
	levee_window_advance(*state, 6000);
	assert_int_equal(levee_window_bins(*state), 60);
	assert_int_equal(levee_window_bin(*state, 0)->start_s, 2400);
	levee_window_advance(*state, 6059);
	assert_int_equal(levee_window_bins(*state), 60);
	levee_window_advance(*state, 6060);
	assert_int_equal(levee_window_bins(*state), 59);
	levee_window_advance(*state, 1000000);
	assert_int_equal(levee_window_bins(*state), 0);
	levee_window_advance(*state, 2000000);
}

static void two_parts_of_a_bin_become_one(void **state)
{
	const struct levee_bin_record *bin;
	struct levee_bin_record first = record_of(600, 1, 6), second = record_of(600, 3, 6);

	second.flags = LEVEE_BIN_ESTIMATED;
	second.min_packets = 50;
	push(*state, first);
	push(*state, second);
	assert_int_equal(levee_window_bins(*state), 1);
	bin = levee_window_bin(*state, 0);
	assert_int_equal(bin->moments.n, 12);
	assert_true(bin->moments.sum == 2 * 615);
	assert_int_equal(bin->flags, LEVEE_BIN_ESTIMATED);
	/* What holds for the candidates of both. */
	assert_int_equal(bin->min_packets, 50);
	/* 3 to 6 in the first part, 5 to 8 in the second; 5 and 6 in both. */
	assert_int_equal(bin->n_candidates, 6);
	assert_int_equal(bin->candidates[0].source.hi, 3);
	assert_int_equal(bin->candidates[0].packets, 102);
	assert_int_equal(bin->candidates[2].source.hi, 5);
	assert_int_equal(bin->candidates[2].packets, 104 + 102);
	assert_int_equal(bin->candidates[2].bytes, 1004 + 1002);
	assert_int_equal(bin->candidates[5].source.hi, 8);
	assert_int_equal(bin->candidates[5].packets, 105);
}

static void merging_into_or_from_a_part_without_candidates_works(void **state)
{
	push(*state, record_of(600, 1, 1));
	push(*state, record_of(600, 1, 4));
	push(*state, record_of(600, 1, 1));
	assert_int_equal(levee_window_bin(*state, 0)->n_candidates, 2);
	push(*state, record_of(660, 1, 1));
	push(*state, record_of(660, 1, 1));
	assert_int_equal(levee_window_bin(*state, 1)->n_candidates, 0);
	assert_int_equal(levee_window_bin(*state, 1)->moments.n, 2);
}

static void a_record_that_cannot_be_merged_stays_with_the_caller(void **state)
{
	struct levee_bin_record full = record_of(600, 1, 4), more = record_of(600, 1, 4);

	full.moments = (struct levee_moments){ .n = UINT64_MAX };
	push(*state, full);
	assert_int_equal(levee_window_push(*state, &more), -ERANGE);
	assert_int_equal(more.n_candidates, 2);
	assert_int_equal(levee_window_bin(*state, 0)->n_candidates, 2);
	assert_int_equal(levee_window_bin(*state, 0)->candidates[0].packets, 102);
	levee_bin_record_clear(&more);
}

static void candidates_whose_sum_would_wrap_are_refused(void **state)
{
	struct levee_bin_record full = record_of(600, 1, 4), more = record_of(600, 1, 4);

	full.candidates[1].bytes = UINT64_MAX;
	push(*state, full);
	assert_int_equal(levee_window_push(*state, &more), -ERANGE);
	assert_int_equal(levee_window_bin(*state, 0)->candidates[0].packets, 102);
	levee_bin_record_clear(&more);
}

static void a_record_out_of_step_or_with_impossible_moments_is_refused(void **state)
{
	struct levee_bin_record record = record_of(601, 1, 4);

	assert_int_equal(levee_window_push(*state, &record), -ERANGE);
	record.start_s = 600;
	record.moments.sq = 1;
	assert_int_equal(levee_window_push(*state, &record), -ERANGE);
	assert_int_equal(levee_window_bins(*state), 0);
	levee_bin_record_clear(&record);
}

static void candidates_in_disorder_are_put_in_order(void **state)
{
	struct levee_bin_record record = record_of(600, 1, 6);
	struct levee_candidate first = record.candidates[0];

	record.candidates[0] = record.candidates[3];
	record.candidates[3] = first;
	push(*state, record);
	assert_int_equal(levee_window_bin(*state, 0)->candidates[0].source.hi, 3);
	assert_int_equal(levee_window_bin(*state, 0)->candidates[3].source.hi, 6);
}

static void an_hour_of_quiet_bins_takes_kilobytes(void **state)
{
	for (int64_t i = 0; i < 61; i++)
		push(*state, record_of(i * 60, 1, 6));
	assert_true(levee_window_memory(*state) > 61 * sizeof(struct levee_bin_record));
	assert_true(levee_window_memory(*state) < 32768);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_keeps_moments_and_the_sources_above_the_minimum),
		TEST(candidates_are_sorted_by_source),
		TEST(a_record_of_a_bin_with_folded_values_says_so),
		TEST(a_window_begins_60_complete_bins_before_the_running_one),
		TEST(bins_are_held_in_order_of_time_whatever_order_they_come_in),
		TEST(advancing_forgets_what_the_window_does_not_hold),
		TEST(two_parts_of_a_bin_become_one),
		TEST(merging_into_or_from_a_part_without_candidates_works),
		TEST(a_record_that_cannot_be_merged_stays_with_the_caller),
		TEST(candidates_whose_sum_would_wrap_are_refused),
		TEST(a_record_out_of_step_or_with_impossible_moments_is_refused),
		TEST(candidates_in_disorder_are_put_in_order),
		TEST(an_hour_of_quiet_bins_takes_kilobytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
