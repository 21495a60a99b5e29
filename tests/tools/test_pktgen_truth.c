/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/tools/pktgen_test.h"

#include <errno.h>
#include <glob.h>
#include <pcap/pcap.h>

#include <levee/packet.h>

#include "tools/pktgen/output.h"
#include "tools/pktgen/truth.h"

#define START_S	  1767225600ULL
#define SECOND_NS 1000000000ULL

static volatile sig_atomic_t never;

/* What one source sent in one bin. */
struct row {
	long long bin_s;
	char source[LEVEE_PREFIX_TEXT];
	unsigned long long packets, bytes;
};

struct rows {
	struct row *row;
	size_t n, room;
};

static struct row *add_row(struct rows *rows)
{
	if (rows->n == rows->room) {
		rows->room = rows->room ? 2 * rows->room : 1024;
		rows->row = realloc(rows->row, rows->room * sizeof(*rows->row));
		assert_non_null(rows->row);
	}
	memset(&rows->row[rows->n], 0, sizeof(*rows->row));
	return &rows->row[rows->n++];
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->bin_s != y->bin_s)
		return x->bin_s < y->bin_s ? -1 : 1;
	return strcmp(x->source, y->source);
}

/* Sort, and add up rows of the same bin and source. */
static void merge_rows(struct rows *rows)
{
	size_t to = 0;

	qsort(rows->row, rows->n, sizeof(*rows->row), compare_rows);
	for (size_t i = 0; i < rows->n; i++) {
		if (to > 0 && compare_rows(&rows->row[to - 1], &rows->row[i]) == 0) {
			rows->row[to - 1].packets += rows->row[i].packets;
			rows->row[to - 1].bytes += rows->row[i].bytes;
		} else {
			rows->row[to++] = rows->row[i];
		}
	}
	rows->n = to;
}

/* Count a pcap file with the data path's classifier: an account that owes the generator nothing. */
static void count_pcap(struct rows *rows, const char *path, unsigned int bin_s, uint8_t bits6)
{
	char why[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO,
							       why);
	struct pcap_pkthdr *header;
	const u_char *data;

	assert_non_null(pcap);
	while (pcap_next_ex(pcap, &header, &data) == 1) {
		struct row *row = add_row(rows);
		struct levee_prefix prefix;
		struct levee_packet p = { 0 };

		assert_int_equal(levee_packet_source(&p, data, data + header->caplen), 0);
		prefix = (struct levee_prefix){ p.hi, p.lo, p.family, p.family == 4 ? 32 : bits6 };
		levee_prefix_canon(&prefix);
		levee_prefix_format(&prefix, row->source);
		row->bin_s = header->ts.tv_sec - header->ts.tv_sec % bin_s;
		row->packets = 1;
		row->bytes = header->len;
	}
	pcap_close(pcap);
	merge_rows(rows);
}

static void read_truth(struct rows *rows, FILE *csv)
{
	char line[256], population[64];
	int flooder;

	rewind(csv);
	assert_non_null(fgets(line, sizeof(line), csv));
	assert_string_equal(line, "bin_unix_s,population,source,packets,bytes,flooder\n");
	while (fgets(line, sizeof(line), csv)) {
		struct row *row = add_row(rows);

		assert_int_equal(sscanf(line, "%lld,%63[^,],%51[^,],%llu,%llu,%d", &row->bin_s,
					population, row->source, &row->packets, &row->bytes,
					&flooder),
				 6);
	}
	merge_rows(rows);
}

static void assert_same_rows(const struct rows *a, const struct rows *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		const struct row *x = &a->row[i], *y = &b->row[i];

		if (compare_rows(x, y) || x->packets != y->packets || x->bytes != y->bytes)
			fail_msg("%lld %s %llu %llu is not %lld %s %llu %llu", x->bin_s, x->source,
				 x->packets, x->bytes, y->bin_s, y->source, y->packets, y->bytes);
	}
}

