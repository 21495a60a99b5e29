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

#include "control/detect/moments.h"

static struct levee_moments moments_of(const uint64_t *values, size_t n)
{
	struct levee_moments m = { 0 };

	for (size_t i = 0; i < n; i++)
		assert_int_equal(levee_moments_add(&m, values[i]), 0);
	return m;
}

/* n values of `value` in one step. */
static struct levee_moments repeated(uint64_t value, uint64_t n)
{
	return (struct levee_moments){ .n = n,
				       .sum = (levee_u128)value * n,
				       .sq = (levee_u128)value * value * n };
}

static bool same(const struct levee_moments *a, const struct levee_moments *b)
{
	return a->n == b->n && a->sum == b->sum && a->sq == b->sq;
}

static void no_values_have_no_average_and_no_deviation(void **state)
{
	struct levee_moments m = { 0 };

	(void)state;
	assert_true(levee_moments_mean(&m) == 0.0);
	assert_true(levee_moments_stddev(&m) == 0.0);
	assert_true(levee_moments_zscore(&m, 5) == 0.0);
	assert_false(levee_moments_above(&m, 5, 0.0));
}

static void a_known_sample_has_the_textbook_moments(void **state)
{
	const uint64_t values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
	struct levee_moments m = moments_of(values, 8);

	(void)state;
	assert_true(levee_moments_mean(&m) == 5.0);
	assert_true(levee_moments_stddev(&m) == 2.0);
	assert_true(levee_moments_zscore(&m, 9) == 2.0);
	assert_true(levee_moments_zscore(&m, 2) == -1.5);
}

static void equal_values_deviate_by_exactly_nothing_at_any_size(void **state)
{
	const uint64_t sizes[] = { 1, 3, 12345, (1ULL << 40) + 1, LEVEE_VALUE_MAX };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct levee_moments m = repeated(sizes[i], 1000003);

		assert_true(levee_moments_stddev(&m) == 0.0);
		assert_true(levee_moments_zscore(&m, LEVEE_VALUE_MAX) == 0.0);
		assert_false(levee_moments_above(&m, LEVEE_VALUE_MAX, 0.0));
		assert_true(levee_moments_mean(&m) == (double)sizes[i]);
	}
}

static void one_packet_more_is_a_deviation_even_beside_a_million_values_of_2_to_the_40(void **state)
{
	struct levee_moments m = repeated(1ULL << 40, 999999);

	(void)state;
	assert_int_equal(levee_moments_add(&m, (1ULL << 40) + 1), 0);
	/* sqrt(p (1 - p)) with p = 1e-6 */
	assert_true(fabs(levee_moments_stddev(&m) / sqrt(1e-6 * (1 - 1e-6)) - 1) < 1e-12);
	assert_true(levee_moments_above(&m, (1ULL << 40) + 1, 999.0));
	assert_false(levee_moments_above(&m, 1ULL << 40, 0.0));
}

static void an_attacker_among_ten_values_stands_at_exactly_3_and_is_not_above(void **state)
{
	const uint64_t attackers[] = { 8, 1000, 13001, 1ULL << 40, LEVEE_VALUE_MAX };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct levee_moments m = repeated(7, 9);

		assert_int_equal(levee_moments_add(&m, attackers[i]), 0);
		assert_true(levee_moments_zscore(&m, attackers[i]) == 3.0);
		assert_false(levee_moments_above(&m, attackers[i], 3.0));
		assert_true(levee_moments_above(&m, attackers[i], 2.999999));
		assert_true(levee_moments_above(&m, attackers[i] + 1, 3.0));
	}
}

static void an_attacker_among_eleven_values_is_above(void **state)
{
	struct levee_moments m = repeated(7, 10);

	(void)state;
	assert_int_equal(levee_moments_add(&m, 13001), 0);
	assert_true(levee_moments_above(&m, 13001, 3.0));
	assert_false(levee_moments_above(&m, 13001, 3.17));
}

static void values_at_and_below_the_average_are_above_nothing(void **state)
{
	const uint64_t values[] = { 1, 3 };
	struct levee_moments m = moments_of(values, 2);

	(void)state;
	assert_false(levee_moments_above(&m, 1, 0.0));
	assert_false(levee_moments_above(&m, 2, 0.0));
	assert_true(levee_moments_above(&m, 3, 0.0));
}

static void a_threshold_out_of_range_counts_as_the_nearer_end(void **state)
{
	const uint64_t values[] = { 1, 3 };
	struct levee_moments m = moments_of(values, 2), wide = repeated(1, 4000000);

	(void)state;
	assert_true(levee_moments_above(&m, 3, -5.0));
	assert_false(levee_moments_above(&m, 2, -5.0));
	assert_false(levee_moments_above(&m, 3, (double)NAN));
	assert_int_equal(levee_moments_add(&wide, 1000), 0);
	assert_true(levee_moments_above(&wide, 1000, 1e300));
}

