// Where sums of products go in blocks, and in which.

#include <algorithm>
#include <array>
#include <cmath>

#include "blocks.h"
#include "scratch.h"

namespace sinter::codegen {
namespace {

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
// sums take a share of the second-level cache. With no rows, of shorter ones as well.
constexpr std::int64_t kLongRowAlone = 512;
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

// Ranges of the result that the same operands depend on.
struct Group {
    std::uint64_t loads = 0;
    std::vector<std::int64_t> ranges;  // the longest first
    std::int64_t stride = INT64_MAX;   // of the result, the shortest
};

std::uint64_t ranges_of(std::span<const Group> groups) {
    std::uint64_t ranges = 0;
    for (const Group& g : groups)
        for (std::int64_t n : g.ranges) ranges |= std::uint64_t{1} << n;
    return ranges;
}

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

// Where there is one row alone: its columns, which its operands have side by side, and no rows.
std::vector<Group> groups_of_one_row(const Analysis& a, const Reducing& r) {
    for (std::int64_t n : a.numbers) {
        if (!has(r.scope, n)) continue;
        Group columns{0, {n}};
        bool side_by_side = true;
        for (std::size_t l = 0; l < r.loads.size(); ++l) {
            const MemoryAccess& m = a.accesses[r.loads[l]];
            if (!m.depends(n)) continue;
            columns.loads |= std::uint64_t{1} << l;
            side_by_side = side_by_side && m.stride[n] == 1;
        }
        if (side_by_side && columns.loads != 0) return {columns, {}};
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
    const Group& columns = groups[0];
    const double count = a.volume(ranges_of(groups.subspan(1)));
    if (columns.ranges.size() != 1 || count < kLeastRows || count > kFewRows) return 0;
    const std::int64_t along = columns.ranges[0],
                       long_row = groups[1].ranges.empty() ? kLongRowAlone : kLongRow;
    for (std::size_t l = 0; l < r.loads.size(); ++l) {
        if ((columns.loads >> l & 1) == 0) continue;
        const MemoryAccess& m = a.accesses[r.loads[l]];
        const auto each = static_cast<std::int64_t>(size_of(m.node->dtype()));
        if (m.general != 0 || m.stride[along] != 1 ||
            a.bytes_of(m) <= static_cast<double>(cache_bytes * (r.loads.size() > 1 ? 1 : batches)))
            return 0;
        for (std::int64_t n : a.numbers)
            if (has(r.closed, n) && a.size(n) > 1 && std::abs(m.stride[n]) * each < long_row)
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
    return static_cast<std::int64_t>(a.volume(r.scope & ~ranges_of(groups)));
}

// The part of a range that makes enough chunks, all of one size or, if `ragged`, but the last; 0 if
// there is none.
std::int64_t chunk_of(std::int64_t size, const Sizes& sizes, bool ragged) {
    for (std::int64_t chunks = sizes.chunks; chunks <= 2 * sizes.chunks; ++chunks)
        if (size % chunks == 0) return size / chunks;
    return ragged && size >= sizes.chunks * sizes.chunks ? (size + sizes.chunks - 1) / sizes.chunks
                                                         : 0;
}

// Ways to cut a sum, the first that suits it.
class BlockChooser {
public:
    BlockChooser(const Analysis& a, const Reducing& sum, bool one, BlockWish wish,
                 std::int64_t cache_bytes)
        : a_(a),
          r_(sum),
          one_(one),
          wish_(wish),
          sizes_(wish == BlockWish::Tiny ? kForced : Sizes{}),
          cache_bytes_(cache_bytes),
          groups_(groups_of(a, sum)) {
        one_row_ = groups_.size() < 2;
        if (one_row_) groups_ = groups_of_one_row(a, sum);
        batches_ = batches_of(a, sum, groups_);
        windows_ = one_row_ ? 0 : window_ranges(a, sum);
    }

    std::optional<BlockSizes> choose() const {
        if (groups_.size() != 2) return std::nullopt;  // columns and rows
        std::optional<Shares> shares;
        if (const std::int64_t columns = columns_of_few_rows(); columns > 0) {
            shares = of_few_rows(columns);
        } else if (wish_ == BlockWish::Tiny || (one_ && !one_row_ && r_.loads.size() > 1)) {
            const bool is_long =
                wish_ == BlockWish::WherePossible || pays(a_, r_, sizes_, cache_bytes_);
            shares = of_windows(is_long);
            if (!shares && is_long) shares = of_turned_rows();
            if (!shares && is_long) shares = of_panels();
        }
        if (!shares) return std::nullopt;
        return sizes_of(*shares);
    }

private:
    // What a trip has of each group, and a block of the sum.
    struct Shares {
        std::vector<std::vector<BlockPart>> parts;  // by group
        std::int64_t best_steps, most_steps;
        std::int64_t columns = -1;    // as in BlockSizes
        std::int64_t least_uses = 1;  // of an element
    };

    std::int64_t columns_of_few_rows() const {
        return wish_ == BlockWish::Tiny
                   ? 0
                   : codegen::columns_of_few_rows(a_, r_, groups_, batches_, cache_bytes_);
    }
    std::int64_t trips(std::span<const std::vector<BlockPart>> parts) const {
        std::int64_t all = batches_;
        for (const std::vector<BlockPart>& group : parts) all *= trips_of(a_, group);
        return all;
    }

    std::optional<Shares> of_few_rows(std::int64_t columns) const {
        Shares shares{{parts_of(a_, groups_[0], columns, sizes_.columns),
                       parts_of(a_, groups_[1], sizes_.most_rows, 0)},
                      kFewSteps,
                      2 * kFewSteps};
        if (trips(shares.parts) < kFewTrips) return std::nullopt;
        return shares;
    }

    // Of a sum that is not long: its panel stays near, but not nearest.
    std::optional<Shares> of_windows(bool is_long) const {
        if (windows_ == 0) return std::nullopt;
        Sizes sizes = sizes_;
        if (!is_long) {
            if (a_.volume(r_.closed) * kPanelWidth <=
                kWindowPanelShare * static_cast<double>(cache_bytes_))
                return std::nullopt;
            sizes.steps = kWindowSteps;
            sizes.window_columns = {128, 64, 32, 32};
        }
        std::vector<Group> groups = groups_;  // whose order it changes
        const auto parts =
            parts_of_windows(a_, groups, windows_, static_cast<double>(batches_), sizes).parts;
        if (parts.empty()) return std::nullopt;
        return Shares{parts, sizes.steps, 2 * sizes.steps, groups[0].ranges.front(),
                      sizes.few_uses};
    }

    std::optional<Shares> of_turned_rows() const {
        if (windows_ != 0 || wish_ != BlockWish::WhereItPays) return std::nullopt;
        const std::int64_t columns = columns_of_turned_rows(a_, r_, groups_);
        if (columns == 0) return std::nullopt;
        const std::int64_t rows = groups_[1].ranges[0];
        return Shares{{{{rows, a_.size(rows)}}, parts_of(a_, groups_[0], columns, kLanes)},
                      kTurnedSteps,
                      2 * kTurnedSteps,
                      rows,
                      sizes_.few_uses};
    }

    std::optional<Shares> of_panels() const {
        const bool both_copied = steps_apart(a_, r_),
                   in_one = a_.volume(r_.closed) <= sizes_.few_steps;
        const std::int64_t copied_rows = in_one ? sizes_.few_copied_rows : sizes_.copied_rows;
        Shares shares{{}, sizes_.steps, 2 * sizes_.steps, -1, sizes_.few_uses};
        if (both_copied && !in_one) shares.best_steps = shares.most_steps = sizes_.copied_steps;
        // Where there are few trips, they get fewer rows each.
        for (std::int64_t rows = both_copied ? copied_rows : sizes_.most_rows,
                          columns = both_copied ? copied_rows : sizes_.columns;
             rows >= sizes_.least_rows; (both_copied && columns > rows ? columns : rows) /= 2) {
            shares.parts = {parts_of(a_, groups_[0], columns, sizes_.columns),
                            parts_of(a_, groups_[1], rows, 0)};
            if (trips(shares.parts) >= sizes_.trips) return shares;
        }
        return std::nullopt;
    }

    std::optional<BlockSizes> sizes_of(const Shares& shares) const {
        const std::uint64_t grouped = ranges_of(groups_);
        BlockSizes chosen;
        const auto keep = [&](std::vector<BlockPart>& to, const BlockPart& p) {
            if (p.size != a_.size(p.range)) to.push_back(p);
        };
        for (std::int64_t n : a_.numbers)
            if (has(r_.scope & ~grouped, n)) keep(chosen.trips, {n, 1});
        for (const std::vector<BlockPart>& group : shares.parts) {
            std::int64_t uses = 1;
            for (const BlockPart& p : group) {
                uses *= p.size;
                keep(chosen.trips, p);
            }
            if (uses < shares.least_uses) return std::nullopt;
        }
        for (const BlockPart& p : block_parts(a_, r_, shares.best_steps, shares.most_steps))
            keep(chosen.blocks, p);
        chosen.columns = shares.columns;
        return chosen;
    }

    const Analysis& a_;
    const Reducing& r_;
    const bool one_;  // sum alone
    const BlockWish wish_;
    const Sizes sizes_;
    const std::int64_t cache_bytes_;
    std::vector<Group> groups_;
    bool one_row_ = false;
    std::int64_t batches_ = 1;
    std::uint64_t windows_ = 0;
};

// The sums of a kernel that are cut together, as one that reads what they all read.
struct Sums {
    std::optional<Reducing> all;
    bool one = true;
};
Sums sums_of(const Analysis& a) {
    Sums sums;
    for (const Reducing* r : sums_to_cut(a)) {
        if (!sums.all) {
            sums.all = *r;
            continue;
        }
        sums.one = false;
        for (std::size_t l : r->loads)
            if (std::ranges::count(sums.all->loads, l) == 0) sums.all->loads.push_back(l);
    }
    return sums;
}

}  // namespace

std::optional<BlockPart> choose_chunks(const Form& form, bool always, std::int64_t cache_bytes) {
    const Analysis before = analyse(form.sink());
    const Sizes sizes = always ? kForced : Sizes{};
    const auto [sum, one] = sums_of(before);
    if (!sum) return std::nullopt;
    const std::uint64_t windows = window_ranges(before, *sum);
    std::vector<Group> groups = groups_of(before, *sum);
    const auto chunks = static_cast<double>(sizes.chunks);
    const double results = before.volume(sum->scope), steps = before.volume(sum->closed);
    bool down = false;
    const bool product = one && groups.size() == 2 && sum->loads.size() > 1;
    if (windows != 0 && product) {
        if (!pays(before, *sum, sizes, cache_bytes)) return std::nullopt;
        const auto batches = static_cast<double>(batches_of(before, *sum, groups));
        const WindowParts whole_sum = parts_of_windows(before, groups, windows, batches, sizes),
                          chunked =
                              parts_of_windows(before, groups, windows, batches * chunks, sizes);
        const double added = chunks * kChunkSteps / steps;
        if (chunked.parts.empty() || (!always && chunked.cost + added >= whole_sum.cost))
            return std::nullopt;
    } else if (!always) {
        down = groups.size() < 2 && is_down_columns(before, *sum, cache_bytes);
        const double least = down ? kChunkSteps * chunks : kLongSum;
        if (results > kFewResults || steps < least ||
            !(down || (product && pays(before, *sum, sizes, cache_bytes))))
            return std::nullopt;
    }
    std::int64_t cut = -1;  // the outermost range of the sum
    std::int64_t longest = 0;
    for (std::int64_t n : before.numbers) {
        if (!has(sum->closed, n) || chunk_of(before.size(n), sizes, down) == 0) continue;
        std::int64_t step = INT64_MAX;
        for (std::size_t l : sum->loads)
            step = std::min(step, std::abs(before.accesses[l].stride[n]));
        if (step <= longest) continue;
        longest = step;
        cut = n;
    }
    if (cut < 0) return std::nullopt;
    return BlockPart{cut, chunk_of(before.size(cut), sizes, down)};
}

std::optional<BlockSizes> choose_blocks(const Form& form, BlockWish wish,
                                        std::int64_t cache_bytes) {
    const Analysis before = analyse(form.sink());
    const auto [sum, one] = sums_of(before);
    if (!sum) return std::nullopt;
    return BlockChooser(before, *sum, one, wish, cache_bytes).choose();
}

}  // namespace sinter::codegen
