/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * levee-pktgen: traffic with known truth. A scenario file says who sends what; the packets go
 * into a pcap file or onto an interface, and the truth into a CSV file.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pktgen/link.h"
#include "tools/pktgen/options.h"
#include "tools/pktgen/output.h"
#include "tools/pktgen/port.h"
#include "tools/pktgen/scenario.h"
#include "tools/pktgen/truth.h"

#define EXIT_USAGE     2
#define OVERRIDES_MAX  64
#define START_UNIX_S   1767225600 /* 2026-01-01 00:00:00 UTC: a boundary of every bin up to a day */
#define FLOOD_RAMP_S   1.0
#define SECONDS_MAX    604800.0
#define SUMMARY_SCHEMA 1
#define ABOVE	       12000 /* packets a minute: [detect] min_packets of levee */
#define PROC	       "/proc/net/pktgen"
#define EAL	       "--no-huge --no-pci --no-shconf --no-telemetry -m 64 --log-level=3"

/* ---- options ---------------------------------------------------------------------------------- */

struct options {
	const char *scenario, *pcap, *interface, *live, *kernel, *proc, *dpdk, *eal;
	const char *namespace, *truth, *times;
	bool sum_spoofed, json, flood, check, keys, own, help, ramp_given;
	unsigned int source6_bits;
	uint64_t start_unix_s, packets, above;
	double from_s, speed, scale, rate, ramp_s, duration_s;
	size_t overrides_n;
	const char *overrides[OVERRIDES_MAX];
	char seed[40];
};

static void print_help(FILE *out)
{
	fputs("usage: levee-pktgen --pcap FILE | --interface IF | --live IF | --kernel IF |\n"
	      "                    --dpdk PORT [OPTION...] SCENARIO\n"
	      "       levee-pktgen --check SCENARIO\n"
	      "\n"
	      "Makes the traffic of a scenario file and says what it was.\n\n",
	      out);
	for (size_t i = 0; i < PKTGEN_OPTIONS; i++) {
		const struct pktgen_option *o = &pktgen_options[i];
		char left[48];

		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
			 o->value ? o->value : "");
		fprintf(out, "  %-24s %s\n", left, o->help);
	}
	fputs("\n"
	      "Packets sent onto an interface count in the bin of the wall clock at sending.\n"
	      "Exit code: 0 sent, or stopped by SIGINT or SIGTERM; 1 failed; 2 wrong option,\n"
	      "wrong scenario, or refused.\n",
	      out);
}

static int __attribute__((format(printf, 1, 2))) usage(const char *format, ...)
{
	va_list args;

	fputs("levee-pktgen: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

static int number(const char *name, const char *text, double low, double high, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= low && v <= high))
		return usage("--%s %s: accepted: %g to %g", name, text, low, high);
	*out = v;
	return 0;
}

static int integer(const char *name, const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (end == text || *end || text[0] == '-' || errno || v < low || v > high)
		return usage("--%s %s: accepted: %" PRIu64 " to %" PRIu64, name, text, low, high);
	*out = v;
	return 0;
}

static int add_override(struct options *o, const char *text)
{
	if (o->overrides_n == OVERRIDES_MAX)
		return usage("more than %d times --set; put them into a scenario file",
			     OVERRIDES_MAX);
	o->overrides[o->overrides_n++] = text;
	return 0;
}

