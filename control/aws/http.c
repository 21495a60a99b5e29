/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/crypto.h>

#include "levee_version.h"

#define HEAD_BYTES	(64 * 1024)
#define MAX_CONNECTIONS 8L

/* ---- replies ---- */

int levee_http_perform(struct levee_http *http, const struct levee_http_request *request,
		       struct levee_http_reply *reply, struct levee_aws_error *error)
{
	*reply = (struct levee_http_reply){ 0 };
	levee_aws_text_init(&reply->head, HEAD_BYTES);
	levee_aws_text_init(&reply->body,
			    request->max_bytes ? request->max_bytes : LEVEE_HTTP_MAX_BYTES);
	return http->ops->perform(http->ctx, request, reply, error);
}

/* The value, if this line is that header. */
static const char *match_line(const char *line, size_t n, const char *name)
{
	size_t length = strlen(name);

	if (n <= length || line[length] != ':' || strncasecmp(line, name, length) != 0)
		return NULL;
	return line + length + 1;
}

const char *levee_http_reply_header(const struct levee_http_reply *reply, const char *name,
				    char *out, size_t size)
{
	const char *line = levee_aws_text_string(&reply->head);

	while (*line) {
		size_t n = strcspn(line, "\n");
		const char *value = match_line(line, n, name), *end = line + n;

		if (value) {
			while (value < end && strchr(" \t\r", *value))
				value++;
			while (end > value && strchr(" \t\r", end[-1]))
				end--;
			if ((size_t)(end - value) >= size)
				return NULL;
			memcpy(out, value, (size_t)(end - value));
			out[end - value] = '\0';
			return out;
		}
		line += n + (line[n] == '\n');
	}
	return NULL;
}

void levee_http_reply_free(struct levee_http_reply *reply)
{
	levee_aws_text_free(&reply->head);
	levee_aws_text_free(&reply->body);
	reply->status = 0;
}

void levee_http_free(struct levee_http *http)
{
	if (!http)
		return;
	if (http->ops->free)
		http->ops->free(http->ctx);
	free(http);
}

/* ---- URLs ---- */

static char *url_part(CURLU *handle, CURLUPart what)
{
	char *part = NULL, *copy = NULL;

	if (curl_url_get(handle, what, &part, 0) == CURLUE_OK && part)
		copy = strdup(part);
	curl_free(part);
	return copy;
}

static bool has_part(CURLU *handle, CURLUPart what)
{
	char *part = NULL;
	bool has = curl_url_get(handle, what, &part, 0) == CURLUE_OK;

	curl_free(part);
	return has;
}

/* Host of the header, with its brackets; the copy in url->host loses them. */
static int split_host(struct levee_http_url *url, const char *port)
{
	bool is_default = !port || strcmp(port, url->https ? "443" : "80") == 0;
	size_t n = strlen(url->host);

	if (asprintf(&url->authority, "%s%s%s", url->host, is_default ? "" : ":",
		     is_default ? "" : port) < 0) {
		url->authority = NULL;
		return -ENOMEM;
	}
	if (n > 2 && url->host[0] == '[' && url->host[n - 1] == ']') {
		memmove(url->host, url->host + 1, n - 2);
		url->host[n - 2] = '\0';
	}
	return 0;
}

static int take_parts(struct levee_http_url *out, CURLU *handle)
{
	char *scheme = url_part(handle, CURLUPART_SCHEME);
	char *port = url_part(handle, CURLUPART_PORT);
	int ret = -EINVAL;

	out->host = url_part(handle, CURLUPART_HOST);
	out->path = url_part(handle, CURLUPART_PATH);
	out->query = url_part(handle, CURLUPART_QUERY);
	if (scheme && out->host && *out->host && out->path &&
	    (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0)) {
		out->https = strcmp(scheme, "https") == 0;
		ret = split_host(out, port);
	}
	free(scheme);
	free(port);
	return ret;
}

int levee_http_url_parse(struct levee_http_url *out, const char *url)
{
	CURLU *handle = curl_url();
	int ret = -EINVAL;

	*out = (struct levee_http_url){ 0 };
	if (!handle)
		return -ENOMEM;
	if (curl_url_set(handle, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK &&
	    !has_part(handle, CURLUPART_USER) && !has_part(handle, CURLUPART_PASSWORD) &&
	    !has_part(handle, CURLUPART_FRAGMENT) && !has_part(handle, CURLUPART_ZONEID))
		ret = take_parts(out, handle);
	curl_url_cleanup(handle);
	return ret;
}

void levee_http_url_free(struct levee_http_url *url)
{
	free(url->host);
	free(url->authority);
	free(url->path);
	free(url->query);
	*url = (struct levee_http_url){ 0 };
}

/* ---- libcurl ---- */

struct client {
	CURL *curl;
	pthread_mutex_t lock; /* a handle, and its connections, belong to one thread at a time */
	char *ca_bundle;
	struct levee_aws_env env;
};

/* What the callbacks of one exchange share. */
struct exchange {
	struct client *client;
	struct levee_http_reply *reply;
	int64_t until_ms;
	unsigned int sent; /* times that the request went, or began to go, out */
	bool late;	   /* and that it did not any more */
};

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	levee_aws_text_add(&x->reply->body, bytes, size * n);
	return x->reply->body.error ? 0 : size * n;
}

