#include "blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "scratch.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr double kPanelWidth = 256;  // bytes of an operand's rows that a register tile takes
constexpr std::int64_t kLine = 64, kLongRow = 2048, kLanes = 16;
constexpr std::int64_t kTileRows = 12;  // whole register tiles of 2, 3, 4, 6 or 12
constexpr double kCopyRows = 16;        // rows computed in the time of a copy, transposed
constexpr double kNarrow = 1.06;        // cost of tiles of one vector, which load more
constexpr double kFarUses = 80;     // products of an element in the time of reading it from afar
constexpr double kChunkSteps = 64;  // of a sum, in the time of writing and reading a part of it
// Results so few that their rows alone would keep no threads busy, or each thread read all of an
// operand; the sum has chunks enough to do so.
constexpr double kFewResults = 1 << 14, kLongSum = 1 << 13;
// So few rows that each of their operand's columns is used a few times, and then gone. A block has
// as many of its rows as the machine foresees walks of, side by side, and long pieces of them; the
// sums take a share of the second-level cache.
constexpr double kLeastRows = 1, kFewRows = 72;
constexpr std::int64_t kFewSteps = 16, kFewTrips = 4, kFewColumns = 4096;
constexpr double kFewSumsShare = 0.375;
// Rows whose operand is transposed in place of the columns', columns of a trip then, and steps.
constexpr std::int64_t kLeastTurned = 48, kMostTurned = 256, kTurnedTrips = 8, kTurnedColumns = 512,
                       kTurnedSteps = 1024, kSpareLanes = 12;
// Of windows, steps whose part of a panel stays in the nearest cache; a panel of the whole sum that
// takes so much of the second-level cache is worth reading and writing sums for that.
constexpr std::int64_t kWindowSteps = 160;
constexpr double kWindowPanelShare = 0.1;

// What is cut, and into what.
struct Sizes {
    double panel_share = 0.625;  // of the second-level cache, for all steps of a panel
    double near_share = 1;       // operands that are so small are near as they lie
    double few_steps = 256;      // no copy pays for so few
    std::int64_t few_uses = 16;  // of an operand: not worth a copy
    std::int64_t steps = 512;    // of a block: its part of a panel fits near
    std::int64_t columns = 64;   // of a trip: a register tile wide
    std::int64_t most_rows = 1024, least_rows = 64;
    // Where both operands are copied: a panel of so many steps stays in the nearest cache, but each
    // block reads and writes the sums again. Few steps are one block.
    std::int64_t copied_steps = 128, copied_rows = 384, few_copied_rows = 256;
    std::int64_t trips = 8;  // keep threads busy
    std::array<std::int64_t, 4> window_columns = {128, 64, 32, 16};
    std::int64_t chunks = 8;
};
// So that small kernels go the same ways.
constexpr Sizes kForced{0, 0, 2, 1, 3, 20, 9, 9, 3, 9, 9, 1, {7, 5, 3, 2}, 2};

constexpr std::size_t kAnyOperands = 1;
constexpr std::int64_t kNearSum = ir::kNearSlot;

// Ranges of the result that the same operands depend on.
struct Group {
    std::uint64_t loads = 0;
    std::vector<std::int64_t> ranges;  // the longest first
    std::int64_t stride = INT64_MAX;   // of the result, the shortest
};

// About `most` of n, in even parts of whole `units` where there are any that are not much less;
// otherwise `step` divides it, so that the last part alone is ragged.
std::int64_t part_of(std::int64_t n, std::int64_t most, std::int64_t unit, std::int64_t step) {
    if (n <= most) return n;
    for (std::int64_t d = most / unit * unit; d > most / 2; d -= unit)
        if (n % d == 0) return d;
    const std::int64_t parts = (n + most - 1) / most;
    return ((n + parts - 1) / parts + step - 1) / step * step;
}

// At most `most` steps of a group's ranges for a trip, the longest range first; `width` of the
// result's columns make whole register tiles, 0 where the ranges are its rows.
std::vector<BlockPart> parts_of(const Analysis& a, const Group& group, std::int64_t most,
                                std::int64_t width) {
    std::vector<BlockPart> parts;
    for (std::int64_t n : group.ranges) {
        const bool few = most < kLanes;
        const std::int64_t unit = width > 0 && !few ? kLanes : 1;
        const std::int64_t step = few ? 1 : width > 0 ? width : kTileRows;
        const std::int64_t mine = std::min(part_of(a.size(n), most, unit, step), a.size(n));
        parts.push_back({n, mine});
        most = std::max<std::int64_t>(1, most / mine);
    }
    return parts;
}

