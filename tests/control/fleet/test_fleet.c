/* SPDX-License-Identifier: BSD-2-Clause */
/* Several nodes, each with its thread, against a real server; the controller is played here. */
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
#include "control/fleet/look.h"
#include "control/fleet/scripts.h"
#include "control/fleet/sums.h"
#include "tests/support/redis.h"

#define NODES	 8
#define BIN_S	 60
#define WINDOW_S 1800
#define WAIT_S	 40

static struct test_redis redis;
static struct levee_fleet *fleet[NODES];
static unsigned int n_fleet;
static uint64_t random_state;
static char last_said[NODES][512];

/* What nodes are made with. */
static const char *detector;
static struct levee_detect_params detect;
static bool flows;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void take_said(void *ctx, bool problem, const char *message)
{
	(void)problem;
	snprintf(ctx, sizeof(last_said[0]), "%s", message);
}

/* A bin of a while ago; the same in all of a test. */
static int64_t base_s(void)
{
	static int64_t base;

	if (!base)
		base = (int64_t)time(NULL) / BIN_S * BIN_S - 10 * BIN_S;
	return base;
}

static struct levee_fleet_options options(unsigned int i)
{
	static char node[NODES][8];

	snprintf(node[i], sizeof(node[i]), "node-%u", i);
	return (struct levee_fleet_options){ .url = redis.url,
					     .ca_file = "",
					     .password_file = "",
					     .prefix = "levee",
					     .name = "test",
					     .node = node[i],
					     .grace_s = 2,
					     .bin_s = BIN_S,
					     .window_s = WINDOW_S,
					     .first_bin_s = base_s(),
					     .detector = detector,
					     .detect = detect,
					     .fast = true,
					     .warmup_bins = 3,
					     .blocks = { .repeat_memory_s = 86400,
							 .repeat_factor = 2,
							 .max_block_s = 8 * WINDOW_S,
							 .flows = flows },
					     .say = take_said,
					     .ctx = last_said[i] };
}

static void start_node(unsigned int i)
{
	struct levee_fleet_options o = options(i);

	assert_int_equal(levee_fleet_new(&fleet[i], &o), 0);
	assert_int_equal(levee_fleet_start(fleet[i]), 0);
}

static void start_nodes(unsigned int n)
{
	n_fleet = n;
	for (unsigned int i = 0; i < n; i++)
		start_node(i);
}

static redisReply *ask(int argc, const char *const *argv);

/* A server on which the fleet was agreed on long ago: it elects a leader at once. */
static int setup(void **state)
{
	static const char *const meta[] = {
		"HSET",	  "levee:{test}:meta",
		"schema", LEVEE_FLEET_SCHEMA,
		"bin",	  "60",
		"window", "1800",
		"since",  "1",
		"seed",	  "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210",
	};

	(void)state;
	random_state = 20261128;
	detector = "zscore";
	detect = (struct levee_detect_params){ .min_zscore = 3.0, .min_packets = 1000 };
	flows = false;
	memset(last_said, 0, sizeof(last_said));
	if (test_redis_start(&redis, NULL, NULL))
		return -1;
	freeReplyObject(ask(12, meta));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NODES; i++)
		levee_fleet_stop(&fleet[i]);
	test_redis_stop(&redis);
	return 0;
}

/* Until it holds; polled, because what is waited for is in other threads and in the server. */
static bool wait_for(bool (*holds)(const void *), const void *arg)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	time_t end = time(NULL) + WAIT_S;

	while (!holds(arg)) {
		if (time(NULL) > end) {
			print_message("# last said: %s\n", last_said[0]);
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

static bool all_together(const void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < n_fleet; i++)
		if (fleet[i] && !levee_fleet_together(fleet[i]))
			return false;
	return true;
}

static bool all_alone(const void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < n_fleet; i++)
		if (fleet[i] && levee_fleet_together(fleet[i]))
			return false;
	return true;
}

static unsigned int leaders(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_fleet; i++)
		n += fleet[i] && levee_fleet_leads(fleet[i], NULL);
	return n;
}

static bool has_leader(const void *arg)
{
	(void)arg;
	return leaders() == 1;
}

/* One command to the server, beside all nodes. */
static redisReply *ask(int argc, const char *const *argv)
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
		return NULL;
	levee_link_call(link, 5000, &reply, argc, argv, NULL);
	levee_link_close(&link);
	return reply;
}

static void tell(int argc, const char *const *argv)
{
	redisReply *reply = ask(argc, argv);

	assert_non_null(reply);
	assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
	freeReplyObject(reply);
}

/* The fleet's record of a bin. \return false: there is none */
static bool get_record(int64_t start_s, struct levee_fleet_record *record)
{
	char start[24];
	const char *argv[] = { "HGET", "levee:{test}:records", start };
	redisReply *reply;
	bool ok;

	snprintf(start, sizeof(start), "%lld", (long long)start_s);
	reply = ask(3, argv);
	ok = reply && reply->type == REDIS_REPLY_STRING &&
	     !levee_fleet_record_parse(record, reply->str);
	freeReplyObject(reply);
	return ok;
}

