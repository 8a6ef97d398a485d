#pragma once
// Sums of products by an instruction that multiplies whole tiles: AMX has registers of 16 rows of
// 64 bytes, and multiplies two of them in the time of a few vector instructions.

#include <cstdint>
#include <optional>
#include <vector>

#include <sinter/codegen/codegen.h>

#include "blocks.h"
#include "linear.h"

namespace sinter::codegen {

/// A kernel around a sum of words' dot products (dots.h), cut into steps that follow one another
/// for each trip. The first three run for every block of the sum in turn: words of the result's
/// rows, and of its columns, are copied near; then their products are added to sums, which are near
/// as well. The last uses the sums.
struct TileCut {
    Ref rows, columns, finish;    ///< sinks
    TileProduct product;          ///< between them
    std::vector<Ref> trips;       ///< the ranges that run in parallel, outermost first
    std::vector<Ref> blocks;      ///< those that number the blocks of the sum, likewise
    std::int64_t near_bytes = 0;  ///< of the thread's scratch, from its start
};

enum class TileWish : std::uint8_t { WhereItPays, WherePossible };

/// The parts of a trip and of a block; nothing where the target has no such tiles, where the kernel
/// is not one sum of words, or where vectors are as fast. By the sizes alone, never the number of
/// threads.
std::optional<BlockSizes> choose_tiles(const Form& form, const Target& target, TileWish wish);

/// Throws ValueError where there is no such sum, its parts do not fit a thread's scratch, or blocks
/// do not divide it.
TileCut cut_into_tiles(Form& form, const BlockSizes& sizes, const Target& target);

/// An estimate of what a trip of it takes on one core.
double nanoseconds_of(const TileProduct& product);

/// The sizes as a step of a schedule (StepKind::Contract), and back.
Step contract_step(const BlockSizes& sizes);
BlockSizes contract_sizes(const Step& step);

}  // namespace sinter::codegen
