/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the known names was meant by one that is not known: for "did you mean". Pure. */
#ifndef LEVEE_NEAREST_H
#define LEVEE_NEAREST_H

#include <stddef.h>

/**
 * Edits (insert, delete, replace one character, exchange two neighbours) that make `b` of `a`.
 * Optimal string alignment: Damerau (CACM 7(3), 1964), Boytsov (JEA 16, 2011).
 * \return SIZE_MAX if either is longer than any name that is known
 */
size_t levee_edits(const char *a, const char *b);

/** Edits at which a name is a slip and not another word: a third of its letters, and one. */
size_t levee_edits_allowed(const char *name);

/** The nearest of `names`, the first of equals; NULL if none is near. \param names ended by NULL */
const char *levee_nearest(const char *name, const char *const *names);

#endif
