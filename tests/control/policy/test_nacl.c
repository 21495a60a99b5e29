/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy/nacl.h"

static struct levee_nacl_entry rule(uint16_t number, const char *cidr, int protocol)
{
	struct levee_nacl_entry entry = { .number = number, .protocol = (int16_t)protocol };

	assert_int_equal(levee_prefix_parse(&entry.cidr, cidr, strlen(cidr), NULL), 0);
	return entry;
}

static struct levee_nacl_entry ports(const char *cidr, int protocol, int first, int last)
{
	struct levee_nacl_entry entry = rule(100, cidr, protocol);

	entry.port_first = (uint16_t)first;
	entry.port_last = (uint16_t)last;
	return entry;
}

static struct levee_nacl_entry icmp(const char *cidr, int type, int code)
{
	struct levee_nacl_entry entry = rule(100, cidr, 1);

	entry.icmp_type = (int16_t)type;
	entry.icmp_code = (int16_t)code;
	return entry;
}

static void what_does_not_matter_for_the_protocol_does_not_tell_rules_apart(void **state)
{
	struct levee_nacl_entry a = ports("10.0.0.0/8", LEVEE_NACL_ALL, 1, 2);
	struct levee_nacl_entry b = rule(100, "10.0.0.0/8", LEVEE_NACL_ALL);

	(void)state;
	b.cidr.hi |= 5;
	b.icmp_type = 3;
	levee_nacl_canon(&a);
	levee_nacl_canon(&b);
	assert_true(levee_nacl_equal(&a, &b));
}

static void rules_that_differ_in_one_thing_are_not_equal(void **state)
{
	const struct levee_nacl_entry base = ports("10.0.0.0/8", 6, 1, 2);
	struct levee_nacl_entry other[7];

	(void)state;
	for (int i = 0; i < 7; i++)
		other[i] = base;
	other[0].number = 101;
	other[1].egress = true;
	other[2].action = LEVEE_NACL_ALLOW;
	other[3].protocol = 17;
	other[4].port_first = 0;
	other[5].port_last = 3;
	other[6].cidr.length = 9;
	for (int i = 0; i < 7; i++)
		assert_false(levee_nacl_equal(&base, &other[i]));
	assert_true(levee_nacl_equal(&base, &base));
}

static void only_an_ingress_rule_for_all_protocols_in_the_range_looks_like_levees(void **state)
{
	const struct levee_nacl_range range = { 10, 20 };
	struct levee_nacl_entry entry = rule(10, "192.0.2.1", LEVEE_NACL_ALL);

	(void)state;
	assert_true(levee_nacl_is_reserved(&entry, range));
	entry.number = 20;
	assert_true(levee_nacl_is_reserved(&entry, range));
	entry.number = 21;
	assert_false(levee_nacl_is_reserved(&entry, range));
	entry.number = 9;
	assert_false(levee_nacl_is_reserved(&entry, range));
	entry = rule(15, "192.0.2.1", 6);
	assert_false(levee_nacl_is_reserved(&entry, range));
	entry = rule(15, "0.0.0.0/0", LEVEE_NACL_ALL);
	assert_false(levee_nacl_is_reserved(&entry, range));
	entry = rule(15, "192.0.2.1", LEVEE_NACL_ALL);
	entry.egress = true;
	assert_false(levee_nacl_is_reserved(&entry, range));
}

static void check_pair(struct levee_nacl_entry outer, struct levee_nacl_entry inner, bool overlaps,
		       bool covers)
{
	assert_int_equal(levee_nacl_overlaps(&outer, &inner), overlaps);
	assert_int_equal(levee_nacl_overlaps(&inner, &outer), overlaps);
	assert_int_equal(levee_nacl_covers(&outer, &inner), covers);
}

