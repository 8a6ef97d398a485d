#pragma once
// The steps of lower() by themselves, for those who lower one kernel in several ways.

#include <optional>
#include <vector>

#include <sinter/codegen/codegen.h>

#include "columns.h"

namespace sinter::codegen {

/// A kernel whose functions are spelled out for the target.
struct Prepared {
    ir::Ref sink;
    std::optional<Triangle> triangle;
};
Prepared prepare(ir::Arena& arena, ir::Ref sink, const Target& target);

/// Other choices of the cost model than its first.
struct Wish {
    /// The steps of the kernel's line; null: the cost model's.
    const std::vector<Step>* kernel = nullptr;
    std::vector<std::size_t> plans =
        {};  ///< by part: which of those weighed; 0 where there is none
};

struct Lowered {
    Program program;
    std::vector<std::size_t> plans;  ///< by part: how many were weighed
};
/// By the schedule or the wish, if one is given.
Lowered lower_prepared(ir::Arena& arena, const Prepared& kernel, const std::string& name,
                       const Target& target, const Schedule* schedule, const Wish* wish);

/// How the kernel could be cut though the cost model would not; nothing if it cannot. The steps of
/// its line.
std::optional<std::vector<Step>> unasked_cut(ir::Arena& arena, const Prepared& kernel,
                                             const Target& target);

}  // namespace sinter::codegen
