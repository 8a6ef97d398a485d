#pragma once
// For programs that hold devices against each other, and kernels against their schedules.

#include <cstdint>
#include <memory>
#include <string>

namespace sinter {

namespace runtime::ref {
class Noise;
}
namespace runtime {
class Pin;
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

/// While one lives, kernels of this name (as DEBUG=1 prints it) run by this schedule, whatever the
/// cost model would choose: the text that DEBUG=3 prints, or steps of one's own (docs/codegen.md).
/// Of two of one name the later one counts. Steps that the kernel cannot have, or that would change
/// its results, are refused by the realize() that plans the kernel, with a ValueError that quotes
/// them. Throws ValueError for text that is no schedule.
class PinnedSchedule {
public:
    PinnedSchedule(std::string kernel, const std::string& schedule);
    ~PinnedSchedule();
    PinnedSchedule(const PinnedSchedule&) = delete;
    PinnedSchedule& operator=(const PinnedSchedule&) = delete;

private:
    std::unique_ptr<runtime::Pin> pin_;
};

}  // namespace sinter
