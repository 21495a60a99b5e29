/* SPDX-License-Identifier: BSD-2-Clause */
/* ns a packet where a list decides, and where a source is new. */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "tools/bench/path.h"
#include "tools/bench/sections.h"

#define SLOTS	   (1 << 18) /* [data_path] sources by default */
#define SLOTS6	   (1 << 16)
#define HASH_SIZE  (2 << 20) /* entries of the hash maps in peers.bpf.c */
#define SAMPLE	   100000
#define SAMPLE_LOG 60000 /* so many evictions fit into what is left of the log */

/* Subjects of the interleaved rounds. */
enum subject_nr {
	DROP,
	PARSE4,
	PARSE6,
	MISS4,
	MISS6,
	SOURCE4,
	SOURCE6,
	PREFIX4,
	PREFIX6,
	ALLOWED4,
	ALLOWED6,
	PERCPU_NEW, /* the hash maps are full */
	LRU_NEW,
	STEADY, /* so many are measured in turn; the rest needs a table in a certain state */

	FREE = STEADY, /* a new source finds a free slot */
	LOGGED,	       /* it evicts another, which goes to the log */
	FOLDED,	       /* the log is full, too */
	FOLDED6,
	SUBJECTS
};

struct verdicts {
	struct bench_path path; /* for what is there already */
	struct bench_path flooded;
	struct bench_object object;
	struct bench_object flood;
	struct bench_object peers;
	struct bench_subject subject[SUBJECTS];
	struct bench_samples evicting; /* share of the LOGGED sources that evicted another */
};

static const struct {
	enum subject_nr nr;
	uint8_t family;
	enum bench_kind kind;
	uint64_t sources;
	uint32_t verdict;
} listed[] = {
	{ MISS4, 4, BENCH_PLAIN, 65536, XDP_PASS },
	{ MISS6, 6, BENCH_PLAIN, 65536, XDP_PASS },
	{ SOURCE4, 4, BENCH_BLOCKED_SOURCE, 512, XDP_DROP },
	{ SOURCE6, 6, BENCH_BLOCKED_SOURCE, 512, XDP_DROP },
	{ PREFIX4, 4, BENCH_BLOCKED_PREFIX, 512, XDP_DROP },
	{ PREFIX6, 6, BENCH_BLOCKED_PREFIX, 512, XDP_DROP },
	{ ALLOWED4, 4, BENCH_ALLOWED_PREFIX, 4, XDP_PASS },
	{ ALLOWED6, 6, BENCH_ALLOWED_PREFIX, 4, XDP_PASS },
};

static struct bench_subject make_subject(const char *name, const struct bench_object *object,
					 const char *program, uint8_t family)
{
	return (struct bench_subject){ .name = name,
				       .program = bench_object_program(object, program),
				       .source = object->source,
				       .family = family,
				       .sources = 65536,
				       .repeat = 2 * SAMPLE,
				       .warm = SAMPLE,
				       .verdict = XDP_PASS };
}

static struct bench_subject make_new(const char *name, const struct bench_object *object,
				     const char *program, uint8_t family)
{
	struct bench_subject s = make_subject(name, object, program, family);

	s.kind = BENCH_NEW;
	s.sources = 0;
	s.warm = 0;
	s.repeat = SAMPLE;
	return s;
}

static void make_subjects(struct verdicts *v)
{
	struct bench_subject *s = v->subject;

	s[DROP] = make_subject("drop", &v->peers, "bench_drop", 4);
	s[DROP].verdict = XDP_DROP;
	s[PARSE4] = make_subject("parse", &v->peers, "bench_parse", 4);
	s[PARSE6] = make_subject("parse", &v->peers, "bench_parse", 6);
	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++) {
		struct bench_subject *l = &s[listed[i].nr];

		*l = make_subject("hit or miss", &v->object, "bench_levee", listed[i].family);
		l->kind = listed[i].kind;
		l->sources = listed[i].sources;
		l->verdict = listed[i].verdict;
	}
	s[PERCPU_NEW] = make_new("new, PERCPU_HASH", &v->peers, "bench_percpu_hash", 4);
	s[LRU_NEW] = make_new("new, LRU_PERCPU_HASH", &v->peers, "bench_lru_hash", 4);
	s[FREE] = make_new("new, free slot", &v->flood, "bench_levee", 4);
	s[LOGGED] = make_new("new, eviction", &v->flood, "bench_levee", 4);
	s[LOGGED].repeat = SAMPLE_LOG;
	s[FOLDED] = make_new("new, log full", &v->flood, "bench_levee", 4);
	s[FOLDED6] = make_new("new, log full, IPv6", &v->flood, "bench_levee", 6);
}

