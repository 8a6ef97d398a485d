// Reductions, running reductions and sums of windows: each is carried wide (element.h) and rounded
// once at the end.

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "ref/combine.h"
#include "ref/functions.h"
#include "ref/spread.h"
#include "ref/strided.h"

namespace sinter::runtime::ref::eval {
namespace {

/// Whether terms of a sum are products, perhaps summed before, or where a mask holds.
bool sums_products(ir::Ref node) {
    const auto passes = [](ir::Ref n) {
        return ir::is_movement(n->op()) || n->is(ir::Op::Cast) || n->is(ir::Op::Detach) ||
               n->is(ir::Op::Reduce) || n->is(ir::Op::Fold);
    };
    std::vector<ir::Ref> stack{node->src(0)};
    for (int visits = 0; !stack.empty() && visits < kMostVisits; ++visits) {
        const ir::Ref n = stack.back();
        stack.pop_back();
        if (n->is(ir::Op::Mul)) return true;
        if (passes(n)) stack.push_back(n->src(0));
        if (n->is(ir::Op::Where))
            for (const ir::Ref side : n->src().subspan(1)) stack.push_back(side);
    }
    return false;
}

/// What every element of the result is made of, for `Noise`.
template <class E>
std::vector<Terms<E>> terms_of(ir::Ref node, const E* x, const Track& into) {
    const ir::Ref from = node->src(0);
    std::vector<Terms<E>> terms(static_cast<std::size_t>(node->numel()));
    for_each_row<2>(from->shape(), {into, Track{0, dense_strides(from->shape())}},
                    [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
                        for (std::int64_t i = 0; i < n; ++i)
                            terms[static_cast<std::size_t>(at[0] + i * step[0])].add(
                                load(x[at[1] + i * step[1]]));
                    });
    return terms;
}

/// Combines every element of the source into the element of the result that `into` walks over at
/// the same time.
template <class E, ir::ReduceKind K>
Value accumulate(ir::Ref node, const Value& source, const Track& into) {
    const ir::Ref from = node->src(0);
    const auto count = static_cast<std::size_t>(node->numel());
    // Not a vector<bool>, whose elements are no bools.
    const auto carry = std::make_unique<Carry<E>[]>(count);
    std::fill_n(carry.get(), count, identity<E, K>());
    const E* x = source.as<E>();
    for_each_row<2>(from->shape(), {into, Track{0, dense_strides(from->shape())}},
                    [&](const Offsets<2>& at, const Offsets<2>& step, std::int64_t n) {
                        for (std::int64_t i = 0; i < n; ++i) {
                            Carry<E>& c = carry[static_cast<std::size_t>(at[0] + i * step[0])];
                            c = combine<K>(c, static_cast<Carry<E>>(load(x[at[1] + i * step[1]])));
                        }
                    });
    if constexpr (is_float_element<E>) {
        if (const Noise* noise = Noise::active()) {
            const std::vector<Terms<E>> terms = terms_of<E>(node, x, into);
            const bool products = sums_products(node);
            for (std::size_t i = 0; i < count; ++i)
                carry[i] = blur_carry<E, K>(*noise, carry[i], terms[i],
                                            static_cast<std::int64_t>(i), products);
        }
    }
    Value out = allocate_for(node);
    E* to = out.fill<E>();
    for (std::size_t i = 0; i < count; ++i) to[i] = round_carry<E>(carry[i]);
    return out;
}

Value accumulate(ir::Ref node, const Value& source, ir::ReduceKind kind, const Track& into) {
    return with_combine(node, kind, [&]<class E, ir::ReduceKind K>() {
        return accumulate<E, K>(node, source, into);
    });
}

/// Elements before, along and after one axis.
struct Lines {
    Lines(std::span<const std::int64_t> shape, std::int64_t along) {
        const auto axis = static_cast<std::size_t>(along);
        for (std::size_t d = 0; d < axis; ++d) outer *= shape[d];
        size = shape[axis];
        for (std::size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
    }
    std::int64_t outer = 1, size = 0, inner = 1;
};

/// True if `x` takes the place of `best`: it is more extreme, or the first NaN.
template <ir::ReduceKind K, class T>
bool beyond(T x, T best) {
    if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(best)) return false;
        if (std::isnan(x)) return true;
    }
    return K == ir::ReduceKind::Max ? best < x : x < best;
}

}  // namespace

Value Reduce(ir::Ref node, Sources src) {
    Track into{0, dense_strides(node->shape())};
    for (const std::int64_t axis : node->args().subspan(1))
        into.strides[static_cast<std::size_t>(axis)] = 0;
    return accumulate(node, *src[0], static_cast<ir::ReduceKind>(node->arg(0)), into);
}

Value Fold(ir::Ref node, Sources src) {
    const auto axis = static_cast<std::size_t>(node->arg(0));
    const std::int64_t step = node->arg(2), dilation = node->arg(3);
    Track into{0, dense_strides(node->shape())};
    const std::int64_t along = into.strides[axis];
    into.strides[axis] = along * step;
    into.strides.push_back(along * dilation);
    return accumulate(node, *src[0], ir::ReduceKind::Add, into);
}

