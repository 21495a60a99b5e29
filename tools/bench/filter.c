/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xdp-filter, of the distribution's xdp-tools, on the same packets. It comes as an object file
 * only, so the generator calls it, and Levee in the same way, by a tail call. Cost is gross: the
 * generator, the tail call and the whole program.
 */
#include <errno.h>
#include <glob.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "tools/bench/path.h"
#include "tools/bench/sections.h"

#define SOURCES 65536

/* A value of its maps: flags, then a counter. Bit 0: the address is denied as a source. */
#define FILTER_DENY_SOURCE 1ULL

struct filter {
	char file[256];
	char why_not[256]; /* "" if it can be measured */
	struct bpf_object *object;
	int program;
	struct bench_path path[2]; /* of many sources; of the constant packet's alone */
	struct bench_object levee[2];
	struct bench_object peers[2]; /* one with each program behind the tail call */
};

/* Passes what no rule denies, by source or destination address: `xdp-filter load -f ipv4,ipv6`. */
static int find_file(struct filter *f)
{
	static const char *const patterns[] = { "/usr/lib*/bpf/xdpfilt_alw_ip.o",
						"/usr/lib/*/bpf/xdpfilt_alw_ip.o" };
	glob_t found = { 0 };

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		glob(patterns[i], i ? GLOB_APPEND : 0, NULL, &found);
	if (found.gl_pathc)
		snprintf(f->file, sizeof(f->file), "%s", found.gl_pathv[0]);
	globfree(&found);
	if (f->file[0])
		return 0;
	snprintf(f->why_not, sizeof(f->why_not),
		 "xdp-filter is not measured: no xdpfilt_alw_ip.o here; the package xdp-tools has "
		 "it");
	return -ENOENT;
}

/* Without libxdp: as a program of its own, its maps pinned nowhere. */
static int load_file(struct filter *f)
{
	struct bpf_program *program;
	struct bpf_map *map;
	int ret;

	f->object = bpf_object__open_file(f->file, NULL);
	ret = f->object ? 0 : -errno;
	if (!ret) {
		bpf_object__for_each_map(map, f->object) bpf_map__set_pin_path(map, NULL);
		program = bpf_object__next_program(f->object, NULL);
		bpf_program__set_type(program, BPF_PROG_TYPE_XDP);
		bpf_program__set_flags(program, BPF_F_XDP_HAS_FRAGS);
		ret = bpf_object__load(f->object);
		f->program = ret ? -1 : bpf_program__fd(program);
	}
	if (ret)
		snprintf(f->why_not, sizeof(f->why_not),
			 "xdp-filter is not measured: %.120s cannot be loaded by libbpf alone: %s",
			 f->file, strerror(-ret));
	return ret;
}

static int deny(const struct filter *f, uint8_t family)
{
	unsigned int cpus = (unsigned int)libbpf_num_possible_cpus();
	struct bpf_map *map = bpf_object__find_map_by_name(f->object, family == 4 ? "filter_ipv4"
										  : "filter_ipv6");
	__u64 *value = calloc(cpus, sizeof(*value));
	int ret = value && map ? 0 : -ENOMEM;

	for (unsigned int cpu = 0; cpu < cpus && value; cpu++)
		value[cpu] = FILTER_DENY_SOURCE;
	for (uint64_t n = 0; n < BENCH_BLOCKED && !ret; n++) {
		struct levee_prefix p = bench_nth_source(family, BENCH_BLOCKED_SOURCE, n);
		/* The frame's lower half of an IPv6 address is 0. */
		__be64 key6[2] = { levee_be64(p.hi), 0 };
		__be32 key4 = levee_be32((uint32_t)p.hi);

		if (bpf_map_update_elem(bpf_map__fd(map), family == 4 ? (const void *)&key4 : key6,
					value, BPF_ANY))
			ret = -errno;
	}
	free(value);
	return ret;
}

static int set_next(const struct bench_object *peers, int program)
{
	int fd = bpf_object__find_map_fd_by_name(peers->object, "next");
	uint32_t zero = 0;

	return bpf_map_update_elem(fd, &zero, &program, BPF_ANY) ? -errno : 0;
}

static int open_filter(struct filter *f)
{
	int ret = find_file(f);

	if (!ret)
		ret = load_file(f);
	if (!ret)
		ret = deny(f, 4);
	if (!ret)
		ret = deny(f, 6);
	if (!ret)
		ret = bench_peers_load(&f->peers[1]);
	if (!ret)
		ret = set_next(&f->peers[1], f->program);
	if (ret && !f->why_not[0])
		snprintf(f->why_not, sizeof(f->why_not),
			 "xdp-filter is not measured: setting it up failed: %s", strerror(-ret));
	return ret;
}

static int open_levee(struct filter *f)
{
	struct bench_path_options options = { .sources = 1 << 18,
					      .sources6 = 1 << 18,
					      .policy = true };
	int ret = 0;

	for (unsigned int i = 0; i < 2 && !ret; i++) {
		ret = bench_path_open(&f->path[i], &options);
		if (!ret)
			ret = bench_object_load(&f->levee[i], &f->path[i], NULL, "bench_plain",
						BENCH_LENGTH_SEEN);
	}
	if (!ret)
		ret = bench_peers_load(&f->peers[0]);
	return ret ? ret
		   : set_next(&f->peers[0], bench_object_program(&f->levee[0], "bench_plain"));
}

