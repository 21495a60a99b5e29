/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's own generator, pktgen (Documentation/networking/pktgen.rst): one device a
 * population, dealt to its threads, and commands written into its files. It sends UDP of equal
 * sources in turn; what it cannot send is refused, not sent differently. One write is one command.
 *
 * A directory that is not its own, for a rehearsal, gets the same commands and sends nothing.
 */
#include "tools/pktgen/output.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <math.h>
#include <net/if.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "tools/pktgen/link.h"

#define SECOND_NS  1000000000U
#define NAP_NS	   10000000U
#define RAMP_STEPS 10 /* each sends twice as fast as the one before */
#define TEXT_MAX   8192
#define RATE_LEAST 1.0
#define IMIX_MEAN  358 /* [bytes] of 60, 590 and 1514 as 7:4:1 */

struct device {
	char file[IFNAMSIZ + 8]; /* "eth1@0" */
	double rate;		 /* of all its sources [packets/s] */
	uint64_t count;		 /* packets it sends at most; 0: no bound */
	uint64_t counted;	 /* that are in the truth */
};

struct kernel {
	struct pktgen_run *run;
	const char *name;
	bool rehearsal;
	unsigned int threads;
	struct device device[PKTGEN_POPULATIONS_MAX];
	uint64_t start_ns, end_ns; /* monotonic */
	pthread_t starter;
	bool started;
	atomic_bool over; /* the command that starts everything came back */
	atomic_int error; /* with this, positive */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
}

static void nap(void)
{
	struct timespec ts = { 0, NAP_NS };

	nanosleep(&ts, NULL);
}

/* ---- its files -------------------------------------------------------------------------------- */

static void path_of(const struct kernel *k, const char *file, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", k->run->proc, file);
}

/* One command. \return 0; -errno */
static int write_command(const struct kernel *k, const char *file, const char *command)
{
	int create = k->rehearsal ? O_CREAT : 0, fd;
	char path[PATH_MAX], line[256];
	int n = snprintf(line, sizeof(line), "%s\n", command), ret = 0;

	path_of(k, file, path);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | create, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, line, (size_t)n) != n)
		ret = errno ? -errno : -EIO;
	close(fd);
	return ret;
}

static int __attribute__((format(printf, 3, 4)))
tell(const struct kernel *k, const char *file, const char *format, ...)
{
	char command[240];
	va_list args;
	int ret;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	ret = write_command(k, file, command);
	if (ret < 0)
		return pktgen_fail(k->run, ret, "%s/%s does not take \"%s\": %s", k->run->proc,
				   file, command, strerror(-ret));
	return 0;
}

/* How many threads the generator has: one a CPU. A rehearsal without files for them has one. */
static unsigned int count_threads(const struct kernel *k)
{
	char path[PATH_MAX], file[32];
	unsigned int n = 0;

	do {
		snprintf(file, sizeof(file), "kpktgend_%u", n);
		path_of(k, file, path);
	} while (access(path, F_OK) == 0 && ++n < 4096);
	return n;
}

static int find_generator(struct kernel *k)
{
	struct statfs fs;

	if (statfs(k->run->proc, &fs) < 0)
		return pktgen_fail(k->run, -errno,
				   "%s: %s; `modprobe pktgen` makes it, if this kernel has the "
				   "module",
				   k->run->proc, strerror(errno));
	k->rehearsal = fs.f_type != PROC_SUPER_MAGIC;
	k->run->rehearsed = k->rehearsal;
	k->threads = count_threads(k);
	if (k->threads == 0 && k->rehearsal)
		k->threads = 1;
	if (k->threads == 0)
		return pktgen_fail(k->run, -ENOENT,
				   "%s has no kpktgend_0; `modprobe pktgen` starts the generator",
				   k->run->proc);
	return 0;
}

/* ---- what it can send ------------------------------------------------------------------------- */

static int check_population(struct kernel *k, const struct pktgen_population *p)
{
	const char *what = NULL;

	if (p->distribution == PKTGEN_ZIPF || p->distribution == PKTGEN_LOGNORMAL)
		what = "its sources cannot differ in rate: set distribution = constant";
	else if (!(p->weight[PKTGEN_UDP] >= 1))
		what = "the kernel's pktgen sends UDP alone: set protocols = udp";
	else if (p->spread)
		what = "it counts addresses up: set order = consecutive";
	else if (p->rotate)
		what = "it cannot rotate: set rotate = no";
	else if (p->fragments > 0 || p->options > 0 || p->extensions > 0)
		what = "it makes no fragments, options or extension headers: set them to 0";
	else if (p->prefix.family == 4 && p->step != 32)
		what = "its sources are neighbours: set step = 32";
	else if (p->prefix.family == 6 && (p->spoofed || p->sources > 1))
		what = "it has one IPv6 source: set sources = 1";
	if (what)
		return pktgen_fail(k->run, -EINVAL,
				   "[%s] cannot be sent with --kernel, %s, or use --interface",
				   p->name, what);
	return 0;
}

