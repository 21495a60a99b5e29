/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static struct levee_prefix prefix(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static struct levee_finding finding(const char *source, double zscore, uint64_t packets)
{
	return (struct levee_finding){ .source = prefix(source),
				       .max_zscore = zscore,
				       .max_packets = packets };
}

static json_t *parse(const struct levee_aws_text *text)
{
	json_t *json;

	assert_int_equal(levee_aws_text_error(text), 0);
	json = json_loadb(text->bytes, text->n, 0, NULL);
	assert_non_null(json);
	return json;
}

static const char *string_of(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	assert_non_null(value);
	return value;
}

/* ---- SNS ---- */

static void a_message_has_the_schema_that_subscribers_know(void **state)
{
	const struct levee_finding findings[] = {
		finding("203.0.113.5", 3.3166247903554, 20000),
		finding("2001:db8:0:1::/64", 3.1, 12001),
	};
	struct levee_aws_text text;
	json_t *json, *first, *second;

	(void)state;
	levee_aws_text_init(&text, 4096);
	assert_int_equal(levee_sns_message(&text, findings, 2, LEVEE_SNS_BYTES), 2);
	json = parse(&text);
	assert_int_equal(json_array_size(json), 2);
	first = json_array_get(json, 0);
	second = json_array_get(json, 1);
	assert_int_equal(json_object_size(first), 3);
	assert_string_equal(string_of(first, "source_ip"), "203.0.113.5");
	assert_true(json_real_value(json_object_get(first, "max_zscore")) == 3.3166247903554);
	assert_int_equal(json_integer_value(json_object_get(first, "max_packets")), 20000);
	assert_string_equal(string_of(second, "source_ip"), "2001:db8:0:1::/64");
	json_decref(json);
	levee_aws_text_free(&text);
}

static void a_drill_is_marked_and_nothing_else_is(void **state)
{
	struct levee_finding findings[] = { finding("203.0.113.5", 4, 20000),
					    finding("198.51.100.7", 3.5, 20000) };
	struct levee_log_record record = { .source = prefix("198.51.100.7"), .drill = true };
	struct levee_aws_text text;
	json_t *json;

	(void)state;
	findings[1].marks = LEVEE_BLOCK_DRILL;
	levee_aws_text_init(&text, 4096);
	levee_sns_message(&text, findings, 2, LEVEE_SNS_BYTES);
	json = parse(&text);
	assert_null(json_object_get(json_array_get(json, 0), "drill"));
	assert_true(json_is_true(json_object_get(json_array_get(json, 1), "drill")));
	json_decref(json);
	levee_aws_text_free(&text);

	levee_aws_text_init(&text, 4096);
	assert_int_equal(levee_logs_body(&text, "g", "s", &record, 1, 0), 1);
	json = parse(&text);
	assert_non_null(
		strstr(string_of(json_array_get(json_object_get(json, "logEvents"), 0), "message"),
		       "\"drill\": true}"));
	json_decref(json);
	levee_aws_text_free(&text);
}

static void nobody_flagged_is_an_empty_array(void **state)
{
	struct levee_aws_text text;

	(void)state;
	levee_aws_text_init(&text, 64);
	assert_int_equal(levee_sns_message(&text, NULL, 0, LEVEE_SNS_BYTES), 0);
	assert_string_equal(levee_aws_text_string(&text), "[]");
	levee_aws_text_free(&text);
}

/* All parts are arrays of their own, none is too large, and together they are the list. */
static void a_long_list_is_split_below_the_limit(void **state)
{
	enum { N = 10000 };
	struct levee_finding *findings = calloc(N, sizeof(*findings));
	struct levee_aws_text text;
	size_t done = 0, parts = 0;

	(void)state;
	assert_non_null(findings);
	for (unsigned int i = 0; i < N; i++) {
		char source[32];

		snprintf(source, sizeof(source), "198.18.%u.%u", i / 256, i % 256);
		findings[i] = finding(source, 1000.0 / (i + 3), UINT64_C(1) << 47);
	}
	levee_aws_text_init(&text, LEVEE_SNS_BYTES);
	while (done < N) {
		size_t taken;
		json_t *json;

		levee_aws_text_clear(&text);
		taken = levee_sns_message(&text, findings + done, N - done, LEVEE_SNS_BYTES);
		assert_true(taken > 0);
		assert_true(text.n <= LEVEE_SNS_BYTES);
		json = parse(&text);
		assert_int_equal(json_array_size(json), taken);
		for (size_t i = 0; i < taken; i++) {
			char source[LEVEE_PREFIX_TEXT];

			assert_string_equal(
				string_of(json_array_get(json, i), "source_ip"),
				levee_prefix_format(&findings[done + i].source, source));
		}
		json_decref(json);
		done += taken;
		parts++;
	}
	assert_int_equal(done, N);
	assert_true(parts > 2);
	levee_aws_text_free(&text);
	free(findings);
}

static void one_source_always_fits(void **state)
{
	const struct levee_finding findings[] = { finding("203.0.113.5", 4, 1),
						  finding("203.0.113.6", 4, 1) };
	struct levee_aws_text text;

	(void)state;
	levee_aws_text_init(&text, 4096);
	assert_int_equal(levee_sns_message(&text, findings, 2, 1), 1);
	json_decref(parse(&text));
	levee_aws_text_free(&text);
}

/* ---- log records ---- */

static void log_records_have_the_schema_that_queries_know(void **state)
{
	const struct levee_log_record records[] = {
		{ prefix("203.0.113.5"), 3.31662, 20000, false },
		{ prefix("198.51.100.0/24"), 0, 0, false },
	};
	struct levee_aws_text text;
	json_t *json, *events, *record;

	(void)state;
	levee_aws_text_init(&text, 4096);
	assert_int_equal(levee_logs_body(&text, "/levee/blocked", "i-0", records, 2, 1700000000123),
			 2);
	json = parse(&text);
	assert_string_equal(string_of(json, "logGroupName"), "/levee/blocked");
	assert_string_equal(string_of(json, "logStreamName"), "i-0");
	events = json_object_get(json, "logEvents");
	assert_int_equal(json_array_size(events), 2);
	assert_int_equal(
		json_integer_value(json_object_get(json_array_get(events, 0), "timestamp")),
		1700000000123);
	record = json_loads(string_of(json_array_get(events, 0), "message"), 0, NULL);
	assert_int_equal(json_object_size(record), 3);
	assert_string_equal(string_of(record, "ip"), "203.0.113.5");
	assert_true(json_real_value(json_object_get(record, "z_score")) == 3.32);
	assert_int_equal(json_integer_value(json_object_get(record, "packets")), 20000);
	json_decref(record);
	json_decref(json);
	levee_aws_text_free(&text);
}

static void log_requests_stay_below_both_limits(void **state)
{
	enum { N = 25000 };
	struct levee_log_record *records = calloc(N, sizeof(*records));
	struct levee_aws_text text;
	size_t done = 0;

	(void)state;
	assert_non_null(records);
	for (size_t i = 0; i < N; i++)
		records[i] = (struct levee_log_record){ .source = prefix("2001:db8:1111:2222::/64"),
							.zscore = 3.5,
							.packets = UINT64_MAX };
	levee_aws_text_init(&text, 4 * 1024 * 1024);
	while (done < N) {
		size_t taken, bytes = 0, i;
		json_t *json, *event;

		levee_aws_text_clear(&text);
		taken = levee_logs_body(&text, "g", "s", records + done, N - done, 1);
		assert_true(taken > 0 && taken <= 10000);
		json = parse(&text);
		json_array_foreach(json_object_get(json, "logEvents"), i, event)
			bytes += strlen(string_of(event, "message")) + 26;
		assert_true(bytes <= 1048576);
		assert_int_equal(i, taken);
		json_decref(json);
		done += taken;
	}
	levee_aws_text_free(&text);
	free(records);
}

/* ---- metrics ---- */

static const struct levee_metric *find(const struct levee_metric *metrics, size_t n,
				       const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(metrics[i].name, name) == 0)
			return &metrics[i];
	return NULL;
}

