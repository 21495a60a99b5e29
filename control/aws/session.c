/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGION_BYTES 256

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

struct levee_aws_overrides levee_aws_overrides_of(const struct levee_config *config)
{
	return (struct levee_aws_overrides){ .profile = or_null(config->aws.profile),
					     .region = or_null(config->aws.region),
					     .endpoint_url = or_null(config->aws.endpoint) };
}

static int open_parts(struct levee_aws_session *s, const struct levee_aws_env *env,
		      const struct levee_aws_overrides *overrides, struct levee_http *http,
		      struct levee_aws_error *error)
{
	struct levee_http_settings settings = { .env = *env };
	struct levee_aws_key_source keys;
	int ret = levee_aws_config_load(&s->config, env, overrides, error);

	if (ret < 0)
		return ret;
	settings.ca_bundle = s->config.ca_bundle;
	if (!http)
		http = s->own_http = levee_http_new(&settings, error);
	if (!http)
		return -EINVAL;
	s->http = http;
	s->imds = levee_imds_new(&s->config, http);
	if (!s->imds)
		return levee_aws_error_memory(error);
	s->chain = levee_aws_chain_new(&s->config, http, s->imds);
	if (!s->chain)
		return levee_aws_error_memory(error);
	keys = levee_aws_chain_source(s->chain);
	s->client = levee_aws_client_new(&s->config, http, &keys);
	return s->client ? 0 : levee_aws_error_memory(error);
}

int levee_aws_session_open(struct levee_aws_session **out, const struct levee_aws_env *env,
			   const struct levee_aws_overrides *overrides, struct levee_http *http,
			   struct levee_aws_error *error)
{
	struct levee_aws_session *s = calloc(1, sizeof(*s));
	int ret;

	*out = NULL;
	levee_aws_error_clear(error);
	if (!s)
		return levee_aws_error_memory(error);
	pthread_mutex_init(&s->region_lock, NULL);
	ret = open_parts(s, env, overrides, http, error);
	if (ret < 0)
		levee_aws_session_free(&s);
	*out = s;
	return ret;
}

void levee_aws_session_free(struct levee_aws_session **session)
{
	struct levee_aws_session *s = *session;

	if (!s)
		return;
	levee_aws_client_free(s->client);
	levee_aws_chain_free(s->chain);
	levee_imds_free(s->imds);
	levee_http_free(s->own_http);
	levee_aws_config_clear(&s->config);
	pthread_mutex_destroy(&s->region_lock);
	free(s);
	*session = NULL;
}

/* With the lock. Once set, the region stays, so readers without the lock see one or the other. */
static int ask_region(struct levee_aws_session *s, struct levee_aws_error *error)
{
	struct levee_aws_text text;
	char why[300];
	int ret;

	levee_aws_text_init(&text, REGION_BYTES);
	ret = levee_imds_get(s->imds, "meta-data/placement/region", &text, error);
	if (ret == 0)
		ret = levee_aws_config_set_region(&s->config, levee_aws_text_string(&text), error);
	levee_aws_text_free(&text);
	if (ret == 0 || ret == -ECANCELED || ret == -ENOMEM)
		return ret;
	snprintf(why, sizeof(why), "%.290s", error->message);
	return levee_aws_error_set(
		error, -ENOENT, "NoRegion",
		"no region is known: [aws] region, AWS_REGION and profile "
		"\"%.64s\" say none; %s. Set [aws] region = eu-west-1 or the like",
		s->config.profile, why);
}

int levee_aws_session_region(struct levee_aws_session *session, struct levee_aws_error *error)
{
	int ret = 0;

	pthread_mutex_lock(&session->region_lock);
	if (!session->config.region)
		ret = ask_region(session, error);
	pthread_mutex_unlock(&session->region_lock);
	return ret;
}
