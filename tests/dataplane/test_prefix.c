/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "dataplane/prefix.h"

#define SEED 20260925U

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

static struct levee_prefix random_prefix(uint64_t *random)
{
	struct levee_prefix p = { .family = next_random(random) & 1 ? 4 : 6 };

	p.length = (uint8_t)(next_random(random) % (p.family == 4 ? 33 : 129));
	p.hi = next_random(random);
	if (p.family == 6) {
		/* Some halves are zero, so that :: stands in every place. */
		p.hi = next_random(random) & 3 ? p.hi << 33 ^ next_random(random) : p.hi << 16;
		p.lo = next_random(random) & 1 ? next_random(random) : 0;
		p.lo |= next_random(random) & 1 ? (uint64_t)next_random(random) << 33 : 0;
	} else {
		p.hi = next_random(random) & 1 ? p.hi : p.hi | 0x80000000U;
	}
	levee_prefix_canon(&p);
	return p;
}

/* Parse from a block that ends with the text, so that reading on is seen by ASan. */
static int parse(struct levee_prefix *p, const char *text, const char **why)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ret = levee_prefix_parse(p, copy, len, why);
	free(copy);
	return ret;
}

static void assert_parses(const char *text, const char *as)
{
	char back[LEVEE_PREFIX_TEXT];
	const char *why = NULL;
	struct levee_prefix p;

	if (parse(&p, text, &why)) {
		print_error("%s: %s\n", text, why);
		fail();
	}
	assert_string_equal(levee_prefix_format(&p, back), as);
}

static void addresses_and_prefixes_are_parsed_to_their_numbers(void **state)
{
	struct levee_prefix p;

	(void)state;
	assert_int_equal(parse(&p, "198.51.100.7", NULL), 0);
	assert_int_equal(p.family, 4);
	assert_int_equal(p.length, 32);
	assert_int_equal(p.hi, 0xc6336407);
	assert_int_equal(p.lo, 0);
	assert_int_equal(parse(&p, "2001:db8::1:2", NULL), 0);
	assert_int_equal(p.family, 6);
	assert_int_equal(p.length, 128);
	assert_int_equal(p.hi, 0x20010db800000000ULL);
	assert_int_equal(p.lo, 0x10002);
	assert_int_equal(parse(&p, "2001:db8:8000::/33", NULL), 0);
	assert_int_equal(p.hi, 0x20010db880000000ULL);
	assert_int_equal(p.length, 33);
}

