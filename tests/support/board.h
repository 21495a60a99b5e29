/* SPDX-License-Identifier: BSD-2-Clause */
/* A board with something on it, and a controller that carries requests out in memory. */
#ifndef LEVEE_TEST_BOARD_H
#define LEVEE_TEST_BOARD_H

#include "control/api/exchange.h"
#include "control/board.h"

#define TEST_BOARD_BOOT_NS 1000000000000ULL
#define TEST_BOARD_UNIX_NS 1700000000000000000ULL

/** Parse a prefix that is known to be good. */
struct levee_prefix test_prefix(const char *text);

/**
 * A snapshot: blocks of 198.51.100.7 (zscore, z = 7.5), 203.0.113.0/24 (manual, for good) and
 * 2001:db8:bad::/64 (shadowed); 10.0.0.0/8 allowed by configuration; 192.0.2.9 exempt; two bins;
 * the sources 198.18.0.1 (20000 packets) and 198.18.0.2 (10).
 */
struct levee_snapshot *test_snapshot(void);

/** A board that shows it, with a few events. */
struct levee_board *test_board(void);

/** What the controller would do, as far as the API can tell: says what it was asked. */
void test_execute(void *ctx, struct levee_request *request);

/** Ask, and have the call carried out if there is one. Cleared by levee_api_answer_clear(). */
void test_ask(struct levee_board *board, const struct levee_api_request *request,
	      struct levee_api_answer *answer);

#endif
