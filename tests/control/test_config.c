/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files config/good.*.conf and config/bad.*.conf are tests in themselves. A bad one says in
 * lines `#! LINE: TEXT` which errors it must give, in order and no others; line 0 stands for
 * errors that levee_config_validate() finds, which have no line.
 */
#include "control/config.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/log.h"

#define FILES "tests/control/config/"

struct text {
	FILE *out;
	char *bytes;
	size_t n;
};

static void text_open(struct text *text)
{
	text->bytes = NULL;
	text->out = open_memstream(&text->bytes, &text->n);
	assert_non_null(text->out);
}

static const char *text_close(struct text *text)
{
	assert_int_equal(fclose(text->out), 0);
	return text->bytes;
}

/* Read `bytes` over the defaults. The caller clears *config and frees errors->bytes. */
static int read_bytes(struct levee_config *config, const char *bytes, size_t n, struct text *errors)
{
	FILE *in = fmemopen((void *)(uintptr_t)bytes, n, "r");
	int ret;

	assert_non_null(in);
	assert_int_equal(levee_config_init(config), 0);
	text_open(errors);
	ret = levee_config_read_stream(config, in, "levee.conf", errors->out);
	text_close(errors);
	fclose(in);
	return ret;
}

static void assert_reads(struct levee_config *config, const char *bytes)
{
	struct text errors;

	assert_int_equal(read_bytes(config, bytes, strlen(bytes), &errors), 0);
	assert_string_equal(errors.bytes, "");
	free(errors.bytes);
}

static char *dump(const struct levee_config *config)
{
	struct text text;

	text_open(&text);
	levee_config_dump(config, text.out);
	text_close(&text);
	return text.bytes;
}

/* ---- defaults and values ------------------------------------------------------------------ */

static void defaults_are_as_documented(void **state)
{
	struct levee_config c;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	assert_int_equal(c.data_path.interfaces.n, 0);
	assert_int_equal(c.data_path.attach, LEVEE_ATTACH_AUTO);
	assert_string_equal(c.data_path.pin, "/sys/fs/bpf/levee");
	assert_int_equal(c.data_path.sources, 262144);
	assert_int_equal(c.data_path.sources6, 65536);
	assert_int_equal(c.data_path.rules, 131072);
	assert_int_equal(c.data_path.source6_prefix, 64);
	assert_int_equal(c.scope.compiled.enabled, 0);
	assert_int_equal(c.detect.bin, 60);
	assert_int_equal(c.detect.window, 3600);
	assert_int_equal(c.detect.evaluate_every, 0);
	assert_true(c.detect.min_zscore == 3.0);
	assert_int_equal(c.detect.min_packets, 12000);
	assert_int_equal(c.detect.limit, 40);
	assert_int_equal(c.detect.max_sources, 4194304);
	assert_int_equal(c.block.mode, LEVEE_MODE_ENFORCE);
	assert_string_equal(c.allow.file, "");
	assert_int_equal(c.allow.prefixes.n, 0);
	assert_string_equal(c.allow.s3, "");
	assert_int_equal(c.allow.s3_every, 60);
	assert_string_equal(c.allow.s3_copy, "");
	assert_int_equal(c.aws.enabled, 0);
	assert_string_equal(c.aws.region, "");
	assert_int_equal(c.aws.subnets.n, 0);
	assert_int_equal(c.aws.sns_every, 0);
	assert_string_equal(c.aws.metrics, "");
	assert_int_equal(c.aws.metrics_every, 60);
	assert_false(c.nacl.enabled);
	assert_false(c.nacl.manage);
	assert_int_equal(c.nacl.budget, LEVEE_NACL_BUDGET);
	assert_int_equal(c.nacl.range.first, LEVEE_NACL_FIRST);
	assert_int_equal(c.nacl.range.last, LEVEE_NACL_LAST);
	assert_int_equal(c.nacl.mask4, LEVEE_NACL_MASK4);
	assert_int_equal(c.nacl.mask6, LEVEE_NACL_MASK6);
	assert_int_equal(c.nacl.action, LEVEE_NACL_DENY);
	assert_int_equal(c.nacl.settle, LEVEE_NACL_SETTLE_S);
	assert_string_equal(c.state.file, "/var/lib/levee/state.db");
	assert_int_equal(c.log.level, LEVEE_LOG_INFO);
	assert_int_equal(levee_config_validate(&c, "defaults", stderr), 0);
	levee_config_clear(&c);
}

