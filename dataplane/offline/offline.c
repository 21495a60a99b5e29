/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/offline/offline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/offline/offline_internal.h"

#define RULES_DEFAULT	131072
#define SOURCE6_DEFAULT 64
#define MESSAGE_BYTES	(4096 + 1024) /* a path, and what is wrong with it */
#define SECOND		LEVEE_NS_PER_S

/* ---- telling of defects ------------------------------------------------------------------ */

__attribute__((format(printf, 2, 0))) static void tell(struct levee_offline *o, const char *format,
						       va_list args)
{
	char message[MESSAGE_BYTES];

	vsnprintf(message, sizeof(message), format, args);
	if (o->report)
		o->report(o->report_ctx, message);
	else
		fprintf(stderr, "%s\n", message);
}

void levee_offline_tell(struct levee_offline *o, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(o, format, args);
	va_end(args);
}

void levee_offline_defect(struct levee_offline *o, const char *format, ...)
{
	va_list args;

	if (o->errors++ >= LEVEE_OFFLINE_REPORTS)
		return;
	va_start(args, format);
	tell(o, format, args);
	va_end(args);
}

static void tell_the_rest(struct levee_offline *o)
{
	if (o->errors > LEVEE_OFFLINE_REPORTS)
		levee_offline_tell(o, "%s: %" PRIu64 " bad %ss in all, %" PRIu64 " not shown",
				   o->name, o->errors, o->format->unit,
				   o->errors - LEVEE_OFFLINE_REPORTS);
}

/* ---- counting: the order of ebpf/levee.bpf.c, handle() ------------------------------------- */

/* Sums that fit 64 bits also keep every source's, and the bin's sum of squares within 128. */
static bool fits(const struct levee_offline *o, const struct levee_record *r)
{
	return r->packets <= UINT64_MAX - o->account.received &&
	       r->bytes <= UINT64_MAX - o->account.received_bytes;
}

static uint64_t now_ns(const struct levee_offline *o)
{
	return o->delivered_ns > o->reached_ns ? o->delivered_ns : o->reached_ns;
}

static struct levee_prefix prefix_of(const struct levee_offline *o, const struct levee_source *s)
{
	return (struct levee_prefix){ .hi = s->hi,
				      .lo = s->lo,
				      .family = s->family,
				      .length = s->family == 4 ? 32 : o->dp.source6_length };
}

/* Did these packets take the source past a further share? */
static void note_share(struct levee_offline *o, const struct levee_source *s)
{
	uint64_t sum = levee_sources_count(&o->sources, s).packets, packets = s->counts.packets;

	if (sum < packets || sum / o->share == (sum - packets) / o->share)
		return;
	o->trip = prefix_of(o, s);
	o->tripped = true;
}

static void count(struct levee_offline *o, uint8_t family, uint64_t hi, uint64_t lo,
		  const struct levee_record *r, uint64_t flow)
{
	struct levee_source source = {
		.hi = family == 6 ? hi & o->mask6_hi : hi,
		.lo = family == 6 ? lo & o->mask6_lo : lo,
		.counts = { .packets = r->packets, .bytes = r->bytes },
		.family = family,
	};

	source.counts.syns = levee_tally_syns(flow);
	source.counts.answered = flow & LEVEE_TALLY_ANSWERED;
	o->account.outcome[LEVEE_COUNTED] += r->packets;
	if (r->packets)
		levee_sources_add(&o->sources, &source);
	if (r->packets && o->share)
		note_share(o, &source);
}

/* \return true if that was all: allowed, or dropped */
static bool ask_policy(struct levee_offline *o, uint8_t family, uint64_t hi, uint64_t lo,
		       const struct levee_record *r)
{
	switch (levee_policy_lookup(&o->memory, family, hi, lo, r->packets, r->bytes, now_ns(o),
				    0)) {
	case LEVEE_VERDICT_ALLOW:
		o->account.outcome[LEVEE_ALLOWED] += r->packets;
		return true;
	case LEVEE_VERDICT_BLOCK:
		if (o->audit) {
			o->account.would_drop += r->packets;
			return false;
		}
		o->account.outcome[LEVEE_DROPPED] += r->packets;
		o->account.dropped_bytes += r->bytes;
		return true;
	case LEVEE_VERDICT_LIMIT: /* within its rate; what is above comes as a block */
	case LEVEE_VERDICT_NONE:
		break;
	}
	return false;
}

