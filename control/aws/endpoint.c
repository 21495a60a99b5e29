/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "control/aws/http.h"

/* Names and hosts as in the endpoint rules that AWS ships with its SDKs (botocore 1.44). */
static const struct levee_aws_service_facts services[LEVEE_AWS_SERVICES] = {
	[LEVEE_AWS_EC2] = { .name = "ec2",
			    .variable = "EC2",
			    .version = "2016-11-15",
			    .plain_gov_fips = true },
	[LEVEE_AWS_STS] = { .name = "sts",
			    .variable = "STS",
			    .version = "2011-06-15",
			    .plain_gov_fips = true },
	[LEVEE_AWS_SNS] = { .name = "sns",
			    .variable = "SNS",
			    .version = "2010-03-31",
			    .plain_gov_fips = true },
	[LEVEE_AWS_CLOUDWATCH] = { .name = "monitoring",
				   .variable = "CLOUDWATCH",
				   .version = "2010-08-01",
				   .plain_gov_fips = true },
	[LEVEE_AWS_LOGS] = { .name = "logs",
			     .variable = "CLOUDWATCH_LOGS",
			     .protocol = LEVEE_AWS_JSON,
			     .target = "Logs_20140328",
			     .plain_gov_fips = true },
	[LEVEE_AWS_S3] = { .name = "s3", .variable = "S3", .protocol = LEVEE_AWS_REST },
	[LEVEE_AWS_IAM] = { .name = "iam",
			    .variable = "IAM",
			    .version = "2010-05-08",
			    .global = true },
	[LEVEE_AWS_ELB] = { .name = "elasticloadbalancing",
			    .variable = "ELASTIC_LOAD_BALANCING_V2",
			    .version = "2015-12-01",
			    .plain_gov_fips = true },
};

static const struct levee_aws_partition partitions[] = {
	{ "aws-cn", "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-north-1" },
	{ "aws-us-gov", "us-gov-", "amazonaws.com", "api.aws", "us-gov-west-1" },
	{ "aws-iso", "us-iso-", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1" },
	{ "aws-iso-b", "us-isob-", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1" },
	{ "aws-eusc", "eusc-", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1" },
	{ "aws", "", "amazonaws.com", "api.aws", "us-east-1" },
};

const struct levee_aws_service_facts *levee_aws_service_facts(enum levee_aws_service service)
{
	assert((unsigned int)service < LEVEE_AWS_SERVICES);
	return &services[service];
}

const struct levee_aws_partition *levee_aws_partition(const char *region)
{
	const struct levee_aws_partition *p = partitions;

	while (strncmp(region, p->prefix, strlen(p->prefix)) != 0)
		p++;
	return p;
}

static bool ignores_urls(const struct levee_aws_config *config)
{
	const char *value = levee_aws_env_get(&config->env, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");

	if (!value)
		value = levee_aws_profile_get(&config->profiles, config->profile,
					      "ignore_configured_endpoint_urls");
	return value && strcasecmp(value, "true") == 0;
}

/* The configured URL and where it is from; NULL if there is none. */
static const char *configured_url(const struct levee_aws_config *config,
				  const struct levee_aws_service_facts *facts, char *from,
				  size_t size)
{
	const char *url = config->endpoint_url;

	snprintf(from, size, "endpoint_url of levee.conf");
	if (url || ignores_urls(config))
		return url;
	snprintf(from, size, "AWS_ENDPOINT_URL_%s", facts->variable);
	url = levee_aws_env_get(&config->env, from);
	if (url)
		return url;
	snprintf(from, size, "AWS_ENDPOINT_URL");
	url = levee_aws_env_get(&config->env, from);
	if (url)
		return url;
	snprintf(from, size, "endpoint_url of profile %.64s", config->profile);
	return levee_aws_profile_get(&config->profiles, config->profile, "endpoint_url");
}

static int take_url(struct levee_aws_endpoint *out, const char *url, const char *from,
		    struct levee_aws_error *error)
{
	struct levee_http_url parts;
	int ret = levee_http_url_parse(&parts, url);
	size_t n = strlen(url);

	if (ret == -ENOMEM)
		return levee_aws_error_memory(error);
	if (ret < 0 || parts.query || n >= sizeof(out->url)) {
		levee_http_url_free(&parts);
		return levee_aws_error_set(error, -EINVAL, "InvalidConfiguration",
					   "%s is no endpoint; it must be like "
					   "https://HOST[:PORT][/PATH]",
					   from);
	}
	levee_http_url_free(&parts);
	while (n > 0 && url[n - 1] == '/')
		n--;
	memcpy(out->url, url, n);
	out->url[n] = '\0';
	out->custom = true;
	return 0;
}

/* Global services: one host for the partition. */
static void global_host(struct levee_aws_endpoint *out, const struct levee_aws_config *config,
			const struct levee_aws_service_facts *facts,
			const struct levee_aws_partition *partition)
{
	bool china = strcmp(partition->id, "aws-cn") == 0;
	bool gov = strcmp(partition->id, "aws-us-gov") == 0;

	snprintf(out->signing_region, sizeof(out->signing_region), "%s", partition->global_region);
	snprintf(out->url, sizeof(out->url), "https://%s%s.%s%s", facts->name,
		 config->fips && !gov ? "-fips" : "",
		 china ? "cn-north-1."
		 : gov ? "us-gov."
		       : "",
		 partition->suffix);
}

static void aws_host(struct levee_aws_endpoint *out, const struct levee_aws_config *config,
		     enum levee_aws_service service, const char *region)
{
	const struct levee_aws_service_facts *facts = &services[service];
	const struct levee_aws_partition *partition = levee_aws_partition(region);
	bool gov = strcmp(partition->id, "aws-us-gov") == 0;
	const char *fips = config->fips ? "-fips" : "";
	bool s3 = service == LEVEE_AWS_S3;

	if (gov && facts->plain_gov_fips && !config->dualstack)
		fips = "";
	snprintf(out->url, sizeof(out->url), "https://%s%s.%s%s.%s", facts->name, fips,
		 s3 && config->dualstack ? "dualstack." : "", region,
		 config->dualstack && !s3 ? partition->dualstack_suffix : partition->suffix);
}

int levee_aws_endpoint(struct levee_aws_endpoint *out, const struct levee_aws_config *config,
		       enum levee_aws_service service, const char *region,
		       struct levee_aws_error *error)
{
	const struct levee_aws_service_facts *facts = levee_aws_service_facts(service);
	const char *url;
	char from[160];

	*out = (struct levee_aws_endpoint){ 0 };
	if (!region)
		region = config->region;
	if (!region)
		return levee_aws_error_set(error, -ENOENT, "NoRegion",
					   "no region is known; set region in levee.conf, "
					   "AWS_REGION, or region in the profile \"%.64s\"",
					   config->profile);
	snprintf(out->signing_region, sizeof(out->signing_region), "%s", region);
	url = configured_url(config, facts, from, sizeof(from));
	if (url)
		return take_url(out, url, from, error);
	if (facts->global)
		global_host(out, config, facts, levee_aws_partition(region));
	else
		aws_host(out, config, service, region);
	return 0;
}
