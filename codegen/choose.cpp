#include "choose.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include <sinter/ir/affine.h>
#include <sinter/ir/env.h>

#include "contraction.h"
#include "emitter.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr double kGatherCost = 1.3;        // of an indexed lane, in scalar loads
constexpr std::int64_t kFarApart = 16;     // elements: neighbours across rows share no cache line
constexpr double kRowBytes = 1 << 15;      // of the nearest cache, for a row kept near
constexpr double kLongRowBytes = 1 << 18;  // of the second, for one that is dear
constexpr double kTileBytes = 1 << 17;     // of the second, for the rows of a tile
constexpr double kNearColumns = 1 << 18;   // of the second, for an operand that is there as a whole
constexpr double kFarColumns = 1 << 20;    // what is not there any more when it is read again
constexpr int kDearOps = 12;
constexpr int kCostlyOps = 8;  // value ops above which computing again is dearer than reading back
constexpr std::int64_t kWindow = 4, kWindowVectors = 18, kSelection = 4;
constexpr std::int64_t kTallWindow = 16, kSmallWindow = 9, kRowsOfWindows = 8, kDilation = 3;
constexpr int kLanesApart = 8;
constexpr std::int64_t kOrderedTrips = 8, kMostVectors = 8;
constexpr std::int64_t kLinedTrips = 8;  // of a row whose first and last vectors are code apart
constexpr std::size_t kFewOps = 16;      // value ops of which two copies hide each other's latency

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

// Short reductions inside others or alone, windows of a pooling, are code without loops: masks are
// constants, and their values do not wait for one another.
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

// Windows that overlap, of an image of which nothing else is read twice (depthwise convolutions,
// sliding sums): several rows of results at a time, so that a vector of the image is read once for
// all windows of theirs that it is in. The window's rows are code without loops, and its columns
// where both are few. Whether there are such windows.
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

