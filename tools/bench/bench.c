/* SPDX-License-Identifier: BSD-2-Clause */
/* The bench: what `make bench` runs, by way of bench.sh. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/path.h"
#include "tools/bench/sections.h"

#define ROUNDS	     9
#define ROUNDS_QUICK 3

static const struct {
	const char *name;
	int (*run)(struct bench_run *run);
} section_table[] = {
	{ "counting", bench_counting },	  { "verdicts", bench_verdicts },
	{ "measures", bench_measures },	  { "filter", bench_filter },
	{ "closing", bench_closing },	  { "pressure", bench_pressure },
	{ "replay", bench_replay },	  { "fast", bench_fast },
	{ "detection", bench_detection }, { "service", bench_service },
	{ "dpdk", bench_dpdk },
};

#define SECTIONS (sizeof(section_table) / sizeof(section_table[0]))

static const struct {
	struct option option;
	const char *argument;
	const char *help;
} option_table[] = {
	{ { "levee", required_argument, NULL, 'l' }, "FILE", "the program levee" },
	{ { "pktgen", required_argument, NULL, 'p' }, "FILE", "the program levee-pktgen" },
	{ { "scenario", required_argument, NULL, 's' }, "FILE", "traffic of the pcap file" },
	{ { "dir", required_argument, NULL, 'd' }, "DIR", "for files of a few hundred MB" },
	{ { "json", required_argument, NULL, 'j' }, "FILE", "write the results there" },
	{ { "rounds", required_argument, NULL, 'r' },
	  "N",
	  "samples a figure, 1 to 64 (default 9; 3 if quick)" },
	{ { "quick", no_argument, NULL, 'q' },
	  NULL,
	  "3 samples a figure and short runs: to see that all works" },
	{ { "section", required_argument, NULL, 'o' }, "NAME", "this one only; may be repeated" },
	{ { "against", required_argument, NULL, 'a' },
	  "FILE",
	  "another build of bench.bpf.o, to be measured beside this one" },
	{ { "help", no_argument, NULL, 'h' }, NULL, "print this" },
};

#define OPTIONS (sizeof(option_table) / sizeof(option_table[0]))

struct settings {
	struct bench_run run;
	const char *json;
	bool wanted[SECTIONS];
	bool some;
};

static void print_help(FILE *out)
{
	char text[48];

	fputs("usage: bench [OPTION]...\n\nMeasures Levee on this machine and prints a table. "
	      "Root is needed. `make bench` is the usual way in.\n\n",
	      out);
	for (size_t i = 0; i < OPTIONS; i++) {
		snprintf(text, sizeof(text), "--%s %s", option_table[i].option.name,
			 option_table[i].argument ? option_table[i].argument : "");
		fprintf(out, "  %-20s %s\n", text, option_table[i].help);
	}
	fputs("\nSections:", out);
	for (size_t i = 0; i < SECTIONS; i++)
		fprintf(out, " %s", section_table[i].name);
	fputs("\n", out);
}

static int want(struct settings *s, const char *name)
{
	for (size_t i = 0; i < SECTIONS; i++)
		if (!strcmp(section_table[i].name, name)) {
			s->wanted[i] = true;
			s->some = true;
			return 0;
		}
	bench_complain("no section is called %s; --help lists them", name);
	return -EINVAL;
}

static int set_rounds(struct settings *s, const char *value)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (!*value || *end || n < 1 || n > BENCH_SAMPLES_MAX) {
		bench_complain("--rounds %s: a number from 1 to %d is needed", value,
			       BENCH_SAMPLES_MAX);
		return -EINVAL;
	}
	s->run.rounds = (unsigned int)n;
	return 0;
}

static int set_option(struct settings *s, int option, const char *value)
{
	switch (option) {
	case 'l':
		s->run.levee = value;
		return 0;
	case 'p':
		s->run.pktgen = value;
		return 0;
	case 's':
		s->run.scenario = value;
		return 0;
	case 'd':
		s->run.dir = value;
		return 0;
	case 'j':
		s->json = value;
		return 0;
	case 'a':
		s->run.against = value;
		return 0;
	case 'q':
		s->run.quick = true;
		return 0;
	case 'r':
		return set_rounds(s, value);
	case 'o':
		return want(s, value);
	default: /* getopt has said it */
		return -EINVAL;
	}
}

/* \return 0; -EINVAL, said; 1 if --help was printed */
static int parse(struct settings *s, int argc, char **argv)
{
	struct option options[OPTIONS + 1] = { 0 };
	int option, ret = 0;

	for (size_t i = 0; i < OPTIONS; i++)
		options[i] = option_table[i].option;
	while (!ret && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h') {
			print_help(stdout);
			return 1;
		}
		ret = set_option(s, option, optarg);
	}
	if (!ret && optind < argc) {
		bench_complain("%s: no arguments are expected, only options", argv[optind]);
		ret = -EINVAL;
	}
	return ret;
}

/* After each section, so that what ends the bench early does not take what was measured. */
static int write_json(const struct settings *s)
{
	int ret = s->json ? bench_report_write_json(&s->run.report, s->json) : 0;

	if (ret)
		bench_complain("cannot write %s: %s", s->json, strerror(-ret));
	return ret;
}

static int run_sections(struct settings *s)
{
	int ret = 0, first = 0;

	for (size_t i = 0; i < SECTIONS; i++) {
		if (s->some && !s->wanted[i])
			continue;
		ret = section_table[i].run(&s->run);
		/* What one part cannot do need not keep the others from it. */
		if (ret)
			bench_complain("section %s is not complete: %s", section_table[i].name,
				       strerror(-ret));
		if (ret && !first)
			first = ret;
		bench_report_print(&s->run.report);
		write_json(s);
	}
	return first;
}

int main(int argc, char **argv)
{
	struct settings s;
	int ret;

	memset(&s, 0, sizeof(s));
	ret = parse(&s, argc, argv);
	if (ret)
		return ret > 0 ? 0 : 2;
	if (!s.run.rounds)
		s.run.rounds = s.run.quick ? ROUNDS_QUICK : ROUNDS;
	s.run.cpu = bench_cpu();
	bench_report_init(&s.run.report, stdout);
	ret = bench_pin(s.run.cpu);
	if (!ret)
		ret = bench_touch_init(&s.run.touch);
	if (ret)
		bench_complain("cannot start: %s", strerror(-ret));
	else
		ret = run_sections(&s);
	if (s.run.touch.ns[0].n)
		bench_touch_report(&s.run.touch, &s.run.report);
	bench_subject_report(&s.run.report);
	bench_report_print(&s.run.report);
	if (write_json(&s))
		ret = -EIO;
	bench_touch_clear(&s.run.touch);
	bench_report_clear(&s.run.report);
	return ret ? 1 : 0;
}
