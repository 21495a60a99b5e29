/* SPDX-License-Identifier: BSD-2-Clause */
/* Network ACL calls against canned answers, and a push against an EC2 that throttles for long. */
#include "control/aws/ec2_nacl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/aws/nacl_push.h"
#include "tests/support/aws.h"

#define VPC   "vpc-0123456789abcdef0"
#define BLUE  "acl-0123456789abcdef0"
#define GREEN "acl-0123456789abcdef1"

#define RULE(number, direction, action, more)                         \
	"<item><ruleNumber>" number "</ruleNumber><egress>" direction \
	"</egress><ruleAction>" action "</ruleAction>" more "</item>"
#define ANY	 "<protocol>-1</protocol><cidrBlock>0.0.0.0/0</cidrBlock>"
#define DEFAULTS RULE("32767", "false", "deny", ANY) RULE("32767", "true", "deny", ANY)
#define ACL(id, entries, associations, tags)                                        \
	"<item><networkAclId>" id "</networkAclId><vpcId>" VPC "</vpcId>"           \
	"<default>false</default><entrySet>" entries DEFAULTS                       \
	"</entrySet><associationSet>" associations "</associationSet><tagSet>" tags \
	"</tagSet></item>"
#define ACLS(items, more)                                                            \
	"<DescribeNetworkAclsResponse><requestId>r</requestId><networkAclSet>" items \
	"</networkAclSet>" more "</DescribeNetworkAclsResponse>"
#define TAG(key, value) "<item><key>" key "</key><value>" value "</value></item>"
#define ON(id, subnet)                                                    \
	"<item><networkAclAssociationId>" id "</networkAclAssociationId>" \
	"<subnetId>" subnet "</subnetId></item>"
#define EC2_ERROR(code)                                                 \
	"<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>" code \
	"</Code><Message>no</Message></Error></Errors><RequestID>x</RequestID></Response>"

struct fixture {
	struct fake_env env;
	struct fake_http http;
	struct levee_aws_config config;
	struct levee_aws_keys keys;
	struct levee_aws_client *client;
	struct levee_aws_error error;
	struct levee_ec2_nacls acls;
	struct canned answers[FAKE_STEPS];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct levee_aws_key_source source;

	assert_non_null(f);
	fake_env_init(&f->env);
	fake_env_set(&f->env, "AWS_REGION", "eu-west-1");
	fake_env_set(&f->env, "AWS_MAX_ATTEMPTS", "1");
	assert_int_equal(levee_aws_config_load(&f->config, &f->env.env, NULL, &f->error), 0);
	assert_int_equal(levee_aws_keys_set(&f->keys, "AKID", "secret", NULL), 0);
	source = levee_aws_fixed_keys(&f->keys);
	fake_http_init(&f->http, f->answers);
	f->client = levee_aws_client_new(&f->config, &f->http.http, &source);
	assert_non_null(f->client);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fake_http_done(&f->http);
	levee_ec2_nacls_free(&f->acls);
	levee_aws_client_free(f->client);
	levee_aws_keys_clear(&f->keys);
	levee_aws_config_clear(&f->config);
	free(f);
	return 0;
}

static int read_one(struct fixture *f, const char *xml)
{
	f->answers[0] = (struct canned){ .status = 200, .body = xml };
	f->answers[1] = (struct canned){ 0 };
	fake_http_init(&f->http, f->answers);
	return levee_ec2_nacls_read(f->client, VPC, &f->acls, &f->error);
}

/* ---- reading ---- */

