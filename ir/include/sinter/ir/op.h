#pragma once
// The ops, generated from op_table.def.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sinter::ir {

enum class Op : std::uint8_t {
#define SINTER_TENSOR_OP(name, ...) name,
#define SINTER_KERNEL_OP(name) name,
#include <sinter/ir/op_table.def>
};

enum class OpKind : std::uint8_t {
    Leaf,
    Unary,
    Binary,
    Compare,
    Ternary,
    Movement,
    Reduce,
    Index,
    Mark,
    Kernel,
};

enum class DTypeRule : std::uint8_t { Given, Same, Bool };

enum class ShapeRule : std::uint8_t {
    None,
    Same,
    Const,
    Buffer,
    Bind,
    Iota,
    Reshape,
    Permute,
    Expand,
    Pad,
    Shrink,
    Flip,
    Stride,
    Window,
    Reduce,
    ArgReduce,
    Fold,
    Sort,
    Gather,
};

struct OpInfo {
    std::string_view name;
    OpKind kind;
    std::int8_t arity;  ///< number of sources; -1: any
    DTypeRule dtype;
    ShapeRule shape;
    std::uint8_t flops;  ///< an element, counted as multiply-adds are: 1 an addition
};

inline constexpr OpInfo kOps[] = {
#define SINTER_TENSOR_OP(name, kind, arity, dtype, shape, flops) \
    {#name, OpKind::kind, arity, DTypeRule::dtype, ShapeRule::shape, flops},
#define SINTER_KERNEL_OP(name) {#name, OpKind::Kernel, -1, DTypeRule::Given, ShapeRule::None, 0},
#include <sinter/ir/op_table.def>
};

inline constexpr std::size_t kOpCount = sizeof(kOps) / sizeof(kOps[0]);

constexpr const OpInfo& info(Op op) { return kOps[static_cast<std::size_t>(op)]; }
constexpr std::string_view name(Op op) { return info(op).name; }

constexpr bool is_elementwise(Op op) {
    const OpKind kind = info(op).kind;
    return kind == OpKind::Unary || kind == OpKind::Binary || kind == OpKind::Compare ||
           kind == OpKind::Ternary;
}
constexpr bool is_movement(Op op) { return info(op).kind == OpKind::Movement; }
constexpr bool is_commutative(Op op) {
    return op == Op::Add || op == Op::Mul || op == Op::Max || op == Op::Min || op == Op::And ||
           op == Op::Or || op == Op::Xor || op == Op::Eq || op == Op::Ne;
}

/// How Reduce, Scan and Scatter combine values; the first argument of those nodes. `Set` is for
/// Scatter alone.
enum class ReduceKind : std::int64_t { Add, Mul, Max, Min, Set };

std::string_view name(ReduceKind kind);

}  // namespace sinter::ir
