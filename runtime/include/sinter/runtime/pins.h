#pragma once
// Schedules that the caller has chosen for kernels, by their names.

#include <cstdint>
#include <memory>
#include <string>

#include <sinter/codegen/schedule.h>

namespace sinter::runtime {

/// Kernels of this name that are planned while it lives run by this schedule, on all devices that
/// have schedules; of two pins of one name the later one counts. Throws ValueError for text that is
/// no schedule. Any thread may make one.
class Pin {
public:
    Pin(std::string kernel, const std::string& schedule);
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

private:
    std::int64_t id_;
};

/// The schedule that is pinned to kernels of this name; null if none is.
std::shared_ptr<const codegen::Schedule> pinned_schedule(const std::string& kernel);

/// 0 without pins; else a number that no other set of pins has had in this process.
std::int64_t pins_now();

}  // namespace sinter::runtime
