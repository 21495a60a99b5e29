/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A bin of one node, taken apart for the engine, and the engine's answers put together again. Pure.
 *
 * Sources go into 2048 buckets, each a hash in the engine for each lane (what is known of a source:
 * packets, bytes, ...), 32 buckets to a shard, each shard in a hash slot of its own. Which bucket is
 * decided by a hash that is keyed with a seed the fleet agreed on: who sends packets cannot aim at
 * one bucket, so each stays small and is reduced in less than a millisecond. Sources are sorted, so that a node that was killed while it sent a bin, and
 * reads the same epoch again, makes the very same parts: the engine knows them by their names.
 */
#ifndef LEVEE_FLEET_SUMS_H
#define LEVEE_FLEET_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/detect/bin.h"
#include "control/detect/window.h"

#define LEVEE_FLEET_SHARDS     64U
#define LEVEE_FLEET_BUCKETS    2048U
#define LEVEE_FLEET_PER_SHARD  (LEVEE_FLEET_BUCKETS / LEVEE_FLEET_SHARDS)
#define LEVEE_FLEET_PART_MAX   256U /* values in one command */
#define LEVEE_FLEET_FIELD_MAX  17U  /* bytes that name a source in the engine */
#define LEVEE_FLEET_SEED_WORDS 4

struct levee_fleet_seed {
	uint64_t word[LEVEE_FLEET_SEED_WORDS];
};

/** From the text that the fleet agreed on: 64 hexadecimal digits. \return 0; -EINVAL */
int levee_fleet_seed_parse(struct levee_fleet_seed *seed, const char *text);

unsigned int levee_fleet_bucket(const struct levee_fleet_seed *seed,
				const struct levee_prefix *source);

/** 4 bytes for an IPv4 address; 9 or 17 for an IPv6 prefix. \return how many */
size_t levee_fleet_field(const struct levee_prefix *source,
			 unsigned char field[static LEVEE_FLEET_FIELD_MAX]);
/** \return 0; -EINVAL */
int levee_fleet_field_parse(struct levee_prefix *source, const void *field, size_t n);

/**
 * What is added up of a source over the nodes. The first three are the measures of the same number.
 * A node sends the lanes that its configuration makes it look at; packets always.
 */
enum levee_fleet_lane {
	LEVEE_LANE_PACKETS = LEVEE_PACKETS,
	LEVEE_LANE_BYTES = LEVEE_BYTES,
	LEVEE_LANE_SYNS = LEVEE_SYNS,
	LEVEE_LANE_ANSWERED, /* nodes on which it had an established flow */
	LEVEE_LANE_HELD,     /* packets of a blocked source: dropped, limited, and counted */
	LEVEE_LANES
};

/** What names a lane in the engine: one letter each, in their order. */
#define LEVEE_LANE_LETTERS "pbsah"

/** One value of a source. */
struct levee_fleet_source {
	struct levee_prefix source;
	uint64_t value;
	uint32_t bucket;
	uint8_t lane;
};

/** What a blocked source sent in a bin. */
struct levee_fleet_held {
	struct levee_prefix source;
	uint64_t packets;
};

/** A closed bin of this node. */
struct levee_fleet_bin {
	int64_t start_s;
	uint64_t sources; /* counted */
	uint64_t packets;
	unsigned int lanes; /* bits: what this node looks at */
	struct levee_moments
		folded[LEVEE_MEASURES]; /* values that lost their names; n of packets */
	size_t n;
	struct levee_fleet_source *values; /* sorted by bucket, lane and source, by _sort() */
};

/**
 * Copy a bin.
 * \param lanes  bits of LEVEE_LANE_*; packets and held are taken as given
 * \param held   n_held blocked sources; none is there twice
 * \return 0; -ENOMEM; -ERANGE. levee_fleet_bin_clear() frees it.
 */
int levee_fleet_bin_make(struct levee_fleet_bin *out, const struct levee_bin *bin, int64_t start_s,
			 unsigned int lanes, const struct levee_fleet_held *held, size_t n_held);
void levee_fleet_bin_clear(struct levee_fleet_bin *bin);

/** "pb": the letters of the lanes. \return text */
const char *levee_fleet_lanes_format(unsigned int lanes, char text[static LEVEE_LANES + 1]);
/** \return bits; 0 if it is not of that form, or lacks packets */
unsigned int levee_fleet_lanes_parse(const char *text);

/** Give each value its bucket, and sort. */
void levee_fleet_bin_sort(struct levee_fleet_bin *bin, const struct levee_fleet_seed *seed);

/** Values from `at` on that make one part: of one shard, at most LEVEE_FLEET_PART_MAX. */
size_t levee_fleet_bin_part(const struct levee_fleet_bin *bin, size_t at);

/** A number for the content of a part (FNV-1a): the same content has the same name. */
uint64_t levee_fleet_part_sum(const struct levee_fleet_source *values, size_t n);

/**
 * Add what the reduction of one bucket answered: ten numbers (see LEVEE_SCRIPT_REDUCE).
 * \param capped  increased by the values that were above 2^48
 * \return 0; -EPROTO; -ERANGE
 */
int levee_fleet_reduced(struct levee_moments *sum, uint64_t *capped, const char *text);

/** Count the cells that the reduction of one bucket answered: "BUCKET COUNT BUCKET COUNT ...". */
int levee_fleet_reduced_cells(struct levee_buckets *buckets, const char *text);

/** A number of 128 bits as 32 hexadecimal digits. \return 0; -EINVAL */
int levee_fleet_wide_parse(levee_u128 *value, const char *text);

/* ---- the record of a fleet-wide bin ------------------------------------------------------ */

/** What the leader writes down of a bin, and every leader after it reads. */
struct levee_fleet_record {
	struct levee_bin_record bin;
	uint64_t capped;
	size_t n_nodes; /* nodes whose sources are in it */
	char **nodes;
	size_t n_late; /* of these, those that came after the grace */
	char **late;
	size_t n_missing; /* nodes that were expected */
	char **missing;
};

/** As JSON. \return the caller frees it; NULL if memory is short */
char *levee_fleet_record_format(const struct levee_fleet_record *record);
/** \return 0, levee_fleet_record_clear() frees it; -EINVAL; -ENOMEM */
int levee_fleet_record_parse(struct levee_fleet_record *record, const char *text);
void levee_fleet_record_clear(struct levee_fleet_record *record);

/** Add a name to one of the lists. \return 0; -ENOMEM */
int levee_fleet_name_add(char ***list, size_t *n, const char *name);
bool levee_fleet_name_in(char *const *list, size_t n, const char *name);

#endif
