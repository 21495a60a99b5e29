/* SPDX-License-Identifier: BSD-2-Clause */
/* The controller over the offline data path and a real store, in a directory of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/controller.h"
#include "control/log.h"
#include "dataplane/offline/offline.h"

#define START  1767225600LL /* a multiple of the bin */
#define BIN    60
#define BOOT   "11111111-2222-3333-4444-555555555555"
#define MAX_EV 64

struct world {
	char dir[64];
	char csv[96];
	char db[96];
	struct levee_dataplane *dp;
	struct levee_store *store;
	struct levee_running *parts;
	struct levee_controller c;

	/* what was told */
	enum levee_block_change change[MAX_EV];
	char prefix[MAX_EV][LEVEE_PREFIX_TEXT];
	size_t n_changes;
	size_t findings;
	uint64_t n, bin_sources;
	struct levee_account account;
};

static void on_report(void *ctx, const struct levee_report *report)
{
	struct world *w = ctx;

	w->findings = report->evaluation->n_findings;
	w->n = report->evaluation->moments.n;
	w->account = *report->account;
	w->bin_sources = report->bin_sources;
}

static void on_block(void *ctx, enum levee_block_change change, const struct levee_block *block,
		     const struct levee_policy_info *info)
{
	struct world *w = ctx;

	(void)info;
	assert_true(w->n_changes < MAX_EV);
	w->change[w->n_changes] = change;
	levee_prefix_format(&block->prefix, w->prefix[w->n_changes++]);
}

static void report(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	levee_log_set_level(LEVEE_LOG_ERROR);
	strcpy(w->dir, "/tmp/levee-controller-XXXXXX");
	if (!w || !mkdtemp(w->dir))
		return -1;
	snprintf(w->csv, sizeof(w->csv), "%s/t.csv", w->dir);
	snprintf(w->db, sizeof(w->db), "%s/state.db", w->dir);
	*state = w;
	return 0;
}

static void close_all(struct world *w)
{
	levee_controller_clear(&w->c);
	levee_running_close(&w->parts);
	levee_store_close(&w->store);
	levee_dataplane_close(&w->dp);
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[96];

	close_all(w);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	if (system(command))
		return -1;
	free(w);
	return 0;
}

/* `calm` sources at 100 packets, and one at `flood`, in each of `bins` bins. */
static void write_traffic(const struct world *w, int bins, int calm, unsigned int flood)
{
	FILE *f = fopen(w->csv, "w");

	assert_non_null(f);
	for (int b = 0; b < bins; b++) {
		for (int s = 0; s < calm; s++)
			fprintf(f, "%lld,198.18.0.%d,100,6000\n", START + b * BIN, s + 1);
		if (flood)
			fprintf(f, "%lld,203.0.113.5,%u,60\n", START + b * BIN + 1, flood);
	}
	fclose(f);
}

static void open_all(struct world *w)
{
	struct levee_offline_options offline = { .path = w->csv, .report = report };
	struct levee_controller_options options = {
		.bin_s = BIN,
		.window_s = 3600,
		.detect = { .min_zscore = 3, .min_packets = 1000 },
		.repeat_memory_s = 86400,
		.repeat_factor = 2,
		.max_block_s = 86400,
		.keep_good = true,
		.trip = { .on = true, .warmup_bins = 1, .cpus = 2 },
		.max_sources = 4096,
		.boot_id = BOOT,
		.maps_id = "maps",
	};

	assert_int_equal(levee_offline_open(&w->dp, &offline), 0);
	assert_int_equal(levee_store_open(&w->store, w->db, report, NULL), 0);
	assert_int_equal(levee_running_open(&w->parts, w->db, BOOT, report, NULL), 0);
	assert_int_equal(levee_controller_init(&w->c, w->dp, w->store, &options), 0);
	w->c.parts = w->parts;
	w->c.on_report = on_report;
	w->c.on_block = on_block;
	w->c.ctx = w;
	assert_int_equal(levee_controller_drain(&w->c, START), 0);
	levee_controller_release(&w->c);
}

static struct levee_time at(int64_t s)
{
	return (struct levee_time){ .boot_ns = (uint64_t)s * LEVEE_NS_PER_S,
				    .unix_ns = (uint64_t)s * LEVEE_NS_PER_S };
}

