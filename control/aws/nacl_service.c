/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/nacl_service.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/nacl_config.h"
#include "control/aws/session.h"
#include "control/json.h"
#include "control/log.h"

#define STOPPED_MS 60000 /* until what an operator has to mend is looked at again */
#define IDLE_MS	   60000 /* longest wait for a snapshot in one go */
#define GATE_MS	   1000	 /* how often a process that may not write asks again */

struct levee_nacl_service {
	const struct levee_config *config;
	struct levee_board *board;
	struct levee_aws_cancel cancel;
	struct levee_aws_env env;
	struct levee_board_service shown;
	bool (*may_write)(void *ctx, struct levee_nacl_licence *licence);
	void *may_write_ctx;
	pthread_t thread;
	bool started, registered;

	/* of the thread alone */
	struct levee_aws_session *session;
	char (*subnets)[LEVEE_NACL_ID];
	size_t n_subnets;
	struct levee_nacl_journal *journal;
	struct levee_nacl_push *push;
	const struct levee_snapshot *snapshot;
	struct levee_nacl_source *sources;
	struct levee_prefix *allowed;
	struct levee_nacl_push_input input;
	uint64_t input_hash, pushed_hash; /* what is wanted now, and what was read back last */
	bool converged;
	int64_t end_ms; /* boot time when the last push ended */
	bool wrote;	/* in this push */
	bool was_shut;
	int journal_error;  /* said already */
	char said_code[96]; /* of the error that was logged last */
	char said[LEVEE_PUSH_TEXT];

	pthread_mutex_t lock; /* of what follows */
	struct levee_nacl_status status;
	struct levee_nacl_target *in_force; /* those with a rule, as read back last */
	size_t n_in_force;
};

static const char *const state_names[] = {
	[LEVEE_NACL_STARTING] = "starting", [LEVEE_NACL_PUSHING] = "pushing",
	[LEVEE_NACL_IN_FORCE] = "in force", [LEVEE_NACL_WAITING] = "waiting",
	[LEVEE_NACL_STOPPED] = "stopped",
};

const char *levee_nacl_state_name(enum levee_nacl_state state)
{
	return state_names[state];
}

/* ---- status ------------------------------------------------------------------------------ */

void levee_nacl_service_status(struct levee_nacl_service *service, struct levee_nacl_status *out)
{
	pthread_mutex_lock(&service->lock);
	*out = service->status;
	pthread_mutex_unlock(&service->lock);
}

static void show_time(struct levee_json *j, const char *name, int64_t unix_ms)
{
	if (unix_ms)
		levee_json_int(j, name, unix_ms / 1000);
}

/* For the API. */
static void show_status(void *ctx, struct levee_json *j)
{
	struct levee_nacl_status s;

	levee_nacl_service_status(ctx, &s);
	levee_json_string(j, "state", levee_nacl_state_name(s.state));
	levee_json_string(j, "text", s.text);
	levee_json_string(j, "vpc", s.vpc);
	levee_json_string(j, "blue", s.blue);
	levee_json_string(j, "green", s.green);
	levee_json_string(j, "in_force", s.in_force);
	levee_json_string(j, "action", s.audit ? "allow" : "deny");
	levee_json_uint(j, "subnets", s.n_subnets);
	levee_json_uint(j, "budget", s.budget);
	if (s.granted)
		levee_json_uint(j, "budget_granted", s.granted);
	levee_json_uint(j, "rules", s.rules);
	levee_json_uint(j, "spoofable_rules", s.spoofable_rules);
	levee_json_uint(j, "blocked_networks", s.blocked_networks);
	levee_json_uint(j, "unblocked_networks", s.unblocked_networks);
	levee_json_uint(j, "blocked_sources", s.blocked_sources);
	levee_json_uint(j, "unblocked_sources", s.unblocked_sources);
	levee_json_uint(j, "spoofable_sources", s.spoofable);
	levee_json_uint(j, "flood_packets", s.flood_packets);
	levee_json_uint(j, "blocked_packets", s.blocked_packets);
	levee_json_uint(j, "good_packets", s.good_packets);
	show_time(j, "in_force_at", s.in_force_unix_ms);
	show_time(j, "wrote_at", s.wrote_unix_ms);
	show_time(j, "failed_at", s.failed_unix_ms);
	levee_json_uint(j, "pushes", s.pushes);
	levee_json_uint(j, "reads", s.counts.reads);
	levee_json_uint(j, "writes", s.counts.writes);
	levee_json_uint(j, "switches", s.counts.switches);
	levee_json_uint(j, "failures", s.counts.failures);
	levee_json_uint(j, "throttled", s.counts.throttled);
	levee_json_uint(j, "fenced", s.counts.fenced);
}

