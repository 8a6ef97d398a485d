#include "contraction.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace sinter::codegen {
namespace {

constexpr double kGatherCost = 1.3;  // of an indexed lane, in scalar loads
constexpr double kLoadCycles = 0.25;
constexpr double kMissCycles = 30;      // of a line that nothing foresees, beside others
constexpr double kJumpCycles = 8;       // of a line that begins a short run
constexpr double kFarBytes = 24;        // a cycle, from the second-level cache
constexpr double kNearBytes = 1 << 15;  // of the nearest cache
constexpr double kRaggedCode = 0.05;    // its cost in a kernel of up to kManySteps steps
constexpr double kManySteps = 1e6;
constexpr double kLaneSum = 16;  // cycles, to add up the lanes of a vector
constexpr double kRunBytes =
    256;                          // that rows far apart are read at a time, to keep the memory busy
constexpr double kScatter = 1.5;  // cycles an element that is read or written apart from the others
constexpr std::int64_t kPage = 4096;
constexpr std::int64_t kShortRow = 7;  // rows of a tile by themselves
constexpr double kLine = 64;
constexpr double kStageShare = 0.625;  // of the second-level cache, for one staged block
constexpr double kStageBlocks = 8,
                 kStageRows = 64,  // fewer do not keep threads busy, or pay for the copy
    kTripRows = 16;
constexpr double kFewWalks = 16, kWalkedRows = 80;           // of a block in the first-level TLB
constexpr double kMostStageBlocks = 256, kCopyShare = 0.02;  // of the work, for copies in all
constexpr double kPanelShare = 0.4;  // of the second-level cache, for copies along a whole range
constexpr double kPanelRows = 128;   // that pay for them
constexpr double kPanelLoad = 3;     // loads of the nearest cache
constexpr double kRowsShare = 0.25;  // of the second-level cache, for a trip's rows
constexpr double kFarShare =
    0.5;  // of the second-level cache: operands that stay there as they lie
constexpr double kOftenShare = 0.3, kOften = 384;  // the same of elements used so many times
constexpr double kUnevenOperand = 1 << 18;         // the same where rows begin within lines
constexpr std::int64_t kCopiedVectors = 4, kNearVectors = 8;  // of a row, at most
constexpr double kSmallWork = 1e5;                            // cycles that one thread may do alone
constexpr std::size_t kTilesKept = 3;  // of one vector range, where several plans are asked for
// Cycles an element that is staged: side by side, by squares, one by one.
constexpr double kCopied = 0.15, kTransposed = 0.5, kGathered = 1.3;

std::uint64_t bit(std::int64_t range) { return std::uint64_t{1} << range; }

struct Tile {
    double cost = INFINITY;  // cycles a vector of multiply-adds
    int i = 1, j = 1, vectors = 1;
    std::int64_t ri = -1, rj = -1;  // the ranges of i and j
};

// An operand that is copied to the thread's scratch for each block of `scope`, all that it depends
// on outside the reduction; within the reduction it depends on `steps`.
struct Staged {
    std::size_t load;
    std::uint64_t scope = 0, steps = 0;
    double copy = kCopied;  // cycles an element
    bool across = false;  // its rows lie across the vector range: it is transposed as it is copied
    bool panel = false;   // a trip has the whole vector range, and copies of all of it
};

// An operand of which all rows of a trip are copied to the thread's scratch, where its steps along
// the reduction lie closer together.
struct CopiedRows {
    std::size_t load;
    std::int64_t range;
};

struct WeighedPlan {
    Plan plan;
    double cost = INFINITY;
};

class Search {
public:
    /// `trips`: ranges that run in parallel whatever is chosen, if that is so.
    Search(const Analysis& a, const Reducing& main, const Target& target, std::uint64_t trips,
           bool copies)
        : a_(a), r_(main), target_(target), trips_(trips), copies_(copies) {
        double most = 0;
        for (std::size_t l : r_.loads) {
            most = std::max(most, a_.bytes_of(a.accesses[l]));
        }
        near_ = most <= kNearBytes;
    }

