/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/scenario.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/nearest.h"

#define SECONDS_MAX 604800.0

/* ---- values ----------------------------------------------------------------------------------- */

/* What a setter gets: the scenario, or one population of it. */
struct target {
	struct pktgen_scenario *s;
	struct pktgen_population *p;
};

static int parse_number(const char *text, double low, double high, double *out)
{
	char *end;
	double v;

	errno = 0;
	v = strtod(text, &end);
	if (end == text || *end || errno || !(v >= low && v <= high))
		return -EINVAL;
	*out = v;
	return 0;
}

static int parse_integer(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
	unsigned long long v;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (*end || errno || v < low || v > high)
		return -EINVAL;
	*out = v;
	return 0;
}

static int parse_bool(const char *text, bool *out)
{
	*out = strcmp(text, "yes") == 0;
	return *out || strcmp(text, "no") == 0 ? 0 : -EINVAL;
}

static int parse_mac(const char *text, uint8_t mac[static 6])
{
	unsigned int b[6];
	char rest;

	if (strlen(text) != 17 || sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2],
					 &b[3], &b[4], &b[5], &rest) != 6)
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)b[i];
	return 0;
}

static int parse_address(const char *text, struct levee_prefix *out)
{
	if (strchr(text, '/'))
		return -EINVAL;
	return levee_prefix_parse(out, text, strlen(text), NULL);
}

/* "word", "word(a)" or "word(a, b)": the word's length, and how many arguments. */
static int parse_call(const char *text, size_t *word, double args[static 2])
{
	const char *at = strchr(text, '(');
	int n = 0;

	*word = at ? (size_t)(at - text) : strlen(text);
	if (!at)
		return 0;
	do {
		char *end;

		if (n == 2)
			return -EINVAL;
		at++;
		args[n] = strtod(at, &end);
		if (end == at || !isfinite(args[n]))
			return -EINVAL;
		n++;
		at = end + strspn(end, " ");
	} while (*at == ',');
	return strcmp(at, ")") == 0 ? n : -EINVAL;
}

static bool is_word(const char *text, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(text, word, n) == 0;
}

/* ---- the keys of [scenario] ------------------------------------------------------------------- */

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n >= PKTGEN_NAME_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return true;
}

static int set_name(struct target *t, const char *v)
{
	if (!name_ok(v))
		return -EINVAL;
	snprintf(t->s->name, sizeof(t->s->name), "%s", v);
	return 0;
}

static int set_total_duration(struct target *t, const char *v)
{
	return parse_number(v, 0.001, SECONDS_MAX, &t->s->duration_s);
}

static int set_seed(struct target *t, const char *v)
{
	return parse_integer(v, 0, UINT64_MAX, &t->s->seed);
}

static int set_bin(struct target *t, const char *v)
{
	uint64_t bin;
	int ret = parse_integer(v, 1, 86400, &bin);

	if (ret == 0)
		t->s->bin_s = (unsigned int)bin;
	return ret;
}

static int set_destination4(struct target *t, const char *v)
{
	int ret = parse_address(v, &t->s->destination4);

	return ret < 0 || t->s->destination4.family != 4 ? -EINVAL : 0;
}

static int set_destination6(struct target *t, const char *v)
{
	int ret = parse_address(v, &t->s->destination6);

	return ret < 0 || t->s->destination6.family != 6 ? -EINVAL : 0;
}

static int set_scenario_mac(struct target *t, const char *v)
{
	return parse_mac(v, t->s->destination_mac);
}

static int set_scenario_source_mac(struct target *t, const char *v)
{
	return parse_mac(v, t->s->source_mac);
}

/* ---- the keys of a population ----------------------------------------------------------------- */

static int set_prefix(struct target *t, const char *v)
{
	return levee_prefix_parse(&t->p->prefix, v, strlen(v), NULL);
}

static int set_sources(struct target *t, const char *v)
{
	return parse_integer(v, 1, PKTGEN_SOURCES_MAX, &t->p->sources);
}

