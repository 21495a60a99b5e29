/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands and their options are tables: parser, --help, man pages and completion are made from them.
 *
 * Exit codes: 0 done; 1 it failed, or the input had defects; 2 the command line is wrong; 3 no daemon
 * can be reached.
 */
#ifndef LEVEE_COMMAND_H
#define LEVEE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LEVEE_EXIT_OK	 0
#define LEVEE_EXIT_ERROR 1
#define LEVEE_EXIT_USAGE 2

struct levee_option {
	const char *name;     /* without the dashes */
	const char *argument; /* "FILE", "S"; NULL: a flag */
	const char *help;     /* unit, range and default in words */
};

struct levee_command {
	const char *name;		    /* "config check": words as typed */
	const char *arguments;		    /* after the options: "FILE"; "" */
	const char *summary;		    /* one line, for the list of commands */
	const char *text;		    /* what it does, in a paragraph or two */
	const struct levee_option *options; /* ended by a NULL name */
	int (*run)(const struct levee_command *command, int argc, char **argv);
};

/** All commands, ended by a NULL name. */
extern const struct levee_command levee_commands[];

/** Print the help of one command, or the list of all (NULL). */
void levee_command_help(const struct levee_command *command, FILE *out);

/**
 * Walk over the options of a command, which may stand before, between and behind its arguments.
 * argv[0] is the command's last word; arguments are moved behind the options, in their order.
 * \param set    called for each option with its place in the table and its value (NULL for a
 *               flag); returns 0 or -EINVAL after saying why
 * \param first  set to the index of the first argument that is no option; argc if there is none
 * \return 0; -EINVAL, said; 1 if --help was printed
 */
int levee_command_parse(const struct levee_command *command, int argc, char **argv,
			int (*set)(void *ctx, int option, const char *value), void *ctx,
			int *first);

/** Say what is wrong with the command line, and where help is. \return LEVEE_EXIT_USAGE */
int levee_command_usage(const struct levee_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** A whole number within a range, or -EINVAL, said with the option's name. */
int levee_parse_uint(const char *option, const char *value, uint64_t min, uint64_t max,
		     uint64_t *out);
int levee_parse_double(const char *option, const char *value, double min, double max, double *out);

/**
 * A word of a list, or -EINVAL, said with the option's name, the words, and which is nearest.
 * \param words  ended by NULL
 */
int levee_parse_word(const char *option, const char *value, const char *const *words);

/** Run the command that argv names. \return the exit code */
int levee_command_main(int argc, char **argv);

#endif
