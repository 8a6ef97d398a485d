#pragma once
// Buffers from C++ values and back, for tests below the Tensor.

#include <cstring>
#include <stdexcept>
#include <vector>

#include <sinter/runtime/realize.h>

namespace sinter {

using Values = std::vector<double>;

/// A leaf of f32 or f64 that holds `values`.
inline ir::UOp float_buffer(DType dtype, std::span<const std::int64_t> shape, const Values& values,
                            runtime::DeviceId device = runtime::DeviceId::CPU) {
    auto memory = runtime::Memory::allocate(device, values.size() * size_of(dtype));
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (dtype == f64) {
            static_cast<double*>(memory->data())[i] = values[i];
        } else if (dtype == f32) {
            static_cast<float*>(memory->data())[i] = static_cast<float>(values[i]);
        } else {
            throw std::logic_error("float_buffer: f32 or f64");
        }
    }
    return runtime::make_buffer(dtype, shape, memory);
}

inline ir::UOp index_buffer(const std::vector<std::int64_t>& shape,
                            const std::vector<std::int64_t>& values) {
    const std::size_t bytes = values.size() * sizeof(std::int64_t);
    auto memory = runtime::Memory::allocate(runtime::DeviceId::CPU, bytes);
    if (bytes != 0) std::memcpy(memory->data(), values.data(), bytes);
    return runtime::make_buffer(i64, shape, memory);
}

/// The values of a Buffer of f32 or f64.
inline Values read(const ir::UOp& buffer) {
    const void* data = runtime::memory_of(buffer).data();
    Values values(static_cast<std::size_t>(buffer->numel()));
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (buffer->dtype() == f64) {
            values[i] = static_cast<const double*>(data)[i];
        } else if (buffer->dtype() == f32) {
            values[i] = static_cast<const float*>(data)[i];
        } else {
            throw std::logic_error("read: f32 or f64");
        }
    }
    return values;
}

}  // namespace sinter
