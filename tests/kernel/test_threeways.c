/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same packets through XDP (the kernel's test-run), through DPDK (captures as ports, in the
 * wire), and offline: the same verdict on every packet, the same counts of every source, the same
 * account, the same drops of every block. Traces of all scenarios, and the table of packets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <glob.h>
#include <pcap/pcap.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk.h"
#include "dataplane/offline/offline.h"
#include "tests/dataplane/dpdk/collect.h"
#include "tests/support/frame.h"
#include "tests/support/frame_cases.h"
#include "tests/support/xdp.h"
#include "tools/pktgen/gen.h"
#include "tools/pktgen/scenario.h"

#define TRACE	   20000
#define SOURCES	   65536
#define DEADLINE_S 60

/* As in linux/bpf.h, which does not go together with pcap.h. */
enum { XDP_DROP = 1, XDP_PASS = 2 };

static const char *const blocks[] = {
	"198.18.64.0/18",	  "203.0.113.0/28",    "203.0.113.21",
	"198.51.100.5",		  "100.64.0.0/12",     "198.51.100.7",
	"2001:db8:100:8000::/49", "2001:db8:bad::/52", "2001:db8:1:aa::/64",
};

#define N_BLOCKS (sizeof(blocks) / sizeof(blocks[0]))

struct result {
	struct collected got;
	uint64_t hits[N_BLOCKS];
};

struct world {
	struct levee_xdp_fixture xdp;
	char dir[64], in[96], none[96], out[96], back[96];
	struct {
		uint8_t *frame;
		size_t len;
		bool dropped; /* by XDP */
	} * at;
	size_t n, room;
	char said[512];
};

static struct world w;

/* ---- traces ------------------------------------------------------------------------------ */

/* What the kernel's test-run takes: more than a header, less than what lies in one page. */
static void keep(const void *frame, size_t len)
{
	if (len < LEVEE_XDP_RUN_MIN || len > levee_xdp_linear_bytes())
		return;
	if (w.n == w.room) {
		w.room = w.room ? 2 * w.room : 1024;
		w.at = reallocarray(w.at, w.room, sizeof(*w.at));
		assert_non_null(w.at);
	}
	w.at[w.n].frame = malloc(len);
	assert_non_null(w.at[w.n].frame);
	memcpy(w.at[w.n].frame, frame, len);
	w.at[w.n++].len = len;
}

static void forget(void)
{
	while (w.n)
		free(w.at[--w.n].frame);
}

static void keep_cases(void)
{
	static uint8_t frame[LEVEE_FRAME_MAX];

	for (size_t i = 0; i < levee_frame_cases_n; i++)
		keep(frame, levee_frame_build(&levee_frame_cases[i].spec, frame));
}

/* Every k-th packet of a scenario, so that all its phases are there. */
static void keep_scenario(const char *path)
{
	struct pktgen_scenario s = { 0 };
	struct pktgen_packet packet;
	struct pktgen_gen *gen;
	double expected = 0;
	uint64_t every;

	assert_int_equal(pktgen_scenario_read(&s, path, NULL, 0, stderr), 0);
	for (size_t i = 0; i < s.n; i++)
		expected += pktgen_population_expected(&s, &s.population[i]);
	every = (uint64_t)(expected / TRACE) + 1;
	assert_int_equal(pktgen_gen_new(&gen, &s), 0);
	for (uint64_t i = 0; pktgen_gen_next(gen, &packet); i++)
		if (i % every == 0)
			keep(packet.frame, packet.length);
	pktgen_gen_free(&gen);
	pktgen_scenario_clear(&s);
}

static void write_capture(const char *path, size_t n)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *out = pcap_dump_open(pcap, path);

	assert_non_null(out);
	for (size_t i = 0; i < n; i++) {
		struct pcap_pkthdr head = { .ts = { 1767225600, 0 },
					    .caplen = (bpf_u_int32)w.at[i].len,
					    .len = (bpf_u_int32)w.at[i].len };

		pcap_dump((u_char *)out, &head, w.at[i].frame);
	}
	pcap_dump_close(out);
	pcap_close(pcap);
}

/* ---- the same rules for all ---------------------------------------------------------------- */

