#pragma once
// The process's threads that run kernels.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sinter::runtime {

/// Persistent threads that share loops with the thread that calls. Between loops they spin for
/// about 100 µs, so that the next loop starts within a microsecond, then sleep. Where there is a
/// thread for each CPU the process may use, each started one keeps to a CPU that the caller is not
/// on. Floating-point modes are left as the process has them (IEEE).
class ThreadPool {
public:
    /// `threads` counts the caller: threads - 1 are started, at the first loop that needs them.
    explicit ThreadPool(int threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    /// The pool of this process, of thread_count() threads. Never destroyed; made anew in a forked
    /// child.
    static ThreadPool& instance();

    int threads() const { return threads_; }

    /// Calls body(begin, end, thread) on disjoint pieces that make up [0, trips), one a thread and
    /// always the same ones; returns when all are done. `thread` is less than threads(). The first
    /// exception (by thread) goes to the caller. While another thread uses the pool, or inside a
    /// body, it runs on the caller alone: body(0, trips, 0).
    template <class Body>
    void parallel_for(std::int64_t trips, const Body& body) {
        run(trips, {&body, [](const void* b, std::int64_t begin, std::int64_t end, int thread) {
                        (*static_cast<const Body*>(b))(begin, end, thread);
                    }});
    }

    /// The threads of a region.
    class Team {
    public:
        int size() const { return size_; }
        /// Returns when every thread of the region has come here; what they wrote before is seen
        /// after. All threads must pass the same barriers.
        void barrier() {
            if (size_ > 1) pool_->wait_for_all();
        }

    private:
        friend class ThreadPool;
        Team(ThreadPool* pool, int size) : pool_(pool), size_(size) {}
        ThreadPool* pool_;
        int size_;
    };

    /// Calls body(thread, team) on all threads at once, for work with barriers inside: one start
    /// and one end however many steps it has. The body may not throw. While another thread uses the
    /// pool, or inside a body, the caller is a team of one.
    template <class Body>
    void region(const Body& body) {
        parallel_for(threads_, [&](std::int64_t begin, std::int64_t end, int thread) {
            Team team(this, end - begin == threads_ ? 1 : threads_);
            body(thread, team);
        });
    }

    /// Piece `thread` of [0, trips) in `threads` pieces that differ by one at most: where it
    /// begins.
    static std::int64_t piece(std::int64_t trips, int thread, int threads) {
        const std::int64_t whole = trips / threads, rest = trips % threads;
        return whole * thread + std::min<std::int64_t>(rest, thread);
    }

    /// Calls body(i) for i in [0, count), each on the next thread that is free: for pieces of
    /// unknown length.
    template <class Body>
    void for_each(std::int64_t count, const Body& body) {
        std::atomic<std::int64_t> next{0};
        parallel_for(std::min<std::int64_t>(count, threads_), [&](std::int64_t, std::int64_t, int) {
            for (std::int64_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) body(i);
        });
    }

    /// Workers asleep now, for tests.
    int sleeping() const;

private:
    struct Task {
        const void* body;
        void (*call)(const void* body, std::int64_t begin, std::int64_t end, int thread);
    };
    void run(std::int64_t trips, Task task);
    void wait_for_all();

    struct State;
    int threads_;
    std::unique_ptr<State> state_;
};

/// Scratch memory of the calling thread, at least `bytes` long and 64-byte aligned; its contents
/// are whatever was left there. Valid until the thread's next call. Throws OutOfMemoryError.
void* thread_scratch(std::size_t bytes);

}  // namespace sinter::runtime
