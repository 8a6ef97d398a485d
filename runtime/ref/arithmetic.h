#pragma once
// Arithmetic with the one result that docs/ir.md gives it, shared by elementwise functions,
// reductions and scatters.

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace sinter::runtime::ref {

// Integers wrap: computed modulo 2^64, of which narrowing keeps the low bits. Narrow unsigned types
// would otherwise be promoted to a signed int, whose overflow is undefined.
template <class T>
constexpr T add(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
        return a + b;
    else
        return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

template <class T>
constexpr T subtract(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
        return a - b;
    else
        return static_cast<T>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

template <class T>
constexpr T multiply(T a, T b) {
    if constexpr (std::is_floating_point_v<T>)
        return a * b;
    else
        return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
}

template <class T>
constexpr T negate(T a) {
    if constexpr (std::is_floating_point_v<T>)
        return -a;
    else
        return subtract(T{0}, a);
}

/// NaN when either is; +0 is larger than -0.
template <class T>
T maximum(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
        if (a == b) return std::signbit(a) ? b : a;
    }
    return a < b ? b : a;
}

template <class T>
T minimum(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
        if (a == b) return std::signbit(a) ? a : b;
    }
    return b < a ? b : a;
}

/// Floors; 0 for a divisor of 0. The one quotient that overflows, lowest / -1, wraps to lowest.
template <std::integral T>
constexpr T floor_divide(T a, T b) {
    if (b == 0) return 0;
    if constexpr (std::is_signed_v<T>) {
        if (b == -1) return negate(a);
        const T quotient = static_cast<T>(a / b);
        return static_cast<T>(quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0));
    } else {
        return static_cast<T>(a / b);
    }
}

/// a - floor_divide(a, b) * b: the sign of b; a for a divisor of 0.
template <std::integral T>
constexpr T floor_modulo(T a, T b) {
    return subtract(a, multiply(floor_divide(a, b), b));
}

template <std::integral T>
constexpr bool shift_in_range(T amount) {
    if constexpr (std::is_signed_v<T>)
        if (amount < 0) return false;
    return static_cast<std::uint64_t>(amount) < sizeof(T) * 8;
}

template <std::integral T>
constexpr T shift_left(T a, T amount) {
    if (!shift_in_range(amount)) return 0;
    return static_cast<T>(static_cast<std::uint64_t>(a) << static_cast<unsigned>(amount));
}

template <std::integral T>
constexpr T shift_right(T a, T amount) {
    if (shift_in_range(amount)) return static_cast<T>(a >> static_cast<unsigned>(amount));
    if constexpr (std::is_signed_v<T>)
        if (a < 0) return -1;
    return 0;
}

}  // namespace sinter::runtime::ref