// Whether every step of the sum lies on lines of its own in all operands, of which a part is used
// at a time.
bool steps_apart(const Analysis& a, const Reducing& r) {
    return std::ranges::none_of(r.loads, [&](std::size_t l) {
        const MemoryAccess& m = a.accesses[l];
        const auto bytes = static_cast<std::int64_t>(size_of(m.node->dtype()));
        return (m.general & r.closed) != 0 || std::ranges::any_of(a.numbers, [&](std::int64_t n) {
                   return has(r.closed, n) && a.size(n) > 1 &&
                          std::abs(m.stride[n]) * bytes < kLine;
               });
    });
}

// Bytes that the sum reads, each once.
double operand_bytes(const Analysis& a, const Reducing& r) {
    double bytes = 0;
    for (std::size_t l : r.loads) bytes += a.bytes_of(a.accesses[l]);
    return bytes;
}

// Where there is one row alone: its columns, which one operand has side by side, and no rows.
std::vector<Group> groups_of_one_row(const Analysis& a, const Reducing& r) {
    for (std::int64_t n : a.numbers) {
        if (!has(r.scope, n)) continue;
        Group columns{0, {n}};
        bool side_by_side = false;
        for (std::size_t l = 0; l < r.loads.size(); ++l) {
            const MemoryAccess& m = a.accesses[r.loads[l]];
            if (m.depends(n)) columns.loads |= std::uint64_t{1} << l;
            side_by_side = side_by_side || m.stride[n] == 1;
        }
        if (side_by_side && std::has_single_bit(columns.loads)) return {columns, {}};
    }
    return {};
}

// Ranges of the result along which an operand is read at the same places as along the sum's: the
// elements of a window.
std::uint64_t window_ranges(const Analysis& a, const Reducing& r) {
    std::uint64_t windows = 0;
    for (std::size_t l : r.loads) {
        const MemoryAccess& m = a.accesses[l];
        for (std::int64_t n : a.numbers) {
            if (!has(r.scope, n) || m.stride[n] == 0 || a.size(n) < 2) continue;
            for (std::int64_t k : a.numbers) {
                if (!has(r.closed, k) || m.stride[k] == 0 || a.size(k) < 2) continue;
                const std::int64_t along = std::abs(m.stride[n]), step = std::abs(m.stride[k]);
                if (along < step * a.size(k) && step < along * a.size(n))
                    windows |= std::uint64_t{1} << n;
            }
        }
    }
    return windows;
}

// Whether an operand's panel of all steps would not stay near, or parts of lines would be gone
// before the others are used.
bool pays(const Analysis& a, const Reducing& r, const Sizes& sizes, std::int64_t cache_bytes) {
    const auto cache = static_cast<double>(cache_bytes);
    const double steps = a.volume(r.closed);
    return steps * kPanelWidth > sizes.panel_share * cache ||
           (steps >= sizes.few_steps && operand_bytes(a, r) > sizes.near_share * cache &&
            steps_apart(a, r));
}

// The ranges of the result by the operands that depend on them, without those that all do.
std::vector<Group> groups_of(const Analysis& a, const Reducing& r) {
    std::uint64_t all = 0;
    std::vector<Group> groups;
    for (std::size_t l = 0; l < r.loads.size(); ++l)
        for (std::int64_t n : a.numbers)
            if (has(r.scope, n) && a.accesses[r.loads[l]].depends(n)) all |= std::uint64_t{1} << l;
    for (std::int64_t n : a.numbers) {
        if (!has(r.scope, n)) continue;
        std::uint64_t loads = 0;
        for (std::size_t l = 0; l < r.loads.size(); ++l)
            if (a.accesses[r.loads[l]].depends(n)) loads |= std::uint64_t{1} << l;
        if (loads == all) continue;
        auto group = std::ranges::find(groups, loads, &Group::loads);
        if (group == groups.end()) group = groups.insert(group, {loads, {}});
        group->ranges.push_back(n);
        for (const MemoryAccess& m : a.accesses)
            if (m.is_store && m.stride[n] != 0)
                group->stride = std::min(group->stride, std::abs(m.stride[n]));
    }
    // Whole lines of an operand are used together.
    const auto in_lines = [&](std::int64_t n) {
        return std::ranges::any_of(r.loads, [&](std::size_t l) {
            const MemoryAccess& m = a.accesses[l];
            return m.stride[n] == 1 &&
                   a.size(n) * static_cast<std::int64_t>(size_of(m.node->dtype())) >= kLine;
        });
    };
    for (Group& g : groups)
        std::ranges::stable_sort(g.ranges, std::greater(),
                                 [&](auto n) { return std::pair(in_lines(n), a.size(n)); });
    std::ranges::stable_sort(groups, {}, &Group::stride);
    return groups;
}

