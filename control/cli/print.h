/* SPDX-License-Identifier: BSD-2-Clause */
/* What several commands print in the same way. */
#ifndef LEVEE_CLI_PRINT_H
#define LEVEE_CLI_PRINT_H

#include <jansson.h>

/** A table of blocks, as GET /api/v1/blocks and /status have them. Nothing if there are none. */
void levee_print_blocks(const json_t *blocks, const char *indent);

#endif
