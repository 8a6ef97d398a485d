// Views as index arithmetic of a kernel. Expressions come out as small as the bounds of their parts
// allow; those with divisions go through the simplifier.

#include <sinter/ir/simplify.h>
#include <sinter/ir/view.h>

#include "view_coordinates.h"

namespace sinter::ir {

namespace {

class Builder {
public:
    explicit Builder(Arena& arena) : arena_(arena) {}

    Ref index(std::int64_t value) { return arena_.index(value); }
    Ref scaled(Ref x, std::int64_t by) {
        if (by == 0 || is_constant(x)) return index(x->vmin() * by);
        return by == 1 ? x : arena_.mul(x, index(by));
    }
    Ref sum(Ref a, Ref b) {
        if (is_constant(a) && is_constant(b)) return index(a->vmin() + b->vmin());
        if (is_constant(a)) std::swap(a, b);
        return is_constant(b) && b->vmin() == 0 ? a : arena_.add(a, b);
    }
    Ref quotient(Ref x, std::int64_t by) {
        const std::int64_t least = floor_div(x->vmin(), by);
        if (least == floor_div(x->vmax(), by)) return index(least);
        return by == 1 ? x : arena_.idiv(x, index(by));
    }
    Ref remainder(Ref x, std::int64_t by) {
        const std::int64_t turns = floor_div(x->vmin(), by);
        if (turns == floor_div(x->vmax(), by)) return sum(x, index(-turns * by));
        return arena_.mod(x, index(by));
    }
    Ref within(Ref x, Interval bounds) {
        Ref valid = arena_.truth(true);
        if (x->vmin() < bounds.lo) valid = both(valid, arena_.le(index(bounds.lo), x));
        if (x->vmax() >= bounds.hi) valid = both(valid, arena_.lt(x, index(bounds.hi)));
        return valid;
    }
    Ref both(Ref a, Ref b) {
        const Ref yes = arena_.truth(true);
        if (a == yes) return b;
        return b == yes || a == b ? a : arena_.land(a, b);
    }

private:
    static bool is_constant(Ref x) { return x->is(Op::Const); }
    Arena& arena_;
};

}  // namespace

ShapeTracker::Index ShapeTracker::to_index(Arena& arena, std::span<const Ref> indices) const {
    Builder build(arena);
    for (const View& view : views_) {
        if (view.never_valid()) return {build.index(0), arena.truth(false)};
    }
    Ref valid = arena.truth(true);
    const auto mask = [&](Ref index, Interval bounds, std::int64_t size) {
        if (bounds == Interval{0, size}) return;
        valid = build.both(valid, build.within(index, bounds));
    };
    bool divides = false;
    View over = views_.back();
    std::vector<Ref> at(indices.begin(), indices.end());
    for (std::size_t k = 0; k < at.size(); ++k) mask(at[k], over.valid()[k], over.shape()[k]);

    // Each turn goes one view down: from indices `at` of `over` to coordinates, which are the next
    // turn's indices.
    for (std::size_t v = views_.size() - 1; v-- > 0;) {
        const Coordinates c = unravel(over, views_[v]);
        divides = divides || c.carry;
        std::vector<Ref> coordinates(c.axes.size());
        Shape shape(c.axes.size());
        std::vector<std::int64_t> strides(c.axes.size());
        std::vector<Interval> bounds(c.axes.size());
        Ref carry = build.index(0);
        for (std::size_t d = c.axes.size(); d-- > 0;) {
            const Coordinate& axis = c.axes[d];
            Ref raw = carry;
            std::int64_t origin = axis.start;
            for (std::size_t k = 0; k < at.size(); ++k) {
                raw = build.sum(raw, build.scaled(at[k], axis.step[k]));
                origin -= axis.step[k] * over.valid()[k].lo;
            }
            raw = build.sum(raw, build.index(origin));
            coordinates[d] = axis.carries ? build.remainder(raw, axis.size) : raw;
            carry = axis.carries ? build.quotient(raw, axis.size) : build.index(0);
            shape[d] = axis.size;
            strides[d] = axis.stride;
            bounds[d] = axis.valid;
            mask(coordinates[d], bounds[d], shape[d]);
        }
        at = std::move(coordinates);
        over = View(std::move(shape), std::move(strides), c.offset, std::move(bounds));
    }

    Ref position = build.index(0);
    for (std::size_t k = 0; k < at.size(); ++k) {
        position = build.sum(position, build.scaled(at[k], over.strides()[k]));
    }
    position = build.sum(position, build.index(over.offset()));
    if (!divides) return {position, valid};
    // Where the value is not valid the position means nothing.
    valid = simplify(arena, valid);
    return {simplify_given(arena, position, valid), valid};
}

}  // namespace sinter::ir
