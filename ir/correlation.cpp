#include "correlation.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace sinter::ir {
namespace {

using Ints = std::vector<std::int64_t>;

constexpr std::int64_t kMostMoves = 16;  // between a sum and its gradient, or a window and a pad
constexpr std::int64_t kFewTerms = 4;    // sums of fewer are not worth a padded operand
constexpr double kMoreWork = 1.3;        // a fold does no more than its own, but under masks

Ints ints(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }

// Where an axis of more than one element is after a reshape that keeps it; none if it does not.
std::optional<std::size_t> kept_axis(std::span<const std::int64_t> from,
                                     std::span<const std::int64_t> to, std::size_t axis) {
    std::int64_t before = 1, passed = 1;
    for (std::size_t d = 0; d < axis; ++d) before *= from[d];
    for (std::size_t d = 0; d < to.size(); ++d) {
        if (passed == before && to[d] == from[axis]) return d;
        passed *= to[d];
    }
    return std::nullopt;
}

// What x is without being repeated along axes.
UOp unexpanded(UOp x) {
    while (x->is(Op::Expand)) x = UOp::share(x->src(0));
    return x;
}

// pad(x) along an axis, where windows and moves of padded memory are that of memory padded more.
UOp pad_below(const UOp& x, std::size_t axis, std::int64_t by) {
    struct Move {
        Ref node;
        std::size_t at;
    };
    std::vector<Move> moves;
    UOp base = x;
    std::size_t at = axis;
    while (static_cast<std::int64_t>(moves.size()) < kMostMoves) {
        const std::size_t here = at;
        if (base->is(Op::Permute)) {
            at = static_cast<std::size_t>(base->arg(at));
        } else if (base->is(Op::Reshape)) {
            const auto kept = kept_axis(base->shape(), base->src(0)->shape(), at);
            if (!kept) break;
            at = *kept;
        } else if (base->is(Op::Flip)) {
            if (std::ranges::count(base->args(), static_cast<std::int64_t>(at)) != 0) break;
        } else if (!base->is(Op::Window) || static_cast<std::size_t>(base->arg(0)) == at ||
                   at + 1 == base->rank()) {
            break;
        }
        moves.push_back({base.get(), here});
        base = UOp::share(base->src(0));
    }
    Ints before(base->rank()), after(base->rank());
    before[at] = after[at] = by;
    UOp padded;
    if (base->is(Op::Pad) && base->arg(0) == 0) {
        for (std::size_t d = 0; d < base->rank(); ++d) {
            const std::int64_t front = base->arg(1 + 2 * d);
            before[d] += front;
            after[d] += base->shape()[d] - base->src(0)->shape()[d] - front;
        }
        padded = pad(UOp::share(base->src(0)), before, after);
    } else {
        padded = pad(base, before, after);
    }
    while (!moves.empty()) {
        const Move m = moves.back();
        moves.pop_back();
        if (m.node->is(Op::Permute)) {
            padded = permute(padded, m.node->args());
        } else if (m.node->is(Op::Flip)) {
            padded = flip(padded, m.node->args());
        } else if (m.node->is(Op::Window)) {
            padded = window(padded, m.node->arg(0), m.node->arg(1), m.node->arg(2), m.node->arg(3));
        } else {
            Ints shape = ints(m.node->shape());
            shape[m.at] += 2 * by;
            padded = reshape(padded, shape);
        }
    }
    return padded;
}

// window(pad(a)) along `at`, its elements, the last one first, along `element`, where a has one.
UOp windows_along(const UOp& a, std::size_t at, std::size_t element, std::int64_t size,
                  std::int64_t dilation) {
    const std::size_t rank = a->rank();
    const UOp seen = window(pad_below(a, at, (size - 1) * dilation), static_cast<std::int64_t>(at),
                            size, 1, dilation);
    Ints order(rank + 1), shape = ints(a->shape());
    for (std::size_t d = 0; d <= rank; ++d) order[d] = static_cast<std::int64_t>(d);
    std::swap(order[element], order[rank]);
    shape[at] = seen->shape()[at];
    shape[element] = size;
    return reshape(permute(seen, order), shape);
}

// For each axis of g, the axes of the sum below, of more than one element, that it goes through,
// outer ones first; none if there is no such sum below reshapes and permutes, or an axis is a part
// of one.
struct Below {
    UOp sum;
    std::vector<std::vector<std::size_t>> axes;
};
std::optional<Below> sum_below(const UOp& g) {
    std::vector<Ref> moves;
    Ref at = g.get();
    while (at->is(Op::Reshape) || at->is(Op::Permute)) {
        if (static_cast<std::int64_t>(moves.size()) == kMostMoves) return std::nullopt;
        moves.push_back(at);
        at = at->src(0);
    }
    if (!at->is(Op::Reduce) || static_cast<ReduceKind>(at->arg(0)) != ReduceKind::Add ||
        !at->src(0)->is(Op::Mul) || at->src(0)->numel() < kFewTerms * at->numel())
        return std::nullopt;
    Below below{UOp::share(at), {}};
    for (std::size_t d = 0; d < at->rank(); ++d)
        below.axes.push_back(at->shape()[d] > 1 ? std::vector{d} : std::vector<std::size_t>{});
    while (!moves.empty()) {
        const Ref move = moves.back();
        moves.pop_back();
        std::vector<std::vector<std::size_t>> axes;
        if (move->is(Op::Permute)) {
            for (std::int64_t d : move->args())
                axes.push_back(below.axes[static_cast<std::size_t>(d)]);
        } else {
            std::vector<std::size_t> all;
            for (const auto& some : below.axes) all.insert(all.end(), some.begin(), some.end());
            auto next = all.begin();
            for (std::int64_t size : move->shape()) {
                axes.emplace_back();
                for (std::int64_t n = 1; n != size;) {
                    if (n > size || next == all.end()) return std::nullopt;
                    n *= at->shape()[*next];
                    axes.back().push_back(*next++);
                }
            }
        }
        below.axes = std::move(axes);
    }
    return below;
}

}  // namespace

