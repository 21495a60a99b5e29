/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where this instance is: what the configuration says, else instance metadata, else EC2.
 */
#ifndef LEVEE_AWS_DISCOVERY_H
#define LEVEE_AWS_DISCOVERY_H

#include "control/allowlist.h"
#include "control/aws/session.h"
#include "control/config.h"

/* "" for what nobody knows: a machine outside of EC2 has no instance id, and need not have one. */
struct levee_aws_place {
	char region[64];
	char instance_id[32];
	char vpc[32];
	char subnet[40]; /* of the instance */
	char zone[64];
	struct levee_allowlist cidrs; /* of the VPC; empty if no VPC is known */
	bool cidrs_by_hand;
	bool in_ec2; /* instance metadata answered */
};

/**
 * Ask. Only what the configuration leaves open is asked for, so with everything given nobody is.
 * \return 0; -errno with error set if the VPC is known and its CIDRs are not to be had, or if no
 *         region is known. *out can be cleared in every case
 */
int levee_aws_discover(struct levee_aws_session *session, const struct levee_config *config,
		       struct levee_aws_place *out, struct levee_aws_error *error);
void levee_aws_place_clear(struct levee_aws_place *place);

#endif
