/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/aws/retry.h"
#include "tests/support/aws.h"

#define ACCESS "AKIDHIDDENACCESS"
#define SECRET "hidden/secret/key"
#define TOKEN  "hidden/session/token"

#define OK_XML "<R><requestId>r</requestId><set><item><id>a</id></item></set></R>"
#define EC2_ERROR(code, message)                                                                   \
	"<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>" code "</Code><Message>" message \
	"</Message></Error></Errors><RequestID>ec2-id</RequestID></Response>"

struct source {
	struct levee_aws_keys keys;
	const char *next_secret; /* after a refusal */
	int ret;
	unsigned int gets, refusals;
};

struct fixture {
	struct fake_env env;
	struct fake_http http;
	struct levee_aws_config config;
	struct source source;
	struct levee_aws_client *client;
	struct levee_aws_reply reply;
	struct levee_aws_error error;
};

static int source_get(void *ctx, struct levee_aws_keys *out, struct levee_aws_error *error)
{
	struct source *s = ctx;

	s->gets++;
	if (s->ret) {
		*out = (struct levee_aws_keys){ 0 };
		return levee_aws_error_set(error, s->ret, "NoCredentials", "none at all");
	}
	return levee_aws_keys_copy(out, &s->keys);
}

static void source_refused(void *ctx, const struct levee_aws_keys *keys)
{
	struct source *s = ctx;

	s->refusals++;
	assert_string_equal(keys->access_key, s->keys.access_key);
	levee_aws_keys_clear(&s->keys);
	assert_int_equal(levee_aws_keys_set(&s->keys, "AKIDNEW", "new", NULL), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct levee_aws_key_source source = { .get = source_get, .refused = source_refused };

	assert_non_null(f);
	fake_env_init(&f->env);
	fake_env_set(&f->env, "AWS_REGION", "eu-west-1");
	assert_int_equal(levee_aws_config_load(&f->config, &f->env.env, NULL, &f->error), 0);
	assert_int_equal(levee_aws_keys_set(&f->source.keys, ACCESS, SECRET, TOKEN), 0);
	source.ctx = &f->source;
	fake_http_init(&f->http, NULL);
	f->client = levee_aws_client_new(&f->config, &f->http.http, &source);
	assert_non_null(f->client);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_reply_free(&f->reply);
	levee_aws_client_free(f->client);
	levee_aws_keys_clear(&f->source.keys);
	levee_aws_config_clear(&f->config);
	free(f);
	return 0;
}

static int call(struct fixture *f, const struct canned *answers, const struct levee_aws_call *what)
{
	int ret;

	levee_aws_reply_free(&f->reply);
	fake_http_init(&f->http, answers);
	ret = levee_aws_call(f->client, what, &f->reply);
	/* what any message may be shown of */
	assert_null(strstr(f->reply.error.message, ACCESS));
	assert_null(strstr(f->reply.error.message, SECRET));
	assert_null(strstr(f->reply.error.message, TOKEN));
	assert_null(strchr(f->reply.error.message, '\n'));
	assert_true((ret < 0) == (f->reply.error.code[0] != '\0'));
	return ret;
}

static int describe(struct fixture *f, const struct canned *answers)
{
	const struct levee_aws_call what = { .service = LEVEE_AWS_EC2, .operation = "DescribeX" };

	return call(f, answers, &what);
}

/* ---- requests ---- */

static void a_query_is_a_signed_form(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 200, .body = OK_XML }, { 0 } };
	struct levee_aws_text form;
	struct levee_aws_call what = { .service = LEVEE_AWS_EC2,
				       .operation = "DescribeNetworkAcls",
				       .form = &form };

	levee_aws_text_init(&form, LEVEE_AWS_FORM_BYTES);
	levee_aws_form_add(&form, "vpc id/~", "Filter.%d.Name", 1);
	levee_aws_form_add(&form, "", "Filter.%d.Value.%d", 1, 2);
	assert_int_equal(call(f, answers, &what), 0);
	levee_aws_text_free(&form);
	assert_non_null(strstr(f->http.requests[0],
			       "POST https://ec2.eu-west-1.amazonaws.com/\n"
			       "Content-Type: application/x-www-form-urlencoded; charset=utf-8\n"
			       "X-Amz-Date: 20231114T221320Z\n"
			       "X-Amz-Security-Token: " TOKEN "\n"
			       "Authorization: AWS4-HMAC-SHA256 Credential=" ACCESS
			       "/20231114/eu-west-1/ec2/aws4_request, SignedHeaders="
			       "content-type;host;x-amz-date;x-amz-security-token, Signature="));
	assert_non_null(strstr(f->http.requests[0],
			       "\n\nAction=DescribeNetworkAcls&Version=2016-11-15"
			       "&Filter.1.Name=vpc%20id%2F~&Filter.1.Value.2="));
	assert_string_equal(levee_xml_text(levee_xml_root(f->reply.xml), "set/item/id"), "a");
	assert_int_equal(f->reply.attempts, 1);
	fake_http_done(&f->http);
}

