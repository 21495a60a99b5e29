/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Nearer to the threshold than this, the last bits of a long double have no say. */
#define DOUBTFUL 1e-12L

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

void reference_init(struct reference *reference, int64_t bin_s, int64_t window_s)
{
	*reference = (struct reference){ .bin_s = bin_s, .window_s = window_s };
}

void reference_clear(struct reference *reference)
{
	free(reference->values);
	memset(reference, 0, sizeof(*reference));
}

void reference_count(struct reference *reference, uint8_t family, uint64_t hi, uint64_t lo,
		     int64_t time_s, uint64_t packets)
{
	struct reference_value *value;

	if (!packets)
		return;
	if (reference->n == reference->capacity) {
		reference->capacity = reference->capacity ? reference->capacity * 2 : 256;
		reference->values = must(realloc(reference->values,
						 reference->capacity * sizeof(*reference->values)));
	}
	value = &reference->values[reference->n++];
	value->family = family;
	value->hi = hi;
	value->lo = lo;
	value->bin_s = time_s / reference->bin_s * reference->bin_s;
	value->packets = packets;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_sources(const struct reference_value *a, const struct reference_value *b)
{
	if (a->family != b->family)
		return compare_numbers(a->family, b->family);
	if (a->hi != b->hi)
		return compare_numbers(a->hi, b->hi);
	return compare_numbers(a->lo, b->lo);
}

static int by_source_and_bin(const void *a, const void *b)
{
	const struct reference_value *left = a, *right = b;
	int order = compare_sources(left, right);

	if (order)
		return order;
	return left->bin_s < right->bin_s ? -1 : left->bin_s > right->bin_s;
}

/* The values of the window, parts of one value added up, by source and bin. */
static struct reference_value *select_values(const struct reference *reference, int64_t now_s,
					     size_t *n)
{
	struct reference_value *all = must(calloc(reference->n + 1, sizeof(*all)));
	int64_t begin_s = now_s - (reference->window_s + now_s % reference->bin_s);
	size_t selected = 0, sums = 0;

	for (size_t i = 0; i < reference->n; i++)
		if (reference->values[i].bin_s >= begin_s && reference->values[i].bin_s <= now_s)
			all[selected++] = reference->values[i];
	qsort(all, selected, sizeof(*all), by_source_and_bin);
	for (size_t i = 0; i < selected; i++) {
		if (sums && !by_source_and_bin(&all[sums - 1], &all[i]))
			all[sums - 1].packets += all[i].packets;
		else
			all[sums++] = all[i];
	}
	*n = sums;
	return all;
}

/* How far x is from a value of the sample: small where values are large and alike. */
static long double distance(uint64_t x, uint64_t from)
{
	return x < from ? -(long double)(from - x) : (long double)(x - from);
}

struct sample {
	const struct reference_value *values;
	size_t n;
	uint64_t origin;    /* first value; the others are taken relative to it */
	long double offset; /* of the average from the origin */
	long double stddev;
};

/* Two passes: the average, then the mean square of the distances from it. */
static void describe(struct sample *sample)
{
	long double sum = 0, squares = 0, d;

	if (!sample->n)
		return;
	sample->origin = sample->values[0].packets;
	for (size_t i = 0; i < sample->n; i++)
		sum += distance(sample->values[i].packets, sample->origin);
	sample->offset = sum / (long double)sample->n;
	for (size_t i = 0; i < sample->n; i++) {
		d = distance(sample->values[i].packets, sample->origin) - sample->offset;
		squares += d * d;
	}
	sample->stddev = sqrtl(squares / (long double)sample->n);
}

static long double score(const struct sample *sample, uint64_t x)
{
	return (distance(x, sample->origin) - sample->offset) / sample->stddev;
}

/*
 * (n x - S)^2 > z^2 (n Q - S^2), sums relative to the origin, for whole z and where it fits.
 * \return 1 or 0; -1 if it does not fit
 */
static int decide_exactly(const struct sample *sample, uint64_t x, double min_zscore)
{
	__int128 n = (__int128)sample->n, sum = 0, squares = 0, z = (__int128)min_zscore, d, left;
	uint64_t widest = 0;

	for (size_t i = 0; i < sample->n; i++) {
		d = (__int128)sample->values[i].packets - (__int128)sample->origin;
		sum += d;
		squares += d * d;
		if (widest < (uint64_t)(d < 0 ? -d : d))
			widest = (uint64_t)(d < 0 ? -d : d);
	}
	if ((double)z != min_zscore || (long double)widest * (long double)n * min_zscore > 0x1p60L)
		return -1;
	left = n * ((__int128)x - (__int128)sample->origin) - sum;
	return left > 0 && left * left > z * z * (n * squares - sum * sum);
}

static bool is_anomalous(const struct sample *sample, uint64_t x, double min_zscore,
			 uint64_t min_packets, struct reference_result *result)
{
	long double z;
	int exactly;

	if (sample->stddev == 0 || x <= min_packets)
		return false;
	z = score(sample, x);
	if (fabsl(z - (long double)min_zscore) > DOUBTFUL)
		return z > (long double)min_zscore;
	exactly = decide_exactly(sample, x, min_zscore);
	if (exactly < 0) {
		result->undecided++;
		return z > (long double)min_zscore;
	}
	result->decided_exactly++;
	return exactly;
}

/* Values of one source, from first to end. */
static void judge_source(const struct sample *sample, size_t first, size_t end, double min_zscore,
			 uint64_t min_packets, struct reference_result *result)
{
	struct reference_finding *finding = &result->findings[result->n_findings];
	bool flagged = false;

	for (size_t i = first; i < end; i++) {
		const struct reference_value *value = &sample->values[i];

		if (!is_anomalous(sample, value->packets, min_zscore, min_packets, result))
			continue;
		if (!flagged || value->packets > finding->max_packets) {
			finding->max_packets = value->packets;
			finding->max_zscore = score(sample, value->packets);
		}
		finding->family = value->family;
		finding->hi = value->hi;
		finding->lo = value->lo;
		finding->last_bin_s = value->bin_s;
		flagged = true;
	}
	result->n_findings += flagged;
}

/* By Z-score, for which packets stand: they do not round. Then by source. */
static int by_rank(const void *a, const void *b)
{
	const struct reference_finding *left = a, *right = b;

	if (left->max_packets != right->max_packets)
		return compare_numbers(right->max_packets, left->max_packets);
	if (left->family != right->family)
		return compare_numbers(left->family, right->family);
	if (left->hi != right->hi)
		return compare_numbers(left->hi, right->hi);
	return compare_numbers(left->lo, right->lo);
}

void reference_evaluate(const struct reference *reference, int64_t now_s, double min_zscore,
			uint64_t min_packets, struct reference_result *result)
{
	struct sample sample = { 0 };
	struct reference_value *values = select_values(reference, now_s, &sample.n);
	size_t first = 0;

	memset(result, 0, sizeof(*result));
	sample.values = values;
	describe(&sample);
	result->n = sample.n;
	result->mean = (long double)sample.origin + sample.offset;
	result->stddev = sample.stddev;
	result->findings = must(calloc(sample.n + 1, sizeof(*result->findings)));
	for (size_t i = 1; i <= sample.n; i++) {
		if (i < sample.n && !compare_sources(&values[first], &values[i]))
			continue;
		judge_source(&sample, first, i, min_zscore, min_packets, result);
		first = i;
	}
	qsort(result->findings, result->n_findings, sizeof(*result->findings), by_rank);
	free(values);
}

void reference_forget(struct reference_result *result)
{
	free(result->findings);
	memset(result, 0, sizeof(*result));
}
