/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as ~/.aws/config and as ~/.aws/credentials: no crash; a refusal says why, in a line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(struct levee_aws_profiles *profiles, const uint8_t *data, size_t size,
		  enum levee_aws_file kind)
{
	struct levee_aws_error error = { 0 };
	int ret = levee_aws_profiles_parse(profiles, (const char *)data, size, kind, "input",
					   &error);

	if (ret > 0 || (ret < 0) != (error.message[0] != '\0') || strchr(error.message, '\n'))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct levee_aws_profiles profiles = { 0 };
	const char *value;

	parse(&profiles, data, size, LEVEE_AWS_CONFIG_FILE);
	parse(&profiles, data, size, LEVEE_AWS_CREDENTIALS_FILE);
	value = levee_aws_profile_get(&profiles, "default", "region");
	if (value && (!*value || strlen(value) > size))
		abort();
	levee_aws_profile_exists(&profiles, "a");
	levee_aws_profiles_clear(&profiles);
	return 0;
}
