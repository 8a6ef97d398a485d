#pragma once
// The part of the cost model that looks at sums of products: register tiles, and which operand is
// copied near.

#include "choose.h"

namespace sinter::codegen {

/// Chooses the tile of the kernel's largest reduction and the operand to stage, for the plan's
/// vector range or, where that is cheaper, for another; with `copies`, whether to copy the other
/// operand as well.
void choose_contraction(const Analysis& a, const Target& target, bool copies, Plan& plan);

/// What it weighs for a kernel of which `chosen` is the plan: a few tiles for each vector range,
/// with and without copies, the cheapest first.
std::vector<Plan> contraction_plans(const Analysis& a, const Target& target, bool copies,
                                    const Plan& chosen);

}  // namespace sinter::codegen
