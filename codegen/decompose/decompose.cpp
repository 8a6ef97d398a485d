#include <sinter/codegen/decompose.h>

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sinter/ir/error.h>
#include "decompose/functions.h"

namespace sinter::codegen {
namespace math {
namespace {

// An instruction for rounding to integral values: SSE4.1 on x86, everywhere else we know of.
bool has_rounding(const Target& target) {
    return target.fma || target.vector_bits > 128 ||
           target.features.find("+sse4.1") != std::string::npos ||
           !(target.triple.starts_with("x86") || target.triple.starts_with("i"));
}

bool is_16_bit_float(DType dt) { return dt == DType::F16 || dt == DType::BF16; }

// Ops that exist for f32 and f64 alone, with their expansion.
struct FloatRow {
    Op op;
    Value (*expand)(Value);
};
constexpr FloatRow kFloatUnary[] = {
    {Op::Abs, abs},     {Op::Sign, sign}, {Op::Recip, recip}, {Op::Exp, exp},     {Op::Exp2, exp2},
    {Op::Expm1, expm1}, {Op::Log, log},   {Op::Log2, log2},   {Op::Log1p, log1p}, {Op::Sin, sin},
    {Op::Asin, asin},   {Op::Acos, acos}, {Op::Atan, atan},   {Op::Cos, cos},     {Op::Tan, tan},
    {Op::Sinh, sinh},   {Op::Cosh, cosh}, {Op::Tanh, tanh},   {Op::Erf, erf},
};
constexpr FloatRow kRounding[] = {
    {Op::Floor, floor_by_addition},
    {Op::Ceil, ceil_by_addition},
    {Op::Trunc, trunc_by_addition},
    {Op::Round, round_by_addition},
};
struct BinaryRow {
    Op op;
    Value (*expand)(Value, Value);
};
constexpr BinaryRow kFloatBinary[] = {
    {Op::Max, maximum}, {Op::Min, minimum}, {Op::Pow, pow}, {Op::Atan2, atan2}};
constexpr BinaryRow kIntegerBinary[] = {
    {Op::Max, integer_maximum}, {Op::Min, integer_minimum}, {Op::IDiv, floor_divide},
    {Op::Mod, floor_modulo},    {Op::Shl, shift_left},      {Op::Shr, shift_right},
};
constexpr FloatRow kIntegerUnary[] = {{Op::Abs, integer_abs}, {Op::Sign, integer_sign}};

template <class Rows>
auto find(const Rows& rows, Op op) -> decltype(&rows[0]) {
    for (const auto& row : rows)
        if (row.op == op) return &row;
    return nullptr;
}

Ref expand_bool(const Context& cx, Ref node) {
    const auto source = [&](std::size_t i) { return Value(cx, node->src(i)); };
    switch (node->op()) {
        case Op::Max:
            return (source(0) | source(1)).node();
        case Op::Min:
            return (source(0) & source(1)).node();
        default:
            return node;
    }
}

// f16 and bf16: through f32.
Ref expand_16_bit(const Context& cx, Ref node) {
    if (node->is(Op::Where) || node->is(Op::Bitcast)) return node;
    if (node->is(Op::Neg) || node->is(Op::Abs)) {
        const Value bits = to_bits(Value(cx, node->src(0)));
        const std::int64_t sign = sign_bit(node->dtype());
        const Value changed =
            node->is(Op::Neg) ? bits ^ bits.like_bits(sign) : bits & bits.like_bits(~sign);
        return changed.bitcast(node->dtype()).node();
    }
    std::vector<Ref> wide;
    for (Ref source : node->src()) wide.push_back(cx.arena.cast(source, DType::F32));
    return cx.arena.cast(cx.arena.make(node->op(), DType::F32, wide), node->dtype());
}

// The node itself if it is a machine op, else an equal value of simpler ops.
Ref expand(const Context& cx, Ref node) {
    if (!ir::is_elementwise(node->op()) || node->src().empty()) return node;
    const bool in_range = !node->args().empty() && node->arg(0) == kInRange;
    const Value x(cx, node->src(0));
    if (node->is(Op::Cast)) return in_range ? node : cast(x, node->dtype()).node();
    if (node->is(Op::Bitcast) || node->is(Op::Where)) return node;
    if (ir::info(node->op()).kind == ir::OpKind::Compare) {
        if (!is_16_bit_float(x.dtype())) return node;
        return cx.arena.binary(node->op(), cx.arena.cast(node->src(0), DType::F32),
                               cx.arena.cast(node->src(1), DType::F32));
    }
    const DType dt = node->dtype();
    if (dt == DType::Index || in_range) return node;
    if (dt == DType::Bool) return expand_bool(cx, node);
    if (is_16_bit_float(dt)) return expand_16_bit(cx, node);
    if (node->src().size() == 1) {
        const FloatRow* row = nullptr;
        if (is_float(dt)) {
            row = find(kFloatUnary, node->op());
            if (row == nullptr && !has_rounding(cx.target)) row = find(kRounding, node->op());
        } else {
            row = find(kIntegerUnary, node->op());
        }
        return row == nullptr ? node : row->expand(x).node();
    }
    const BinaryRow* row =
        is_float(dt) ? find(kFloatBinary, node->op()) : find(kIntegerBinary, node->op());
    return row == nullptr ? node : row->expand(x, Value(cx, node->src(1))).node();
}

// The tanh(x) of 1 + tanh(x) (a part of gelu), or null.
Ref tanh_of_one_plus(Ref node) {
    if (!node->is(Op::Add) || (node->dtype() != DType::F32 && node->dtype() != DType::F64))
        return nullptr;
    for (const std::size_t i : {0u, 1u}) {
        const Ref one = node->src(1 - i);
        if (node->src(i)->is(Op::Tanh) && one->is(Op::Const) && ir::as_double(one) == 1.0)
            return node->src(i);
    }
    return nullptr;
}

// How many nodes read each tanh under `root`.
std::unordered_map<Ref, int> readers_of_tanh(Ref root) {
    std::unordered_map<Ref, int> readers;
    for (Ref node : ir::toposort({&root, 1}))
        for (Ref source : node->src())
            if (source->is(Op::Tanh)) ++readers[source];
    return readers;
}

}  // namespace
}  // namespace math

ir::Ref decompose(ir::Arena& arena, ir::Ref root, const Target& target) {
    const math::Context cx{arena, target};
    std::unordered_map<ir::Ref, ir::Ref> done;
    const std::unordered_map<ir::Ref, int> readers_of_tanh = math::readers_of_tanh(root);
    // A frame waits for its sources, then for its expansion; neither depth is bounded by the C++
    // stack.
    struct Frame {
        ir::Ref node;
        ir::Ref expansion;
        std::size_t next;
    };
    std::vector<Frame> stack{{root, nullptr, 0}};
    std::vector<ir::Ref> sources;
    while (!stack.empty()) {
        Frame& frame = stack.back();
        if (frame.expansion != nullptr) {
            done[frame.node] = done.at(frame.expansion);
            stack.pop_back();
            continue;
        }
        if (const ir::Ref tanh = frame.next == 0 ? math::tanh_of_one_plus(frame.node) : nullptr;
            tanh != nullptr && readers_of_tanh.at(tanh) == 1) {
            frame.expansion = math::one_plus_tanh({cx, tanh->src(0)}).node();
            stack.push_back({frame.expansion, nullptr, 0});
            continue;
        }
        if (frame.next < frame.node->src().size()) {
            const ir::Ref source = frame.node->src(frame.next++);
            if (!done.contains(source)) stack.push_back({source, nullptr, 0});
            continue;
        }
        sources.clear();
        for (ir::Ref source : frame.node->src()) sources.push_back(done.at(source));
        const ir::Ref same = arena.with_src(frame.node, sources);
        const ir::Ref simpler = math::expand(cx, same);
        if (simpler == same || done.contains(simpler)) {
            const ir::Ref result = simpler == same ? same : done.at(simpler);
            done[frame.node] = done[result] = result;
            stack.pop_back();
        } else {
            frame.expansion = simpler;
            stack.push_back({simpler, nullptr, 0});
        }
    }
    return done.at(root);
}

}  // namespace sinter::codegen
