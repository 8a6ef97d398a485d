#pragma once
// Linear programs as text of LLVM IR.

#include <string>
#include <vector>

#include <sinter/codegen/codegen.h>

#include "linear.h"

namespace sinter::codegen {

/// One module with a function (KernelFunction) a phase. It needs no symbol from outside.
std::string render_llvm(const std::vector<Function>& functions, const Target& target);

}  // namespace sinter::codegen
