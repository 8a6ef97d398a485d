// Two Views as one: they are, if no coordinate carries (view_coordinates.cpp) and what the masks of
// the view below admit is a box. Each mask is two linear constraints on the indices of the top
// view; each constraint shrinks the box to the smallest one around what it admits, and the result
// is one View when that box satisfies all constraints.

#include <algorithm>

#include <sinter/ir/view.h>

#include "view_coordinates.h"

namespace sinter::ir {

namespace {

// The constraint sum(coefficients[k] * i[k]) >= bound over integers i.
struct AtLeast {
    std::vector<std::int64_t> coefficients;
    std::int64_t bound;

    std::int64_t largest(const std::vector<Interval>& box, std::size_t k) const {
        return coefficients[k] * (coefficients[k] > 0 ? box[k].hi - 1 : box[k].lo);
    }
    std::int64_t smallest(const std::vector<Interval>& box, std::size_t k) const {
        return coefficients[k] * (coefficients[k] > 0 ? box[k].lo : box[k].hi - 1);
    }
};

bool is_empty(const std::vector<Interval>& box) {
    return std::ranges::any_of(box, [](Interval i) { return i.size() <= 0; });
}

// Shrinks `box` to the smallest one around its points that satisfy the constraint; true if it
// changed.
bool tighten(std::vector<Interval>& box, const AtLeast& constraint) {
    std::int64_t most = 0;
    for (std::size_t k = 0; k < box.size(); ++k) most += constraint.largest(box, k);
    // A constraint without variables that fails admits nothing.
    if (most < constraint.bound) {
        const bool changed = !box.empty() && !is_empty(box);
        for (Interval& i : box) i = {0, 0};
        return changed;
    }
    bool changed = false;
    for (std::size_t k = 0; k < box.size(); ++k) {
        const std::int64_t a = constraint.coefficients[k];
        if (a == 0) continue;
        // a * i[k] must reach this even where all other terms are largest.
        const std::int64_t needed = constraint.bound - (most - constraint.largest(box, k));
        const Interval before = box[k];
        if (a > 0) {
            box[k].lo = std::max(box[k].lo, -floor_div(-needed, a));
        } else {
            box[k].hi = std::min(box[k].hi, floor_div(needed, a) + 1);
        }
        changed = changed || box[k] != before;
    }
    return changed;
}

bool holds_everywhere(const std::vector<Interval>& box, const AtLeast& constraint) {
    std::int64_t least = 0;
    for (std::size_t k = 0; k < box.size(); ++k) least += constraint.smallest(box, k);
    return least >= constraint.bound;
}

View nothing(const Shape& shape) {
    return View(shape, std::vector<std::int64_t>(shape.size(), 0), 0,
                std::vector<Interval>(shape.size()));
}

}  // namespace

std::optional<View> merge(const View& top, const View& below) {
    if (top.never_valid() || below.is_contiguous()) return top;
    if (below.never_valid())
        return top.rank() > 0 ? std::optional(nothing(top.shape())) : std::nullopt;
    const Coordinates c = unravel(top, below);
    if (c.carry) return std::nullopt;

    const std::size_t rank = top.rank();
    std::int64_t offset = c.offset;
    std::vector<std::int64_t> strides(rank, 0);
    std::vector<AtLeast> constraints;
    for (const Coordinate& axis : c.axes) {
        std::int64_t origin = axis.start;  // the coordinate at i = 0
        AtLeast low{axis.step, 0}, high{axis.step, 0};
        for (std::size_t k = 0; k < rank; ++k) {
            origin -= axis.step[k] * top.valid()[k].lo;
            strides[k] += axis.step[k] * axis.stride;
            high.coefficients[k] = -axis.step[k];
        }
        offset += origin * axis.stride;
        low.bound = axis.valid.lo - origin;
        high.bound = origin - (axis.valid.hi - 1);
        constraints.push_back(std::move(low));
        constraints.push_back(std::move(high));
    }

    std::vector<Interval> box = top.valid();
    for (bool changed = true; changed;) {
        changed = false;
        for (const AtLeast& constraint : constraints) {
            changed = tighten(box, constraint) || changed;
            if (is_empty(box)) return nothing(top.shape());
        }
    }
    for (const AtLeast& constraint : constraints) {
        if (!holds_everywhere(box, constraint)) return std::nullopt;
    }
    return View(top.shape(), std::move(strides), offset, std::move(box));
}

}  // namespace sinter::ir
