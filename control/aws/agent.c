/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/aws/remedy.h"
#include "control/aws/agent_internal.h"
#include "control/log.h"

#define IDENTITY_MS    300000 /* credentials are looked at this often */
#define IDENTITY_WAIT  5000   /* STS gets so long; a VPC without an endpoint of it is no error */
#define DISCOVERY_MS   300000
#define LOOK_MS	       1000 /* the board is looked at this often */
#define DISCOVERY_TASK "discovery"
#define LIST_TASK      "allow list"
#define SNS_TASK       "SNS"
#define METRICS_TASK   "metrics"
#define LOGS_TASK      "logs"
#define RETRY_MS       5000
#define RETRY_MAX_MS   60000

static void say_warning(void *ctx, const char *message)
{
	(void)ctx;
	levee_warning("%s", message);
}

/* ---- last good copies -------------------------------------------------------------------- */

/* Beside the state file: what is kept there goes together. false: nothing is kept. */
static bool vpc_copy_path(const struct levee_config *config, char out[static LEVEE_AWS_COPY_BYTES])
{
	if (!config->state.file[0])
		return false;
	snprintf(out, LEVEE_AWS_COPY_BYTES, "%s.vpc", config->state.file);
	return true;
}

const char *levee_aws_s3_copy(const struct levee_config *config,
			      char out[static LEVEE_AWS_COPY_BYTES])
{
	out[0] = '\0';
	if (config->allow.s3_copy[0])
		snprintf(out, LEVEE_AWS_COPY_BYTES, "%s", config->allow.s3_copy);
	else if (config->state.file[0])
		snprintf(out, LEVEE_AWS_COPY_BYTES, "%s.s3", config->state.file);
	return out;
}

static void load_vpc_copy(const struct levee_config *config, struct levee_allow_inbox *inbox)
{
	struct levee_allowlist given = { .n = config->aws.vpc_cidrs.n,
					 .list = config->aws.vpc_prefixes };
	struct levee_allowlist list = { 0 };
	char path[LEVEE_AWS_COPY_BYTES];
	int ret = 0;

	if (given.n)
		ret = levee_allowlist_merge(&list, &given, &list);
	else if (vpc_copy_path(config, path))
		ret = levee_list_load(&list, path, NULL, "vpc", say_warning, NULL);
	else
		return;
	if (ret == 0)
		levee_allow_inbox_put(inbox, LEVEE_ALLOW_SLOT_VPC, &list);
	levee_allowlist_clear(&list);
}

static void load_s3_copy(const struct levee_config *config, struct levee_allow_inbox *inbox)
{
	char copy[LEVEE_AWS_COPY_BYTES];
	struct levee_s3_list s3 = { .url = config->allow.s3,
				    .copy = levee_aws_s3_copy(config, copy) };
	struct levee_allowlist list = { 0 };

	if (!config->allow.s3[0] || levee_s3_list_load(&s3, &list, say_warning, NULL) < 0)
		return;
	levee_info("allow list %s: %zu prefixes of its last good copy, %s", s3.url, list.n,
		   s3.copy);
	levee_allow_inbox_put(inbox, LEVEE_ALLOW_SLOT_S3, &list);
}

void levee_aws_load_copies(const struct levee_config *config, struct levee_allow_inbox *inbox)
{
	load_vpc_copy(config, inbox);
	load_s3_copy(config, inbox);
}

/* ---- who we are -------------------------------------------------------------------------- */

int levee_aws_agent_ready(const struct levee_aws_agent *s)
{
	return s->session && !s->refused ? 0 : -EAGAIN;
}

static int open_session(struct levee_aws_agent *s, struct levee_aws_error *error)
{
	struct levee_aws_overrides overrides = levee_aws_overrides_of(s->options.config);
	struct levee_aws_session *session;
	int ret;

	if (s->session)
		return 0;
	ret = levee_aws_session_open(&session, &s->env, &overrides, NULL, error);
	if (ret == 0)
		ret = levee_aws_session_region(session, error);
	if (ret < 0) {
		levee_aws_session_free(&session);
		return ret;
	}
	s->session = session;
	return 0;
}

static int find_provider(struct levee_aws_agent *s, struct levee_aws_error *error)
{
	struct levee_aws_credentials credentials;
	int ret = levee_aws_chain_get(s->session->chain, &credentials, error);

	if (ret == 0) {
		pthread_mutex_lock(&s->lock);
		snprintf(s->provider, sizeof(s->provider), "%s", credentials.provider);
		pthread_mutex_unlock(&s->lock);
	}
	levee_aws_credentials_clear(&credentials);
	return ret;
}

