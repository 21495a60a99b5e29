/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/service/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* A manager that listens, as systemd does. */
struct manager {
	int fd;
	char dir[32];
	char name[64];
	char heard[2048];
};

static void listen_at(struct manager *m, const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	memcpy(at.sun_path, name, len);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	m->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(m->fd >= 0);
	assert_return_code(bind(m->fd, (struct sockaddr *)&at,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			   errno);
	setenv("NOTIFY_SOCKET", name, 1);
}

static int setup(void **state)
{
	struct manager *m = calloc(1, sizeof(*m));

	if (!m)
		return -1;
	strcpy(m->dir, "/tmp/levee-notify-XXXXXX");
	if (!mkdtemp(m->dir))
		return -1;
	snprintf(m->name, sizeof(m->name), "%s/notify", m->dir);
	m->fd = -1;
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct manager *m = *state;

	if (m->fd >= 0)
		close(m->fd);
	unlink(m->name);
	rmdir(m->dir);
	free(m);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

static const char *hear(struct manager *m)
{
	ssize_t n = recv(m->fd, m->heard, sizeof(m->heard) - 1, 0);

	if (n < 0)
		return NULL;
	m->heard[n] = '\0';
	return m->heard;
}

static void without_a_manager_everything_is_silent(void **state)
{
	struct levee_notify n;

	(void)state;
	assert_int_equal(levee_notify_open(&n), 0);
	assert_int_equal(n.fd, -1);
	levee_notify(&n, "READY=1");
	levee_notify_alive(&n, 5);
	levee_notify_reloading(&n);
	levee_notify_close(&n);
}

static void a_message_reaches_the_socket_of_a_path(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;

	listen_at(m, m->name);
	assert_int_equal(levee_notify_open(&n), 0);
	levee_notify(&n, "READY=1\nSTATUS=%d blocks", 3);
	assert_string_equal(hear(m), "READY=1\nSTATUS=3 blocks");
	levee_notify_close(&n);
}

static void a_message_reaches_an_abstract_socket(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;
	char name[64];

	snprintf(name, sizeof(name), "@levee-notify-%d", (int)getpid());
	listen_at(m, name);
	assert_int_equal(levee_notify_open(&n), 0);
	levee_notify(&n, "STOPPING=1");
	assert_string_equal(hear(m), "STOPPING=1");
	levee_notify_close(&n);
}

static void children_do_not_inherit_the_socket(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;

	listen_at(m, m->name);
	setenv("WATCHDOG_USEC", "1000000", 1);
	assert_int_equal(levee_notify_open(&n), 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	levee_notify_close(&n);
}

static void signs_of_life_come_twice_in_the_time_that_is_granted(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;

	listen_at(m, m->name);
	setenv("WATCHDOG_USEC", "30000000", 1);
	assert_int_equal(levee_notify_open(&n), 0);
	levee_notify_alive(&n, 1000);
	assert_string_equal(hear(m), "WATCHDOG=1");
	levee_notify_alive(&n, 1000 + 14999999999ULL);
	assert_null(hear(m));
	levee_notify_alive(&n, 1000 + 15000000000ULL);
	assert_string_equal(hear(m), "WATCHDOG=1");
	levee_notify_close(&n);
}

static void a_watchdog_of_another_process_is_not_ours(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;
	char pid[24];

	listen_at(m, m->name);
	snprintf(pid, sizeof(pid), "%d", (int)getpid() + 1);
	setenv("WATCHDOG_USEC", "30000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(levee_notify_open(&n), 0);
	assert_int_equal(n.watchdog_ns, 0);
	levee_notify_alive(&n, 1000);
	assert_null(hear(m));
	levee_notify_close(&n);
}

static void nonsense_in_the_environment_is_refused(void **state)
{
	static const char *const names[] = { "", "relative/path", "/", "@" };
	struct levee_notify n;
	char longest[200];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv("NOTIFY_SOCKET", names[i], 1);
		assert_int_equal(levee_notify_open(&n), -EINVAL);
		assert_int_equal(n.fd, -1);
	}
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	setenv("NOTIFY_SOCKET", longest, 1);
	assert_int_equal(levee_notify_open(&n), -EINVAL);
	setenv("NOTIFY_SOCKET", "/nowhere/notify", 1);
	assert_int_equal(levee_notify_open(&n), -ENOENT);
	levee_notify(&n, "READY=1");
}

static void a_reload_carries_its_time(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;
	const char *heard;

	listen_at(m, m->name);
	assert_int_equal(levee_notify_open(&n), 0);
	levee_notify_reloading(&n);
	heard = hear(m);
	assert_non_null(heard);
	assert_int_equal(strncmp(heard, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	assert_true(strtoull(heard + 27, NULL, 10) > 0);
	levee_notify_close(&n);
}

static void a_long_status_is_cut_off(void **state)
{
	struct manager *m = *state;
	struct levee_notify n;
	char text[3000];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	listen_at(m, m->name);
	assert_int_equal(levee_notify_open(&n), 0);
	levee_notify(&n, "STATUS=%s", text);
	assert_int_equal(strlen(hear(m)), 1023);
	levee_notify_close(&n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_manager_everything_is_silent),
		TEST(a_message_reaches_the_socket_of_a_path),
		TEST(a_message_reaches_an_abstract_socket),
		TEST(children_do_not_inherit_the_socket),
		TEST(signs_of_life_come_twice_in_the_time_that_is_granted),
		TEST(a_watchdog_of_another_process_is_not_ours),
		TEST(nonsense_in_the_environment_is_refused),
		TEST(a_reload_carries_its_time),
		TEST(a_long_status_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