static void close_all(struct filter *f)
{
	bpf_object__close(f->object);
	bench_object_close(&f->peers[0]);
	bench_object_close(&f->peers[1]);
	for (unsigned int i = 0; i < 2; i++) {
		bench_object_close(&f->levee[i]);
		bench_path_close(&f->path[i]);
	}
}

/* ---- what is compared -------------------------------------------------------------------- */

static const struct {
	const char *key;
	const char *label;
	enum bench_kind kind;
	uint64_t sources; /* 0: the constant packet, without generator and tail call */
	uint32_t verdict;
	double limit[2]; /* of the ratio, IPv4 and IPv6 */
} cases[] = {
	{ "constant", "constant packet", BENCH_PLAIN, 0, XDP_PASS, { 0.6, 0.6 } },
	{ "miss", "not denied, 64 k sources", BENCH_PLAIN, SOURCES, XDP_PASS, { 0.8, 1.0 } },
	{ "hit", "denied source", BENCH_BLOCKED_SOURCE, 512, XDP_DROP, { 0.75, 0.8 } },
};

#define CASES (sizeof(cases) / sizeof(cases[0]))
#define WAYS  4 /* Levee, IPv4 and IPv6; xdp-filter, IPv4 and IPv6 */

static struct bench_subject make_subject(const struct filter *f, size_t c, unsigned int way)
{
	bool theirs = way >= 2;
	struct bench_subject s = { .name = theirs ? "xdp-filter" : "levee",
				   .family = way % 2 ? 6 : 4,
				   .kind = cases[c].kind,
				   .sources = cases[c].sources ? cases[c].sources : 1,
				   .repeat = 300000,
				   .warm = 100000,
				   .verdict = cases[c].verdict };

	if (cases[c].sources) {
		s.program = bench_object_program(&f->peers[theirs], "bench_call");
		s.source = f->peers[theirs].source;
	} else {
		s.program = theirs ? f->program : bench_object_program(&f->levee[1], "bench_plain");
	}
	return s;
}

static const char *key_of(size_t c, unsigned int is6, const char *what)
{
	static char key[64];

	snprintf(key, sizeof(key), "xdp_filter.%s.ipv%d.%s", cases[c].key, is6 ? 6 : 4, what);
	return key;
}

static void report_all(const struct bench_subject *s, struct bench_report *report)
{
	bench_section(report, "xdp_filter", "Beside xdp-filter (deny by source address), gross",
		      "1,000 denied sources on both sides; Levee has 1,000 blocked and 10 allowed "
		      "prefixes besides, and counts; xdp-filter with its features ipv4 and ipv6");
	for (size_t c = 0; c < CASES; c++)
		for (unsigned int i = 0; i < 2; i++) {
			const struct bench_subject *ours = &s[c * WAYS + i];
			struct bench_samples ratio = bench_ratio(&ours->ns, &ours[2].ns);
			const char *family = i ? "IPv6" : "IPv4";

			bench_report_figure(report, "ns gross", &ours->ns, key_of(c, i, "levee"),
					    "%s, %s, Levee", family, cases[c].label);
			bench_report_figure(report, "ns gross", &ours[2].ns, key_of(c, i, "peer"),
					    "%s, %s, xdp-filter", family, cases[c].label);
			bench_limit(bench_report_figure(
					    report, "ratio", &ratio, key_of(c, i, "ratio"),
					    "%s, %s, Levee to xdp-filter", family, cases[c].label),
				    cases[c].limit[i]);
		}
}

static int measure(struct bench_run *run, struct filter *f)
{
	struct bench_subject s[CASES * WAYS];
	int ret = 0;

	for (size_t c = 0; c < CASES; c++)
		for (unsigned int way = 0; way < WAYS; way++)
			s[c * WAYS + way] = make_subject(f, c, way);
	/* Twice, so that the tables are of the size that the daemon gives to so many. */
	for (int turn = 0; turn < 2 && !ret; turn++) {
		for (unsigned int i = 0; i < 2 && turn && !ret; i++)
			ret = bench_path_next_epoch(&f->path[i]);
		for (size_t i = 0; i < CASES * WAYS && !ret; i++)
			ret = bench_subject_fill(&s[i]);
	}
	for (unsigned int round = 0; bench_again(run, round, run->rounds) && !ret; round++) {
		bench_progress("xdp-filter: round %u", round + 1);
		ret = bench_round(s, CASES * WAYS, round);
	}
	if (!ret)
		report_all(s, &run->report);
	return ret;
}

int bench_filter(struct bench_run *run)
{
	struct filter *f = &(struct filter){ .program = -1 };
	int ret;

	if (open_filter(f)) {
		bench_section(&run->report, "xdp_filter", "Beside xdp-filter", "");
		bench_remark(&run->report, "xdp_filter.missing", f->why_not);
		close_all(f);
		return 0;
	}
	ret = open_levee(f);
	if (!ret)
		ret = measure(run, f);
	close_all(f);
	return ret;
}
