/* SPDX-License-Identifier: BSD-2-Clause */
/* The scripts against plain arithmetic, and what an engine says against; with a real server. */
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

#include "control/fleet/engine.h"
#include "control/fleet/entry.h"
#include "control/fleet/sums.h"
#include "tests/support/redis.h"

static struct test_redis redis;
static struct levee_engine *engine;
static uint64_t random_state = 20261127;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static struct levee_link_params params(const struct test_redis *at)
{
	return (struct levee_link_params){ .host = "127.0.0.1",
					   .port = at->port,
					   .ca_file = "",
					   .user = "",
					   .password = "",
					   .timeout_ms = 5000 };
}

static int start(void **state)
{
	struct levee_link_params p;
	char why[LEVEE_LINK_WHY];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (!test_redis_installed()) {
		print_message("1..0 # SKIP no redis-server or valkey-server in /usr/bin\n");
		exit(0);
	}
	if (test_redis_start(&redis, NULL, NULL))
		return -1;
	p = params(&redis);
	return levee_engine_open(&engine, &p, why);
}

static int stop(void **state)
{
	(void)state;
	levee_engine_close(&engine);
	test_redis_stop(&redis);
	return 0;
}

static redisReply *command(int argc, const char *const *argv)
{
	redisReply *reply;

	assert_int_equal(
		levee_engine_call(engine, 5000, &reply, argc > 1 ? argv[1] : "", argc, argv), 0);
	return reply;
}

static redisReply *script(enum levee_script which, int keys, int argc, const char *const *argv,
			  const size_t *lengths)
{
	redisReply *reply;

	levee_engine_eval(engine, which, keys, argc, argv, lengths);
	if (levee_engine_receive(engine, 5000, &reply))
		fail_msg("%s", levee_engine_why(engine));
	return reply;
}

static void slots_are_those_of_the_specification(void **state)
{
	(void)state;
	/* CRC-16 of "123456789" is 0x31c3; what is in braces counts alone. */
	assert_int_equal(levee_engine_slot("123456789"), 0x31c3);
	assert_int_equal(levee_engine_slot("levee:{123456789}:x"), 0x31c3);
	assert_int_equal(levee_engine_slot("{}123456789"), levee_engine_slot("{}123456789"));
	assert_int_not_equal(levee_engine_slot("{}a"), levee_engine_slot("{}b"));
}