static void metric(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	fprintf(out,
		"# HELP levee_nacl_%s %s\n# TYPE levee_nacl_%s %s\nlevee_nacl_%s %" PRIu64 "\n",
		name, help, name, type, name, value);
}

static void show_metrics(void *ctx, FILE *out)
{
	struct levee_nacl_status s;

	levee_nacl_service_status(ctx, &s);
	metric(out, "in_force", "gauge", "1 if what is wanted was read back from EC2.",
	       s.state == LEVEE_NACL_IN_FORCE);
	metric(out, "stopped", "gauge", "1 if an operator has to mend something.",
	       s.state == LEVEE_NACL_STOPPED);
	metric(out, "in_force_timestamp_seconds", "gauge", "When it was read back last.",
	       (uint64_t)(s.in_force_unix_ms / 1000));
	metric(out, "rules", "gauge", "Rules that are wanted.", s.rules);
	metric(out, "spoofable_rules", "gauge",
	       "Of these, rules about sources whose addresses may be made up.", s.spoofable_rules);
	metric(out, "unblocked_sources", "gauge",
	       "Blocked sources without a rule, dropped on the instances alone.",
	       s.unblocked_sources);
	metric(out, "spoofable_sources", "gauge",
	       "Blocked sources that are not pushed, for their addresses may be made up.",
	       s.spoofable);
	metric(out, "flood_packets", "gauge", "Packets a bin of all sources to be denied.",
	       s.flood_packets);
	metric(out, "blocked_packets", "gauge", "Of these, packets that rules deny.",
	       s.blocked_packets);
	metric(out, "good_packets", "gauge", "Packets a bin of good sources that rules touch.",
	       s.good_packets);
	metric(out, "pushes_total", "counter", "Pushes that wrote something and were read back.",
	       s.pushes);
	metric(out, "reads_total", "counter", "DescribeNetworkAcls.", s.counts.reads);
	metric(out, "writes_total", "counter", "Calls that changed a network ACL.",
	       s.counts.writes);
	metric(out, "switches_total", "counter", "Subnets that were put on another network ACL.",
	       s.counts.switches);
	metric(out, "failures_total", "counter", "Calls that failed.", s.counts.failures);
	metric(out, "throttled_total", "counter", "Calls that EC2 throttled.", s.counts.throttled);
	metric(out, "fenced_total", "counter",
	       "Writes that were not made, because another node leads the fleet.", s.counts.fenced);
}

static void set_state(struct levee_nacl_service *service, enum levee_nacl_state state,
		      const char *text)
{
	pthread_mutex_lock(&service->lock);
	service->status.state = state;
	snprintf(service->status.text, sizeof(service->status.text), "%s", text);
	pthread_mutex_unlock(&service->lock);
}

static void count_plan(struct levee_nacl_status *status, const struct levee_nacl_plan *plan)
{
	status->rules = plan->n_rules;
	status->spoofable_rules = plan->spoofable_rules;
	status->blocked_networks = status->unblocked_networks = 0;
	for (size_t i = 0; i < plan->n_targets; i++) {
		status->blocked_networks += plan->targets[i].number != 0;
		status->unblocked_networks += plan->targets[i].number == 0;
	}
	status->flood_packets = plan->flood_packets;
	status->blocked_packets = plan->blocked_packets;
	status->good_packets = plan->good_packets;
	status->unblocked_sources = plan->unblocked_sources;
	status->blocked_sources = plan->n_sources - plan->unblocked_sources;
}

