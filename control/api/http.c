/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server (libmicrohttpd): connections, bodies, streams. What is answered is exchange.c's.
 *
 * One thread a listener serves all of its connections and never waits: a request for the
 * controller's thread suspends its connection until the answer is there, a follower's stream until
 * there is an event. One more thread watches the board's events and wakes the followers.
 */
#include "control/api/api.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/api/auth.h"
#include "control/api/browser.h"
#include "control/api/exchange.h"
#include "control/api/page.h"
#include "control/api/socket.h"

#define CONNECTIONS_MAX	 256
#define FOLLOWERS_MAX	 64
#define CONNECTION_BYTES 32768
#define IDLE_S		 30
#define KEEP_ALIVE_S	 15
#define EVENT_BYTES	 2048
#define WATCH_MS	 1000
#define FILE_MAX	 65536 /* certificate chain, key */

struct listener {
	struct levee_api *api;
	struct MHD_Daemon *daemon;
	bool needs_token;
};

struct follower {
	struct levee_api *api;
	struct MHD_Connection *connection;
	struct follower *next;
	uint64_t after;
	time_t wrote_s; /* when something was last written [monotonic s] */
	bool has_begun;
	bool is_suspended; /* this and next: under the API's lock */
};

/* A request, from its first byte to the last one of its answer. */
struct exchange {
	struct levee_api *api;
	struct MHD_Connection *connection;
	char *uri;
	char *body;
	size_t body_len;
	bool has_begun;
	bool is_submitted;
	struct levee_api_answer answer;
	struct levee_request answered;
};

/* What GET /api/v1/config shows. A request that is being answered holds it while another comes. */
struct config_text {
	unsigned int refs;
	char *json;
};

struct levee_api {
	struct levee_api_options options;
	struct listener unix_listener, tcp_listener;
	struct levee_token token;
	char *socket_path, *state_file;
	char *certificate, *key;
	struct levee_words interfaces;

	pthread_mutex_t lock; /* of what follows */
	struct config_text *config;
	struct follower *followers;
	struct levee_api_counters counters;
	bool stopping;

