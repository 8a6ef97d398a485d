#include <sinter/runtime/cuda_device.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include <sinter/ir/error.h>
#include <sinter/runtime/allocator.h>

namespace sinter::runtime::cuda {
namespace {

std::atomic<Gpu*> opened{nullptr};

Pointer address(const void* data) { return reinterpret_cast<Pointer>(data); }

std::string bytes_text(std::size_t bytes) { return std::to_string(bytes) + " bytes"; }

// Larger blocks than the CPU's smallest: the driver hands out 512 bytes at least.
std::size_t class_of(std::size_t bytes) {
    return Allocator::class_of(std::max<std::size_t>(bytes, 512));
}

}  // namespace

codegen::Target target_of(const std::string& arch) {
    codegen::Target target;
    target.kind = codegen::Target::Kind::Cuda;
    target.cpu = arch;
    target.triple = "nvptx64";
    target.fma = true;
    target.native_f16 = true;
    return target;
}

LoadedModule::~LoadedModule() {
    const Gpu& gpu = Gpu::instance();
    try {
        gpu.enter();
    } catch (const Error&) {
        return;
    }
    gpu.driver_->ModuleUnload(module_);
}

Function LoadedModule::function(const std::string& name) const {
    const Gpu& gpu = Gpu::instance();
    gpu.enter();
    Function function = nullptr;
    gpu.require(gpu.driver_->ModuleGetFunction(&function, module_, name.c_str()),
                "cuModuleGetFunction of " + name);
    return function;
}

Gpu& Gpu::instance() {
    static std::mutex mutex;
    if (Gpu* known = opened.load(std::memory_order_acquire)) return *known;
    const std::lock_guard lock(mutex);
    if (opened.load(std::memory_order_relaxed) == nullptr)
        opened.store(new Gpu(open_driver(driver_search_paths())), std::memory_order_release);
    return *opened.load(std::memory_order_relaxed);
}

bool Gpu::is_open() { return opened.load(std::memory_order_acquire) != nullptr; }

Gpu::Gpu(std::unique_ptr<Driver> driver) : driver_(std::move(driver)) {
    require(driver_->DeviceGet(&device_, 0), "cuDeviceGet");
    char name[256] = {};
    require(driver_->DeviceGetName(name, sizeof name - 1, device_), "cuDeviceGetName");
    name_ = name;
    require(driver_->DeviceTotalMem(&total_, device_), "cuDeviceTotalMem");
    int major = 0, minor = 0;
    require(driver_->DeviceGetAttribute(&major, kComputeMajor, device_), "cuDeviceGetAttribute");
    require(driver_->DeviceGetAttribute(&minor, kComputeMinor, device_), "cuDeviceGetAttribute");
    require(driver_->DeviceGetAttribute(&processors_, kProcessors, device_),
            "cuDeviceGetAttribute");
    target_ = target_of("sm_" + std::to_string(major) + std::to_string(minor));
    // The context that other libraries of this process use as well.
    require(driver_->DevicePrimaryCtxRetain(&context_, device_), "cuDevicePrimaryCtxRetain");
    enter();
    require(driver_->StreamCreate(&stream_, kStreamNonBlocking), "cuStreamCreate");
}

std::string Gpu::description() const {
    char text[64];
    std::snprintf(text, sizeof text, ", %d processors, %.1f GiB, CUDA ", processors_,
                  static_cast<double>(total_) / (1 << 30));
    return name_ + ", " + target_.cpu + text + driver_->version();
}

void Gpu::enter() const { require(driver_->CtxSetCurrent(context_), "cuCtxSetCurrent"); }

void Gpu::require(Result result, const std::string& what) const {
    if (result != kSuccess)
        throw BackendError("CUDA: " + what + " failed on " + (name_.empty() ? "the GPU" : name_) +
                           ": " + driver_->describe(result));
}

// --- memory

void* Gpu::allocate(std::size_t bytes) {
    const std::size_t size = class_of(bytes);
    const std::lock_guard lock(mutex_);
    const auto refuse = [&] {
        return OutOfMemoryError("out of memory on " + name_ + ": " + bytes_text(bytes) +
                                " asked for, " + bytes_text(stats_.in_use) + " in use, " +
                                bytes_text(total_) +
                                " there; free tensors, or work in smaller pieces");
    };
    if (size == 0 || size > total_) throw refuse();
    Pointer data = 0;
    if (const auto found = kept_.find(size); found != kept_.end() && !found->second.empty()) {
        data = found->second.back();
        found->second.pop_back();
        stats_.kept -= size;
    } else {
        enter();
        Result result = driver_->MemAlloc(&data, size);
        if (result == kOutOfMemory && stats_.kept != 0) {
            drop_kept();
            result = driver_->MemAlloc(&data, size);
        }
        if (result == kOutOfMemory) throw refuse();
        require(result, "cuMemAlloc of " + bytes_text(size));
    }
    stats_.in_use += size;
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    return reinterpret_cast<void*>(data);
}

void Gpu::free(void* data, std::size_t bytes) {
    const std::size_t size = class_of(bytes);
    const std::lock_guard lock(mutex_);
    stats_.in_use -= size;
    stats_.kept += size;
    kept_[size].push_back(address(data));
}

void Gpu::drop_kept() {
    // cuMemFree waits for kernels that still use the memory.
    for (auto& [size, blocks] : kept_)
        for (const Pointer block : blocks) require(driver_->MemFree(block), "cuMemFree");
    kept_.clear();
    stats_.kept = 0;
}

void Gpu::upload(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    enter();
    require(driver_->MemcpyHtoDAsync(address(to), from, bytes, stream_),
            "cuMemcpyHtoD of " + bytes_text(bytes));
    require(driver_->StreamSynchronize(stream_), "cuStreamSynchronize");
}

void Gpu::download(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    enter();
    require(driver_->MemcpyDtoHAsync(to, address(from), bytes, stream_),
            "cuMemcpyDtoH of " + bytes_text(bytes));
    require(driver_->StreamSynchronize(stream_), "cuStreamSynchronize");
}

void Gpu::copy(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    enter();
    require(driver_->MemcpyDtoDAsync(address(to), address(from), bytes, stream_),
            "cuMemcpyDtoD of " + bytes_text(bytes));
}

void Gpu::clear(void* data, std::size_t bytes) {
    enter();
    require(driver_->MemsetD8Async(address(data), 0, bytes, stream_),
            "cuMemsetD8 of " + bytes_text(bytes));
}

void Gpu::synchronize() {
    enter();
    require(driver_->StreamSynchronize(stream_), "cuStreamSynchronize");
}

Gpu::Stats Gpu::stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
}

