/* SPDX-License-Identifier: BSD-2-Clause */
/* The workers: poll, inspect, free or forward; and the fence that waits for all of them. */
#ifdef WITH_DPDK

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "dataplane/dpdk/dpdk_internal.h"

/* Turns that a port with a full queue is given before packets are dropped: some microseconds. */
#define SEND_TRIES 64

/* A fence that takes longer than this has a worker that hangs, or no CPU of its own [ns]. */
#define FENCE_LONG_NS (2 * LEVEE_NS_PER_S)

/* One writer, readers that want a whole word. */
#define ADD(counter, n) levee_write_once(counter, (counter) + (n))

/* ---- one burst --------------------------------------------------------------------------- */

static uint64_t judge(struct worker *w, struct rte_mbuf *const *packets, unsigned int n)
{
	struct levee_view view[LEVEE_BURST_MAX];

	for (unsigned int i = 0; i < n; i++) {
		view[i].data = rte_pktmbuf_mtod(packets[i], const uint8_t *);
		__builtin_prefetch(view[i].data);
		view[i].captured = rte_pktmbuf_data_len(packets[i]);
		view[i].bytes = rte_pktmbuf_pkt_len(packets[i]);
	}
	ADD(w->judged, n);
	return levee_inspect(&w->inspector, view, n, levee_dpdk_boot_ns());
}

static void send_all(struct worker *w, uint16_t port, struct rte_mbuf **packets, uint16_t n)
{
	uint16_t sent = 0;

	for (int tries = 0; sent < n && tries < SEND_TRIES; tries++) {
		sent += rte_eth_tx_burst(port, w->tx_queue, packets + sent, (uint16_t)(n - sent));
		if (sent < n)
			rte_pause();
	}
	if (sent == n)
		return;
	ADD(w->refused, (uint64_t)(n - sent));
	rte_pktmbuf_free_bulk(packets + sent, n - sent);
}

static void forward(struct worker *w, uint16_t port, struct rte_mbuf **packets, uint16_t n,
		    uint64_t drop)
{
	struct rte_mbuf *dropped[LEVEE_BURST_MAX];
	uint16_t kept = 0, n_dropped = 0;

	if (drop) {
		for (uint16_t i = 0; i < n; i++) {
			if (drop & (1ULL << i))
				dropped[n_dropped++] = packets[i];
			else
				packets[kept++] = packets[i];
		}
		rte_pktmbuf_free_bulk(dropped, n_dropped);
		n = kept;
	}
	if (n)
		send_all(w, port, packets, n);
}

static void poll_path(struct worker *w, const struct path *path)
{
	struct rte_mbuf *packets[LEVEE_BURST_MAX];
	uint16_t n = rte_eth_rx_burst(path->from, path->queue, packets, LEVEE_BURST_MAX);
	uint64_t drop = 0;

	if (!n)
		return;
	if (path->judged)
		drop = judge(w, packets, n);
	else
		ADD(w->forwarded_out, n);
	if (path->to == LEVEE_DPDK_NO_PORT)
		rte_pktmbuf_free_bulk(packets, n);
	else
		forward(w, path->to, packets, n, drop);
}

static int work(void *arg)
{
	struct worker *w = arg;
	struct rte_rcu_qsbr *quiescence = w->owner->quiescence;

	rte_rcu_qsbr_thread_online(quiescence, w->inspector.cpu);
	while (!__atomic_load_n(&w->owner->stop, __ATOMIC_RELAXED)) {
		for (uint32_t i = 0; i < w->n_paths; i++)
			poll_path(w, &w->paths[i]);
		rte_rcu_qsbr_quiescent(quiescence, w->inspector.cpu);
	}
	rte_rcu_qsbr_thread_offline(quiescence, w->inspector.cpu);
	return 0;
}

/* ---- the fence --------------------------------------------------------------------------- */

uint64_t levee_workers_start_fence(struct levee_dpdk *d)
{
	return d->quiescence ? rte_rcu_qsbr_start(d->quiescence) : 0;
}

/* Yields, because with fewer CPUs than lcores the worker waited for may want this one. */
void levee_workers_wait_fence(struct levee_dpdk *d, uint64_t token)
{
	uint64_t begun = levee_dpdk_boot_ns();
	bool said = false;

	if (!d->quiescence)
		return;
	for (unsigned int turn = 1; !rte_rcu_qsbr_check(d->quiescence, token, false); turn++) {
		if (turn % 256) {
			rte_pause();
			continue;
		}
		sched_yield();
		if (said || levee_dpdk_boot_ns() - begun < FENCE_LONG_NS)
			continue;
		said = true;
		levee_dpdk_say(LEVEE_DPDK_WARNING,
			       "a worker has not come round for 2 s: does it have a CPU of its "
			       "own? The controller waits for it");
	}
}

/* ---- making and ending ------------------------------------------------------------------- */

