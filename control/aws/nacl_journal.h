/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writes of the last minutes, on disk: each is put down before it is sent, and its outcome
 * after. A process that starts after another one died so knows what may not be visible in EC2 yet,
 * and need not wait for it (nacl_survey.h).
 *
 * The file is lines of JSON, and is locked: one process on a machine writes to the network ACLs.
 * Ages are taken from boot time, or from the wall clock if the machine has been started since.
 *
 *	levee_nacl_journal_open(&journal, path, settle_ms)	locks, and reads what is recent
 *	levee_nacl_journal_begin(journal, &step)		before each call
 *	levee_nacl_journal_end(journal, outcome)		after it
 *	levee_nacl_journal_recent(journal, ...)			for the survey
 *
 * A disk that cannot be written does not stop a push: what is recent is kept in memory, and the
 * file is emptied, so that the next process knows that it knows nothing.
 */
#ifndef LEVEE_AWS_NACL_JOURNAL_H
#define LEVEE_AWS_NACL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/policy/nacl_survey.h"

struct levee_nacl_journal;

/**
 * \param path       NULL: in memory alone
 * \param read_only  neither lock nor write: for those that only look
 * \param settle_ms  how long a write is of interest
 * \return 0; -EWOULDBLOCK if another process has it locked; -errno; -ENOMEM. Nothing is logged.
 */
int levee_nacl_journal_open(struct levee_nacl_journal **out, const char *path, bool read_only,
			    uint64_t settle_ms);
void levee_nacl_journal_close(struct levee_nacl_journal **journal);

/** Does it hold every write of this machine that may be recent? Not if there was no file. */
bool levee_nacl_journal_is_whole(const struct levee_nacl_journal *journal);

/** It does now: so much time has passed, or nobody can have written anything. */
void levee_nacl_journal_vouch(struct levee_nacl_journal *journal);

/** 0, or why the file cannot be written: -errno. */
int levee_nacl_journal_error(const struct levee_nacl_journal *journal);

/** A step is about to be sent: from now on it counts as LEVEE_NACL_UNSURE. \return 0; -ENOMEM */
int levee_nacl_journal_begin(struct levee_nacl_journal *journal,
			     const struct levee_nacl_step *step);

/** What became of it. \param forget  it was certainly not carried out */
void levee_nacl_journal_end(struct levee_nacl_journal *journal, enum levee_nacl_outcome outcome,
			    bool forget);

/**
 * The writes that a read which began at `read_ms` need not show, oldest first; others are dropped.
 * \param read_ms  boot time [ms]: levee_nacl_boot_ms()
 * \param list     valid until the next call
 */
void levee_nacl_journal_recent(struct levee_nacl_journal *journal, int64_t read_ms,
			       const struct levee_nacl_write **list, size_t *n);

/** Boot time [ms]. */
int64_t levee_nacl_boot_ms(void);

#endif