static int set_step(struct target *t, const char *v)
{
	uint64_t step = 0;

	if (strcmp(v, "auto") != 0 && parse_integer(v, 1, 128, &step) < 0)
		return -EINVAL;
	t->p->step = (unsigned int)step;
	return 0;
}

static int set_order(struct target *t, const char *v)
{
	t->p->spread = strcmp(v, "spread") == 0;
	return t->p->spread || strcmp(v, "consecutive") == 0 ? 0 : -EINVAL;
}

static int set_spoofed(struct target *t, const char *v)
{
	return parse_bool(v, &t->p->spoofed);
}

static int set_rotate(struct target *t, const char *v)
{
	return parse_bool(v, &t->p->rotate);
}

static int set_flooder(struct target *t, const char *v)
{
	return parse_bool(v, &t->p->flooder);
}

static int set_rate(struct target *t, const char *v)
{
	return parse_number(v, 1e-6, 1e9, &t->p->rate);
}

static int set_distribution(struct target *t, const char *v)
{
	struct pktgen_population *p = t->p;
	double args[2] = { 0, 0 };
	size_t word;
	int n = parse_call(v, &word, args);

	p->distribution_a = args[0];
	p->distribution_b = args[1];
	if (n == 0 && is_word(v, word, "constant"))
		p->distribution = PKTGEN_CONSTANT;
	else if (n == 0 && is_word(v, word, "poisson"))
		p->distribution = PKTGEN_POISSON;
	else if (n == 1 && is_word(v, word, "zipf") && args[0] > 0 && args[0] <= 10)
		p->distribution = PKTGEN_ZIPF;
	else if (n == 2 && is_word(v, word, "lognormal") && fabs(args[0]) <= 20 && args[1] >= 0 &&
		 args[1] <= 5)
		p->distribution = PKTGEN_LOGNORMAL;
	else
		return -EINVAL;
	return 0;
}

static int set_start(struct target *t, const char *v)
{
	return parse_number(v, 0, SECONDS_MAX, &t->p->start_s);
}

static int set_duration(struct target *t, const char *v)
{
	t->p->duration_s = 0;
	if (strcmp(v, "rest") == 0)
		return 0;
	return parse_number(v, 0.001, SECONDS_MAX, &t->p->duration_s);
}

static int set_shape(struct target *t, const char *v)
{
	struct pktgen_population *p = t->p;
	double args[2] = { 0, 0 };
	size_t word;
	int n = parse_call(v, &word, args);

	p->shape_a = args[0];
	p->shape_b = args[1];
	if (n == 0 && is_word(v, word, "steady"))
		p->shape = PKTGEN_STEADY;
	else if ((n == 0 || (n == 1 && args[0] > 0)) && is_word(v, word, "ramp"))
		p->shape = PKTGEN_RAMP;
	else if (n == 2 && is_word(v, word, "bursts") && args[0] > 0 && args[1] >= 0)
		p->shape = PKTGEN_BURSTS;
	else if (n == 1 && is_word(v, word, "diurnal") && args[0] > 0)
		p->shape = PKTGEN_DIURNAL;
	else
		return -EINVAL;
	return 0;
}

static int protocol_of(const char *word, size_t n)
{
	static const char *const names[PKTGEN_PROTOCOLS] = { "tcp", "udp", "icmp" };

	for (int i = 0; i < PKTGEN_PROTOCOLS; i++)
		if (is_word(word, n, names[i]))
			return i;
	return -EINVAL;
}

/* "tcp" or "tcp:80 udp:20": weights, made to add up to 1. */
static int set_protocols(struct target *t, const char *v)
{
	double weight[PKTGEN_PROTOCOLS] = { 0 }, sum = 0;

	while (*v) {
		size_t n = strcspn(v, ": ");
		int protocol = protocol_of(v, n);
		double w = 1;

		v += n;
		if (*v == ':') {
			char *end;

			w = strtod(v + 1, &end);
			if (end == v + 1)
				return -EINVAL;
			v = end;
		}
		if (protocol < 0 || !(w >= 0 && w <= 1e6) || weight[protocol] > 0)
			return -EINVAL;
		weight[protocol] = w;
		sum += w;
		if (*v && *v != ' ')
			return -EINVAL;
		v += strspn(v, " ");
	}
	if (!(sum > 0))
		return -EINVAL;
	for (int i = 0; i < PKTGEN_PROTOCOLS; i++)
		t->p->weight[i] = weight[i] / sum;
	return 0;
}

