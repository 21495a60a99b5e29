/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/allowance.h"

static void what_was_there_before_is_no_news(void **state)
{
	struct levee_allowance a = { 0 };

	(void)state;
	levee_allowance_begin(&a);
	levee_allowance_note(&a, 0, 1000);
	levee_allowance_note(&a, 1, 5);
	assert_int_equal(a.exceeded, 0);
	levee_allowance_begin(&a);
	levee_allowance_note(&a, 0, 1400);
	levee_allowance_note(&a, 1, 6);
	assert_int_equal(a.exceeded, 401);
	levee_allowance_begin(&a);
	levee_allowance_note(&a, 0, 1400);
	levee_allowance_note(&a, 1, 6);
	assert_int_equal(a.exceeded, 0);
	assert_int_equal(a.total, 401);
}

static void a_driver_that_was_reset_counts_from_0(void **state)
{
	struct levee_allowance a = { 0 };

	(void)state;
	levee_allowance_note(&a, 0, 1000);
	levee_allowance_begin(&a);
	levee_allowance_note(&a, 0, 7);
	assert_int_equal(a.exceeded, 7);
}

static void what_cannot_be_read_is_an_error(void **state)
{
	uint64_t value;

	(void)state;
	assert_true(levee_ethtool_stat("lo", LEVEE_ALLOWANCE_STAT, &value) < 0);
	assert_true(levee_ethtool_stat("levee-none", LEVEE_ALLOWANCE_STAT, &value) < 0);
	assert_int_equal(levee_ethtool_stat("a-name-that-is-too-long", "x", &value), -ENODEV);
}

/* In a network namespace of its own, with a driver whose statistics are known. */
static int read_of_veth(void)
{
	uint64_t value = 0;

	if (unshare(CLONE_NEWNET))
		return 77;
	if (system("ip link add va type veth peer name vb"))
		return 77;
	if (levee_ethtool_stat("va", "peer_ifindex", &value) || !value)
		return 1;
	return levee_ethtool_stat("va", LEVEE_ALLOWANCE_STAT, &value) == -ENOENT ? 0 : 2;
}

static void a_statistic_is_read_by_its_name(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (!child)
		_exit(read_of_veth());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* root is needed to make an interface */
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_there_before_is_no_news),
		cmocka_unit_test(a_driver_that_was_reset_counts_from_0),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
		cmocka_unit_test(a_statistic_is_read_by_its_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
