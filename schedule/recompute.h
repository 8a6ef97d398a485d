#pragma once
// Large values that are computed row by row from statistics of their rows (the weights of
// attention, and their gradients) and summed along their rows as well as down their columns.

#include <cstdint>
#include <optional>

#include "profile.h"

namespace sinter::schedule {

struct RecomputeLimits {
    std::int64_t near_bytes;  ///< 0: nothing is recomputed
    bool always;              ///< however small the values are
};

/// Gives sums down the columns of such a value a copy of it that lies the other way round: computed
/// once more from the products that it begins with (short sums) and the statistics of its rows,
/// which alone are in memory. Then each of the two copies is made and used within the same rows,
/// and need not be in memory (chain.h), as FlashAttention does (Dao et al., 2022, algorithm 4).
/// Nothing where there is no such value.
std::optional<Graph> recompute_columns(const Graph& graph, const Profile& profile,
                                       const RecomputeLimits& limits);

}  // namespace sinter::schedule