static int set_port(struct target *t, const char *v)
{
	uint64_t port;
	int ret = parse_integer(v, 0, 65535, &port);

	if (ret == 0)
		t->p->port = (uint16_t)port;
	return ret;
}

static int set_source_port(struct target *t, const char *v)
{
	uint64_t port = 0;

	if (strcmp(v, "random") != 0 && parse_integer(v, 1, 65535, &port) < 0)
		return -EINVAL;
	t->p->source_port = (uint16_t)port;
	return 0;
}

static int set_tcp_flags(struct target *t, const char *v)
{
	static const char *const names[] = { "fin", "syn", "rst", "psh", "ack", "urg" };
	unsigned int flags = 0;

	if (strcmp(v, "none") == 0) {
		t->p->tcp_flags = 0;
		return 0;
	}
	for (;;) {
		size_t n = strcspn(v, "+"), i = 0;

		while (i < 6 && !is_word(v, n, names[i]))
			i++;
		if (i == 6)
			return -EINVAL;
		flags |= 1U << i;
		if (!v[n])
			break;
		v += n + 1;
	}
	t->p->tcp_flags = (uint8_t)flags;
	return 0;
}

static int set_size(struct target *t, const char *v)
{
	uint64_t size = 0;

	if (strcmp(v, "imix") != 0 && parse_integer(v, PKTGEN_SIZE_MIN, PKTGEN_SIZE_MAX, &size) < 0)
		return -EINVAL;
	t->p->size = (unsigned int)size;
	return 0;
}

static int set_vlan(struct target *t, const char *v)
{
	unsigned int id[2] = { 0, 0 };
	char rest;
	int n;

	t->p->vlans = 0;
	if (strcmp(v, "none") == 0)
		return 0;
	if (strspn(v, "0123456789 ") != strlen(v))
		return -EINVAL;
	n = sscanf(v, "%4u %4u%c", &id[0], &id[1], &rest);
	if (n < 1 || n > 2 || (n == 1 && strchr(v, ' ')))
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (id[i] < 1 || id[i] > 4094)
			return -EINVAL;
		t->p->vlan[i] = (uint16_t)id[i];
	}
	t->p->vlans = (unsigned int)n;
	return 0;
}

static int set_fragments(struct target *t, const char *v)
{
	return parse_number(v, 0, 1, &t->p->fragments);
}

static int set_options(struct target *t, const char *v)
{
	return parse_number(v, 0, 1, &t->p->options);
}

static int set_extensions(struct target *t, const char *v)
{
	return parse_number(v, 0, 1, &t->p->extensions);
}

static int set_destination(struct target *t, const char *v)
{
	t->p->destination.family = 0;
	if (strcmp(v, "scenario") == 0)
		return 0;
	return parse_address(v, &t->p->destination);
}

static int set_destination_mac(struct target *t, const char *v)
{
	t->p->own_mac = strcmp(v, "scenario") != 0;
	return t->p->own_mac ? parse_mac(v, t->p->destination_mac) : 0;
}

/* ---- the table -------------------------------------------------------------------------------- */

struct key {
	const char *name;
	int (*set)(struct target *t, const char *value);
	const char *value; /* default; NULL: must be given */
	const char *range;
	const char *help;
};

