/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/worker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/aws.h"

/* A task that counts, and answers from a list: the last answer goes on. */
struct job {
	unsigned int runs;
	int answers[8];
	size_t n;
	const char *code;
	struct fake_env *env;
	uint32_t takes_ms;
};

static int run_job(void *ctx, struct levee_aws_error *error)
{
	struct job *job = ctx;
	int ret = job->n ? job->answers[job->runs < job->n ? job->runs : job->n - 1] : 0;

	job->runs++;
	if (job->env)
		job->env->now_ms += job->takes_ms;
	if (ret < 0)
		levee_aws_error_set(error, ret, job->code ? job->code : "Timeout", "canned");
	return ret;
}

struct fixture {
	struct fake_env env;
	struct levee_worker *worker;
	struct job a, b;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_env_init(&f->env);
	f->env.random = 0; /* back-off in full */
	f->worker = levee_worker_new("test", &f->env.env);
	assert_non_null(f->worker);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_worker_free(&f->worker);
	assert_null(f->worker);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *name, uint32_t every_ms, struct job *job)
{
	struct levee_worker_task task = { .name = name,
					  .every_ms = every_ms,
					  .retry_ms = 1000,
					  .retry_max_ms = 8000,
					  .run = run_job,
					  .ctx = job };

	assert_int_equal(levee_worker_add(f->worker, &task), 0);
}

static void tasks_run_at_once_and_then_at_their_interval(void **state)
{
	struct fixture *f = *state;

	add(f, "a", 1000, &f->a);
	add(f, "b", 3000, &f->b);
	assert_int_equal(levee_worker_turn(f->worker), 1000);
	for (int i = 0; i < 6; i++) {
		f->env.now_ms += 1000;
		levee_worker_turn(f->worker);
	}
	assert_int_equal(f->a.runs, 7);
	assert_int_equal(f->b.runs, 3);
}

static void the_interval_begins_when_a_run_ends(void **state)
{
	struct fixture *f = *state;

	f->a.env = &f->env;
	f->a.takes_ms = 5000;
	add(f, "a", 1000, &f->a);
	assert_int_equal(levee_worker_turn(f->worker), 1000);
	assert_int_equal(f->a.runs, 1);
}

static void a_failing_task_backs_off_and_leaves_the_others_alone(void **state)
{
	static const uint32_t waits[] = { 1000, 2000, 4000, 8000, 8000 };
	struct fixture *f = *state;
	struct levee_worker_status status[2];

	f->a = (struct job){ .answers = { -ETIMEDOUT }, .n = 1 };
	add(f, "a", 500, &f->a);
	add(f, "b", 100000, &f->b);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(levee_worker_turn(f->worker), waits[i]);
		assert_int_equal(f->a.runs, i + 1);
		f->env.now_ms += waits[i] - 1;
		levee_worker_turn(f->worker);
		assert_int_equal(f->a.runs, i + 1);
		f->env.now_ms += 1;
	}
	assert_int_equal(f->b.runs, 1);
	assert_int_equal(levee_worker_status(f->worker, status, 2), 2);
	assert_int_equal(status[0].failures, 5);
	assert_int_equal(status[0].in_a_row, 5);
	assert_string_equal(status[0].error.code, "Timeout");
	assert_int_equal(status[0].success_ms, 0);
	assert_int_equal(status[1].failures, 0);
	assert_string_equal(status[1].error.code, "");
}

static void a_success_ends_the_back_off(void **state)
{
	struct fixture *f = *state;
	struct levee_worker_status status;

	f->a = (struct job){ .answers = { -ETIMEDOUT, -ETIMEDOUT, 0 }, .n = 3 };
	add(f, "a", 500, &f->a);
	assert_int_equal(levee_worker_turn(f->worker), 1000);
	f->env.now_ms += 1000;
	assert_int_equal(levee_worker_turn(f->worker), 2000);
	f->env.now_ms += 2000;
	assert_int_equal(levee_worker_turn(f->worker), 500);
	levee_worker_status(f->worker, &status, 1);
	assert_int_equal(status.in_a_row, 0);
	assert_int_equal(status.failing_ms, 0);
	assert_int_equal(status.failures, 2);
	assert_int_equal(status.success_ms, f->env.now_ms);
}

