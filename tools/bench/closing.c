/* SPDX-License-Identifier: BSD-2-Clause */
/* What the controller does when a bin ends, step by step, and what it does when a log fills up. */
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "control/detect/bin.h"
#include "control/detect/detector.h"
#include "control/detect/window.h"
#include "tools/bench/path.h"
#include "tools/bench/sections.h"

#define SOURCES	     (1 << 20)
#define HEAVY	     128       /* sources above the packet minimum in each bin */
#define HEAVY_SENDS  (2 << 20) /* packets of theirs, one CPU: 16 k each */
#define BIN_S	     60
#define WINDOW_S     3600
#define MIN_PACKETS  12000
#define CLOSE_ROUNDS 5 /* each takes about a second */

enum step {
	FENCE,	/* drain of an epoch that saw nothing */
	DRAIN,	/* drain, sources thrown away */
	MERGE,	/* drain into a levee_bin */
	RECORD, /* moments and candidates */
	PUSH,
	EVALUATE,
	CLEAR,
	WHOLE, /* MERGE to CLEAR */
	STEPS
};

static const struct {
	const char *key;
	const char *label;
} step_table[STEPS] = {
	[FENCE] = { "flip_and_fence", "drain of an empty epoch: flip, fence" },
	[DRAIN] = { "drain", "drain: flip, fence, walk" },
	[MERGE] = { "drain_and_merge", "drain, each source added up over the CPUs" },
	[RECORD] = { "record", "moments and candidates" },
	[PUSH] = { "push", "into the window" },
	[EVALUATE] = { "evaluate", "evaluation of the window" },
	[CLEAR] = { "clear", "clearing of the drained tables" },
	[WHOLE] = { "whole", "all of closing and evaluating" },
};

struct closing {
	uint8_t family;
	unsigned int cpus; /* that sources arrive on, the first so many */
	struct bench_path path;
	struct bench_object object;
	struct levee_bin *bin;
	struct levee_window *window;
	struct bench_samples ms[STEPS];
	struct bench_samples bin_mb;
	size_t findings;
	size_t merged;
	int64_t now_s;
};

static double now_ms(void)
{
	return bench_wall_ns() / 1e6;
}

/* Every source on every CPU, so that each has to be added up; heavy ones on the first CPU. */
static int fill(struct closing *c)
{
	struct bench_subject s = { .name = "closing",
				   .program = bench_object_program(&c->object, "bench_levee"),
				   .source = c->object.source,
				   .family = c->family,
				   .sources = SOURCES,
				   .verdict = XDP_PASS };
	int ret = 0;

	for (unsigned int cpu = 0; cpu < c->cpus && !ret; cpu++) {
		ret = bench_pin(cpu);
		if (!ret)
			ret = bench_subject_fill(&s);
	}
	s.sources = HEAVY;
	s.repeat = HEAVY_SENDS;
	return ret ? ret : bench_subject_run_now(&s);
}

static int throw_away(void *ctx, const struct levee_prefix *source,
		      const struct levee_counts *counts)
{
	(void)ctx, (void)source, (void)counts;
	return 0;
}

static int add_up(void *ctx, const struct levee_prefix *source, const struct levee_counts *counts)
{
	return levee_bin_add(ctx, source, counts->packets, counts->bytes);
}

/* \return 0; -errno. *ms is the time until the drain is done; the epoch is not released. */
static int drain(struct closing *c, const struct levee_sink *sink, double *ms)
{
	struct levee_drained drained;
	double begin = now_ms();
	int ret = levee_dataplane_drain(c->path.dp, 0, sink, &drained);

	*ms = now_ms() - begin;
	return ret;
}

static int measure_drain(struct closing *c, enum step step)
{
	struct levee_sink sink = { .source = throw_away };
	double ms;
	int ret = drain(c, &sink, &ms);

	if (!ret)
		levee_dataplane_release(c->path.dp);
	bench_add(&c->ms[step], ms);
	return ret;
}

/* Memory of this process that is no file's and no map's [KB]; 0 if the kernel does not say. */
static double anonymous_kb(void)
{
	FILE *in = fopen("/proc/self/status", "re");
	unsigned long kb = 0;
	char line[128];

	while (in && fgets(line, sizeof(line), in))
		if (sscanf(line, "RssAnon: %lu", &kb) == 1)
			break;
	if (in)
		fclose(in);
	return (double)kb;
}

static int evaluate(struct closing *c)
{
	struct levee_detect_params params = { .min_zscore = 3.0, .min_packets = MIN_PACKETS };
	struct levee_evaluation e;
	int ret;

	levee_window_advance(c->window, c->now_s);
	ret = levee_detector_zscore.evaluate(c->window, NULL, c->now_s, &params, &e);
	if (ret)
		return ret;
	c->findings = e.n_findings;
	levee_evaluation_clear(&e);
	return 0;
}