static int open_all(struct verdicts *v)
{
	struct bench_path_options options = { .sources = SLOTS, .sources6 = SLOTS, .policy = true };
	int ret = bench_path_open(&v->path, &options);

	options.sources6 = SLOTS6;
	if (!ret)
		ret = bench_path_open(&v->flooded, &options);
	if (!ret)
		ret = bench_peers_load(&v->peers);
	if (!ret)
		ret = bench_object_load(&v->object, &v->path, NULL, "bench_levee",
					BENCH_LENGTH_SEEN);
	if (!ret)
		ret = bench_object_load(&v->flood, &v->flooded, NULL, "bench_levee",
					BENCH_LENGTH_SEEN);
	if (!ret)
		make_subjects(v);
	return ret;
}

static void close_all(struct verdicts *v)
{
	bench_object_close(&v->object);
	bench_object_close(&v->flood);
	bench_object_close(&v->peers);
	bench_path_close(&v->path);
	bench_path_close(&v->flooded);
}

/* Let so many new sources through, unmeasured. */
static int pour(struct bench_subject *s, uint64_t packets)
{
	struct bench_subject quiet = *s;
	int ret;

	quiet.repeat = packets;
	quiet.ns.n = 0;
	ret = bench_subject_run_now(&quiet);
	s->seed = quiet.seed;
	return ret;
}

static int fill(struct verdicts *v)
{
	int ret = 0;

	for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]) && !ret; i++)
		ret = bench_subject_fill(&v->subject[listed[i].nr]);
	if (!ret)
		ret = bench_path_next_epoch(&v->path);
	for (unsigned int i = MISS4; i <= MISS6 && !ret; i++)
		ret = bench_subject_fill(&v->subject[i]);
	if (!ret)
		ret = pour(&v->subject[PERCPU_NEW], HASH_SIZE + SAMPLE);
	if (!ret)
		ret = pour(&v->subject[LRU_NEW], HASH_SIZE + SAMPLE);
	/* After a flood the daemon opens the next epoch in full size. */
	if (!ret)
		ret = pour(&v->subject[FREE], 2 * SLOTS);
	return ret ? ret : pour(&v->subject[FOLDED6], 2 * SLOTS);
}

/* Packets evicted in the flooded path so far, folded ones included. */
static void get_evicted(struct verdicts *v, uint64_t *logged, uint64_t *folded)
{
	struct levee_account a = bench_path_account(&v->flooded);

	*logged = a.evicted;
	*folded = a.fold.n;
}

/*
 * One epoch of a flood: free slots at first, then evictions into the log (which has room for half
 * of the slots), then, table and log being full, folding. None of the sources comes twice.
 */
static int run_flood(struct verdicts *v)
{
	struct bench_subject *s = v->subject;
	uint64_t logged, folded, before;
	int ret = bench_path_next_epoch(&v->flooded);

	if (!ret)
		ret = bench_subject_run(&s[FREE]);
	s[LOGGED].seed = s[FREE].seed;
	if (!ret)
		ret = pour(&s[LOGGED], SLOTS + SLOTS / 8 - SAMPLE);
	get_evicted(v, &before, &folded);
	if (!ret)
		ret = bench_subject_run(&s[LOGGED]);
	get_evicted(v, &logged, &folded);
	bench_add(&v->evicting, (double)(logged - before) / SAMPLE_LOG);
	if (!ret && folded) {
		bench_complain("the log was full too early: %llu values folded",
			       (unsigned long long)folded);
		ret = -EPROTO;
	}
	s[FOLDED].seed = s[LOGGED].seed;
	if (!ret)
		ret = pour(&s[FOLDED], SLOTS);
	if (!ret)
		ret = bench_subject_run(&s[FOLDED]);
	s[FREE].seed = s[FOLDED].seed;
	if (!ret)
		ret = pour(&s[FOLDED6], 2 * SLOTS);
	return ret ? ret : bench_subject_run(&s[FOLDED6]);
}

/* ---- reporting --------------------------------------------------------------------------- */

