/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "control/aws/text.h"

#define MAX_SETTINGS 100000
#define INVALID	     "InvalidConfiguration"

/* A profile that is there without keys has one setting whose key is "". */
struct levee_aws_setting {
	char *profile;
	char *key;
	char *value;
	enum levee_aws_file kind;
	bool prefixed; /* [profile default] wins over [default] */
};

/* ---- profiles ---- */

static bool add_setting(struct levee_aws_profiles *profiles, const struct levee_aws_setting *new)
{
	struct levee_aws_setting *grown = profiles->settings;

	if (profiles->n == profiles->size) {
		size_t size = profiles->size ? profiles->size * 2 : 16;

		/* pointers only: nothing in the old block to wipe */
		grown = reallocarray(profiles->settings, size, sizeof(*grown));
		if (!grown)
			return false;
		profiles->settings = grown;
		profiles->size = size;
	}
	grown[profiles->n] = (struct levee_aws_setting){ .profile = strdup(new->profile),
							 .key = strdup(new->key),
							 .value = strdup(new->value),
							 .kind = new->kind,
							 .prefixed = new->prefixed };
	profiles->n++;
	return grown[profiles->n - 1].profile && grown[profiles->n - 1].key &&
	       grown[profiles->n - 1].value;
}

/* Does a win over b, of the same profile and key, that came before it? */
static bool wins(const struct levee_aws_setting *a, const struct levee_aws_setting *b)
{
	if (a->kind != b->kind)
		return a->kind == LEVEE_AWS_CREDENTIALS_FILE;
	return a->prefixed >= b->prefixed;
}

static const struct levee_aws_setting *find(const struct levee_aws_profiles *profiles,
					    const char *profile, const char *key)
{
	const struct levee_aws_setting *best = NULL;

	for (size_t i = 0; i < profiles->n; i++) {
		const struct levee_aws_setting *s = &profiles->settings[i];

		if (strcmp(s->profile, profile) == 0 && (!key || strcmp(s->key, key) == 0) &&
		    (!best || wins(s, best)))
			best = s;
	}
	return best;
}

bool levee_aws_profile_exists(const struct levee_aws_profiles *profiles, const char *profile)
{
	return find(profiles, profile, NULL);
}

const char *levee_aws_profile_get(const struct levee_aws_profiles *profiles, const char *profile,
				  const char *key)
{
	const struct levee_aws_setting *s = find(profiles, profile, key);

	return s && *s->value ? s->value : NULL;
}

void levee_aws_profiles_clear(struct levee_aws_profiles *profiles)
{
	for (size_t i = 0; i < profiles->n; i++) {
		free(profiles->settings[i].profile);
		free(profiles->settings[i].key);
		levee_aws_wipe_string(profiles->settings[i].value);
	}
	free(profiles->settings);
	*profiles = (struct levee_aws_profiles){ 0 };
}

/* ---- the files' lines ---- */

struct reader {
	struct levee_aws_profiles *profiles;
	enum levee_aws_file kind;
	const char *name;
	unsigned int line;
	char *profile; /* NULL: none, or a section that is no profile */
	bool in_section;
	bool prefixed;
	char *key; /* of the line above; NULL: none */
	bool nested;
	struct levee_aws_text value;
	struct levee_aws_error *error;
};

static int bad_line(struct reader *r, const char *what)
{
	return levee_aws_error_set(r->error, -EINVAL, INVALID, "%s:%u: %s", r->name, r->line, what);
}

/* A key is complete when the next one, a section or the end comes. */
static int finish_key(struct reader *r)
{
	struct levee_aws_setting new = { .profile = r->profile,
					 .key = r->key,
					 .value = NULL,
					 .kind = r->kind,
					 .prefixed = r->prefixed };
	bool good = true;

	if (r->key && r->profile) {
		if (r->profiles->n >= MAX_SETTINGS)
			return bad_line(r, "too many keys");
		new.value = (char *)(uintptr_t)levee_aws_text_string(&r->value);
		good = !r->value.error && add_setting(r->profiles, &new);
	}
	free(r->key);
	r->key = NULL;
	levee_aws_text_clear(&r->value);
	return good ? 0 : levee_aws_error_memory(r->error);
}

static char *trim(char *s)
{
	size_t n;

	while (*s == ' ' || *s == '\t')
		s++;
	n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\r'))
		s[--n] = '\0';
	return s;
}

