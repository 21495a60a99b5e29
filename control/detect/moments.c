/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/moments.h"

#include <errno.h>
#include <math.h>

/*
 * Integers of 320 bits, least significant word first. Nothing below can overflow them:
 *
 *	n < 2^64, S2 < 2^128             n * S2            < 2^192
 *	S1 < 2^128                       S1^2              < 2^256
 *	n * x < 2^128                    (n * x - S1)^2    < 2^256
 *	10^12 < 2^40                     that * 10^12      < 2^296
 *	zq <= 10^9, zq^2 < 2^60          zq^2 * n * S2     < 2^252
 */
#define WORDS 5

struct wide {
	uint64_t word[WORDS];
};

/* min_zscore is compared in millionths. */
#define Z_UNIT 1000000ULL
#define Z_MOST 1000.0

static struct wide wide_scale(struct wide a, uint64_t by)
{
	levee_u128 carry = 0;

	for (int i = 0; i < WORDS; i++) {
		carry += (levee_u128)a.word[i] * by;
		a.word[i] = (uint64_t)carry;
		carry >>= 64;
	}
	return a;
}

static struct wide wide_add_shifted(struct wide a, const struct wide *b, int words)
{
	levee_u128 carry = 0;

	for (int i = words; i < WORDS; i++) {
		carry += (levee_u128)a.word[i] + b->word[i - words];
		a.word[i] = (uint64_t)carry;
		carry >>= 64;
	}
	return a;
}

static struct wide wide_product(levee_u128 a, levee_u128 b)
{
	struct wide whole = { { (uint64_t)a, (uint64_t)(a >> 64) } };
	struct wide upper = wide_scale(whole, (uint64_t)(b >> 64));

	return wide_add_shifted(wide_scale(whole, (uint64_t)b), &upper, 1);
}

static int wide_compare(const struct wide *a, const struct wide *b)
{
	for (int i = WORDS - 1; i >= 0; i--)
		if (a->word[i] != b->word[i])
			return a->word[i] < b->word[i] ? -1 : 1;
	return 0;
}

/* a - b; a >= b. */
static struct wide wide_subtract(struct wide a, const struct wide *b)
{
	uint64_t borrow = 0;

	for (int i = 0; i < WORDS; i++) {
		levee_u128 take = (levee_u128)b->word[i] + borrow;

		borrow = a.word[i] < take;
		a.word[i] -= (uint64_t)take;
	}
	return a;
}

static bool wide_is_zero(const struct wide *a)
{
	uint64_t any = 0;

	for (int i = 0; i < WORDS; i++)
		any |= a->word[i];
	return !any;
}

static long double wide_to_real(const struct wide *a)
{
	long double real = 0;

	for (int i = WORDS - 1; i >= 0; i--)
		real = real * 0x1p64L + (long double)a->word[i];
	return real;
}

/*
 * n * S2 - S1^2, which is never negative for moments of real values (Cauchy and Schwarz). Moments
 * that no values can have, from a damaged file, count as having no deviation: nothing is flagged.
 */
static struct wide spread(const struct levee_moments *m)
{
	struct wide squares = wide_product(m->sq, m->n);
	struct wide square = wide_product(m->sum, m->sum);

	if (wide_compare(&squares, &square) < 0)
		return (struct wide){ { 0 } };
	return wide_subtract(squares, &square);
}

int levee_moments_add(struct levee_moments *m, uint64_t value)
{
	struct levee_moments one = { .n = 1, .sum = value, .sq = (levee_u128)value * value };

	if (value > LEVEE_VALUE_MAX)
		return -ERANGE;
	return levee_moments_merge(m, &one);
}

int levee_moments_merge(struct levee_moments *m, const struct levee_moments *other)
{
	struct levee_moments both;

	if (__builtin_add_overflow(m->n, other->n, &both.n) ||
	    __builtin_add_overflow(m->sum, other->sum, &both.sum) ||
	    __builtin_add_overflow(m->sq, other->sq, &both.sq))
		return -ERANGE;
	*m = both;
	return 0;
}

bool levee_moments_possible(const struct levee_moments *m)
{
	struct wide squares = wide_product(m->sq, m->n);
	struct wide square = wide_product(m->sum, m->sum);

	return m->n ? wide_compare(&squares, &square) >= 0 : !m->sum && !m->sq;
}

double levee_moments_mean(const struct levee_moments *m)
{
	return m->n ? (double)((long double)m->sum / (long double)m->n) : 0.0;
}

double levee_moments_stddev(const struct levee_moments *m)
{
	struct wide d = spread(m);

	return m->n ? (double)(sqrtl(wide_to_real(&d)) / (long double)m->n) : 0.0;
}

double levee_moments_zscore(const struct levee_moments *m, uint64_t x)
{
	levee_u128 scaled = (levee_u128)m->n * x;
	struct wide d = spread(m);
	bool below = scaled < m->sum;
	long double distance = (long double)(below ? m->sum - scaled : scaled - m->sum);

	if (wide_is_zero(&d))
		return 0.0;
	distance /= sqrtl(wide_to_real(&d));
	return (double)(below ? -distance : distance);
}

bool levee_moments_above(const struct levee_moments *m, uint64_t x, double min_zscore)
{
	levee_u128 scaled = (levee_u128)m->n * x;
	struct wide d = spread(m), left, right;
	uint64_t zq;

	if (scaled <= m->sum || wide_is_zero(&d) || isnan(min_zscore))
		return false;
	zq = (uint64_t)llround(fmin(fmax(min_zscore, 0.0), Z_MOST) * (double)Z_UNIT);
	left = wide_scale(wide_product(scaled - m->sum, scaled - m->sum), Z_UNIT * Z_UNIT);
	right = wide_scale(d, zq * zq);
	return wide_compare(&left, &right) > 0;
}

uint64_t levee_moments_floor(const struct levee_moments *m, uint64_t minimum, double min_zscore)
{
	uint64_t low = minimum, high = LEVEE_VALUE_END;

	/* Not anomalous at low; anomalous at high, or high is the end. */
	while (low < high && high - low > 1) {
		uint64_t middle = low + (high - low) / 2;

		if (levee_moments_above(m, middle, min_zscore))
			high = middle;
		else
			low = middle;
	}
	return high;
}

uint64_t levee_moments_threshold(const struct levee_moments *m, uint64_t minimum, double min_zscore)
{
	uint64_t floor = levee_moments_floor(m, minimum, min_zscore);
	levee_u128 mean = m->n ? m->sum / m->n : 0;

	if (floor < LEVEE_VALUE_END)
		return floor - 1;
	return mean > minimum ? (uint64_t)mean : minimum;
}
