/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy/operator.h"
#include "tests/support/board.h"

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct levee_operator_list));
	return 0;
}

static int teardown(void **state)
{
	levee_operator_clear(*state);
	free(*state);
	return 0;
}

static struct levee_operator_entry entry_of(const char *prefix, uint64_t end_ns)
{
	return (struct levee_operator_entry){ .kind = LEVEE_OPERATOR_EXEMPT,
					      .prefix = test_prefix(prefix),
					      .expires_boot_ns = end_ns };
}

static void put(struct levee_operator_list *list, const char *prefix, uint64_t end_ns)
{
	struct levee_operator_entry entry = entry_of(prefix, end_ns);

	assert_int_equal(levee_operator_put(list, &entry), 0);
}

static void the_latest_word_on_a_prefix_counts(void **state)
{
	struct levee_operator_list *list = *state;
	struct levee_prefix p = test_prefix("10.0.0.0/8");

	put(list, "10.0.0.0/8", 100);
	put(list, "10.0.0.0/8", 200);
	assert_int_equal(list->n, 1);
	assert_int_equal(levee_operator_get(list, &p)->expires_boot_ns, 200);
	assert_int_equal(levee_operator_next_expiry(list), 200);
}

static void what_covers_a_source_is_found_unless_it_has_ended(void **state)
{
	struct levee_operator_list *list = *state;
	struct levee_prefix in = test_prefix("10.1.2.3"), out = test_prefix("11.1.2.3");
	struct levee_prefix in6 = test_prefix("2001:db8:0:1::/64");

	assert_null(levee_operator_covering(list, &in, 0));
	put(list, "10.0.0.0/8", 100);
	put(list, "10.1.2.3", 300);
	put(list, "2001:db8::/32", LEVEE_NEVER);
	assert_int_equal(levee_operator_covering(list, &in, 99)->prefix.length, 8);
	/* The wide one has ended, the narrow one has not. */
	assert_int_equal(levee_operator_covering(list, &in, 100)->prefix.length, 32);
	assert_null(levee_operator_covering(list, &in, 300));
	assert_null(levee_operator_covering(list, &out, 0));
	assert_non_null(levee_operator_covering(list, &in6, UINT64_MAX - 1));
}

static void entries_end_one_after_the_other(void **state)
{
	struct levee_operator_list *list = *state;
	struct levee_operator_entry gone;

	assert_int_equal(levee_operator_next_expiry(list), LEVEE_NEVER);
	assert_false(levee_operator_expire(list, 1000, &gone));
	put(list, "10.0.0.3", 300);
	put(list, "10.0.0.1", 100);
	put(list, "10.0.0.9", LEVEE_NEVER);
	put(list, "10.0.0.2", 200);
	assert_int_equal(levee_operator_next_expiry(list), 100);
	assert_false(levee_operator_expire(list, 99, &gone));
	assert_true(levee_operator_expire(list, 250, &gone));
	assert_true(levee_operator_expire(list, 250, &gone));
	assert_false(levee_operator_expire(list, 250, &gone));
	assert_int_equal(levee_operator_next_expiry(list), 300);
	assert_true(levee_operator_expire(list, 300, &gone));
	assert_int_equal(gone.expires_boot_ns, 300);
	assert_int_equal(list->n, 1);
	assert_int_equal(levee_operator_next_expiry(list), LEVEE_NEVER);
}

static void removing_keeps_the_others_findable(void **state)
{
	struct levee_operator_list *list = *state;
	char text[LEVEE_PREFIX_TEXT];
	struct levee_prefix p;

	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		put(list, text, (uint64_t)(1000 + i));
	}
	for (int i = 0; i < 200; i += 2) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		p = test_prefix(text);
		assert_int_equal(levee_operator_remove(list, &p), 0);
		assert_int_equal(levee_operator_remove(list, &p), -ENOENT);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d", i);
		p = test_prefix(text);
		assert_int_equal(levee_operator_get(list, &p) != NULL, i % 2);
	}
	assert_int_equal(levee_operator_next_expiry(list), 1001);
}

static void there_is_an_end_to_what_is_kept(void **state)
{
	struct levee_operator_list *list = *state;
	struct levee_operator_entry entry = entry_of("10.0.0.0", LEVEE_NEVER);

	for (size_t i = 0; i < LEVEE_OPERATOR_MAX; i++) {
		entry.prefix.hi = i;
		if (levee_operator_put(list, &entry))
			fail_msg("no room after %zu", i);
	}
	entry.prefix.hi = LEVEE_OPERATOR_MAX;
	assert_int_equal(levee_operator_put(list, &entry), -ENOSPC);
	entry.prefix.hi = 5; /* what is there can still be changed */
	assert_int_equal(levee_operator_put(list, &entry), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_latest_word_on_a_prefix_counts),
		TEST(what_covers_a_source_is_found_unless_it_has_ended),
		TEST(entries_end_one_after_the_other),
		TEST(removing_keeps_the_others_findable),
		TEST(there_is_an_end_to_what_is_kept),
	};

	return cmocka_run_group_tests_name("operator", tests, NULL, NULL);
}
