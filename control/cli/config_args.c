/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/config_args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64 /* of a section or key, with its end */

static bool is_assignment(const char *text)
{
	const char *dot = strchr(text, '.'), *eq = strchr(text, '=');

	return dot && eq && eq > dot && dot - text < NAME_BYTES && eq - dot <= NAME_BYTES;
}

int levee_config_args_set(struct levee_config_args *args, int option, const char *value)
{
	if (option == 0) {
		args->path = value;
		return 0;
	}
	if (!is_assignment(value)) {
		fprintf(stderr, "levee: --set %s: not SECTION.KEY=VALUE\n", value);
		return -EINVAL;
	}
	if (args->n_sets == LEVEE_CONFIG_SETS) {
		fprintf(stderr, "levee: --set: more than %d of them\n", LEVEE_CONFIG_SETS);
		return -EINVAL;
	}
	args->sets[args->n_sets++] = value;
	return 0;
}

const char *levee_config_args_path(const struct levee_config_args *args)
{
	return args->path ? args->path : LEVEE_CONFIG_PATH;
}

/* \param text  an assignment, as levee_config_args_set() has found */
static int apply_set(struct levee_config *config, const char *text, FILE *errors)
{
	char section[NAME_BYTES], key[NAME_BYTES];
	const char *dot = strchr(text, '.'), *eq = strchr(text, '=');

	snprintf(section, sizeof(section), "%.*s", (int)(dot - text), text);
	snprintf(key, sizeof(key), "%.*s", (int)(eq - dot - 1), dot + 1);
	return levee_config_set(config, section, key, eq + 1, "--set", errors);
}

static int read_over(struct levee_config *config, const struct levee_config_args *args, bool file,
		     FILE *errors)
{
	const char *path = levee_config_args_path(args);
	int ret = levee_config_init(config);

	if (ret)
		return ret;
	if (file)
		ret = levee_config_read(config, path, errors);
	for (size_t i = 0; i < args->n_sets; i++)
		if (apply_set(config, args->sets[i], errors))
			ret = -EINVAL;
	if (!ret)
		ret = levee_config_validate(config, path, errors);
	if (ret)
		levee_config_clear(config);
	return ret;
}

int levee_config_args_read(struct levee_config *config, const struct levee_config_args *args)
{
	return read_over(config, args, true, stderr);
}

int levee_config_args_read_to(struct levee_config *config, const struct levee_config_args *args,
			      FILE *errors)
{
	return read_over(config, args, true, errors);
}

int levee_config_args_read_if_any(struct levee_config *config, const struct levee_config_args *args)
{
	bool none = !args->path && access(LEVEE_CONFIG_PATH, F_OK) < 0 && errno == ENOENT;

	return read_over(config, args, !none, stderr);
}
