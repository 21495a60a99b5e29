/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/fleet/lease.h"

#define MS 1000000ULL

static struct levee_lease lease;

static int setup(void **state)
{
	(void)state;
	levee_lease_init(&lease, "a");
	return 0;
}

static void nobody_holds_a_lease_at_first(void **state)
{
	char claim[64] = "x";

	(void)state;
	levee_lease_claim(&lease, claim, sizeof(claim));
	assert_string_equal(claim, "");
	assert_false(levee_lease_held(&lease, 0));
}

static void a_granted_lease_is_held_for_less_than_the_engine_keeps_it(void **state)
{
	uint64_t sent = 1000 * MS;
	char claim[64];

	(void)state;
	assert_int_equal(levee_lease_answer(&lease, sent, sent, "a 7", true), 0);
	levee_lease_claim(&lease, claim, sizeof(claim));
	assert_string_equal(claim, "a 7");
	assert_true(levee_lease_held(&lease, sent));
	assert_true(levee_lease_held(&lease,
				     sent + (LEVEE_LEASE_TTL_MS - LEVEE_LEASE_SLACK_MS) * MS - 1));
	assert_false(
		levee_lease_held(&lease, sent + (LEVEE_LEASE_TTL_MS - LEVEE_LEASE_SLACK_MS) * MS));
	assert_true(LEVEE_LEASE_SLACK_MS >= LEVEE_LEASE_BEAT_MS);
}

static void it_counts_from_when_the_beat_was_sent_not_answered(void **state)
{
	(void)state;
	levee_lease_answer(&lease, 0, 0, "a 7", true);
	assert_false(levee_lease_held(&lease, LEVEE_LEASE_TTL_MS * MS));
}

static void a_call_waits_for_the_leader_before_and_ends_with_the_lease(void **state)
{
	uint64_t granted = 500 * MS, wait = LEVEE_LEASE_WAIT_MS * MS,
		 call = LEVEE_LEASE_CALL_MS * MS;
	uint64_t held = (LEVEE_LEASE_TTL_MS - LEVEE_LEASE_SLACK_MS) * MS, sent;

	(void)state;
	assert_true(levee_lease_call_until(&lease, 0) == 0);
	levee_lease_answer(&lease, 0, granted, "a 7", true);
	/* It is prolonged: that does not begin the wait anew. */
	sent = granted + wait - 1 * MS;
	levee_lease_answer(&lease, sent, sent, "a 7", true);
	assert_true(levee_lease_call_until(&lease, granted + wait - 1) == 0);
	assert_true(levee_lease_call_until(&lease, granted + wait) == sent + held);
	assert_true(levee_lease_call_until(&lease, sent + held - call) == sent + held);
	assert_true(levee_lease_call_until(&lease, sent + held - call + 1) == 0);
	/* Another token is another lease. */
	levee_lease_answer(&lease, sent, sent, "a 9", true);
	assert_true(levee_lease_call_until(&lease, sent + 1) == 0);
	levee_lease_drop(&lease);
	levee_lease_answer(&lease, sent, sent, "a 9", true);
	assert_true(levee_lease_call_until(&lease, sent + wait - 1) == 0);
}

static void another_holder_ends_it_at_once(void **state)
{
	(void)state;
	levee_lease_answer(&lease, 0, 0, "a 7", true);
	assert_int_equal(levee_lease_answer(&lease, 1 * MS, 1 * MS, "b 8", false), 0);
	assert_false(levee_lease_held(&lease, 1 * MS));
	assert_string_equal(lease.holder, "b");
	assert_int_equal(lease.holder_token, 8);
}

static void a_lease_of_the_process_before_is_not_ours(void **state)
{
	(void)state;
	assert_int_equal(levee_lease_answer(&lease, 0, 0, "a 6", false), 0);
	assert_false(levee_lease_held(&lease, 0));
}

static void nobody_holding_it_is_no_error(void **state)
{
	(void)state;
	levee_lease_answer(&lease, 0, 0, "b 8", false);
	assert_int_equal(levee_lease_answer(&lease, 0, 0, "", false), 0);
	assert_string_equal(lease.holder, "");
}

