/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/allowlist.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct said {
	unsigned int n;
	char last[512];
	char all[8192];
};

static void note(void *ctx, const char *message)
{
	struct said *said = ctx;
	size_t used = strlen(said->all);

	said->n++;
	snprintf(said->last, sizeof(said->last), "%s", message);
	snprintf(said->all + used, sizeof(said->all) - used, "%s\n", message);
}

static struct levee_prefix prefix(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static bool covers(const struct levee_allowlist *a, const char *text)
{
	struct levee_prefix p = prefix(text);

	return levee_allowlist_covers(a, &p);
}

static bool holds(const struct levee_allowlist *a, const char *text)
{
	struct levee_prefix p = prefix(text);

	for (size_t i = 0; i < a->n; i++)
		if (levee_prefix_compare(&a->list[i], &p) == 0)
			return true;
	return false;
}

static void assert_parses(struct levee_allowlist *a, const char *text)
{
	struct said said = { 0 };

	assert_int_equal(levee_allowlist_parse(a, text, strlen(text), "list", note, &said), 0);
	assert_string_equal(said.all, "");
	assert_int_equal(a->bad_lines, 0);
}

/* ---- parsing ------------------------------------------------------------------------------ */

static void comments_blanks_and_crlf_are_fine(void **state)
{
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_parses(&a,
		      "# head\r\n\r\n  192.0.2.1 \r\n10.1.2.3/8\t# host bits\n\n2001:db8::/32#x\n"
		      "\t198.51.100.0/24");
	assert_int_equal(a.n, 4);
	assert_true(holds(&a, "192.0.2.1"));
	assert_true(holds(&a, "10.0.0.0/8"));
	assert_true(holds(&a, "2001:db8::/32"));
	assert_true(holds(&a, "198.51.100.0/24"));
	levee_allowlist_clear(&a);
}

static void the_list_is_sorted_and_has_each_prefix_once(void **state)
{
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_parses(&a,
		      "2001:db8::\n10.0.0.9/8\n192.0.2.1\n10.0.0.0/8\n10.0.0.0/16\n192.0.2.1\n");
	assert_int_equal(a.n, 4);
	for (size_t i = 1; i < a.n; i++)
		assert_true(levee_prefix_compare(&a.list[i - 1], &a.list[i]) < 0);
	levee_allowlist_clear(&a);
}

static void a_bad_line_is_named_and_the_others_count(void **state)
{
	static const char text[] = "192.0.2.1\nexample.org\n10.0.0.0/33\n192.0.2.2\n";
	struct levee_allowlist a = { 0 };
	struct said said = { 0 };

	(void)state;
	assert_int_equal(levee_allowlist_parse(&a, text, strlen(text), "list", note, &said), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.bad_lines, 2);
	assert_int_equal(said.n, 2);
	assert_non_null(strstr(said.all, "list:2: \"example.org\": "));
	assert_non_null(strstr(said.all, "list:3: \"10.0.0.0/33\": "));
	levee_allowlist_clear(&a);
}

static void ten_bad_lines_are_said_and_then_how_many_more(void **state)
{
	struct levee_allowlist a = { 0 };
	struct said said = { 0 };
	char text[1024] = "";

	(void)state;
	for (int i = 0; i < 25; i++)
		strcat(text, "x\n");
	assert_int_equal(levee_allowlist_parse(&a, text, strlen(text), "list", note, &said), 0);
	assert_int_equal(said.n, 11);
	assert_string_equal(said.last, "list: 15 more bad lines are skipped");
	assert_int_equal(a.bad_lines, 25);
	levee_allowlist_clear(&a);
}

static void a_report_is_one_clean_line(void **state)
{
	static const char text[] = "\x1b[31m\xff\0evil\n";
	struct levee_allowlist a = { 0 };
	struct said said = { 0 };

	(void)state;
	assert_int_equal(levee_allowlist_parse(&a, text, sizeof(text) - 1, "list", note, &said), 0);
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.last, "list:1: \"?[31m?"));
	levee_allowlist_clear(&a);
}

