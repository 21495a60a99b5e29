/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board: what the controller's thread shows to the others (API, AWS, fleet), and what they ask
 * it to do. The controller's thread alone touches data path, detector, block table and store.
 *
 * Controller                                  Others, each on a thread of its own
 *	levee_board_new(&board)
 *	watch levee_board_fd(board)
 *	levee_board_publish(board, snapshot)         s = levee_board_snapshot(board)
 *	                                             ... read s, which never changes ...
 *	                                             levee_snapshot_put(&s)
 *	                                             levee_board_wait(board, seq, timeout_ms)
 *	fd readable: levee_board_serve(board, ...)   levee_board_call(board, &request, timeout_ms)
 *	levee_board_event(board, &entry)             levee_board_events(board, after, ...)
 *	levee_board_close(board)                     every wait and call returns -ESHUTDOWN
 *	(the others' threads are joined)
 *	levee_board_free(&board)
 *
 * Nothing here waits for a reader: publishing and noting an event take a lock that is held for
 * the exchange of a pointer or the copy of an entry.
 */
#ifndef LEVEE_BOARD_H
#define LEVEE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/detect/detector.h"
#include "control/detect/trip.h"
#include "control/json.h"
#include "control/policy/blocks.h"
#include "control/policy/nacl_cover.h"
#include "dataplane/dataplane.h"

struct levee_board;

/* ---- the snapshot ------------------------------------------------------------------------ */

/** A block, and what the data path's entry for it has counted. */
struct levee_board_block {
	struct levee_block block; /* prefix, reason, z, packets, ends, flagged, drill marks, note */
	uint64_t packets;	  /* dropped, or in audit mode let pass, since it is in force */
	uint64_t bytes;
	uint64_t first_boot_ns; /* first and last hit [CLOCK_BOOTTIME]; 0: none yet */
	uint64_t last_boot_ns;
	double drop_rate; /* packets/s since the snapshot before, about a second */
	bool shadowed;	  /* not in force: the allow list covers it, or there was no room */
};

enum levee_allow_origin {
	LEVEE_ALLOW_AUTOMATIC, /* fixed entries, own addresses, gateways */
	LEVEE_ALLOW_CONFIG,    /* [allow] prefixes */
	LEVEE_ALLOW_FILE,      /* [allow] file */
	LEVEE_ALLOW_OPERATOR,  /* `levee allow add` */
	LEVEE_ALLOW_SERVICE,   /* a service: VPC CIDRs and the like */
};

struct levee_board_allowed {
	struct levee_prefix prefix;
	enum levee_allow_origin origin;
};

/** An operator's unblock: no detector blocks what is in the prefix until it ends. */
struct levee_board_exemption {
	struct levee_prefix prefix;
	uint64_t created_unix_ns;
	uint64_t expires_boot_ns;
	uint64_t expires_unix_ns;
	char note[LEVEE_NOTE_TEXT];
};

/** One closed bin of the window. */
struct levee_board_bin {
	int64_t start_s; /* [unix s] */
	struct levee_moments moments;
	size_t candidates; /* sources above the packet minimum */
	uint64_t largest;  /* packets of the largest of them; 0: none */
	uint32_t flags;	   /* LEVEE_BIN_* */
	bool has_account;  /* closed by this process: */
	size_t sources;	   /* named sources */
	uint64_t folded;   /* values without a name */
	struct levee_account account;
};

struct levee_board_source {
	struct levee_prefix prefix;
	uint64_t packets; /* in the bin that was closed last */
	uint64_t bytes;
};

/** Largest sources of the last bin that a snapshot names. */
#define LEVEE_BOARD_TOP 1000

/** Immutable once published. All arrays belong to it. */
struct levee_snapshot {
	uint64_t seq; /* of this snapshot; set by publish, increasing */
	struct levee_time taken;
	struct levee_time started; /* of the process */

	/* settings in force */
	unsigned int bin_s;
	unsigned int window_s;
	struct levee_detect_params detect;
	const char *detector; /* its name, which stays */
	bool fast;	      /* the fast path is switched on; `trip` says whether it is armed */
	unsigned int warmup_bins;
	bool audit;
	uint8_t source6_length;

	/* the running bin */
	int64_t bin_start_s;
	uint64_t bin_end_boot_ns;
	struct levee_account running; /* of the running bin so far */

	/* the bin closed last; last_bin_s is 0 if this process has closed none yet */
	int64_t last_bin_s;
	struct levee_account last_bin;
	size_t last_sources;
	uint64_t last_folded;
	struct levee_account total; /* since the process started, running bin included */
	double receive_rate;	    /* packets/s, about the last second */
	double drop_rate;
	uint64_t bins_closed;
	uint64_t bins_late; /* of these, names that stood for several bins, or were closed late */

	/* the latest evaluation; now_s is 0 if there was none yet. Its findings are the flagged
	 * sources, the allow list's taken out, worst first. */
	struct levee_evaluation evaluation;
	struct levee_time evaluated;
	size_t findings_allowed; /* left alone: on the allow list */
	size_t findings_exempt;	 /* left alone: an operator unblocked them */
	uint64_t evaluations;

	size_t n_bins; /* of the window, earliest first */
	struct levee_board_bin *bins;
	size_t n_blocks; /* ordered by prefix */
	struct levee_board_block *blocks;
	size_t n_allowed; /* ordered by prefix; one prefix may come from several origins */
	struct levee_board_allowed *allowed;
	size_t n_exemptions; /* ordered by prefix */
	struct levee_board_exemption *exemptions;
	size_t n_top; /* largest first, at most LEVEE_BOARD_TOP */
	struct levee_board_source *top;

	/* [nacl] strategy = cover: not blocked, and near enough to a block for a rule to touch */
	size_t n_near;
	struct levee_cover_source *near;
	bool near_known; /* nobody is missing */

	struct levee_trip trip; /* the fast path's threshold for the running bin */
	uint64_t trip_events;	/* of the data path: a source passed a share of it on a CPU */

	/* packets that the platform dropped above the instance's allowance, in the last bin and
	 * since the start: control/allowance.h */
	uint64_t allowance_exceeded;
	uint64_t allowance_exceeded_total;

	struct levee_losses losses; /* of the data path's ports; not in any account */

	/* room, for whoever warns before it is used up */
	size_t rules_used;
	size_t rules_max;

	unsigned int refs; /* internal */
};

/** All zero, one reference. \return NULL if memory is short */
struct levee_snapshot *levee_snapshot_new(void);

/** One more reference. */
const struct levee_snapshot *levee_snapshot_get(const struct levee_snapshot *snapshot);

/** Give a reference back; the last one frees it. Accepts NULL inside, and sets it. */
void levee_snapshot_put(const struct levee_snapshot **snapshot);

/** The block of exactly this prefix; the shortest one that contains all of it. NULL: none. */
const struct levee_board_block *levee_snapshot_block(const struct levee_snapshot *snapshot,
						     const struct levee_prefix *prefix);
const struct levee_board_block *levee_snapshot_covering(const struct levee_snapshot *snapshot,
							const struct levee_prefix *prefix);

/** An allowed prefix that contains all of it; an exemption that does. NULL: none. */
const struct levee_board_allowed *levee_snapshot_allowed(const struct levee_snapshot *snapshot,
							 const struct levee_prefix *prefix);
const struct levee_board_exemption *levee_snapshot_exempt(const struct levee_snapshot *snapshot,
							  const struct levee_prefix *prefix);

/* ---- making and unmaking ----------------------------------------------------------------- */

/** \param unix_ns  event ids begin there, so that they increase over restarts. \return 0; -errno */
int levee_board_new(struct levee_board **out, uint64_t unix_ns);

/** Wake everybody: waits, calls that are queued and calls to come return -ESHUTDOWN. */
void levee_board_close(struct levee_board *board);

/** After every other thread has gone. Accepts NULL inside. */
void levee_board_free(struct levee_board **board);

/* ---- snapshots --------------------------------------------------------------------------- */

/** Controller: show a new one. Takes the reference over. */
void levee_board_publish(struct levee_board *board, struct levee_snapshot *snapshot);

/** A reference to the newest, given back with levee_snapshot_put(). NULL before the first. */
const struct levee_snapshot *levee_board_snapshot(struct levee_board *board);

/**
 * Until there is a newer one than seen_seq.
 * \return 0; -ETIMEDOUT; -ESHUTDOWN
 */
int levee_board_wait(struct levee_board *board, uint64_t seen_seq, int timeout_ms);

/** Controller: has anybody asked for a snapshot since this was called last? */
bool levee_board_was_read(struct levee_board *board);

/* ---- requests ---------------------------------------------------------------------------- */

enum levee_request_type {
	LEVEE_REQUEST_BLOCK,	    /* prefix, until, note, force */
	LEVEE_REQUEST_UNBLOCK,	    /* prefix or all, until (end of the exemption), note */
	LEVEE_REQUEST_EXEMPT_END,   /* prefix: take an exemption back */
	LEVEE_REQUEST_ALLOW_ADD,    /* prefix, note */
	LEVEE_REQUEST_ALLOW_REMOVE, /* prefix */
	LEVEE_REQUEST_SOURCE,	    /* prefix: fills `source` */
	LEVEE_REQUEST_RELOAD,
	LEVEE_REQUEST_DRILL,	 /* prefix, rate, until, push */
	LEVEE_REQUEST_DRILL_END, /* now */
	LEVEE_REQUESTS,
};

/** How long: not said (a default of the request), for good, or for so many seconds. */
#define LEVEE_FOR_DEFAULT 0
#define LEVEE_FOR_EVER	  UINT64_MAX
#define LEVEE_FOR_MAX_S	  (10ULL * 366 * 86400)

#define LEVEE_REQUEST_TEXT 2048

/** One bin of one source. */
struct levee_source_bin {
	int64_t start_s;
	uint64_t packets;
	uint64_t bytes;
	double zscore; /* against the moments of the latest evaluation */
	bool abnormal; /* above both limits, decided as the detector decides */
};

/** Everything about one source, at one instant. */
struct levee_source_view {
	struct levee_prefix source; /* what is counted and blocked: the /64 of an IPv6 address */
	bool in_running;	    /* running_packets is known: counts were drained in mid-bin */
	uint64_t running_packets;
	bool in_last; /* last_packets is known; else it is no more than last_at_most */
	uint64_t last_packets;
	uint64_t last_bytes;
	uint64_t last_at_most;
	size_t n_bins; /* of the window in which it is above the packet minimum, earliest first */
	struct levee_source_bin *bins; /* owned by the request */
};

struct levee_request {
	enum levee_request_type type;
	struct levee_prefix prefix;
	uint64_t for_s; /* LEVEE_FOR_* or seconds */
	uint64_t rate;	/* drill [packets/s] */
	bool all;	/* unblock: every block */
	bool force;	/* block: also what is so wide that it looks like a mistake */
	bool push;	/* drill: let network ACLs have it, too */
	bool local;	/* block, unblock: on this instance alone, not in its fleet */
	enum levee_block_reason reason; /* block: LEVEE_BLOCK_MANUAL if 0 */
	char note[LEVEE_NOTE_TEXT];	/* the operator's words */

	/* the answer */
	int result;			  /* 0; -errno */
	char message[LEVEE_REQUEST_TEXT]; /* what was done, or why not and what to do instead */
	size_t changed;			  /* blocks lifted or put, prefixes added or removed */
	uint64_t end_unix_ns;		  /* of the block or exemption; LEVEE_NEVER; 0: none */
	struct levee_source_view source;
};

/** Frees what an answer owns. */
void levee_request_clear(struct levee_request *request);

/**
 * Have the controller's thread carry a request out, and wait.
 * \return 0: carried out or refused, see request->result; -ETIMEDOUT: not yet, it may still be
 *         carried out; -ESHUTDOWN; -EBUSY: too many are waiting; -ENOMEM
 */
int levee_board_call(struct levee_board *board, struct levee_request *request, int timeout_ms);

/**
 * The same without waiting: done is called once with the answer, on the controller's thread, or
 * with result -ESHUTDOWN on the thread that closes the board; it must not block. The request is
 * copied; the one that done gets is its to clear.
 * \return 0; -ESHUTDOWN; -EBUSY; -ENOMEM: done is then not called
 */
int levee_board_submit(struct levee_board *board, const struct levee_request *request,
		       void (*done)(void *ctx, struct levee_request *answered), void *ctx);

/** Controller: readable while requests wait. */
int levee_board_fd(const struct levee_board *board);

/** Controller: does any request wait? Costs next to nothing. */
bool levee_board_has_requests(const struct levee_board *board);

/**
 * Controller: in the middle of long work, carry out those that cannot wait (block, unblock, allow), in
 * their order, before all others: what waits at the same time has no order of its own. They are answered by
 * levee_board_serve(), as all others, when a snapshot can show what they changed.
 * \return how many were carried out
 */
size_t levee_board_serve_urgent(struct levee_board *board,
				void (*execute)(void *ctx, struct levee_request *request),
				void *ctx);

/** Controller: the same until fd is readable. */
void levee_board_await(struct levee_board *board, int fd,
		       void (*execute)(void *ctx, struct levee_request *request), void *ctx);

/**
 * Controller: carry out what waits, then call `after` (publish what has changed; may be NULL), and
 * only then let the askers go on, so that a snapshot they ask for has what they changed.
 * \return how many requests were carried out
 */
size_t levee_board_serve(struct levee_board *board,
			 void (*execute)(void *ctx, struct levee_request *request),
			 void (*after)(void *ctx), void *ctx);

/* ---- events ------------------------------------------------------------------------------ */

/** Events that are kept for followers who come late or are slow. */
#define LEVEE_BOARD_EVENTS 4096

/** Kinds: block, harden, lift, bin, allow, exempt, reload, drill, health, nacl, fleet, ... */
struct levee_board_entry {
	uint64_t id;	  /* set when it is noted: increasing, over restarts, too */
	uint64_t unix_ns; /* 0: set when it is noted */
	char kind[16];
	char subject[64]; /* a prefix, a bin, a file; may be empty */
	char text[256];	  /* one sentence for people */
	double zscore;	  /* 0: does not apply, as for all below */
	uint64_t packets; /* of the bin that tripped */
	uint64_t dropped; /* packets */
	uint64_t end_unix_ns;
	bool drill;
};

/** Note an event; the oldest makes room. Any thread. \return its id */
uint64_t levee_board_event(struct levee_board *board, const struct levee_board_entry *entry);

/**
 * Events after an id, earliest first.
 * \param after   0: all that are kept
 * \param missed  set to how many after it are not kept any more
 * \return how many were copied, at most max
 */
size_t levee_board_events(struct levee_board *board, uint64_t after,
			  struct levee_board_entry *entries, size_t max, uint64_t *missed);

/** Id of the newest event; one below the first if there is none. */
uint64_t levee_board_last_event(struct levee_board *board);

/** Until there is an event after an id. \return 0; -ETIMEDOUT; -ESHUTDOWN */
int levee_board_wait_event(struct levee_board *board, uint64_t after, int timeout_ms);

/* ---- health ------------------------------------------------------------------------------ */

#define LEVEE_BOARD_PROBLEMS 32

/** Something that is wrong now. */
struct levee_board_problem {
	char name[32];	/* "allow-list", "state", "nacl": one problem a name */
	bool not_ready; /* protection does not work because of it; else it is less than it should */
	char text[256]; /* what, and what to do */
	uint64_t since_unix_ns;
};

/**
 * Say that something is wrong, or that it is right again (text NULL). Any thread. Each change is
 * an event of kind "health".
 */
void levee_board_health(struct levee_board *board, const char *name, bool not_ready,
			const char *text);

/** What is wrong now. \return how many */
size_t levee_board_problems(struct levee_board *board,
			    struct levee_board_problem problems[static LEVEE_BOARD_PROBLEMS]);

/* ---- services ---------------------------------------------------------------------------- */

/** What a service (nacl, fleet) adds to the API and to /metrics, behind its own lock. */
struct levee_board_service {
	const char *name; /* GET /api/v1/NAME */
	/** Write the members of its status object. Called on the API's thread; must not wait. */
	void (*status)(void *ctx, struct levee_json *j);
	/** Write metrics in Prometheus' text format, names levee_NAME_...; may be NULL. */
	void (*metrics)(void *ctx, FILE *out);
	/** Write what the service does about a source, as members; nothing: none of it. May be NULL. */
	void (*explain)(void *ctx, const struct levee_prefix *source, struct levee_json *j);
	void *ctx;
};

#define LEVEE_BOARD_SERVICES 8

/** Copied; its name and ctx must stay until levee_board_withdraw(). \return 0; -ENOSPC; -EEXIST */
int levee_board_register(struct levee_board *board, const struct levee_board_service *service);
/** Of its name. Once this returns, none of its functions runs or will run. */
void levee_board_withdraw(struct levee_board *board, const struct levee_board_service *service);

/** Have a service write its status. \return 0; -ENOENT if there is none of that name */
int levee_board_service_status(struct levee_board *board, const char *name, struct levee_json *j);
/** Have every service write an object of its name with what it does about a source. */
void levee_board_service_explain(struct levee_board *board, const struct levee_prefix *source,
				 struct levee_json *j);
void levee_board_service_metrics(struct levee_board *board, FILE *out);

#endif
