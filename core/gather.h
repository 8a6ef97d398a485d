#pragma once
// Helpers of index tensors.

#include "call.h"

namespace sinter {

/// An index tensor as i64, with negative indices counted from the end of an axis of n elements.
UOp counted_from_front(const UOp& index, std::int64_t n);

}  // namespace sinter
