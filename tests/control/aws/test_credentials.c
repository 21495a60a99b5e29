/* SPDX-License-Identifier: BSD-2-Clause */
/* Every secret of these tests has HIDDEN in it, and nothing that is said or logged has. */
#include "control/aws/credentials.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/log.h"
#include "tests/support/aws.h"

#define NOW_S 1700000000

/* An hour after, and ten minutes before, the time at which tests begin. */
#define IN_AN_HOUR "2023-11-14T23:13:20Z"
#define LONG_AGO   "2023-11-14T22:03:20Z"

#define JSON_KEYS(n, token, expires)                                                   \
	"{\"AccessKeyId\":\"AKID" n "\",\"SecretAccessKey\":\"HIDDEN-" n "\",\"" token \
	"\":\"HIDDEN-t" n "\",\"Expiration\":\"" expires "\",\"Code\":\"Success\"}"

#define STS(operation, n, expires)                                                              \
	"<" operation "Response><" operation "Result><Credentials><AccessKeyId>AKID" n          \
	"</AccessKeyId><SecretAccessKey>HIDDEN-" n "</SecretAccessKey><SessionToken>HIDDEN-t" n \
	"</SessionToken><Expiration>" expires "</Expiration></Credentials></" operation         \
	"Result></" operation "Response>"

#define ASSUMED(n) STS("AssumeRole", n, IN_AN_HOUR)

#define IMDS_TOKEN                                                         \
	{                                                                  \
		.expect = "PUT http://169.254.169.254/latest/api/token\n"  \
			  "X-aws-ec2-metadata-token-ttl-seconds: 21600\n", \
		.status = 200, .body = "HIDDEN-imds"                       \
	}
#define IMDS_ROLE                                                                           \
	{                                                                                   \
		.expect = "GET http://169.254.169.254/latest/meta-data/iam/"                \
			  "security-credentials/\nX-aws-ec2-metadata-token: HIDDEN-imds\n", \
		.status = 200, .body = "my-role\n"                                          \
	}
#define IMDS_KEYS(n, expires)                                              \
	{                                                                  \
		.expect = "security-credentials/my-role\n", .status = 200, \
		.body = JSON_KEYS(n, "Token", expires)                     \
	}

struct fixture {
	struct fake_env env;
	struct fake_http http;
	struct levee_aws_config config;
	struct levee_imds *imds;
	struct levee_aws_chain *chain;
	struct levee_aws_credentials got;
	struct levee_aws_error error;
	char dir[64];
	char config_path[96];
	char credentials_path[96];
	char token_path[96];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	fake_env_init(&f->env);
	strcpy(f->dir, "/tmp/levee-test-aws-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->config_path, sizeof(f->config_path), "%s/config", f->dir);
	snprintf(f->credentials_path, sizeof(f->credentials_path), "%s/credentials", f->dir);
	snprintf(f->token_path, sizeof(f->token_path), "%s/token", f->dir);
	fake_env_set(&f->env, "AWS_CONFIG_FILE", f->config_path);
	fake_env_set(&f->env, "AWS_SHARED_CREDENTIALS_FILE", f->credentials_path);
	fake_env_set(&f->env, "AWS_REGION", "eu-west-1");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	levee_aws_credentials_clear(&f->got);
	levee_aws_chain_free(f->chain);
	levee_imds_free(f->imds);
	levee_aws_config_clear(&f->config);
	unlink(f->config_path);
	unlink(f->credentials_path);
	unlink(f->token_path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void write_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

static void begin(struct fixture *f, const struct canned *answers,
		  const struct levee_aws_overrides *overrides)
{
	if (levee_aws_config_load(&f->config, &f->env.env, overrides, &f->error) < 0)
		fail_msg("%s", f->error.message);
	fake_http_init(&f->http, answers);
	f->imds = levee_imds_new(&f->config, &f->http.http);
	f->chain = levee_aws_chain_new(&f->config, &f->http.http, f->imds);
	assert_non_null(f->chain);
}

static int get(struct fixture *f)
{
	int ret;

	levee_aws_credentials_clear(&f->got);
	ret = levee_aws_chain_get(f->chain, &f->got, &f->error);
	assert_true((ret < 0) == (f->error.code[0] != '\0'));
	assert_null(strstr(f->error.message, "HIDDEN"));
	assert_null(strstr(f->got.provider, "HIDDEN"));
	if (ret < 0)
		assert_null(f->got.keys.access_key);
	return ret;
}

static void assert_keys(struct fixture *f, const char *access, const char *secret,
			const char *token, const char *provider)
{
	int ret = get(f);

	if (ret < 0)
		fail_msg("%d %s: %s", ret, f->error.code, f->error.message);
	assert_string_equal(f->got.keys.access_key, access);
	assert_string_equal(f->got.keys.secret_key, secret);
	if (token)
		assert_string_equal(f->got.keys.token, token);
	else
		assert_null(f->got.keys.token);
	assert_string_equal(f->got.provider, provider);
}

static void assert_fails(struct fixture *f, int ret, const char *code, const char *words)
{
	int got = get(f);

	if (got != ret || strcmp(f->error.code, code) != 0 || !strstr(f->error.message, words))
		fail_msg("%d %s: %s", got, f->error.code, f->error.message);
}

/* As assert_fails(), with a chain of its own. */
static void assert_profile_fails(struct fixture *f, const char *config, int ret, const char *code,
				 const char *words)
{
	static const struct canned nothing[] = { { 0 } };

	write_file(f->config_path, config);
	begin(f, nothing, NULL);
	assert_fails(f, ret, code, words);
	levee_aws_chain_free(f->chain);
	levee_imds_free(f->imds);
	levee_aws_config_clear(&f->config);
	f->chain = NULL;
	f->imds = NULL;
}

/* ---- environment ---- */

static void keys_of_the_environment_come_first(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };

	write_file(f->credentials_path,
		   "[default]\naws_access_key_id=AKIDF\naws_secret_access_key=HIDDEN-f\n");
	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "HIDDEN-e");
	begin(f, none, NULL);
	assert_keys(f, "AKIDE", "HIDDEN-e", NULL, "environment");
	assert_int_equal(f->got.expires_s, 0);
}

static void a_session_token_of_the_environment_is_taken(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };

	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "HIDDEN-e");
	fake_env_set(&f->env, "AWS_SESSION_TOKEN", "HIDDEN-te");
	begin(f, none, NULL);
	assert_keys(f, "AKIDE", "HIDDEN-e", "HIDDEN-te", "environment");
}

