/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of `levee run` share: run.c (start, turns, end), run_allow.c (the allow list in
 * force), run_say.c (what is logged). One thread; others see it through control/board.h.
 */
#ifndef LEVEE_RUN_INTERNAL_H
#define LEVEE_RUN_INTERNAL_H

#include <time.h>

#include "control/controller.h"
#include "control/detect/binclock.h"
#include "control/log.h"
#include "control/run.h"
#include "dataplane/xdp/xdp.h"

struct levee_run {
	const struct levee_config *config;
	struct levee_dataplane *dp;
	struct levee_store *store;
	struct levee_controller controller;
	struct levee_binclock clock;
	uint64_t next_evaluation_ns; /* boot time; LEVEE_NEVER: only at a bin's close */

	struct levee_allowlist
		automatic; /* fixed entries, own addresses, gateways, configuration */
	struct levee_allowlist from_file; /* its last good state */
	struct timespec file_ctime;	  /* also another with a rename, or with an old mtime */
	bool file_missing;		  /* said already */
	bool automatic_failed;		  /* said already */

	struct levee_log_limit drain_limit;
	int state_lock_fd; /* closed after the store: a close drops SQLite's own locks */
	int signal_fd;
	bool stop;
};

/* ---- run_say.c --------------------------------------------------------------------------- */

void levee_run_say_xdp(void *ctx, enum levee_xdp_say level, const char *message);
void levee_run_say_warning(void *ctx, const char *message);
const char *levee_run_mode(const struct levee_config *config);
void levee_run_log_report(const struct levee_run *r, const struct levee_report *report);
void levee_run_log_block(const struct levee_run *r, enum levee_block_change change,
			 const struct levee_block *block, const struct levee_policy_info *info);

/* ---- run_allow.c ------------------------------------------------------------------------- */

/** Gather and read all lists, and put them in force. \return 0; -errno, said */
int levee_run_open_allowlist(struct levee_run *r);

/** Before each verdict: addresses come and go with leases and autoscaling, and files change. */
void levee_run_refresh_allowlist(struct levee_run *r);

/** Read the file again, changed or not, and put all lists in force. */
void levee_run_reread_allowlist(struct levee_run *r);

#endif
