/* SPDX-License-Identifier: BSD-2-Clause */
/* levee completion: scripts for shells, made from the table of commands. */
#include "control/cli/cmd_live.h"

#include <string.h>

const struct levee_option levee_completion_options[] = { { 0 } };

/* The words that may stand at one place of a command's name: after `before`, which ends in a blank. */
static void print_next_words(const char *before, const char *separator)
{
	size_t len = strlen(before), n;
	const char *last = "", *word;

	for (const struct levee_command *c = levee_commands; c->name; c++) {
		if (strncmp(c->name, before, len))
			continue;
		word = c->name + len;
		n = strcspn(word, " ");
		/* Commands of one group stand together in the table. */
		if (strlen(last) >= n && !strncmp(last, word, n) && (!last[n] || last[n] == ' '))
			continue;
		printf("%s%.*s", *last ? separator : "", (int)n, word);
		last = word;
	}
}

static void print_options(const struct levee_command *c)
{
	for (const struct levee_option *o = c->options; o->name; o++)
		printf("--%s ", o->name);
	printf("--help");
}

/* ---- bash ---------------------------------------------------------------------------------- */

static void print_bash(void)
{
	printf("# bash completion for levee; made by `levee completion bash`\n"
	       "_levee() {\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=''\n"
	       "\tcase $prev in\n"
	       "\t--config | --token-file | --socket | --allow | --pin)\n"
	       "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	       "\t\treturn\n\t\t;;\n"
	       "\tesac\n"
	       "\tcase \"$COMP_CWORD ${COMP_WORDS[*]:1:COMP_CWORD-1} \" in\n");
	/* Longer names first: "config check" before what completes its second word. */
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		printf("\t*' %s '*) words='", c->name);
		print_options(c);
		printf("' ;;\n");
	}
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		size_t n = strcspn(c->name, " ");
		char group[64];

		if (!c->name[n] || (c > levee_commands && !strncmp(c[-1].name, c->name, n + 1)))
			continue;
		snprintf(group, sizeof(group), "%.*s ", (int)n, c->name);
		printf("\t'2 %s') words='", group);
		print_next_words(group, " ");
		printf("' ;;\n");
	}
	printf("\t'1 '*) words='");
	print_next_words("", " ");
	printf(" --help --version' ;;\n"
	       "\tesac\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
	       "\t[ ${#COMPREPLY[@]} -gt 0 ] || mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	       "}\n"
	       "complete -F _levee levee\n");
}

/* ---- zsh ----------------------------------------------------------------------------------- */

/* Within single quotes, and without what _arguments and _describe take for their own. */
static void print_quoted(const char *text)
{
	for (; *text; text++)
		if (*text == '\'')
			printf("'\\''");
		else if (*text == '[' || *text == ']' || *text == ':')
			printf("\\%c", *text);
		else
			putchar(*text);
}

static void print_zsh_options(const struct levee_command *c)
{
	printf("\t\t_arguments -s");
	for (const struct levee_option *o = c->options; o->name; o++) {
		printf(" \\\n\t\t\t'*--%s%s[", o->name, o->argument ? "=" : "");
		print_quoted(o->help);
		printf("]%s", o->argument ? ":" : "");
		if (o->argument) {
			print_quoted(o->argument);
			printf(strcmp(o->argument, "FILE") && strcmp(o->argument, "PATH")
				       ? ": "
				       : ":_files");
		}
		printf("'");
	}
	printf(" \\\n\t\t\t'--help[print help]' '*:argument:_files'\n");
}

static void print_zsh(void)
{
	printf("#compdef levee\n# made by `levee completion zsh`\n"
	       "_levee() {\n"
	       "\tlocal -a commands\n"
	       "\tcommands=(\n");
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		print_quoted(c->summary);
		printf("'\n");
	}
	printf("\t)\n"
	       "\tcase \"${words[2,CURRENT-1]} \" in\n");
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		printf("\t'%s '*)\n", c->name);
		print_zsh_options(c);
		printf("\t\t;;\n");
	}
	printf("\t*)\n"
	       "\t\tlocal typed=\"${(j: :)words[2,CURRENT-1]}\"\n"
	       "\t\tcommands=(${(M)commands:#${typed:+$typed }*})\n"
	       "\t\tcommands=(${commands#${typed:+$typed }})\n"
	       "\t\t_describe command commands\n"
	       "\t\t;;\n"
	       "\tesac\n"
	       "}\n"
	       /* In fpath the file is the function; read by `source` it only makes it known. */
	       "if [ \"${funcstack[1]}\" = _levee ]; then _levee \"$@\"; else compdef _levee "
	       "levee; fi\n");
}

/* ---- fish ---------------------------------------------------------------------------------- */

static void print_fish_text(const char *text)
{
	for (; *text; text++)
		if (*text == '\'' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
}

/* What must have been typed for `c` to be meant, or for its next word to come. */
static void print_fish_condition(const char *name)
{
	size_t n = strcspn(name, " ");

	printf("-n '__fish_seen_subcommand_from %.*s", (int)n, name);
	if (name[n])
		printf("; and __fish_seen_subcommand_from %s", name + n + 1);
	printf("'");
}

static void print_fish(void)
{
	const char *group = "";

	printf("# fish completion for levee; made by `levee completion fish`\n"
	       "complete -c levee -f\n");
	for (const struct levee_command *c = levee_commands; c->name; c++) {
		size_t n = strcspn(c->name, " ");

		if (c->name[n]) {
			if (strncmp(group, c->name, n + 1))
				printf("complete -c levee -n __fish_use_subcommand -a '%.*s'\n",
				       (int)n, c->name);
			group = c->name;
			printf("complete -c levee -n '__fish_seen_subcommand_from %.*s' -a '%s' "
			       "-d '",
			       (int)n, c->name, c->name + n + 1);
		} else {
			printf("complete -c levee -n __fish_use_subcommand -a '%s' -d '", c->name);
		}
		print_fish_text(c->summary);
		printf("'\n");
		for (const struct levee_option *o = c->options; o->name; o++) {
			printf("complete -c levee ");
			print_fish_condition(c->name);
			printf(" -l %s %s-d '", o->name, o->argument ? "-r " : "");
			print_fish_text(o->help);
			printf("'\n");
		}
	}
}

static int set_nothing(void *ctx, int option, const char *value)
{
	(void)ctx;
	(void)option;
	(void)value;
	return 0;
}

int levee_cmd_completion(const struct levee_command *command, int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };
	int first, ret = levee_command_parse(command, argc, argv, set_nothing, NULL, &first);

	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first + 1 == argc)
		for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++)
			if (!strcmp(argv[first], shells[i].shell)) {
				shells[i].print();
				return LEVEE_EXIT_OK;
			}
	return levee_command_usage(command, "one of bash, zsh and fish, please");
}
