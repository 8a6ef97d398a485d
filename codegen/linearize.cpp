#include "linearize.h"

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "combine.h"
#include "emitter.h"
#include "order.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::size_t kHidingAccumulators = 4;  // their steps hide one another's latency
// Accumulators of reductions over unrolled ranges, one for each copy while there are so few.
constexpr std::size_t kMostAccumulators = 16;
constexpr int kShortStep = 8;  // value ops of a step that does not hide its own

// What closes ranges: it is computed by loops of its own, before what reads it.
bool is_closing(Ref node) {
    return node->is(Op::Reduce) || node->is(Op::Accumulate) || node->is(Op::Order);
}

// A reduction under way: its accumulators as they stand where code is being made.
struct Reduction {
    Ref node;
    Tuple acc;               // copy by copy, the components of a copy side by side
    std::size_t components;  // 1, or the count of a tuple
    bool across_lanes;       // the lanes of a vector range are reduced as well
};

// Something to do in a scope: a store, or a step of a reduction with the values it takes.
struct Work {
    Ref store = nullptr;
    Reduction* reduction = nullptr;
    std::vector<Ref> values;      // of the reduction; the store itself otherwise
    std::uint64_t remaining = 0;  // serial and parallel ranges still to be opened
};

// Trips of a loop that may become code of their own.
constexpr std::int64_t kRaggedTrips = 4;
// Loops of so many trips come in parts, in which masks are even but in so many trips of a mask; at
// most so many parts, and nodes in all of them.
constexpr std::int64_t kPartedTrips = 4, kUnevenTrips = 3;
constexpr std::size_t kMostParts = 12, kPartedNodes = 3000;

