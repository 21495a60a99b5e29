/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/endpoint.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/aws.h"

struct fixture {
	struct fake_env env;
	struct levee_aws_config config;
	struct levee_aws_error error;
	struct levee_aws_endpoint endpoint;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_env_init(&f->env);
	assert_int_equal(levee_aws_config_load(&f->config, &f->env.env, NULL, &f->error), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_config_clear(&f->config);
	free(f);
	return 0;
}

static void profile(struct fixture *f, const char *text)
{
	assert_int_equal(levee_aws_profiles_parse(&f->config.profiles, text, strlen(text),
						  LEVEE_AWS_CONFIG_FILE, "FILE", &f->error),
			 0);
}

static int endpoint(struct fixture *f, enum levee_aws_service service, const char *region)
{
	return levee_aws_endpoint(&f->endpoint, &f->config, service, region, &f->error);
}

/* What botocore 1.44 resolves. */
static void hosts_are_those_of_the_official_rules(void **state)
{
	static const struct {
		enum levee_aws_service service;
		const char *region;
		bool fips, dualstack;
		const char *host;
	} rules[] = {
		{ LEVEE_AWS_EC2, "us-east-1", 0, 0, "ec2.us-east-1.amazonaws.com" },
		{ LEVEE_AWS_EC2, "eu-west-1", 0, 1, "ec2.eu-west-1.api.aws" },
		{ LEVEE_AWS_EC2, "eu-west-1", 1, 0, "ec2-fips.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_EC2, "eu-west-1", 1, 1, "ec2-fips.eu-west-1.api.aws" },
		{ LEVEE_AWS_EC2, "cn-north-1", 0, 0, "ec2.cn-north-1.amazonaws.com.cn" },
		{ LEVEE_AWS_EC2, "cn-north-1", 0, 1,
		  "ec2.cn-north-1.api.amazonwebservices.com.cn" },
		{ LEVEE_AWS_EC2, "cn-north-1", 1, 0, "ec2-fips.cn-north-1.amazonaws.com.cn" },
		{ LEVEE_AWS_EC2, "us-gov-west-1", 1, 0, "ec2.us-gov-west-1.amazonaws.com" },
		{ LEVEE_AWS_EC2, "us-gov-west-1", 1, 1, "ec2-fips.us-gov-west-1.api.aws" },
		{ LEVEE_AWS_STS, "us-gov-east-1", 1, 0, "sts.us-gov-east-1.amazonaws.com" },
		{ LEVEE_AWS_STS, "eu-west-1", 1, 0, "sts-fips.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_STS, "us-east-1", 0, 0, "sts.us-east-1.amazonaws.com" },
		{ LEVEE_AWS_SNS, "eu-west-1", 0, 0, "sns.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_CLOUDWATCH, "eu-west-1", 0, 0, "monitoring.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_LOGS, "us-gov-west-1", 1, 0, "logs.us-gov-west-1.amazonaws.com" },
		{ LEVEE_AWS_LOGS, "eu-west-1", 0, 1, "logs.eu-west-1.api.aws" },
		{ LEVEE_AWS_S3, "eu-west-1", 0, 0, "s3.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_S3, "eu-west-1", 0, 1, "s3.dualstack.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_S3, "eu-west-1", 1, 0, "s3-fips.eu-west-1.amazonaws.com" },
		{ LEVEE_AWS_S3, "us-gov-west-1", 1, 1,
		  "s3-fips.dualstack.us-gov-west-1.amazonaws.com" },
		{ LEVEE_AWS_S3, "cn-north-1", 0, 1, "s3.dualstack.cn-north-1.amazonaws.com.cn" },
		{ LEVEE_AWS_IAM, "eu-west-1", 0, 0, "iam.amazonaws.com" },
		{ LEVEE_AWS_IAM, "eu-west-1", 1, 0, "iam-fips.amazonaws.com" },
		{ LEVEE_AWS_IAM, "cn-north-1", 0, 0, "iam.cn-north-1.amazonaws.com.cn" },
		{ LEVEE_AWS_IAM, "us-gov-east-1", 1, 0, "iam.us-gov.amazonaws.com" },
		{ LEVEE_AWS_ELB, "eu-west-1", 0, 0,
		  "elasticloadbalancing.eu-west-1.amazonaws.com" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		f->config.fips = rules[i].fips;
		f->config.dualstack = rules[i].dualstack;
		assert_int_equal(endpoint(f, rules[i].service, rules[i].region), 0);
		assert_string_equal(f->endpoint.url + strlen("https://"), rules[i].host);
		assert_memory_equal(f->endpoint.url, "https://", 8);
		assert_false(f->endpoint.custom);
	}
}

static void a_global_service_is_signed_for_its_own_region(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(endpoint(f, LEVEE_AWS_IAM, "eu-west-1"), 0);
	assert_string_equal(f->endpoint.signing_region, "us-east-1");
	assert_int_equal(endpoint(f, LEVEE_AWS_EC2, "eu-west-1"), 0);
	assert_string_equal(f->endpoint.signing_region, "eu-west-1");
}

static void partitions_are_known_by_their_regions(void **state)
{
	(void)state;
	assert_string_equal(levee_aws_partition("eu-west-1")->id, "aws");
	assert_string_equal(levee_aws_partition("us-gov-west-1")->id, "aws-us-gov");
	assert_string_equal(levee_aws_partition("cn-northwest-1")->id, "aws-cn");
	assert_string_equal(levee_aws_partition("xx-new-9")->id, "aws");
}

static void the_configured_url_is_the_most_particular(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(levee_aws_config_set_region(&f->config, "eu-west-1", &f->error), 0);
	profile(f, "[default]\nendpoint_url = http://profile:1/\n");
	assert_int_equal(endpoint(f, LEVEE_AWS_LOGS, NULL), 0);
	assert_string_equal(f->endpoint.url, "http://profile:1");
	assert_true(f->endpoint.custom);
	assert_string_equal(f->endpoint.signing_region, "eu-west-1");
	fake_env_set(&f->env, "AWS_ENDPOINT_URL", "http://all:2");
	assert_int_equal(endpoint(f, LEVEE_AWS_LOGS, NULL), 0);
	assert_string_equal(f->endpoint.url, "http://all:2");
	fake_env_set(&f->env, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "https://logs:3/base/");
	assert_int_equal(endpoint(f, LEVEE_AWS_LOGS, NULL), 0);
	assert_string_equal(f->endpoint.url, "https://logs:3/base");
	assert_int_equal(endpoint(f, LEVEE_AWS_EC2, NULL), 0);
	assert_string_equal(f->endpoint.url, "http://all:2");
	f->config.endpoint_url = strdup("http://levee:4");
	assert_int_equal(endpoint(f, LEVEE_AWS_LOGS, NULL), 0);
	assert_string_equal(f->endpoint.url, "http://levee:4");
}

static void configured_urls_can_be_ignored(void **state)
{
	struct fixture *f = *state;

	fake_env_set(&f->env, "AWS_ENDPOINT_URL", "http://all:2");
	fake_env_set(&f->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
	assert_int_equal(endpoint(f, LEVEE_AWS_EC2, "eu-west-1"), 0);
	assert_string_equal(f->endpoint.url, "https://ec2.eu-west-1.amazonaws.com");
	fake_env_set(&f->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "");
	profile(f, "[default]\nignore_configured_endpoint_urls = true\n");
	assert_int_equal(endpoint(f, LEVEE_AWS_EC2, "eu-west-1"), 0);
	assert_string_equal(f->endpoint.url, "https://ec2.eu-west-1.amazonaws.com");
}

static void without_a_region_the_message_says_where_to_set_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(endpoint(f, LEVEE_AWS_EC2, NULL), -ENOENT);
	assert_string_equal(f->error.code, "NoRegion");
	assert_non_null(strstr(f->error.message, "AWS_REGION"));
}

static void a_url_that_is_no_endpoint_is_refused_and_its_origin_named(void **state)
{
	static const char *const bad[] = { "localhost:5000",	     "ftp://h",
					   "http://h/?q=1",	     "http://",
					   "http://u:SECRETWORD@h/", "http://h/#f" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_env_set(&f->env, "AWS_ENDPOINT_URL_EC2", bad[i]);
		assert_int_equal(endpoint(f, LEVEE_AWS_EC2, "eu-west-1"), -EINVAL);
		assert_non_null(strstr(f->error.message, "AWS_ENDPOINT_URL_EC2"));
		assert_null(strstr(f->error.message, "SECRETWORD"));
	}
}

#define fixed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixed(hosts_are_those_of_the_official_rules),
		fixed(a_global_service_is_signed_for_its_own_region),
		fixed(partitions_are_known_by_their_regions),
		fixed(the_configured_url_is_the_most_particular),
		fixed(configured_urls_can_be_ignored),
		fixed(without_a_region_the_message_says_where_to_set_it),
		fixed(a_url_that_is_no_endpoint_is_refused_and_its_origin_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
