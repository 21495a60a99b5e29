/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/s3_list.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/aws.h"

#define URL "s3://levee-lists/path to/allow.txt"

struct fixture {
	struct fake_env env;
	struct fake_http http;
	struct levee_aws_config config;
	struct levee_aws_keys keys;
	struct levee_aws_client *client;
	struct levee_aws_error error;
	struct levee_s3_list list;
	struct levee_allowlist out;
	char folder[64];
	char copy[128];
	char said[4096];
};

static void say(void *ctx, const char *message)
{
	struct fixture *f = ctx;

	strncat(f->said, message, sizeof(f->said) - strlen(f->said) - 2);
	strcat(f->said, "\n");
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct levee_aws_key_source source;

	assert_non_null(f);
	fake_env_init(&f->env);
	fake_env_set(&f->env, "AWS_REGION", "eu-west-1");
	assert_int_equal(levee_aws_config_load(&f->config, &f->env.env, NULL, &f->error), 0);
	assert_int_equal(levee_aws_keys_set(&f->keys, "AKIDEXAMPLE", "secret", NULL), 0);
	source = levee_aws_fixed_keys(&f->keys);
	fake_http_init(&f->http, NULL);
	f->client = levee_aws_client_new(&f->config, &f->http.http, &source);
	assert_non_null(f->client);
	strcpy(f->folder, "/tmp/levee-s3-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->copy, sizeof(f->copy), "%s/below/allow.list", f->folder);
	f->list = (struct levee_s3_list){ .url = URL, .copy = f->copy };
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char below[80];

	unlink(f->copy);
	snprintf(below, sizeof(below), "%s/below", f->folder);
	rmdir(below);
	assert_int_equal(rmdir(f->folder), 0); /* nothing half-written stays */
	levee_allowlist_clear(&f->out);
	levee_aws_client_free(f->client);
	levee_aws_keys_clear(&f->keys);
	levee_aws_config_clear(&f->config);
	free(f);
	return 0;
}

static int fetch(struct fixture *f, const struct canned *answers)
{
	int ret;

	fake_http_init(&f->http, answers);
	f->said[0] = '\0';
	ret = levee_s3_list_fetch(&f->list, f->client, &f->out, say, f, &f->error);
	return ret;
}

static void a_list_is_read_and_then_asked_for_by_its_etag(void **state)
{
	static const struct canned first[] = {
		{ "GET https://levee-lists.s3.eu-west-1.amazonaws.com/path%20to/allow.txt", 0, 200,
		  "ETag: \"one\"\n", "# friends\n203.0.113.1\nnonsense\n" },
		{ 0 },
	};
	static const struct canned second[] = {
		{ "If-None-Match: \"one\"", 0, 304, NULL, NULL },
		{ 0 },
	};
	struct fixture *f = *state;

	assert_int_equal(fetch(f, first), 1);
	assert_int_equal(f->out.n, 1);
	assert_int_equal(f->out.bad_lines, 1);
	assert_non_null(strstr(f->said, URL ":3: \"nonsense\""));
	assert_string_equal(f->list.etag, "\"one\"");
	fake_http_done(&f->http);
	assert_int_equal(fetch(f, second), 0);
	assert_int_equal(f->out.n, 1);
	fake_http_done(&f->http);
}

static void the_copy_has_the_list_and_its_etag(void **state)
{
	static const struct canned answers[] = {
		{ NULL, 0, 200, "ETag: \"two\"\n", "203.0.113.1\n2001:db8::/32\n" },
		{ 0 },
	};
	struct fixture *f = *state;
	struct levee_s3_list later = { .url = URL, .copy = f->copy };
	struct levee_s3_list other = { .url = "s3://levee-lists/other", .copy = f->copy };
	struct levee_allowlist list = { 0 };

	assert_int_equal(levee_s3_list_load(&later, &list, say, f), -ENOENT);
	assert_int_equal(fetch(f, answers), 1);
	assert_int_equal(levee_s3_list_load(&later, &list, say, f), 0);
	assert_int_equal(list.n, 2);
	assert_string_equal(later.etag, "\"two\"");
	/* the copy of one object is none of another */
	assert_int_equal(levee_s3_list_load(&other, &list, say, f), -ENOENT);
	assert_string_equal(other.etag, "");
	levee_allowlist_clear(&list);
	fake_http_done(&f->http);
}

static void what_cannot_be_read_leaves_the_list_as_it_was(void **state)
{
	static const struct canned good[] = {
		{ NULL, 0, 200, "ETag: \"one\"\n", "203.0.113.1\n" },
		{ 0 },
	};
	static const struct canned denied[] = {
		{ NULL, 0, 403, NULL,
		  "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>" },
		{ 0 },
	};
	static const struct canned gone[] = {
		{ NULL, 0, 404, NULL,
		  "<Error><Code>NoSuchKey</Code><Message>No</Message></Error>" },
		{ 0 },
	};
	static const struct canned rubbish[] = {
		{ NULL, 0, 200, "ETag: \"three\"\n", "<html>\nlogin\n</html>\n" },
		{ 0 },
	};
	struct fixture *f = *state;
	struct levee_s3_list later = { .url = URL, .copy = f->copy };
	struct levee_allowlist list = { 0 };

	assert_int_equal(fetch(f, good), 1);
	fake_http_done(&f->http);
	assert_int_equal(fetch(f, denied), -EREMOTEIO);
	assert_string_equal(f->error.code, "AccessDenied");
	assert_non_null(strstr(f->error.message, URL));
	fake_http_done(&f->http);
	assert_int_equal(fetch(f, gone), -EREMOTEIO);
	fake_http_done(&f->http);
	assert_int_equal(fetch(f, rubbish), -EBADMSG);
	assert_non_null(strstr(f->error.message, "not one of them is good"));
	fake_http_done(&f->http);
	assert_int_equal(f->out.n, 1);
	assert_string_equal(f->list.etag, "\"one\"");
	assert_int_equal(levee_s3_list_load(&later, &list, say, f), 0);
	assert_int_equal(list.n, 1);
	levee_allowlist_clear(&list);
}

static void an_empty_object_is_an_empty_list(void **state)
{
	static const struct canned answers[] = { { NULL, 0, 200, "ETag: \"e\"\n", "" }, { 0 } };
	struct fixture *f = *state;

	assert_int_equal(fetch(f, answers), 1);
	assert_int_equal(f->out.n, 0);
	fake_http_done(&f->http);
}

/* An ETag becomes a header and a line of the copy. */
static void an_etag_that_is_none_is_not_kept(void **state)
{
	static const struct canned answers[] = { { NULL, 0, 200, "ETag: a b\n", "203.0.113.1\n" },
						 { 0 } };
	struct fixture *f = *state;

	assert_int_equal(fetch(f, answers), 1);
	assert_string_equal(f->list.etag, "");
	fake_http_done(&f->http);
}

static void a_copy_that_cannot_be_written_costs_nothing_now(void **state)
{
	static const struct canned answers[] = { { NULL, 0, 200, NULL, "203.0.113.1\n" }, { 0 } };
	struct fixture *f = *state;

	f->list.copy = "/proc/nowhere/allow.list";
	assert_int_equal(fetch(f, answers), 1);
	assert_int_equal(f->out.n, 1);
	assert_true(f->list.copy_failed);
	fake_http_done(&f->http);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_is_read_and_then_asked_for_by_its_etag,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_copy_has_the_list_and_its_etag, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_leaves_the_list_as_it_was,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_empty_object_is_an_empty_list, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(an_etag_that_is_none_is_not_kept, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_copy_that_cannot_be_written_costs_nothing_now,
						set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
