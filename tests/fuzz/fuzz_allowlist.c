/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an allow list: no crash; a list that is sorted, canonical, and covers itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/allowlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(void *ctx, const char *message)
{
	size_t *said = ctx;

	if (strchr(message, '\n'))
		abort();
	(*said)++;
}

static void check(const struct levee_allowlist *a)
{
	for (size_t i = 0; i < a->n; i++) {
		struct levee_prefix canon = a->list[i];

		levee_prefix_canon(&canon);
		if (levee_prefix_compare(&canon, &a->list[i]) != 0)
			abort();
		if (i > 0 && levee_prefix_compare(&a->list[i - 1], &a->list[i]) >= 0)
			abort();
		if (!levee_allowlist_covers(a, &a->list[i]))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct levee_allowlist a = { 0 };
	size_t said = 0, n;

	if (levee_allowlist_parse(&a, (const char *)data, size, "input", note, &said) < 0)
		abort();
	if (said > 11 || (said == 0) != (a.bad_lines == 0))
		abort();
	check(&a);
	n = a.n;
	if (levee_allowlist_merge(&a, &a, &a) < 0 || a.n != n)
		abort();
	levee_allowlist_clear(&a);
	return 0;
}