static void text_comes_back_in_canonical_form(void **state)
{
	static const char *const pairs[][2] = {
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "::", "::" },
		{ "::/0", "::/0" },
		{ "::1", "::1" },
		{ "2001:DB8:0:0:0:0:0:1", "2001:db8::1" },
		{ "2001:0db8::0001/128", "2001:db8::1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" }, /* RFC 5952, 4.2.2 */
		{ "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },	    /* 4.2.3, the longer run */
		{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },    /* 4.2.3, the first of two */
		{ "2001:db8::/64", "2001:db8::/64" },
		{ "::ffff:192.0.2.1", "::ffff:192.0.2.1" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/127",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_parses(pairs[i][0], pairs[i][1]);
}

static void host_bits_are_cleared(void **state)
{
	(void)state;
	assert_parses("10.1.2.3/8", "10.0.0.0/8");
	assert_parses("255.255.255.255/1", "128.0.0.0/1");
	assert_parses("255.255.255.255/0", "0.0.0.0/0");
	assert_parses("255.255.255.255/31", "255.255.255.254/31");
	assert_parses("2001:db8:1:2:3:4:5:6/64", "2001:db8:1:2::/64");
	assert_parses("2001:db8:1:2:3:4:5:6/65", "2001:db8:1:2::/65");
	assert_parses("2001:db8:1:2:8003:4:5:6/65", "2001:db8:1:2:8000::/65");
	assert_parses("ffff:ffff::/1", "8000::/1");
}

static void what_is_no_address_is_refused_with_a_reason(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"x",
		"/",
		"/8",
		"1",
		"1.2.3",
		"1.2.3.",
		"1.2.3.4.",
		"1.2.3.4.5",
		".1.2.3.4",
		"1..2.3",
		"1.2.3.256",
		"1.2.3.999",
		"1.2.3.1000",
		"1.2.3.4294967297",
		"010.0.0.1",
		"10.00.0.1",
		"1.2.3.04",
		"+1.2.3.4",
		"-1.2.3.4",
		"1.2.3.-4",
		"0x1.2.3.4",
		" 1.2.3.4",
		"1.2.3.4 ",
		"1.2.3.4\n",
		"1.2.3.4x",
		"1 .2.3.4",
		"1,2,3,4",
		"1.2.3.4/",
		"1.2.3.4/33",
		"1.2.3.4/-1",
		"1.2.3.4/+8",
		"1.2.3.4/08",
		"1.2.3.4/00",
		"1.2.3.4/8 ",
		"1.2.3.4/ 8",
		"1.2.3.4/8x",
		"1.2.3.4/8/8",
		"1.2.3.4/256",
		"1.2.3.4/4294967304",
		"1.2.3.4/0x8",
		"1.2.3.4/255.0.0.0",
		":",
		":::",
		"::1::",
		"1::2::3",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"12345::",
		"g::1",
		"::1%eth0",
		"fe80::1%1",
		"[::1]",
		"::1/129",
		"::1/",
		"::1/999",
		"::1/1000",
		"::1/064",
		"::1.2.3",
		"::1.2.3.256",
		"::01.2.3.4",
		" ::1",
		"::1 ",
		"1:2:3:4:5:6:7:8:1.2.3.4",
		"localhost",
		"example.org",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
		"00000000000000000000000000000000000000000000000000000000000000::1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct levee_prefix p = { .hi = 77, .family = 9 };
		const char *why = NULL;

		if (!parse(&p, bad[i], &why))
			print_error("taken for an address: \"%s\"\n", bad[i]);
		assert_int_equal(parse(&p, bad[i], &why), -EINVAL);
		assert_non_null(why);
		assert_true(strlen(why) > 10);
		assert_int_equal(p.hi, 77); /* untouched */
		assert_int_equal(p.family, 9);
	}
}

static void a_nul_byte_is_part_of_no_address(void **state)
{
	struct levee_prefix p;

	(void)state;
	assert_int_equal(levee_prefix_parse(&p, "1.2.3.4\0", 8, NULL), -EINVAL);
	assert_int_equal(levee_prefix_parse(&p, "1.2.3.4\0/8", 10, NULL), -EINVAL);
	assert_int_equal(levee_prefix_parse(&p, "1.2.3.4/8\0", 10, NULL), -EINVAL);
	assert_int_equal(levee_prefix_parse(&p, "::1\0", 4, NULL), -EINVAL);
	assert_int_equal(levee_prefix_parse(&p, "::1\0::2", 7, NULL), -EINVAL);
}

static void the_length_given_ends_the_text(void **state)
{
	struct levee_prefix p;

	(void)state;
	assert_int_equal(levee_prefix_parse(&p, "1.2.3.45", 7, NULL), 0);
	assert_int_equal(p.hi, 0x01020304);
	assert_int_equal(levee_prefix_parse(&p, "10.0.0.0/24", 10, NULL), 0);
	assert_int_equal(p.length, 2);
	assert_int_equal(levee_prefix_parse(&p, "::12", 3, NULL), 0);
	assert_int_equal(p.lo, 1);
}

static void every_prefix_survives_format_and_parse(void **state)
{
	uint64_t random = SEED;

	(void)state;
	print_message("seed %u\n", SEED);
	for (int i = 0; i < 50000; i++) {
		struct levee_prefix p = random_prefix(&random), back;
		char text[LEVEE_PREFIX_TEXT];

		levee_prefix_format(&p, text);
		assert_true(strlen(text) < LEVEE_PREFIX_TEXT);
		assert_int_equal(parse(&back, text, NULL), 0);
		assert_int_equal(levee_prefix_compare(&p, &back), 0);
		assert_int_equal(levee_prefix_hash(&p), levee_prefix_hash(&back));
	}
}

static void an_ipv4_mapped_address_is_read_as_the_ipv4_one(void **state)
{
	static const char *const pairs[][2] = {
		{ "::ffff:198.51.100.7", "198.51.100.7" },
		{ "::ffff:c633:6407", "198.51.100.7" },
		{ "::ffff:198.51.100.7/120", "198.51.100.0/24" },
		{ "::ffff:0:0/96", "0.0.0.0/0" },
		{ "::ffff:0:0/95", "::fffe:0:0/95" },
		{ "::198.51.100.7", "::198.51.100.7" },
		{ "1::ffff:c633:6407", "1::ffff:c633:6407" },
		{ "198.51.100.7/8", "198.0.0.0/8" },
	};
	char text[LEVEE_PREFIX_TEXT];
	struct levee_prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(levee_prefix_read(&p, pairs[i][0], strlen(pairs[i][0]), NULL), 0);
		assert_string_equal(levee_prefix_format(&p, text), pairs[i][1]);
	}
	/* What a program of ours wrote stays what it was: a packet may have such a source. */
	assert_int_equal(levee_prefix_parse(&p, pairs[0][0], strlen(pairs[0][0]), NULL), 0);
	assert_int_equal(p.family, 6);
	assert_int_equal(levee_prefix_read(&p, "::ffff:1.2.3", 12, NULL), -EINVAL);
}

