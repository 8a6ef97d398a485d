#include <sinter/runtime/noise.h>
#include <sinter/runtime/pins.h>
#include <sinter/testing.h>

#include <utility>

namespace sinter {

RefNoise::RefNoise(std::uint64_t seed) : noise_(std::make_unique<runtime::ref::Noise>(seed)) {}
RefNoise::~RefNoise() = default;

PinnedSchedule::PinnedSchedule(std::string kernel, const std::string& schedule)
    : pin_(std::make_unique<runtime::Pin>(std::move(kernel), schedule)) {}
PinnedSchedule::~PinnedSchedule() = default;

}  // namespace sinter
