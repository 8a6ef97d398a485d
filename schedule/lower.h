#pragma once
// From a planned kernel to the kernel form.

#include <vector>

#include "layout.h"
#include "plan.h"

namespace sinter::schedule {

/// The stores of kernel `id`, in order. Params carry the number of the node whose memory they are
/// as their slot, Variables the position of the Bind; ranges are all loops. `finish` puts that in
/// order.
std::vector<ir::Ref> lower_kernel(Expansion& expansion, const Plan& plan, const Layouts& layouts,
                                  KernelId id);

}  // namespace sinter::schedule