static bool has_record(const void *arg)
{
	struct levee_fleet_record record;

	if (!get_record(*(const int64_t *)arg, &record))
		return false;
	levee_fleet_record_clear(&record);
	return true;
}

static struct levee_prefix v4(uint32_t addr)
{
	return (struct levee_prefix){ addr, 0, 4, 32 };
}

/* ---- exactness --------------------------------------------------------------------------- */

static void add(struct levee_bin *bin, const struct levee_prefix *p, uint64_t packets,
		uint64_t bytes, uint64_t syns, bool answered)
{
	assert_int_equal(answered ? levee_bin_add_answered(bin, p, packets, bytes)
				  : levee_bin_add(bin, p, packets, bytes),
			 0);
	if (detect.min_syns && syns && packets)
		assert_int_equal(levee_bin_add_syns(bin, p, syns), 0);
}

/* A bin of random traffic, split over the nodes at random, and whole. */
static void make_traffic(struct levee_bin *parts[NODES], struct levee_bin *whole,
			 unsigned int sources)
{
	for (unsigned int s = 0; s < sources; s++) {
		struct levee_prefix p = s % 5 ? v4(0x0a000000 + s)
					      : (struct levee_prefix){ 0x20010db800000000 + s, 0, 6,
								       64 };
		uint64_t most = next_random() % 100 == 0 ? 200000 : 60;
		uint64_t size = next_random() % 50 == 0 ? 1400 : 60;
		uint64_t syns = next_random() % 60 == 0 ? 40 : 2;

		for (unsigned int i = 0; i < NODES; i++) {
			uint64_t packets = next_random() % 3 ? next_random() % most : 0;
			uint64_t new_flows = packets && next_random() % 4 == 0 ? syns : 0;
			bool answered = packets && next_random() % 16 == 0;

			add(parts[i], &p, packets, packets * size, new_flows, answered);
			add(whole, &p, packets, packets * size, new_flows, answered);
		}
	}
}

static enum levee_block_reason reason_of(const struct levee_finding *f)
{
	return f->by == LEVEE_BY_ROBUST ? LEVEE_BLOCK_ROBUST : LEVEE_BLOCK_ZSCORE;
}

static void check_finding(const struct levee_finding *f, int64_t newest_s)
{
	char prefix[LEVEE_PREFIX_TEXT];
	const char *get[] = { "HGET", "levee:{test}:blocks",
			      levee_prefix_format(&f->source, prefix) };
	struct levee_fleet_entry entry;
	redisReply *reply = ask(3, get);

	assert_int_equal(reply->type, REDIS_REPLY_STRING);
	assert_int_equal(levee_fleet_entry_parse(&entry, prefix, reply->str), 0);
	freeReplyObject(reply);
	assert_true(entry.last_bin_s == f->last_bin_s);
	/* Harder at once, softer only with its next block; an answer is not forgotten. */
	assert_true(f->soft || entry.kind == LEVEE_KIND_DROP);
	assert_true(!flows || !f->answered || !entry.spoofable);
	/* What a block is known for is told when its end moves: with this bin. */
	if (f->last_bin_s == newest_s && !f->soft) {
		assert_true(entry.max_value == f->max_value);
		assert_int_equal(entry.measure, f->measure);
		assert_int_equal(entry.reason, reason_of(f));
		assert_true(entry.max_packets == f->max_packets);
		assert_true(entry.max_zscore > f->max_zscore - 0.00001 &&
			    entry.max_zscore < f->max_zscore + 0.00001);
	}
}

static void check_evaluation(const struct levee_window *window, int64_t now_s)
{
	struct levee_evaluation e;
	char n[24], mean[40], stddev[40];
	const char *argv[] = { "HMGET", "levee:{test}:eval", "n", "mean", "stddev", "findings" };
	redisReply *reply;

	assert_int_equal(levee_detector_find(detector)->evaluate(window, NULL, now_s, &detect, &e),
			 0);
	reply = ask(6, argv);
	assert_non_null(reply);
	snprintf(n, sizeof(n), "%llu", (unsigned long long)e.moments.n);
	snprintf(mean, sizeof(mean), "%.17g", e.mean);
	snprintf(stddev, sizeof(stddev), "%.17g", e.stddev);
	assert_string_equal(reply->element[0]->str, n);
	assert_string_equal(reply->element[1]->str, mean);
	assert_string_equal(reply->element[2]->str, stddev);
	assert_int_equal(strtoull(reply->element[3]->str, NULL, 10), e.n_findings);
	freeReplyObject(reply);
	assert_true(e.n_findings > 0);
	for (size_t i = 0; i < e.n_findings; i++)
		check_finding(&e.findings[i], now_s - BIN_S);
	levee_evaluation_clear(&e);
}

