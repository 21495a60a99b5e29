/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/client_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define MESSAGE_BYTES 8192

/* ---- messages without secrets ---- */

static void add_without(struct levee_aws_text *out, const char *text, const char *const *secrets,
			size_t n)
{
	while (*text) {
		size_t skip = 0;

		for (size_t i = 0; i < n && !skip; i++)
			if (secrets[i] && *secrets[i] &&
			    strncmp(text, secrets[i], strlen(secrets[i])) == 0)
				skip = strlen(secrets[i]);
		if (skip)
			levee_aws_text_puts(out, "***");
		else
			levee_aws_text_putc(out, *text);
		text += skip ? skip : 1;
	}
}

/*
 * AWS explains a wrong signature with the request that it would have signed, the session token
 * among it: only the first line of a message is taken, and nothing of the keys in it.
 */
static void set_error(struct levee_aws_error *error, const char *code, const char *message,
		      const struct levee_aws_keys *keys)
{
	const char *const secrets[] = { keys->secret_key, keys->token, keys->access_key };
	struct levee_aws_text line, clean;

	levee_aws_text_init(&line, MESSAGE_BYTES);
	levee_aws_text_init(&clean, 4 * MESSAGE_BYTES);
	levee_aws_text_add(&line, message, strnlen(message, MESSAGE_BYTES));
	if (line.bytes)
		line.bytes[strcspn(line.bytes, "\r\n")] = '\0';
	add_without(&clean, levee_aws_text_string(&line), secrets, 3);
	levee_aws_error_set(error, 0, code, "%s",
			    clean.n ? levee_aws_text_string(&clean) : "no message");
	levee_aws_text_free(&line);
	levee_aws_text_free(&clean);
}

/* ---- errors ---- */

static const char *first_text(const struct levee_xml_node *root, const char *const *paths, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = levee_xml_text(root, paths[i]);

		if (text && *text)
			return text;
	}
	return NULL;
}

/* Of the Query services, of EC2, of S3. */
static bool read_xml_error(struct levee_aws_error *error, const struct levee_http_reply *http,
			   const struct levee_aws_keys *keys)
{
	static const char *const codes[] = { "Error/Code", "Errors/Error/Code", "Code" };
	static const char *const messages[] = { "Error/Message", "Errors/Error/Message",
						"Message" };
	static const char *const ids[] = { "RequestId", "RequestID", "requestId" };
	const char *code, *message, *id;
	struct levee_xml *xml;

	if (levee_xml_parse(&xml, levee_aws_text_string(&http->body), http->body.n) < 0)
		return false;
	code = first_text(levee_xml_root(xml), codes, 3);
	message = first_text(levee_xml_root(xml), messages, 3);
	id = first_text(levee_xml_root(xml), ids, 3);
	if (code)
		set_error(error, code, message ? message : "", keys);
	if (code && id)
		snprintf(error->request_id, sizeof(error->request_id), "%s", id);
	levee_xml_free(xml);
	return code;
}

/* "com.amazonaws.logs#ResourceNotFoundException:http://..." is ResourceNotFoundException. */
static void plain_code(char *out, size_t size, const char *type)
{
	const char *hash = strrchr(type, '#');

	type = hash ? hash + 1 : type;
	snprintf(out, size, "%.*s", (int)strcspn(type, ":"), type);
}

static bool read_json_error(struct levee_aws_error *error, const struct levee_http_reply *http,
			    const struct levee_aws_keys *keys)
{
	json_t *json = json_loadb(levee_aws_text_string(&http->body), http->body.n, 0, NULL);
	const char *type = json_string_value(json_object_get(json, "__type"));
	const char *message = json_string_value(json_object_get(json, "message"));
	char header[128], code[sizeof(error->code)];

	if (!type)
		type = json_string_value(json_object_get(json, "code"));
	if (!type)
		type = levee_http_reply_header(http, "x-amzn-ErrorType", header, sizeof(header));
	if (!message)
		message = json_string_value(json_object_get(json, "Message"));
	if (type) {
		plain_code(code, sizeof(code), type);
		set_error(error, code, message ? message : "", keys);
	}
	levee_aws_json_wipe(json);
	return type;
}

static void read_request_id(struct levee_aws_error *error, const struct levee_http_reply *http)
{
	if (!levee_http_reply_header(http, "x-amzn-RequestId", error->request_id,
				     sizeof(error->request_id)))
		levee_http_reply_header(http, "x-amz-request-id", error->request_id,
					sizeof(error->request_id));
}

