/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/controller.h"
#include "control/json.h"
#include "control/log.h"
#include "dataplane/offline/offline.h"

#define PROGRESS_WIDTH 40

/* With the fast path: the defaults of [block]. */
#define REPEAT_MEMORY_S 86400
#define REPEAT_FACTOR	2.0
#define MAX_BLOCK_S	86400

/*
 * A running daemon looks at a source that nears the threshold again and again, by time, until it
 * has crossed (control/detect/watch.h). Lines of a file have no time between them: here it is looked
 * at after every thousandth of the threshold.
 */
#define LOOKS 250

struct replay {
	const struct levee_replay_options *options;
	struct levee_dataplane *dp;
	struct levee_controller controller;
	uint64_t bin_ns;   /* length of a bin */
	uint64_t start_ns; /* start of the running bin */
	uint64_t next_ns;  /* next extra evaluation; LEVEE_NEVER: none */
	bool ended;	   /* the file is used up */
	bool traffic;	   /* the running bin holds records */
	bool extra;	   /* this evaluation is made for --evaluate-every alone */
	int percent;	   /* last shown */
	bool masked;	   /* by the latest evaluation, and said */
};

/* ---- printing ---------------------------------------------------------------------------- */

static void print_json(const struct replay *r, const struct levee_report *report)
{
	const struct levee_evaluation *e = report->evaluation;
	struct levee_json j;
	char text[LEVEE_PREFIX_TEXT];

	levee_json_begin(&j, r->options->out);
	levee_json_object(&j, NULL);
	levee_json_int(&j, "now", e->now_s);
	levee_json_uint(&j, "sources", report->sources);
	levee_json_uint(&j, "n", e->moments.n);
	levee_json_double(&j, "mean", e->mean);
	levee_json_double(&j, "stddev", e->stddev);
	levee_json_double(&j, "threshold", e->threshold);
	if (levee_detector_wants_histogram(r->options->detector)) {
		levee_json_double(&j, "median", e->median);
		levee_json_double(&j, "mad", e->mad);
		levee_json_double(&j, "robust_threshold", e->robust_threshold);
		levee_json_bool(&j, "masked", e->masked);
	}
	levee_json_array(&j, "flagged");
	for (size_t i = 0; i < e->n_findings && i < r->options->limit; i++) {
		levee_json_object(&j, NULL);
		levee_json_string(&j, "source", levee_prefix_format(&e->findings[i].source, text));
		levee_json_double(&j, "max_zscore", e->findings[i].max_zscore);
		levee_json_uint(&j, "max_packets", e->findings[i].max_packets);
		levee_json_bool(&j, "new", report->is_new[i]);
		if (e->findings[i].measure != LEVEE_PACKETS) {
			levee_json_string(&j, "measure",
					  levee_measure_name(e->findings[i].measure));
			levee_json_uint(&j, "max_value", e->findings[i].max_value);
		}
		levee_json_end(&j);
	}
	levee_json_end(&j);
	levee_json_end(&j);
	levee_json_finish(&j);
}

static void print_text(const struct replay *r, const struct levee_report *report)
{
	const struct levee_evaluation *e = report->evaluation;
	char text[LEVEE_PREFIX_TEXT], when[32];
	time_t t = (time_t)e->now_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(when, sizeof(when), "%" PRId64, e->now_s);
	fprintf(r->options->out,
		"%s  sources %zu  n %" PRIu64
		"  mean %.2f  stddev %.2f  threshold %.2f  flagged %zu\n",
		when, report->sources, e->moments.n, e->mean, e->stddev, e->threshold,
		e->n_findings);
	for (size_t i = 0; i < e->n_findings && i < r->options->limit; i++)
		fprintf(r->options->out, "    %-4s %-40s z %10.3f  packets %" PRIu64 "\n",
			report->is_new[i] ? "new" : "",
			levee_prefix_format(&e->findings[i].source, text),
			e->findings[i].max_zscore, e->findings[i].max_packets);
	if (e->n_findings > r->options->limit)
		fprintf(r->options->out, "    ... and %" PRIu64 " more (--limit %" PRIu64 ")\n",
			(uint64_t)e->n_findings - r->options->limit, r->options->limit);
}

