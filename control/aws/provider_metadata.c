/* SPDX-License-Identifier: BSD-2-Clause */
/* The providers that the platform runs beside us: of containers, of the instance. */
#include "control/aws/credentials_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FAILED		  "CredentialsFailed"
#define CONTAINER_HOST	  "http://169.254.170.2"
#define CONTAINER_TRIES	  3
#define CONTAINER_WAIT_MS 1000
#define CONNECT_MS	  2000
#define TOTAL_MS	  5000
#define MAX_BYTES	  (64 * 1024)
#define ROLE_BYTES	  512

/* ---- container ---- */

/* Plain HTTP would hand the keys to whoever listens on the way. */
static bool may_be_plain(const char *host)
{
	static const char *const allowed[] = { "localhost", "169.254.170.2", "169.254.170.23",
					       "fd00:ec2::23" };
	struct in6_addr v6;
	struct in_addr v4;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (strcasecmp(host, allowed[i]) == 0)
			return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_url(const char *text, struct levee_aws_error *error)
{
	struct levee_http_url url;
	int ret = levee_http_url_parse(&url, text);

	if (ret == -ENOMEM)
		return levee_aws_error_memory(error);
	if (ret < 0)
		ret = levee_aws_error_set(error, -EINVAL, "InvalidConfiguration",
					  "container: AWS_CONTAINER_CREDENTIALS_FULL_URI is no "
					  "URL");
	else if (!url.https && !may_be_plain(url.host))
		ret = levee_aws_error_set(error, -EINVAL, "InvalidConfiguration",
					  "container: AWS_CONTAINER_CREDENTIALS_FULL_URI is plain "
					  "HTTP to %.128s; it must be HTTPS, or go to loopback, "
					  "169.254.170.2, 169.254.170.23 or fd00:ec2::23",
					  url.host);
	levee_http_url_free(&url);
	return ret;
}

/* 0; -ENODATA if neither variable is set. */
static int find_url(const struct levee_aws_env *env, struct levee_aws_text *url,
		    struct levee_aws_error *error)
{
	const char *relative = levee_aws_env_get(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = levee_aws_env_get(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");

	if (relative) {
		if (*relative != '/')
			return levee_aws_error_set(error, -EINVAL, "InvalidConfiguration",
						   "container: "
						   "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does "
						   "not begin with a slash");
		levee_aws_text_printf(url, CONTAINER_HOST "%s", relative);
	} else if (full) {
		levee_aws_text_puts(url, full);
	} else {
		return -ENODATA;
	}
	return url->error ? levee_aws_error_memory(error) : check_url(url->bytes, error);
}

/* Its file first: the platform renews it. Empty: none. */
static int find_token(const struct levee_aws_env *env, struct levee_aws_text *token,
		      struct levee_aws_error *error)
{
	const char *file = levee_aws_env_get(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *value = levee_aws_env_get(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");

	if (file)
		return levee_aws_read_secret(file, "container", token, error);
	levee_aws_text_init(token, MAX_BYTES);
	if (value && strpbrk(value, "\r\n"))
		return levee_aws_error_set(error, -EINVAL, "InvalidConfiguration",
					   "container: AWS_CONTAINER_AUTHORIZATION_TOKEN has a "
					   "line break");
	if (value)
		levee_aws_text_puts(token, value);
	return token->error ? levee_aws_error_memory(error) : 0;
}

static int read_container(const struct levee_http_reply *reply, struct levee_aws_credentials *out,
			  struct levee_aws_error *error)
{
	json_t *json;
	int ret;

	error->status = reply->status;
	if (reply->status != 200)
		return levee_aws_error_set(error, -EIO, FAILED, "container: status %d",
					   reply->status);
	json = json_loadb(levee_aws_text_string(&reply->body), reply->body.n, 0, NULL);
	ret = levee_aws_take_json(out, json, "Token", "container", error);
	levee_aws_json_wipe(json);
	return ret;
}

static bool worth_another(int ret, const struct levee_http_reply *reply)
{
	if (ret == -ETIMEDOUT || ret == -ECONNREFUSED || ret == -ECONNRESET)
		return true;
	return ret == 0 && (reply->status >= 500 || reply->status == 429);
}

static int ask_container(const struct levee_aws_sources *s, const char *url,
			 const struct levee_aws_text *token, struct levee_aws_credentials *out,
			 struct levee_aws_error *error)
{
	const struct levee_aws_env *env = &s->config->env;
	const struct levee_aws_header headers[] = {
		{ "Accept", "application/json" }, { "Authorization", levee_aws_text_string(token) }
	};
	const struct levee_http_request request = { .method = "GET",
						    .url = url,
						    .headers = headers,
						    .n_headers = token->n ? 2 : 1,
						    .connect_ms = CONNECT_MS,
						    .total_ms = TOTAL_MS,
						    .max_bytes = MAX_BYTES,
						    .no_proxy = true };
	struct levee_http_reply reply;
	int ret;

	for (int i = 1;; i++) {
		ret = levee_http_perform(s->http, &request, &reply, error);
		if (i == CONTAINER_TRIES || !worth_another(ret, &reply))
			break;
		levee_http_reply_free(&reply);
		if (env->sleep_ms(env->ctx, CONTAINER_WAIT_MS) < 0)
			return levee_aws_error_set(error, -ECANCELED, "Cancelled",
						   "container: called off");
	}
	if (ret == 0)
		ret = read_container(&reply, out, error);
	else
		levee_aws_error_set(error, ret, error->code, "container: %.400s", error->message);
	levee_http_reply_free(&reply);
	return ret;
}

int levee_aws_from_container(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			     struct levee_aws_error *error)
{
	struct levee_aws_text url, token = { 0 };
	int ret;

	levee_aws_text_init(&url, 4096);
	ret = find_url(&s->config->env, &url, error);
	if (ret == 0)
		ret = find_token(&s->config->env, &token, error);
	if (ret == 0) {
		snprintf(out->provider, sizeof(out->provider), "container");
		ret = ask_container(s, url.bytes, &token, out, error);
	}
	levee_aws_text_free(&url);
	levee_aws_text_free(&token);
	return ret;
}

/* ---- instance metadata ---- */

/* The role's name becomes part of a URL and of what is shown. */
static int find_role(const struct levee_aws_sources *s, char role[static ROLE_BYTES],
		     struct levee_aws_error *error)
{
	struct levee_aws_text text;
	int ret;

	levee_aws_text_init(&text, MAX_BYTES);
	ret = levee_imds_get(s->imds, "meta-data/iam/security-credentials/", &text, error);
	if (ret == -ENOENT)
		ret = levee_aws_error_set(error, -ENODATA, "NoCredentials",
					  "instance metadata: the instance has no role");
	if (ret == 0) {
		size_t n = strcspn(levee_aws_text_string(&text), "\r\n");

		snprintf(role, ROLE_BYTES, "%.*s", (int)n, levee_aws_text_string(&text));
		if (n == 0 || n >= ROLE_BYTES ||
		    role[strspn(role, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789+=,.@_-")])
			ret = levee_aws_error_set(error, -EBADMSG, FAILED,
						  "instance metadata: a role's name that is none");
	}
	levee_aws_text_free(&text);
	return ret;
}

static int read_role(const struct levee_aws_text *text, struct levee_aws_credentials *out,
		     struct levee_aws_error *error)
{
	json_t *json = json_loadb(levee_aws_text_string(text), text->n, 0, NULL);
	const char *code = json_string_value(json_object_get(json, "Code"));
	int ret;

	if (code && strcmp(code, "Success") != 0)
		ret = levee_aws_error_set(error, -EIO, FAILED,
					  "instance metadata: %.64s instead of credentials; is the "
					  "role's trust policy for ec2.amazonaws.com?",
					  code);
	else
		ret = levee_aws_take_json(out, json, "Token", "instance metadata", error);
	levee_aws_json_wipe(json);
	return ret;
}

int levee_aws_from_imds(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			struct levee_aws_error *error)
{
	char role[ROLE_BYTES], path[ROLE_BYTES + 64];
	struct levee_aws_text text;
	int ret = find_role(s, role, error);

	if (ret < 0)
		return ret;
	snprintf(path, sizeof(path), "meta-data/iam/security-credentials/%s", role);
	levee_aws_text_init(&text, MAX_BYTES);
	ret = levee_imds_get(s->imds, path, &text, error);
	if (ret == -ENODATA || ret == -ENOENT)
		ret = -EIO; /* a role was named: it is configured */
	if (ret == 0) {
		snprintf(out->provider, sizeof(out->provider), "instance metadata: role %.440s",
			 role);
		out->outlives = true;
		ret = read_role(&text, out, error);
	}
	levee_aws_text_free(&text);
	return ret;
}
