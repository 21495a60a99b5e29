/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Events in the state file, for any thread: read through a connection of its own, which neither
 * waits for the daemon's writes nor holds them up (SQLite's WAL).
 */
#ifndef LEVEE_STORE_HISTORY_H
#define LEVEE_STORE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/prefix.h"

struct levee_history_row {
	uint64_t unix_ns;
	const char *kind;
	const char *subject;
	const char *detail;
};

struct levee_history_filter {
	uint64_t since_s; /* [unix s], both included */
	uint64_t until_s;
	uint64_t limit;
	const char *kind;		   /* NULL or "": any */
	const struct levee_prefix *within; /* subjects that lie in it; NULL: any */
};

/** Pass rows to fn, newest first. \return 0; -errno */
int levee_history_read(const char *path, const struct levee_history_filter *filter,
		       void (*fn)(void *ctx, const struct levee_history_row *row), void *ctx);

#endif