static void half_a_pair_of_keys_is_an_error(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };

	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "HIDDEN-e");
	begin(f, none, NULL);
	assert_fails(f, -EINVAL, "CredentialsFailed", "AWS_ACCESS_KEY_ID");
}

static void a_key_with_a_line_break_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };

	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "HIDDEN-e");
	fake_env_set(&f->env, "AWS_SESSION_TOKEN", "HIDDEN\r\nX-Evil: 1");
	begin(f, none, NULL);
	assert_fails(f, -EBADMSG, "CredentialsFailed", "malformed");
}

static void a_profile_of_our_own_configuration_wins_over_the_environment(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };
	const struct levee_aws_overrides overrides = { .profile = "p" };

	write_file(f->credentials_path,
		   "[p]\naws_access_key_id=AKIDF\naws_secret_access_key=HIDDEN-f\n");
	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "HIDDEN-e");
	begin(f, none, &overrides);
	assert_keys(f, "AKIDF", "HIDDEN-f", NULL, "profile \"p\": keys");
}

/* ---- profiles ---- */

static void keys_of_a_profile_are_found(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };

	write_file(f->credentials_path, "[p]\naws_access_key_id=AKIDF\n"
					"aws_secret_access_key = HIDDEN/f+x=\n"
					"aws_session_token=HIDDEN-tf\n");
	fake_env_set(&f->env, "AWS_PROFILE", "p");
	begin(f, none, NULL);
	assert_keys(f, "AKIDF", "HIDDEN/f+x=", "HIDDEN-tf", "profile \"p\": keys");
}

static void a_process_prints_keys(void **state)
{
	struct fixture *f = *state;
	const struct canned none[] = { { 0 } };

	write_file(f->config_path,
		   "[default]\ncredential_process = printf '%s' '{\"Version\":1,\"AccessKeyId\":"
		   "\"AKIDP\",\"SecretAccessKey\":\"HIDDEN-p\",\"SessionToken\":\"HIDDEN-tp\","
		   "\"Expiration\":\"" IN_AN_HOUR "\"}'\n");
	begin(f, none, NULL);
	assert_keys(f, "AKIDP", "HIDDEN-p", "HIDDEN-tp", "profile \"default\": credential_process");
	assert_int_equal(f->got.expires_s, NOW_S + 3600);
}

static void a_process_that_fails_is_an_error(void **state)
{
	static const struct {
		const char *command;
		int ret;
		const char *words;
	} bad[] = {
		{ "sh -c 'echo HIDDEN >&2; exit 1'", -EIO, "sh: ended with an error" },
		{ "/nonexistent --key HIDDEN", -ENOENT, "/nonexistent: No such file" },
		{ "'open quote HIDDEN", -EINVAL, "open quote" },
		{ "echo HIDDEN", -EBADMSG, "not JSON" },
		{ "true", -EBADMSG, "not JSON" },
		{ "echo '[1]'", -EBADMSG, "not JSON" },
		{ "echo '{\"SecretAccessKey\":\"HIDDEN\"}'", -EBADMSG, "\"Version\": 1" },
		{ "echo '{\"Version\":2}'", -EBADMSG, "\"Version\": 1" },
		{ "echo '{\"Version\":1,\"SecretAccessKey\":\"HIDDEN\"}'", -EBADMSG, "missing" },
		{ "echo '{\"Version\":1,\"AccessKeyId\":7,\"SecretAccessKey\":\"HIDDEN\"}'",
		  -EBADMSG, "expected" },
		{ "echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HIDDEN\","
		  "\"Expiration\":\"soon\"}'",
		  -EBADMSG, "time of expiration" },
		{ "echo '{\"Version\":1,\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HIDDEN\","
		  "\"Expiration\":\"" LONG_AGO "\"}'",
		  -ENOKEY, "expired 600 s ago" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[512];

		snprintf(text, sizeof(text), "[default]\ncredential_process = %s\n",
			 bad[i].command);
		assert_profile_fails(f, text, bad[i].ret, "CredentialsFailed", bad[i].words);
	}
}

static void a_role_is_assumed_with_the_keys_of_another_profile(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .expect = "POST https://sts.eu-west-1.amazonaws.com/\n",
					    .status = 200,
					    .body = ASSUMED("R") },
					  { 0 } };

	write_file(f->config_path, "[default]\nrole_arn = arn:aws:iam::1:role/r\n"
				   "source_profile = base\nexternal_id = e&x\n"
				   "role_session_name = me\nduration_seconds = 900\n");
	write_file(f->credentials_path,
		   "[base]\naws_access_key_id=AKIDB\naws_secret_access_key=HIDDEN-b\n");
	begin(f, answers, NULL);
	assert_keys(f, "AKIDR", "HIDDEN-R", "HIDDEN-tR",
		    "profile \"default\": role arn:aws:iam::1:role/r, from profile \"base\": keys");
	assert_int_equal(f->got.expires_s, NOW_S + 3600);
	assert_non_null(strstr(f->http.requests[0], "Credential=AKIDB/"));
	assert_non_null(strstr(f->http.requests[0],
			       "Action=AssumeRole&Version=2011-06-15"
			       "&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=me"
			       "&ExternalId=e%26x&DurationSeconds=900"));
	fake_http_done(&f->http);
}