static void error_replies_come_with_a_remedy(void **state)
{
	static const struct {
		const char *reply;
		int error;
		const char *word;
	} all[] = {
		{ "WRONGPASS invalid username-password pair", -EACCES, "password_file" },
		{ "NOAUTH Authentication required.", -EACCES, "password_file" },
		{ "NOPERM this user has no permissions", -EACCES, "permission" },
		{ "READONLY You can't write against a read only replica.", -EROFS, "replica" },
		{ "OOM command not allowed when used memory > 'maxmemory'.", -ENOSPC, "maxmemory" },
		{ "ERR user_script:1: OOM command not allowed when used memory", -ENOSPC, "full" },
		{ "LOADING Redis is loading the dataset in memory", -EBUSY, "loading" },
		{ "MOVED 3999 127.0.0.1:6381", -ESTALE, "moved" },
		{ "NOSCRIPT No matching script.", -ESTALE, "restarted" },
		{ "WRONGTYPE Operation against a key", -EEXIST, "prefix" },
		{ "ERR whatever", -EPROTO, "whatever" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char why[LEVEE_LINK_WHY];

		assert_int_equal(levee_engine_explain(all[i].reply, why), all[i].error);
		assert_non_null(strstr(why, all[i].word));
	}
}

/* Any values: of all sizes, up to and above the largest that is accepted. */
static uint64_t random_value(void)
{
	unsigned int bits = 1 + (unsigned int)(next_random() % 49);

	if (next_random() % 16 == 0)
		return LEVEE_VALUE_MAX - next_random() % 3;
	return 1 + (next_random() & ((1ULL << bits) - 1));
}

static void check_reduced(const redisReply *reply, const uint64_t *values, size_t n, uint64_t min)
{
	static struct levee_buckets cells, true_cells;
	struct levee_moments got = { 0 }, truth = { 0 };
	uint64_t capped = 0, large = 0;
	size_t found = 0;

	memset(&cells, 0, sizeof(cells));
	memset(&true_cells, 0, sizeof(true_cells));
	for (size_t i = 0; i < n; i++) {
		uint64_t v = values[i] > LEVEE_VALUE_MAX ? LEVEE_VALUE_MAX : values[i];

		large += values[i] > LEVEE_VALUE_MAX;
		found += v > min;
		assert_int_equal(levee_moments_add(&truth, v), 0);
		levee_buckets_add(&true_cells, v, 1);
	}
	assert_int_equal(reply->elements, 3);
	assert_int_equal(levee_fleet_reduced(&got, &capped, reply->element[0]->str), 0);
	assert_true(got.n == truth.n && got.sum == truth.sum && got.sq == truth.sq);
	assert_int_equal(capped, large);
	assert_int_equal(reply->element[1]->elements, 4 * found);
	assert_int_equal(levee_fleet_reduced_cells(&cells, reply->element[2]->str), 0);
	assert_memory_equal(&cells, &true_cells, sizeof(cells));
}

static void a_bucket_is_reduced_exactly(void **state)
{
	enum { N = 700 };
	static uint64_t values[N];
	static char field[N][12], text[N][24];
	const char *argv[2 + 2 + 1 + 2 * N] = { "r:{a}:parts", "r:{a}:0", "part", "600" };
	char count[16];

	(void)state;
	for (int round = 0; round < 12; round++) {
		const char *reduce[] = { "r:{a}:parts", "r:{a}:0", "r:{a}:0", "r:{a}:0:a",
					 "12000",	"600",	   "1",	      "0" };
		const char *flush[] = { "DEL", "r:{a}:parts", "r:{a}:0" };
		size_t n = round ? 1 + next_random() % N : 0;
		redisReply *reply;

		if (round == 11) /* as many squares of the largest as overflow any double */
			n = N;
		for (size_t i = 0; i < n; i++) {
			values[i] = round == 11 ? LEVEE_VALUE_MAX - 1 : random_value();
			snprintf(field[i], sizeof(field[i]), "s%zu", i);
			snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long)values[i]);
			argv[5 + 2 * i] = field[i];
			argv[6 + 2 * i] = text[i];
		}
		snprintf(count, sizeof(count), "%zu", n);
		argv[4] = count;
		freeReplyObject(script(LEVEE_SCRIPT_ADD, 2, 5 + 2 * (int)n, argv, NULL));
		reply = script(LEVEE_SCRIPT_REDUCE, 4, 8, reduce, NULL);
		check_reduced(reply, values, n, 12000);
		freeReplyObject(reply);
		freeReplyObject(command(3, flush));
	}
}

static long long number(redisReply *reply);

/* Another lane than packets: with the packets of the same source, and whether it answered. */
static void a_lane_is_reduced_with_what_else_is_known(void **state)
{
	const char *add[] = { "l:{a}:parts", "l:{a}:0:p", "l:{a}:0:b", "l:{a}:0:a", "part", "600",
			      "2",	     "x",	  "5",	       "y",	    "6",    "3",
			      "x",	     "900",	  "y",	       "100",	    "z",    "800",
			      "1",	     "x",	  "1" };
	const char *reduce[] = { "l:{a}:parts", "l:{a}:0:b", "l:{a}:0:p", "l:{a}:0:a",
				 "500",		"600",	     "0",	  "1" };
	redisReply *reply, *found;
	int seen = 0;

	(void)state;
	freeReplyObject(script(LEVEE_SCRIPT_ADD, 4, 21, add, NULL));
	reply = script(LEVEE_SCRIPT_REDUCE, 4, 8, reduce, NULL);
	assert_string_equal(reply->element[0]->str, "3 0 1800 0 1460000 0 0 0 0 0");
	assert_string_equal(reply->element[2]->str, "");
	found = reply->element[1];
	assert_int_equal(found->elements, 8);
	for (size_t i = 0; i < 8; i += 4) {
		bool x = found->element[i]->str[0] == 'x';

		seen |= x ? 1 : 2;
		assert_string_equal(found->element[i + 1]->str, x ? "900" : "800");
		assert_string_equal(found->element[i + 2]->str, x ? "5" : "0");
		assert_int_equal(found->element[i + 3]->integer, x);
	}
	assert_int_equal(seen, 3);
	freeReplyObject(reply);
}

