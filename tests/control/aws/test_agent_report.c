/* SPDX-License-Identifier: BSD-2-Clause */
/* When SNS, metrics and logs are told something, and when not. */
#include "control/aws/agent_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/aws.h"

#define TOPIC "arn:aws:sns:eu-west-1:123456789012:levee"
#define PUBLISH                                                      \
	{                                                            \
		"Action=Publish", 0, 200, NULL, "<PublishResponse/>" \
	}
#define LOOK                                                                               \
	{                                                                                  \
		"Action=GetTopicAttributes", 0, 200, NULL, "<GetTopicAttributesResponse/>" \
	}
#define STREAM                                                    \
	{                                                         \
		"Logs_20140328.CreateLogStream", 0, 200, NULL, "" \
	}
#define RECORDS                                                  \
	{                                                        \
		"Logs_20140328.PutLogEvents", 0, 200, NULL, "{}" \
	}
#define METRICS                                                                  \
	{                                                                        \
		"Action=PutMetricData", 0, 200, NULL, "<PutMetricDataResponse/>" \
	}

struct fixture {
	struct fake_env env;
	struct fake_http http;
	struct levee_config config;
	struct levee_aws_agent agent;
	struct levee_aws_error error;
};

static void set(struct fixture *f, const char *name, const char *value)
{
	assert_int_equal(levee_config_set(&f->config, "aws", name, value, "test", stderr), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct levee_aws_overrides own;

	assert_non_null(f);
	fake_env_init(&f->env);
	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "secret");
	assert_int_equal(levee_config_init(&f->config), 0);
	set(f, "region", "eu-west-1");
	set(f, "sns_topic", TOPIC);
	set(f, "metrics", "AutoNACL");
	set(f, "log_group", "/levee/blocked");
	own = levee_aws_overrides_of(&f->config);
	fake_http_init(&f->http, NULL);
	f->agent.env = f->env.env;
	f->agent.options.config = &f->config;
	f->agent.placed = true;
	strcpy(f->agent.place.vpc, "vpc-01234567");
	strcpy(f->agent.place.instance_id, "i-01234567");
	pthread_mutex_init(&f->agent.lock, NULL);
	assert_int_equal(levee_board_new(&f->agent.options.board, 1), 0);
	assert_int_equal(levee_aws_session_open(&f->agent.session, &f->env.env, &own, &f->http.http,
						&f->error),
			 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_reports_clear(&f->agent);
	levee_aws_session_free(&f->agent.session);
	levee_board_free(&f->agent.options.board);
	pthread_mutex_destroy(&f->agent.lock);
	levee_config_clear(&f->config);
	free(f);
	return 0;
}

static struct levee_prefix prefix(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

/* A snapshot in which one source is flagged and blocked (packets 0: nobody is), with its event. */
static void show(struct fixture *f, double zscore, uint64_t packets, uint64_t dropped)
{
	const struct levee_board_entry entry = { .kind = "bin" };
	struct levee_snapshot *s = levee_snapshot_new();

	assert_non_null(s);
	s->evaluations = 1;
	s->total.outcome[LEVEE_DROPPED] = dropped;
	if (packets) {
		s->evaluation.findings = calloc(1, sizeof(*s->evaluation.findings));
		s->evaluation.n_findings = 1;
		s->evaluation.findings[0] = (struct levee_finding){ .source = prefix("203.0.113.5"),
								    .max_zscore = zscore,
								    .max_packets = packets };
		s->blocks = calloc(1, sizeof(*s->blocks));
		s->n_blocks = 1;
		s->blocks[0].block = (struct levee_block){ .prefix = prefix("203.0.113.5"),
							   .max_zscore = zscore,
							   .max_packets = packets };
	}
	levee_board_event(f->agent.options.board, &entry);
	levee_board_publish(f->agent.options.board, s);
}

/* Run a task; exactly these answers must be asked for. \return what it returned */
static int run(struct fixture *f, int (*task)(void *ctx, struct levee_aws_error *error),
	       const struct canned *answers, char *request, size_t size)
{
	int ret;

	fake_http_init(&f->http, answers);
	ret = task(&f->agent, &f->error);
	if (request)
		snprintf(request, size, "%s", f->http.n ? f->http.requests[f->http.n - 1] : "");
	fake_http_done(&f->http);
	return ret;
}

static const struct canned nothing[] = { { 0 } };

static void before_the_first_evaluation_there_is_nothing_to_say(void **state)
{
	static const struct canned look[] = { LOOK, { 0 } };
	struct fixture *f = *state;

	assert_int_equal(run(f, levee_aws_task_sns, look, NULL, 0), -EAGAIN);
	assert_int_equal(run(f, levee_aws_task_metrics, nothing, NULL, 0), -EAGAIN);
	f->agent.refused = true;
	assert_int_equal(run(f, levee_aws_task_sns, nothing, NULL, 0), -EAGAIN);
	assert_int_equal(run(f, levee_aws_task_logs, nothing, NULL, 0), -EAGAIN);
}

static void sns_is_told_of_changes_and_of_nothing_else(void **state)
{
	static const struct canned first[] = { LOOK, PUBLISH, { 0 } };
	static const struct canned again[] = { PUBLISH, { 0 } };
	struct fixture *f = *state;
	char request[4096];

	show(f, 3.5, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_sns, first, request, sizeof(request)), 0);
	assert_non_null(strstr(request, "203.0.113.5"));
	assert_int_equal(run(f, levee_aws_task_sns, nothing, NULL, 0), 0);
	/* z alone moves with every bin */
	show(f, 3.4, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_sns, nothing, NULL, 0), 0);
	show(f, 3.9, 25000, 0);
	assert_int_equal(run(f, levee_aws_task_sns, again, request, sizeof(request)), 0);
	assert_non_null(strstr(request, "25000"));
	show(f, 0, 0, 0);
	assert_int_equal(run(f, levee_aws_task_sns, again, request, sizeof(request)), 0);
	assert_non_null(strstr(request, "Message=%5B%5D"));
	show(f, 0, 0, 0);
	assert_int_equal(run(f, levee_aws_task_sns, nothing, NULL, 0), 0);
}

