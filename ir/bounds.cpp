// Bounds of integer values and the ranges a kernel-level value depends on, derived once, when a
// node is made.

#include <algorithm>
#include <bit>
#include <limits>

#include <sinter/ir/kernel.h>
#include <sinter/ir/node.h>

namespace sinter::ir {
namespace {

__extension__ typedef __int128 Wide;

struct Bounds {
    Wide min, max;
};

Bounds whole(DType dt) { return {info(dt).min, info(dt).max}; }

Bounds of(Ref n) { return {n->vmin(), n->vmax()}; }

// What does not fit the dtype may wrap: then nothing is known.
Bounds fit(DType dt, Bounds b) {
    const Bounds all = whole(dt);
    return b.min < all.min || b.max > all.max ? all : b;
}

Wide floor_div(Wide a, Wide b) {
    const Wide q = a / b;
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
}

Bounds corners(Bounds a, Bounds b, Wide (*f)(Wide, Wide)) {
    const Wide v[] = {f(a.min, b.min), f(a.min, b.max), f(a.max, b.min), f(a.max, b.max)};
    return {*std::min_element(v, v + 4), *std::max_element(v, v + 4)};
}

// Booleans: certainly false [0,0], certainly true [1,1], else [0,1].
Bounds truth(bool always, bool never) { return {always ? 1 : 0, never ? 0 : 1}; }

Bounds comparison(Op op, Ref a, Ref b) {
    if (is_float(a->dtype())) return {0, 1};
    // u64 saturates, so that only bounds below the saturation point say anything.
    if (a->dtype() == u64 && (a->vmax() == info(u64).max || b->vmax() == info(u64).max))
        return {0, 1};
    const Bounds x = of(a), y = of(b);
    switch (op) {
        case Op::Lt:
            return truth(x.max < y.min, x.min >= y.max);
        case Op::Le:
            return truth(x.max <= y.min, x.min > y.max);
        case Op::Eq:
            return truth(a == b || (x.min == x.max && y.min == y.max && x.min == y.min),
                         x.max < y.min || x.min > y.max);
        default:
            return truth(x.max < y.min || x.min > y.max,
                         a == b || (x.min == x.max && y.min == y.max && x.min == y.min));
    }
}

Bounds bounds_of(Ref n) {
    const DType dt = n->dtype();
    const auto a = [&] { return of(n->src(0)); };
    const auto b = [&] { return of(n->src(1)); };
    switch (n->op()) {
        case Op::Const: {
            const std::int64_t v = n->arg(0);
            if (dt == u64 && v < 0) return whole(dt);
            return {v, v};
        }
        case Op::Variable:
            return {n->arg(1), n->arg(2)};
        case Op::Range:
            return {0, std::max<Wide>(0, of(n->src(0)).max - 1)};
        case Op::Nth:
            return n->arg(0) == 0 ? whole(dt) : of(n->src(0)->src(1));
        case Op::Check:
            return {0, n->arg(0) - (is_guarding(n) ? 0 : 1)};
        case Op::Add:
            return fit(dt, {a().min + b().min, a().max + b().max});
        case Op::Sub:
            return fit(dt, {a().min - b().max, a().max - b().min});
        case Op::Neg:
            return fit(dt, {-a().max, -a().min});
        case Op::Mul:
            return fit(dt, corners(a(), b(), [](Wide x, Wide y) { return x * y; }));
        case Op::IDiv:
            if (dt == u64 && n->src(0)->vmax() == info(u64).max) return whole(dt);
            if (b().min > 0) return fit(dt, corners(a(), b(), floor_div));
            return whole(dt);
        case Op::Mod:
            if (dt == u64 && n->src(0)->vmax() == info(u64).max) {
                if (b().min > 0 && b().max < info(u64).max) return {0, b().max - 1};
                return whole(dt);
            }
            if (b().min > 0) {
                if (a().min >= 0 && a().max < b().min) return a();
                return {0, a().min >= 0 ? std::min(a().max, b().max - 1) : b().max - 1};
            }
            return whole(dt);
        case Op::Min:
            return {std::min(a().min, b().min), std::min(a().max, b().max)};
        case Op::Max:
            return {std::max(a().min, b().min), std::max(a().max, b().max)};
        case Op::Abs:
            return fit(dt, {a().min >= 0 ? a().min : (a().max < 0 ? -a().max : 0),
                            std::max(a().max, -a().min)});
        case Op::Where: {
            const Bounds x = of(n->src(1)), y = of(n->src(2));
            if (n->src(0)->vmin() == 1) return x;
            if (n->src(0)->vmax() == 0) return y;
            return {std::min(x.min, y.min), std::max(x.max, y.max)};
        }
        case Op::Cast:
            if (!is_float(n->src(0)->dtype()) && dt != DType::Bool && n->src(0)->dtype() != u64)
                return fit(dt, a());
            if (dt == DType::Bool && !is_float(n->src(0)->dtype()) && n->src(0)->dtype() != u64)
                return truth(a().min > 0 || a().max < 0, a().min == 0 && a().max == 0);
            return whole(dt);
        case Op::Lt:
        case Op::Le:
        case Op::Eq:
        case Op::Ne:
            return comparison(n->op(), n->src(0), n->src(1));
        case Op::Not:
            if (dt == DType::Bool) return {1 - a().max, 1 - a().min};
            if (is_signed_int(dt)) return {-a().max - 1, -a().min - 1};
            return whole(dt);
        case Op::And:
            if (dt == DType::Bool) return {std::min(a().min, b().min), std::min(a().max, b().max)};
            if (dt != u64 && a().min >= 0 && b().min >= 0) return {0, std::min(a().max, b().max)};
            return whole(dt);
        case Op::Or:
            if (dt == DType::Bool) return {std::max(a().min, b().min), std::max(a().max, b().max)};
            return whole(dt);
        default:
            return whole(dt);
    }
}

std::uint64_t ranges_of(Ref n) {
    std::uint64_t mask = 0;
    for (Ref s : n->src()) mask |= s->ranges();
    switch (n->op()) {
        case Op::Range:
            return mask | range_bit(n);
        // The ranges these close are their values' own.
        case Op::Reduce:
        case Op::Accumulate:
        case Op::Order: {
            std::uint64_t open = 0, closed = 0;
            for (Ref v : n->src().first(value_count(n))) open |= v->ranges();
            for (Ref r : named_ranges(n)) closed |= range_bit(r);
            return open & ~closed;
        }
        default:
            return mask;
    }
}

}  // namespace

void Node::derive() {
    if (!is_float(dtype_) && dtype_ != DType::None) {
        const Bounds b = bounds_of(this);
        vmin_ = static_cast<std::int64_t>(b.min);
        vmax_ = static_cast<std::int64_t>(b.max);
    }
    ranges_ = ranges_of(this);
}

}  // namespace sinter::ir
