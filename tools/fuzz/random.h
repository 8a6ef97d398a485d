#pragma once
// A small random generator whose numbers are the same everywhere.

#include <cstdint>
#include <vector>

namespace fuzz {

class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}

    // SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }
    /// low <= n <= high
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(high - low + 1));
    }
    /// [0, 1)
    double unit() { return 0x1p-53 * static_cast<double>(next() >> 11); }
    bool chance(double p) { return unit() < p; }
    template <class T>
    const T& of(const std::vector<T>& all) {
        return all[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(all.size()) - 1))];
    }

private:
    std::uint64_t state_;
};

}  // namespace fuzz