static void an_empty_list_is_a_list(void **state)
{
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_parses(&a, "");
	assert_int_equal(a.n, 0);
	assert_false(covers(&a, "192.0.2.1"));
	levee_allowlist_clear(&a);
}

static void a_hundred_thousand_lines_take_well_under_a_second(void **state)
{
	struct levee_allowlist a = { 0 };
	char *text = malloc(100000 * 20), *at = text;
	struct timespec begin, end;
	double seconds;

	(void)state;
	assert_non_null(text);
	for (unsigned int i = 0; i < 100000; i++) {
		unsigned int x = i * 2654435761U; /* a permutation of 32 bits */

		at += sprintf(at, "%u.%u.%u.%u\n", x >> 24, x >> 16 & 255, x >> 8 & 255, x & 255);
	}
	/* CPU time: others may use the machine. */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	assert_int_equal(levee_allowlist_parse(&a, text, (size_t)(at - text), "list", NULL, NULL),
			 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
	print_message("# 100000 lines: %.3f s\n", seconds);
	assert_int_equal(a.n, 100000);
	assert_true(seconds < 1.0);
	levee_allowlist_clear(&a);
	free(text);
}

/* ---- covering, merging -------------------------------------------------------------------- */

static void a_prefix_is_covered_by_a_wider_one_only(void **state)
{
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_parses(&a, "10.0.0.0/8\n192.0.2.0/30\n2001:db8::/32\nfd00::1\n");
	assert_true(covers(&a, "10.0.0.0/8"));
	assert_true(covers(&a, "10.255.255.255"));
	assert_false(covers(&a, "11.0.0.0"));
	assert_false(covers(&a, "10.0.0.0/7"));
	assert_true(covers(&a, "192.0.2.3"));
	assert_false(covers(&a, "192.0.2.4"));
	assert_true(covers(&a, "2001:db8:1::/64"));
	assert_false(covers(&a, "2001:db9::/64"));
	assert_true(covers(&a, "fd00::1"));
	assert_false(covers(&a, "fd00::/64"));
	levee_allowlist_clear(&a);
}

static void the_zero_prefix_covers_its_family_alone(void **state)
{
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_parses(&a, "::/0\n");
	assert_true(covers(&a, "2001:db8::"));
	assert_false(covers(&a, "192.0.2.1"));
	levee_allowlist_clear(&a);
}

/* Against asking each entry in turn. */
static void covering_agrees_with_a_plain_search(void **state)
{
	const unsigned int seed = 7;
	struct levee_allowlist a = { 0 };
	char text[2048] = "";

	(void)state;
	print_message("# seed %u\n", seed);
	srandom(seed);
	for (int i = 0; i < 60; i++) {
		size_t used = strlen(text);

		snprintf(text + used, sizeof(text) - used, "%ld.%ld.0.0/%ld\n", random() % 4,
			 random() % 8, 6 + random() % 12);
	}
	assert_parses(&a, text);
	for (int i = 0; i < 20000; i++) {
		struct levee_prefix p = { .family = 4, .length = (uint8_t)(random() % 33) };
		bool plain = false;

		p.hi = (uint64_t)(random() % 8) << 24 | (uint64_t)(random() % 16) << 16;
		levee_prefix_canon(&p);
		for (size_t k = 0; k < a.n; k++)
			plain |= levee_prefix_covers(&a.list[k], &p);
		assert_int_equal(levee_allowlist_covers(&a, &p), plain);
	}
	levee_allowlist_clear(&a);
}

static void a_merge_is_the_union(void **state)
{
	struct levee_allowlist a = { 0 }, b = { 0 }, both = { 0 };

	(void)state;
	assert_parses(&a, "10.0.0.0/8\n192.0.2.1\n");
	assert_parses(&b, "192.0.2.1\n2001:db8::/32\n");
	assert_int_equal(levee_allowlist_merge(&both, &a, &b), 0);
	assert_int_equal(both.n, 3);
	levee_allowlist_clear(&both);
	levee_allowlist_clear(&a);
	levee_allowlist_clear(&b);
}

static void a_merge_may_go_into_one_of_its_parts(void **state)
{
	struct levee_allowlist a = { 0 }, b = { 0 };

	(void)state;
	assert_parses(&a, "10.0.0.0/8\n");
	assert_parses(&b, "192.0.2.1\n");
	assert_int_equal(levee_allowlist_merge(&a, &a, &b), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(levee_allowlist_merge(&a, &b, &a), 0);
	assert_int_equal(a.n, 2);
	assert_int_equal(levee_allowlist_merge(&a, &a, &a), 0);
	assert_int_equal(a.n, 2);
	levee_allowlist_clear(&a);
	levee_allowlist_clear(&b);
}

/* ---- files -------------------------------------------------------------------------------- */

static char directory[64];

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/levee-allowlist-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static const char *write_file(const char *name, const char *text)
{
	const char *path = in_directory(name);
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	return path;
}

static void a_file_replaces_the_list(void **state)
{
	struct levee_allowlist a = { 0 };
	struct said said = { 0 };

	(void)state;
	assert_parses(&a, "10.0.0.0/8\n");
	assert_int_equal(
		levee_allowlist_read(&a, write_file("list", "192.0.2.1\nbad\n"), note, &said), 0);
	assert_int_equal(a.n, 1);
	assert_true(holds(&a, "192.0.2.1"));
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.last, "/list:2: \"bad\""));
	levee_allowlist_clear(&a);
}

