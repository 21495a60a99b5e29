/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames made in the kernel: BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES runs gen.bpf.c on
 * frames of a page pool and really sends what it redirects. The call ends early when a signal
 * comes, so a watcher thread sends one at the end of each bin and when it is time to stop; the
 * program's counters then say how far the sequence came, and the sequence is known.
 */
#include "tools/pktgen/output.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <math.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/pktgen/link.h"
#include "tools/pktgen/live.h"
#include "tools/pktgen/rng.h"
/* bpftool's code is not written for our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include "tools/pktgen/gen.skel.h"
#pragma GCC diagnostic pop

#define SECOND_NS  1000000000U
#define WATCH_NS   5000000U   /* a signal is seen that late */
#define SETTLE_NS  200000000U /* for the receiver to take what is in its ring */
#define HURRY_NS   20000000U  /* the same after a signal */
#define RAMP_STEPS 10	      /* each sends twice as much as the one before */
#define RAMP_FIRST 1000
#define BATCH	   64 /* frames between two looks at the receiver's ring, of 256 */
#define FRAME_MAX  1514
#define NO_BOUND   (1ULL << 31) /* frames a call */

struct live {
	struct pktgen_run *run;
	const char *name;
	struct gen_bpf *skel;
	uint32_t length; /* of every frame [bytes] */
	uint8_t *frame;
	uint64_t counted[PKTGEN_POPULATIONS_MAX]; /* frames that are in the truth */
	uint64_t limit;				  /* frames until a spoofed population runs out */
	uint64_t start_ns, end_ns;		  /* monotonic */
	struct pktgen_link before;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t monotonic_ns)
{
	struct timespec ts = { (time_t)(monotonic_ns / SECOND_NS),
			       (long)(monotonic_ns % SECOND_NS) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* ---- the watcher ------------------------------------------------------------------------------ */

struct watcher {
	pthread_t thread, sender;
	const volatile sig_atomic_t *stop;
	const __u64 *made, *limit;    /* of the program: when all is made, it must end, too */
	_Atomic uint64_t deadline_ns; /* monotonic: when the call under way must end */
	atomic_bool done;
	bool started;
};

static void on_alarm(int number)
{
	(void)number; /* it only interrupts */
}

static bool is_all_made(const struct watcher *w)
{
	return levee_read_once(*w->made) >= levee_read_once(*w->limit);
}

static void *watch(void *context)
{
	struct watcher *w = context;

	while (!atomic_load(&w->done)) {
		uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
		uint64_t deadline_ns = atomic_load(&w->deadline_ns);

		/* Again and again: the first may come just before the call. */
		if (*w->stop || now_ns >= deadline_ns || is_all_made(w))
			pthread_kill(w->sender, SIGALRM);
		if (deadline_ns > now_ns && deadline_ns < now_ns + WATCH_NS)
			sleep_until(deadline_ns);
		else
			sleep_until(now_ns + (now_ns >= deadline_ns ? WATCH_NS / 5 : WATCH_NS));
	}
	return NULL;
}

static int start_watcher(struct watcher *w, const struct live *l)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int ret;

