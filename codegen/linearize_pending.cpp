// Reductions that a scope has yet to compute, and ranges that they close.

#include <algorithm>
#include <utility>

#include <sinter/ir/error.h>

#include "linearizer.h"

namespace sinter::codegen {

// Reductions below `roots` that can be computed in this scope and are not yet, each after those
// it reads.
std::vector<Ref> Linearizer::pending(std::span<const Ref> roots) {
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
int Linearizer::level_above(std::span<const Ref> roots, const RefMap<int>& levels) {
    int level = 0;
    for (Ref n : ir::toposort(roots))
        if (const int* l = levels.find(n)) level = std::max(level, *l + 1);
    return level;
}

// Calls `visit` on the reductions below `roots` that are not computed yet.
template <class Visit>
void Linearizer::each_unknown_reduction(std::span<const Ref> roots, const Visit& visit) const {
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
std::uint64_t Linearizer::to_be_closed(std::span<const Ref> roots) const {
    std::uint64_t closed = 0;
    each_unknown_reduction(roots, [&](Ref node) {
        for (Ref r : named_ranges(node)) closed |= range_bit(r);
    });
    return closed & ~vector_;
}

// A reduction over a range that is open here as another loop's index gets a range of its own:
// f(i, j) = a(i) b(j) with a(i) = sum over j, b(j) = sum over i has no order of i and j
// without.
void Linearizer::rename_closed(std::vector<Work>& works) {
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
Ref Linearizer::fresh_range(Ref like) {
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

}  // namespace sinter::codegen
