/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/aws/client.h"

/* As few digits as read back to the same number. */
static void format_number(double value, char *out, size_t size)
{
	if (!isfinite(value)) {
		snprintf(out, size, "0"); /* neither JSON nor CloudWatch has a word for it */
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, size, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			return;
	}
}

/* ---- SNS ---- */

size_t levee_sns_message(struct levee_aws_text *out, const struct levee_finding *findings, size_t n,
			 size_t max_bytes)
{
	size_t taken;

	levee_aws_text_putc(out, '[');
	for (taken = 0; taken < n; taken++) {
		const struct levee_finding *f = &findings[taken];
		char source[LEVEE_PREFIX_TEXT], zscore[40], item[256];
		int len;

		format_number(f->max_zscore, zscore, sizeof(zscore));
		len = snprintf(item, sizeof(item),
			       "%s{\"source_ip\": \"%s\", \"max_zscore\": %s, "
			       "\"max_packets\": %" PRIu64 "%s}",
			       taken ? ", " : "", levee_prefix_format(&f->source, source), zscore,
			       f->max_packets,
			       f->marks & LEVEE_BLOCK_DRILL ? ", \"drill\": true" : "");
		if (taken > 0 && out->n + (size_t)len + 1 > max_bytes)
			break;
		levee_aws_text_add(out, item, (size_t)len);
	}
	levee_aws_text_putc(out, ']');
	return taken;
}

/* ---- CloudWatch Logs ---- */

/* Names are made of characters that JSON takes as they are: control/config.c. */
static void add_names(struct levee_aws_text *out, const char *group, const char *stream)
{
	levee_aws_text_printf(out, "{\"logGroupName\": \"%s\", \"logStreamName\": \"%s\"", group,
			      stream);
}

size_t levee_logs_body(struct levee_aws_text *out, const char *group, const char *stream,
		       const struct levee_log_record *records, size_t n, int64_t time_ms)
{
	size_t taken, bytes = 0;

	add_names(out, group, stream);
	levee_aws_text_puts(out, ", \"logEvents\": [");
	for (taken = 0; taken < n && taken < LEVEE_LOGS_EVENTS; taken++) {
		const struct levee_log_record *r = &records[taken];
		char source[LEVEE_PREFIX_TEXT], message[192];
		int len = snprintf(message, sizeof(message),
				   "{\\\"ip\\\": \\\"%s\\\", \\\"z_score\\\": %.2f, "
				   "\\\"packets\\\": %" PRIu64 "%s}",
				   levee_prefix_format(&r->source, source),
				   isfinite(r->zscore) ? r->zscore : 0.0, r->packets,
				   r->drill ? ", \\\"drill\\\": true" : "");

		bytes += (size_t)len + LEVEE_LOGS_EVENT_BYTES;
		if (taken > 0 && bytes > LEVEE_LOGS_BYTES)
			break;
		levee_aws_text_printf(out, "%s{\"timestamp\": %" PRId64 ", \"message\": \"%s\"}",
				      taken ? ", " : "", time_ms, message);
	}
	levee_aws_text_puts(out, "]}");
	return taken;
}

void levee_logs_stream_body(struct levee_aws_text *out, const char *group, const char *stream)
{
	add_names(out, group, stream);
	levee_aws_text_putc(out, '}');
}

/* ---- CloudWatch metrics ---- */

struct maker {
	struct levee_metric *out;
	size_t n;
	const char *dimension, *dimension_value;
};

static void make(struct maker *m, const char *name, const char *unit, double value)
{
	m->out[m->n++] = (struct levee_metric){ .name = name,
						.dimension = m->dimension,
						.dimension_value = m->dimension_value,
						.unit = unit,
						.value = value };
}

