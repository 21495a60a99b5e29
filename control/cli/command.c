/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/command.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control/nearest.h"

#define NAME_MAX_WORDS 2 /* of a command's name */

static const struct levee_option help_option = { "help", NULL, "print this" };

/* Columns of the terminal that help goes to; 0: it is none, and lines stay as they are. */
static size_t columns_of(FILE *out)
{
	struct winsize size;

	if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) || size.ws_col < 20)
		return 0;
	return size.ws_col;
}

/*
 * Words, from column `at` on, in lines that a terminal of so many columns has, each but the first
 * behind `indent` blanks.
 */
static void print_wrapped(const char *text, size_t at, size_t indent, size_t columns, FILE *out)
{
	bool is_first = true;

	if (!columns) {
		fprintf(out, "%s\n", text);
		return;
	}
	for (text += strspn(text, " \n"); *text; text += strspn(text, " \n")) {
		size_t len = strcspn(text, " \n");

		if (!is_first && at + 1 + len >= columns) {
			fprintf(out, "\n%*s", (int)indent, "");
			at = indent;
			is_first = true;
		}
		fprintf(out, "%s%.*s", is_first ? "" : " ", (int)len, text);
		at += len + !is_first;
		is_first = false;
		text += len;
	}
	putc('\n', out);
}

static void print_option(const struct levee_option *o, size_t columns, FILE *out)
{
	bool is_narrow = columns && columns < 60;
	char left[48];

	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument ? " " : "",
		 o->argument ? o->argument : "");
	if (is_narrow)
		fprintf(out, "  %s\n      ", left);
	else
		fprintf(out, "  %-24s ", left);
	print_wrapped(o->help, is_narrow ? 6 : 27, is_narrow ? 6 : 27, columns, out);
}

static void print_summary(const char *before, const struct levee_command *c, size_t columns,
			  FILE *out)
{
	size_t at = strlen(before) + 17;

	fprintf(out, "%s%-16s ", before, c->name);
	print_wrapped(c->summary, at, columns < 60 ? 6 : at, columns, out);
}

void levee_command_help(const struct levee_command *command, FILE *out)
{
	size_t columns = columns_of(out);

	if (!command) {
		fprintf(out, "Usage: levee COMMAND [OPTION]... [ARGUMENT]...\n\n");
		print_wrapped("Keeps network floods away from this instance: counts packets per "
			      "source in the\nkernel, finds abnormal sources by Z-score, and drops "
			      "them.",
			      0, 0, columns, out);
		fprintf(out, "\nCommands:\n");
		for (const struct levee_command *c = levee_commands; c->name; c++)
			print_summary("  ", c, columns, out);
		fprintf(out, "\n`levee COMMAND --help` describes a command.\n");
		return;
	}
	fprintf(out, "Usage: levee %s [OPTION]...%s%s\n\n", command->name,
		command->arguments[0] ? " " : "", command->arguments);
	print_wrapped(command->text, 0, 0, columns, out);
	fprintf(out, "\nOptions:\n");
	for (const struct levee_option *o = command->options; o->name; o++)
		print_option(o, columns, out);
	print_option(&help_option, columns, out);
}

int levee_command_usage(const struct levee_command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "levee%s%s: ", command ? " " : "", command ? command->name : "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see `levee %s%s--help`\n", command ? command->name : "",
		command ? " " : "");
	return LEVEE_EXIT_USAGE;
}

/* Place of --name or --name=value in the table, -1 if it is not there. */
static int find_option(const struct levee_command *command, const char *word, const char **value)
{
	size_t len = strcspn(word, "=");

	*value = word[len] ? word + len + 1 : NULL;
	for (int i = 0; command->options[i].name; i++)
		if (strlen(command->options[i].name) == len &&
		    !strncmp(command->options[i].name, word, len))
			return i;
	return -1;
}

