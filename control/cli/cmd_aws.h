/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that talk to AWS. */
#ifndef LEVEE_CLI_CMD_AWS_H
#define LEVEE_CLI_CMD_AWS_H

#include "control/cli/command.h"

extern const struct levee_option levee_whoami_options[];
int levee_cmd_whoami(const struct levee_command *command, int argc, char **argv);

extern const struct levee_option levee_dashboard_options[];
int levee_cmd_dashboard(const struct levee_command *command, int argc, char **argv);

#endif
