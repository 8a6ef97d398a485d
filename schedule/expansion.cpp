#include "expansion.h"

#include <algorithm>
#include <array>
#include <string>

#include <sinter/ir/error.h>

#include "movement.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;
using ir::Role;

namespace {

constexpr std::size_t kMaxRanges = 64;  // the bits of Node::ranges()

std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
    h ^= v + 0x9E3779B97F4A7C15u + (h << 6) + (h >> 2);
    return h;
}

std::uint64_t bits(Ref node) { return reinterpret_cast<std::uintptr_t>(node); }

std::uint64_t bit(Ref range) { return std::uint64_t{1} << range->arg(0); }

}  // namespace

TupleId Expansion::intern(std::span<const Ref> tuple) {
    std::uint64_t hash = tuple.size();
    for (Ref r : tuple) hash = mix(hash, bits(r));
    const auto [first, last] = tuple_table_.equal_range(hash);
    for (auto it = first; it != last; ++it)
        if (std::ranges::equal(this->tuple(it->second), tuple)) return it->second;
    const auto id = static_cast<TupleId>(tuples_.size());
    tuples_.emplace_back(static_cast<std::uint32_t>(pool_.size()),
                         static_cast<std::uint32_t>(tuple.size()));
    pool_.insert(pool_.end(), tuple.begin(), tuple.end());
    std::uint64_t mask = 0;
    bool data = false;
    for (Ref r : tuple) {
        mask |= r->ranges();
        if (!r->is(Op::Range) && !r->is(Op::Const))
            for (Ref inner : ir::toposort(std::span<const Ref>(&r, 1)))
                data = data || inner->is(Op::Check);
    }
    masks_.push_back(mask);
    data_.push_back(data);
    tuple_table_.emplace(hash, id);
    return id;
}

std::uint32_t Expansion::new_kernel() {
    ranges_.emplace_back();
    return static_cast<std::uint32_t>(ranges_.size() - 1);
}

double Expansion::extent(std::uint32_t kernel, std::uint64_t mask) const {
    double product = 1;
    for (Ref r : ranges_[kernel])
        if ((mask & bit(r)) != 0) product *= static_cast<double>(r->src(0)->arg(0));
    return product;
}

Ref Expansion::range_of_size(std::uint32_t kernel, std::int64_t size, std::uint64_t taken) {
    std::vector<Ref>& ranges = ranges_[kernel];
    for (Ref r : ranges)
        if (r->src(0)->arg(0) == size && (taken & bit(r)) == 0) return r;
    if (ranges.size() == kMaxRanges) throw InternalError("a kernel needs more than 64 ranges");
    // Which ranges a store keeps open is known at the end; until then all are loops.
    ranges.push_back(ir::range(arena_, static_cast<std::int64_t>(ranges.size()), size, Role::Loop));
    return ranges.back();
}

TupleId Expansion::plain_tuple(std::uint32_t kernel, std::span<const std::int64_t> shape) {
    std::vector<Ref> tuple;
    std::uint64_t taken = 0;
    for (std::int64_t size : shape) {
        if (size == 1) {
            tuple.push_back(index_.constant(0));
            continue;
        }
        tuple.push_back(range_of_size(kernel, size, taken));
        taken |= bit(tuple.back());
    }
    return intern(tuple);
}

bool Expansion::is_plain(std::uint32_t kernel, TupleId id,
                         std::span<const std::int64_t> shape) const {
    std::uint64_t seen = 0;
    const std::span<const Ref> indices = tuple(id);
    for (std::size_t d = 0; d < shape.size(); ++d) {
        const Ref r = indices[d];
        if (shape[d] == 1) {
            if (!is_constant(r, 0)) return false;
            continue;
        }
        if (!r->is(Op::Range) || r->src(0)->arg(0) != shape[d] || (seen & bit(r)) != 0)
            return false;
        if (ranges_[kernel][static_cast<std::size_t>(r->arg(0))] != r) return false;
        seen |= bit(r);
    }
    return true;
}

std::size_t Expansion::ClosedHash::operator()(const ClosedKey& k) const {
    return mix(mix(mix(k.kernel, k.node), k.tuple), bits(k.valid));
}

std::span<const Ref> Expansion::closed_ranges(std::uint32_t kernel, Id n, TupleId tuple,
                                              Ref valid) {
    const ClosedKey key{kernel, n, tuple, valid};
    if (const auto it = closed_.find(key); it != closed_.end()) return it->second;
    std::vector<Ref> ranges;
    std::uint64_t taken = masks_[tuple] | valid->ranges();
    const auto close = [&](std::int64_t size) {
        if (size == 1) return;
        ranges.push_back(range_of_size(kernel, size, taken));
        taken |= bit(ranges.back());
    };
    const std::span<const std::int64_t> from = graph_.shape(graph_.src(n, 0));
    // What is read of a sorted row does not depend on which place it is read at.
    if (graph_.op(n) == Op::Sort)
        taken &= ~this->tuple(tuple)[static_cast<std::size_t>(graph_.arg(n, 0))]->ranges();
    if (graph_.op(n) == Op::Fold) {
        close(fold_length(graph_, n));
    } else if (graph_.op(n) == Op::Sort) {
        close(from[static_cast<std::size_t>(graph_.arg(n, 0))]);
    } else {
        for (std::int64_t axis : graph_.args(n).subspan(1))
            close(from[static_cast<std::size_t>(axis)]);
    }
    return closed_.emplace(key, std::move(ranges)).first->second;
}

