/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands that talk to a running daemon. */
#ifndef LEVEE_CLI_CMD_LIVE_H
#define LEVEE_CLI_CMD_LIVE_H

#include "control/cli/command.h"

extern const struct levee_option levee_client_options[]; /* none but the common ones */
extern const struct levee_option levee_blocks_options[];
extern const struct levee_option levee_block_options[];
extern const struct levee_option levee_unblock_options[];
extern const struct levee_option levee_allow_options[];
extern const struct levee_option levee_prefixes_options[];
extern const struct levee_option levee_events_options[];
extern const struct levee_option levee_history_options[];
extern const struct levee_option levee_drill_options[];
extern const struct levee_option levee_completion_options[];

int levee_cmd_status(const struct levee_command *command, int argc, char **argv);
int levee_cmd_top(const struct levee_command *command, int argc, char **argv);
int levee_cmd_why(const struct levee_command *command, int argc, char **argv);
int levee_cmd_blocks(const struct levee_command *command, int argc, char **argv);
int levee_cmd_block(const struct levee_command *command, int argc, char **argv);
int levee_cmd_unblock(const struct levee_command *command, int argc, char **argv);
int levee_cmd_exempt_list(const struct levee_command *command, int argc, char **argv);
int levee_cmd_exempt_remove(const struct levee_command *command, int argc, char **argv);
int levee_cmd_allow_list(const struct levee_command *command, int argc, char **argv);
int levee_cmd_allow_add(const struct levee_command *command, int argc, char **argv);
int levee_cmd_allow_remove(const struct levee_command *command, int argc, char **argv);
int levee_cmd_events(const struct levee_command *command, int argc, char **argv);
int levee_cmd_history(const struct levee_command *command, int argc, char **argv);
int levee_cmd_drill(const struct levee_command *command, int argc, char **argv);
int levee_cmd_reload(const struct levee_command *command, int argc, char **argv);
int levee_cmd_completion(const struct levee_command *command, int argc, char **argv);

#endif
