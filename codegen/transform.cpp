#include "transform.h"

#include <algorithm>

#include <sinter/ir/error.h>
#include <sinter/ir/simplify.h>

namespace sinter::codegen {
namespace {

using ir::ReduceKind;
using ir::Role;

constexpr std::string_view kRoleNames[] = {"loop",   "reduce", "parallel",
                                           "serial", "unroll", "vector"};

std::string text(Ref range) {
    const Ref size = range->src(0);
    return "r" + std::to_string(range->arg(0)) + "[" +
           (size->is(Op::Const) ? std::to_string(size->arg(0)) : "n") + "]";
}

Ref range_node(Arena& a, std::int64_t number, Ref size, Role role, bool ragged) {
    const std::int64_t args[] = {number, static_cast<std::int64_t>(role), ragged ? 1 : 0};
    return a.make(Op::Range, DType::Index, std::span<const Ref>(&size, 1),
                  std::span(args, ragged ? 3 : 2));
}

// Values that change nothing when they are combined, one a component.
Ref neutral(Arena& a, Ref node, std::size_t component, DType dtype) {
    if (node->is(Op::Reduce) || node->is(Op::Scan))
        return a.constant_bits(dtype,
                               ir::identity_bits(static_cast<ReduceKind>(node->arg(0)), dtype));
    // ArgMax, ArgMin: a value no better than any, at a position behind all.
    const bool max = static_cast<ir::Combine>(node->arg(0)) == ir::Combine::ArgMax;
    if (component == 0)
        return a.constant_bits(dtype,
                               ir::identity_bits(max ? ReduceKind::Max : ReduceKind::Min, dtype));
    return a.constant_bits(dtype, info(dtype).max);
}

// The value where the guard holds, else 0.
Ref fold_choice(Arena& a, Ref guard, Ref value) {
    const Ref choice[] = {guard, value, a.constant_bits(value->dtype(), 0)};
    return make_folded(a, Op::Where, value->dtype(), choice);
}

}  // namespace

Form::Form(Arena& arena, Ref sink) : arena_(arena), sink_(sink) {
    for (Ref n : ir::toposort(std::span(&sink, 1)))
        if (n->is(Op::Range)) used_ |= range_bit(n);
}

std::int64_t Form::fresh_number() {
    for (std::int64_t i = 0; i < 64; ++i)
        if ((used_ >> i & 1) == 0) {
            used_ |= std::uint64_t{1} << i;
            return i;
        }
    throw InternalError("codegen: a kernel with more than 64 ranges");
}

void Form::note(const std::string& what) { log_ += (log_.empty() ? "" : "; ") + what; }

Form::Halves Form::split(Ref r, std::int64_t n, Role outer_role, Role inner_role, Ref head) {
    Arena& a = arena_;
    const Ref size = r->src(0);
    const bool constant = size->is(Op::Const);
    const bool ragged = !constant || size->arg(0) % n != 0 || head != nullptr;
    const std::int64_t before = head != nullptr ? head->vmax() : 0;
    const Ref trips = constant
                          ? a.index((size->arg(0) + before + n - 1) / n)
                          : fold(a, Op::IDiv, fold(a, Op::Add, size, a.index(n - 1)), a.index(n));
    const Ref outer = range_node(a, fresh_number(), trips, outer_role, ragged);
    const Ref inner = range_node(a, fresh_number(), a.index(n), inner_role, false);
    const bool single = constant && trips->arg(0) == 1;
    const Ref outer_index = single ? a.index(0) : outer;
    Ref position = fold(a, Op::Add, fold(a, Op::Mul, outer_index, a.index(n)), inner);
    if (head != nullptr) position = fold(a, Op::Sub, position, head);
    Ref guard = ragged ? fold(a, Op::Lt, position, size) : nullptr;
    if (head != nullptr) guard = fold(a, Op::And, fold(a, Op::Le, a.index(0), position), guard);
    const std::uint64_t mask = range_bit(r);
    note("split " + text(r) + " by " + std::to_string(n) + " into " +
         std::string(kRoleNames[static_cast<int>(outer_role)]) + " " + text(outer) + ", " +
         std::string(kRoleNames[static_cast<int>(inner_role)]) + " " + text(inner) +
         (head != nullptr ? " from where lines begin" : ""));

    sink_ = rebuild(sink_, [&](Ref node, std::span<const Ref> src) -> Ref {
        if (node == r) return position;
        std::vector<Ref> changed(src.begin(), src.end());
        if (ragged && node->is(Op::Load) && (node->ranges() & mask) != 0)
            changed[2] = fold(a, Op::And, src[2], guard);
        if (ragged && node->is(Op::Store) && (node->ranges() & mask) != 0)
            changed[3] = fold(a, Op::And, src[3], guard);
        // What a masked load gives instead need not be an index.
        if (ragged && node->is(Op::Check) && (node->ranges() & mask) != 0)
            changed[0] = fold_choice(a, guard, src[0]);
        const auto named = named_ranges(node);
        const bool closing = std::ranges::any_of(named, [&](Ref x) { return x == r; });
        if (closing) {
            const std::size_t values = value_count(node);
            changed.resize(values);
            // What an Order keeps past its end is never looked at.
            for (std::size_t i = 0; i < values && ragged && !node->is(Op::Order); ++i) {
                const std::size_t components =
                    node->is(Op::Accumulate) ? static_cast<std::size_t>(node->arg(1)) : 1;
                const Ref choice[] = {guard, changed[i],
                                      neutral(a, node, i % components, changed[i]->dtype())};
                changed[i] = make_folded(a, Op::Where, changed[i]->dtype(), choice);
            }
            for (Ref x : named) {
                if (x != r) {
                    changed.push_back(x);
                    continue;
                }
                if (!single) changed.push_back(outer);
                changed.push_back(inner);
            }
        }
        return make_folded(a, node, changed);
    });
    return {single ? nullptr : outer, inner};
}

Ref Form::bind(Ref r, Role role) {
    if (ir::role_of(r) == role) return r;
    const Ref bound = range_node(arena_, r->arg(0), r->src(0), role, is_ragged(r));
    sink_ = rebuild(sink_, [&](Ref node, std::span<const Ref> src) {
        return node == r ? bound : make_folded(arena_, node, src);
    });
    return bound;
}

Ref Form::fuse(Ref outer, Ref inner) {
    Arena& a = arena_;
    if (!outer->src(0)->is(Op::Const) || !inner->src(0)->is(Op::Const)) return nullptr;
    const std::uint64_t both = range_bit(outer) | range_bit(inner);
    const std::vector<Ref> order = ir::toposort(std::span(&sink_, 1));
    // They must be named together, or not at all, and be free together.
    for (Ref n : order) {
        bool first = false, second = false;
        for (Ref x : named_ranges(n)) {
            first = first || x == outer;
            second = second || x == inner;
        }
        if (first != second) return nullptr;
        if (n->is(Op::Scan) && first) return nullptr;
        if (n->is(Op::Store) && (n->ranges() & both) != 0 && (n->ranges() & both) != both)
            return nullptr;
    }
    const std::int64_t n = inner->src(0)->arg(0);
    const Ref fused =
        range_node(a, outer->arg(0), a.index(outer->src(0)->arg(0) * n), ir::role_of(outer), false);
    const Ref high = a.idiv(fused, a.index(n)), low = a.mod(fused, a.index(n));
    Ref sink = rebuild(sink_, [&](Ref node, std::span<const Ref> src) -> Ref {
        if (node == outer) return high;
        if (node == inner) return low;
        const auto named = named_ranges(node);
        if (!std::ranges::any_of(named, [&](Ref x) { return x == outer; }))
            return make_folded(a, node, src);
        std::vector<Ref> changed(src.begin(),
                                 src.begin() + static_cast<std::ptrdiff_t>(value_count(node)));
        for (Ref x : named) {
            if (x == outer) changed.push_back(fused);
            if (x != outer && x != inner) changed.push_back(x);
        }
        return make_folded(a, node, changed);
    });
    sink = ir::simplify(a, sink);
    for (Ref node : ir::toposort(std::span(&sink, 1)))
        if ((node->is(Op::IDiv) || node->is(Op::Mod)) && node->dtype() == DType::Index &&
            (node->ranges() & range_bit(fused)) != 0)
            return nullptr;
    sink_ = sink;
    note("fuse " + text(outer) + " and " + text(inner));
    return fused;
}

std::int64_t Form::stage(Ref value, std::span<const Ref> over, Row row, int by) {
    const std::int64_t bytes = stage(value, over);
    Arena& a = arena_;
    Ref copy = sink_->src(0);
    std::int64_t length = 1;
    for (std::size_t i = row.first; i < row.last; ++i) length *= over[i]->src(0)->arg(0);
    const Ref along = range_node(a, fresh_number(), a.index(length), Role::Serial, false);
    for (std::size_t i = row.first; i < row.last; ++i)
        copy = substitute_free(a, copy, over[i], i + 1 == row.last ? along : a.index(0));
    // What is unrolled elsewhere need not be here.
    for (Ref r : over)
        if (ir::role_of(r) == Role::Unroll)
            copy = substitute_free(a, copy, r,
                                   range_node(a, fresh_number(), r->src(0), Role::Serial, false));
    std::vector<Ref> stores(sink_->src().begin(), sink_->src().end());
    stores[0] = copy;
    sink_ = a.make(Op::Sink, DType::None, stores);
    split(along, by, Role::Serial, Role::Unroll);
    return bytes;
}

std::int64_t Form::stage(Ref value, std::span<const Ref> over, std::span<const Ref> computing,
                         std::int64_t padding) {
    Arena& a = arena_;
    const auto length = [&](Ref r) { return r->src(0)->arg(0) + (r == over.back() ? padding : 0); };
    std::int64_t elements = 1;
    std::string names;
    for (Ref r : over) {
        elements *= length(r);
        names += " " + text(r);
    }
    const auto element_bytes = static_cast<std::int64_t>(size_of(value->dtype()));
    Ref index = a.index(scratch_ / element_bytes);
    std::int64_t rest = elements;
    for (Ref r : over) {
        rest /= length(r);
        index = fold(a, Op::Add, index, fold(a, Op::Mul, r, a.index(rest)));
    }
    const bool load = value->is(Op::Load);
    const Ref valid = load ? value->src(2) : a.truth(true);
    const Ref memory = ir::param(a, value->dtype(), kThreadSlot);
    const Ref copied = ir::load(a, memory, index, valid, load ? value->arg(0) : 0);
    sink_ = rebuild(sink_, [&](Ref node, std::span<const Ref> src) {
        if (std::ranges::find(computing, node) != computing.end()) return node;
        return node == value ? copied : make_folded(a, node, src);
    });
    std::vector<Ref> stores{ir::store(a, memory, index, value, valid)};
    stores.insert(stores.end(), sink_->src().begin(), sink_->src().end());
    sink_ = a.make(Op::Sink, DType::None, stores);
    note("stage " + std::string(ir::name(value->op())) + " over" + names);
    return scratch_ + elements * element_bytes;
}

Ref Form::rename_in_copy(Ref r) {
    const Ref renamed = range_node(arena_, fresh_number(), r->src(0), Role::Serial, false);
    std::vector<Ref> stores(sink_->src().begin(), sink_->src().end());
    stores[0] = substitute_free(arena_, stores[0], r, renamed);
    sink_ = arena_.make(Op::Sink, DType::None, stores);
    return renamed;
}

void Form::expand_unrolled(Ref innermost) {
    Arena& a = arena_;
    while (true) {
        const std::vector<Ref> order = ir::toposort(std::span(&sink_, 1));
        const auto unrolled = [](Ref n) {
            return n->is(Op::Range) && ir::role_of(n) == Role::Unroll;
        };
        // Stores are copied where they stand, so the last range to be expanded is the innermost.
        auto found = std::ranges::find_if(order, [&](Ref n) {
            return unrolled(n) && (innermost == nullptr || n->arg(0) != innermost->arg(0));
        });
        if (found == order.end()) found = std::ranges::find_if(order, unrolled);
        if (found == order.end()) return;
        const Ref u = *found;
        const std::uint64_t mask = range_bit(u);
        const auto copies = static_cast<std::size_t>(u->src(0)->arg(0));
        // copy[k] holds the nodes in which u is free, with u = k; `common` those in which it is
        // not.
        std::vector<RefMap<Ref>> copy(copies);
        RefMap<Ref> common(order.size());
        const auto at = [&](Ref n, std::size_t k) {
            return (n->ranges() & mask) != 0 ? *copy[k].find(n) : *common.find(n);
        };
        std::vector<Ref> src;
        for (Ref n : order) {
            if (n == u) {
                for (std::size_t k = 0; k < copies; ++k)
                    copy[k][n] = a.index(static_cast<std::int64_t>(k));
                continue;
            }
            const auto named = named_ranges(n);
            if (std::ranges::any_of(named, [&](Ref x) { return x == u; })) {
                // One accumulator (or tuple of them) a copy.
                src.clear();
                std::vector<std::int64_t> args(n->args().begin(), n->args().end());
                const std::size_t values = value_count(n), count_at = n->is(Op::Accumulate) ? 2 : 1;
                if (args.size() <= count_at) args.push_back(1);
                args[count_at] *= static_cast<std::int64_t>(copies);
                for (std::size_t k = 0; k < copies; ++k)
                    for (Ref v : n->src().first(values)) src.push_back(at(v, k));
                for (Ref x : named)
                    if (x != u) src.push_back(at(x, 0));
                common[n] = a.make(n->op(), n->dtype(), src, args);
                continue;
            }
            const auto rebuilt = [&](std::size_t k) {
                src.clear();
                for (Ref s : n->src()) src.push_back(at(s, k));
                return make_folded(a, n, src);
            };
            if (n->is(Op::Sink)) {
                src.clear();
                for (Ref s : n->src())
                    for (std::size_t k = 0; k < ((s->ranges() & mask) != 0 ? copies : 1); ++k)
                        src.push_back(at(s, k));
                common[n] = a.make(Op::Sink, n->dtype(), src, n->args());
            } else if ((n->ranges() & mask) != 0) {
                for (std::size_t k = 0; k < copies; ++k) copy[k][n] = rebuilt(k);
            } else {
                common[n] = rebuilt(0);
            }
        }
        sink_ = *common.find(sink_);
    }
}

}  // namespace sinter::codegen
