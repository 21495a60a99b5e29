/* SPDX-License-Identifier: BSD-2-Clause */
/* The real client, against a server in a thread of this program that answers with given bytes. */
#include "control/aws/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cmocka.h>

#include "tests/support/aws.h"

#define N_ANSWERS 8

struct server {
	int listener;
	int port;
	int stop[2]; /* closing the second ends the thread, wherever it waits */
	pthread_t thread;
	SSL_CTX *tls; /* NULL: plain */
	const char *answers[N_ANSWERS];
	size_t n_answers; /* given */
	size_t n_connections;
	char seen[16384]; /* all requests, one after the other */
	size_t n_seen;
};

struct connection {
	int fd;
	SSL *ssl;
};

/* Until something can be read. False: the test is over. */
static bool wait_readable(struct server *s, int fd)
{
	struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
				 { .fd = s->stop[0], .events = POLLIN } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return !fds[1].revents;
}

static ssize_t get(struct server *s, struct connection *c, char *out, size_t size)
{
	if (c->ssl)
		return SSL_pending(c->ssl) || wait_readable(s, c->fd)
			       ? SSL_read(c->ssl, out, (int)size)
			       : 0;
	return wait_readable(s, c->fd) ? read(c->fd, out, size) : 0;
}

static void put(struct connection *c, const char *text)
{
	size_t n = strlen(text);

	while (n > 0) {
		ssize_t sent = c->ssl ? SSL_write(c->ssl, text, (int)n)
				      : send(c->fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		text += sent;
		n -= (size_t)sent;
	}
}

/* One request, head and body; false if the connection ended. */
static bool get_request(struct server *s, struct connection *c)
{
	char text[8192];
	size_t n = 0, want = 0;

	for (;;) {
		ssize_t got = get(s, c, text + n, sizeof(text) - 1 - n);
		char *end, *length;

		if (got <= 0)
			return false;
		n += (size_t)got;
		text[n] = '\0';
		end = strstr(text, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(text, "\r\nContent-Length: ");
		want = (size_t)(end - text) + 4 + (length ? strtoul(length + 18, NULL, 10) : 0);
		if (n >= want)
			break;
	}
	if (s->n_seen + n < sizeof(s->seen)) {
		memcpy(s->seen + s->n_seen, text, n + 1);
		s->n_seen += n;
	}
	return true;
}

/* "HANG": no answer at all. "CUT": what follows, then the end of the connection. */
static bool answer(struct server *s, struct connection *c)
{
	const char *text = s->answers[s->n_answers++];
	char nothing[1];

	if (!text || strcmp(text, "HANG") == 0) {
		get(s, c, nothing, 1);
		return false;
	}
	if (strncmp(text, "CUT", 3) == 0) {
		put(c, text + 3);
		return false;
	}
	put(c, text);
	return true;
}

static void serve(struct server *s, struct connection *c)
{
	if (s->tls) {
		c->ssl = SSL_new(s->tls);
		SSL_set_fd(c->ssl, c->fd);
		if (SSL_accept(c->ssl) <= 0) {
			SSL_free(c->ssl);
			return;
		}
	}
	while (s->n_answers < N_ANSWERS && get_request(s, c) && answer(s, c))
		;
	SSL_free(c->ssl);
}

static void *run_server(void *ctx)
{
	struct server *s = ctx;
	sigset_t pipe_only;

	/* in this thread alone: the client must do without */
	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
	while (wait_readable(s, s->listener)) {
		struct connection c = { .fd = accept(s->listener, NULL, NULL) };

		if (c.fd < 0)
			break;
		s->n_connections++;
		serve(s, &c);
		close(c.fd);
	}
	return NULL;
}

static void start(struct server *s)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(address);

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->listener >= 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, n), 0);
	assert_int_equal(listen(s->listener, 8), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &n), 0);
	s->port = ntohs(address.sin_port);
	assert_int_equal(pipe(s->stop), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void stop(struct server *s)
{
	close(s->stop[1]);
	pthread_join(s->thread, NULL);
	close(s->stop[0]);
	close(s->listener);
	SSL_CTX_free(s->tls);
}

static struct levee_http *client(struct fake_env *env, const char *bundle)
{
	struct levee_http_settings settings = { .ca_bundle = bundle };
	struct levee_aws_error error = { 0 };
	struct levee_http *http;

	fake_env_init(env);
	settings.env = env->env;
	http = levee_http_new(&settings, &error);
	if (!http)
		fail_msg("%s", error.message);
	return http;
}

#define PAGE "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name:  va lue \r\n\r\nhello"

struct fixture {
	struct server server;
	struct fake_env env;
	struct levee_http *http;
	char url[64];
	struct levee_http_request request;
	struct levee_http_reply reply;
	struct levee_aws_error error;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->http = client(&f->env, NULL);
	f->request = (struct levee_http_request){ .method = "GET", .url = f->url };
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_http_reply_free(&f->reply);
	levee_http_free(f->http);
	stop(&f->server);
	free(f);
	return 0;
}

static void begin(struct fixture *f, const char *path)
{
	start(&f->server);
	snprintf(f->url, sizeof(f->url), "%s://%s:%d%s", f->server.tls ? "https" : "http",
		 f->server.tls ? "localhost" : "127.0.0.1", f->server.port, path);
}

static int perform(struct fixture *f)
{
	levee_http_reply_free(&f->reply);
	levee_aws_error_clear(&f->error);
	return levee_http_perform(f->http, &f->request, &f->reply, &f->error);
}

static void a_page_arrives_with_status_headers_and_body(void **state)
{
	struct fixture *f = *state;
	char value[16];

	f->server.answers[0] = PAGE;
	begin(f, "/a//../b?c=%20d");
	assert_int_equal(perform(f), 0);
	assert_int_equal(f->reply.status, 200);
	assert_string_equal(levee_aws_text_string(&f->reply.body), "hello");
	assert_string_equal(levee_http_reply_header(&f->reply, "x-NAME", value, sizeof(value)),
			    "va lue");
	assert_null(levee_http_reply_header(&f->reply, "x-nam", value, sizeof(value)));
	assert_null(levee_http_reply_header(&f->reply, "x-name", value, 6));
	assert_non_null(strstr(f->server.seen, "GET /a//../b?c=%20d HTTP/1.1\r\n"));
}

static void a_connection_is_used_again(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = f->server.answers[1] = f->server.answers[2] = PAGE;
	begin(f, "/");
	for (int i = 0; i < 3; i++)
		assert_int_equal(perform(f), 0);
	assert_int_equal(f->server.n_connections, 1);
}

static void a_body_and_only_our_headers_are_sent(void **state)
{
	struct fixture *f = *state;
	const struct levee_aws_header headers[] = { { "Content-Type", "text/x-test" },
						    { "X-Empty", "" } };

	f->server.answers[0] = PAGE;
	begin(f, "/");
	f->request.method = "POST";
	f->request.headers = headers;
	f->request.n_headers = 2;
	f->request.body = "a=b";
	f->request.body_bytes = 3;
	assert_int_equal(perform(f), 0);
	assert_non_null(strstr(f->server.seen, "POST / HTTP/1.1\r\n"));
	assert_non_null(strstr(f->server.seen, "\r\nContent-Type: text/x-test\r\n"));
	assert_non_null(strstr(f->server.seen, "\r\nX-Empty:\r\n"));
	assert_non_null(strstr(f->server.seen, "\r\nContent-Length: 3\r\n"));
	assert_non_null(strstr(f->server.seen, "\r\n\r\na=b"));
	assert_null(strstr(f->server.seen, "Expect"));
	assert_null(strstr(f->server.seen, "Accept"));
}

static void an_empty_put_has_a_length_and_no_type(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = PAGE;
	begin(f, "/token");
	f->request.method = "PUT";
	f->request.body = "";
	assert_int_equal(perform(f), 0);
	assert_non_null(strstr(f->server.seen, "PUT /token HTTP/1.1\r\n"));
	assert_non_null(strstr(f->server.seen, "\r\nContent-Length: 0\r\n"));
	assert_null(strcasestr(f->server.seen, "Content-Type"));
}

static void nothing_of_a_request_is_left_for_the_next(void **state)
{
	struct fixture *f = *state;
	const struct levee_aws_header header = { "X-Once", "1" };

	f->server.answers[0] = f->server.answers[1] = PAGE;
	begin(f, "/");
	f->request.method = "POST";
	f->request.headers = &header;
	f->request.n_headers = 1;
	f->request.body = "first";
	f->request.body_bytes = 5;
	assert_int_equal(perform(f), 0);
	f->server.n_seen = 0;
	f->request = (struct levee_http_request){ .method = "GET", .url = f->url };
	assert_int_equal(perform(f), 0);
	assert_null(strstr(f->server.seen, "X-Once"));
	assert_null(strstr(f->server.seen, "first"));
	assert_non_null(strstr(f->server.seen, "GET / HTTP/1.1"));
}

static void a_redirect_is_a_reply_like_any_other(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] =
		"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
	begin(f, "/");
	assert_int_equal(perform(f), 0);
	assert_int_equal(f->reply.status, 302);
	assert_null(strstr(f->server.seen, "/other"));
}