static void assert_keeps_last_good(const char *path, int error, const char *why)
{
	struct levee_allowlist a = { 0 };
	struct said said = { 0 };

	assert_parses(&a, "10.0.0.0/8\n");
	assert_int_equal(levee_allowlist_read(&a, path, note, &said), error);
	assert_int_equal(a.n, 1);
	assert_true(holds(&a, "10.0.0.0/8"));
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.last, why));
	assert_non_null(strstr(said.last, "the list of before stays in force"));
	levee_allowlist_clear(&a);
}

static void a_missing_file_leaves_the_last_good_list(void **state)
{
	(void)state;
	assert_keeps_last_good(in_directory("none"), -ENOENT, "No such file");
}

static void a_directory_leaves_the_last_good_list(void **state)
{
	(void)state;
	assert_keeps_last_good(directory, -EISDIR, "Is a directory");
}

static void a_pipe_leaves_the_last_good_list_and_does_not_block(void **state)
{
	const char *path = in_directory("pipe");

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_keeps_last_good(path, -EINVAL, "not a regular file");
}

static void a_huge_file_leaves_the_last_good_list(void **state)
{
	const char *path = write_file("huge", "");

	(void)state;
	assert_int_equal(truncate(path, (64 << 20) + 1), 0);
	assert_keeps_last_good(path, -EFBIG, "larger than 64 MiB");
}

/* ---- automatic entries -------------------------------------------------------------------- */

static void fixed_entries_are_always_there(void **state)
{
	static const char *const always[] = {
		"127.0.0.1", "169.254.169.254", "169.254.1.1",	 "0.0.0.0",	 "::",
		"::1",	     "fe80::1",		"fd00:ec2::254", "fd00:ec2::23",
	};
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_int_equal(levee_allowlist_automatic(&a, NULL, 0), 0);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		assert_true(covers(&a, always[i]));
	assert_false(covers(&a, "192.0.2.1"));
	assert_false(covers(&a, "2001:db8::1"));
	levee_allowlist_clear(&a);
}

static void a_missing_interface_is_an_error_and_the_rest_is_there(void **state)
{
	const char *const names[] = { "lo", "levee-none" };
	struct levee_allowlist a = { 0 };

	(void)state;
	assert_int_equal(levee_allowlist_automatic(&a, names, 2), -ENODEV);
	assert_true(covers(&a, "169.254.169.254"));
	levee_allowlist_clear(&a);
}

