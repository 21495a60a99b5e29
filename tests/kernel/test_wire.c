/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The wire between two namespaces, over ports on the kernel's interfaces: TCP passes intact in both
 * directions at once while a hundred thousand blocks come and go, over and over; who is blocked
 * does not; and what one end sent is what was received, dropped, and got by the other.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk.h"
#include "tests/dataplane/dpdk/collect.h"

#define BLOCKS	    100000
#define ROUNDS	    2
#define DEADLINE_NS (90 * LEVEE_NS_PER_S)
#define STILL_NS    (20 * LEVEE_NS_PER_S) /* without a packet: the transfer hangs */
#define PORT	    5001		  /* of a namespace of its own */
#define CHUNK	    65536

static struct {
	char server[40], client[40], wire[40];
	int home; /* the namespace of this process */
	struct levee_dataplane *dp;
	char said[512];
	struct collected got;
} w;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * LEVEE_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void say(void *ctx, enum levee_dpdk_say level, const char *message)
{
	(void)ctx;
	if (level <= LEVEE_DPDK_WARNING)
		print_message("%s\n", message);
	if (level == LEVEE_DPDK_ERROR)
		snprintf(w.said, sizeof(w.said), "%s", message);
}

/* ---- namespaces -------------------------------------------------------------------------- */

static int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int sh(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

static int enter(const char *name)
{
	char path[80];
	int fd, ret;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = setns(fd, CLONE_NEWNET) ? -errno : 0;
	close(fd);
	return ret;
}

static void make_namespace(const char *name)
{
	assert_int_equal(sh("ip netns add %s && ip netns exec %s sysctl -qw "
			    "net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1",
			    name, name),
			 0);
}

/* What the kernel leaves to a NIC, checksums and cutting into segments, no NIC does here. */
static void make_plain(const char *name, const char *interface)
{
	assert_int_equal(sh("ip -n %s link set %s up && ip netns exec %s ethtool -K %s tx off tso "
			    "off gso off gro off >/dev/null",
			    name, interface, name, interface),
			 0);
}

static int set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	snprintf(w.server, sizeof(w.server), "levee-t-s-%d", (int)getpid());
	snprintf(w.client, sizeof(w.client), "levee-t-c-%d", (int)getpid());
	snprintf(w.wire, sizeof(w.wire), "levee-t-w-%d", (int)getpid());
	return w.home < 0;
}

static int tear_down(void **state)
{
	(void)state;
	levee_dataplane_close(&w.dp);
	if (setns(w.home, CLONE_NEWNET))
		return -1;
	close(w.home);
	sh("ip netns del %s; ip netns del %s; ip netns del %s", w.server, w.client, w.wire);
	collect_free(&w.got);
	return 0;
}

static void make_wire(void)
{
	make_namespace(w.server);
	make_namespace(w.client);
	make_namespace(w.wire);
	assert_int_equal(sh("ip link add eth0 netns %s type veth peer name outside netns %s && "
			    "ip link add eth0 netns %s type veth peer name inside netns %s && "
			    "ip -n %s addr add 192.0.2.1/24 dev eth0 && "
			    "ip -n %s addr add 192.0.2.2/24 dev eth0 && "
			    "ip -n %s addr add 192.0.2.66/24 dev eth0",
			    w.client, w.wire, w.server, w.wire, w.server, w.client, w.client),
			 0);
	make_plain(w.client, "eth0");
	make_plain(w.server, "eth0");
	make_plain(w.wire, "outside");
	make_plain(w.wire, "inside");
}

static uint64_t statistic_of(const char *name, const char *interface, const char *what)
{
	char command[160];
	uint64_t n = 0;
	FILE *out;

	snprintf(command, sizeof(command), "ip -n %s -s -j link show %s | jq '.[0].stats64.%s'",
		 name, interface, what);
	out = popen(command, "r");
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%lu", &n), 1);
	pclose(out);
	return n;
}

/* ---- the two ends ------------------------------------------------------------------------ */