    // The plan for vectors along v; false if there is no tile. With `across`, an operand whose rows
    // lie across v is transposed into the scratch, and there is no plan if there is none.
    bool plan_for(std::int64_t v, int lanes, bool across, Plan& plan, double& cost) {
        lanes_ = lanes;
        std::optional<Staged> staged;
        if (has(r_.scope, v)) staged = operand_to_stage(v, across);
        if (across && !staged) return false;
        Tile tile = best_tile(v, staged ? &*staged : nullptr);
        std::int64_t copied_rows = -1;
        if (const std::optional<CopiedRows> copied = rows_to_copy(v); copied && staged) {
            Tile near = best_tile(v, &*staged, &*copied);
            near.cost += copy_cost(*copied);
            if (near.cost < tile.cost) {
                tile = near;
                copied_rows = copied->range;
            }
        }
        if (tile.cost == INFINITY) return false;
        cost = make_plan(v, tile, staged ? &*staged : nullptr, copied_rows, plan);
        return !across || plan.staged_for != 0;
    }

    /// The same for the cheapest few tiles: with and without each copy that may be made.
    void append_plans(std::int64_t v, int lanes, bool across, std::vector<WeighedPlan>& plans) {
        lanes_ = lanes;
        std::optional<Staged> staged;
        if (has(r_.scope, v)) staged = operand_to_stage(v, across);
        if (across && !staged) return;
        const auto append = [&](const Staged* mine, const CopiedRows* copied) {
            std::vector<Tile> tiles;
            for_tiles(v, mine, copied, [&](const Tile& t) {
                if (t.cost < INFINITY) tiles.push_back(t);
            });
            std::ranges::stable_sort(tiles, {}, &Tile::cost);
            tiles.resize(std::min(tiles.size(), kTilesKept));
            for (Tile& tile : tiles) {
                if (copied != nullptr) tile.cost += copy_cost(*copied);
                WeighedPlan made;
                made.cost =
                    make_plan(v, tile, mine, copied != nullptr ? copied->range : -1, made.plan);
                if (!across || made.plan.staged_for != 0) plans.push_back(std::move(made));
            }
        };
        append(staged ? &*staged : nullptr, nullptr);
        if (staged && !across) append(nullptr, nullptr);
        if (const std::optional<CopiedRows> copied = rows_to_copy(v); copied && staged)
            append(&*staged, &*copied);
    }

private:
    // Of a vector of multiply-adds.
    double copy_cost(const CopiedRows& copied) const {
        return copied_volume(copied) * kCopied * lanes_ / r_.volume;
    }

    // Gives the plan's cost.
    double make_plan(std::int64_t v, const Tile& tile, const Staged* staged,
                     std::int64_t copied_rows, Plan& plan) const {
        plan.vector = v;
        plan.lanes = lanes_;
        plan.vectors = tile.vectors;
        plan.copied_rows = copied_rows;
        plan.unrolled.clear();
        plan.chunks = {};
        plan.panel = false;
        if (tile.i > 1) plan.unrolled.push_back({tile.ri, tile.i});
        if (tile.j > 1) plan.unrolled.push_back({tile.rj, tile.j});
        plan.contraction = !plan.unrolled.empty();
        double cost = tile.cost * r_.volume / lanes_;
        if (has(r_.closed, v)) cost += kLaneSum * a_.volume(r_.scope);
        for (const MemoryAccess& m : a_.accesses) {
            const bool main =
                std::ranges::any_of(r_.loads, [&](std::size_t l) { return &a_.accesses[l] == &m; });
            if (!main && has(m.region, v) && (has(m.general, v) || std::abs(m.stride[v]) > 1))
                cost += kScatter * a_.volume(m.region);
        }
        if (staged != nullptr && plan.contraction) stage(*staged, tile, cost, plan);
        return cost;
    }

