#pragma once
// Where tensors live.

#include <cstdint>
#include <iosfwd>
#include <source_location>
#include <string_view>

namespace sinter {

/// A device by name: "CPU" or "REF" (the oracle: slow, simple, for checking results).
class Device {
public:
    /// Throws DeviceError naming the devices there are.
    explicit Device(std::string_view name,
                    std::source_location where = std::source_location::current());
    std::string_view name() const;
    std::int64_t id() const { return id_; }
    friend bool operator==(Device a, Device b) { return a.id_ == b.id_; }

    /// The device with this number, as the IR counts them.
    static Device from_id(std::int64_t id) { return Device(id); }

private:
    explicit Device(std::int64_t id) : id_(id) {}
    std::int64_t id_;
};

std::ostream& operator<<(std::ostream& os, Device device);

/// The device of new tensors: what was set last, else the environment variable DEVICE, else CPU.
Device default_device();
void set_default_device(Device device);

/// Sets the default device while it lives.
class DeviceGuard {
public:
    explicit DeviceGuard(Device device) : before_(default_device()) { set_default_device(device); }
    ~DeviceGuard() { set_default_device(before_); }
    DeviceGuard(const DeviceGuard&) = delete;
    DeviceGuard& operator=(const DeviceGuard&) = delete;

private:
    Device before_;
};

}  // namespace sinter