static const struct levee_account account = {
	.received = 100, .outcome = { [LEVEE_COUNTED] = 60, [LEVEE_DROPPED] = 40 }
};

static struct levee_metric_inputs inputs(void)
{
	return (struct levee_metric_inputs){ .log_group = "flows",
					     .vpc = "vpc-1",
					     .instance_id = "i-1",
					     .window_s = 3600,
					     .bin_s = 60,
					     .min_packets = 12000,
					     .outliers = 3,
					     .sources = 70,
					     .blocked_networks = 18,
					     .unblocked_networks = 2,
					     .blocked_ips = 19,
					     .unblocked_ips = 2,
					     .account = &account,
					     .mean = 1.5,
					     .stddev = 2.5,
					     .threshold = 9,
					     .blocks = 21 };
}

static void metrics_have_the_names_that_alarms_know(void **state)
{
	static const struct {
		const char *name, *dimension, *value, *unit;
		double is;
	} want[] = {
		{ "TimeWindow", "LogGroupName", "flows", "Seconds", 3600 },
		{ "BinInterval", "LogGroupName", "flows", "Seconds", 60 },
		{ "MinPacketsPerBin", "LogGroupName", "flows", "Seconds", 12000 },
		{ "OutlierSourceIPs", "LogGroupName", "flows", "Count", 3 },
		{ "UniqueSourceIPs", "LogGroupName", "flows", "Count", 70 },
		{ "BlockedSourceNetworks", "VpcId", "vpc-1", "Count", 18 },
		{ "UnblockedSourceNetworks", "VpcId", "vpc-1", "Count", 2 },
		{ "BlockedSourceIPs", "VpcId", "vpc-1", "Count", 19 },
		{ "UnblockedSourceIPs", "VpcId", "vpc-1", "Count", 2 },
		{ "ReceivedPackets", "InstanceId", "i-1", "Count", 100 },
		{ "DroppedPackets", "InstanceId", "i-1", "Count", 40 },
		{ "AnomalyThreshold", "InstanceId", "i-1", "Count", 9 },
	};
	struct levee_metric metrics[LEVEE_METRICS_MAX];
	struct levee_metric_inputs in = inputs();
	size_t n = levee_metrics_make(&in, metrics);

	(void)state;
	assert_true(n <= LEVEE_METRICS_MAX);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct levee_metric *m = find(metrics, n, want[i].name);

		assert_non_null(m);
		assert_string_equal(m->dimension, want[i].dimension);
		assert_string_equal(m->dimension_value, want[i].value);
		assert_string_equal(m->unit, want[i].unit);
		assert_true(m->value == want[i].is);
	}
}