    std::optional<Staged> operand_to_stage(std::int64_t v, bool across) const {
        for (std::size_t l : r_.loads) {
            const MemoryAccess& m = a_.accesses[l];
            if (m.is_store || m.general != 0 || m.stride[v] == 0 || !m.depends(v)) continue;
            Staged s{l};
            s.across = across;
            if (across) s.copy = row_length(m) >= lanes_ ? kTransposed : kGathered;
            bool own = true;  // the contraction's own operand
            for (std::int64_t n : a_.numbers) {
                if (!m.depends(n)) continue;
                if (has(r_.closed, n))
                    s.steps |= bit(n);
                else if (has(a_.outer, n))
                    s.scope |= bit(n);
                else
                    own = false;
            }
            if (!own) continue;
            if (across ? lies_across(m, v)
                       : m.stride[v] == 1 && !lies_as_copied(m, v) &&
                             (is_made(m) || pages_apart(m) || a_.bytes_of(m) > near_bytes(m))) {
                s.panel = may_be_panel(s, v);
                return s;
            }
        }
        return std::nullopt;
    }

    // Whether copies along the whole vector range stay in the second-level cache: each row of the
    // result is written as it lies then, and the other operand is read once a trip.
    bool may_be_panel(const Staged& s, std::int64_t v) const {
        const MemoryAccess& m = a_.accesses[s.load];
        if (s.across || trips_ != 0 || is_made(m) || !a_.range[v]->src(0)->is(Op::Const))
            return false;
        const double bytes = a_.volume(s.steps | bit(v)) * kept_bytes(m, false),
                     rows = a_.volume(a_.outer & ~s.scope), batches = a_.volume(s.scope & ~bit(v));
        return bytes <= kPanelShare * cache_bytes() &&
               rows * batches >= kPanelRows * kStageBlocks && rows >= kPanelRows;
    }

    // Whether m's steps follow one another as those of a copy would, or almost: a tile that leaves
    // a part of each row uses the lines between less well, which a trip's own copy does not mend.
    bool lies_as_copied(const MemoryAccess& m, std::int64_t v) const {
        return !is_made(m) &&
               a_.size(v) <= (trips_ != 0 ? kNearVectors : kCopiedVectors) * lanes_ &&
               std::ranges::any_of(a_.numbers, [&](std::int64_t n) {
                   return has(r_.closed, n) && m.stride[n] == a_.size(v);
               });
    }

    // How large an operand may be that is read as it lies.
    double near_bytes(const MemoryAccess& m) const {
        if (uneven(m)) return kUnevenOperand;
        const double uses = r_.volume / a_.volume(a_.ranges_of(m));
        return (uses >= kOften ? kOftenShare : kFarShare) * cache_bytes();
    }

    double cache_bytes() const { return static_cast<double>(target_.cache_bytes); }

    // An operand whose rows lie side by side in memory, and its steps far apart.
    std::optional<CopiedRows> rows_to_copy(std::int64_t v) const {
        if (!copies_) return std::nullopt;
        for (std::size_t l : r_.loads) {
            const MemoryAccess& m = a_.accesses[l];
            if (m.general != 0 || m.depends(v) || in_a_row(m)) continue;
            const double bytes = a_.volume(a_.ranges_of(m) & ~trips_) *
                                 static_cast<double>(size_of(m.node->dtype()));
            if (bytes > kRowsShare * cache_bytes()) continue;
            for (std::int64_t n : a_.numbers)
                if (m.stride[n] == 1 && has(r_.scope & a_.outer & ~trips_, n) &&
                    a_.range[n]->src(0)->is(Op::Const))
                    return CopiedRows{l, n};
        }
        return std::nullopt;
    }
    // Elements copied in all: every trip has a copy of its own.
    double copied_volume(const CopiedRows& copied) const {
        return a_.volume(a_.ranges_of(a_.accesses[copied.load]) | trips_);
    }

