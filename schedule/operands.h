#pragma once
// What a kernel does with its operands.

#include <vector>

#include <sinter/ir/uop.h>

namespace sinter::schedule {

/// Params by what is done with them, each once; near memory is no operand.
struct Operands {
    std::vector<ir::Ref> written, read;
};

Operands operands_of(ir::Ref sink);

}  // namespace sinter::schedule
