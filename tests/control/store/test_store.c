/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define S LEVEE_NS_PER_S

/* A directory, a store in it, and what it reported. */
struct bench {
	char directory[64];
	char path[128];
	struct levee_store *store;
	unsigned int said;
	char last[1024];
};

static void note(void *ctx, const char *message)
{
	struct bench *b = ctx;

	b->said++;
	snprintf(b->last, sizeof(b->last), "%s", message);
}

static int open_store(struct bench *b)
{
	return levee_store_open(&b->store, b->path, note, b);
}

static void reopen(struct bench *b)
{
	levee_store_close(&b->store);
	assert_int_equal(open_store(b), 0);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	*state = b;
	if (!b)
		return -1;
	strcpy(b->directory, "/tmp/levee-store-XXXXXX");
	if (!mkdtemp(b->directory))
		return -1;
	snprintf(b->path, sizeof(b->path), "%s/state/state.db", b->directory);
	return open_store(b);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char command[128];

	levee_store_close(&b->store);
	snprintf(command, sizeof(command), "rm -rf '%s'", b->directory);
	free(b);
	return system(command);
}

/* SQL behind the store's back. */
static void sql(const struct bench *b, const char *text)
{
	sqlite3 *db = NULL;
	char *error = NULL;

	assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", text, error);
	sqlite3_close(db);
}

/* ---- bins --------------------------------------------------------------------------------- */

static struct levee_bin_record make_bin(int64_t start_s, struct levee_candidate *candidate)
{
	struct levee_bin_record r = { .start_s = start_s, .min_packets = 12000 };

	*candidate = (struct levee_candidate){
		.source = { .family = 4, .length = 32, .hi = 0xc6336400 + (uint64_t)start_s % 256 },
		.packets = 20000 + (uint64_t)start_s,
		.bytes = 1,
	};
	r.candidates = candidate;
	r.n_candidates = 1;
	assert_int_equal(levee_moments_add(&r.moments, candidate->packets), 0);
	return r;
}

static int put_bin(struct bench *b, int64_t start_s, unsigned int bin_s)
{
	struct levee_candidate candidate;
	struct levee_bin_record r = make_bin(start_s, &candidate);

	return levee_store_put_bin(b->store, &r, bin_s);
}

/* Bins as they were handed out. */
struct bins {
	size_t n;
	struct levee_bin_record bin[4096];
	int answer; /* to the store */
};

static int take_bin(void *ctx, struct levee_bin_record *record)
{
	struct bins *bins = ctx;

	if (bins->answer)
		return bins->answer;
	assert_true(bins->n < 4096);
	bins->bin[bins->n++] = *record;
	return 0;
}

static struct bins *load_bins(struct bench *b, unsigned int bin_s, int64_t begin_s, int64_t end_s)
{
	struct bins *bins = calloc(1, sizeof(*bins));

	assert_non_null(bins);
	assert_int_equal(levee_store_load_bins(b->store, bin_s, begin_s, end_s, take_bin, bins), 0);
	return bins;
}

static void free_bins(struct bins *bins)
{
	for (size_t i = 0; i < bins->n; i++)
		levee_bin_record_clear(&bins->bin[i]);
	free(bins);
}

static void a_bin_is_loaded_as_it_was_put(void **state)
{
	struct bench *b = *state;
	struct levee_candidate candidates[] = {
		{ { .family = 4, .length = 32, .hi = 0xc6336407 },
		  1ULL << 48,
		  UINT64_MAX,
		  0,
		  false },
		{ { .family = 6, .length = 64, .hi = 0x20010db8ffffffff }, 12001, 7, 0, false },
	};
	struct levee_bin_record r = {
		.start_s = 60,
		.min_packets = 12000,
		.n_candidates = 2,
		.candidates = candidates,
		.flags = LEVEE_BIN_ESTIMATED | LEVEE_BIN_FOLDED,
	};
	struct bins *bins;

	/* Sums beyond 64 bits, as a million sources at the limit have. */
	for (int i = 0; i < 70000; i++)
		assert_int_equal(levee_moments_add(&r.moments, LEVEE_VALUE_MAX), 0);
	assert_true(r.moments.sum >> 64 != 0);
	assert_int_equal(levee_store_put_bin(b->store, &r, 60), 0);
	reopen(b);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 1);
	assert_int_equal(bins->bin[0].start_s, 60);
	assert_int_equal(bins->bin[0].moments.n, r.moments.n);
	assert_true(bins->bin[0].moments.sum == r.moments.sum);
	assert_true(bins->bin[0].moments.sq == r.moments.sq);
	assert_int_equal(bins->bin[0].min_packets, 12000);
	assert_int_equal(bins->bin[0].flags, r.flags);
	assert_int_equal(bins->bin[0].n_candidates, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct levee_candidate *c = &bins->bin[0].candidates[i];

		assert_int_equal(levee_prefix_compare(&c->source, &candidates[i].source), 0);
		assert_int_equal(c->packets, candidates[i].packets);
		assert_int_equal(c->bytes, candidates[i].bytes);
	}
	free_bins(bins);
}

/* A bin with a histogram, and with bytes and SYNs beside packets. */
static void make_whole_bin(struct levee_bin_record *r)
{
	struct levee_bin *bin = levee_bin_new(1024);

	for (uint32_t i = 1; i <= 300; i++) {
		struct levee_prefix source = { .family = 4, .length = 32, .hi = i };

		assert_int_equal(levee_bin_add(bin, &source, 100 * i, 6000 * i), 0);
		assert_int_equal(levee_bin_add_syns(bin, &source, i), 0);
	}
	assert_int_equal(levee_bin_record_make(r, bin, 60, 29000), 0);
	assert_int_equal(levee_bin_record_add_histogram(r, bin), 0);
	assert_int_equal(levee_bin_record_add_measure(r, bin, LEVEE_BYTES, 6000 * 295), 0);
	assert_int_equal(levee_bin_record_add_measure(r, bin, LEVEE_SYNS, 298), 0);
	levee_bin_free(&bin);
}