static bool on_trip(void *ctx, uint64_t seq, const struct levee_prefix *source)
{
	struct worker *w = ctx;
	struct trips *t = &w->trips;
	uint64_t head = t->head;

	if (head - __atomic_load_n(&t->tail, __ATOMIC_ACQUIRE) == LEVEE_DPDK_TRIPS)
		return false;
	t->at[head % LEVEE_DPDK_TRIPS].seq = seq;
	t->at[head % LEVEE_DPDK_TRIPS].source = *source;
	__atomic_store_n(&t->head, head + 1, __ATOMIC_SEQ_CST);
	/* Either the controller sees this one, or we see that it has read all before and sleeps. */
	if (__atomic_load_n(&t->tail, __ATOMIC_SEQ_CST) == head)
		levee_dpdk_wake(w->owner);
	return true;
}

/* What an epoch that is over had of a source says nothing any more. */
bool levee_workers_tripped(struct levee_dpdk *d, struct levee_prefix *source)
{
	uint64_t seq = d->tables.rows.control->seq;

	for (uint32_t i = 0; i < d->n_workers; i++) {
		struct trips *t = &d->workers[i].trips;

		while (t->tail != __atomic_load_n(&t->head, __ATOMIC_SEQ_CST)) {
			uint64_t at = t->tail % LEVEE_DPDK_TRIPS;
			bool is_of_now = t->at[at].seq == seq;

			*source = t->at[at].source;
			__atomic_store_n(&t->tail, t->tail + 1, __ATOMIC_SEQ_CST);
			if (is_of_now)
				return true;
		}
	}
	return false;
}

static void on_pressure(void *ctx, uint64_t seq)
{
	struct levee_dpdk *d = ((const struct worker *)ctx)->owner;

	if (__atomic_exchange_n(&d->pressure_seq, seq, __ATOMIC_RELAXED) != seq)
		levee_dpdk_wake(d);
}

/* Queue q belongs to worker q % n, so that a flow, being in one queue, keeps its order. */
static int give_paths(struct levee_dpdk *d, struct worker *w)
{
	bool wire = d->mode == LEVEE_DPDK_WIRE;

	w->paths = calloc(d->n_ports * d->queues, sizeof(*w->paths));
	if (!w->paths)
		return -ENOMEM;
	for (uint32_t q = w->inspector.cpu; q < d->queues; q += d->n_workers)
		for (size_t i = 0; i < d->n_ports; i++)
			w->paths[w->n_paths++] = (struct path){
				.from = d->ports[i].id,
				.queue = (uint16_t)q,
				.to = wire ? d->ports[!i].id : LEVEE_DPDK_NO_PORT,
				.judged = !wire || i == 0,
			};
	return 0;
}

static int open_quiescence(struct levee_dpdk *d, uint32_t n)
{
	size_t size = rte_rcu_qsbr_get_memsize(n);

	d->quiescence = aligned_alloc(RTE_CACHE_LINE_SIZE,
				      (size + RTE_CACHE_LINE_SIZE - 1) &
					      ~(size_t)(RTE_CACHE_LINE_SIZE - 1));
	if (!d->quiescence)
		return -ENOMEM;
	return rte_rcu_qsbr_init(d->quiescence, n) ? -EINVAL : 0;
}

int levee_workers_open(struct levee_dpdk *d, uint32_t n)
{
	size_t size = n * sizeof(*d->workers);
	unsigned int lcore = rte_get_next_lcore(-1U, 1, 0);
	int ret;

	ret = open_quiescence(d, n);
	if (ret)
		return ret;
	d->workers = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (!d->workers)
		return -ENOMEM;
	memset(d->workers, 0, size);
	d->n_workers = n;
	for (uint32_t i = 0; i < n && !ret; i++) {
		struct worker *w = &d->workers[i];

		w->owner = d;
		w->lcore = lcore;
		w->tx_queue = (uint16_t)i;
		w->inspector = (struct levee_inspector){
			.tables = &d->tables,
			.cpu = i,
			.flows = d->flows,
			.pressure = on_pressure,
			.trip = on_trip,
			.ctx = w,
		};
		ret = give_paths(d, w);
		lcore = rte_get_next_lcore(lcore, 1, 0);
	}
	return ret;
}

int levee_workers_start(struct levee_dpdk *d)
{
	int ret = 0;

	d->stop = false;
	for (uint32_t i = 0; i < d->n_workers && !ret; i++) {
		struct worker *w = &d->workers[i];

		ret = rte_rcu_qsbr_thread_register(d->quiescence, i) ? -EINVAL : 0;
		if (!ret)
			ret = rte_eal_remote_launch(work, w, w->lcore);
		w->running = !ret;
	}
	if (ret)
		levee_dpdk_say(LEVEE_DPDK_ERROR, "a worker cannot be started: %s", strerror(-ret));
	return ret;
}

void levee_workers_stop(struct levee_dpdk *d)
{
	__atomic_store_n(&d->stop, true, __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < d->n_workers; i++) {
		if (!d->workers[i].running)
			continue;
		rte_eal_wait_lcore(d->workers[i].lcore);
		rte_rcu_qsbr_thread_unregister(d->quiescence, i);
		d->workers[i].running = false;
	}
}

void levee_workers_close(struct levee_dpdk *d)
{
	for (uint32_t i = 0; i < d->n_workers; i++)
		free(d->workers[i].paths);
	free(d->workers);
	free(d->quiescence);
	d->workers = NULL;
	d->quiescence = NULL;
	d->n_workers = 0;
}

#else
typedef int levee_dpdk_has_no_workers; /* ISO C wants something in a file */
#endif
