/* SPDX-License-Identifier: BSD-2-Clause */
/* A text: if it is a prefix, its canonical form is one, too, and the same. */
#include <stdint.h>
#include <stdlib.h>

#include "dataplane/prefix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[LEVEE_PREFIX_TEXT];
	const char *why = NULL;
	struct levee_prefix p, again;
	size_t len = 0;

	if (levee_prefix_parse(&p, (const char *)data, size, &why)) {
		if (!why)
			abort();
		return 0;
	}
	levee_prefix_format(&p, text);
	while (text[len])
		len++;
	if (levee_prefix_parse(&again, text, len, NULL) || levee_prefix_compare(&p, &again))
		abort();
	return 0;
}
