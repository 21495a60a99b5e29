/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/fleet/url.h"

static void expect(const char *text, bool tls, const char *user, const char *host, const char *port,
		   unsigned int db)
{
	struct levee_fleet_url url;

	assert_int_equal(levee_fleet_url_parse(&url, text, NULL), 0);
	assert_int_equal(url.tls, tls);
	assert_string_equal(url.user, user);
	assert_string_equal(url.host, host);
	assert_string_equal(url.port, port);
	assert_int_equal(url.db, db);
}

static void usual_urls_are_taken_apart(void **state)
{
	(void)state;
	expect("redis://localhost", false, "", "localhost", "6379", 0);
	expect("redis://10.0.0.7:7000/", false, "", "10.0.0.7", "7000", 0);
	expect("rediss://levee@cache.example.net:6380/3", true, "levee", "cache.example.net",
	       "6380", 3);
	expect("redis://[2001:db8::1]:6379", false, "", "2001:db8::1", "6379", 0);
	expect("redis://[::1]", false, "", "::1", "6379", 0);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *word;
	} bad[] = {
		{ "localhost", "redis://" },
		{ "http://localhost", "redis://" },
		{ "redis://", "host" },
		{ "redis://:6379", "host" },
		{ "redis://a:b@host", "password" },
		{ "redis://:secret@host", "password" },
		{ "redis://@host", "user" },
		{ "redis://host:0", "port" },
		{ "redis://host:65536", "port" },
		{ "redis://host:x", "port" },
		{ "redis://host:", "port" },
		{ "redis://host/x", "/DB" },
		{ "redis://host/99999", "/DB" },
		{ "redis://[::1", "]" },
		{ "redis://[::1]x", "/DB" },
		{ "redis://ho st", "character" },
		{ "redis://host?db=1", "character" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct levee_fleet_url url;
		const char *why = "";

		assert_int_equal(levee_fleet_url_parse(&url, bad[i].text, &why), -EINVAL);
		if (!strstr(why, bad[i].word))
			fail_msg("%s: %s", bad[i].text, why);
		assert_null(strstr(why, "secret"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_urls_are_taken_apart),
		cmocka_unit_test(what_is_wrong_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