// The parts of a sum of which one operand is seen through windows. Their elements stay together, so
// that this operand is read as it lies, side by side, and the other, transposed, is copied for all
// of them at once: the first group given is the other's, the result's columns. Nothing where there
// are too few trips.
struct WindowParts {
    std::vector<std::vector<BlockPart>> parts;
    double cost = INFINITY;  // of what is not arithmetic, beside it
};
WindowParts parts_of_windows(const Analysis& a, std::vector<Group>& groups, std::uint64_t windows,
                             double batches, const Sizes& sizes) {
    const auto seen = std::ranges::find_if(groups, [&](const Group& g) {
        return has(windows, g.ranges.front()) ||
               std::ranges::any_of(g.ranges, [&](auto n) { return has(windows, n); });
    });
    if (seen == groups.end()) return {};
    if (seen == groups.begin()) std::swap(groups[0], groups[1]);
    const Group &columns = groups[0], &rows = groups[1];
    if (std::ranges::any_of(columns.ranges, [&](auto n) { return has(windows, n); })) return {};
    double others = 1, elements = 1;
    std::int64_t longest = -1;  // of the rows that are no windows
    for (std::int64_t n : rows.ranges) {
        (has(windows, n) ? elements : others) *= static_cast<double>(a.size(n));
        if (!has(windows, n) && longest < 0) longest = n;
    }
    std::int64_t width = 0, share = 0;
    double best = INFINITY;
    const auto all = static_cast<double>(a.size(columns.ranges.front()));
    double more = 1;  // columns besides the longest range
    for (std::int64_t n : std::span(columns.ranges).subspan(1))
        more *= static_cast<double>(a.size(n));
    for (std::int64_t w : sizes.window_columns) {
        if (w > a.size(columns.ranges.front())) continue;
        const double blocks = std::ceil(all / static_cast<double>(w));
        const double need = std::ceil(static_cast<double>(sizes.trips) / (blocks * more * batches));
        const double longest_size = longest < 0 ? 1 : static_cast<double>(a.size(longest));
        if (need > longest_size) continue;
        const double each = others / longest_size * elements;
        const double mine = std::max(
                         1.0, std::floor(std::min(longest_size / need,
                                                  static_cast<double>(sizes.most_rows) / each))),
                     together = mine * each;
        // Each element of the columns is copied in the time of so many steps of a row.
        const double cost = (1 + kCopyRows / together) * (w < 2 * kLanes ? kNarrow : 1) * blocks *
                                static_cast<double>(w) / all +
                            kFarUses / (elements * static_cast<double>(w));
        if (cost >= best) continue;
        best = cost;
        width = w;
        share = static_cast<std::int64_t>(mine);
    }
    if (width == 0) return {};
    WindowParts result{std::vector<std::vector<BlockPart>>(2), best};
    for (std::int64_t n : columns.ranges)
        result.parts[0].push_back({n, n == columns.ranges.front() ? width : 1});
    for (std::int64_t n : rows.ranges)
        result.parts[1].push_back({n, n == longest ? share : a.size(n)});
    return result;
}

