/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/truth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pktgen/gen.h"

/* A source's counts in the bin that is open. */
struct slot {
	uint64_t packets;
	uint64_t bytes;
	bool ever; /* it sent before, perhaps in an earlier bin */
};

/* When a source began, and when it crossed the line; 0: not yet. */
struct moment {
	uint64_t first_ns;
	uint64_t crossed_ns;
};

/*
 * Counts of one population. Sources have slots; several IPv6 sources of one prefix share a slot
 * (slot_of). Spoofed sources have none: each sends once, so a list of lengths says it all.
 */
struct book {
	struct pktgen_plan plan;
	struct pktgen_total total;
	uint64_t slots; /* 0: spoofed, one row for each source */
	bool summed;	/* spoofed, one row for all; slot 0 is that */
	struct slot *slot;
	struct moment *moment; /* NULL: not wanted, or spoofed */
	uint32_t *slot_of;     /* NULL: source k has slot k; or all have slot 0, if slots is 1 */
	uint64_t *first_of;    /* a source of each slot; NULL: slot k is source k */
	uint64_t once_first;   /* the spoofed source that once[0] is about */
	uint64_t once_n, once_room;
	uint16_t *once; /* frame lengths */
};

struct pktgen_truth {
	const struct pktgen_scenario *scenario;
	struct pktgen_truth_params params;
	int64_t bin_s; /* begin of the open bin; -1: none */
	uint64_t bin_end_ns;
	size_t n;
	struct book *book;
};

/* ---- which sources are one -------------------------------------------------------------------- */

static void source_prefix(const struct pktgen_truth *t, const struct book *b, uint64_t source,
			  struct levee_prefix *out)
{
	struct pktgen_number address = pktgen_address(&b->plan, source);

	out->hi = address.hi;
	out->lo = address.lo;
	out->family = b->plan.family;
	out->length = b->plan.family == 4 ? 32 : (uint8_t)t->params.source6_bits;
	levee_prefix_canon(out);
}

struct named {
	struct levee_prefix prefix;
	uint64_t source;
};

static int compare_named(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = levee_prefix_compare(&x->prefix, &y->prefix);

	return order ? order : (x->source > y->source) - (x->source < y->source);
}

/* Sources that are narrower than what counts as one: sort them by prefix, number the prefixes. */
static int merge_sources(struct pktgen_truth *t, struct book *b, uint64_t sources)
{
	struct named *named = malloc(sources * sizeof(*named));

	b->slot_of = malloc(sources * sizeof(*b->slot_of));
	b->first_of = malloc(sources * sizeof(*b->first_of));
	if (!named || !b->slot_of || !b->first_of) {
		free(named);
		return -ENOMEM;
	}
	for (uint64_t i = 0; i < sources; i++) {
		memset(&named[i], 0, sizeof(named[i]));
		source_prefix(t, b, i, &named[i].prefix);
		named[i].source = i;
	}
	qsort(named, sources, sizeof(*named), compare_named);
	b->slots = 0;
	for (uint64_t i = 0; i < sources; i++) {
		if (i == 0 || levee_prefix_compare(&named[i].prefix, &named[i - 1].prefix) != 0)
			b->first_of[b->slots++] = named[i].source;
		b->slot_of[named[i].source] = (uint32_t)(b->slots - 1);
	}
	free(named);
	return 0;
}

static int open_book(struct pktgen_truth *t, size_t index, const char **why)
{
	const struct pktgen_population *p = &t->scenario->population[index];
	unsigned int bits = p->prefix.family == 4 ? 32 : t->params.source6_bits;
	struct book *b = &t->book[index];
	int ret = 0;

	pktgen_plan_make(&b->plan, t->scenario, index);
	if (p->rotate && bits > 64) {
		*why = "rotating sources cannot be told apart by more than 64 bits; use "
		       "--source6-prefix 64";
		return -EINVAL;
	}
	b->slots = p->sources;
	if (p->prefix.length >= bits)
		b->slots = 1;
	else if (p->spoofed && p->step > bits) {
		*why = "spoofed sources with a step beyond --source6-prefix in a prefix shorter "
		       "than it come back by chance; set step to it";
		return -EINVAL;
	} else if (p->spoofed)
		b->slots = b->summed = t->params.sum_spoofed;
	else if (p->step > bits)
		ret = merge_sources(t, b, p->sources);
	if (ret < 0 || b->slots == 0)
		return ret;
	b->slot = calloc(b->slots, sizeof(*b->slot));
	if (b->slot && t->params.times && !p->spoofed)
		b->moment = calloc(b->slots, sizeof(*b->moment));
	return b->slot && (b->moment || !t->params.times || p->spoofed) ? 0 : -ENOMEM;
}

