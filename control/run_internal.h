/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of `levee run` share: run.c (start, turns, end), run_path.c (which data path),
 * run_allow.c (the allow list in force), run_say.c (what is logged). One thread; others see it through control/board.h.
 */
#ifndef LEVEE_RUN_INTERNAL_H
#define LEVEE_RUN_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "control/allowinbox.h"
#include "control/api/api.h"
#include "control/aws/agent.h"
#include "control/allowance.h"
#include "control/board.h"
#include "control/controller.h"
#include "control/detect/binclock.h"
#include "control/detect/watch.h"
#include "control/log.h"
#include "control/policy/drill.h"
#include "control/policy/operator.h"
#include "control/run.h"
#include "control/service/notify.h"

/* A bin that this process closed. */
struct levee_run_bin {
	int64_t start_s;
	struct levee_account account;
	size_t sources;
	uint64_t folded;
};

/* What snapshots are made of and nobody else keeps. */
struct levee_run_view {
	struct levee_time started;
	bool changed; /* since the last snapshot */
	uint64_t published_ns;
	const struct levee_snapshot *before; /* what rates are found against */
	struct levee_evaluation evaluation;  /* the latest */
	struct levee_time evaluated;
	uint64_t evaluations;
	size_t findings_allowed, findings_exempt;
	struct levee_account total; /* of all closed bins */
	int64_t last_bin_s;
	uint64_t bins_closed;
	uint64_t bins_late;
	uint64_t trip_events;
	struct levee_run_bin *closed; /* a ring */
	size_t n_closed, room_closed, next_closed;
	struct levee_board_source *top; /* of the last bin, largest first; LEVEE_BOARD_TOP */
	size_t n_top;
};

/* What run_aws.c keeps. */
struct levee_run_aws {
	struct levee_aws_agent *agent;	 /* NULL: [aws] is not enabled */
	struct levee_nacl_service *nacl; /* NULL: [nacl] is not enabled */
	struct levee_allow_inbox *inbox;
	struct levee_allowlist from_vpc; /* CIDRs of the VPC; last good state */
	struct levee_allowlist from_s3;	 /* last good state */
	bool hold;    /* the list in S3 was never read: nothing is dropped until it is */
	bool awaited; /* a reload named a list that was never read; what was in force stays so */
	struct levee_config *config; /* their own copy of what they run by */

	/* Others take their place: on a thread of its own, because ending them may take a moment. */
	pthread_t change;
	bool changing;
	struct levee_config *next;   /* the changing thread's, from its start on */
	struct levee_config *queued; /* for when it is done */
	atomic_bool changed;
};

/* What run_fleet.c keeps. */
struct levee_run_fleet {
	struct levee_fleet *fleet; /* NULL: no [fleet] url */
	bool quiet;		   /* changes of blocks are not to be told to the fleet */
	bool registered;
	bool ready; /* what the fleet blocks is in force, or cannot be known */
};

#define LEVEE_DRILL_STEPS 16

struct levee_drill_step {
	uint64_t after_ns; /* since it began */
	char text[256];
};

/* The drill that runs or ran last. Written by the controller's thread, under the lock. */
struct levee_run_drill {
	pthread_mutex_t lock;
	struct levee_board_service service;
	struct levee_drill drill;
	uint64_t for_s;
	uint64_t begun_boot_ns, ends_boot_ns, blocked_boot_ns;
	bool has_run, is_running, was_judged, is_blocked;
	uint64_t largest; /* its largest bin, and the Z-score of that, at the latest evaluation */
	double zscore;
	struct levee_drill_step steps[LEVEE_DRILL_STEPS];
	size_t n_steps;
	char result[256]; /* once it is over */
};

struct levee_run {
	const struct levee_config *config;
	struct levee_config *live_config; /* the same, for run_reload.c */
	const struct levee_run_source *source;
	struct levee_dataplane *dp;
	struct levee_store *store;
	struct levee_running *parts; /* NULL: no state file, or it cannot be opened */
	struct levee_controller controller;
	struct levee_binclock clock;
	struct levee_board *board;
	struct levee_api *api;
	struct levee_run_view view;
	struct levee_run_drill drill;
	struct levee_run_aws aws;
	struct levee_run_fleet fleet;
	uint64_t next_evaluation_ns; /* boot time; LEVEE_NEVER: only at a bin's close */

