#include <sinter/runtime/pool.h>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <sinter/runtime/allocator.h>
#include <sinter/runtime/target.h>

#include "places.h"

namespace sinter::runtime {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(100);

// A 32-bit word that threads wait on: spinning at first, then asleep in the kernel. Whoever changes
// it calls wake.
class Word {
public:
    std::uint32_t load() const { return value_.load(std::memory_order_acquire); }
    void store(std::uint32_t value) { value_.store(value, std::memory_order_seq_cst); }
    std::uint32_t add(std::uint32_t value) {
        return value_.fetch_add(value, std::memory_order_seq_cst);
    }
    int sleepers() const { return static_cast<int>(sleepers_.load(std::memory_order_relaxed)); }

    // Until the word is no longer `old`. Returns what it is. Calls `remind` each time that
    // Places::kPatience has passed.
    template <class F>
    std::uint32_t wait_change(std::uint32_t old, bool spin, const F& remind) {
        constexpr timespec kPatience{
            0, std::chrono::duration_cast<std::chrono::nanoseconds>(Places::kPatience).count()};
        return wait(old, spin, &kPatience, remind);
    }
    std::uint32_t wait_change(std::uint32_t old, bool spin) {
        return wait(old, spin, nullptr, [] {});
    }

    void wake() {
        if (sleepers_.load(std::memory_order_seq_cst) != 0)
            syscall(SYS_futex, &value_, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
    }

private:
    template <class F>
    std::uint32_t wait(std::uint32_t old, bool spin, const timespec* patience, const F& remind) {
        if (spin) {
            const auto end = Clock::now() + kSpin;
            do {
                for (int i = 0; i < 32; ++i) {
                    if (const std::uint32_t now = load(); now != old) return now;
                    pause();
                }
            } while (Clock::now() < end);
        }
        for (;;) {
            // Announced before the kernel compares the word once more: whoever changes it after
            // that sees us, whoever did so before makes the comparison fail.
            sleepers_.fetch_add(1, std::memory_order_seq_cst);
            const bool late =
                syscall(SYS_futex, &value_, FUTEX_WAIT_PRIVATE, old, patience, nullptr, 0) != 0 &&
                errno == ETIMEDOUT;
            sleepers_.fetch_sub(1, std::memory_order_relaxed);
            if (const std::uint32_t now = load(); now != old) return now;
            if (late) remind();
        }
    }

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#else
        asm volatile("yield");
#endif
    }

    std::atomic<std::uint32_t> value_{0};
    std::atomic<std::uint32_t> sleepers_{0};
    static_assert(sizeof(std::atomic<std::uint32_t>) == 4, "the kernel compares the word itself");
};

thread_local bool inside_loop = false;

}  // namespace

struct ThreadPool::State {
    alignas(64) Word round;    // a loop was published: its number
    alignas(64) Word pending;  // workers that have yet to finish it
    alignas(64) Word passed;   // barriers of regions that all threads have passed
    alignas(64) std::atomic<std::uint32_t> arrived{0};  // at the next one
    alignas(64) Task task{};
    std::int64_t trips = 0;
    bool stop = false;
    bool spin = true;

    std::mutex in_use;  // held by the thread whose loop runs
    Places places;
    std::vector<std::thread> workers;
    std::vector<std::exception_ptr> failures;  // by thread

    explicit State(int threads) : places(threads) {}
};

ThreadPool::ThreadPool(int threads)
    : threads_(std::max(threads, 1)), state_(std::make_unique<State>(threads_)) {
    // A spinner that has no CPU of its own keeps the one it waits for from running.
    state_->spin = threads_ <= usable_cpus();
    state_->failures.resize(static_cast<std::size_t>(threads_));
}

