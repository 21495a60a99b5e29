/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "control/detect/detector_internal.h"

static int evaluate(const struct levee_window *window, const struct levee_bin *running,
		    int64_t now_s, const struct levee_detect_params *params,
		    struct levee_evaluation *out)
{
	struct levee_judge judge;
	int ret;

	levee_judge_begin(&judge, window, running, now_s);
	ret = levee_detect_begin(&judge, params, out);
	if (!ret)
		ret = levee_detect_zscore(&judge, params, out);
	if (!ret)
		ret = levee_detect_measures(&judge, params, out);
	if (ret)
		levee_evaluation_clear(out);
	return ret;
}

const struct levee_detector levee_detector_zscore = {
	.name = "zscore",
	.evaluate = evaluate,
};