static void metrics_without_their_dimension_are_left_out(void **state)
{
	struct levee_metric metrics[LEVEE_METRICS_MAX];
	struct levee_metric_inputs in = inputs();
	size_t n;

	(void)state;
	in.vpc = "";
	in.account = NULL;
	n = levee_metrics_make(&in, metrics);
	assert_null(find(metrics, n, "BlockedSourceIPs"));
	assert_null(find(metrics, n, "DroppedPackets"));
	assert_non_null(find(metrics, n, "LocalBlocks"));
	in.instance_id = NULL;
	n = levee_metrics_make(&in, metrics);
	assert_int_equal(n, 5);
}

static void a_form_holds_metrics_as_the_service_wants_them(void **state)
{
	const struct levee_metric metrics[] = {
		{ "A", "VpcId", "vpc-1", "Count", 1.5 },
		{ "B", NULL, NULL, "Seconds", INFINITY },
	};
	struct levee_aws_text form;

	(void)state;
	levee_aws_text_init(&form, 4096);
	assert_int_equal(levee_metrics_form(&form, "Auto NACL", metrics, 2, 1700000000), 2);
	assert_string_equal(levee_aws_text_string(&form),
			    "Namespace=Auto%20NACL&MetricData.member.1.MetricName=A"
			    "&MetricData.member.1.Dimensions.member.1.Name=VpcId"
			    "&MetricData.member.1.Dimensions.member.1.Value=vpc-1"
			    "&MetricData.member.1.Timestamp=2023-11-14T22%3A13%3A20Z"
			    "&MetricData.member.1.Value=1.5&MetricData.member.1.Unit=Count"
			    "&MetricData.member.1.StorageResolution=1"
			    "&MetricData.member.2.MetricName=B"
			    "&MetricData.member.2.Timestamp=2023-11-14T22%3A13%3A20Z"
			    "&MetricData.member.2.Value=0&MetricData.member.2.Unit=Seconds"
			    "&MetricData.member.2.StorageResolution=1");
	levee_aws_text_free(&form);
}

static void many_metrics_are_sent_in_batches(void **state)
{
	enum { N = 2500 };
	struct levee_metric *metrics = calloc(N, sizeof(*metrics));
	struct levee_aws_text form;
	size_t done = 0, batches = 0;

	(void)state;
	assert_non_null(metrics);
	for (size_t i = 0; i < N; i++)
		metrics[i] = (struct levee_metric){ "Name", "Dimension", "value", "Count", 1 };
	levee_aws_text_init(&form, 1000000);
	for (; done < N; batches++) {
		size_t taken;

		levee_aws_text_clear(&form);
		taken = levee_metrics_form(&form, "N", metrics + done, N - done, 1);
		assert_int_equal(form.error, 0);
		assert_true(taken > 0 && taken <= 1000);
		done += taken;
	}
	assert_int_equal(batches, 3);
	levee_aws_text_free(&form);
	free(metrics);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_has_the_schema_that_subscribers_know),
		cmocka_unit_test(nobody_flagged_is_an_empty_array),
		cmocka_unit_test(a_drill_is_marked_and_nothing_else_is),
		cmocka_unit_test(a_long_list_is_split_below_the_limit),
		cmocka_unit_test(one_source_always_fits),
		cmocka_unit_test(log_records_have_the_schema_that_queries_know),
		cmocka_unit_test(log_requests_stay_below_both_limits),
		cmocka_unit_test(metrics_have_the_names_that_alarms_know),
		cmocka_unit_test(metrics_without_their_dimension_are_left_out),
		cmocka_unit_test(a_form_holds_metrics_as_the_service_wants_them),
		cmocka_unit_test(many_metrics_are_sent_in_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
