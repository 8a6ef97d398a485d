// Casts between every pair of dtypes.

#include <cmath>
#include <limits>

#include "ref/element.h"
#include "ref/functions.h"
#include "ref/spread.h"

namespace sinter::runtime::ref {
namespace {

/// Truncates and saturates; NaN gives 0.
template <class T>
T truncate_to(double x) {
    using Limits = std::numeric_limits<T>;
    // The bounds as powers of two, which a double holds exactly: lowest() <= trunc(x) < end.
    const double end = std::ldexp(1.0, Limits::digits);
    if (std::isnan(x)) return 0;
    if (x >= end) return Limits::max();
    if (x <= static_cast<double>(Limits::lowest())) return Limits::lowest();
    return static_cast<T>(x);
}

/// The integer as a double that rounds to any narrower float as the integer itself would: where a
/// double cannot hold it, the lowest kept bit records that something was lost ("round to odd").
template <class T>
double to_double_sticky(T x) {
    const bool negative = x < 0;
    const auto magnitude =
        negative ? ~static_cast<std::uint64_t>(x) + 1 : static_cast<std::uint64_t>(x);
    constexpr std::uint64_t kExact = std::uint64_t{1} << 53;
    double result;
    if (magnitude <= kExact)
        result = static_cast<double>(magnitude);
    else  // at most 53 of the 64 bits remain
        result = std::ldexp(static_cast<double>((magnitude >> 11) | static_cast<std::uint64_t>(
                                                                        (magnitude & 2047) != 0)),
                            11);
    return negative ? -result : result;
}

template <class To, class From>
To convert(From e) {
    const auto x = load(e);
    if constexpr (is_bool_element<To>) {
        return store<To>(x != 0);  // true for NaN
    } else if constexpr (is_int_element<To>) {
        if constexpr (is_float_element<From>)
            return truncate_to<To>(x);
        else
            return static_cast<To>(x);
    } else if constexpr (is_int_element<From> && std::is_same_v<To, double>) {
        return static_cast<double>(x);
    } else if constexpr (is_int_element<From>) {
        return store<To>(to_double_sticky(x));
    } else {
        return store<To>(static_cast<double>(x));
    }
}

template <class From>
void convert_all(ir::Ref node, const From* from, Value& out) {
    with_element(node->dtype(), [&]<class To>() {
        To* to = out.fill<To>();
        for (std::int64_t i = 0, n = node->numel(); i < n; ++i) to[i] = convert<To>(from[i]);
    });
}

}  // namespace

namespace eval {

Value Cast(ir::Ref node, Sources src) {
    Value out = allocate_for(node);
    with_element(node->src(0)->dtype(),
                 [&]<class From>() { convert_all(node, src[0]->as<From>(), out); });
    return out;
}

Value Bitcast(ir::Ref node, Sources src) {
    if (size_of(node->dtype()) != size_of(node->src(0)->dtype()))
        refuse(node, "element sizes differ");
    const Noise* noise = is_float(node->src(0)->dtype()) ? Noise::active() : nullptr;
    if (noise == nullptr) return *src[0];
    // The sign of a NaN is open.
    Value out = allocate_for(node);
    with_element(node->src(0)->dtype(), [&]<class E>() {
        const E* from = src[0]->as<E>();
        E* to = out.fill<E>();
        for (std::int64_t i = 0, n = node->numel(); i < n; ++i) {
            to[i] = from[i];
            if constexpr (is_float_element<E>)
                if (std::isnan(static_cast<double>(load(from[i]))))
                    to[i] = store<E>(std::copysign(std::numeric_limits<double>::quiet_NaN(),
                                                   noise->draw(static_cast<std::uint64_t>(i))));
        }
    });
    return out;
}

}  // namespace eval
}  // namespace sinter::runtime::ref
