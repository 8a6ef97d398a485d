// How windows are gone through: short ones, and those that overlap.

#include "choose_windows.h"

#include <algorithm>

#include "emitter.h"
#include "place.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kWindow = 4, kWindowVectors = 18;
constexpr std::int64_t kTallWindow = 16, kSmallWindow = 9, kRowsOfWindows = 8, kDilation = 3;
constexpr std::size_t kFewOps = 16;  // value ops of a step that is code without a loop

// Whether the vectors of every result are whole lines.
bool has_lined_results(const Analysis& a, const Plan& plan) {
    return std::ranges::all_of(a.accesses, [&](const MemoryAccess& m) {
        if (!m.is_store) return true;
        const auto bytes = static_cast<std::int64_t>(size_of(m.node->src(2)->dtype()));
        return m.general == 0 && plan.lanes * bytes % kLineBytes == 0 &&
               std::ranges::all_of(a.numbers, [&](std::int64_t n) {
                   return n == plan.vector ? m.stride[n] == 1
                                           : m.stride[n] * bytes % kLineBytes == 0;
               });
    });
}

}  // namespace

void choose_windows(const Analysis& a, Plan& plan) {
    if (plan.contraction || plan.staged_for != 0 || !has(a.outer, plan.vector)) return;
    if (a.reductions.size() != 1 || a.value_nodes > kFewOps) return;
    std::int64_t copies = 1;
    for (std::size_t i = a.numbers.size(); i-- > 0;) {
        const std::int64_t n = a.numbers[i];
        if (!has(a.closed & ~a.ordered, n) || a.size(n) < 2 || a.size(n) > kWindow ||
            !a.range[n]->src(0)->is(Op::Const) || copies * a.size(n) > kWindow * kWindow)
            continue;
        copies *= a.size(n);
        plan.unrolled.push_back({n, static_cast<int>(a.size(n))});
    }
    if (copies > 1)
        plan.vectors = std::clamp(static_cast<int>(kWindowVectors / copies), 1, plan.vectors);
}

bool choose_overlapping(const Analysis& a, const Target& target, Plan& plan) {
    if (!has(a.outer, plan.vector) || a.reductions.size() != 1 || a.ordered != 0 ||
        !a.reductions[0].node->is(Op::Reduce) || plan.lanes < 2)
        return false;
    const auto is_image = [&](const MemoryAccess& m) {
        return std::ranges::all_of(a.numbers, [&](std::int64_t n) {
            return m.depends(n) || a.size(n) < 2 || !has(a.outer | a.closed, n);
        });
    };
    const MemoryAccess* image = nullptr;
    for (std::size_t l : a.reductions[0].loads) {
        const MemoryAccess& m = a.accesses[l];
        if (!is_image(m)) continue;
        if (image != nullptr || m.general != 0) return false;
        image = &m;
    }
    if (image == nullptr || std::ranges::any_of(a.numbers, [&](std::int64_t n) {
            return !a.range[n]->src(0)->is(Op::Const);
        }))
        return false;
    // The rows that lie furthest apart of those whose windows have some in common.
    const std::uint64_t results = a.outer & ~a.renewed & ~trips_mask(plan);
    std::int64_t rows = -1, window = -1, elements = 1, longest = 0;
    for (std::int64_t k : a.numbers) {
        if (!has(a.closed, k) || a.size(k) < 2) continue;
        elements *= a.size(k);
        const std::int64_t step = std::abs(image->stride[k]);
        for (std::int64_t n : a.numbers) {
            const std::int64_t next = std::abs(image->stride[n]);  // row's first
            if (n == plan.vector || !has(results, n) || a.size(n) < 2 || step <= longest ||
                next == 0)
                continue;
            const bool read_again = std::ranges::all_of(a.reductions[0].loads, [&](std::size_t l) {
                return &a.accesses[l] == image || !a.accesses[l].depends(n);
            });
            // Windows that lie several of their steps apart, or whose steps lie several rows apart.
            const bool overlap = next % step == 0 ? next / step < a.size(k)
                                                  : step % next == 0 && step / next <= kDilation;
            if (!overlap || a.size(k) > kTallWindow || !read_again) continue;
            rows = n;
            window = k;
            longest = step;
        }
    }
    if (window < 0) return false;
    const bool few = elements <= kSmallWindow;
    // Memory is what these wait for, and rows that are not whole lines are written best one after
    // the other.
    if (few && !large_results(a, false).empty() && !has_lined_results(a, plan)) return false;
    // Code for each part of the image: fewer rows are less of it, but read other operands again.
    const bool masked = image->node->src(2)->ranges() != 0 &&
                        std::ranges::none_of(a.reductions[0].loads, [&](std::size_t l) {
                            const MemoryAccess& m = a.accesses[l];
                            return &m != image && m.depends(plan.vector);
                        });
    const std::int64_t most =
        few || masked || target.vector_registers < 32 ? kRowsOfWindows / 2 : kRowsOfWindows;
    std::int64_t by = std::min(most, a.size(rows));
    for (std::int64_t b = by; b > most / 2; --b)
        if (a.size(rows) % b == 0) {
            by = b;
            break;
        }
    plan.unrolled.push_back({rows, static_cast<int>(by)});
    for (std::int64_t k : a.numbers)
        if (has(a.closed, k) && a.size(k) > 1 && (few || k == window))
            plan.unrolled.push_back({k, static_cast<int>(a.size(k))});
    plan.vectors = 1;
    return true;
}

}  // namespace sinter::codegen
