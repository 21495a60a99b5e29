/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "dataplane/offline/offline.h"
#include "tests/support/frame_cases.h"

#define SEED	20260926U
#define SECOND	LEVEE_NS_PER_S
#define REPORTS 64
#define FOUND	4096
#define FOREVER UINT64_MAX

/* ---- a test's file, data path, and what it said ---------------------------------------------- */

struct found {
	struct levee_prefix source;
	uint64_t packets, bytes;
};

struct bed {
	char folder[32];
	char path[64];
	struct levee_offline_options options;
	struct levee_dataplane *dp;
	char *reports[REPORTS];
	size_t n_reports;
	struct found found[FOUND];
	size_t n_found;
	int sink_error; /* returned by the sink from its second source on */
};

static void keep_report(void *ctx, const char *message)
{
	struct bed *b = ctx;

	assert_true(b->n_reports < REPORTS);
	b->reports[b->n_reports] = strdup(message);
	assert_non_null(b->reports[b->n_reports++]);
}

static int set_up(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	if (!b)
		return -1;
	strcpy(b->folder, "/tmp/levee-offline-XXXXXX");
	if (!mkdtemp(b->folder)) {
		free(b);
		return -1;
	}
	snprintf(b->path, sizeof(b->path), "%s/traffic", b->folder);
	b->options.path = b->path;
	b->options.rules = 64;
	b->options.report = keep_report;
	b->options.ctx = b;
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bed *b = *state;

	levee_dataplane_close(&b->dp);
	for (size_t i = 0; i < b->n_reports; i++)
		free(b->reports[i]);
	unlink(b->path);
	rmdir(b->folder);
	free(b);
	return 0;
}

static void write_file(const struct bed *b, const void *data, size_t len)
{
	FILE *f = fopen(b->path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void open_text(struct bed *b, const char *text)
{
	write_file(b, text, strlen(text));
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
}

static int keep_source(void *ctx, const struct levee_prefix *source,
		       const struct levee_counts *counts)
{
	struct bed *b = ctx;

	if (b->sink_error && b->n_found)
		return b->sink_error;
	assert_true(b->n_found < FOUND);
	b->found[b->n_found++] = (struct found){ *source, counts->packets, counts->bytes };
	return 0;
}

static int drain(struct bed *b, uint64_t bin_ns, struct levee_drained *drained)
{
	struct levee_sink sink = { keep_source, b };

	b->n_found = 0;
	return levee_dataplane_drain(b->dp, bin_ns, &sink, drained);
}

/* Drain, check what must always hold, and release. */
static struct levee_account take(struct bed *b, uint64_t bin_ns)
{
	struct levee_drained drained;
	uint64_t outcomes = 0, packets = 0, bytes = 0;

	assert_int_equal(drain(b, bin_ns, &drained), 0);
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		outcomes += drained.account.outcome[i];
	for (size_t i = 0; i < b->n_found; i++) {
		packets += b->found[i].packets;
		bytes += b->found[i].bytes;
	}
	assert_int_equal(outcomes, drained.account.received);
	assert_int_equal(packets, drained.account.outcome[LEVEE_COUNTED]);
	assert_true(bytes <= drained.account.received_bytes);
	levee_dataplane_release(b->dp);
	return drained.account;
}

static struct levee_dp_event wait_until(struct bed *b, uint64_t until_ns)
{
	struct levee_dp_event event;

	assert_int_equal(levee_dataplane_wait(b->dp, until_ns, &event), 0);
	return event;
}

/* All that is left of the file, as one bin. */
static struct levee_account take_all(struct bed *b)
{
	assert_int_equal(wait_until(b, FOREVER).type, LEVEE_DP_END);
	return take(b, 0);
}

static const struct found *find(const struct bed *b, const char *source)
{
	char text[LEVEE_PREFIX_TEXT];

	for (size_t i = 0; i < b->n_found; i++)
		if (!strcmp(levee_prefix_format(&b->found[i].source, text), source))
			return &b->found[i];
	return NULL;
}

static void assert_found(const struct bed *b, const char *source, uint64_t packets, uint64_t bytes)
{
	const struct found *f = find(b, source);

	if (!f)
		print_error("%s is not there\n", source);
	assert_non_null(f);
	assert_int_equal(f->packets, packets);
	assert_int_equal(f->bytes, bytes);
}

static void assert_clean(const struct bed *b)
{
	for (size_t i = 0; i < b->n_reports; i++)
		print_error("%s\n", b->reports[i]);
	assert_int_equal(b->n_reports, 0);
	assert_int_equal(levee_offline_errors(b->dp), 0);
}

/* The one report there is has all of these words, up to NULL, in it. */
static void assert_says(const struct bed *b, size_t nr, ...)
{
	const char *word;
	va_list words;

	assert_true(nr < b->n_reports);
	va_start(words, nr);
	while ((word = va_arg(words, const char *))) {
		if (!strstr(b->reports[nr], word))
			print_error("no \"%s\" in: %s\n", word, b->reports[nr]);
		assert_non_null(strstr(b->reports[nr], word));
	}
	va_end(words);
	assert_null(strchr(b->reports[nr], '\n'));
}

static void assert_refused(struct bed *b, int error, const char *word)
{
	assert_int_equal(levee_offline_open(&b->dp, &b->options), error);
	assert_null(b->dp);
	assert_true(b->n_reports >= 1);
	assert_says(b, b->n_reports - 1, word, NULL);
}

static uint64_t now_ns(struct bed *b)
{
	struct levee_time now;

	levee_dataplane_now(b->dp, &now);
	assert_int_equal(now.boot_ns, now.unix_ns);
	return now.unix_ns;
}

static struct levee_prefix prefix(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static void block(struct bed *b, const char *text, uint64_t expires_ns)
{
	struct levee_prefix p = prefix(text);

	assert_int_equal(levee_policy_block(levee_dataplane_policy(b->dp), &p, expires_ns, 1), 0);
}

static void allow(struct bed *b, const char *text)
{
	struct levee_prefix p = prefix(text);

	assert_int_equal(levee_policy_set_allowed(levee_dataplane_policy(b->dp), &p, 1), 0);
}

static struct levee_policy_info hits_of(struct bed *b, const char *text)
{
	struct levee_prefix p = prefix(text);
	struct levee_policy_info info;

	assert_int_equal(levee_policy_get(levee_dataplane_policy(b->dp), &p, &info), 0);
	return info;
}

/* ---- CSV: what is read ----------------------------------------------------------------------- */

static void a_csv_is_counted_bin_by_bin(void **state)
{
	struct bed *b = *state;
	struct levee_dp_event event;
	struct levee_account account;

	open_text(b, "time_unix_s,source,packets,bytes\n"
		     "60,198.51.100.7,10,1000\n"
		     "61,198.51.100.7,5,500\n"
		     "119.9,203.0.113.1,1,64\n"
		     "120,198.51.100.7,7,700\n");
	event = wait_until(b, 120 * SECOND);
	assert_int_equal(event.type, LEVEE_DP_DEADLINE);
	assert_int_equal(event.next_unix_ns, 120 * SECOND);
	account = take(b, 120 * SECOND);
	assert_int_equal(account.received, 16);
	assert_int_equal(account.received_bytes, 1564);
	assert_int_equal(b->n_found, 2);
	assert_found(b, "198.51.100.7", 15, 1500);
	assert_found(b, "203.0.113.1", 1, 64);

	assert_int_equal(wait_until(b, 180 * SECOND).type, LEVEE_DP_END);
	take(b, 180 * SECOND);
	assert_int_equal(b->n_found, 1);
	assert_found(b, "198.51.100.7", 7, 700);
	assert_int_equal(levee_offline_records(b->dp), 4);
	assert_clean(b);
}

static void ipv6_sources_are_masked_to_64_bits(void **state)
{
	struct bed *b = *state;

	open_text(b, "1,2001:db8::1,1\n1,2001:db8::2,2\n1,2001:db8:0:1::1,4\n");
	take_all(b);
	assert_int_equal(b->n_found, 2);
	assert_found(b, "2001:db8::/64", 3, 0);
	assert_found(b, "2001:db8:0:1::/64", 4, 0);
	assert_clean(b);
}

static void ipv6_sources_are_masked_as_configured(void **state)
{
	static const struct {
		uint8_t length;
		const char *text;
	} t[] = { { 1, "::/1" },
		  { 48, "2001:db8:1::/48" },
		  { 65, "2001:db8:1:2:8000::/65" },
		  { 127, "2001:db8:1:2:8003:4:5:6/127" },
		  { 128, "2001:db8:1:2:8003:4:5:7" } };
	struct bed *b = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		b->options.source6_length = t[i].length;
		open_text(b, "1,2001:db8:1:2:8003:4:5:7,9\n");
		assert_int_equal(b->dp->source6_length, t[i].length);
		take_all(b);
		assert_found(b, t[i].text, 9, 0);
		levee_dataplane_close(&b->dp);
	}
}

static void sources_of_one_number_in_two_families_are_two(void **state)
{
	struct bed *b = *state;

	b->options.source6_length = 128;
	open_text(b, "1,0.0.0.0,1\n1,::,2\n1,0.0.0.1,3\n1,::1,4\n1,0:0:0:1::,5\n");
	take_all(b);
	assert_int_equal(b->n_found, 5);
	assert_found(b, "0.0.0.0", 1, 0);
	assert_found(b, "::", 2, 0);
	assert_found(b, "0.0.0.1", 3, 0);
	assert_found(b, "::1", 4, 0);
	assert_found(b, "0:0:0:1::", 5, 0);
}

static void blanks_comments_and_line_ends_do_not_disturb(void **state)
{
	struct bed *b = *state;

	open_text(b, "\xef\xbb\xbf# made by hand\r\n\r\n \t \n time_unix_s , source,packets\r\n"
		     "  60 ,\t198.51.100.7 , 1\r\n  # more\n\n61,198.51.100.7,2");
	take_all(b);
	assert_found(b, "198.51.100.7", 3, 0);
	assert_clean(b);
}

static void a_heading_is_good_once_and_first(void **state)
{
	struct bed *b = *state;

	open_text(b, "time_unix_s,source,packets,bytes\n1,192.0.2.1,1,1\n"
		     "time_unix_s,source,packets,bytes\n");
	take_all(b);
	assert_int_equal(levee_offline_errors(b->dp), 1);
	assert_says(b, 0, ":3: time \"time_unix_s\"", NULL);
}

static void times_are_exact_to_the_nanosecond(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} t[] = { { "0", 0 },
		  { "0.000000001", 1 },
		  { "1.5", 1500000000 },
		  { "1700000000.123456789", 1700000000123456789 },
		  { "1700000000.1", 1700000000100000000 },
		  { "00017", 17 * SECOND },
		  { "9223372035.999999999", 9223372035999999999 } };
	struct bed *b = *state;
	char line[64];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(line, sizeof(line), "%s,192.0.2.1,1\n", t[i].text);
		open_text(b, line);
		assert_int_equal(now_ns(b), t[i].ns);
		levee_dataplane_close(&b->dp);
	}
}