static void roles_are_assumed_one_with_the_other(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "Credential=AKIDB/", .status = 200, .body = ASSUMED("1") },
		{ .expect = "X-Amz-Security-Token: HIDDEN-t1",
		  .status = 200,
		  .body = ASSUMED("2") },
		{ 0 }
	};

	write_file(f->config_path, "[profile top]\nrole_arn = R2\nsource_profile = mid\n"
				   "[profile mid]\nrole_arn = R1\nsource_profile = base\n");
	write_file(f->credentials_path,
		   "[base]\naws_access_key_id=AKIDB\naws_secret_access_key=HIDDEN-b\n");
	fake_env_set(&f->env, "AWS_PROFILE", "top");
	begin(f, answers, NULL);
	assert_keys(f, "AKID2", "HIDDEN-2", "HIDDEN-t2",
		    "profile \"top\": role R2, from profile \"mid\": role R1, from profile "
		    "\"base\": keys");
	fake_http_done(&f->http);
}

static void a_profile_may_name_itself_for_its_own_keys(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "Credential=AKIDS/", .status = 200, .body = ASSUMED("R") }, { 0 }
	};

	write_file(f->credentials_path,
		   "[default]\naws_access_key_id=AKIDS\naws_secret_access_key=HIDDEN-s\n"
		   "role_arn = R\nsource_profile = default\n");
	begin(f, answers, NULL);
	assert_keys(f, "AKIDR", "HIDDEN-R", "HIDDEN-tR",
		    "profile \"default\": role R, from profile \"default\": keys");
	fake_http_done(&f->http);
}

static void keys_of_a_source_come_before_its_role(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "Credential=AKIDM/", .status = 200, .body = ASSUMED("R") }, { 0 }
	};

	write_file(f->credentials_path,
		   "[default]\nrole_arn = R\nsource_profile = mid\n"
		   "[mid]\naws_access_key_id=AKIDM\naws_secret_access_key=HIDDEN-m\n"
		   "role_arn = never\nsource_profile = nowhere\n");
	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	fake_http_done(&f->http);
}

static void a_named_source_stands_behind_a_role(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { IMDS_TOKEN,
					  IMDS_ROLE,
					  IMDS_KEYS("I", IN_AN_HOUR),
					  { .expect = "X-Amz-Security-Token: HIDDEN-tI",
					    .status = 200,
					    .body = ASSUMED("R") },
					  { 0 } };

	write_file(f->config_path,
		   "[default]\nrole_arn = R\ncredential_source = Ec2InstanceMetadata\n");
	begin(f, answers, NULL);
	assert_keys(f, "AKIDR", "HIDDEN-R", "HIDDEN-tR",
		    "profile \"default\": role R, from instance metadata: role my-role");
	assert_false(f->got.outlives);
	fake_http_done(&f->http);
}

static void the_environment_can_be_a_roles_source(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "Credential=AKIDE/", .status = 200, .body = ASSUMED("R") }, { 0 }
	};
	const struct levee_aws_overrides overrides = { .profile = "p" };

	write_file(f->config_path, "[profile p]\nrole_arn = R\ncredential_source = Environment\n");
	fake_env_set(&f->env, "AWS_ACCESS_KEY_ID", "AKIDE");
	fake_env_set(&f->env, "AWS_SECRET_ACCESS_KEY", "HIDDEN-e");
	begin(f, answers, &overrides);
	assert_keys(f, "AKIDR", "HIDDEN-R", "HIDDEN-tR", "profile \"p\": role R, from environment");
	fake_http_done(&f->http);
}

static void roles_that_cannot_be_assumed_are_explained(void **state)
{
	struct fixture *f = *state;

	assert_profile_fails(f, "[default]\nrole_arn = R\n", -EINVAL, "InvalidConfiguration",
			     "needs source_profile or credential_source");
	assert_profile_fails(f,
			     "[default]\nrole_arn = R\nsource_profile = a\n"
			     "credential_source = Environment\n",
			     -EINVAL, "InvalidConfiguration", "exclude each other");
	assert_profile_fails(f, "[default]\nrole_arn = R\nsource_profile = a\n", -ENOENT,
			     "InvalidConfiguration", "\"a\" does not exist");
	assert_profile_fails(f, "[default]\nrole_arn = R\nsource_profile = a\n[profile a]\nx=y\n",
			     -EINVAL, "InvalidConfiguration", "\"a\" has no credentials");
	assert_profile_fails(f, "[default]\nrole_arn = R\ncredential_source = Moon\n", -EINVAL,
			     "InvalidConfiguration", "\"Moon\"");
	assert_profile_fails(f, "[default]\nrole_arn = R\ncredential_source = EcsContainer\n",
			     -EINVAL, "CredentialsFailed", "EcsContainer has no credentials");
	assert_profile_fails(f,
			     "[default]\nrole_arn = R\nsource_profile = default\nmfa_serial = m\n",
			     -ENOTSUP, "InvalidConfiguration", "mfa_serial");
	assert_profile_fails(f, "[default]\nsso_session = s\n", -ENOTSUP, "InvalidConfiguration",
			     "SSO");
	assert_profile_fails(f, "[default]\naws_secret_access_key = HIDDEN\n", -EBADMSG,
			     "CredentialsFailed", "missing");
}

