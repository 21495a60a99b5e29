/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instance metadata service, version 2 only: a session token by PUT, then GETs with it.
 *
 * AWS_EC2_METADATA_DISABLED=true switches it off; AWS_EC2_METADATA_SERVICE_ENDPOINT (profile:
 * ec2_metadata_service_endpoint) is another place, AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6
 * (profile: ec2_metadata_service_endpoint_mode) the IPv6 one. 2 s to connect, 1 s to answer, one
 * retry; never through a proxy.
 */
#ifndef LEVEE_AWS_IMDS_H
#define LEVEE_AWS_IMDS_H

#include "control/aws/config.h"
#include "control/aws/error.h"
#include "control/aws/http.h"
#include "control/aws/text.h"

struct levee_imds;

/** Keeps the pointers. \return NULL without memory */
struct levee_imds *levee_imds_new(const struct levee_aws_config *config, struct levee_http *http);
void levee_imds_free(struct levee_imds *imds); /* NULL is fine */

/**
 * Get one item.
 * \param path  below /latest/, without a slash in front: "meta-data/placement/region",
 *              "dynamic/instance-identity/document"
 * \param out   initialised; what it held is replaced. 64 KiB are the most
 * \return 0; -ENOENT if there is no such item (404); with error set: -ENODATA if the service is
 *         switched off or does not answer, which is what being no EC2 instance looks like; -EACCES
 *         if it refuses (403: instance metadata disabled); -EINVAL for an endpoint that is none;
 *         -EREMOTEIO for any other status; -ECANCELED, -ENOMEM
 */
int levee_imds_get(struct levee_imds *imds, const char *path, struct levee_aws_text *out,
		   struct levee_aws_error *error);

#endif
