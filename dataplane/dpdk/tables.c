/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/tables.h"

#include <errno.h>
#include <sys/mman.h>

#define SOURCES_MOST (1ULL << 28) /* numbers of buckets and log entries stay within 32 bits */

#define HUGE_PAGE (2UL << 20) /* the kernel joins pages only within aligned areas of this size */

static uint64_t bytes_of(const struct levee_geometry *geo, enum levee_area nr)
{
	uint64_t rows = geo->rows;

	switch (nr) {
	case LEVEE_AREA_PAGE:
		return sizeof(struct levee_page);
	case LEVEE_AREA_ROWS:
		return rows * sizeof(struct levee_row);
	case LEVEE_AREA_SOURCES4:
		return (rows << geo->bits4) * sizeof(struct levee_bucket4);
	case LEVEE_AREA_SOURCES6:
		return (rows << geo->bits6) * sizeof(struct levee_bucket6);
	case LEVEE_AREA_EVICTED4:
		return rows * geo->log4 * sizeof(struct levee_evicted4);
	case LEVEE_AREA_EVICTED6:
		return rows * geo->log6 * sizeof(struct levee_evicted6);
	case LEVEE_AREA_POLICY:
		return (1ULL << geo->rule_bits) * sizeof(struct levee_policy_bucket);
	case LEVEE_AREA_RULES:
		return (uint64_t)geo->rules * sizeof(struct levee_rule);
	case LEVEE_AREA_HITS:
		return (uint64_t)geo->cpus * geo->rules * sizeof(struct levee_hits);
	case LEVEE_AREA_FAR4:
	case LEVEE_AREA_FAR6:
		return LEVEE_FAR_WORDS * sizeof(__u64);
	case LEVEE_AREAS:
		break;
	}
	return 0;
}

/* Zeroed memory; pages are given when first written to, near the lcore that does. */
static void *map_area(struct levee_tables *t, enum levee_area nr)
{
	size_t size = (size_t)bytes_of(&t->rows.geo, nr);
	size_t slack = size >= HUGE_PAGE ? HUGE_PAGE : 0;
	uintptr_t at;
	void *base;

	base = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	t->area[nr].base = base;
	t->area[nr].size = size + slack;
	at = (uintptr_t)base;
	if (slack) {
		at = (at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
		madvise((void *)at, size, MADV_HUGEPAGE); /* small pages work, too, only slower */
	}
	return (void *)at;
}

static int map_all(struct levee_tables *t, void *at[static LEVEE_AREAS])
{
	for (int i = 0; i < LEVEE_AREAS; i++) {
		at[i] = map_area(t, (enum levee_area)i);
		if (!at[i])
			return -ENOMEM;
	}
	return 0;
}

static void describe_policy(struct levee_tables *t, void *at[static LEVEE_AREAS])
{
	t->policy = (struct levee_policy_memory){
		.front = &t->page->front,
		.far4 = at[LEVEE_AREA_FAR4],
		.far6 = at[LEVEE_AREA_FAR6],
		.buckets = at[LEVEE_AREA_POLICY],
		.rules = at[LEVEE_AREA_RULES],
		.hits = at[LEVEE_AREA_HITS],
		.rule_bits = t->rows.geo.rule_bits,
		.rule_count = t->rows.geo.rules,
		.cpus = t->rows.geo.cpus,
		.source6_length = (uint8_t)t->rows.geo.source6_length,
		.key = t->rows.geo.key,
	};
}

int levee_tables_open(struct levee_tables *t, const struct levee_tables_sizes *sizes,
		      uint64_t now_boot_ns)
{
	void *at[LEVEE_AREAS];
	int ret;

	*t = (struct levee_tables){ 0 };
	if (sizes->sources > SOURCES_MOST || sizes->sources6 > SOURCES_MOST ||
	    sizes->rules > LEVEE_RULES_MAX)
		return -ENOMEM;
	levee_geometry_init(&t->rows.geo, sizes->cpus, sizes->sources, sizes->sources6,
			    sizes->source6_length, sizes->rules);
	ret = map_all(t, at);
	if (ret) {
		levee_tables_close(t);
		return ret;
	}
	t->page = at[LEVEE_AREA_PAGE];
	t->rows.control = &t->page->control;
	t->rows.rows = at[LEVEE_AREA_ROWS];
	t->rows.sources4 = at[LEVEE_AREA_SOURCES4];
	t->rows.sources6 = at[LEVEE_AREA_SOURCES6];
	t->rows.evicted4 = at[LEVEE_AREA_EVICTED4];
	t->rows.evicted6 = at[LEVEE_AREA_EVICTED6];
	levee_rows_begin(&t->rows, 1, now_boot_ns);
	describe_policy(t, at);
	return 0;
}

void levee_tables_close(struct levee_tables *t)
{
	for (int i = 0; i < LEVEE_AREAS; i++)
		if (t->area[i].base)
			munmap(t->area[i].base, t->area[i].size);
	*t = (struct levee_tables){ 0 };
}

uint64_t levee_tables_bytes(const struct levee_tables *t)
{
	uint64_t sum = 0;

	for (int i = 0; i < LEVEE_AREAS; i++)
		sum += bytes_of(&t->rows.geo, (enum levee_area)i);
	return sum;
}
