/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/nacl_push.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/retry.h"
#include "control/log.h"

#define BACKOFF_MS     1000
#define BACKOFF_MAX_MS 60000
#define REREAD_MS      200 /* first wait for a read to show what was written; it doubles */
#define REREAD_MAX_MS  10000
#define FRESH_MS       30000 /* an older read is done again before anything is built on it */
#define FENCE_MS       500   /* how long the fence is believed: less than the slack of the lease */
#define CIDRS_MS       3600000	    /* how often the VPC's CIDRs are asked for */
#define LEARNED_MS     3600000	    /* how long a refused rule lowers the budget */
#define NEW_BLUE       "(new blue)" /* stand for ACLs that would be made */
#define NEW_GREEN      "(new green)"

static const char *const sides[2] = { "blue", "green" };

struct levee_nacl_push {
	struct levee_nacl_push_params p;
	char (*subnets)[LEVEE_NACL_ID];
	struct levee_nacl_setup setup;
	int64_t started_ms;
	int64_t quiet_ms; /* reads that began before it are not to be trusted; 0: all are */

	char vpc[LEVEE_NACL_ID];    /* "" until it is known */
	struct levee_prefix *cidrs; /* of the VPC */
	size_t n_cidrs;
	int64_t cidrs_ms;

	struct levee_ec2_nacls acls; /* the read */
	bool have_read;
	int64_t read_ms;    /* when it began */
	int64_t made_ms;    /* when one of the pair was made; 0: never */
	bool known_side[2]; /* its id is the configured one, or was found, or made */

	struct levee_prefix *allowed; /* of the input, and cidrs */
	size_t n_allowed;
	struct levee_nacl_world world;
	struct levee_nacl_survey survey;
	bool have_survey;
	struct levee_nacl_plan plan;
	bool have_plan;
	char in_force[LEVEE_NACL_ID];

	bool looking;	      /* nothing is going to be written */
	unsigned int learned; /* budget; 0: the configured one */
	int64_t learned_ms;
	unsigned int read_failures, write_failures, rereads; /* in a row */
	uint64_t stamped; /* fencing token that was put into the tags last */
	struct levee_nacl_push_counts counts;
};

/* ---- for people ---- */

static const char *protocol_name(int protocol, char text[static 16])
{
	switch (protocol) {
	case LEVEE_NACL_ALL:
		return "all";
	case 1:
		return "icmp";
	case 6:
		return "tcp";
	case 17:
		return "udp";
	case 58:
		return "icmpv6";
	default:
		snprintf(text, 16, "protocol %d", protocol);
		return text;
	}
}

const char *levee_nacl_entry_text(const struct levee_nacl_entry *entry,
				  char text[static LEVEE_PUSH_TEXT])
{
	char cidr[LEVEE_PREFIX_TEXT], name[16], ports[32] = "";

	if (entry->protocol == 6 || entry->protocol == 17)
		snprintf(ports, sizeof(ports), " ports %u-%u", entry->port_first, entry->port_last);
	else if (entry->protocol == 1 || entry->protocol == 58)
		snprintf(ports, sizeof(ports), " type %d code %d", entry->icmp_type,
			 entry->icmp_code);
	snprintf(text, LEVEE_PUSH_TEXT, "rule %u %s: %s %s%s%s%s", entry->number,
		 entry->egress ? "out" : "in", entry->action == LEVEE_NACL_ALLOW ? "allow" : "deny",
		 levee_nacl_cidr(&entry->cidr, cidr), entry->protocol == LEVEE_NACL_ALL ? "" : " ",
		 entry->protocol == LEVEE_NACL_ALL ? "" : protocol_name(entry->protocol, name),
		 ports);
	return text;
}

const char *levee_nacl_step_text(const struct levee_nacl_step *step,
				 char text[static LEVEE_PUSH_TEXT])
{
	char entry[LEVEE_PUSH_TEXT], mark[LEVEE_NACL_MARK_TEXT];

	switch (step->type) {
	case LEVEE_NACL_STEP_MARK:
		snprintf(text, LEVEE_PUSH_TEXT, "%s tag %s = %s", step->acl, LEVEE_NACL_TAG,
			 levee_nacl_mark_write(&step->mark, mark));
		break;
	case LEVEE_NACL_STEP_SWITCH:
		snprintf(text, LEVEE_PUSH_TEXT, "%s from %s to %s", step->subnet, step->other_acl,
			 step->acl);
		break;
	case LEVEE_NACL_STEP_CREATE:
	case LEVEE_NACL_STEP_REPLACE:
	case LEVEE_NACL_STEP_DELETE:
		levee_nacl_entry_text(&step->entry, entry);
		snprintf(text, LEVEE_PUSH_TEXT, "%s %.600s", step->acl, entry);
		break;
	default:
		snprintf(text, LEVEE_PUSH_TEXT, "%s", levee_nacl_why_text(step->why));
	}
	return text;
}

