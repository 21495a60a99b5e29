/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/client.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "control/aws/client_internal.h"
#include "control/aws/retry.h"
#include "control/aws/sigv4.h"
#include "control/log.h"

#define SKEW_MS	    (4 * 60 * 1000) /* below it, the clock is not the reason; AWS allows 5 min */
#define MAX_HEADERS 8

struct levee_aws_client {
	const struct levee_aws_config *config;
	struct levee_http *http;
	struct levee_aws_key_source keys;
	pthread_mutex_t lock; /* of what follows */
	struct levee_aws_quota quota;
	int64_t skew_ms;
};

/* One call on its way. */
struct request {
	struct levee_aws_client *client;
	const struct levee_aws_call *call;
	const struct levee_aws_service_facts *facts;
	struct levee_aws_endpoint endpoint;
	struct levee_aws_text url;
	struct levee_http_url parts;
	struct levee_aws_text body;
	char target[128]; /* JSON: X-Amz-Target */
	struct levee_aws_reply *reply;

	unsigned int attempt; /* of those that count, from 1 */
	unsigned int price;   /* of the last retry */
	bool clock_tried;     /* the clock, and other keys, are one more try each */
	bool keys_tried;
	uint32_t after_ms;
	int64_t date_ms; /* of the last reply; 0: it had none */
};

/* ---- key sources ---- */

static int fixed_get(void *ctx, struct levee_aws_keys *out, struct levee_aws_error *error)
{
	const struct levee_aws_keys *keys = ctx;

	*out = (struct levee_aws_keys){ 0 };
	if (keys && levee_aws_keys_copy(out, keys) < 0)
		return levee_aws_error_memory(error);
	return 0;
}

struct levee_aws_key_source levee_aws_fixed_keys(const struct levee_aws_keys *keys)
{
	return (struct levee_aws_key_source){ .get = fixed_get, .ctx = (void *)(uintptr_t)keys };
}

/* ---- the client ---- */

struct levee_aws_client *levee_aws_client_new(const struct levee_aws_config *config,
					      struct levee_http *http,
					      const struct levee_aws_key_source *keys)
{
	struct levee_aws_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->config = config;
	client->http = http;
	client->keys = *keys;
	client->quota.tokens = LEVEE_AWS_QUOTA;
	pthread_mutex_init(&client->lock, NULL);
	return client;
}

void levee_aws_client_free(struct levee_aws_client *client)
{
	if (!client)
		return;
	pthread_mutex_destroy(&client->lock);
	free(client);
}

int64_t levee_aws_client_skew_ms(struct levee_aws_client *client)
{
	int64_t skew_ms;

	pthread_mutex_lock(&client->lock);
	skew_ms = client->skew_ms;
	pthread_mutex_unlock(&client->lock);
	return skew_ms;
}

/* ---- bodies and URLs ---- */

void levee_aws_form_add(struct levee_aws_text *form, const char *value, const char *name, ...)
{
	char text[256];
	va_list args;
	int n;

	va_start(args, name);
	n = vsnprintf(text, sizeof(text), name, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text)) {
		form->error = form->error ? form->error : -EINVAL;
		return;
	}
	if (form->n)
		levee_aws_text_putc(form, '&');
	levee_aws_text_encode(form, text, (size_t)n, "");
	levee_aws_text_putc(form, '=');
	levee_aws_text_encode(form, value, strlen(value), "");
}

static int build_query(struct request *r)
{
	const struct levee_aws_text *form = r->call->form;

	levee_aws_form_add(&r->body, r->call->operation, "Action");
	levee_aws_form_add(&r->body, r->facts->version, "Version");
	if (form && form->n) {
		levee_aws_text_putc(&r->body, '&');
		levee_aws_text_add(&r->body, form->bytes, form->n);
	}
	levee_aws_text_printf(&r->url, "%s/", r->endpoint.url);
	return form && form->error ? form->error : 0;
}

static int build_json(struct request *r)
{
	snprintf(r->target, sizeof(r->target), "%s.%s", r->facts->target, r->call->operation);
	levee_aws_text_puts(&r->body, r->call->json ? r->call->json : "{}");
	levee_aws_text_printf(&r->url, "%s/", r->endpoint.url);
	return 0;
}

/* Names of general purpose buckets: they become part of a host name or path. */
static bool is_bucket(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	return n >= 3 && n <= 63 && !name[n] && isalnum((unsigned char)name[0]) &&
	       isalnum((unsigned char)name[n - 1]) && !strstr(name, "..");
}