static void only_what_is_unchanged_is_pruned(void **state)
{
	const char *set[] = { "HSET", "x:{a}:h", "a", "1", "b", "2" };
	const char *prune[] = { "x:{a}:h", "a", "1", "b", "1", "c", "1" };
	const char *len[] = { "HLEN", "x:{a}:h" };

	(void)state;
	freeReplyObject(command(6, set));
	assert_int_equal(number(script(LEVEE_SCRIPT_PRUNE, 1, 7, prune, NULL)), 1);
	assert_int_equal(number(command(2, len)), 1);
}

static long long number(redisReply *reply)
{
	long long n = reply->integer;

	assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
	freeReplyObject(reply);
	return n;
}

static void a_part_counts_once_and_knows_when_it_is_late(void **state)
{
	const char *add[] = { "p:{a}:parts", "p:{a}:0", "n:1:x", "600", "1", "s", "7" };
	const char *other[] = { "p:{a}:parts", "p:{a}:0", "m:1:x", "600", "1", "s", "5" };
	const char *reduce[] = { "p:{a}:parts", "p:{a}:0", "p:{a}:0", "p:{a}:0:a",
				 "1",		"600",	   "0",	      "0" };
	const char *get[] = { "HGET", "p:{a}:0", "s" };
	redisReply *reply;

	(void)state;
	assert_int_equal(number(script(LEVEE_SCRIPT_ADD, 2, 7, add, NULL)), 0);
	assert_int_equal(number(script(LEVEE_SCRIPT_ADD, 2, 7, add, NULL)), 0);
	freeReplyObject(script(LEVEE_SCRIPT_REDUCE, 4, 8, reduce, NULL));
	assert_int_equal(number(script(LEVEE_SCRIPT_ADD, 2, 7, add, NULL)), 0);
	assert_int_equal(number(script(LEVEE_SCRIPT_ADD, 2, 7, other, NULL)), 1);
	assert_int_equal(number(script(LEVEE_SCRIPT_ADD, 2, 7, other, NULL)), 1);
	reply = command(3, get);
	assert_string_equal(reply->str, "12");
	freeReplyObject(reply);
}

static void the_order_of_entries_is_the_same_in_lua_and_here(void **state)
{
	struct levee_fleet_entry now_holds = { 0 };
	uint64_t now_ms = (uint64_t)time(NULL) * 1000;
	bool has = false;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		char text[LEVEE_FLEET_ENTRY_TEXT];
		const char *argv[] = {
			"e:{a}:lease", "e:{a}:blocks", "e:{a}:events", "", "1000", "203.0.113.1",
			text
		};
		struct levee_fleet_entry e = { .lifted = next_random() % 3 == 0,
					       .manual = next_random() % 2 == 0,
					       .kind = next_random() % 2 ? LEVEE_KIND_DROP
									 : LEVEE_KIND_LIMIT,
					       .spoofable = next_random() % 2 == 0 };
		bool wins;

		/* Long over, or not for a long time: the engine's clock is not ours to the ms. */
		e.expires_ms = 600000 + next_random() % 4;
		e.expires_ms = next_random() % 4 ? now_ms + e.expires_ms : now_ms - e.expires_ms;
		if (e.manual && next_random() % 4 == 0)
			e.expires_ms = 0;
		e.order_ms = e.manual ? now_ms - next_random() % 4 : e.expires_ms;
		if (round % 50 == 0) { /* something that ends: begin anew */
			const char *del[] = { "DEL", "e:{a}:blocks" };

			freeReplyObject(command(2, del));
			has = false;
		}
		levee_fleet_entry_format(&e, text);
		wins = levee_fleet_entry_wins(&e, has ? &now_holds : NULL, now_ms);
		assert_int_equal(number(script(LEVEE_SCRIPT_PUBLISH, 3, 7, argv, NULL)), wins);
		if (wins)
			now_holds = e;
		has = true;
	}
}

