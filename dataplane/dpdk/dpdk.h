/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The DPDK data path: poll-mode workers in this process, for hosts that run DPDK or sit in the wire.
 *
 *	monitor   one port or more; packets end here: mirrors and taps
 *	wire      two ports, and what is not dropped goes on to the other one, unchanged and in order:
 *	          the first port faces the outside, and what comes in there is judged and counted; what
 *	          comes in on the second is the protected side's own, and passes without a look
 *
 * Each lcore polls its share of the receive queues and has its own rows in the tables, so nothing
 * that a worker writes is shared. Tables and policy are those of the XDP path, and a quiescent
 * state that every worker reports between bursts takes the place of the kernel's RCU.
 *
 * Counts and blocks live in this process: unlike XDP's they end with it, and in the wire packets
 * stop when it does. Put it where the network has a way around (two routes, a bypass card).
 *
 * Order of calls: levee_dpdk_open() starts EAL, takes the ports and configures them; the caller
 * puts allow list and blocks into the policy; levee_dpdk_start() lets packets in.
 *
 * EAL can be started once in a process: a second open needs the same EAL arguments, and works if
 * the first data path is closed. All but the worker threads' part is called from one thread, the
 * one that opened first; it is EAL's main lcore, and pinned there.
 *
 * Built with WITH_DPDK; without, levee_dpdk_open() says so and returns -ENOTSUP.
 */
#ifndef LEVEE_DPDK_H
#define LEVEE_DPDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"

#define LEVEE_DPDK_PORTS_MAX	   16
#define LEVEE_DPDK_INTERFACE_BYTES 16 /* IF_NAMESIZE */

enum levee_dpdk_mode { LEVEE_DPDK_MONITOR, LEVEE_DPDK_WIRE };

/* How a message is meant; levels as of syslog, so that the caller can map them. */
enum levee_dpdk_say {
	LEVEE_DPDK_ERROR = 3,
	LEVEE_DPDK_WARNING = 4,
	LEVEE_DPDK_NOTICE = 5,
	LEVEE_DPDK_INFO = 6,
	LEVEE_DPDK_DEBUG = 7,
};

struct levee_dpdk_options {
	const char *const *eal; /* EAL's arguments, without a program name; as `-l 0-3 -n 4` */
	size_t n_eal;
	/*
	 * Names of ports that EAL has (0000:00:06.0), or devices to make, with their arguments
	 * (net_af_packet0,iface=eth1).
	 */
	const char *const *ports;
	size_t n_ports;
	enum levee_dpdk_mode mode;
	uint32_t lcores;		   /* workers; 0: as many as EAL has besides the main one */
	uint32_t queues;		   /* receive queues of each port; 0: one for each lcore */
	struct levee_table_options tables; /* for each CPU, or lcore */
	/** Told in whole sentences what was done and what went wrong; DPDK's own log, too. */
	void (*say)(void *ctx, enum levee_dpdk_say level, const char *message);
	void *ctx;
};

/** What the workers did. Since start(). */
struct levee_dpdk_work {
	uint64_t judged;	/* packets that were received and judged */
	uint64_t forwarded_out; /* wire: packets from the protected side that went out */
};

/** Version of the DPDK library in use; NULL if it is not built in. */
const char *levee_dpdk_version(void);

/**
 * Start EAL, unless that is done, take the ports, make the tables.
 * \param out  the caller closes it with levee_dataplane_close()
 * \return 0; -errno with cause and remedy said: -ENOTSUP (not built in), -EINVAL (arguments, counts
 *         that do not fit), -ENODEV (no such port), -EBUSY (EAL runs with other arguments, or the
 *         data path is open already), -ENOMEM (no hugepages, no memory)
 */
int levee_dpdk_open(struct levee_dataplane **out, const struct levee_dpdk_options *options);

/** Start ports and workers. On failure ports are stopped again. \return 0; -errno, said */
int levee_dpdk_start(struct levee_dataplane *dp);

/**
 * Look after the ports: links that are down, packets lost. Says what is new; called once a bin.
 * A port that is gone for good is said at once, and ends levee_dataplane_wait() with -ENODEV.
 */
void levee_dpdk_check(struct levee_dataplane *dp);

/** Look at TCP headers from now on, or no longer. \return 0 */
int levee_dpdk_set_flows(struct levee_dataplane *dp, bool flows);

/** Packets lost outside of every account, of all ports; 0 before start(). */
void levee_dpdk_losses(struct levee_dataplane *dp, struct levee_losses *losses);

void levee_dpdk_work(const struct levee_dataplane *dp, struct levee_dpdk_work *work);

/**
 * Names of the kernel's interfaces behind the ports (af_packet, af_xdp, tap ...).
 * \param names  room for as many as there are ports
 * \return how many there are now
 */
size_t levee_dpdk_interfaces(const struct levee_dataplane *dp,
			     char names[static LEVEE_DPDK_PORTS_MAX][LEVEE_DPDK_INTERFACE_BYTES]);

/** Workers. */
unsigned int levee_dpdk_lcores(const struct levee_dataplane *dp);

/** Names this set of tables; new with each open. Valid until close. */
const char *levee_dpdk_maps_id(const struct levee_dataplane *dp);

#endif
