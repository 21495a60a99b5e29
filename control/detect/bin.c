/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/bin.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/detect/sourcetable.h"

/* Additions that wait for their line of the table; enough to hide the way to memory. */
#define PENDING 32U

struct pending {
	struct levee_prefix prefix;
	uint64_t packets;
	uint64_t bytes;
	uint32_t hash;
	bool answered;
};

/* Uppermost bit of a source's extra; the others are its bytes. */
#define ANSWERED (1ULL << 63)

struct levee_bin {
	struct levee_sourcetable table; /* word: packets; extra: bytes, and ANSWERED */
	size_t max_sources;
	struct levee_moments folded;
	/* Over all additions. While these do not pass the limit of one source, no source does. */
	uint64_t all_packets;
	uint64_t all_bytes;
	uint64_t fold_bytes;	       /* of values that lost their names in the data path */
	struct levee_sourcetable syns; /* word: SYNs; no memory while nobody adds any */
	struct levee_moments folded_syns;
	size_t n_pending;
	struct pending pending[PENDING];
};

/*
 * Bounds of what is folded in from outside. All packets of the sources are below 2^64, each has
 * at most 2^48, so their squares sum up to less than 2^112: no sum over both kinds can wrap.
 */
#define FOLD_N_MAX   (1ULL << 62)
#define FOLD_SUM_MAX ((levee_u128)1 << 126)

/* The median is found digit by digit, the highest first, with a count of each digit. */
#define DIGIT_BITS 8U
#define DIGITS	   (1U << DIGIT_BITS)

static uint64_t all_bytes_of(const struct levee_source *source)
{
	return source->extra & ~ANSWERED;
}

/* Bytes are limited as packets are: what is above can be no traffic. */
static uint64_t bytes_of(const struct levee_source *source)
{
	uint64_t bytes = all_bytes_of(source);

	return bytes < LEVEE_VALUE_MAX ? bytes : LEVEE_VALUE_MAX;
}

static bool has_answered(const struct levee_source *source)
{
	return (source->extra & ANSWERED) != 0;
}

struct levee_bin *levee_bin_new(size_t max_sources)
{
	struct levee_bin *bin = calloc(1, sizeof(*bin));

	if (!bin)
		return NULL;
	bin->max_sources = max_sources;
	if (levee_sourcetable_init(&bin->table) || levee_sourcetable_init(&bin->syns)) {
		free(bin);
		return NULL;
	}
	return bin;
}

void levee_bin_set_max(struct levee_bin *bin, size_t max_sources)
{
	bin->max_sources = max_sources;
}

void levee_bin_set_breathe(struct levee_bin *bin, void (*breathe)(void *ctx), void *ctx)
{
	bin->table.breathe = bin->syns.breathe = breathe;
	bin->table.ctx = bin->syns.ctx = ctx;
}

void levee_bin_free(struct levee_bin **bin)
{
	if (!*bin)
		return;
	levee_sourcetable_clear(&(*bin)->table);
	levee_sourcetable_clear(&(*bin)->syns);
	free(*bin);
	*bin = NULL;
}

void levee_bin_reset(struct levee_bin *bin)
{
	levee_sourcetable_reset(&bin->table);
	bin->folded = bin->folded_syns = (struct levee_moments){ 0 };
	bin->all_packets = bin->all_bytes = bin->fold_bytes = 0;
	if (bin->syns.n)
		levee_sourcetable_reset(&bin->syns);
	bin->n_pending = 0;
}

/* Of the sources whose packets agree with *value above `shift`, count each next digit. */
static void count_digits(const struct levee_bin *bin, uint64_t value, unsigned int shift,
			 size_t count[DIGITS])
{
	unsigned int above = shift + DIGIT_BITS;

	memset(count, 0, DIGITS * sizeof(*count));
	for (size_t i = 0; i < bin->table.n; i++) {
		uint64_t packets = levee_source_count(&bin->table.sources[i]);

		levee_sourcetable_breathe(&bin->table, i);
		if (packets >> above == value >> above)
			count[packets >> shift & (DIGITS - 1)]++;
	}
}

