/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* What was written to standard error since capture_begin(). */
static int saved_stderr = -1;
static FILE *captured;
static char text[8192];

static void capture_begin(void)
{
	captured = tmpfile();
	assert_non_null(captured);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	assert_true(saved_stderr >= 0);
	assert_true(dup2(fileno(captured), STDERR_FILENO) >= 0);
}

static const char *capture_end(void)
{
	size_t n;

	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	close(saved_stderr);
	rewind(captured);
	n = fread(text, 1, sizeof(text) - 1, captured);
	text[n] = '\0';
	fclose(captured);
	return text;
}

static int reset(void **state)
{
	(void)state;
	levee_log_set_level(LEVEE_LOG_INFO);
	unsetenv("JOURNAL_STREAM");
	return 0;
}

static void a_line_for_people_has_time_and_level(void **state)
{
	const char *line;
	int year, ms;
	char rest[64];

	(void)state;
	capture_begin();
	levee_warning("table %d full", 7);
	line = capture_end();
	assert_int_equal(
		sscanf(line, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%3dZ %63[^\n]", &year, &ms, rest), 3);
	assert_true(year >= 2020);
	assert_string_equal(rest, "warning: table 7 full");
	assert_int_equal(line[strlen(line) - 1], '\n');
}

static void a_line_for_journald_begins_with_its_priority(void **state)
{
	struct stat st;
	char stream[64];

	(void)state;
	capture_begin();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	levee_error("e");
	levee_warning("w");
	levee_notice("n");
	levee_info("i");
	assert_string_equal(capture_end(), "<3>e\n<4>w\n<5>n\n<6>i\n");
}

static void a_redirected_stderr_is_not_taken_for_the_journal(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "1:2", 1);
	capture_begin();
	levee_error("e");
	assert_null(strchr(capture_end(), '<'));
}

static void levels_above_the_chosen_one_are_silent(void **state)
{
	(void)state;
	levee_log_set_level(LEVEE_LOG_WARNING);
	capture_begin();
	levee_notice("no");
	levee_debug("no");
	assert_string_equal(capture_end(), "");
	assert_true(levee_log_on(LEVEE_LOG_WARNING));
	assert_false(levee_log_on(LEVEE_LOG_NOTICE));
}

static void level_names_read_back(void **state)
{
	(void)state;
	for (int level = LEVEE_LOG_ERROR; level <= LEVEE_LOG_DEBUG; level++)
		assert_int_equal(levee_log_level_parse(levee_log_level_name(level)), level);
	assert_int_equal(levee_log_level_parse("loud"), -1);
	assert_int_equal(levee_log_level_parse(""), -1);
	assert_string_equal(levee_log_level_name((enum levee_log_level)99), "unknown");
}

static void a_message_is_one_line_whatever_is_in_it(void **state)
{
	const char *line;

	(void)state;
	capture_begin();
	levee_error("a\nb\x1b[31m\r\tc\x9b%s", "\xc2\x9b");
	line = capture_end();
	assert_non_null(strstr(line, "a?b?[31m??c???\n"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_long_message_is_cut_and_says_so(void **state)
{
	char *huge = malloc(100001);
	const char *line;

	(void)state;
	assert_non_null(huge);
	memset(huge, 'x', 100000);
	huge[100000] = '\0';
	capture_begin();
	levee_error("%s", huge);
	line = capture_end();
	assert_in_range(strlen(line), 1000, 4096);
	assert_string_equal(line + strlen(line) - 5, "x...\n");
	free(huge);
}

static void errno_survives_a_message(void **state)
{
	const char *line;

	(void)state;
	capture_begin();
	errno = ENOSPC;
	levee_error("%m");
	assert_int_equal(errno, ENOSPC);
	line = capture_end();
	assert_non_null(strstr(line, strerror(ENOSPC)));
}

static void only_well_formed_utf8_has_a_length(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, length;
	} cases[] = {
		{ "", 0, 0 },
		{ "\0", 1, 1 },
		{ "a", 1, 1 },
		{ "\x7f", 1, 1 },
		{ "\x80", 1, 0 },	      /* a continuation */
		{ "\xc0\x80", 2, 0 },	      /* overlong NUL */
		{ "\xc1\xbf", 2, 0 },	      /* overlong */
		{ "\xc3\xa9", 2, 2 },	      /* e acute */
		{ "\xc3", 1, 0 },	      /* cut short */
		{ "\xc3\x28", 2, 0 },	      /* no continuation */
		{ "\xe0\x9f\xbf", 3, 0 },     /* overlong */
		{ "\xe2\x82\xac", 3, 3 },     /* euro sign */
		{ "\xe2\x82\xac", 2, 0 },     /* cut short */
		{ "\xed\x9f\xbf", 3, 3 },     /* U+D7FF */
		{ "\xed\xa0\x80", 3, 0 },     /* a surrogate */
		{ "\xf0\x8f\xbf\xbf", 4, 0 }, /* overlong */
		{ "\xf0\x9f\x98\x80", 4, 4 }, /* a face */
		{ "\xf4\x8f\xbf\xbf", 4, 4 }, /* U+10FFFF */
		{ "\xf4\x90\x80\x80", 4, 0 }, /* above it */
		{ "\xf5\x80\x80\x80", 4, 0 },
		{ "\xff", 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(levee_utf8_length(cases[i].bytes, cases[i].n), cases[i].length);
}

static void clean_text_is_left_as_it_is(void **state)
{
	char good[] = "caf\xc3\xa9 \xe2\x82\xac 5 \xf0\x9f\x98\x80";
	char separators[] = "a\xe2\x80\xa8"
			    "b\xe2\x80\xae";

	(void)state;
	levee_log_clean(good);
	assert_string_equal(good, "caf\xc3\xa9 \xe2\x82\xac 5 \xf0\x9f\x98\x80");
	levee_log_clean(separators);
	assert_string_equal(separators, "a???b???");
}

#define SECOND 1000000000ULL

static void a_burst_passes_and_then_one_a_period(void **state)
{
	struct levee_log_limit limit = { .period_ns = SECOND, .burst = 3 };
	unsigned int passed = 0;

	(void)state;
	levee_log_set_level(LEVEE_LOG_ERROR);
	for (int i = 0; i < 10; i++)
		passed += levee_log_allowed(&limit, LEVEE_LOG_ERROR, 5 * SECOND);
	assert_int_equal(passed, 3);
	capture_begin();
	assert_false(levee_log_allowed(&limit, LEVEE_LOG_ERROR, 6 * SECOND - 1));
	assert_true(levee_log_allowed(&limit, LEVEE_LOG_ERROR, 6 * SECOND));
	assert_false(levee_log_allowed(&limit, LEVEE_LOG_ERROR, 7 * SECOND - 1));
	assert_true(levee_log_allowed(&limit, LEVEE_LOG_ERROR, 7 * SECOND));
	capture_end();
}

static void what_was_left_out_is_said_once(void **state)
{
	struct levee_log_limit limit = { .period_ns = SECOND, .burst = 1 };
	const char *said;

	(void)state;
	for (int i = 0; i < 5; i++)
		levee_log_allowed(&limit, LEVEE_LOG_WARNING, SECOND);
	capture_begin();
	assert_true(levee_log_allowed(&limit, LEVEE_LOG_WARNING, 2 * SECOND));
	assert_true(levee_log_allowed(&limit, LEVEE_LOG_WARNING, 3 * SECOND));
	said = capture_end();
	assert_non_null(strstr(said, "warning: 4 messages like the next one were left out\n"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void a_quiet_while_gives_the_whole_burst_back(void **state)
{
	struct levee_log_limit limit = { .period_ns = SECOND, .burst = 4 };
	unsigned int passed = 0;

	(void)state;
	for (int i = 0; i < 4; i++)
		levee_log_allowed(&limit, LEVEE_LOG_WARNING, 0);
	for (int i = 0; i < 9; i++)
		passed += levee_log_allowed(&limit, LEVEE_LOG_WARNING, 1000 * SECOND);
	assert_int_equal(passed, 4);
}

static void a_level_that_is_off_uses_nothing_up(void **state)
{
	struct levee_log_limit limit = { .period_ns = SECOND, .burst = 1 };

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_false(levee_log_allowed(&limit, LEVEE_LOG_DEBUG, SECOND));
	assert_int_equal(limit.left_out, 0);
	levee_log_set_level(LEVEE_LOG_DEBUG);
	assert_true(levee_log_allowed(&limit, LEVEE_LOG_DEBUG, SECOND));
}

static void a_clock_that_goes_back_gives_nothing_away(void **state)
{
	struct levee_log_limit limit = { .period_ns = SECOND, .burst = 1 };

	(void)state;
	assert_true(levee_log_allowed(&limit, LEVEE_LOG_ERROR, 100 * SECOND));
	assert_false(levee_log_allowed(&limit, LEVEE_LOG_ERROR, SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_for_people_has_time_and_level, reset),
		cmocka_unit_test_setup(a_line_for_journald_begins_with_its_priority, reset),
		cmocka_unit_test_setup(a_redirected_stderr_is_not_taken_for_the_journal, reset),
		cmocka_unit_test_setup(levels_above_the_chosen_one_are_silent, reset),
		cmocka_unit_test_setup(level_names_read_back, reset),
		cmocka_unit_test_setup(a_message_is_one_line_whatever_is_in_it, reset),
		cmocka_unit_test_setup(a_long_message_is_cut_and_says_so, reset),
		cmocka_unit_test_setup(errno_survives_a_message, reset),
		cmocka_unit_test_setup(only_well_formed_utf8_has_a_length, reset),
		cmocka_unit_test_setup(clean_text_is_left_as_it_is, reset),
		cmocka_unit_test_setup(a_burst_passes_and_then_one_a_period, reset),
		cmocka_unit_test_setup(what_was_left_out_is_said_once, reset),
		cmocka_unit_test_setup(a_quiet_while_gives_the_whole_burst_back, reset),
		cmocka_unit_test_setup(a_level_that_is_off_uses_nothing_up, reset),
		cmocka_unit_test_setup(a_clock_that_goes_back_gives_nothing_away, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
