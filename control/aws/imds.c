/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/imds.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TOKEN_TTL_S   21600 /* the most there is */
#define TOKEN_EARLY_S 300
#define CONNECT_MS    2000
#define TOTAL_MS      3000
#define MAX_BYTES     (64 * 1024)
#define TRIES	      2

struct levee_imds {
	const struct levee_aws_config *config;
	struct levee_http *http;
	pthread_mutex_t lock; /* of the token */
	struct levee_aws_text token;
	int64_t token_until_s;
};

struct levee_imds *levee_imds_new(const struct levee_aws_config *config, struct levee_http *http)
{
	struct levee_imds *imds = calloc(1, sizeof(*imds));

	if (!imds)
		return NULL;
	imds->config = config;
	imds->http = http;
	levee_aws_text_init(&imds->token, 4096);
	pthread_mutex_init(&imds->lock, NULL);
	return imds;
}

void levee_imds_free(struct levee_imds *imds)
{
	if (!imds)
		return;
	levee_aws_text_free(&imds->token);
	pthread_mutex_destroy(&imds->lock);
	free(imds);
}

static const char *setting(const struct levee_imds *imds, const char *variable, const char *key)
{
	const struct levee_aws_config *config = imds->config;
	const char *value = levee_aws_env_get(&config->env, variable);

	return value ? value : levee_aws_profile_get(&config->profiles, config->profile, key);
}

static int find_base(const struct levee_imds *imds, char *out, size_t size,
		     struct levee_aws_error *error)
{
	const char *url = setting(imds, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
				  "ec2_metadata_service_endpoint");
	const char *mode = setting(imds, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
				   "ec2_metadata_service_endpoint_mode");
	struct levee_http_url parts;
	size_t n;
	int ret;

	if (!url)
		url = mode && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]"
							    : "http://169.254.169.254";
	ret = levee_http_url_parse(&parts, url);
	n = strlen(url);
	if (ret == 0 && (parts.query || n >= size))
		ret = -EINVAL;
	levee_http_url_free(&parts);
	if (ret < 0)
		return levee_aws_error_set(error, ret, "InvalidConfiguration",
					   "AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL");
	while (n > 0 && url[n - 1] == '/')
		n--;
	memcpy(out, url, n);
	out[n] = '\0';
	return 0;
}

/* One exchange, and another if the first brings no answer. */
static int ask(struct levee_imds *imds, const char *method, const char *url,
	       const struct levee_aws_header *header, struct levee_http_reply *reply,
	       struct levee_aws_error *error)
{
	const struct levee_http_request request = { .method = method,
						    .url = url,
						    .headers = header,
						    .n_headers = 1,
						    .body = *method == 'P' ? "" : NULL,
						    .connect_ms = CONNECT_MS,
						    .total_ms = TOTAL_MS,
						    .max_bytes = MAX_BYTES,
						    .no_proxy = true };
	int ret = -EIO;

	for (int i = 0; i < TRIES; i++) {
		ret = levee_http_perform(imds->http, &request, reply, error);
		if (ret == -ECANCELED || ret == -ENOMEM || ret == -EFBIG)
			return ret;
		if (ret == 0 && reply->status < 500)
			return 0;
		if (i + 1 < TRIES)
			levee_http_reply_free(reply);
	}
	return ret < 0 ? levee_aws_error_set(error, -ENODATA, error->code,
					     "instance metadata: %.400s", error->message)
		       : 0;
}

static int bad_status(const struct levee_http_reply *reply, struct levee_aws_error *error)
{
	error->status = reply->status;
	if (reply->status == 404)
		return levee_aws_error_set(error, -ENOENT, "HttpStatus",
					   "instance metadata: no such item");
	if (reply->status == 403)
		return levee_aws_error_set(error, -EACCES, "HttpStatus",
					   "instance metadata: status 403; it is disabled for this "
					   "instance");
	return levee_aws_error_set(error, -EREMOTEIO, "HttpStatus", "instance metadata: status %d",
				   reply->status);
}

