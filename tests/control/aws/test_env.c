/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/env.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct fixture {
	struct levee_aws_cancel cancel;
	struct levee_aws_env env;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(levee_aws_cancel_init(&f->cancel), 0);
	f->env = levee_aws_env_process(&f->cancel);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_cancel_free(&f->cancel);
	free(f);
	return 0;
}

static void *throw_it(void *ctx)
{
	levee_aws_cancel_throw(ctx);
	return NULL;
}

static void a_wait_ends_when_another_thread_calls_it_off(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	assert_false(f->env.cancelled(f->env.ctx));
	assert_int_equal(f->env.sleep_ms(f->env.ctx, 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, throw_it, &f->cancel), 0);
	/* would be a day */
	assert_int_equal(f->env.sleep_ms(f->env.ctx, 86400000), -ECANCELED);
	pthread_join(thread, NULL);
	assert_true(f->env.cancelled(f->env.ctx));
	levee_aws_cancel_throw(&f->cancel);
	assert_int_equal(f->env.sleep_ms(f->env.ctx, 86400000), -ECANCELED);
	assert_int_equal(f->env.sleep_ms(f->env.ctx, 0), -ECANCELED);
}

static void an_empty_variable_is_as_good_as_none(void **state)
{
	struct fixture *f = *state;

	setenv("LEVEE_TEST_VARIABLE", "", 1);
	assert_null(levee_aws_env_get(&f->env, "LEVEE_TEST_VARIABLE"));
	setenv("LEVEE_TEST_VARIABLE", "True", 1);
	assert_string_equal(levee_aws_env_get(&f->env, "LEVEE_TEST_VARIABLE"), "True");
	assert_true(levee_aws_env_true(&f->env, "LEVEE_TEST_VARIABLE"));
	setenv("LEVEE_TEST_VARIABLE", "1", 1);
	assert_false(levee_aws_env_true(&f->env, "LEVEE_TEST_VARIABLE"));
	unsetenv("LEVEE_TEST_VARIABLE");
	assert_null(levee_aws_env_get(&f->env, "LEVEE_TEST_VARIABLE"));
}

static void time_and_chance_are_real(void **state)
{
	struct fixture *f = *state;
	int64_t now = (int64_t)time(NULL);

	assert_in_range(levee_aws_env_now_s(&f->env), now - 1, now + 60);
	assert_true(f->env.random(f->env.ctx) != f->env.random(f->env.ctx));
}

#define fixed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixed(a_wait_ends_when_another_thread_calls_it_off),
		fixed(an_empty_variable_is_as_good_as_none),
		fixed(time_and_chance_are_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
