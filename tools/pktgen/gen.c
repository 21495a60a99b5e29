/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/gen.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/pktgen/rng.h"

/* Simple IMIX, 7:4:1 of 64, 594 and 1518 bytes on the wire, less the FCS. */
static const uint16_t imix_size[12] = { 60, 60, 60, 60, 60, 60, 60, 590, 590, 590, 590, 1514 };

/* Walker's alias method (Vose 1991): a source of unequal weight in one look-up. */
struct alias {
	uint32_t keep; /* below it: this source, else the other */
	uint32_t other;
};

/* One form of a population's packets, and the buffer that they are made in. */
struct form {
	struct pktgen_template t;
	uint8_t *frame;
};

/* One population as a stream of packets. */
struct stream {
	const struct pktgen_population *p;
	struct pktgen_plan plan;
	struct pktgen_rng rng;
	uint64_t time_ns; /* of the packet that comes next */
	uint64_t source;  /* of the packet that comes next */
	uint64_t sent;	  /* packets before it */
	double length_s;
	double total_rate;   /* of all sources, at full rate [packets/s] */
	double phase;	     /* constant: when in its round the first source sends */
	double elapsed_s;    /* Poisson: operational time of the packet that comes next */
	struct alias *alias; /* NULL: all sources are equal */
	uint32_t buffer;     /* size of a form's frame [bytes] */
	uint32_t below[4];   /* shares in 1/65536: TCP, TCP or UDP, fragments, extended */
	struct form *form[PKTGEN_FORMS]; /* made when first needed */
};

struct pktgen_gen {
	size_t n;
	struct stream *stream;
	size_t heap_n;
	uint32_t *heap; /* indices of streams, the earliest first */
};

/* ---- sources ---------------------------------------------------------------------------------- */

void pktgen_plan_make(struct pktgen_plan *plan, const struct pktgen_scenario *scenario,
		      size_t population)
{
	const struct pktgen_population *p = &scenario->population[population];
	unsigned int width = p->prefix.family == 4 ? 32 : 128;
	unsigned int bits = p->step - p->prefix.length;
	struct pktgen_rng rng;

	memset(plan, 0, sizeof(*plan));
	pktgen_rng_seed(&rng, scenario->seed, 1000 + population);
	plan->hi = p->prefix.hi;
	plan->lo = p->prefix.lo;
	plan->family = p->prefix.family;
	plan->bits = (uint8_t)(bits > 64 ? 64 : bits);
	plan->shift = (uint8_t)(width - p->step);
	plan->spread = p->spread;
	for (int i = 0; i < 4; i++)
		plan->key[i] = pktgen_random(&rng) | (i > 0);
	/* Host number 1 below the step; and not the network's own number if it can be helped. */
	plan->tail = plan->shift && !p->rotate ? 1 : 0;
	plan->first = plan->bits == 64 || p->sources < 1ULL << plan->bits;
	if (p->spoofed)
		plan->first = 0;
}

/* Mean rates of unequal sources, in proportion. */
static double *make_weights(const struct pktgen_population *p, struct pktgen_rng *rng)
{
	double *weight = malloc(p->sources * sizeof(*weight));

	if (!weight)
		return NULL;
	for (uint64_t i = 0; i < p->sources; i++) {
		if (p->distribution == PKTGEN_ZIPF)
			weight[i] = pow((double)(i + 1), -p->distribution_a);
		else
			weight[i] = exp(p->distribution_a + p->distribution_b * pktgen_normal(rng));
	}
	return weight;
}

static void fill_alias(struct alias *alias, double *weight, uint32_t *work, uint64_t n, double sum)
{
	uint64_t small = 0, large = n;

	/* work[0, small) holds sources below the mean, work[large, n) those above. */
	for (uint64_t i = 0; i < n; i++) {
		weight[i] *= (double)n / sum;
		if (weight[i] < 1.0)
			work[small++] = (uint32_t)i;
		else
			work[--large] = (uint32_t)i;
	}
	for (uint64_t i = 0; i < n; i++)
		alias[i] = (struct alias){ UINT32_MAX, (uint32_t)i };
	while (small > 0 && large < n) {
		uint32_t s = work[--small], l = work[large];

		alias[s] = (struct alias){ (uint32_t)(weight[s] * 0x1p32), l };
		weight[l] -= 1.0 - weight[s];
		if (weight[l] < 1.0) {
			large++;
			work[small++] = l;
		}
	}
}