static void check_candidates(const struct levee_candidate *a, const struct levee_candidate *b,
			     size_t n, enum levee_measure measure)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(levee_prefix_compare(&a[i].source, &b[i].source), 0);
		assert_true(levee_candidate_value(&a[i], measure) ==
				    levee_candidate_value(&b[i], measure) &&
			    a[i].packets == b[i].packets);
		assert_true(!flows || a[i].answered == b[i].answered);
	}
}

/* Number for number what one node that sees everything keeps of the bin. */
static void check_record(const struct levee_bin_record *got, const struct levee_bin_record *truth)
{
	for (enum levee_measure m = LEVEE_PACKETS; m < LEVEE_MEASURES; m++) {
		const struct levee_moments *a = levee_bin_record_moments(got, m);
		const struct levee_moments *b = levee_bin_record_moments(truth, m);
		struct levee_candidates mine = levee_bin_record_candidates(got, m);
		struct levee_candidates theirs = levee_bin_record_candidates(truth, m);

		assert_int_equal(!a, !b);
		assert_true(!a || (a->n == b->n && a->sum == b->sum && a->sq == b->sq));
		assert_int_equal(mine.n, theirs.n);
		check_candidates(mine.list, theirs.list, mine.n, m);
	}
	assert_int_equal(got->histogram.n, truth->histogram.n);
	for (size_t i = 0; i < got->histogram.n; i++)
		assert_true(got->histogram.cells[i].bucket == truth->histogram.cells[i].bucket &&
			    got->histogram.cells[i].count == truth->histogram.cells[i].count);
}

static void make_truth(struct levee_bin_record *truth, const struct levee_bin *whole,
		       int64_t start_s)
{
	assert_int_equal(levee_bin_record_make(truth, whole, start_s, detect.min_packets), 0);
	if (levee_detector_wants_histogram(detector))
		assert_int_equal(levee_bin_record_add_histogram(truth, whole), 0);
	if (detect.min_bytes)
		assert_int_equal(
			levee_bin_record_add_measure(truth, whole, LEVEE_BYTES, detect.min_bytes),
			0);
	if (detect.min_syns)
		assert_int_equal(
			levee_bin_record_add_measure(truth, whole, LEVEE_SYNS, detect.min_syns), 0);
}

static bool evaluated(const void *arg)
{
	const char *argv[] = { "HGET", "levee:{test}:eval", "start" };
	redisReply *reply = ask(3, argv);
	bool yes = reply && reply->type == REDIS_REPLY_STRING &&
		   strtoll(reply->str, NULL, 10) == *(const int64_t *)arg;

	freeReplyObject(reply);
	return yes;
}

/* So many bins are done with: findings follow the evaluation. */
static bool published(const void *arg)
{
	static const char name[] = "\nlevee_fleet_bins_reduced_total ";
	unsigned long done = 0;

	for (unsigned int i = 0; i < n_fleet; i++) {
		char *text = NULL, *at;
		size_t size;
		FILE *out = open_memstream(&text, &size);

		levee_fleet_metrics(fleet[i], out);
		fclose(out);
		at = strstr(text, name);
		assert_non_null(at);
		done += strtoul(at + sizeof(name) - 1, NULL, 10);
		free(text);
	}
	return done == *(const unsigned int *)arg;
}

/* n, mean, deviation and findings of 8 nodes are those of one node that gets everything. */
static void compare_with_one(unsigned int bins)
{
	struct levee_window *window = levee_window_new(BIN_S, WINDOW_S);
	int64_t start_s = base_s();

	start_nodes(NODES);
	assert_true(wait_for(all_together, NULL));
	for (unsigned int bin = 0; bin < bins; bin++, start_s += BIN_S) {
		struct levee_bin *parts[NODES], *whole = levee_bin_new(1 << 20);
		struct levee_bin_record truth;
		struct levee_fleet_record got;

		for (unsigned int i = 0; i < NODES; i++)
			parts[i] = levee_bin_new(1 << 20);
		make_traffic(parts, whole, 300 + (unsigned int)(next_random() % 2000));
		for (unsigned int i = 0; i < NODES; i++) {
			levee_fleet_bin(fleet[i], parts[i], start_s, bin + 1, NULL, 0);
			levee_bin_free(&parts[i]);
		}
		make_truth(&truth, whole, start_s);
		assert_true(wait_for(evaluated, &start_s));
		assert_true(get_record(start_s, &got));
		check_record(&got.bin, &truth);
		assert_int_equal(got.n_nodes, NODES);
		assert_int_equal(got.n_missing + got.n_late, 0);
		levee_fleet_record_clear(&got);
		assert_int_equal(levee_window_push(window, &truth), 0);
		levee_window_advance(window, start_s + BIN_S);
		assert_true(wait_for(published, &(unsigned int){ bin + 1 }));
		check_evaluation(window, start_s + BIN_S);
		levee_bin_free(&whole);
	}
	levee_window_free(&window);
}

static void eight_nodes_decide_as_one_that_sees_all(void **state)
{
	(void)state;
	compare_with_one(5);
}

