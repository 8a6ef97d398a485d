#pragma once
// The cost model: which transformations a kernel gets, from its shape and the target alone.

#include <optional>
#include <vector>

#include <sinter/codegen/codegen.h>

#include "analysis.h"
#include "place.h"

namespace sinter::codegen {

/// Trips that are enough for all threads: fewer, longer ones compute less again.
inline constexpr double kEnoughTrips = 256;

/// What is done to one phase of a kernel; by range number, -1 for none.
struct Plan {
    std::int64_t vector = -1;
    int lanes = 1;
    int vectors = 1;  ///< vectors side by side along the vector range
    struct Unrolled {
        std::int64_t range;
        int by;
        std::int64_t chunk = 0;  ///< if not 0: so many blocks are a trip of their own
    };
    std::vector<Unrolled> unrolled;
    /// If not -1: this range of the result, of which nothing else is said, runs in chunks of `size`
    /// in parallel.
    struct Chunks {
        std::int64_t range = -1, size = 0;
    } chunks;
    /// If not 0: the operand that is read along the vector range with a long stride is copied to
    /// the thread's scratch for each block of these ranges (all that it depends on, outside the
    /// reduction); the others run within.
    std::uint64_t staged_for = 0;
    /// A trip has the whole vector range: copies of all of its tiles, through which each tile of
    /// rows goes.
    bool panel = false;
    /// If not -1: the other operand, which has these rows and takes long strides along the
    /// reduction, is copied there as well, for all rows of a trip.
    std::int64_t copied_rows = -1;
    bool squares = false;      ///< memory that is read across its rows is transposed in registers
    bool contraction = false;  ///< operands are reused: the vector range's blocks run outermost
    /// If there: the ranges that run in parallel, and nothing else does.
    std::optional<std::vector<Ref>> trips;
};

/// Lanes of vectors along range v: as many as fit of the widest elements and floats along it.
/// Integers that are only computed, positions and labels, may take several registers.
int vector_lanes(const Analysis& analysis, std::int64_t v, const Target& target);

/// Whether v may run in vectors of so many lanes: not where its order matters, but for running sums
/// and extremes of memory that lies side by side.
bool may_be_vector(const Analysis& analysis, std::int64_t v, int lanes);

/// The ranges of plan.trips.
std::uint64_t trips_mask(const Plan& plan);

/// `trips`, where given, are the ranges that run in parallel; nothing else is done to them. With
/// `copies`, an operand may be copied for all rows of a trip.
Plan choose(const Analysis& analysis, const Target& target,
            std::optional<std::vector<Ref>> trips = {}, bool copies = false);

/// That plan, then others that were weighed, about as they promise: for BEAM, which measures them.
std::vector<Plan> choose_several(const Analysis& analysis, const Target& target,
                                 const std::optional<std::vector<Ref>>& trips, bool copies);

/// Applies the plan to the kernel of this analysis: ranges get their roles, unrolled ones are
/// expanded.
Placed apply(Form& form, const Analysis& before, const Plan& plan);

}  // namespace sinter::codegen
