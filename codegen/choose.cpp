#include "choose.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "choose_windows.h"
#include "contraction.h"

namespace sinter::codegen {
namespace {

constexpr double kGatherCost = 1.3;     // of an indexed lane, in scalar loads
constexpr std::int64_t kFarApart = 16;  // elements: neighbours across rows share no cache line
constexpr std::int64_t kSelection = 4;
constexpr int kLanesApart = 8;
constexpr std::int64_t kFewSteps = 4;  // between lanes that are read in one piece
constexpr std::int64_t kOrderedTrips = 8, kMostVectors = 8;
constexpr std::size_t kFewOps = 16;  // value ops of which two copies hide each other's latency

// Share of the lanes that do work when a range of this size runs in vectors.
double lane_use(std::int64_t size, int lanes) {
    const std::int64_t whole = (size + lanes - 1) / lanes * lanes;
    return static_cast<double>(size) / static_cast<double>(whole);
}

// Cost of running the kernel in vectors along range v: every access runs its region's volume, a
// lane at a time where its lanes do not lie side by side.
double vector_cost(const Analysis& a, std::int64_t v, int lanes) {
    const double width = lanes * lane_use(a.size(v), lanes);
    double cost = 0;
    for (const MemoryAccess& m : a.accesses) {
        const double steps = a.volume(m.region);
        if (!has(m.region, v)) {
            cost += steps;
            continue;
        }
        const std::int64_t stride = m.stride[v];
        const bool side_by_side =
            !has(m.general, v) && (stride == 0 || stride == 1 || stride == -1);
        // Small steps: what the lanes span is read, and shuffled.
        const bool span = !m.is_store && !has(m.general, v) && (stride == 2 || stride == 4);
        if (side_by_side)
            cost += steps / width;
        else if (span)
            cost += steps / width * static_cast<double>(stride + 1);
        else
            cost += steps * kGatherCost;
    }
    for (const Reducing& r : a.reductions) {
        if (has(r.scope | r.closed, v))
            cost += r.volume / width;
        else
            cost += r.volume;
        // Lanes are combined at the end of each.
        if (has(r.closed, v)) cost += 4 * a.volume(r.scope);
    }
    cost += a.value_work / width;
    return cost;
}

// Whether running sums or extremes along v may be taken a vector at a time: within it by doubling
// steps, so that memory must lie side by side to pay for them.
bool scans_in_vectors(const Analysis& a, std::int64_t v, int lanes) {
    return has(a.scanned, v) && a.reductions.empty() && a.size(v) >= lanes && lanes > 1 &&
           a.range[v]->src(0)->is(Op::Const) &&
           std::ranges::all_of(a.accesses, [&](const MemoryAccess& m) {
               return !has(m.general, v) && std::abs(m.stride[v]) <= 1;
           });
}

// Memory that is walked across its rows: what is fetched for one element serves its neighbours, if
// they are next in turn.
void choose_rows(const Analysis& a, Plan& plan) {
    if (a.value_nodes > kFewOps || plan.lanes < 4) return;
    for (const MemoryAccess& m : a.accesses) {
        const std::int64_t across = std::abs(m.stride[plan.vector]);
        if (m.general != 0 || across < kFarApart) continue;
        for (std::int64_t n : a.numbers) {
            if (n == plan.vector || m.stride[n] != 1 ||
                !has(a.outer & ~a.renewed & ~trips_mask(plan), n) || a.size(n) < plan.lanes)
                continue;
            if (!a.range[n]->src(0)->is(Op::Const)) continue;
            plan.unrolled.push_back({n, plan.lanes});
            plan.vectors = 1;
            plan.squares = true;
            return;
        }
    }
}

// A range of a few steps, each of which reads memory of its own (tensors that are put together): as
// copies of the code masks are constants, and each reads what is its own alone.
void choose_selection(const Analysis& a, Plan& plan) {
    if (a.value_nodes > kFewOps) return;
    std::vector<std::uint64_t> deciding;  // ranges that decide alone whether a value is read
    for (Ref n : ir::toposort(a.stores))
        if (n->is(Op::Load) || n->is(Op::Where))
            deciding.push_back(n->src(n->is(Op::Load) ? 2 : 0)->ranges());
    for (std::int64_t n : a.numbers) {
        const bool free =
            n != plan.vector && has(a.outer & ~a.renewed & ~trips_mask(plan), n) &&
            std::ranges::none_of(plan.unrolled, [&](auto& u) { return u.range == n; });
        if (free && a.range[n]->src(0)->is(Op::Const) && a.size(n) <= kSelection &&
            std::ranges::count(deciding, range_bit(a.range[n])) >= 2)
            plan.unrolled.push_back({n, static_cast<int>(a.size(n))});
    }
}

// Lanes that are read one by one are as much code each, however many: more of them are no faster.
void choose_lanes_apart(const Analysis& a, Plan& plan) {
    if (plan.staged_for != 0 || plan.squares) return;
    const bool apart = std::ranges::any_of(a.accesses, [&](const MemoryAccess& m) {
        return !m.is_store && (m.region & a.closed) != 0 && !has(m.general, plan.vector) &&
               std::abs(m.stride[plan.vector]) > kFewSteps;
    });
    if (!apart) return;
    plan.vectors = 1;
    plan.lanes = std::min(plan.lanes, kLanesApart);
}

}  // namespace

std::uint64_t trips_mask(const Plan& plan) {
    std::uint64_t mask = 0;
    if (plan.trips)
        for (Ref r : *plan.trips) mask |= range_bit(r);
    return mask;
}

bool may_be_vector(const Analysis& a, std::int64_t v, int lanes) {
    if (a.size(v) < 2 || has(a.renewed, v)) return false;
    if (has(a.ordered, v) && !scans_in_vectors(a, v, lanes)) return false;
    // Each row is sorted by itself, one after the other.
    for (const Reducing& r : a.reductions)
        if (r.node->is(Op::Order) && has(r.scope, v)) return false;
    return a.range[v]->src(0)->is(Op::Const) || has(a.outer, v);
}

int vector_lanes(const Analysis& a, std::int64_t v, const Target& target) {
    std::size_t bytes = has(a.f64_ranges, v) ? 8 : has(a.f32_ranges, v) ? 4 : 0;
    for (const MemoryAccess& m : a.accesses)
        if (m.depends(v))
            bytes = std::max(bytes, size_of(m.node->dtype() == DType::None ? m.node->src(2)->dtype()
                                                                           : m.node->dtype()));
    if (bytes == 0) bytes = a.element_bytes;
    return std::clamp(target.vector_bits / 8 / static_cast<int>(bytes), 1, 64);
}

namespace {

// Cost of running the kernel in vectors along n, or infinity.
double cost_along(const Analysis& a, std::int64_t n, int lanes, std::uint64_t taken) {
    if (has(taken, n) || !may_be_vector(a, n, lanes)) return INFINITY;
    double cost = vector_cost(a, n, lanes);
    if (has(a.ordered, n))
        cost += 2 * std::bit_width(static_cast<unsigned>(lanes)) *
                a.volume(std::uint64_t{1} << n | a.outer) / lanes;
    return cost;
}

// The rest of a plan that has its vector range.
void choose_within(const Analysis& a, const Target& target, bool copies, Plan& plan) {
    // A short range does with fewer lanes.
    while (plan.lanes > 2 && plan.lanes / 2 >= a.size(plan.vector)) plan.lanes /= 2;
    const bool sorts =
        std::ranges::any_of(a.reductions, [](const Reducing& r) { return r.node->is(Op::Order); });
    if (sorts || has(a.ordered, plan.vector)) return;
    if (!a.reductions.empty()) {
        if (choose_overlapping(a, target, plan)) return;
        choose_contraction(a, target, copies, plan);
        choose_windows(a, plan);
        choose_lanes_apart(a, plan);
    } else {
        const std::int64_t most = std::max<std::int64_t>(1, a.size(plan.vector) / plan.lanes);
        plan.vectors = a.value_nodes > kFewOps || a.accesses.size() > 8
                           ? 1
                           : static_cast<int>(std::min<std::int64_t>(2, most));
        choose_rows(a, plan);
        if (a.ordered == 0) choose_selection(a, plan);
        // Where one thread goes through all of an order, it takes what lies side by side together.
        if (a.ordered != 0 && !plan.squares)
            plan.vectors =
                static_cast<int>(std::clamp<std::int64_t>(most / kOrderedTrips, 1, kMostVectors));
    }
}

}  // namespace

Plan choose(const Analysis& a, const Target& target, std::optional<std::vector<Ref>> trips,
            bool copies) {
    Plan plan;
    plan.trips = std::move(trips);
    const std::uint64_t taken = trips_mask(plan);
    double best = 0;
    for (const MemoryAccess& m : a.accesses) best += a.volume(m.region);
    for (const Reducing& r : a.reductions) best += r.volume;
    best += a.value_work;
    for (std::int64_t n : a.numbers) {
        const int lanes = vector_lanes(a, n, target);
        const double cost = cost_along(a, n, lanes, taken);
        // Ties go to the later range: the inner one of row-major memory.
        if (cost <= best) {
            best = cost;
            plan.vector = n;
            plan.lanes = lanes;
        }
    }
    if (plan.vector >= 0) choose_within(a, target, copies, plan);
    return plan;
}

std::vector<Plan> choose_several(const Analysis& a, const Target& target,
                                 const std::optional<std::vector<Ref>>& trips, bool copies) {
    std::vector<Plan> plans{choose(a, target, trips, copies)};
    const Plan first = plans[0];
    // What is sorted, or goes on from step to step, leaves no more to choose.
    const bool in_order =
        (first.vector >= 0 && has(a.ordered, first.vector)) ||
        std::ranges::any_of(a.reductions, [](const Reducing& r) { return r.node->is(Op::Order); });
    // Other tiles, and variants of the plan.
    std::vector<Plan> tiles, variants;
    if (!in_order) tiles = contraction_plans(a, target, copies, first);
    for (Plan& plan : tiles) choose_windows(a, plan);
    if (first.vector >= 0 && !first.contraction && !in_order) {
        const std::int64_t most = a.size(first.vector) / first.lanes;
        for (int vectors : {4, 1, 2, 8}) {
            if (vectors > most || vectors == first.vectors || first.squares) continue;
            variants.push_back(first);
            variants.back().vectors = vectors;
        }
        if (first.squares || !first.unrolled.empty()) {
            variants.push_back(first);
            variants.back().squares = false;
            variants.back().unrolled.clear();
        }
        if (first.lanes >= 4 && first.unrolled.empty()) {
            variants.push_back(first);
            variants.back().lanes /= 2;
        }
    }
    // Vectors along others, by their cost.
    std::vector<std::pair<double, std::int64_t>> ranges;
    for (std::int64_t n : a.numbers) {
        const double cost = cost_along(a, n, vector_lanes(a, n, target), trips_mask(first));
        if (n != first.vector && cost < INFINITY) ranges.emplace_back(cost, n);
    }
    std::ranges::sort(ranges);
    std::vector<Plan> others;
    for (const auto& [cost, n] : ranges) {
        Plan plan;
        plan.trips = trips;
        plan.vector = n;
        plan.lanes = vector_lanes(a, n, target);
        choose_within(a, target, copies, plan);
        others.push_back(std::move(plan));
    }
    for (std::size_t i = 0; i < std::max({tiles.size(), variants.size(), others.size()}); ++i)
        for (const std::vector<Plan>* list : {&tiles, &variants, &others})
            if (i < list->size()) plans.push_back((*list)[i]);
    return plans;
}

}  // namespace sinter::codegen
