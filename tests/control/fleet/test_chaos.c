/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rounds of misfortune: the server is killed, paused or emptied, links are cut, nodes come and go,
 * and meanwhile everybody blocks and lifts. After each round all nodes must agree with what the
 * order of entries says of all that was decided, and no token that was acted on goes back.
 *
 * LEVEE_CHAOS_ROUNDS=100 makes it long; LEVEE_CHAOS_SEED=N another one.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/fleet/fleet.h"
#include "control/fleet/link.h"
#include "tests/support/redis.h"

#define NODES	4
#define ADDRS	24
#define ROUNDS	5
#define WAIT_S	60
#define LIFE_MS 3600000ULL

static struct test_redis redis;
static struct levee_fleet *fleet[NODES];
static uint64_t random_state = 20261129;

/* What the controller of each node holds, and what all decisions together come to. */
static struct levee_fleet_entry held[NODES][ADDRS], truth[ADDRS];
static bool has_held[NODES][ADDRS], has_truth[ADDRS];
static uint64_t acted; /* largest token that was acted on */
static struct {
	unsigned int node;
	uint64_t token;
} old_claim;
static unsigned int acts, refusals;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- deciding ---------------------------------------------------------------------------- */

static void note(struct levee_fleet_entry *entry, bool *has, const struct levee_fleet_entry *e)
{
	if (levee_fleet_entry_wins(e, *has ? entry : NULL, now_ms()))
		*entry = *e;
	*has = true;
}

static struct levee_block block_of(const struct levee_fleet_entry *e)
{
	struct levee_time now = { 1, now_ms() * 1000000 };
	struct levee_block block;

	levee_fleet_entry_to_block(e, &block, &now);
	return block;
}

/* Hand a decision to the node's fleet, as its controller does. */
static void tell(unsigned int node, const struct levee_fleet_entry *e)
{
	struct levee_block block;

	if (e->lifted) {
		levee_fleet_lift(fleet[node], &e->prefix, e->order_ms, e->expires_ms);
		return;
	}
	block = block_of(e);
	levee_fleet_block(fleet[node], &block, 0);
}

static void decide(unsigned int node)
{
	unsigned int a = (unsigned int)(next_random() % ADDRS);
	struct levee_fleet_entry e = { .prefix = { 0xcb007100 + a, 0, 4, 32 },
				       .created_ms = now_ms(),
				       .max_zscore = 4,
				       .max_packets = 20000 };

	e.lifted = next_random() % 4 == 0;
	e.manual = e.lifted || next_random() % 2;
	e.expires_ms = e.created_ms + LIFE_MS + next_random() % 1000;
	e.order_ms = e.manual ? e.created_ms : e.expires_ms;
	/* What a controller holds against it is not done: a detector does not overrule a lift. */
	if (has_held[node][a] && !levee_fleet_entry_wins(&e, &held[node][a], now_ms()))
		return;
	note(&held[node][a], &has_held[node][a], &e);
	note(&truth[a], &has_truth[a], &e);
	tell(node, &e);
}

static void take_orders(void)
{
	struct levee_fleet_entry e;

	for (unsigned int i = 0; i < NODES; i++)
		while (levee_fleet_take(fleet[i], &e)) {
			unsigned int a = (unsigned int)(e.prefix.hi & 255);

			assert_true(a < ADDRS);
			note(&held[i][a], &has_held[i][a], &e);
		}
}

/* ---- acting as the leader ---------------------------------------------------------------- */

/* A step on a network ACL: only with a token that is the newest. */
static void act(void)
{
	uint64_t token;

	for (unsigned int i = 0; i < NODES; i++) {
		if (!levee_fleet_leads(fleet[i], &token) || levee_fleet_fence(fleet[i], token))
			continue;
		assert_true(token >= acted);
		acted = token;
		acts++;
		if (!old_claim.token) {
			old_claim.node = i;
			old_claim.token = token;
		}
	}
	/* Somebody comes back from a long pause with the token it had. */
	if (old_claim.token && old_claim.token < acted) {
		assert_int_equal(levee_fleet_fence(fleet[old_claim.node], old_claim.token), -EPERM);
		refusals++;
		old_claim.token = 0;
	}
}

/* ---- misfortune -------------------------------------------------------------------------- */

static void start_node(unsigned int i)
{
	static char name[NODES][8];
	struct levee_fleet_options o = { .url = redis.url,
					 .ca_file = "",
					 .password_file = "",
					 .prefix = "levee",
					 .name = "chaos",
					 .grace_s = 2,
					 .bin_s = 60,
					 .window_s = 3600,
					 .first_bin_s = (int64_t)time(NULL) / 60 * 60,
					 .detect = { .min_zscore = 3.0, .min_packets = 1000 } };

	snprintf(name[i], sizeof(name[i]), "n%u", i);
	o.node = name[i];
	assert_int_equal(levee_fleet_new(&fleet[i], &o), 0);
	/* What its state file has. */
	for (unsigned int a = 0; a < ADDRS; a++)
		if (has_held[i][a])
			tell(i, &held[i][a]);
	assert_int_equal(levee_fleet_start(fleet[i]), 0);
}