static void histogram_and_measures_are_loaded_as_they_were_put(void **state)
{
	struct bench *b = *state;
	struct levee_bin_record r;
	const struct levee_bin_record *got;
	struct bins *bins;

	make_whole_bin(&r);
	assert_int_equal(levee_store_put_bin(b->store, &r, 60), 0);
	reopen(b);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 1);
	got = &bins->bin[0];
	assert_int_equal(got->n_candidates, 10);
	assert_int_equal(got->histogram.n, r.histogram.n);
	for (size_t i = 0; i < r.histogram.n; i++) {
		assert_int_equal(got->histogram.cells[i].bucket, r.histogram.cells[i].bucket);
		assert_int_equal(got->histogram.cells[i].count, r.histogram.cells[i].count);
	}
	for (enum levee_measure m = LEVEE_BYTES; m < LEVEE_MEASURES; m++) {
		const struct levee_bin_measure *a = got->measures[m], *c = r.measures[m];

		assert_non_null(a);
		assert_int_equal(a->minimum, c->minimum);
		assert_int_equal(a->moments.n, c->moments.n);
		assert_true(a->moments.sum == c->moments.sum && a->moments.sq == c->moments.sq);
		assert_int_equal(a->n_candidates, m == LEVEE_BYTES ? 5 : 2);
		for (size_t i = 0; i < a->n_candidates; i++) {
			assert_int_equal(levee_prefix_compare(&a->candidates[i].source,
							      &c->candidates[i].source),
					 0);
			assert_int_equal(a->candidates[i].packets, c->candidates[i].packets);
			assert_int_equal(a->candidates[i].bytes, c->candidates[i].bytes);
			assert_int_equal(a->candidates[i].syns, c->candidates[i].syns);
		}
	}
	levee_bin_record_clear(&r);
	free_bins(bins);
}

static void a_damaged_histogram_costs_no_bin(void **state)
{
	struct bench *b = *state;
	struct levee_bin_record r;
	struct bins *bins;

	make_whole_bin(&r);
	assert_int_equal(levee_store_put_bin(b->store, &r, 60), 0);
	levee_bin_record_clear(&r);
	reopen(b);
	sql(b, "UPDATE bin SET histogram = CAST(substr(histogram, 1, 20) || x'00' AS BLOB)");
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 1);
	assert_int_equal(bins->bin[0].histogram.n, 0);
	assert_non_null(bins->bin[0].measures[LEVEE_BYTES]);
	assert_int_equal(b->said, 1);
	assert_non_null(strstr(b->last, "histogram"));
	free_bins(bins);
	sql(b, "UPDATE bin SET histogram = NULL, measures = x'4c564d31'");
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 1);
	assert_null(bins->bin[0].measures[LEVEE_BYTES]);
	assert_null(bins->bin[0].measures[LEVEE_SYNS]);
	assert_int_equal(b->said, 2);
	free_bins(bins);
}

static void bins_come_in_order_and_from_the_asked_range_alone(void **state)
{
	struct bench *b = *state;
	struct bins *bins;

	for (int64_t start = 600; start >= 0; start -= 60)
		assert_int_equal(put_bin(b, start, 60), 0);
	bins = load_bins(b, 60, 120, 300);
	assert_int_equal(bins->n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(bins->bin[i].start_s, 120 + 60 * (int64_t)i);
	free_bins(bins);
}

static void a_bin_of_the_same_start_is_replaced(void **state)
{
	struct bench *b = *state;
	struct levee_candidate candidate;
	struct levee_bin_record r = make_bin(60, &candidate);
	struct bins *bins;

	assert_int_equal(put_bin(b, 60, 60), 0);
	r.n_candidates = 0;
	assert_int_equal(levee_store_put_bin(b->store, &r, 60), 0);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 1);
	assert_int_equal(bins->bin[0].n_candidates, 0);
	free_bins(bins);
}

static void bins_of_another_length_are_passed_over(void **state)
{
	struct bench *b = *state;
	struct bins *bins;

	assert_int_equal(put_bin(b, 60, 60), 0);
	assert_int_equal(put_bin(b, 120, 10), 0);
	bins = load_bins(b, 10, 0, 1000);
	assert_int_equal(bins->n, 1);
	assert_int_equal(bins->bin[0].start_s, 120);
	assert_int_equal(b->said, 0);
	free_bins(bins);
}

static void pruning_removes_what_is_before_the_window(void **state)
{
	struct bench *b = *state;
	struct bins *bins;

	for (int64_t start = 0; start < 600; start += 60)
		assert_int_equal(put_bin(b, start, 60), 0);
	assert_int_equal(levee_store_prune(b->store, 300), 0);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 5);
	assert_int_equal(bins->bin[0].start_s, 300);
	free_bins(bins);
}

static void a_damaged_bin_is_reported_and_left_out(void **state)
{
	struct bench *b = *state;
	struct bins *bins;

	for (int64_t start = 0; start < 300; start += 60)
		assert_int_equal(put_bin(b, start, 60), 0);
	sql(b, "UPDATE bin SET candidates = zeroblob(46) WHERE start_s = 60;"
	       "UPDATE bin SET n = n + 1 WHERE start_s = 120;"
	       "UPDATE bin SET candidates = 'text' WHERE start_s = 180");
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 2);
	assert_int_equal(bins->bin[0].start_s, 0);
	assert_int_equal(bins->bin[1].start_s, 240);
	assert_int_equal(b->said, 3);
	assert_non_null(strstr(b->last, "the bin that starts at 180 is damaged"));
	free_bins(bins);
}