/* The subjects of a step that does not write, and why. */
static void say_why(struct levee_nacl_turn *turn)
{
	const struct levee_nacl_step *step = &turn->step;
	char entry[LEVEE_PUSH_TEXT];
	size_t n = 0;

	if (*step->subnet)
		n += (size_t)snprintf(turn->text + n, sizeof(turn->text) - n, "%s, ", step->subnet);
	if (*step->acl)
		n += (size_t)snprintf(turn->text + n, sizeof(turn->text) - n, "%s, ", step->acl);
	if (*step->other_acl)
		n += (size_t)snprintf(turn->text + n, sizeof(turn->text) - n, "%s, ",
				      step->other_acl);
	if (step->entry.number)
		n += (size_t)snprintf(turn->text + n, sizeof(turn->text) - n, "%.100s, ",
				      levee_nacl_entry_text(&step->entry, entry));
	if (n)
		n -= 2;
	snprintf(turn->text + n, sizeof(turn->text) - n, "%s%s", n ? ": " : "",
		 levee_nacl_why_text(step->why));
}

/* What an operator can do about a code of EC2. */
static const struct {
	const char *code;
	const char *remedy;
} remedies[] = {
	{ "UnauthorizedOperation",
	  "give the role this permission (README, network ACLs: permissions)" },
	{ "AccessDenied", "give the role this permission (README, network ACLs: permissions)" },
	{ "InvalidSubnetID.NotFound",
	  "check [nacl] subnets, and that the region is the right one" },
	{ "InvalidSubnetId.NotFound",
	  "check [nacl] subnets, and that the region is the right one" },
	{ "InvalidVpcID.NotFound", "check [nacl] vpc, and that the region is the right one" },
	{ "InvalidNetworkAclID.NotFound",
	  "check [nacl] blue and green, and that the region is the right one" },
	{ "InvalidNetworkAclId.NotFound",
	  "check [nacl] blue and green, and that the region is the right one" },
	{ "NetworkAclLimitExceeded",
	  "the VPC has as many network ACLs as AWS grants: delete one that is not used, or ask "
	  "AWS for more" },
	{ "ExpiredToken", "the credentials have expired: renew them, or give the instance a role" },
	{ "ExpiredTokenException",
	  "the credentials have expired: renew them, or give the instance a role" },
	{ "RequestExpired", "check the clock (NTP), and that the credentials have not expired" },
	{ "AuthFailure", "check the credentials: `levee aws whoami` says which are in use" },
	{ "InvalidClientTokenId",
	  "check the credentials: `levee aws whoami` says which are in use" },
	{ "SignatureDoesNotMatch",
	  "check the secret access key: `levee aws whoami` says which credentials are in use" },
	{ "RequestLimitExceeded", "EC2 throttles this account; it is tried again" },
	{ "Timeout",
	  "check the endpoint, routes and security groups; without internet access a VPC needs an "
	  "interface endpoint for EC2" },
};

void levee_nacl_error_text(const struct levee_aws_error *error, const char *what,
			   char text[static LEVEE_PUSH_TEXT])
{
	const char *remedy = NULL;

	for (size_t i = 0; i < sizeof(remedies) / sizeof(*remedies); i++)
		if (!strcmp(error->code, remedies[i].code))
			remedy = remedies[i].remedy;
	snprintf(text, LEVEE_PUSH_TEXT, "%s: %s: %.360s%s%s", what, error->code, error->message,
		 remedy ? "; " : "", remedy ? remedy : "");
	levee_log_clean(text);
}

/* ---- making ---- */

static int64_t now_ms(const struct levee_nacl_push *push)
{
	return push->p.now_ms ? push->p.now_ms(push->p.ctx) : levee_nacl_boot_ms();
}

