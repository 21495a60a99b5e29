/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/aws/remedy.h"
#include "control/log.h"

#define IDLE_MS 60000 /* longest sleep, so that steps of the clock do no harm for long */

struct entry {
	struct levee_worker_task task;
	struct levee_worker_status status;
	int64_t due_ms; /* by env->now_ms(); INT64_MAX: when woken */
	bool backs_off;
	bool woken;
};

struct levee_worker {
	const char *name;
	struct levee_aws_env env;
	pthread_mutex_t lock; /* of what follows; not held while a task runs */
	pthread_cond_t changed;
	struct entry entries[LEVEE_WORKER_TASKS];
	size_t n;
	bool stop;
	bool started;
	pthread_t thread;
};

struct levee_worker *levee_worker_new(const char *name, const struct levee_aws_env *env)
{
	struct levee_worker *w = calloc(1, sizeof(*w));
	pthread_condattr_t attributes;

	if (!w)
		return NULL;
	w->name = name;
	w->env = *env;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	return w;
}

int levee_worker_add(struct levee_worker *worker, const struct levee_worker_task *task)
{
	struct entry *e = &worker->entries[worker->n];

	if (worker->n == LEVEE_WORKER_TASKS)
		return -ENOSPC;
	*e = (struct entry){ .task = *task, .woken = true, .due_ms = INT64_MAX };
	e->status.name = task->name;
	if (!e->task.retry_ms)
		e->task.retry_ms = LEVEE_WORKER_RETRY_MS;
	if (!e->task.retry_max_ms)
		e->task.retry_max_ms = LEVEE_WORKER_RETRY_MAX_MS;
	worker->n++;
	return 0;
}

void levee_worker_wake(struct levee_worker *worker, const char *name)
{
	pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; i < worker->n; i++)
		if (strcmp(worker->entries[i].task.name, name) == 0)
			worker->entries[i].woken = true;
	pthread_cond_signal(&worker->changed);
	pthread_mutex_unlock(&worker->lock);
}

size_t levee_worker_status(struct levee_worker *worker, struct levee_worker_status *out, size_t max)
{
	pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; i < worker->n && i < max; i++)
		out[i] = worker->entries[i].status;
	pthread_mutex_unlock(&worker->lock);
	return worker->n;
}

/* ---- one run, and what follows from it ---- */

/* retry_ms * 2^(failures - 1), at most retry_max_ms; of that, 90 to 100 %. */
static int64_t back_off_ms(const struct levee_worker *w, const struct entry *e)
{
	unsigned int doublings = e->status.in_a_row > 20 ? 20 : e->status.in_a_row - 1;
	int64_t ms = (int64_t)e->task.retry_ms << doublings;

	if (ms > e->task.retry_max_ms)
		ms = e->task.retry_max_ms;
	return ms - (int64_t)(w->env.random(w->env.ctx) % (uint64_t)(ms / 10 + 1));
}

static void say_failure(const struct levee_worker *w, const struct entry *e,
			const struct levee_aws_error *error, int64_t wait_ms)
{
	const char *id = error->request_id, *remedy = levee_aws_remedy(error);
	bool known = e->status.in_a_row > 1 && strcmp(e->status.error.code, error->code) == 0;

	levee_log(known ? LEVEE_LOG_DEBUG : LEVEE_LOG_WARNING,
		  "%s: %s: %s: %s%s%s%s%s%s. Next try in %lld s; local drops go on", w->name,
		  e->task.name, error->code, error->message, *id ? " (request " : "", id,
		  *id ? ")" : "", remedy ? "; " : "", remedy ? remedy : "",
		  (long long)((wait_ms + 999) / 1000));
	if (!known && e->task.changed)
		e->task.changed(e->task.ctx, e->task.name, error);
}

