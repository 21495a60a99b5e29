/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A list of prefixes in S3, with its last good copy on disk. Also keeps copies of other lists that
 * are found out over the network.
 *
 * The copy is the list as text, behind a comment that says where it is from:
 *	# levee-copy ETAG s3://BUCKET/KEY
 */
#ifndef LEVEE_AWS_S3_LIST_H
#define LEVEE_AWS_S3_LIST_H

#include <stdbool.h>

#include "control/allowlist.h"
#include "control/aws/client.h"

#define LEVEE_S3_LIST_BYTES (64U << 20)

struct levee_s3_list {
	const char *url;  /* "s3://BUCKET/KEY" */
	const char *copy; /* file of the last good copy; "": none is kept */
	char etag[128];	  /* of what is in force; "" before the first */
	bool copy_failed; /* said already */
};

/**
 * Load the copy, if it is one of this object.
 * \return 0; -ENOENT if there is none; -errno, reported
 */
int levee_s3_list_load(struct levee_s3_list *list, struct levee_allowlist *out,
		       levee_allowlist_report *report, void *ctx);

/**
 * Ask S3 for what is newer.
 * \param report  told of bad lines, which are left out
 * \return 1 and *out filled; 0: nothing newer; -errno with error set: what is in force stays
 */
int levee_s3_list_fetch(struct levee_s3_list *list, struct levee_aws_client *client,
			struct levee_allowlist *out, levee_allowlist_report *report, void *ctx,
			struct levee_aws_error *error);

/** Write a list as a copy of `name`. \return 0; -errno */
int levee_list_save(const struct levee_allowlist *list, const char *path, const char *etag,
		    const char *name);

/**
 * Read a copy of `name` back.
 * \param etag  of 128 bytes; may be NULL
 * \return 0; -ENOENT: no such file, or one of another name; -errno
 */
int levee_list_load(struct levee_allowlist *out, const char *path, char *etag, const char *name,
		    levee_allowlist_report *report, void *ctx);

#endif
