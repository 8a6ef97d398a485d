#pragma once
// Pooling over 1 to 3 spatial axes, the last ones of x. Sizes, padding and ceil_mode as in PyTorch.

#include <optional>

#include <sinter/tensor.h>

namespace sinter {

struct MaxPoolOptions {
    std::optional<PerAxis> stride = std::nullopt;  ///< the kernel's size where none is named
    PerAxis padding = 0;                           ///< at most half the kernel; never the largest
    PerAxis dilation = 1;
    bool ceil_mode = false;  ///< a last window may hang over the end
};
Tensor max_pool1d(const Arg& x, const PerAxis& kernel, const MaxPoolOptions& options = {});
Tensor max_pool2d(const Arg& x, const PerAxis& kernel, const MaxPoolOptions& options = {});
Tensor max_pool3d(const Arg& x, const PerAxis& kernel, const MaxPoolOptions& options = {});

struct AvgPoolOptions {
    std::optional<PerAxis> stride = std::nullopt;
    PerAxis padding = 0;
    bool ceil_mode = false;
    bool count_include_pad = true;  ///< padding counts as zeros, else not at all
    std::optional<std::int64_t> divisor = std::nullopt;  ///< divides by this instead of the count
};
Tensor avg_pool1d(const Arg& x, const PerAxis& kernel, const AvgPoolOptions& options = {});
Tensor avg_pool2d(const Arg& x, const PerAxis& kernel, const AvgPoolOptions& options = {});
Tensor avg_pool3d(const Arg& x, const PerAxis& kernel, const AvgPoolOptions& options = {});

/// Window i of an axis runs from floor(i n / out) to ceil((i + 1) n / out).
Tensor adaptive_avg_pool1d(const Arg& x, const PerAxis& out);
Tensor adaptive_avg_pool2d(const Arg& x, const PerAxis& out);
Tensor adaptive_avg_pool3d(const Arg& x, const PerAxis& out);
Tensor adaptive_max_pool1d(const Arg& x, const PerAxis& out);
Tensor adaptive_max_pool2d(const Arg& x, const PerAxis& out);
Tensor adaptive_max_pool3d(const Arg& x, const PerAxis& out);

}  // namespace sinter
