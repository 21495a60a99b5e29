/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LEVEE_AWS_ISOTIME_H
#define LEVEE_AWS_ISOTIME_H

#include <stdint.h>

/**
 * Time as AWS writes it (ISO 8601): "2030-01-02T03:04:05Z", a fraction of seconds and an offset
 * like +02:00 allowed, a time without either taken as UTC.
 * \param out_s  seconds since the epoch, the fraction cut off
 * \return 0; -EINVAL
 */
int levee_aws_time_parse(const char *text, int64_t *out_s);

#endif