	char boot_id[64];

	struct levee_operator_list exemptions;
	struct levee_operator_list allowed; /* prefixes that operators put on the allow list */
	struct levee_allowlist
		automatic; /* fixed entries, own addresses, gateways, configuration */
	struct levee_allowlist from_file; /* its last good state */
	struct timespec file_ctime;	  /* also another with a rename, or with an old mtime */
	bool file_missing;		  /* said already */
	bool automatic_failed;		  /* said already */
	bool masked;			  /* by the latest evaluation, and said */
	struct levee_allowance allowance; /* of the platform */
	bool exceeded;			  /* in the last bin, and said */

	struct levee_notify notify; /* the service manager */
	struct levee_log_limit drain_limit;
	bool drain_failed;	  /* the last one */
	struct levee_watch watch; /* sources on their way to the threshold */
	bool tripped;		  /* blocks of the fast path that are not stored yet */
	int state_lock_fd;	  /* closed after the store: a close drops SQLite's own locks */
	int signal_fd;
	bool stop;
};

/* ---- run.c ------------------------------------------------------------------------------- */

/** The time of the bin clock, which may run ahead of the wall: what bins and blocks go by. */
uint64_t levee_run_bin_time_ns(const struct levee_run *r, const struct levee_time *now);

/** What the controller is told by the configuration in force. */
struct levee_controller_options levee_run_options(const struct levee_run *r);

/** When the running bin is judged next. */
void levee_run_schedule(struct levee_run *r);

void levee_run_complain_of_drain(struct levee_run *r, int ret, uint64_t now_ns);

/* ---- run_resume.c ------------------------------------------------------------------------ */

/**
 * Take up what the process before left: parts of its running bin, an epoch that it had drained,
 * and what was counted since. After the window, the blocks and the bin clock.
 */
void levee_run_resume(struct levee_run *r, const struct levee_time *now);

/* ---- run_reload.c ------------------------------------------------------------------------ */

/**
 * Read configuration and lists again, and put in force what is live; all of it or nothing.
 * \param request  of whom the answer is; NULL: SIGHUP, and all is logged
 */
void levee_run_reload(struct levee_run *r, struct levee_request *request);

/* ---- run_say.c --------------------------------------------------------------------------- */

void levee_run_say_warning(void *ctx, const char *message);
/** "2026-01-31T12:00:00Z" */
const char *levee_run_format_time(int64_t unix_s, char text[static 32]);
const char *levee_run_mode(const struct levee_config *config);
/** At each close of a bin: what the platform dropped before it came here. */
void levee_run_check_allowance(struct levee_run *r);
void levee_run_log_report(struct levee_run *r, const struct levee_report *report);
void levee_run_log_block(const struct levee_run *r, enum levee_block_change change,
			 const struct levee_block *block, const struct levee_policy_info *info);

/* ---- run_path.c -------------------------------------------------------------------------- */

/** The data path that the configuration names, not yet started. \return 0; -errno, said */
int levee_run_open_path(struct levee_run *r);
int levee_run_start_path(struct levee_run *r);

/** Once the board is there and privileges are given up: what takes long goes on beside this thread. */
int levee_run_settle_path(struct levee_run *r);

/** Does the configuration ask for TCP headers? */
bool levee_run_wants_flows(const struct levee_config *config);

/** Once a bin: are interfaces and ports as they should be? Says what is new. */
void levee_run_check_path(struct levee_run *r);
void levee_run_losses(const struct levee_run *r, struct levee_losses *losses);

/** TCP headers are looked at soon, or not any more. \return 0; -errno: it stays as it was */
int levee_run_set_flows(struct levee_run *r, bool flows);
/** Each turn. */
void levee_run_tend_path(struct levee_run *r);

