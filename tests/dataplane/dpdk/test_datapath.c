/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The DPDK data path on ports that need no hardware: captures in and out, and rings that the test
 * fills by hand. Needs neither root nor hugepages. What comes out is compared with the offline data
 * path on the same packets, and with a plain walk over them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#ifndef WITH_DPDK

static void dpdk_is_not_built_in(void **state)
{
	(void)state;
	print_message("# SKIP built without DPDK\n");
	skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(dpdk_is_not_built_in) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

#include <errno.h>
#include <glob.h>
#include <pcap/pcap.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/dpdk/dpdk.h"
#include "dataplane/dpdk/tables.h"
#include "dataplane/offline/offline.h"
#include "tests/dataplane/dpdk/collect.h"
#include "tests/support/frame.h"
#include "tests/support/frame_cases.h"
#include "tools/pktgen/gen.h"
#include "tools/pktgen/scenario.h"

#define SEED	    20261124U
#define DEADLINE_NS (60 * LEVEE_NS_PER_S)
#define TRACE	    60000 /* packets taken of a scenario, evenly spread over it */

struct world {
	char dir[64];
	char in[96], in2[96], out[96], back[96];
	char port[2][256];
	struct levee_dataplane *dp;
	struct collected got, want;
	char said[1024]; /* the last error or warning */
	unsigned int errors;
};

static char lcores[64];
static const char *const eal[] = { "--no-huge",	  "--no-pci", "-m",  "512",
				   "--no-shconf", "--lcores", lcores };

/* Two workers and the controller, on the CPUs that this process may use: one is enough. */
static void plan_lcores(void)
{
	cpu_set_t set;
	int cpu[2] = { -1, -1 };

	sched_getaffinity(0, sizeof(set), &set);
	for (unsigned int i = 0; i < CPU_SETSIZE && cpu[1] < 0; i++)
		if (CPU_ISSET(i, &set))
			cpu[cpu[0] >= 0] = (int)i;
	if (cpu[1] < 0)
		cpu[1] = cpu[0];
	snprintf(lcores, sizeof(lcores), "0@%d,1@%d,2@%d", cpu[0], cpu[1], cpu[0]);
}

static void say(void *ctx, enum levee_dpdk_say level, const char *message)
{
	struct world *w = ctx;

	if (level <= LEVEE_DPDK_WARNING) {
		w->errors += level == LEVEE_DPDK_ERROR;
		snprintf(w->said, sizeof(w->said), "%s", message);
		print_message("said: %s\n", message);
	}
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * LEVEE_NS_PER_S + (uint64_t)t.tv_nsec;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	*state = w;
	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/levee-dpdk-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	snprintf(w->in, sizeof(w->in), "%s/in.pcap", w->dir);
	snprintf(w->in2, sizeof(w->in2), "%s/in2.pcap", w->dir);
	snprintf(w->out, sizeof(w->out), "%s/out.pcap", w->dir);
	snprintf(w->back, sizeof(w->back), "%s/back.pcap", w->dir);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	levee_dataplane_close(&w->dp);
	collect_free(&w->got);
	collect_free(&w->want);
	unlink(w->in);
	unlink(w->in2);
	unlink(w->out);
	unlink(w->back);
	rmdir(w->dir);
	free(w);
	return 0;
}

/* ---- captures ------------------------------------------------------------------------------ */

struct capture {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	uint64_t n;
};

static void capture_open(struct capture *c, const char *path)
{
	c->pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, 65535,
						       PCAP_TSTAMP_PRECISION_NANO);
	assert_non_null(c->pcap);
	c->dumper = pcap_dump_open(c->pcap, path);
	assert_non_null(c->dumper);
	c->n = 0;
}

static void capture_put(struct capture *c, const void *frame, size_t len)
{
	struct pcap_pkthdr head = { .ts = { 1767225600 + (time_t)(c->n / 1000000), 0 },
				    .caplen = (bpf_u_int32)len,
				    .len = (bpf_u_int32)len };

	pcap_dump((u_char *)c->dumper, &head, frame);
	c->n++;
}

static void capture_close(struct capture *c)
{
	pcap_dump_close(c->dumper);
	pcap_close(c->pcap);
}

static uint64_t write_cases(const char *path)
{
	static uint8_t frame[LEVEE_FRAME_MAX];
	struct capture c;

	capture_open(&c, path);
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		size_t len = levee_frame_build(&levee_frame_cases[i].spec, frame);

		if (len) /* a capture has no packets of no bytes */
			capture_put(&c, frame, len);
	}
	capture_close(&c);
	return c.n;
}

