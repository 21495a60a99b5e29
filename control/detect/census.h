/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many distinct sources a window holds, exactly: each source with the last bin that saw it.
 * For replay, where the number is part of the output. 48 to 96 bytes a source.
 */
#ifndef LEVEE_CENSUS_H
#define LEVEE_CENSUS_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/prefix.h"

struct levee_census;

/** \return the caller frees it with levee_census_free(); NULL if memory is short */
struct levee_census *levee_census_new(void);
void levee_census_free(struct levee_census **census);

/** Source was seen in the bin that starts at bin_s; bins come in order. \return 0; -ENOMEM */
int levee_census_see(struct levee_census *census, const struct levee_prefix *source, int64_t bin_s);

/** Sources last seen in a bin that starts at or after begin_s; forgets the others. */
size_t levee_census_count(struct levee_census *census, int64_t begin_s);

#endif