/* Run a scenario into a pcap file and compare it with its truth. \return packets */
static uint64_t compare_truth(const struct pktgen_scenario *s, uint8_t bits6, uint64_t max_packets)
{
	struct pktgen_truth_params params = { .csv = tmpfile(), .source6_bits = bits6 };
	struct pktgen_run run = { .scenario = s,
				  .stop = &never,
				  .max_packets = max_packets,
				  .start_unix_ns = START_S * SECOND_NS };
	struct rows pcap = { 0 }, truth = { 0 };
	const char *why = NULL;
	char path[32];

	write_text(path, "");
	assert_non_null(params.csv);
	assert_int_equal(pktgen_truth_new(&run.truth, s, &params, &why), 0);
	assert_int_equal(pktgen_output_pcap(&run, path), 0);
	assert_int_equal(pktgen_truth_finish(run.truth), 0);
	count_pcap(&pcap, path, s->bin_s, bits6);
	read_truth(&truth, params.csv);
	assert_same_rows(&truth, &pcap);
	pktgen_truth_free(&run.truth);
	fclose(params.csv);
	unlink(path);
	free(pcap.row);
	free(truth.row);
	return run.packets;
}

/* A scenario of the library in a fraction of its time: as many sources, all its phases. */
static void shorten(struct pktgen_scenario *s, double factor)
{
	s->duration_s /= factor;
	s->bin_s = 1;
	for (size_t i = 0; i < s->n; i++) {
		struct pktgen_population *p = &s->population[i];

		p->start_s /= factor;
		p->duration_s /= factor;
		p->shape_a /= factor;
		p->shape_b /= factor;
	}
}

static void truth_is_what_stands_in_the_pcap_for_every_scenario_of_the_library(void **state)
{
	glob_t found;

	(void)state;
	assert_int_equal(glob("tools/scenarios/*.ini", 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct pktgen_scenario s;

		assert_int_equal(pktgen_scenario_read(&s, found.gl_pathv[i], NULL, 0, stderr), 0);
		shorten(&s, s.duration_s / 10);
		assert_true(compare_truth(&s, 64, UINT64_MAX) > 1000);
		pktgen_scenario_clear(&s);
	}
	globfree(&found);
}

#define SIX                                                                                   \
	"[scenario]\nduration = 4\nbin = 1\n"                                                 \
	"[a]\nprefix = 2001:db8::/40\nsources = 300\norder = spread\nrate = 5\n"              \
	"distribution = poisson\n"                                                            \
	"[b]\nprefix = 2001:db8:8000::/48\nsources = 200\nrate = 5\ndistribution = zipf(1)\n" \
	"[c]\nprefix = 2001:db8:9000::/64\nspoofed = yes\nrate = 500\n"                       \
	"[d]\nprefix = 2001:db8:a000::/60\nsources = 200\nstep = 128\norder = spread\nrate = 5\n"

static void ipv6_sources_are_prefixes_of_the_length_asked_for(void **state)
{
	static const uint8_t bits[] = { 32, 44, 48, 56, 64, 128 };
	struct pktgen_scenario s;

	(void)state;
	read_good(&s, SIX);
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		compare_truth(&s, bits[i], UINT64_MAX);
	pktgen_scenario_clear(&s);
}

static void a_run_that_is_cut_short_has_the_truth_of_what_was_sent(void **state)
{
	struct pktgen_scenario s;

	(void)state;
	read_good(&s, SIX);
	assert_int_equal(compare_truth(&s, 64, 4321), 4321);
	pktgen_scenario_clear(&s);
}

static struct pktgen_truth *open_truth(const struct pktgen_scenario *s, FILE *csv, bool sum)
{
	struct pktgen_truth_params params = { .csv = csv, .source6_bits = 64, .sum_spoofed = sum };
	struct pktgen_truth *t = NULL;
	const char *why = NULL;

	assert_int_equal(pktgen_truth_new(&t, s, &params, &why), 0);
	return t;
}

#define PLAIN                                                                         \
	"[scenario]\nbin = 10\n[a]\nprefix = 203.0.113.0/24\nsources = 3\nrate = 1\n" \
	"[b]\nprefix = 198.18.0.0/16\nspoofed = yes\nrate = 1\nflooder = yes\n"

static void bins_begin_at_multiples_of_their_length(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *csv = open_memstream(&text, &size);
	struct pktgen_scenario s;
	struct pktgen_truth *t;

	(void)state;
	read_good(&s, PLAIN);
	t = open_truth(&s, csv, false);
	pktgen_truth_add(t, 109 * SECOND_NS + 999999999, 0, 0, 60);
	pktgen_truth_add(t, 110 * SECOND_NS, 0, 0, 60);
	pktgen_truth_add(t, 119 * SECOND_NS, 1, 0, 90);
	assert_int_equal(pktgen_truth_finish(t), 0);
	fclose(csv);
	assert_string_equal(text, "bin_unix_s,population,source,packets,bytes,flooder\n"
				  "100,a,203.0.113.1,1,60,0\n"
				  "110,a,203.0.113.1,1,60,0\n"
				  "110,b,198.18.0.0,1,90,1\n");
	free(text);
	pktgen_truth_free(&t);
	pktgen_scenario_clear(&s);
}

static void a_packet_from_before_the_open_bin_counts_in_it(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *csv = open_memstream(&text, &size);
	struct pktgen_scenario s;
	struct pktgen_truth *t;

	(void)state;
	read_good(&s, PLAIN);
	t = open_truth(&s, csv, false);
	pktgen_truth_add(t, 120 * SECOND_NS, 0, 0, 60);
	pktgen_truth_add(t, 100 * SECOND_NS, 0, 0, 60);
	assert_int_equal(pktgen_truth_finish(t), 0);
	fclose(csv);
	assert_non_null(strstr(text, "\n120,a,203.0.113.1,2,120,0\n"));
	free(text);
	pktgen_truth_free(&t);
	pktgen_scenario_clear(&s);
}

static void spoofed_sources_can_be_summed_in_one_row(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *csv = open_memstream(&text, &size);
	struct pktgen_scenario s;
	struct pktgen_truth *t;

	(void)state;
	read_good(&s, PLAIN);
	t = open_truth(&s, csv, true);
	for (uint64_t i = 0; i < 5; i++)
		pktgen_truth_add(t, 100 * SECOND_NS, 1, i, 60);
	assert_int_equal(pktgen_truth_finish(t), 0);
	fclose(csv);
	assert_non_null(strstr(text, "\n100,b,*,5,300,1\n"));
	assert_int_equal(pktgen_truth_total(t, 1)->sources, 5);
	free(text);
	pktgen_truth_free(&t);
	pktgen_scenario_clear(&s);
}

static void rounds_count_as_the_same_packets_one_by_one(void **state)
{
	static const uint64_t lengths[] = { 0, 1, 2, 3, 4, 7, 3000, 3001 };
	struct pktgen_scenario s;

	(void)state;
	read_good(&s, PLAIN);
	for (uint32_t population = 0; population < 2; population++) {
		char *text[2] = { NULL, NULL };
		size_t size[2];
		FILE *csv[2] = { open_memstream(&text[0], &size[0]),
				 open_memstream(&text[1], &size[1]) };
		struct pktgen_truth *one = open_truth(&s, csv[0], false);
		struct pktgen_truth *round = open_truth(&s, csv[1], false);
		uint64_t k = 0;

		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			pktgen_truth_add_round(round, (100 + i * 5) * SECOND_NS, population, k,
					       lengths[i], 60);
			for (uint64_t n = 0; n < lengths[i]; n++, k++)
				pktgen_truth_add(one, (100 + i * 5) * SECOND_NS, population,
						 population ? k : k % 3, 60);
		}
		pktgen_truth_finish(one);
		pktgen_truth_finish(round);
		fclose(csv[0]);
		fclose(csv[1]);
		assert_string_equal(text[0], text[1]);
		free(text[0]);
		free(text[1]);
		pktgen_truth_free(&one);
		pktgen_truth_free(&round);
	}
	pktgen_scenario_clear(&s);
}