static struct bench_samples net(const struct verdicts *v, enum subject_nr nr)
{
	const struct bench_subject *s = &v->subject[nr];

	return bench_difference(&s->ns, &v->subject[s->family == 4 ? PARSE4 : PARSE6].ns);
}

static const struct {
	enum subject_nr nr;
	const char *key;
	const char *label;
} rows[] = {
	{ MISS4, "miss.ipv4", "IPv4, on no list: counted, 64 k sources" },
	{ SOURCE4, "blocked_source.ipv4", "IPv4, blocked address: dropped" },
	{ PREFIX4, "blocked_prefix.ipv4", "IPv4, blocked /24: dropped" },
	{ ALLOWED4, "allowed_prefix.ipv4", "IPv4, allowed /16: passed" },
	{ MISS6, "miss.ipv6", "IPv6, on no list: counted, 64 k sources" },
	{ SOURCE6, "blocked_source.ipv6", "IPv6, blocked /64: dropped" },
	{ PREFIX6, "blocked_prefix.ipv6", "IPv6, blocked /48: dropped" },
	{ ALLOWED6, "allowed_prefix.ipv6", "IPv6, allowed /32: passed" },
	{ FREE, "new.free.ipv4", "IPv4, new source, free slot" },
	{ LOGGED, "new.logged.ipv4", "IPv4, new source, table full: evicts into the log" },
	{ FOLDED, "new.folded.ipv4", "IPv4, new source, table and log full: folds" },
	{ FOLDED6, "new.folded.ipv6", "IPv6, new source, table and log full: folds" },
	{ PERCPU_NEW, "new.percpu_hash.ipv4", "IPv4, new source, PERCPU_HASH full: lost" },
	{ LRU_NEW, "new.lru_hash.ipv4", "IPv4, new source, LRU_PERCPU_HASH full: evicts" },
};

/* Cheaper than the cheapest way in which a new source is counted. */
static void answer(const struct verdicts *v, struct bench_report *report)
{
	static const enum subject_nr news[] = { FREE, LOGGED, FOLDED };
	struct bench_samples s = net(v, SOURCE4);
	double blocked = bench_figure(&s).median, least = 0;
	enum subject_nr cheapest = FREE;
	struct bench_row *row;

	for (size_t i = 0; i < sizeof(news) / sizeof(news[0]); i++) {
		double median;

		s = net(v, news[i]);
		median = bench_figure(&s).median;
		if (i == 0 || median < least) {
			least = median;
			cheapest = news[i];
		}
	}
	row = bench_answer(report, "verdicts.blocked_below_new", blocked < least,
			   "A blocked source is dropped for less than a new one is counted");
	bench_note(row, "%.1f ns against %.1f ns (%s, the cheapest case)", blocked, least,
		   v->subject[cheapest].name);
}

static void report_all(const struct verdicts *v, struct bench_report *report)
{
	struct bench_samples s;
	struct bench_row *row;
	char key[64];

	bench_section(report, "verdicts", "XDP program, hits of the lists, and new sources",
		      "net of a program that generates and parses; tables of 256 k (IPv6: 64 k) "
		      "sources, the default; hash maps of 2 M entries");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s = net(v, rows[i].nr);
		snprintf(key, sizeof(key), "verdicts.%s", rows[i].key);
		row = bench_report_figure(report, "ns net", &s, key, "%s", rows[i].label);
		if (rows[i].nr == LOGGED)
			bench_note(row, "%.0f %% of them evict",
				   bench_figure(&v->evicting).median * 100);
	}
	s = bench_ratio(&v->subject[SOURCE4].ns, &v->subject[DROP].ns);
	bench_report_figure(report, "ratio", &s, "verdicts.drop_to_only_drop",
			    "IPv4, blocked address to a program that only drops, gross");
	answer(v, report);
}

int bench_verdicts(struct bench_run *run)
{
	struct verdicts *v = &(struct verdicts){ 0 };
	int ret = open_all(v);

	if (!ret)
		ret = fill(v);
	for (unsigned int round = 0; bench_again(run, round, run->rounds) && !ret; round++) {
		bench_progress("hits of the lists, new sources: round %u", round + 1);
		ret = bench_round(v->subject, STEADY, round);
		if (!ret)
			ret = run_flood(v);
	}
	if (!ret)
		report_all(v, &run->report);
	close_all(v);
	return ret;
}