static void loops_of_profiles_are_found(void **state)
{
	struct fixture *f = *state;
	char many[1024] = "[default]\nrole_arn=R\nsource_profile=p1\n";

	assert_profile_fails(f, "[default]\nrole_arn = R\nsource_profile = default\n", -ELOOP,
			     "InvalidConfiguration", "leads back to itself");
	assert_profile_fails(f,
			     "[default]\nrole_arn = R\nsource_profile = a\n"
			     "[profile a]\nrole_arn = R\nsource_profile = b\n"
			     "[profile b]\nrole_arn = R\nsource_profile = a\n",
			     -ELOOP, "InvalidConfiguration", "\"a\" leads back to itself");
	for (int i = 1; i < 12; i++)
		snprintf(many + strlen(many), 64, "[profile p%d]\nrole_arn=R\nsource_profile=p%d\n",
			 i, i + 1);
	assert_profile_fails(f, many, -ELOOP, "InvalidConfiguration", "more than 8 profiles");
}

static void what_sts_says_is_passed_on_without_secrets(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 403,
		  .body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User HIDDEN-b "
			  "is "
			  "not authorized</Message></Error></ErrorResponse>" },
		{ 0 }
	};

	write_file(f->credentials_path,
		   "[default]\naws_access_key_id=AKIDS\naws_secret_access_key=HIDDEN-b\n"
		   "role_arn = R\nsource_profile = default\n");
	begin(f, answers, NULL);
	assert_fails(f, -EREMOTEIO, "AccessDenied",
		     "profile \"default\": role R: sts AssumeRole: User *** is not authorized");
	fake_http_done(&f->http);
}

static void a_reply_of_sts_without_keys_is_an_error(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 200, .body = "<AssumeRoleResponse/>" },
					  { 0 } };

	write_file(f->credentials_path,
		   "[default]\naws_access_key_id=AKIDS\naws_secret_access_key=HIDDEN-b\n"
		   "role_arn = R\nsource_profile = default\n");
	begin(f, answers, NULL);
	assert_fails(f, -EBADMSG, "CredentialsFailed", "missing");
	fake_http_done(&f->http);
}

static void a_damaged_file_is_an_error_and_no_reason_to_go_on(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };

	begin(f, answers, NULL);
	write_file(f->credentials_path, "[default]\nHIDDEN\n");
	assert_fails(f, -EINVAL, "InvalidConfiguration", ":2:");
}

/* ---- web identity ---- */

static void a_web_identity_is_exchanged_unsigned(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 200, .body = STS("AssumeRoleWithWebIdentity", "W", IN_AN_HOUR) }, { 0 }
	};

	write_file(f->token_path, "HIDDEN.jwt\n");
	fake_env_set(&f->env, "AWS_WEB_IDENTITY_TOKEN_FILE", f->token_path);
	fake_env_set(&f->env, "AWS_ROLE_ARN", "arn:w");
	begin(f, answers, NULL);
	assert_keys(f, "AKIDW", "HIDDEN-W", "HIDDEN-tW", "web identity: role arn:w");
	assert_null(strstr(f->http.requests[0], "Authorization"));
	assert_non_null(strstr(f->http.requests[0],
			       "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"
			       "RoleArn=arn%3Aw&RoleSessionName=levee-1700000000&"
			       "WebIdentityToken=HIDDEN.jwt"));
	fake_http_done(&f->http);
}

static void a_profile_can_hold_a_web_identity(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .expect = "RoleSessionName=me&",
					    .status = 200,
					    .body = STS("AssumeRoleWithWebIdentity", "W",
							IN_AN_HOUR) },
					  { 0 } };
	char text[256];

	write_file(f->token_path, "HIDDEN.jwt");
	snprintf(text, sizeof(text),
		 "[default]\nrole_arn = arn:p\nweb_identity_token_file = %s\n"
		 "role_session_name = me\n",
		 f->token_path);
	write_file(f->config_path, text);
	begin(f, answers, NULL);
	assert_keys(f, "AKIDW", "HIDDEN-W", "HIDDEN-tW",
		    "profile \"default\": web identity, role arn:p");
	fake_http_done(&f->http);
}

static void a_web_identity_that_fails_is_explained(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 400,
		  .body = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>"
			  "HIDDEN.jwt is bad</Message></Error></ErrorResponse>" },
		{ 0 }
	};

	fake_env_set(&f->env, "AWS_WEB_IDENTITY_TOKEN_FILE", f->token_path);
	begin(f, answers, NULL);
	assert_fails(f, -EINVAL, "CredentialsFailed", "AWS_ROLE_ARN is not");
	fake_env_set(&f->env, "AWS_ROLE_ARN", "arn:w");
	f->env.now_ms += 5000;
	assert_fails(f, -ENOENT, "CredentialsFailed", f->token_path);
	write_file(f->token_path, "HIDDEN\nHIDDEN\n");
	f->env.now_ms += 5000;
	assert_fails(f, -EBADMSG, "CredentialsFailed", "not one line");
	write_file(f->token_path, "\n");
	f->env.now_ms += 5000;
	assert_fails(f, -EBADMSG, "CredentialsFailed", "not one line");
	write_file(f->token_path, "HIDDEN.jwt\n");
	f->env.now_ms += 5000;
	assert_fails(f, -EREMOTEIO, "InvalidIdentityToken", "*** is bad");
	fake_http_done(&f->http);
}

