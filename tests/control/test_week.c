/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seven simulated days of a fleet's traffic through detector, fast path, block table and state
 * file: clients that come and go with the time of day, attackers who flood without end, who
 * hit and run, who come once; steps of the wall clock, and restarts at any time, with and without a
 * reboot. The data path is a model: it counts a source, or drops it while its rule has not ended.
 *
 * At every bin: no rule without a block and no block without its rule, no flood that comes through for
 * longer than the fast path needs, no block that outlives its source by more than it may, no
 * client blocked, and every table within its bounds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/detect/trip.h"
#include "control/policy/blocks.h"
#include "control/store/store.h"

#define S	 LEVEE_NS_PER_S
#define BIN	 60
#define WINDOW	 3600
#define DAYS	 7
#define BINS	 (DAYS * 86400 / BIN)
#define START	 1767225600LL
#define CLIENTS	 60
#define STEADY	 3
#define HITTERS	 5
#define ONCE	 40
#define SOURCES	 (CLIENTS + STEADY + HITTERS + ONCE)
#define MAX_LONG 14400 /* [block] max_block */

/* The kernel's rule about a source. */
struct rule {
	bool there;
	uint64_t expires_ns; /* boot time */
	uint64_t hits;
};

struct world {
	char path[64];
	uint64_t seed;
	uint64_t boot_ns; /* of this boot */
	int64_t names_s;  /* start of the running bin by its name */
	unsigned int boots;
	char boot_id[16];

	struct levee_store *store;
	struct levee_window *window;
	struct levee_blocks *blocks;
	struct levee_bin *bin;
	struct levee_trip trip;
	struct rule rules[SOURCES];

	/* what is known to be true */
	uint64_t sent[SOURCES];		 /* in this bin */
	uint64_t passed[SOURCES];	 /* of it */
	uint64_t last_flood_ns[SOURCES]; /* end of the last bin above the threshold [ns] */
	uint64_t age_ns;		 /* of the world, which no clock and no boot changes */
	uint64_t blocked_ns[SOURCES];	 /* when its block began [age] */
	unsigned int blocks_of[SOURCES];
	size_t most_blocks, most_offenders, most_rows;
	unsigned int added, expired, restarts, reboots;
};

static const struct levee_detect_params detect = { .min_zscore = 3, .min_packets = 12000 };

static uint64_t next(struct world *w)
{
	w->seed ^= w->seed << 13;
	w->seed ^= w->seed >> 7;
	w->seed ^= w->seed << 17;
	return w->seed;
}

static struct levee_prefix source(size_t i)
{
	return (struct levee_prefix){ .hi = 0xc6120000 + i, .family = 4, .length = 32 };
}

static size_t index_of(const struct levee_prefix *prefix)
{
	return (size_t)(prefix->hi - 0xc6120000);
}

static struct levee_time now_of(const struct world *w)
{
	return (struct levee_time){ .boot_ns = w->boot_ns, .unix_ns = (uint64_t)w->names_s * S };
}

/* ---- who sends what ------------------------------------------------------------------------- */

static bool is_client(size_t i)
{
	return i < CLIENTS;
}

/* Packets of a source in a bin; the day has its shape, and no client passes 9,000. */
static uint64_t traffic(struct world *w, size_t i, int64_t nr)
{
	int64_t minute = nr % 1440;
	uint64_t day = (uint64_t)(minute < 720 ? minute : 1440 - minute); /* 0 to 720 */
	int64_t since = nr - 100;

	if (is_client(i))
		return next(w) % 8 ? (20 + next(w) % (10 + i * 10)) * (100 + day) / 100 : 0;
	i -= CLIENTS;
	if (i < STEADY) /* from an hour and a half on, for days, with nights off for the last */
		return nr > 90 && (i < STEADY - 1 || day > 300) ? 50000 + next(w) % 1000000 : 0;
	i -= STEADY;
	if (i < HITTERS) /* a minute of flood, and so many minutes of nothing */
		return since > 0 && since % (int64_t[]){ 3, 61, 95, 200, 1000 }[i] == 0
			       ? 30000 + next(w) % 300000
			       : 0;
	i -= HITTERS;
	return nr == 200 + (int64_t)i * 230 ? 100000 : 0;
}