static void json_has_its_target_and_type(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 200, .body = "{\"a\":1}" },
					  { .status = 200, .body = "" },
					  { 0 } };
	struct levee_aws_call what = { .service = LEVEE_AWS_LOGS,
				       .operation = "PutLogEvents",
				       .json = "{\"logGroupName\":\"g\"}" };

	assert_int_equal(call(f, answers, &what), 0);
	assert_int_equal(json_integer_value(json_object_get(f->reply.json, "a")), 1);
	assert_non_null(strstr(f->http.requests[0], "POST https://logs.eu-west-1.amazonaws.com/\n"
						    "Content-Type: application/x-amz-json-1.1\n"
						    "X-Amz-Target: Logs_20140328.PutLogEvents\n"));
	assert_non_null(strstr(f->http.requests[0],
			       "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;"
			       "x-amz-target,"));
	assert_non_null(strstr(f->http.requests[0], "\n\n{\"logGroupName\":\"g\"}"));
	free(f->http.requests[0]);
	/* an operation without result */
	assert_int_equal(call(f, answers + 1, &what), 0);
	assert_true(json_is_object(f->reply.json));
	fake_http_done(&f->http);
}

static void an_object_comes_with_its_etag(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 200, .head = "HTTP/1.1 200 OK\nETag: \"abc\"\n", .body = "1.2.3.4\n" },
		{ 0 }
	};
	struct levee_aws_call what = { .service = LEVEE_AWS_S3,
				       .bucket = "my-bucket",
				       .key = "a b/\303\244.txt" };

	assert_int_equal(call(f, answers, &what), 0);
	assert_string_equal(levee_aws_text_string(&f->reply.body), "1.2.3.4\n");
	assert_string_equal(f->reply.etag, "\"abc\"");
	assert_non_null(
		strstr(f->http.requests[0],
		       "GET https://my-bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%A4.txt\n"));
	assert_non_null(
		strstr(f->http.requests[0],
		       "X-Amz-Content-Sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b93"
		       "4ca495991b7852b855\n"));
	assert_null(strstr(f->http.requests[0], "If-None-Match"));
	fake_http_done(&f->http);
}

static void an_object_that_did_not_change_is_304(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 304 }, { 0 } };
	struct levee_aws_call what = {
		.service = LEVEE_AWS_S3, .bucket = "b.with.dots", .key = "k", .etag = "\"abc\""
	};

	assert_int_equal(call(f, answers, &what), 0);
	assert_int_equal(f->reply.status, 304);
	assert_non_null(strstr(f->http.requests[0],
			       "GET https://s3.eu-west-1.amazonaws.com/b.with.dots/k\n"
			       "If-None-Match: \"abc\"\n"));
	assert_non_null(strstr(f->http.requests[0], "SignedHeaders=host;if-none-match;"));
	fake_http_done(&f->http);
}