static void a_loader_that_fails_ends_the_loading(void **state)
{
	struct bench *b = *state;
	struct bins *bins = calloc(1, sizeof(*bins));

	assert_non_null(bins);
	bins->answer = -ENOMEM;
	assert_int_equal(put_bin(b, 0, 60), 0);
	assert_int_equal(put_bin(b, 60, 60), 0);
	assert_int_equal(levee_store_load_bins(b->store, 60, 0, 1000, take_bin, bins), -ENOMEM);
	assert_int_equal(put_bin(b, 120, 60), 0); /* nothing is left open */
	free_bins(bins);
}

/* ---- blocks ------------------------------------------------------------------------------- */

static struct levee_block make_block(uint64_t number)
{
	return (struct levee_block){
		.prefix = { .family = 4, .length = 32, .hi = number },
		.reason = LEVEE_BLOCK_ZSCORE,
		.created_boot_ns = 1000 * S,
		.created_unix_ns = 1700001000 * S,
		.expires_boot_ns = 4600 * S,
		.expires_unix_ns = 1700004600 * S,
		.last_bin_s = 1700000940,
		.max_zscore = 7.25,
		.max_packets = 1ULL << 40,
		.flagged = true,
	};
}

struct blocks {
	size_t n;
	struct levee_block block[256];
};

static int take_block(void *ctx, const struct levee_block *block)
{
	struct blocks *blocks = ctx;

	assert_true(blocks->n < 256);
	blocks->block[blocks->n++] = *block;
	return 0;
}

static struct blocks load_blocks(struct bench *b, const char *boot_id, uint64_t boot_s,
				 uint64_t unix_s)
{
	const struct levee_time now = { .boot_ns = boot_s * S, .unix_ns = unix_s * S };
	struct blocks blocks = { 0 };

	assert_int_equal(levee_store_load_blocks(b->store, boot_id, &now, take_block, &blocks), 0);
	return blocks;
}

static void assert_same_block(const struct levee_block *a, const struct levee_block *b)
{
	assert_int_equal(levee_prefix_compare(&a->prefix, &b->prefix), 0);
	assert_int_equal(a->reason, b->reason);
	assert_int_equal(a->created_boot_ns, b->created_boot_ns);
	assert_int_equal(a->created_unix_ns, b->created_unix_ns);
	assert_int_equal(a->expires_boot_ns, b->expires_boot_ns);
	assert_int_equal(a->expires_unix_ns, b->expires_unix_ns);
	assert_int_equal(a->last_bin_s, b->last_bin_s);
	assert_true(a->max_zscore == b->max_zscore);
	assert_int_equal(a->max_packets, b->max_packets);
	assert_int_equal(a->flagged, b->flagged);
}

static void blocks_of_this_boot_are_loaded_as_they_were_put(void **state)
{
	struct bench *b = *state;
	struct levee_block first = make_block(1), second = make_block(2);
	struct blocks blocks;

	second.prefix =
		(struct levee_prefix){ .family = 6, .length = 64, .hi = 0x20010db8ULL << 32 };
	second.reason = LEVEE_BLOCK_MANUAL;
	second.expires_boot_ns = LEVEE_NEVER;
	second.expires_unix_ns = LEVEE_NEVER;
	second.flagged = false;
	assert_int_equal(levee_store_put_block(b->store, &first, "boot-a"), 0);
	assert_int_equal(levee_store_put_block(b->store, &second, "boot-a"), 0);
	reopen(b);
	/* Wall time has stepped: it does not matter. */
	blocks = load_blocks(b, "boot-a", 2000, 5);
	assert_int_equal(blocks.n, 2);
	assert_same_block(&blocks.block[0], &first);
	assert_same_block(&blocks.block[1], &second);
}

static void expired_blocks_are_left_out(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);

	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(load_blocks(b, "boot-a", 4599, 1700004599).n, 1);
	assert_int_equal(load_blocks(b, "boot-b", 10, 1700004599).n, 1);
	assert_int_equal(load_blocks(b, "boot-a", 4600, 1700004600).n, 0);
	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(load_blocks(b, "boot-b", 10, 1700004600).n, 0);
}

static long long number(const struct bench *b, const char *text);

struct offenders {
	size_t n;
	struct levee_offender offender[8];
};

static int take_offender(void *ctx, const struct levee_offender *offender)
{
	struct offenders *offenders = ctx;

	assert_true(offenders->n < 8);
	offenders->offender[offenders->n++] = *offender;
	return 0;
}

static struct offenders load_offenders(struct bench *b, const char *boot_id, uint64_t boot_s,
				       uint64_t unix_s)
{
	const struct levee_time now = { .boot_ns = boot_s * S, .unix_ns = unix_s * S };
	struct offenders offenders = { 0 };

	assert_int_equal(
		levee_store_load_offenders(b->store, boot_id, &now, take_offender, &offenders), 0);
	return offenders;
}

static void expired_blocks_become_offenders_once(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1), manual = make_block(2);
	struct offenders got;

	block.repeats = 4;
	manual.reason = LEVEE_BLOCK_MANUAL;
	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(levee_store_put_block(b->store, &manual, "boot-a"), 0);
	assert_int_equal(load_blocks(b, "boot-a", 9999, 1700009999).n, 0);
	reopen(b);
	assert_int_equal(load_blocks(b, "boot-a", 9999, 1700009999).n, 0);
	assert_int_equal(number(b, "SELECT count(*) FROM block"), 0);
	got = load_offenders(b, "boot-a", 9999, 1700009999);
	assert_int_equal(got.n, 1);
	assert_int_equal(levee_prefix_compare(&got.offender[0].prefix, &block.prefix), 0);
	assert_int_equal(got.offender[0].blocks, 5);
	assert_int_equal(got.offender[0].end_boot_ns, 4600 * S);
	assert_int_equal(got.offender[0].end_unix_ns, 1700004600 * S);
}

