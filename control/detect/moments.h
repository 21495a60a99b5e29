/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exact moments of packet counts, and the Z-score decided without rounding.
 *
 * A set of values is kept as n, their sum and the sum of their squares, all integers, so sets
 * merge by addition and nothing is lost to cancellation:
 *
 *	mean = S1 / n          stddev = sqrt(n * S2 - S1^2) / n          (population)
 *	z(x) = (x - mean) / stddev = (n * x - S1) / sqrt(n * S2 - S1^2)
 *
 * n * S2 - S1^2 is computed in 256 bits. It is 0 if and only if all values are equal.
 */
#ifndef LEVEE_MOMENTS_H
#define LEVEE_MOMENTS_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 levee_u128;

/* Largest value that is accepted: 2^48 packets in one bin. */
#define LEVEE_VALUE_MAX (1ULL << 48)

struct levee_moments {
	uint64_t n;	/* values */
	levee_u128 sum; /* of the values [packets] */
	levee_u128 sq;	/* of their squares [packets^2] */
};

/** Add one value. \return 0; -ERANGE, unchanged, if it is above the limit or a sum would wrap */
int levee_moments_add(struct levee_moments *m, uint64_t value);

/** m += other. \return 0; -ERANGE if a sum would wrap: unchanged */
int levee_moments_merge(struct levee_moments *m, const struct levee_moments *other);

/** Can any values have these moments? For what comes from a file or out of the data path. */
bool levee_moments_possible(const struct levee_moments *m);

/** Average [packets]; 0 if n is 0. */
double levee_moments_mean(const struct levee_moments *m);

/** Population standard deviation [packets]; exactly 0 if all values are equal or n is 0. */
double levee_moments_stddev(const struct levee_moments *m);

/** Z-score of x [standard deviations]; 0 if the deviation is 0. Rounded once, at the end. */
double levee_moments_zscore(const struct levee_moments *m, uint64_t x);

/**
 * z(x) > min_zscore, strictly, decided in integers: a value that stands exactly at the threshold
 * is not above it. False if the deviation is 0.
 * \param min_zscore  0 to 1000, else the nearer of the two; taken to 6 decimal places
 */
bool levee_moments_above(const struct levee_moments *m, uint64_t x, double min_zscore);

/* Above what any bin can hold, a bin of two parts included. */
#define LEVEE_VALUE_END (4 * LEVEE_VALUE_MAX)

/**
 * z grows with x, so there is one number from which on values are anomalous: the least x > minimum
 * with levee_moments_above(). Found by exact decisions, it makes one comparison of all the others.
 * \return that x; LEVEE_VALUE_END if there is none below it
 */
uint64_t levee_moments_floor(const struct levee_moments *m, uint64_t minimum, double min_zscore);

/**
 * max(minimum, mean + min_zscore * stddev), as an integer: what is above it is too much, what is at
 * it is not. Unlike the floor it always is a number: where all values are equal, or where there are
 * none, the formula's deviation is 0. For judging values that are not among those of the moments.
 */
uint64_t levee_moments_threshold(const struct levee_moments *m, uint64_t minimum,
				 double min_zscore);

#endif
