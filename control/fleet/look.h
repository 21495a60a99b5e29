/* SPDX-License-Identifier: BSD-2-Clause */
/* A look at a fleet from outside, through the engine alone: for `levee fleet status`, and `levee fleet reset`. */
#ifndef LEVEE_FLEET_LOOK_H
#define LEVEE_FLEET_LOOK_H

#include "control/fleet/fleet.h"
#include "control/fleet/sums.h"

struct levee_fleet_seen {
	char name[LEVEE_FLEET_NODE_TEXT];
	int64_t ago_ms;	 /* since its last sign of life, by the engine's clock */
	int64_t running; /* start of its running bin [unix s] */
	int64_t done;	 /* last bin it has sent; -1: none yet */
	bool together;
	char version[48];
};

struct levee_fleet_view {
	size_t n_nodes;
	struct levee_fleet_seen *nodes; /* by name */
	char leader[LEVEE_FLEET_NODE_TEXT];
	uint64_t token;
	bool has_record;
	struct levee_fleet_record record; /* of the newest fleet-wide bin */
	size_t n_records;
	double mean, stddev, threshold;
	size_t findings, blocks;
	size_t allowed; /* prefixes that an operator put on the allow list */
	unsigned int servers;
	char schema[16], bin[16], window[16];
};

/**
 * Only options->url, ca_file, password_file, prefix and name are looked at.
 * \param why  filled on failure; LEVEE_LOOK_WHY bytes
 * \return 0, levee_fleet_view_clear() frees it; -ENOENT: there is no such fleet; -errno
 */
#define LEVEE_LOOK_WHY 512
int levee_fleet_look(struct levee_fleet_view *view, const struct levee_fleet_options *options,
		     char why[static LEVEE_LOOK_WHY]);
void levee_fleet_view_clear(struct levee_fleet_view *view);

/* What a fleet had agreed on. */
struct levee_fleet_was {
	char schema[16], bin[16], window[16];
	size_t live;   /* instances that were seen a moment ago */
	size_t blocks; /* blocks and lifts, which stay */
};

/**
 * Forget what the fleet agreed on, and the bins that were counted by it, so that it can be agreed on
 * anew. Blocks and lifts stay, and nothing that is not this fleet's is looked at.
 * \return 0; -EBUSY: instances live; -ENOENT: there is no such fleet; -errno; with why filled
 */
int levee_fleet_reset(struct levee_fleet_was *was, const struct levee_fleet_options *options,
		      bool force, char why[static LEVEE_LOOK_WHY]);

#endif
