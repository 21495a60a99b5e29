/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the chain and its providers. A provider returns 0; -ENODATA if it is not configured here
 * (error->message then may say more); any other -errno, with error set, if it is and fails.
 */
#ifndef LEVEE_AWS_CREDENTIALS_INTERNAL_H
#define LEVEE_AWS_CREDENTIALS_INTERNAL_H

#include <jansson.h>

#include "control/aws/credentials.h"

/* What a provider may use. */
struct levee_aws_sources {
	const struct levee_aws_config *config;
	const struct levee_aws_profiles *profiles; /* read for this refresh */
	struct levee_http *http;
	struct levee_imds *imds;
};

int levee_aws_from_environment(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			       struct levee_aws_error *error);
/* The same, where a profile names the environment as its source: whoever chose the profile. */
int levee_aws_from_variables(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			     struct levee_aws_error *error);
int levee_aws_from_profile(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			   struct levee_aws_error *error);
int levee_aws_from_web_identity(const struct levee_aws_sources *s,
				struct levee_aws_credentials *out, struct levee_aws_error *error);
int levee_aws_from_container(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			     struct levee_aws_error *error);
int levee_aws_from_imds(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			struct levee_aws_error *error);

/**
 * sts:AssumeRole or AssumeRoleWithWebIdentity.
 * \param form   its parameters
 * \param keys   that sign; access_key NULL: unsigned, `token` then is kept out of messages
 * \param whose  for messages: "profile \"a\""
 */
int levee_aws_assume(const struct levee_aws_sources *s, const char *operation,
		     const struct levee_aws_text *form, const struct levee_aws_keys *keys,
		     const char *whose, struct levee_aws_credentials *out,
		     struct levee_aws_error *error);

/** AssumeRoleWithWebIdentity with the token that a file holds. session NULL: one of ours. */
int levee_aws_assume_web_identity(const struct levee_aws_sources *s, const char *role,
				  const char *token_file, const char *session, const char *whose,
				  struct levee_aws_credentials *out, struct levee_aws_error *error);

/** Name of our session at STS: what CloudTrail shows. */
void levee_aws_session_name(const struct levee_aws_sources *s, char *out, size_t size);

/**
 * Credentials from a JSON object with AccessKeyId, SecretAccessKey, `token_name` and Expiration
 * (the last two may be missing).
 * \param whose  for messages; nothing of the object is quoted
 */
int levee_aws_take_json(struct levee_aws_credentials *out, const json_t *json,
			const char *token_name, const char *whose, struct levee_aws_error *error);

/** Set keys and expiry (text NULL or "": never). */
int levee_aws_take_keys(struct levee_aws_credentials *out, const char *access_key,
			const char *secret_key, const char *token, const char *expires,
			const char *whose, struct levee_aws_error *error);

/** A small file, without the line break at its end. 0; -errno with error set. */
int levee_aws_read_secret(const char *path, const char *whose, struct levee_aws_text *out,
			  struct levee_aws_error *error);

#endif
