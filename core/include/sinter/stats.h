#pragma once
// What the runtime has done so far.

#include <cstdint>
#include <string>
#include <vector>

namespace sinter {

/// Counts since the start of the process or the last reset.
struct Stats {
    std::uint64_t launches = 0;         ///< kernels run
    std::uint64_t compiled = 0;         ///< kernels turned into machine code
    std::uint64_t program_hits = 0;     ///< programs found in memory
    std::uint64_t disk_hits = 0;        ///< programs found on disk
    std::uint64_t schedule_hits = 0;    ///< realizes that found their schedule
    std::uint64_t schedule_misses = 0;  ///< realizes that made one
    std::uint64_t allocated_bytes = 0;  ///< in use now
    std::uint64_t peak_bytes = 0;
    std::vector<std::string> kernel_names;  ///< of the launches, in order, at most 10,000
};

Stats stats();
void reset_stats();

}  // namespace sinter