static void pass_until(struct world *w, int64_t s)
{
	struct levee_dp_event event;

	assert_int_equal(levee_dataplane_wait(w->dp, (uint64_t)s * LEVEE_NS_PER_S, &event), 0);
}

/* One whole bin, as `levee run` does it. */
static void run_bin(struct world *w, int nr)
{
	int64_t start = START + nr * BIN;
	struct levee_time now = at(start + BIN);

	pass_until(w, start + BIN);
	assert_int_equal(levee_controller_drain(&w->c, start + BIN), 0);
	assert_int_equal(levee_controller_close(&w->c, start, 1), 0);
	assert_int_equal(levee_controller_evaluate(&w->c, &now), 0);
	levee_controller_save(&w->c);
}

static struct levee_prefix prefix(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static bool is_blocked(const struct world *w, const char *text)
{
	struct levee_prefix p = prefix(text);
	struct levee_policy_info info;

	return !levee_policy_get(levee_dataplane_policy(w->dp), &p, &info) && !info.shadowed;
}

static void a_flooder_is_blocked_in_the_data_path_at_the_close(void **state)
{
	struct world *w = *state;

	write_traffic(w, 3, 30, 50000);
	open_all(w);
	run_bin(w, 0);
	assert_int_equal(w->findings, 1);
	assert_int_equal(w->n_changes, 1);
	assert_int_equal(w->change[0], LEVEE_BLOCK_ADDED);
	assert_string_equal(w->prefix[0], "203.0.113.5");
	assert_true(is_blocked(w, "203.0.113.5"));
	assert_int_equal(w->account.received, 30 * 100 + 50000);

	run_bin(w, 1);
	assert_int_equal(w->account.outcome[LEVEE_DROPPED], 50000);
	assert_int_equal(w->account.outcome[LEVEE_COUNTED], 3000);
}

static void an_allowed_source_is_neither_counted_nor_blocked(void **state)
{
	struct world *w = *state;
	struct levee_prefix allowed = prefix("203.0.113.0/24");

	write_traffic(w, 1, 30, 50000);
	open_all(w);
	levee_policy_set_allowed(levee_dataplane_policy(w->dp), &allowed, 1);
	run_bin(w, 0);
	assert_int_equal(w->findings, 0);
	assert_int_equal(w->account.outcome[LEVEE_ALLOWED], 50000);
	assert_false(is_blocked(w, "203.0.113.5"));
}

static void a_source_that_is_allowed_after_it_was_counted_is_left_alone(void **state)
{
	struct world *w = *state;
	struct levee_prefix allowed = prefix("203.0.113.5");
	struct levee_time now = at(START + BIN);

	write_traffic(w, 1, 30, 50000);
	open_all(w);
	pass_until(w, START + BIN);
	assert_int_equal(levee_controller_drain(&w->c, START + BIN), 0);
	levee_policy_set_allowed(levee_dataplane_policy(w->dp), &allowed, 1);
	assert_int_equal(levee_controller_close(&w->c, START, 1), 0);
	assert_int_equal(levee_controller_evaluate(&w->c, &now), 0);
	levee_controller_save(&w->c);
	assert_int_equal(w->findings, 0);
	assert_int_equal(w->n_changes, 0);
}

static void a_restart_resumes_window_and_blocks(void **state)
{
	struct world *w = *state;
	struct levee_time now = at(START + 2 * BIN);
	uint64_t n;

	write_traffic(w, 4, 30, 50000);
	open_all(w);
	run_bin(w, 0);
	run_bin(w, 1);
	n = w->n;
	close_all(w);

	open_all(w);
	w->n_changes = 0;
	assert_int_equal(levee_controller_restore(&w->c, &now, START + 2 * BIN), 0);
	assert_int_equal(levee_window_bins(w->c.window), 2);
	assert_int_equal(levee_blocks_count(w->c.blocks), 1);
	assert_true(is_blocked(w, "203.0.113.5"));
	assert_int_equal(levee_controller_evaluate(&w->c, &now), 0);
	assert_int_equal(w->n, n);
	assert_int_equal(w->findings, 1);
}

static void a_block_ends_one_window_after_its_last_anomalous_bin(void **state)
{
	struct world *w = *state;
	int64_t end = START + BIN + 3600;
	struct levee_time before = at(end - 1), after = at(end);

	write_traffic(w, 1, 30, 50000);
	open_all(w);
	run_bin(w, 0);
	levee_controller_expire(&w->c, &before);
	assert_true(is_blocked(w, "203.0.113.5"));
	levee_controller_expire(&w->c, &after);
	assert_false(is_blocked(w, "203.0.113.5"));
	assert_int_equal(w->change[1], LEVEE_BLOCK_EXPIRED);
}

static void blocks_of_the_kernel_that_no_store_knows_are_adopted(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("192.0.2.77"), old = prefix("192.0.2.78");
	struct levee_time now = at(START);

	write_traffic(w, 1, 1, 0);
	open_all(w);
	levee_policy_block(levee_dataplane_policy(w->dp), &p, now.boot_ns + 5 * LEVEE_NS_PER_S, 1);
	levee_policy_block(levee_dataplane_policy(w->dp), &old, now.boot_ns - 1, 1);
	assert_int_equal(levee_controller_restore(&w->c, &now, START), 0);
	assert_non_null(levee_blocks_get(w->c.blocks, &p));
	assert_null(levee_blocks_get(w->c.blocks, &old));
	assert_false(is_blocked(w, "192.0.2.78"));
	assert_int_equal(levee_blocks_next_expiry(w->c.blocks), now.boot_ns + 5 * LEVEE_NS_PER_S);
}

static void a_late_bin_is_divided_and_nothing_of_it_is_lost(void **state)
{
	struct world *w = *state;
	levee_u128 sum = 0;

	write_traffic(w, 1, 3, 1001);
	open_all(w);
	pass_until(w, START + BIN);
	assert_int_equal(levee_controller_drain(&w->c, START + 4 * BIN), 0);
	assert_int_equal(levee_controller_close(&w->c, START, 4), 0);
	assert_int_equal(levee_window_bins(w->c.window), 4);
	for (size_t i = 0; i < 4; i++) {
		const struct levee_bin_record *r = levee_window_bin(w->c.window, i);

		assert_int_equal(r->start_s, START + (int64_t)i * BIN);
		assert_true(r->flags & LEVEE_BIN_ESTIMATED);
		sum += r->moments.sum;
	}
	assert_true(sum == 3 * 100 + 1001);
}

static void a_part_of_the_running_bin_is_stored_at_once(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.5");

	write_traffic(w, 1, 0, 1000);
	open_all(w);
	pass_until(w, START + BIN);
	assert_int_equal(levee_controller_drain(&w->c, START + BIN), 0);
	assert_int_equal(levee_controller_close(&w->c, START, 2), 0);
	assert_int_equal(levee_window_bins(w->c.window), 2);
	assert_int_equal(levee_window_bin(w->c.window, 1)->start_s, START + BIN);
	assert_true(levee_window_bin(w->c.window, 1)->moments.sum == 500);
	assert_int_equal(levee_bin_get(w->c.bin, &p), 0);
}

/* A process that is killed: what it had in memory is gone. \return as levee_controller_load_parts() */
static int restart(struct world *w, int64_t now_s, int64_t *bin_start_s)
{
	struct levee_time now = at(now_s);

	close_all(w);
	open_all(w);
	assert_int_equal(levee_controller_restore(&w->c, &now, now_s / BIN * BIN), 0);
	return levee_controller_load_parts(&w->c, bin_start_s);
}

static void drain_part(struct world *w, int64_t bin_start_s)
{
	assert_int_equal(levee_controller_drain_part(&w->c, bin_start_s), 0);
	levee_controller_release(&w->c);
}

static void assert_holds(const struct world *w, uint64_t calm, uint64_t flood)
{
	struct levee_prefix one = prefix("198.18.0.1"), foe = prefix("203.0.113.5");

	assert_int_equal(levee_bin_get(w->c.bin, &one), calm);
	assert_int_equal(levee_bin_get(w->c.bin, &foe), flood);
	assert_int_equal(w->c.running.received, 2 * calm + flood);
}

static void what_is_drained_before_the_close_outlives_a_kill(void **state)
{
	struct world *w = *state;
	int64_t start_s = 0;
	struct levee_account sum;

	write_traffic(w, 2, 2, 0);
	open_all(w);
	assert_int_equal(levee_controller_load_parts(&w->c, &start_s), 0);
	pass_until(w, START + 1);
	drain_part(w, START);
	assert_int_equal(restart(w, START + 30, &start_s), 1);
	assert_int_equal(start_s, START);
	assert_holds(w, 100, 0);

	/* More of the same bin, and once more. */
	pass_until(w, START + 1);
	drain_part(w, START);
	assert_int_equal(restart(w, START + 40, &start_s), 1);
	assert_holds(w, 200, 0);

	/* With its close it is in the state file, and in no other place. */
	assert_int_equal(levee_controller_close(&w->c, START, 1), 0);
	levee_controller_save(&w->c);
	assert_int_equal(levee_running_size(w->parts), 0);
	assert_int_equal(restart(w, START + BIN, &start_s), 0);
	assert_holds(w, 0, 0);
	assert_true(levee_window_bin(w->c.window, 0)->moments.sum == 400);
	assert_int_equal(levee_store_get_account(w->store, &sum), 0);
	assert_int_equal(sum.received, 400);
}

/* Killed after the transaction, and before the parts were cleared. */
static void parts_of_a_bin_in_the_state_file_count_no_more(void **state)
{
	struct world *w = *state;
	char command[512];
	int64_t start_s;

	write_traffic(w, 1, 2, 0);
	open_all(w);
	assert_int_equal(levee_controller_load_parts(&w->c, &start_s), 0);
	pass_until(w, START + 1);
	drain_part(w, START);
	snprintf(command, sizeof(command), "cp %s.running %s.copy", w->db, w->db);
	assert_int_equal(system(command), 0);
	assert_int_equal(levee_controller_close(&w->c, START, 1), 0);
	levee_controller_save(&w->c);
	snprintf(command, sizeof(command), "cp %s.copy %s.running", w->db, w->db);
	assert_int_equal(system(command), 0);
	assert_int_equal(restart(w, START + BIN, &start_s), 0);
	assert_holds(w, 0, 0);
	assert_true(levee_window_bin(w->c.window, 0)->moments.sum == 200);
}

/* The disk was full at the close: its parts are all that is left of the bin. */
static void parts_of_a_bin_that_was_not_stored_become_that_bin(void **state)
{
	struct world *w = *state;
	int64_t start_s;

	write_traffic(w, 2, 2, 0);
	open_all(w);
	assert_int_equal(levee_controller_load_parts(&w->c, &start_s), 0);
	pass_until(w, START + 1);
	drain_part(w, START);
	assert_int_equal(levee_store_begin(w->store), 0); /* makes the save fail */
	assert_int_equal(levee_controller_close(&w->c, START, 1), 0);
	levee_controller_save(&w->c);
	levee_store_rollback(w->store);
	pass_until(w, START + BIN + 1);
	drain_part(w, START + BIN);

	assert_int_equal(restart(w, START + BIN + 30, &start_s), 1);
	assert_int_equal(start_s, START + BIN);
	assert_holds(w, 100, 0);
	assert_int_equal(levee_window_bins(w->c.window), 1);
	assert_int_equal(levee_window_bin(w->c.window, 0)->start_s, START);
	assert_true(levee_window_bin(w->c.window, 0)->moments.sum == 200);
	levee_controller_save(&w->c);
	assert_true(levee_running_size(w->parts) > 0);
	assert_int_equal(restart(w, START + BIN + 40, &start_s), 1);
	assert_holds(w, 100, 0);
	assert_int_equal(levee_window_bins(w->c.window), 1);
}

/* A part that could not be written: the next one has all of the bin. */
static void a_part_that_failed_is_made_good_by_the_next(void **state)
{
	struct world *w = *state;
	struct levee_fold fold = { .n = 2, .packets = 5, .bytes = 300, .sq_lo = 13 };
	int64_t start_s;

	write_traffic(w, 1, 2, 5000);
	open_all(w);
	assert_int_equal(levee_controller_load_parts(&w->c, &start_s), 0);
	pass_until(w, START + 1);
	assert_int_equal(levee_bin_add_fold(w->c.bin, &fold), 0);
	assert_int_equal(levee_controller_drain(&w->c, START), 0); /* in no part */
	levee_controller_release(&w->c);
	w->c.parts_short = true;
	pass_until(w, START + 2);
	drain_part(w, START);
	assert_false(w->c.parts_short);
	assert_int_equal(restart(w, START + 30, &start_s), 1);
	assert_holds(w, 100, 5000);
	assert_int_equal(levee_bin_folded(w->c.bin), 2);
	memset(&fold, 0, sizeof(fold));
	assert_int_equal(levee_bin_fold(w->c.bin, &fold), 0);
	assert_int_equal(fold.packets, 5);
	assert_int_equal(fold.bytes, 300);
	assert_int_equal(fold.sq_lo, 13);
}

static void a_shift_renames_bins_in_window_and_store(void **state)
{
	struct world *w = *state;
	struct levee_time now = at(START + 3600 + 2 * BIN);

	write_traffic(w, 2, 30, 0);
	open_all(w);
	run_bin(w, 0);
	run_bin(w, 1);
	levee_controller_shift(&w->c, 3600);
	assert_int_equal(levee_window_bin(w->c.window, 0)->start_s, START + 3600);
	levee_controller_save(&w->c);
	close_all(w);

	open_all(w);
	assert_int_equal(levee_controller_restore(&w->c, &now, START + 3600 + 2 * BIN), 0);
	assert_int_equal(levee_window_bins(w->c.window), 2);
	assert_int_equal(levee_window_bin(w->c.window, 0)->start_s, START + 3600);
}

static void what_a_failed_transaction_held_is_offered_again(void **state)
{
	struct world *w = *state;
	struct levee_time now = at(START + 2 * BIN);

	write_traffic(w, 2, 30, 50000);
	open_all(w);
	/* A transaction that somebody else left open makes the first save fail. */
	assert_int_equal(levee_store_begin(w->store), 0);
	run_bin(w, 0);
	assert_true(w->c.save_all);
	assert_true(is_blocked(w, "203.0.113.5"));
	levee_store_rollback(w->store);
	run_bin(w, 1);
	assert_false(w->c.save_all);
	close_all(w);

	open_all(w);
	assert_int_equal(levee_controller_restore(&w->c, &now, START + 2 * BIN), 0);
	assert_int_equal(levee_window_bins(w->c.window), 2);
	assert_int_equal(levee_blocks_count(w->c.blocks), 1);
}

static void the_stored_account_is_the_sum_over_all_bins(void **state)
{
	struct world *w = *state;
	struct levee_account sum;

	write_traffic(w, 3, 30, 50000);
	open_all(w);
	for (int i = 0; i < 3; i++)
		run_bin(w, i);
	assert_int_equal(levee_store_get_account(w->store, &sum), 0);
	assert_int_equal(sum.received, 3 * (30 * 100 + 50000));
	assert_int_equal(sum.outcome[LEVEE_DROPPED], 2 * 50000);
	assert_int_equal(sum.outcome[LEVEE_COUNTED], 3 * 3000 + 50000);
}

static uint64_t end_of(const struct world *w, const char *text)
{
	struct levee_prefix p = prefix(text);
	const struct levee_block *block = levee_blocks_get(w->c.blocks, &p);

	return block ? block->expires_unix_ns / LEVEE_NS_PER_S : 0;
}

static void a_block_goes_on_while_the_data_path_drops_a_flood(void **state)
{
	struct world *w = *state;
	struct levee_time now;

	write_traffic(w, 6, 30, 50000);
	open_all(w);
	for (int i = 0; i < 6; i++) {
		run_bin(w, i);
		assert_int_equal(end_of(w, "203.0.113.5"), START + (i + 1) * BIN + 3600);
	}
	/* In the kernel's table, too. */
	now = at(START + 6 * BIN + 3599);
	levee_controller_expire(&w->c, &now);
	assert_true(is_blocked(w, "203.0.113.5"));
	now = at(START + 6 * BIN + 3600);
	levee_controller_expire(&w->c, &now);
	assert_false(is_blocked(w, "203.0.113.5"));
}

static void drops_of_before_a_restart_are_not_those_of_a_bin(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.5");
	struct levee_time now = at(START + 3 * BIN);

	write_traffic(w, 2, 30, 50000);
	open_all(w);
	run_bin(w, 0);
	pass_until(w, START + 2 * BIN); /* 50,000 were dropped in the second bin */
	levee_store_close(&w->store);
	assert_int_equal(levee_store_open(&w->store, w->db, report, NULL), 0);
	levee_controller_clear(&w->c);
	assert_int_equal(
		levee_controller_init(&w->c, w->dp, w->store,
				      &(struct levee_controller_options){
					      .bin_s = BIN,
					      .window_s = 3600,
					      .detect = { .min_zscore = 3, .min_packets = 1000 },
					      .max_sources = 4096,
					      .boot_id = BOOT,
					      .maps_id = "maps" }),
		0);
	assert_int_equal(levee_controller_restore(&w->c, &now, START + 2 * BIN), 0);
	assert_int_equal(levee_blocks_get(w->c.blocks, &p)->hits, 50000);
	assert_int_equal(levee_controller_close(&w->c, START + 2 * BIN, 1), 0);
	assert_int_equal(levee_controller_evaluate(&w->c, &now), 0);
	assert_int_equal(end_of(w, "203.0.113.5"), START + BIN + 3600);
}

static void an_offence_is_remembered_over_a_restart(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.5");
	struct levee_time now = at(START + BIN + 3600), later = at(START + BIN + 3600 + 7200);

	write_traffic(w, 1, 30, 50000);
	open_all(w);
	run_bin(w, 0);
	levee_controller_expire(&w->c, &now);
	levee_controller_save(&w->c);
	close_all(w);

	open_all(w);
	assert_int_equal(levee_controller_restore(&w->c, &later, START + 10860), 0);
	assert_int_equal(levee_blocks_count(w->c.blocks), 0);
	assert_int_equal(levee_offenders_recall(levee_blocks_offenders(w->c.blocks), &p,
						later.boot_ns, 7200 * LEVEE_NS_PER_S),
			 1);
}

static void a_block_that_ends_while_nobody_lives_is_an_offence(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.5");
	struct levee_time later = at(START + BIN + 3600 + 7200);

	write_traffic(w, 1, 30, 50000);
	open_all(w);
	run_bin(w, 0);
	close_all(w);

	for (int i = 0; i < 2; i++) {
		open_all(w);
		assert_int_equal(levee_controller_restore(&w->c, &later, START + 10860), 0);
		assert_int_equal(levee_blocks_count(w->c.blocks), 0);
		assert_int_equal(levee_offenders_recall(levee_blocks_offenders(w->c.blocks), &p,
							later.boot_ns, 7200 * LEVEE_NS_PER_S),
				 1);
		close_all(w);
	}
}

static void a_source_over_the_threshold_is_blocked_within_the_bin(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.9"), q = prefix("203.0.113.10");
	struct levee_time now = at(START + BIN + 10);

	write_traffic(w, 2, 30, 0);
	open_all(w);
	assert_int_equal(levee_controller_trip(&w->c, &p, 1000000, &now), 0);
	run_bin(w, 0);
	assert_true(w->c.trip.armed);
	assert_int_equal(w->c.trip.threshold, 1000);
	assert_int_equal(levee_controller_trip(&w->c, &p, 1000, &now), 0);
	assert_int_equal(w->n_changes, 0);
	assert_int_equal(levee_controller_trip(&w->c, &p, 1001, &now), 1);
	assert_int_equal(w->change[0], LEVEE_BLOCK_ADDED);
	assert_true(is_blocked(w, "203.0.113.9"));
	assert_int_equal(levee_blocks_get(w->c.blocks, &p)->reason, LEVEE_BLOCK_TRIP);
	assert_int_equal(end_of(w, "203.0.113.9"), START + 2 * BIN + 3600);
	/* Events that were on their way are no news. */
	assert_int_equal(levee_controller_trip(&w->c, &p, 5000, &now), 0);
	/* What an early drain took counts. */
	levee_bin_add(w->c.bin, &q, 600, 0);
	assert_int_equal(levee_controller_trip(&w->c, &q, 400, &now), 0);
	assert_int_equal(levee_controller_trip(&w->c, &q, 401, &now), 1);
	/* And a drain after which nothing comes any more is looked at whole. */
	q = prefix("203.0.113.11");
	levee_bin_add(w->c.bin, &q, 1001, 0);
	levee_controller_trip_all(&w->c, &now);
	assert_true(is_blocked(w, "203.0.113.11"));
	assert_int_equal(levee_blocks_count(w->c.blocks), 3);
}

static void who_is_near_to_a_block_is_known_and_outlives_a_restart(void **state)
{
	struct world *w = *state;
	struct levee_prefix flood = prefix("198.18.0.200");
	struct levee_time now = at(START + BIN + 10), later = at(START + 12 * BIN);

	write_traffic(w, 12, 30, 0);
	open_all(w);
	for (int i = 0; i < 12; i++) {
		run_bin(w, i);
		now = at(START + (i + 1) * BIN + 10);
		if (i == 1) {
			assert_int_equal(w->c.n_near, 0);
			assert_int_equal(levee_controller_trip(&w->c, &flood, 100000, &now), 1);
		}
		assert_int_equal(w->c.near_known, i >= LEVEE_GOOD_BINS - 1);
	}
	/* All thirty are in the /20 of the block, each with 100 packets. */
	assert_int_equal(w->c.n_near, 30);
	assert_int_equal(w->c.near[0].packets, 100);
	close_all(w);
	open_all(w);
	assert_int_equal(levee_controller_restore(&w->c, &later, START + 12 * BIN), 0);
	assert_int_equal(levee_controller_evaluate(&w->c, &later), 0);
	assert_int_equal(w->c.n_near, 30);
	assert_false(w->c.near_known);
}

static uint64_t rate_of(const struct world *w, const char *text)
{
	struct levee_prefix p = prefix(text);
	struct levee_policy_info info = { 0 };

	assert_int_equal(levee_policy_get(levee_dataplane_policy(w->dp), &p, &info), 0);
	return info.rate_pps;
}

static void a_source_between_the_thresholds_is_limited_until_it_floods(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.5");
	struct levee_time now = at(START + BIN + 10);

	write_traffic(w, 2, 30, 2000);
	open_all(w);
	w->c.options.detect.soft_zscore = 3;
	w->c.options.trip.detect.min_zscore = 100;
	w->c.options.limit_pps = 50;
	w->c.options.limit_burst = 75;
	w->c.options.detect.min_zscore = 6; /* z of the one among 31 is sqrt(30) */
	run_bin(w, 0);
	assert_int_equal(levee_blocks_get(w->c.blocks, &p)->kind, LEVEE_KIND_LIMIT);
	assert_int_equal(rate_of(w, "203.0.113.5"), 50);
	/* The threshold of the fast path, about 36,000, is passed by what the limit let through. */
	assert_int_equal(levee_controller_trip(&w->c, &p, 1000, &now), 0);
	assert_int_equal(levee_controller_trip(&w->c, &p, 1000000, &now), 1);
	assert_int_equal(levee_blocks_get(w->c.blocks, &p)->kind, LEVEE_KIND_DROP);
	assert_int_equal(rate_of(w, "203.0.113.5"), 0);
	assert_int_equal(levee_controller_trip(&w->c, &p, 1000000, &now), 0);
}

static void an_allowed_source_does_not_trip(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = prefix("203.0.113.9"), allowed = prefix("203.0.113.0/24");
	struct levee_time now = at(START + BIN + 10);

	write_traffic(w, 1, 30, 0);
	open_all(w);
	run_bin(w, 0);
	levee_policy_set_allowed(levee_dataplane_policy(w->dp), &allowed, 1);
	assert_int_equal(levee_controller_trip(&w->c, &p, 1000000, &now), 0);
	assert_int_equal(levee_blocks_count(w->c.blocks), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_flooder_is_blocked_in_the_data_path_at_the_close),
		T(an_allowed_source_is_neither_counted_nor_blocked),
		T(a_source_that_is_allowed_after_it_was_counted_is_left_alone),
		T(a_restart_resumes_window_and_blocks),
		T(a_block_ends_one_window_after_its_last_anomalous_bin),
		T(blocks_of_the_kernel_that_no_store_knows_are_adopted),
		T(a_late_bin_is_divided_and_nothing_of_it_is_lost),
		T(a_part_of_the_running_bin_is_stored_at_once),
		T(what_is_drained_before_the_close_outlives_a_kill),
		T(parts_of_a_bin_in_the_state_file_count_no_more),
		T(parts_of_a_bin_that_was_not_stored_become_that_bin),
		T(a_part_that_failed_is_made_good_by_the_next),
		T(a_shift_renames_bins_in_window_and_store),
		T(what_a_failed_transaction_held_is_offered_again),
		T(a_block_goes_on_while_the_data_path_drops_a_flood),
		T(drops_of_before_a_restart_are_not_those_of_a_bin),
		T(an_offence_is_remembered_over_a_restart),
		T(a_block_that_ends_while_nobody_lives_is_an_offence),
		T(a_source_over_the_threshold_is_blocked_within_the_bin),
		T(a_source_between_the_thresholds_is_limited_until_it_floods),
		T(an_allowed_source_does_not_trip),
		T(who_is_near_to_a_block_is_known_and_outlives_a_restart),
		T(the_stored_account_is_the_sum_over_all_bins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
