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
#include <sinter/runtime/nvrtc.h>
#include <sinter/runtime/pool.h>
#include <sinter/runtime/target.h>

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

// The trace of PROFILE: Chrome's JSON array form, which may end without its bracket, so that a
// process that dies leaves a readable file.
class Trace {
public:
    static Trace* instance() {
        static Trace* trace =
            ir::env::text("PROFILE").empty() ? nullptr : new Trace(ir::env::text("PROFILE"));
        return trace;
    }
    void write(const LaunchReport& launch) {
        if (file_ == nullptr) return;
        const double at = Nanoseconds(launch.begin - start_).count() / 1000;
        const double took = Nanoseconds(launch.end - launch.begin).count() / 1000;
        const std::lock_guard lock(output_mutex());
        std::fprintf(
            file_,
            "%s{\"name\":\"%s\",\"ph\":\"X\",\"pid\":%d,\"tid\":1,\"ts\":%.3f,\"dur\":%.3f,"
            "\"args\":{\"segments\":%zu,\"trips\":%lld,\"parallel\":%s}}",
            first_ ? "[\n" : ",\n", launch.kernel->name.c_str(), getpid(), at, took,
            launch.segments, static_cast<long long>(launch.trips),
            launch.parallel ? "true" : "false");
        first_ = false;
        std::fflush(file_);
    }

private:
    explicit Trace(const std::string& path) : file_(std::fopen(path.c_str(), "w")) {
        if (file_ == nullptr)
            std::fprintf(stderr, "sinter: PROFILE=%s cannot be written; there will be no trace\n",
                         path.c_str());
    }
    std::FILE* file_;
    bool first_ = true;
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

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

bool wants_launches() { return ir::env::debug() >= 1 || Trace::instance() != nullptr; }

void report_launch(const LaunchReport& launch) {
    if (Trace* trace = Trace::instance()) trace->write(launch);
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
        const double segments = static_cast<double>(launch.segments);
        line +=
            rate_text(static_cast<double>(launch.kernel->flops) * segments / took * 1e9, "GFLOP/s");
        line +=
            rate_text(static_cast<double>(launch.kernel->bytes) * segments / took * 1e9, "GB/s");
        char rest[128];
        std::snprintf(rest, sizeof rest, "  %8.2f MB  %lld trips, %zu %s%s",
                      static_cast<double>(launch.device == DeviceId::CUDA
                                              ? cuda::Gpu::instance().stats().in_use
                                              : Allocator::instance().stats().in_use) /
                          1e6,
                      static_cast<long long>(launch.trips), launch.segments,
                      launch.segments == 1 ? "segment" : "segments",
                      launch.parallel ? ", parallel" : "");
        line += rest;
    }
    const std::lock_guard lock(output_mutex());
    std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace sinter::runtime
