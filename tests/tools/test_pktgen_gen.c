/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/tools/pktgen_test.h"

#include <math.h>

#include <levee/packet.h>

#define SECOND_NS 1000000000ULL
#define SIGMAS	  5.0

/* One packet as the classifier of the data path sees it, which knows nothing of the generator. */
struct seen {
	uint64_t time_ns;
	struct levee_packet pkt;
	uint32_t length;
	uint32_t population;
	uint64_t source;
};

struct trace {
	struct pktgen_scenario s;
	struct seen *seen;
	size_t n;
};

static void run(struct trace *t, const char *text)
{
	struct pktgen_gen *gen = NULL;
	struct pktgen_packet p;
	size_t room = 1024;

	memset(t, 0, sizeof(*t));
	read_good(&t->s, text);
	assert_int_equal(pktgen_gen_new(&gen, &t->s), 0);
	t->seen = malloc(room * sizeof(*t->seen));
	assert_non_null(t->seen);
	while (pktgen_gen_next(gen, &p)) {
		struct seen *seen;

		if (t->n == room) {
			room *= 2;
			t->seen = realloc(t->seen, room * sizeof(*t->seen));
			assert_non_null(t->seen);
		}
		seen = &t->seen[t->n++];
		memset(seen, 0, sizeof(*seen));
		seen->time_ns = p.time_ns;
		seen->length = p.length;
		seen->population = p.population;
		seen->source = p.source;
		assert_int_equal(levee_packet_source(&seen->pkt, p.frame, p.frame + p.length), 0);
		levee_packet_flow(&seen->pkt, p.frame, p.frame + p.length);
	}
	pktgen_gen_free(&gen);
}

static void clear(struct trace *t)
{
	free(t->seen);
	pktgen_scenario_clear(&t->s);
}

static void assert_near(double value, double expected, double tolerance)
{
	if (!(fabs(value - expected) <= tolerance))
		fail_msg("%g is not within %g of %g", value, tolerance, expected);
}

/* A binomial count: n trials of probability p. */
static void assert_share(size_t count, size_t n, double p)
{
	assert_near((double)count, (double)n * p, SIGMAS * sqrt((double)n * p * (1 - p)) + 1);
}

/* ---- the same again --------------------------------------------------------------------------- */

#define MIXED                                                                           \
	"[scenario]\nduration = 5\nseed = 42\n"                                         \
	"[a]\nprefix = 198.18.0.0/16\nsources = 50\norder = spread\nrate = 20\n"        \
	"distribution = lognormal(0, 1)\nprotocols = tcp:3 udp:2 icmp:1\nsize = imix\n" \
	"fragments = 0.2\noptions = 0.2\nvlan = 7\n"                                    \
	"[b]\nprefix = 2001:db8::/40\nsources = 50\norder = spread\nrate = 20\n"        \
	"distribution = poisson\nprotocols = tcp:3 udp:2 icmp:1\nsize = 300\n"          \
	"fragments = 0.2\nextension_headers = 0.2\nvlan = 7 8\n"                        \
	"[c]\nprefix = 203.0.113.0/24\nsources = 5\nrate = 100\nshape = bursts(1, 1)\n"

static uint64_t digest(const char *text)
{
	struct pktgen_gen *gen = NULL;
	struct pktgen_scenario s;
	struct pktgen_packet p;
	uint64_t h = 14695981039346656037ULL; /* FNV-1a */

	read_good(&s, text);
	assert_int_equal(pktgen_gen_new(&gen, &s), 0);
	while (pktgen_gen_next(gen, &p)) {
		h = (h ^ p.time_ns) * 1099511628211ULL;
		for (uint32_t i = 0; i < p.length; i++)
			h = (h ^ p.frame[i]) * 1099511628211ULL;
	}
	pktgen_gen_free(&gen);
	pktgen_scenario_clear(&s);
	return h;
}

static void the_same_seed_gives_the_same_packets_to_the_byte(void **state)
{
	(void)state;
	assert_true(digest(MIXED) == digest(MIXED));
}

static void another_seed_gives_other_packets(void **state)
{
	(void)state;
	assert_true(digest("[scenario]\nseed = 1\nduration = 1\n[a]\nprefix = 198.18.0.0/16\n"
			   "rate = 50\n") != digest("[scenario]\nseed = 2\nduration = 1\n[a]\n"
						    "prefix = 198.18.0.0/16\nrate = 50\n"));
}

/* ---- time ------------------------------------------------------------------------------------- */