/* With the fast path: each block, and what decided. */
static void print_block(const struct replay *r, const struct levee_block *block)
{
	double at_s = (double)block->created_unix_ns / (double)LEVEE_NS_PER_S;
	char text[LEVEE_PREFIX_TEXT];
	struct levee_json j;

	levee_prefix_format(&block->prefix, text);
	if (!r->options->json) {
		fprintf(r->options->out, "%.3f  block %s by %s: z %.3f, %" PRIu64 " packets\n",
			at_s, text, levee_block_reason_name(block->reason), block->max_zscore,
			block->max_packets);
		return;
	}
	levee_json_begin(&j, r->options->out);
	levee_json_object(&j, NULL);
	levee_json_string(&j, "blocked", text);
	levee_json_double(&j, "at", at_s);
	levee_json_string(&j, "by", levee_block_reason_name(block->reason));
	levee_json_double(&j, "zscore", block->max_zscore);
	levee_json_uint(&j, "packets", block->max_packets);
	levee_json_end(&j);
	levee_json_finish(&j);
}

static void on_block(void *ctx, enum levee_block_change change, const struct levee_block *block,
		     const struct levee_policy_info *info)
{
	const struct replay *r = ctx;

	(void)info;
	if (change == LEVEE_BLOCK_ADDED && r->options->fast)
		print_block(r, block);
}

static void show_progress(struct replay *r)
{
	double done = levee_offline_progress(r->dp);
	int percent = (int)(done * 100), filled = (int)(done * PROGRESS_WIDTH);

	if (!r->options->progress || done < 0 || percent == r->percent)
		return;
	r->percent = percent;
	fprintf(stderr, "\r[%.*s%*s] %3d %%", filled, "########################################",
		PROGRESS_WIDTH - filled, "", percent);
	fflush(stderr);
}

static void end_progress(const struct replay *r)
{
	if (r->options->progress && r->percent >= 0)
		fprintf(stderr, "\r%*s\r", PROGRESS_WIDTH + 10, "");
}

/*
 * An alarm and no verdict: on standard error, at the crossing. With zscore only people are told:
 * what is compared with the solution that is taken over has nothing to say.
 */
static void say_masked(struct replay *r, const struct levee_evaluation *e)
{
	bool before = r->masked;

	r->masked = e->masked;
	if (!e->masked || before ||
	    !(r->options->progress || levee_detector_wants_histogram(r->options->detector)))
		return;
	end_progress(r);
	r->percent = -1;
	fprintf(stderr,
		"levee: masking at %" PRId64 ": %" PRIu64 " of %" PRIu64
		" values are above %" PRIu64
		" packets, so many that their Z-scores cannot all pass %g%s\n",
		e->now_s, e->n_above, e->moments.n, r->options->min_packets, r->options->min_zscore,
		levee_detector_wants_histogram(r->options->detector)
			? ""
			: "; --detector both sees them");
}

static void on_report(void *ctx, const struct levee_report *report)
{
	struct replay *r = ctx;

	/* In a stretch without traffic there is nothing to say once the window is empty. */
	if (r->extra && !report->evaluation->moments.n)
		return;
	say_masked(r, report->evaluation);
	if (r->options->json)
		print_json(r, report);
	else
		print_text(r, report);
}

static void report_defect(void *ctx, const char *message)
{
	struct replay *r = ctx;

	end_progress(r);
	r->percent = -1;
	fprintf(stderr, "levee: %s\n", message);
}

/* ---- time -------------------------------------------------------------------------------- */

static int64_t seconds(uint64_t ns)
{
	return (int64_t)(ns / LEVEE_NS_PER_S);
}