    // Whether words are put together of what m reads, or wider numbers made of it.
    bool is_made(const MemoryAccess& m) const {
        const Ref factor = factor_of(a_, m.node);
        if (factor == m.node) return false;
        const Ref product = r_.node->is(Op::Reduce) ? without_masks(r_.node->src(0)) : r_.node;
        return product->is(Op::Dot) || size_of(factor->dtype()) > size_of(m.node->dtype());
    }

    // Bytes of an element as it is copied: what is transposed is copied as it lies.
    double kept_bytes(const MemoryAccess& m, bool across) const {
        return static_cast<double>(size_of((across ? m.node : factor_of(a_, m.node))->dtype()));
    }

    // Whether each step of the reduction lies on a page of its own.
    bool pages_apart(const MemoryAccess& m) const {
        const auto bytes = static_cast<std::int64_t>(size_of(m.node->dtype()));
        return std::ranges::any_of(a_.numbers, [&](std::int64_t n) {
            return has(a_.closed, n) && std::abs(m.stride[n]) * bytes >= kPage;
        });
    }

    // Whether steps of the reduction begin at different places within their lines.
    bool uneven(const MemoryAccess& m) const {
        const auto bytes = static_cast<std::int64_t>(size_of(m.node->dtype()));
        return std::ranges::any_of(a_.numbers, [&](std::int64_t n) {
            return has(r_.closed, n) && m.stride[n] * bytes % static_cast<std::int64_t>(kLine) != 0;
        });
    }

    // Elements of a row of memory that m goes through along the reduction, forwards or backwards.
    std::int64_t row_length(const MemoryAccess& m) const {
        std::int64_t length = 1;
        bool longer = true;
        while (longer) {
            longer = false;
            for (std::int64_t n : a_.numbers)
                if (has(r_.closed, n) && std::abs(m.stride[n]) == length && a_.size(n) > 1) {
                    length *= a_.size(n);
                    longer = true;
                    break;
                }
        }
        return length;
    }

    // Whether m goes through a row of memory along the reduction, the same for all other operands
    // along v.
    bool lies_across(const MemoryAccess& m, std::int64_t v) const {
        const Ref valid = m.node->src(2);
        // A mask that only ragged trips have is not there in the others.
        if (m.stride[v] < 2 || (valid->vmin() != 1 && (valid->ranges() & trips_) == 0))
            return false;
        return row_length(m) * 4 >= lanes_ && std::ranges::none_of(r_.loads, [&](std::size_t l) {
                   return &a_.accesses[l] != &m && a_.accesses[l].depends(v);
               });
    }

    // Cache lines that m reads for a step of a row of the tile.
    static double line_share(const MemoryAccess& m, std::int64_t row) {
        if (row < 0 || has(m.general, row) || m.stride[row] == 0) return 1;
        const auto bytes = static_cast<double>(size_of(m.node->dtype()));
        return std::min(1.0, static_cast<double>(std::abs(m.stride[row])) * bytes / kLine);
    }

    // Whether some range of the reduction walks along m's memory, as the machine foresees.
    bool in_a_row(const MemoryAccess& m) const {
        const auto bytes = static_cast<double>(size_of(m.node->dtype()));
        std::uint64_t steps = 0;
        for (std::int64_t n : a_.numbers)
            if (has(r_.closed, n) && a_.size(n) > 1 && m.depends(n)) {
                steps |= bit(n);
                if (static_cast<double>(std::abs(m.stride[n])) * bytes <= kLine) return true;
            }
        return steps == 0;
    }

    // Whether m, from afar, is read a few lines at a time, to which the tile's rows add none.
    bool leaves_rows(const MemoryAccess& m, const Tile& t) const {
        const std::int64_t run = row_length(m);
        const auto continues = [&](std::int64_t row) {
            return row < 0 || !m.depends(row) || std::abs(m.stride[row]) <= run;
        };
        return trips_ == 0 && a_.bytes_of(m) > cache_bytes() &&
               static_cast<double>(run) * static_cast<double>(size_of(m.node->dtype())) <=
                   2 * kLine &&
               !(continues(t.ri) && continues(t.rj));
    }
    static double line_part(const MemoryAccess& m) {
        return static_cast<double>(size_of(m.node->dtype())) / kLine;
    }