/* A status line begins a new response (after "100 Continue"): only the last one's head counts. */
static size_t on_header(char *bytes, size_t size, size_t n, void *ctx)
{
	struct exchange *x = ctx;

	if (size * n >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
		levee_aws_text_clear(&x->reply->head);
	levee_aws_text_add(&x->reply->head, bytes, size * n);
	return x->reply->head.error ? 0 : size * n;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct exchange *x = ctx;

	(void)a, (void)b, (void)c, (void)d;
	return x->client->env.cancelled(x->client->env.ctx);
}

#if LIBCURL_VERSION_NUM >= 0x075000
/*
 * Connected, and about to send. A timeout alone would be no limit: it counts from when libcurl
 * began, and a process that was stopped at this very place would send before it is looked at.
 */
static int on_send(void *ctx, char *there, char *here, int port, int own_port)
{
	struct exchange *x = ctx;

	(void)there, (void)here, (void)port, (void)own_port;
	x->late = x->until_ms && levee_aws_boot_ms() >= x->until_ms;
	x->sent += !x->late;
	return x->late ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}
#endif

static bool is_clean(const struct levee_http_request *request)
{
	for (size_t i = 0; i < request->n_headers; i++)
		if (strpbrk(request->headers[i].name, " :\r\n") ||
		    strpbrk(request->headers[i].value, "\r\n"))
			return false;
	for (const char *c = request->url; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return false;
	return request->method[strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

static void wipe_list(struct curl_slist *list)
{
	for (struct curl_slist *item = list; item; item = item->next)
		OPENSSL_cleanse(item->data, strlen(item->data));
	curl_slist_free_all(list);
}

static bool append(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer)
		*list = longer;
	return longer;
}

/* "Name;" is how libcurl is told to send a header without a value. */
static struct curl_slist *header_list(const struct levee_http_request *request)
{
	/* libcurl's own additions that nobody signed or needs */
	struct curl_slist *list = NULL;
	bool good = append(&list, "Expect:") && append(&list, "Accept:");
	bool typed = false;

	for (size_t i = 0; i < request->n_headers && good; i++) {
		const struct levee_aws_header *header = &request->headers[i];
		char *line = NULL;

		typed = typed || strcasecmp(header->name, "Content-Type") == 0;
		good = asprintf(&line, *header->value ? "%s: %s" : "%s;%s", header->name,
				header->value) >= 0 &&
		       append(&list, line);
		if (line)
			levee_aws_wipe_string(line);
	}
	if (good && !typed)
		good = append(&list, "Content-Type:");
	if (good)
		return list;
	wipe_list(list);
	return NULL;
}

static void set_method(CURL *curl, const struct levee_http_request *request)
{
	if (request->body) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)request->body_bytes);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
	} else if (strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
	}
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_protocols(CURL *curl)
{
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

static void set_limits(CURL *curl, const struct levee_http_request *request)
{
	uint32_t connect_ms = request->connect_ms ? request->connect_ms : LEVEE_HTTP_CONNECT_MS;
	uint32_t total_ms = request->total_ms ? request->total_ms : LEVEE_HTTP_TOTAL_MS;

	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)total_ms);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_MAXCONNECTS, MAX_CONNECTIONS);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	set_protocols(curl);
	if (request->no_proxy)
		curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
}

/* Reset keeps the open connections, and nothing of the last request. */
static void set_all(struct client *client, const struct levee_http_request *request,
		    struct exchange *x, struct curl_slist *headers, char *reason)
{
	CURL *curl = client->curl;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
	curl_easy_setopt(curl, CURLOPT_URL, request->url);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "levee/" LEVEE_VERSION);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	set_method(curl, request);
	set_limits(curl, request);
	if (client->ca_bundle)
		curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_bundle);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
#if LIBCURL_VERSION_NUM >= 0x075000
	curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_send);
	curl_easy_setopt(curl, CURLOPT_PREREQDATA, x);
#endif
}

/* Scheme and authority: a path or query may hold what nobody needs to see. */
static void short_url(char *out, size_t size, const char *url)
{
	const char *rest = strstr(url, "://");
	size_t n = rest ? (size_t)(rest - url) + 3 + strcspn(rest + 3, "/?#") : 0;

	snprintf(out, size, "%.*s", (int)(n < size ? n : size - 1), url);
}

