/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/tools/pktgen_test.h"

#include <errno.h>
#include <glob.h>
#include <math.h>

#define GOOD "[scenario]\nduration = 10\n[a]\nprefix = 198.18.0.0/16\nrate = 5\n"

static void every_scenario_of_the_library_is_accepted(void **state)
{
	glob_t found;

	(void)state;
	assert_int_equal(glob("tools/scenarios/*.ini", 0, NULL, &found), 0);
	assert_true(found.gl_pathc >= 9);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct pktgen_scenario s;

		assert_int_equal(pktgen_scenario_read(&s, found.gl_pathv[i], NULL, 0, stderr), 0);
		pktgen_scenario_clear(&s);
	}
	globfree(&found);
}

static void keys_that_are_not_given_have_the_defaults_of_the_table(void **state)
{
	struct pktgen_scenario s;

	(void)state;
	read_good(&s, GOOD);
	assert_int_equal(s.bin_s, 60);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.population[0].sources, 1);
	assert_int_equal(s.population[0].step, 32);
	assert_int_equal(s.population[0].port, 443);
	assert_int_equal(s.population[0].tcp_flags, 0x02);
	assert_int_equal(s.population[0].size, 60);
	assert_true(s.population[0].weight[PKTGEN_TCP] == 1.0);
	assert_int_equal(s.population[0].destination.hi, 0xc0000201);
	pktgen_scenario_clear(&s);
}

static void an_ipv6_source_is_a_64_in_a_shorter_prefix_and_an_address_in_a_longer_one(void **state)
{
	struct pktgen_scenario s;

	(void)state;
	read_good(&s,
		  "[a]\nprefix = 2001:db8::/40\nrate = 1\n[b]\nprefix = 2001:db8::/64\nrate = 1\n");
	assert_int_equal(s.population[0].step, 64);
	assert_int_equal(s.population[1].step, 128);
	pktgen_scenario_clear(&s);
}

struct bad {
	const char *what;
	const char *text;
	const char *error; /* after "FILE:" */
};

