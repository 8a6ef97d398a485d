#pragma once
// What linearizes one function: the works of a scope, the passes and loops that they share, and the
// reductions under way.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "combine.h"
#include "emitter.h"
#include "linearize.h"

namespace sinter::codegen {

/// What closes ranges: it is computed by loops of its own, before what reads it.
inline bool is_closing(Ref node) {
    return node->is(Op::Reduce) || node->is(Op::Accumulate) || node->is(Op::Order);
}

class Linearizer {
public:
    Linearizer(Arena& arena, Ref sink, std::span<const std::int64_t> order,
               std::span<const Ref> parallel, const std::string& symbol,
               const LinearizeOptions& options);

    Function run();

private:
    // A reduction under way: its accumulators as they stand where code is being made.
    struct Reduction {
        Ref node;
        Tuple acc;               // copy by copy, the components of a copy side by side; copies may
                                 // take turns
        std::size_t components;  // 1, or the count of a tuple
        bool across_lanes;       // the lanes of a vector range are reduced as well
    };

    // Something to do in a scope: a store, or a step of a reduction with the values it takes.
    struct Work {
        Ref store = nullptr;
        Reduction* reduction = nullptr;
        std::vector<Ref> values;      // of the reduction; the store itself otherwise
        std::uint64_t remaining = 0;  // serial and parallel ranges still to be opened
    };

    // --- parallel ranges, and works at another index (linearize.cpp)
    void open_trips(std::vector<Work> works);
    void variants(std::vector<Work> works, std::size_t i);
    void split_trips(std::vector<Work> works, Value begin, Value end);
    Ref shortened(Ref r, std::int64_t n);
    Work store_work(Ref store) { return {store, nullptr, {store}, store->ranges() & ~vector_}; }
    std::vector<Work> at(const std::vector<Work>& works, Ref range, Ref value);
    std::vector<Work> unbounded(const std::vector<Work>& works, Ref size);
    std::vector<Work> at_variable(const std::vector<Work>& works, Ref variable, Ref value);

    // --- reductions to be computed (linearize_pending.cpp)
    std::uint64_t serial(std::uint64_t ranges) const {
        return ranges & ~vector_ & ~emit_.open_ranges();
    }
    std::vector<Ref> pending(std::span<const Ref> roots);
    int level_above(std::span<const Ref> roots, const RefMap<int>& levels);
    template <class Visit>
    void each_unknown_reduction(std::span<const Ref> roots, const Visit& visit) const;
    std::uint64_t to_be_closed(std::span<const Ref> roots) const;
    void rename_closed(std::vector<Work>& works);
    Ref fresh_range(Ref like);

    // --- passes of a scope (linearize_scope.cpp)
    Ref shared_range(std::span<const Work> works) const;
    std::vector<Ref> computing(const std::vector<Work>& kept, const std::vector<Work>& after);
    static std::vector<Ref> stores_of(const std::vector<Work>& works);
    static bool is_kept(const Work& w) {
        return w.store != nullptr && w.store->src(0)->arg(0) == kThreadSlot;
    }
    std::uint64_t renewed_in(const Work& w) const;
    int level_renewing(const Work& w, std::span<const Ref> reductions,
                       const RefMap<int>& levels) const;
    void process(std::vector<Work> works, std::span<const Ref> beside = {});
    void run_level(std::vector<Work>& works,
                   const std::vector<std::unique_ptr<Reduction>>& started);

    // --- serial loops (linearize_loops.cpp)
    void run_loop(Ref range, std::vector<Work> works);
    void run_trips(Ref range, std::vector<Work> works);
    void run_even_trips(Ref range, std::vector<Work> works, std::int64_t whole);
    std::vector<std::int64_t> even_parts(const std::vector<Work>& works, Ref range,
                                         std::int64_t n) const;
    void run_parts(const std::vector<Work>& works, Ref range, std::span<const std::int64_t> begins);
    static std::int64_t trips_within(const std::vector<Work>& works, Ref range, std::int64_t most);
    void carry_through(std::vector<Work> inside);
    std::int64_t interleaved_steps(const std::vector<Work>& works, Ref range, std::int64_t n);
    std::int64_t run_interleaved(std::vector<Work>& works, Ref range, std::int64_t whole,
                                 std::int64_t steps);

    // --- reductions (linearize_reductions.cpp)
    Reduction start(Ref node, std::span<const Ref> beside);
    Ref first_position(Ref node, Ref position);
    bool is_ascending(Ref node, std::size_t at, Ref position);
    void step(Reduction& r, std::span<const Ref> values);
    void finalize(Reduction& r);

    Arena& arena_;
    Emitter emit_;
    const std::vector<Ref> parallel_;
    std::vector<Ref> stores_;
    Ref range_[64] = {};
    std::int64_t rank_[64] = {};
    std::map<Ref, std::vector<Ref>> fresh_;  // ranges made in the place of another
    std::uint64_t vector_ = 0;
    std::uint64_t ordered_ = 0;  // walked in order, by a scan or a store that combines
    std::uint64_t closed_ = 0;   // by any reduction
    bool overwrites_ = false;    // several memories are written
    bool teams_, prefetch_, squares_;
    bool last_trips_ = false;      // code is made for the last trip of a ragged range
    Ref row_ = nullptr;            // the innermost range that is open
    const Limit* limit_[64] = {};  // of ranges that leave out trips
};

}  // namespace sinter::codegen
