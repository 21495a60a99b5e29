/* SPDX-License-Identifier: BSD-2-Clause */
/* Between agent.c, which has the thread and the lists, and agent_report.c, which reports. */
#ifndef LEVEE_AWS_AGENT_INTERNAL_H
#define LEVEE_AWS_AGENT_INTERNAL_H

#include <pthread.h>

#include "control/aws/discovery.h"
#include "control/aws/report.h"
#include "control/aws/s3_list.h"
#include "control/aws/agent.h"
#include "control/aws/session.h"
#include "control/aws/worker.h"

/* What SNS was told last: the named sources, by prefix. */
struct levee_aws_told {
	struct levee_finding *findings;
	size_t n;
	bool ever;
	bool looked; /* at the topic, so that a wrong one shows at the start and not at night */
	int64_t at_ms;
};

/* What is in the log: the blocked sources, by prefix, and the hour of the record. */
struct levee_aws_logged {
	struct levee_log_record *records;
	int64_t *hours;
	size_t n;
	uint64_t seq; /* of the snapshot */
	int64_t hour;
	bool stream_made;
};

/* Snapshots cost the controller's thread: they are looked at when something has happened. */
struct levee_aws_look {
	uint64_t event; /* newest of the board when it was looked at last */
	int more;	/* looks to come, because the snapshot follows its events */
	bool began;
};

struct levee_aws_agent {
	struct levee_aws_agent_options options;
	struct levee_aws_cancel cancel;
	struct levee_aws_env env;
	struct levee_worker *worker;
	bool registered;

	/* of the worker's thread alone */
	struct levee_aws_session *session; /* NULL: not open yet */
	bool refused;			   /* AWS does not accept who we are */
	bool identified;		   /* said who we are */
	struct levee_aws_place place;
	bool placed; /* place is known */
	struct levee_s3_list s3;
	char s3_copy[LEVEE_AWS_COPY_BYTES];
	struct levee_aws_told told;
	struct levee_aws_logged logged;
	struct levee_aws_look sns_look, logs_look;
	struct levee_account sent; /* total of the metrics before */
	bool sent_any;
	char host[65]; /* of this machine, where no instance id is known */

	pthread_mutex_t lock; /* of what the status shows */
	struct levee_aws_identity identity;
	char provider[512];
	char region[64], instance_id[32], vpc[32];
	size_t vpc_cidrs;
	size_t s3_prefixes, s3_bad_lines;
	uint64_t messages, metrics, records;
};

/** -EAGAIN until the session is open and accepted. */
int levee_aws_agent_ready(const struct levee_aws_agent *s);

/* Tasks. */
int levee_aws_task_sns(void *ctx, struct levee_aws_error *error);
int levee_aws_task_metrics(void *ctx, struct levee_aws_error *error);
int levee_aws_task_logs(void *ctx, struct levee_aws_error *error);

void levee_aws_reports_clear(struct levee_aws_agent *s);

#endif
