/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ARGS_MAX    32
#define START_TRIES 400 /* of 25 ms */

static const char *const programs[] = { "/usr/bin/redis-server", "/usr/bin/valkey-server" };

static const char *program(void)
{
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (access(programs[i], X_OK) == 0)
			return programs[i];
	return NULL;
}

bool test_redis_installed(void)
{
	return program() != NULL;
}

static int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;

	if (fd >= 0 && !bind(fd, (struct sockaddr *)&at, sizeof(at)) &&
	    !getsockname(fd, (struct sockaddr *)&at, &size))
		port = ntohs(at.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

static bool answers(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char reply[64] = "";
	bool ok = fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof(at)) &&
		  write(fd, "PING\r\n", 6) == 6 && read(fd, reply, sizeof(reply) - 1) > 0;

	if (fd >= 0)
		close(fd);
	return ok && strncmp(reply, "-LOADING", 8) != 0;
}

static void exec_server(const struct test_redis *redis, const char *const *args)
{
	const char *argv[ARGS_MAX + 16] = { program(),	 "--port",	 redis->port, "--bind",
					    "127.0.0.1", "--dir",	 redis->dir,  "--save",
					    "",		 "--appendonly", "no" };
	int n = 11, null = open("/dev/null", O_RDWR);

	for (int i = 0; args && args[i] && i < ARGS_MAX; i++)
		argv[n++] = args[i];
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, 0);
	dup2(null, 1);
	dup2(null, 2);
	execv(argv[0], (char *const *)argv);
	_exit(127);
}

/* \return 0 when it answers; -ECONNREFUSED if it has ended, or says nothing */
static int launch(struct test_redis *redis, const char *const *args)
{
	const struct timespec pause = { .tv_nsec = 25000000 };

	snprintf(redis->url, sizeof(redis->url), "redis://127.0.0.1:%s", redis->port);
	redis->pid = fork();
	if (redis->pid == 0)
		exec_server(redis, args);
	for (int i = 0; i < START_TRIES; i++) {
		if (waitpid(redis->pid, NULL, WNOHANG) == redis->pid) {
			redis->pid = 0;
			return -ECONNREFUSED;
		}
		if (answers(redis->port))
			return 0;
		nanosleep(&pause, NULL);
	}
	return -ECONNREFUSED;
}

/* A free port is so until somebody else takes it first: then with another one. */
int test_redis_start(struct test_redis *redis, const char *port, const char *const *args)
{
	int ret = -ECONNREFUSED;

	memset(redis, 0, sizeof(*redis));
	snprintf(redis->dir, sizeof(redis->dir), "/tmp/levee-redis-XXXXXX");
	if (!program() || !mkdtemp(redis->dir))
		return -ENOENT;
	for (int i = 0; i < 5 && ret && !redis->pid; i++) {
		if (port)
			snprintf(redis->port, sizeof(redis->port), "%.7s", port);
		else
			snprintf(redis->port, sizeof(redis->port), "%d", free_port() & 0xffff);
		ret = launch(redis, args);
	}
	if (ret)
		test_redis_stop(redis);
	return ret;
}

void test_redis_signal(struct test_redis *redis, int signal)
{
	kill(redis->pid, signal);
	if (signal == SIGKILL) {
		waitpid(redis->pid, NULL, 0);
		redis->pid = 0;
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void test_redis_stop(struct test_redis *redis)
{
	if (redis->pid > 0)
		test_redis_signal(redis, SIGKILL);
	if (redis->dir[0])
		nftw(redis->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	redis->dir[0] = '\0';
}