/* Which rules are there, for whoever asks where a source is blocked. Without memory: none. */
static void keep_rules(struct levee_nacl_service *service, const struct levee_nacl_plan *plan)
{
	free(service->in_force);
	service->in_force = calloc(plan->n_targets + 1, sizeof(*service->in_force));
	service->n_in_force = 0;
	for (size_t i = 0; service->in_force && i < plan->n_targets; i++)
		if (plan->targets[i].number)
			service->in_force[service->n_in_force++] = plan->targets[i];
}

/* For the API: the rule that holds a source. */
static void explain(void *ctx, const struct levee_prefix *source, struct levee_json *j)
{
	struct levee_nacl_service *service = ctx;
	char text[LEVEE_PREFIX_TEXT];

	pthread_mutex_lock(&service->lock);
	for (size_t i = 0; i < service->n_in_force; i++) {
		const struct levee_nacl_target *t = &service->in_force[i];

		if (!levee_prefix_covers(&t->prefix, source))
			continue;
		levee_json_uint(j, "rule", t->number);
		levee_json_string(j, "prefix", levee_prefix_format(&t->prefix, text));
		levee_json_string(j, "acl", service->status.in_force);
		levee_json_string(j, "action", service->status.audit ? "allow" : "deny");
		levee_json_bool(j, "spoofable", t->spoofable);
		break;
	}
	pthread_mutex_unlock(&service->lock);
}

static int64_t unix_ms(const struct levee_nacl_service *service)
{
	return service->env.now_ms(service->env.ctx);
}

static void note_turn(struct levee_nacl_service *service, const struct levee_nacl_turn *turn)
{
	const struct levee_nacl_plan *plan = levee_nacl_push_plan(service->push);
	struct levee_nacl_status *status = &service->status;

	pthread_mutex_lock(&service->lock);
	levee_nacl_put_id(status->blue, levee_nacl_push_side(service->push, 0));
	levee_nacl_put_id(status->green, levee_nacl_push_side(service->push, 1));
	levee_nacl_put_id(status->in_force, levee_nacl_push_in_force(service->push));
	levee_nacl_put_id(status->vpc, levee_nacl_push_vpc(service->push));
	status->counts = *levee_nacl_push_counts(service->push);
	status->granted = levee_nacl_push_learned_budget(service->push);
	if (plan)
		count_plan(status, plan);
	if (turn->wrote)
		status->wrote_unix_ms = unix_ms(service);
	if (*turn->error.code || turn->verdict == LEVEE_PUSH_STOPPED)
		status->failed_unix_ms = unix_ms(service);
	if (turn->verdict == LEVEE_PUSH_CONVERGED) {
		status->in_force_unix_ms = unix_ms(service);
		status->pushes += service->wrote || turn->wrote;
		if (plan)
			keep_rules(service, plan);
	}
	pthread_mutex_unlock(&service->lock);
}

/* ---- what is said ------------------------------------------------------------------------ */

static void tell(struct levee_nacl_service *service, const char *text)
{
	struct levee_board_entry entry = { .kind = "nacl" };

	snprintf(entry.subject, sizeof(entry.subject), "%s",
		 levee_nacl_push_in_force(service->push));
	snprintf(entry.text, sizeof(entry.text), "%.255s", text);
	levee_board_event(service->board, &entry);
}

static void say_converged(struct levee_nacl_service *service)
{
	struct levee_nacl_status s;
	char text[256];

	levee_nacl_service_status(service, &s);
	snprintf(text, sizeof(text),
		 "%zu rule%s in force and read back on %zu subnet%s (%s); %zu blocked source%s "
		 "without a rule",
		 s.rules, s.rules == 1 ? "" : "s", s.n_subnets, s.n_subnets == 1 ? "" : "s",
		 s.in_force, s.unblocked_sources, s.unblocked_sources == 1 ? "" : "s");
	levee_notice("network ACLs: %s", text);
	tell(service, text);
}

