/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy/blocks.h"
#include "control/policy/drill.h"
#include "tests/support/board.h"

#define S	LEVEE_NS_PER_S
#define START_S 6000 /* a bin of 60 s starts there */

static struct levee_drill drill_of(uint64_t rate, uint64_t after_s, uint64_t for_s)
{
	return (struct levee_drill){ .source = test_prefix("198.51.100.7"),
				     .rate = rate,
				     .begin_ns = (START_S + after_s) * S,
				     .end_ns = (START_S + after_s + for_s) * S };
}

static void a_bin_holds_what_was_sent_in_it(void **state)
{
	struct levee_drill d = drill_of(1000, 30, 100); /* from 30 s to 130 s */
	uint64_t late = (START_S + 1000) * S;

	(void)state;
	assert_int_equal(levee_drill_packets(&d, START_S - 60, 60, late), 0);
	assert_int_equal(levee_drill_packets(&d, START_S, 60, late), 30000);
	assert_int_equal(levee_drill_packets(&d, START_S + 60, 60, late), 60000);
	assert_int_equal(levee_drill_packets(&d, START_S + 120, 60, late), 10000);
	assert_int_equal(levee_drill_packets(&d, START_S + 180, 60, late), 0);
	/* The running bin holds what was sent so far. */
	assert_int_equal(levee_drill_packets(&d, START_S, 60, (START_S + 31) * S), 1000);
	assert_int_equal(levee_drill_packets(&d, START_S, 60, START_S * S), 0);
}

static void the_largest_rate_over_the_longest_time_does_not_wrap(void **state)
{
	struct levee_drill d = drill_of(1000000000, 0, 86400);

	(void)state;
	assert_int_equal(levee_drill_packets(&d, START_S, 3600, UINT64_MAX / 2), 3600000000000ULL);
}

/* 100 sources with 10 packets each: n = 100, mean 10, deviation 0. */
static struct levee_evaluation quiet(int64_t now_s)
{
	struct levee_evaluation e = { .now_s = now_s };

	for (int i = 0; i < 100; i++)
		levee_moments_add(&e.moments, 10);
	return e;
}

static void it_is_judged_as_the_zscore_of_all_values_says(void **state)
{
	const struct levee_detect_params params = { .min_zscore = 3, .min_packets = 12000 };
	struct levee_drill d = drill_of(1000, 0, 60);
	struct levee_evaluation e = quiet(START_S + 60);
	struct levee_moments all = e.moments;
	struct levee_finding finding;
	uint64_t largest;
	double z;

	(void)state;
	d.push = true;
	assert_true(levee_drill_judge(&d, &e, &params, 0, 60, &largest, &z, &finding));
	levee_moments_add(&all, 60000);
	assert_int_equal(largest, 60000);
	assert_true(z == levee_moments_zscore(&all, 60000));
	assert_true(finding.max_zscore == z);
	assert_int_equal(finding.last_bin_s, START_S);
	assert_int_equal(finding.marks, LEVEE_BLOCK_DRILL | LEVEE_BLOCK_PUSH);
	/* The evaluation, which real sources are judged by, is as it was. */
	assert_int_equal(e.moments.n, 100);
	assert_true(e.moments.sum == 1000);
}

static void both_limits_are_strict(void **state)
{
	struct levee_detect_params params = { .min_zscore = 3, .min_packets = 60000 };
	struct levee_drill d = drill_of(1000, 0, 60);
	struct levee_evaluation e = quiet(START_S + 60);
	struct levee_finding finding;
	uint64_t largest;
	double z;

	(void)state;
	assert_false(levee_drill_judge(&d, &e, &params, 0, 60, &largest, &z, &finding));
	assert_int_equal(largest, 60000);
	params.min_packets = 59999;
	assert_true(levee_drill_judge(&d, &e, &params, 0, 60, &largest, &z, &finding));
	/* One value among 101 has z = 10: sqrt(n - 1), whatever its size. */
	params.min_zscore = 10;
	assert_false(levee_drill_judge(&d, &e, &params, 0, 60, &largest, &z, &finding));
}

static void among_few_values_nothing_is_abnormal(void **state)
{
	const struct levee_detect_params params = { .min_zscore = 3, .min_packets = 10 };
	struct levee_evaluation e = { .now_s = START_S + 60 };
	struct levee_drill d = drill_of(1000, 0, 60);
	struct levee_finding finding;
	uint64_t largest;
	double z;

	(void)state;
	assert_false(levee_drill_judge(&d, &e, &params, 0, 60, &largest, &z, &finding));
	assert_true(z < 3);
}

static void documentation_ranges_are_those_of_the_rfcs(void **state)
{
	static const struct {
		const char *prefix;
		bool is;
	} cases[] = { { "192.0.2.1", true },	   { "192.0.3.0", false },
		      { "198.51.100.255", true },  { "198.51.101.0", false },
		      { "203.0.113.0/24", true },  { "203.0.112.0/23", false },
		      { "2001:db8:1::/64", true }, { "2001:db9::/64", false },
		      { "3fff:fff::/64", true },   { "8.8.8.8", false },
		      { "0.0.0.0/0", false } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct levee_prefix p = test_prefix(cases[i].prefix);

		if (levee_drill_is_documentation(&p) != cases[i].is)
			fail_msg("%s", cases[i].prefix);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bin_holds_what_was_sent_in_it),
		cmocka_unit_test(the_largest_rate_over_the_longest_time_does_not_wrap),
		cmocka_unit_test(it_is_judged_as_the_zscore_of_all_values_says),
		cmocka_unit_test(both_limits_are_strict),
		cmocka_unit_test(among_few_values_nothing_is_abnormal),
		cmocka_unit_test(documentation_ranges_are_those_of_the_rfcs),
	};

	return cmocka_run_group_tests_name("drill", tests, NULL, NULL);
}