/* ---- the data path ---------------------------------------------------------------------------- */

static bool is_dropped(const struct world *w, size_t i)
{
	return w->rules[i].there && w->rules[i].expires_ns > w->boot_ns;
}

/* A change of the block table, as the controller carries it out. */
static void on_change(void *ctx, enum levee_block_change change, const struct levee_block *block)
{
	struct world *w = ctx;
	size_t i = index_of(&block->prefix);
	struct levee_offender offence = levee_block_offence(block);

	if (change == LEVEE_BLOCK_ADDED || change == LEVEE_BLOCK_UPDATED) {
		if (change == LEVEE_BLOCK_ADDED) {
			w->rules[i].hits = 0;
			w->blocked_ns[i] = w->age_ns;
			w->blocks_of[i]++;
			w->added++;
		}
		w->rules[i].there = true;
		w->rules[i].expires_ns = block->expires_boot_ns;
		assert_int_equal(levee_store_put_block(w->store, block, w->boot_id), 0);
		return;
	}
	assert_int_equal(change, LEVEE_BLOCK_EXPIRED);
	w->expired++;
	w->rules[i].there = false;
	assert_int_equal(levee_store_drop_block(w->store, &block->prefix), 0);
	assert_int_equal(levee_store_put_offender(w->store, &offence, w->boot_id), 0);
}

/* Packets come in turn, each a part of the bin; the fast path asks at every share. */
static void send(struct world *w, size_t i, uint64_t packets)
{
	struct levee_prefix p = source(i);
	uint64_t passed = 0, step = w->trip.share ? w->trip.share : packets + 1;
	struct levee_time now = now_of(w);
	struct levee_finding finding;

	w->sent[i] = packets;
	while (packets) {
		uint64_t part = packets < step ? packets : step;

		packets -= part;
		if (is_dropped(w, i)) {
			w->rules[i].hits += part;
			continue;
		}
		passed += part;
		assert_int_equal(levee_bin_add(w->bin, &p, part, 60 * part), 0);
		if (levee_trip_decide(&w->trip, &p, passed, w->names_s, &finding) &&
		    !levee_blocks_get(w->blocks, &p))
			assert_int_equal(levee_blocks_add(w->blocks, &finding, &now, on_change, w),
					 0);
	}
	w->passed[i] = passed;
}

/* ---- the controller ----------------------------------------------------------------------------- */

static void report(void *ctx, const char *message)
{
	(void)ctx;
	fail_msg("%s", message);
}

static void open_all(struct world *w)
{
	const struct levee_blocks_params params = { .bin_s = BIN,
						    .window_s = WINDOW,
						    .repeat_memory_s = 86400,
						    .repeat_factor = 2,
						    .max_block_s = MAX_LONG };

	assert_int_equal(levee_store_open(&w->store, w->path, report, NULL), 0);
	w->window = levee_window_new(BIN, WINDOW);
	w->blocks = levee_blocks_new(&params);
	w->bin = levee_bin_new(1024);
	assert_true(w->window && w->blocks && w->bin);
}

static void close_all(struct world *w)
{
	levee_store_close(&w->store);
	levee_window_free(&w->window);
	levee_blocks_free(&w->blocks);
	levee_bin_free(&w->bin);
}

static bool read_traffic(void *ctx, const struct levee_block *block,
			 struct levee_block_traffic *traffic)
{
	struct world *w = ctx;

	traffic->counted = levee_bin_get(w->bin, &block->prefix);
	traffic->hits = w->rules[index_of(&block->prefix)].hits;
	return true;
}

static void make_trip(struct world *w)
{
	const struct levee_trip_params params = {
		.on = true, .warmup_bins = 3, .cpus = 2, .detect = detect
	};

	assert_int_equal(levee_trip_make(&w->trip, &params, w->window, w->names_s), 0);
}

