#pragma once
// What Sinter found on this machine, and what can be set.

#include <cstdint>
#include <string>
#include <vector>

namespace sinter {

/// A device by name, with a line about it or the reason why it cannot be used.
struct DeviceInfo {
    std::string name;
    bool usable;
    std::string description;
};

struct SystemInfo {
    std::string version;  ///< of Sinter
    std::vector<DeviceInfo> devices;
    std::string llvm_version;   ///< empty where LLVM cannot be opened
    std::string llvm_path;      ///< where it was found; else why it was not
    std::string nvrtc_version;  ///< empty where NVRTC cannot be opened
    std::string nvrtc_path;     ///< where it was found; else why it was not
    std::string cpu;            ///< LLVM's name of the CPU that code is made for
    int vector_bits = 0;
    int threads = 0;           ///< that run kernels
    std::string cache_folder;  ///< empty: no programs are kept on disk
    std::uint64_t cache_entries = 0, cache_bytes = 0, cache_cap_bytes = 0;
};

/// What this machine can do at most, with all the threads that run kernels.
struct MachineLimits {
    bool measured = false;  ///< else guessed from the CPU's features
    double f32_flops = 0;   ///< operations a second in multiply-adds of f32
    double bf16_flops = 0;  ///< in products of bf16; 0: no instruction for it
    struct Memory {
        std::uint64_t bytes;  ///< working set; of a copy: source and destination
        double read, copy;    ///< bytes a second
    };
    std::vector<Memory> memory;
    double fork_join_seconds = 0;  ///< an empty loop over all threads
    double barrier_seconds = 0;    ///< threads waiting for one another once

    /// The least time that so many operations on so many bytes can take; 0 for none.
    double seconds(double flops, double bytes, bool of_bf16 = false) const;
};

/// Measured in this process or an earlier one (the cache folder keeps it), else a guess; with
/// `measure` in place of a guess it is measured now, which takes about a second. Opens LLVM.
MachineLimits machine_limits(bool measure = true);

/// Opens LLVM, NVRTC and the CUDA driver if that has not been done, and reads the cache folder.
/// Throws ValueError for an environment variable that makes no sense.
SystemInfo system_info();

/// One of the environment variables that Sinter reads.
struct EnvironmentVariable {
    std::string name;
    std::string value;     ///< as it is in effect
    std::string fallback;  ///< its value where the environment says nothing
    std::string doc;       ///< one sentence
};

/// All of them.
std::vector<EnvironmentVariable> environment();

}  // namespace sinter
