#include <sinter/reduce.h>

#include <cmath>

#include <sinter/elementwise.h>
#include <sinter/movement.h>

#include "call.h"

namespace sinter {
namespace {

using ir::Op;
using ir::ReduceKind;

// Drops the reduced axes, which have size 1.
UOp drop(const UOp& x, Ints axes) {
    ir::Shape shape;
    std::size_t next = 0;
    for (std::size_t d = 0; d < x->rank(); ++d) {
        if (next < axes.size() && axes[next] == static_cast<std::int64_t>(d))
            ++next;
        else
            shape.push_back(x->shape()[d]);
    }
    return ir::reshape(x, shape);
}

UOp finish(const UOp& reduced, Ints axes, bool keepdim) {
    return keepdim ? reduced : drop(reduced, axes);
}

std::int64_t count_along(const UOp& x, Ints axes) {
    std::int64_t n = 1;
    for (const std::int64_t d : axes) n *= x->shape()[static_cast<std::size_t>(d)];
    return n;
}

void require_elements(const UOp& x, Ints axes) {
    if (count_along(x, axes) == 0)
        fail<ValueError>("empty reduction without identity: " + text(x) +
                         " has no elements along " + text(axes));
}

// bool and integers are added up as i64, u64 as itself.
DType sum_type(DType dt) { return is_float(dt) || dt == u64 ? dt : i64; }

// Means and the like of 16-bit floats are computed in f32 and rounded once.
DType wide_float(DType dt) { return accumulator_type(float_type(dt)); }

UOp sub(const UOp& a, const UOp& b) { return ir::binary(Op::Sub, a, b); }
UOp div(const UOp& a, const UOp& b) { return ir::binary(Op::Div, a, b); }

Tensor total(std::string_view op, ReduceKind kind, const Arg& x, const Axes& axes, bool keepdim) {
    Call call(op, x);
    UOp value = call.node(x);
    value = ir::cast(value, sum_type(value->dtype()));
    const ir::Shape which = checked_axes(axes, value);
    return call.wrap(finish(ir::reduce(kind, value, which), which, keepdim));
}

Tensor extreme(std::string_view op, ReduceKind kind, const Arg& x, const Axes& axes, bool keepdim) {
    Call call(op, x);
    const UOp value = call.node(x);
    const ir::Shape which = checked_axes(axes, value);
    require_elements(value, which);
    return call.wrap(finish(ir::reduce(kind, value, which), which, keepdim));
}

Tensor truth(std::string_view op, ReduceKind kind, const Arg& x, const Axes& axes, bool keepdim) {
    Call call(op, x);
    const UOp value = ir::cast(call.node(x), boolean);
    const ir::Shape which = checked_axes(axes, value);
    return call.wrap(finish(ir::reduce(kind, value, which), which, keepdim));
}

Tensor arg_extreme(std::string_view op, ReduceKind kind, const Arg& x,
                   std::optional<std::int64_t> axis, bool keepdim) {
    Call call(op, x);
    UOp value = call.node(x);
    const std::size_t rank = value->rank();
    if (axis) {
        ir::Shape which{0};
        if (rank == 0 && (*axis == 0 || *axis == -1)) return call.wrap(ir::constant_int(i64, 0));
        which[0] = checked_axis(*axis, value);
        require_elements(value, which);
        return call.wrap(finish(ir::arg_reduce(kind, value, which[0]), which, keepdim));
    }
    const ir::Shape which = checked_axes(Axes(), value);
    require_elements(value, which);
    const ir::Shape flat{value->numel()}, ones(keepdim ? rank : 0, 1);
    return call.wrap(ir::reshape(ir::arg_reduce(kind, ir::reshape(value, flat), 0), ones));
}

UOp sum_of(const UOp& x, Ints axes) { return ir::reduce(ReduceKind::Add, x, axes); }

// Computes in the wide float type: mean over axes, kept.
UOp mean_of(const UOp& x, Ints axes) {
    const UOp s = sum_of(x, axes);
    return div(s, like(s, static_cast<double>(count_along(x, axes))));
}

UOp variance(const UOp& x, Ints axes, std::int64_t correction) {
    const UOp gap = sub(x, expand_to(mean_of(x, axes), x->shape()));
    const UOp s = sum_of(ir::binary(Op::Mul, gap, gap), axes);
    const double freedom = static_cast<double>(count_along(x, axes) - correction);
    return div(s, like(s, std::max(freedom, 0.0)));
}

// Computed in the wide float type and rounded once.
template <class F>
Tensor statistic(std::string_view op, const Arg& x, const Axes& axes, bool keepdim, F&& compute) {
    Call call(op, x);
    const UOp value = call.float_node(x);
    const ir::Shape which = checked_axes(axes, value);
    const UOp result = compute(ir::cast(value, wide_float(value->dtype())), which);
    return call.wrap(finish(ir::cast(result, value->dtype()), which, keepdim));
}

// The largest value, without gradient: it shifts exponents and changes no result.
UOp shift_of(const UOp& x, Ints axes) { return ir::detach(ir::reduce(ReduceKind::Max, x, axes)); }

}  // namespace

Tensor sum(const Arg& x, const Axes& axes, bool keepdim) {
    return total("sum", ReduceKind::Add, x, axes, keepdim);
}
Tensor prod(const Arg& x, const Axes& axes, bool keepdim) {
    return total("prod", ReduceKind::Mul, x, axes, keepdim);
}
Tensor max(const Arg& x, const Axes& axes, bool keepdim) {
    return extreme("max", ReduceKind::Max, x, axes, keepdim);
}
Tensor min(const Arg& x, const Axes& axes, bool keepdim) {
    return extreme("min", ReduceKind::Min, x, axes, keepdim);
}

Tensor mean(const Arg& x, const Axes& axes, bool keepdim) {
    return statistic("mean", x, axes, keepdim, mean_of);
}
Tensor var(const Arg& x, const Axes& axes, bool keepdim, std::int64_t correction) {
    return statistic("var", x, axes, keepdim, [&](const UOp& wide, Ints which) {
        return variance(wide, which, correction);
    });
}
Tensor std(const Arg& x, const Axes& axes, bool keepdim, std::int64_t correction) {
    return statistic("std", x, axes, keepdim, [&](const UOp& wide, Ints which) {
        return ir::unary(Op::Sqrt, variance(wide, which, correction));
    });
}

Tensor any(const Arg& x, const Axes& axes, bool keepdim) {
    return truth("any", ReduceKind::Max, x, axes, keepdim);
}
Tensor all(const Arg& x, const Axes& axes, bool keepdim) {
    return truth("all", ReduceKind::Min, x, axes, keepdim);
}

Tensor count_nonzero(const Arg& x, const Axes& axes, bool keepdim) {
    Call call("count_nonzero", x);
    return sum(cast(x, boolean), axes, keepdim);
}

Tensor argmax(const Arg& x, std::optional<std::int64_t> axis, bool keepdim) {
    return arg_extreme("argmax", ReduceKind::Max, x, axis, keepdim);
}
Tensor argmin(const Arg& x, std::optional<std::int64_t> axis, bool keepdim) {
    return arg_extreme("argmin", ReduceKind::Min, x, axis, keepdim);
}

Tensor logsumexp(const Arg& x, const Axes& axes, bool keepdim) {
    Call call("logsumexp", x);
    const UOp value = call.float_node(x);
    const UOp wide = ir::cast(value, wide_float(value->dtype()));
    const ir::Shape which = checked_axes(axes, value);
    // A shift by an infinity would make NaN.
    const UOp top = shift_of(wide, which);
    const UOp finite = ir::binary(Op::Lt, ir::unary(Op::Abs, top), like(top, INFINITY));
    const UOp shift = ir::where(finite, top, like(top, 0));
    const UOp e = ir::unary(Op::Exp, sub(wide, expand_to(shift, wide->shape())));
    const UOp out = ir::binary(Op::Add, ir::unary(Op::Log, sum_of(e, which)), shift);
    return call.wrap(finish(ir::cast(out, value->dtype()), which, keepdim));
}

Tensor softmax(const Arg& x, std::int64_t axis) {
    Call call("softmax", x);
    const UOp value = call.float_node(x);
    if (value->rank() == 0) return call.wrap(like(value, 1));
    const UOp wide = ir::cast(value, wide_float(value->dtype()));
    const ir::Shape which{checked_axis(axis, value)};
    const UOp e = ir::unary(Op::Exp, sub(wide, expand_to(shift_of(wide, which), wide->shape())));
    // One division a row.
    const UOp scale = ir::unary(Op::Recip, sum_of(e, which));
    const UOp out = ir::binary(Op::Mul, e, expand_to(scale, e->shape()));
    return call.wrap(ir::cast(out, value->dtype()));
}

Tensor log_softmax(const Arg& x, std::int64_t axis) {
    Call call("log_softmax", x);
    const UOp value = call.float_node(x);
    const UOp wide = ir::cast(value, wide_float(value->dtype()));
    const ir::Shape which{checked_axis(axis, value)};
    const UOp gap = sub(wide, expand_to(shift_of(wide, which), wide->shape()));
    const UOp total_log = ir::unary(Op::Log, sum_of(ir::unary(Op::Exp, gap), which));
    return call.wrap(ir::cast(sub(gap, expand_to(total_log, gap->shape())), value->dtype()));
}

Tensor norm(const Arg& x, double p, const Axes& axes, bool keepdim) {
    Call call("norm", x);
    const UOp value = call.float_node(x);
    const ir::Shape which = checked_axes(axes, value);
    const UOp wide = ir::cast(value, wide_float(value->dtype())), size = ir::unary(Op::Abs, wide);
    auto done = [&](const UOp& out) {
        return call.wrap(finish(ir::cast(out, value->dtype()), which, keepdim));
    };
    if (std::isinf(p)) {
        require_elements(value, which);
        return done(ir::reduce(p > 0 ? ReduceKind::Max : ReduceKind::Min, size, which));
    }
    if (p == 0) return done(sum_of(ir::cast(ir::cast(size, boolean), size->dtype()), which));
    if (p == 1) return done(sum_of(size, which));
    // Of nothing but zeros the root has no slope; 0 is taken, and no infinity met.
    const auto root = [&](const UOp& s, auto&& f) {
        const UOp flat = ir::binary(Op::Eq, s, like(s, 0));
        return ir::where(flat, s, f(ir::where(flat, like(s, 1), s)));
    };
    if (p == 2)
        return done(root(sum_of(ir::binary(Op::Mul, wide, wide), which),
                         [](const UOp& s) { return ir::unary(Op::Sqrt, s); }));
    return done(root(sum_of(ir::binary(Op::Pow, size, like(size, p)), which),
                     [&](const UOp& s) { return ir::binary(Op::Pow, s, like(s, 1 / p)); }));
}

namespace {

Tensor running(std::string_view op, ReduceKind kind, const Arg& x, std::int64_t axis, bool widen) {
    Call call(op, x);
    UOp value = call.node(x);
    if (widen) value = ir::cast(value, sum_type(value->dtype()));
    if (value->rank() == 0 && (axis == 0 || axis == -1)) return call.wrap(value);
    return call.wrap(ir::scan(kind, value, checked_axis(axis, value)));
}

}  // namespace

Tensor cumsum(const Arg& x, std::int64_t axis) {
    return running("cumsum", ReduceKind::Add, x, axis, true);
}
Tensor cumprod(const Arg& x, std::int64_t axis) {
    return running("cumprod", ReduceKind::Mul, x, axis, true);
}
Tensor cummax(const Arg& x, std::int64_t axis) {
    return running("cummax", ReduceKind::Max, x, axis, false);
}
Tensor cummin(const Arg& x, std::int64_t axis) {
    return running("cummin", ReduceKind::Min, x, axis, false);
}

}  // namespace sinter
