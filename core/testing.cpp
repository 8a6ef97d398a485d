#include <sinter/runtime/noise.h>
#include <sinter/testing.h>

namespace sinter {

RefNoise::RefNoise(std::uint64_t seed) : noise_(std::make_unique<runtime::ref::Noise>(seed)) {}
RefNoise::~RefNoise() = default;

}  // namespace sinter
