/* SPDX-License-Identifier: BSD-2-Clause */
/* Servers that answer nonsense: the end comes in time, with a sentence, and without much memory. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "control/fleet/link.h"

#define ANSWER_MS 300
#define LONG_MS	  20000 /* for a machine that is busy with other things */

/* What a server says to whoever comes; then `tail` over and over, until its peer is gone. */
struct speech {
	const char *first;
	size_t n;
	const char *tail;
	bool hangs_up;
};

struct server {
	int fd;
	char port[8];
	const struct speech *speech;
	pthread_t thread;
};

static void speak(int fd, const struct speech *speech)
{
	static char many[65536];
	size_t length = speech->tail ? strlen(speech->tail) : 0, used = 0;

	if (speech->n && send(fd, speech->first, speech->n, MSG_NOSIGNAL) < 0)
		return;
	if (speech->hangs_up)
		return;
	while (length && used + length <= sizeof(many)) {
		memcpy(many + used, speech->tail, length);
		used += length;
	}
	while (length && send(fd, many, used, MSG_NOSIGNAL) > 0)
		;
	/* Silence, until the other end closes. */
	while (!length && recv(fd, many, sizeof(many), 0) > 0)
		;
}

static void *serve(void *ctx)
{
	struct server *server = ctx;
	int fd = accept(server->fd, NULL, NULL);

	if (fd >= 0) {
		speak(fd, server->speech);
		close(fd);
	}
	return NULL;
}

static void start_server(struct server *server, const struct speech *speech)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);

	server->speech = speech;
	server->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(server->fd >= 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(server->fd, 1), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&at, &size), 0);
	snprintf(server->port, sizeof(server->port), "%u", ntohs(at.sin_port));
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* What opening a link to such a server comes to, and a command over it. \return -errno */
static int try_it(const struct speech *speech, char why[static LEVEE_LINK_WHY])
{
	const char *argv[] = { "HGETALL", "x" };
	struct levee_link_params params = { .host = "127.0.0.1",
					    .ca_file = "",
					    .user = "",
					    .password = "",
					    .timeout_ms = ANSWER_MS };
	struct levee_link *link;
	struct server server;
	redisReply *reply = NULL;
	int64_t begin_ms;
	int ret;

	start_server(&server, speech);
	params.port = server.port;
	begin_ms = now_ms();
	ret = levee_link_open(&link, &params, why);
	for (int i = 0; i < 100 && !ret; i++) {
		ret = levee_link_call(link, ANSWER_MS, &reply, 2, argv, NULL);
		freeReplyObject(reply);
		reply = NULL;
		if (ret)
			snprintf(why, LEVEE_LINK_WHY, "%s", levee_link_why(link));
	}
	levee_link_close(&link);
	assert_true(now_ms() - begin_ms < LONG_MS);
	pthread_join(server.thread, NULL);
	close(server.fd);
	return ret;
}

static void expect(const struct speech *speech, int error, const char *word)
{
	char why[LEVEE_LINK_WHY] = "";

	assert_int_equal(try_it(speech, why), error);
	if (!strstr(why, word))
		fail_msg("\"%s\" has no \"%s\"", why, word);
}

#define SAYS(text) .first = (text), .n = sizeof(text) - 1

static void another_protocol_is_said(void **state)
{
	(void)state;
	expect(&(struct speech){ SAYS("HTTP/1.1 400 Bad Request\r\n\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("SSH-2.0-OpenSSH_9.2\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("\0\0\0\0\0\0\0\0") }, -EPROTO, "protocol");
	expect(&(struct speech){ .tail = "\x16\x03\x01\x02" }, -EPROTO, "protocol");
}

static void lengths_that_are_no_numbers_are_refused(void **state)
{
	(void)state;
	expect(&(struct speech){ SAYS("$x\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("*-7\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("$-2\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("+PONG\r\n:12x\r\n") }, -EPROTO, "protocol");
}

static void an_array_that_is_announced_is_not_believed(void **state)
{
	(void)state;
	expect(&(struct speech){ SAYS("+PONG\r\n*2147483647\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("+PONG\r\n*4294967295\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("+PONG\r\n*99999999999999999999\r\n") }, -EPROTO, "protocol");
	expect(&(struct speech){ SAYS("+PONG\r\n*1000000000\r\n") }, -EPROTO, "protocol");
}

#ifndef __SANITIZE_ADDRESS__ /* which needs far more for itself */
static void for_an_array_that_is_announced_nothing_is_allocated(void **state)
{
	struct rlimit before, small;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
	small = before;
	small.rlim_cur = 256U << 20;
	assert_int_equal(setrlimit(RLIMIT_DATA, &small), 0);
	expect(&(struct speech){ SAYS("+PONG\r\n*1000000000\r\n") }, -EPROTO, "protocol");
	assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
}
#endif

static void arrays_in_arrays_end_somewhere(void **state)
{
	(void)state;
	expect(&(struct speech){ .tail = "*1\r\n" }, -EPROTO, "protocol");
}

static void a_string_without_end_is_given_up(void **state)
{
	(void)state;
	/* Either the time is over first, or the bytes that are taken are. */
	struct speech endless = { SAYS("+PONG\r\n$999999999999\r\n"), .tail = "xxxxxxxx" };
	char why[LEVEE_LINK_WHY];
	int ret = try_it(&endless, why);

	assert_true(ret == -ETIMEDOUT || ret == -EMSGSIZE || ret == -EPROTO);
	assert_true(why[0] != '\0');
}

static void silence_and_a_hang_up_are_told_apart(void **state)
{
	(void)state;
	expect(&(struct speech){ .n = 0 }, -ETIMEDOUT, "no answer in time");
	expect(&(struct speech){ SAYS("+PO") }, -ETIMEDOUT, "no answer in time");
	expect(&(struct speech){ SAYS("+PONG\r\n$5\r\nab"), .hangs_up = true }, -ECONNRESET,
	       "closed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_protocol_is_said),
		cmocka_unit_test(lengths_that_are_no_numbers_are_refused),
		cmocka_unit_test(an_array_that_is_announced_is_not_believed),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(for_an_array_that_is_announced_nothing_is_allocated),
#endif
		cmocka_unit_test(arrays_in_arrays_end_somewhere),
		cmocka_unit_test(a_string_without_end_is_given_up),
		cmocka_unit_test(silence_and_a_hang_up_are_told_apart),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
