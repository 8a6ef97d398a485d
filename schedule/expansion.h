#pragma once
// How a node's value at a place is made of its sources' values at theirs. The planner walks it from
// results to leaves, the lowering builds values along it; both see the same ranges, places and
// indices because they ask here.

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "graph.h"
#include "index.h"

namespace sinter::schedule {

using TupleId = std::uint32_t;

/// A source's element that a node reads.
struct Read {
    Id node;
    TupleId tuple;
    ir::Ref valid;
};

class Expansion {
public:
    Expansion(const Graph& graph, ir::Arena& arena, std::vector<CheckSite>& checks)
        : graph_(graph), arena_(arena), index_(arena), checks_(checks) {}

    const Graph& graph() const { return graph_; }
    ir::Arena& arena() const { return arena_; }
    const Index& index() const { return index_; }

    TupleId intern(std::span<const ir::Ref> tuple);
    std::span<const ir::Ref> tuple(TupleId id) const {
        return {pool_.data() + tuples_[id].first, tuples_[id].second};
    }
    /// Ranges that the indices mention.
    std::uint64_t mask(TupleId id) const { return masks_[id]; }
    /// Whether an index is read from memory (Check).
    bool data_dependent(TupleId id) const { return data_[id]; }

    std::uint32_t new_kernel();
    /// The kernel's ranges by number.
    std::span<const ir::Ref> ranges(std::uint32_t kernel) const { return ranges_[kernel]; }
    /// Π sizes of the ranges in `mask`.
    double extent(std::uint32_t kernel, std::uint64_t mask) const;
    /// One plain range an axis (0 for axes of size 1): the indices of a store. Takes the
    /// lowest-numbered ranges of those sizes, new ones where there are none.
    TupleId plain_tuple(std::uint32_t kernel, std::span<const std::int64_t> shape);
    /// Whether `tuple` is distinct ranges that cover `shape`, as plain_tuple makes them.
    bool is_plain(std::uint32_t kernel, TupleId tuple, std::span<const std::int64_t> shape) const;

    /// The ranges that the reduction `n` closes when it is evaluated at this place of this kernel:
    /// one a reduced axis of more than one element, ascending.
    std::span<const ir::Ref> closed_ranges(std::uint32_t kernel, Id n, TupleId tuple,
                                           ir::Ref valid);

    /// What `n` reads to give its value at `tuple`. Sources whose value it does not need (the
    /// target of Assign) are left out; Scatter is not asked for.
    void reads(std::uint32_t kernel, Id n, TupleId tuple, ir::Ref valid, std::vector<Read>& out);

    /// The index that the integer value `index` (a node) at `tuple` stands for along an axis of
    /// `bound` elements. It holds a stand-in for the value, of which `stand_in` tells; lowering
    /// puts the value in its place.
    ir::Ref checked(Id gather, Id index, TupleId tuple, ir::Ref valid, std::int64_t bound);
    /// A mask that holds where `check` (from `checked`) does not fail: what it guards is checked
    /// though its place does not depend on the index.
    ir::Ref guard(ir::Ref check) const;
    struct StandIn {
        Read read;
    };
    const StandIn* stand_in(ir::Ref load) const;

private:
    ir::Ref range_of_size(std::uint32_t kernel, std::int64_t size, std::uint64_t taken);

    const Graph& graph_;
    ir::Arena& arena_;
    Index index_;
    std::vector<CheckSite>& checks_;

    std::vector<ir::Ref> pool_;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> tuples_;  // begin, size
    std::vector<std::uint64_t> masks_;
    std::vector<bool> data_;
    std::unordered_multimap<std::uint64_t, TupleId> tuple_table_;

    std::vector<std::vector<ir::Ref>> ranges_;
    struct ClosedKey {
        std::uint32_t kernel;
        Id node;
        TupleId tuple;
        ir::Ref valid;
        bool operator==(const ClosedKey&) const = default;
    };
    struct ClosedHash {
        std::size_t operator()(const ClosedKey& k) const;
    };
    std::unordered_map<ClosedKey, std::vector<ir::Ref>, ClosedHash> closed_;
    std::unordered_map<ir::Ref, StandIn> stand_ins_;
    std::unordered_map<ir::Ref, bool> reads_memory_;
};

/// Param slots while kernels are made: the stored node, or (with this bit) the integer node behind
/// a Check.
inline constexpr std::int64_t kStandInSlot = std::int64_t{1} << 40;

}  // namespace sinter::schedule
