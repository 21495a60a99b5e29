/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/sigv4.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define ALGORITHM   "AWS4-HMAC-SHA256"
#define HASH_BYTES  32
#define LIMIT_BYTES (1024 * 1024)
#define LAST_SECOND 253402300799LL /* the year has four digits */
#define MAX_PARTS   4096	   /* headers, parameters of a query */

int levee_aws_keys_set(struct levee_aws_keys *out, const char *access_key, const char *secret_key,
		       const char *token)
{
	*out = (struct levee_aws_keys){
		.access_key = access_key ? strdup(access_key) : NULL,
		.secret_key = secret_key ? strdup(secret_key) : NULL,
		.token = token && *token ? strdup(token) : NULL,
	};
	if ((access_key && !out->access_key) || (secret_key && !out->secret_key) ||
	    (token && *token && !out->token)) {
		levee_aws_keys_clear(out);
		return -ENOMEM;
	}
	return 0;
}

int levee_aws_keys_copy(struct levee_aws_keys *out, const struct levee_aws_keys *keys)
{
	return levee_aws_keys_set(out, keys->access_key, keys->secret_key, keys->token);
}

void levee_aws_keys_clear(struct levee_aws_keys *keys)
{
	levee_aws_wipe_string(keys->access_key);
	levee_aws_wipe_string(keys->secret_key);
	levee_aws_wipe_string(keys->token);
	*keys = (struct levee_aws_keys){ 0 };
}

static void hex(char *out, const unsigned char *bytes, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

static int sha256_hex(char out[static 65], const void *bytes, size_t n)
{
	unsigned char hash[HASH_BYTES];

	if (!EVP_Digest(n ? bytes : "", n, hash, NULL, EVP_sha256(), NULL))
		return -EIO;
	hex(out, hash, sizeof(hash));
	return 0;
}

static int hmac(unsigned char out[static HASH_BYTES], const void *key, size_t key_bytes,
		const char *data)
{
	unsigned int n = HASH_BYTES;

	if (!HMAC(EVP_sha256(), key, (int)key_bytes, (const unsigned char *)data, strlen(data), out,
		  &n))
		return -EIO;
	return 0;
}

/* ---- path ---- */

/* Drop the last segment of a path that is being built, but not its first slash. */
static void drop_segment(struct levee_aws_text *path)
{
	while (path->n > 0 && path->bytes[--path->n] != '/')
		;
	if (path->bytes)
		path->bytes[path->n] = '\0';
}

/* RFC 3986, 5.2.4, and empty segments are dropped: "/a//./b/../" becomes "/a/". */
static void normalize(struct levee_aws_text *out, const char *path)
{
	const char *segment = path;
	bool directory = true;

	while (*segment) {
		size_t n = strcspn(segment, "/");

		directory = segment[n] == '/' || n == 0;
		if (n == 2 && memcmp(segment, "..", 2) == 0) {
			drop_segment(out);
			directory = true;
		} else if (n == 1 && *segment == '.') {
			directory = true;
		} else if (n > 0) {
			levee_aws_text_putc(out, '/');
			levee_aws_text_add(out, segment, n);
		}
		segment += n + (segment[n] == '/');
	}
	if (directory || out->n == 0)
		levee_aws_text_putc(out, '/');
}

static void add_path(struct levee_aws_text *out, const struct levee_sigv4_request *request)
{
	const char *path = request->path && *request->path ? request->path : "/";
	struct levee_aws_text normal;

	if (request->s3) {
		levee_aws_text_puts(out, path);
		return;
	}
	levee_aws_text_init(&normal, LIMIT_BYTES);
	normalize(&normal, path);
	levee_aws_text_encode(out, levee_aws_text_string(&normal), normal.n, "/");
	if (normal.error)
		out->error = normal.error;
	levee_aws_text_free(&normal);
}

/* ---- query ---- */

struct part {
	char *name;
	char *value;
};

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Decode what is encoded, then encode all that must be: whatever the caller left raw. */
static char *recode(const char *s, size_t n)
{
	struct levee_aws_text text;

	levee_aws_text_init(&text, LIMIT_BYTES);
	levee_aws_text_add(&text, "", 0);
	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c == '%' && i + 2 < n && isxdigit((unsigned char)s[i + 1]) &&
		    isxdigit((unsigned char)s[i + 2])) {
			c = (char)(hex_digit(s[i + 1]) << 4 | hex_digit(s[i + 2]));
			i += 2;
		}
		levee_aws_text_encode(&text, &c, 1, "");
	}
	if (text.error) {
		levee_aws_text_free(&text);
		return NULL;
	}
	return text.bytes;
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : strcmp(x->value, y->value);
}

