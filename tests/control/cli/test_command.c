/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/command.h"

static const struct levee_option options[] = { { "bin", "S", "a bin" },
					       { "audit", NULL, "a flag" },
					       { 0 } };
static const struct levee_command command = {
	.name = "replay", .arguments = "FILE", .summary = "s", .text = "t", .options = options
};

struct seen {
	char text[256];
};

static int note(void *ctx, int option, const char *value)
{
	struct seen *s = ctx;
	size_t used = strlen(s->text);

	snprintf(s->text + used, sizeof(s->text) - used, "%s=%s;", options[option].name,
		 value ? value : "-");
	return value && !strcmp(value, "bad") ? -EINVAL : 0;
}

static int parse(struct seen *s, int argc, const char *const *argv, int *first)
{
	memset(s, 0, sizeof(*s));
	return levee_command_parse(&command, argc, (char **)(uintptr_t)argv, note, s, first);
}

static void options_take_their_value_behind_a_space_or_an_equals_sign(void **state)
{
	const char *const argv[] = { "replay", "--bin", "60", "--bin=5", "--audit", "file" };
	struct seen s;
	int first;

	(void)state;
	assert_int_equal(parse(&s, 6, argv, &first), 0);
	assert_string_equal(s.text, "bin=60;bin=5;audit=-;");
	assert_int_equal(first, 5);
}

static void two_dashes_end_the_options(void **state)
{
	const char *const argv[] = { "replay", "--audit", "--", "--bin" };
	struct seen s;
	int first;

	(void)state;
	assert_int_equal(parse(&s, 4, argv, &first), 0);
	assert_string_equal(s.text, "audit=-;");
	assert_int_equal(first, 3);
}

static void a_single_dash_is_an_argument(void **state)
{
	const char *const argv[] = { "replay", "-" };
	struct seen s;
	int first;

	(void)state;
	assert_int_equal(parse(&s, 2, argv, &first), 0);
	assert_int_equal(first, 1);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const wrong[][3] = {
		{ "replay", "--bins", "1" },	{ "replay", "--bin", NULL },
		{ "replay", "--audit=1", "f" }, { "replay", "-b", "1" },
		{ "replay", "--bin", "bad" },	{ "replay", "--bi", "1" },
	};
	struct seen s;
	int first;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(parse(&s, wrong[i][2] ? 3 : 2, wrong[i], &first), -EINVAL);
}

static void options_may_stand_between_and_behind_arguments(void **state)
{
	char words[][8] = { "replay", "one", "--bin", "60", "-", "--audit", "--", "--bin" };
	char *argv[8];
	struct seen s = { 0 };
	int first;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		argv[i] = words[i];
	assert_int_equal(levee_command_parse(&command, 8, argv, note, &s, &first), 0);
	assert_string_equal(s.text, "bin=60;audit=-;");
	assert_int_equal(first, 5);
	assert_string_equal(argv[5], "one");
	assert_string_equal(argv[6], "-");
	assert_string_equal(argv[7], "--bin");
}

static void whole_numbers_have_digits_only_and_a_range(void **state)
{
	static const char *const wrong[] = { "",
					     "-1",
					     "+1",
					     " 1",
					     "1 ",
					     "1s",
					     "0x1",
					     "1.0",
					     "0",
					     "101",
					     "99999999999999999999999" };
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(levee_parse_uint("bin", wrong[i], 1, 100, &n), -EINVAL);
		assert_int_equal(n, 7);
	}
	assert_int_equal(levee_parse_uint("bin", "100", 1, 100, &n), 0);
	assert_int_equal(n, 100);
}

static void numbers_have_no_exponent_and_no_names(void **state)
{
	static const char *const wrong[] = { "",   "1e3",   "inf", "nan", "0x1p3",
					     "-1", "1.2.3", ".",   "0.05" };
	double x = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(levee_parse_double("min-zscore", wrong[i], 0.1, 1000, &x),
				 -EINVAL);
	assert_int_equal(levee_parse_double("min-zscore", "3.5", 0.1, 1000, &x), 0);
	assert_true(x == 3.5);
}

static int run(const char *words)
{
	char *argv[8] = { (char[]){ "levee" } }, *copy = strdup(words), *at = copy, *word;
	int argc = 1, ret;

	while ((word = strsep(&at, " ")) && *word)
		argv[argc++] = word;
	ret = levee_command_main(argc, argv);
	free(copy);
	return ret;
}

static void exit_codes_tell_usage_from_failure(void **state)
{
	(void)state;
	assert_int_equal(run("version"), LEVEE_EXIT_OK);
	assert_int_equal(run("--version"), LEVEE_EXIT_OK);
	assert_int_equal(run("--help"), LEVEE_EXIT_OK);
	assert_int_equal(run("replay --help"), LEVEE_EXIT_OK);
	assert_int_equal(run(""), LEVEE_EXIT_USAGE);
	assert_int_equal(run("nothing"), LEVEE_EXIT_USAGE);
	assert_int_equal(run("config"), LEVEE_EXIT_USAGE);
	assert_int_equal(run("config nothing"), LEVEE_EXIT_USAGE);
	assert_int_equal(run("replay"), LEVEE_EXIT_USAGE);
	assert_int_equal(run("replay --bin 7 --window 60 f"), LEVEE_EXIT_USAGE);
	assert_int_equal(run("version x"), LEVEE_EXIT_USAGE);
	assert_int_equal(run("replay /nonexistent/file"), LEVEE_EXIT_ERROR);
	assert_int_equal(run("config check /nonexistent/file"), LEVEE_EXIT_ERROR);
}

