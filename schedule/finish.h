#pragma once
// A lowered kernel made canonical: fewest ranges, operands and ranges numbered in order of
// appearance, so that equal kernels are the same node.

#include <string>
#include <vector>

#include "graph.h"

namespace sinter::schedule {

struct FinishedKernel {
    ir::Ref sink;
    std::vector<Id> memories;     ///< by Param slot: the node that is stored there
    std::vector<Scalar> scalars;  ///< by Variable slot
    std::string name;
    std::uint64_t flops, bytes;
    bool segmentable;  ///< one flat loop whose size is a Variable
};

FinishedKernel finish(const Graph& graph, ir::Arena& arena, std::vector<ir::Ref> stores);

/// `stores` are those of a finished kernel without near memory, changed.
FinishedKernel finish_again(const Graph& graph, ir::Arena& arena, const FinishedKernel& before,
                            std::vector<ir::Ref> stores);

}  // namespace sinter::schedule
