/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/cli/config_args.h"
#include "control/log.h"
#include "dataplane/prefix.h"

#define REPLY_MAX (64U << 20) /* far above any answer: a list has 10,000 entries at most */
#define TIMEOUT_S 10L

/* ---- the command line ---------------------------------------------------------------------- */

static int set_option(void *ctx, int option, const char *value)
{
	struct levee_client *c = ctx;

	switch (option) {
	case 0:
		c->socket = value;
		return 0;
	case 1:
		c->url = value;
		return 0;
	case 2:
		c->token_file = value;
		return 0;
	case 3:
		c->json = true;
		return 0;
	default:
		return c->set(c->ctx, option - LEVEE_CLIENT_N_OPTIONS, value);
	}
}

/* Where the daemon of this machine is, as its configuration says; silent if it cannot be read. */
static void find_socket(struct levee_client *c)
{
	const char *env = getenv("LEVEE_SOCKET");
	struct levee_config config;
	FILE *nowhere;

	if (c->socket || c->url)
		return;
	if (env && env[0]) {
		c->socket = env;
		return;
	}
	snprintf(c->found, sizeof(c->found), "/run/levee/levee.sock");
	c->socket = c->found;
	if (levee_config_init(&config))
		return;
	nowhere = fopen("/dev/null", "we");
	if (nowhere && !access(LEVEE_CONFIG_PATH, R_OK))
		(void)levee_config_read(&config, LEVEE_CONFIG_PATH, nowhere);
	if (config.api.socket && config.api.socket[0])
		snprintf(c->found, sizeof(c->found), "%s", config.api.socket);
	if (nowhere)
		fclose(nowhere);
	levee_config_clear(&config);
}

static int take_word(struct levee_client *c, const struct levee_command *command, const char *word)
{
	if (c->n_args == LEVEE_CLIENT_ARGS)
		return levee_command_usage(command, "too many arguments");
	c->args[c->n_args++] = word;
	return 0;
}

int levee_client_parse(struct levee_client *c, const struct levee_command *command, int argc,
		       char **argv, size_t min, size_t max)
{
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_option, c, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	for (; first < argc; first++) {
		ret = take_word(c, command, argv[first]);
		if (ret)
			return ret;
	}
	if (c->n_args > max)
		return levee_command_usage(command, "unexpected argument %s", c->args[max]);
	if (c->n_args < min)
		return levee_command_usage(command, "no %s given", command->arguments);
	if (c->url && c->socket)
		return levee_command_usage(command, "--socket and --url exclude each other");
	find_socket(c);
	return -1;
}

int levee_client_prefix(const char *command, const char *text, char out[static 64])
{
	const char *why = NULL;
	struct levee_prefix prefix;
	char formatted[LEVEE_PREFIX_TEXT];

	if (levee_prefix_read(&prefix, text, strlen(text), &why)) {
		fprintf(stderr, "levee %s: %s: %s\n", command, text,
			why ? why : "not an address or prefix");
		return -EINVAL;
	}
	snprintf(out, 64, "%s", levee_prefix_format(&prefix, formatted));
	return 0;
}

int levee_client_duration(const char *option, const char *text, uint64_t *seconds)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} units[] = { { "", 1 },     { "s", 1 },     { "m", 60 },    { "min", 60 },
		      { "h", 3600 }, { "d", 86400 }, { "w", 604800 } };
	char *unit = NULL;
	uint64_t n = 0;

	errno = 0;
	if (text[0] >= '0' && text[0] <= '9')
		n = strtoull(text, &unit, 10);
	for (size_t i = 0; unit && !errno && n && i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(unit, units[i].unit) && n <= 316224000 / units[i].seconds) {
			*seconds = n * units[i].seconds;
			return 0;
		}
	fprintf(stderr,
		"levee: --%s %s: not a duration such as 90s, 30m, 2h or 1d, up to ten "
		"years\n",
		option, text);
	return -EINVAL;
}

/* ---- talking ------------------------------------------------------------------------------- */

void levee_reply_clear(struct levee_reply *reply)
{
	json_decref(reply->json);
	free(reply->text);
	*reply = (struct levee_reply){ 0 };
}

static size_t take_reply(char *data, size_t size, size_t n, void *ctx)
{
	struct levee_reply *reply = ctx;
	char *more;

	n *= size;
	if (reply->len + n > REPLY_MAX)
		return 0;
	more = realloc(reply->text, reply->len + n + 1);
	if (!more)
		return 0;
	memcpy(more + reply->len, data, n);
	reply->text = more;
	reply->len += n;
	reply->text[reply->len] = '\0';
	return n;
}