int levee_nacl_push_new(struct levee_nacl_push **out, const struct levee_nacl_push_params *params)
{
	struct levee_nacl_push *push = calloc(1, sizeof(*push));

	*out = push;
	if (!push)
		return -ENOMEM;
	push->p = *params;
	push->subnets = calloc(params->n_subnets + 1, sizeof(*push->subnets));
	if (!push->subnets) {
		levee_nacl_push_free(out);
		return -ENOMEM;
	}
	for (size_t i = 0; i < params->n_subnets; i++)
		levee_nacl_put_id(push->subnets[i], params->subnets[i]);
	levee_nacl_put_id(push->vpc, params->vpc);
	push->setup = (struct levee_nacl_setup){ .subnets = (void *)push->subnets,
						 .n_subnets = params->n_subnets,
						 .range = params->plan.range,
						 .merge = params->merge };
	levee_nacl_put_id(push->setup.blue, params->blue);
	levee_nacl_put_id(push->setup.green, params->green);
	push->known_side[0] = push->setup.blue[0];
	push->known_side[1] = push->setup.green[0];
	push->started_ms = now_ms(push);
	return 0;
}

static void drop_results(struct levee_nacl_push *push)
{
	levee_nacl_survey_free(&push->survey);
	push->have_survey = false;
}

void levee_nacl_push_free(struct levee_nacl_push **out)
{
	struct levee_nacl_push *push = *out;

	*out = NULL;
	if (!push)
		return;
	drop_results(push);
	levee_nacl_plan_free(&push->plan);
	levee_ec2_nacls_free(&push->acls);
	free(push->cidrs);
	free(push->allowed);
	free(push->subnets);
	free(push);
}

void levee_nacl_push_distrust(struct levee_nacl_push *push)
{
	push->quiet_ms = now_ms(push) + (int64_t)push->p.settle_ms;
	push->have_read = false;
}

/* ---- verdicts ---- */

static void again(struct levee_nacl_turn *turn)
{
	turn->verdict = LEVEE_PUSH_AGAIN;
}

static void stopped(struct levee_nacl_turn *turn)
{
	turn->verdict = LEVEE_PUSH_STOPPED;
}

static void waits(struct levee_nacl_turn *turn, uint32_t ms)
{
	turn->verdict = LEVEE_PUSH_WAIT;
	turn->wait_ms = ms;
}

static void out_of_memory(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	snprintf(turn->text, sizeof(turn->text), "out of memory");
	push->have_read = false;
	waits(turn, BACKOFF_MS);
}

/* Between a half and the whole of a time that doubles with each failure in a row. */
static uint32_t back_off(const struct levee_nacl_push *push, unsigned int failures)
{
	const struct levee_aws_env *env = push->p.env;
	uint64_t most = BACKOFF_MS;

	for (unsigned int i = 1; i < failures && most < BACKOFF_MAX_MS; i++)
		most *= 2;
	if (most > BACKOFF_MAX_MS)
		most = BACKOFF_MAX_MS;
	return (uint32_t)(most / 2 + (env->random(env->ctx) >> 33) % (most / 2 + 1));
}

static bool is_transient(int ret, const struct levee_aws_error *error)
{
	switch (levee_aws_judge(ret == -EREMOTEIO ? 0 : ret, error)) {
	case LEVEE_AWS_THROTTLED:
	case LEVEE_AWS_TRANSIENT:
	case LEVEE_AWS_NO_ANSWER:
		return true;
	default:
		return ret == -EPROTO || ret == -ENOMEM || ret == -ECANCELED ||
		       error->status >= 500;
	}
}

static void count_failure(struct levee_nacl_push *push, const struct levee_aws_error *error)
{
	push->counts.failures++;
	push->counts.throttled += levee_aws_judge(0, error) == LEVEE_AWS_THROTTLED;
}

/* A call that reads, or makes an ACL, went wrong. */
static void fail_read(struct levee_nacl_push *push, int ret, const char *what,
		      struct levee_nacl_turn *turn)
{
	count_failure(push, &turn->error);
	push->have_read = false;
	push->read_failures++;
	levee_nacl_error_text(&turn->error, what, turn->text);
	if (is_transient(ret, &turn->error))
		waits(turn, back_off(push, push->read_failures));
	else
		stopped(turn);
}

/* ---- what is there ---- */

static bool find_vpc(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	int ret;

	if (push->vpc[0])
		return true;
	if (!push->setup.n_subnets) {
		snprintf(turn->text, sizeof(turn->text), "%s",
			 levee_nacl_why_text(LEVEE_NACL_NO_SUBNETS));
		stopped(turn);
		return false;
	}
	ret = levee_ec2_vpc_of_subnets(push->p.client, push->setup.subnets, push->setup.n_subnets,
				       push->vpc, &turn->error);
	if (!ret)
		return true;
	push->vpc[0] = '\0';
	fail_read(push, ret, "DescribeSubnets", turn);
	return false;
}

