#pragma once
// Programs in child processes, so that a crash or a hang is a result.

#include <functional>
#include <string>

#include "check.h"

namespace fuzz {

/// Judges a program in a process of its own.
Outcome check_apart(const Program& program, const Judge& judge);

/// What a worker has done so far, in memory that its parent sees.
struct Progress {
    std::uint64_t started = 0;  ///< programs begun
    std::uint64_t finished = 0;
    std::uint64_t steps = 0;
    Verdict verdict = Verdict::Same;  ///< of the last program begun
    char why[2000] = {};
};

/// Runs `work` in a child until it returns, dies, or finishes no program for `patience` seconds.
/// True if it returned.
bool run_worker(Progress& progress, double patience, const std::function<void(Progress&)>& work);
/// Memory that a worker and its parent share.
Progress& shared_progress();

}  // namespace fuzz
