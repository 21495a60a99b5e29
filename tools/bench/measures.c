/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What measures beyond packets and bytes cost: the same program with and without a look at TCP
 * headers ([detect] min_syns, [nacl] push_spoofable), on the same packets, interleaved. Bytes are
 * counted in any case.
 */
#include <linux/bpf.h>

#include "tools/bench/path.h"
#include "tools/bench/sections.h"

#define WARM_MAX    300000
#define MOST_FACTOR 1.1 /* of a packet's cost */

static const struct {
	const char *key;
	const char *label;
	uint8_t family;
	bool tcp;
} packet_table[] = {
	{ "tcp4", "IPv4, TCP of established flows", 4, true },
	{ "udp4", "IPv4, UDP", 4, false },
	{ "udp6", "IPv6, UDP", 6, false },
};

#define PACKETS (sizeof(packet_table) / sizeof(packet_table[0]))

/* Each kind of packet: what makes it and drops it, the program without, the program with. */
enum { DROP, WITHOUT, WITH, WAYS };

struct group {
	uint64_t sources;
	struct bench_object peers;
	struct bench_path path[WAYS]; /* of DROP: not opened */
	struct bench_object object[WAYS];
	struct bench_subject subject[PACKETS * WAYS];
};

static struct bench_subject make_subject(const struct group *g, size_t packet, int way)
{
	const struct bench_object *object = way == DROP ? &g->peers : &g->object[way];
	uint64_t warm = 2 * g->sources > 100000 ? 2 * g->sources : 100000;

	return (struct bench_subject){
		.name = packet_table[packet].label,
		.program = bench_object_program(object, way == DROP ? "bench_drop" : "bench_levee"),
		.source = object->source,
		.family = packet_table[packet].family,
		.tcp = packet_table[packet].tcp,
		.sources = g->sources,
		.repeat = 300000,
		.warm = warm < WARM_MAX ? warm : WARM_MAX,
		.verdict = way == DROP ? XDP_DROP : XDP_PASS,
	};
}

static int open_group(struct group *g)
{
	uint64_t slots = 2 * g->sources > 1 << 18 ? 2 * g->sources : 1 << 18;
	int ret = bench_peers_load(&g->peers);

	for (int way = WITHOUT; way < WAYS && !ret; way++) {
		struct bench_path_options options = {
			.sources = slots, .sources6 = slots, .policy = true, .flows = way == WITH
		};

		ret = bench_path_open(&g->path[way], &options);
		if (!ret)
			ret = bench_object_load(&g->object[way], &g->path[way], NULL, "bench_levee",
						BENCH_LENGTH_SEEN);
	}
	for (size_t packet = 0; packet < PACKETS && !ret; packet++)
		for (int way = 0; way < WAYS; way++)
			g->subject[packet * WAYS + (size_t)way] = make_subject(g, packet, way);
	return ret;
}

static void close_group(struct group *g)
{
	for (int way = WITHOUT; way < WAYS; way++) {
		bench_object_close(&g->object[way]);
		bench_path_close(&g->path[way]);
	}
	bench_object_close(&g->peers);
}

/* Every source once, and once more into tables as the daemon then sizes them. */
static int fill_group(struct group *g)
{
	int ret = 0;

	for (size_t i = 0; i < PACKETS * WAYS && !ret; i++)
		ret = bench_subject_fill(&g->subject[i]);
	for (int way = WITHOUT; way < WAYS && !ret; way++)
		ret = bench_path_next_epoch(&g->path[way]);
	for (size_t i = 0; i < PACKETS * WAYS && !ret; i++)
		ret = bench_subject_fill(&g->subject[i]);
	return ret;
}

static const char *make_key(const struct group *g, size_t packet, const char *what)
{
	static char key[64];

	snprintf(key, sizeof(key), "measures.%llu.%s%s%s", (unsigned long long)g->sources,
		 packet < PACKETS ? packet_table[packet].key : "section", *what ? "." : "", what);
	return key;
}

static void report_packet(struct group *g, struct bench_report *report, size_t packet)
{
	const struct bench_subject *s = &g->subject[packet * WAYS];
	struct bench_samples without = bench_difference(&s[WITHOUT].ns, &s[DROP].ns);
	struct bench_samples with = bench_difference(&s[WITH].ns, &s[DROP].ns);
	struct bench_samples more = bench_difference(&s[WITH].ns, &s[WITHOUT].ns);
	struct bench_samples ratio = bench_ratio(&with, &without);

	bench_report_figure(report, "ns net", &without, make_key(g, packet, "without"),
			    "%s, without", packet_table[packet].label);
	bench_report_figure(report, "ns", &more, make_key(g, packet, "more"), "%s, with: more",
			    packet_table[packet].label);
	bench_limit(bench_report_figure(report, "ratio", &ratio, make_key(g, packet, "ratio"),
					"%s, with to without", packet_table[packet].label),
		    MOST_FACTOR);
}

static int run_group(struct bench_run *run, uint64_t sources)
{
	struct group *g = &(struct group){ .sources = sources };
	char title[96];
	int ret;

	bench_progress("a look at TCP headers, %llu sources", (unsigned long long)sources);
	ret = open_group(g);
	if (!ret)
		ret = fill_group(g);
	for (unsigned int round = 0; bench_again(run, round, 2 * run->rounds) && !ret; round++)
		ret = bench_round(g->subject, PACKETS * WAYS, round);
	if (!ret) {
		snprintf(title, sizeof(title), "A look at TCP headers, %llu sources",
			 (unsigned long long)sources);
		bench_section(
			&run->report, make_key(g, PACKETS, ""), title,
			"the XDP program with and without, interleaved; net of a program that "
			"generates and drops, so a packet's parsing counts");
		for (size_t packet = 0; packet < PACKETS; packet++)
			report_packet(g, &run->report, packet);
	}
	close_group(g);
	return ret;
}

int bench_measures(struct bench_run *run)
{
	static const uint64_t sources[] = { 1 << 10, 1 << 16, 1 << 20 };
	int ret = 0;

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]) && !ret; i++)
		ret = run_group(run, sources[i]);
	return ret;
}