UOp fold_as_correlation(const UOp& g, std::int64_t axis, std::int64_t n, std::int64_t dilation,
                        std::int64_t wanted) {
    const std::int64_t starts = g->shape()[static_cast<std::size_t>(axis)],
                       size = g->shape().back();
    if (starts < 2 || size < 2 || g->numel() == 0 ||
        static_cast<double>(wanted) > kMoreWork * static_cast<double>(starts))
        return {};
    const std::optional<Below> below = sum_below(g);
    if (!below || below->axes[static_cast<std::size_t>(axis)].size() != 1 ||
        below->axes.back().size() != 1)
        return {};
    const std::size_t at = below->axes[static_cast<std::size_t>(axis)][0],
                      element = below->axes.back()[0];
    const UOp product = UOp::share(below->sum->src(0));
    UOp a = unexpanded(UOp::share(product->src(0))), b = unexpanded(UOp::share(product->src(1)));
    const bool swapped = a->shape()[element] != 1 || b->shape()[at] != 1;
    if (swapped) std::swap(a, b);
    if (a->shape()[element] != 1 || b->shape()[at] != 1 || a->shape()[at] != starts ||
        b->shape()[element] != size)
        return {};

    a = windows_along(a, at, element, size, dilation);
    if (a->shape()[at] != n) return {};
    b = flip(b, Ints{static_cast<std::int64_t>(element)});
    if (swapped) std::swap(a, b);
    // The sum's axes as those of g follow one another, so that it lies in memory as g would; what
    // it goes through comes last.
    Ints order, full, closed;
    std::vector<bool> placed(product->rank());
    const auto place = [&](std::size_t d) {
        placed[d] = true;
        order.push_back(static_cast<std::int64_t>(d));
        full.push_back(d == at ? n : product->shape()[d]);
    };
    for (std::size_t d = 0; d + 1 < g->rank(); ++d)
        for (std::size_t part : below->axes[d]) place(part);
    const auto close = [&](std::size_t d) {
        if (placed[d]) return;
        if (product->shape()[d] > 1) closed.push_back(static_cast<std::int64_t>(order.size()));
        place(d);
    };
    close(static_cast<std::size_t>(below->sum->arg(1)));
    close(element);
    for (std::size_t d = 0; d < product->rank(); ++d) close(d);
    const UOp terms =
        binary(Op::Mul, expand(permute(a, order), full), expand(permute(b, order), full));
    Ints shape = ints(g->shape().first(g->rank() - 1));
    shape[static_cast<std::size_t>(axis)] = n;
    return reshape(reduce(ReduceKind::Add, terms, closed), shape);
}

}  // namespace sinter::ir