static struct levee_prefix parse(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static void set_up(struct levee_dataplane *dp)
{
	struct levee_prefix allowed[] = { parse("198.18.80.0/20"), parse("203.0.113.3"),
					  parse("100.65.0.0/16"), parse("2001:db8:100:9000::/56") };
	struct levee_scope scope = { .enabled = 1 };

	assert_int_equal(levee_policy_set_allowed(dp->policy, allowed, 4), 0);
	for (size_t i = 0; i < N_BLOCKS; i++) {
		struct levee_prefix p = parse(blocks[i]);

		assert_int_equal(levee_policy_block(dp->policy, &p, LEVEE_NEVER, 1), 0);
	}
	scope.whole[0] = 1ULL << LEVEE_PROTO_UDP | 1ULL << LEVEE_PROTO_ICMP;
	scope.part[0] = 1ULL << LEVEE_PROTO_TCP;
	scope.tcp[443 / 64] |= 1ULL << 443 % 64;
	dp->ops->set_scope(dp, &scope);
}

static void take_hits(const struct levee_dataplane *dp, struct result *r)
{
	for (size_t i = 0; i < N_BLOCKS; i++) {
		struct levee_prefix p = parse(blocks[i]);
		struct levee_policy_info info;

		assert_int_equal(levee_policy_get(dp->policy, &p, &info), 0);
		r->hits[i] = info.packets;
	}
}

/* ---- three ways -------------------------------------------------------------------------- */

static void run_xdp(struct result *r)
{
	struct levee_sink sink = { .source = collect_source, .ctx = &r->got };

	levee_xdp_fixture_open(&w.xdp, &(struct levee_xdp_sizes){ .sources = SOURCES });
	set_up(w.xdp.dp);
	for (size_t i = 0; i < w.n; i++) {
		uint32_t verdict = levee_xdp_run(&w.xdp, w.at[i].frame, w.at[i].len);

		assert_true(verdict == XDP_PASS || verdict == XDP_DROP);
		w.at[i].dropped = verdict == XDP_DROP;
	}
	levee_xdp_take(&w.xdp, &sink, &r->got.account);
	take_hits(w.xdp.dp, r);
}

static void ignore(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
}

static void run_offline(struct result *r)
{
	struct levee_offline_options options = { .path = w.in, .report = ignore };
	struct levee_dataplane *dp;
	struct levee_dp_event event;

	assert_int_equal(levee_offline_open(&dp, &options), 0);
	set_up(dp);
	assert_int_equal(levee_dataplane_wait(dp, LEVEE_NEVER, &event), 0);
	assert_int_equal(event.type, LEVEE_DP_END);
	collect_drain(&r->got, dp, 0);
	take_hits(dp, r);
	levee_dataplane_close(&dp);
}

static void say(void *ctx, enum levee_dpdk_say level, const char *message)
{
	(void)ctx;
	if (level == LEVEE_DPDK_ERROR)
		snprintf(w.said, sizeof(w.said), "%s", message);
}

static void await(struct levee_dataplane *dp)
{
	uint64_t end = levee_xdp_now_ns() + DEADLINE_S * LEVEE_NS_PER_S;
	struct levee_dpdk_work work;

	for (;;) {
		levee_dpdk_work(dp, &work);
		if (work.judged >= w.n)
			return;
		if (levee_xdp_now_ns() > end)
			fail_msg("only %llu of %zu packets came", (unsigned long long)work.judged,
				 w.n);
		sched_yield();
	}
}

/* The CPU that XDP's test-run has left us on is enough: the worker yields it. */
static struct levee_dataplane *open_dpdk(void)
{
	static char lcores[32];
	static const char *const eal[] = { "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
					   "-m",	"128",	    "--lcores",	   lcores };
	static char port[2][256];
	const char *const ports[] = { port[0], port[1] };
	struct levee_dpdk_options options = { .eal = eal,
					      .n_eal = sizeof(eal) / sizeof(eal[0]),
					      .ports = ports,
					      .n_ports = 2,
					      .mode = LEVEE_DPDK_WIRE,
					      .lcores = 1,
					      .tables = { .sources = SOURCES,
							  .sources6 = SOURCES,
							  .rules = 1024,
							  .source6_length = 64 },
					      .say = say };
	struct levee_dataplane *dp;

	if (!lcores[0])
		snprintf(lcores, sizeof(lcores), "0@%d,1@%d", sched_getcpu(), sched_getcpu());
	snprintf(port[0], sizeof(port[0]), "net_pcap0,rx_pcap=%s,tx_pcap=%s", w.in, w.back);
	snprintf(port[1], sizeof(port[1]), "net_pcap1,rx_pcap=%s,tx_pcap=%s", w.none, w.out);
	if (levee_dpdk_open(&dp, &options))
		fail_msg("%s", w.said);
	return dp;
}

static void run_dpdk(struct result *r)
{
	struct levee_dataplane *dp = open_dpdk();

	set_up(dp);
	assert_int_equal(levee_dpdk_start(dp), 0);
	await(dp);
	collect_drain(&r->got, dp, 0);
	take_hits(dp, r);
	levee_dataplane_close(&dp);
}

/* What came out of the wire is what XDP passed, packet by packet and in order. */
static void compare_verdicts(void)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *out = pcap_open_offline(w.out, error);
	struct pcap_pkthdr *head;
	const u_char *frame;
	size_t dropped = 0;

	assert_non_null(out);
	for (size_t i = 0; i < w.n; i++) {
		if (w.at[i].dropped) {
			dropped++;
			continue;
		}
		if (pcap_next_ex(out, &head, &frame) != 1 || head->len != w.at[i].len ||
		    memcmp(frame, w.at[i].frame, head->len) != 0)
			fail_msg("packet %zu of %zu, which XDP passed, did not come out of DPDK", i,
				 w.n);
	}
	assert_int_not_equal(pcap_next_ex(out, &head, &frame), 1);
	pcap_close(out);
	print_message("%zu packets, %zu dropped\n", w.n, dropped);
}

