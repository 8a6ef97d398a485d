#pragma once
// Kernels with near memory (ir/kernel.h): a block of rows goes through all of their steps before
// the next one starts.

#include <optional>
#include <vector>

#include "phases.h"
#include "transform.h"

namespace sinter::codegen {

/// A kernel cut into the steps that a block of rows goes through; each is scheduled on its own.
struct ChainCut {
    std::vector<Ref> sinks;       ///< of the steps, in order; they share no ranges but the rows
    std::vector<Ref> trips;       ///< the ranges that run in parallel, outermost first
    std::int64_t near_bytes = 0;  ///< of the thread's scratch, from its start
    Ref block_of_rows = nullptr;  ///< of the trips: which block; null if there is one alone
    std::int64_t rows = 0;        ///< of a block
    std::int64_t columns = 0;     ///< elements of a row of a near value, if they all have as many
};

bool has_near_memory(Ref sink);

/// A load from near memory, or a store to it.
inline bool is_near_access(Ref n) {
    return (n->is(Op::Load) || n->is(Op::Store)) && ir::is_near(n->src(0));
}

/// The stores of a kernel with near memory, step by step: those of one step share ranges beside
/// `rows`, which are those of all stores.
std::vector<std::vector<Ref>> chain_steps(Ref sink, std::uint64_t rows);

/// Splits the innermost rows into blocks of which the near values fit the second-level cache beside
/// what they are made from (or of `rows` rows, if that is given), and lets near memory hold one
/// block. Throws ValueError where so many do not fit a thread's scratch.
ChainCut cut_chain(Form& form, std::int64_t cache_bytes, std::optional<std::int64_t> rows = {});

/// The steps as phases of a launch, with near memory in the launch's scratch, where each value is
/// whole: for machines whose near memory is too small for the rows of several steps.
Phases chain_as_phases(Form& form);

}  // namespace sinter::codegen