static void every_key_of_a_file_is_taken(void **state)
{
	struct levee_config c;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	assert_int_equal(levee_config_read(&c, FILES "good.full.conf", stderr), 0);
	assert_int_equal(c.data_path.interfaces.n, 2);
	assert_string_equal(c.data_path.interfaces.word[1], "ens6");
	assert_int_equal(c.data_path.attach, LEVEE_ATTACH_NATIVE);
	assert_string_equal(c.data_path.pin, "/sys/fs/bpf/levee-test");
	assert_int_equal(c.data_path.sources, 4096);
	assert_int_equal(c.data_path.sources6, 1024);
	assert_int_equal(c.data_path.rules, 64);
	assert_int_equal(c.data_path.source6_prefix, 56);
	assert_int_equal(c.scope.ports.n, 10);
	assert_int_equal(c.detect.bin, 1);
	assert_int_equal(c.detect.window, 60);
	assert_int_equal(c.detect.evaluate_every, 1);
	assert_true(c.detect.min_zscore == 2.5);
	assert_int_equal(c.detect.min_packets, 100);
	assert_int_equal(c.detect.limit, 18);
	assert_int_equal(c.detect.max_sources, 1024);
	assert_string_equal(levee_config_detector(&c), "both");
	assert_true(c.detect.soft_zscore == 2.25);
	assert_int_equal(c.detect.min_bytes, 1000000000);
	assert_int_equal(c.detect.min_syns, 5000);
	assert_int_equal(c.detect.fast, 0);
	assert_int_equal(c.detect.warmup_bins, 10);
	assert_int_equal(c.block.mode, LEVEE_MODE_AUDIT);
	assert_int_equal(c.block.repeat_memory, 0);
	assert_true(c.block.repeat_factor == 1.5);
	assert_int_equal(c.block.max_block, 604800);
	assert_int_equal(c.block.limit_rate, 50);
	assert_int_equal(c.block.limit_burst, 75);
	assert_int_equal(c.nacl.strategy, LEVEE_NACL_COVER);
	assert_int_equal(c.nacl.max_collateral, 500);
	assert_int_equal(c.nacl.push_spoofable, LEVEE_NACL_PUSH_ALL);
	assert_string_equal(c.allow.file, "/etc/levee/allow.list");
	assert_int_equal(c.allow.prefixes.n, 2);
	assert_int_equal(c.allow.parsed[0].hi, 0x0a000000);
	assert_int_equal(c.allow.parsed[0].length, 8);
	assert_int_equal(c.allow.parsed[1].family, 6);
	assert_int_equal(c.allow.parsed[1].hi, 0x20010db800000000);
	assert_string_equal(c.allow.s3, "s3://levee-lists/allow.txt");
	assert_int_equal(c.allow.s3_every, 30);
	assert_string_equal(c.allow.s3_copy, "/tmp/allow.s3");
	assert_int_equal(c.aws.enabled, 1);
	assert_string_equal(c.aws.region, "us-gov-west-1");
	assert_string_equal(c.aws.profile, "night watch");
	assert_string_equal(c.aws.endpoint, "https://127.0.0.1:8443/");
	assert_string_equal(c.aws.instance_id, "i-0123456789abcdef0");
	assert_string_equal(c.aws.vpc, "vpc-01234567");
	assert_int_equal(c.aws.vpc_cidrs.n, 2);
	assert_int_equal(c.aws.vpc_prefixes[1].family, 6);
	assert_int_equal(c.aws.subnets.n, 2);
	assert_string_equal(c.aws.sns_topic, "arn:aws-us-gov:sns:us-gov-west-1:123456789012:levee");
	assert_int_equal(c.aws.sns_every, 30);
	assert_string_equal(c.aws.metrics, "AutoNACL");
	assert_int_equal(c.aws.metrics_every, 1);
	assert_string_equal(c.aws.metrics_log_group, "flows");
	assert_string_equal(c.aws.log_group, "/levee/blocked");
	assert_string_equal(c.aws.log_stream, "one");
	assert_true(c.nacl.enabled);
	assert_string_equal(c.nacl.vpc, "vpc-0123456789abcdef0");
	assert_int_equal(c.nacl.subnets.n, 2);
	assert_string_equal(c.nacl.blue, "acl-0123456789abcdef0");
	assert_string_equal(c.nacl.green, "acl-0123456789abcdef1");
	assert_false(c.nacl.manage);
	assert_int_equal(c.nacl.budget, 40);
	assert_int_equal(c.nacl.range.first, 200);
	assert_int_equal(c.nacl.range.last, 1000);
	assert_int_equal(c.nacl.mask4, 24);
	assert_int_equal(c.nacl.mask6, 56);
	assert_int_equal(c.nacl.action, LEVEE_NACL_ALLOW);
	assert_int_equal(c.nacl.min_interval, 1);
	assert_int_equal(c.nacl.verify_every, 10);
	assert_int_equal(c.nacl.settle, 0);
	assert_true(c.nacl.merge);
	assert_string_equal(c.fleet.url, "rediss://levee@cache.example.net:6380/2");
	assert_string_equal(c.fleet.password_file, "/etc/levee/redis.password");
	assert_string_equal(c.fleet.ca_file, "/etc/ssl/ca.pem");
	assert_string_equal(c.fleet.name, "web.eu-1");
	assert_string_equal(c.fleet.node, "i-0123456789abcdef0");
	assert_string_equal(c.fleet.prefix, "lv");
	assert_int_equal(c.fleet.grace, 600);
	assert_string_equal(c.state.file, "");
	assert_int_equal(c.log.level, LEVEE_LOG_DEBUG);
	levee_config_clear(&c);
}

