#pragma once
// Which CPU each thread of a pool runs on.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace sinter::runtime {

/// Where there is a thread for each CPU, each worker keeps to one of its own, and the one left over
/// is the caller's: woken together with others, threads may otherwise share a CPU for many loops
/// while another is idle. The caller runs where it likes; the worker whose CPU it turns up on goes
/// to the one that is free. A worker that gets no time on its CPU, since others hold it, may run
/// anywhere for a while. Threads are numbered, the caller is 0; worker n is workers[n - 1].
class Places {
public:
    /// How long others have to wait for a worker before it is asked whether it runs at all.
    static constexpr std::chrono::milliseconds kPatience{20};
    /// How long a worker that was let go runs anywhere.
    static constexpr std::chrono::milliseconds kLeave{1000};

    explicit Places(int threads);

    /// To be called by the thread that is about to share a loop.
    void make_way(std::vector<std::thread>& workers);
    /// Puts a new worker in its place. A failure leaves it where the system puts it.
    void place(std::vector<std::thread>& workers, int thread);
    /// To be called by any thread that has waited for kPatience, and again after as long: lets
    /// workers go that had no time since the last call.
    void look_after(std::vector<std::thread>& workers);

private:
    using Clock = std::chrono::steady_clock;

    void put(std::thread& worker, int thread);
    void let_go(std::thread& worker, int thread);

    std::vector<int> cpu_;           // by thread; 0 is the caller. Empty: threads are not placed
    std::vector<int> slot_;          // by CPU, the thread that it is for, or -1
    std::mutex mutex_;               // held by those who change what is above, or ask about workers
    std::vector<std::int64_t> ran_;  // by thread: nanoseconds of CPU time when it was last asked
    std::vector<bool> gone_;         // by thread: let go
    std::atomic<bool> any_gone_{false};
    Clock::time_point gone_at_{};
};

}  // namespace sinter::runtime