static void a_claim_that_is_not_the_lease_writes_nothing(void **state)
{
	const char *set[] = { "SET", "f:{a}:lease", "b 8" };
	const char *old[] = { "f:{a}:lease",
			      "f:{a}:blocks",
			      "f:{a}:events",
			      "a 7",
			      "1000",
			      "203.0.113.1",
			      "B 0 9999999999999 9999999999999 3 1 1 1 1 1 0 1 0 a " };
	const char *new[] = { "f:{a}:lease",
			      "f:{a}:blocks",
			      "f:{a}:events",
			      "b 8",
			      "1000",
			      "203.0.113.1",
			      "B 0 9999999999999 9999999999999 3 1 1 1 1 1 0 1 0 a " };
	const char *record[] = { "f:{a}:lease",
				 "f:{a}:records",
				 "f:{a}:dirty",
				 "f:{a}:eval",
				 "f:{a}:bin:60",
				 "a 7",
				 "60",
				 "{}",
				 "",
				 "0",
				 "0" };
	const char *len[] = { "EXISTS", "f:{a}:blocks", "f:{a}:records" };

	(void)state;
	freeReplyObject(command(3, set));
	assert_int_equal(number(script(LEVEE_SCRIPT_PUBLISH, 3, 7, old, NULL)), -1);
	assert_int_equal(number(script(LEVEE_SCRIPT_RECORD, 5, 11, record, NULL)), 0);
	assert_int_equal(number(command(3, len)), 0);
	assert_int_equal(number(script(LEVEE_SCRIPT_PUBLISH, 3, 7, new, NULL)), 1);
}

static redisReply *send_beat(const char *node, const char *claim)
{
	const char *argv[] = { "b:{a}:nodes", "b:{a}:lease", "b:{a}:token", "b:{a}:dirty",
			       "b:{a}:eval",  "b:{a}:meta",  node,	    "0 0 0 1",
			       claim,	      "5000",	     "1",	    "seed",
			       "01" };

	return script(LEVEE_SCRIPT_BEAT, 6, 13, argv, NULL);
}

static void a_token_grows_even_if_the_engine_forgets_it(void **state)
{
	const char *del[] = { "DEL", "b:{a}:lease", "b:{a}:token" };
	const char *old[] = { "HSET", "b:{a}:meta", "since", "1", "seed", "seed" };
	uint64_t last = 0;

	(void)state;
	freeReplyObject(command(6, old));
	for (int i = 0; i < 5; i++) {
		redisReply *reply = send_beat("x", "");
		uint64_t token;

		assert_int_equal(reply->element[2]->integer, 1);
		token = strtoull(strchr(reply->element[1]->str, ' '), NULL, 10);
		assert_true(token > last);
		last = token;
		freeReplyObject(reply);
		reply = send_beat("y", "");
		assert_int_equal(reply->element[2]->integer, 0);
		freeReplyObject(reply);
		freeReplyObject(command(3, del));
	}
}

static void a_fleet_that_is_new_or_was_lost_elects_nobody_at_first(void **state)
{
	const char *join[] = { "b:{a}:meta", "1", "60", "3600", "seed" };
	const char *del[] = { "DEL", "b:{a}:lease", "b:{a}:meta" };
	redisReply *reply;

	(void)state;
	freeReplyObject(command(3, del));
	freeReplyObject(script(LEVEE_SCRIPT_JOIN, 1, 5, join, NULL));
	reply = send_beat("x", "");
	assert_int_equal(reply->element[2]->integer, 0);
	assert_string_equal(reply->element[1]->str, "");
	freeReplyObject(reply);
}

static void shares_add_up_and_one_is_the_first_over_the_threshold(void **state)
{
	static const struct {
		const char *node, *total, *sum;
		int first;
	} steps[] = {
		{ "a", "40", "40", 0 },	 { "b", "40", "80", 0 },  { "b", "40", "80", 0 },
		{ "a", "30", "80", 0 }, /* out of order */
		{ "c", "30", "110", 1 }, { "c", "30", "110", 0 }, { "a", "90", "160", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const char *argv[] = { "s:{a}:fast",   "source", steps[i].node,
				       steps[i].total, "100",	 "60" };
		redisReply *reply = script(LEVEE_SCRIPT_SHARE, 1, 6, argv, NULL);

		assert_string_equal(reply->element[0]->str, steps[i].sum);
		assert_int_equal(reply->element[1]->integer, steps[i].first);
		freeReplyObject(reply);
	}
}

static void many_commands_are_answered_in_order(void **state)
{
	static char text[2000][16];
	redisReply *reply;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		const char *argv[] = { "ECHO", text[i] };

		snprintf(text[i], sizeof(text[i]), "%d", i);
		levee_engine_send(engine, "x", 2, argv, NULL);
	}
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(levee_engine_receive(engine, 5000, &reply), 0);
		assert_string_equal(reply->str, text[i]);
		freeReplyObject(reply);
	}
	assert_int_equal(levee_engine_receive(engine, 0, &reply), -ENOENT);
}

