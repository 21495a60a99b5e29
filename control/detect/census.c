/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/census.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/detect/sourcetable.h"

/* How many sources were last seen in the bin that starts at bin_s. */
struct tally {
	int64_t bin_s;
	size_t n;
};

struct levee_census {
	struct levee_sourcetable table; /* extra: start of the last bin; word's count is not used */
	struct tally *tallies;		/* by bin_s; earlier bins are forgotten */
	size_t n;
	size_t capacity;
	size_t sum; /* of the tallies: sources not forgotten */
};

/* Forgotten sources stay in the table until they are the greater part of at least so many. */
#define SWEEP_FROM 4096U

struct levee_census *levee_census_new(void)
{
	struct levee_census *census = calloc(1, sizeof(*census));

	if (census && levee_sourcetable_init(&census->table)) {
		free(census);
		census = NULL;
	}
	return census;
}

void levee_census_free(struct levee_census **census)
{
	if (!*census)
		return;
	levee_sourcetable_clear(&(*census)->table);
	free((*census)->tallies);
	free(*census);
	*census = NULL;
}

/* First tally at bin_s or later. Nearly every look-up is for the last one. */
static size_t position(const struct levee_census *census, int64_t bin_s)
{
	size_t i = census->n;

	while (i && census->tallies[i - 1].bin_s >= bin_s)
		i--;
	return i;
}

static struct tally *tally_of(struct levee_census *census, int64_t bin_s)
{
	size_t i = position(census, bin_s);

	return i < census->n && census->tallies[i].bin_s == bin_s ? &census->tallies[i] : NULL;
}

static int open_tally(struct levee_census *census, int64_t bin_s)
{
	size_t capacity = census->capacity ? 2 * census->capacity : 64, i;
	void *more;

	if (tally_of(census, bin_s))
		return 0;
	if (census->n == census->capacity) {
		more = realloc(census->tallies, capacity * sizeof(*census->tallies));
		if (!more)
			return -ENOMEM;
		census->tallies = more;
		census->capacity = capacity;
	}
	i = position(census, bin_s);
	memmove(&census->tallies[i + 1], &census->tallies[i],
		(census->n - i) * sizeof(*census->tallies));
	census->tallies[i] = (struct tally){ .bin_s = bin_s };
	census->n++;
	return 0;
}

static void move_to(struct levee_census *census, struct levee_source *source, int64_t bin_s)
{
	struct tally *before = tally_of(census, (int64_t)source->extra);

	/* No tally: it was forgotten, and comes anew. */
	if (before) {
		before->n--;
		census->sum--;
	}
	source->extra = (uint64_t)bin_s;
	tally_of(census, bin_s)->n++;
	census->sum++;
}

int levee_census_see(struct levee_census *census, const struct levee_prefix *prefix, int64_t bin_s)
{
	uint32_t hash = levee_sourcetable_hash(&census->table, prefix);
	struct levee_source *source = levee_sourcetable_find(&census->table, prefix, hash);

	if (source && (int64_t)source->extra >= bin_s)
		return 0;
	if (open_tally(census, bin_s))
		return -ENOMEM;
	if (source) {
		move_to(census, source, bin_s);
		return 0;
	}
	if (levee_sourcetable_reserve(&census->table, 1))
		return -ENOMEM;
	source = levee_sourcetable_insert(&census->table, prefix, hash);
	source->extra = (uint64_t)bin_s;
	tally_of(census, bin_s)->n++;
	census->sum++;
	return 0;
}

static bool keep_late(void *ctx, const struct levee_source *source)
{
	const int64_t *begin_s = ctx;

	return (int64_t)source->extra >= *begin_s;
}

size_t levee_census_count(struct levee_census *census, int64_t begin_s)
{
	size_t gone = position(census, begin_s);

	for (size_t i = 0; i < gone; i++)
		census->sum -= census->tallies[i].n;
	if (gone) {
		census->n -= gone;
		memmove(census->tallies, &census->tallies[gone],
			census->n * sizeof(*census->tallies));
	}
	if (census->table.n > SWEEP_FROM && census->sum < census->table.n / 2)
		levee_sourcetable_keep(&census->table, keep_late, &begin_s);
	return census->sum;
}