static void free_parts(struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		levee_aws_wipe_string(parts[i].name);
		levee_aws_wipe_string(parts[i].value);
	}
	free(parts);
}

static size_t count_char(const char *s, char c)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == c;
	return n;
}

static int split_query(const char *query, struct part *parts, size_t *n)
{
	while (*query) {
		size_t length = strcspn(query, "&");
		const char *equals = memchr(query, '=', length);
		size_t name = equals ? (size_t)(equals - query) : length;

		if (length > 0) {
			struct part *part = &parts[(*n)++];

			part->name = recode(query, name);
			part->value = equals ? recode(equals + 1, length - name - 1) : strdup("");
			if (!part->name || !part->value)
				return -ENOMEM;
		}
		query += length + (query[length] == '&');
	}
	return 0;
}

static void add_query(struct levee_aws_text *out, const char *query)
{
	size_t room, n = 0;
	struct part *parts;

	if (!query || !*query)
		return;
	room = count_char(query, '&') + 1;
	if (room > MAX_PARTS) {
		out->error = -EFBIG;
		return;
	}
	parts = calloc(room, sizeof(*parts));
	if (!parts || split_query(query, parts, &n) < 0)
		out->error = -ENOMEM;
	else if (n > 1)
		qsort(parts, n, sizeof(*parts), compare_parts);
	for (size_t i = 0; i < n && !out->error; i++)
		levee_aws_text_printf(out, "%s%s=%s", i ? "&" : "", parts[i].name, parts[i].value);
	if (parts)
		free_parts(parts, n);
}

/* ---- headers ---- */

struct header {
	char *name; /* lower case */
	const char *value;
	size_t order; /* as given, so that values of one name keep it */
};

static const char *const own_headers[] = {
	"host", "authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
};

static bool is_own(const char *name)
{
	for (size_t i = 0; i < sizeof(own_headers) / sizeof(own_headers[0]); i++)
		if (strcasecmp(name, own_headers[i]) == 0)
			return true;
	return false;
}

static int compare_headers(const void *a, const void *b)
{
	const struct header *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int add_header(struct header *list, size_t *n, const char *name, const char *value)
{
	char *lower = strdup(name);

	if (!lower)
		return -ENOMEM;
	for (char *c = lower; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	list[*n] = (struct header){ .name = lower, .value = value, .order = *n };
	(*n)++;
	return 0;
}

/* All that is signed, sorted. */
static int collect_headers(struct header *list, size_t *n,
			   const struct levee_sigv4_request *request, const struct levee_sigv4 *out)
{
	int ret = add_header(list, n, "host", request->host);

	if (ret == 0)
		ret = add_header(list, n, "x-amz-date", out->date);
	if (ret == 0 && out->token.n)
		ret = add_header(list, n, "x-amz-security-token",
				 levee_aws_text_string(&out->token));
	if (ret == 0 && request->s3)
		ret = add_header(list, n, "x-amz-content-sha256", out->body_sha256);
	for (size_t i = 0; i < request->n_headers && ret == 0; i++)
		ret = add_header(list, n, request->headers[i].name, request->headers[i].value);
	if (ret == 0)
		qsort(list, *n, sizeof(*list), compare_headers);
	return ret;
}

/* Without blanks at either end, and every run of them one space. */
static void add_value(struct levee_aws_text *out, const char *value)
{
	bool blank = false, begun = false;

	for (; *value; value++) {
		if (strchr(" \t\f\v", *value)) {
			blank = true;
			continue;
		}
		if (blank && begun)
			levee_aws_text_putc(out, ' ');
		levee_aws_text_putc(out, *value);
		blank = false;
		begun = true;
	}
}

static void add_headers(struct levee_aws_text *out, const struct header *list, size_t n,
			struct levee_aws_text *names)
{
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(list[i].name, list[i - 1].name) == 0) {
			levee_aws_text_putc(out, ',');
		} else {
			levee_aws_text_printf(out, "%s%s:", i ? "\n" : "", list[i].name);
			levee_aws_text_printf(names, "%s%s", i ? ";" : "", list[i].name);
		}
		add_value(out, list[i].value);
	}
	levee_aws_text_puts(out, "\n\n");
}

