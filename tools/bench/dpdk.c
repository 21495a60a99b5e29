/* SPDX-License-Identifier: BSD-2-Clause */
/* The DPDK inspector beside what else can be done with a burst of packets. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk.h"
#include "tools/bench/dpdk_bench.h"
#include "tools/bench/sections.h"

const uint64_t dpdk_sources[DPDK_SIZES] = { 1, 1 << 10, 1 << 16, 1 << 20, 1 << 22 };

int dpdk_fail(struct dpdk_results *results, int ret, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(results->text, sizeof(results->text), format, args);
	va_end(args);
	results->error = ret;
	return ret;
}

/* ---- prepared bursts --------------------------------------------------------------------- */

static const char *say_sources(uint64_t n, char text[static 32])
{
	if (n < 1024)
		snprintf(text, 32, "%llu source%s", (unsigned long long)n, n == 1 ? "" : "s");
	else
		snprintf(text, 32, "%llu %c sources",
			 (unsigned long long)(n < 1 << 20 ? n >> 10 : n >> 20),
			 n < 1 << 20 ? 'k' : 'M');
	return text;
}

static const char *make_key(uint64_t sources, const char *what)
{
	static char key[64];

	snprintf(key, sizeof(key), "dpdk.%llu.%s", (unsigned long long)sources, what);
	return key;
}

static struct bench_samples inverse(const struct bench_samples *ns)
{
	struct bench_samples mpps = { 0 };

	for (unsigned int i = 0; i < ns->n; i++)
		bench_add(&mpps, 1000 / ns->value[i]);
	return mpps;
}

/* The targets of the issue: ns a packet, nobody blocked. */
static void set_limit(struct bench_row *row, uint64_t sources)
{
	if (sources == 1 << 10)
		bench_limit(row, 12);
	if (sources == 1 << 20)
		bench_limit(row, 25);
}

static const struct {
	enum dpdk_subject subject;
	const char *key;
	const char *label;
} figure_table[] = {
	{ DPDK_LEVEE, "levee", "IPv4, inspector, nobody blocked" },
	{ DPDK_LEVEE_100K, "levee_100k", "IPv4, inspector, 100,000 blocked, a miss" },
	{ DPDK_LEVEE_HIT, "levee_hit", "IPv4, inspector, every packet blocked" },
	{ DPDK_LEVEE6, "levee6", "IPv6, inspector, nobody blocked" },
	{ DPDK_HASH, "rte_hash", "IPv4, counter on rte_hash, packet by packet" },
	{ DPDK_HASH_BULK, "rte_hash_bulk", "IPv4, counter on rte_hash, look-ups in bulk" },
	{ DPDK_LINE, "line", "one random cache line a packet, prefetched" },
};

static void report_size(struct bench_report *report, const struct dpdk_results *r, unsigned int i)
{
	struct bench_samples net[DPDK_SUBJECTS], s;
	uint64_t sources = dpdk_sources[i];
	struct bench_figure line;
	struct bench_row *row;
	char title[96], text[32];

	snprintf(title, sizeof(title), "DPDK inspector on prepared bursts, %s",
		 say_sources(sources, text));
	bench_section(
		report, make_key(sources, "section"), title,
		"bursts of 64 frames of 64 bytes in cache; ns of one core, net of writing the "
		"sources into the frames; classifier included, but for the cache line");
	for (size_t k = 0; k < sizeof(figure_table) / sizeof(figure_table[0]); k++) {
		enum dpdk_subject subject = figure_table[k].subject;
		enum dpdk_subject base = subject == DPDK_LEVEE6 ? DPDK_GENERATE6 : DPDK_GENERATE;

		net[subject] = bench_difference(&r->ns[i][subject], &r->ns[i][base]);
	}
	line = bench_figure(&net[DPDK_LINE]);
	for (size_t k = 0; k < sizeof(figure_table) / sizeof(figure_table[0]); k++) {
		enum dpdk_subject subject = figure_table[k].subject;

		if (!r->ns[i][subject].n)
			continue;
		row = bench_report_figure(report, "ns net", &net[subject],
					  make_key(sources, figure_table[k].key), "%s",
					  figure_table[k].label);
		if (subject == DPDK_LEVEE) {
			set_limit(row, sources);
			bench_note(row, "%llu evictions; a random cache line of this table: %.3g",
				   (unsigned long long)r->evicted[i], line.median);
		}
	}
	s = inverse(&net[DPDK_LEVEE]);
	bench_report_figure(report, "Mpps/core", &s, make_key(sources, "levee_mpps"),
			    "IPv4, inspector, nobody blocked");
	s = bench_ratio(&net[DPDK_HASH], &net[DPDK_LEVEE]);
	row = bench_report_figure(report, "ratio", &s, make_key(sources, "rte_hash_to_levee"),
				  "rte_hash counter to inspector");
	if (sources == 1 << 20) {
		bench_limit(row, 3);
		row->least = true;
	}
	s = bench_ratio(&net[DPDK_HASH_BULK], &net[DPDK_LEVEE]);
	bench_report_figure(report, "ratio", &s, make_key(sources, "rte_hash_bulk_to_levee"),
			    "rte_hash counter in bulk to inspector");
	s = bench_ratio(&net[DPDK_LEVEE], &net[DPDK_LINE]);
	bench_report_figure(report, "ratio", &s, make_key(sources, "levee_to_line"),
			    "inspector to one random cache line");
}

