#pragma once
// Convolutions with windows of 3 x 3 in fewer products than they have.

#include <cstdint>
#include <optional>
#include <vector>

#include "blocks.h"

namespace sinter::codegen {

/// How a convolution is computed tile by tile (Lavin and Gray, "Fast algorithms for convolutional
/// neural networks"): windows of 3 x 3 over tiles of `tile` x `tile` results take (tile + 2)²
/// products an element and pair of channels in place of 9 tile², each between a transformed part
/// of the image and a transformed filter.
struct WinogradSizes {
    std::int64_t rows = -1, columns = -1;  ///< the ranges that the windows move along
    std::int64_t tile = 4;                 ///< 2 or 4
    /// Where what is made of the image lies side by side: along its channels, else along tiles; and
    /// the products: along the result's channels, else along tiles.
    bool inputs_first = false, outputs_first = false;
    /// What a trip has of the result's ranges; those that are not named are whole. Parts divide
    /// their ranges, and those of `rows` are counted in tiles.
    std::vector<BlockPart> trips;
};

/// The sizes as a step of a schedule (StepKind::Winograd), and back.
Step step_of(const WinogradSizes& sizes);
WinogradSizes winograd_of(const Step& step);

/// Phases, then steps that follow one another for each trip.
struct WinogradCut {
    std::vector<Ref> phases;        ///< transforms that fill the launch's scratch
    std::vector<Ref> steps;         ///< of a trip: products, and what is made of them
    std::vector<Ref> trips;         ///< the ranges that run in parallel, outermost first
    std::int64_t shared_bytes = 0;  ///< of the launch's scratch
    std::int64_t near_bytes = 0;    ///< of the thread's, from its start
};

enum class WinogradWish : std::uint8_t { WhereItPays, WherePossible };

/// For a kernel around the sum of a convolution of f32, of stride 1; nothing where it is none. The
/// sizes depend on the kernel alone, never on the number of threads.
std::optional<WinogradSizes> choose_winograd(const Form& form, WinogradWish wish,
                                             std::int64_t cache_bytes);

/// Throws ValueError where there is no such sum, or the parts do not fit a thread's scratch.
WinogradCut cut_convolution(Form& form, const WinogradSizes& sizes);

}  // namespace sinter::codegen
