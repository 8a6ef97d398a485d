// Prints what Sinter found on this machine, and every environment variable it reads.

#include <cstdio>
#include <string>

#include <sinter/info.h>

#include "command_line.h"
#include "tool.h"

namespace {

void row(const char* label, const std::string& text) {
    std::printf("%-10s %s\n", label, text.c_str());
}

std::string megabytes(std::uint64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / (1 << 20));
    return text;
}

void print_limits() {
    const sinter::MachineLimits limits = sinter::machine_limits();
    std::printf("\n%-22s %8.1f GFLOP/s\n", "multiply-add f32", limits.f32_flops * 1e-9);
    if (limits.bf16_flops > 0)
        std::printf("%-22s %8.1f GFLOP/s\n", "multiply-add bf16", limits.bf16_flops * 1e-9);
    for (const sinter::MachineLimits::Memory& memory : limits.memory)
        std::printf("%-22s %8.1f GB/s read, %8.1f GB/s copied\n",
                    ("memory, " + megabytes(memory.bytes)).c_str(), memory.read * 1e-9,
                    memory.copy * 1e-9);
    std::printf("%-22s %8.2f us\n%-22s %8.2f us\n", "fork and join", limits.fork_join_seconds * 1e6,
                "barrier", limits.barrier_seconds * 1e6);
}

void print() {
    const sinter::SystemInfo info = sinter::system_info();
    row("sinter", info.version);
    for (const sinter::DeviceInfo& device : info.devices)
        row(device.name.c_str(), (device.usable ? "" : "unusable: ") + device.description);
    row("LLVM",
        info.llvm_version.empty() ? info.llvm_path : info.llvm_version + ", " + info.llvm_path);
    row("NVRTC",
        info.nvrtc_version.empty() ? info.nvrtc_path : info.nvrtc_version + ", " + info.nvrtc_path);
    row("threads", std::to_string(info.threads));
    row("cache", info.cache_folder.empty()
                     ? "off"
                     : info.cache_folder + ", " + std::to_string(info.cache_entries) +
                           " programs, " + megabytes(info.cache_bytes) + " of " +
                           megabytes(info.cache_cap_bytes));
    std::printf("\n%-22s %-10s %s\n", "variable", "value", "meaning");
    for (const sinter::EnvironmentVariable& variable : sinter::environment())
        std::printf("%-22s %-10s %s\n", variable.name.c_str(),
                    variable.value.empty() ? "-" : variable.value.c_str(), variable.doc.c_str());
}

}  // namespace

int main(int argc, char** argv) {
    sinter::tool::CommandLine line(
        "Prints the devices, LLVM, NVRTC, the cache and every environment variable that Sinter "
        "reads.");
    bool measure = false;
    line.flag("--measure", measure,
              "and what this machine can do at most: measured once, in about a second, and kept");
    if (const auto status = line.read(argc, argv)) return *status;
    return sinter::tool::guarded("sinter-info", [&] {
        print();
        if (measure) print_limits();
        return 0;
    });
}
