/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/cmd_aws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/aws/dashboard.h"
#include "control/aws/discovery.h"
#include "control/aws/remedy.h"
#include "control/aws/session.h"
#include "control/cli/config_args.h"
#include "control/json.h"
#include "control/log.h"

/* ---- what these commands have in common -------------------------------------------------- */

enum {
	OPTION_FORMAT = LEVEE_CONFIG_N_OPTIONS,
};

struct call_args {
	struct levee_config_args from;
	bool json;
};

static int set_call_option(void *ctx, int option, const char *value)
{
	struct call_args *args = ctx;

	if (option < LEVEE_CONFIG_N_OPTIONS)
		return levee_config_args_set(&args->from, option, value);
	args->json = !strcmp(value, "json");
	if (args->json || !strcmp(value, "text"))
		return 0;
	fprintf(stderr, "levee: --format %s: not text or json\n", value);
	return -EINVAL;
}

/* Session and what it stands on, for the time of a command. */
struct connection {
	struct levee_config config;
	struct levee_aws_cancel cancel;
	struct levee_aws_env env;
	struct levee_aws_session *session;
	bool has_config;
};

static int fail(const struct levee_aws_error *error)
{
	const char *remedy = levee_aws_remedy(error);

	fprintf(stderr, "levee: %s: %s%s%s\n", error->code, error->message, remedy ? "; " : "",
		remedy ? remedy : "");
	if (*error->request_id)
		fprintf(stderr, "levee: AWS names this request %s\n", error->request_id);
	return LEVEE_EXIT_ERROR;
}

static void disconnect(struct connection *c)
{
	levee_aws_session_free(&c->session);
	levee_aws_cancel_free(&c->cancel);
	if (c->has_config)
		levee_config_clear(&c->config);
}

/* \return 0; an exit code, all said. disconnect() in both cases. */
static int connect_aws(struct connection *c, const struct levee_config_args *from)
{
	struct levee_aws_overrides overrides;
	struct levee_aws_error error;
	int ret;

	*c = (struct connection){ .cancel = { .fd = -1 } };
	if (levee_config_args_read_if_any(&c->config, from))
		return LEVEE_EXIT_ERROR;
	c->has_config = true;
	levee_log_set_level((enum levee_log_level)c->config.log.level);
	ret = levee_aws_cancel_init(&c->cancel);
	if (ret < 0) {
		fprintf(stderr, "levee: %s\n", strerror(-ret));
		return LEVEE_EXIT_ERROR;
	}
	c->env = levee_aws_env_process(&c->cancel);
	overrides = levee_aws_overrides_of(&c->config);
	ret = levee_aws_session_open(&c->session, &c->env, &overrides, NULL, &error);
	if (ret == 0)
		ret = levee_aws_session_region(c->session, &error);
	return ret < 0 ? fail(&error) : 0;
}

/* ---- whoami ------------------------------------------------------------------------------ */

const struct levee_option levee_whoami_options[] = {
	LEVEE_CONFIG_OPTIONS,
	[OPTION_FORMAT] = { "format", "text|json", "for people, or one JSON object" },
	{ 0 },
};

struct whoami {
	struct levee_aws_identity identity;
	char provider[512];
	int64_t expires_s; /* 0: never */
	const char *region;
	struct levee_aws_endpoint endpoint; /* of STS */
	char role[128];			    /* "": not by a role */
	char session[128];
};

/* arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION */
static void split_role(struct whoami *who)
{
	const char *role = strstr(who->identity.arn, ":assumed-role/");
	size_t n;

	if (!role)
		return;
	role += strlen(":assumed-role/");
	n = strcspn(role, "/");
	snprintf(who->role, sizeof(who->role), "%.*s", (int)n, role);
	if (role[n])
		snprintf(who->session, sizeof(who->session), "%s", role + n + 1);
}