	sigaction(SIGALRM, &action, NULL);
	w->sender = pthread_self();
	w->stop = l->run->stop;
	w->made = &l->skel->bss->made;
	w->limit = &l->skel->bss->limit;
	atomic_store(&w->deadline_ns, UINT64_MAX);
	ret = pthread_create(&w->thread, NULL, watch, w);
	w->started = ret == 0;
	return -ret;
}

static void stop_watcher(struct watcher *w)
{
	if (!w->started)
		return;
	atomic_store(&w->done, true);
	pthread_join(w->thread, NULL);
}

/* ---- what the program is told ----------------------------------------------------------------- */

static int check_population(struct live *l, const struct pktgen_population *p)
{
	const char *what = NULL;

	if (p->distribution == PKTGEN_ZIPF || p->distribution == PKTGEN_LOGNORMAL)
		what = "its sources cannot differ in rate: set distribution = constant";
	else if (p->rotate)
		what = "it cannot rotate: set rotate = no, or spoofed = yes";
	else if (p->size == 0)
		what = "all frames are of one length: set size = 60, for one";
	if (what)
		return pktgen_fail(l->run, -EINVAL,
				   "[%s] cannot be sent with --live, %s, or use --interface",
				   p->name, what);
	if (p->size > l->length)
		l->length = p->size;
	return 0;
}

/* Rate of one form of one population, beside all others. */
static double form_rate(const struct pktgen_population *p, unsigned int form)
{
	double rate = p->spoofed ? p->rate : p->rate * (double)p->sources;

	return rate * pktgen_form_share(p, form);
}

/*
 * Templates of all forms, and how many of the schedule's entries each gets. Entries are dealt by
 * the cumulated rate, so a form too rare for one entry is left out, and rounding does not add up.
 */
static int make_templates(struct live *l, double *rate, size_t *n)
{
	const struct pktgen_scenario *s = l->run->scenario;

	for (size_t i = 0; i < s->n; i++) {
		for (unsigned int form = 0; form < PKTGEN_FORMS; form++) {
			struct pktgen_template *t = &l->skel->bss->templates[*n];

			if (!(form_rate(&s->population[i], form) > 0))
				continue;
			if (*n == PKTGEN_LIVE_TEMPLATES)
				return pktgen_fail(l->run, -E2BIG,
						   "more than %d forms of packets; use fewer "
						   "populations, protocols or options with --live",
						   PKTGEN_LIVE_TEMPLATES);
			pktgen_template_make_form(t, &s->population[i], form);
			l->skel->bss->population_of[*n] = (uint8_t)i;
			if (t->length > l->length)
				l->length = t->length;
			rate[(*n)++] = form_rate(&s->population[i], form);
		}
	}
	return 0;
}

static void make_schedule(struct live *l, const double *rate, size_t n)
{
	uint8_t *schedule = l->skel->bss->schedule;
	struct pktgen_rng rng;
	double sum = 0, so_far = 0;
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		sum += rate[i];
	for (size_t i = 0; i < n; i++) {
		so_far += rate[i];
		while (at < PKTGEN_LIVE_SCHEDULE &&
		       ((double)at + 0.5) / PKTGEN_LIVE_SCHEDULE < so_far / sum)
			schedule[at++] = (uint8_t)i;
	}
	while (at < PKTGEN_LIVE_SCHEDULE)
		schedule[at++] = (uint8_t)(n - 1);
	/* Shuffled (Fisher and Yates), so that no population sends in bursts. */
	pktgen_rng_seed(&rng, l->run->scenario->seed, 2000);
	for (size_t i = PKTGEN_LIVE_SCHEDULE - 1; i > 0; i--) {
		size_t k = pktgen_random(&rng) % (i + 1);
		uint8_t swap = schedule[i];

		schedule[i] = schedule[k];
		schedule[k] = swap;
	}
}

static int make_populations(struct live *l)
{
	const struct pktgen_scenario *s = l->run->scenario;
	uint64_t entries[PKTGEN_POPULATIONS_MAX] = { 0 };

	for (size_t i = 0; i < PKTGEN_LIVE_SCHEDULE; i++)
		entries[l->skel->bss->population_of[l->skel->bss->schedule[i]]]++;
	l->limit = UINT64_MAX;
	for (size_t i = 0; i < s->n; i++) {
		struct pktgen_live_population *p = &l->skel->bss->populations[i];

		if (entries[i] == 0)
			return pktgen_fail(l->run, -ERANGE,
					   "[%s] sends less than one packet in %d of all, too few "
					   "for --live; raise its rate",
					   s->population[i].name, PKTGEN_LIVE_SCHEDULE);
		pktgen_plan_make(&p->plan, s, i);
		p->sources = s->population[i].spoofed ? 0 : s->population[i].sources;
		p->random_port = s->population[i].source_port == 0;
		if (!p->sources && p->plan.bits < 44) {
			/* whole rounds of the schedule until its places are used up */
			uint64_t rounds = (1ULL << p->plan.bits) / entries[i];

			if (rounds * PKTGEN_LIVE_SCHEDULE < l->limit)
				l->limit = rounds * PKTGEN_LIVE_SCHEDULE;
		}
	}
	return 0;
}

static int fill_program(struct live *l)
{
	double rate[PKTGEN_LIVE_TEMPLATES];
	size_t n = 0;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < l->run->scenario->n; i++)
		ret = check_population(l, &l->run->scenario->population[i]);
	if (ret == 0)
		ret = make_templates(l, rate, &n);
	if (ret < 0)
		return ret;
	make_schedule(l, rate, n);
	if (l->length > FRAME_MAX)
		return pktgen_fail(l->run, -EMSGSIZE,
				   "%u bytes: --live sends up to %u; lessen `size`", l->length,
				   FRAME_MAX);
	return make_populations(l);
}

