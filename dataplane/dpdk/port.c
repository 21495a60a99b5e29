/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports: found or made, configured plainly (no offload that changes a packet or hides one), and
 * left as they were.
 */
#ifdef WITH_DPDK

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>

#include "dataplane/dpdk/dpdk_internal.h"
#include "dataplane/dpdk/kernel.h"

#define DESCRIPTORS  1024
#define POOL_CACHE   256
#define POOL_SPARE   1024
#define MTU_MOST     9216 /* jumbo frames of all clouds and switches */
#define BUFFER_BYTES RTE_MBUF_DEFAULT_BUF_SIZE

/* ---- finding ----------------------------------------------------------------------------- */

static void list_ports(char *text, size_t size)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	size_t used = 0;

	snprintf(text, size, "none");
	for (uint16_t id = 0; id < RTE_MAX_ETHPORTS && used < size; id++)
		if (rte_eth_dev_is_valid_port(id) && !rte_eth_dev_get_name_by_port(id, name))
			used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
						 name);
}

static int explain_missing(const char *name, int error)
{
	char there[512], cause[256];

	list_ports(there, sizeof(there));
	/* The first error in the log says more than the return value, often a bare -1. */
	levee_dpdk_complaint(cause, sizeof(cause));
	levee_dpdk_say(LEVEE_DPDK_ERROR,
		       "[data_path] ports: there is no port %s, and none can be made: %s; EAL has: "
		       "%s. Bind a NIC with `dpdk-devbind.py --bind=vfio-pci ADDRESS`, or name a "
		       "device with its arguments, as net_af_packet0,iface=eth1",
		       name, cause[0] ? cause : strerror(error), there);
	return -ENODEV;
}

/* The name of a device: what is before its arguments. */
static int name_of(const char *given, char name[static RTE_ETH_NAME_MAX_LEN])
{
	size_t n = strcspn(given, ",");

	if (!n || n >= RTE_ETH_NAME_MAX_LEN) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "[data_path] ports: \"%.100s\" does not begin with the name of a "
			       "device, of 1 to %d letters",
			       given, RTE_ETH_NAME_MAX_LEN - 1);
		return -EINVAL;
	}
	memcpy(name, given, n);
	name[n] = '\0';
	return 0;
}

static bool is_taken(const struct levee_dpdk *d, uint16_t id)
{
	for (size_t i = 0; i < d->n_ports; i++)
		if (d->ports[i].id == id)
			return true;
	return false;
}

static int find_port(struct levee_dpdk *d, const char *given)
{
	struct port *p = &d->ports[d->n_ports];
	int ret;

	*p = (struct port){ .id = LEVEE_DPDK_NO_PORT };
	ret = name_of(given, p->name);
	if (ret)
		return ret;
	levee_dpdk_forget_complaint();
	if (rte_eth_dev_get_port_by_name(p->name, &p->id)) {
		ret = rte_dev_probe(given);
		if (ret)
			return explain_missing(given, -ret);
		if (rte_eth_dev_get_port_by_name(p->name, &p->id))
			return explain_missing(given, ENODEV);
	}
	if (is_taken(d, p->id)) {
		levee_dpdk_say(LEVEE_DPDK_ERROR, "[data_path] ports: %s is named twice", p->name);
		return -EINVAL;
	}
	d->n_ports++;
	return 0;
}

static int look_at(struct port *p)
{
	struct rte_eth_dev_info info;
	int ret = rte_eth_dev_info_get(p->id, &info);

	if (ret) {
		levee_dpdk_say(LEVEE_DPDK_ERROR, "port %s cannot be asked what it can do: %s",
			       p->name, strerror(-ret));
		return ret;
	}
	p->device = info.device;
	p->if_index = info.if_index;
	p->max_rx_queues = info.max_rx_queues;
	p->max_tx_queues = info.max_tx_queues;
	return 0;
}

static int check_number(const struct levee_dpdk_options *options)
{
	bool wire = options->mode == LEVEE_DPDK_WIRE;

	if (wire && options->n_ports != 2) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "[data_path] ports names %zu port%s, mode = wire needs two: the one "
			       "that faces the outside, and the one that faces what is protected",
			       options->n_ports, options->n_ports == 1 ? "" : "s");
		return -EINVAL;
	}
	if (!options->n_ports || options->n_ports > LEVEE_DPDK_PORTS_MAX) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "[data_path] ports names %zu ports: 1 to %d are taken",
			       options->n_ports, LEVEE_DPDK_PORTS_MAX);
		return -EINVAL;
	}
	return 0;
}