static void the_greatest_values_are_taken(void **state)
{
	struct bed *b = *state;

	open_text(b, "1,192.0.2.1,281474976710656,9223372036854775807\n1,192.0.2.2,0,0\n");
	take_all(b);
	assert_int_equal(b->n_found, 1); /* nothing came from the other one */
	assert_found(b, "192.0.2.1", 1ULL << 48, INT64_MAX);
	assert_int_equal(levee_offline_records(b->dp), 2);
	assert_clean(b);
}

/* ---- CSV: what is not ------------------------------------------------------------------------ */

static void every_bad_line_is_named_and_skipped(void **state)
{
	static const struct {
		const char *line, *word;
	} t[] = {
		{ "1", "1 field where" },
		{ "1,192.0.2.1", "2 fields" },
		{ "1,192.0.2.1,1,1,1", "5 fields" },
		{ ",,,,,,,,", "9 fields" },
		{ ",192.0.2.1,1", "time \"\"" },
		{ "1,,1", "source \"\"" },
		{ "1,192.0.2.1,", "packets \"\"" },
		{ "1,192.0.2.1,1,", "bytes \"\"" },
		{ "1,192.0.2.1, ,1", "packets \"\"" },
		{ "-1,192.0.2.1,1", "time \"-1\"" },
		{ "+1,192.0.2.1,1", "time" },
		{ "1e3,192.0.2.1,1", "time" },
		{ "nan,192.0.2.1,1", "time" },
		{ "inf,192.0.2.1,1", "time" },
		{ "0x10,192.0.2.1,1", "time" },
		{ ".5,192.0.2.1,1", "time" },
		{ "5.,192.0.2.1,1", "time" },
		{ "1.2.3,192.0.2.1,1", "time" },
		{ "1.-1,192.0.2.1,1", "time" },
		{ "1.0000000001,192.0.2.1,1", "nine decimals" },
		{ "1 2,192.0.2.1,1", "time" },
		{ "9223372036,192.0.2.1,1", "milliseconds" },
		{ "1700000000000,192.0.2.1,1", "milliseconds" },
		{ "99999999999999999999999999999999,192.0.2.1,1", "milliseconds" },
		{ "1,192.0.2,1", "four numbers" },
		{ "1,192.0.2.256,1", "above 255" },
		{ "1,192.0.2.01,1", "begins with 0" },
		{ "1,192.0.2.0/24,1", "not a prefix" },
		{ "1,2001:db8::/64,1", "not a prefix" },
		{ "1,fe80::1%eth0,1", "zone" },
		{ "1,localhost,1", "source \"localhost\"" },
		{ "1,192.0.2.1,-1", "packets \"-1\"" },
		{ "1,192.0.2.1,1.0", "packets \"1.0\"" },
		{ "1,192.0.2.1,281474976710657", "281474976710656" },
		{ "1,192.0.2.1,18446744073709551617", "281474976710656" },
		{ "1,192.0.2.1,1,-1", "bytes \"-1\"" },
		{ "1,192.0.2.1,1,9223372036854775808", "9223372036854775807" },
		{ "1,192.0.2.1,1,99999999999999999999", "9223372036854775807" },
		{ "1,192.0.2.1,0,5", "no packets" },
		{ "\"1\",192.0.2.1,1", "time \"\"1\"\"" },
		{ "1;192.0.2.1;1", "1 field where" },
		{ "\x1b[31m1,192.0.2.1,1", "time \"?[31m1\"" },
		{ "1,1111111111222222222233333333334444444444555555555566,1", "5555555..." },
	};
	struct bed *b = *state;
	char text[256], where[128];

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		size_t before = b->n_reports;

		snprintf(text, sizeof(text), "1,198.51.100.7,1\n%s\n2,198.51.100.7,1\n", t[i].line);
		snprintf(where, sizeof(where), "%s:2: ", b->path);
		open_text(b, text);
		take_all(b);
		if (b->n_reports != before + 1)
			print_error("%s: %zu reports\n", t[i].line, b->n_reports - before);
		assert_int_equal(b->n_reports, before + 1);
		assert_says(b, before, where, t[i].word, "skipped", NULL);
		assert_int_equal(levee_offline_errors(b->dp), 1);
		assert_int_equal(b->n_found, 1);
		assert_found(b, "198.51.100.7", 2, 0);
		levee_dataplane_close(&b->dp);
	}
}