	pthread_t watcher;
	bool has_watcher;
};

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void say(const struct levee_api *api, bool is_error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(const struct levee_api *api, bool is_error, const char *format, ...)
{
	char message[512];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	api->options.say(api->options.ctx, is_error, message);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void count(struct levee_api *api, unsigned int status)
{
	pthread_mutex_lock(&api->lock);
	if (status >= 100 && status < 600)
		api->counters.requests[status / 100]++;
	pthread_mutex_unlock(&api->lock);
}

static void add_headers(struct MHD_Response *response, const char *type)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Content-Security-Policy", LEVEE_PAGE_CSP);
}

static enum MHD_Result queue(struct exchange *ex, struct MHD_Response *response,
			     unsigned int status)
{
	enum MHD_Result ret;

	if (!response)
		return MHD_NO;
	ret = MHD_queue_response(ex->connection, status, response);
	MHD_destroy_response(response);
	count(ex->api, status);
	return ret;
}

/* The answer's body goes over to the response. */
static enum MHD_Result send_answer(struct exchange *ex)
{
	struct levee_api_answer *answer = &ex->answer;
	struct MHD_Response *response;

	if (answer->fixed)
		response = MHD_create_response_from_buffer(answer->fixed_len, (void *)answer->fixed,
							   MHD_RESPMEM_PERSISTENT);
	else
		response = MHD_create_response_from_buffer(answer->len, answer->body,
							   MHD_RESPMEM_MUST_FREE);
	if (!response)
		return MHD_NO;
	answer->body = NULL;
	add_headers(response, answer->type);
	if (answer->status == 405)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
	if (answer->status == 401)
		MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	return queue(ex, response, answer->status);
}

static enum MHD_Result send_failure(struct exchange *ex, unsigned int status, const char *text)
{
	levee_api_fail(&ex->answer, status, "%s", text);
	return send_answer(ex);
}

/* ---- event streams --------------------------------------------------------------------------- */

/* As many whole events as fit. \return bytes; 0: there is none */
static size_t write_events(struct follower *f, char *buffer, size_t room)
{
	struct levee_board_entry entry;
	uint64_t missed;
	size_t n = 0, len;

	while (room - n > EVENT_BYTES &&
	       levee_board_events(f->api->options.board, f->after, &entry, 1, &missed) == 1) {
		if (missed)
			n += (size_t)snprintf(buffer + n, room - n,
					      "event: missed\ndata: {\"schema\": %d, \"missed\": "
					      "%llu}\n\n",
					      LEVEE_API_SCHEMA, (unsigned long long)missed);
		len = levee_api_format_event(&entry, buffer + n, room - n);
		n += len;
		f->after = entry.id;
	}
	return n;
}

/* Nothing to write: sleep until the watcher has something. \return false if something came */
static bool suspend(struct follower *f)
{
	struct levee_api *api = f->api;
	bool sleeps;

	pthread_mutex_lock(&api->lock);
	sleeps = !api->stopping && levee_board_last_event(api->options.board) <= f->after;
	if (sleeps) {
		f->is_suspended = true;
		MHD_suspend_connection(f->connection);
	}
	pthread_mutex_unlock(&api->lock);
	return sleeps;
}

static bool is_stopping(struct levee_api *api)
{
	bool stopping;

	pthread_mutex_lock(&api->lock);
	stopping = api->stopping;
	pthread_mutex_unlock(&api->lock);
	return stopping;
}

static ssize_t read_stream(void *cls, uint64_t pos, char *buffer, size_t room)
{
	static const char hello[] = "retry: 2000\n: events of levee follow\n\n";
	static const char alive[] = ": still here\n\n";
	struct follower *f = cls;
	size_t n;

	(void)pos;
	for (;;) {
		if (is_stopping(f->api))
			return MHD_CONTENT_READER_END_OF_STREAM;
		n = 0;
		if (!f->has_begun) {
			n = sizeof(hello) - 1;
			memcpy(buffer, hello, n);
			f->has_begun = true;
		}
		n += write_events(f, buffer + n, room - n);
		if (!n && now_s() - f->wrote_s >= KEEP_ALIVE_S) {
			n = sizeof(alive) - 1;
			memcpy(buffer, alive, n);
		}
		if (n) {
			f->wrote_s = now_s();
			return (ssize_t)n;
		}
		if (suspend(f))
			return 0;
	}
}

static void end_stream(void *cls)
{
	struct follower *f = cls, **at;

	pthread_mutex_lock(&f->api->lock);
	for (at = &f->api->followers; *at && *at != f; at = &(*at)->next)
		;
	if (*at)
		*at = f->next;
	f->api->counters.followers--;
	pthread_mutex_unlock(&f->api->lock);
	free(f);
}

static struct follower *add_follower(struct exchange *ex)
{
	struct levee_api *api = ex->api;
	struct follower *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct follower){ .api = api,
				.connection = ex->connection,
				.after = ex->answer.follow_after,
				.wrote_s = now_s() };
	pthread_mutex_lock(&api->lock);
	if (api->stopping || api->counters.followers >= FOLLOWERS_MAX) {
		pthread_mutex_unlock(&api->lock);
		free(f);
		return NULL;
	}
	f->next = api->followers;
	api->followers = f;
	api->counters.followers++;
	pthread_mutex_unlock(&api->lock);
	return f;
}

static enum MHD_Result send_stream(struct exchange *ex)
{
	struct follower *f = add_follower(ex);
	struct MHD_Response *response;

	if (!f)
		return send_failure(ex, 503,
				    "too many follow the events already; try again later, "
				    "or ask for events from time to time");
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 8 * EVENT_BYTES, read_stream,
						     f, end_stream);
	if (!response) {
		end_stream(f);
		return MHD_NO;
	}
	add_headers(response, "text/event-stream");
	return queue(ex, response, 200);
}

/* Wake followers: those that have slept for long, or all of them. */
static void wake(struct levee_api *api, bool all)
{
	time_t now = now_s();

	pthread_mutex_lock(&api->lock);
	for (struct follower *f = api->followers; f; f = f->next) {
		if (!f->is_suspended || (!all && now - f->wrote_s < KEEP_ALIVE_S))
			continue;
		f->is_suspended = false;
		MHD_resume_connection(f->connection);
	}
	pthread_mutex_unlock(&api->lock);
}

