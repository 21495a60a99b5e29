/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pktgen/output.h"

/* ---- whose network ----------------------------------------------------------------------- */

const char *pktgen_port_interface(const char *at, char *interface, size_t size)
{
	static const char *const keys[] = { ",iface=", ",tx_iface=" };

	for (; *at; at++) {
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (strncmp(at, keys[i], strlen(keys[i])) != 0)
				continue;
			at += strlen(keys[i]);
			snprintf(interface, size, "%.*s", (int)strcspn(at, ", \t"), at);
			return at;
		}
	}
	return NULL;
}

bool pktgen_port_is_local(const char *name)
{
	static const char *const kinds[] = { "net_null", "net_ring",	  "net_pcap",
					     "net_tap",	 "net_af_packet", "net_af_xdp" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strncmp(name, kinds[i], strlen(kinds[i])))
			return true;
	return false;
}

#ifdef WITH_DPDK

#include <time.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define ARGS_MAX    64
#define BUFFERS	    2047
#define DESCRIPTORS 512
#define LINK_MS	    10000 /* that a link may take to come up */
#define DRAIN_MS    10	  /* for what is in the port's ring at the end */
#define BURST	    64

struct pktgen_port {
	uint16_t id;
	bool configured;
	bool started;
	struct rte_mempool *pool;
	uint32_t room;	 /* for a frame */
	char *arguments; /* of EAL, which keeps pointers into them */
	char *argv[ARGS_MAX + 2];
};

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static int start_eal(struct pktgen_port *port, struct pktgen_run *run)
{
	char *argv[ARGS_MAX + 2], *save = NULL;
	int n = 0;

	if (strstr(run->eal, "--p")) /* --proc-type, however short: it would wait without end */
		return pktgen_fail(run, -EINVAL,
				   "--eal \"%s\": levee-pktgen is a primary process of DPDK and "
				   "nothing else; leave --proc-type out",
				   run->eal);
	port->arguments = strdup(run->eal);
	if (!port->arguments)
		return pktgen_fail(run, -ENOMEM, "no memory");
	argv[n++] = (char *)"levee-pktgen";
	for (char *word = strtok_r(port->arguments, " \t", &save); word;
	     word = strtok_r(NULL, " \t", &save)) {
		if (n > ARGS_MAX)
			return pktgen_fail(run, -EINVAL, "--eal: more than %d arguments", ARGS_MAX);
		argv[n++] = word;
	}
	argv[n] = NULL;
	memcpy(port->argv, argv, sizeof(argv));
	if (rte_eal_init(n, port->argv) < 0)
		return pktgen_fail(run, -EINVAL,
				   "EAL does not start with --eal \"%s\": %s; it has said more "
				   "above. `dpdk-testpmd --help` lists its arguments",
				   run->eal, rte_strerror(rte_errno));
	return 0;
}

static int find_port(struct pktgen_port *port, struct pktgen_run *run, const char *name)
{
	char device[RTE_ETH_NAME_MAX_LEN];

	snprintf(device, sizeof(device), "%.*s", (int)strcspn(name, ","), name);
	if (!rte_eth_dev_get_port_by_name(device, &port->id))
		return 0;
	if (!rte_dev_probe(name) && !rte_eth_dev_get_port_by_name(device, &port->id))
		return 0;
	return pktgen_fail(
		run, -ENODEV,
		"there is no DPDK port %s, and none can be made; bind a NIC with "
		"`dpdk-devbind.py --bind=vfio-pci ADDRESS` and let EAL see it (--eal), or "
		"name a device with its arguments, as net_af_packet0,iface=eth1",
		name);
}

static int configure(struct pktgen_port *port)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_dev_info info;
	uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS, queues;
	int socket = rte_eth_dev_socket_id(port->id);
	int ret = rte_eth_dev_info_get(port->id, &info);

	if (ret)
		return ret;
	queues = info.max_rx_queues > 0; /* most drivers start with no less */
	port->room = PKTGEN_SIZE_MAX + PKTGEN_HEAD_MAX;
	port->pool = rte_pktmbuf_pool_create("pktgen", BUFFERS, 0, 0,
					     (uint16_t)(port->room + RTE_PKTMBUF_HEADROOM), socket);
	if (!port->pool)
		return -rte_errno;
	ret = rte_eth_dev_configure(port->id, queues, 1, &conf);
	if (ret)
		return ret;
	port->configured = true;
	ret = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);
	if (!ret && queues)
		ret = rte_eth_rx_queue_setup(port->id, 0, rx, (unsigned int)socket, NULL,
					     port->pool);
	return ret ? ret : rte_eth_tx_queue_setup(port->id, 0, tx, (unsigned int)socket, NULL);
}