static void a_list_goes_on_on_indented_lines(void **state)
{
	struct levee_config c;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	assert_int_equal(levee_config_read(&c, FILES "good.lists.conf", stderr), 0);
	assert_int_equal(c.data_path.interfaces.n, 2);
	assert_string_equal(c.data_path.interfaces.word[0], "ens5");
	assert_string_equal(c.data_path.interfaces.word[1], "ens6");
	assert_int_equal(c.scope.ports.n, 3);
	assert_string_equal(c.scope.ports.word[2], "udp/53");
	levee_config_clear(&c);
}

static void sizes_are_rounded_up_to_a_power_of_two(void **state)
{
	struct levee_config c;

	(void)state;
	assert_reads(&c, "[data_path]\nsources = 100000\nsources6 = 1025\n");
	assert_int_equal(c.data_path.sources, 131072);
	assert_int_equal(c.data_path.sources6, 2048);
	levee_config_clear(&c);
}

static void a_number_keeps_six_decimals_exactly(void **state)
{
	struct levee_config c;
	char *text;

	(void)state;
	assert_reads(&c, "[detect]\nmin_zscore = 3.141593\n");
	assert_true(c.detect.min_zscore == 3.141593);
	text = dump(&c);
	assert_non_null(strstr(text, "\nmin_zscore = 3.141593\n"));
	free(text);
	levee_config_clear(&c);
}

static void set_replaces_a_list(void **state)
{
	struct levee_config c;

	(void)state;
	assert_reads(&c, "[allow]\nprefixes = 10.0.0.0/8 192.0.2.0/24\n[scope]\nports = tcp\n");
	assert_int_equal(levee_config_set(&c, "allow", "prefixes", "2001:db8::/32", "--set", NULL),
			 0);
	assert_int_equal(c.allow.prefixes.n, 1);
	assert_int_equal(c.allow.parsed[0].family, 6);
	assert_int_equal(levee_config_set(&c, "scope", "ports", "", "--set", NULL), 0);
	assert_int_equal(c.scope.compiled.enabled, 0);
	assert_int_equal(c.scope.compiled.whole[0], 0);
	levee_config_clear(&c);
}

