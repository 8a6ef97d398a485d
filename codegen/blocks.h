#pragma once
// Long sums of products go through their steps in blocks, so that what a block reads stays near.

#include <cstdint>
#include <optional>
#include <vector>

#include "analysis.h"
#include "transform.h"

namespace sinter::codegen {

/// A kernel cut into two steps that follow one another for each trip: one adds a block of the sums'
/// steps to what is kept near, and runs for every block in turn; the last uses the sums.
struct BlockCut {
    Ref accumulate, finish;       ///< the sinks of the two
    std::vector<Ref> trips;       ///< the ranges that run in parallel, outermost first
    std::vector<Ref> blocks;      ///< those that number the blocks of the sum, likewise
    std::int64_t near_bytes = 0;  ///< of the thread's scratch, from its start
};

/// Whether a reduction is a sum of fixed sizes over so many operands or more, of which each of the
/// kernel's stores uses one element.
bool may_be_cut(const Analysis& a, const Reducing& r, std::size_t operands = 2);

/// The one sum of products of a kernel that may be cut, of f32 or f64; null if there is none.
const Reducing* sum_to_cut(const Analysis& a);

/// The sums of a kernel if there are no reductions but these and they may be cut together: sums of
/// f32 or f64 over the same ranges, none of which reads another. None otherwise.
std::vector<const Reducing*> sums_to_cut(const Analysis& a);

/// How much of a range a trip or a block has.
struct BlockPart {
    std::int64_t range, size;
};
/// Trips that such parts make, the last of a range perhaps with less.
std::int64_t trips_of(const Analysis& a, std::span<const BlockPart> parts);

/// Parts as the operands of a step; taking them leaves those that follow.
void append_parts(Step& step, std::span<const BlockPart> parts);
std::vector<BlockPart> take_parts(std::span<const std::int64_t>& operands);

struct BlockSizes {
    std::vector<BlockPart> trips;   ///< ranges of the result; those that are not named are whole
    std::vector<BlockPart> blocks;  ///< ranges of the sum, likewise
    std::int64_t columns = -1;      ///< the range of the result along which sums lie side by side
};

/// The sizes as a step of a schedule (StepKind::Blocks), and back.
Step step_of(const BlockSizes& sizes);
BlockSizes sizes_of(const Step& step);

/// For a kernel around one long sum of products whose operands are each used by many elements of
/// the result (Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"); nothing
/// where the sum is short, or the result small. The blocks depend on the sizes alone, never on the
/// number of threads, so that results do not either.
enum class BlockWish : std::uint8_t {
    WhereItPays,
    WherePossible,  ///< shorter sums as well
    Tiny,           ///< sums of any length, into blocks of a few steps, for tests
};
std::optional<BlockSizes> choose_blocks(const Form& form, BlockWish wish, std::int64_t cache_bytes);

/// Of one sum or several alike. Throws ValueError where there is none, or its parts do not fit a
/// thread's scratch.
BlockCut cut_sums(Form& form, const BlockSizes& sizes);

/// The sum of a block's steps and of those before it, which memory has at this index: nothing for
/// the first block.
Ref add_to_block_sum(Arena& a, std::span<const Ref> blocks, Ref memory, Ref index, Ref block_sum);

/// A kernel whose sums are computed in chunks of their steps, and a kernel that adds those up and
/// does the rest. The chunks pass through the launch's scratch.
struct ChunkedSums {
    Ref parts, merged;
    std::int64_t shared_bytes = 0;
};

/// Chunks for one long sum of products of which an operand is seen through windows (the gradient of
/// a convolution's weight), where its results are too few to keep threads busy; as with the blocks
/// above, by the sizes alone. With `always`, wherever the sum divides.
std::optional<BlockPart> choose_chunks(const Form& form, bool always, std::int64_t cache_bytes);

/// Of one sum or several alike; the last chunk may be shorter. Throws ValueError where they do not
/// have this range, or it is no longer than a chunk.
ChunkedSums cut_into_sums(Form& form, const BlockPart& chunk);

}  // namespace sinter::codegen
