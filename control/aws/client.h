/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls to AWS: parameters in, a parsed reply or an error out; signing, retries, the clock and
 * expired keys are seen to.
 *
 *	struct levee_aws_text form;
 *	struct levee_aws_reply reply;
 *	struct levee_aws_call call = { .service = LEVEE_AWS_EC2,
 *				       .operation = "DescribeNetworkAcls", .form = &form };
 *
 *	levee_aws_text_init(&form, LEVEE_AWS_FORM_BYTES);
 *	levee_aws_form_add(&form, "vpc-id", "Filter.%d.Name", 1);
 *	levee_aws_form_add(&form, vpc, "Filter.%d.Value.%d", 1, 1);
 *	ret = levee_aws_call(client, &call, &reply);
 *	levee_aws_text_free(&form);
 *	if (ret == 0)
 *		... levee_xml_find(levee_xml_root(reply.xml), "networkAclSet/item") ...
 *	else if (strcmp(reply.error.code, "InvalidNetworkAclID.NotFound") == 0)
 *		...
 *	levee_aws_reply_free(&reply);
 *
 * Any thread may call. Calls block: for seconds where AWS answers, for a minute or two where it
 * does not (LEVEE_HTTP_TOTAL_MS an attempt), and end at once when env.cancelled() says so.
 */
#ifndef LEVEE_AWS_CLIENT_H
#define LEVEE_AWS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/aws/config.h"
#include "control/aws/endpoint.h"
#include "control/aws/error.h"
#include "control/aws/http.h"
#include "control/aws/text.h"
#include "control/aws/xml.h"

#define LEVEE_AWS_FORM_BYTES (2 * 1024 * 1024)

/* Where keys come from; see control/aws/credentials.h for the chain. */
struct levee_aws_key_source {
	/* A copy of the keys to sign with now, which the caller clears. access_key NULL: the
	 * request is sent unsigned. 0; -errno and an error, which becomes the call's. */
	int (*get)(void *ctx, struct levee_aws_keys *out, struct levee_aws_error *error);
	/* AWS called these keys expired or unknown: the next get() is to bring others. NULL: there
	 * are no others. */
	void (*refused)(void *ctx, const struct levee_aws_keys *keys);
	void *ctx;
};

/** Always these keys (NULL: unsigned). `keys` must outlive the client. */
struct levee_aws_key_source levee_aws_fixed_keys(const struct levee_aws_keys *keys);

struct levee_aws_client;

/** Keeps the pointers `config` and `http`. \return NULL without memory */
struct levee_aws_client *levee_aws_client_new(const struct levee_aws_config *config,
					      struct levee_http *http,
					      const struct levee_aws_key_source *keys);
void levee_aws_client_free(struct levee_aws_client *client); /* NULL is fine */

struct levee_aws_call {
	enum levee_aws_service service;
	const char *operation; /* "DescribeNetworkAcls"; not used for S3, where it is GET */

	const struct levee_aws_text
		*form;	    /* Query: parameters, NULL: none; its error is the call's */
	const char *json;   /* JSON: the body; NULL: {} */
	const char *bucket; /* S3 */
	const char *key;    /* S3: as it is called, not encoded */
	const char *etag;   /* S3: answer only if it has another; NULL: always */

	const char *region;    /* NULL: the configuration's */
	unsigned int attempts; /* 0: the configuration's. 1 for what must not happen twice */
	uint32_t total_ms;     /* of one attempt; 0: LEVEE_HTTP_TOTAL_MS */
	int64_t until_ms;      /* boot time by which all of it has ended; 0: no such time */
	size_t max_bytes;      /* of the reply; 0: LEVEE_HTTP_MAX_BYTES */
};

/** Add "NAME=VALUE" to a form, both encoded. The name is a printf format: "Filter.%d.Name". */
void levee_aws_form_add(struct levee_aws_text *form, const char *value, const char *name, ...)
	__attribute__((format(printf, 3, 4)));

struct levee_aws_reply {
	int status;		      /* 200; for S3 also 304: nothing newer than the ETag */
	unsigned int attempts;	      /* exchanges that were begun */
	struct levee_xml *xml;	      /* Query */
	json_t *json;		      /* JSON */
	struct levee_aws_text body;   /* S3 */
	char etag[128];		      /* S3; "" if none */
	struct levee_aws_error error; /* when a call fails */
};

/**
 * One call. `reply` is to be freed in every case.
 * \return 0; or, with reply->error set,
 *	-EREMOTEIO	AWS says no: error.code is its own
 *	-EPROTO		a reply that cannot be read (UnreadableReply)
 *	-EINVAL, -ENOENT, -EFBIG, -ENOMEM, -EKEYREJECTED, -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET,
 *	-EHOSTUNREACH, -ECANCELED	as levee_aws_endpoint() and levee_http_perform() have them
 *	what the key source returns
 */
int levee_aws_call(struct levee_aws_client *client, const struct levee_aws_call *call,
		   struct levee_aws_reply *reply);

/** Wipe and free. Happy with a zeroed reply. */
void levee_aws_reply_free(struct levee_aws_reply *reply);

/** How far AWS's clock is ahead of ours, as far as errors made us ask [ms]. */
int64_t levee_aws_client_skew_ms(struct levee_aws_client *client);

/* Who AWS takes us for. */
struct levee_aws_identity {
	char account[32];
	char arn[256];
	char user_id[160];
};

/**
 * sts:GetCallerIdentity, which needs no permission.
 * \param total_ms  0: retried as any call; else one attempt that takes no longer
 * \return as levee_aws_call()
 */
int levee_aws_whoami(struct levee_aws_client *client, uint32_t total_ms,
		     struct levee_aws_identity *out, struct levee_aws_error *error);

/** Overwrite every string in it and let it go; NULL is fine. For replies that hold keys. */
void levee_aws_json_wipe(json_t *json);

#endif