// Where a few rows are multiplied with an operand that comes from afar, a row of it for each step:
// how many columns a trip takes, 0 where it is not so. Walking down its columns would use a line or
// two of a page at a time.
std::int64_t columns_of_few_rows(const Analysis& a, const Reducing& r,
                                 std::span<const Group> groups, std::int64_t batches,
                                 std::int64_t cache_bytes) {
    const Group &columns = groups[0], &rows = groups[1];
    std::uint64_t all = 0;
    for (std::int64_t n : rows.ranges) all |= std::uint64_t{1} << n;
    const double count = a.volume(all);
    if (columns.ranges.size() != 1 || count < kLeastRows || count > kFewRows) return 0;
    const std::int64_t along = columns.ranges[0];
    for (std::size_t l = 0; l < r.loads.size(); ++l) {
        if ((columns.loads >> l & 1) == 0) continue;
        const MemoryAccess& m = a.accesses[r.loads[l]];
        const auto each = static_cast<std::int64_t>(size_of(m.node->dtype()));
        if (m.general != 0 || m.stride[along] != 1 ||
            a.bytes_of(m) <= static_cast<double>(cache_bytes * (r.loads.size() > 1 ? 1 : batches)))
            return 0;
        for (std::int64_t n : a.numbers)
            if (has(r.closed, n) && a.size(n) > 1 && std::abs(m.stride[n]) * each < kLongRow)
                return 0;
    }
    const auto near =
        static_cast<std::int64_t>(kFewSumsShare * static_cast<double>(cache_bytes) /
                                  (count * static_cast<double>(size_of(r.node->dtype()))));
    const std::int64_t trips = std::max<std::int64_t>(1, kFewTrips / batches),
                       share = (a.size(along) + trips - 1) / trips;
    return std::max(std::min({share, near, kFewColumns}), 4 * kLanes);
}

// Whether a sum goes down the columns of a large operand, with none other that has rows.
bool is_down_columns(const Analysis& a, const Reducing& r, std::int64_t cache_bytes) {
    if (groups_of(a, r).size() > 1) return false;
    const std::vector<Group> groups = groups_of_one_row(a, r);
    return !groups.empty() && columns_of_few_rows(a, r, groups, Sizes{}.chunks, cache_bytes) > 0;
}

// The steps of a block: outer ranges of the sum, as memory lies, are walked block by block.
std::vector<BlockPart> block_parts(const Analysis& a, const Reducing& r, std::int64_t best_steps,
                                   std::int64_t most_steps) {
    std::vector<std::pair<std::int64_t, std::int64_t>> order;  // by the longest stride
    for (std::int64_t n : a.numbers) {
        if (!has(r.closed, n)) continue;
        std::int64_t longest = 0;
        for (std::size_t l : r.loads)
            longest = std::max(longest, std::abs(a.accesses[l].stride[n]));
        order.emplace_back(longest, n);
    }
    std::ranges::sort(order);
    std::vector<BlockPart> parts;
    std::int64_t steps = 1;
    for (const auto& [stride, n] : order) {
        const std::int64_t size = a.size(n);
        const std::int64_t most = std::max<std::int64_t>(1, most_steps / steps);
        std::int64_t mine = size;
        if (size > most) {
            const std::int64_t best = std::max<std::int64_t>(1, best_steps / steps);
            mine = part_of(size, best, 1, 1);
        }
        parts.push_back({n, mine});
        steps *= mine;
    }
    std::ranges::reverse(parts);
    return parts;
}

// Where both operands lie along the sum, a few rows and many columns (x @ transpose(w) of a batch
// of tokens): how many columns a trip has for which less is transposed if that is the rows'
// operand, for each trip anew, and not the columns'; 0 if there are none.
std::int64_t columns_of_turned_rows(const Analysis& a, const Reducing& r,
                                    std::span<const Group> groups) {
    const Group &columns = groups[0], &rows = groups[1];
    if (columns.ranges.size() != 1 || rows.ranges.size() != 1 || r.loads.size() != 2) return 0;
    for (std::size_t l : r.loads) {
        const MemoryAccess& m = a.accesses[l];
        if (m.general != 0 || std::ranges::none_of(a.numbers, [&](std::int64_t n) {
                return has(r.closed, n) && std::abs(m.stride[n]) == 1;
            }))
            return 0;
    }
    const std::int64_t few = a.size(rows.ranges[0]), many = a.size(columns.ranges[0]),
                       share = std::min(many / kTurnedTrips, kTurnedColumns);
    const bool whole = (few + kLanes - 1) / kLanes * kLanes <= few + few / kSpareLanes;
    return few >= kLeastTurned && few <= kMostTurned && whole && share > few ? share : 0;
}

// How many sums there are that have nothing of the operands in common.
std::int64_t batches_of(const Analysis& a, const Reducing& r, std::span<const Group> groups) {
    std::uint64_t grouped = 0;
    for (const Group& g : groups)
        for (std::int64_t n : g.ranges) grouped |= std::uint64_t{1} << n;
    return static_cast<std::int64_t>(a.volume(r.scope & ~grouped));
}