static void an_offender_keeps_its_end_over_a_reboot(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);
	struct levee_offender offender = levee_block_offence(&block);
	struct offenders got;

	assert_int_equal(levee_store_put_offender(b->store, &offender, "boot-a"), 0);
	got = load_offenders(b, "boot-b", 30, 1700008200);
	assert_int_equal(got.n, 1);
	assert_true(got.offender[0].end_boot_ns == (30 - 3600) * (int64_t)S);
	assert_int_equal(levee_store_drop_offender(b->store, &offender.prefix), 0);
	assert_int_equal(load_offenders(b, "boot-b", 30, 1700008200).n, 0);
}

static void offenders_of_long_ago_are_pruned(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);
	struct levee_offender offender = levee_block_offence(&block);

	for (uint32_t i = 0; i < 6; i++) {
		offender.prefix.hi = i;
		offender.end_unix_ns = (1700000000ULL + i) * S;
		assert_int_equal(levee_store_put_offender(b->store, &offender, "boot-a"), 0);
	}
	assert_int_equal(levee_store_prune_offenders(b->store, 1700000004ULL * S), 0);
	assert_int_equal(load_offenders(b, "boot-a", 30, 1700008200).n, 2);
}

static void good_sources_are_read_as_they_were_put(void **state)
{
	struct bench *b = *state;
	const struct levee_cover_source near[] = {
		{ { .family = 4, .length = 32, .hi = 0xcb007101 }, 44 },
		{ { .family = 6, .length = 64, .hi = 0x20010db800000000 }, 1ULL << 48 },
	};
	struct levee_cover_source *list;
	int64_t unix_s;
	bool known;
	size_t n;

	assert_int_equal(levee_store_get_good(b->store, &list, &n, &unix_s, &known), 0);
	assert_int_equal(n, 0);
	assert_false(known);
	free(list);
	assert_int_equal(levee_store_put_good(b->store, near, 1, 60, false), 0);
	assert_int_equal(levee_store_put_good(b->store, near, 2, 120, true), 0);
	reopen(b);
	assert_int_equal(levee_store_get_good(b->store, &list, &n, &unix_s, &known), 0);
	assert_int_equal(n, 2);
	assert_int_equal(unix_s, 120);
	assert_true(known);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(levee_prefix_compare(&list[i].prefix, &near[i].prefix), 0);
		assert_int_equal(list[i].packets, near[i].packets);
	}
	free(list);
	/* Damaged: nobody is known, and nobody is made up. */
	sql(b, "UPDATE good SET unix_s = 121");
	assert_int_equal(levee_store_get_good(b->store, &list, &n, &unix_s, &known), 0);
	assert_int_equal(n, 0);
	assert_false(known);
	assert_int_equal(b->said, 1);
	free(list);
}

static void tables_of_an_older_levee_are_added_to(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);

	block.reason = LEVEE_BLOCK_TRIP;
	block.kind = LEVEE_KIND_LIMIT;
	block.repeats = 3;
	assert_int_equal(put_bin(b, 60, 60), 0);
	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	levee_store_close(&b->store);
	/* What the first version had. */
	sql(b, "ALTER TABLE bin DROP COLUMN histogram; ALTER TABLE bin DROP COLUMN measures;"
	       "ALTER TABLE block DROP COLUMN kind; ALTER TABLE block DROP COLUMN repeats;"
	       "ALTER TABLE block DROP COLUMN measure; ALTER TABLE block DROP COLUMN max_value;"
	       "ALTER TABLE block DROP COLUMN spoofable;"
	       "DROP TABLE offender; DROP TABLE good; PRAGMA user_version = 1");
	assert_int_equal(open_store(b), 0);
	assert_int_equal(b->said, 0);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 1700002000).n, 1);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 1700002000).block[0].repeats, 0);
	assert_int_equal(number(b, "SELECT count(*) FROM bin"), 1);
	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 1700002000).block[0].repeats, 3);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 1700002000).block[0].kind,
			 LEVEE_KIND_LIMIT);
}

static void after_a_reboot_a_block_lasts_as_long_as_it_would_have(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);
	struct blocks blocks;

	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	blocks = load_blocks(b, "boot-b", 30, 1700003600);
	assert_int_equal(blocks.n, 1);
	assert_int_equal(blocks.block[0].expires_boot_ns, 1030 * S);
	assert_int_equal(blocks.block[0].expires_unix_ns, 1700004600 * S);
	assert_int_equal(blocks.block[0].created_unix_ns, 1700001000 * S);
	assert_int_equal(blocks.block[0].created_boot_ns, 0); /* before this boot */
}

static void a_clock_in_the_past_makes_no_block_longer(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);
	struct blocks blocks;

	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	blocks = load_blocks(b, "boot-b", 30, 100); /* 1970: no battery behind the clock */
	assert_int_equal(blocks.n, 1);
	assert_int_equal(blocks.block[0].expires_boot_ns, (30 + 3600) * S);
	assert_int_equal(blocks.block[0].expires_unix_ns, (100 + 3600) * S);
}

