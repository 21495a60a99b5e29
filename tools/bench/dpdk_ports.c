/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole workers on ports, beside testpmd on the same ones: CPU time of the lcore by packets. */
#include "tools/bench/dpdk_bench.h"

#ifdef WITH_DPDK

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk.h"
#include "tools/bench/sections.h"

#define FRAMES	  1024 /* of the capture; DPDK keeps them in buffers of the pool */
#define SAMPLE_US 400000
#define EAL_N	  8
#define ARGS_MAX  40
#define READ_S	  20 /* at most, for an answer of testpmd */

struct ports {
	const struct bench_run *run;
	char pcap[2][192];
	char device[2][256];
	char lcores[32];
	const char *eal[EAL_N];
	char said[400]; /* the last error of the data path */
	struct levee_dataplane *dp;
};

static void say(void *ctx, enum levee_dpdk_say level, const char *message)
{
	struct ports *p = ctx;

	if (level == LEVEE_DPDK_ERROR)
		snprintf(p->said, sizeof(p->said), "%s", message);
}

/* ---- captures ---------------------------------------------------------------------------- */

static int write_capture(const char *path)
{
	static const uint8_t head[] = { 2, 0, 0,    0, 0, 1,  2, 0, 0,	  0, 0,	 2,
					8, 0, 0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17 };
	struct pcap_pkthdr header = { .caplen = 64, .len = 64 };
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65535);
	pcap_dumper_t *out = pcap ? pcap_dump_open(pcap, path) : NULL;
	uint8_t frame[64] = { 0 };

	memcpy(frame, head, sizeof(head));
	for (uint32_t i = 0; out && i < FRAMES; i++) {
		uint32_t be = __builtin_bswap32(i * 2654435761U);

		memcpy(frame + 26, &be, sizeof(be));
		pcap_dump((u_char *)out, &header, frame);
	}
	if (out)
		pcap_dump_close(out);
	if (pcap)
		pcap_close(pcap);
	return out ? 0 : -EIO;
}

/* ---- CPU time of a worker ------------------------------------------------------------------ */

static bool is_worker(pid_t pid, const char *task)
{
	char path[300], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", (int)pid, task);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	return strstr(name, "-worker") != NULL; /* lcore-worker-1, or dpdk-worker1 */
}

static double task_ns(pid_t pid, const char *task)
{
	unsigned long long ns = 0;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/schedstat", (int)pid, task);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &ns) != 1)
		ns = 0;
	fclose(f);
	return (double)ns;
}

/* What the lcores of a process have run [ns]. */
static double workers_ns(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	double ns = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && is_worker(pid, entry->d_name))
			ns += task_ns(pid, entry->d_name);
	if (dir)
		closedir(dir);
	return ns;
}

/* ---- levee ------------------------------------------------------------------------------- */

static int open_levee(struct ports *p, const char *const *names, size_t n)
{
	struct levee_dpdk_options options = { .eal = p->eal,
					      .n_eal = EAL_N,
					      .ports = names,
					      .n_ports = n,
					      .mode = n == 2 ? LEVEE_DPDK_WIRE : LEVEE_DPDK_MONITOR,
					      .lcores = 1,
					      .tables = { .sources = 1 << 14,
							  .sources6 = 1 << 12,
							  .rules = 1024,
							  .source6_length = 64 },
					      .say = say,
					      .ctx = p };

	return levee_dpdk_open(&p->dp, &options);
}

static uint64_t packets_of(struct ports *p)
{
	struct levee_dpdk_work work;

	levee_dpdk_work(p->dp, &work);
	return work.judged + work.forwarded_out;
}

static int sample_levee(struct ports *p, size_t n, struct bench_samples *out)
{
	const char *const names[] = { p->device[0], p->device[1] };
	uint64_t packets;
	double ns;
	int ret = open_levee(p, names, n);

	if (!ret)
		ret = levee_dpdk_start(p->dp);
	if (!ret) {
		usleep(SAMPLE_US / 4); /* warm */
		packets = packets_of(p);
		ns = workers_ns(getpid());
		usleep(SAMPLE_US);
		packets = packets_of(p) - packets;
		ns = workers_ns(getpid()) - ns;
		if (packets)
			bench_add(out, ns / (double)packets);
	}
	levee_dataplane_close(&p->dp);
	return ret;
}

