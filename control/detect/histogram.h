/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the values of a bin are distributed, in little room and mergeable: for the median and the
 * median absolute deviation, which no sums can give.
 *
 * Buckets are log-linear: values below 256 have one each, above that every power of two is cut
 * into 128 of equal width. A bucket stands for its middle, so a value is off by at most 1/256 of
 * itself (0.4 %). Sets merge by adding counts, exactly.
 *
 *	value    0 1 2 ... 255 | 256..257 258..259 ... | 512..515 ... | ... 2^48
 *	bucket   0 1 2 ... 255 |   256      257    ... |   384    ... | ... 5376
 */
#ifndef LEVEE_HISTOGRAM_H
#define LEVEE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEVEE_BUCKET_BITS  7 /* log2 of the buckets a power of two */
#define LEVEE_BUCKETS	   ((48 - LEVEE_BUCKET_BITS + 1) << LEVEE_BUCKET_BITS | 1)
#define LEVEE_BUCKET_ERROR (1.0 / (2 << LEVEE_BUCKET_BITS)) /* of a value, relative */

/** Bucket of a value from 0 to 2^48, the largest there is; more is taken as that. */
uint32_t levee_bucket_find(uint64_t value);

/** What a bucket stands for: its middle, a half more than a whole number as it may be. */
double levee_bucket_value(uint32_t bucket);

struct levee_histogram_cell {
	uint32_t bucket;
	uint64_t count; /* 1 at least */
};

/** Of one bin: the buckets that are in use. All zero is empty. */
struct levee_histogram {
	size_t n;
	struct levee_histogram_cell *cells; /* owned, by bucket */
};

void levee_histogram_clear(struct levee_histogram *histogram);

/** into += more. \return 0; -ENOMEM or -ERANGE, unchanged */
int levee_histogram_merge(struct levee_histogram *into, const struct levee_histogram *more);

/** Room to count in: one counter a bucket, 43 KB. All zero is empty. */
struct levee_buckets {
	uint64_t n; /* all counts */
	uint64_t count[LEVEE_BUCKETS];
};

/** Count a value so many times. */
void levee_buckets_add(struct levee_buckets *buckets, uint64_t value, uint64_t times);

/** Add a histogram. */
void levee_buckets_take(struct levee_buckets *buckets, const struct levee_histogram *histogram);

/** Keep what is in use. \return 0; -ENOMEM */
int levee_buckets_pack(const struct levee_buckets *buckets, struct levee_histogram *out);

/** The middle value, or the mean of the two in the middle; 0 if there is none. */
double levee_buckets_median(const struct levee_buckets *buckets);

/** The median distance from `centre`; 0 if there is no value. \return 0; -ENOMEM */
int levee_buckets_deviation(const struct levee_buckets *buckets, double centre, double *out);

/**
 * A histogram as bytes, for a file: cells as pairs of variable-length numbers, 7 bits a byte, the
 * lowest first: distance to the bucket before, and count.
 * \return the bytes, the caller frees them, and their number; NULL if memory is short
 */
uint8_t *levee_histogram_write(const struct levee_histogram *histogram, size_t *size);

/** \return 0 and *out filled; -EINVAL if no write() made these bytes; -ENOMEM */
int levee_histogram_read(struct levee_histogram *out, const uint8_t *bytes, size_t size);

#endif
