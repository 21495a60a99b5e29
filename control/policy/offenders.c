/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/offenders.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "dataplane/prefixmap.h"

struct levee_offenders {
	struct levee_offender *list; /* in no order */
	size_t n;
	size_t capacity;
	size_t max;
	struct levee_prefixmap places; /* prefix -> position in list */
};

struct levee_offenders *levee_offenders_new(size_t max)
{
	struct levee_offenders *offenders = calloc(1, sizeof(*offenders));

	if (offenders)
		offenders->max = max;
	return offenders;
}

void levee_offenders_free(struct levee_offenders **offenders)
{
	if (!*offenders)
		return;
	levee_prefixmap_clear(&(*offenders)->places);
	free((*offenders)->list);
	free(*offenders);
	*offenders = NULL;
}

static void take_out(struct levee_offenders *offenders, size_t place)
{
	struct levee_offender *list = offenders->list;

	levee_prefixmap_remove(&offenders->places, &list[place].prefix);
	if (place == --offenders->n)
		return;
	list[place] = list[offenders->n];
	*levee_prefixmap_get(&offenders->places, &list[place].prefix) = (uint32_t)place;
}

static void drop_before(struct levee_offenders *offenders, int64_t end_boot_ns)
{
	for (size_t i = offenders->n; i-- > 0;)
		if (offenders->list[i].end_boot_ns < end_boot_ns)
			take_out(offenders, i);
}

static int by_time(const void *a, const void *b)
{
	const int64_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* A quarter at once, so that the sorting is paid for by as many additions. */
static int drop_oldest(struct levee_offenders *offenders)
{
	size_t n = offenders->n, quarter = n / 4;
	int64_t *ends = calloc(n + 1, sizeof(*ends)), bound;

	if (!ends)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ends[i] = offenders->list[i].end_boot_ns;
	qsort(ends, n, sizeof(*ends), by_time);
	bound = ends[quarter];
	free(ends);
	drop_before(offenders, bound);
	/* Many that ended at the same instant: as many of them as are wanted. */
	for (size_t i = offenders->n; i-- > 0 && offenders->n > n - quarter;)
		if (offenders->list[i].end_boot_ns == bound)
			take_out(offenders, i);
	return 0;
}

static int make_room(struct levee_offenders *offenders)
{
	size_t capacity = offenders->capacity ? 2 * offenders->capacity : 64;
	void *more;

	if (offenders->n >= offenders->max)
		return drop_oldest(offenders);
	if (offenders->n < offenders->capacity)
		return 0;
	if (capacity > offenders->max)
		capacity = offenders->max;
	more = reallocarray(offenders->list, capacity, sizeof(*offenders->list));
	if (!more)
		return -ENOMEM;
	offenders->list = more;
	offenders->capacity = capacity;
	return 0;
}

uint32_t levee_offenders_recall(const struct levee_offenders *offenders,
				const struct levee_prefix *prefix, uint64_t now_boot_ns,
				uint64_t memory_ns)
{
	const uint32_t *place = levee_prefixmap_get(&offenders->places, prefix);
	const struct levee_offender *offender = place ? &offenders->list[*place] : NULL;

	if (!offender || (__int128)offender->end_boot_ns + memory_ns < now_boot_ns)
		return 0;
	return offender->blocks;
}

int levee_offenders_note(struct levee_offenders *offenders, const struct levee_offender *offender)
{
	const uint32_t *place = levee_prefixmap_get(&offenders->places, &offender->prefix);
	int ret;

	if (place) {
		offenders->list[*place] = *offender;
		return 0;
	}
	ret = make_room(offenders);
	if (!ret)
		ret = levee_prefixmap_set(&offenders->places, &offender->prefix,
					  (uint32_t)offenders->n);
	if (!ret)
		offenders->list[offenders->n++] = *offender;
	return ret;
}

void levee_offenders_forget(struct levee_offenders *offenders, const struct levee_prefix *prefix)
{
	const uint32_t *place = levee_prefixmap_get(&offenders->places, prefix);

	if (place)
		take_out(offenders, *place);
}

void levee_offenders_prune(struct levee_offenders *offenders, uint64_t now_boot_ns,
			   uint64_t memory_ns)
{
	__int128 bound = (__int128)now_boot_ns - memory_ns;

	if (bound >= INT64_MIN && bound <= INT64_MAX)
		drop_before(offenders, (int64_t)bound);
}

size_t levee_offenders_count(const struct levee_offenders *offenders)
{
	return offenders->n;
}

void levee_offenders_walk(const struct levee_offenders *offenders,
			  void (*fn)(void *ctx, const struct levee_offender *offender), void *ctx)
{
	for (size_t i = 0; i < offenders->n; i++)
		fn(ctx, &offenders->list[i]);
}