static void compare(const char *name)
{
	struct result xdp = { 0 }, dpdk = { 0 }, offline = { 0 };

	print_message("%s\n", name);
	write_capture(w.in, w.n);
	write_capture(w.none, 1);
	run_xdp(&xdp);
	run_dpdk(&dpdk);
	run_offline(&offline);
	compare_verdicts();
	assert_int_equal(xdp.got.account.received, w.n);
	assert_int_equal(xdp.got.account.fold.n, 0);
	collect_assert_same(&xdp.got, &dpdk.got);
	collect_assert_same(&xdp.got, &offline.got);
	assert_memory_equal(xdp.hits, dpdk.hits, sizeof(xdp.hits));
	assert_memory_equal(xdp.hits, offline.hits, sizeof(xdp.hits));
	collect_free(&xdp.got);
	collect_free(&dpdk.got);
	collect_free(&offline.got);
	forget();
}

static void need_dpdk(void)
{
	if (levee_dpdk_version())
		return;
	print_message("# SKIP built without DPDK\n");
	skip();
}

static void the_table_of_packets_has_one_verdict_and_one_count(void **state)
{
	(void)state;
	need_dpdk();
	keep_cases();
	compare("the table of packets");
}

static void a_trace_of_each_scenario_has_one_verdict_and_one_count(void **state)
{
	glob_t found;

	(void)state;
	need_dpdk();
	assert_int_equal(glob("tools/scenarios/*.ini", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		keep_scenario(found.gl_pathv[i]);
		compare(found.gl_pathv[i]);
	}
	globfree(&found);
}

static int make_world(void **state)
{
	(void)state;
	strcpy(w.dir, "/tmp/levee-three-XXXXXX");
	if (!mkdtemp(w.dir))
		return -1;
	snprintf(w.in, sizeof(w.in), "%s/in.pcap", w.dir);
	snprintf(w.none, sizeof(w.none), "%s/none.pcap", w.dir);
	snprintf(w.out, sizeof(w.out), "%s/out.pcap", w.dir);
	snprintf(w.back, sizeof(w.back), "%s/back.pcap", w.dir);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	levee_xdp_fixture_close(&w.xdp);
	forget();
	free(w.at);
	unlink(w.in);
	unlink(w.none);
	unlink(w.out);
	unlink(w.back);
	return rmdir(w.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_packets_has_one_verdict_and_one_count),
		cmocka_unit_test(a_trace_of_each_scenario_has_one_verdict_and_one_count),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
