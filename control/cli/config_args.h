/* SPDX-License-Identifier: BSD-2-Clause */
/* The options --config and --set, which several commands take, and the reading that follows. */
#ifndef LEVEE_CLI_CONFIG_ARGS_H
#define LEVEE_CLI_CONFIG_ARGS_H

#include <stddef.h>

#include "control/config.h"

#define LEVEE_CONFIG_SETS 64

struct levee_config_args {
	const char *path;		     /* of --config; NULL: LEVEE_CONFIG_PATH */
	const char *sets[LEVEE_CONFIG_SETS]; /* SECTION.KEY=VALUE, in order */
	size_t n_sets;
};

/* The first two options of a command that takes them. */
#define LEVEE_CONFIG_OPTIONS                                                             \
	{ "config", "FILE", "configuration (default: " LEVEE_CONFIG_PATH ")" },          \
	{                                                                                \
		"set", "SECTION.KEY=VALUE", "set one key over the file; may be repeated" \
	}
#define LEVEE_CONFIG_N_OPTIONS 2

/** For levee_command_parse(): option 0 and 1 of those. \return 0; -EINVAL, said */
int levee_config_args_set(struct levee_config_args *args, int option, const char *value);

/** Where the configuration is read from. */
const char *levee_config_args_path(const struct levee_config_args *args);

/** Read the file, then what --set says, then validate. \return 0; -errno, every defect said */
int levee_config_args_read(struct levee_config *config, const struct levee_config_args *args);

/** The same, with the defects written elsewhere. */
int levee_config_args_read_to(struct levee_config *config, const struct levee_config_args *args,
			      FILE *errors);

/** The same for commands that work without a file: none under the default path is no error. */
int levee_config_args_read_if_any(struct levee_config *config,
				  const struct levee_config_args *args);

#endif
