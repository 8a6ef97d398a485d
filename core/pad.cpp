#include <algorithm>

#include <sinter/movement.h>

#include "call.h"

namespace sinter {
namespace {

using ir::Shape;

UOp cut(const UOp& x, std::size_t axis, std::int64_t begin, std::int64_t end) {
    Shape from(x->rank(), 0), to = shape_of(x);
    from[axis] = begin;
    to[axis] = end;
    return ir::shrink(x, from, to);
}

// `count` elements that come before (or after) an axis of x in this mode.
UOp border(const UOp& x, std::size_t axis, std::int64_t count, bool before, PadMode mode) {
    const std::int64_t n = x->shape()[axis];
    const Shape flipped{static_cast<std::int64_t>(axis)};
    switch (mode) {
        case PadMode::Constant:
            break;
        case PadMode::Reflect:
            if (count > n - 1)
                fail<ShapeError>("reflects at most " + text(n - 1) + " elements of an axis of " +
                                 text(n) + ", asked for " + text(count));
            return ir::flip(
                before ? cut(x, axis, 1, count + 1) : cut(x, axis, n - 1 - count, n - 1), flipped);
        case PadMode::Replicate: {
            if (n == 0) fail<ShapeError>("has no element to replicate: " + text(x));
            Shape many = shape_of(x);
            many[axis] = count;
            return expand_to(before ? cut(x, axis, 0, 1) : cut(x, axis, n - 1, n), many);
        }
        case PadMode::Circular:
            if (count > n)
                fail<ShapeError>("wraps at most once: an axis of " + text(n) +
                                 " cannot be padded by " + text(count));
            return before ? cut(x, axis, n - count, n) : cut(x, axis, 0, count);
    }
    return x;
}

}  // namespace

Tensor pad(const Arg& x, const std::vector<std::int64_t>& widths, PadMode mode, double value) {
    Call call("pad", x);
    UOp node = call.node(x);
    if (widths.size() % 2 != 0 || widths.size() / 2 > node->rank())
        fail<ShapeError>("takes a pair of widths for each of at most " +
                         std::to_string(node->rank()) + " axes of " + text(node) + ", got " +
                         text(widths));
    // Negative widths crop first.
    ir::Shape begin(node->rank(), 0), end = shape_of(node), before(node->rank(), 0),
                                      after(node->rank(), 0);
    for (std::size_t i = 0; i < widths.size() / 2; ++i) {
        const std::size_t d = node->rank() - 1 - i;
        begin[d] = std::max<std::int64_t>(-widths[2 * i], 0);
        end[d] -= std::max<std::int64_t>(-widths[2 * i + 1], 0);
        before[d] = std::max<std::int64_t>(widths[2 * i], 0);
        after[d] = std::max<std::int64_t>(widths[2 * i + 1], 0);
        if (begin[d] > end[d])
            fail<ShapeError>("widths " + text(widths) + " crop more than there is of " +
                             text(node));
    }
    node = ir::shrink(node, begin, end);
    if (mode == PadMode::Constant) {
        ir::Shape whole = shape_of(node);
        for (std::size_t d = 0; d < whole.size(); ++d)
            if (__builtin_add_overflow(whole[d], before[d], &whole[d]) ||
                __builtin_add_overflow(whole[d], after[d], &whole[d]))
                fail<ShapeError>("sizes overflow: " + text(node) + " padded by " + text(widths));
        checked_numel(whole);
        return call.wrap(ir::pad(node, before, after, value));
    }
    for (std::size_t d = 0; d < before.size(); ++d) {
        std::vector<Tensor> parts;
        if (before[d] > 0) parts.push_back(call.wrap(border(node, d, before[d], true, mode)));
        parts.push_back(call.wrap(node));
        if (after[d] > 0) parts.push_back(call.wrap(border(node, d, after[d], false, mode)));
        if (parts.size() > 1) node = cat(parts, static_cast<std::int64_t>(d), x.where()).node();
    }
    return call.wrap(node);
}

}  // namespace sinter
