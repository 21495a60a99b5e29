/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands about the fleet. */
#ifndef LEVEE_CLI_CMD_FLEET_H
#define LEVEE_CLI_CMD_FLEET_H

#include "control/cli/command.h"

extern const struct levee_option levee_fleet_status_options[];
int levee_cmd_fleet_status(const struct levee_command *command, int argc, char **argv);

extern const struct levee_option levee_fleet_reset_options[];
int levee_cmd_fleet_reset(const struct levee_command *command, int argc, char **argv);

#endif
