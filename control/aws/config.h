/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration as the official tools take it: the files ~/.aws/config and ~/.aws/credentials (or
 * AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE), the profile (AWS_PROFILE, else "default"), and
 * the AWS_* variables, which win over the files.
 *
 * The files: [default] and [profile NAME] in the first (and only these), [NAME] in the second,
 * "key = value" lines, '#' and ';' comments, indented lines that go on with the value above.
 * Nested keys (an indented line below a key without a value) are skipped. Of two profiles of one
 * name the later wins key by key, and the credentials file wins over the other.
 */
#ifndef LEVEE_AWS_CONFIG_H
#define LEVEE_AWS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "control/aws/env.h"
#include "control/aws/error.h"

#define LEVEE_AWS_FILE_BYTES (1024 * 1024) /* a file above it is refused */

/* ---- profiles ---- */

struct levee_aws_setting;

/* All profiles of both files. Values are secrets: wiped when freed. Zeroed is empty. */
struct levee_aws_profiles {
	struct levee_aws_setting *settings;
	size_t n;
	size_t size;
};

enum levee_aws_file {
	LEVEE_AWS_CONFIG_FILE,
	LEVEE_AWS_CREDENTIALS_FILE,
};

/**
 * Add what a file of n bytes holds.
 * \param name  of the file, for messages
 * \return 0; -EINVAL and an error "NAME:LINE: ..." that quotes nothing of the line, because it may
 *         be a secret; -EFBIG; -ENOMEM. What was read before the error stays
 */
int levee_aws_profiles_parse(struct levee_aws_profiles *profiles, const char *text, size_t n,
			     enum levee_aws_file kind, const char *name,
			     struct levee_aws_error *error);

/**
 * Read both files of the environment. A file that does not exist is an empty one.
 * \return 0; as levee_aws_profiles_parse(); -errno if a file cannot be read. Empty then.
 */
int levee_aws_profiles_read(struct levee_aws_profiles *profiles, const struct levee_aws_env *env,
			    struct levee_aws_error *error);

bool levee_aws_profile_exists(const struct levee_aws_profiles *profiles, const char *profile);

/** Value of a key (lower case), or NULL if there is none or it is empty. Valid until freed. */
const char *levee_aws_profile_get(const struct levee_aws_profiles *profiles, const char *profile,
				  const char *key);

void levee_aws_profiles_clear(struct levee_aws_profiles *profiles);

/* ---- configuration ---- */

/* What Levee's own configuration says; it wins over the environment. NULL: nothing. */
struct levee_aws_overrides {
	const char *profile;
	const char *region;
	const char *endpoint_url; /* of every service */
};

struct levee_aws_config {
	struct levee_aws_env env;
	struct levee_aws_profiles profiles;
	char *profile;		/* never NULL */
	bool profile_from_call; /* by an override: credentials of the environment do not count */
	char *region;		/* NULL: none known */
	char *endpoint_url;	/* the override; NULL: none */
	char *ca_bundle;	/* NULL: the system's */
	bool fips;
	bool dualstack;
	unsigned int max_attempts; /* 1 to 10 */
};

/**
 * Region: the override, AWS_REGION, AWS_DEFAULT_REGION, the profile's `region`.
 * Further: AWS_CA_BUNDLE (ca_bundle), AWS_USE_FIPS_ENDPOINT (use_fips_endpoint),
 * AWS_USE_DUALSTACK_ENDPOINT (use_dualstack_endpoint), AWS_MAX_ATTEMPTS (max_attempts, 3).
 *
 * \return 0; -ENOENT (ProfileNotFound) if a profile was asked for by name that no file has;
 *         -EINVAL (InvalidConfiguration) for a value that cannot be; what
 *         levee_aws_profiles_read() returns. *config can be cleared in every case
 */
int levee_aws_config_load(struct levee_aws_config *config, const struct levee_aws_env *env,
			  const struct levee_aws_overrides *overrides,
			  struct levee_aws_error *error);

/**
 * Set the region later, when the metadata service has said it. It becomes part of host names, so
 * it is made of a-z, 0-9 and '-'. \return 0; -EINVAL; -ENOMEM
 */
int levee_aws_config_set_region(struct levee_aws_config *config, const char *region,
				struct levee_aws_error *error);

void levee_aws_config_clear(struct levee_aws_config *config);

#endif
