#pragma once
// Linear programs as text of CUDA C.

#include <string>
#include <vector>

#include <sinter/codegen/codegen.h>

#include "linear.h"

namespace sinter::codegen {

/// Kernels, one a function: `functions[i]` run by the teams that `phases[i]` names. It needs the
/// prelude before it and nothing else.
///
/// A vector is a value a thread: lane i of it is that of thread i of the team. Values of one lane
/// are computed by every thread of the team alike.
std::string render_cuda(const std::vector<Function>& functions, const std::vector<Phase>& phases,
                        std::int64_t team_bytes);

}  // namespace sinter::codegen
