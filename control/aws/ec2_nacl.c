/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/ec2_nacl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/retry.h"
#include "control/log.h"

#define CALL_MS	   15000 /* of one attempt; EC2 answers in one or two seconds */
#define PAGES	   100
#define PAGE_ITEMS "1000"
#define FORM_BYTES (64 * 1024)

enum {
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	ICMP6 = 58,
};

/* ---- calls ---- */

static int call_ec2(struct levee_aws_client *client, const char *operation,
		    struct levee_aws_text *form, unsigned int attempts, int64_t until_ms,
		    struct levee_aws_reply *reply)
{
	const struct levee_aws_call call = { .service = LEVEE_AWS_EC2,
					     .operation = operation,
					     .form = form,
					     .attempts = attempts,
					     .total_ms = CALL_MS,
					     .until_ms = until_ms };

	return levee_aws_call(client, &call, reply);
}

static int unreadable(struct levee_aws_error *error, const char *operation, const char *what)
{
	return levee_aws_error_set(error, -EPROTO, "UnreadableReply", "ec2 %s: %s", operation,
				   what);
}

/* An id of a reply becomes part of requests and of what is shown. \return 0; -EPROTO */
static int take_id(char out[static LEVEE_NACL_ID], const struct levee_xml_node *node,
		   const char *path)
{
	const char *text = levee_xml_text(node, path);

	if (!text || !*text || strlen(text) >= LEVEE_NACL_ID)
		return -EPROTO;
	levee_nacl_put_id(out, text);
	levee_log_clean(out);
	return 0;
}

/* A whole number within a range. \return 0; -EPROTO */
static int take_int(long *out, const char *text, long min, long max)
{
	char *end;

	if (!text || !*text)
		return -EPROTO;
	errno = 0;
	*out = strtol(text, &end, 10);
	return errno || *end || *out < min || *out > max ? -EPROTO : 0;
}

/* ---- reading ---- */

static size_t count(const struct levee_xml_node *item)
{
	size_t n = 0;

	for (; item; item = levee_xml_next(item))
		n++;
	return n;
}

static int take_ports(struct levee_nacl_entry *entry, const struct levee_xml_node *item)
{
	const struct levee_xml_node *range = levee_xml_find(item, "portRange");
	long first = 0, last = 65535; /* none: all of them */

	if (range && (take_int(&first, levee_xml_text(range, "from"), 0, 65535) ||
		      take_int(&last, levee_xml_text(range, "to"), 0, 65535)))
		return -EPROTO;
	entry->port_first = (uint16_t)first;
	entry->port_last = (uint16_t)last;
	return 0;
}

static int take_icmp(struct levee_nacl_entry *entry, const struct levee_xml_node *item)
{
	const struct levee_xml_node *icmp = levee_xml_find(item, "icmpTypeCode");
	long type = LEVEE_NACL_ALL, code = LEVEE_NACL_ALL;

	if (icmp && (take_int(&type, levee_xml_text(icmp, "type"), LEVEE_NACL_ALL, 255) ||
		     take_int(&code, levee_xml_text(icmp, "code"), LEVEE_NACL_ALL, 255)))
		return -EPROTO;
	entry->icmp_type = (int16_t)type;
	entry->icmp_code = (int16_t)code;
	return 0;
}

static int take_cidr(struct levee_prefix *prefix, const struct levee_xml_node *item)
{
	const char *text = levee_xml_text(item, "cidrBlock");

	if (!text)
		text = levee_xml_text(item, "ipv6CidrBlock");
	return text && !levee_prefix_parse(prefix, text, strlen(text), NULL) ? 0 : -EPROTO;
}

static int take_flag(bool *out, const char *text)
{
	if (!text || (strcmp(text, "true") && strcmp(text, "false")))
		return -EPROTO;
	*out = !strcmp(text, "true");
	return 0;
}

static int take_action(enum levee_nacl_action *out, const char *text)
{
	if (!text || (strcmp(text, "allow") && strcmp(text, "deny")))
		return -EPROTO;
	*out = !strcmp(text, "allow") ? LEVEE_NACL_ALLOW : LEVEE_NACL_DENY;
	return 0;
}

