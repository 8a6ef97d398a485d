#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/cuda_driver.h>

#include "library.h"

namespace sinter::runtime::cuda {

std::string Driver::describe(Result result) const {
    const char *word = nullptr, *text = nullptr;
    if (GetErrorName(result, &word) != kSuccess || word == nullptr)
        return "error " + std::to_string(result);
    GetErrorString(result, &text);
    return std::string(word) + (text == nullptr ? "" : std::string(": ") + text);
}

std::vector<std::string> driver_search_paths() {
    const std::string chosen = ir::env::text("SINTER_CUDA");
    if (!chosen.empty()) return {chosen};
    // Never libcuda.so: toolkits have a stub of that name.
    return {"libcuda.so.1",
            "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
            "/usr/lib/aarch64-linux-gnu/libcuda.so.1",
            "/usr/lib64/libcuda.so.1",
            "/usr/local/nvidia/lib64/libcuda.so.1",
            "/usr/lib/wsl/lib/libcuda.so.1"};
}

std::unique_ptr<Driver> open_driver(std::span<const std::string> paths) {
    const auto load = [](Library& library, Driver& api) {
#define SINTER_CUDA_FUNCTION(name, symbol, parameters) library.find(api.name, #symbol);
#include <sinter/runtime/cuda_functions.inc>
#undef SINTER_CUDA_FUNCTION
    };
    std::unique_ptr<Driver> driver = open_first<Driver, DeviceError>(
        paths, "CUDA: the driver library",
        "Install NVIDIA's driver (Debian package libcuda1), or set SINTER_CUDA to the path of "
        "libcuda.so.1; DEVICE=CPU runs without a GPU.",
        load);
    const auto require = [&](Result result, const std::string& what) {
        if (result != kSuccess)
            throw DeviceError("CUDA: " + what + " failed (" + driver->describe(result) + "; " +
                              driver->path +
                              "): is there a GPU that this process may use? nvidia-smi tells; "
                              "DEVICE=CPU runs without one.");
    };
    require(driver->Init(0), "cuInit");
    require(driver->DriverGetVersion(&driver->cuda), "cuDriverGetVersion");
    int devices = 0;
    require(driver->DeviceGetCount(&devices), "cuDeviceGetCount");
    if (devices == 0)
        throw DeviceError("CUDA: the driver " + driver->path +
                          " shows no GPU; DEVICE=CPU runs without one.");
    return driver;
}

}  // namespace sinter::runtime::cuda