/* Every k-th packet of a scenario, so that all its phases are there. */
static uint64_t write_scenario(const char *path, const char *scenario, uint64_t most)
{
	struct pktgen_scenario s = { 0 };
	struct pktgen_packet packet;
	struct pktgen_gen *gen;
	struct capture c;
	double expected = 0;
	uint64_t every;

	assert_int_equal(pktgen_scenario_read(&s, scenario, NULL, 0, stderr), 0);
	for (size_t i = 0; i < s.n; i++)
		expected += pktgen_population_expected(&s, &s.population[i]);
	every = (uint64_t)(expected / (double)most) + 1;
	assert_int_equal(pktgen_gen_new(&gen, &s), 0);
	capture_open(&c, path);
	for (uint64_t i = 0; pktgen_gen_next(gen, &packet); i++)
		if (i % every == 0)
			capture_put(&c, packet.frame, packet.length);
	capture_close(&c);
	pktgen_gen_free(&gen);
	pktgen_scenario_clear(&s);
	return c.n;
}

/* n packets from `sources` sources, all alike but for that. */
static uint64_t write_sources(const char *path, uint64_t n, uint32_t sources)
{
	struct levee_frame_spec spec = { .family = 4, .proto = LEVEE_PROTO_UDP, .dst_port = 53 };
	static uint8_t frame[LEVEE_FRAME_MAX];
	struct capture c;

	capture_open(&c, path);
	for (uint64_t i = 0; i < n; i++) {
		spec.hi = 0xc6120000 + (uint32_t)(i * 40503 % sources);
		capture_put(&c, frame, levee_frame_build(&spec, frame));
	}
	capture_close(&c);
	return c.n;
}

/* ---- the data path ------------------------------------------------------------------------- */

static struct levee_dpdk_options options_of(struct world *w, const char *const *ports, size_t n)
{
	return (struct levee_dpdk_options){ .eal = eal,
					    .n_eal = sizeof(eal) / sizeof(eal[0]),
					    .ports = ports,
					    .n_ports = n,
					    .lcores = 1,
					    .tables = { .sources = 65536,
							.sources6 = 65536,
							.rules = 131072,
							.source6_length = 64 },
					    .say = say,
					    .ctx = w };
}

static void open_monitor(struct world *w, const char *port)
{
	const char *const ports[] = { port };
	struct levee_dpdk_options options = options_of(w, ports, 1);

	assert_int_equal(levee_dpdk_open(&w->dp, &options), 0);
}

static void open_capture(struct world *w)
{
	snprintf(w->port[0], sizeof(w->port[0]), "net_pcap0,rx_pcap=%s", w->in);
	open_monitor(w, w->port[0]);
}

static uint64_t judged(struct world *w)
{
	struct levee_dpdk_work work;

	levee_dpdk_work(w->dp, &work);
	return work.judged;
}

/* Wait until so many packets were judged. */
static void await(struct world *w, uint64_t n)
{
	uint64_t deadline = now_ns() + DEADLINE_NS;

	while (judged(w) < n) {
		if (now_ns() > deadline)
			fail_msg("only %llu of %llu packets came", (unsigned long long)judged(w),
				 (unsigned long long)n);
		sched_yield();
	}
}

/* ---- rules for traces ---------------------------------------------------------------------- */

/* Blocks and allowed prefixes that meet what the scenarios send. */
static void add_rules(struct levee_dataplane *dp)
{
	static const char *const blocks[] = { "198.18.64.0/18",		"203.0.113.0/28",
					      "203.0.113.21",		"198.51.100.5",
					      "100.64.0.0/12",		"198.51.100.7",
					      "2001:db8:100:8000::/49", "2001:db8:bad::/52",
					      "2001:db8:1:aa::1234" };
	static const char *const allowed[] = { "198.18.80.0/20", "203.0.113.3", "100.65.0.0/16",
					       "2001:db8:100:9000::/56" };
	struct levee_policy *policy = levee_dataplane_policy(dp);
	struct levee_prefix list[4], p;

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(levee_prefix_parse(&list[i], allowed[i], strlen(allowed[i]), NULL),
				 0);
	assert_int_equal(levee_policy_set_allowed(policy, list, 4), 0);
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		assert_int_equal(levee_prefix_parse(&p, blocks[i], strlen(blocks[i]), NULL), 0);
		assert_int_equal(levee_policy_block(policy, &p, LEVEE_NEVER, 1), 0);
	}
}

static void set_scope(struct levee_dataplane *dp)
{
	struct levee_scope scope = { .enabled = 1 };

	scope.whole[0] = 1ULL << LEVEE_PROTO_UDP | 1ULL << LEVEE_PROTO_ICMP;
	scope.part[0] = 1ULL << LEVEE_PROTO_TCP;
	scope.tcp[443 / 64] |= 1ULL << 443 % 64;
	dp->ops->set_scope(dp, &scope);
}

