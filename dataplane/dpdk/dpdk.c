/* SPDX-License-Identifier: BSD-2-Clause */
#ifdef WITH_DPDK

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <rte_lcore.h>

#include "dataplane/dpdk/dpdk_internal.h"

static struct levee_dpdk *of(struct levee_dataplane *dp)
{
	return (struct levee_dpdk *)dp;
}

/* ---- clocks and waiting ------------------------------------------------------------------ */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * LEVEE_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t levee_dpdk_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static void dpdk_now(struct levee_dataplane *dp, struct levee_time *now)
{
	(void)dp;
	now->boot_ns = clock_ns(CLOCK_BOOTTIME);
	now->unix_ns = clock_ns(CLOCK_REALTIME);
}

void levee_dpdk_wake(const struct levee_dpdk *d)
{
	uint64_t one = 1;

	/* Fails only if the counter is full: then the reader is on its way. */
	if (write(d->wake_fd, &one, sizeof(one)) < 0)
		return;
}

static int arm(const struct levee_dpdk *d, uint64_t until_boot_ns)
{
	/* Zero would disarm it; 1 ns after boot is past, too. */
	uint64_t at = until_boot_ns ? until_boot_ns : 1;
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / LEVEE_NS_PER_S),
						 .tv_nsec = (long)(at % LEVEE_NS_PER_S) } };

	return timerfd_settime(d->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) ? -errno : 0;
}

static int look_for_ports(struct levee_dpdk *d)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	bool gone = levee_ports_are_gone(d, name);

	if (!gone && !__atomic_load_n(&d->gone, __ATOMIC_RELAXED))
		return 0;
	if (!d->gone_said)
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "port %s is gone: its device was removed; put it back and start "
			       "levee again",
			       gone ? name : d->ports[0].name);
	d->gone_said = true;
	return -ENODEV;
}

/* \return 1 and *event filled; 0: nothing yet; -errno */
static int on_ready(struct levee_dpdk *d, int fd, struct levee_dp_event *event)
{
	uint64_t ticks;
	ssize_t n;

	*event = (struct levee_dp_event){ .type = LEVEE_DP_SIGNAL, .fd = fd };
	if (fd != d->timer_fd && fd != d->wake_fd)
		return 1;
	n = read(fd, &ticks, sizeof(ticks)); /* only empties it */
	if (n < 0)
		return 0;
	if (look_for_ports(d))
		return -ENODEV;
	if (fd == d->timer_fd) {
		event->type = LEVEE_DP_DEADLINE;
		return 1;
	}
	return 0;
}

/* \return true if something that a worker said is left to be told */
static bool tell_event(struct levee_dpdk *d, uint64_t until_boot_ns, struct levee_dp_event *event)
{
	uint64_t seq = d->tables.page->control.seq;

	*event = (struct levee_dp_event){ 0 };
	if (__atomic_load_n(&d->pressure_seq, __ATOMIC_RELAXED) == seq && d->pressure_told != seq) {
		d->pressure_told = seq;
		event->type = LEVEE_DP_PRESSURE;
		return true;
	}
	event->type = LEVEE_DP_TRIP;
	/* Not for ever: the deadline and the descriptors have their turn, too. */
	return levee_dpdk_boot_ns() < until_boot_ns && levee_workers_tripped(d, &event->source);
}

static int dpdk_wait(struct levee_dataplane *dp, uint64_t until_boot_ns,
		     struct levee_dp_event *event)
{
	struct levee_dpdk *d = of(dp);
	struct epoll_event ready;
	int n, ret;

