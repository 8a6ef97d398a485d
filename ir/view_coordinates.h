#pragma once
// Positions of one view unravelled over the axes of the view below it (view_coordinates.cpp).

#include <cstdint>
#include <vector>

#include <sinter/ir/affine.h>
#include <sinter/ir/view.h>

namespace sinter::ir {

/// One axis of the view below, with what of it the position reached is:
///
///     raw = start + sum_k step[k] * (i[k] - lo[k]) + carry of the next inner axis
///     coordinate = raw mod size, carry = raw div size      (floored; where `carries` is false: raw
///     and 0)
///
/// for indices i of the top view that are valid there, lo being the lower ends of its valid
/// intervals.
struct Coordinate {
    std::int64_t size = 0, stride = 0;
    Interval valid;
    std::int64_t start = 0;
    std::vector<std::int64_t> step;
    Interval raw;
    bool carries = false;
};

struct Coordinates {
    std::vector<Coordinate> axes;
    std::int64_t offset = 0;  ///< memory position = offset + sum(coordinate * stride)
    bool carry = false;       ///< any axis carries
};

/// Neither view may be never_valid(). Axes of `below` are joined where a carry would go from one
/// into the other and the two are one axis with one stride.
Coordinates unravel(const View& top, const View& below);

}  // namespace sinter::ir
