/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded by test_clock.sh: the wall clock of one process is off by what the file named in
 * LEVEE_TEST_CLOCK holds, a signed 64-bit number of nanoseconds that may change at any time. All
 * other clocks are the kernel's.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000

static const volatile int64_t *offset_ns;

__attribute__((constructor)) static void open_offset(void)
{
	const char *path = getenv("LEVEE_TEST_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at;

	if (fd < 0)
		return;
	at = mmap(NULL, sizeof(*offset_ns), PROT_READ, MAP_SHARED, fd, 0);
	if (at != MAP_FAILED)
		offset_ns = at;
	close(fd);
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	int ret = (int)syscall(SYS_clock_gettime, id, t);
	int64_t ns;

	if (ret || id != CLOCK_REALTIME || !offset_ns)
		return ret;
	ns = (int64_t)t->tv_sec * NS_PER_S + t->tv_nsec + *offset_ns;
	t->tv_sec = ns / NS_PER_S;
	t->tv_nsec = ns % NS_PER_S;
	return 0;
}
