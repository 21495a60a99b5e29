/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/offline/offline_internal.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_BITS 12
#define MOST_BITS  31

/* Without the family: 0.0.0.1 and 0:0:0:1::/64 are one number, but hardly ever seen together. */
static uint64_t hash_of(const struct levee_sources *s, const struct levee_source *v)
{
	return levee_hash6(&s->key, v->hi, v->lo);
}

static struct levee_sources_cell *find(const struct levee_sources *s, const struct levee_source *v,
				       uint64_t hash)
{
	uint32_t mask = (1U << s->bits) - 1;

	for (uint32_t i = levee_bucket_of(hash, s->bits);; i = (i + 1) & mask) {
		struct levee_sources_cell *cell = &s->cells[i];
		const struct levee_source *have;

		if (cell->round != s->round)
			return cell;
		have = &s->list[cell->at];
		if (have->lo == v->lo && have->hi == v->hi && have->family == v->family)
			return cell;
	}
}

static int grow(struct levee_sources *s)
{
	uint32_t bits = s->bits ? s->bits + 1 : FIRST_BITS;
	struct levee_sources_cell *cells;
	struct levee_source *list;

	if (bits > MOST_BITS)
		return -ENOMEM;
	list = realloc(s->list, sizeof(*list) << (bits - 1));
	if (!list)
		return -ENOMEM;
	s->list = list;
	cells = calloc((size_t)1 << bits, sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	free(s->cells);
	s->cells = cells;
	s->bits = bits;
	s->room = 1U << (bits - 1);
	s->round = 1;
	for (uint32_t i = 0; i < s->n; i++)
		*find(s, &list[i], hash_of(s, &list[i])) = (struct levee_sources_cell){ .round = 1,
											.at = i };
	return 0;
}

int levee_sources_init(struct levee_sources *s, const struct levee_hash_key *key)
{
	*s = (struct levee_sources){ .key = *key };
	return grow(s);
}

static void settle(struct levee_sources *s, const struct levee_sources_waiting *w)
{
	const struct levee_source *v = &w->value;
	struct levee_sources_cell *cell;

	if (!v->counts.packets)
		return;
	cell = find(s, v, w->hash);
	if (cell->round == s->round) {
		levee_counts_add(&s->list[cell->at].counts, &v->counts);
		return;
	}
	if (s->n == s->room) {
		if (grow(s)) {
			levee_fold_add(&s->fold, v->counts.packets, v->counts.bytes);
			return;
		}
		cell = find(s, v, w->hash);
	}
	*cell = (struct levee_sources_cell){ .round = s->round, .at = s->n };
	s->list[s->n++] = *v;
}

void levee_sources_add(struct levee_sources *s, const struct levee_source *value)
{
	struct levee_sources_waiting *w = &s->waiting[s->turn % LEVEE_SOURCES_WAITING];
	const struct levee_sources_waiting *half =
		&s->waiting[(s->turn + LEVEE_SOURCES_WAITING / 2) % LEVEE_SOURCES_WAITING];

	settle(s, w);
	s->turn++;
	w->value = *value;
	w->hash = hash_of(s, value);
	__builtin_prefetch(&s->cells[levee_bucket_of(w->hash, s->bits)]);
	/* The cell is there by now; whatever round it is of, it points into the list. */
	__builtin_prefetch(&s->list[s->cells[levee_bucket_of(half->hash, s->bits)].at], 1);
}

void levee_sources_settle(struct levee_sources *s)
{
	for (uint32_t i = 0; i < LEVEE_SOURCES_WAITING; i++) {
		struct levee_sources_waiting *w = &s->waiting[s->turn++ % LEVEE_SOURCES_WAITING];

		settle(s, w);
		*w = (struct levee_sources_waiting){ 0 };
	}
}

struct levee_counts levee_sources_count(struct levee_sources *s, const struct levee_source *key)
{
	struct levee_sources_cell *cell;

	levee_sources_settle(s);
	cell = find(s, key, hash_of(s, key));
	return cell->round == s->round ? s->list[cell->at].counts : (struct levee_counts){ 0 };
}

void levee_sources_clear(struct levee_sources *s)
{
	for (uint32_t i = 0; i < LEVEE_SOURCES_WAITING; i++)
		s->waiting[i] = (struct levee_sources_waiting){ 0 };
	s->fold = (struct levee_fold){ 0 };
	s->n = 0;
	if (++s->round)
		return;
	/* 2^32 rounds on, a cell's round could be mistaken for the present one. */
	for (size_t i = 0; i < (size_t)1 << s->bits; i++)
		s->cells[i].round = 0;
	s->round = 1;
}

void levee_sources_free(struct levee_sources *s)
{
	free(s->list);
	free(s->cells);
	*s = (struct levee_sources){ 0 };
}