static int await_link(const struct pktgen_port *port, const struct pktgen_run *run)
{
	struct rte_eth_link link = { 0 };

	for (int ms = 0; ms < LINK_MS && !*run->stop; ms += 20) {
		/* A port that cannot say has no link to wait for. */
		if (rte_eth_link_get_nowait(port->id, &link) || link.link_status)
			return 0;
		nap_ms(20);
	}
	return *run->stop ? 0 : -ENETDOWN;
}

static int open_port(struct pktgen_port *port, struct pktgen_run *run, const char *name)
{
	int ret = start_eal(port, run);

	if (!ret)
		ret = find_port(port, run, name);
	if (ret)
		return ret;
	ret = configure(port);
	if (!ret)
		ret = rte_eth_dev_start(port->id);
	port->started = !ret;
	if (ret)
		return pktgen_fail(run, ret, "port %s cannot be used: %s; more memory: -m in --eal",
				   name, strerror(-ret));
	ret = await_link(port, run);
	return ret ? pktgen_fail(run, ret, "port %s has no link", name) : 0;
}

int pktgen_port_open(struct pktgen_port **out, struct pktgen_run *run, const char *name)
{
	struct pktgen_port *port = calloc(1, sizeof(*port));
	int ret;

	*out = NULL;
	if (!port)
		return pktgen_fail(run, -ENOMEM, "no memory");
	port->id = UINT16_MAX;
	ret = open_port(port, run, name);
	if (ret)
		pktgen_port_close(port);
	else
		*out = port;
	return ret;
}

int pktgen_port_send(struct pktgen_port *port, const struct iovec *iov, unsigned int n)
{
	struct rte_mbuf *packet[BURST];
	uint16_t sent;

	n = n < BURST ? n : BURST;
	for (unsigned int i = 0; i < n; i++)
		if (iov[i].iov_len > port->room) {
			errno = EMSGSIZE;
			return -1;
		}
	if (rte_pktmbuf_alloc_bulk(port->pool, packet, n)) {
		rte_eth_tx_done_cleanup(port->id, 0, 0);
		errno = EAGAIN;
		return -1;
	}
	for (unsigned int i = 0; i < n; i++)
		memcpy(rte_pktmbuf_append(packet[i], (uint16_t)iov[i].iov_len), iov[i].iov_base,
		       iov[i].iov_len);
	sent = rte_eth_tx_burst(port->id, 0, packet, (uint16_t)n);
	if (sent < n)
		rte_pktmbuf_free_bulk(packet + sent, n - sent);
	errno = EAGAIN;
	return sent ? (int)sent : -1;
}

void pktgen_port_close(struct pktgen_port *port)
{
	if (!port)
		return;
	if (port->started) {
		nap_ms(DRAIN_MS);
		rte_eth_dev_stop(port->id);
	}
	if (port->configured)
		rte_eth_dev_close(port->id); /* and memory goes with the process, which ends here */
	free(port->arguments);
	free(port);
}

#else

int pktgen_port_open(struct pktgen_port **out, struct pktgen_run *run, const char *name)
{
	*out = NULL;
	return pktgen_fail(
		run, -ENOTSUP,
		"--dpdk %s: this levee-pktgen was built without DPDK; install libdpdk-dev "
		"and build again with `make WITH_DPDK=1`",
		name);
}

int pktgen_port_send(struct pktgen_port *port, const struct iovec *iov, unsigned int n)
{
	(void)port;
	(void)iov;
	(void)n;
	errno = ENOTSUP;
	return -1;
}

void pktgen_port_close(struct pktgen_port *port)
{
	(void)port;
}

#endif
