/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/aws.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *fake_get(void *ctx, const char *name)
{
	struct fake_env *fake = ctx;

	for (size_t i = 0; i < FAKE_VARIABLES && fake->names[i]; i++)
		if (strcmp(fake->names[i], name) == 0)
			return fake->values[i];
	return NULL;
}

static int64_t fake_now_ms(void *ctx)
{
	struct fake_env *fake = ctx;

	return fake->now_ms;
}

static int fake_sleep_ms(void *ctx, uint32_t ms)
{
	struct fake_env *fake = ctx;

	if (fake->cancelled)
		return -ECANCELED;
	assert_true(fake->n_sleeps < FAKE_STEPS);
	fake->sleeps[fake->n_sleeps++] = ms;
	fake->slept_ms += ms;
	fake->now_ms += ms;
	return 0;
}

static uint64_t fake_random(void *ctx)
{
	struct fake_env *fake = ctx;

	return fake->random;
}

static bool fake_cancelled(void *ctx)
{
	struct fake_env *fake = ctx;

	return fake->cancelled;
}

void fake_env_init(struct fake_env *fake)
{
	*fake = (struct fake_env){ .env = { .get = fake_get,
					    .now_ms = fake_now_ms,
					    .sleep_ms = fake_sleep_ms,
					    .random = fake_random,
					    .cancelled = fake_cancelled,
					    .ctx = fake },
				   .now_ms = 1700000000000,
				   .random = UINT64_MAX };
	/* a home without files, whoever runs the tests */
	fake_env_set(fake, "HOME", "/nonexistent");
}

void fake_env_set(struct fake_env *fake, const char *name, const char *value)
{
	for (size_t i = 0; i < FAKE_VARIABLES; i++) {
		if (fake->names[i] && strcmp(fake->names[i], name) != 0)
			continue;
		fake->names[i] = name;
		fake->values[i] = value;
		return;
	}
	fail_msg("no room for %s", name);
}

static char *write_down(const struct levee_http_request *request)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	fprintf(out, "%s %s\n", request->method, request->url);
	for (size_t i = 0; i < request->n_headers; i++)
		fprintf(out, "%s: %s\n", request->headers[i].name, request->headers[i].value);
	fputc('\n', out);
	if (request->body)
		fwrite(request->body, 1, request->body_bytes, out);
	fclose(out);
	return text;
}

static bool is_last(const struct canned *answer)
{
	return !answer->ret && !answer->status;
}

static int fake_perform(void *ctx, const struct levee_http_request *request,
			struct levee_http_reply *reply, struct levee_aws_error *error)
{
	struct fake_http *fake = ctx;
	const struct canned *answer = fake->next;
	char *text = write_down(request);

	assert_true(fake->n < FAKE_STEPS);
	fake->requests[fake->n++] = text;
	fake->last = *request;
	if (is_last(answer))
		fail_msg("one request too many: %s", text);
	if (answer->expect && !strstr(text, answer->expect))
		fail_msg("not %s, but %s", answer->expect, text);
	fake->next++;
	if (fake->during)
		fake->during(fake->during_ctx);
	if (answer->ret)
		return levee_aws_error_set(error, answer->ret, "Timeout", "%s",
					   answer->body ? answer->body : "canned");
	reply->status = answer->status;
	if (answer->head)
		levee_aws_text_puts(&reply->head, answer->head);
	if (answer->body)
		levee_aws_text_puts(&reply->body, answer->body);
	if (reply->body.error)
		return levee_aws_error_set(error, reply->body.error, "ReplyTooLarge", "canned");
	return 0;
}

static const struct levee_http_ops fake_ops = { .perform = fake_perform };

void fake_http_init(struct fake_http *fake, const struct canned *answers)
{
	*fake = (struct fake_http){ .next = answers };
	fake->http = (struct levee_http){ .ops = &fake_ops, .ctx = fake };
}

void fake_http_done(struct fake_http *fake)
{
	if (!is_last(fake->next))
		fail_msg("never asked for: %s", fake->next->expect ? fake->next->expect : "?");
	for (size_t i = 0; i < fake->n; i++)
		free(fake->requests[i]);
	fake->n = 0;
}
