#pragma once
// Values that are put together from others (a concatenation, the gradient of what was cut into
// pieces) are written piece by piece, by the kernels that make the pieces.

#include "layout.h"

namespace sinter::schedule {

/// Whether, by what it reads and how much of it there is, all that the kernel may do is to put its
/// one result together from other values.
bool may_put_together(const Graph& graph, const PlannedKernel& kernel);

/// Looks for kernels that do nothing but copy, each element of their one result from some
/// temporary that nothing else reads. Where every such temporary is one box of the result, it
/// becomes a part of the result's memory in `layouts`, and the kernel is left with nothing to do.
void place_parts(Expansion& expansion, const Plan& plan,
                 const std::function<bool(Id)>& is_temporary, Layouts& layouts);

}  // namespace sinter::schedule
