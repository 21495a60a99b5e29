/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rr: a TCP request/response service and its clients, to see what a flood does to them.
 *
 *	rr serve ADDRESS PORT
 *	rr ask ADDRESS PORT --connections 64 --from 192.0.2.64 --rate 4000 --warmup 1 --seconds 2
 *
 * The server answers 64 bytes with 64 bytes. The client opens its connections, each from an
 * address of its own if --from gives the first, prints "ready", and asks over each in turn. With a
 * rate a request has a time when it is due, and its latency counts from then: a service that
 * stalls does not get out of being asked meanwhile. What has no answer at the end counts with the
 * age it then has. Without a rate each answer brings the next request.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE		64 /* [bytes] */
#define CONNECTIONS_MAX 1024
#define EVENTS		64
#define TICK_NS		100000 /* how late a request may be sent */
#define CONNECT_S	10
/* Latencies: 32 cells for each power of two, so a cell is at most 1/32 wide. */
#define CELL_BITS 5
#define CELLS	  ((64 - CELL_BITS) << CELL_BITS)

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int fail(const char *what)
{
	fprintf(stderr, "rr: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- latencies -------------------------------------------------------------------------------- */

struct histogram {
	uint64_t n;
	uint64_t cell[CELLS];
};

static unsigned int cell_of(uint64_t v)
{
	unsigned int shift;

	if (v < 1U << CELL_BITS)
		return (unsigned int)v;
	shift = 63U - (unsigned int)__builtin_clzll(v) - CELL_BITS;
	return ((shift + 1) << CELL_BITS) + (unsigned int)((v >> shift) & ((1U << CELL_BITS) - 1));
}

/* The largest value that a cell holds. */
static uint64_t cell_end(unsigned int cell)
{
	unsigned int shift = cell >> CELL_BITS;
	uint64_t low = cell & ((1U << CELL_BITS) - 1);

	if (shift == 0)
		return low;
	return (((low | 1U << CELL_BITS) + 1) << (shift - 1)) - 1;
}

static void add(struct histogram *h, int64_t ns)
{
	h->cell[cell_of(ns > 0 ? (uint64_t)ns : 0)]++;
	h->n++;
}

static double percentile_us(const struct histogram *h, double share)
{
	uint64_t want = (uint64_t)((double)h->n * share), seen = 0;

	for (unsigned int i = 0; i < CELLS; i++) {
		seen += h->cell[i];
		if (seen > want)
			return (double)cell_end(i) / 1e3;
	}
	return 0;
}

/* ---- the server ------------------------------------------------------------------------------- */

static int open_listener(const struct sockaddr_in *to)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
	    listen(fd, CONNECTIONS_MAX) < 0) {
		close(fd);
		return fail("cannot listen");
	}
	return fd;
}

static int watch(int epoll, int fd, uint32_t tag)
{
	struct epoll_event e = { .events = EPOLLIN,
				 .data.u64 = (uint64_t)tag << 32 | (uint32_t)fd };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? fail("epoll") : 0;
}

static void take_connection(int epoll, int listener)
{
	int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (watch(epoll, fd, 0) < 0)
		close(fd);
}

/* Requests may come in pieces; their answers are as long as they, so an echo is one. */
static void answer(int fd)
{
	char buffer[MESSAGE * 16];
	ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

	if (n > 0 && send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n)
		return;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close(fd);
}

static int serve(const struct sockaddr_in *to)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), listener = open_listener(to);
	struct epoll_event events[EVENTS];

	if (epoll < 0 || listener < 0 || watch(epoll, listener, 1) < 0)
		return -1;
	puts("ready");
	fflush(stdout);
	while (!stop) {
		int n = epoll_wait(epoll, events, EVENTS, 1000);

		for (int i = 0; i < n; i++) {
			int fd = (int)(uint32_t)events[i].data.u64;

			if (events[i].data.u64 >> 32)
				take_connection(epoll, fd);
			else
				answer(fd);
		}
	}
	return 0;
}