static void so_they_do_with_every_detector_and_measure(void **state)
{
	(void)state;
	detector = "both";
	detect.min_bytes = 60000;
	detect.min_syns = 30;
	detect.soft_zscore = 2;
	flows = true;
	compare_with_one(4);
}

static void so_they_do_with_robust(void **state)
{
	(void)state;
	detector = "robust";
	compare_with_one(2);
}

/* ---- bins that come late, or not at all -------------------------------------------------- */

static void send_bin(unsigned int node, int64_t start_s, uint32_t addr, uint64_t packets,
		     uint64_t seq)
{
	struct levee_bin *bin = levee_bin_new(1024);
	struct levee_prefix p = v4(addr);

	levee_bin_add(bin, &p, packets, packets);
	levee_fleet_bin(fleet[node], bin, start_s, seq, NULL, 0);
	levee_bin_free(&bin);
}

static bool was_made_again(const void *arg)
{
	struct levee_fleet_record record;
	bool yes = get_record(*(const int64_t *)arg, &record);

	if (yes) {
		yes = record.n_late == 1;
		levee_fleet_record_clear(&record);
	}
	return yes;
}

static void a_late_node_is_named_and_its_data_are_not_lost(void **state)
{
	struct levee_fleet_record record;
	int64_t start_s = base_s();

	(void)state;
	start_nodes(3);
	assert_true(wait_for(all_together, NULL) && wait_for(has_leader, NULL));
	for (unsigned int i = 0; i < 3; i++)
		send_bin(i, start_s, 1, 10, 1);
	assert_true(wait_for(has_record, &start_s));
	start_s += BIN_S;
	/* The leader may be any of them: who is late must not be it. */
	for (unsigned int i = 0; i < 3; i++)
		if (levee_fleet_leads(fleet[i], NULL) || i == 1)
			send_bin(i, start_s, 1, 10, 2);
	assert_true(wait_for(has_record, &start_s));
	assert_true(get_record(start_s, &record));
	assert_true(record.n_missing >= 1);
	assert_true(record.bin.moments.sum == 10 * record.n_nodes);
	for (unsigned int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "node-%u", i);
		assert_int_equal(levee_fleet_name_in(record.missing, record.n_missing, name),
				 !levee_fleet_name_in(record.nodes, record.n_nodes, name));
	}
	for (unsigned int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "node-%u", i);
		if (levee_fleet_name_in(record.missing, record.n_missing, name)) {
			send_bin(i, start_s, 1, 7, 2);
			break;
		}
	}
	assert_true(wait_for(was_made_again, &start_s));
	levee_fleet_record_clear(&record);
	assert_true(get_record(start_s, &record));
	assert_true(record.bin.moments.n == 1);
	assert_true(record.bin.moments.sum == 10 * (record.n_nodes - 1) + 7);
	/* The square of the sum over nodes, not the sum of squares. */
	assert_true(record.bin.moments.sq == record.bin.moments.sum * record.bin.moments.sum);
	levee_fleet_record_clear(&record);
}

/* ---- who goes on, and who comes again ---------------------------------------------------- */

/* 40 light sources and, if it sent any, one heavy one, on three nodes; what it was held for. */
static void send_with(int64_t start_s, uint32_t addr, uint64_t packets, uint64_t held, uint64_t seq)
{
	for (unsigned int i = 0; i < 3; i++) {
		struct levee_bin *bin = levee_bin_new(1024);
		struct levee_fleet_held h = { v4(addr), held };

		for (uint32_t s = 0; s < 40; s++) {
			struct levee_prefix p = v4(0x0a000000 + s);

			levee_bin_add(bin, &p, 3 + s % 3, 300);
		}
		levee_bin_add(bin, &h.source, packets, 60 * packets);
		levee_fleet_bin(fleet[i], bin, start_s, seq, &h, held ? 1 : 0);
		levee_bin_free(&bin);
	}
}

static bool get_entry(uint32_t addr, struct levee_fleet_entry *entry)
{
	struct levee_prefix p = v4(addr);
	char prefix[LEVEE_PREFIX_TEXT];
	const char *get[] = { "HGET", "levee:{test}:blocks", levee_prefix_format(&p, prefix) };
	redisReply *reply = ask(3, get);
	bool has = reply && reply->type == REDIS_REPLY_STRING &&
		   !levee_fleet_entry_parse(entry, prefix, reply->str);

	freeReplyObject(reply);
	return has;
}

/* Its packets are dropped and not counted any more; a third of what is too much on each node. */
static void a_block_lasts_while_the_flood_goes_on_in_sum(void **state)
{
	int64_t start_s = base_s();
	struct levee_fleet_entry e;

	(void)state;
	start_nodes(3);
	assert_true(wait_for(all_together, NULL) && wait_for(has_leader, NULL));
	send_with(start_s, 99, 700, 0, 1);
	assert_true(wait_for(published, &(unsigned int){ 1 }));
	assert_true(get_entry(99, &e));
	assert_true(e.last_bin_s == start_s && e.max_packets == 2100);
	send_with(start_s + BIN_S, 99, 0, 400, 2);
	assert_true(wait_for(published, &(unsigned int){ 2 }));
	assert_true(get_entry(99, &e));
	assert_true(e.last_bin_s == start_s + BIN_S);
	assert_true(e.expires_ms == (uint64_t)(start_s + 2 * BIN_S + WINDOW_S) * 1000);
	send_with(start_s + 2 * BIN_S, 99, 0, 300, 3);
	assert_true(wait_for(published, &(unsigned int){ 3 }));
	assert_true(get_entry(99, &e));
	assert_true(e.last_bin_s == start_s + BIN_S);
	assert_int_equal(e.repeats, 0);
}

