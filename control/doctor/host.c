/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel, capabilities, BPF file system, memory, clock, state file. */
#include "control/doctor/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* ---- gathering --------------------------------------------------------------------------- */

static uint64_t read_number(const char *path, const char *key, int base)
{
	size_t n = strlen(key);
	FILE *in = fopen(path, "re");
	uint64_t value = 0;
	char line[256];

	if (!in)
		return 0;
	while (fgets(line, sizeof(line), in))
		if (strncmp(line, key, n) == 0)
			value = strtoull(line + n, NULL, base);
	fclose(in);
	return value;
}

static void gather_capabilities(struct levee_host_facts *facts)
{
	uint64_t caps = read_number("/proc/self/status", "CapEff:", 16);

	facts->has_net_admin = caps >> CAP_NET_ADMIN & 1;
	facts->has_sys_admin = caps >> CAP_SYS_ADMIN & 1;
	facts->has_bpf = caps >> CAP_BPF & 1;
	facts->has_perfmon = caps >> CAP_PERFMON & 1;
}

/* The directory itself, or the nearest one above it that is there. */
static bool is_on_bpffs(const char *path)
{
	char *copy = strdup(path), *at = copy;
	struct statfs fs;
	bool found = false;

	while (at && statfs(at, &fs) < 0 && errno == ENOENT && strcmp(at, "/") != 0)
		at = dirname(at);
	if (at && statfs(at, &fs) == 0)
		found = fs.f_type == BPF_FS_MAGIC;
	free(copy);
	return found;
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* Loads programs that do nothing; without the capability nothing is learned. */
static void probe_bpf(struct levee_host_facts *facts)
{
	libbpf_print_fn_t before = libbpf_set_print(silent);

	facts->probed = facts->has_sys_admin || (facts->has_bpf && facts->has_net_admin);
	if (facts->probed) {
		facts->has_xdp = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) == 1;
		facts->has_ringbuf = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1;
		facts->has_iterators = libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_TRACING, NULL) == 1;
	}
	libbpf_set_print(before);
}

static int read_jit(void)
{
	FILE *in = fopen("/proc/sys/net/core/bpf_jit_enable", "re");
	int value = -1;

	if (!in)
		return -1;
	if (fscanf(in, "%d", &value) != 1)
		value = -1;
	fclose(in);
	return value;
}

static void gather_clock(struct levee_host_facts *facts)
{
	struct timex t = { 0 };
	int state = adjtimex(&t);

	facts->clock_known = state >= 0;
	facts->clock_synchronised = state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC);
}

/* What a program that is attached counts into. */
static uint64_t read_held(const char *pin)
{
	static const char *const tables[] = { "sources4", "sources6", "evicted4", "evicted6" };
	char path[PATH_MAX];
	uint64_t held = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct bpf_map_info info = { 0 };
		uint32_t len = sizeof(info);
		int fd;

		snprintf(path, sizeof(path), "%s/maps/%s", pin, tables[i]);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		if (!bpf_obj_get_info_by_fd(fd, &info, &len))
			held += (uint64_t)info.value_size * info.max_entries;
		close(fd);
	}
	return held;
}

void levee_doctor_gather_host(struct levee_host_facts *facts, const struct levee_config *config)
{
	int cpus = libbpf_num_possible_cpus();
	struct utsname name;

	*facts = (struct levee_host_facts){ .jit = read_jit(),
					    .sources = config->data_path.sources,
					    .sources6 = config->data_path.sources6,
					    .rules = config->data_path.rules };
	if (uname(&name) == 0)
		snprintf(facts->release, sizeof(facts->release), "%s", name.release);
	facts->has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
	gather_capabilities(facts);
	probe_bpf(facts);
	snprintf(facts->pin, sizeof(facts->pin), "%s", config->data_path.pin);
	facts->pin_is_bpffs = is_on_bpffs(config->data_path.pin);
	facts->possible_cpus = cpus > 0 ? (unsigned int)cpus : 1;
	facts->memory_available = read_number("/proc/meminfo", "MemAvailable:", 10) * 1024;
	facts->memory_held = read_held(config->data_path.pin);
	gather_clock(facts);
}

/* ---- judging ----------------------------------------------------------------------------- */

