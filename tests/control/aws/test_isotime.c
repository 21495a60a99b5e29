/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/isotime.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void times_of_every_form_are_read(void **state)
{
	static const struct {
		const char *text;
		int64_t s;
	} good[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2023-11-14T22:13:20Z", 1700000000 },
		{ "2023-11-14T22:13:20.123456Z", 1700000000 },
		{ "2023-11-14T22:13:20", 1700000000 },
		{ "2023-11-15T00:13:20+02:00", 1700000000 },
		{ "2023-11-14T18:43:20.9-0330", 1700000000 },
		{ "2038-01-19T03:14:08Z", 2147483648 },
	};

	(void)state;
	setenv("TZ", "America/New_York", 1); /* must not matter */
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t s = -1;

		assert_int_equal(levee_aws_time_parse(good[i].text, &s), 0);
		assert_int_equal(s, good[i].s);
	}
}

static void what_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"now",
		"2023-11-14",
		"2023-13-14T22:13:20Z",
		"2023-11-14T22:13:20Zx",
		"2023-11-14T22:13:20.Z",
		"2023-11-14T22:13:20+2",
		"2023-11-14T22:13:20+02:0",
		"2023-11-14T22:13:20+99:00",
		"2023-11-14T22:13:20+",
		"1700000000",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t s;

		assert_int_equal(levee_aws_time_parse(bad[i], &s), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_of_every_form_are_read),
		cmocka_unit_test(what_is_no_time_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
