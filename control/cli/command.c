/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/command.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct levee_option help_option = { "help", NULL, "print this" };

static void print_option(const struct levee_option *o, FILE *out)
{
	char left[48];

	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->argument ? " " : "",
		 o->argument ? o->argument : "");
	fprintf(out, "  %-24s %s\n", left, o->help);
}

void levee_command_help(const struct levee_command *command, FILE *out)
{
	if (!command) {
		fprintf(out,
			"Usage: levee COMMAND [OPTION]... [ARGUMENT]...\n\n"
			"Keeps network floods away from this instance: counts packets per source "
			"in the\nkernel, finds abnormal sources by Z-score, and drops them.\n\n"
			"Commands:\n");
		for (const struct levee_command *c = levee_commands; c->name; c++)
			fprintf(out, "  %-16s %s\n", c->name, c->summary);
		fprintf(out, "\n`levee COMMAND --help` describes a command.\n");
		return;
	}
	fprintf(out, "Usage: levee %s [OPTION]...%s%s\n\n%s\n\nOptions:\n", command->name,
		command->arguments[0] ? " " : "", command->arguments, command->text);
	for (const struct levee_option *o = command->options; o->name; o++)
		print_option(o, out);
	print_option(&help_option, out);
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

int levee_command_parse(const struct levee_command *command, int argc, char **argv,
			int (*set)(void *ctx, int option, const char *value), void *ctx, int *first)
{
	const struct levee_option *o;
	const char *value;
	int i, option;

	for (i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (word[0] != '-' || !word[1])
			break;
		if (!strcmp(word, "--")) {
			i++;
			break;
		}
		if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
			levee_command_help(command, stdout);
			return 1;
		}
		option = word[1] == '-' ? find_option(command, word + 2, &value) : -1;
		if (option < 0) {
			levee_command_usage(command, "no option %s", word);
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
	}
	*first = i;
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

static int print_group(const char *word)
{
	fprintf(stderr, "levee %s: one of these is meant:\n", word);
	for (const struct levee_command *c = levee_commands; c->name; c++)
		if (!strncmp(c->name, word, strlen(word)) && c->name[strlen(word)] == ' ')
			fprintf(stderr, "  levee %-16s %s\n", c->name, c->summary);
	return LEVEE_EXIT_USAGE;
}

int levee_command_main(int argc, char **argv)
{
	static char version[] = "version";

	if (argc < 2) {
		levee_command_help(NULL, stderr);
		return LEVEE_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		levee_command_help(NULL, stdout);
		return LEVEE_EXIT_OK;
	}
	if (!strcmp(argv[1], "--version"))
		argv[1] = version;
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		int words = match_words(c, argc - 1, argv + 1);

		if (words)
			return c->run(c, argc - words, argv + words);
	}
	if (is_prefix_word(argv[1]))
		return print_group(argv[1]);
	fprintf(stderr, "levee: no command %s; `levee --help` lists them\n", argv[1]);
	return LEVEE_EXIT_USAGE;
}