static void what_cannot_be_told_apart_is_refused_with_the_reason(void **state)
{
	struct pktgen_truth_params params = { .source6_bits = 96 };
	struct pktgen_truth *t = NULL;
	struct pktgen_scenario s;
	const char *why = NULL;

	(void)state;
	read_good(&s, "[a]\nprefix = 2001:db8::/48\nrotate = yes\nrate = 1\n");
	assert_int_equal(pktgen_truth_new(&t, &s, &params, &why), -EINVAL);
	assert_non_null(strstr(why, "--source6-prefix 64"));
	assert_null(t);
	pktgen_scenario_clear(&s);
}

static void a_full_disk_is_an_error_of_the_truth(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct pktgen_scenario s;
	struct pktgen_truth *t;

	(void)state;
	assert_non_null(full);
	read_good(&s, PLAIN);
	t = open_truth(&s, full, false);
	pktgen_truth_add(t, 100 * SECOND_NS, 0, 0, 60);
	assert_int_equal(pktgen_truth_finish(t), -ENOSPC);
	pktgen_truth_free(&t);
	fclose(full);
	pktgen_scenario_clear(&s);
}

static void a_full_disk_is_an_error_of_the_pcap(void **state)
{
	struct pktgen_scenario s;
	struct pktgen_run run = { .scenario = &s, .stop = &never, .max_packets = UINT64_MAX };

	(void)state;
	read_good(&s, SIX);
	run.truth = open_truth(&s, NULL, false);
	assert_true(pktgen_output_pcap(&run, "/dev/full") < 0);
	assert_non_null(strstr(run.error, "/dev/full"));
	pktgen_truth_free(&run.truth);
	pktgen_scenario_clear(&s);
}