static void times_never_go_back_and_stay_within_start_and_end(void **state)
{
	struct trace t;

	(void)state;
	run(&t, MIXED "start = 2\nduration = 2\n");
	assert_true(t.n > 2000);
	for (size_t i = 0; i < t.n; i++) {
		assert_true(i == 0 || t.seen[i].time_ns >= t.seen[i - 1].time_ns);
		assert_true(t.seen[i].time_ns < 5 * SECOND_NS);
		if (t.seen[i].population == 2)
			assert_true(t.seen[i].time_ns >= 2 * SECOND_NS &&
				    t.seen[i].time_ns < 4 * SECOND_NS);
	}
	clear(&t);
}

static void constant_sources_send_exactly_their_rate_evenly_spaced(void **state)
{
	uint64_t last[7] = { 0 }, count[7] = { 0 };
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 10\n[a]\nprefix = 198.18.0.0/16\nsources = 7\nrate = 40\n");
	assert_int_equal(t.n, 7 * 40 * 10);
	for (size_t i = 0; i < t.n; i++) {
		uint64_t k = t.seen[i].source;

		assert_true(k < 7);
		if (count[k]++)
			assert_near((double)(t.seen[i].time_ns - last[k]), 25e6, 2);
		last[k] = t.seen[i].time_ns;
	}
	for (int k = 0; k < 7; k++)
		assert_int_equal(count[k], 400);
	clear(&t);
}

static void poisson_gaps_have_the_mean_and_the_deviation_of_an_exponential(void **state)
{
	double sum = 0, squares = 0, gaps = 0, last = -1, mean, sd;
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 200\nseed = 3\n[a]\nprefix = 198.18.0.0/16\nsources = 20\n"
		"rate = 50\ndistribution = poisson\n");
	assert_near((double)t.n, 200e3, SIGMAS * sqrt(200e3));
	for (size_t i = 0; i < t.n; i++) {
		double now = (double)t.seen[i].time_ns * 1e-9;

		if (t.seen[i].source != 11)
			continue;
		if (last >= 0) {
			sum += now - last;
			squares += (now - last) * (now - last);
			gaps++;
		}
		last = now;
	}
	mean = sum / gaps;
	sd = sqrt(squares / gaps - mean * mean);
	assert_near(mean, 0.02, SIGMAS * 0.02 / sqrt(gaps));
	assert_near(sd / mean, 1, 0.06);
	clear(&t);
}

static void poisson_sources_share_alike(void **state)
{
	double expected = 1000, chi2 = 0;
	size_t count[100] = { 0 };
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 20\nseed = 4\n[a]\nprefix = 198.18.0.0/16\nsources = 100\n"
		"rate = 50\ndistribution = poisson\n");
	for (size_t i = 0; i < t.n; i++)
		count[t.seen[i].source]++;
	for (int k = 0; k < 100; k++)
		chi2 += ((double)count[k] - expected) * ((double)count[k] - expected) / expected;
	/* chi squared, 100 degrees: mean 100, standard deviation 14 */
	assert_near(chi2, 100, SIGMAS * 14.2);
	clear(&t);
}

static void zipf_sources_send_in_proportion_to_a_power_of_their_rank(void **state)
{
	size_t count[1000] = { 0 };
	double sum = 0;
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 20\nseed = 5\n[a]\nprefix = 198.18.0.0/16\n"
		"sources = 1000\nrate = 10\ndistribution = zipf(1.2)\n");
	for (size_t i = 0; i < t.n; i++)
		count[t.seen[i].source]++;
	for (int k = 1; k <= 1000; k++)
		sum += pow(k, -1.2);
	for (int k = 1; k <= 20; k++)
		assert_share(count[k - 1], t.n, pow(k, -1.2) / sum);
	assert_near((double)t.n, 200e3, SIGMAS * sqrt(200e3));
	clear(&t);
}

static void lognormal_sources_have_rates_of_that_median_and_spread(void **state)
{
	enum { SOURCES = 2000 };
	size_t *count = calloc(SOURCES, sizeof(*count));
	double mean = 0, squares = 0;
	struct trace t;

	(void)state;
	assert_non_null(count);
	run(&t, "[scenario]\nduration = 10\nseed = 6\n[a]\nprefix = 198.18.0.0/16\n"
		"sources = 2000\nrate = 20\ndistribution = lognormal(0.5, 0.6)\n");
	for (size_t i = 0; i < t.n; i++)
		count[t.seen[i].source]++;
	for (int k = 0; k < SOURCES; k++) {
		double v = log((double)(count[k] + !count[k]) / 10 / 20);

		mean += v / SOURCES;
		squares += v * v / SOURCES;
	}
	/* Counting noise adds a little to the spread: 1 / 330 packets on average. */
	assert_near(mean, 0.5, SIGMAS * 0.6 / sqrt(SOURCES) + 0.005);
	assert_near(sqrt(squares - mean * mean), 0.6, 0.06);
	free(count);
	clear(&t);
}

