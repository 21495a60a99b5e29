/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of a data path that runs in this process: the same structs as the maps of the XDP
 * program, in pages of our own, huge ones where the kernel gives them. They end with the process.
 */
#ifndef LEVEE_DPDK_TABLES_H
#define LEVEE_DPDK_TABLES_H

#include "dataplane/policy.h"
#include "dataplane/rows.h"

enum levee_area {
	LEVEE_AREA_PAGE,
	LEVEE_AREA_ROWS,
	LEVEE_AREA_SOURCES4,
	LEVEE_AREA_SOURCES6,
	LEVEE_AREA_EVICTED4,
	LEVEE_AREA_EVICTED6,
	LEVEE_AREA_POLICY,
	LEVEE_AREA_RULES,
	LEVEE_AREA_HITS,
	LEVEE_AREA_FAR4,
	LEVEE_AREA_FAR6,
	LEVEE_AREAS
};

struct levee_tables {
	struct levee_page *page;
	struct levee_rows rows;
	struct levee_policy_memory policy; /* fence and ctx are the caller's to set */
	struct {
		void *base;
		size_t size;
	} area[LEVEE_AREAS]; /* what was mapped, alignment included */
};

/** Who counts, and how much room each of them has. */
struct levee_tables_sizes {
	uint32_t cpus;		/* writers: lcores */
	uint64_t sources;	/* IPv4 slots for each and epoch; rounded up to a power of two */
	uint64_t sources6;	/* IPv6 slots */
	uint64_t rules;		/* allowed and blocked prefixes */
	uint8_t source6_length; /* 1 to 128 */
};

/** Map all tables, empty. \return 0; -ENOMEM, and nothing is mapped */
int levee_tables_open(struct levee_tables *tables, const struct levee_tables_sizes *sizes,
		      uint64_t now_boot_ns);

/** Accepts what is all zero. */
void levee_tables_close(struct levee_tables *tables);

/** Bytes of address space that so many sizes ask for. */
uint64_t levee_tables_bytes(const struct levee_tables *tables);

#endif