/* Byte `at` of a stream that both ends know. */
static uint8_t byte_of(uint64_t seed, uint64_t at)
{
	uint64_t word = (at / 8 + seed) * 0x9e3779b97f4a7c15ULL;

	return (uint8_t)((word ^ word >> 29) >> at % 8 * 8);
}

struct report {
	uint64_t sent, got;
	bool intact, ended;
};

struct end {
	int sock, stop;
	uint64_t seed; /* of what it sends; the other end's is one more or less */
	struct report report;
	bool sending;
};

static void push(struct end *e)
{
	static uint8_t chunk[CHUNK];
	ssize_t n;

	for (size_t i = 0; i < CHUNK; i++)
		chunk[i] = byte_of(e->seed, e->report.sent + i);
	n = send(e->sock, chunk, CHUNK, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		e->report.sent += (uint64_t)n;
}

static bool pull(struct end *e)
{
	static uint8_t chunk[CHUNK];
	ssize_t n = recv(e->sock, chunk, CHUNK, MSG_DONTWAIT);

	for (ssize_t i = 0; i < n; i++)
		e->report.intact &= chunk[i] == byte_of(e->seed ^ 1, e->report.got++);
	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* Both ways at once, until told to stop; then what is under way is still taken. */
static void transfer(struct end *e)
{
	e->report.intact = e->sending = true;
	for (;;) {
		struct pollfd at[] = {
			{ .fd = e->sock, .events = (short)(POLLIN | (e->sending ? POLLOUT : 0)) },
			{ .fd = e->sending ? e->stop : -1, .events = POLLIN },
		};

		if (poll(at, 2, (int)(STILL_NS / 1000000)) <= 0)
			return;
		if (at[1].revents) {
			e->sending = false;
			shutdown(e->sock, SHUT_WR);
		}
		if (at[0].revents & (POLLERR | POLLNVAL))
			return;
		if (e->sending && (at[0].revents & POLLOUT))
			push(e);
		if ((at[0].revents & (POLLIN | POLLHUP)) && !pull(e))
			break;
	}
	e->report.ended = true;
}

static struct sockaddr_in address(const char *text, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	inet_pton(AF_INET, text, &a.sin_addr);
	return a;
}

static int accept_one(int ready)
{
	struct sockaddr_in here = address("192.0.2.1", PORT);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pollfd at = { .fd = listener, .events = POLLIN };

	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 4) ||
	    write(ready, "", 1) != 1 || poll(&at, 1, (int)(DEADLINE_NS / 1000000)) != 1)
		return -1;
	return accept(listener, NULL, NULL);
}

static int connect_from(const char *from, int timeout_s)
{
	struct sockaddr_in here = address(from, 0), there = address("192.0.2.1", PORT);
	int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = timeout_s };

	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!bind(sock, (struct sockaddr *)&here, sizeof(here)) &&
	    !connect(sock, (struct sockaddr *)&there, sizeof(there)))
		return sock;
	close(sock);
	return -1;
}

/* A process at one end: says that it is ready, transfers, reports. */
static pid_t start_end(bool serves, int stop, const int ready[2], const int report[2],
		       const int stop_writer)
{
	pid_t pid = fork();
	struct end e = { .stop = stop, .seed = serves };

	assert_true(pid >= 0);
	if (pid)
		return pid;
	close(stop_writer);
	if (enter(serves ? w.server : w.client))
		_exit(2);
	if (serves) {
		e.sock = accept_one(ready[1]);
	} else {
		e.sock = connect_from("192.0.2.2", 30);
		if (e.sock >= 0 && write(ready[1], "", 1) != 1)
			_exit(2);
	}
	if (e.sock < 0)
		_exit(2);
	transfer(&e);
	_exit(write(report[1], &e.report, sizeof(e.report)) != sizeof(e.report));
}

static bool gets_through(const char *from)
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (!pid)
		_exit(enter(w.client) ? 2 : connect_from(from, 2) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 2);
	return WEXITSTATUS(status) == 0;
}

static void await_ready(int fd)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };
	char byte;

	assert_int_equal(poll(&at, 1, (int)(DEADLINE_NS / 1000000)), 1);
	assert_int_equal(read(fd, &byte, 1), 1);
}

