/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The detector beside a plain reference, over thousands of random traces of traffic. Each kind of
 * trace aims at one way to be wrong; all of them compare everything that an evaluation says.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/detect/detector.h"
#include "control/policy/blocks.h"
#include "tests/support/reference.h"

#define SOURCES_MAX 400
#define TOLERANCE   1e-9L

struct random {
	uint64_t state;
};

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014) */
static uint64_t draw(struct random *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
	return x ^ x >> 31;
}

static uint64_t below(struct random *r, uint64_t n)
{
	return draw(r) % n;
}

/* Each number of digits (in base 2) is as likely as the others. */
static uint64_t heavy_tailed(struct random *r, unsigned int most_bits)
{
	uint64_t bits = below(r, most_bits) + 1;

	return 1 + below(r, 1ULL << bits);
}

enum kind {
	KIND_HEAVY_TAIL, /* any size, from 1 to 2^24 */
	KIND_EQUAL,	 /* all values equal, sometimes but for one */
	KIND_HUGE,	 /* around 2^40, sometimes with very little between them */
	KIND_FEW,	 /* so few values that none can be above, or just */
	KIND_MASKING,	 /* many equal attackers among few clients */
	KIND_FLOOD,	 /* steady clients, few attackers for some bins */
	KIND_ANY,	 /* each value from one of the others */
	KINDS,
};

static const char *const kind_names[KINDS] = { "heavy tail", "equal", "huge", "few",
					       "masking",    "flood", "any" };

struct trace {
	struct random random;
	enum kind kind;
	unsigned int bin_s;
	unsigned int window_s;
	unsigned int bins;
	unsigned int sources;
	unsigned int attackers;
	uint64_t level;
	uint64_t spread;
	double present; /* share of the bins in which a source sends */
	bool feedback;	/* flagged sources are not counted */
	struct levee_detect_params params;

	struct reference reference;
	struct levee_window *window;
	struct levee_bin *bin;
	struct levee_blocks *blocks;
};

struct tally {
	size_t traces;
	size_t evaluations;
	size_t flagging;
	size_t exact;
	size_t skipped;
};

static struct levee_prefix source_of(unsigned int i)
{
	/* Order by number is not order by index, and families mix. */
	if (i % 5 == 3)
		return (struct levee_prefix){
			.hi = 0x20010db800000000ULL + (i * 7919U % 65536U),
			.family = 6,
			.length = 64,
		};
	return (struct levee_prefix){
		.hi = (0xc6336400U + i * 2654435761U) & 0xffffffffU,
		.family = 4,
		.length = 32,
	};
}

static uint64_t value_of(struct trace *t, enum kind kind, unsigned int source, unsigned int bin)
{
	struct random *r = &t->random;

	switch (kind) {
	case KIND_HEAVY_TAIL:
		return heavy_tailed(r, 24);
	case KIND_EQUAL:
		return t->level + (t->spread && source == 0 && bin == t->bins / 2 ? t->spread : 0);
	case KIND_HUGE:
		return (1ULL << 40) + below(r, 1 + t->spread) +
		       (source < t->attackers && below(r, 8) == 0 ? t->spread * 64 : 0);
	case KIND_FEW:
		return source < t->attackers ? t->level * 1000 : t->level;
	case KIND_MASKING:
		return source < t->attackers ? t->level * 5000 : 1 + below(r, t->level);
	case KIND_FLOOD:
		if (source < t->attackers && bin % 16 >= 8 && bin % 16 < 11)
			return 20000 + below(r, 1000000);
		return 1 + below(r, 1000);
	default:
		return value_of(t, (enum kind)below(r, KIND_ANY), source, bin);
	}
}