static void *watch(void *ctx)
{
	struct levee_api *api = ctx;
	uint64_t seen = levee_board_last_event(api->options.board);
	int ret;

	do {
		ret = levee_board_wait_event(api->options.board, seen, WATCH_MS);
		if (!ret)
			seen = levee_board_last_event(api->options.board);
		wake(api, ret == 0);
	} while (ret != -ESHUTDOWN);
	return NULL;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void on_answered(void *ctx, struct levee_request *answered)
{
	struct exchange *ex = ctx;

	ex->answered = *answered;
	MHD_resume_connection(ex->connection);
}

/* Suspended first: the answer may be there before this returns. */
static enum MHD_Result submit(struct exchange *ex)
{
	int ret;

	ex->is_submitted = true;
	MHD_suspend_connection(ex->connection);
	ret = levee_board_submit(ex->api->options.board, &ex->answer.call, on_answered, ex);
	if (ret) {
		ex->answered = (struct levee_request){ .result = ret };
		snprintf(ex->answered.message, sizeof(ex->answered.message), "%s",
			 ret == -ESHUTDOWN ? "levee is stopping"
					   : "too many requests are waiting; try again later");
		if (ret == -EBUSY)
			ex->answered.result = -ESHUTDOWN; /* 503 as well */
		MHD_resume_connection(ex->connection);
	}
	return MHD_YES;
}

static void put_config(struct levee_api *api, struct config_text *config)
{
	bool is_last;

	if (!config)
		return;
	pthread_mutex_lock(&api->lock);
	is_last = --config->refs == 0;
	pthread_mutex_unlock(&api->lock);
	if (is_last) {
		free(config->json);
		free(config);
	}
}

static struct levee_api_core core_of(struct levee_api *api, struct levee_api_counters *counters,
				     struct config_text **config)
{
	pthread_mutex_lock(&api->lock);
	*counters = api->counters;
	*config = api->config;
	(*config)->refs++;
	pthread_mutex_unlock(&api->lock);
	return (struct levee_api_core){
		.board = api->options.board,
		.config_json = (*config)->json,
		.interfaces = (const char *const *)api->interfaces.word,
		.n_interfaces = api->interfaces.n,
		.state_file = api->state_file,
		.counters = counters,
	};
}

static const char *header(const struct exchange *ex, const char *name)
{
	return MHD_lookup_connection_value(ex->connection, MHD_HEADER_KIND, name);
}

/* Fills ex->answer, unless it is to come from the controller's thread. */
static void find_answer(struct exchange *ex, const char *method)
{
	struct levee_api_counters counters;
	struct config_text *config;
	struct levee_api_core core = core_of(ex->api, &counters, &config);
	struct levee_api_request request = {
		.method = method,
		.uri = ex->uri,
		.accept = header(ex, "Accept"),
		.content_type = header(ex, "Content-Type"),
		.last_event_id = header(ex, "Last-Event-ID"),
		.body = ex->body,
		.body_len = ex->body_len,
	};

	if (ex->is_submitted)
		levee_api_finish(&core, &ex->answer, &ex->answered);
	else
		levee_api_handle(&core, &request, &ex->answer);
	put_config(ex->api, config);
}

static enum MHD_Result answer(struct exchange *ex, const char *method)
{
	find_answer(ex, method);
	switch (ex->answer.kind) {
	case LEVEE_ANSWER_CALL:
		return submit(ex);
	case LEVEE_ANSWER_FOLLOW:
		return send_stream(ex);
	default:
		return send_answer(ex);
	}
}

struct counting {
	const char *name;
	unsigned int n;
};

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *name,
				    const char *value)
{
	struct counting *counting = cls;

	(void)kind;
	(void)value;
	counting->n += strcasecmp(name, counting->name) == 0;
	return MHD_YES;
}

/* Who stands between client and us may have believed the other one. */
static bool is_given_twice(struct exchange *ex, const char *name)
{
	struct counting counting = { .name = name };

	MHD_get_connection_values(ex->connection, MHD_HEADER_KIND, count_header, &counting);
	return counting.n > 1;
}

/* What can be refused before the body has come. \return true: refused */
static bool refuse_early(const struct listener *listener, struct exchange *ex, enum MHD_Result *ret)
{
	const char *length = header(ex, "Content-Length");
	const char *wrong = levee_api_check_browser(header(ex, "Host"), header(ex, "Origin"),
						    header(ex, "Sec-Fetch-Site"),
						    listener->needs_token);

	if (wrong) {
		*ret = send_failure(ex, 403, wrong);
		return true;
	}
	if (listener->needs_token && !levee_api_is_public(ex->uri) &&
	    !levee_token_matches(&ex->api->token, header(ex, "Authorization"))) {
		*ret = send_failure(ex, 401,
				    "a token is needed: Authorization: Bearer TOKEN, the one in "
				    "[api] token_file");
		return true;
	}
	if (is_given_twice(ex, "Content-Length") || is_given_twice(ex, "Host") ||
	    is_given_twice(ex, "Authorization")) {
		*ret = send_failure(ex, 400,
				    "Host, Content-Length or Authorization is given twice");
		return true;
	}
	if (length && strtoull(length, NULL, 10) > LEVEE_API_BODY_MAX) {
		*ret = send_failure(ex, 413, "the body is too long");
		return true;
	}
	return false;
}

