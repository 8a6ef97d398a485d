#pragma once
// Kernels that hand a large value to one another a few rows at a time become one kernel, which
// keeps those rows near (docs/kernels.md): the scores of attention are never in memory as a whole.

#include <functional>
#include <vector>

#include "finish.h"
#include "plan.h"

namespace sinter::schedule {

struct Chains {
    std::vector<FinishedKernel> kernels;
    std::vector<std::uint32_t> of;  ///< by number of the kernel before: its place among `kernels`
};

struct ChainLimits {
    std::int64_t near_bytes;
    bool always;  ///< whether or not it pays
};

/// Joins kernels where the values between them are temporaries that only they touch, the rows of
/// those are written and read by the same rows of all, enough rows fit near, and what all rows read
/// fits beside them. In a joined kernel such values are Params of near slots (ir/kernel.h), indexed
/// as they would be in memory; stores stand in the order in which they run, row block by row block,
/// those of one kernel side by side. Kernels leave with those that need a result before the one
/// that makes it. `kernels` are those of the plan, in its order.
Chains chain_kernels(const Graph& graph, ir::Arena& arena, const Plan& plan,
                     std::vector<FinishedKernel> kernels,
                     const std::function<bool(Id)>& is_temporary, const ChainLimits& limits);

}  // namespace sinter::schedule
