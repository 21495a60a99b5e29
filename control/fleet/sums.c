/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/sums.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_VERSION 2

/* ---- where a source goes ----------------------------------------------------------------- */

int levee_fleet_seed_parse(struct levee_fleet_seed *seed, const char *text)
{
	char word[17] = { 0 };

	if (strlen(text) != 16 * LEVEE_FLEET_SEED_WORDS ||
	    strspn(text, "0123456789abcdef") != 16 * LEVEE_FLEET_SEED_WORDS)
		return -EINVAL;
	for (int i = 0; i < LEVEE_FLEET_SEED_WORDS; i++) {
		memcpy(word, text + 16 * i, 16);
		seed->word[i] = strtoull(word, NULL, 16);
	}
	return 0;
}

/* Multiply and fold: both halves of the product depend on all bits of both factors. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * (b | 1);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

unsigned int levee_fleet_bucket(const struct levee_fleet_seed *seed,
				const struct levee_prefix *source)
{
	uint64_t h = fold(source->hi ^ seed->word[0], seed->word[1]);

	h = fold(h ^ source->lo ^ ((uint64_t)source->family << 8 | source->length), seed->word[2]);
	return (unsigned int)(fold(h ^ seed->word[3], seed->word[1]) >> 32) % LEVEE_FLEET_BUCKETS;
}

static void put_number(unsigned char *out, uint64_t value, size_t bytes)
{
	for (size_t i = bytes; i-- > 0; value >>= 8)
		out[i] = (unsigned char)value;
}

static uint64_t get_number(const unsigned char *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | in[i];
	return value;
}

size_t levee_fleet_field(const struct levee_prefix *source,
			 unsigned char field[static LEVEE_FLEET_FIELD_MAX])
{
	if (source->family == 4) {
		put_number(field, source->hi, 4);
		return 4;
	}
	field[0] = source->length;
	put_number(field + 1, source->hi, 8);
	if (!source->lo)
		return 9;
	put_number(field + 9, source->lo, 8);
	return 17;
}

int levee_fleet_field_parse(struct levee_prefix *source, const void *field, size_t n)
{
	const unsigned char *bytes = field;
	struct levee_prefix canon;

	if (n == 4) {
		*source = (struct levee_prefix){ get_number(bytes, 4), 0, 4, 32 };
		return 0;
	}
	if ((n != 9 && n != 17) || bytes[0] > 128)
		return -EINVAL;
	*source = (struct levee_prefix){ get_number(bytes + 1, 8),
					 n == 17 ? get_number(bytes + 9, 8) : 0, 6, bytes[0] };
	canon = *source;
	levee_prefix_canon(&canon);
	return levee_prefix_compare(&canon, source) ? -EINVAL : 0;
}

/* ---- a bin of this node ------------------------------------------------------------------ */

static void put_value(struct levee_fleet_bin *to, const struct levee_prefix *source,
		      enum levee_fleet_lane lane, uint64_t value)
{
	struct levee_fleet_source *v = &to->values[to->n++];

	*v = (struct levee_fleet_source){ .source = *source,
					  .value = value < LEVEE_VALUE_MAX ? value
									   : LEVEE_VALUE_MAX,
					  .lane = (uint8_t)lane };
}

static void take_name(struct levee_moments *folded, uint64_t value)
{
	folded->sum -= value;
	folded->sq -= (levee_u128)value * value;
}

static bool has_lane(const struct levee_fleet_bin *bin, enum levee_fleet_lane lane)
{
	return bin->lanes & 1U << lane;
}

static void copy_source(void *ctx, const struct levee_bin_entry *entry)
{
	struct levee_fleet_bin *to = ctx;

	put_value(to, &entry->source, LEVEE_LANE_PACKETS, entry->packets);
	to->sources++;
	to->packets += entry->packets;
	to->folded[LEVEE_PACKETS].n--;
	take_name(&to->folded[LEVEE_PACKETS], entry->packets);
	if (has_lane(to, LEVEE_LANE_BYTES) && entry->bytes) {
		put_value(to, &entry->source, LEVEE_LANE_BYTES, entry->bytes);
		take_name(&to->folded[LEVEE_BYTES], entry->bytes);
	}
	if (has_lane(to, LEVEE_LANE_ANSWERED) && entry->answered)
		put_value(to, &entry->source, LEVEE_LANE_ANSWERED, 1);
}

