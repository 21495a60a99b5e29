/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/aws.h"

struct fixture {
	struct fake_env env;
	struct levee_aws_profiles profiles;
	struct levee_aws_config config;
	struct levee_aws_error error;
	char dir[64];
	char config_path[96];
	char credentials_path[96];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_env_init(&f->env);
	strcpy(f->dir, "/tmp/levee-test-aws-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->config_path, sizeof(f->config_path), "%s/config", f->dir);
	snprintf(f->credentials_path, sizeof(f->credentials_path), "%s/credentials", f->dir);
	fake_env_set(&f->env, "AWS_CONFIG_FILE", f->config_path);
	fake_env_set(&f->env, "AWS_SHARED_CREDENTIALS_FILE", f->credentials_path);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_profiles_clear(&f->profiles);
	levee_aws_config_clear(&f->config);
	unlink(f->config_path);
	unlink(f->credentials_path);
	rmdir(f->config_path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static int parse(struct fixture *f, enum levee_aws_file kind, const char *text)
{
	return levee_aws_profiles_parse(&f->profiles, text, strlen(text), kind, "FILE", &f->error);
}

static void assert_value(struct fixture *f, const char *profile, const char *key, const char *value)
{
	const char *got = levee_aws_profile_get(&f->profiles, profile, key);

	if (!value)
		assert_null(got);
	else if (!got)
		fail_msg("[%s] %s is not there", profile, key);
	else
		assert_string_equal(got, value);
}

static int load(struct fixture *f, const struct levee_aws_overrides *overrides)
{
	levee_aws_config_clear(&f->config);
	levee_aws_error_clear(&f->error);
	return levee_aws_config_load(&f->config, &f->env.env, overrides, &f->error);
}

/* ---- the files' format ---- */

static void profiles_of_the_configuration_file_are_read(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		parse(f, LEVEE_AWS_CONFIG_FILE,
		      "\xef\xbb\xbf# comment\r\n; another\r\n\r\n[default]\r\n"
		      "Region = eu-west-1 # ours\r\n"
		      "[profile a b]\nregion=us-east-1\n[ profile\t\"q\" ] trailing\nx=y\n"
		      "[sso-session s]\nregion = no\n[plain]\nregion = no\n[profile]\nz=1\n"
		      "[profilex]\nz=1"),
		0);
	assert_value(f, "default", "region", "eu-west-1");
	assert_value(f, "a b", "region", "us-east-1");
	assert_value(f, "q", "x", "y");
	assert_false(levee_aws_profile_exists(&f->profiles, "plain"));
	assert_false(levee_aws_profile_exists(&f->profiles, "s"));
	assert_false(levee_aws_profile_exists(&f->profiles, "sso-session s"));
}

static void profiles_of_the_credentials_file_have_no_prefix(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, LEVEE_AWS_CREDENTIALS_FILE,
			       "[a]\naws_access_key_id=K\n[profile b]\nx=1\n"),
			 0);
	assert_value(f, "a", "aws_access_key_id", "K");
	assert_false(levee_aws_profile_exists(&f->profiles, "b"));
}

static void a_profile_without_keys_exists(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, LEVEE_AWS_CONFIG_FILE, "[profile empty]\n"), 0);
	assert_true(levee_aws_profile_exists(&f->profiles, "empty"));
	assert_value(f, "empty", "region", NULL);
}

static void a_hash_within_a_value_is_part_of_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, LEVEE_AWS_CREDENTIALS_FILE,
			       "[a]\nk=a#b;c\nl = a\t; comment\nm = # nothing\nn = x=y=z\n"),
			 0);
	assert_value(f, "a", "k", "a#b;c");
	assert_value(f, "a", "l", "a");
	assert_value(f, "a", "m", NULL);
	assert_value(f, "a", "n", "x=y=z");
}

static void nested_keys_are_skipped_and_other_indented_lines_go_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, LEVEE_AWS_CONFIG_FILE,
			       "[default]\ns3 =\n  region = nested\n  endpoint_url = nested\n\n"
			       "long = one\n  two # comment\n\t three\nregion = outer\n"),
			 0);
	assert_value(f, "default", "region", "outer");
	assert_value(f, "default", "endpoint_url", NULL);
	assert_value(f, "default", "s3", NULL);
	assert_value(f, "default", "long", "one\ntwo\nthree");
}

