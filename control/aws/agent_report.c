/* SPDX-License-Identifier: BSD-2-Clause */
/* The tasks that report: SNS, CloudWatch metrics, CloudWatch Logs. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/agent_internal.h"
#include "control/aws/remedy.h"
#include "control/log.h"

#define FORM_BYTES (1024 * 1024)
#define BODY_BYTES (4 * 1024 * 1024)
#define HOUR_MS	   3600000

static int64_t now_ms(const struct levee_aws_agent *s)
{
	return s->env.now_ms(s->env.ctx);
}

void levee_aws_reports_clear(struct levee_aws_agent *s)
{
	free(s->told.findings);
	free(s->logged.records);
	free(s->logged.hours);
	s->told = (struct levee_aws_told){ 0 };
	s->logged = (struct levee_aws_logged){ 0 };
}

/* Has anything happened since the last look, or may its snapshot still be on its way? */
static bool wants_look(struct levee_aws_agent *s, struct levee_aws_look *look)
{
	uint64_t newest = levee_board_last_event(s->options.board);

	if (newest != look->event || !look->began)
		look->more = 3;
	look->event = newest;
	look->began = true;
	return look->more > 0 && look->more-- > 0;
}

/* ---- SNS --------------------------------------------------------------------------------- */

static int by_prefix(const void *a, const void *b)
{
	const struct levee_finding *x = a, *y = b;

	return levee_prefix_compare(&x->source, &y->source);
}

/* A copy of the named sources, by prefix. \return NULL without memory */
static struct levee_finding *sorted_copy(const struct levee_finding *findings, size_t n)
{
	struct levee_finding *copy = calloc(n + 1, sizeof(*copy));

	if (copy && n) {
		memcpy(copy, findings, n * sizeof(*copy));
		qsort(copy, n, sizeof(*copy), by_prefix);
	}
	return copy;
}

/*
 * Others, or others of their largest bins? z alone moves with each bin that the window gains or
 * loses, which is no news.
 */
static bool is_news(const struct levee_aws_told *told, const struct levee_finding *sorted, size_t n)
{
	if (told->n != n)
		return true;
	for (size_t i = 0; i < n; i++)
		if (by_prefix(&told->findings[i], &sorted[i]) != 0 ||
		    told->findings[i].max_packets != sorted[i].max_packets)
			return true;
	return false;
}

static bool is_time(const struct levee_aws_agent *s)
{
	int64_t every_ms = (int64_t)s->options.config->aws.sns_every * 1000;
	int64_t ago_ms = now_ms(s) - s->told.at_ms;

	return every_ms && (!s->told.ever || ago_ms >= every_ms || ago_ms < 0);
}

/* arn:PARTITION:sns:REGION:ACCOUNT:NAME. A topic is published to in its own region. */
static void region_of(const char *arn, char *out, size_t size)
{
	const char *at = arn;

	for (int i = 0; i < 3 && at; i++) {
		at = strchr(at, ':');
		at = at ? at + 1 : NULL;
	}
	snprintf(out, size, "%.*s", at ? (int)strcspn(at, ":") : 0, at ? at : "");
}

/* An operation on the topic, with one parameter beside its ARN. */
static int call_topic(struct levee_aws_agent *s, const char *operation, const char *message,
		      struct levee_aws_error *error)
{
	const char *topic = s->options.config->aws.sns_topic;
	struct levee_aws_text form;
	struct levee_aws_call call = { .service = LEVEE_AWS_SNS,
				       .operation = operation,
				       .form = &form };
	struct levee_aws_reply reply;
	char region[64];
	int ret;

	region_of(topic, region, sizeof(region));
	call.region = region;
	levee_aws_text_init(&form, FORM_BYTES);
	levee_aws_form_add(&form, topic, "TopicArn");
	if (message)
		levee_aws_form_add(&form, message, "Message");
	ret = levee_aws_call(s->session->client, &call, &reply);
	*error = reply.error;
	if (ret < 0)
		levee_aws_error_set(error, ret, error->code, "topic %.200s: %.280s", topic,
				    reply.error.message);
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

/* Whether the topic is there. Who may only publish to it learns that from the first message. */
static int look_at_topic(struct levee_aws_agent *s, struct levee_aws_error *error)
{
	int ret;

	if (s->told.looked)
		return 0;
	ret = call_topic(s, "GetTopicAttributes", NULL, error);
	if (ret < 0 && levee_aws_is_denied(error))
		ret = 0;
	s->told.looked = ret == 0;
	return ret;
}

static int publish_all(struct levee_aws_agent *s, const struct levee_finding *findings, size_t n,
		       struct levee_aws_error *error)
{
	struct levee_aws_text message;
	size_t done = 0;
	int ret = 0;

