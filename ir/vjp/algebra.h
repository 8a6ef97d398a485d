#pragma once
// What gradient rules are written with: operators on UOps, constants of a node's shape, and the few
// foldings that keep backward graphs small from the start (all exact).

#include <algorithm>
#include <numbers>
#include <optional>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/ir/uop.h>

namespace sinter::ir::vjp {

/// One application of a rule: the node `y`, the gradient `g` that reached it, and where the rule
/// puts the gradients of the sources. A rule gives each wanted source at most one gradient; giving
/// none means zero.
class Vjp {
public:
    Vjp(const UOp& node, const UOp& gradient, std::uint32_t wanted)
        : y(node), g(gradient), wanted_(wanted) {}

    const UOp& y;
    const UOp& g;

    UOp x(std::size_t i = 0) const { return UOp::share(y->src(i)); }
    /// Whether source i lies on a path from an input: work for others is wasted.
    bool wants(std::size_t i = 0) const { return (wanted_ >> i & 1) != 0; }
    void give(std::size_t i, UOp gradient) { given_[i] = std::move(gradient); }
    void give(UOp gradient) { give(0, std::move(gradient)); }
    const UOp& given(std::size_t i) const { return given_[i]; }

private:
    std::uint32_t wanted_;
    UOp given_[3];
};

using Ints = std::vector<std::int64_t>;
inline Ints ints(std::span<const std::int64_t> values) { return {values.begin(), values.end()}; }

/// The value of a node that is one constant all over, seen through movement that cannot change it.
inline std::optional<double> constant_of(const UOp& x) {
    Ref node = x.get();
    while (node->is(Op::Reshape) || node->is(Op::Expand) || node->is(Op::Permute) ||
           node->is(Op::Shrink)) {
        node = node->src(0);
    }
    if (!node->is(Op::Const)) return std::nullopt;
    return as_double(node);
}
inline bool is_constant(const UOp& x, double value) {
    const std::optional<double> c = constant_of(x);
    return c && *c == value;
}

/// A constant with the shape and dtype of `x`.
inline UOp like(const UOp& x, double value) { return constant(x->dtype(), value, x->shape()); }
inline UOp zeros_like(const UOp& x) { return like(x, 0); }

inline UOp operator-(const UOp& a) { return unary(Op::Neg, a); }
inline UOp operator+(const UOp& a, const UOp& b) { return binary(Op::Add, a, b); }
inline UOp operator-(const UOp& a, const UOp& b) { return binary(Op::Sub, a, b); }
inline UOp operator/(const UOp& a, const UOp& b) { return binary(Op::Div, a, b); }
/// The seed is 1, and so is what sums pass on of it: products with it are dropped here.
inline UOp operator*(const UOp& a, const UOp& b) {
    if (is_constant(a, 1)) return b;
    if (is_constant(b, 1)) return a;
    return binary(Op::Mul, a, b);
}
inline UOp operator+(const UOp& a, double c) { return a + like(a, c); }
inline UOp operator-(double c, const UOp& a) { return like(a, c) - a; }
inline UOp operator*(const UOp& a, double c) { return a * like(a, c); }
inline UOp operator==(const UOp& a, double c) { return binary(Op::Eq, a, like(a, c)); }
inline UOp eq(const UOp& a, const UOp& b) { return binary(Op::Eq, a, b); }
inline UOp ne(const UOp& a, const UOp& b) { return binary(Op::Ne, a, b); }
inline UOp lt(const UOp& a, const UOp& b) { return binary(Op::Lt, a, b); }
inline UOp is_nan(const UOp& a) { return ne(a, a); }

// Movement of a constant is a constant.
inline UOp expand_to(const UOp& x, std::span<const std::int64_t> shape) {
    if (x->is(Op::Const))
        return UOp::make(Op::Const, x->dtype(), {}, [&] {
            Ints args{x->arg(0)};
            args.insert(args.end(), shape.begin(), shape.end());
            return args;
        }());
    return std::ranges::equal(x->shape(), shape) ? x : expand(x, shape);
}
inline UOp reshape_to(const UOp& x, std::span<const std::int64_t> shape) {
    if (x->is(Op::Const)) return expand_to(x, shape);
    return std::ranges::equal(x->shape(), shape) ? x : reshape(x, shape);
}
inline UOp cast_to(const UOp& x, DType dtype) { return x->dtype() == dtype ? x : cast(x, dtype); }

inline UOp flip_axis(const UOp& x, std::int64_t axis) { return flip(x, Ints{axis}); }

/// out[.., i, ..] = x[.., i + by, ..] along `axis`, `fill` where that is outside.
inline UOp shift(const UOp& x, std::int64_t axis, std::int64_t by, double fill) {
    const std::int64_t n = x->shape()[axis], k = std::min(by < 0 ? -by : by, n);
    Ints begin(x->rank(), 0), end = ints(x->shape()), before(x->rank(), 0), after(x->rank(), 0);
    (by < 0 ? end[axis] : begin[axis]) = by < 0 ? n - k : k;
    (by < 0 ? before[axis] : after[axis]) = k;
    return pad(shrink(x, begin, end), before, after, fill);
}

/// 1 where `truth`, else 0.
inline UOp indicator(const UOp& truth, DType dtype) { return cast(truth, dtype); }

}  // namespace sinter::ir::vjp
