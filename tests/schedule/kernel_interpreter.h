#pragma once
// The kernel form, run naively: one element after the other, by docs/kernels.md. Slow, obvious, and
// independent of the scheduler and of codegen, so that both can be checked against it.

#include <sinter/schedule/schedule.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace sinter::test {

/// Memory of one operand; accesses outside of it throw InternalError.
struct Operand {
    std::byte* data;
    std::int64_t bytes;
};

/// Runs one segment of a kernel. `check_failed` is called for an index out of range.
void interpret(ir::Ref sink, std::span<const Operand> operands,
               std::span<const std::int64_t> scalars, std::vector<std::string>& failed_checks);

/// Runs a schedule over host memory: `inputs` by input number (they may be written where blocks
/// reuse them), `binds` the bits of each Bind. Returns the memory of each root.
struct Run {
    std::vector<std::vector<std::byte>> roots;
    std::vector<std::string> failed_checks;
};
Run run(const schedule::Schedule& schedule, std::vector<std::vector<std::byte>> inputs,
        std::span<const std::int64_t> binds);

}  // namespace sinter::test
