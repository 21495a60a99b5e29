/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The spoofed flood: millions of sources that never come again in one bin, and heavy ones before
 * it, in the midst of it, and after it. The way of the counts is the daemon's own: kernel tables,
 * drains on pressure, the running bin with its bound. What has to come out: the heavy sources'
 * counts, and mean and deviation over all sources, in memory that was set beforehand.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "control/detect/bin.h"
#include "tests/support/stream.h"
#include "tests/support/xdp.h"

#define HEAVY	    20	     /* in each of the three groups */
#define GROUPS	    3	     /* before, in the midst, after */
#define RUN	    65536U   /* packets between two looks at the pressure: half a log */
#define RUN_LATE    1048576U /* where nobody looks */
#define BIN_SOURCES 262144   /* [detect] max_sources */
#define SOURCES	    262144   /* [data_path] sources, and as many for IPv6 */
#define FRAME	    64

/* A name in the bin costs 96 bytes at most, and the heap keeps some for itself. */
#define BIN_KIB (BIN_SOURCES * 96 / 1024 + 8192)

static struct levee_xdp_fixture fixture;
static struct levee_stream stream;
static struct levee_bin *bin;

static int teardown(void **state)
{
	(void)state;
	levee_bin_free(&bin);
	levee_stream_close(&stream);
	levee_xdp_fixture_close(&fixture);
	return 0;
}

struct flood {
	uint8_t family;
	uint64_t never; /* sources that never come again */
	bool late;	/* nobody drains before the bin closes */
};

/* What was sent, and what was seen of it on the way. */
struct course {
	struct stream_source heavy[GROUPS][HEAVY];
	uint64_t sent[GROUPS][HEAVY];
	uint64_t packets;
	struct levee_account account;
	unsigned int drains;
	uint64_t peak_kib; /* of anonymous memory, over that at the start */
	uint64_t start_kib;
};

static uint64_t anonymous_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long long kib = 0;
	char line[128];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %llu", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

/* ---- the way of the counts --------------------------------------------------------------- */

static int on_source(void *ctx, const struct levee_prefix *source,
		     const struct levee_counts *counts)
{
	(void)ctx;
	return levee_bin_add(bin, source, counts->packets, counts->bytes);
}

static void drain(struct course *c)
{
	struct levee_sink sink = { .source = on_source };
	struct levee_drained drained;
	uint64_t kib;

	assert_int_equal(levee_dataplane_drain(fixture.dp, 0, &sink, &drained), 0);
	assert_int_equal(levee_bin_add_fold(bin, &drained.account.fold), 0);
	levee_dataplane_release(fixture.dp);
	levee_account_add(&c->account, &drained.account);
	c->drains++;
	kib = anonymous_kib() - c->start_kib;
	if (kib > c->peak_kib && kib < UINT64_MAX / 2)
		c->peak_kib = kib;
}

/* The timer, which is due as well, may come first. */
static bool pressure(void)
{
	struct levee_dp_event event;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(levee_dataplane_wait(fixture.dp, 0, &event), 0);
		if (event.type == LEVEE_DP_PRESSURE)
			return true;
	}
	return false;
}

static void run(const struct flood *f, struct course *c, uint64_t packets)
{
	uint32_t most = f->late ? RUN_LATE : RUN;

	while (packets) {
		uint32_t now = packets < most ? (uint32_t)packets : most;

		levee_stream_run(&stream, now, FRAME);
		packets -= now;
		c->packets += now;
		if (!f->late && pressure())
			drain(c);
	}
}

/* ---- the traffic ------------------------------------------------------------------------- */

/* Numbers that the never-repeated do not reach, and so other addresses. */
static void name_heavy(const struct flood *f, struct course *c)
{
	for (uint64_t g = 0; g < GROUPS; g++)
		for (uint64_t i = 0; i < HEAVY; i++) {
			uint64_t nr = 3000000000ULL + g * 1000 + i;

			c->heavy[g][i] = (struct stream_source){ .family = f->family };
			c->heavy[g][i].hi = f->family == 4 ? (uint32_t)(nr * STREAM_SCATTER4)
							   : nr * STREAM_SCATTER6;
		}
}

/* A list in which heavy source i stands i % 4 + 1 times; how often in `turns` turns of it. */
static size_t list_group(struct course *c, unsigned int g, uint64_t turns)
{
	static struct stream_source list[HEAVY * 4];
	size_t n = 0;

	for (unsigned int k = 0; k < 4; k++)
		for (unsigned int i = 0; i < HEAVY; i++)
			if (k <= i % 4) {
				list[n++] = c->heavy[g][i];
				c->sent[g][i] += turns;
			}
	levee_stream_list(&stream, list, n);
	return n;
}

static void send_all(const struct flood *f, struct course *c)
{
	uint64_t turns = 15000, every, n;

	n = list_group(c, 0, turns);
	run(f, c, n * turns);

	/* As many turns of the list as the flood lasts, one packet in `every`. */
	n = list_group(c, 1, 0);
	turns = f->never / 10 / n + 1;
	list_group(c, 1, turns);
	every = 11;
	levee_stream_never(&stream, f->family, 0, every);
	run(f, c, n * turns * every);

	n = list_group(c, 2, 15000);
	run(f, c, n * 15000);
	drain(c);
}