    // What should be read of a row at a time where nothing is reused and the rows lie far apart, so
    // long as enough blocks are left to share out.
    double run_bytes(const MemoryAccess& m, std::int64_t v) const {
        if (!has(r_.scope, v) || in_a_row(m)) return 0;
        return std::min(kRunBytes, static_cast<double>(a_.size(v)) *
                                       static_cast<double>(size_of(m.node->dtype())) /
                                       kStageBlocks);
    }

    // The same of each row of a dot product that comes from memory: two lines, which it fetches
    // together.
    double row_bytes(const MemoryAccess& m) const {
        return a_.bytes_of(m) > 2 * cache_bytes() ? 2 * kLine : 0;
    }

    // Cycles of a vector of multiply-adds with an i by j by `vectors` tile in registers. The last
    // tile of a range that has no whole number of them computes what is there alone.
    double tile_cost(std::int64_t v, const Tile& t, const Staged* staged,
                     const CopiedRows* copied) const {
        const double whole = step_cycles(v, t, staged, copied);
        if (whole == INFINITY) return INFINITY;
        // A ragged tile is code of its own, which small kernels do not earn back.
        const double code = kRaggedCode * std::min(1.0, kManySteps / r_.volume);
        double cost = whole / (t.i * t.j * t.vectors);
        const auto tiles = [&](std::int64_t range, std::int64_t size, int Tile::* side, int unit) {
            if (range < 0) return;
            const std::int64_t n = t.*side * std::int64_t{unit}, full = size / n, rest = size % n;
            if (rest == 0) return;
            // In passes over rows that is more code than it saves time.
            Tile last = t;
            if (!has(r_.closed, range)) last.*side = static_cast<int>((rest + unit - 1) / unit);
            const double cycles =
                static_cast<double>(full) * whole + step_cycles(v, last, staged, copied);
            cost *=
                cycles * static_cast<double>(n) / (whole * static_cast<double>(size)) * (1 + code);
        };
        tiles(v, a_.size(v), &Tile::vectors, lanes_);
        if (t.ri >= 0) tiles(t.ri, a_.size(t.ri), &Tile::i, 1);
        if (t.rj >= 0) tiles(t.rj, a_.size(t.rj), &Tile::j, 1);
        return cost;
    }

