/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * man TEMPLATE VERSION DATE: a man page (troff, man macros) on standard output.
 *
 * The template holds what only prose can say. Lines of it that are markers give way to what the
 * program's own tables say, which --help prints from as well:
 *
 *	.\"@commands          every command with its options         control/cli/commands.c
 *	.\"@config            every configuration key                control/config.c
 *	.\"@pktgen-options    the options of levee-pktgen            tools/pktgen/options.c
 *	.\"@scenario-keys     what a scenario file may hold          tools/pktgen/scenario.c
 *
 * @VERSION@ and @DATE@ (of the last change, so that a build can be repeated) are filled in.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/command.h"
#include "control/config.h"
#include "tools/pktgen/options.h"
#include "tools/pktgen/scenario.h"

/* Text of a table as troff takes it: `quoted` in bold, no character that means something else. */
static void put_text(const char *text, FILE *out)
{
	bool begins_line = true, bold = false;

	for (; *text; text++) {
		if (begins_line && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		begins_line = *text == '\n';
		switch (*text) {
		case '\\':
			fputs("\\e", out);
			break;
		case '-':
			fputs("\\-", out);
			break;
		case '^':
			fputs("\\(ha", out);
			break;
		case '~':
			fputs("\\(ti", out);
			break;
		case '"':
			fputs("\\(dq", out);
			break;
		case '`':
			bold = !bold;
			fputs(bold ? "\\fB" : "\\fR", out);
			break;
		default:
			fputc(*text, out);
		}
	}
	if (bold)
		fputs("\\fR", out);
}

static void put_option(const char *name, const char *argument, const char *help, FILE *out)
{
	fputs(".TP\n\\fB\\-\\-", out);
	put_text(name, out);
	fputs("\\fR", out);
	if (argument) {
		fputs(" \\fI", out);
		put_text(argument, out);
		fputs("\\fR", out);
	}
	fputc('\n', out);
	put_text(help, out);
	fputc('\n', out);
}

static void put_commands(FILE *out)
{
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		fputs(".SS \"levee ", out);
		put_text(c->name, out);
		fputs(c->options[0].name ? " [OPTION]..." : "", out);
		fputs(c->arguments[0] ? " " : "", out);
		put_text(c->arguments, out);
		fputs("\"\n", out);
		put_text(c->text, out);
		fputc('\n', out);
		for (const struct levee_option *o = c->options; o->name; o++)
			put_option(o->name, o->argument, o->help, out);
	}
}

static void put_key(const struct levee_config_key *key, FILE *out)
{
	fputs(".TP\n\\fB", out);
	put_text(key->name, out);
	fputs("\\fR\n", out);
	put_text(key->help, out);
	fputs(key->live ? "" : LEVEE_CONFIG_RESTART, out);
	fputs("\n.br\nAccepted: ", out);
	put_text(key->range, out);
	fputs(*key->unit ? " [" : "", out);
	put_text(key->unit, out);
	fputs(*key->unit ? "]" : "", out);
	fputs(". Default: ", out);
	put_text(*key->value ? key->value : "nothing", out);
	fputs(".\n", out);
}

static void put_config(FILE *out)
{
	size_t n;
	const struct levee_config_key *keys = levee_config_keys(&n);

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || strcmp(keys[i].section, keys[i - 1].section) != 0) {
			fputs(".SS [", out);
			put_text(keys[i].section, out);
			fputs("]\n", out);
		}
		put_key(&keys[i], out);
	}
}

static void put_pktgen_options(FILE *out)
{
	for (size_t i = 0; i < PKTGEN_OPTIONS; i++)
		put_option(pktgen_options[i].name, pktgen_options[i].value, pktgen_options[i].help,
			   out);
}

static void put_scenario_key(void *ctx, const struct pktgen_key_text *key)
{
	FILE *out = ctx;

	fputs(".TP\n\\fB", out);
	put_text(key->name, out);
	fputs("\\fR\n", out);
	put_text(key->help, out);
	fputs("\n.br\nAccepted: ", out);
	put_text(key->range, out);
	fputs(key->value ? ". Default: " : ". ", out);
	put_text(key->value ? key->value : "It must be given", out);
	fputs(".\n", out);
}

static void put_scenario_keys(FILE *out)
{
	fputs(".SS [scenario]\n", out);
	pktgen_scenario_walk_keys(false, put_scenario_key, out);
	fputs(".SS \"[NAME], one section for each population of sources\"\n", out);
	pktgen_scenario_walk_keys(true, put_scenario_key, out);
}

static const struct {
	const char *name;
	void (*put)(FILE *out);
} markers[] = {
	{ "commands", put_commands },
	{ "config", put_config },
	{ "pktgen-options", put_pktgen_options },
	{ "scenario-keys", put_scenario_keys },
};

/* \return 0; -EINVAL if the line is a marker that nobody knows */
static int put_marker(const char *name, FILE *out)
{
	for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
		if (!strcmp(markers[i].name, name)) {
			markers[i].put(out);
			return 0;
		}
	}
	fprintf(stderr, "man: no table is called %s\n", name);
	return -EINVAL;
}

static void put_line(const char *line, const char *version, const char *date, FILE *out)
{
	const char *at;

	while ((at = strchr(line, '@'))) {
		fwrite(line, 1, (size_t)(at - line), out);
		if (!strncmp(at, "@VERSION@", 9)) {
			put_text(version, out);
			line = at + 9;
		} else if (!strncmp(at, "@DATE@", 6)) {
			fputs(date, out);
			line = at + 6;
		} else {
			fputc('@', out);
			line = at + 1;
		}
	}
	fputs(line, out);
	fputc('\n', out);
}

static int put_page(FILE *in, const char *version, const char *date, FILE *out)
{
	static const char mark[] = ".\\\"@";
	char line[1024];
	int ret = 0;

	while (!ret && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, mark, sizeof(mark) - 1))
			ret = put_marker(line + sizeof(mark) - 1, out);
		else
			put_line(line, version, date, out);
	}
	return ret ? ret : ferror(in) || fflush(out) ? -EIO : 0;
}

int main(int argc, char **argv)
{
	FILE *in;
	int ret;

	if (argc != 4) {
		fputs("usage: man TEMPLATE VERSION DATE\n", stderr);
		return 2;
	}
	in = fopen(argv[1], "re");
	if (!in) {
		fprintf(stderr, "man: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	ret = put_page(in, argv[2], argv[3], stdout);
	fclose(in);
	return ret ? 1 : 0;
}
