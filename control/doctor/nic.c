/* SPDX-License-Identifier: BSD-2-Clause */
/* Interfaces: driver, MTU, channels, other programs, and what the platform drops. */
#include "control/doctor/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define MTU_ONE_PAGE 3498 /* largest that native XDP takes in one page, with README */

/* ---- gathering --------------------------------------------------------------------------- */

static int ask_ethtool(int fd, const char *name, void *command)
{
	struct ifreq request = { .ifr_data = command };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", name);
	return ioctl(fd, SIOCETHTOOL, &request);
}

static void gather_driver(struct levee_nic_facts *f, int fd)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };

	if (ask_ethtool(fd, f->name, &info) == 0) {
		snprintf(f->driver, sizeof(f->driver), "%.31s", info.driver);
		snprintf(f->driver_version, sizeof(f->driver_version), "%.31s", info.version);
	}
	if (ask_ethtool(fd, f->name, &flags) == 0)
		f->lro = flags.data & ETH_FLAG_LRO;
	if (ask_ethtool(fd, f->name, &channels) == 0) {
		f->channels = channels.combined_count;
		f->channels_max = channels.max_combined;
	}
}

static uint32_t count_statistics(int fd, const char *name)
{
	/* followed by one number for the one set that is asked for */
	union {
		struct ethtool_sset_info info;
		char bytes[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} set = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_STATS } };
	uint32_t n = 0;

	if (ask_ethtool(fd, name, &set) < 0 || !set.info.sset_mask)
		return 0;
	memcpy(&n, set.bytes + sizeof(struct ethtool_sset_info), sizeof(n));
	return n < 100000 ? n : 0;
}

static void take_statistic(struct levee_nic_facts *f, const char *name, uint64_t value)
{
	if (strncmp(name, "pps_allowance_exceeded", ETH_GSTRING_LEN) == 0) {
		f->has_pps_exceeded = true;
		f->pps_exceeded = value;
	} else if (strncmp(name, "bw_in_allowance_exceeded", ETH_GSTRING_LEN) == 0) {
		f->has_bw_exceeded = true;
		f->bw_exceeded = value;
	}
}

static void gather_statistics(struct levee_nic_facts *f, int fd)
{
	uint32_t n = count_statistics(fd, f->name);
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	struct ethtool_stats *values = calloc(1, sizeof(*values) + (size_t)n * sizeof(uint64_t));

	if (n && names && values) {
		*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
						    .string_set = ETH_SS_STATS,
						    .len = n };
		values->cmd = ETHTOOL_GSTATS;
		values->n_stats = n;
		if (ask_ethtool(fd, f->name, names) == 0 && ask_ethtool(fd, f->name, values) == 0)
			for (uint32_t i = 0; i < n && i < names->len && i < values->n_stats; i++)
				take_statistic(f, (char *)names->data + i * ETH_GSTRING_LEN,
					       values->data[i]);
	}
	free(names);
	free(values);
}

static void gather_program(struct levee_nic_facts *f, unsigned int index, const char *pin)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	char path[PATH_MAX];

	if (bpf_xdp_query((int)index, 0, &query) < 0 || !query.prog_id)
		return;
	f->program_id = query.prog_id;
	f->native = query.attach_mode == XDP_ATTACHED_DRV;
	snprintf(path, sizeof(path), "%s/links/%s", pin, f->name);
	f->program = access(path, F_OK) == 0 ? LEVEE_NIC_OURS : LEVEE_NIC_FOREIGN;
}

void levee_doctor_gather_nic(struct levee_nic_facts *facts, const char *name,
			     const struct levee_config *config)
{
	unsigned int index = if_nametoindex(name);
	struct ifreq request = { 0 };
	struct utsname kernel;
	int fd;

	*facts = (struct levee_nic_facts){ .attach = config->data_path.attach,
					   .exists = index != 0 };
	snprintf(facts->name, sizeof(facts->name), "%s", name);
	if (uname(&kernel) == 0)
		snprintf(facts->kernel, sizeof(facts->kernel), "%s", kernel.release);
	fd = index ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	if (fd < 0)
		return;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%.15s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
		facts->up = request.ifr_flags & IFF_UP;
		facts->running = request.ifr_flags & IFF_RUNNING;
	}
	if (ioctl(fd, SIOCGIFMTU, &request) == 0)
		facts->mtu = (unsigned int)request.ifr_mtu;
	gather_driver(facts, fd);
	gather_statistics(facts, fd);
	close(fd);
	gather_program(facts, index, config->data_path.pin);
}

