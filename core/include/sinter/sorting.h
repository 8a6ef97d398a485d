#pragma once
// Order along an axis. NaN counts as larger than every number, -0 equals 0, and equal elements keep
// their order (every sort is stable). Positions are i64. Gradients flow through the values.

#include <cstdint>

#include <sinter/tensor.h>

namespace sinter {

/// Elements, and where along the axis they came from.
struct Sorted {
    Tensor values, indices;
};

Sorted sort(const Arg& x, std::int64_t axis = -1, bool descending = false);
/// The positions alone.
Tensor argsort(const Arg& x, std::int64_t axis = -1, bool descending = false);
/// The k largest (smallest) elements, the most extreme first; the axis has size k then. ValueError
/// unless 0 <= k <= size.
Sorted topk(const Arg& x, std::int64_t k, std::int64_t axis = -1, bool largest = true);
/// The k-th smallest, k from 1 (ValueError outside 1 to size).
Sorted kthvalue(const Arg& x, std::int64_t k, std::int64_t axis = -1, bool keepdim = false);
/// The lower one of the two in the middle of an even number; a NaN if there is one. Of nothing:
/// ValueError.
Tensor median(const Arg& x);
Sorted median(const Arg& x, std::int64_t axis, bool keepdim = false);

}  // namespace sinter