Ref Expansion::checked(Id gather, Id index, TupleId at, Ref valid, std::int64_t bound) {
    const std::string what =
        std::string(graph_.op(gather) == Op::Gather ? "gather" : "scatter") + " along axis " +
        std::to_string(graph_.arg(gather, graph_.op(gather) == Op::Gather ? 0 : 1));
    const auto site = std::ranges::find_if(
        checks_, [&](const CheckSite& c) { return c.bound == bound && c.what == what; });
    const std::int64_t id = site - checks_.begin();
    if (site == checks_.end()) checks_.push_back({what, bound});
    // One element has one stand-in, whatever an axis of one step is read at: what it is read at
    // may depend on the element itself.
    std::vector<Ref> places(tuple(at).begin(), tuple(at).end());
    for (std::size_t axis = 0; axis < places.size(); ++axis)
        if (graph_.shape(index)[axis] == 1) places[axis] = index_.constant(0);
    at = intern(places);
    const Ref memory = ir::param(arena_, graph_.dtype(index), kStandInSlot + index);
    const Ref value =
        ir::load(arena_, memory, index_.flatten(tuple(at), graph_.shape(index)), valid);
    stand_ins_.try_emplace(value, StandIn{{index, at, valid}});
    return arena_.make(Op::Check, DType::Index, {value}, {bound, id});
}

Ref Expansion::guard(Ref check) const {
    const std::int64_t bound = check->arg(0), guarding[] = {bound, check->arg(1), 1};
    return arena_.lt(arena_.make(Op::Check, DType::Index, check->src(), guarding),
                     index_.constant(bound));
}

const Expansion::StandIn* Expansion::stand_in(Ref load) const {
    const auto it = stand_ins_.find(load);
    return it == stand_ins_.end() ? nullptr : &it->second;
}

void Expansion::reads(std::uint32_t kernel, Id n, TupleId at, Ref valid, std::vector<Read>& out) {
    const Op op = graph_.op(n);
    switch (op) {
        case Op::Const:
        case Op::Buffer:
        case Op::Bind:
        case Op::Iota:
            return;
        case Op::Assign:
            out.push_back({graph_.src(n, 1), at, valid});
            return;
        case Op::Reduce:
        case Op::ArgReduce: {
            const std::span<const Ref> closed = closed_ranges(kernel, n, at, valid);
            const std::span<const Ref> index = tuple(at);
            std::vector<Ref> inner(index.begin(), index.end());
            std::size_t next = 0;
            for (std::int64_t axis : graph_.args(n).subspan(1)) {
                const auto d = static_cast<std::size_t>(axis);
                inner[d] =
                    graph_.shape(graph_.src(n, 0))[d] == 1 ? index_.constant(0) : closed[next++];
            }
            out.push_back({graph_.src(n, 0), intern(inner), valid});
            return;
        }
        case Op::Sort: {
            const std::span<const Ref> closed = closed_ranges(kernel, n, at, valid);
            std::vector<Ref> inner(tuple(at).begin(), tuple(at).end());
            inner[static_cast<std::size_t>(graph_.arg(n, 0))] =
                closed.empty() ? index_.constant(0) : closed[0];
            out.push_back({graph_.src(n, 0), intern(inner), valid});
            return;
        }
        case Op::Fold: {
            const std::span<const Ref> closed = closed_ranges(kernel, n, at, valid);
            const auto axis = static_cast<std::size_t>(graph_.arg(n, 0));
            const std::int64_t step = graph_.arg(n, 2), dilation = graph_.arg(n, 3);
            const std::int64_t starts = graph_.shape(graph_.src(n, 0))[axis];
            const std::span<const Ref> index = tuple(at);
            std::vector<Ref> inner(index.begin(), index.end());
            const Ref t = closed.empty() ? index_.constant(0) : closed[0];
            // Window start i covers position p by its element k where i·step = p - k·dilation.
            // Neighbouring elements (dilation 1) do so for k = p mod step + t·step, i = p div step
            // - t alone.
            const bool dense = dilation == 1;
            const Ref k =
                dense ? index_.add(index_.mod(index[axis], step), index_.mul(t, step)) : t;
            const Ref q = index_.sub(index[axis], index_.mul(k, dilation));
            inner[axis] =
                dense ? index_.sub(index_.div(index[axis], step), t) : index_.div(q, step);
            inner.push_back(k);
            Ref there = index_.within(inner[axis], 0, starts);
            if (dense)
                there =
                    index_.both(there, index_.within(k, 0, graph_.shape(graph_.src(n, 0)).back()));
            else
                there = index_.both(there, index_.is_zero(index_.mod(q, step)));
            out.push_back({graph_.src(n, 0), intern(inner), index_.both(valid, there)});
            return;
        }
        case Op::Gather: {
            const auto axis = static_cast<std::size_t>(graph_.arg(n, 0));
            const Id x = graph_.src(n, 0), index = graph_.src(n, 1);
            std::vector<Ref> inner(tuple(at).begin(), tuple(at).end());
            inner[axis] = checked(n, index, at, valid, graph_.shape(x)[axis]);
            out.push_back({x, intern(inner), valid});
            out.push_back({index, at, valid});
            return;
        }
        default:
            break;
    }
    if (ir::is_movement(op)) {
        Place place = place_of_source(graph_, n, tuple(at), valid, index_);
        out.push_back({graph_.src(n, 0), intern(place.index), place.valid});
        return;
    }
    for (Id s : graph_.src(n)) out.push_back({s, at, valid});
}

}  // namespace sinter::schedule
