#include <sinter/runtime/target.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/llvm.h>

namespace sinter::runtime {
namespace {

bool has(const std::string& features, std::string_view feature) {
    const std::string on = "+" + std::string(feature);
    for (std::size_t at = features.find(on); at != std::string::npos;
         at = features.find(on, at + 1))
        if (at + on.size() == features.size() || features[at + on.size()] == ',') return true;
    return false;
}

// A level of x86-64: LLVM's name of it and what vectors it has.
struct Level {
    std::string_view word, cpu;
    std::string_view needs;  // a feature that the machine must have
    int vector_bits;
    int registers;
    bool fma, f16;
    std::int64_t cache_bytes;  // of such machines, as a rule
};
constexpr Level kLevels[] = {
    {"sse2", "x86-64", "sse2", 128, 16, false, false, 512 << 10},
    {"avx2", "x86-64-v3", "avx2", 256, 16, true, true, 512 << 10},
    {"avx512", "x86-64-v4", "avx512bw", 512, 32, true, true, 1 << 20},
};

// Bytes of a core's second-level cache, within what is plausible: some systems do not tell, or tell
// of a cache that all cores share.
std::int64_t second_level_cache() {
    long bytes = 0;
#if defined(_SC_LEVEL2_CACHE_SIZE)
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    if (bytes <= 0) bytes = 1 << 20;
    return std::clamp<std::int64_t>(bytes, 512 << 10, 4 << 20);
}

// Tiles are state of a thread that the system keeps for those processes alone that ask for it.
bool may_use_tiles() {
#if defined(__linux__) && defined(__x86_64__)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
    static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
    return granted;
#else
    return false;
#endif
}

codegen::Target native() {
    const llvm::Api& api = llvm::api();
    codegen::Target target;
    target.cpu = api.take(api.GetHostCPUName());
    target.features = api.take(api.GetHostCPUFeatures());
    target.triple = api.take(api.GetDefaultTargetTriple());
    const std::string& f = target.features;
    target.fma = has(f, "fma");
    target.native_f16 = has(f, "f16c");
    if (has(f, "avx512f") && has(f, "avx512vl") && has(f, "avx512dq") && has(f, "avx512bw")) {
        target.vector_bits = 512;
        target.vector_registers = 32;
        target.native_bf16 = target.dots_of_bf16 = has(f, "avx512bf16");
        target.dots_of_bytes = has(f, "avx512vnni");
        if (has(f, "amx-tile") && may_use_tiles()) {
            target.tiles_of_bf16 = target.dots_of_bf16 && has(f, "amx-bf16");
            target.tiles_of_bytes = target.dots_of_bytes && has(f, "amx-int8");
        }
    } else if (has(f, "avx2") && target.fma) {
        target.vector_bits = 256;
        target.dots_of_bytes = has(f, "avxvnni");
    }
#if defined(__aarch64__)
    target.vector_registers = 32;
    target.fma = target.native_f16 = true;
#endif
    // Intel's cores take twice as long for it as for a multiply-add.
    target.fast_dots_of_bf16 = target.dots_of_bf16 && target.cpu.starts_with("znver");
    target.cache_bytes = second_level_cache();
    target.threads = thread_count();
    return target;
}

codegen::Target at_level(const Level& level) {
    const codegen::Target machine = native();
    if (!has(machine.features, level.needs))
        throw DeviceError("SINTER_TARGET=" + std::string(level.word) + ": this machine (" +
                          machine.cpu + ") has no " + std::string(level.needs));
    codegen::Target target;
    target.cpu = level.cpu;
    target.triple = machine.triple;
    target.vector_bits = level.vector_bits;
    target.vector_registers = level.registers;
    target.fma = level.fma;
    target.native_f16 = level.f16;
    target.cache_bytes = level.cache_bytes;
    target.threads = machine.threads;
    return target;
}

// CPUs' worth of time that the control group grants, or 0 where there is no limit.
double quota_cpus() {
    std::ifstream v2("/sys/fs/cgroup/cpu.max");
    std::string quota;
    double period = 0;
    if (v2 >> quota >> period)
        return quota == "max" || period <= 0 ? 0 : std::atof(quota.c_str()) / period;
    std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"),
        v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    double granted = 0;
    if (v1_quota >> granted && v1_period >> period && granted > 0 && period > 0)
        return granted / period;
    return 0;
}

int count_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    // A machine with more CPUs than the set holds refuses the question; the library's answer will
    // do there.
    int cpus = sched_getaffinity(0, sizeof set, &set) == 0
                   ? CPU_COUNT(&set)
                   : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
    // Threads beyond the quota would be stopped in the middle of a kernel while the others spin for
    // them.
    if (const double quota = quota_cpus(); quota > 0)
        cpus = std::min(cpus, static_cast<int>(std::ceil(quota)));
    return std::max(cpus, 1);
}

}  // namespace

codegen::Target make_target(const std::string& word) {
    if (word.empty() || word == "native") return native();
    for (const Level& level : kLevels)
        if (level.word == word) return at_level(level);
    throw ValueError("SINTER_TARGET=" + word + ": the targets are sse2, avx2, avx512 and native");
}

int usable_cpus() {
    static const int cpus = count_cpus();
    return cpus;
}

int thread_count() {
    const std::int64_t chosen = ir::env::number("SINTER_THREADS");
    if (chosen < 0 || chosen > 1024)
        throw ValueError("SINTER_THREADS=" + std::to_string(chosen) +
                         ": a number from 1 to 1024, or 0 for one a core");
    return chosen == 0 ? usable_cpus() : static_cast<int>(chosen);
}

const codegen::Target& host_target() {
    static std::mutex mutex;
    static auto& targets =
        *new std::map<std::string, codegen::Target>;  // a word of SINTER_TARGET -> target
    const std::string word = ir::env::text("SINTER_TARGET");
    const std::lock_guard lock(mutex);
    const auto known = targets.find(word);
    return known != targets.end() ? known->second
                                  : targets.emplace(word, make_target(word)).first->second;
}

}  // namespace sinter::runtime
