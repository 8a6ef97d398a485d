#include <sinter/runtime/program.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/llvm.h>
#include <sinter/runtime/pool.h>

#include "packing.h"
#include "report.h"
#include "trace.h"

namespace sinter::runtime {
namespace {

constexpr std::size_t kMaxPrograms = 4096;  // each holds a few pages of code
constexpr std::uint32_t kFormat = 1;        // of the values written by `pack`

#ifdef NDEBUG
constexpr bool kDebugBuild = false;
#else
constexpr bool kDebugBuild = true;
#endif

// A compiled program as it lies on disk: codegen's answer without the source, and the object.
struct Compiled {
    codegen::Program program;
    std::string object;
};

std::string pack(const Compiled& compiled) {
    const codegen::Program& program = compiled.program;
    std::string bytes;
    append(bytes, static_cast<std::int64_t>(program.phases.size()));
    for (const codegen::Phase& phase : program.phases) {
        append(bytes, phase.symbol);
        append(bytes, phase.trips);
        append(bytes, static_cast<std::int64_t>(phase.trips_slot));
        append(bytes, phase.trips_step);
        append(bytes, std::bit_cast<std::int64_t>(phase.trip_cost));
    }
    append(bytes, program.shared_bytes);
    append(bytes, program.thread_bytes);
    append(bytes, program.schedule);
    append(bytes, compiled.object);
    return bytes;
}

std::optional<Compiled> unpack(std::string_view bytes) {
    Reader reader{bytes};
    Compiled compiled;
    const std::int64_t phases = reader.number();
    for (std::int64_t i = 0; reader.good && i < phases; ++i) {
        codegen::Phase phase;
        phase.symbol = reader.text();
        phase.trips = reader.number();
        phase.trips_slot = static_cast<std::int32_t>(reader.number());
        phase.trips_step = reader.number();
        phase.trip_cost = std::bit_cast<double>(reader.number());
        compiled.program.phases.push_back(std::move(phase));
    }
    compiled.program.shared_bytes = reader.number();
    compiled.program.thread_bytes = reader.number();
    compiled.program.schedule = reader.text();
    compiled.object = reader.text();
    if (!reader.good || !reader.left.empty()) return std::nullopt;
    return compiled;
}

std::shared_ptr<const LoadedProgram> link(const Compiled& compiled, const std::string& name) {
    auto loaded = std::make_shared<LoadedProgram>();
    std::vector<std::string> symbols;
    for (const codegen::Phase& phase : compiled.program.phases) symbols.push_back(phase.symbol);
    loaded->code = Code::load(compiled.object, name, symbols);
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        const codegen::Phase& phase = compiled.program.phases[i];
        loaded->phases.push_back(
            {reinterpret_cast<codegen::KernelFunction>(loaded->code->address(i)), phase.trips,
             phase.trips_slot, phase.trips_step, phase.trip_cost});
    }
    loaded->name = name;
    loaded->shared_bytes = compiled.program.shared_bytes;
    loaded->thread_bytes = compiled.program.thread_bytes;
    loaded->schedule = compiled.program.schedule;
    return loaded;
}

// Everything beside the kernel itself that changes its code.
std::string surroundings(const codegen::Target& target) {
    std::string key;
    append(key, static_cast<std::int64_t>(kFormat));
    append(key, llvm::api().version());
    append(key, target.key());
    append(key, kPasses);
    append(key, ir::env::number("NOOPT"));
    append(key, ir::env::number("BLOCKS"));
    append(key, ir::env::number("WINOGRAD"));
    append(key, ir::env::number("STREAM"));
    append(key, ir::env::number("DOTS"));
    append(key, ir::env::number("SCHEDULE"));
    return key;
}

}  // namespace

std::string kernel_identity(ir::Ref sink) {
    const std::vector<ir::Ref> nodes = ir::toposort(std::span<const ir::Ref>(&sink, 1));
    std::unordered_map<ir::Ref, std::int64_t> numbers;
    numbers.reserve(nodes.size());
    std::string bytes;
    bytes.reserve(nodes.size() * 48);
    for (ir::Ref node : nodes) {
        append(bytes, static_cast<std::int64_t>(node->op()) |
                          static_cast<std::int64_t>(node->dtype()) << 8 |
                          static_cast<std::int64_t>(node->lanes()) << 16);
        append(bytes, static_cast<std::int64_t>(node->src().size() << 32 | node->args().size()));
        for (ir::Ref source : node->src()) append(bytes, numbers.at(source));
        for (const std::int64_t arg : node->args()) append(bytes, arg);
        numbers.emplace(node, static_cast<std::int64_t>(numbers.size()));
    }
    return bytes;
}

std::string request_identity(const KernelRequest& request) {
    std::string bytes;
    append(bytes, request.name);
    append(bytes, request.schedule ? request.schedule->text() : std::string());
    return bytes + kernel_identity(request.sink);
}

ProgramCache::ProgramCache(Lower lower, std::function<DiskCache&()> disk)
    : lower_(std::move(lower)), disk_(std::move(disk)) {}

ProgramCache& ProgramCache::instance() {
    // Never destroyed: plans of threads that outlive main still run its code.
    static ProgramCache& cache = *new ProgramCache(
        [](const KernelRequest& request, const codegen::Target& target) {
            return codegen::lower(request.sink, request.name, target, request.schedule.get());
        },
        DiskCache::instance);
    return cache;
}