int levee_ports_open(struct levee_dpdk *d, const struct levee_dpdk_options *options)
{
	int ret = check_number(options);

	for (size_t i = 0; i < options->n_ports && !ret; i++) {
		ret = find_port(d, options->ports[i]);
		if (!ret)
			ret = look_at(&d->ports[i]);
	}
	return ret;
}

/* ---- configuring ------------------------------------------------------------------------- */

static int refuse_queues(const struct port *p, uint32_t asked, const char *what, uint32_t most)
{
	levee_dpdk_say(LEVEE_DPDK_ERROR,
		       "port %s has %u %s queue%s, %u are needed: lower [data_path] queues or "
		       "lcores to %u, or give the port more queues by its own arguments",
		       p->name, most, what, most == 1 ? "" : "s", asked, most);
	return -EINVAL;
}

/* Buffers hold frames up to here in one piece; larger ones need a port that scatters. */
static uint16_t wanted_mtu(const struct rte_eth_dev_info *info, uint64_t rx_offloads)
{
	uint16_t most = info->max_mtu < MTU_MOST ? info->max_mtu : MTU_MOST;

	if (!(rx_offloads & RTE_ETH_RX_OFFLOAD_SCATTER) && most > RTE_ETHER_MTU)
		most = RTE_ETHER_MTU;
	return most;
}

static void plan(const struct levee_dpdk *d, const struct port *p,
		 const struct rte_eth_dev_info *info, struct rte_eth_conf *conf)
{
	(void)p;
	*conf = (struct rte_eth_conf){ 0 };
	conf->rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf->txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	conf->rxmode.mtu = wanted_mtu(info, conf->rxmode.offloads);
	if (d->queues > 1) {
		conf->rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads &
						    (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP |
						     RTE_ETH_RSS_UDP);
		if (conf->rx_adv_conf.rss_conf.rss_hf)
			conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	}
}

static int explain_configure(const struct port *p, const char *what, int ret)
{
	char cause[256];

	levee_dpdk_complaint(cause, sizeof(cause));
	levee_dpdk_say(LEVEE_DPDK_ERROR,
		       "port %s refuses %s: %s%s%s; see the port's driver in "
		       "DPDK's manual for what it supports",
		       p->name, what, strerror(-ret), cause[0] ? ": " : "", cause);
	return ret;
}

/* The usual MTU where the port does not take as large a one as it says. */
static int configure(struct levee_dpdk *d, struct port *p, struct rte_eth_conf *conf)
{
	int ret = rte_eth_dev_configure(p->id, (uint16_t)d->queues, p->tx_queues, conf);

	if (!ret || conf->rxmode.mtu <= RTE_ETHER_MTU)
		return ret;
	conf->rxmode.mtu = RTE_ETHER_MTU;
	return rte_eth_dev_configure(p->id, (uint16_t)d->queues, p->tx_queues, conf);
}

static int set_up_queues(struct levee_dpdk *d, struct port *p)
{
	unsigned int socket = (unsigned int)rte_eth_dev_socket_id(p->id);
	int ret = 0;

	for (uint16_t q = 0; q < d->queues && !ret; q++)
		ret = rte_eth_rx_queue_setup(p->id, q, p->rx_desc, socket, NULL, d->pool);
	if (ret)
		return explain_configure(p, "a receive queue", ret);
	for (uint16_t q = 0; q < p->tx_queues && !ret; q++)
		ret = rte_eth_tx_queue_setup(p->id, q, p->tx_desc, socket, NULL);
	return ret ? explain_configure(p, "a transmit queue", ret) : 0;
}

static int configure_port(struct levee_dpdk *d, struct port *p)
{
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	int ret;

	levee_dpdk_forget_complaint();
	ret = rte_eth_dev_info_get(p->id, &info);
	if (ret)
		return explain_configure(p, "to say what it can do", ret);
	plan(d, p, &info, &conf);
	ret = configure(d, p, &conf);
	if (ret)
		return explain_configure(p, "its configuration", ret);
	p->rx_desc = p->tx_desc = DESCRIPTORS;
	ret = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &p->rx_desc, &p->tx_desc);
	return ret ? explain_configure(p, "its number of descriptors", ret) : 0;
}

