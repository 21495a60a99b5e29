/* SPDX-License-Identifier: BSD-2-Clause */
/* ns a packet for sources that are there already, by how many there are. */
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

#include "tools/bench/path.h"
#include "tools/bench/sections.h"

/* Packets before a sample: the sources are there, and as much of the tables in cache as stays. */
#define WARM_MAX 300000

/* What may stand in front of the sources, and how the tables are sized. */
enum variant {
	FULL, /* the daemon's program with the policy of the issue, tables sized by the daemon */
	NO_POLICY,
	SCOPE,	 /* a policy, and one port in scope */
	CALL,	 /* as FULL, in the program for kernels before 6.2 */
	LINEAR,	 /* as FULL, in a program for linear frames only */
	UNSIZED, /* as FULL, tables of the default size and all of it in use */
	VARIANTS
};

static const struct {
	const char *key;
	const char *label;
	bool policy;
	bool scope;
	bool sized;
	enum bench_length length;
} variant_table[VARIANTS] = {
	[FULL] = { "full", "full program", true, false, true, BENCH_LENGTH_SEEN },
	[NO_POLICY] = { "no_policy", "no blocked, no allowed prefix", false, false, true,
			BENCH_LENGTH_SEEN },
	[SCOPE] = { "scope", "full program, scope of one UDP port", true, true, true,
		    BENCH_LENGTH_SEEN },
	[CALL] = { "length_by_call", "full program for kernels before 6.2", true, false, true,
		   BENCH_LENGTH_CALL },
	[LINEAR] = { "linear", "full program, linear frames only", true, false, true,
		     BENCH_LENGTH_LINEAR },
	[UNSIZED] = { "unsized", "full program, tables of the default size", true, false, false,
		      BENCH_LENGTH_SEEN },
};

/* What stays the same over a group of interleaved rounds. */
enum subject_nr {
	DROP,
	PARSE4,
	PARSE6,
	PERCPU,
	LRU,
	LEVEE,				/* 2 * variant; plus 1 for IPv6 */
	AGAINST = LEVEE + 2 * VARIANTS, /* another build of FULL, IPv4 and IPv6 */
	SUBJECTS = AGAINST + 2
};

struct group {
	uint64_t sources;
	struct bench_path path[VARIANTS];
	struct bench_object object[VARIANTS];
	struct bench_object against;
	struct bench_object peers;
	struct bench_subject subject[SUBJECTS];
	size_t n_subjects;
};

static uint64_t max_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct bench_subject make_subject(const struct group *g, const char *name,
					 const struct bench_object *object, const char *program,
					 uint8_t family)
{
	return (struct bench_subject){
		.name = name,
		.program = bench_object_program(object, program),
		.source = object->source,
		.family = family,
		.sources = g->sources,
		.repeat = 300000,
		.warm = min_of(max_of(100000, 2 * g->sources), WARM_MAX),
		.verdict = XDP_PASS,
	};
}

static int open_variant(struct group *g, enum variant v)
{
	uint64_t slots = max_of(2 * g->sources, 1 << 18);
	struct bench_path_options options = {
		.sources = variant_table[v].sized ? slots : 1 << 18,
		.sources6 = variant_table[v].sized ? slots : 1 << 16,
		.policy = variant_table[v].policy,
		.scope = variant_table[v].scope,
	};
	const struct bench_path *path = &g->path[v];
	int ret = 0;

	if (v == CALL || v == LINEAR)
		path = &g->path[FULL]; /* the same tables */
	else
		ret = bench_path_open(&g->path[v], &options);
	if (!ret)
		ret = bench_object_load(&g->object[v], path, NULL, "bench_levee",
					variant_table[v].length);
	for (unsigned int i = 0; i < 2 && !ret; i++)
		g->subject[LEVEE + 2 * v + i] = make_subject(
			g, variant_table[v].label, &g->object[v], "bench_levee", i ? 6 : 4);
	return ret;
}

