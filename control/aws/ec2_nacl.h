/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network ACLs at EC2: reading all of a VPC, and carrying out one step of control/policy/. It
 * decides nothing: what is to be done, and what an answer means for the next step, is said there.
 *
 * Permissions: ec2:DescribeNetworkAcls, DescribeSubnets, DescribeVpcs, CreateNetworkAclEntry,
 * ReplaceNetworkAclEntry, DeleteNetworkAclEntry, ReplaceNetworkAclAssociation, CreateTags; with
 * `manage` CreateNetworkAcl as well.
 */
#ifndef LEVEE_AWS_EC2_NACL_H
#define LEVEE_AWS_EC2_NACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/aws/client.h"
#include "control/policy/nacl_survey.h"

#define LEVEE_NACL_TAG	    "levee:rules" /* the mark: which rules of the ACL are Levee's */
#define LEVEE_NACL_SIDE_TAG "levee:side"  /* "blue" or "green": a pair that Levee made */
/* Fencing token of the fleet's leader that writes to the ACL, in decimal digits. */
#define LEVEE_NACL_TOKEN_TAG "levee:token"

/* What the tags of an ACL say beside the mark. */
struct levee_ec2_nacl_tags {
	char side[16];	 /* LEVEE_NACL_SIDE_TAG; "" if there is none */
	uint64_t token;	 /* LEVEE_NACL_TOKEN_TAG; 0 if there is none */
	bool bad_mark;	 /* LEVEE_NACL_TAG holds what Levee never writes */
	bool is_default; /* the VPC's default ACL */
};

/** All network ACLs of a VPC, as one read showed them. Zeroed is empty. */
struct levee_ec2_nacls {
	struct levee_nacl *list; /* n of them; entries are canonical */
	struct levee_ec2_nacl_tags *tags;
	size_t n;
};

/**
 * DescribeNetworkAcls, all pages.
 * \param out  replaced on success, unchanged after a failure; to be freed
 * \return 0; as levee_aws_call(), with error set; -EPROTO for rules that cannot be understood
 */
int levee_ec2_nacls_read(struct levee_aws_client *client, const char *vpc,
			 struct levee_ec2_nacls *out, struct levee_aws_error *error);

/** Accepts one that is all zero, and leaves it so. */
void levee_ec2_nacls_free(struct levee_ec2_nacls *acls);

/**
 * DescribeSubnets: the VPC that all of these are in.
 * \return 0; as levee_aws_call(); -EINVAL (SubnetsDiffer) if they are of several VPCs; -ENOENT
 *         (InvalidSubnetID.NotFound) if one is not there
 */
int levee_ec2_vpc_of_subnets(struct levee_aws_client *client, const char (*subnets)[LEVEE_NACL_ID],
			     size_t n, char vpc[static LEVEE_NACL_ID],
			     struct levee_aws_error *error);

/** DescribeVpcs: the VPC's CIDRs of both families. \param list  the caller frees it */
int levee_ec2_vpc_cidrs(struct levee_aws_client *client, const char *vpc,
			struct levee_prefix **list, size_t *n, struct levee_aws_error *error);

/*
 * until_ms of what writes: boot time after which it is not sent, and not waited for any more [ms];
 * 0: none.
 */

/**
 * CreateNetworkAcl with the tags Name (levee-SIDE) and levee:side.
 * \param token  a call with the same one, up to 64 characters, makes no second ACL
 */
int levee_ec2_nacl_create(struct levee_aws_client *client, const char *vpc, const char *side,
			  const char *token, int64_t until_ms, char id[static LEVEE_NACL_ID],
			  struct levee_aws_error *error);

/** CreateTags: who writes to these two from now on. \return 0; as levee_aws_call(), error set */
int levee_ec2_nacl_stamp(struct levee_aws_client *client, const char *blue, const char *green,
			 uint64_t token, int64_t until_ms, struct levee_aws_error *error);

/* What EC2 made of a step. The first three are outcomes that are to be remembered. */
enum levee_ec2_answer {
	LEVEE_EC2_DONE,	   /* carried out; or, on DELETE, not there either way */
	LEVEE_EC2_UNSURE,  /* no answer, or one that does not say */
	LEVEE_EC2_REFUSED, /* EC2 knew better than the read: enum levee_nacl_outcome */
	/* Certainly not carried out. */
	LEVEE_EC2_THROTTLED, /* too many calls: later */
	LEVEE_EC2_NOT_SENT,  /* no connection: later */
	LEVEE_EC2_FULL,	     /* NetworkAclEntryLimitExceeded */
	LEVEE_EC2_DENIED,    /* permission, id, parameter, credentials: the error says it */
};

/** Carry out one step that writes, in one attempt. \param error  set unless it is DONE */
enum levee_ec2_answer levee_ec2_nacl_do(struct levee_aws_client *client,
					const struct levee_nacl_step *step, int64_t until_ms,
					struct levee_aws_error *error);

/**
 * Ask by DryRun whether the step would be permitted; nothing is changed.
 * \return 0 if it would; as levee_aws_call() with error set if not, or if nobody can tell
 */
int levee_ec2_nacl_probe(struct levee_aws_client *client, const struct levee_nacl_step *step,
			 struct levee_aws_error *error);

/** "198.51.100.7/32": with its length, always, as EC2 has it. \return text */
const char *levee_nacl_cidr(const struct levee_prefix *prefix, char text[static LEVEE_PREFIX_TEXT]);

/** Name of the operation that carries out a step: "CreateNetworkAclEntry". */
const char *levee_ec2_operation(enum levee_nacl_step_type type);

#endif
