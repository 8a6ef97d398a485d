#include "program.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/disk_cache.h>
#include <sinter/runtime/nvrtc.h>
#include <sinter/runtime/pool.h>

#include "packing.h"
#include "report.h"

namespace sinter::runtime::cuda {
namespace {

constexpr std::size_t kMaxPrograms = 4096;
constexpr std::size_t kBatch = 16;        // kernels of one compile: what each costs beside its own
constexpr std::int64_t kFormat = 0x4301;  // of what lies on disk; no number of other programs there

std::string pack(const codegen::Program& program, const std::string& module) {
    std::string bytes;
    append(bytes, static_cast<std::int64_t>(program.phases.size()));
    for (const codegen::Phase& phase : program.phases) {
        append(bytes, phase.symbol);
        append(bytes, phase.trips);
        append(bytes, static_cast<std::int64_t>(phase.trips_slot));
        append(bytes, phase.trips_step);
        append(bytes, std::bit_cast<std::int64_t>(phase.trip_cost));
        append(bytes, static_cast<std::int64_t>(phase.lanes));
        append(bytes, static_cast<std::int64_t>(phase.teams));
    }
    append(bytes, program.shared_bytes);
    append(bytes, program.thread_bytes);
    append(bytes, program.schedule);
    append(bytes, module);
    return bytes;
}

bool unpack(std::string_view bytes, codegen::Program& program, std::string& module) {
    Reader reader{bytes};
    const std::int64_t phases = reader.number();
    for (std::int64_t i = 0; reader.good && i < phases; ++i) {
        codegen::Phase phase;
        phase.symbol = reader.text();
        phase.trips = reader.number();
        phase.trips_slot = static_cast<std::int32_t>(reader.number());
        phase.trips_step = reader.number();
        phase.trip_cost = std::bit_cast<double>(reader.number());
        phase.lanes = static_cast<int>(reader.number());
        phase.teams = static_cast<int>(reader.number());
        program.phases.push_back(std::move(phase));
    }
    program.shared_bytes = reader.number();
    program.thread_bytes = reader.number();
    program.schedule = reader.text();
    module = reader.text();
    return reader.good && reader.left.empty();
}

// Everything beside the kernel itself that changes its code.
std::string surroundings(const codegen::Target& target) {
    std::string key;
    append(key, kFormat);
    append(key, build_id());
    append(key, target.key());
    append(key, nvrtc::api().version());
    append(key, ir::env::number("NOOPT"));
    append(key, ir::env::number("BLOCKS"));
    append(key, ir::env::number("SCHEDULE"));
    return key;
}

std::string module_key(const std::string& around, const std::string& id) {
    std::string key = around;
    append(key, "module");
    append(key, id);
    return key;
}

}  // namespace

// A program to be made.
struct ProgramCache::Job {
    const KernelRequest* request = nullptr;
    std::string key;     // in memory
    std::string around;  // what `key` begins with
    std::string symbol;
    std::string disk_key;
    bool lowered = false;
    std::shared_ptr<Program> program = std::make_shared<Program>();
    std::exception_ptr failure;
};

ProgramCache& ProgramCache::instance() {
    // Never destroyed: plans of threads that outlive main still run its code.
    static ProgramCache& cache = *new ProgramCache;
    return cache;
}

std::shared_ptr<const Program> ProgramCache::find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = programs_.find(key);
    return found == programs_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<const Program>> ProgramCache::load(
    std::span<const KernelRequest> requests) {
    const codegen::Target& target = Gpu::instance().target();
    const std::string around = surroundings(target);
    std::vector<std::string> keys;
    for (const KernelRequest& request : requests) {
        keys.push_back(around);
        keys.back() += request_identity(request);
    }
    const std::lock_guard making(making_);
    std::vector<Job> jobs;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const bool asked =
            std::ranges::any_of(jobs, [&](const Job& job) { return job.key == keys[i]; });
        if (asked || find(keys[i]) != nullptr) {
            const std::lock_guard lock(mutex_);
            ++counts_.hits;
            continue;
        }
        Job& job = jobs.emplace_back();
        job.request = &requests[i];
        job.key = keys[i];
        job.around = around;
    }

