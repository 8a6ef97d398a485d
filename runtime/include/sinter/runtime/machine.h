#pragma once
// What this machine can do at most: the yardstick of DEBUG=2 and of sinter-bench.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sinter/codegen/codegen.h>

namespace sinter::runtime {

/// With all threads of the pool.
struct Machine {
    /// Rates of memory for a working set of so many bytes (of a copy: source and destination), in
    /// bytes a second; a copy's count both.
    struct Memory {
        std::size_t bytes;
        double read, copy;
    };

    bool measured = false;         ///< else guessed from the CPU's features
    double f32_flops = 0;          ///< multiply-adds of f32, in operations a second (two each)
    double bf16_flops = 0;         ///< products of bf16 added up in f32; 0: no instruction for it
    std::vector<Memory> memory;    ///< by size
    double fork_join_seconds = 0;  ///< an empty loop over all threads, which are awake
    double barrier_seconds = 0;    ///< one barrier in a region

    /// Bytes a second at a working set of so many: the better of reading and copying, on the rung
    /// of the ladder that holds it.
    double bandwidth(double bytes) const;
    /// The least time that this much work on this much memory can take.
    double seconds(double flops, double bytes, bool of_bf16 = false) const;
};

/// This machine: measured if somebody has measured it, in this process or (the disk cache) another
/// one; else a guess.
const Machine& machine();
/// The same, but measured now if nobody has: about a second, all threads busy.
const Machine& measured_machine();
/// The CPU as the system names it, with its cache.
const std::string& cpu_name();
/// A guess by the features of the target.
Machine guess_machine(const codegen::Target& target);

}  // namespace sinter::runtime
