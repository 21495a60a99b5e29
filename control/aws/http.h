/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One HTTP exchange as a function that is handed in: the real one stands on libcurl, those of the
 * tests answer from a list.
 *
 *	struct levee_http *http = levee_http_new(&settings, &error);
 *	struct levee_http_request request = { .method = "GET", .url = "https://...", ... };
 *	struct levee_http_reply reply;
 *
 *	ret = levee_http_perform(http, &request, &reply, &error);
 *	if (ret == 0)
 *		... reply.status, reply.body, levee_http_reply_header(&reply, "Date") ...
 *	levee_http_reply_free(&reply);
 *	levee_http_free(http);
 *
 * The real client keeps connections open and uses them again, verifies certificates and names
 * always (there is no switch), follows no redirect, sends no cookies, reads no .netrc, decodes
 * nothing, and takes a proxy only from the environment (HTTPS_PROXY, NO_PROXY), never for a
 * request that says no_proxy.
 */
#ifndef LEVEE_AWS_HTTP_H
#define LEVEE_AWS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/aws/env.h"
#include "control/aws/error.h"
#include "control/aws/sigv4.h"
#include "control/aws/text.h"

#define LEVEE_HTTP_CONNECT_MS 5000
#define LEVEE_HTTP_TOTAL_MS   30000
#define LEVEE_HTTP_MAX_BYTES  (16 * 1024 * 1024)

struct levee_http_request {
	const char *method;
	const char *url;			/* http or https, encoded, no user, no fragment */
	const struct levee_aws_header *headers; /* without CR and LF; sent as they are */
	size_t n_headers;
	const void *body; /* NULL: none; with body_bytes 0: an empty one (Content-Length: 0) */
	size_t body_bytes;
	uint32_t connect_ms; /* 0: LEVEE_HTTP_CONNECT_MS */
	uint32_t total_ms;   /* 0: LEVEE_HTTP_TOTAL_MS; the connection's part included */
	int64_t until_ms;    /* boot time after which no request is sent; 0: none. See client.h */
	size_t max_bytes;    /* of the reply's body; 0: LEVEE_HTTP_MAX_BYTES */
	bool no_proxy;	     /* for metadata services, whose answers are secrets */
};

struct levee_http_reply {
	int status;
	struct levee_aws_text
		head; /* the header lines of the last response, each "Name: value\n" */
	struct levee_aws_text body;
};

/*
 * Perform one exchange; any status is a success here.
 * Returns 0; or, with `error` set:
 *	-ETIMEDOUT	no connection, or no whole answer, in time
 *	-ECONNREFUSED	the connection failed
 *	-EHOSTUNREACH	the name does not resolve
 *	-EKEYREJECTED	TLS: the certificate does not verify, or no common version
 *	-ECONNRESET	the connection was cut before the answer was whole
 *	-EFBIG		the body is larger than max_bytes, or the head than 64 KiB
 *	-EINVAL		URL, method or a header is not well-formed
 *	-ECANCELED, -ENOMEM
 * `reply` is to be freed in every case.
 */
struct levee_http_ops {
	int (*perform)(void *ctx, const struct levee_http_request *request,
		       struct levee_http_reply *reply, struct levee_aws_error *error);
	void (*free)(void *ctx); /* may be NULL */
};

struct levee_http {
	const struct levee_http_ops *ops;
	void *ctx;
};

int levee_http_perform(struct levee_http *http, const struct levee_http_request *request,
		       struct levee_http_reply *reply, struct levee_aws_error *error);

/**
 * A header's value without blanks at its ends.
 * \param size  of `out`; a value that does not fit is as good as none
 * \return out; NULL if there is no such header
 */
const char *levee_http_reply_header(const struct levee_http_reply *reply, const char *name,
				    char *out, size_t size);

/** Wipe and free. Happy with a zeroed reply. */
void levee_http_reply_free(struct levee_http_reply *reply);

struct levee_http_settings {
	const char *ca_bundle;	  /* PEM file with the authorities; NULL: the system's */
	struct levee_aws_env env; /* for `cancelled` alone */
};

/**
 * The real client. Any thread may use it, one at a time does (the others wait).
 * \return NULL and an error if libcurl cannot be started or the bundle cannot be read
 */
struct levee_http *levee_http_new(const struct levee_http_settings *settings,
				  struct levee_aws_error *error);
void levee_http_free(struct levee_http *http); /* NULL is fine */

/* A URL in its parts, as libcurl will understand it. */
struct levee_http_url {
	bool https;
	char *host;	 /* name or address; an IPv6 address without its brackets */
	char *authority; /* for the header Host:, the port only if it is not the scheme's own */
	char *path;	 /* encoded, begins with '/' */
	char *query;	 /* encoded, without '?'; NULL if none */
};

/**
 * \return 0; -EINVAL if it is not an absolute http or https URL, or has a user, a password or a
 *         fragment; -ENOMEM. *out can be freed in every case
 */
int levee_http_url_parse(struct levee_http_url *out, const char *url);
void levee_http_url_free(struct levee_http_url *url);

#endif
