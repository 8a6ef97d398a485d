// Reductions under way: how they start, take a step, and become one value.

#include <algorithm>
#include <bit>
#include <utility>

#include <sinter/ir/affine.h>

#include "linearizer.h"
#include "order.h"

namespace sinter::codegen {
namespace {

// Accumulators of reductions that run beside one another, one for each copy of an unrolled range
// while there are so few.
constexpr std::size_t kMostAccumulators = 16;

std::uint64_t closed_by(Ref node) {
    std::uint64_t closed = 0;
    for (Ref x : named_ranges(node)) closed |= range_bit(x);
    return closed;
}

// Accumulators for so many copies of a reduction. Where others hide its latency copies take turns.
std::size_t accumulators_of(Ref node, std::size_t copies, std::span<const Ref> beside) {
    std::size_t all = 0, reductions = 0;
    for (Ref other : beside) {
        if (closed_by(other) != closed_by(node)) continue;
        all += value_count(other);
        ++reductions;
    }
    if (all <= kMostAccumulators || node->is(Op::Accumulate)) return copies;
    return std::clamp<std::size_t>(kMostAccumulators / 2 / reductions, 1, copies);
}

}  // namespace

Linearizer::Reduction Linearizer::start(Ref node, std::span<const Ref> beside) {
    if (node->is(Op::Order)) return {node, {}, 2, false};
    Reduction r{
        node, {}, node->is(Op::Accumulate) ? static_cast<std::size_t>(node->arg(1)) : 1, false};
    r.across_lanes = (closed_by(node) & vector_) != 0;
    const std::size_t values = value_count(node);
    bool vector = r.across_lanes;
    for (std::size_t i = 0; i < values; ++i)
        vector = vector || (node->src(i)->ranges() & vector_) != 0;
    const std::size_t own = accumulators_of(node, values, beside);
    for (std::size_t i = 0; i < own; ++i) {
        const std::uint16_t lanes = vector ? emit_.vector_lanes() : 1;
        // A maximum that no element is beyond lies where the first one does.
        if (i % r.components == 1 && !teams_)
            if (const Ref first = first_position(node, node->src(i))) {
                r.acc.push_back(emit_.splat(emit_.value(first), lanes));
                continue;
            }
        r.acc.push_back(emit_.constant(node->src(i)->dtype(),
                                       neutral_bits(node, i % r.components, node->src(i)->dtype()),
                                       lanes));
    }
    return r;
}

// The position of an ArgMax at the first step of its loops: a linear index, or what was cast
// from one; null for others. Lanes beyond the range's end have positions beyond it as well.
Ref Linearizer::first_position(Ref node, Ref position) {
    if (position->is(Op::Where) && position->src(2)->is(Op::Const)) position = position->src(1);
    const Ref index = position->is(Op::Cast) ? position->src(0) : position;
    if (index->dtype() != DType::Index) return nullptr;
    for (const auto& [term, coefficient] : ir::affine(index).terms)
        if (!term->is(Op::Range) || coefficient < 0) return nullptr;
    for (Ref r : named_ranges(node))
        if ((range_bit(r) & vector_) == 0)
            position = substitute_free(arena_, position, r, arena_.index(0));
    return position;
}

// Whether the step of an ArgMax has a later position than those before: one loop runs over it,
// upwards.
bool Linearizer::is_ascending(Ref node, std::size_t at, Ref position) {
    if (teams_ || position->is(Op::Where)) return false;
    std::uint64_t closed = 0;
    for (Ref r : named_ranges(node)) closed |= range_bit(r) & ~vector_;
    return std::popcount(closed) == 1 && first_position(node, node->src(at)) != nullptr &&
           first_position(node, position) != nullptr;
}

void Linearizer::step(Reduction& r, std::span<const Ref> values) {
    if (r.node->is(Op::Order)) {
        for (Ref s : store_record(arena_, layout_of(r.node), values[0], values[1])) emit_.store(s);
        return;
    }
    for (std::size_t i = 0; i < values.size(); i += r.components) {
        // A copy that is masked out altogether adds nothing.
        const auto adds_nothing = [&](std::size_t c) {
            const Ref v = values[i + c];
            return v->is(Op::Const) && v->arg(0) == neutral_bits(r.node, c, v->dtype());
        };
        bool nothing = true;
        for (std::size_t c = 0; c < r.components; ++c) nothing = nothing && adds_nothing(c);
        if (nothing) continue;
        const std::size_t at = i % r.acc.size();
        const std::uint16_t lanes = emit_.lanes(r.acc[at]);
        if (r.components == 1 && emit_.accumulate_product(r.node, values[i], r.acc[at], lanes))
            continue;
        Tuple acc(r.acc.begin() + static_cast<std::ptrdiff_t>(at),
                  r.acc.begin() + static_cast<std::ptrdiff_t>(at + r.components)),
            next;
        for (std::size_t c = 0; c < r.components; ++c)
            next.push_back(emit_.splat(emit_.value(values[i + c]), lanes));
        const Tuple merged = r.components == 2 && is_ascending(r.node, i + 1, values[i + 1])
                                 ? combine_ascending(emit_, r.node, acc, next)
                                 : combine(emit_, r.node, acc, next);
        std::ranges::copy(merged, r.acc.begin() + static_cast<std::ptrdiff_t>(at));
    }
}

// One value from the copies, pairwise, then from the lanes.
void Linearizer::finalize(Reduction& r) {
    if (r.node->is(Op::Order)) {
        emit_order(emit_, layout_of(r.node));
        // Trips that are code of their own sort other rows in this place.
        emit_.forget([&](Ref n) { return n->is(Op::Order) && share_place(n, r.node); });
        return emit_.define_here(r.node);
    }
    std::vector<Tuple> parts;
    for (std::size_t i = 0; i < r.acc.size(); i += r.components)
        parts.emplace_back(r.acc.begin() + static_cast<std::ptrdiff_t>(i),
                           r.acc.begin() + static_cast<std::ptrdiff_t>(i + r.components));
    while (parts.size() > 1) {
        std::vector<Tuple> half;
        for (std::size_t i = 0; i + 1 < parts.size(); i += 2)
            half.push_back(combine(emit_, r.node, parts[i], parts[i + 1]));
        if (parts.size() % 2 != 0) half.push_back(parts.back());
        parts = std::move(half);
    }
    Tuple result = parts[0];
    if (r.across_lanes) {
        for (int width = emit_.vector_lanes() / 2; width >= 1; width /= 2) {
            Tuple moved;
            for (Value v : result) moved.push_back(emit_.rotate(v, width));
            result = combine(emit_, r.node, result, moved);
        }
        for (Value& v : result) v = emit_.first(v);
    }
    emit_.define(r.node, std::move(result));
}

}  // namespace sinter::codegen
