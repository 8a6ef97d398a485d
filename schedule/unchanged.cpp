#include "unchanged.h"

#include <algorithm>

#include <sinter/ir/affine.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/simplify.h>

namespace sinter::schedule {

using ir::Bounds;
using ir::Op;
using ir::Ref;

namespace {

// Where `store` may write another value than its memory has: a mask, or null for everywhere.
Ref changed_where(ir::Arena& arena, Ref store, const FinishedKernel& kernel,
                  std::span<const std::pair<Id, Id>> in_place) {
    const Ref value = store->src(2);
    if (!value->is(Op::Where) || store->arg(0) != ir::kPlainStore) return nullptr;
    const auto memory = [&](Ref access) {
        return kernel.memories[static_cast<std::size_t>(access->src(0)->arg(0))];
    };
    const auto pair = std::ranges::find(in_place, memory(store), &std::pair<Id, Id>::first);
    if (pair == in_place.end()) return nullptr;
    const auto is_old = [&](Ref n) {
        return n->is(Op::Load) && memory(n) == pair->second && n->src(1) == store->src(1) &&
               n->src(2)->vmin() == 1;
    };
    const Ref condition = value->src(0);
    if (is_old(value->src(2))) return condition;
    if (is_old(value->src(1)) && condition->is(Op::Lt))
        return arena.make(Op::Le, DType::Bool, {condition->src(1), condition->src(0)});
    return nullptr;
}

// Ranges that must be gone through from their begin: those of running values.
std::uint64_t walked_in_order(std::span<const Ref> stores) {
    std::uint64_t ranges = 0;
    for (Ref n : ir::toposort(stores))
        if (n->is(Op::Scan) || n->is(Op::Order) || n->is(Op::Accumulate))
            for (Ref s : n->src())
                if (s->is(Op::Range)) ranges |= std::uint64_t{1} << s->arg(0);
    return ranges;
}

}  // namespace

std::optional<FinishedKernel> without_unchanged(const Graph& graph, ir::Arena& arena,
                                                const FinishedKernel& kernel,
                                                std::span<const std::pair<Id, Id>> in_place) {
    const std::span<const Ref> stores = kernel.sink->src();
    std::vector<Ref> ranges;
    for (Ref n : ir::toposort(stores)) {
        if (n->is(Op::Param) && (n->arg(0) < 0 || n->arg(0) >= std::ssize(kernel.memories)))
            return std::nullopt;  // near memory
        if (n->is(Op::Range) && n->src(0)->is(Op::Const) && ir::role_of(n) == ir::Role::Loop)
            ranges.push_back(n);
    }
    std::vector<Ref> changed_there;  // by store
    for (Ref store : stores) changed_there.push_back(changed_where(arena, store, kernel, in_place));
    const std::uint64_t in_order = walked_in_order(stores);
    std::vector<std::pair<Ref, Ref>> narrower;
    for (Ref r : ranges) {
        const std::uint64_t bit = std::uint64_t{1} << r->arg(0);
        const Bounds all{0, r->src(0)->arg(0) - 1};
        Bounds changed{all.max, all.min};
        for (std::size_t i = 0; i < stores.size(); ++i) {
            if ((stores[i]->ranges() & bit) == 0) continue;
            const Ref where = changed_there[i];
            const Bounds mine = where == nullptr ? all : ir::bounds_given(arena, r, where);
            changed = {std::min(changed.min, mine.min), std::max(changed.max, mine.max)};
        }
        if ((in_order & bit) != 0 || changed.min > changed.max || changed == all) continue;
        Ref within = arena.index(changed.min);
        if (changed.min < changed.max) {
            const Ref trips = arena.index(changed.max - changed.min + 1);
            within = arena.add(ir::range(arena, r->arg(0), trips, ir::role_of(r)), within);
        }
        narrower.emplace_back(r, within);
    }
    if (narrower.empty()) return std::nullopt;
    return finish_again(graph, arena, kernel, ir::substitute(arena, stores, narrower));
}

}  // namespace sinter::schedule
