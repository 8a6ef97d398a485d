#include "analysis.h"

#include <algorithm>

#include <sinter/ir/affine.h>

namespace sinter::codegen {

Ref without_masks(Ref value) {
    while (value->is(Op::Where) && value->src(2)->is(Op::Const) && value->src(2)->arg(0) == 0)
        value = value->src(1);
    return value;
}

std::int64_t Analysis::size(std::int64_t number) const {
    const Ref n = range[number]->src(0);
    return n->is(Op::Const) ? n->arg(0) : kNominal;
}

double Analysis::volume(std::uint64_t mask) const {
    double v = 1;
    for (std::int64_t n : numbers)
        if ((mask >> n & 1) != 0) v *= static_cast<double>(size(n));
    return v;
}

std::uint64_t Analysis::ranges_of(const MemoryAccess& m) const {
    std::uint64_t ranges = 0;
    for (std::int64_t n : numbers)
        if (m.depends(n)) ranges |= std::uint64_t{1} << n;
    return ranges;
}

double Analysis::bytes_of(const MemoryAccess& m) const {
    return volume(ranges_of(m)) * static_cast<double>(size_of(m.node->dtype()));
}

namespace {

// A sum of products with a constant that makes up for the signs of those of another (dots.cpp).
bool is_correction(Ref reduce) {
    if (!reduce->is(Op::Reduce)) return false;
    const Ref product = without_masks(reduce->src(0));
    return product->is(Op::Dot) &&
           (product->src(0)->is(Op::Const) || product->src(1)->is(Op::Const));
}

}  // namespace

Ref factor_of(const Analysis& a, Ref load) {
    // A copy is made for the ranges of the index; a mask that has others holds here and not there.
    if (load->src(1)->ranges() != load->ranges()) return load;
    for (const Reducing& r : a.reductions) {
        if (!r.node->is(Op::Reduce)) continue;
        const Ref product = without_masks(r.node->src(0));
        // Products of integers that are known to be small have instructions of their own.
        const bool made = product->is(Op::Mul) ? is_float(product->dtype()) : product->is(Op::Dot);
        if (!made) continue;
        for (Ref factor : product->src().first(2)) {
            if (!ir::is_elementwise(factor->op()) || factor->ranges() != load->ranges()) continue;
            const std::vector<Ref> below = ir::toposort(std::span(&factor, 1));
            if (std::ranges::find(below, load) != below.end()) return factor;
        }
    }
    return load;
}

Analysis analyse(Ref sink) {
    Analysis a;
    const std::vector<Ref> order = ir::toposort(std::span(&sink, 1));
    for (Ref n : order) {
        if (!n->is(Op::Range)) continue;
        a.range[n->arg(0)] = n;
        a.numbers.push_back(n->arg(0));
    }
    std::ranges::sort(a.numbers);

    // Regions flow from what uses a value to the value; a reduction's own loops are its scope and
    // what it closes.
    RefMap<std::uint64_t> region(order.size());
    RefMap<std::size_t> owner(order.size());  // 1 + the reduction whose value this is part of
    RefMap<std::size_t> place(
        order.size());  // 1 + position in `reductions`, in reverse while walking
    std::vector<Reducing> reductions;
    std::uint64_t other_order = 0;  // of what must be walked in order, not by sums or extremes
    for (Ref s : sink->src()) {
        region[s] = s->ranges();
        a.stores.push_back(s);
    }
    for (std::size_t i = order.size(); i-- > 0;) {
        const Ref n = order[i];
        std::uint64_t inside = region[n];
        std::size_t mine = owner[n];
        if (n->is(Op::Reduce) || n->is(Op::Accumulate) || n->is(Op::Order)) {
            Reducing r{n, n->ranges(), 0, 0, 0, {}};
            for (Ref x : named_ranges(n)) r.closed |= range_bit(x);
            r.volume = a.volume(r.scope | r.closed);
            a.closed |= r.closed;
            inside = r.scope | r.closed;
            reductions.push_back(std::move(r));
            mine = reductions.size();
        }
        if (n->is(Op::Scan) && n->src(1)->is(Op::Range)) {
            const auto kind = static_cast<ir::ReduceKind>(n->arg(0));
            const bool free = kind == ir::ReduceKind::Add || kind == ir::ReduceKind::Max ||
                              kind == ir::ReduceKind::Min;
            (free ? a.scanned : other_order) |= range_bit(n->src(1));
        }
        if (n->is(Op::Load) || n->is(Op::Store)) {
            MemoryAccess m{n, inside, 0, {}, n->is(Op::Store)};
            for (const auto& [term, coefficient] : ir::affine(n->src(1)).terms) {
                if (term->is(Op::Range))
                    m.stride[term->arg(0)] = coefficient;
                else
                    m.general |= term->ranges();
            }
            // Ranges that a store which combines names are walked in order.
            for (Ref x : n->src().subspan(n->is(Op::Load) ? 3 : 4))
                if (x->is(Op::Range)) other_order |= range_bit(x);
            if (n->is(Op::Load) && mine != 0)
                reductions[mine - 1].loads.push_back(a.accesses.size());
            a.accesses.push_back(m);
        }
        if (ir::is_elementwise(n->op()) && n->dtype() != DType::Index &&
            n->dtype() != DType::Bool) {
            // In the outermost loop that it depends on.
            a.value_work += a.volume(n->ranges());
            ++a.value_nodes;
            if (mine != 0) ++reductions[mine - 1].ops;
        }
        if (n->dtype() != DType::Index && n->dtype() != DType::None && !n->is(Op::Const))
            a.element_bytes = std::max(a.element_bytes, size_of(n->dtype()));
        if (n->dtype() == f32 || n->is(Op::Dot)) a.f32_ranges |= n->ranges();
        if (n->dtype() == f64) a.f64_ranges |= n->ranges();
        for (Ref s : n->src()) {
            region[s] |= inside;
            // Of several reductions that share a value it is part of the longest.
            if (mine != 0 &&
                (owner[s] == 0 || reductions[mine - 1].volume >= reductions[owner[s] - 1].volume))
                owner[s] = mine;
        }
    }
    a.ordered = a.scanned | other_order;
    a.scanned &= ~other_order;
    std::ranges::reverse(reductions);
    a.reductions = std::move(reductions);
    // What words, or wider numbers, are made of is made once for several products.
    for (Reducing& r : a.reductions) {
        if (!r.node->is(Op::Reduce)) continue;
        const Ref product = without_masks(r.node->src(0));
        const auto is_widened = [&](std::size_t l) {
            const Ref load = a.accesses[l].node, factor = factor_of(a, load);
            return size_of(factor->dtype()) > size_of(load->dtype());
        };
        if (product->is(Op::Dot) ||
            (product->is(Op::Mul) && std::ranges::all_of(r.loads, is_widened)))
            r.ops = 1;
    }
    a.eligible = ~std::uint64_t{0};
    for (Ref s : a.stores) a.eligible &= s->ranges();
    a.renewed = renewed_ranges(sink);
    a.eligible &= ~a.closed & ~a.ordered;
    a.outer = a.eligible;
    // Reductions inside others have the others' ranges besides; what counts is which of the stores'
    // they have.
    // One that goes with a sum of products and costs little beside it may be made again.
    for (const Reducing& r : a.reductions)
        if (!is_correction(r.node)) a.outer &= r.scope;
    return a;
}

}  // namespace sinter::codegen