static const struct key scenario_keys[] = {
	{ "name", set_name, "scenario", "up to 31 letters, digits, '-', '_', '.'",
	  "Shown in reports." },
	{ "duration", set_total_duration, "60", "0.001 to 604800 [s]", "When everything is over." },
	{ "seed", set_seed, "1", "0 to 2^64 - 1", "Same seed, same packets." },
	{ "bin", set_bin, "60", "1 to 86400 [s]", "Length of a bin in the truth file." },
	{ "destination", set_destination4, "192.0.2.1", "an IPv4 address",
	  "Where IPv4 packets go." },
	{ "destination6", set_destination6, "2001:db8::1", "an IPv6 address",
	  "Where IPv6 packets go." },
	{ "destination_mac", set_scenario_mac, "02:00:00:00:00:02", "a MAC address",
	  "Of every frame." },
	{ "source_mac", set_scenario_source_mac, "02:00:00:00:00:01", "a MAC address",
	  "Of every frame." },
};

static const struct key population_keys[] = {
	{ "prefix", set_prefix, NULL, "an IPv4 or IPv6 prefix", "Where the sources live." },
	{ "sources", set_sources, "1", "1 to 16000000", "How many there are." },
	{ "step", set_step, "auto", "auto, or 1 to 128 [bits]",
	  "Each source is a prefix of this many bits. auto: single IPv4 addresses; IPv6 /64s in "
	  "a prefix shorter than that, else single addresses." },
	{ "order", set_order, "consecutive", "consecutive, spread",
	  "Neighbours, or strewn over the prefix by a permutation that the seed chooses." },
	{ "spoofed", set_spoofed, "no", "yes, no",
	  "Every packet has a source of its own that never comes back; `rate` is then that of "
	  "the whole population." },
	{ "rotate", set_rotate, "no", "yes, no",
	  "IPv6: the last 64 bits are new with every packet." },
	{ "flooder", set_flooder, "no", "yes, no", "What the truth says of these sources." },
	{ "rate", set_rate, NULL, "0.000001 to 1e9 [packets/s]", "Mean rate of a source." },
	{ "distribution", set_distribution, "constant",
	  "constant, poisson, zipf(S) with 0 < S <= 10, lognormal(MU, SIGMA) with |MU| <= 20 and "
	  "0 <= SIGMA <= 5",
	  "How rates and gaps vary. zipf: the k-th source sends in proportion to k^-S. lognormal: "
	  "each source sends at rate * e^(normal(MU, SIGMA))." },
	{ "start", set_start, "0", "0 to 604800 [s]", "When the first source may send." },
	{ "duration", set_duration, "rest", "rest, or 0.001 to 604800 [s]", "How long." },
	{ "shape", set_shape, "steady",
	  "steady, ramp, ramp(S), bursts(ON, OFF), diurnal(PERIOD) [s]",
	  "How the rate changes: ramp from 0 to `rate` (in S seconds, or all the duration); on "
	  "and off; rate * (1 - 0.9 cos(2 pi t / PERIOD))." },
	{ "protocols", set_protocols, "tcp", "weights, as in tcp:80 udp:15 icmp:5",
	  "Chosen for each packet." },
	{ "port", set_port, "443", "0 to 65535", "Destination port." },
	{ "source_port", set_source_port, "random", "random, or 1 to 65535", "Source port." },
	{ "tcp_flags", set_tcp_flags, "syn", "none, or fin, syn, rst, psh, ack, urg joined by +",
	  "TCP flags." },
	{ "size", set_size, "60", "imix, or 60 to 9014 [bytes]",
	  "Of a frame, Ethernet header and tags included, FCS not; never less than its headers. "
	  "imix: 60, 590 and 1514 bytes as 7:4:1." },
	{ "vlan", set_vlan, "none", "none, or one or two numbers from 1 to 4094",
	  "Tags, the outer first." },
	{ "fragments", set_fragments, "0", "0 to 1",
	  "Share of fragments, half of them first ones." },
	{ "options", set_options, "0", "0 to 1", "Share of packets with IPv4 options." },
	{ "extension_headers", set_extensions, "0", "0 to 1",
	  "Share of packets with IPv6 extension headers." },
	{ "destination", set_destination, "scenario", "an address of the prefix's family",
	  "Where the packets go." },
	{ "destination_mac", set_destination_mac, "scenario", "a MAC address", "Of the frames." },
};