static const struct bad bad[] = {
	{ "a key with a slip in it", GOOD "spofed = yes\n",
	  "6: [a] spofed: there is no such key; did you mean spoofed?" },
	{ "an unknown key", GOOD "colour = red\n", "6: [a] colour: there is no such key" },
	{ "an unknown key of the scenario", "[scenario]\nrate = 5\n" GOOD,
	  "2: [scenario] rate: there is no such key" },
	{ "a rate that is no number", "[a]\nprefix = 198.18.0.0/16\nrate = fast\n",
	  "3: [a] rate = fast: not understood; accepted: 0.000001 to 1e9 [packets/s]" },
	{ "a negative rate", "[a]\nprefix = 198.18.0.0/16\nrate = -5\n",
	  "3: [a] rate = -5: not understood" },
	{ "a rate of nan", "[a]\nprefix = 198.18.0.0/16\nrate = nan\n",
	  "3: [a] rate = nan: not understood" },
	{ "a prefix that is none", "[a]\nprefix = 198.18/16\nrate = 5\n",
	  "2: [a] prefix = 198.18/16: not understood" },
	{ "no sources", GOOD "sources = 0\n", "6: [a] sources = 0: not understood" },
	{ "too many sources", GOOD "sources = 16000001\n",
	  "6: [a] sources = 16000001: not understood; accepted: 1 to 16000000" },
	{ "a number with a tail", GOOD "sources = 5x\n", "6: [a] sources = 5x" },
	{ "more sources than the prefix has", GOOD "sources = 65537\n",
	  "3: [a]: prefix 198.18.0.0/16 has room for 65536 sources in steps of /32" },
	{ "a distribution without its argument", GOOD "distribution = zipf\n",
	  "6: [a] distribution = zipf: not understood; accepted: constant, poisson, zipf(S)" },
	{ "a distribution with an argument too many", GOOD "distribution = zipf(1, 2)\n",
	  "6: [a] distribution = zipf(1, 2)" },
	{ "a parenthesis that stays open", GOOD "distribution = lognormal(0, 1\n",
	  "6: [a] distribution = lognormal(0, 1" },
	{ "a shape without its times", GOOD "shape = bursts(5)\n", "6: [a] shape = bursts(5)" },
	{ "a burst of no length", GOOD "shape = bursts(0, 5)\n", "6: [a] shape = bursts(0, 5)" },
	{ "an unknown protocol", GOOD "protocols = tcp:1 sctp:1\n",
	  "6: [a] protocols = tcp:1 sctp:1" },
	{ "protocols without weight", GOOD "protocols = tcp:0\n", "6: [a] protocols = tcp:0" },
	{ "a port beyond the last", GOOD "port = 65536\n", "6: [a] port = 65536" },
	{ "an unknown TCP flag", GOOD "tcp_flags = syn+xmas\n", "6: [a] tcp_flags = syn+xmas" },
	{ "a frame too short", GOOD "size = 59\n", "6: [a] size = 59" },
	{ "three tags", GOOD "vlan = 1 2 3\n", "6: [a] vlan = 1 2 3" },
	{ "a tag beyond the last", GOOD "vlan = 4095\n", "6: [a] vlan = 4095" },
	{ "a share above one", GOOD "fragments = 1.5\n", "6: [a] fragments = 1.5" },
	{ "a MAC address cut short", GOOD "destination_mac = 02:00:00:00:00\n",
	  "6: [a] destination_mac = 02:00:00:00:00" },
	{ "a key given twice", GOOD "rate = 6\n", "6: [a] rate: given twice" },
	{ "a section given twice", GOOD "[a]\n", "6: [a]: there is one in line 3 already" },
	{ "a section without keys", GOOD "[b]\n", "6: [b]: prefix is missing" },
	{ "a missing rate", "[a]\nprefix = 198.18.0.0/16\n", "1: [a]: rate is missing" },
	{ "a section name with a comma", "[a,b]\nprefix = 198.18.0.0/16\nrate = 1\n",
	  "1: [a,b]: not a name" },
	{ "a key before any section", "rate = 5\n" GOOD, "1: rate: stands before any section" },
	{ "a line that is no setting", GOOD "what is this\n", "6: neither [section] nor key" },
	{ "a line too long",
	  GOOD "port = 0000000000000000000000000000000000000000000000000000000000000000000000000000"
	       "000000000000000000000000000000000000000000000000000000000000000000000000000000000"
	       "000000000000000000000000000000000000000000000000000000000000000000000000000443\n",
	  "6: the line is longer than" },
	{ "families that differ", GOOD "destination = 2001:db8::1\n",
	  "3: [a]: prefix and destination are of different families" },
	{ "a start after the end", GOOD "start = 10\n", "3: [a]: starts at 10 s" },
	{ "rotating IPv4", GOOD "rotate = yes\n", "3: [a]: rotate needs IPv6" },
	{ "spoofed sources of unequal rates", GOOD "spoofed = yes\ndistribution = zipf(1)\n",
	  "3: [a]: spoofed sources send once" },
	{ "spoofed and sources", GOOD "spoofed = yes\nsources = 5\n",
	  "3: [a]: spoofed and sources" },
	{ "more spoofed packets than addresses",
	  GOOD "spoofed = yes\n[b]\nprefix = 192.0.2.0/24\n"
	       "spoofed = yes\nrate = 26\n",
	  "7: [b]: prefix 192.0.2.0/24 has room for 256 sources" },
	{ "a step above the prefix", GOOD "step = 15\n", "3: [a]: step = 15: accepted: 16" },
	{ "a step beyond the address", GOOD "step = 33\n", "3: [a]: step = 33" },
	{ "no population", "[scenario]\nseed = 1\n", " no population" },
	{ "an empty file", "", " no population" },
};

