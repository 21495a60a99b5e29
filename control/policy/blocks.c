/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/blocks.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/prefixmap.h"

struct levee_blocks {
	struct levee_blocks_params params;
	struct levee_block *blocks; /* in no order */
	uint32_t *order;	    /* room for a walk: as long as blocks, so a walk cannot fail */
	size_t n;
	size_t capacity;
	struct levee_prefixmap places; /* prefix -> position in blocks */
	uint64_t next_boot_ns;	       /* earliest expiry */
};

struct listener {
	levee_block_fn *fn;
	void *ctx;
};

static void tell(const struct listener *to, enum levee_block_change change,
		 const struct levee_block *block)
{
	if (to->fn)
		to->fn(to->ctx, change, block);
}

struct levee_blocks *levee_blocks_new(const struct levee_blocks_params *params)
{
	struct levee_blocks *blocks = calloc(1, sizeof(*blocks));

	if (!blocks)
		return NULL;
	blocks->params = *params;
	blocks->next_boot_ns = LEVEE_NEVER;
	return blocks;
}

void levee_blocks_free(struct levee_blocks **blocks)
{
	if (!*blocks)
		return;
	levee_prefixmap_clear(&(*blocks)->places);
	free((*blocks)->blocks);
	free((*blocks)->order);
	free(*blocks);
	*blocks = NULL;
}

static struct levee_block *find(const struct levee_blocks *blocks,
				const struct levee_prefix *prefix)
{
	const uint32_t *place = levee_prefixmap_get(&blocks->places, prefix);

	return place ? &blocks->blocks[*place] : NULL;
}

static int make_room(struct levee_blocks *blocks)
{
	size_t capacity = blocks->capacity ? 2 * blocks->capacity : 64;
	void *more;

	if (blocks->n < blocks->capacity)
		return 0;
	if (capacity > UINT32_MAX)
		return -ENOMEM;
	more = reallocarray(blocks->blocks, capacity, sizeof(*blocks->blocks));
	if (!more)
		return -ENOMEM;
	blocks->blocks = more;
	more = reallocarray(blocks->order, capacity, sizeof(*blocks->order));
	if (!more)
		return -ENOMEM;
	blocks->order = more;
	blocks->capacity = capacity;
	return 0;
}

static int append(struct levee_blocks *blocks, const struct levee_block *block)
{
	int ret = make_room(blocks);

	if (!ret)
		ret = levee_prefixmap_set(&blocks->places, &block->prefix, (uint32_t)blocks->n);
	if (!ret)
		blocks->blocks[blocks->n++] = *block;
	return ret;
}

/* The last block takes the place of the one that leaves. */
static void take_out(struct levee_blocks *blocks, size_t place)
{
	uint32_t *moved;

	levee_prefixmap_remove(&blocks->places, &blocks->blocks[place].prefix);
	if (place == --blocks->n)
		return;
	blocks->blocks[place] = blocks->blocks[blocks->n];
	moved = levee_prefixmap_get(&blocks->places, &blocks->blocks[place].prefix);
	*moved = (uint32_t)place;
}

static void lift(struct levee_blocks *blocks, size_t place, enum levee_block_change why,
		 const struct listener *to)
{
	struct levee_block gone = blocks->blocks[place];

	take_out(blocks, place);
	tell(to, why, &gone);
}

static void find_next_expiry(struct levee_blocks *blocks)
{
	blocks->next_boot_ns = LEVEE_NEVER;
	for (size_t i = 0; i < blocks->n; i++)
		if (blocks->blocks[i].expires_boot_ns < blocks->next_boot_ns)
			blocks->next_boot_ns = blocks->blocks[i].expires_boot_ns;
}

static bool is_due(const struct levee_block *block, const struct levee_time *now)
{
	return block->expires_boot_ns != LEVEE_NEVER && block->expires_boot_ns <= now->boot_ns;
}

/**
 * The end of a block: one window after the end of the bin, on both clocks.
 * \return false if that is over
 */