static void the_longest_text_fits(void **state)
{
	struct levee_prefix p = { UINT64_MAX, UINT64_MAX & ~1ULL, 6, 127 };
	char text[LEVEE_PREFIX_TEXT];

	(void)state;
	levee_prefix_format(&p, text);
	assert_string_equal(text, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
}

static void the_order_is_family_then_number_then_length(void **state)
{
	static const char *const order[] = { "0.0.0.0/0",  "0.0.0.0/8", "0.0.0.0",     "10.0.0.0/8",
					     "10.0.0.0/9", "10.0.0.1",	"255.0.0.0/8", "::/0",
					     "::",	   "::1",	"1::/64",      "1::/65",
					     "1::",	   "1::1",	"8000::/1",    "ffff::" };
	size_t n = sizeof(order) / sizeof(order[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++) {
			struct levee_prefix a, b;
			int got, want = (i > j) - (i < j);

			assert_int_equal(parse(&a, order[i], NULL), 0);
			assert_int_equal(parse(&b, order[j], NULL), 0);
			got = levee_prefix_compare(&a, &b);
			assert_int_equal((got > 0) - (got < 0), want);
		}
	}
}

static void assert_covers(const char *outer, const char *inner, bool want)
{
	struct levee_prefix a, b;

	assert_int_equal(parse(&a, outer, NULL), 0);
	assert_int_equal(parse(&b, inner, NULL), 0);
	if (levee_prefix_covers(&a, &b) != want)
		print_error("%s and %s\n", outer, inner);
	assert_true(levee_prefix_covers(&a, &b) == want);
}

static void a_prefix_covers_itself_and_what_lies_in_it(void **state)
{
	(void)state;
	assert_covers("10.0.0.0/8", "10.0.0.0/8", true);
	assert_covers("10.0.0.0/8", "10.255.255.255", true);
	assert_covers("10.0.0.0/8", "10.1.0.0/16", true);
	assert_covers("0.0.0.0/0", "255.255.255.255", true);
	assert_covers("10.0.0.0/8", "11.0.0.0", false);
	assert_covers("10.0.0.0/8", "9.255.255.255", false);
	assert_covers("10.1.0.0/16", "10.0.0.0/8", false);
	assert_covers("10.0.0.1", "10.0.0.1", true);
	assert_covers("10.0.0.1", "10.0.0.2", false);
	assert_covers("::/0", "2001:db8::1", true);
	assert_covers("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff", true);
	assert_covers("2001:db8::/64", "2001:db8:0:1::", false);
	assert_covers("2001:db8::/65", "2001:db8::8000:0:0:0", false);
	assert_covers("2001:db8::/64", "2001:db8::/63", false);
}

static void families_never_mix(void **state)
{
	(void)state;
	assert_covers("0.0.0.0/0", "::1", false);
	assert_covers("::/0", "1.2.3.4", false);
	assert_covers("::/0", "0.0.0.0/0", false);
}

static void covering_agrees_with_comparing_bit_by_bit(void **state)
{
	uint64_t random = SEED;

	(void)state;
	print_message("seed %u\n", SEED);
	for (int i = 0; i < 50000; i++) {
		struct levee_prefix a = random_prefix(&random), b = a, c;
		unsigned int bits = a.family == 4 ? 32 : 128, flip = next_random(&random) % bits;
		bool want;

		/* b: a with one bit turned, at some length. */
		b.length = (uint8_t)(next_random(&random) % (bits + 1));
		if (a.family == 4)
			b.hi ^= 1ULL << (31 - flip);
		else if (flip < 64)
			b.hi ^= 1ULL << (63 - flip);
		else
			b.lo ^= 1ULL << (127 - flip);
		levee_prefix_canon(&b);
		want = a.length <= b.length && flip >= a.length;
		assert_true(levee_prefix_covers(&a, &b) == want);
		c = a;
		c.length = (uint8_t)(next_random(&random) % (a.length + 1U));
		levee_prefix_canon(&c);
		assert_true(levee_prefix_covers(&c, &a));
	}
}

static void hashes_of_neighbours_spread(void **state)
{
	unsigned int used[1024] = { 0 }, most = 0;

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		struct levee_prefix p = { .hi = 0x0a000000 + i, .family = 4, .length = 32 };
		unsigned int *cell = &used[levee_prefix_hash(&p) % 1024];

		if (++*cell > most)
			most = *cell;
	}
	assert_true(most < 20); /* four on average */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_and_prefixes_are_parsed_to_their_numbers),
		cmocka_unit_test(text_comes_back_in_canonical_form),
		cmocka_unit_test(an_ipv4_mapped_address_is_read_as_the_ipv4_one),
		cmocka_unit_test(host_bits_are_cleared),
		cmocka_unit_test(what_is_no_address_is_refused_with_a_reason),
		cmocka_unit_test(a_nul_byte_is_part_of_no_address),
		cmocka_unit_test(the_length_given_ends_the_text),
		cmocka_unit_test(every_prefix_survives_format_and_parse),
		cmocka_unit_test(the_longest_text_fits),
		cmocka_unit_test(the_order_is_family_then_number_then_length),
		cmocka_unit_test(a_prefix_covers_itself_and_what_lies_in_it),
		cmocka_unit_test(families_never_mix),
		cmocka_unit_test(covering_agrees_with_comparing_bit_by_bit),
		cmocka_unit_test(hashes_of_neighbours_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