static int write_headers(struct levee_sigv4 *out, const struct levee_sigv4_request *request,
			 struct levee_aws_text *names)
{
	struct header *list = calloc(request->n_headers + 4, sizeof(*list));
	size_t n = 0;
	int ret;

	if (!list)
		return -ENOMEM;
	ret = collect_headers(list, &n, request, out);
	if (ret == 0)
		add_headers(&out->canonical, list, n, names);
	for (size_t i = 0; i < n; i++)
		free(list[i].name);
	free(list);
	return ret;
}

/* ---- the signature ---- */

static int write_date(char out[static 17], int64_t now_s)
{
	time_t t = (time_t)now_s;
	struct tm tm;

	if (now_s < 0 || now_s > LAST_SECOND || !gmtime_r(&t, &tm))
		return -EINVAL;
	return strftime(out, 17, "%Y%m%dT%H%M%SZ", &tm) == 16 ? 0 : -EINVAL;
}

static int write_canonical(struct levee_sigv4 *out, const struct levee_sigv4_request *request,
			   struct levee_aws_text *names)
{
	struct levee_aws_text *text = &out->canonical;
	int ret;

	levee_aws_text_printf(text, "%s\n", request->method);
	add_path(text, request);
	levee_aws_text_putc(text, '\n');
	add_query(text, request->query);
	levee_aws_text_putc(text, '\n');
	ret = write_headers(out, request, names);
	if (ret < 0)
		return ret;
	levee_aws_text_printf(text, "%s\n%s", levee_aws_text_string(names), out->body_sha256);
	return text->error ? text->error : names->error;
}

/* HMAC over the parts of the scope, one key made from the other. */
static int signing_key(unsigned char key[static HASH_BYTES], const char *secret, const char *day,
		       const struct levee_sigv4_request *request)
{
	const char *parts[] = { day, request->region, request->service, "aws4_request" };
	struct levee_aws_text seed;
	int ret;

	levee_aws_text_init(&seed, LIMIT_BYTES);
	levee_aws_text_printf(&seed, "AWS4%s", secret);
	ret = levee_aws_text_error(&seed);
	if (ret == 0)
		ret = hmac(key, seed.bytes, seed.n, parts[0]);
	for (size_t i = 1; i < 4 && ret == 0; i++) {
		unsigned char next[HASH_BYTES];

		ret = hmac(next, key, HASH_BYTES, parts[i]);
		memcpy(key, next, HASH_BYTES);
		OPENSSL_cleanse(next, sizeof(next));
	}
	levee_aws_text_free(&seed);
	return ret;
}

