#include "places.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <optional>

namespace sinter::runtime {
namespace {

// Less than so much of kPatience is no time.
constexpr std::int64_t kNoTime = 1'000'000;

std::optional<std::int64_t> nanoseconds_of(std::thread& worker) {
    clockid_t clock = 0;
    timespec time{};
    if (pthread_getcpuclockid(worker.native_handle(), &clock) != 0 ||
        clock_gettime(clock, &time) != 0)
        return std::nullopt;
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void keep_to(std::thread& worker, const cpu_set_t& cpus) {
    pthread_setaffinity_np(worker.native_handle(), sizeof cpus, &cpus);
}

}  // namespace

Places::Places(int threads) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) != threads)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        slot_.push_back(-1);
        if (!CPU_ISSET(cpu, &allowed)) continue;
        slot_[static_cast<std::size_t>(cpu)] = static_cast<int>(cpu_.size());
        cpu_.push_back(cpu);
    }
    ran_.resize(cpu_.size());
    gone_.resize(cpu_.size());
}

void Places::make_way(std::vector<std::thread>& workers) {
    const int here = cpu_.empty() ? -1 : sched_getcpu();
    if (here < 0 || here >= CPU_SETSIZE) return;
    const int held_by = slot_[static_cast<std::size_t>(here)];
    const bool back = any_gone_.load(std::memory_order_relaxed);
    if (held_by <= 0 && !back) return;
    const std::lock_guard lock(mutex_);
    if (held_by > 0) {
        std::swap(cpu_[0], cpu_[static_cast<std::size_t>(held_by)]);
        for (const int slot : {0, held_by})
            slot_[static_cast<std::size_t>(cpu_[static_cast<std::size_t>(slot)])] = slot;
        const auto thread = static_cast<std::size_t>(held_by);
        if (thread <= workers.size() && !gone_[thread]) put(workers[thread - 1], held_by);
    }
    if (!back || Clock::now() - gone_at_ < kLeave) return;
    for (std::size_t thread = 1; thread <= workers.size(); ++thread)
        if (gone_[thread]) put(workers[thread - 1], static_cast<int>(thread));
    any_gone_.store(false, std::memory_order_relaxed);
}

void Places::place(std::vector<std::thread>& workers, int thread) {
    if (cpu_.empty()) return;
    const std::lock_guard lock(mutex_);
    put(workers[static_cast<std::size_t>(thread) - 1], thread);
}

void Places::look_after(std::vector<std::thread>& workers) {
    if (cpu_.empty()) return;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;  // somebody does
    for (std::size_t thread = 1; thread <= workers.size(); ++thread) {
        const std::optional<std::int64_t> now = nanoseconds_of(workers[thread - 1]);
        if (!now) continue;
        if (*now - ran_[thread] < kNoTime && !gone_[thread])
            let_go(workers[thread - 1], static_cast<int>(thread));
        ran_[thread] = *now;
    }
}

void Places::put(std::thread& worker, int thread) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu_[static_cast<std::size_t>(thread)], &one);
    keep_to(worker, one);
    gone_[static_cast<std::size_t>(thread)] = false;
}

// Away from its CPU at first, so that it is moved and does not wait for the system to do so.
void Places::let_go(std::thread& worker, int thread) {
    const int place = cpu_[static_cast<std::size_t>(thread)];
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (const int cpu : cpu_)
        if (cpu != place) CPU_SET(cpu, &cpus);
    if (CPU_COUNT(&cpus) == 0) return;
    keep_to(worker, cpus);
    CPU_SET(place, &cpus);
    keep_to(worker, cpus);
    gone_[static_cast<std::size_t>(thread)] = true;
    gone_at_ = Clock::now();
    any_gone_.store(true, std::memory_order_relaxed);
}

}  // namespace sinter::runtime