static void a_bucket_at_an_endpoint_of_our_own_is_in_the_path(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 200 }, { 0 } };
	struct levee_aws_call what = { .service = LEVEE_AWS_S3, .bucket = "bucket", .key = "k" };

	fake_env_set(&f->env, "AWS_ENDPOINT_URL_S3", "http://127.0.0.1:5000/");
	assert_int_equal(call(f, answers, &what), 0);
	assert_non_null(strstr(f->http.requests[0], "GET http://127.0.0.1:5000/bucket/k\n"));
	fake_http_done(&f->http);
}

static void a_bucket_or_key_that_is_none_is_refused(void **state)
{
	static const char *const bad[] = { "", "ab", "a/b", "Bucket", "a..b", "-ab", "evil.com/x" };
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };
	struct levee_aws_call what = { .service = LEVEE_AWS_S3, .key = "k" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		what.bucket = bad[i];
		assert_int_equal(call(f, answers, &what), -EINVAL);
		assert_string_equal(f->reply.error.code, "InvalidRequest");
	}
	what.bucket = "bucket";
	what.key = "";
	assert_int_equal(call(f, answers, &what), -EINVAL);
}

static void a_form_above_its_limit_is_an_error_and_not_sent(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };
	struct levee_aws_text form;
	struct levee_aws_call what = { .service = LEVEE_AWS_SNS,
				       .operation = "Publish",
				       .form = &form };

	levee_aws_text_init(&form, 8);
	levee_aws_form_add(&form, "much too long", "Message");
	assert_int_equal(call(f, answers, &what), -EFBIG);
	levee_aws_text_free(&form);
}

static void without_keys_a_request_is_not_signed(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 200, .body = OK_XML }, { 0 } };

	levee_aws_keys_clear(&f->source.keys);
	assert_int_equal(describe(f, answers), 0);
	assert_null(strstr(f->http.requests[0], "X-Amz"));
	assert_null(strstr(f->http.requests[0], "Authorization"));
	fake_http_done(&f->http);
}

static void what_the_key_source_says_is_the_calls_error(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };

	f->source.ret = -ENOKEY;
	assert_int_equal(describe(f, answers), -ENOKEY);
	assert_string_equal(f->reply.error.message, "none at all");
	assert_int_equal(f->reply.attempts, 0);
}

static void without_a_region_nothing_is_sent(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };

	free(f->config.region);
	f->config.region = NULL;
	assert_int_equal(describe(f, answers), -ENOENT);
	assert_string_equal(f->reply.error.code, "NoRegion");
}

/* ---- errors ---- */

static void an_error_of_ec2_has_code_message_and_id(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 400, .body = EC2_ERROR("InvalidNetworkAclID.NotFound", "no acl-1") },
		{ 0 }
	};

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_int_equal(f->reply.error.status, 400);
	assert_string_equal(f->reply.error.code, "InvalidNetworkAclID.NotFound");
	assert_string_equal(f->reply.error.message, "no acl-1");
	assert_string_equal(f->reply.error.request_id, "ec2-id");
	assert_int_equal(f->reply.attempts, 1);
	fake_http_done(&f->http);
}

static void an_error_of_a_query_service_is_read(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 404,
		  .body = "<ErrorResponse "
			  "xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><Error>"
			  "<Type>Sender</Type><Code>NotFound</Code><Message>Topic</Message></Error>"
			  "<RequestId>q</RequestId></ErrorResponse>" },
		{ 0 }
	};
	struct levee_aws_call what = { .service = LEVEE_AWS_SNS, .operation = "Publish" };

	assert_int_equal(call(f, answers, &what), -EREMOTEIO);
	assert_string_equal(f->reply.error.code, "NotFound");
	assert_string_equal(f->reply.error.message, "Topic");
	assert_string_equal(f->reply.error.request_id, "q");
	fake_http_done(&f->http);
}

