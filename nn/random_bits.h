#pragma once
// Random numbers for data on the host. Written out, because the distributions of <random> differ
// between standard libraries, and data sets must not.

#include <cmath>
#include <cstdint>
#include <numbers>

namespace sinter::nn {

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
class RandomBits {
public:
    explicit RandomBits(std::uint64_t seed, std::uint64_t stream = 0)
        : state_(mix(seed + kGamma) ^ mix(mix(stream + 1) + kGamma)) {}

    std::uint64_t next() { return mix(state_ += kGamma); }
    /// In [0, 1).
    double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }
    double uniform(double lo, double hi) { return lo + (hi - lo) * uniform(); }
    double normal() {  // Box and Muller
        const double radius = std::sqrt(-2 * std::log(1 - uniform()));
        return radius * std::cos(2 * std::numbers::pi * uniform());
    }
    /// In [0, n), every number equally likely.
    std::uint64_t below(std::uint64_t n) {
        const std::uint64_t unfair = (0 - n) % n;  // 2^64 mod n
        for (;;) {
            const std::uint64_t bits = next();
            if (bits >= unfair) return bits % n;
        }
    }

private:
    static constexpr std::uint64_t kGamma = 0x9E3779B97F4A7C15;
    static std::uint64_t mix(std::uint64_t z) {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
    std::uint64_t state_;
};

}  // namespace sinter::nn