static unsigned int highest_shift(const struct levee_bin *bin)
{
	uint64_t any = 0;
	unsigned int shift = 0;

	for (size_t i = 0; i < bin->table.n; i++) {
		levee_sourcetable_breathe(&bin->table, i);
		any |= levee_source_count(&bin->table.sources[i]);
	}
	while (any >> shift >> DIGIT_BITS)
		shift += DIGIT_BITS;
	return shift;
}

struct lightest {
	struct levee_moments *folded;
	uint64_t cutoff; /* sources below it go */
	size_t equal;	 /* and so many of those that stand exactly at it */
};

/* Find the cutoff below and at which `rank` sources are the lightest. 1 <= rank <= n. */
static void find_lightest(const struct levee_bin *bin, size_t rank, struct lightest *out)
{
	size_t count[DIGITS];
	uint64_t value = 0;

	for (unsigned int shift = highest_shift(bin) + DIGIT_BITS; shift;) {
		uint64_t digit = 0;

		shift -= DIGIT_BITS;
		count_digits(bin, value, shift, count);
		while (count[digit] < rank)
			rank -= count[digit++];
		value |= digit << shift;
	}
	out->cutoff = value;
	out->equal = rank;
}

static bool keep_heavy(void *ctx, const struct levee_source *source)
{
	struct lightest *lightest = ctx;
	uint64_t packets = levee_source_count(source);

	if (packets > lightest->cutoff || (packets == lightest->cutoff && !lightest->equal))
		return true;
	if (packets == lightest->cutoff)
		lightest->equal--;
	lightest->folded->n++;
	lightest->folded->sum += packets;
	lightest->folded->sq += (levee_u128)packets * packets;
	return false;
}

static void fold_lightest(struct levee_bin *bin)
{
	struct lightest lightest = { .folded = &bin->folded };

	find_lightest(bin, (bin->table.n + 1) / 2, &lightest);
	levee_sourcetable_keep(&bin->table, keep_heavy, &lightest);
}

/* Add to a source. The caller has made sure that there is room, in the table and in its counts. */
static void add_now(struct levee_bin *bin, const struct pending *add)
{
	struct levee_source *source;

	source = levee_sourcetable_find(&bin->table, &add->prefix, add->hash);
	if (!source) {
		if (bin->table.n >= bin->max_sources)
			fold_lightest(bin);
		source = levee_sourcetable_insert(&bin->table, &add->prefix, add->hash);
	}
	source->word += add->packets;
	source->extra += add->bytes;
	if (add->answered)
		source->extra |= ANSWERED;
}

/*
 * Carry out what is pending. Readers call it, too: it changes what a bin holds in no way that
 * they could see, and every bin is made by levee_bin_new(), so none is const itself.
 */
static void settle(const struct levee_bin *constant)
{
	struct levee_bin *bin = (struct levee_bin *)constant;

	for (size_t i = 0; i < bin->n_pending; i++)
		add_now(bin, &bin->pending[i]);
	bin->n_pending = 0;
}

/* With more in the bin than one source may have, the source itself must be asked. */
static int check_source(const struct levee_bin *bin, const struct pending *add)
{
	const struct levee_source *source;

	settle(bin);
	source = levee_sourcetable_find(&bin->table, &add->prefix, add->hash);
	if (source && add->packets > LEVEE_VALUE_MAX - levee_source_count(source))
		return -ERANGE;
	return 0;
}

