/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/credentials.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/credentials_internal.h"
#include "control/log.h"

#define EARLY_S	    (15 * 60) /* refresh that long before the end */
#define AGAIN_S	    60	      /* after a refresh that failed, or brought nothing newer */
#define FAILURE_MS  5000      /* a failure is an answer for that long */
#define STALE_USE_S 300	      /* keys beyond their end: ask again after this, and up to as much */

void levee_aws_credentials_clear(struct levee_aws_credentials *credentials)
{
	levee_aws_keys_clear(&credentials->keys);
	*credentials = (struct levee_aws_credentials){ 0 };
}

static int copy(struct levee_aws_credentials *out, const struct levee_aws_credentials *from)
{
	*out = *from;
	return levee_aws_keys_copy(&out->keys, &from->keys);
}

struct levee_aws_chain {
	const struct levee_aws_config *config;
	struct levee_http *http;
	struct levee_imds *imds;

	pthread_mutex_t lock; /* of what follows; never held while somebody is asked */
	pthread_cond_t done;  /* a refresh ended */
	bool refreshing;
	bool refused;			   /* AWS does not take what we have */
	struct levee_aws_credentials have; /* no access key: none */
	int64_t refresh_s;		   /* when what we have is to be replaced; 0: never */
	int64_t again_s;		   /* a refresh is not tried again before */
	int64_t failed_ms;		   /* when the chain failed with `failure` */
	int failure_ret;		   /* 0: it did not */
	struct levee_aws_error failure;
};

struct levee_aws_chain *levee_aws_chain_new(const struct levee_aws_config *config,
					    struct levee_http *http, struct levee_imds *imds)
{
	struct levee_aws_chain *chain = calloc(1, sizeof(*chain));

	if (!chain)
		return NULL;
	chain->config = config;
	chain->http = http;
	chain->imds = imds;
	pthread_mutex_init(&chain->lock, NULL);
	pthread_cond_init(&chain->done, NULL);
	return chain;
}

void levee_aws_chain_free(struct levee_aws_chain *chain)
{
	if (!chain)
		return;
	levee_aws_credentials_clear(&chain->have);
	pthread_cond_destroy(&chain->done);
	pthread_mutex_destroy(&chain->lock);
	free(chain);
}

/* ---- asking ---- */

static const struct {
	const char *name;
	int (*get)(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
		   struct levee_aws_error *error);
} providers[] = {
	{ "environment", levee_aws_from_environment },	 { "profile", levee_aws_from_profile },
	{ "web identity", levee_aws_from_web_identity }, { "container", levee_aws_from_container },
	{ "instance metadata", levee_aws_from_imds },
};

#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

/* The last provider's reason is the one that is no matter of configuration. */
static int none_found(const struct levee_aws_config *config, struct levee_aws_error *error)
{
	char reason[200];

	snprintf(reason, sizeof(reason), "%.190s", error->message);
	return levee_aws_error_set(error, -ENOKEY, "NoCredentials",
				   "no credentials in the environment, profile \"%.64s\", web "
				   "identity, container; %s. Give the instance a role, or see the "
				   "AWS CLI's documentation",
				   config->profile, *reason ? reason : "instance metadata: none");
}

static int ask_providers(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			 struct levee_aws_error *error)
{
	for (size_t i = 0; i < N_PROVIDERS; i++) {
		int ret;

		levee_aws_error_clear(error);
		*out = (struct levee_aws_credentials){ 0 };
		ret = providers[i].get(s, out, error);
		if (ret != -ENODATA)
			return ret;
		levee_aws_credentials_clear(out);
	}
	return none_found(s->config, error);
}

static int check_age(const struct levee_aws_chain *chain, struct levee_aws_credentials *fresh,
		     struct levee_aws_error *error)
{
	int64_t now_s = levee_aws_env_now_s(&chain->config->env);

	if (!fresh->expires_s || fresh->expires_s > now_s)
		return 0;
	if (fresh->outlives) {
		levee_warning("aws: %s gave credentials that expired %lld s ago; they are used, "
			      "and asked for again in some minutes",
			      fresh->provider, (long long)(now_s - fresh->expires_s));
		return 0;
	}
	return levee_aws_error_set(
		error, -ENOKEY, "CredentialsFailed",
		"%.300s: credentials that expired %lld s ago; is the clock right?", fresh->provider,
		(long long)(now_s - fresh->expires_s));
}

/* Without the lock. */
static int ask(const struct levee_aws_chain *chain, struct levee_aws_credentials *fresh,
	       struct levee_aws_error *error)
{
	struct levee_aws_profiles profiles;
	struct levee_aws_sources s = { .config = chain->config,
				       .profiles = &profiles,
				       .http = chain->http,
				       .imds = chain->imds };
	int ret;

	*fresh = (struct levee_aws_credentials){ 0 };
	levee_aws_error_clear(error);
	ret = levee_aws_profiles_read(&profiles, &chain->config->env, error);
	if (ret == 0)
		ret = ask_providers(&s, fresh, error);
	levee_log_clean(fresh->provider); /* names in files may be anything */
	if (ret == 0)
		ret = check_age(chain, fresh, error);
	levee_aws_profiles_clear(&profiles);
	if (ret < 0)
		levee_aws_credentials_clear(fresh);
	return ret;
}

