/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/nearest.h"

#include <stdint.h>
#include <string.h>

#define NAME_BYTES 32 /* longest name that is compared; longer ones are near to nothing */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t levee_edits(const char *a, const char *b)
{
	/* Of the prefixes of a, this one's row and those of the two before it. */
	size_t rows[3][NAME_BYTES + 1], na = strlen(a), nb = strlen(b);

	if (na > NAME_BYTES || nb > NAME_BYTES)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *top = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			row[j] = least(least(above[j], row[j - 1]) + 1,
				       above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], top[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

size_t levee_edits_allowed(const char *name)
{
	return strlen(name) / 3 + 1;
}

const char *levee_nearest(const char *name, const char *const *names)
{
	size_t best = levee_edits_allowed(name) + 1;
	const char *nearest = NULL;

	for (size_t i = 0; names[i]; i++) {
		size_t now = levee_edits(name, names[i]);

		if (now < best) {
			best = now;
			nearest = names[i];
		}
	}
	return nearest;
}
