#pragma once
// What the cost model looks at: a kernel's ranges, its memory accesses and its reductions.

#include <vector>

#include "rebuild.h"

namespace sinter::codegen {

/// A Load or Store.
struct MemoryAccess {
    Ref node;
    std::uint64_t region;          ///< ranges of the loops it runs in
    std::uint64_t general = 0;     ///< ranges that its index depends on other than by a stride
    std::int64_t stride[64] = {};  ///< elements a step of the range, by number
    bool is_store;
    bool depends(std::int64_t range) const {
        return stride[range] != 0 || (general >> range & 1) != 0;
    }
};

struct Reducing {
    Ref node;
    std::uint64_t scope;   ///< ranges it is computed for
    std::uint64_t closed;  ///< ranges it runs over
    double volume;         ///< steps in all
    int ops = 0;           ///< value ops a step, nested reductions apart
    std::vector<std::size_t>
        loads;  ///< positions among the accesses read by its value, nested reductions apart
};

/// A value under masks outside which it is 0, without them.
Ref without_masks(Ref value);

/// What a sum's products multiply by and is made of `load` alone, such as wider numbers of it; the
/// load itself where there is no such factor. Pairs and quads of a dot product are factors as well.
Ref factor_of(const struct Analysis& a, Ref load);

/// Whether the mask of ranges has this one, by number.
inline bool has(std::uint64_t mask, std::int64_t range) { return (mask >> range & 1) != 0; }

struct Analysis {
    Ref range[64] = {};                 ///< by number
    std::vector<std::int64_t> numbers;  ///< of the ranges there are, ascending
    std::vector<MemoryAccess> accesses;
    std::vector<Reducing> reductions;  ///< each after those it reads
    std::vector<Ref> stores;
    std::uint64_t closed = 0;    ///< ranges that reductions run over
    std::uint64_t ordered = 0;   ///< ranges that must be walked in order, by one thread
    std::uint64_t scanned = 0;   ///< of these, those along which nothing but sums and extremes run
    std::uint64_t renewed = 0;   ///< ranges in each of whose steps scratch is filled anew
    std::uint64_t eligible = 0;  ///< ranges of all stores that may run in any order, in parallel
    std::uint64_t outer = 0;     ///< those that every reduction has too: nothing is computed twice
    double value_work = 0;       ///< value ops run, all ranges
    std::size_t value_nodes = 0;
    std::size_t element_bytes = 1;                 ///< of the widest value
    std::uint64_t f32_ranges = 0, f64_ranges = 0;  ///< that values of these types depend on

    /// Trips of a range; a size known only at launch counts as `kNominal`.
    std::int64_t size(std::int64_t number) const;
    double volume(std::uint64_t mask) const;
    /// The ranges that an access depends on, and the bytes that it touches on its way through them.
    std::uint64_t ranges_of(const MemoryAccess& m) const;
    double bytes_of(const MemoryAccess& m) const;
    static constexpr std::int64_t kNominal = 1 << 16;
};

Analysis analyse(Ref sink);

}  // namespace sinter::codegen
