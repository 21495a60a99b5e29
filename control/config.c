/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/config.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "control/api/socket.h"
#include "control/fleet/url.h"
#include "control/log.h"
#include "control/nearest.h"

#define WHY_BYTES   256
#define FILE_BYTES  (1U << 20) /* far above any real file; /dev/zero must not fill memory */
#define LINE_BYTES  4096       /* of a comment; other lines must fit into inih's buffer */
#define VALUE_BYTES 180	       /* so that each dumped line fits into inih's smallest buffer, 200 */
#define DUMP_COLUMN 96
#define MICRO	    1000000ULL

#define BINS_MIN 2
#define BINS_MAX 10080 /* as levee_window_new() accepts */

_Static_assert(sizeof(enum levee_path_type) == sizeof(int), "choices are stored as int");
_Static_assert(sizeof(enum levee_dpdk_port_mode) == sizeof(int), "choices are stored as int");
_Static_assert(sizeof(enum levee_attach_mode) == sizeof(int), "choices are stored as int");
_Static_assert(sizeof(enum levee_block_mode) == sizeof(int), "choices are stored as int");
_Static_assert(sizeof(enum levee_nacl_action) == sizeof(int), "choices are stored as int");

/** How values of one type are set, printed, and freed. */
struct levee_config_kind {
	/* append: the text goes on with a value. \return 0; -EINVAL and why filled; -ENOMEM */
	int (*set)(struct levee_config *config, const struct levee_config_key *key,
		   const char *text, bool append, char why[static WHY_BYTES]);
	/* Write the value as it stands in the file, after `key =`: a blank and the text, or nothing. */
	void (*print)(const struct levee_config *config, const struct levee_config_key *key,
		      FILE *out);
	void (*clear)(struct levee_config *config, const struct levee_config_key *key);
	bool continues; /* a value may go on, on indented lines */
};

static void *field(struct levee_config *config, const struct levee_config_key *key)
{
	return (char *)config + key->offset;
}

static const void *const_field(const struct levee_config *config,
			       const struct levee_config_key *key)
{
	return (const char *)config + key->offset;
}

static int refuse(char why[static WHY_BYTES], const char *reason)
{
	snprintf(why, WHY_BYTES, "%s", reason);
	return -EINVAL;
}

/* ---- integers, in the unit of the key ----------------------------------------------------- */

/* \return 0; -EINVAL if this is no plain decimal number; -ERANGE if it is above 2^64 - 1 */
static int parse_integer(const char *text, uint64_t *out)
{
	uint64_t value = 0;

	if (*text == '\0')
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10U, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return -ERANGE;
	}
	*out = value;
	return 0;
}

static int set_integer(struct levee_config *config, const struct levee_config_key *key,
		       const char *text, bool append, char why[static WHY_BYTES])
{
	uint64_t value;
	int ret = parse_integer(text, &value);

	(void)append;
	if (ret == -EINVAL)
		return refuse(why, "not a whole number");
	if (ret < 0 || value > key->max)
		return refuse(why, "too large");
	if (value < key->min)
		return refuse(why, "too small");
	*(uint64_t *)field(config, key) = value;
	return 0;
}

static void print_integer(const struct levee_config *config, const struct levee_config_key *key,
			  FILE *out)
{
	fprintf(out, " %" PRIu64, *(const uint64_t *)const_field(config, key));
}

static void clear_nothing(struct levee_config *config, const struct levee_config_key *key)
{
	(void)config;
	(void)key;
}

static const struct levee_config_kind integer = {
	.set = set_integer,
	.print = print_integer,
	.clear = clear_nothing,
};

static int set_power(struct levee_config *config, const struct levee_config_key *key,
		     const char *text, bool append, char why[static WHY_BYTES])
{
	int ret = set_integer(config, key, text, append, why);
	uint64_t power = 1;

	if (ret < 0)
		return ret;
	while (power < *(uint64_t *)field(config, key))
		power <<= 1;
	*(uint64_t *)field(config, key) = power;
	return 0;
}

/* Sizes of tables that are indexed by bits of a hash: rounded up. */
static const struct levee_config_kind power_of_two = {
	.set = set_power,
	.print = print_integer,
	.clear = clear_nothing,
};

/* ---- numbers with decimals: kept to a millionth, which the detector resolves -------------- */

/*
 * Read by hand: strtod() would listen to the locale, and take "inf", "0x1p3" and the like.
 * \return 0 and millionths; -EINVAL; -ERANGE
 */
static int parse_millionths(const char *text, uint64_t *out)
{
	char digits[32];
	size_t n = strcspn(text, ".");
	size_t decimals = 0;

	if (n == 0 || n + 7 > sizeof(digits))
		return n == 0 ? -EINVAL : -ERANGE;
	memcpy(digits, text, n);
	if (text[n] == '.') {
		decimals = strlen(text + n + 1);
		if (decimals == 0 || decimals > 6)
			return -EINVAL;
		memcpy(digits + n, text + n + 1, decimals);
	}
	memset(digits + n + decimals, '0', 6 - decimals);
	digits[n + 6] = '\0';
	return parse_integer(digits, out);
}

static int set_number(struct levee_config *config, const struct levee_config_key *key,
		      const char *text, bool append, char why[static WHY_BYTES])
{
	uint64_t millionths;
	int ret = parse_millionths(text, &millionths);

	(void)append;
	if (ret == -EINVAL)
		return refuse(why, "not a decimal number of at most 6 decimals");
	if (ret < 0 || millionths > key->max)
		return refuse(why, "too large");
	if (millionths < key->min)
		return refuse(why, "too small");
	*(double *)field(config, key) = (double)millionths / (double)MICRO;
	return 0;
}

static void print_number(const struct levee_config *config, const struct levee_config_key *key,
			 FILE *out)
{
	double value = *(const double *)const_field(config, key);
	uint64_t millionths = (uint64_t)llround(value * (double)MICRO);
	char decimals[8];
	size_t n;

	snprintf(decimals, sizeof(decimals), "%06u", (unsigned int)(millionths % MICRO));
	for (n = 6; n > 1 && decimals[n - 1] == '0'; n--)
		decimals[n - 1] = '\0';
	fprintf(out, " %" PRIu64 ".%s", (uint64_t)(millionths / MICRO), decimals);
}

static const struct levee_config_kind number = {
	.set = set_number,
	.print = print_number,
	.clear = clear_nothing,
};

/* ---- one of several words ----------------------------------------------------------------- */

static int set_choice(struct levee_config *config, const struct levee_config_key *key,
		      const char *text, bool append, char why[static WHY_BYTES])
{
	(void)append;
	for (int i = 0; key->choices[i]; i++) {
		if (strcmp(key->choices[i], text) == 0) {
			memcpy(field(config, key), &i, sizeof(i));
			return 0;
		}
	}
	return refuse(why, "not one of the choices");
}

static void print_choice(const struct levee_config *config, const struct levee_config_key *key,
			 FILE *out)
{
	int i;

	memcpy(&i, const_field(config, key), sizeof(i));
	fprintf(out, " %s", key->choices[i]);
}

static const struct levee_config_kind choice = {
	.set = set_choice,
	.print = print_choice,
	.clear = clear_nothing,
};

/* ---- yes and no --------------------------------------------------------------------------- */

static int set_boolean(struct levee_config *config, const struct levee_config_key *key,
		       const char *text, bool append, char why[static WHY_BYTES])
{
	bool yes = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0;

	(void)append;
	if (!yes && strcmp(text, "no") != 0 && strcmp(text, "false") != 0)
		return refuse(why, "neither yes nor no");
	*(bool *)field(config, key) = yes;
	return 0;
}

static void print_boolean(const struct levee_config *config, const struct levee_config_key *key,
			  FILE *out)
{
	fputs(*(const bool *)const_field(config, key) ? " yes" : " no", out);
}

static const struct levee_config_kind boolean = {
	.set = set_boolean,
	.print = print_boolean,
	.clear = clear_nothing,
};

/* ---- paths -------------------------------------------------------------------------------- */

/* What the INI form could not hold, it would read back as something else. \return why; NULL */
static const char *unfit_for_file(const char *text)
{
	size_t n = strlen(text), len;

	if (n > VALUE_BYTES)
		return "longer than 180 bytes";
	for (size_t i = 0; i < n; i += len) {
		len = levee_utf8_length(text + i, n - i);
		if (len == 0)
			return "not UTF-8";
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return "control characters are not accepted";
		if (text[i] == ' ' && (text[i + 1] == ';' || text[i + 1] == '#'))
			return "a comment begins on a line of its own";
	}
	if (n > 0 && text[n - 1] == ' ')
		return "ends with a blank";
	return NULL;
}

static int set_path(struct levee_config *config, const struct levee_config_key *key,
		    const char *text, bool append, char why[static WHY_BYTES])
{
	char **path = field(config, key);
	const char *unfit = unfit_for_file(text);
	char *copy;

	(void)append;
	if (unfit)
		return refuse(why, unfit);
	if (*text == '\0' && key->min > 0)
		return refuse(why, "empty");
	if (*text != '\0' && *text != '/')
		return refuse(why, "not an absolute path");
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*path);
	*path = copy;
	return 0;
}

static void print_path(const struct levee_config *config, const struct levee_config_key *key,
		       FILE *out)
{
	const char *text = *(char *const *)const_field(config, key);

	if (*text)
		fprintf(out, " %s", text);
}

static void clear_path(struct levee_config *config, const struct levee_config_key *key)
{
	char **path = field(config, key);

	free(*path);
	*path = NULL;
}