static void times_are_those_of_the_first_packet_and_of_the_crossing(void **state)
{
	struct pktgen_truth_params params = { .source6_bits = 64, .times = tmpfile(), .above = 2 };
	struct pktgen_scenario s;
	struct pktgen_truth *t = NULL;
	const char *why = NULL;
	char text[512] = "";

	(void)state;
	assert_non_null(params.times);
	read_good(&s, PLAIN);
	assert_int_equal(pktgen_truth_new(&t, &s, &params, &why), 0);
	/* Source 0 has two packets in a bin twice, source 1 three in one. */
	for (uint64_t i = 0; i < 4; i++)
		pktgen_truth_add(t, (100 + 5 * i) * SECOND_NS, 0, 0, 60);
	for (uint64_t i = 0; i < 4; i++)
		pktgen_truth_add(t, (120 + i) * SECOND_NS, 0, 1, 60);
	pktgen_truth_add(t, 125 * SECOND_NS, 1, 0, 60); /* spoofed: not in it */
	assert_int_equal(pktgen_truth_finish(t), 0);
	assert_int_equal(pktgen_truth_finish(t), 0); /* and not a second time */
	rewind(params.times);
	assert_true(fread(text, 1, sizeof(text) - 1, params.times) > 0);
	assert_string_equal(text, "source,population,flooder,first_unix_ns,crossed_unix_ns\n"
				  "203.0.113.1,a,0,100000000000,\n"
				  "203.0.113.2,a,0,120000000000,122000000000\n");
	pktgen_truth_free(&t);
	pktgen_scenario_clear(&s);
	fclose(params.times);
}

static void what_the_kernels_generator_sent_is_read_from_its_file(void **state)
{
	/* As Documentation/networking/pktgen.rst shows it. */
	static const char *const text =
		"Params: count 100000  min_pkt_size: 60  max_pkt_size: 60\n"
		"Current:\n"
		"     pkts-sofar: 99341  errors: 39664\n"
		"     started: 1253617835936266us  stopped: 1253617836071563us idle: 28us\n"
		"Result: OK: 135296(c135268+d28) usec, 99341 (60byte,0frags)\n";
	uint64_t sent = 7;

	(void)state;
	assert_int_equal(pktgen_kernel_sent(text, &sent), 0);
	assert_int_equal(sent, 99341);
	assert_int_equal(pktgen_kernel_sent("", &sent), -EBADMSG);
	assert_int_equal(pktgen_kernel_sent("pkts-sofar: ", &sent), -EBADMSG);
	assert_int_equal(pktgen_kernel_sent("pkts-sofar: -1", &sent), -EBADMSG);
	assert_int_equal(pktgen_kernel_sent("pkts-sofar: 99999999999999999999", &sent), -EBADMSG);
	assert_int_equal(sent, 99341);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			truth_is_what_stands_in_the_pcap_for_every_scenario_of_the_library),
		cmocka_unit_test(ipv6_sources_are_prefixes_of_the_length_asked_for),
		cmocka_unit_test(a_run_that_is_cut_short_has_the_truth_of_what_was_sent),
		cmocka_unit_test(bins_begin_at_multiples_of_their_length),
		cmocka_unit_test(a_packet_from_before_the_open_bin_counts_in_it),
		cmocka_unit_test(spoofed_sources_can_be_summed_in_one_row),
		cmocka_unit_test(rounds_count_as_the_same_packets_one_by_one),
		cmocka_unit_test(what_cannot_be_told_apart_is_refused_with_the_reason),
		cmocka_unit_test(times_are_those_of_the_first_packet_and_of_the_crossing),
		cmocka_unit_test(what_the_kernels_generator_sent_is_read_from_its_file),
		cmocka_unit_test(a_full_disk_is_an_error_of_the_truth),
		cmocka_unit_test(a_full_disk_is_an_error_of_the_pcap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