static void every_kind_of_rule_is_read(void **state)
{
	struct fixture *f = *state;
	const struct levee_nacl *acl;

	assert_int_equal(
		read_one(
			f,
			ACLS(ACL(BLUE,
				 RULE("7", "false", "deny",
				      "<protocol>-1</protocol><cidrBlock>198.51.100.7/32</"
				      "cidrBlock>") RULE("100", "false", "allow",
							 "<protocol>6</protocol><cidrBlock>0.0.0.0/"
							 "0</cidrBlock>"
							 "<portRange><from>443</from><to>444</to></"
							 "portRange>")
					 RULE("101", "true", "allow",
					      "<protocol>58</protocol><ipv6CidrBlock>2001:db8::/"
					      "32</ipv6CidrBlock>"
					      "<icmpTypeCode><type>128</type><code>-1</code></"
					      "icmpTypeCode>"),
				 ON("aclassoc-1", "subnet-1") ON("aclassoc-2", "subnet-2"),
				 TAG(LEVEE_NACL_TAG, "1-99:10") TAG(LEVEE_NACL_SIDE_TAG, "blue")),
			     "")),
		0);
	assert_int_equal(f->acls.n, 1);
	acl = &f->acls.list[0];
	assert_string_equal(acl->id, BLUE);
	assert_string_equal(acl->vpc, VPC);
	assert_int_equal(acl->n_entries, 5);
	assert_int_equal(acl->entries[0].action, LEVEE_NACL_DENY);
	assert_int_equal(acl->entries[0].protocol, LEVEE_NACL_ALL);
	assert_int_equal(acl->entries[0].cidr.hi, 0xc6336407);
	assert_int_equal(acl->entries[1].port_first, 443);
	assert_int_equal(acl->entries[1].port_last, 444);
	assert_true(acl->entries[2].egress);
	assert_int_equal(acl->entries[2].icmp_type, 128);
	assert_int_equal(acl->entries[2].icmp_code, -1);
	assert_int_equal(acl->entries[2].cidr.family, 6);
	assert_true(levee_nacl_is_default(&acl->entries[3]));
	assert_int_equal(acl->n_associations, 2);
	assert_string_equal(acl->associations[1].subnet, "subnet-2");
	assert_true(acl->marked);
	assert_int_equal(acl->mark.numbers[0], 10);
	assert_string_equal(f->acls.tags[0].side, "blue");
	assert_non_null(strstr(f->http.requests[0],
			       "Filter.1.Name=vpc-id&Filter.1.Value.1=" VPC "&MaxResults=1000"));
}

static void all_pages_are_read(void **state)
{
	struct fixture *f = *state;
	static const struct canned answers[] = {
		{ .status = 200,
		  .body = ACLS(ACL(BLUE, "", "", ""), "<nextToken>a b</nextToken>") },
		{ .status = 200, .body = ACLS(ACL(GREEN, "", "", ""), "<nextToken></nextToken>") },
		{ 0 }
	};

	fake_http_init(&f->http, answers);
	assert_int_equal(levee_ec2_nacls_read(f->client, VPC, &f->acls, &f->error), 0);
	assert_int_equal(f->acls.n, 2);
	assert_string_equal(f->acls.list[1].id, GREEN);
	assert_non_null(strstr(f->http.requests[1], "NextToken=a%20b"));
}

static void what_no_acl_can_hold_is_not_worked_with(void **state)
{
	static const char *const bad[] = {
		RULE("0", "false", "deny", ANY),
		RULE("65536", "false", "deny", ANY),
		RULE("1x", "false", "deny", ANY),
		RULE("1", "maybe", "deny", ANY),
		RULE("1", "false", "drop", ANY),
		RULE("1", "false", "deny",
		     "<protocol>256</protocol><cidrBlock>0.0.0.0/0</cidrBlock>"),
		RULE("1", "false", "deny", "<protocol>-1</protocol>"),
		RULE("1", "false", "deny", "<protocol>-1</protocol><cidrBlock>1.2.3/8</cidrBlock>"),
		RULE("1", "false", "deny", ANY "<portRange><from>1</from></portRange>"),
		RULE("1", "false", "deny",
		     ANY "<icmpTypeCode><type>300</type><code>0</code></icmpTypeCode>"),
	};
	struct fixture *f = *state;
	char xml[4096];

	assert_int_equal(read_one(f, ACLS(ACL(GREEN, "", "", ""), "")), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		snprintf(xml, sizeof(xml),
			 "<R><networkAclSet><item><networkAclId>" BLUE "</networkAclId><vpcId>" VPC
			 "</vpcId><default>false</default><entrySet>%s</entrySet></item>"
			 "</networkAclSet></R>",
			 bad[i]);
		fake_http_done(&f->http);
		assert_int_equal(read_one(f, xml), -EPROTO);
		assert_string_equal(f->error.code, "UnreadableReply");
		/* what was read before stays */
		assert_int_equal(f->acls.n, 1);
		assert_string_equal(f->acls.list[0].id, GREEN);
	}
}

