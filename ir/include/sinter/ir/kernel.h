#pragma once
// Words of the kernel form (docs/kernels.md).

#include <sinter/ir/arena.h>

namespace sinter::ir {

/// How a range runs. The scheduler makes Loop and Reduce ranges; transformations make the others
/// from them.
enum class Role : std::int64_t {
    Loop,      ///< an index of outputs, not yet placed
    Reduce,    ///< an index that a reduce closes, not yet placed
    Parallel,  ///< spread over threads (the grid, on a GPU)
    Serial,    ///< a loop
    Unroll,    ///< copies of the code, values in registers
    Vector,    ///< lanes of one vector
};

enum class Combine : std::int64_t { ArgMax, ArgMin };

/// Where a stage is kept.
enum class Space : std::int64_t {
    Registers,
    Thread,  ///< scratch of one thread
    Shared,  ///< scratch of the launch; all of it is written before any of it is read
};

inline constexpr std::int64_t kPlainStore = -1;

inline Ref range(Arena& a, std::int64_t number, Ref size, Role role) {
    const std::int64_t args[] = {number, static_cast<std::int64_t>(role)};
    return a.make(Op::Range, DType::Index, std::span<const Ref>(&size, 1), args);
}
inline Ref range(Arena& a, std::int64_t number, std::int64_t size, Role role) {
    return range(a, number, a.index(size), role);
}
inline Role role_of(Ref range) { return static_cast<Role>(range->arg(1)); }

inline Ref variable(Arena& a, DType dtype, std::int64_t slot, std::int64_t vmin,
                    std::int64_t vmax) {
    return a.make(Op::Variable, dtype, {}, {slot, vmin, vmax});
}
inline Ref param(Arena& a, DType dtype, std::int64_t slot) {
    return a.make(Op::Param, dtype, {}, {slot});
}
inline Ref load(Arena& a, Ref memory, Ref index, Ref valid, std::int64_t fill_bits = 0) {
    return a.make(Op::Load, memory->dtype(), {memory, index, valid}, {fill_bits});
}
inline Ref store(Arena& a, Ref memory, Ref index, Ref value, Ref valid,
                 std::int64_t mode = kPlainStore) {
    return a.make(Op::Store, DType::None, {memory, index, value, valid}, {mode});
}

}  // namespace sinter::ir