    // Loads and multiply-adds of one step of a tile.
    double step_cycles(std::int64_t v, const Tile& t, const Staged* staged,
                       const CopiedRows* copied) const {
        const int accumulators = t.i * t.j * t.vectors;
        double loads = 0, lines = 0, widest = 0, far = 0, missed = 0, jumps = 0, changed = 0;
        const bool streams = !near_ && std::ranges::all_of(r_.loads, [&](std::size_t l) {
            return a_.accesses[l].depends(v);
        });
        for (std::size_t l : r_.loads) {
            const MemoryAccess& m = a_.accesses[l];
            double copies = 1;
            if (t.ri >= 0 && m.depends(t.ri)) copies *= t.i;
            if (t.rj >= 0 && m.depends(t.rj)) copies *= t.j;
            const bool along = m.depends(v);
            if (along) copies *= t.vectors;
            const bool side_by_side =
                m.stride[v] == 1 || m.stride[v] == -1 || (staged != nullptr && staged->load == l);
            const std::int64_t step = m.stride[v];
            if (along && !side_by_side)
                copies *= !has(m.general, v) && (step == 2 || step == 4)
                              ? static_cast<double>(step + 1)
                              : kGatherCost * lanes_;
            loads += copies;
            // What is changed before its use: an op, and one more to broadcast it.
            const bool as_copied = staged != nullptr && staged->load == l && !staged->across;
            if (is_made(m) && !as_copied) changed += copies;
            // The lines of rows that are copied are far apart until the next tile.
            const bool near = copied != nullptr && copied->load == l;
            double touched = copies;
            if (!near && t.i > 1) touched *= line_share(m, t.ri);
            if (!near && t.j > 1) touched *= line_share(m, t.rj);
            const bool panel = staged != nullptr && staged->load == l && staged->panel;
            lines += panel ? touched * kPanelLoad : touched;
            if (!along && !near && !in_a_row(m)) missed += touched;
            if (!along && !near && leaves_rows(m, t)) jumps += touched * line_part(m);
            if (along) {
                widest = std::max(widest, copies);
                const double bytes =
                    copies * lanes_ * static_cast<double>(size_of(m.node->dtype()));
                const double least = !side_by_side       ? 0
                                     : has(r_.closed, v) ? copies / t.vectors * row_bytes(m)
                                                         : (streams ? run_bytes(m, v) : 0);
                far += std::max(bytes, least);
            }
        }
        // Registers: the accumulators, the vectors that are reused across rows, a broadcast and a
        // spare.
        const double live =
            accumulators +
            (accumulators > t.vectors ? std::min(widest, static_cast<double>(t.vectors * t.j))
                                      : 1) +
            2;
        if (live > target_.vector_registers - 2) return INFINITY;
        // Two multiply-adds and two loads a cycle; a chain of dependent additions takes four cycles
        // a step; and loads that miss the nearest cache are not free beside the arithmetic.
        const double steps = accumulators * std::max(1, r_.ops) / 2.0 + changed;
        return std::max({steps, loads / 2.0, 4.0, near_ ? 0 : far / kFarBytes}) +
               lines * kLoadCycles + (near_ ? 0 : missed * kMissCycles + jumps * kJumpCycles);
    }

    Tile best_tile(std::int64_t v, const Staged* staged, const CopiedRows* copied = nullptr) const {
        Tile best;
        // Ties go to the inner range, whose steps lie closer together.
        for_tiles(v, staged, copied, [&](const Tile& t) {
            if (t.cost < best.cost || (t.cost == best.cost && t.ri > best.ri)) best = t;
        });
        return best;
    }

    template <class Take>
    void for_tiles(std::int64_t v, const Staged* staged, const CopiedRows* copied,
                   const Take& take) const {
        // Rows: ranges of the result along which some operand is reused.
        std::vector<std::int64_t> rows;
        const bool passes = has(r_.closed, v) && std::ranges::any_of(a_.stores, [&](Ref s) {
                                return (s->ranges() >> v & 1) != 0;
                            });
        for (std::int64_t n : a_.numbers) {
            if (n == v || !has(r_.scope & a_.outer & ~trips_, n) || a_.size(n) < 2) continue;
            if (staged != nullptr && has(staged->scope, n)) continue;
            // In passes over rows, what a few values near the core save does not pay for several
            // rows at a time.
            const bool reused =
                r_.loads.size() > 1 && std::ranges::any_of(r_.loads, [&](std::size_t l) {
                    return !a_.accesses[l].depends(n) &&
                           (!passes || a_.bytes_of(a_.accesses[l]) > kNearBytes / 2);
                });
            if (reused && a_.range[n]->src(0)->is(Op::Const)) rows.push_back(n);
        }
        const double steps_bytes =
            staged == nullptr
                ? 0
                : a_.volume(staged->steps) * kept_bytes(a_.accesses[staged->load], staged->across);
        const auto consider = [&](std::int64_t ri, std::int64_t rj) {
            for (int i : kRows) {
                if (ri < 0 ? i > 1 : i > a_.size(ri)) break;
                for (int j : kRows) {
                    if (rj < 0 ? j > 1 : j > a_.size(rj)) break;
                    for (int vectors : kVectors) {
                        if (vectors > 1 && (vectors - 1) * lanes_ >= a_.size(v)) break;
                        if (steps_bytes * vectors * lanes_ > kStageShare * cache_bytes()) break;
                        if (copied != nullptr && ri != copied->range) continue;
                        Tile t{0, i, j, vectors, ri, rj};
                        t.cost = tile_cost(v, t, staged, copied);
                        take(t);
                    }
                }
            }
        };
        // With the vector range in the result, one more range makes a tile unless it is short; with
        // it reduced, two do.
        consider(-1, -1);
        for (std::size_t x = 0; x < rows.size(); ++x) {
            consider(rows[x], -1);
            for (std::size_t y = x + 1; y < rows.size(); ++y)
                if (!has(r_.scope, v) || std::min(a_.size(rows[x]), a_.size(rows[y])) <= kShortRow)
                    consider(rows[x], rows[y]);
        }
    }

