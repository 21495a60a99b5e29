/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replies in XML as a small tree. Names lose their namespace prefix, attributes are left out.
 *
 *	struct levee_xml *xml;
 *
 *	ret = levee_xml_parse(&xml, bytes, n);
 *	const struct levee_xml_node *item = levee_xml_find(levee_xml_root(xml),
 *							   "networkAclSet/item");
 *	for (; item; item = levee_xml_next(item))
 *		... levee_xml_text(item, "networkAclId") ...
 *	levee_xml_free(xml);
 *
 * Bounded: a document type (and with it every entity of its own) is refused, and so are more than
 * LEVEE_XML_DEPTH levels and more than LEVEE_XML_NODES elements.
 */
#ifndef LEVEE_AWS_XML_H
#define LEVEE_AWS_XML_H

#include <stddef.h>

#define LEVEE_XML_DEPTH 32
#define LEVEE_XML_NODES 500000

struct levee_xml;

struct levee_xml_node {
	const char *name;
	const char *text; /* of an element without elements in it; "" for the others */
	const struct levee_xml_node *child; /* the first, in the order of the document */
	const struct levee_xml_node *next;  /* sibling */
};

/**
 * Parse a whole document of n bytes.
 * \return 0; -EBADMSG if it is not well-formed, or has a document type; -E2BIG above the limits;
 *         -ENOMEM. *out is NULL unless 0 is returned; the caller frees it
 */
int levee_xml_parse(struct levee_xml **out, const void *bytes, size_t n);

/** The document's element; NULL for no document. */
const struct levee_xml_node *levee_xml_root(const struct levee_xml *xml);

/** The first descendant by names from one level to the next, "a/b/c"; NULL if there is none.
 * `node` may be NULL, and "" is the node itself. */
const struct levee_xml_node *levee_xml_find(const struct levee_xml_node *node, const char *path);

/** The next sibling of the same name, or NULL. */
const struct levee_xml_node *levee_xml_next(const struct levee_xml_node *node);

/** Text of the element that levee_xml_find() finds, or NULL if there is none. */
const char *levee_xml_text(const struct levee_xml_node *node, const char *path);

/** Wipe and free; NULL is fine. */
void levee_xml_free(struct levee_xml *xml);

#endif
