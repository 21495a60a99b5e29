/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/browser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void who_is_no_browser_is_let_through(void **state)
{
	(void)state;
	assert_null(levee_api_check_browser("levee", NULL, NULL, false));
	assert_null(levee_api_check_browser(NULL, NULL, NULL, false));
}

static void the_page_itself_is_let_through(void **state)
{
	static const char *const hosts[] = { "127.0.0.1:8080", "localhost:8080", "LOCALHOST",
					     "[::1]:8080", "10.0.3.17" };
	char origin[64] = "http://";

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t n = 7;

		for (const char *c = hosts[i]; *c; c++)
			origin[n++] = *c;
		origin[n] = '\0';
		assert_null(levee_api_check_browser(hosts[i], NULL, "same-origin", false));
		assert_null(levee_api_check_browser(hosts[i], NULL, "none", false));
		assert_null(levee_api_check_browser(hosts[i], origin, "same-origin", false));
	}
}

static void another_site_is_refused(void **state)
{
	static const char *const sites[] = { "cross-site", "same-site", "", "SAME-ORIGIN" };

	(void)state;
	for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
		assert_non_null(levee_api_check_browser("127.0.0.1:8080", NULL, sites[i], false));
}

static void another_origin_is_refused(void **state)
{
	static const char *const origins[] = { "http://example.org",
					       "null",
					       "",
					       "http://127.0.0.1:8081",
					       "http://127.0.0.1:80800",
					       "://",
					       "127.0.0.1:8080" };

	(void)state;
	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++)
		assert_non_null(levee_api_check_browser("127.0.0.1:8080", origins[i], NULL, false));
	assert_non_null(levee_api_check_browser(NULL, "http://127.0.0.1", NULL, false));
}

/* DNS rebinding: a name of theirs, an address of ours. */
static void a_name_that_was_pointed_here_is_refused(void **state)
{
	static const char *const hosts[] = {
		"example.org",
		"example.org:8080",
		"127.0.0.1.example.org",
		"localhost.example.org",
		"",
		":8080",
		"[::1",
		"[]:8080",
		"127.1",
		"a-name-that-is-much-longer-than-any-address-could-possibly-be.example.org",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		assert_non_null(levee_api_check_browser(hosts[i], NULL, "same-origin", false));
	}
	assert_non_null(levee_api_check_browser(NULL, NULL, "same-origin", false));
}

static void a_listener_with_a_token_may_have_a_name(void **state)
{
	(void)state;
	assert_null(levee_api_check_browser("levee.example.org", "https://levee.example.org",
					    "same-origin", true));
	assert_non_null(levee_api_check_browser("levee.example.org", NULL, "cross-site", true));
	assert_non_null(
		levee_api_check_browser("levee.example.org", "https://example.org", NULL, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_no_browser_is_let_through),
		cmocka_unit_test(the_page_itself_is_let_through),
		cmocka_unit_test(another_site_is_refused),
		cmocka_unit_test(another_origin_is_refused),
		cmocka_unit_test(a_name_that_was_pointed_here_is_refused),
		cmocka_unit_test(a_listener_with_a_token_may_have_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
