#pragma once
// Elements as they lie in memory, the type each is computed in, and dispatch from DType to C++
// type.

#include <sinter/ir/dtype.h>
#include <sinter/ir/error.h>

#include <cstdint>
#include <string>
#include <type_traits>

namespace sinter::runtime::ref {

// Types in memory that C++ lacks. A bool is a struct because memory may hold bytes other than 0
// and 1.
struct Bool {
    std::uint8_t bits;
};
struct Half {
    std::uint16_t bits;
};
struct BFloat {
    std::uint16_t bits;
};

template <class E>
inline constexpr bool is_bool_element = std::is_same_v<E, Bool>;
template <class E>
inline constexpr bool is_float_element =
    std::is_same_v<E, Half> || std::is_same_v<E, BFloat> || std::is_floating_point_v<E>;
template <class E>
inline constexpr bool is_int_element = std::is_integral_v<E>;

/// What an element is computed in: bool, the integer itself, or double for every float.
template <class E>
using Compute = std::conditional_t<is_bool_element<E>, bool,
                                   std::conditional_t<is_float_element<E>, double, E>>;

/// What sums and products of an element are carried in: integers wrap in their own type.
template <class E>
using Carry = std::conditional_t<std::is_same_v<E, double>, long double, Compute<E>>;

inline bool load(Bool e) { return e.bits != 0; }
inline double load(Half e) { return static_cast<double>(f16_to_f32(e.bits)); }
inline double load(BFloat e) { return static_cast<double>(bf16_to_f32(e.bits)); }
inline double load(float e) { return static_cast<double>(e); }
inline double load(double e) { return e; }
template <class E>
    requires is_int_element<E>
E load(E e) {
    return e;
}

/// Rounds a computed value to the element, once.
template <class E>
E store(Compute<E> value) {
    if constexpr (is_bool_element<E>) {
        return Bool{static_cast<std::uint8_t>(value)};
    } else if constexpr (std::is_same_v<E, Half>) {
        return Half{f64_to_f16(value)};
    } else if constexpr (std::is_same_v<E, BFloat>) {
        return BFloat{f64_to_bf16(value)};
    } else {
        return static_cast<E>(value);
    }
}

/// Calls `f.template operator()<E>()` for the element type of `dt`.
template <class F>
decltype(auto) with_element(DType dt, F&& f) {
    switch (dt) {
        case DType::Bool:
            return f.template operator()<Bool>();
        case DType::I8:
            return f.template operator()<std::int8_t>();
        case DType::I16:
            return f.template operator()<std::int16_t>();
        case DType::I32:
            return f.template operator()<std::int32_t>();
        case DType::I64:
            return f.template operator()<std::int64_t>();
        case DType::U8:
            return f.template operator()<std::uint8_t>();
        case DType::U16:
            return f.template operator()<std::uint16_t>();
        case DType::U32:
            return f.template operator()<std::uint32_t>();
        case DType::U64:
            return f.template operator()<std::uint64_t>();
        case DType::F16:
            return f.template operator()<Half>();
        case DType::BF16:
            return f.template operator()<BFloat>();
        case DType::F32:
            return f.template operator()<float>();
        case DType::F64:
            return f.template operator()<double>();
        case DType::Index:
        case DType::None:
            break;
    }
    throw InternalError("REF: a tensor of dtype " + std::string(name(dt)));
}

/// Calls `f.template operator()<T>()` for an unsigned integer as wide as an element of `dt`: for
/// copies.
template <class F>
decltype(auto) with_width(DType dt, F&& f) {
    switch (size_of(dt)) {
        case 1:
            return f.template operator()<std::uint8_t>();
        case 2:
            return f.template operator()<std::uint16_t>();
        case 4:
            return f.template operator()<std::uint32_t>();
        default:
            return f.template operator()<std::uint64_t>();
    }
}

}  // namespace sinter::runtime::ref
