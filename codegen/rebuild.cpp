#include "rebuild.h"

#include <algorithm>

namespace sinter::codegen {
namespace {

bool is_const(Ref n) { return n->is(Op::Const); }
bool is_value(Ref n, std::int64_t v) { return is_const(n) && n->arg(0) == v; }

// Index arithmetic and masks only: values keep their exact operations.
Ref fold_known(Arena& a, Op op, DType dtype, std::span<const Ref> src) {
    const bool index = dtype == DType::Index;
    switch (op) {
        case Op::Add:
            if (index && is_value(src[0], 0)) return src[1];
            if (index && is_value(src[1], 0)) return src[0];
            break;
        case Op::Sub:
            if (index && is_value(src[1], 0)) return src[0];
            break;
        case Op::Mul:
            if (index && is_value(src[0], 1)) return src[1];
            if (index && is_value(src[1], 1)) return src[0];
            break;
        case Op::IDiv:
            if (index && is_value(src[1], 1)) return src[0];
            break;
        case Op::Mod:
            if (index && src[0]->vmin() >= 0 && src[0]->vmax() < src[1]->vmin()) return src[0];
            break;
        case Op::And:
            if (dtype != DType::Bool) break;
            if (src[0]->vmin() == 1) return src[1];
            if (src[1]->vmin() == 1) return src[0];
            if (src[0] == src[1]) return src[0];
            break;
        case Op::Or:
            if (dtype != DType::Bool) break;
            if (src[0]->vmax() == 0) return src[1];
            if (src[1]->vmax() == 0) return src[0];
            break;
        case Op::Where:
            if (src[0]->vmin() == 1 || src[1] == src[2]) return src[1];
            if (src[0]->vmax() == 0) return src[2];
            break;
        case Op::Load:
            // Memory that is never touched is its fill.
            break;
        default:
            break;
    }
    (void)a;
    return nullptr;
}

// Whether an index that may be out of range is below: it must be seen to be reported.
bool has_check(Ref node) {
    const std::vector<Ref> nodes = ir::toposort(std::span(&node, 1));
    return std::ranges::any_of(nodes, [](Ref n) { return n->is(Op::Check); });
}

bool foldable_by_bounds(Op op) {
    switch (op) {
        case Op::Add:
        case Op::Sub:
        case Op::Mul:
        case Op::IDiv:
        case Op::Mod:
        case Op::Min:
        case Op::Max:
        case Op::Neg:
        case Op::Lt:
        case Op::Le:
        case Op::Eq:
        case Op::Ne:
        case Op::And:
        case Op::Or:
        case Op::Not:
        case Op::Where:
            return true;
        default:
            return false;
    }
}

}  // namespace

Ref make_folded(Arena& arena, Op op, DType dtype, std::span<const Ref> src,
                std::span<const std::int64_t> args) {
    if (Ref known = fold_known(arena, op, dtype, src)) return known;
    if (op == Op::Load && src[2]->vmax() == 0 && src[2]->dtype() == DType::Bool)
        return arena.constant_bits(dtype, args[0]);
    const Ref node = arena.make(op, dtype, src, args);
    if ((dtype == DType::Index || dtype == DType::Bool) && node->vmin() == node->vmax() &&
        foldable_by_bounds(op) && !has_check(node))
        return arena.constant_bits(dtype, node->vmin());
    return node;
}

Ref make_folded(Arena& arena, Ref like, std::span<const Ref> src) {
    if (std::ranges::equal(like->src(), src)) return like;
    return make_folded(arena, like->op(), like->dtype(), src, like->args());
}

std::vector<Ref> rebuild(std::span<const Ref> roots, const Make& make) {
    const std::vector<Ref> order = ir::toposort(roots);
    RefMap<Ref> done(order.size());
    std::vector<Ref> src;
    for (Ref node : order) {
        src.clear();
        for (Ref s : node->src()) src.push_back(*done.find(s));
        const Ref made = make(node, src);
        done[node] = made;
    }
    std::vector<Ref> result;
    for (Ref root : roots) result.push_back(*done.find(root));
    return result;
}

Ref rebuild(Ref root, const Make& make) { return rebuild(std::span(&root, 1), make)[0]; }

std::vector<Ref> substitute_free(Arena& arena, std::span<const Ref> roots, Ref from, Ref to) {
    // A node in which a range is not free keeps its meaning, and so does all that it closes over; a
    // Variable is free everywhere.
    const std::uint64_t mask = from->is(Op::Range) ? range_bit(from) : ~std::uint64_t{0};
    const bool range = from->is(Op::Range);
    RefMap<Ref> done(64);
    std::vector<std::pair<Ref, std::size_t>> stack;
    std::vector<Ref> src, result;
    const auto visit = [&](Ref root) {
        if (done.contains(root)) return;
        stack.emplace_back(root, 0);
        while (!stack.empty()) {
            auto& [node, next] = stack.back();
            if (node == from) {
                done[node] = to;
                stack.pop_back();
                continue;
            }
            if (range && (node->ranges() & mask) == 0) {
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
            const Ref made = make_folded(arena, node, src);
            done[node] = made;
            stack.pop_back();
        }
    };
    for (Ref root : roots) {
        visit(root);
        result.push_back(*done.find(root));
    }
    return result;
}

Ref substitute_free(Arena& arena, Ref root, Ref from, Ref to) {
    return substitute_free(arena, std::span(&root, 1), from, to)[0];
}

bool closes(Ref node, Ref range) {
    if (node->is(Op::Scan)) return false;
    for (Ref r : named_ranges(node))
        if (r->arg(0) == range->arg(0)) return true;
    return false;
}

std::uint64_t renewed_ranges(Ref sink) {
    std::uint64_t ranges = 0;
    for (Ref s : sink->src())
        if (s->src(0)->arg(0) == kThreadSlot) ranges |= s->ranges() & ~s->src(1)->ranges();
    return ranges;
}

}  // namespace sinter::codegen