const char *levee_run_maps_id(const struct levee_run *r);
unsigned int levee_run_cpus(const struct levee_run *r); /* that may count one source */
bool levee_run_resumed(const struct levee_run *r);	/* counts of a process before were found */
const char *levee_run_stopped(const struct levee_run *r); /* what an end by SIGTERM means */

/** Fixed prefixes, and addresses and gateways of the interfaces. As levee_allowlist_automatic(). */
int levee_run_own_prefixes(const struct levee_run *r, struct levee_allowlist *out);

/* ---- run_allow.c ------------------------------------------------------------------------- */

/** Put the union of all lists in force. \return 0; -errno, said: the one before stays */
int levee_run_apply_allowlist(struct levee_run *r);

/** Gather and read all lists, and put them in force. \return 0; -errno, said */
int levee_run_open_allowlist(struct levee_run *r);

/** Before each verdict: addresses come and go with leases and autoscaling, and files change. */
void levee_run_refresh_allowlist(struct levee_run *r);

/** Put all lists in force as they are. \return 0; -errno, said */
int levee_run_apply_allowlist(struct levee_run *r);

/** Read the file again, changed or not, and put all lists in force. */
void levee_run_reread_allowlist(struct levee_run *r);

/** The entry that covers a prefix, and where it comes from. \return false: none */
bool levee_run_find_allowed(const struct levee_run *r, const struct levee_prefix *prefix,
			    struct levee_board_allowed *found);
const char *levee_allow_origin_name(enum levee_allow_origin origin);

/** The lists in force, with where each prefix comes from, for a snapshot. \return 0; -ENOMEM */
int levee_run_copy_allowlist(const struct levee_run *r, struct levee_snapshot *s);

/* ---- run_aws.c --------------------------------------------------------------------------- */

/** Before the allow list is opened: last good copies. \return 0; -errno, said */
int levee_run_open_aws(struct levee_run *r);
/** Once everything else runs. A failure is said, and keeps nobody from running. \return 0 */
int levee_run_start_aws(struct levee_run *r);
/** Each turn: put in force what the agent has found. */
void levee_run_tend_aws(struct levee_run *r);
/** Take new lists without putting them in force. \return whether there are any */
bool levee_run_take_lists(struct levee_run *r);
/**
 * Their keys have changed: end the services and start others by r->config, without waiting.
 * \return 0; -errno: they go on as they were
 */
int levee_run_change_aws(struct levee_run *r);
/** Keys of the lists have changed: what is in force stays until a new list is here. */
void levee_run_change_lists(struct levee_run *r, bool s3_changed);
void levee_run_stop_aws(struct levee_run *r);
void levee_run_close_aws(struct levee_run *r);

/** Is nothing dropped: by configuration, or because the allow list is not known yet? */
bool levee_run_audits(const struct levee_run *r);
void levee_run_apply_mode(struct levee_run *r);

/* ---- run_fleet.c ------------------------------------------------------------------------- */

/** Once blocks are restored: what happens from then on is kept for it. \return 0; -errno, said */
int levee_run_open_fleet(struct levee_run *r);
/** Once the data path runs and privileges are given up. \return 0; -errno, said */
int levee_run_start_fleet(struct levee_run *r);
/** Each turn: carry out what the fleet has decided. */
void levee_run_tend_fleet(struct levee_run *r);
/** Before a verdict: who decides now? */
void levee_run_ask_fleet(struct levee_run *r);
void levee_run_stop_fleet(struct levee_run *r);
/** After a reload: the limits in force are the fleet's as well, where this node leads it. */
void levee_run_limit_fleet(struct levee_run *r);

/** Tell the fleet. Nothing happens without one, or while its own orders are carried out. */
void levee_run_share_bin(struct levee_run *r, const struct levee_bin *bin, int64_t start_s,
			 unsigned int parts);
void levee_run_share_block(struct levee_run *r, enum levee_block_change change,
			   const struct levee_block *block);
/* On the allow list by hand, or off it. */
void levee_run_share_allow(struct levee_run *r, const struct levee_operator_entry *entry,
			   bool on_list, uint64_t said_unix_ns);
void levee_run_share_lift(struct levee_run *r, const struct levee_prefix *prefix,
			  uint64_t expires_unix_ns);
