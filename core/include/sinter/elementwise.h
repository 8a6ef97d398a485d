#pragma once
// Elementwise ops. Operands broadcast as in NumPy and promote by the one promotion table; numbers
// are weakly typed (arg.h). NaN and infinities propagate; integers wrap. "float op": integer and
// bool operands become f32.

#include <optional>

#include <sinter/tensor.h>

namespace sinter {

// --- arithmetic. bool operands count as 0 and 1 and become i64 where noted.
Tensor add(const Arg& a, const Arg& b);  ///< of two bools: or
Tensor sub(const Arg& a, const Arg& b);  ///< not of bools (DTypeError)
Tensor mul(const Arg& a, const Arg& b);  ///< of two bools: and
/// True division: a float op.
Tensor div(const Arg& a, const Arg& b);
/// Quotient rounded down; integers: x / 0 is 0.
Tensor floor_divide(const Arg& a, const Arg& b);
/// a - b * floor(a / b), with the sign of b; integers: x % 0 is x.
Tensor remainder(const Arg& a, const Arg& b);
/// a - b * trunc(a / b), with the sign of a.
Tensor fmod(const Arg& a, const Arg& b);
/// Integers to a number power: a power below 0 is a ValueError. Otherwise a float op unless both
/// are integers; powers of integer tensors are 0 where the exponent is negative (but ±1 of ±1).
Tensor pow(const Arg& a, const Arg& b);
Tensor maximum(const Arg& a, const Arg& b);  ///< NaN if either is
Tensor minimum(const Arg& a, const Arg& b);  ///< NaN if either is
Tensor fmax(const Arg& a, const Arg& b);     ///< the other operand where one is NaN
Tensor fmin(const Arg& a, const Arg& b);     ///< the other operand where one is NaN
Tensor atan2(const Arg& a, const Arg& b);
Tensor hypot(const Arg& a, const Arg& b);
Tensor copysign(const Arg& a, const Arg& b);
Tensor logaddexp(const Arg& a, const Arg& b);
Tensor xlogy(const Arg& a, const Arg& b);  ///< a * log(b), 0 where a is 0 (and b is not NaN)

Tensor operator+(const Arg& a, const Arg& b);
Tensor operator-(const Arg& a, const Arg& b);
Tensor operator*(const Arg& a, const Arg& b);
Tensor operator/(const Arg& a, const Arg& b);
Tensor operator%(const Arg& a, const Arg& b);  ///< remainder
Tensor operator-(const Arg& x);

// --- comparisons: bool results; NaN is unequal to all and neither less nor greater
Tensor eq(const Arg& a, const Arg& b);
Tensor ne(const Arg& a, const Arg& b);
Tensor lt(const Arg& a, const Arg& b);
Tensor le(const Arg& a, const Arg& b);
Tensor gt(const Arg& a, const Arg& b);
Tensor ge(const Arg& a, const Arg& b);
Tensor operator==(const Arg& a, const Arg& b);
Tensor operator!=(const Arg& a, const Arg& b);
Tensor operator<(const Arg& a, const Arg& b);
Tensor operator<=(const Arg& a, const Arg& b);
Tensor operator>(const Arg& a, const Arg& b);
Tensor operator>=(const Arg& a, const Arg& b);
/// |a - b| <= atol + rtol * |b|; infinities are close to themselves, NaN to NaN if `equal_nan`.
Tensor isclose(const Arg& a, const Arg& b, double rtol = 1e-5, double atol = 1e-8,
               bool equal_nan = false);
/// Runs: whether all elements are close.
bool allclose(const Arg& a, const Arg& b, double rtol = 1e-5, double atol = 1e-8,
              bool equal_nan = false);
/// Runs: whether shapes and all elements are equal.
bool equal(const Arg& a, const Arg& b);

// --- logic: operands are taken as "!= 0"
Tensor logical_and(const Arg& a, const Arg& b);
Tensor logical_or(const Arg& a, const Arg& b);
Tensor logical_xor(const Arg& a, const Arg& b);
Tensor logical_not(const Arg& x);
// Bitwise, of integers and bool. Shifts by less than 0 or by the width and more give 0 (>> of a
// negative number: -1).
Tensor bitwise_and(const Arg& a, const Arg& b);
Tensor bitwise_or(const Arg& a, const Arg& b);
Tensor bitwise_xor(const Arg& a, const Arg& b);
Tensor bitwise_not(const Arg& x);
Tensor shift_left(const Arg& a, const Arg& b);
Tensor shift_right(const Arg& a, const Arg& b);
Tensor operator&(const Arg& a, const Arg& b);
Tensor operator|(const Arg& a, const Arg& b);
Tensor operator^(const Arg& a, const Arg& b);
Tensor operator~(const Arg& x);
Tensor operator!(const Arg& x);
Tensor operator<<(const Tensor& a, const Arg& b);
Tensor operator>>(const Tensor& a, const Arg& b);

/// a where `condition` (bool, or "!= 0"), else b.
Tensor where(const Arg& condition, const Arg& a, const Arg& b);
Tensor masked_fill(const Arg& x, const Arg& mask, const Arg& value);
/// min(max(x, low), high), NaN stays. At least one bound is needed (ValueError).
Tensor clamp(const Arg& x, const std::optional<Arg>& low, const std::optional<Arg>& high);
/// a + weight * (b - a).
Tensor lerp(const Arg& a, const Arg& b, const Arg& weight);
Tensor nan_to_num(const Arg& x, double nan = 0, std::optional<double> inf = std::nullopt,
                  std::optional<double> negative_inf = std::nullopt);

// --- of any number
Tensor neg(const Arg& x);
Tensor abs(const Arg& x);
Tensor sign(const Arg& x);
Tensor square(const Arg& x);
// Rounding leaves integers as they are.
Tensor floor(const Arg& x);
Tensor ceil(const Arg& x);
Tensor trunc(const Arg& x);
Tensor round(const Arg& x);  ///< half to even
Tensor frac(const Arg& x);
// bool results
Tensor isnan(const Arg& x);
Tensor isinf(const Arg& x);
Tensor isfinite(const Arg& x);

// --- float ops
Tensor reciprocal(const Arg& x);
Tensor sqrt(const Arg& x);
Tensor rsqrt(const Arg& x);
Tensor exp(const Arg& x);
Tensor exp2(const Arg& x);
Tensor expm1(const Arg& x);
Tensor log(const Arg& x);
Tensor log2(const Arg& x);
Tensor log10(const Arg& x);
Tensor log1p(const Arg& x);
Tensor sin(const Arg& x);
Tensor cos(const Arg& x);
Tensor tan(const Arg& x);
Tensor asin(const Arg& x);
Tensor acos(const Arg& x);
Tensor atan(const Arg& x);
Tensor sinh(const Arg& x);
Tensor cosh(const Arg& x);
Tensor tanh(const Arg& x);
Tensor asinh(const Arg& x);
Tensor acosh(const Arg& x);
Tensor atanh(const Arg& x);
Tensor erf(const Arg& x);
Tensor erfc(const Arg& x);
/// log(p / (1 - p)).
Tensor logit(const Arg& x);

// --- dtype
/// Float to integer truncates and saturates, NaN gives 0; anything to bool is "!= 0".
Tensor cast(const Arg& x, DType dtype);
/// The same bits as another dtype of the same size (DTypeError).
Tensor bitcast(const Arg& x, DType dtype);

}  // namespace sinter