/* Rates of all sources together, and the table to choose one by. */
static int make_rates(struct stream *st)
{
	const struct pktgen_population *p = st->p;
	uint32_t *work = NULL;
	double *weight = NULL, sum = 0;
	int ret = -ENOMEM;

	st->total_rate = p->spoofed ? p->rate : p->rate * (double)p->sources;
	if (p->distribution == PKTGEN_CONSTANT || p->distribution == PKTGEN_POISSON)
		return 0;
	weight = make_weights(p, &st->rng);
	work = malloc(p->sources * sizeof(*work));
	st->alias = malloc(p->sources * sizeof(*st->alias));
	if (!weight || !work || !st->alias)
		goto cleanup;
	for (uint64_t i = 0; i < p->sources; i++)
		sum += weight[i];
	if (p->distribution == PKTGEN_LOGNORMAL)
		st->total_rate = p->rate * sum;
	fill_alias(st->alias, weight, work, p->sources, sum);
	ret = 0;
cleanup:
	free(weight);
	free(work);
	return ret;
}

/* A number below n without the bias or cost of a division (Lemire 2019, less the rejection). */
static uint64_t random_below(struct pktgen_rng *rng, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)pktgen_random(rng) * n) >> 64);
}

static uint64_t choose_source(struct stream *st)
{
	const struct pktgen_population *p = st->p;
	uint64_t i;

	if (p->spoofed)
		return st->sent;
	if (p->distribution == PKTGEN_CONSTANT)
		return st->source + 1 < p->sources && st->sent ? st->source + 1 : 0;
	i = random_below(&st->rng, p->sources);
	if (st->alias && (uint32_t)pktgen_random(&st->rng) >= st->alias[i].keep)
		i = st->alias[i].other;
	return i;
}

/* ---- time ------------------------------------------------------------------------------------- */

/* Find the next packet's time and source. \return false: the population is done */
static bool advance(struct stream *st)
{
	const struct pktgen_population *p = st->p;
	double s, t;

	if (p->distribution == PKTGEN_CONSTANT) {
		s = ((double)st->sent + st->phase) / st->total_rate;
	} else {
		st->elapsed_s += pktgen_exponential(&st->rng) / st->total_rate;
		s = st->elapsed_s;
	}
	t = pktgen_shape_inverse(p, st->length_s, s);
	if (!(t < st->length_s))
		return false;
	st->time_ns = (uint64_t)((p->start_s + t) * 1e9);
	st->source = choose_source(st);
	st->sent++;
	return true;
}

static bool earlier(const struct pktgen_gen *g, uint32_t a, uint32_t b)
{
	uint64_t ta = g->stream[a].time_ns, tb = g->stream[b].time_ns;

	return ta < tb || (ta == tb && a < b);
}

static void sink(struct pktgen_gen *g, size_t i)
{
	uint32_t moved = g->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= g->heap_n)
			break;
		if (child + 1 < g->heap_n && earlier(g, g->heap[child + 1], g->heap[child]))
			child++;
		if (!earlier(g, g->heap[child], moved))
			break;
		g->heap[i] = g->heap[child];
		i = child;
	}
	g->heap[i] = moved;
}

/* ---- frames ----------------------------------------------------------------------------------- */

static struct form *make_form(struct stream *st, unsigned int index)
{
	struct form *form = calloc(1, sizeof(*form));

	if (!form)
		return NULL;
	form->frame = calloc(1, st->buffer);
	if (!form->frame) {
		free(form);
		return NULL;
	}
	pktgen_template_make_form(&form->t, st->p, index);
	memcpy(form->frame, form->t.head, form->t.length);
	return form;
}

static unsigned int choose_form(const struct stream *st, uint64_t dice)
{
	uint32_t a = dice & 0xffff, b = dice >> 16 & 0xffff, c = dice >> 32 & 0xffff;
	unsigned int protocol, fragment = PKTGEN_WHOLE;

	protocol = a < st->below[0] ? PKTGEN_TCP : a < st->below[1] ? PKTGEN_UDP : PKTGEN_ICMP;
	if (b < st->below[2])
		fragment = b & 1 ? PKTGEN_LATER : PKTGEN_FIRST;
	return (protocol * PKTGEN_FRAGMENTS + fragment) * 2 + (c < st->below[3]);
}

/* All forms that can come up are made at the start: next() cannot fail. */
static int make_forms(struct stream *st)
{
	for (unsigned int i = 0; i < PKTGEN_FORMS; i++) {
		if (!(pktgen_form_share(st->p, i) > 0))
			continue;
		st->form[i] = make_form(st, i);
		if (!st->form[i])
			return -ENOMEM;
	}
	return 0;
}