/* "--jsno", "-json" */
static void say_no_option(const struct levee_command *command, const char *word)
{
	const char *typed = word + strspn(word, "-"), *nearest = NULL;
	char name[64];
	size_t best, now;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(typed, "="), typed);
	best = levee_edits_allowed(name) + 1;
	for (const struct levee_option *o = command->options; o->name; o++) {
		now = levee_edits(name, o->name);
		if (now < best) {
			best = now;
			nearest = o->name;
		}
	}
	if (nearest)
		levee_command_usage(command, "no option %s: did you mean --%s?", word, nearest);
	else
		levee_command_usage(command, "no option %s", word);
}

/* Bring the last `options` of words + options entries to the front; the order within both stays. */
static void put_before(char **argv, int words, int options)
{
	for (int i = 0; words && i < options; i++) {
		char *option = argv[words + i];

		memmove(argv + i + 1, argv + i, (size_t)words * sizeof(*argv));
		argv[i] = option;
	}
}

int levee_command_parse(const struct levee_command *command, int argc, char **argv,
			int (*set)(void *ctx, int option, const char *value), void *ctx, int *first)
{
	const struct levee_option *o;
	const char *value;
	/* Arguments that were passed stand directly before i. */
	int i, option, at, words = 0;

	for (i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (word[0] != '-' || !word[1]) {
			words++;
			continue;
		}
		at = i;
		if (!strcmp(word, "--")) {
			put_before(argv + i - words, words, 1);
			i++;
			break;
		}
		if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
			levee_command_help(command, stdout);
			return 1;
		}
		option = word[1] == '-' ? find_option(command, word + 2, &value) : -1;
		if (option < 0) {
			say_no_option(command, word);
			return -EINVAL;
		}
		o = &command->options[option];
		if (o->argument && !value && ++i < argc)
			value = argv[i];
		if (o->argument ? !value : !!value) {
			levee_command_usage(command, "--%s takes %s%s", o->name,
					    o->argument ? "a value: " : "no value",
					    o->argument ? o->argument : "");
			return -EINVAL;
		}
		if (set(ctx, option, value))
			return -EINVAL;
		put_before(argv + at - words, words, i + 1 - at);
	}
	*first = i - words;
	return 0;
}

int levee_parse_uint(const char *option, const char *value, uint64_t min, uint64_t max,
		     uint64_t *out)
{
	unsigned long long n = 0;
	char *end = NULL;

	errno = 0;
	if (isdigit((unsigned char)value[0]))
		n = strtoull(value, &end, 10);
	if (!end || *end || errno || n < min || n > max) {
		fprintf(stderr, "levee: --%s %s: not a whole number from %llu to %llu\n", option,
			value, (unsigned long long)min, (unsigned long long)max);
		return -EINVAL;
	}
	*out = n;
	return 0;
}

int levee_parse_double(const char *option, const char *value, double min, double max, double *out)
{
	double x = 0;
	char *end = NULL;

	/* Digits and one point: no exponents, no hexadecimal, no "inf". */
	if (value[0] && strspn(value, "0123456789.") == strlen(value))
		x = strtod(value, &end);
	if (!end || *end || !isfinite(x) || x < min || x > max) {
		fprintf(stderr, "levee: --%s %s: not a number from %g to %g\n", option, value, min,
			max);
		return -EINVAL;
	}
	*out = x;
	return 0;
}

int levee_parse_word(const char *option, const char *value, const char *const *words)
{
	const char *nearest = levee_nearest(value, words);

	for (size_t i = 0; words[i]; i++)
		if (!strcmp(words[i], value))
			return 0;
	fprintf(stderr, "levee: --%s %s: not one of ", option, value);
	for (size_t i = 0; words[i]; i++)
		fprintf(stderr, "%s%s", i ? ", " : "", words[i]);
	fprintf(stderr, "%s%s%s\n", nearest ? "; did you mean " : "", nearest ? nearest : "",
		nearest ? "?" : "");
	return -EINVAL;
}

/* How many words of argv name this command: all of its own, or 0. */
static int match_words(const struct levee_command *command, int argc, char **argv)
{
	const char *name = command->name;
	int n = 0;

	while (*name) {
		size_t len = strcspn(name, " ");

		if (n >= argc || strlen(argv[n]) != len || strncmp(argv[n], name, len))
			return 0;
		n++;
		name += len + (name[len] == ' ');
	}
	return n;
}