static void who_was_blocked_before_is_blocked_for_longer(void **state)
{
	struct levee_offender before = { .prefix = v4(98), .blocks = 2 };
	int64_t start_s = base_s();
	struct levee_fleet_entry e;
	struct timespec t;

	(void)state;
	clock_gettime(CLOCK_BOOTTIME, &t);
	before.end_unix_ns = ((uint64_t)time(NULL) - 3600) * LEVEE_NS_PER_S;
	before.end_boot_ns = ((int64_t)t.tv_sec - 3600) * (int64_t)LEVEE_NS_PER_S;
	n_fleet = 3;
	for (unsigned int i = 0; i < 3; i++) {
		struct levee_fleet_options o = options(i);

		assert_int_equal(levee_fleet_new(&fleet[i], &o), 0);
		levee_fleet_remember(fleet[i], &before);
		assert_int_equal(levee_fleet_start(fleet[i]), 0);
	}
	assert_true(wait_for(all_together, NULL) && wait_for(has_leader, NULL));
	send_with(start_s, 98, 700, 0, 1);
	assert_true(wait_for(published, &(unsigned int){ 1 }));
	assert_true(get_entry(98, &e));
	assert_int_equal(e.repeats, 2);
	assert_true(e.expires_ms == (uint64_t)(start_s + BIN_S + 4 * WINDOW_S) * 1000);
}

static bool forgets_them(const void *arg)
{
	const char *get[] = { "HEXISTS", "levee:{test}:nodes", "gone" };
	redisReply *reply = ask(3, get);
	bool forgot = reply && reply->integer == 0;
	struct levee_fleet_entry e;

	(void)arg;
	freeReplyObject(reply);
	return forgot && !get_entry(0xc0000201, &e);
}

/* Instances come and go for years: what they leave in the engine has an end. */
static void what_is_long_over_is_taken_out(void **state)
{
	const char *node[] = { "HSET", "levee:{test}:nodes", "gone", "1700000000000 0 0 0 1 v0" };
	const char *entry[] = { "HSET", "levee:{test}:blocks", "192.0.2.1",
				"B 0 1700000000000 1700000000000 3 1 1 1.000000 1 1 0 1 0 x " };
	int64_t start_s = base_s();
	struct levee_fleet_entry e;

	(void)state;
	tell(4, node);
	tell(4, entry);
	assert_true(get_entry(0xc0000201, &e));
	start_nodes(3);
	assert_true(wait_for(all_together, NULL) && wait_for(has_leader, NULL));
	send_with(start_s, 97, 10, 0, 1);
	assert_true(wait_for(forgets_them, NULL));
}

/* ---- blocks ------------------------------------------------------------------------------ */

static struct levee_block make_block(uint32_t addr, bool manual, unsigned int seconds)
{
	uint64_t now_ns = (uint64_t)time(NULL) * LEVEE_NS_PER_S;

	return (struct levee_block){ .prefix = v4(addr),
				     .reason = manual ? LEVEE_BLOCK_MANUAL : LEVEE_BLOCK_ZSCORE,
				     .created_unix_ns = now_ns,
				     .expires_boot_ns = 1,
				     .expires_unix_ns = now_ns + seconds * LEVEE_NS_PER_S,
				     .max_zscore = 5,
				     .max_packets = 5000 };
}

/* What the controller of each node was told, by the last byte of the address. */
static struct {
	unsigned int orders;
	bool lifted;
} told[NODES][256];

static void take_orders(void)
{
	struct levee_fleet_entry e;

	for (unsigned int i = 0; i < n_fleet; i++)
		while (fleet[i] && levee_fleet_take(fleet[i], &e)) {
			told[i][e.prefix.hi & 255].orders++;
			told[i][e.prefix.hi & 255].lifted = e.lifted;
		}
}

struct wanted {
	unsigned int addr, but; /* but: the node that decided */
	bool lifted;
};

static bool all_told(const void *arg)
{
	const struct wanted *w = arg;

	take_orders();
	for (unsigned int i = 0; i < n_fleet; i++)
		if (i != w->but && fleet[i] &&
		    (!told[i][w->addr].orders || told[i][w->addr].lifted != w->lifted))
			return false;
	return true;
}

