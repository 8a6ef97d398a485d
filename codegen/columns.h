#pragma once
// Chains in which a mask lets each row use only the columns up to its own, or from it on (a causal
// mask): what lies outside for a whole block of rows is neither computed nor read.

#include <optional>

#include "chain.h"
#include "linearize.h"

namespace sinter::codegen {

/// The columns of near values that row i of a chain uses: those below i + `bound`, or those from
/// there on (the same mask, where rows and columns have changed places).
struct Triangle {
    bool upper;  ///< from there on
    std::int64_t bound;
    bool operator==(const Triangle&) const = default;
};

/// Proves that of a chain in the kernel form, from a choice between a value and -infinity by
/// position: elsewhere maxima have -infinity, sums exp(-infinity) = 0 or products with that, and
/// what is stored is 0. A weight that the mask makes 0 then counts for nothing, whatever it would
/// have been multiplied with.
std::optional<Triangle> find_triangle(Ref sink);

/// For each step of the chain, after its transformations: where its loops over columns begin or
/// end. Nothing where the steps' blocks of columns do not fit together.
std::vector<std::vector<Limit>> column_limits(Arena& arena, const ChainCut& cut,
                                              const Triangle& triangle,
                                              std::span<const Ref> transformed);

}  // namespace sinter::codegen
