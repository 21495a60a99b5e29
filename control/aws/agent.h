/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the daemon does in AWS besides network ACLs, on a thread of its own: find out where it is,
 * read the allow list in S3, tell SNS, CloudWatch and its logs. The controller's thread never
 * waits for it; they meet at the board and at the allow list's inbox.
 */
#ifndef LEVEE_AWS_AGENT_H
#define LEVEE_AWS_AGENT_H

#include <stdbool.h>
#include <stddef.h>

#include "control/allowinbox.h"
#include "control/board.h"
#include "control/config.h"

/* What stands on the network ACLs of the flagged sources. */
struct levee_aws_acl_counts {
	size_t blocked_networks, unblocked_networks;
	size_t blocked_ips, unblocked_ips;
};

struct levee_aws_agent_options {
	const struct levee_config *config; /* must outlive the service, as the others */
	struct levee_board *board;
	struct levee_allow_inbox *inbox;
	/* false: network ACLs are not written. Any thread. May be NULL. */
	bool (*acl)(void *ctx, struct levee_aws_acl_counts *out);
	/* Does this instance speak for the fleet? Where all instances share their counts they flag
	 * the same sources, and one message is enough. Any thread, must not wait. NULL: it does. */
	bool (*speaks)(void *ctx);
	void *ctx;
};

struct levee_aws_agent;

#define LEVEE_AWS_COPY_BYTES 256

/**
 * Where the last good copy of the list in S3 is kept: [allow] s3_copy, else beside [state] file.
 * \return out; "" if nothing is kept
 */
const char *levee_aws_s3_copy(const struct levee_config *config,
			      char out[static LEVEE_AWS_COPY_BYTES]);

/**
 * Put the last good copies of lists into the inbox: the CIDRs of the VPC, the object in S3. Reads
 * files and nothing else, so that the first allow list in force has them already; also without
 * [aws] enabled.
 */
void levee_aws_load_copies(const struct levee_config *config, struct levee_allow_inbox *inbox);

/** Start the thread, and show its status on the board as "aws". \return 0; -errno */
int levee_aws_agent_start(struct levee_aws_agent **out,
			  const struct levee_aws_agent_options *options);

/** Look at once whether the list in S3 has changed. Any thread; NULL is fine. */
void levee_aws_agent_reread(struct levee_aws_agent *agent);

/** Calls on their way are called off; returns within a moment. NULL inside is fine. */
void levee_aws_agent_stop(struct levee_aws_agent **agent);

#endif
