#include "choose_gpu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "order.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr int kWarp = 32;
constexpr int kBlock = 256;                                    // threads of a block
constexpr std::int64_t kSharedBytes = (48 << 10) - (2 << 10);  // of a block, but for exchanges
constexpr double kBusyTrips = 4096;       // threads below which a thread a trip leaves a GPU idle
constexpr double kTileTrips = 2048;       // threads to leave when a thread computes a tile
constexpr std::int64_t kShort = 8;        // steps that are not worth a team
constexpr std::int64_t kBlockRow = 1024;  // steps from which a block shares a trip
constexpr int kSideBySide = 16;           // bytes that one instruction reads
constexpr int kManyOps = 128;  // value ops of a thread beyond which its code is long enough
constexpr std::int64_t kBlocksWanted = 264;

bool is_constant(Ref range) { return range->src(0)->is(Op::Const); }

// Steps of accesses that lie side by side along the range, and, counting a little, of those that it
// does not move.
double near_steps(const Analysis& a, std::int64_t n) {
    constexpr double kSamePlace = 0.01;
    double steps = 0;
    for (const MemoryAccess& m : a.accesses) {
        if (!has(m.region, n) || has(m.general, n)) continue;
        if (std::abs(m.stride[n]) == 1) steps += a.volume(m.region);
        if (m.stride[n] == 0) steps += a.volume(m.region) * kSamePlace;
    }
    return steps;
}

struct Best {
    std::int64_t range = -1;
    double steps = -1;
};

template <class Allowed>
Best nearest(const Analysis& a, const Allowed& allowed) {
    Best best;
    for (std::int64_t n : a.numbers) {
        if (!allowed(n) || a.size(n) < 2) continue;
        const double steps = near_steps(a, n);
        if (steps > best.steps || (steps == best.steps && a.size(n) > a.size(best.range)))
            best = {n, steps};
    }
    return best;
}

struct Choice {
    std::int64_t lane = -1;  // range shared by the threads of a team
    int lanes = 1;
    std::vector<Plan::Unrolled> unrolled;  // copies a thread keeps
};

// Results that share operands: a thread computes a tile of them.
void choose_results(const Analysis& a, std::int64_t fastest, double trips, Choice& choice) {
    const auto main = std::ranges::max_element(
        a.reductions, {}, [](const Reducing& r) { return r.volume * (1 + r.ops); });
    if (main == a.reductions.end() || main->loads.size() < 2) return;
    const auto reused = [&](std::int64_t n) {
        return has(main->scope & a.outer, n) && is_constant(a.range[n]) &&
               std::ranges::any_of(main->loads,
                                   [&](std::size_t l) { return !a.accesses[l].depends(n); });
    };
    std::int64_t other = -1;
    for (std::int64_t n : a.numbers)
        if (n != fastest && reused(n) && (other < 0 || a.size(n) > a.size(other))) other = n;
    double left = trips / kTileTrips;
    for (std::int64_t n : {fastest, other}) {
        int by = 1;
        while (n >= 0 && reused(n) && by < 4 && left >= 2 && by * 2 <= a.size(n)) {
            by *= 2;
            left /= 2;
        }
        if (by > 1) choice.unrolled.push_back({n, by});
    }
}

// Neighbours that one instruction reads or writes, where they lie on borders of 16 bytes.
int neighbours(const Analysis& a, std::int64_t n) {
    std::size_t widest = 1;
    for (const MemoryAccess& m : a.accesses)
        if (std::abs(m.stride[n]) == 1) widest = std::max(widest, size_of(m.node->src(0)->dtype()));
    int copies = std::clamp(kSideBySide / static_cast<int>(widest), 1, 8);
    while (copies > 1 && copies * static_cast<int>(a.value_nodes) > kManyOps) copies /= 2;
    return copies;
}

