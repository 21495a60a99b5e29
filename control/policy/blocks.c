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
	struct levee_offenders *offenders;
	bool deferred; /* others decide */
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
	blocks->offenders = levee_offenders_new(LEVEE_OFFENDERS_MAX);
	if (!blocks->offenders)
		levee_blocks_free(&blocks);
	return blocks;
}

void levee_blocks_set_params(struct levee_blocks *blocks, const struct levee_blocks_params *params)
{
	blocks->params = *params;
}

struct levee_offenders *levee_blocks_offenders(struct levee_blocks *blocks)
{
	return blocks->offenders;
}

const char *levee_block_reason_name(enum levee_block_reason reason)
{
	switch (reason) {
	case LEVEE_BLOCK_ZSCORE:
		return "zscore";
	case LEVEE_BLOCK_MANUAL:
		return "manual";
	case LEVEE_BLOCK_ROBUST:
		return "robust";
	case LEVEE_BLOCK_TRIP:
		return "fast";
	}
	return "unknown";
}

const char *levee_block_kind_name(enum levee_block_kind kind)
{
	return kind == LEVEE_KIND_LIMIT ? "limit" : "drop";
}

void levee_blocks_free(struct levee_blocks **blocks)
{
	if (!*blocks)
		return;
	levee_prefixmap_clear(&(*blocks)->places);
	levee_offenders_free(&(*blocks)->offenders);
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

/* window * repeat_factor^repeats, between a window and max_block. */
static uint64_t length_s(const struct levee_blocks *blocks, uint32_t repeats)
{
	const struct levee_blocks_params *params = &blocks->params;
	double length = params->window_s, most = (double)params->max_block_s;

	if (params->repeat_factor <= 1.0 || most <= length)
		return params->window_s;
	for (uint32_t i = 0; i < repeats && length < most; i++)
		length *= params->repeat_factor;
	return length < most ? (uint64_t)length : params->max_block_s;
}

/**
 * The end of a block: its length after the end of the bin, on both clocks.
 * \return false if that is over
 */
static bool find_end(const struct levee_blocks *blocks, int64_t last_bin_s,
		     const struct levee_time *now, struct levee_block *block)
{
	__int128 end_ns = (__int128)last_bin_s + blocks->params.bin_s;
	__int128 left_ns;

	end_ns = (end_ns + length_s(blocks, block->repeats)) * LEVEE_NS_PER_S;
	left_ns = end_ns - now->unix_ns;
	if (left_ns <= 0 || left_ns >= LEVEE_NEVER - now->boot_ns)
		return false;
	block->expires_unix_ns = (uint64_t)end_ns;
	block->expires_boot_ns = now->boot_ns + (uint64_t)left_ns;
	return true;
}

struct levee_offender levee_block_offence(const struct levee_block *block)
{
	uint64_t end_ns = block->expires_boot_ns;

	return (struct levee_offender){
		.prefix = block->prefix,
		.blocks = block->repeats + 1,
		.end_boot_ns = end_ns > INT64_MAX ? INT64_MAX : (int64_t)end_ns,
		.end_unix_ns = block->expires_unix_ns,
	};
}

/* For want of memory the next block of this source is as long as this one: no more is lost. */
static void remember(struct levee_blocks *blocks, const struct levee_block *block)
{
	struct levee_offender offence = levee_block_offence(block);

	if (blocks->params.repeat_memory_s && block->reason != LEVEE_BLOCK_MANUAL)
		levee_offenders_note(blocks->offenders, &offence);
}

static uint64_t memory_ns(const struct levee_blocks *blocks)
{
	return blocks->params.repeat_memory_s * LEVEE_NS_PER_S;
}

static enum levee_block_reason reason_of(enum levee_decider by)
{
	switch (by) {
	case LEVEE_BY_ROBUST:
		return LEVEE_BLOCK_ROBUST;
	case LEVEE_BY_TRIP:
		return LEVEE_BLOCK_TRIP;
	default:
		return LEVEE_BLOCK_ZSCORE;
	}
}

/*
 * A bin that ended a window ago or more makes no new block, however long the block would be: its
 * source has been blocked for it already.
 */
static bool is_recent(const struct levee_blocks *blocks, int64_t last_bin_s,
		      const struct levee_time *now)
{
	__int128 end_s = (__int128)last_bin_s + blocks->params.bin_s + blocks->params.window_s;

	return end_s * LEVEE_NS_PER_S > now->unix_ns;
}

static int add_finding(struct levee_blocks *blocks, const struct levee_finding *finding,
		       const struct levee_time *now, const struct listener *to)
{
	struct levee_block block = {
		.prefix = finding->source,
		.reason = reason_of(finding->by),
		.marks = finding->marks,
		.created_boot_ns = now->boot_ns,
		.created_unix_ns = now->unix_ns,
		.last_bin_s = finding->last_bin_s,
		.max_zscore = finding->max_zscore,
		.max_packets = finding->max_packets,
		.measure = finding->measure,
		.max_value = finding->max_value,
		.spoofable = blocks->params.flows && !finding->answered,
		.kind = finding->soft ? LEVEE_KIND_LIMIT : LEVEE_KIND_DROP,
		.flagged = true,
	};
	int ret;

	if (blocks->params.repeat_memory_s)
		block.repeats = levee_offenders_recall(blocks->offenders, &block.prefix,
						       now->boot_ns, memory_ns(blocks));
	if (!is_recent(blocks, finding->last_bin_s, now) ||
	    !find_end(blocks, finding->last_bin_s, now, &block))
		return 0;
	ret = append(blocks, &block);
	if (ret)
		return ret;
	if (block.expires_boot_ns < blocks->next_boot_ns)
		blocks->next_boot_ns = block.expires_boot_ns;
	remember(blocks, &block);
	tell(to, LEVEE_BLOCK_ADDED, &block);
	return 0;
}

/*
 * The end is computed anew only for another last bin: the distance of the two clocks, read one
 * after the other, varies a little, and would move every end at every evaluation. It never moves
 * back: that a bin was anomalous stays true when the average has risen since.
 */
static void move_end(struct levee_blocks *blocks, struct levee_block *block, int64_t last_bin_s,
		     const struct levee_time *now)
{
	struct levee_block end = { .repeats = block->repeats };

	if (block->last_bin_s == last_bin_s)
		return;
	block->last_bin_s = last_bin_s;
	if (!find_end(blocks, last_bin_s, now, &end) ||
	    end.expires_boot_ns <= block->expires_boot_ns)
		return;
	block->expires_boot_ns = end.expires_boot_ns;
	block->expires_unix_ns = end.expires_unix_ns;
	remember(blocks, block);
}

/*
 * Is the bin one before the block's last one? A last bin that lies in the future is a name from
 * before the clock was set back, and says nothing.
 */
static bool is_earlier(const struct levee_block *block, int64_t bin_s, const struct levee_time *now)
{
	return bin_s < block->last_bin_s &&
	       (__int128)block->last_bin_s * LEVEE_NS_PER_S <= now->unix_ns;
}

static void update_finding(struct levee_blocks *blocks, struct levee_block *block,
			   const struct levee_finding *finding, const struct levee_time *now,
			   const struct listener *to)
{
	struct levee_block before = *block;

	block->flagged = true;
	if (block->reason == LEVEE_BLOCK_MANUAL)
		return;
	/* What was dropped since may have made a later bin the last one. */
	if (!is_earlier(block, finding->last_bin_s, now))
		move_end(blocks, block, finding->last_bin_s, now);
	block->max_zscore = finding->max_zscore;
	block->max_packets = finding->max_packets;
	block->max_value = finding->max_value;
	block->measure = finding->measure;
	/* Harder at once, softer only with its next block. Who makes it drop has decided. */
	if (!finding->soft && block->kind == LEVEE_KIND_LIMIT) {
		block->kind = LEVEE_KIND_DROP;
		block->reason = reason_of(finding->by);
	}
	if (finding->answered)
		block->spoofable = false;
	if (block->kind != before.kind) {
		tell(to, LEVEE_BLOCK_HARDENED, block);
		return;
	}
	if (block->spoofable != before.spoofable ||
	    block->expires_boot_ns != before.expires_boot_ns ||
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

/* What passes of a limited source is never much: what it sent says whether it is to be dropped. */
static bool harden_fed(struct levee_block *block, const struct levee_evaluation *evaluation)
{
	if (block->kind != LEVEE_KIND_LIMIT || block->bin_packets <= evaluation->limit_packets)
		return false;
	block->kind = LEVEE_KIND_DROP;
	block->measure = LEVEE_PACKETS;
	block->max_packets = block->max_value = block->bin_packets;
	block->max_zscore = levee_moments_zscore(&evaluation->moments, block->bin_packets);
	return true;
}

/* The source of a detected block went on in the bin that was closed last. */
static void judge_fed(struct levee_blocks *blocks, struct levee_block *block,
		      const struct levee_evaluation *evaluation, const struct levee_time *now,
		      const struct listener *to)
{
	uint64_t limit = block->kind == LEVEE_KIND_LIMIT ? evaluation->soft_packets
							 : evaluation->limit_packets;
	uint64_t before_ns = block->expires_boot_ns;
	int64_t before_s = block->last_bin_s;
	bool fed = block->fed;

	block->fed = false;
	if (!fed || block->reason == LEVEE_BLOCK_MANUAL || block->bin_packets <= limit ||
	    is_earlier(block, block->fed_bin_s, now))
		return;
	move_end(blocks, block, block->fed_bin_s, now);
	if (harden_fed(block, evaluation))
		tell(to, LEVEE_BLOCK_HARDENED, block);
	else if (block->expires_boot_ns != before_ns || block->last_bin_s != before_s)
		tell(to, LEVEE_BLOCK_UPDATED, block);
}

void levee_blocks_defer(struct levee_blocks *blocks, bool deferred)
{
	blocks->deferred = deferred;
}

void levee_blocks_feed(struct levee_blocks *blocks, int64_t start_s, unsigned int parts,
		       bool (*read)(void *ctx, const struct levee_block *block,
				    struct levee_block_traffic *traffic),
		       void *ctx)
{
	for (size_t i = 0; i < blocks->n; i++) {
		struct levee_block *block = &blocks->blocks[i];
		struct levee_block_traffic traffic;
		uint64_t packets;

		block->fed = read(ctx, block, &traffic);
		if (!block->fed)
			continue;
		/* A rule that was made anew counts from 0. */
		packets = traffic.hits >= block->hits ? traffic.hits - block->hits : traffic.hits;
		if (__builtin_add_overflow(packets, traffic.counted, &packets))
			packets = UINT64_MAX;
		block->hits = traffic.hits;
		block->bin_packets = packets / parts;
		block->fed_bin_s = start_s + (int64_t)(parts - 1) * blocks->params.bin_s;
	}
}

int levee_blocks_add(struct levee_blocks *blocks, const struct levee_finding *finding,
		     const struct levee_time *now, levee_block_fn *fn, void *ctx)
{
	struct listener to = { fn, ctx };

	return carry_out(blocks, finding, now, &to);
}

int levee_blocks_judge(struct levee_blocks *blocks, const struct levee_evaluation *evaluation,
		       const struct levee_time *now, levee_block_fn *fn, void *ctx)
{
	struct listener to = { fn, ctx };
	int ret = 0;

	for (size_t i = 0; i < blocks->n && !blocks->deferred; i++)
		blocks->blocks[i].flagged = false;
	for (size_t i = 0; !ret && i < evaluation->n_findings; i++)
		ret = carry_out(blocks, &evaluation->findings[i], now, &to);
	for (size_t i = 0; i < blocks->n && !blocks->params.release_unflagged && !blocks->deferred;
	     i++)
		judge_fed(blocks, &blocks->blocks[i], evaluation, now, &to);
	if (blocks->params.repeat_memory_s)
		levee_offenders_prune(blocks->offenders, now->boot_ns, memory_ns(blocks));
	/* Findings that were not reached may be of blocks that are there: release none. */
	lift_all(blocks, now, !ret && blocks->params.release_unflagged && !blocks->deferred, &to);
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

	remember(blocks, &copy);
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
	levee_offenders_forget(blocks->offenders, prefix);
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
