#pragma once
// Schedules picked at random among those that are legal, for tests: whatever is legal must not
// change results.

#include <cstdint>
#include <random>

#include "replay.h"

namespace sinter::codegen {

using Random = std::mt19937_64;

/// The generator for a kernel: the same for the same seed and kernel.
Random random_for(std::uint64_t seed, Ref sink);

/// A cut that the kernel may have, or none.
std::optional<Step> random_cut(const Form& form, bool near_memory, Random& random);

/// A part's steps; see replay_part.
Placed random_part(Form& form, const Target& target, const std::optional<std::vector<Ref>>& trips,
                   Random& random);

}  // namespace sinter::codegen