// Ranges of the result, those that go through its memory in the shortest steps first.
std::vector<std::pair<std::int64_t, Ref>> by_stride_of_stores(const Analysis& a,
                                                              std::uint64_t ranges) {
    std::vector<std::pair<std::int64_t, Ref>> order;
    for (std::int64_t n : a.numbers) {
        if (!has(ranges, n)) continue;
        std::int64_t stride = 0;
        for (const MemoryAccess& m : a.accesses)
            if (m.is_store) stride = std::max(stride, std::abs(m.stride[n]));
        order.emplace_back(stride, a.range[n]);
    }
    std::ranges::stable_sort(order, {}, [](const auto& o) { return o.first; });
    return order;
}

// The part of a range that makes enough chunks, all of one size; 0 if there is none.
std::int64_t chunk_of(std::int64_t size, const Sizes& sizes) {
    for (std::int64_t chunks = sizes.chunks; chunks <= 2 * sizes.chunks; ++chunks)
        if (size % chunks == 0) return size / chunks;
    return 0;
}

}  // namespace

std::int64_t trips_of(const Analysis& a, std::span<const BlockPart> parts) {
    std::int64_t trips = 1;
    for (const BlockPart& p : parts) trips *= (a.size(p.range) + p.size - 1) / p.size;
    return trips;
}

bool may_be_cut(const Analysis& a, const Reducing& r, std::size_t operands) {
    const bool sum = r.node->is(Op::Reduce) &&
                     r.node->arg(0) == static_cast<std::int64_t>(ir::ReduceKind::Add) &&
                     r.node->args().size() == 1;
    return sum && a.ordered == 0 && r.loads.size() >= operands &&
           std::ranges::all_of(a.stores, [&](Ref s) { return s->ranges() == r.scope; }) &&
           std::ranges::all_of(a.numbers,
                               [&](auto n) { return a.range[n]->src(0)->is(Op::Const); });
}

const Reducing* sum_to_cut(const Analysis& a, std::size_t operands) {
    if (a.reductions.size() != 1) return nullptr;
    const Reducing& r = a.reductions[0];
    const bool wide = r.node->dtype() == f32 || r.node->dtype() == f64;
    return wide && may_be_cut(a, r, operands) ? &r : nullptr;
}

std::optional<BlockPart> choose_chunks(const Form& form, bool always, std::int64_t cache_bytes) {
    const Analysis before = analyse(form.sink());
    const Sizes sizes = always ? kForced : Sizes{};
    const Reducing* const sum = sum_to_cut(before, kAnyOperands);
    if (sum == nullptr) return std::nullopt;
    const std::uint64_t windows = window_ranges(before, *sum);
    std::vector<Group> groups = groups_of(before, *sum);
    const auto chunks = static_cast<double>(sizes.chunks);
    const double results = before.volume(sum->scope), steps = before.volume(sum->closed);
    if (windows != 0 && groups.size() == 2 && sum->loads.size() > 1) {
        if (!pays(before, *sum, sizes, cache_bytes)) return std::nullopt;
        const auto batches = static_cast<double>(batches_of(before, *sum, groups));
        const WindowParts whole_sum = parts_of_windows(before, groups, windows, batches, sizes),
                          chunked =
                              parts_of_windows(before, groups, windows, batches * chunks, sizes);
        const double added = chunks * kChunkSteps / steps;
        if (chunked.parts.empty() || (!always && chunked.cost + added >= whole_sum.cost))
            return std::nullopt;
    } else if (!always) {
        const bool down = is_down_columns(before, *sum, cache_bytes),
                   product = groups.size() == 2 && sum->loads.size() > 1 &&
                             pays(before, *sum, sizes, cache_bytes);
        const double least = down ? kChunkSteps * chunks : kLongSum;
        if (!(down || product) || results > kFewResults || steps < least) return std::nullopt;
    }
    std::int64_t cut = -1;  // the outermost range of the sum
    std::int64_t longest = 0;
    for (std::int64_t n : before.numbers) {
        if (!has(sum->closed, n) || chunk_of(before.size(n), sizes) == 0) continue;
        std::int64_t step = INT64_MAX;
        for (std::size_t l : sum->loads)
            step = std::min(step, std::abs(before.accesses[l].stride[n]));
        if (step <= longest) continue;
        longest = step;
        cut = n;
    }
    if (cut < 0) return std::nullopt;
    return BlockPart{cut, chunk_of(before.size(cut), sizes)};
}

