/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon and AWS: what the agent's thread finds out joins the allow list. Nothing here waits
 * for the network.
 */
#include "control/run_internal.h"

#include <errno.h>
#include <string.h>

#include "control/aws/nacl_service.h"
#include "control/fleet/fleet.h"

static bool wants_s3(const struct levee_run *r)
{
	return r->config->allow.s3[0] != '\0';
}

void levee_run_apply_mode(struct levee_run *r)
{
	r->dp->ops->set_audit(r->dp, levee_run_audits(r));
	r->view.changed = true;
}

bool levee_run_audits(const struct levee_run *r)
{
	return r->aws.hold || r->config->block.mode == LEVEE_MODE_AUDIT;
}

/*
 * A list that was never read has no last good state, and dropping without it might hit those on
 * it: until it comes, everything runs and nothing is dropped.
 */
static int begin_hold(struct levee_run *r)
{
	if (!r->config->aws.enabled) {
		levee_error("no allow list was ever read from %s, so those on it might be blocked: "
			    "not started. Set [aws] enabled = yes, or take [allow] s3 out of the "
			    "configuration",
			    r->config->allow.s3);
		return -ENOENT;
	}
	r->aws.hold = true;
	levee_warning(
		"the allow list %s was never read and has no copy on disk: nothing is dropped "
		"until it is here, as with mode = audit",
		r->config->allow.s3);
	levee_board_health(
		r->board, "allow-list-s3", true,
		"The allow list in S3 was never read, so nothing is dropped until it is; "
		"see [allow] s3, and the log for why");
	return 0;
}

static void end_hold(struct levee_run *r)
{
	r->aws.hold = false;
	levee_run_apply_mode(r);
	levee_board_health(r->board, "allow-list-s3", true, NULL);
	levee_notice("the allow list %s is here; mode %s from now on", r->config->allow.s3,
		     levee_run_mode(r->config));
}

bool levee_run_take_lists(struct levee_run *r)
{
	bool taken;

	if (!r->aws.inbox)
		return false;
	taken = levee_allow_inbox_take(r->aws.inbox, LEVEE_ALLOW_SLOT_VPC, &r->aws.from_vpc);
	return levee_allow_inbox_take(r->aws.inbox, LEVEE_ALLOW_SLOT_S3, &r->aws.from_s3) || taken;
}

int levee_run_open_aws(struct levee_run *r)
{
	r->aws.inbox = levee_allow_inbox_new();
	if (!r->aws.inbox)
		return -ENOMEM;
	levee_aws_load_copies(r->config, r->aws.inbox);
	levee_run_take_lists(r);
	if (wants_s3(r) && !levee_allow_inbox_has(r->aws.inbox, LEVEE_ALLOW_SLOT_S3))
		return begin_hold(r);
	if (wants_s3(r) && !r->config->aws.enabled)
		levee_warning(
			"[aws] enabled is no: the allow list %s is the copy in %s and does not "
			"change any more",
			r->config->allow.s3, r->config->allow.s3_copy);
	return 0;
}

/* For the metrics of the agent. */
static bool count_acl(void *ctx, struct levee_aws_acl_counts *out)
{
	struct levee_run *r = ctx;
	struct levee_nacl_status status;

	if (!r->aws.nacl)
		return false;
	levee_nacl_service_status(r->aws.nacl, &status);
	*out = (struct levee_aws_acl_counts){ .blocked_networks = status.blocked_networks,
					      .unblocked_networks = status.unblocked_networks,
					      .blocked_ips = status.blocked_sources,
					      .unblocked_ips = status.unblocked_sources };
	return true;
}

/*
 * One writer in a fleet: who holds the lease, and the engine is asked before each write whether
 * that is still so. Where it cannot be asked nobody writes: the ACLs stay as they are, and drops on
 * the instances go on.
 */
static bool may_write(void *ctx)
{
	struct levee_run *r = ctx;
	uint64_t token;

	if (!r->fleet.fleet)
		return true;
	return levee_fleet_leads(r->fleet.fleet, &token) &&
	       levee_fleet_fence(r->fleet.fleet, token) == 0;
}

/* While the fleet decides, all flag the same sources, and one message is enough. */
static bool speaks(void *ctx)
{
	const struct levee_run *r = ctx;

	return !r->fleet.fleet || !levee_fleet_together(r->fleet.fleet) ||
	       levee_fleet_leads(r->fleet.fleet, NULL);
}

static void start_nacl(struct levee_run *r)
{
	int ret;

	if (!r->config->nacl.enabled)
		return;
	ret = levee_nacl_service_start(&r->aws.nacl, r->config, r->board, may_write, r);
	if (ret)
		levee_error("network ACLs: the thread cannot be started: %s; they are not "
			    "written, and the instance is protected all the same",
			    strerror(-ret));
}

int levee_run_start_aws(struct levee_run *r)
{
	const struct levee_aws_agent_options options = { .config = r->config,
							 .board = r->board,
							 .inbox = r->aws.inbox,
							 .acl = count_acl,
							 .speaks = speaks,
							 .ctx = r };
	int ret;

	if (!r->config->aws.enabled)
		return 0;
	start_nacl(r);
	ret = levee_aws_agent_start(&r->aws.agent, &options);
	if (ret)
		levee_error("aws: its thread cannot be started: %s; nothing is reported, and the "
			    "instance is protected all the same",
			    strerror(-ret));
	return 0;
}

/* Each turn: what has arrived. */
void levee_run_tend_aws(struct levee_run *r)
{
	if (!levee_run_take_lists(r))
		return;
	levee_run_apply_allowlist(r);
	if (r->aws.hold && levee_allow_inbox_has(r->aws.inbox, LEVEE_ALLOW_SLOT_S3))
		end_hold(r);
}

void levee_run_stop_aws(struct levee_run *r)
{
	levee_aws_agent_stop(&r->aws.agent);
	levee_nacl_service_stop(&r->aws.nacl);
}

void levee_run_close_aws(struct levee_run *r)
{
	levee_run_stop_aws(r);
	levee_allow_inbox_free(&r->aws.inbox);
	levee_allowlist_clear(&r->aws.from_vpc);
	levee_allowlist_clear(&r->aws.from_s3);
}
