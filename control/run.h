/* SPDX-License-Identifier: BSD-2-Clause */
/* `levee run`: the controller by the clock, on a live data path. */
#ifndef LEVEE_RUN_H
#define LEVEE_RUN_H

#include "control/config.h"

/**
 * Run until SIGTERM or SIGINT. The data path stays attached and in force.
 * \param path  of the configuration, for messages
 * \return 0; -errno, said
 */
int levee_run(const struct levee_config *config, const char *path);

#endif