static void a_block_without_end_has_none_after_a_reboot(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);
	struct blocks blocks;

	block.expires_boot_ns = LEVEE_NEVER;
	block.expires_unix_ns = LEVEE_NEVER;
	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	blocks = load_blocks(b, "boot-b", 30, 1800000000);
	assert_int_equal(blocks.n, 1);
	assert_true(blocks.block[0].expires_boot_ns == LEVEE_NEVER);
	assert_true(blocks.block[0].expires_unix_ns == LEVEE_NEVER);
}

static void a_block_is_replaced_and_dropped_by_its_prefix(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1), other = make_block(2);

	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(levee_store_put_block(b->store, &other, "boot-a"), 0);
	block.max_packets = 5;
	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 0).n, 2);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 0).block[0].max_packets, 5);
	assert_int_equal(levee_store_drop_block(b->store, &block.prefix), 0);
	assert_int_equal(load_blocks(b, "boot-a", 2000, 0).n, 1);
	assert_int_equal(levee_store_drop_block(b->store, &block.prefix), 0); /* none: no error */
}

static void a_damaged_block_is_reported_and_left_out(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1), other = make_block(2);

	assert_int_equal(levee_store_put_block(b->store, &block, "boot-a"), 0);
	assert_int_equal(levee_store_put_block(b->store, &other, "boot-a"), 0);
	sql(b, "UPDATE block SET prefix = 'nowhere' WHERE prefix = '0.0.0.1';"
	       "UPDATE block SET reason = 9 WHERE prefix = '0.0.0.2'");
	assert_int_equal(load_blocks(b, "boot-a", 2000, 0).n, 0);
	assert_int_equal(b->said, 2);
}

/* ---- the account, and events -------------------------------------------------------------- */

static struct levee_account make_account(uint64_t unit)
{
	struct levee_account account;
	uint64_t *words = (uint64_t *)(void *)&account;

	for (size_t i = 0; i < sizeof(account) / sizeof(*words); i++)
		words[i] = unit * (i + 1);
	return account;
}

static void the_account_adds_up_field_by_field(void **state)
{
	struct bench *b = *state;
	struct levee_account one = make_account(1), two = make_account(1ULL << 40), sum, read;
	uint64_t seq;

	assert_int_equal(levee_store_get_account(b->store, &read), 0);
	assert_int_equal(read.received, 0);
	assert_int_equal(levee_store_account(b->store, &one, "maps", 4), 0);
	assert_int_equal(levee_store_account(b->store, &two, "maps", 5), 0);
	sum = one;
	levee_account_add(&sum, &two);
	reopen(b);
	assert_int_equal(levee_store_get_account(b->store, &read), 0);
	assert_memory_equal(&read, &sum, sizeof(sum));
	assert_int_equal(levee_store_last_epoch(b->store, "maps", &seq), 0);
	assert_int_equal(seq, 5);
}

static void epochs_are_kept_apart_by_their_maps(void **state)
{
	struct bench *b = *state;
	struct levee_account one = make_account(1);
	uint64_t seq = 99;

	assert_int_equal(levee_store_last_epoch(b->store, "a", &seq), 0);
	assert_int_equal(seq, 0);
	assert_int_equal(levee_store_account(b->store, &one, "a", 7), 0);
	assert_int_equal(levee_store_account(b->store, &one, "b", 3), 0);
	assert_int_equal(levee_store_account(b->store, &one, "", 11), 0);
	assert_int_equal(levee_store_last_epoch(b->store, "a", &seq), 0);
	assert_int_equal(seq, 7);
	assert_int_equal(levee_store_last_epoch(b->store, "b", &seq), 0);
	assert_int_equal(seq, 3);
	assert_int_equal(levee_store_last_epoch(b->store, "", &seq), 0);
	assert_int_equal(seq, 0);
}

/* A number by SQL, over a connection of its own. */
static long long number(const struct bench *b, const char *text)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	long long n;

	assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static void events_are_kept_for_thirty_days(void **state)
{
	struct bench *b = *state;
	const int64_t day = 86400, now = 1700000000;

	assert_int_equal(levee_store_event(b->store, (uint64_t)(now - 31 * day) * S, "blocked",
					   "192.0.2.1", "old"),
			 0);
	assert_int_equal(levee_store_event(b->store, (uint64_t)(now - 29 * day) * S, "blocked",
					   "192.0.2.2; DROP TABLE event", NULL),
			 0);
	assert_int_equal(levee_store_prune(b->store, now), 0);
	assert_int_equal(number(b, "SELECT count(*) FROM event"), 1);
	assert_int_equal(number(b, "SELECT count(*) FROM event WHERE detail = ''"), 1);
}

/* ---- transactions ------------------------------------------------------------------------- */

static void nothing_of_a_rolled_back_transaction_stays(void **state)
{
	struct bench *b = *state;
	struct levee_account one = make_account(1), read;
	struct bins *bins;

	assert_int_equal(levee_store_begin(b->store), 0);
	assert_int_equal(put_bin(b, 60, 60), 0);
	assert_int_equal(levee_store_account(b->store, &one, "maps", 1), 0);
	levee_store_rollback(b->store);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 0);
	free_bins(bins);
	assert_int_equal(levee_store_get_account(b->store, &read), 0);
	assert_int_equal(read.received, 0);
}

static void nothing_is_kept_that_was_not_committed(void **state)
{
	struct bench *b = *state;
	struct bins *bins;

	assert_int_equal(levee_store_begin(b->store), 0);
	assert_int_equal(put_bin(b, 60, 60), 0);
	reopen(b);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 0);
	free_bins(bins);
}