static int write_signature(char signature[static 65], const struct levee_sigv4 *out,
			   const char *scope, const char *day,
			   const struct levee_sigv4_request *request, const char *secret)
{
	unsigned char key[HASH_BYTES], hash[HASH_BYTES];
	struct levee_aws_text to_sign;
	int ret;

	levee_aws_text_init(&to_sign, LIMIT_BYTES);
	levee_aws_text_printf(&to_sign, ALGORITHM "\n%s\n%s\n%s", out->date, scope,
			      out->to_sign_sha256);
	ret = levee_aws_text_error(&to_sign);
	if (ret == 0)
		ret = signing_key(key, secret, day, request);
	if (ret == 0)
		ret = hmac(hash, key, sizeof(key), to_sign.bytes);
	if (ret == 0)
		hex(signature, hash, sizeof(hash));
	OPENSSL_cleanse(key, sizeof(key));
	levee_aws_text_free(&to_sign);
	return ret;
}

static int write_authorization(struct levee_sigv4 *out, const struct levee_sigv4_request *request,
			       const struct levee_aws_keys *keys, const char *names)
{
	struct levee_aws_text scope;
	char day[9], signature[65];
	int ret;

	memcpy(day, out->date, 8);
	day[8] = '\0';
	levee_aws_text_init(&scope, LIMIT_BYTES);
	levee_aws_text_printf(&scope, "%s/%s/%s/aws4_request", day, request->region,
			      request->service);
	ret = levee_aws_text_error(&scope);
	if (ret == 0)
		ret = sha256_hex(out->to_sign_sha256, out->canonical.bytes, out->canonical.n);
	if (ret == 0)
		ret = write_signature(signature, out, scope.bytes, day, request, keys->secret_key);
	if (ret == 0) {
		levee_aws_text_printf(&out->authorization,
				      ALGORITHM " Credential=%s/%s, SignedHeaders=%s, Signature=%s",
				      keys->access_key, scope.bytes, names, signature);
		ret = levee_aws_text_error(&out->authorization);
	}
	levee_aws_text_free(&scope);
	return ret;
}

static bool is_valid(const struct levee_sigv4_request *request, const struct levee_aws_keys *keys)
{
	if (!keys->access_key || !*keys->access_key || !keys->secret_key || !*keys->secret_key)
		return false;
	if (!request->method || !request->host || !*request->host || !request->region ||
	    !*request->region || !request->service || !*request->service)
		return false;
	if (request->path && *request->path && *request->path != '/')
		return false;
	if (request->n_headers > MAX_PARTS)
		return false;
	for (size_t i = 0; i < request->n_headers; i++)
		if (!*request->headers[i].name || is_own(request->headers[i].name) ||
		    strpbrk(request->headers[i].name, " :\r\n") ||
		    strpbrk(request->headers[i].value, "\r\n"))
			return false;
	return true;
}

int levee_sigv4_sign(struct levee_sigv4 *out, const struct levee_sigv4_request *request,
		     const struct levee_aws_keys *keys, int64_t now_s)
{
	struct levee_aws_text names;
	int ret;

	*out = (struct levee_sigv4){ 0 };
	levee_aws_text_init(&out->token, LIMIT_BYTES);
	levee_aws_text_init(&out->authorization, LIMIT_BYTES);
	levee_aws_text_init(&out->canonical, LIMIT_BYTES);
	if (!is_valid(request, keys))
		return -EINVAL;
	if (keys->token)
		levee_aws_text_puts(&out->token, keys->token);
	ret = levee_aws_text_error(&out->token);
	if (ret == 0)
		ret = write_date(out->date, now_s);
	if (ret == 0)
		ret = sha256_hex(out->body_sha256, request->body, request->body_bytes);
	if (ret < 0)
		return ret;
	levee_aws_text_init(&names, LIMIT_BYTES);
	ret = write_canonical(out, request, &names);
	if (ret == 0)
		ret = write_authorization(out, request, keys, levee_aws_text_string(&names));
	levee_aws_text_free(&names);
	return ret;
}

void levee_sigv4_clear(struct levee_sigv4 *signature)
{
	levee_aws_text_free(&signature->token);
	levee_aws_text_free(&signature->authorization);
	levee_aws_text_free(&signature->canonical);
	OPENSSL_cleanse(signature, sizeof(*signature));
}
