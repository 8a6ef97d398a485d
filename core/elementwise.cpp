#include <sinter/elementwise.h>

#include <cmath>
#include <limits>
#include <numbers>

#include <sinter/reduce.h>

#include "call.h"

namespace sinter {
namespace {

using ir::Op;

Tensor binary(std::string_view op, Op node, const Arg& a, const Arg& b) {
    Call call(op, a);
    const Two two = match(call, a, b);
    return call.wrap(ir::binary(node, two.a, two.b));
}

Tensor float_binary(std::string_view op, Op node, const Arg& a, const Arg& b) {
    Call call(op, a);
    const Two two = match(call, a, b, true);
    return call.wrap(ir::binary(node, two.a, two.b));
}

void require_not_float(const UOp& x) {
    if (is_float(x->dtype())) fail<DTypeError>("takes integers or bool, got " + text(x));
}

Tensor bitwise(std::string_view op, Op node, const Arg& a, const Arg& b) {
    Call call(op, a);
    const Two two = match(call, a, b);
    require_not_float(two.a);
    return call.wrap(ir::binary(node, two.a, two.b));
}

Tensor shift(std::string_view op, Op node, const Arg& a, const Arg& b) {
    Call call(op, a);
    const Two two = match(call, a, b);
    if (!is_integer(two.a->dtype())) fail<DTypeError>("takes integers, got " + text(two.a));
    return call.wrap(ir::binary(node, two.a, two.b));
}

Tensor logical(std::string_view op, Op node, const Arg& a, const Arg& b) {
    Call call(op, a);
    UOp x = ir::cast(call.node(a), boolean), y = ir::cast(call.node(b), boolean);
    const ir::Shape shape = broadcast_shapes(x->shape(), y->shape());
    return call.wrap(ir::binary(node, expand_to(x, shape), expand_to(y, shape)));
}

Tensor float_unary(std::string_view op, Op node, const Arg& x) {
    Call call(op, x);
    return call.wrap(ir::unary(node, call.float_node(x)));
}

// Rounding: integers are whole already.
Tensor rounding(std::string_view op, Op node, const Arg& x) {
    Call call(op, x);
    const UOp value = call.node(x);
    return call.wrap(is_float(value->dtype()) ? ir::unary(node, value) : value);
}

UOp add(const UOp& a, const UOp& b) { return ir::binary(Op::Add, a, b); }
UOp sub(const UOp& a, const UOp& b) { return ir::binary(Op::Sub, a, b); }
UOp mul(const UOp& a, const UOp& b) { return ir::binary(Op::Mul, a, b); }
UOp div(const UOp& a, const UOp& b) { return ir::binary(Op::Div, a, b); }
UOp lt(const UOp& a, const UOp& b) { return ir::binary(Op::Lt, a, b); }
UOp ne(const UOp& a, const UOp& b) { return ir::binary(Op::Ne, a, b); }

// |x| for functions that are smooth at 0: a choice, as the gradient of Abs at 0 would be 0. The sum
// takes the sign of -0.
UOp magnitude(const UOp& x) {
    const UOp zero = like(x, 0);
    return add(ir::where(lt(x, zero), ir::unary(Op::Neg, x), x), zero);
}

UOp is_infinite(const UOp& x) {
    return ir::binary(Op::Eq, ir::unary(Op::Abs, x),
                      like(x, std::numeric_limits<double>::infinity()));
}

// a - b * trunc(a / b), computed in f64: exact for 16- and 32-bit floats as long as the quotient is
// below 2^29.
UOp float_mod(const UOp& a, const UOp& b) {
    const UOp x = ir::cast(a, f64), y = ir::cast(b, f64);
    const UOp rest = sub(x, mul(y, ir::unary(Op::Trunc, div(x, y))));
    // A finite number over an infinite one is itself the rest.
    const UOp whole =
        ir::binary(Op::And, is_infinite(y), lt(ir::unary(Op::Abs, x), like(x, INFINITY)));
    return ir::where(whole, x, rest);
}

// The rest with the sign of b.
UOp float_remainder(const UOp& a, const UOp& b) {
    const UOp rest = float_mod(a, b), y = ir::cast(b, f64), zero = like(rest, 0);
    const UOp other_side = ir::binary(Op::And, ne(rest, zero), ne(lt(rest, zero), lt(y, zero)));
    return ir::where(other_side, add(rest, y), rest);
}

UOp integer_power(UOp base, std::int64_t exponent) {
    if (exponent < 0)
        fail<ValueError>("integers to the power " + text(exponent) +
                         " are no integers: cast the base to a float first");
    UOp result = ir::constant_int(base->dtype(), 1, base->shape());
    for (; exponent != 0; exponent >>= 1) {
        if ((exponent & 1) != 0) result = mul(result, base);
        if (exponent > 1) base = mul(base, base);
    }
    return result;
}

// By squaring, one step a bit of the exponent.
UOp integer_power(const UOp& base, const UOp& exponent) {
    const DType dt = base->dtype();
    const auto one = ir::constant_int(dt, 1, base->shape());
    const auto zero = ir::constant_int(dt, 0, base->shape());
    UOp result = one, square = base, rest = exponent;
    const int bits = static_cast<int>(size_of(dt)) * 8 - (is_unsigned(dt) ? 0 : 1);
    for (int i = 0; i < bits; ++i) {
        const UOp odd = ne(ir::binary(Op::And, rest, one), zero);
        result = ir::where(odd, mul(result, square), result);
        rest = ir::binary(Op::Shr, rest, one);
        if (i + 1 < bits) square = mul(square, square);
    }
    if (is_unsigned(dt)) return result;
    const UOp unit = ir::binary(Op::Eq, ir::unary(Op::Abs, base), one);
    const UOp odd = ne(ir::binary(Op::And, exponent, one), zero);
    const UOp inverse = ir::where(unit, ir::where(odd, base, one), zero);
    return ir::where(lt(exponent, zero), inverse, result);
}

}  // namespace

Tensor add(const Arg& a, const Arg& b) {
    Call call("add", a);
    const Two two = match(call, a, b);
    return call.wrap(ir::binary(two.a->dtype() == boolean ? Op::Or : Op::Add, two.a, two.b));
}

Tensor sub(const Arg& a, const Arg& b) {
    Call call("sub", a);
    const Two two = match(call, a, b);
    if (two.a->dtype() == boolean)
        fail<DTypeError>("bool minus bool is not defined: use logical_xor or cast first");
    return call.wrap(sub(two.a, two.b));
}

Tensor mul(const Arg& a, const Arg& b) {
    Call call("mul", a);
    const Two two = match(call, a, b);
    return call.wrap(ir::binary(two.a->dtype() == boolean ? Op::And : Op::Mul, two.a, two.b));
}

Tensor div(const Arg& a, const Arg& b) { return float_binary("div", Op::Div, a, b); }

Tensor floor_divide(const Arg& a, const Arg& b) {
    Call call("floor_divide", a);
    Two two = match(call, a, b);
    const DType dt = two.a->dtype();
    if (dt == boolean) fail<DTypeError>("is not defined for bool: cast first");
    if (is_integer(dt)) return call.wrap(ir::binary(Op::IDiv, two.a, two.b));
    const UOp x = ir::cast(two.a, f64), y = ir::cast(two.b, f64);
    const UOp quotient = div(x, y);
    // A whole quotient is rounded away the rest; one over zero or infinite keeps what division
    // says.
    const UOp whole = ir::unary(Op::Round, div(sub(x, float_remainder(two.a, two.b)), y));
    const UOp zero = like(x, 0);
    const UOp plain = ir::binary(Op::Or, ir::binary(Op::Eq, y, zero),
                                 ir::binary(Op::Or, is_infinite(x), ne(x, x)));
    return call.wrap(ir::cast(ir::where(plain, quotient, whole), dt));
}

Tensor remainder(const Arg& a, const Arg& b) {
    Call call("remainder", a);
    const Two two = match(call, a, b);
    const DType dt = two.a->dtype();
    if (dt == boolean) fail<DTypeError>("is not defined for bool: cast first");
    if (is_integer(dt)) return call.wrap(ir::binary(Op::Mod, two.a, two.b));
    return call.wrap(ir::cast(float_remainder(two.a, two.b), dt));
}

Tensor fmod(const Arg& a, const Arg& b) {
    Call call("fmod", a);
    const Two two = match(call, a, b);
    const DType dt = two.a->dtype();
    if (dt == boolean) fail<DTypeError>("is not defined for bool: cast first");
    if (is_float(dt)) return call.wrap(ir::cast(float_mod(two.a, two.b), dt));
    if (is_unsigned(dt)) return call.wrap(ir::binary(Op::Mod, two.a, two.b));
    // The floored rest has the sign of b: a rest of the other sign is moved by b.
    const UOp rest = ir::binary(Op::Mod, two.a, two.b);
    const UOp zero = ir::constant_int(dt, 0, rest->shape());
    const UOp moved =
        ir::binary(Op::And, ne(rest, zero),
                   ir::binary(Op::And, ne(lt(rest, zero), lt(two.a, zero)), ne(two.b, zero)));
    return call.wrap(ir::where(moved, sub(rest, two.b), rest));
}

Tensor pow(const Arg& a, const Arg& b) {
    Call call("pow", a);
    const DType dt = result_type(a, b);
    if (dt == boolean) fail<DTypeError>("is not defined for bool: cast first");
    if (b.tensor() == nullptr && a.tensor() != nullptr) {
        const UOp base = ir::cast(call.node(a), dt);
        if (is_integer(dt)) return call.wrap(integer_power(base, b.scalar().integer));
        const double exponent = b.scalar().real;
        if (exponent == 1) return call.wrap(base);
        if (exponent == 2) return call.wrap(mul(base, base));
        if (exponent == 3) return call.wrap(mul(mul(base, base), base));
        if (exponent == 0.5) return call.wrap(ir::unary(Op::Sqrt, base));
        if (exponent == -1) return call.wrap(ir::unary(Op::Recip, base));
    }
    const Two two = match(call, a, b);
    return call.wrap(is_integer(dt) ? integer_power(two.a, two.b)
                                    : ir::binary(Op::Pow, two.a, two.b));
}

Tensor maximum(const Arg& a, const Arg& b) { return binary("maximum", Op::Max, a, b); }
Tensor minimum(const Arg& a, const Arg& b) { return binary("minimum", Op::Min, a, b); }

namespace {

Tensor extreme_but_nan(std::string_view op, Op node, const Arg& a, const Arg& b) {
    Call call(op, a);
    const Two two = match(call, a, b);
    const UOp both = ir::binary(node, two.a, two.b);
    if (!is_float(both->dtype())) return call.wrap(both);
    return call.wrap(ir::where(ne(two.a, two.a), two.b, ir::where(ne(two.b, two.b), two.a, both)));
}

}  // namespace

Tensor fmax(const Arg& a, const Arg& b) { return extreme_but_nan("fmax", Op::Max, a, b); }
Tensor fmin(const Arg& a, const Arg& b) { return extreme_but_nan("fmin", Op::Min, a, b); }
Tensor atan2(const Arg& a, const Arg& b) { return float_binary("atan2", Op::Atan2, a, b); }

Tensor hypot(const Arg& a, const Arg& b) {
    Call call("hypot", a);
    const Two two = match(call, a, b, true);
    // Scaled by the larger operand so that squares neither overflow nor vanish.
    const UOp x = magnitude(two.a), y = magnitude(two.b), less = lt(x, y);
    const UOp big = ir::where(less, y, x), small = ir::where(less, x, y);
    const UOp zero = like(x, 0), infinity = like(x, INFINITY);
    const UOp ratio = div(small, ir::where(ir::binary(Op::Eq, big, zero), like(x, 1), big));
    const UOp length = mul(big, ir::unary(Op::Sqrt, add(like(x, 1), mul(ratio, ratio))));
    const UOp infinite =
        ir::binary(Op::Or, ir::binary(Op::Eq, x, infinity), ir::binary(Op::Eq, y, infinity));
    return call.wrap(ir::where(infinite, infinity, length));
}

Tensor copysign(const Arg& a, const Arg& b) {
    Call call("copysign", a);
    const Two two = match(call, a, b, true);
    const DType dt = two.a->dtype();
    const DType as = size_of(dt) == 2 ? i16 : size_of(dt) == 4 ? i32 : i64;
    // By the sign bit, so that zeros and NaN have their sign too.
    const UOp negative = lt(ir::bitcast(two.b, as), ir::constant_int(as, 0, two.b->shape()));
    const UOp magnitude = ir::unary(Op::Abs, two.a);
    return call.wrap(ir::where(negative, ir::unary(Op::Neg, magnitude), magnitude));
}

Tensor logaddexp(const Arg& a, const Arg& b) {
    Call call("logaddexp", a);
    const Two two = match(call, a, b, true);
    const UOp big = ir::binary(Op::Max, two.a, two.b);
    const UOp gap = ir::unary(Op::Neg, ir::unary(Op::Abs, sub(two.a, two.b)));
    // Equal infinities have no gap.
    const UOp same = ir::binary(Op::Eq, two.a, two.b);
    const UOp safe = ir::where(same, like(gap, 0), gap);
    return call.wrap(add(big, ir::unary(Op::Log1p, ir::unary(Op::Exp, safe))));
}

Tensor xlogy(const Arg& a, const Arg& b) {
    Call call("xlogy", a);
    const Two two = match(call, a, b, true);
    const UOp zero = like(two.a, 0);
    const UOp none_left =
        ir::binary(Op::And, ir::binary(Op::Eq, two.a, zero), ir::binary(Op::Eq, two.b, two.b));
    return call.wrap(ir::where(none_left, zero, mul(two.a, ir::unary(Op::Log, two.b))));
}

Tensor operator+(const Arg& a, const Arg& b) { return add(a, b); }
Tensor operator-(const Arg& a, const Arg& b) { return sub(a, b); }
Tensor operator*(const Arg& a, const Arg& b) { return mul(a, b); }
Tensor operator/(const Arg& a, const Arg& b) { return div(a, b); }
Tensor operator%(const Arg& a, const Arg& b) { return remainder(a, b); }
Tensor operator-(const Arg& x) { return neg(x); }

Tensor eq(const Arg& a, const Arg& b) { return binary("eq", Op::Eq, a, b); }
Tensor ne(const Arg& a, const Arg& b) { return binary("ne", Op::Ne, a, b); }
Tensor lt(const Arg& a, const Arg& b) { return binary("lt", Op::Lt, a, b); }
Tensor le(const Arg& a, const Arg& b) { return binary("le", Op::Le, a, b); }
Tensor gt(const Arg& a, const Arg& b) {
    Call call("gt", a);
    const Two two = match(call, a, b);
    return call.wrap(ir::binary(Op::Lt, two.b, two.a));
}
Tensor ge(const Arg& a, const Arg& b) {
    Call call("ge", a);
    const Two two = match(call, a, b);
    return call.wrap(ir::binary(Op::Le, two.b, two.a));
}
Tensor operator==(const Arg& a, const Arg& b) { return eq(a, b); }
Tensor operator!=(const Arg& a, const Arg& b) { return ne(a, b); }
Tensor operator<(const Arg& a, const Arg& b) { return lt(a, b); }
Tensor operator<=(const Arg& a, const Arg& b) { return le(a, b); }
Tensor operator>(const Arg& a, const Arg& b) { return gt(a, b); }
Tensor operator>=(const Arg& a, const Arg& b) { return ge(a, b); }

Tensor isclose(const Arg& a, const Arg& b, double rtol, double atol, bool equal_nan) {
    Call call("isclose", a);
    const Two two = match(call, a, b, true);
    const UOp gap = ir::unary(Op::Abs, sub(two.a, two.b));
    const UOp allowed = add(like(gap, atol), mul(like(gap, rtol), ir::unary(Op::Abs, two.b)));
    const UOp finite = lt(ir::unary(Op::Abs, two.b), like(gap, INFINITY));
    UOp close = ir::binary(Op::Or, ir::binary(Op::Eq, two.a, two.b),
                           ir::binary(Op::And, finite, ir::binary(Op::Le, gap, allowed)));
    if (equal_nan)
        close = ir::binary(Op::Or, close, ir::binary(Op::And, ne(two.a, two.a), ne(two.b, two.b)));
    return call.wrap(close);
}

bool allclose(const Arg& a, const Arg& b, double rtol, double atol, bool equal_nan) {
    Call call("allclose", a);
    return all(isclose(a, b, rtol, atol, equal_nan)).item<bool>();
}

bool equal(const Arg& a, const Arg& b) {
    Call call("equal", a);
    const UOp x = call.node(a), y = call.node(b);
    if (shape_of(x) != shape_of(y)) return false;
    return all(eq(a, b)).item<bool>();
}

Tensor logical_and(const Arg& a, const Arg& b) { return logical("logical_and", Op::And, a, b); }
Tensor logical_or(const Arg& a, const Arg& b) { return logical("logical_or", Op::Or, a, b); }
Tensor logical_xor(const Arg& a, const Arg& b) { return logical("logical_xor", Op::Xor, a, b); }
Tensor logical_not(const Arg& x) {
    Call call("logical_not", x);
    return call.wrap(ir::unary(Op::Not, ir::cast(call.node(x), boolean)));
}
Tensor bitwise_and(const Arg& a, const Arg& b) { return bitwise("bitwise_and", Op::And, a, b); }
Tensor bitwise_or(const Arg& a, const Arg& b) { return bitwise("bitwise_or", Op::Or, a, b); }
Tensor bitwise_xor(const Arg& a, const Arg& b) { return bitwise("bitwise_xor", Op::Xor, a, b); }
Tensor bitwise_not(const Arg& x) {
    Call call("bitwise_not", x);
    const UOp value = call.node(x);
    require_not_float(value);
    return call.wrap(ir::unary(Op::Not, value));
}
Tensor shift_left(const Arg& a, const Arg& b) { return shift("shift_left", Op::Shl, a, b); }
Tensor shift_right(const Arg& a, const Arg& b) { return shift("shift_right", Op::Shr, a, b); }
Tensor operator&(const Arg& a, const Arg& b) { return bitwise_and(a, b); }
Tensor operator|(const Arg& a, const Arg& b) { return bitwise_or(a, b); }
Tensor operator^(const Arg& a, const Arg& b) { return bitwise_xor(a, b); }
Tensor operator~(const Arg& x) { return bitwise_not(x); }
Tensor operator!(const Arg& x) { return logical_not(x); }
Tensor operator<<(const Tensor& a, const Arg& b) { return shift_left(Arg(a, b.where()), b); }
Tensor operator>>(const Tensor& a, const Arg& b) { return shift_right(Arg(a, b.where()), b); }

Tensor where(const Arg& condition, const Arg& a, const Arg& b) {
    Call call("where", condition);
    const UOp c = ir::cast(call.node(condition), boolean);
    const Two two = match(call, a, b);
    const ir::Shape shape = broadcast_shapes(c->shape(), two.a->shape());
    return call.wrap(
        ir::where(expand_to(c, shape), expand_to(two.a, shape), expand_to(two.b, shape)));
}

Tensor masked_fill(const Arg& x, const Arg& mask, const Arg& value) {
    Call call("masked_fill", x);
    const UOp base = call.node(x), m = ir::cast(call.node(mask), boolean);
    const UOp fill = value.tensor() == nullptr ? scalar_node(value.scalar(), base->dtype())
                                               : ir::cast(call.node(value), base->dtype());
    const ir::Shape shape =
        broadcast_shapes(broadcast_shapes(base->shape(), m->shape()), fill->shape());
    return call.wrap(
        ir::where(expand_to(m, shape), expand_to(fill, shape), expand_to(base, shape)));
}

Tensor clamp(const Arg& x, const std::optional<Arg>& low, const std::optional<Arg>& high) {
    Call call("clamp", x);
    if (!low && !high) fail<ValueError>("needs a lower or an upper bound");
    Tensor out = call.wrap(call.node(x));
    // At a bound the gradient is whole, not half as that of a tie; a bound that is NaN stays.
    if (low) out = where(ge(out, *low), out, maximum(out, *low));
    if (high) out = where(le(out, *high), out, minimum(out, *high));
    return out;
}

Tensor lerp(const Arg& a, const Arg& b, const Arg& weight) {
    Call call("lerp", a);
    return add(a, mul(weight, sub(b, a)));
}

Tensor nan_to_num(const Arg& x, double nan, std::optional<double> inf,
                  std::optional<double> negative_inf) {
    Call call("nan_to_num", x);
    const UOp value = call.node(x);
    if (!is_float(value->dtype())) return call.wrap(value);
    double largest = std::numeric_limits<double>::max();
    if (value->dtype() == f32) largest = std::numeric_limits<float>::max();
    if (value->dtype() == f16) largest = 65504;
    if (value->dtype() == bf16) largest = static_cast<double>(bf16_to_f32(0x7f7f));
    const UOp infinity = like(value, INFINITY);
    UOp out = ir::where(ne(value, value), like(value, nan), value);
    out = ir::where(ir::binary(Op::Eq, value, infinity), like(value, inf.value_or(largest)), out);
    return call.wrap(ir::where(ir::binary(Op::Eq, value, like(value, -INFINITY)),
                               like(value, negative_inf.value_or(-largest)), out));
}

namespace {

Tensor number_unary(std::string_view op, Op node, const Arg& x) {
    Call call(op, x);
    const UOp value = call.node(x);
    if (value->dtype() == boolean) fail<DTypeError>("is not defined for bool: cast first");
    return call.wrap(ir::unary(node, value));
}

}  // namespace

Tensor neg(const Arg& x) { return number_unary("neg", Op::Neg, x); }
Tensor abs(const Arg& x) { return number_unary("abs", Op::Abs, x); }
Tensor sign(const Arg& x) { return number_unary("sign", Op::Sign, x); }
Tensor square(const Arg& x) { return mul(x, x); }
Tensor floor(const Arg& x) { return rounding("floor", Op::Floor, x); }
Tensor ceil(const Arg& x) { return rounding("ceil", Op::Ceil, x); }
Tensor trunc(const Arg& x) { return rounding("trunc", Op::Trunc, x); }
Tensor round(const Arg& x) { return rounding("round", Op::Round, x); }
Tensor frac(const Arg& x) { return sub(x, trunc(x)); }

Tensor isnan(const Arg& x) {
    Call call("isnan", x);
    const UOp value = call.node(x);
    return call.wrap(is_float(value->dtype()) ? ne(value, value)
                                              : ir::constant_int(boolean, 0, value->shape()));
}
Tensor isinf(const Arg& x) {
    Call call("isinf", x);
    const UOp value = call.node(x);
    return call.wrap(is_float(value->dtype()) ? is_infinite(value)
                                              : ir::constant_int(boolean, 0, value->shape()));
}
Tensor isfinite(const Arg& x) {
    Call call("isfinite", x);
    const UOp value = call.node(x);
    return call.wrap(is_float(value->dtype()) ? lt(ir::unary(Op::Abs, value), like(value, INFINITY))
                                              : ir::constant_int(boolean, 1, value->shape()));
}

Tensor reciprocal(const Arg& x) { return float_unary("reciprocal", Op::Recip, x); }
Tensor sqrt(const Arg& x) { return float_unary("sqrt", Op::Sqrt, x); }
Tensor rsqrt(const Arg& x) {
    Call call("rsqrt", x);
    return call.wrap(ir::unary(Op::Recip, ir::unary(Op::Sqrt, call.float_node(x))));
}
Tensor exp(const Arg& x) { return float_unary("exp", Op::Exp, x); }
Tensor exp2(const Arg& x) { return float_unary("exp2", Op::Exp2, x); }
Tensor expm1(const Arg& x) { return float_unary("expm1", Op::Expm1, x); }
Tensor log(const Arg& x) { return float_unary("log", Op::Log, x); }
Tensor log2(const Arg& x) { return float_unary("log2", Op::Log2, x); }
Tensor log10(const Arg& x) {
    Call call("log10", x);
    const UOp value = call.float_node(x);
    return call.wrap(mul(ir::unary(Op::Log2, value),
                         like(value, std::numbers::ln2_v<double> / std::numbers::ln10_v<double>)));
}
Tensor log1p(const Arg& x) { return float_unary("log1p", Op::Log1p, x); }
Tensor sin(const Arg& x) { return float_unary("sin", Op::Sin, x); }
Tensor cos(const Arg& x) { return float_unary("cos", Op::Cos, x); }
Tensor tan(const Arg& x) { return float_unary("tan", Op::Tan, x); }
Tensor asin(const Arg& x) { return float_unary("asin", Op::Asin, x); }
Tensor acos(const Arg& x) { return float_unary("acos", Op::Acos, x); }
Tensor atan(const Arg& x) { return float_unary("atan", Op::Atan, x); }
Tensor sinh(const Arg& x) { return float_unary("sinh", Op::Sinh, x); }
Tensor cosh(const Arg& x) { return float_unary("cosh", Op::Cosh, x); }
Tensor tanh(const Arg& x) { return float_unary("tanh", Op::Tanh, x); }

Tensor asinh(const Arg& x) {
    Call call("asinh", x);
    // sign(x) * log1p(|x| + x² / (1 + sqrt(1 + x²))): no cancellation near 0; big |x|, whose square
    // overflows: log(2|x|).
    const UOp value = call.float_node(x), m = magnitude(value), one = like(value, 1);
    const UOp far = ir::binary(Op::Lt, like(value, 128), m);
    const UOp near = ir::where(far, one, m), square = mul(near, near);
    const UOp low = ir::unary(
        Op::Log1p, add(near, div(square, add(one, ir::unary(Op::Sqrt, add(one, square))))));
    // log(|x|) + log(2) + 1/(4x²)
    const UOp big = ir::where(far, m, one);
    const UOp tail = div(like(value, 0.25), big);
    const UOp high =
        add(add(ir::unary(Op::Log, big), like(value, std::numbers::ln2)), div(tail, big));
    const UOp length = ir::where(far, high, low);
    return call.wrap(ir::where(lt(value, like(value, 0)), ir::unary(Op::Neg, length), length));
}
Tensor acosh(const Arg& x) {
    Call call("acosh", x);
    // log1p(t + sqrt(t (t + 2))) with t = x - 1; where the square would overflow, log(2x).
    const UOp value = call.float_node(x), one = like(value, 1), t = sub(value, one);
    const UOp far = ir::binary(Op::Lt, like(value, 128), value);
    const UOp near = ir::where(far, one, t);
    const UOp low =
        ir::unary(Op::Log1p, add(near, ir::unary(Op::Sqrt, mul(near, add(near, like(value, 2))))));
    const UOp big = ir::where(far, value, one);
    const UOp tail = div(like(value, 0.25), big);
    const UOp high =
        sub(add(ir::unary(Op::Log, big), like(value, std::numbers::ln2)), div(tail, big));
    return call.wrap(ir::where(far, high, low));
}
Tensor atanh(const Arg& x) {
    Call call("atanh", x);
    // log1p(2x / (1 - x)) / 2
    const UOp value = call.float_node(x), m = magnitude(value);
    const UOp ratio = div(mul(like(value, 2), m), sub(like(value, 1), m));
    const UOp half = mul(like(value, 0.5), ir::unary(Op::Log1p, ratio));
    return call.wrap(ir::where(lt(value, like(value, 0)), ir::unary(Op::Neg, half), half));
}
Tensor erf(const Arg& x) { return float_unary("erf", Op::Erf, x); }
Tensor erfc(const Arg& x) { return sub(1, erf(x)); }
Tensor logit(const Arg& x) {
    Call call("logit", x);
    const UOp p = call.float_node(x);
    return call.wrap(sub(ir::unary(Op::Log, p), ir::unary(Op::Log1p, ir::unary(Op::Neg, p))));
}

Tensor cast(const Arg& x, DType dtype) {
    Call call("cast", x);
    return call.wrap(ir::cast(call.node(x), dtype));
}

Tensor bitcast(const Arg& x, DType dtype) {
    Call call("bitcast", x);
    const UOp value = call.node(x);
    if (size_of(value->dtype()) != size_of(dtype))
        fail<DTypeError>("elements of " + text(value) + " and of " + std::string(name(dtype)) +
                         " differ in size");
    return call.wrap(ir::bitcast(value, dtype));
}

}  // namespace sinter
