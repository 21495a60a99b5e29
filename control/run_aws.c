/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The daemon and AWS: what the agent's thread finds out joins the allow list. Nothing here waits
 * for the network.
 */
#include "control/run_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/nacl_service.h"
#include "control/fleet/fleet.h"
#include "control/service/privilege.h"

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
static bool may_write(void *ctx, struct levee_nacl_licence *licence)
{
	struct levee_run *r = ctx;

	if (!r->fleet.fleet)
		return true;
	licence->until_ms = levee_fleet_call_until_ms(r->fleet.fleet, &licence->token);
	return licence->until_ms && levee_fleet_fence(r->fleet.fleet, licence->token) == 0;
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

	if (!r->aws.config->nacl.enabled)
		return;
	ret = levee_nacl_service_start(&r->aws.nacl, r->aws.config, r->board, may_write, r);
	if (ret)
		levee_error("network ACLs: the thread cannot be started: %s; they are not "
			    "written, and the instance is protected all the same",
			    strerror(-ret));
}

/* By r->aws.config. */
static void start_both(struct levee_run *r)
{
	const struct levee_aws_agent_options options = { .config = r->aws.config,
							 .board = r->board,
							 .inbox = r->aws.inbox,
							 .acl = count_acl,
							 .speaks = speaks,
							 .ctx = r };
	int ret;

	if (!r->aws.config->aws.enabled)
		return;
	start_nacl(r);
	ret = levee_aws_agent_start(&r->aws.agent, &options);
	if (ret)
		levee_error("aws: its thread cannot be started: %s; nothing is reported, and the "
			    "instance is protected all the same",
			    strerror(-ret));
}

/* The agent asks the other one for numbers: it ends first and begins last. */
static void stop_both(struct levee_run *r)
{
	levee_aws_agent_stop(&r->aws.agent);
	levee_nacl_service_stop(&r->aws.nacl);
}

static void free_config(struct levee_config **config)
{
	if (*config)
		levee_config_clear(*config);
	free(*config);
	*config = NULL;
}

/* They run by a copy: a reload changes what the controller's thread reads. \return NULL: no memory */
static struct levee_config *copy_config(const struct levee_run *r)
{
	struct levee_config *copy = calloc(1, sizeof(*copy));

	if (copy && levee_config_copy(copy, r->config))
		free_config(&copy);
	return copy;
}

int levee_run_start_aws(struct levee_run *r)
{
	r->aws.config = copy_config(r);
	if (!r->aws.config)
		return -ENOMEM;
	start_both(r);
	return 0;
}

/* ---- others by a new configuration ------------------------------------------------------- */

static void *change(void *ctx)
{
	struct levee_run *r = ctx;

	stop_both(r);
	free_config(&r->aws.config);
	r->aws.config = r->aws.next;
	r->aws.next = NULL;
	start_both(r);
	atomic_store(&r->aws.changed, true);
	return NULL;
}

static int start_change(void *ctx)
{
	struct levee_run *r = ctx;

	return -pthread_create(&r->aws.change, NULL, change, r);
}

static int begin_change(struct levee_run *r, struct levee_config *next)
{
	int ret;

	r->aws.next = next;
	atomic_store(&r->aws.changed, false);
	ret = levee_privilege_run(start_change, r);
	r->aws.changing = !ret;
	if (ret)
		free_config(&r->aws.next);
	return ret;
}

int levee_run_change_aws(struct levee_run *r)
{
	struct levee_config *next = copy_config(r);

	if (!next)
		return -ENOMEM;
	if (!r->aws.changing)
		return begin_change(r, next);
	free_config(&r->aws.queued);
	r->aws.queued = next;
	return 0;
}

static void end_change(struct levee_run *r)
{
	struct levee_config *queued = r->aws.queued;

	pthread_join(r->aws.change, NULL);
	r->aws.changing = false;
	r->aws.queued = NULL;
	if (queued && begin_change(r, queued))
		levee_error("aws: no thread to put the new configuration in force; the one before "
			    "stays for AWS, and another reload tries again");
}

void levee_run_change_lists(struct levee_run *r, bool s3_changed)
{
	levee_aws_load_copies(r->config, r->aws.inbox);
	levee_run_take_lists(r);
	if (!wants_s3(r)) {
		levee_allowlist_clear(&r->aws.from_s3);
		r->aws.awaited = false;
		levee_board_health(r->board, "allow-list-s3", true, NULL);
		r->aws.hold = false;
	} else if (s3_changed && !levee_allow_inbox_has(r->aws.inbox, LEVEE_ALLOW_SLOT_S3)) {
		r->aws.awaited = true;
		levee_board_health(r->board, "allow-list-s3", false,
				   "The allow list in S3 was not read yet; what was allowed before "
				   "it was configured is");
	}
}

/* Each turn: what has arrived. */
void levee_run_tend_aws(struct levee_run *r)
{
	if (r->aws.changing && atomic_load(&r->aws.changed))
		end_change(r);
	if (!levee_run_take_lists(r))
		return;
	levee_run_apply_allowlist(r);
	if (r->aws.awaited && levee_allow_inbox_has(r->aws.inbox, LEVEE_ALLOW_SLOT_S3)) {
		r->aws.awaited = false;
		levee_board_health(r->board, "allow-list-s3", false, NULL);
	}
	if (r->aws.hold && levee_allow_inbox_has(r->aws.inbox, LEVEE_ALLOW_SLOT_S3))
		end_hold(r);
}

void levee_run_stop_aws(struct levee_run *r)
{
	free_config(&r->aws.queued);
	if (r->aws.changing)
		end_change(r);
	stop_both(r);
	free_config(&r->aws.config);
}

void levee_run_close_aws(struct levee_run *r)
{
	levee_run_stop_aws(r);
	levee_allow_inbox_free(&r->aws.inbox);
	levee_allowlist_clear(&r->aws.from_vpc);
	levee_allowlist_clear(&r->aws.from_s3);
}