/* ---- judging ----------------------------------------------------------------------------- */

/* Drivers with native XDP in the kernels that Levee runs on. */
static const char *const native_drivers[] = {
	"ena",	   "veth",   "virtio_net",    "mlx5_core", "mlx4_en", "ixgbe",
	"ixgbevf", "i40e",   "ice",	      "igb",	   "igc",     "bnxt_en",
	"nfp",	   "gve",    "tun",	      "hv_netvsc", "mvneta",  "qede",
	"sfc",	   "stmmac", "thunder-nicvf", "vmxnet3",   "mana",    "cpsw",
};

static bool is_native(const char *driver)
{
	for (size_t i = 0; i < sizeof(native_drivers) / sizeof(native_drivers[0]); i++)
		if (strcmp(native_drivers[i], driver) == 0)
			return true;
	return false;
}

/* "2.14.0g" is 2.14. The driver that comes with Linux has the kernel's release for a version. */
static bool is_at_least(const struct levee_nic_facts *f, unsigned int major, unsigned int minor)
{
	unsigned int have_major = 0, have_minor = 0;

	if (!f->driver_version[0] ||
	    strncmp(f->driver_version, f->kernel, strlen(f->driver_version)) == 0 ||
	    sscanf(f->driver_version, "%u.%u", &have_major, &have_minor) != 2)
		return false;
	return have_major > major || (have_major == major && have_minor >= minor);
}

/* A check's name: "ens5 MTU". */
static const char *call(const struct levee_nic_facts *f, const char *what, char out[static 64])
{
	snprintf(out, 64, "%s %.30s", f->name, what);
	return out;
}

/* What natively attaching costs if it fails: nothing but speed, unless native alone is allowed. */
static enum levee_check_verdict native_verdict(const struct levee_nic_facts *f)
{
	return f->attach == LEVEE_ATTACH_NATIVE ? LEVEE_CHECK_FAIL : LEVEE_CHECK_WARN;
}

static void judge_driver(struct levee_checkup *c, const struct levee_nic_facts *f)
{
	char name[64];

	call(f, "driver", name);
	if (f->attach == LEVEE_ATTACH_GENERIC)
		levee_checkup_add(c, name, LEVEE_CHECK_WARN, "set [data_path] attach = auto",
				  "%s; generic XDP is configured, which is several times slower",
				  *f->driver ? f->driver : "unknown");
	else if (is_native(f->driver))
		levee_checkup_add(c, name, LEVEE_CHECK_OK, NULL, "%s %s, which has native XDP",
				  f->driver, f->driver_version);
	else
		levee_checkup_add(c, name, native_verdict(f),
				  "use an interface with native XDP, on EC2 an ENA",
				  "%s is not known for native XDP; generic mode is several times "
				  "slower",
				  *f->driver ? f->driver : "its driver is unknown and");
}

static void judge_mtu(struct levee_checkup *c, const struct levee_nic_facts *f)
{
	bool ena = strcmp(f->driver, "ena") == 0;
	char name[64], remedy[300];

	call(f, "MTU", name);
	snprintf(remedy, sizeof(remedy), "ip link set dev %s mtu %d%s", f->name, MTU_ONE_PAGE,
		 ena ? "; or install Amazon's ENA driver 2.14 or later, which takes jumbo frames"
		     : "");
	if (f->mtu <= MTU_ONE_PAGE)
		levee_checkup_add(c, name, LEVEE_CHECK_OK, NULL, "%u", f->mtu);
	else if (ena && !is_at_least(f, 2, 14))
		levee_checkup_add(c, name, native_verdict(f), remedy,
				  "%u; ena %s takes native XDP only up to %d", f->mtu,
				  f->driver_version, MTU_ONE_PAGE);
	else if (ena || strcmp(f->driver, "veth") == 0)
		levee_checkup_add(c, name, LEVEE_CHECK_OK, NULL, "%u, in several buffers", f->mtu);
	else
		levee_checkup_add(c, name, LEVEE_CHECK_WARN, remedy,
				  "%u; whether %s takes native XDP with frames above a page shows "
				  "at the start",
				  f->mtu, *f->driver ? f->driver : "the driver");
}

