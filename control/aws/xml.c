/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/xml.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>
#include <openssl/crypto.h>

#include "control/aws/text.h"

#define BLOCK_BYTES 16384

/* Memory of the tree: blocks that are given back, wiped, all at once. */
struct block {
	struct block *next;
	size_t used;
	size_t size;
	_Alignas(max_align_t) char bytes[];
};

struct levee_xml {
	struct block *blocks;
	struct levee_xml_node *root;
};

struct open_element {
	struct levee_xml_node *node;
	struct levee_xml_node *last_child;
};

struct parse {
	struct levee_xml *xml;
	XML_Parser parser;
	struct open_element open[LEVEE_XML_DEPTH];
	size_t depth;
	size_t nodes;
	struct levee_aws_text text; /* since the last tag */
	int error;
};

static void *take(struct levee_xml *xml, size_t n)
{
	struct block *block = xml->blocks;
	void *place;

	n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
	if (!block || block->size - block->used < n) {
		size_t size = n > BLOCK_BYTES ? n : BLOCK_BYTES;

		block = malloc(sizeof(*block) + size);
		if (!block)
			return NULL;
		*block = (struct block){ .next = xml->blocks, .size = size };
		xml->blocks = block;
	}
	place = block->bytes + block->used;
	block->used += n;
	return place;
}

static char *take_string(struct levee_xml *xml, const char *s, size_t n)
{
	char *copy = take(xml, n + 1);

	if (copy) {
		memcpy(copy, s, n);
		copy[n] = '\0';
	}
	return copy;
}

static void give_up(struct parse *p, int error)
{
	if (!p->error)
		p->error = error;
	XML_StopParser(p->parser, XML_FALSE);
}

static const char *without_prefix(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? colon + 1 : name;
}

static struct levee_xml_node *new_node(struct parse *p, const char *name)
{
	struct levee_xml_node *node = take(p->xml, sizeof(*node));

	name = without_prefix(name);
	if (!node)
		return NULL;
	*node = (struct levee_xml_node){ .name = take_string(p->xml, name, strlen(name)),
					 .text = "" };
	return node->name ? node : NULL;
}

static void hang_in(struct parse *p, struct levee_xml_node *node)
{
	struct open_element *parent = p->depth ? &p->open[p->depth - 1] : NULL;

	if (!parent)
		p->xml->root = node;
	else if (parent->last_child)
		parent->last_child->next = node;
	else
		parent->node->child = node;
	if (parent)
		parent->last_child = node;
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = ctx;
	struct levee_xml_node *node;

	(void)attributes;
	if (p->error)
		return;
	if (p->depth == LEVEE_XML_DEPTH || p->nodes == LEVEE_XML_NODES) {
		give_up(p, -E2BIG);
		return;
	}
	node = new_node(p, name);
	if (!node) {
		give_up(p, -ENOMEM);
		return;
	}
	hang_in(p, node);
	p->nodes++;
	p->open[p->depth++] = (struct open_element){ .node = node };
	levee_aws_text_clear(&p->text);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct parse *p = ctx;
	struct levee_xml_node *node;

	(void)name;
	if (p->error)
		return;
	node = p->open[--p->depth].node;
	if (!node->child && p->text.n) {
		node->text = take_string(p->xml, p->text.bytes, p->text.n);
		if (!node->text)
			give_up(p, -ENOMEM);
	}
	levee_aws_text_clear(&p->text);
}

static void XMLCALL on_text(void *ctx, const XML_Char *bytes, int n)
{
	struct parse *p = ctx;

	if (p->error)
		return;
	levee_aws_text_add(&p->text, bytes, (size_t)n);
	if (p->text.error)
		give_up(p, p->text.error == -ENOMEM ? -ENOMEM : -E2BIG);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
			       const XML_Char *public_id, int has_subset)
{
	(void)name, (void)system_id, (void)public_id, (void)has_subset;
	give_up(ctx, -EBADMSG);
}

static int run(struct parse *p, const void *bytes, size_t n)
{
	if (n > INT_MAX)
		return -E2BIG;
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, on_start, on_end);
	XML_SetCharacterDataHandler(p->parser, on_text);
	XML_SetStartDoctypeDeclHandler(p->parser, on_doctype);
	if (XML_Parse(p->parser, bytes, (int)n, XML_TRUE) != XML_STATUS_OK && !p->error)
		p->error = XML_GetErrorCode(p->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
	return p->error;
}

int levee_xml_parse(struct levee_xml **out, const void *bytes, size_t n)
{
	struct parse *p = calloc(1, sizeof(*p));
	int ret = -ENOMEM;

	*out = NULL;
	if (!p)
		return -ENOMEM;
	levee_aws_text_init(&p->text, 2 * n); /* in UTF-8, whatever the document is in */
	p->xml = calloc(1, sizeof(*p->xml));
	p->parser = XML_ParserCreate(NULL);
	if (p->xml && p->parser)
		ret = run(p, n ? bytes : "", n);
	if (p->parser)
		XML_ParserFree(p->parser);
	levee_aws_text_free(&p->text);
	if (ret == 0)
		*out = p->xml;
	else
		levee_xml_free(p->xml);
	free(p);
	return ret;
}

const struct levee_xml_node *levee_xml_root(const struct levee_xml *xml)
{
	return xml ? xml->root : NULL;
}

static const struct levee_xml_node *named(const struct levee_xml_node *node, const char *name,
					  size_t n)
{
	while (node && (strncmp(node->name, name, n) != 0 || node->name[n] != '\0'))
		node = node->next;
	return node;
}

const struct levee_xml_node *levee_xml_find(const struct levee_xml_node *node, const char *path)
{
	while (node && *path) {
		size_t n = strcspn(path, "/");

		node = named(node->child, path, n);
		path += n + (path[n] == '/');
	}
	return node;
}

const struct levee_xml_node *levee_xml_next(const struct levee_xml_node *node)
{
	return named(node->next, node->name, strlen(node->name));
}

const char *levee_xml_text(const struct levee_xml_node *node, const char *path)
{
	const struct levee_xml_node *found = levee_xml_find(node, path);

	return found ? found->text : NULL;
}

void levee_xml_free(struct levee_xml *xml)
{
	struct block *next;

	if (!xml)
		return;
	for (struct block *block = xml->blocks; block; block = next) {
		next = block->next;
		OPENSSL_cleanse(block->bytes, block->used);
		free(block);
	}
	free(xml);
}