/* ---- keeping ---- */

static int64_t now_s(const struct levee_aws_chain *chain)
{
	return levee_aws_env_now_s(&chain->config->env);
}

static int64_t now_ms(const struct levee_aws_chain *chain)
{
	return chain->config->env.now_ms(chain->config->env.ctx);
}

static bool usable(const struct levee_aws_chain *chain)
{
	return chain->have.keys.access_key && !chain->refused &&
	       (!chain->have.expires_s || chain->have.outlives ||
		now_s(chain) < chain->have.expires_s);
}

static bool fresh_enough(const struct levee_aws_chain *chain)
{
	int64_t wait_s = chain->again_s - now_s(chain);

	if (!usable(chain))
		return false;
	/* a clock that went back must not put the next try off for longer than was meant */
	if (wait_s > 0 && wait_s <= 2 * STALE_USE_S)
		return true;
	return !chain->refresh_s || now_s(chain) < chain->refresh_s;
}

static bool failed_just_now(const struct levee_aws_chain *chain)
{
	int64_t ago_ms = now_ms(chain) - chain->failed_ms;

	return chain->failure_ret && ago_ms >= 0 && ago_ms < FAILURE_MS && !chain->refused;
}

static void keep(struct levee_aws_chain *chain, struct levee_aws_credentials *fresh)
{
	const struct levee_aws_env *env = &chain->config->env;
	int64_t now = now_s(chain), left_s = fresh->expires_s - now, early_s;

	levee_aws_credentials_clear(&chain->have);
	chain->have = *fresh;
	*fresh = (struct levee_aws_credentials){ 0 };
	chain->refused = false;
	chain->failure_ret = 0;
	chain->again_s = 0;
	chain->refresh_s = 0;
	if (!chain->have.expires_s)
		return;
	early_s = left_s / 3 < EARLY_S ? left_s / 3 : EARLY_S;
	chain->refresh_s = chain->have.expires_s - early_s;
	if (left_s <= 0)
		chain->again_s = now + STALE_USE_S + (int64_t)(env->random(env->ctx) % STALE_USE_S);
}

static int settle_failure(struct levee_aws_chain *chain, int ret,
			  const struct levee_aws_error *error)
{
	if (usable(chain)) {
		levee_warning(
			"aws: credentials (%s) cannot be refreshed, the old ones stay in use: "
			"%s: %s",
			chain->have.provider, error->code, error->message);
		chain->again_s = now_s(chain) + AGAIN_S;
		return 0;
	}
	chain->failure = *error;
	chain->failure_ret = ret;
	chain->failed_ms = now_ms(chain);
	return ret;
}

/* With the lock, which is given up meanwhile. */
static int refresh(struct levee_aws_chain *chain, struct levee_aws_error *error)
{
	struct levee_aws_credentials fresh;
	int ret;

	chain->refreshing = true;
	pthread_mutex_unlock(&chain->lock);
	ret = ask(chain, &fresh, error);
	pthread_mutex_lock(&chain->lock);
	chain->refreshing = false;
	if (ret == 0)
		keep(chain, &fresh);
	else
		ret = settle_failure(chain, ret, error);
	pthread_cond_broadcast(&chain->done);
	return ret;
}

static int get_locked(struct levee_aws_chain *chain, struct levee_aws_credentials *out,
		      struct levee_aws_error *error)
{
	int ret = 0;

	for (;;) {
		if (fresh_enough(chain) || (chain->refreshing && usable(chain)))
			break;
		if (!usable(chain) && failed_just_now(chain)) {
			*error = chain->failure;
			return chain->failure_ret;
		}
		if (chain->refreshing) {
			pthread_cond_wait(&chain->done, &chain->lock);
			continue;
		}
		ret = refresh(chain, error);
		if (ret < 0)
			return ret;
		break;
	}
	levee_aws_error_clear(error);
	return copy(out, &chain->have) < 0 ? levee_aws_error_memory(error) : 0;
}

int levee_aws_chain_get(struct levee_aws_chain *chain, struct levee_aws_credentials *out,
			struct levee_aws_error *error)
{
	int ret;

	*out = (struct levee_aws_credentials){ 0 };
	pthread_mutex_lock(&chain->lock);
	ret = get_locked(chain, out, error);
	pthread_mutex_unlock(&chain->lock);
	return ret;
}

/* ---- as a source of keys ---- */

static int source_get(void *ctx, struct levee_aws_keys *out, struct levee_aws_error *error)
{
	struct levee_aws_credentials credentials;
	int ret = levee_aws_chain_get(ctx, &credentials, error);

	*out = credentials.keys; /* handed over */
	return ret;
}

static bool same(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* Others may have been refused, and replaced, while this call was on its way. */
static void source_refused(void *ctx, const struct levee_aws_keys *keys)
{
	struct levee_aws_chain *chain = ctx;

	pthread_mutex_lock(&chain->lock);
	if (same(chain->have.keys.access_key, keys->access_key) &&
	    same(chain->have.keys.token, keys->token))
		chain->refused = true;
	pthread_mutex_unlock(&chain->lock);
}

struct levee_aws_key_source levee_aws_chain_source(struct levee_aws_chain *chain)
{
	return (struct levee_aws_key_source){ .get = source_get,
					      .refused = source_refused,
					      .ctx = chain };
}
