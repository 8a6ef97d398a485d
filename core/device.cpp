#include <sinter/device.h>

#include <ostream>

#include <sinter/ir/error.h>
#include <sinter/runtime/realize.h>
#include <sinter/stats.h>

namespace sinter {

namespace {

std::int64_t id_of(std::string_view name, const std::source_location& where) {
    try {
        return static_cast<std::int64_t>(runtime::parse_device(name));
    } catch (const DeviceError& error) {
        throw DeviceError(at(where) + "Device: " + error.what());
    }
}

}  // namespace

Device::Device(std::string_view name, std::source_location where) : id_(id_of(name, where)) {}

std::string_view Device::name() const { return runtime::name(static_cast<runtime::DeviceId>(id_)); }

std::ostream& operator<<(std::ostream& os, Device device) { return os << device.name(); }

Device default_device() {
    return Device::from_id(static_cast<std::int64_t>(runtime::default_device()));
}

void set_default_device(Device device) {
    runtime::set_default_device(static_cast<runtime::DeviceId>(device.id()));
}

Stats stats() {
    runtime::Stats now = runtime::stats();
    Stats out;
    out.launches = now.launches;
    out.compiled = now.compiled;
    out.program_hits = now.program_hits;
    out.disk_hits = now.disk_hits;
    out.schedule_hits = now.schedule_hits;
    out.schedule_misses = now.schedule_misses;
    out.allocated_bytes = now.allocated_bytes;
    out.peak_bytes = now.peak_bytes;
    out.kernel_names = std::move(now.kernel_names);
    return out;
}

void reset_stats() { runtime::reset_stats(); }

}  // namespace sinter
