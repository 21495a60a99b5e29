/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel says of a network interface, and whether it may be flooded. */
#ifndef PKTGEN_LINK_H
#define PKTGEN_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct pktgen_link {
	int index;
	unsigned int flags; /* IFF_* */
	unsigned int type;  /* ARPHRD_* */
	unsigned int mtu;   /* [bytes] */
	char kind[16];	    /* "veth", "dummy", ...; "" if the driver has none: hardware, lo */
	uint64_t tx_packets, tx_dropped;
};

/** Ask rtnetlink, in the current network namespace. \return 0; -ENODEV; -errno */
int pktgen_link_get(const char *name, struct pktgen_link *out);

/** Does what is sent there stay on this machine? loopback, veth, dummy, tap or tun, ifb */
bool pktgen_link_is_local(const struct pktgen_link *link);

/**
 * Is the current network namespace another than that of process 1? If that cannot be found out,
 * the answer is no.
 */
bool pktgen_in_namespace(void);

/** Enter /run/netns/NAME, the network namespace alone. \return 0; -errno */
int pktgen_enter_namespace(const char *name);

#endif
