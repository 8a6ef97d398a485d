#include "emitter.h"

#include <algorithm>

#include <sinter/ir/error.h>

#include "analysis.h"

namespace sinter::codegen {

Emitter::Emitter(Arena& arena, bool fma) : arena_(arena), fma_(fma) {
    levels_.emplace_back();
    levels_[0].block = &function_.body;
}

void Emitter::set_vector(Ref range) {
    vector_range_ = range;
    vector_mask_ = range_bit(range);
    lanes_ = static_cast<std::uint16_t>(range->src(0)->arg(0));
}

// --- placing

Value Emitter::push(const Inst& inst, std::size_t depth) {
    const auto v = static_cast<Value>(function_.insts.size());
    function_.insts.push_back(inst);
    depth_.push_back(depth);
    levels_[depth].block->items.emplace_back(v);
    return v;
}

void Emitter::remember(Ref node, std::vector<Value> values, std::size_t depth) {
    Known& entry = known_[node];
    entry.values = std::move(values);
    entry.valid = true;
    levels_[depth].made.push_back(node);
}

void Emitter::forget_level() {
    Level& level = levels_.back();
    for (Ref n : level.made) known_.find(n)->valid = false;
    level.made.clear();
    open_ &= ~level.opened;
    level.opened = 0;
}

void Emitter::forget(const std::function<bool(Ref)>& is_stale) {
    for (Level& level : levels_) {
        RefMap<char> stale;
        for (Ref n : ir::toposort(level.made))
            if (is_stale(n) ||
                std::ranges::any_of(n->src(), [&](Ref s) { return stale.contains(s); }))
                stale[n] = 1;
        std::erase_if(level.made, [&](Ref n) {
            if (stale.contains(n)) known_.find(n)->valid = false;
            return stale.contains(n);
        });
    }
}

const std::vector<Value>* Emitter::lookup(Ref node) const {
    const Known* k = known_.find(node);
    return k != nullptr && k->valid ? &k->values : nullptr;
}

bool Emitter::known(Ref node) const { return lookup(node) != nullptr; }

void Emitter::define(Ref reduction, std::vector<Value> components) {
    remember(reduction, std::move(components), levels_.size() - 1);
}

void Emitter::define_here(Ref node) {
    const std::size_t depth = levels_.size() - 1;
    Inst alias{Code::Alias};
    alias.dtype = DType::Index;
    alias.src[0] = constant(DType::Index, 0, 1);
    remember(node, {push(alias, depth)}, depth);
}

void Emitter::bind(Ref range, Value v) {
    const std::size_t depth = levels_.size() - 1;
    if (depth_of(v) != depth) {
        // What depends on the range must stay in the branch, though the number itself is older.
        Inst alias{Code::Alias};
        alias.dtype = DType::Index;
        alias.src[0] = v;
        v = push(alias, depth);
    }
    remember(range, {v}, depth);
    levels_.back().opened |= range_bit(range) & ~open_;
    open_ |= range_bit(range);
}

// --- values

Value Emitter::constant(DType dtype, std::int64_t bits, std::uint16_t lanes) {
    const auto [it, fresh] = constants_.try_emplace({dtype, bits, lanes}, kNone);
    if (fresh) {
        Inst c{Code::Const};
        c.dtype = dtype;
        c.lanes = lanes;
        c.imm = bits;
        it->second = push(c, 0);
    }
    return it->second;
}

Value Emitter::argument(Arg which) {
    Inst inst{Code::Argument};
    inst.dtype = DType::Index;
    inst.imm = static_cast<std::int64_t>(which);
    return push(inst, 0);
}

Value Emitter::arith(Op op, DType dtype, std::initializer_list<Value> src, std::int64_t imm) {
    std::uint16_t lanes = 1;
    std::size_t depth = 0, i = 0;
    for (Value v : src) lanes = std::max(lanes, this->lanes(v));
    Inst inst{Code::Arith};
    inst.op = op;
    inst.dtype = dtype;
    inst.lanes = lanes;
    inst.imm = imm;
    for (Value v : src) {
        const Value wide = splat(v, lanes);
        inst.src[i++] = wide;
        depth = std::max(depth, depth_of(wide));
    }
    return push(inst, depth);
}

Value Emitter::splat(Value v, std::uint16_t lanes) {
    if (this->lanes(v) == lanes) return v;
    const Inst& source = function_.insts[static_cast<std::size_t>(v)];
    if (source.code == Code::Const) return constant(source.dtype, source.imm, lanes);
    Inst inst{Code::Splat};
    inst.dtype = dtype(v);
    inst.lanes = lanes;
    inst.src[0] = v;
    return push(inst, depth_of(v));
}

Value Emitter::rotate(Value v, int by) {
    Inst inst{Code::Rotate};
    inst.dtype = dtype(v);
    inst.lanes = lanes(v);
    inst.imm = by;
    inst.src[0] = v;
    return push(inst, depth_of(v));
}

Value Emitter::first(Value v) {
    Inst inst{Code::First};
    inst.dtype = dtype(v);
    inst.src[0] = v;
    return push(inst, depth_of(v));
}

// Loads place their own address and mask; reductions are made by whoever opens their loops.
std::span<const Ref> Emitter::needs(Ref node) const {
    switch (node->op()) {
        case Op::Load:
        case Op::Range:
        case Op::Reduce:
        case Op::Accumulate:
        case Op::Order:
            return {};
        case Op::Scan:
            return node->src().first(1);
        default:
            return node->src();
    }
}

Value Emitter::value(Ref root) {
    if (const auto* found = lookup(root)) return found->front();
    std::vector<Ref> stack{root};
    while (!stack.empty()) {
        const Ref node = stack.back();
        if (known(node)) {
            stack.pop_back();
            continue;
        }
        bool ready = true;
        for (Ref s : needs(node)) {
            if (known(s)) continue;
            stack.push_back(s);
            ready = false;
        }
        if (!ready) continue;
        stack.pop_back();
        const Value v = make(node);
        if (!known(node)) remember(node, {v}, depth_of(v));
    }
    return lookup(root)->front();
}

Value Emitter::make(Ref node) {
    switch (node->op()) {
        case Op::Const:
            return constant(node->dtype(), node->arg(0), 1);
        case Op::Variable: {
            Inst inst{Code::Scalar};
            inst.dtype = node->dtype();
            inst.imm = node->arg(0);
            return push(inst, 0);
        }
        case Op::Param: {
            if (node->arg(0) == kSharedSlot) return argument(Arg::Shared);
            if (node->arg(0) == kThreadSlot || ir::is_near(node)) return argument(Arg::Thread);
            Inst inst{Code::Block};
            inst.imm = node->arg(0);
            return push(inst, 0);
        }
        case Op::Range: {
            if (node != vector_range_)
                throw InternalError("codegen: a value outside the loop of its range " +
                                    std::to_string(node->arg(0)));
            Inst inst{Code::Lanes};
            inst.dtype = DType::Index;
            inst.lanes = lanes_;
            inst.imm = 1;
            return push(inst, 0);
        }
        case Op::Load:
            return make_load(node);
        case Op::Scan:
            return make_scan(node);
        case Op::Get:
            return (*lookup(node->src(0)))[static_cast<std::size_t>(node->arg(0))];
        case Op::Check: {
            const Value v = lookup(node->src(0))->front();
            Inst inst{Code::Check};
            inst.dtype = DType::Index;
            inst.lanes = lanes(v);
            inst.imm = node->arg(0);
            inst.fill = node->arg(1);
            inst.src[0] = v;
            return push(inst, depth_of(v));
        }
        case Op::Reduce:
        case Op::Accumulate:
        case Op::Order:
            throw InternalError("codegen: a reduction is read where it was not computed");
        default:
            break;
    }
    Value src[4] = {kNone, kNone, kNone, kNone};
    if (node->src().size() > 4)
        throw InternalError("codegen: no instruction for " + std::string(ir::name(node->op())));
    for (std::size_t i = 0; i < node->src().size(); ++i) src[i] = lookup(node->src(i))->front();
    // What the op needs to know besides its operands: a machine op's argument, or whether an index
    // that is divided may be negative.
    std::int64_t imm = node->args().empty() ? 0 : node->arg(0);
    if ((node->is(Op::IDiv) || node->is(Op::Mod)) && node->dtype() == DType::Index)
        imm = node->src(0)->vmin() < 0 ? kSignedDividend : 0;
    switch (node->src().size()) {
        case 1:
            return arith(node->op(), node->dtype(), {src[0]}, imm);
        case 2:
            return arith(node->op(), node->dtype(), {src[0], src[1]}, imm);
        case 3:
            return arith(node->op(), node->dtype(), {src[0], src[1], src[2]}, imm);
        default:
            throw InternalError("codegen: no instruction for " + std::string(ir::name(node->op())));
    }
}

bool Emitter::accumulate_product(Ref reduction, Ref product, Value& acc, std::uint16_t lanes) {
    const bool sum = reduction->is(Op::Reduce) &&
                     reduction->arg(0) == static_cast<std::int64_t>(ir::ReduceKind::Add);
    const bool dot = sum && without_masks(product)->is(Op::Dot);
    if (!dot && (!fma_ || !sum || (product->dtype() != f32 && product->dtype() != f64)))
        return false;
    // A product that counts only where a mask holds leaves the sum alone elsewhere.
    std::vector<Ref> masks;
    while (product->is(Op::Where) && product->src(2)->is(Op::Const) &&
           product->src(2)->arg(0) == 0) {
        masks.push_back(product->src(0));
        product = product->src(1);
    }
    if ((!product->is(Op::Mul) && !dot) || known(product)) return false;
    const Value a = splat(value(product->src(0)), lanes), b = splat(value(product->src(1)), lanes);
    const Value next = dot ? arith(Op::Dot, product->dtype(), {a, b, acc}, product->arg(0))
                           : arith(Op::Fma, product->dtype(), {a, b, acc});
    Value counts = kNone;
    for (Ref m : masks) counts = counts == kNone ? value(m) : logic(Op::And, counts, value(m));
    acc = counts == kNone ? next : select(splat(counts, lanes), next, acc);
    return true;
}

}  // namespace sinter::codegen
