/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The HTTP/JSON API, served on a thread of its own from the board's snapshots. Described by
 * control/api/openapi.json, which is served at /api/v1/openapi.json; control/api/routes.c is the
 * table behind it.
 *
 * Every JSON answer is an object with "schema": LEVEE_API_SCHEMA. Fields are added under the same
 * number; one that changes its meaning or goes raises it. Errors are {"schema", "status", "error"}.
 */
#ifndef LEVEE_API_H
#define LEVEE_API_H

#include "control/board.h"
#include "control/config.h"

#define LEVEE_API_SCHEMA 1

struct levee_api;

struct levee_api_options {
	struct levee_board *board;				    /* outlives the API */
	const struct levee_config *config;			    /* [api]; copied */
	void (*say)(void *ctx, bool is_error, const char *message); /* whole sentences */
	void *ctx;
};

/**
 * Open the sockets that [api] names, and serve.
 * \param out  the caller closes it with levee_api_close(); NULL if [api] names no socket
 * \return 0; -errno, said
 */
int levee_api_open(struct levee_api **out, const struct levee_api_options *options);

/**
 * The configuration in force has changed: what GET /api/v1/config shows. Copied as text.
 * \return 0; -ENOMEM: the old text stays
 */
int levee_api_set_config(struct levee_api *api, const struct levee_config *config);

/** After levee_board_close(). Ends every connection. Accepts NULL inside. */
void levee_api_close(struct levee_api **api);

#endif