static void the_later_of_two_keys_wins(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		parse(f, LEVEE_AWS_CONFIG_FILE, "[profile a]\nk=1\nl=1\n[profile a]\nk=2\nk=3\n"),
		0);
	assert_value(f, "a", "k", "3");
	assert_value(f, "a", "l", "1");
}

static void the_credentials_file_wins_whichever_is_read_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, LEVEE_AWS_CREDENTIALS_FILE, "[a]\nk=credentials\n"), 0);
	assert_int_equal(parse(f, LEVEE_AWS_CONFIG_FILE, "[profile a]\nk=config\nl=config\n"), 0);
	assert_value(f, "a", "k", "credentials");
	assert_value(f, "a", "l", "config");
}

static void profile_default_wins_over_default(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		parse(f, LEVEE_AWS_CONFIG_FILE, "[profile default]\nk=1\n[default]\nk=2\nl=2\n"),
		0);
	assert_value(f, "default", "k", "1");
	assert_value(f, "default", "l", "2");
}

static void a_bad_line_is_named_by_number_and_not_quoted(void **state)
{
	static const char *const bad[] = {
		"[a]\nSECRETWORD\n",	"SECRETWORD = 1\n",	   "# c\n[SECRETWORD\n",
		"[a]\n = SECRETWORD\n", "[a]\n  SECRETWORD = 1\n", "[]\n",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		levee_aws_error_clear(&f->error);
		assert_int_equal(parse(f, LEVEE_AWS_CREDENTIALS_FILE, bad[i]), -EINVAL);
		assert_string_equal(f->error.code, "InvalidConfiguration");
		assert_non_null(
			strstr(f->error.message, i == 1 || i == 5 ? "FILE:1: " : "FILE:2: "));
		assert_null(strstr(f->error.message, "SECRETWORD"));
	}
}

static void a_nul_byte_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(levee_aws_profiles_parse(&f->profiles, "[a]\nk=\0v\n", 9,
						  LEVEE_AWS_CONFIG_FILE, "FILE", &f->error),
			 -EINVAL);
}

static void a_huge_file_is_refused(void **state)
{
	struct fixture *f = *state;
	char *text = calloc(1, LEVEE_AWS_FILE_BYTES + 2);
	FILE *out;

	assert_non_null(text);
	memset(text, '#', LEVEE_AWS_FILE_BYTES + 1);
	assert_int_equal(parse(f, LEVEE_AWS_CONFIG_FILE, text), -EFBIG);
	out = fopen(f->config_path, "w");
	fputs(text, out);
	fclose(out);
	assert_int_equal(load(f, NULL), -EFBIG);
	assert_non_null(strstr(f->error.message, f->config_path));
	free(text);
}

/* ---- configuration ---- */

static void without_files_and_variables_there_are_defaults(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.profile, "default");
	assert_false(f->config.profile_from_call);
	assert_null(f->config.region);
	assert_null(f->config.ca_bundle);
	assert_false(f->config.fips || f->config.dualstack);
	assert_int_equal(f->config.max_attempts, 3);
}

static void the_region_is_the_first_of_override_variables_and_profile(void **state)
{
	struct fixture *f = *state;
	struct levee_aws_overrides overrides = { .region = "eu-north-1" };

	write_file(f->config_path, "[default]\nregion = eu-west-1\n[profile p]\nregion=eu-west-2");
	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.region, "eu-west-1");
	fake_env_set(&f->env, "AWS_PROFILE", "p");
	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.region, "eu-west-2");
	fake_env_set(&f->env, "AWS_DEFAULT_REGION", "us-east-1");
	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.region, "us-east-1");
	fake_env_set(&f->env, "AWS_REGION", "us-east-2");
	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.region, "us-east-2");
	assert_int_equal(load(f, &overrides), 0);
	assert_string_equal(f->config.region, "eu-north-1");
	fake_env_set(&f->env, "AWS_REGION", "");
	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.region, "us-east-1");
}

static void a_region_that_could_change_a_host_name_is_refused(void **state)
{
	static const char *const bad[] = { "a.b", "EU-WEST-1", "x/../y", "-a", "a-", "a b", "x@y" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_env_set(&f->env, "AWS_REGION", bad[i]);
		assert_int_equal(load(f, NULL), -EINVAL);
		assert_non_null(strstr(f->error.message, bad[i]));
	}
}