/* ---- ports ------------------------------------------------------------------------------- */

static void report_ports(struct bench_report *report, const struct dpdk_results *r)
{
	static const struct {
		const char *key, *label;
	} table[DPDK_PORTS] = {
		[DPDK_RXONLY_LEVEE] = { "levee_monitor", "levee, mode = monitor" },
		[DPDK_RXONLY_TESTPMD] = { "testpmd_rxonly", "testpmd, rxonly" },
		[DPDK_FORWARD_LEVEE] = { "levee_wire", "levee, mode = wire, half of it judged" },
		[DPDK_FORWARD_TESTPMD] = { "testpmd_macswap", "testpmd, macswap" },
	};
	struct bench_samples s;
	char key[64];

	bench_section(report, "dpdk.ports", "DPDK ports: levee beside testpmd on the same ports",
		      "captures of 1,024 sources that DPDK sends round and round, one core; what "
		      "the port does for each packet, a copy among it, is part of all figures");
	for (int i = 0; i < DPDK_PORTS; i++) {
		if (!r->ports[i].n)
			continue;
		snprintf(key, sizeof(key), "dpdk.ports.%s", table[i].key);
		bench_report_figure(report, "ns gross", &r->ports[i], key, "%s", table[i].label);
		snprintf(key, sizeof(key), "dpdk.ports.%s_mpps", table[i].key);
		s = inverse(&r->ports[i]);
		bench_report_figure(report, "Mpps/core", &s, key, "%s", table[i].label);
	}
	if (r->no_testpmd) {
		bench_remark(report, "dpdk.ports.testpmd",
			     "dpdk-testpmd is not installed; `make deps` brings it");
		return;
	}
	s = bench_difference(&r->ports[DPDK_RXONLY_LEVEE], &r->ports[DPDK_RXONLY_TESTPMD]);
	bench_report_figure(report, "ns", &s, "dpdk.ports.judging", "levee monitor less rxonly");
	s = bench_ratio(&r->ports[DPDK_FORWARD_LEVEE], &r->ports[DPDK_FORWARD_TESTPMD]);
	bench_report_figure(report, "ratio", &s, "dpdk.ports.wire_to_macswap",
			    "levee wire to macswap");
}

/* ---- running ----------------------------------------------------------------------------- */

static int run_child(const struct bench_run *run, struct dpdk_results *results)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		dpdk_measure(run, results);
		fflush(NULL);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return dpdk_fail(results, -EIO, "the child that measures died");
	return results->error;
}

int bench_dpdk(struct bench_run *run)
{
	struct dpdk_results *results;
	int ret;

	if (!levee_dpdk_version()) {
		bench_section(&run->report, "dpdk", "DPDK inspector", "");
		bench_remark(&run->report, "dpdk.missing",
			     "not built in; `make deps` installs libdpdk, WITH_DPDK=1 asks for it");
		return 0;
	}
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (results == MAP_FAILED)
		return -ENOMEM;
	bench_progress("DPDK inspector");
	ret = run_child(run, results);
	for (unsigned int i = 0; i < DPDK_SIZES; i++)
		if (results->ns[i][DPDK_LEVEE].n)
			report_size(&run->report, results, i);
	if (results->ports[DPDK_RXONLY_LEVEE].n)
		report_ports(&run->report, results);
	if (ret)
		bench_complain("DPDK: %s", results->text[0] ? results->text : strerror(-ret));
	munmap(results, sizeof(*results));
	return ret;
}
