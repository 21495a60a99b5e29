/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/xml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct levee_xml *parsed(const char *text)
{
	struct levee_xml *xml;

	assert_int_equal(levee_xml_parse(&xml, text, strlen(text)), 0);
	return xml;
}

static void assert_refused(const char *text, int error)
{
	struct levee_xml *xml;

	assert_int_equal(levee_xml_parse(&xml, text, strlen(text)), error);
	assert_null(xml);
}

static const char acls[] =
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	"<DescribeNetworkAclsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n"
	"  <requestId>r-1</requestId>\n"
	"  <networkAclSet>\n"
	"    <item><networkAclId>acl-1</networkAclId><default>false</default><tagSet/></item>\n"
	"    <other/>\n"
	"    <item><networkAclId>acl-2</networkAclId></item>\n"
	"  </networkAclSet>\n"
	"</DescribeNetworkAclsResponse>\n";

static void items_are_found_one_after_the_other(void **state)
{
	struct levee_xml *xml = parsed(acls);
	const struct levee_xml_node *item = levee_xml_find(levee_xml_root(xml),
							   "networkAclSet/item");

	(void)state;
	assert_string_equal(levee_xml_root(xml)->name, "DescribeNetworkAclsResponse");
	assert_string_equal(levee_xml_text(levee_xml_root(xml), "requestId"), "r-1");
	assert_string_equal(levee_xml_text(item, "networkAclId"), "acl-1");
	assert_string_equal(levee_xml_text(item, "tagSet"), "");
	item = levee_xml_next(item);
	assert_string_equal(levee_xml_text(item, "networkAclId"), "acl-2");
	assert_null(levee_xml_next(item));
	levee_xml_free(xml);
}

static void what_is_not_there_is_null(void **state)
{
	struct levee_xml *xml = parsed(acls);

	(void)state;
	assert_null(levee_xml_find(levee_xml_root(xml), "networkAclSet/item/none"));
	assert_null(levee_xml_text(levee_xml_root(xml), "networkAcl"));
	assert_null(levee_xml_text(levee_xml_root(xml), "networkAclSetX"));
	assert_null(levee_xml_text(NULL, "a"));
	assert_ptr_equal(levee_xml_find(levee_xml_root(xml), ""), levee_xml_root(xml));
	levee_xml_free(xml);
	assert_null(levee_xml_root(NULL));
}

static void text_is_whole_with_entities_and_sections(void **state)
{
	struct levee_xml *xml = parsed("<a>1 &lt; 2 &amp; &#x26;<![CDATA[<b>]]> end</a>");

	(void)state;
	assert_string_equal(levee_xml_root(xml)->text, "1 < 2 & &<b> end");
	levee_xml_free(xml);
}

static void text_between_elements_is_left_out(void **state)
{
	struct levee_xml *xml = parsed("<a>x<b>y</b>z</a>");

	(void)state;
	assert_string_equal(levee_xml_root(xml)->text, "");
	assert_string_equal(levee_xml_text(levee_xml_root(xml), "b"), "y");
	levee_xml_free(xml);
}

static void a_prefix_is_no_part_of_a_name(void **state)
{
	struct levee_xml *xml = parsed("<s:a xmlns:s=\"urn:x\"><s:b>1</s:b></s:a>");

	(void)state;
	assert_string_equal(levee_xml_text(levee_xml_root(xml), "b"), "1");
	levee_xml_free(xml);
}

static void what_is_not_well_formed_is_refused(void **state)
{
	(void)state;
	assert_refused("", -EBADMSG);
	assert_refused("nothing", -EBADMSG);
	assert_refused("<a>", -EBADMSG);
	assert_refused("<a></b>", -EBADMSG);
	assert_refused("<a/><b/>", -EBADMSG);
	assert_refused("<a>&unknown;</a>", -EBADMSG);
	assert_refused("<a>\xff</a>", -EBADMSG);
	assert_refused("<html><body>502 Bad Gateway<br></body></html>", -EBADMSG);
}

static void a_document_type_is_refused_and_with_it_every_entity(void **state)
{
	(void)state;
	assert_refused("<!DOCTYPE a [<!ENTITY x \"xxxxxxxx\"><!ENTITY y \"&x;&x;&x;\">]>"
		       "<a>&y;&y;</a>",
		       -EBADMSG);
	assert_refused("<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
		       -EBADMSG);
	assert_refused("<!DOCTYPE html><a/>", -EBADMSG);
}

static void nest(char *out, size_t depth)
{
	*out = '\0';
	for (size_t i = 0; i < depth; i++)
		strcat(out, "<a>");
	for (size_t i = 0; i < depth; i++)
		strcat(out, "</a>");
}

static void depth_is_bounded(void **state)
{
	char text[8 * (LEVEE_XML_DEPTH + 1)];

	(void)state;
	nest(text, LEVEE_XML_DEPTH);
	levee_xml_free(parsed(text));
	nest(text, LEVEE_XML_DEPTH + 1);
	assert_refused(text, -E2BIG);
}

static void the_number_of_elements_is_bounded(void **state)
{
	size_t n = 0;
	char *text = malloc((size_t)LEVEE_XML_NODES * 4 + 64);

	(void)state;
	assert_non_null(text);
	n += (size_t)sprintf(text, "<a>");
	for (size_t i = 0; i < LEVEE_XML_NODES - 1; i++, n += 4)
		memcpy(text + n, "<b/>", 4);
	strcpy(text + n, "</a>");
	levee_xml_free(parsed(text));
	strcpy(text + n, "<b/></a>");
	assert_refused(text, -E2BIG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(items_are_found_one_after_the_other),
		cmocka_unit_test(what_is_not_there_is_null),
		cmocka_unit_test(text_is_whole_with_entities_and_sections),
		cmocka_unit_test(text_between_elements_is_left_out),
		cmocka_unit_test(a_prefix_is_no_part_of_a_name),
		cmocka_unit_test(what_is_not_well_formed_is_refused),
		cmocka_unit_test(a_document_type_is_refused_and_with_it_every_entity),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(the_number_of_elements_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
