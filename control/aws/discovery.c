/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/discovery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/ec2_nacl.h"

#define ITEM_BYTES 4096

void levee_aws_place_clear(struct levee_aws_place *place)
{
	levee_allowlist_clear(&place->cidrs);
	*place = (struct levee_aws_place){ 0 };
}

/* ---- instance metadata ---- */

/* One word, "" if there is no such item. */
static int get_word(struct levee_aws_session *s, const char *path, char *out, size_t size,
		    struct levee_aws_error *error)
{
	struct levee_aws_text text;
	int ret;

	levee_aws_text_init(&text, ITEM_BYTES);
	ret = levee_imds_get(s->imds, path, &text, error);
	out[0] = '\0';
	if (ret == 0 && text.n < size &&
	    strspn(levee_aws_text_string(&text), "abcdefghijklmnopqrstuvwxyz0123456789-:/") ==
		    text.n)
		snprintf(out, size, "%s", levee_aws_text_string(&text));
	levee_aws_text_free(&text);
	return ret == -ENOENT ? 0 : ret;
}

static int get_list(struct levee_aws_session *s, const char *path, struct levee_allowlist *add_to,
		    struct levee_aws_error *error)
{
	struct levee_allowlist list = { 0 };
	struct levee_aws_text text;
	int ret;

	levee_aws_text_init(&text, ITEM_BYTES);
	ret = levee_imds_get(s->imds, path, &text, error);
	if (ret == 0)
		ret = levee_allowlist_parse(&list, levee_aws_text_string(&text), text.n, path, NULL,
					    NULL);
	if (ret == 0)
		ret = levee_allowlist_merge(add_to, add_to, &list);
	if (ret == -ENOMEM)
		levee_aws_error_memory(error);
	levee_allowlist_clear(&list);
	levee_aws_text_free(&text);
	return ret == -ENOENT ? 0 : ret;
}

/* The VPC is that of the first interface; all of an instance are in one. */
static int ask_interface(struct levee_aws_session *s, struct levee_aws_place *out, bool cidrs,
			 struct levee_aws_error *error)
{
	static const char *const families[] = { "vpc-ipv4-cidr-blocks", "vpc-ipv6-cidr-blocks" };
	char mac[32], path[256], vpc[32];
	int ret = get_word(s, "meta-data/mac", mac, sizeof(mac), error);

	if (ret < 0 || !*mac)
		return ret;
	snprintf(path, sizeof(path), "meta-data/network/interfaces/macs/%s/subnet-id", mac);
	ret = get_word(s, path, out->subnet, sizeof(out->subnet), error);
	if (ret == 0) {
		snprintf(path, sizeof(path), "meta-data/network/interfaces/macs/%s/vpc-id", mac);
		ret = get_word(s, path, vpc, sizeof(vpc), error);
	}
	if (ret == 0 && !*out->vpc)
		snprintf(out->vpc, sizeof(out->vpc), "%s", vpc);
	/* another VPC by hand: its CIDRs are not those of the instance */
	for (size_t i = 0; i < 2 && ret == 0 && cidrs && strcmp(vpc, out->vpc) == 0; i++) {
		snprintf(path, sizeof(path), "meta-data/network/interfaces/macs/%s/%s", mac,
			 families[i]);
		ret = get_list(s, path, &out->cidrs, error);
	}
	return ret;
}

/* Being no instance is no error: then there is nothing to find out. */
static int ask_metadata(struct levee_aws_session *s, struct levee_aws_place *out, bool cidrs,
			struct levee_aws_error *error)
{
	char id[32];
	int ret = get_word(s, "meta-data/instance-id", id, sizeof(id), error);

	if (ret == 0) {
		out->in_ec2 = true;
		if (!*out->instance_id)
			snprintf(out->instance_id, sizeof(out->instance_id), "%s", id);
		ret = get_word(s, "meta-data/placement/availability-zone", out->zone,
			       sizeof(out->zone), error);
	}
	if (ret == 0)
		ret = ask_interface(s, out, cidrs, error);
	return ret == -ENODATA ? 0 : ret;
}

/* ---- EC2 ---- */

static int ask_ec2(struct levee_aws_session *s, struct levee_aws_place *out,
		   struct levee_aws_error *error)
{
	struct levee_allowlist found = { 0 };
	int ret = levee_ec2_vpc_cidrs(s->client, out->vpc, &found.list, &found.n, error);

	if (ret == 0 && levee_allowlist_merge(&out->cidrs, &out->cidrs, &found) < 0)
		ret = levee_aws_error_memory(error);
	free(found.list);
	return ret;
}

/* ---- together ---- */

static int take_configured(const struct levee_config *config, struct levee_aws_place *out,
			   struct levee_aws_error *error)
{
	const struct levee_allowlist given = { .n = config->aws.vpc_cidrs.n,
					       .list = config->aws.vpc_prefixes };

	*out = (struct levee_aws_place){ .cidrs_by_hand = given.n > 0 };
	snprintf(out->instance_id, sizeof(out->instance_id), "%s", config->aws.instance_id);
	snprintf(out->vpc, sizeof(out->vpc), "%s",
		 config->aws.vpc[0] ? config->aws.vpc : config->nacl.vpc);
	return levee_allowlist_merge(&out->cidrs, &given, &out->cidrs) < 0
		       ? levee_aws_error_memory(error)
		       : 0;
}

int levee_aws_discover(struct levee_aws_session *session, const struct levee_config *config,
		       struct levee_aws_place *out, struct levee_aws_error *error)
{
	int ret = take_configured(config, out, error);

	if (ret == 0)
		ret = levee_aws_session_region(session, error);
	if (ret < 0)
		return ret;
	snprintf(out->region, sizeof(out->region), "%s", session->config.region);
	if (!*out->instance_id || !*out->vpc || !out->cidrs_by_hand)
		ret = ask_metadata(session, out, !out->cidrs_by_hand, error);
	if (ret == 0 && *out->vpc && !out->cidrs.n)
		ret = ask_ec2(session, out, error);
	return ret;
}