static void nul_bytes_make_a_bad_line(void **state)
{
	static const char text[] = "1,192.0.2.1,1\n1,192.0.2.1\0,1\n1\0,192.0.2.1,1\n"
				   "1,192.0.2.1,1\0\n\0\n1,192.0.2.1,1\n";
	struct bed *b = *state;

	write_file(b, text, sizeof(text) - 1);
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
	take_all(b);
	assert_int_equal(levee_offline_errors(b->dp), 4);
	assert_found(b, "192.0.2.1", 2, 0);
}

static void ten_bad_lines_are_shown_and_the_rest_counted(void **state)
{
	struct bed *b = *state;
	char text[512] = "1,192.0.2.1,1\n";

	for (int i = 0; i < 25; i++)
		strcat(text, "bad\n");
	open_text(b, text);
	take_all(b);
	assert_int_equal(levee_offline_errors(b->dp), 25);
	assert_int_equal(b->n_reports, 11);
	assert_says(b, 9, ":11: ", NULL);
	assert_says(b, 10, b->path, "25 bad lines in all, 15 not shown", NULL);
	wait_until(b, FOREVER);
	assert_int_equal(b->n_reports, 11); /* said once */
}

static void exactly_ten_bad_lines_need_no_count(void **state)
{
	struct bed *b = *state;
	char text[512] = "1,192.0.2.1,1\n";

	for (int i = 0; i < 10; i++)
		strcat(text, "bad\n");
	open_text(b, text);
	take_all(b);
	assert_int_equal(b->n_reports, 10);
}

static void a_file_of_bad_lines_alone_is_refused(void **state)
{
	struct bed *b = *state;

	write_file(b, "a\nb\nc\n", 6);
	assert_refused(b, -ENODATA, "3 bad lines");
	assert_int_equal(b->n_reports, 4);
}

static void a_heading_alone_is_no_data(void **state)
{
	struct bed *b = *state;

	write_file(b, "time_unix_s,source,packets\n", 27);
	assert_refused(b, -ENODATA, "no record");
}

/* A line of so many bytes, which is good but for its length. */
static void add_line(FILE *f, size_t len)
{
	int used = fprintf(f, "5,192.0.2.1,1");

	for (size_t i = (size_t)used; i < len; i++)
		fputc(' ', f);
	fputc('\n', f);
}

static void lines_above_4096_bytes_are_bad_whatever_the_buffer(void **state)
{
	static const size_t lengths[] = { 4096,	  4097,	  8192,	  262143, 262144,
					  262145, 524288, 600000, 4096,	  20 };
	struct bed *b = *state;
	FILE *f = fopen(b->path, "wb");

	assert_non_null(f);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		add_line(f, lengths[i]);
	fprintf(f, "bad\n");
	add_line(f, 100000);
	fseek(f, -1, SEEK_CUR); /* the last one without its end */
	assert_int_equal(ftruncate(fileno(f), ftell(f)), 0);
	fclose(f);
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
	take_all(b);
	assert_found(b, "192.0.2.1", 3, 0);
	assert_int_equal(levee_offline_errors(b->dp), 9);
	assert_says(b, 0, ":2: longer than 4096 bytes", NULL);
	assert_says(b, 6, ":8: longer than 4096 bytes", NULL);
	assert_says(b, 7, ":11: 1 field", NULL);
	assert_says(b, 8, ":12: longer than 4096 bytes", NULL);
}

/* ---- order and time -------------------------------------------------------------------------- */

static void now_is_the_first_record_then_what_was_reached(void **state)
{
	struct bed *b = *state;

	open_text(b, "100,192.0.2.1,1\n130,192.0.2.1,1\n125,192.0.2.1,1\n500,192.0.2.1,1\n");
	assert_int_equal(now_ns(b), 100 * SECOND);
	assert_int_equal(wait_until(b, 50 * SECOND).next_unix_ns, 100 * SECOND);
	assert_int_equal(now_ns(b), 100 * SECOND);
	assert_int_equal(wait_until(b, 120 * SECOND).next_unix_ns, 130 * SECOND);
	assert_int_equal(now_ns(b), 120 * SECOND);
	assert_int_equal(wait_until(b, 200 * SECOND).next_unix_ns, 500 * SECOND);
	assert_int_equal(now_ns(b), 200 * SECOND);
	assert_int_equal(wait_until(b, 600 * SECOND).type, LEVEE_DP_END);
	assert_int_equal(now_ns(b), 500 * SECOND);
	assert_clean(b);
}

static void the_end_comes_again_and_again(void **state)
{
	struct bed *b = *state;
	struct levee_dp_event event;

	open_text(b, "1,192.0.2.1,1\n");
	for (int i = 0; i < 3; i++) {
		event = wait_until(b, FOREVER);
		assert_int_equal(event.type, LEVEE_DP_END);
		assert_int_equal(event.next_unix_ns, 0);
	}
}

static void a_record_at_the_deadline_belongs_to_what_follows(void **state)
{
	struct bed *b = *state;

	open_text(b, "59.999999999,192.0.2.1,1\n60,192.0.2.1,2\n");
	wait_until(b, 60 * SECOND);
	take(b, 60 * SECOND);
	assert_found(b, "192.0.2.1", 1, 0);
	wait_until(b, 120 * SECOND);
	take(b, 120 * SECOND);
	assert_found(b, "192.0.2.1", 2, 0);
	assert_int_equal(levee_offline_late(b->dp), 0);
}

static void an_empty_stretch_is_shown_by_the_next_time(void **state)
{
	struct bed *b = *state;

	open_text(b, "10,192.0.2.1,1\n86410.5,192.0.2.1,1\n");
	assert_int_equal(wait_until(b, 60 * SECOND).next_unix_ns, 86410 * SECOND + SECOND / 2);
	take(b, 86400 * SECOND);
	assert_int_equal(wait_until(b, 86460 * SECOND).type, LEVEE_DP_END);
	assert_int_equal(take(b, 0).received, 1);
	assert_clean(b);
}

static void a_line_for_a_closed_bin_is_a_defect_and_not_counted(void **state)
{
	struct bed *b = *state;

	open_text(b, "10,192.0.2.1,1\n70,192.0.2.1,2\n59.5,192.0.2.1,4\n61,192.0.2.1,8\n");
	wait_until(b, 60 * SECOND);
	take(b, 60 * SECOND);
	take_all(b);
	assert_found(b, "192.0.2.1", 10, 0);
	assert_int_equal(levee_offline_errors(b->dp), 1);
	assert_int_equal(levee_offline_late(b->dp), 0);
	assert_says(b, 0, b->path, "line 3", "59.500000000", "60.000000000",
		    "sort the file by time", NULL);
}