/* \return false if there is no room: more than was announced */
static bool take_body(struct exchange *ex, const char *data, size_t len)
{
	if (!ex->body)
		ex->body = malloc(LEVEE_API_BODY_MAX);
	if (!ex->body || len > LEVEE_API_BODY_MAX - ex->body_len)
		return false;
	memcpy(ex->body + ex->body_len, data, len);
	ex->body_len += len;
	return true;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *data_len, void **con_cls)
{
	struct listener *listener = cls;
	struct exchange *ex = *con_cls;
	enum MHD_Result ret;

	(void)url;
	(void)version;
	if (!ex || !ex->uri)
		return MHD_NO; /* no memory when the request came */
	if (!ex->has_begun) {
		ex->has_begun = true;
		ex->connection = connection;
		return refuse_early(listener, ex, &ret) ? ret : MHD_YES;
	}
	if (*data_len) {
		if (!take_body(ex, data, *data_len))
			return MHD_NO;
		*data_len = 0;
		return MHD_YES;
	}
	return answer(ex, method);
}

/* The request line as it came: MHD would decode the path, and cut it at an encoded NUL. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct listener *listener = cls;
	struct exchange *ex = calloc(1, sizeof(*ex));

	(void)connection;
	if (!ex)
		return NULL;
	ex->api = listener->api;
	ex->uri = strdup(uri);
	return ex;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode why)
{
	struct exchange *ex = *con_cls;

	(void)cls;
	(void)connection;
	(void)why;
	if (!ex)
		return;
	levee_request_clear(&ex->answered);
	levee_api_answer_clear(&ex->answer);
	free(ex->body);
	free(ex->uri);
	free(ex);
	*con_cls = NULL;
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct listener *listener = cls;

	(void)connection;
	(void)socket_context;
	pthread_mutex_lock(&listener->api->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		listener->api->counters.connections++;
	else
		listener->api->counters.connections--;
	pthread_mutex_unlock(&listener->api->lock);
}

/* Arguments are decoded by parse.c, which is stricter. */
static size_t leave_encoded(void *cls, struct MHD_Connection *connection, char *text)
{
	(void)cls;
	(void)connection;
	return strlen(text);
}

static void on_log(void *cls, const char *format, va_list args)
{
	(void)cls; /* what clients do wrong is theirs; what we do wrong has a status */
	(void)format;
	(void)args;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static int serve(struct levee_api *api, struct listener *listener, int fd, bool is_tls)
{
	unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
			     MHD_USE_ERROR_LOG | (is_tls ? MHD_USE_TLS : 0);
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, api->certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, api->key },
		{ MHD_OPTION_END, 0, NULL },
	};

	listener->api = api;
	listener->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, listener, MHD_OPTION_EXTERNAL_LOGGER, on_log,
		NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded,
		NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, listener, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, is_tls ? tls : &tls[2],
		MHD_OPTION_END);
	if (listener->daemon)
		return 0;
	close(fd);
	return -EIO;
}

static void warn(void *ctx, const char *message)
{
	say(ctx, false, "%s", message);
}

static int open_unix(struct levee_api *api, const struct levee_config *config)
{
	const char *path = config->api.socket;
	char why[256];
	int fd, ret;

	fd = levee_api_listen_unix(path, config->api.group, warn, api, why, sizeof(why));
	if (fd < 0) {
		say(api, true, "[api] socket = %s: %s", path, why);
		return fd;
	}
	api->socket_path = strdup(path);
	ret = serve(api, &api->unix_listener, fd, false);
	if (ret)
		say(api, true, "[api] socket = %s: the server does not start", path);
	return ret;
}

/* A whole small file, for the TLS library. \return NULL, said; the caller frees it */
static char *read_file(const struct levee_api *api, const char *key, const char *path)
{
	FILE *in = fopen(path, "re");
	char *text = calloc(1, FILE_MAX + 1);
	size_t n = in && text ? fread(text, 1, FILE_MAX, in) : 0;

	if (!n) {
		say(api, true, "[api] %s = %s: %s", key, path,
		    in ? "empty, or not to be read" : strerror(errno));
		free(text);
		text = NULL;
	}
	if (in)
		fclose(in);
	return text;
}

