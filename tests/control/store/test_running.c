/* SPDX-License-Identifier: BSD-2-Clause */
/* What is kept of the running bin: written, read back, cut short, and damaged in every byte. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "control/store/running.h"

#define BOOT	"11111111-2222-3333-4444-555555555555"
#define SOURCES 3000
#define PARTS	8

struct world {
	char dir[64], state[96], file[112];
	struct levee_running *f;
	char said[256];

	/* what was read */
	size_t n_parts;
	struct levee_running_part part[PARTS];
	uint64_t sources;
	uint64_t hash; /* over sources and counts, in their order */
};

static void report(void *ctx, const char *message)
{
	struct world *w = ctx;

	snprintf(w->said, sizeof(w->said), "%s", message);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/levee-running-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	snprintf(w->state, sizeof(w->state), "%s/state.db", w->dir);
	snprintf(w->file, sizeof(w->file), "%s.running", w->state);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[96];

	levee_running_close(&w->f);
	snprintf(command, sizeof(command), "rm -rf %s", w->dir);
	if (system(command))
		return -1;
	free(w);
	return 0;
}

static void open_of_boot(struct world *w, const char *boot_id)
{
	levee_running_close(&w->f);
	assert_int_equal(levee_running_open(&w->f, w->state, boot_id, report, w), 0);
}

/* The nth source, and what was counted of it: every form that there is. */
static void source_of(uint64_t n, struct levee_prefix *source, struct levee_counts *counts)
{
	*source = (struct levee_prefix){ .hi = 0xc6000000 + n, .family = 4, .length = 32 };
	if (n % 3 == 1)
		*source = (struct levee_prefix){ .hi = 0x20010db800000000 + n,
						 .family = 6,
						 .length = 64 };
	if (n % 3 == 2)
		*source = (struct levee_prefix){
			.hi = 0x20010db800000000 + n, .lo = n << 32, .family = 6, .length = 128
		};
	*counts = (struct levee_counts){ .packets = n % 7 ? n : UINT64_MAX - n,
					 .bytes = n * n * n,
					 .syns = n % 5 ? 0 : n,
					 .answered = n % 2 };
}

static uint64_t mix(uint64_t hash, const struct levee_prefix *source,
		    const struct levee_counts *counts)
{
	const uint64_t words[] = {
		source->hi,	 source->lo,	source->family, source->length,
		counts->packets, counts->bytes, counts->syns,	counts->answered
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
	return hash;
}

static uint64_t hash_of(uint64_t from, uint64_t to)
{
	struct levee_prefix source;
	struct levee_counts counts;
	uint64_t hash = 0;

	for (uint64_t n = from; n < to; n++) {
		source_of(n, &source, &counts);
		hash = mix(hash, &source, &counts);
	}
	return hash;
}

static int put(struct world *w, uint64_t id, uint64_t from, uint64_t to)
{
	struct levee_running_part part = { .bin_id = id,
					   .bin_start_s = 1767225600 + (int64_t)id * 60,
					   .seq = id * 10 + from,
					   .maps_id = "0123456789abcdef",
					   .account = { .received = to - from, .evicted = 7 },
					   .fold = { .n = 3, .sq_hi = 9 } };
	struct levee_prefix source;
	struct levee_counts counts;

	for (uint64_t n = from; n < to; n++) {
		source_of(n, &source, &counts);
		levee_running_source(w->f, &source, &counts);
	}
	return levee_running_end(w->f, &part);
}

static int append(struct world *w, uint64_t id, uint64_t from, uint64_t to)
{
	levee_running_begin(w->f);
	return put(w, id, from, to);
}

static int on_part(void *ctx, const struct levee_running_part *part)
{
	struct world *w = ctx;

	assert_true(w->n_parts < PARTS);
	w->part[w->n_parts++] = *part;
	return 0;
}

static int on_source(void *ctx, const struct levee_prefix *source,
		     const struct levee_counts *counts)
{
	struct world *w = ctx;

	w->sources++;
	w->hash = mix(w->hash, source, counts);
	return 0;
}

static int load(struct world *w)
{
	struct levee_sink sink = { .source = on_source, .ctx = w };

	w->n_parts = 0;
	w->hash = w->sources = 0;
	return levee_running_load(w->f, on_part, &sink);
}

static void a_new_file_is_empty_and_for_us_alone(void **state)
{
	struct world *w = *state;
	struct stat st;

	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 0);
	assert_return_code(stat(w->file, &st), errno);
	assert_int_equal(st.st_mode & 07137, 0);
}

static void parts_come_back_as_they_were(void **state)
{
	struct world *w = *state;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, SOURCES), 0);
	assert_int_equal(append(w, 1, SOURCES, SOURCES), 0);
	assert_int_equal(append(w, 2, SOURCES, SOURCES + 10), 0);
	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 3);
	assert_int_equal(w->sources, SOURCES + 10);
	assert_true(w->hash == hash_of(0, SOURCES + 10));
	assert_int_equal(w->part[0].bin_id, 1);
	assert_int_equal(w->part[0].bin_start_s, 1767225660);
	assert_string_equal(w->part[0].maps_id, "0123456789abcdef");
	assert_int_equal(w->part[0].account.received, SOURCES);
	assert_int_equal(w->part[0].account.evicted, 7);
	assert_int_equal(w->part[0].fold.n, 3);
	assert_int_equal(w->part[0].fold.sq_hi, 9);
	assert_int_equal(w->part[2].bin_id, 2);
	assert_int_equal(w->part[2].seq, 20 + SOURCES);
	assert_string_equal(w->said, "");
}