/* A comment behind a value begins with a blank, because '#' and ';' may be part of it. */
static void cut_comment(char *s)
{
	for (char *c = s; *c; c++)
		if ((*c == '#' || *c == ';') && (c == s || c[-1] == ' ' || c[-1] == '\t')) {
			*c = '\0';
			return;
		}
}

/* The profile that a section's name stands for; NULL if it is none. */
static char *profile_of(struct reader *r, char *section)
{
	size_t n = strcspn(section, " \t");

	r->prefixed = false;
	if (r->kind == LEVEE_AWS_CREDENTIALS_FILE)
		return section;
	if (strcmp(section, "default") == 0)
		return section;
	if (n != 7 || strncmp(section, "profile", 7) != 0 || !section[n])
		return NULL;
	section = trim(section + n);
	n = strlen(section);
	if (n > 1 && (section[0] == '"' || section[0] == '\'') && section[n - 1] == section[0]) {
		section[n - 1] = '\0';
		section++;
	}
	r->prefixed = true;
	return *section ? section : NULL;
}

static int read_section(struct reader *r, char *line)
{
	char *end = strchr(line, ']'), *profile;
	struct levee_aws_setting new = { .key = (char *)(uintptr_t) "",
					 .value = (char *)(uintptr_t) "",
					 .kind = r->kind };
	int ret = finish_key(r);

	if (ret < 0)
		return ret;
	if (!end || end == line + 1)
		return bad_line(r, "a section is written [NAME]");
	*end = '\0';
	free(r->profile);
	r->profile = NULL;
	r->in_section = true;
	profile = profile_of(r, trim(line + 1));
	if (!profile)
		return 0;
	if (r->profiles->n >= MAX_SETTINGS)
		return bad_line(r, "too many sections");
	r->profile = strdup(profile);
	new.profile = r->profile;
	new.prefixed = r->prefixed;
	return r->profile && add_setting(r->profiles, &new) ? 0 : levee_aws_error_memory(r->error);
}

static int read_key(struct reader *r, char *line)
{
	char *equals = strchr(line, '='), *key, *value;
	int ret = finish_key(r);

	if (ret < 0)
		return ret;
	if (!r->in_section)
		return bad_line(r, "a key before the first [SECTION]");
	if (!equals)
		return bad_line(r, "neither [SECTION] nor KEY = VALUE");
	*equals = '\0';
	key = trim(line);
	value = equals + 1;
	cut_comment(value);
	value = trim(value);
	if (!*key)
		return bad_line(r, "a value without a key");
	for (char *c = key; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	r->key = strdup(key);
	r->nested = *value == '\0';
	levee_aws_text_puts(&r->value, value);
	return r->key ? 0 : levee_aws_error_memory(r->error);
}

static int read_continuation(struct reader *r, char *line)
{
	char *value;

	if (!r->key)
		return bad_line(r, "an indented line that goes on with nothing");
	if (r->nested)
		return 0;
	cut_comment(line);
	value = trim(line);
	if (*value)
		levee_aws_text_printf(&r->value, "\n%s", value);
	return 0;
}

static int read_line(struct reader *r, char *line)
{
	bool indented = *line == ' ' || *line == '\t';
	const char *start = line + strspn(line, " \t\r");

	if (!*start || *start == '#' || *start == ';')
		return 0;
	if (indented)
		return read_continuation(r, line);
	return *line == '[' ? read_section(r, line) : read_key(r, line);
}

static int read_lines(struct reader *r, const char *text, size_t n)
{
	int ret = 0;

	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3; /* of an editor that marks UTF-8 */
		n -= 3;
	}
	while (n > 0 && ret == 0) {
		const char *end = memchr(text, '\n', n);
		size_t length = end ? (size_t)(end - text) : n;
		char *line = strndup(text, length);

		r->line++;
		if (!line)
			ret = levee_aws_error_memory(r->error);
		else if (memchr(text, '\0', length))
			ret = bad_line(r, "a NUL byte");
		else
			ret = read_line(r, line);
		levee_aws_wipe_string(line);
		text += length + (end != NULL);
		n -= length + (end != NULL);
	}
	return ret == 0 ? finish_key(r) : ret;
}

int levee_aws_profiles_parse(struct levee_aws_profiles *profiles, const char *text, size_t n,
			     enum levee_aws_file kind, const char *name,
			     struct levee_aws_error *error)
{
	struct reader r = {
		.profiles = profiles, .kind = kind, .name = name, .error = error, .nested = false
	};
	int ret;

