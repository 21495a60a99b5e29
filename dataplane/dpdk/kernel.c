/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/kernel.h"

#include <glob.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* \return false if the interface cannot be asked */
static bool ask(unsigned int if_index, unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	*request = (struct ifreq){ 0 };
	if (fd < 0)
		return false;
	ok = if_indextoname(if_index, request->ifr_name) && !ioctl(fd, what, request);
	close(fd);
	return ok;
}

bool levee_kernel_is_promiscuous(unsigned int if_index)
{
	struct ifreq request;

	return ask(if_index, SIOCGIFFLAGS, &request) && (request.ifr_flags & IFF_PROMISC);
}

uint32_t levee_kernel_mtu(unsigned int if_index)
{
	struct ifreq request;

	return ask(if_index, SIOCGIFMTU, &request) ? (uint32_t)request.ifr_mtu : 0;
}

static bool is_packet_socket(int fd, unsigned int if_index)
{
	struct sockaddr_ll at = { 0 };
	socklen_t size = sizeof(at);

	return !getsockname(fd, (struct sockaddr *)&at, &size) && at.sll_family == AF_PACKET &&
	       at.sll_ifindex == (int)if_index;
}

uint64_t levee_kernel_socket_drops(unsigned int if_index)
{
	uint64_t sum = 0;
	glob_t open;

	if (glob("/proc/self/fd/*", GLOB_NOSORT, NULL, &open))
		return 0;
	for (size_t i = 0; i < open.gl_pathc; i++) {
		int fd = atoi(strrchr(open.gl_pathv[i], '/') + 1);
		struct tpacket_stats stats;
		socklen_t size = sizeof(stats);

		if (is_packet_socket(fd, if_index) &&
		    !getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size))
			sum += stats.tp_drops;
	}
	globfree(&open);
	return sum;
}
