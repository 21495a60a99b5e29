/* SPDX-License-Identifier: BSD-2-Clause */
/* How things look in JSON: one printer for each, so that all answers agree. */
#ifndef LEVEE_API_WRITE_H
#define LEVEE_API_WRITE_H

#include "control/board.h"

/** "2026-01-31T12:00:00Z", or null for 0 and LEVEE_NEVER. */
void levee_write_time(struct levee_json *j, const char *name, uint64_t unix_ns);
void levee_write_prefix(struct levee_json *j, const char *name, const struct levee_prefix *prefix);
void levee_write_null(struct levee_json *j, const char *name);
void levee_write_account(struct levee_json *j, const char *name,
			 const struct levee_account *account);
/** All members of a block; the caller adds what it likes, and ends the object. */
void levee_begin_block(struct levee_json *j, const char *name, const struct levee_snapshot *s,
		       const struct levee_board_block *block);
void levee_write_exemption(struct levee_json *j, const char *name,
			   const struct levee_board_exemption *exemption);
void levee_write_evaluation(struct levee_json *j, const char *name, const struct levee_snapshot *s);

/** "detected", "manual", "drill" or another word for what made a block. */
const char *levee_block_word(const struct levee_block *block);

/** "allowed", "blocked", "exempt", "abnormal" or "passed": what happens to a source now. */
const char *levee_verdict_word(const struct levee_snapshot *s, const struct levee_prefix *source);

const char *levee_allow_word(enum levee_allow_origin origin);

#endif
