/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LEVEE_CLI_CMD_DOCTOR_H
#define LEVEE_CLI_CMD_DOCTOR_H

#include "control/cli/command.h"

extern const struct levee_option levee_doctor_options[];
int levee_cmd_doctor(const struct levee_command *command, int argc, char **argv);

#endif
