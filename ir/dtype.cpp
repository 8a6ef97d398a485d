#include <sinter/ir/dtype.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <ostream>

namespace sinter {
namespace {

template <class T>
constexpr std::int64_t low() {
    return std::numeric_limits<T>::min();
}
template <class T>
constexpr std::int64_t high() {
    return std::numeric_limits<T>::max();
}
constexpr std::int64_t kMin = low<std::int64_t>(), kMax = high<std::int64_t>();

constexpr std::array<DTypeInfo, kDTypeCount> kInfo = {{
    {"bool", 1, DTypeKind::Bool, 0, 1},
    {"i8", 1, DTypeKind::Signed, low<std::int8_t>(), high<std::int8_t>()},
    {"i16", 2, DTypeKind::Signed, low<std::int16_t>(), high<std::int16_t>()},
    {"i32", 4, DTypeKind::Signed, low<std::int32_t>(), high<std::int32_t>()},
    {"i64", 8, DTypeKind::Signed, kMin, kMax},
    {"u8", 1, DTypeKind::Unsigned, 0, high<std::uint8_t>()},
    {"u16", 2, DTypeKind::Unsigned, 0, high<std::uint16_t>()},
    {"u32", 4, DTypeKind::Unsigned, 0, high<std::uint32_t>()},
    {"u64", 8, DTypeKind::Unsigned, 0, kMax},
    {"f16", 2, DTypeKind::Float, 0, 0},
    {"bf16", 2, DTypeKind::Float, 0, 0},
    {"f32", 4, DTypeKind::Float, 0, 0},
    {"f64", 8, DTypeKind::Float, 0, 0},
    {"index", 8, DTypeKind::Signed, kMin, kMax},
    {"none", 0, DTypeKind::None, 0, 0},
}};

// Rows and columns in the order of DType, bool to f64.
constexpr DType B = DType::Bool, S1 = DType::I8, S2 = DType::I16, S4 = DType::I32, S8 = DType::I64,
                U1 = DType::U8, U2 = DType::U16, U4 = DType::U32, U8 = DType::U64, H = DType::F16,
                W = DType::BF16, F = DType::F32, D = DType::F64;
constexpr DType kPromote[13][13] = {
    // bool i8 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64
    {B, S1, S2, S4, S8, U1, U2, U4, U8, H, W, F, D},   // bool
    {S1, S1, S2, S4, S8, S2, S4, S8, F, H, W, F, D},   // i8
    {S2, S2, S2, S4, S8, S2, S4, S8, F, H, W, F, D},   // i16
    {S4, S4, S4, S4, S8, S4, S4, S8, F, H, W, F, D},   // i32
    {S8, S8, S8, S8, S8, S8, S8, S8, F, H, W, F, D},   // i64
    {U1, S2, S2, S4, S8, U1, U2, U4, U8, H, W, F, D},  // u8
    {U2, S4, S4, S4, S8, U2, U2, U4, U8, H, W, F, D},  // u16
    {U4, S8, S8, S8, S8, U4, U4, U4, U8, H, W, F, D},  // u32
    {U8, F, F, F, F, U8, U8, U8, U8, H, W, F, D},      // u64
    {H, H, H, H, H, H, H, H, H, H, F, F, D},           // f16
    {W, W, W, W, W, W, W, W, W, F, W, F, D},           // bf16
    {F, F, F, F, F, F, F, F, F, F, F, F, D},           // f32
    {D, D, D, D, D, D, D, D, D, D, D, D, D},           // f64
};

// Rounds a double to a float whose last bit is set when anything was lost ("round to odd"), so that
// a second rounding to a narrower type is as if done once.
float round_to_odd(double value) {
    const float nearest = static_cast<float>(value);
    if (!std::isfinite(nearest) || static_cast<double>(nearest) == value) {
        if (std::isinf(nearest) && std::isfinite(value))
            return std::copysign(std::numeric_limits<float>::max(), nearest);
        return nearest;
    }
    auto bits = std::bit_cast<std::uint32_t>(nearest);
    if (std::fabs(static_cast<double>(nearest)) > std::fabs(value))
        --bits;  // truncate towards zero
    return std::bit_cast<float>(bits | 1u);
}

}  // namespace

const DTypeInfo& info(DType dt) { return kInfo[static_cast<std::size_t>(dt)]; }

DType promote(DType a, DType b) { return kPromote[static_cast<int>(a)][static_cast<int>(b)]; }

DType accumulator_type(DType dt) { return dt == f16 || dt == bf16 ? f32 : dt; }

std::ostream& operator<<(std::ostream& os, DType dt) { return os << name(dt); }

float f16_to_f32(std::uint16_t bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u,
                        mantissa = bits & 1023u;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
    if (exponent == 0) {
        const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
        return sign != 0 ? -magnitude : magnitude;
    }
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

std::uint16_t f32_to_f16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)  // NaN: keep the top of the payload, quiet it
        return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x477ff000u)
        return static_cast<std::uint16_t>(sign | 0x7c00u);  // rounds to infinity
    if (magnitude < 0x38800000u) {  // subnormal or zero: let the FPU round at 2^-24
        const float scaled = std::bit_cast<float>(magnitude) + 0.5f;
        return static_cast<std::uint16_t>(sign |
                                          (std::bit_cast<std::uint32_t>(scaled) - 0x3f000000u));
    }
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

std::uint16_t f64_to_f16(double value) { return f32_to_f16(round_to_odd(value)); }

float bf16_to_f32(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t f32_to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

std::uint16_t f64_to_bf16(double value) { return f32_to_bf16(round_to_odd(value)); }

}  // namespace sinter