static void ignore(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
}

static void run_offline(struct world *w, bool rules)
{
	struct levee_offline_options options = { .path = w->in, .report = ignore };
	struct levee_dataplane *dp;
	struct levee_dp_event event;

	assert_int_equal(levee_offline_open(&dp, &options), 0);
	if (rules) {
		add_rules(dp);
		set_scope(dp);
	}
	assert_int_equal(levee_dataplane_wait(dp, LEVEE_NEVER, &event), 0);
	assert_int_equal(event.type, LEVEE_DP_END);
	collect_drain(&w->want, dp, 0);
	assert_int_equal(levee_offline_errors(dp), 0);
	levee_dataplane_close(&dp);
}

static void compare_capture(struct world *w, uint64_t n, bool rules)
{
	open_capture(w);
	if (rules) {
		add_rules(w->dp);
		set_scope(w->dp);
	}
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	await(w, n);
	collect_drain(&w->got, w->dp, 0);
	levee_dataplane_close(&w->dp);
	run_offline(w, rules);
	assert_int_equal(w->got.account.received, n);
	assert_int_equal(w->got.account.fold.n, 0);
	assert_int_equal(collect_sum(&w->got.account), n);
	collect_assert_same(&w->got, &w->want);
	collect_free(&w->got);
	collect_free(&w->want);
}

/* ---- the same as offline ------------------------------------------------------------------- */

static void the_table_of_packets_counts_as_offline(void **state)
{
	struct world *w = *state;
	uint64_t n = write_cases(w->in);

	compare_capture(w, n, false);
	compare_capture(w, n, true);
}

static void a_trace_of_each_scenario_counts_as_offline(void **state)
{
	struct world *w = *state;
	glob_t found;

	assert_int_equal(glob("tools/scenarios/*.ini", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		uint64_t n = write_scenario(w->in, found.gl_pathv[i], TRACE);

		print_message("%s: %llu packets\n", found.gl_pathv[i], (unsigned long long)n);
		compare_capture(w, n, true);
	}
	globfree(&found);
}

/* ---- the wire ------------------------------------------------------------------------------ */

/* What comes out has to be what went in, less what a plain look at the policy drops. */
static void compare_wire(struct world *w, const struct levee_policy_memory *memory)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *in = pcap_open_offline(w->in, error), *out = pcap_open_offline(w->out, error);
	struct pcap_pkthdr *hi, *ho;
	const u_char *fi, *fo;
	uint64_t n = 0, dropped = 0;

	assert_non_null(in);
	assert_non_null(out);
	while (pcap_next_ex(in, &hi, &fi) == 1) {
		struct levee_packet pkt;

		n++;
		if (!levee_packet_source(&pkt, fi, fi + hi->caplen) &&
		    levee_policy_lookup(memory, pkt.family, pkt.hi, pkt.lo, 1, 1, 2, 0) ==
			    LEVEE_VERDICT_BLOCK) {
			dropped++;
			continue;
		}
		assert_int_equal(pcap_next_ex(out, &ho, &fo), 1);
		if (hi->len != ho->len || memcmp(fi, fo, hi->len) != 0)
			fail_msg("packet %llu came out otherwise, or late", (unsigned long long)n);
	}
	assert_int_not_equal(pcap_next_ex(out, &ho, &fo), 1);
	assert_int_equal(w->got.account.outcome[LEVEE_DROPPED], dropped);
	assert_true(dropped > 0);
	pcap_close(in);
	pcap_close(out);
}

/* The table of a policy with the same rules, for the plain look. */
static void run_wire(struct world *w, uint64_t n)
{
	const char *const ports[] = { w->port[0], w->port[1] };
	struct levee_dpdk_options options = options_of(w, ports, 2);
	struct levee_tables_sizes sizes = { 1, 1024, 1024, 4096, 64 };
	struct levee_dataplane plain = { 0 };
	struct levee_tables tables;

	snprintf(w->port[0], sizeof(w->port[0]), "net_pcap0,rx_pcap=%s,tx_pcap=%s", w->in, w->back);
	snprintf(w->port[1], sizeof(w->port[1]), "net_pcap1,rx_pcap=%s,tx_pcap=%s", w->in2, w->out);
	options.mode = LEVEE_DPDK_WIRE;
	assert_int_equal(levee_dpdk_open(&w->dp, &options), 0);
	add_rules(w->dp);
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	await(w, n);
	collect_drain(&w->got, w->dp, 0);
	levee_dataplane_close(&w->dp);

	assert_int_equal(levee_tables_open(&tables, &sizes, 1), 0);
	assert_int_equal(levee_policy_new(&plain.policy, &tables.policy), 0);
	add_rules(&plain);
	compare_wire(w, &tables.policy);
	levee_policy_free(&plain.policy);
	levee_tables_close(&tables);
	collect_free(&w->got);
}

