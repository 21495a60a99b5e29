/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/detector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An anomalous value: a source in one bin. */
struct sighting {
	struct levee_prefix source;
	uint64_t packets;
	int64_t start_s;
};

struct judgement {
	const struct levee_bin *running;
	int64_t running_s;
	/* The part of the running bin that was stored before a restart; NULL as a rule. */
	const struct levee_bin_record *earlier;
	uint64_t floor; /* packets from which on a value is anomalous */
	struct sighting *sightings;
	size_t n;
	size_t capacity;
	int ret;
};

static void note(struct judgement *j, const struct levee_prefix *source, uint64_t packets,
		 int64_t start_s)
{
	if (packets < j->floor)
		return;
	if (j->n == j->capacity) {
		size_t capacity = j->capacity ? 2 * j->capacity : 64;
		void *more = realloc(j->sightings, capacity * sizeof(*j->sightings));

		if (!more) {
			j->ret = -ENOMEM;
			return;
		}
		j->sightings = more;
		j->capacity = capacity;
	}
	j->sightings[j->n++] = (struct sighting){ *source, packets, start_s };
}

static int by_candidate(const void *key, const void *element)
{
	const struct levee_candidate *candidate = element;

	return levee_prefix_compare(key, &candidate->source);
}

static void note_running(void *ctx, const struct levee_bin_entry *entry)
{
	struct judgement *j = ctx;

	/* In both parts of the bin: note_record() has seen it, and added up the two. */
	if (j->earlier && j->earlier->n_candidates &&
	    bsearch(&entry->source, j->earlier->candidates, j->earlier->n_candidates,
		    sizeof(*j->earlier->candidates), by_candidate))
		return;
	note(j, &entry->source, entry->packets, j->running_s);
}

static void note_record(struct judgement *j, const struct levee_bin_record *record)
{
	for (size_t i = 0; i < record->n_candidates; i++) {
		const struct levee_candidate *candidate = &record->candidates[i];
		uint64_t packets = candidate->packets;

		if (record == j->earlier)
			packets += levee_bin_get(j->running, &candidate->source);
		note(j, &candidate->source, packets, record->start_s);
	}
}

/* The bins that a window at now_s holds: [first, end). */
static void find_bins(const struct levee_window *window, int64_t now_s, size_t *first, size_t *end)
{
	int64_t begin_s = levee_window_begin(window, now_s);

	*end = levee_window_bins(window);
	while (*end && levee_window_bin(window, *end - 1)->start_s >= now_s)
		(*end)--;
	*first = 0;
	while (*first < *end && levee_window_bin(window, *first)->start_s < begin_s)
		(*first)++;
}

static int add_moments(const struct levee_window *window, size_t first, size_t end,
		       const struct levee_bin *running, struct levee_moments *sum)
{
	struct levee_moments part = { 0 };
	int ret = 0;

	for (size_t i = first; !ret && i < end; i++)
		ret = levee_moments_merge(sum, &levee_window_bin(window, i)->moments);
	if (!ret && running)
		ret = levee_bin_moments(running, &part);
	return ret ? ret : levee_moments_merge(sum, &part);
}

static int gather(struct judgement *j, const struct levee_window *window, size_t first, size_t end)
{
	if (j->floor >= LEVEE_VALUE_END)
		return 0;
	if (j->running && end > first && levee_window_bin(window, end - 1)->start_s == j->running_s)
		j->earlier = levee_window_bin(window, end - 1);
	for (size_t i = first; i < end; i++)
		note_record(j, levee_window_bin(window, i));
	if (j->running)
		levee_bin_walk(j->running, j->floor - 1, note_running, j);
	return j->ret;
}

static int by_source_and_time(const void *a, const void *b)
{
	const struct sighting *left = a, *right = b;
	int order = levee_prefix_compare(&left->source, &right->source);

	return order ? order : (left->start_s > right->start_s) - (left->start_s < right->start_s);
}

/* z is ordered as packets are, and packets are exact. */
static int by_rank(const void *a, const void *b)
{
	const struct levee_finding *left = a, *right = b;

	if (left->max_packets != right->max_packets)
		return left->max_packets > right->max_packets ? -1 : 1;
	return levee_prefix_compare(&left->source, &right->source);
}

/* Sightings, in order of source and time, become one finding a source. */
static void group(const struct judgement *j, struct levee_evaluation *out)
{
	struct levee_finding *finding = NULL;

	for (size_t i = 0; i < j->n; i++) {
		const struct sighting *s = &j->sightings[i];

		if (!i || levee_prefix_compare(&s->source, &s[-1].source)) {
			finding = &out->findings[out->n_findings++];
			finding->source = s->source;
		}
		if (s->packets > finding->max_packets)
			finding->max_packets = s->packets;
		finding->last_bin_s = s->start_s;
		finding->last_packets = s->packets;
	}
	for (size_t i = 0; i < out->n_findings; i++)
		out->findings[i].max_zscore = levee_moments_zscore(&out->moments,
								   out->findings[i].max_packets);
}

static int conclude(struct judgement *j, struct levee_evaluation *out)
{
	if (!j->n)
		return 0;
	out->findings = calloc(j->n, sizeof(*out->findings));
	if (!out->findings)
		return -ENOMEM;
	qsort(j->sightings, j->n, sizeof(*j->sightings), by_source_and_time);
	group(j, out);
	qsort(out->findings, out->n_findings, sizeof(*out->findings), by_rank);
	return 0;
}

static int evaluate(const struct levee_window *window, const struct levee_bin *running,
		    int64_t now_s, const struct levee_detect_params *params,
		    struct levee_evaluation *out)
{
	struct judgement j = {
		.running = running,
		.running_s = now_s - now_s % (int64_t)levee_window_bin_s(window),
	};
	size_t first, end;
	int ret;

	*out = (struct levee_evaluation){ .now_s = now_s };
	find_bins(window, now_s, &first, &end);
	ret = add_moments(window, first, end, running, &out->moments);
	if (!ret) {
		out->mean = levee_moments_mean(&out->moments);
		out->stddev = levee_moments_stddev(&out->moments);
		out->threshold = params->min_zscore * out->stddev + out->mean;
		out->limit_packets = levee_moments_threshold(&out->moments, params->min_packets,
							     params->min_zscore);
		j.floor = levee_moments_floor(&out->moments, params->min_packets,
					      params->min_zscore);
		ret = gather(&j, window, first, end);
	}
	if (!ret)
		ret = conclude(&j, out);
	free(j.sightings);
	if (ret)
		levee_evaluation_clear(out);
	return ret;
}

const struct levee_detector levee_detector_zscore = {
	.name = "zscore",
	.evaluate = evaluate,
};

const struct levee_detector *levee_detector_find(const char *name)
{
	return strcmp(name, levee_detector_zscore.name) ? NULL : &levee_detector_zscore;
}

void levee_evaluation_clear(struct levee_evaluation *evaluation)
{
	free(evaluation->findings);
	*evaluation = (struct levee_evaluation){ 0 };
}
