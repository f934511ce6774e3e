/* order.h - dotted orders: where a run stands in its trace.
 *
 *     20261123T162243753001Z01a20937-8729-7000-8000-0350d55ee658.20261123T1622437...
 *
 * From the root down to the run, a segment each: when it began, as the client says it, with
 * 3 to 9 digits of fraction, and its id.
 *
 * Sources  the contract of the LangSmith SDKs, dotted_order
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "base/uuid.h"

struct order {
    struct uuid root, own;
    struct uuid parent; /* zero with one segment */
    size_t segments;
};

/* False when the text is none. */
bool order_read(struct str text, struct order *result);