/* One bin's close as the controller does it, the window being full of such bins. */
static int close_bin(struct closing *c)
{
	double before_kb = anonymous_kb();
	struct levee_sink sink = { .source = add_up, .ctx = c->bin };
	struct levee_bin_record record;
	double at[STEPS + 1] = { 0 };
	int ret = drain(c, &sink, &at[MERGE]);

	if (ret)
		return ret;
	bench_add(&c->bin_mb, (anonymous_kb() - before_kb) * 1024 / 1e6);
	c->merged = levee_bin_sources(c->bin);
	at[RECORD] = now_ms();
	ret = levee_bin_record_make(&record, c->bin, c->now_s, MIN_PACKETS);
	at[PUSH] = now_ms();
	if (!ret) {
		ret = levee_window_push(c->window, &record);
		levee_bin_record_clear(&record);
	}
	c->now_s += BIN_S;
	at[EVALUATE] = now_ms();
	if (!ret)
		ret = evaluate(c);
	at[CLEAR] = now_ms();
	levee_dataplane_release(c->path.dp);
	at[STEPS] = now_ms();
	levee_bin_reset(c->bin);
	bench_add(&c->ms[MERGE], at[MERGE]);
	bench_add(&c->ms[RECORD], at[PUSH] - at[RECORD]);
	bench_add(&c->ms[PUSH], at[EVALUATE] - at[PUSH]);
	bench_add(&c->ms[EVALUATE], at[CLEAR] - at[EVALUATE]);
	bench_add(&c->ms[CLEAR], at[STEPS] - at[CLEAR]);
	bench_add(&c->ms[WHOLE], at[MERGE] + at[STEPS] - at[RECORD]);
	return ret;
}

/* 59 bins like the ones that are to come. */
static int fill_window(struct closing *c)
{
	struct levee_sink sink = { .source = add_up, .ctx = c->bin };
	double ms;
	int ret = fill(c);

	if (!ret)
		ret = bench_path_next_epoch(&c->path);
	if (!ret)
		ret = fill(c);
	if (!ret)
		ret = drain(c, &sink, &ms);
	levee_dataplane_release(c->path.dp);
	for (int i = 0; i < WINDOW_S / BIN_S - 1 && !ret; i++, c->now_s += BIN_S) {
		struct levee_bin_record record;

		ret = levee_bin_record_make(&record, c->bin, c->now_s, MIN_PACKETS);
		if (ret)
			break;
		ret = levee_window_push(c->window, &record);
		levee_bin_record_clear(&record);
	}
	levee_bin_reset(c->bin);
	return ret;
}

static int open_closing(struct closing *c)
{
	struct bench_path_options options = { .sources = 2 * SOURCES, .sources6 = 2 * SOURCES };
	int ret = bench_path_open(&c->path, &options);

	c->cpus = (unsigned int)libbpf_num_possible_cpus();
	if (c->cpus > 2)
		c->cpus = 2;
	c->now_s = 1767225600; /* 2026-01-01 */
	c->bin = levee_bin_new(1 << 22);
	c->window = levee_window_new(BIN_S, WINDOW_S);
	if (!ret && (!c->bin || !c->window))
		ret = -ENOMEM;
	if (!ret)
		ret = bench_object_load(&c->object, &c->path, NULL, "bench_levee",
					BENCH_LENGTH_SEEN);
	return ret;
}

static void close_closing(struct closing *c)
{
	bench_object_close(&c->object);
	bench_path_close(&c->path);
	levee_bin_free(&c->bin);
	levee_window_free(&c->window);
}

static void report_closing(const struct closing *c, struct bench_report *report)
{
	struct bench_samples window_kb = { 0 };
	int family = c->family;
	char text[128], key[64];

	snprintf(text, sizeof(text), "Closing a bin of 1 M IPv%d sources, on each of %u CPUs",
		 family, c->cpus);
	snprintf(key, sizeof(key), "closing.ipv%d", family);
	bench_section(report, key, text,
		      "wall time; the window holds 60 such bins; 128 sources above the minimum");
	for (int i = 0; i < STEPS; i++) {
		snprintf(key, sizeof(key), "closing.ipv%d.%s", family, step_table[i].key);
		bench_report_figure(report, "ms", &c->ms[i], key, "%s", step_table[i].label);
	}
	snprintf(key, sizeof(key), "closing.ipv%d.bin_mb", family);
	bench_note(bench_report_figure(report, "MB", &c->bin_mb, key, "memory of the running bin"),
		   "%zu sources", c->merged);
	snprintf(key, sizeof(key), "closing.ipv%d.window_kb", family);
	bench_add(&window_kb, (double)levee_window_memory(c->window) / 1e3);
	bench_note(bench_report_figure(report, "KB", &window_kb, key,
				       "memory of the window of %zu bins",
				       levee_window_bins(c->window)),
		   "%zu sources flagged", c->findings);
}