static int ask_who(struct connection *c, struct whoami *who, struct levee_aws_error *error)
{
	struct levee_aws_credentials credentials;
	int ret = levee_aws_endpoint(&who->endpoint, &c->session->config, LEVEE_AWS_STS, NULL,
				     error);

	if (ret == 0)
		ret = levee_aws_chain_get(c->session->chain, &credentials, error);
	if (ret < 0)
		return ret;
	snprintf(who->provider, sizeof(who->provider), "%s", credentials.provider);
	who->expires_s = credentials.expires_s;
	levee_aws_credentials_clear(&credentials);
	who->region = c->session->config.region;
	ret = levee_aws_whoami(c->session->client, 0, &who->identity, error);
	if (ret == 0)
		split_role(who);
	return ret;
}

static void format_expiry(int64_t expires_s, char *out, size_t size)
{
	time_t t = (time_t)expires_s;
	struct tm tm;

	if (!expires_s)
		snprintf(out, size, "never");
	else if (!gmtime_r(&t, &tm) || !strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, size, "%lld", (long long)expires_s);
}

static void print_who_text(const struct whoami *who)
{
	char expires[64];

	format_expiry(who->expires_s, expires, sizeof(expires));
	printf("account   %s\n", who->identity.account);
	printf("arn       %s\n", who->identity.arn);
	if (who->role[0])
		printf("role      %s, session %s\n", who->role, who->session);
	printf("user id   %s\n", who->identity.user_id);
	printf("provider  %s\n", who->provider);
	printf("expires   %s\n", expires);
	printf("region    %s\n", who->region);
	printf("endpoint  %s%s\n", who->endpoint.url,
	       who->endpoint.custom ? " (configured, not AWS's own)" : "");
}

static void print_who_json(const struct whoami *who)
{
	struct levee_json j;
	char expires[64];

	format_expiry(who->expires_s, expires, sizeof(expires));
	levee_json_begin(&j, stdout);
	levee_json_object(&j, NULL);
	levee_json_string(&j, "account", who->identity.account);
	levee_json_string(&j, "arn", who->identity.arn);
	levee_json_string(&j, "role", who->role);
	levee_json_string(&j, "session", who->session);
	levee_json_string(&j, "user_id", who->identity.user_id);
	levee_json_string(&j, "provider", who->provider);
	levee_json_string(&j, "expires", expires);
	levee_json_string(&j, "region", who->region);
	levee_json_string(&j, "endpoint", who->endpoint.url);
	levee_json_end(&j);
	levee_json_finish(&j);
}

int levee_cmd_whoami(const struct levee_command *command, int argc, char **argv)
{
	struct call_args args = { 0 };
	struct levee_aws_error error;
	struct connection c;
	struct whoami who = { 0 };
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_call_option, &args, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first < argc)
		return levee_command_usage(command, "unexpected argument %s", argv[first]);
	ret = connect_aws(&c, &args.from);
	if (ret == 0 && ask_who(&c, &who, &error) < 0)
		ret = fail(&error);
	if (ret == 0 && args.json)
		print_who_json(&who);
	else if (ret == 0)
		print_who_text(&who);
	disconnect(&c);
	return ret;
}

/* ---- dashboard --------------------------------------------------------------------------- */

enum {
	DASHBOARD_NAME = LEVEE_CONFIG_N_OPTIONS,
	DASHBOARD_PRINT,
};

const struct levee_option levee_dashboard_options[] = {
	LEVEE_CONFIG_OPTIONS,
	[DASHBOARD_NAME] = { "name", "NAME", "name of the dashboard (default: Levee)" },
	[DASHBOARD_PRINT] = { "print", NULL, "print its body as JSON, and put nothing" },
	{ 0 },
};

struct dashboard_args {
	struct levee_config_args from;
	const char *name;
	bool print;
};

/* As PutDashboard takes it: letters, digits, - and _, up to 255. */
static bool is_dashboard_name(const char *name)
{
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n <= 255 && !name[n];
}

