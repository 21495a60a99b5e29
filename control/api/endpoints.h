/* SPDX-License-Identifier: BSD-2-Clause */
/* The handlers that routes.c names. */
#ifndef LEVEE_API_ENDPOINTS_H
#define LEVEE_API_ENDPOINTS_H

#include "control/api/routes.h"

/** Choices of GET /api/v1/blocks: what made a block, and the order. */
extern const char *const levee_block_reasons[];
extern const char *const levee_block_orders[];

void levee_get_health(struct levee_api_call *call);
void levee_get_ready(struct levee_api_call *call);
void levee_get_status(struct levee_api_call *call);
void levee_get_account(struct levee_api_call *call);
void levee_get_bins(struct levee_api_call *call);
void levee_get_sources(struct levee_api_call *call);
void levee_get_source(struct levee_api_call *call);
void levee_finish_source(struct levee_api_call *call, struct levee_request *answered);
void levee_get_blocks(struct levee_api_call *call);
void levee_get_block(struct levee_api_call *call);
void levee_post_block(struct levee_api_call *call);
void levee_patch_block(struct levee_api_call *call);
void levee_delete_block(struct levee_api_call *call);
void levee_delete_blocks(struct levee_api_call *call);
void levee_get_exemptions(struct levee_api_call *call);
void levee_delete_exemption(struct levee_api_call *call);
void levee_get_allow(struct levee_api_call *call);
void levee_post_allow(struct levee_api_call *call);
void levee_delete_allow(struct levee_api_call *call);
void levee_get_events(struct levee_api_call *call);
void levee_get_history(struct levee_api_call *call);
void levee_get_config(struct levee_api_call *call);
void levee_get_nacl(struct levee_api_call *call);
void levee_get_fleet(struct levee_api_call *call);
void levee_get_aws(struct levee_api_call *call);
void levee_post_reload(struct levee_api_call *call);
void levee_get_drill(struct levee_api_call *call);
void levee_post_drill(struct levee_api_call *call);
void levee_delete_drill(struct levee_api_call *call);
void levee_get_openapi(struct levee_api_call *call);
void levee_get_page(struct levee_api_call *call);
void levee_get_metrics(struct levee_api_call *call);

#endif
