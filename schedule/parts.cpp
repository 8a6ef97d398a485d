#include "parts.h"

#include <algorithm>
#include <optional>
#include <set>

#include <sinter/ir/affine.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/simplify.h>

#include "cost.h"
#include "lower.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

// Whether a mask holds in a box: bounds of single ranges.
bool is_box(Ref valid) {
    if (valid->is(Op::Const)) return true;
    if (valid->is(Op::And)) return is_box(valid->src(0)) && is_box(valid->src(1));
    if (!valid->is(Op::Lt) && !valid->is(Op::Le)) return false;
    const Ref a = valid->src(0), b = valid->src(1);
    return (a->is(Op::Range) && b->is(Op::Const)) || (a->is(Op::Const) && b->is(Op::Range));
}

std::set<Id> sources(const PlannedKernel& kernel) {
    std::set<Id> nodes;
    for (const PlannedRead& read : kernel.loads) nodes.insert(read.node);
    return nodes;
}

// A range within the box, and by how much it moves in the memory of the part and of the whole.
struct Digit {
    std::int64_t count;
    std::int64_t part, whole;
};

class Placer {
public:
    Placer(Expansion& expansion, const Plan& plan, const std::function<bool(Id)>& is_temporary,
           Layouts& layouts)
        : x_(expansion),
          g_(expansion.graph()),
          a_(expansion.arena()),
          plan_(plan),
          is_temporary_(is_temporary),
          layouts_(layouts),
          readers_(g_.size()) {
        for (KernelId k = 0; k < plan.kernels().size(); ++k)
            for (const PlannedRead& read : plan.kernels()[k].loads) readers_[read.node].insert(k);
    }

    void look_at(KernelId k) {
        if (!may_be_copies(k)) return;
        const std::vector<Ref> stores = lower_kernel(x_, plan_, layouts_, k);
        const Ref store = stores[0];
        std::vector<std::pair<Id, Part>> parts;
        std::set<Id> found;
        for (Ref n : ir::toposort({&store, 1})) {
            if (!n->is(Op::Load)) continue;
            const auto source = static_cast<Id>(n->src(0)->arg(0));
            auto part = part_of(store, n, plan_.kernels()[k].stores[0].node);
            if (!part || !found.insert(source).second) return;
            parts.emplace_back(source, *std::move(part));
        }
        if (found.size() != sources(plan_.kernels()[k]).size()) return;
        for (auto& [source, part] : parts) {
            is_whole_.insert(part.whole);
            layouts_.parts.emplace(source, std::move(part));
        }
        layouts_.assembled[k] = true;
    }

private:
    // Whether the kernel may do nothing else, and with what may lie elsewhere.
    bool may_be_copies(KernelId k) const {
        const PlannedKernel& kernel = plan_.kernels()[k];
        if (!may_put_together(g_, kernel)) return false;
        const Id whole = kernel.stores[0].node;
        if (layouts_.parts.contains(whole) || g_.op(whole) == Op::Assign ||
            g_.op(whole) == Op::Scatter)
            return false;
        return std::ranges::all_of(sources(kernel), [&](Id n) {
            return is_free(n) && is_temporary_(n) && !is_whole_.contains(n) &&
                   readers_[n].size() == 1 && g_.dtype(n) == g_.dtype(whole);
        });
    }
    bool is_free(Id n) const {
        return layouts_.orders[n].empty() && !layouts_.parts.contains(n) && g_.op(n) != Op::Scatter;
    }

    // Whether the value is that of `load` wherever that one's mask holds.
    bool is_selected(Ref value, Ref load) {
        if (value == load) return true;
        const Ref valid = load->src(2);
        const auto holds = [&](Ref condition) { return ir::simplify_given(a_, condition, valid); };
        if (value->is(Op::Where)) {
            const Ref condition = holds(value->src(0));
            return condition->is(Op::Const) &&
                   is_selected(value->src(condition->arg(0) != 0 ? 1 : 2), load);
        }
        const auto is_zero = [&](auto&& self, Ref n) -> bool {
            if (n->is(Op::Const)) return n->arg(0) == 0;
            if (n->is(Op::Add)) return self(self, n->src(0)) && self(self, n->src(1));
            if (!n->is(Op::Load) || n->arg(0) != 0) return false;
            const Ref condition = holds(n->src(2));
            return condition->is(Op::Const) && condition->arg(0) == 0;
        };
        if (!value->is(Op::Add)) return false;
        for (const std::size_t i : {0u, 1u})
            if (is_zero(is_zero, value->src(i))) return is_selected(value->src(1 - i), load);
        return false;
    }

