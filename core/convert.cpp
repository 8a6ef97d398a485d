#include "convert.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <sinter/ir/error.h>

namespace sinter {
namespace {

struct Half {
    std::uint16_t bits;
};
struct Brain {
    std::uint16_t bits;
};

// Calls f with a value of the C++ type that holds elements of `dt`.
template <class F>
void with_type(DType dt, F&& f) {
    switch (dt) {
        case DType::Bool:
            return f(bool{});
        case DType::I8:
            return f(std::int8_t{});
        case DType::I16:
            return f(std::int16_t{});
        case DType::I32:
            return f(std::int32_t{});
        case DType::I64:
            return f(std::int64_t{});
        case DType::U8:
            return f(std::uint8_t{});
        case DType::U16:
            return f(std::uint16_t{});
        case DType::U32:
            return f(std::uint32_t{});
        case DType::U64:
            return f(std::uint64_t{});
        case DType::F16:
            return f(Half{});
        case DType::BF16:
            return f(Brain{});
        case DType::F32:
            return f(float{});
        case DType::F64:
            return f(double{});
        case DType::Index:
        case DType::None:
            break;
    }
    throw InternalError("a tensor cannot have dtype " + std::string(name(dt)));
}

template <class T>
auto value_of(T x) {
    if constexpr (std::same_as<T, Half>)
        return f16_to_f32(x.bits);
    else if constexpr (std::same_as<T, Brain>)
        return bf16_to_f32(x.bits);
    else
        return x;
}

template <class To, class From>
To convert(From x) {
    if constexpr (std::same_as<To, Half>) {
        return {f64_to_f16(static_cast<double>(x))};
    } else if constexpr (std::same_as<To, Brain>) {
        return {f64_to_bf16(static_cast<double>(x))};
    } else if constexpr (std::same_as<To, bool>) {
        return x != From{};
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
        if (std::isnan(x)) return 0;
        constexpr auto kLow = std::numeric_limits<To>::min(),
                       kHigh = std::numeric_limits<To>::max();
        if (x <= static_cast<From>(kLow)) return kLow;
        if (x >= static_cast<From>(kHigh)) return kHigh;
        return static_cast<To>(x);
    } else {
        return static_cast<To>(x);
    }
}

}  // namespace

void convert_elements(void* out, DType to, const void* in, DType from, std::size_t n) {
    if (n == 0) return;
    if (to == from) {
        std::memcpy(out, in, n * size_of(to));
        return;
    }
    with_type(from, [&](auto from_tag) {
        with_type(to, [&](auto to_tag) {
            using From = decltype(from_tag);
            using To = decltype(to_tag);
            const From* source = static_cast<const From*>(in);
            To* target = static_cast<To*>(out);
            for (std::size_t i = 0; i < n; ++i) target[i] = convert<To>(value_of(source[i]));
        });
    });
}

double element_as_double(const void* data, DType dtype, std::size_t i) {
    double out = 0;
    with_type(dtype, [&](auto tag) {
        using T = decltype(tag);
        out = static_cast<double>(value_of(static_cast<const T*>(data)[i]));
    });
    return out;
}

}  // namespace sinter