static void a_body_above_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = f->server.answers[1] = PAGE;
	begin(f, "/");
	f->request.max_bytes = 4;
	assert_int_equal(perform(f), -EFBIG);
	assert_string_equal(f->error.code, "ReplyTooLarge");
	f->request.max_bytes = 5;
	assert_int_equal(perform(f), 0);
}

static void a_head_without_end_is_refused(void **state)
{
	struct fixture *f = *state;
	size_t n = 80 * 1024;
	char *text = malloc(n + 64);

	assert_non_null(text);
	strcpy(text, "HTTP/1.1 200 OK\r\n");
	for (size_t end = strlen(text); end < n; end = strlen(text))
		snprintf(text + end, 64, "X-Filler: %040d\r\n", 7);
	f->server.answers[0] = text;
	begin(f, "/");
	assert_int_equal(perform(f), -EFBIG);
	free(text);
}

static void a_server_that_says_nothing_is_a_timeout(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = "HANG";
	begin(f, "/secret-path?token=hidden");
	f->request.total_ms = 200;
	assert_int_equal(perform(f), -ETIMEDOUT);
	assert_string_equal(f->error.code, "Timeout");
	assert_null(strstr(f->error.message, "hidden"));
	assert_null(strstr(f->error.message, "secret-path"));
	assert_non_null(strstr(f->error.message, "http://127.0.0.1:"));
}

