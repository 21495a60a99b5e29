/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/remedy.h"

#include <stddef.h>
#include <string.h>

#define RENEW                                                                                  \
	"give Levee new credentials (a role of the instance renews them by itself), or check " \
	"the clock"
#define UNKNOWN                                                                                \
	"these keys are unknown to AWS: deleted, or of another partition; `levee aws whoami` " \
	"says where they are from"
#define PERMISSION                                                                           \
	"give the role this permission; the policy in tools/deploy/levee.yaml has all that " \
	"Levee needs"
#define NETWORK "check route, security group and the VPC endpoint of the service, or [aws] endpoint"
#define SLOW	"AWS asks for fewer calls; it will be tried again"

static const struct {
	const char *code;
	const char *remedy;
	bool refusal;
} known[] = {
	{ "ExpiredToken", RENEW, true },
	{ "ExpiredTokenException", RENEW, true },
	{ "RequestExpired", RENEW, true },
	{ "InvalidClientTokenId", UNKNOWN, true },
	{ "InvalidAccessKeyId", UNKNOWN, true },
	{ "UnrecognizedClientException", UNKNOWN, true },
	{ "AuthFailure", UNKNOWN, true },
	{ "SignatureDoesNotMatch", "the secret key does not belong to the access key", true },
	{ "InvalidSignatureException", "the secret key does not belong to the access key", true },
	{ "AccessDenied", PERMISSION, false },
	{ "AccessDeniedException", PERMISSION, false },
	{ "AuthorizationError", PERMISSION, false },
	{ "UnauthorizedOperation", PERMISSION, false },
	{ "Timeout", NETWORK, false },
	{ "ConnectFailed", NETWORK, false },
	{ "ConnectionLost", NETWORK, false },
	{ "NameNotResolved", "check DNS, the region's name, and [aws] endpoint", false },
	{ "CertificateNotVerified",
	  "name the authority's file in AWS_CA_BUNDLE if that is your own endpoint; if it is not, "
	  "somebody is in between",
	  false },
	{ "UnreadableReply", "something else than AWS answers; check proxy and [aws] endpoint",
	  false },
	{ "RequestLimitExceeded", SLOW, false },
	{ "Throttling", SLOW, false },
	{ "ThrottlingException", SLOW, false },
	{ "SlowDown", SLOW, false },
	{ "NoSuchBucket", "check the bucket's name and region in [allow] s3", false },
	{ "NoSuchKey", "check the key in [allow] s3; the object is gone or was never there",
	  false },
	{ "PermanentRedirect", "set [aws] region to the bucket's region", false },
	{ "NotFound", "check [aws] sns_topic: there is no such topic", false },
	{ "ResourceNotFoundException", "make the log group, or check [aws] log_group", false },
	{ "InvalidVpcID.NotFound", "check [aws] vpc and region", false },
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

const char *levee_aws_remedy(const struct levee_aws_error *error)
{
	for (size_t i = 0; i < N_KNOWN; i++)
		if (strcmp(known[i].code, error->code) == 0)
			return known[i].remedy;
	return NULL;
}

bool levee_aws_is_refusal(const struct levee_aws_error *error)
{
	for (size_t i = 0; i < N_KNOWN; i++)
		if (strcmp(known[i].code, error->code) == 0)
			return known[i].refusal;
	return false;
}

bool levee_aws_is_denied(const struct levee_aws_error *error)
{
	static const char *const codes[] = { "AccessDenied", "AccessDeniedException",
					     "AuthorizationError", "UnauthorizedOperation" };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i], error->code) == 0)
			return true;
	return false;
}
