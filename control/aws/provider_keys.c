/* SPDX-License-Identifier: BSD-2-Clause */
/* What the providers share, and the two that ask nobody but STS: environment, web identity. */
#include "control/aws/credentials_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "control/aws/isotime.h"

#define FAILED	     "CredentialsFailed"
#define SECRET_BYTES (64 * 1024)
#define STS_REGION   "us-east-1" /* answers for all of the partition "aws" */

int levee_aws_take_keys(struct levee_aws_credentials *out, const char *access_key,
			const char *secret_key, const char *token, const char *expires,
			const char *whose, struct levee_aws_error *error)
{
	if (!access_key || !*access_key || !secret_key || !*secret_key)
		return levee_aws_error_set(error, -EBADMSG, FAILED,
					   "%s: access key or secret key is missing", whose);
	/* they go into headers */
	if (strpbrk(access_key, " \t\r\n,/") || (token && strpbrk(token, " \t\r\n")))
		return levee_aws_error_set(error, -EBADMSG, FAILED,
					   "%s: access key or session token is malformed", whose);
	out->expires_s = 0;
	if (expires && *expires && levee_aws_time_parse(expires, &out->expires_s) < 0)
		return levee_aws_error_set(error, -EBADMSG, FAILED,
					   "%s: the time of expiration is malformed", whose);
	if (levee_aws_keys_set(&out->keys, access_key, secret_key, token) < 0)
		return levee_aws_error_memory(error);
	return 0;
}

/* A string, or "" where a member is missing or null; NULL if it is something else. */
static const char *member(const json_t *json, const char *name)
{
	const json_t *value = json_object_get(json, name);

	if (!value || json_is_null(value))
		return "";
	return json_string_value(value);
}

int levee_aws_take_json(struct levee_aws_credentials *out, const json_t *json,
			const char *token_name, const char *whose, struct levee_aws_error *error)
{
	const char *access = member(json, "AccessKeyId");
	const char *secret = member(json, "SecretAccessKey");
	const char *token = member(json, token_name);
	const char *expires = member(json, "Expiration");

	if (!json_is_object(json) || !access || !secret || !token || !expires)
		return levee_aws_error_set(error, -EBADMSG, FAILED,
					   "%s: not the JSON object that was expected", whose);
	return levee_aws_take_keys(out, access, secret, token, expires, whose, error);
}

