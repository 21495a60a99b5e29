/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/nacl_config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* \return 0; -ENOENT if there is no such item; as levee_imds_get() */
static int get_item(struct levee_imds *imds, const char *path, char *out, size_t size,
		    struct levee_aws_error *error)
{
	struct levee_aws_text text;
	int ret;

	levee_aws_text_init(&text, 64 * 1024);
	ret = levee_imds_get(imds, path, &text, error);
	if (!ret)
		snprintf(out, size, "%.*s", (int)strcspn(levee_aws_text_string(&text), "/\r\n"),
			 levee_aws_text_string(&text));
	levee_aws_text_free(&text);
	return ret;
}

static int ask_for_subnet(struct levee_imds *imds, char subnet[static LEVEE_NACL_ID],
			  struct levee_aws_error *error)
{
	char mac[32], path[128], text[LEVEE_NACL_ID] = "";
	int ret = get_item(imds, "meta-data/mac", mac, sizeof(mac), error);

	if (!ret) {
		snprintf(path, sizeof(path), "meta-data/network/interfaces/macs/%s/subnet-id", mac);
		ret = get_item(imds, path, text, sizeof(text), error);
	}
	if (!ret && strncmp(text, "subnet-", 7) == 0) {
		levee_nacl_put_id(subnet, text);
		return 0;
	}
	if (ret == -ECANCELED)
		return ret;
	return levee_aws_error_set(error, -ENOENT, "NoSubnets",
				   "no subnet is named in [nacl] subnets, and instance metadata "
				   "does not say that of this instance: name the subnets to "
				   "protect");
}

int levee_nacl_config_subnets(const struct levee_config *config, struct levee_imds *imds,
			      char (**list)[LEVEE_NACL_ID], size_t *n,
			      struct levee_aws_error *error)
{
	const struct levee_words *words = config->nacl.subnets.n ? &config->nacl.subnets
								 : &config->aws.subnets;
	int ret = 0;

	*n = words->n;
	*list = calloc(words->n + 1, sizeof(**list));
	if (!*list)
		return levee_aws_error_memory(error);
	for (size_t i = 0; i < words->n; i++)
		levee_nacl_put_id((*list)[i], words->word[i]);
	if (!words->n) {
		ret = ask_for_subnet(imds, (*list)[0], error);
		*n = !ret;
	}
	if (ret) {
		free(*list);
		*list = NULL;
	}
	return ret;
}

void levee_nacl_config_params(const struct levee_config *config,
			      struct levee_nacl_push_params *params)
{
	bool audit = config->block.mode == LEVEE_MODE_AUDIT;

	levee_nacl_put_id(params->vpc, *config->nacl.vpc ? config->nacl.vpc : config->aws.vpc);
	levee_nacl_put_id(params->blue, config->nacl.blue);
	levee_nacl_put_id(params->green, config->nacl.green);
	params->manage = config->nacl.manage;
	params->merge = config->nacl.merge;
	params->settle_ms = config->nacl.settle * 1000;
	params->plan = (struct levee_nacl_params){
		.budget = (unsigned int)config->nacl.budget,
		.mask4 = (uint8_t)config->nacl.mask4,
		.mask6 = (uint8_t)config->nacl.mask6,
		.action = audit ? LEVEE_NACL_ALLOW : config->nacl.action,
		.range = config->nacl.range,
		.strategy = (enum levee_nacl_strategy)config->nacl.strategy,
		.max_collateral = config->nacl.max_collateral,
		.spoofable_last = config->nacl.push_spoofable == LEVEE_NACL_PUSH_LEFTOVER,
	};
}

const char *levee_nacl_config_journal(const struct levee_config *config,
				      char path[static LEVEE_NACL_PATH])
{
	if (!*config->state.file)
		return NULL;
	snprintf(path, LEVEE_NACL_PATH, "%s.nacl", config->state.file);
	return path;
}

bool levee_nacl_source_of(struct levee_nacl_source *source, const struct levee_block *block,
			  bool push_spoofable)
{
	bool manual = block->reason == LEVEE_BLOCK_MANUAL;

	/*
	 * A source that is only slowed down is not to be denied; a drill's stays here, and so does
	 * what was blocked for this instance alone.
	 */
	if (block->kind == LEVEE_KIND_LIMIT || block->marks & LEVEE_BLOCK_LOCAL ||
	    (block->marks & LEVEE_BLOCK_DRILL && !(block->marks & LEVEE_BLOCK_PUSH)))
		return false;
	/* A rule would lock out the owner of an address that somebody made up. */
	if (block->spoofable && !manual && !push_spoofable)
		return false;
	*source = (struct levee_nacl_source){ .prefix = block->prefix,
					      .max_zscore = manual ? INFINITY : block->max_zscore,
					      .max_packets = block->max_packets,
					      .flood_packets = block->bin_packets,
					      .spoofable = block->spoofable && !manual };
	return true;
}
