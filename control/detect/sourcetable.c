/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/sourcetable.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define FIRST_CAPACITY 1024U
#define FIRST_BITS     8U

/* A position and its 1 must fit into 32 bits: 5/8 of 2^29 lines of 8 slots do. */
#define MOST_BITS 29U

/* Sources a line of 8 holds on average before the index doubles; few lines then overflow. */
#define LINE_LOAD 5U

/* How many sources ahead a line is fetched, when all are put into the index again. */
#define FETCH_AHEAD 16U

/* What reset() keeps, so that a quiet network does not map and unmap memory each bin. */
#define KEPT_CAPACITY 4096U

/* Pages of 2 MiB spare an index of many megabytes its TLB misses. */
#define HUGE_FROM (4U << 20)

static void ask_for_huge_pages(void *area, size_t bytes)
{
	if (bytes >= HUGE_FROM)
		(void)madvise(area, bytes, MADV_HUGEPAGE);
}

/*
 * Memory comes straight from the kernel: malloc() would keep what a large bin gives back, and
 * mremap() moves page tables instead of contents.
 */
static void *map_memory(size_t bytes)
{
	void *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	ask_for_huge_pages(area, bytes);
	return area;
}

static void unmap_memory(void *area, size_t bytes)
{
	if (area)
		munmap(area, bytes);
}

static size_t index_bytes(unsigned int bits)
{
	return sizeof(struct levee_sourceline) << bits;
}

static int draw_seed(struct levee_sourcetable *table)
{
	uint64_t seed[4];

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return errno ? -errno : -EIO;
	memcpy(table->seed, seed, sizeof(seed));
	return 0;
}

static uint64_t tag_of(const struct levee_prefix *p)
{
	return (p->family == 6 ? 0x100U : 0U) | p->length;
}