static void a_tag_that_levee_never_writes_is_noticed(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_one(f, ACLS(ACL(BLUE, "", "", TAG(LEVEE_NACL_TAG, "all")), "")), 0);
	assert_false(f->acls.list[0].marked);
	assert_true(f->acls.tags[0].bad_mark);
}

static void subnets_of_two_vpcs_are_refused_by_name(void **state)
{
	struct fixture *f = *state;
	static const struct canned answers[] = {
		{ .status = 200,
		  .body = "<R><subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId></"
			  "item>"
			  "<item><subnetId>subnet-2</subnetId><vpcId>vpc-2</vpcId></item></"
			  "subnetSet></R>" },
		{ 0 }
	};
	const char subnets[2][LEVEE_NACL_ID] = { "subnet-1", "subnet-2" };
	char vpc[LEVEE_NACL_ID];

	fake_http_init(&f->http, answers);
	assert_int_equal(levee_ec2_vpc_of_subnets(f->client, subnets, 2, vpc, &f->error), -EINVAL);
	assert_non_null(strstr(f->error.message, "subnet-1 is in vpc-1 and subnet-2 is in vpc-2"));
}

/* ---- writing ---- */

static struct levee_nacl_step a_rule(enum levee_nacl_step_type type)
{
	struct levee_nacl_step step;

	levee_nacl_say(&step, type, LEVEE_NACL_WHY_NONE, BLUE, "subnet-1");
	levee_nacl_put_id(step.association, "aclassoc-1");
	step.entry = (struct levee_nacl_entry){
		.number = 7,
		.protocol = LEVEE_NACL_ALL,
		.cidr = { .family = 4, .hi = 0xc6336407, .length = 32 }
	};
	return step;
}

static void a_rule_is_sent_as_ec2_wants_it(void **state)
{
	struct fixture *f = *state;
	static const struct canned answers[] = {
		{ .status = 200, .body = "<R><return>true</return></R>" },
		{ .status = 200, .body = "<R><return>true</return></R>" },
		{ 0 }
	};
	struct levee_nacl_step step = a_rule(LEVEE_NACL_STEP_CREATE);

	fake_http_init(&f->http, answers);
	assert_int_equal(levee_ec2_nacl_do(f->client, &step, 0, &f->error), LEVEE_EC2_DONE);
	assert_non_null(strstr(f->http.requests[0],
			       "NetworkAclId=" BLUE "&RuleNumber=7&Egress=false&Protocol=-1&"
			       "RuleAction=deny&CidrBlock=198.51.100.7%2F32"));
	step.entry.protocol = 58;
	step.entry.icmp_type = 128;
	step.entry.icmp_code = -1;
	step.entry.action = LEVEE_NACL_ALLOW;
	step.entry.cidr = (struct levee_prefix){
		.hi = 0x20010db800000000, .lo = 1, .family = 6, .length = 128
	};
	assert_int_equal(levee_ec2_nacl_do(f->client, &step, 0, &f->error), LEVEE_EC2_DONE);
	assert_non_null(strstr(f->http.requests[1],
			       "Protocol=58&RuleAction=allow&Ipv6CidrBlock=2001%3Adb8%3A%3A1%2F128&"
			       "Icmp.Type=128&Icmp.Code=-1"));
}