	levee_aws_text_init(&message, LEVEE_SNS_BYTES + 1024);
	do {
		levee_aws_text_clear(&message);
		done += levee_sns_message(&message, findings + done, n - done, LEVEE_SNS_BYTES);
		ret = message.error ? levee_aws_error_memory(error)
				    : call_topic(s, "Publish", message.bytes, error);
		pthread_mutex_lock(&s->lock);
		s->messages += ret == 0;
		pthread_mutex_unlock(&s->lock);
	} while (ret == 0 && done < n);
	levee_aws_text_free(&message);
	return ret;
}

static int tell(struct levee_aws_agent *s, const struct levee_evaluation *e,
		struct levee_aws_error *error)
{
	/* a reload may change it meanwhile */
	uint64_t limit = __atomic_load_n(&s->options.config->detect.limit, __ATOMIC_RELAXED);
	size_t n = e->n_findings < limit ? e->n_findings : (size_t)limit;
	struct levee_finding *sorted = sorted_copy(e->findings, n);
	bool news;
	int ret = 0;

	if (!sorted)
		return levee_aws_error_memory(error);
	news = is_news(&s->told, sorted, n);
	if (news || is_time(s))
		ret = publish_all(s, e->findings, n, error);
	if (ret == 0 && (news || is_time(s))) {
		levee_debug("aws: SNS: %zu sources published", n);
		free(s->told.findings);
		s->told = (struct levee_aws_told){
			.findings = sorted, .n = n, .ever = true, .looked = true, .at_ms = now_ms(s)
		};
		return 0;
	}
	free(sorted);
	return ret;
}

int levee_aws_task_sns(void *ctx, struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	const struct levee_snapshot *snapshot;
	int ret = levee_aws_agent_ready(s);

	if (ret == 0)
		ret = look_at_topic(s, error);
	if (ret < 0)
		return ret;
	if (s->options.speaks && !s->options.speaks(s->options.ctx)) {
		s->sns_look.began = false; /* whoever begins to speak looks */
		return 0;
	}
	if (!wants_look(s, &s->sns_look) && !is_time(s))
		return 0;
	snapshot = levee_board_snapshot(s->options.board);
	if (!snapshot || !snapshot->evaluations)
		ret = -EAGAIN;
	else
		ret = tell(s, &snapshot->evaluation, error);
	levee_snapshot_put(&snapshot);
	if (ret < 0)
		s->sns_look.began = false; /* look again at the next try */
	return ret;
}

/* ---- CloudWatch metrics ------------------------------------------------------------------ */

/* Without network ACLs, what is blocked is what the data path has. */
static void count_blocked(const struct levee_aws_agent *s, const struct levee_snapshot *snapshot,
			  struct levee_metric_inputs *in)
{
	struct levee_aws_acl_counts acl;

	if (s->options.acl && s->options.acl(s->options.ctx, &acl)) {
		in->blocked_networks = acl.blocked_networks;
		in->unblocked_networks = acl.unblocked_networks;
		in->blocked_ips = acl.blocked_ips;
		in->unblocked_ips = acl.unblocked_ips;
		return;
	}
	for (size_t i = 0; i < snapshot->n_blocks; i++)
		in->blocked_ips += !snapshot->blocks[i].shadowed;
	in->unblocked_ips = snapshot->n_blocks - in->blocked_ips;
	in->blocked_networks = in->blocked_ips;
	in->unblocked_networks = in->unblocked_ips;
}

static void subtract(struct levee_account *out, const struct levee_account *now,
		     const struct levee_account *before)
{
	out->received = now->received - before->received;
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		out->outcome[i] = now->outcome[i] - before->outcome[i];
	out->would_drop = now->would_drop - before->would_drop;
}

static const char *log_group_dimension(const struct levee_config *config)
{
	if (config->aws.metrics_log_group[0])
		return config->aws.metrics_log_group;
	return config->aws.log_group[0] ? config->aws.log_group : "levee";
}

static size_t make_metrics(const struct levee_aws_agent *s, const struct levee_snapshot *snapshot,
			   struct levee_account *since,
			   struct levee_metric metrics[static LEVEE_METRICS_MAX])
{
	struct levee_metric_inputs in = {
		.log_group = log_group_dimension(s->options.config),
		.vpc = s->place.vpc,
		.instance_id = s->place.instance_id,
		.window_s = snapshot->window_s,
		.bin_s = snapshot->bin_s,
		.min_packets = snapshot->detect.min_packets,
		.outliers = snapshot->evaluation.n_findings,
		.sources = snapshot->last_sources,
		.mean = snapshot->evaluation.mean,
		.stddev = snapshot->evaluation.stddev,
		.threshold = snapshot->evaluation.threshold,
		.blocks = snapshot->n_blocks,
	};

