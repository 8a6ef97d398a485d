// Integer ops whose documented result differs from, or is undefined for, the machine's instruction.

#include <bit>

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

bool is_constant(Value x) { return x.node()->is(Op::Const); }
std::int64_t constant_of(Value x) { return x.node()->arg(0); }
int width_of(Value x) { return static_cast<int>(8 * size_of(x.dtype())); }
Value zero_of(Value x) { return x.like_bits(0); }

DType unsigned_type(DType dt) {
    switch (size_of(dt)) {
        case 1:
            return DType::U8;
        case 2:
            return DType::U16;
        case 4:
            return DType::U32;
        default:
            return DType::U64;
    }
}

// a / b truncated; b is not 0 and not -1. No vector unit divides integers: a quotient of floats
// with twice the bits is less than 1/b away from the true one only when truncating it is right.
Value truncated_quotient(Value a, Value b) {
    if (is_constant(b) || size_of(a.dtype()) == 8) return a.make(Op::IDiv, b, kInRange);
    const DType real = size_of(a.dtype()) == 4 ? DType::F64 : DType::F32;
    const Value quotient = a.cast_to(real) / b.cast_to(real);
    return size_of(a.dtype()) == 4 ? quotient.cast_in_range(a.dtype())
                                   : quotient.cast_in_range(DType::I32).cast_to(a.dtype());
}

struct Division {
    Value quotient, remainder;  // floored
};

// b is not 0 and not -1.
Division floored(Value a, Value b) {
    const Value q = truncated_quotient(a, b);
    const Value r = a - q * b;
    if (is_unsigned(a.dtype())) return {q, r};
    const Value zero = zero_of(a);
    const Value off = (r != zero) & ((r ^ b) < zero);
    return {where(off, q - q.like_bits(1), q), where(off, r + b, r)};
}

// The exponent if b is a positive power of two, else -1.
int power_of_two(Value b) {
    if (!is_constant(b) || constant_of(b) <= 0) return -1;
    const auto bits = static_cast<std::uint64_t>(constant_of(b));
    return std::has_single_bit(bits) ? std::countr_zero(bits) : -1;
}

}  // namespace

Value floor_divide(Value a, Value b) {
    const Value zero = zero_of(a);
    if (const int n = power_of_two(b); n >= 0) return a.shr(n);
    if (is_constant(b)) {
        if (constant_of(b) == 0) return zero;
        if (constant_of(b) == -1 && !is_unsigned(a.dtype())) return -a;
        return floored(a, b).quotient;
    }
    const Value by_zero = b == zero;
    if (is_unsigned(a.dtype())) {
        return where(by_zero, zero, floored(a, where(by_zero, b.like_bits(1), b)).quotient);
    }
    const Value by_minus_one = b == b.like_bits(-1);
    const Value safe = where(by_zero | by_minus_one, b.like_bits(1), b);
    return where(by_zero, zero, where(by_minus_one, -a, floored(a, safe).quotient));
}

Value floor_modulo(Value a, Value b) {
    const Value zero = zero_of(a);
    if (power_of_two(b) >= 0) return a & b.like_bits(constant_of(b) - 1);
    if (is_constant(b)) {
        if (constant_of(b) == 0) return a;
        if (constant_of(b) == -1 && !is_unsigned(a.dtype())) return zero;
        return floored(a, b).remainder;
    }
    const Value by_zero = b == zero;
    if (is_unsigned(a.dtype())) {
        return where(by_zero, a, floored(a, where(by_zero, b.like_bits(1), b)).remainder);
    }
    // x mod -1 = x mod 1 = 0
    const Value safe = where(by_zero | (b == b.like_bits(-1)), b.like_bits(1), b);
    return where(by_zero, a, floored(a, safe).remainder);
}

Value shift_left(Value x, Value n) {
    const int width = width_of(x);
    if (is_constant(n)) {
        const std::int64_t amount = constant_of(n);
        return amount >= 0 && amount < width ? x.shl(static_cast<int>(amount)) : zero_of(x);
    }
    const Value amount = n.bitcast(unsigned_type(n.dtype()));
    const Value fits = amount < amount.like_bits(width);
    return where(fits, x.make(Op::Shl, where(fits, n, zero_of(n)), kInRange), zero_of(x));
}

Value shift_right(Value x, Value n) {
    const int width = width_of(x);
    const bool fills = !is_unsigned(x.dtype());  // with the sign
    if (is_constant(n)) {
        const std::int64_t amount = constant_of(n);
        if (amount >= 0 && amount < width) return x.shr(static_cast<int>(amount));
        return fills ? x.shr(width - 1) : zero_of(x);
    }
    const Value amount = n.bitcast(unsigned_type(n.dtype()));
    const Value fits = amount < amount.like_bits(width);
    const Value safe = where(fits, n, n.like_bits(fills ? width - 1 : 0));
    const Value shifted = x.make(Op::Shr, safe, kInRange);
    return fills ? shifted : where(fits, shifted, zero_of(x));
}

Value integer_abs(Value x) { return is_unsigned(x.dtype()) ? x : where(x < zero_of(x), -x, x); }

Value integer_sign(Value x) {
    const Value zero = zero_of(x), one = x.like_bits(1);
    const Value not_positive =
        is_unsigned(x.dtype()) ? zero : where(x < zero, x.like_bits(-1), zero);
    return where(zero < x, one, not_positive);
}

Value integer_maximum(Value a, Value b) { return where(b < a, a, b); }
Value integer_minimum(Value a, Value b) { return where(a < b, a, b); }

}  // namespace sinter::codegen::math