static void answers_are_told_apart(void **state)
{
	static const struct {
		enum levee_nacl_step_type type;
		int ret, status;
		const char *body;
		enum levee_ec2_answer answer;
	} cases[] = {
		{ LEVEE_NACL_STEP_CREATE, 0, 200, "<R/>", LEVEE_EC2_DONE },
		{ LEVEE_NACL_STEP_CREATE, 0, 400, EC2_ERROR("NetworkAclEntryAlreadyExists"),
		  LEVEE_EC2_REFUSED },
		{ LEVEE_NACL_STEP_CREATE, 0, 400, EC2_ERROR("NetworkAclEntryLimitExceeded"),
		  LEVEE_EC2_FULL },
		{ LEVEE_NACL_STEP_REPLACE, 0, 400, EC2_ERROR("InvalidNetworkAclEntry.NotFound"),
		  LEVEE_EC2_REFUSED },
		{ LEVEE_NACL_STEP_DELETE, 0, 400, EC2_ERROR("InvalidNetworkAclEntry.NotFound"),
		  LEVEE_EC2_DONE },
		{ LEVEE_NACL_STEP_SWITCH, 0, 400, EC2_ERROR("InvalidAssociationID.NotFound"),
		  LEVEE_EC2_REFUSED },
		{ LEVEE_NACL_STEP_SWITCH, 0, 400, EC2_ERROR("InvalidNetworkAclID.NotFound"),
		  LEVEE_EC2_DENIED },
		{ LEVEE_NACL_STEP_CREATE, 0, 403, EC2_ERROR("UnauthorizedOperation"),
		  LEVEE_EC2_DENIED },
		{ LEVEE_NACL_STEP_CREATE, 0, 503, EC2_ERROR("RequestLimitExceeded"),
		  LEVEE_EC2_THROTTLED },
		{ LEVEE_NACL_STEP_CREATE, 0, 500, EC2_ERROR("InternalError"), LEVEE_EC2_UNSURE },
		{ LEVEE_NACL_STEP_CREATE, 0, 503, "<html>", LEVEE_EC2_UNSURE },
		{ LEVEE_NACL_STEP_CREATE, 0, 200, "<R><ret", LEVEE_EC2_UNSURE },
		{ LEVEE_NACL_STEP_CREATE, -ETIMEDOUT, 0, "t", LEVEE_EC2_UNSURE },
		{ LEVEE_NACL_STEP_CREATE, -ECONNRESET, 0, "t", LEVEE_EC2_UNSURE },
		{ LEVEE_NACL_STEP_CREATE, -ECONNREFUSED, 0, "t", LEVEE_EC2_NOT_SENT },
		{ LEVEE_NACL_STEP_CREATE, -EHOSTUNREACH, 0, "t", LEVEE_EC2_NOT_SENT },
		{ LEVEE_NACL_STEP_CREATE, -EKEYREJECTED, 0, "t", LEVEE_EC2_DENIED },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct levee_nacl_step step = a_rule(cases[i].type);

		fake_http_done(&f->http);
		f->answers[0] = (struct canned){ .ret = cases[i].ret,
						 .status = cases[i].status,
						 .body = cases[i].body };
		f->answers[1] = (struct canned){ 0 };
		fake_http_init(&f->http, f->answers);
		if (levee_ec2_nacl_do(f->client, &step, 0, &f->error) != cases[i].answer)
			fail_msg("case %zu: %s: %s", i, f->error.code, f->error.message);
	}
}

static void a_dry_run_that_would_have_worked_is_good(void **state)
{
	struct fixture *f = *state;
	static const struct canned answers[] = {
		{ .status = 412, .body = EC2_ERROR("DryRunOperation") },
		{ .status = 403, .body = EC2_ERROR("UnauthorizedOperation") },
		{ 0 }
	};
	struct levee_nacl_step step = a_rule(LEVEE_NACL_STEP_SWITCH);

	fake_http_init(&f->http, answers);
	assert_int_equal(levee_ec2_nacl_probe(f->client, &step, &f->error), 0);
	assert_non_null(strstr(f->http.requests[0], "DryRun=true"));
	assert_int_equal(levee_ec2_nacl_probe(f->client, &step, &f->error), -EREMOTEIO);
	assert_string_equal(f->error.code, "UnauthorizedOperation");
}