static void begin_and_commit_come_in_pairs(void **state)
{
	struct bench *b = *state;

	assert_int_equal(levee_store_commit(b->store), -EINVAL);
	assert_int_equal(levee_store_begin(b->store), 0);
	assert_int_equal(levee_store_begin(b->store), -EALREADY);
	assert_int_equal(levee_store_commit(b->store), 0);
	levee_store_rollback(b->store); /* nothing to do */
}

static void after_a_failure_nothing_more_of_a_transaction_is_taken(void **state)
{
	struct bench *b = *state;
	struct levee_block block = make_block(1);
	struct levee_account one = make_account(1), read;
	struct bins *bins;

	/* A failure upon which SQLite rolls back by itself, as it does when the disk is full. */
	sql(b, "CREATE TRIGGER t BEFORE INSERT ON block BEGIN SELECT RAISE(ROLLBACK, 'no'); END");
	assert_int_equal(levee_store_begin(b->store), 0);
	assert_int_equal(put_bin(b, 60, 60), 0);
	assert_int_equal(levee_store_put_block(b->store, &block, "boot"), -EIO);
	assert_int_equal(put_bin(b, 120, 60), -EIO);
	assert_int_equal(levee_store_account(b->store, &one, "maps", 1), -EIO);
	assert_int_equal(levee_store_commit(b->store), -EIO);
	assert_int_equal(b->said, 1);
	bins = load_bins(b, 60, 0, 1000);
	assert_int_equal(bins->n, 0);
	free_bins(bins);
	assert_int_equal(levee_store_get_account(b->store, &read), 0);
	assert_int_equal(read.received, 0);

	assert_int_equal(levee_store_begin(b->store), 0);
	assert_int_equal(put_bin(b, 180, 60), 0);
	assert_int_equal(levee_store_commit(b->store), 0);
}