static void nobody_flagged_at_the_start_is_no_news(void **state)
{
	static const struct canned look[] = { LOOK, { 0 } };
	struct fixture *f = *state;

	show(f, 0, 0, 0);
	assert_int_equal(run(f, levee_aws_task_sns, look, NULL, 0), 0);
}

static void a_message_that_failed_is_sent_again(void **state)
{
	static const struct canned failing[] = {
		LOOK,
		{ "Action=Publish", 0, 400, NULL,
		  "<ErrorResponse><Error><Code>NotFound</Code><Message>Topic</Message></Error>"
		  "</ErrorResponse>" },
		{ 0 },
	};
	static const struct canned again[] = { PUBLISH, { 0 } };
	struct fixture *f = *state;

	show(f, 3.5, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_sns, failing, NULL, 0), -EREMOTEIO);
	assert_string_equal(f->error.code, "NotFound");
	assert_non_null(strstr(f->error.message, TOPIC));
	for (int i = 0; i < 5; i++)
		assert_int_equal(run(f, levee_aws_task_sns, i == 0 ? again : nothing, NULL, 0), 0);
}

static void sns_every_repeats_what_is_known(void **state)
{
	static const struct canned first[] = { LOOK, PUBLISH, { 0 } };
	static const struct canned again[] = { PUBLISH, { 0 } };
	struct fixture *f = *state;

	set(f, "sns_every", "30");
	show(f, 0, 0, 0);
	assert_int_equal(run(f, levee_aws_task_sns, first, NULL, 0), 0);
	f->env.now_ms += 29999;
	assert_int_equal(run(f, levee_aws_task_sns, nothing, NULL, 0), 0);
	f->env.now_ms += 1;
	assert_int_equal(run(f, levee_aws_task_sns, again, NULL, 0), 0);
}

static bool is_silent(void *ctx)
{
	(void)ctx;
	return false;
}

static bool is_speaker(void *ctx)
{
	(void)ctx;
	return true;
}

static void one_of_a_fleet_speaks(void **state)
{
	static const struct canned look[] = { LOOK, { 0 } };
	static const struct canned again[] = { PUBLISH, { 0 } };
	struct fixture *f = *state;

	f->agent.options.speaks = is_silent;
	show(f, 3.5, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_sns, look, NULL, 0), 0);
	f->agent.options.speaks = is_speaker;
	assert_int_equal(run(f, levee_aws_task_sns, again, NULL, 0), 0);
}

static void a_topic_that_may_only_be_published_to_is_good(void **state)
{
	static const struct canned denied[] = {
		{ "Action=GetTopicAttributes", 0, 403, NULL,
		  "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></"
		  "Error>"
		  "</ErrorResponse>" },
		PUBLISH,
		{ 0 },
	};
	struct fixture *f = *state;

	show(f, 3.5, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_sns, denied, NULL, 0), 0);
}

