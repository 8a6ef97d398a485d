#include "lower.h"

#include <algorithm>
#include <unordered_map>

#include <sinter/ir/error.h>

#include "order_key.h"

namespace sinter::schedule {

using ir::Op;
using ir::Ref;

namespace {

/// The value of a node at a place. Where the place is not valid the value is `fill`, if one is
/// asked for, else anything.
struct Key {
    Id node;
    TupleId tuple;
    Ref valid;
    std::int64_t fill = 0;
    bool filled = false;
    bool operator==(const Key&) const = default;
};

struct KeyHash {
    std::size_t operator()(const Key& k) const {
        std::uint64_t h = k.node * 0x9E3779B97F4A7C15u;
        h = (h ^ k.tuple) * 0xBF58476D1CE4E5B9u;
        h = (h ^ reinterpret_cast<std::uintptr_t>(k.valid) ^ static_cast<std::uint64_t>(k.fill)) *
            0x94D049BB133111EBu;
        return h ^ h >> 31;
    }
};

class Lowering {
public:
    Lowering(Expansion& expansion, const Plan& plan, const Layouts& layouts, KernelId kernel)
        : x_(expansion),
          g_(expansion.graph()),
          a_(expansion.arena()),
          plan_(plan),
          layouts_(layouts),
          kernel_(kernel) {}

    std::vector<Ref> stores();

private:
    Ref value(Id n, TupleId tuple) { return value(Key{n, tuple, x_.index().truth()}); }
    Ref value(const Key& key);
    void sources(const Key& key, std::vector<Key>& out);
    Ref combine(const Key& key, std::span<const Ref> src);
    bool pushes_zero(const Key& key) const;
    Ref filled(const Key& key, Ref value);
    Ref reduce(const Key& key, Ref value);
    Ref sorted(const Key& key, Ref value);
    Ref store(const PlannedStore& planned);
    Ref without_stand_ins(Ref root);
    Ref guarded(Ref check, Ref value) const;

    Ref memory(Id n) { return ir::param(a_, g_.dtype(n), in_memory_of(n)); }
    /// The node whose memory has the value of n.
    Id in_memory_of(Id n) const {
        const auto part = layouts_.parts.find(n);
        return part == layouts_.parts.end() ? n : part->second.whole;
    }
    Ref at(TupleId tuple, Id n);
    bool passes_value(Op op) const {
        return ir::is_movement(op) || op == Op::Detach || op == Op::Contiguous || op == Op::Copy ||
               op == Op::Assign || op == Op::Gather;
    }

