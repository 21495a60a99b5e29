/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/retry.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define AFTER_MAX_MS 5000

static const struct {
	const char *code;
	enum levee_aws_verdict verdict;
} codes[] = {
	{ "Throttling", LEVEE_AWS_THROTTLED },
	{ "ThrottlingException", LEVEE_AWS_THROTTLED },
	{ "ThrottledException", LEVEE_AWS_THROTTLED },
	{ "RequestThrottled", LEVEE_AWS_THROTTLED },
	{ "RequestThrottledException", LEVEE_AWS_THROTTLED },
	{ "RequestLimitExceeded", LEVEE_AWS_THROTTLED },
	{ "TooManyRequestsException", LEVEE_AWS_THROTTLED },
	{ "BandwidthLimitExceeded", LEVEE_AWS_THROTTLED },
	{ "EC2ThrottledException", LEVEE_AWS_THROTTLED },
	{ "SlowDown", LEVEE_AWS_THROTTLED },
	{ "PriorRequestNotComplete", LEVEE_AWS_THROTTLED },
	{ "RequestTimeout", LEVEE_AWS_TRANSIENT },
	{ "RequestTimeoutException", LEVEE_AWS_TRANSIENT },
	{ "InternalError", LEVEE_AWS_TRANSIENT },
	{ "InternalFailure", LEVEE_AWS_TRANSIENT },
	{ "ServiceUnavailable", LEVEE_AWS_TRANSIENT },
	{ "Unavailable", LEVEE_AWS_TRANSIENT },
	{ "IDPCommunicationError", LEVEE_AWS_TRANSIENT },
	{ "RequestTimeTooSkewed", LEVEE_AWS_CLOCK },
	{ "RequestInTheFuture", LEVEE_AWS_CLOCK },
	{ "RequestExpired", LEVEE_AWS_CLOCK }, /* by EC2 said of expired keys, too */
	{ "SignatureDoesNotMatch", LEVEE_AWS_CLOCK },
	{ "InvalidSignatureException", LEVEE_AWS_CLOCK },
	{ "AuthFailure", LEVEE_AWS_CLOCK },
	{ "ExpiredToken", LEVEE_AWS_EXPIRED },
	{ "ExpiredTokenException", LEVEE_AWS_EXPIRED },
	{ "InvalidToken", LEVEE_AWS_EXPIRED },
	{ "TokenRefreshRequired", LEVEE_AWS_EXPIRED },
	{ "UnrecognizedClientException", LEVEE_AWS_EXPIRED },
	{ "InvalidClientTokenId", LEVEE_AWS_EXPIRED },
	{ "InvalidAccessKeyId", LEVEE_AWS_EXPIRED },
};

static enum levee_aws_verdict judge_exchange(int ret)
{
	switch (ret) {
	case -ETIMEDOUT:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EHOSTUNREACH:
		return LEVEE_AWS_NO_ANSWER;
	default:
		return LEVEE_AWS_FINAL;
	}
}

enum levee_aws_verdict levee_aws_judge(int ret, const struct levee_aws_error *error)
{
	if (ret < 0)
		return judge_exchange(ret);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(error->code, codes[i].code) == 0)
			return codes[i].verdict;
	switch (error->status) {
	case 429:
		return LEVEE_AWS_THROTTLED;
	case 500:
	case 502:
	case 503:
	case 504:
		return LEVEE_AWS_TRANSIENT;
	default:
		return LEVEE_AWS_FINAL;
	}
}

uint32_t levee_aws_backoff_ms(enum levee_aws_verdict verdict, unsigned int attempt, uint64_t chance,
			      uint32_t after_ms)
{
	uint64_t most = verdict == LEVEE_AWS_THROTTLED ? 1000 : 50;
	uint32_t wait;

	for (unsigned int i = 1; i < attempt && most < LEVEE_AWS_BACKOFF_MAX_MS; i++)
		most *= 2;
	if (most > LEVEE_AWS_BACKOFF_MAX_MS)
		most = LEVEE_AWS_BACKOFF_MAX_MS;
	wait = (uint32_t)(((chance >> 32) * (most + 1)) >> 32);
	if (after_ms > wait + AFTER_MAX_MS)
		after_ms = wait + AFTER_MAX_MS;
	return after_ms > wait ? after_ms : wait;
}

unsigned int levee_aws_quota_take(struct levee_aws_quota *quota, enum levee_aws_verdict verdict)
{
	unsigned int price = verdict == LEVEE_AWS_NO_ANSWER ? 10 : 5;

	if (quota->tokens < price)
		return 0;
	quota->tokens -= price;
	return price;
}

void levee_aws_quota_give(struct levee_aws_quota *quota, unsigned int price)
{
	quota->tokens += price ? price : 1;
	if (quota->tokens > LEVEE_AWS_QUOTA)
		quota->tokens = LEVEE_AWS_QUOTA;
}
