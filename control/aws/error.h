/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What went wrong with a call, in words that may be logged and shown: no message holds a secret,
 * a request's or reply's body, or what a helper program wrote.
 */
#ifndef LEVEE_AWS_ERROR_H
#define LEVEE_AWS_ERROR_H

/*
 * Code is AWS's own ("RequestLimitExceeded", "ExpiredToken", ...), as in its documentation, or one
 * of ours, if AWS did not answer or was not asked:
 *
 *	Timeout, ConnectFailed, NameNotResolved, CertificateNotVerified, ConnectionLost,
 *	Cancelled, ReplyTooLarge, UnreadableReply, InvalidRequest, OutOfMemory,
 *	InvalidConfiguration, ProfileNotFound, NoRegion, NoCredentials, CredentialsFailed,
 *	HttpStatus (an error without a body that says which)
 */
struct levee_aws_error {
	int status; /* of HTTP; 0 if no answer came */
	char code[96];
	char message[512]; /* one line; what, which value, and where it can be helped what to do */
	char request_id[96]; /* for AWS support; "" if none was sent */
};

void levee_aws_error_clear(struct levee_aws_error *error);

/** Set code and message; status and request_id stay. Control characters become '?'. Code and
 * arguments may be the error's own texts.
 * \return value, so that a function can end with it */
int levee_aws_error_set(struct levee_aws_error *error, int value, const char *code,
			const char *format, ...) __attribute__((format(printf, 4, 5)));

/** -ENOMEM, said. */
int levee_aws_error_memory(struct levee_aws_error *error);

#endif