static void set_says_where_and_what_is_wrong(void **state)
{
	struct levee_config c;
	struct text errors;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	text_open(&errors);
	assert_int_equal(levee_config_set(&c, "detect", "bin", "1h", "--bin", errors.out), -EINVAL);
	assert_int_equal(levee_config_set(&c, "detct", "bin", "1", "--set", errors.out), -EINVAL);
	assert_int_equal(levee_config_set(&c, "detect", "bins", "1", "--set", errors.out), -EINVAL);
	assert_string_equal(text_close(&errors),
			    "--bin: [detect] bin = 1h: not a whole number; accepted: 1 to 3600 s\n"
			    "--set: [detct]: no such section; did you mean [detect]?\n"
			    "--set: [detect] bins: no such key; did you mean bin?\n");
	free(errors.bytes);
	levee_config_clear(&c);
}

static void a_value_that_no_file_can_hold_is_refused(void **state)
{
	static const char *const values[] = { "/a ;b", "/a #b", "/a\nbin = 1", "/a ", "/\xff" };
	struct levee_config c;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		assert_int_equal(levee_config_set(&c, "state", "file", values[i], "--set", NULL),
				 -EINVAL);
	levee_config_clear(&c);
}

/* ---- the scope ---------------------------------------------------------------------------- */

static int in_scope(const struct levee_scope *scope, uint8_t proto, int port)
{
	struct levee_packet pkt = {
		.proto = proto,
		.flags = LEVEE_PKT_PROTO | (port >= 0 ? LEVEE_PKT_PORT : 0),
		.dst_port = (uint16_t)(port >= 0 ? port : 0),
	};

	return levee_scope_has(scope, &pkt);
}

static void the_compiled_scope_holds_what_was_named(void **state)
{
	struct levee_config c;
	const struct levee_scope *scope = &c.scope.compiled;

	(void)state;
	assert_reads(&c, "[scope]\nports = tcp/443 tcp/8000-8100 udp/0-65535 icmp 47 255\n");
	assert_int_equal(scope->enabled, 1);
	assert_int_equal(in_scope(scope, 6, 443), 1);
	assert_int_equal(in_scope(scope, 6, 442), 0);
	assert_int_equal(in_scope(scope, 6, 444), 0);
	assert_int_equal(in_scope(scope, 6, 7999), 0);
	assert_int_equal(in_scope(scope, 6, 8000), 1);
	assert_int_equal(in_scope(scope, 6, 8100), 1);
	assert_int_equal(in_scope(scope, 6, 8101), 0);
	assert_int_equal(in_scope(scope, 6, -1), 2); /* a fragment */
	assert_int_equal(in_scope(scope, 17, 0), 1);
	assert_int_equal(in_scope(scope, 17, 65535), 1);
	assert_int_equal(in_scope(scope, 1, -1), 1);
	assert_int_equal(in_scope(scope, 47, -1), 1);
	assert_int_equal(in_scope(scope, 255, -1), 1);
	assert_int_equal(in_scope(scope, 50, -1), 0);
	levee_config_clear(&c);
}

