/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread that keeps network ACLs, against an endpoint that only listens. */
#include "control/aws/nacl_service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "control/json.h"
#include "control/log.h"

#define LONG_MS 20000

struct fixture {
	struct levee_config config;
	struct levee_board *board;
	struct levee_nacl_service *service;
	int listener; /* -1 once closed */
	atomic_bool open;
};

static void set(struct fixture *f, const char *section, const char *key, const char *value)
{
	assert_int_equal(levee_config_set(&f->config, section, key, value, "test", stderr), 0);
}

static void listen_somewhere(struct fixture *f)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { .s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	char url[64];

	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(f->listener >= 0);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	assert_int_equal(getsockname(f->listener, (struct sockaddr *)&address, &size), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	set(f, "aws", "endpoint", url);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct levee_snapshot *snapshot;

	assert_non_null(f);
	setenv("HOME", "/nonexistent", 1);
	setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "not/a/secret", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_MAX_ATTEMPTS", "1", 1);
	levee_log_set_level(LEVEE_LOG_ERROR);
	assert_int_equal(levee_config_init(&f->config), 0);
	listen_somewhere(f);
	set(f, "state", "file", "");
	set(f, "aws", "enabled", "yes");
	set(f, "aws", "region", "eu-west-1");
	set(f, "nacl", "enabled", "yes");
	set(f, "nacl", "vpc", "vpc-01234567");
	set(f, "nacl", "subnets", "subnet-01234567");
	set(f, "nacl", "blue", "acl-01234567");
	set(f, "nacl", "green", "acl-01234568");
	assert_int_equal(levee_board_new(&f->board, 0), 0);
	snapshot = levee_snapshot_new();
	assert_non_null(snapshot);
	levee_board_publish(f->board, snapshot);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_nacl_service_stop(&f->service);
	levee_board_close(f->board);
	levee_board_free(&f->board);
	if (f->listener >= 0)
		close(f->listener);
	levee_config_clear(&f->config);
	free(f);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool gate(void *ctx, struct levee_nacl_licence *licence)
{
	struct fixture *f = ctx;

	(void)licence;
	return f->open;
}

static bool is_called(struct fixture *f, int timeout_ms)
{
	struct pollfd fd = { .fd = f->listener, .events = POLLIN };

	return poll(&fd, 1, timeout_ms) > 0;
}

/* Until the status text has it. */
static void await(struct fixture *f, const char *text)
{
	int64_t end_ms = now_ms() + LONG_MS;
	struct levee_nacl_status status;

	do {
		levee_nacl_service_status(f->service, &status);
		if (strstr(status.text, text))
			return;
		usleep(10000);
	} while (now_ms() < end_ms);
	fail_msg("not \"%s\", but \"%s\" (%s)", text, status.text,
		 levee_nacl_state_name(status.state));
}

static void start(struct fixture *f, bool open)
{
	f->open = open;
	assert_int_equal(levee_nacl_service_start(&f->service, &f->config, f->board, gate, f), 0);
}

static void who_may_not_write_makes_no_call(void **state)
{
	struct fixture *f = *state;

	start(f, false);
	await(f, "another node writes");
	assert_false(is_called(f, 1500));
	f->open = true;
	assert_true(is_called(f, LONG_MS));
}

static void a_stop_does_not_wait_for_a_call(void **state)
{
	struct fixture *f = *state;
	int64_t begin_ms;

	start(f, true);
	assert_true(is_called(f, LONG_MS)); /* and it never gets an answer */
	begin_ms = now_ms();
	levee_nacl_service_stop(&f->service);
	assert_true(now_ms() - begin_ms < 5000);
}

static void an_endpoint_that_is_not_there_is_named(void **state)
{
	struct fixture *f = *state;
	struct levee_nacl_status status;

	close(f->listener);
	f->listener = -1;
	start(f, true);
	await(f, "ConnectFailed");
	levee_nacl_service_status(f->service, &status);
	assert_int_equal(status.state, LEVEE_NACL_WAITING);
	assert_true(status.failed_unix_ms > 0);
	assert_null(strstr(status.text, "not/a/secret"));
}

static void the_status_is_json_and_metrics_are_prometheus(void **state)
{
	struct fixture *f = *state;
	struct levee_json j;
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	json_t *json;

	close(f->listener);
	f->listener = -1;
	start(f, true);
	await(f, "ConnectFailed");
	assert_non_null(out);
	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	assert_int_equal(levee_board_service_status(f->board, "nacl", &j), 0);
	levee_json_end(&j);
	levee_json_finish(&j);
	fclose(out);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "state")), "waiting");
	assert_int_equal(json_integer_value(json_object_get(json, "budget")), 20);
	assert_true(json_integer_value(json_object_get(json, "failures")) >= 1);
	json_decref(json);
	free(text);

	text = NULL;
	out = open_memstream(&text, &n);
	assert_non_null(out);
	levee_board_service_metrics(f->board, out);
	fclose(out);
	assert_non_null(strstr(text, "# TYPE levee_nacl_in_force gauge\nlevee_nacl_in_force 0\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_may_not_write_makes_no_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_stop_does_not_wait_for_a_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_endpoint_that_is_not_there_is_named, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_status_is_json_and_metrics_are_prometheus,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
