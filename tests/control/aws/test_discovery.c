/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/discovery.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/aws.h"

#define META "http://169.254.169.254/latest/"
#define TOKEN                                                  \
	{                                                      \
		"PUT " META "api/token", 0, 200, NULL, "token" \
	}
#define ITEM(path, body)                                               \
	{                                                              \
		"GET " META "meta-data/" path "\n", 0, 200, NULL, body \
	}
#define NONE(path)                                                   \
	{                                                            \
		"GET " META "meta-data/" path "\n", 0, 404, NULL, "" \
	}
#define MAC "network/interfaces/macs/02:42:ac:11:00:02/"

struct fixture {
	struct fake_env env;
	struct fake_http http;
	struct levee_config config;
	struct levee_aws_session *session;
	struct levee_aws_place place;
	struct levee_aws_error error;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_env_init(&f->env);
	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "secret");
	assert_int_equal(levee_config_init(&f->config), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_place_clear(&f->place);
	levee_aws_session_free(&f->session);
	levee_config_clear(&f->config);
	free(f);
	return 0;
}

static void set(struct fixture *f, const char *name, const char *value)
{
	assert_int_equal(levee_config_set(&f->config, "aws", name, value, "test", stderr), 0);
}

static int discover(struct fixture *f, const struct canned *answers)
{
	struct levee_aws_overrides own = levee_aws_overrides_of(&f->config);
	int ret;

	fake_http_init(&f->http, answers);
	assert_int_equal(
		levee_aws_session_open(&f->session, &f->env.env, &own, &f->http.http, &f->error),
		0);
	ret = levee_aws_discover(f->session, &f->config, &f->place, &f->error);
	fake_http_done(&f->http);
	return ret;
}

static bool has(const struct fixture *f, const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return levee_allowlist_covers(&f->place.cidrs, &p);
}

static void an_instance_is_told_everything_by_its_metadata(void **state)
{
	static const struct canned answers[] = {
		TOKEN,
		ITEM("placement/region", "eu-west-1"),
		ITEM("instance-id", "i-0123456789abcdef0"),
		ITEM("placement/availability-zone", "eu-west-1a"),
		ITEM("mac", "02:42:ac:11:00:02"),
		ITEM(MAC "subnet-id", "subnet-01234567"),
		ITEM(MAC "vpc-id", "vpc-01234567"),
		ITEM(MAC "vpc-ipv4-cidr-blocks", "10.0.0.0/16\n10.1.0.0/16"),
		ITEM(MAC "vpc-ipv6-cidr-blocks", "2001:db8:1::/56"),
		{ 0 },
	};
	struct fixture *f = *state;

	assert_int_equal(discover(f, answers), 0);
	assert_string_equal(f->place.region, "eu-west-1");
	assert_string_equal(f->place.instance_id, "i-0123456789abcdef0");
	assert_string_equal(f->place.vpc, "vpc-01234567");
	assert_string_equal(f->place.subnet, "subnet-01234567");
	assert_true(f->place.in_ec2);
	assert_int_equal(f->place.cidrs.n, 3);
	assert_true(has(f, "10.1.2.3") && has(f, "2001:db8:1:2::/64"));
}

static void what_is_set_by_hand_is_not_asked_for(void **state)
{
	static const struct canned nothing[] = { { 0 } };
	struct fixture *f = *state;

	set(f, "region", "us-east-1");
	set(f, "instance_id", "i-01234567");
	set(f, "vpc", "vpc-89abcdef");
	set(f, "vpc_cidrs", "172.31.0.0/16");
	assert_int_equal(discover(f, nothing), 0);
	assert_string_equal(f->place.vpc, "vpc-89abcdef");
	assert_true(has(f, "172.31.255.1"));
	assert_true(f->place.cidrs_by_hand);
}

/* Elsewhere than on EC2: a VPC that is named is asked for at EC2. */
static void without_metadata_ec2_knows_the_cidrs(void **state)
{
	static const struct canned answers[] = {
		{ "PUT " META, -ETIMEDOUT, 0, NULL, NULL },
		{ "PUT " META, -ETIMEDOUT, 0, NULL, NULL },
		{ "Action=DescribeVpcs", 0, 200, NULL,
		  "<DescribeVpcsResponse><vpcSet><item><vpcId>vpc-01234567</vpcId>"
		  "<cidrBlock>10.7.0.0/16</cidrBlock><cidrBlockAssociationSet>"
		  "<item><cidrBlock>10.7.0.0/16</cidrBlock><cidrBlockState><state>associated</"
		  "state>"
		  "</cidrBlockState></item></cidrBlockAssociationSet></item></vpcSet>"
		  "</DescribeVpcsResponse>" },
		{ 0 },
	};
	struct fixture *f = *state;

	set(f, "region", "eu-west-1");
	set(f, "vpc", "vpc-01234567");
	assert_int_equal(discover(f, answers), 0);
	assert_false(f->place.in_ec2);
	assert_string_equal(f->place.instance_id, "");
	assert_int_equal(f->place.cidrs.n, 1);
	assert_true(has(f, "10.7.1.1"));
}

static void being_nowhere_is_no_error(void **state)
{
	static const struct canned answers[] = {
		{ "PUT " META, -ETIMEDOUT, 0, NULL, NULL },
		{ "PUT " META, -ETIMEDOUT, 0, NULL, NULL },
		{ 0 },
	};
	struct fixture *f = *state;

	set(f, "region", "eu-west-1");
	assert_int_equal(discover(f, answers), 0);
	assert_string_equal(f->place.vpc, "");
	assert_int_equal(f->place.cidrs.n, 0);
}

static void an_instance_without_ipv6_has_no_such_item(void **state)
{
	static const struct canned answers[] = {
		TOKEN,
		ITEM("instance-id", "i-0123456789abcdef0"),
		NONE("placement/availability-zone"),
		ITEM("mac", "02:42:ac:11:00:02"),
		ITEM(MAC "subnet-id", "subnet-01234567"),
		ITEM(MAC "vpc-id", "vpc-01234567"),
		ITEM(MAC "vpc-ipv4-cidr-blocks", "10.0.0.0/16"),
		NONE(MAC "vpc-ipv6-cidr-blocks"),
		{ 0 },
	};
	struct fixture *f = *state;

	set(f, "region", "eu-west-1");
	assert_int_equal(discover(f, answers), 0);
	assert_int_equal(f->place.cidrs.n, 1);
}

static void no_region_is_said_with_what_to_set(void **state)
{
	static const struct canned answers[] = {
		{ "PUT " META, -ETIMEDOUT, 0, NULL, NULL },
		{ "PUT " META, -ETIMEDOUT, 0, NULL, NULL },
		{ 0 },
	};
	struct fixture *f = *state;

	assert_int_equal(discover(f, answers), -ENOENT);
	assert_string_equal(f->error.code, "NoRegion");
	assert_non_null(strstr(f->error.message, "Set [aws] region"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_instance_is_told_everything_by_its_metadata,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_set_by_hand_is_not_asked_for, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(without_metadata_ec2_knows_the_cidrs, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(being_nowhere_is_no_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_instance_without_ipv6_has_no_such_item, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(no_region_is_said_with_what_to_set, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