static void an_error_in_json_is_read_with_its_namespace_off(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 400,
		  .head = "x-amzn-RequestId: j\n",
		  .body = "{\"__type\":\"com.amazonaws.logs#ResourceNotFoundException:http://x\","
			  "\"message\":\"no group\"}" },
		{ .status = 400,
		  .head = "x-amzn-ErrorType: AccessDeniedException:http\n",
		  .body = "{\"Message\":\"no\"}" },
		{ 0 }
	};
	struct levee_aws_call what = { .service = LEVEE_AWS_LOGS, .operation = "PutLogEvents" };

	assert_int_equal(call(f, answers, &what), -EREMOTEIO);
	assert_string_equal(f->reply.error.code, "ResourceNotFoundException");
	assert_string_equal(f->reply.error.message, "no group");
	assert_string_equal(f->reply.error.request_id, "j");
	free(f->http.requests[0]);
	assert_int_equal(call(f, answers + 1, &what), -EREMOTEIO);
	assert_string_equal(f->reply.error.code, "AccessDeniedException");
	assert_string_equal(f->reply.error.message, "no");
	fake_http_done(&f->http);
}

static void a_bucket_in_another_region_is_said_so(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 301,
		  .head = "x-amz-bucket-region: us-west-2\nx-amz-request-id: s3id\n",
		  .body = "<Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message>"
			  "<CanonicalRequest>" TOKEN "</CanonicalRequest></Error>" },
		{ 0 }
	};
	struct levee_aws_call what = { .service = LEVEE_AWS_S3, .bucket = "bucket", .key = "k" };

	assert_int_equal(call(f, answers, &what), -EREMOTEIO);
	assert_string_equal(f->reply.error.code, "PermanentRedirect");
	assert_string_equal(f->reply.error.message,
			    "Elsewhere. (the bucket is in region us-west-2)");
	assert_string_equal(f->reply.error.request_id, "s3id");
	fake_http_done(&f->http);
}

static void an_error_without_words_is_its_status(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 403, .body = "<html><br></html>" }, { 0 } };

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_string_equal(f->reply.error.code, "HttpStatus");
	assert_non_null(strstr(f->reply.error.message, "403"));
	fake_http_done(&f->http);
}

static void a_success_that_cannot_be_read_is_an_error_and_not_repeated(void **state)
{
	static const char *const bad[] = { "", "<a>", "{}", "<!DOCTYPE a><a/>" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct canned answers[] = { { .status = 200, .body = bad[i] }, { 0 } };

		assert_int_equal(describe(f, answers), -EPROTO);
		assert_string_equal(f->reply.error.code, "UnreadableReply");
		assert_null(f->reply.xml);
		fake_http_done(&f->http);
	}
}

static void json_that_is_no_object_is_an_error(void **state)
{
	static const char *const bad[] = { "[]", "1", "{", "null", "<a/>" };
	struct fixture *f = *state;
	struct levee_aws_call what = { .service = LEVEE_AWS_LOGS, .operation = "X" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct canned answers[] = { { .status = 200, .body = bad[i] }, { 0 } };

		assert_int_equal(call(f, answers, &what), -EPROTO);
		fake_http_done(&f->http);
	}
}

/* AWS quotes the canonical request, and with it the session token. */
static void a_message_that_quotes_the_request_is_cut_and_cleaned(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 403,
		  .body = EC2_ERROR("SignatureDoesNotMatch",
				    "Signature of " ACCESS " and " TOKEN " differs.\n\nThe "
				    "Canonical String should have been\n'POST\n/\n\n"
				    "x-amz-security-token:" TOKEN "'") },
		{ 0 }
	};

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_string_equal(f->reply.error.message, "Signature of *** and *** differs.");
	fake_http_done(&f->http);
}