    // Where the memory that `load` reads lies in what `store` writes, if it is one box of it.
    std::optional<Part> part_of(Ref store, Ref load, Id whole) {
        const Ref valid = load->src(2);
        if (!is_box(valid) || !is_selected(store->src(2), load)) return std::nullopt;
        const ir::Affine from = ir::affine(load->src(1)), to = ir::affine(store->src(1));
        const auto is_range = [](const auto& term) { return term.first->is(Op::Range); };
        if (!std::ranges::all_of(from.terms, is_range) || !std::ranges::all_of(to.terms, is_range))
            return std::nullopt;
        std::int64_t begin = from.constant, offset = to.constant;
        std::vector<Digit> digits;
        for (const auto& [range, stride] : to.terms) {
            const ir::Bounds box = ir::bounds_given(a_, range, valid);
            offset += stride * box.min;
            begin += from.coefficient(range) * box.min;
            if (box.max > box.min)
                digits.push_back({box.max - box.min + 1, from.coefficient(range), stride});
        }
        const auto source = static_cast<Id>(load->src(0)->arg(0));
        if (begin != 0 || !covers(digits, g_.numel(source)) || !has_runs(digits, source))
            return std::nullopt;
        Part part{whole, offset, {}};
        std::int64_t stride = g_.numel(source);
        for (std::int64_t size : g_.shape(source)) {
            stride = size == 0 ? 0 : stride / size;
            const auto moved = stride_of(digits, stride, stride * size);
            if (!moved) return std::nullopt;
            part.strides.push_back(size == 1 ? 0 : *moved);
        }
        return part;
    }

    // Whether the digits, lowest first from now on, count every element of the part.
    static bool covers(std::vector<Digit>& digits, std::int64_t elements) {
        std::ranges::sort(digits, {}, &Digit::part);
        std::int64_t next = 1;
        for (const Digit& d : digits) {
            if (d.part != next) return false;
            next *= d.count;
        }
        return next == elements;
    }

    // Whether whole lines of the result are of this part.
    bool has_runs(std::span<const Digit> digits, Id source) const {
        return std::ranges::any_of(digits, [&](const Digit& d) {
            return d.whole == 1 &&
                   d.count * static_cast<std::int64_t>(size_of(g_.dtype(source))) >= cost::kLine;
        });
    }

    // By how much the whole moves where the part does by `stride`, along an axis that ends at
    // `end`; nothing if that is not the same everywhere on it.
    static std::optional<std::int64_t> stride_of(std::span<const Digit> digits, std::int64_t stride,
                                                 std::int64_t end) {
        std::optional<std::int64_t> moved;
        for (const Digit& d : digits) {
            if (d.part * d.count <= stride || d.part >= end) continue;
            if (d.part < stride ? stride % d.part != 0 : d.part % stride != 0) return std::nullopt;
            const std::int64_t here =
                d.part < stride ? d.whole * (stride / d.part) : d.whole / (d.part / stride);
            if (d.part > stride && d.whole % (d.part / stride) != 0) return std::nullopt;
            if (moved && *moved != here) return std::nullopt;
            moved = here;
        }
        return moved ? moved : 0;
    }

    Expansion& x_;
    const Graph& g_;
    ir::Arena& a_;
    const Plan& plan_;
    const std::function<bool(Id)>& is_temporary_;
    Layouts& layouts_;
    std::vector<std::set<KernelId>> readers_;
    std::set<Id> is_whole_;
};

}  // namespace

bool may_put_together(const Graph& graph, const PlannedKernel& kernel) {
    if (kernel.stores.size() != 1 || kernel.sealed || kernel.contraction ||
        kernel.stores[0].kind != PlannedStore::Kind::Value)
        return false;
    std::int64_t elements = 0;
    for (Id n : sources(kernel)) elements += graph.numel(n);
    return elements == graph.numel(kernel.stores[0].node);
}

void place_parts(Expansion& expansion, const Plan& plan,
                 const std::function<bool(Id)>& is_temporary, Layouts& layouts) {
    Placer placer(expansion, plan, is_temporary, layouts);
    for (KernelId k = 0; k < plan.kernels().size(); ++k) placer.look_at(k);
}

}  // namespace sinter::schedule