static void a_defect_is_told_with_its_line_its_value_and_what_is_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct pktgen_scenario s;
		char *errors = NULL;
		const char *colon;

		assert_int_equal(read_text(&s, bad[i].text, &errors), -EINVAL);
		pktgen_scenario_clear(&s);
		colon = strchr(errors, ':');
		if (!colon || strncmp(colon + 1, bad[i].error, strlen(bad[i].error)) != 0)
			fail_msg("%s: expected \"%s\", got \"%s\"", bad[i].what, bad[i].error,
				 errors);
		free(errors);
	}
}

static void all_defects_of_a_file_are_told_at_once(void **state)
{
	struct pktgen_scenario s;
	char *errors = NULL;

	(void)state;
	assert_int_equal(read_text(&s, "[a]\nprefix = x\nrate = y\nsize = z\n", &errors), -EINVAL);
	assert_non_null(strstr(errors, ":2: "));
	assert_non_null(strstr(errors, ":3: "));
	assert_non_null(strstr(errors, ":4: "));
	pktgen_scenario_clear(&s);
	free(errors);
}

static void a_file_that_is_not_there_is_an_error(void **state)
{
	struct pktgen_scenario s;
	FILE *out = fopen("/dev/null", "w");

	(void)state;
	assert_int_equal(pktgen_scenario_read(&s, "/nonexistent.ini", NULL, 0, out), -ENOENT);
	pktgen_scenario_clear(&s);
	fclose(out);
}

static void overrides_replace_what_the_file_says(void **state)
{
	const char *const overrides[] = { "scenario.seed=77", "a.rate=9" };
	struct pktgen_scenario s;
	char path[32];

	(void)state;
	write_text(path, GOOD);
	assert_int_equal(pktgen_scenario_read(&s, path, overrides, 2, stderr), 0);
	assert_int_equal(s.seed, 77);
	assert_true(s.population[0].rate == 9.0);
	pktgen_scenario_clear(&s);
	unlink(path);
}

static void an_override_of_what_is_not_there_is_an_error(void **state)
{
	static const char *const overrides[] = { "b.rate=9", "rate=9", "a.rate",
						 "a.rate=x", ".=",     "a.colour=red" };
	FILE *out = fopen("/dev/null", "w");
	char path[32];

	(void)state;
	write_text(path, GOOD);
	for (size_t i = 0; i < sizeof(overrides) / sizeof(overrides[0]); i++) {
		struct pktgen_scenario s;

		assert_int_equal(pktgen_scenario_read(&s, path, &overrides[i], 1, out), -EINVAL);
		pktgen_scenario_clear(&s);
	}
	unlink(path);
	fclose(out);
}

static void a_shape_and_its_inverse_undo_each_other(void **state)
{
	static const struct pktgen_population shapes[] = {
		{ .shape = PKTGEN_STEADY },
		{ .shape = PKTGEN_RAMP },
		{ .shape = PKTGEN_RAMP, .shape_a = 30 },
		{ .shape = PKTGEN_BURSTS, .shape_a = 5, .shape_b = 7 },
		{ .shape = PKTGEN_DIURNAL, .shape_a = 25 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		double end = pktgen_shape_elapsed(&shapes[i], 100, 100);

		for (int k = 1; k < 1000; k++) {
			double s = end * k / 1000;
			double t = pktgen_shape_inverse(&shapes[i], 100, s);

			assert_true(t >= 0 && t <= 100);
			assert_true(fabs(pktgen_shape_elapsed(&shapes[i], 100, t) - s) < 1e-6);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_scenario_of_the_library_is_accepted),
		cmocka_unit_test(keys_that_are_not_given_have_the_defaults_of_the_table),
		cmocka_unit_test(
			an_ipv6_source_is_a_64_in_a_shorter_prefix_and_an_address_in_a_longer_one),
		cmocka_unit_test(a_defect_is_told_with_its_line_its_value_and_what_is_accepted),
		cmocka_unit_test(all_defects_of_a_file_are_told_at_once),
		cmocka_unit_test(a_file_that_is_not_there_is_an_error),
		cmocka_unit_test(overrides_replace_what_the_file_says),
		cmocka_unit_test(an_override_of_what_is_not_there_is_an_error),
		cmocka_unit_test(a_shape_and_its_inverse_undo_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