    // In how many parts a range runs in parallel so that there are enough blocks with a copy of
    // their own, and no more than pay for it: even ones if there are any.
    static std::int64_t parts_of(std::int64_t size, double blocks, double most_blocks) {
        const auto most = static_cast<std::int64_t>(std::ceil(most_blocks / blocks)),
                   least = static_cast<std::int64_t>(std::ceil(kStageBlocks / blocks));
        if (size <= most) return size;
        for (std::int64_t parts = most; parts >= least; --parts)
            if (size % parts == 0) return parts;
        return most;
    }

    void stage(const Staged& s, const Tile& tile, double& cost, Plan& plan) const {
        const MemoryAccess& m = a_.accesses[s.load];
        for (const Plan::Unrolled& u : plan.unrolled)
            if (m.depends(u.range)) return;
        double width = tile.vectors * lanes_;
        const double bytes = a_.volume(s.steps) * width * kept_bytes(m, s.across);
        double blocks = a_.volume(s.scope) / width;
        if (bytes > kStageShare * cache_bytes()) return;
        if (trips_ != 0) {
            // Each trip has a copy of its own, for the rows that it has. Of few steps, side by
            // side, the machine foresees the walks, and no page is left before it is used up.
            const bool few_walks = !s.across && !is_made(m) && a_.volume(s.steps) <= kFewWalks;
            if (a_.volume(a_.outer & ~s.scope & ~trips_) < (few_walks ? kWalkedRows : kTripRows))
                return;
            cost += a_.volume(s.steps | s.scope | trips_) * s.copy;
            plan.staged_for = s.scope;
            plan.squares = s.across;
            return;
        }
        if (a_.volume(a_.outer & ~s.scope) < kStageRows) return;
        const bool panel = s.panel && tile.ri >= 0 && plan.copied_rows < 0;
        if (panel) {
            blocks = a_.volume(s.scope & ~bit(plan.vector));
            width *= std::ceil(static_cast<double>(a_.size(plan.vector)) / width);
        }
        // Where the operand has too few blocks to keep threads busy, others of the result's ranges
        // run in parallel too, each with a copy of its own.
        const double copy = a_.volume(s.steps) * width * s.copy;  // of a block
        const double most_blocks =
            std::clamp(cost * kCopyShare / copy, kStageBlocks, kMostStageBlocks);
        std::uint64_t scope = s.scope;
        std::int64_t chunk = 0;
        Plan::Chunks chunks;
        const auto rows = [&] { return a_.volume(a_.outer & ~scope); };
        for (std::int64_t n : a_.numbers) {
            if (blocks >= kStageBlocks) break;
            if (!has(a_.outer & ~scope, n) || n == tile.ri || n == tile.rj ||
                !a_.range[n]->src(0)->is(Op::Const))
                continue;
            const std::int64_t size = a_.size(n), parts = parts_of(size, blocks, most_blocks);
            if (rows() / static_cast<double>(parts) < kStageRows) continue;
            blocks *= static_cast<double>(parts);
            if (parts == size) {
                scope |= bit(n);
            } else {
                chunks = {n, (size + parts - 1) / parts};
                break;
            }
        }
        if (blocks < kStageBlocks && tile.i > 1) {
            const double tiles = std::ceil(static_cast<double>(a_.size(tile.ri)) / tile.i);
            const double most = std::min(
                {std::ceil(kStageBlocks / blocks), tiles, std::floor(rows() / kStageRows)});
            if (most > 1) {
                chunk = static_cast<std::int64_t>(std::ceil(tiles / most));
                blocks *= most;
            }
        }
        if (blocks < kStageBlocks && cost > kSmallWork) return;
        cost += a_.volume(s.steps | s.scope) * (blocks * width / a_.volume(s.scope)) * s.copy;
        plan.staged_for = scope;
        plan.panel = panel;
        plan.squares = s.across;
        plan.chunks = chunks;
        if (chunk > 0) plan.unrolled.front().chunk = chunk;
    }

