// Loads and stores: their addresses and masks, and the thread's scratch.

#include <algorithm>
#include <numeric>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "emitter.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kLeastPart = 16;  // bytes of the smallest vector that may go past the caches

// Bytes that a Load or Store of the thread's scratch may touch: [first, second).
std::pair<std::int64_t, std::int64_t> scratch_bytes(Ref access) {
    const auto bytes = static_cast<std::int64_t>(size_of(access->src(0)->dtype()));
    return {access->src(1)->vmin() * bytes, (access->src(1)->vmax() + 1) * bytes};
}

// What x - x mod m is a multiple of, and the rest of the sum, where a sum has such a part: a row
// from where its line begins. Else 0, and the sum.
std::pair<std::int64_t, ir::Affine> without_line_begin(const ir::Affine& sum) {
    for (const auto& [term, coefficient] : sum.terms) {
        if (coefficient != -1 || !term->is(Op::Mod) || !term->src(1)->is(Op::Const)) continue;
        ir::Affine rest = sum;
        std::erase_if(rest.terms, [&](const auto& t) { return t.first == term; });
        return {term->src(1)->arg(0), rest - ir::affine(term->src(0))};
    }
    return {0, sum};
}

}  // namespace

Emitter::Address Emitter::address(Ref index) {
    const ir::Affine sum = ir::affine(index);
    Address result;
    result.constant = sum.constant;
    const auto [line, others] = without_line_begin(sum);
    result.outer_align = line;
    result.outer_constant = others.constant;
    for (const auto& [term, coefficient] : others.terms)
        if (term != vector_range_) result.outer_align = std::gcd(result.outer_align, coefficient);
    std::int64_t step = 0;
    bool general = false;
    std::vector<std::pair<std::size_t, Ref>>
        terms;  // by the loop they belong to: sums of outer ones are hoisted
    for (const auto& [term, coefficient] : sum.terms) {
        result.align = std::gcd(result.align, coefficient);
        if (term == vector_range_) {
            step = coefficient;
            continue;
        }
        general = general || is_vector(term);
        const Ref product = fold(arena_, Op::Mul, term, arena_.index(coefficient));
        terms.emplace_back(depth_of(value(product)), product);
    }
    std::ranges::stable_sort(terms, {}, [](const auto& t) { return t.first; });
    Ref base = nullptr;
    for (const auto& [depth, product] : terms)
        base = base == nullptr ? product : arena_.add(base, product);
    if (base != nullptr) result.index = value(base);
    const bool apart = step != 0 && step != 1 && step != -1;
    if (spans_ && !general && apart) {
        result.access = Access::Strided;
        result.step = step;
    } else if (general || apart) {
        result.access = Access::Indexed;
        Value offsets = kNone;
        if (step != 0) {
            Inst lanes{Code::Lanes};
            lanes.dtype = DType::Index;
            lanes.lanes = lanes_;
            lanes.imm = step;
            offsets = push(lanes, 0);
        }
        if (result.index == kNone)
            result.index = offsets;
        else if (offsets != kNone)
            result.index = arith(Op::Add, DType::Index, {result.index, offsets});
    } else if (step != 0) {
        result.access = step == 1 ? Access::Contiguous : Access::Reverse;
    }
    return result;
}

Value Emitter::mask(Ref valid, Access access) {
    if (valid->vmin() == 1) return kNone;
    const Value v = value(valid);
    return access == Access::Scalar ? v : splat(v, lanes_);
}

Value Emitter::make_load(Ref node) {
    if (const auto* square = squares_.find(node)) {
        const std::shared_ptr<std::vector<Ref>> loads = *square;
        const bool first = std::ranges::none_of(*loads, [&](Ref n) { return known(n); });
        if (first) {
            make_square(*loads);
            return lookup(node)->front();
        }
    }
    const Value memory = value(node->src(0));
    Address where = address(node->src(1));
    Value allowed = mask(node->src(2), where.access);
    if (allowed != kNone && where.access == Access::Scalar && lanes(allowed) != 1) {
        // One address, some lanes only: as good as an indexed load.
        where.access = Access::Indexed;
        where.index = splat(where.index == kNone ? value(arena_.index(0)) : where.index, lanes_);
    }
    Inst inst{Code::Load};
    inst.dtype = node->dtype();
    inst.lanes = where.access == Access::Scalar ? std::uint16_t{1} : lanes_;
    inst.access = where.access;
    inst.step = where.step;
    inst.imm = where.constant;
    inst.align = where.align;
    inst.fill = node->arg(0);
    inst.src[0] = memory;
    inst.src[1] = where.index;
    inst.src[2] = allowed;
    std::size_t depth = std::max({depth_of(memory), depth_of(where.index), depth_of(allowed)});
    if (node->src(0)->arg(0) == kThreadSlot) depth = std::max(depth, scratch_depth_);
    if (std::ranges::count(updated_, node->src(0)) != 0) depth = levels_.size() - 1;
    // Further sources are ranges that the memory's contents depend on.
    for (Ref r : node->src().subspan(3)) depth = std::max(depth, depth_of(value(r)));
    if (ahead_.range != nullptr && depth > ahead_.depth) {
        if (const std::int64_t next = next_row(node, inst); next > 0) prefetch(inst, next);
    } else {
        prefetch_far(node, inst, depth);
    }
    return push(inst, depth);
}