static void start_server(void)
{
	char port[8];

	snprintf(port, sizeof(port), "%s", redis.port);
	test_redis_stop(&redis);
	for (int i = 0; i < 20 && test_redis_start(&redis, port, NULL); i++)
		pause_ms(100);
	assert_true(redis.pid > 0);
}

static void command(int argc, const char *const *argv)
{
	struct levee_link_params p = { .host = "127.0.0.1",
				       .port = redis.port,
				       .ca_file = "",
				       .user = "",
				       .password = "",
				       .timeout_ms = 5000 };
	struct levee_link *link;
	char why[LEVEE_LINK_WHY];
	redisReply *reply = NULL;

	if (levee_link_open(&link, &p, why))
		return;
	levee_link_call(link, 5000, &reply, argc, argv, NULL);
	freeReplyObject(reply);
	levee_link_close(&link);
}

static void live(unsigned int steps)
{
	for (unsigned int i = 0; i < steps; i++) {
		decide((unsigned int)(next_random() % NODES));
		take_orders();
		act();
		pause_ms((long)(next_random() % 60));
	}
}

static void misfortune(unsigned int kind)
{
	static const char *const cut[] = { "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes" };
	static const char *const flush[] = { "FLUSHALL" };
	unsigned int node = (unsigned int)(next_random() % NODES);

	switch (kind) {
	case 0:
		test_redis_signal(&redis, SIGKILL);
		live(15);
		start_server();
		break;
	case 1:
		test_redis_signal(&redis, SIGSTOP);
		live(5);
		pause_ms((long)(next_random() % 3000));
		test_redis_signal(&redis, SIGCONT);
		break;
	case 2:
		levee_fleet_stop(&fleet[node]);
		start_node(node);
		break;
	case 3:
		command(6, cut);
		break;
	default:
		command(1, flush);
	}
}

/* ---- agreeing ---------------------------------------------------------------------------- */

static bool same(const struct levee_fleet_entry *a, const struct levee_fleet_entry *b)
{
	return a->lifted == b->lifted && a->manual == b->manual && a->order_ms == b->order_ms &&
	       a->expires_ms == b->expires_ms;
}

static bool agree(void)
{
	take_orders();
	for (unsigned int i = 0; i < NODES; i++) {
		if (!levee_fleet_together(fleet[i]))
			return false;
		for (unsigned int a = 0; a < ADDRS; a++)
			if (has_held[i][a] != has_truth[a] ||
			    (has_truth[a] && !same(&held[i][a], &truth[a])))
				return false;
	}
	return true;
}

static void rounds_of_misfortune_end_in_agreement(void **state)
{
	const char *text = getenv("LEVEE_CHAOS_ROUNDS"), *seed = getenv("LEVEE_CHAOS_SEED");
	unsigned int rounds = text ? (unsigned int)strtoul(text, NULL, 10) : ROUNDS;

	(void)state;
	if (seed)
		random_state = strtoull(seed, NULL, 10) | 1;
	print_message("# %u rounds, seed %llu\n", rounds, (unsigned long long)random_state);
	for (unsigned int i = 0; i < NODES; i++)
		start_node(i);
	for (unsigned int round = 0; round < rounds; round++) {
		unsigned int before;
		time_t end;

		live(10);
		misfortune(round % 5);
		live(10);
		before = acts;
		/* Every second round goes on until there is a leader again. */
		for (end = time(NULL) + WAIT_S;
		     (!agree() || (round % 2 && acts == before)) && time(NULL) < end;) {
			act();
			pause_ms(20);
		}
		if (!agree())
			fail_msg("round %u: no agreement", round);
		if (round % 2 && acts == before)
			fail_msg("round %u: no leader", round);
	}
	print_message("# %u steps of leaders, %u refused to those who came back\n", acts, refusals);
	assert_true(rounds < 2 || acts > 0);
}

static int stop_all(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NODES; i++)
		levee_fleet_stop(&fleet[i]);
	test_redis_stop(&redis);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(rounds_of_misfortune_end_in_agreement, stop_all),
	};

	signal(SIGPIPE, SIG_IGN);
	if (!test_redis_installed()) {
		print_message("1..0 # SKIP no redis-server or valkey-server in /usr/bin\n");
		return 0;
	}
	if (test_redis_start(&redis, NULL, NULL))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