Choice choose_ranges(const Analysis& a, GpuVariant variant) {
    Choice choice;
    const double trips = a.volume(a.outer);
    const Best grid = nearest(a, [&](std::int64_t n) { return has(a.outer, n); });
    const Best inside = nearest(a, [&](std::int64_t n) {
        return !has(a.outer, n) && !has(a.ordered, n) && is_constant(a.range[n]);
    });
    const bool reads_near = inside.steps > grid.steps;
    const bool team = variant != GpuVariant::ThreadATrip && (reads_near || trips < kBusyTrips);
    if (inside.range >= 0 && a.size(inside.range) > kShort && team) {
        const std::int64_t size = a.size(inside.range);
        choice.lane = inside.range;
        choice.lanes = (size >= kBlockRow) != (variant == GpuVariant::OtherTeam) ? kBlock : kWarp;
        const int copies = neighbours(a, inside.range);
        if (size % copies == 0 && size >= std::int64_t{choice.lanes} * copies && copies > 1 &&
            variant != GpuVariant::NoCopies)
            choice.unrolled.push_back({inside.range, copies});
        return choice;
    }
    if (grid.range < 0 || variant == GpuVariant::NoCopies) return choice;
    if (!a.reductions.empty()) {
        choose_results(a, grid.range, trips, choice);
        return choice;
    }
    const int copies = neighbours(a, grid.range);
    int parallel = 0;
    for (std::int64_t n : a.numbers) parallel += has(a.outer, n) ? 1 : 0;
    // A range of variable size, or a ragged one, must be the only one: its last trip differs.
    const bool even = is_constant(a.range[grid.range]) && a.size(grid.range) % copies == 0;
    if (copies > 1 && (even || parallel == 1) && a.size(grid.range) > copies)
        choice.unrolled.push_back({grid.range, copies});
    return choice;
}

// A contraction that blocks of threads compute in square tiles, with both operands in shared
// memory.
struct Shared {
    std::int64_t rows = -1, columns = -1, steps = -1;  // ranges
};

constexpr std::int64_t kTile = 64;       // results of a block along each side
constexpr std::int64_t kTileSteps = 16;  // of the reduction at a time
constexpr std::int64_t kOwn = 4;         // results of a thread along each side
constexpr double kTileBlocks = 8;        // fewer leave most of a GPU idle

std::optional<Shared> choose_shared(const Analysis& a) {
    if (a.reductions.size() != 1 || a.stores.size() != 1 || a.ordered != 0) return std::nullopt;
    const Reducing& r = a.reductions[0];
    if (!r.node->is(Op::Reduce) || r.loads.size() != 2) return std::nullopt;
    const MemoryAccess &x = a.accesses[r.loads[0]], &y = a.accesses[r.loads[1]];
    const auto plain = [](const MemoryAccess& m) {
        return m.general == 0 && m.node->src(2)->ranges() == 0 && m.node->src(0)->arg(0) >= 0;
    };
    if (x.node == y.node || !plain(x) || !plain(y)) return std::nullopt;
    Shared best;
    for (std::int64_t n : a.numbers) {
        if (!is_constant(a.range[n])) return std::nullopt;
        const bool by_x = x.depends(n), by_y = y.depends(n);
        if (has(r.closed, n)) {
            if (best.steps >= 0 || !by_x || !by_y) return std::nullopt;
            best.steps = n;
        } else if (has(a.outer, n) && by_x != by_y) {
            std::int64_t& side = by_x ? best.rows : best.columns;
            if (side < 0 || a.size(n) > a.size(side)) side = n;
        }
    }
    if (best.steps < 0 || best.rows < 0 || best.columns < 0) return std::nullopt;
    if (a.size(best.steps) < kTileSteps || a.size(best.rows) < kTile ||
        a.size(best.columns) < kTile ||
        a.volume(a.outer) < kTileBlocks * static_cast<double>(kTile * kTile))
        return std::nullopt;
    // Neighbours among the results are a thread's and its neighbours'.
    for (const MemoryAccess& m : a.accesses)
        if (m.is_store && m.stride[best.rows] == 1) std::swap(best.rows, best.columns);
    return best;
}