/* A token goes into a header. */
static bool is_token(const struct levee_aws_text *body)
{
	for (size_t i = 0; i < body->n; i++)
		if (body->bytes[i] <= ' ' || body->bytes[i] > '~')
			return false;
	return body->n > 0 && body->n <= 4096;
}

static int fetch_token(struct levee_imds *imds, const char *base, struct levee_aws_error *error)
{
	const struct levee_aws_header ttl = { "X-aws-ec2-metadata-token-ttl-seconds", "21600" };
	struct levee_http_reply reply = { 0 };
	char url[512];
	int ret;

	snprintf(url, sizeof(url), "%s/latest/api/token", base);
	ret = ask(imds, "PUT", url, &ttl, &reply, error);
	if (ret == 0 && reply.status == 404)
		ret = levee_aws_error_set(
			error, -ENODATA, "HttpStatus",
			"instance metadata: no session tokens here; is this EC2?");
	else if (ret == 0 && reply.status != 200)
		ret = bad_status(&reply, error);
	else if (ret == 0 && !is_token(&reply.body))
		ret = levee_aws_error_set(error, -EREMOTEIO, "UnreadableReply",
					  "instance metadata: a session token that is none");
	if (ret == 0) {
		levee_aws_text_clear(&imds->token);
		levee_aws_text_add(&imds->token, reply.body.bytes, reply.body.n);
		imds->token_until_s = levee_aws_env_now_s(&imds->config->env) + TOKEN_TTL_S -
				      TOKEN_EARLY_S;
		ret = imds->token.error ? levee_aws_error_memory(error) : 0;
	}
	levee_http_reply_free(&reply);
	return ret;
}

/* A clock that went back makes a token look young for too long: then 401 tells. */
static bool has_token(const struct levee_imds *imds)
{
	int64_t left = imds->token_until_s - levee_aws_env_now_s(&imds->config->env);

	return imds->token.n > 0 && left > 0 && left <= TOKEN_TTL_S;
}

static int get_item(struct levee_imds *imds, const char *base, const char *path,
		    struct levee_http_reply *reply, struct levee_aws_error *error)
{
	char url[1024];
	int ret = 0;

	if ((size_t)snprintf(url, sizeof(url), "%s/latest/%s", base, path) >= sizeof(url))
		return levee_aws_error_set(error, -EINVAL, "InvalidRequest",
					   "instance metadata: the path is too long");
	for (int i = 0; i < 2 && ret == 0; i++) {
		if (!has_token(imds))
			ret = fetch_token(imds, base, error);
		if (ret == 0) {
			const struct levee_aws_header header = {
				"X-aws-ec2-metadata-token", levee_aws_text_string(&imds->token)
			};

			levee_http_reply_free(reply);
			ret = ask(imds, "GET", url, &header, reply, error);
		}
		if (ret < 0 || reply->status != 401)
			return ret;
		levee_aws_text_clear(&imds->token);
	}
	return ret;
}

int levee_imds_get(struct levee_imds *imds, const char *path, struct levee_aws_text *out,
		   struct levee_aws_error *error)
{
	struct levee_http_reply reply = { 0 };
	char base[320];
	int ret;

	if (levee_aws_env_true(&imds->config->env, "AWS_EC2_METADATA_DISABLED"))
		return levee_aws_error_set(error, -ENODATA, "NoCredentials",
					   "instance metadata: AWS_EC2_METADATA_DISABLED is true");
	ret = find_base(imds, base, sizeof(base), error);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&imds->lock);
	ret = get_item(imds, base, path, &reply, error);
	pthread_mutex_unlock(&imds->lock);
	if (ret == 0 && reply.status != 200)
		ret = bad_status(&reply, error);
	if (ret == 0) {
		levee_aws_text_clear(out);
		levee_aws_text_add(out, levee_aws_text_string(&reply.body), reply.body.n);
		ret = out->error ? levee_aws_error_set(error, out->error, "ReplyTooLarge",
						       "instance metadata: %s is too large", path)
				 : 0;
	}
	levee_http_reply_free(&reply);
	return ret;
}