/* Why a connection to the socket fails, in words that lead on. */
static void explain_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), error = EINVAL;
	struct group *group = NULL, record;
	char names[4096];
	struct stat st;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd >= 0) {
		error = connect(fd, (struct sockaddr *)&address, sizeof(address)) ? errno : 0;
		close(fd);
	}
	if (error == EACCES && !stat(path, &st)) {
		if (getgrgid_r(st.st_gid, &record, names, sizeof(names), &group))
			group = NULL;
		fprintf(stderr,
			"levee: no permission to use %s: it is for root and the group %s; ask an "
			"administrator for `usermod -aG %s USER`, then log in again\n",
			path, group ? group->gr_name : "of its own",
			group ? group->gr_name : "GROUP");
	} else if (error == EACCES) {
		fprintf(stderr,
			"levee: no permission to reach %s: its directory is for root and the "
			"group levee; ask an administrator for `usermod -aG levee USER`, then log "
			"in again\n",
			path);
	} else if (error == ENOENT || error == ECONNREFUSED) {
		fprintf(stderr,
			"levee: no daemon listens on %s: is `levee run` running (systemctl status "
			"levee)? --socket names another socket\n",
			path);
	} else {
		fprintf(stderr, "levee: cannot talk to the daemon on %s: %s\n", path,
			error ? strerror(error) : "it does not answer");
	}
}

static struct curl_slist *add_token(const struct levee_client *c, struct curl_slist *headers)
{
	FILE *in = c->token_file ? fopen(c->token_file, "re") : NULL;
	char token[600] = "", header[700];

	if (!in)
		return headers;
	if (fgets(token, sizeof(token), in)) {
		token[strcspn(token, "\r\n")] = '\0';
		snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
		headers = curl_slist_append(headers, header);
	}
	fclose(in);
	explicit_bzero(token, sizeof(token));
	explicit_bzero(header, sizeof(header));
	return headers;
}

static bool token_is_missing(const struct levee_client *c)
{
	if (!c->token_file || !access(c->token_file, R_OK))
		return false;
	fprintf(stderr, "levee: --token-file %s: %s\n", c->token_file, strerror(errno));
	return true;
}

static void set_address(const struct levee_client *c, CURL *curl, const char *path, char *url,
			size_t size)
{
	snprintf(url, size, "%s%s", c->url ? c->url : "http://levee", path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	if (!c->url)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
}

static int say_failure(const struct levee_client *c, CURLcode code)
{
	if (c->url)
		fprintf(stderr, "levee: cannot talk to the daemon at %s: %s\n", c->url,
			curl_easy_strerror(code));
	else if (code == CURLE_OPERATION_TIMEDOUT)
		fprintf(stderr, "levee: the daemon on %s does not answer within %ld s\n", c->socket,
			TIMEOUT_S);
	else
		explain_socket(c->socket);
	return LEVEE_EXIT_UNREACHABLE;
}

int levee_client_ask(const struct levee_client *c, const char *method, const char *path,
		     const json_t *body, struct levee_reply *reply)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	char url[2048];
	CURLcode code = CURLE_OUT_OF_MEMORY;

	*reply = (struct levee_reply){ 0 };
	if (token_is_missing(c)) {
		curl_easy_cleanup(curl);
		free(text);
		return LEVEE_EXIT_ERROR;
	}
	if (curl) {
		set_address(c, curl, path, url, sizeof(url));
		headers = add_token(c, curl_slist_append(NULL, "Expect:"));
		headers = curl_slist_append(headers, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_reply);
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
		if (text)
			curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
		code = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
		curl_slist_free_all(headers);
		curl_easy_cleanup(curl);
	}
	free(text);
	if (code != CURLE_OK) {
		levee_reply_clear(reply);
		return say_failure(c, code);
	}
	if (reply->text)
		reply->json = json_loads(reply->text, 0, NULL);
	return LEVEE_EXIT_OK;
}

int levee_client_complain(const struct levee_client *c, const struct levee_reply *reply)
{
	const char *error = levee_text(reply->json, "error");

	if (c->json && reply->text)
		fputs(reply->text, stdout);
	fprintf(stderr, "levee: %s\n", error[0] ? error : "the daemon's answer is not understood");
	return LEVEE_EXIT_ERROR;
}

int levee_client_get(const struct levee_client *c, const char *path, struct levee_reply *reply)
{
	int ret = levee_client_ask(c, "GET", path, NULL, reply);

	if (ret)
		return ret;
	if (reply->status == 200 && reply->json) {
		if (!c->json)
			return -1;
		fputs(reply->text, stdout);
	} else {
		ret = levee_client_complain(c, reply);
	}
	levee_reply_clear(reply);
	return ret;
}

int levee_client_do(const struct levee_client *c, const char *method, const char *path,
		    const json_t *body)
{
	struct levee_reply reply;
	int ret = levee_client_ask(c, method, path, body, &reply);

	if (ret)
		return ret;
	if (reply.status != 200 || !reply.json)
		ret = levee_client_complain(c, &reply);
	else if (c->json)
		fputs(reply.text, stdout);
	else
		printf("%s\n", levee_text(reply.json, "message"));
	levee_reply_clear(&reply);
	return ret;
}