static bool find_end(const struct levee_blocks *blocks, int64_t last_bin_s,
		     const struct levee_time *now, struct levee_block *block)
{
	__int128 end_ns = (__int128)last_bin_s + blocks->params.bin_s + blocks->params.window_s;
	__int128 left_ns;

	end_ns *= LEVEE_NS_PER_S;
	left_ns = end_ns - now->unix_ns;
	if (left_ns <= 0 || left_ns >= LEVEE_NEVER - now->boot_ns)
		return false;
	block->expires_unix_ns = (uint64_t)end_ns;
	block->expires_boot_ns = now->boot_ns + (uint64_t)left_ns;
	return true;
}

static int add_finding(struct levee_blocks *blocks, const struct levee_finding *finding,
		       const struct levee_time *now, const struct listener *to)
{
	struct levee_block block = {
		.prefix = finding->source,
		.reason = LEVEE_BLOCK_ZSCORE,
		.created_boot_ns = now->boot_ns,
		.created_unix_ns = now->unix_ns,
		.last_bin_s = finding->last_bin_s,
		.max_zscore = finding->max_zscore,
		.max_packets = finding->max_packets,
		.flagged = true,
	};
	int ret;

	if (!find_end(blocks, finding->last_bin_s, now, &block))
		return 0;
	ret = append(blocks, &block);
	if (!ret)
		tell(to, LEVEE_BLOCK_ADDED, &block);
	return ret;
}

/*
 * The end is computed anew only for another last bin: the distance of the two clocks, read one
 * after the other, varies a little, and would move every end at every evaluation. It never moves
 * back: that a bin was anomalous stays true when the average has risen since.
 */
static void move_end(const struct levee_blocks *blocks, struct levee_block *block,
		     int64_t last_bin_s, const struct levee_time *now)
{
	struct levee_block end;

	if (block->last_bin_s == last_bin_s)
		return;
	block->last_bin_s = last_bin_s;
	if (!find_end(blocks, last_bin_s, now, &end) ||
	    end.expires_boot_ns <= block->expires_boot_ns)
		return;
	block->expires_boot_ns = end.expires_boot_ns;
	block->expires_unix_ns = end.expires_unix_ns;
}

static void update_finding(const struct levee_blocks *blocks, struct levee_block *block,
			   const struct levee_finding *finding, const struct levee_time *now,
			   const struct listener *to)
{
	struct levee_block before = *block;

	block->flagged = true;
	if (block->reason == LEVEE_BLOCK_MANUAL)
		return;
	move_end(blocks, block, finding->last_bin_s, now);
	block->max_zscore = finding->max_zscore;
	block->max_packets = finding->max_packets;
	if (block->expires_boot_ns != before.expires_boot_ns ||
	    block->last_bin_s != before.last_bin_s || block->max_zscore != before.max_zscore ||
	    block->max_packets != before.max_packets)
		tell(to, LEVEE_BLOCK_UPDATED, block);
}

static int carry_out(struct levee_blocks *blocks, const struct levee_finding *finding,
		     const struct levee_time *now, const struct listener *to)
{
	struct levee_block *block = find(blocks, &finding->source);

	/* An operator's block that is over makes way for a detected one. */
	if (block && block->reason == LEVEE_BLOCK_MANUAL && is_due(block, now)) {
		lift(blocks, (size_t)(block - blocks->blocks), LEVEE_BLOCK_EXPIRED, to);
		block = NULL;
	}
	if (!block)
		return add_finding(blocks, finding, now, to);
	update_finding(blocks, block, finding, now, to);
	return 0;
}

/* From the last to the first, because the last takes the place of one that leaves. */
static void lift_all(struct levee_blocks *blocks, const struct levee_time *now, bool release,
		     const struct listener *to)
{
	for (size_t i = blocks->n; i-- > 0;) {
		const struct levee_block *block = &blocks->blocks[i];

		if (is_due(block, now))
			lift(blocks, i, LEVEE_BLOCK_EXPIRED, to);
		else if (release && !block->flagged && block->reason != LEVEE_BLOCK_MANUAL)
			lift(blocks, i, LEVEE_BLOCK_RELEASED, to);
	}
	find_next_expiry(blocks);
}

