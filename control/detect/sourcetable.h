/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table of sources that packets fill, so it may become large, fast, and by the choice of an
 * attacker. What the bin and the census stand on.
 *
 *	index    2^bits lines of 8 slots, at most 5/8 of them used; a slot is 32 bits of hash and
 *	         the place of a source. A full line overflows into the next one.
 *	sources  one after the other, in order of arrival, 32 bytes each
 *
 * A look-up misses the cache once in the index and once in the sources; a new source is written
 * where the one before it was. Who has several look-ups to do first asks for the hash of each and
 * has its line fetched, and so waits for memory once and not for each. Lines are chosen by the
 * upper bits of the hash, so the index doubles by one pass from front to back and needs no source
 * for that. The hash is keyed by a random seed of each table, since otherwise packets could aim
 * at one place of it.
 */
#ifndef LEVEE_SOURCETABLE_H
#define LEVEE_SOURCETABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/prefix.h"

/* Lower bits of levee_source.word: room for 0 to 2^48. Family and length stand above them. */
#define LEVEE_SOURCE_COUNT_BITS 49
#define LEVEE_SOURCE_COUNT_MASK ((1ULL << LEVEE_SOURCE_COUNT_BITS) - 1)

struct levee_source {
	uint64_t hi;
	uint64_t lo;
	uint64_t word;	/* a count that the owner may add to, with the tag of the key above it */
	uint64_t extra; /* the owner's */
};

_Static_assert(sizeof(struct levee_source) == 32, "two sources a cache line");

#define LEVEE_LINE_SLOTS 8

/* Slots fill from 0 upwards. */
struct levee_sourceline {
	uint32_t hash[LEVEE_LINE_SLOTS];
	uint32_t place[LEVEE_LINE_SLOTS]; /* position in sources, plus 1; 0: free */
};

_Static_assert(sizeof(struct levee_sourceline) == 64, "one cache line");

struct levee_sourcetable {
	struct levee_source *sources;
	size_t n;
	size_t capacity; /* sources there is room for */
	struct levee_sourceline *index;
	unsigned int bits; /* log2 of the lines in index; 0: none */
	uint64_t seed[4];

	/* Called every few thousand lines while the index grows; NULL: nobody wants it. It must
	 * leave the table alone. */
	void (*breathe)(void *ctx);
	void *ctx;
};

/** Of which `breathe` is called once. */
#define LEVEE_TABLE_BREATH 4096

static inline void levee_sourcetable_breathe(const struct levee_sourcetable *table, size_t i)
{
	if (table->breathe && !(i % LEVEE_TABLE_BREATH))
		table->breathe(table->ctx);
}

/** Begin empty, without memory. \return 0; -errno if the kernel gives no random numbers */
int levee_sourcetable_init(struct levee_sourcetable *table);

/** Forget all sources, give memory back unless it is little, and take a new seed. */
void levee_sourcetable_reset(struct levee_sourcetable *table);

/** Forget all sources and give all memory back. */
void levee_sourcetable_clear(struct levee_sourcetable *table);

/** Hash of a prefix in this table, until the next reset. */
uint32_t levee_sourcetable_hash(const struct levee_sourcetable *table,
				const struct levee_prefix *prefix);

/** Have the line of the index that a look-up begins with fetched into the cache. */
static inline void levee_sourcetable_fetch(const struct levee_sourcetable *table, uint32_t hash)
{
	if (table->bits)
		__builtin_prefetch(&table->index[hash >> (32 - table->bits)]);
}

/**
 * \param hash  levee_sourcetable_hash() of the prefix
 * \return the source, valid until the next reserve or keep; NULL
 */
struct levee_source *levee_sourcetable_find(const struct levee_sourcetable *table,
					    const struct levee_prefix *prefix, uint32_t hash);

/** Make room for so many more sources. \return 0; -ENOMEM, and nothing has changed */
int levee_sourcetable_reserve(struct levee_sourcetable *table, size_t more);

/**
 * Append a source that find() does not find. Its count and extra are 0.
 * There is room for it: levee_sourcetable_reserve() said so.
 */
struct levee_source *levee_sourcetable_insert(struct levee_sourcetable *table,
					      const struct levee_prefix *prefix, uint32_t hash);

/** Ask `keep` once about every source, in order of arrival, and forget those it is false for. */
void levee_sourcetable_keep(struct levee_sourcetable *table,
			    bool (*keep)(void *ctx, const struct levee_source *source), void *ctx);

static inline uint64_t levee_source_count(const struct levee_source *source)
{
	return source->word & LEVEE_SOURCE_COUNT_MASK;
}

static inline struct levee_prefix levee_source_prefix(const struct levee_source *source)
{
	uint64_t tag = source->word >> LEVEE_SOURCE_COUNT_BITS;

	return (struct levee_prefix){
		.hi = source->hi,
		.lo = source->lo,
		.family = tag & 0x100 ? 6 : 4,
		.length = (uint8_t)tag,
	};
}

#endif