/* Addresses that a population counts up. */
static uint64_t addresses(const struct pktgen_population *p)
{
	return p->spoofed ? 1ULL << (32 - p->prefix.length) : p->sources;
}

static void plan_device(struct kernel *k, size_t i, double all)
{
	const struct pktgen_run *run = k->run;
	const struct pktgen_population *p = &run->scenario->population[i];
	struct device *d = &k->device[i];

	snprintf(d->file, sizeof(d->file), "%s@%zu", k->name, i);
	d->rate = p->spoofed ? p->rate : p->rate * (double)p->sources;
	if (run->max_packets != UINT64_MAX) {
		d->count = (uint64_t)llround((double)run->max_packets * d->rate / all);
		d->count += d->count == 0; /* which would be no bound */
	}
	/* No spoofed source comes back. */
	if (p->spoofed && (d->count == 0 || d->count > addresses(p)))
		d->count = addresses(p);
	if (run->rate > 0)
		d->rate *= run->rate / all;
}

static int plan_devices(struct kernel *k)
{
	const struct pktgen_scenario *s = k->run->scenario;
	double all = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct pktgen_population *p = &s->population[i];
		int ret = check_population(k, p);

		if (ret < 0)
			return ret;
		all += p->spoofed ? p->rate : p->rate * (double)p->sources;
	}
	for (size_t i = 0; i < s->n; i++)
		plan_device(k, i, all);
	return 0;
}

/* ---- what it is told -------------------------------------------------------------------------- */

static const char *address_text(uint8_t family, struct pktgen_number n,
				char text[static INET6_ADDRSTRLEN])
{
	uint8_t bytes[16];

	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(n.hi >> (56 - 8 * i));
		bytes[8 + i] = (uint8_t)(n.lo >> (56 - 8 * i));
	}
	if (family == 4) {
		uint32_t be = htonl((uint32_t)n.hi);

		memcpy(bytes, &be, sizeof(be));
	}
	inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes, text, INET6_ADDRSTRLEN);
	return text;
}

static int tell_addresses(struct kernel *k, size_t i)
{
	const struct pktgen_scenario *s = k->run->scenario;
	const struct pktgen_population *p = &s->population[i];
	const struct levee_prefix *to = p->destination.family	? &p->destination
					: p->prefix.family == 4 ? &s->destination4
								: &s->destination6;
	const char *six = p->prefix.family == 4 ? "" : "6";
	struct pktgen_number destination = { to->hi, to->lo };
	const char *file = k->device[i].file;
	char text[INET6_ADDRSTRLEN];
	struct pktgen_number low;
	struct pktgen_plan plan;
	int ret;

	pktgen_plan_make(&plan, s, i);
	low = pktgen_address(&plan, 0);
	/*
	 * The kernel counts up before it sends, so its first source is the second. Round and round
	 * that makes no difference; spoofed ones, which end before the last, begin one below.
	 */
	if (p->spoofed && low.hi > 0)
		low.hi--;
	address_text(p->prefix.family, destination, text);
	if (*six) {
		ret = tell(k, file, "dst6 %s", text);
		return ret < 0 ? ret : tell(k, file, "src6 %s", address_text(6, low, text));
	}
	ret = tell(k, file, "dst_min %s", text);
	if (ret == 0)
		ret = tell(k, file, "dst_max %s", text);
	if (ret == 0)
		ret = tell(k, file, "src_min %s", address_text(4, low, text));
	if (ret == 0)
		ret = tell(k, file, "src_max %s",
			   address_text(4, pktgen_address(&plan, addresses(p) - 1), text));
	return ret;
}