	count_blocked(s, snapshot, &in);
	if (s->sent_any) {
		subtract(since, &snapshot->total, &s->sent);
		in.account = since;
	}
	return levee_metrics_make(&in, metrics);
}

static int put_metrics(struct levee_aws_agent *s, const struct levee_metric *metrics, size_t n,
		       struct levee_aws_error *error)
{
	const char *name_space = s->options.config->aws.metrics;
	struct levee_aws_text form;
	struct levee_aws_call call = { .service = LEVEE_AWS_CLOUDWATCH,
				       .operation = "PutMetricData",
				       .form = &form };
	size_t done = 0;
	int ret = 0;

	levee_aws_text_init(&form, FORM_BYTES);
	while (ret == 0 && done < n) {
		struct levee_aws_reply reply;

		levee_aws_text_clear(&form);
		done += levee_metrics_form(&form, name_space, metrics + done, n - done,
					   now_ms(s) / 1000);
		ret = levee_aws_call(s->session->client, &call, &reply);
		*error = reply.error;
		levee_aws_reply_free(&reply);
	}
	levee_aws_text_free(&form);
	return ret;
}

int levee_aws_task_metrics(void *ctx, struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	struct levee_metric metrics[LEVEE_METRICS_MAX];
	const struct levee_snapshot *snapshot;
	struct levee_account since = { 0 };
	size_t n;
	int ret = levee_aws_agent_ready(s);

	if (ret < 0)
		return ret;
	snapshot = levee_board_snapshot(s->options.board);
	if (!snapshot)
		return -EAGAIN;
	n = make_metrics(s, snapshot, &since, metrics);
	ret = put_metrics(s, metrics, n, error);
	if (ret == 0) {
		s->sent = snapshot->total;
		s->sent_any = true;
		pthread_mutex_lock(&s->lock);
		s->metrics += n;
		pthread_mutex_unlock(&s->lock);
	}
	levee_snapshot_put(&snapshot);
	return ret;
}

/* ---- CloudWatch Logs --------------------------------------------------------------------- */

static const char *stream_of(const struct levee_aws_agent *s)
{
	if (s->options.config->aws.log_stream[0])
		return s->options.config->aws.log_stream;
	return s->place.instance_id[0] ? s->place.instance_id : s->host;
}

static int call_logs(struct levee_aws_agent *s, const char *operation, const char *body,
		     struct levee_aws_error *error)
{
	struct levee_aws_call call = { .service = LEVEE_AWS_LOGS,
				       .operation = operation,
				       .json = body };
	struct levee_aws_reply reply;
	int ret = levee_aws_call(s->session->client, &call, &reply);

	*error = reply.error;
	if (ret < 0)
		levee_aws_error_set(error, ret, error->code, "log group %.200s: %.280s",
				    s->options.config->aws.log_group, reply.error.message);
	else if (json_object_get(reply.json, "rejectedLogEventsInfo"))
		levee_warning("aws: logs: records were rejected because of their time; check the "
			      "clock");
	levee_aws_reply_free(&reply);
	return ret;
}

/*
 * Before there is anything to write, so that a group that is not there shows at the start. The
 * stream may be there, from before a restart.
 */
static int make_stream(struct levee_aws_agent *s, struct levee_aws_error *error)
{
	struct levee_aws_text body;
	int ret;

	if (s->logged.stream_made)
		return 0;
	levee_aws_text_init(&body, BODY_BYTES);
	levee_logs_stream_body(&body, s->options.config->aws.log_group, stream_of(s));
	ret = body.error ? levee_aws_error_memory(error)
			 : call_logs(s, "CreateLogStream", body.bytes, error);
	levee_aws_text_free(&body);
	if (ret < 0 && strcmp(error->code, "ResourceAlreadyExistsException") == 0) {
		levee_aws_error_clear(error);
		ret = 0;
	}
	s->logged.stream_made = ret == 0;
	return ret;
}

static int put_records(struct levee_aws_agent *s, const struct levee_log_record *records, size_t n,
		       struct levee_aws_error *error)
{
	struct levee_aws_text body;
	size_t done = 0;
	int ret = 0;

