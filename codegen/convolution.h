#pragma once
// Kernels that are convolutions.

#include <optional>
#include <vector>

#include "analysis.h"

namespace sinter::codegen {

/// A sum over windows that move by one element: reduce over channels and the window's elements of
/// image * filter. The gradient of such a convolution's filter is one as well, whose windows are as
/// large as the image and whose result is small. Ranges by number.
struct Convolution {
    Ref reduce = nullptr, image = nullptr, filter = nullptr;
    std::int64_t rows = -1, columns = -1;  ///< of the result, that windows move along
    std::int64_t window_rows = -1, window_columns = -1;
    std::int64_t batch = -1;           ///< of the image alone; -1 if there is none
    std::int64_t outputs = -1;         ///< of the filter alone
    std::vector<std::int64_t> groups;  ///< other ranges of the result: of both
    std::vector<std::int64_t> inputs;  ///< channels that are summed over
    bool inputs_first = false;         ///< these lie side by side in the image
};

/// The one sum of a kernel if it is such a convolution of f32.
std::optional<Convolution> find_convolution(const Analysis& a);

/// How many elements there are of each.
struct Extent {
    std::int64_t height, width;  ///< of the result
    std::int64_t window_height, window_width;
    std::int64_t images, inputs, outputs, groups;
};
Extent extent_of(const Analysis& a, const Convolution& c);

}  // namespace sinter::codegen
