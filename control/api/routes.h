/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of routes: what the router, the checks of what comes in, and the test that compares it
 * with openapi.json go by.
 */
#ifndef LEVEE_API_ROUTES_H
#define LEVEE_API_ROUTES_H

#include <jansson.h>

#include "control/api/exchange.h"

enum levee_api_type {
	LEVEE_API_UINT,
	LEVEE_API_BOOL,
	LEVEE_API_PREFIX,
	LEVEE_API_TEXT,	  /* printable UTF-8, at most max bytes */
	LEVEE_API_CHOICE, /* one of `choices` */
};

/** A query parameter or a member of a body. */
struct levee_api_field {
	const char *name;
	enum levee_api_type type;
	bool required;
	uint64_t min, max;	    /* of a number; max also in bytes, of a text */
	const char *const *choices; /* NULL at the end */
};

#define LEVEE_API_FIELDS 8

/** A value that was checked. */
struct levee_api_value {
	bool is_given;
	uint64_t number; /* also 0 or 1, and the place of a choice */
	struct levee_prefix prefix;
	char text[LEVEE_NOTE_TEXT];
};

/** A request on its way through its handler. */
struct levee_api_call {
	const struct levee_api_core *core;
	const struct levee_api_request *request;
	const struct levee_snapshot *snapshot; /* NULL before the first */
	struct levee_prefix prefix;	       /* of the path, where it has one */
	struct levee_api_value query[LEVEE_API_FIELDS];
	struct levee_api_value body[LEVEE_API_FIELDS];
	struct levee_api_answer *answer;
	struct levee_json json; /* of a JSON answer: its object is open, "schema" is in it */
	FILE *out;
};

enum levee_api_route_flags {
	LEVEE_ROUTE_PREFIX = 1,	  /* the path goes on with a prefix */
	LEVEE_ROUTE_SNAPSHOT = 2, /* 503 before there is one */
	LEVEE_ROUTE_PLAIN = 4,	  /* the handler writes text to `out`, of `type` */
	LEVEE_ROUTE_PUBLIC = 8,	  /* needs no token: holds nothing but the page */
};

struct levee_api_route {
	const char *method;
	const char *path; /* "/api/v1/blocks/": up to the prefix, with LEVEE_ROUTE_PREFIX */
	unsigned int flags;
	const char *type; /* with LEVEE_ROUTE_PLAIN */
	void (*handle)(struct levee_api_call *call);
	const struct levee_api_field *query; /* ended by a NULL name; NULL: none */
	const struct levee_api_field *body;  /* NULL: a body is refused */
	/** Write the answer of what the controller did; NULL: the common one. */
	void (*finish)(struct levee_api_call *call, struct levee_request *answered);
};

extern const struct levee_api_route levee_api_routes[];
extern const size_t levee_api_n_routes;

/** Handlers' way of saying no. */
void levee_api_refuse(struct levee_api_call *call, unsigned int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Hand the request on to the controller's thread. */
void levee_api_submit(struct levee_api_call *call, const struct levee_request *request);

/**
 * Check fields of a query string, or of a body.
 * \return 0; -EINVAL, and *why says what is wrong (size bytes at most)
 */
int levee_api_parse_query(const struct levee_api_field *fields, const char *query,
			  struct levee_api_value *values, char *why, size_t size);
int levee_api_parse_body(const struct levee_api_field *fields, const void *body, size_t len,
			 struct levee_api_value *values, char *why, size_t size);

/** Undo percent-encoding. \return 0; -EINVAL: bad encoding, a control character, or no room */
int levee_api_decode(const char *text, size_t len, char *out, size_t size);

#endif