	levee_aws_text_init(&body, BODY_BYTES);
	while (ret == 0 && done < n) {
		levee_aws_text_clear(&body);
		done += levee_logs_body(&body, s->options.config->aws.log_group, stream_of(s),
					records + done, n - done, now_ms(s));
		ret = body.error ? levee_aws_error_memory(error)
				 : call_logs(s, "PutLogEvents", body.bytes, error);
	}
	levee_aws_text_free(&body);
	return ret;
}

static bool same_record(const struct levee_log_record *a, const struct levee_log_record *b)
{
	return a->packets == b->packets && llround(a->zscore * 100) == llround(b->zscore * 100);
}

/* Records that the log does not have: of sources that are new, have changed, or a new hour's. */
struct update {
	struct levee_aws_logged next; /* what the log has afterwards */
	struct levee_log_record *fresh;
	size_t n_fresh;
};

static void update_clear(struct update *u)
{
	free(u->next.records);
	free(u->next.hours);
	free(u->fresh);
}

/* Both lists are ordered by prefix. */
static int update_make(struct update *u, const struct levee_aws_logged *have,
		       const struct levee_snapshot *snapshot, int64_t hour)
{
	size_t n = snapshot->n_blocks, k = 0;

	*u = (struct update){ .next = { .records = calloc(n + 1, sizeof(*u->next.records)),
					.hours = calloc(n + 1, sizeof(*u->next.hours)),
					.n = n,
					.seq = snapshot->seq,
					.hour = hour,
					.stream_made = have->stream_made },
			      .fresh = calloc(n + 1, sizeof(*u->fresh)) };
	if (!u->next.records || !u->next.hours || !u->fresh)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct levee_block *block = &snapshot->blocks[i].block;
		struct levee_log_record *record = &u->next.records[i];

		*record = (struct levee_log_record){ .source = block->prefix,
						     .zscore = block->max_zscore,
						     .packets = block->max_packets,
						     .drill = block->marks & LEVEE_BLOCK_DRILL };
		u->next.hours[i] = hour;
		while (k < have->n &&
		       levee_prefix_compare(&have->records[k].source, &block->prefix) < 0)
			k++;
		if (k < have->n &&
		    levee_prefix_compare(&have->records[k].source, &block->prefix) == 0 &&
		    have->hours[k] == hour && same_record(&have->records[k], record))
			continue;
		u->fresh[u->n_fresh++] = *record;
	}
	return 0;
}

static int log_blocks(struct levee_aws_agent *s, const struct levee_snapshot *snapshot,
		      struct levee_aws_error *error)
{
	struct update u;
	int ret = update_make(&u, &s->logged, snapshot, now_ms(s) / HOUR_MS);

	if (ret < 0)
		levee_aws_error_memory(error);
	else
		ret = put_records(s, u.fresh, u.n_fresh, error);
	if (ret == 0) {
		u.next.stream_made = s->logged.stream_made;
		free(s->logged.records);
		free(s->logged.hours);
		s->logged = u.next;
		u.next = (struct levee_aws_logged){ 0 };
		pthread_mutex_lock(&s->lock);
		s->records += u.n_fresh;
		pthread_mutex_unlock(&s->lock);
	}
	update_clear(&u);
	return ret;
}

int levee_aws_task_logs(void *ctx, struct levee_aws_error *error)
{
	struct levee_aws_agent *s = ctx;
	const struct levee_snapshot *snapshot;
	int ret = levee_aws_agent_ready(s);

	if (ret == 0 && !s->placed)
		ret = -EAGAIN; /* the stream has the instance's name */
	if (ret == 0)
		ret = make_stream(s, error);
	if (ret < 0)
		return ret;
	if (!wants_look(s, &s->logs_look) && now_ms(s) / HOUR_MS == s->logged.hour)
		return 0;
	snapshot = levee_board_snapshot(s->options.board);
	if (!snapshot)
		return -EAGAIN;
	if (snapshot->seq != s->logged.seq || now_ms(s) / HOUR_MS != s->logged.hour)
		ret = log_blocks(s, snapshot, error);
	levee_snapshot_put(&snapshot);
	if (ret < 0) {
		s->logs_look.began = false;
		/* somebody may have deleted it: it is made again at the next try */
		s->logged.stream_made = strcmp(error->code, "ResourceNotFoundException") != 0;
	}
	return ret;
}