static uint32_t share16(double share)
{
	return (uint32_t)lround(share * 65536.0);
}

static void set_shares(struct stream *st)
{
	const struct pktgen_population *p = st->p;

	st->below[0] = share16(p->weight[PKTGEN_TCP]);
	st->below[1] = share16(p->weight[PKTGEN_TCP] + p->weight[PKTGEN_UDP]);
	/* Rounding must not choose a protocol that has no share. */
	if (!(p->weight[PKTGEN_ICMP] > 0))
		st->below[p->weight[PKTGEN_UDP] > 0 ? 1 : 0] = 65536;
	st->below[2] = share16(p->fragments);
	st->below[3] = share16(p->prefix.family == 4 ? p->options : p->extensions);
}

static void fill_packet(struct pktgen_packet *packet, struct stream *st)
{
	const struct pktgen_population *p = st->p;
	uint64_t dice = pktgen_random(&st->rng), noise = pktgen_random(&st->rng);
	const struct form *form = st->form[choose_form(st, dice)];
	struct pktgen_number address = pktgen_address(&st->plan, st->source);
	struct pktgen_fields f = {
		.hi = address.hi,
		.lo = address.lo,
		.sequence = (uint32_t)noise,
		.id = (uint16_t)(noise >> 32),
		.source_port = p->source_port ? 0 : (uint16_t)(1024 + (noise >> 48) % 64512),
	};
	uint32_t size = p->size ? p->size : imix_size[((dice >> 48) * 12) >> 16];

	if (p->rotate)
		f.lo = pktgen_random(&st->rng);
	packet->length = size > form->t.length ? size : form->t.length;
	pktgen_frame_patch(&form->t, form->frame, packet->length, &f);
	packet->frame = form->frame;
	packet->time_ns = st->time_ns;
	packet->source = st->source;
}

/* ---- the engine ------------------------------------------------------------------------------- */

static int start_stream(struct stream *st, const struct pktgen_scenario *s, size_t index)
{
	int ret;

	st->p = &s->population[index];
	st->length_s = pktgen_population_length(s, st->p);
	st->buffer = (st->p->size ? st->p->size : 1514) + PKTGEN_HEAD_MAX;
	pktgen_plan_make(&st->plan, s, index);
	pktgen_rng_seed(&st->rng, s->seed, index);
	st->phase = pktgen_uniform(&st->rng) * 0.999;
	ret = make_rates(st);
	if (ret < 0)
		return ret;
	set_shares(st);
	return make_forms(st);
}

int pktgen_gen_new(struct pktgen_gen **out, const struct pktgen_scenario *scenario)
{
	struct pktgen_gen *g = calloc(1, sizeof(*g));
	int ret = -ENOMEM;

	if (!g)
		return -ENOMEM;
	g->n = scenario->n;
	g->stream = calloc(g->n + !g->n, sizeof(*g->stream));
	g->heap = calloc(g->n + !g->n, sizeof(*g->heap));
	if (!g->stream || !g->heap)
		goto fail;
	for (size_t i = 0; i < g->n; i++) {
		ret = start_stream(&g->stream[i], scenario, i);
		if (ret < 0)
			goto fail;
		if (advance(&g->stream[i]))
			g->heap[g->heap_n++] = (uint32_t)i;
	}
	for (size_t i = g->heap_n; i-- > 0;)
		sink(g, i);
	*out = g;
	return 0;
fail:
	pktgen_gen_free(&g);
	return ret;
}

void pktgen_gen_free(struct pktgen_gen **gen)
{
	struct pktgen_gen *g = *gen;

	if (!g)
		return;
	for (size_t i = 0; g->stream && i < g->n; i++) {
		for (int k = 0; k < PKTGEN_FORMS; k++) {
			if (g->stream[i].form[k])
				free(g->stream[i].form[k]->frame);
			free(g->stream[i].form[k]);
		}
		free(g->stream[i].alias);
	}
	free(g->stream);
	free(g->heap);
	free(g);
	*gen = NULL;
}

bool pktgen_gen_next(struct pktgen_gen *gen, struct pktgen_packet *packet)
{
	struct stream *st;

	if (gen->heap_n == 0)
		return false;
	packet->population = gen->heap[0];
	st = &gen->stream[packet->population];
	fill_packet(packet, st);
	if (!advance(st))
		gen->heap[0] = gen->heap[--gen->heap_n];
	if (gen->heap_n > 1)
		sink(gen, 0);
	return true;
}