static void what_is_late_is_not_sent(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	begin(f, "/");
	f->request.until_ms = levee_aws_boot_ms();
	assert_int_equal(perform(f), -ECONNREFUSED);
	assert_string_equal(f->error.code, "TooLate");
	f->request.until_ms = levee_aws_boot_ms() + 60000;
	assert_int_equal(perform(f), 0);
}

static void a_reply_that_is_cut_short_is_an_error(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = "CUTHTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
	f->server.answers[1] = "CUT";
	begin(f, "/");
	assert_int_equal(perform(f), -ECONNRESET);
	assert_string_equal(f->error.code, "ConnectionLost");
	assert_int_equal(perform(f), -ECONNRESET);
}

static void what_is_not_http_is_an_error(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = "CUTSSH-2.0-OpenSSH_9.2\r\n";
	begin(f, "/");
	assert_true(perform(f) < 0);
}

static void a_port_where_nobody_listens_is_named(void **state)
{
	struct fixture *f = *state;
	struct server other = { 0 }; /* its port was given to somebody, and given back */

	begin(f, "/");
	start(&other);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d/", other.port);
	stop(&other);
	assert_int_equal(perform(f), -ECONNREFUSED);
	assert_string_equal(f->error.code, "ConnectFailed");
}

static void a_thrown_switch_ends_an_exchange(void **state)
{
	struct fixture *f = *state;

	f->server.answers[0] = "HANG";
	begin(f, "/");
	f->env.cancelled = true;
	assert_int_equal(perform(f), -ECANCELED);
	assert_string_equal(f->error.code, "Cancelled");
}

static void a_request_that_is_not_well_formed_is_not_sent(void **state)
{
	struct fixture *f = *state;
	struct levee_aws_header header = { "X-A", "1\r\nX-B: 2" };

	begin(f, "/");
	f->request.headers = &header;
	f->request.n_headers = 1;
	assert_int_equal(perform(f), -EINVAL);
	f->request.n_headers = 0;
	f->request.method = "GET /x";
	assert_int_equal(perform(f), -EINVAL);
	f->request.method = "GET";
	f->request.url = "http://127.0.0.1/ a";
	assert_int_equal(perform(f), -EINVAL);
	f->request.url = "ftp://127.0.0.1/";
	assert_int_equal(perform(f), -EINVAL);
	f->request.url = "file:///etc/passwd";
	assert_int_equal(perform(f), -EINVAL);
	assert_int_equal(f->server.n_connections, 0);
}

/* ---- TLS ---- */

static X509 *make_certificate(EVP_PKEY *key, const char *names)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *alt = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1,
				   0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	X509_add_ext(cert, alt, -1);
	X509_EXTENSION_free(alt);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

