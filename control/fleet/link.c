/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct levee_link {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;
	redisReader *reader;
	size_t unread; /* bytes that came since the last whole reply */
	char *out;     /* what is still to be sent is out[sent, used) */
	size_t sent, used, room;
	int error; /* sticky, -errno */
	char why[LEVEE_LINK_WHY];
	struct levee_link_traffic traffic;
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int fail(struct levee_link *link, int error, const char *what)
{
	const char *reason = error == -ETIMEDOUT    ? "no answer in time"
			     : error == -ECONNRESET ? "the server closed the connection"
						    : strerror(-error);

	if (!link->error) {
		link->error = error;
		snprintf(link->why, sizeof(link->why), "%s: %s", what, reason);
	}
	return link->error;
}

/* The reason of a failed TLS step: the certificate's, or OpenSSL's, or the socket's. */
static int fail_tls(struct levee_link *link, const char *what)
{
	long verdict = link->ssl ? SSL_get_verify_result(link->ssl) : X509_V_OK;
	unsigned long code = ERR_get_error();
	const char *reason = "the connection was closed";

	if (link->error)
		return link->error;
	if (verdict != X509_V_OK)
		reason = X509_verify_cert_error_string(verdict);
	else if (code)
		reason = ERR_reason_error_string(code);
	ERR_clear_error();
	link->error = -EPROTO;
	snprintf(link->why, sizeof(link->why), "%s: %s", what, reason ? reason : "TLS failed");
	return link->error;
}

/* ---- bytes ------------------------------------------------------------------------------- */

/* \return 0 when an event came; -ETIMEDOUT; -errno */
static int wait_for(const struct levee_link *link, short events, int64_t until_ms)
{
	struct pollfd p = { .fd = link->fd, .events = events };

	for (;;) {
		int64_t left = until_ms - now_ms();
		int n = poll(&p, 1, left < 0 ? 0 : left > 60000 ? 60000 : (int)left);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

/* What an SSL call that did not succeed wants. \return 0 and *events; -errno */
static int tls_wants(struct levee_link *link, int ret, short *events)
{
	switch (SSL_get_error(link->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		return 0;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return fail(link, -ECONNRESET, "TLS");
	default:
		return fail_tls(link, "TLS");
	}
}

/* \return bytes; 0: none now, and *events says what to wait for; -errno */
static ssize_t put_bytes(struct levee_link *link, const char *data, size_t n, short *events)
{
	ssize_t done;
	int ret;

	if (link->ssl) {
		ret = SSL_write(link->ssl, data, n > (1 << 30) ? 1 << 30 : (int)n);
		if (ret > 0)
			return ret;
		return tls_wants(link, ret, events);
	}
	done = send(link->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (done >= 0)
		return done;
	*events = POLLOUT;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	return fail(link, -errno, "sending");
}

static ssize_t get_bytes(struct levee_link *link, char *data, size_t n, short *events)
{
	ssize_t done;
	int ret;

	if (link->ssl) {
		ret = SSL_read(link->ssl, data, (int)n);
		if (ret > 0)
			return ret;
		return tls_wants(link, ret, events);
	}
	done = recv(link->fd, data, n, MSG_DONTWAIT);
	if (done > 0)
		return done;
	if (done == 0)
		return fail(link, -ECONNRESET, "receiving");
	*events = POLLIN;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	return fail(link, -errno, "receiving");
}

static int send_some(struct levee_link *link, short *events)
{
	while (link->sent < link->used) {
		ssize_t n = put_bytes(link, link->out + link->sent, link->used - link->sent,
				      events);

		if (n <= 0)
			return (int)n;
		link->sent += (size_t)n;
		link->traffic.bytes_out += (uint64_t)n;
	}
	link->sent = link->used = 0;
	return 0;
}

static int receive_some(struct levee_link *link, short *events, bool *got)
{
	char data[16384];
	ssize_t n = get_bytes(link, data, sizeof(data), events);

	*got = n > 0;
	if (n <= 0)
		return (int)n;
	link->traffic.bytes_in += (uint64_t)n;
	link->unread += (size_t)n;
	if (link->unread > LEVEE_LINK_REPLY_MAX)
		return fail(link, -EMSGSIZE, "an answer larger than any of an engine");
	if (redisReaderFeed(link->reader, data, (size_t)n) != REDIS_OK)
		return fail(link, -EPROTO, "the answer is not of this protocol");
	return 0;
}

/* ---- commands and replies ---------------------------------------------------------------- */

static bool make_room(struct levee_link *link, size_t n)
{
	size_t room = link->room ? link->room : 65536;
	char *more;

	while (room - link->used < n)
		room *= 2;
	if (room == link->room)
		return true;
	more = realloc(link->out, room);
	if (!more)
		return false;
	link->out = more;
	link->room = room;
	return true;
}

void levee_link_push(struct levee_link *link, int argc, const char *const *argv,
		     const size_t *lengths)
{
	char *command = NULL;
	long long n;

	if (link->error)
		return;
	n = redisFormatCommandArgv(&command, argc, (const char **)argv, lengths);
	if (n < 0 || !make_room(link, (size_t)n)) {
		fail(link, -ENOMEM, "building a command");
	} else {
		memcpy(link->out + link->used, command, (size_t)n);
		link->used += (size_t)n;
		link->traffic.commands++;
	}
	if (command && argc <= 3)
		OPENSSL_cleanse(command, (size_t)n); /* AUTH */
	free(command);
}

static int take_reply(struct levee_link *link, redisReply **reply)
{
	void *object = NULL;

	if (redisReaderGetReply(link->reader, &object) != REDIS_OK)
		return fail(link, -EPROTO, "the answer is not of this protocol");
	*reply = object;
	if (object)
		link->unread = 0;
	return object ? 0 : -EAGAIN;
}

int levee_link_pop(struct levee_link *link, int timeout_ms, redisReply **reply)
{
	int64_t until_ms = now_ms() + timeout_ms;
	short want_out, want_in;
	bool got;
	int ret;

	*reply = NULL;
	for (;;) {
		if (link->error)
			return link->error;
		ret = take_reply(link, reply);
		if (ret != -EAGAIN)
			return ret;
		want_out = want_in = 0;
		ret = send_some(link, &want_out);
		if (!ret)
			ret = receive_some(link, &want_in, &got);
		if (ret)
			return ret;
		if (got && (!timeout_ms || now_ms() < until_ms))
			continue;
		if (!timeout_ms)
			return -EAGAIN;
		ret = wait_for(link, (short)(want_out | want_in), until_ms);
		if (ret)
			return fail(link, ret, "waiting");
	}
}

int levee_link_flush(struct levee_link *link, int timeout_ms)
{
	int64_t until_ms = now_ms() + timeout_ms;
	short want = 0;
	int ret = link->error;

	while (!ret && link->sent < link->used) {
		ret = send_some(link, &want);
		if (!ret && link->sent < link->used)
			ret = wait_for(link, want, until_ms);
		if (ret)
			return fail(link, ret, "sending");
	}
	return ret;
}

int levee_link_call(struct levee_link *link, int timeout_ms, redisReply **reply, int argc,
		    const char *const *argv, const size_t *lengths)
{
	levee_link_push(link, argc, argv, lengths);
	return levee_link_pop(link, timeout_ms, reply);
}

int levee_link_fd(const struct levee_link *link)
{
	return link->fd;
}

const char *levee_link_why(const struct levee_link *link)
{
	return link->why;
}

const struct levee_link_traffic *levee_link_traffic(const struct levee_link *link)
{
	return &link->traffic;
}

/* ---- opening ----------------------------------------------------------------------------- */

static int connect_one(struct levee_link *link, const struct addrinfo *at, int64_t until_ms)
{
	int error = 0, one = 1, ret;
	socklen_t size = sizeof(error);

	link->fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (link->fd < 0)
		return -errno;
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(link->fd, at->ai_addr, at->ai_addrlen) && errno != EINPROGRESS) {
		ret = -errno;
	} else {
		ret = wait_for(link, POLLOUT, until_ms);
		if (!ret && getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size))
			error = errno;
		ret = ret ? ret : -error;
	}
	if (ret) {
		close(link->fd);
		link->fd = -1;
	}
	return ret;
}

static int connect_to(struct levee_link *link, const struct levee_link_params *params,
		      int64_t until_ms)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list, *at;
	int ret = getaddrinfo(params->host, params->port, &hints, &list);

	if (ret) {
		link->error = -EHOSTUNREACH;
		snprintf(link->why, sizeof(link->why), "its name cannot be resolved: %s",
			 gai_strerror(ret));
		return link->error;
	}
	ret = -EHOSTUNREACH;
	for (at = list; at; at = at->ai_next) {
		ret = connect_one(link, at, until_ms);
		if (!ret)
			break;
	}
	freeaddrinfo(list);
	return ret ? fail(link, ret, "connecting") : 0;
}

/* The certificate must be of a CA that is trusted, and name the host that was asked for. */
static int expect_host(struct levee_link *link, const char *host)
{
	X509_VERIFY_PARAM *verify = SSL_get0_param(link->ssl);
	struct in6_addr address;

	if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(verify, host) == 1;
	return X509_VERIFY_PARAM_set1_host(verify, host, 0) == 1 &&
	       SSL_set_tlsext_host_name(link->ssl, host) == 1;
}

static int begin_tls(struct levee_link *link, const struct levee_link_params *params,
		     int64_t until_ms)
{
	short events = 0;
	int ret;

	link->ctx = SSL_CTX_new(TLS_client_method());
	if (!link->ctx)
		return fail_tls(link, "TLS");
	SSL_CTX_set_min_proto_version(link->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(link->ctx,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(link->ctx, SSL_VERIFY_PEER, NULL);
	ret = params->ca_file[0] ? SSL_CTX_load_verify_locations(link->ctx, params->ca_file, NULL)
				 : SSL_CTX_set_default_verify_paths(link->ctx);
	if (ret != 1)
		return fail_tls(link, "the CA file cannot be read");
	link->ssl = SSL_new(link->ctx);
	if (!link->ssl || SSL_set_fd(link->ssl, link->fd) != 1 || !expect_host(link, params->host))
		return fail_tls(link, "TLS");
	for (;;) {
		ret = SSL_connect(link->ssl);
		if (ret == 1)
			return 0;
		ret = tls_wants(link, ret, &events);
		if (!ret)
			ret = wait_for(link, events, until_ms);
		if (ret)
			return fail(link, ret, "TLS");
	}
}

/* One command of the greeting: what the server says against it ends the link. */
static int greet(struct levee_link *link, int timeout_ms, int argc, const char *const *argv)
{
	redisReply *reply;
	int ret = levee_link_call(link, timeout_ms, &reply, argc, argv, NULL);

	if (ret)
		return ret;
	if (reply->type == REDIS_REPLY_ERROR) {
		link->error = strncmp(reply->str, "WRONGPASS", 9) == 0 ||
					      strncmp(reply->str, "NOAUTH", 6) == 0 ||
					      strncmp(reply->str, "NOPERM", 6) == 0 ||
					      strncmp(reply->str, "ERR AUTH", 8) == 0 ||
					      strncmp(reply->str, "ERR invalid pass", 16) == 0
				      ? -EACCES
				      : -EPROTO;
		snprintf(link->why, sizeof(link->why), "%s", reply->str);
		ret = link->error;
	}
	freeReplyObject(reply);
	return ret;
}

static int authenticate(struct levee_link *link, const struct levee_link_params *params)
{
	const char *with_user[] = { "AUTH", params->user, params->password };
	const char *without[] = { "AUTH", params->password };
	const char *ping[] = { "PING" };
	const char *select[] = { "SELECT", NULL };
	char db[16];
	int ret = 0;

	if (params->user[0])
		ret = greet(link, params->timeout_ms, 3, with_user);
	else if (params->password[0])
		ret = greet(link, params->timeout_ms, 2, without);
	if (!ret)
		ret = greet(link, params->timeout_ms, 1, ping);
	if (!ret && params->db) {
		snprintf(db, sizeof(db), "%u", params->db);
		select[1] = db;
		ret = greet(link, params->timeout_ms, 2, select);
	}
	return ret;
}

/* An array is allocated when its length is read: what was announced must not be believed. */
#if HIREDIS_MAJOR >= 1
typedef size_t array_length;
#else
typedef int array_length;
#endif
static redisReplyObjectFunctions reply_functions;
static pthread_once_t reply_once = PTHREAD_ONCE_INIT;
static void *(*make_array)(const redisReadTask *task, array_length n);

static void *make_sane_array(const redisReadTask *task, array_length n)
{
	return (uint64_t)n > LEVEE_LINK_ELEMENTS_MAX ? NULL : make_array(task, n);
}

static void set_functions(void)
{
	redisReader *reader = redisReaderCreate();

	if (!reader)
		return;
	reply_functions = *reader->fn;
	make_array = reply_functions.createArray;
	reply_functions.createArray = make_sane_array;
	redisReaderFree(reader);
}

static redisReader *make_reader(void)
{
	pthread_once(&reply_once, set_functions);
	return make_array ? redisReaderCreateWithFunctions(&reply_functions) : NULL;
}

int levee_link_open(struct levee_link **out, const struct levee_link_params *params,
		    char why[static LEVEE_LINK_WHY])
{
	struct levee_link *link = calloc(1, sizeof(*link));
	int64_t until_ms = now_ms() + params->timeout_ms;
	int ret;

	*out = NULL;
	snprintf(why, LEVEE_LINK_WHY, "%s", strerror(ENOMEM));
	if (!link)
		return -ENOMEM;
	link->fd = -1;
	link->reader = make_reader();
	ret = link->reader ? connect_to(link, params, until_ms) : -ENOMEM;
	if (!ret && params->tls)
		ret = begin_tls(link, params, until_ms);
	if (!ret)
		ret = authenticate(link, params);
	if (link->out)
		OPENSSL_cleanse(link->out, link->room);
	if (ret) {
		if (link->why[0])
			snprintf(why, LEVEE_LINK_WHY, "%s", link->why);
		levee_link_close(&link);
		return ret;
	}
	why[0] = '\0';
	*out = link;
	return 0;
}

void levee_link_close(struct levee_link **at)
{
	struct levee_link *link = *at;

	if (!link)
		return;
	SSL_free(link->ssl);
	SSL_CTX_free(link->ctx);
	if (link->fd >= 0)
		close(link->fd);
	if (link->reader)
		redisReaderFree(link->reader);
	free(link->out);
	free(link);
	*at = NULL;
}
