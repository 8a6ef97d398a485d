#pragma once
// BEAM: schedules of a kernel held against each other on the machine, and the database of those
// that won.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <sinter/codegen/candidates.h>
#include <sinter/runtime/disk_cache.h>

namespace sinter::runtime {

/// What a kernel has written to one of its operands.
struct Written {
    DType dtype;
    std::vector<std::byte> bytes;
};

/// Whether a kernel that gives `other` may stand for one that gives `values`: integers and bools
/// are equal to the last bit, floats but for what another order of sums does to them, as far as
/// their dtype shows it; NaN and infinities are where they were.
bool agree(std::span<const Written> values, std::span<const Written> other);

/// Where the candidates of one kernel run, all from the same operands.
class Bench {
public:
    Bench() = default;
    virtual ~Bench() = default;
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;

    /// Makes programs by these schedules; they are numbered on from those before. Says of each
    /// whether it can run.
    virtual std::vector<bool> add(std::span<const codegen::Schedule> schedules) = 0;
    /// What a run of the candidate writes, every time from the same operands.
    virtual std::vector<Written> results(std::size_t candidate) = 0;
    /// Nanoseconds of a run.
    virtual double run(std::size_t candidate) = 0;
};

struct Search {
    /// The fastest whose numbers are right; nothing where the cost model's choice is not beaten.
    std::optional<codegen::Schedule> winner;
    double first = 0, best = 0;  ///< nanoseconds of the cost model's choice, and of the fastest
    std::size_t measured = 0;    ///< candidates, with the first
    std::size_t wrong = 0;       ///< those of them whose numbers were not the first one's
};

/// Measures n candidates that the cost model weighs; then n that differ from the best by a step,
/// and so on while that gains something. Each must first give the numbers that the first one gives.
/// `discarded`, if given, is told of those that do not.
Search search(codegen::Candidates& candidates, Bench& bench, std::size_t n,
              const std::function<void(const codegen::Schedule&)>& discarded = {});

/// What was found for a kernel on a machine.
struct Tuned {
    std::string schedule;  ///< as text; empty: the cost model's choice is the best known
    double nanoseconds = 0;
    std::int64_t effort = 0;  ///< the BEAM that it was found with
};

/// Winners by kernel and machine: in memory, and in the folder `tuned` of the disk cache, with all
/// that holds for that (disk_cache.h). An entry that cannot be read counts as absent. Any thread
/// may call.
class TuningDatabase {
public:
    /// `disk` says which folder to use, at the time of each call.
    explicit TuningDatabase(std::function<DiskCache&()> disk);
    static TuningDatabase& instance();

    std::optional<Tuned> find(const std::string& key);
    void keep(const std::string& key, const Tuned& tuned);
    /// Forgets what is in memory.
    void clear();

private:
    const std::function<DiskCache&()> disk_;
    std::mutex mutex_;
    std::unordered_map<std::string, Tuned> known_;
};

/// Since the start of the process, for tests.
struct TuneCounts {
    std::uint64_t searches = 0;  ///< kernels whose candidates were measured
    std::uint64_t found = 0;     ///< kernels that the database had
    std::uint64_t winners = 0;   ///< kernels that run by another schedule than the cost model's
    std::uint64_t wrong = 0;     ///< candidates discarded for their numbers
};
TuneCounts tune_counts();

}  // namespace sinter::runtime