/* What `words` write to one of the two standard streams; their exit code. */
static int said(const char *words, int stream, char *text, size_t size)
{
	FILE *file = stream == STDERR_FILENO ? stderr : stdout, *to = tmpfile();
	int old = dup(stream), ret;
	size_t n;

	assert_non_null(to);
	fflush(file);
	assert_true(dup2(fileno(to), stream) >= 0);
	ret = run(words);
	fflush(file);
	dup2(old, stream);
	close(old);
	rewind(to);
	n = fread(text, 1, size - 1, to);
	text[n] = '\0';
	fclose(to);
	return ret;
}

static void a_slip_is_answered_with_what_was_meant(void **state)
{
	static const struct {
		const char *typed, *answer;
	} table[] = {
		{ "statsu", "levee: no command statsu; did you mean `levee status`?\n" },
		{ "blok 1.2.3.4", "levee: no command blok; did you mean `levee block`?\n" },
		{ "alow list", "levee: no command alow; did you mean `levee allow list`?\n" },
		{ "confg", "levee: no command confg; did you mean `levee config`?\n" },
		{ "allow ad 1.2.3.4",
		  "levee: no command allow ad; did you mean `levee allow add`?\n" },
		{ "blocks --jsno", "levee blocks: no option --jsno: did you mean --json?" },
		{ "blocks -json", "levee blocks: no option -json: did you mean --json?" },
		{ "help stauts", "levee: no command stauts; did you mean `levee status`?\n" },
		{ "frobnicate", "levee: no command frobnicate; `levee --help` lists them\n" },
	};
	char text[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(said(table[i].typed, STDERR_FILENO, text, sizeof(text)),
				 LEVEE_EXIT_USAGE);
		text[strlen(text) < strlen(table[i].answer) ? strlen(text)
							    : strlen(table[i].answer)] = '\0';
		assert_string_equal(text, table[i].answer);
	}
}

static void a_word_of_a_list_is_refused_with_the_list(void **state)
{
	char text[512];

	(void)state;
	assert_int_equal(said("blocks --order zcore", STDERR_FILENO, text, sizeof(text)),
			 LEVEE_EXIT_USAGE);
	assert_string_equal(text, "levee: --order zcore: not one of prefix, drops, zscore, end; "
				  "did you mean zscore?\n");
}

static void help_is_where_people_look_for_it(void **state)
{
	static const char *const same[] = { "help block", "block --help", "block -h",
					    "block 1.2.3.4 --help" };
	char text[16384], first[16384];

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(said(same[i], STDOUT_FILENO, text, sizeof(text)), LEVEE_EXIT_OK);
		if (!i)
			memcpy(first, text, sizeof(first));
		assert_string_equal(text, first);
	}
	assert_non_null(strstr(text, "Usage: levee block"));
	assert_int_equal(said("allow --help", STDOUT_FILENO, text, sizeof(text)), LEVEE_EXIT_OK);
	assert_non_null(strstr(text, "levee allow add"));
}

static void every_command_and_option_is_described(void **state)
{
	(void)state;
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		assert_true(strlen(c->summary) > 10 && strlen(c->text) > 20);
		for (const char *line = c->text; *line;
		     line += strcspn(line, "\n") + !!strchr(line, '\n'))
			assert_true(strcspn(line, "\n") <= 92);
		for (const struct levee_option *o = c->options; o->name; o++)
			assert_true(strlen(o->help) > 10);
	}
}

/* What the commands print is not of interest here. */
static int silence(void **state)
{
	int null = open("/dev/null", O_WRONLY);

	(void)state;
	if (null < 0 || dup2(null, STDERR_FILENO) < 0)
		return -1;
	close(null);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_take_their_value_behind_a_space_or_an_equals_sign),
		cmocka_unit_test(two_dashes_end_the_options),
		cmocka_unit_test(a_single_dash_is_an_argument),
		cmocka_unit_test(options_may_stand_between_and_behind_arguments),
		cmocka_unit_test(wrong_options_are_refused),
		cmocka_unit_test(whole_numbers_have_digits_only_and_a_range),
		cmocka_unit_test(numbers_have_no_exponent_and_no_names),
		cmocka_unit_test(exit_codes_tell_usage_from_failure),
		cmocka_unit_test(a_slip_is_answered_with_what_was_meant),
		cmocka_unit_test(a_word_of_a_list_is_refused_with_the_list),
		cmocka_unit_test(help_is_where_people_look_for_it),
		cmocka_unit_test(every_command_and_option_is_described),
	};

	return cmocka_run_group_tests(tests, silence, NULL);
}
