#pragma once
// How far right results of an inexact function may lie apart, for `Noise`.

#include <sinter/runtime/noise.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ref/combine.h"

namespace sinter::runtime::ref {

/// The type that a device computes an element in: 16-bit floats in f32.
template <class E>
using Machine = std::conditional_t<std::is_same_v<E, double>, double, float>;

/// The distance from 1 to the next number of that type.
template <class E>
inline constexpr double kEpsilon = static_cast<double>(std::numeric_limits<Machine<E>>::epsilon());

/// What a device's exp, sin, pow, … may be off by, in units in the last place.
inline constexpr double kFunctionUlps = 4;

/// A function's value before it is rounded to the element, with an error.
template <class E>
double blur_function(const Noise& noise, double y, std::int64_t i) {
    using Limits = std::numeric_limits<Machine<E>>;
    if (y == 0 || !std::isfinite(y)) return y;
    double draw = noise.draw(static_cast<std::uint64_t>(i));
    // Half of the errors are of any size: what follows may hide large ones and show small ones.
    if (std::fabs(draw) < 0.75) draw = std::copysign((std::fabs(draw) - 0.5) * 4, draw);
    const double error = draw * kFunctionUlps;
    // Below the smallest normal number an ulp no longer shrinks with the value.
    const double scale = std::max(std::fabs(y), static_cast<double>(Limits::min()));
    return y + error * kEpsilon<E> * scale;
}

/// Max and Min may return either of two zeros.
inline double blur_zero(const Noise& noise, double y, std::int64_t i) {
    if (y != 0) return y;
    return std::copysign(0.0, noise.draw(static_cast<std::uint64_t>(i)));
}

/// What decides how much the order of the terms matters to their sum or product.
template <class E>
struct Terms {
    std::int64_t count = 0;
    double sum = 0;                                  // of magnitudes
    int last_bit = std::numeric_limits<int>::max();  // exponent of the lowest set bit of any
    double grow = 0, fade = 0;                       // log2 of the factors above and below 1
    bool up = false, down = false, nan = false;      // any infinity by its sign, any NaN

    void add(double x) {
        ++count;
        if (x == 0 || !std::isfinite(x)) {
            up = up || x > 0;
            down = down || x < 0;
            nan = nan || std::isnan(x);
            return;
        }
        const double magnitude = std::fabs(x);
        sum += magnitude;
        const double exponent = std::log2(magnitude);
        (exponent > 0 ? grow : fade) += exponent;
        int power;
        const double fraction = std::frexp(magnitude, &power);
        const auto digits = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
        last_bit = std::min(last_bit, power - 53 + __builtin_ctzll(digits));
    }
};

/// A carried sum, product or extreme with an error that another order of its terms may make.
/// `products`: the terms of a sum are products, which a device may add unrounded. `serial`: a
/// device adds the terms one by one, so that errors of equal terms add up instead of cancelling.
template <class E, ir::ReduceKind K>
Carry<E> blur_carry(const Noise& noise, Carry<E> carry, const Terms<E>& terms, std::int64_t i,
                    bool products = false, bool serial = false) {
    using Limits = std::numeric_limits<Machine<E>>;
    using T = Carry<E>;
    if (terms.count <= 1 && carry != 0) return carry;
    double draw = noise.draw(static_cast<std::uint64_t>(i));
    const auto n = static_cast<double>(terms.count);
    // Where the order decides about overflow: now what the wide carry has, now NaN or an infinity.
    // What is summed on may not be rounded to the type before, and so stays a number.
    [[maybe_unused]] const auto unknown = [&] {
        constexpr T kInfinity = std::numeric_limits<T>::infinity();
        constexpr T kLargest = static_cast<T>(Limits::max());
        const bool stays = noise.summed_on() && std::isfinite(carry);
        const T open[] = {stays ? std::clamp(carry, -kLargest, kLargest) : carry,
                          std::numeric_limits<T>::quiet_NaN(), kInfinity, -kInfinity};
        return open[noise.choice(static_cast<std::uint64_t>(i))];
    };
    if (carry == 0 && K != ir::ReduceKind::Set && !(K == ir::ReduceKind::Add && terms.sum > 0))
        carry = std::copysign(T{0}, static_cast<T>(draw));  // which of the zeros is open
    if constexpr (K == ir::ReduceKind::Add) {
        // Where large terms cancel after they have swallowed small ones, what is left is a multiple
        // of their last place, zero above all: no error at random would hit it.
        const auto left_over = [&] {
            const double place = std::exp2(std::ceil(std::log2(kEpsilon<E> * terms.sum)));
            const double kept = std::nearbyint(static_cast<double>(carry) / place) * place;
            return kept == 0 ? std::copysign(T{0}, static_cast<T>(draw)) : static_cast<T>(kept);
        };
        if (terms.sum >= static_cast<double>(Limits::max()) / 2) {
            const T open = unknown();
            if (open != carry || !std::isfinite(carry)) return open;
        }
        // Products that overflow in the type need not where they are added unrounded.
        if (products && terms.up && terms.down && !terms.nan) return unknown();
        if (!std::isfinite(carry) || terms.sum == 0) return carry;
        // Multiples of one power of two whose sums all fit add up exactly, if they are such where a
        // device adds them.
        if (!noise.summed_on() && !products &&
            terms.sum <= std::ldexp(1.0, terms.last_bit + Limits::digits))
            return carry == 0 ? std::copysign(T{0}, static_cast<T>(draw)) : carry;
        if (std::fabs(draw) < 0.625) return left_over();
        // Some errors are of any size: what follows may show small ones alone.
        if (std::fabs(draw) < 0.8125)
            draw = std::copysign((std::fabs(draw) - 0.625) / 0.1875, draw);
        // Rows shorter than a vector leave few sums side by side, each of many terms in turn.
        const double roundings = 1 + (serial ? n : n / 16 + std::sqrt(n)) / 4;
        return carry + static_cast<T>(draw * kEpsilon<E> * terms.sum * roundings);
    } else if constexpr (K == ir::ReduceKind::Mul) {
        if (std::isnan(carry)) {
            // A zero meets what has become infinite on the way, or comes first.
            if (terms.nan || terms.up || terms.down) return carry;
            return noise.choice(static_cast<std::uint64_t>(i)) % 2 == 0
                       ? carry
                       : std::copysign(T{0}, static_cast<T>(draw));
        }
        // Where products on the way leave the type's range, upwards or downwards, they may stay out
        // of it, with the sign that they have, or come back with hardly a digit right: NaN stands
        // for anything.
        const bool overflows = terms.grow > Limits::max_exponent - 1;
        const bool vanishes = terms.fade < Limits::min_exponent + 1;
        if (overflows || vanishes) {
            constexpr T kInfinity = std::numeric_limits<T>::infinity();
            const T open[] = {carry, vanishes ? std::copysign(T{0}, carry) : carry,
                              overflows ? std::copysign(kInfinity, carry) : carry,
                              std::numeric_limits<T>::quiet_NaN()};
            return open[noise.choice(static_cast<std::uint64_t>(i))];
        }
        if (carry == 0 || !std::isfinite(carry)) return carry;
        if (terms.last_bit >= 0 && terms.grow < Limits::digits - 12) return carry;
        return carry + carry * static_cast<T>(draw * kEpsilon<E> * n);
    } else {
        return carry;
    }
}

}  // namespace sinter::runtime::ref
