#pragma once
// Convolutions in fewer products than they have.

#include <cstdint>
#include <optional>
#include <vector>

#include "blocks.h"

namespace sinter::codegen {

/// How a convolution is computed tile by tile (Lavin and Gray, "Fast algorithms for convolutional
/// neural networks"): windows of `window` x `window` over tiles of `tile` x `tile` results take
/// (tile + window - 1)² products a pair of channels in place of tile² window², each between a
/// transformed part of the image and a transformed filter. Larger windows, as those of the gradient
/// of a filter, are made of several, which are added up before they are transformed back.
struct WinogradSizes {
    std::int64_t rows = -1, columns = -1;  ///< the ranges that the windows move along
    std::int64_t tile = 4, window = 3;     ///< 2 or more, and together 5, 7 or 9
    /// Where what is made of the image lies side by side: along its channels, else along tiles; and
    /// the products: along the result's channels, else along tiles.
    bool inputs_first = false, outputs_first = false;
    /// What a trip has of the result's ranges, and then a block of the sum's; those that are not
    /// named are whole. Parts divide their ranges; those of `rows` are counted in tiles, and those
    /// of windows in pieces of them.
    std::vector<BlockPart> trips, blocks;
};

/// The sizes as a step of a schedule (StepKind::Winograd), and back; the operand that its parts
/// begin at.
inline constexpr std::size_t kWinogradParts = 6;
Step step_of(const WinogradSizes& sizes);
WinogradSizes winograd_of(const Step& step);

/// Phases, then steps that follow one another for each trip.
struct WinogradCut {
    struct Phase {
        Ref sink;
        std::vector<Ref> trips;  ///< the ranges that run in parallel, outermost first
    };
    std::vector<Phase> phases;      ///< transforms that fill the launch's scratch
    std::vector<Ref> block_steps;   ///< of a trip's block, which add to the products so far
    std::vector<Ref> steps;         ///< of a trip: products, and what is made of them
    std::vector<Ref> trips;         ///< the ranges that run in parallel, outermost first
    std::vector<Ref> blocks;        ///< those that number the blocks of the sum, likewise
    std::int64_t shared_bytes = 0;  ///< of the launch's scratch
    std::int64_t near_bytes = 0;    ///< of the thread's, from its start
};

enum class WinogradWish : std::uint8_t { WhereItPays, WherePossible };

/// For a kernel around the sum of a convolution of f32, of stride 1; nothing where it is none. The
/// sizes depend on the kernel alone, never on the number of threads.
std::optional<WinogradSizes> choose_winograd(const Form& form, WinogradWish wish,
                                             std::int64_t cache_bytes);
/// Chunks of such a sum, to be added up after, where its trips would be too few to keep threads
/// busy.
std::optional<BlockPart> choose_winograd_chunks(const Form& form, WinogradWish wish,
                                                std::int64_t cache_bytes);

/// Throws ValueError where there is no such sum, or the parts do not fit a thread's scratch.
WinogradCut cut_convolution(Form& form, const WinogradSizes& sizes);

}  // namespace sinter::codegen
