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

inline constexpr std::int64_t kPlainStore = -1;

/// Params of this slot and below are near: memory of which a thread keeps the rows that it is
/// working on. It is indexed as the whole would be; what one row writes, that row alone reads.
inline constexpr std::int64_t kNearSlot = -16;

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
/// Memory that is written, of a result that is not read before the caches have seen much else.
inline Ref late_param(Arena& a, DType dtype, std::int64_t slot) {
    return a.make(Op::Param, dtype, {}, {slot, 1});
}
inline bool is_late(Ref param) { return param->args().size() > 1 && param->arg(1) != 0; }
inline bool is_near(Ref param) { return param->arg(0) <= kNearSlot; }
/// `readable`: the index lies within the memory even where `valid` is false, so it may be read
/// anyway.
inline Ref load(Arena& a, Ref memory, Ref index, Ref valid, std::int64_t fill_bits = 0,
                bool readable = false) {
    const std::int64_t args[] = {fill_bits, 1};
    const Ref src[] = {memory, index, valid};
    return a.make(Op::Load, memory->dtype(), src,
                  std::span<const std::int64_t>(args, readable && valid->vmin() == 0 ? 2 : 1));
}
inline bool is_readable(Ref load) { return load->args().size() > 1 && load->arg(1) != 0; }
/// Whether a Check stands in a comparison with its bound, which is not to be decided before.
inline bool is_guarding(Ref check) { return check->args().size() > 2 && check->arg(2) != 0; }
inline Ref store(Arena& a, Ref memory, Ref index, Ref value, Ref valid,
                 std::int64_t mode = kPlainStore) {
    return a.make(Op::Store, DType::None, {memory, index, value, valid}, {mode});
}

/// How many of a node's first sources are values; the rest are ranges that it closes (or walks, for
/// Scan). Codegen expands reductions to several copies, one an accumulator: Reduce {kind, copies},
/// Accumulate {combine, count, copies}, values of one copy side by side.
inline std::size_t value_count(Ref node) {
    const auto arg = [&](std::size_t i) {
        return node->args().size() > i ? static_cast<std::size_t>(node->arg(i)) : std::size_t{1};
    };
    switch (node->op()) {
        case Op::Reduce:
            return arg(1);
        case Op::Accumulate:
            return arg(1) * arg(2);
        case Op::Scan:
            return 1;
        case Op::Order:  // codegen adds which scratch it has
            return node->args().size() > 1 ? 3 : 2;
        default:
            return node->src().size();
    }
}

/// The ranges that Reduce, Accumulate, Order and Scan name.
inline std::span<const Ref> named_ranges(Ref node) {
    return node->src().subspan(value_count(node));
}

/// A range's bit in Node::ranges().
inline std::uint64_t range_bit(Ref range) { return std::uint64_t{1} << range->arg(0); }
/// The ranges that every store of a kernel runs over.
inline std::uint64_t ranges_of_all_stores(Ref sink) {
    std::uint64_t ranges = ~std::uint64_t{0};
    for (Ref store : sink->src()) ranges &= store->ranges();
    return ranges;
}

}  // namespace sinter::ir