static const struct levee_config_kind path = {
	.set = set_path,
	.print = print_path,
	.clear = clear_path,
};

/* ---- one word or name, checked by the key's own function ---------------------------------- */

static int set_text(struct levee_config *config, const struct levee_config_key *key,
		    const char *text, bool append, char why[static WHY_BYTES])
{
	char **value = field(config, key);
	const char *unfit = unfit_for_file(text), *reason = NULL;
	char *copy;

	(void)append;
	if (!unfit && !*text && key->min > 0)
		unfit = "empty";
	if (!unfit && *text && key->word(config, text, &reason) < 0)
		unfit = reason ? reason : "not accepted";
	if (unfit)
		return refuse(why, unfit);
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	free(*value);
	*value = copy;
	return 0;
}

/* Empty is always accepted: it stands for "find out", or for "not at all". */
static const struct levee_config_kind one_text = {
	.set = set_text,
	.print = print_path,
	.clear = clear_path,
};

/* ---- lists of words ----------------------------------------------------------------------- */

static int add_word(struct levee_words *words, const char *text, size_t len)
{
	char **more;

	/* Room for a power of two of words: grown when n is one. */
	if ((words->n & (words->n - 1)) == 0) {
		more = reallocarray(words->word, words->n ? 2 * words->n : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		words->word = more;
	}
	words->word[words->n] = strndup(text, len);
	if (!words->word[words->n])
		return -ENOMEM;
	words->n++;
	return 0;
}

static void drop_last_word(struct levee_words *words)
{
	free(words->word[--words->n]);
}

static void clear_words(struct levee_config *config, const struct levee_config_key *key)
{
	struct levee_words *words = field(config, key);

	key->reset(config);
	for (size_t i = 0; i < words->n; i++)
		free(words->word[i]);
	free(words->word);
	*words = (struct levee_words){ 0 };
}

static int set_word(struct levee_config *config, const struct levee_config_key *key,
		    const char *text, size_t len, char why[static WHY_BYTES])
{
	struct levee_words *words = field(config, key);
	const char *reason = NULL;
	int ret;

	if (len > VALUE_BYTES) {
		snprintf(why, WHY_BYTES, "\"%.40s...\" is too long", text);
		return -EINVAL;
	}
	ret = add_word(words, text, len);
	if (ret < 0)
		return ret;
	ret = key->word(config, words->word[words->n - 1], &reason);
	if (ret < 0) {
		snprintf(why, WHY_BYTES, "\"%.90s\": %s", words->word[words->n - 1],
			 reason ? reason : "not accepted");
		drop_last_word(words);
	}
	return ret;
}

static int set_words(struct levee_config *config, const struct levee_config_key *key,
		     const char *text, bool append, char why[static WHY_BYTES])
{
	static const char blank[] = " \t";
	size_t len;
	int ret;

	if (!append)
		clear_words(config, key);
	for (text += strspn(text, blank); *text; text += len + strspn(text + len, blank)) {
		len = strcspn(text, blank);
		ret = set_word(config, key, text, len, why);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* A long list goes on, on indented lines: the parser's buffer is short. */
static void print_words(const struct levee_config *config, const struct levee_config_key *key,
			FILE *out)
{
	const struct levee_words *words = const_field(config, key);
	size_t column = strlen(key->name) + 2;

	for (size_t i = 0; i < words->n; i++) {
		size_t len = strlen(words->word[i]);

		if (i > 0 && column + 1 + len > DUMP_COLUMN) {
			fputs("\n\t", out);
			column = 7;
		} else {
			fputc(' ', out);
		}
		fputs(words->word[i], out);
		column += 1 + len;
	}
}

static const struct levee_config_kind word_list = {
	.set = set_words,
	.print = print_words,
	.clear = clear_words,
	.continues = true,
};

/* ---- [data_path] interfaces --------------------------------------------------------------- */

static void reset_nothing(struct levee_config *config)
{
	(void)config;
}

static int check_interface(struct levee_config *config, const char *word, const char **why)
{
	const struct levee_words *names = &config->data_path.interfaces;
	size_t n = strlen(word);

	*why = "not the name of a network interface";
	if (n > 15 || strcmp(word, ".") == 0 || strcmp(word, "..") == 0)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)word[i]) || strchr("/:;#=[]", word[i]))
			return -EINVAL;
	*why = "more than 64 interfaces";
	if (names->n > LEVEE_CONFIG_INTERFACES_MAX)
		return -EINVAL;
	*why = "named twice";
	for (size_t i = 0; i + 1 < names->n; i++) /* the last one is this one */
		if (strcmp(names->word[i], word) == 0)
			return -EINVAL;
	return 0;
}

/* ---- [data_path] eal, ports ----------------------------------------------------------------- */

#define EAL_MAX	       64
#define DPDK_PORTS_MAX 16

static int check_eal(struct levee_config *config, const char *word, const char **why)
{
	(void)word;
	*why = "more than 64 arguments";
	return config->data_path.eal.n > EAL_MAX ? -EINVAL : 0;
}

static int check_dpdk_port(struct levee_config *config, const char *word, const char **why)
{
	const struct levee_words *ports = &config->data_path.ports;

	*why = "not the name of a DPDK port: a PCI address or a device, then its arguments";
	if (!isalnum((unsigned char)*word))
		return -EINVAL;
	*why = "more than 16 ports";
	if (ports->n > DPDK_PORTS_MAX)
		return -EINVAL;
	*why = "named twice";
	for (size_t i = 0; i + 1 < ports->n; i++) /* the last one is this one */
		if (strcmp(ports->word[i], word) == 0)
			return -EINVAL;
	return 0;
}

/* ---- [scope] ports ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	uint8_t number; /* IANA */
} protocols[] = {
	{ "icmp", LEVEE_PROTO_ICMP },
	{ "tcp", LEVEE_PROTO_TCP },
	{ "udp", LEVEE_PROTO_UDP },
	{ "gre", 47 },
	{ "esp", 50 },
	{ "ah", LEVEE_PROTO_AH },
	{ "icmpv6", LEVEE_PROTO_ICMPV6 },
	{ "sctp", 132 },
};

/* \return the number; -1 */
static int parse_protocol(const char *text, size_t len)
{
	int value = 0;

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (strlen(protocols[i].name) == len && memcmp(protocols[i].name, text, len) == 0)
			return protocols[i].number;
	if (len == 0 || len > 3)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value <= 255 ? value : -1;
}

/* Up to five digits at *text, which is moved behind them. \return the port; -1 */
static int parse_port(const char **text)
{
	int value = 0, digits = 0;

	for (; **text >= '0' && **text <= '9' && digits < 5; (*text)++, digits++)
		value = value * 10 + (**text - '0');
	return digits > 0 && value <= 65535 ? value : -1;
}

static int parse_ports(const char *text, int *first, int *last, const char **why)
{
	*why = "a port is a number from 0 to 65535";
	*first = parse_port(&text);
	if (*first < 0)
		return -EINVAL;
	*last = *first;
	if (*text == '-') {
		text++;
		*last = parse_port(&text);
	}
	if (*last < 0 || *text != '\0')
		return -EINVAL;
	*why = "the range ends before it begins";
	return *first <= *last ? 0 : -EINVAL;
}

int levee_scope_parse(struct levee_scope *scope, const char *word, const char **why)
{
	const char *slash = strchr(word, '/');
	int proto = parse_protocol(word, slash ? (size_t)(slash - word) : strlen(word));
	int first, last, ret;
	const char *unused;
	__u64 *ports;

	if (!why)
		why = &unused;
	*why = "not a protocol";
	if (proto < 0)
		return -EINVAL;
	if (!slash) {
		scope->whole[proto / 64] |= 1ULL << (proto % 64);
		scope->enabled = 1;
		return 0;
	}
	*why = "only tcp and udp have ports";
	if (proto != LEVEE_PROTO_TCP && proto != LEVEE_PROTO_UDP)
		return -EINVAL;
	ret = parse_ports(slash + 1, &first, &last, why);
	if (ret < 0)
		return ret;
	ports = proto == LEVEE_PROTO_TCP ? scope->tcp : scope->udp;
	for (int port = first; port <= last; port++)
		ports[port / 64] |= 1ULL << (port % 64);
	scope->part[proto / 64] |= 1ULL << (proto % 64);
	scope->enabled = 1;
	return 0;
}

static int add_ports(struct levee_config *config, const char *word, const char **why)
{
	return levee_scope_parse(&config->scope.compiled, word, why);
}

static void reset_scope(struct levee_config *config)
{
	memset(&config->scope.compiled, 0, sizeof(config->scope.compiled));
}

/* ---- [allow] prefixes --------------------------------------------------------------------- */

