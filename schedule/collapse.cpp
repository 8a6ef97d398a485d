#include "collapse.h"

#include <algorithm>
#include <array>
#include <bit>

#include "index.h"
#include "rebuild.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

constexpr std::size_t kRanges = 64;

bool is_sum(Ref node) {
    return node->dtype() == DType::Index &&
           (node->is(Op::Add) || node->is(Op::Sub) || node->is(Op::Const) ||
            (node->is(Op::Mul) && node->src(1)->is(Op::Const)));
}

/// What the kernel does with its ranges.
struct RangeUse {
    std::array<Ref, kRanges> range{};
    std::vector<std::array<std::int64_t, kRanges>>
        sums;  // coefficients in every index that is used as a whole
    std::vector<std::uint64_t>
        together;             // sets of ranges that a reduction closes or a store keeps open
    std::uint64_t alone = 0;  // ranges walked in order, or of a size known at launch
};

RangeUse use_of(std::span<const Ref> stores) {
    RangeUse use;
    const auto bits_of = [](std::span<const Ref> ranges) {
        std::uint64_t mask = 0;
        for (Ref r : ranges) mask |= r->ranges();
        return mask;
    };
    const auto whole_sum = [&](Ref expr) {
        if (expr->ranges() == 0) return;
        std::array<std::int64_t, kRanges> coefficients{};
        for (const auto& [term, k] : sum_of(expr).terms)
            if (term->is(Op::Range)) coefficients[static_cast<std::size_t>(term->arg(0))] = k;
        use.sums.push_back(coefficients);
    };
    for (Ref node : ir::toposort(stores)) {
        switch (node->op()) {
            case Op::Range:
                use.range[static_cast<std::size_t>(node->arg(0))] = node;
                if (!node->src(0)->is(Op::Const)) use.alone |= node->ranges();
                continue;
            case Op::Reduce:
                use.together.push_back(bits_of(node->src().subspan(1)));
                continue;
            case Op::Accumulate:
                use.together.push_back(
                    bits_of(node->src().subspan(static_cast<std::size_t>(node->arg(1)))));
                break;
            case Op::Scan:
                use.alone |= node->src(1)->ranges();
                continue;
            case Op::Order:
                use.alone |= bits_of(ir::named_ranges(node));
                continue;
            case Op::Store:
                use.together.push_back(node->ranges());
                if (node->arg(0) != ir::kPlainStore) use.alone |= node->ranges();
                break;
            default:
                break;
        }
        if (is_sum(node)) continue;
        const std::size_t values =
            node->is(Op::Accumulate) ? static_cast<std::size_t>(node->arg(1)) : node->src().size();
        for (Ref s : node->src().first(values))
            if (s->dtype() == DType::Index) whole_sum(s);
    }
    return use;
}

bool joins(const RangeUse& use, std::size_t outer, std::size_t inner) {
    const std::uint64_t o = std::uint64_t{1} << outer, i = std::uint64_t{1} << inner;
    if (((o | i) & use.alone) != 0) return false;
    for (std::uint64_t set : use.together)
        if (((set & o) != 0) != ((set & i) != 0)) return false;
    const std::int64_t size = use.range[inner]->src(0)->arg(0);
    return std::ranges::all_of(use.sums,
                               [&](const auto& k) { return k[outer] == k[inner] * size; });
}

// With `outer` 0 and `inner` the joined range, r·size·k + s·k is the joined range times k.
std::vector<Ref> join(ir::Arena& arena, std::span<const Ref> stores, Ref outer, Ref inner) {
    const Index ix(arena);
    const std::int64_t size = outer->src(0)->arg(0) * inner->src(0)->arg(0);
    const Ref joined = ir::range(arena, inner->arg(0), size, ir::role_of(inner));
    return rebuild(stores, [&](Ref node, std::span<const Ref> src) {
        if (node == outer) return ix.constant(0);
        if (node == inner) return joined;
        if (node->is(Op::Reduce) || node->is(Op::Accumulate)) {
            std::vector<Ref> kept;
            for (std::size_t i = 0; i < src.size(); ++i)
                if (node->src(i) != outer) kept.push_back(src[i]);
            return arena.make(node->op(), node->dtype(), kept, node->args());
        }
        if (node->dtype() == DType::Index) {
            if (node->is(Op::Add)) return ix.add(src[0], src[1]);
            if (node->is(Op::Sub)) return ix.sub(src[0], src[1]);
            if (node->is(Op::Mul) && src[1]->is(Op::Const)) return ix.mul(src[0], src[1]->arg(0));
        }
        return arena.with_src(node, src);
    });
}

}  // namespace

std::vector<Ref> collapse_ranges(ir::Arena& arena, std::vector<Ref> stores) {
    while (true) {
        const RangeUse use = use_of(stores);
        bool changed = false;
        for (std::size_t outer = 0; outer < kRanges && !changed; ++outer) {
            if (use.range[outer] == nullptr) continue;
            for (std::size_t inner = 0; inner < kRanges && !changed; ++inner) {
                if (inner == outer || use.range[inner] == nullptr || !joins(use, outer, inner))
                    continue;
                stores = join(arena, stores, use.range[outer], use.range[inner]);
                changed = true;
            }
        }
        if (!changed) return stores;
    }
}

}  // namespace sinter::schedule