/* ---- testpmd ----------------------------------------------------------------------------- */

struct testpmd {
	pid_t pid;
	int to, from;
	char text[1 << 16]; /* what it printed */
	size_t n;
};

static void run_testpmd(struct ports *p, size_t n, int in, int out)
{
	char vdev[2][300];
	/* Lines must come at once, and not when testpmd ends. */
	const char *args[ARGS_MAX] = { "stdbuf", "-oL", "dpdk-testpmd" };
	size_t k = 3;

	for (size_t i = 0; i < EAL_N; i++)
		args[k++] = p->eal[i];
	args[k++] = "--file-prefix=levee-bench-testpmd";
	for (size_t i = 0; i < n; i++) {
		snprintf(vdev[i], sizeof(vdev[i]), "--vdev=%s", p->device[i]);
		args[k++] = vdev[i];
	}
	args[k++] = "--";
	args[k++] = "-i";
	args[k++] = n == 2 ? "--forward-mode=macswap" : "--forward-mode=rxonly";
	args[k++] = "--nb-cores=1";
	args[k++] = "--burst=64";
	args[k++] = "--total-num-mbufs=8192";
	args[k++] = "--no-lsc-interrupt";
	args[k] = NULL;
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execvp(args[0], (char *const *)args);
	_exit(127);
}

static int start_testpmd(struct ports *p, size_t n, struct testpmd *t)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };

	t->to = t->from = -1;
	t->n = 0;
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	t->pid = fork();
	if (!t->pid)
		run_testpmd(p, n, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	t->to = in[1];
	t->from = out[0];
	return t->pid < 0 ? -errno : 0;
}

static int read_until(struct testpmd *t, const char *mark)
{
	double end = bench_wall_ns() + READ_S * 1e9;

	t->n = 0;
	t->text[0] = '\0';
	while (!strstr(t->text, mark)) {
		ssize_t got;

		if (bench_wall_ns() > end)
			return -ETIMEDOUT;
		if (t->n + 1 >= sizeof(t->text))
			t->n = 0;
		got = read(t->from, t->text + t->n, sizeof(t->text) - 1 - t->n);
		if (got <= 0)
			return -EPIPE;
		t->n += (size_t)got;
		t->text[t->n] = '\0';
	}
	return 0;
}

static int command(const struct testpmd *t, const char *line)
{
	size_t n = strlen(line);

	return write(t->to, line, n) == (ssize_t)n ? 0 : -EPIPE;
}

/* The last of the numbers, which is the sum over ports. */
static double received(const char *text)
{
	static const char mark[] = "RX-packets:";
	double last = 0;

	for (const char *at = text; (at = strstr(at, mark)); at += sizeof(mark) - 1)
		last = strtod(at + sizeof(mark) - 1, NULL);
	return last;
}

static int talk(struct testpmd *t, struct bench_samples *out)
{
	double ns, packets;
	int ret = read_until(t, "testpmd> ");

	if (ret)
		return ret;
	ns = workers_ns(t->pid);
	ret = command(t, "start\n");
	usleep(SAMPLE_US);
	if (!ret)
		ret = command(t, "stop\n");
	if (!ret)
		ret = read_until(t, "Done.");
	if (ret)
		return ret;
	ns = workers_ns(t->pid) - ns;
	packets = received(t->text);
	if (packets > 0)
		bench_add(out, ns / packets);
	command(t, "quit\n");
	return packets > 0 ? 0 : -EBADMSG;
}