/* "levee config": known, but for its second word. */
static bool is_prefix_word(const char *word)
{
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		size_t len = strcspn(c->name, " ");

		if (c->name[len] && strlen(word) == len && !strncmp(c->name, word, len))
			return true;
	}
	return false;
}

static void print_group(const char *word, FILE *out)
{
	for (const struct levee_command *c = levee_commands; c->name; c++)
		if (!strncmp(c->name, word, strlen(word)) && c->name[strlen(word)] == ' ')
			print_summary("  levee ", c, columns_of(out), out);
}

/* The first words of argv, as many as `name` has, with one blank between. \return false: fewer */
static bool join_words(const char *name, int argc, char **argv, char *out, size_t size)
{
	int words = strchr(name, ' ') ? NAME_MAX_WORDS : 1;

	if (argc < words)
		return false;
	snprintf(out, size, "%s%s%s", argv[0], words > 1 ? " " : "", words > 1 ? argv[1] : "");
	return true;
}

/* The command that is meant by words that name none; NULL: none is near. */
static const char *nearest_command(int argc, char **argv)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX, now;
	char typed[64];

	for (const struct levee_command *c = levee_commands; c->name; c++) {
		if (!join_words(c->name, argc, argv, typed, sizeof(typed)))
			continue;
		now = levee_edits(typed, c->name);
		if (now <= levee_edits_allowed(typed) && now < best) {
			best = now;
			nearest = c->name;
		}
	}
	return nearest;
}

/* "levee confg": nearly the first word of several. */
static const char *nearest_group(const char *word)
{
	static char group[32];
	size_t len;

	for (const struct levee_command *c = levee_commands; c->name; c++) {
		len = strcspn(c->name, " ");
		snprintf(group, sizeof(group), "%.*s", (int)len, c->name);
		if (c->name[len] && levee_edits(word, group) <= levee_edits_allowed(word) / 2 + 1)
			return group;
	}
	return NULL;
}

static int say_no_command(int argc, char **argv)
{
	const char *nearest = nearest_command(argc, argv);

	if (is_prefix_word(argv[0])) {
		if (argc > 1 && nearest)
			fprintf(stderr, "levee: no command %s %s; did you mean `levee %s`?\n",
				argv[0], argv[1], nearest);
		fprintf(stderr, "levee %s: one of these is meant:\n", argv[0]);
		print_group(argv[0], stderr);
		return LEVEE_EXIT_USAGE;
	}
	if (!nearest)
		nearest = nearest_group(argv[0]);
	if (nearest)
		fprintf(stderr, "levee: no command %s; did you mean `levee %s`?\n", argv[0],
			nearest);
	else
		fprintf(stderr, "levee: no command %s; `levee --help` lists them\n", argv[0]);
	return LEVEE_EXIT_USAGE;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

/* `levee help`, `levee help block`, `levee help allow`; argv is what comes after "help". */
static int help(int argc, char **argv)
{
	for (const struct levee_command *c = levee_commands; argc && c->name; c++)
		if (match_words(c, argc, argv)) {
			levee_command_help(c, stdout);
			return LEVEE_EXIT_OK;
		}
	if (!argc) {
		levee_command_help(NULL, stdout);
		return LEVEE_EXIT_OK;
	}
	if (!is_prefix_word(argv[0]))
		return say_no_command(argc, argv);
	printf("Usage: levee %s COMMAND [OPTION]... [ARGUMENT]...\n\n", argv[0]);
	print_group(argv[0], stdout);
	return LEVEE_EXIT_OK;
}

int levee_command_main(int argc, char **argv)
{
	static char version[] = "version";

	if (argc < 2) {
		levee_command_help(NULL, stderr);
		return LEVEE_EXIT_USAGE;
	}
	if (is_help(argv[1]))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		argv[1] = version;
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		int words = match_words(c, argc - 1, argv + 1);

		if (words)
			return c->run(c, argc - words, argv + words);
	}
	if (argc > 2 && is_prefix_word(argv[1]) && is_help(argv[2]))
		return help(1, argv + 1);
	return say_no_command(argc - 1, argv + 1);
}