/* A problem is logged when it begins, and when it becomes another one; not at each attempt. */
static void say_problem(struct levee_nacl_service *service, const struct levee_nacl_turn *turn)
{
	bool stopped = turn->verdict == LEVEE_PUSH_STOPPED;
	bool known = *turn->error.code ? !strcmp(turn->error.code, service->said_code)
				       : !strcmp(turn->text, service->said);

	if (known)
		return;
	snprintf(service->said_code, sizeof(service->said_code), "%s", turn->error.code);
	snprintf(service->said, sizeof(service->said), "%s", turn->text);
	levee_log(stopped ? LEVEE_LOG_ERROR : LEVEE_LOG_WARNING,
		  "network ACLs: %s. Sources stay blocked on this instance%s", turn->text,
		  stopped ? "" : "; it is tried again");
	levee_board_health(service->board, "nacl", false, turn->text);
	tell(service, turn->text);
}

static void forget_problem(struct levee_nacl_service *service)
{
	if (!*service->said && !*service->said_code)
		return;
	service->said[0] = service->said_code[0] = '\0';
	levee_board_health(service->board, "nacl", false, NULL);
	levee_notice("network ACLs: it works again");
}

static void say_journal(struct levee_nacl_service *service)
{
	int error = levee_nacl_journal_error(service->journal);

	if (error && !service->journal_error)
		levee_warning("network ACLs: the journal beside [state] file cannot be written: "
			      "%s; a restart will wait until every read shows what was written",
			      strerror(-error));
	service->journal_error = error;
}

/* ---- what is wanted ---------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x100000001b3ULL; /* FNV-1a, a word at a time */
}

static uint64_t hash_prefix(uint64_t hash, const struct levee_prefix *prefix)
{
	return mix(hash, levee_prefix_hash(prefix));
}

static uint64_t hash_input(const struct levee_nacl_push_input *input)
{
	uint64_t hash = 0xcbf29ce484222325ULL, bits;

	for (size_t i = 0; i < input->n_sources; i++) {
		hash = hash_prefix(hash, &input->sources[i].prefix);
		memcpy(&bits, &input->sources[i].max_zscore, sizeof(bits));
		hash = mix(hash, bits);
	}
	hash = mix(hash, input->n_sources);
	for (size_t i = 0; i < input->n_allowed; i++)
		hash = hash_prefix(hash, &input->allowed[i]);
	/* Who is there; how much of it changes all the time. */
	hash = mix(hash, input->good_known);
	for (size_t i = 0; i < input->n_good; i++)
		hash = hash_prefix(hash, &input->good[i].prefix);
	return hash;
}

/* The crossing alone: how many there are, the status says. */
static void note_spoofable(struct levee_nacl_service *service, size_t n)
{
	size_t before;

	pthread_mutex_lock(&service->lock);
	before = service->status.spoofable;
	service->status.spoofable = n;
	pthread_mutex_unlock(&service->lock);
	if (n && !before)
		levee_notice("network ACLs: %zu blocked source%s never seen with an established "
			     "flow and not pushed, for the address may be made up; they are "
			     "dropped here. [nacl] push_spoofable = leftover gives them rules that "
			     "nobody else needs",
			     n, n == 1 ? " was" : "s were");
}

static void take_sources(struct levee_nacl_service *service, const struct levee_snapshot *s)
{
	bool push_spoofable = service->config->nacl.push_spoofable != LEVEE_NACL_PUSH_NONE;
	size_t n = 0, spoofable = 0;

	/* What the allow list covers is not in force here, and the plan leaves it out. */
	for (size_t i = 0; i < s->n_blocks; i++) {
		const struct levee_block *block = &s->blocks[i].block;

		if (levee_nacl_source_of(&service->sources[n], block, push_spoofable))
			n++;
		else
			spoofable += block->spoofable && block->kind == LEVEE_KIND_DROP;
	}
	note_spoofable(service, spoofable);
	service->input.sources = service->sources;
	service->input.n_sources = n;
	/* Of the snapshot, which is held as long as the input is used. */
	service->input.good = s->near;
	service->input.n_good = s->n_near;
	service->input.good_known = s->near_known;
}

