#pragma once
// Kernels that are convolutions of small windows.

#include <optional>
#include <vector>

#include "analysis.h"

namespace sinter::codegen {

/// The side of the windows.
inline constexpr std::int64_t kWindow = 3;

/// A sum over windows of 3 x 3 that move by one element: reduce over channels and the window's
/// elements of image * filter. Ranges by number.
struct Convolution {
    Ref reduce = nullptr, image = nullptr, filter = nullptr;
    std::int64_t rows = -1, columns = -1;  ///< of the result, that windows move along
    std::int64_t window_rows = -1, window_columns = -1;
    std::int64_t batch = -1, outputs = -1;  ///< its other ranges; batch: -1 if there is none
    std::vector<std::int64_t> inputs;       ///< channels that are summed over
    bool inputs_first = false;              ///< these lie side by side in the image
};

/// The one sum of a kernel if it is such a convolution of f32.
std::optional<Convolution> find_convolution(const Analysis& a);

/// How many elements there are of each, and tiles of `tile` by `tile`.
struct Extent {
    std::int64_t height, width, images, inputs, outputs;
    std::int64_t across, down;  ///< tiles
};
Extent extent_of(const Analysis& a, const Convolution& c, std::int64_t tile);

}  // namespace sinter::codegen