static void note_identity(struct levee_aws_agent *s, const struct levee_aws_identity *identity)
{
	if (!s->identified)
		levee_notice("aws: account %s as %s in %s, credentials: %s", identity->account,
			     identity->arn, s->session->config.region, s->provider);
	s->identified = true;
	pthread_mutex_lock(&s->lock);
	s->identity = *identity;
	pthread_mutex_unlock(&s->lock);
}

static int ask_identity(struct levee_aws_agent *s, struct levee_aws_error *error)
{
	struct levee_aws_identity identity;
	int ret = levee_aws_whoami(s->session->client, IDENTITY_WAIT, &identity, error);

	if (ret == 0) {
		note_identity(s, &identity);
	} else if (!levee_aws_is_refusal(error) && ret != -ECANCELED) {
		levee_debug("aws: STS does not say who we are: %s: %s", error->code,
			    error->message);
		ret = 0;
	}
	return ret;
}

/* They had nothing to do until now, and would look again only at their intervals. */
static void wake_others(struct levee_aws_agent *s)
{
	static const char *const names[] = { DISCOVERY_TASK, LIST_TASK, SNS_TASK, METRICS_TASK,
					     LOGS_TASK };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		levee_worker_wake(s->worker, names[i]);
}

/*
 * The gate of the other tasks: without credentials, or with such as AWS refuses, there is one
 * message, not one of each service. An STS that does not answer closes nothing: not every VPC has
 * a way to it.
 */
static int task_identity(void *ctx, struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	bool before = levee_aws_agent_ready(s) == 0;
	int ret = open_session(s, error);

	if (ret == 0)
		ret = find_provider(s, error);
	if (ret == 0)
		ret = ask_identity(s, error);
	s->refused = ret < 0;
	if (ret == 0 && !before)
		wake_others(s);
	return ret;
}

/* ---- where we are ------------------------------------------------------------------------ */

static bool same_list(const struct levee_allowlist *a, const struct levee_allowlist *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (levee_prefix_compare(&a->list[i], &b->list[i]) != 0)
			return false;
	return true;
}

static void keep_cidrs(const struct levee_aws_agent *s, const struct levee_allowlist *cidrs)
{
	char path[LEVEE_AWS_COPY_BYTES];
	int ret;

	if (s->place.cidrs_by_hand || !vpc_copy_path(s->options.config, path))
		return;
	ret = levee_list_save(cidrs, path, "", "vpc");
	if (ret < 0)
		levee_warning("aws: the CIDRs of the VPC cannot be kept in %s: %s", path,
			      strerror(-ret));
}

static int hand_over_cidrs(struct levee_aws_agent *s, struct levee_aws_error *error)
{
	struct levee_allowlist copy = { 0 };

	if (levee_allowlist_merge(&copy, &s->place.cidrs, &copy) < 0)
		return levee_aws_error_memory(error);
	keep_cidrs(s, &copy);
	levee_allow_inbox_put(s->options.inbox, LEVEE_ALLOW_SLOT_VPC, &copy);
	return 0;
}

static void show_place(struct levee_aws_agent *s)
{
	pthread_mutex_lock(&s->lock);
	memcpy(s->region, s->place.region, sizeof(s->region));
	memcpy(s->instance_id, s->place.instance_id, sizeof(s->instance_id));
	memcpy(s->vpc, s->place.vpc, sizeof(s->vpc));
	s->vpc_cidrs = s->place.cidrs.n;
	pthread_mutex_unlock(&s->lock);
}

/* What cannot be found out stays as it was. */
static int task_discovery(void *ctx, struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	struct levee_aws_place fresh;
	bool changed;
	int ret = levee_aws_agent_ready(s);

	if (ret < 0)
		return ret;
	ret = levee_aws_discover(s->session, s->options.config, &fresh, error);
	if (ret < 0) {
		levee_aws_place_clear(&fresh);
		return ret;
	}
	changed = !s->placed || !same_list(&fresh.cidrs, &s->place.cidrs);
	levee_aws_place_clear(&s->place);
	s->place = fresh;
	s->placed = true;
	show_place(s);
	if (!changed)
		return 0;
	levee_notice("aws: instance %s in VPC %s, region %s; %zu CIDRs of the VPC are allowed%s",
		     *fresh.instance_id ? fresh.instance_id : "(none)",
		     *fresh.vpc ? fresh.vpc : "(none)", fresh.region, fresh.cidrs.n,
		     fresh.cidrs.n ? "" : "; set [aws] vpc or vpc_cidrs if there is one");
	return fresh.cidrs.n ? hand_over_cidrs(s, error) : 0;
}