static int add_counts(struct levee_bin *bin, const struct levee_prefix *prefix, uint64_t packets,
		      uint64_t bytes, bool answered)
{
	struct pending add = { *prefix, packets, bytes, 0, answered };
	uint64_t all_packets, all_bytes;
	int ret;

	if (!packets)
		return 0;
	if (packets > LEVEE_VALUE_MAX ||
	    __builtin_add_overflow(bin->all_packets, packets, &all_packets) ||
	    __builtin_add_overflow(bin->all_bytes, bytes, &all_bytes) || all_bytes >= ANSWERED)
		return -ERANGE;
	add.hash = levee_sourcetable_hash(&bin->table, prefix);
	if (all_packets > LEVEE_VALUE_MAX) {
		ret = check_source(bin, &add);
		if (ret)
			return ret;
	}
	ret = levee_sourcetable_reserve(&bin->table, bin->n_pending + 1);
	if (ret)
		return ret;
	bin->all_packets = all_packets;
	bin->all_bytes = all_bytes;
	levee_sourcetable_fetch(&bin->table, add.hash);
	bin->pending[bin->n_pending++] = add;
	if (bin->n_pending == PENDING)
		settle(bin);
	return 0;
}

int levee_bin_add(struct levee_bin *bin, const struct levee_prefix *prefix, uint64_t packets,
		  uint64_t bytes)
{
	return add_counts(bin, prefix, packets, bytes, false);
}

int levee_bin_add_answered(struct levee_bin *bin, const struct levee_prefix *prefix,
			   uint64_t packets, uint64_t bytes)
{
	return add_counts(bin, prefix, packets, bytes, true);
}

int levee_bin_add_fold(struct levee_bin *bin, const struct levee_fold *fold)
{
	struct levee_moments sum = bin->folded, more = {
		.n = fold->n,
		.sum = fold->packets,
		.sq = (levee_u128)fold->sq_hi << 64 | fold->sq_lo,
	};
	int ret;

	if (!levee_moments_possible(&more))
		return -ERANGE;
	ret = levee_moments_merge(&sum, &more);
	if (ret)
		return ret;
	if (sum.n > FOLD_N_MAX || sum.sum > FOLD_SUM_MAX || sum.sq > FOLD_SUM_MAX)
		return -ERANGE;
	bin->folded = sum;
	bin->fold_bytes += fold->bytes;
	return 0;
}

int levee_bin_add_syns(struct levee_bin *bin, const struct levee_prefix *prefix, uint64_t syns)
{
	uint32_t hash = levee_sourcetable_hash(&bin->syns, prefix);
	struct levee_source *source = levee_sourcetable_find(&bin->syns, prefix, hash);
	int ret;

	if (!syns)
		return 0;
	if (syns > LEVEE_VALUE_MAX - (source ? levee_source_count(source) : 0))
		return -ERANGE;
	if (!source && bin->syns.n >= bin->max_sources)
		return levee_moments_add(&bin->folded_syns, syns);
	if (!source) {
		ret = levee_sourcetable_reserve(&bin->syns, 1);
		if (ret)
			return ret;
		source = levee_sourcetable_insert(&bin->syns, prefix, hash);
	}
	source->word += syns;
	return 0;
}

int levee_bin_moments(const struct levee_bin *bin, struct levee_moments *out)
{
	struct levee_moments m;
	int ret;

	settle(bin);
	m = (struct levee_moments){ .n = bin->table.n };
	for (size_t i = 0; i < bin->table.n; i++) {
		uint64_t packets = levee_source_count(&bin->table.sources[i]);

		levee_sourcetable_breathe(&bin->table, i);
		m.sum += packets;
		m.sq += (levee_u128)packets * packets;
	}
	ret = levee_moments_merge(&m, &bin->folded);
	if (!ret)
		*out = m;
	return ret;
}

static int measure_bytes(const struct levee_bin *bin, struct levee_moments *out)
{
	struct levee_moments m = { .n = bin->table.n }, nameless = { .n = bin->folded.n };
	uint64_t named = 0, mean;
	int ret;

	for (size_t i = 0; i < bin->table.n; i++) {
		uint64_t bytes = bytes_of(&bin->table.sources[i]);

		levee_sourcetable_breathe(&bin->table, i);
		named += all_bytes_of(&bin->table.sources[i]);
		m.sum += bytes;
		m.sq += (levee_u128)bytes * bytes;
	}
	if (nameless.n) {
		nameless.sum = (levee_u128)(bin->all_bytes - named) + bin->fold_bytes;
		mean = (uint64_t)(nameless.sum / nameless.n);
		nameless.sq = (levee_u128)mean * mean;
		if (__builtin_mul_overflow(nameless.sq, (levee_u128)nameless.n, &nameless.sq))
			return -ERANGE;
	}
	ret = levee_moments_merge(&m, &nameless);
	if (!ret)
		*out = m;
	return ret;
}