    std::vector<Job*> missing;
    for (Job& job : jobs) {
        // Kernels of one module need different names.
        job.symbol = job.request->name + "_" + hash_bytes(job.key).hex().substr(0, 8);
        job.program->name = job.request->name;
        // Without a name for this build, only the kernel's own text tells whether it is the same.
        if (build_id().empty() || ir::env::debug() >= 3) lower(job, target);
        job.disk_key = build_id().empty() ? around + job.program->code.source : job.key;
        if (!from_disk(job)) missing.push_back(&job);
    }
    const auto threads = static_cast<std::size_t>(ThreadPool::instance().threads());
    const std::size_t batch =
        std::clamp<std::size_t>((missing.size() + threads - 1) / threads, 1, kBatch);
    const auto batches = static_cast<std::int64_t>((missing.size() + batch - 1) / batch);
    ThreadPool::instance().for_each(batches, [&](std::int64_t b) {
        const std::size_t first = static_cast<std::size_t>(b) * batch;
        const auto mine =
            std::span(missing).subspan(first, std::min(batch, missing.size() - first));
        try {
            for (Job* job : mine)
                if (!job->lowered) lower(*job, target);
            compile(mine, target);
        } catch (...) {
            for (Job* job : mine) job->failure = std::current_exception();
        }
    });
    for (const Job& job : jobs)
        if (job.failure) std::rethrow_exception(job.failure);

    const std::lock_guard lock(mutex_);
    if (programs_.size() + jobs.size() > kMaxPrograms)
        std::erase_if(programs_, [](const auto& entry) { return entry.second.use_count() == 1; });
    for (const Job& job : jobs) programs_[job.key] = job.program;
    std::vector<std::shared_ptr<const Program>> programs;
    for (const std::string& key : keys) programs.push_back(programs_.at(key));
    return programs;
}

void ProgramCache::lower(Job& job, const codegen::Target& target) {
    job.program->code =
        codegen::lower(job.request->sink, job.symbol, target, job.request->schedule.get());
    job.lowered = true;
    report_program(job.request->sink, job.request->name, job.program->code, target);
}

bool ProgramCache::from_disk(Job& job) {
    DiskCache& disk = DiskCache::instance();
    const auto found = disk.get(job.disk_key);
    if (!found) return false;
    codegen::Program code;
    std::string id;
    if (!unpack(*found, code, id)) return false;
    std::shared_ptr<const LoadedModule> module = module_of(id, {}, job.program->name);
    if (module == nullptr) {
        const auto cubin = disk.get(module_key(job.around, id));
        if (!cubin) return false;
        module = module_of(id, *cubin, job.program->name);
    }
    Program& program = *job.program;
    program.code = std::move(code);
    program.module = std::move(module);
    for (const codegen::Phase& phase : program.code.phases)
        program.functions.push_back(program.module->function(phase.symbol));
    const std::lock_guard lock(mutex_);
    ++counts_.disk_hits;
    return true;
}

// The module of this hash, made from `cubin` where it is not loaded; null without either.
std::shared_ptr<const LoadedModule> ProgramCache::module_of(const std::string& id,
                                                            const std::string& cubin,
                                                            const std::string& name) {
    {
        const std::lock_guard lock(mutex_);
        if (const auto found = modules_.find(id); found != modules_.end())
            if (auto module = found->second.lock()) return module;
    }
    if (cubin.empty()) return nullptr;
    auto module = Gpu::instance().load(cubin, name);
    const std::lock_guard lock(mutex_);
    std::erase_if(modules_, [](const auto& entry) { return entry.second.expired(); });
    modules_[id] = module;
    return module;
}

void ProgramCache::compile(std::span<Job*> jobs, const codegen::Target& target) {
    std::string source = codegen::cuda_prelude(), name = jobs[0]->program->name;
    for (const Job* job : jobs) source += job->program->code.source;
    if (jobs.size() > 1) name += " and " + std::to_string(jobs.size() - 1) + " more";
    const std::string cubin = nvrtc::compile(source, name, target.cpu).code;
    const std::string id = hash_bytes(source).hex();
    const auto module = module_of(id, cubin, name);
    DiskCache& disk = DiskCache::instance();
    disk.put(module_key(jobs[0]->around, id), cubin);
    for (Job* job : jobs) {
        Program& program = *job->program;
        program.module = module;
        for (const codegen::Phase& phase : program.code.phases)
            program.functions.push_back(module->function(phase.symbol));
        disk.put(job->disk_key, pack(program.code, id));
        program.code.source.clear();
    }
    const std::lock_guard lock(mutex_);
    counts_.compiled += jobs.size();
}

runtime::ProgramCache::Counts ProgramCache::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

void ProgramCache::reset_counts() {
    const std::lock_guard lock(mutex_);
    counts_ = {};
}

void ProgramCache::clear() {
    const std::lock_guard lock(mutex_);
    programs_.clear();
}

}  // namespace sinter::runtime::cuda