static const char setup_network[] =
	"ip link add lv0 type veth peer name lp0 && ip link add lv1 type veth peer name lp1 &&"
	" for i in lo lv0 lp0 lv1 lp1; do ip link set $i up || exit 1; done &&"
	" ip addr add 198.51.100.10/24 dev lv0 && ip addr add 2001:db8:1::10/64 dev lv0 nodad &&"
	" ip addr add 192.0.2.10 peer 192.0.2.20 dev lv0 &&"
	" ip addr add 203.0.113.10/24 dev lv1 &&"
	" ip route add default via 198.51.100.1 &&"
	" ip route add 10.0.0.0/8 via 203.0.113.1 &&"
	" ip route add 10.9.0.0/16 table 100 via 198.51.100.2 &&"
	" ip route add 10.8.0.0/16 nexthop via 198.51.100.3 nexthop via 203.0.113.3 &&"
	" ip route add 10.7.0.0/16 via inet6 2001:db8:1::7 dev lv0 &&"
	" ip -6 route add default via 2001:db8:1::1 dev lv0 &&"
	" ip -6 route add 2001:db8:f::/48 nexthop via 2001:db8:1::2 dev lv0"
	"  nexthop via 2001:db8:1::3 dev lv0";

/* In a network namespace of its own. \return exit code: 0, or the line that failed, or 255 */
static int check_interfaces(void)
{
	const char *const names[] = { "lv0" };
	static const char *const wanted[] = {
		"198.51.100.10", "2001:db8:1::10", "192.0.2.10",    "198.51.100.1",
		"198.51.100.2",	 "198.51.100.3",   "2001:db8:1::7", "2001:db8:1::1",
		"2001:db8:1::2", "2001:db8:1::3",
	};
	static const char *const unwanted[] = {
		"203.0.113.10", "203.0.113.1", "203.0.113.3", "192.0.2.20", "198.51.100.0/24",
	};
	struct levee_allowlist a = { 0 };
	int code = 0;

	if (unshare(CLONE_NEWNET) < 0 || system(setup_network) != 0)
		return 255;
	if (levee_allowlist_automatic(&a, names, 1) != 0)
		return 1;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!holds(&a, wanted[i]))
			code = 10 + (int)i;
	for (size_t i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
		if (covers(&a, unwanted[i]))
			code = 100 + (int)i;
	levee_allowlist_clear(&a);
	return code;
}

static void own_addresses_and_gateways_of_the_named_interface_are_allowed(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("# needs root for a network namespace\n");
		skip();
	}
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(check_interfaces());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 255) {
		print_message("# no network namespace with veth pairs can be made here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_blanks_and_crlf_are_fine),
		cmocka_unit_test(the_list_is_sorted_and_has_each_prefix_once),
		cmocka_unit_test(a_bad_line_is_named_and_the_others_count),
		cmocka_unit_test(ten_bad_lines_are_said_and_then_how_many_more),
		cmocka_unit_test(a_report_is_one_clean_line),
		cmocka_unit_test(an_empty_list_is_a_list),
		cmocka_unit_test(a_hundred_thousand_lines_take_well_under_a_second),
		cmocka_unit_test(a_prefix_is_covered_by_a_wider_one_only),
		cmocka_unit_test(the_zero_prefix_covers_its_family_alone),
		cmocka_unit_test(covering_agrees_with_a_plain_search),
		cmocka_unit_test(a_merge_is_the_union),
		cmocka_unit_test(a_merge_may_go_into_one_of_its_parts),
		cmocka_unit_test(a_file_replaces_the_list),
		cmocka_unit_test(a_missing_file_leaves_the_last_good_list),
		cmocka_unit_test(a_directory_leaves_the_last_good_list),
		cmocka_unit_test(a_pipe_leaves_the_last_good_list_and_does_not_block),
		cmocka_unit_test(a_huge_file_leaves_the_last_good_list),
		cmocka_unit_test(fixed_entries_are_always_there),
		cmocka_unit_test(a_missing_interface_is_an_error_and_the_rest_is_there),
		cmocka_unit_test(own_addresses_and_gateways_of_the_named_interface_are_allowed),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