static bool same_files(const char *a, const char *b)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *x = pcap_open_offline(a, error), *y = pcap_open_offline(b, error);
	struct pcap_pkthdr *hx, *hy;
	const u_char *fx, *fy;
	bool same = x && y;

	while (same && pcap_next_ex(x, &hx, &fx) == 1)
		same = pcap_next_ex(y, &hy, &fy) == 1 && hx->len == hy->len &&
		       !memcmp(fx, fy, hx->len);
	same = same && pcap_next_ex(y, &hy, &fy) != 1;
	if (x)
		pcap_close(x);
	if (y)
		pcap_close(y);
	return same;
}

static void the_wire_passes_what_is_not_blocked_unchanged_and_in_order(void **state)
{
	struct world *w = *state;
	uint64_t n;

	write_cases(w->in2);
	n = write_cases(w->in);
	run_wire(w, n);
	n = write_scenario(w->in, "tools/scenarios/demo.ini", TRACE);
	run_wire(w, n);
}

static void the_way_back_passes_even_sources_that_are_blocked(void **state)
{
	struct world *w = *state;
	uint64_t n;

	write_scenario(w->in2, "tools/scenarios/demo.ini", 2000);
	n = write_scenario(w->in, "tools/scenarios/demo.ini", TRACE);
	run_wire(w, n);
	assert_true(same_files(w->in2, w->back));
}

/* ---- while packets come -------------------------------------------------------------------- */

static void drains_while_packets_come_lose_none(void **state)
{
	struct world *w = *state;
	uint64_t n = write_sources(w->in, 400000, 5000), drains = 0, last = 0, named = 0;
	uint64_t deadline = now_ns() + DEADLINE_NS;

	open_capture(w);
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	while (w->got.account.received < n && now_ns() < deadline) {
		last = w->got.account.received;
		collect_drain(&w->got, w->dp, 0);
		drains += w->got.account.received > last;
		collect_merge(&w->got);
	}
	print_message("%llu packets in %llu drains\n", (unsigned long long)n,
		      (unsigned long long)drains);
	assert_true(drains > 2);
	assert_int_equal(w->got.account.received, n);
	assert_int_equal(w->got.account.outcome[LEVEE_COUNTED], n);
	assert_int_equal(w->got.n, 5000);
	/* An epoch of a moment makes the next one's table small: some values may lose their names. */
	for (size_t i = 0; i < w->got.n; i++) {
		assert_in_range(w->got.at[i].packets, 1, n / 5000);
		named += w->got.at[i].packets;
	}
	print_message("%llu folded\n", (unsigned long long)w->got.account.fold.packets);
	assert_int_equal(named + w->got.account.fold.packets, n);
}

static void two_workers_count_what_their_queues_bring(void **state)
{
	struct world *w = *state;
	uint64_t n = write_sources(w->in, 60000, 1000);
	const char *const ports[] = { w->port[0] };
	struct levee_dpdk_options options = options_of(w, ports, 1);

	n += write_sources(w->in2, 30000, 500);
	snprintf(w->port[0], sizeof(w->port[0]), "net_pcap0,rx_pcap=%s,rx_pcap=%s", w->in, w->in2);
	options.lcores = 0; /* as many as fit */
	assert_int_equal(levee_dpdk_open(&w->dp, &options), 0);
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	await(w, n);
	collect_drain(&w->got, w->dp, 0);
	collect_merge(&w->got);
	assert_int_equal(w->got.account.received, n);
	assert_int_equal(w->got.n, 1000);
	for (size_t i = 0; i < w->got.n; i++)
		assert_int_equal(w->got.at[i].packets, i < 500 ? 120 : 60);
}

/* A capture that is sent round and round. */
static void open_endless(struct world *w)
{
	write_sources(w->in, 4096, 256);
	snprintf(w->port[0], sizeof(w->port[0]), "net_pcap0,rx_pcap=%s,infinite_rx=1", w->in);
	open_monitor(w, w->port[0]);
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	await(w, 4096);
}

static uint64_t count_of(const struct collected *c, uint32_t addr)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i].source.hi == addr)
			return c->at[i].packets;
	return 0;
}