static int set_dashboard_option(void *ctx, int option, const char *value)
{
	struct dashboard_args *args = ctx;

	if (option < LEVEE_CONFIG_N_OPTIONS)
		return levee_config_args_set(&args->from, option, value);
	if (option == DASHBOARD_PRINT) {
		args->print = true;
		return 0;
	}
	args->name = value;
	if (is_dashboard_name(value))
		return 0;
	fprintf(stderr, "levee: --name %s: not 1 to 255 letters, digits, - and _\n", value);
	return -EINVAL;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
	return *a ? a : *b ? b : c;
}

static int make_dashboard(struct connection *c, struct levee_aws_text *body,
			  struct levee_aws_error *error)
{
	const struct levee_config *config = &c->config;
	struct levee_aws_place place;
	struct levee_dashboard dashboard = {
		.name_space = first_of(config->aws.metrics, "AutoNACL", ""),
		.metrics_log_group = first_of(config->aws.metrics_log_group, config->aws.log_group,
					      "levee"),
		.log_group = config->aws.log_group,
		.min_zscore = config->detect.min_zscore,
		.bin_s = (unsigned int)config->detect.bin,
	};
	int ret = levee_aws_discover(c->session, config, &place, error);

	if (ret == 0 && !*place.vpc)
		ret = levee_aws_error_set(error, -ENOENT, "NoVpc",
					  "no VPC is known here; set [aws] vpc = vpc-...");
	dashboard.region = place.region;
	dashboard.vpc = place.vpc;
	if (ret == 0) {
		levee_dashboard_body(body, &dashboard);
		ret = body->error ? levee_aws_error_memory(error) : 0;
	}
	levee_aws_place_clear(&place);
	return ret;
}

/* What CloudWatch minds, it may still have taken. */
static void print_validation(const struct levee_xml *xml)
{
	const struct levee_xml_node *item = levee_xml_find(
		levee_xml_root(xml), "PutDashboardResult/DashboardValidationMessages/member");

	for (; item; item = levee_xml_next(item)) {
		char text[512];

		snprintf(text, sizeof(text), "%s: %s", levee_xml_text(item, "DataPath"),
			 levee_xml_text(item, "Message"));
		levee_log_clean(text);
		fprintf(stderr, "levee: CloudWatch says of %s\n", text);
	}
}

static int put_dashboard(struct connection *c, const char *name, const struct levee_aws_text *body,
			 struct levee_aws_error *error)
{
	struct levee_aws_text form;
	struct levee_aws_call call = { .service = LEVEE_AWS_CLOUDWATCH,
				       .operation = "PutDashboard",
				       .form = &form };
	struct levee_aws_reply reply;
	int ret;

	levee_aws_text_init(&form, LEVEE_AWS_FORM_BYTES);
	levee_aws_form_add(&form, name, "DashboardName");
	levee_aws_form_add(&form, levee_aws_text_string(body), "DashboardBody");
	ret = levee_aws_call(c->session->client, &call, &reply);
	*error = reply.error;
	if (ret == 0)
		print_validation(reply.xml);
	levee_aws_reply_free(&reply);
	levee_aws_text_free(&form);
	return ret;
}

int levee_cmd_dashboard(const struct levee_command *command, int argc, char **argv)
{
	struct dashboard_args args = { .name = "Levee" };
	struct levee_aws_error error;
	struct levee_aws_text body;
	struct connection c;
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_dashboard_option, &args, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first < argc)
		return levee_command_usage(command, "unexpected argument %s", argv[first]);
	levee_aws_text_init(&body, LEVEE_DASHBOARD_BYTES);
	ret = connect_aws(&c, &args.from);
	if (ret == 0 && make_dashboard(&c, &body, &error) < 0)
		ret = fail(&error);
	if (ret == 0 && args.print)
		puts(levee_aws_text_string(&body));
	else if (ret == 0 && put_dashboard(&c, args.name, &body, &error) < 0)
		ret = fail(&error);
	else if (ret == 0)
		printf("dashboard %s is in region %s: six graphs%s\n", args.name,
		       c.session->config.region,
		       c.config.aws.log_group[0]
			       ? " and the grid of blocked sources"
			       : "; [aws] log_group would add the grid of blocked "
				 "sources");
	levee_aws_text_free(&body);
	disconnect(&c);
	return ret;
}
