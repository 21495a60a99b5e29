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

#include "control/detect/histogram.h"

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Values of all sizes: the number of bits is random, too. */
static uint64_t any_value(uint64_t *seed)
{
	return next(seed) >> (16 + next(seed) % 48);
}

static void buckets_are_in_order_and_near_to_their_values(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL, before = 0;

	(void)state;
	for (uint64_t v = 0; v < 5000; v++) {
		assert_true(levee_bucket_find(v) >= before);
		assert_true(levee_bucket_find(v) - before <= 1);
		before = levee_bucket_find(v);
	}
	for (int i = 0; i < 200000; i++) {
		uint64_t v = any_value(&seed);
		double error = fabs(levee_bucket_value(levee_bucket_find(v)) - (double)v);

		assert_true(error <= (double)v * LEVEE_BUCKET_ERROR);
		assert_true(levee_bucket_find(v) <= levee_bucket_find(v + 1));
	}
	assert_int_equal(levee_bucket_find(1ULL << 48), LEVEE_BUCKETS - 1);
	assert_int_equal(levee_bucket_find(UINT64_MAX), LEVEE_BUCKETS - 1);
	assert_int_equal(levee_bucket_find((1ULL << 48) - 1), LEVEE_BUCKETS - 2);
	assert_true(levee_bucket_value(LEVEE_BUCKETS - 1) == 0x1p48);
}

static int by_value(const void *a, const void *b)
{
	const double *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static double exact_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), by_value);
	return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* Median and MAD by sorting, on sets of many shapes. */
static void medians_are_within_the_error(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1dULL;
	struct levee_buckets *b = malloc(sizeof(*b));
	double values[400], mad, median, wanted;

	(void)state;
	for (int run = 0; run < 2000; run++) {
		size_t n = 1 + next(&seed) % 400;
		uint64_t spread = 1 + any_value(&seed), base = run % 3 ? any_value(&seed) : 0;

		memset(b, 0, sizeof(*b));
		for (size_t i = 0; i < n; i++) {
			uint64_t v = base + next(&seed) % spread;

			if (v > 1ULL << 48)
				v = 1ULL << 48;
			values[i] = (double)v;
			levee_buckets_add(b, v, 1);
		}
		assert_int_equal(b->n, n);
		wanted = exact_median(values, n);
		median = levee_buckets_median(b);
		assert_true(fabs(median - wanted) <= 0.01 * wanted);
		assert_int_equal(levee_buckets_deviation(b, median, &mad), 0);
		for (size_t i = 0; i < n; i++)
			values[i] = fabs(values[i] - wanted);
		/* Every distance is off by at most the error of both of its ends. */
		assert_true(fabs(mad - exact_median(values, n)) <=
			    2.1 * LEVEE_BUCKET_ERROR * ((double)base + (double)spread));
	}
	free(b);
}

static void small_values_are_exact(void **state)
{
	struct levee_buckets *b = calloc(1, sizeof(*b));
	double mad;

	(void)state;
	assert_true(levee_buckets_median(b) == 0);
	for (uint64_t v = 1; v <= 6; v++)
		levee_buckets_add(b, v * v, 1); /* 1 4 9 16 25 36 */
	assert_true(levee_buckets_median(b) == 12.5);
	assert_int_equal(levee_buckets_deviation(b, 12.5, &mad), 0);
	assert_true(mad == (8.5 + 11.5) / 2); /* 3.5 3.5 8.5 11.5 12.5 23.5 */
	free(b);
}