static void take_allowed(struct levee_nacl_service *service, const struct levee_snapshot *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_allowed; i++)
		service->allowed[n++] = s->allowed[i].prefix;
	/* Nobody who was unblocked by hand is to be denied as one of a group. */
	for (size_t i = 0; i < s->n_exemptions; i++)
		service->allowed[n++] = s->exemptions[i].prefix;
	service->input.allowed = service->allowed;
	service->input.n_allowed = n;
}

/* \return 0; -ENODATA before the first snapshot; -ENOMEM */
static int take_snapshot(struct levee_nacl_service *service)
{
	const struct levee_snapshot *s = levee_board_snapshot(service->board);
	struct levee_nacl_source *sources;
	struct levee_prefix *allowed;

	if (!s)
		return -ENODATA;
	if (service->snapshot && service->snapshot->seq == s->seq) {
		levee_snapshot_put(&s);
		return 0;
	}
	sources = calloc(s->n_blocks + 1, sizeof(*sources));
	allowed = calloc(s->n_allowed + s->n_exemptions + 1, sizeof(*allowed));
	if (!sources || !allowed) {
		free(sources);
		free(allowed);
		levee_snapshot_put(&s);
		return -ENOMEM;
	}
	levee_snapshot_put(&service->snapshot);
	free(service->sources);
	free(service->allowed);
	service->snapshot = s;
	service->sources = sources;
	service->allowed = allowed;
	take_sources(service, s);
	take_allowed(service, s);
	service->input_hash = hash_input(&service->input);
	return 0;
}

/* ---- the thread -------------------------------------------------------------------------- */

static bool is_over(struct levee_nacl_service *service)
{
	return service->env.cancelled(service->env.ctx);
}

static void sleep_ms(struct levee_nacl_service *service, uint32_t ms)
{
	if (ms)
		service->env.sleep_ms(service->env.ctx, ms);
}

static bool ask_gate(void *ctx, struct levee_nacl_licence *licence)
{
	struct levee_nacl_service *service = ctx;

	return !service->may_write || service->may_write(service->may_write_ctx, licence);
}

static int open_journal(struct levee_nacl_service *service, struct levee_aws_error *error)
{
	char buffer[LEVEE_NACL_PATH];
	const char *path = levee_nacl_config_journal(service->config, buffer);
	int ret = levee_nacl_journal_open(&service->journal, path, false,
					  service->config->nacl.settle * 1000);

	if (ret == -EWOULDBLOCK)
		return levee_aws_error_set(error, ret, "JournalLocked",
					   "%s is locked by another process, which writes to the "
					   "network ACLs: a `levee nacl apply` that has not ended",
					   path);
	if (ret)
		return levee_aws_error_set(error, ret, "JournalFailed", "%s: %s",
					   path ? path : "journal", strerror(-ret));
	return 0;
}

static int open_session(struct levee_nacl_service *service, struct levee_aws_error *error)
{
	struct levee_aws_overrides overrides = levee_aws_overrides_of(service->config);
	int ret = levee_aws_session_open(&service->session, &service->env, &overrides, NULL, error);

	if (!ret)
		ret = levee_aws_session_region(service->session, error);
	if (!ret)
		ret = levee_nacl_config_subnets(service->config, service->session->imds,
						&service->subnets, &service->n_subnets, error);
	return ret;
}

static void close_push(struct levee_nacl_service *service)
{
	levee_nacl_push_free(&service->push);
	levee_nacl_journal_close(&service->journal);
	free(service->subnets);
	service->subnets = NULL;
	levee_aws_session_free(&service->session);
}

