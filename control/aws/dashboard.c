/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/dashboard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"

#define WIDTH  12 /* of 24 columns */
#define HEIGHT 6

struct board {
	struct levee_json j;
	const struct levee_dashboard *d;
	int n; /* widgets so far */
};

static void begin_widget(struct board *b, const char *type, const char *title, int width)
{
	levee_json_object(&b->j, NULL);
	levee_json_string(&b->j, "type", type);
	levee_json_int(&b->j, "x", b->n % 2 * WIDTH);
	levee_json_int(&b->j, "y", b->n / 2 * HEIGHT);
	levee_json_int(&b->j, "width", width);
	levee_json_int(&b->j, "height", HEIGHT);
	levee_json_object(&b->j, "properties");
	levee_json_string(&b->j, "title", title);
	levee_json_string(&b->j, "region", b->d->region);
	b->n++;
}

static void end_widget(struct board *b)
{
	levee_json_end(&b->j);
	levee_json_end(&b->j);
}

/* Periods that CloudWatch knows below a minute. */
static unsigned int period_s(const struct board *b)
{
	static const unsigned int periods[] = { 60, 30, 10, 5 };

	for (size_t i = 0; i < sizeof(periods) / sizeof(periods[0]); i++)
		if (b->d->bin_s >= periods[i])
			return periods[i];
	return 1;
}

static void begin_graph(struct board *b, const char *title, const char *stat)
{
	begin_widget(b, "metric", title, WIDTH);
	levee_json_string(&b->j, "view", "timeSeries");
	levee_json_bool(&b->j, "stacked", false);
	levee_json_string(&b->j, "stat", stat);
	levee_json_int(&b->j, "period", period_s(b));
	levee_json_array(&b->j, "metrics");
}

static void end_graph(struct board *b)
{
	levee_json_end(&b->j);
	end_widget(b);
}

/* One line: a metric with one dimension. */
static void add_metric(struct board *b, const char *name, const char *dimension, const char *value,
		       const char *label)
{
	levee_json_array(&b->j, NULL);
	levee_json_string(&b->j, NULL, b->d->name_space);
	levee_json_string(&b->j, NULL, name);
	levee_json_string(&b->j, NULL, dimension);
	levee_json_string(&b->j, NULL, value);
	levee_json_object(&b->j, NULL);
	levee_json_string(&b->j, "label", label);
	levee_json_end(&b->j);
	levee_json_end(&b->j);
}

/* One line: a formula over metrics of all instances, which come and go with the fleet. */
static void add_expression(struct board *b, const char *id, const char *expression,
			   const char *label)
{
	levee_json_array(&b->j, NULL);
	levee_json_object(&b->j, NULL);
	levee_json_string(&b->j, "id", id);
	levee_json_string(&b->j, "expression", expression);
	levee_json_string(&b->j, "label", label);
	levee_json_end(&b->j);
	levee_json_end(&b->j);
}

static void search(const struct board *b, char *out, size_t size, const char *function,
		   const char *metric, const char *stat)
{
	snprintf(out, size, "%s(SEARCH('{\"%s\",InstanceId} MetricName=\"%s\"', '%s', %u))",
		 function, b->d->name_space, metric, stat, period_s(b));
}

/* Packets that reached the application: counted, and those of allowed sources. */
static void graph_allowed(struct board *b)
{
	char text[512];

	begin_graph(b, "Network traffic: allowed (packets)", "Sum");
	search(b, text, sizeof(text), "SUM", "CountedPackets", "Sum");
	add_expression(b, "counted", text, "counted");
	search(b, text, sizeof(text), "SUM", "AllowedPackets", "Sum");
	add_expression(b, "allowed", text, "on the allow list");
	end_graph(b);
}

static void graph_rejected(struct board *b)
{
	char text[512];

	begin_graph(b, "Network traffic: rejected (packets)", "Sum");
	search(b, text, sizeof(text), "SUM", "DroppedPackets", "Sum");
	add_expression(b, "dropped", text, "dropped");
	search(b, text, sizeof(text), "SUM", "WouldDropPackets", "Sum");
	add_expression(b, "audit", text, "would be dropped (audit)");
	end_graph(b);
}

static void graph_sources(struct board *b)
{
	begin_graph(b, "All source IPs", "Maximum");
	add_metric(b, "UniqueSourceIPs", "LogGroupName", b->d->metrics_log_group, "sources");
	end_graph(b);
}

static void graph_networks(struct board *b)
{
	begin_graph(b, "Anomalous source networks", "Maximum");
	add_metric(b, "BlockedSourceNetworks", "VpcId", b->d->vpc, "blocked");
	add_metric(b, "UnblockedSourceNetworks", "VpcId", b->d->vpc, "not blocked");
	end_graph(b);
}

static void graph_ips(struct board *b)
{
	begin_graph(b, "Anomalous source IPs", "Maximum");
	add_metric(b, "BlockedSourceIPs", "VpcId", b->d->vpc, "blocked");
	add_metric(b, "UnblockedSourceIPs", "VpcId", b->d->vpc, "not blocked");
	end_graph(b);
}

/* threshold = min_zscore * stddev + mean, of the worst instance. */
static void graph_statistics(struct board *b)
{
	char text[512];

	begin_graph(b, "Packet statistics (packets per source and bin)", "Maximum");
	search(b, text, sizeof(text), "MAX", "AveragePacketsPerBin", "Maximum");
	add_expression(b, "average", text, "average");
	search(b, text, sizeof(text), "MAX", "StdDevPacketsPerBin", "Maximum");
	add_expression(b, "deviation", text, "standard deviation");
	snprintf(text, sizeof(text), "%g * deviation + average", b->d->min_zscore);
	add_expression(b, "threshold", text, "anomaly threshold");
	end_graph(b);
}

static void grid_blocked(struct board *b)
{
	char query[1024];

	if (!b->d->log_group || !*b->d->log_group)
		return;
	begin_widget(b, "log", "Blocked source IPs per hour", 2 * WIDTH);
	levee_json_string(&b->j, "view", "table");
	snprintf(query, sizeof(query),
		 "SOURCE '%s' | filter ispresent(ip) | stats max(packets) as Packets, max(z_score) "
		 "as ZScore by bin(1h) as Hour, ip | sort Hour desc, ZScore desc | limit 1000",
		 b->d->log_group);
	levee_json_string(&b->j, "query", query);
	end_widget(b);
}

static void write_board(struct board *b)
{
	levee_json_object(&b->j, NULL);
	levee_json_string(&b->j, "periodOverride", "inherit");
	levee_json_string(&b->j, "start", "-PT3H");
	levee_json_array(&b->j, "widgets");
	graph_allowed(b);
	graph_rejected(b);
	graph_sources(b);
	graph_networks(b);
	graph_ips(b);
	graph_statistics(b);
	grid_blocked(b);
	levee_json_end(&b->j);
	levee_json_end(&b->j);
}

void levee_dashboard_body(struct levee_aws_text *out, const struct levee_dashboard *dashboard)
{
	struct board b = { .d = dashboard };
	char *bytes = NULL;
	size_t n = 0;
	FILE *stream = open_memstream(&bytes, &n);

	if (!stream) {
		out->error = out->error ? out->error : -ENOMEM;
		return;
	}
	levee_json_begin(&b.j, stream);
	write_board(&b);
	if (fclose(stream) == 0)
		levee_aws_text_add(out, bytes, n);
	else
		out->error = out->error ? out->error : -ENOMEM;
	free(bytes);
}
