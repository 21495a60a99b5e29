/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AWS, by calls that change nothing: those that read, and DryRun for those that write. A topic
 * cannot be tried without a message, and metrics cannot without a value: of these it is looked
 * whether they are there.
 */
#include "control/doctor/doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/discovery.h"
#include "control/aws/ec2_nacl.h"
#include "control/aws/remedy.h"
#include "control/aws/s3_list.h"
#include "control/aws/session.h"

#define STS_MS	       5000
#define CALL_MS	       5000 /* and one attempt: a doctor answers in time, whatever AWS does */
#define TARGET_PAGES   20
#define MAX_SUBNETS    100
#define NETWORK_ERRORS 2 /* after so many services without an answer the others are not asked */

struct examination {
	struct levee_checkup *c;
	const struct levee_config *config;
	struct levee_aws_session *session;
	struct levee_aws_place place;
	char vpc[32];
	unsigned int silent; /* services that did not answer */
};

static void add_error(struct examination *x, const char *name, enum levee_check_verdict verdict,
		      const struct levee_aws_error *error)
{
	if (!error->status)
		x->silent++;
	levee_checkup_add(x->c, name, verdict, levee_aws_remedy(error), "%s: %s", error->code,
			  error->message);
}

/* What the daemon needs not, and the doctor only looks at: without permission it is left out. */
static void add_optional(struct examination *x, const char *name, const char *action,
			 const char *consequence, const struct levee_aws_error *error)
{
	if (levee_aws_is_denied(error))
		levee_checkup_add(x->c, name, LEVEE_CHECK_SKIP, NULL,
				  "the role may not %s, which only this check needs; %s", action,
				  consequence);
	else
		add_error(x, name, LEVEE_CHECK_FAIL, error);
}

static bool gave_up(struct examination *x, const char *name)
{
	if (x->silent < NETWORK_ERRORS)
		return false;
	levee_checkup_add(x->c, name, LEVEE_CHECK_SKIP, NULL,
			  "not asked: AWS does not answer from here");
	return true;
}

/* ---- who and where ----------------------------------------------------------------------- */

static int check_credentials(struct examination *x)
{
	struct levee_aws_credentials credentials;
	struct levee_aws_identity identity;
	struct levee_aws_error error;
	int ret = levee_aws_chain_get(x->session->chain, &credentials, &error);

	if (ret < 0) {
		add_error(x, "credentials", LEVEE_CHECK_FAIL, &error);
		return ret;
	}
	levee_checkup_add(x->c, "credentials", LEVEE_CHECK_OK, NULL, "%s", credentials.provider);
	levee_aws_credentials_clear(&credentials);
	ret = levee_aws_whoami(x->session->client, STS_MS, &identity, &error);
	if (ret == 0)
		levee_checkup_add(x->c, "identity", LEVEE_CHECK_OK, NULL, "%s", identity.arn);
	else
		add_error(x, "identity",
			  levee_aws_is_refusal(&error) ? LEVEE_CHECK_FAIL : LEVEE_CHECK_WARN,
			  &error);
	return levee_aws_is_refusal(&error) ? ret : 0;
}

static void check_place(struct examination *x)
{
	struct levee_aws_error error;
	int ret = levee_aws_discover(x->session, x->config, &x->place, &error);

	snprintf(x->vpc, sizeof(x->vpc), "%s", x->place.vpc);
	if (ret < 0)
		add_error(x, "VPC", LEVEE_CHECK_FAIL, &error);
	else if (!x->vpc[0])
		levee_checkup_add(x->c, "VPC", LEVEE_CHECK_WARN,
				  "set [aws] vpc = vpc-..., or [aws] vpc_cidrs",
				  "none is known: its CIDRs are not on the allow list");
	else
		levee_checkup_add(x->c, "VPC", LEVEE_CHECK_OK, NULL,
				  "%s in %s, %zu CIDRs on the allow list; instance %s", x->vpc,
				  x->place.region, x->place.cidrs.n,
				  x->place.instance_id[0] ? x->place.instance_id : "(none)");
}

/* ---- subnets and network ACLs ------------------------------------------------------------ */

