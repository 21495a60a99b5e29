/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/nacl_journal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SETTLE_MS 120000

struct fixture {
	char dir[64];
	char path[96];
	struct levee_nacl_journal *journal;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/levee-journal-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/state.db.nacl", f->dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_nacl_journal_close(&f->journal);
	unlink(f->path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void reopen(struct fixture *f)
{
	levee_nacl_journal_close(&f->journal);
	assert_int_equal(levee_nacl_journal_open(&f->journal, f->path, false, SETTLE_MS), 0);
}

static struct levee_nacl_step a_rule(uint16_t number)
{
	struct levee_nacl_step step;

	levee_nacl_say(&step, LEVEE_NACL_STEP_CREATE, LEVEE_NACL_WHY_NONE, "acl-0123456789abcdef0",
		       NULL);
	step.entry = (struct levee_nacl_entry){
		.number = number,
		.protocol = LEVEE_NACL_ALL,
		.cidr = { .family = 6, .hi = 0x20010db800000000, .length = 64 }
	};
	return step;
}

static size_t recent(struct fixture *f, const struct levee_nacl_write **list)
{
	size_t n;

	levee_nacl_journal_recent(f->journal, levee_nacl_boot_ms(), list, &n);
	return n;
}

static void write_file(struct fixture *f, const char *text)
{
	FILE *out = fopen(f->path, "w");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static void a_write_comes_back_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step step = a_rule(7);
	const struct levee_nacl_write *list;

	reopen(f);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &step), 0);
	levee_nacl_journal_end(f->journal, LEVEE_NACL_DONE, false);
	reopen(f);
	assert_int_equal(recent(f, &list), 1);
	assert_int_equal(list[0].outcome, LEVEE_NACL_DONE);
	assert_int_equal(list[0].step.type, LEVEE_NACL_STEP_CREATE);
	assert_true(list[0].step.writes);
	assert_string_equal(list[0].step.acl, step.acl);
	assert_true(levee_nacl_equal(&list[0].step.entry, &step.entry));
}

static void marks_and_switches_come_back_as_they_were(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step mark, to;
	const struct levee_nacl_write *list;

	levee_nacl_say(&mark, LEVEE_NACL_STEP_MARK, LEVEE_NACL_WHY_NONE, "acl-01234567", NULL);
	mark.mark = (struct levee_nacl_mark){ .range = { 1, 99 }, .numbers = { 10, 50 }, .n = 2 };
	levee_nacl_say(&to, LEVEE_NACL_STEP_SWITCH, LEVEE_NACL_WHY_NONE, "acl-01234567",
		       "subnet-01234567");
	levee_nacl_put_id(to.association, "aclassoc-01234567");
	levee_nacl_put_id(to.other_acl, "acl-89abcdef");
	reopen(f);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &mark), 0);
	levee_nacl_journal_end(f->journal, LEVEE_NACL_UNSURE, false);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &to), 0);
	levee_nacl_journal_end(f->journal, LEVEE_NACL_REFUSED, false);
	reopen(f);
	assert_int_equal(recent(f, &list), 2);
	assert_true(levee_nacl_mark_equal(&list[0].step.mark, &mark.mark));
	assert_int_equal(list[0].outcome, LEVEE_NACL_UNSURE);
	assert_string_equal(list[1].step.subnet, to.subnet);
	assert_string_equal(list[1].step.association, to.association);
	assert_string_equal(list[1].step.other_acl, to.other_acl);
	assert_int_equal(list[1].outcome, LEVEE_NACL_REFUSED);
}

static void a_write_without_an_end_is_in_doubt(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step step = a_rule(7);
	const struct levee_nacl_write *list;

	reopen(f);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &step), 0);
	reopen(f); /* as after a kill: nothing but the file remains */
	assert_int_equal(recent(f, &list), 1);
	assert_int_equal(list[0].outcome, LEVEE_NACL_UNSURE);
}

static void a_write_that_was_not_carried_out_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step step = a_rule(7);
	const struct levee_nacl_write *list;

	reopen(f);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &step), 0);
	levee_nacl_journal_end(f->journal, LEVEE_NACL_UNSURE, true);
	assert_int_equal(recent(f, &list), 0);
	reopen(f);
	assert_int_equal(recent(f, &list), 0);
}

static void old_writes_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step step = a_rule(7);
	const struct levee_nacl_write *list;
	size_t n;

	reopen(f);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &step), 0);
	levee_nacl_journal_end(f->journal, LEVEE_NACL_DONE, false);
	levee_nacl_journal_recent(f->journal, levee_nacl_boot_ms() + SETTLE_MS - 1000, &list, &n);
	assert_int_equal(n, 1);
	levee_nacl_journal_recent(f->journal, levee_nacl_boot_ms() + SETTLE_MS + 1000, &list, &n);
	assert_int_equal(n, 0);
}