static void judge_channels(struct levee_checkup *c, const struct levee_nic_facts *f)
{
	uint32_t half = f->channels_max / 2 ? f->channels_max / 2 : 1;
	char name[64], remedy[200];

	if (!f->channels_max)
		return;
	call(f, "channels", name);
	snprintf(remedy, sizeof(remedy), "ethtool -L %s combined %u", f->name, half);
	if (strcmp(f->driver, "ena") == 0 && f->channels > half && !is_at_least(f, 2, 17))
		levee_checkup_add(c, name, native_verdict(f), remedy,
				  "%u of %u; ena %s takes native XDP with at most half of them "
				  "(before 2.17)",
				  f->channels, f->channels_max, f->driver_version);
	else
		levee_checkup_add(c, name, LEVEE_CHECK_OK, NULL, "%u of %u", f->channels,
				  f->channels_max);
}

static void judge_lro(struct levee_checkup *c, const struct levee_nic_facts *f)
{
	char name[64], remedy[200];

	if (!f->lro)
		return;
	call(f, "LRO", name);
	snprintf(remedy, sizeof(remedy), "ethtool -K %s lro off", f->name);
	levee_checkup_add(c, name, native_verdict(f), remedy,
			  "large receive offload is on, with which native XDP is refused");
}

static void judge_program(struct levee_checkup *c, const struct levee_nic_facts *f)
{
	char name[64], remedy[200];

	call(f, "XDP", name);
	snprintf(remedy, sizeof(remedy),
		 "bpftool prog show id %u names it; ip link set dev %s xdp off takes it away",
		 f->program_id, f->name);
	if (f->program == LEVEE_NIC_FREE)
		levee_checkup_add(c, name, LEVEE_CHECK_OK, NULL, "no other program is there");
	else if (f->program == LEVEE_NIC_FOREIGN)
		levee_checkup_add(c, name, LEVEE_CHECK_FAIL, remedy,
				  "program %u of somebody else is attached; Levee does not start "
				  "in its place",
				  f->program_id);
	else if (f->native || f->attach == LEVEE_ATTACH_GENERIC)
		levee_checkup_add(c, name, LEVEE_CHECK_OK, NULL, "Levee is attached, %s mode",
				  f->native ? "native" : "generic");
	else
		levee_checkup_add(c, name, LEVEE_CHECK_WARN,
				  "the checks of this interface, and the log of the start, say why",
				  "Levee is attached in generic mode, several times slower than "
				  "native");
}

static void judge_allowances(struct levee_checkup *c, const struct levee_nic_facts *f)
{
	static const char remedy[] =
		"a larger instance type has higher allowances; the network ACLs ([nacl]) stop "
		"packets before they are counted against them";
	char name[64];

	if (f->has_pps_exceeded)
		levee_checkup_add(c, call(f, "pps allowance", name),
				  f->pps_exceeded ? LEVEE_CHECK_WARN : LEVEE_CHECK_OK,
				  f->pps_exceeded ? remedy : NULL,
				  "%" PRIu64 " packets were dropped by the platform before XDP saw "
				  "them (pps_allowance_exceeded, since the start of the driver)",
				  f->pps_exceeded);
	if (f->has_bw_exceeded && f->bw_exceeded)
		levee_checkup_add(c, call(f, "bandwidth allowance", name), LEVEE_CHECK_WARN, remedy,
				  "%" PRIu64 " packets were queued or dropped by the platform "
				  "(bw_in_allowance_exceeded)",
				  f->bw_exceeded);
}

void levee_doctor_judge_nic(struct levee_checkup *c, const struct levee_nic_facts *facts)
{
	char name[64];

	if (!facts->exists) {
		levee_checkup_add(c, call(facts, "interface", name), LEVEE_CHECK_FAIL,
				  "set [data_path] interfaces to those that face the load "
				  "balancer; `ip -br link` lists what there is",
				  "there is no interface of this name");
		return;
	}
	if (facts->up && facts->running)
		levee_checkup_add(c, call(facts, "interface", name), LEVEE_CHECK_OK, NULL, "up");
	else
		levee_checkup_add(c, call(facts, "interface", name), LEVEE_CHECK_WARN, NULL,
				  facts->up ? "up, but it has no carrier" : "down");
	judge_program(c, facts);
	judge_driver(c, facts);
	judge_mtu(c, facts);
	judge_channels(c, facts);
	judge_lro(c, facts);
	judge_allowances(c, facts);
}