static size_t take_subnets(const struct examination *x, const char *out[MAX_SUBNETS])
{
	const struct levee_words *words = x->config->nacl.subnets.n ? &x->config->nacl.subnets
								    : &x->config->aws.subnets;
	size_t n = words->n < MAX_SUBNETS ? words->n : MAX_SUBNETS;

	for (size_t i = 0; i < n; i++)
		out[i] = words->word[i];
	if (!n && x->place.subnet[0])
		out[n++] = x->place.subnet;
	return n;
}

static const struct levee_nacl *acl_of(const struct levee_ec2_nacls *acls, const char *subnet,
				       const struct levee_nacl_association **association)
{
	for (size_t i = 0; i < acls->n; i++)
		for (size_t k = 0; k < acls->list[i].n_associations; k++)
			if (strcmp(acls->list[i].associations[k].subnet, subnet) == 0) {
				*association = &acls->list[i].associations[k];
				return &acls->list[i];
			}
	return NULL;
}

static const struct levee_nacl *find_acl(const struct levee_ec2_nacls *acls, const char *id)
{
	for (size_t i = 0; i < acls->n; i++)
		if (strcmp(acls->list[i].id, id) == 0)
			return &acls->list[i];
	return NULL;
}

static void check_subnets(struct examination *x, const struct levee_ec2_nacls *acls)
{
	const struct levee_nacl_association *association;
	const char *subnets[MAX_SUBNETS];
	size_t n = take_subnets(x, subnets);
	char name[64];

	if (!n)
		levee_checkup_add(x->c, "subnets", LEVEE_CHECK_FAIL,
				  "set [nacl] subnets to those of the target group",
				  "none is known: no network ACL would protect anything");
	for (size_t i = 0; i < n; i++) {
		const struct levee_nacl *acl = acl_of(acls, subnets[i], &association);

		snprintf(name, sizeof(name), "subnet %.40s", subnets[i]);
		if (acl)
			levee_checkup_add(
				x->c, name, LEVEE_CHECK_OK, NULL, "on network ACL %s%s", acl->id,
				strcmp(acl->id, x->config->nacl.blue) == 0 ||
						strcmp(acl->id, x->config->nacl.green) == 0
					? ", one of Levee's"
					: "");
		else
			levee_checkup_add(x->c, name, LEVEE_CHECK_FAIL,
					  "check [nacl] subnets and vpc",
					  "there is no such subnet in VPC %s", x->vpc);
	}
}

static size_t count_rules(const struct levee_nacl *acl)
{
	size_t n = 0;

	for (size_t i = 0; i < acl->n_entries; i++)
		n += !acl->entries[i].egress;
	return n;
}

static void check_pair(struct examination *x, const struct levee_ec2_nacls *acls)
{
	const char *const ids[] = { x->config->nacl.blue, x->config->nacl.green };
	static const char *const names[] = { "network ACL blue", "network ACL green" };

	if (x->config->nacl.manage) {
		levee_checkup_add(x->c, "network ACLs", LEVEE_CHECK_OK, NULL,
				  "[nacl] manage: Levee makes its own pair");
		return;
	}
	for (int i = 0; i < 2; i++) {
		const struct levee_nacl *acl = find_acl(acls, ids[i]);

		if (!ids[i][0])
			levee_checkup_add(x->c, names[i], LEVEE_CHECK_FAIL,
					  "set [nacl] blue and green, or manage = yes",
					  "not configured");
		else if (!acl)
			levee_checkup_add(x->c, names[i], LEVEE_CHECK_FAIL,
					  "check [nacl] blue, green and vpc",
					  "there is no %s in VPC %s", ids[i], x->vpc);
		else if (acls->tags[acl - acls->list].is_default)
			levee_checkup_add(x->c, names[i], LEVEE_CHECK_FAIL,
					  "make an ACL for Levee alone, or set manage = yes",
					  "%s is the VPC's default ACL", ids[i]);
		else
			levee_checkup_add(x->c, names[i], LEVEE_CHECK_OK, NULL,
					  "%s: %zu inbound rules, the default deny among "
					  "them; %zu subnets",
					  ids[i], count_rules(acl), acl->n_associations);
	}
}

/* ---- permissions ------------------------------------------------------------------------- */

