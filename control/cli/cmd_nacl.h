/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about network ACLs. */
#ifndef LEVEE_CLI_CMD_NACL_H
#define LEVEE_CLI_CMD_NACL_H

#include "control/cli/command.h"

extern const struct levee_option levee_nacl_plan_options[];
extern const struct levee_option levee_nacl_apply_options[];
extern const struct levee_option levee_nacl_status_options[];

int levee_cmd_nacl_plan(const struct levee_command *command, int argc, char **argv);
int levee_cmd_nacl_apply(const struct levee_command *command, int argc, char **argv);
int levee_cmd_nacl_status(const struct levee_command *command, int argc, char **argv);

#endif
