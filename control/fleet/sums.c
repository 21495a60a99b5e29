/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/sums.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

struct copying {
	struct levee_fleet_bin *to;
};

static void copy_source(void *ctx, const struct levee_bin_entry *entry)
{
	struct levee_fleet_bin *to = ((struct copying *)ctx)->to;

	to->sources[to->n++] = (struct levee_fleet_source){ .source = entry->source,
							    .packets = entry->packets };
	to->packets += entry->packets;
}

int levee_fleet_bin_make(struct levee_fleet_bin *out, const struct levee_bin *bin, int64_t start_s)
{
	struct copying ctx = { .to = out };
	size_t n = levee_bin_sources(bin);
	struct levee_moments all;
	int ret;

	*out = (struct levee_fleet_bin){ .start_s = start_s };
	ret = levee_bin_moments(bin, &all);
	if (ret)
		return ret;
	out->sources = malloc((n + 1) * sizeof(*out->sources));
	if (!out->sources)
		return -ENOMEM;
	levee_bin_walk(bin, 0, copy_source, &ctx);
	/* What is in the moments and has no name. */
	out->folded = all;
	for (size_t i = 0; i < out->n; i++) {
		uint64_t packets = out->sources[i].packets;

		out->folded.n--;
		out->folded.sum -= packets;
		out->folded.sq -= (levee_u128)packets * packets;
	}
	return 0;
}

void levee_fleet_bin_clear(struct levee_fleet_bin *bin)
{
	free(bin->sources);
	*bin = (struct levee_fleet_bin){ 0 };
}

static int by_bucket(const void *a, const void *b)
{
	const struct levee_fleet_source *left = a, *right = b;

	if (left->bucket != right->bucket)
		return left->bucket < right->bucket ? -1 : 1;
	return levee_prefix_compare(&left->source, &right->source);
}

void levee_fleet_bin_sort(struct levee_fleet_bin *bin, const struct levee_fleet_seed *seed)
{
	for (size_t i = 0; i < bin->n; i++)
		bin->sources[i].bucket = levee_fleet_bucket(seed, &bin->sources[i].source);
	qsort(bin->sources, bin->n, sizeof(*bin->sources), by_bucket);
}

static unsigned int shard_of(const struct levee_fleet_source *source)
{
	return source->bucket / LEVEE_FLEET_PER_SHARD;
}

size_t levee_fleet_bin_part(const struct levee_fleet_bin *bin, size_t at)
{
	size_t n = 1;

	while (at + n < bin->n && n < LEVEE_FLEET_PART_MAX &&
	       shard_of(&bin->sources[at + n]) == shard_of(&bin->sources[at]))
		n++;
	return n;
}

uint64_t levee_fleet_part_sum(const struct levee_fleet_source *sources, size_t n)
{
	uint64_t sum = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < n; i++) {
		const uint64_t words[] = { sources[i].source.hi, sources[i].source.lo,
					   (uint64_t)sources[i].source.family << 8 |
						   sources[i].source.length,
					   sources[i].packets };

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

static json_t *candidates_to_json(const struct levee_bin_record *bin)
{
	json_t *array = json_array();
	char text[LEVEE_PREFIX_TEXT];

	for (size_t i = 0; i < bin->n_candidates; i++) {
		const struct levee_candidate *c = &bin->candidates[i];

		json_array_append_new(array,
				      json_pack("[sI]", levee_prefix_format(&c->source, text),
						(json_int_t)c->packets));
	}
	return array;
}

char *levee_fleet_record_format(const struct levee_fleet_record *record)
{
	const struct levee_bin_record *bin = &record->bin;
	json_t *json = json_pack(
		"{sisIsIsosososIsIsosososo}", "v", 1, "start", (json_int_t)bin->start_s, "n",
		(json_int_t)bin->moments.n, "sum", wide_to_json(bin->moments.sum), "sq",
		wide_to_json(bin->moments.sq), "capped", json_integer((json_int_t)record->capped),
		"min", (json_int_t)bin->min_packets, "flags", (json_int_t)bin->flags, "nodes",
		names_to_json(record->nodes, record->n_nodes), "late",
		names_to_json(record->late, record->n_late), "missing",
		names_to_json(record->missing, record->n_missing), "candidates",
		candidates_to_json(bin));
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

static int candidates_from_json(const json_t *array, struct levee_bin_record *bin)
{
	size_t i;
	json_t *pair;

	if (!json_is_array(array))
		return -EINVAL;
	bin->candidates = calloc(json_array_size(array) + 1, sizeof(*bin->candidates));
	if (!bin->candidates)
		return -ENOMEM;
	json_array_foreach(array, i, pair)
	{
		const char *text = json_string_value(json_array_get(pair, 0));
		json_int_t packets = json_integer_value(json_array_get(pair, 1));
		struct levee_candidate *c = &bin->candidates[bin->n_candidates];

		if (!text || packets <= 0 || (uint64_t)packets > LEVEE_VALUE_MAX ||
		    levee_prefix_parse(&c->source, text, strlen(text), NULL))
			return -EINVAL;
		c->packets = (uint64_t)packets;
		bin->n_candidates++;
	}
	return 0;
}

static int record_from_json(struct levee_fleet_record *record, json_t *json)
{
	struct levee_bin_record *bin = &record->bin;
	json_int_t start, n, capped, min, flags;
	json_t *sum, *sq, *nodes, *late, *missing, *candidates;
	int version, ret;

	if (json_unpack(json, "{sisIsIsososIsIsIsosososo}", "v", &version, "start", &start, "n", &n,
			"sum", &sum, "sq", &sq, "capped", &capped, "min", &min, "flags", &flags,
			"nodes", &nodes, "late", &late, "missing", &missing, "candidates",
			&candidates) ||
	    version != 1 || start < 0 || n < 0 || capped < 0 || min < 0 || flags < 0)
		return -EINVAL;
	bin->start_s = start;
	bin->moments.n = (uint64_t)n;
	bin->min_packets = (uint64_t)min;
	bin->flags = (uint32_t)flags;
	record->capped = (uint64_t)capped;
	if (levee_fleet_wide_parse(&bin->moments.sum, json_string_value(sum)) ||
	    levee_fleet_wide_parse(&bin->moments.sq, json_string_value(sq)) ||
	    !levee_moments_possible(&bin->moments))
		return -EINVAL;
	ret = names_from_json(nodes, &record->nodes, &record->n_nodes);
	if (!ret)
		ret = names_from_json(late, &record->late, &record->n_late);
	if (!ret)
		ret = names_from_json(missing, &record->missing, &record->n_missing);
	return ret ? ret : candidates_from_json(candidates, bin);
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
