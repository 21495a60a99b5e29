/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a reply in XML: no crash; a tree within its limits, or none. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const struct levee_xml_node *node, size_t depth)
{
	size_t n = 0;

	if (depth > LEVEE_XML_DEPTH)
		abort();
	for (; node; node = node->next) {
		if (!node->name || !node->text || (node->child && *node->text))
			abort();
		n += 1 + count(node->child, depth + 1);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct levee_xml *xml;

	if (levee_xml_parse(&xml, data, size) < 0) {
		if (xml)
			abort();
		return 0;
	}
	if (!levee_xml_root(xml) || levee_xml_root(xml)->next ||
	    count(levee_xml_root(xml), 1) > LEVEE_XML_NODES)
		abort();
	levee_xml_text(levee_xml_root(xml), "Error/Code");
	levee_xml_free(xml);
	return 0;
}
