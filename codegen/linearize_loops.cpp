// Serial loops: which of their trips are code of their own, and steps that a trip interleaves.

#include <algorithm>
#include <utility>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "linearizer.h"

namespace sinter::codegen {
namespace {

constexpr std::size_t kHidingAccumulators = 4;  // their steps hide one another's latency
constexpr int kShortStep = 8;                   // value ops of a step that does not hide its own

// Trips of a loop that may become code of their own.
constexpr std::int64_t kRaggedTrips = 4;
// Loops of so many trips come in parts, in which masks are even but in so many trips of a mask; at
// most so many parts, and nodes in all of them.
constexpr std::int64_t kPartedTrips = 4, kUnevenTrips = 3;
constexpr std::size_t kMostParts = 12, kPartedNodes = 3000;

}  // namespace

void Linearizer::run_loop(Ref range, std::vector<Work> works) {
    const Ref row = std::exchange(row_, range);
    run_trips(range, std::move(works));
    row_ = row;
}

void Linearizer::run_trips(Ref range, std::vector<Work> works) {
    if (!range->src(0)->is(Op::Const))
        throw InternalError("codegen: a serial range of variable size");
    const std::int64_t n = range->src(0)->arg(0);
    if (n == 0) return;
    // What is walked in order goes on from trip to trip, to the last one.
    const bool ordered = (ordered_ & range_bit(range)) != 0;
    if (!ordered && limit_[range->arg(0)] == nullptr)
        if (const auto parts = even_parts(works, range, n); parts.size() > 1) {
            run_parts(works, range, parts);
            return;
        }
    std::int64_t whole = is_ragged(range) && !ordered ? n - 1 : n;
    if (last_trips_ && !ordered) whole = trips_within(works, range, whole);
    run_even_trips(range, std::move(works), whole);
}

// A loop over the first `whole` trips; the others are code of their own.
void Linearizer::run_even_trips(Ref range, std::vector<Work> works, std::int64_t whole) {
    const std::int64_t n = range->src(0)->arg(0);
    if (const std::int64_t steps = interleaved_steps(works, range, whole); steps > 1) {
        for (std::int64_t i = run_interleaved(works, range, whole, steps); i < n; ++i)
            process(at(works, range, arena_.index(i)));
        return;
    }
    if (whole > 1) {
        const Ref shorter = shortened(range, whole);
        std::vector<Work> inside = at(works, range, shorter);
        Value begin = emit_.value(arena_.index(0)), end = emit_.value(arena_.index(whole));
        if (const Limit* limit = limit_[range->arg(0)]) {
            if (limit->begin != nullptr) begin = emit_.value(limit->begin);
            if (limit->end != nullptr)
                end = emit_.arith(Op::Min, DType::Index, {end, emit_.value(limit->end)});
        }
        emit_.open_loop(begin, end, false);
        emit_.bind(shorter, emit_.loop_index());
        carry_through(std::move(inside));
    }
    for (std::int64_t i = whole > 1 ? whole : 0; i < n; ++i)
        process(at(works, range, arena_.index(i)));
}

// Trips of a loop, from one number to below the next, in each of which every mask holds
// throughout or nowhere, and single trips in between: where concatenations, paddings and rows
// begin and end. One part if that is all trips, or would be too much code.
std::vector<std::int64_t> Linearizer::even_parts(const std::vector<Work>& works, Ref range,
                                                 std::int64_t n) const {
    if (teams_ || n < kPartedTrips) return {0};
    std::vector<Ref> roots;
    for (const Work& w : works) roots.insert(roots.end(), w.values.begin(), w.values.end());
    std::vector<std::int64_t> begins{0};
    std::size_t nodes = 0;
    for (Ref node : ir::toposort(roots)) {
        if ((node->ranges() & range_bit(range)) == 0) continue;
        ++nodes;
        const bool below = node->is(Op::Lt);
        if ((!below && !node->is(Op::Le)) || node->src(0)->dtype() != DType::Index) continue;
        // Where step * trip + rest < 0.
        ir::Affine rest = ir::affine(node->src(0)) - ir::affine(node->src(1));
        if (!below) --rest.constant;
        const std::int64_t step = rest.coefficient(range);
        std::erase_if(rest.terms, [&](const auto& t) { return t.first == range; });
        if (step == 0 || std::ranges::any_of(rest.terms, [&](const auto& t) {
                return (t.first->ranges() & range_bit(range)) != 0;
            }))
            continue;
        const ir::Bounds bounds = ir::bounds(rest);
        constexpr std::int64_t kFar = std::int64_t{1} << 60;
        if (bounds.min < -kFar || bounds.max > kFar) continue;
        // The trips in which it holds here and there.
        const std::int64_t first = step > 0 ? ir::floor_div(-1 - bounds.max, step) + 1
                                            : ir::floor_div(bounds.min, -step) + 1,
                           last = step > 0 ? ir::floor_div(-1 - bounds.min, step)
                                           : ir::floor_div(bounds.max, -step);
        if (last - first >= kUnevenTrips) continue;
        for (std::int64_t t = first; t <= last + 1; ++t)
            if (t > 0 && t < n) begins.push_back(t);
    }
    std::ranges::sort(begins);
    begins.erase(std::ranges::unique(begins).begin(), begins.end());
    if (begins.size() > kMostParts || nodes * begins.size() > kPartedNodes) return {0};
    return begins;
}

void Linearizer::run_parts(const std::vector<Work>& works, Ref range,
                           std::span<const std::int64_t> begins) {
    const std::int64_t n = range->src(0)->arg(0);
    for (std::size_t i = 0; i < begins.size(); ++i) {
        const std::int64_t begin = begins[i],
                           trips = (i + 1 < begins.size() ? begins[i + 1] : n) - begin;
        if (trips == 1) {
            process(at(works, range, arena_.index(begin)));
            continue;
        }
        const Ref part = shortened(range, trips);
        std::vector<Work> moved =
            at(works, range, fold(arena_, Op::Add, part, arena_.index(begin)));
        for (Work& w : moved) w.remaining |= range_bit(range);
        run_even_trips(part, std::move(moved), trips);
    }
}

// Of a last trip, how many of the first trips of a loop are whole, if nearly all are: the
// others are code of their own.
std::int64_t Linearizer::trips_within(const std::vector<Work>& works, Ref range,
                                      std::int64_t most) {
    std::vector<Ref> roots;
    for (const Work& w : works) roots.insert(roots.end(), w.values.begin(), w.values.end());
    std::int64_t whole = most;
    for (Ref n : ir::toposort(roots)) {
        if (!n->is(Op::Lt) || !n->src(1)->is(Op::Const) || n->src(0)->dtype() != DType::Index ||
            (n->ranges() & range_bit(range)) == 0)
            continue;
        ir::Affine rest = ir::affine(n->src(0));
        std::int64_t step = 0;
        std::erase_if(rest.terms, [&](const auto& t) {
            if (t.first != range) return false;
            step = t.second;
            return true;
        });
        const std::int64_t room = n->src(1)->arg(0) - 1 - ir::bounds(rest).max;
        if (step > 0) whole = std::min(whole, room < 0 ? 0 : room / step + 1);
    }
    return most - whole <= kRaggedTrips ? whole : most;
}

// The body of the loop that was opened, and its end: accumulators go from trip to trip.
void Linearizer::carry_through(std::vector<Work> inside) {
    std::vector<Reduction*> carried;
    for (const Work& w : inside)
        if (w.reduction != nullptr) carried.push_back(w.reduction);
    for (Reduction* r : carried)
        for (Value& v : r->acc) v = emit_.carry(v);
    process(std::move(inside));
    for (Reduction* r : carried)
        for (Value v : r->acc) emit_.set_next(v);
    const std::vector<Value> results = emit_.close_loop();
    std::size_t next = 0;
    for (Reduction* r : carried)
        for (Value& v : r->acc) v = results[next++];
}

// Steps a trip of a loop with nothing but short steps of few reductions, each of which would
// wait for the one before; 1 if it is no such loop.
std::int64_t Linearizer::interleaved_steps(const std::vector<Work>& works, Ref range,
                                           std::int64_t n) {
    if (teams_ || (ordered_ & range_bit(range)) != 0 || limit_[range->arg(0)] != nullptr) return 1;
    std::size_t accumulators = 0;
    std::vector<Ref> roots;
    for (const Work& w : works) {
        if (w.reduction == nullptr || w.reduction->node->is(Op::Order) ||
            (w.remaining & ~emit_.open_ranges() & ~range_bit(range)) != 0)
            return 1;
        accumulators += w.reduction->acc.size() / w.reduction->components;
        roots.insert(roots.end(), w.values.begin(), w.values.end());
    }
    const auto steps = static_cast<std::int64_t>(kHidingAccumulators / accumulators);
    if (steps < 2 || n < 2 * steps) return 1;
    int ops = 0;
    for (Ref node : ir::toposort(roots)) {
        if ((node->ranges() & range_bit(range)) == 0 || emit_.known(node)) continue;
        if (is_closing(node) || node->is(Op::Scan)) return 1;
        ops += ir::is_elementwise(node->op()) && node->dtype() != DType::Index;
    }
    return ops <= kShortStep * static_cast<int>(works.size()) ? steps : 1;
}

// A loop of `steps` steps a trip, each with accumulators of its own. Gives the steps that are
// done.
std::int64_t Linearizer::run_interleaved(std::vector<Work>& works, Ref range, std::int64_t whole,
                                         std::int64_t steps) {
    const Ref trip = shortened(range, whole / steps);
    std::vector<std::unique_ptr<Reduction>> others;
    std::vector<Reduction*> of;  // by `others`
    std::vector<Work> inside;
    for (std::int64_t k = 0; k < steps; ++k) {
        const Ref index = fold(arena_, Op::Add, fold(arena_, Op::Mul, trip, arena_.index(steps)),
                               arena_.index(k));
        for (Work& w : at(works, range, index)) {
            if (k != 0) {
                others.push_back(
                    std::make_unique<Reduction>(start(w.reduction->node, {&w.reduction->node, 1})));
                // Copies take turns as they do in the first.
                others.back()->acc.resize(w.reduction->acc.size());
                of.push_back(w.reduction);
                w.reduction = others.back().get();
            }
            inside.push_back(std::move(w));
        }
    }
    emit_.open_loop(emit_.value(arena_.index(0)), emit_.value(arena_.index(whole / steps)), false);
    emit_.bind(trip, emit_.loop_index());
    carry_through(std::move(inside));
    for (std::size_t i = 0; i < others.size(); ++i) {
        Reduction& r = *of[i];
        for (std::size_t at = 0; at < r.acc.size(); at += r.components) {
            const auto begin = static_cast<std::ptrdiff_t>(at),
                       end = begin + static_cast<std::ptrdiff_t>(r.components);
            const Tuple merged =
                combine(emit_, r.node, {r.acc.begin() + begin, r.acc.begin() + end},
                        {others[i]->acc.begin() + begin, others[i]->acc.begin() + end});
            std::ranges::copy(merged, r.acc.begin() + begin);
        }
    }
    return whole / steps * steps;
}

}  // namespace sinter::codegen