static int open_push(struct levee_nacl_service *service, struct levee_aws_error *error)
{
	struct levee_nacl_push_params params = { .may_write = ask_gate, .ctx = service };
	int ret = open_session(service, error);

	if (!ret)
		ret = open_journal(service, error);
	if (ret)
		return ret;
	levee_nacl_config_params(service->config, &params);
	params.client = service->session->client;
	params.env = &service->env;
	params.journal = service->journal;
	params.subnets = (void *)service->subnets;
	params.n_subnets = service->n_subnets;
	ret = levee_nacl_push_new(&service->push, &params);
	if (ret)
		return levee_aws_error_memory(error);
	pthread_mutex_lock(&service->lock);
	service->status.n_subnets = service->n_subnets;
	pthread_mutex_unlock(&service->lock);
	return 0;
}

/* Credentials, region, subnets: what is missing is looked for again every minute. */
static void open_until_done(struct levee_nacl_service *service)
{
	struct levee_nacl_turn turn = { .verdict = LEVEE_PUSH_STOPPED };

	while (!is_over(service) && open_push(service, &turn.error)) {
		close_push(service);
		if (is_over(service))
			return;
		levee_nacl_error_text(&turn.error, "AWS", turn.text);
		set_state(service, LEVEE_NACL_STOPPED, turn.text);
		say_problem(service, &turn);
		sleep_ms(service, STOPPED_MS);
	}
}

static void take_converged(struct levee_nacl_service *service)
{
	service->pushed_hash = service->input_hash;
	service->converged = true;
	service->end_ms = levee_nacl_boot_ms();
	set_state(service, LEVEE_NACL_IN_FORCE, "");
	forget_problem(service);
	if (service->wrote)
		say_converged(service);
	service->wrote = false;
}

static void take_turn(struct levee_nacl_service *service, const struct levee_nacl_turn *turn)
{
	char text[LEVEE_PUSH_TEXT];

	note_turn(service, turn);
	service->wrote |= turn->wrote;
	say_journal(service);
	if (turn->wrote && turn->step.writes)
		levee_debug("network ACLs: %s %s", levee_ec2_operation(turn->step.type),
			    levee_nacl_step_text(&turn->step, text));
	switch (turn->verdict) {
	case LEVEE_PUSH_AGAIN:
		set_state(service, LEVEE_NACL_PUSHING, "");
		if (*turn->text && !turn->wrote)
			say_problem(service, turn); /* a budget that turned out lower */
		break;
	case LEVEE_PUSH_WAIT:
		set_state(service, LEVEE_NACL_WAITING, turn->text);
		if (*turn->error.code)
			say_problem(service, turn);
		sleep_ms(service, turn->wait_ms);
		break;
	case LEVEE_PUSH_CONVERGED:
		take_converged(service);
		break;
	case LEVEE_PUSH_STOPPED:
		set_state(service, LEVEE_NACL_STOPPED, turn->text);
		say_problem(service, turn);
		sleep_ms(service, STOPPED_MS);
		break;
	}
}

/* May this process write? While not, it makes no call at all. */
static bool is_open(struct levee_nacl_service *service)
{
	struct levee_nacl_licence licence = { 0 };

	if (!ask_gate(service, &licence)) {
		service->was_shut = true;
		service->converged = false;
		set_state(service, LEVEE_NACL_WAITING, "another node writes to the network ACLs");
		sleep_ms(service, GATE_MS);
		return false;
	}
	if (service->was_shut)
		levee_nacl_push_distrust(service->push);
	service->was_shut = false;
	return true;
}

/* The controller drops nothing for now, although it shall: neither do network ACLs change. */
static bool is_held(struct levee_nacl_service *service)
{
	if (!service->snapshot->audit || service->config->block.mode == LEVEE_MODE_AUDIT)
		return false;
	service->converged = false;
	set_state(service, LEVEE_NACL_WAITING,
		  "nothing is dropped until the allow list was read, so nothing is written");
	levee_board_wait(service->board, service->snapshot->seq, IDLE_MS);
	return true;
}