/* Every descriptor of every queue may hold a buffer, and every worker a burst and its cache. */
static int make_pool(struct levee_dpdk *d)
{
	int socket = rte_eth_dev_socket_id(d->ports[0].id);
	char name[RTE_MEMPOOL_NAMESIZE];
	uint32_t n = POOL_SPARE;

	for (size_t i = 0; i < d->n_ports; i++)
		n += d->queues * d->ports[i].rx_desc + d->ports[i].tx_queues * d->ports[i].tx_desc;
	n += (d->n_workers + 1) * (2 * POOL_CACHE + LEVEE_BURST_MAX);
	snprintf(name, sizeof(name), "levee");
	d->pool = rte_pktmbuf_pool_create(name, n, POOL_CACHE, 0, BUFFER_BYTES, socket);
	if (d->pool)
		return 0;
	levee_dpdk_say(LEVEE_DPDK_ERROR,
		       "no memory for %u packet buffers (%u MB): %s; reserve more hugepages, raise "
		       "-m in [data_path] eal, or lower queues and lcores",
		       n, (unsigned int)(((uint64_t)n * (BUFFER_BYTES + 128)) >> 20),
		       rte_strerror(rte_errno));
	return -ENOMEM;
}

int levee_ports_configure(struct levee_dpdk *d)
{
	bool wire = d->mode == LEVEE_DPDK_WIRE;
	int ret = 0;

	for (size_t i = 0; i < d->n_ports && !ret; i++) {
		struct port *p = &d->ports[i];

		p->tx_queues = wire ? (uint16_t)d->n_workers : p->max_tx_queues > 0;
		if (d->queues > p->max_rx_queues)
			return refuse_queues(p, d->queues, "receive", p->max_rx_queues);
		if (p->tx_queues > p->max_tx_queues)
			return refuse_queues(p, p->tx_queues, "transmit", p->max_tx_queues);
		ret = configure_port(d, p);
	}
	if (!ret)
		ret = make_pool(d);
	for (size_t i = 0; i < d->n_ports && !ret; i++)
		ret = set_up_queues(d, &d->ports[i]);
	return ret;
}

/* ---- starting, watching ------------------------------------------------------------------ */

/* A kernel's interface behind the port that is promiscuous already is so for somebody else. */
static bool is_promiscuous(const struct port *p)
{
	if (p->if_index)
		return levee_kernel_is_promiscuous(p->if_index);
	return rte_eth_promiscuous_get(p->id) == 1;
}

/* A driver of the kernel's interfaces cuts what does not fit into one buffer. */
static void check_mtu(const struct port *p)
{
	uint32_t has = p->if_index ? levee_kernel_mtu(p->if_index) : 0;
	char name[IF_NAMESIZE] = "";
	uint16_t mtu;

	if (rte_eth_dev_get_mtu(p->id, &mtu) || has <= mtu)
		return;
	if_indextoname(p->if_index, name);
	levee_dpdk_say(LEVEE_DPDK_WARNING,
		       "port %s carries frames up to an MTU of %u, and %s has one of %u: larger "
		       "frames are cut off; `ip link set %s mtu %u`, there and at the other end",
		       p->name, mtu, name, has, name, mtu);
}

static int on_removed(uint16_t id, enum rte_eth_event_type event, void *ctx, void *unused)
{
	struct levee_dpdk *d = ctx;

	(void)id;
	(void)event;
	(void)unused;
	__atomic_store_n(&d->gone, true, __ATOMIC_RELAXED);
	levee_dpdk_wake(d);
	return 0;
}

/*
 * What the port counts, and what the kernel does for a driver that does not ask: packets that a
 * packet socket had no room for, which it tells once.
 */
static int read_stats(struct port *p, struct rte_eth_stats *stats)
{
	int ret = rte_eth_stats_get(p->id, stats);

	if (p->if_index)
		p->socket_drops += levee_kernel_socket_drops(p->if_index);
	stats->imissed += p->socket_drops;
	return ret;
}

static int start_port(struct levee_dpdk *d, struct port *p)
{
	int ret;

	levee_dpdk_forget_complaint();
	ret = rte_eth_dev_start(p->id);
	if (ret)
		return explain_configure(p, "to start", ret);
	p->started = true;
	rte_eth_dev_callback_register(p->id, RTE_ETH_EVENT_INTR_RMV, on_removed, d);
	if (!is_promiscuous(p)) {
		ret = rte_eth_promiscuous_enable(p->id);
		p->made_promiscuous = !ret;
		if (ret && ret != -ENOTSUP)
			levee_dpdk_say(LEVEE_DPDK_WARNING,
				       "port %s does not become promiscuous: %s; packets for other "
				       "MAC addresses than its own are not seen",
				       p->name, strerror(-ret));
	}
	check_mtu(p);
	read_stats(p, &p->begun);
	p->seen = p->begun;
	return 0;
}

