#include "tune_plan.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/cuda_device.h>
#include <sinter/runtime/machine.h>
#include <sinter/runtime/target.h>

#include "bench.h"
#include "cuda/program.h"
#include "packing.h"
#include "report.h"
#include "trace.h"

namespace sinter::runtime {
namespace {

struct Counter {
    std::atomic<std::uint64_t> searches{0}, found{0}, winners{0}, wrong{0};
};
Counter& counter() {
    static Counter& all = *new Counter;
    return all;
}

const codegen::Target& target_of(DeviceId device) {
    return device == DeviceId::CUDA ? cuda::Gpu::instance().target() : host_target();
}

// The kernel, and all that decides which schedule is the fastest.
std::string key_of(const KernelRequest& request, std::size_t segments, DeviceId device) {
    std::string key;
    append(key, "tuned");
    append(key, target_of(device).key());
    if (device == DeviceId::CUDA) {
        append(key, cuda::Gpu::instance().description());
    } else {
        append(key, cpu_name());
        append(key, thread_count());
    }
    append(key, ir::env::number("BLOCKS"));
    append(key, ir::env::number("WINOGRAD"));
    append(key, ir::env::number("STREAM"));
    append(key, static_cast<std::int64_t>(segments));
    return key + kernel_identity(request.sink);
}

// Whether the kernels may have their schedules. Programs are found again in memory.
bool load(std::span<const KernelRequest> requests, DeviceId device) {
    try {
        if (device == DeviceId::CUDA)
            cuda::ProgramCache::instance().load(requests);
        else
            ProgramCache::instance().load(requests, host_target());
        return true;
    } catch (const ValueError&) {
        return false;
    }
}

KernelRequest with_schedule(const KernelRequest& request, const std::string& text) {
    return {request.sink, request.name,
            std::make_shared<const codegen::Schedule>(codegen::Schedule::parse(text))};
}

Tuned measure(const Plan& plan, std::size_t kernel, const std::vector<std::int64_t>& binds,
              DeviceId device, std::int64_t effort) {
    // One at a time, so that they do not take the machine from each other.
    static std::mutex& mutex = *new std::mutex;
    const std::lock_guard lock(mutex);
    const schedule::Kernel& k = plan.schedule.kernels[kernel];
    const trace::Span span("tune", "compile", k.name);
    counter().searches.fetch_add(1);
    codegen::Candidates candidates(k.sink, target_of(device));
    KernelBench bench(plan, kernel, binds, device);
    const Search found =
        search(candidates, bench, static_cast<std::size_t>(effort),
               [&](const codegen::Schedule& schedule) { report_discarded(k.name, schedule); });
    counter().wrong.fetch_add(found.wrong);
    report_tuned(k.name, found);
    return {found.winner ? found.winner->text() : "", found.best, effort};
}

}  // namespace

TuneCounts tune_counts() {
    const Counter& now = counter();
    return {now.searches.load(), now.found.load(), now.winners.load(), now.wrong.load()};
}

void tune(const Plan& plan, std::span<KernelRequest> requests,
          const std::vector<std::int64_t>& binds, DeviceId device) {
    constexpr std::int64_t kMostEffort = 1 << 10;
    const std::int64_t effort = std::min(ir::env::number("BEAM"), kMostEffort);
    // Those ask for other schedules than the fastest.
    if (effort < 1 || ir::env::flag("NOOPT") || ir::env::number("SCHEDULE") > 1) return;
    TuningDatabase& database = TuningDatabase::instance();
    struct Entry {
        std::size_t kernel;
        std::string key;
        bool known = false;
    };
    std::vector<Entry> entries;
    std::vector<KernelRequest> tuned;  // by what the database has
    std::vector<std::size_t> tuned_entries;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        if (requests[i].schedule) continue;  // pinned
        std::size_t segments = 0;
        for (const schedule::Launch& launch : plan.schedule.launches)
            if (launch.kernel == i) segments = std::max(segments, launch.segments.size());
        if (segments == 0 || !KernelBench::possible(requests[i].sink)) continue;
        Entry& entry = entries.emplace_back(Entry{i, key_of(requests[i], segments, device)});
        const std::optional<Tuned> known = database.find(entry.key);
        entry.known = known && known->effort >= effort;
        if (!entry.known || known->schedule.empty()) continue;
        tuned_entries.push_back(entries.size() - 1);
        tuned.push_back(with_schedule(requests[i], known->schedule));
    }
    const auto take = [&](std::size_t kernel, const KernelRequest& request) {
        requests[kernel].schedule = request.schedule;
        counter().winners.fetch_add(1);
    };
    // All at once, on all threads; one by one where some kernel may not have its schedule any more.
    const bool all = load(tuned, device);
    for (std::size_t i = 0; i < tuned.size(); ++i) {
        Entry& entry = entries[tuned_entries[i]];
        entry.known = all || load(std::span(&tuned[i], 1), device);
        if (entry.known) take(entry.kernel, tuned[i]);
    }
    for (const Entry& entry : entries) {
        if (entry.known) counter().found.fetch_add(1);
        if (entry.known || effort == 1) continue;
        try {
            const Tuned found = measure(plan, entry.kernel, binds, device, effort);
            database.keep(entry.key, found);
            if (found.schedule.empty()) continue;
            const KernelRequest request = with_schedule(requests[entry.kernel], found.schedule);
            if (load(std::span(&request, 1), device)) take(entry.kernel, request);
        } catch (const OutOfMemoryError&) {  // it runs as it would without us
        } catch (const IndexError&) {        // no data for it: likewise
        }
    }
}

}  // namespace sinter::runtime