static struct report read_report(int fd, pid_t pid)
{
	struct pollfd at = { .fd = fd, .events = POLLIN };
	struct report report = { 0 };
	int status;

	if (poll(&at, 1, (int)(DEADLINE_NS / 1000000)) != 1)
		kill(pid, SIGKILL);
	else if (read(fd, &report, sizeof(report)) != sizeof(report))
		report.ended = false;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return report;
}

/* ---- the wire ---------------------------------------------------------------------------- */

static uint64_t passed(void)
{
	struct levee_dpdk_work work;

	levee_dpdk_work(w.dp, &work);
	return work.judged + work.forwarded_out;
}

/* \return false if this kind of port cannot be had here */
static bool open_wire(const char *driver)
{
	static char lcores[32];
	static const char *const eal[] = { "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry",
					   "-m",	"128",	    "--lcores",	   lcores };
	char port[2][64];
	const char *const ports[] = { port[0], port[1] };
	struct levee_dpdk_options options = { .eal = eal,
					      .n_eal = sizeof(eal) / sizeof(eal[0]),
					      .ports = ports,
					      .n_ports = 2,
					      .mode = LEVEE_DPDK_WIRE,
					      .lcores = 1,
					      .tables = { .sources = 65536,
							  .sources6 = 4096,
							  .rules = 2 * BLOCKS,
							  .source6_length = 64 },
					      .say = say };
	struct levee_prefix blocked = { .hi = 0xc0000242, .family = 4, .length = 32 };

	if (!lcores[0])
		snprintf(lcores, sizeof(lcores), "0@%d,1@%d", sched_getcpu(),
			 sysconf(_SC_NPROCESSORS_ONLN) > 1 ? !sched_getcpu() : sched_getcpu());
	snprintf(port[0], sizeof(port[0]), "net_%s0,iface=outside", driver);
	snprintf(port[1], sizeof(port[1]), "net_%s1,iface=inside", driver);
	if (levee_dpdk_open(&w.dp, &options))
		return false;
	assert_int_equal(levee_policy_block(levee_dataplane_policy(w.dp), &blocked, LEVEE_NEVER, 1),
			 0);
	assert_int_equal(levee_dpdk_start(w.dp), 0);
	return true;
}

static struct levee_prefix nth(uint32_t i)
{
	struct levee_prefix p = { .hi = 0x0a000000 + i * 97,
				  .family = 4,
				  .length = i % 1000 ? 32 : 20 };

	levee_prefix_canon(&p);
	return p;
}

/* \return the longest time that no packet passed [ns] */
static uint64_t change_policy(void)
{
	struct levee_policy *policy = levee_dataplane_policy(w.dp);
	uint64_t longest = 0, since = now_ns(), last = passed();

	for (uint32_t i = 0; i < 2 * BLOCKS; i++) {
		struct levee_prefix p = nth(i % BLOCKS);
		int ret = i < BLOCKS ? levee_policy_block(policy, &p, LEVEE_NEVER, 1)
				     : levee_policy_unblock(policy, &p);

		assert_int_equal(ret, 0);
		if (i % 256)
			continue;
		if (passed() != last) {
			since = now_ns();
			last = passed();
		}
		if (now_ns() - since > longest)
			longest = now_ns() - since;
	}
	return longest;
}

static void await_quiet(void)
{
	uint64_t last = passed(), since = now_ns();

	while (now_ns() - since < LEVEE_NS_PER_S / 2) {
		usleep(20000);
		if (passed() != last)
			since = now_ns();
		last = passed();
	}
}

/* Of both ends' interfaces: out and in. */
struct counted {
	uint64_t client_tx, client_rx, server_tx, server_rx;
	uint64_t kernel; /* took it from the port, and had no room at the other end of the veth */
};

static struct counted count_ends(void)
{
	return (struct counted){ .client_tx = statistic_of(w.client, "eth0", "tx.packets"),
				 .client_rx = statistic_of(w.client, "eth0", "rx.packets"),
				 .server_tx = statistic_of(w.server, "eth0", "tx.packets"),
				 .server_rx = statistic_of(w.server, "eth0", "rx.packets"),
				 .kernel = statistic_of(w.wire, "outside", "tx.dropped") +
					   statistic_of(w.wire, "inside", "tx.dropped") };
}