static void a_protocol_by_name_is_the_one_by_number(void **state)
{
	static const struct {
		const char *name, *number;
	} pairs[] = {
		{ "icmp", "1" }, { "tcp", "6" }, { "udp", "17" },    { "gre", "47" },
		{ "esp", "50" }, { "ah", "51" }, { "icmpv6", "58" }, { "sctp", "132" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct levee_scope a = { 0 }, b = { 0 };

		assert_int_equal(levee_scope_parse(&a, pairs[i].name, NULL), 0);
		assert_int_equal(levee_scope_parse(&b, pairs[i].number, NULL), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void a_protocol_without_port_covers_its_ports(void **state)
{
	struct levee_scope scope = { 0 };

	(void)state;
	assert_int_equal(levee_scope_parse(&scope, "6/443", NULL), 0);
	assert_int_equal(in_scope(&scope, 6, 443), 1);
	assert_int_equal(in_scope(&scope, 6, 80), 0);
	assert_int_equal(levee_scope_parse(&scope, "tcp", NULL), 0);
	assert_int_equal(in_scope(&scope, 6, 80), 1);
	assert_int_equal(in_scope(&scope, 6, -1), 1);
}

static void a_bad_word_leaves_the_scope_as_it_was(void **state)
{
	static const char *const words[] = { "",	"/",	      "tcp/",	"tcp/65536",
					     "tcp/2-1", "tcp/1-",     "tcp/-1", "tcp/1-2-3",
					     "TCP",	"tcp/443 ",   "icmp/8", "256",
					     "0000",	"-1",	      "+6",	"tcp//1",
					     "tcp/+1",	"tcp/000443", "http" };
	struct levee_scope scope = { 0 }, before = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const char *why = NULL;
		int ret = levee_scope_parse(&scope, words[i], &why);

		assert_int_equal(ret, -EINVAL);
		assert_non_null(why);
		assert_memory_equal(&scope, &before, sizeof(scope));
	}
}

/* ---- files that are tests ----------------------------------------------------------------- */

static char *expected_errors(const char *path)
{
	FILE *in = fopen(path, "r");
	struct text text;
	char *line = NULL, *rest;
	size_t size = 0;

	assert_non_null(in);
	text_open(&text);
	while (getline(&line, &size, in) > 0) {
		if (strncmp(line, "#! ", 3) != 0)
			continue;
		unsigned long number = strtoul(line + 3, &rest, 10);

		assert_int_equal(strncmp(rest, ": ", 2), 0);
		if (number == 0)
			fprintf(text.out, "%s%s", path, rest);
		else
			fprintf(text.out, "%s:%lu%s", path, number, rest);
	}
	free(line);
	fclose(in);
	text_close(&text);
	return text.bytes;
}

/* Each line of `said` holds the same line of `wanted`: its beginning "FILE:LINE: ", then its rest. */
static void assert_errors(const char *said, const char *wanted)
{
	while (*wanted || *said) {
		size_t n = strcspn(wanted, "\n"), m = strcspn(said, "\n");
		char *want = strndup(wanted, n), *got = strndup(said, m);
		char *text = strstr(want, ": ");

		assert_non_null(want);
		assert_non_null(got);
		if (!text || strncmp(got, want, (size_t)(text - want)) != 0 ||
		    !strstr(got, text + 2))
			fail_msg("wanted \"%s\", got \"%s\"", want, got);
		free(want);
		free(got);
		wanted += n + (wanted[n] == '\n');
		said += m + (said[m] == '\n');
	}
}

static size_t for_each_file(const char *pattern, void (*fn)(const char *path))
{
	glob_t found;
	size_t n = 0;

	if (glob(pattern, 0, NULL, &found) == 0)
		n = found.gl_pathc;
	for (size_t i = 0; i < n; i++)
		fn(found.gl_pathv[i]);
	if (n > 0)
		globfree(&found);
	return n;
}

static int read_and_validate(struct levee_config *config, const char *path, struct text *errors)
{
	int ret;

	assert_int_equal(levee_config_init(config), 0);
	text_open(errors);
	ret = levee_config_read(config, path, errors->out);
	if (ret == 0)
		ret = levee_config_validate(config, path, errors->out);
	text_close(errors);
	return ret;
}

static void check_good(const char *path)
{
	struct levee_config c;
	struct text errors;

	if (read_and_validate(&c, path, &errors) != 0)
		fail_msg("%s", errors.bytes);
	assert_string_equal(errors.bytes, "");
	free(errors.bytes);
	levee_config_clear(&c);
}

static void check_bad(const char *path)
{
	char *wanted = expected_errors(path);
	struct levee_config c;
	struct text errors;

	if (read_and_validate(&c, path, &errors) != -EINVAL)
		fail_msg("%s is accepted", path);
	assert_errors(errors.bytes, wanted);
	free(errors.bytes);
	free(wanted);
	levee_config_clear(&c);
}

static void good_files_are_accepted(void **state)
{
	(void)state;
	assert_true(for_each_file(FILES "good.*.conf", check_good) >= 8);
}

static void bad_files_give_the_errors_they_name(void **state)
{
	(void)state;
	assert_true(for_each_file(FILES "bad.*.conf", check_bad) >= 30);
}

/* ---- what is no such file ----------------------------------------------------------------- */

static void a_missing_file_is_said(void **state)
{
	struct levee_config c;
	struct text errors;

	(void)state;
	assert_int_equal(read_and_validate(&c, FILES "none.conf", &errors), -ENOENT);
	assert_string_equal(errors.bytes,
			    FILES "none.conf: cannot open: No such file or directory\n");
	free(errors.bytes);
	levee_config_clear(&c);
}

static void a_directory_is_no_file(void **state)
{
	struct levee_config c;
	struct text errors;

	(void)state;
	assert_int_equal(read_and_validate(&c, "tests", &errors), -EISDIR);
	assert_string_equal(errors.bytes, "tests: cannot read: Is a directory\n");
	free(errors.bytes);
	levee_config_clear(&c);
}

static void an_endless_file_ends(void **state)
{
	struct levee_config c;
	struct text errors;

	(void)state;
	assert_int_equal(read_and_validate(&c, "/dev/zero", &errors), -EFBIG);
	assert_non_null(strstr(errors.bytes, "longer than 1 MiB"));
	free(errors.bytes);
	levee_config_clear(&c);
}

static void an_error_shows_no_control_characters(void **state)
{
	static const char bytes[] = "[detect]\nbin = \xc2\x9b"
				    "31m\n";
	struct levee_config c;
	struct text errors;

	(void)state;
	assert_int_equal(read_bytes(&c, bytes, strlen(bytes), &errors), -EINVAL);
	assert_non_null(strstr(errors.bytes, "bin = ??31m: not a whole number"));
	free(errors.bytes);
	levee_config_clear(&c);
}

/* ---- the dump, and the reference ---------------------------------------------------------- */

/* A dump of what was read from a dump is the same text. */
static void assert_reads_back(const struct levee_config *config)
{
	struct levee_config again;
	char *first = dump(config), *second;

	assert_reads(&again, first);
	second = dump(&again);
	assert_string_equal(first, second);
	assert_memory_equal(&again.scope.compiled, &config->scope.compiled,
			    sizeof(again.scope.compiled));
	assert_int_equal(again.allow.prefixes.n, config->allow.prefixes.n);
	for (size_t i = 0; i < again.allow.prefixes.n; i++)
		assert_int_equal(
			levee_prefix_compare(&again.allow.parsed[i], &config->allow.parsed[i]), 0);
	free(first);
	free(second);
	levee_config_clear(&again);
}

static void check_dump(const char *path)
{
	struct levee_config c;

	assert_int_equal(levee_config_init(&c), 0);
	assert_int_equal(levee_config_read(&c, path, stderr), 0);
	assert_reads_back(&c);
	levee_config_clear(&c);
}

static void dumps_read_back_to_the_same_configuration(void **state)
{
	(void)state;
	assert_true(for_each_file(FILES "good.*.conf", check_dump) >= 8);
}

static void a_dump_of_long_values_reads_back(void **state)
{
	struct levee_config c;
	char path[182], word[32];
	struct text list;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[180] = '\0';
	assert_int_equal(levee_config_set(&c, "state", "file", path, "set", stderr), 0);
	assert_int_equal(levee_config_set(&c, "data_path", "pin", path, "set", stderr), 0);
	text_open(&list);
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(word, sizeof(word), "2001:db8:%x::/48 ", i);
		fputs(word, list.out);
	}
	assert_int_equal(
		levee_config_set(&c, "allow", "prefixes", text_close(&list), "set", stderr), 0);
	assert_int_equal(c.allow.prefixes.n, 1000);
	assert_reads_back(&c);
	free(list.bytes);
	levee_config_clear(&c);
}

static void random_settings_read_back(void **state)
{
	const unsigned int seed = 20240611;
	struct levee_config c;
	size_t n;
	const struct levee_config_key *keys = levee_config_keys(&n);

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int round = 0; round < 200; round++) {
		assert_int_equal(levee_config_init(&c), 0);
		for (size_t i = 0; i < n; i++) {
			char value[64];
			double share = (double)random() / RAND_MAX;
			uint64_t x = keys[i].min + (uint64_t)(share * share * share * share *
							      (double)(keys[i].max - keys[i].min));

			if (strcmp(keys[i].type, "number") == 0)
				snprintf(value, sizeof(value), "%" PRIu64 ".%06" PRIu64,
					 x / 1000000, x % 1000000);
			else if (strcmp(keys[i].type, "integer") == 0)
				snprintf(value, sizeof(value), "%" PRIu64, x);
			else
				continue;
			assert_int_equal(levee_config_set(&c, keys[i].section, keys[i].name, value,
							  "set", stderr),
					 0);
		}
		assert_reads_back(&c);
		levee_config_clear(&c);
	}
}

static void ranges_in_words_are_the_ranges_in_force(void **state)
{
	struct levee_config c;
	size_t n;
	const struct levee_config_key *keys = levee_config_keys(&n);

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	for (size_t i = 0; i < n; i++) {
		char low[32], high[32], above[64];

		if (strcmp(keys[i].type, "integer") != 0)
			continue;
		assert_int_equal(sscanf(keys[i].range, "%31s to %31s", low, high), 2);
		snprintf(above, sizeof(above), "%llu", strtoull(high, NULL, 10) + 1);
		assert_int_equal(levee_config_set(&c, keys[i].section, keys[i].name, low, "", NULL),
				 0);
		assert_int_equal(
			levee_config_set(&c, keys[i].section, keys[i].name, high, "", NULL), 0);
		assert_int_equal(
			levee_config_set(&c, keys[i].section, keys[i].name, above, "", NULL),
			-EINVAL);
		if (strcmp(low, "0") == 0)
			continue;
		snprintf(above, sizeof(above), "%llu", strtoull(low, NULL, 10) - 1);
		assert_int_equal(
			levee_config_set(&c, keys[i].section, keys[i].name, above, "", NULL),
			-EINVAL);
	}
	levee_config_clear(&c);
}

static void every_key_is_in_dump_and_reference(void **state)
{
	struct levee_config c;
	struct text reference;
	char line[128], *text;
	size_t n;
	const struct levee_config_key *keys = levee_config_keys(&n);

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	text = dump(&c);
	text_open(&reference);
	levee_config_reference(reference.out);
	text_close(&reference);
	assert_true(n >= 20);
	for (size_t i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "\n%s =%s%s\n", keys[i].name,
			 *keys[i].value ? " " : "", keys[i].value);
		assert_non_null(strstr(text, line));
		snprintf(line, sizeof(line), "\n| `%s` | ", keys[i].name);
		assert_non_null(strstr(reference.bytes, line));
		snprintf(line, sizeof(line), "### [%s]\n", keys[i].section);
		assert_non_null(strstr(reference.bytes, line));
		assert_non_null(strstr(reference.bytes, keys[i].help));
		assert_true(strlen(keys[i].help) > 20);
		assert_null(strchr(keys[i].help, '|')); /* would end a cell */
		assert_null(strchr(keys[i].range, '|'));
	}
	free(text);
	free(reference.bytes);
	levee_config_clear(&c);
}