static void judge_kernel(struct levee_checkup *c, const struct levee_host_facts *f)
{
	unsigned int major = 0, minor = 0;

	if (sscanf(f->release, "%u.%u", &major, &minor) != 2)
		levee_checkup_add(c, "kernel", LEVEE_CHECK_WARN, NULL,
				  "release \"%s\" is not understood; 5.15 or later is needed",
				  f->release);
	else if (major < 5 || (major == 5 && minor < 15))
		levee_checkup_add(c, "kernel", LEVEE_CHECK_FAIL,
				  "install a kernel of 5.15 or later and reboot",
				  "%s is older than 5.15, which Levee needs", f->release);
	else if (major == 5 && minor < 18)
		levee_checkup_add(c, "kernel", LEVEE_CHECK_WARN,
				  "a kernel of 5.18 or later takes jumbo frames; or set an MTU of "
				  "at most 3498 on the interfaces",
				  "%s is good, but XDP takes no frames above one page before 5.18",
				  f->release);
	else
		levee_checkup_add(c, "kernel", LEVEE_CHECK_OK, NULL, "%s", f->release);
}

static void judge_features(struct levee_checkup *c, const struct levee_host_facts *f)
{
	if (f->has_btf)
		levee_checkup_add(c, "BTF", LEVEE_CHECK_OK, NULL, "the kernel describes its types");
	else
		levee_checkup_add(c, "BTF", LEVEE_CHECK_WARN,
				  "a kernel with CONFIG_DEBUG_INFO_BTF=y has it",
				  "there is no /sys/kernel/btf/vmlinux: `cat` of the pinned lists "
				  "will not work");
	if (!f->probed) {
		levee_checkup_add(c, "BPF", LEVEE_CHECK_SKIP, "run levee doctor as root",
				  "what the kernel loads was not tried without privileges");
		return;
	}
	if (f->has_xdp && f->has_ringbuf)
		levee_checkup_add(c, "BPF", LEVEE_CHECK_OK, NULL,
				  "XDP programs and ring buffers load%s",
				  f->has_iterators ? ", iterators too" : "");
	else
		levee_checkup_add(c, "BPF", LEVEE_CHECK_FAIL,
				  "a kernel with CONFIG_BPF_SYSCALL=y and CONFIG_XDP_SOCKETS or a "
				  "container that may call bpf() (seccomp) is needed",
				  "the kernel refuses %s%s%s", f->has_xdp ? "" : "XDP programs",
				  f->has_xdp || f->has_ringbuf ? "" : " and ",
				  f->has_ringbuf ? "" : "ring buffers");
}

static void judge_jit(struct levee_checkup *c, const struct levee_host_facts *f)
{
	if (f->jit == 0)
		levee_checkup_add(c, "BPF JIT", LEVEE_CHECK_WARN,
				  "sysctl net.core.bpf_jit_enable=1",
				  "programs are interpreted, which costs several times as much a "
				  "packet");
	else if (f->jit > 0)
		levee_checkup_add(c, "BPF JIT", LEVEE_CHECK_OK, NULL, "programs are compiled");
}

static void judge_capabilities(struct levee_checkup *c, const struct levee_host_facts *f)
{
	if (f->has_sys_admin || (f->has_net_admin && f->has_bpf && f->has_perfmon))
		levee_checkup_add(c, "capabilities", LEVEE_CHECK_OK, NULL,
				  "this process may load and attach programs");
	else
		levee_checkup_add(c, "capabilities", LEVEE_CHECK_FAIL,
				  "run as root, or with AmbientCapabilities=CAP_NET_ADMIN CAP_BPF "
				  "CAP_PERFMON under systemd",
				  "missing:%s%s%s", f->has_net_admin ? "" : " CAP_NET_ADMIN",
				  f->has_bpf ? "" : " CAP_BPF",
				  f->has_perfmon ? "" : " CAP_PERFMON");
}

static void judge_bpffs(struct levee_checkup *c, const struct levee_host_facts *f)
{
	if (f->pin_is_bpffs)
		levee_checkup_add(c, "BPF file system", LEVEE_CHECK_OK, NULL,
				  "[data_path] pin = %s is on one", f->pin);
	else
		levee_checkup_add(c, "BPF file system", LEVEE_CHECK_FAIL,
				  "mount -t bpf bpf /sys/fs/bpf (systemd does it at boot; in a "
				  "container it is to be passed in; `ip netns exec` hides it, "
				  "`nsenter --net=` does not)",
				  "[data_path] pin = %s is not on one, so nothing can be pinned",
				  f->pin);
}

static uint64_t power_of_two(uint64_t n)
{
	uint64_t power = 1;

	while (power < n)
		power *= 2;
	return power;
}

/*
 * 48 bytes an IPv4 source and 96 an IPv6 source and CPU, as README says of the keys. Tables of
 * these sizes that are there already take no more; others stay until new ones are filled.
 */