/* Every packet of both directions arrived, or was dropped, or a port says that it lost it. */
static void account_adds_up(const struct counted *from)
{
	const struct levee_account *a = &w.got.account;
	struct counted now = count_ends();
	uint64_t sent = now.client_tx - from->client_tx, got = now.server_rx - from->server_rx;
	uint64_t sent_back = now.server_tx - from->server_tx;
	uint64_t got_back = now.client_rx - from->client_rx;
	uint64_t dropped, lost;
	struct levee_losses losses;

	collect_drain(&w.got, w.dp, 0);
	levee_dpdk_losses(w.dp, &losses);
	dropped = a->outcome[LEVEE_DROPPED];
	lost = losses.missed + losses.no_buffer + losses.refused + losses.send_errors + now.kernel -
	       from->kernel;
	print_message("there %lu sent, %lu received, %lu dropped, %lu got; back %lu sent, %lu got; "
		      "%lu lost\n",
		      (unsigned long)sent, (unsigned long)a->received, (unsigned long)dropped,
		      (unsigned long)got, (unsigned long)sent_back, (unsigned long)got_back,
		      (unsigned long)lost);
	assert_int_equal(a->received, collect_sum(a));
	assert_true(dropped > 0 && a->received <= sent);
	assert_int_equal(sent + sent_back, got + got_back + dropped + lost);
}

static void pass_tcp(const char *driver)
{
	int stop[2], ready[2], report[2][2];
	uint64_t longest = 0, moved = 0;
	struct report server, client;
	struct counted before;
	pid_t pid[2];

	if (!levee_dpdk_version()) {
		print_message("# SKIP built without DPDK\n");
		skip();
	}
	make_wire();
	assert_int_equal(enter(w.wire), 0);
	before = count_ends();
	if (!open_wire(driver)) {
		print_message("# SKIP no ports of net_%s here: %s\n", driver, w.said);
		skip();
	}
	assert_int_equal(pipe2(stop, O_CLOEXEC) | pipe2(ready, O_CLOEXEC) |
				 pipe2(report[0], O_CLOEXEC) | pipe2(report[1], O_CLOEXEC),
			 0);
	pid[0] = start_end(true, stop[0], ready, report[0], stop[1]);
	await_ready(ready[0]);
	assert_false(gets_through("192.0.2.66"));
	pid[1] = start_end(false, stop[0], ready, report[1], stop[1]);
	await_ready(ready[0]);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t begun = passed(), still = change_policy();

		moved += passed() - begun;
		longest = still > longest ? still : longest;
	}
	close(stop[1]);
	server = read_report(report[0][0], pid[0]);
	client = read_report(report[1][0], pid[1]);
	print_message("%lu packets passed while %d blocks came and went; the longest pause was "
		      "%lu ms; %lu bytes there, %lu back\n",
		      (unsigned long)moved, ROUNDS * BLOCKS, (unsigned long)(longest / 1000000),
		      (unsigned long)server.got, (unsigned long)client.got);
	assert_true(server.ended && client.ended);
	assert_true(server.intact && client.intact);
	assert_int_equal(server.got, client.sent);
	assert_int_equal(client.got, server.sent);
	assert_true(server.got > 0 && client.got > 0 && moved > 0);
	assert_true(longest < STILL_NS);
	await_quiet();
	account_adds_up(&before);
	close(stop[0]);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(report[0][i]);
		close(report[1][i]);
	}
}

static void tcp_passes_intact_over_af_packet_while_blocks_come_and_go(void **state)
{
	(void)state;
	pass_tcp("af_packet");
}

static void tcp_passes_intact_over_af_xdp_while_blocks_come_and_go(void **state)
{
	(void)state;
	pass_tcp("af_xdp");
}

/* The driver of af_xdp ports leaves what libxdp knows of a port's memory when the port goes. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create\n";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			tcp_passes_intact_over_af_packet_while_blocks_come_and_go, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			tcp_passes_intact_over_af_xdp_while_blocks_come_and_go, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
