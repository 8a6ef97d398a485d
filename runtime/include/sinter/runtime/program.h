#pragma once
// Kernels as code that can be called, and the cache of them.

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <sinter/codegen/codegen.h>
#include <sinter/runtime/compiler.h>
#include <sinter/runtime/disk_cache.h>

namespace sinter::runtime {

/// Part of a kernel between two barriers; see codegen::Phase.
struct LoadedPhase {
    codegen::KernelFunction run = nullptr;
    std::int64_t trips = 1;
    std::int32_t trips_slot = -1;
    std::int64_t trips_step = 1;
    double trip_cost = 0;

    std::int64_t trip_count(const std::int64_t* scalars) const {
        return trips_slot < 0 ? trips : (scalars[trips_slot] + trips_step - 1) / trips_step;
    }
};

/// A kernel's machine code with what a launch has to know of it.
struct LoadedProgram {
    std::string name;
    std::vector<LoadedPhase> phases;
    std::int64_t shared_bytes = 0, thread_bytes = 0;
    std::string schedule;  ///< codegen's choices, for DEBUG=3
    std::shared_ptr<const Code> code;
};

/// A kernel to load.
struct KernelRequest {
    ir::Ref sink;
    std::string name;
    std::shared_ptr<const codegen::Schedule> schedule = nullptr;  ///< null: the cost model's
};

/// Programs by what they compute and for which machine: in memory first, then on disk, else made;
/// those that are to be made are made on all threads of the pool. Any thread may call; a kernel
/// that two threads want is made once.
class ProgramCache {
public:
    using Lower = std::function<codegen::Program(const KernelRequest&, const codegen::Target&)>;
    struct Counts {
        std::uint64_t compiled = 0, hits = 0, disk_hits = 0;
    };

    /// `disk` says which folder to use, at the time of each load.
    ProgramCache(Lower lower, std::function<DiskCache&()> disk);
    /// The cache of this process, over codegen::lower and DiskCache::instance().
    static ProgramCache& instance();

    /// By request. Throws BackendError, and whatever lowering throws.
    std::vector<std::shared_ptr<const LoadedProgram>> load(std::span<const KernelRequest> requests,
                                                           const codegen::Target& target);
    Counts counts() const;
    void reset_counts();
    /// Forgets the programs in memory (those in use live on), so that the next load goes to the
    /// disk.
    void clear();

private:
    struct Slot {  // a program, or the promise of one
        std::shared_ptr<const LoadedProgram> program;
        std::exception_ptr failure;
        std::uint64_t used = 0;
        bool ready = false;
    };
    std::shared_ptr<const LoadedProgram> make(const KernelRequest& request, const std::string& key,
                                              const codegen::Target& target);
    void settle(const std::string& key, const std::shared_ptr<Slot>& slot);
    void evict();  // with the mutex held

    const Lower lower_;
    const std::function<DiskCache&()> disk_;
    mutable std::mutex mutex_;
    std::condition_variable ready_;
    std::unordered_map<std::string, std::shared_ptr<Slot>> slots_;
    std::uint64_t clock_ = 0;
    Counts counts_;
};

/// The kernel as bytes: equal for kernels of equal structure, whatever arena they live in.
std::string kernel_identity(ir::Ref sink);
/// The same with its name and the schedule that is asked for.
std::string request_identity(const KernelRequest& request);

/// What names this build of the library: its linker's build id, or nothing if it has none.
const std::string& build_id();

}  // namespace sinter::runtime