    Expansion& x_;
    const Graph& g_;
    ir::Arena& a_;
    const Plan& plan_;
    const Layouts& layouts_;
    const KernelId kernel_;
    std::unordered_map<Key, Ref, KeyHash> values_;
    std::unordered_map<Ref, Ref> rewritten_;
};

// A place that always exists needs no fill: equal values are one key.
Key canonical(Key key) {
    if (key.valid->vmin() == 1 || !key.filled) {
        key.filled = false;
        key.fill = 0;
    }
    return key;
}

Ref Lowering::at(TupleId tuple, Id n) {
    const std::span<const Ref> index = x_.tuple(tuple);
    const std::span<const std::int64_t> shape = g_.shape(n);
    if (const auto part = layouts_.parts.find(n); part != layouts_.parts.end()) {
        Ref place = x_.index().constant(part->second.offset);
        for (std::size_t d = 0; d < index.size(); ++d)
            place = x_.index().add(place, x_.index().mul(index[d], part->second.strides[d]));
        return place;
    }
    const std::vector<std::uint8_t>& order = layouts_.orders[n];
    if (order.empty()) return x_.index().flatten(index, shape);
    std::vector<Ref> turned;
    std::vector<std::int64_t> sizes;
    for (const std::uint8_t d : order) {
        turned.push_back(index[d]);
        sizes.push_back(shape[d]);
    }
    return x_.index().flatten(turned, sizes);
}

void Lowering::sources(const Key& key, std::vector<Key>& out) {
    const Id n = key.node;
    const Op op = g_.op(n);
    if (plan_.is_loaded(n, kernel_) || g_.is_leaf(n)) return;
    std::vector<Read> reads;
    x_.reads(kernel_, n, key.tuple, key.valid, reads);
    for (std::size_t i = 0; i < reads.size(); ++i) {
        Key source{reads[i].node, reads[i].tuple, reads[i].valid};
        if (op == Op::Gather && i == 1) {
            source.filled = true;  // an index that is not read is 0, which is in range
        } else if (op == Op::Pad && reads[i].valid != key.valid) {
            source.filled = true;
            source.fill = g_.arg(n, 0);
        } else if (op == Op::Fold) {
            source.filled = true;  // no window element there adds 0
        } else if (passes_value(op) || pushes_zero(key)) {
            source.filled = key.filled;
            source.fill = key.fill;
        }
        out.push_back(canonical(source));
    }
}

// Ops that make +0 of +0: a fill of zero is left to what they read, so that sums of masked products
// have no choice in their inner loop but the masked load.
bool Lowering::pushes_zero(const Key& key) const {
    if (!key.filled || key.fill != 0) return false;
    switch (g_.op(key.node)) {
        case Op::Reduce:
            if (static_cast<ir::ReduceKind>(g_.arg(key.node, 0)) != ir::ReduceKind::Add)
                return false;
            break;
        case Op::Fold:
        case Op::Add:
        case Op::Sub:
        case Op::Mul:
        case Op::Max:
        case Op::Min:
        case Op::Cast:
        case Op::Abs:
            break;
        default:
            return false;
    }
    for (Id s : g_.src(key.node)) {
        while (ir::is_movement(g_.op(s)) || g_.op(s) == Op::Detach) s = g_.src(s, 0);
        if (g_.is_leaf(s) && g_.op(s) != Op::Buffer)
            return false;  // a constant has no mask of its own
    }
    return true;
}

Ref Lowering::filled(const Key& key, Ref value) {
    if (!key.filled || (!plan_.is_loaded(key.node, kernel_) && pushes_zero(key))) return value;
    const Ref fill = a_.constant_bits(value->dtype(), key.fill);
    return value == fill ? value : a_.where(key.valid, value, fill);
}

Ref Lowering::reduce(const Key& key, Ref value) {
    const Id n = key.node;
    const std::span<const Ref> closed = x_.closed_ranges(kernel_, n, key.tuple, key.valid);
    const DType result = g_.dtype(n), carried = accumulator_type(result);
    if (g_.op(n) == Op::ArgReduce) {
        if (closed.empty()) return a_.constant_bits(result, 0);
        const bool max = static_cast<ir::ReduceKind>(g_.arg(n, 0)) == ir::ReduceKind::Max;
        // As narrow as values mostly are: as many lanes of both in a vector.
        const DType position = closed[0]->src(0)->arg(0) <= INT32_MAX ? i32 : i64;
        const Ref src[] = {a_.cast(value, accumulator_type(value->dtype())),
                           a_.cast(closed[0], position), closed[0]};
        const std::int64_t args[] = {
            static_cast<std::int64_t>(max ? ir::Combine::ArgMax : ir::Combine::ArgMin), 2};
        const Ref tuple = a_.make(Op::Accumulate, DType::None, src, args);
        return a_.cast(a_.make(Op::Get, position, {tuple}, {1}), result);
    }
    if (closed.empty()) return value;
    const auto kind =
        g_.op(n) == Op::Fold ? ir::ReduceKind::Add : static_cast<ir::ReduceKind>(g_.arg(n, 0));
    value = a_.cast(value, carried);
    std::vector<Ref> src{value};
    // Sums of sums are one sum.
    if (value->is(Op::Reduce) && value->arg(0) == static_cast<std::int64_t>(kind)) {
        src.assign(value->src().begin(), value->src().end());
        for (Ref r : closed)
            for (Ref inner : value->src().subspan(1))
                if (inner == r) src.assign(1, value);  // the same loop twice: stays nested
    }
    src.insert(src.end(), closed.begin(), closed.end());
    const std::int64_t arg = static_cast<std::int64_t>(kind);
    return a_.cast(a_.make(Op::Reduce, carried, src, std::span<const std::int64_t>(&arg, 1)),
                   result);
}

Ref Lowering::sorted(const Key& key, Ref value) {
    const Id n = key.node;
    const bool descending = g_.arg(n, 2) != 0, positions = g_.arg(n, 3) != 0;
    const std::span<const Ref> closed = x_.closed_ranges(kernel_, n, key.tuple, key.valid);
    if (closed.empty()) return positions ? a_.constant_bits(g_.dtype(n), 0) : value;
    const Ref place = x_.tuple(key.tuple)[static_cast<std::size_t>(g_.arg(n, 0))];
    const Ref order = a_.make(Op::Order, DType::None,
                              {key_of(a_, value, descending, positions), closed[0], closed[0]},
                              {closed[0]->src(0)->arg(0)});
    if (positions) return a_.cast(a_.make(Op::Nth, DType::Index, {order, place}, {1}), g_.dtype(n));
    const Ref nth = a_.make(Op::Nth, key_type(value->dtype()), {order, place}, {0});
    return value_of_key(a_, nth, g_.dtype(n), descending);
}

bool depends(Ref root, Ref on) {
    const std::vector<Ref> nodes = ir::toposort(std::span<const Ref>(&root, 1));
    return std::ranges::find(nodes, on) != nodes.end();
}

// A gathered value that is the same at every index says nothing of an index out of range.
Ref Lowering::guarded(Ref check, Ref value) const {
    if (depends(value, check)) return value;
    // Never seen: no constant that the value may turn out to be, or the choice would go.
    const bool zero = value->is(Op::Const) && value->arg(0) == 0;
    const DType dt = value->dtype();
    const Ref other = a_.constant(dt, dt == DType::Bool ? (zero ? 1 : 0) : zero ? 85 : 86);
    return a_.where(x_.guard(check), value, other);
}

Ref Lowering::combine(const Key& key, std::span<const Ref> src) {
    const Id n = key.node;
    const Op op = g_.op(n);
    const DType dt = g_.dtype(n);
    if (plan_.is_loaded(n, kernel_)) {
        if (key.filled && key.valid->vmax() == 0) return a_.constant_bits(dt, key.fill);
        const Ref index = at(key.tuple, n);
        const bool readable = index->vmin() >= 0 && index->vmax() < g_.numel(in_memory_of(n));
        return ir::load(a_, memory(n), index, key.valid, key.fill, readable);
    }
    switch (op) {
        case Op::Const:
            return filled(key, a_.constant_bits(dt, g_.arg(n, 0)));
        case Op::Bind: {
            const bool integer = !is_float(dt);
            return filled(key, ir::variable(a_, dt, g_.leaf(n), integer ? info(dt).min : 0,
                                            integer ? info(dt).max : 0));
        }
        case Op::Iota:
            return filled(key,
                          a_.cast(x_.tuple(key.tuple)[static_cast<std::size_t>(g_.arg(n, 0))], dt));
        case Op::Reduce:
        case Op::ArgReduce:
        case Op::Fold:
            return filled(key, reduce(key, src[0]));
        case Op::Scan: {
            const Ref range = x_.tuple(key.tuple)[static_cast<std::size_t>(g_.arg(n, 1))];
            if (!range->is(Op::Range)) return src[0];
            const DType carried = accumulator_type(dt);
            return filled(key, a_.cast(a_.make(Op::Scan, carried, {a_.cast(src[0], carried), range},
                                               {g_.arg(n, 0)}),
                                       dt));
        }
        case Op::Sort:
            return filled(key, sorted(key, src[0]));
        case Op::Pad:
            // The fill of the pad where its source is not, that of the key where the pad is not.
            if (key.filled && key.fill != g_.arg(n, 0) && src[0]->dtype() == dt)
                return filled(key, src[0]);
            return src[0];
        case Op::Gather: {
            const std::int64_t bound =
                g_.shape(g_.src(n, 0))[static_cast<std::size_t>(g_.arg(n, 0))];
            return guarded(x_.checked(n, g_.src(n, 1), key.tuple, key.valid, bound), src[0]);
        }
        default:
            break;
    }
    if (passes_value(op)) return src[0];
    return filled(key, a_.make(op, dt, src));
}

Ref Lowering::value(const Key& root) {
    struct Frame {
        Key key;
        std::vector<Key> sources;
        std::size_t next = 0;
    };
    std::vector<Frame> stack;
    const auto enter = [&](const Key& key) {
        if (values_.contains(key)) return;
        stack.push_back({key, {}, 0});
        sources(key, stack.back().sources);
    };
    enter(canonical(root));
    std::vector<Ref> src;
    while (!stack.empty()) {
        Frame& frame = stack.back();
        if (frame.next < frame.sources.size()) {
            const Key next = frame.sources[frame.next++];
            enter(next);
            continue;
        }
        src.clear();
        for (const Key& s : frame.sources) src.push_back(values_.at(s));
        const Ref made = combine(frame.key, src);
        values_.emplace(frame.key, made);
        stack.pop_back();
    }
    return values_.at(canonical(root));
}

// Puts the values of integer nodes where index expressions have their stand-ins.
Ref Lowering::without_stand_ins(Ref root) {
    struct Frame {
        Ref node, stands;  // `stands` is the value behind a stand-in, else the node
        std::size_t next;
    };
    std::vector<Frame> stack;
    const auto enter = [&](Ref node) {
        if (rewritten_.contains(node)) return;
        const Expansion::StandIn* s = x_.stand_in(node);
        stack.push_back(
            {node,
             s == nullptr ? node : value(Key{s->read.node, s->read.tuple, s->read.valid, 0, true}),
             0});
    };
    enter(root);
    std::vector<Ref> src;
    while (!stack.empty()) {
        Frame& frame = stack.back();
        const Ref node = frame.node, stands = frame.stands;
        if (node != stands) {
            if (frame.next++ == 0) {
                enter(stands);
            } else {
                rewritten_.emplace(node, rewritten_.at(stands));
                stack.pop_back();
            }
            continue;
        }
        if (frame.next < node->src().size()) {
            const Ref next = node->src(frame.next++);
            enter(next);
            continue;
        }
        src.clear();
        for (Ref s : node->src()) src.push_back(rewritten_.at(s));
        rewritten_.emplace(node, a_.with_src(node, src));
        stack.pop_back();
    }
    return rewritten_.at(root);
}

Ref Lowering::store(const PlannedStore& planned) {
    const Id n = planned.node;
    const Ref truth = x_.index().truth();
    switch (planned.kind) {
        case PlannedStore::Kind::Value:
            return ir::store(a_, memory(n), at(planned.tuple, n), value(n, planned.tuple), truth);
        case PlannedStore::Kind::Base:
            return ir::store(a_, memory(n), at(planned.tuple, n),
                             value(g_.src(n, 0), planned.tuple), truth);
        case PlannedStore::Kind::Combine: {
            const auto axis = static_cast<std::size_t>(g_.arg(n, 1));
            std::vector<Ref> to(x_.tuple(planned.tuple).begin(), x_.tuple(planned.tuple).end());
            const Ref check = x_.checked(n, g_.src(n, 1), planned.tuple, truth, g_.shape(n)[axis]);
            to[axis] = check;
            const Ref index = x_.index().flatten(to, g_.shape(n));
            // The ranges are named: one that neither index nor value depends on repeats the store.
            std::vector<Ref> src{memory(n), index, value(g_.src(n, 2), planned.tuple),
                                 depends(index, check) ? truth : x_.guard(check)};
            for (Ref r : x_.tuple(planned.tuple))
                if (r->is(Op::Range)) src.push_back(r);
            return a_.make(Op::Store, DType::None, src, g_.args(n).first(1));
        }
    }
    throw InternalError("a store of no kind");
}

std::vector<Ref> Lowering::stores() {
    std::vector<Ref> out;
    if (layouts_.assembled[kernel_]) return out;
    for (const PlannedStore& planned : plan_.kernels()[kernel_].stores)
        out.push_back(without_stand_ins(store(planned)));
    return out;
}

}  // namespace

std::vector<Ref> lower_kernel(Expansion& expansion, const Plan& plan, const Layouts& layouts,
                              KernelId id) {
    return Lowering(expansion, plan, layouts, id).stores();
}

}  // namespace sinter::schedule