ThreadPool::~ThreadPool() {
    if (state_->workers.empty()) return;
    state_->stop = true;
    state_->round.add(1);
    state_->round.wake();
    for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::sleeping() const { return state_->round.sleepers(); }

// A barrier with a number for each time it is passed: the last to come sets the next one.
void ThreadPool::wait_for_all() {
    State& state = *state_;
    const std::uint32_t passed = state.passed.load();
    if (state.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 ==
        static_cast<std::uint32_t>(threads_)) {
        state.arrived.store(0, std::memory_order_relaxed);
        state.passed.add(1);
        state.passed.wake();
    } else {
        state.passed.wait_change(passed, state.spin,
                                 [&] { state.places.look_after(state.workers); });
    }
}

void ThreadPool::run(std::int64_t trips, Task task) {
    if (trips <= 0) return;
    State& state = *state_;
    std::unique_lock in_use(state.in_use, std::defer_lock);
    if (threads_ == 1 || trips == 1 || inside_loop || !in_use.try_lock()) {
        task.call(task.body, 0, trips, 0);
        return;
    }
    const auto work = [&state, this](int thread) {
        const std::int64_t begin = piece(state.trips, thread, threads_),
                           end = piece(state.trips, thread + 1, threads_);
        if (begin == end) return;
        inside_loop = true;
        try {
            state.task.call(state.task.body, begin, end, thread);
        } catch (...) {
            state.failures[static_cast<std::size_t>(thread)] = std::current_exception();
        }
        inside_loop = false;
    };
    state.places.make_way(state.workers);
    for (int thread = static_cast<int>(state.workers.size()) + 1; thread < threads_; ++thread) {
        // Rounds are numbered by the pool, so a thread started late must not take the one before
        // for its own.
        const auto worker = [&state, work, thread, last = state.round.load()]() mutable {
            pthread_setname_np(pthread_self(), ("sinter-" + std::to_string(thread)).c_str());
            for (;;) {
                last = state.round.wait_change(last, state.spin);
                if (state.stop) return;
                work(thread);
                if (state.pending.add(-1u) == 1) state.pending.wake();
            }
        };
        try {
            state.workers.emplace_back(worker);
            state.places.place(state.workers, thread);
        } catch (const std::system_error&) {
            // The system has no thread to give: this loop runs here, the next tries again.
            task.call(task.body, 0, trips, 0);
            return;
        }
    }
    state.task = task;
    state.trips = trips;
    state.pending.store(static_cast<std::uint32_t>(threads_ - 1));
    state.round.add(1);
    state.round.wake();
    work(0);
    for (std::uint32_t left = state.pending.load(); left != 0;)
        left = state.pending.wait_change(left, state.spin,
                                         [&] { state.places.look_after(state.workers); });
    std::exception_ptr first;
    for (std::exception_ptr& failure : state.failures)
        if (std::exception_ptr taken = std::exchange(failure, nullptr); taken && !first)
            first = taken;
    if (first) std::rethrow_exception(first);
}

namespace {

std::atomic<ThreadPool*> the_pool{nullptr};

// The child of a fork has none of its parent's threads, and perhaps a lock that one of them held:
// it starts afresh.
void forget_pool() { the_pool.store(nullptr, std::memory_order_relaxed); }

}  // namespace

ThreadPool& ThreadPool::instance() {
    if (ThreadPool* pool = the_pool.load(std::memory_order_acquire)) return *pool;
    static const int registered = pthread_atfork(nullptr, nullptr, forget_pool);
    static_cast<void>(registered);
    auto made = std::make_unique<ThreadPool>(thread_count());
    ThreadPool* none = nullptr;
    if (the_pool.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel))
        none = made.release();
    return *none;
}

namespace {

struct Scratch {
    void* data = nullptr;
    std::size_t bytes = 0;
    Scratch() = default;
    ~Scratch() { release(); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    void release() {
        if (data != nullptr) Allocator::instance().free(std::exchange(data, nullptr), bytes);
        bytes = 0;
    }
};
thread_local Scratch scratch;

}  // namespace

void* thread_scratch(std::size_t bytes) {
    // On huge pages: a step that writes rows of many arrays in turn, as the transforms of
    // convolutions do, would need more small ones than the stores' table of pages has entries (16).
    constexpr std::size_t kFewPages = 64 << 10, kPage = Allocator::kHugePage;
    if (bytes > kFewPages) bytes = (bytes + kPage - 1) / kPage * kPage;
    if (scratch.data != nullptr && bytes <= scratch.bytes) return scratch.data;
    scratch.release();
    scratch.data = Allocator::instance().allocate(bytes);
    scratch.bytes = bytes;
    return scratch.data;
}

}  // namespace sinter::runtime