void Emitter::scratch_is_filled(std::span<const Ref> stores) {
    // Trips that are code of their own fill the same places one after the other.
    const auto refilled = [&](Ref load) {
        const std::pair<std::int64_t, std::int64_t> read = scratch_bytes(load);
        return std::ranges::any_of(stores, [&](Ref s) {
            const auto [first, last] = scratch_bytes(s);
            return read.first < last && first < read.second;
        });
    };
    forget(
        [&](Ref n) { return n->is(Op::Load) && n->src(0)->arg(0) == kThreadSlot && refilled(n); });
    scratch_depth_ = levels_.size() - 1;
    push(Inst{Code::Barrier}, scratch_depth_);
}

void Emitter::scratch_is_free() { push(Inst{Code::Barrier}, levels_.size() - 1); }

Value Emitter::read_scratch(Arg memory, DType dtype, std::int64_t offset, Value index,
                            std::uint16_t lanes) {
    Inst inst{Code::Load};
    inst.dtype = dtype;
    inst.lanes = lanes;
    inst.access = lanes == 1 ? Access::Scalar : Access::Contiguous;
    inst.imm = offset / static_cast<std::int64_t>(size_of(dtype));
    inst.src[0] = argument(memory);
    inst.src[1] = index;
    return push(inst, levels_.size() - 1);
}

void Emitter::write_scratch(Arg memory, std::int64_t offset, Value index, Value value) {
    Inst inst{Code::Store};
    inst.dtype = dtype(value);
    inst.lanes = lanes(value);
    inst.access = inst.lanes == 1 ? Access::Scalar : Access::Contiguous;
    inst.imm = offset / static_cast<std::int64_t>(size_of(inst.dtype));
    inst.src[0] = argument(memory);
    inst.src[1] = index;
    inst.src[3] = value;
    push(inst, levels_.size() - 1);
}

void Emitter::prepare(Ref node) {
    if (node->src(3)->vmax() != 0) value(node->src(2));
}

void Emitter::store(Ref node) {
    const Ref valid = node->src(3);
    if (valid->vmax() == 0) return;
    const Value memory = value(node->src(0));
    const Value stored = value(node->src(2));
    const Address where = address(node->src(1));
    if (where.access == Access::Scalar && lanes(stored) != 1)
        throw InternalError("codegen: a vector stored at one place");
    Inst inst{Code::Store};
    inst.dtype = node->src(2)->dtype();
    inst.lanes = where.access == Access::Scalar ? std::uint16_t{1} : lanes_;
    inst.access = where.access;
    inst.step = where.step;
    inst.imm = where.constant;
    inst.align = where.align;
    inst.src[0] = memory;
    inst.src[1] = where.index;
    inst.src[2] = mask(valid, where.access);
    inst.src[3] = splat(stored, inst.lanes);
    if (const Value lined = streaming(node, where); lined != kNone) {
        inst.streaming = true;
        inst.src[2] = lined;
    }
    push(inst, levels_.size() - 1);
}

// The condition under which the store may go past the caches: lines are filled. None if it never
// may.
Value Emitter::streaming(Ref store, const Address& where) {
    if (where.access != Access::Contiguous || store->src(3)->vmin() != 1) return kNone;
    for (Streamed& s : streamed_) {
        if (s.slot != store->src(0)->arg(0)) continue;
        const auto bytes = static_cast<std::int64_t>(size_of(store->src(2)->dtype())),
                   part = lanes_ * bytes;
        if (part != kLineBytes && (!s.end_to_end || part < kLeastPart)) return kNone;
        if (where.outer_align * bytes % part != 0 || where.outer_constant * bytes % part != 0)
            return kNone;
        if (s.lined != kNone) return s.lined;
        Inst inst{Code::Lined};
        inst.dtype = DType::Bool;
        inst.imm = s.least;
        inst.src[0] = value(store->src(0));
        if (s.size != nullptr) inst.src[1] = value(s.size);
        return s.lined = push(inst, 0);
    }
    return kNone;
}

}  // namespace sinter::codegen
