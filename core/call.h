#pragma once
// What every op of core does first: says its name and the caller's line, takes its operands, and
// wraps its result.

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include <sinter/called.h>
#include <sinter/ir/error.h>
#include <sinter/ir/uop.h>
#include <sinter/tensor.h>

namespace sinter {

using detail::fail;
using ir::UOp;
using Ints = std::span<const std::int64_t>;

/// The op that a user called, for as long as it builds its graph. Ops made of other ops nest.
class Call : public Called {
public:
    using Called::Called;
    Call(std::string_view op, const Arg& x) : Called(op, x.where()) {}

    /// The operand's node; a number is a scalar constant of its own dtype. Operands of one call
    /// must share a device.
    UOp node(const Arg& x);
    UOp node(const Tensor& x);
    /// As node, integers and bool cast to f32.
    UOp float_node(const Arg& x);
    /// The result, on the device of the operands.
    Tensor wrap(UOp node) const { return Tensor(std::move(node), device_); }
    Tensor wrap_on(UOp node, std::int64_t device) const { return Tensor(std::move(node), device); }
    std::int64_t device() const { return device_; }

private:
    std::int64_t device_ = -1;
};

// --- words for messages
std::string text(Ints sizes);    ///< [2, 3]
std::string text(const UOp& x);  ///< f32[2, 3]
inline std::string text(std::int64_t n) { return std::to_string(n); }

// --- helpers of shape
ir::Shape shape_of(const UOp& x);
/// The product; ShapeError where it overflows or a size is negative.
std::int64_t checked_numel(Ints shape);
/// Axis counted from the front; ShapeError outside the `rank` axes there are.
/// The tensor that has them is `x`, for the message.
std::int64_t checked_axis(std::int64_t axis, std::size_t rank, const UOp& x = {});
inline std::int64_t checked_axis(std::int64_t axis, const UOp& x) {
    return checked_axis(axis, x->rank(), x);
}
/// Sorted, from the front, each once (ShapeError); all axes for Axes{}.
ir::Shape checked_axes(const Axes& axes, const UOp& x);
/// The same in the order given.
ir::Shape ordered_axes(const Axes& axes, const UOp& x);
ir::Shape broadcast_shapes(Ints a, Ints b);
/// x broadcast to `shape`, which must fit (broadcast_shapes).
UOp expand_to(const UOp& x, Ints shape);
UOp scalar_node(const Scalar& value, DType dtype, Ints shape = {});
/// A constant beside x: x's dtype and shape.
UOp like(const UOp& x, double value);

// --- helpers of dtype
DType float_type(DType dt);  ///< dt if it is a float, else f32
/// The dtype in which `a op b` is computed; numbers are weakly typed.
DType result_type(const Arg& a, const Arg& b);

struct Two {
    UOp a, b;
};
/// Both operands in one shape and dtype: the promoted one, at least f32 if `as_float`.
Two match(Call& call, const Arg& a, const Arg& b, bool as_float = false);
Two match_as(Call& call, const Arg& a, const Arg& b, DType dtype);

}  // namespace sinter
