/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that runs tasks in turn: each at its interval, or when it is woken; after a failure
 * with back-off. AWS's calls block, for minutes if need be, so they have threads of their own.
 *
 *	struct levee_worker *worker = levee_worker_new("aws", &env);
 *	static const struct levee_worker_task task = { .name = "SNS", .every_ms = 1000,
 *						       .run = publish, .ctx = ... };
 *	levee_worker_add(worker, &task);
 *	levee_worker_start(worker);
 *	... levee_worker_wake(worker, "SNS") ...
 *	levee_aws_cancel_throw(&cancel);        env's: calls on their way end at once
 *	levee_worker_free(&worker);             stops and joins
 *
 * What fails is logged when it begins to fail, when it fails for another reason, and when it works
 * again; not every time.
 */
#ifndef LEVEE_AWS_WORKER_H
#define LEVEE_AWS_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "control/aws/env.h"
#include "control/aws/error.h"

#define LEVEE_WORKER_TASKS	  16
#define LEVEE_WORKER_RETRY_MS	  5000
#define LEVEE_WORKER_RETRY_MAX_MS 300000

struct levee_worker_task {
	const char *name;      /* for log and status; stays valid */
	uint32_t every_ms;     /* from the end of a run to the next one; 0: only when woken */
	uint32_t retry_ms;     /* wait after a failure, doubled each time, the last tenth random;
				* 0: LEVEE_WORKER_RETRY_MS */
	uint32_t retry_max_ms; /* 0: LEVEE_WORKER_RETRY_MAX_MS */
	/* One run. 0; -errno with error set; -EAGAIN: nothing could be done yet, which is no
	 * failure and is not logged. */
	int (*run)(void *ctx, struct levee_aws_error *error);
	/* Told when it begins to fail, fails for another reason, or works again (error->code "");
	 * may be NULL. */
	void (*changed)(void *ctx, const char *name, const struct levee_aws_error *error);
	void *ctx;
};

/** A task as it stands. Times are those of env->now_ms(); 0: never. */
struct levee_worker_status {
	const char *name;
	uint64_t runs;
	uint64_t failures;
	unsigned int in_a_row;	      /* failures since the last success */
	int64_t last_ms;	      /* end of the last run */
	int64_t success_ms;	      /* end of the last run that succeeded */
	int64_t failing_ms;	      /* since when it has been failing; 0: it is not */
	struct levee_aws_error error; /* of the last run; code "" if it succeeded */
};

struct levee_worker;

/** \param name  for the log, stays valid. \param env  copied. \return NULL without memory */
struct levee_worker *levee_worker_new(const char *name, const struct levee_aws_env *env);

/** Before levee_worker_start(). Every task runs at the start. \return 0; -ENOSPC */
int levee_worker_add(struct levee_worker *worker, const struct levee_worker_task *task);

/** \return 0; -errno if no thread can be made */
int levee_worker_start(struct levee_worker *worker);

/** Run a task as soon as its turn comes; while it backs off, at the end of that. Any thread. */
void levee_worker_wake(struct levee_worker *worker, const char *name);

/** Any thread. \return how many tasks there are; at most `max` are written */
size_t levee_worker_status(struct levee_worker *worker, struct levee_worker_status *out,
			   size_t max);

/** Stop after the task that is running, join, free. Accepts NULL inside. */
void levee_worker_free(struct levee_worker **worker);

/** What the thread does in one go, for tests: run what is due. \return ms until something is */
uint32_t levee_worker_turn(struct levee_worker *worker);

#endif
