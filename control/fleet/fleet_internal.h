/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the fleet's thread share: fleet.c (queues, contact, turns), exchange.c (bins
 * out, entries both ways), leader.c (collect, reduce, judge), keys.c (names in the engine).
 */
#ifndef LEVEE_FLEET_INTERNAL_H
#define LEVEE_FLEET_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "control/fleet/engine.h"
#include "control/fleet/fleet.h"
#include "control/fleet/lease.h"
#include "control/fleet/sums.h"
#include "control/fleet/url.h"
#include "dataplane/prefixmap.h"

#define LEVEE_KEY_TEXT	    256
#define LEVEE_FLEET_ANSWER  2000 /* an engine that takes longer for one command is down [ms] */
#define LEVEE_FLEET_QUEUE   4	 /* closed bins that wait for the engine; the oldest goes */
#define LEVEE_FLEET_EVENTS  "20000"
#define LEVEE_FLEET_NODES   1024
#define LEVEE_FLEET_GONE_MS 15000 /* a node that was not seen for so long, or 3 bins, is gone */

/* ---- keys.c ------------------------------------------------------------------------------ */

struct levee_fleet_keys {
	const char *prefix;
	const char *name;
	char meta[LEVEE_KEY_TEXT], nodes[LEVEE_KEY_TEXT], lease[LEVEE_KEY_TEXT];
	char token[LEVEE_KEY_TEXT], blocks[LEVEE_KEY_TEXT], events[LEVEE_KEY_TEXT];
	char records[LEVEE_KEY_TEXT], dirty[LEVEE_KEY_TEXT], eval[LEVEE_KEY_TEXT];
};

void levee_fleet_keys_init(struct levee_fleet_keys *keys, const char *prefix, const char *name);
const char *levee_fleet_key_bin(const struct levee_fleet_keys *keys, int64_t start_s,
				char key[static LEVEE_KEY_TEXT]);
const char *levee_fleet_key_parts(const struct levee_fleet_keys *keys, int64_t start_s,
				  unsigned int shard, char key[static LEVEE_KEY_TEXT]);
const char *levee_fleet_key_bucket(const struct levee_fleet_keys *keys, int64_t start_s,
				   unsigned int bucket, unsigned int lane,
				   char key[static LEVEE_KEY_TEXT]);
const char *levee_fleet_key_shares(const struct levee_fleet_keys *keys, int64_t start_s,
				   unsigned int bucket, char key[static LEVEE_KEY_TEXT]);

/* ---- shared ------------------------------------------------------------------------------ */

/* A bin on its way to the engine. */
struct levee_fleet_job {
	struct levee_fleet_bin bin;
	uint64_t seq;
	bool sorted;
	bool late; /* a part found the bin closed */
	size_t at; /* next value to send */
};

struct levee_fleet_fast {
	struct levee_prefix source;
	uint64_t packets;
	int64_t start_s;
};

#define LEVEE_FLEET_FAST   256 /* sources that wait; the largest stay */
#define LEVEE_FLEET_SHARES 64  /* sent at a time, and with nothing before them */

/* A list that grows. */
struct levee_fleet_entries {
	size_t n, room;
	size_t taken; /* of the front, for a queue */
	struct levee_fleet_entry *entry;
};

/* One node as the engine knows it. */
struct levee_fleet_node {
	char name[LEVEE_FLEET_NODE_TEXT];
	uint64_t seen_ms; /* engine's clock */
	int64_t joined_s; /* first bin it takes part in */
	int64_t running_s;
	int64_t done_s; /* last bin it has sent; -1: none */
	bool together;
};

/* The leader's work on one bin. */
struct levee_fleet_collect {
	bool active;
	bool again; /* data came late: it has a record already */
	int64_t start_s;
	uint64_t since_ns; /* boot time */
	uint64_t looked_ns;
	char seen[24]; /* of the dirty mark that is being worked */
	const char *detector;
	struct levee_detect_params detect; /* as it was when the work began */
	unsigned int lanes, some_lanes;	   /* that all nodes of it sent; that any did */
	unsigned int lane, bucket;	   /* next to be reduced */
	struct levee_buckets *buckets;	   /* of the packets, if the detector wants them */
	struct levee_moments folded[LEVEE_MEASURES]; /* over the nodes */
	struct levee_candidate *held; /* blocked sources with more than min_packets, by source */
	size_t n_held;
	bool reducing;
	uint64_t reducing_ns; /* boot time since when */
	struct levee_fleet_record record;
	size_t n_done; /* submissions that were there at the look */
};

/* What others may read, behind the lock. */
struct levee_fleet_shown {
	bool together;
	char why[LEVEE_LINK_WHY]; /* why not */
	uint64_t since_unix_ms;	  /* of together or alone */
	char holder[LEVEE_FLEET_NODE_TEXT];
	uint64_t token;
	unsigned int nodes;
	int64_t clock_ms; /* engine's clock less ours */
	uint64_t round_trip_us;
	int64_t record_s; /* newest fleet-wide bin; -1: none */
	uint64_t record_lag_ms;
	size_t record_nodes, record_missing, record_late;
	struct levee_moments moments;
	double mean, stddev, threshold;
	size_t findings;
	uint64_t reduce_ms; /* that the last reduction took, on the leader */
	uint64_t bins_sent, bins_lost, orders, published, refused, outages, reduced;
	struct levee_link_traffic traffic;
};

struct levee_fleet {
	struct levee_fleet_options options;
	struct levee_fleet_url url;
	struct levee_fleet_keys keys;
	char node[LEVEE_FLEET_NODE_TEXT];
	char life[32]; /* of this process: when it began, and some chance; hexadecimal */