static void a_block_added_while_packets_come_holds_from_the_next_epoch(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = { .hi = 0xc6120007, .family = 4, .length = 32 };
	struct levee_policy_info info;

	open_endless(w);
	collect_drain(&w->got, w->dp, 0);
	assert_true(count_of(&w->got, 0xc6120007) > 0);
	assert_int_equal(levee_policy_block(levee_dataplane_policy(w->dp), &p, LEVEE_NEVER, 1), 0);
	collect_free(&w->got);
	collect_drain(&w->got, w->dp, 0); /* the epoch in which the block came */
	collect_free(&w->got);
	await(w, judged(w) + 8192);
	collect_drain(&w->got, w->dp, 0);
	collect_merge(&w->got);
	assert_int_equal(count_of(&w->got, 0xc6120007), 0);
	assert_true(count_of(&w->got, 0xc6120008) > 0);
	assert_true(w->got.account.outcome[LEVEE_DROPPED] > 0);
	assert_int_equal(levee_policy_get(levee_dataplane_policy(w->dp), &p, &info), 0);
	assert_true(info.packets >= w->got.account.outcome[LEVEE_DROPPED]);
	assert_true(info.first_ns && info.last_ns >= info.first_ns);

	assert_int_equal(levee_policy_unblock(levee_dataplane_policy(w->dp), &p), 0);
	collect_free(&w->got);
	collect_drain(&w->got, w->dp, 0);
	collect_free(&w->got);
	await(w, judged(w) + 8192);
	collect_drain(&w->got, w->dp, 0);
	assert_int_equal(w->got.account.outcome[LEVEE_DROPPED], 0);
	assert_true(count_of(&w->got, 0xc6120007) > 0);
}

static void workers_go_on_while_a_hundred_thousand_blocks_come_and_go(void **state)
{
	struct world *w = *state;
	struct levee_policy *policy;
	uint64_t before, during;

	open_endless(w);
	policy = levee_dataplane_policy(w->dp);
	before = judged(w);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 100000; i++) {
			struct levee_prefix p = { .hi = 0x0a000000 + i * 97,
						  .family = 4,
						  .length = i % 1000 ? 32 : 20 };

			levee_prefix_canon(&p);
			assert_int_equal(levee_policy_block(policy, &p, LEVEE_NEVER, 1), 0);
		}
		for (uint32_t i = 0; i < 100000; i++) {
			struct levee_prefix p = { .hi = 0x0a000000 + i * 97,
						  .family = 4,
						  .length = i % 1000 ? 32 : 20 };

			levee_prefix_canon(&p);
			assert_int_equal(levee_policy_unblock(policy, &p), 0);
		}
	}
	during = judged(w) - before;
	print_message("%llu packets judged meanwhile\n", (unsigned long long)during);
	assert_true(during > 0);
	await(w, judged(w) + 4096);
	collect_drain(&w->got, w->dp, 0);
	assert_int_equal(w->got.account.outcome[LEVEE_DROPPED], 0);
	assert_int_equal(collect_sum(&w->got.account), w->got.account.received);
}

static void audit_and_scope_take_effect_while_packets_come(void **state)
{
	struct world *w = *state;
	struct levee_prefix p = { .hi = 0xc6120000, .family = 4, .length = 24 };
	struct levee_scope scope = { .enabled = 1 };

	open_endless(w);
	w->dp->ops->set_audit(w->dp, true);
	assert_int_equal(levee_policy_block(levee_dataplane_policy(w->dp), &p, LEVEE_NEVER, 1), 0);
	collect_drain(&w->got, w->dp, 0);
	collect_free(&w->got);
	await(w, judged(w) + 4096);
	collect_drain(&w->got, w->dp, 0);
	assert_int_equal(w->got.account.outcome[LEVEE_DROPPED], 0);
	assert_int_equal(w->got.account.would_drop, w->got.account.received);
	scope.part[0] = 1ULL << LEVEE_PROTO_TCP; /* and no port of it */
	w->dp->ops->set_scope(w->dp, &scope);
	collect_drain(&w->got, w->dp, 0);
	collect_free(&w->got);
	await(w, judged(w) + 4096);
	collect_drain(&w->got, w->dp, 0);
	assert_int_equal(w->got.account.outcome[LEVEE_OUT_OF_SCOPE], w->got.account.received);
}

/* ---- events -------------------------------------------------------------------------------- */

static void wait_returns_at_the_deadline_and_for_what_is_watched(void **state)
{
	struct world *w = *state;
	struct levee_dp_event event;
	struct levee_time now;
	uint64_t one = 1;
	int fd = eventfd(0, EFD_CLOEXEC);

	open_endless(w);
	levee_dataplane_now(w->dp, &now);
	assert_int_equal(levee_dataplane_wait(w->dp, now.boot_ns + 1000000, &event), 0);
	assert_int_equal(event.type, LEVEE_DP_DEADLINE);
	assert_int_equal(w->dp->ops->watch(w->dp, fd), 0);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	assert_int_equal(levee_dataplane_wait(w->dp, LEVEE_NEVER >> 1, &event), 0);
	assert_int_equal(event.type, LEVEE_DP_SIGNAL);
	assert_int_equal(event.fd, fd);
	close(fd);
}

