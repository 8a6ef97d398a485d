#pragma once
// The GPU that this process uses: the first that the driver shows.

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <sinter/codegen/codegen.h>
#include <sinter/runtime/cuda_driver.h>

namespace sinter::runtime::cuda {

/// Code on the GPU; unloaded when the last owner lets go.
class LoadedModule {
public:
    ~LoadedModule();
    LoadedModule(const LoadedModule&) = delete;
    LoadedModule& operator=(const LoadedModule&) = delete;
    /// Throws BackendError where the code has no such kernel.
    Function function(const std::string& name) const;

private:
    friend class Gpu;
    explicit LoadedModule(Module module) : module_(module) {}
    Module module_;
};

/// One kernel launch.
struct LaunchShape {
    unsigned grid, block, shared_bytes;
};

/// Everything goes to one stream, so what one thread hands over runs after all that was handed over
/// before, and memory may be given to another once its last user has been launched. Any thread may
/// call. Errors of the driver are BackendErrors that name the call and what was asked; those of a
/// kernel under way come with a later call.
class Gpu {
public:
    /// The GPU of this process, opened by the first call. Throws DeviceError without driver or GPU.
    static Gpu& instance();
    /// Whether `instance` was called with success.
    static bool is_open();
    explicit Gpu(std::unique_ptr<Driver> driver);
    ~Gpu() = delete;  // as the driver may be gone before
    Gpu(const Gpu&) = delete;
    Gpu& operator=(const Gpu&) = delete;

    const std::string& name() const { return name_; }
    const Driver& driver() const { return *driver_; }
    const codegen::Target& target() const { return target_; }
    /// "NVIDIA H200, sm_90, 132 processors, 139.8 GiB, CUDA 13.0".
    std::string description() const;
    std::size_t total_bytes() const { return total_; }
    int processors() const { return processors_; }

    /// At least `bytes` bytes, never null, aligned to 256. Throws OutOfMemoryError. Freed memory is
    /// kept for the next run.
    void* allocate(std::size_t bytes);
    /// `bytes` as it was asked for.
    void free(void* data, std::size_t bytes);

    void upload(void* to, const void* from, std::size_t bytes);    ///< has read `from` on return
    void download(void* to, const void* from, std::size_t bytes);  ///< waits for what came before
    void copy(void* to, const void* from, std::size_t bytes);
    void clear(void* data, std::size_t bytes);  ///< to zeros
    void synchronize();

    std::shared_ptr<const LoadedModule> load(const std::string& cubin, const std::string& name);
    void launch(Function function, const std::string& name, const LaunchShape& shape,
                std::span<void*> parameters);

    struct Stats {
        std::size_t in_use = 0, peak = 0, kept = 0;
    };
    Stats stats() const;
    void reset_peak();

private:
    friend class LoadedModule;
    void enter() const;  // makes the context the calling thread's
    void require(Result result, const std::string& what) const;
    void drop_kept();  // with the mutex held

    const std::unique_ptr<Driver> driver_;
    Device device_ = 0;
    Context context_ = nullptr;
    Stream stream_ = nullptr;
    std::string name_;
    std::size_t total_ = 0;
    int processors_ = 0;
    codegen::Target target_;
    mutable std::mutex mutex_;
    std::map<std::size_t, std::vector<Pointer>> kept_;  // by class
    Stats stats_;
};

/// What code is made for where a GPU is of compute capability `arch`, e.g. "sm_90".
codegen::Target target_of(const std::string& arch);

}  // namespace sinter::runtime::cuda