void Gpu::reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak = stats_.in_use;
}

// --- code

std::shared_ptr<const LoadedModule> Gpu::load(const std::string& cubin, const std::string& name) {
    enter();
    char log[4096] = {};
    int options[] = {kJitErrorLog, kJitErrorLogBytes};
    void* values[] = {log, reinterpret_cast<void*>(sizeof log - 1)};
    Module module = nullptr;
    const Result result = driver_->ModuleLoadDataEx(&module, cubin.data(), 2, options, values);
    require(result, "cuModuleLoadData of " + name + (log[0] == '\0' ? "" : " (") + log +
                        (log[0] == '\0' ? "" : ")"));
    return std::shared_ptr<const LoadedModule>(new LoadedModule(module));
}

void Gpu::launch(Function function, const std::string& name, const LaunchShape& shape,
                 std::span<void*> parameters) {
    enter();
    const Result result =
        driver_->LaunchKernel(function, shape.grid, 1, 1, shape.block, 1, 1, shape.shared_bytes,
                              stream_, parameters.data(), nullptr);
    if (result != kSuccess)
        require(result, "cuLaunchKernel of " + name + " (" + std::to_string(shape.grid) +
                            " blocks of " + std::to_string(shape.block) + " threads, " +
                            bytes_text(shape.shared_bytes) + " of shared memory)");
}

}  // namespace sinter::runtime::cuda