static bool find_cidrs(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	struct levee_prefix *list;
	char what[128];
	size_t n;
	int ret;

	if (push->cidrs && now_ms(push) - push->cidrs_ms < CIDRS_MS)
		return true;
	ret = levee_ec2_vpc_cidrs(push->p.client, push->vpc, &list, &n, &turn->error);
	if (ret) {
		snprintf(what, sizeof(what), "DescribeVpcs of %s", push->vpc);
		fail_read(push, ret, what, turn);
		return false;
	}
	free(push->cidrs);
	push->cidrs = list;
	push->n_cidrs = n;
	push->cidrs_ms = now_ms(push);
	return true;
}

static bool read_acls(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	int64_t began_ms = now_ms(push);
	char what[128];
	int ret;

	if (push->have_read && began_ms - push->read_ms < FRESH_MS)
		return true;
	drop_results(push); /* they point into the read */
	ret = levee_ec2_nacls_read(push->p.client, push->vpc, &push->acls, &turn->error);
	push->counts.reads++;
	if (ret) {
		snprintf(what, sizeof(what), "DescribeNetworkAcls of %s", push->vpc);
		fail_read(push, ret, what, turn);
		return false;
	}
	push->have_read = true;
	push->read_ms = began_ms;
	push->read_failures = 0;
	return true;
}

static const struct levee_nacl *find_acl(const struct levee_nacl_push *push, const char *id)
{
	for (size_t i = 0; i < push->acls.n; i++)
		if (!strcmp(push->acls.list[i].id, id))
			return &push->acls.list[i];
	return NULL;
}

static char *side_id(struct levee_nacl_push *push, int side)
{
	return side ? push->setup.green : push->setup.blue;
}

/* The ACL with the tag of a side. \return 0; -ENOENT; -EEXIST, said, if there are several */
static int find_side(struct levee_nacl_push *push, int side, struct levee_nacl_turn *turn)
{
	const char *found = NULL;

	for (size_t i = 0; i < push->acls.n; i++) {
		if (strcmp(push->acls.tags[i].side, sides[side]) != 0)
			continue;
		if (found) {
			snprintf(turn->text, sizeof(turn->text),
				 "%s and %s both have the tag %s = %s: take the tag off one of "
				 "them",
				 found, push->acls.list[i].id, LEVEE_NACL_SIDE_TAG, sides[side]);
			stopped(turn);
			return -EEXIST;
		}
		found = push->acls.list[i].id;
	}
	if (!found)
		return -ENOENT;
	levee_nacl_put_id(side_id(push, side), found);
	push->known_side[side] = true;
	return 0;
}

static void fenced(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	push->counts.fenced++;
	push->have_read = false;
	stopped(turn);
}

static bool may_write(struct levee_nacl_push *push, struct levee_nacl_licence *licence,
		      struct levee_nacl_turn *turn)
{
	*licence = (struct levee_nacl_licence){ 0 };
	if (!push->p.may_write || push->p.may_write(push->p.ctx, licence))
		return true;
	snprintf(turn->text, sizeof(turn->text), "another node writes to the network ACLs");
	fenced(push, turn);
	return false;
}

/*
 * The token is the same for a day: a process that died between the call and its answer, or whose
 * reads do not show the ACL yet, gets the same one again.
 */
static void make_side(struct levee_nacl_push *push, int side, struct levee_nacl_turn *turn)
{
	const struct levee_aws_env *env = push->p.env;
	char token[64], what[128];
	struct levee_nacl_licence licence;
	int ret;

	if (!may_write(push, &licence, turn))
		return;
	snprintf(token, sizeof(token), "levee-%s-%.24s-%" PRId64, sides[side], push->vpc + 4,
		 env->now_ms(env->ctx) / 86400000);
	ret = levee_ec2_nacl_create(push->p.client, push->vpc, sides[side], token, licence.until_ms,
				    side_id(push, side), &turn->error);
	push->have_read = false;
	if (ret) {
		snprintf(what, sizeof(what), "CreateNetworkAcl in %s", push->vpc);
		fail_read(push, ret, what, turn);
		return;
	}
	push->known_side[side] = true;
	push->made_ms = now_ms(push);
	push->counts.writes++;
	turn->wrote = true;
	snprintf(turn->text, sizeof(turn->text), "%s was made: levee-%s in %s", side_id(push, side),
		 sides[side], push->vpc);
	again(turn);
}

