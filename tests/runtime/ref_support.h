#pragma once
// Tensors written out by hand, and their values as text: one line that a failing test shows, in
// which nan equals nan and -0 differs from 0.

#include <doctest/doctest.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/realize.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace sinter::test {

inline constexpr double kInf = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Calls `f` with a value of the C++ type that holds an element of `dt` (16-bit floats: their
/// bits).
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
        case DType::F16:
        case DType::BF16:
            return f(std::uint16_t{});
        case DType::U32:
            return f(std::uint32_t{});
        case DType::U64:
            return f(std::uint64_t{});
        case DType::F32:
            return f(float{});
        case DType::F64:
            return f(double{});
        case DType::Index:
        case DType::None:
            break;
    }
    FAIL("no such element type");
}

template <class V>
ir::UOp buffer_of(DType dt, const ir::Shape& shape, const std::vector<V>& values) {
    auto memory = runtime::Memory::allocate(runtime::DeviceId::REF, values.size() * size_of(dt));
    with_type(dt, [&]<class T>(T) {
        for (std::size_t i = 0; i < values.size(); ++i) {
            T element;
            if (dt == f16)
                element = static_cast<T>(f64_to_f16(static_cast<double>(values[i])));
            else if (dt == bf16)
                element = static_cast<T>(f64_to_bf16(static_cast<double>(values[i])));
            else
                element = static_cast<T>(values[i]);
            std::memcpy(static_cast<std::byte*>(memory->data()) + i * sizeof(T), &element,
                        sizeof(T));
        }
    });
    return runtime::make_buffer(dt, shape, memory);
}

/// A tensor with these elements, in row-major order.
inline ir::UOp tensor(DType dt, const ir::Shape& shape, const std::vector<double>& values) {
    return buffer_of(dt, shape, values);
}
inline ir::UOp vec(DType dt, const std::vector<double>& values) {
    return buffer_of(dt, {static_cast<std::int64_t>(values.size())}, values);
}
/// Integers that a double does not hold.
inline ir::UOp int_vec(DType dt, const std::vector<std::int64_t>& values) {
    return buffer_of(dt, {static_cast<std::int64_t>(values.size())}, values);
}

inline std::string text(double value) {
    if (std::isnan(value)) return "nan";
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.17g", value);
    return digits;
}

inline std::string text(const std::vector<double>& values) {
    std::string all;
    for (const double v : values) all += (all.empty() ? "" : " ") + text(v);
    return all;
}

/// The elements of a Buffer as text.
inline std::string text_of_buffer(const ir::UOp& buffer) {
    const void* data = runtime::memory_of(buffer).data();
    std::string all;
    with_type(buffer->dtype(), [&]<class T>(T) {
        for (std::int64_t i = 0; i < buffer->numel(); ++i) {
            T element;
            std::memcpy(
                &element,
                static_cast<const std::byte*>(data) + i * static_cast<std::int64_t>(sizeof(T)),
                sizeof(T));
            if (i > 0) all += " ";
            if (buffer->dtype() == f16)
                all += text(static_cast<double>(f16_to_f32(static_cast<std::uint16_t>(element))));
            else if (buffer->dtype() == bf16)
                all += text(static_cast<double>(bf16_to_f32(static_cast<std::uint16_t>(element))));
            else if constexpr (std::is_floating_point_v<T>)
                all += text(static_cast<double>(element));
            else
                all += std::to_string(element);
        }
    });
    return all;
}

/// The value of a node as REF computes it.
inline std::string ref(const ir::UOp& node) {
    const std::vector<ir::UOp> buffers = runtime::ref::evaluate(std::span(&node, 1));
    REQUIRE(buffers.size() == 1);
    CHECK(buffers[0]->dtype() == node->dtype());
    CHECK(std::equal(buffers[0]->shape().begin(), buffers[0]->shape().end(), node->shape().begin(),
                     node->shape().end()));
    return text_of_buffer(buffers[0]);
}

inline constexpr DType kFloats[] = {f16, bf16, f32, f64};
inline constexpr DType kInts[] = {i8, i16, i32, i64, u8, u16, u32, u64};
inline constexpr DType kSigned[] = {i8, i16, i32, i64};
inline constexpr DType kUnsigned[] = {u8, u16, u32, u64};

}  // namespace sinter::test