// Lanes that are read one by one are as much code each, however many: more of them are no faster.
void choose_lanes_apart(const Analysis& a, Plan& plan) {
    if (plan.staged_for != 0 || plan.squares) return;
    const bool apart = std::ranges::any_of(a.accesses, [&](const MemoryAccess& m) {
        return !m.is_store && (m.region & a.closed) != 0 && !has(m.general, plan.vector) &&
               std::abs(m.stride[plan.vector]) > kWindow;
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

namespace {

// Copies the operand that choose_contraction meant to the thread's scratch, by steps of the
// reduction, the block's vectors side by side; of a trip with several blocks one after the other.
void stage(Form& form, Ref block, Ref lane, Ref vectors, bool squares) {
    const Analysis a = analyse(form.sink());
    std::uint64_t rows = 0;
    for (std::int64_t n : a.numbers)
        if (ir::role_of(a.range[n]) == Role::Unroll && a.range[n] != vectors)
            rows |= std::uint64_t{1} << n;
    for (const MemoryAccess& m : a.accesses) {
        if (m.is_store || m.general != 0 || (m.region & rows) != rows) continue;
        if (squares ? m.stride[lane->arg(0)] < 2 : m.stride[lane->arg(0)] != 1) continue;
        std::vector<Ref> over;
        bool own = true;
        for (std::int64_t n : a.numbers) {
            if (!m.depends(n)) continue;
            own = own && !has(rows, n);
            if (has(a.closed, n)) over.push_back(a.range[n]);
        }
        if (!own || over.empty()) continue;
        std::ranges::stable_sort(over, std::ranges::greater(),
                                 [&](Ref r) { return std::abs(m.stride[r->arg(0)]); });
        if (block != nullptr) over.insert(over.begin(), block);
        const std::size_t count = over.size();
        if (vectors != nullptr) over.push_back(vectors);
        over.push_back(lane);
        if (!squares) {
            form.stage(factor_of(a, m.node), over);
            return;
        }
        // The longest row along the reduction, walked as one range: masks would not know how far
        // each of its ranges is.
        std::size_t first = count - 1;
        const std::uint64_t masked = m.node->src(2)->ranges();
        while (first > 0 && (masked & (range_bit(over[first - 1]) | range_bit(over[first]))) == 0 &&
               m.stride[over[first - 1]->arg(0)] ==
                   m.stride[over[first]->arg(0)] * a.size(over[first]->arg(0)))
            --first;
        form.stage(m.node, over, {first, count}, static_cast<int>(a.size(lane->arg(0))));
        return;
    }
}

// Copies the operand that has these rows to the thread's scratch, a step of the reduction after the
// other. Gives the range that the copy goes through in their place.
Ref copy_rows(Form& form, const Analysis& a, std::int64_t rows, std::uint64_t trips) {
    for (const MemoryAccess& m : a.accesses) {
        if (m.is_store || m.general != 0 || m.stride[rows] != 1) continue;
        std::vector<Ref> over;
        for (std::int64_t n : a.numbers)
            if (m.depends(n) && has(a.closed, n)) over.push_back(a.range[n]);
        if (over.empty()) continue;
        std::ranges::stable_sort(over, std::ranges::greater(),
                                 [&](Ref r) { return std::abs(m.stride[r->arg(0)]); });
        for (std::int64_t n : a.numbers)
            if (n != rows && m.depends(n) && !has(a.closed | trips, n)) over.push_back(a.range[n]);
        over.push_back(a.range[rows]);
        // Steps a power of two apart would fall into few sets of the cache.
        const std::int64_t padding =
            kLineBytes / static_cast<std::int64_t>(size_of(m.node->dtype()));
        form.stage(m.node, over, {}, padding);
        return form.rename_in_copy(a.range[rows]);
    }
    return nullptr;
}

// The copy goes through `rows` in vectors.
void along_lanes(Form& form, Ref rows, Ref lane) {
    const Form::Halves halves = form.split(rows, lane->src(0)->arg(0), Role::Serial, Role::Loop);
    form.let(halves.inner, lane);
}

// The rows of a trip as what they are multiplied as, if that is made of what is read: once, a step
// of the reduction beside the other, not for each vector of columns. Where they are too many, those
// of a tile.
void stage_rows(Form& form, Ref lane) {
    const Analysis a = analyse(form.sink());
    for (const MemoryAccess& m : a.accesses) {
        if (m.is_store || m.general != 0 || m.depends(lane->arg(0)) ||
            m.node->src(0)->arg(0) == kThreadSlot)
            continue;
        const Ref factor = factor_of(a, m.node);
        if (factor == m.node) continue;
        std::vector<Ref> tiles, over, steps;
        std::uint64_t serial = 0;
        double bytes = static_cast<double>(size_of(factor->dtype())), times = 1;  // of a tile
        for (std::int64_t n : a.numbers) {
            const Ref r = a.range[n];
            const auto size = static_cast<double>(a.size(n));
            if (!has(a.closed, n) && ir::role_of(r) == Role::Serial) serial |= range_bit(r);
            if (!m.depends(n)) continue;
            if (!has(a.closed, n) && ir::role_of(r) == Role::Serial) {
                tiles.push_back(r);
                times *= size;
            } else if (has(a.closed, n) || ir::role_of(r) == Role::Unroll) {
                (has(a.closed, n) ? steps : over).push_back(r);
                bytes *= size;
            }
        }
        if (over.empty() || steps.empty() || bytes > kTileBytes) continue;
        std::uint64_t mine = 0;
        for (Ref r : tiles) mine |= range_bit(r);
        if (bytes * times <= kTileBytes)
            over.insert(over.begin(), tiles.begin(), tiles.end());
        else if (const std::uint64_t others = renewed_ranges(form.sink()) & serial;
                 mine != 0 && others != 0 && mine != others)
            continue;  // copies are renewed together
        std::ranges::stable_sort(steps, std::ranges::greater(),
                                 [&](Ref r) { return std::abs(m.stride[r->arg(0)]); });
        const Ref along = steps.back();
        if (m.stride[along->arg(0)] != 1 || a.size(along->arg(0)) < a.size(lane->arg(0))) continue;
        over.insert(over.end(), steps.begin(), steps.end());
        form.stage(factor, over);
        along_lanes(form, form.rename_in_copy(along), lane);
        return;
    }
}

// The values below `root` that are computed in its own pass: not those of reductions, which come
// before.
std::vector<Ref> own_values(Ref root) {
    std::vector<Ref> found, stack{root};
    RefMap<char> seen;
    while (!stack.empty()) {
        const Ref n = stack.back();
        stack.pop_back();
        if (seen.contains(n) || n->is(Op::Reduce) || n->is(Op::Accumulate) || n->is(Op::Order))
            continue;
        seen[n] = 1;
        found.push_back(n);
        stack.insert(stack.end(), n->src().begin(), n->src().end());
    }
    return found;
}

int value_ops(Ref root) {
    return static_cast<int>(std::ranges::count_if(own_values(root), [](Ref n) {
        return (ir::is_elementwise(n->op()) || n->is(Op::Fma)) && n->dtype() != DType::Index &&
               n->dtype() != DType::Bool;
    }));
}

// A value that several passes over the same row compute, at some cost, and a row of which fits the
// nearest cache; null if there is none. Of values that contain one another the outermost.
Ref value_to_stage(const Form& form, Ref lane, std::span<const Ref> row, double row_bytes,
                   std::span<const Ref> rows) {
    if (row_bytes > kLongRowBytes) return nullptr;
    const std::uint64_t lanes = range_bit(lane);
    std::uint64_t one_row =
        0;  // ranges of which the row has every value: its own, the trip's, and `rows`
    for (Ref r : row) one_row |= range_bit(r);
    for (Ref r : rows) one_row |= range_bit(r);
    std::vector<Ref> passes;
    const Ref sink = form.sink();
    for (Ref n : ir::toposort(std::span(&sink, 1))) {
        if (n->is(Op::Range) && ir::role_of(n) == Role::Parallel) one_row |= range_bit(n);
        if (n->is(Op::Store) && (n->ranges() & lanes) != 0) passes.push_back(n->src(2));
        if (n->is(Op::Reduce) && closes(n, lane)) passes.push_back(n->src(0));
    }
    RefMap<int> times;
    std::vector<Ref> values;
    for (Ref pass : passes)
        for (Ref n : own_values(pass)) {
            int& count = times[n];
            if (++count == 2) values.push_back(n);
        }
    Ref best = nullptr;
    int most = (row_bytes > kRowBytes ? kDearOps : kCostlyOps) - 1;
    for (Ref n : values) {
        const bool value = ir::is_elementwise(n->op()) && n->dtype() == f32 &&
                           (n->ranges() & lanes) != 0 && (n->ranges() & ~one_row) == 0;
        if (!value) continue;
        const int ops = value_ops(n);
        if (ops > most) {
            most = ops;
            best = n;
        }
    }
    return best;
}

// The reductions that compute `value` in their own pass before any other does: it is kept as they
// go.
std::vector<Ref> first_passes(const Form& form, Ref lane, Ref value) {
    std::vector<Ref> first;
    RefMap<char> above;  // what a pass with the value comes before
    const Ref sink = form.sink();
    for (Ref n : ir::toposort(std::span(&sink, 1))) {
        const bool later = std::ranges::any_of(n->src(), [&](Ref s) { return above.contains(s); });
        bool pass = false;
        if ((n->is(Op::Reduce) || n->is(Op::Accumulate)) && closes(n, lane))
            for (Ref root : n->src().first(value_count(n)))
                pass = pass || std::ranges::count(own_values(root), value) != 0;
        if (pass && !later) first.push_back(n);
        if (pass || later) above[n] = 1;
    }
    return first;
}

// The memory of `streamed` whose rows do not begin where lines do, if the plan goes through them
// one by one and in vectors that fill a line; -1 if there is none. Rows begin at a line's begin
// then, in front of their first element, since only whole lines go past the caches.
std::int64_t lined_memory(const Analysis& a, const Plan& plan, std::span<const Streamed> streamed) {
    const std::int64_t v = plan.vector;
    if (v < 0 || !plan.unrolled.empty() || plan.staged_for != 0 || plan.copied_rows >= 0 ||
        plan.contraction || plan.squares || plan.trips || a.ordered != 0 ||
        !a.range[v]->src(0)->is(Op::Const) ||
        std::ranges::any_of(
            a.reductions, [](const Reducing& r) { return !r.node->is(Op::Reduce); }))
        return -1;
    const bool all = ir::env::number("STREAM") == 2;
    const std::int64_t step = std::int64_t{plan.vectors} * plan.lanes;
    if (a.size(v) < (all ? step : kLinedTrips * step)) return -1;
    // Blocks of the row must be a loop, not trips that threads share.
    if (!all && has(a.outer, v) && a.volume(a.outer & ~range_bit(a.range[v])) < kEnoughTrips)
        return -1;
    for (const MemoryAccess& m : a.accesses) {
        if (!m.is_store || m.general != 0 || m.stride[v] != 1) continue;
        const std::int64_t slot = m.node->src(0)->arg(0);
        const auto bytes = static_cast<std::int64_t>(size_of(m.node->src(2)->dtype()));
        if (plan.lanes * bytes != kLineBytes ||
            std::ranges::none_of(
                streamed, [&](const Streamed& s) { return s.slot == slot && s.size == nullptr; }))
            continue;
        // Where a row's line begins must be one place for all of its passes.
        std::int64_t apart = ir::affine(m.node->src(1)).constant;
        bool fixed = true;
        for (std::int64_t n : a.numbers) {
            if (n == v) continue;
            apart = std::gcd(apart, m.stride[n]);
            fixed = fixed && (m.stride[n] == 0 || !has(a.closed, n));
        }
        if (fixed && apart * bytes % kLineBytes != 0) return slot;
    }
    return -1;
}

// Whether each step of the range multiplies other numbers.
bool is_batch(const Analysis& a, std::int64_t n) {
    return std::ranges::all_of(a.reductions, [&](const Reducing& r) {
        return std::ranges::all_of(r.loads,
                                   [&](std::size_t l) { return a.accesses[l].depends(n); });
    });
}

// Whether each step of the range has other memory along the vectors of a tile.
bool has_own_columns(const Analysis& a, std::int64_t vector, std::int64_t n) {
    return std::ranges::all_of(a.accesses, [&](const MemoryAccess& m) {
        return m.is_store || !m.depends(vector) || m.depends(n);
    });
}

// Whether the tiles' rows have more memory than their columns: trips that have other rows come
// last, so that rows are read from afar once.
bool rows_are_larger(const Analysis& a, std::int64_t vector) {
    double rows = 0, columns = 0;
    for (const MemoryAccess& m : a.accesses)
        if (!m.is_store) (m.depends(vector) ? columns : rows) += a.bytes_of(m);
    return rows > columns;
}

// Whether all that is read along the vectors of a tile stays near, whichever block of it is next:
// rows of results are written as they lie then.
bool columns_stay_near(const Analysis& a, std::int64_t vector) {
    double bytes = 0;
    for (const MemoryAccess& m : a.accesses)
        if (!m.is_store && m.depends(vector)) bytes += a.bytes_of(m);
    return bytes <= kNearColumns;
}

// Bytes along the vectors of a tile that are read once more for each tile of rows if trips are in
// that order; `tiled` are the ranges that tiles of rows are of.
double columns_again(const Analysis& a, const Plan& plan, std::uint64_t tiled,
                     std::span<const Ref> trips) {
    double most = 0;
    for (const MemoryAccess& m : a.accesses) {
        if (m.is_store || !m.depends(plan.vector) || (a.ranges_of(m) & tiled) != 0) continue;
        std::uint64_t walked = a.ranges_of(m) & (a.closed | std::uint64_t{1} << plan.vector);
        bool again = false;
        for (Ref r : trips) {
            if (again && m.depends(r->arg(0))) walked |= range_bit(r);
            again = again || !m.depends(r->arg(0));
        }
        most = std::max(most, a.volume(walked) * static_cast<double>(size_of(m.node->dtype())));
    }
    return tiled == 0 ? 0 : most;
}

}  // namespace

Placed apply(Form& form, const Analysis& before, const Plan& plan) {
    std::vector<Ref> parallel, blocks, tiles, batches, within_blocks, within;
    std::uint64_t tiled = 0;
    // Of a tile of dot products, the blocks of the longer operand run outermost: it is gone through
    // once.
    const bool dots = plan.contraction && has(before.closed, plan.vector);
    Ref lane = nullptr, vectors = nullptr, outer_block = nullptr, copied = nullptr;
    const std::vector<Streamed> streamed = large_results(before, plan.contraction);
    const std::int64_t lined = lined_memory(before, plan, streamed);
    if (plan.copied_rows >= 0) copied = copy_rows(form, before, plan.copied_rows, trips_mask(plan));
    for (std::int64_t n : before.numbers) {
        const Ref r = before.range[n];
        const bool result = has(before.outer, n);
        const bool outer = plan.trips ? has(trips_mask(plan), n)
                                      : result && (plan.staged_for == 0 || has(plan.staged_for, n));
        const Role role = outer ? Role::Parallel : Role::Serial;
        const auto unrolled =
            std::ranges::find_if(plan.unrolled, [&](const auto& u) { return u.range == n; });
        if (n == plan.vector) {
            const std::int64_t step = std::int64_t{plan.vectors} * plan.lanes;
            const Role inner = plan.vectors > 1 ? Role::Loop : Role::Vector;
            const Form::Halves halves = plan.panel  ? form.split(r, step, Role::Serial, inner)
                                        : lined < 0 ? form.split(r, step, role, inner)
                                                    : form.split_lined(r, step, role, inner, lined);
            outer_block = halves.outer;
            if (halves.outer != nullptr && outer && !plan.panel)
                (plan.contraction ? blocks : parallel).push_back(halves.outer);
            else if (halves.outer != nullptr && result && !plan.panel)
                (plan.contraction ? within_blocks : within).push_back(halves.outer);
            if (plan.vectors > 1) {
                const Form::Halves parts =
                    form.split(halves.inner, plan.lanes, Role::Unroll, Role::Vector);
                vectors = parts.outer;
                lane = parts.inner;
            } else {
                lane = halves.inner;
            }
        } else if (unrolled != plan.unrolled.end()) {
            if (result) tiled |= std::uint64_t{1} << n;
            Form::Halves halves = form.split(r, unrolled->by, role, Role::Unroll);
            if (halves.outer != nullptr && unrolled->chunk > 0) {
                halves = form.split(halves.outer, unrolled->chunk, Role::Parallel, Role::Serial);
                if (halves.outer != nullptr) parallel.push_back(halves.outer);
                halves.outer = halves.inner;
            }
            if (halves.outer != nullptr && outer)
                (dots || plan.squares ? tiles : parallel).push_back(halves.outer);
            else if (halves.outer != nullptr && result)
                within.push_back(halves.outer);
        } else if (n == plan.chunks.range) {
            const Form::Halves halves =
                form.split(r, plan.chunks.size, Role::Parallel, Role::Serial);
            if (halves.outer != nullptr) parallel.push_back(halves.outer);
            within.push_back(halves.inner);
        } else {
            const Ref bound = form.bind(r, role);
            // What is copied for some of these ranges is there before the others begin.
            if (outer)
                parallel.push_back(bound);
            else if (plan.contraction && result && is_batch(before, n))
                batches.push_back(bound);
            else if (result)
                (has(plan.staged_for, n) ? within_blocks : within).push_back(bound);
        }
    }
    Placed result;
    const Ref tile_of_panel = plan.panel ? outer_block : nullptr;
    if (tile_of_panel != nullptr) within.push_back(tile_of_panel);  // innermost
    if (plan.staged_for != 0) stage(form, tile_of_panel, lane, vectors, plan.squares);
    if (plan.staged_for != 0 && plan.contraction && plan.vectors > 1 && copied == nullptr)
        stage_rows(form, lane);
    if (copied != nullptr) along_lanes(form, copied, lane);
    // Passes over the rows, one row at a time: what they share is kept near.
    if (plan.unrolled.empty() && plan.vector >= 0 && has(before.closed, plan.vector)) {
        const double steps = before.volume(before.closed),
                     row = static_cast<double>(before.size(plan.vector));
        std::vector<Ref> over;
        if (outer_block != nullptr) over.push_back(outer_block);
        if (vectors != nullptr) over.push_back(vectors);
        over.push_back(lane);
        const Ref shared =
            steps == row ? value_to_stage(form, lane, over, row * sizeof(float), within) : nullptr;
        if (shared != nullptr) form.stage(shared, over, first_passes(form, lane, shared));
    }
    form.expand_unrolled(vectors);
    // What has one step alone may be gone.
    const Ref sink = form.sink();
    std::uint64_t there = 0;
    for (Ref n : ir::toposort(std::span(&sink, 1)))
        if (n->is(Op::Range)) there |= range_bit(n);
    for (std::vector<Ref>* some : {&parallel, &blocks, &tiles, &batches, &within, &within_blocks})
        std::erase_if(*some, [&](Ref r) { return (there & range_bit(r)) == 0; });

    std::ranges::stable_sort(tiles, std::ranges::greater(),
                             [](Ref r) { return r->src(0)->arg(0); });
    parallel.insert(parallel.end(), tiles.begin(), tiles.end());
    result.parallel = blocks;
    const bool rows_first = plan.contraction && !dots && plan.staged_for == 0 &&
                            copied == nullptr && columns_stay_near(before, plan.vector);
    result.parallel.insert(rows_first ? result.parallel.begin() : result.parallel.end(),
                           parallel.begin(), parallel.end());
    // Images are gone through one after the other: blocks of one follow each other in memory. So
    // are rows that are larger than columns, and columns in matrices of one block each.
    const auto walks_apart = [&] {
        return plan.staged_for != 0
                   ? !blocks.empty()
                   : !dots && columns_again(before, plan, tiled, parallel) > kFarColumns;
    };
    if (plan.contraction && walks_apart()) {
        const bool larger = rows_are_larger(before, plan.vector);
        std::ranges::stable_partition(result.parallel, [&](Ref r) {
            return std::ranges::find(blocks, r) == blocks.end() &&
                   (larger || has_own_columns(before, plan.vector, r->arg(0)));
        });
    }
    if (plan.trips) result.parallel = *plan.trips;
    for (Ref r : result.parallel) result.order.push_back(r->arg(0));
    if (!plan.contraction && !plan.trips) {
        double trips = 1;
        for (Ref r : result.parallel)
            trips *= r->src(0)->is(Op::Const) ? static_cast<double>(r->src(0)->arg(0)) : INFINITY;
        while (!result.parallel.empty() && trips < INFINITY) {
            const Ref last = result.parallel.back();
            trips /= static_cast<double>(last->src(0)->arg(0));
            if (trips < kEnoughTrips) break;
            form.bind(last, Role::Serial);
            result.parallel.pop_back();
        }
    }
    if (plan.staged_for != 0 || plan.trips) {
        within.insert(within.begin(), within_blocks.begin(), within_blocks.end());
        within.insert(within.begin(), batches.begin(), batches.end());
        for (Ref r : within) result.order.push_back(r->arg(0));
    }
    order_serial(form, result);
    result.squares = plan.squares;
    result.lanes = plan.vector < 0 ? 1 : plan.lanes;
    result.streamed = streamed;
    result.prefetch = !before.reductions.empty();
    result.far = read_far(before);
    record(form, result);
    return result;
}

}  // namespace sinter::codegen
