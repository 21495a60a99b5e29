/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct levee_window {
	unsigned int bin_s;
	unsigned int window_s;
	size_t n;
	size_t capacity;
	struct levee_bin_record *bins; /* by start_s */
};

static int by_source(const void *a, const void *b)
{
	const struct levee_candidate *left = a, *right = b;

	return levee_prefix_compare(&left->source, &right->source);
}

struct gathering {
	struct levee_candidate *list;
	size_t n;
	size_t capacity;
	int ret;
};

static void gather(void *ctx, const struct levee_bin_entry *entry)
{
	struct gathering *g = ctx;

	if (g->n == g->capacity) {
		size_t capacity = g->capacity ? 2 * g->capacity : 16;
		void *more = realloc(g->list, capacity * sizeof(*g->list));

		if (!more) {
			g->ret = -ENOMEM;
			return;
		}
		g->list = more;
		g->capacity = capacity;
	}
	g->list[g->n++] = (struct levee_candidate){
		.source = entry->source,
		.packets = entry->packets,
		.bytes = entry->bytes,
		.syns = entry->syns,
		.answered = entry->answered,
	};
}

/* What is kept for an hour is kept without slack. */
static struct levee_candidate *trimmed(struct levee_candidate *list, size_t n)
{
	struct levee_candidate *less = n ? realloc(list, n * sizeof(*list)) : NULL;

	return less ? less : list;
}

static void sort_candidates(struct levee_candidate *list, size_t n)
{
	if (n)
		qsort(list, n, sizeof(*list), by_source);
}

/* \return 0 and the list, which the caller frees; -ENOMEM */
static int list_candidates(const struct levee_bin *bin, enum levee_measure measure,
			   uint64_t minimum, struct levee_candidate **list, size_t *n)
{
	struct gathering g = { 0 };

	levee_bin_walk_measure(bin, measure, minimum, gather, &g);
	if (g.ret) {
		free(g.list);
		return g.ret;
	}
	*list = trimmed(g.list, g.n);
	*n = g.n;
	sort_candidates(*list, *n);
	return 0;
}

int levee_bin_record_make(struct levee_bin_record *record, const struct levee_bin *bin,
			  int64_t start_s, uint64_t min_packets)
{
	int ret;

	*record = (struct levee_bin_record){ .start_s = start_s, .min_packets = min_packets };
	ret = levee_bin_moments(bin, &record->moments);
	if (!ret)
		ret = list_candidates(bin, LEVEE_PACKETS, min_packets, &record->candidates,
				      &record->n_candidates);
	if (ret) {
		levee_bin_record_clear(record);
		return ret;
	}
	if (levee_bin_folded(bin))
		record->flags |= LEVEE_BIN_FOLDED;
	return 0;
}

static void free_measure(struct levee_bin_measure **measure)
{
	if (!*measure)
		return;
	free((*measure)->candidates);
	free(*measure);
	*measure = NULL;
}

int levee_bin_record_add_measure(struct levee_bin_record *record, const struct levee_bin *bin,
				 enum levee_measure measure, uint64_t minimum)
{
	struct levee_bin_measure *m = calloc(1, sizeof(*m));
	int ret;

	if (!m)
		return -ENOMEM;
	m->minimum = minimum;
	ret = levee_bin_measure(bin, measure, &m->moments);
	if (!ret)
		ret = list_candidates(bin, measure, minimum, &m->candidates, &m->n_candidates);
	if (ret) {
		free_measure(&m);
		return ret;
	}
	free_measure(&record->measures[measure]);
	record->measures[measure] = m;
	return 0;
}

const struct levee_moments *levee_bin_record_moments(const struct levee_bin_record *record,
						     enum levee_measure measure)
{
	if (measure == LEVEE_PACKETS)
		return &record->moments;
	return record->measures[measure] ? &record->measures[measure]->moments : NULL;
}

struct levee_candidates levee_bin_record_candidates(const struct levee_bin_record *record,
						    enum levee_measure measure)
{
	const struct levee_bin_measure *m = record->measures[measure];

	if (measure == LEVEE_PACKETS)
		return (struct levee_candidates){ record->candidates, record->n_candidates };
	if (!m)
		return (struct levee_candidates){ 0 };
	return (struct levee_candidates){ m->candidates, m->n_candidates };
}

uint64_t levee_bin_record_above(const struct levee_bin_record *record, uint64_t above)
{
	uint64_t n = 0;

	for (size_t i = 0; i < record->n_candidates; i++)
		n += record->candidates[i].packets > above;
	return n;
}

struct counting {
	struct levee_buckets *buckets;
	levee_u128 named; /* packets of all sources with a name */
};