static int take_number(struct options *o, const struct pktgen_option *row, const char *value)
{
	uint64_t bits;
	int ret;

	switch (row->id) {
	case OPT_SOURCE6:
		ret = integer(row->name, value, 1, 128, &bits);
		if (ret == 0)
			o->source6_bits = (unsigned int)bits;
		return ret;
	case OPT_START_TIME:
		return integer(row->name, value, 0, 4102444800, &o->start_unix_s);
	case OPT_PACKETS:
		return integer(row->name, value, 1, UINT64_MAX, &o->packets);
	case OPT_ABOVE:
		return integer(row->name, value, 0, UINT64_MAX, &o->above);
	case OPT_SCALE:
		return number(row->name, value, 1e-6, 1e6, &o->scale);
	case OPT_FROM:
		return number(row->name, value, 0, SECONDS_MAX, &o->from_s);
	case OPT_SPEED:
		return number(row->name, value, 0.001, 1e6, &o->speed);
	case OPT_RATE:
		return number(row->name, value, 1000, 1e9, &o->rate);
	case OPT_RAMP:
		o->ramp_given = true;
		return number(row->name, value, 0, 3600, &o->ramp_s);
	default:
		return number(row->name, value, 0.001, SECONDS_MAX, &o->duration_s);
	}
}

static int take_option(struct options *o, const struct pktgen_option *row, const char *value)
{
	switch (row->id) {
	case OPT_PCAP:
		o->pcap = value;
		break;
	case OPT_INTERFACE:
		o->interface = value;
		break;
	case OPT_LIVE:
		o->live = value;
		break;
	case OPT_KERNEL:
		o->kernel = value;
		break;
	case OPT_DPDK:
		o->dpdk = value;
		break;
	case OPT_EAL:
		o->eal = value;
		break;
	case OPT_PROC:
		o->proc = value;
		break;
	case OPT_TIMES:
		o->times = value;
		break;
	case OPT_NAMESPACE:
		o->namespace = value;
		break;
	case OPT_TRUTH:
		o->truth = value;
		break;
	case OPT_SUM_SPOOFED:
		o->sum_spoofed = true;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_FLOOD:
		o->flood = true;
		break;
	case OPT_CHECK:
		o->check = true;
		break;
	case OPT_KEYS:
		o->keys = true;
		break;
	case OPT_OWN:
		o->own = true;
		break;
	case OPT_HELP:
		o->help = true;
		break;
	case OPT_SEED:
		snprintf(o->seed, sizeof(o->seed), "scenario.seed=%.24s", value);
		return add_override(o, o->seed);
	case OPT_SET:
		return add_override(o, value);
	default:
		return take_number(o, row, value);
	}
	return 0;
}