static void handle_frame(struct levee_offline *o, const struct levee_record *r)
{
	const uint8_t *end = r->frame + r->captured;
	struct levee_packet pkt;
	int ret = levee_packet_source(&pkt, r->frame, end);

	if (ret < 0) {
		o->account.reasons[-ret]++;
		o->account.outcome[ret == LEVEE_NOT_IP ? LEVEE_OUT_OF_SCOPE : LEVEE_UNPARSED]++;
		return;
	}
	if (ask_policy(o, pkt.family, pkt.hi, pkt.lo, r))
		return;
	levee_packet_flow(&pkt, r->frame, end);
	if (o->scope.enabled) {
		ret = levee_scope_has(&o->scope, &pkt);
		if (!ret) {
			o->account.outcome[LEVEE_OUT_OF_SCOPE]++;
			return;
		}
		if (ret == 2)
			o->account.port_unknown++;
	}
	count(o, pkt.family, pkt.hi, pkt.lo, r, levee_flow_tally(&pkt));
}

static void handle(struct levee_offline *o, const struct levee_record *r)
{
	if (!fits(o, r)) {
		levee_offline_defect(o,
				     "%s: %s %" PRIu64
				     ": the sum of this bin does not fit 64 bits; "
				     "the %s is skipped",
				     o->name, o->format->unit, r->number, o->format->unit);
		return;
	}
	o->account.received += r->packets;
	o->account.received_bytes += r->bytes;
	if (r->frame)
		handle_frame(o, r);
	else if (!ask_policy(o, r->family, r->hi, r->lo, r))
		count(o, r->family, r->hi, r->lo, r, 0); /* no protocol, so no scope */
}

/* ---- reading in order -------------------------------------------------------------------- */

static void read_next(struct levee_offline *o)
{
	if (o->ended || o->have_next)
		return;
	if (o->format->next(o, &o->next)) {
		o->have_next = true;
		o->records++;
		return;
	}
	o->ended = true;
	tell_the_rest(o);
}

/* Is the record too late for any bin that is still open? */
static bool is_out_of_order(struct levee_offline *o, const struct levee_record *r)
{
	uint64_t open_ns = o->reached_ns > o->bin_ns ? o->reached_ns : o->bin_ns;

	if (r->unix_ns >= open_ns)
		return false;
	if (open_ns - r->unix_ns <= o->format->late_ns) {
		o->late++;
		return false;
	}
	levee_offline_defect(o,
			     "%s: %s %" PRIu64 ": time %llu.%09llu is before %llu.%09llu, up to "
			     "where all is evaluated; the %s is skipped: sort the file by time",
			     o->name, o->format->unit, r->number, r->unix_ns / SECOND,
			     r->unix_ns % SECOND, open_ns / SECOND, open_ns % SECOND,
			     o->format->unit);
	return true;
}

/*
 * A line of many packets comes share by share, so that its source can be blocked on the way.
 * \return true if something of it is left
 */
static bool cut(struct levee_offline *o, struct levee_record *part)
{
	if (!o->share || part->frame || part->packets <= o->share)
		return false;
	part->bytes = (uint64_t)((unsigned __int128)part->bytes * o->share / part->packets);
	part->packets = o->share;
	o->next.packets -= part->packets;
	o->next.bytes -= part->bytes;
	return true;
}

static void deliver(struct levee_offline *o)
{
	struct levee_record part = o->next;

	o->have_next = false;
	if (!o->cut && is_out_of_order(o, &part))
		return;
	o->cut = o->have_next = cut(o, &part);
	if (part.unix_ns > o->delivered_ns)
		o->delivered_ns = part.unix_ns;
	handle(o, &part);
}

/* ---- the interface ----------------------------------------------------------------------- */

static struct levee_offline *offline_of(struct levee_dataplane *dp)
{
	return (struct levee_offline *)dp;
}

static const struct levee_offline *offline_of_const(const struct levee_dataplane *dp)
{
	return (const struct levee_offline *)dp;
}

static void offline_now(struct levee_dataplane *dp, struct levee_time *now)
{
	now->unix_ns = now_ns(offline_of(dp));
	now->boot_ns = now->unix_ns;
}

