/* SPDX-License-Identifier: BSD-2-Clause */
/* `levee list`: what stands in the kernel, daemon or not. */
#ifndef LEVEE_CLI_CMD_LIST_H
#define LEVEE_CLI_CMD_LIST_H

#include "control/cli/command.h"

extern const struct levee_option levee_list_options[];
int levee_cmd_list(const struct levee_command *command, int argc, char **argv);

#endif