static uint64_t close_bin(struct world *w)
{
	struct levee_time now;
	struct levee_bin_record record;
	struct levee_evaluation e;
	uint64_t limit;

	levee_blocks_feed(w->blocks, w->names_s, 1, read_traffic, w);
	assert_int_equal(levee_bin_record_make(&record, w->bin, w->names_s, detect.min_packets), 0);
	assert_int_equal(levee_store_put_bin(w->store, &record, BIN), 0);
	assert_int_equal(levee_window_push(w->window, &record), 0);
	levee_bin_reset(w->bin);
	w->names_s += BIN;
	w->boot_ns += BIN * S;
	w->age_ns += BIN * S;
	now = now_of(w);
	levee_window_advance(w->window, w->names_s);
	assert_int_equal(levee_detector_zscore.evaluate(w->window, NULL, w->names_s, &detect, &e),
			 0);
	limit = e.limit_packets;
	assert_int_equal(levee_blocks_judge(w->blocks, &e, &now, on_change, w), 0);
	levee_evaluation_clear(&e);
	make_trip(w);
	levee_store_prune(w->store, levee_window_begin(w->window, w->names_s));
	levee_store_prune_offenders(w->store, now.unix_ns - 86400 * S);
	return limit;
}

static int load_bin(void *ctx, struct levee_bin_record *record)
{
	struct world *w = ctx;
	int ret = levee_window_push(w->window, record);

	levee_bin_record_clear(record);
	return ret;
}

static int load_block(void *ctx, const struct levee_block *block)
{
	struct world *w = ctx;
	struct levee_block copy = *block;
	struct rule *rule = &w->rules[index_of(&block->prefix)];

	rule->there = true;
	rule->expires_ns = block->expires_boot_ns;
	copy.hits = rule->hits;
	return levee_blocks_put(w->blocks, &copy, NULL, NULL);
}

static int load_offender(void *ctx, const struct levee_offender *offender)
{
	struct world *w = ctx;

	return levee_offenders_note(levee_blocks_offenders(w->blocks), offender);
}

/* A process begins; after a reboot the kernel knows nothing, and boot time is another. */
static void restart(struct world *w, bool reboot)
{
	struct levee_time now;

	close_all(w);
	w->restarts++;
	if (reboot) {
		w->reboots++;
		w->boot_ns = (30 + next(w) % 100) * S;
		memset(w->rules, 0, sizeof(w->rules));
		snprintf(w->boot_id, sizeof(w->boot_id), "boot-%u", ++w->boots);
	}
	open_all(w);
	now = now_of(w);
	assert_int_equal(levee_store_load_bins(w->store, BIN,
					       levee_window_begin(w->window, w->names_s),
					       w->names_s + BIN, load_bin, w),
			 0);
	assert_int_equal(levee_store_load_blocks(w->store, w->boot_id, &now, load_block, w), 0);
	assert_int_equal(levee_store_load_offenders(w->store, w->boot_id, &now, load_offender, w),
			 0);
	for (size_t i = 0; i < SOURCES; i++)
		if (w->rules[i].there && w->rules[i].expires_ns <= w->boot_ns)
			w->rules[i].there = false;
	make_trip(w);
}

/* ---- what must be true -------------------------------------------------------------------------- */