static void probe(struct examination *x, const struct levee_nacl_step *step)
{
	struct levee_aws_error error;
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "permission ec2:%s", levee_ec2_operation(step->type));
	if (gave_up(x, name))
		return;
	ret = levee_ec2_nacl_probe(x->session->client, step, &error);
	if (ret == 0)
		levee_checkup_add(x->c, name, LEVEE_CHECK_OK, NULL, "granted (DryRun)");
	else
		add_error(x, name, LEVEE_CHECK_FAIL, &error);
}

/* On the pair if it is there, since the policy may be for these two alone. */
static void probe_all(struct examination *x, const struct levee_ec2_nacls *acls)
{
	const struct levee_nacl_association *association = NULL;
	const char *subnets[MAX_SUBNETS];
	const struct levee_nacl *acl = find_acl(acls, x->config->nacl.blue);
	struct levee_nacl_step step = { .writes = true };

	if (!acl && take_subnets(x, subnets))
		acl = acl_of(acls, subnets[0], &association);
	if (!acl)
		return;
	levee_nacl_put_id(step.acl, acl->id);
	step.entry.number = x->config->nacl.range.first;
	levee_prefix_parse(&step.entry.cidr, "192.0.2.1", 9, NULL); /* TEST-NET-1, RFC 5737 */
	step.entry.protocol = -1;
	step.mark.range = x->config->nacl.range;
	for (int type = LEVEE_NACL_STEP_MARK; type <= LEVEE_NACL_STEP_DELETE; type++) {
		step.type = (enum levee_nacl_step_type)type;
		probe(x, &step);
	}
	association = NULL;
	if (!take_subnets(x, subnets) || !acl_of(acls, subnets[0], &association))
		return;
	step.type = LEVEE_NACL_STEP_SWITCH;
	levee_nacl_put_id(step.association, association->id);
	probe(x, &step);
}

static void check_nacl(struct examination *x)
{
	struct levee_ec2_nacls acls = { 0 };
	struct levee_aws_error error;

	if (!x->config->nacl.enabled) {
		levee_checkup_add(
			x->c, "network ACLs", LEVEE_CHECK_SKIP, NULL,
			"[nacl] enabled is no: sources are blocked on the instance alone");
		return;
	}
	if (!x->vpc[0] || gave_up(x, "network ACLs"))
		return;
	if (levee_ec2_nacls_read(x->session->client, x->vpc, &acls, &error) < 0) {
		add_error(x, "permission ec2:DescribeNetworkAcls", LEVEE_CHECK_FAIL, &error);
		return;
	}
	levee_checkup_add(x->c, "permission ec2:DescribeNetworkAcls", LEVEE_CHECK_OK, NULL,
			  "%zu network ACLs in %s", acls.n, x->vpc);
	check_subnets(x, &acls);
	check_pair(x, &acls);
	probe_all(x, &acls);
	levee_ec2_nacls_free(&acls);
}

/* ---- topic, log group, list -------------------------------------------------------------- */

static int ask_form(struct examination *x, enum levee_aws_service service, const char *operation,
		    const char *name, const char *value, struct levee_aws_reply *reply)
{
	struct levee_aws_text form;
	struct levee_aws_call call = {
		.service = service, .operation = operation, .form = &form, .total_ms = CALL_MS
	};
	int ret;

	levee_aws_text_init(&form, 4096);
	if (value)
		levee_aws_form_add(&form, value, "%s", name);
	ret = levee_aws_call(x->session->client, &call, reply);
	levee_aws_text_free(&form);
	return ret;
}

/* <entry><key>SubscriptionsConfirmed</key><value>1</value></entry> */
static bool has_subscribers(const struct levee_xml *xml)
{
	const struct levee_xml_node *entry =
		levee_xml_find(levee_xml_root(xml), "GetTopicAttributesResult/Attributes/entry");

	for (; entry; entry = levee_xml_next(entry)) {
		const char *key = levee_xml_text(entry, "key");
		const char *value = levee_xml_text(entry, "value");

		if (key && value && strcmp(key, "SubscriptionsConfirmed") == 0)
			return strcmp(value, "0") != 0;
	}
	return true; /* unknown */
}

