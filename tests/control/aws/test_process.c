/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/aws.h"

static void assert_words(const char *command, const char *const *expected)
{
	char **words;
	size_t n = 0;

	assert_int_equal(levee_aws_words(command, &words), 0);
	for (; words[n] && expected[n]; n++)
		assert_string_equal(words[n], expected[n]);
	assert_null(words[n]);
	assert_null(expected[n]);
	levee_aws_words_free(words);
}

#define words(command, ...) assert_words(command, (const char *const[]){ __VA_ARGS__, NULL })

static void words_are_split_like_a_shell_does(void **state)
{
	(void)state;
	words("a", "a");
	words("  a\tb \n c  ", "a", "b", "c");
	words("\"/opt/a b\" --x='y z'", "/opt/a b", "--x=y z");
	words("a\\ b \\\"c", "a b", "\"c");
	words("\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d");
	words("'a\\b\"c'", "a\\b\"c");
	words("a'b'\"c\"", "abc");
	words("'' \"\"", "", "");
}

static void a_shell_is_not_behind_it(void **state)
{
	(void)state;
	words("a $HOME; b | c > d *", "a", "$HOME;", "b", "|", "c", ">", "d", "*");
}

static void what_is_no_command_is_refused(void **state)
{
	static const char *const bad[] = { "", "   ", "'a", "a \"b", "a\\" };
	char **list, many[200];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(levee_aws_words(bad[i], &list), -EINVAL);
		assert_null(list);
	}
	for (size_t i = 0; i < 65; i++)
		memcpy(many + 2 * i, "a ", 3);
	assert_int_equal(levee_aws_words(many, &list), -EINVAL);
}

struct fixture {
	struct fake_env env;
	struct levee_aws_text out;
	struct levee_aws_error error;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_env_init(&f->env);
	levee_aws_text_init(&f->out, 1000);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_text_free(&f->out);
	free(f);
	return 0;
}

static int run(struct fixture *f, const char *command, uint32_t timeout_ms)
{
	levee_aws_text_clear(&f->out);
	levee_aws_error_clear(&f->error);
	return levee_aws_run(command, &f->env.env, timeout_ms, &f->out, &f->error);
}

static void output_is_taken_and_error_output_is_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "sh -c 'echo out; echo SECRETWORD >&2'", 10000), 0);
	assert_string_equal(levee_aws_text_string(&f->out), "out\n");
}

static void there_is_nothing_to_read_and_no_file_left_open(void **state)
{
	struct fixture *f = *state;
	int fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

	assert_true(fd > 2);
	assert_int_equal(run(f, "sh -c 'cat; ls /proc/self/fd | wc -l'", 10000), 0);
	close(fd);
	/* 0, 1, 2 and the directory itself */
	assert_int_equal(atoi(levee_aws_text_string(&f->out)), 4);
}

static void a_status_other_than_0_is_a_failure_that_quotes_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "sh -c 'echo SECRETWORD; echo SECRETWORD >&2; exit 3'", 10000),
			 -EIO);
	assert_string_equal(f->error.code, "CredentialsFailed");
	assert_null(strstr(f->error.message, "SECRETWORD"));
	assert_non_null(strstr(f->error.message, "sh: "));
	assert_int_equal(run(f, "sh -c 'kill -9 $$'", 10000), -EIO);
}

static void a_program_that_is_not_there_is_named(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "/nonexistent/helper --secret=SECRETWORD", 10000), -ENOENT);
	assert_non_null(strstr(f->error.message, "/nonexistent/helper"));
	assert_null(strstr(f->error.message, "SECRETWORD"));
	assert_int_equal(run(f, "/etc/passwd", 10000), -EACCES);
}

static void too_much_output_ends_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "yes", 10000), -EFBIG);
}

static void too_long_a_time_ends_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(run(f, "sleep 1000", 50), -ETIMEDOUT);
	assert_non_null(strstr(f->error.message, "sleep"));
}

static void a_switch_ends_it(void **state)
{
	struct fixture *f = *state;

	f->env.cancelled = true;
	assert_int_equal(run(f, "sleep 1000", 100000), -ECANCELED);
}

/* A child that keeps the output open does not keep us, and ends with its parent. */
static void what_it_leaves_behind_is_ended(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	assert_int_equal(run(f, "sh -c 'sleep 1000 & echo $!'", 10000), 0);
	pid = atoi(levee_aws_text_string(&f->out));
	assert_true(pid > 1);
	for (int i = 0; i < 30000 && kill(pid, 0) == 0; i++) {
		const struct timespec pause = { .tv_nsec = 1000000 };
		char path[64], state_of[256] = "";
		FILE *in;

		/* nobody may be there to reap it: a zombie has ended, too */
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		in = fopen(path, "r");
		if (!in || !fgets(state_of, sizeof(state_of), in) || strstr(state_of, ") Z ")) {
			if (in)
				fclose(in);
			return;
		}
		fclose(in);
		nanosleep(&pause, NULL);
	}
	assert_int_equal(kill(pid, 0), -1);
}

#define fixed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_split_like_a_shell_does),
		cmocka_unit_test(a_shell_is_not_behind_it),
		cmocka_unit_test(what_is_no_command_is_refused),
		fixed(output_is_taken_and_error_output_is_not),
		fixed(there_is_nothing_to_read_and_no_file_left_open),
		fixed(a_status_other_than_0_is_a_failure_that_quotes_nothing),
		fixed(a_program_that_is_not_there_is_named),
		fixed(too_much_output_ends_it),
		fixed(too_long_a_time_ends_it),
		fixed(a_switch_ends_it),
		fixed(what_it_leaves_behind_is_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
