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
    std::unique_ptr<Driver> driver;
    std::string path, tried;
    const auto accept = [&](void* library) {
        driver = std::make_unique<Driver>();
        std::string reason;
        const auto find = [&](const char* symbol) { return find_symbol(library, symbol, reason); };
#define SINTER_CUDA_FUNCTION(name, symbol, parameters) \
    driver->name = reinterpret_cast<decltype(driver->name)>(find(#symbol));
#include <sinter/runtime/cuda_functions.inc>
#undef SINTER_CUDA_FUNCTION
        return reason;
    };
    if (open_library(paths, accept, path, tried) == nullptr)
        throw DeviceError(
            "CUDA: the driver library cannot be opened. Tried:" + tried +
            "\nInstall NVIDIA's driver (Debian package libcuda1), or set SINTER_CUDA to the path "
            "of libcuda.so.1; DEVICE=CPU runs without a GPU.");
    driver->path = file_of(reinterpret_cast<const void*>(driver->Init), path);
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