static void a_reply_that_is_too_large_is_an_error(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 200, .body = OK_XML }, { 0 } };
	struct levee_aws_call what = { .service = LEVEE_AWS_EC2,
				       .operation = "DescribeX",
				       .max_bytes = 10 };

	assert_int_equal(call(f, answers, &what), -EFBIG);
	fake_http_done(&f->http);
}

/* ---- retries ---- */

static void a_throttled_call_waits_longer_each_time(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 503, .body = EC2_ERROR("RequestLimitExceeded", "slow") },
		{ .status = 503, .body = EC2_ERROR("RequestLimitExceeded", "slow") },
		{ .status = 200, .body = OK_XML },
		{ 0 }
	};

	assert_int_equal(describe(f, answers), 0);
	assert_int_equal(f->reply.attempts, 3);
	assert_int_equal(f->env.n_sleeps, 2);
	assert_int_equal(f->env.sleeps[0], 1000);
	assert_int_equal(f->env.sleeps[1], 2000);
	assert_string_equal(f->reply.error.code, "");
	fake_http_done(&f->http);
}

static void attempts_come_to_an_end(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 500, .body = "x" },
					  { .ret = -ETIMEDOUT },
					  { .status = 503, .body = "x" },
					  { 0 } };

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_int_equal(f->reply.error.status, 503);
	assert_int_equal(f->reply.attempts, 3);
	fake_http_done(&f->http);
}

static void a_call_that_must_not_happen_twice_does_not(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .ret = -ETIMEDOUT }, { 0 } };
	struct levee_aws_call what = { .service = LEVEE_AWS_EC2,
				       .operation = "CreateNetworkAcl",
				       .attempts = 1 };

	assert_int_equal(call(f, answers, &what), -ETIMEDOUT);
	assert_int_equal(f->env.n_sleeps, 0);
	fake_http_done(&f->http);
}

static void each_attempt_is_signed_anew(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 503, .body = "x", .head = "x-amz-retry-after: 4000\n" },
		{ .status = 200, .body = OK_XML },
		{ 0 }
	};

	assert_int_equal(describe(f, answers), 0);
	assert_int_equal(f->env.sleeps[0], 4000);
	assert_non_null(strstr(f->http.requests[0], "X-Amz-Date: 20231114T221320Z"));
	assert_non_null(strstr(f->http.requests[1], "X-Amz-Date: 20231114T221324Z"));
	fake_http_done(&f->http);
}

static void an_outage_uses_the_quota_up_and_then_costs_one_try_a_call(void **state)
{
	struct fixture *f = *state;
	const struct canned down[] = {
		{ .ret = -ETIMEDOUT }, { .ret = -ETIMEDOUT }, { .ret = -ETIMEDOUT }, { 0 }
	};
	const struct canned up[] = { { .status = 200, .body = OK_XML }, { 0 } };
	const struct canned once[] = { { .ret = -ETIMEDOUT }, { 0 } };

	for (unsigned int i = 0; i < LEVEE_AWS_QUOTA / 20; i++) {
		f->env.n_sleeps = 0;
		assert_int_equal(describe(f, down), -ETIMEDOUT);
		assert_int_equal(f->reply.attempts, 3);
		fake_http_done(&f->http);
	}
	assert_int_equal(describe(f, once), -ETIMEDOUT);
	assert_int_equal(f->reply.attempts, 1);
	fake_http_done(&f->http);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(describe(f, up), 0);
		fake_http_done(&f->http);
	}
	assert_int_equal(describe(f, down + 1), -ETIMEDOUT);
	assert_int_equal(f->reply.attempts, 2);
	fake_http_done(&f->http);
}

static void a_call_that_is_called_off_ends_at_once(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };

	f->env.cancelled = true;
	assert_int_equal(describe(f, answers), -ECANCELED);
	assert_string_equal(f->reply.error.code, "Cancelled");
}