	pthread_t thread;
	bool started;
	int wake_fd;  /* into the thread */
	int order_fd; /* to the controller */

	pthread_mutex_t lock; /* of what follows */
	bool stop;
	bool change_verdicts; /* these take the place of those in `options` */
	const char *next_detector;
	struct levee_blocks_params next_blocks;
	struct levee_fleet_job queue[LEVEE_FLEET_QUEUE];
	size_t queued;
	struct levee_fleet_mirror {
		struct levee_fleet_entries list; /* one a prefix: what holds, as far as we know */
		struct levee_prefixmap at;	 /* prefix -> place in it */
	} mirror[2];				 /* blocks and lifts; [1]: the allow list */
	struct levee_fleet_entries fresh;	 /* decided here, not yet sent */
	struct levee_fleet_entries orders;
	struct levee_fleet_fast fast[LEVEE_FLEET_FAST]; /* one a source */
	size_t n_fast;
	int64_t running_s; /* start of the bin that runs now */
	struct levee_lease lease;
	const char *detector; /* NULL: zscore */
	struct levee_detect_params detect;
	bool fast_on;
	unsigned int warmup_bins;
	struct levee_fleet_shown shown;

	_Atomic bool together;
	_Atomic bool settled;
	_Atomic uint64_t threshold;

	pthread_mutex_t fence_lock; /* of what follows */
	struct levee_engine *fence;
	char *fence_password;

	/* the thread's own */
	struct levee_blocks
		*blocks; /* life of blocks: what the leader decides, and who was before */
	struct levee_fleet_entries ended; /* found at the last look, to be pruned */
	bool told_lanes;		  /* that nodes differ in what they look at */
	struct levee_engine *engine;
	struct levee_link *events;
	char last_event[48];
	double shares_left; /* that may be sent now */
	uint64_t shares_ns; /* boot time as of when */
	char *password;
	struct levee_fleet_seed seed;
	char seed_text[16 * LEVEE_FLEET_SEED_WORDS + 1];
	struct levee_fleet_job job; /* being sent */
	bool busy;		    /* job holds one */
	int64_t done_s;
	int64_t joined_s;
	uint64_t next_beat_ns, next_try_ns, next_full_ns, contact_ns;
	unsigned int tries;
	int64_t clock_ms;
	struct levee_fleet_node *nodes;
	size_t n_nodes;
	struct levee_fleet_collect collect;
	struct levee_fleet_record *records; /* of the window, by start: the leader's */
	size_t n_records;
	bool leading;
	int64_t newest_s; /* start of the newest record that was heard of; -1: none */
	uint64_t newest_ns;
	int64_t reduced_s; /* last bin that this leader has done */
};

uint64_t levee_fleet_boot_ns(void);
uint64_t levee_fleet_unix_ms(void);
void levee_fleet_say(struct levee_fleet *f, bool problem, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Open the engine with the password as it is now, which *password then owns. \return as open */
int levee_fleet_open_engine(const struct levee_fleet *f, struct levee_engine **engine,
			    char **password, char why[static LEVEE_LINK_WHY]);

/** Append; the caller holds the lock if the list is shared. \return 0; -ENOMEM */
int levee_fleet_entries_add(struct levee_fleet_entries *list,
			    const struct levee_fleet_entry *entry);

/* ---- exchange.c -------------------------------------------------------------------------- */

/** Send a slice of the bin at hand. \return 0; -errno of the engine */
int levee_fleet_send_some(struct levee_fleet *f);

/** Send entries that were decided here since the last time. */
int levee_fleet_publish(struct levee_fleet *f);

/** Publish these; fenced by the lease if `claim` is not "". \return how many were taken; -errno */
int levee_fleet_publish_entries(struct levee_fleet *f, const char *claim,
				const struct levee_fleet_entry *entries, size_t n);

/** Read all entries of the engine, and send all of ours. At contact, and once a minute. */
int levee_fleet_exchange_all(struct levee_fleet *f);

/**
 * Merge an entry into the mirror; the caller holds the lock.
 * \return 1 if it won; 0; -ENOMEM
 */
int levee_fleet_merge(struct levee_fleet *f, const struct levee_fleet_entry *entry);

/** Take what the stream has brought. */
int levee_fleet_hear(struct levee_fleet *f);
int levee_fleet_listen(struct levee_fleet *f);

/** This node's entries as of now become the block table of the thread; one prefix, or all. */
void levee_fleet_blocks_take(struct levee_fleet *f, const struct levee_prefix *prefix);
int levee_fleet_blocks_take_all(struct levee_fleet *f);

/** Note what a block of the fleet means for the next one of its source. */
void levee_fleet_note_offence(struct levee_fleet *f, const struct levee_fleet_entry *entry);

struct levee_time levee_fleet_now(void);

/** Fast path: boot time from which on shares that wait may be sent [ns]; 0: now. */
uint64_t levee_fleet_shares_from(const struct levee_fleet *f);

/** Fast path: add this node's shares up. */
int levee_fleet_send_shares(struct levee_fleet *f);

/* ---- leader.c ---------------------------------------------------------------------------- */

/** A slice of the leader's work. \param dirty  HGETALL of the marks, from the beat; or NULL */
int levee_fleet_lead(struct levee_fleet *f, const redisReply *dirty);
void levee_fleet_lead_end(struct levee_fleet *f);

/** Parse what a node says in its beat. \return 0; -EINVAL */
int levee_fleet_node_parse(struct levee_fleet_node *node, const char *name, const char *text);

#endif
