/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	struct ifinfomsg info;
	struct rtattr name_attr;
	char name[IFNAMSIZ];
};

/* Send the question and receive the answer: one datagram, as it is about one interface. */
static ssize_t ask(const char *name, void *answer, size_t size)
{
	struct request q = {
		.head = { .nlmsg_len = sizeof(q),
			  .nlmsg_type = RTM_GETLINK,
			  .nlmsg_flags = NLM_F_REQUEST },
		.name_attr = { .rta_len = RTA_LENGTH(IFNAMSIZ), .rta_type = IFLA_IFNAME },
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n = -errno;

	if (fd < 0)
		return n;
	snprintf(q.name, sizeof(q.name), "%s", name);
	n = send(fd, &q, sizeof(q), 0);
	if (n >= 0)
		n = recv(fd, answer, size, 0);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

/* RTA_NEXT() mixes signed and unsigned. */
static struct rtattr *next_attribute(struct rtattr *a, int *left)
{
	int step = (int)RTA_ALIGN(a->rta_len);

	*left -= step;
	return (struct rtattr *)((char *)a + step);
}

static void read_kind(struct rtattr *info, char *kind, size_t size)
{
	int left = (int)RTA_PAYLOAD(info);

	for (struct rtattr *a = RTA_DATA(info); RTA_OK(a, left); a = next_attribute(a, &left))
		if (a->rta_type == IFLA_INFO_KIND)
			snprintf(kind, size, "%.*s", (int)RTA_PAYLOAD(a),
				 (const char *)RTA_DATA(a));
}

static void read_attribute(struct pktgen_link *out, struct rtattr *a)
{
	struct rtnl_link_stats64 stats;

	switch (a->rta_type) {
	case IFLA_MTU:
		memcpy(&out->mtu, RTA_DATA(a), sizeof(out->mtu));
		break;
	case IFLA_LINKINFO:
		read_kind(a, out->kind, sizeof(out->kind));
		break;
	case IFLA_STATS64:
		memset(&stats, 0, sizeof(stats));
		memcpy(&stats, RTA_DATA(a),
		       RTA_PAYLOAD(a) < sizeof(stats) ? RTA_PAYLOAD(a) : sizeof(stats));
		out->tx_packets = stats.tx_packets;
		out->tx_dropped = stats.tx_dropped;
		break;
	default:
		break;
	}
}

int pktgen_link_get(const char *name, struct pktgen_link *out)
{
	union {
		struct nlmsghdr head;
		char bytes[16384];
	} answer;
	const struct ifinfomsg *info;
	ssize_t n;
	int left;

	memset(out, 0, sizeof(*out));
	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	n = ask(name, &answer, sizeof(answer));
	if (n < 0)
		return (int)n;
	if (!NLMSG_OK(&answer.head, (size_t)n))
		return -EPROTO;
	if (answer.head.nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(&answer.head);

		return error->error ? error->error : -EPROTO;
	}
	if (answer.head.nlmsg_type != RTM_NEWLINK)
		return -EPROTO;
	info = NLMSG_DATA(&answer.head);
	out->index = info->ifi_index;
	out->flags = info->ifi_flags;
	out->type = info->ifi_type;
	left = (int)IFLA_PAYLOAD(&answer.head);
	for (struct rtattr *a = (struct rtattr *)((char *)&answer + NLMSG_LENGTH(sizeof(*info)));
	     RTA_OK(a, left); a = next_attribute(a, &left))
		read_attribute(out, a);
	return 0;
}

bool pktgen_link_is_local(const struct pktgen_link *link)
{
	static const char *const kinds[] = { "veth", "dummy", "tun", "ifb" };

	if (link->type == ARPHRD_LOOPBACK)
		return true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(link->kind, kinds[i]) == 0)
			return true;
	return false;
}

bool pktgen_in_namespace(void)
{
	struct stat ours, init;

	if (stat("/proc/self/ns/net", &ours) < 0 || stat("/proc/1/ns/net", &init) < 0)
		return false;
	return ours.st_ino != init.st_ino || ours.st_dev != init.st_dev;
}

int pktgen_enter_namespace(const char *name)
{
	char path[128];
	int fd, ret = 0;

	if (!name[0] || strchr(name, '/') || strlen(name) > 100)
		return -EINVAL;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0)
		ret = -errno;
	close(fd);
	return ret;
}