static int parse_next(struct levee_prefix **list, const struct levee_words *words, const char *word,
		      const char **why)
{
	size_t i = words->n - 1; /* of the word itself, which is on the list */
	struct levee_prefix *more;

	if ((i & (i - 1)) == 0) {
		more = reallocarray(*list, i ? 2 * i : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		*list = more;
	}
	return levee_prefix_read(&(*list)[i], word, strlen(word), why);
}

static int add_prefix(struct levee_config *config, const char *word, const char **why)
{
	return parse_next(&config->allow.parsed, &config->allow.prefixes, word, why);
}

static void reset_prefixes(struct levee_config *config)
{
	free(config->allow.parsed);
	config->allow.parsed = NULL;
}

/* ---- [aws] --------------------------------------------------------------------------------- */

#define LOWER	"abcdefghijklmnopqrstuvwxyz"
#define UPPER	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	"0123456789"
#define SUBNETS 100 /* of one fleet; more are a slip */

/* Made of these characters, at most so many of them? */
static int check_made_of(const char *word, const char *accept, size_t max)
{
	size_t n = strlen(word);

	return n <= max && strspn(word, accept) == n ? 0 : -EINVAL;
}

static int check_region(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "not the name of a region";
	if (!strchr(word, '-') || word[0] == '-' || word[strlen(word) - 1] == '-')
		return -EINVAL;
	return check_made_of(word, LOWER DIGITS "-", 63);
}

static int check_profile(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "brackets are not possible in a profile's name";
	return strpbrk(word, "[]") ? -EINVAL : 0;
}

static int check_endpoint(struct levee_config *config, const char *word, const char **why)
{
	const char *host = strstr(word, "://");

	(void)config;
	*why = "not a URL of http or https";
	if (strncmp(word, "https://", 8) != 0 && strncmp(word, "http://", 7) != 0)
		return -EINVAL;
	if (!host[3] || host[3] == '/')
		return -EINVAL;
	*why = "a URL without user, password, query and fragment is meant";
	return strpbrk(host + 3, "@?# ") ? -EINVAL : 0;
}

/* "PREFIX-" and 8 or 17 hexadecimal digits. */
static int check_id(const char *word, const char *prefix)
{
	size_t n = strlen(prefix);
	const char *digits = word + n;

	if (strncmp(word, prefix, n) != 0 || (strlen(digits) != 8 && strlen(digits) != 17))
		return -EINVAL;
	return check_made_of(digits, DIGITS "abcdef", 17);
}

static int check_instance(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "not the id of an instance";
	return check_id(word, "i-");
}

static int check_vpc(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "not the id of a VPC";
	return check_id(word, "vpc-");
}

static int check_subnet_of(const struct levee_words *subnets, const char *word, const char **why)
{
	*why = "not the id of a subnet";
	if (check_id(word, "subnet-") < 0)
		return -EINVAL;
	*why = "more than 100 subnets";
	if (subnets->n > SUBNETS)
		return -EINVAL;
	*why = "named twice";
	for (size_t i = 0; i + 1 < subnets->n; i++) /* the last one is this one */
		if (strcmp(subnets->word[i], word) == 0)
			return -EINVAL;
	return 0;
}

static int check_subnet(struct levee_config *config, const char *word, const char **why)
{
	return check_subnet_of(&config->aws.subnets, word, why);
}

static int add_vpc_cidr(struct levee_config *config, const char *word, const char **why)
{
	return parse_next(&config->aws.vpc_prefixes, &config->aws.vpc_cidrs, word, why);
}

static void reset_vpc_cidrs(struct levee_config *config)
{
	free(config->aws.vpc_prefixes);
	config->aws.vpc_prefixes = NULL;
}

/* arn:PARTITION:sns:REGION:ACCOUNT:NAME */
static int check_topic(struct levee_config *config, const char *word, const char **why)
{
	const char *at = word;
	size_t colons = 0;

	(void)config;
	*why = "not the ARN of an SNS topic";
	for (const char *c = word; *c; c++)
		colons += *c == ':';
	if (strncmp(word, "arn:aws", 7) != 0 || colons != 5)
		return -EINVAL;
	at = strchr(strchr(word, ':') + 1, ':');
	if (strncmp(at, ":sns:", 5) != 0 || at[5] == ':' || word[strlen(word) - 1] == ':')
		return -EINVAL;
	*why = "a FIFO topic orders messages, which costs throughput and helps nobody here";
	if (strlen(word) > 5 && strcmp(word + strlen(word) - 5, ".fifo") == 0)
		return -EINVAL;
	*why = "not the ARN of an SNS topic";
	return check_made_of(word, LOWER UPPER DIGITS ":-_", VALUE_BYTES);
}

static int check_namespace(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "names that begin with AWS/ are AWS's own";
	if (strncmp(word, "AWS/", 4) == 0)
		return -EINVAL;
	*why = "not a name of letters, digits and . - _ / # :";
	return check_made_of(word, LOWER UPPER DIGITS ".-_/#:", 255);
}

static int check_log_name(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "not a name of letters, digits and . - _ / #";
	return check_made_of(word, LOWER UPPER DIGITS ".-_/#", 512);
}

static int check_object(struct levee_config *config, const char *word, const char **why)
{
	const char *bucket = word + strlen("s3://");
	size_t n;

	(void)config;
	*why = "not s3://BUCKET/KEY";
	if (strncmp(word, "s3://", 5) != 0)
		return -EINVAL;
	n = strcspn(bucket, "/");
	if (n < 3 || n > 63 || strspn(bucket, LOWER DIGITS ".-") != n || !bucket[n] ||
	    !bucket[n + 1])
		return -EINVAL;
	return 0;
}

/* ---- [nacl] -------------------------------------------------------------------------------- */

static int check_acl(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "not the id of a network ACL";
	return check_id(word, "acl-");
}

static int check_nacl_subnet(struct levee_config *config, const char *word, const char **why)
{
	return check_subnet_of(&config->nacl.subnets, word, why);
}

/* \return the number, of up to five digits at *text, which is moved behind them; 0 */
static uint16_t take_rule_number(const char **text)
{
	int value = parse_port(text);

	return value >= 1 && value <= LEVEE_NACL_NUMBER_MAX ? (uint16_t)value : 0;
}

static int take_numbers(struct levee_config *config, const char *word, const char **why)
{
	struct levee_nacl_range range;

	*why = "not FIRST-LAST, two numbers from 1 to 32766";
	range.first = take_rule_number(&word);
	if (!range.first || *word++ != '-')
		return -EINVAL;
	range.last = take_rule_number(&word);
	if (!range.last || *word)
		return -EINVAL;
	*why = "the range ends before it begins";
	if (range.last < range.first)
		return -EINVAL;
	config->nacl.range = range;
	return 0;
}

/* ---- [fleet] ------------------------------------------------------------------------------ */

static int check_fleet_url(struct levee_config *config, const char *word, const char **why)
{
	struct levee_fleet_url url;

	(void)config;
	return levee_fleet_url_parse(&url, word, why);
}

/* Parts of keys, and of hash tags: no braces, colons or blanks. */
static int check_fleet_name(struct levee_config *config, const char *word, const char **why)
{
	size_t n = strlen(word);

	(void)config;
	*why = n > 40 ? "longer than 40 characters"
		      : "other characters than letters, digits, . _ -";
	if (n > 40)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)word[i]) && !strchr("._-", word[i]))
			return -EINVAL;
	return 0;
}

/* ---- [api] -------------------------------------------------------------------------------- */

static int check_group(struct levee_config *config, const char *word, const char **why)
{
	(void)config;
	*why = "not the name of a group";
	return strlen(word) <= 32 && !strpbrk(word, " :,/") ? 0 : -EINVAL;
}

static int check_listen(struct levee_config *config, const char *word, const char **why)
{
	static char reason[WHY_BYTES];
	bool is_loopback;

	(void)config;
	*why = reason;
	return levee_api_parse_listen(word, &is_loopback, reason, sizeof(reason));
}

/* ---- the table ---------------------------------------------------------------------------- */

static const char *const nacl_actions[] = {
	[LEVEE_NACL_DENY] = "deny",
	[LEVEE_NACL_ALLOW] = "audit",
	NULL,
};

static const char *const detectors[] = {
	[LEVEE_CHOOSE_ZSCORE] = "zscore",
	[LEVEE_CHOOSE_ROBUST] = "robust",
	[LEVEE_CHOOSE_BOTH] = "both",
	NULL,
};

static const char *const nacl_strategies[] = { "mask", "cover", NULL };
static const char *const spoofable_pushes[] = {
	[LEVEE_NACL_PUSH_NONE] = "no",
	[LEVEE_NACL_PUSH_LEFTOVER] = "leftover",
	[LEVEE_NACL_PUSH_ALL] = "yes",
	NULL,
};
static const char *const switches[] = { "off", "on", NULL };
static const char *const no_or_yes[] = { "no", "yes", NULL };

static const char *const path_types[] = {
	[LEVEE_PATH_XDP] = "xdp",
	[LEVEE_PATH_DPDK] = "dpdk",
	NULL,
};

static const char *const dpdk_modes[] = {
	[LEVEE_DPDK_MODE_MONITOR] = "monitor",
	[LEVEE_DPDK_MODE_WIRE] = "wire",
	NULL,
};

static const char *const attach_modes[] = {
	[LEVEE_ATTACH_AUTO] = "auto",
	[LEVEE_ATTACH_NATIVE] = "native",
	[LEVEE_ATTACH_GENERIC] = "generic",
	NULL,
};

static const char *const block_modes[] = {
	[LEVEE_MODE_ENFORCE] = "enforce",
	[LEVEE_MODE_AUDIT] = "audit",
	NULL,
};

static const char *const log_levels[] = {
	[LEVEE_LOG_ERROR] = "error", [LEVEE_LOG_WARNING] = "warning", [LEVEE_LOG_NOTICE] = "notice",
	[LEVEE_LOG_INFO] = "info",   [LEVEE_LOG_DEBUG] = "debug",     NULL,
};

#define AT(member) .offset = offsetof(struct levee_config, member)

