/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request and its answer, without a server: what tests and the fuzz target drive, and what
 * http.c puts on the wire.
 *
 *	levee_api_handle(&core, &request, &answer)
 *	answer.kind is LEVEE_ANSWER_READY    status, type and body are the answer
 *	              LEVEE_ANSWER_CALL     answer.call goes to the controller's thread; then
 *	                                    levee_api_finish(&core, &answer, &answered)
 *	              LEVEE_ANSWER_FOLLOW   events after answer.follow_after, as a stream
 *	levee_api_answer_clear(&answer)
 */
#ifndef LEVEE_API_EXCHANGE_H
#define LEVEE_API_EXCHANGE_H

#include <stddef.h>

#include "control/api/api.h"

#define LEVEE_API_BODY_MAX 16384 /* bytes of a request's body */
#define LEVEE_API_URI_MAX  2048	 /* bytes of path and query */

/** What every request is answered from. */
struct levee_api_core {
	struct levee_board *board;
	const char *config_json; /* the value of GET /api/v1/config; lives as long as the call */
	const char *const *interfaces; /* n_interfaces of them */
	size_t n_interfaces;
	const char *state_file; /* where GET /api/v1/history looks; "" or NULL: nowhere */
	const struct levee_api_counters *counters; /* of the server, for /metrics; NULL: none */
};

struct levee_api_counters {
	uint64_t requests[6]; /* by the first digit of the status; [0] unused */
	uint64_t connections; /* open now */
	uint64_t followers;   /* open now */
};

struct levee_api_request {
	const char *method;
	const char *uri;    /* as on the request line: path and query, not decoded */
	const char *accept; /* headers; NULL: not there */
	const char *content_type;
	const char *last_event_id;
	const void *body;
	size_t body_len;
};

enum levee_answer_kind { LEVEE_ANSWER_READY, LEVEE_ANSWER_CALL, LEVEE_ANSWER_FOLLOW };

struct levee_api_route;

struct levee_api_answer {
	enum levee_answer_kind kind;
	unsigned int status;
	const char *type; /* content type */
	char *body;	  /* owned */
	size_t len;
	const char *fixed; /* of fixed_len bytes, in place of body */
	size_t fixed_len;
	char allow[64]; /* for 405: the methods there are */
	struct levee_request call;
	uint64_t follow_after;
	const struct levee_api_route *route; /* internal */
};

void levee_api_handle(const struct levee_api_core *core, const struct levee_api_request *request,
		      struct levee_api_answer *answer);

/** Make the answer of a call that the controller's thread has carried out. Clears `answered`. */
void levee_api_finish(const struct levee_api_core *core, struct levee_api_answer *answer,
		      struct levee_request *answered);

/** An error, with its text for people. Replaces what the answer holds. */
void levee_api_fail(struct levee_api_answer *answer, unsigned int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

void levee_api_answer_clear(struct levee_api_answer *answer);

/** May this path be asked for without a token? (The page's own files.) */
bool levee_api_is_public(const char *uri);

/** One event as server-sent event text, or as an object of `j`. */
void levee_api_write_event(struct levee_json *j, const struct levee_board_entry *entry);
size_t levee_api_format_event(const struct levee_board_entry *entry, char *text, size_t size);

#endif
