/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to dataplane/dpdk/: the handle, its ports and workers. Only where DPDK is built in. */
#ifndef LEVEE_DPDK_INTERNAL_H
#define LEVEE_DPDK_INTERNAL_H

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/dpdk/dpdk.h"
#include "dataplane/dpdk/inspect.h"
#include "dataplane/dpdk/tables.h"

#define LEVEE_DPDK_NO_PORT UINT16_MAX

struct port {
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t id;
	struct rte_device *device;
	unsigned int if_index; /* of the kernel's interface behind it; 0: there is none */
	uint16_t max_rx_queues, max_tx_queues;
	uint16_t tx_queues;
	uint16_t rx_desc, tx_desc;
	bool started;
	bool made_promiscuous;	    /* by us: to be undone */
	bool down;		    /* said */
	uint64_t socket_drops;	    /* of the packet sockets behind it */
	struct rte_eth_stats seen;  /* at the last look */
	struct rte_eth_stats begun; /* at start */
};

/* One direction of one receive queue, which one worker polls. */
struct path {
	uint16_t from, queue;
	uint16_t to; /* LEVEE_DPDK_NO_PORT: packets end here */
	bool judged;
};

/*
 * Sources of which a worker says that they have a further share of packets: it writes at head, the
 * controller reads at tail. What finds it full is told of at its next share.
 */
#define LEVEE_DPDK_TRIPS 64

struct trips {
	uint64_t head __rte_cache_aligned;
	struct {
		uint64_t seq; /* of the epoch */
		struct levee_prefix source;
	} at[LEVEE_DPDK_TRIPS];
	uint64_t tail __rte_cache_aligned;
};

struct worker {
	struct levee_inspector inspector;
	struct levee_dpdk *owner;
	struct path *paths;
	uint32_t n_paths;
	unsigned int lcore;
	bool running;
	uint16_t tx_queue; /* its own on each port */

	/* written by the worker alone, read by anybody */
	uint64_t judged;
	uint64_t forwarded_out;
	uint64_t refused;

	struct trips trips;
} __rte_cache_aligned;

struct levee_dpdk {
	struct levee_dataplane dp; /* first */
	enum levee_dpdk_mode mode;
	bool flows;
	char maps_id[40];

	struct port ports[LEVEE_DPDK_PORTS_MAX];
	size_t n_ports;
	uint32_t queues; /* of each port */
	struct rte_mempool *pool;

	struct worker *workers;
	uint32_t n_workers;
	uint64_t refused_said; /* by all workers, at the last look */
	struct rte_rcu_qsbr *quiescence;
	bool stop;

	struct levee_tables tables;
	bool unreleased;

	int epoll_fd, timer_fd, wake_fd;
	uint64_t pressure_seq;	/* epoch whose logs fill up; 0: none */
	uint64_t pressure_told; /* the last one that wait() returned for */
	bool gone;		/* a port has been pulled out */
	bool gone_said;
};

/* log.c: what is said, for the data path that is open. Any thread may say something. */
void levee_dpdk_listen(void (*say)(void *ctx, enum levee_dpdk_say level, const char *message),
		       void *ctx);
void levee_dpdk_say(enum levee_dpdk_say level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int levee_dpdk_open_log(void);
void levee_dpdk_tame_libraries(void);		    /* after EAL has loaded its drivers */
void levee_dpdk_hold_log(void);			    /* keep what DPDK logs from now on, */
void levee_dpdk_release_log(void);		    /* and say it */
void levee_dpdk_complaint(char *text, size_t size); /* DPDK's first error since forgotten, or "" */
void levee_dpdk_forget_complaint(void);

/* eal.c */
int levee_dpdk_start_eal(const struct levee_dpdk_options *options);

/* port.c */
int levee_ports_open(struct levee_dpdk *d, const struct levee_dpdk_options *options);
int levee_ports_configure(struct levee_dpdk *d);
int levee_ports_start(struct levee_dpdk *d);
void levee_ports_check(struct levee_dpdk *d);
bool levee_ports_are_gone(const struct levee_dpdk *d, char name[static RTE_ETH_NAME_MAX_LEN]);
void levee_ports_losses(struct levee_dpdk *d, struct levee_losses *losses);
void levee_ports_close(struct levee_dpdk *d);

/* worker.c */
int levee_workers_open(struct levee_dpdk *d, uint32_t n);
int levee_workers_start(struct levee_dpdk *d);
void levee_workers_stop(struct levee_dpdk *d);
void levee_workers_close(struct levee_dpdk *d);
uint64_t levee_workers_start_fence(struct levee_dpdk *d);
void levee_workers_wait_fence(struct levee_dpdk *d, uint64_t token);
bool levee_workers_tripped(struct levee_dpdk *d, struct levee_prefix *source); /* the next */

/* dpdk.c */
void levee_dpdk_wake(const struct levee_dpdk *d);
uint64_t levee_dpdk_boot_ns(void);

#endif