static void another_boot_is_timed_by_the_wall_clock(void **state)
{
	struct fixture *f = *state;
	const struct levee_nacl_write *list;
	static const char format[] =
		"{\"step\":{\"type\":\"create\",\"acl\":\"acl-1\",\"from\":\"\",\"subnet\":\"\","
		"\"association\":\"\",\"number\":7,\"egress\":false,\"action\":0,\"protocol\":-1,"
		"\"icmp\":[0,0],\"ports\":[0,0],\"cidr\":\"198.51.100.7\",\"mark\":\"\"},"
		"\"boot\":\"another\",\"boot_ms\":5,\"unix_ms\":%lld}\n";
	char text[1024];

	snprintf(text, sizeof(text), format, ((long long)time(NULL) - 3600) * 1000);
	write_file(f, text);
	reopen(f);
	assert_int_equal(recent(f, &list), 0);
	snprintf(text, sizeof(text), format, ((long long)time(NULL) - 30) * 1000);
	write_file(f, text);
	reopen(f);
	assert_int_equal(recent(f, &list), 1);
}

static void without_a_file_it_is_not_whole_until_somebody_vouches(void **state)
{
	struct fixture *f = *state;

	reopen(f);
	assert_false(levee_nacl_journal_is_whole(f->journal));
	reopen(f); /* the file is a moment old: what was before it nobody knows */
	assert_false(levee_nacl_journal_is_whole(f->journal));
	levee_nacl_journal_vouch(f->journal);
	assert_true(levee_nacl_journal_is_whole(f->journal));
	reopen(f);
	assert_true(levee_nacl_journal_is_whole(f->journal));
}

static void a_damaged_file_is_not_whole(void **state)
{
	static const char *const texts[] = { "nonsense\n", "{}\n", "{\"step\":{}}\n", "[]\n",
					     "\n" };
	struct fixture *f = *state;
	const struct levee_nacl_write *list;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		write_file(f, "{\"outcome\":\"whole\"}\n");
		reopen(f);
		assert_true(levee_nacl_journal_is_whole(f->journal));
		levee_nacl_journal_close(&f->journal);
		write_file(f, texts[i]);
		reopen(f);
		assert_false(levee_nacl_journal_is_whole(f->journal));
		assert_int_equal(recent(f, &list), 0);
	}
}

static void half_a_line_at_the_end_was_never_sent(void **state)
{
	struct fixture *f = *state;
	const struct levee_nacl_write *list;

	write_file(f, "{\"outcome\":\"whole\"}\n{\"step\":{\"type\":\"cre");
	reopen(f);
	assert_true(levee_nacl_journal_is_whole(f->journal));
	assert_int_equal(recent(f, &list), 0);
}

static void one_process_at_a_time_writes(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_journal *other;

	reopen(f);
	assert_int_equal(levee_nacl_journal_open(&other, f->path, false, SETTLE_MS), -EWOULDBLOCK);
	assert_null(other);
	assert_int_equal(levee_nacl_journal_open(&other, f->path, true, SETTLE_MS), 0);
	levee_nacl_journal_close(&other);
}

static void a_look_changes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(levee_nacl_journal_open(&f->journal, f->path, true, SETTLE_MS), 0);
	levee_nacl_journal_vouch(f->journal);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void the_file_does_not_grow_without_end(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step step = a_rule(7);
	const struct levee_nacl_write *list;
	struct stat st;
	size_t n;

	reopen(f);
	levee_nacl_journal_vouch(f->journal);
	for (int i = 0; i < 1500; i++) {
		assert_int_equal(levee_nacl_journal_begin(f->journal, &step), 0);
		levee_nacl_journal_end(f->journal, LEVEE_NACL_DONE, false);
	}
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(st.st_size > 256 * 1024);
	levee_nacl_journal_recent(f->journal, levee_nacl_boot_ms() + SETTLE_MS + 1000, &list, &n);
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(st.st_size < 1024);
	reopen(f);
	assert_true(levee_nacl_journal_is_whole(f->journal));
}

static void a_disk_that_is_full_does_not_stop_a_push(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_step step = a_rule(7);
	const struct levee_nacl_write *list;

	(void)f;
	/* Every write to it fails with ENOSPC; it is no regular file, so a process would not open it. */
	assert_int_equal(levee_nacl_journal_open(&f->journal, "/dev/full", false, SETTLE_MS),
			 -EINVAL);
	assert_int_equal(levee_nacl_journal_open(&f->journal, NULL, false, SETTLE_MS), 0);
	assert_int_equal(levee_nacl_journal_begin(f->journal, &step), 0);
	levee_nacl_journal_end(f->journal, LEVEE_NACL_DONE, false);
	assert_int_equal(recent(f, &list), 1);
	assert_int_equal(levee_nacl_journal_error(f->journal), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_write_comes_back_as_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(marks_and_switches_come_back_as_they_were, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_write_without_an_end_is_in_doubt, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_write_that_was_not_carried_out_is_forgotten,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(old_writes_are_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_boot_is_timed_by_the_wall_clock, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			without_a_file_it_is_not_whole_until_somebody_vouches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_damaged_file_is_not_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(half_a_line_at_the_end_was_never_sent, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_process_at_a_time_writes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_look_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_file_does_not_grow_without_end, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_is_full_does_not_stop_a_push, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