uint64_t levee_run_share_every_ns(const struct levee_run *r);
void levee_run_on_share(void *ctx, const struct levee_prefix *source, uint64_t packets);

/* ---- run_board.c ------------------------------------------------------------------------- */

int levee_run_open_board(struct levee_run *r);
/** Once everything is in force. What cannot be served is said. */
void levee_run_open_api(struct levee_run *r);
/** The API with it. */
void levee_run_close_board(struct levee_run *r);

/** At the end of each turn: a new snapshot, if something has changed or somebody looks. */
void levee_run_publish(struct levee_run *r, const struct levee_time *now);

/** Carry out what other threads asked for. */
void levee_run_serve(struct levee_run *r);
/** Hooks of the controller and the data path: of that, what cannot wait; once, or until fd is readable. */
void levee_run_breathe(void *ctx);
void levee_run_await(void *ctx, int fd);

/** Hooks of the controller. */
void levee_run_on_close(void *ctx, const struct levee_bin *bin, int64_t start_s,
			unsigned int parts);
void levee_run_on_report(void *ctx, const struct levee_report *report);
void levee_run_on_block(void *ctx, enum levee_block_change change, const struct levee_block *block,
			const struct levee_policy_info *info);

/* ---- run_request.c ----------------------------------------------------------------------- */

void levee_run_execute(void *ctx, struct levee_request *request);

/* ---- run_operator.c ---------------------------------------------------------------------- */

/** Bring back what operators said, after the controller has brought back its blocks. */
void levee_run_load_operator(struct levee_run *r, const struct levee_time *now);

bool levee_run_is_exempt(void *ctx, const struct levee_prefix *source);

/** End exemptions whose time has come. */
void levee_run_expire_operator(struct levee_run *r, const struct levee_time *now);

/** Keep, or forget, an entry over restarts. A failure is said, and does not undo it. */
void levee_run_store_entry(struct levee_run *r, const struct levee_operator_entry *entry);
void levee_run_forget_entry(struct levee_run *r, enum levee_operator_kind kind,
			    const struct levee_prefix *prefix);

/** Hook of the controller: keep all of them, once the store can be written again. */
void levee_run_put_operator_again(void *ctx);

void levee_run_do_block(struct levee_run *r, struct levee_request *request);
void levee_run_do_unblock(struct levee_run *r, struct levee_request *request);
/** Take back exemptions within a prefix that was blocked by hand: the latest word counts. */
void levee_run_end_exemptions(struct levee_run *r, const struct levee_prefix *prefix,
			      bool local_too);

/** The fleet lifted it: no detector blocks it for so long (LEVEE_FOR_*) here either. */
void levee_run_take_lift(struct levee_run *r, const struct levee_prefix *prefix, uint64_t for_s,
			 const char *note);
void levee_run_do_exempt_end(struct levee_run *r, struct levee_request *request);
/* The same, as said on another instance. */
void levee_run_take_allow(struct levee_run *r, const struct levee_prefix *prefix, bool on_list,
			  uint64_t said_unix_ns, const char *note);
void levee_run_do_allow_add(struct levee_run *r, struct levee_request *request);
void levee_run_do_allow_remove(struct levee_run *r, struct levee_request *request);

/* ---- run_drill.c ------------------------------------------------------------------------- */

/** Once the blocks of the process before are back: those of its drill are lifted. */
void levee_run_open_drill(struct levee_run *r);
void levee_run_close_drill(struct levee_run *r);
void levee_run_do_drill(struct levee_run *r, struct levee_request *request);
void levee_run_do_drill_end(struct levee_run *r, struct levee_request *request);
/** Keep whose block it is, before there is one: a daemon that takes over is to lift it. */
void levee_run_mark_drill(struct levee_run *r);

/** At the end of each turn. */
void levee_run_drill_tick(struct levee_run *r, const struct levee_time *now);
/** Hook of the controller. */
bool levee_run_drill_judge(void *ctx, const struct levee_evaluation *evaluation,
			   struct levee_finding *finding);

/** Fill the answer of a request. */
void levee_run_answer(struct levee_request *request, int result, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