static void count_value(void *ctx, const struct levee_bin_entry *entry)
{
	struct counting *counting = ctx;

	counting->named += entry->packets;
	levee_buckets_add(counting->buckets, entry->packets, 1);
}

int levee_bin_count_values(const struct levee_bin *bin, struct levee_buckets *buckets)
{
	struct counting counting = { .buckets = buckets };
	uint64_t folded = levee_bin_folded(bin);
	struct levee_moments all;
	int ret = levee_bin_moments(bin, &all);

	if (ret)
		return ret;
	levee_bin_walk(bin, 0, count_value, &counting);
	if (folded)
		levee_buckets_add(buckets, (uint64_t)((all.sum - counting.named) / folded), folded);
	return 0;
}

int levee_bin_record_add_histogram(struct levee_bin_record *record, const struct levee_bin *bin)
{
	struct levee_buckets *buckets = calloc(1, sizeof(*buckets));
	int ret = buckets ? levee_bin_count_values(bin, buckets) : -ENOMEM;

	if (!ret)
		ret = levee_buckets_pack(buckets, &record->histogram);
	free(buckets);
	return ret;
}

void levee_bin_record_clear(struct levee_bin_record *record)
{
	free(record->candidates);
	levee_histogram_clear(&record->histogram);
	for (int m = 0; m < LEVEE_MEASURES; m++)
		free_measure(&record->measures[m]);
	*record = (struct levee_bin_record){ 0 };
}

struct levee_window *levee_window_new(unsigned int bin_s, unsigned int window_s)
{
	struct levee_window *window = calloc(1, sizeof(*window));

	if (!window)
		return NULL;
	window->bin_s = bin_s;
	window->window_s = window_s;
	return window;
}

void levee_window_free(struct levee_window **window)
{
	if (!*window)
		return;
	for (size_t i = 0; i < (*window)->n; i++)
		levee_bin_record_clear(&(*window)->bins[i]);
	free((*window)->bins);
	free(*window);
	*window = NULL;
}

/* A record out of a file may be in any order. */
static void make_sorted(struct levee_candidate *list, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (by_source(&list[i - 1], &list[i]) > 0) {
			sort_candidates(list, n);
			return;
		}
	}
}

void levee_window_shift(struct levee_window *window, int64_t by_s)
{
	for (size_t i = 0; i < window->n; i++)
		window->bins[i].start_s += by_s;
}

/* First bin that starts at start_s or later. Most pushes and look-ups are at the end. */
static size_t position(const struct levee_window *window, int64_t start_s)
{
	size_t i = window->n;

	while (i && window->bins[i - 1].start_s >= start_s)
		i--;
	return i;
}

static int add_up(struct levee_candidate *sum, const struct levee_candidate *more)
{
	sum->answered |= more->answered;
	return __builtin_add_overflow(sum->packets, more->packets, &sum->packets) ||
			       __builtin_add_overflow(sum->bytes, more->bytes, &sum->bytes) ||
			       __builtin_add_overflow(sum->syns, more->syns, &sum->syns)
		       ? -ERANGE
		       : 0;
}

/* The union of both lists, in which equal sources add up. \return 0 and *out, the caller frees it */
static int merge_candidates(struct levee_candidates a, struct levee_candidates b,
			    struct levee_candidate **out, size_t *n)
{
	struct levee_candidate *list = calloc(a.n + b.n + 1, sizeof(*list));
	size_t i = 0, j = 0;
	int ret = 0;

	*n = 0;
	*out = NULL;
	if (!list)
		return -ENOMEM;
	while (!ret && (i < a.n || j < b.n)) {
		int order = i == a.n ? 1 : j == b.n ? -1 : by_source(&a.list[i], &b.list[j]);

		list[*n] = order <= 0 ? a.list[i++] : b.list[j++];
		if (!order)
			ret = add_up(&list[*n], &b.list[j++]);
		(*n)++;
	}
	if (ret)
		free(list);
	else
		*out = trimmed(list, *n);
	return ret;
}

static int take_measure(struct levee_bin_measure *into, const struct levee_bin_measure *part)
{
	if (part->minimum < into->minimum)
		into->minimum = part->minimum;
	return levee_moments_merge(&into->moments, &part->moments);
}

/* \return 0 and a new measure of both, which may be NULL; otherwise nothing is changed */
static int merge_measure(const struct levee_bin_record *a, const struct levee_bin_record *b,
			 enum levee_measure measure, struct levee_bin_measure **out)
{
	const struct levee_bin_measure *left = a->measures[measure], *right = b->measures[measure];
	struct levee_bin_measure *m;
	int ret = 0;