	if (n > LEVEE_AWS_FILE_BYTES)
		return levee_aws_error_set(error, -EFBIG, INVALID, "%s: larger than %d bytes", name,
					   LEVEE_AWS_FILE_BYTES);
	levee_aws_text_init(&r.value, LEVEE_AWS_FILE_BYTES);
	ret = read_lines(&r, text, n);
	free(r.profile);
	free(r.key);
	levee_aws_text_free(&r.value);
	return ret;
}

/* ---- the files ---- */

/* Home as the official tools find it: HOME, else the user database. Caller frees. */
static char *home_of(const struct levee_aws_env *env)
{
	const char *home = levee_aws_env_get(env, "HOME");
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (home)
		return strdup(home);
	if (getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found)
		return strdup(found->pw_dir);
	return NULL;
}

/* Where a file is, "~/" understood. NULL: nowhere, or no memory. Caller frees. */
static char *path_of(const struct levee_aws_env *env, const char *variable, const char *usual)
{
	const char *path = levee_aws_env_get(env, variable);
	char *home, *full = NULL;

	if (!path)
		path = usual;
	if (strncmp(path, "~/", 2) != 0)
		return strdup(path);
	home = home_of(env);
	if (home && asprintf(&full, "%s%s", home, path + 1) < 0)
		full = NULL;
	free(home);
	return full;
}

static int read_all(int fd, struct levee_aws_text *text)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		levee_aws_text_add(text, bytes, (size_t)n);
		OPENSSL_cleanse(bytes, (size_t)n);
		if (text->error)
			return text->error;
	}
	return 0;
}

/* Not a directory, and no pipe that would keep us waiting. */
static int read_regular(const char *path, struct levee_aws_text *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int ret;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (fstat(fd, &st) < 0)
		ret = -errno;
	else if (S_ISDIR(st.st_mode))
		ret = -EISDIR;
	else
		ret = read_all(fd, text);
	close(fd);
	return ret;
}

static int read_file(struct levee_aws_profiles *profiles, const struct levee_aws_env *env,
		     enum levee_aws_file kind, struct levee_aws_error *error)
{
	char *path = kind == LEVEE_AWS_CONFIG_FILE
			     ? path_of(env, "AWS_CONFIG_FILE", "~/.aws/config")
			     : path_of(env, "AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
	struct levee_aws_text text;
	int ret;

	if (!path)
		return 0; /* no home, no file */
	levee_aws_text_init(&text, LEVEE_AWS_FILE_BYTES);
	ret = read_regular(path, &text);
	if (ret < 0)
		levee_aws_error_set(error, ret, INVALID, "%s: %s", path, strerror(-ret));
	else
		ret = levee_aws_profiles_parse(profiles, levee_aws_text_string(&text), text.n, kind,
					       path, error);
	levee_aws_text_free(&text);
	free(path);
	return ret;
}

int levee_aws_profiles_read(struct levee_aws_profiles *profiles, const struct levee_aws_env *env,
			    struct levee_aws_error *error)
{
	int ret;

	*profiles = (struct levee_aws_profiles){ 0 };
	ret = read_file(profiles, env, LEVEE_AWS_CONFIG_FILE, error);
	if (ret == 0)
		ret = read_file(profiles, env, LEVEE_AWS_CREDENTIALS_FILE, error);
	if (ret < 0)
		levee_aws_profiles_clear(profiles);
	return ret;
}

/* ---- configuration ---- */

/* The variable, else the profile's key. */
static const char *value_of(const struct levee_aws_config *config, const char *variable,
			    const char *key)
{
	const char *value = levee_aws_env_get(&config->env, variable);

	return value ? value : levee_aws_profile_get(&config->profiles, config->profile, key);
}

static int take_flag(const struct levee_aws_config *config, const char *variable, const char *key,
		     bool *out, struct levee_aws_error *error)
{
	const char *value = value_of(config, variable, key);

	*out = value && strcasecmp(value, "true") == 0;
	if (!value || *out || strcasecmp(value, "false") == 0)
		return 0;
	return levee_aws_error_set(error, -EINVAL, INVALID,
				   "%s (%s) is \"%.32s\"; it must be true or false", variable, key,
				   value);
}

static int take_attempts(struct levee_aws_config *config, struct levee_aws_error *error)
{
	const char *value = value_of(config, "AWS_MAX_ATTEMPTS", "max_attempts");
	unsigned long n = 3;
	char *end;

	if (value) {
		n = strtoul(value, &end, 10);
		if (!isdigit((unsigned char)*value) || *end || n < 1)
			return levee_aws_error_set(error, -EINVAL, INVALID,
						   "AWS_MAX_ATTEMPTS (max_attempts) is \"%.32s\"; "
						   "it must be a number from 1",
						   value);
	}
	config->max_attempts = n > 10 ? 10 : (unsigned int)n;
	return 0;
}

int levee_aws_config_set_region(struct levee_aws_config *config, const char *region,
				struct levee_aws_error *error)
{
	size_t n = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");
	char *copy;

