#pragma once
// Products.

#include <span>
#include <string_view>

#include <sinter/tensor.h>

namespace sinter {

/// As PyTorch: vectors count as a row (left) or a column (right) whose axis is dropped again,
/// leading axes broadcast. 16-bit floats are multiplied and summed in f32 and rounded once;
/// integers wrap in their own dtype.
Tensor matmul(const Arg& a, const Arg& b);
/// Of two vectors.
Tensor dot(const Arg& a, const Arg& b);
/// [n] and [m] to [n, m].
Tensor outer(const Arg& a, const Arg& b);

}  // namespace sinter
