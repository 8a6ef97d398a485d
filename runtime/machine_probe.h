#pragma once
// Small pieces of code that keep one part of a core busy, made for the target like any kernel.

#include <cstddef>
#include <cstdint>
#include <memory>

#include <sinter/codegen/codegen.h>
#include <sinter/runtime/compiler.h>

namespace sinter::runtime::probe {

struct Probe {
    /// Goes `trips` times round. Arithmetic: numbers at `from`. Memory: step_bytes of it a trip.
    void (*run)(void* from, void* to, std::int64_t trips) = nullptr;
    double work_a_trip = 0;      ///< arithmetic: operations
    std::size_t step_bytes = 1;  ///< memory
};

struct Probes {
    Probe f32, bf16;           ///< bf16 may have no code
    Probe read, copy, stream;  ///< stream: a copy past the caches
    std::shared_ptr<const Code> code, bf16_code;
};

Probes compile(const codegen::Target& target);

}  // namespace sinter::runtime::probe