static size_t count_between(const struct trace *t, double from_s, double to_s)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += (double)t->seen[i].time_ns >= from_s * 1e9 &&
		     (double)t->seen[i].time_ns < to_s * 1e9;
	return n;
}

static void a_ramp_sends_a_quarter_of_its_packets_in_its_first_half(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 20\n[a]\nprefix = 198.18.0.0/16\nrate = 1000\n"
		"shape = ramp\n");
	assert_near((double)t.n, 10000, 1);
	assert_near((double)count_between(&t, 0, 10), 2500, 1);
	clear(&t);
}

static void a_ramp_with_a_time_stays_at_its_rate_afterwards(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 20\n[a]\nprefix = 198.18.0.0/16\nrate = 1000\n"
		"shape = ramp(4)\n");
	assert_near((double)count_between(&t, 0, 4), 2000, 1);
	assert_near((double)count_between(&t, 4, 5), 1000, 1);
	assert_near((double)count_between(&t, 19, 20), 1000, 1);
	clear(&t);
}

static void bursts_send_only_while_they_are_on(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 20\n[a]\nprefix = 198.18.0.0/16\nrate = 100\n"
		"distribution = poisson\nshape = bursts(2, 3)\n");
	assert_near((double)t.n, 800, SIGMAS * sqrt(800));
	for (size_t i = 0; i < t.n; i++)
		assert_true(t.seen[i].time_ns % (5 * SECOND_NS) < 2 * SECOND_NS);
	clear(&t);
}

static void a_day_has_a_night_with_a_tenth_of_the_mean_rate(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 40\n[a]\nprefix = 198.18.0.0/16\nrate = 1000\n"
		"shape = diurnal(20)\n");
	assert_near((double)t.n, 40000, 2);
	assert_near((double)count_between(&t, 19.9, 20.1), 0.1 * 200, 3);
	assert_near((double)count_between(&t, 9.9, 10.1), 1.9 * 200, 3);
	clear(&t);
}

/* ---- sources ---------------------------------------------------------------------------------- */

static int compare_sources(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	if (x->pkt.hi != y->pkt.hi)
		return x->pkt.hi < y->pkt.hi ? -1 : 1;
	return (x->pkt.lo > y->pkt.lo) - (x->pkt.lo < y->pkt.lo);
}

/* Distinct addresses; all must be in the prefix of the population. */
static size_t count_sources(struct trace *t)
{
	const struct levee_prefix *outer = &t->s.population[0].prefix;
	size_t n = 0;

	qsort(t->seen, t->n, sizeof(*t->seen), compare_sources);
	for (size_t i = 0; i < t->n; i++) {
		struct levee_prefix inner = { t->seen[i].pkt.hi, t->seen[i].pkt.lo,
					      t->seen[i].pkt.family,
					      t->seen[i].pkt.family == 4 ? 32 : 128 };

		assert_true(levee_prefix_covers(outer, &inner));
		n += i == 0 || compare_sources(&t->seen[i], &t->seen[i - 1]) != 0;
	}
	return n;
}

static void consecutive_sources_begin_behind_the_networks_own_number(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 1\n[a]\nprefix = 203.0.113.0/24\nsources = 20\nrate = 1\n");
	assert_int_equal(count_sources(&t), 20);
	assert_int_equal(t.seen[0].pkt.hi, 0xcb007101);
	assert_int_equal(t.seen[19].pkt.hi, 0xcb007114);
	clear(&t);
}

static void a_prefix_can_be_filled_to_the_last_address(void **state)
{
	struct trace t;

	(void)state;
	run(&t,
	    "[scenario]\nduration = 1\n[a]\nprefix = 203.0.113.0/24\nsources = 256\nrate = 1\n");
	assert_int_equal(count_sources(&t), 256);
	clear(&t);
}

