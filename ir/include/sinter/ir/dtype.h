#pragma once
// Element types and the one promotion table.

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string_view>

namespace sinter {

/// Element type of a tensor. `Index` and `None` exist inside kernels only: the type of index
/// arithmetic (64-bit signed) and of nodes that have an effect but no value.
enum class DType : std::uint8_t {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F16,
    BF16,
    F32,
    F64,
    Index,
    None,
};

inline constexpr int kDTypeCount = 15;

inline constexpr DType boolean = DType::Bool, i8 = DType::I8, i16 = DType::I16, i32 = DType::I32,
                       i64 = DType::I64, u8 = DType::U8, u16 = DType::U16, u32 = DType::U32,
                       u64 = DType::U64, f16 = DType::F16, bf16 = DType::BF16, f32 = DType::F32,
                       f64 = DType::F64;

enum class DTypeKind : std::uint8_t { Bool, Signed, Unsigned, Float, None };

/// One row a type; indexed by DType.
struct DTypeInfo {
    std::string_view name;  ///< as printed: "f32"
    std::uint8_t bytes;     ///< size of an element in memory
    DTypeKind kind;
    std::int64_t min, max;  ///< range of integer types (u64: max saturates at the largest int64)
};

const DTypeInfo& info(DType dt);

inline std::string_view name(DType dt) { return info(dt).name; }
inline std::size_t size_of(DType dt) { return info(dt).bytes; }
inline bool is_float(DType dt) { return info(dt).kind == DTypeKind::Float; }
inline bool is_unsigned(DType dt) { return info(dt).kind == DTypeKind::Unsigned; }
inline bool is_signed_int(DType dt) { return info(dt).kind == DTypeKind::Signed; }
inline bool is_integer(DType dt) { return is_unsigned(dt) || is_signed_int(dt); }

/// The type in which `a op b` is computed, by the lattice of JAX/PyTorch: bool < u8..u64, i8..i64 <
/// f16, bf16 < f32 < f64; mixed signs go to the next wider signed type, u64 with a signed type to
/// f32, f16 with bf16 to f32.
DType promote(DType a, DType b);

/// The type that sums of `dt` are carried in: f32 for 16-bit floats, else `dt` itself.
DType accumulator_type(DType dt);

std::ostream& operator<<(std::ostream& os, DType dt);

// Bit conversions shared by constants, REF and readers of files; round to nearest even, NaN stays
// NaN.
float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);
std::uint16_t f64_to_f16(double value);
float bf16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_bf16(float value);
std::uint16_t f64_to_bf16(double value);

/// C++ type of an element -> DType; 16-bit floats have no C++ type of their own.
template <class T>
struct DTypeOf;
template <>
struct DTypeOf<bool> {
    static constexpr DType value = boolean;
};
template <>
struct DTypeOf<std::int8_t> {
    static constexpr DType value = i8;
};
template <>
struct DTypeOf<std::int16_t> {
    static constexpr DType value = i16;
};
template <>
struct DTypeOf<std::int32_t> {
    static constexpr DType value = i32;
};
template <>
struct DTypeOf<std::int64_t> {
    static constexpr DType value = i64;
};
template <>
struct DTypeOf<std::uint8_t> {
    static constexpr DType value = u8;
};
template <>
struct DTypeOf<std::uint16_t> {
    static constexpr DType value = u16;
};
template <>
struct DTypeOf<std::uint32_t> {
    static constexpr DType value = u32;
};
template <>
struct DTypeOf<std::uint64_t> {
    static constexpr DType value = u64;
};
template <>
struct DTypeOf<float> {
    static constexpr DType value = f32;
};
template <>
struct DTypeOf<double> {
    static constexpr DType value = f64;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace sinter
