/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows that a script of the bench prints: what becomes of them in the table and in the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <errno.h>

#include "tools/bench/report.h"

struct state {
	struct bench_report report;
	char *table;
	size_t size;
};

static int setup(void **state)
{
	struct state *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	bench_report_init(&s->report, open_memstream(&s->table, &s->size));
	s->report.has_heading = true;
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;

	fclose(s->report.out);
	bench_report_clear(&s->report);
	free(s->table);
	free(s);
	return 0;
}

static void take(struct state *s, const char *line)
{
	assert_int_equal(bench_report_take(&s->report, line), 0);
}

static void rows_stand_in_the_table_as_they_were_printed(void **state)
{
	struct state *s = *state;

	take(s, "{\"kind\": \"section\", \"key\": \"x\", \"title\": \"Title\", \"note\": \"how\"}");
	take(s, "{\"kind\": \"line\", \"key\": \"x.l\", \"note\": \"a   b   c\", \"data\": {}}");
	take(s, "{\"kind\": \"figure\", \"key\": \"x.f\", \"label\": \"speed\", \"unit\": \"k/s\","
		" \"samples\": [3, 1, 2], \"at_least\": 5}");
	take(s,
	     "{\"kind\": \"answer\", \"key\": \"x.a\", \"label\": \"right\", \"answer\": false}");
	take(s, "{\"kind\": \"remark\", \"key\": \"x.r\", \"note\": \"left out\"}");
	bench_report_print(&s->report);
	assert_non_null(strstr(s->table, "\nTitle\n  (how)\n  a   b   c\n"));
	assert_non_null(strstr(s->table, "2.00  1.00 .. 3.00"));
	assert_non_null(strstr(s->table, "NOT MET (at least 5)"));
	assert_non_null(strstr(s->table, "  right: NO\n  left out\n"));
}

static void data_of_a_row_stand_in_the_file(void **state)
{
	struct state *s = *state;
	char path[] = "/tmp/bench-report-XXXXXX";
	int fd = mkstemp(path);
	json_t *file, *row;

	assert_true(fd >= 0);
	close(fd);
	take(s, "{\"kind\": \"section\", \"key\": \"x\", \"title\": \"Title\"}");
	take(s,
	     "{\"kind\": \"line\", \"key\": \"x.l\", \"note\": \"a\", \"data\": {\"n\": 7, "
	     "\"half\":"
	     " 0.5, \"name\": \"y\", \"yes\": true, \"none\": null, \"list\": [1, {\"z\": 2}]}}");
	assert_int_equal(bench_report_write_json(&s->report, path), 0);
	file = json_load_file(path, 0, NULL);
	unlink(path);
	assert_non_null(file);
	row = json_array_get(
		json_object_get(json_array_get(json_object_get(file, "sections"), 0), "rows"), 0);
	row = json_object_get(row, "data");
	assert_int_equal(json_integer_value(json_object_get(row, "n")), 7);
	assert_true(json_real_value(json_object_get(row, "half")) == 0.5);
	assert_string_equal(json_string_value(json_object_get(row, "name")), "y");
	assert_true(json_is_true(json_object_get(row, "yes")));
	assert_true(json_is_null(json_object_get(row, "none")));
	assert_int_equal(json_array_size(json_object_get(row, "list")), 2);
	json_decref(file);
}

static void what_is_no_row_is_refused(void **state)
{
	static const char *const lines[] = {
		"",
		"Traceback (most recent call last):",
		"{}",
		"{\"kind\": \"line\"}",
		"{\"kind\": \"circle\", \"key\": \"x\"}",
		"{\"kind\": \"section\", \"key\": \"x\"}",
		"{\"kind\": \"figure\", \"key\": \"x\", \"label\": \"y\", \"unit\": \"s\"}",
		"{\"kind\": \"figure\", \"key\": \"x\", \"label\": \"y\", \"samples\": [1]}",
	};
	struct state *s = *state;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(bench_report_take(&s->report, lines[i]), -EBADMSG);
	assert_int_equal(s->report.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rows_stand_in_the_table_as_they_were_printed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(data_of_a_row_stand_in_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_row_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("bench_report", tests, NULL, NULL);
}
