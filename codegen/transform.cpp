#include "transform.h"

#include <algorithm>
#include <utility>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>
#include <sinter/ir/simplify.h>

#include "scratch.h"

namespace sinter::codegen {
namespace {

using ir::ReduceKind;
using ir::Role;

// A list of ranges, as an operand.
void append(std::vector<std::int64_t>& operands, std::span<const Ref> ranges) {
    operands.push_back(static_cast<std::int64_t>(ranges.size()));
    for (Ref r : ranges) operands.push_back(r->arg(0));
}

// How many elements before a row of this memory, along r, its first line begins; null where nothing
// is stored there.
Ref into_line(Arena& a, Ref sink, std::int64_t slot, Ref r) {
    for (Ref store : sink->src()) {
        if (store->src(0)->arg(0) != slot) continue;
        ir::Affine row = ir::affine(store->src(1));
        std::erase_if(row.terms, [&](const auto& term) { return term.first == r; });
        const auto bytes = static_cast<std::int64_t>(size_of(store->src(2)->dtype()));
        return fold(a, Op::Mod, ir::from_affine(a, row), a.index(kLineBytes / bytes));
    }
    return nullptr;
}

std::int64_t number_of(Ref range) { return range == nullptr ? -1 : range->arg(0); }

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

std::int64_t Form::take(std::int64_t number) {
    if (number < 0) return fresh_number();
    used_ |= std::uint64_t{1} << number;
    return number;
}

void Form::record(StepKind kind, std::vector<std::int64_t> operands) {
    if (quiet_ == 0) steps_.push_back({kind, std::move(operands)});
}

void Form::append_value(std::vector<std::int64_t>& operands, Ref value) const {
    const bool load = value->is(Op::Load);
    std::int64_t place = 0;
    for (Ref n : ir::toposort(std::span(&sink_, 1))) {
        if (n == value) break;
        if (!load || n->is(Op::Load)) ++place;
    }
    operands.push_back(load ? 1 : 0);
    operands.push_back(place);
}

Ref named_value(Ref sink, bool is_load, std::int64_t n) {
    for (Ref node : ir::toposort(std::span(&sink, 1)))
        if ((!is_load || node->is(Op::Load)) && n-- == 0) return node;
    return nullptr;
}

Form::Halves Form::split(Ref r, std::int64_t n, Role outer, Role inner, NewNumbers numbers) {
    const Halves halves = split_from(nullptr, r, n, outer, inner, numbers);
    record(StepKind::Split,
           {r->arg(0), n, static_cast<std::int64_t>(outer), number_of(halves.outer),
            static_cast<std::int64_t>(inner), halves.inner->arg(0)});
    return halves;
}

std::int64_t Form::head(Ref r, std::int64_t slot) const {
    const Ref lined = slot < 0 ? nullptr : into_line(arena_, sink_, slot, r);
    return lined == nullptr ? 0 : lined->vmax();
}

Form::Halves Form::split_lined(Ref r, std::int64_t n, Role outer, Role inner, std::int64_t slot,
                               NewNumbers numbers) {
    const Halves halves =
        split_from(into_line(arena_, sink_, slot, r), r, n, outer, inner, numbers);
    record(StepKind::SplitLined,
           {r->arg(0), n, static_cast<std::int64_t>(outer), number_of(halves.outer),
            static_cast<std::int64_t>(inner), halves.inner->arg(0), slot});
    return halves;
}

Form::Halves Form::split_from(Ref head, Ref r, std::int64_t n, Role outer_role, Role inner_role,
                              NewNumbers numbers) {
    Arena& a = arena_;
    const Ref size = r->src(0);
    const bool constant = size->is(Op::Const);
    const bool ragged = !constant || size->arg(0) % n != 0 || head != nullptr;
    const std::int64_t before = head != nullptr ? head->vmax() : 0;
    const Ref trips = constant
                          ? a.index((size->arg(0) + before + n - 1) / n)
                          : fold(a, Op::IDiv, fold(a, Op::Add, size, a.index(n - 1)), a.index(n));
    const bool single = constant && trips->arg(0) == 1;
    // Of a ragged range's parts, the last outer one has its last trip.
    const Ref outer =
        single ? nullptr
               : range_node(a, take(numbers.outer), trips, outer_role, ragged || is_ragged(r));
    const Ref inner =
        range_node(a, take(numbers.inner), a.index(n), inner_role, single && is_ragged(r));
    const Ref outer_index = single ? a.index(0) : outer;
    Ref position = fold(a, Op::Add, fold(a, Op::Mul, outer_index, a.index(n)), inner);
    if (head != nullptr) position = fold(a, Op::Sub, position, head);
    Ref guard = ragged ? fold(a, Op::Lt, position, size) : nullptr;
    if (head != nullptr) guard = fold(a, Op::And, fold(a, Op::Le, a.index(0), position), guard);
    const std::uint64_t mask = range_bit(r);

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
    return {outer, inner};
}

Form::Halves Form::divide(Ref r, std::int64_t n, NewNumbers numbers) {
    Halves halves;
    {
        const Quiet one_step(*this);
        halves = split(r, n, ir::role_of(r), ir::role_of(r), numbers);
        sink_ = ir::simplify(arena_, sink_);
    }
    record(StepKind::Divide, {r->arg(0), n, number_of(halves.outer), halves.inner->arg(0)});
    return halves;
}

Ref Form::bind(Ref r, Role role) {
    if (ir::role_of(r) == role) return r;
    record(StepKind::Bind, {r->arg(0), static_cast<std::int64_t>(role)});
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
    record(StepKind::Fuse, {outer->arg(0), inner->arg(0)});
    return fused;
}

std::int64_t Form::stage(Ref value, std::span<const Ref> over, Row row, int by) {
    std::vector<std::int64_t> operands;
    append_value(operands, value);
    append(operands, over);
    operands.insert(operands.end(), {static_cast<std::int64_t>(row.first),
                                     static_cast<std::int64_t>(row.last), by});
    record(StepKind::StageTurned, std::move(operands));
    const Quiet one_step(*this);
    const std::int64_t bytes = stage(value, over);
    Arena& a = arena_;
    Ref copy = sink_->src(0);
    std::int64_t length = 1;
    for (std::size_t i = row.first; i < row.last; ++i) length *= over[i]->src(0)->arg(0);
    const Ref along = range_node(a, fresh_number(), a.index(length), Role::Serial, false);
    // The innermost of them with several steps goes on where it ends. Ranges of one step may be
    // gone from an index.
    std::size_t innermost = row.last - 1;
    while (innermost > row.first && over[innermost]->src(0)->arg(0) == 1) --innermost;
    for (std::size_t i = row.last; i-- > row.first;)
        copy = substitute_free(a, copy, over[i], i == innermost ? along : a.index(0));
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
    std::vector<std::int64_t> operands;
    append_value(operands, value);
    append(operands, over);
    if (padding != 0) operands.push_back(padding);
    if (!computing.empty()) {
        operands.push_back(static_cast<std::int64_t>(computing.size()));
        for (Ref n : computing) append_value(operands, n);
    }
    record(!computing.empty() ? StepKind::StageWhile
           : padding != 0     ? StepKind::StagePadded
                              : StepKind::Stage,
           std::move(operands));
    std::int64_t elements = 1;
    for (Ref r : over) elements *= length(r);
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
    // Lanes that no element is in may divide by what is made of them, which must not be zero.
    const std::int64_t fill = load ? value->arg(0) : is_float(value->dtype()) ? 0 : 1;
    const Ref copied = ir::load(a, memory, index, valid, fill);
    sink_ = rebuild(sink_, [&](Ref node, std::span<const Ref> src) {
        if (std::ranges::find(computing, node) != computing.end()) return node;
        return node == value ? copied : make_folded(a, node, src);
    });
    std::vector<Ref> stores{ir::store(a, memory, index, value, valid)};
    stores.insert(stores.end(), sink_->src().begin(), sink_->src().end());
    sink_ = a.make(Op::Sink, DType::None, stores);
    scratch_ = whole_lines(scratch_ + elements * element_bytes);
    return scratch_;
}

void Form::let(Ref r, Ref other) {
    record(StepKind::Let, {r->arg(0), other->arg(0)});
    sink_ = substitute_free(arena_, sink_, r, other);
}

Ref Form::rename_in_copy(Ref r, std::int64_t number) {
    const Ref renamed = range_node(arena_, take(number), r->src(0), Role::Serial, false);
    record(StepKind::RenameInCopy, {r->arg(0), renamed->arg(0)});
    std::vector<Ref> stores(sink_->src().begin(), sink_->src().end());
    stores[0] = substitute_free(arena_, stores[0], r, renamed);
    sink_ = arena_.make(Op::Sink, DType::None, stores);
    return renamed;
}

void Form::expand_unrolled(Ref innermost) {
    Arena& a = arena_;
    bool recorded = false;
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
        if (!std::exchange(recorded, true)) {
            std::vector<std::int64_t> operands;
            append(operands, std::span(&innermost, innermost == nullptr ? 0 : 1));
            record(StepKind::Expand, std::move(operands));
        }
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