/* ---- the client ------------------------------------------------------------------------------- */

struct connection {
	int fd;
	unsigned int missing; /* bytes of the answer; 0: nothing is asked */
	int64_t due_ns;	      /* of the request that is asked, or comes next */
};

struct client {
	struct sockaddr_in to;
	struct in_addr from; /* 0: any */
	unsigned int n;
	double rate, warmup_s, seconds;
	struct connection c[CONNECTIONS_MAX];
	int epoll, timer;
	int64_t period_ns; /* between two requests of a connection; 0: no rate */
	int64_t begin_ns, end_ns;
	uint64_t answers, broken;
	struct histogram h;
};

static int open_connection(struct client *k, unsigned int i)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct timeval limit = { CONNECT_S, 0 };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return fail("socket");
	k->c[i].fd = fd;
	from.sin_addr.s_addr = htonl(ntohl(k->from.s_addr) + i);
	if (k->from.s_addr && bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		return fail("cannot bind to an address of --from");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&k->to, sizeof(k->to)) < 0)
		return fail("cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return watch(k->epoll, fd, i + 1);
}

static void ask(struct client *k, struct connection *c)
{
	char message[MESSAGE] = { 0 };

	if (send(c->fd, message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)sizeof(message)) {
		/* One message always has room: the connection is gone. */
		k->broken += c->missing == 0;
		epoll_ctl(k->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	}
	c->missing = MESSAGE;
}

static void note(struct client *k, const struct connection *c, int64_t now_ns)
{
	if (now_ns < k->begin_ns || now_ns > k->end_ns)
		return;
	k->answers++;
	add(&k->h, now_ns - c->due_ns);
}

static void read_answer(struct client *k, struct connection *c)
{
	char buffer[MESSAGE];
	ssize_t n = recv(c->fd, buffer, c->missing ? c->missing : 1, MSG_DONTWAIT);
	int64_t now_ns = clock_ns();

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			k->broken++;
			epoll_ctl(k->epoll, EPOLL_CTL_DEL, c->fd, NULL);
		}
		return;
	}
	if (!c->missing)
		return;
	c->missing -= (unsigned int)n;
	if (c->missing)
		return;
	note(k, c, now_ns);
	c->due_ns = k->period_ns ? c->due_ns + k->period_ns : now_ns;
	if (c->due_ns <= now_ns)
		ask(k, c);
}

static void ask_what_is_due(struct client *k)
{
	int64_t now_ns = clock_ns();

	for (unsigned int i = 0; i < k->n; i++)
		if (!k->c[i].missing && k->c[i].due_ns <= now_ns)
			ask(k, &k->c[i]);
}

static int set_timer(struct client *k)
{
	struct itimerspec tick = { { 0, TICK_NS }, { 0, TICK_NS } };

	k->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (k->timer < 0 || timerfd_settime(k->timer, 0, &tick, NULL) < 0)
		return fail("timer");
	return watch(k->epoll, k->timer, 0);
}

static void run_client(struct client *k)
{
	struct epoll_event events[EVENTS];
	uint64_t ticks;

	while (!stop && clock_ns() < k->end_ns) {
		int n = epoll_wait(k->epoll, events, EVENTS, 10);

		for (int i = 0; i < n; i++) {
			uint32_t tag = (uint32_t)(events[i].data.u64 >> 32);

			if (tag)
				read_answer(k, &k->c[tag - 1]);
			else if (read(k->timer, &ticks, sizeof(ticks)) > 0)
				ask_what_is_due(k);
		}
	}
}

/* Requests without an answer, those too that were due since and could not be asked. */
static uint64_t count_unanswered(struct client *k)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < k->n; i++) {
		int64_t due_ns = k->c[i].due_ns;

		if (!k->c[i].missing)
			continue;
		do {
			add(&k->h, k->end_ns - due_ns);
			due_ns += k->period_ns;
			n++;
		} while (k->period_ns && due_ns < k->end_ns);
	}
	return n;
}

