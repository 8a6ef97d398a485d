#pragma once
// The part of the cost model that looks at sums of products: register tiles, and which operand is
// copied near.

#include "choose.h"

namespace sinter::codegen {

/// Chooses the tile of the kernel's largest reduction and the operand to stage, for the plan's
/// vector range or, where that is cheaper, for another; with `copies`, whether to copy the other
/// operand as well.
void choose_contraction(const Analysis& a, const Target& target, bool copies, Plan& plan);

}  // namespace sinter::codegen