#define SCENARIO_KEYS	(sizeof(scenario_keys) / sizeof(scenario_keys[0]))
#define POPULATION_KEYS (sizeof(population_keys) / sizeof(population_keys[0]))

static const struct key *find_key(bool population, const char *name, unsigned int *index)
{
	const struct key *keys = population ? population_keys : scenario_keys;
	size_t n = population ? POPULATION_KEYS : SCENARIO_KEYS;

	for (size_t i = 0; i < n; i++) {
		if (strcmp(keys[i].name, name) == 0) {
			*index = (unsigned int)i;
			return &keys[i];
		}
	}
	return NULL;
}

static void print_keys(FILE *out, const struct key *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		fprintf(out, "\n  %s = %s\n", keys[i].name,
			keys[i].value ? keys[i].value : "(must be given)");
		fprintf(out, "      %s\n      accepted: %s\n", keys[i].help, keys[i].range);
	}
}

void pktgen_scenario_walk_keys(bool population,
			       void (*each)(void *ctx, const struct pktgen_key_text *key),
			       void *ctx)
{
	const struct key *keys = population ? population_keys : scenario_keys;
	size_t n = population ? POPULATION_KEYS : SCENARIO_KEYS;

	for (size_t i = 0; i < n; i++) {
		struct pktgen_key_text text = { keys[i].name, keys[i].value, keys[i].range,
						keys[i].help };

		each(ctx, &text);
	}
}

void pktgen_scenario_reference(FILE *out)
{
	fputs("A scenario is an INI file; these are its keys with their defaults.\n"
	      "\n[scenario]\n",
	      out);
	print_keys(out, scenario_keys, SCENARIO_KEYS);
	fputs("\n[NAME]   one section for each population of sources\n", out);
	print_keys(out, population_keys, POPULATION_KEYS);
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct reader {
	struct pktgen_scenario *s;
	FILE *file;
	const char *path;
	FILE *errors;
	unsigned int line;
	unsigned int scenario_set; /* keys of [scenario] that were given */
	bool in_scenario;
	bool seen_scenario;
	bool skip; /* the section's name was refused */
	bool bad;
};

static void __attribute__((format(printf, 3, 4)))
complain(struct reader *r, unsigned int line, const char *format, ...)
{
	va_list args;

	r->bad = true;
	if (line)
		fprintf(r->errors, "%s:%u: ", r->path, line);
	else
		fprintf(r->errors, "%s: ", r->path);
	va_start(args, format);
	vfprintf(r->errors, format, args);
	va_end(args);
	fputc('\n', r->errors);
}

static int set_defaults(struct target *t)
{
	const struct key *keys = t->p ? population_keys : scenario_keys;
	size_t n = t->p ? POPULATION_KEYS : SCENARIO_KEYS;

	for (size_t i = 0; i < n; i++)
		if (keys[i].value && keys[i].set(t, keys[i].value) < 0)
			return -EINVAL;
	return 0;
}

static struct pktgen_population *find_population(struct pktgen_scenario *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->population[i].name, name) == 0)
			return &s->population[i];
	return NULL;
}

static void begin_population(struct reader *r, const char *name)
{
	struct pktgen_scenario *s = r->s;
	struct pktgen_population *p = find_population(s, name);

	r->skip = true;
	if (p) {
		complain(r, r->line, "[%s]: there is one in line %u already; rename it", name,
			 p->line);
		return;
	}
	if (!name_ok(name)) {
		complain(r, r->line, "[%s]: not a name; accepted: %s", name,
			 scenario_keys[0].range);
		return;
	}
	if (s->n == PKTGEN_POPULATIONS_MAX) {
		complain(r, r->line, "[%s]: more than %d populations", name,
			 PKTGEN_POPULATIONS_MAX);
		return;
	}
	r->skip = false;
	p = &s->population[s->n++];
	memcpy(p->name, name, strlen(name) + 1); /* name_ok() saw that it fits */
	p->line = r->line;
	set_defaults(&(struct target){ s, p });
}

