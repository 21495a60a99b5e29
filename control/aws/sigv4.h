/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AWS Signature Version 4 (AWS4-HMAC-SHA256), headers only. Pure: the time comes in.
 *
 *	struct levee_sigv4_request request = { .method = "POST", .host = "ec2.eu-west-1...", ... };
 *	struct levee_sigv4 signature;
 *
 *	ret = levee_sigv4_sign(&signature, &request, &keys, now);
 *	... send the request with the headers of `signature` that are not empty ...
 *	levee_sigv4_clear(&signature);
 *
 * Why not CURLOPT_AWS_SIGV4: before 7.86 it signs no session token, before 8.3 it does not sort a
 * query, before 8.9 it does not encode a path; Debian 12 has 7.88.
 */
#ifndef LEVEE_AWS_SIGV4_H
#define LEVEE_AWS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/aws/text.h"

/* Who signs. All three are secrets to us, the access key too: it is in no message either. */
struct levee_aws_keys {
	char *access_key; /* NULL: anonymous, nothing is signed */
	char *secret_key;
	char *token; /* NULL or "" for keys that do not expire */
};

/** Deep copy. \return 0; -ENOMEM, *out then is empty. `token` may be NULL. */
int levee_aws_keys_set(struct levee_aws_keys *out, const char *access_key, const char *secret_key,
		       const char *token);
int levee_aws_keys_copy(struct levee_aws_keys *out, const struct levee_aws_keys *keys);

/** Wipe and free. Happy with zeroed keys. */
void levee_aws_keys_clear(struct levee_aws_keys *keys);

struct levee_aws_header {
	const char *name;
	const char *value;
};

struct levee_sigv4_request {
	const char *method; /* upper case */
	const char *host; /* as in the header Host: with the port, if it is not the scheme's own */
	const char *path; /* as in the request line: begins with '/', no query. NULL or "": "/" */
	const char
		*query; /* as in the request line, without '?'. NULL or "": none. '+' is a plus */

	/* Further headers that are signed. Not among them: host, authorization, x-amz-date,
	 * x-amz-security-token, x-amz-content-sha256, which are the signer's. A name that occurs
	 * again has its values joined, in the order given. */
	const struct levee_aws_header *headers;
	size_t n_headers;

	const void *body; /* signed by its hash; NULL if body_bytes is 0 */
	size_t body_bytes;

	const char *region;
	const char *service; /* signing name: "ec2", "sts", "sns", "monitoring", "logs", "s3" */
	bool s3; /* the path stands as it is (no dots removed, not encoded again), and the hash of
		  * the body is a header of its own */
};

/* What a signed request needs in addition. A text that is empty is a header not to send. */
struct levee_sigv4 {
	char date[17];			     /* X-Amz-Date */
	char body_sha256[65];		     /* X-Amz-Content-Sha256, to be sent for S3 only */
	struct levee_aws_text token;	     /* X-Amz-Security-Token */
	struct levee_aws_text authorization; /* Authorization */
	struct levee_aws_text canonical;     /* for tests; holds the session token: never log it */
	char to_sign_sha256[65];	     /* hash of the canonical request, for tests */
};

/**
 * Sign a request.
 * \param now_s  seconds since the epoch, 0 to 253402300799 (the year 9999)
 * \return 0; -EINVAL for a header that is the signer's or has
 *         more than one line, a path without '/', missing keys, region
 *         or service, or a time out of range; -EFBIG above 1 MiB of canonical request; -ENOMEM;
 *         -EIO if OpenSSL refuses. *out can be cleared in every case.
 */
int levee_sigv4_sign(struct levee_sigv4 *out, const struct levee_sigv4_request *request,
		     const struct levee_aws_keys *keys, int64_t now_s);

/** Wipe and free. */
void levee_sigv4_clear(struct levee_sigv4 *signature);

#endif