ChunkedSum cut_into_sums(Form& form, const BlockPart& part) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    const Reducing* const sum = sum_to_cut(before, kAnyOperands);
    if (sum == nullptr || !has(sum->closed, part.range) || part.size < 1 ||
        part.size >= before.size(part.range) || before.size(part.range) % part.size != 0)
        throw ValueError("schedule: no sum over r" + std::to_string(part.range) +
                         " comes in chunks of " + std::to_string(part.size));
    form.record(StepKind::Sums, {part.range, part.size});
    const Form::Quiet one_step(form);
    const Ref chunk =
        form.split(before.range[part.range], part.size, Role::Loop, Role::Reduce).outer;
    const Analysis after = analyse(form.sink());
    const Ref reduce = after.reductions[0].node, whole = a.truth(true);
    const Ref again = ir::range(a, form.fresh_number(), chunk->src(0)->arg(0), Role::Reduce);
    // Sums lie as the results do, unless these lie in rows too short for vectors.
    std::vector<std::pair<std::int64_t, Ref>> order =
        by_stride_of_stores(after, after.reductions[0].scope);
    if (!order.empty() && order.front().second->src(0)->arg(0) < kLanes)
        std::ranges::sort(order, {}, [](const auto& o) { return o.second->arg(0); });
    Ref place = a.index(0);
    std::int64_t elements = 1;
    for (const auto& [stride, r] : order) {
        place = fold(a, Op::Add, place, fold(a, Op::Mul, r, a.index(elements)));
        elements *= r->src(0)->arg(0);
    }
    const auto at = [&](Ref range) {
        return fold(a, Op::Add, place, fold(a, Op::Mul, range, a.index(elements)));
    };
    std::vector<Ref> values(reduce->src().begin(), reduce->src().end());
    std::erase(values, chunk);
    const Ref memory = ir::param(a, reduce->dtype(), kSharedSlot);
    const Ref mine = a.make(Op::Reduce, reduce->dtype(), values, reduce->args());
    const Ref parts[] = {ir::load(a, memory, at(again), whole, 0), again};
    const Ref merged = a.make(Op::Reduce, reduce->dtype(), parts, reduce->args());
    ChunkedSum result;
    result.parts = a.make(Op::Sink, DType::None, {ir::store(a, memory, at(chunk), mine, whole)});
    result.merged = rebuild(form.sink(), [&](Ref n, std::span<const Ref> src) {
        return n == reduce ? merged : make_folded(a, n, src);
    });
    result.shared_bytes =
        chunk->src(0)->arg(0) * elements * static_cast<std::int64_t>(size_of(reduce->dtype()));
    return result;
}