static void cancel(void *ctx)
{
	struct fake_env *env = ctx;

	env->cancelled = true;
}

static void a_wait_that_is_called_off_ends_the_call(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 503, .body = "x" }, { 0 } };
	const struct levee_aws_call what = { .service = LEVEE_AWS_EC2, .operation = "DescribeX" };

	fake_http_init(&f->http, answers);
	f->http.during = cancel;
	f->http.during_ctx = &f->env;
	assert_int_equal(levee_aws_call(f->client, &what, &f->reply), -ECANCELED);
	fake_http_done(&f->http);
}

static void a_call_whose_time_is_over_is_not_made(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };
	const struct levee_aws_call what = { .service = LEVEE_AWS_EC2,
					     .operation = "DescribeX",
					     .until_ms = levee_aws_boot_ms() };

	fake_http_init(&f->http, answers);
	assert_int_equal(levee_aws_call(f->client, &what, &f->reply), -ETIMEDOUT);
	assert_int_equal(f->reply.attempts, 0);
	fake_http_done(&f->http);
}

/* ---- the clock, and keys that expire ---- */

static void a_wrong_clock_is_corrected_by_the_date_of_the_reply(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 403,
					    .head = "Date: Tue, 14 Nov 2023 23:13:20 GMT\n",
					    .body = EC2_ERROR("RequestExpired", "old") },
					  { .status = 200, .body = OK_XML },
					  { .status = 200, .body = OK_XML },
					  { 0 } };

	assert_int_equal(describe(f, answers), 0);
	assert_int_equal(f->env.n_sleeps, 0);
	assert_int_equal(f->source.refusals, 0);
	assert_non_null(strstr(f->http.requests[1], "X-Amz-Date: 20231114T231320Z"));
	assert_int_equal(levee_aws_client_skew_ms(f->client), 3600 * 1000);
	for (int i = 0; i < 2; i++)
		free(f->http.requests[i]);
	assert_int_equal(describe(f, answers + 2), 0);
	assert_non_null(strstr(f->http.requests[0], "X-Amz-Date: 20231114T231320Z"));
	fake_http_done(&f->http);
}

static void a_wrong_signature_at_the_right_time_is_final(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 403,
					    .head = "Date: Tue, 14 Nov 2023 22:15:20 GMT\n",
					    .body = EC2_ERROR("AuthFailure", "no") },
					  { 0 } };

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_int_equal(f->reply.attempts, 1);
	fake_http_done(&f->http);
}

static void a_clock_is_corrected_once_a_call(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 403,
					    .head = "Date: Tue, 14 Nov 2023 23:13:20 GMT\n",
					    .body = EC2_ERROR("SignatureDoesNotMatch", "no") },
					  { .status = 403,
					    .head = "Date: Wed, 15 Nov 2023 23:13:20 GMT\n",
					    .body = EC2_ERROR("SignatureDoesNotMatch", "no") },
					  { 0 } };

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	fake_http_done(&f->http);
}

static void a_date_that_is_none_corrects_nothing(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 403,
					    .head = "Date: soon\n",
					    .body = EC2_ERROR("SignatureDoesNotMatch", "no") },
					  { 0 } };

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_int_equal(levee_aws_client_skew_ms(f->client), 0);
	fake_http_done(&f->http);
}

static void expired_keys_are_replaced_and_the_call_tried_again(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 403,
					    .body = EC2_ERROR("ExpiredToken", "old") },
					  { .status = 200, .body = OK_XML },
					  { 0 } };

	assert_int_equal(describe(f, answers), 0);
	assert_int_equal(f->source.refusals, 1);
	assert_int_equal(f->env.n_sleeps, 0);
	assert_non_null(strstr(f->http.requests[1], "Credential=AKIDNEW/"));
	assert_null(strstr(f->http.requests[1], TOKEN));
	fake_http_done(&f->http);
}