static void report(struct client *k)
{
	uint64_t unanswered = count_unanswered(k);

	printf("{\"connections\": %u, \"rate\": %.0f, \"seconds\": %.3f, \"answers\": %" PRIu64
	       ", \"answers_per_s\": %.1f, \"unanswered\": %" PRIu64 ", \"broken\": %" PRIu64
	       ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f}\n",
	       k->n, k->rate, k->seconds, k->answers, (double)k->answers / k->seconds, unanswered,
	       k->broken, percentile_us(&k->h, 0.5), percentile_us(&k->h, 0.99),
	       percentile_us(&k->h, 0.999));
}

static int run_asking(struct client *k)
{
	int64_t now_ns;

	k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll < 0)
		return fail("epoll");
	for (unsigned int i = 0; i < k->n; i++)
		if (open_connection(k, i) < 0)
			return -1;
	if (set_timer(k) < 0)
		return -1;
	puts("ready");
	fflush(stdout);
	now_ns = clock_ns();
	k->begin_ns = now_ns + (int64_t)(k->warmup_s * 1e9);
	k->end_ns = k->begin_ns + (int64_t)(k->seconds * 1e9);
	if (k->rate > 0)
		k->period_ns = (int64_t)(1e9 * k->n / k->rate);
	for (unsigned int i = 0; i < k->n; i++)
		k->c[i].due_ns = now_ns + k->period_ns * i / k->n;
	run_client(k);
	report(k);
	return 0;
}

/* ---- the command line ------------------------------------------------------------------------- */

static int usage(void)
{
	fputs("usage: rr serve ADDRESS PORT\n"
	      "       rr ask ADDRESS PORT [OPTION...]\n"
	      "\n"
	      "  --connections N   1 to 1024 (default 64)\n"
	      "  --from ADDRESS    of the first connection, the others following\n"
	      "  --rate N          requests/s of all together (default: as fast as they are "
	      "answered)\n"
	      "  --warmup S        that is not counted (default 0)\n"
	      "  --seconds S       (default 2)\n",
	      stderr);
	return 2;
}

static bool parse_number(const char *text, double low, double high, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out >= low && *out <= high;
}

static bool parse_option(struct client *k, int option, const char *value)
{
	double n;

	switch (option) {
	case 'n':
		if (!parse_number(value, 1, CONNECTIONS_MAX, &n))
			return false;
		k->n = (unsigned int)n;
		return true;
	case 'f':
		return inet_pton(AF_INET, value, &k->from) == 1;
	case 'r':
		return parse_number(value, 1, 1e7, &k->rate);
	case 'w':
		return parse_number(value, 0, 60, &k->warmup_s);
	case 's':
		return parse_number(value, 0.1, 600, &k->seconds);
	default:
		return false;
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "connections", required_argument, NULL, 'n' },
		{ "from", required_argument, NULL, 'f' },
		{ "rate", required_argument, NULL, 'r' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "seconds", required_argument, NULL, 's' },
		{ 0 },
	};
	static struct client k = { .n = 64, .seconds = 2 };
	struct sigaction action = { .sa_handler = on_signal };
	double port;
	int option;

	if (argc < 4 || !parse_number(argv[3], 1, 65535, &port) ||
	    inet_pton(AF_INET, argv[2], &k.to.sin_addr) != 1)
		return usage();
	k.to.sin_family = AF_INET;
	k.to.sin_port = htons((uint16_t)port);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (strcmp(argv[1], "serve") == 0 && argc == 4)
		return serve(&k.to) < 0;
	if (strcmp(argv[1], "ask") != 0)
		return usage();
	optind = 4;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!parse_option(&k, option, optarg))
			return usage();
	return optind < argc ? usage() : run_asking(&k) < 0;
}