/* A name with dots does not fit the certificate of *.s3.REGION, so it goes into the path. */
static int build_object(struct request *r)
{
	const char *bucket = r->call->bucket, *key = r->call->key;
	const char *host = r->endpoint.url + strlen("https://");

	if (!bucket || !is_bucket(bucket) || !key || !*key)
		return -EINVAL;
	if (r->endpoint.custom || strchr(bucket, '.'))
		levee_aws_text_printf(&r->url, "%s/%s/", r->endpoint.url, bucket);
	else
		levee_aws_text_printf(&r->url, "https://%s.%s/", bucket, host);
	levee_aws_text_encode(&r->url, key, strlen(key), "/");
	return 0;
}

static int build(struct request *r)
{
	struct levee_aws_error *error = &r->reply->error;
	int ret;

	switch (r->facts->protocol) {
	case LEVEE_AWS_JSON:
		ret = build_json(r);
		break;
	case LEVEE_AWS_REST:
		ret = build_object(r);
		break;
	default:
		ret = build_query(r);
	}
	if (ret == 0)
		ret = r->body.error ? r->body.error : r->url.error;
	if (ret == 0)
		ret = levee_http_url_parse(&r->parts, r->url.bytes);
	if (ret == -ENOMEM)
		return levee_aws_error_memory(error);
	if (ret < 0)
		return levee_aws_error_set(error, ret, "InvalidRequest",
					   "%s %s: a parameter is not valid, or all are too long",
					   r->facts->name,
					   r->call->operation ? r->call->operation : "GetObject");
	return 0;
}

/* ---- one exchange ---- */

/* Those that are signed. */
static size_t own_headers(const struct request *r, struct levee_aws_header *out)
{
	size_t n = 0;

	switch (r->facts->protocol) {
	case LEVEE_AWS_QUERY:
		out[n++] = (struct levee_aws_header){
			"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"
		};
		break;
	case LEVEE_AWS_JSON:
		out[n++] = (struct levee_aws_header){ "Content-Type",
						      "application/x-amz-json-1.1" };
		out[n++] = (struct levee_aws_header){ "X-Amz-Target", r->target };
		break;
	case LEVEE_AWS_REST:
		if (r->call->etag && *r->call->etag)
			out[n++] = (struct levee_aws_header){ "If-None-Match", r->call->etag };
		break;
	}
	return n;
}

static int sign(const struct request *r, struct levee_sigv4 *signature,
		const struct levee_aws_keys *keys, const struct levee_aws_header *headers, size_t n)
{
	const struct levee_aws_env *env = &r->client->config->env;
	bool rest = r->facts->protocol == LEVEE_AWS_REST;
	struct levee_sigv4_request request = { .method = rest ? "GET" : "POST",
					       .host = r->parts.authority,
					       .path = r->parts.path,
					       .headers = headers,
					       .n_headers = n,
					       .body = r->body.bytes,
					       .body_bytes = r->body.n,
					       .region = r->endpoint.signing_region,
					       .service = r->facts->name,
					       .s3 = rest };
	int64_t now_ms = env->now_ms(env->ctx) + levee_aws_client_skew_ms(r->client);

	return levee_sigv4_sign(signature, &request, keys, now_ms / 1000);
}

static size_t add_signature(struct levee_aws_header *headers, size_t n,
			    const struct levee_sigv4 *signature, bool rest)
{
	headers[n++] = (struct levee_aws_header){ "X-Amz-Date", signature->date };
	if (rest)
		headers[n++] = (struct levee_aws_header){ "X-Amz-Content-Sha256",
							  signature->body_sha256 };
	if (signature->token.n)
		headers[n++] = (struct levee_aws_header){ "X-Amz-Security-Token",
							  signature->token.bytes };
	headers[n++] = (struct levee_aws_header){ "Authorization", signature->authorization.bytes };
	return n;
}

static void note_reply(struct request *r, const struct levee_http_reply *reply)
{
	char value[64];
	time_t date;

	r->after_ms = 0;
	r->date_ms = 0;
	if (levee_http_reply_header(reply, "x-amz-retry-after", value, sizeof(value))) {
		unsigned long ms = strtoul(value, NULL, 10);

		r->after_ms = ms > LEVEE_AWS_BACKOFF_MAX_MS ? LEVEE_AWS_BACKOFF_MAX_MS
							    : (uint32_t)ms;
	}
	if (levee_http_reply_header(reply, "Date", value, sizeof(value))) {
		date = curl_getdate(value, NULL);
		r->date_ms = date > 0 ? (int64_t)date * 1000 : 0;
	}
}

