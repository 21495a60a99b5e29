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

#include "control/detect/census.h"

static int setup(void **state)
{
	*state = levee_census_new();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	struct levee_census *census = *state;

	levee_census_free(&census);
	assert_null(census);
	levee_census_free(&census);
	return 0;
}

static void see(struct levee_census *census, uint32_t addr, int64_t bin_s)
{
	struct levee_prefix source = { .hi = addr, .family = 4, .length = 32 };

	assert_int_equal(levee_census_see(census, &source, bin_s), 0);
}

static void nobody_was_seen_at_first(void **state)
{
	assert_int_equal(levee_census_count(*state, 0), 0);
}

static void a_source_counts_once_however_often_it_is_seen(void **state)
{
	for (int64_t bin_s = 0; bin_s < 600; bin_s += 60)
		for (int i = 0; i < 10; i++)
			see(*state, 7, bin_s);
	see(*state, 8, 540);
	assert_int_equal(levee_census_count(*state, 0), 2);
}

static void a_source_counts_by_its_last_bin(void **state)
{
	see(*state, 1, 0);
	see(*state, 2, 0);
	see(*state, 3, 60);
	see(*state, 1, 120);
	assert_int_equal(levee_census_count(*state, 0), 3);
	assert_int_equal(levee_census_count(*state, 1), 2);
	assert_int_equal(levee_census_count(*state, 61), 1);
	assert_int_equal(levee_census_count(*state, 121), 0);
}

static void a_forgotten_source_comes_anew(void **state)
{
	see(*state, 1, 0);
	assert_int_equal(levee_census_count(*state, 60), 0);
	see(*state, 1, 60);
	see(*state, 2, 60);
	assert_int_equal(levee_census_count(*state, 60), 2);
}

static void a_bin_out_of_order_takes_nobody_back(void **state)
{
	see(*state, 1, 120);
	see(*state, 1, 60);
	see(*state, 2, 60);
	assert_int_equal(levee_census_count(*state, 61), 1);
}

static void families_and_lengths_are_different_sources(void **state)
{
	const struct levee_prefix sources[] = {
		{ .hi = 1, .family = 4, .length = 32 },
		{ .hi = 1, .family = 6, .length = 64 },
		{ .hi = 1, .family = 6, .length = 128 },
	};

	for (int i = 0; i < 3; i++)
		assert_int_equal(levee_census_see(*state, &sources[i], 0), 0);
	assert_int_equal(levee_census_count(*state, 0), 3);
}

/* Against an array that holds the last bin of each source, through many sweeps. */
static void a_long_day_of_coming_and_going_is_counted_exactly(void **state)
{
	enum { SOURCES = 20000, WINDOW_S = 600 };
	static int64_t last[SOURCES];
	uint64_t x = 42;

	memset(last, -1, sizeof(last));
	for (int64_t bin_s = 0; bin_s < 12000; bin_s += 60) {
		size_t should = 0;
		uint32_t base = (uint32_t)(bin_s * 7 % SOURCES);

		for (int i = 0; i < 800; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			uint32_t addr = (base + (uint32_t)(x >> 40) % 2000) % SOURCES;

			see(*state, addr, bin_s);
			last[addr] = bin_s;
		}
		for (int i = 0; i < SOURCES; i++)
			should += last[i] >= 0 && last[i] >= bin_s - WINDOW_S;
		assert_int_equal(levee_census_count(*state, bin_s - WINDOW_S), should);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_was_seen_at_first),
		TEST(a_source_counts_once_however_often_it_is_seen),
		TEST(a_source_counts_by_its_last_bin),
		TEST(a_forgotten_source_comes_anew),
		TEST(a_bin_out_of_order_takes_nobody_back),
		TEST(families_and_lengths_are_different_sources),
		TEST(a_long_day_of_coming_and_going_is_counted_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