/* libcurl's failures as ours. */
static int explain(CURLcode code, const struct client *client,
		   const struct levee_http_request *request, const struct levee_http_reply *reply,
		   const char *reason, struct levee_aws_error *error)
{
	const char *why = *reason ? reason : curl_easy_strerror(code);
	char url[256];

	short_url(url, sizeof(url), request->url);
	if (reply->body.error || reply->head.error) {
		if (reply->body.error == -ENOMEM || reply->head.error == -ENOMEM)
			return levee_aws_error_memory(error);
		return levee_aws_error_set(
			error, -EFBIG, "ReplyTooLarge", "%s: the reply is larger than %zu bytes",
			url, reply->head.error ? reply->head.limit : reply->body.limit);
	}
	switch (code) {
	case CURLE_ABORTED_BY_CALLBACK:
		return levee_aws_error_set(error, -ECANCELED, "Cancelled", "%s: called off", url);
	case CURLE_OUT_OF_MEMORY:
		return levee_aws_error_memory(error);
	case CURLE_OPERATION_TIMEDOUT:
		return levee_aws_error_set(error, -ETIMEDOUT, "Timeout", "%s: %s", url, why);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return levee_aws_error_set(error, -EHOSTUNREACH, "NameNotResolved",
					   "%s: %s; check region, endpoint and DNS", url, why);
	case CURLE_COULDNT_CONNECT:
		return levee_aws_error_set(error, -ECONNREFUSED, "ConnectFailed",
					   "%s: %s; check routes, security groups and proxy", url,
					   why);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return levee_aws_error_set(error, -EKEYREJECTED, "CertificateNotVerified",
					   "%s: %s; authorities: %s (AWS_CA_BUNDLE)", url, why,
					   client->ca_bundle ? client->ca_bundle : "the system's");
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return levee_aws_error_set(error, -EINVAL, "InvalidRequest", "%s: %s", url, why);
	default:
		return levee_aws_error_set(error, -ECONNRESET, "ConnectionLost", "%s: %s", url,
					   why);
	}
}

/*
 * OpenSSL writes to connections that the other side may have closed. The signal of that must not
 * end the program, and libcurl, told to leave signals alone, leaves this one to us.
 */
static CURLcode perform_without_sigpipe(CURL *curl)
{
	const struct timespec now = { 0 };
	sigset_t pipe_only, before, pending;
	CURLcode code;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
	code = curl_easy_perform(curl);
	if (!sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &now) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return code;
}

static int exchange_locked(struct client *client, const struct levee_http_request *request,
			   struct levee_http_reply *reply, struct curl_slist *headers,
			   struct levee_aws_error *error)
{
	struct exchange x = { .client = client, .reply = reply, .until_ms = request->until_ms };
	char reason[CURL_ERROR_SIZE] = "";
	long status = 0;
	CURLcode code;

	set_all(client, request, &x, headers, reason);
	code = perform_without_sigpipe(client->curl);
	if (x.late && !x.sent)
		return levee_aws_error_set(error, -ECONNREFUSED, "TooLate",
					   "its time was over before it could be sent");
	if (x.late)
		code = CURLE_OPERATION_TIMEDOUT;
	if (code != CURLE_OK)
		return explain(code, client, request, reply, reason, error);
	curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
	reply->status = (int)status;
	return 0;
}

static int curl_perform(void *ctx, const struct levee_http_request *request,
			struct levee_http_reply *reply, struct levee_aws_error *error)
{
	struct client *client = ctx;
	struct curl_slist *headers;
	int ret;

	if (!is_clean(request))
		return levee_aws_error_set(error, -EINVAL, "InvalidRequest",
					   "method, URL or a header is not well-formed");
	headers = header_list(request);
	if (!headers)
		return levee_aws_error_memory(error);
	pthread_mutex_lock(&client->lock);
	ret = exchange_locked(client, request, reply, headers, error);
	/* the handle must not point into this frame, or at the body, any longer */
	curl_easy_reset(client->curl);
	pthread_mutex_unlock(&client->lock);
	wipe_list(headers);
	return ret;
}

static void client_free(void *ctx)
{
	struct client *client = ctx;

	if (client->curl)
		curl_easy_cleanup(client->curl);
	pthread_mutex_destroy(&client->lock);
	free(client->ca_bundle);
	free(client);
}

static CURLcode global_code;

static void start_curl(void)
{
	global_code = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static struct client *client_new(const struct levee_http_settings *settings)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	pthread_once(&once, start_curl);
	pthread_mutex_init(&client->lock, NULL);
	client->env = settings->env;
	client->curl = global_code == CURLE_OK ? curl_easy_init() : NULL;
	if (settings->ca_bundle)
		client->ca_bundle = strdup(settings->ca_bundle);
	if (!client->curl || (settings->ca_bundle && !client->ca_bundle)) {
		client_free(client);
		return NULL;
	}
	return client;
}

static const struct levee_http_ops curl_ops = { .perform = curl_perform, .free = client_free };

struct levee_http *levee_http_new(const struct levee_http_settings *settings,
				  struct levee_aws_error *error)
{
	struct levee_http *http;

	if (settings->ca_bundle && access(settings->ca_bundle, R_OK) < 0) {
		levee_aws_error_set(error, -errno, "InvalidConfiguration",
				    "AWS_CA_BUNDLE or ca_bundle: %s: %s", settings->ca_bundle,
				    strerror(errno));
		return NULL;
	}
	http = calloc(1, sizeof(*http));
	if (http) {
		http->ops = &curl_ops;
		http->ctx = client_new(settings);
	}
	if (!http || !http->ctx) {
		free(http);
		levee_aws_error_memory(error);
		return NULL;
	}
	return http;
}
