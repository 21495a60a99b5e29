/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/watch.h"

static struct levee_watched *find(struct levee_watch *watch, const struct levee_prefix *source)
{
	for (unsigned int i = 0; i < watch->n; i++)
		if (!levee_prefix_compare(&watch->at[i].source, source))
			return &watch->at[i];
	return NULL;
}

void levee_watch_forget(struct levee_watch *watch, const struct levee_prefix *source)
{
	struct levee_watched *w = find(watch, source);

	if (w)
		*w = watch->at[--watch->n];
}

void levee_watch_clear(struct levee_watch *watch)
{
	watch->n = 0;
}

/* Until it passes the threshold at the rate between two looks [ns]; 0 if that is not known. */
static uint64_t time_left(const struct levee_watched *w, uint64_t packets, uint64_t threshold,
			  uint64_t now_ns)
{
	double rate;

	if (packets <= w->packets || now_ns <= w->seen_ns)
		return 2 * LEVEE_WATCH_AHEAD_NS; /* it has stopped */
	rate = (double)(packets - w->packets) / (double)(now_ns - w->seen_ns);
	if (packets > threshold)
		return 0;
	if ((double)(threshold - packets) >= rate * (double)LEVEE_WATCH_AHEAD_NS)
		return 2 * LEVEE_WATCH_AHEAD_NS;
	return (uint64_t)((double)(threshold - packets) / rate);
}

void levee_watch_note(struct levee_watch *watch, const struct levee_prefix *source,
		      uint64_t packets, uint64_t threshold, uint64_t now_ns)
{
	struct levee_watched *w = find(watch, source);
	uint64_t left = 0; /* a first look: the second one tells the rate */

	if (w)
		left = time_left(w, packets, threshold, now_ns) / 2; /* it may send faster */
	else if (watch->n < LEVEE_WATCH_MAX)
		w = &watch->at[watch->n++];
	else
		return;
	if (left > LEVEE_WATCH_AHEAD_NS / 2) {
		*w = watch->at[--watch->n];
		return;
	}
	*w = (struct levee_watched){
		.source = *source,
		.packets = packets,
		.seen_ns = now_ns,
		.next_ns = now_ns + (left > LEVEE_WATCH_LOOK_NS ? left : LEVEE_WATCH_LOOK_NS)
	};
}

uint64_t levee_watch_next(const struct levee_watch *watch)
{
	uint64_t next_ns = UINT64_MAX;

	for (unsigned int i = 0; i < watch->n; i++)
		if (watch->at[i].next_ns < next_ns)
			next_ns = watch->at[i].next_ns;
	return next_ns;
}

bool levee_watch_due(struct levee_watch *watch, uint64_t now_ns, struct levee_prefix *source)
{
	for (unsigned int i = 0; i < watch->n; i++)
		if (watch->at[i].next_ns <= now_ns) {
			watch->at[i].next_ns = UINT64_MAX;
			*source = watch->at[i].source;
			return true;
		}
	return false;
}