/* Of one attempt; not longer than the whole call has. 0: LEVEE_HTTP_TOTAL_MS */
static uint32_t limit_ms(const struct request *r)
{
	uint32_t total_ms = r->call->total_ms;
	int64_t left_ms = r->call->until_ms - levee_aws_boot_ms();

	if (!r->call->until_ms || (total_ms && total_ms < left_ms))
		return total_ms;
	return left_ms > 0 ? (uint32_t)left_ms : 1;
}

static int send_request(struct request *r, const struct levee_aws_header *headers, size_t n,
			const struct levee_aws_keys *keys)
{
	bool rest = r->facts->protocol == LEVEE_AWS_REST;
	struct levee_http_request request = { .method = rest ? "GET" : "POST",
					      .url = r->url.bytes,
					      .headers = headers,
					      .n_headers = n,
					      .body = rest ? NULL : r->body.bytes,
					      .body_bytes = r->body.n,
					      .total_ms = limit_ms(r),
					      .until_ms = r->call->until_ms,
					      .max_bytes = r->call->max_bytes };
	struct levee_http_reply reply;
	int ret = levee_http_perform(r->client->http, &request, &reply, &r->reply->error);

	r->after_ms = 0;
	r->date_ms = 0;
	if (ret == 0) {
		note_reply(r, &reply);
		ret = levee_aws_read_reply(r->reply, &reply, r->facts->protocol, keys);
	}
	levee_http_reply_free(&reply);
	return ret;
}

/* Host is libcurl's, from the URL, and is the one that was signed: levee_http_url_parse(). */
static int exchange(struct request *r, const struct levee_aws_keys *keys)
{
	struct levee_aws_header headers[MAX_HEADERS];
	size_t n = own_headers(r, headers);
	struct levee_sigv4 signature = { 0 };
	int ret = 0;

	if (keys->access_key) {
		ret = sign(r, &signature, keys, headers, n);
		if (ret < 0)
			levee_aws_error_set(&r->reply->error, ret, "InvalidRequest",
					    "%s: the request cannot be signed: %s", r->facts->name,
					    strerror(-ret));
		else
			n = add_signature(headers, n, &signature,
					  r->facts->protocol == LEVEE_AWS_REST);
	}
	if (ret == 0)
		ret = send_request(r, headers, n, keys);
	levee_sigv4_clear(&signature);
	return ret;
}

/* ---- tries ---- */

/* Take AWS's time for ours if the two are far enough apart to be the reason. */
static bool correct_clock(struct request *r)
{
	const struct levee_aws_env *env = &r->client->config->env;
	int64_t skew_ms = r->date_ms - env->now_ms(env->ctx);
	bool differs;

	if (!r->date_ms || r->clock_tried)
		return false;
	pthread_mutex_lock(&r->client->lock);
	differs = llabs(skew_ms - r->client->skew_ms) > SKEW_MS;
	if (differs)
		r->client->skew_ms = skew_ms;
	pthread_mutex_unlock(&r->client->lock);
	if (!differs)
		return false;
	r->clock_tried = true;
	levee_warning("aws: the clock differs from that of AWS by %+" PRId64
		      " s; requests are signed with AWS's time. Check NTP",
		      skew_ms / 1000);
	return true;
}

static bool renew_keys(struct request *r, const struct levee_aws_keys *keys)
{
	const struct levee_aws_key_source *source = &r->client->keys;

	if (r->keys_tried || !source->refused || !keys->access_key)
		return false;
	r->keys_tried = true;
	source->refused(source->ctx, keys);
	return true;
}

/* Buy another attempt and wait for it. 1: go on; 0: no more; -ECANCELED. */
static int wait_for_next(struct request *r, enum levee_aws_verdict verdict)
{
	const struct levee_aws_env *env = &r->client->config->env;
	unsigned int most = r->call->attempts ? r->call->attempts : r->client->config->max_attempts;
	uint32_t wait_ms;

	if (r->attempt >= most)
		return 0;
	pthread_mutex_lock(&r->client->lock);
	r->price = levee_aws_quota_take(&r->client->quota, verdict);
	pthread_mutex_unlock(&r->client->lock);
	if (!r->price)
		return 0;
	wait_ms = levee_aws_backoff_ms(verdict, r->attempt, env->random(env->ctx), r->after_ms);
	levee_debug("aws: %s %s: %s; attempt %u of %u follows in %u ms", r->facts->name,
		    r->call->operation ? r->call->operation : "GetObject", r->reply->error.code,
		    r->attempt + 1, most, wait_ms);
	r->attempt++;
	return env->sleep_ms(env->ctx, wait_ms) < 0 ? -ECANCELED : 1;
}

