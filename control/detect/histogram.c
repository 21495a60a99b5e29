/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/histogram.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUB	  (1U << LEVEE_BUCKET_BITS) /* buckets of one power of two */
#define VALUE_TOP (1ULL << 48)
#define VARINT	  10 /* most bytes of a number */

/*
 * Above 2 * SUB the lowest `shift` bits of a value are left out, so that SUB to 2 * SUB - 1 are
 * left; each shift has SUB buckets, one after the other.
 */
uint32_t levee_bucket_find(uint64_t value)
{
	unsigned int shift;

	if (value >= VALUE_TOP)
		return LEVEE_BUCKETS - 1;
	if (value < 2ULL * SUB)
		return (uint32_t)value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - LEVEE_BUCKET_BITS;
	return shift * SUB + (uint32_t)(value >> shift);
}

double levee_bucket_value(uint32_t bucket)
{
	unsigned int shift;
	uint64_t first;

	if (bucket < 2 * SUB)
		return bucket;
	shift = bucket / SUB - 1;
	first = (uint64_t)(bucket % SUB + SUB) << shift;
	if (first >= VALUE_TOP)
		return (double)VALUE_TOP;
	return (double)first + ((double)(1ULL << shift) - 1) / 2;
}

void levee_histogram_clear(struct levee_histogram *histogram)
{
	free(histogram->cells);
	*histogram = (struct levee_histogram){ 0 };
}