/* ---- container ---- */

static void a_container_is_asked_at_its_fixed_address(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "GET http://169.254.170.2/v2/id?a=b\nAccept: application/json\n\n",
		  .status = 200,
		  .body = JSON_KEYS("C", "Token", IN_AN_HOUR) },
		{ 0 }
	};

	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/id?a=b");
	begin(f, answers, NULL);
	assert_keys(f, "AKIDC", "HIDDEN-C", "HIDDEN-tC", "container");
	assert_true(f->http.last.no_proxy);
	fake_http_done(&f->http);
}

static void a_container_is_shown_the_token_of_its_file(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "GET http://169.254.170.23/v1/credentials\nAccept: application/json\n"
			    "Authorization: HIDDEN-file\n",
		  .status = 200,
		  .body = JSON_KEYS("C", "Token", IN_AN_HOUR) },
		{ 0 }
	};

	write_file(f->token_path, "HIDDEN-file\n");
	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		     "http://169.254.170.23/v1/credentials");
	fake_env_set(&f->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "HIDDEN-variable");
	fake_env_set(&f->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", f->token_path);
	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	fake_http_done(&f->http);
}

static void plain_http_goes_to_known_hosts_only(void **state)
{
	static const char *const good[] = {
		"http://127.0.0.1:1/x",	   "http://127.9.9.9/x",     "http://[::1]/x",
		"http://localhost:80/x",   "http://169.254.170.2/x", "http://[fd00:ec2::23]/x",
		"http://169.254.170.23/x", "https://example.com/x",
	};
	static const char *const bad[] = {
		"http://example.com/x",
		"http://169.254.170.3/x",
		"http://[fd00:ec2::24]/x",
		"http://127.0.0.1@example.com/x",
		"http://localhost.evil.com/",
		"http://128.0.0.1/",
		"http://127.0.0.1.evil.com/",
		"ftp://127.0.0.1/",
		"127.0.0.1/x",
	};
	struct fixture *f = *state;
	struct canned answers[9] = { { 0 } };

	for (size_t i = 0; i < 8; i++)
		answers[i] = (struct canned){ .status = 404 };
	begin(f, answers, NULL);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI", good[i]);
		f->env.now_ms += 5000;
		assert_fails(f, -EIO, "CredentialsFailed", "container: status 404");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i]);
		f->env.now_ms += 5000;
		assert_fails(f, -EINVAL, "InvalidConfiguration",
			     "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	}
	fake_http_done(&f->http);
}

static void a_container_that_stumbles_is_asked_again(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 503 },
					  { .ret = -ETIMEDOUT },
					  { .status = 200,
					    .body = JSON_KEYS("C", "Token", IN_AN_HOUR) },
					  { 0 } };

	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	assert_int_equal(f->env.n_sleeps, 2);
	fake_http_done(&f->http);
}

static void a_container_that_fails_is_an_error(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 500, .body = "HIDDEN" },
					  { .status = 500, .body = "HIDDEN" },
					  { .status = 500, .body = "HIDDEN" },
					  { .status = 200, .body = "HIDDEN" },
					  { .status = 200, .body = "{\"AccessKeyId\":[]}" },
					  { .status = 200,
					    .body = JSON_KEYS("C", "Token", LONG_AGO) },
					  { .ret = -EFBIG },
					  { 0 } };

	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
	begin(f, answers, NULL);
	assert_fails(f, -EIO, "CredentialsFailed", "status 500");
	f->env.now_ms += 5000;
	assert_fails(f, -EBADMSG, "CredentialsFailed", "container: not the JSON");
	f->env.now_ms += 5000;
	assert_fails(f, -EBADMSG, "CredentialsFailed", "container: not the JSON");
	f->env.now_ms = NOW_S * 1000LL;
	assert_fails(f, -ENOKEY, "CredentialsFailed", "expired");
	f->env.now_ms += 5000;
	assert_int_equal(get(f), -EFBIG);
	fake_env_set(&f->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "HIDDEN\nX: y");
	f->env.now_ms += 5000;
	assert_fails(f, -EINVAL, "InvalidConfiguration", "line break");
	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "x");
	f->env.now_ms += 5000;
	assert_fails(f, -EINVAL, "InvalidConfiguration", "slash");
	fake_http_done(&f->http);
}

/* ---- instance metadata ---- */

static void the_instance_is_asked_last_with_a_session_token(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		IMDS_TOKEN, IMDS_ROLE, IMDS_KEYS("I", IN_AN_HOUR), { 0 }
	};

	begin(f, answers, NULL);
	assert_keys(f, "AKIDI", "HIDDEN-I", "HIDDEN-tI", "instance metadata: role my-role");
	assert_true(f->http.last.no_proxy);
	assert_int_equal(f->http.last.connect_ms, 2000);
	assert_int_equal(f->http.last.total_ms, 3000);
	fake_http_done(&f->http);
}

