/* SPDX-License-Identifier: BSD-2-Clause */
/* Tokens, and the addresses that the API may listen on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/api/auth.h"
#include "control/api/socket.h"

static char path[64];
static char why[256];

static int setup(void **state)
{
	(void)state;
	strcpy(path, "/tmp/levee-token-XXXXXX");
	close(mkstemp(path));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static int read_token(struct levee_token *token, const char *text)
{
	FILE *out = fopen(path, "w");

	fputs(text, out);
	fclose(out);
	return levee_token_read(token, path, why, sizeof(why));
}

static void only_the_whole_token_of_the_right_scheme_matches(void **state)
{
	struct levee_token token;

	(void)state;
	assert_int_equal(read_token(&token, "0123456789abcdef\nmore\n"), 0);
	assert_true(levee_token_matches(&token, "Bearer 0123456789abcdef"));
	assert_true(levee_token_matches(&token, "bearer 0123456789abcdef"));
	assert_false(levee_token_matches(&token, NULL));
	assert_false(levee_token_matches(&token, ""));
	assert_false(levee_token_matches(&token, "Bearer"));
	assert_false(levee_token_matches(&token, "Bearer "));
	assert_false(levee_token_matches(&token, "Bearer 0123456789abcde"));
	assert_false(levee_token_matches(&token, "Bearer 0123456789abcdeg"));
	assert_false(levee_token_matches(&token, "Bearer 0123456789abcdef0"));
	assert_false(levee_token_matches(&token, "Bearer  0123456789abcdef"));
	assert_false(levee_token_matches(&token, "Basic 0123456789abcdef"));
	assert_false(levee_token_matches(&token, "0123456789abcdef"));
}

static void a_weak_token_is_refused_and_not_repeated(void **state)
{
	struct levee_token token;

	(void)state;
	assert_int_equal(read_token(&token, "secret-of-mine"), -EINVAL);
	assert_null(strstr(why, "secret"));
	assert_int_equal(read_token(&token, ""), -EINVAL);
	assert_int_equal(read_token(&token, "\n0123456789abcdef\n"), -EINVAL);
	assert_int_equal(read_token(&token, "0123456789 abcdef"), -EINVAL);
	assert_int_equal(read_token(&token, "0123456789\xc3\xa4"
					    "abcdef"),
			 -EINVAL);
}

static void a_file_that_others_may_read_is_refused(void **state)
{
	struct levee_token token;

	(void)state;
	assert_int_equal(read_token(&token, "0123456789abcdef"), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(levee_token_read(&token, path, why, sizeof(why)), -EPERM);
	assert_non_null(strstr(why, "0640"));
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(levee_token_read(&token, path, why, sizeof(why)), 0);
	assert_int_equal(levee_token_read(&token, "/nonexistent", why, sizeof(why)), -ENOENT);
	assert_true(levee_token_read(&token, "/tmp", why, sizeof(why)) < 0);
}

static void addresses_to_listen_on_are_numbers_with_a_port(void **state)
{
	static const struct {
		const char *text;
		int loopback; /* -1: refused */
	} cases[] = { { "127.0.0.1:9187", 1 },
		      { "127.9.9.9:1", 1 },
		      { "[::1]:9187", 1 },
		      { "0.0.0.0:80", 0 },
		      { "[::]:80", 0 },
		      { "10.0.0.1:65535", 0 },
		      { "[::ffff:127.0.0.1]:80", 0 },
		      { "", -1 },
		      { ":80", -1 },
		      { "127.0.0.1", -1 },
		      { "127.0.0.1:", -1 },
		      { "127.0.0.1:65536", -1 },
		      { "127.0.0.1:-1", -1 },
		      { "127.0.0.1:8x", -1 },
		      { "localhost:80", -1 },
		      { "::1:80", -1 },
		      { "[::1:80", -1 },
		      { "[127.0.0.1]:80", -1 },
		      { "127.0.0.1:000080", -1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is_loopback = false;
		int ret = levee_api_parse_listen(cases[i].text, &is_loopback, why, sizeof(why));

		if (ret != (cases[i].loopback < 0 ? -EINVAL : 0))
			fail_msg("%s: %d", cases[i].text, ret);
		if (!ret && is_loopback != cases[i].loopback)
			fail_msg("%s: loopback %d", cases[i].text, is_loopback);
	}
}

static void warn(void *ctx, const char *message)
{
	(void)message;
	++*(int *)ctx;
}

static void a_socket_that_nobody_listens_on_is_replaced_and_no_other(void **state)
{
	char name[96];
	int warned = 0, one, two;
	struct stat st;

	(void)state;
	snprintf(name, sizeof(name), "%s.sock", path);
	one = levee_api_listen_unix(name, "no-such-group-here", warn, &warned, why, sizeof(why));
	assert_true(one >= 0);
	assert_int_equal(warned, 1);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	two = levee_api_listen_unix(name, "", warn, &warned, why, sizeof(why));
	assert_int_equal(two, -EADDRINUSE);
	close(one);
	two = levee_api_listen_unix(name, "", warn, &warned, why, sizeof(why));
	assert_true(two >= 0);
	close(two);
	unlink(name);
	/* A file is not a socket. */
	assert_int_equal(levee_api_listen_unix(path, "", warn, &warned, why, sizeof(why)), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_the_whole_token_of_the_right_scheme_matches),
		TEST(a_weak_token_is_refused_and_not_repeated),
		TEST(a_file_that_others_may_read_is_refused),
		TEST(addresses_to_listen_on_are_numbers_with_a_port),
		TEST(a_socket_that_nobody_listens_on_is_replaced_and_no_other),
	};

	return cmocka_run_group_tests_name("auth", tests, NULL, NULL);
}