/* More than both socket buffers hold, both ways at once. */
static void long_commands_and_replies_do_not_lock_each_other_up(void **state)
{
	size_t n = 4 << 20;
	char *big = malloc(n + 1);
	redisReply *reply;

	(void)state;
	memset(big, 'x', n);
	big[n] = '\0';
	for (int i = 0; i < 4; i++) {
		const char *argv[] = { "ECHO", big };

		levee_engine_send(engine, "x", 2, argv, NULL);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(levee_engine_receive(engine, 20000, &reply), 0);
		assert_int_equal(reply->len, n);
		freeReplyObject(reply);
	}
	free(big);
}

/* ---- servers that refuse ----------------------------------------------------------------- */

static int try_open(const struct test_redis *at, const char *password, char *why)
{
	struct levee_link_params p = params(at);
	struct levee_engine *e;
	int ret;

	p.password = password;
	ret = levee_engine_open(&e, &p, why);
	levee_engine_close(&e);
	return ret;
}

static void a_wrong_password_is_named_without_being_shown(void **state)
{
	static const char *const args[] = { "--requirepass", "s3cret", NULL };
	struct test_redis locked;
	char why[LEVEE_LINK_WHY];

	(void)state;
	assert_int_equal(test_redis_start(&locked, NULL, args), 0);
	assert_int_equal(try_open(&locked, "s3cret", why), 0);
	assert_int_equal(try_open(&locked, "wr0ng", why), -EACCES);
	assert_non_null(strstr(why, "password_file"));
	assert_null(strstr(why, "wr0ng"));
	assert_int_equal(try_open(&locked, "", why), -EACCES);
	assert_non_null(strstr(why, "NOAUTH"));
	test_redis_stop(&locked);
}

static void nobody_listening_is_said_with_host_and_port(void **state)
{
	struct test_redis nobody = { .port = "1" };
	char why[LEVEE_LINK_WHY];

	(void)state;
	assert_int_equal(try_open(&nobody, "", why), -ECONNREFUSED);
	assert_non_null(strstr(why, "127.0.0.1:1"));
}

static void a_stopped_server_is_given_up_after_the_timeout(void **state)
{
	struct test_redis other;
	struct levee_link_params p;
	struct levee_engine *e;
	const char *ping[] = { "PING" };
	char why[LEVEE_LINK_WHY];
	redisReply *reply;

	(void)state;
	assert_int_equal(test_redis_start(&other, NULL, NULL), 0);
	p = params(&other);
	assert_int_equal(levee_engine_open(&e, &p, why), 0);
	test_redis_signal(&other, SIGSTOP);
	assert_int_equal(levee_engine_call(e, 200, &reply, "x", 1, ping), -ETIMEDOUT);
	assert_non_null(strstr(levee_engine_why(e), "no answer in time"));
	test_redis_signal(&other, SIGCONT);
	/* What was late belongs to nobody any more. */
	assert_int_equal(levee_engine_call(e, 200, &reply, "x", 1, ping), -ETIMEDOUT);
	levee_engine_close(&e);
	test_redis_stop(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_are_those_of_the_specification),
		cmocka_unit_test(error_replies_come_with_a_remedy),
		cmocka_unit_test(a_bucket_is_reduced_exactly),
		cmocka_unit_test(a_lane_is_reduced_with_what_else_is_known),
		cmocka_unit_test(only_what_is_unchanged_is_pruned),
		cmocka_unit_test(a_part_counts_once_and_knows_when_it_is_late),
		cmocka_unit_test(the_order_of_entries_is_the_same_in_lua_and_here),
		cmocka_unit_test(a_claim_that_is_not_the_lease_writes_nothing),
		cmocka_unit_test(a_token_grows_even_if_the_engine_forgets_it),
		cmocka_unit_test(a_fleet_that_is_new_or_was_lost_elects_nobody_at_first),
		cmocka_unit_test(shares_add_up_and_one_is_the_first_over_the_threshold),
		cmocka_unit_test(many_commands_are_answered_in_order),
		cmocka_unit_test(long_commands_and_replies_do_not_lock_each_other_up),
		cmocka_unit_test(a_wrong_password_is_named_without_being_shown),
		cmocka_unit_test(nobody_listening_is_said_with_host_and_port),
		cmocka_unit_test(a_stopped_server_is_given_up_after_the_timeout),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