static void a_block_of_one_is_told_to_all_and_so_is_its_lift(void **state)
{
	struct levee_block block = make_block(1, true, 600);
	struct levee_prefix p = v4(1);

	(void)state;
	memset(told, 0, sizeof(told));
	start_nodes(4);
	assert_true(wait_for(all_together, NULL));
	levee_fleet_block(fleet[2], &block, 0);
	assert_true(wait_for(all_told, &(struct wanted){ 1, 2, false }));
	levee_fleet_lift(fleet[0], &p, (uint64_t)time(NULL) * 1000 + 1000,
			 (uint64_t)time(NULL) * 1000 + 600000);
	assert_true(wait_for(all_told, &(struct wanted){ 1, 0, true }));
	/* Who decided is not told what it knows; the others are told once. */
	assert_int_equal(told[1][1].orders, 2);
	assert_int_equal(told[2][1].orders, 1);
}

/* A node's clock is ahead, and another one is told the contrary of what it said: that is later. */
static void the_later_command_wins_whatever_the_clocks_say(void **state)
{
	struct levee_block block = make_block(1, true, 600);
	uint64_t now_ms = (uint64_t)time(NULL) * 1000;
	struct levee_prefix p = v4(1);

	(void)state;
	memset(told, 0, sizeof(told));
	start_nodes(2);
	assert_true(wait_for(all_together, NULL));
	levee_fleet_block(fleet[0], &block, now_ms + 30000);
	assert_true(wait_for(all_told, &(struct wanted){ 1, 0, false }));
	levee_fleet_lift(fleet[1], &p, now_ms, now_ms + 600000);
	assert_true(wait_for(all_told, &(struct wanted){ 1, 1, true }));
}

static void who_joins_is_told_what_holds(void **state)
{
	struct levee_block block = make_block(9, false, 600);

	(void)state;
	memset(told, 0, sizeof(told));
	start_nodes(2);
	assert_true(wait_for(all_together, NULL));
	levee_fleet_block(fleet[0], &block, 0);
	assert_true(wait_for(all_told, &(struct wanted){ 9, 0, false }));
	n_fleet = 3;
	start_node(2);
	assert_true(wait_for(all_told, &(struct wanted){ 9, 0, false }));
	assert_int_equal(told[2][9].orders, 1);
}

static void an_outage_loses_no_block_and_doubles_none(void **state)
{
	struct levee_block before = make_block(1, false, 600), a = make_block(2, false, 600);
	struct levee_block b = make_block(3, true, 600);
	char port[8];

	(void)state;
	memset(told, 0, sizeof(told));
	start_nodes(3);
	assert_true(wait_for(all_together, NULL));
	levee_fleet_block(fleet[0], &before, 0);
	assert_true(wait_for(all_told, &(struct wanted){ 1, 0, false }));
	snprintf(port, sizeof(port), "%s", redis.port);
	test_redis_signal(&redis, SIGKILL);
	test_redis_stop(&redis);
	assert_true(wait_for(all_alone, NULL));
	assert_non_null(strstr(last_said[1], "alone: "));
	assert_int_equal(leaders(), 0);
	levee_fleet_block(fleet[1], &a, 0);
	levee_fleet_block(fleet[2], &b, 0);
	/* It comes back, and has forgotten everything. */
	assert_int_equal(test_redis_start(&redis, port, NULL), 0);
	assert_true(wait_for(all_together, NULL));
	assert_true(wait_for(all_told, &(struct wanted){ 2, 1, false }));
	assert_true(wait_for(all_told, &(struct wanted){ 3, 2, false }));
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(told[i][1].orders, i != 0);
		assert_int_equal(told[i][2].orders, i != 1);
		assert_int_equal(told[i][3].orders, i != 2);
	}
	assert_true(wait_for(has_leader, NULL));
}

/* ---- the leader -------------------------------------------------------------------------- */

static void a_leader_that_goes_is_followed_and_its_window_taken_up(void **state)
{
	int64_t start_s = base_s();
	uint64_t first = 0, second = 0;
	unsigned int old;

	(void)state;
	start_nodes(3);
	assert_true(wait_for(all_together, NULL) && wait_for(has_leader, NULL));
	for (unsigned int i = 0; i < 3; i++)
		send_bin(i, start_s, 1, 10, 1);
	assert_true(wait_for(has_record, &start_s));
	for (old = 0; !levee_fleet_leads(fleet[old], &first);)
		old++;
	assert_int_equal(levee_fleet_fence(fleet[old], first), 0);
	assert_int_equal(levee_fleet_fence(fleet[old], first + 1), -EPERM);
	assert_int_equal(levee_fleet_fence(fleet[(old + 1) % 3], first), -EPERM);
	levee_fleet_stop(&fleet[old]);
	assert_true(wait_for(has_leader, NULL));
	for (unsigned int i = 0; i < 3; i++)
		if (fleet[i])
			levee_fleet_leads(fleet[i], &second);
	assert_true(second > first);
	start_s += BIN_S;
	for (unsigned int i = 0; i < 3; i++)
		if (fleet[i])
			send_bin(i, start_s, 1, 10, 2);
	assert_true(wait_for(evaluated, &start_s));
	start_s -= BIN_S;
	assert_true(has_record(&start_s));
}