static void a_second_writer_is_told_and_not_waited_for_long(void **state)
{
	struct bench *b = *state;
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(levee_store_begin(b->store), -EBUSY);
	assert_int_equal(b->said, 1);
	assert_non_null(strstr(b->last, b->path));
	assert_non_null(strstr(b->last, "database is locked"));
	assert_non_null(strstr(b->last, "another process holds it"));
	assert_int_equal(put_bin(b, 60, 60), -EBUSY);
	sqlite3_close(db);
	assert_int_equal(put_bin(b, 60, 60), 0);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void file_and_directory_are_not_for_everybody(void **state)
{
	struct bench *b = *state;
	char directory[96];
	struct stat st;
	mode_t before = umask(0);

	levee_store_close(&b->store);
	snprintf(directory, sizeof(directory), "%s/own", b->directory);
	snprintf(b->path, sizeof(b->path), "%s/state.db", directory);
	assert_int_equal(open_store(b), 0);
	umask(before);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void a_missing_parent_directory_is_said(void **state)
{
	struct bench *b = *state;

	levee_store_close(&b->store);
	snprintf(b->path, sizeof(b->path), "%s/a/b/state.db", b->directory);
	assert_int_equal(open_store(b), -ENOENT);
	assert_null(b->store);
	assert_int_equal(b->said, 1);
	assert_non_null(strstr(b->last, "/a/b: cannot make the directory"));
}

static void a_directory_in_the_place_of_the_file_is_said(void **state)
{
	struct bench *b = *state;

	levee_store_close(&b->store);
	snprintf(b->path, sizeof(b->path), "%s", b->directory);
	assert_int_equal(open_store(b), -EISDIR);
	assert_int_equal(b->said, 1);
}

static size_t count_files(const struct bench *b, const char *suffix)
{
	char pattern[256];
	glob_t found;
	size_t n = 0;

	snprintf(pattern, sizeof(pattern), "%s%s", b->path, suffix);
	if (glob(pattern, 0, NULL, &found) == 0) {
		n = found.gl_pathc;
		globfree(&found);
	}
	return n;
}

static void write_bytes(const struct bench *b, off_t at, size_t n)
{
	int fd = open(b->path, O_WRONLY | O_CREAT, 0600);
	char junk[4096];

	memset(junk, 0xa5, sizeof(junk));
	assert_true(fd >= 0);
	while (n > 0) {
		ssize_t done = pwrite(fd, junk, n < sizeof(junk) ? n : sizeof(junk), at);

		assert_true(done > 0);
		n -= (size_t)done;
		at += done;
	}
	close(fd);
}

static void assert_moved_aside(struct bench *b)
{
	struct bins *bins;

	assert_int_equal(open_store(b), 0);
	assert_true(b->said >= 1);
	assert_non_null(strstr(b->last, "it is kept as"));
	assert_int_equal(count_files(b, ".damaged-*[0-9]"), 1);
	bins = load_bins(b, 60, 0, 100000);
	assert_int_equal(bins->n, 0);
	free_bins(bins);
	assert_int_equal(put_bin(b, 60, 60), 0);
}

static void a_file_that_is_no_database_is_moved_aside(void **state)
{
	struct bench *b = *state;

	levee_store_close(&b->store);
	unlink(b->path);
	write_bytes(b, 0, 10000);
	assert_moved_aside(b);
}

static void a_damaged_database_is_moved_aside(void **state)
{
	struct bench *b = *state;
	struct stat st;

	for (int64_t start = 0; start < 600; start++)
		assert_int_equal(put_bin(b, start, 60), 0);
	levee_store_close(&b->store); /* all is in the file now */
	assert_int_equal(stat(b->path, &st), 0);
	write_bytes(b, 8192, (size_t)st.st_size / 2);
	assert_moved_aside(b);
}

static void a_database_cut_short_is_moved_aside(void **state)
{
	struct bench *b = *state;
	struct stat st;

	for (int64_t start = 0; start < 600; start++)
		assert_int_equal(put_bin(b, start, 60), 0);
	levee_store_close(&b->store);
	assert_int_equal(stat(b->path, &st), 0);
	assert_int_equal(truncate(b->path, st.st_size / 2), 0);
	assert_moved_aside(b);
}

static void a_schema_that_is_not_ours_inside_is_moved_aside(void **state)
{
	struct bench *b = *state;

	levee_store_close(&b->store);
	sql(b, "DROP TABLE bin");
	assert_moved_aside(b);
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
	struct bench *b = *state;

	assert_int_equal(put_bin(b, 60, 60), 0);
	levee_store_close(&b->store);
	sql(b, "PRAGMA user_version = 999");
	assert_int_equal(open_store(b), -ENOTSUP);
	assert_int_equal(b->said, 1);
	assert_non_null(strstr(b->last, "schema 999, but this levee knows "));
	assert_int_equal(count_files(b, ".damaged-*"), 0);
	assert_int_equal(number(b, "SELECT count(*) FROM bin"), 1);
}

static void a_database_of_another_program_is_refused_and_left_alone(void **state)
{
	struct bench *b = *state;

	levee_store_close(&b->store);
	unlink(b->path);
	sql(b, "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)");
	assert_int_equal(open_store(b), -EEXIST);
	assert_non_null(strstr(b->last, "another program"));
	assert_int_equal(number(b, "SELECT count(*) FROM theirs"), 1);
}

static void an_empty_file_becomes_a_store(void **state)
{
	struct bench *b = *state;

	levee_store_close(&b->store);
	unlink(b->path);
	fclose(fopen(b->path, "w"));
	assert_int_equal(open_store(b), 0);
	assert_int_equal(put_bin(b, 60, 60), 0);
	assert_int_equal(b->said, 0);
}

static void closing_nothing_is_harmless(void **state)
{
	struct levee_store *none = NULL;

	(void)state;
	levee_store_close(&none);
}

/* ---- a full disk -------------------------------------------------------------------------- */

/* One bin's close: a bin, a block, an event that says the number, and the account. */
static int put_all(struct bench *b, uint64_t n, size_t detail)
{
	struct levee_account account = { .received = n };
	struct levee_block block = make_block(n % 50);
	char *text = malloc(detail + 1);
	int ret;

	assert_non_null(text);
	memset(text, 'x', detail);
	text[detail] = '\0';
	block.max_packets = n;
	ret = put_bin(b, (int64_t)n * 60, 60);
	if (ret == 0)
		ret = levee_store_put_block(b->store, &block, "boot");
	if (ret == 0)
		ret = levee_store_event(b->store, n * S, "bin", "", text);
	if (ret == 0)
		ret = levee_store_account(b->store, &account, "maps", n);
	free(text);
	return ret;
}

static int commit_all(struct bench *b, uint64_t n, size_t detail)
{
	int ret = levee_store_begin(b->store);

	if (ret < 0)
		return ret;
	ret = put_all(b, n, detail);
	if (ret == 0)
		return levee_store_commit(b->store);
	assert_int_equal(levee_store_commit(b->store), ret); /* it cannot be had any more */
	return ret;
}

/* The store holds transactions 1 to n, and nothing else. */
static void assert_holds_prefix(struct bench *b, uint64_t n)
{
	struct bins *bins = load_bins(b, 60, 0, INT64_MAX);
	struct levee_account account;
	struct blocks blocks = load_blocks(b, "boot", 2000, 0);
	uint64_t seq;

	assert_int_equal(bins->n, n);
	for (size_t i = 0; i < bins->n; i++)
		assert_int_equal(bins->bin[i].start_s, (int64_t)(i + 1) * 60);
	free_bins(bins);
	assert_int_equal(levee_store_get_account(b->store, &account), 0);
	assert_int_equal(account.received, n * (n + 1) / 2);
	assert_int_equal(levee_store_last_epoch(b->store, "maps", &seq), 0);
	assert_int_equal(seq, n);
	assert_int_equal(blocks.n, n < 50 ? n : 50);
	for (size_t i = 0; i < blocks.n; i++) {
		assert_true(blocks.block[i].max_packets <= n);
		assert_true(blocks.block[i].max_packets + 50 > n);
	}
	assert_int_equal(number(b, "SELECT count(*) FROM event"), (long long)n);
}

/* Fill the disk until it fails, give room back, go on. */
static void check_full_disk(struct bench *b, void (*make_room)(void *), void *ctx)
{
	unsigned int said = b->said;
	uint64_t n = 0;
	int ret;

	while ((ret = commit_all(b, n + 1, 20000)) == 0)
		assert_true(++n < 1000);
	assert_int_equal(ret, -ENOSPC);
	assert_int_equal(b->said, said + 1); /* once a transaction, however much fails in it */
	assert_non_null(strstr(b->last, b->path));
	assert_non_null(strstr(b->last, "make room"));
	assert_true(n >= 3);
	assert_holds_prefix(b, n);
	assert_int_equal(commit_all(b, n + 1, 20000), -ENOSPC);
	assert_holds_prefix(b, n);

	make_room(ctx);
	for (int i = 0; i < 5; i++)
		assert_int_equal(commit_all(b, ++n, 20000), 0);
	assert_holds_prefix(b, n);
	reopen(b);
	assert_holds_prefix(b, n);
}

static void lift_limit(void *ctx)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, ctx), 0);
}

static void a_limit_on_file_size_is_a_full_disk(void **state)
{
	struct bench *b = *state;
	struct rlimit before, limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 1 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	check_full_disk(b, lift_limit, &before);
}

static void enlarge(void *ctx)
{
	assert_int_equal(mount("none", ctx, "tmpfs", MS_REMOUNT, "size=64m"), 0);
}