static void clearing_twice_is_harmless(void **state)
{
	struct levee_config c;

	(void)state;
	assert_int_equal(levee_config_init(&c), 0);
	levee_config_clear(&c);
	levee_config_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_documented),
		cmocka_unit_test(every_key_of_a_file_is_taken),
		cmocka_unit_test(a_list_goes_on_on_indented_lines),
		cmocka_unit_test(sizes_are_rounded_up_to_a_power_of_two),
		cmocka_unit_test(a_number_keeps_six_decimals_exactly),
		cmocka_unit_test(set_replaces_a_list),
		cmocka_unit_test(set_says_where_and_what_is_wrong),
		cmocka_unit_test(a_value_that_no_file_can_hold_is_refused),
		cmocka_unit_test(the_compiled_scope_holds_what_was_named),
		cmocka_unit_test(a_protocol_by_name_is_the_one_by_number),
		cmocka_unit_test(a_protocol_without_port_covers_its_ports),
		cmocka_unit_test(a_bad_word_leaves_the_scope_as_it_was),
		cmocka_unit_test(good_files_are_accepted),
		cmocka_unit_test(bad_files_give_the_errors_they_name),
		cmocka_unit_test(a_missing_file_is_said),
		cmocka_unit_test(a_directory_is_no_file),
		cmocka_unit_test(an_endless_file_ends),
		cmocka_unit_test(an_error_shows_no_control_characters),
		cmocka_unit_test(dumps_read_back_to_the_same_configuration),
		cmocka_unit_test(a_dump_of_long_values_reads_back),
		cmocka_unit_test(random_settings_read_back),
		cmocka_unit_test(ranges_in_words_are_the_ranges_in_force),
		cmocka_unit_test(every_key_is_in_dump_and_reference),
		cmocka_unit_test(clearing_twice_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