/* A bucket elsewhere is a matter of configuration that S3's own message leaves open. */
static void add_bucket_region(struct levee_aws_error *error, const struct levee_http_reply *http)
{
	char region[64];

	if (levee_http_reply_header(http, "x-amz-bucket-region", region, sizeof(region)) &&
	    (http->status == 301 || http->status == 400))
		levee_aws_error_set(error, 0, error->code, "%.380s (the bucket is in region %s)",
				    error->message, region);
}

static int read_error(struct levee_aws_reply *out, const struct levee_http_reply *http,
		      enum levee_aws_protocol protocol, const struct levee_aws_keys *keys)
{
	struct levee_aws_error *error = &out->error;
	bool known;

	error->status = http->status;
	read_request_id(error, http);
	known = protocol == LEVEE_AWS_JSON ? read_json_error(error, http, keys)
					   : read_xml_error(error, http, keys);
	if (!known)
		levee_aws_error_set(error, 0, "HttpStatus",
				    "status %d with a reply that does not say why", http->status);
	if (protocol == LEVEE_AWS_REST)
		add_bucket_region(error, http);
	return -EREMOTEIO;
}

/* ---- successes ---- */

static int unreadable(struct levee_aws_reply *out, const struct levee_http_reply *http,
		      const char *what)
{
	out->error.status = http->status;
	read_request_id(&out->error, http);
	return levee_aws_error_set(&out->error, -EPROTO, "UnreadableReply",
				   "status %d, but %zu bytes of reply that are not %s; is the "
				   "endpoint AWS, or a proxy?",
				   http->status, http->body.n, what);
}

static int read_xml(struct levee_aws_reply *out, const struct levee_http_reply *http)
{
	int ret = levee_xml_parse(&out->xml, levee_aws_text_string(&http->body), http->body.n);

	if (ret == -ENOMEM)
		return levee_aws_error_memory(&out->error);
	return ret < 0 ? unreadable(out, http, "XML") : 0;
}

/* An operation without result answers with nothing at all. */
static int read_json(struct levee_aws_reply *out, const struct levee_http_reply *http)
{
	if (http->body.n == 0)
		out->json = json_object();
	else
		out->json = json_loadb(http->body.bytes, http->body.n, 0, NULL);
	if (!json_is_object(out->json))
		return unreadable(out, http, "a JSON object");
	return 0;
}

static int read_object(struct levee_aws_reply *out, struct levee_http_reply *http)
{
	if (!levee_http_reply_header(http, "ETag", out->etag, sizeof(out->etag)))
		out->etag[0] = '\0';
	out->body = http->body;
	levee_aws_text_init(&http->body, 0);
	return 0;
}

int levee_aws_read_reply(struct levee_aws_reply *out, struct levee_http_reply *http,
			 enum levee_aws_protocol protocol, const struct levee_aws_keys *keys)
{
	bool good = http->status >= 200 && http->status < 300;

	if (!good && !(protocol == LEVEE_AWS_REST && http->status == 304))
		return read_error(out, http, protocol, keys);
	out->status = http->status;
	switch (protocol) {
	case LEVEE_AWS_JSON:
		return read_json(out, http);
	case LEVEE_AWS_REST:
		return read_object(out, http);
	default:
		return read_xml(out, http);
	}
}

void levee_aws_reply_free(struct levee_aws_reply *reply)
{
	levee_xml_free(reply->xml);
	levee_aws_json_wipe(reply->json);
	levee_aws_text_free(&reply->body);
	reply->xml = NULL;
	reply->json = NULL;
}

/* ---- JSON that holds keys ---- */

/* Strings of jansson are its own heap memory, though it hands them out as const. */
static void wipe_strings(json_t *json)
{
	const char *name;
	json_t *value;
	size_t i;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		json_object_foreach(json, name, value) wipe_strings(value);
		break;
	case JSON_ARRAY:
		json_array_foreach(json, i, value) wipe_strings(value);
		break;
	case JSON_STRING:
		OPENSSL_cleanse((char *)(uintptr_t)json_string_value(json),
				json_string_length(json));
		break;
	default:
		break;
	}
}

void levee_aws_json_wipe(json_t *json)
{
	if (json)
		wipe_strings(json);
	json_decref(json);
}