static void set_up(struct trace *t, uint64_t seed)
{
	static const unsigned int lengths[] = { 1, 10, 60 };
	static const double thresholds[] = { 3.0, 3.0, 3.0, 2.0, 1.0, 2.5, 3.14159, 0.0 };
	static const uint64_t spreads[] = { 0, 1, 3, 1000, 1ULL << 20, 1ULL << 33 };
	struct random *r = &t->random;

	memset(t, 0, sizeof(*t));
	r->state = seed * 0x2545f4914f6cdd1dULL;
	draw(r);
	t->kind = (enum kind)(seed % KINDS);
	t->bin_s = lengths[below(r, 3)];
	t->window_s = t->bin_s * (1 + (unsigned int)below(r, below(r, 4) ? 12 : 60));
	t->bins = 1 + (unsigned int)below(r, below(r, 4) ? 16 : 80);
	t->sources = 1 + (unsigned int)below(r, below(r, 8) ? 24 : SOURCES_MAX);
	t->attackers = (unsigned int)below(r, 1 + t->sources / 4) + 1;
	t->present = below(r, 3) ? 1.0 : 0.3;
	t->level = heavy_tailed(r, below(r, 2) ? 8 : 20);
	t->spread = spreads[below(r, sizeof(spreads) / sizeof(*spreads))];
	t->feedback = below(r, 3) == 0;
	t->params.min_zscore = thresholds[below(r, sizeof(thresholds) / sizeof(*thresholds))];
	t->params.min_packets = below(r, 3) ? 0 : below(r, 2) ? 12000 : below(r, 1 << 16);
	if (t->kind == KIND_FEW) {
		t->bins = 1 + (unsigned int)below(r, 3);
		t->sources = (below(r, 2) ? 10 : 1 + (unsigned int)below(r, 14));
		t->attackers = 1;
	}
	if (t->sources > 64)
		t->bins = 1 + t->bins % 12;
	reference_init(&t->reference, t->bin_s, t->window_s);
	t->window = levee_window_new(t->bin_s, t->window_s);
	t->bin = levee_bin_new(1 << 20);
	t->blocks = levee_blocks_new(&(struct levee_blocks_params){
		.bin_s = t->bin_s, .window_s = t->window_s, .release_unflagged = true });
	assert_true(t->window && t->bin && t->blocks);
}

static void tear_down(struct trace *t)
{
	levee_blocks_free(&t->blocks);
	levee_bin_free(&t->bin);
	levee_window_free(&t->window);
	reference_clear(&t->reference);
}

/* Send a value in one to three parts, as CPUs and logs do. */
static void send_value(struct trace *t, unsigned int i, int64_t time_s, uint64_t packets)
{
	struct levee_prefix source = source_of(i);

	if (t->feedback && levee_blocks_get(t->blocks, &source))
		return;
	while (packets) {
		uint64_t part = below(&t->random, 3) ? packets : 1 + below(&t->random, packets);

		assert_int_equal(levee_bin_add(t->bin, &source, part, part * 60), 0);
		reference_count(&t->reference, source.family, source.hi, source.lo, time_s, part);
		packets -= part;
	}
}

static void fill_bin(struct trace *t, unsigned int bin, int64_t time_s)
{
	for (unsigned int i = 0; i < t->sources; i++) {
		if ((double)below(&t->random, 1000) >= t->present * 1000)
			continue;
		send_value(t, i, time_s, value_of(t, t->kind, i, bin));
	}
}

static void assert_close(const char *what, long double is, long double should, uint64_t seed)
{
	if (fabsl(is - should) <= TOLERANCE * fabsl(should))
		return;
	fail_msg("seed %llu: %s is %.18Lg, the reference says %.18Lg", (unsigned long long)seed,
		 what, is, should);
}

static void compare_findings(const struct levee_evaluation *is,
			     const struct reference_result *should, uint64_t seed)
{
	if (is->n_findings != should->n_findings)
		fail_msg("seed %llu, now %lld: %zu sources flagged, the reference says %zu",
			 (unsigned long long)seed, (long long)is->now_s, is->n_findings,
			 should->n_findings);
	for (size_t i = 0; i < is->n_findings; i++) {
		const struct levee_finding *a = &is->findings[i];
		const struct reference_finding *b = &should->findings[i];

		if (a->source.family != b->family || a->source.hi != b->hi || a->source.lo != b->lo)
			fail_msg("seed %llu: place %zu of the order", (unsigned long long)seed, i);
		assert_int_equal(a->max_packets, b->max_packets);
		assert_int_equal(a->last_bin_s, b->last_bin_s);
		assert_close("a Z-score", (long double)a->max_zscore, b->max_zscore, seed);
	}
}

