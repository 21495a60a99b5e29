/* SPDX-License-Identifier: BSD-2-Clause */
/* A CSV file: every record that is read keeps to the limits, and the reader comes to its end. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/offline/offline_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *ctx, const char *message)
{
	(void)ctx;
	if (strchr(message, '\n')) /* a message is one line, whatever the file holds */
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct levee_offline o = { .name = "x", .report = ignore, .format = &levee_format_csv };
	struct levee_record r;

	o.input = (struct levee_input){ .fd = -1, .at_end = true, .end = size };
	o.input.buffer = malloc(size ? size : 1);
	if (!o.input.buffer)
		return 0;
	memcpy(o.input.buffer, data, size);
	levee_format_csv.open(&o);
	while (levee_format_csv.next(&o, &r)) {
		if (r.unix_ns / LEVEE_NS_PER_S >= LEVEE_OFFLINE_TIME_END_S || r.frame)
			abort();
		if (r.packets > 1ULL << 48 || r.bytes > INT64_MAX || r.number > o.lines)
			abort();
		if ((r.family != 4 && r.family != 6) || (r.family == 4 && (r.lo || r.hi >> 32)))
			abort();
	}
	if (o.input.at != o.input.end)
		abort();
	levee_input_close(&o.input);
	return 0;
}