static int open_program(struct live *l)
{
	int ret;

	ret = pktgen_link_get(l->name, &l->before);
	if (ret < 0)
		return pktgen_fail(l->run, ret, "%s: %s", l->name, strerror(-ret));
	if (!(l->before.flags & IFF_UP))
		return pktgen_fail(l->run, -ENETDOWN, "%s is down; `ip link set %s up`", l->name,
				   l->name);
	l->skel = gen_bpf__open();
	if (!l->skel)
		return pktgen_fail(l->run, -errno, "cannot open the BPF program: %s",
				   strerror(errno));
	ret = fill_program(l);
	if (ret < 0)
		return ret;
	l->skel->bss->limit = UINT64_MAX;
	l->skel->rodata->to_ifindex = (uint32_t)l->before.index;
	l->skel->rodata->frame_length = l->length;
	l->frame = calloc(1, l->length);
	if (!l->frame)
		return pktgen_fail(l->run, -ENOMEM, "no memory");
	ret = gen_bpf__load(l->skel);
	if (ret < 0)
		return pktgen_fail(
			l->run, ret,
			"the kernel does not load the frame maker: %s; it needs root and "
			"Linux 5.18 or later",
			strerror(-ret));
	return 0;
}

/* ---- sending ---------------------------------------------------------------------------------- */

/* Put into the truth what the program made since the last look. */
static int note_made(struct live *l, uint64_t unix_ns)
{
	const struct pktgen_scenario *s = l->run->scenario;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < s->n; i++) {
		uint64_t count = levee_read_once(l->skel->bss->populations[i].count);
		uint64_t n = count - l->counted[i];

		ret = pktgen_truth_add_round(l->run->truth, unix_ns, (uint32_t)i, l->counted[i], n,
					     l->length);
		l->counted[i] = count;
		l->run->packets += n;
	}
	if (ret < 0)
		return pktgen_fail(l->run, ret, "cannot write the truth: %s", strerror(-ret));
	return 0;
}

/* One call: n frames, or fewer if the watcher ends it. */
static int make_frames(struct live *l, uint64_t n)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = l->frame, .data_size_in = l->length,
		    .repeat = (int)(n < NO_BOUND ? n : NO_BOUND - 1),
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
	uint64_t unix_ns = clock_ns(CLOCK_REALTIME);
	int ret = bpf_prog_test_run_opts(bpf_program__fd(l->skel->progs.make_frame), &opts);
	int noted = note_made(l, unix_ns);

	if (ret < 0 && ret != -EINTR && ret != -EAGAIN)
		return pktgen_fail(l->run, ret,
				   "the kernel does not run live frames: %s; they need Linux 5.18 "
				   "or later",
				   strerror(-ret));
	return noted;
}

/* Monotonic time of the end of the bin that is open now. */
static uint64_t bin_end(const struct live *l)
{
	uint64_t bin_ns = (uint64_t)l->run->scenario->bin_s * SECOND_NS;

	return clock_ns(CLOCK_MONOTONIC) + bin_ns - clock_ns(CLOCK_REALTIME) % bin_ns;
}

/*
 * How many frames the next call makes, when it may begin, and when it must end: a ramp has steps,
 * of frames if there is no rate, else of time at a part of the rate.
 */