static bool taken_away(const void *arg)
{
	(void)arg;
	return leaders() == 0;
}

/* Somebody else has the lease, while the leader still believes in its own. */
static void a_leader_whose_lease_was_taken_cannot_act(void **state)
{
	const char *steal[] = { "SET", "levee:{test}:lease", "other 9999999999999999", "PX",
				"3000" };
	uint64_t token = 0;

	(void)state;
	start_nodes(1);
	assert_true(wait_for(has_leader, NULL));
	levee_fleet_leads(fleet[0], &token);
	assert_int_equal(levee_fleet_fence(fleet[0], token), 0);
	tell(5, steal);
	assert_int_equal(levee_fleet_fence(fleet[0], token), -EPERM);
	assert_true(wait_for(taken_away, NULL));
	assert_true(wait_for(has_leader, NULL));
}

/* ---- the fast path ----------------------------------------------------------------------- */

static bool has_threshold(const void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < n_fleet; i++)
		if (!levee_fleet_threshold(fleet[i]))
			return false;
	return true;
}

static void shares_over_the_threshold_in_sum_alone_block_everywhere(void **state)
{
	int64_t start_s = base_s();
	struct levee_prefix p = v4(77);
	uint64_t threshold;

	(void)state;
	memset(told, 0, sizeof(told));
	start_nodes(NODES);
	assert_true(wait_for(all_together, NULL));
	for (unsigned int bin = 0; bin < 3; bin++, start_s += BIN_S) {
		for (unsigned int i = 0; i < NODES; i++)
			send_bin(i, start_s, 1 + i, 10 + bin, bin + 1);
		assert_true(wait_for(evaluated, &start_s));
	}
	assert_true(wait_for(has_threshold, NULL));
	threshold = levee_fleet_threshold(fleet[0]);
	assert_true(threshold >= 1000);
	start_s = (int64_t)time(NULL);
	start_s -= start_s % BIN_S;
	for (unsigned int i = 0; i < 3; i++)
		levee_fleet_share(fleet[i], &p, threshold / 3, start_s);
	levee_fleet_share(fleet[4], &p, 4, start_s);
	assert_true(wait_for(all_told, &(struct wanted){ 77, NODES, false }));
	for (unsigned int i = 0; i < NODES; i++)
		assert_int_equal(told[i][77].orders, 1);
}

/* ---- engines that are not to be worked with ---------------------------------------------- */

static bool said_why(const void *arg)
{
	return strstr(last_said[0], arg) != NULL;
}

/* FLUSHALL while all are connected: they join anew, and lead again after a pause. */
static void a_fleet_that_was_deleted_is_made_again(void **state)
{
	const char *flush[] = { "FLUSHALL" };
	uint64_t before = 0, after = 0;

	(void)state;
	start_nodes(1);
	assert_true(wait_for(has_leader, NULL));
	levee_fleet_leads(fleet[0], &before);
	tell(1, flush);
	assert_true(wait_for(taken_away, NULL));
	assert_true(wait_for(has_leader, NULL));
	levee_fleet_leads(fleet[0], &after);
	assert_true(after > before);
	assert_true(wait_for(all_together, NULL));
}

static void another_schema_is_refused_and_nothing_is_written(void **state)
{
	const char *set[] = { "HSET", "levee:{test}:meta", "schema", "99" };
	const char *keys[] = { "DBSIZE" };
	redisReply *reply;

	(void)state;
	tell(4, set);
	start_nodes(1);
	assert_true(wait_for(said_why, "schema 99"));
	reply = ask(1, keys);
	assert_int_equal(reply->integer, 1);
	freeReplyObject(reply);
}

/* What was agreed on goes when nobody lives by it any more; what is blocked stays. */
static void a_fleet_is_reset_when_nobody_lives_in_it(void **state)
{
	const char *entry[] = { "HSET", "levee:{test}:blocks", "203.0.113.7",
				"B 1 1 0 3 1 0 0.000000 0 0 0 0 0 x note" };
	const char *other[] = { "SET", "levee:{test}:precious", "1" };
	const char *meta[] = { "EXISTS", "levee:{test}:meta", "levee:{test}:nodes" };
	const char *kept[] = { "EXISTS", "levee:{test}:blocks", "levee:{test}:precious" };
	struct levee_fleet_options o = options(0);
	struct levee_fleet_was was;
	char why[LEVEE_LOOK_WHY];
	redisReply *reply;

	(void)state;
	tell(4, entry);
	tell(3, other);
	start_nodes(1);
	assert_true(wait_for(all_together, NULL));
	assert_int_equal(levee_fleet_reset(&was, &o, false, why), -EBUSY);
	assert_int_equal(was.live, 1);
	assert_non_null(strstr(why, "1 instances"));
	levee_fleet_stop(&fleet[0]);
	assert_int_equal(levee_fleet_reset(&was, &o, false, why), 0);
	assert_string_equal(was.schema, LEVEE_FLEET_SCHEMA);
	assert_int_equal(was.blocks, 1);
	reply = ask(3, meta);
	assert_int_equal(reply->integer, 0);
	freeReplyObject(reply);
	reply = ask(3, kept);
	assert_int_equal(reply->integer, 2);
	freeReplyObject(reply);
	assert_int_equal(levee_fleet_reset(&was, &o, false, why), -ENOENT);
	start_nodes(1);
	assert_true(wait_for(all_together, NULL));
}

