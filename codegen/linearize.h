#pragma once
// Giving every value of a transformed kernel its place: which loops there are, what runs before, in
// and after each.

#include "emitter.h"
#include "linear.h"
#include "rebuild.h"

namespace sinter::codegen {

/// A serial range of which some trips are left out: it runs from `begin`, which is below its size,
/// to below `end`, which is above 0. Both depend on the parallel ranges; null: on nothing.
struct Limit {
    std::int64_t range;
    Ref begin, end;
};

struct LinearizeOptions {
    bool fma =
        false;  ///< sums of products may use fused multiply-adds (their order is free anyway)
    std::vector<Streamed> streamed = {};
    std::vector<std::int64_t> far = {};  ///< see Emitter::read_far
    bool spans = false;                  ///< see Emitter::read_spans
    bool squares = false;                ///< loads whose lanes lie apart come in squares
    std::vector<Limit> limits = {};
    bool teams = false;     ///< what is kept may be kept anew for each step of a reduction
    bool prefetch = false;  ///< the second pass over a row fetches the next one
};

/// The function for the stores of `sink`, whose ranges are Parallel, Serial or Vector (at most
/// one). `order` lists range numbers, outermost first, `parallel` the ranges that trips are
/// numbered by, whether or not the stores depend on them all.
///
/// Loops follow from the graph. Within the loops that are open, the work is a set of stores and
/// reductions; a reduction that all remaining work of the scope can share is computed there, before
/// what reads it. Work that depends on one another's results runs in successive passes; work of one
/// pass over the same range shares a loop. A value is computed in the outermost loop that it
/// depends on. The last trip of a ragged range is code of its own, so that masks cost nothing in
/// the others.
Function linearize(Arena& arena, Ref sink, std::span<const std::int64_t> order,
                   std::span<const Ref> parallel, const std::string& symbol,
                   const LinearizeOptions& options);

}  // namespace sinter::codegen