static void the_bin_named_by_the_drain_closes_all_before_it(void **state)
{
	struct bed *b = *state;

	open_text(b, "130,192.0.2.1,1\n125,192.0.2.1,2\n119,192.0.2.1,4\n1000,192.0.2.1,8\n"
		     "500,192.0.2.1,16\n");
	take(b, 120 * SECOND); /* before the first wait: the first bin is guarded, too */
	wait_until(b, 180 * SECOND);
	take(b, 960 * SECOND); /* stepping over empty bins */
	assert_found(b, "192.0.2.1", 3, 0);
	take_all(b);
	assert_found(b, "192.0.2.1", 8, 0);
	assert_int_equal(levee_offline_errors(b->dp), 2);
	assert_says(b, 1, "line 5", "960.000000000", NULL);
}

/* ---- draining -------------------------------------------------------------------------------- */

static void a_drained_epoch_must_be_released_first(void **state)
{
	struct bed *b = *state;
	struct levee_dp_event event;
	struct levee_drained drained;

	open_text(b, "10,192.0.2.1,1,100\n70,192.0.2.2,2,200\n");
	wait_until(b, 60 * SECOND);
	assert_int_equal(drain(b, 60 * SECOND, &drained), 0);
	assert_int_equal(drained.account.received, 1);
	assert_int_equal(drain(b, 60 * SECOND, &drained), -EBUSY);
	assert_int_equal(levee_dataplane_wait(b->dp, FOREVER, &event), -EBUSY);
	levee_dataplane_release(b->dp);
	levee_dataplane_release(b->dp); /* once more does no harm */
	take_all(b);
	assert_int_equal(b->n_found, 1);
	assert_found(b, "192.0.2.2", 2, 200);
}

static void epochs_are_numbered_and_carry_their_bin(void **state)
{
	struct bed *b = *state;
	struct levee_drained first, second;

	open_text(b, "10,192.0.2.1,1\n70,192.0.2.2,2\n130,192.0.2.3,1\n");
	wait_until(b, 60 * SECOND);
	assert_int_equal(drain(b, 60 * SECOND, &first), 0);
	levee_dataplane_release(b->dp);
	wait_until(b, 120 * SECOND);
	assert_int_equal(drain(b, 120 * SECOND, &second), 0);
	assert_int_equal(first.bin_ns, 0);
	assert_int_equal(first.opened_ns, 10 * SECOND);
	assert_int_equal(second.bin_ns, 60 * SECOND);
	assert_int_equal(second.opened_ns, 60 * SECOND);
	assert_int_equal(second.seq, first.seq + 1);
}

static void a_sink_that_fails_stops_the_drain_and_may_try_again(void **state)
{
	struct bed *b = *state;
	struct levee_drained drained;

	open_text(b, "1,192.0.2.1,1\n1,192.0.2.2,2\n1,192.0.2.3,3\n");
	wait_until(b, FOREVER);
	b->sink_error = -ENOSPC;
	assert_int_equal(drain(b, 0, &drained), -ENOSPC);
	b->sink_error = 0;
	assert_int_equal(take(b, 0).received, 6);
	assert_int_equal(b->n_found, 3);
}

static void peek_shows_the_open_epoch_without_disturbing_it(void **state)
{
	struct bed *b = *state;
	struct levee_drained open, drained;

	open_text(b, "10,192.0.2.1,3,300\n70,192.0.2.1,4\n");
	wait_until(b, 60 * SECOND);
	b->dp->ops->peek(b->dp, &open);
	assert_int_equal(open.account.received, 3);
	assert_int_equal(open.account.outcome[LEVEE_COUNTED], 3);
	assert_int_equal(drain(b, 60 * SECOND, &drained), 0);
	assert_int_equal(drained.seq, open.seq);
	assert_int_equal(drained.account.received, 3);
	b->dp->ops->peek(b->dp, &open);
	assert_int_equal(open.account.received, 0);
	assert_int_equal(open.bin_ns, 60 * SECOND);
	assert_int_equal(open.seq, drained.seq + 1);
}

static void what_only_a_kernel_has_is_refused(void **state)
{
	struct bed *b = *state;
	struct levee_sink sink = { keep_source, b };
	struct levee_drained drained;

	open_text(b, "1,192.0.2.1,1\n");
	assert_int_equal(b->dp->ops->watch(b->dp, 0), -ENOTSUP);
	assert_int_equal(b->dp->ops->redrain(b->dp, &sink, &drained), -ENOENT);
}

static void a_description_names_file_and_format(void **state)
{
	struct bed *b = *state;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	open_text(b, "1,192.0.2.1,1\n");
	b->dp->ops->describe(b->dp, out);
	fclose(out);
	assert_non_null(strstr(text, b->path));
	assert_non_null(strstr(text, "CSV"));
	free(text);
}

static void progress_goes_from_0_to_1(void **state)
{
	struct bed *b = *state;
	FILE *f = fopen(b->path, "wb");
	double first, last = 0;

	assert_non_null(f);
	for (int i = 0; i < 100000; i++)
		fprintf(f, "%d,192.0.2.1,1\n", i);
	fclose(f);
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
	first = levee_offline_progress(b->dp);
	assert_true(first >= 0 && first < 0.5);
	for (uint64_t t = 10000; t < 100000; t += 10000) {
		double progress;

		wait_until(b, t * SECOND);
		progress = levee_offline_progress(b->dp);
		assert_true(progress >= last && progress <= 1);
		last = progress;
	}
	wait_until(b, FOREVER);
	assert_true(levee_offline_progress(b->dp) == 1.0);
	assert_int_equal(levee_offline_records(b->dp), 100000);
}

static void sums_beyond_64_bits_are_a_defect_and_not_counted(void **state)
{
	struct bed *b = *state;
	struct levee_account account;

	open_text(b, "1,192.0.2.1,1,9223372036854775807\n1,192.0.2.2,1,9223372036854775807\n"
		     "1,192.0.2.3,1,1\n1,192.0.2.4,1,1\n");
	account = take_all(b);
	assert_int_equal(account.received, 3);
	assert_int_equal(account.received_bytes, UINT64_MAX);
	assert_null(find(b, "192.0.2.4"));
	assert_int_equal(levee_offline_errors(b->dp), 1);
	assert_says(b, 0, "line 4", "64 bits", NULL);
}

/* ---- the policy ------------------------------------------------------------------------------ */

static void blocked_csv_records_are_dropped_with_all_their_packets(void **state)
{
	struct bed *b = *state;
	struct levee_policy_info info;
	struct levee_account account;

	open_text(b, "5,198.51.100.7,1000,64000\n6,198.51.100.7,500,32000\n6,198.51.100.8,3,300\n");
	block(b, "198.51.100.7", LEVEE_NEVER);
	account = take_all(b);
	assert_int_equal(account.received, 1503);
	assert_int_equal(account.received_bytes, 96300);
	assert_int_equal(account.outcome[LEVEE_DROPPED], 1500);
	assert_int_equal(account.dropped_bytes, 96000);
	assert_int_equal(account.outcome[LEVEE_COUNTED], 3);
	assert_null(find(b, "198.51.100.7"));
	info = hits_of(b, "198.51.100.7");
	assert_int_equal(info.packets, 1500);
	assert_int_equal(info.bytes, 96000);
	assert_int_equal(info.first_ns, 5 * SECOND);
	assert_int_equal(info.last_ns, 6 * SECOND);
}

