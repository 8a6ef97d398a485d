#include <algorithm>
#include <ostream>
#include <string>

#include <sinter/ir/error.h>
#include <sinter/ir/view.h>

#include "view_coordinates.h"

namespace sinter::ir {

namespace {

using Ints = std::span<const std::int64_t>;

std::string text(Ints values) {
    std::string out = "[";
    for (std::size_t i = 0; i < values.size(); ++i) {
        out += (i ? ", " : "") + std::to_string(values[i]);
    }
    return out + "]";
}

[[noreturn]] void fail(const char* op, const Shape& shape, const std::string& why) {
    throw ShapeError(std::string(op) + ": shape " + text(shape) + ": " + why);
}

void check_rank(const char* op, const Shape& shape, Ints values) {
    if (values.size() == shape.size()) return;
    fail(op, shape, "needs one value an axis, got " + text(values));
}

bool is_axis(std::int64_t axis, const Shape& shape) {
    return 0 <= axis && axis < static_cast<std::int64_t>(shape.size());
}

std::int64_t product(Ints shape) {
    std::int64_t n = 1;
    for (std::int64_t size : shape) n *= size;
    return n;
}

}  // namespace

ShapeTracker ShapeTracker::contiguous(Ints shape) { return ShapeTracker(View::contiguous(shape)); }

bool ShapeTracker::has_mask() const {
    return std::any_of(views_.begin(), views_.end(), [](const View& v) { return v.has_mask(); });
}

void ShapeTracker::settle() {
    while (views_.size() > 1) {
        std::optional<View> merged = merge(views_.back(), views_[views_.size() - 2]);
        if (!merged) break;
        views_.pop_back();
        views_.back() = *std::move(merged);
    }
    if (views_.back().never_valid()) views_.erase(views_.begin(), views_.end() - 1);
    // Only a short look: a deep stack keeps its fill even if no mask were left in it.
    if (views_.size() == 1 && !views_[0].has_mask()) fill_bits_ = 0;
}

void ShapeTracker::replace_top(View view) {
    views_.back() = std::move(view);
    settle();
}

void ShapeTracker::push(View view) {
    views_.push_back(std::move(view));
    settle();
}

ShapeTracker& ShapeTracker::reshape(Ints to) {
    if (std::ranges::equal(to, shape())) return *this;
    if (product(to) != product(shape())) {
        fail("reshape", shape(),
             "has " + std::to_string(product(shape())) + " elements, " + text(to) + " has " +
                 std::to_string(product(to)));
    }
    push(View::contiguous(to));
    return *this;
}

ShapeTracker& ShapeTracker::permute(Ints axes) {
    check_rank("permute", shape(), axes);
    std::vector<bool> seen(axes.size(), false);
    for (std::int64_t axis : axes) {
        if (!is_axis(axis, shape()) || seen[static_cast<std::size_t>(axis)]) {
            fail("permute", shape(), text(axes) + " does not name each axis once");
        }
        seen[static_cast<std::size_t>(axis)] = true;
    }
    replace_top(views_.back().permuted(axes));
    return *this;
}

ShapeTracker& ShapeTracker::expand(Ints to) {
    check_rank("expand", shape(), to);
    for (std::size_t d = 0; d < to.size(); ++d) {
        if (to[d] != shape()[d] && (shape()[d] != 1 || to[d] < 0)) {
            fail("expand", shape(), "does not expand to " + text(to) + "; only axes of size 1 do");
        }
    }
    replace_top(views_.back().expanded(to));
    return *this;
}

ShapeTracker& ShapeTracker::pad(Ints before, Ints after, std::int64_t fill_bits) {
    check_rank("pad", shape(), before);
    check_rank("pad", shape(), after);
    if (std::ranges::any_of(before, [](auto n) { return n < 0; }) ||
        std::ranges::any_of(after, [](auto n) { return n < 0; })) {
        fail("pad", shape(),
             "negative padding " + text(before) + ", " + text(after) + "; use shrink");
    }
    if (fill_bits != fill_bits_ && has_mask()) {
        throw InternalError("pad: a second fill in one ShapeTracker");
    }
    fill_bits_ = fill_bits;
    replace_top(views_.back().padded(before, after));
    return *this;
}

ShapeTracker& ShapeTracker::shrink(Ints begin, Ints end) {
    check_rank("shrink", shape(), begin);
    check_rank("shrink", shape(), end);
    for (std::size_t d = 0; d < begin.size(); ++d) {
        if (begin[d] < 0 || begin[d] > end[d] || end[d] > shape()[d]) {
            fail("shrink", shape(), "no elements from " + text(begin) + " to " + text(end));
        }
    }
    replace_top(views_.back().shrunk(begin, end));
    return *this;
}

ShapeTracker& ShapeTracker::flip(Ints axes) {
    for (std::int64_t axis : axes) {
        if (!is_axis(axis, shape())) fail("flip", shape(), "no axis " + std::to_string(axis));
    }
    replace_top(views_.back().flipped(axes));
    return *this;
}

ShapeTracker& ShapeTracker::stride(Ints step) {
    check_rank("stride", shape(), step);
    if (std::ranges::any_of(step, [](auto s) { return s <= 0; })) {
        fail("stride", shape(), "steps " + text(step) + " must be positive");
    }
    replace_top(views_.back().strided(step));
    return *this;
}

ShapeTracker& ShapeTracker::window(std::int64_t axis, std::int64_t size, std::int64_t step,
                                   std::int64_t dilation) {
    if (!is_axis(axis, shape()) || size < 1 || step < 1 || dilation < 1) {
        fail("window", shape(),
             "axis " + std::to_string(axis) + ", size " + std::to_string(size) + ", step " +
                 std::to_string(step) + ", dilation " + std::to_string(dilation) +
                 ": need an axis, and numbers above 0");
    }
    const std::size_t d = static_cast<std::size_t>(axis);
    const std::int64_t reach = dilation * (size - 1) + 1;
    if (reach > shape()[d]) {
        fail("window", shape(),
             "a window reaches over " + std::to_string(reach) + " elements of axis " +
                 std::to_string(axis));
    }
    Shape to = shape();
    std::vector<std::int64_t> strides = row_major_strides(to);
    to[d] = (to[d] - reach) / step + 1;
    to.push_back(size);
    strides.push_back(strides[d] * dilation);
    strides[d] *= step;
    push(View(std::move(to), std::move(strides), 0));
    return *this;
}

ShapeTracker& ShapeTracker::compose(const ShapeTracker& top) {
    if (top.has_mask()) {
        if (fill_bits_ != top.fill_bits_ && has_mask()) {
            throw InternalError("compose: a second fill in one ShapeTracker");
        }
        fill_bits_ = top.fill_bits_;
    }
    for (const View& view : top.views_) push(view);
    return *this;
}

ShapeTracker& ShapeTracker::apply(Ref node) {
    const Ints args = node->args();
    // Pad and Shrink keep pairs, one an axis.
    const auto every_second = [](Ints pairs, std::size_t first) {
        std::vector<std::int64_t> out;
        for (std::size_t i = first; i < pairs.size(); i += 2) out.push_back(pairs[i]);
        return out;
    };
    switch (node->op()) {
        case Op::Reshape:
            return reshape(args);
        case Op::Permute:
            return permute(args);
        case Op::Expand:
            return expand(args);
        case Op::Pad:
            return pad(every_second(args, 1), every_second(args, 2), args[0]);
        case Op::Shrink:
            return shrink(every_second(args, 0), every_second(args, 1));
        case Op::Flip:
            return flip(args);
        case Op::Stride:
            return stride(args);
        case Op::Window:
            return window(args[0], args[1], args[2], args[3]);
        default:
            throw InternalError("ShapeTracker: " + std::string(name(node->op())) +
                                " is no movement");
    }
}

Position ShapeTracker::at(Ints indices) const {
    std::vector<std::int64_t> at(indices.begin(), indices.end());
    for (std::size_t v = views_.size(); v-- > 0;) {
        const Position position = views_[v].at(at);
        if (!position.valid || v == 0) return position;
        const Shape& below = views_[v - 1].shape();
        std::int64_t rest = position.index;
        at.resize(below.size());
        for (std::size_t d = below.size(); d-- > 0;) {
            at[d] = rest % below[d];
            rest /= below[d];
        }
    }
    throw InternalError("ShapeTracker: no views");
}

std::vector<std::optional<std::int64_t>> ShapeTracker::real_strides() const {
    std::vector<std::optional<std::int64_t>> strides(shape().size());
    View top = views_.back();
    for (std::size_t v = views_.size() - 1; v-- > 0;) {
        if (top.never_valid() || views_[v].never_valid()) break;
        const Coordinates c = unravel(top, views_[v]);
        if (v > 0 && c.carry) return strides;
        std::vector<std::int64_t> through(top.rank(), 0);
        std::int64_t offset = c.offset;
        for (const Coordinate& axis : c.axes) {
            offset += axis.start * axis.stride;
            for (std::size_t k = 0; k < top.rank(); ++k) through[k] += axis.step[k] * axis.stride;
        }
        if (v == 0) {
            for (std::size_t k = 0; k < top.rank(); ++k) {
                const bool wraps = std::ranges::any_of(c.axes, [k](const Coordinate& axis) {
                    return axis.carries && axis.step[k] != 0;
                });
                if (!wraps) strides[k] = through[k];
            }
            return strides;
        }
        for (std::size_t k = 0; k < top.rank(); ++k) offset -= through[k] * top.valid()[k].lo;
        top = View(top.shape(), std::move(through), offset, top.valid());
    }
    for (std::size_t k = 0; k < top.rank(); ++k) strides[k] = top.strides()[k];
    return strides;
}

std::ostream& operator<<(std::ostream& os, const ShapeTracker& tracker) {
    os << "[";
    for (std::size_t v = 0; v < tracker.views().size(); ++v)
        os << (v ? ", " : "") << tracker.views()[v];
    return os << "]";
}

std::pair<Ref, ShapeTracker> track(Ref node) {
    std::vector<Ref> chain;
    Ref base = node;
    for (; is_movement(base->op()); base = base->src(0)) chain.push_back(base);
    ShapeTracker tracker = ShapeTracker::contiguous(base->shape());
    for (std::size_t i = chain.size(); i-- > 0;) {
        const Ref movement = chain[i];
        if (movement->is(Op::Pad) && movement->arg(0) != tracker.fill_bits() &&
            tracker.has_mask()) {
            base = movement->src(0);
            tracker = ShapeTracker::contiguous(base->shape());
        }
        tracker.apply(movement);
    }
    return {base, std::move(tracker)};
}

}  // namespace sinter::ir
