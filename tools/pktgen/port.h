/* SPDX-License-Identifier: BSD-2-Clause */
/* A port of DPDK to send from. One in a process: EAL starts once. */
#ifndef PKTGEN_PORT_H
#define PKTGEN_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct pktgen_run;
struct pktgen_port;

/**
 * Start EAL with run->eal, and the port.
 * \param name  a PCI address, or a device with its arguments (net_af_packet0,iface=eth1)
 * \return 0; -errno, and run->error says it: -ENOTSUP if DPDK is not built in
 */
int pktgen_port_open(struct pktgen_port **out, struct pktgen_run *run, const char *name);

/**
 * \param iov  one frame each
 * \return how many were taken, from the first on; -1 and errno: EAGAIN (no room now), EMSGSIZE
 */
int pktgen_port_send(struct pktgen_port *port, const struct iovec *iov, unsigned int n);

/** Let go what is on its way, and give the port back. Accepts NULL. */
void pktgen_port_close(struct pktgen_port *port);

/** Does what is sent there stay on this machine, by the device's kind and but for its interface? */
bool pktgen_port_is_local(const char *name);

/**
 * Go through the kernel's interfaces that devices send to by their arguments.
 * \param at  a device with its arguments, or arguments of EAL with such in them
 * \return where to go on; NULL: there is none, and `interface` is as it was
 */
const char *pktgen_port_interface(const char *at, char *interface, size_t size);

#endif
