/* SPDX-License-Identifier: BSD-2-Clause */
/* Templates of frames: one for each form that a population's packets take. */
#ifndef PKTGEN_FRAME_H
#define PKTGEN_FRAME_H

#include <stdbool.h>

#include "tools/pktgen/patch.h"
#include "tools/pktgen/scenario.h"

enum pktgen_fragment { PKTGEN_WHOLE, PKTGEN_FIRST, PKTGEN_LATER, PKTGEN_FRAGMENTS };

/* Protocol, fragment, and with options or not: a form is a number below this. */
#define PKTGEN_FORMS (PKTGEN_PROTOCOLS * PKTGEN_FRAGMENTS * 2)

/**
 * Build the template of a form.
 * \param extended  with IPv4 options or IPv6 extension headers
 */
void pktgen_template_make(struct pktgen_template *t, const struct pktgen_population *p,
			  enum pktgen_protocol protocol, enum pktgen_fragment fragment,
			  bool extended);

/** The same by number. */
void pktgen_template_make_form(struct pktgen_template *t, const struct pktgen_population *p,
			       unsigned int form);

/** Share of a population's packets that have this form, 0 to 1. */
double pktgen_form_share(const struct pktgen_population *p, unsigned int form);

#endif
