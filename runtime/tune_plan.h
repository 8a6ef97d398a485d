#pragma once
// BEAM, for the kernels of a plan.

#include <span>
#include <vector>

#include "plan.h"

namespace sinter::runtime {

/// Gives the kernels that have no schedule yet the one that the tuning database has for them; with
/// BEAM above 1 those that it lacks are measured first, and kept there. `binds` are what the graph
/// binds now.
void tune(const Plan& plan, std::span<KernelRequest> requests,
          const std::vector<std::int64_t>& binds, DeviceId device);

}  // namespace sinter::runtime
