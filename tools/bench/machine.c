/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* First line of a file or a command, without its end; `otherwise` if there is none. */
static void first_line(FILE *in, char *out, size_t size, const char *otherwise)
{
	if (!in || !fgets(out, (int)size, in))
		snprintf(out, size, "%s", otherwise);
	out[strcspn(out, "\n")] = '\0';
}

static void read_line(const char *path, char *out, size_t size, const char *otherwise)
{
	FILE *in = fopen(path, "re");

	first_line(in, out, size, otherwise);
	if (in)
		fclose(in);
}

static void read_command(const char *command, char *out, size_t size)
{
	FILE *in = popen(command, "re");

	first_line(in, out, size, "unknown");
	if (in)
		pclose(in);
}

/* Value of the first line of /proc/cpuinfo that begins with one of the names; ARM has no model. */
static void read_cpu(char *out, size_t size)
{
	static const char *const names[] = { "model name", "CPU part", "Processor" };
	FILE *in = fopen("/proc/cpuinfo", "re");
	char line[256];
	char *colon;

	snprintf(out, size, "unknown");
	if (!in)
		return;
	while (fgets(line, sizeof(line), in)) {
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
			colon = strstr(line, ": ");
			if (strncmp(line, names[i], strlen(names[i])) || !colon)
				continue;
			snprintf(out, size, "%s", colon + 2);
			out[strcspn(out, "\n")] = '\0';
			fclose(in);
			return;
		}
	}
	fclose(in);
}

/* One attribute of the i-th cache that the first CPU has. */
static void read_cache(unsigned int i, const char *name, char *out, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cache/index%u/%s", i, name);
	read_line(path, out, size, "");
}

static void read_caches(struct bench_machine *m)
{
	char level[16], type[32], size[16];

	while (m->caches < BENCH_CACHES_MAX) {
		read_cache(m->caches, "level", level, sizeof(level));
		read_cache(m->caches, "type", type, sizeof(type));
		read_cache(m->caches, "size", size, sizeof(size));
		if (!level[0] || !size[0])
			break;
		snprintf(m->cache[m->caches++], sizeof(m->cache[0]), "L%.2s%s%.11s %.8s", level,
			 strcmp(type, "Unified") ? " " : "", strcmp(type, "Unified") ? type : "",
			 size);
	}
}

static void read_date(char *out, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void read_load(char *out, size_t size)
{
	double load[3] = { 0 };

	if (getloadavg(load, 3) != 3)
		snprintf(out, size, "unknown");
	else
		snprintf(out, size, "%.2f %.2f %.2f", load[0], load[1], load[2]);
}

void bench_machine_describe(struct bench_machine *m)
{
	struct utsname un;

	*m = (struct bench_machine){ 0 };
	read_date(m->date, sizeof(m->date));
	read_cpu(m->cpu, sizeof(m->cpu));
	read_line("/sys/hypervisor/type", m->hypervisor, sizeof(m->hypervisor), "");
	if (!m->hypervisor[0])
		read_line("/sys/class/dmi/id/sys_vendor", m->hypervisor, sizeof(m->hypervisor), "");
	m->cpus = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
	read_caches(m);
	if (!uname(&un))
		snprintf(m->kernel, sizeof(m->kernel), "%.60s %.60s", un.release, un.machine);
	read_command("${CLANG:-clang} --version 2>/dev/null", m->compiler, sizeof(m->compiler));
	read_load(m->load, sizeof(m->load));
	read_line("/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow", m->srso,
		  sizeof(m->srso), "unknown");
	read_line("/sys/devices/system/cpu/vulnerabilities/spectre_v2", m->retpoline,
		  sizeof(m->retpoline), "unknown");
	m->memory_mb = (unsigned long)sysconf(_SC_PHYS_PAGES) / 1024 *
		       ((unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}
