#include <sinter/runtime/noise.h>

namespace sinter::runtime::ref {
namespace {

thread_local Noise* active_noise = nullptr;

// The finalizer of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

}  // namespace

Noise::Noise(std::uint64_t seed) : seed_(mix(seed + 0x9E3779B97F4A7C15u)), outer_(active_noise) {
    active_noise = this;
}

Noise::~Noise() { active_noise = outer_; }

Noise* Noise::active() { return active_noise; }

double Noise::draw(std::uint64_t element) const {
    const std::uint64_t bits = mix(mix(seed_ + node_ * 0x9E3779B97F4A7C15u) + element);
    const double magnitude = 0.5 + 0x1p-54 * static_cast<double>(bits >> 11);
    return (bits & 1) != 0 ? magnitude : -magnitude;
}

int Noise::choice(std::uint64_t element) const {
    if ((seed_ & 1) != 0) return static_cast<int>(seed_ >> 1 & 3);
    return static_cast<int>(mix(mix(seed_ + node_) + element) >> 7 & 3);
}

}  // namespace sinter::runtime::ref
