/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a service is: the endpoint that was configured, or the one that follows from partition,
 * region, FIPS and dual stack; and how it is spoken to.
 */
#ifndef LEVEE_AWS_ENDPOINT_H
#define LEVEE_AWS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "control/aws/config.h"

enum levee_aws_service {
	LEVEE_AWS_EC2,
	LEVEE_AWS_STS,
	LEVEE_AWS_SNS,
	LEVEE_AWS_CLOUDWATCH,
	LEVEE_AWS_LOGS,
	LEVEE_AWS_S3,
	LEVEE_AWS_IAM,
	LEVEE_AWS_ELB, /* load balancers, version 2 */
	LEVEE_AWS_SERVICES
};

enum levee_aws_protocol {
	LEVEE_AWS_QUERY, /* form in, XML out */
	LEVEE_AWS_JSON,	 /* JSON 1.1 in and out */
	LEVEE_AWS_REST,	 /* S3 */
};

struct levee_aws_service_facts {
	const char *name;     /* signing name, and the first label of its host */
	const char *variable; /* AWS_ENDPOINT_URL_<this> */
	enum levee_aws_protocol protocol;
	const char *version; /* Query: of the API */
	const char *target;  /* JSON: prefix of X-Amz-Target */
	bool plain_gov_fips; /* us-gov: the ordinary host is the FIPS one */
	bool global;	     /* one host and one signing region for a partition */
};

const struct levee_aws_service_facts *levee_aws_service_facts(enum levee_aws_service service);

struct levee_aws_partition {
	const char *id; /* "aws", "aws-cn", "aws-us-gov"; the first part of an ARN after "arn" */
	const char *prefix; /* of its regions' names; "" fits all */
	const char *suffix; /* of host names */
	const char *dualstack_suffix;
	const char *global_region; /* signs for global services */
};

/** The partition of a region, "aws" for one that nobody knows yet. Never NULL. */
const struct levee_aws_partition *levee_aws_partition(const char *region);

/* An endpoint, with which region signs for it. */
struct levee_aws_endpoint {
	char url[320]; /* scheme, host, port and path, without a slash at the end */
	char signing_region[64];
	bool custom; /* configured by hand: S3 buckets go into the path */
};

/**
 * Order: the override, AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's endpoint_url
 * (the last three not if AWS_IGNORE_CONFIGURED_ENDPOINT_URLS or the profile's
 * ignore_configured_endpoint_urls is true), AWS's own.
 *
 * \param region  NULL: the configuration's
 * \return 0; -ENOENT (NoRegion) if none is known; -EINVAL (InvalidConfiguration) for a URL that is
 *         none, or that has a query
 */
int levee_aws_endpoint(struct levee_aws_endpoint *out, const struct levee_aws_config *config,
		       enum levee_aws_service service, const char *region,
		       struct levee_aws_error *error);

#endif