static void no_instance_means_no_credentials_and_says_where_was_looked(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .ret = -ETIMEDOUT, .body = "http://169.254.169.254: no route" },
		{ .ret = -ETIMEDOUT, .body = "http://169.254.169.254: no route" },
		{ 0 }
	};

	begin(f, answers, NULL);
	assert_fails(f, -ENOKEY, "NoCredentials",
		     "environment, profile \"default\", web identity, container; instance "
		     "metadata: http://169.254.169.254: no route");
	/* remembered for a while */
	assert_fails(f, -ENOKEY, "NoCredentials", "no route");
	fake_http_done(&f->http);
}

static void the_instance_can_be_left_out(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };

	fake_env_set(&f->env, "AWS_EC2_METADATA_DISABLED", "TRUE");
	begin(f, answers, NULL);
	assert_fails(f, -ENOKEY, "NoCredentials", "AWS_EC2_METADATA_DISABLED");
}

static void an_instance_without_a_role_is_said_so(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { IMDS_TOKEN, { .status = 404 }, { 0 } };

	begin(f, answers, NULL);
	assert_fails(f, -ENOKEY, "NoCredentials", "the instance has no role");
	fake_http_done(&f->http);
}

static void metadata_that_is_not_what_it_should_be_is_an_error(void **state)
{
	static const struct canned no_token[] = { { .status = 403 }, { 0 } };
	static const struct canned bad_token[] = { { .status = 200, .body = "HIDDEN\r\nX: y" },
						   { 0 } };
	static const struct canned bad_role[] = { IMDS_TOKEN,
						  { .status = 200, .body = "../../x HIDDEN" },
						  { 0 } };
	static const struct canned failed[] = {
		IMDS_TOKEN,
		IMDS_ROLE,
		{ .status = 200, .body = "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}" },
		{ 0 }
	};
	static const struct canned no_json[] = {
		IMDS_TOKEN, IMDS_ROLE, { .status = 200, .body = "<HIDDEN/>" }, { 0 }
	};
	static const struct canned gone[] = { IMDS_TOKEN, IMDS_ROLE, { .status = 404 }, { 0 } };
	static const struct {
		const struct canned *answers;
		int ret;
		const char *words;
	} cases[] = {
		{ no_token, -EACCES, "disabled for this instance" },
		{ bad_token, -EREMOTEIO, "session token" },
		{ bad_role, -EBADMSG, "role's name" },
		{ failed, -EIO, "AssumeRoleUnauthorizedAccess" },
		{ no_json, -EBADMSG, "not the JSON" },
		{ gone, -EIO, "no such item" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(f, cases[i].answers, NULL);
		assert_int_equal(get(f), cases[i].ret);
		if (!strstr(f->error.message, cases[i].words))
			fail_msg("%s", f->error.message);
		fake_http_done(&f->http);
		levee_aws_chain_free(f->chain);
		levee_imds_free(f->imds);
		levee_aws_config_clear(&f->config);
		f->chain = NULL;
		f->imds = NULL;
	}
}

static void another_endpoint_of_the_metadata_is_taken(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .expect = "PUT http://127.0.0.1:1338/latest/api/token", .status = 404 },
		{ .expect = "PUT http://[fd00:ec2::254]/latest/api/token", .status = 404 },
		{ 0 }
	};

	begin(f, answers, NULL);
	fake_env_set(&f->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/");
	assert_fails(f, -ENOKEY, "NoCredentials", "is this EC2?");
	fake_env_set(&f->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "");
	fake_env_set(&f->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
	f->env.now_ms += 5000;
	assert_int_equal(get(f), -ENOKEY);
	fake_env_set(&f->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "nowhere");
	f->env.now_ms += 5000;
	assert_fails(f, -EINVAL, "InvalidConfiguration", "AWS_EC2_METADATA_SERVICE_ENDPOINT");
	fake_http_done(&f->http);
}

static void a_session_token_is_used_until_it_is_refused(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		IMDS_TOKEN,
		{ .expect = "/latest/meta-data/a\n", .status = 200, .body = "1" },
		{ .expect = "/latest/meta-data/b\n", .status = 401 },
		IMDS_TOKEN,
		{ .expect = "/latest/meta-data/b\n", .status = 200, .body = "2" },
		{ .status = 401 },
		IMDS_TOKEN,
		{ .status = 401 },
		{ 0 }
	};
	struct levee_aws_text text;

	begin(f, answers, NULL);
	levee_aws_text_init(&text, 100);
	assert_int_equal(levee_imds_get(f->imds, "meta-data/a", &text, &f->error), 0);
	assert_string_equal(levee_aws_text_string(&text), "1");
	assert_int_equal(levee_imds_get(f->imds, "meta-data/b", &text, &f->error), 0);
	assert_string_equal(levee_aws_text_string(&text), "2");
	assert_int_equal(levee_imds_get(f->imds, "meta-data/c", &text, &f->error), -EREMOTEIO);
	levee_aws_text_free(&text);
	fake_http_done(&f->http);
}

/* ---- keeping and refreshing ---- */

static void what_was_found_is_kept_until_shortly_before_its_end(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { IMDS_TOKEN,
					  IMDS_ROLE,
					  IMDS_KEYS("1", IN_AN_HOUR),
					  IMDS_ROLE,
					  IMDS_KEYS("2", "2023-11-15T04:13:20Z"),
					  { 0 } };

	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	f->env.now_ms += (3600 - 901) * 1000;
	assert_int_equal(get(f), 0);
	assert_string_equal(f->got.keys.access_key, "AKID1");
	f->env.now_ms += 1000;
	assert_int_equal(get(f), 0);
	assert_string_equal(f->got.keys.access_key, "AKID2");
	fake_http_done(&f->http);
}

