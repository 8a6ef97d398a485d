// Makers of tensor-level nodes.

#include <atomic>
#include <string>
#include <unordered_set>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/ir/uop.h>

#include "shapes.h"

namespace sinter::ir {
namespace {

using Ints = std::span<const std::int64_t>;

Shape with_front(std::initializer_list<std::int64_t> front, Ints rest) {
    Shape all(front);
    all.insert(all.end(), rest.begin(), rest.end());
    return all;
}

Shape interleave(Op op, const UOp& x, Ints first, Ints second,
                 std::initializer_list<std::int64_t> front = {}) {
    if (first.size() != x->rank() || second.size() != x->rank())
        throw ShapeError(std::string(name(op)) + ": needs a pair of numbers for each axis of " +
                         to_string(x->shape()));
    Shape all(front);
    for (std::size_t d = 0; d < first.size(); ++d) {
        all.push_back(first[d]);
        all.push_back(second[d]);
    }
    return all;
}

// What an op takes, by op: see "Numbers" in docs/ir.md.
enum class Takes { Any, Float, Integer, Number, NotFloat };

Takes takes(Op op) {
    switch (op) {
        case Op::Floor:
        case Op::Ceil:
        case Op::Trunc:
        case Op::Round:
        case Op::Recip:
        case Op::Sqrt:
        case Op::Exp:
        case Op::Exp2:
        case Op::Expm1:
        case Op::Log:
        case Op::Log2:
        case Op::Log1p:
        case Op::Sin:
        case Op::Cos:
        case Op::Tan:
        case Op::Asin:
        case Op::Acos:
        case Op::Atan:
        case Op::Sinh:
        case Op::Cosh:
        case Op::Tanh:
        case Op::Erf:
        case Op::Div:
        case Op::Pow:
        case Op::Atan2:
            return Takes::Float;
        case Op::IDiv:
        case Op::Mod:
        case Op::Shl:
        case Op::Shr:
            return Takes::Integer;
        case Op::Neg:
        case Op::Abs:
        case Op::Sign:
        case Op::Add:
        case Op::Sub:
        case Op::Mul:
            return Takes::Number;
        case Op::Not:
        case Op::And:
        case Op::Or:
        case Op::Xor:
            return Takes::NotFloat;
        default:
            return Takes::Any;
    }
}

void check_takes(Op op, DType dt) {
    const Takes want = takes(op);
    const bool ok = want == Takes::Any || (want == Takes::Float && is_float(dt)) ||
                    (want == Takes::Integer && is_integer(dt)) ||
                    (want == Takes::Number && dt != boolean) ||
                    (want == Takes::NotFloat && !is_float(dt));
    if (ok) return;
    constexpr std::string_view kWhat[] = {"", "floats", "integers", "numbers", "integers or bool"};
    throw DTypeError(std::string(name(op)) + ": takes " +
                     std::string(kWhat[static_cast<int>(want)]) + ", got " + std::string(name(dt)));
}

std::int64_t next_buffer_id() {
    static std::atomic<std::int64_t> next{1};
    return next.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

UOp constant(DType dtype, double value, Ints shape) {
    return UOp::make(Op::Const, dtype, {}, with_front({round_bits(dtype, value)}, shape));
}

UOp constant_int(DType dtype, std::int64_t value, Ints shape) {
    const std::int64_t bits =
        is_float(dtype) ? round_bits(dtype, static_cast<double>(value)) : wrap_int(dtype, value);
    return UOp::make(Op::Const, dtype, {}, with_front({bits}, shape));
}

UOp bind(DType dtype, double value, Ints shape, std::int64_t id) {
    return UOp::make(Op::Bind, dtype, {}, with_front({round_bits(dtype, value), id}, shape));
}

UOp bind_int(DType dtype, std::int64_t value, Ints shape, std::int64_t id) {
    const std::int64_t bits =
        is_float(dtype) ? round_bits(dtype, static_cast<double>(value)) : wrap_int(dtype, value);
    return UOp::make(Op::Bind, dtype, {}, with_front({bits, id}, shape));
}

UOp iota(DType dtype, Ints shape, std::int64_t axis) {
    if (!is_integer(dtype))
        throw DTypeError("Iota: takes an integer dtype, got " + std::string(name(dtype)));
    return UOp::make(Op::Iota, dtype, {}, with_front({axis}, shape));
}

UOp buffer(DType dtype, Ints shape, std::int64_t device) {
    return UOp::make(Op::Buffer, dtype, {}, with_front({next_buffer_id(), device}, shape));
}

UOp unary(Op op, const UOp& x) {
    check_takes(op, x->dtype());
    return UOp::make(op, x->dtype(), {x});
}

UOp binary(Op op, const UOp& a, const UOp& b) {
    check_takes(op, a->dtype());
    return UOp::make(op, info(op).dtype == DTypeRule::Bool ? boolean : a->dtype(), {a, b});
}

UOp where(const UOp& condition, const UOp& a, const UOp& b) {
    return UOp::make(Op::Where, a->dtype(), {condition, a, b});
}

UOp cast(const UOp& x, DType dtype) {
    return x->dtype() == dtype ? x : UOp::make(Op::Cast, dtype, {x});
}

UOp bitcast(const UOp& x, DType dtype) {
    return x->dtype() == dtype ? x : UOp::make(Op::Bitcast, dtype, {x});
}

UOp reshape(const UOp& x, Ints shape) {
    if (std::ranges::equal(x->shape(), shape)) return x;
    // Two reshapes are one.
    const UOp base = x->is(Op::Reshape) ? UOp::share(x->src(0)) : x;
    if (std::ranges::equal(base->shape(), shape)) return base;
    return UOp::make(Op::Reshape, x->dtype(), {base}, shape);
}

UOp permute(const UOp& x, Ints axes) {
    bool identity = axes.size() == x->rank();
    for (std::size_t d = 0; identity && d < axes.size(); ++d)
        identity = axes[d] == static_cast<std::int64_t>(d);
    return identity ? x : UOp::make(Op::Permute, x->dtype(), {x}, axes);
}

UOp expand(const UOp& x, Ints shape) {
    return std::ranges::equal(x->shape(), shape) ? x
                                                 : UOp::make(Op::Expand, x->dtype(), {x}, shape);
}

UOp pad(const UOp& x, Ints before, Ints after, double fill) {
    const Shape args = interleave(Op::Pad, x, before, after, {round_bits(x->dtype(), fill)});
    for (std::size_t i = 1; i < args.size(); ++i)
        if (args[i] != 0) return UOp::make(Op::Pad, x->dtype(), {x}, args);
    return x;
}

UOp shrink(const UOp& x, Ints begin, Ints end) {
    const Shape args = interleave(Op::Shrink, x, begin, end);
    for (std::size_t d = 0; d < begin.size(); ++d)
        if (begin[d] != 0 || end[d] != x->shape()[d])
            return UOp::make(Op::Shrink, x->dtype(), {x}, args);
    return x;
}

UOp flip(const UOp& x, Ints axes) {
    return axes.empty() ? x : UOp::make(Op::Flip, x->dtype(), {x}, axes);
}

UOp stride(const UOp& x, Ints step) {
    for (std::int64_t s : step)
        if (s != 1) return UOp::make(Op::Stride, x->dtype(), {x}, step);
    return x;
}

UOp window(const UOp& x, std::int64_t axis, std::int64_t size, std::int64_t step,
           std::int64_t dilation) {
    // A window of one element is that element: not a copy of its own, and no Fold in its gradient.
    const auto along = static_cast<std::size_t>(axis);
    if (size == 1 && along < x->rank() && x->shape()[along] > 0 && step > 0 && dilation > 0) {
        Shape steps(x->rank(), 1);
        steps[along] = step;
        const UOp taken = stride(x, steps);
        Shape shape(taken->shape().begin(), taken->shape().end());
        shape.push_back(1);
        return reshape(taken, shape);
    }
    const std::int64_t args[] = {axis, size, step, dilation};
    return UOp::make(Op::Window, x->dtype(), {x}, args);
}

UOp fold(const UOp& x, std::int64_t axis, std::int64_t n, std::int64_t step,
         std::int64_t dilation) {
    const std::int64_t args[] = {axis, n, step, dilation};
    return UOp::make(Op::Fold, x->dtype(), {x}, args);
}

UOp reduce(ReduceKind kind, const UOp& x, Ints axes) {
    if (x->dtype() == boolean && kind != ReduceKind::Max && kind != ReduceKind::Min)
        throw DTypeError("Reduce: takes numbers, got bool; cast it first");
    return axes.empty() ? x
                        : UOp::make(Op::Reduce, x->dtype(), {x},
                                    with_front({static_cast<std::int64_t>(kind)}, axes));
}

UOp arg_reduce(ReduceKind kind, const UOp& x, std::int64_t axis) {
    const std::int64_t args[] = {static_cast<std::int64_t>(kind), axis};
    return UOp::make(Op::ArgReduce, i64, {x}, args);
}

UOp scan(ReduceKind kind, const UOp& x, std::int64_t axis) {
    const std::int64_t args[] = {static_cast<std::int64_t>(kind), axis};
    return UOp::make(Op::Scan, x->dtype(), {x}, args);
}

UOp sort(const UOp& x, std::int64_t axis, std::int64_t count, Sorting order) {
    const std::int64_t args[] = {axis, count, order == Sorting::Descending, 0};
    return UOp::make(Op::Sort, x->dtype(), {x}, args);
}

UOp sort_positions(const UOp& x, std::int64_t axis, std::int64_t count, Sorting order) {
    const std::int64_t args[] = {axis, count, order == Sorting::Descending, 1};
    return UOp::make(Op::Sort, i64, {x}, args);
}

UOp gather(const UOp& x, const UOp& index, std::int64_t axis) {
    return UOp::make(Op::Gather, x->dtype(), {x, index}, std::span<const std::int64_t>(&axis, 1));
}

UOp scatter(ReduceKind kind, const UOp& base, const UOp& index, const UOp& src, std::int64_t axis) {
    const std::int64_t args[] = {static_cast<std::int64_t>(kind), axis};
    return UOp::make(Op::Scatter, base->dtype(), {base, index, src}, args);
}

UOp contiguous(const UOp& x) { return UOp::make(Op::Contiguous, x->dtype(), {x}); }
UOp detach(const UOp& x) { return UOp::make(Op::Detach, x->dtype(), {x}); }
UOp assign(const UOp& target, const UOp& value) {
    return UOp::make(Op::Assign, value->dtype(), {target, value});
}
UOp copy_to(const UOp& x, std::int64_t device) {
    return UOp::make(Op::Copy, x->dtype(), {x}, std::span<const std::int64_t>(&device, 1));
}
std::optional<std::int64_t> device_of(Ref x) {
    std::vector<Ref> stack{x};
    std::unordered_set<Ref> seen{x};
    while (!stack.empty()) {
        const Ref node = stack.back();
        stack.pop_back();
        if (node->is(Op::Buffer)) return node->arg(1);
        if (node->is(Op::Copy)) return node->arg(0);
        for (const Ref s : node->src()) {
            if (seen.insert(s).second) stack.push_back(s);
        }
    }
    return std::nullopt;
}

}  // namespace sinter::ir
