#include "report.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include <sinter/ir/env.h>
#include <sinter/ir/print.h>
#include <sinter/runtime/allocator.h>
#include <sinter/runtime/compiler.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/machine.h>
#include <sinter/runtime/nvrtc.h>
#include <sinter/runtime/pool.h>
#include <sinter/runtime/target.h>

#include "trace.h"

namespace sinter::runtime {
namespace {

using Nanoseconds = std::chrono::duration<double, std::nano>;

// Kernels are compiled and run on many threads; a line or block is printed as one.
std::mutex& output_mutex() {
    static std::mutex& mutex = *new std::mutex;
    return mutex;
}

struct Style {
    const char *name, *number, *slow, *dim, *reset;
};
const Style& style() {
    static const Style colours{"\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[0m"};
    static const Style plain{"", "", "", "", ""};
    static const bool terminal = isatty(STDERR_FILENO) != 0 && ir::env::text("NO_COLOR").empty();
    return terminal ? colours : plain;
}

// "12.34 us", always 9 wide.
std::string time_text(double nanoseconds) {
    const char* unit = "ns";
    double value = nanoseconds;
    for (const char* next : {"us", "ms", "s "}) {
        if (value < 1000) break;
        value /= 1000;
        unit = next;
    }
    char text[32];
    std::snprintf(text, sizeof text, "%6.2f %s", value, unit);
    return text;
}

std::string rate_text(double per_second, const char* unit) {
    char text[48];
    std::snprintf(text, sizeof text, "%8.2f %s", per_second / 1e9, unit);
    return text;
}

void block(const std::string& title, const std::string& text) {
    const std::lock_guard lock(output_mutex());
    const Style& s = style();
    std::fprintf(stderr, "%s--- %s%s\n%s%s", s.dim, title.c_str(), s.reset, text.c_str(),
                 text.empty() || text.back() != '\n' ? "\n" : "");
}

void announce_device(DeviceId device) {
    static std::atomic<bool> done[3];
    if (done[static_cast<std::size_t>(device)].exchange(true)) return;
    if (device == DeviceId::CUDA) {
        const cuda::Gpu& gpu = cuda::Gpu::instance();
        const std::lock_guard lock(output_mutex());
        std::fprintf(stderr, "%sCUDA%s %s\n", style().name, style().reset,
                     gpu.description().c_str());
        return;
    }
    const codegen::Target& target = host_target();
    const std::lock_guard lock(output_mutex());
    std::fprintf(stderr, "%sCPU%s %s, %d-bit vectors, %d %s\n", style().name, style().reset,
                 target.cpu.c_str(), target.vector_bits, thread_count(),
                 thread_count() == 1 ? "thread" : "threads");
}

bool multiplies_bf16(ir::Ref sink) {
    const std::vector<ir::Ref> nodes = ir::toposort(std::span<const ir::Ref>(&sink, 1));
    return std::ranges::any_of(
        nodes, [](ir::Ref node) { return node->is(ir::Op::Load) && node->dtype() == DType::BF16; });
}

// The share of what the machine can do at most.
std::string limit_text(const LaunchReport& launch, double seconds) {
    const double least = measured_machine().seconds(static_cast<double>(launch.launch->flops),
                                                    static_cast<double>(launch.launch->bytes),
                                                    multiplies_bf16(launch.kernel->sink));
    char text[32];
    std::snprintf(text, sizeof text, " %6.1f%%", 100 * least / seconds);
    return text;
}

}  // namespace

void report_program(ir::Ref sink, const std::string& name, const codegen::Program& program,
                    const codegen::Target& target) {
    const int debug = ir::env::debug();
    if (debug >= 3) block("kernel " + name, ir::to_text(sink) + "\n" + program.schedule);
    if (debug >= 4) block("source of " + name, program.source);
    if (debug < 6) return;
    block("assembly of " + name, target.kind == codegen::Target::Kind::Cuda
                                     ? nvrtc::compile(codegen::cuda_prelude() + program.source,
                                                      name, target.cpu, {.ptx = true})
                                           .code
                                     : compile_assembly(program.source, name, target));
}

void report_tuned(const std::string& name, const Search& found) {
    if (ir::env::debug() < 2) return;
    const Style& s = style();
    std::string line = "tuned " + std::string(s.name) + name + s.reset + ": " +
                       std::to_string(found.measured) + " measured, " +
                       std::to_string(found.wrong) + " wrong, " + time_text(found.first);
    line += found.winner ? " -> " + time_text(found.best) + "\n" + found.winner->text()
                         : ", which none beats\n";
    const std::lock_guard lock(output_mutex());
    std::fputs(line.c_str(), stderr);
}

void report_discarded(const std::string& name, const codegen::Schedule& schedule) {
    if (ir::env::debug() < 2) return;
    block("other numbers for " + name + " by this schedule, which is not taken", schedule.text());
}

bool wants_launches() { return ir::env::debug() >= 1 || trace::enabled(); }

void report_launch(const LaunchReport& launch) {
    if (launch.device != DeviceId::CPU)  // the threads of the CPU tell of themselves
        trace::write(launch.kernel->name, name(launch.device), trace::thread_number(), launch.begin,
                     launch.end);
    const int debug = ir::env::debug();
    if (debug < 1) return;
    announce_device(launch.device);
    const double took = std::max(Nanoseconds(launch.end - launch.begin).count(), 1.0);
    const Style& s = style();
    std::string line = std::string(s.name) + launch.kernel->name + s.reset;
    // Aligned by what is seen, not by the colours' bytes.
    constexpr std::size_t kNameWidth = 40;
    line.append(kNameWidth - std::min(kNameWidth - 1, launch.kernel->name.size()), ' ');
    line += (took > 1e6 ? s.slow : s.number) + time_text(took) + s.reset;
    if (debug >= 2) {
        const std::size_t segments = launch.launch->segments.size();
        line += rate_text(static_cast<double>(launch.launch->flops) / took * 1e9, "GFLOP/s");
        line += rate_text(static_cast<double>(launch.launch->bytes) / took * 1e9, "GB/s");
        if (launch.device == DeviceId::CPU) line += limit_text(launch, took * 1e-9);
        char rest[128];
        std::snprintf(rest, sizeof rest, "  %8.2f MB  %lld trips, %zu %s%s",
                      static_cast<double>(launch.device == DeviceId::CUDA
                                              ? cuda::Gpu::instance().stats().in_use
                                              : Allocator::instance().stats().in_use) /
                          1e6,
                      static_cast<long long>(launch.trips), segments,
                      segments == 1 ? "segment" : "segments", launch.parallel ? ", parallel" : "");
        line += rest;
    }
    const std::lock_guard lock(output_mutex());
    std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace sinter::runtime
