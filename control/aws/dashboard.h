/* SPDX-License-Identifier: BSD-2-Clause */
/* The CloudWatch dashboard: the six graphs and the grid that auto-nacl's users know. Pure. */
#ifndef LEVEE_AWS_DASHBOARD_H
#define LEVEE_AWS_DASHBOARD_H

#include <stdint.h>

#include "control/aws/text.h"

#define LEVEE_DASHBOARD_BYTES (64 * 1024)

struct levee_dashboard {
	const char *region;
	const char *name_space;	       /* of the metrics */
	const char *metrics_log_group; /* dimension LogGroupName */
	const char *vpc;	       /* dimension VpcId */
	const char *log_group;	       /* of the blocked sources; NULL or "": no grid */
	double min_zscore;
	unsigned int bin_s;
};

/** The body as JSON. An error sticks in the text. */
void levee_dashboard_body(struct levee_aws_text *out, const struct levee_dashboard *dashboard);

#endif
