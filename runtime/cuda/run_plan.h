#pragma once
// Running a plan on the GPU.

#include <memory>
#include <span>
#include <vector>

#include "plan.h"

namespace sinter::runtime::cuda {

/// As runtime::execute, for a plan made for the GPU. Returns when everything has been launched,
/// unless an index has to be checked.
std::vector<std::shared_ptr<Memory>> execute(const Plan& plan,
                                             std::span<const std::shared_ptr<Memory>> inputs,
                                             std::span<const std::int64_t> binds);

/// As runtime::time_runs, of a plan made for the GPU.
double time_runs(const Plan& plan, std::span<const std::shared_ptr<Memory>> inputs,
                 std::span<const std::int64_t> binds, int repeats);

}  // namespace sinter::runtime::cuda
