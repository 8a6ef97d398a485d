#include <atomic>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/realize.h>

namespace sinter::runtime {
namespace {

constexpr std::string_view kNames[] = {"CPU", "REF", "CUDA"};

constexpr std::int64_t kUnset = -1;
std::atomic<std::int64_t> chosen{kUnset};  // by set_default_device

}  // namespace

std::string_view name(DeviceId device) { return kNames[static_cast<std::size_t>(device)]; }

DeviceId parse_device(std::string_view word) {
    for (std::size_t i = 0; i < std::size(kNames); ++i)
        if (word == kNames[i]) return static_cast<DeviceId>(i);
    throw DeviceError("no device \"" + std::string(word) + "\": the devices are CPU, CUDA and REF");
}

DeviceId default_device() {
    const std::int64_t device = chosen.load(std::memory_order_relaxed);
    return device == kUnset ? parse_device(ir::env::text("DEVICE")) : static_cast<DeviceId>(device);
}

void set_default_device(DeviceId device) {
    chosen.store(static_cast<std::int64_t>(device), std::memory_order_relaxed);
}

}  // namespace sinter::runtime