static void in_audit_mode_blocked_records_are_counted_besides(void **state)
{
	struct bed *b = *state;
	struct levee_account account;

	open_text(b, "5,198.51.100.7,10,100\n");
	block(b, "198.51.100.0/24", LEVEE_NEVER);
	b->dp->ops->set_audit(b->dp, true);
	account = take_all(b);
	assert_int_equal(account.would_drop, 10);
	assert_int_equal(account.outcome[LEVEE_DROPPED], 0);
	assert_int_equal(account.dropped_bytes, 0);
	assert_int_equal(account.outcome[LEVEE_COUNTED], 10);
	assert_found(b, "198.51.100.7", 10, 100);
	assert_int_equal(hits_of(b, "198.51.100.0/24").packets, 10);
}

static void the_allow_list_wins_over_a_block(void **state)
{
	struct bed *b = *state;
	struct levee_account account;

	open_text(b, "5,198.51.100.7,10\n5,198.51.100.8,20\n");
	allow(b, "198.51.100.7");
	block(b, "198.51.100.0/24", LEVEE_NEVER);
	account = take_all(b);
	assert_int_equal(account.outcome[LEVEE_ALLOWED], 10);
	assert_int_equal(account.outcome[LEVEE_DROPPED], 20);
	assert_int_equal(b->n_found, 0);
}

static void a_block_ends_when_the_files_time_says_so(void **state)
{
	struct bed *b = *state;
	struct levee_account account;

	open_text(b, "9.999,198.51.100.7,1\n10,198.51.100.7,2\n");
	block(b, "198.51.100.7", 10 * SECOND);
	account = take_all(b);
	assert_int_equal(account.outcome[LEVEE_DROPPED], 1);
	assert_int_equal(account.outcome[LEVEE_COUNTED], 2);
}

/* \return after how many events there are no more before a time */
static unsigned int trips_until(struct bed *b, uint64_t until_ns, const char *source)
{
	struct levee_prefix p = prefix(source);
	unsigned int n = 0;

	for (;;) {
		struct levee_dp_event event = wait_until(b, until_ns);

		if (event.type != LEVEE_DP_TRIP)
			return n;
		assert_int_equal(levee_prefix_compare(&event.source, &p), 0);
		n++;
	}
}

static void each_further_share_of_a_source_is_told_of(void **state)
{
	struct bed *b = *state;

	open_text(b, "0,203.0.113.1,1000,64007\n1,203.0.113.1,50\n2,203.0.113.2,99\n"
		     "3,203.0.113.1,49\n4,2001:db8::1,100\n");
	b->dp->ops->set_trip(b->dp, 100);
	assert_int_equal(trips_until(b, SECOND, "203.0.113.1"), 10);
	assert_int_equal(trips_until(b, 4 * SECOND, "203.0.113.1"), 0);
	assert_int_equal(trips_until(b, FOREVER, "2001:db8::/64"), 1);
	take(b, 60 * SECOND);
	assert_found(b, "203.0.113.1", 1099, 64007);
	assert_clean(b);
}

static void a_source_can_be_blocked_within_a_line(void **state)
{
	struct bed *b = *state;
	struct levee_account a;

	open_text(b, "0,203.0.113.1,1000,64007\n1,203.0.113.1,5\n");
	b->dp->ops->set_trip(b->dp, 100);
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_until(b, FOREVER).type, LEVEE_DP_TRIP);
	block(b, "203.0.113.1", LEVEE_NEVER);
	assert_int_equal(trips_until(b, FOREVER, "203.0.113.1"), 0);
	a = take(b, 60 * SECOND);
	assert_int_equal(a.received, 1005);
	assert_int_equal(a.outcome[LEVEE_COUNTED], 300);
	assert_int_equal(a.outcome[LEVEE_DROPPED], 705);
	assert_int_equal(a.received_bytes, 64007);
	assert_clean(b);
}

static void one_host_of_an_ipv6_prefix_can_be_blocked(void **state)
{
	struct bed *b = *state;

	open_text(b, "1,2001:db8::1,1\n1,2001:db8::2,2\n");
	block(b, "2001:db8::1", LEVEE_NEVER);
	take_all(b);
	assert_found(b, "2001:db8::/64", 2, 0);
}

static void scope_does_not_apply_to_a_csv(void **state)
{
	struct levee_scope scope = { .enabled = 1 };
	struct bed *b = *state;

	open_text(b, "1,192.0.2.1,1\n");
	b->dp->ops->set_scope(b->dp, &scope);
	assert_int_equal(take_all(b).outcome[LEVEE_COUNTED], 1);
}

/* ---- many sources against a plain model ------------------------------------------------------ */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

#define MODEL_SOURCES 3000
#define MODEL_BINS    20

static uint64_t model[MODEL_BINS][MODEL_SOURCES][2];

static void write_random_traffic(struct bed *b)
{
	uint64_t random = SEED;
	FILE *f = fopen(b->path, "wb");

	assert_non_null(f);
	memset(model, 0, sizeof(model));
	for (uint32_t bin = 0; bin < MODEL_BINS; bin++) {
		uint32_t some = 1 + next_random(&random) % MODEL_SOURCES;

		for (uint32_t i = 0; i < 4000; i++) {
			uint32_t nr = next_random(&random) % some;
			uint64_t packets = next_random(&random) % 100, bytes = packets * 70;

			if (nr % 3)
				fprintf(f, "%u.%u,10.0.%u.%u,%lu,%lu\n", bin * 60, i, nr >> 8,
					nr & 255, packets, bytes);
			else
				fprintf(f, "%u.%u,2001:db8:0:%x::%x,%lu,%lu\n", bin * 60, i, nr, i,
					packets, bytes);
			model[bin][nr][0] += packets;
			model[bin][nr][1] += bytes;
		}
	}
	assert_int_equal(fclose(f), 0);
}

static void every_source_of_every_bin_is_exact(void **state)
{
	struct bed *b = *state;

	print_message("seed %u\n", SEED);
	write_random_traffic(b);
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
	for (uint32_t bin = 0; bin < MODEL_BINS; bin++) {
		size_t n = 0;

		wait_until(b, (bin + 1) * 60 * SECOND);
		take(b, (bin + 1) * 60 * SECOND);
		for (uint32_t nr = 0; nr < MODEL_SOURCES; nr++)
			n += model[bin][nr][0] != 0;
		assert_int_equal(b->n_found, n);
		for (size_t i = 0; i < b->n_found; i++) {
			const struct found *f = &b->found[i];
			uint32_t nr = f->source.family == 4 ? (uint32_t)f->source.hi & 0xffff
							    : (uint32_t)f->source.hi & 0xffff;

			assert_true(nr < MODEL_SOURCES);
			assert_int_equal(f->packets, model[bin][nr][0]);
			assert_int_equal(f->bytes, model[bin][nr][1]);
			model[bin][nr][0] = 0; /* each comes once */
		}
	}
	assert_clean(b);
}

/* ---- captures -------------------------------------------------------------------------------- */

struct capture {
	uint8_t *data;
	size_t len, room;
	bool big_endian;
};