static void check_topic(struct examination *x)
{
	const char *topic = x->config->aws.sns_topic;
	struct levee_aws_reply reply;

	if (!topic[0] || gave_up(x, "SNS topic"))
		return;
	if (ask_form(x, LEVEE_AWS_SNS, "GetTopicAttributes", "TopicArn", topic, &reply) < 0)
		add_optional(x, "SNS topic", "sns:GetTopicAttributes",
			     "the first message will tell", &reply.error);
	else if (!has_subscribers(reply.xml))
		levee_checkup_add(x->c, "SNS topic", LEVEE_CHECK_WARN,
				  "aws sns subscribe --topic-arn ... --protocol email",
				  "%s has no confirmed subscriber: nobody hears it", topic);
	else
		levee_checkup_add(x->c, "SNS topic", LEVEE_CHECK_OK, NULL, "%s", topic);
	levee_aws_reply_free(&reply);
}

static void check_log_group(struct examination *x)
{
	const char *group = x->config->aws.log_group;
	char body[800];
	const struct levee_aws_call call = { .service = LEVEE_AWS_LOGS,
					     .operation = "DescribeLogStreams",
					     .json = body,
					     .attempts = 1,
					     .total_ms = CALL_MS };
	struct levee_aws_reply reply;

	if (!group[0] || gave_up(x, "log group"))
		return;
	/* the name is of characters that JSON takes as they are */
	snprintf(body, sizeof(body), "{\"logGroupName\": \"%.512s\", \"limit\": 1}", group);
	if (levee_aws_call(x->session->client, &call, &reply) < 0)
		add_optional(x, "log group", "logs:DescribeLogStreams",
			     "the first record will tell", &reply.error);
	else
		levee_checkup_add(x->c, "log group", LEVEE_CHECK_OK, NULL, "%s", group);
	levee_aws_reply_free(&reply);
}

static void check_list(struct examination *x)
{
	struct levee_s3_list s3 = { .url = x->config->allow.s3, .copy = "" };
	struct levee_allowlist list = { 0 };
	struct levee_aws_error error;

	if (!s3.url[0] || gave_up(x, "allow list"))
		return;
	if (levee_s3_list_fetch(&s3, x->session->client, &list, NULL, NULL, &error) < 0)
		add_error(x, "allow list", LEVEE_CHECK_FAIL, &error);
	else if (list.bad_lines)
		levee_checkup_add(x->c, "allow list", LEVEE_CHECK_WARN,
				  "the daemon's log names the lines; mend the object",
				  "%s: %zu prefixes, and %zu bad lines that are left out", s3.url,
				  list.n, list.bad_lines);
	else if (list.n + x->place.cidrs.n > x->config->data_path.rules / 2)
		levee_checkup_add(x->c, "allow list", LEVEE_CHECK_WARN, "raise [data_path] rules",
				  "%s: %zu prefixes leave little of [data_path] rules = %llu for "
				  "blocks",
				  s3.url, list.n, (unsigned long long)x->config->data_path.rules);
	else
		levee_checkup_add(x->c, "allow list", LEVEE_CHECK_OK, NULL, "%s: %zu prefixes",
				  s3.url, list.n);
	levee_allowlist_clear(&list);
}

/* ---- target groups: does the balancer hand on the clients' addresses? -------------------- */

static bool is_network_protocol(const char *protocol)
{
	return protocol && (strcmp(protocol, "TCP") == 0 || strcmp(protocol, "TLS") == 0 ||
			    strcmp(protocol, "UDP") == 0 || strcmp(protocol, "TCP_UDP") == 0);
}

static const char *attribute(const struct levee_xml *xml, const char *key)
{
	const struct levee_xml_node *member = levee_xml_find(
		levee_xml_root(xml), "DescribeTargetGroupAttributesResult/Attributes/member");

	for (; member; member = levee_xml_next(member)) {
		const char *name = levee_xml_text(member, "Key");

		if (name && strcmp(name, key) == 0)
			return levee_xml_text(member, "Value");
	}
	return NULL;
}