static void waking_runs_a_task_now_but_not_one_that_backs_off(void **state)
{
	struct fixture *f = *state;

	f->b = (struct job){ .answers = { -EREMOTEIO }, .n = 1 };
	add(f, "a", 0, &f->a);
	add(f, "b", 0, &f->b);
	assert_int_equal(levee_worker_turn(f->worker), 1000);
	levee_worker_wake(f->worker, "a");
	levee_worker_wake(f->worker, "b");
	levee_worker_turn(f->worker);
	assert_int_equal(f->a.runs, 2);
	assert_int_equal(f->b.runs, 1);
	f->env.now_ms += 1000;
	levee_worker_turn(f->worker);
	assert_int_equal(f->a.runs, 2);
	assert_int_equal(f->b.runs, 2);
}

static void what_cannot_be_done_yet_is_no_failure(void **state)
{
	struct fixture *f = *state;
	struct levee_worker_status status;

	f->a = (struct job){ .answers = { -EAGAIN }, .n = 1 };
	add(f, "a", 700, &f->a);
	assert_int_equal(levee_worker_turn(f->worker), 700);
	levee_worker_status(f->worker, &status, 1);
	assert_int_equal(status.failures, 0);
	assert_int_equal(status.success_ms, 0);
}

static void a_clock_that_goes_back_does_not_stop_a_task(void **state)
{
	struct fixture *f = *state;

	add(f, "a", 1000, &f->a);
	levee_worker_turn(f->worker);
	f->env.now_ms -= 3600000;
	levee_worker_turn(f->worker);
	assert_int_equal(f->a.runs, 2);
}

static void there_is_room_for_so_many_tasks(void **state)
{
	struct fixture *f = *state;
	struct levee_worker_task task = { .name = "x", .run = run_job, .ctx = &f->a };

	for (int i = 0; i < LEVEE_WORKER_TASKS; i++)
		assert_int_equal(levee_worker_add(f->worker, &task), 0);
	assert_int_equal(levee_worker_add(f->worker, &task), -ENOSPC);
}

/* The thread itself, in real time. */
static atomic_int threaded_runs;

static int run_threaded(void *ctx, struct levee_aws_error *error)
{
	(void)ctx;
	(void)error;
	atomic_fetch_add(&threaded_runs, 1);
	return 0;
}

static void wait_for_runs(int n)
{
	for (int i = 0; i < 10000 && atomic_load(&threaded_runs) < n; i++)
		usleep(1000);
	assert_true(atomic_load(&threaded_runs) >= n);
}

static void the_thread_runs_wakes_and_stops(void **state)
{
	struct levee_worker_task task = { .name = "x", .run = run_threaded };
	struct levee_aws_cancel cancel;
	struct levee_aws_env env;
	struct levee_worker *worker;

	(void)state;
	assert_int_equal(levee_aws_cancel_init(&cancel), 0);
	env = levee_aws_env_process(&cancel);
	worker = levee_worker_new("thread", &env);
	assert_non_null(worker);
	assert_int_equal(levee_worker_add(worker, &task), 0);
	assert_int_equal(levee_worker_start(worker), 0);
	wait_for_runs(1);
	levee_worker_wake(worker, "x");
	wait_for_runs(2);
	levee_worker_free(&worker);
	levee_aws_cancel_free(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tasks_run_at_once_and_then_at_their_interval,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_interval_begins_when_a_run_ends, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(
			a_failing_task_backs_off_and_leaves_the_others_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_success_ends_the_back_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waking_runs_a_task_now_but_not_one_that_backs_off,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_done_yet_is_no_failure, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_clock_that_goes_back_does_not_stop_a_task, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(there_is_room_for_so_many_tasks, set_up, tear_down),
		cmocka_unit_test(the_thread_runs_wakes_and_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
