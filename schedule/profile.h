#pragma once
// What the planner knows of every node before it decides: bottom-up facts, one pass.

#include <vector>

#include "graph.h"

namespace sinter::schedule {

struct NodeFacts {
    bool stored = false;  ///< must be in memory: asked for, or a mark says so
    bool heavy =
        false;  ///< elementwise over a reduction of as many elements: nobody computes it twice
    bool contraction =
        false;  ///< a sum of products whose operands are read many times: matmul, convolution
    bool cast_of_memory = false;  ///< reading it is reading memory, converted at most
    float flops = 0;              ///< an element, down to memory and reductions
    float bytes = 0;              ///< read from memory an element, likewise
};

class Profile {
public:
    explicit Profile(const Graph& graph);
    const NodeFacts& operator[](Id n) const { return facts_[n]; }

private:
    std::vector<NodeFacts> facts_;
};

/// The reduction that elementwise ops of its size lead down to from `n` (possibly `n` itself), or
/// kNone.
Id reduction_below(const Graph& graph, Id n);

/// Values from memory, or that must be, which `n` goes through element by element (or its reduction
/// does): kernels that have one in common read it once if they are one kernel.
std::vector<Id> values_run_over(const Graph& graph, const Profile& profile, Id n);

}  // namespace sinter::schedule
