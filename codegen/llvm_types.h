#pragma once
// Types and constants as text of LLVM IR.

#include <cstdint>
#include <string>
#include <string_view>

#include <sinter/ir/dtype.h>

namespace sinter::codegen {

std::string vector_of(std::string_view element, int lanes);
std::string type(DType dt, int lanes);
/// Elements of bool are bytes in memory.
inline DType stored(DType dt) { return dt == DType::Bool ? DType::U8 : dt; }
/// As names of intrinsics have it.
std::string mangled(DType dt, int lanes);

/// `f(lane)` for every lane, as a vector constant of `element_type`.
template <class F>
std::string vector_constant(std::string_view element_type, int lanes, F f) {
    std::string text = "<";
    for (int i = 0; i < lanes; ++i)
        text += (i != 0 ? ", " : "") + std::string(element_type) + " " + f(i);
    return text + ">";
}

std::string constant(DType dt, std::int64_t bits, int lanes);

}  // namespace sinter::codegen
