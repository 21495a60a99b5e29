/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/allowinbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct levee_allowlist list_of(const char *text)
{
	struct levee_allowlist list = { 0 };

	assert_int_equal(levee_allowlist_parse(&list, text, strlen(text), "test", NULL, NULL), 0);
	return list;
}

static void a_list_is_taken_once(void **state)
{
	struct levee_allow_inbox *inbox = levee_allow_inbox_new();
	struct levee_allowlist list = list_of("10.0.0.0/8\n"), out = { 0 };

	(void)state;
	assert_non_null(inbox);
	assert_false(levee_allow_inbox_has(inbox, LEVEE_ALLOW_SLOT_VPC));
	assert_false(levee_allow_inbox_take(inbox, LEVEE_ALLOW_SLOT_VPC, &out));
	levee_allow_inbox_put(inbox, LEVEE_ALLOW_SLOT_VPC, &list);
	assert_int_equal(list.n, 0);
	assert_null(list.list);
	assert_false(levee_allow_inbox_take(inbox, LEVEE_ALLOW_SLOT_S3, &out));
	assert_true(levee_allow_inbox_take(inbox, LEVEE_ALLOW_SLOT_VPC, &out));
	assert_int_equal(out.n, 1);
	assert_false(levee_allow_inbox_take(inbox, LEVEE_ALLOW_SLOT_VPC, &out));
	assert_int_equal(out.n, 1);
	assert_true(levee_allow_inbox_has(inbox, LEVEE_ALLOW_SLOT_VPC));
	assert_false(levee_allow_inbox_has(inbox, LEVEE_ALLOW_SLOT_S3));
	levee_allowlist_clear(&out);
	levee_allow_inbox_free(&inbox);
	assert_null(inbox);
}

static void the_newest_list_counts_and_an_empty_one_is_a_list(void **state)
{
	struct levee_allow_inbox *inbox = levee_allow_inbox_new();
	struct levee_allowlist first = list_of("10.0.0.0/8\n10.1.0.0/16\n"), second = list_of("");
	struct levee_allowlist out = list_of("192.0.2.0/24\n");

	(void)state;
	levee_allow_inbox_put(inbox, LEVEE_ALLOW_SLOT_S3, &first);
	levee_allow_inbox_put(inbox, LEVEE_ALLOW_SLOT_S3, &second);
	assert_true(levee_allow_inbox_take(inbox, LEVEE_ALLOW_SLOT_S3, &out));
	assert_int_equal(out.n, 0);
	levee_allowlist_clear(&out);
	levee_allow_inbox_free(&inbox);
}

static void what_was_not_taken_is_freed(void **state)
{
	struct levee_allow_inbox *inbox = levee_allow_inbox_new();
	struct levee_allowlist list = list_of("10.0.0.0/8\n");

	(void)state;
	levee_allow_inbox_put(inbox, LEVEE_ALLOW_SLOT_S3, &list);
	levee_allow_inbox_free(&inbox);
	levee_allow_inbox_free(&inbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_taken_once),
		cmocka_unit_test(the_newest_list_counts_and_an_empty_one_is_a_list),
		cmocka_unit_test(what_was_not_taken_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
