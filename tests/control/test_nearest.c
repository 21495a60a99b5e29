/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "control/nearest.h"

static void an_edit_is_a_letter_more_less_other_or_two_exchanged(void **state)
{
	static const struct {
		const char *a, *b;
		size_t edits;
	} table[] = {
		{ "", "", 0 },
		{ "", "bin", 3 },
		{ "bin", "", 3 },
		{ "bin", "bin", 0 },
		{ "bni", "bin", 1 },
		{ "bi", "bin", 1 },
		{ "bins", "bin", 1 },
		{ "ban", "bin", 1 },
		{ "statsu", "status", 1 },
		{ "kitten", "sitting", 3 },
		{ "a", "b", 1 },
		{ "ab", "ba", 1 },
		{ "ca", "abc", 3 }, /* no edit between the letters of an exchange */
		{ "unblock", "block", 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(levee_edits(table[i].a, table[i].b), table[i].edits);
		assert_int_equal(levee_edits(table[i].b, table[i].a), table[i].edits);
	}
}

static void what_is_too_long_is_near_to_nothing(void **state)
{
	static const char *const names[] = { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL };

	(void)state;
	assert_true(levee_edits("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", names[0]) == SIZE_MAX);
	assert_null(levee_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", names));
	assert_string_equal(levee_nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", names), names[0]);
}

static void the_nearest_is_named_and_another_word_is_not(void **state)
{
	static const char *const names[] = { "prefix", "drops", "zscore", "end", NULL };

	(void)state;
	assert_string_equal(levee_nearest("zcore", names), "zscore");
	assert_string_equal(levee_nearest("drop", names), "drops");
	assert_null(levee_nearest("elephant", names));
	assert_null(levee_nearest("x", (const char *const[]){ NULL }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edit_is_a_letter_more_less_other_or_two_exchanged),
		cmocka_unit_test(what_is_too_long_is_near_to_nothing),
		cmocka_unit_test(the_nearest_is_named_and_another_word_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
