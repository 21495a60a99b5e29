/* SPDX-License-Identifier: BSD-2-Clause */
/* Profiles: keys, a process, a role with another profile or a named source behind it. */
#include "control/aws/credentials_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/process.h"

#define FAILED	     "CredentialsFailed"
#define INVALID	     "InvalidConfiguration"
#define MAX_CHAIN    8
#define PROCESS_MS   60000
#define OUTPUT_BYTES (64 * 1024)

/* The profiles that led here; the last is being looked at. */
struct path {
	const struct levee_aws_sources *s;
	const char *profiles[MAX_CHAIN];
	size_t n;
};

static int resolve(struct path *path, bool is_source, struct levee_aws_credentials *out,
		   struct levee_aws_error *error);

static const char *current(const struct path *path)
{
	return path->profiles[path->n - 1];
}

static const char *setting(const struct path *path, const char *key)
{
	return levee_aws_profile_get(path->s->profiles, current(path), key);
}

static bool has_keys(const struct levee_aws_sources *s, const char *profile)
{
	return levee_aws_profile_get(s->profiles, profile, "aws_access_key_id") ||
	       levee_aws_profile_get(s->profiles, profile, "aws_secret_access_key");
}

static void name_profile(const struct path *path, char *out, size_t size)
{
	snprintf(out, size, "profile \"%.64s\"", current(path));
}

/* ---- keys, and a process that prints them ---- */

static int from_keys(const struct path *path, struct levee_aws_credentials *out,
		     struct levee_aws_error *error)
{
	char whose[96];

	name_profile(path, whose, sizeof(whose));
	snprintf(out->provider, sizeof(out->provider), "%s: keys", whose);
	return levee_aws_take_keys(out, setting(path, "aws_access_key_id"),
				   setting(path, "aws_secret_access_key"),
				   setting(path, "aws_session_token"), NULL, whose, error);
}

static int read_output(const struct levee_aws_text *text, const char *whose,
		       struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	json_t *json = json_loadb(levee_aws_text_string(text), text->n, 0, NULL);
	const json_t *version = json_object_get(json, "Version");
	int ret;

	if (!json_is_object(json))
		ret = levee_aws_error_set(error, -EBADMSG, FAILED, "%s: its output is not JSON",
					  whose);
	else if (!json_is_integer(version) || json_integer_value(version) != 1)
		ret = levee_aws_error_set(error, -EBADMSG, FAILED,
					  "%s: its output is not of \"Version\": 1", whose);
	else
		ret = levee_aws_take_json(out, json, "SessionToken", whose, error);
	levee_aws_json_wipe(json);
	return ret;
}

static int from_process(const struct path *path, const char *command,
			struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	struct levee_aws_text text;
	char whose[128];
	int ret;

	snprintf(whose, sizeof(whose), "profile \"%.64s\": credential_process", current(path));
	snprintf(out->provider, sizeof(out->provider), "%s", whose);
	levee_aws_text_init(&text, OUTPUT_BYTES);
	ret = levee_aws_run(command, &path->s->config->env, PROCESS_MS, &text, error);
	if (ret < 0)
		levee_aws_error_set(error, ret, error->code, "%s: %.300s", whose, error->message);
	else
		ret = read_output(&text, whose, out, error);
	levee_aws_text_free(&text);
	return ret;
}

/* ---- roles ---- */

static bool visited(const struct path *path, const char *profile)
{
	for (size_t i = 0; i < path->n; i++)
		if (strcmp(path->profiles[i], profile) == 0)
			return true;
	return false;
}

static int from_source_profile(struct path *path, const char *source,
			       struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	char whose[96];
	int ret;

	name_profile(path, whose, sizeof(whose));
	if (!levee_aws_profile_exists(path->s->profiles, source))
		return levee_aws_error_set(error, -ENOENT, INVALID,
					   "%s: source_profile \"%.64s\" does not exist", whose,
					   source);
	/* A profile may name itself, for the keys that stand beside its role. */
	if (strcmp(source, current(path)) == 0 && has_keys(path->s, source))
		return from_keys(path, out, error);
	if (visited(path, source))
		return levee_aws_error_set(error, -ELOOP, INVALID,
					   "%s: source_profile \"%.64s\" leads back to itself",
					   whose, source);
	if (path->n == MAX_CHAIN)
		return levee_aws_error_set(error, -ELOOP, INVALID,
					   "%s: more than %d profiles in a row by source_profile",
					   whose, MAX_CHAIN);
	path->profiles[path->n++] = source;
	ret = resolve(path, true, out, error);
	path->n--;
	if (ret == -ENODATA)
		return levee_aws_error_set(error, -EINVAL, INVALID,
					   "%s: source_profile \"%.64s\" has no credentials", whose,
					   source);
	return ret;
}