/* inih says nothing of a section without keys, so sections are seen here, line by line. */
static void see_section(struct reader *r, const char *text)
{
	char name[PKTGEN_NAME_MAX + 1];
	size_t n = strcspn(text, "]\r\n");

	snprintf(name, sizeof(name), "%.*s", (int)n, text);
	r->in_scenario = strcmp(name, "scenario") == 0;
	if (!r->in_scenario) {
		begin_population(r, name);
		return;
	}
	r->skip = false;
	if (r->seen_scenario)
		complain(r, r->line, "[scenario]: a second one; keep one");
	r->seen_scenario = true;
}

static char *read_line(char *text, int size, void *stream)
{
	struct reader *r = stream;
	char *line = fgets(text, size, r->file);
	size_t n;

	if (!line)
		return NULL;
	r->line++;
	n = strlen(line);
	if (n == (size_t)size - 1 && line[n - 1] != '\n') {
		int c;

		complain(r, r->line, "the line is longer than %d characters; shorten it", size - 2);
		while ((c = getc(r->file)) != EOF && c != '\n')
			;
	}
	line += strspn(line, " \t");
	/* A continued value is not a thing of these files: each line speaks for itself. */
	memmove(text, line, strlen(line) + 1);
	if (text[0] == '[')
		see_section(r, text + 1);
	return text;
}

static void complain_of_key(struct reader *r, unsigned int line, bool of_population,
			    const char *section, const char *name)
{
	const struct key *keys = of_population ? population_keys : scenario_keys;
	size_t n = of_population ? POPULATION_KEYS : SCENARIO_KEYS;
	const char *names[SCENARIO_KEYS + POPULATION_KEYS + 1] = { NULL }, *nearest;

	for (size_t i = 0; i < n; i++)
		names[i] = keys[i].name;
	nearest = levee_nearest(name, names);
	if (nearest)
		complain(r, line, "[%s] %s: there is no such key; did you mean %s?", section, name,
			 nearest);
	else
		complain(r, line, "[%s] %s: there is no such key; `levee-pktgen --keys` lists them",
			 section, name);
}

static void put_value(struct reader *r, unsigned int line, struct pktgen_population *p,
		      const char *name, const char *value, bool override)
{
	const char *section = p ? p->name : "scenario";
	unsigned int index, *set = p ? &p->set : &r->scenario_set;
	const struct key *key = find_key(p != NULL, name, &index);

	if (!key) {
		complain_of_key(r, line, p != NULL, section, name);
		return;
	}
	if (!override && (*set & 1U << index))
		complain(r, line, "[%s] %s: given twice; keep one", section, name);
	*set |= 1U << index;
	if (key->set(&(struct target){ r->s, p }, value) < 0)
		complain(r, line, "[%s] %s = %s: not understood; accepted: %s", section, name,
			 value, key->range);
}

static int handle(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	struct pktgen_population *p = NULL;

	if (!name || !value)
		return 1;
	if (!section[0])
		complain(r, r->line, "%s: stands before any section; put it into [scenario]", name);
	if (r->skip)
		return 1;
	if (!r->in_scenario)
		p = &r->s->population[r->s->n - 1];
	put_value(r, r->line, p, name, value, false);
	return 1;
}

static void apply_override(struct reader *r, const char *text)
{
	struct pktgen_population *p = NULL;
	char section[PKTGEN_NAME_MAX], name[PKTGEN_NAME_MAX];
	const char *equals = strchr(text, '=');
	const char *dot = equals ? memrchr(text, '.', (size_t)(equals - text)) : NULL;

	if (!dot || dot - text >= PKTGEN_NAME_MAX || equals - dot > PKTGEN_NAME_MAX) {
		complain(r, 0, "%s: not a setting; accepted: SECTION.KEY=VALUE", text);
		return;
	}
	snprintf(section, sizeof(section), "%.*s", (int)(dot - text), text);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - dot - 1), dot + 1);
	if (strcmp(section, "scenario") != 0) {
		p = find_population(r->s, section);
		if (!p) {
			complain(r, 0, "%s: there is no section [%s]", text, section);
			return;
		}
	}
	put_value(r, 0, p, name, equals + 1, true);
}

