/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/service/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 1024

/* A path, or '@' and a name in the abstract name space. \return length of *to; -EINVAL */
static int parse_address(const char *text, struct sockaddr_un *to)
{
	size_t len = strlen(text);

	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((text[0] != '/' && text[0] != '@') || len < 2 || len >= sizeof(to->sun_path))
		return -EINVAL;
	memcpy(to->sun_path, text, len);
	if (text[0] == '@')
		to->sun_path[0] = '\0';
	return (int)(offsetof(struct sockaddr_un, sun_path) + len);
}

static int connect_to(const char *name)
{
	struct sockaddr_un to;
	int len = parse_address(name, &to);
	int fd, ret;

	if (len < 0)
		return len;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&to, (socklen_t)len)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

/* A number of the environment; 0 if it is none. */
static uint64_t number_of(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long long n;

	if (!text || text[0] < '0' || text[0] > '9')
		return 0;
	errno = 0;
	n = strtoull(text, &end, 10);
	return errno || *end ? 0 : n;
}

/* The watchdog is meant for us if no process, or this one, is named. */
static uint64_t watchdog_ns(void)
{
	uint64_t usec = number_of("WATCHDOG_USEC"), pid = number_of("WATCHDOG_PID");

	if (usec > UINT64_MAX / 1000 || (pid && pid != (uint64_t)getpid()))
		return 0;
	return usec * 1000 / 2;
}

int levee_notify_open(struct levee_notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int fd = name ? connect_to(name) : -1;

	*n = (struct levee_notify){ .fd = fd < 0 ? -1 : fd, .next_ns = UINT64_MAX };
	if (n->fd >= 0)
		n->watchdog_ns = watchdog_ns();
	if (n->watchdog_ns)
		n->next_ns = 0;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return name && fd < 0 ? fd : 0;
}

void levee_notify(const struct levee_notify *n, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	if (n->fd < 0)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	/* A queue that is full is the manager's: it will miss a line of status, not us. */
	(void)!send(n->fd, message, strlen(message), MSG_NOSIGNAL);
}

void levee_notify_reloading(const struct levee_notify *n)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	levee_notify(n, "RELOADING=1\nMONOTONIC_USEC=%llu",
		     (unsigned long long)t.tv_sec * 1000000ULL +
			     (unsigned long long)t.tv_nsec / 1000ULL);
}

void levee_notify_alive(struct levee_notify *n, uint64_t boot_ns)
{
	if (boot_ns < n->next_ns || !n->watchdog_ns)
		return;
	levee_notify(n, "WATCHDOG=1");
	n->next_ns = boot_ns + n->watchdog_ns;
}

void levee_notify_close(struct levee_notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}