static void take_failure(struct levee_worker *w, struct entry *e,
			 const struct levee_aws_error *error, int64_t now_ms)
{
	struct levee_worker_status *s = &e->status;
	int64_t wait_ms;

	s->failures++;
	s->in_a_row++;
	if (!s->failing_ms)
		s->failing_ms = now_ms;
	wait_ms = back_off_ms(w, e);
	say_failure(w, e, error, wait_ms);
	s->error = *error;
	e->due_ms = now_ms + wait_ms;
	e->backs_off = true;
}

static void take_success(const struct levee_worker *w, struct entry *e, int64_t now_ms)
{
	struct levee_worker_status *s = &e->status;

	bool again = s->in_a_row > 0;

	if (again)
		levee_notice("%s: %s works again, after %u failure%s in %lld s", w->name,
			     e->task.name, s->in_a_row, s->in_a_row > 1 ? "s" : "",
			     (long long)(now_ms - s->failing_ms) / 1000);
	s->in_a_row = 0;
	s->failing_ms = 0;
	s->success_ms = now_ms;
	levee_aws_error_clear(&s->error);
	if (again && e->task.changed)
		e->task.changed(e->task.ctx, e->task.name, &s->error);
}

/* With the lock, which is given up while the task runs. */
static void run_entry(struct levee_worker *w, struct entry *e)
{
	struct levee_aws_error error = { 0 };
	int64_t now_ms;
	int ret;

	e->woken = false;
	e->backs_off = false;
	pthread_mutex_unlock(&w->lock);
	ret = e->task.run(e->task.ctx, &error);
	pthread_mutex_lock(&w->lock);
	now_ms = w->env.now_ms(w->env.ctx);
	e->status.runs++;
	e->status.last_ms = now_ms;
	e->due_ms = e->task.every_ms ? now_ms + e->task.every_ms : INT64_MAX;
	if (ret == -ECANCELED || ret == -EAGAIN)
		return;
	if (ret < 0)
		take_failure(w, e, &error, now_ms);
	else
		take_success(w, e, now_ms);
}

static bool is_due(const struct entry *e, int64_t now_ms)
{
	/* a clock that went back must not put a task off for longer than it would wait at most */
	int64_t longest_ms = e->backs_off ? e->task.retry_max_ms : e->task.every_ms;

	if (e->woken && !e->backs_off)
		return true;
	if (e->due_ms == INT64_MAX)
		return false;
	return now_ms >= e->due_ms || e->due_ms - now_ms > longest_ms;
}

/* With the lock. */
static uint32_t run_due(struct levee_worker *w)
{
	int64_t now_ms, left_ms = IDLE_MS;

	for (size_t i = 0; i < w->n && !w->stop; i++)
		if (is_due(&w->entries[i], w->env.now_ms(w->env.ctx)))
			run_entry(w, &w->entries[i]);
	now_ms = w->env.now_ms(w->env.ctx);
	for (size_t i = 0; i < w->n; i++) {
		const struct entry *e = &w->entries[i];

		if (is_due(e, now_ms))
			return 0;
		if (e->due_ms != INT64_MAX && e->due_ms - now_ms < left_ms)
			left_ms = e->due_ms - now_ms;
	}
	return (uint32_t)left_ms;
}

uint32_t levee_worker_turn(struct levee_worker *worker)
{
	uint32_t left_ms;

	pthread_mutex_lock(&worker->lock);
	left_ms = run_due(worker);
	pthread_mutex_unlock(&worker->lock);
	return left_ms;
}

/* ---- the thread ---- */

static void wait_ms(struct levee_worker *w, uint32_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&w->changed, &w->lock, &until);
}

static void *work(void *arg)
{
	struct levee_worker *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		uint32_t ms = run_due(w);

		if (!w->stop && ms > 0)
			wait_ms(w, ms);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals are the controller's. */
int levee_worker_start(struct levee_worker *worker)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = -pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->started = ret == 0;
	return ret;
}

void levee_worker_free(struct levee_worker **worker)
{
	struct levee_worker *w = *worker;

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	if (w->started)
		pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
	*worker = NULL;
}