std::optional<BlockSizes> choose_blocks(const Form& form, BlockWish wish,
                                        std::int64_t cache_bytes) {
    const Analysis before = analyse(form.sink());
    Sizes sizes = wish == BlockWish::Tiny ? kForced : Sizes{};
    const Reducing* const sum = sum_to_cut(before, kAnyOperands);
    if (sum == nullptr) return std::nullopt;
    std::vector<Group> groups = groups_of(before, *sum);
    const bool one_row = groups.size() < 2;
    if (one_row) groups = groups_of_one_row(before, *sum);
    if (groups.size() != 2) return std::nullopt;  // columns and rows
    const std::int64_t batches = batches_of(before, *sum, groups);
    const std::int64_t of_few_rows =
        wish == BlockWish::Tiny ? 0
                                : columns_of_few_rows(before, *sum, groups, batches, cache_bytes);
    if (of_few_rows > 0) {
        sizes.steps = kFewSteps;
        sizes.trips = kFewTrips;
        sizes.few_uses = static_cast<std::int64_t>(kLeastRows);
    }
    if ((one_row || sum->loads.size() < 2) && of_few_rows == 0 && wish != BlockWish::Tiny)
        return std::nullopt;
    const std::uint64_t windows = window_ranges(before, *sum);
    // A panel that stays near, but not nearest, of an operand that is copied transposed.
    bool near_panel = false;
    if (of_few_rows == 0 && wish != BlockWish::WherePossible &&
        !pays(before, *sum, sizes, cache_bytes)) {
        near_panel = windows != 0 && before.volume(sum->closed) * kPanelWidth >
                                         kWindowPanelShare * static_cast<double>(cache_bytes);
        if (!near_panel) return std::nullopt;
        sizes.steps = kWindowSteps;
        sizes.window_columns = {128, 64, 32, 32};
    }

    std::uint64_t grouped = 0;
    for (const Group& g : groups)
        for (std::int64_t n : g.ranges) grouped |= std::uint64_t{1} << n;
    // Where there are few trips, they get fewer rows each.
    std::vector<std::vector<BlockPart>> parts;
    std::int64_t trips = 0;
    std::vector<Group> in_windows = groups;
    if (windows != 0 && !one_row)
        parts = parts_of_windows(before, in_windows, windows, static_cast<double>(batches), sizes)
                    .parts;
    if (const std::int64_t share = columns_of_turned_rows(before, *sum, groups);
        share > 0 && windows == 0 && wish == BlockWish::WhereItPays) {
        std::swap(in_windows[0], in_windows[1]);
        const std::int64_t rows = in_windows[0].ranges[0];
        parts = {{{rows, before.size(rows)}}, parts_of(before, in_windows[1], share, kLanes)};
        sizes.steps = kTurnedSteps;
    }
    const bool windowed = !parts.empty();
    if (near_panel && !windowed) return std::nullopt;
    if (windowed) trips = sizes.trips;
    const bool both_copied = !windowed && of_few_rows == 0 && steps_apart(before, *sum);
    const bool in_one = before.volume(sum->closed) <= sizes.few_steps;
    const std::int64_t copied_rows = in_one ? sizes.few_copied_rows : sizes.copied_rows,
                       most_rows = both_copied ? copied_rows : sizes.most_rows,
                       most_columns = of_few_rows > 0 ? of_few_rows
                                      : both_copied   ? copied_rows
                                                      : sizes.columns;
    for (std::int64_t rows = most_rows, columns = most_columns;
         rows >= sizes.least_rows && trips < sizes.trips;
         (both_copied && columns > rows ? columns : rows) /= 2) {
        parts.clear();
        trips = batches;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            parts.push_back(
                parts_of(before, groups[g], g == 0 ? columns : rows, g == 0 ? sizes.columns : 0));
            trips *= trips_of(before, parts.back());
        }
    }
    if (trips < sizes.trips) return std::nullopt;
    for (const std::vector<BlockPart>& group : parts) {
        std::int64_t share = 1;
        for (const BlockPart& p : group) share *= p.size;
        if (share < sizes.few_uses) return std::nullopt;
    }

    BlockSizes chosen;
    const auto keep = [&](std::vector<BlockPart>& to, const BlockPart& p) {
        if (p.size != before.size(p.range)) to.push_back(p);
    };
    for (std::int64_t n : before.numbers)
        if (has(sum->scope & ~grouped, n)) keep(chosen.trips, {n, 1});
    for (const std::vector<BlockPart>& group : parts)
        for (const BlockPart& p : group) keep(chosen.trips, p);
    for (const BlockPart& p :
         both_copied && !in_one ? block_parts(before, *sum, sizes.copied_steps, sizes.copied_steps)
                                : block_parts(before, *sum, sizes.steps, 2 * sizes.steps))
        keep(chosen.blocks, p);
    if (windowed) chosen.columns = in_windows[0].ranges.front();
    return chosen;
}

void append_parts(Step& step, std::span<const BlockPart> parts) {
    step.operands.push_back(static_cast<std::int64_t>(parts.size()));
    for (const BlockPart& p : parts) step.operands.insert(step.operands.end(), {p.range, p.size});
}

std::vector<BlockPart> take_parts(std::span<const std::int64_t>& operands) {
    std::vector<BlockPart> parts;
    const auto count = static_cast<std::size_t>(operands[0]);
    for (std::size_t i = 0; i < count; ++i)
        parts.push_back({operands[1 + 2 * i], operands[2 + 2 * i]});
    operands = operands.subspan(1 + 2 * count);
    return parts;
}

Step step_of(const BlockSizes& sizes) {
    Step step{StepKind::Blocks, {}};
    append_parts(step, sizes.trips);
    append_parts(step, sizes.blocks);
    step.operands.push_back(sizes.columns);
    return step;
}

BlockSizes sizes_of(const Step& step) {
    BlockSizes sizes;
    std::span<const std::int64_t> rest = step.operands;
    sizes.trips = take_parts(rest);
    sizes.blocks = take_parts(rest);
    sizes.columns = rest[0];
    return sizes;
}

Ref add_to_block_sum(Arena& a, std::span<const Ref> blocks, Ref memory, Ref index, Ref block_sum) {
    Ref first = a.truth(true);
    for (Ref r : blocks) first = fold(a, Op::And, first, fold(a, Op::Lt, r, a.index(1)));
    const DType type = block_sum->dtype();
    const Ref choice[] = {first, a.constant_bits(type, 0),
                          ir::load(a, memory, index, a.truth(true), 0)};
    return a.add(a.make(Op::Where, type, choice), block_sum);
}