static struct levee_time file_time(uint64_t ns)
{
	return (struct levee_time){ .boot_ns = ns, .unix_ns = ns };
}

/* First multiple of the extra evaluations' period after ns. */
static uint64_t evaluation_after(const struct replay *r, uint64_t ns)
{
	uint64_t every_ns = r->options->evaluate_s * LEVEE_NS_PER_S;

	return every_ns ? (ns / every_ns + 1) * every_ns : LEVEE_NEVER;
}

/* Does the window still hold a value, or may the time until next_ns be stepped over? */
static bool is_window_empty(const struct replay *r)
{
	return !levee_window_bins(r->controller.window);
}

/*
 * Where the next bin starts. Bins in which the file holds nothing are stepped over; with extra
 * evaluations only once the window is empty, because until then they have something to judge.
 */
static uint64_t next_start(const struct replay *r, uint64_t boundary_ns, uint64_t record_ns)
{
	uint64_t start_ns = record_ns / r->bin_ns * r->bin_ns;

	if (r->ended || start_ns <= boundary_ns)
		return boundary_ns;
	if (r->options->evaluate_s && !is_window_empty(r))
		return boundary_ns;
	return start_ns;
}

/* ---- the turns --------------------------------------------------------------------------- */

static int drain(struct replay *r, uint64_t next_start_ns)
{
	uint64_t before = r->controller.running.received;
	int ret;

	r->controller.census_bin_s = seconds(r->start_ns);
	ret = levee_controller_drain(&r->controller, seconds(next_start_ns));
	if (!ret && r->controller.running.received > before)
		r->traffic = true;
	levee_controller_release(&r->controller);
	return ret;
}

static int evaluate(struct replay *r, uint64_t now_ns)
{
	struct levee_time now = file_time(now_ns);

	if (now_ns >= r->next_ns)
		r->next_ns = evaluation_after(r, now_ns);
	return levee_controller_evaluate(&r->controller, &now);
}

static int pass_boundary(struct replay *r, uint64_t boundary_ns, uint64_t record_ns)
{
	bool judge;
	int ret;

	ret = drain(r, boundary_ns);
	if (ret)
		return ret;
	judge = r->traffic || boundary_ns >= r->next_ns;
	r->extra = !r->traffic;
	if (r->traffic || levee_bin_sources(r->controller.bin))
		ret = levee_controller_close(&r->controller, seconds(r->start_ns), 1);
	if (!ret && judge)
		ret = evaluate(r, boundary_ns);
	levee_window_advance(r->controller.window, seconds(boundary_ns));
	r->traffic = false;
	r->start_ns = next_start(r, boundary_ns, record_ns);
	if (r->start_ns != boundary_ns) {
		struct levee_time now = file_time(r->start_ns);

		/* Blocks that ended in between; and records from before are out of order. */
		levee_controller_expire(&r->controller, &now);
		if (!ret)
			ret = drain(r, r->start_ns);
		if (r->next_ns != LEVEE_NEVER)
			r->next_ns = evaluation_after(r, r->start_ns - 1);
	}
	return ret;
}

/* A source has a further share of packets: is it over the threshold by now? */
static int on_trip(struct replay *r, const struct levee_prefix *source)
{
	struct levee_counts counts;
	struct levee_time now;
	int ret;

	levee_dataplane_now(r->dp, &now);
	r->dp->ops->count(r->dp, source, &counts);
	ret = levee_controller_trip(&r->controller, source, counts.packets, &now);
	return ret < 0 ? ret : 0;
}

