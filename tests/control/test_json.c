/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"

/* What a writer left, in memory. */
struct text {
	char *data;
	size_t size;
	struct levee_json j;
};

static void begin(struct text *t)
{
	FILE *out = open_memstream(&t->data, &t->size);

	assert_non_null(out);
	levee_json_begin(&t->j, out);
}

static void expect(struct text *t, const char *wanted)
{
	levee_json_finish(&t->j);
	fclose(t->j.out);
	assert_string_equal(t->data, wanted);
	free(t->data);
}

static void an_empty_object_is_two_braces(void **state)
{
	struct text t;

	(void)state;
	begin(&t);
	levee_json_object(&t.j, NULL);
	levee_json_end(&t.j);
	expect(&t, "{}\n");
}

static void members_and_elements_are_separated(void **state)
{
	struct text t;

	(void)state;
	begin(&t);
	levee_json_object(&t.j, NULL);
	levee_json_int(&t.j, "a", -1);
	levee_json_array(&t.j, "b");
	levee_json_uint(&t.j, NULL, 1);
	levee_json_object(&t.j, NULL);
	levee_json_bool(&t.j, "c", true);
	levee_json_end(&t.j);
	levee_json_end(&t.j);
	levee_json_bool(&t.j, "d", false);
	levee_json_end(&t.j);
	expect(&t, "{\"a\": -1, \"b\": [1, {\"c\": true}], \"d\": false}\n");
}

static void strings_are_escaped(void **state)
{
	struct text t;

	(void)state;
	begin(&t);
	levee_json_string(&t.j, NULL, "a\"b\\c\n\x01\x7f\xc3\xa9");
	expect(&t, "\"a\\\"b\\\\c\\u000a\\u0001\x7f\xc3\xa9\"\n");
}

static void extreme_integers_keep_every_digit(void **state)
{
	struct text t;

	(void)state;
	begin(&t);
	levee_json_array(&t.j, NULL);
	levee_json_uint(&t.j, NULL, UINT64_MAX);
	levee_json_int(&t.j, NULL, INT64_MIN);
	levee_json_end(&t.j);
	expect(&t, "[18446744073709551615, -9223372036854775808]\n");
}

static void doubles_are_short_where_they_can_be(void **state)
{
	struct text t;

	(void)state;
	begin(&t);
	levee_json_array(&t.j, NULL);
	levee_json_double(&t.j, NULL, 0.1);
	levee_json_double(&t.j, NULL, 4.21);
	levee_json_double(&t.j, NULL, 0);
	levee_json_double(&t.j, NULL, 1e300);
	levee_json_double(&t.j, NULL, NAN);
	levee_json_double(&t.j, NULL, INFINITY);
	levee_json_end(&t.j);
	expect(&t, "[0.1, 4.21, 0, 1e+300, null, null]\n");
}

static void doubles_read_back_to_the_same_value(void **state)
{
	uint64_t x = 88172645463325252ULL;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct text t;
		double value;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(&value, &x, sizeof(value));
		if (!isfinite(value))
			continue;
		begin(&t);
		levee_json_double(&t.j, NULL, value);
		fclose(t.j.out);
		assert_true(strtod(t.data, NULL) == value);
		free(t.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_object_is_two_braces),
		cmocka_unit_test(members_and_elements_are_separated),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(extreme_integers_keep_every_digit),
		cmocka_unit_test(doubles_are_short_where_they_can_be),
		cmocka_unit_test(doubles_read_back_to_the_same_value),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