/* The greatest moments that fit: n * S2 has 192 bits, and times 10^18 it has 252. */
static void the_largest_moments_do_not_overflow(void **state)
{
	struct levee_moments m = repeated(LEVEE_VALUE_MAX, (1ULL << 32) - 2);
	long double n = 0x1p32L - 1;
	long double p = 1 / n;

	(void)state;
	assert_int_equal(levee_moments_add(&m, 0), 0);
	assert_true(fabsl((long double)levee_moments_stddev(&m) / (0x1p48L * sqrtl(p * (1 - p))) -
			  1) < 1e-15L);
	assert_true(fabsl((long double)levee_moments_zscore(&m, 0) / -sqrtl(n - 1) - 1) < 1e-15L);
	assert_true(levee_moments_above(&m, UINT64_MAX, 1000.0));
	assert_false(levee_moments_above(&m, LEVEE_VALUE_MAX, 1000.0));
}

/* The other side of the comparison: the distance has 128 bits, times 10^12 its square has 296. */
static void the_largest_distance_does_not_overflow(void **state)
{
	struct levee_moments m = { .n = UINT64_MAX, .sum = 1, .sq = 1 };

	(void)state;
	assert_true(levee_moments_above(&m, UINT64_MAX, 1000.0));
	assert_true(levee_moments_zscore(&m, UINT64_MAX) > 1e28);
}

static void a_value_above_the_limit_is_refused_and_changes_nothing(void **state)
{
	struct levee_moments m = repeated(5, 3), before = m;

	(void)state;
	assert_int_equal(levee_moments_add(&m, LEVEE_VALUE_MAX + 1), -ERANGE);
	assert_true(same(&m, &before));
	assert_int_equal(levee_moments_add(&m, LEVEE_VALUE_MAX), 0);
}

static void sums_that_would_wrap_are_refused_and_change_nothing(void **state)
{
	const levee_u128 most = ~(levee_u128)0;
	const struct levee_moments full[] = {
		{ .n = UINT64_MAX },
		{ .sum = most },
		{ .sq = most },
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct levee_moments m = full[i], one = repeated(1, 1);

		assert_int_equal(levee_moments_add(&m, 1), -ERANGE);
		assert_int_equal(levee_moments_merge(&m, &one), -ERANGE);
		assert_true(same(&m, &full[i]));
	}
}

static void merging_parts_gives_the_moments_of_the_whole(void **state)
{
	const uint64_t values[] = { 1, 1ULL << 47, 3, 99999, LEVEE_VALUE_MAX, 12000, 7 };

	(void)state;
	for (size_t cut = 0; cut <= 7; cut++) {
		struct levee_moments m = moments_of(values, cut);
		struct levee_moments rest = moments_of(values + cut, 7 - cut);
		struct levee_moments whole = moments_of(values, 7);

		assert_int_equal(levee_moments_merge(&m, &rest), 0);
		assert_true(same(&m, &whole));
	}
}

static void moments_that_no_values_have_flag_nothing(void **state)
{
	struct levee_moments m = { .n = 10, .sum = 1000, .sq = 5 };

	(void)state;
	assert_false(levee_moments_possible(&m));
	assert_true(levee_moments_stddev(&m) == 0.0);
	assert_false(levee_moments_above(&m, LEVEE_VALUE_MAX, 3.0));
	m = (struct levee_moments){ .sum = 1, .sq = 1 };
	assert_false(levee_moments_possible(&m));
	m = repeated(LEVEE_VALUE_MAX, 1ULL << 31);
	assert_true(levee_moments_possible(&m));
}

/* One packet in 2^48 moves z by 1e-14. */
static void the_decision_sees_one_packet_where_a_double_does_not(void **state)
{
	struct levee_moments m = repeated(0, 9);
	const uint64_t x = LEVEE_VALUE_MAX - 1;

	(void)state;
	assert_int_equal(levee_moments_add(&m, x), 0);
	assert_false(levee_moments_above(&m, x, 3.0));
	assert_true(levee_moments_above(&m, x + 1, 3.0));
	assert_true(levee_moments_zscore(&m, x + 1) - 3.0 < 1e-13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_values_have_no_average_and_no_deviation),
		cmocka_unit_test(a_known_sample_has_the_textbook_moments),
		cmocka_unit_test(equal_values_deviate_by_exactly_nothing_at_any_size),
		cmocka_unit_test(
			one_packet_more_is_a_deviation_even_beside_a_million_values_of_2_to_the_40),
		cmocka_unit_test(an_attacker_among_ten_values_stands_at_exactly_3_and_is_not_above),
		cmocka_unit_test(an_attacker_among_eleven_values_is_above),
		cmocka_unit_test(values_at_and_below_the_average_are_above_nothing),
		cmocka_unit_test(a_threshold_out_of_range_counts_as_the_nearer_end),
		cmocka_unit_test(the_largest_moments_do_not_overflow),
		cmocka_unit_test(the_largest_distance_does_not_overflow),
		cmocka_unit_test(a_value_above_the_limit_is_refused_and_changes_nothing),
		cmocka_unit_test(sums_that_would_wrap_are_refused_and_change_nothing),
		cmocka_unit_test(merging_parts_gives_the_moments_of_the_whole),
		cmocka_unit_test(moments_that_no_values_have_flag_nothing),
		cmocka_unit_test(the_decision_sees_one_packet_where_a_double_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
