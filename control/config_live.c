/* SPDX-License-Identifier: BSD-2-Clause */
/* Live reload: which keys have changed, and how those that are live change hands. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"

static char *value_of(const struct levee_config *config, const struct levee_config_key *key)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	levee_config_print_value(config, key, out);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

bool levee_config_same(const struct levee_config *a, const struct levee_config *b,
		       const struct levee_config_key *key)
{
	char *left = value_of(a, key), *right = value_of(b, key);
	bool same = left && right && !strcmp(left, right);

	free(left);
	free(right);
	return same;
}

/* Bytes that a value of this type takes in struct levee_config. */
static size_t size_of(const char *type)
{
	if (!strcmp(type, "words"))
		return sizeof(struct levee_words);
	if (!strcmp(type, "path") || !strcmp(type, "text"))
		return sizeof(char *);
	if (!strcmp(type, "choice"))
		return sizeof(int);
	if (!strcmp(type, "yes/no"))
		return sizeof(bool);
	return sizeof(uint64_t); /* integer, number */
}

int levee_config_copy(struct levee_config *to, const struct levee_config *from)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	int ret = levee_config_init(to);

	if (!stream)
		return ret ? ret : -ENOMEM;
	levee_config_dump(from, stream);
	if (fclose(stream) && !ret)
		ret = -ENOMEM;
	stream = ret ? NULL : fmemopen(text, size, "r");
	if (!ret)
		ret = stream ? levee_config_read_stream(to, stream, "copy", stderr) : -ENOMEM;
	if (stream)
		fclose(stream);
	free(text);
	return ret;
}

static void swap(void *a, void *b, size_t size)
{
	char *left = a, *right = b, moved;

	for (size_t i = 0; i < size; i++) {
		moved = left[i];
		left[i] = right[i];
		right[i] = moved;
	}
}

void levee_config_swap_live(struct levee_config *a, struct levee_config *b)
{
	const struct levee_config_key *keys;
	size_t n;

	keys = levee_config_keys(&n);
	for (size_t i = 0; i < n; i++)
		if (keys[i].live)
			swap((char *)a + keys[i].offset, (char *)b + keys[i].offset,
			     size_of(keys[i].type));
	/* What is made from live words. */
	swap(&a->scope.compiled, &b->scope.compiled, sizeof(a->scope.compiled));
	swap(&a->allow.parsed, &b->allow.parsed, sizeof(a->allow.parsed));
	swap(&a->aws.vpc_prefixes, &b->aws.vpc_prefixes, sizeof(a->aws.vpc_prefixes));
	swap(&a->nacl.range, &b->nacl.range, sizeof(a->nacl.range));
}