	ret = arm(d, until_boot_ns);
	while (!ret) {
		if (tell_event(d, until_boot_ns, event))
			return 0;
		n = epoll_wait(d->epoll_fd, &ready, 1, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			ret = on_ready(d, ready.data.fd, event);
	}
	return ret < 0 ? ret : 0;
}

static int watch_fd(const struct levee_dpdk *d, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int dpdk_watch(struct levee_dataplane *dp, int fd)
{
	return watch_fd(of(dp), fd);
}

/* ---- epochs ------------------------------------------------------------------------------ */

static uint64_t start_fence(void *ctx)
{
	return levee_workers_start_fence(ctx);
}

static void wait_fence(void *ctx, uint64_t nr)
{
	levee_workers_wait_fence(ctx, nr);
}

static int dpdk_drain(struct levee_dataplane *dp, uint64_t bin_ns, const struct levee_sink *sink,
		      struct levee_drained *drained)
{
	struct levee_dpdk *d = of(dp);
	struct levee_control *c = d->tables.rows.control;
	uint64_t seq = c->seq;

	if (d->unreleased)
		return -EBUSY;
	levee_rows_size_next(&d->tables.rows, (uint32_t)(seq & 1));
	c->opened_ns[(seq + 1) & 1] = levee_dpdk_boot_ns();
	c->bin_ns[(seq + 1) & 1] = bin_ns;
	__atomic_store_n(&c->seq, seq + 1, __ATOMIC_RELEASE);
	d->unreleased = true;
	levee_workers_wait_fence(d, levee_workers_start_fence(d));
	levee_rows_describe(&d->tables.rows, seq, drained);
	d->tables.rows.breathe = dp->breathe;
	d->tables.rows.ctx = dp->ctx;
	return levee_rows_walk(&d->tables.rows, (uint32_t)(seq & 1), sink, &drained->account);
}

/* Counts end with the process that made them. */
static uint64_t dpdk_left(struct levee_dataplane *dp)
{
	(void)dp;
	return 0;
}

static int dpdk_redrain(struct levee_dataplane *dp, const struct levee_sink *sink,
			struct levee_drained *drained)
{
	(void)sink;
	(void)drained;
	return of(dp)->unreleased ? -EBUSY : -ENOENT;
}

static void dpdk_release(struct levee_dataplane *dp)
{
	struct levee_dpdk *d = of(dp);
	struct levee_control *c = d->tables.rows.control;

	if (!d->unreleased)
		return;
	d->unreleased = false;
	levee_rows_clear(&d->tables.rows, (uint32_t)((c->seq - 1) & 1));
	c->drained = c->seq - 1;
}

static void dpdk_peek(struct levee_dataplane *dp, struct levee_drained *open)
{
	const struct levee_rows *rows = &of(dp)->tables.rows;
	uint64_t seq = rows->control->seq;

	levee_rows_describe(rows, seq, open);
	levee_rows_walk(rows, (uint32_t)(seq & 1), NULL, &open->account);
}

/* ---- settings ---------------------------------------------------------------------------- */

static void dpdk_count(struct levee_dataplane *dp, const struct levee_prefix *source,
		       struct levee_counts *sum)
{
	const struct levee_rows *rows = &of(dp)->tables.rows;

	*sum = levee_rows_count(rows, (uint32_t)(rows->control->seq & 1), source);
}

static void dpdk_set_trip(struct levee_dataplane *dp, uint64_t share)
{
	levee_rows_set_share(&of(dp)->tables.rows, share);
}

static void dpdk_set_audit(struct levee_dataplane *dp, bool audit)
{
	levee_write_once(of(dp)->tables.page->control.audit, audit);
}

static void dpdk_set_scope(struct levee_dataplane *dp, const struct levee_scope *scope)
{
	levee_scope_publish(&of(dp)->tables.page->scope, scope);
}

static void dpdk_describe(struct levee_dataplane *dp, FILE *out)
{
	const struct levee_dpdk *d = of(dp);
	const struct levee_geometry *geo = &d->tables.rows.geo;
	bool wire = d->mode == LEVEE_DPDK_WIRE;

	fprintf(out, "DPDK %s ", wire ? "wire" : "monitor");
	for (size_t i = 0; i < d->n_ports; i++)
		fprintf(out, "%s%s", !i ? "" : wire ? " <-> " : ", ", d->ports[i].name);
	fprintf(out,
		"; %u lcore%s, %u queue%s a port, room for %u IPv4 and %u IPv6 sources each, %u "
		"rules",
		d->n_workers, d->n_workers == 1 ? "" : "s", d->queues, d->queues == 1 ? "" : "s",
		LEVEE_SLOTS << geo->bits4, LEVEE_SLOTS << geo->bits6, geo->rules - 1);
}

/* ---- closing ----------------------------------------------------------------------------- */

static bool is_open; /* EAL has one set of lcores, and the log one listener */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void dpdk_close(struct levee_dataplane *dp)
{
	struct levee_dpdk *d = of(dp);

	levee_workers_stop(d);
	levee_ports_close(d);
	levee_workers_close(d);
	levee_policy_free(&d->dp.policy);
	levee_tables_close(&d->tables);
	close_fd(&d->wake_fd);
	close_fd(&d->timer_fd);
	close_fd(&d->epoll_fd);
	free(d);
	levee_dpdk_listen(NULL, NULL);
	is_open = false;
}

static const struct levee_dataplane_ops dpdk_ops = {
	.name = "dpdk",
	.now = dpdk_now,
	.wait = dpdk_wait,
	.watch = dpdk_watch,
	.drain = dpdk_drain,
	.left = dpdk_left,
	.redrain = dpdk_redrain,
	.release = dpdk_release,
	.peek = dpdk_peek,
	.count = dpdk_count,
	.set_trip = dpdk_set_trip,
	.set_audit = dpdk_set_audit,
	.set_scope = dpdk_set_scope,
	.describe = dpdk_describe,
	.close = dpdk_close,
};

/* ---- opening ----------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* What 0 stands for, and whether the rest fits; what a port lacks shows when it is configured. */
static int fit_counts(struct levee_dpdk *d, const struct levee_dpdk_options *options,
		      uint32_t *lcores)
{
	uint32_t have = rte_lcore_count() - 1, most = UINT16_MAX;

	for (size_t i = 0; i < d->n_ports; i++) {
		most = least(most, d->ports[i].max_rx_queues);
		if (options->mode == LEVEE_DPDK_WIRE)
			most = least(most, d->ports[i].max_tx_queues);
	}
	*lcores = options->lcores;
	if (!*lcores)
		*lcores = least(have, options->queues ? options->queues : most);
	d->queues = options->queues ? options->queues : *lcores;
	if (!have || *lcores > have) {
		levee_dpdk_say(
			LEVEE_DPDK_ERROR,
			"EAL has %u lcore%s besides the main one, which is the controller's, "
			"and %u %s needed: give more in [data_path] eal (-l 0-%u), or lower "
			"lcores",
			have, have == 1 ? "" : "s", *lcores ? *lcores : 1,
			*lcores > 1 ? "are" : "is", *lcores ? *lcores : 1);
		return -EINVAL;
	}
	if (d->queues < *lcores) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "[data_path] queues = %u is less than lcores = %u: %u of them would "
			       "have nothing to poll; lower lcores or raise queues",
			       d->queues, *lcores, *lcores - d->queues);
		return -EINVAL;
	}
	if (d->queues > UINT16_MAX) {
		levee_dpdk_say(LEVEE_DPDK_ERROR, "[data_path] queues = %u: no port has so many",
			       d->queues);
		return -EINVAL;
	}
	if (!*lcores) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "a port has no queue to receive from, or in the wire none to send "
			       "to: %s%s%s",
			       d->ports[0].name, d->n_ports > 1 ? ", " : "",
			       d->n_ports > 1 ? d->ports[1].name : "");
		return -EINVAL;
	}
	return 0;
}

