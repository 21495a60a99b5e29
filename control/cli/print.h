/* SPDX-License-Identifier: BSD-2-Clause */
/* What several commands print in the same way. */
#ifndef LEVEE_CLI_PRINT_H
#define LEVEE_CLI_PRINT_H

#include <jansson.h>

/** A table of blocks, as GET /api/v1/blocks and /status have them. Nothing if there are none. */
void levee_print_blocks(const json_t *blocks, const char *indent);

/**
 * Columns that a member of the objects of an array takes: those of its longest text, `least` at
 * least, those of the longest IPv6 prefix at most.
 */
int levee_column_width(const json_t *array, const char *member, int least);

#endif