static uint64_t fold_product(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Two rounds of folded 64 x 64 bit products. The second one is there for sources in sequence,
 * which one product may lay out in clusters, and linear probing suffers from clusters.
 */
static uint32_t hash_of(const struct levee_sourcetable *table, uint64_t hi, uint64_t lo,
			uint64_t tag)
{
	const uint64_t *seed = table->seed;
	uint64_t h = fold_product(hi ^ seed[0], lo ^ seed[1] ^ (tag << 32));

	return (uint32_t)(fold_product(h ^ seed[2], seed[3] | 1) >> 32);
}

static void index_put(struct levee_sourceline *index, unsigned int bits, uint32_t hash,
		      uint32_t place)
{
	size_t mask = ((size_t)1 << bits) - 1;
	size_t at = hash >> (32 - bits);
	unsigned int slot = 0;

	while (index[at].place[LEVEE_LINE_SLOTS - 1])
		at = (at + 1) & mask;
	while (index[at].place[slot])
		slot++;
	index[at].hash[slot] = hash;
	index[at].place[slot] = place;
}

static void index_copy(struct levee_sourceline *to, unsigned int bits,
		       const struct levee_sourcetable *table, size_t lines)
{
	const struct levee_sourceline *from = table->index;

	for (size_t i = 0; i < lines; i++) {
		levee_sourcetable_breathe(table, i);
		for (unsigned int slot = 0; slot < LEVEE_LINE_SLOTS; slot++)
			if (from[i].place[slot])
				index_put(to, bits, from[i].hash[slot], from[i].place[slot]);
	}
}

static size_t count_lines(const struct levee_sourcetable *table)
{
	return table->bits ? (size_t)1 << table->bits : 0;
}

static int grow_index(struct levee_sourcetable *table)
{
	unsigned int bits = table->bits ? table->bits + 1 : FIRST_BITS;
	size_t lines = count_lines(table);
	struct levee_sourceline *index;

	if (bits > MOST_BITS)
		return -ENOMEM;
	index = map_memory(index_bytes(bits));
	if (!index)
		return -ENOMEM;
	index_copy(index, bits, table, lines);
	unmap_memory(table->index, lines * sizeof(*index));
	table->index = index;
	table->bits = bits;
	return 0;
}

static int grow_sources(struct levee_sourcetable *table)
{
	size_t capacity = table->capacity ? 2 * table->capacity : FIRST_CAPACITY;
	size_t bytes = capacity * sizeof(struct levee_source);
	void *area;

	if (table->capacity) {
		area = mremap(table->sources, table->capacity * sizeof(struct levee_source), bytes,
			      MREMAP_MAYMOVE);
		if (area == MAP_FAILED)
			return -ENOMEM;
		ask_for_huge_pages(area, bytes);
	} else {
		area = map_memory(bytes);
		if (!area)
			return -ENOMEM;
	}
	table->sources = area;
	table->capacity = capacity;
	return 0;
}

int levee_sourcetable_reserve(struct levee_sourcetable *table, size_t more)
{
	int ret = 0;

	while (!ret && table->n + more > table->capacity)
		ret = grow_sources(table);
	while (!ret && table->n + more > count_lines(table) * LINE_LOAD)
		ret = grow_index(table);
	return ret;
}

uint32_t levee_sourcetable_hash(const struct levee_sourcetable *table,
				const struct levee_prefix *prefix)
{
	return hash_of(table, prefix->hi, prefix->lo, tag_of(prefix));
}

int levee_sourcetable_init(struct levee_sourcetable *table)
{
	memset(table, 0, sizeof(*table));
	return draw_seed(table);
}

void levee_sourcetable_clear(struct levee_sourcetable *table)
{
	unmap_memory(table->sources, table->capacity * sizeof(struct levee_source));
	unmap_memory(table->index, count_lines(table) * sizeof(*table->index));
	table->sources = NULL;
	table->index = NULL;
	table->n = table->capacity = 0;
	table->bits = 0;
}

void levee_sourcetable_reset(struct levee_sourcetable *table)
{
	if (table->capacity > KEPT_CAPACITY)
		levee_sourcetable_clear(table);
	else if (table->n)
		memset(table->index, 0, index_bytes(table->bits));
	table->n = 0;
	/* The old seed, which nobody knows either, will do if there is no new one. */
	(void)draw_seed(table);
}

/* Bit i is set if slot i may be it. Without a branch that nobody can predict. */
static unsigned int match_line(const struct levee_sourceline *line, uint32_t hash)
{
	unsigned int matches = 0;

	for (unsigned int i = 0; i < LEVEE_LINE_SLOTS; i++)
		matches |= (unsigned int)(line->hash[i] == hash) << i;
	return matches;
}

static struct levee_source *find_in_line(const struct levee_sourcetable *table,
					 const struct levee_sourceline *line, unsigned int matches,
					 const struct levee_prefix *prefix)
{
	for (; matches; matches &= matches - 1) {
		uint32_t place = line->place[__builtin_ctz(matches)];
		struct levee_source *source;

		if (!place)
			continue;
		source = &table->sources[place - 1];
		if (source->hi == prefix->hi && source->lo == prefix->lo &&
		    source->word >> LEVEE_SOURCE_COUNT_BITS == tag_of(prefix))
			return source;
	}
	return NULL;
}

struct levee_source *levee_sourcetable_find(const struct levee_sourcetable *table,
					    const struct levee_prefix *prefix, uint32_t hash)
{
	size_t mask = ((size_t)1 << table->bits) - 1;
	size_t at;

	if (!table->bits)
		return NULL;
	for (at = hash >> (32 - table->bits);; at = (at + 1) & mask) {
		const struct levee_sourceline *line = &table->index[at];
		unsigned int matches = match_line(line, hash);
		struct levee_source *source = NULL;

		if (matches)
			source = find_in_line(table, line, matches, prefix);
		if (source || !line->place[LEVEE_LINE_SLOTS - 1])
			return source;
	}
}

struct levee_source *levee_sourcetable_insert(struct levee_sourcetable *table,
					      const struct levee_prefix *prefix, uint32_t hash)
{
	struct levee_source *source = &table->sources[table->n++];

	*source = (struct levee_source){
		.hi = prefix->hi,
		.lo = prefix->lo,
		.word = tag_of(prefix) << LEVEE_SOURCE_COUNT_BITS,
	};
	index_put(table->index, table->bits, hash, (uint32_t)table->n);
	return source;
}

static uint32_t hash_at(const struct levee_sourcetable *table, size_t i)
{
	const struct levee_source *s = &table->sources[i];

	return hash_of(table, s->hi, s->lo, s->word >> LEVEE_SOURCE_COUNT_BITS);
}

static void index_again(struct levee_sourcetable *table)
{
	memset(table->index, 0, index_bytes(table->bits));
	for (size_t i = 0; i < table->n; i++) {
		levee_sourcetable_breathe(table, i);
		if (i + FETCH_AHEAD < table->n)
			levee_sourcetable_fetch(table, hash_at(table, i + FETCH_AHEAD));
		index_put(table->index, table->bits, hash_at(table, i), (uint32_t)(i + 1));
	}
}

void levee_sourcetable_keep(struct levee_sourcetable *table,
			    bool (*keep)(void *ctx, const struct levee_source *source), void *ctx)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->n; i++) {
		levee_sourcetable_breathe(table, i);
		if (keep(ctx, &table->sources[i]))
			table->sources[kept++] = table->sources[i];
	}
	if (kept == table->n)
		return;
	table->n = kept;
	index_again(table);
}
