#pragma once
// Kernels as code on the GPU, and the cache of them.

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/program.h>

namespace sinter::runtime::cuda {

/// A kernel on the GPU with what a launch has to know of it. `code.source` is empty.
struct Program {
    std::string name;
    codegen::Program code;
    std::vector<Function> functions;  ///< by phase
    std::shared_ptr<const LoadedModule> module;
};

/// Programs by what they compute and for which GPU: in memory first, then on disk, else made. Those
/// that one call has to make are compiled as few modules, on all threads of the pool. Any thread
/// may call; one thread makes programs at a time.
class ProgramCache {
public:
    static ProgramCache& instance();

    /// By request. Throws BackendError, and whatever lowering throws.
    std::vector<std::shared_ptr<const Program>> load(std::span<const KernelRequest> requests);
    runtime::ProgramCache::Counts counts() const;
    void reset_counts();
    void clear();

private:
    struct Job;
    std::shared_ptr<const Program> find(const std::string& key);
    static void lower(Job& job, const codegen::Target& target);
    bool from_disk(Job& job);
    void compile(std::span<Job*> jobs, const codegen::Target& target);
    std::shared_ptr<const LoadedModule> module_of(const std::string& id, const std::string& cubin,
                                                  const std::string& name);

    mutable std::mutex mutex_;  // of what follows
    std::unordered_map<std::string, std::shared_ptr<const Program>> programs_;
    std::unordered_map<std::string, std::weak_ptr<const LoadedModule>> modules_;  // by hash
    runtime::ProgramCache::Counts counts_;
    std::mutex making_;
};

}  // namespace sinter::runtime::cuda
