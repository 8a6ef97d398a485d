#pragma once
// Indices of innermost loops: what grows by the same number from trip to trip is carried and added
// to, not computed again from the loop's index (strength reduction; Muchnick, Advanced Compiler
// Design and Implementation, 14.1).

#include "linear.h"

namespace sinter::codegen {

/// Sums and products with constants, of an innermost loop's index and what the loop does not
/// change, become values that the loop carries; they have no result after it.
void carry_indices(Function& function);

}  // namespace sinter::codegen
