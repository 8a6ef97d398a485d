#pragma once
// For programs that hold devices against each other.

#include <cstdint>
#include <memory>

namespace sinter {

namespace runtime::ref {
class Noise;
}

/// While one lives, what this thread computes on Device("REF") has a small random error wherever
/// devices need not agree to the last bit: in functions such as exp, and in sums and products,
/// whose order is open. What must agree everywhere stays exact. So the spread of a few runs under
/// different seeds says, element by element, how far two right results may lie apart (Monte Carlo
/// arithmetic; Parker, 1997).
class RefNoise {
public:
    explicit RefNoise(std::uint64_t seed);
    ~RefNoise();
    RefNoise(const RefNoise&) = delete;
    RefNoise& operator=(const RefNoise&) = delete;

private:
    std::unique_ptr<runtime::ref::Noise> noise_;
};

}  // namespace sinter