/* \param trip  the fast path's threshold as it was in the bin */
static void check_source(struct world *w, size_t i, uint64_t limit, const struct levee_trip *trip,
			 bool was_blocked)
{
	struct levee_prefix p = source(i);
	const struct levee_block *block = levee_blocks_get(w->blocks, &p);
	uint64_t left_ns, quiet_ns;

	/* The table and the kernel agree. */
	assert_int_equal(block != NULL, w->rules[i].there);
	if (block)
		assert_int_equal(block->expires_boot_ns, w->rules[i].expires_ns);
	if (is_client(i)) {
		assert_null(block);
		return;
	}
	/* No block is lost: what is blocked lets nothing through, and what floods is blocked. */
	if (was_blocked && block)
		assert_int_equal(w->passed[i], 0);
	if (w->sent[i] > limit)
		w->last_flood_ns[i] = w->age_ns;
	if (w->sent[i] > limit)
		assert_non_null(block);
	if (trip->armed) {
		assert_true(w->passed[i] <= trip->latest);
		if (w->sent[i] > trip->latest)
			assert_non_null(block);
	}
	/* None is immortal: no longer than its length from the last bin that flooded. */
	if (!block)
		return;
	left_ns = block->expires_boot_ns - w->boot_ns;
	quiet_ns = w->age_ns - w->last_flood_ns[i];
	assert_true(left_ns + quiet_ns <= (uint64_t)MAX_LONG * S);
	assert_true(left_ns <= (uint64_t)MAX_LONG * S);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void check_sizes(struct world *w)
{
	w->most_blocks = larger(w->most_blocks, levee_blocks_count(w->blocks));
	w->most_offenders = larger(w->most_offenders,
				   levee_offenders_count(levee_blocks_offenders(w->blocks)));
	assert_true(levee_window_bins(w->window) <= WINDOW / BIN);
	assert_true(levee_blocks_count(w->blocks) <= SOURCES - CLIENTS);
	assert_true(levee_offenders_count(levee_blocks_offenders(w->blocks)) <= SOURCES - CLIENTS);
}

/* ---- the week ------------------------------------------------------------------------------------ */

static void run_bin(struct world *w, int64_t nr)
{
	struct levee_trip trip = w->trip;
	bool was_blocked[SOURCES];
	uint64_t limit;

	assert_int_equal(levee_store_begin(w->store), 0);
	for (size_t i = 0; i < SOURCES; i++) {
		was_blocked[i] = is_dropped(w, i);
		send(w, i, traffic(w, i, nr));
	}
	limit = close_bin(w);
	assert_int_equal(levee_store_commit(w->store), 0);
	for (size_t i = 0; i < SOURCES; i++)
		check_source(w, i, limit, &trip, was_blocked[i]);
	check_sizes(w);
}

static void seven_days_lose_no_block_and_keep_none_for_ever(void **state)
{
	struct world w = { .seed = 0x9e3779b97f4a7c15ULL,
			   .boot_ns = 100000 * S,
			   .names_s = START,
			   .boot_id = "boot-0" };
	size_t hitter = CLIENTS + STEADY;

	(void)state;
	snprintf(w.path, sizeof(w.path), "/tmp/levee-week-%d.db", (int)getpid());
	unlink(w.path);
	open_all(&w);
	for (int64_t nr = 0; nr < BINS; nr++) {
		run_bin(&w, nr);
		if (nr % 2500 == 2499)
			w.names_s += 7200 / BIN * BIN; /* the wall clock was set forwards */
		else if (next(&w) % 400 == 0)
			restart(&w, next(&w) % 3 == 0);
	}
	print_message("# %u blocks, %u ended, %u restarts of which %u reboots; at most %zu blocks "
		      "and %zu offenders\n",
		      w.added, w.expired, w.restarts, w.reboots, w.most_blocks, w.most_offenders);
	/* Who floods all the week is blocked once, and who comes once is free again. */
	assert_int_equal(w.blocks_of[CLIENTS], 1);
	assert_int_equal(w.blocks_of[CLIENTS + 1], 1);
	assert_int_equal(w.blocks_of[hitter], 1);
	for (size_t i = 0; i < ONCE; i++)
		assert_int_equal(w.blocks_of[hitter + HITTERS + i], 1);
	/* Who hits and runs within the repeated length stays blocked after a few bursts. */
	assert_true(w.blocks_of[hitter + 1] >= 1 && w.blocks_of[hitter + 1] <= 4);
	assert_true(w.blocks_of[hitter + 4] > 3);
	assert_true(w.restarts > 10 && w.reboots > 2);
	close_all(&w);
	unlink(w.path);
	snprintf(w.path, sizeof(w.path), "/tmp/levee-week-%d.db-wal", (int)getpid());
	unlink(w.path);
	snprintf(w.path, sizeof(w.path), "/tmp/levee-week-%d.db-shm", (int)getpid());
	unlink(w.path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(seven_days_lose_no_block_and_keep_none_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