static void logs_that_fill_up_wake_the_controller(void **state)
{
	struct world *w = *state;
	const char *const ports[] = { w->port[0] };
	struct levee_dpdk_options options = options_of(w, ports, 1);
	struct levee_dp_event event;

	write_sources(w->in, 4096, 4096);
	snprintf(w->port[0], sizeof(w->port[0]), "net_pcap0,rx_pcap=%s,infinite_rx=1", w->in);
	options.tables.sources = 1024;
	assert_int_equal(levee_dpdk_open(&w->dp, &options), 0);
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(levee_dataplane_wait(w->dp, LEVEE_NEVER >> 1, &event), 0);
		assert_int_equal(event.type, LEVEE_DP_PRESSURE);
		collect_drain(&w->got, w->dp, 0);
	}
	assert_true(w->got.account.evicted > 0);
	assert_int_equal(collect_sum(&w->got.account), w->got.account.received);
}

static void a_source_that_passes_shares_wakes_the_controller(void **state)
{
	struct world *w = *state;
	struct levee_counts counts;
	struct levee_dp_event event;
	unsigned int told[2] = { 0 };

	open_endless(w);
	w->dp->ops->set_trip(w->dp, 64);
	while (told[0] < 20 || told[1] < 20) {
		assert_int_equal(levee_dataplane_wait(w->dp, LEVEE_NEVER >> 1, &event), 0);
		assert_int_equal(event.type, LEVEE_DP_TRIP);
		assert_int_equal(event.source.family, 4);
		assert_in_range(event.source.hi, 0xc6120000, 0xc6120000 + 255);
		w->dp->ops->count(w->dp, &event.source, &counts);
		assert_true(counts.packets >= 16); /* the step is a power of two below */
		told[event.source.hi & 1]++;
	}
	/* What stands in the rings is of an epoch that is over: the deadline comes. */
	w->dp->ops->set_trip(w->dp, 0);
	collect_drain(&w->got, w->dp, 0);
	collect_free(&w->got);
	collect_drain(&w->got, w->dp, 0);
	do {
		struct levee_time now;

		levee_dataplane_now(w->dp, &now);
		assert_int_equal(levee_dataplane_wait(w->dp, now.boot_ns + 1000000, &event), 0);
	} while (event.type == LEVEE_DP_PRESSURE);
	assert_int_equal(event.type, LEVEE_DP_DEADLINE);
}

static void a_drain_before_the_release_of_the_last_is_refused(void **state)
{
	struct world *w = *state;
	struct levee_sink sink = { .source = collect_source, .ctx = &w->got };
	struct levee_drained drained = { 0 };

	open_endless(w);
	assert_int_equal(levee_dataplane_drain(w->dp, 60, &sink, &drained), 0);
	assert_int_equal(drained.seq, 1);
	assert_int_equal(levee_dataplane_drain(w->dp, 60, &sink, &drained), -EBUSY);
	assert_int_equal(w->dp->ops->redrain(w->dp, &sink, &drained), -EBUSY);
	levee_dataplane_release(w->dp);
	assert_int_equal(w->dp->ops->redrain(w->dp, &sink, &drained), -ENOENT);
	w->dp->ops->peek(w->dp, &drained);
	assert_int_equal(drained.seq, 2);
	assert_int_equal(drained.bin_ns, 60);
}

/* ---- packets in pieces --------------------------------------------------------------------- */

/* A ring as a port: what the test puts in comes out of it as received. */
static struct rte_mbuf *in_pieces(struct rte_mempool *pool, const uint8_t *frame, size_t len,
				  size_t first)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(pool), *tail = NULL;

	assert_non_null(head);
	if (first > len)
		first = len;
	memcpy(rte_pktmbuf_append(head, (uint16_t)first), frame, first);
	for (size_t at = first; at < len;) {
		size_t n = len - at < 2000 ? len - at : 2000;

		tail = rte_pktmbuf_alloc(pool);
		assert_non_null(tail);
		memcpy(rte_pktmbuf_append(tail, (uint16_t)n), frame + at, n);
		assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
		at += n;
	}
	return head;
}