/* ---- the list in S3 ---------------------------------------------------------------------- */

static int task_s3(void *ctx, struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	struct levee_allowlist list = { 0 };
	int ret = levee_aws_agent_ready(s);

	if (ret < 0)
		return ret;
	ret = levee_s3_list_fetch(&s->s3, s->session->client, &list, say_warning, NULL, error);
	if (ret <= 0)
		return ret;
	levee_notice("allow list %s: %zu prefixes%s", s->s3.url, list.n,
		     list.bad_lines ? ", bad lines left out" : "");
	pthread_mutex_lock(&s->lock);
	s->s3_prefixes = list.n;
	s->s3_bad_lines = list.bad_lines;
	pthread_mutex_unlock(&s->lock);
	levee_allow_inbox_put(s->options.inbox, LEVEE_ALLOW_SLOT_S3, &list);
	return 0;
}

/* ---- status ------------------------------------------------------------------------------ */

static void write_task(struct levee_json *j, const struct levee_worker_status *t)
{
	levee_json_object(j, NULL);
	levee_json_string(j, "name", t->name);
	levee_json_uint(j, "runs", t->runs);
	levee_json_uint(j, "failures", t->failures);
	levee_json_uint(j, "failures_in_a_row", t->in_a_row);
	levee_json_int(j, "last_success", t->success_ms / 1000);
	levee_json_int(j, "failing_since", t->failing_ms / 1000);
	levee_json_string(j, "error", t->error.code);
	levee_json_string(j, "message", t->error.message);
	levee_json_end(j);
}

/* On the API's thread. */
static void write_status(void *ctx, struct levee_json *j)
{
	struct levee_aws_agent *s = ctx;
	struct levee_worker_status tasks[LEVEE_WORKER_TASKS];
	size_t n = levee_worker_status(s->worker, tasks, LEVEE_WORKER_TASKS);

	pthread_mutex_lock(&s->lock);
	levee_json_string(j, "account", s->identity.account);
	levee_json_string(j, "arn", s->identity.arn);
	levee_json_string(j, "provider", s->provider);
	levee_json_string(j, "region", s->region);
	levee_json_string(j, "instance_id", s->instance_id);
	levee_json_string(j, "vpc", s->vpc);
	levee_json_uint(j, "vpc_cidrs", s->vpc_cidrs);
	levee_json_uint(j, "s3_prefixes", s->s3_prefixes);
	levee_json_uint(j, "s3_bad_lines", s->s3_bad_lines);
	levee_json_uint(j, "sns_messages", s->messages);
	levee_json_uint(j, "metrics", s->metrics);
	levee_json_uint(j, "log_records", s->records);
	pthread_mutex_unlock(&s->lock);
	levee_json_array(j, "tasks");
	for (size_t i = 0; i < n; i++)
		write_task(j, &tasks[i]);
	levee_json_end(j);
}

static void write_metrics(void *ctx, FILE *out)
{
	struct levee_aws_agent *s = ctx;
	struct levee_worker_status tasks[LEVEE_WORKER_TASKS];
	size_t n = levee_worker_status(s->worker, tasks, LEVEE_WORKER_TASKS);

	fprintf(out, "# HELP levee_aws_failures_total Runs of tasks in AWS that failed.\n"
		     "# TYPE levee_aws_failures_total counter\n");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "levee_aws_failures_total{task=\"%s\"} %llu\n", tasks[i].name,
			(unsigned long long)tasks[i].failures);
	fprintf(out, "# HELP levee_aws_failing Whether a task in AWS fails now.\n"
		     "# TYPE levee_aws_failing gauge\n");
	for (size_t i = 0; i < n; i++)
		fprintf(out, "levee_aws_failing{task=\"%s\"} %d\n", tasks[i].name,
			tasks[i].failing_ms != 0);
}

static const char *problem_name(const char *task, char *out, size_t size)
{
	snprintf(out, size, "aws-%s", task);
	for (char *c = out; *c; c++)
		if (*c == ' ')
			*c = '-';
	return out;
}

/* None of it keeps the instance from being protected. */
static void on_changed(void *ctx, const char *task, const struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	char name[32], text[256];

	snprintf(text, sizeof(text), "%.60s: %.180s", error->code, error->message);
	levee_board_health(s->options.board, problem_name(task, name, sizeof(name)), false,
			   *error->code ? text : NULL);
}

/* ---- start and stop ---------------------------------------------------------------------- */

