// Row-major positions are linear in the coordinates, so the position of any index is the sum of the
// steps along each axis from the first valid element, digit by digit. A digit that leaves its axis
// carries into the next outer one, as in an addition by hand; unravelling is unique, so digits that
// never leave their axis are the coordinates.
//
// Example: x[4, 6] transposed is below = {shape [6, 4], strides [1, 6]}. Reshaped to [3, 2, 4], top
// has strides [8, 4, 1]; over [6, 4] the steps are (2, 0), (1, 0), (0, 1); digits reach 0..5 and
// 0..3: no carry. Reshaped to [8, 3] they are (0, 3), (0, 1), the last digit reaches 23 and
// carries, and as 1 != 4 * 6 the two axes of below do not join.

#include "view_coordinates.h"

namespace sinter::ir {

namespace {

// Joins axes d-1 and d, if they are one axis with one stride and one interval.
bool join(std::vector<Coordinate>& axes, std::int64_t& offset, std::size_t d) {
    const Coordinate& outer = axes[d - 1];
    const Coordinate& inner = axes[d];
    Coordinate joined;
    joined.size = outer.size * inner.size;
    if (outer.valid.size() == 1) {
        // The outer coordinate is fixed wherever anything is valid, so its stride moves into the
        // offset.
        const std::int64_t at = outer.valid.lo;
        joined.stride = inner.stride;
        joined.valid = {at * inner.size + inner.valid.lo, at * inner.size + inner.valid.hi};
        offset += at * outer.stride - at * inner.size * inner.stride;
    } else if (inner.size == 1) {
        joined.stride = outer.stride;
        joined.valid = outer.valid;
    } else if (inner.valid == Interval{0, inner.size} &&
               outer.stride == inner.stride * inner.size) {
        joined.stride = inner.stride;
        joined.valid = {outer.valid.lo * inner.size, outer.valid.hi * inner.size};
    } else {
        return false;
    }
    axes[d - 1] = std::move(joined);
    axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(d));
    return true;
}

// Sets start and step from the first valid element of `top` and its neighbours.
void measure(const View& top, std::vector<Coordinate>& axes) {
    std::int64_t corner = top.offset();
    for (std::size_t k = 0; k < top.rank(); ++k) corner += top.strides()[k] * top.valid()[k].lo;
    std::int64_t rest = corner;
    for (std::size_t d = axes.size(); d-- > 0;) {
        axes[d].start = rest % axes[d].size;
        axes[d].step.assign(top.rank(), 0);
        rest /= axes[d].size;
    }
    for (std::size_t k = 0; k < top.rank(); ++k) {
        if (top.strides()[k] == 0) continue;
        rest = corner + top.strides()[k];
        for (std::size_t d = axes.size(); d-- > 0;) {
            axes[d].step[k] = rest % axes[d].size - axes[d].start;
            rest /= axes[d].size;
        }
    }
}

}  // namespace

Coordinates unravel(const View& top, const View& below) {
    Coordinates c;
    c.offset = below.offset();
    for (std::size_t d = 0; d < below.rank(); ++d) {
        Coordinate axis;
        axis.size = below.shape()[d];
        axis.stride = below.strides()[d];
        axis.valid = below.valid()[d];
        c.axes.push_back(std::move(axis));
    }
    measure(top, c.axes);
    Interval carry{0, 1};
    for (std::size_t d = c.axes.size(); d-- > 0;) {
        Coordinate& axis = c.axes[d];
        axis.raw = {axis.start + carry.lo, axis.start + carry.hi};
        for (std::size_t k = 0; k < top.rank(); ++k) {
            const std::int64_t far = axis.step[k] * (top.valid()[k].size() - 1);
            (far < 0 ? axis.raw.lo : axis.raw.hi) += far;
        }
        // What leaves the outermost axis is nothing: positions lie within the view below.
        axis.carries = d > 0 && (axis.raw.lo < 0 || axis.raw.hi > axis.size);
        if (axis.carries && join(c.axes, c.offset, d)) {
            measure(top, c.axes);
            carry = {0, 1};
            c.carry = false;
            d = c.axes.size();
            continue;
        }
        c.carry = c.carry || axis.carries;
        carry = {0, 1};
        if (axis.carries) {
            carry = {floor_div(axis.raw.lo, axis.size), floor_div(axis.raw.hi - 1, axis.size) + 1};
        }
    }
    return c;
}

}  // namespace sinter::ir