static void a_profile_that_is_asked_for_must_exist(void **state)
{
	struct fixture *f = *state;
	struct levee_aws_overrides overrides = { .profile = "q" };

	write_file(f->credentials_path, "[q]\nregion = eu-west-1\n");
	fake_env_set(&f->env, "AWS_PROFILE", "nowhere");
	assert_int_equal(load(f, NULL), -ENOENT);
	assert_string_equal(f->error.code, "ProfileNotFound");
	assert_non_null(strstr(f->error.message, "nowhere"));
	assert_int_equal(load(f, &overrides), 0);
	assert_string_equal(f->config.profile, "q");
	assert_true(f->config.profile_from_call);
}

static void switches_come_from_variables_and_profile(void **state)
{
	struct fixture *f = *state;

	write_file(f->config_path, "[default]\nuse_fips_endpoint = TRUE\nca_bundle = /p.pem\n"
				   "use_dualstack_endpoint=true\nmax_attempts = 5\n");
	assert_int_equal(load(f, NULL), 0);
	assert_true(f->config.fips && f->config.dualstack);
	assert_string_equal(f->config.ca_bundle, "/p.pem");
	assert_int_equal(f->config.max_attempts, 5);
	fake_env_set(&f->env, "AWS_USE_FIPS_ENDPOINT", "false");
	fake_env_set(&f->env, "AWS_USE_DUALSTACK_ENDPOINT", "False");
	fake_env_set(&f->env, "AWS_CA_BUNDLE", "/e.pem");
	fake_env_set(&f->env, "AWS_MAX_ATTEMPTS", "400");
	assert_int_equal(load(f, NULL), 0);
	assert_false(f->config.fips || f->config.dualstack);
	assert_string_equal(f->config.ca_bundle, "/e.pem");
	assert_int_equal(f->config.max_attempts, 10);
	fake_env_set(&f->env, "AWS_MAX_ATTEMPTS", "0");
	assert_int_equal(load(f, NULL), -EINVAL);
	fake_env_set(&f->env, "AWS_MAX_ATTEMPTS", "-3");
	assert_int_equal(load(f, NULL), -EINVAL);
	fake_env_set(&f->env, "AWS_MAX_ATTEMPTS", "");
	fake_env_set(&f->env, "AWS_USE_FIPS_ENDPOINT", "yes");
	assert_int_equal(load(f, NULL), -EINVAL);
	assert_non_null(strstr(f->error.message, "AWS_USE_FIPS_ENDPOINT"));
}

static void a_tilde_is_the_home_directory(void **state)
{
	struct fixture *f = *state;

	write_file(f->config_path, "[default]\nregion = eu-west-3\n");
	fake_env_set(&f->env, "HOME", f->dir);
	fake_env_set(&f->env, "AWS_CONFIG_FILE", "~/config");
	assert_int_equal(load(f, NULL), 0);
	assert_string_equal(f->config.region, "eu-west-3");
}

static void a_file_that_cannot_be_read_is_named(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mkdir(f->config_path, 0700), 0);
	assert_int_equal(load(f, NULL), -EISDIR);
	assert_non_null(strstr(f->error.message, f->config_path));
}

#define fixed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixed(profiles_of_the_configuration_file_are_read),
		fixed(profiles_of_the_credentials_file_have_no_prefix),
		fixed(a_profile_without_keys_exists),
		fixed(a_hash_within_a_value_is_part_of_it),
		fixed(nested_keys_are_skipped_and_other_indented_lines_go_on),
		fixed(the_later_of_two_keys_wins),
		fixed(the_credentials_file_wins_whichever_is_read_first),
		fixed(profile_default_wins_over_default),
		fixed(a_bad_line_is_named_by_number_and_not_quoted),
		fixed(a_nul_byte_is_refused),
		fixed(a_huge_file_is_refused),
		fixed(without_files_and_variables_there_are_defaults),
		fixed(the_region_is_the_first_of_override_variables_and_profile),
		fixed(a_region_that_could_change_a_host_name_is_refused),
		fixed(a_profile_that_is_asked_for_must_exist),
		fixed(switches_come_from_variables_and_profile),
		fixed(a_tilde_is_the_home_directory),
		fixed(a_file_that_cannot_be_read_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