static void overlap_and_cover_ask_address_protocol_ports_and_types(void **state)
{
	struct levee_nacl_entry egress = rule(1, "10.0.0.0/8", LEVEE_NACL_ALL);

	(void)state;
	egress.egress = true;
	check_pair(rule(1, "10.0.0.0/8", -1), rule(2, "10.1.0.0/16", -1), true, true);
	check_pair(rule(1, "10.1.0.0/16", -1), rule(2, "10.0.0.0/8", -1), true, false);
	check_pair(rule(1, "10.0.0.0/8", -1), rule(2, "11.0.0.0/8", -1), false, false);
	check_pair(rule(1, "10.0.0.0/8", -1), egress, false, false);
	check_pair(rule(1, "0.0.0.0/0", -1), rule(2, "::/0", -1), false, false);
	check_pair(rule(1, "0.0.0.0/0", -1), ports("10.0.0.0/8", 6, 1, 2), true, true);
	check_pair(ports("10.0.0.0/8", 6, 1, 2), rule(1, "10.0.0.0/8", -1), true, false);
	check_pair(ports("10.0.0.0/8", 6, 1, 9), ports("10.0.0.0/8", 6, 9, 12), true, false);
	check_pair(ports("10.0.0.0/8", 6, 1, 9), ports("10.0.0.0/8", 6, 2, 9), true, true);
	check_pair(ports("10.0.0.0/8", 6, 1, 9), ports("10.0.0.0/8", 6, 10, 12), false, false);
	check_pair(ports("10.0.0.0/8", 6, 1, 9), ports("10.0.0.0/8", 17, 1, 9), false, false);
	check_pair(icmp("10.0.0.0/8", -1, -1), icmp("10.0.0.0/8", 8, 0), true, true);
	check_pair(icmp("10.0.0.0/8", 8, 0), icmp("10.0.0.0/8", 8, -1), true, false);
	check_pair(icmp("10.0.0.0/8", 8, 0), icmp("10.0.0.0/8", 3, 0), false, false);
	check_pair(rule(1, "10.0.0.0/8", 47), rule(2, "10.0.0.0/8", 47), true, true);
	check_pair(rule(1, "10.0.0.0/8", 47), rule(2, "10.0.0.0/8", 50), false, false);
}

static void a_mark_is_read_as_it_was_written(void **state)
{
	struct levee_nacl_mark mark = { .range = { 1, 32766 } }, back;
	char text[LEVEE_NACL_MARK_TEXT];

	(void)state;
	assert_string_equal(levee_nacl_mark_write(&mark, text), "1-32766");
	assert_int_equal(levee_nacl_mark_read(&back, text), 0);
	assert_true(levee_nacl_mark_equal(&mark, &back));
	for (mark.n = 0; mark.n < LEVEE_NACL_MARK_MAX; mark.n++)
		mark.numbers[mark.n] = (uint16_t)(32000 + 2 * mark.n);
	levee_nacl_mark_write(&mark, text);
	assert_true(strlen(text) < LEVEE_NACL_MARK_TEXT);
	assert_int_equal(levee_nacl_mark_read(&back, text), 0);
	assert_true(levee_nacl_mark_equal(&mark, &back));
	back.numbers[7]++;
	assert_false(levee_nacl_mark_equal(&mark, &back));
	assert_true(levee_nacl_mark_has(&mark, 32014));
	assert_false(levee_nacl_mark_has(&mark, 32015));
}

static void a_mark_that_somebody_changed_is_refused(void **state)
{
	static const char *const texts[] = {
		"",	   "0",	      "1",	    "1-",	"-9",	    "0-9",
		"9-1",	   "1-99:",   "1-99:5,6",   "1-99:6:5", "1-99:5:5", "1-99 ",
		"1-99:05", "1-32767", "1-99:99999", "yes",
	};
	char many[LEVEE_NACL_MARK_TEXT * 2] = "1-99";
	struct levee_nacl_mark mark;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(levee_nacl_mark_read(&mark, texts[i]), -EINVAL);
	for (int i = 0; i <= LEVEE_NACL_MARK_MAX; i++) {
		char *end = many + strlen(many);

		end[0] = ':';
		end[1] = '1';
		end[2] = (char)('0' + i / 10);
		end[3] = (char)('0' + i % 10);
		end[4] = '\0';
	}
	assert_int_equal(levee_nacl_mark_read(&mark, many), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_matter_for_the_protocol_does_not_tell_rules_apart),
		cmocka_unit_test(rules_that_differ_in_one_thing_are_not_equal),
		cmocka_unit_test(
			only_an_ingress_rule_for_all_protocols_in_the_range_looks_like_levees),
		cmocka_unit_test(overlap_and_cover_ask_address_protocol_ports_and_types),
		cmocka_unit_test(a_mark_is_read_as_it_was_written),
		cmocka_unit_test(a_mark_that_somebody_changed_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
