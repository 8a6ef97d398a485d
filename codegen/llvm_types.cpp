#include "llvm_types.h"

#include <cstdio>

#include <sinter/ir/node.h>

namespace sinter::codegen {
namespace {

// 16-bit floats are kept as their bits: LLVM may widen what moves one, and narrows it again by a
// call of its library (half), or by an instruction that flushes subnormal numbers (bfloat).

constexpr std::string_view kTypes[] = {"i1",  "i8",  "i16", "i32",   "i64",    "i8",  "i16", "i32",
                                       "i64", "i16", "i16", "float", "double", "i64", "void"};
constexpr std::string_view kMangled[] = {"i1",  "i8",  "i16", "i32", "i64", "i8",  "i16", "i32",
                                         "i64", "i16", "i16", "f32", "f64", "i64", ""};

std::string element(DType dt, std::int64_t bits) {
    char text[32];
    switch (dt) {
        case DType::Bool:
            return bits != 0 ? "true" : "false";
        case DType::F16:
            return std::to_string(static_cast<std::int16_t>(f64_to_f16(ir::const_double(bits))));
        case DType::BF16:
            return std::to_string(static_cast<std::int16_t>(f64_to_bf16(ir::const_double(bits))));
        case DType::F32:
        case DType::F64:
            std::snprintf(text, sizeof text, "0x%016llX", static_cast<unsigned long long>(bits));
            return text;
        default:
            return std::to_string(bits);
    }
}

}  // namespace

std::string vector_of(std::string_view element, int lanes) {
    if (lanes == 1) return std::string(element);
    return "<" + std::to_string(lanes) + " x " + std::string(element) + ">";
}

std::string type(DType dt, int lanes) { return vector_of(kTypes[static_cast<int>(dt)], lanes); }

std::string mangled(DType dt, int lanes) {
    return (lanes == 1 ? "" : "v" + std::to_string(lanes)) +
           std::string(kMangled[static_cast<int>(dt)]);
}

std::string constant(DType dt, std::int64_t bits, int lanes) {
    const std::string one = element(dt, bits);
    if (lanes == 1) return one;
    return vector_constant(kTypes[static_cast<int>(dt)], lanes, [&](int) { return one; });
}

}  // namespace sinter::codegen
