#include <sinter/info.h>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/disk_cache.h>
#include <sinter/runtime/llvm.h>
#include <sinter/runtime/machine.h>
#include <sinter/runtime/nvrtc.h>
#include <sinter/runtime/target.h>

namespace sinter {

SystemInfo system_info() {
    SystemInfo info;
    info.version = SINTER_VERSION;  // by CMake
    info.threads = runtime::thread_count();
    DeviceInfo cpu{"CPU", false, ""};
    try {
        const runtime::llvm::Api& llvm = runtime::llvm::api();
        info.llvm_version = llvm.version();
        info.llvm_path = llvm.path;
        const codegen::Target& target = runtime::host_target();
        info.cpu = target.cpu;
        info.vector_bits = target.vector_bits;
        cpu.usable = true;
        cpu.description = target.cpu + ", " + std::to_string(target.vector_bits) +
                          "-bit vectors, " + std::to_string(info.threads) +
                          (info.threads == 1 ? " thread" : " threads");
    } catch (const BackendError& error) {
        info.llvm_path = error.what();
        cpu.description = "LLVM cannot be opened";
    }
    info.devices.push_back(std::move(cpu));
    DeviceInfo gpu{"CUDA", false, ""};
    try {
        gpu.description = runtime::cuda::Gpu::instance().description();
        gpu.usable = true;
    } catch (const Error& error) {
        gpu.description = error.what();
    }
    try {
        const runtime::nvrtc::Api& nvrtc = runtime::nvrtc::api();
        info.nvrtc_version = nvrtc.version();
        info.nvrtc_path = nvrtc.path;
    } catch (const BackendError& error) {
        info.nvrtc_path = error.what();
        gpu.usable = false;
    }
    info.devices.push_back(std::move(gpu));
    info.devices.push_back({"REF", true, "the oracle: evaluates op by op, slowly and exactly"});

    const runtime::DiskCache& cache = runtime::DiskCache::instance();
    if (cache.enabled()) {
        info.cache_folder = cache.folder().string();
        const runtime::DiskCache::Size size = cache.size();
        info.cache_entries = size.entries;
        info.cache_bytes = size.bytes;
        info.cache_cap_bytes = cache.cap_bytes();
    }
    return info;
}

MachineLimits machine_limits(bool measure) {
    const runtime::Machine& machine = measure ? runtime::measured_machine() : runtime::machine();
    MachineLimits limits;
    limits.measured = machine.measured;
    limits.f32_flops = machine.f32_flops;
    limits.bf16_flops = machine.bf16_flops;
    for (const runtime::Machine::Memory& m : machine.memory)
        limits.memory.push_back({m.bytes, m.read, m.copy});
    limits.fork_join_seconds = machine.fork_join_seconds;
    limits.barrier_seconds = machine.barrier_seconds;
    return limits;
}

double MachineLimits::seconds(double flops, double bytes, bool of_bf16) const {
    runtime::Machine machine;
    machine.f32_flops = f32_flops;
    machine.bf16_flops = bf16_flops;
    for (const Memory& m : memory)
        machine.memory.push_back({static_cast<std::size_t>(m.bytes), m.read, m.copy});
    return machine.seconds(flops, bytes, of_bf16);
}

std::vector<EnvironmentVariable> environment() {
    std::vector<EnvironmentVariable> variables;
    variables.reserve(std::size(ir::env::kEnvVars));
    for (const ir::env::EnvVar& row : ir::env::kEnvVars)
        variables.push_back({std::string(row.name), ir::env::value_of(row),
                             std::string(row.fallback), std::string(row.doc)});
    return variables;
}

}  // namespace sinter
