/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a configuration file: no crash; and what is accepted reads back from its dump. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	char *bytes;
	size_t n;
};

static int parse(struct levee_config *config, const void *bytes, size_t n)
{
	struct text errors = { 0 };
	FILE *in = fmemopen((void *)(uintptr_t)bytes, n, "r");
	FILE *out = open_memstream(&errors.bytes, &errors.n);
	int ret;

	if (!in || !out || levee_config_init(config) < 0)
		abort();
	ret = levee_config_read_stream(config, in, "input", out);
	if (ret == 0)
		levee_config_validate(config, "input", out);
	fclose(in);
	fclose(out);
	if (ret != 0 && errors.n == 0) /* a refusal says why */
		abort();
	free(errors.bytes);
	return ret;
}

static struct text dump(const struct levee_config *config)
{
	struct text text = { 0 };
	FILE *out = open_memstream(&text.bytes, &text.n);

	if (!out)
		abort();
	levee_config_dump(config, out);
	fclose(out);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct levee_config config, again;

	if (parse(&config, data, size) == 0) {
		struct text first = dump(&config), second;

		if (parse(&again, first.bytes, first.n) != 0)
			abort();
		second = dump(&again);
		if (strcmp(first.bytes, second.bytes) != 0)
			abort();
		free(first.bytes);
		free(second.bytes);
		levee_config_clear(&again);
	}
	levee_config_clear(&config);
	return 0;
}
