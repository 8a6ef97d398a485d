#include "place.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <sinter/ir/env.h>
#include <sinter/ir/kernel.h>

namespace sinter::codegen {
namespace {

// Results of this size are not read again from the caches: a share of the last one that threads and
// neighbours leave.
constexpr double kStreamBytes = 32 << 20;
// Nor are these, which other kernels read so much later.
constexpr double kLateBytes = 256 << 10;
// Nor are smaller ones of a kernel that goes through so much memory in all.
constexpr double kStreamPart = kLeastStreamed, kStreamAll = 48 << 20;
// Memory that is fetched ahead of walks: so large, read so often at most, with so many ops for each
// of its elements; what a load of every second element and a maximum (with its NaN) count for.
constexpr double kFarBytes = 1 << 20, kFarReads = 4, kFarWork = 8;
constexpr double kShuffledOps = 3, kExtremeOps = 3;

// Bytes of the memory that a kernel goes through, each once.
double footprint(const Analysis& a) {
    std::map<std::int64_t, double> bytes;  // by slot
    for (const MemoryAccess& m : a.accesses) {
        double steps = a.volume(a.ranges_of(m)), span = 1;
        for (std::int64_t n : a.numbers)
            span += static_cast<double>(std::abs(m.stride[n])) * static_cast<double>(a.size(n) - 1);
        if (m.general == 0) steps = std::min(steps, span);
        const DType dtype = m.is_store ? m.node->src(2)->dtype() : m.node->dtype();
        double& most = bytes[m.node->src(0)->arg(0)];
        most = std::max(most, steps * static_cast<double>(size_of(dtype)));
    }
    double all = 0;
    for (const auto& [slot, most] : bytes)
        if (slot >= 0) all += most;
    return all;
}

}  // namespace

void order_serial(const Form& form, Placed& placed) {
    const Analysis after = analyse(form.sink());
    std::vector<std::pair<std::array<std::int64_t, 3>, std::int64_t>> serial;
    std::uint64_t masked = 0;
    for (const MemoryAccess& m : after.accesses)
        if (!m.is_store) masked |= m.node->src(2)->ranges();
    // The last trip of a ragged range is code of its own, wherever it is.
    for (std::int64_t n : after.numbers)
        if (is_ragged(after.range[n])) masked &= ~(std::uint64_t{1} << n);
    for (std::int64_t n : after.numbers) {
        if (ir::role_of(after.range[n]) != ir::Role::Serial ||
            std::ranges::find(placed.order, n) != placed.order.end())
            continue;
        std::int64_t longest = 0;
        for (const MemoryAccess& m : after.accesses)
            longest = std::max(longest, std::abs(m.stride[n]));
        serial.push_back({{has(after.ordered, n), !has(masked, n), -longest}, n});
    }
    std::ranges::stable_sort(serial);
    for (const auto& [key, n] : serial) placed.order.push_back(n);
}

std::vector<Streamed> streamable(const Analysis& a) {
    std::vector<Streamed> result;
    for (const MemoryAccess& m : a.accesses) {
        const std::int64_t slot = m.node->src(0)->arg(0);
        const bool plain = m.is_store && slot >= 0 && m.node->src().size() == 4;
        if (!plain || std::ranges::any_of(a.accesses, [&](const MemoryAccess& other) {
                return !other.is_store && other.node->src(0) == m.node->src(0);
            }))
            continue;
        Streamed s{slot, a.numbers.size() == 1, ir::is_late(m.node->src(0))};
        for (std::int64_t n : a.numbers)
            if (has(m.region, n) && !a.range[n]->src(0)->is(Op::Const)) s.size = a.range[n]->src(0);
        result.push_back(s);
    }
    return result;
}

double result_bytes(const Analysis& a, std::int64_t slot) {
    const auto store = std::ranges::find_if(a.accesses, [&](const MemoryAccess& m) {
        return m.is_store && m.node->src(0)->arg(0) == slot;
    });
    if (store == a.accesses.end()) return 0;
    double bytes = static_cast<double>(size_of(store->node->src(2)->dtype()));
    for (std::int64_t n : a.numbers)
        if (has(store->region, n) && a.range[n]->src(0)->is(Op::Const))
            bytes *= static_cast<double>(a.size(n));
    return bytes;
}

std::vector<Streamed> large_results(const Analysis& a, bool contraction) {
    const std::int64_t mode = ir::env::number("STREAM");
    if (mode == 0) return {};
    const double all = contraction ? INFINITY : kStreamAll, in_all = footprint(a);
    std::vector<Streamed> result = streamable(a);
    std::erase_if(result, [&](Streamed& s) {
        const double bytes = result_bytes(a, s.slot), least = mode == 2 ? 0
                                                              : s.late  ? kLateBytes
                                                                        : kStreamBytes;
        if (s.size != nullptr)
            s.least = static_cast<std::int64_t>(
                std::min(least / bytes, all / (in_all / Analysis::kNominal)));
        return s.size == nullptr && bytes < least && (bytes < kStreamPart || in_all < all);
    });
    return result;
}

std::vector<std::int64_t> read_far(const Analysis& a) {
    std::map<std::int64_t, double> elements;  // by slot
    double work = a.value_work;
    for (Ref n : ir::toposort(a.stores))
        if (n->is(Op::Fma)) work += a.volume(n->ranges());
    for (const MemoryAccess& m : a.accesses) {
        const Ref memory = m.node->src(0);
        if (m.is_store || memory->arg(0) < 0 || ir::is_near(memory) || m.general != 0) continue;
        double span = 1;
        bool variable = false, shuffled = false;
        for (std::int64_t n : a.numbers) {
            const std::int64_t stride = std::abs(m.stride[n]);
            span += static_cast<double>(stride) * static_cast<double>(a.size(n) - 1);
            variable = variable || (stride != 0 && !a.range[n]->src(0)->is(Op::Const));
            shuffled = shuffled || (stride == 2 && has(a.outer, n));
        }
        const double volume = a.volume(m.region);
        work += (shuffled ? kShuffledOps : 1) * volume;
        const double bytes = span * static_cast<double>(size_of(m.node->dtype()));
        if ((bytes >= kFarBytes || variable) && volume <= kFarReads * span)
            elements[memory->arg(0)] = std::max(elements[memory->arg(0)], span);
    }
    for (const Reducing& r : a.reductions) {
        const auto kind = static_cast<ir::ReduceKind>(r.node->arg(0));
        const bool extreme =
            r.node->is(Op::Reduce) && (kind == ir::ReduceKind::Max || kind == ir::ReduceKind::Min);
        work += (extreme ? kExtremeOps : 1) * r.volume;
    }
    double all = 0;
    std::vector<std::int64_t> slots;
    for (const auto& [slot, count] : elements) {
        all += count;
        slots.push_back(slot);
    }
    if (work < kFarWork * all) slots.clear();
    return slots;
}

void record(Form& form, const Placed& placed) {
    std::vector<std::int64_t> trips{static_cast<std::int64_t>(placed.parallel.size())};
    for (Ref r : placed.parallel) trips.push_back(r->arg(0));
    form.record(StepKind::Trips, std::move(trips));
    // The parallel ranges are the outermost loops.
    std::vector<std::int64_t> order{0};
    for (std::int64_t n : placed.order)
        if (std::ranges::none_of(placed.parallel, [&](Ref r) { return r->arg(0) == n; }))
            order.push_back(n);
    order[0] = static_cast<std::int64_t>(order.size()) - 1;
    if (order[0] > 0) form.record(StepKind::Order, std::move(order));
    if (placed.squares) form.record(StepKind::Squares);
    for (const Streamed& s : placed.streamed) form.record(StepKind::Stream, {s.slot, s.least});
    if (placed.prefetch) form.record(StepKind::Prefetch);
    if (!placed.far.empty()) {
        std::vector<std::int64_t> slots{static_cast<std::int64_t>(placed.far.size())};
        slots.insert(slots.end(), placed.far.begin(), placed.far.end());
        form.record(StepKind::Fetch, std::move(slots));
    }
}

}  // namespace sinter::codegen
