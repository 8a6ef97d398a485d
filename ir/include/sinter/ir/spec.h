#pragma once
// What graphs of each level may hold, as a table; checked after every pass in debug builds and
// under SPEC=1.

#include <source_location>
#include <span>
#include <string>
#include <string_view>

#include <sinter/ir/pattern.h>

namespace sinter::ir {

enum class Level : std::uint8_t {
    Tensor,     ///< docs/ir.md
    Kernel,     ///< docs/kernels.md, as the scheduler makes it: ranges are Loop or Reduce
    Scheduled,  ///< the same after codegen's transformations: ranges are Parallel, Serial, Unroll
                ///< or Vector
};

std::string_view name(Level level);

/// One sentence of a spec: what holds for every node with one of these ops. A node whose op no row
/// of its level names is illegal there.
struct SpecRow {
    using Predicate = bool (*)(Ref);
    OpSet ops;
    std::string says;
    Predicate holds;
    std::source_location where;
};

std::span<const SpecRow> spec(Level level);

/// Throws InternalError if a node reachable from `roots` breaks the spec of `level`: names the pass
/// after which it was found, the node with its sources, and the row.
void check_spec(Level level, std::span<const Ref> roots, std::string_view pass);

/// Whether specs are checked after passes: always in debug builds, elsewhere under SPEC=1.
bool checks_spec();

/// To stand at the end of every pass: prints the graph to stderr at DEBUG=5, then check_spec where
/// checks_spec().
void establishes(Level level, std::span<const Ref> roots, std::string_view pass);
inline void establishes(Level level, Ref root, std::string_view pass) {
    establishes(level, std::span<const Ref>(&root, 1), pass);
}

}  // namespace sinter::ir
