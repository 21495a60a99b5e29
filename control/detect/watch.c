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

static double rate(uint64_t packets, uint64_t before, uint64_t now_ns, uint64_t then_ns)
{
	return packets > before && now_ns > then_ns
		       ? (double)(packets - before) / (double)(now_ns - then_ns)
		       : 0;
}

/*
 * Until it passes the threshold, at the higher of two rates: since the look before, and since it
 * was noted first. Packets come in bursts, and a look between two of them sees none; who takes
 * that for the end waits for the next share of this source, which is ten milliseconds too long.
 * A pause of all the time that is known is as likely to end now as to last that long again.
 */
static uint64_t time_left(const struct levee_watched *w, uint64_t packets, uint64_t threshold,
			  uint64_t now_ns)
{
	double left = packets < threshold ? (double)(threshold - packets) : 0;
	double since_look = rate(packets, w->packets, now_ns, w->seen_ns);
	double since_first = rate(packets, w->first_packets, now_ns, w->first_ns);
	double fast = since_look > since_first ? since_look : since_first;

	if (fast > 0)
		return left < fast * 2 * LEVEE_WATCH_AHEAD_NS ? (uint64_t)(left / fast)
							      : 2 * LEVEE_WATCH_AHEAD_NS;
	return now_ns > w->first_ns ? 2 * (now_ns - w->first_ns) : 0;
}

/* A part of a sum: by the clock while it grows, and then less and less often. */
static uint64_t regular(const struct levee_watch *watch, const struct levee_watched *w,
			uint64_t packets, uint64_t now_ns, uint64_t left)
{
	uint64_t again = packets > w->packets ? 0 : 2 * (now_ns - w->seen_ns);

	if (!watch->every_ns)
		return left;
	if (again < watch->every_ns)
		again = watch->every_ns;
	return left < again ? left : again;
}

void levee_watch_note(struct levee_watch *watch, const struct levee_prefix *source,
		      uint64_t packets, uint64_t threshold, uint64_t now_ns)
{
	struct levee_watched *w = find(watch, source);
	uint64_t left = 0; /* a first look: the second one tells the rate */

	if (w) {
		left = time_left(w, packets, threshold, now_ns) / 2; /* it may send faster */
		left = regular(watch, w, packets, now_ns, left);
	} else if (watch->n < LEVEE_WATCH_MAX) {
		w = &watch->at[watch->n++];
		*w = (struct levee_watched){ .source = *source,
					     .first_packets = packets,
					     .first_ns = now_ns };
	} else {
		return;
	}
	if (left > LEVEE_WATCH_AHEAD_NS / 2) {
		*w = watch->at[--watch->n];
		return;
	}
	w->packets = packets;
	w->seen_ns = now_ns;
	w->next_ns = now_ns + (left > LEVEE_WATCH_LOOK_NS ? left : LEVEE_WATCH_LOOK_NS);
}

bool levee_watch_knows(const struct levee_watch *watch, const struct levee_prefix *source,
		       uint64_t packets)
{
	const struct levee_watched *w = find((struct levee_watch *)watch, source);

	return w && w->packets == packets;
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
