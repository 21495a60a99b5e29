/* SPDX-License-Identifier: BSD-2-Clause */
/* `levee run`: the controller by the clock, on a live data path. */
#ifndef LEVEE_RUN_H
#define LEVEE_RUN_H

#include "control/config.h"

/** Where the configuration came from, and comes from again. */
struct levee_run_source {
	const char *path; /* for messages */
	/** Read it into *config, which levee_config_clear() frees. \return 0; -errno, said */
	int (*read)(void *ctx, struct levee_config *config, FILE *errors);
	void *ctx;
};

/**
 * Run until SIGTERM or SIGINT. The data path stays attached and in force.
 * \param config  in force; SIGHUP and `levee reload` change those keys of it that are live
 * \return 0; -errno, said
 */
int levee_run(struct levee_config *config, const struct levee_run_source *source);

#endif