	if (n == 0 || n > 63 || region[n] || region[0] == '-' || region[n - 1] == '-')
		return levee_aws_error_set(error, -EINVAL, INVALID,
					   "region is \"%.64s\"; it must be one like eu-west-1",
					   region);
	copy = strdup(region);
	if (!copy)
		return levee_aws_error_memory(error);
	free(config->region);
	config->region = copy;
	return 0;
}

static int take_region(struct levee_aws_config *config, const struct levee_aws_overrides *overrides,
		       struct levee_aws_error *error)
{
	const char *region = overrides ? overrides->region : NULL;

	if (!region)
		region = levee_aws_env_get(&config->env, "AWS_REGION");
	if (!region)
		region = value_of(config, "AWS_DEFAULT_REGION", "region");
	return region ? levee_aws_config_set_region(config, region, error) : 0;
}

/* A profile that was asked for must be there; "default" need not. */
static int take_profile(struct levee_aws_config *config,
			const struct levee_aws_overrides *overrides, struct levee_aws_error *error)
{
	const char *asked = overrides ? overrides->profile : NULL;

	config->profile_from_call = asked != NULL;
	if (!asked)
		asked = levee_aws_env_get(&config->env, "AWS_PROFILE");
	if (!asked)
		asked = levee_aws_env_get(&config->env, "AWS_DEFAULT_PROFILE");
	config->profile = strdup(asked ? asked : "default");
	if (!config->profile)
		return levee_aws_error_memory(error);
	if (asked && !levee_aws_profile_exists(&config->profiles, asked))
		return levee_aws_error_set(error, -ENOENT, "ProfileNotFound",
					   "profile \"%.128s\" is neither in the configuration nor "
					   "in the credentials file (~/.aws/config, "
					   "~/.aws/credentials, or where AWS_CONFIG_FILE and "
					   "AWS_SHARED_CREDENTIALS_FILE point)",
					   asked);
	return 0;
}

static int take_strings(struct levee_aws_config *config,
			const struct levee_aws_overrides *overrides, struct levee_aws_error *error)
{
	const char *bundle = value_of(config, "AWS_CA_BUNDLE", "ca_bundle");
	const char *url = overrides ? overrides->endpoint_url : NULL;

	config->ca_bundle = bundle ? strdup(bundle) : NULL;
	config->endpoint_url = url ? strdup(url) : NULL;
	if ((bundle && !config->ca_bundle) || (url && !config->endpoint_url))
		return levee_aws_error_memory(error);
	return 0;
}

int levee_aws_config_load(struct levee_aws_config *config, const struct levee_aws_env *env,
			  const struct levee_aws_overrides *overrides,
			  struct levee_aws_error *error)
{
	int ret;

	*config = (struct levee_aws_config){ .env = *env, .max_attempts = 3 };
	ret = levee_aws_profiles_read(&config->profiles, env, error);
	if (ret == 0)
		ret = take_profile(config, overrides, error);
	if (ret == 0)
		ret = take_region(config, overrides, error);
	if (ret == 0)
		ret = take_strings(config, overrides, error);
	if (ret == 0)
		ret = take_flag(config, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint", &config->fips,
				error);
	if (ret == 0)
		ret = take_flag(config, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint",
				&config->dualstack, error);
	return ret == 0 ? take_attempts(config, error) : ret;
}

void levee_aws_config_clear(struct levee_aws_config *config)
{
	levee_aws_profiles_clear(&config->profiles);
	free(config->profile);
	free(config->region);
	free(config->endpoint_url);
	free(config->ca_bundle);
	*config = (struct levee_aws_config){ 0 };
}
