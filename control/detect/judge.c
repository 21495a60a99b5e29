/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/judge.h"

#include <errno.h>
#include <stdlib.h>

/* An anomalous value: a source in one bin. */
struct sighting {
	struct levee_prefix source;
	uint64_t value;	  /* of the measure */
	uint64_t packets; /* in the same bin */
	int64_t start_s;
	bool answered;
};

struct gathering {
	const struct levee_judge *judge;
	enum levee_measure measure;
	uint64_t floor; /* from which on a value is anomalous */
	struct sighting *sightings;
	size_t n;
	size_t capacity;
	int ret;
};

/* ---- bins ---------------------------------------------------------------------------------- */

static void find_bins(struct levee_judge *j)
{
	int64_t begin_s = levee_window_begin(j->window, j->now_s);

	j->end = levee_window_bins(j->window);
	while (j->end && levee_window_bin(j->window, j->end - 1)->start_s >= j->now_s)
		j->end--;
	while (j->first < j->end && levee_window_bin(j->window, j->first)->start_s < begin_s)
		j->first++;
}

void levee_judge_begin(struct levee_judge *judge, const struct levee_window *window,
		       const struct levee_bin *running, int64_t now_s)
{
	*judge = (struct levee_judge){
		.window = window,
		.running = running,
		.now_s = now_s,
		.running_s = now_s - now_s % (int64_t)levee_window_bin_s(window),
	};
	find_bins(judge);
	if (running && judge->end > judge->first &&
	    levee_window_bin(window, judge->end - 1)->start_s == judge->running_s)
		judge->earlier = levee_window_bin(window, judge->end - 1);
}

int levee_judge_moments(const struct levee_judge *judge, enum levee_measure measure,
			struct levee_moments *sum)
{
	struct levee_moments part = { 0 };
	int ret = 0;

	for (size_t i = judge->first; !ret && i < judge->end; i++) {
		const struct levee_moments *m =
			levee_bin_record_moments(levee_window_bin(judge->window, i), measure);

		if (m)
			ret = levee_moments_merge(sum, m);
	}
	if (!ret && judge->running)
		ret = levee_bin_measure(judge->running, measure, &part);
	return ret ? ret : levee_moments_merge(sum, &part);
}

/* ---- anomalous values ---------------------------------------------------------------------- */

static void note(struct gathering *g, const struct levee_prefix *source, uint64_t value,
		 uint64_t packets, int64_t start_s, bool answered)
{
	if (value < g->floor)
		return;
	if (g->n == g->capacity) {
		size_t capacity = g->capacity ? 2 * g->capacity : 64;
		void *more = realloc(g->sightings, capacity * sizeof(*g->sightings));

		if (!more) {
			g->ret = -ENOMEM;
			return;
		}
		g->sightings = more;
		g->capacity = capacity;
	}
	g->sightings[g->n++] = (struct sighting){ *source, value, packets, start_s, answered };
}

static int by_candidate(const void *key, const void *element)
{
	const struct levee_candidate *candidate = element;

	return levee_prefix_compare(key, &candidate->source);
}

static bool is_candidate(const struct levee_bin_record *record, enum levee_measure measure,
			 const struct levee_prefix *source)
{
	struct levee_candidates list = levee_bin_record_candidates(record, measure);

	return list.n && bsearch(source, list.list, list.n, sizeof(*list.list), by_candidate);
}

static void note_running(void *ctx, const struct levee_bin_entry *entry)
{
	struct gathering *g = ctx;
	const struct levee_judge *j = g->judge;

	/* In both parts of the bin: note_record() has seen it, and added up the two. */
	if (j->earlier && is_candidate(j->earlier, g->measure, &entry->source))
		return;
	note(g, &entry->source, levee_bin_entry_value(entry, g->measure), entry->packets,
	     j->running_s, entry->answered);
}

static void note_record(struct gathering *g, const struct levee_bin_record *record)
{
	struct levee_candidates list = levee_bin_record_candidates(record, g->measure);

	for (size_t i = 0; i < list.n; i++) {
		const struct levee_candidate *c = &list.list[i];
		struct levee_bin_entry more = { 0 };
		uint64_t value = levee_candidate_value(c, g->measure);

		if (record == g->judge->earlier)
			levee_bin_find(g->judge->running, &c->source, &more);
		note(g, &c->source, value + levee_bin_entry_value(&more, g->measure),
		     c->packets + more.packets, record->start_s, c->answered || more.answered);
	}
}

static int gather(struct gathering *g)
{
	const struct levee_judge *j = g->judge;

	if (g->floor >= LEVEE_VALUE_END)
		return 0;
	for (size_t i = j->first; i < j->end; i++)
		note_record(g, levee_window_bin(j->window, i));
	if (j->running)
		levee_bin_walk_measure(j->running, g->measure, g->floor ? g->floor - 1 : 0,
				       note_running, g);
	return g->ret;
}

/* ---- findings ------------------------------------------------------------------------------ */

static int by_source_and_time(const void *a, const void *b)
{
	const struct sighting *left = a, *right = b;
	int order = levee_prefix_compare(&left->source, &right->source);

	return order ? order : (left->start_s > right->start_s) - (left->start_s < right->start_s);
}

/* Scores are ordered as values are, and values are exact. */
static int by_rank(const void *a, const void *b)
{
	const struct levee_finding *left = a, *right = b;

	if (left->max_value != right->max_value)
		return left->max_value > right->max_value ? -1 : 1;
	return levee_prefix_compare(&left->source, &right->source);
}

/* Sightings, in order of source and time, become one finding a source. \return how many */
static size_t group(const struct gathering *g, struct levee_finding *findings)
{
	struct levee_finding *finding = NULL;
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct sighting *s = &g->sightings[i];

		if (!i || levee_prefix_compare(&s->source, &s[-1].source)) {
			finding = &findings[n++];
			finding->source = s->source;
			finding->measure = g->measure;
		}
		if (s->value > finding->max_value) {
			finding->max_value = s->value;
			finding->max_packets = s->packets;
		}
		finding->answered |= s->answered;
		finding->last_bin_s = s->start_s;
		finding->last_packets = s->packets;
	}
	return n;
}

int levee_judge_findings(const struct levee_judge *judge, enum levee_measure measure,
			 uint64_t floor, struct levee_finding **findings, size_t *n)
{
	struct gathering g = { .judge = judge, .measure = measure, .floor = floor };
	int ret = gather(&g);

	*findings = NULL;
	*n = 0;
	if (!ret && g.n) {
		*findings = calloc(g.n, sizeof(**findings));
		ret = *findings ? 0 : -ENOMEM;
	}
	if (!ret && g.n) {
		qsort(g.sightings, g.n, sizeof(*g.sightings), by_source_and_time);
		*n = group(&g, *findings);
		qsort(*findings, *n, sizeof(**findings), by_rank);
	}
	free(g.sightings);
	return ret;
}

/* ---- how many are large -------------------------------------------------------------------- */

static void count_entry(void *ctx, const struct levee_bin_entry *entry)
{
	uint64_t *n = ctx;

	(void)entry;
	(*n)++;
}

uint64_t levee_judge_count(const struct levee_judge *judge, uint64_t above)
{
	uint64_t n = 0;

	for (size_t i = judge->first; i < judge->end; i++)
		n += levee_bin_record_above(levee_window_bin(judge->window, i), above);
	if (judge->running)
		levee_bin_walk(judge->running, above, count_entry, &n);
	return n;
}
