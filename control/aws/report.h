/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What AWS is told of an evaluation, as requests: SNS messages, CloudWatch metrics, log records.
 * Pure: everything comes in, text comes out. Names, units and dimensions are those of the solution
 * that Levee takes over (auto-nacl), so that its subscribers, graphs and alarms go on.
 *
 * Each maker takes as many items as one request may hold and says how many these were:
 *
 *	do {
 *		levee_aws_text_clear(&text);
 *		taken = levee_sns_message(&text, list + done, n - done, LEVEE_SNS_BYTES);
 *		... send text ...
 *		done += taken;
 *	} while (done < n);
 */
#ifndef LEVEE_AWS_REPORT_H
#define LEVEE_AWS_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/aws/text.h"
#include "control/detect/detector.h"
#include "control/policy/blocks.h"
#include "dataplane/dataplane.h"

/* ---- SNS ---- */

#define LEVEE_SNS_BYTES (250 * 1024) /* of a message; the service takes 256 KiB */

/**
 * A JSON array of {"source_ip", "max_zscore", "max_packets"}, in the order given; that of a drill
 * also has "drill": true. source_ip is an
 * address, or for IPv6 a prefix with its length.
 * \return how many of the n findings are in it; 0 only for n = 0, which makes "[]"
 */
size_t levee_sns_message(struct levee_aws_text *out, const struct levee_finding *findings, size_t n,
			 size_t max_bytes);

/* ---- CloudWatch Logs ---- */

#define LEVEE_LOGS_EVENTS      10000   /* of a request */
#define LEVEE_LOGS_BYTES       1000000 /* of messages, each with LEVEE_LOGS_EVENT_BYTES more */
#define LEVEE_LOGS_EVENT_BYTES 26      /* that the service adds to each */

/** A blocked source. */
struct levee_log_record {
	struct levee_prefix source;
	double zscore; /* 0: blocked by hand */
	uint64_t packets;
	bool drill; /* of a drill: the record then says so */
};

/**
 * The body of PutLogEvents: records {"ip", "z_score", "packets"}, z to two decimals.
 * \param time_ms  of all of them [unix ms]
 * \return how many of the n records are in it
 */
size_t levee_logs_body(struct levee_aws_text *out, const char *group, const char *stream,
		       const struct levee_log_record *records, size_t n, int64_t time_ms);

/** The body of CreateLogStream. */
void levee_logs_stream_body(struct levee_aws_text *out, const char *group, const char *stream);

/* ---- CloudWatch metrics ---- */

#define LEVEE_METRICS_MAX     32   /* that levee_metrics_make() makes */
#define LEVEE_METRICS_REQUEST 1000 /* of a request */
#define LEVEE_METRICS_BYTES   900000

struct levee_metric {
	const char *name;
	const char *dimension; /* its name; NULL: none */
	const char *dimension_value;
	const char *unit; /* "Count", "Seconds" */
	double value;
};

/* What metrics are made from. Texts must outlive the metrics. */
struct levee_metric_inputs {
	const char *log_group;	 /* dimension LogGroupName */
	const char *vpc;	 /* dimension VpcId; NULL or "": these are left out */
	const char *instance_id; /* dimension InstanceId; NULL or "": these are left out */

	unsigned int window_s;
	unsigned int bin_s;
	uint64_t min_packets;
	size_t outliers; /* flagged sources */
	size_t sources;	 /* of the bin closed last */

	/* blocked: on the network ACL, or without one in the data path; unblocked: flagged, but
	 * the ACL has no room (the data path drops them all the same) */
	size_t blocked_networks, unblocked_networks;
	size_t blocked_ips, unblocked_ips;

	/* our own */
	const struct levee_account
		*account;		/* since the metrics before; NULL: these are the first */
	double mean, stddev, threshold; /* [packets/bin] */
	size_t blocks;			/* in the data path */
};

/** \return how many were written */
size_t levee_metrics_make(const struct levee_metric_inputs *in,
			  struct levee_metric out[static LEVEE_METRICS_MAX]);

/**
 * Parameters of PutMetricData, at a resolution of 1 s.
 * \return how many of the n metrics are in it
 */
size_t levee_metrics_form(struct levee_aws_text *form, const char *name_space,
			  const struct levee_metric *metrics, size_t n, int64_t time_s);

#endif