static int open_group(struct group *g, const char *against)
{
	int ret = bench_peers_load(&g->peers);

	if (ret)
		return ret;
	g->subject[DROP] = make_subject(g, "drop", &g->peers, "bench_drop", 4);
	g->subject[DROP].verdict = XDP_DROP;
	g->subject[PARSE4] = make_subject(g, "parse", &g->peers, "bench_parse", 4);
	g->subject[PARSE6] = make_subject(g, "parse", &g->peers, "bench_parse", 6);
	g->subject[PERCPU] = make_subject(g, "PERCPU_HASH", &g->peers, "bench_percpu_hash", 4);
	g->subject[LRU] = make_subject(g, "LRU_PERCPU_HASH", &g->peers, "bench_lru_hash", 4);
	for (int v = 0; v < VARIANTS && !ret; v++)
		ret = open_variant(g, (enum variant)v);
	g->n_subjects = AGAINST;
	if (ret || !against)
		return ret;
	ret = bench_object_load(&g->against, &g->path[FULL], against, "bench_levee",
				BENCH_LENGTH_SEEN);
	for (unsigned int i = 0; i < 2 && !ret; i++)
		g->subject[g->n_subjects++] = make_subject(g, against, &g->against, "bench_levee",
							   i ? 6 : 4);
	return ret;
}

static void close_group(struct group *g)
{
	for (int v = 0; v < VARIANTS; v++) {
		bench_object_close(&g->object[v]);
		bench_path_close(&g->path[v]);
	}
	bench_object_close(&g->against);
	bench_object_close(&g->peers);
}

/* Every source once; where the daemon sizes tables, once more into what it has made of that. */
static int fill_group(struct group *g)
{
	int ret = 0;

	for (size_t i = 0; i < g->n_subjects && !ret; i++)
		ret = bench_subject_fill(&g->subject[i]);
	for (int v = 0; v < VARIANTS && !ret; v++)
		if (variant_table[v].sized && g->path[v].dp)
			ret = bench_path_next_epoch(&g->path[v]);
	for (size_t i = 0; i < g->n_subjects && !ret; i++)
		ret = bench_subject_fill(&g->subject[i]);
	return ret;
}

/* ---- reporting --------------------------------------------------------------------------- */

static const char *say_sources(uint64_t n)
{
	static char text[32];

	if (n == 1)
		return "1 source";
	if (n < 1024)
		snprintf(text, sizeof(text), "%llu sources", (unsigned long long)n);
	else if (n < 1 << 20)
		snprintf(text, sizeof(text), "%llu k sources", (unsigned long long)n >> 10);
	else
		snprintf(text, sizeof(text), "%llu M sources", (unsigned long long)n >> 20);
	return text;
}

static const char *make_key(const struct group *g, const char *what, int family)
{
	static char key[64];

	snprintf(key, sizeof(key), "counting.%llu.%s%s", (unsigned long long)g->sources, what,
		 family == 4   ? ".ipv4"
		 : family == 6 ? ".ipv6"
			       : "");
	return key;
}

static struct bench_samples net(const struct group *g, unsigned int subject)
{
	const struct bench_subject *s = &g->subject[subject];

	return bench_difference(&s->ns, &g->subject[s->family == 4 ? PARSE4 : PARSE6].ns);
}

/* The targets, for IPv4; IPv6 may take 1.6 times as long. For one source there is none. */
static double limit_ns(uint64_t sources)
{
	if (sources <= 1024)
		return 15;
	return sources <= 65536 ? 25 : 100;
}

static void report_full(const struct group *g, struct bench_report *report)
{
	struct bench_samples v4 = net(g, LEVEE + 2 * FULL), v6 = net(g, LEVEE + 2 * FULL + 1);
	struct bench_samples percpu = net(g, PERCPU), lru = net(g, LRU), ratio;
	struct bench_row *row;

	row = bench_report_figure(report, "ns net", &v4, make_key(g, "full", 4),
				  "IPv4, full program");
	if (g->sources > 1)
		bench_limit(row, limit_ns(g->sources));
	bench_report_figure(report, "ns net", &v6, make_key(g, "full", 6), "IPv6, full program");
	ratio = bench_ratio(&v6, &v4);
	row = bench_report_figure(report, "ratio", &ratio, make_key(g, "ipv6_to_ipv4", 0),
				  "IPv6 to IPv4");
	if (g->sources > 1)
		bench_limit(row, 1.6);
	bench_report_figure(report, "ns net", &percpu, make_key(g, "percpu_hash", 4),
			    "IPv4, PERCPU_HASH counter and nothing else");
	bench_report_figure(report, "ns net", &lru, make_key(g, "lru_hash", 4),
			    "IPv4, LRU_PERCPU_HASH counter and nothing else");
	ratio = bench_ratio(&v4, &percpu);
	bench_report_figure(report, "ratio", &ratio, make_key(g, "to_percpu_hash", 4),
			    "IPv4, full program to PERCPU_HASH counter");
}

