#pragma once
// Kernels that write over memory of which they change a part: a row of a cache, say. They go
// through that part alone.

#include <optional>
#include <span>
#include <utility>

#include "finish.h"

namespace sinter::schedule {

/// The kernel without the trips of its loops in which all of its stores put back what is there:
/// each pair of `in_place` is a result and the memory that it takes. Nothing if there are none, or
/// the trips that count do not follow one another in any loop.
std::optional<FinishedKernel> without_unchanged(const Graph& graph, ir::Arena& arena,
                                                const FinishedKernel& kernel,
                                                std::span<const std::pair<Id, Id>> in_place);

}  // namespace sinter::schedule