static void copy_syns(void *ctx, const struct levee_bin_entry *entry)
{
	struct levee_fleet_bin *to = ctx;

	put_value(to, &entry->source, LEVEE_LANE_SYNS, entry->syns);
	take_name(&to->folded[LEVEE_SYNS], entry->syns);
}

static void count_entry(void *ctx, const struct levee_bin_entry *entry)
{
	(void)entry;
	++*(size_t *)ctx;
}

/* Room for all values, and all moments, from which names are taken then. */
static int begin_make(struct levee_fleet_bin *out, const struct levee_bin *bin, size_t n_held)
{
	size_t n = levee_bin_sources(bin), syns = 0;
	int ret = 0;

	for (enum levee_measure m = LEVEE_PACKETS; m < LEVEE_MEASURES && !ret; m++)
		if (has_lane(out, (enum levee_fleet_lane)m))
			ret = levee_bin_measure(bin, m, &out->folded[m]);
	if (ret)
		return ret;
	if (has_lane(out, LEVEE_LANE_SYNS))
		levee_bin_walk_measure(bin, LEVEE_SYNS, 0, count_entry, &syns);
	n += n * (has_lane(out, LEVEE_LANE_BYTES) + has_lane(out, LEVEE_LANE_ANSWERED));
	out->values = malloc((n + syns + n_held + 1) * sizeof(*out->values));
	return out->values ? 0 : -ENOMEM;
}

int levee_fleet_bin_make(struct levee_fleet_bin *out, const struct levee_bin *bin, int64_t start_s,
			 unsigned int lanes, const struct levee_fleet_held *held, size_t n_held)
{
	int ret;

	*out = (struct levee_fleet_bin){ .start_s = start_s,
					 .lanes = lanes | 1U << LEVEE_LANE_PACKETS };
	if (n_held)
		out->lanes |= 1U << LEVEE_LANE_HELD;
	ret = begin_make(out, bin, n_held);
	if (ret)
		return ret;
	levee_bin_walk(bin, 0, copy_source, out);
	if (has_lane(out, LEVEE_LANE_SYNS))
		levee_bin_walk_measure(bin, LEVEE_SYNS, 0, copy_syns, out);
	for (size_t i = 0; i < n_held; i++)
		put_value(out, &held[i].source, LEVEE_LANE_HELD, held[i].packets);
	return 0;
}

void levee_fleet_bin_clear(struct levee_fleet_bin *bin)
{
	free(bin->values);
	*bin = (struct levee_fleet_bin){ 0 };
}

const char *levee_fleet_lanes_format(unsigned int lanes, char text[static LEVEE_LANES + 1])
{
	size_t n = 0;

	for (int i = 0; i < LEVEE_LANES; i++)
		if (lanes & 1U << i)
			text[n++] = LEVEE_LANE_LETTERS[i];
	text[n] = '\0';
	return text;
}

unsigned int levee_fleet_lanes_parse(const char *text)
{
	unsigned int lanes = 0;

	for (; *text; text++) {
		const char *at = strchr(LEVEE_LANE_LETTERS, *text);

		if (!at)
			return 0;
		lanes |= 1U << (at - LEVEE_LANE_LETTERS);
	}
	return lanes & 1U << LEVEE_LANE_PACKETS ? lanes : 0;
}

static int by_bucket(const void *a, const void *b)
{
	const struct levee_fleet_source *left = a, *right = b;

	if (left->bucket != right->bucket)
		return left->bucket < right->bucket ? -1 : 1;
	if (left->lane != right->lane)
		return left->lane < right->lane ? -1 : 1;
	return levee_prefix_compare(&left->source, &right->source);
}

void levee_fleet_bin_sort(struct levee_fleet_bin *bin, const struct levee_fleet_seed *seed)
{
	for (size_t i = 0; i < bin->n; i++)
		bin->values[i].bucket = levee_fleet_bucket(seed, &bin->values[i].source);
	if (bin->n)
		qsort(bin->values, bin->n, sizeof(*bin->values), by_bucket);
}

static unsigned int shard_of(const struct levee_fleet_source *source)
{
	return source->bucket / LEVEE_FLEET_PER_SHARD;
}