BlockCut cut_sum(Form& form, const BlockSizes& sizes) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    const Reducing* const sum = sum_to_cut(before, kAnyOperands);
    if (sum == nullptr) throw ValueError("schedule: the kernel is not one sum of products");
    std::uint64_t seen = 0;
    for (const auto& [parts, among] :
         {std::pair(&sizes.trips, sum->scope), std::pair(&sizes.blocks, sum->closed)}) {
        for (const BlockPart& p : *parts) {
            if (!has(among & ~seen, p.range) || p.size < 1 || p.size > before.size(p.range))
                throw ValueError("schedule: no blocks of " + std::to_string(p.size) + " along r" +
                                 std::to_string(p.range));
            seen |= std::uint64_t{1} << p.range;
        }
    }
    if (sizes.columns >= 0 && !has(sum->scope, sizes.columns))
        throw ValueError("schedule: r" + std::to_string(sizes.columns) + " is none of the result");
    Step step = step_of(sizes);
    form.record(step.kind, std::move(step.operands));
    const Form::Quiet one_step(form);

    BlockCut cut;
    std::vector<Ref> columns_within;  // of a trip, where they are copied transposed
    const auto divide = [&](const BlockPart& p, Role inner, std::vector<Ref>& outer) {
        const Ref range = before.range[p.range];
        if (p.size == before.size(p.range)) return;
        if (p.size == 1) {
            outer.push_back(form.bind(range, Role::Parallel));
            return;
        }
        const Form::Halves halves = form.split(range, p.size, Role::Parallel, inner);
        outer.push_back(halves.outer);
        if (p.range == sizes.columns) columns_within.push_back(halves.inner);
    };
    if (sizes.columns >= 0 &&
        std::ranges::find(sizes.trips, sizes.columns, &BlockPart::range) == sizes.trips.end())
        columns_within.push_back(before.range[sizes.columns]);
    for (const BlockPart& p : sizes.trips) divide(p, Role::Loop, cut.trips);
    for (const BlockPart& p : sizes.blocks) divide(p, Role::Reduce, cut.blocks);

    const Analysis after = analyse(form.sink());
    const Ref reduce = after.reductions[0].node;
    std::uint64_t outside = 0;
    for (Ref r : cut.trips) outside |= range_bit(r);
    // The sums of a trip lie as the result does, but for columns that are copied, which go in
    // vectors; rows a power of two apart are moved by a line.
    std::vector<std::pair<std::int64_t, Ref>> kept =
        by_stride_of_stores(after, after.reductions[0].scope & ~outside);
    for (auto& [stride, r] : kept)
        if (std::ranges::count(columns_within, r) != 0) stride = 0;
    std::ranges::stable_sort(kept, {}, [](const auto& k) { return k.first; });
    const auto bytes = static_cast<std::int64_t>(size_of(reduce->dtype()));
    Ref index = a.index(0);
    std::int64_t elements = 1;
    for (const auto& [stride, r] : kept) {
        index = fold(a, Op::Add, index, fold(a, Op::Mul, r, a.index(elements)));
        elements *= r->src(0)->arg(0);
        elements = row_step(elements, bytes);
    }
    if (elements > kMostScratch / bytes)
        throw ValueError("schedule: the sums of a trip do not fit a thread's scratch");
    cut.near_bytes = whole_lines(elements * bytes);

    std::vector<Ref> values(reduce->src().begin(), reduce->src().end());
    std::erase_if(values, [&](Ref r) { return std::ranges::count(cut.blocks, r) != 0; });
    const Ref block_sum = values.size() == 1  // a block of one step
                              ? values[0]
                              : a.make(Op::Reduce, reduce->dtype(), values, reduce->args());
    const Ref memory = ir::param(a, reduce->dtype(), kNearSum), whole = a.truth(true);
    const Ref sums = ir::load(a, memory, index, whole, 0);
    const Ref store = ir::store(a, memory, index,
                                add_to_block_sum(a, cut.blocks, memory, index, block_sum), whole);
    cut.accumulate = a.make(Op::Sink, DType::None, {store});
    cut.finish = rebuild(form.sink(), [&](Ref n, std::span<const Ref> src) {
        return n == reduce ? sums : make_folded(a, n, src);
    });
    return cut;
}

}  // namespace sinter::codegen
