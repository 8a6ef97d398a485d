// Casts with the documented results (docs/ir.md) in terms of the machine's.

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

bool is_16_bit_float(DType dt) { return dt == DType::F16 || dt == DType::BF16; }

Value f16_to_f32(Value x) {
    if (x.context().target.native_f16) return x.cast_to(DType::F32);
    const Value bits = x.bitcast(DType::U16).cast_to(DType::U32).bitcast(DType::I32);
    const Value sign = (bits & bits.like_bits(0x8000)).shl(16);
    // Exponent and mantissa in their place; the product moves the bias by 112 and makes subnormals
    // normal.
    const Value size = (bits & bits.like_bits(0x7fff)).shl(13);
    const Value scaled = to_bits(size.bitcast(DType::F32) * 0x1p112);
    const Value is_special = size.like_bits(0x0f800000) <= size;  // inf and NaN
    return (where(is_special, size | size.like_bits(0x7f800000), scaled) | sign)
        .bitcast(DType::F32);
}

Value bf16_to_f32(Value x) {
    return x.bitcast(DType::U16).cast_to(DType::U32).shl(16).bitcast(DType::F32);
}

Value f32_to_f16(Value x) {
    if (x.context().target.native_f16) return x.cast_to(DType::F16);
    const Value bits = to_bits(x);
    const Value sign =
        bits.bitcast(DType::U32).shr(16).bitcast(DType::I32) & bits.like_bits(0x8000);
    const Value size = bits & bits.like_bits(0x7fffffff);
    const auto constant = [&](std::int64_t value) { return bits.like_bits(value); };
    // Half to even: half a unit of the last place kept, less one if that place is even.
    const Value rounded = size + constant(0xfff) + (size.shr(13) & constant(1));
    const Value normal = (rounded - constant(0x38000000)).shr(13);
    // Below 2^-14 the sum with 1/2 rounds at 2^-24, the smallest f16.
    const Value small = to_bits(size.bitcast(DType::F32) + 0.5) - constant(0x3f000000);
    const Value nan = (size.shr(13) & constant(0x3ff)) | constant(0x7e00);
    Value result = where(size < constant(0x38800000), small, normal);
    result = where(size < constant(0x477ff000), result, constant(0x7c00));
    result = where(constant(0x7f800000) < size, nan, result);
    return (result | sign).cast_to(DType::U16).bitcast(DType::F16);
}

Value f32_to_bf16(Value x) {
    const Value bits = x.bitcast(DType::U32);
    const auto constant = [&](std::int64_t value) { return bits.like_bits(value); };
    const Value rounded = bits + constant(0x7fff) + (bits.shr(16) & constant(1));
    const Value result = where(is_nan(x), bits | constant(0x400000), rounded);
    return result.shr(16).cast_to(DType::U16).bitcast(DType::BF16);
}

// f32 whose last bit is set if anything was lost ("rounding to odd"): rounding that to 16 bits is
// as rounding once, since f32 has more than two bits more (Boldo and Melquiond, Emulation of FMA
// and correctly rounded sums, 2008).
Value round_to_odd(Value x) {
    const Value nearest = x.cast_to(DType::F32);
    const Value back = nearest.cast_to(DType::F64);
    const Value bits = to_bits(nearest);
    const Value one = bits.like_bits(1);
    const Value truncated = where(abs(x) < abs(back), bits - one, bits);
    return where(back == x, bits, truncated | one).bitcast(DType::F32);
}

Value to_16_bits(Value x, DType to) { return to == DType::F16 ? f32_to_f16(x) : f32_to_bf16(x); }

// An integer as f32 or f64 such that rounding that to 16 bits is as rounding once.
Value integer_for_16_bits(Value x) {
    if (size_of(x.dtype()) <= 2) return x.cast_to(DType::F32);
    if (size_of(x.dtype()) == 4) return round_to_odd(x.cast_to(DType::F64));
    // 52 bits and one that says whether anything is below: exact in f64.
    const Value below = x & x.like_bits(0xfff);
    const Value sticky = (x ^ below) | x.like_bits(0x800);
    // Up to 2^52 everything is exact as it is.
    const Value top = is_unsigned(x.dtype()) ? x.shr(52) : x.shr(52) ^ x.shr(63);
    const Value exact = (top == x.like_bits(0)) | (below == x.like_bits(0));
    return round_to_odd(where(exact, x, sticky).cast_to(DType::F64));
}

struct Bounds {
    double low;   // smallest value of the type
    double high;  // one more than the largest
};

Bounds bounds_of(DType dt) {
    const int width = static_cast<int>(8 * size_of(dt));
    const auto power = [](int n) {
        return std::bit_cast<double>(static_cast<std::uint64_t>(1023 + n) << 52);
    };
    return is_unsigned(dt) ? Bounds{0.0, power(width)}
                           : Bounds{-power(width - 1), power(width - 1)};
}

// Truncates, saturates, NaN -> 0.
Value float_to_integer(Value x, DType to) {
    const Bounds bounds = bounds_of(to);
    if (size_of(to) <= 2) {  // both bounds are exact in f32, and an i32 holds the result
        const Value bounded = at_least(at_most(x, bounds.high - 1.0), bounds.low);
        return where(is_nan(x), 0.0, bounded).cast_in_range(DType::I32).cast_to(to);
    }
    const Value in_range = (x.like(bounds.low) <= x) & (x < bounds.high);
    const Value inside = where(in_range, x, 0.0).cast_in_range(to);
    const std::int64_t lowest = is_unsigned(to) ? 0 : ir::wrap_int(to, sign_bit(to));
    const Value low = inside.like_bits(lowest),
                high = inside.like_bits(is_unsigned(to) ? -1 : ~lowest);
    // Out of range is 0 so far, which NaN keeps.
    const Value result = where(x >= bounds.high, high, inside);
    return is_unsigned(to) ? result : where(x < bounds.low, low, result);
}

}  // namespace

Value cast(Value x, DType to) {
    const DType from = x.dtype();
    if (from == to) return x;
    if (from == DType::Bool) {
        ir::Arena& arena = x.context().arena;
        return where(x, Value(x.context(), arena.constant(to, 1)),
                     Value(x.context(), arena.constant(to, 0)));
    }
    if (is_16_bit_float(from)) {
        const Value wide = from == DType::F16 ? f16_to_f32(x) : bf16_to_f32(x);
        return to == DType::F32 ? wide : cast(wide, to);
    }
    if (to == DType::Bool) return is_float(from) ? x != 0.0 : x != x.like_bits(0);
    if (is_16_bit_float(to)) {
        if (from == DType::F32) return to_16_bits(x, to);
        return to_16_bits(from == DType::F64 ? round_to_odd(x) : integer_for_16_bits(x), to);
    }
    if (is_float(from) && !is_float(to)) return float_to_integer(x, to);
    return x.cast_to(to);
}

}  // namespace sinter::codegen::math