static void spread_sources_are_distinct_and_no_neighbours(void **state)
{
	size_t neighbours = 0;
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 1\n[a]\nprefix = 198.18.0.0/15\nsources = 5000\n"
		"order = spread\nrate = 1\n");
	assert_int_equal(count_sources(&t), 5000);
	for (size_t i = 1; i < t.n; i++)
		neighbours += t.seen[i].pkt.hi == t.seen[i - 1].pkt.hi + 1;
	assert_true(neighbours < 1000);
	clear(&t);
}

static void spoofed_sources_never_come_back(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 10\n[a]\nprefix = 198.18.0.0/15\nspoofed = yes\n"
		"order = spread\nrate = 10000\ndistribution = poisson\n");
	assert_near((double)t.n, 100e3, SIGMAS * sqrt(100e3));
	assert_int_equal(count_sources(&t), t.n);
	clear(&t);
}

static void spoofed_ipv6_sources_are_64s_of_their_own(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 1\n[a]\nprefix = 2001:db8::/40\nspoofed = yes\n"
		"order = spread\nrate = 10000\n");
	for (size_t i = 0; i < t.n; i++)
		t.seen[i].pkt.lo = 0;
	assert_int_equal(count_sources(&t), 10000);
	clear(&t);
}

static void rotating_sources_change_their_last_64_bits_and_no_others(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 10\n[a]\nprefix = 2001:db8::/48\nsources = 3\n"
		"rotate = yes\nrate = 100\n");
	assert_int_equal(count_sources(&t), 3000);
	for (size_t i = 0; i < t.n; i++)
		t.seen[i].pkt.lo = 0;
	assert_int_equal(count_sources(&t), 3);
	clear(&t);
}

static void the_permutation_is_a_bijection_at_every_width(void **state)
{
	static const __u64 key[4] = { 0x0123456789abcdefULL, 0x9e3779b97f4a7c15ULL,
				      0xbf58476d1ce4e5b9ULL, 0x94d049bb133111ebULL };
	static uint8_t hit[1 << 16];

	(void)state;
	for (unsigned int bits = 0; bits <= 16; bits++) {
		memset(hit, 0, sizeof(hit));
		for (uint64_t x = 0; x < 1ULL << bits; x++) {
			uint64_t y = pktgen_permute(x, bits, key);

			assert_true(y < 1ULL << bits);
			assert_int_equal(hit[y]++, 0);
		}
	}
}

/* ---- frames ----------------------------------------------------------------------------------- */

static void protocols_come_by_their_weights(void **state)
{
	size_t count[256] = { 0 };
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 10\n[a]\nprefix = 198.18.0.0/16\nrate = 5000\n"
		"protocols = tcp:70 udp:25 icmp:5\nport = 8080\ntcp_flags = syn+ack\n");
	for (size_t i = 0; i < t.n; i++) {
		const struct levee_packet *p = &t.seen[i].pkt;

		count[p->proto]++;
		if (p->proto != LEVEE_PROTO_ICMP)
			assert_int_equal(p->dst_port, 8080);
		if (p->proto == LEVEE_PROTO_TCP)
			assert_int_equal(p->tcp_flags, 0x12);
	}
	assert_share(count[LEVEE_PROTO_TCP], t.n, 0.70);
	assert_share(count[LEVEE_PROTO_UDP], t.n, 0.25);
	assert_share(count[LEVEE_PROTO_ICMP], t.n, 0.05);
	clear(&t);
}

static void every_pair_of_protocols_works_without_the_third(void **state)
{
	static const char *const mixes[] = {
		"tcp", "udp", "icmp", "tcp udp", "tcp icmp", "udp icmp", "tcp:1 udp:2 icmp:0"
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(mixes) / sizeof(mixes[0]); i++) {
		struct trace t;

		snprintf(text, sizeof(text),
			 "[scenario]\nduration = 10\n[a]\nprefix = 2001:db8::/40\nrate = 20000\n"
			 "protocols = %s\n",
			 mixes[i]);
		run(&t, text);
		assert_int_equal(t.n, 200000);
		clear(&t);
	}
}