static int from_named_source(const struct path *path, const char *source,
			     struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	char whose[96];
	int ret;

	name_profile(path, whose, sizeof(whose));
	if (strcmp(source, "Environment") == 0)
		ret = levee_aws_from_variables(path->s, out, error);
	else if (strcmp(source, "Ec2InstanceMetadata") == 0)
		ret = levee_aws_from_imds(path->s, out, error);
	else if (strcmp(source, "EcsContainer") == 0)
		ret = levee_aws_from_container(path->s, out, error);
	else
		return levee_aws_error_set(error, -EINVAL, INVALID,
					   "%s: credential_source is \"%.64s\"; it must be "
					   "Environment, Ec2InstanceMetadata or EcsContainer",
					   whose, source);
	if (ret == -ENODATA)
		return levee_aws_error_set(error, -EINVAL, FAILED,
					   "%s: credential_source %s has no credentials. %.200s",
					   whose, source, error->message);
	return ret;
}

static int find_source(struct path *path, struct levee_aws_credentials *out,
		       struct levee_aws_error *error)
{
	const char *profile = setting(path, "source_profile");
	const char *source = setting(path, "credential_source");

	if (profile && source)
		return levee_aws_error_set(error, -EINVAL, INVALID,
					   "profile \"%.64s\": source_profile and "
					   "credential_source exclude each other",
					   current(path));
	if (profile)
		return from_source_profile(path, profile, out, error);
	if (source)
		return from_named_source(path, source, out, error);
	return levee_aws_error_set(error, -EINVAL, INVALID,
				   "profile \"%.64s\": role_arn needs source_profile or "
				   "credential_source",
				   current(path));
}

static void write_form(const struct path *path, const char *role, struct levee_aws_text *form)
{
	const char *session = setting(path, "role_session_name");
	const char *external = setting(path, "external_id");
	const char *duration = setting(path, "duration_seconds");
	char name[64];

	levee_aws_session_name(path->s, name, sizeof(name));
	levee_aws_form_add(form, role, "RoleArn");
	levee_aws_form_add(form, session ? session : name, "RoleSessionName");
	if (external)
		levee_aws_form_add(form, external, "ExternalId");
	if (duration && isdigit((unsigned char)*duration))
		levee_aws_form_add(form, duration, "DurationSeconds");
}

static int assume_with(const struct path *path, const char *role,
		       const struct levee_aws_credentials *source,
		       struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	struct levee_aws_text form;
	char whose[320];
	int ret;

	snprintf(whose, sizeof(whose), "profile \"%.64s\": role %.200s", current(path), role);
	snprintf(out->provider, sizeof(out->provider), "%s, from %.180s", whose, source->provider);
	levee_aws_text_init(&form, LEVEE_AWS_FORM_BYTES);
	write_form(path, role, &form);
	ret = levee_aws_assume(path->s, "AssumeRole", &form, &source->keys, whose, out, error);
	levee_aws_text_free(&form);
	return ret;
}

static int from_role(struct path *path, const char *role, struct levee_aws_credentials *out,
		     struct levee_aws_error *error)
{
	struct levee_aws_credentials source = { 0 };
	int ret;

	if (setting(path, "mfa_serial"))
		return levee_aws_error_set(error, -ENOTSUP, INVALID,
					   "profile \"%.64s\": mfa_serial asks for a code by hand, "
					   "which a service cannot give",
					   current(path));
	ret = find_source(path, &source, error);
	if (ret == 0)
		ret = assume_with(path, role, &source, out, error);
	levee_aws_credentials_clear(&source);
	return ret;
}

static int from_web_identity(const struct path *path, const char *role, const char *file,
			     struct levee_aws_credentials *out, struct levee_aws_error *error)
{
	char whose[96];

	name_profile(path, whose, sizeof(whose));
	if (!role)
		return levee_aws_error_set(error, -EINVAL, INVALID,
					   "%s: web_identity_token_file needs role_arn", whose);
	snprintf(out->provider, sizeof(out->provider), "%s: web identity, role %.300s", whose,
		 role);
	return levee_aws_assume_web_identity(path->s, role, file,
					     setting(path, "role_session_name"), whose, out, error);
}

/*
 * One profile. Its role comes before its keys, except where it is another's source: there the keys
 * are meant.
 */
static int resolve(struct path *path, bool is_source, struct levee_aws_credentials *out,
		   struct levee_aws_error *error)
{
	const char *role = setting(path, "role_arn");
	const char *file = setting(path, "web_identity_token_file");
	const char *command = setting(path, "credential_process");
	bool keys = has_keys(path->s, current(path));

	if (file)
		return from_web_identity(path, role, file, out, error);
	if (role && !(is_source && keys))
		return from_role(path, role, out, error);
	if (keys)
		return from_keys(path, out, error);
	if (command)
		return from_process(path, command, out, error);
	if (setting(path, "sso_session") || setting(path, "sso_start_url"))
		return levee_aws_error_set(error, -ENOTSUP, INVALID,
					   "profile \"%.64s\": SSO needs a person; give Levee a "
					   "role, or keys by credential_process",
					   current(path));
	return -ENODATA;
}

int levee_aws_from_profile(const struct levee_aws_sources *s, struct levee_aws_credentials *out,
			   struct levee_aws_error *error)
{
	struct path path = { .s = s, .profiles = { s->config->profile }, .n = 1 };

	return resolve(&path, false, out, error);
}