	*out = NULL;
	if (!left && !right)
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->minimum = UINT64_MAX;
	if (left)
		ret = take_measure(m, left);
	if (!ret && right)
		ret = take_measure(m, right);
	if (!ret)
		ret = merge_candidates(levee_bin_record_candidates(a, measure),
				       levee_bin_record_candidates(b, measure), &m->candidates,
				       &m->n_candidates);
	if (ret)
		free_measure(&m);
	*out = m;
	return ret;
}

/* Make the whole of two parts of one bin. \return 0 and *both; otherwise nothing is left in it */
static int merge_parts(const struct levee_bin_record *a, const struct levee_bin_record *b,
		       struct levee_bin_record *both)
{
	int ret;

	*both = (struct levee_bin_record){ .start_s = a->start_s,
					   .moments = a->moments,
					   .min_packets = a->min_packets < b->min_packets
								  ? a->min_packets
								  : b->min_packets,
					   .flags = a->flags | b->flags };
	ret = levee_moments_merge(&both->moments, &b->moments);
	if (!ret)
		ret = merge_candidates(levee_bin_record_candidates(a, LEVEE_PACKETS),
				       levee_bin_record_candidates(b, LEVEE_PACKETS),
				       &both->candidates, &both->n_candidates);
	for (enum levee_measure m = LEVEE_BYTES; !ret && m < LEVEE_MEASURES; m++)
		ret = merge_measure(a, b, m, &both->measures[m]);
	if (!ret)
		ret = levee_histogram_merge(&both->histogram, &a->histogram);
	if (!ret)
		ret = levee_histogram_merge(&both->histogram, &b->histogram);
	if (ret)
		levee_bin_record_clear(both);
	return ret;
}

static int merge(struct levee_bin_record *into, struct levee_bin_record *record)
{
	struct levee_bin_record both;
	int ret = merge_parts(into, record, &both);

	if (ret)
		return ret;
	levee_bin_record_clear(into);
	levee_bin_record_clear(record);
	*into = both;
	return 0;
}

static int make_room(struct levee_window *window)
{
	size_t capacity = window->capacity ? 2 * window->capacity : 64;
	void *more;

	if (window->n < window->capacity)
		return 0;
	more = realloc(window->bins, capacity * sizeof(*window->bins));
	if (!more)
		return -ENOMEM;
	window->bins = more;
	window->capacity = capacity;
	return 0;
}

int levee_window_push(struct levee_window *window, struct levee_bin_record *record)
{
	size_t i = position(window, record->start_s);
	int ret;

	if (record->start_s % window->bin_s || !levee_moments_possible(&record->moments))
		return -ERANGE;
	make_sorted(record->candidates, record->n_candidates);
	if (i < window->n && window->bins[i].start_s == record->start_s)
		return merge(&window->bins[i], record);
	ret = make_room(window);
	if (ret)
		return ret;
	memmove(&window->bins[i + 1], &window->bins[i], (window->n - i) * sizeof(*window->bins));
	window->bins[i] = *record;
	window->n++;
	*record = (struct levee_bin_record){ 0 };
	return 0;
}

void levee_window_advance(struct levee_window *window, int64_t now_s)
{
	size_t gone = position(window, levee_window_begin(window, now_s));

	if (!gone)
		return;
	for (size_t i = 0; i < gone; i++)
		levee_bin_record_clear(&window->bins[i]);
	window->n -= gone;
	memmove(window->bins, &window->bins[gone], window->n * sizeof(*window->bins));
}

int64_t levee_window_begin(const struct levee_window *window, int64_t now_s)
{
	return now_s - (int64_t)window->window_s - now_s % (int64_t)window->bin_s;
}

size_t levee_window_bins(const struct levee_window *window)
{
	return window->n;
}

const struct levee_bin_record *levee_window_bin(const struct levee_window *window, size_t i)
{
	return &window->bins[i];
}

size_t levee_window_memory(const struct levee_window *window)
{
	size_t bytes = sizeof(*window) + window->capacity * sizeof(*window->bins);

	for (size_t i = 0; i < window->n; i++) {
		const struct levee_bin_record *r = &window->bins[i];

		bytes += r->n_candidates * sizeof(*r->candidates) +
			 r->histogram.n * sizeof(*r->histogram.cells);
		for (int m = 0; m < LEVEE_MEASURES; m++)
			if (r->measures[m])
				bytes += sizeof(*r->measures[m]) +
					 r->measures[m]->n_candidates *
						 sizeof(*r->measures[m]->candidates);
	}
	return bytes;
}

unsigned int levee_window_bin_s(const struct levee_window *window)
{
	return window->bin_s;
}

unsigned int levee_window_window_s(const struct levee_window *window)
{
	return window->window_s;
}