int levee_histogram_merge(struct levee_histogram *into, const struct levee_histogram *more)
{
	struct levee_histogram_cell *cells;
	size_t i = 0, j = 0, n = 0;

	if (!more->n)
		return 0;
	cells = calloc(into->n + more->n, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	while (i < into->n || j < more->n) {
		struct levee_histogram_cell *cell = &cells[n++];

		if (j == more->n || (i < into->n && into->cells[i].bucket < more->cells[j].bucket))
			*cell = into->cells[i++];
		else if (i == into->n || more->cells[j].bucket < into->cells[i].bucket)
			*cell = more->cells[j++];
		else {
			*cell = into->cells[i++];
			if (__builtin_add_overflow(cell->count, more->cells[j++].count,
						   &cell->count)) {
				free(cells);
				return -ERANGE;
			}
		}
	}
	free(into->cells);
	into->cells = cells;
	into->n = n;
	return 0;
}

void levee_buckets_add(struct levee_buckets *buckets, uint64_t value, uint64_t times)
{
	buckets->count[levee_bucket_find(value)] += times;
	buckets->n += times;
}

void levee_buckets_take(struct levee_buckets *buckets, const struct levee_histogram *histogram)
{
	for (size_t i = 0; i < histogram->n; i++) {
		buckets->count[histogram->cells[i].bucket] += histogram->cells[i].count;
		buckets->n += histogram->cells[i].count;
	}
}

int levee_buckets_pack(const struct levee_buckets *buckets, struct levee_histogram *out)
{
	size_t n = 0;

	*out = (struct levee_histogram){ 0 };
	for (uint32_t i = 0; i < LEVEE_BUCKETS; i++)
		n += buckets->count[i] != 0;
	if (!n)
		return 0;
	out->cells = calloc(n, sizeof(*out->cells));
	if (!out->cells)
		return -ENOMEM;
	for (uint32_t i = 0; i < LEVEE_BUCKETS; i++)
		if (buckets->count[i])
			out->cells[out->n++] = (struct levee_histogram_cell){ i,
									      buckets->count[i] };
	return 0;
}

/* ---- medians ------------------------------------------------------------------------------- */

/** A value that stands for `count` of them. */
struct weight {
	double value;
	uint64_t count;
};

/* The middle of n values, which come in order; of an even number the mean of the two there. */
static double middle(const struct weight *w, uint64_t n)
{
	uint64_t low = (n - 1) / 2, high = n / 2, before = 0;
	double first;

	while (before + w->count <= low)
		before += (w++)->count;
	first = w->value;
	while (before + w->count <= high)
		before += (w++)->count;
	return (first + w->value) / 2;
}

static int by_value(const void *a, const void *b)
{
	const struct weight *left = a, *right = b;

	return (left->value > right->value) - (left->value < right->value);
}

/* Every bucket in use, in order. \param w  room for LEVEE_BUCKETS. \return how many */
static size_t list_weights(const struct levee_buckets *buckets, struct weight *w)
{
	size_t n = 0;

	for (uint32_t i = 0; i < LEVEE_BUCKETS; i++)
		if (buckets->count[i])
			w[n++] = (struct weight){ levee_bucket_value(i), buckets->count[i] };
	return n;
}

double levee_buckets_median(const struct levee_buckets *buckets)
{
	struct weight w[LEVEE_BUCKETS];

	if (!buckets->n)
		return 0;
	list_weights(buckets, w);
	return middle(w, buckets->n);
}

int levee_buckets_deviation(const struct levee_buckets *buckets, double centre, double *out)
{
	struct weight *w = calloc(LEVEE_BUCKETS, sizeof(*w));
	size_t n;

	*out = 0;
	if (!w)
		return -ENOMEM;
	n = list_weights(buckets, w);
	for (size_t i = 0; i < n; i++)
		w[i].value = fabs(w[i].value - centre);
	qsort(w, n, sizeof(*w), by_value);
	if (buckets->n)
		*out = middle(w, buckets->n);
	free(w);
	return 0;
}

/* ---- as bytes ------------------------------------------------------------------------------ */

static size_t put_number(uint8_t *at, uint64_t value)
{
	size_t n = 0;

	for (; value >= 0x80; value >>= 7)
		at[n++] = (uint8_t)(value | 0x80);
	at[n++] = (uint8_t)value;
	return n;
}

/* \return bytes read; 0 if there is no number, or one above 64 bits */
static size_t get_number(const uint8_t *at, size_t size, uint64_t *value)
{
	*value = 0;
	for (size_t n = 0; n < size && n < VARINT; n++) {
		uint64_t part = at[n] & 0x7f;

		if (n == VARINT - 1 && part > 1)
			return 0;
		*value |= part << (7 * n);
		if (!(at[n] & 0x80))
			return n + 1;
	}
	return 0;
}

uint8_t *levee_histogram_write(const struct levee_histogram *histogram, size_t *size)
{
	uint8_t *bytes = malloc(histogram->n * 2 * VARINT + 1);
	uint32_t before = 0;

	*size = 0;
	for (size_t i = 0; bytes && i < histogram->n; i++) {
		const struct levee_histogram_cell *cell = &histogram->cells[i];

		*size += put_number(bytes + *size, cell->bucket - before);
		*size += put_number(bytes + *size, cell->count);
		before = cell->bucket;
	}
	return bytes;
}

/* \return bytes read; 0 if there is no cell that may come after *cell. `first`: there was none */
static size_t read_cell(struct levee_histogram_cell *cell, bool first, const uint8_t *at,
			size_t size)
{
	uint64_t distance, count;
	size_t n = get_number(at, size, &distance), m;

	if (!n || (!distance && !first) || distance >= LEVEE_BUCKETS ||
	    cell->bucket + distance >= LEVEE_BUCKETS)
		return 0;
	m = get_number(at + n, size - n, &count);
	if (!m || !count)
		return 0;
	*cell = (struct levee_histogram_cell){ cell->bucket + (uint32_t)distance, count };
	return n + m;
}

int levee_histogram_read(struct levee_histogram *out, const uint8_t *bytes, size_t size)
{
	struct levee_histogram_cell cell = { 0 };
	uint64_t sum = 0;

	*out = (struct levee_histogram){ 0 };
	if (!size)
		return 0;
	/* Two bytes a cell at least, and no more cells than there are buckets. */
	out->cells = calloc(size / 2 < LEVEE_BUCKETS ? size / 2 + 1 : LEVEE_BUCKETS,
			    sizeof(*out->cells));
	if (!out->cells)
		return -ENOMEM;
	for (size_t at = 0, n; at < size; at += n) {
		n = read_cell(&cell, !out->n, bytes + at, size - at);
		if (!n || __builtin_add_overflow(sum, cell.count, &sum)) {
			levee_histogram_clear(out);
			return -EINVAL;
		}
		out->cells[out->n++] = cell;
	}
	return 0;
}
