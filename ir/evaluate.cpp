#include <sinter/ir/evaluate.h>

#include <array>
#include <bit>
#include <cmath>

#include <sinter/ir/affine.h>

namespace sinter::ir {
namespace {

using Bits = std::optional<std::int64_t>;

// The type an op is computed in: f32 for 16-bit floats.
double in_compute_type(DType dt, double v) {
    return dt == f64 ? v : static_cast<double>(static_cast<float>(v));
}

Bits float_result(DType dt, double v) { return round_bits(dt, in_compute_type(dt, v)); }

// A double holds the exact sum, product or quotient of two f32 well enough for one more rounding to
// be harmless (Figueroa, "When is double rounding innocuous?", 1995: p >= 2q + 2), and likewise
// sqrt.
Bits float_binary(Op op, DType dt, double a, double b) {
    switch (op) {
        case Op::Add:
            return float_result(dt, a + b);
        case Op::Sub:
            return float_result(dt, a - b);
        case Op::Mul:
            return float_result(dt, a * b);
        case Op::Div:
            return float_result(dt, a / b);
        case Op::Max:
        case Op::Min:
            if (std::isnan(a) || std::isnan(b)) return const_bits(std::nan(""));
            if (a == b) return const_bits(a) == const_bits(b) ? Bits(const_bits(a)) : std::nullopt;
            return const_bits((a < b) == (op == Op::Min) ? a : b);
        case Op::Lt:
            return a < b;
        case Op::Le:
            return a <= b;
        case Op::Eq:
            return a == b;
        case Op::Ne:
            return a != b;
        default:
            return std::nullopt;
    }
}

Bits float_unary(Op op, DType dt, double a) {
    switch (op) {
        case Op::Neg:
            return const_bits(-a);
        case Op::Abs:
            return const_bits(std::fabs(a));
        case Op::Sign:
            return const_bits(std::isnan(a) ? a : a > 0 ? 1.0 : a < 0 ? -1.0 : 0.0);
        case Op::Floor:
            return const_bits(std::floor(a));
        case Op::Ceil:
            return const_bits(std::ceil(a));
        case Op::Trunc:
            return const_bits(std::trunc(a));
        case Op::Round:
            return const_bits(std::nearbyint(a));
        case Op::Recip:
            return float_result(dt, 1.0 / a);
        case Op::Sqrt:
            return float_result(dt, std::sqrt(a));
        default:
            return std::nullopt;
    }
}

std::int64_t shift(Op op, DType dt, std::int64_t a, std::int64_t by) {
    const std::int64_t width = dt == DType::Bool ? 1 : static_cast<std::int64_t>(size_of(dt)) * 8;
    const bool is_signed = !is_unsigned(dt);
    if (by < 0 || by >= width) return op == Op::Shr && is_signed && a < 0 ? -1 : 0;
    if (op == Op::Shl) return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) << by);
    return is_signed ? a >> by : static_cast<std::int64_t>(static_cast<std::uint64_t>(a) >> by);
}

bool int_less(DType dt, std::int64_t a, std::int64_t b) {
    return dt == u64 ? static_cast<std::uint64_t>(a) < static_cast<std::uint64_t>(b) : a < b;
}

Bits int_binary(Op op, DType dt, std::int64_t a, std::int64_t b) {
    const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
    const auto wrapped = [&](std::uint64_t v) {
        return wrap_int(dt, static_cast<std::int64_t>(v));
    };
    switch (op) {
        case Op::Add:
            return wrapped(x + y);
        case Op::Sub:
            return wrapped(x - y);
        case Op::Mul:
            return wrapped(x * y);
        case Op::IDiv:
            if (dt == u64) return y == 0 ? 0 : static_cast<std::int64_t>(x / y);
            return wrap_int(dt, floor_div(a, b));
        case Op::Mod:
            if (dt == u64) return y == 0 ? a : static_cast<std::int64_t>(x % y);
            return wrap_int(dt, floor_mod(a, b));
        case Op::Max:
            return int_less(dt, a, b) ? b : a;
        case Op::Min:
            return int_less(dt, b, a) ? b : a;
        case Op::And:
            return a & b;
        case Op::Or:
            return a | b;
        case Op::Xor:
            return a ^ b;
        case Op::Shl:
        case Op::Shr:
            return wrap_int(dt, shift(op, dt, a, b));
        case Op::Lt:
            return int_less(dt, a, b);
        case Op::Le:
            return !int_less(dt, b, a);
        case Op::Eq:
            return a == b;
        case Op::Ne:
            return a != b;
        default:
            return std::nullopt;
    }
}