static int add_task(struct levee_aws_agent *s, const char *name, uint64_t every_ms,
		    int (*run)(void *ctx, struct levee_aws_error *error))
{
	struct levee_worker_task task = { .name = name,
					  .every_ms = (uint32_t)every_ms,
					  .retry_ms = RETRY_MS,
					  .retry_max_ms = RETRY_MAX_MS,
					  .run = run,
					  .changed = on_changed,
					  .ctx = s };

	return levee_worker_add(s->worker, &task);
}

static int add_tasks(struct levee_aws_agent *s)
{
	const struct levee_config *config = s->options.config;
	int ret = add_task(s, "identity", IDENTITY_MS, task_identity);

	if (ret == 0)
		ret = add_task(s, DISCOVERY_TASK, DISCOVERY_MS, task_discovery);
	if (ret == 0 && config->allow.s3[0])
		ret = add_task(s, LIST_TASK, config->allow.s3_every * 1000, task_s3);
	if (ret == 0 && config->aws.sns_topic[0])
		ret = add_task(s, SNS_TASK, LOOK_MS, levee_aws_task_sns);
	if (ret == 0 && config->aws.metrics[0])
		ret = add_task(s, METRICS_TASK, config->aws.metrics_every * 1000,
			       levee_aws_task_metrics);
	if (ret == 0 && config->aws.log_group[0])
		ret = add_task(s, LOGS_TASK, LOOK_MS, levee_aws_task_logs);
	return ret;
}

static void show_on_board(struct levee_aws_agent *s)
{
	const struct levee_board_service shown = {
		.name = "aws", .status = write_status, .metrics = write_metrics, .ctx = s
	};

	s->registered = levee_board_register(s->options.board, &shown) == 0;
}

static void hide_from_board(struct levee_aws_agent *s)
{
	const struct levee_board_service shown = {
		.name = "aws", .status = write_status, .metrics = write_metrics, .ctx = s
	};

	if (s->registered)
		levee_board_withdraw(s->options.board, &shown);
	s->registered = false;
}

/* The copy's ETag, so that an unchanged object is not read again. */
static void take_etag(struct levee_aws_agent *s)
{
	struct levee_allowlist list = { 0 };

	s->s3 = (struct levee_s3_list){ .url = s->options.config->allow.s3,
					.copy = levee_aws_s3_copy(s->options.config, s->s3_copy) };
	if (s->s3.url[0] && levee_s3_list_load(&s->s3, &list, NULL, NULL) == 0)
		s->s3_prefixes = list.n;
	levee_allowlist_clear(&list);
}

int levee_aws_agent_start(struct levee_aws_agent **out,
			  const struct levee_aws_agent_options *options)
{
	struct levee_aws_agent *s = calloc(1, sizeof(*s));
	int ret;

	*out = NULL;
	if (!s)
		return -ENOMEM;
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	if (gethostname(s->host, sizeof(s->host) - 1) < 0 || !s->host[0])
		snprintf(s->host, sizeof(s->host), "levee");
	ret = levee_aws_cancel_init(&s->cancel);
	if (ret == 0) {
		s->env = levee_aws_env_process(&s->cancel);
		s->worker = levee_worker_new("aws", &s->env);
		ret = s->worker ? add_tasks(s) : -ENOMEM;
	}
	if (ret == 0) {
		take_etag(s);
		show_on_board(s);
		ret = levee_worker_start(s->worker);
	}
	if (ret < 0)
		levee_aws_agent_stop(&s);
	*out = s;
	return ret;
}

void levee_aws_agent_reread(struct levee_aws_agent *agent)
{
	if (agent)
		levee_worker_wake(agent->worker, LIST_TASK);
}

/* Whoever comes after it finds out anew. */
static void forget_problems(struct levee_aws_agent *s)
{
	struct levee_worker_status tasks[LEVEE_WORKER_TASKS];
	size_t n = s->worker ? levee_worker_status(s->worker, tasks, LEVEE_WORKER_TASKS) : 0;
	char name[32];

	for (size_t i = 0; i < n; i++)
		levee_board_health(s->options.board,
				   problem_name(tasks[i].name, name, sizeof(name)), false, NULL);
}

void levee_aws_agent_stop(struct levee_aws_agent **agent)
{
	struct levee_aws_agent *s = *agent;

	if (!s)
		return;
	levee_aws_cancel_throw(&s->cancel);
	hide_from_board(s);
	forget_problems(s);
	levee_worker_free(&s->worker);
	levee_aws_reports_clear(s);
	levee_aws_place_clear(&s->place);
	levee_aws_session_free(&s->session);
	levee_aws_cancel_free(&s->cancel);
	pthread_mutex_destroy(&s->lock);
	free(s);
	*agent = NULL;
}