/* Boot time from which on there is something to do. */
static int64_t next_due_ms(const struct levee_nacl_service *service)
{
	const struct levee_config *config = service->config;

	if (!service->converged)
		return 0;
	/* Nothing on the instance can stop what drowns it: the ACL cannot wait. */
	if (service->input_hash != service->pushed_hash && service->snapshot->allowance_exceeded)
		return service->end_ms;
	if (service->input_hash != service->pushed_hash)
		return service->end_ms + (int64_t)config->nacl.min_interval * 1000;
	return service->end_ms + (int64_t)config->nacl.verify_every * 1000;
}

/* Until a push is due. \return whether one is */
static bool wait_for_work(struct levee_nacl_service *service)
{
	int ret = take_snapshot(service);
	int64_t left_ms;

	if (ret == -ENOMEM)
		sleep_ms(service, GATE_MS);
	if (ret) {
		levee_board_wait(service->board, 0, GATE_MS);
		return false;
	}
	if (is_held(service))
		return false;
	left_ms = next_due_ms(service) - levee_nacl_boot_ms();
	if (left_ms <= 0)
		return true;
	if (left_ms > IDLE_MS)
		left_ms = IDLE_MS;
	/* What changes before the push is due is taken then. */
	levee_board_wait(service->board, service->snapshot->seq, (int)left_ms);
	return false;
}

static void *run(void *ctx)
{
	struct levee_nacl_service *service = ctx;
	struct levee_nacl_turn turn;

	open_until_done(service);
	while (!is_over(service)) {
		if (!is_open(service) || !wait_for_work(service) || is_over(service))
			continue;
		service->converged = false;
		levee_nacl_push_turn(service->push, &service->input, &turn);
		if (!is_over(service))
			take_turn(service, &turn);
	}
	close_push(service);
	return NULL;
}

/* ---- from outside ------------------------------------------------------------------------ */

/* Signals are the controller's. */
static int start_thread(struct levee_nacl_service *service)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = -pthread_create(&service->thread, NULL, run, service);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	service->started = !ret;
	return ret;
}

int levee_nacl_service_start(struct levee_nacl_service **out, const struct levee_config *config,
			     struct levee_board *board,
			     bool (*may_write)(void *ctx, struct levee_nacl_licence *licence),
			     void *ctx)
{
	struct levee_nacl_service *service = calloc(1, sizeof(*service));
	int ret;

	*out = service;
	if (!service)
		return -ENOMEM;
	service->config = config;
	service->board = board;
	service->may_write = may_write;
	service->may_write_ctx = ctx;
	service->status.budget = (unsigned int)config->nacl.budget;
	service->status.audit = config->block.mode == LEVEE_MODE_AUDIT ||
				config->nacl.action == LEVEE_NACL_ALLOW;
	service->shown = (struct levee_board_service){ .name = "nacl",
						       .status = show_status,
						       .metrics = show_metrics,
						       .explain = explain,
						       .ctx = service };
	pthread_mutex_init(&service->lock, NULL);
	ret = levee_aws_cancel_init(&service->cancel);
	if (!ret) {
		service->env = levee_aws_env_process(&service->cancel);
		ret = levee_board_register(board, &service->shown);
		service->registered = !ret;
	}
	if (!ret)
		ret = start_thread(service);
	if (ret)
		levee_nacl_service_stop(out);
	return ret;
}

void levee_nacl_service_stop(struct levee_nacl_service **out)
{
	struct levee_nacl_service *service = *out;

	*out = NULL;
	if (!service)
		return;
	if (service->started) {
		levee_aws_cancel_throw(&service->cancel);
		pthread_join(service->thread, NULL);
	}
	if (service->registered)
		levee_board_withdraw(service->board, &service->shown);
	levee_board_health(service->board, "nacl", false, NULL);
	levee_snapshot_put(&service->snapshot);
	free(service->sources);
	free(service->allowed);
	free(service->in_force);
	levee_aws_cancel_free(&service->cancel);
	pthread_mutex_destroy(&service->lock);
	free(service);
}