static void judge_memory(struct levee_checkup *c, const struct levee_host_facts *f)
{
	uint64_t take = (power_of_two(f->sources) * 48 + power_of_two(f->sources6) * 96) *
			f->possible_cpus;
	uint64_t need = take == f->memory_held ? 0 : take;
	uint64_t mib = take >> 20, have = f->memory_available >> 20;

	if (!f->memory_available)
		return;
	if (!need)
		levee_checkup_add(c, "memory", LEVEE_CHECK_OK, NULL,
				  "tables for %u possible CPUs have their %" PRIu64 " MiB; %" PRIu64
				  " MiB more are available",
				  f->possible_cpus, mib, have);
	else if (need > f->memory_available)
		levee_checkup_add(c, "memory", LEVEE_CHECK_FAIL,
				  "lower [data_path] sources and sources6",
				  "tables for %u possible CPUs take %" PRIu64 " MiB, and %" PRIu64
				  " MiB are available",
				  f->possible_cpus, mib, have);
	else if (need > f->memory_available / 4)
		levee_checkup_add(c, "memory", LEVEE_CHECK_WARN,
				  "lower [data_path] sources and sources6 if that is too much",
				  "tables for %u possible CPUs take %" PRIu64 " MiB of the %" PRIu64
				  " MiB that are available",
				  f->possible_cpus, mib, have);
	else
		levee_checkup_add(c, "memory", LEVEE_CHECK_OK, NULL,
				  "tables for %u possible CPUs take %" PRIu64 " MiB; %" PRIu64
				  " MiB are available",
				  f->possible_cpus, mib, have);
}

static void judge_clock(struct levee_checkup *c, const struct levee_host_facts *f)
{
	if (!f->clock_known)
		levee_checkup_add(c, "clock", LEVEE_CHECK_SKIP, NULL,
				  "the kernel does not say whether it is synchronised");
	else if (f->clock_synchronised)
		levee_checkup_add(c, "clock", LEVEE_CHECK_OK, NULL, "synchronised");
	else
		levee_checkup_add(c, "clock", LEVEE_CHECK_WARN,
				  "run chronyd or systemd-timesyncd; EC2 has a time server at "
				  "169.254.169.123",
				  "not synchronised: bins carry wrong names, and AWS refuses "
				  "signatures more than 5 min off");
}

void levee_doctor_judge_host(struct levee_checkup *c, const struct levee_host_facts *facts)
{
	judge_kernel(c, facts);
	judge_features(c, facts);
	judge_jit(c, facts);
	judge_capabilities(c, facts);
	judge_bpffs(c, facts);
	judge_memory(c, facts);
	judge_clock(c, facts);
}

/* ---- the state file ---------------------------------------------------------------------- */

#define STATE_ROOM (64ULL << 20) /* of a window of a million sources, with its log */

/* The nearest directory above that is there: may another be made in it? */
static bool may_be_made(const char *directory)
{
	char *copy = strdup(directory), *at = copy;
	bool may;

	while (at && access(at, F_OK) < 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0)
		at = dirname(at);
	may = at && access(at, W_OK) == 0;
	free(copy);
	return may;
}

void levee_doctor_state(struct levee_checkup *c, const struct levee_config *config)
{
	const char *path = config->state.file;
	char *copy = strdup(path), *directory;
	struct statfs fs;

	if (!copy)
		return;
	directory = dirname(copy);
	if (!*path)
		levee_checkup_add(c, "state file", LEVEE_CHECK_WARN,
				  "set [state] file = /var/lib/levee/state.db",
				  "none: a restart forgets the window, and who was blocked before");
	else if (access(path, F_OK) == 0 && access(path, W_OK) < 0)
		levee_checkup_add(c, "state file", LEVEE_CHECK_FAIL,
				  "make it writable for the user of the daemon",
				  "%s cannot be written: %s", path, strerror(errno));
	else if (access(directory, F_OK) < 0 && may_be_made(directory))
		levee_checkup_add(c, "state file", LEVEE_CHECK_OK, NULL,
				  "%s: its directory will be made at the first start", path);
	else if (access(directory, F_OK) < 0)
		levee_checkup_add(
			c, "state file", LEVEE_CHECK_FAIL,
			"make it, for the user of the daemon; under systemd StateDirectory= "
			"does",
			"directory %s is not there and cannot be made: %s", directory,
			strerror(errno));
	else if (access(directory, W_OK) < 0)
		levee_checkup_add(c, "state file", LEVEE_CHECK_FAIL,
				  "make it writable for the user of the daemon",
				  "directory %s cannot be written: %s", directory, strerror(errno));
	else if (statfs(directory, &fs) == 0 &&
		 (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < STATE_ROOM)
		levee_checkup_add(c, "state file", LEVEE_CHECK_WARN, "make room",
				  "%s: only %" PRIu64 " MiB are free", directory,
				  (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >> 20);
	else
		levee_checkup_add(c, "state file", LEVEE_CHECK_OK, NULL, "%s", path);
	free(copy);
}