static void fragments_are_seen_as_such_and_half_of_them_carry_ports(void **state)
{
	static const char *const prefixes[] = { "198.18.0.0/16", "2001:db8::/40" };
	char text[256];

	(void)state;
	for (int k = 0; k < 2; k++) {
		size_t fragments = 0, first = 0;
		struct trace t;

		snprintf(text, sizeof(text),
			 "[scenario]\nduration = 10\n[a]\nprefix = %s\nrate = 3000\n"
			 "protocols = udp\nfragments = 0.3\n",
			 prefixes[k]);
		run(&t, text);
		for (size_t i = 0; i < t.n; i++) {
			bool fragment = t.seen[i].pkt.flags & LEVEE_PKT_FRAGMENT;

			fragments += fragment;
			first += fragment && (t.seen[i].pkt.flags & LEVEE_PKT_PORT);
			if (!fragment)
				assert_true(t.seen[i].pkt.flags & LEVEE_PKT_PORT);
		}
		assert_share(fragments, t.n, 0.3);
		assert_share(first, t.n, 0.15);
		clear(&t);
	}
}

static void options_and_extension_headers_make_packets_longer_and_hide_nothing(void **state)
{
	struct trace t;
	size_t longer = 0;

	(void)state;
	run(&t, "[scenario]\nduration = 10\n"
		"[a]\nprefix = 198.18.0.0/16\nrate = 1000\noptions = 0.25\nport = 99\n"
		"[b]\nprefix = 2001:db8::/40\nrate = 1000\nextension_headers = 0.25\nport = 99\n");
	for (size_t i = 0; i < t.n; i++) {
		assert_int_equal(t.seen[i].pkt.dst_port, 99);
		/* 14 + 40 + 20 without extension headers; IPv4 fits into 60 only without options */
		longer += t.seen[i].length > (t.seen[i].population ? 74 : 60);
	}
	assert_share(longer, t.n, 0.25);
	clear(&t);
}

static void tags_move_the_ip_header(void **state)
{
	struct trace t;

	(void)state;
	run(&t, "[scenario]\nduration = 1\n"
		"[a]\nprefix = 198.18.0.0/16\nrate = 10\n"
		"[b]\nprefix = 198.18.0.0/16\nrate = 10\nvlan = 5\n"
		"[c]\nprefix = 198.18.0.0/16\nrate = 10\nvlan = 5 6\n");
	assert_int_equal(t.n, 30);
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.seen[i].pkt.l3, 14 + 4 * t.seen[i].population);
	clear(&t);
}

static void imix_is_seven_to_four_to_one(void **state)
{
	size_t small = 0, middle = 0, large = 0;
	struct trace t;

	(void)state;
	run(&t,
	    "[scenario]\nduration = 10\n[a]\nprefix = 198.18.0.0/16\nrate = 5000\nsize = imix\n");
	for (size_t i = 0; i < t.n; i++) {
		small += t.seen[i].length == 60;
		middle += t.seen[i].length == 590;
		large += t.seen[i].length == 1514;
	}
	assert_int_equal(small + middle + large, t.n);
	assert_share(small, t.n, 7.0 / 12);
	assert_share(middle, t.n, 4.0 / 12);
	assert_share(large, t.n, 1.0 / 12);
	clear(&t);
}

