/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel knows of an interface that a port stands on (af_packet, af_xdp, tap ...). */
#ifndef LEVEE_DPDK_KERNEL_H
#define LEVEE_DPDK_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

/** Is it promiscuous, for whomever? */
bool levee_kernel_is_promiscuous(unsigned int if_index);

/** Its MTU [bytes]; 0 if it cannot be asked. */
uint32_t levee_kernel_mtu(unsigned int if_index);

/**
 * Packets for which this process's packet sockets on the interface had no room, since this was
 * asked last: the kernel counts them, and the af_packet driver does not ask. Asking resets it.
 */
uint64_t levee_kernel_socket_drops(unsigned int if_index);

#endif