/* Two instances with one name: who came later is alone, and told why. */
static void a_name_is_of_one_instance(void **state)
{
	struct levee_fleet_options o = options(0);
	struct levee_fleet *other;

	(void)state;
	start_nodes(1);
	assert_true(wait_for(all_together, NULL));
	assert_int_equal(levee_fleet_new(&other, &o), 0);
	assert_int_equal(levee_fleet_start(other), 0);
	assert_true(wait_for(said_why, "another instance has this name"));
	assert_false(levee_fleet_together(other));
	assert_true(levee_fleet_together(fleet[0]));
	levee_fleet_stop(&other);
}

static void other_bins_are_refused(void **state)
{
	const char *set[] = { "HSET",	"levee:{test}:meta",
			      "schema", LEVEE_FLEET_SCHEMA,
			      "bin",	"30",
			      "window", "1800",
			      "seed",	"x" };

	(void)state;
	tell(10, set);
	start_nodes(1);
	assert_true(wait_for(said_why, "bins of 30 s"));
	assert_false(levee_fleet_together(fleet[0]));
}

static void keys_of_somebody_else_are_left_alone(void **state)
{
	const char *set[] = { "SET", "levee:{test}:meta", "precious" };
	const char *del[] = { "DEL", "levee:{test}:meta" };
	const char *get[] = { "GET", "levee:{test}:meta" };
	redisReply *reply;

	(void)state;
	tell(2, del);
	tell(3, set);
	start_nodes(1);
	assert_true(wait_for(said_why, "somebody else's"));
	reply = ask(2, get);
	assert_string_equal(reply->str, "precious");
	freeReplyObject(reply);
}

static void a_full_engine_leaves_the_node_alone_until_there_is_room(void **state)
{
	const char *full[] = { "CONFIG", "SET", "maxmemory", "1" };
	const char *room[] = { "CONFIG", "SET", "maxmemory", "0" };

	(void)state;
	start_nodes(1);
	assert_true(wait_for(all_together, NULL));
	tell(4, full);
	assert_true(wait_for(said_why, "the engine is full"));
	assert_false(levee_fleet_together(fleet[0]));
	tell(4, room);
	assert_true(wait_for(all_together, NULL));
}

static void a_replica_leaves_the_node_alone(void **state)
{
	const char *replica[] = { "REPLICAOF", "127.0.0.1", "1" };
	const char *primary[] = { "REPLICAOF", "NO", "ONE" };

	(void)state;
	start_nodes(1);
	assert_true(wait_for(all_together, NULL));
	tell(3, replica);
	assert_true(wait_for(said_why, "this is a replica"));
	tell(3, primary);
	assert_true(wait_for(all_together, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define FLEET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		FLEET_TEST(eight_nodes_decide_as_one_that_sees_all),
		FLEET_TEST(so_they_do_with_every_detector_and_measure),
		FLEET_TEST(so_they_do_with_robust),
		FLEET_TEST(a_late_node_is_named_and_its_data_are_not_lost),
		FLEET_TEST(a_block_lasts_while_the_flood_goes_on_in_sum),
		FLEET_TEST(who_was_blocked_before_is_blocked_for_longer),
		FLEET_TEST(what_is_long_over_is_taken_out),
		FLEET_TEST(a_block_of_one_is_told_to_all_and_so_is_its_lift),
		FLEET_TEST(the_later_command_wins_whatever_the_clocks_say),
		FLEET_TEST(who_joins_is_told_what_holds),
		FLEET_TEST(an_outage_loses_no_block_and_doubles_none),
		FLEET_TEST(a_leader_that_goes_is_followed_and_its_window_taken_up),
		FLEET_TEST(a_leader_whose_lease_was_taken_cannot_act),
		FLEET_TEST(shares_over_the_threshold_in_sum_alone_block_everywhere),
		FLEET_TEST(a_fleet_that_was_deleted_is_made_again),
		FLEET_TEST(another_schema_is_refused_and_nothing_is_written),
		FLEET_TEST(a_fleet_is_reset_when_nobody_lives_in_it),
		FLEET_TEST(a_name_is_of_one_instance),
		FLEET_TEST(other_bins_are_refused),
		FLEET_TEST(keys_of_somebody_else_are_left_alone),
		FLEET_TEST(a_full_engine_leaves_the_node_alone_until_there_is_room),
		FLEET_TEST(a_replica_leaves_the_node_alone),
	};

	signal(SIGPIPE, SIG_IGN);
	if (!test_redis_installed()) {
		print_message("1..0 # SKIP no redis-server or valkey-server in /usr/bin\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