int levee_blocks_judge(struct levee_blocks *blocks, const struct levee_evaluation *evaluation,
		       const struct levee_time *now, levee_block_fn *fn, void *ctx)
{
	struct listener to = { fn, ctx };
	int ret = 0;

	for (size_t i = 0; i < blocks->n; i++)
		blocks->blocks[i].flagged = false;
	for (size_t i = 0; !ret && i < evaluation->n_findings; i++)
		ret = carry_out(blocks, &evaluation->findings[i], now, &to);
	/* Findings that were not reached may be of blocks that are there: release none. */
	lift_all(blocks, now, !ret && blocks->params.release_unflagged, &to);
	return ret;
}

void levee_blocks_expire(struct levee_blocks *blocks, const struct levee_time *now,
			 levee_block_fn *fn, void *ctx)
{
	struct listener to = { fn, ctx };

	if (blocks->next_boot_ns <= now->boot_ns)
		lift_all(blocks, now, false, &to);
}

uint64_t levee_blocks_next_expiry(const struct levee_blocks *blocks)
{
	return blocks->next_boot_ns;
}

int levee_blocks_put(struct levee_blocks *blocks, const struct levee_block *block,
		     levee_block_fn *fn, void *ctx)
{
	struct levee_block *there = find(blocks, &block->prefix), copy = *block;
	struct listener to = { fn, ctx };
	uint64_t before_ns;
	int ret;

	if (!there) {
		ret = append(blocks, &copy);
		if (ret)
			return ret;
		if (copy.expires_boot_ns < blocks->next_boot_ns)
			blocks->next_boot_ns = copy.expires_boot_ns;
		tell(&to, LEVEE_BLOCK_ADDED, &copy);
		return 0;
	}
	before_ns = there->expires_boot_ns;
	*there = copy;
	if (before_ns == blocks->next_boot_ns)
		find_next_expiry(blocks);
	else if (copy.expires_boot_ns < blocks->next_boot_ns)
		blocks->next_boot_ns = copy.expires_boot_ns;
	tell(&to, LEVEE_BLOCK_UPDATED, &copy);
	return 0;
}

int levee_blocks_remove(struct levee_blocks *blocks, const struct levee_prefix *prefix,
			levee_block_fn *fn, void *ctx)
{
	const struct levee_block *block = find(blocks, prefix);
	struct listener to = { fn, ctx };
	struct levee_block gone;

	if (!block)
		return -ENOENT;
	gone = *block;
	take_out(blocks, (size_t)(block - blocks->blocks));
	if (gone.expires_boot_ns == blocks->next_boot_ns)
		find_next_expiry(blocks);
	tell(&to, LEVEE_BLOCK_RELEASED, &gone);
	return 0;
}

const struct levee_block *levee_blocks_get(const struct levee_blocks *blocks,
					   const struct levee_prefix *prefix)
{
	return find(blocks, prefix);
}

size_t levee_blocks_count(const struct levee_blocks *blocks)
{
	return blocks->n;
}

static int by_prefix(const void *a, const void *b, void *ctx)
{
	const struct levee_blocks *blocks = ctx;
	const uint32_t *left = a, *right = b;

	return levee_prefix_compare(&blocks->blocks[*left].prefix, &blocks->blocks[*right].prefix);
}

void levee_blocks_walk(const struct levee_blocks *blocks,
		       void (*fn)(void *ctx, const struct levee_block *block), void *ctx)
{
	for (size_t i = 0; i < blocks->n; i++)
		blocks->order[i] = (uint32_t)i;
	if (blocks->n)
		qsort_r(blocks->order, blocks->n, sizeof(*blocks->order), by_prefix,
			(void *)blocks);
	for (size_t i = 0; i < blocks->n; i++)
		fn(ctx, &blocks->blocks[blocks->order[i]]);
}