static int close_family(struct bench_run *run, uint8_t family)
{
	struct closing *c = &(struct closing){ .family = family };
	int ret = open_closing(c);

	if (!ret)
		ret = fill_window(c);
	for (unsigned int round = 0; bench_again(run, round, CLOSE_ROUNDS) && !ret; round++) {
		bench_progress("closing a bin, IPv%d: round %u", family, round + 1);
		ret = fill(c);
		if (!ret)
			ret = measure_drain(c, DRAIN);
		if (!ret)
			ret = fill(c);
		if (!ret)
			ret = close_bin(c);
	}
	/* Last, because the daemon makes the tables small after it. */
	for (unsigned int round = 0; bench_again(run, round, CLOSE_ROUNDS) && !ret; round++)
		ret = measure_drain(c, FENCE);
	bench_pin(run->cpu);
	if (ret)
		bench_complain("closing a bin cannot be measured: %s", strerror(-ret));
	else
		report_closing(c, &run->report);
	close_closing(c);
	return ret;
}

int bench_closing(struct bench_run *run)
{
	int ret = close_family(run, 4);

	return ret ? ret : close_family(run, 6);
}

/* ---- pressure ---------------------------------------------------------------------------- */

#define FLOOD_SLOTS  (1 << 18) /* [data_path] sources by default */
#define FLOOD_ROUNDS 15

struct pressure {
	struct bench_path path;
	struct bench_object object;
	struct bench_subject flood;
	unsigned int cpu;
	int ret; /* of the flood's thread */
};

/* Never-repeated sources, until the log is somewhat more than half full. */
static void *flood(void *ctx)
{
	struct pressure *p = ctx;

	bench_pin(p->cpu);
	p->ret = bench_subject_run_now(&p->flood);
	return NULL;
}

/* One event, from the packet that raises it to the drained tables. */
static int run_pressure(struct pressure *p, struct bench_samples *wake, struct bench_samples *done)
{
	struct levee_sink sink = { .source = throw_away };
	double woken = 0, drained_at = 0, raised;
	struct levee_drained drained;
	struct levee_dp_event event;
	pthread_t thread;
	int ret;

	p->object.source->event_ns = 0;
	ret = -pthread_create(&thread, NULL, flood, p);
	if (ret)
		return ret;
	ret = levee_dataplane_wait(p->path.dp, (uint64_t)bench_wall_ns() + 10 * LEVEE_NS_PER_S,
				   &event);
	woken = bench_wall_ns();
	if (!ret && event.type != LEVEE_DP_PRESSURE)
		ret = -ETIMEDOUT;
	if (!ret)
		ret = levee_dataplane_drain(p->path.dp, 0, &sink, &drained);
	drained_at = bench_wall_ns();
	levee_dataplane_release(p->path.dp);
	pthread_join(thread, NULL);
	if (!ret)
		ret = bench_path_next_epoch(&p->path); /* what came after the event */
	raised = (double)p->object.source->event_ns;
	bench_add(wake, (woken - raised) / 1e3);
	bench_add(done, (drained_at - raised) / 1e6);
	return ret ? ret : p->ret;
}

static int open_pressure(struct pressure *p)
{
	struct bench_path_options options = { .sources = FLOOD_SLOTS, .sources6 = 1 << 16 };
	int ret = bench_path_open(&p->path, &options);

	if (!ret)
		ret = bench_object_load(&p->object, &p->path, NULL, "bench_pressure",
					BENCH_LENGTH_SEEN);
	if (ret)
		return ret;
	p->flood = (struct bench_subject){
		.name = "flood",
		.program = bench_object_program(&p->object, "bench_pressure"),
		.source = p->object.source,
		.family = 4,
		.kind = BENCH_NEW,
		.repeat = FLOOD_SLOTS + FLOOD_SLOTS * 3 / 8,
		.verdict = XDP_PASS,
	};
	return 0;
}

int bench_pressure(struct bench_run *run)
{
	struct pressure *p = &(struct pressure){ .cpu = run->cpu };
	struct bench_samples wake = { 0 }, done = { 0 };
	int ret = open_pressure(p);

	bench_progress("eviction log half full");
	/* The controller waits elsewhere, if there is an elsewhere. */
	bench_pin(0);
	for (unsigned int round = 0; bench_again(run, round, FLOOD_ROUNDS) && !ret; round++)
		ret = run_pressure(p, &wake, &done);
	bench_pin(run->cpu);
	if (ret) {
		bench_complain("the pressure path cannot be measured: %s", strerror(-ret));
	} else {
		bench_section(&run->report, "pressure", "Eviction log half full",
			      "a flood of new sources on one CPU, the controller on another; 256 k "
			      "slots and 128 k log entries, the default");
		bench_report_figure(&run->report, "us", &wake, "pressure.wake",
				    "from the packet to the controller");
		bench_report_figure(&run->report, "ms", &done, "pressure.drained",
				    "from the packet to the drained tables");
	}
	bench_object_close(&p->object);
	bench_path_close(&p->path);
	return ret;
}