static int read_tls(struct levee_api *api, const struct levee_config *config)
{
	if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
		say(api, true, "[api] listen: libmicrohttpd is built without TLS here");
		return -ENOTSUP;
	}
	api->certificate = read_file(api, "tls_certificate", config->api.tls_certificate);
	api->key = read_file(api, "tls_key", config->api.tls_key);
	return api->certificate && api->key ? 0 : -EINVAL;
}

static int open_tcp(struct levee_api *api, const struct levee_config *config)
{
	bool is_tls = config->api.tls_certificate[0] != '\0';
	char why[256];
	int fd, ret;

	ret = levee_token_read(&api->token, config->api.token_file, why, sizeof(why));
	if (ret) {
		say(api, true, "[api] token_file = %s: %s", config->api.token_file, why);
		return ret;
	}
	ret = is_tls ? read_tls(api, config) : 0;
	if (ret)
		return ret;
	fd = levee_api_listen_tcp(config->api.listen, why, sizeof(why));
	if (fd < 0) {
		say(api, true, "[api] listen = %s: %s", config->api.listen, why);
		return fd;
	}
	api->tcp_listener.needs_token = true;
	ret = serve(api, &api->tcp_listener, fd, is_tls);
	if (ret)
		say(api, true, "[api] listen = %s: the server does not start%s", config->api.listen,
		    is_tls ? "; see that certificate and key fit" : "");
	return ret;
}

static int copy_settings(struct levee_api *api, const struct levee_config *config)
{
	bool is_dpdk = config->data_path.type == LEVEE_PATH_DPDK;
	const struct levee_words *names = is_dpdk ? &config->data_path.ports
						  : &config->data_path.interfaces;

	api->state_file = strdup(config->state.file);
	api->interfaces.word = calloc(names->n + 1, sizeof(*api->interfaces.word));
	if (!api->state_file || !api->interfaces.word)
		return -ENOMEM;
	for (size_t i = 0; i < names->n; i++) {
		api->interfaces.word[i] = strdup(names->word[i]);
		if (!api->interfaces.word[i])
			return -ENOMEM;
		api->interfaces.n++;
	}
	return levee_api_set_config(api, config);
}

int levee_api_set_config(struct levee_api *api, const struct levee_config *config)
{
	struct config_text *text = calloc(1, sizeof(*text)), *before;
	size_t size;
	FILE *out = text ? open_memstream(&text->json, &size) : NULL;

	if (!out) {
		free(text);
		return -ENOMEM;
	}
	text->refs = 1;
	levee_config_write_json(config, out);
	if (fclose(out)) {
		free(text->json);
		free(text);
		return -ENOMEM;
	}
	pthread_mutex_lock(&api->lock);
	before = api->config;
	api->config = text;
	pthread_mutex_unlock(&api->lock);
	put_config(api, before);
	return 0;
}

int levee_api_open(struct levee_api **out, const struct levee_api_options *options)
{
	const struct levee_config *config = options->config;
	struct levee_api *api;
	int ret;

	*out = NULL;
	if (!config->api.socket[0] && !config->api.listen[0])
		return 0;
	api = calloc(1, sizeof(*api));
	if (!api)
		return -ENOMEM;
	api->options = *options;
	pthread_mutex_init(&api->lock, NULL);
	ret = copy_settings(api, config);
	if (!ret && config->api.socket[0])
		ret = open_unix(api, config);
	if (!ret && config->api.listen[0])
		ret = open_tcp(api, config);
	if (!ret) {
		ret = -pthread_create(&api->watcher, NULL, watch, api);
		api->has_watcher = !ret;
	}
	if (ret)
		levee_api_close(&api);
	*out = api;
	return ret;
}

void levee_api_close(struct levee_api **api)
{
	struct levee_api *a = *api;

	*api = NULL;
	if (!a)
		return;
	/* Every connection that waits for an answer has it after this. */
	levee_board_close(a->options.board);
	if (a->has_watcher)
		pthread_join(a->watcher, NULL);
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_mutex_unlock(&a->lock);
	wake(a, true);
	if (a->unix_listener.daemon)
		MHD_stop_daemon(a->unix_listener.daemon);
	if (a->tcp_listener.daemon)
		MHD_stop_daemon(a->tcp_listener.daemon);
	if (a->socket_path)
		unlink(a->socket_path);
	for (size_t i = 0; i < a->interfaces.n; i++)
		free(a->interfaces.word[i]);
	free(a->interfaces.word);
	free(a->socket_path);
	free(a->state_file);
	put_config(a, a->config);
	free(a->certificate);
	free(a->key); /* wiped by nobody before: it is in the TLS library's memory, too */
	pthread_mutex_destroy(&a->lock);
	free(a);
}
