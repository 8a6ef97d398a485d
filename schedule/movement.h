#pragma once
// Where a node reads its sources: index expressions by index expressions.

#include <span>
#include <vector>

#include "graph.h"
#include "index.h"

namespace sinter::schedule {

/// An element of a value: an index an axis, and the condition under which it is read at all.
struct Place {
    std::vector<ir::Ref> index;
    ir::Ref valid;
};

/// The place of source 0 that the movement node `n` reads for its element at `index`. `valid` gains
/// the condition under which that place exists (Pad); indices are only in range where it holds.
Place place_of_source(const Graph& graph, Id n, std::span<const ir::Ref> index, ir::Ref valid,
                      const Index& ix);

}  // namespace sinter::schedule