static void check_group(struct examination *x, const struct levee_xml_node *group)
{
	const char *arn = levee_xml_text(group, "TargetGroupArn");
	const char *label = levee_xml_text(group, "TargetGroupName");
	struct levee_aws_reply reply;
	const char *preserve;
	char name[64];
	int ret;

	if (!arn || !label)
		return;
	snprintf(name, sizeof(name), "target group %.40s", label);
	ret = ask_form(x, LEVEE_AWS_ELB, "DescribeTargetGroupAttributes", "TargetGroupArn", arn,
		       &reply);
	preserve = attribute(reply.xml, "preserve_client_ip.enabled");
	if (ret < 0)
		add_optional(x, name, "elasticloadbalancing:DescribeTargetGroupAttributes",
			     "look at preserve_client_ip.enabled by hand", &reply.error);
	else if (preserve && strcmp(preserve, "false") == 0)
		levee_checkup_add(x->c, name, LEVEE_CHECK_WARN,
				  "aws elbv2 modify-target-group-attributes --attributes "
				  "Key=preserve_client_ip.enabled,Value=true",
				  "client addresses are not preserved: every packet comes from the "
				  "balancer, and there is no source to find");
	else
		levee_checkup_add(x->c, name, LEVEE_CHECK_OK, NULL,
				  "client addresses are preserved");
	levee_aws_reply_free(&reply);
}

/* \return how many groups of network load balancers there are in the VPC on this page */
static size_t check_groups(struct examination *x, const struct levee_xml *xml)
{
	const struct levee_xml_node *group = levee_xml_find(
		levee_xml_root(xml), "DescribeTargetGroupsResult/TargetGroups/member");
	size_t n = 0;

	for (; group; group = levee_xml_next(group)) {
		const char *vpc = levee_xml_text(group, "VpcId");

		if (!vpc || strcmp(vpc, x->vpc) != 0 ||
		    !is_network_protocol(levee_xml_text(group, "Protocol")))
			continue;
		check_group(x, group);
		n++;
	}
	return n;
}

static void check_targets(struct examination *x)
{
	char marker[1024] = "";
	size_t n = 0;
	int ret = 0;

	if (!x->vpc[0] || gave_up(x, "target groups"))
		return;
	for (int page = 0; page < TARGET_PAGES && ret == 0; page++) {
		struct levee_aws_reply reply;
		const char *next;

		ret = ask_form(x, LEVEE_AWS_ELB, "DescribeTargetGroups", "Marker",
			       marker[0] ? marker : NULL, &reply);
		if (ret < 0)
			add_optional(x, "target groups",
				     "elasticloadbalancing:DescribeTargetGroups",
				     "look at preserve_client_ip.enabled by hand", &reply.error);
		else
			n += check_groups(x, reply.xml);
		next = levee_xml_text(levee_xml_root(reply.xml),
				      "DescribeTargetGroupsResult/NextMarker");
		snprintf(marker, sizeof(marker), "%s", next ? next : "");
		levee_aws_reply_free(&reply);
		if (!marker[0])
			break;
	}
	if (ret == 0 && !n)
		levee_checkup_add(x->c, "target groups", LEVEE_CHECK_SKIP, NULL,
				  "no network load balancer has a target group in %s", x->vpc);
}

/* ---- all of it --------------------------------------------------------------------------- */

static void examine(struct examination *x)
{
	check_place(x);
	check_nacl(x);
	check_topic(x);
	check_log_group(x);
	check_list(x);
	check_targets(x);
}

void levee_doctor_aws(struct levee_checkup *c, const struct levee_config *config)
{
	struct examination x = { .c = c, .config = config };
	struct levee_aws_overrides overrides = levee_aws_overrides_of(config);
	struct levee_aws_cancel cancel;
	struct levee_aws_error error;
	struct levee_aws_env env;
	int ret;

	if (!config->aws.enabled) {
		levee_checkup_add(c, "AWS", LEVEE_CHECK_SKIP, NULL,
				  "[aws] enabled is no: Levee works on this instance alone");
		return;
	}
	ret = levee_aws_cancel_init(&cancel);
	if (ret < 0) {
		levee_checkup_add(c, "AWS", LEVEE_CHECK_FAIL, NULL, "%s", strerror(-ret));
		return;
	}
	env = levee_aws_env_process(&cancel);
	ret = levee_aws_session_open(&x.session, &env, &overrides, NULL, &error);
	if (ret == 0)
		ret = levee_aws_session_region(x.session, &error);
	if (ret < 0)
		add_error(&x, "AWS", LEVEE_CHECK_FAIL, &error);
	else if (check_credentials(&x) == 0)
		examine(&x);
	levee_aws_place_clear(&x.place);
	levee_aws_session_free(&x.session);
	levee_aws_cancel_free(&cancel);
}
