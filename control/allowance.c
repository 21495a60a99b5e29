/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/allowance.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define STATS_MAX 65536U /* a driver with more is not believed */

static int ask(int fd, const char *interface, void *command)
{
	struct ifreq request = { 0 };

	if (strlen(interface) >= sizeof(request.ifr_name))
		return -ENODEV;
	memcpy(request.ifr_name, interface, strlen(interface));
	request.ifr_data = command;
	return ioctl(fd, SIOCETHTOOL, &request) < 0 ? -errno : 0;
}

static int count_stats(int fd, const char *interface, uint32_t *n)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t n;
	} ask_n = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_STATS } };
	int ret = ask(fd, interface, &ask_n);

	*n = ret || !ask_n.info.sset_mask ? 0 : ask_n.n;
	return ret ? ret : *n > STATS_MAX ? -E2BIG : 0;
}

/* \return the place of the name among n; n if it is not there */
static uint32_t find_name(const struct ethtool_gstrings *names, uint32_t n, const char *name)
{
	uint32_t i = 0;

	while (i < n && strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
				ETH_GSTRING_LEN))
		i++;
	return i;
}

static int read_stat(int fd, const char *interface, uint32_t n, const char *name, uint64_t *value)
{
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	struct ethtool_stats *stats = calloc(1, sizeof(*stats) + (size_t)n * sizeof(uint64_t));
	uint32_t at = n;
	int ret = names && stats ? 0 : -ENOMEM;

	if (!ret) {
		*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
						    .string_set = ETH_SS_STATS,
						    .len = n };
		*stats = (struct ethtool_stats){ .cmd = ETHTOOL_GSTATS, .n_stats = n };
		ret = ask(fd, interface, names);
	}
	if (!ret)
		at = find_name(names, n, name);
	if (!ret)
		ret = at == n ? -ENOENT : ask(fd, interface, stats);
	if (!ret)
		*value = stats->data[at];
	free(names);
	free(stats);
	return ret;
}

int levee_ethtool_stat(const char *interface, const char *name, uint64_t *value)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t n;
	int ret;

	if (fd < 0)
		return -errno;
	ret = count_stats(fd, interface, &n);
	if (!ret)
		ret = n ? read_stat(fd, interface, n, name, value) : -ENOENT;
	close(fd);
	return ret;
}

void levee_allowance_begin(struct levee_allowance *allowance)
{
	allowance->exceeded = 0;
}

void levee_allowance_note(struct levee_allowance *allowance, size_t nr, uint64_t value)
{
	uint64_t more = 0;

	if (allowance->last[nr].known)
		more = value >= allowance->last[nr].value ? value - allowance->last[nr].value
							  : value;
	allowance->last[nr].known = true;
	allowance->last[nr].value = value;
	allowance->exceeded += more;
	allowance->total += more;
}