static void compare(struct trace *t, int64_t now_s, uint64_t seed, struct tally *tally)
{
	struct levee_time now = { .boot_ns = (uint64_t)now_s * LEVEE_NS_PER_S,
				  .unix_ns = (uint64_t)now_s * LEVEE_NS_PER_S };
	const struct levee_bin *running = now_s % t->bin_s ? t->bin : NULL;
	struct reference_result should;
	struct levee_evaluation is;

	levee_window_advance(t->window, now_s);
	assert_int_equal(levee_detector_zscore.evaluate(t->window, running, now_s, &t->params, &is),
			 0);
	reference_evaluate(&t->reference, now_s, t->params.min_zscore, t->params.min_packets,
			   &should);
	assert_int_equal(is.now_s, now_s);
	assert_int_equal(is.moments.n, should.n);
	assert_close("the average", (long double)is.mean, should.mean, seed);
	assert_close("the deviation", (long double)is.stddev, should.stddev, seed);
	assert_close("the threshold", (long double)is.threshold,
		     (long double)t->params.min_zscore * should.stddev + should.mean, seed);
	if (should.undecided)
		tally->skipped++;
	else
		compare_findings(&is, &should, seed);
	assert_int_equal(levee_blocks_judge(t->blocks, &is, &now, NULL, NULL), 0);
	assert_int_equal(levee_blocks_count(t->blocks), is.n_findings);
	tally->evaluations++;
	tally->flagging += is.n_findings != 0;
	tally->exact += should.decided_exactly != 0;
	levee_evaluation_clear(&is);
	reference_forget(&should);
}

static void close_bin(struct trace *t, int64_t start_s)
{
	struct levee_bin_record record;
	/* Kept with a lower minimum than the one that judges, sometimes: a changed setting. */
	uint64_t kept = below(&t->random, 4) ? t->params.min_packets : t->params.min_packets / 2;

	assert_int_equal(levee_bin_record_make(&record, t->bin, start_s, kept), 0);
	assert_int_equal(levee_window_push(t->window, &record), 0);
	levee_bin_reset(t->bin);
}

static void run_trace(uint64_t seed, struct tally *tally)
{
	struct trace t;
	int64_t start_s;

	set_up(&t, seed);
	start_s = (int64_t)(1700000000U - 1700000000U % t.bin_s);
	for (unsigned int bin = 0; bin < t.bins; bin++) {
		fill_bin(&t, bin, start_s);
		if (t.bin_s > 1 && below(&t.random, 4) == 0) {
			compare(&t, start_s + t.bin_s / 2, seed, tally);
			send_value(&t, 0, start_s + t.bin_s - 1, value_of(&t, t.kind, 0, bin));
		}
		close_bin(&t, start_s);
		start_s += t.bin_s;
		compare(&t, start_s, seed, tally);
		/* A gap, sometimes as long as the window. */
		if (below(&t.random, 12) == 0)
			start_s += (int64_t)(t.bin_s * below(&t.random, 4 + t.window_s / t.bin_s));
	}
	tear_down(&t);
	tally->traces++;
}

static void run_kind(enum kind kind)
{
	enum { TRACES = 700 };
	struct tally tally = { 0 };

	for (uint64_t i = 0; i < TRACES; i++)
		run_trace(i * KINDS + kind, &tally);
	print_message("# %s: seeds %d, %d, ... %d; %zu traces, %zu evaluations, %zu flagging, "
		      "%zu decided by integers, %zu skipped\n",
		      kind_names[kind], (int)kind, (int)kind + KINDS,
		      (TRACES - 1) * KINDS + (int)kind, tally.traces, tally.evaluations,
		      tally.flagging, tally.exact, tally.skipped);
	/* The reference must be able to tell, or the comparison is worth nothing. */
	assert_true(tally.skipped * 1000 <= tally.evaluations);
	assert_true(tally.evaluations >= TRACES);
}

static void heavy_tails_are_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_HEAVY_TAIL);
}

static void equal_values_are_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_EQUAL);
}

static void huge_counts_are_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_HUGE);
}

static void few_values_are_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_FEW);
}

static void attackers_that_mask_each_other_are_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_MASKING);
}

static void floods_are_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_FLOOD);
}

static void any_mixture_is_judged_as_the_reference_does(void **state)
{
	(void)state;
	run_kind(KIND_ANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heavy_tails_are_judged_as_the_reference_does),
		cmocka_unit_test(equal_values_are_judged_as_the_reference_does),
		cmocka_unit_test(huge_counts_are_judged_as_the_reference_does),
		cmocka_unit_test(few_values_are_judged_as_the_reference_does),
		cmocka_unit_test(attackers_that_mask_each_other_are_judged_as_the_reference_does),
		cmocka_unit_test(floods_are_judged_as_the_reference_does),
		cmocka_unit_test(any_mixture_is_judged_as_the_reference_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