static bool is_new(const struct levee_nacl_push *push)
{
	return push->made_ms && now_ms(push) - push->made_ms < (int64_t)push->p.settle_ms;
}

/* One of a pair with tags that somebody has deleted is looked for, and made, again. */
static void forget_lost_side(struct levee_nacl_push *push, int side)
{
	if (!push->p.blue[0] && !is_new(push) && !find_acl(push, side_id(push, side)))
		push->known_side[side] = false;
}

/* \return whether both ids are known; if not, the turn is over */
static bool find_pair(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	for (int side = 0; side < 2; side++) {
		int ret;

		forget_lost_side(push, side);
		ret = push->known_side[side] ? 0 : find_side(push, side, turn);

		if (ret == -ENOENT)
			make_side(push, side, turn);
		if (ret)
			return false;
	}
	return true;
}

/* What a look has to know of the pair, made or not. */
static int look_for_pair(struct levee_nacl_push *push, bool *missing, struct levee_nacl_turn *turn)
{
	*missing = false;
	for (int side = 0; side < 2; side++) {
		int ret = push->known_side[side] ? 0 : find_side(push, side, turn);

		if (ret == -EEXIST)
			return ret;
		*missing |= ret == -ENOENT;
	}
	return 0;
}

static bool check_marks(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	for (size_t i = 0; i < push->acls.n; i++) {
		const char *id = push->acls.list[i].id;

		if (!push->acls.tags[i].bad_mark ||
		    (strcmp(id, push->setup.blue) != 0 && strcmp(id, push->setup.green) != 0))
			continue;
		snprintf(
			turn->text, sizeof(turn->text),
			"%s: the tag %s was changed to what Levee never writes, so its rules "
			"cannot be told from yours: delete Levee's rules and then the tag, or name "
			"another network ACL",
			id, LEVEE_NACL_TAG);
		push->have_read = false;
		stopped(turn);
		return false;
	}
	return true;
}

/* An ACL that was just made may be missing from a read for a while. */
static bool is_new_unseen(struct levee_nacl_push *push)
{
	return is_new(push) &&
	       (!find_acl(push, push->setup.blue) || !find_acl(push, push->setup.green));
}

/* ---- what is wanted ---- */

static bool is_marked(const struct levee_nacl_push *push, const char *id)
{
	const struct levee_nacl *acl = find_acl(push, id);

	return acl && acl->marked;
}

/*
 * Nothing that is not in the journal can have been written a moment ago: it is whole, or Levee
 * never wrote to these ACLs, or enough time has passed.
 */
static bool is_quiet(struct levee_nacl_push *push)
{
	if (push->looking)
		return true;
	if (push->read_ms < push->quiet_ms)
		return false;
	if (levee_nacl_journal_is_whole(push->p.journal))
		return true;
	if (push->read_ms < push->started_ms + (int64_t)push->p.settle_ms &&
	    (is_marked(push, push->setup.blue) || is_marked(push, push->setup.green)))
		return false;
	levee_nacl_journal_vouch(push->p.journal);
	return true;
}