/* ---- what only shows when all is read --------------------------------------------------------- */

/* What the scenario gives to populations that have no value of their own. */
static void inherit(struct pktgen_scenario *s, struct pktgen_population *p)
{
	if (p->destination.family == 0)
		p->destination = p->prefix.family == 4 ? s->destination4 : s->destination6;
	if (!p->own_mac)
		memcpy(p->destination_mac, s->destination_mac, 6);
	memcpy(p->source_mac, s->source_mac, 6);
	if (p->step == 0) {
		p->step = p->prefix.family == 4 ? 32 : 128;
		if (p->prefix.family == 6 && p->prefix.length < 64)
			p->step = 64;
	}
}

static bool missing_keys(struct reader *r, const struct pktgen_population *p)
{
	bool missing = false;

	for (size_t i = 0; i < POPULATION_KEYS; i++) {
		if (population_keys[i].value || (p->set & 1U << i))
			continue;
		complain(r, p->line, "[%s]: %s is missing; accepted: %s", p->name,
			 population_keys[i].name, population_keys[i].range);
		missing = true;
	}
	return missing;
}

static void check_places(struct reader *r, const struct pktgen_population *p)
{
	unsigned int bits = p->step - p->prefix.length;
	double places = ldexp(1.0, (int)(bits > 64 ? 64 : bits));
	double wanted = (double)p->sources;
	char text[LEVEE_PREFIX_TEXT];

	if (p->spoofed) {
		wanted = pktgen_population_expected(r->s, p);
		wanted += 6 * sqrt(wanted) + 1; /* a Poisson count hardly goes further */
	}
	if (wanted > places)
		complain(r, p->line,
			 "[%s]: prefix %s has room for %.0f sources in steps of /%u, this needs "
			 "%.0f; widen it, or send less",
			 p->name, levee_prefix_format(&p->prefix, text), places, p->step, wanted);
}

static void check_population(struct reader *r, const struct pktgen_population *p)
{
	unsigned int width = p->prefix.family == 4 ? 32 : 128;

	if (p->destination.family != p->prefix.family)
		complain(r, p->line, "[%s]: prefix and destination are of different families",
			 p->name);
	if (p->start_s >= r->s->duration_s)
		complain(r, p->line, "[%s]: starts at %g s, the scenario ends at %g s", p->name,
			 p->start_s, r->s->duration_s);
	if (p->rotate && (p->prefix.family != 6 || p->step > 64))
		complain(r, p->line,
			 "[%s]: rotate needs IPv6 sources that are /64 or shorter; set step = 64",
			 p->name);
	if (p->spoofed && (p->distribution == PKTGEN_ZIPF || p->distribution == PKTGEN_LOGNORMAL))
		complain(r, p->line,
			 "[%s]: spoofed sources send once, they have no rates to distribute; use "
			 "constant or poisson",
			 p->name);
	if (p->spoofed && p->sources != 1)
		complain(r, p->line, "[%s]: spoofed and sources exclude each other; remove one",
			 p->name);
	if (p->step < p->prefix.length || p->step > width) {
		complain(r, p->line, "[%s]: step = %u: accepted: %u (the prefix) to %u", p->name,
			 p->step, p->prefix.length, width);
		return;
	}
	check_places(r, p);
}

static void check_all(struct reader *r)
{
	struct pktgen_scenario *s = r->s;

	if (s->n == 0)
		complain(r, 0, "no population; add a section with prefix and rate");
	for (size_t i = 0; i < s->n; i++) {
		if (missing_keys(r, &s->population[i]))
			continue;
		inherit(s, &s->population[i]);
		check_population(r, &s->population[i]);
	}
}

static int parse_file(struct reader *r)
{
	int ret = ini_parse_stream(read_line, r, handle, r);

	if (ret == -2)
		return -ENOMEM;
	if (ferror(r->file))
		return -EIO;
	if (ret > 0)
		complain(r, (unsigned int)ret,
			 "neither [section] nor key = value; comments begin with # or ;");
	return 0;
}