static void a_full_disk_costs_the_transaction_and_no_more(void **state)
{
	struct bench *b = *state;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", b->directory, "tmpfs", 0, "size=1m") < 0) {
		print_message("# a private tmpfs cannot be mounted: %s\n", strerror(errno));
		skip();
	}
	levee_store_close(&b->store);
	assert_int_equal(open_store(b), 0);
	check_full_disk(b, enlarge, b->directory);
	levee_store_close(&b->store);
	assert_int_equal(umount(b->directory), 0);
}

static void a_disk_full_from_the_start_is_said(void **state)
{
	struct bench *b = *state;
	struct rlimit before, limit;
	int ret;

	levee_store_close(&b->store);
	snprintf(b->path, sizeof(b->path), "%s/other.db", b->directory);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 2000;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ret = open_store(b);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(ret, -ENOSPC);
	assert_null(b->store);
	assert_int_equal(b->said, 1);
	assert_non_null(strstr(b->last, "make room"));
	assert_int_equal(open_store(b), 0);
}

/* ---- SIGKILL ------------------------------------------------------------------------------ */

/* Commits transactions n+1, n+2, ... and writes each number to the pipe once it is committed. */
static void write_forever(struct bench *b, uint64_t n, int out)
{
	/* Not the parent's: SQLite's connections do not survive a fork. */
	if (levee_store_open(&b->store, b->path, note, b) < 0)
		_exit(1);
	for (n++;; n++)
		if (commit_all(b, n, 100) < 0 || write(out, &n, sizeof(n)) != sizeof(n))
			_exit(2);
}

/* Let it commit a few, wait a random while, kill. \return the last number that was reported */
static uint64_t write_and_kill(struct bench *b, uint64_t n)
{
	struct timespec while_ns = { .tv_nsec = random() % 3000000 };
	long few = 1 + random() % 8;
	int fds[2], status;
	uint64_t last = n;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fds[0]);
		write_forever(b, n, fds[1]);
	}
	close(fds[1]);
	while (few-- > 0)
		assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
	nanosleep(&while_ns, NULL);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	while (read(fds[0], &last, sizeof(last)) == sizeof(last))
		;
	close(fds[0]);
	return last;
}

static void a_kill_at_any_moment_loses_no_committed_transaction(void **state)
{
	const unsigned int seed = 42;
	struct bench *b = *state;
	uint64_t n = 0, reported;

	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 40; round++) {
		levee_store_close(&b->store);
		reported = write_and_kill(b, n);
		assert_int_equal(open_store(b), 0);
		n = (uint64_t)number(b, "SELECT count(*) FROM bin");
		/* One more than reported may be in: killed between commit and report. */
		assert_in_range(n, reported, reported + 1);
		assert_holds_prefix(b, n);
	}
	assert_int_equal(b->said, 0);
	print_message("# %" PRIu64 " transactions, 40 kills\n", n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_bin_is_loaded_as_it_was_put),
		TEST(histogram_and_measures_are_loaded_as_they_were_put),
		TEST(a_damaged_histogram_costs_no_bin),
		TEST(bins_come_in_order_and_from_the_asked_range_alone),
		TEST(a_bin_of_the_same_start_is_replaced),
		TEST(bins_of_another_length_are_passed_over),
		TEST(pruning_removes_what_is_before_the_window),
		TEST(a_damaged_bin_is_reported_and_left_out),
		TEST(a_loader_that_fails_ends_the_loading),
		TEST(blocks_of_this_boot_are_loaded_as_they_were_put),
		TEST(expired_blocks_are_left_out),
		TEST(expired_blocks_become_offenders_once),
		TEST(an_offender_keeps_its_end_over_a_reboot),
		TEST(offenders_of_long_ago_are_pruned),
		TEST(good_sources_are_read_as_they_were_put),
		TEST(tables_of_an_older_levee_are_added_to),
		TEST(after_a_reboot_a_block_lasts_as_long_as_it_would_have),
		TEST(a_clock_in_the_past_makes_no_block_longer),
		TEST(a_block_without_end_has_none_after_a_reboot),
		TEST(a_block_is_replaced_and_dropped_by_its_prefix),
		TEST(a_damaged_block_is_reported_and_left_out),
		TEST(the_account_adds_up_field_by_field),
		TEST(epochs_are_kept_apart_by_their_maps),
		TEST(events_are_kept_for_thirty_days),
		TEST(nothing_of_a_rolled_back_transaction_stays),
		TEST(nothing_is_kept_that_was_not_committed),
		TEST(begin_and_commit_come_in_pairs),
		TEST(after_a_failure_nothing_more_of_a_transaction_is_taken),
		TEST(a_second_writer_is_told_and_not_waited_for_long),
		TEST(file_and_directory_are_not_for_everybody),
		TEST(a_missing_parent_directory_is_said),
		TEST(a_directory_in_the_place_of_the_file_is_said),
		TEST(a_file_that_is_no_database_is_moved_aside),
		TEST(a_damaged_database_is_moved_aside),
		TEST(a_database_cut_short_is_moved_aside),
		TEST(a_schema_that_is_not_ours_inside_is_moved_aside),
		TEST(a_newer_schema_is_refused_and_left_alone),
		TEST(a_database_of_another_program_is_refused_and_left_alone),
		TEST(an_empty_file_becomes_a_store),
		TEST(closing_nothing_is_harmless),
		TEST(a_limit_on_file_size_is_a_full_disk),
		TEST(a_disk_full_from_the_start_is_said),
		TEST(a_kill_at_any_moment_loses_no_committed_transaction),
		/* Last: it leaves this process in a mount namespace of its own. */
		TEST(a_full_disk_costs_the_transaction_and_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