Value ArgReduce(ir::Ref node, Sources src) {
    const Lines lines(node->src(0)->shape(), node->arg(1));
    if (lines.size == 0 && node->numel() > 0)
        throw ValueError("ArgReduce: no position along axis " + std::to_string(node->arg(1)) +
                         " of shape " + shape_text(node->src(0)->shape()) + ", which is empty");
    Value out = allocate_for(node);
    auto* to = out.fill<std::int64_t>();
    const auto search = [&]<class E, ir::ReduceKind K>() {
        const E* x = src[0]->as<E>();
        for (std::int64_t o = 0; o < lines.outer; ++o)
            for (std::int64_t i = 0; i < lines.inner; ++i) {
                const E* line = x + o * lines.size * lines.inner + i;
                std::int64_t best = 0;
                for (std::int64_t j = 1; j < lines.size; ++j)
                    if (beyond<K>(load(line[j * lines.inner]), load(line[best * lines.inner])))
                        best = j;
                to[o * lines.inner + i] = best;
            }
    };
    with_element(node->src(0)->dtype(), [&]<class E>() {
        if (static_cast<ir::ReduceKind>(node->arg(0)) == ir::ReduceKind::Max)
            search.template operator()<E, ir::ReduceKind::Max>();
        else
            search.template operator()<E, ir::ReduceKind::Min>();
    });
    return out;
}

namespace {

/// The positions 0, 1, … in the order of what lies there. Compiled once for all dtypes.
void sort_positions(std::vector<std::int64_t>& order,
                    const std::function<bool(std::int64_t, std::int64_t)>& less) {
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::ranges::stable_sort(order, less);
}

/// The values alone of equal zeros may come in any order.
template <class E>
E either_zero(E x, std::int64_t i) {
    if constexpr (is_float_element<E>)
        if (const Noise* noise = Noise::active(); noise != nullptr && load(x) == 0)
            return round_carry<E>(static_cast<Carry<E>>(blur_zero(*noise, 0, i)));
    return x;
}

}  // namespace

Value Sort(ir::Ref node, Sources src) {
    const Lines lines(node->src(0)->shape(), node->arg(0));
    const std::int64_t count = node->arg(1);
    const bool descending = node->arg(2) != 0, positions = node->arg(3) != 0;
    Value out = allocate_for(node);
    with_element(node->src(0)->dtype(), [&]<class E>() {
        const E* x = src[0]->as<E>();
        std::vector<std::int64_t> order(static_cast<std::size_t>(lines.size));
        for (std::int64_t o = 0; o < lines.outer; ++o)
            for (std::int64_t i = 0; i < lines.inner; ++i) {
                const E* line = x + o * lines.size * lines.inner + i;
                sort_positions(order, [&](std::int64_t a, std::int64_t b) {
                    if (descending) std::swap(a, b);
                    const auto p = load(line[a * lines.inner]), q = load(line[b * lines.inner]);
                    return beyond<ir::ReduceKind::Max>(q, p);
                });
                for (std::int64_t j = 0; j < count; ++j) {
                    const std::int64_t from = order[static_cast<std::size_t>(j)],
                                       to = (o * count + j) * lines.inner + i;
                    if (positions)
                        out.fill<std::int64_t>()[to] = from;
                    else
                        out.fill<E>()[to] = either_zero(line[from * lines.inner], to);
                }
            }
    });
    return out;
}

Value Scan(ir::Ref node, Sources src) {
    const Lines lines(node->shape(), node->arg(1));
    Value out = allocate_for(node);
    [[maybe_unused]] const Noise* noise = Noise::active();
    return with_combine(
        node, static_cast<ir::ReduceKind>(node->arg(0)), [&]<class E, ir::ReduceKind K>() {
            const E* x = src[0]->as<E>();
            E* to = out.fill<E>();
            for (std::int64_t o = 0; o < lines.outer; ++o)
                for (std::int64_t i = 0; i < lines.inner; ++i) {
                    Carry<E> carry = identity<E, K>();
                    [[maybe_unused]] Terms<E> terms;
                    // What has vanished or overflowed stays so along the line. Products as a device
                    // makes them say what that does to all of their places together.
                    [[maybe_unused]] bool as_device = false;
                    [[maybe_unused]] Carry<E> narrow = carry;
                    if constexpr (is_float_element<E> && K == ir::ReduceKind::Mul)
                        as_device =
                            noise != nullptr &&
                            noise->choice(static_cast<std::uint64_t>(o * lines.inner + i)) % 2 == 0;
                    for (std::int64_t j = 0; j < lines.size; ++j) {
                        const std::int64_t at = (o * lines.size + j) * lines.inner + i;
                        carry = combine<K>(carry, static_cast<Carry<E>>(load(x[at])));
                        to[at] = round_carry<E>(carry);
                        if constexpr (is_float_element<E>) {
                            if (noise == nullptr) continue;
                            if (as_device) {
                                narrow = static_cast<Machine<E>>(narrow * load(x[at]));
                                to[at] = round_carry<E>(narrow);
                                continue;
                            }
                            terms.add(load(x[at]));
                            to[at] = round_carry<E>(
                                blur_carry<E, K>(*noise, carry, terms, at, false, /*serial=*/true));
                        }
                    }
                }
            return out;
        });
}

}  // namespace sinter::runtime::ref::eval
