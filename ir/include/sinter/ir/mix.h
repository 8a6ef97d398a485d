#pragma once
// Well mixed bits, for hashes and for numbers drawn by a counter.

#include <cstdint>

namespace sinter::ir {

/// What to add to a counter from one number to the next.
inline constexpr std::uint64_t kMixStep = 0x9E3779B97F4A7C15;

/// A one-to-one function of 64 bits, every bit of which depends on all (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", 2014).
constexpr std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

}  // namespace sinter::ir