static void make_settings(struct maker *m, const struct levee_metric_inputs *in)
{
	m->dimension = "LogGroupName";
	m->dimension_value = in->log_group;
	make(m, "TimeWindow", "Seconds", in->window_s);
	make(m, "BinInterval", "Seconds", in->bin_s);
	/* Seconds is what auto-nacl says of it, and what its alarms were made for. */
	make(m, "MinPacketsPerBin", "Seconds", (double)in->min_packets);
	make(m, "OutlierSourceIPs", "Count", (double)in->outliers);
	make(m, "UniqueSourceIPs", "Count", (double)in->sources);
}

static void make_acl(struct maker *m, const struct levee_metric_inputs *in)
{
	m->dimension = "VpcId";
	m->dimension_value = in->vpc;
	make(m, "BlockedSourceNetworks", "Count", (double)in->blocked_networks);
	make(m, "UnblockedSourceNetworks", "Count", (double)in->unblocked_networks);
	make(m, "BlockedSourceIPs", "Count", (double)in->blocked_ips);
	make(m, "UnblockedSourceIPs", "Count", (double)in->unblocked_ips);
}

static void make_own(struct maker *m, const struct levee_metric_inputs *in)
{
	const struct levee_account *a = in->account;

	m->dimension = "InstanceId";
	m->dimension_value = in->instance_id;
	make(m, "LocalBlocks", "Count", (double)in->blocks);
	make(m, "AveragePacketsPerBin", "Count", in->mean);
	make(m, "StdDevPacketsPerBin", "Count", in->stddev);
	make(m, "AnomalyThreshold", "Count", in->threshold);
	if (!a)
		return;
	make(m, "ReceivedPackets", "Count", (double)a->received);
	make(m, "CountedPackets", "Count", (double)a->outcome[LEVEE_COUNTED]);
	make(m, "DroppedPackets", "Count", (double)a->outcome[LEVEE_DROPPED]);
	make(m, "AllowedPackets", "Count", (double)a->outcome[LEVEE_ALLOWED]);
	make(m, "OutOfScopePackets", "Count", (double)a->outcome[LEVEE_OUT_OF_SCOPE]);
	make(m, "UnparsedPackets", "Count", (double)a->outcome[LEVEE_UNPARSED]);
	make(m, "WouldDropPackets", "Count", (double)a->would_drop);
}

size_t levee_metrics_make(const struct levee_metric_inputs *in,
			  struct levee_metric out[static LEVEE_METRICS_MAX])
{
	struct maker m = { .out = out };

	make_settings(&m, in);
	if (in->vpc && *in->vpc)
		make_acl(&m, in);
	if (in->instance_id && *in->instance_id)
		make_own(&m, in);
	return m.n;
}

static void add_metric(struct levee_aws_text *form, size_t i, const struct levee_metric *metric,
		       const char *when)
{
	unsigned int member = (unsigned int)i + 1;
	char value[40];

	format_number(metric->value, value, sizeof(value));
	levee_aws_form_add(form, metric->name, "MetricData.member.%u.MetricName", member);
	if (metric->dimension) {
		levee_aws_form_add(form, metric->dimension,
				   "MetricData.member.%u.Dimensions.member.1.Name", member);
		levee_aws_form_add(form, metric->dimension_value,
				   "MetricData.member.%u.Dimensions.member.1.Value", member);
	}
	levee_aws_form_add(form, when, "MetricData.member.%u.Timestamp", member);
	levee_aws_form_add(form, value, "MetricData.member.%u.Value", member);
	levee_aws_form_add(form, metric->unit, "MetricData.member.%u.Unit", member);
	levee_aws_form_add(form, "1", "MetricData.member.%u.StorageResolution", member);
}

size_t levee_metrics_form(struct levee_aws_text *form, const char *name_space,
			  const struct levee_metric *metrics, size_t n, int64_t time_s)
{
	time_t t = (time_t)time_s;
	char when[32] = "";
	struct tm tm;
	size_t taken;

	if (gmtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	levee_aws_form_add(form, name_space, "Namespace");
	for (taken = 0; taken < n && taken < LEVEE_METRICS_REQUEST; taken++) {
		if (form->n > LEVEE_METRICS_BYTES)
			break;
		add_metric(form, taken, &metrics[taken], when);
	}
	return taken;
}