/* One key a paragraph, not one field a line. */
/* clang-format off */
static const struct levee_config_key keys[] = {
	{
		"data_path", "type", "choice", "", "xdp",
		"xdp or dpdk",
		"Where packets are counted and dropped: in the kernel, as they come in from the "
		"NIC (xdp), or by poll-mode workers in this process, on ports that DPDK drives "
		"(dpdk), where counting and dropping end with the process.",
		.kind = &choice, AT(data_path.type), .choices = path_types,
	},
	{
		"data_path", "interfaces", "words", "", "",
		"names of network interfaces, up to 64",
		"Interfaces whose incoming packets are counted and judged. With type = xdp "
		"`levee run` needs one at least. With type = dpdk: interfaces whose own "
		"addresses and gateways are always allowed, beside those behind ports.",
		.kind = &word_list, AT(data_path.interfaces), .word = check_interface, .reset = reset_nothing,
	},
	{
		"data_path", "attach", "choice", "", "auto",
		"auto, native or generic",
		"How XDP attaches: in the driver (native), in the kernel's receive path "
		"(generic, slower), or natively with generic as the fallback, whose reason is "
		"logged (auto).",
		.kind = &choice, AT(data_path.attach), .choices = attach_modes,
	},
	{
		"data_path", "pin", "path", "", "/sys/fs/bpf/levee",
		"an absolute path",
		"Directory on a bpf file system where program and maps are pinned, so that "
		"counting and dropping go on without the daemon.",
		.kind = &path, AT(data_path.pin), .min = 1,
	},
	{
		"data_path", "sources", "integer", "IPv4 sources per CPU", "262144",
		"1024 to 67108864",
		"IPv4 sources that one CPU counts by name in a bin before it moves light ones "
		"to its log; rounded up to a power of two. Each takes 48 bytes of memory a CPU: "
		"a slot of 16 bytes and half a log entry of 16 bytes, both in two epochs.",
		.kind = &power_of_two, AT(data_path.sources), .min = 1024, .max = 1ULL << 26,
	},
	{
		"data_path", "sources6", "integer", "IPv6 sources per CPU", "65536",
		"1024 to 67108864",
		"The same for IPv6 prefixes. Each takes 96 bytes of memory a CPU: a slot of 32 "
		"bytes and half a log entry of 32 bytes, both in two epochs.",
		.kind = &power_of_two, AT(data_path.sources6), .min = 1024, .max = 1ULL << 26,
	},
	{
		"data_path", "rules", "integer", "prefixes", "131072",
		"64 to 4194304",
		"Room for blocked and allowed addresses and prefixes together.",
		.kind = &integer, AT(data_path.rules), .min = 64, .max = 4194304,
	},
	{
		"data_path", "source6_prefix", "integer", "bits", "64",
		"1 to 128",
		"Length of the prefix that is one IPv6 source: all addresses in it are counted "
		"and blocked together.",
		.kind = &integer, AT(data_path.source6_prefix), .min = 1, .max = 128,
	},
	{
		"data_path", "eal", "words", "", "",
		"arguments of DPDK's EAL, up to 64, each without blanks",
		"What DPDK is started with, as `-l 0-2 -a 0000:00:06.0`: the first lcore is the "
		"controller's, each other one may be a worker. `--no-huge --no-shconf -m 512` "
		"runs without hugepages, slower.",
		.kind = &word_list, AT(data_path.eal), .word = check_eal, .reset = reset_nothing,
	},
	{
		"data_path", "ports", "words", "", "",
		"PCI addresses or DPDK devices with their arguments, up to 16",
		"Ports that DPDK receives from, as `0000:00:06.0` or "
		"`net_af_packet0,iface=eth1`. With mode = wire two: the outside first, then what "
		"is protected.",
		.kind = &word_list, AT(data_path.ports), .word = check_dpdk_port, .reset = reset_nothing,
	},
	{
		"data_path", "mode", "choice", "", "monitor",
		"monitor or wire",
		"With type = dpdk: packets end here after they were counted, as on a mirror or "
		"tap (monitor), or what is not dropped goes on to the other port, both ways "
		"(wire). In the wire packets stop when levee does.",
		.kind = &choice, AT(data_path.mode), .choices = dpdk_modes,
	},
	{
		"data_path", "queues", "integer", "queues", "0",
		"0 to 1024",
		"Receive queues of each DPDK port, which the lcores share. 0: one for each lcore.",
		.kind = &integer, AT(data_path.queues), .min = 0, .max = 1024,
	},
	{
		"data_path", "lcores", "integer", "lcores", "0",
		"0 to 127",
		"Workers that poll DPDK ports, each on a CPU of its own. 0: as many as EAL has "
		"besides the controller's, and the ports have queues for.",
		.kind = &integer, AT(data_path.lcores), .min = 0, .max = 127,
	},
	{
		"scope", "ports", "words", "", "",
		"tcp, udp, tcp/443, udp/8000-8100, icmp, icmpv6, gre, esp, ah, sctp, or a "
		"protocol's number from 0 to 255",
		"What is counted: protocols, and destination ports of TCP and UDP. Empty means "
		"everything. Blocked sources are dropped whatever they send.",
		.live = true, .kind = &word_list, AT(scope.ports), .word = add_ports, .reset = reset_scope,
	},
	{
		"detect", "bin", "integer", "s", "60",
		"1 to 3600",
		"Length of a bin: packets are summed over it, per source.",
		.kind = &integer, AT(detect.bin), .min = 1, .max = 3600,
	},
	{
		"detect", "window", "integer", "s", "3600",
		"2 to 36288000",
		"Length of the rolling window that mean and deviation are taken over, a "
		"multiple of `bin`, 2 to 10080 bins. A block lasts one window from its source's "
		"last anomalous bin.",
		.kind = &integer, AT(detect.window), .min = 2, .max = 3600ULL * BINS_MAX,
	},
	{
		"detect", "evaluate_every", "integer", "s", "0",
		"0 to 3600",
		"Also judge the running bin this often, at most once a `bin`. 0: only when a "
		"bin closes.",
		.live = true, .kind = &integer, AT(detect.evaluate_every), .min = 0, .max = 3600,
	},
	{
		"detect", "min_zscore", "number", "standard deviations", "3.0",
		"0.1 to 1000",
		"A source is abnormal if a bin of it is further than this above the mean of the "
		"window. At most 6 decimals.",
		.live = true, .kind = &number, AT(detect.min_zscore), .min = MICRO / 10, .max = 1000 * MICRO,
	},
	{
		"detect", "min_packets", "integer", "packets/bin", "12000",
		"0 to 281474976710656",
		"A source with no more packets than this in a bin is never abnormal.",
		.live = true, .kind = &integer, AT(detect.min_packets), .min = 0, .max = 1ULL << 48,
	},
	{
		"detect", "limit", "integer", "sources", "40",
		"1 to 100000",
		"Abnormal sources named in one message, worst first. It does not limit what is "
		"blocked.",
		.live = true, .kind = &integer, AT(detect.limit), .min = 1, .max = 100000,
	},
	{
		"detect", "max_sources", "integer", "sources", "4194304",
		"1024 to 268435456",
		"Sources of all CPUs together that the controller keeps by name in a bin; a "
		"source that appears takes 48 to 96 bytes. Above it light sources keep their "
		"weight and lose their name.",
		.live = true, .kind = &integer, AT(detect.max_sources), .min = 1024, .max = 1ULL << 28,
	},
	{
		"detect", "detector", "choice", "", "zscore",
		"zscore, robust or both",
		"What flags sources when bins close: mean and deviation (zscore), median and median "
		"absolute deviation, which attackers cannot shift unless they hold half of all "
		"values (robust), or what both flag, and robust alone while so many sources are "
		"above `min_packets` that no Z-score could pass `min_zscore` (both).",
		.live = true, .kind = &choice, AT(detect.detector), .choices = detectors,
	},
	{
		"detect", "soft_zscore", "number", "standard deviations", "0.0",
		"0 to 1000",
		"Sources above `min_packets` and this, but not above `min_zscore`, are limited "
		"to [block] limit_rate instead of dropped. 0, or `min_zscore` and more: none are.",
		.live = true, .kind = &number, AT(detect.soft_zscore), .min = 0, .max = 1000 * MICRO,
	},
	{
		"detect", "min_bytes", "integer", "bytes/bin", "0",
		"0 to 281474976710656",
		"Judge bytes, too: a source is also abnormal if a bin of it has more bytes than "
		"this and is further than `min_zscore` above the mean of all sources' bytes. 0: off.",
		.live = true, .kind = &integer, AT(detect.min_bytes), .min = 0, .max = 1ULL << 48,
	},
	{
		"detect", "min_syns", "integer", "SYNs/bin", "0",
		"0 to 281474976710656",
		"The same for TCP SYNs without ACK. 0: off, and no packet's flags are looked at for "
		"it.",
		.live = true, .kind = &integer, AT(detect.min_syns), .min = 0, .max = 1ULL << 48,
	},
	{
		"detect", "fast", "choice", "", "on",
		"on or off",
		"Block a source within the bin, as soon as its packets pass the larger of "
		"`min_packets` and mean + `min_zscore` * deviation of the complete bins. Off: only "
		"evaluations block.",
		.live = true, .kind = &choice, AT(detect.fast), .choices = switches,
	},
	{
		"detect", "warmup_bins", "integer", "bins", "3",
		"0 to 10080",
		"Complete bins that the window must hold before `fast` begins: without them there is "
		"no mean to compare with. A restart counts those it finds in the state file.",
		.live = true, .kind = &integer, AT(detect.warmup_bins), .min = 0, .max = BINS_MAX,
	},
	{
		"block", "mode", "choice", "", "enforce",
		"enforce or audit",
		"Whether blocked sources are dropped, or everything runs and what would be "
		"dropped is only counted (audit).",
		.live = true, .kind = &choice, AT(block.mode), .choices = block_modes,
	},
	{
		"block", "repeat_memory", "integer", "s", "86400",
		"0 to 31536000",
		"How long after its end a block is remembered. A source that is blocked again within "
		"this time is blocked for longer. 0: every block is a first one.",
		.live = true, .kind = &integer, AT(block.repeat_memory), .min = 0, .max = 31536000,
	},
	{
		"block", "repeat_factor", "number", "", "2.0",
		"1 to 1000",
		"A source's block lasts `window` times this to the power of its remembered blocks, "
		"counted from the end of its last anomalous bin.",
		.live = true, .kind = &number, AT(block.repeat_factor), .min = MICRO, .max = 1000 * MICRO,
	},
	{
		"block", "max_block", "integer", "s", "86400",
		"1 to 31536000",
		"The longest that a repeat offender's block lasts; never less than one `window`.",
		.live = true, .kind = &integer, AT(block.max_block), .min = 1, .max = 31536000,
	},
	{
		"block", "limit_rate", "integer", "packets/s", "100",
		"1 to 1000000000",
		"What passes of a source that is limited, not dropped: one above [detect] "
		"soft_zscore and not above `min_zscore`. What passes is counted and judged.",
		.live = true, .kind = &integer, AT(block.limit_rate), .min = 1, .max = 1000000000,
	},
	{
		"block", "limit_burst", "integer", "packets", "200",
		"1 to 4294967295",
		"So many packets of a limited source pass at once after a pause.",
		.live = true, .kind = &integer, AT(block.limit_burst), .min = 1, .max = 4294967295,
	},
	{
		"allow", "file", "path", "", "",
		"an absolute path, or nothing",
		"File of prefixes that are never blocked, one a line; # begins a comment.",
		.live = true, .kind = &path, AT(allow.file),
	},
	{
		"allow", "prefixes", "words", "", "",
		"IPv4 and IPv6 addresses and prefixes",
		"More prefixes that are never blocked, such as the VPC's CIDRs. Loopback, link- "
		"local and metadata addresses, the interfaces' own and their gateways are "
		"always allowed.",
		.live = true, .kind = &word_list, AT(allow.prefixes), .word = add_prefix, .reset = reset_prefixes,
	},
	{
		"allow", "s3", "text", "", "",
		"s3://BUCKET/KEY, or nothing",
		"S3 object of prefixes that are never blocked, in the form of `file`; read with the "
		"credentials of [aws], again when it has changed. An object that cannot be read "
		"leaves its last good list in force.",
		.live = true, .kind = &one_text, AT(allow.s3), .word = check_object,
	},
	{
		"allow", "s3_every", "integer", "s", "60",
		"5 to 86400",
		"How often S3 is asked whether the object has changed; a reload asks at once.",
		.live = true, .kind = &integer, AT(allow.s3_every), .min = 5, .max = 86400,
	},
	{
		"allow", "s3_copy", "path", "", "",
		"an absolute path, or nothing",
		"Where the last good list of `s3` is kept, so that a start without S3 has it. Empty: "
		"beside [state] file, with .s3 at its end.",
		.live = true, .kind = &path, AT(allow.s3_copy),
	},
	{
		"aws", "enabled", "choice", "", "no",
		"no or yes",
		"Whether AWS is talked to at all. What is below, [allow] s3 and [nacl] are used only "
		"with yes. Detecting and dropping on the instance never wait for it.",
		.live = true, .kind = &choice, AT(aws.enabled), .choices = no_or_yes,
	},
	{
		"aws", "region", "text", "", "",
		"a region such as eu-west-1, or nothing",
		"Region of every call. Empty: AWS_REGION, the profile's, or that of the instance.",
		.live = true, .kind = &one_text, AT(aws.region), .word = check_region,
	},
	{
		"aws", "profile", "text", "", "",
		"the name of a profile, or nothing",
		"Profile of ~/.aws/config and ~/.aws/credentials. Empty: the order of the AWS CLI, "
		"which ends with the instance's role.",
		.live = true, .kind = &one_text, AT(aws.profile), .word = check_profile,
	},
	{
		"aws", "endpoint", "text", "", "",
		"a URL of http or https, or nothing",
		"Endpoint of all services instead of AWS's own, for private endpoints and tests. "
		"AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_<SERVICE> are understood as well.",
		.live = true, .kind = &one_text, AT(aws.endpoint), .word = check_endpoint,
	},
	{
		"aws", "instance_id", "text", "", "",
		"i- and 8 or 17 hexadecimal digits, or nothing",
		"This instance. Empty: instance metadata says it.",
		.live = true, .kind = &one_text, AT(aws.instance_id), .word = check_instance,
	},
	{
		"aws", "vpc", "text", "", "",
		"vpc- and 8 or 17 hexadecimal digits, or nothing",
		"VPC of this instance. Empty: instance metadata says it.",
		.live = true, .kind = &one_text, AT(aws.vpc), .word = check_vpc,
	},
	{
		"aws", "vpc_cidrs", "words", "", "",
		"IPv4 and IPv6 prefixes, or nothing",
		"CIDRs of the VPC; they are always allowed, because health checks come from them. "
		"Empty: instance metadata and EC2 say them.",
		.live = true, .kind = &word_list, AT(aws.vpc_cidrs), .word = add_vpc_cidr, .reset = reset_vpc_cidrs,
	},
	{
		"aws", "subnets", "words", "", "",
		"ids of up to 100 subnets, or nothing",
		"Subnets that are protected. Empty: that of this instance.",
		.live = true, .kind = &word_list, AT(aws.subnets), .word = check_subnet, .reset = reset_nothing,
	},
	{
		"aws", "sns_topic", "text", "", "",
		"the ARN of an SNS topic, or nothing",
		"Gets a message with the flagged sources whenever they have changed.",
		.live = true, .kind = &one_text, AT(aws.sns_topic), .word = check_topic,
	},
	{
		"aws", "sns_every", "integer", "s", "0",
		"0 to 86400",
		"Also sends the message this often while nothing changes, as the solution that Levee "
		"takes over did every 30 s. 0: only when something has changed.",
		.live = true, .kind = &integer, AT(aws.sns_every), .min = 0, .max = 86400,
	},
	{
		"aws", "metrics", "text", "", "",
		"a CloudWatch namespace such as AutoNACL, or nothing",
		"Namespace of CloudWatch metrics. Empty: none are sent; each metric is billed.",
		.live = true, .kind = &one_text, AT(aws.metrics), .word = check_namespace,
	},
	{
		"aws", "metrics_every", "integer", "s", "60",
		"1 to 86400",
		"How often metrics are sent.",
		.live = true, .kind = &integer, AT(aws.metrics_every), .min = 1, .max = 86400,
	},
	{
		"aws", "metrics_log_group", "text", "", "",
		"the name of a log group, or nothing",
		"Value of the dimension LogGroupName of metrics. The name of the flow logs' group "
		"keeps graphs and alarms of the solution that Levee takes over. Empty: log_group, or "
		"levee without one.",
		.live = true, .kind = &one_text, AT(aws.metrics_log_group), .word = check_log_name,
	},
	{
		"aws", "log_group", "text", "", "",
		"the name of a log group, or nothing",
		"CloudWatch log group that gets a record for each blocked source. It must exist.",
		.live = true, .kind = &one_text, AT(aws.log_group), .word = check_log_name,
	},
	{
		"aws", "log_stream", "text", "", "",
		"the name of a log stream, or nothing",
		"Stream in it, which is made if it is not there. Empty: the instance's id, or the "
		"host's name.",
		.live = true, .kind = &one_text, AT(aws.log_stream), .word = check_log_name,
	},
	{
		"nacl", "enabled", "yes/no", "", "no",
		"yes or no",
		"Whether `levee run` writes the worst blocked sources to the network ACLs of the "
		"protected subnets; needs [aws] enabled. `levee nacl plan` shows what it would do.",
		.live = true, .kind = &boolean, AT(nacl.enabled),
	},
	{
		"nacl", "vpc", "text", "", "",
		"vpc- and 8 or 17 hexadecimal digits, or nothing",
		"VPC of the subnets and network ACLs. Empty: [aws] vpc, or that of the subnets.",
		.live = true, .kind = &one_text, AT(nacl.vpc), .word = check_vpc,
	},
	{
		"nacl", "subnets", "words", "", "",
		"ids of up to 100 subnets, or nothing",
		"The protected subnets: every one is put on `blue` or `green`, whatever network "
		"ACL it has now. Empty: [aws] subnets.",
		.live = true, .kind = &word_list, AT(nacl.subnets), .word = check_nacl_subnet, .reset = reset_nothing,
	},
	{
		"nacl", "blue", "text", "", "",
		"acl- and 8 or 17 hexadecimal digits, or nothing",
		"One of the two network ACLs that are Levee's to write. Empty: see `manage`.",
		.live = true, .kind = &one_text, AT(nacl.blue), .word = check_acl,
	},
	{
		"nacl", "green", "text", "", "",
		"acl- and 8 or 17 hexadecimal digits, or nothing",
		"The other one: one of the two is in force, the other is prepared.",
		.live = true, .kind = &one_text, AT(nacl.green), .word = check_acl,
	},
	{
		"nacl", "manage", "yes/no", "", "no",
		"yes or no",
		"Make the pair: two network ACLs in the VPC with the tag levee:side, by which they "
		"are found again. `blue` and `green` are empty then.",
		.live = true, .kind = &boolean, AT(nacl.manage),
	},
	{
		"nacl", "budget", "integer", "rules", "20",
		"2 to 40",
		"Inbound rules per address family that AWS grants a network ACL; its default deny "
		"and your own rules count.",
		.live = true, .kind = &integer, AT(nacl.budget), .min = 2, .max = LEVEE_NACL_BUDGET_MAX,
	},
	{
		"nacl", "numbers", "text", "", "1-99",
		"FIRST-LAST, of 1 to 32766",
		"Rule numbers that are reserved for Levee. They have to lie below those of your "
		"own allow rules.",
		.live = true, .kind = &one_text, AT(nacl.numbers), .word = take_numbers, .min = 1,
	},
	{
		"nacl", "strategy", "choice", "", "mask",
		"mask or cover",
		"How rules are chosen for the budget: groups under `mask4` and `mask6`, the highest "
		"Z-score first (mask), or the set of prefixes that blocks the most flood packets and "
		"touches the fewest good ones, both as counted, not wider than /20 and /48 (cover).",
		.live = true, .kind = &choice, AT(nacl.strategy), .choices = nacl_strategies,
	},
	{
		"nacl", "max_collateral", "integer", "packets/bin", "0",
		"0 to 281474976710656",
		"With `strategy = cover`: good packets that all rules together may touch, by each good "
		"source's largest bin of the window.",
		.live = true, .kind = &integer, AT(nacl.max_collateral), .min = 0, .max = 1ULL << 48,
	},
	{
		"nacl", "push_spoofable", "choice", "", "leftover",
		"no, leftover or yes",
		"What becomes of blocked sources that were never seen with an established TCP flow: "
		"anybody may have put such an address into packets, and a rule locks its owner out. "
		"They get no rule (no), the rules that all other sources leave over (leftover), or "
		"are pushed like all others (yes). They are blocked on the instance in any case.",
		.live = true, .kind = &choice, AT(nacl.push_spoofable), .choices = spoofable_pushes,
	},
	{
		"nacl", "mask4", "integer", "bits", "32",
		"8 to 32",
		"IPv4 sources are grouped under prefixes of this length. 24: one rule for the "
		"sources of a /24, which denies all of it.",
		.live = true, .kind = &integer, AT(nacl.mask4), .min = 8, .max = 32,
	},
	{
		"nacl", "mask6", "integer", "bits", "64",
		"16 to 128",
		"The same for IPv6: 64 is what one site usually has.",
		.live = true, .kind = &integer, AT(nacl.mask6), .min = 16, .max = 128,
	},
	{
		"nacl", "action", "choice", "", "deny",
		"deny or audit",
		"What the rules do: deny, or allow (audit: everything runs, nothing is denied). "
		"With [block] mode audit it is always audit.",
		.live = true, .kind = &choice, AT(nacl.action), .choices = nacl_actions,
	},
	{
		"nacl", "min_interval", "integer", "s", "10",
		"1 to 3600",
		"Shortest time from the end of a push to the next one; what changes meanwhile goes "
		"into one push.",
		.live = true, .kind = &integer, AT(nacl.min_interval), .min = 1, .max = 3600,
	},
	{
		"nacl", "verify_every", "integer", "s", "300",
		"10 to 86400",
		"How often the network ACLs are read when nothing has changed here, to find and mend "
		"what was changed there.",
		.live = true, .kind = &integer, AT(nacl.verify_every), .min = 10, .max = 86400,
	},
	{
		"nacl", "settle", "integer", "s", "120",
		"0 to 600",
		"How long a read of EC2 may still miss a write. What is unclear is waited for as "
		"long.",
		.live = true, .kind = &integer, AT(nacl.settle), .min = 0, .max = 600,
	},
	{
		"nacl", "merge", "yes/no", "", "no",
		"yes or no",
		"Subnets that stand on network ACLs with different rules of yours get the rules of "
		"all of these, even where that changes what a subnet lets in or out.",
		.live = true, .kind = &boolean, AT(nacl.merge),
	},
	{
		"fleet", "url", "text", "", "",
		"redis://[USER@]HOST[:PORT][/DB], rediss:// for TLS, or nothing",
		"Redis or Valkey server, or one server of a cluster, that the instances behind "
		"the load balancer share: they then decide on the sum of what all see. Empty: "
		"this instance is on its own.",
		.kind = &one_text, AT(fleet.url), .word = check_fleet_url,
	},
	{
		"fleet", "password_file", "path", "", "",
		"an absolute path, or nothing",
		"File whose first line is the password of USER. It is read at each connect, so "
		"it may be rotated.",
		.kind = &path, AT(fleet.password_file),
	},
	{
		"fleet", "ca_file", "path", "", "",
		"an absolute path, or nothing",
		"File of CA certificates (PEM) that the server's is checked against with "
		"rediss://. Empty: those that the system trusts.",
		.kind = &path, AT(fleet.ca_file),
	},
	{
		"fleet", "name", "text", "", "fleet",
		"1 to 40 letters, digits, . _ -",
		"Name of the fleet: instances of one name decide together.",
		.kind = &one_text, AT(fleet.name), .word = check_fleet_name, .min = 1,
	},
	{
		"fleet", "node", "text", "", "",
		"1 to 40 letters, digits, . _ -, or nothing",
		"Name of this instance in the fleet, which no other has. Empty: its host name.",
		.kind = &one_text, AT(fleet.node), .word = check_fleet_name,
	},
	{
		"fleet", "prefix", "text", "", "levee",
		"1 to 40 letters, digits, . _ -",
		"Begins every key that Levee writes on the server; it touches no others.",
		.kind = &one_text, AT(fleet.prefix), .word = check_fleet_name, .min = 1,
	},
	{
		"fleet", "grace", "integer", "s", "5",
		"1 to 600",
		"How long the leader waits for instances that have not sent a bin, after its own "
		"has closed. What comes later is added, and marked.",
		.kind = &integer, AT(fleet.grace), .min = 1, .max = 600,
	},
	{
		"api", "socket", "path", "", "/run/levee/levee.sock",
		"an absolute path, or nothing",
		"Unix socket of the HTTP API, on which `levee status` and the other commands, the page "
		"and Prometheus stand. Empty: none.",
		.kind = &path, AT(api.socket),
	},
	{
		"api", "group", "text", "", "levee",
		"the name of a group, or nothing",
		"Group whose members may use the socket (mode 0660).",
		.kind = &one_text, AT(api.group), .word = check_group,
	},
	{
		"api", "listen", "text", "", "",
		"an IPv4 or IPv6 address and a port, such as 127.0.0.1:9187 or [::1]:9187, or nothing",
		"Also serve the API over TCP, to whoever has the token. Anything but a loopback address "
		"needs a certificate, too.",
		.kind = &one_text, AT(api.listen), .word = check_listen,
	},
	{
		"api", "token_file", "path", "", "",
		"an absolute path, or nothing",
		"File whose first line is the bearer token of the TCP listener: 16 printable characters "
		"at least. Others must not be able to read it.",
		.kind = &path, AT(api.token_file),
	},
	{
		"api", "tls_certificate", "path", "", "",
		"an absolute path, or nothing",
		"PEM file with the certificate of the TCP listener, and those of its issuers.",
		.kind = &path, AT(api.tls_certificate),
	},
	{
		"api", "tls_key", "path", "", "",
		"an absolute path, or nothing",
		"PEM file with the certificate's private key.",
		.kind = &path, AT(api.tls_key),
	},
	{
		"state", "file", "path", "", "/var/lib/levee/state.db",
		"an absolute path, or nothing",
		"SQLite file from which a restart resumes window and blocks. Empty: nothing is "
		"kept.",
		.kind = &path, AT(state.file),
	},
	{
		"log", "level", "choice", "", "info",
		"error, warning, notice, info or debug",
		"Least important messages that are written.",
		.live = true, .kind = &choice, AT(log.level), .choices = log_levels,
	},
};
/* clang-format on */