int levee_ports_start(struct levee_dpdk *d)
{
	int ret = 0;

	for (size_t i = 0; i < d->n_ports && !ret; i++)
		ret = start_port(d, &d->ports[i]);
	return ret;
}

static void check_link(struct port *p)
{
	struct rte_eth_link link = { 0 };

	if (rte_eth_link_get_nowait(p->id, &link) || p->down == !link.link_status)
		return;
	p->down = !link.link_status;
	levee_dpdk_say(p->down ? LEVEE_DPDK_WARNING : LEVEE_DPDK_NOTICE, "port %s: its link is %s",
		       p->name, p->down ? "down; nothing comes in there" : "up again");
}

static void complain_of(const struct port *p, uint64_t packets, const char *what)
{
	if (packets)
		levee_dpdk_say(LEVEE_DPDK_WARNING, "port %s: %llu packets %s", p->name,
			       (unsigned long long)packets, what);
}

static void check_losses(struct port *p)
{
	struct rte_eth_stats now, before = p->seen;

	if (read_stats(p, &now))
		return;
	p->seen = now;
	complain_of(p, now.imissed - before.imissed,
		    "were lost before anybody could count them: its workers are too slow for this "
		    "traffic; raise [data_path] queues and lcores");
	complain_of(p, now.rx_nombuf - before.rx_nombuf,
		    "were lost before anybody could count them: no packet buffer was free; the "
		    "other port may be slow to send, or raise [data_path] queues and lcores");
	complain_of(p, now.ierrors - before.ierrors, "were received damaged");
	complain_of(p, now.oerrors - before.oerrors,
		    "could not be sent at once: too large for it, or too many; a port that lacks "
		    "room loses them, one that lacks time tries again");
}

void levee_ports_check(struct levee_dpdk *d)
{
	for (size_t i = 0; i < d->n_ports; i++) {
		if (!d->ports[i].started)
			continue;
		check_link(&d->ports[i]);
		check_losses(&d->ports[i]);
	}
}

bool levee_ports_are_gone(const struct levee_dpdk *d, char name[static RTE_ETH_NAME_MAX_LEN])
{
	char interface[IF_NAMESIZE];

	for (size_t i = 0; i < d->n_ports; i++) {
		const struct port *p = &d->ports[i];

		snprintf(name, RTE_ETH_NAME_MAX_LEN, "%s", p->name);
		if (rte_eth_dev_is_removed(p->id))
			return true;
		if (p->if_index && !if_indextoname(p->if_index, interface))
			return true;
	}
	return false;
}

void levee_ports_losses(struct levee_dpdk *d, struct levee_losses *losses)
{
	struct rte_eth_stats now;

	for (size_t i = 0; i < d->n_ports; i++) {
		struct port *p = &d->ports[i];

		if (!p->started || read_stats(p, &now))
			continue;
		losses->missed += now.imissed - p->begun.imissed;
		losses->no_buffer += now.rx_nombuf - p->begun.rx_nombuf;
		losses->damaged += now.ierrors - p->begun.ierrors;
		losses->send_errors += now.oerrors - p->begun.oerrors;
	}
}

/* ---- closing ----------------------------------------------------------------------------- */

static void close_port(struct levee_dpdk *d, struct port *p)
{
	if (p->started) {
		rte_eth_dev_callback_unregister(p->id, RTE_ETH_EVENT_INTR_RMV, on_removed, d);
		if (p->made_promiscuous)
			rte_eth_promiscuous_disable(p->id);
		rte_eth_dev_stop(p->id);
	}
	rte_eth_dev_close(p->id);
	/* So that the next open finds it as this one did: to be probed. */
	if (p->device)
		rte_dev_remove(p->device);
}

void levee_ports_close(struct levee_dpdk *d)
{
	while (d->n_ports)
		close_port(d, &d->ports[--d->n_ports]);
	rte_mempool_free(d->pool);
	d->pool = NULL;
}

#else
typedef int levee_dpdk_has_no_ports; /* ISO C wants something in a file */
#endif
