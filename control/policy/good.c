/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/good.h"

#include <errno.h>
#include <stdlib.h>

#include "control/detect/sourcetable.h"
#include "dataplane/prefixmap.h"

struct levee_good {
	struct levee_sourcetable table; /* word: packets of the largest bin; extra: last bin */
	size_t max;
	unsigned int bins_to_come;
	int64_t unknown_s; /* last bin of which not everybody is known */
	int64_t begin_s;   /* of the window */
};

struct levee_good *levee_good_new(size_t max, unsigned int bins)
{
	struct levee_good *good = calloc(1, sizeof(*good));

	if (!good)
		return NULL;
	good->max = max;
	good->bins_to_come = bins;
	good->unknown_s = INT64_MIN;
	good->begin_s = INT64_MIN;
	if (levee_sourcetable_init(&good->table)) {
		free(good);
		return NULL;
	}
	return good;
}

void levee_good_free(struct levee_good **good)
{
	if (!*good)
		return;
	levee_sourcetable_clear(&(*good)->table);
	free(*good);
	*good = NULL;
}

int levee_good_put(struct levee_good *good, const struct levee_cover_source *seen, int64_t last_s)
{
	struct levee_sourcetable *table = &good->table;
	uint32_t hash = levee_sourcetable_hash(table, &seen->prefix);
	struct levee_source *source = levee_sourcetable_find(table, &seen->prefix, hash);
	uint64_t before;
	int ret;

	if (!source && table->n >= good->max)
		return -ENOSPC;
	if (!source) {
		ret = levee_sourcetable_reserve(table, 1);
		if (ret)
			return ret;
		source = levee_sourcetable_insert(table, &seen->prefix, hash);
	}
	before = levee_source_count(source);
	if (seen->packets > before)
		source->word += seen->packets - before;
	source->extra = (uint64_t)last_s;
	return 0;
}

struct closing {
	struct levee_good *good;
	int64_t start_s;
	int ret;
};

static void see(void *ctx, const struct levee_bin_entry *entry)
{
	struct closing *c = ctx;
	struct levee_cover_source seen = { entry->source, entry->packets };
	int ret = levee_good_put(c->good, &seen, c->start_s);

	if (ret)
		c->ret = ret;
}

static bool is_recent(void *ctx, const struct levee_source *source)
{
	const struct levee_good *good = ctx;

	return (int64_t)source->extra >= good->begin_s;
}

int levee_good_close(struct levee_good *good, const struct levee_bin *bin, int64_t start_s,
		     int64_t begin_s)
{
	struct closing c = { .good = good, .start_s = start_s };

	good->begin_s = begin_s;
	levee_sourcetable_keep(&good->table, is_recent, good);
	levee_bin_walk(bin, 0, see, &c);
	if (c.ret || levee_bin_folded(bin))
		good->unknown_s = start_s;
	if (good->bins_to_come)
		good->bins_to_come--;
	return c.ret == -ENOMEM ? -ENOMEM : 0;
}

bool levee_good_known(const struct levee_good *good)
{
	return !good->bins_to_come && good->unknown_s < good->begin_s;
}

/* ---- who is near ----------------------------------------------------------------------------- */

struct nearness {
	struct levee_prefixmap nets;	/* of blocks, as wide as a rule may be */
	struct levee_prefixmap blocked; /* what is blocked itself */
	int ret;
};

static void note_block(void *ctx, const struct levee_block *block)
{
	struct nearness *near = ctx;
	struct levee_prefix net = block->prefix;
	uint8_t widest = net.family == 4 ? LEVEE_COVER_WIDEST4 : LEVEE_COVER_WIDEST6;

	if (net.length > widest)
		net.length = widest;
	levee_prefix_canon(&net);
	if (!near->ret)
		near->ret = levee_prefixmap_set(&near->nets, &net, 1);
	if (!near->ret && block->kind == LEVEE_KIND_DROP)
		near->ret = levee_prefixmap_set(&near->blocked, &block->prefix, 1);
}

static void collect(const struct levee_good *good, const struct nearness *near,
		    struct levee_cover_source *list, size_t *n)
{
	for (size_t i = 0; i < good->table.n; i++) {
		const struct levee_source *source = &good->table.sources[i];
		struct levee_prefix prefix = levee_source_prefix(source);

		if (!levee_prefixmap_cover(&near->nets, &prefix) ||
		    levee_prefixmap_cover(&near->blocked, &prefix))
			continue;
		if (list)
			list[*n] = (struct levee_cover_source){ prefix,
								levee_source_count(source) };
		(*n)++;
	}
}

int levee_good_list(const struct levee_good *good, const struct levee_blocks *blocks,
		    struct levee_cover_source **list, size_t *n)
{
	struct nearness near = { 0 };
	int ret;

	*list = NULL;
	*n = 0;
	levee_blocks_walk(blocks, note_block, &near);
	ret = near.ret;
	if (!ret && levee_blocks_count(blocks)) {
		collect(good, &near, NULL, n);
		*list = calloc(*n + 1, sizeof(**list));
		ret = *list ? 0 : -ENOMEM;
		*n = 0;
	}
	if (*list)
		collect(good, &near, *list, n);
	levee_prefixmap_clear(&near.nets);
	levee_prefixmap_clear(&near.blocked);
	return ret;
}

size_t levee_good_count(const struct levee_good *good)
{
	return good->table.n;
}