static int turn(struct replay *r, bool *done)
{
	uint64_t boundary_ns = r->start_ns + r->bin_ns;
	uint64_t until_ns = r->next_ns < boundary_ns ? r->next_ns : boundary_ns;
	struct levee_dp_event event = { .type = LEVEE_DP_END };
	int ret = 0;

	if (!r->ended)
		ret = levee_dataplane_wait(r->dp, until_ns, &event);
	if (ret)
		return ret;
	show_progress(r);
	if (event.type == LEVEE_DP_TRIP)
		return on_trip(r, &event.source);
	r->ended = event.type == LEVEE_DP_END;
	if (until_ns == boundary_ns) {
		*done = r->ended;
		return pass_boundary(r, boundary_ns, event.next_unix_ns);
	}
	ret = drain(r, r->start_ns);
	if (!ret && r->options->fast) {
		struct levee_time now = file_time(until_ns);

		levee_controller_trip_all(&r->controller, &now);
	}
	r->extra = true;
	return ret ? ret : evaluate(r, until_ns);
}

static int open_all(struct replay *r)
{
	const struct levee_replay_options *o = r->options;
	struct levee_offline_options offline = { .path = o->path,
						 .source6_length = o->source6_length,
						 .report = report_defect,
						 .ctx = r };
	struct levee_controller_options controller = {
		.bin_s = o->bin_s,
		.window_s = o->window_s,
		.detect = { .min_zscore = o->min_zscore,
			    .min_packets = o->min_packets,
			    .min_bytes = o->min_bytes,
			    .min_syns = o->min_syns },
		.detector = o->detector,
		.max_sources = o->max_sources,
		.release_unflagged = !o->fast,
		.repeat_memory_s = o->fast ? REPEAT_MEMORY_S : 0,
		.repeat_factor = REPEAT_FACTOR,
		.max_block_s = MAX_BLOCK_S,
		.trip = { .on = o->fast, .warmup_bins = LEVEE_TRIP_WARMUP, .cpus = LOOKS },
		.count_distinct = true,
		.boot_id = "",
		.maps_id = "",
	};
	int ret;

	ret = levee_offline_open(&r->dp, &offline);
	if (ret)
		return ret;
	ret = levee_controller_init(&r->controller, r->dp, NULL, &controller);
	if (ret)
		return ret;
	r->controller.on_report = on_report;
	r->controller.on_block = on_block;
	r->controller.ctx = r;
	r->dp->ops->set_audit(r->dp, o->audit);
	return levee_policy_set_allowed(levee_dataplane_policy(r->dp), o->allowed, o->n_allowed);
}

static int replay_all(struct replay *r)
{
	struct levee_time first;
	bool done = false;
	int ret;

	levee_dataplane_now(r->dp, &first);
	r->start_ns = first.unix_ns / r->bin_ns * r->bin_ns;
	r->next_ns = evaluation_after(r, first.unix_ns);
	ret = drain(r, r->start_ns);
	while (!ret && !done)
		ret = turn(r, &done);
	return ret;
}

int levee_replay(const struct levee_replay_options *options)
{
	struct replay r = { .options = options,
			    .bin_ns = options->bin_s * LEVEE_NS_PER_S,
			    .percent = -1 };
	uint64_t errors = 0;
	int ret;

	ret = open_all(&r);
	if (!ret)
		ret = replay_all(&r);
	end_progress(&r);
	if (ret && r.dp)
		fprintf(stderr, "levee: %s: replay stopped: %s\n", options->path, strerror(-ret));
	if (r.dp) {
		errors = levee_offline_errors(r.dp) + r.controller.lost_before;
		if (levee_offline_late(r.dp))
			fprintf(stderr,
				"levee: %s: %" PRIu64 " packets were up to 1 s late and "
				"counted in the bin that was running\n",
				options->path, levee_offline_late(r.dp));
	}
	if (fflush(options->out) || ferror(options->out)) {
		fprintf(stderr, "levee: cannot write the verdicts: %s\n", strerror(errno));
		ret = ret ? ret : -EIO;
	}
	levee_controller_clear(&r.controller);
	levee_dataplane_close(&r.dp);
	return ret ? ret : errors ? 1 : 0;
}