/* A server with a certificate that it signed itself; `path` gets it as PEM. */
static void give_tls(struct server *s, const char *names, char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert;
	int fd;
	FILE *out;

	assert_non_null(key);
	cert = make_certificate(key, names);
	s->tls = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(s->tls, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(s->tls, key), 1);
	strcpy(path, "/tmp/levee-test-http-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	out = fdopen(fd, "w");
	PEM_write_X509(out, cert);
	fclose(out);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void a_certificate_of_nobody_known_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[64];

	give_tls(&f->server, "DNS:localhost", path);
	f->server.answers[0] = PAGE;
	begin(f, "/");
	assert_int_equal(perform(f), -EKEYREJECTED);
	assert_string_equal(f->error.code, "CertificateNotVerified");
	assert_int_equal(f->server.n_seen, 0);
	unlink(path);
}

static void a_certificate_of_the_bundle_is_accepted(void **state)
{
	struct fixture *f = *state;
	char path[64];

	give_tls(&f->server, "DNS:localhost", path);
	f->server.answers[0] = PAGE;
	begin(f, "/");
	levee_http_free(f->http);
	f->http = client(&f->env, path);
	assert_int_equal(perform(f), 0);
	assert_string_equal(levee_aws_text_string(&f->reply.body), "hello");
	unlink(path);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[64];

	give_tls(&f->server, "DNS:example.com", path);
	f->server.answers[0] = PAGE;
	begin(f, "/");
	levee_http_free(f->http);
	f->http = client(&f->env, path);
	assert_int_equal(perform(f), -EKEYREJECTED);
	assert_int_equal(f->server.n_seen, 0);
	unlink(path);
}

static void a_bundle_that_cannot_be_read_is_named(void **state)
{
	struct fake_env env;
	struct levee_http_settings settings = { .ca_bundle = "/nonexistent/ca.pem" };
	struct levee_aws_error error = { 0 };

	(void)state;
	fake_env_init(&env);
	settings.env = env.env;
	assert_null(levee_http_new(&settings, &error));
	assert_non_null(strstr(error.message, "/nonexistent/ca.pem"));
}

/* ---- URLs ---- */

static void assert_url(const char *text, bool https, const char *host, const char *authority,
		       const char *path, const char *query)
{
	struct levee_http_url url;

	assert_int_equal(levee_http_url_parse(&url, text), 0);
	assert_int_equal(url.https, https);
	assert_string_equal(url.host, host);
	assert_string_equal(url.authority, authority);
	assert_string_equal(url.path, path);
	if (query)
		assert_string_equal(url.query, query);
	else
		assert_null(url.query);
	levee_http_url_free(&url);
}

static void a_url_falls_into_its_parts(void **state)
{
	(void)state;
	assert_url("https://ec2.eu-west-1.amazonaws.com", true, "ec2.eu-west-1.amazonaws.com",
		   "ec2.eu-west-1.amazonaws.com", "/", NULL);
	assert_url("http://127.0.0.1:5000/a/../b?c=d", false, "127.0.0.1", "127.0.0.1:5000",
		   "/a/../b", "c=d");
	assert_url("https://h:443/", true, "h", "h", "/", NULL);
	assert_url("http://h:443/", false, "h", "h:443", "/", NULL);
	assert_url("http://[fd00:ec2::254]:80/latest", false, "fd00:ec2::254", "[fd00:ec2::254]",
		   "/latest", NULL);
}

static void what_is_no_plain_url_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"h",
		"/x",
		"ftp://h/",
		"http://",
		"http://u@h",
		"http://u:p@h",
		"http://h/#part",

		"http://h:99999/",
		"file:///x",
		"http://a b/",
		"http://[fe80::1%25eth0]/",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct levee_http_url url;

		if (levee_http_url_parse(&url, bad[i]) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		levee_http_url_free(&url);
	}
}

#define serving(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		serving(a_page_arrives_with_status_headers_and_body),
		serving(a_connection_is_used_again),
		serving(a_body_and_only_our_headers_are_sent),
		serving(an_empty_put_has_a_length_and_no_type),
		serving(nothing_of_a_request_is_left_for_the_next),
		serving(a_redirect_is_a_reply_like_any_other),
		serving(a_body_above_the_limit_is_refused),
		serving(a_head_without_end_is_refused),
		serving(a_server_that_says_nothing_is_a_timeout),
		serving(what_is_late_is_not_sent),
		serving(a_reply_that_is_cut_short_is_an_error),
		serving(what_is_not_http_is_an_error),
		serving(a_thrown_switch_ends_an_exchange),
		serving(a_request_that_is_not_well_formed_is_not_sent),
		serving(a_port_where_nobody_listens_is_named),
		serving(a_certificate_of_nobody_known_is_refused),
		serving(a_certificate_of_the_bundle_is_accepted),
		serving(a_certificate_for_another_name_is_refused),
		cmocka_unit_test(a_bundle_that_cannot_be_read_is_named),
		cmocka_unit_test(a_url_falls_into_its_parts),
		cmocka_unit_test(what_is_no_plain_url_is_refused),
	};

	/* libcurl would take a proxy from here */
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
