#pragma once
// Weights that seldom change are laid out for the products that read them, once.

#include <optional>
#include <vector>

#include "profile.h"

namespace sinter::schedule {

/// By node: whether it is made of steady inputs and constants alone.
std::vector<bool> steady_nodes(const Graph& graph, const std::vector<bool>& steady);

struct PackLimits {
    std::int64_t panel_columns;  ///< 0: no panels
    bool always;                 ///< however little there is to gain
};

/// Gives matrix products of few rows a copy of their steady operand, the one that their columns
/// run over, which lies as their kernels read it: the numbers of a sum side by side, or (of types
/// that instructions multiply several of at a time) in panels of columns. Nothing where
/// there is no such product.
std::optional<Graph> pack_operands(const Graph& graph, const Profile& profile,
                                   const std::vector<bool>& steady, const PackLimits& limits);

}  // namespace sinter::schedule
