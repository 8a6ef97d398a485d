#pragma once
// What the factors of summed products are, below the movement that spreads them.

#include <cstdint>
#include <span>
#include <vector>

#include "graph.h"

namespace sinter::schedule {

/// Which dimensions are longer than 1.
std::vector<std::int64_t> long_dims(std::span<const std::int64_t> shape);
std::vector<std::int64_t> long_sizes(std::span<const std::int64_t> shape);

bool is_sum(const Graph& graph, Id n);
/// By dimension: whether the reduction goes along it.
std::vector<bool> reduced_dims(const Graph& graph, Id reduce);

/// A value that a product takes through movement that neither joins nor parts its dimensions.
struct Factor {
    static constexpr std::int64_t kNoDim = -1;
    Id value;
    std::vector<Id> path;            ///< the nodes passed, from the product down
    std::vector<std::int64_t> dims;  ///< by dimension of the value: that of the product, or kNoDim

    /// By dimension of the value: whether `sum` goes along it.
    std::vector<bool> summed(const Graph& graph, Id sum) const;
};

/// One side of the product that `sum` adds up, as far down as there are such nodes; with `casts`,
/// below conversions as well.
Factor factor_of(const Graph& graph, Id sum, std::size_t side, bool casts);

/// The node n over another source.
Id copy_over(const Graph& old, Graph& made, Id n, Id source);

/// The product that `sum` adds up, with the factor on one side taken anew from `value`.
Id product_over(const Graph& old, Graph& made, std::span<const Id> now, Id sum, std::size_t side,
                const Factor& factor, Id value);

}  // namespace sinter::schedule