static void put_bytes(struct capture *c, const void *data, size_t len)
{
	if (c->len + len > c->room) {
		c->room = (c->len + len) * 2;
		c->data = realloc(c->data, c->room);
		assert_non_null(c->data);
	}
	memcpy(c->data + c->len, data, len);
	c->len += len;
}

static void put16(struct capture *c, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };
	uint8_t r[2] = { b[1], b[0] };

	put_bytes(c, c->big_endian ? r : b, 2);
}

static void put32(struct capture *c, uint32_t v)
{
	put16(c, (uint16_t)(c->big_endian ? v >> 16 : v));
	put16(c, (uint16_t)(c->big_endian ? v : v >> 16));
}

static void begin_pcap(struct capture *c, uint32_t magic, uint32_t link_type)
{
	put32(c, magic);
	put16(c, 2);
	put16(c, 4);
	put32(c, 0);
	put32(c, 0);
	put32(c, 65535);
	put32(c, link_type);
}

static void add_packet(struct capture *c, uint32_t s, uint32_t fraction, const uint8_t *frame,
		       size_t captured, size_t original)
{
	put32(c, s);
	put32(c, fraction);
	put32(c, (uint32_t)captured);
	put32(c, (uint32_t)original);
	put_bytes(c, frame, captured);
}

static void begin_pcapng(struct capture *c)
{
	put32(c, 0x0a0d0d0a);
	put32(c, 28);
	put32(c, 0x1a2b3c4d);
	put16(c, 1);
	put16(c, 0);
	put32(c, UINT32_MAX);
	put32(c, UINT32_MAX);
	put32(c, 28);
	put32(c, 1); /* interface description, Ethernet */
	put32(c, 32);
	put16(c, 1);
	put16(c, 0);
	put32(c, 65535);
	put16(c, 9); /* if_tsresol: 10^-9 */
	put16(c, 1);
	put_bytes(c, "\x09\0\0\0", 4);
	put32(c, 0); /* end of options */
	put32(c, 32);
}

static void add_packet_ng(struct capture *c, uint64_t ns, const uint8_t *frame, size_t captured,
			  size_t original)
{
	static const uint8_t zeros[4];
	size_t padding = (4 - captured % 4) % 4;

	put32(c, 6);
	put32(c, (uint32_t)(32 + captured + padding));
	put32(c, 0);
	put32(c, (uint32_t)(ns >> 32));
	put32(c, (uint32_t)ns);
	put32(c, (uint32_t)captured);
	put32(c, (uint32_t)original);
	put_bytes(c, frame, captured);
	put_bytes(c, zeros, padding);
	put32(c, (uint32_t)(32 + captured + padding));
}

static void open_capture(struct bed *b, struct capture *c)
{
	write_file(b, c->data, c->len);
	free(c->data);
	c->data = NULL;
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
}

static size_t udp_frame(uint8_t frame[LEVEE_FRAME_MAX], uint32_t source, uint16_t port)
{
	struct levee_frame_spec spec = {
		.family = 4, .hi = source, .proto = LEVEE_PROTO_UDP, .dst_port = port, .payload = 20
	};

	return levee_frame_build(&spec, frame);
}

static uint8_t frame[LEVEE_FRAME_MAX];

static void every_form_of_capture_gives_the_same(void **state)
{
	static const struct {
		uint32_t magic;
		bool big_endian;
		uint32_t fraction;
	} t[] = { { 0xa1b2c3d4, false, 250000 },    { 0xa1b2c3d4, true, 250000 },
		  { 0xa1b23c4d, false, 250000000 }, { 0xa1b23c4d, true, 250000000 },
		  { 0, false, 250000000 },	    { 0, true, 250000000 } };
	size_t len = udp_frame(frame, 0xc6336407, 53);
	struct bed *b = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct capture c = { .big_endian = t[i].big_endian };

		if (t[i].magic) {
			begin_pcap(&c, t[i].magic, 1);
			add_packet(&c, 10, t[i].fraction, frame, len, len);
			add_packet(&c, 70, t[i].fraction, frame, len, 1514);
		} else {
			begin_pcapng(&c);
			add_packet_ng(&c, 10 * SECOND + t[i].fraction, frame, len, len);
			add_packet_ng(&c, 70 * SECOND + t[i].fraction, frame, len, 1514);
		}
		open_capture(b, &c);
		assert_int_equal(now_ns(b), 10 * SECOND + SECOND / 4);
		assert_int_equal(wait_until(b, 60 * SECOND).next_unix_ns, 70 * SECOND + SECOND / 4);
		take(b, 60 * SECOND);
		assert_found(b, "198.51.100.7", 1, len);
		take_all(b);
		assert_found(b, "198.51.100.7", 1, 1514); /* the length on the wire counts */
		assert_int_equal(levee_offline_records(b->dp), 2);
		assert_clean(b);
		levee_dataplane_close(&b->dp);
	}
}

static void the_packet_table_in_a_capture_has_the_outcomes_it_should(void **state)
{
	uint64_t reasons[LEVEE_UNPARSED_MAX] = { 0 }, counted = 0;
	struct capture c = { 0 };
	struct levee_account account;
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	for (size_t i = 0; i < levee_frame_cases_n; i++) {
		size_t len = levee_frame_build(&levee_frame_cases[i].spec, frame);

		add_packet(&c, 10, 0, frame, len, len);
		reasons[-levee_frame_cases[i].result]++;
	}
	counted = reasons[0];
	open_capture(b, &c);
	account = take_all(b);
	assert_int_equal(account.received, levee_frame_cases_n);
	assert_int_equal(account.outcome[LEVEE_COUNTED], counted);
	assert_int_equal(account.outcome[LEVEE_OUT_OF_SCOPE], reasons[-LEVEE_NOT_IP]);
	for (int i = 1; i < LEVEE_UNPARSED_MAX; i++)
		assert_int_equal(account.reasons[i], reasons[i]);
	assert_int_equal(account.port_unknown, 0); /* nobody asks for ports */
	assert_clean(b);
}

static void scope_is_by_protocol_and_port(void **state)
{
	static struct levee_scope scope = { .enabled = 1 };
	struct capture c = { 0 };
	struct levee_account account;
	struct bed *b = *state;
	struct levee_frame_spec fragment = {
		.family = 4, .hi = 3, .proto = LEVEE_PROTO_UDP, .fragment = 185, .payload = 8
	};
	struct levee_frame_spec icmp = { .family = 4, .hi = 4, .proto = LEVEE_PROTO_ICMP };
	size_t len;

	scope.part[0] = 1ULL << LEVEE_PROTO_UDP;
	scope.udp[0] = 1ULL << 53;
	begin_pcap(&c, 0xa1b2c3d4, 1);
	len = udp_frame(frame, 1, 53);
	add_packet(&c, 10, 0, frame, len, len);
	len = udp_frame(frame, 2, 54);
	add_packet(&c, 10, 0, frame, len, len);
	len = levee_frame_build(&fragment, frame);
	add_packet(&c, 10, 0, frame, len, len);
	len = levee_frame_build(&icmp, frame);
	add_packet(&c, 10, 0, frame, len, len);
	open_capture(b, &c);
	b->dp->ops->set_scope(b->dp, &scope);
	account = take_all(b);
	assert_int_equal(account.outcome[LEVEE_COUNTED], 2);
	assert_int_equal(account.outcome[LEVEE_OUT_OF_SCOPE], 2);
	assert_int_equal(account.port_unknown, 1);
	assert_non_null(find(b, "0.0.0.1"));
	assert_non_null(find(b, "0.0.0.3")); /* the fragment, by its protocol */
}

