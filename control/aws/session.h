/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that calls to AWS need, opened at once: configuration, HTTP, metadata, credentials,
 * client.
 *
 *	struct levee_aws_overrides own = levee_aws_overrides_of(config);
 *	struct levee_aws_session *session;
 *
 *	ret = levee_aws_session_open(&session, &env, &own, NULL, &error);
 *	if (ret == 0)
 *		ret = levee_aws_session_region(session, &error);
 *	if (ret == 0)
 *		ret = levee_aws_call(session->client, &call, &reply);
 *	levee_aws_session_free(&session);
 */
#ifndef LEVEE_AWS_SESSION_H
#define LEVEE_AWS_SESSION_H

#include <pthread.h>

#include "control/aws/client.h"
#include "control/aws/config.h"
#include "control/aws/credentials.h"
#include "control/aws/imds.h"
#include "control/config.h"

struct levee_aws_session {
	struct levee_aws_config config;
	struct levee_http *http;
	struct levee_imds *imds;
	struct levee_aws_chain *chain;
	struct levee_aws_client *client; /* signs with the chain's credentials */

	/* internal */
	struct levee_http *own_http;
	pthread_mutex_t region_lock;
};

/** What levee.conf says of region, profile and endpoint; points into `config`. */
struct levee_aws_overrides levee_aws_overrides_of(const struct levee_config *config);

/**
 * Reads files and variables; asks nobody yet.
 * \param env   its ctx must outlive the session
 * \param http  of a test; NULL: libcurl
 * \return 0; -errno with error set; *out is NULL then
 */
int levee_aws_session_open(struct levee_aws_session **out, const struct levee_aws_env *env,
			   const struct levee_aws_overrides *overrides, struct levee_http *http,
			   struct levee_aws_error *error);
void levee_aws_session_free(struct levee_aws_session **session); /* NULL inside is fine */

/**
 * Make sure that a region is known: if none is configured, instance metadata is asked, once. Any
 * thread, before its first call.
 * \return 0; -ENOENT (NoRegion): the message says what was looked at; -ECANCELED
 */
int levee_aws_session_region(struct levee_aws_session *session, struct levee_aws_error *error);

#endif