static void report_variants(const struct group *g, struct bench_report *report)
{
	struct bench_samples s;

	for (int v = FULL + 1; v < VARIANTS; v++)
		for (unsigned int i = 0; i < 2; i++) {
			s = net(g, LEVEE + 2 * (unsigned int)v + i);
			bench_report_figure(report, "ns net", &s,
					    make_key(g, variant_table[v].key, i ? 6 : 4), "%s, %s",
					    i ? "IPv6" : "IPv4", variant_table[v].label);
		}
}

static void report_against(const struct group *g, struct bench_report *report)
{
	struct bench_samples s;

	for (unsigned int i = AGAINST; i < g->n_subjects; i++) {
		uint8_t family = g->subject[i].family;

		s = net(g, i);
		bench_report_figure(report, "ns net", &s, make_key(g, "against", family),
				    "%s, full program, the other build",
				    family == 4 ? "IPv4" : "IPv6");
		s = bench_difference(&g->subject[LEVEE + 2 * FULL + (family == 6)].ns,
				     &g->subject[i].ns);
		bench_report_figure(report, "ns", &s, make_key(g, "gain", family),
				    "%s, this build less the other", family == 4 ? "IPv4" : "IPv6");
	}
}

static void report_group(struct group *g, struct bench_report *report)
{
	struct levee_account account = bench_path_account(&g->path[FULL]);
	char title[96];

	snprintf(title, sizeof(title), "XDP program, %s", say_sources(g->sources));
	bench_section(report, make_key(g, "section", 0), title,
		      "net of a program that generates and parses; tables sized by the daemon; "
		      "1,000 blocked sources, 1,000 blocked prefixes and 10 allowed ones");
	report_full(g, report);
	report_variants(g, report);
	report_against(g, report);
	bench_report_figure(report, "ns gross", &g->subject[PARSE4].ns, make_key(g, "parse", 4),
			    "IPv4, generating and parsing");
	bench_report_figure(report, "ns gross", &g->subject[PARSE6].ns, make_key(g, "parse", 6),
			    "IPv6, generating and parsing");
	bench_report_figure(report, "ns gross", &g->subject[DROP].ns, make_key(g, "drop", 4),
			    "IPv4, generating and dropping");
	bench_note(bench_report_figure(report, "ns gross", &g->subject[LEVEE].ns,
				       make_key(g, "gross", 4), "IPv4, full program"),
		   "%llu evictions among %llu packets", (unsigned long long)account.evicted,
		   (unsigned long long)account.received);
}

static int run_group(struct bench_run *run, uint64_t sources)
{
	struct group *g = &(struct group){ .sources = sources };
	int ret;

	bench_progress("XDP program, %s", say_sources(sources));
	ret = open_group(g, run->against);
	if (!ret)
		ret = fill_group(g);
	for (unsigned int round = 0; bench_again(run, round, run->rounds) && !ret; round++) {
		ret = bench_round(g->subject, g->n_subjects, round);
		if (round % 3 == 0)
			bench_touch_run(&run->touch);
	}
	if (!ret)
		report_group(g, &run->report);
	close_group(g);
	return ret;
}

int bench_counting(struct bench_run *run)
{
	static const uint64_t sources[] = { 1, 1 << 10, 1 << 16, 1 << 20 };
	int ret = 0;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]) && !ret; i++)
		ret = run_group(run, sources[i]);
	return ret;
}
