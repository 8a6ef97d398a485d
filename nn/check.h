#pragma once
// What constructors of layers check, and a helper of their forward passes. Errors begin with the
// line and the name of the Called that there is.

#include <cstdint>
#include <string>

#include <sinter/called.h>
#include <sinter/ir/error.h>
#include <sinter/tensor.h>

namespace sinter::nn {

using detail::fail;

inline void require(bool holds, const std::string& what) {
    if (!holds) fail<ValueError>(what);
}

inline void require_positive(const char* what, std::int64_t value) {
    require(value > 0, std::string("the number of ") + what + " must be positive, got " +
                           std::to_string(value));
}

/// NaN is refused too.
inline void require_not_negative(const char* what, double value) {
    require(value >= 0,
            std::string(what) + " may not be negative or NaN, got " + std::to_string(value));
}

/// Statistics of 16-bit floats are carried in f32.
inline Tensor in_wide_float(const Tensor& x) {
    return is_float(x.dtype()) && size_of(x.dtype()) == 2 ? x.to(f32) : x;
}

}  // namespace sinter::nn