Placed share_tiles(Form& form, const Analysis& before, const Shared& tiles) {
    Placed result;
    for (std::int64_t n : before.numbers)
        if (n != tiles.rows && n != tiles.columns && n != tiles.steps)
            result.parallel.push_back(form.bind(before.range[n], Role::Parallel));
    struct Side {
        Ref row, copy;
    };
    const auto side = [&](std::int64_t n) {
        const Form::Halves blocks = form.split(before.range[n], kTile, Role::Parallel, Role::Loop);
        if (blocks.outer != nullptr) result.parallel.push_back(blocks.outer);
        const Form::Halves own = form.split(blocks.inner, kOwn, Role::Loop, Role::Unroll);
        return Side{own.outer, own.inner};
    };
    const Side rows = side(tiles.rows), columns = side(tiles.columns);
    const Form::Halves steps =
        form.split(before.range[tiles.steps], kTileSteps, Role::Serial, Role::Serial);
    const Ref lane =
        ir::range(form.arena(), form.fresh_number(), (kTile / kOwn) * (kTile / kOwn), Role::Vector);
    const Analysis split = analyse(form.sink());
    std::vector<Ref> loads;
    for (std::size_t l : split.reductions[0].loads) loads.push_back(split.accesses[l].node);
    for (Ref load : loads) {
        const Side& mine = (load->ranges() & range_bit(rows.row)) != 0 ? rows : columns;
        form.share(load, {mine.row, mine.copy, steps.inner}, lane);
    }
    form.join(rows.row, columns.row, lane);
    form.expand_unrolled();
    for (Ref r : result.parallel) result.order.push_back(r->arg(0));
    // The blocks of steps outside the steps of a block.
    if (steps.outer != nullptr) result.order.push_back(steps.outer->arg(0));
    result.order.push_back(steps.inner->arg(0));
    record(form, result);
    return result;
}

}  // namespace

Placed schedule_for_gpu(Form& form, bool plain, GpuVariant variant) {
    const Analysis before = analyse(form.sink());
    const bool ordered = has_order(form.sink());
    if (!plain && !ordered && variant != GpuVariant::NoSharedTiles)
        if (const auto tiles = choose_shared(before)) return share_tiles(form, before, *tiles);
    // What is sorted is one thread's.
    const Choice choice = plain || ordered ? Choice{} : choose_ranges(before, variant);
    struct Trip {
        Ref range;
        double near;
        std::int64_t stride;
    };
    std::vector<Trip> trips;
    for (std::int64_t n : before.numbers) {
        const Ref r = before.range[n];
        const bool outer = has(before.outer, n);
        const Role role = outer ? Role::Parallel : Role::Serial;
        const auto copies =
            std::ranges::find_if(choice.unrolled, [&](const auto& u) { return u.range == n; });
        Ref placed = nullptr;
        if (n == choice.lane) {
            const int by = copies == choice.unrolled.end() ? 1 : copies->by;
            const Form::Halves halves =
                form.split(r, std::int64_t{choice.lanes} * by, Role::Serial, Role::Loop);
            if (by > 1)
                form.split(halves.inner, by, Role::Vector, Role::Unroll);
            else
                form.bind(halves.inner, Role::Vector);
        } else if (copies != choice.unrolled.end()) {
            placed = form.split(r, copies->by, role, Role::Unroll).outer;
        } else {
            placed = form.bind(r, role);
        }
        if (!outer || placed == nullptr) continue;
        std::int64_t stride = 0;
        for (const MemoryAccess& m : before.accesses)
            if (m.is_store) stride = std::max(stride, std::abs(m.stride[n]));
        trips.push_back({placed, near_steps(before, n), stride});
    }
    form.expand_unrolled();

    std::ranges::stable_sort(trips, [](const Trip& x, const Trip& y) {
        return x.near != y.near ? x.near < y.near : x.stride > y.stride;
    });
    Placed result;
    for (const Trip& t : trips) {
        result.parallel.push_back(t.range);
        result.order.push_back(t.range->arg(0));
    }
    order_serial(form, result);
    record(form, result);
    return result;
}

Team team_of(Ref sink, std::int64_t trips, std::int64_t team_bytes) {
    Team team;
    for (Ref n : ir::toposort(std::span(&sink, 1)))
        if (n->is(Op::Range) && ir::role_of(n) == Role::Vector)
            team.lanes = static_cast<int>(n->src(0)->arg(0));
    team.per_block = std::max(1, kBlock / team.lanes);
    const auto too_many = [&] {
        return team.per_block * team_bytes > kSharedBytes ||
               (team.per_block * team.lanes > 2 * kWarp && trips / team.per_block < kBlocksWanted);
    };
    while (team.per_block > 1 && too_many()) team.per_block /= 2;
    return team;
}

}  // namespace sinter::codegen