namespace {

// What takes longest is made first, so that no thread is left with it at the end: as a rule, what
// has more ranges, then more nodes.
void put_longest_first(std::vector<std::size_t>& kernels, std::span<const KernelRequest> requests,
                       std::span<const std::string> keys) {
    std::vector<std::pair<int, std::size_t>> work(requests.size());
    for (const std::size_t i : kernels) {
        std::uint64_t ranges = 0;
        for (ir::Ref n : ir::toposort(std::span(&requests[i].sink, 1))) ranges |= n->ranges();
        work[i] = {std::popcount(ranges), keys[i].size()};
    }
    std::ranges::stable_sort(kernels, std::ranges::greater(),
                             [&](std::size_t i) { return work[i]; });
}

}  // namespace

std::vector<std::shared_ptr<const LoadedProgram>> ProgramCache::load(
    std::span<const KernelRequest> requests, const codegen::Target& target) {
    const std::string around = surroundings(target);
    std::vector<std::string> keys;
    for (const KernelRequest& request : requests) {
        keys.push_back(around);
        keys.back() += request_identity(request);
    }
    std::vector<std::shared_ptr<Slot>> slots(requests.size());
    std::vector<std::size_t> mine;
    {
        const std::lock_guard lock(mutex_);
        for (std::size_t i = 0; i < requests.size(); ++i) {
            std::shared_ptr<Slot>& slot = slots_[keys[i]];
            if (!slot) {
                slot = std::make_shared<Slot>();
                mine.push_back(i);
            } else {
                ++counts_.hits;
            }
            slot->used = ++clock_;
            slots[i] = slot;
        }
    }
    // Ours are made before we wait for those of others, so that two threads never wait for each
    // other.
    const auto make_one = [&](std::int64_t n) {
        const std::size_t i = mine[static_cast<std::size_t>(n)];
        try {
            slots[i]->program = make(requests[i], keys[i], target);
        } catch (...) {
            slots[i]->failure = std::current_exception();
        }
        settle(keys[i], slots[i]);
    };
    const auto count = static_cast<std::int64_t>(mine.size());
    if (ir::env::debug() >= 3) {  // what is printed comes in the same order every time
        for (std::int64_t n = 0; n < count; ++n) make_one(n);
    } else {
        put_longest_first(mine, requests, keys);
        ThreadPool::instance().for_each(count, make_one);
    }
    std::vector<std::shared_ptr<const LoadedProgram>> programs;
    std::unique_lock lock(mutex_);
    for (const auto& slot : slots) {
        ready_.wait(lock, [&] { return slot->ready; });
        if (slot->failure) std::rethrow_exception(slot->failure);
        programs.push_back(slot->program);
    }
    if (slots_.size() > kMaxPrograms) evict();
    return programs;
}

void ProgramCache::settle(const std::string& key, const std::shared_ptr<Slot>& slot) {
    const std::lock_guard lock(mutex_);
    slot->ready = true;
    // A failure may be of the moment (no memory): the next load tries again.
    if (slot->failure)
        if (const auto found = slots_.find(key); found != slots_.end() && found->second == slot)
            slots_.erase(found);
    ready_.notify_all();
}

std::shared_ptr<const LoadedProgram> ProgramCache::make(const KernelRequest& request,
                                                        const std::string& key,
                                                        const codegen::Target& target) {
    DiskCache& disk = disk_();
    // With a name for this build, a kernel found on disk is known to be what codegen would make
    // now, and codegen need not run. Without one, only its own text tells.
    const bool by_identity = !build_id().empty();
    const int debug = ir::env::debug();
    std::optional<codegen::Program> lowered;
    std::string disk_key;
    if (by_identity) {
        append(disk_key, build_id());
        disk_key += key;
    }
    const auto lower = [&] {
        const trace::Span span("lower", "compile", request.name);
        return lower_(request, target);
    };
    const auto link_traced = [&](const Compiled& compiled) {
        const trace::Span span("link", "compile", request.name);
        return link(compiled, request.name);
    };
    if (!by_identity || debug >= 3) {
        lowered = lower();
        report_program(request.sink, request.name, *lowered, target);
    }
    if (!by_identity) disk_key = surroundings(target) + lowered->source;

    if (const auto found = disk.get(disk_key)) {
        if (const auto compiled = unpack(*found)) {
            auto program = link_traced(*compiled);
            const std::lock_guard lock(mutex_);
            ++counts_.disk_hits;
            return program;
        }
    }
    Compiled compiled;
    compiled.program = lowered ? std::move(*lowered) : lower();
    const bool verify = kDebugBuild || ir::env::flag("SPEC");
    {
        const trace::Span span("LLVM", "compile", request.name);
        compiled.object = compile_object(compiled.program.source, request.name, target, verify);
    }
    auto program =
        link_traced(compiled);  // before it is kept: what does not link is not worth keeping
    disk.put(disk_key, pack(compiled));
    const std::lock_guard lock(mutex_);
    ++counts_.compiled;
    return program;
}

void ProgramCache::evict() {
    // Those that a plan holds stay: letting go of them frees nothing.
    std::vector<std::pair<std::uint64_t, const std::string*>> idle;
    for (const auto& [key, slot] : slots_)
        if (slot.use_count() == 1 && slot->ready && slot->program.use_count() == 1)
            idle.emplace_back(slot->used, &key);
    std::sort(idle.begin(), idle.end());
    idle.resize(std::min(idle.size(), kMaxPrograms / 4));
    for (const auto& [used, key] : idle) slots_.erase(slots_.find(*key));
}

ProgramCache::Counts ProgramCache::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

void ProgramCache::reset_counts() {
    const std::lock_guard lock(mutex_);
    counts_ = {};
}

void ProgramCache::clear() {
    const std::lock_guard lock(mutex_);
    std::erase_if(slots_, [](const auto& entry) { return entry.second->ready; });
}

}  // namespace sinter::runtime