static int check_options(const struct options *o)
{
	int outputs = !!o->pcap + !!o->interface + !!o->live + !!o->kernel + !!o->dpdk;

	if (o->help || o->keys)
		return 0;
	if (!o->scenario)
		return usage("no scenario; name a file, such as tools/scenarios/demo.ini");
	if (o->check ? outputs > 0 : outputs != 1)
		return usage("say one of --pcap FILE, --interface IF, --live IF, --kernel IF, "
			     "--dpdk PORT, --check");
	if (o->pcap && (o->namespace || o->flood || o->ramp_given || o->speed > 0))
		return usage("--namespace, --flood, --ramp-up and --speed do nothing with --pcap");
	if (!o->interface && !o->dpdk && o->speed > 0)
		return usage("--speed goes with --interface and --dpdk only");
	if (!o->interface && !o->dpdk && !o->kernel && o->flood)
		return usage("--flood goes with --interface, --dpdk and --kernel only");
	if (!o->dpdk && o->eal)
		return usage("--eal goes with --dpdk only");
	if (!o->live && !o->kernel && o->rate > 0)
		return usage("--rate goes with --live and --kernel only; `rate` in the scenario, "
			     "or --scale, is the rest's");
	if (!o->interface && !o->pcap && o->from_s > 0)
		return usage("--from goes with --interface and --pcap only");
	if (!o->kernel && o->proc)
		return usage("--proc goes with --kernel only");
	if (o->kernel && o->times)
		return usage("--kernel does not say when a source began; --times goes with the "
			     "others");
	return 0;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	struct option longs[PKTGEN_OPTIONS + 1] = { 0 };
	int id, ret = 0;

	memset(o, 0, sizeof(*o));
	o->source6_bits = 64;
	o->start_unix_s = START_UNIX_S;
	o->packets = UINT64_MAX;
	o->above = ABOVE;
	o->scale = 1;
	o->duration_s = SECONDS_MAX;
	for (size_t i = 0; i < PKTGEN_OPTIONS; i++)
		longs[i] = (struct option){ pktgen_options[i].name, pktgen_options[i].value != NULL,
					    NULL, (int)pktgen_options[i].id };
	while (ret == 0 && (id = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (id == '?') /* getopt_long() has said why */
			return -EINVAL;
		ret = take_option(o, &pktgen_options[id - OPT_PCAP], optarg);
	}
	if (ret < 0)
		return ret;
	if (argc - optind > 1)
		return usage("%s: one scenario at a time", argv[optind + 1]);
	o->scenario = argv[optind];
	return check_options(o);
}

/* ---- safety ----------------------------------------------------------------------------------- */

static int allow_target(const struct options *o, const char *name)
{
	struct pktgen_link link;
	int ret = pktgen_link_get(name, &link);

	if (ret < 0)
		return usage("%s: %s; `ip link` lists the interfaces", name, strerror(-ret));
	if (o->own || pktgen_link_is_local(&link) || pktgen_in_namespace())
		return 0;
	return usage("refused: %s (%s) is not loopback, veth, dummy, tap or ifb, and this is the "
		     "network namespace of process 1, so a flood may leave this machine. Send over "
		     "a veth pair or in a namespace of its own (--namespace NAME), or say "
		     "--i-own-this-network if all of that network is yours to flood",
		     name, link.kind[0] ? link.kind : "no virtual device");
}

static int allow_interfaces(const struct options *o, const char *devices)
{
	char interface[64];
	int ret = 0;

	while (ret == 0 && (devices = pktgen_port_interface(devices, interface, sizeof(interface))))
		ret = allow_target(o, interface);
	return ret;
}

/*
 * Devices that end on this machine are as good as a veth; one on an interface is as that one. EAL
 * may make the port, or one of the same name, by its own arguments.
 */
static int allow_port(const struct options *o)
{
	/* A tap's iface= names what it makes, and may not be there yet. */
	int ret = strncmp(o->dpdk, "net_tap", 7) ? allow_interfaces(o, o->dpdk) : 0;

	if (ret == 0 && o->eal)
		ret = allow_interfaces(o, o->eal);
	if (ret < 0 || o->own || pktgen_port_is_local(o->dpdk))
		return ret;
	return usage("refused: the DPDK port %.60s may lead out of this machine. Say "
		     "--i-own-this-network if all of that network is yours to flood",
		     o->dpdk);
}

static int enter_and_allow(const struct options *o)
{
	const char *name = o->interface ? o->interface : o->live ? o->live : o->kernel;
	int ret;

	if (o->namespace) {
		ret = pktgen_enter_namespace(o->namespace);
		if (ret < 0)
			return usage("--namespace %s: %s; `ip netns` lists them, and entering "
				     "needs root",
				     o->namespace, strerror(-ret));
	}
	if (o->dpdk)
		return allow_port(o);
	return name ? allow_target(o, name) : 0;
}

/* ---- what it says ----------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct pktgen_run *run)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < run->scenario->n; i++)
		bytes += pktgen_truth_total(run->truth, i)->bytes;
	return bytes;
}

static void print_json(const struct pktgen_run *run, bool stopped)
{
	const struct pktgen_scenario *s = run->scenario;

	printf("{\"schema\": %d, \"scenario\": \"%s\", \"seed\": %" PRIu64 ", \"packets\": %" PRIu64
	       ", \"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"stopped\": %s, \"retries\": %" PRIu64
	       ", \"lag_ms\": %.3f, \"not_taken\": %" PRIu64
	       ", \"rehearsed\": %s, \"populations\": [",
	       SUMMARY_SCHEMA, s->name, s->seed, run->packets, bytes_of(run), run->seconds,
	       stopped ? "true" : "false", run->retries, (double)run->lag_ns * 1e-6, run->not_taken,
	       run->rehearsed ? "true" : "false");
	for (size_t i = 0; i < s->n; i++) {
		const struct pktgen_total *total = pktgen_truth_total(run->truth, i);

		printf("%s{\"name\": \"%s\", \"flooder\": %s, \"sources\": %" PRIu64
		       ", \"packets\": %" PRIu64 ", \"bytes\": %" PRIu64 "}",
		       i ? ", " : "", s->population[i].name,
		       s->population[i].flooder ? "true" : "false", total->sources, total->packets,
		       total->bytes);
	}
	puts("]}");
}

static void print_plain(const struct pktgen_run *run, bool stopped)
{
	const struct pktgen_scenario *s = run->scenario;

	printf("%s, seed %" PRIu64 ": %" PRIu64 " packets, %" PRIu64 " bytes%s\n", s->name, s->seed,
	       run->packets, bytes_of(run), stopped ? ", stopped by a signal" : "");
	for (size_t i = 0; i < s->n; i++) {
		const struct pktgen_total *total = pktgen_truth_total(run->truth, i);

		printf("  %-*s %9" PRIu64 " sources %12" PRIu64 " packets %14" PRIu64 " bytes%s\n",
		       PKTGEN_NAME_MAX - 8, s->population[i].name, total->sources, total->packets,
		       total->bytes, s->population[i].flooder ? "  flooder" : "");
	}
	if (run->seconds > 0)
		printf("%.3f s, %.0f packets/s\n", run->seconds,
		       (double)run->packets / run->seconds);
	if (run->retries)
		printf("the kernel had no room %" PRIu64 " times and was asked again\n",
		       run->retries);
	if (run->lag_ns > 10000000U)
		printf("at worst %.0f ms late: this machine cannot send that fast\n",
		       (double)run->lag_ns * 1e-6);
	if (run->rehearsed)
		printf("%s is not the kernel's: the commands stand there, nothing was sent\n",
		       run->proc);
	if (run->not_taken)
		printf("%" PRIu64 " frames found the receiver's ring full; the truth has them as "
		       "sent\n",
		       run->not_taken);
}

static void print_expected(const struct pktgen_scenario *s)
{
	printf("%s, seed %" PRIu64 ": %g s, bins of %u s\n", s->name, s->seed, s->duration_s,
	       s->bin_s);
	for (size_t i = 0; i < s->n; i++) {
		const struct pktgen_population *p = &s->population[i];
		double expected = pktgen_population_expected(s, p);
		double length_s = pktgen_population_length(s, p);
		char text[LEVEE_PREFIX_TEXT];

		printf("  %-*s %-22s %9.0f sources, %12.0f packets from %g s to %g s%s\n",
		       PKTGEN_NAME_MAX - 8, p->name, levee_prefix_format(&p->prefix, text),
		       p->spoofed ? expected : (double)p->sources, expected, p->start_s,
		       p->start_s + length_s, p->flooder ? "  flooder" : "");
	}
}

/* ---- running ---------------------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

static void on_signal(int number_)
{
	(void)number_;
	stop = 1;
}

static void catch_signals(void)
{
	/* Writing the truth goes on; naps and the kernel's frame maker end all the same. */
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run_output(struct pktgen_run *run, const struct options *o)
{
	int ret, finished;

	if (o->pcap)
		ret = pktgen_output_pcap(run, o->pcap);
	else if (o->interface)
		ret = pktgen_output_interface(run, o->interface);
	else if (o->live)
		ret = pktgen_output_live(run, o->live);
	else if (o->dpdk)
		ret = pktgen_output_dpdk(run, o->dpdk);
	else
		ret = pktgen_output_kernel(run, o->kernel);
	/* Also after a failure: what was sent was sent. */
	finished = pktgen_truth_finish(run->truth);
	if (ret == 0 && finished < 0)
		ret = pktgen_fail(run, finished, "cannot write the truth: %s", strerror(-finished));
	return ret;
}

static int run_scenario(const struct options *o, struct pktgen_scenario *s, FILE *csv, FILE *times)
{
	struct pktgen_truth_params params = { csv, o->source6_bits, o->sum_spoofed, times,
					      o->above };
	struct pktgen_run run = {
		.scenario = s,
		.stop = &stop,
		.max_packets = o->packets,
		.max_s = o->duration_s,
		.from_ns = (uint64_t)(o->from_s * 1e9),
		.start_unix_ns = o->start_unix_s * 1000000000U,
		.speed = o->speed > 0 ? o->speed : 1,
		.flood = o->flood,
		.ramp_s = o->ramp_given			     ? o->ramp_s
			  : o->flood || o->live || o->kernel ? FLOOD_RAMP_S
							     : 0,
		.rate = o->rate,
		.proc = o->proc ? o->proc : PROC,
		.eal = o->eal ? o->eal : EAL,
	};
	const char *why = "no memory";
	int ret = pktgen_truth_new(&run.truth, s, &params, &why);

	if (ret < 0) {
		usage("%s: %s", o->scenario, why);
		return EXIT_USAGE;
	}
	ret = run_output(&run, o);
	if (ret < 0)
		usage("%s", run.error[0] ? run.error : strerror(-ret));
	if (o->json)
		print_json(&run, stop != 0);
	else
		print_plain(&run, stop != 0);
	pktgen_truth_free(&run.truth);
	return ret < 0 || fflush(stdout) != 0;
}

/* \return 0, and NULL for no path; -errno, said */
static int open_csv(const char *path, FILE **out)
{
	*out = NULL;
	if (path && !strcmp(path, "-"))
		return usage("no file is named -: /dev/stdout is standard output");
	if (path)
		*out = fopen(path, "we");
	if (path && !*out)
		return usage("cannot write %s: %s", path, strerror(errno));
	return 0;
}

/* \return the exit code */
static int close_csv(const char *path, FILE *csv)
{
	if (!csv || fclose(csv) == 0)
		return 0;
	usage("cannot write %s: %s", path, strerror(errno));
	return 1;
}

static int run_with_truth(const struct options *o, struct pktgen_scenario *s)
{
	FILE *csv = NULL, *times = NULL;
	int code = 1;

	if (open_csv(o->truth, &csv) == 0 && open_csv(o->times, &times) == 0) {
		catch_signals();
		code = run_scenario(o, s, csv, times);
	}
	code |= close_csv(o->truth, csv);
	code |= close_csv(o->times, times);
	return code;
}

static void scale_rates(struct pktgen_scenario *s, double scale)
{
	for (size_t i = 0; i < s->n; i++)
		s->population[i].rate *= scale;
}

int main(int argc, char **argv)
{
	struct pktgen_scenario s = { 0 };
	struct options o;
	int code = EXIT_USAGE;

	if (parse_options(&o, argc, argv) < 0) {
		fputs("`levee-pktgen --help` lists the options\n", stderr);
		return EXIT_USAGE;
	}
	if (o.help || o.keys) {
		if (o.help)
			print_help(stdout);
		else
			pktgen_scenario_reference(stdout);
		return fflush(stdout) != 0;
	}
	if (pktgen_scenario_read(&s, o.scenario, o.overrides, o.overrides_n, stderr) < 0)
		goto cleanup;
	if (o.pcap && o.duration_s < s.duration_s)
		s.duration_s = o.duration_s;
	scale_rates(&s, o.scale);
	if (o.check) {
		print_expected(&s);
		code = 0;
		goto cleanup;
	}
	if (enter_and_allow(&o) < 0)
		goto cleanup;
	code = run_with_truth(&o, &s);
cleanup:
	pktgen_scenario_clear(&s);
	return code;
}