Bits int_unary(Op op, DType dt, std::int64_t a) {
    const std::int64_t minus = static_cast<std::int64_t>(-static_cast<std::uint64_t>(a));
    switch (op) {
        case Op::Neg:
            return wrap_int(dt, minus);
        case Op::Not:
            return dt == DType::Bool ? static_cast<std::int64_t>(a == 0) : wrap_int(dt, ~a);
        case Op::Abs:
            return is_unsigned(dt) || a >= 0 ? a : wrap_int(dt, minus);
        case Op::Sign:
            return dt == u64 ? static_cast<std::int64_t>(a != 0)
                             : static_cast<std::int64_t>((a > 0) - (a < 0));
        default:
            return std::nullopt;
    }
}

Bits cast(DType to, ConstValue x) {
    if (is_float(x.dtype)) return round_bits(to, const_double(x.bits));
    if (!is_float(to)) return wrap_int(to, x.bits);
    const auto u = static_cast<std::uint64_t>(x.bits);
    if (to == f64)
        return const_bits(x.dtype == u64 ? static_cast<double>(u) : static_cast<double>(x.bits));
    const float once = x.dtype == u64 ? static_cast<float>(u) : static_cast<float>(x.bits);
    // By way of f32 a wide integer would be rounded twice.
    const bool exact = x.dtype == u64 ? once < 0x1p64f && static_cast<std::uint64_t>(once) == u
                                      : once < 0x1p63f && static_cast<std::int64_t>(once) == x.bits;
    if (to == bf16 && !exact) return std::nullopt;
    return round_bits(to, static_cast<double>(once));
}

std::uint64_t element_bits(ConstValue x) {
    const double v = const_double(x.bits);
    switch (x.dtype) {
        case DType::F16:
            return f64_to_f16(v);
        case DType::BF16:
            return f64_to_bf16(v);
        case DType::F32:
            return std::bit_cast<std::uint32_t>(static_cast<float>(v));
        default:
            return static_cast<std::uint64_t>(x.bits);
    }
}

Bits bitcast(DType to, ConstValue x) {
    const std::uint64_t bits = element_bits(x);
    double v = 0;
    switch (to) {
        case DType::F16:
            v = f16_to_f32(static_cast<std::uint16_t>(bits));
            break;
        case DType::BF16:
            v = bf16_to_f32(static_cast<std::uint16_t>(bits));
            break;
        case DType::F32:
            v = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
            break;
        case DType::F64:
            v = std::bit_cast<double>(bits);
            break;
        default:
            return wrap_int(to, static_cast<std::int64_t>(bits));
    }
    if (std::isnan(v)) return std::nullopt;
    return const_bits(v);
}

}  // namespace

Bits evaluate(Op op, DType dtype, std::span<const ConstValue> src) {
    if (src.empty() || !is_elementwise(op)) return std::nullopt;
    if (op == Op::Where) return src[0].bits != 0 ? src[1].bits : src[2].bits;
    if (op == Op::Cast) return cast(dtype, src[0]);
    const DType dt = src[0].dtype;
    if (op == Op::Bitcast) {
        if (is_float(dt) && std::isnan(const_double(src[0].bits))) return std::nullopt;
        return bitcast(dtype, src[0]);
    }
    if (is_float(dt)) {
        const double a = const_double(src[0].bits);
        return src.size() == 1 ? float_unary(op, dt, a)
                               : float_binary(op, dt, a, const_double(src[1].bits));
    }
    return src.size() == 1 ? int_unary(op, dt, src[0].bits)
                           : int_binary(op, dt, src[0].bits, src[1].bits);
}

Bits evaluate(Op op, DType dtype, std::span<const Ref> constants) {
    std::array<ConstValue, 3> src{};
    if (constants.size() > src.size()) return std::nullopt;
    for (std::size_t i = 0; i < constants.size(); ++i)
        src[i] = {constants[i]->dtype(), constants[i]->arg(0)};
    return evaluate(op, dtype, std::span<const ConstValue>(src.data(), constants.size()));
}

bool holds_exactly(DType to, DType from) {
    if (to == from || from == DType::Bool) return to != DType::None;
    if (to == DType::Bool || from == DType::None || to == DType::None) return false;
    // Bits of the significand, the sign apart.
    const auto digits = [](DType dt) {
        switch (dt) {
            case DType::F16:
                return 11;
            case DType::BF16:
                return 8;
            case DType::F32:
                return 24;
            case DType::F64:
                return 53;
            default:
                return static_cast<int>(size_of(dt)) * 8 - (is_unsigned(dt) ? 0 : 1);
        }
    };
    if (is_float(from)) {
        if (!is_float(to)) return false;
        return to == f64 || (to == f32 && from != f64);  // f16 and bf16 do not hold one another
    }
    if (is_float(to)) return digits(to) >= digits(from) && !(to == f16 && digits(from) > 11);
    if (is_unsigned(to)) return is_unsigned(from) && digits(to) >= digits(from);
    return digits(to) >= digits(from);
}

}  // namespace sinter::ir