static void what_is_cleared_does_not_come_back(void **state)
{
	struct world *w = *state;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 10), 0);
	levee_running_clear(w->f);
	assert_int_equal(append(w, 2, 10, 20), 0);
	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 1);
	assert_true(w->hash == hash_of(10, 20));
}

static void a_part_that_was_not_ended_is_none(void **state)
{
	struct world *w = *state;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 10), 0);
	levee_running_begin(w->f);
	for (uint64_t n = 0; n < 10 * SOURCES; n++) {
		struct levee_prefix source;
		struct levee_counts counts;

		source_of(n, &source, &counts);
		levee_running_source(w->f, &source, &counts);
	}
	open_of_boot(w, BOOT); /* killed in it */
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 1);
	assert_true(w->hash == hash_of(0, 10));
	assert_string_equal(w->said, "");
	assert_int_equal(append(w, 1, 10, 20), 0);
	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 2);
	assert_true(w->hash == hash_of(0, 20));
}

static void one_for_all_takes_the_place_of_the_others(void **state)
{
	struct world *w = *state;
	uint64_t before;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 100), 0);
	assert_int_equal(append(w, 1, 100, 200), 0);
	before = levee_running_size(w->f);
	levee_running_begin_whole(w->f);
	assert_int_equal(put(w, 1, 50, 60), 0);
	assert_true(levee_running_size(w->f) < before);
	assert_int_equal(append(w, 1, 60, 70), 0);
	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 2);
	assert_true(w->hash == hash_of(50, 70));
}

static void one_for_all_that_was_not_ended_changes_nothing(void **state)
{
	struct world *w = *state;
	char path[128];

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 100), 0);
	levee_running_begin_whole(w->f);
	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_true(w->hash == hash_of(0, 100));
	snprintf(path, sizeof(path), "%s.new", w->file);
	assert_int_equal(access(path, F_OK), -1);
}

static void parts_of_another_boot_are_passed_over(void **state)
{
	struct world *w = *state;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 10), 0);
	open_of_boot(w, "99999999-2222-3333-4444-555555555555");
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 0);
	assert_string_equal(w->said, "");
	assert_int_equal(append(w, 1, 10, 20), 0);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 1);
}

/* A write that fails leaves what was there, and the next part comes behind it. */
static void a_disk_that_is_full_costs_one_part(void **state)
{
	struct world *w = *state;
	struct rlimit before, limit;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 100), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_IGN);
	limit = before;
	limit.rlim_cur = levee_running_size(w->f) + 70000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(append(w, 1, 100, 100 + 10 * SOURCES), -EFBIG);
	levee_running_begin_whole(w->f);
	assert_int_equal(put(w, 1, 100, 100 + 10 * SOURCES), -EFBIG);
	assert_int_equal(append(w, 1, 100, 200), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	open_of_boot(w, BOOT);
	assert_int_equal(load(w), 0);
	assert_int_equal(w->n_parts, 2);
	assert_true(w->hash == hash_of(0, 200));
}

static void write_file(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY);

	/* Not emptied first: file systems that guard against a crash then write it to the disk. */
	assert_return_code(fd, errno);
	assert_int_equal(pwrite(fd, data, size, 0), size);
	assert_return_code(ftruncate(fd, (off_t)size), errno);
	close(fd);
}

static size_t read_file(const char *path, uint8_t *data, size_t room)
{
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(data, 1, room, f);
	fclose(f);
	return n;
}

/* Whatever the file is: what is read are whole parts from its beginning, and the file is good after. */
static void any_cut_and_any_turned_byte_is_survived(void **state)
{
	static uint8_t good[8192], bad[8192];
	struct world *w = *state;
	size_t size, first;

	open_of_boot(w, BOOT);
	assert_int_equal(append(w, 1, 0, 12), 0);
	first = levee_running_size(w->f);
	assert_int_equal(append(w, 1, 12, 24), 0);
	size = read_file(w->file, good, sizeof(good));
	assert_true(size > first && size < sizeof(good));
	for (size_t i = 0; i < size; i++) {
		write_file(w->file, good, i);
		open_of_boot(w, BOOT);
		assert_int_equal(load(w), 0);
		assert_int_equal(w->n_parts, i >= first);
		assert_true(w->hash == (i >= first ? hash_of(0, 12) : 0));
		assert_int_equal(append(w, 1, 12, 24), 0);
		assert_int_equal(load(w), 0);
		assert_int_equal(w->n_parts, 1 + (i >= first));
	}
	for (size_t i = 0; i < size; i++) {
		memcpy(bad, good, size);
		bad[i] = (uint8_t)~bad[i];
		write_file(w->file, bad, size);
		open_of_boot(w, BOOT);
		assert_int_equal(load(w), 0);
		assert_true(w->n_parts <= 2 && w->sources <= 24);
		assert_true(i < first || w->n_parts >= 1);
	}
}

static void a_link_in_its_place_is_not_followed(void **state)
{
	struct world *w = *state;

	assert_return_code(symlink("/etc/hostname", w->file), errno);
	assert_int_equal(levee_running_open(&w->f, w->state, BOOT, report, w), -ELOOP);
	assert_null(w->f);
	assert_non_null(strstr(w->said, "state.db.running: cannot open: "));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_file_is_empty_and_for_us_alone),
		T(parts_come_back_as_they_were),
		T(what_is_cleared_does_not_come_back),
		T(a_part_that_was_not_ended_is_none),
		T(one_for_all_takes_the_place_of_the_others),
		T(one_for_all_that_was_not_ended_changes_nothing),
		T(parts_of_another_boot_are_passed_over),
		T(a_disk_that_is_full_costs_one_part),
		T(any_cut_and_any_turned_byte_is_survived),
		T(a_link_in_its_place_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