/* ---- streams ------------------------------------------------------------------------------- */

struct stream {
	CURL *curl;
	char line[16384];
	size_t len;
	char kind[32];
	bool is_stream; /* status 200; else the text of an error is gathered in `error` */
	struct levee_reply error;
	int (*event)(void *ctx, const char *kind, const char *data);
	void *ctx;
	bool done;
};

static void take_line(struct stream *s)
{
	s->line[s->len] = '\0';
	if (!strncmp(s->line, "event: ", 7))
		snprintf(s->kind, sizeof(s->kind), "%.31s", s->line + 7);
	else if (!strncmp(s->line, "data: ", 6))
		s->done = s->event(s->ctx, s->kind, s->line + 6) != 0;
	s->len = 0;
}

static size_t take_stream(char *data, size_t size, size_t n, void *ctx)
{
	struct stream *s = ctx;
	long status = 0;

	n *= size;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return take_reply(data, 1, n, &s->error);
	for (size_t i = 0; i < n && !s->done; i++) {
		if (data[i] == '\n')
			take_line(s);
		else if (s->len + 1 < sizeof(s->line))
			s->line[s->len++] = data[i];
	}
	return s->done ? 0 : n;
}

int levee_client_follow(const struct levee_client *c, const char *path,
			int (*event)(void *ctx, const char *kind, const char *data), void *ctx)
{
	struct stream *s = calloc(1, sizeof(*s));
	struct curl_slist *headers;
	char url[2048];
	CURLcode code;
	int ret = LEVEE_EXIT_OK;

	if (!s || token_is_missing(c)) {
		free(s);
		return LEVEE_EXIT_ERROR;
	}
	s->event = event;
	s->ctx = ctx;
	s->curl = curl_easy_init();
	if (!s->curl) {
		free(s);
		return LEVEE_EXIT_ERROR;
	}
	set_address(c, s->curl, path, url, sizeof(url));
	headers = add_token(c, curl_slist_append(NULL, "Accept: text/event-stream"));
	curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take_stream);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
	/* The daemon says something every 15 s. */
	curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(s->curl, CURLOPT_LOW_SPEED_TIME, 60L);
	code = curl_easy_perform(s->curl);
	if (s->error.text) {
		s->error.json = json_loads(s->error.text, 0, NULL);
		ret = levee_client_complain(c, &s->error);
	} else if (code != CURLE_OK && !s->done) {
		ret = say_failure(c, code);
	} else if (!s->done) {
		fprintf(stderr, "levee: the daemon has ended the stream\n");
		ret = LEVEE_EXIT_UNREACHABLE;
	}
	levee_reply_clear(&s->error);
	curl_slist_free_all(headers);
	curl_easy_cleanup(s->curl);
	free(s);
	return ret;
}

/* ---- printing ------------------------------------------------------------------------------ */

const struct levee_colours *levee_colours(void)
{
	static const struct levee_colours on = { "\033[31m", "\033[33m", "\033[32m", "\033[1m",
						 "\033[0m" };
	static const struct levee_colours off = { "", "", "", "", "" };
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && no[0]) && term && strcmp(term, "dumb") ? &on : &off;
}

const char *levee_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

double levee_real(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

const char *levee_time_words(long long unix_s, char out[static 32])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, 32, "%lld", (long long)t);
	return out;
}

const char *levee_unix_words(const json_t *object, const char *name, char out[static 32])
{
	return levee_time_words(levee_whole(object, name), out);
}

long long levee_whole(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value)
				      : (long long)json_number_value(value);
}

bool levee_is(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

const char *levee_grouped(double value, char text[static 32])
{
	char digits[32];
	size_t n, to = 0;

	snprintf(digits, sizeof(digits), "%.0f", value);
	n = strlen(digits);
	for (size_t i = 0; i < n && to < 30; i++) {
		if (i && (n - i) % 3 == 0 && digits[i - 1] != '-')
			text[to++] = ',';
		text[to++] = digits[i];
	}
	text[to] = '\0';
	return text;
}

const char *levee_duration_words(long long seconds, char text[static 32])
{
	if (seconds < 120)
		snprintf(text, 32, "%lld s", seconds);
	else if (seconds < 7200)
		snprintf(text, 32, "%lld min", seconds / 60);
	else if (seconds < 172800)
		snprintf(text, 32, "%lld h %lld min", seconds / 3600, seconds / 60 % 60);
	else
		snprintf(text, 32, "%lld d %lld h", seconds / 86400, seconds / 3600 % 24);
	return text;
}

const char *levee_bytes_words(double bytes, char text[static 32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t unit = 0;

	while (bytes >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1000;
		unit++;
	}
	snprintf(text, 32, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return text;
}