/* RFC 1071 over bytes, plainly; 0 means that the sum is right. */
static unsigned int sum_up(const uint8_t *p, size_t n, unsigned long sum)
{
	for (size_t i = 0; i < n; i++)
		sum += (unsigned long)p[i] << (i & 1 ? 0 : 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~(unsigned int)sum & 0xffff;
}

/* A first fragment begins at 0 and has more to come, a later one is the last, from 1480 on. */
static void check_fragment(const struct levee_packet *p, const uint8_t *ip, const uint8_t *ext)
{
	const uint8_t *at = p->family == 4 ? ip + 6 : ext + 2;
	unsigned int field = (unsigned int)at[0] << 8 | at[1];
	unsigned int offset = p->family == 4 ? (field & 0x1fff) * 8 : field & 0xfff8;
	bool more = p->family == 4 ? field & 0x2000 : field & 1;

	if (offset == 0)
		assert_true(more);
	else
		assert_true(!more && offset == 1480);
	if (p->flags & LEVEE_PKT_PORT)
		assert_int_equal(offset, 0);
}

/* Check what can be checked of a frame without tags: lengths, and sums of whole datagrams. */
static void check_frame(const uint8_t *frame, uint32_t length)
{
	const uint8_t *ip = frame + 14, *l4;
	struct levee_packet p = { 0 };
	size_t l4_length;
	unsigned long pseudo = 0;

	assert_int_equal(levee_packet_source(&p, frame, frame + length), 0);
	levee_packet_flow(&p, frame, frame + length);
	if (p.family == 4) {
		assert_int_equal(ip[2] << 8 | ip[3], length - 14);
		assert_int_equal(sum_up(ip, (ip[0] & 15) * 4U, 0), 0);
		l4 = ip + (ip[0] & 15) * 4;
	} else {
		assert_int_equal(ip[4] << 8 | ip[5], length - 14 - 40);
		l4 = ip + 40 + (ip[6] == 0 ? 16 : 0);
	}
	if (p.flags & LEVEE_PKT_FRAGMENT) {
		check_fragment(&p, ip, l4);
		return;
	}
	l4_length = (size_t)(frame + length - l4);
	if (p.proto == LEVEE_PROTO_UDP)
		assert_int_equal(l4[4] << 8 | l4[5], l4_length);
	if (p.proto != LEVEE_PROTO_ICMP) {
		const uint8_t *addresses = p.family == 4 ? ip + 12 : ip + 8;
		size_t n = p.family == 4 ? 8 : 32;

		pseudo = p.proto + l4_length;
		for (size_t i = 0; i < n; i += 2)
			pseudo += (unsigned long)addresses[i] << 8 | addresses[i + 1];
	}
	assert_int_equal(sum_up(l4, l4_length, pseudo), 0);
}

static void lengths_and_checksums_are_right(void **state)
{
	struct pktgen_gen *gen = NULL;
	struct pktgen_scenario s;
	struct pktgen_packet p;
	size_t n = 0;

	(void)state;
	read_good(&s,
		  "[scenario]\nduration = 10\n"
		  "[a]\nprefix = 198.18.0.0/16\nsources = 99\norder = spread\nrate = 20\n"
		  "protocols = tcp udp icmp\nsize = imix\noptions = 0.3\nfragments = 0.1\n"
		  "[b]\nprefix = 2001:db8::/40\nsources = 99\norder = spread\nrate = 20\n"
		  "protocols = tcp udp icmp\nsize = 301\nextension_headers = 0.3\nfragments = 0.1\n"
		  "[c]\nprefix = 198.18.0.0/16\nsources = 9\nrate = 20\nprotocols = udp\n"
		  "source_port = 53\nsize = 1499\n");
	assert_int_equal(pktgen_gen_new(&gen, &s), 0);
	for (; pktgen_gen_next(gen, &p); n++)
		check_frame(p.frame, p.length);
	assert_int_equal(n, (99 + 99 + 9) * 20 * 10);
	pktgen_gen_free(&gen);
	pktgen_scenario_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_seed_gives_the_same_packets_to_the_byte),
		cmocka_unit_test(another_seed_gives_other_packets),
		cmocka_unit_test(times_never_go_back_and_stay_within_start_and_end),
		cmocka_unit_test(constant_sources_send_exactly_their_rate_evenly_spaced),
		cmocka_unit_test(poisson_gaps_have_the_mean_and_the_deviation_of_an_exponential),
		cmocka_unit_test(poisson_sources_share_alike),
		cmocka_unit_test(zipf_sources_send_in_proportion_to_a_power_of_their_rank),
		cmocka_unit_test(lognormal_sources_have_rates_of_that_median_and_spread),
		cmocka_unit_test(a_ramp_sends_a_quarter_of_its_packets_in_its_first_half),
		cmocka_unit_test(a_ramp_with_a_time_stays_at_its_rate_afterwards),
		cmocka_unit_test(bursts_send_only_while_they_are_on),
		cmocka_unit_test(a_day_has_a_night_with_a_tenth_of_the_mean_rate),
		cmocka_unit_test(consecutive_sources_begin_behind_the_networks_own_number),
		cmocka_unit_test(a_prefix_can_be_filled_to_the_last_address),
		cmocka_unit_test(spread_sources_are_distinct_and_no_neighbours),
		cmocka_unit_test(spoofed_sources_never_come_back),
		cmocka_unit_test(spoofed_ipv6_sources_are_64s_of_their_own),
		cmocka_unit_test(rotating_sources_change_their_last_64_bits_and_no_others),
		cmocka_unit_test(the_permutation_is_a_bijection_at_every_width),
		cmocka_unit_test(protocols_come_by_their_weights),
		cmocka_unit_test(every_pair_of_protocols_works_without_the_third),
		cmocka_unit_test(fragments_are_seen_as_such_and_half_of_them_carry_ports),
		cmocka_unit_test(
			options_and_extension_headers_make_packets_longer_and_hide_nothing),
		cmocka_unit_test(tags_move_the_ip_header),
		cmocka_unit_test(imix_is_seven_to_four_to_one),
		cmocka_unit_test(lengths_and_checksums_are_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