/* Is there another try after this failure? 1, 0 or -ECANCELED. */
static int next_try(struct request *r, int ret, const struct levee_aws_keys *keys)
{
	enum levee_aws_verdict verdict = levee_aws_judge(ret == -EREMOTEIO ? 0 : ret,
							 &r->reply->error);

	switch (verdict) {
	case LEVEE_AWS_FINAL:
		return 0;
	case LEVEE_AWS_CLOCK:
		if (correct_clock(r))
			return 1;
		return strcmp(r->reply->error.code, "RequestExpired") == 0 && renew_keys(r, keys);
	case LEVEE_AWS_EXPIRED:
		return renew_keys(r, keys);
	default:
		return wait_for_next(r, verdict);
	}
}

static void give_back(struct request *r)
{
	pthread_mutex_lock(&r->client->lock);
	levee_aws_quota_give(&r->client->quota, r->price);
	pthread_mutex_unlock(&r->client->lock);
}

static int call_off(struct request *r)
{
	return levee_aws_error_set(&r->reply->error, -ECANCELED, "Cancelled", "%s %s: called off",
				   r->facts->name,
				   r->call->operation ? r->call->operation : "GetObject");
}

static int give_up(struct request *r)
{
	return levee_aws_error_set(&r->reply->error, -ETIMEDOUT, "Timeout",
				   "%s %s: not sent, its time was over before", r->facts->name,
				   r->call->operation ? r->call->operation : "GetObject");
}

static int try_until_done(struct request *r)
{
	const struct levee_aws_key_source *source = &r->client->keys;
	const struct levee_aws_env *env = &r->client->config->env;
	int ret, more = 1;

	do {
		struct levee_aws_keys keys = { 0 };

		levee_aws_reply_free(r->reply);
		levee_aws_error_clear(&r->reply->error);
		if (env->cancelled(env->ctx))
			return call_off(r);
		ret = source->get(source->ctx, &keys, &r->reply->error);
		if (ret < 0)
			return ret;
		if (r->call->until_ms && levee_aws_boot_ms() >= r->call->until_ms) {
			levee_aws_keys_clear(&keys);
			return give_up(r);
		}
		r->reply->attempts++;
		ret = exchange(r, &keys);
		if (ret < 0)
			more = next_try(r, ret, &keys);
		levee_aws_keys_clear(&keys);
	} while (ret < 0 && more > 0);
	if (more < 0)
		return call_off(r);
	if (ret == 0)
		give_back(r);
	return ret;
}

int levee_aws_call(struct levee_aws_client *client, const struct levee_aws_call *call,
		   struct levee_aws_reply *reply)
{
	struct request r = { .client = client,
			     .call = call,
			     .facts = levee_aws_service_facts(call->service),
			     .reply = reply,
			     .attempt = 1 };
	int ret;

	*reply = (struct levee_aws_reply){ 0 };
	levee_aws_text_init(&r.url, 8192);
	levee_aws_text_init(&r.body, LEVEE_AWS_FORM_BYTES + 1024);
	ret = levee_aws_endpoint(&r.endpoint, client->config, call->service, call->region,
				 &reply->error);
	if (ret == 0)
		ret = build(&r);
	if (ret == 0)
		ret = try_until_done(&r);
	levee_http_url_free(&r.parts);
	levee_aws_text_free(&r.url);
	levee_aws_text_free(&r.body);
	return ret;
}

/* ---- who we are ---- */

static void take_text(char *out, size_t size, const struct levee_xml_node *root, const char *path)
{
	const char *text = levee_xml_text(root, path);

	snprintf(out, size, "%s", text ? text : "");
	levee_log_clean(out);
}

int levee_aws_whoami(struct levee_aws_client *client, uint32_t total_ms,
		     struct levee_aws_identity *out, struct levee_aws_error *error)
{
	const struct levee_aws_call call = { .service = LEVEE_AWS_STS,
					     .operation = "GetCallerIdentity",
					     .attempts = total_ms ? 1 : 0,
					     .total_ms = total_ms };
	const struct levee_xml_node *result;
	struct levee_aws_reply reply;
	int ret = levee_aws_call(client, &call, &reply);

	*out = (struct levee_aws_identity){ 0 };
	*error = reply.error;
	if (ret == 0) {
		result = levee_xml_find(levee_xml_root(reply.xml), "GetCallerIdentityResult");
		take_text(out->account, sizeof(out->account), result, "Account");
		take_text(out->arn, sizeof(out->arn), result, "Arn");
		take_text(out->user_id, sizeof(out->user_id), result, "UserId");
		if (!out->account[0] || !out->arn[0])
			ret = levee_aws_error_set(error, -EPROTO, "UnreadableReply",
						  "sts GetCallerIdentity: a reply without account "
						  "or ARN");
	}
	levee_aws_reply_free(&reply);
	return ret;
}
