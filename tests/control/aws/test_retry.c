/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/retry.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum levee_aws_verdict judge(int ret, int status, const char *code)
{
	struct levee_aws_error error = { .status = status };

	snprintf(error.code, sizeof(error.code), "%s", code);
	return levee_aws_judge(ret, &error);
}

static void a_failure_is_judged_by_code_then_by_status(void **state)
{
	(void)state;
	assert_int_equal(judge(0, 503, "RequestLimitExceeded"), LEVEE_AWS_THROTTLED);
	assert_int_equal(judge(0, 400, "Throttling"), LEVEE_AWS_THROTTLED);
	assert_int_equal(judge(0, 429, "Whatever"), LEVEE_AWS_THROTTLED);
	assert_int_equal(judge(0, 503, "SlowDown"), LEVEE_AWS_THROTTLED);
	assert_int_equal(judge(0, 500, "HttpStatus"), LEVEE_AWS_TRANSIENT);
	assert_int_equal(judge(0, 502, ""), LEVEE_AWS_TRANSIENT);
	assert_int_equal(judge(0, 400, "RequestTimeout"), LEVEE_AWS_TRANSIENT);
	assert_int_equal(judge(0, 403, "ExpiredToken"), LEVEE_AWS_EXPIRED);
	assert_int_equal(judge(0, 403, "SignatureDoesNotMatch"), LEVEE_AWS_CLOCK);
	assert_int_equal(judge(0, 400, "RequestExpired"), LEVEE_AWS_CLOCK);
	assert_int_equal(judge(0, 403, "UnauthorizedOperation"), LEVEE_AWS_FINAL);
	assert_int_equal(judge(0, 400, "NetworkAclEntryLimitExceeded"), LEVEE_AWS_FINAL);
	assert_int_equal(judge(0, 412, "DryRunOperation"), LEVEE_AWS_FINAL);
	assert_int_equal(judge(-ETIMEDOUT, 0, "Timeout"), LEVEE_AWS_NO_ANSWER);
	assert_int_equal(judge(-ECONNRESET, 0, "ConnectionLost"), LEVEE_AWS_NO_ANSWER);
	assert_int_equal(judge(-EKEYREJECTED, 0, "CertificateNotVerified"), LEVEE_AWS_FINAL);
	assert_int_equal(judge(-ECANCELED, 0, "Cancelled"), LEVEE_AWS_FINAL);
	assert_int_equal(judge(-EPROTO, 500, "UnreadableReply"), LEVEE_AWS_FINAL);
}

static void waits_double_up_to_their_ceiling(void **state)
{
	static const uint32_t throttled[] = { 1000, 2000, 4000, 8000, 16000, 20000, 20000 };
	static const uint32_t others[] = { 50, 100, 200, 400, 800, 1600, 3200 };

	(void)state;
	for (unsigned int i = 0; i < 7; i++) {
		assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_THROTTLED, i + 1, UINT64_MAX, 0),
				 throttled[i]);
		assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_TRANSIENT, i + 1, UINT64_MAX, 0),
				 others[i]);
		assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_THROTTLED, i + 1, 0, 0), 0);
	}
	assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_TRANSIENT, UINT32_MAX, UINT64_MAX, 0),
			 20000);
	assert_in_range(levee_aws_backoff_ms(LEVEE_AWS_THROTTLED, 2, UINT64_MAX / 2, 0), 999, 1001);
}

static void a_reply_that_asks_for_time_gets_up_to_five_seconds(void **state)
{
	(void)state;
	assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_THROTTLED, 1, 0, 1500), 1500);
	assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_THROTTLED, 1, UINT64_MAX, 500), 1000);
	assert_int_equal(levee_aws_backoff_ms(LEVEE_AWS_THROTTLED, 1, UINT64_MAX, 20000), 6000);
}

static void retries_cost_tokens_and_successes_give_them_back(void **state)
{
	struct levee_aws_quota quota = { .tokens = 21 };

	(void)state;
	assert_int_equal(levee_aws_quota_take(&quota, LEVEE_AWS_NO_ANSWER), 10);
	assert_int_equal(levee_aws_quota_take(&quota, LEVEE_AWS_THROTTLED), 5);
	assert_int_equal(levee_aws_quota_take(&quota, LEVEE_AWS_NO_ANSWER), 0);
	assert_int_equal(levee_aws_quota_take(&quota, LEVEE_AWS_TRANSIENT), 5);
	assert_int_equal(levee_aws_quota_take(&quota, LEVEE_AWS_TRANSIENT), 0);
	assert_int_equal(quota.tokens, 1);
	levee_aws_quota_give(&quota, 0);
	levee_aws_quota_give(&quota, 10);
	assert_int_equal(quota.tokens, 12);
	quota.tokens = LEVEE_AWS_QUOTA - 2;
	levee_aws_quota_give(&quota, 5);
	assert_int_equal(quota.tokens, LEVEE_AWS_QUOTA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_judged_by_code_then_by_status),
		cmocka_unit_test(waits_double_up_to_their_ceiling),
		cmocka_unit_test(a_reply_that_asks_for_time_gets_up_to_five_seconds),
		cmocka_unit_test(retries_cost_tokens_and_successes_give_them_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
