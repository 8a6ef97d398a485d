// The passes of a scope: work that depends on one another's results comes one after the other, work
// of one pass over the same range shares a loop.

#include <algorithm>
#include <bit>
#include <utility>

#include "linearizer.h"

namespace sinter::codegen {

// The range that is next for all of the works, null if there is none.
Ref Linearizer::shared_range(std::span<const Work> works) const {
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
        if (w.store->src(0)->arg(0) == kThreadSlot && (w.store->src(1)->ranges() >> next & 1) != 0)
            return nullptr;
    }
    if (next < 0 || (ordered_ >> next & 1) != 0) return nullptr;
    return range_[static_cast<std::size_t>(next)];
}

// Reductions that `after` waits for and that compute, in their own pass, what `kept` stores:
// they run in the same loops.
std::vector<Ref> Linearizer::computing(const std::vector<Work>& kept,
                                       const std::vector<Work>& after) {
    std::vector<Ref> roots, found;
    for (const Work& w : after) roots.insert(roots.end(), w.values.begin(), w.values.end());
    for (Ref reduction : pending(roots)) {
        bool computes = false, reads = false;
        for (Ref n : ir::toposort(reduction->src().first(value_count(reduction)))) {
            reads = reads || (n->is(Op::Param) && n->arg(0) == kThreadSlot);
            computes = computes || std::ranges::any_of(
                                       kept, [&](const Work& w) { return w.store->src(2) == n; });
        }
        if (computes && !reads) found.push_back(reduction);
    }
    return found;
}

std::vector<Ref> Linearizer::stores_of(const std::vector<Work>& works) {
    std::vector<Ref> stores;
    for (const Work& w : works) stores.push_back(w.store);
    return stores;
}

// Ranges still to be opened in each trip of which this is kept anew: reductions close them, and
// its place does not depend on them.
std::uint64_t Linearizer::renewed_in(const Work& w) const {
    return w.remaining & closed_ & ~emit_.open_ranges() & ~w.store->src(1)->ranges();
}

// The level of the reductions that read what is kept anew in each of their steps.
int Linearizer::level_renewing(const Work& w, std::span<const Ref> reductions,
                               const RefMap<int>& levels) const {
    const std::uint64_t renewed = renewed_in(w);
    for (Ref node : reductions)
        for (Ref r : named_ranges(node))
            if ((range_bit(r) & renewed) != 0) return *levels.find(node);
    return 0;
}

/// `beside` names reductions to be computed as well.
void Linearizer::process(std::vector<Work> works, std::span<const Ref> beside) {
    // What is stored nowhere, as in the last trip of a ragged range, is not computed.
    std::erase_if(works, [](const Work& w) {
        return w.store != nullptr && w.store->src(3)->is(Op::Const) && w.store->src(3)->arg(0) == 0;
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
        started.push_back(std::make_unique<Reduction>(start(node, reductions)));
        std::uint64_t remaining = 0;
        for (Ref r : named_ranges(node)) remaining |= range_bit(r) & ~vector_;
        put({nullptr, started.back().get(), {values.begin(), values.end()}, remaining}, level);
    }
    // Stores come in the last pass together: what a kernel overwrites in place has been read by
    // then.
    int last = 0;
    std::vector<Work> stores;
    for (Work& w : works) {
        int level = reductions.empty() ? 0 : level_above(w.values, level_of);
        last = std::max(last, level);
        const bool renewing = teams_ && is_kept(w) && renewed_in(w) != 0;
        if (renewing) level = level_renewing(w, reductions, level_of);
        if (renewing)
            put(std::move(w), level);
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

void Linearizer::run_level(std::vector<Work>& works,
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

}  // namespace sinter::codegen