static uint64_t plan_call(struct live *l, unsigned int call, uint64_t *begin_ns, uint64_t *end_ns)
{
	const struct pktgen_run *run = l->run;
	uint64_t left = run->max_packets < l->limit ? run->max_packets : l->limit;
	uint64_t step_ns = (uint64_t)(run->ramp_s * 1e9 / RAMP_STEPS), n = NO_BOUND;
	bool ramp = step_ns > 0 && call < RAMP_STEPS;
	double rate = ramp ? ldexp(run->rate, (int)call - RAMP_STEPS) : run->rate;

	*begin_ns = l->start_ns + (ramp ? step_ns * call : 0);
	*end_ns = bin_end(l);
	if (*end_ns > l->end_ns)
		*end_ns = l->end_ns;
	l->skel->bss->limit = left;
	if (rate > 0) {
		l->skel->bss->gap = (uint64_t)(64e9 / rate);
		if (ramp && *end_ns > *begin_ns + step_ns)
			*end_ns = *begin_ns + step_ns;
		return n;
	}
	if (ramp)
		n = RAMP_FIRST << call;
	return n < left - run->packets ? n : left - run->packets;
}

static bool is_over(const struct live *l)
{
	const struct pktgen_run *run = l->run;

	return *run->stop || run->packets >= run->max_packets || run->packets >= l->limit ||
	       clock_ns(CLOCK_MONOTONIC) >= l->end_ns;
}

/* Nap until begin_ns; a signal is seen within WATCH_NS. */
static void nap_until(const struct live *l, uint64_t begin_ns)
{
	while (!is_over(l) && clock_ns(CLOCK_MONOTONIC) < begin_ns)
		sleep_until(begin_ns < l->end_ns ? begin_ns : l->end_ns);
}

/* Frames that arrived, once the receiver has emptied its ring. */
static uint64_t count_taken(struct live *l)
{
	uint64_t begin_ns = clock_ns(CLOCK_MONOTONIC), taken;
	struct pktgen_link now;

	do {
		if (pktgen_link_get(l->name, &now) < 0)
			return 0;
		taken = now.tx_packets - l->before.tx_packets;
		if (taken >= l->run->packets)
			break;
		sleep_until(clock_ns(CLOCK_MONOTONIC) + WATCH_NS);
	} while (clock_ns(CLOCK_MONOTONIC) - begin_ns < (*l->run->stop ? HURRY_NS : SETTLE_NS));
	return taken;
}

static int check_taken(struct live *l)
{
	if (count_taken(l) > 0 || *l->run->stop)
		return 0;
	return pktgen_fail(l->run, -ENXIO,
			   "none of %llu frames arrived at the other end of %s; attach an XDP "
			   "program there, or `ethtool -K PEER gro on`, and set it up",
			   (unsigned long long)l->run->packets, l->name);
}

static int send_all(struct live *l, struct watcher *w)
{
	bool checked = false;
	int ret = 0;

	for (unsigned int call = 0; ret == 0 && !is_over(l); call++) {
		uint64_t begin_ns, end_ns, n = plan_call(l, call, &begin_ns, &end_ns);

		/* The alarm must not disturb naps, and a call ends with its bin. */
		atomic_store(&w->deadline_ns, UINT64_MAX);
		nap_until(l, begin_ns);
		if (n == 0 || is_over(l))
			continue;
		atomic_store(&w->deadline_ns, end_ns);
		ret = make_frames(l, n);
		if (ret == 0 && !checked && l->run->packets > 0) {
			checked = true;
			ret = check_taken(l);
		}
	}
	return ret;
}

int pktgen_output_live(struct pktgen_run *run, const char *name)
{
	struct watcher w = { .stop = run->stop };
	struct live l = { .run = run, .name = name };
	double length_s = run->max_s;
	int ret = open_program(&l);

	if (ret < 0)
		goto cleanup;
	ret = start_watcher(&w, &l);
	if (ret < 0) {
		pktgen_fail(run, ret, "cannot start a thread: %s", strerror(-ret));
		goto cleanup;
	}
	if (run->scenario->duration_s < length_s)
		length_s = run->scenario->duration_s;
	l.start_ns = clock_ns(CLOCK_MONOTONIC);
	l.end_ns = l.start_ns + (uint64_t)(length_s * 1e9);
	ret = send_all(&l, &w);
	run->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - l.start_ns) * 1e-9;
	stop_watcher(&w);
	if (ret == 0) {
		uint64_t taken = count_taken(&l);

		run->not_taken = taken < run->packets ? run->packets - taken : 0;
	}
cleanup:
	gen_bpf__destroy(l.skel);
	free(l.frame);
	return ret;
}