static void of_a_packet_in_pieces_the_first_is_read_and_all_are_counted(void **state)
{
	struct world *w = *state;
	static uint8_t frame[LEVEE_FRAME_MAX];
	struct levee_frame_spec spec = { .family = 4,
					 .hi = 0xc6336407,
					 .proto = LEVEE_PROTO_UDP,
					 .dst_port = 53,
					 .payload = 8000 };
	size_t len = levee_frame_build(&spec, frame);
	struct rte_mempool *pool;
	struct rte_ring *ring;
	struct rte_mbuf *m;

	open_monitor(w, "net_ring0");
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	ring = rte_ring_lookup("ETH_RXTX0_net_ring0");
	assert_non_null(ring);
	pool = rte_pktmbuf_pool_create("pieces", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
	assert_non_null(pool);
	m = in_pieces(pool, frame, len, 100);
	assert_int_equal(rte_ring_enqueue(ring, m), 0);
	m = in_pieces(pool, frame, len, 20); /* no address in the first piece */
	assert_int_equal(rte_ring_enqueue(ring, m), 0);
	await(w, 2);
	collect_drain(&w->got, w->dp, 0);
	assert_int_equal(w->got.n, 1);
	assert_int_equal(w->got.at[0].bytes, len);
	assert_int_equal(w->got.account.received_bytes, 2 * len);
	assert_int_equal(w->got.account.reasons[-LEVEE_BAD_IPV4], 1);
	levee_dataplane_close(&w->dp);
	assert_int_equal(rte_mempool_avail_count(pool), 255); /* all were freed */
	rte_mempool_free(pool);
}

static void a_packet_in_pieces_goes_on_whole(void **state)
{
	struct world *w = *state;
	static uint8_t frame[LEVEE_FRAME_MAX];
	const char *const ports[] = { "net_ring2", w->port[1] };
	struct levee_dpdk_options options = options_of(w, ports, 2);
	struct levee_frame_spec spec = { .family = 4,
					 .hi = 0xc6336407,
					 .proto = LEVEE_PROTO_UDP,
					 .dst_port = 53,
					 .payload = 8000 };
	size_t len = levee_frame_build(&spec, frame);
	char error[PCAP_ERRBUF_SIZE];
	struct rte_mempool *pool;
	struct pcap_pkthdr *head;
	const u_char *came;
	pcap_t *out;

	write_sources(w->in2, 0, 1); /* the ring would hand it back */
	snprintf(w->port[1], sizeof(w->port[1]), "net_pcap1,rx_pcap=%s,tx_pcap=%s", w->in2, w->out);
	options.mode = LEVEE_DPDK_WIRE;
	assert_int_equal(levee_dpdk_open(&w->dp, &options), 0);
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	pool = rte_pktmbuf_pool_create("whole", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, -1);
	assert_non_null(pool);
	assert_int_equal(rte_ring_enqueue(rte_ring_lookup("ETH_RXTX0_net_ring2"),
					  in_pieces(pool, frame, len, 100)),
			 0);
	await(w, 1);
	levee_dataplane_close(&w->dp);
	assert_int_equal(rte_mempool_avail_count(pool), 255);
	rte_mempool_free(pool);
	out = pcap_open_offline(w->out, error);
	assert_non_null(out);
	assert_int_equal(pcap_next_ex(out, &head, &came), 1);
	assert_int_equal(head->caplen, len);
	assert_memory_equal(came, frame, len);
	assert_int_not_equal(pcap_next_ex(out, &head, &came), 1);
	pcap_close(out);
}

static void what_is_no_ip_at_all_is_out_of_scope(void **state)
{
	struct world *w = *state;

	open_monitor(w, "net_null0,size=64");
	assert_int_equal(levee_dpdk_start(w->dp), 0);
	await(w, 100000);
	collect_drain(&w->got, w->dp, 0);
	assert_true(w->got.account.received > 0);
	assert_int_equal(w->got.account.outcome[LEVEE_OUT_OF_SCOPE], w->got.account.received);
	assert_int_equal(w->got.account.received_bytes, 64 * w->got.account.received);
}

/* ---- what does not fit --------------------------------------------------------------------- */

static void refused(struct world *w, const struct levee_dpdk_options *options, int error,
		    const char *words)
{
	w->errors = 0;
	w->said[0] = '\0';
	assert_int_equal(levee_dpdk_open(&w->dp, options), error);
	assert_null(w->dp);
	assert_int_equal(w->errors, 1);
	assert_null(strchr(w->said, '\n'));
	if (!strstr(w->said, words))
		fail_msg("\"%s\" does not say \"%s\"", w->said, words);
}

static void a_port_that_is_not_there_is_named_with_the_remedy(void **state)
{
	struct world *w = *state;
	const char *const ports[] = { w->port[0] };
	struct levee_dpdk_options options = options_of(w, ports, 1);

	strcpy(w->port[0], "0000:ff:1f.7");
	refused(w, &options, -ENODEV, "there is no port 0000:ff:1f.7");
	strcpy(w->port[0], "net_pcap0,rx_pcap=/nowhere/at/all.pcap");
	refused(w, &options, -ENODEV, "/nowhere/at/all.pcap");
	strcpy(w->port[0], "net_nosuchdriver7");
	refused(w, &options, -ENODEV, "net_nosuchdriver7");
	strcpy(w->port[0], ",");
	refused(w, &options, -EINVAL, "does not begin with the name of a device");
}

static void counts_that_do_not_fit_are_named_with_the_remedy(void **state)
{
	struct world *w = *state;
	const char *const ports[] = { w->port[0], w->port[1] };
	struct levee_dpdk_options options = options_of(w, ports, 1);

	write_cases(w->in);
	snprintf(w->port[0], sizeof(w->port[0]), "net_pcap0,rx_pcap=%s", w->in);
	strcpy(w->port[1], "net_null1");
	options.lcores = 5;
	refused(w, &options, -EINVAL, "EAL has 2 lcores besides the main one");
	options.lcores = 2;
	options.queues = 1;
	refused(w, &options, -EINVAL, "queues = 1 is less than lcores = 2");
	options.queues = 2;
	refused(w, &options, -EINVAL, "has 1 receive queue, 2 are needed");
	options.lcores = options.queues = 1;
	options.mode = LEVEE_DPDK_WIRE;
	refused(w, &options, -EINVAL, "names 1 port, mode = wire needs two");
	options.n_ports = 0;
	options.mode = LEVEE_DPDK_MONITOR;
	refused(w, &options, -EINVAL, "names 0 ports");
	strcpy(w->port[0], w->port[1]);
	options.n_ports = 2;
	refused(w, &options, -EINVAL, "named twice");
}

static void other_eal_arguments_are_refused_once_it_runs(void **state)
{
	struct world *w = *state;
	const char *const ports[] = { "net_null0" }, *const other[] = { "--no-huge" };
	struct levee_dpdk_options options = options_of(w, ports, 1);

	open_monitor(w, "net_null0");
	assert_int_equal(levee_dpdk_open(&(struct levee_dataplane *){ NULL }, &options), -EBUSY);
	levee_dataplane_close(&w->dp);
	options.eal = other;
	options.n_eal = 1;
	refused(w, &options, -EBUSY, "EAL can be started once in a process");
}

static void memory_that_is_not_there_is_said(void **state)
{
	struct world *w = *state;
	const char *const ports[] = { "net_null0" };
	struct levee_dpdk_options options = options_of(w, ports, 1);

	options.tables.sources = 1ULL << 40;
	refused(w, &options, -ENOMEM, "lower [data_path] sources");
}

static void it_says_what_it_is(void **state)
{
	struct world *w = *state;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	open_monitor(w, "net_null0");
	w->dp->ops->describe(w->dp, out);
	fclose(out);
	assert_non_null(strstr(text, "monitor"));
	assert_non_null(strstr(text, "net_null0"));
	free(text);
	assert_string_equal(w->dp->ops->name, "dpdk");
	assert_int_equal(strncmp(levee_dpdk_maps_id(w->dp), "dpdk-", 5), 0);
	assert_true(strlen(levee_dpdk_version()) > 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_table_of_packets_counts_as_offline),
		TEST(a_trace_of_each_scenario_counts_as_offline),
		TEST(the_wire_passes_what_is_not_blocked_unchanged_and_in_order),
		TEST(the_way_back_passes_even_sources_that_are_blocked),
		TEST(drains_while_packets_come_lose_none),
		TEST(two_workers_count_what_their_queues_bring),
		TEST(a_block_added_while_packets_come_holds_from_the_next_epoch),
		TEST(workers_go_on_while_a_hundred_thousand_blocks_come_and_go),
		TEST(audit_and_scope_take_effect_while_packets_come),
		TEST(wait_returns_at_the_deadline_and_for_what_is_watched),
		TEST(logs_that_fill_up_wake_the_controller),
		TEST(a_source_that_passes_shares_wakes_the_controller),
		TEST(a_drain_before_the_release_of_the_last_is_refused),
		TEST(of_a_packet_in_pieces_the_first_is_read_and_all_are_counted),
		TEST(a_packet_in_pieces_goes_on_whole),
		TEST(what_is_no_ip_at_all_is_out_of_scope),
		TEST(a_port_that_is_not_there_is_named_with_the_remedy),
		TEST(counts_that_do_not_fit_are_named_with_the_remedy),
		TEST(other_eal_arguments_are_refused_once_it_runs),
		TEST(memory_that_is_not_there_is_said),
		TEST(it_says_what_it_is),
	};

	plan_lcores();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