static void a_refresh_that_fails_leaves_what_is_good(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = {
		{ .status = 200, .body = JSON_KEYS("1", "Token", IN_AN_HOUR) },
		{ .status = 404 },
		{ .status = 404 },
		{ .status = 404 },
		{ .status = 200, .body = JSON_KEYS("2", "Token", "2023-11-15T04:13:20Z") },
		{ 0 }
	};

	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	f->env.now_ms += 2800 * 1000;
	for (int i = 0; i < 3; i++) { /* one try a minute */
		assert_int_equal(get(f), 0);
		assert_string_equal(f->got.keys.access_key, "AKID1");
	}
	f->env.now_ms += 60 * 1000;
	assert_int_equal(get(f), 0);
	f->env.now_ms += 800 * 1000; /* beyond the end */
	assert_fails(f, -EIO, "CredentialsFailed", "status 404");
	assert_fails(f, -EIO, "CredentialsFailed", "status 404");
	f->env.now_ms += 5000;
	assert_int_equal(get(f), 0);
	assert_string_equal(f->got.keys.access_key, "AKID2");
	fake_http_done(&f->http);
}

static void keys_of_the_instance_outlive_their_end(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { IMDS_TOKEN,
					  IMDS_ROLE,
					  IMDS_KEYS("1", LONG_AGO),
					  { .status = 404 },
					  IMDS_ROLE,
					  IMDS_KEYS("2", "2023-11-15T04:13:20Z"),
					  { 0 } };

	f->env.random = 0;
	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	f->env.now_ms += 299 * 1000;
	assert_int_equal(get(f), 0);
	f->env.now_ms += 1000;
	assert_int_equal(get(f), 0); /* no role at this moment: the old ones */
	assert_string_equal(f->got.keys.access_key, "AKID1");
	f->env.now_ms += 60 * 1000;
	assert_int_equal(get(f), 0);
	assert_string_equal(f->got.keys.access_key, "AKID2");
	fake_http_done(&f->http);
}

static void refused_keys_are_replaced_at_once_but_not_those_that_came_since(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { IMDS_TOKEN,
					  IMDS_ROLE,
					  IMDS_KEYS("1", IN_AN_HOUR),
					  IMDS_ROLE,
					  IMDS_KEYS("2", IN_AN_HOUR),
					  { 0 } };
	struct levee_aws_key_source source;
	struct levee_aws_keys first, second;

	begin(f, answers, NULL);
	source = levee_aws_chain_source(f->chain);
	assert_int_equal(source.get(source.ctx, &first, &f->error), 0);
	source.refused(source.ctx, &first);
	assert_int_equal(source.get(source.ctx, &second, &f->error), 0);
	assert_string_equal(second.access_key, "AKID2");
	levee_aws_keys_clear(&second);
	source.refused(source.ctx, &first); /* late */
	assert_int_equal(source.get(source.ctx, &second, &f->error), 0);
	assert_string_equal(second.access_key, "AKID2");
	levee_aws_keys_clear(&first);
	levee_aws_keys_clear(&second);
	fake_http_done(&f->http);
}

static void refused_keys_are_read_again_from_their_file(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { 0 } };
	struct levee_aws_key_source source;
	struct levee_aws_keys keys;

	write_file(f->credentials_path,
		   "[default]\naws_access_key_id=AKID1\naws_secret_access_key=HIDDEN-1\n");
	begin(f, answers, NULL);
	source = levee_aws_chain_source(f->chain);
	assert_int_equal(source.get(source.ctx, &keys, &f->error), 0);
	write_file(f->credentials_path,
		   "[default]\naws_access_key_id=AKID2\naws_secret_access_key=HIDDEN-2\n");
	source.refused(source.ctx, &keys);
	levee_aws_keys_clear(&keys);
	assert_int_equal(source.get(source.ctx, &keys, &f->error), 0);
	assert_string_equal(keys.access_key, "AKID2");
	levee_aws_keys_clear(&keys);
}

static void a_clock_that_goes_back_keeps_nothing_off(void **state)
{
	struct fixture *f = *state;
	const struct canned answers[] = { { .status = 404 },
					  { .status = 200,
					    .body = JSON_KEYS("1", "Token", IN_AN_HOUR) },
					  { 0 } };

	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
	begin(f, answers, NULL);
	assert_int_equal(get(f), -EIO);
	f->env.now_ms -= 600 * 1000;
	assert_int_equal(get(f), 0);
	fake_http_done(&f->http);
}

/* ---- several threads ---- */

struct crowd {
	struct fixture *f;
	pthread_t threads[8];
	pthread_mutex_t lock;
	unsigned int asked; /* the service, in all */
	unsigned int good;
};

static void count_request(void *ctx)
{
	struct crowd *crowd = ctx;

	pthread_mutex_lock(&crowd->lock);
	crowd->asked++;
	pthread_mutex_unlock(&crowd->lock);
}

static void *ask_once(void *ctx)
{
	struct crowd *crowd = ctx;
	struct levee_aws_credentials got;
	struct levee_aws_error error;

	if (levee_aws_chain_get(crowd->f->chain, &got, &error) == 0) {
		pthread_mutex_lock(&crowd->lock);
		crowd->good++;
		pthread_mutex_unlock(&crowd->lock);
	}
	levee_aws_credentials_clear(&got);
	return NULL;
}

