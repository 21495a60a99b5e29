/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Real time through AF_PACKET, or through a port of DPDK. Packets that are due go to the kernel in batches; what it has no
 * room for is offered again, so that every packet of the truth was accepted.
 */
#include "tools/pktgen/output.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <math.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tools/pktgen/link.h"
#include "tools/pktgen/port.h"

#define BATCH 64
/* Not to sleep for each packet: what is due within this time goes in one batch. */
#define QUANTUM_NS   200000U
#define NAP_MAX_NS   40000000U /* a signal that comes just before a nap waits for its end */
#define RETRY_NAP_NS 20000U
#define RAMP_FIRST   1000.0 /* packets that a flood may send at once */

struct sender {
	struct pktgen_run *run;
	const char *name;
	unsigned int mtu;
	int fd;
	struct pktgen_port *port; /* of DPDK; NULL: fd */
	uint64_t start_ns;	  /* monotonic */
	uint64_t end_ns;	  /* nothing is sent after it */
	uint64_t taken;		  /* packets put into batches */
	unsigned int n;		  /* in the batch */
	uint32_t room;		  /* for a frame [bytes] */
	uint8_t *frames;
	struct iovec iov[BATCH];
	struct mmsghdr message[BATCH];
	struct pktgen_packet packet[BATCH]; /* without the frame */
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t monotonic_ns)
{
	struct timespec ts = { (time_t)(monotonic_ns / 1000000000U),
			       (long)(monotonic_ns % 1000000000U) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static int open_socket(struct sender *s, const struct pktgen_link *link)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = link->index };
	int one = 1, buffer = 4 << 20;

	/* Protocol 0: this socket receives nothing. */
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return pktgen_fail(s->run, -errno,
				   "cannot open a packet socket: %s; run as root or with "
				   "CAP_NET_RAW",
				   strerror(errno));
	/* Both only make it faster. */
	setsockopt(s->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one));
	setsockopt(s->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	if (bind(s->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return pktgen_fail(s->run, -errno, "cannot bind to %s: %s", s->name,
				   strerror(errno));
	return 0;
}

static int make_room(struct sender *s)
{
	s->room = PKTGEN_SIZE_MAX + PKTGEN_HEAD_MAX;
	s->frames = malloc((size_t)BATCH * s->room);
	if (!s->frames)
		return pktgen_fail(s->run, -ENOMEM, "no memory");
	for (int i = 0; i < BATCH; i++) {
		s->iov[i].iov_base = s->frames + (size_t)i * s->room;
		s->message[i].msg_hdr = (struct msghdr){ .msg_iov = &s->iov[i], .msg_iovlen = 1 };
	}
	return 0;
}

static int open_sender(struct sender *s)
{
	struct pktgen_link link;
	int ret = pktgen_link_get(s->name, &link);

	if (ret < 0)
		return pktgen_fail(s->run, ret, "%s: %s; `ip link` lists the interfaces", s->name,
				   strerror(-ret));
	if (!(link.flags & IFF_UP))
		return pktgen_fail(s->run, -ENETDOWN, "%s is down; `ip link set %s up`", s->name,
				   s->name);
	s->mtu = link.mtu;
	return open_socket(s, &link);
}

/* ---- sending ---------------------------------------------------------------------------------- */

static int note_sent(struct sender *s, unsigned int first, unsigned int n, uint64_t unix_ns)
{
	for (unsigned int i = first; i < first + n; i++) {
		const struct pktgen_packet *p = &s->packet[i];
		int ret = pktgen_truth_add(s->run->truth, unix_ns, p->population, p->source,
					   p->length);

		if (ret < 0)
			return pktgen_fail(s->run, ret, "cannot write the truth: %s",
					   strerror(-ret));
	}
	s->run->packets += n;
	return 0;
}

static int refuse(struct sender *s, int error, uint32_t length)
{
	if (error == EMSGSIZE)
		return pktgen_fail(s->run, -error,
				   "%s does not take a frame of %u bytes, its MTU is %u; lessen "
				   "`size`, or `ip link set %s mtu`",
				   s->name, length, s->mtu, s->name);
	if (error == ENETDOWN || error == ENXIO || error == ENODEV)
		return pktgen_fail(s->run, -error, "%s went away or down while sending", s->name);
	return pktgen_fail(s->run, -error, "sending to %s: %s", s->name, strerror(error));
}

/* Send the batch, all of it unless a signal comes. */
static int flush(struct sender *s)
{
	unsigned int done = 0;
	int ret = 0;

	while (done < s->n && ret == 0) {
		/* The bin is that of the moment before the kernel takes the packets. */
		uint64_t unix_ns = clock_ns(CLOCK_REALTIME);
		int n = s->port ? pktgen_port_send(s->port, s->iov + done, s->n - done)
				: sendmmsg(s->fd, s->message + done, s->n - done, MSG_DONTWAIT);

		if (n > 0) {
			ret = note_sent(s, done, (unsigned int)n, unix_ns);
			done += (unsigned int)n;
			continue;
		}
		if (errno == ENOBUFS || errno == EAGAIN) {
			s->run->retries++;
			sleep_until(clock_ns(CLOCK_MONOTONIC) + RETRY_NAP_NS);
		} else if (errno != EINTR) {
			ret = refuse(s, errno, s->packet[done].length);
		}
		if (*s->run->stop)
			break;
	}
	s->n = 0;
	return ret;
}

static void put(struct sender *s, const struct pktgen_packet *packet)
{
	memcpy(s->iov[s->n].iov_base, packet->frame, packet->length);
	s->iov[s->n].iov_len = packet->length;
	s->packet[s->n] = *packet;
	s->n++;
	s->taken++;
}

/*
 * When a packet is due. While it ramps up, the scenario's clock goes faster and faster until it
 * has its speed: x seconds of it need sqrt(2 x ramp), from ramp / 2 on x + ramp / 2.
 */
static uint64_t due(const struct sender *s, uint64_t time_ns)
{
	double x = (double)time_ns * 1e-9 / s->run->speed, ramp = s->run->ramp_s;

	x = x < ramp / 2 ? sqrt(2 * x * ramp) : x + ramp / 2;
	return s->start_ns + (uint64_t)(x * 1e9);
}

/* A flood ramps up by packets: a thousand times as many at the ramp's end as at its start. */
static uint64_t due_in_flood(const struct sender *s)
{
	double ramp = s->run->ramp_s, x;

	if (!(ramp > 0) || (double)s->taken < RAMP_FIRST)
		return s->start_ns;
	x = log2((double)s->taken / RAMP_FIRST) / 10;
	return s->start_ns + (uint64_t)((x < 1 ? x : 1) * ramp * 1e9);
}

/* Wait until a packet is due. \return false: stopped */
static bool await(struct sender *s, uint64_t due_ns)
{
	for (;;) {
		uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

		if (*s->run->stop)
			return false;
		if (now_ns >= due_ns)
			return true;
		due_ns = due_ns > now_ns + QUANTUM_NS ? due_ns : now_ns + QUANTUM_NS;
		sleep_until(due_ns < now_ns + NAP_MAX_NS ? due_ns : now_ns + NAP_MAX_NS);
	}
}

static int send_all(struct sender *s, struct pktgen_gen *gen)
{
	struct pktgen_run *run = s->run;
	struct pktgen_packet packet;
	uint64_t now_ns = s->start_ns;
	int ret = 0;

	while (ret == 0 && !*run->stop && s->taken < run->max_packets &&
	       pktgen_gen_next(gen, &packet)) {
		uint64_t due_ns;

		if (packet.time_ns < run->from_ns)
			continue;
		due_ns = run->flood ? due_in_flood(s) : due(s, packet.time_ns - run->from_ns);
		if (due_ns >= s->end_ns || now_ns >= s->end_ns)
			break;
		if (due_ns > now_ns) {
			now_ns = clock_ns(CLOCK_MONOTONIC);
			if (due_ns > now_ns) {
				ret = flush(s);
				if (ret < 0 || !await(s, due_ns))
					break;
				now_ns = clock_ns(CLOCK_MONOTONIC);
			}
		}
		if (!run->flood && now_ns - due_ns > run->lag_ns)
			run->lag_ns = now_ns - due_ns;
		put(s, &packet);
		if (s->n == BATCH) {
			ret = flush(s);
			now_ns = clock_ns(CLOCK_MONOTONIC);
		}
	}
	if (ret == 0 && !*run->stop)
		ret = flush(s);
	return ret;
}

static int run_sender(struct pktgen_run *run, const char *name, bool is_dpdk)
{
	struct sender s = { .run = run, .name = name, .fd = -1 };
	struct pktgen_gen *gen = NULL;
	int ret;

	ret = pktgen_gen_new(&gen, run->scenario);
	if (ret < 0)
		pktgen_fail(run, ret, "no memory for the scenario; lessen its sources");
	else
		ret = make_room(&s);
	if (ret == 0)
		ret = is_dpdk ? pktgen_port_open(&s.port, run, name) : open_sender(&s);
	if (ret == 0) {
		s.start_ns = clock_ns(CLOCK_MONOTONIC);
		s.end_ns = s.start_ns + (uint64_t)(run->max_s * 1e9);
		ret = send_all(&s, gen);
		run->seconds = (double)(clock_ns(CLOCK_MONOTONIC) - s.start_ns) * 1e-9;
	}
	if (s.fd >= 0)
		close(s.fd);
	pktgen_port_close(s.port);
	free(s.frames);
	pktgen_gen_free(&gen);
	return ret;
}

int pktgen_output_interface(struct pktgen_run *run, const char *name)
{
	return run_sender(run, name, false);
}

int pktgen_output_dpdk(struct pktgen_run *run, const char *name)
{
	return run_sender(run, name, true);
}
