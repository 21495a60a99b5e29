/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The allow list: prefixes that are never blocked, from a file, the configuration, and the
 * automatic entries that nobody can forget.
 *
 * The file holds one prefix a line; `#` starts a comment; empty lines and CRLF are fine. A bad
 * line is reported with its number and skipped, the others count. A file that cannot be read
 * leaves the last good list in force.
 */
#ifndef LEVEE_ALLOWLIST_H
#define LEVEE_ALLOWLIST_H

#include <stddef.h>
#include <stdbool.h>

#include "dataplane/prefix.h"

struct levee_allowlist {
	size_t n;
	struct levee_prefix *list; /* sorted, canonical, without duplicates */
	size_t bad_lines;	   /* of the file as it was last read */
};

/** Told of each problem: "FILE:LINE: ..."; the first ten bad lines, then how many more. */
typedef void levee_allowlist_report(void *ctx, const char *message);

/**
 * Read the file into a new list.
 * \param out  replaced on success, unchanged on failure (the last good state)
 * \return 0 (bad lines were reported and skipped); -errno if the file cannot be read, reported;
 *         -EBADMSG if it has lines and all are bad; -EFBIG above 64 MiB; -ENOMEM
 */
int levee_allowlist_read(struct levee_allowlist *out, const char *path,
			 levee_allowlist_report *report, void *ctx);

/** Parse a buffer of `len` bytes, as read from `name`. For tests, fuzzing, and other stores. */
int levee_allowlist_parse(struct levee_allowlist *out, const char *text, size_t len,
			  const char *name, levee_allowlist_report *report, void *ctx);

/** out = the union of a and b. \return 0; -ENOMEM, out unchanged. out may be a or b. */
int levee_allowlist_merge(struct levee_allowlist *out, const struct levee_allowlist *a,
			  const struct levee_allowlist *b);

/**
 * The automatic entries: loopback, link-local and metadata addresses, unspecified source, IPv6
 * neighbour discovery; and, for each interface named, its own addresses and the gateways of its
 * routes (read by netlink in the current network namespace).
 * \return 0; -errno if the interfaces could not be asked, *out then holds the fixed entries
 */
int levee_allowlist_automatic(struct levee_allowlist *out, const char *const *interfaces, size_t n);

bool levee_allowlist_covers(const struct levee_allowlist *a, const struct levee_prefix *prefix);

void levee_allowlist_clear(struct levee_allowlist *a);

#endif