static int open_tables(struct levee_dpdk *d, const struct levee_dpdk_options *options,
		       uint32_t lcores)
{
	struct levee_tables_sizes sizes = { .cpus = lcores,
					    .sources = options->tables.sources,
					    .sources6 = options->tables.sources6,
					    .rules = options->tables.rules,
					    .source6_length = options->tables.source6_length };
	const struct levee_hash_key *key = &d->tables.rows.geo.key;
	int ret = levee_tables_open(&d->tables, &sizes, levee_dpdk_boot_ns());

	if (ret) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "no memory for the tables of %u lcores: %s; lower [data_path] "
			       "sources, sources6 or rules",
			       lcores, strerror(-ret));
		return ret;
	}
	/* The hash key is random, and secret: its own hash names the tables. */
	snprintf(d->maps_id, sizeof(d->maps_id), "dpdk-%016llx",
		 (unsigned long long)levee_hash6(key, key->mul_1 >> 7, key->mul_2 >> 9));
	d->tables.policy.fence_start = start_fence;
	d->tables.policy.fence_wait = wait_fence;
	d->tables.policy.ctx = d;
	return levee_policy_new(&d->dp.policy, &d->tables.policy);
}

static int open_events(struct levee_dpdk *d)
{
	int ret;

	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	d->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->epoll_fd < 0 || d->timer_fd < 0 || d->wake_fd < 0)
		return -errno;
	ret = watch_fd(d, d->timer_fd);
	return ret ? ret : watch_fd(d, d->wake_fd);
}

