/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/exchange.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/routes.h"
#include "control/api/write.h"
#include "control/log.h"

#define JSON_TYPE "application/json"

void levee_api_answer_clear(struct levee_api_answer *answer)
{
	free(answer->body);
	*answer = (struct levee_api_answer){ 0 };
}

void levee_api_fail(struct levee_api_answer *answer, unsigned int status, const char *format, ...)
{
	char text[LEVEE_REQUEST_TEXT];
	struct levee_json j;
	va_list args;
	FILE *out;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	levee_log_clean(text);
	free(answer->body);
	answer->body = NULL;
	answer->kind = LEVEE_ANSWER_READY;
	answer->status = status;
	answer->type = JSON_TYPE;
	answer->fixed = NULL;
	out = open_memstream(&answer->body, &answer->len);
	if (!out)
		return;
	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	levee_json_uint(&j, "schema", LEVEE_API_SCHEMA);
	levee_json_uint(&j, "status", status);
	levee_json_string(&j, "error", text);
	levee_json_end(&j);
	levee_json_finish(&j);
	fclose(out);
}

void levee_api_refuse(struct levee_api_call *call, unsigned int status, const char *format, ...)
{
	char text[LEVEE_REQUEST_TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* What is written to `out` goes into the answer's body when it is closed: say it then. */
	call->answer->status = status;
	memcpy(call->answer->call.message, text, sizeof(text));
}

void levee_api_submit(struct levee_api_call *call, const struct levee_request *request)
{
	call->answer->kind = LEVEE_ANSWER_CALL;
	call->answer->call = *request;
}

/* ---- finding the route --------------------------------------------------------------------- */

/* Does the path lead here? A route with a prefix takes what comes after its path. */
static bool leads_to(const struct levee_api_route *route, const char *path)
{
	size_t len = strlen(route->path);

	if (route->flags & LEVEE_ROUTE_PREFIX)
		return !strncmp(path, route->path, len) && path[len];
	return !strcmp(path, route->path);
}

/* A HEAD is a GET whose body stays away; the server sees to that. */
static bool has_method(const struct levee_api_route *route, const char *method)
{
	return !strcmp(route->method, method) ||
	       (!strcmp(method, "HEAD") && !strcmp(route->method, "GET"));
}

static const struct levee_api_route *find_route(const char *method, const char *path,
						struct levee_api_answer *answer)
{
	const struct levee_api_route *route = NULL;
	size_t len;

	for (size_t i = 0; i < levee_api_n_routes && !route; i++) {
		const struct levee_api_route *at = &levee_api_routes[i];

		if (!leads_to(at, path))
			continue;
		if (has_method(at, method))
			route = at;
		len = strlen(answer->allow);
		snprintf(answer->allow + len, sizeof(answer->allow) - len, "%s%s", len ? ", " : "",
			 at->method);
	}
	return route;
}

static const char *query_of(const char *uri)
{
	const char *mark = strchr(uri, '?');

	return mark ? mark + 1 : NULL;
}

/* The decoded path, without tricks. \return 0; -EINVAL */
static int path_of(const char *uri, char *path, size_t size)
{
	size_t len = strcspn(uri, "?");

	if (uri[0] != '/' || memchr(uri, '#', len) || levee_api_decode(uri, len, path, size))
		return -EINVAL;
	return strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") ||
			       strchr(path, '\\')
		       ? -EINVAL
		       : 0;
}

bool levee_api_is_public(const char *uri)
{
	char path[LEVEE_API_URI_MAX];

	if (path_of(uri, path, sizeof(path)))
		return false;
	for (size_t i = 0; i < levee_api_n_routes; i++)
		if (leads_to(&levee_api_routes[i], path))
			return levee_api_routes[i].flags & LEVEE_ROUTE_PUBLIC;
	return false;
}

/* ---- one request --------------------------------------------------------------------------- */

static bool is_json(const char *content_type)
{
	size_t len = strlen(JSON_TYPE);

	return content_type && !strncasecmp(content_type, JSON_TYPE, len) &&
	       (!content_type[len] || content_type[len] == ';' || content_type[len] == ' ');
}

/* \return 0, or the status of what is wrong, with *why */
static unsigned int check_input(const struct levee_api_route *route, const char *path,
				struct levee_api_call *call, char *why, size_t size)
{
	const struct levee_api_request *request = call->request;
	const char *rest = path + strlen(route->path);

	if (route->flags & LEVEE_ROUTE_PREFIX &&
	    levee_prefix_read(&call->prefix, rest, strlen(rest), NULL)) {
		snprintf(why, size, "%.60s: not an IPv4 or IPv6 address or prefix", rest);
		return 400;
	}
	if (levee_api_parse_query(route->query, query_of(request->uri), call->query, why, size))
		return 400;
	if (request->body_len > LEVEE_API_BODY_MAX) {
		snprintf(why, size, "the body is longer than %d bytes", LEVEE_API_BODY_MAX);
		return 413;
	}
	if (request->body_len && !route->body) {
		snprintf(why, size, "no body is expected");
		return 400;
	}
	if (request->body_len && !is_json(request->content_type)) {
		snprintf(why, size, "the body must be " JSON_TYPE);
		return 415;
	}
	return route->body && levee_api_parse_body(route->body, request->body, request->body_len,
						   call->body, why, size)
		       ? 400
		       : 0;
}

/* Open the answer's text, and its JSON object. */
static int open_answer(struct levee_api_call *call)
{
	call->out = open_memstream(&call->answer->body, &call->answer->len);
	if (!call->out)
		return -ENOMEM;
	call->answer->status = 200;
	call->answer->type = call->answer->route->flags & LEVEE_ROUTE_PLAIN
				     ? call->answer->route->type
				     : JSON_TYPE;
	if (call->answer->route->flags & LEVEE_ROUTE_PLAIN)
		return 0;
	levee_json_begin(&call->json, call->out);
	levee_json_object(&call->json, NULL);
	levee_json_uint(&call->json, "schema", LEVEE_API_SCHEMA);
	return 0;
}

static void close_answer(struct levee_api_call *call)
{
	struct levee_api_answer *answer = call->answer;
	bool is_short;
	char text[LEVEE_REQUEST_TEXT];

	if (!(answer->route->flags & LEVEE_ROUTE_PLAIN)) {
		levee_json_end(&call->json);
		levee_json_finish(&call->json);
	}
	is_short = ferror(call->out);
	is_short |= fclose(call->out) != 0;
	if (answer->kind != LEVEE_ANSWER_READY || answer->fixed) {
		free(answer->body);
		answer->body = NULL;
	} else if (answer->status >= 400 && answer->call.message[0]) {
		memcpy(text, answer->call.message, sizeof(text));
		levee_api_fail(answer, answer->status, "%s", text);
	} else if (is_short) {
		levee_api_fail(answer, 500, "no memory for the answer");
	}
}

static void run_handler(struct levee_api_call *call)
{
	const struct levee_api_route *route = call->answer->route;

	call->snapshot = levee_board_snapshot(call->core->board);
	if (route->flags & LEVEE_ROUTE_SNAPSHOT && !call->snapshot) {
		levee_api_fail(call->answer, 503, "levee is starting: nothing is known yet");
		return;
	}
	if (open_answer(call)) {
		levee_api_fail(call->answer, 500, "no memory");
	} else {
		route->handle(call);
		close_answer(call);
	}
	levee_snapshot_put(&call->snapshot);
}

void levee_api_handle(const struct levee_api_core *core, const struct levee_api_request *request,
		      struct levee_api_answer *answer)
{
	struct levee_api_call *call;
	char path[LEVEE_API_URI_MAX], why[256] = "";
	unsigned int status;

	*answer = (struct levee_api_answer){ 0 };
	if (strlen(request->uri) >= LEVEE_API_URI_MAX) {
		levee_api_fail(answer, 400, "the address is longer than %d bytes",
			       LEVEE_API_URI_MAX - 1);
		return;
	}
	if (path_of(request->uri, path, sizeof(path))) {
		levee_api_fail(answer, 400, "the path is not well formed");
		return;
	}
	answer->route = find_route(request->method, path, answer);
	if (!answer->route) {
		if (answer->allow[0])
			levee_api_fail(answer, 405, "%s is not possible here: %s", request->method,
				       answer->allow);
		else
			levee_api_fail(answer, 404,
				       "there is nothing here; /api/v1/openapi.json has what is");
		return;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		levee_api_fail(answer, 500, "no memory");
		return;
	}
	*call = (struct levee_api_call){ .core = core, .request = request, .answer = answer };
	status = check_input(answer->route, path, call, why, sizeof(why));
	if (status)
		levee_api_fail(answer, status, "%s", why);
	else
		run_handler(call);
	free(call);
}

/* ---- after the controller ------------------------------------------------------------------ */

static unsigned int status_of(int result)
{
	switch (-result) {
	case 0:
		return 200;
	case EINVAL:
		return 400;
	case ENOENT:
		return 404;
	case EPERM:
	case EBUSY:
	case EEXIST:
	case E2BIG:
		return 409;
	case EOPNOTSUPP:
		return 501;
	case ESHUTDOWN:
		return 503;
	case ENOSPC:
		return 507;
	default:
		return 500;
	}
}

static void write_common(struct levee_api_call *call, struct levee_request *answered)
{
	levee_json_string(&call->json, "message", answered->message);
	levee_json_uint(&call->json, "changed", answered->changed);
	levee_write_time(&call->json, "until", answered->end_unix_ns);
}

void levee_api_finish(const struct levee_api_core *core, struct levee_api_answer *answer,
		      struct levee_request *answered)
{
	struct levee_api_call call = { .core = core, .answer = answer };
	unsigned int status = status_of(answered->result);

	answer->kind = LEVEE_ANSWER_READY;
	answer->call.message[0] = '\0';
	if (status != 200) {
		levee_api_fail(answer, status, "%s", answered->message);
	} else if (open_answer(&call)) {
		levee_api_fail(answer, 500, "no memory");
	} else {
		call.snapshot = levee_board_snapshot(core->board);
		if (answer->route->finish)
			answer->route->finish(&call, answered);
		else
			write_common(&call, answered);
		close_answer(&call);
		levee_snapshot_put(&call.snapshot);
	}
	levee_request_clear(answered);
}
