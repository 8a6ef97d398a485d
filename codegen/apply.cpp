// Applies a plan: ranges get their roles, operands are staged, and trips and loops their order.

#include <algorithm>
#include <cmath>
#include <numeric>

#include <sinter/ir/affine.h>
#include <sinter/ir/env.h>

#include "choose.h"
#include "emitter.h"

namespace sinter::codegen {

using ir::Role;

namespace {

constexpr double kRowBytes = 1 << 15;      // of the nearest cache, for a row kept near
constexpr double kLongRowBytes = 1 << 18;  // of the second, for one that is dear
constexpr double kTileBytes = 1 << 17;     // of the second, for the rows of a tile
constexpr double kNearColumns = 1 << 18;   // of the second, for an operand that is there as a whole
constexpr double kFarColumns = 1 << 20;    // what is not there any more when it is read again
constexpr int kDearOps = 12;
constexpr int kCostlyOps = 8;  // value ops above which computing again is dearer than reading back
constexpr std::int64_t kLinedTrips = 8;  // of a row whose first and last vectors are code apart

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