    static constexpr int kRows[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12};
    static constexpr int kVectors[] = {1, 2, 3, 4, 6, 8};

    const Analysis& a_;
    const Reducing& r_;
    const Target& target_;
    const std::uint64_t trips_;
    const bool copies_;
    int lanes_ = 1;
    bool near_;  // each operand fits the nearest cache
};

}  // namespace

namespace {

// The reduction that the tile is made for; null if there is none.
const Reducing* main_reduction(const Analysis& a) {
    const auto main = std::ranges::max_element(
        a.reductions, {}, [](const Reducing& r) { return r.volume * (1 + r.ops); });
    return main == a.reductions.end() ? nullptr : &*main;
}

// Calls with each range of the result that may run in vectors in place of the plan's, and its
// lanes.
template <class Call>
void for_vector_ranges(const Analysis& a, const Reducing& main, std::uint64_t trips,
                       const Target& target, const Call& call) {
    for (std::int64_t n : a.numbers) {
        const bool result =
            has(main.scope & a.outer & ~trips, n) && a.range[n]->src(0)->is(Op::Const);
        const int lanes = vector_lanes(a, n, target);
        if (result && lanes >= 4 && a.size(n) >= lanes) call(n, lanes);
    }
}

}  // namespace

void choose_contraction(const Analysis& a, const Target& target, bool copies, Plan& plan) {
    const Reducing* const main = main_reduction(a);
    if (main == nullptr || plan.vector < 0) return;
    if (!has(main->scope | main->closed, plan.vector)) return;
    const std::uint64_t trips = trips_mask(plan);
    Search search(a, *main, target, trips, copies);
    double least = INFINITY;
    search.plan_for(plan.vector, plan.lanes, false, plan, least);
    if (main->loads.size() < 2) return;
    for_vector_ranges(a, *main, trips, target, [&](std::int64_t n, int lanes) {
        for (const bool across : {false, true}) {
            Plan other;
            other.trips = plan.trips;
            double cost = INFINITY;
            if (search.plan_for(n, lanes, across, other, cost) && cost < least) {
                least = cost;
                plan = other;
            }
        }
    });
}

std::vector<Plan> contraction_plans(const Analysis& a, const Target& target, bool copies,
                                    const Plan& chosen) {
    const Reducing* const main = main_reduction(a);
    if (main == nullptr || chosen.vector < 0) return {};
    if (!has(main->scope | main->closed, chosen.vector)) return {};
    const std::uint64_t trips = trips_mask(chosen);
    Search search(a, *main, target, trips, copies);
    std::vector<WeighedPlan> weighed;
    search.append_plans(chosen.vector, chosen.lanes, false, weighed);
    if (main->loads.size() > 1)
        for_vector_ranges(a, *main, trips, target, [&](std::int64_t n, int lanes) {
            for (const bool across : {false, true})
                if (n != chosen.vector || across) search.append_plans(n, lanes, across, weighed);
        });
    std::ranges::stable_sort(weighed, {}, &WeighedPlan::cost);
    std::vector<Plan> plans;
    for (WeighedPlan& w : weighed) {
        w.plan.trips = chosen.trips;
        plans.push_back(std::move(w.plan));
    }
    return plans;
}

}  // namespace sinter::codegen
