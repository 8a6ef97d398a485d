#pragma once
// Which values are written to memory and which kernel computes them (docs/schedule.md).

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "expansion.h"
#include "profile.h"

namespace sinter::schedule {

using KernelId = std::uint32_t;

/// A store of a planned kernel.
struct PlannedStore {
    enum class Kind : std::uint8_t {
        Value,    ///< the node's value
        Base,     ///< Scatter: its base
        Combine,  ///< Scatter: src combined into it; `tuple` runs over the index
    };
    Id node;
    TupleId tuple;
    Kind kind;
};

/// A value that a planned kernel reads from memory.
struct PlannedRead {
    Id node;
    TupleId tuple;
    std::uint64_t summed;  ///< ranges that the matrix product closes which it is read for, if any
};

struct PlannedKernel {
    std::vector<PlannedStore> stores;
    std::vector<PlannedRead> loads;
    std::vector<KernelId> reads;  ///< kernels whose results it needs, ascending
    std::vector<std::uint64_t>
        spine;  ///< ranges that inlined reductions keep open: a chain under inclusion
    std::vector<std::int64_t> domain;  ///< what it runs over, for siblings
    bool sealed = false;               ///< takes no other store: it runs in an order of its own
    std::uint64_t loops = 0;           ///< ranges of its stores
    std::uint32_t nodes = 0;           ///< uses expanded into it
    bool contraction = false;          ///< a matrix product is inlined
};

class Plan {
public:
    Plan(Expansion& expansion, const Profile& profile);

    std::span<const PlannedKernel> kernels() const { return kernels_; }
    /// The kernel that writes `n` (the last one to, for Scatter), or kNone.
    KernelId home(Id n) const { return home_[n]; }
    /// Whether the value is read from memory inside `kernel`.
    bool is_loaded(Id n, KernelId kernel) const {
        if (graph_.is_leaf(n)) return graph_.op(n) == ir::Op::Buffer;
        return home_[n] != kNone && home_[n] != kernel;
    }

private:
    // Inside a reduction: ranges that are closed there, and all that its results run over.
    struct Scope {
        std::uint32_t parent = 0;
        std::uint64_t closed = 0, open = 0;
        bool fold = false, contraction = false;
    };
    struct Use {
        KernelId kernel;
        std::uint32_t scope;
        TupleId tuple;
        ir::Ref valid;
        bool loads = false;  // it is to find the value in memory, not to compute it
        bool operator==(const Use&) const = default;
    };

    void place(Id n);
    bool stays_inline(Id n);
    bool pays_to_store(Id n, double evaluated) const;
    bool is_made_of_shared(Id n) const;
    bool pays_to_read_back(Id n, double evaluated) const;
    /// The sum of which n, whatever uses it, is a part, and nobody needs more; kNone if there is
    /// none.
    Id cut_from(Id n) const;
    bool may_inline(Id n, std::span<const Use> uses) const;
    bool may_inline_value(Id n, std::span<const Use> uses) const;
    bool may_inline_reduction(Id n, std::span<const Use> uses) const;
    /// Whether the kernel may go through these rows on their own: a reduction over the rest is
    /// computed once a row.
    bool may_run_over(KernelId id, std::uint64_t rows) const;
    bool fits_spine(const PlannedKernel& kernel, std::uint64_t open) const;
    std::uint64_t walked(const PlannedKernel& kernel) const;
    void join_spine(KernelId kernel, std::uint64_t open);
    void store(Id n);
    void store_scatter(Id n);
    bool store_where_used(Id n);
    bool store_beside_sibling(Id n);
    void add_store(KernelId kernel, Id n, TupleId tuple,
                   PlannedStore::Kind kind = PlannedStore::Kind::Value);
    void depend(KernelId reader, KernelId writer);
    void read_back(Id n);
    void load(Id n, const Use& use);
    bool reaches(KernelId from, KernelId to) const;
    KernelId new_kernel();
    void expand(Id n);
    void push(KernelId kernel, std::uint32_t scope, const Read& read, bool loads = false);

    std::uint64_t mask(const Use& use) const;
    double evaluations(Id n, const Use& use) const;
    std::vector<std::span<const Use>> by_kernel(Id n) const;

    Expansion& expansion_;
    const Graph& graph_;
    const Profile& profile_;
    std::vector<PlannedKernel> kernels_;
    std::vector<KernelId> home_;
    std::vector<std::vector<Use>> uses_;
    std::vector<std::uint32_t> users_;  // nodes that name it as a source, and results
    std::vector<Scope> scopes_{1};
    std::unordered_map<Id, std::vector<KernelId>>
        readers_;  // kernels that run over a value, for siblings
};

}  // namespace sinter::schedule
