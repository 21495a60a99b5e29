/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The vectors are those that AWS publishes for Signature Version 4 (aws-sig-v4-test-suite): the
 * keys below, 2015-08-30 12:36:00 UTC, region us-east-1, a service called "service".
 */
#include "control/aws/sigv4.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECRET	"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define ACCESS	"AKIDEXAMPLE"
#define DATE	1440938160
#define LETTERS "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define STS_TOKEN                                                                                 \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXm" \
	"xfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburED"  \
	"y0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL"   \
	"64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

struct vector {
	const char *name;
	const char *method;
	const char *path;
	const char *query;
	struct levee_aws_header headers[4];
	const char *body;
	const char *token;
	const char *to_sign; /* hash of the canonical request, where it is published */
	const char *names;
	const char *signature;
};

#define HOST_DATE "host;x-amz-date"

static const struct vector vectors[] = {
	{ .name = "get-vanilla",
	  .method = "GET",
	  .path = "/",
	  .to_sign = "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63",
	  .names = HOST_DATE,
	  .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ .name = "get-vanilla-empty-query-key",
	  .method = "GET",
	  .path = "/",
	  .query = "Param1=value1",
	  .to_sign = "1e24db194ed7d0eec2de28d7369675a243488e08526e8c1c73571282f7c517ab",
	  .names = HOST_DATE,
	  .signature = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
	{ .name = "get-vanilla-query-order-key",
	  .method = "GET",
	  .path = "/",
	  .query = "Param1=value2&Param1=Value1",
	  .to_sign = "704b4cef673542d84cdff252633f065e8daeba5f168b77116f8b1bcaf3d38f89",
	  .names = HOST_DATE,
	  .signature = "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1" },
	{ .name = "get-vanilla-query-order-key-case",
	  .method = "GET",
	  .path = "/",
	  .query = "Param2=value2&Param1=value1",
	  .to_sign = "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0",
	  .names = HOST_DATE,
	  .signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ .name = "get-vanilla-query-order-value",
	  .method = "GET",
	  .path = "/",
	  .query = "Param1=value2&Param1=value1",
	  .to_sign = "c968629d70850097a2d8781c9bf7edcb988b04cac14cca9be4acc3595f884606",
	  .names = HOST_DATE,
	  .signature = "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694" },
	{ .name = "get-vanilla-query-unreserved",
	  .method = "GET",
	  .path = "/",
	  .query = LETTERS "=" LETTERS,
	  .to_sign = "c30d4703d9f799439be92736156d47ccfb2d879ddf56f5befa6d1d6aab979177",
	  .names = HOST_DATE,
	  .signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
	{ .name = "get-vanilla-utf8-query",
	  .method = "GET",
	  .path = "/",
	  .query = "\341\210\264=bar",
	  .to_sign = "eb30c5bed55734080471a834cc727ae56beb50e5f39d1bff6d0d38cb192a7073",
	  .names = HOST_DATE,
	  .signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
	{ .name = "get-unreserved",
	  .method = "GET",
	  .path = "/" LETTERS,
	  .to_sign = "6a968768eefaa713e2a6b16b589a8ea192661f098f37349f4e2c0082757446f9",
	  .names = HOST_DATE,
	  .signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
	{ .name = "get-utf8",
	  .method = "GET",
	  .path = "/\341\210\264",
	  .to_sign = "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102",
	  .names = HOST_DATE,
	  .signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
	{ .name = "get-header-key-duplicate",
	  .method = "GET",
	  .path = "/",
	  .headers = { { "My-Header1", "value2" },
		       { "My-Header1", "value2" },
		       { "My-Header1", "value1" } },
	  .to_sign = "dc7f04a3abfde8d472b0ab1a418b741b7c67174dad1551b4117b15527fbe966c",
	  .names = "host;my-header1;x-amz-date",
	  .signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea" },
	/* Published with a folded header, which RFC 7230 has abolished: its lines are values. */
	{ .name = "get-header-value-multiline",
	  .method = "GET",
	  .path = "/",
	  .headers = { { "My-Header1", "value1" },
		       { "My-Header1", "  value2" },
		       { "My-Header1", "     value3" } },
	  .names = "host;my-header1;x-amz-date",
	  .signature = "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790" },
	{ .name = "get-header-value-order",
	  .method = "GET",
	  .path = "/",
	  .headers = { { "My-Header1", "value4" },
		       { "My-Header1", "value1" },
		       { "My-Header1", "value3" },
		       { "My-Header1", "value2" } },
	  .to_sign = "31ce73cd3f3d9f66977ad3dd957dc47af14df92fcd8509f59b349e9137c58b86",
	  .names = "host;my-header1;x-amz-date",
	  .signature = "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01" },
	{ .name = "get-header-value-trim",
	  .method = "GET",
	  .path = "/",
	  .headers = { { "My-Header1", " value1" }, { "My-Header2", " \"a   b   c\"" } },
	  .to_sign = "a726db9b0df21c14f559d0a978e563112acb1b9e05476f0a6a1c7d68f28605c7",
	  .names = "host;my-header1;my-header2;x-amz-date",
	  .signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ .name = "normalize-path/get-relative",
	  .method = "GET",
	  .path = "/example/..",
	  .names = HOST_DATE,
	  .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ .name = "normalize-path/get-relative-relative",
	  .method = "GET",
	  .path = "/example1/example2/../..",
	  .names = HOST_DATE,
	  .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ .name = "normalize-path/get-slash",
	  .method = "GET",
	  .path = "//",
	  .names = HOST_DATE,
	  .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ .name = "normalize-path/get-slash-dot-slash",
	  .method = "GET",
	  .path = "/./",
	  .names = HOST_DATE,
	  .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ .name = "normalize-path/get-slash-pointless-dot",
	  .method = "GET",
	  .path = "/./example",
	  .to_sign = "214d50c111a8edc4819da6a636336472c916b5240f51e9a51b5c3305180cf702",
	  .names = HOST_DATE,
	  .signature = "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5" },
	{ .name = "normalize-path/get-slashes",
	  .method = "GET",
	  .path = "//example//",
	  .to_sign = "cb96b4ac96d501f7c5c15bc6d67b3035061cfced4af6585ad927f7e6c985c015",
	  .names = HOST_DATE,
	  .signature = "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84" },
	{ .name = "normalize-path/get-space",
	  .method = "GET",
	  .path = "/example space/",
	  .to_sign = "63ee75631ed7234ae61b5f736dfc7754cdccfedbff4b5128a915706ee9390d86",
	  .names = HOST_DATE,
	  .signature = "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },
	{ .name = "post-header-key-case",
	  .method = "POST",
	  .path = "/",
	  .to_sign = "553f88c9e4d10fc9e109e2aeb65f030801b70c2f6468faca261d401ae622fc87",
	  .names = HOST_DATE,
	  .signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	{ .name = "post-header-key-sort",
	  .method = "POST",
	  .path = "/",
	  .headers = { { "My-Header1", "value1" } },
	  .to_sign = "9368318c2967cf6de74404b30c65a91e8f6253e0a8659d6d5319f1a812f87d65",
	  .names = "host;my-header1;x-amz-date",
	  .signature = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
	{ .name = "post-header-value-case",
	  .method = "POST",
	  .path = "/",
	  .headers = { { "My-Header1", "VALUE1" } },
	  .to_sign = "d51ced243e649e3de6ef63afbbdcbca03131a21a7103a1583706a64618606a93",
	  .names = "host;my-header1;x-amz-date",
	  .signature = "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
	{ .name = "post-sts-token/post-sts-header-before",
	  .method = "POST",
	  .path = "/",
	  .token = STS_TOKEN,
	  .to_sign = "c237e1b440d4c63c32ca95b5b99481081cb7b13c7e40434868e71567c1a882f6",
	  .names = "host;x-amz-date;x-amz-security-token",
	  .signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
	{ .name = "post-vanilla-query",
	  .method = "POST",
	  .path = "/",
	  .query = "Param1=value1",
	  .to_sign = "9d659678c1756bb3113e2ce898845a0a79dbbc57b740555917687f1b3340fbbd",
	  .names = HOST_DATE,
	  .signature = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
	{ .name = "post-x-www-form-urlencoded",
	  .method = "POST",
	  .path = "/",
	  .headers = { { "Content-Type", "application/x-www-form-urlencoded" } },
	  .body = "Param1=value1",
	  .to_sign = "42a5e5bb34198acb3e84da4f085bb7927f2bc277ca766e6d19c73c2154021281",
	  .names = "content-type;host;x-amz-date",
	  .signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
	{ .name = "post-x-www-form-urlencoded-parameters",
	  .method = "POST",
	  .path = "/",
	  .headers = { { "Content-Type", "application/x-www-form-urlencoded; charset=utf8" } },
	  .body = "Param1=value1",
	  .to_sign = "2e1cf7ed91881a30569e46552437e4156c823447bf1781b921b5d486c568dd1c",
	  .names = "content-type;host;x-amz-date",
	  .signature = "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe" },
};

static struct levee_sigv4_request plain_request(void)
{
	return (struct levee_sigv4_request){ .method = "GET",
					     .host = "example.amazonaws.com",
					     .path = "/",
					     .region = "us-east-1",
					     .service = "service" };
}

static struct levee_aws_keys published_keys(const char *token)
{
	struct levee_aws_keys keys;

	assert_int_equal(levee_aws_keys_set(&keys, ACCESS, SECRET, token), 0);
	return keys;
}

static void check_vector(const struct vector *v)
{
	struct levee_sigv4_request request = plain_request();
	struct levee_aws_keys keys = published_keys(v->token);
	struct levee_sigv4 signature;
	char expected[512];

	request.method = v->method;
	request.path = v->path;
	request.query = v->query;
	request.headers = v->headers;
	while (request.n_headers < 4 && v->headers[request.n_headers].name)
		request.n_headers++;
	request.body = v->body;
	request.body_bytes = v->body ? strlen(v->body) : 0;
	assert_int_equal(levee_sigv4_sign(&signature, &request, &keys, DATE), 0);
	assert_string_equal(signature.date, "20150830T123600Z");
	if (v->to_sign && strcmp(v->to_sign, signature.to_sign_sha256) != 0)
		fail_msg("%s:\n%s", v->name, signature.canonical.bytes);
	snprintf(expected, sizeof(expected),
		 "AWS4-HMAC-SHA256 Credential=" ACCESS "/20150830/us-east-1/service/aws4_request, "
		 "SignedHeaders=%s, Signature=%s",
		 v->names, v->signature);
	if (strcmp(expected, signature.authorization.bytes) != 0)
		fail_msg("%s: %s\n%s", v->name, signature.authorization.bytes,
			 signature.canonical.bytes);
	assert_string_equal(levee_aws_text_string(&signature.token), v->token ? v->token : "");
	levee_sigv4_clear(&signature);
	levee_aws_keys_clear(&keys);
}

static void every_published_vector_is_met(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		check_vector(&vectors[i]);
}

/* The canonical request of one request for S3 and of the same for another service. */
static void canonical_of(const char *path, const char *query, bool s3, char *out, size_t size)
{
	struct levee_sigv4_request request = plain_request();
	struct levee_aws_keys keys = published_keys(NULL);
	struct levee_sigv4 signature;

	request.path = path;
	request.query = query;
	request.s3 = s3;
	assert_int_equal(levee_sigv4_sign(&signature, &request, &keys, DATE), 0);
	snprintf(out, size, "%s", signature.canonical.bytes);
	levee_sigv4_clear(&signature);
	levee_aws_keys_clear(&keys);
}

static void assert_canonical(const char *path, const char *query, bool s3, const char *begin)
{
	char text[2048];

	canonical_of(path, query, s3, text, sizeof(text));
	if (strncmp(text, begin, strlen(begin)) != 0)
		fail_msg("%s does not begin with %s", text, begin);
}

static void a_path_for_s3_stands_as_it_is(void **state)
{
	(void)state;
	assert_canonical("/a//b/../c%20d", NULL, true, "GET\n/a//b/../c%20d\n\nhost:");
}

static void any_other_path_is_encoded_once_more(void **state)
{
	(void)state;
	assert_canonical("/a//b/../c%20d", NULL, false, "GET\n/a/c%2520d\n\nhost:");
}

static void s3_signs_the_hash_of_the_body_as_a_header(void **state)
{
	char text[2048];

	(void)state;
	canonical_of("/", NULL, true, text, sizeof(text));
	assert_non_null(strstr(text, "\nhost;x-amz-content-sha256;x-amz-date\n"));
	canonical_of("/", NULL, false, text, sizeof(text));
	assert_null(strstr(text, "x-amz-content-sha256"));
}

static void a_query_is_decoded_encoded_and_sorted_by_name_then_value(void **state)
{
	(void)state;
	assert_canonical("/", "b=2&a-=3&a=9&a=1&c&=z", false, "GET\n/\n=z&a=1&a=9&a-=3&b=2&c=\n");
	assert_canonical("/", "k=a%2fb%7E+%zz%4", false, "GET\n/\nk=a%2Fb~%2B%25zz%254\n");
	assert_canonical("/", "&&a=1&", false, "GET\n/\na=1\n");
	assert_canonical("/", "a=b=c", false, "GET\n/\na=b%3Dc\n");
}

static void an_empty_path_is_the_root(void **state)
{
	(void)state;
	assert_canonical("", NULL, false, "GET\n/\n\n");
	assert_canonical(NULL, NULL, true, "GET\n/\n\n");
}

static int sign_with(const struct levee_sigv4_request *request, const struct levee_aws_keys *keys,
		     int64_t now)
{
	struct levee_sigv4 signature;
	int ret = levee_sigv4_sign(&signature, request, keys, now);

	levee_sigv4_clear(&signature);
	return ret;
}

static void a_header_that_is_the_signers_is_refused(void **state)
{
	static const char *const names[] = { "Host",
					     "authorization",
					     "X-Amz-Date",
					     "x-amz-security-token",
					     "X-AMZ-CONTENT-SHA256",
					     "" };
	struct levee_aws_keys keys = published_keys(NULL);
	struct levee_sigv4_request request = plain_request();

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct levee_aws_header header = { names[i], "x" };

		request.headers = &header;
		request.n_headers = 1;
		assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	}
	levee_aws_keys_clear(&keys);
}

static void a_header_of_several_lines_is_refused(void **state)
{
	struct levee_aws_keys keys = published_keys(NULL);
	struct levee_sigv4_request request = plain_request();
	struct levee_aws_header header = { "x-a", "1\r\nx-b: 2" };

	(void)state;
	request.headers = &header;
	request.n_headers = 1;
	assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	header = (struct levee_aws_header){ "x-a:\n", "1" };
	assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	levee_aws_keys_clear(&keys);
}

static void what_is_missing_is_refused(void **state)
{
	struct levee_aws_keys keys = published_keys(NULL), none = { 0 };
	struct levee_sigv4_request request = plain_request();

	(void)state;
	assert_int_equal(sign_with(&request, &keys, DATE), 0);
	assert_int_equal(sign_with(&request, &none, DATE), -EINVAL);
	request.region = "";
	assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	request = plain_request();
	request.service = NULL;
	assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	request = plain_request();
	request.host = "";
	assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	request = plain_request();
	request.path = "no-slash";
	assert_int_equal(sign_with(&request, &keys, DATE), -EINVAL);
	levee_aws_keys_clear(&keys);
}

static void a_time_without_four_digits_of_year_is_refused(void **state)
{
	struct levee_aws_keys keys = published_keys(NULL);
	struct levee_sigv4_request request = plain_request();

	(void)state;
	assert_int_equal(sign_with(&request, &keys, 0), 0);
	assert_int_equal(sign_with(&request, &keys, 253402300799), 0);
	assert_int_equal(sign_with(&request, &keys, 253402300800), -EINVAL);
	assert_int_equal(sign_with(&request, &keys, -1), -EINVAL);
	levee_aws_keys_clear(&keys);
}

static void a_canonical_request_above_its_limit_is_refused(void **state)
{
	struct levee_aws_keys keys = published_keys(NULL);
	struct levee_sigv4_request request = plain_request();
	char *query = malloc(1024 * 1024 + 8);

	(void)state;
	assert_non_null(query);
	memset(query, 'a', 1024 * 1024 + 7);
	query[1024 * 1024 + 7] = '\0';
	request.query = query;
	assert_true(sign_with(&request, &keys, DATE) < 0);
	memset(query, '&', 10000);
	query[10000] = '\0';
	assert_int_equal(sign_with(&request, &keys, DATE), -EFBIG);
	free(query);
	levee_aws_keys_clear(&keys);
}

static void the_secret_key_is_in_nothing_that_is_written(void **state)
{
	struct levee_aws_keys keys = published_keys(STS_TOKEN);
	struct levee_sigv4_request request = plain_request();
	struct levee_sigv4 signature;

	(void)state;
	assert_int_equal(levee_sigv4_sign(&signature, &request, &keys, DATE), 0);
	assert_null(strstr(signature.authorization.bytes, SECRET));
	assert_null(strstr(signature.authorization.bytes, STS_TOKEN));
	assert_null(strstr(signature.canonical.bytes, SECRET));
	levee_sigv4_clear(&signature);
	levee_aws_keys_clear(&keys);
}

/* ---- for test_sigv4_botocore.sh ---- */

enum field {
	METHOD,
	AUTHORITY,
	PATH,
	QUERY,
	HEADERS, /* each "name:value\n" */
	BODY,
	REGION,
	SERVICE,
	S3,
	KEY,
	PASSWORD,
	SESSION,
	TIME,
	FIELDS
};

#define MAX_HEADERS 16

/* Percent-encoding off, in place. Bodies are text here: no NUL. */
static void decode(char *s)
{
	char *to = s, code[3] = "";

	for (; *s; s++) {
		if (*s == '%') {
			memcpy(code, s + 1, 2);
			*to++ = (char)strtol(code, NULL, 16);
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

static size_t split_headers(char *text, struct levee_aws_header *out)
{
	size_t n = 0;
	char *end;

	for (; *text && n < MAX_HEADERS; text = end + 1, n++) {
		char *colon = strchr(text, ':');

		end = strchr(text, '\n');
		*end = *colon = '\0';
		out[n] = (struct levee_aws_header){ text, colon + 1 };
	}
	return n;
}

static int sign_line(char *line)
{
	char *fields[FIELDS];
	struct levee_aws_header headers[MAX_HEADERS];
	struct levee_sigv4_request request = { 0 };
	struct levee_aws_keys keys;
	struct levee_sigv4 signature;
	int ret;

	for (int i = 0; i < FIELDS; i++) {
		fields[i] = strsep(&line, "\t");
		if (!fields[i])
			return -EINVAL;
		decode(fields[i]);
	}
	request =
		(struct levee_sigv4_request){ .method = fields[METHOD],
					      .host = fields[AUTHORITY],
					      .path = fields[PATH],
					      .query = fields[QUERY],
					      .headers = headers,
					      .n_headers = split_headers(fields[HEADERS], headers),
					      .body = fields[BODY],
					      .body_bytes = strlen(fields[BODY]),
					      .region = fields[REGION],
					      .service = fields[SERVICE],
					      .s3 = *fields[S3] == '1' };
	ret = levee_aws_keys_set(&keys, fields[KEY], fields[PASSWORD], fields[SESSION]);
	if (ret < 0)
		return ret;
	ret = levee_sigv4_sign(&signature, &request, &keys, strtoll(fields[TIME], NULL, 10));
	if (ret == 0)
		puts(signature.authorization.bytes);
	levee_sigv4_clear(&signature);
	levee_aws_keys_clear(&keys);
	return ret;
}

/* Requests on standard input, a line each, fields encoded; a header Authorization for each. */
static int sign_lines(void)
{
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	while (ret == 0 && getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		ret = sign_line(line);
	}
	free(line);
	return ret < 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_published_vector_is_met),
		cmocka_unit_test(a_path_for_s3_stands_as_it_is),
		cmocka_unit_test(any_other_path_is_encoded_once_more),
		cmocka_unit_test(s3_signs_the_hash_of_the_body_as_a_header),
		cmocka_unit_test(a_query_is_decoded_encoded_and_sorted_by_name_then_value),
		cmocka_unit_test(an_empty_path_is_the_root),
		cmocka_unit_test(a_header_that_is_the_signers_is_refused),
		cmocka_unit_test(a_header_of_several_lines_is_refused),
		cmocka_unit_test(what_is_missing_is_refused),
		cmocka_unit_test(a_time_without_four_digits_of_year_is_refused),
		cmocka_unit_test(a_canonical_request_above_its_limit_is_refused),
		cmocka_unit_test(the_secret_key_is_in_nothing_that_is_written),
	};

	if (argc > 1 && strcmp(argv[1], "--sign") == 0)
		return sign_lines();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