static void many_callers_are_one_refresh(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f, .lock = PTHREAD_MUTEX_INITIALIZER };
	const struct canned answers[] = {
		IMDS_TOKEN, IMDS_ROLE, IMDS_KEYS("1", IN_AN_HOUR), { 0 }
	};

	begin(f, answers, NULL);
	f->http.during = count_request;
	f->http.during_ctx = &crowd;
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&crowd.threads[i], NULL, ask_once, &crowd), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(crowd.threads[i], NULL);
	assert_int_equal(crowd.asked, 3);
	assert_int_equal(crowd.good, 8);
	fake_http_done(&f->http);
}

/* While one refreshes, the others go on with what is still good. */
static void ask_while_refreshing(void *ctx)
{
	struct crowd *crowd = ctx;
	struct levee_aws_credentials got;
	struct levee_aws_error error;

	crowd->asked++;
	if (levee_aws_chain_get(crowd->f->chain, &got, &error) == 0 &&
	    strcmp(got.keys.access_key, "AKID1") == 0)
		crowd->good++;
	levee_aws_credentials_clear(&got);
}

static void a_refresh_keeps_nobody_waiting(void **state)
{
	struct fixture *f = *state;
	struct crowd crowd = { .f = f };
	const struct canned answers[] = {
		{ .status = 200, .body = JSON_KEYS("1", "Token", IN_AN_HOUR) },
		{ .status = 200, .body = JSON_KEYS("2", "Token", "2023-11-15T04:13:20Z") },
		{ 0 }
	};

	fake_env_set(&f->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
	begin(f, answers, NULL);
	assert_int_equal(get(f), 0);
	f->env.now_ms += 2800 * 1000;
	f->http.during = ask_while_refreshing;
	f->http.during_ctx = &crowd;
	assert_int_equal(get(f), 0);
	assert_string_equal(f->got.keys.access_key, "AKID2");
	assert_int_equal(crowd.asked, 1);
	assert_int_equal(crowd.good, 1);
	fake_http_done(&f->http);
}

#define fixed(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* What was logged meanwhile; 1 if a secret is in it. */
static int log_has_secrets(FILE *log)
{
	char line[4096];
	int found = 0;

	rewind(log);
	while (fgets(line, sizeof(line), log)) {
		fputs(line, stderr);
		/* cmocka names what it ran, and quotes our sources where a test fails */
		found |= strstr(line, "HIDDEN") && strstr(line, "aws:");
	}
	if (found)
		fputs("a secret was logged\n", stderr);
	return found;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fixed(keys_of_the_environment_come_first),
		fixed(a_session_token_of_the_environment_is_taken),
		fixed(half_a_pair_of_keys_is_an_error),
		fixed(a_key_with_a_line_break_is_refused),
		fixed(a_profile_of_our_own_configuration_wins_over_the_environment),
		fixed(keys_of_a_profile_are_found),
		fixed(a_process_prints_keys),
		fixed(a_process_that_fails_is_an_error),
		fixed(a_role_is_assumed_with_the_keys_of_another_profile),
		fixed(roles_are_assumed_one_with_the_other),
		fixed(a_profile_may_name_itself_for_its_own_keys),
		fixed(keys_of_a_source_come_before_its_role),
		fixed(a_named_source_stands_behind_a_role),
		fixed(the_environment_can_be_a_roles_source),
		fixed(roles_that_cannot_be_assumed_are_explained),
		fixed(loops_of_profiles_are_found),
		fixed(what_sts_says_is_passed_on_without_secrets),
		fixed(a_reply_of_sts_without_keys_is_an_error),
		fixed(a_damaged_file_is_an_error_and_no_reason_to_go_on),
		fixed(a_web_identity_is_exchanged_unsigned),
		fixed(a_profile_can_hold_a_web_identity),
		fixed(a_web_identity_that_fails_is_explained),
		fixed(a_container_is_asked_at_its_fixed_address),
		fixed(a_container_is_shown_the_token_of_its_file),
		fixed(plain_http_goes_to_known_hosts_only),
		fixed(a_container_that_stumbles_is_asked_again),
		fixed(a_container_that_fails_is_an_error),
		fixed(the_instance_is_asked_last_with_a_session_token),
		fixed(no_instance_means_no_credentials_and_says_where_was_looked),
		fixed(the_instance_can_be_left_out),
		fixed(an_instance_without_a_role_is_said_so),
		fixed(metadata_that_is_not_what_it_should_be_is_an_error),
		fixed(another_endpoint_of_the_metadata_is_taken),
		fixed(a_session_token_is_used_until_it_is_refused),
		fixed(what_was_found_is_kept_until_shortly_before_its_end),
		fixed(a_refresh_that_fails_leaves_what_is_good),
		fixed(keys_of_the_instance_outlive_their_end),
		fixed(refused_keys_are_replaced_at_once_but_not_those_that_came_since),
		fixed(refused_keys_are_read_again_from_their_file),
		fixed(a_clock_that_goes_back_keeps_nothing_off),
		fixed(many_callers_are_one_refresh),
		fixed(a_refresh_keeps_nobody_waiting),
	};
	int before = dup(STDERR_FILENO), failed;
	FILE *log = tmpfile();

	if (!log || before < 0)
		return 1;
	levee_log_set_level(LEVEE_LOG_DEBUG);
	dup2(fileno(log), STDERR_FILENO);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	failed += log_has_secrets(log);
	fclose(log);
	close(before);
	return failed;
}