int pktgen_scenario_read(struct pktgen_scenario *s, const char *path, const char *const *overrides,
			 size_t n, FILE *errors)
{
	struct reader r = { .s = s, .path = path, .errors = errors, .skip = true };
	int ret;

	memset(s, 0, sizeof(*s));
	s->population = calloc(PKTGEN_POPULATIONS_MAX, sizeof(*s->population));
	if (!s->population)
		return -ENOMEM;
	set_defaults(&(struct target){ s, NULL });
	r.file = fopen(path, "re");
	ret = r.file ? parse_file(&r) : -errno;
	if (r.file)
		fclose(r.file);
	if (ret < 0) {
		fprintf(errors, "%s: cannot read the scenario: %s\n", path, strerror(-ret));
		return ret;
	}
	for (size_t i = 0; i < n; i++)
		apply_override(&r, overrides[i]);
	if (!r.bad)
		check_all(&r);
	return r.bad ? -EINVAL : 0;
}

void pktgen_scenario_clear(struct pktgen_scenario *s)
{
	free(s->population);
	s->population = NULL;
	s->n = 0;
}

/* ---- shapes ----------------------------------------------------------------------------------- */

#define DIURNAL_SWING 0.9
#define TWO_PI	      6.283185307179586

double pktgen_population_length(const struct pktgen_scenario *s, const struct pktgen_population *p)
{
	double rest = s->duration_s - p->start_s;

	return p->duration_s > 0 && p->duration_s < rest ? p->duration_s : rest;
}

static double ramp_length(const struct pktgen_population *p, double length_s)
{
	return p->shape_a > 0 ? p->shape_a : length_s;
}

double pktgen_shape_elapsed(const struct pktgen_population *p, double length_s, double t)
{
	double a = p->shape_a, period, rounds;

	switch (p->shape) {
	case PKTGEN_RAMP:
		a = ramp_length(p, length_s);
		return t < a ? t * t / (2 * a) : t - a / 2;
	case PKTGEN_BURSTS:
		period = a + p->shape_b;
		rounds = floor(t / period);
		return rounds * a + fmin(a, t - rounds * period);
	case PKTGEN_DIURNAL:
		return t - DIURNAL_SWING * a / TWO_PI * sin(TWO_PI * t / a);
	default:
		return t;
	}
}

/* t - k sin(t) = s, k < 1, by Newton's method between the bounds s - k and s + k. */
static double kepler(double s, double k)
{
	double low = s - k, high = s + k, t = s;

	for (int i = 0; i < 60; i++) {
		double error = t - k * sin(t) - s, step;

		if (error > 0)
			high = t;
		else
			low = t;
		step = error / (1 - k * cos(t));
		if (fabs(step) < 1e-12 * (1 + fabs(t)))
			break;
		t -= step;
		if (!(t > low && t < high))
			t = (low + high) / 2;
	}
	return t;
}

double pktgen_shape_inverse(const struct pktgen_population *p, double length_s, double s)
{
	double a = p->shape_a, rounds;

	switch (p->shape) {
	case PKTGEN_RAMP:
		a = ramp_length(p, length_s);
		return s < a / 2 ? sqrt(2 * a * s) : s + a / 2;
	case PKTGEN_BURSTS:
		rounds = floor(s / a);
		return s + rounds * p->shape_b;
	case PKTGEN_DIURNAL:
		return kepler(s * TWO_PI / a, DIURNAL_SWING) * a / TWO_PI;
	default:
		return s;
	}
}

double pktgen_population_expected(const struct pktgen_scenario *s,
				  const struct pktgen_population *p)
{
	double length_s = pktgen_population_length(s, p);
	double rate = p->spoofed ? p->rate : p->rate * (double)p->sources;

	if (p->distribution == PKTGEN_LOGNORMAL)
		rate *= exp(p->distribution_a + p->distribution_b * p->distribution_b / 2);
	return rate * pktgen_shape_elapsed(p, length_s, length_s);
}