const char *levee_config_detector(const struct levee_config *config)
{
	return detectors[config->detect.detector];
}

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

const struct levee_config_key *levee_config_keys(size_t *n)
{
	*n = N_KEYS;
	return keys;
}

/* ---- looking up, and saying what is nearest ----------------------------------------------- */

static const struct levee_config_key *find_key(const char *section, const char *name)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static bool is_section(const char *section)
{
	for (size_t i = 0; i < N_KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			return true;
	return false;
}

static const char *nearest_section(const char *section)
{
	size_t best = levee_edits_allowed(section) + 1, now;
	const char *nearest = NULL;

	for (size_t i = 0; i < N_KEYS; i++) {
		now = levee_edits(section, keys[i].section);
		if (now < best) {
			best = now;
			nearest = keys[i].section;
		}
	}
	return nearest;
}

/* In the section itself first; a name that is right in another section is nearer still. */
static const struct levee_config_key *nearest_key(const char *section, const char *name)
{
	size_t best = 2 * levee_edits_allowed(name) + 2, now;
	const struct levee_config_key *nearest = NULL;

	for (size_t i = 0; i < N_KEYS; i++) {
		now = levee_edits(name, keys[i].name);
		if (now > levee_edits_allowed(name))
			continue;
		now = 2 * now + (strcmp(section, keys[i].section) != 0);
		if (now < best) {
			best = now;
			nearest = &keys[i];
		}
	}
	return nearest;
}

/* ---- saying what is wrong ----------------------------------------------------------------- */

/* Where in which input. line 0: no line, as for --set. */
struct place {
	const char *name;
	unsigned int line;
	FILE *errors; /* NULL: not wanted */
};

static void complain(const struct place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void complain(const struct place *place, const char *format, ...)
{
	char message[1024];
	va_list args;

	if (!place->errors)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	levee_log_clean(message);
	if (place->line > 0)
		fprintf(place->errors, "%s:%u: %s\n", place->name, place->line, message);
	else
		fprintf(place->errors, "%s: %s\n", place->name, message);
}

/* A password that somebody put into a URL is not to be read in a log: "redis://me:***@host". */
static void mask_password(char *shown, size_t size, const char *value)
{
	const char *user = strstr(value, "://"), *at = user ? strrchr(user, '@') : NULL;
	const char *colon = at ? memchr(user + 3, ':', (size_t)(at - user - 3)) : NULL;

	if (colon)
		snprintf(shown, size, "%.*s:***%s", (int)(colon - value), value, at);
	else
		snprintf(shown, size, "%s", value);
}

static void complain_of_value(const struct place *place, const struct levee_config_key *key,
			      const char *value, const char *why)
{
	char shown[128];

	mask_password(shown, sizeof(shown), value);
	complain(place, "[%s] %s = %.80s: %s; accepted: %s%s%s", key->section, key->name, shown,
		 why, key->range, *key->unit ? " " : "", key->unit);
}

static void complain_of_section(const struct place *place, const char *section)
{
	const char *nearest = nearest_section(section);

	if (nearest)
		complain(place, "[%.80s]: no such section; did you mean [%s]?", section, nearest);
	else
		complain(place, "[%.80s]: no such section; `levee config dump` shows all", section);
}

static void complain_of_key(const struct place *place, const char *section, const char *name)
{
	const struct levee_config_key *nearest = nearest_key(section, name);

	if (!nearest)
		complain(place, "[%s] %.80s: no such key; `levee config dump` shows all", section,
			 name);
	else if (strcmp(nearest->section, section) == 0)
		complain(place, "[%s] %.80s: no such key; did you mean %s?", section, name,
			 nearest->name);
	else
		complain(place, "[%s] %.80s: no such key; did you mean %s in [%s]?", section, name,
			 nearest->name, nearest->section);
}

/* ---- setting ------------------------------------------------------------------------------ */

static int set_key(struct levee_config *config, const struct levee_config_key *key,
		   const char *value, bool append, const struct place *place)
{
	char why[WHY_BYTES] = "";
	int ret = key->kind->set(config, key, value, append, why);

	if (ret == -EINVAL)
		complain_of_value(place, key, value, why);
	else if (ret < 0)
		complain(place, "[%s] %s: %s", key->section, key->name, strerror(-ret));
	return ret;
}

int levee_config_set(struct levee_config *config, const char *section, const char *name,
		     const char *value, const char *where, FILE *errors)
{
	const struct place place = { .name = where, .errors = errors };
	const struct levee_config_key *key = find_key(section, name);

	if (key)
		return set_key(config, key, value, false, &place);
	if (!is_section(section))
		complain_of_section(&place, section);
	else
		complain_of_key(&place, section, name);
	return -EINVAL;
}

int levee_config_init(struct levee_config *config)
{
	char why[WHY_BYTES];

	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < N_KEYS; i++) {
		int ret = keys[i].kind->set(config, &keys[i], keys[i].value, false, why);

		if (ret < 0) {
			levee_config_clear(config);
			return ret;
		}
	}
	return 0;
}

void levee_config_clear(struct levee_config *config)
{
	for (size_t i = 0; i < N_KEYS; i++)
		keys[i].kind->clear(config, &keys[i]);
}

/* ---- reading ------------------------------------------------------------------------------ */

/*
 * inih calls next_line() for each line and take_value() for each value. It knows neither line
 * numbers nor what it cut short, so this side looks at each line first, and hands on only what
 * inih will see as it is.
 */
struct reading {
	struct levee_config *config;
	struct place place;
	FILE *in;
	size_t taken;	      /* bytes read so far */
	int error;	      /* first failure */
	bool wants_value;     /* the line should have led to a call of take_value() */
	bool has_key;	      /* a key stands in this section: indented lines go on with it */
	bool continues;	      /* the line is such a one */
	bool unknown_section; /* said already; its keys are passed over */
	unsigned int seen_at[N_KEYS]; /* line of each key; 0: not yet */
	char text[LINE_BYTES];
};

static void note_defect(struct reading *r)
{
	if (r->error == 0)
		r->error = -EINVAL;
}

/*
 * Read a line without its end into r->text, NUL-terminated.
 * \return its length, which may be more than fits; -1 at the end of the file
 */
static ssize_t read_raw(struct reading *r)
{
	size_t n = 0;
	int c;

	while ((c = getc(r->in)) != EOF && c != '\n') {
		if (++r->taken > FILE_BYTES)
			break;
		if (n < sizeof(r->text) - 1)
			r->text[n] = (char)c;
		n++;
	}
	if (c == EOF && n == 0)
		return -1;
	if (r->taken > FILE_BYTES) {
		complain(&r->place, "longer than 1 MiB: not a configuration file");
		r->error = -EFBIG;
		return -1;
	}
	r->text[n < sizeof(r->text) ? n : sizeof(r->text) - 1] = '\0';
	if (n > 0 && n < sizeof(r->text) && r->text[n - 1] == '\r')
		r->text[--n] = '\0';
	r->place.line++;
	return (ssize_t)n;
}

/* \return what is wrong with the bytes of the line; NULL */
static const char *unfit_line(const char *text, size_t n)
{
	size_t len;

	if (n >= LINE_BYTES)
		return "the line is longer than 4095 bytes";
	for (size_t i = 0; i < n; i += len) {
		len = levee_utf8_length(text + i, n - i);
		if (len == 0)
			return "the line is not UTF-8";
		if (text[i] == '\0')
			return "the line holds a NUL byte";
		if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
			return "the line holds a control character";
	}
	return NULL;
}

/* `text` begins with '['. inih would take "[detect] bin = 5" for a section and drop the rest. */
static void check_section(struct reading *r, char *text)
{
	char *end = strchr(text, ']');
	const char *rest;

	r->has_key = false;
	r->unknown_section = true;
	if (!end) {
		complain(&r->place, "%.80s: the closing ] is missing", text);
		note_defect(r);
		return;
	}
	rest = end + 1 + strspn(end + 1, " \t");
	*end = '\0';
	if (!is_section(text + 1)) {
		complain_of_section(&r->place, text + 1);
		note_defect(r);
	} else if (*rest != '\0' && *rest != '#') {
		complain(&r->place, "[%s]: nothing may follow on the line, but `%.80s` does",
			 text + 1, rest);
		note_defect(r);
	} else {
		r->unknown_section = false;
	}
	*end = ']';
}

/*
 * A comment behind a value: a blank and a semicolon. Cut off here, because inih leaves it in lines
 * that go on with a value. \return what is left of the line [bytes]
 */
static size_t cut_comment(char *text)
{
	for (char *at = strchr(text, ';'); at; at = strchr(at + 1, ';'))
		if (at == text || at[-1] == ' ' || at[-1] == '\t')
			*at = '\0';
	return strlen(text);
}

/* \return whether inih is to see the line; if not, it sees an empty one */
static bool admit_line(struct reading *r, size_t n, size_t room)
{
	const char *unfit = unfit_line(r->text, n);
	size_t indent;
	char first;

	if (unfit) {
		complain(&r->place, "%s", unfit);
		note_defect(r);
		return false;
	}
	n = cut_comment(r->text);
	indent = strspn(r->text, " \t");
	first = r->text[indent];
	if (first == '\0' || first == '#')
		return false;
	r->continues = indent > 0 && r->has_key;
	if (n + 2 > room) { /* with its end, and NUL */
		complain(&r->place,
			 "the line is %zu bytes long, at most %zu are possible; a list may go on "
			 "on the next lines if they are indented",
			 n, room - 2);
		note_defect(r);
		return false;
	}
	if (first == '[' && !r->continues) {
		check_section(r, r->text + indent);
		return strchr(r->text, ']') != NULL;
	}
	r->wants_value = true;
	return true;
}

/* The line before led to nothing: inih does not say so until the end, and only of one line. */
static void check_syntax(struct reading *r)
{
	if (r->wants_value && !r->unknown_section) {
		complain(&r->place, "%.80s: neither `[section]` nor `key = value`", r->text);
		note_defect(r);
	}
	r->wants_value = false;
}

/* fgets() for inih. */
static char *next_line(char *line, int size, void *stream)
{
	struct reading *r = stream;
	size_t room = size > 0 ? (size_t)size : 0;
	ssize_t n;

	check_syntax(r);
	n = read_raw(r);
	if (n < 0 || room < 3)
		return NULL;
	if (r->place.line == 1 && n >= 3 && memcmp(r->text, "\xef\xbb\xbf", 3) == 0) {
		n -= 3; /* byte order mark */
		memmove(r->text, r->text + 3, sizeof(r->text) - 3);
	}
	if (admit_line(r, (size_t)n, room))
		snprintf(line, room, "%s\n", r->text);
	else
		snprintf(line, room, "\n");
	return line;
}

/* May the key be set by this line? */
static bool check_order(struct reading *r, const struct levee_config_key *key)
{
	unsigned int *seen_at = &r->seen_at[key - keys];

	if (r->continues && !key->kind->continues) {
		complain(&r->place,
			 "the line is indented and so goes on with [%s] %s, which takes one line; "
			 "remove the indentation",
			 key->section, key->name);
		return false;
	}
	if (!r->continues && *seen_at > 0) {
		complain(&r->place, "[%s] %s is set already in line %u; remove one of the two",
			 key->section, key->name, *seen_at);
		return false;
	}
	if (!r->continues)
		*seen_at = r->place.line;
	return true;
}

static int take_value(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	const struct levee_config_key *key;
	int ret;

	r->wants_value = false;
	r->has_key = true;
	if (r->unknown_section)
		return 1;
	if (*section == '\0') {
		complain(&r->place, "%.80s stands before the first [section]", name);
		note_defect(r);
		return 1;
	}
	key = find_key(section, name);
	if (!key) {
		if (!r->continues) /* said for the line it goes on with */
			complain_of_key(&r->place, section, name);
		note_defect(r);
		return 1;
	}
	if (!check_order(r, key)) {
		note_defect(r);
		return 1;
	}
	ret = set_key(r->config, key, value ? value : "", r->continues, &r->place);
	if (ret < 0 && (r->error == 0 || ret != -EINVAL))
		r->error = ret;
	return 1;
}

int levee_config_read_stream(struct levee_config *config, FILE *in, const char *name, FILE *errors)
{
	struct reading r = {
		.config = config,
		.in = in,
		.place = { .name = name, .errors = errors },
	};
	int ret;

	errno = 0;
	ret = ini_parse_stream(next_line, &r, take_value, &r);
	check_syntax(&r);
	if (ferror(in)) {
		r.error = errno ? -errno : -EIO;
		r.place.line = 0;
		complain(&r.place, "cannot read: %s", strerror(-r.error));
	} else if (ret < 0 && r.error == 0) {
		r.error = -ENOMEM;
		r.place.line = 0;
		complain(&r.place, "%s", strerror(ENOMEM));
	} else if (ret > 0 && r.error == 0) {
		/* Something inih minds and next_line() does not: none is known. */
		r.error = -EINVAL;
		r.place.line = (unsigned int)ret;
		complain(&r.place, "neither `[section]` nor `key = value`");
	}
	return r.error;
}

int levee_config_read(struct levee_config *config, const char *file, FILE *errors)
{
	const struct place place = { .name = file, .errors = errors };
	FILE *in = fopen(file, "re");
	int ret;

	if (!in) {
		ret = -errno;
		complain(&place, "cannot open: %s", strerror(-ret));
		return ret;
	}
	ret = levee_config_read_stream(config, in, file, errors);
	fclose(in);
	return ret;
}

int levee_config_check_nacl(const struct levee_config *config, const char *file, FILE *errors)
{
	const struct place place = { .name = file, .errors = errors };
	bool blue = *config->nacl.blue, green = *config->nacl.green;

	if (config->nacl.manage && (blue || green))
		complain(&place, "[nacl] manage = yes makes its own pair: leave blue and green "
				 "empty, or set manage = no");
	else if (!config->nacl.manage && !(blue && green))
		complain(
			&place,
			"[nacl] %s is empty: name two network ACLs of the VPC, or set manage = yes",
			blue ? "green" : "blue");
	else if (blue && strcmp(config->nacl.blue, config->nacl.green) == 0)
		complain(&place, "[nacl] blue and green are the same network ACL, %s: name two",
			 config->nacl.blue);
	else
		return 0;
	return -EINVAL;
}

static int check_push(const struct levee_config *config, const struct place *place)
{
	int ret = levee_config_check_nacl(config, place->name, place->errors);

	if (!config->aws.enabled) {
		complain(place, "[nacl] enabled = yes needs [aws] enabled = yes");
		ret = -EINVAL;
	}
	return ret;
}

/* Counts that cannot fit whatever machine it is; what EAL and ports have shows when they start. */
static int validate_dpdk(const struct levee_config *config, const struct place *place)
{
	size_t ports = config->data_path.ports.n;
	uint64_t queues = config->data_path.queues, lcores = config->data_path.lcores;
	int ret = 0;

	if (!ports) {
		complain(place, "[data_path] ports is empty and type = dpdk: name the ports, for "
				"example `ports = 0000:00:06.0`");
		ret = -EINVAL;
	} else if (config->data_path.mode == LEVEE_DPDK_MODE_WIRE && ports != 2) {
		complain(place,
			 "[data_path] ports names %zu port%s, mode = wire needs two: the one that "
			 "faces the outside, then the one that faces what is protected",
			 ports, ports == 1 ? "" : "s");
		ret = -EINVAL;
	}
	if (queues && queues < lcores) {
		complain(place,
			 "[data_path] queues = %" PRIu64 " is less than lcores = %" PRIu64
			 ": some would have nothing to poll; lower lcores or raise queues",
			 queues, lcores);
		ret = -EINVAL;
	}
	return ret;
}

static int check_api(const struct levee_config *config, const struct place *place)
{
	bool has_certificate = *config->api.tls_certificate, is_loopback = true;
	char why[WHY_BYTES];

	if (has_certificate != (*config->api.tls_key != '\0')) {
		complain(place, "[api] %s is empty, but the other one is not: TLS needs both",
			 has_certificate ? "tls_key" : "tls_certificate");
		return -EINVAL;
	}
	if (!*config->api.listen)
		return 0;
	levee_api_parse_listen(config->api.listen, &is_loopback, why, sizeof(why));
	if (!*config->api.token_file) {
		complain(place,
			 "[api] listen = %s: refused without a token; name a file with one in "
			 "[api] token_file",
			 config->api.listen);
		return -EINVAL;
	}
	if (!is_loopback && !has_certificate) {
		complain(
			place,
			"[api] listen = %s: not a loopback address, refused without TLS; set [api] "
			"tls_certificate and tls_key, or listen on 127.0.0.1",
			config->api.listen);
		return -EINVAL;
	}
	return 0;
}

int levee_config_validate(struct levee_config *config, const char *file, FILE *errors)
{
	const struct place place = { .name = file, .errors = errors };
	uint64_t bin = config->detect.bin, window = config->detect.window;
	uint64_t bins = window / bin;
	int ret = 0;

	if (window % bin != 0) {
		complain(&place,
			 "[detect] window = %" PRIu64
			 ": not a multiple of bin; accepted: multiples "
			 "of %" PRIu64 " s",
			 window, bin);
		ret = -EINVAL;
	}
	if (bins < BINS_MIN || bins > BINS_MAX) {
		complain(&place,
			 "[detect] window = %" PRIu64 ": %s bins of %" PRIu64
			 " s; accepted: %" PRIu64 " to %" PRIu64 " s",
			 window, bins < BINS_MIN ? "fewer than 2" : "more than 10080", bin,
			 BINS_MIN * bin, BINS_MAX * bin);
		ret = -EINVAL;
	}
	if (config->data_path.type == LEVEE_PATH_DPDK)
		ret = validate_dpdk(config, &place) ? -EINVAL : ret;
	if (config->detect.evaluate_every > bin) {
		complain(&place,
			 "[detect] evaluate_every = %" PRIu64
			 ": longer than bin; accepted: 0 to %" PRIu64 " s",
			 config->detect.evaluate_every, bin);
		ret = -EINVAL;
	}
	if (check_api(config, &place))
		ret = -EINVAL;
	if (config->nacl.enabled && check_push(config, &place))
		ret = -EINVAL;
	return ret;
}

/* ---- writing ------------------------------------------------------------------------------ */

/* A comment of several lines, broken at blanks. */
static void print_comment(const char *text, FILE *out)
{
	size_t column = 0, len;

	for (; *text; text += len + strspn(text + len, " ")) {
		len = strcspn(text, " ");
		if (column == 0 || column + 1 + len > DUMP_COLUMN) {
			fprintf(out, "%s# ", column ? "\n" : "");
			column = 2;
		} else {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, len, out);
		column += len;
	}
	fputc('\n', out);
}

static void print_accepted(const struct levee_config_key *key, FILE *out)
{
	char text[512];

	snprintf(text, sizeof(text), "Accepted: %s%s%s. Default: %s.%s", key->range,
		 *key->unit ? " " : "", key->unit, *key->value ? key->value : "nothing",
		 key->live ? "" : LEVEE_CONFIG_RESTART);
	print_comment(text, out);
}

static bool begins_section(size_t i)
{
	return i == 0 || strcmp(keys[i].section, keys[i - 1].section) != 0;
}

void levee_config_dump(const struct levee_config *config, FILE *out)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		if (begins_section(i))
			fprintf(out, "%s[%s]\n", i > 0 ? "\n" : "", keys[i].section);
		fputc('\n', out);
		print_comment(keys[i].help, out);
		print_accepted(&keys[i], out);
		fprintf(out, "%s =", keys[i].name);
		keys[i].kind->print(config, &keys[i], out);
		fputc('\n', out);
	}
}

void levee_config_print_value(const struct levee_config *config, const struct levee_config_key *key,
			      FILE *out)
{
	key->kind->print(config, key, out);
}

void levee_config_reference(FILE *out)
{
	for (size_t i = 0; i < N_KEYS; i++) {
		const struct levee_config_key *key = &keys[i];

		if (begins_section(i))
			fprintf(out,
				"%s### [%s]\n\n"
				"| key | type | default | accepted | unit | meaning |\n"
				"|---|---|---|---|---|---|\n",
				i > 0 ? "\n" : "", key->section);
		fprintf(out, "| `%s` | %s | %s%s%s | %s | %s | %s%s |\n", key->name, key->type,
			*key->value ? "`" : "", key->value, *key->value ? "`" : "", key->range,
			key->unit, key->help, key->live ? "" : LEVEE_CONFIG_RESTART);
	}
}