int pktgen_truth_new(struct pktgen_truth **out, const struct pktgen_scenario *scenario,
		     const struct pktgen_truth_params *params, const char **why)
{
	struct pktgen_truth *t = calloc(1, sizeof(*t));
	int ret = -ENOMEM;

	if (!t)
		return -ENOMEM;
	t->scenario = scenario;
	t->params = *params;
	t->bin_s = -1;
	t->n = scenario->n;
	t->book = calloc(t->n + !t->n, sizeof(*t->book));
	if (!t->book)
		goto fail;
	for (size_t i = 0; i < t->n; i++) {
		ret = open_book(t, i, why);
		if (ret < 0)
			goto fail;
	}
	if (params->csv)
		fputs("bin_unix_s,population,source,packets,bytes,flooder\n", params->csv);
	if (params->times)
		fputs("source,population,flooder,first_unix_ns,crossed_unix_ns\n", params->times);
	*out = t;
	return 0;
fail:
	pktgen_truth_free(&t);
	return ret;
}

void pktgen_truth_free(struct pktgen_truth **truth)
{
	struct pktgen_truth *t = *truth;

	if (!t)
		return;
	for (size_t i = 0; t->book && i < t->n; i++) {
		free(t->book[i].slot);
		free(t->book[i].moment);
		free(t->book[i].slot_of);
		free(t->book[i].first_of);
		free(t->book[i].once);
	}
	free(t->book);
	free(t);
	*truth = NULL;
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void write_row(const struct pktgen_truth *t, size_t index, const char *source,
		      uint64_t packets, uint64_t bytes)
{
	const struct pktgen_population *p = &t->scenario->population[index];

	fprintf(t->params.csv, "%" PRId64 ",%s,%s,%" PRIu64 ",%" PRIu64 ",%d\n", t->bin_s, p->name,
		source, packets, bytes, p->flooder);
}

static const char *name_source(const struct pktgen_truth *t, const struct book *b, uint64_t source,
			       char text[static LEVEE_PREFIX_TEXT])
{
	struct levee_prefix prefix;

	source_prefix(t, b, source, &prefix);
	return levee_prefix_format(&prefix, text);
}

/* A source of slot i. */
static uint64_t name_of(const struct book *b, uint64_t i)
{
	return b->first_of ? b->first_of[i] : i;
}

static void write_slots(struct pktgen_truth *t, size_t index)
{
	struct book *b = &t->book[index];
	char text[LEVEE_PREFIX_TEXT];

	for (uint64_t i = 0; i < b->slots; i++) {
		struct slot *slot = &b->slot[i];

		if (slot->packets == 0)
			continue;
		if (t->params.csv)
			write_row(t, index,
				  b->summed ? "*" : name_source(t, b, name_of(b, i), text),
				  slot->packets, slot->bytes);
		slot->packets = 0;
		slot->bytes = 0;
	}
}

static void write_once(struct pktgen_truth *t, size_t index)
{
	struct book *b = &t->book[index];
	char text[LEVEE_PREFIX_TEXT];

	for (uint64_t i = 0; t->params.csv && i < b->once_n; i++)
		write_row(t, index, name_source(t, b, b->once_first + i, text), 1, b->once[i]);
	b->once_first += b->once_n;
	b->once_n = 0;
}

static int close_bin(struct pktgen_truth *t)
{
	errno = 0;
	for (size_t i = 0; t->bin_s >= 0 && i < t->n; i++) {
		write_slots(t, i);
		write_once(t, i);
	}
	if (t->params.csv && ferror(t->params.csv))
		return errno ? -errno : -EIO;
	return 0;
}

static int enter_bin(struct pktgen_truth *t, uint64_t unix_ns)
{
	int64_t bin_s = (int64_t)(unix_ns / 1000000000U);
	int ret;

	bin_s -= bin_s % t->scenario->bin_s;
	ret = close_bin(t);
	t->bin_s = bin_s;
	t->bin_end_ns = ((uint64_t)bin_s + t->scenario->bin_s) * 1000000000U;
	return ret;
}

static void write_times(const struct pktgen_truth *t, size_t index)
{
	const struct pktgen_population *p = &t->scenario->population[index];
	const struct book *b = &t->book[index];
	char text[LEVEE_PREFIX_TEXT];

	for (uint64_t i = 0; b->moment && i < b->slots; i++) {
		const struct moment *m = &b->moment[i];

		if (m->first_ns == 0)
			continue;
		fprintf(t->params.times, "%s,%s,%d,%" PRIu64 ",",
			name_source(t, b, name_of(b, i), text), p->name, p->flooder, m->first_ns);
		if (m->crossed_ns)
			fprintf(t->params.times, "%" PRIu64, m->crossed_ns);
		fputc('\n', t->params.times);
	}
}

static int finish_times(struct pktgen_truth *t)
{
	errno = 0;
	for (size_t i = 0; i < t->n; i++)
		write_times(t, i);
	if (fflush(t->params.times) != 0 || ferror(t->params.times))
		return errno ? -errno : -EIO;
	t->params.times = NULL; /* once */
	return 0;
}

int pktgen_truth_finish(struct pktgen_truth *t)
{
	int ret = close_bin(t);

	t->bin_s = -1;
	t->bin_end_ns = 0;
	if (t->params.csv && fflush(t->params.csv) != 0)
		ret = -errno;
	if (ret == 0 && t->params.times)
		ret = finish_times(t);
	return ret;
}

/* ---- counting --------------------------------------------------------------------------------- */

static int add_once(struct book *b, uint64_t n, uint32_t bytes, bool keep)
{
	uint64_t room = b->once_room;

	b->total.sources += n;
	if (!keep) {
		b->once_first += n;
		return 0;
	}
	while (room < b->once_n + n)
		room = room ? 2 * room : 4096;
	if (room != b->once_room) {
		uint16_t *once = realloc(b->once, room * sizeof(*once));

		if (!once)
			return -ENOMEM;
		b->once = once;
		b->once_room = room;
	}
	for (uint64_t i = 0; i < n; i++)
		b->once[b->once_n++] = (uint16_t)bytes;
	return 0;
}

static void note_moment(const struct pktgen_truth *t, struct moment *m, uint64_t packets,
			uint64_t unix_ns)
{
	if (!m->first_ns)
		m->first_ns = unix_ns;
	if (!m->crossed_ns && packets > t->params.above)
		m->crossed_ns = unix_ns;
}

static void add_slot(struct pktgen_truth *t, struct book *b, uint64_t unix_ns, uint64_t source,
		     uint64_t n, uint32_t bytes)
{
	struct slot *slot;

	if (b->summed) {
		b->slot[0].packets += n;
		b->slot[0].bytes += n * bytes;
		b->total.sources += n;
		return;
	}
	if (b->slot_of)
		source = b->slot_of[source];
	if (b->slots == 1)
		source = 0;
	slot = &b->slot[source];
	slot->packets += n;
	slot->bytes += n * bytes;
	b->total.sources += !slot->ever;
	slot->ever = true;
	if (b->moment)
		note_moment(t, &b->moment[source], slot->packets, unix_ns);
}

int pktgen_truth_add(struct pktgen_truth *t, uint64_t unix_ns, uint32_t population, uint64_t source,
		     uint32_t bytes)
{
	struct book *b = &t->book[population];
	int ret = 0;

	if (unix_ns >= t->bin_end_ns)
		ret = enter_bin(t, unix_ns);
	b->total.packets++;
	b->total.bytes += bytes;
	if (b->slots > 0)
		add_slot(t, b, unix_ns, source, 1, bytes);
	else if (add_once(b, 1, bytes, t->params.csv != NULL) < 0)
		ret = -ENOMEM;
	return ret;
}

int pktgen_truth_add_round(struct pktgen_truth *t, uint64_t unix_ns, uint32_t population,
			   uint64_t first, uint64_t n, uint32_t bytes)
{
	const struct pktgen_population *p = &t->scenario->population[population];
	struct book *b = &t->book[population];
	uint64_t each = n / p->sources, more = n % p->sources;
	int ret = 0;

	if (unix_ns >= t->bin_end_ns)
		ret = enter_bin(t, unix_ns);
	b->total.packets += n;
	b->total.bytes += n * bytes;
	if (b->slots == 0) {
		if (add_once(b, n, bytes, t->params.csv != NULL) < 0)
			ret = -ENOMEM;
	} else if (p->spoofed) {
		add_slot(t, b, unix_ns, 0, n, bytes);
	} else {
		for (uint64_t i = 0; i < p->sources && (each || i < more); i++) {
			uint64_t packets = each + (i < more);

			add_slot(t, b, unix_ns, (first + i) % p->sources, packets, bytes);
		}
	}
	return ret;
}

const struct pktgen_total *pktgen_truth_total(const struct pktgen_truth *t, size_t population)
{
	return &t->book[population].total;
}