size_t levee_fleet_bin_part(const struct levee_fleet_bin *bin, size_t at)
{
	size_t n = 1;

	while (at + n < bin->n && n < LEVEE_FLEET_PART_MAX &&
	       shard_of(&bin->values[at + n]) == shard_of(&bin->values[at]))
		n++;
	return n;
}

uint64_t levee_fleet_part_sum(const struct levee_fleet_source *values, size_t n)
{
	uint64_t sum = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < n; i++) {
		const uint64_t words[] = { values[i].source.hi, values[i].source.lo,
					   (uint64_t)values[i].lane << 16 |
						   (uint64_t)values[i].source.family << 8 |
						   values[i].source.length,
					   values[i].value };

		for (size_t w = 0; w < 4; w++)
			for (int byte = 0; byte < 8; byte++)
				sum = (sum ^ (words[w] >> (8 * byte) & 0xff)) * 0x100000001b3ULL;
	}
	return sum;
}

/* ---- the engine's answers ---------------------------------------------------------------- */

int levee_fleet_reduced(struct levee_moments *sum, uint64_t *capped, const char *text)
{
	uint64_t v[10];
	struct levee_moments more;
	int at = 0;

	if (sscanf(text,
		   "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 "%n",
		   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7], &v[8], &v[9],
		   &at) != 10 ||
	    text[at])
		return -EPROTO;
	for (int i = 0; i < 10; i++)
		if (v[i] > 1ULL << 53)
			return -EPROTO;
	/* Value = high * 2^24 + low; each sum came as part and rest, rest counting 2^24. */
	more.n = v[0];
	more.sum = v[2] + ((levee_u128)v[3] << 24);
	more.sq = v[4] + ((levee_u128)v[5] << 24);
	more.sq += (v[6] + ((levee_u128)v[7] << 24)) << 25;
	more.sq += (v[8] + ((levee_u128)v[9] << 24)) << 48;
	if (!levee_moments_possible(&more))
		return -EPROTO;
	*capped += v[1];
	return levee_moments_merge(sum, &more);
}

int levee_fleet_reduced_cells(struct levee_buckets *buckets, const char *text)
{
	unsigned long long bucket, count;
	char *end;

	while (*text) {
		errno = 0;
		bucket = strtoull(text, &end, 10);
		if (end == text || *end != ' ' || bucket >= LEVEE_BUCKETS)
			return -EPROTO;
		text = end + 1;
		count = strtoull(text, &end, 10);
		if (errno || end == text || (*end && *end != ' ') || count > UINT32_MAX)
			return -EPROTO;
		buckets->count[bucket] += count;
		buckets->n += count;
		text = end + (*end == ' ');
	}
	return 0;
}

