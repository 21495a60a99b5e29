/* SPDX-License-Identifier: BSD-2-Clause */
/* What operators said, and history, through a state file. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/store/history.h"
#include "control/store/operator.h"
#include "tests/support/board.h"
#include "tests/support/statefile.h"

#define S LEVEE_NS_PER_S

struct fixture {
	struct levee_statefile file;
	struct levee_operator_entry loaded[8];
	size_t n;
	char history[512];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	levee_statefile_open(&f->file);
	assert_int_equal(levee_store_open_operator(f->file.store), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_statefile_close(&f->file);
	free(f);
	return 0;
}

static int take(void *ctx, const struct levee_operator_entry *entry)
{
	struct fixture *f = ctx;

	assert_true(f->n < 8);
	f->loaded[f->n++] = *entry;
	return 0;
}

static void load(struct fixture *f, const char *boot_id, uint64_t boot_s, uint64_t unix_s)
{
	struct levee_time now = { boot_s * S, unix_s * S };

	f->n = 0;
	assert_int_equal(levee_store_load_operator(f->file.store, boot_id, &now, take, f), 0);
}

/* Made at 1000 s of boot and 5000 s of unix time, for 600 s. */
static void put(struct fixture *f, enum levee_operator_kind kind, const char *prefix)
{
	struct levee_operator_entry entry = { .kind = kind,
					      .prefix = test_prefix(prefix),
					      .created_unix_ns = 5000 * S,
					      .expires_boot_ns = 1600 * S,
					      .expires_unix_ns = 5600 * S,
					      .marks = 1 };

	snprintf(entry.note, sizeof(entry.note), "a 'note' of \"%s\"", prefix);
	assert_int_equal(levee_store_put_operator(f->file.store, &entry, "this-boot"), 0);
}

static void entries_come_back_as_they_were(void **state)
{
	struct fixture *f = *state;

	put(f, LEVEE_OPERATOR_EXEMPT, "198.51.100.7");
	put(f, LEVEE_OPERATOR_ALLOW, "198.51.100.7");
	put(f, LEVEE_OPERATOR_NOTE, "2001:db8::/32");
	put(f, LEVEE_OPERATOR_EXEMPT, "198.51.100.7"); /* said again */
	load(f, "this-boot", 1000, 5000);
	assert_int_equal(f->n, 3);
	assert_int_equal(f->loaded[0].kind, LEVEE_OPERATOR_EXEMPT);
	assert_int_equal(f->loaded[0].expires_boot_ns, 1600 * S);
	assert_string_equal(f->loaded[2].note, "a 'note' of \"2001:db8::/32\"");
	assert_int_equal(f->loaded[2].marks, 1);
}

static void what_has_ended_or_was_dropped_does_not_come_back(void **state)
{
	struct fixture *f = *state;
	struct levee_prefix p = test_prefix("10.0.0.1");

	put(f, LEVEE_OPERATOR_EXEMPT, "10.0.0.1");
	put(f, LEVEE_OPERATOR_EXEMPT, "10.0.0.2");
	assert_int_equal(levee_store_drop_operator(f->file.store, LEVEE_OPERATOR_EXEMPT, &p), 0);
	load(f, "this-boot", 1599, 5599);
	assert_int_equal(f->n, 1);
	load(f, "this-boot", 1600, 5600);
	assert_int_equal(f->n, 0);
}

static void in_another_boot_what_is_left_is_what_wall_time_says(void **state)
{
	struct fixture *f = *state;

	put(f, LEVEE_OPERATOR_EXEMPT, "10.0.0.1");
	load(f, "next-boot", 20, 5100);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->loaded[0].expires_boot_ns, 520 * S);
	/* A clock that starts in the past makes nothing longer than it was. */
	load(f, "next-boot", 20, 100);
	assert_int_equal(f->loaded[0].expires_boot_ns, 620 * S);
	load(f, "next-boot", 20, 6000);
	assert_int_equal(f->n, 0);
}

static void write_row(void *ctx, const struct levee_history_row *row)
{
	struct fixture *f = ctx;
	size_t len = strlen(f->history);

	snprintf(f->history + len, sizeof(f->history) - len, "%llu %s %s; ",
		 (unsigned long long)(row->unix_ns / S), row->kind, row->subject);
}

static const char *history(struct fixture *f, const struct levee_history_filter *filter)
{
	f->history[0] = '\0';
	assert_int_equal(levee_history_read(f->file.path, filter, write_row, f), 0);
	return f->history;
}

static void history_is_read_beside_the_daemon_newest_first(void **state)
{
	struct fixture *f = *state;
	struct levee_history_filter all = { .until_s = UINT32_MAX, .limit = 10 }, filter = all;
	struct levee_prefix within = test_prefix("10.0.0.0/8");

	assert_int_equal(levee_store_event(f->file.store, 100 * S, "blocked", "10.0.0.1", ""), 0);
	assert_int_equal(levee_store_event(f->file.store, 200 * S, "blocked", "11.0.0.1", ""), 0);
	assert_int_equal(levee_store_event(f->file.store, 300 * S, "expired", "10.0.0.1", ""), 0);
	assert_string_equal(history(f, &all),
			    "300 expired 10.0.0.1; 200 blocked 11.0.0.1; 100 blocked 10.0.0.1; ");
	filter.limit = 1;
	assert_string_equal(history(f, &filter), "300 expired 10.0.0.1; ");
	filter.within = &within;
	filter.kind = "blocked";
	assert_string_equal(history(f, &filter), "100 blocked 10.0.0.1; ");
	filter = all;
	filter.since_s = 200;
	filter.until_s = 200;
	assert_string_equal(history(f, &filter), "200 blocked 11.0.0.1; ");
	filter.until_s = UINT64_MAX;
	filter.since_s = UINT64_MAX;
	assert_string_equal(history(f, &filter), "");
	/* A transaction that is open in the daemon holds nobody up. */
	assert_int_equal(levee_store_begin(f->file.store), 0);
	assert_int_equal(levee_store_event(f->file.store, 400 * S, "blocked", "12.0.0.1", ""), 0);
	assert_non_null(strstr(history(f, &all), "300 expired"));
	assert_null(strstr(f->history, "400"));
	assert_int_equal(levee_store_commit(f->file.store), 0);
	assert_non_null(strstr(history(f, &all), "400"));
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct levee_history_filter all = { .until_s = UINT32_MAX, .limit = 10 };

	assert_int_equal(levee_history_read("/nonexistent/state.db", &all, write_row, f), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(entries_come_back_as_they_were),
		TEST(what_has_ended_or_was_dropped_does_not_come_back),
		TEST(in_another_boot_what_is_left_is_what_wall_time_says),
		TEST(history_is_read_beside_the_daemon_newest_first),
		TEST(a_file_that_is_not_there_is_an_error),
	};

	return cmocka_run_group_tests_name("store_operator", tests, NULL, NULL);
}