static int offline_wait(struct levee_dataplane *dp, uint64_t until_ns, struct levee_dp_event *event)
{
	struct levee_offline *o = offline_of(dp);

	if (o->drained)
		return -EBUSY;
	*event = (struct levee_dp_event){ .type = LEVEE_DP_END, .fd = -1 };
	for (read_next(o); o->have_next; read_next(o)) {
		if (o->next.unix_ns >= until_ns) {
			if (until_ns > o->reached_ns)
				o->reached_ns = until_ns;
			event->type = LEVEE_DP_DEADLINE;
			event->next_unix_ns = o->next.unix_ns;
			return 0;
		}
		deliver(o);
		if (!o->tripped)
			continue;
		o->tripped = false;
		event->type = LEVEE_DP_TRIP;
		event->source = o->trip;
		return 0;
	}
	return 0;
}

static int offline_watch(struct levee_dataplane *dp, int fd)
{
	(void)dp;
	(void)fd;
	return -ENOTSUP;
}

static int hand_out(const struct levee_offline *o, const struct levee_sink *sink)
{
	for (uint32_t i = 0; i < o->sources.n; i++) {
		const struct levee_source *s = &o->sources.list[i];
		struct levee_prefix p = prefix_of(o, s);
		int ret = sink->source(sink->ctx, &p, &s->counts);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static void describe_epoch(struct levee_offline *o, struct levee_drained *epoch)
{
	levee_sources_settle(&o->sources);
	o->account.fold = o->sources.fold;
	epoch->account = o->account;
	epoch->seq = o->seq;
	epoch->opened_ns = o->opened_ns;
	epoch->bin_ns = o->bin_ns;
}

/* If the sink fails, nothing has changed, and the drain can be repeated. */
static int offline_drain(struct levee_dataplane *dp, uint64_t bin_ns, const struct levee_sink *sink,
			 struct levee_drained *drained)
{
	struct levee_offline *o = offline_of(dp);
	int ret;

	if (o->drained)
		return -EBUSY;
	describe_epoch(o, drained);
	ret = hand_out(o, sink);
	if (ret)
		return ret;
	o->seq++;
	o->opened_ns = now_ns(o);
	o->bin_ns = bin_ns;
	o->drained = true;
	return 0;
}

static uint64_t offline_left(struct levee_dataplane *dp)
{
	(void)dp;
	return 0;
}

static int offline_redrain(struct levee_dataplane *dp, const struct levee_sink *sink,
			   struct levee_drained *drained)
{
	(void)dp;
	(void)sink;
	(void)drained;
	return -ENOENT;
}

static void offline_release(struct levee_dataplane *dp)
{
	struct levee_offline *o = offline_of(dp);

	if (!o->drained)
		return;
	levee_sources_clear(&o->sources);
	o->account = (struct levee_account){ 0 };
	o->drained = false;
}

/* Once drained, the old epoch's account is still kept; the open one has seen nothing yet. */
static void offline_peek(struct levee_dataplane *dp, struct levee_drained *open)
{
	struct levee_offline *o = offline_of(dp);

	describe_epoch(o, open);
	if (o->drained)
		open->account = (struct levee_account){ 0 };
}

static void offline_count(struct levee_dataplane *dp, const struct levee_prefix *source,
			  struct levee_counts *sum)
{
	struct levee_source key = { .hi = source->hi, .lo = source->lo, .family = source->family };

	*sum = levee_sources_count(&offline_of(dp)->sources, &key);
}

static void offline_set_trip(struct levee_dataplane *dp, uint64_t share)
{
	offline_of(dp)->share = share;
}

static void offline_set_audit(struct levee_dataplane *dp, bool audit)
{
	offline_of(dp)->audit = audit;
}

static void offline_set_scope(struct levee_dataplane *dp, const struct levee_scope *scope)
{
	offline_of(dp)->scope = *scope;
}

static void offline_describe(struct levee_dataplane *dp, FILE *out)
{
	struct levee_offline *o = offline_of(dp);

	fprintf(out, "offline, from %s (%s)\n", o->name,
		o->format == &levee_format_pcap ? "capture" : "CSV");
}

static void offline_close(struct levee_dataplane *dp)
{
	struct levee_offline *o = offline_of(dp);

	if (o->format)
		o->format->close(o);
	levee_input_close(&o->input);
	levee_policy_free(&o->dp.policy);
	free(o->memory.front);
	free(o->memory.far4);
	free(o->memory.far6);
	free(o->memory.buckets);
	free(o->memory.rules);
	free(o->memory.hits);
	levee_sources_free(&o->sources);
	free((char *)o->name);
	free(o);
}

static const struct levee_dataplane_ops offline_ops = {
	.name = "offline",
	.now = offline_now,
	.wait = offline_wait,
	.watch = offline_watch,
	.drain = offline_drain,
	.left = offline_left,
	.redrain = offline_redrain,
	.release = offline_release,
	.peek = offline_peek,
	.count = offline_count,
	.set_trip = offline_set_trip,
	.set_audit = offline_set_audit,
	.set_scope = offline_set_scope,
	.describe = offline_describe,
	.close = offline_close,
};

/* ---- opening ----------------------------------------------------------------------------- */

static int make_key(struct levee_hash_key *key)
{
	ssize_t n = getrandom(key, sizeof(*key), 0);

	if (n != (ssize_t)sizeof(*key))
		return n < 0 ? -errno : -EIO;
	key->mul_1 |= 1;
	key->mul_2 |= 1;
	key->mul_3 |= 1;
	return 0;
}

/* Buckets for twice the rules there may be, so that hardly one finds both of its buckets full. */
static uint32_t bits_for(uint32_t rules)
{
	uint32_t bits = 0;

	while (((uint64_t)LEVEE_POLICY_SLOTS << bits) < 2 * (uint64_t)rules)
		bits++;
	return bits;
}

static int make_policy(struct levee_offline *o, uint32_t rules)
{
	struct levee_policy_memory *m = &o->memory;

	m->rule_count = rules + 1; /* rules[0] is never used */
	m->rule_bits = bits_for(rules);
	m->cpus = 1;
	m->source6_length = o->dp.source6_length;
	m->front = calloc(1, sizeof(*m->front));
	m->far4 = calloc(LEVEE_FAR_WORDS, sizeof(*m->far4));
	m->far6 = calloc(LEVEE_FAR_WORDS, sizeof(*m->far6));
	m->buckets = calloc((size_t)1 << m->rule_bits, sizeof(*m->buckets));
	m->rules = calloc(m->rule_count, sizeof(*m->rules));
	m->hits = calloc(m->rule_count, sizeof(*m->hits));
	if (!m->front || !m->far4 || !m->far6 || !m->buckets || !m->rules || !m->hits)
		return -ENOMEM;
	return levee_policy_new(&o->dp.policy, m);
}

static int make_tables(struct levee_offline *o, const struct levee_offline_options *options)
{
	uint32_t rules = options->rules ? options->rules : RULES_DEFAULT;
	uint8_t length = options->source6_length ? options->source6_length : SOURCE6_DEFAULT;
	int ret;

	if (rules >= LEVEE_RULES_MAX) {
		levee_offline_tell(o, "room for %" PRIu32 " rules was asked for, the most is %d",
				   rules, LEVEE_RULES_MAX - 1);
		return -EINVAL;
	}
	if (length > 128) {
		levee_offline_tell(o, "IPv6 sources of %d bits were asked for, the most is 128",
				   length);
		return -EINVAL;
	}
	o->dp.source6_length = length;
	o->mask6_hi = levee_mask6_hi(length);
	o->mask6_lo = levee_mask6_lo(length);
	ret = make_key(&o->memory.key);
	if (!ret)
		ret = make_policy(o, rules);
	if (!ret)
		ret = levee_sources_init(&o->sources, &o->memory.key);
	if (ret)
		levee_offline_tell(o, "%s: cannot make the tables to count in: %s", o->name,
				   strerror(-ret));
	return ret;
}

/* What a file begins with. */
static const struct magic {
	uint8_t bytes[4];
	uint8_t n;
	const struct levee_format *format; /* NULL: compressed */
	const char *tool;		   /* that makes a readable file of it */
} magics[] = {
	{ { 0xa1, 0xb2, 0xc3, 0xd4 }, 4, &levee_format_pcap, NULL },
	{ { 0xd4, 0xc3, 0xb2, 0xa1 }, 4, &levee_format_pcap, NULL },
	{ { 0xa1, 0xb2, 0x3c, 0x4d }, 4, &levee_format_pcap, NULL }, /* nanoseconds */
	{ { 0x4d, 0x3c, 0xb2, 0xa1 }, 4, &levee_format_pcap, NULL },
	{ { 0xa1, 0xb2, 0xcd, 0x34 }, 4, &levee_format_pcap, NULL }, /* Kuznetsov's variant */
	{ { 0x34, 0xcd, 0xb2, 0xa1 }, 4, &levee_format_pcap, NULL },
	{ { 0x0a, 0x0d, 0x0d, 0x0a }, 4, &levee_format_pcap, NULL }, /* pcapng */
	{ { 0x1f, 0x8b }, 2, NULL, "gzip" },
	{ { 0x28, 0xb5, 0x2f, 0xfd }, 4, NULL, "zstd" },
	{ { 0xfd, '7', 'z', 'X' }, 4, NULL, "xz" },
	{ { 'B', 'Z', 'h' }, 3, NULL, "bzip2" },
};

static int choose_format(struct levee_offline *o)
{
	size_t have = levee_input_peek(&o->input, sizeof(magics[0].bytes));
	const uint8_t *head = o->input.buffer + o->input.at;

	if (!have && o->input.error) {
		levee_offline_tell(o, "%s: cannot be read: %s", o->name, strerror(o->input.error));
		return -o->input.error;
	}
	if (!have) {
		levee_offline_tell(o, "%s: is empty; a pcap, a pcapng or a CSV is expected",
				   o->name);
		return -ENODATA;
	}
	o->format = &levee_format_csv;
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (have < magics[i].n || memcmp(head, magics[i].bytes, magics[i].n))
			continue;
		o->format = magics[i].format;
		if (!o->format) {
			levee_offline_tell(o, "%s: is compressed; pass it through `%s -dc` first",
					   o->name, magics[i].tool);
			return -EINVAL;
		}
		break;
	}
	return o->format->open(o);
}

static int read_first(struct levee_offline *o)
{
	read_next(o);
	if (o->have_next) {
		o->delivered_ns = o->next.unix_ns;
		o->opened_ns = o->next.unix_ns;
		return 0;
	}
	if (o->errors)
		levee_offline_tell(o, "%s: holds no record, only %" PRIu64 " bad %ss", o->name,
				   o->errors, o->format->unit);
	else
		levee_offline_tell(o, "%s: holds no record: there is nothing to judge", o->name);
	return -ENODATA;
}

static int open_input(struct levee_offline *o, const char *path)
{
	int ret = levee_input_open(&o->input, path);

	if (ret) {
		levee_offline_tell(o, "%s: cannot be opened: %s", o->name, strerror(-ret));
		return ret;
	}
	ret = choose_format(o);
	return ret ? ret : read_first(o);
}

int levee_offline_open(struct levee_dataplane **out, const struct levee_offline_options *options)
{
	struct levee_offline *o = calloc(1, sizeof(*o));
	int ret = -ENOMEM;

	*out = NULL;
	if (!o)
		return -ENOMEM;
	o->dp.ops = &offline_ops;
	o->input.fd = -1;
	o->report = options->report;
	o->report_ctx = options->ctx;
	o->seq = 1;
	o->name = strdup(strcmp(options->path, "-") ? options->path : "standard input");
	if (o->name)
		ret = make_tables(o, options);
	if (!ret)
		ret = open_input(o, options->path);
	if (ret) {
		offline_close(&o->dp);
		return ret;
	}
	*out = &o->dp;
	return 0;
}

uint64_t levee_offline_errors(const struct levee_dataplane *dp)
{
	return offline_of_const(dp)->errors;
}

uint64_t levee_offline_late(const struct levee_dataplane *dp)
{
	return offline_of_const(dp)->late;
}

uint64_t levee_offline_records(const struct levee_dataplane *dp)
{
	return offline_of_const(dp)->records;
}

double levee_offline_progress(const struct levee_dataplane *dp)
{
	const struct levee_input *in = &offline_of_const(dp)->input;

	if (!in->size)
		return -1;
	return in->taken >= in->size ? 1 : (double)in->taken / (double)in->size;
}
