#include <sinter/runtime/noise.h>

#include <sinter/ir/mix.h>

namespace sinter::runtime::ref {
namespace {

thread_local Noise* active_noise = nullptr;

using ir::mix;

}  // namespace

Noise::Noise(std::uint64_t seed) : seed_(mix(seed + ir::kMixStep)), outer_(active_noise) {
    active_noise = this;
}

Noise::~Noise() { active_noise = outer_; }

Noise* Noise::active() { return active_noise; }

double Noise::draw(std::uint64_t element) const {
    const bool same_throughout = (seed_ >> 1 & 3) == 0;
    const std::uint64_t bits =
        mix(mix(seed_ + node_ * ir::kMixStep) + (same_throughout ? 0 : element));
    const double magnitude = 0.5 + 0x1p-54 * static_cast<double>(bits >> 11);
    return (bits & 1) != 0 ? magnitude : -magnitude;
}

int Noise::choice(std::uint64_t element) const {
    if ((seed_ & 1) != 0) return static_cast<int>(seed_ >> 1 & 3);
    return static_cast<int>(mix(mix(seed_ + node_) + element) >> 7 & 3);
}

}  // namespace sinter::runtime::ref