/* Of every source that sent anything: those who sent no SYN are values of 0. */
static int measure_syns(const struct levee_bin *bin, struct levee_moments *out)
{
	uint64_t sources = bin->table.n + bin->folded.n;
	struct levee_moments m = { .n = bin->syns.n };
	int ret;

	for (size_t i = 0; i < bin->syns.n; i++) {
		uint64_t syns = levee_source_count(&bin->syns.sources[i]);

		levee_sourcetable_breathe(&bin->syns, i);
		m.sum += syns;
		m.sq += (levee_u128)syns * syns;
	}
	ret = levee_moments_merge(&m, &bin->folded_syns);
	if (m.n < sources)
		m.n = sources;
	if (!ret)
		*out = m;
	return ret;
}

int levee_bin_measure(const struct levee_bin *bin, enum levee_measure measure,
		      struct levee_moments *out)
{
	settle(bin);
	return measure == LEVEE_PACKETS ? levee_bin_moments(bin, out)
	       : measure == LEVEE_BYTES ? measure_bytes(bin, out)
					: measure_syns(bin, out);
}

size_t levee_bin_sources(const struct levee_bin *bin)
{
	settle(bin);
	return bin->table.n;
}

uint64_t levee_bin_folded(const struct levee_bin *bin)
{
	settle(bin);
	return bin->folded.n;
}

int levee_bin_fold(const struct levee_bin *bin, struct levee_fold *fold)
{
	uint64_t named = 0;

	settle(bin);
	*fold = (struct levee_fold){ 0 };
	if (bin->folded.sum >> 64 || bin->folded_syns.n)
		return -ERANGE;
	for (size_t i = 0; i < bin->table.n; i++) {
		levee_sourcetable_breathe(&bin->table, i);
		named += all_bytes_of(&bin->table.sources[i]);
	}
	fold->n = bin->folded.n;
	fold->packets = (uint64_t)bin->folded.sum;
	fold->bytes = bin->all_bytes - named + bin->fold_bytes;
	fold->sq_lo = (uint64_t)bin->folded.sq;
	fold->sq_hi = (uint64_t)(bin->folded.sq >> 64);
	return 0;
}

static const struct levee_source *find_in(const struct levee_sourcetable *table,
					  const struct levee_prefix *prefix)
{
	return levee_sourcetable_find(table, prefix, levee_sourcetable_hash(table, prefix));
}

uint64_t levee_bin_get(const struct levee_bin *bin, const struct levee_prefix *prefix)
{
	const struct levee_source *source;

	settle(bin);
	source = find_in(&bin->table, prefix);
	return source ? levee_source_count(source) : 0;
}

bool levee_bin_find(const struct levee_bin *bin, const struct levee_prefix *prefix,
		    struct levee_bin_entry *entry)
{
	const struct levee_source *source;

	settle(bin);
	*entry = (struct levee_bin_entry){ .source = *prefix };
	source = bin->syns.n ? find_in(&bin->syns, prefix) : NULL;
	if (source)
		entry->syns = levee_source_count(source);
	source = find_in(&bin->table, prefix);
	if (source) {
		entry->packets = levee_source_count(source);
		entry->bytes = bytes_of(source);
		entry->answered = has_answered(source);
	}
	return source != NULL;
}

static void walk_syns(const struct levee_bin *bin, uint64_t above,
		      void (*fn)(void *ctx, const struct levee_bin_entry *entry), void *ctx)
{
	for (size_t i = 0; i < bin->syns.n; i++) {
		struct levee_prefix prefix = levee_source_prefix(&bin->syns.sources[i]);
		struct levee_bin_entry entry;

		levee_sourcetable_breathe(&bin->syns, i);
		if (levee_source_count(&bin->syns.sources[i]) <= above)
			continue;
		levee_bin_find(bin, &prefix, &entry);
		fn(ctx, &entry);
	}
}