static void allow_comes_before_block_and_block_before_scope(void **state)
{
	static const struct levee_scope nothing = { .enabled = 1 };
	struct capture c = { 0 };
	struct levee_account account;
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	for (uint32_t i = 0; i < 6; i++) {
		size_t len = udp_frame(frame, 0xc6336400 + i, 53);

		add_packet(&c, 10, 0, frame, len, len);
	}
	open_capture(b, &c);
	b->dp->ops->set_scope(b->dp, &nothing);
	allow(b, "198.51.100.0/31");
	block(b, "198.51.100.0/30", LEVEE_NEVER);
	account = take_all(b);
	assert_int_equal(account.outcome[LEVEE_ALLOWED], 2);
	assert_int_equal(account.outcome[LEVEE_DROPPED], 2);
	assert_int_equal(account.outcome[LEVEE_OUT_OF_SCOPE], 2);
	assert_int_equal(account.outcome[LEVEE_COUNTED], 0);
}

static void a_blocked_source_out_of_scope_in_audit_mode_is_both(void **state)
{
	static const struct levee_scope nothing = { .enabled = 1 };
	size_t len = udp_frame(frame, 0xc6336407, 53);
	struct capture c = { 0 };
	struct levee_account account;
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	add_packet(&c, 10, 0, frame, len, len);
	open_capture(b, &c);
	b->dp->ops->set_scope(b->dp, &nothing);
	b->dp->ops->set_audit(b->dp, true);
	block(b, "198.51.100.7", LEVEE_NEVER);
	account = take_all(b);
	assert_int_equal(account.would_drop, 1);
	assert_int_equal(account.outcome[LEVEE_OUT_OF_SCOPE], 1);
}

/* ---- captures that are cut, mixed, or of something else -------------------------------------- */

static void assert_cut_at(struct bed *b, const struct capture *c, size_t cut, size_t whole,
			  bool at_boundary)
{
	size_t before = b->n_reports;

	write_file(b, c->data, cut);
	if (!whole) {
		assert_int_equal(levee_offline_open(&b->dp, &b->options), -ENODATA);
	} else {
		assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
		assert_int_equal(take_all(b).received, whole);
		assert_int_equal(levee_offline_errors(b->dp), !at_boundary);
	}
	if (!at_boundary) {
		char number[48];

		snprintf(number, sizeof(number), "behind packet %zu:", whole);
		assert_says(b, before, b->path, number, NULL);
	} else if (whole) {
		assert_int_equal(b->n_reports, before);
	}
	levee_dataplane_close(&b->dp);
	while (b->n_reports)
		free(b->reports[--b->n_reports]);
}

static void a_capture_cut_anywhere_delivers_all_before_the_cut(void **state)
{
	size_t len = udp_frame(frame, 0xc6336407, 53), record = 16 + len;
	struct capture c = { 0 };
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	for (uint32_t i = 0; i < 3; i++)
		add_packet(&c, 10 + i, 0, frame, len, len);
	for (size_t cut = 24; cut <= c.len; cut++)
		assert_cut_at(b, &c, cut, (cut - 24) / record, !((cut - 24) % record));
	free(c.data);
}

static void a_file_header_cut_short_is_refused(void **state)
{
	struct capture c = { 0 };
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	for (size_t cut = 4; cut < 24; cut++) {
		write_file(b, c.data, cut);
		assert_refused(b, -EINVAL, "not a capture that can be read");
	}
	free(c.data);
}

static void another_link_type_is_refused_by_name(void **state)
{
	struct capture c = { 0 };
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 113);
	write_file(b, c.data, c.len);
	free(c.data);
	assert_refused(b, -ENOTSUP, "LINUX_SLL");
	assert_says(b, 0, "Ethernet", NULL);
}

static void packets_up_to_a_second_late_are_counted_later_ones_not(void **state)
{
	size_t len = udp_frame(frame, 0xc6336407, 53);
	struct capture c = { 0 };
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	add_packet(&c, 50, 0, frame, len, len);
	add_packet(&c, 60, 100, frame, len, len);
	add_packet(&c, 59, 999999, frame, len, len);
	add_packet(&c, 59, 0, frame, len, len);
	add_packet(&c, 58, 999999, frame, len, len);
	open_capture(b, &c);
	wait_until(b, 60 * SECOND);
	take(b, 60 * SECOND);
	assert_found(b, "198.51.100.7", 1, len);
	take_all(b);
	assert_found(b, "198.51.100.7", 3, 3 * len);
	assert_int_equal(levee_offline_late(b->dp), 2);
	assert_int_equal(levee_offline_errors(b->dp), 1);
	assert_says(b, 0, "packet 5", "58.999999000", "60.000000000", "sort", NULL);
}

static void a_packet_with_an_impossible_time_is_skipped(void **state)
{
	size_t len = udp_frame(frame, 0xc6336407, 53);
	struct capture c = { 0 };
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	add_packet(&c, 10, 4000000000U, frame, len, len);
	add_packet(&c, 10, 1000000, frame, len, len);
	add_packet(&c, UINT32_MAX, 0, frame, len, len); /* 2106: far off, but a time */
	open_capture(b, &c);
	assert_int_equal(now_ns(b), UINT32_MAX * SECOND);
	assert_int_equal(take_all(b).received, 1);
	assert_int_equal(levee_offline_errors(b->dp), 2);
	assert_says(b, 0, "packet 1 ", "time", NULL);
}

static void a_capture_without_a_packet_is_no_data(void **state)
{
	struct capture c = { 0 };
	struct bed *b = *state;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	write_file(b, c.data, c.len);
	free(c.data);
	assert_refused(b, -ENODATA, "no record");
}

static void a_packet_of_no_bytes_is_bad_ethernet(void **state)
{
	struct capture c = { 0 };
	struct bed *b = *state;
	struct levee_account account;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	add_packet(&c, 10, 0, frame, 0, 60);
	open_capture(b, &c);
	account = take_all(b);
	assert_int_equal(account.outcome[LEVEE_UNPARSED], 1);
	assert_int_equal(account.reasons[-LEVEE_BAD_ETHERNET], 1);
	assert_int_equal(account.received_bytes, 60);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void a_missing_file_is_refused(void **state)
{
	assert_refused(*state, -ENOENT, "No such file");
}

static void a_directory_is_refused(void **state)
{
	struct bed *b = *state;

	b->options.path = b->folder;
	assert_refused(b, -EISDIR, "directory");
}

static void an_empty_file_is_refused(void **state)
{
	struct bed *b = *state;

	write_file(b, "", 0);
	assert_refused(b, -ENODATA, "is empty");
}

static void an_unreadable_file_is_refused(void **state)
{
	struct bed *b = *state;
	uid_t me = geteuid();

	write_file(b, "1,192.0.2.1,1\n", 14);
	assert_int_equal(chmod(b->path, 0), 0);
	assert_int_equal(chmod(b->folder, 0755), 0);
	if (!me)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(levee_offline_open(&b->dp, &b->options), -EACCES);
	if (!me)
		assert_int_equal(seteuid(0), 0);
	assert_says(b, 0, b->path, "Permission denied", NULL);
}

static void a_compressed_file_is_refused_with_a_remedy(void **state)
{
	static const struct {
		const char *head, *word;
	} t[] = { { "\x1f\x8b\x08", "gzip -dc" },
		  { "\x28\xb5\x2f\xfd", "zstd -dc" },
		  { "\xfd"
		    "7zXZ",
		    "xz -dc" },
		  { "BZh9", "bzip2 -dc" } };
	struct bed *b = *state;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		write_file(b, t[i].head, strlen(t[i].head));
		assert_refused(b, -EINVAL, t[i].word);
	}
}

