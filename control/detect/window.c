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
	struct levee_bin_record *record;
	size_t capacity;
	int ret;
};

static void gather(void *ctx, const struct levee_bin_entry *entry)
{
	struct gathering *g = ctx;
	struct levee_bin_record *record = g->record;

	if (record->n_candidates == g->capacity) {
		size_t capacity = g->capacity ? 2 * g->capacity : 16;
		void *more = realloc(record->candidates, capacity * sizeof(*record->candidates));

		if (!more) {
			g->ret = -ENOMEM;
			return;
		}
		record->candidates = more;
		g->capacity = capacity;
	}
	record->candidates[record->n_candidates++] = (struct levee_candidate){
		.source = entry->source,
		.packets = entry->packets,
		.bytes = entry->bytes,
	};
}

/* What is kept for an hour is kept without slack. */
static void trim(struct levee_bin_record *record)
{
	void *less;

	if (!record->n_candidates)
		return;
	less = realloc(record->candidates, record->n_candidates * sizeof(*record->candidates));
	if (less)
		record->candidates = less;
}

static void sort_candidates(struct levee_bin_record *record)
{
	if (record->n_candidates)
		qsort(record->candidates, record->n_candidates, sizeof(*record->candidates),
		      by_source);
}

int levee_bin_record_make(struct levee_bin_record *record, const struct levee_bin *bin,
			  int64_t start_s, uint64_t min_packets)
{
	struct gathering g = { .record = record };

	*record = (struct levee_bin_record){ .start_s = start_s, .min_packets = min_packets };
	g.ret = levee_bin_moments(bin, &record->moments);
	if (!g.ret)
		levee_bin_walk(bin, min_packets, gather, &g);
	if (g.ret) {
		levee_bin_record_clear(record);
		return g.ret;
	}
	trim(record);
	sort_candidates(record);
	if (levee_bin_folded(bin))
		record->flags |= LEVEE_BIN_FOLDED;
	return 0;
}

void levee_bin_record_clear(struct levee_bin_record *record)
{
	free(record->candidates);
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
static void make_sorted(struct levee_bin_record *record)
{
	for (size_t i = 1; i < record->n_candidates; i++) {
		if (by_source(&record->candidates[i - 1], &record->candidates[i]) > 0) {
			sort_candidates(record);
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

/* Write the union of both lists to `out`, which has room; equal sources add up. */
static int merge_candidates(const struct levee_bin_record *a, const struct levee_bin_record *b,
			    struct levee_candidate *out, size_t *n)
{
	size_t i = 0, j = 0;

	*n = 0;
	while (i < a->n_candidates || j < b->n_candidates) {
		int order = i == a->n_candidates ? 1
			    : j == b->n_candidates
				    ? -1
				    : by_source(&a->candidates[i], &b->candidates[j]);
		struct levee_candidate *c = &out[(*n)++];

		*c = order <= 0 ? a->candidates[i++] : b->candidates[j++];
		if (order)
			continue;
		if (__builtin_add_overflow(c->packets, b->candidates[j].packets, &c->packets) ||
		    __builtin_add_overflow(c->bytes, b->candidates[j].bytes, &c->bytes))
			return -ERANGE;
		j++;
	}
	return 0;
}

static int merge(struct levee_bin_record *into, struct levee_bin_record *record)
{
	struct levee_bin_record both = *into;
	size_t room = into->n_candidates + record->n_candidates;
	int ret;

	ret = levee_moments_merge(&both.moments, &record->moments);
	if (ret)
		return ret;
	both.candidates = room ? malloc(room * sizeof(*both.candidates)) : NULL;
	if (room && !both.candidates)
		return -ENOMEM;
	ret = merge_candidates(into, record, both.candidates, &both.n_candidates);
	if (ret) {
		free(both.candidates);
		return ret;
	}
	if (record->min_packets < both.min_packets)
		both.min_packets = record->min_packets;
	both.flags |= record->flags;
	trim(&both);
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
	make_sorted(record);
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

	for (size_t i = 0; i < window->n; i++)
		bytes += window->bins[i].n_candidates * sizeof(*window->bins[i].candidates);
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
