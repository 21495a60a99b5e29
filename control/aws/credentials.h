/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The credential chain in the order of the official SDKs; the first that is configured answers,
 * and if it fails, the chain fails, as it does there.
 *
 *	1. environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (left out if
 *	   levee.conf names a profile)
 *	2. profile: role_arn with source_profile (chains of them, loops are found) or with
 *	   credential_source (Environment, Ec2InstanceMetadata, EcsContainer); role_arn with
 *	   web_identity_token_file; keys; credential_process (IAM Roles Anywhere comes this way)
 *	3. web identity: AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN, AWS_ROLE_SESSION_NAME
 *	4. container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, the latter by plain HTTP
 *	   only from loopback, 169.254.170.2, 169.254.170.23 and fd00:ec2::23;
 *	   AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or _TOKEN
 *	5. instance metadata (IMDSv2)
 *
 * What the chain found is kept. Before it expires (15 minutes, or a third of its life if that is
 * shorter) one caller refreshes it while the others go on with what is still good; a refresh that
 * fails leaves what is still good in force and is tried again a minute later. Keys of the instance
 * metadata stay in use even beyond their expiry while that service fails, as AWS advises.
 *
 * Files are read again at each refresh. Not done, and said so where it is met: SSO, and mfa_serial,
 * which both need a person.
 */
#ifndef LEVEE_AWS_CREDENTIALS_H
#define LEVEE_AWS_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/aws/client.h"
#include "control/aws/config.h"
#include "control/aws/error.h"
#include "control/aws/http.h"
#include "control/aws/imds.h"
#include "control/aws/sigv4.h"

struct levee_aws_credentials {
	struct levee_aws_keys keys;
	int64_t expires_s; /* seconds since the epoch; 0: never */
	/* Who answered, for people: "profile \"a\": role arn:... from profile \"b\": keys" */
	char provider[512];
	bool outlives; /* may be used beyond expires_s if there is nothing newer */
};

/** Wipe and free. Happy with zeroed credentials. */
void levee_aws_credentials_clear(struct levee_aws_credentials *credentials);

struct levee_aws_chain;

/**
 * Asks nobody yet. Keeps the pointers.
 * \param imds  may be shared with whoever else reads metadata
 * \return NULL without memory
 */
struct levee_aws_chain *levee_aws_chain_new(const struct levee_aws_config *config,
					    struct levee_http *http, struct levee_imds *imds);
void levee_aws_chain_free(struct levee_aws_chain *chain); /* NULL is fine */

/**
 * A copy of the credentials in force, which the caller clears; any thread.
 * \return 0; with error set: -ENOKEY (NoCredentials) if nothing is configured, the message says
 *         what was looked at; what the provider that is configured failed with. A failure is
 *         remembered for 5 s
 */
int levee_aws_chain_get(struct levee_aws_chain *chain, struct levee_aws_credentials *out,
			struct levee_aws_error *error);

/** The chain as what a client signs with. It must outlive the client. */
struct levee_aws_key_source levee_aws_chain_source(struct levee_aws_chain *chain);

#endif
