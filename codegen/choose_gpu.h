#pragma once
// Schedules for a GPU: which ranges are the grid, which the threads of a team, what a thread keeps.

#include <cstdint>

#include <sinter/codegen/codegen.h>

#include "choose.h"
#include "phases.h"

namespace sinter::codegen {

/// What runs a trip on a GPU: `lanes` threads, 1, 32 (a warp) or a block.
struct Team {
    int lanes = 1;
    int per_block = 1;
};

/// Chunks of a long reduction: enough to keep a GPU busy.
inline constexpr ChunkLimits kGpuChunks{1 << 12, 1 << 10};

/// What is tried beside the choice, by BEAM.
enum class GpuVariant : std::uint8_t {
    Chosen,
    NoSharedTiles,  ///< operands are read where they lie
    ThreadATrip,    ///< no team shares a trip
    OtherTeam,      ///< a warp where a block would, and the other way round
    NoCopies,       ///< a thread computes one result
};
inline constexpr std::size_t kGpuVariants = 5;

/// Chooses and applies a schedule in the vocabulary of transform.h. Trips are the ranges of all
/// stores, those along which memory lies side by side running fastest, so that the threads of a
/// warp read neighbours. Where reductions have such memory, or trips are few, a team of threads
/// shares a trip: its lanes are the Vector range. Otherwise a thread runs a trip: 16 bytes of
/// neighbours where it can, and a tile of results of a contraction.
Placed schedule_for_gpu(Form& form, bool plain, GpuVariant variant = GpuVariant::Chosen);

/// The team that runs the trips of a phase: as many a block as fit its shared memory and leave
/// blocks enough.
Team team_of(Ref sink, std::int64_t trips, std::int64_t team_bytes);

}  // namespace sinter::codegen