static void end_testpmd(struct testpmd *t, bool is_stuck, int *status)
{
	if (t->pid > 0 && is_stuck)
		kill(t->pid, SIGKILL);
	if (t->to >= 0)
		close(t->to);
	if (t->from >= 0) {
		while (read(t->from, t->text, sizeof(t->text)) > 0)
			;
		close(t->from);
	}
	if (t->pid > 0)
		waitpid(t->pid, status, 0);
}

static int sample_testpmd(struct ports *p, size_t n, struct bench_samples *out,
			  struct dpdk_results *results)
{
	struct testpmd *t = calloc(1, sizeof(*t));
	int status = 0, ret = t ? start_testpmd(p, n, t) : -ENOMEM;

	if (!ret)
		ret = talk(t, out);
	if (t)
		end_testpmd(t, ret != 0, &status);
	free(t);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		results->no_testpmd = true;
		return 0;
	}
	return ret ? dpdk_fail(results, ret, "testpmd: %s", strerror(-ret)) : 0;
}

/* ---- all --------------------------------------------------------------------------------- */

static int prepare(struct ports *p)
{
	int ret = 0;

	for (int i = 0; i < 2 && !ret; i++) {
		snprintf(p->pcap[i], sizeof(p->pcap[i]), "%s/dpdk%d.pcap", p->run->dir, i);
		snprintf(p->device[i], sizeof(p->device[i]), "net_pcap%d,rx_pcap=%s,infinite_rx=1",
			 i, p->pcap[i]);
		ret = write_capture(p->pcap[i]);
	}
	return ret;
}

static int sample_all(struct ports *p, struct dpdk_results *r)
{
	int ret = 0;

	for (size_t n = 1; n <= 2 && !ret; n++) {
		enum dpdk_ports first = n == 1 ? DPDK_RXONLY_LEVEE : DPDK_FORWARD_LEVEE;

		ret = sample_levee(p, n, &r->ports[first]);
		if (ret)
			return dpdk_fail(r, ret, "%s", p->said);
		if (!r->no_testpmd)
			ret = sample_testpmd(p, n, &r->ports[first + 1], r);
	}
	return ret;
}

static void plan_eal(struct ports *p)
{
	const char *const eal[EAL_N] = { "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
					 "-m",	      "448",	  "--lcores",	 p->lcores };

	/* The main one sleeps while the worker runs: both may have the same CPU. */
	snprintf(p->lcores, sizeof(p->lcores), "0@%u,1@%u", p->run->cpu, p->run->cpu);
	memcpy(p->eal, eal, sizeof(p->eal));
}

int dpdk_measure_ports(const struct bench_run *run, struct dpdk_results *results)
{
	struct ports p = { .run = run };
	unsigned int rounds = run->rounds < 5 ? run->rounds : 5;
	int ret;

	if (!run->dir)
		return 0; /* nowhere for a capture */
	plan_eal(&p);
	ret = prepare(&p);
	if (ret)
		dpdk_fail(results, ret, "cannot write %s", p.pcap[0]);
	for (unsigned int round = 0; round < rounds && !ret; round++) {
		bench_progress("DPDK ports, round %u", round + 1);
		ret = sample_all(&p, results);
	}
	for (int i = 0; i < 2; i++)
		unlink(p.pcap[i]);
	return ret;
}

void dpdk_measure(const struct bench_run *run, struct dpdk_results *results)
{
	static const char *const null[] = { "net_null0" };
	struct ports p = { .run = run };

	/* A data path of no use: it starts EAL, which rte_hash needs. */
	plan_eal(&p);
	if (open_levee(&p, null, 1)) {
		dpdk_fail(results, -EIO, "%s", p.said);
		return;
	}
	levee_dataplane_close(&p.dp);
	if (!dpdk_measure_bursts(run, results))
		dpdk_measure_ports(run, results);
}

#else
int dpdk_measure_ports(const struct bench_run *run, struct dpdk_results *results)
{
	(void)run;
	return dpdk_fail(results, -95, "not built in");
}

void dpdk_measure(const struct bench_run *run, struct dpdk_results *results)
{
	dpdk_measure_ports(run, results);
}
#endif