static void merging_is_counting_together(void **state)
{
	uint64_t seed = 77;
	struct levee_buckets *all = calloc(1, sizeof(*all)), *part = calloc(1, sizeof(*part));
	struct levee_histogram sum = { 0 }, whole;

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct levee_histogram h;

		memset(part, 0, sizeof(*part));
		for (int j = 0; j < 100; j++) {
			uint64_t v = any_value(&seed);

			levee_buckets_add(part, v, 1 + (uint64_t)j % 3);
			levee_buckets_add(all, v, 1 + (uint64_t)j % 3);
		}
		assert_int_equal(levee_buckets_pack(part, &h), 0);
		assert_int_equal(levee_histogram_merge(&sum, &h), 0);
		levee_histogram_clear(&h);
	}
	assert_int_equal(levee_buckets_pack(all, &whole), 0);
	assert_int_equal(sum.n, whole.n);
	for (size_t i = 0; i < sum.n; i++) {
		assert_int_equal(sum.cells[i].bucket, whole.cells[i].bucket);
		assert_int_equal(sum.cells[i].count, whole.cells[i].count);
	}
	memset(part, 0, sizeof(*part));
	levee_buckets_take(part, &sum);
	assert_memory_equal(part, all, sizeof(*part));
	levee_histogram_clear(&sum);
	levee_histogram_clear(&whole);
	free(all);
	free(part);
}

static void counts_that_wrap_are_refused(void **state)
{
	struct levee_histogram_cell a = { 5, UINT64_MAX }, b = { 5, 1 };
	struct levee_histogram into = { 1, calloc(1, sizeof(a)) }, more = { 1, &b };

	(void)state;
	into.cells[0] = a;
	assert_int_equal(levee_histogram_merge(&into, &more), -ERANGE);
	assert_int_equal(into.n, 1);
	assert_true(into.cells[0].count == UINT64_MAX);
	levee_histogram_clear(&into);
}

static void bytes_read_back_and_damage_is_refused(void **state)
{
	uint64_t seed = 99;
	struct levee_buckets *b = calloc(1, sizeof(*b));
	struct levee_histogram h, back;
	uint8_t *bytes;
	size_t size;

	(void)state;
	levee_buckets_add(b, 0, 1);
	levee_buckets_add(b, 1ULL << 48, UINT64_MAX / 2);
	for (int i = 0; i < 3000; i++)
		levee_buckets_add(b, any_value(&seed), next(&seed) % 1000 + 1);
	assert_int_equal(levee_buckets_pack(b, &h), 0);
	bytes = levee_histogram_write(&h, &size);
	assert_int_equal(levee_histogram_read(&back, bytes, size), 0);
	assert_int_equal(back.n, h.n);
	for (size_t i = 0; i < h.n; i++) {
		assert_int_equal(back.cells[i].bucket, h.cells[i].bucket);
		assert_int_equal(back.cells[i].count, h.cells[i].count);
	}
	levee_histogram_clear(&back);
	assert_int_equal(levee_histogram_read(&back, bytes, size - 1), -EINVAL);
	assert_null(back.cells);
	/* Whatever bytes there are, what is read keeps the promises of a histogram. */
	for (int run = 0; run < 3000; run++) {
		uint8_t noise[64];
		size_t n = next(&seed) % sizeof(noise);

		for (size_t i = 0; i < n; i++)
			noise[i] = (uint8_t)(next(&seed) % (run % 2 ? 256 : 128));
		if (levee_histogram_read(&back, noise, n))
			continue;
		for (size_t i = 0; i < back.n; i++) {
			assert_true(back.cells[i].bucket < LEVEE_BUCKETS);
			assert_true(back.cells[i].count > 0);
			assert_true(!i || back.cells[i - 1].bucket < back.cells[i].bucket);
		}
		levee_histogram_clear(&back);
	}
	assert_int_equal(levee_histogram_read(&back, NULL, 0), 0);
	assert_int_equal(back.n, 0);
	levee_histogram_clear(&h);
	free(bytes);
	free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_are_in_order_and_near_to_their_values),
		cmocka_unit_test(medians_are_within_the_error),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(merging_is_counting_together),
		cmocka_unit_test(counts_that_wrap_are_refused),
		cmocka_unit_test(bytes_read_back_and_damage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