static void keys_are_replaced_once_a_call(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 403, .body = EC2_ERROR("ExpiredToken", "old") },
		{ .status = 403, .body = EC2_ERROR("ExpiredToken", "old") },
		{ 0 }
	};

	assert_int_equal(describe(f, answers), -EREMOTEIO);
	assert_string_equal(f->reply.error.code, "ExpiredToken");
	assert_int_equal(f->source.refusals, 1);
	fake_http_done(&f->http);
}

/* ---- who we are ---- */

static void whoami_reads_account_and_arn(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 200,
		  .body = "<GetCallerIdentityResponse><GetCallerIdentityResult>"
			  "<Arn>arn:aws:sts::123456789012:assumed-role/r/i-1</Arn>"
			  "<UserId>AROA:i-1</UserId><Account>123456789012</Account>"
			  "</GetCallerIdentityResult></GetCallerIdentityResponse>" },
		{ .status = 200, .body = "<GetCallerIdentityResponse/>" },
		{ 0 }
	};
	struct levee_aws_identity who;

	fake_http_init(&f->http, answers);
	assert_int_equal(levee_aws_whoami(f->client, 0, &who, &f->error), 0);
	assert_string_equal(who.account, "123456789012");
	assert_string_equal(who.arn, "arn:aws:sts::123456789012:assumed-role/r/i-1");
	assert_string_equal(who.user_id, "AROA:i-1");
	assert_non_null(strstr(f->http.requests[0], "POST https://sts.eu-west-1.amazonaws.com/\n"));
	assert_non_null(strstr(f->http.requests[0], "Action=GetCallerIdentity&Version=2011-06-15"));
	assert_int_equal(levee_aws_whoami(f->client, 0, &who, &f->error), -EPROTO);
	fake_http_done(&f->http);
}

#define fixed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixed(a_query_is_a_signed_form),
		fixed(json_has_its_target_and_type),
		fixed(an_object_comes_with_its_etag),
		fixed(an_object_that_did_not_change_is_304),
		fixed(a_bucket_at_an_endpoint_of_our_own_is_in_the_path),
		fixed(a_bucket_or_key_that_is_none_is_refused),
		fixed(a_form_above_its_limit_is_an_error_and_not_sent),
		fixed(without_keys_a_request_is_not_signed),
		fixed(what_the_key_source_says_is_the_calls_error),
		fixed(without_a_region_nothing_is_sent),
		fixed(an_error_of_ec2_has_code_message_and_id),
		fixed(an_error_of_a_query_service_is_read),
		fixed(an_error_in_json_is_read_with_its_namespace_off),
		fixed(a_bucket_in_another_region_is_said_so),
		fixed(an_error_without_words_is_its_status),
		fixed(a_success_that_cannot_be_read_is_an_error_and_not_repeated),
		fixed(json_that_is_no_object_is_an_error),
		fixed(a_message_that_quotes_the_request_is_cut_and_cleaned),
		fixed(a_reply_that_is_too_large_is_an_error),
		fixed(a_throttled_call_waits_longer_each_time),
		fixed(attempts_come_to_an_end),
		fixed(a_call_that_must_not_happen_twice_does_not),
		fixed(each_attempt_is_signed_anew),
		fixed(an_outage_uses_the_quota_up_and_then_costs_one_try_a_call),
		fixed(a_call_that_is_called_off_ends_at_once),
		fixed(a_call_whose_time_is_over_is_not_made),
		fixed(a_wait_that_is_called_off_ends_the_call),
		fixed(a_wrong_clock_is_corrected_by_the_date_of_the_reply),
		fixed(a_wrong_signature_at_the_right_time_is_final),
		fixed(a_clock_is_corrected_once_a_call),
		fixed(a_date_that_is_none_corrects_nothing),
		fixed(expired_keys_are_replaced_and_the_call_tried_again),
		fixed(keys_are_replaced_once_a_call),
		fixed(whoami_reads_account_and_arn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