static int open_all(struct levee_dpdk *d, const struct levee_dpdk_options *options)
{
	uint32_t lcores;
	int ret;

	ret = levee_dpdk_start_eal(options);
	if (ret)
		return ret;
	ret = levee_ports_open(d, options);
	if (ret)
		return ret;
	ret = fit_counts(d, options, &lcores);
	if (ret)
		return ret;
	ret = open_tables(d, options, lcores);
	if (ret)
		return ret;
	ret = open_events(d);
	if (!ret)
		ret = levee_workers_open(d, lcores);
	if (ret) {
		levee_dpdk_say(LEVEE_DPDK_ERROR, "cannot set up the data path: %s", strerror(-ret));
		return ret;
	}
	return levee_ports_configure(d);
}

int levee_dpdk_open(struct levee_dataplane **out, const struct levee_dpdk_options *options)
{
	struct levee_dpdk *d;
	struct levee_dataplane *dp;
	int ret;

	*out = NULL;
	if (is_open) {
		if (options->say)
			options->say(options->ctx, LEVEE_DPDK_ERROR,
				     "a DPDK data path is open in this process already");
		return -EBUSY;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	is_open = true;
	d->dp.ops = &dpdk_ops;
	d->dp.source6_length = options->tables.source6_length;
	d->mode = options->mode;
	d->flows = options->tables.flows;
	d->epoll_fd = d->timer_fd = d->wake_fd = -1;
	levee_dpdk_listen(options->say, options->ctx);

	ret = open_all(d, options);
	dp = &d->dp;
	if (ret) {
		levee_dataplane_close(&dp);
		return ret;
	}
	*out = dp;
	return 0;
}

/* ---- running ----------------------------------------------------------------------------- */

int levee_dpdk_start(struct levee_dataplane *dp)
{
	struct levee_dpdk *d = of(dp);
	int ret = levee_ports_start(d);

	return ret ? ret : levee_workers_start(d);
}

static uint64_t refused(const struct levee_dpdk *d)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < d->n_workers; i++)
		sum += levee_read_once(d->workers[i].refused);
	return sum;
}

int levee_dpdk_set_flows(struct levee_dataplane *dp, bool flows)
{
	struct levee_dpdk *d = of(dp);

	d->flows = flows;
	for (uint32_t i = 0; i < d->n_workers; i++)
		__atomic_store_n(&d->workers[i].inspector.flows, flows, __ATOMIC_RELAXED);
	return 0;
}

void levee_dpdk_check(struct levee_dataplane *dp)
{
	struct levee_dpdk *d = of(dp);
	uint64_t now = refused(d);

	levee_ports_check(d);
	if (now != d->refused_said)
		levee_dpdk_say(LEVEE_DPDK_WARNING,
			       "%llu packets that passed were lost: the port they go out by had no "
			       "room for them for a while; is its link slower than the other's?",
			       (unsigned long long)(now - d->refused_said));
	d->refused_said = now;
}

void levee_dpdk_losses(struct levee_dataplane *dp, struct levee_losses *losses)
{
	struct levee_dpdk *d = of(dp);

	*losses = (struct levee_losses){ .known = true, .refused = refused(d) };
	levee_ports_losses(d, losses);
}

void levee_dpdk_work(const struct levee_dataplane *dp, struct levee_dpdk_work *work)
{
	const struct levee_dpdk *d = (const struct levee_dpdk *)dp;

	*work = (struct levee_dpdk_work){ 0 };
	for (uint32_t i = 0; i < d->n_workers; i++) {
		work->judged += levee_read_once(d->workers[i].judged);
		work->forwarded_out += levee_read_once(d->workers[i].forwarded_out);
	}
}

size_t levee_dpdk_interfaces(const struct levee_dataplane *dp,
			     char names[static LEVEE_DPDK_PORTS_MAX][LEVEE_DPDK_INTERFACE_BYTES])
{
	const struct levee_dpdk *d = (const struct levee_dpdk *)dp;
	size_t n = 0;

	for (size_t i = 0; i < d->n_ports; i++)
		if (d->ports[i].if_index && if_indextoname(d->ports[i].if_index, names[n]))
			n++;
	return n;
}

unsigned int levee_dpdk_lcores(const struct levee_dataplane *dp)
{
	return ((const struct levee_dpdk *)dp)->n_workers;
}

const char *levee_dpdk_maps_id(const struct levee_dataplane *dp)
{
	return ((const struct levee_dpdk *)dp)->maps_id;
}

#else
typedef int levee_dpdk_is_not_here; /* ISO C wants something in a file */
#endif