/* ---- what has to come out ---------------------------------------------------------------- */

static void true_moments(const struct course *c, uint64_t never, long double *mean, long double *sd)
{
	long double n = (long double)never, sum = n, squares = n;

	for (unsigned int g = 0; g < GROUPS; g++)
		for (unsigned int i = 0; i < HEAVY; i++) {
			long double x = (long double)c->sent[g][i];

			n += 1;
			sum += x;
			squares += x * x;
		}
	*mean = sum / n;
	*sd = sqrtl(squares / n - *mean * *mean);
}

static long double off_by(long double got, long double want)
{
	return fabsl(got - want) / want;
}

static void check_heavy(const struct course *c, const struct levee_moments *m)
{
	long double worst = 0;

	for (unsigned int g = 0; g < GROUPS; g++)
		for (unsigned int i = 0; i < HEAVY; i++) {
			struct levee_prefix p = { .hi = c->heavy[g][i].hi,
						  .family = (uint8_t)c->heavy[g][i].family };
			uint64_t got;

			p.length = p.family == 4 ? 32 : 64;
			got = levee_bin_get(bin, &p);
			assert_true(got <= c->sent[g][i]);
			worst = fmaxl(worst, off_by((long double)got, (long double)c->sent[g][i]));
			assert_true(levee_moments_above(m, got, 3.0));
		}
	print_message("# heavy sources: off by %.4Lf %% at most\n", worst * 100);
	assert_true(worst <= 0.001L);
}

static void check_moments(const struct course *c, uint64_t never, const struct levee_moments *m)
{
	long double mean, sd;

	true_moments(c, never, &mean, &sd);
	print_message("# mean %.6f, true %.6Lf; deviation %.4f, true %.4Lf\n",
		      levee_moments_mean(m), mean, levee_moments_stddev(m), sd);
	assert_true(off_by(levee_moments_mean(m), mean) <= 0.01L);
	assert_true(off_by(levee_moments_stddev(m), sd) <= 0.01L);
	assert_true(m->sum == c->packets); /* folded or named, no packet is missing */
}

static void check_account(const struct flood *f, const struct course *c)
{
	uint64_t sum = 0;

	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		sum += c->account.outcome[i];
	print_message("# %llu packets, %u drains; by way of the logs %llu values, folded in the "
		      "kernel %llu, in the bin %llu; names in the bin %zu; memory of the bin %llu "
		      "KiB\n",
		      (unsigned long long)c->packets, c->drains,
		      (unsigned long long)c->account.evicted, (unsigned long long)c->account.fold.n,
		      (unsigned long long)levee_bin_folded(bin), levee_bin_sources(bin),
		      (unsigned long long)c->peak_kib);
	assert_int_equal(sum, c->account.received);
	assert_int_equal(c->account.received, c->packets);
	assert_int_equal(c->account.outcome[LEVEE_COUNTED], c->packets);
	/* Whatever lost its name is in a counter. */
	assert_true(c->account.evicted > 0);
	assert_true(levee_bin_folded(bin) > 0);
	if (f->late)
		assert_true(c->account.fold.n > 0);
	else
		assert_int_equal(c->account.fold.n, 0);
}

static void check_memory(const struct course *c)
{
	assert_true(levee_bin_sources(bin) <= BIN_SOURCES);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	assert_true(c->peak_kib <= BIN_KIB);
#else
	(void)c;
#endif
}

static void go(const struct flood *f)
{
	struct course *c = calloc(1, sizeof(*c));
	struct levee_moments m;
	uint64_t never;

	assert_non_null(c);
	levee_xdp_fixture_open(&fixture, &(struct levee_xdp_sizes){ .sources = SOURCES });
	levee_stream_open(&stream, &fixture);
	c->start_kib = anonymous_kib();
	bin = levee_bin_new(BIN_SOURCES);
	assert_non_null(bin);
	name_heavy(f, c);
	send_all(f, c);
	never = levee_stream_next(&stream);
	assert_true(never >= f->never);
	assert_int_equal(levee_bin_moments(bin, &m), 0);
	check_account(f, c);
	check_moments(c, never, &m);
	check_heavy(c, &m);
	check_memory(c);
	free(c);
}

static void ten_million_spoofed_sources_hide_nobody(void **state)
{
	(void)state;
	go(&(struct flood){ .family = 4, .never = 10000000 });
}

static void ten_million_spoofed_sources_hide_nobody_even_if_the_controller_is_late(void **state)
{
	(void)state;
	go(&(struct flood){ .family = 4, .never = 10000000, .late = true });
}

static void two_million_spoofed_ipv6_prefixes_hide_nobody(void **state)
{
	(void)state;
	go(&(struct flood){ .family = 6, .never = 2000000 });
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, teardown)
	const struct CMUnitTest tests[] = {
		T(ten_million_spoofed_sources_hide_nobody),
		T(ten_million_spoofed_sources_hide_nobody_even_if_the_controller_is_late),
		T(two_million_spoofed_ipv6_prefixes_hide_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
