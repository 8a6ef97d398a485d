#pragma once
// The CUDA driver, opened at run time: neither its headers nor the library are needed to build
// Sinter.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sinter::runtime::cuda {

// The driver's handles, under our names.
using Result = int;  // CUresult
using Device = int;
using Pointer = unsigned long long;  // CUdeviceptr
using Context = struct OpaqueContext*;
using Stream = struct OpaqueStream*;
using Module = struct OpaqueModule*;
using Function = struct OpaqueFunction*;

inline constexpr Result kSuccess = 0, kOutOfMemory = 2;  // CUDA_SUCCESS, CUDA_ERROR_OUT_OF_MEMORY
inline constexpr int kComputeMajor = 75, kComputeMinor = 76,
                     kProcessors = 16;  // CUdevice_attribute
inline constexpr unsigned kStreamNonBlocking = 1;
inline constexpr int kJitErrorLog = 5, kJitErrorLogBytes = 6;  // CUjit_option

/// The functions of an opened driver.
struct Driver {
#define SINTER_CUDA_FUNCTION(name, symbol, parameters) Result(*name) parameters = nullptr;
#include <sinter/runtime/cuda_functions.inc>
#undef SINTER_CUDA_FUNCTION

    int cuda = 0;      ///< 13000 is CUDA 13.0
    std::string path;  ///< as it was found
    std::string version() const {
        return std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10);
    }
    /// "CUDA_ERROR_INVALID_VALUE: invalid argument".
    std::string describe(Result result) const;
};

/// Where the driver is looked for, in order: SINTER_CUDA alone if it is set, else libcuda.so.1 by
/// the loader, then the folders that distributions and containers use.
std::vector<std::string> driver_search_paths();

/// Opens and initialises the first driver of `paths`. Throws DeviceError that lists what was tried
/// and says what to install, or says that the driver finds no GPU.
std::unique_ptr<Driver> open_driver(std::span<const std::string> paths);

}  // namespace sinter::runtime::cuda
