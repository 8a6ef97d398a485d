#pragma once
// From a kernel in the kernel form to the text of a program.

#include <cstdint>
#include <string>
#include <vector>

#include <sinter/codegen/schedule.h>
#include <sinter/ir/arena.h>

namespace sinter::codegen {

/// The machine that code is made for. All of it is part of every cache key (`key()`).
struct Target {
    enum class Kind : std::uint8_t {
        Cpu,   ///< LLVM IR; trips run on threads, a vector is a register's
        Cuda,  ///< CUDA C; trips run on teams of GPU threads, a vector is a value a thread
    };
    Kind kind = Kind::Cpu;
    std::string cpu;       ///< LLVM's name of the CPU, e.g. "sapphirerapids"; or "sm_90"
    std::string features;  ///< LLVM's feature string, "+avx512f,…"
    std::string triple;
    int vector_bits = 128;  ///< widest vectors to use
    int vector_registers = 16;
    bool fma = false;
    bool native_f16 = false;             ///< conversions f16 <-> f32 in hardware (F16C)
    bool native_bf16 = false;            ///< conversion f32 -> bf16 in hardware
    bool dots_of_bf16 = false;           ///< instruction that adds two products of bf16 to an f32
    bool fast_dots_of_bf16 = false;      ///< two of which take no longer than multiply-adds of f32
    bool tiles_of_bf16 = false;          ///< instructions that multiply tiles of bf16 (AMX)
    bool tiles_of_bytes = false;         ///< the same of 8-bit integers
    bool dots_of_bytes = false;          ///< instruction that adds four products u8 * i8 to an i32
    std::int64_t cache_bytes = 2 << 20;  ///< of a core's second-level cache
    int threads = 1;                     ///< for choices of grain; results do not depend on it
    std::string key() const;
};

/// Signature of every phase of a compiled CPU kernel. `blocks` and `scalars` are by Param and
/// Variable slot; `shared` is the launch's scratch, `thread` the calling thread's; `check` is the
/// calling thread's record {check id + 1, index} of an index out of range (first wins; zero: none);
/// trips [begin, end) of the phase are run.
using KernelFunction = void (*)(void* const* blocks, const std::int64_t* scalars, void* shared,
                                void* thread, std::int64_t* check, std::int64_t begin,
                                std::int64_t end);

/// Part of a kernel between two barriers.
struct Phase {
    std::string symbol;
    std::int64_t trips = 1;        ///< number of parallel trips; see trips_slot
    std::int32_t trips_slot = -1;  ///< if not -1: trips = ceil(scalars[slot] / trips_step) instead
    std::int64_t trips_step = 1;
    double trip_cost =
        0;          ///< estimated nanoseconds a trip on one core: when is a second thread worth it
    int lanes = 1;  ///< GPU: threads of the team that runs a trip
    int teams = 1;  ///< GPU: teams of a block
};

struct Program {
    std::string source;  ///< LLVM IR; or CUDA C, to stand behind cuda_prelude()
    std::vector<Phase> phases;
    std::int64_t shared_bytes = 0;  ///< scratch of a launch
    std::int64_t thread_bytes = 0;  ///< scratch of a thread; GPU: of a team, in shared memory
    std::string schedule;           ///< what Schedule::parse reads
};

/// Chooses a schedule, or takes the one that is given, and renders. `name` is a C identifier and
/// becomes the prefix of the symbols. Throws InternalError for graphs that break the spec of the
/// kernel form, and ValueError for a given schedule that the kernel cannot have, quoting its step.
/// Deterministic: equal kernels give equal text.
Program lower(ir::Ref sink, const std::string& name, const Target& target,
              const Schedule* schedule = nullptr);

/// What CUDA C of kernels begins with: types, conversions, what threads of a team exchange. It
/// includes nothing. `docs/cuda.md` says what a prelude has to define, for those who put another in
/// its place.
const std::string& cuda_prelude();

}  // namespace sinter::codegen