static int tell_frames(struct kernel *k, size_t i)
{
	const struct pktgen_scenario *s = k->run->scenario;
	const struct pktgen_population *p = &s->population[i];
	const uint8_t *to = p->own_mac ? p->destination_mac : s->destination_mac;
	const uint8_t *from = s->source_mac;
	const char *file = k->device[i].file;
	unsigned int low = p->source_port ? p->source_port : 1024;
	unsigned int high = p->source_port ? p->source_port : 65535;
	int ret;

	ret = tell(k, file, "dst_mac %02x:%02x:%02x:%02x:%02x:%02x", to[0], to[1], to[2], to[3],
		   to[4], to[5]);
	if (ret == 0)
		ret = tell(k, file, "src_mac %02x:%02x:%02x:%02x:%02x:%02x", from[0], from[1],
			   from[2], from[3], from[4], from[5]);
	if (ret == 0)
		ret = p->size ? tell(k, file, "pkt_size %u", p->size)
			      : tell(k, file, "imix_weights 60,7 590,4 1514,1");
	if (ret == 0)
		ret = tell(k, file, "flag QUEUE_MAP_CPU");
	if (ret == 0)
		ret = tell(k, file, "udp_dst_min %u", p->port);
	if (ret == 0)
		ret = tell(k, file, "udp_dst_max %u", p->port);
	if (ret == 0)
		ret = tell(k, file, "udp_src_min %u", low);
	if (ret == 0)
		ret = tell(k, file, "udp_src_max %u", high);
	if (ret == 0 && low != high)
		ret = tell(k, file, "flag UDPSRC_RND");
	/* The inner tag is its vlan_id, the outer its svlan_id. */
	if (ret == 0 && p->vlans)
		ret = tell(k, file, "vlan_id %u", p->vlan[p->vlans - 1]);
	if (ret == 0 && p->vlans == 2)
		ret = tell(k, file, "svlan_id %u", p->vlan[0]);
	return ret;
}

/* \param share  of the full speed, above 0; 1 is full speed */
static int tell_rate(struct kernel *k, size_t i, double share)
{
	const struct device *d = &k->device[i];
	double rate = d->rate * share;

	if (k->run->flood && share >= 1)
		return tell(k, d->file, "delay 0");
	return tell(k, d->file, "ratep %.0f", rate > RATE_LEAST ? rate : RATE_LEAST);
}

static int tell_device(struct kernel *k, size_t i)
{
	const struct device *d = &k->device[i];
	char thread[32];
	int ret;

	snprintf(thread, sizeof(thread), "kpktgend_%zu", i % k->threads);
	ret = tell(k, thread, "add_device %s", d->file);
	if (ret == 0)
		ret = tell(k, d->file, "count %" PRIu64, d->count);
	/* A packet for each source, not one for many. */
	if (ret == 0)
		ret = tell(k, d->file, "clone_skb 0");
	if (ret == 0)
		ret = tell_rate(k, i, k->run->ramp_s > 0 ? ldexp(1, -RAMP_STEPS) : 1);
	if (ret == 0)
		ret = tell_addresses(k, i);
	return ret == 0 ? tell_frames(k, i) : ret;
}

/* Devices of runs before would send, too. */
static int clear_devices(struct kernel *k)
{
	char thread[32];
	int ret = 0;

	for (unsigned int i = 0; ret == 0 && i < k->threads; i++) {
		snprintf(thread, sizeof(thread), "kpktgend_%u", i);
		ret = tell(k, thread, "rem_device_all");
	}
	return ret;
}

static int tell_devices(struct kernel *k)
{
	int ret = clear_devices(k);

	for (size_t i = 0; ret == 0 && i < k->run->scenario->n; i++)
		ret = tell_device(k, i);
	return ret;
}

/* ---- sending ---------------------------------------------------------------------------------- */

int pktgen_kernel_sent(const char *text, uint64_t *packets)
{
	const char *at = strstr(text, "pkts-sofar: ");
	unsigned long long n;
	char *end;

	if (!at)
		return -EBADMSG;
	at += strlen("pkts-sofar: ");
	errno = 0;
	n = strtoull(at, &end, 10);
	if (end == at || *at == '-' || errno)
		return -EBADMSG;
	*packets = n;
	return 0;
}

static int read_sent(const struct kernel *k, const struct device *d, uint64_t *packets)
{
	char path[PATH_MAX], text[TEXT_MAX];
	FILE *in;
	size_t n;

	path_of(k, d->file, path);
	in = fopen(path, "re");
	if (!in)
		return -errno;
	n = fread(text, 1, sizeof(text) - 1, in);
	fclose(in);
	text[n] = '\0';
	return pktgen_kernel_sent(text, packets);
}

