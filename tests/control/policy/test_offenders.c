/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/policy/offenders.h"

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static void note(struct levee_offenders *offenders, uint32_t addr, uint32_t blocks, int64_t end_ns)
{
	struct levee_offender offender = { .prefix = ipv4(addr),
					   .blocks = blocks,
					   .end_boot_ns = end_ns };

	assert_int_equal(levee_offenders_note(offenders, &offender), 0);
}

static uint32_t recall(const struct levee_offenders *offenders, uint32_t addr, uint64_t now_ns)
{
	struct levee_prefix prefix = ipv4(addr);

	return levee_offenders_recall(offenders, &prefix, now_ns, 1000);
}

static void memory_begins_with_the_end_of_the_last_block(void **state)
{
	struct levee_offenders *offenders = levee_offenders_new(100);

	(void)state;
	assert_int_equal(recall(offenders, 7, 0), 0);
	note(offenders, 7, 1, 500);
	assert_int_equal(recall(offenders, 7, 0), 1);
	assert_int_equal(recall(offenders, 7, 1500), 1);
	assert_int_equal(recall(offenders, 7, 1501), 0);
	note(offenders, 7, 2, 2000);
	assert_int_equal(recall(offenders, 7, 3000), 2);
	assert_int_equal(levee_offenders_count(offenders), 1);
	levee_offenders_free(&offenders);
	assert_null(offenders);
	levee_offenders_free(&offenders);
}

static void a_block_that_ended_before_this_boot_is_remembered(void **state)
{
	struct levee_offenders *offenders = levee_offenders_new(100);

	(void)state;
	note(offenders, 7, 3, -400);
	assert_int_equal(recall(offenders, 7, 600), 3);
	assert_int_equal(recall(offenders, 7, 601), 0);
	note(offenders, 8, 1, INT64_MAX);
	assert_int_equal(recall(offenders, 8, UINT64_MAX - 5), 0);
	assert_int_equal(recall(offenders, 8, INT64_MAX), 1);
	levee_offenders_free(&offenders);
}

static void pruning_forgets_what_recall_would_not_give(void **state)
{
	struct levee_offenders *offenders = levee_offenders_new(100);

	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		note(offenders, i, 1, 10 * i);
	levee_offenders_prune(offenders, 1250, 1000);
	assert_int_equal(levee_offenders_count(offenders), 25);
	assert_int_equal(recall(offenders, 24, 250), 0);
	assert_int_equal(recall(offenders, 25, 250), 1);
	levee_offenders_forget(offenders,
			       &(struct levee_prefix){ .hi = 25, .family = 4, .length = 32 });
	assert_int_equal(recall(offenders, 25, 250), 0);
	assert_int_equal(recall(offenders, 49, 250), 1);
	levee_offenders_free(&offenders);
}

static void a_full_memory_forgets_the_oldest(void **state)
{
	struct levee_offenders *offenders = levee_offenders_new(1000);
	size_t newest = 0;

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		/* In no order of time, but so that late ones are later. */
		note(offenders, i, 1, (int64_t)i + (i * 7919) % 100);
		assert_true(levee_offenders_count(offenders) <= 1000);
	}
	for (uint32_t i = 99500; i < 100000; i++)
		newest += recall(offenders, i, 0);
	assert_int_equal(newest, 500);
	assert_int_equal(recall(offenders, 90000, 0), 0);
	levee_offenders_free(&offenders);
}

static void many_that_ended_at_once_are_bounded_too(void **state)
{
	struct levee_offenders *offenders = levee_offenders_new(64);

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		note(offenders, i, 1, 5);
		assert_true(levee_offenders_count(offenders) <= 64);
		assert_int_equal(recall(offenders, i, 0), 1);
	}
	levee_offenders_free(&offenders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_begins_with_the_end_of_the_last_block),
		cmocka_unit_test(a_block_that_ended_before_this_boot_is_remembered),
		cmocka_unit_test(pruning_forgets_what_recall_would_not_give),
		cmocka_unit_test(a_full_memory_forgets_the_oldest),
		cmocka_unit_test(many_that_ended_at_once_are_bounded_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
