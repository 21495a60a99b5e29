/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a process that was killed left of its running bin, in the order in which it was counted:
 *
 *	parts		drained before the bin's close, kept beside the state file
 *	drained epoch	drained and not released; in no other place, unless its part, or the
 *			transaction of its close, was the last thing done
 *	open epoch	goes on being counted, for the bin whose name it has
 */
#include "control/run_internal.h"

#include <errno.h>
#include <string.h>

#define NONE INT64_MIN

static int64_t seconds(uint64_t ns)
{
	return (int64_t)(ns / LEVEE_NS_PER_S);
}

static int ignore_source(void *ctx, const struct levee_prefix *source,
			 const struct levee_counts *counts)
{
	(void)ctx;
	(void)source;
	(void)counts;
	return 0;
}

/* Bins that an epoch of `ns` stands for; a tenth of a bin over is within what a wake-up costs. */
static unsigned int bins_in(uint64_t ns, uint64_t len_ns)
{
	uint64_t n = (ns + len_ns - len_ns / 10) / len_ns;

	return n < 1 ? 1 : n > 1000000 ? 1000000 : (unsigned int)n;
}

static int64_t take_up_parts(struct levee_run *r)
{
	int64_t held_s = NONE;
	int ret = levee_controller_load_parts(&r->controller, &held_s);

	if (ret < 0)
		levee_warning("not all that was drained of the running bin could be read: %s",
			      strerror(-ret));
	return ret > 0 ? held_s : NONE;
}

/* An epoch joins what is held; then the bin of both is closed, unless the open epoch is of it. */
static void join_drained(struct levee_run *r, const struct levee_drained *left,
			 const struct levee_drained *open, const struct levee_time *now,
			 int64_t *held_s)
{
	uint64_t len_ns = r->config->detect.bin * LEVEE_NS_PER_S;
	uint64_t next_ns = open->bin_ns ? open->bin_ns : r->clock.start_ns;
	uint64_t end_ns = open->bin_ns ? open->opened_ns : now->boot_ns;

	if (left->bin_ns)
		*held_s = seconds(left->bin_ns);
	if (*held_s == NONE || *held_s == seconds(next_ns))
		return;
	levee_controller_close(&r->controller, *held_s, bins_in(end_ns - left->opened_ns, len_ns));
	*held_s = NONE;
}

static void take_up_drained(struct levee_run *r, const struct levee_time *now, int64_t *held_s)
{
	struct levee_controller *c = &r->controller;
	struct levee_sink nowhere = { .source = ignore_source };
	struct levee_drained open, left;
	uint64_t seq;
	bool kept;
	int ret = 0;

	while ((seq = r->dp->ops->left(r->dp)) != 0) {
		r->dp->ops->peek(r->dp, &open);
		kept = levee_controller_keeps(c, seq);
		ret = kept ? r->dp->ops->redrain(r->dp, &nowhere, &left)
			   : levee_controller_redrain(c, &left);
		if (ret)
			break;
		if (kept) {
			levee_controller_release(c);
			continue;
		}
		join_drained(r, &left, &open, now, held_s);
		levee_controller_save(c);
	}
	if (ret)
		levee_warning("an epoch of the process before could not be read: %s",
			      strerror(-ret));
}

/* The open epoch went on counting while no daemon lived: name the bins that it covers. */
static void close_open(struct levee_run *r, const struct levee_drained *open,
		       const struct levee_time *now, int64_t held_s)
{
	struct levee_controller *c = &r->controller;
	uint64_t len_ns = r->config->detect.bin * LEVEE_NS_PER_S;
	unsigned int parts = bins_in(now->boot_ns - open->opened_ns, len_ns);
	int ret;

	/* What was drained earlier is of the first of these bins alone. */
	if (parts > 1 && held_s != NONE)
		levee_controller_close(c, held_s, 1);
	ret = levee_controller_drain(c, seconds(r->clock.start_ns));
	if (ret)
		levee_run_complain_of_drain(r, ret, now->boot_ns);
	else
		levee_controller_close(c, seconds(open->bin_ns), parts);
}

static void take_up_open(struct levee_run *r, const struct levee_time *now, int64_t held_s)
{
	struct levee_controller *c = &r->controller;
	struct levee_drained open;
	int64_t next_s;
	int ret;

	r->dp->ops->peek(r->dp, &open);
	next_s = seconds(open.bin_ns ? open.bin_ns : r->clock.start_ns);
	if (held_s != NONE && held_s != next_s) {
		levee_controller_close(c, held_s, 1);
		held_s = NONE;
	}
	if (open.bin_ns && open.bin_ns < r->clock.start_ns) {
		close_open(r, &open, now, held_s);
	} else if (open.bin_ns != r->clock.start_ns) {
		ret = levee_controller_drain_part(c, seconds(r->clock.start_ns));
		if (ret)
			levee_run_complain_of_drain(r, ret, now->boot_ns);
	}
	/* Otherwise it was restarted within the bin, which simply goes on. */
	levee_controller_save(c);
}

void levee_run_resume(struct levee_run *r, const struct levee_time *now)
{
	struct levee_time bin_now = { .boot_ns = now->boot_ns,
				      .unix_ns = levee_run_bin_time_ns(r, now) };
	int64_t held_s = take_up_parts(r);

	take_up_drained(r, now, &held_s);
	take_up_open(r, now, held_s);
	levee_controller_trip_all(&r->controller, &bin_now);
}