int levee_fleet_wide_parse(levee_u128 *value, const char *text)
{
	*value = 0;
	if (!text || strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
		return -EINVAL;
	for (; *text; text++)
		*value = *value << 4 |
			 (unsigned int)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
	return 0;
}

/* ---- records ----------------------------------------------------------------------------- */

int levee_fleet_name_add(char ***list, size_t *n, const char *name)
{
	char **more = reallocarray(*list, *n + 1, sizeof(*more));
	char *copy = strdup(name);

	if (more)
		*list = more;
	if (!more || !copy) {
		free(copy);
		return -ENOMEM;
	}
	more[(*n)++] = copy;
	return 0;
}

bool levee_fleet_name_in(char *const *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

static void clear_names(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

void levee_fleet_record_clear(struct levee_fleet_record *record)
{
	levee_bin_record_clear(&record->bin);
	clear_names(record->nodes, record->n_nodes);
	clear_names(record->late, record->n_late);
	clear_names(record->missing, record->n_missing);
	*record = (struct levee_fleet_record){ 0 };
}

static json_t *names_to_json(char *const *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(list[i]));
	return array;
}

/* JSON's numbers are doubles to many readers: what may be larger is text. */
static json_t *wide_to_json(levee_u128 value)
{
	char text[40];

	snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, (uint64_t)(value >> 64),
		 (uint64_t)value);
	return json_string(text);
}

/* [source, value, packets, answered] */
static json_t *candidates_to_json(const struct levee_candidate *list, size_t n,
				  enum levee_measure measure)
{
	json_t *array = json_array();
	char text[LEVEE_PREFIX_TEXT];

	for (size_t i = 0; i < n; i++) {
		const struct levee_candidate *c = &list[i];
		uint64_t value = levee_candidate_value(c, measure);

		json_array_append_new(
			array, json_pack("[sIIb]", levee_prefix_format(&c->source, text),
					 (json_int_t)value, (json_int_t)c->packets, c->answered));
	}
	return array;
}

/* Of bytes or SYNs; JSON's null if it was not judged. */
static json_t *measure_to_json(const struct levee_bin_record *bin, enum levee_measure measure)
{
	const struct levee_bin_measure *m = bin->measures[measure];

	if (!m)
		return json_null();
	return json_pack("{sIsIsososo}", "min", (json_int_t)m->minimum, "n",
			 (json_int_t)m->moments.n, "sum", wide_to_json(m->moments.sum), "sq",
			 wide_to_json(m->moments.sq), "candidates",
			 candidates_to_json(m->candidates, m->n_candidates, measure));
}

/* Its bytes in hexadecimal digits; "" if there is none. */
static json_t *histogram_to_json(const struct levee_histogram *histogram)
{
	size_t n = 0;
	uint8_t *bytes = levee_histogram_write(histogram, &n);
	char *text = malloc(2 * n + 1);
	json_t *json = NULL;

	if (bytes && text) {
		text[0] = '\0';
		for (size_t i = 0; i < n; i++)
			snprintf(text + 2 * i, 3, "%02x", bytes[i]);
		json = json_string(text);
	}
	free(bytes);
	free(text);
	return json;
}

char *levee_fleet_record_format(const struct levee_fleet_record *record)
{
	const struct levee_bin_record *bin = &record->bin;
	json_t *json = json_pack(
		"{sisIsIsososIsIsIsososososososo}", "v", RECORD_VERSION, "start",
		(json_int_t)bin->start_s, "n", (json_int_t)bin->moments.n, "sum",
		wide_to_json(bin->moments.sum), "sq", wide_to_json(bin->moments.sq), "capped",
		(json_int_t)record->capped, "min", (json_int_t)bin->min_packets, "flags",
		(json_int_t)bin->flags, "nodes", names_to_json(record->nodes, record->n_nodes),
		"late", names_to_json(record->late, record->n_late), "missing",
		names_to_json(record->missing, record->n_missing), "candidates",
		candidates_to_json(bin->candidates, bin->n_candidates, LEVEE_PACKETS), "bytes",
		measure_to_json(bin, LEVEE_BYTES), "syns", measure_to_json(bin, LEVEE_SYNS),
		"histogram", histogram_to_json(&bin->histogram));
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static int names_from_json(const json_t *array, char ***list, size_t *n)
{
	size_t i;
	json_t *name;

	if (!json_is_array(array))
		return -EINVAL;
	json_array_foreach(array, i, name)
	{
		if (!json_is_string(name))
			return -EINVAL;
		if (levee_fleet_name_add(list, n, json_string_value(name)))
			return -ENOMEM;
	}
	return 0;
}

static void set_value(struct levee_candidate *c, enum levee_measure measure, uint64_t value)
{
	if (measure == LEVEE_PACKETS)
		c->packets = value;
	else if (measure == LEVEE_BYTES)
		c->bytes = value;
	else
		c->syns = value;
}

static int candidates_from_json(const json_t *array, enum levee_measure measure,
				struct levee_candidate **list, size_t *n)
{
	size_t i;
	json_t *item;

	if (!json_is_array(array))
		return -EINVAL;
	*list = calloc(json_array_size(array) + 1, sizeof(**list));
	if (!*list)
		return -ENOMEM;
	json_array_foreach(array, i, item)
	{
		const char *text = json_string_value(json_array_get(item, 0));
		json_int_t value = json_integer_value(json_array_get(item, 1));
		json_int_t packets = json_integer_value(json_array_get(item, 2));
		struct levee_candidate *c = &(*list)[*n];

		if (!text || value <= 0 || (uint64_t)value > LEVEE_VALUE_MAX || packets < 0 ||
		    (uint64_t)packets > LEVEE_VALUE_MAX ||
		    levee_prefix_parse(&c->source, text, strlen(text), NULL))
			return -EINVAL;
		c->packets = (uint64_t)packets;
		set_value(c, measure, (uint64_t)value);
		c->answered = json_is_true(json_array_get(item, 3));
		++*n;
	}
	return 0;
}

static int moments_from_json(const json_t *sum, const json_t *sq, json_int_t n,
			     struct levee_moments *m)
{
	m->n = (uint64_t)n;
	if (n < 0 || levee_fleet_wide_parse(&m->sum, json_string_value(sum)) ||
	    levee_fleet_wide_parse(&m->sq, json_string_value(sq)) || !levee_moments_possible(m))
		return -EINVAL;
	return 0;
}

static int measure_from_json(json_t *json, enum levee_measure measure, struct levee_bin_record *bin)
{
	struct levee_bin_measure *m;
	json_t *sum, *sq, *candidates;
	json_int_t min, n;
	int ret;

	if (json_is_null(json))
		return 0;
	if (json_unpack(json, "{sIsIsososo}", "min", &min, "n", &n, "sum", &sum, "sq", &sq,
			"candidates", &candidates) ||
	    min < 0)
		return -EINVAL;
	m = bin->measures[measure] = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->minimum = (uint64_t)min;
	ret = moments_from_json(sum, sq, n, &m->moments);
	return ret ? ret
		   : candidates_from_json(candidates, measure, &m->candidates, &m->n_candidates);
}

static int digit(char c)
{
	const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int histogram_from_json(const json_t *json, struct levee_histogram *histogram)
{
	const char *text = json_string_value(json);
	size_t n = text ? strlen(text) / 2 : 0;
	uint8_t *bytes;
	int ret = 0;

	if (!text || strlen(text) % 2)
		return -EINVAL;
	bytes = malloc(n + 1);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < n && !ret; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		ret = high < 0 || low < 0 ? -EINVAL : 0;
		bytes[i] = ret ? 0 : (uint8_t)((unsigned int)high << 4 | (unsigned int)low);
	}
	if (!ret)
		ret = levee_histogram_read(histogram, bytes, n);
	free(bytes);
	return ret;
}

static int record_from_json(struct levee_fleet_record *record, json_t *json)
{
	struct levee_bin_record *bin = &record->bin;
	json_int_t start, n, capped, min, flags;
	json_t *sum, *sq, *nodes, *late, *missing, *candidates, *bytes, *syns, *histogram;
	int version, ret;

	if (json_unpack(json, "{sisIsIsososIsIsIsososososososo}", "v", &version, "start", &start,
			"n", &n, "sum", &sum, "sq", &sq, "capped", &capped, "min", &min, "flags",
			&flags, "nodes", &nodes, "late", &late, "missing", &missing, "candidates",
			&candidates, "bytes", &bytes, "syns", &syns, "histogram", &histogram) ||
	    version != RECORD_VERSION || start < 0 || capped < 0 || min < 0 || flags < 0)
		return -EINVAL;
	bin->start_s = start;
	bin->min_packets = (uint64_t)min;
	bin->flags = (uint32_t)flags;
	record->capped = (uint64_t)capped;
	ret = moments_from_json(sum, sq, n, &bin->moments);
	if (!ret)
		ret = names_from_json(nodes, &record->nodes, &record->n_nodes);
	if (!ret)
		ret = names_from_json(late, &record->late, &record->n_late);
	if (!ret)
		ret = names_from_json(missing, &record->missing, &record->n_missing);
	if (!ret)
		ret = candidates_from_json(candidates, LEVEE_PACKETS, &bin->candidates,
					   &bin->n_candidates);
	if (!ret)
		ret = measure_from_json(bytes, LEVEE_BYTES, bin);
	if (!ret)
		ret = measure_from_json(syns, LEVEE_SYNS, bin);
	return ret ? ret : histogram_from_json(histogram, &bin->histogram);
}

int levee_fleet_record_parse(struct levee_fleet_record *record, const char *text)
{
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int ret;

	*record = (struct levee_fleet_record){ 0 };
	ret = json ? record_from_json(record, json) : -EINVAL;
	json_decref(json);
	if (ret)
		levee_fleet_record_clear(record);
	return ret;
}