static int take_entry(struct levee_nacl_entry *entry, const struct levee_xml_node *item)
{
	long number, protocol;

	memset(entry, 0, sizeof(*entry));
	if (take_int(&number, levee_xml_text(item, "ruleNumber"), 1, UINT16_MAX) ||
	    take_int(&protocol, levee_xml_text(item, "protocol"), LEVEE_NACL_ALL, 255) ||
	    take_flag(&entry->egress, levee_xml_text(item, "egress")) ||
	    take_action(&entry->action, levee_xml_text(item, "ruleAction")) ||
	    take_cidr(&entry->cidr, item) || take_ports(entry, item) || take_icmp(entry, item))
		return -EPROTO;
	entry->number = (uint16_t)number;
	entry->protocol = (int16_t)protocol;
	levee_nacl_canon(entry);
	return 0;
}

static int take_entries(struct levee_nacl *acl, const struct levee_xml_node *node)
{
	const struct levee_xml_node *item = levee_xml_find(node, "entrySet/item");
	struct levee_nacl_entry *entries = calloc(count(item) + 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	acl->entries = entries;
	for (; item; item = levee_xml_next(item))
		if (take_entry(&entries[acl->n_entries++], item))
			return -EPROTO;
	return 0;
}

static int take_associations(struct levee_nacl *acl, const struct levee_xml_node *node)
{
	const struct levee_xml_node *item = levee_xml_find(node, "associationSet/item");
	struct levee_nacl_association *list = calloc(count(item) + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	acl->associations = list;
	for (; item; item = levee_xml_next(item)) {
		struct levee_nacl_association *to = &list[acl->n_associations++];

		if (take_id(to->id, item, "networkAclAssociationId") ||
		    take_id(to->subnet, item, "subnetId"))
			return -EPROTO;
	}
	return 0;
}

static void take_tags(struct levee_nacl *acl, struct levee_ec2_nacl_tags *tags,
		      const struct levee_xml_node *node)
{
	const struct levee_xml_node *item = levee_xml_find(node, "tagSet/item");

	for (; item; item = levee_xml_next(item)) {
		const char *key = levee_xml_text(item, "key");
		const char *value = levee_xml_text(item, "value");

		if (!key || !value)
			continue;
		if (!strcmp(key, LEVEE_NACL_TOKEN_TAG)) {
			tags->token = strtoull(value, NULL, 10);
		} else if (!strcmp(key, LEVEE_NACL_SIDE_TAG)) {
			snprintf(tags->side, sizeof(tags->side), "%s", value);
		} else if (!strcmp(key, LEVEE_NACL_TAG)) {
			acl->marked = !levee_nacl_mark_read(&acl->mark, value);
			tags->bad_mark = !acl->marked;
		}
	}
}

static int take_acl(struct levee_nacl *acl, struct levee_ec2_nacl_tags *tags,
		    const struct levee_xml_node *node)
{
	int ret;

	if (take_id(acl->id, node, "networkAclId") || take_id(acl->vpc, node, "vpcId") ||
	    take_flag(&tags->is_default, levee_xml_text(node, "default")))
		return -EPROTO;
	ret = take_entries(acl, node);
	if (!ret)
		ret = take_associations(acl, node);
	take_tags(acl, tags, node);
	return ret;
}

static int make_room(struct levee_ec2_nacls *acls, size_t more)
{
	struct levee_nacl *list;
	struct levee_ec2_nacl_tags *tags;

	list = reallocarray(acls->list, acls->n + more + 1, sizeof(*list));
	if (list)
		acls->list = list;
	tags = reallocarray(acls->tags, acls->n + more + 1, sizeof(*tags));
	if (tags)
		acls->tags = tags;
	if (!list || !tags)
		return -ENOMEM;
	memset(&acls->list[acls->n], 0, (more + 1) * sizeof(*list));
	memset(&acls->tags[acls->n], 0, (more + 1) * sizeof(*tags));
	return 0;
}

static int take_page(struct levee_ec2_nacls *acls, const struct levee_xml_node *root)
{
	const struct levee_xml_node *item = levee_xml_find(root, "networkAclSet/item");
	int ret = make_room(acls, count(item));

	for (; !ret && item; item = levee_xml_next(item)) {
		ret = take_acl(&acls->list[acls->n], &acls->tags[acls->n], item);
		acls->n++; /* a part of it, too, is to be freed */
	}
	return ret;
}

/* \param token  of this page, "" for the first; that of the next one, or "", after it */
static int read_page(struct levee_aws_client *client, const char *vpc, struct levee_ec2_nacls *acls,
		     char token[static 2048], struct levee_aws_error *error)
{
	static const char operation[] = "DescribeNetworkAcls";
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	const char *next;
	int ret;

	levee_aws_text_init(&form, FORM_BYTES);
	levee_aws_form_add(&form, "vpc-id", "Filter.1.Name");
	levee_aws_form_add(&form, vpc, "Filter.1.Value.1");
	levee_aws_form_add(&form, PAGE_ITEMS, "MaxResults");
	if (*token)
		levee_aws_form_add(&form, token, "NextToken");
	ret = call_ec2(client, operation, &form, 0, 0, &reply);
	*error = reply.error;
	if (!ret)
		ret = take_page(acls, levee_xml_root(reply.xml));
	next = ret ? NULL : levee_xml_text(levee_xml_root(reply.xml), "nextToken");
	if (next && strlen(next) >= 2048)
		ret = -EPROTO;
	else
		snprintf(token, 2048, "%s", next ? next : "");
	if (ret == -EPROTO && !*error->code)
		unreadable(error, operation, "the reply holds what no network ACL can hold");
	else if (ret == -ENOMEM)
		levee_aws_error_memory(error);
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

int levee_ec2_nacls_read(struct levee_aws_client *client, const char *vpc,
			 struct levee_ec2_nacls *out, struct levee_aws_error *error)
{
	struct levee_ec2_nacls acls = { 0 };
	char token[2048] = "";
	int ret, pages = 0;

	levee_aws_error_clear(error);
	do {
		ret = read_page(client, vpc, &acls, token, error);
		if (!ret && *token && ++pages == PAGES)
			ret = unreadable(error, "DescribeNetworkAcls", "the list does not end");
	} while (!ret && *token);
	if (!ret) {
		levee_ec2_nacls_free(out);
		*out = acls;
	} else {
		levee_ec2_nacls_free(&acls);
	}
	return ret;
}

void levee_ec2_nacls_free(struct levee_ec2_nacls *acls)
{
	for (size_t i = 0; i < acls->n; i++) {
		free((void *)(uintptr_t)acls->list[i].entries);
		free((void *)(uintptr_t)acls->list[i].associations);
	}
	free(acls->list);
	free(acls->tags);
	*acls = (struct levee_ec2_nacls){ 0 };
}

/* ---- subnets and VPC ---- */

static const struct levee_xml_node *find_subnet(const struct levee_xml_node *item, const char *id)
{
	for (; item; item = levee_xml_next(item)) {
		const char *text = levee_xml_text(item, "subnetId");

		if (text && !strcmp(text, id))
			return item;
	}
	return NULL;
}

static int compare_vpcs(const struct levee_xml_node *items, const char (*subnets)[LEVEE_NACL_ID],
			size_t n, char vpc[static LEVEE_NACL_ID], struct levee_aws_error *error)
{
	char id[LEVEE_NACL_ID];

	*vpc = '\0';
	for (size_t i = 0; i < n; i++) {
		const struct levee_xml_node *item = find_subnet(items, subnets[i]);

		if (!item)
			return levee_aws_error_set(error, -ENOENT, "InvalidSubnetID.NotFound",
						   "%s does not exist in this region", subnets[i]);
		if (take_id(id, item, "vpcId"))
			return unreadable(error, "DescribeSubnets", "a subnet without a VPC");
		if (*vpc && strcmp(vpc, id) != 0)
			return levee_aws_error_set(error, -EINVAL, "SubnetsDiffer",
						   "%s is in %s and %s is in %s: all protected "
						   "subnets must be in one VPC",
						   subnets[0], vpc, subnets[i], id);
		levee_nacl_put_id(vpc, id);
	}
	return 0;
}

int levee_ec2_vpc_of_subnets(struct levee_aws_client *client, const char (*subnets)[LEVEE_NACL_ID],
			     size_t n, char vpc[static LEVEE_NACL_ID],
			     struct levee_aws_error *error)
{
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	int ret;

	/* By a filter: what does not exist is left out, and can be named. */
	levee_aws_text_init(&form, FORM_BYTES);
	levee_aws_form_add(&form, "subnet-id", "Filter.1.Name");
	for (size_t i = 0; i < n; i++)
		levee_aws_form_add(&form, subnets[i], "Filter.1.Value.%zu", i + 1);
	ret = call_ec2(client, "DescribeSubnets", &form, 0, 0, &reply);
	*error = reply.error;
	if (!ret)
		ret = compare_vpcs(levee_xml_find(levee_xml_root(reply.xml), "subnetSet/item"),
				   subnets, n, vpc, error);
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

static int take_cidrs(const struct levee_xml_node *item, const char *name,
		      struct levee_prefix *list, size_t *n)
{
	for (; item; item = levee_xml_next(item)) {
		const char *text = levee_xml_text(item, name);

		if (!text || levee_prefix_parse(&list[(*n)++], text, strlen(text), NULL))
			return -EPROTO;
	}
	return 0;
}

static int take_vpc(const struct levee_xml_node *vpc, struct levee_prefix **list, size_t *n)
{
	const struct levee_xml_node *ipv4 = levee_xml_find(vpc, "cidrBlockAssociationSet/item");
	const struct levee_xml_node *ipv6 = levee_xml_find(vpc, "ipv6CidrBlockAssociationSet/item");
	const char *first = levee_xml_text(vpc, "cidrBlock");
	int ret;

	*n = 0;
	*list = calloc(count(ipv4) + count(ipv6) + 2, sizeof(**list));
	if (!*list)
		return -ENOMEM;
	ret = take_cidrs(ipv4, "cidrBlock", *list, n);
	if (!ret)
		ret = take_cidrs(ipv6, "ipv6CidrBlock", *list, n);
	if (!ret && first)
		ret = levee_prefix_parse(&(*list)[(*n)++], first, strlen(first), NULL) ? -EPROTO
										       : 0;
	return !ret && !*n ? -EPROTO : ret;
}

int levee_ec2_vpc_cidrs(struct levee_aws_client *client, const char *vpc,
			struct levee_prefix **list, size_t *n, struct levee_aws_error *error)
{
	static const char operation[] = "DescribeVpcs";
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	int ret;

	*list = NULL;
	*n = 0;
	levee_aws_text_init(&form, FORM_BYTES);
	levee_aws_form_add(&form, vpc, "VpcId.1");
	ret = call_ec2(client, operation, &form, 0, 0, &reply);
	*error = reply.error;
	if (!ret)
		ret = take_vpc(levee_xml_find(levee_xml_root(reply.xml), "vpcSet/item"), list, n);
	if (ret == -EPROTO && !*error->code)
		unreadable(error, operation, "the reply has no VPC, or one without CIDRs");
	else if (ret == -ENOMEM)
		levee_aws_error_memory(error);
	if (ret) {
		free(*list);
		*list = NULL;
		*n = 0;
	}
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

/* ---- writing ---- */

int levee_ec2_nacl_create(struct levee_aws_client *client, const char *vpc, const char *side,
			  const char *token, int64_t until_ms, char id[static LEVEE_NACL_ID],
			  struct levee_aws_error *error)
{
	static const char operation[] = "CreateNetworkAcl";
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	char name[32];
	int ret;

	snprintf(name, sizeof(name), "levee-%s", side);
	levee_aws_text_init(&form, FORM_BYTES);
	levee_aws_form_add(&form, vpc, "VpcId");
	levee_aws_form_add(&form, token, "ClientToken");
	levee_aws_form_add(&form, "network-acl", "TagSpecification.1.ResourceType");
	levee_aws_form_add(&form, "Name", "TagSpecification.1.Tag.1.Key");
	levee_aws_form_add(&form, name, "TagSpecification.1.Tag.1.Value");
	levee_aws_form_add(&form, LEVEE_NACL_SIDE_TAG, "TagSpecification.1.Tag.2.Key");
	levee_aws_form_add(&form, side, "TagSpecification.1.Tag.2.Value");
	/* By its token it can be tried as often as one likes. */
	ret = call_ec2(client, operation, &form, 0, until_ms, &reply);
	*error = reply.error;
	if (!ret && take_id(id, levee_xml_root(reply.xml), "networkAcl/networkAclId"))
		ret = unreadable(error, operation, "the reply has no id");
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

int levee_ec2_nacl_stamp(struct levee_aws_client *client, const char *blue, const char *green,
			 uint64_t token, int64_t until_ms, struct levee_aws_error *error)
{
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	char text[24];
	int ret;

	snprintf(text, sizeof(text), "%" PRIu64, token);
	levee_aws_text_init(&form, FORM_BYTES);
	levee_aws_form_add(&form, blue, "ResourceId.1");
	levee_aws_form_add(&form, green, "ResourceId.2");
	levee_aws_form_add(&form, LEVEE_NACL_TOKEN_TAG, "Tag.1.Key");
	levee_aws_form_add(&form, text, "Tag.1.Value");
	/* One attempt: who is late must ask again whether it may. */
	ret = call_ec2(client, "CreateTags", &form, 1, until_ms, &reply);
	*error = reply.error;
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

static void add_number(struct levee_aws_text *form, const char *name, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	levee_aws_form_add(form, text, "%s", name);
}

static void add_place(struct levee_aws_text *form, const struct levee_nacl_step *step)
{
	levee_aws_form_add(form, step->acl, "NetworkAclId");
	add_number(form, "RuleNumber", step->entry.number);
	levee_aws_form_add(form, step->entry.egress ? "true" : "false", "Egress");
}

static void add_entry(struct levee_aws_text *form, const struct levee_nacl_step *step)
{
	const struct levee_nacl_entry *entry = &step->entry;
	char cidr[LEVEE_PREFIX_TEXT];

	add_place(form, step);
	add_number(form, "Protocol", entry->protocol);
	levee_aws_form_add(form, entry->action == LEVEE_NACL_ALLOW ? "allow" : "deny",
			   "RuleAction");
	levee_aws_form_add(form, levee_nacl_cidr(&entry->cidr, cidr),
			   entry->cidr.family == 6 ? "Ipv6CidrBlock" : "CidrBlock");
	if (entry->protocol == TCP || entry->protocol == UDP) {
		add_number(form, "PortRange.From", entry->port_first);
		add_number(form, "PortRange.To", entry->port_last);
	} else if (entry->protocol == ICMP || entry->protocol == ICMP6) {
		add_number(form, "Icmp.Type", entry->icmp_type);
		add_number(form, "Icmp.Code", entry->icmp_code);
	}
}

static void add_step(struct levee_aws_text *form, const struct levee_nacl_step *step)
{
	char mark[LEVEE_NACL_MARK_TEXT];

	switch (step->type) {
	case LEVEE_NACL_STEP_MARK:
		levee_aws_form_add(form, step->acl, "ResourceId.1");
		levee_aws_form_add(form, LEVEE_NACL_TAG, "Tag.1.Key");
		levee_aws_form_add(form, levee_nacl_mark_write(&step->mark, mark), "Tag.1.Value");
		break;
	case LEVEE_NACL_STEP_DELETE:
		add_place(form, step);
		break;
	case LEVEE_NACL_STEP_SWITCH:
		levee_aws_form_add(form, step->association, "AssociationId");
		levee_aws_form_add(form, step->acl, "NetworkAclId");
		break;
	default:
		add_entry(form, step);
	}
}

const char *levee_ec2_operation(enum levee_nacl_step_type type)
{
	switch (type) {
	case LEVEE_NACL_STEP_MARK:
		return "CreateTags";
	case LEVEE_NACL_STEP_CREATE:
		return "CreateNetworkAclEntry";
	case LEVEE_NACL_STEP_REPLACE:
		return "ReplaceNetworkAclEntry";
	case LEVEE_NACL_STEP_DELETE:
		return "DeleteNetworkAclEntry";
	case LEVEE_NACL_STEP_SWITCH:
		return "ReplaceNetworkAclAssociation";
	default:
		return "DescribeNetworkAcls";
	}
}

/* Codes by which EC2 says that what was read is not so. */
static bool knows_better(enum levee_nacl_step_type type, const char *code)
{
	switch (type) {
	case LEVEE_NACL_STEP_CREATE:
		return !strcmp(code, "NetworkAclEntryAlreadyExists");
	case LEVEE_NACL_STEP_REPLACE:
		return !strcmp(code, "InvalidNetworkAclEntry.NotFound");
	case LEVEE_NACL_STEP_SWITCH:
		return !strcmp(code, "InvalidAssociationID.NotFound");
	default:
		return false;
	}
}

static enum levee_ec2_answer judge_error(enum levee_nacl_step_type type,
					 const struct levee_aws_error *error)
{
	if (type == LEVEE_NACL_STEP_DELETE &&
	    !strcmp(error->code, "InvalidNetworkAclEntry.NotFound"))
		return LEVEE_EC2_DONE;
	if (knows_better(type, error->code))
		return LEVEE_EC2_REFUSED;
	if (!strcmp(error->code, "NetworkAclEntryLimitExceeded"))
		return LEVEE_EC2_FULL;
	switch (levee_aws_judge(0, error)) {
	case LEVEE_AWS_THROTTLED:
		return LEVEE_EC2_THROTTLED;
	case LEVEE_AWS_TRANSIENT:
	case LEVEE_AWS_NO_ANSWER:
		return LEVEE_EC2_UNSURE;
	default:
		return error->status >= 500 ? LEVEE_EC2_UNSURE : LEVEE_EC2_DENIED;
	}
}

static enum levee_ec2_answer judge(enum levee_nacl_step_type type, int ret,
				   const struct levee_aws_reply *reply)
{
	if (ret && !reply->attempts) /* no request was made: keys, region, endpoint */
		return ret == -ECANCELED || ret == -ETIMEDOUT || ret == -ENOMEM ? LEVEE_EC2_NOT_SENT
										: LEVEE_EC2_DENIED;
	switch (ret) {
	case 0:
		return LEVEE_EC2_DONE;
	case -EREMOTEIO:
		return judge_error(type, &reply->error);
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
		return LEVEE_EC2_NOT_SENT;
	case -ECANCELED:
	case -EPROTO:
	case -ETIMEDOUT:
	case -ECONNRESET:
	case -EFBIG:
	case -ENOMEM:
		return LEVEE_EC2_UNSURE;
	default:
		return LEVEE_EC2_DENIED;
	}
}

enum levee_ec2_answer levee_ec2_nacl_do(struct levee_aws_client *client,
					const struct levee_nacl_step *step, int64_t until_ms,
					struct levee_aws_error *error)
{
	enum levee_ec2_answer answer;
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	int ret;

	levee_aws_text_init(&form, FORM_BYTES);
	add_step(&form, step);
	ret = call_ec2(client, levee_ec2_operation(step->type), &form, 1, until_ms, &reply);
	answer = judge(step->type, ret, &reply);
	*error = reply.error;
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return answer;
}

int levee_ec2_nacl_probe(struct levee_aws_client *client, const struct levee_nacl_step *step,
			 struct levee_aws_error *error)
{
	struct levee_aws_text form;
	struct levee_aws_reply reply;
	int ret;

	levee_aws_text_init(&form, FORM_BYTES);
	add_step(&form, step);
	levee_aws_form_add(&form, "true", "DryRun");
	ret = call_ec2(client, levee_ec2_operation(step->type), &form, 0, 0, &reply);
	*error = reply.error;
	if (ret == -EREMOTEIO && !strcmp(error->code, "DryRunOperation")) {
		levee_aws_error_clear(error);
		ret = 0;
	} else if (!ret) {
		ret = unreadable(error, levee_ec2_operation(step->type),
				 "a dry run was answered as if it had been carried out");
	}
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

const char *levee_nacl_cidr(const struct levee_prefix *prefix, char text[static LEVEE_PREFIX_TEXT])
{
	size_t n;

	levee_prefix_format(prefix, text);
	n = strlen(text);
	if (!strchr(text, '/'))
		snprintf(text + n, LEVEE_PREFIX_TEXT - n, "/%u", prefix->length);
	return text;
}