class Linearizer {
public:
    Linearizer(Arena& arena, Ref sink, std::span<const std::int64_t> order,
               std::span<const Ref> parallel, const std::string& symbol,
               const LinearizeOptions& options)
        : arena_(arena),
          emit_(arena, options.fma),
          parallel_(parallel.begin(), parallel.end()),
          teams_(options.teams),
          prefetch_(options.prefetch),
          squares_(options.squares) {
        for (const Limit& l : options.limits) limit_[l.range] = &l;
        emit_.function().symbol = symbol;
        for (const Streamed& s : options.streamed) emit_.stream(s);
        if (options.spans) emit_.read_spans();
        for (const std::int64_t slot : options.far) emit_.read_far(slot);
        for (Ref n : ir::toposort(std::span(&sink, 1))) {
            if (is_closing(n)) {
                std::uint64_t named = 0;
                for (Ref r : named_ranges(n)) named |= range_bit(r);
                closed_ |= named;
                accumulators_[named] += value_count(n);
                ++reductions_[named];
            }
            if (n->is(Op::Scan) && n->src(1)->is(Op::Range)) ordered_ |= range_bit(n->src(1));
            if (n->is(Op::Store))
                for (Ref r : n->src().subspan(4))
                    if (r->is(Op::Range)) ordered_ |= range_bit(r);
            if (!n->is(Op::Range)) continue;
            const auto number = static_cast<std::size_t>(n->arg(0));
            range_[number] = n;
            if (ir::role_of(n) == Role::Vector) {
                vector_ |= range_bit(n);
                emit_.set_vector(n);
            }
        }
        for (std::size_t i = 0; i < 64; ++i) rank_[i] = 64 + static_cast<std::int64_t>(i);
        for (std::size_t i = 0; i < order.size(); ++i)
            rank_[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
        // What is kept anew in each step of a range is filled and read within it.
        const std::uint64_t renewed = teams_ ? 0 : renewed_ranges(sink) & ~closed_;
        for (std::size_t i = 0; i < 64; ++i)
            if ((renewed >> i & 1) == 0) rank_[i] += 128;
        Ref written = nullptr;
        for (Ref s : sink->src()) {
            stores_.push_back(s);
            if (ir::is_near(s->src(0))) emit_.updates(s->src(0));
            if (s->src(0)->arg(0) < 0) continue;  // scratch
            if (written == nullptr) written = s->src(0);
            overwrites_ = overwrites_ || s->src(0) != written;
        }
    }

    Function run() {
        std::vector<Work> works;
        for (Ref s : stores_) works.push_back(store_work(s));
        open_trips(std::move(works));
        return std::move(emit_.function());
    }

private:
    // --- parallel ranges: one loop over trips

    void open_trips(std::vector<Work> works) {
        if (!parallel_.empty()) row_ = parallel_.back();
        const Value begin = emit_.argument(Arg::Begin), end = emit_.argument(Arg::End);
        if (parallel_.size() == 1 && is_ragged(parallel_[0]))
            return split_trips(std::move(works), begin, end);
        emit_.open_loop(begin, end, false);
        // Trip t is a number in mixed radix, the last range running fastest.
        Value rest = emit_.loop_index();
        for (std::size_t i = parallel_.size(); i-- > 0;) {
            const Ref size = parallel_[i]->src(0);
            if (i == 0) {
                emit_.bind(parallel_[i], rest);
                break;
            }
            const Value n = emit_.value(size);
            emit_.bind(parallel_[i], emit_.arith(Op::Mod, DType::Index, {rest, n}));
            rest = emit_.arith(Op::IDiv, DType::Index, {rest, n});
        }
        variants(std::move(works), 0);
        emit_.close_loop();
    }

    // Each ragged parallel range doubles the code: its last trip, and the others.
    void variants(std::vector<Work> works, std::size_t i) {
        while (i < parallel_.size() && !is_ragged(parallel_[i])) ++i;
        if (i == parallel_.size()) return process(std::move(works));
        const Ref p = parallel_[i];
        const std::int64_t n = p->src(0)->arg(0);
        const bool outer_last = last_trips_;
        last_trips_ = true;
        if (n == 1) {
            variants(at(works, p, arena_.index(0)), i + 1);
            last_trips_ = outer_last;
            return;
        }
        const Value last =
            emit_.arith(Op::Eq, DType::Bool, {emit_.value(p), emit_.value(arena_.index(n - 1))});
        emit_.open_if(last);
        variants(at(works, p, arena_.index(n - 1)), i + 1);
        last_trips_ = outer_last;
        emit_.open_else();
        const Ref fewer = shortened(p, n - 1);
        emit_.bind(fewer, emit_.value(p));
        variants(at(works, p, fewer), i + 1);
        emit_.close_if();
    }

    // One ragged range: a loop over its whole trips, then the last one if it is ours.
    void split_trips(std::vector<Work> works, Value begin, Value end) {
        const Ref p = parallel_[0];
        const Ref size = p->src(0);
        const bool constant = size->is(Op::Const);
        const Value last = constant
                               ? emit_.value(arena_.index(size->arg(0) - 1))
                               : emit_.arith(Op::Sub, DType::Index,
                                             {emit_.value(size), emit_.value(arena_.index(1))});
        if (!constant || size->arg(0) > 1) {
            const Value whole_end = emit_.arith(Op::Min, DType::Index, {end, last});
            emit_.open_loop(begin, whole_end, true);
            if (constant) {
                const Ref fewer = shortened(p, size->arg(0) - 1);
                emit_.bind(p, emit_.loop_index());
                emit_.bind(fewer, emit_.loop_index());
                process(at(works, p, fewer));
            } else {
                // In a whole trip no element is beyond the end, whatever the size is.
                emit_.bind(p, emit_.loop_index());
                process(unbounded(works, size));
            }
            emit_.close_loop();
        }
        emit_.open_if(emit_.arith(Op::Lt, DType::Bool, {last, end}));
        if (constant) {
            emit_.bind(p, last);
            last_trips_ = true;
            process(at(works, p, arena_.index(size->arg(0) - 1)));
            last_trips_ = false;
        } else {
            emit_.bind(p, last);
            process(std::move(works));
        }
        emit_.close_if();
    }

    Ref shortened(Ref r, std::int64_t n) {
        const Ref size = arena_.index(n);
        const std::int64_t args[] = {r->arg(0), r->arg(1)};
        return arena_.make(Op::Range, DType::Index, std::span<const Ref>(&size, 1), args);
    }

    // --- work

    Work store_work(Ref store) { return {store, nullptr, {store}, store->ranges() & ~vector_}; }

    std::vector<Work> at(const std::vector<Work>& works, Ref range, Ref value) {
        std::vector<Work> result;
        for (const Work& w : works) {
            Work moved = w;
            moved.values = substitute_free(arena_, w.values, range, value);
            if (w.store != nullptr) moved.store = moved.values[0];
            moved.remaining &= ~range_bit(range);
            result.push_back(std::move(moved));
        }
        return result;
    }

    // The works where masks against a variable size hold.
    std::vector<Work> unbounded(const std::vector<Work>& works, Ref size) {
        Ref variable = nullptr;
        for (Ref n : ir::toposort(std::span(&size, 1)))
            if (n->is(Op::Variable)) variable = n;
        return at_variable(works, variable,
                           arena_.index(variable->vmax() + (std::int64_t{1} << 32)));
    }

    std::vector<Work> at_variable(const std::vector<Work>& works, Ref variable, Ref value) {
        const auto replace = [&](Ref root) {
            return rebuild(root, [&](Ref n, std::span<const Ref> src) {
                // Only masks: the ranges' own sizes stay.
                if (!n->is(Op::Lt)) return make_folded(arena_, n, src);
                const Ref changed[] = {src[0], src[1] == variable ? value : src[1]};
                return make_folded(arena_, n, changed);
            });
        };
        std::vector<Work> result;
        for (const Work& w : works) {
            Work moved = w;
            for (Ref& v : moved.values) v = replace(v);
            if (w.store != nullptr) moved.store = moved.values[0];
            result.push_back(std::move(moved));
        }
        return result;
    }

    // --- scopes

    std::uint64_t serial(std::uint64_t ranges) const {
        return ranges & ~vector_ & ~emit_.open_ranges();
    }

    // Reductions below `roots` that can be computed in this scope and are not yet, each after those
    // it reads.
    std::vector<Ref> pending(std::span<const Ref> roots) {
        std::vector<Ref> found;
        RefMap<char> seen(64);
        std::vector<std::pair<Ref, std::size_t>> stack;
        for (Ref root : roots) {
            if (seen.contains(root)) continue;
            seen[root] = 1;
            stack.emplace_back(root, 0);
            while (!stack.empty()) {
                auto& [node, next] = stack.back();
                if (next < node->src().size() && !emit_.known(node)) {
                    const Ref s = node->src(next++);
                    if (!seen.contains(s)) {
                        seen[s] = 1;
                        stack.emplace_back(s, 0);
                    }
                    continue;
                }
                const Ref done = node;
                stack.pop_back();
                if (is_closing(done) && !emit_.known(done) && serial(done->ranges()) == 0)
                    found.push_back(done);
            }
        }
        return found;
    }

    // 1 + the highest level among the pending reductions that `roots` read, else 0.
    int level_above(std::span<const Ref> roots, const RefMap<int>& levels) {
        int level = 0;
        for (Ref n : ir::toposort(roots))
            if (const int* l = levels.find(n)) level = std::max(level, *l + 1);
        return level;
    }

    // Calls `visit` on the reductions below `roots` that are not computed yet.
    template <class Visit>
    void each_unknown_reduction(std::span<const Ref> roots, const Visit& visit) const {
        RefMap<char> seen(64);
        std::vector<Ref> stack(roots.begin(), roots.end());
        while (!stack.empty()) {
            const Ref node = stack.back();
            stack.pop_back();
            if (seen.contains(node)) continue;
            seen[node] = 1;
            if (emit_.known(node)) continue;
            if (is_closing(node)) visit(node);
            stack.insert(stack.end(), node->src().begin(), node->src().end());
        }
    }

    // Serial ranges that reductions below `roots` have yet to run over.
    std::uint64_t to_be_closed(std::span<const Ref> roots) const {
        std::uint64_t closed = 0;
        each_unknown_reduction(roots, [&](Ref node) {
            for (Ref r : named_ranges(node)) closed |= range_bit(r);
        });
        return closed & ~vector_;
    }

    // A reduction over a range that is open here as another loop's index gets a range of its own:
    // f(i, j) = a(i) b(j) with a(i) = sum over j, b(j) = sum over i has no order of i and j
    // without.
    void rename_closed(std::vector<Work>& works) {
        if ((closed_ & emit_.open_ranges()) == 0) return;
        std::vector<Ref> roots;
        for (const Work& w : works) roots.insert(roots.end(), w.values.begin(), w.values.end());
        const std::uint64_t clash = to_be_closed(roots) & emit_.open_ranges();
        if (clash == 0) return;
        Ref fresh[64] = {};
        const auto renamed = [&](Ref r) {
            Ref& f = fresh[r->arg(0)];
            if (f == nullptr) f = fresh_range(r);
            return f;
        };
        // Not below what is known: that was computed where the names did not clash.
        RefMap<Ref> done(64);
        std::vector<std::pair<Ref, std::size_t>> stack;
        std::vector<Ref> src;
        for (Ref root : roots) {
            if (!done.contains(root)) stack.emplace_back(root, 0);
            while (!stack.empty()) {
                auto& [node, next] = stack.back();
                if (emit_.known(node)) {
                    done[node] = node;
                    stack.pop_back();
                    continue;
                }
                if (next < node->src().size()) {
                    const Ref s = node->src(next++);
                    if (!done.contains(s)) stack.emplace_back(s, 0);
                    continue;
                }
                src.clear();
                for (Ref s : node->src()) src.push_back(*done.find(s));
                if (is_closing(node))
                    for (Ref r : named_ranges(node))
                        if ((range_bit(r) & clash) != 0)
                            src = substitute_free(arena_, src, r, renamed(r));
                done[node] = make_folded(arena_, node, src);
                stack.pop_back();
            }
        }
        for (Work& w : works) {
            for (Ref& v : w.values) v = *done.find(v);
            if (w.store != nullptr) w.store = w.values[0];
        }
    }

    // One that is not open; the code of another trip may use it again.
    Ref fresh_range(Ref like) {
        std::vector<Ref>& made = fresh_[like];
        for (Ref r : made)
            if ((range_bit(r) & emit_.open_ranges()) == 0) return r;
        for (std::size_t i = 0; i < 64; ++i) {
            if (range_[i] != nullptr) continue;
            std::vector<std::int64_t> args(like->args().begin(), like->args().end());
            args[0] = static_cast<std::int64_t>(i);
            range_[i] = arena_.make(Op::Range, DType::Index, like->src(), args);
            rank_[i] = rank_[static_cast<std::size_t>(like->arg(0))];
            closed_ |= range_bit(range_[i]);
            if ((ordered_ & range_bit(like)) != 0) ordered_ |= range_bit(range_[i]);
            made.push_back(range_[i]);
            return range_[i];
        }
        throw InternalError("codegen: a kernel with more than 64 ranges");
    }

    // The range that is next for all of the works, null if there is none.
    Ref shared_range(std::span<const Work> works) const {
        std::int64_t next = -1;
        for (const Work& w : works) {
            if (w.store == nullptr) return nullptr;
            std::int64_t first = -1;
            for (std::int64_t i = 0; i < 64; ++i)
                if ((w.remaining >> i & 1) != 0 &&
                    (first < 0 ||
                     rank_[static_cast<std::size_t>(i)] < rank_[static_cast<std::size_t>(first)]))
                    first = i;
            if (first < 0 || (next >= 0 && first != next)) return nullptr;
            next = first;
            // What is kept over the range is all of it.
            if (w.store->src(0)->arg(0) == kThreadSlot &&
                (w.store->src(1)->ranges() >> next & 1) != 0)
                return nullptr;
        }
        if (next < 0 || (ordered_ >> next & 1) != 0) return nullptr;
        return range_[static_cast<std::size_t>(next)];
    }

    // Reductions that `after` waits for and that compute, in their own pass, what `kept` stores:
    // they run in the same loops.
    std::vector<Ref> computing(const std::vector<Work>& kept, const std::vector<Work>& after) {
        std::vector<Ref> roots, found;
        for (const Work& w : after) roots.insert(roots.end(), w.values.begin(), w.values.end());
        for (Ref reduction : pending(roots)) {
            bool computes = false, reads = false;
            for (Ref n : ir::toposort(reduction->src().first(value_count(reduction)))) {
                reads = reads || (n->is(Op::Param) && n->arg(0) == kThreadSlot);
                computes = computes || std::ranges::any_of(kept, [&](const Work& w) {
                               return w.store->src(2) == n;
                           });
            }
            if (computes && !reads) found.push_back(reduction);
        }
        return found;
    }

    static std::vector<Ref> stores_of(const std::vector<Work>& works) {
        std::vector<Ref> stores;
        for (const Work& w : works) stores.push_back(w.store);
        return stores;
    }
    static bool is_kept(const Work& w) {
        return w.store != nullptr && w.store->src(0)->arg(0) == kThreadSlot;
    }
    // Ranges still to be opened in each trip of which this is kept anew: reductions close them, and
    // its place does not depend on them.
    std::uint64_t renewed_in(const Work& w) const {
        return w.remaining & closed_ & ~emit_.open_ranges() & ~w.store->src(1)->ranges();
    }
    // The level of the reductions that read what is kept anew in each of their steps.
    int level_renewing(const Work& w, std::span<const Ref> reductions,
                       const RefMap<int>& levels) const {
        const std::uint64_t renewed = renewed_in(w);
        for (Ref node : reductions)
            for (Ref r : named_ranges(node))
                if ((range_bit(r) & renewed) != 0) return *levels.find(node);
        return 0;
    }

    /// `beside` names reductions to be computed as well.
    void process(std::vector<Work> works, std::span<const Ref> beside = {}) {
        // What is stored nowhere, as in the last trip of a ragged range, is not computed.
        std::erase_if(works, [](const Work& w) {
            return w.store != nullptr && w.store->src(3)->is(Op::Const) &&
                   w.store->src(3)->arg(0) == 0;
        });
        // What is kept near is all there before it is read.
        const auto rest = std::ranges::stable_partition(
            works, [&](const Work& w) { return is_kept(w) && (!teams_ || renewed_in(w) == 0); });
        if (rest.begin() != works.begin() && !rest.empty()) {
            for (Work& w : works) w.remaining &= ~emit_.open_ranges();
            // Of rows that are gone through one by one, each is kept for itself; before them, what
            // is kept for all.
            if (const Ref shared = shared_range(works)) return run_loop(shared, std::move(works));
            if (const Ref shared = shared_range(rest)) {
                const auto others = std::stable_partition(
                    works.begin(), rest.begin(),
                    [&](const Work& w) { return (w.remaining & range_bit(shared)) == 0; });
                if (others != works.begin() && others != rest.begin()) {
                    std::vector<Work> after(others, works.end());
                    works.erase(others, works.end());
                    const std::vector<Ref> filled = stores_of(works);
                    emit_.scratch_is_free();
                    process(std::move(works));
                    emit_.scratch_is_filled(filled);
                    return process(std::move(after));
                }
            }
            std::vector<Work> after(rest.begin(), rest.end());
            works.erase(rest.begin(), rest.end());
            const std::vector<Ref> filled = stores_of(works);
            emit_.scratch_is_free();
            const std::vector<Ref> companions = computing(works, after);
            process(std::move(works), companions);
            emit_.scratch_is_filled(filled);
            return process(std::move(after));
        }
        std::vector<Ref> roots;
        for (Work& w : works) w.remaining &= ~emit_.open_ranges();
        rename_closed(works);
        for (const Work& w : works) roots.insert(roots.end(), w.values.begin(), w.values.end());
        roots.insert(roots.end(), beside.begin(), beside.end());
        if (squares_ && std::ranges::any_of(works, [](const Work& w) { return w.remaining == 0; }))
            emit_.find_squares(roots);
        const std::vector<Ref> reductions = pending(roots);
        std::vector<std::unique_ptr<Reduction>> started;
        std::vector<std::vector<Work>> levels(1);
        const auto put = [&](Work work, int level) {
            if (levels.size() <= static_cast<std::size_t>(level))
                levels.resize(static_cast<std::size_t>(level) + 1);
            levels[static_cast<std::size_t>(level)].push_back(std::move(work));
        };
        RefMap<int> level_of(reductions.size());
        for (Ref node : reductions) {
            const auto values = node->src().first(value_count(node));
            const int level = level_above(values, level_of);
            level_of[node] = level;
            started.push_back(std::make_unique<Reduction>(start(node)));
            std::uint64_t remaining = 0;
            for (Ref r : named_ranges(node)) remaining |= range_bit(r) & ~vector_;
            put({nullptr, started.back().get(), {values.begin(), values.end()}, remaining}, level);
        }
        // Stores come in the last pass together: what a kernel overwrites in place has been read by
        // then.
        int last = 0;
        std::vector<Work> stores;
        for (Work& w : works) {
            const int level = reductions.empty() ? 0 : level_above(w.values, level_of);
            last = std::max(last, level);
            if (teams_ && is_kept(w) && renewed_in(w) != 0)
                put(std::move(w), level_renewing(w, reductions, level_of));
            else if (w.store != nullptr)
                stores.push_back(std::move(w));
            else
                put(std::move(w), level);
        }
        last = std::max(last, static_cast<int>(levels.size()) - 1);
        for (Work& w : stores) put(std::move(w), last);
        const bool passes = levels.size() > 1 && std::ranges::any_of(levels[0], [&](const Work& w) {
                                return (w.remaining & ~emit_.open_ranges()) != 0;
                            });
        // What a tile's results are made with besides its sums.
        for (std::size_t i = 1; passes && prefetch_ && i < levels.size(); ++i)
            for (const Work& w : levels[i])
                if ((w.remaining & ~emit_.open_ranges()) == 0) emit_.fetch_for_later(w.values);
        const bool fetches = passes && emit_.fetch_far(false);
        for (std::size_t i = 0; i < levels.size(); ++i) {
            // The second pass over a row finds it near: there is time to fetch the next one.
            if (i != 1 || !prefetch_ || row_ == nullptr) {
                run_level(levels[i], started);
                continue;
            }
            const Emitter::Ahead before = emit_.look_ahead(row_);
            run_level(levels[i], started);
            emit_.look_ahead(before);
        }
        if (passes) emit_.fetch_far(fetches);
    }

    void run_level(std::vector<Work>& works,
                   const std::vector<std::unique_ptr<Reduction>>& started) {
        const auto mine = [&](const Reduction* r) {
            return std::ranges::any_of(started, [&](const auto& s) { return s.get() == r; });
        };
        std::map<std::int64_t, std::vector<Work>> loops;  // by rank of the next range
        std::vector<Reduction*> finish;
        // A result may take the memory of an operand, read at the same index: of several stores,
        // all values come before the first write. Stores that combine follow one another in order.
        // Stores past the caches are written together besides.
        if (overwrites_ || emit_.streams())
            for (const Work& w : works)
                if (w.remaining == 0 && w.store != nullptr && w.store->src().size() == 4)
                    emit_.prepare(w.store);
        if (!teams_) {
            std::vector<Ref> ready;
            for (const Work& w : works)
                if (w.remaining == 0 && w.store != nullptr) ready.push_back(w.store);
            if (ready.size() > 1) {
                const std::vector<bool> done = emit_.store_transposed(ready);
                std::size_t next = 0;
                std::erase_if(works, [&](const Work& w) {
                    return w.remaining == 0 && w.store != nullptr && done[next++];
                });
            }
        }
        std::uint64_t closed_by_stores = 0;
        for (const Work& w : works)
            if (w.store != nullptr && (w.remaining & closed_) != 0)
                closed_by_stores |= to_be_closed(w.values);
        for (Work& w : works) {
            if (w.reduction != nullptr && mine(w.reduction)) finish.push_back(w.reduction);
            if (w.remaining == 0) {
                if (w.store != nullptr)
                    emit_.store(w.store);
                else
                    step(*w.reduction, w.values);
                continue;
            }
            // Ranges that are walked in order are innermost. Before them the ranges that reductions
            // of this work wait for, then those that they close: the other way round they would be
            // computed again in each trip. Stores go the same way, since those over the same ranges
            // must share their loops.
            std::uint64_t candidates = w.remaining & ~ordered_;
            if (candidates == 0) {
                candidates = w.remaining;
            } else if (std::popcount(candidates) > 1 && (candidates & closed_) != 0) {
                const std::uint64_t open_first =
                    candidates & ~(w.store != nullptr ? closed_by_stores : to_be_closed(w.values));
                if (open_first != 0) candidates = open_first;
            }
            std::int64_t first = -1;
            for (std::int64_t i = 0; i < 64; ++i)
                if ((candidates >> i & 1) != 0 &&
                    (first < 0 ||
                     rank_[static_cast<std::size_t>(i)] < rank_[static_cast<std::size_t>(first)]))
                    first = i;
            loops[rank_[static_cast<std::size_t>(first)] * 64 + first].push_back(std::move(w));
        }
        for (auto& [key, group] : loops)
            run_loop(range_[static_cast<std::size_t>(key % 64)], std::move(group));
        for (Reduction* r : finish) finalize(*r);
    }

    void run_loop(Ref range, std::vector<Work> works) {
        const Ref row = std::exchange(row_, range);
        run_trips(range, std::move(works));
        row_ = row;
    }

    void run_trips(Ref range, std::vector<Work> works) {
        if (!range->src(0)->is(Op::Const))
            throw InternalError("codegen: a serial range of variable size");
        const std::int64_t n = range->src(0)->arg(0);
        if (n == 0) return;
        // What is walked in order goes on from trip to trip, to the last one.
        const bool ordered = (ordered_ & range_bit(range)) != 0;
        if (!ordered && limit_[range->arg(0)] == nullptr)
            if (const auto parts = even_parts(works, range, n); parts.size() > 1) {
                run_parts(works, range, parts);
                return;
            }
        std::int64_t whole = is_ragged(range) && !ordered ? n - 1 : n;
        if (last_trips_ && !ordered) whole = trips_within(works, range, whole);
        run_even_trips(range, std::move(works), whole);
    }

    // A loop over the first `whole` trips; the others are code of their own.
    void run_even_trips(Ref range, std::vector<Work> works, std::int64_t whole) {
        const std::int64_t n = range->src(0)->arg(0);
        if (const std::int64_t steps = interleaved_steps(works, range, whole); steps > 1) {
            for (std::int64_t i = run_interleaved(works, range, whole, steps); i < n; ++i)
                process(at(works, range, arena_.index(i)));
            return;
        }
        if (whole > 1) {
            const Ref shorter = shortened(range, whole);
            std::vector<Work> inside = at(works, range, shorter);
            Value begin = emit_.value(arena_.index(0)), end = emit_.value(arena_.index(whole));
            if (const Limit* limit = limit_[range->arg(0)]) {
                if (limit->begin != nullptr) begin = emit_.value(limit->begin);
                if (limit->end != nullptr)
                    end = emit_.arith(Op::Min, DType::Index, {end, emit_.value(limit->end)});
            }
            emit_.open_loop(begin, end, false);
            emit_.bind(shorter, emit_.loop_index());
            carry_through(std::move(inside));
        }
        for (std::int64_t i = whole > 1 ? whole : 0; i < n; ++i)
            process(at(works, range, arena_.index(i)));
    }

    // Trips of a loop, from one number to below the next, in each of which every mask holds
    // throughout or nowhere, and single trips in between: where concatenations, paddings and rows
    // begin and end. One part if that is all trips, or would be too much code.
    std::vector<std::int64_t> even_parts(const std::vector<Work>& works, Ref range,
                                         std::int64_t n) const {
        if (teams_ || n < kPartedTrips) return {0};
        std::vector<Ref> roots;
        for (const Work& w : works) roots.insert(roots.end(), w.values.begin(), w.values.end());
        std::vector<std::int64_t> begins{0};
        std::size_t nodes = 0;
        for (Ref node : ir::toposort(roots)) {
            if ((node->ranges() & range_bit(range)) == 0) continue;
            ++nodes;
            const bool below = node->is(Op::Lt);
            if ((!below && !node->is(Op::Le)) || node->src(0)->dtype() != DType::Index) continue;
            // Where step * trip + rest < 0.
            ir::Affine rest = ir::affine(node->src(0)) - ir::affine(node->src(1));
            if (!below) --rest.constant;
            const std::int64_t step = rest.coefficient(range);
            std::erase_if(rest.terms, [&](const auto& t) { return t.first == range; });
            if (step == 0 || std::ranges::any_of(rest.terms, [&](const auto& t) {
                    return (t.first->ranges() & range_bit(range)) != 0;
                }))
                continue;
            const ir::Bounds bounds = ir::bounds(rest);
            constexpr std::int64_t kFar = std::int64_t{1} << 60;
            if (bounds.min < -kFar || bounds.max > kFar) continue;
            // The trips in which it holds here and there.
            const std::int64_t first = step > 0 ? ir::floor_div(-1 - bounds.max, step) + 1
                                                : ir::floor_div(bounds.min, -step) + 1,
                               last = step > 0 ? ir::floor_div(-1 - bounds.min, step)
                                               : ir::floor_div(bounds.max, -step);
            if (last - first >= kUnevenTrips) continue;
            for (std::int64_t t = first; t <= last + 1; ++t)
                if (t > 0 && t < n) begins.push_back(t);
        }
        std::ranges::sort(begins);
        begins.erase(std::ranges::unique(begins).begin(), begins.end());
        if (begins.size() > kMostParts || nodes * begins.size() > kPartedNodes) return {0};
        return begins;
    }

    void run_parts(const std::vector<Work>& works, Ref range,
                   std::span<const std::int64_t> begins) {
        const std::int64_t n = range->src(0)->arg(0);
        for (std::size_t i = 0; i < begins.size(); ++i) {
            const std::int64_t begin = begins[i],
                               trips = (i + 1 < begins.size() ? begins[i + 1] : n) - begin;
            if (trips == 1) {
                process(at(works, range, arena_.index(begin)));
                continue;
            }
            const Ref part = shortened(range, trips);
            std::vector<Work> moved =
                at(works, range, fold(arena_, Op::Add, part, arena_.index(begin)));
            for (Work& w : moved) w.remaining |= range_bit(range);
            run_even_trips(part, std::move(moved), trips);
        }
    }

    // Of a last trip, how many of the first trips of a loop are whole, if nearly all are: the
    // others are code of their own.
    static std::int64_t trips_within(const std::vector<Work>& works, Ref range, std::int64_t most) {
        std::vector<Ref> roots;
        for (const Work& w : works) roots.insert(roots.end(), w.values.begin(), w.values.end());
        std::int64_t whole = most;
        for (Ref n : ir::toposort(roots)) {
            if (!n->is(Op::Lt) || !n->src(1)->is(Op::Const) || n->src(0)->dtype() != DType::Index ||
                (n->ranges() & range_bit(range)) == 0)
                continue;
            ir::Affine rest = ir::affine(n->src(0));
            std::int64_t step = 0;
            std::erase_if(rest.terms, [&](const auto& t) {
                if (t.first != range) return false;
                step = t.second;
                return true;
            });
            const std::int64_t room = n->src(1)->arg(0) - 1 - ir::bounds(rest).max;
            if (step > 0) whole = std::min(whole, room < 0 ? 0 : room / step + 1);
        }
        return most - whole <= kRaggedTrips ? whole : most;
    }

    // The body of the loop that was opened, and its end: accumulators go from trip to trip.
    void carry_through(std::vector<Work> inside) {
        std::vector<Reduction*> carried;
        for (const Work& w : inside)
            if (w.reduction != nullptr) carried.push_back(w.reduction);
        for (Reduction* r : carried)
            for (Value& v : r->acc) v = emit_.carry(v);
        process(std::move(inside));
        for (Reduction* r : carried)
            for (Value v : r->acc) emit_.set_next(v);
        const std::vector<Value> results = emit_.close_loop();
        std::size_t next = 0;
        for (Reduction* r : carried)
            for (Value& v : r->acc) v = results[next++];
    }

    // Steps a trip of a loop with nothing but short steps of few reductions, each of which would
    // wait for the one before; 1 if it is no such loop.
    std::int64_t interleaved_steps(const std::vector<Work>& works, Ref range, std::int64_t n) {
        if (teams_ || (ordered_ & range_bit(range)) != 0 || limit_[range->arg(0)] != nullptr)
            return 1;
        std::size_t accumulators = 0;
        std::vector<Ref> roots;
        for (const Work& w : works) {
            if (w.reduction == nullptr || w.reduction->node->is(Op::Order) ||
                (w.remaining & ~emit_.open_ranges() & ~range_bit(range)) != 0)
                return 1;
            accumulators += w.reduction->acc.size() / w.reduction->components;
            roots.insert(roots.end(), w.values.begin(), w.values.end());
        }
        const auto steps = static_cast<std::int64_t>(kHidingAccumulators / accumulators);
        if (steps < 2 || n < 2 * steps) return 1;
        int ops = 0;
        for (Ref node : ir::toposort(roots)) {
            if ((node->ranges() & range_bit(range)) == 0 || emit_.known(node)) continue;
            if (is_closing(node) || node->is(Op::Scan)) return 1;
            ops += ir::is_elementwise(node->op()) && node->dtype() != DType::Index;
        }
        return ops <= kShortStep * static_cast<int>(works.size()) ? steps : 1;
    }

    // A loop of `steps` steps a trip, each with accumulators of its own. Gives the steps that are
    // done.
    std::int64_t run_interleaved(std::vector<Work>& works, Ref range, std::int64_t whole,
                                 std::int64_t steps) {
        const Ref trip = shortened(range, whole / steps);
        std::vector<std::unique_ptr<Reduction>> others;
        std::vector<Reduction*> of;  // by `others`
        std::vector<Work> inside;
        for (std::int64_t k = 0; k < steps; ++k) {
            const Ref index = fold(
                arena_, Op::Add, fold(arena_, Op::Mul, trip, arena_.index(steps)), arena_.index(k));
            for (Work& w : at(works, range, index)) {
                if (k != 0) {
                    others.push_back(std::make_unique<Reduction>(start(w.reduction->node)));
                    of.push_back(w.reduction);
                    w.reduction = others.back().get();
                }
                inside.push_back(std::move(w));
            }
        }
        emit_.open_loop(emit_.value(arena_.index(0)), emit_.value(arena_.index(whole / steps)),
                        false);
        emit_.bind(trip, emit_.loop_index());
        carry_through(std::move(inside));
        for (std::size_t i = 0; i < others.size(); ++i) {
            Reduction& r = *of[i];
            for (std::size_t at = 0; at < r.acc.size(); at += r.components) {
                const auto begin = static_cast<std::ptrdiff_t>(at),
                           end = begin + static_cast<std::ptrdiff_t>(r.components);
                const Tuple merged =
                    combine(emit_, r.node, {r.acc.begin() + begin, r.acc.begin() + end},
                            {others[i]->acc.begin() + begin, others[i]->acc.begin() + end});
                std::ranges::copy(merged, r.acc.begin() + begin);
            }
        }
        return whole / steps * steps;
    }

    // --- reductions

    Reduction start(Ref node) {
        if (node->is(Op::Order)) return {node, {}, 2, false};
        Reduction r{
            node, {}, node->is(Op::Accumulate) ? static_cast<std::size_t>(node->arg(1)) : 1, false};
        std::uint64_t named = 0;
        for (Ref x : named_ranges(node)) named |= range_bit(x);
        r.across_lanes = (named & vector_) != 0;
        const std::size_t values = value_count(node);
        bool vector = r.across_lanes;
        for (std::size_t i = 0; i < values; ++i)
            vector = vector || (node->src(i)->ranges() & vector_) != 0;
        // Where reductions beside one another hide each other's latency, copies of one take turns.
        std::size_t own = values;
        if (r.components == 1 && accumulators_[named] > kMostAccumulators)
            own = std::clamp<std::size_t>(kMostAccumulators / 2 / reductions_[named], 1, values);
        for (std::size_t i = 0; i < own; ++i) {
            const std::uint16_t lanes = vector ? emit_.vector_lanes() : 1;
            // A maximum that no element is beyond lies where the first one does.
            if (i % r.components == 1 && !teams_)
                if (const Ref first = first_position(node, node->src(i))) {
                    r.acc.push_back(emit_.splat(emit_.value(first), lanes));
                    continue;
                }
            r.acc.push_back(
                emit_.constant(node->src(i)->dtype(),
                               neutral_bits(node, i % r.components, node->src(i)->dtype()), lanes));
        }
        return r;
    }

    // The position of an ArgMax at the first step of its loops: a linear index, or what was cast
    // from one; null for others. Lanes beyond the range's end have positions beyond it as well.
    Ref first_position(Ref node, Ref position) {
        if (position->is(Op::Where) && position->src(2)->is(Op::Const)) position = position->src(1);
        const Ref index = position->is(Op::Cast) ? position->src(0) : position;
        if (index->dtype() != DType::Index) return nullptr;
        for (const auto& [term, coefficient] : ir::affine(index).terms)
            if (!term->is(Op::Range) || coefficient < 0) return nullptr;
        for (Ref r : named_ranges(node))
            if ((range_bit(r) & vector_) == 0)
                position = substitute_free(arena_, position, r, arena_.index(0));
        return position;
    }

    // Whether the step of an ArgMax has a later position than those before: one loop runs over it,
    // upwards.
    bool is_ascending(Ref node, std::size_t at, Ref position) {
        if (teams_ || position->is(Op::Where)) return false;
        std::uint64_t closed = 0;
        for (Ref r : named_ranges(node)) closed |= range_bit(r) & ~vector_;
        return std::popcount(closed) == 1 && first_position(node, node->src(at)) != nullptr &&
               first_position(node, position) != nullptr;
    }

    void step(Reduction& r, std::span<const Ref> values) {
        if (r.node->is(Op::Order)) {
            for (Ref s : store_record(arena_, layout_of(r.node), values[0], values[1]))
                emit_.store(s);
            return;
        }
        for (std::size_t i = 0; i < values.size(); i += r.components) {
            // A copy that is masked out altogether adds nothing.
            const auto adds_nothing = [&](std::size_t c) {
                const Ref v = values[i + c];
                return v->is(Op::Const) && v->arg(0) == neutral_bits(r.node, c, v->dtype());
            };
            bool nothing = true;
            for (std::size_t c = 0; c < r.components; ++c) nothing = nothing && adds_nothing(c);
            if (nothing) continue;
            const std::size_t at = i % r.acc.size();
            const std::uint16_t lanes = emit_.lanes(r.acc[at]);
            if (r.components == 1 && emit_.accumulate_product(r.node, values[i], r.acc[at], lanes))
                continue;
            Tuple acc(r.acc.begin() + static_cast<std::ptrdiff_t>(at),
                      r.acc.begin() + static_cast<std::ptrdiff_t>(at + r.components)),
                next;
            for (std::size_t c = 0; c < r.components; ++c)
                next.push_back(emit_.splat(emit_.value(values[i + c]), lanes));
            const Tuple merged = r.components == 2 && is_ascending(r.node, i + 1, values[i + 1])
                                     ? combine_ascending(emit_, r.node, acc, next)
                                     : combine(emit_, r.node, acc, next);
            std::ranges::copy(merged, r.acc.begin() + static_cast<std::ptrdiff_t>(at));
        }
    }

    // One value from the copies, pairwise, then from the lanes.
    void finalize(Reduction& r) {
        if (r.node->is(Op::Order)) {
            emit_order(emit_, layout_of(r.node));
            // Trips that are code of their own sort other rows in this place.
            emit_.forget([&](Ref n) { return n->is(Op::Order) && share_place(n, r.node); });
            return emit_.define_here(r.node);
        }
        std::vector<Tuple> parts;
        for (std::size_t i = 0; i < r.acc.size(); i += r.components)
            parts.emplace_back(r.acc.begin() + static_cast<std::ptrdiff_t>(i),
                               r.acc.begin() + static_cast<std::ptrdiff_t>(i + r.components));
        while (parts.size() > 1) {
            std::vector<Tuple> half;
            for (std::size_t i = 0; i + 1 < parts.size(); i += 2)
                half.push_back(combine(emit_, r.node, parts[i], parts[i + 1]));
            if (parts.size() % 2 != 0) half.push_back(parts.back());
            parts = std::move(half);
        }
        Tuple result = parts[0];
        if (r.across_lanes) {
            for (int width = emit_.vector_lanes() / 2; width >= 1; width /= 2) {
                Tuple moved;
                for (Value v : result) moved.push_back(emit_.rotate(v, width));
                result = combine(emit_, r.node, result, moved);
            }
            for (Value& v : result) v = emit_.first(v);
        }
        emit_.define(r.node, std::move(result));
    }

    Arena& arena_;
    Emitter emit_;
    const std::vector<Ref> parallel_;
    std::vector<Ref> stores_;
    Ref range_[64] = {};
    std::int64_t rank_[64] = {};
    std::map<Ref, std::vector<Ref>> fresh_;  // ranges made in the place of another
    std::uint64_t vector_ = 0;
    std::uint64_t ordered_ = 0;  // walked in order, by a scan or a store that combines
    std::uint64_t closed_ = 0;   // by any reduction
    std::map<std::uint64_t, std::size_t> accumulators_, reductions_;  // by the ranges they close
    bool overwrites_ = false;  // several memories are written
    bool teams_, prefetch_, squares_;
    bool last_trips_ = false;      // code is made for the last trip of a ragged range
    Ref row_ = nullptr;            // the innermost range that is open
    const Limit* limit_[64] = {};  // of ranges that leave out trips
};

}  // namespace

Function linearize(Arena& arena, Ref sink, std::span<const std::int64_t> order,
                   std::span<const Ref> parallel, const std::string& symbol,
                   const LinearizeOptions& options) {
    return Linearizer(arena, sink, order, parallel, symbol, options).run();
}

}  // namespace sinter::codegen