int levee_aws_read_secret(const char *path, const char *whose, struct levee_aws_text *out,
			  struct levee_aws_error *error)
{
	char bytes[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	ssize_t n = 0;

	levee_aws_text_init(out, SECRET_BYTES);
	if (fd < 0)
		return levee_aws_error_set(error, -errno, FAILED, "%s: %s: %s", whose, path,
					   strerror(errno));
	while (!out->error &&
	       ((n = read(fd, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR)))
		if (n > 0)
			levee_aws_text_add(out, bytes, (size_t)n);
	ret = n < 0 ? -errno : out->error;
	OPENSSL_cleanse(bytes, sizeof(bytes));
	close(fd);
	if (ret < 0)
		return levee_aws_error_set(error, ret, FAILED, "%s: %s: %s", whose, path,
					   strerror(-ret));
	while (out->n > 0 && strchr("\r\n", out->bytes[out->n - 1]))
		out->bytes[--out->n] = '\0';
	if (out->n == 0 || strlen(out->bytes) != out->n || strpbrk(out->bytes, "\r\n"))
		return levee_aws_error_set(error, -EBADMSG, FAILED, "%s: %s: not one line of text",
					   whose, path);
	return 0;
}

int levee_aws_from_variables(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			     struct levee_aws_error *error)
{
	const struct levee_aws_env *env = &s->config->env;
	const char *access = levee_aws_env_get(env, "AWS_ACCESS_KEY_ID");
	const char *secret = levee_aws_env_get(env, "AWS_SECRET_ACCESS_KEY");
	const char *token = levee_aws_env_get(env, "AWS_SESSION_TOKEN");

	if (!access && !secret)
		return -ENODATA;
	if (!access || !secret)
		return levee_aws_error_set(error, -EINVAL, FAILED,
					   "environment: %s is set, but %s is not",
					   access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
					   access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	if (!token)
		token = levee_aws_env_get(env, "AWS_SECURITY_TOKEN"); /* its older name */
	snprintf(out->provider, sizeof(out->provider), "environment");
	return levee_aws_take_keys(out, access, secret, token, NULL, out->provider, error);
}

int levee_aws_from_environment(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			       struct levee_aws_error *error)
{
	return s->config->profile_from_call ? -ENODATA : levee_aws_from_variables(s, out, error);
}

/* ---- STS ---- */

void levee_aws_session_name(const struct levee_aws_sources *s, char *out, size_t size)
{
	snprintf(out, size, "levee-%lld", (long long)levee_aws_env_now_s(&s->config->env));
}

static int read_assumed(const struct levee_aws_reply *reply, const char *operation,
			const char *whose, struct levee_aws_credentials *out,
			struct levee_aws_error *error)
{
	const struct levee_xml_node *keys;
	char path[96];

	snprintf(path, sizeof(path), "%sResult/Credentials", operation);
	keys = levee_xml_find(levee_xml_root(reply->xml), path);
	return levee_aws_take_keys(out, levee_xml_text(keys, "AccessKeyId"),
				   levee_xml_text(keys, "SecretAccessKey"),
				   levee_xml_text(keys, "SessionToken"),
				   levee_xml_text(keys, "Expiration"), whose, error);
}

int levee_aws_assume(const struct levee_aws_sources *s, const char *operation,
		     const struct levee_aws_text *form, const struct levee_aws_keys *keys,
		     const char *whose, struct levee_aws_credentials *out,
		     struct levee_aws_error *error)
{
	struct levee_aws_key_source source = levee_aws_fixed_keys(keys);
	struct levee_aws_client *client = levee_aws_client_new(s->config, s->http, &source);
	const struct levee_aws_call call = { .service = LEVEE_AWS_STS,
					     .operation = operation,
					     .form = form,
					     .region = s->config->region ? s->config->region
									 : STS_REGION };
	struct levee_aws_reply reply;
	int ret;

	if (!client)
		return levee_aws_error_memory(error);
	ret = levee_aws_call(client, &call, &reply);
	if (ret < 0) {
		*error = reply.error;
		/* of our providers' codes, -ENODATA means something else */
		ret = levee_aws_error_set(error, ret == -ENODATA ? -EIO : ret, error->code,
					  "%.200s: sts %s: %.256s", whose, operation,
					  reply.error.message);
	} else {
		ret = read_assumed(&reply, operation, whose, out, error);
	}
	levee_aws_reply_free(&reply);
	levee_aws_client_free(client);
	return ret;
}

int levee_aws_assume_web_identity(const struct levee_aws_sources *s, const char *role,
				  const char *token_file, const char *session, const char *whose,
				  struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	struct levee_aws_text token, form;
	struct levee_aws_keys secret = { 0 };
	char name[64];
	int ret = levee_aws_read_secret(token_file, whose, &token, error);

	levee_aws_text_init(&form, LEVEE_AWS_FORM_BYTES);
	if (ret == 0) {
		levee_aws_session_name(s, name, sizeof(name));
		levee_aws_form_add(&form, role, "RoleArn");
		levee_aws_form_add(&form, session ? session : name, "RoleSessionName");
		levee_aws_form_add(&form, token.bytes, "WebIdentityToken");
		secret.token = token.bytes; /* lent: unsigned, and out of messages */
		ret = levee_aws_assume(s, "AssumeRoleWithWebIdentity", &form, &secret, whose, out,
				       error);
	}
	levee_aws_text_free(&form);
	levee_aws_text_free(&token);
	return ret;
}

int levee_aws_from_web_identity(const struct levee_aws_sources *s,
				struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	const struct levee_aws_env *env = &s->config->env;
	const char *file = levee_aws_env_get(env, "AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *role = levee_aws_env_get(env, "AWS_ROLE_ARN");

	if (!file)
		return -ENODATA;
	if (!role)
		return levee_aws_error_set(error, -EINVAL, FAILED,
					   "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set, but "
					   "AWS_ROLE_ARN is not");
	snprintf(out->provider, sizeof(out->provider), "web identity: role %s", role);
	return levee_aws_assume_web_identity(s, role, file,
					     levee_aws_env_get(env, "AWS_ROLE_SESSION_NAME"),
					     "web identity", out, error);
}
