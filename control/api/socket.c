/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 128

/* ---- the unix socket ----------------------------------------------------------------------- */

static void make_directory(const char *path)
{
	char directory[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *slash = strrchr(path, '/');

	if (!slash || slash == path)
		return;
	snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path), path);
	/* The socket's own mode says who may talk to it. What fails here fails at bind(). */
	(void)mkdir(directory, 0755);
}

/* Is a socket there that somebody answers? Anything else there is not ours to remove. */
static int clear_place(const struct sockaddr_un *address, char *why, size_t size)
{
	struct stat st;
	int fd, error;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, size, "there is a file of another kind");
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = connect(fd, (const struct sockaddr *)address, sizeof(*address)) ? errno : 0;
	close(fd);
	if (error == 0 || error == EAGAIN) {
		snprintf(why, size, "another levee listens there");
		return -EADDRINUSE;
	}
	return unlink(address->sun_path) && errno != ENOENT ? -errno : 0;
}

static void give_to_group(const char *path, const char *group, levee_api_warn *warn, void *ctx)
{
	struct group *entry = NULL, record;
	char names[4096], message[256];

	if (getgrnam_r(group, &record, names, sizeof(names), &entry))
		entry = NULL;
	if (entry && !chown(path, (uid_t)-1, entry->gr_gid))
		return;
	if (entry)
		snprintf(message, sizeof(message),
			 "%s cannot be given to the group %s: %s; its own group may use it", path,
			 group, strerror(errno));
	else
		snprintf(
			message, sizeof(message),
			"there is no group %s that %s could belong to: only root and its own group "
			"may use it; groupadd --system %s",
			group, path, group);
	warn(ctx, message);
}

static int bind_unix(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177); /* nobody gets in before the group is set */
	int ret = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;

	umask(before);
	return ret;
}

int levee_api_listen_unix(const char *path, const char *group, levee_api_warn *warn, void *ctx,
			  char *why, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	why[0] = '\0';
	if (strlen(path) >= sizeof(address.sun_path)) {
		snprintf(why, size, "longer than %zu bytes", sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	make_directory(path);
	ret = clear_place(&address, why, size);
	if (ret)
		goto say;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		ret = -errno;
		goto say;
	}
	ret = bind_unix(fd, &address);
	if (!ret) {
		if (group[0])
			give_to_group(path, group, warn, ctx);
		if (chmod(path, 0660) || listen(fd, BACKLOG))
			ret = -errno;
	}
	if (!ret)
		return fd;
	close(fd);
say:
	if (!why[0])
		snprintf(why, size, "%s", strerror(-ret));
	return ret;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static int refuse(char *why, size_t size)
{
	snprintf(why, size, "not an address and a port, such as 127.0.0.1:9187 or [::1]:9187");
	return -EINVAL;
}

static int parse(const char *text, union address *out, char *why, size_t size)
{
	const char *colon = strrchr(text, ':');
	char host[64];
	size_t len;
	unsigned long port;

	*out = (union address){ 0 };
	if (!colon || colon == text || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    !colon[1] || strlen(colon + 1) > 5)
		return refuse(why, size);
	port = strtoul(colon + 1, NULL, 10);
	len = (size_t)(colon - text);
	if (port > 65535 || len >= sizeof(host))
		return refuse(why, size);
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, &out->in.sin_addr) == 1) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons((uint16_t)port);
		return 0;
	}
	if (host[0] != '[' || host[len - 1] != ']')
		return refuse(why, size);
	host[len - 1] = '\0';
	if (inet_pton(AF_INET6, host + 1, &out->in6.sin6_addr) != 1)
		return refuse(why, size);
	out->in6.sin6_family = AF_INET6;
	out->in6.sin6_port = htons((uint16_t)port);
	return 0;
}

int levee_api_parse_listen(const char *text, bool *is_loopback, char *why, size_t size)
{
	union address address;
	int ret = parse(text, &address, why, size);

	if (ret)
		return ret;
	if (address.any.sa_family == AF_INET)
		*is_loopback = ntohl(address.in.sin_addr.s_addr) >> 24 == 127;
	else
		*is_loopback = IN6_IS_ADDR_LOOPBACK(&address.in6.sin6_addr);
	return 0;
}

int levee_api_listen_tcp(const char *text, char *why, size_t size)
{
	union address address;
	int fd, one = 1, ret = parse(text, &address, why, size);
	socklen_t len;

	if (ret)
		return ret;
	len = address.any.sa_family == AF_INET ? sizeof(address.in) : sizeof(address.in6);
	fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		ret = -errno;
		snprintf(why, size, "%s", strerror(-ret));
		return ret;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address.any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (!bind(fd, &address.any, len) && !listen(fd, BACKLOG))
		return fd;
	ret = -errno;
	close(fd);
	snprintf(why, size, "%s", strerror(-ret));
	return ret;
}