static void the_log_gets_new_and_changed_sources_and_each_hour_all(void **state)
{
	static const struct canned first[] = { STREAM, RECORDS, { 0 } };
	static const struct canned again[] = { RECORDS, { 0 } };
	struct fixture *f = *state;
	char request[4096];

	f->env.now_ms = 1700002800000; /* a full hour */
	show(f, 3.504, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_logs, first, request, sizeof(request)), 0);
	assert_non_null(strstr(request, "\"logStreamName\": \"i-01234567\""));
	assert_non_null(strstr(request, "\\\"z_score\\\": 3.50"));
	show(f, 3.501, 20000, 0); /* the same to two decimals */
	assert_int_equal(run(f, levee_aws_task_logs, nothing, NULL, 0), 0);
	show(f, 3.6, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_logs, again, NULL, 0), 0);
	f->env.now_ms += 3600000;
	assert_int_equal(run(f, levee_aws_task_logs, again, NULL, 0), 0);
	show(f, 0, 0, 0);
	assert_int_equal(run(f, levee_aws_task_logs, nothing, NULL, 0), 0);
	show(f, 3.6, 20000, 0); /* again blocked: again a record */
	assert_int_equal(run(f, levee_aws_task_logs, again, NULL, 0), 0);
}

static void a_stream_that_somebody_deleted_is_made_again(void **state)
{
	static const struct canned gone[] = {
		STREAM,
		{ "PutLogEvents", 0, 400, NULL, "{\"__type\": \"ResourceNotFoundException\"}" },
		{ 0 },
	};
	static const struct canned there[] = {
		{ "CreateLogStream", 0, 400, NULL,
		  "{\"__type\": \"ResourceAlreadyExistsException\"}" },
		RECORDS,
		{ 0 },
	};
	struct fixture *f = *state;

	show(f, 3.5, 20000, 0);
	assert_int_equal(run(f, levee_aws_task_logs, gone, NULL, 0), -EREMOTEIO);
	assert_int_equal(run(f, levee_aws_task_logs, there, NULL, 0), 0);
}

static bool count_acl(void *ctx, struct levee_aws_acl_counts *out)
{
	(void)ctx;
	*out = (struct levee_aws_acl_counts){ 18, 2, 19, 3 };
	return true;
}

static void assert_metric(const char *form, const char *name, const char *value)
{
	const char *at = strstr(form, name);
	char want[64];

	assert_non_null(at);
	snprintf(want, sizeof(want), ".Value=%s&", value);
	at = strstr(at, ".Timestamp=");
	assert_non_null(at);
	at = strstr(at, ".Value=");
	assert_non_null(at);
	if (strncmp(at, want, strlen(want)) != 0)
		fail_msg("%s: not %s but %.40s", name, value, at);
}

static void metrics_count_packets_once_and_what_the_acl_has(void **state)
{
	static const struct canned answers[] = { METRICS, { 0 } };
	struct fixture *f = *state;
	char request[16384];

	show(f, 3.5, 20000, 1000);
	assert_int_equal(run(f, levee_aws_task_metrics, answers, request, sizeof(request)), 0);
	assert_null(strstr(request, "DroppedPackets")); /* since when? */
	assert_metric(request, "BlockedSourceIPs", "1");
	show(f, 3.5, 20000, 1700);
	f->agent.options.acl = count_acl;
	assert_int_equal(run(f, levee_aws_task_metrics, answers, request, sizeof(request)), 0);
	assert_metric(request, "DroppedPackets", "700");
	assert_metric(request, "=BlockedSourceNetworks", "18");
	assert_metric(request, "UnblockedSourceNetworks", "2");
	assert_metric(request, "=BlockedSourceIPs", "19");
	assert_metric(request, "UnblockedSourceIPs", "3");
	assert_int_equal(run(f, levee_aws_task_metrics, answers, request, sizeof(request)), 0);
	assert_metric(request, "DroppedPackets", "0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(before_the_first_evaluation_there_is_nothing_to_say,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(sns_is_told_of_changes_and_of_nothing_else, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(nobody_flagged_at_the_start_is_no_news, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_message_that_failed_is_sent_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(sns_every_repeats_what_is_known, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_of_a_fleet_speaks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_topic_that_may_only_be_published_to_is_good,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_log_gets_new_and_changed_sources_and_each_hour_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stream_that_somebody_deleted_is_made_again,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(metrics_count_packets_once_and_what_the_acl_has,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