/* Put into the truth what was sent since the last look. */
static int note_sent(struct kernel *k, uint64_t unix_ns)
{
	const struct pktgen_scenario *s = k->run->scenario;

	for (size_t i = 0; i < s->n; i++) {
		const struct pktgen_population *p = &s->population[i];
		struct device *d = &k->device[i];
		uint64_t sent, first;
		int ret = read_sent(k, d, &sent);

		if (ret < 0)
			return pktgen_fail(k->run, ret, "%s/%s does not say what was sent: %s",
					   k->run->proc, d->file, strerror(-ret));
		if (sent <= d->counted)
			continue;
		first = p->spoofed ? d->counted : d->counted + 1;
		ret = pktgen_truth_add_round(k->run->truth, unix_ns, (uint32_t)i, first,
					     sent - d->counted, p->size ? p->size : IMIX_MEAN);
		if (ret < 0)
			return pktgen_fail(k->run, ret, "cannot write the truth: %s",
					   strerror(-ret));
		k->run->packets += sent - d->counted;
		d->counted = sent;
	}
	return 0;
}

static void *start(void *context)
{
	struct kernel *k = context;

	/* Comes back when all devices have sent all, or "stop" was said. */
	atomic_store(&k->error, -write_command(k, "pgctrl", "start"));
	atomic_store(&k->over, true);
	return NULL;
}

static int ramp_up(struct kernel *k, int *step)
{
	double passed_s = (double)(clock_ns(CLOCK_MONOTONIC) - k->start_ns) * 1e-9;
	int due = k->run->ramp_s > 0 ? (int)(passed_s / k->run->ramp_s * RAMP_STEPS) : RAMP_STEPS;
	int ret = 0;

	if (due > RAMP_STEPS)
		due = RAMP_STEPS;
	for (; ret == 0 && *step < due; (*step)++)
		for (size_t i = 0; ret == 0 && i < k->run->scenario->n; i++)
			ret = tell_rate(k, i, ldexp(1, *step + 1 - RAMP_STEPS));
	return ret;
}

static int follow(struct kernel *k)
{
	uint64_t bin_ns = (uint64_t)k->run->scenario->bin_s * SECOND_NS;
	uint64_t bin = clock_ns(CLOCK_REALTIME) / bin_ns, now;
	int ret = 0, step = k->run->ramp_s > 0 ? 0 : RAMP_STEPS;

	while (ret == 0 && !*k->run->stop && !atomic_load(&k->over) &&
	       clock_ns(CLOCK_MONOTONIC) < k->end_ns) {
		nap();
		ret = ramp_up(k, &step);
		now = clock_ns(CLOCK_REALTIME) / bin_ns;
		if (ret == 0 && now != bin && !k->rehearsal)
			ret = note_sent(k, now * bin_ns - 1);
		bin = now;
	}
	return ret;
}

static void on_alarm(int number)
{
	(void)number; /* it only interrupts */
}

static int stop_all(struct kernel *k)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int ret = atomic_load(&k->over) ? 0 : tell(k, "pgctrl", "stop");
	int error;

	/* The kernel looks every 100 ms whether all have stopped, and at once for a signal. */
	sigaction(SIGALRM, &action, NULL);
	pthread_kill(k->starter, SIGALRM);

	pthread_join(k->starter, NULL);
	error = atomic_load(&k->error);
	if (ret == 0 && error)
		ret = pktgen_fail(k->run, -error, "%s/pgctrl does not start: %s", k->run->proc,
				  strerror(error));
	return ret;
}

static int send_all(struct kernel *k)
{
	double length_s = k->run->max_s;
	int ret, stopped;

	if (k->run->scenario->duration_s < length_s)
		length_s = k->run->scenario->duration_s;
	k->start_ns = clock_ns(CLOCK_MONOTONIC);
	k->end_ns = k->start_ns + (uint64_t)(length_s * 1e9);
	ret = -pthread_create(&k->starter, NULL, start, k);
	if (ret < 0)
		return pktgen_fail(k->run, ret, "cannot start a thread: %s", strerror(-ret));
	ret = follow(k);
	stopped = stop_all(k);
	k->run->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - k->start_ns) * 1e-9;
	if (ret == 0)
		ret = stopped;
	return ret == 0 && !k->rehearsal ? note_sent(k, clock_ns(CLOCK_REALTIME)) : ret;
}

int pktgen_output_kernel(struct pktgen_run *run, const char *name)
{
	struct kernel k = { .run = run, .name = name };
	int ret = find_generator(&k), cleared;

	if (ret == 0)
		ret = plan_devices(&k);
	if (ret == 0)
		ret = tell_devices(&k);
	if (ret == 0)
		ret = send_all(&k);
	if (k.threads && !k.rehearsal) {
		cleared = clear_devices(&k);
		ret = ret == 0 ? cleared : ret;
	}
	return ret;
}
