#pragma once
// What constructors of layers check, and a helper of their forward passes.

#include <cstdint>
#include <string>

#include <sinter/ir/error.h>
#include <sinter/tensor.h>

namespace sinter::nn {

inline void require_positive(const char* layer, const char* what, std::int64_t value) {
    if (value > 0) return;
    throw ValueError(std::string(layer) + ": the number of " + what + " must be positive, got " +
                     std::to_string(value));
}

/// Statistics of 16-bit floats are carried in f32.
inline Tensor in_wide_float(const Tensor& x) {
    return is_float(x.dtype()) && size_of(x.dtype()) == 2 ? x.to(f32) : x;
}

}  // namespace sinter::nn
