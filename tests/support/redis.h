/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A redis-server (or valkey-server) of a test's own: on a free port of loopback, with a directory
 * of its own, ended with the test whatever happens to it.
 */
#ifndef TESTS_SUPPORT_REDIS_H
#define TESTS_SUPPORT_REDIS_H

#include <stdbool.h>
#include <sys/types.h>

struct test_redis {
	pid_t pid;
	char port[8];
	char dir[64];
	char url[64]; /* redis://127.0.0.1:PORT */
};

/** Is a server installed? */
bool test_redis_installed(void);

/**
 * Start it and wait until it answers.
 * \param port  NULL: a free one
 * \param args  more options, ended by NULL: "--requirepass", "x", NULL
 * \return 0; -errno
 */
int test_redis_start(struct test_redis *redis, const char *port, const char *const *args);

/** Send a signal: SIGKILL, SIGSTOP, SIGCONT. SIGKILL is waited for. */
void test_redis_signal(struct test_redis *redis, int signal);

/** End it, and remove its directory. Accepts one that is not running. */
void test_redis_stop(struct test_redis *redis);

#endif