static void walk_bytes(const struct levee_bin *bin, uint64_t above,
		       void (*fn)(void *ctx, const struct levee_bin_entry *entry), void *ctx)
{
	for (size_t i = 0; i < bin->table.n; i++) {
		const struct levee_source *source = &bin->table.sources[i];
		struct levee_bin_entry entry;

		levee_sourcetable_breathe(&bin->table, i);
		if (bytes_of(source) <= above)
			continue;
		entry = (struct levee_bin_entry){ .source = levee_source_prefix(source),
						  .packets = levee_source_count(source),
						  .bytes = bytes_of(source),
						  .answered = has_answered(source) };
		fn(ctx, &entry);
	}
}

void levee_bin_walk_measure(const struct levee_bin *bin, enum levee_measure measure, uint64_t above,
			    void (*fn)(void *ctx, const struct levee_bin_entry *entry), void *ctx)
{
	settle(bin);
	if (measure == LEVEE_PACKETS)
		levee_bin_walk(bin, above, fn, ctx);
	else if (measure == LEVEE_BYTES)
		walk_bytes(bin, above, fn, ctx);
	else
		walk_syns(bin, above, fn, ctx);
}

void levee_bin_walk(const struct levee_bin *bin, uint64_t above_packets,
		    void (*fn)(void *ctx, const struct levee_bin_entry *entry), void *ctx)
{
	settle(bin);
	for (size_t i = 0; i < bin->table.n; i++) {
		const struct levee_source *source = &bin->table.sources[i];
		struct levee_bin_entry entry;

		levee_sourcetable_breathe(&bin->table, i);
		if (levee_source_count(source) <= above_packets)
			continue;
		entry.source = levee_source_prefix(source);
		entry.packets = levee_source_count(source);
		entry.bytes = all_bytes_of(source);
		entry.syns = 0;
		entry.answered = has_answered(source);
		fn(ctx, &entry);
	}
}

/* A source too light to have a packet in every part has all its packets and bytes in the last. */
static int add_share(struct levee_bin *to, const struct levee_source *source, unsigned int parts,
		     bool last)
{
	struct levee_prefix prefix = levee_source_prefix(source);
	uint64_t count = levee_source_count(source), packets = count / parts;
	uint64_t all_bytes = all_bytes_of(source), bytes = packets ? all_bytes / parts : 0;

	if (last) {
		packets = count - packets * (parts - 1);
		bytes = all_bytes - bytes * (parts - 1);
	}
	return add_counts(to, &prefix, packets, bytes, has_answered(source));
}

struct levee_bin *levee_bin_split(const struct levee_bin *bin, unsigned int parts,
				  unsigned int part)
{
	struct levee_bin *share = levee_bin_new(bin->max_sources);
	bool last = part + 1 == parts;

	assert(part < parts);
	if (!share)
		return NULL;
	levee_bin_set_breathe(share, bin->table.breathe, bin->table.ctx);
	settle(bin);
	for (size_t i = 0; i < bin->table.n; i++) {
		levee_sourcetable_breathe(&bin->table, i);
		if (add_share(share, &bin->table.sources[i], parts, last)) {
			levee_bin_free(&share);
			return NULL;
		}
	}
	for (size_t i = 0; i < bin->syns.n; i++) {
		struct levee_prefix prefix = levee_source_prefix(&bin->syns.sources[i]);
		uint64_t syns = levee_source_count(&bin->syns.sources[i]), each = syns / parts;

		levee_sourcetable_breathe(&bin->syns, i);
		if (levee_bin_add_syns(share, &prefix, last ? syns - each * (parts - 1) : each)) {
			levee_bin_free(&share);
			return NULL;
		}
	}
	if (last) {
		share->folded = bin->folded;
		share->folded_syns = bin->folded_syns;
		share->fold_bytes = bin->fold_bytes;
	}
	return share;
}
