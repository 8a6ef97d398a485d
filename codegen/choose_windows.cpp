// How windows are gone through: short ones, and those that overlap.

#include "choose_windows.h"

#include <algorithm>
#include <optional>

#include "emitter.h"
#include "place.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kWindow = 4, kWindowVectors = 18;
constexpr std::int64_t kTallWindow = 16, kSmallWindow = 9, kRowsOfWindows = 8, kDilation = 3;
constexpr std::size_t kFewOps = 16;  // value ops of a step that is code without a loop
constexpr int kFewStepOps = 8;       // of a window's, made once for windows that share it
constexpr int kManyRegisters = 32;   // hold the vectors that windows share, and their sums

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

// The access that depends on all ranges of results and windows, if there is one alone.
const MemoryAccess* image_of(const Analysis& a, const Reducing& r) {
    const MemoryAccess* image = nullptr;
    for (std::size_t l : r.loads) {
        const MemoryAccess& m = a.accesses[l];
        const bool all = std::ranges::all_of(a.numbers, [&](std::int64_t n) {
            return m.depends(n) || a.size(n) < 2 || !has(a.outer | a.closed, n);
        });
        if (!all) continue;
        if (image != nullptr || m.general != 0) return nullptr;
        image = &m;
    }
    return image;
}

// Windows that overlap.
struct Overlap {
    const MemoryAccess* image;
    std::int64_t rows, window;  // ranges: rows of results, and what their windows share
    std::int64_t elements;      // of a window
};

// Along the rows that lie furthest apart.
std::optional<Overlap> find_overlap(const Analysis& a, const Plan& plan) {
    if (!has(a.outer, plan.vector) || a.reductions.size() != 1 || a.ordered != 0 || plan.lanes < 2)
        return std::nullopt;
    const Reducing& r = a.reductions[0];
    if (!r.node->is(Op::Reduce) || r.ops > kFewStepOps ||
        std::ranges::any_of(a.numbers,
                            [&](std::int64_t n) { return !a.range[n]->src(0)->is(Op::Const); }))
        return std::nullopt;
    Overlap found{image_of(a, r), -1, -1, 1};
    if (found.image == nullptr) return std::nullopt;
    const std::uint64_t results = a.outer & ~a.renewed & ~trips_mask(plan);
    const auto read_by_image_alone = [&](std::int64_t n) {
        return std::ranges::all_of(r.loads, [&](std::size_t l) {
            return &a.accesses[l] == found.image || !a.accesses[l].depends(n);
        });
    };
    std::int64_t longest = 0;
    for (std::int64_t k : a.numbers) {
        if (!has(a.closed, k) || a.size(k) < 2) continue;
        found.elements *= a.size(k);
        const std::int64_t step = std::abs(found.image->stride[k]);
        if (step <= longest || a.size(k) > kTallWindow) continue;
        for (std::int64_t n : a.numbers) {
            if (n == plan.vector || !has(results, n) || a.size(n) < 2 || !read_by_image_alone(n))
                continue;
            // Windows begin some of their steps apart, or their steps lie some rows apart.
            const std::int64_t next = std::abs(found.image->stride[n]);
            const bool overlaps = next % step == 0 ? next != 0 && next / step < a.size(k)
                                                   : step % next == 0 && step / next <= kDilation;
            if (!overlaps) continue;
            found.rows = n;
            found.window = k;
            longest = step;
        }
    }
    return found.window < 0 ? std::nullopt : std::optional(found);
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
    const std::optional<Overlap> found = find_overlap(a, plan);
    if (!found) return false;
    const auto& [image, rows, window, elements] = *found;
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
    const bool half =
        few || masked || a.value_nodes > kFewOps || target.vector_registers < kManyRegisters;
    const std::int64_t most = half ? kRowsOfWindows / 2 : kRowsOfWindows;
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