static void what_is_no_lease_is_refused_and_holds_nothing(void **state)
{
	static const char *const bad[] = {
		"a",   "a ",   " 7",   "a x",  "a -1",
		"a 0", "a 7 ", "a 7x", "a  7", "a 99999999999999999999999"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		levee_lease_answer(&lease, 0, 0, "a 7", true);
		assert_int_equal(levee_lease_answer(&lease, 0, 0, bad[i], true), -EPROTO);
		assert_false(levee_lease_held(&lease, 0));
	}
}

static void a_dropped_lease_is_not_claimed_again(void **state)
{
	char claim[64];

	(void)state;
	levee_lease_answer(&lease, 0, 0, "a 7", true);
	levee_lease_drop(&lease);
	levee_lease_claim(&lease, claim, sizeof(claim));
	assert_string_equal(claim, "");
	assert_false(levee_lease_held(&lease, 0));
}

/*
 * Several nodes and an engine, as the scripts do it, over random delays, pauses and lost answers:
 * at no instant do two of them think that they may act.
 */
#define NODES 5

struct engine {
	char holder[64];
	uint64_t token, until_ns;
};

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static bool engine_beat(struct engine *e, const char *node, const char *claim, uint64_t now_ns)
{
	if (e->holder[0] && now_ns >= e->until_ns)
		e->holder[0] = '\0';
	if (e->holder[0] && strcmp(e->holder, claim) != 0)
		return false;
	if (!e->holder[0])
		snprintf(e->holder, sizeof(e->holder), "%.20s %llu", node,
			 (unsigned long long)++e->token);
	e->until_ns = now_ns + LEVEE_LEASE_TTL_MS * MS;
	return true;
}

static void two_never_hold_it_at_the_same_time(void **state)
{
	struct levee_lease nodes[NODES];
	struct engine engine = { .holder = "" };
	uint64_t random = 20261125, now = 0, changes = 0, last = 0, ends = 0, calls = 0;
	int caller = -1;

	(void)state;
	for (int i = 0; i < NODES; i++) {
		char name[8];

		snprintf(name, sizeof(name), "n%d", i);
		levee_lease_init(&nodes[i], name);
	}
	for (int step = 0; step < 200000; step++) {
		struct levee_lease *node = &nodes[next_random(&random) % NODES];
		uint64_t sent = now;
		char claim[64];
		bool ours;
		int held = 0;

		levee_lease_claim(node, claim, sizeof(claim));
		now += next_random(&random) % (300 * MS); /* the way there */
		ours = engine_beat(&engine, node->node, claim, now);
		if (next_random(&random) % 50 == 0)
			now += next_random(&random) % (9000 * MS); /* a pause, or a slow answer */
		if (next_random(&random) % 10)			   /* the answer arrives */
			levee_lease_answer(node, sent, now, engine.holder, ours);
		for (int i = 0; i < NODES; i++)
			held += levee_lease_held(&nodes[i], now);
		for (int i = 0; i < NODES; i++) {
			uint64_t until = levee_lease_call_until(&nodes[i], now);

			if (!until)
				continue;
			/* Every call of another one has ended before: that is what the wait is for. */
			assert_true(caller == i || now > ends + LEVEE_LEASE_WAIT_MS * MS);
			caller = i;
			ends = until > ends ? until : ends;
			calls++;
		}
		assert_true(held <= 1);
		changes += engine.token != last;
		last = engine.token;
	}
	assert_true(changes > 100 && calls > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nobody_holds_a_lease_at_first, setup),
		cmocka_unit_test_setup(a_granted_lease_is_held_for_less_than_the_engine_keeps_it,
				       setup),
		cmocka_unit_test_setup(it_counts_from_when_the_beat_was_sent_not_answered, setup),
		cmocka_unit_test_setup(a_call_waits_for_the_leader_before_and_ends_with_the_lease,
				       setup),
		cmocka_unit_test_setup(another_holder_ends_it_at_once, setup),
		cmocka_unit_test_setup(a_lease_of_the_process_before_is_not_ours, setup),
		cmocka_unit_test_setup(nobody_holding_it_is_no_error, setup),
		cmocka_unit_test_setup(what_is_no_lease_is_refused_and_holds_nothing, setup),
		cmocka_unit_test_setup(a_dropped_lease_is_not_claimed_again, setup),
		cmocka_unit_test(two_never_hold_it_at_the_same_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