static int join_allowed(struct levee_nacl_push *push, const struct levee_nacl_push_input *input)
{
	struct levee_prefix *list = calloc(input->n_allowed + push->n_cidrs + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	if (input->n_allowed)
		memcpy(list, input->allowed, input->n_allowed * sizeof(*list));
	if (push->n_cidrs)
		memcpy(list + input->n_allowed, push->cidrs, push->n_cidrs * sizeof(*list));
	free(push->allowed);
	push->allowed = list;
	push->n_allowed = input->n_allowed + push->n_cidrs;
	return 0;
}

static unsigned int budget_now(struct levee_nacl_push *push)
{
	if (push->learned && now_ms(push) - push->learned_ms >= LEARNED_MS)
		push->learned = 0;
	return push->learned ? push->learned : push->p.plan.budget;
}

static int make_plan(struct levee_nacl_push *push, const struct levee_nacl_push_input *input)
{
	struct levee_nacl_params params = push->p.plan;
	struct levee_nacl_plan_input in = { .sources = input->sources,
					    .n_sources = input->n_sources,
					    .operators = push->survey.operators,
					    .n_operators = push->survey.n_operators,
					    .in_place = push->survey.in_place,
					    .n_in_place = push->survey.n_in_place,
					    .good = input->good,
					    .n_good = input->n_good,
					    .good_known = input->good_known };
	int ret = join_allowed(push, input);

	if (ret)
		return ret;
	params.budget = budget_now(push);
	in.allowed = push->allowed;
	in.n_allowed = push->n_allowed;
	levee_nacl_plan_free(&push->plan);
	ret = levee_nacl_plan_make(&push->plan, &params, &in);
	push->have_plan = !ret;
	return ret;
}

static void see_in_force(struct levee_nacl_push *push)
{
	const struct levee_nacl *first = push->survey.places ? push->survey.places[0].acl : NULL;

	push->in_force[0] = '\0';
	for (size_t i = 0; i < push->setup.n_subnets; i++)
		if (!first || push->survey.places[i].acl != first)
			return;
	if (first)
		levee_nacl_put_id(push->in_force, first->id);
}

/* Survey and plan, after a read and after each write. \return 0; -ENOMEM; -EINVAL */
static int consider(struct levee_nacl_push *push, const struct levee_nacl_push_input *input)
{
	int ret;

	drop_results(push);
	push->world = (struct levee_nacl_world){ .acls = push->acls.list, .n_acls = push->acls.n };
	push->world.quiet = is_quiet(push);
	levee_nacl_journal_recent(push->p.journal, push->read_ms, &push->world.recent,
				  &push->world.n_recent);
	ret = levee_nacl_survey_make(&push->survey, &push->setup, &push->world);
	push->have_survey = !ret;
	if (ret || push->survey.step.type != LEVEE_NACL_STEP_CONVERGED)
		return ret;
	see_in_force(push);
	return make_plan(push, input);
}

/* ---- doing ---- */

static size_t count_family(const struct levee_nacl_side *side, uint8_t family)
{
	size_t n = 0;

	for (size_t i = 0; i < side->n_slots; i++)
		n += side->slots[i].believed_there && !side->slots[i].egress &&
		     side->slots[i].believed.cidr.family == family;
	return n;
}

/* EC2 grants fewer rules than was thought: so many as are there. */
static void learn_budget(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	const struct levee_nacl_step *step = &turn->step;
	unsigned int budget = budget_now(push), there = 1; /* the default deny */

	for (int i = 0; i < 2; i++)
		if (push->survey.sides[i].acl && !strcmp(push->survey.sides[i].acl->id, step->acl))
			there += (unsigned int)count_family(&push->survey.sides[i],
							    step->entry.cidr.family);
	if (!levee_nacl_mark_claims(&push->survey.mark, &step->entry) || budget < 2) {
		snprintf(turn->text, sizeof(turn->text),
			 "%s: AWS grants it fewer rules than you have of your own (%u %s there): "
			 "ask for a higher quota of rules per network ACL, or remove rules",
			 step->acl, there, there == 1 ? "is" : "are");
		stopped(turn);
		return;
	}
	push->learned = there < budget ? there : budget - 1;
	push->learned_ms = now_ms(push);
	snprintf(turn->text, sizeof(turn->text),
		 "%s: AWS grants it %u rules per family, not [nacl] budget = %u: the highest "
		 "Z-scores get them. Set the budget to it, or ask AWS for a higher quota",
		 step->acl, push->learned, push->p.plan.budget);
	again(turn);
}

/* A write that may be repeated later, with a look at EC2 before it. */
static void write_later(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	push->have_read = false;
	push->write_failures++;
	waits(turn, back_off(push, push->write_failures));
}

static void take_success(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	push->counts.writes++;
	push->counts.switches += turn->step.type == LEVEE_NACL_STEP_SWITCH;
	push->write_failures = 0;
	push->rereads = 0;
	turn->wrote = true;
	again(turn);
}

static void take_answer(struct levee_nacl_push *push, enum levee_ec2_answer answer,
			struct levee_nacl_turn *turn)
{
	if (answer == LEVEE_EC2_DONE) {
		levee_aws_error_clear(&turn->error);
		take_success(push, turn);
		return;
	}
	count_failure(push, &turn->error);
	levee_nacl_error_text(&turn->error, levee_ec2_operation(turn->step.type), turn->text);
	switch (answer) {
	case LEVEE_EC2_REFUSED:
		push->have_read = false;
		push->rereads++;
		waits(turn, REREAD_MS);
		break;
	case LEVEE_EC2_FULL:
		learn_budget(push, turn);
		break;
	case LEVEE_EC2_DENIED:
		push->have_read = false;
		if (is_new(push))
			write_later(push, turn); /* not every part of EC2 knows a new ACL at once */
		else
			stopped(turn);
		break;
	default:
		write_later(push, turn);
	}
}

/* The token that the ACL's tag showed in the last read. */
static uint64_t token_of(const struct levee_nacl_push *push, const char *id)
{
	for (size_t i = 0; i < push->acls.n; i++)
		if (!strcmp(push->acls.list[i].id, id))
			return push->acls.tags[i].token;
	return 0;
}

/*
 * The engine says that we lead; do the ACLs say so, too? A lease that was lost with the engine, and
 * a node that was paused for long, are found out here.
 * \return whether to go on; if not, the turn is over
 */
static bool check_token(struct levee_nacl_push *push, const struct levee_nacl_licence *licence,
			struct levee_nacl_turn *turn)
{
	uint64_t token = licence->token;
	uint64_t blue = token_of(push, push->setup.blue), green = token_of(push, push->setup.green);
	char what[2 * LEVEE_NACL_ID + 32];

	if (!token || (push->stamped == token && blue <= token && green <= token))
		return true;
	memset(&turn->step, 0, sizeof(turn->step));
	turn->step.type = LEVEE_NACL_STEP_STOP;
	if (blue > token || green > token) {
		snprintf(turn->text, sizeof(turn->text),
			 "%s, %s: the tag %s has %" PRIu64 ", a later leader than this one "
			 "(%" PRIu64 "): it writes to them, and this node does not",
			 push->setup.blue, push->setup.green, LEVEE_NACL_TOKEN_TAG,
			 blue > green ? blue : green, token);
		fenced(push, turn);
		return false;
	}
	push->have_read = false;
	if (levee_ec2_nacl_stamp(push->p.client, push->setup.blue, push->setup.green, token,
				 licence->until_ms, &turn->error)) {
		count_failure(push, &turn->error);
		snprintf(what, sizeof(what), "CreateTags of %s, %s", push->setup.blue,
			 push->setup.green);
		levee_nacl_error_text(&turn->error, what, turn->text);
		push->write_failures++;
		waits(turn, back_off(push, push->write_failures));
		return false;
	}
	push->stamped = token;
	push->counts.writes++;
	push->write_failures = 0;
	turn->wrote = true;
	again(turn);
	return false;
}

static void carry_out(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	enum levee_nacl_outcome outcome = LEVEE_NACL_DONE;
	enum levee_ec2_answer answer;
	int64_t asked_ms = now_ms(push);
	struct levee_nacl_licence licence;

	if (!may_write(push, &licence, turn) || !check_token(push, &licence, turn))
		return;
	if (levee_nacl_journal_begin(push->p.journal, &turn->step)) {
		out_of_memory(push, turn);
		return;
	}
	/* The answer was true when it was asked for: a process that was paused since asks again. */
	if (licence.token && now_ms(push) - asked_ms > FENCE_MS) {
		levee_nacl_journal_end(push->p.journal, outcome, true);
		memset(&turn->step, 0, sizeof(turn->step));
		push->have_read = false;
		again(turn);
		return;
	}
	answer = levee_ec2_nacl_do(push->p.client, &turn->step, licence.until_ms, &turn->error);
	if (answer == LEVEE_EC2_UNSURE)
		outcome = LEVEE_NACL_UNSURE;
	else if (answer == LEVEE_EC2_REFUSED)
		outcome = LEVEE_NACL_REFUSED;
	levee_nacl_journal_end(push->p.journal, outcome, answer > LEVEE_EC2_REFUSED);
	take_answer(push, answer, turn);
}

/* Until a read shows it: soon at first, then less and less often. */
static uint32_t reread_ms(struct levee_nacl_push *push)
{
	uint64_t ms = REREAD_MS;

	for (unsigned int i = 0; i < push->rereads && ms < REREAD_MAX_MS; i++)
		ms *= 2;
	push->rereads++;
	if (push->rereads == 1)
		return 0; /* most reads show everything at once */
	return (uint32_t)(ms < REREAD_MAX_MS ? ms : REREAD_MAX_MS);
}

static void act(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	if (turn->step.writes) {
		carry_out(push, turn);
		return;
	}
	switch (turn->step.type) {
	case LEVEE_NACL_STEP_CONVERGED:
		turn->verdict = LEVEE_PUSH_CONVERGED;
		push->have_read = false;
		push->rereads = 0;
		break;
	case LEVEE_NACL_STEP_REREAD:
		say_why(turn);
		push->have_read = false;
		waits(turn, reread_ms(push));
		break;
	default:
		say_why(turn);
		push->have_read = false;
		stopped(turn);
	}
}

static bool prepare(struct levee_nacl_push *push, struct levee_nacl_turn *turn)
{
	memset(turn, 0, sizeof(*turn));
	turn->step.type = LEVEE_NACL_STEP_STOP;
	return find_vpc(push, turn) && find_cidrs(push, turn) && read_acls(push, turn);
}

void levee_nacl_push_turn(struct levee_nacl_push *push, const struct levee_nacl_push_input *input,
			  struct levee_nacl_turn *turn)
{
	if (!prepare(push, turn) || !find_pair(push, turn) || !check_marks(push, turn))
		return;
	if (is_new_unseen(push)) {
		snprintf(turn->text, sizeof(turn->text),
			 "%s, %s: not every part of EC2 knows the new network ACLs yet",
			 push->setup.blue, push->setup.green);
		push->have_read = false;
		waits(turn, reread_ms(push));
		return;
	}
	if (consider(push, input)) {
		out_of_memory(push, turn);
		return;
	}
	levee_nacl_next(&push->survey, push->plan.rules, push->plan.n_rules, &turn->step);
	act(push, turn);
}

/* ---- looking ---- */

/* Two empty ACLs behind those that were read, in the place of a pair that is not there. */
static int pretend_pair(struct levee_nacl_push *push)
{
	struct levee_ec2_nacls *acls = &push->acls;
	struct levee_nacl *list = reallocarray(acls->list, acls->n + 2, sizeof(*list));
	struct levee_ec2_nacl_tags *tags;

	if (list)
		acls->list = list;
	tags = reallocarray(acls->tags, acls->n + 2, sizeof(*tags));
	if (tags)
		acls->tags = tags;
	if (!list || !tags)
		return -ENOMEM;
	for (int side = 0; side < 2; side++) {
		if (push->known_side[side])
			continue;
		memset(&list[acls->n], 0, sizeof(*list));
		memset(&tags[acls->n], 0, sizeof(*tags));
		levee_nacl_put_id(list[acls->n].id, side ? NEW_GREEN : NEW_BLUE);
		levee_nacl_put_id(list[acls->n++].vpc, push->vpc);
		levee_nacl_put_id(side_id(push, side), side ? NEW_GREEN : NEW_BLUE);
	}
	return 0;
}

static int look_at(struct levee_nacl_push *push, const struct levee_nacl_push_input *input,
		   struct levee_nacl_look *look)
{
	int ret = look->pair_missing ? pretend_pair(push) : 0;

	if (!ret)
		ret = consider(push, input);
	if (!ret && push->survey.step.type == LEVEE_NACL_STEP_CONVERGED)
		ret = levee_nacl_rehearse(&push->setup, &push->world, push->plan.rules,
					  push->plan.n_rules, &look->steps, &look->n_steps);
	return ret;
}

int levee_nacl_push_look(struct levee_nacl_push *push, const struct levee_nacl_push_input *input,
			 struct levee_nacl_look *look, struct levee_nacl_turn *turn)
{
	int ret;

	memset(look, 0, sizeof(*look));
	push->looking = true;
	push->have_read = false;
	if (!prepare(push, turn) || look_for_pair(push, &look->pair_missing, turn) ||
	    !check_marks(push, turn))
		return -EREMOTEIO;
	ret = look_at(push, input, look);
	if (ret) {
		out_of_memory(push, turn);
		return ret;
	}
	turn->step = push->survey.step;
	if (turn->step.type != LEVEE_NACL_STEP_CONVERGED)
		say_why(turn);
	look->acls = &push->acls;
	look->setup = &push->setup;
	look->survey = &push->survey;
	look->plan = &push->plan;
	look->vpc = push->vpc;
	return 0;
}

/* ---- what is known ---- */

const struct levee_nacl_plan *levee_nacl_push_plan(const struct levee_nacl_push *push)
{
	return push->have_plan ? &push->plan : NULL;
}

const char *levee_nacl_push_in_force(const struct levee_nacl_push *push)
{
	return push->in_force;
}

const char *levee_nacl_push_vpc(const struct levee_nacl_push *push)
{
	return push->vpc;
}

const char *levee_nacl_push_side(const struct levee_nacl_push *push, int side)
{
	return side ? push->setup.green : push->setup.blue;
}

const struct levee_nacl_push_counts *levee_nacl_push_counts(const struct levee_nacl_push *push)
{
	return &push->counts;
}

unsigned int levee_nacl_push_learned_budget(const struct levee_nacl_push *push)
{
	return push->learned;
}