/* ---- a push ---- */

static int64_t fake_boot_ms(void *ctx)
{
	return ((struct fake_env *)ctx)->now_ms;
}

/* Ten minutes of nothing but RequestLimitExceeded: few calls, and at the end all is done. */
static void an_ec2_that_throttles_is_asked_less_and_less(void **state)
{
	static const char subnets[1][LEVEE_NACL_ID] = { "subnet-1" };
	struct fixture *f = *state;
	static struct canned answers[FAKE_STEPS] = {
		{ .status = 200,
		  .body = "<R><vpcSet><item><cidrBlock>10.0.0.0/16"
			  "</cidrBlock></item></vpcSet></R>" }
	};
	struct levee_nacl_push_params params = {
		.client = f->client,
		.env = &f->env.env,
		.now_ms = fake_boot_ms,
		.ctx = &f->env,
		.subnets = subnets,
		.n_subnets = 1,
		.vpc = VPC,
		.blue = BLUE,
		.green = GREEN,
		.settle_ms = 120000,
		.plan = { .budget = 20, .mask4 = 32, .mask6 = 64, .range = { 1, 99 } }
	};
	const struct levee_nacl_push_input input = { 0 };
	int64_t end_ms = f->env.now_ms + 600000;
	struct levee_nacl_push *push;
	struct levee_nacl_turn turn;
	size_t calls;

	for (size_t i = 1; i < 40; i++)
		answers[i] = (struct canned){ .status = 503,
					      .body = EC2_ERROR("RequestLimitExceeded") };
	assert_int_equal(levee_nacl_journal_open(&params.journal, NULL, false, 120000), 0);
	assert_int_equal(levee_nacl_push_new(&push, &params), 0);
	fake_http_init(&f->http, answers);
	while (f->env.now_ms < end_ms) {
		levee_nacl_push_turn(push, &input, &turn);
		assert_int_equal(turn.verdict, LEVEE_PUSH_WAIT);
		assert_true(turn.wait_ms >= 500 && turn.wait_ms <= 60000);
		assert_non_null(strstr(turn.text, "RequestLimitExceeded"));
		f->env.now_ms += turn.wait_ms;
	}
	calls = f->http.n;
	print_message("# %zu calls in ten minutes\n", calls);
	assert_true(calls <= 30);
	assert_int_equal(levee_nacl_push_counts(push)->throttled, calls - 1);

	answers[0] = (struct canned){ .status = 200,
				      .body = ACLS(ACL(BLUE, "", ON("aclassoc-1", "subnet-1"),
						       TAG(LEVEE_NACL_TAG, "1-99"))
							   ACL(GREEN, "", "",
							       TAG(LEVEE_NACL_TAG, "1-99")),
						   "") };
	memset(&answers[1], 0, sizeof(answers[1]));
	f->http.next = answers; /* it lets up */
	levee_nacl_journal_vouch(params.journal);
	levee_nacl_push_turn(push, &input, &turn);
	assert_int_equal(turn.verdict, LEVEE_PUSH_CONVERGED);
	levee_nacl_push_free(&push);
	levee_nacl_journal_close(&params.journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_of_rule_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_pages_are_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_no_acl_can_hold_is_not_worked_with, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_tag_that_levee_never_writes_is_noticed, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(subnets_of_two_vpcs_are_refused_by_name, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_rule_is_sent_as_ec2_wants_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(answers_are_told_apart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_dry_run_that_would_have_worked_is_good, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_ec2_that_throttles_is_asked_less_and_less,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
