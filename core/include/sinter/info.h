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