static void settings_out_of_range_are_refused(void **state)
{
	struct bed *b = *state;

	write_file(b, "1,192.0.2.1,1\n", 14);
	b->options.rules = LEVEE_RULES_MAX;
	assert_refused(b, -EINVAL, "rules");
	b->options.rules = 64;
	b->options.source6_length = 129;
	assert_refused(b, -EINVAL, "129 bits");
}

/* Put bytes into a pipe, and the pipe in the place of standard input; returns the old one. */
static int feed_standard_input(const void *data, size_t len)
{
	int ends[2], old = dup(STDIN_FILENO);

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], data, len), len);
	close(ends[1]);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	return old;
}

static void restore_standard_input(int old)
{
	if (old < 0) {
		close(STDIN_FILENO);
		return;
	}
	dup2(old, STDIN_FILENO);
	close(old);
}

static void a_csv_is_read_from_standard_input(void **state)
{
	static const char text[] = "1,192.0.2.1,5\nbad\n";
	int old = feed_standard_input(text, sizeof(text) - 1);
	struct bed *b = *state;

	b->options.path = "-";
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
	assert_true(levee_offline_progress(b->dp) < 0);
	take_all(b);
	restore_standard_input(old);
	assert_found(b, "192.0.2.1", 5, 0);
	assert_says(b, 0, "standard input:2: ", NULL);
}

static void a_capture_is_read_from_standard_input(void **state)
{
	size_t len = udp_frame(frame, 0xc6336407, 53);
	struct capture c = { 0 };
	struct bed *b = *state;
	int old;

	begin_pcap(&c, 0xa1b2c3d4, 1);
	for (uint32_t i = 0; i < 5; i++)
		add_packet(&c, 10, i, frame, len, len);
	old = feed_standard_input(c.data, c.len);
	free(c.data);
	b->options.path = "-";
	assert_int_equal(levee_offline_open(&b->dp, &b->options), 0);
	take_all(b);
	restore_standard_input(old);
	assert_found(b, "198.51.100.7", 5, 5 * len);
	assert_clean(b);
}

/* ---- dataplane.c ----------------------------------------------------------------------------- */

static void accounts_add_up_field_by_field(void **state)
{
	struct levee_account sum, more;
	uint64_t *s = (uint64_t *)&sum, *m = (uint64_t *)&more;
	size_t n = sizeof(sum) / sizeof(*s);

	(void)state;
	_Static_assert(!(sizeof(struct levee_account) % sizeof(uint64_t)), "only 64-bit counters");
	for (size_t i = 0; i < n; i++) {
		s[i] = 1000 * (i + 1);
		m[i] = i + 1;
	}
	levee_account_add(&sum, &more);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(s[i], 1001 * (i + 1));
}

static void the_carry_of_squares_goes_to_the_upper_half(void **state)
{
	struct levee_account sum = { .fold = { .sq_lo = UINT64_MAX, .sq_hi = 1 } };
	struct levee_account more = { .fold = { .sq_lo = 2, .sq_hi = 5 } };

	(void)state;
	levee_account_add(&sum, &more);
	assert_int_equal(sum.fold.sq_lo, 1);
	assert_int_equal(sum.fold.sq_hi, 7);
}

static void closing_nothing_is_no_error(void **state)
{
	struct levee_dataplane *dp = NULL;

	(void)state;
	levee_dataplane_close(&dp);
	assert_null(dp);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_csv_is_counted_bin_by_bin),
		T(ipv6_sources_are_masked_to_64_bits),
		T(ipv6_sources_are_masked_as_configured),
		T(sources_of_one_number_in_two_families_are_two),
		T(blanks_comments_and_line_ends_do_not_disturb),
		T(a_heading_is_good_once_and_first),
		T(times_are_exact_to_the_nanosecond),
		T(the_greatest_values_are_taken),
		T(every_bad_line_is_named_and_skipped),
		T(nul_bytes_make_a_bad_line),
		T(ten_bad_lines_are_shown_and_the_rest_counted),
		T(exactly_ten_bad_lines_need_no_count),
		T(a_file_of_bad_lines_alone_is_refused),
		T(a_heading_alone_is_no_data),
		T(lines_above_4096_bytes_are_bad_whatever_the_buffer),
		T(now_is_the_first_record_then_what_was_reached),
		T(the_end_comes_again_and_again),
		T(a_record_at_the_deadline_belongs_to_what_follows),
		T(an_empty_stretch_is_shown_by_the_next_time),
		T(a_line_for_a_closed_bin_is_a_defect_and_not_counted),
		T(the_bin_named_by_the_drain_closes_all_before_it),
		T(a_drained_epoch_must_be_released_first),
		T(epochs_are_numbered_and_carry_their_bin),
		T(a_sink_that_fails_stops_the_drain_and_may_try_again),
		T(peek_shows_the_open_epoch_without_disturbing_it),
		T(what_only_a_kernel_has_is_refused),
		T(a_description_names_file_and_format),
		T(progress_goes_from_0_to_1),
		T(sums_beyond_64_bits_are_a_defect_and_not_counted),
		T(blocked_csv_records_are_dropped_with_all_their_packets),
		T(in_audit_mode_blocked_records_are_counted_besides),
		T(the_allow_list_wins_over_a_block),
		T(a_block_ends_when_the_files_time_says_so),
		T(each_further_share_of_a_source_is_told_of),
		T(a_source_can_be_blocked_within_a_line),
		T(one_host_of_an_ipv6_prefix_can_be_blocked),
		T(scope_does_not_apply_to_a_csv),
		T(every_source_of_every_bin_is_exact),
		T(every_form_of_capture_gives_the_same),
		T(the_packet_table_in_a_capture_has_the_outcomes_it_should),
		T(scope_is_by_protocol_and_port),
		T(allow_comes_before_block_and_block_before_scope),
		T(a_blocked_source_out_of_scope_in_audit_mode_is_both),
		T(a_capture_cut_anywhere_delivers_all_before_the_cut),
		T(a_file_header_cut_short_is_refused),
		T(another_link_type_is_refused_by_name),
		T(packets_up_to_a_second_late_are_counted_later_ones_not),
		T(a_packet_with_an_impossible_time_is_skipped),
		T(a_capture_without_a_packet_is_no_data),
		T(a_packet_of_no_bytes_is_bad_ethernet),
		T(a_missing_file_is_refused),
		T(a_directory_is_refused),
		T(an_empty_file_is_refused),
		T(an_unreadable_file_is_refused),
		T(a_compressed_file_is_refused_with_a_remedy),
		T(settings_out_of_range_are_refused),
		T(a_csv_is_read_from_standard_input),
		T(a_capture_is_read_from_standard_input),
		cmocka_unit_test(accounts_add_up_field_by_field),
		cmocka_unit_test(the_carry_of_squares_goes_to_the_upper_half),
		cmocka_unit_test(closing_nothing_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
