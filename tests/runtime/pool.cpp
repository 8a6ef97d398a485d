#include <doctest/doctest.h>

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/runtime/pool.h>

using namespace sinter;
using namespace sinter::runtime;

TEST_CASE("every trip of a loop runs exactly once, in disjoint pieces") {
    for (const int threads : {1, 2, 3, 5}) {
        ThreadPool pool(threads);
        for (const std::int64_t trips : {0, 1, 2, 3, 7, 64, 1000}) {
            std::vector<int> runs(static_cast<std::size_t>(trips), 0);
            std::atomic<bool> fits{true};
            pool.parallel_for(trips, [&](std::int64_t begin, std::int64_t end, int thread) {
                if (begin >= end || thread < 0 || thread >= threads) fits = false;
                for (std::int64_t i = begin; i < end; ++i) ++runs[static_cast<std::size_t>(i)];
            });
            CHECK(fits);
            CHECK(runs == std::vector<int>(static_cast<std::size_t>(trips), 1));
        }
    }
}

TEST_CASE("with a thread for each CPU, no two threads share one wherever the caller is") {
    cpu_set_t allowed;
    REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    ThreadPool pool(CPU_COUNT(&allowed));
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        cpu_set_t here;
        CPU_ZERO(&here);
        CPU_SET(cpu, &here);
        REQUIRE(sched_setaffinity(0, sizeof here, &here) == 0);
        std::vector<int> used(static_cast<std::size_t>(pool.threads()), -1);
        pool.parallel_for(pool.threads(), [&](std::int64_t, std::int64_t, int thread) {
            used[static_cast<std::size_t>(thread)] = sched_getcpu();
        });
        CHECK(used[0] == cpu);
        std::ranges::sort(used);
        CHECK(std::ranges::adjacent_find(used) == used.end());
        CHECK(used.front() >= 0);
    }
    REQUIRE(sched_setaffinity(0, sizeof allowed, &allowed) == 0);
}

TEST_CASE("a worker that gets no time on its CPU is let go, and comes back") {
    using namespace std::chrono_literals;
    cpu_set_t allowed;
    REQUIRE(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    if (CPU_COUNT(&allowed) < 2) return;
    const auto cpus_of_this_thread = [] {
        cpu_set_t mine;
        return sched_getaffinity(0, sizeof mine, &mine) == 0 ? CPU_COUNT(&mine) : 0;
    };
    ThreadPool pool(CPU_COUNT(&allowed));
    const auto run = [&](bool idle) {
        std::atomic<int> cpus{0};
        pool.parallel_for(pool.threads(), [&](std::int64_t, std::int64_t, int thread) {
            if (thread != 1) return;
            const auto end = std::chrono::steady_clock::now() + 10s;
            while (idle && cpus_of_this_thread() == 1 && std::chrono::steady_clock::now() < end)
                std::this_thread::sleep_for(1ms);
            cpus = cpus_of_this_thread();
        });
        return cpus.load();
    };
    CHECK(run(false) == 1);
    CHECK(run(true) == CPU_COUNT(&allowed));
    std::this_thread::sleep_for(1100ms);
    CHECK(run(false) == 1);
}

TEST_CASE("what a loop wrote is there for the caller and for the next loop") {
    ThreadPool pool(3);
    std::vector<std::int64_t> values(300, 1);
    for (int round = 0; round < 2000; ++round)
        pool.parallel_for(300, [&](std::int64_t begin, std::int64_t end, int) {
            for (std::int64_t i = begin; i < end; ++i) {
                // The neighbour belongs to another thread's piece now and then: only reads of the
                // round before.
                values[static_cast<std::size_t>(i)] += 1;
            }
        });
    CHECK(values == std::vector<std::int64_t>(300, 2001));
}

TEST_CASE(
    "the exception of the first thread that threw reaches the caller, and the pool lives on") {
    ThreadPool pool(3);
    for (int round = 0; round < 10; ++round) {
        CHECK_THROWS_WITH_AS(
            pool.parallel_for(3,
                              [](std::int64_t begin, std::int64_t, int) {
                                  if (begin > 0)
                                      throw std::runtime_error("trip " + std::to_string(begin));
                              }),
            "trip 1", std::runtime_error);
    }
    std::atomic<int> sum{0};
    pool.parallel_for(
        3, [&](std::int64_t begin, std::int64_t, int) { sum += static_cast<int>(begin); });
    CHECK(sum == 3);
}

TEST_CASE("a loop inside a loop runs on the thread that asks") {
    ThreadPool pool(2);
    std::atomic<int> sum{0};
    pool.parallel_for(4, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i)
            pool.parallel_for(10, [&](std::int64_t b, std::int64_t e, int thread) {
                if (thread == 0) sum += static_cast<int>(e - b);
            });
    });
    CHECK(sum == 40);
}

TEST_CASE("several threads share a pool") {
    ThreadPool pool(2);
    std::atomic<std::int64_t> sum{0};
    std::vector<std::thread> users;
    for (int user = 0; user < 4; ++user)
        users.emplace_back([&] {
            for (int round = 0; round < 200; ++round)
                pool.parallel_for(
                    10, [&](std::int64_t begin, std::int64_t end, int) { sum += end - begin; });
        });
    for (auto& user : users) user.join();
    CHECK(sum == 4 * 200 * 10);
}

TEST_CASE("for_each runs every piece once") {
    ThreadPool pool(3);
    std::vector<std::atomic<int>> runs(100);
    pool.for_each(100, [&](std::int64_t i) { ++runs[static_cast<std::size_t>(i)]; });
    for (const auto& count : runs) CHECK(count == 1);
}

TEST_CASE("threads without work go to sleep, and wake for the next loop") {
    ThreadPool pool(2);
    const auto count = [&] {
        std::atomic<int> sum{0};
        pool.parallel_for(2, [&](std::int64_t, std::int64_t, int) { ++sum; });
        return sum.load();
    };
    CHECK(count() == 2);
    for (int tries = 0; tries < 1000 && pool.sleeping() == 0; ++tries)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(pool.sleeping() == 1);
    CHECK(count() == 2);
}

#if defined(__SANITIZE_THREAD__)
constexpr bool kThreadsAfterFork = false;  // the thread sanitizer ends a child that starts threads
#else
constexpr bool kThreadsAfterFork = true;
#endif

TEST_CASE("a forked child has a pool of its own" * doctest::skip(!kThreadsAfterFork)) {
    const auto count = [] {
        std::atomic<int> sum{0};
        ThreadPool::instance().parallel_for(8, [&](std::int64_t begin, std::int64_t end, int) {
            sum += static_cast<int>(end - begin);
        });
        return sum.load();
    };
    CHECK(count() == 8);
    const pid_t child = fork();
    if (child == 0) _exit(count() == 8 ? 0 : 1);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("scratch grows, stays a thread's own and is aligned") {
    auto* first = static_cast<char*>(thread_scratch(100));
    first[99] = 1;
    CHECK(reinterpret_cast<std::uintptr_t>(first) % 64 == 0);
    CHECK(thread_scratch(50) == static_cast<void*>(first));
    auto* larger = static_cast<char*>(thread_scratch(1 << 20));
    larger[(1 << 20) - 1] = 1;
    void* elsewhere = nullptr;
    std::thread([&] { elsewhere = thread_scratch(64); }).join();
    CHECK(elsewhere != static_cast<void*>(larger));
    CHECK_THROWS_AS(thread_scratch(std::size_t{1} << 60), OutOfMemoryError);
    CHECK(thread_scratch(10) != nullptr);
}

TEST_CASE("barriers of a region let no thread pass before all have come") {
    for (const int threads : {1, 2, 3, 5}) {
        ThreadPool pool(threads);
        std::vector<std::int64_t> values(static_cast<std::size_t>(threads), 0);
        std::atomic<int> wrong{0}, entered{0};
        constexpr int kSteps = 500;
        for (int round = 0; round < 3; ++round) {
            std::fill(values.begin(), values.end(), 0);
            pool.region([&](int thread, ThreadPool::Team& team) {
                entered.fetch_add(1);
                if (team.size() != threads) ++wrong;
                for (std::int64_t step = 1; step <= kSteps; ++step) {
                    values[static_cast<std::size_t>(thread)] = step;
                    team.barrier();
                    for (const std::int64_t value : values)
                        if (value != step) ++wrong;
                    team.barrier();
                }
            });
        }
        CHECK(wrong == 0);
        CHECK(entered == 3 * threads);
    }
}

TEST_CASE("a region inside a loop is a team of one") {
    ThreadPool pool(3);
    std::atomic<int> teams{0};
    pool.parallel_for(3, [&](std::int64_t, std::int64_t, int) {
        pool.region([&](int thread, ThreadPool::Team& team) {
            team.barrier();
            if (thread == 0 && team.size() == 1) ++teams;
        });
    });
    CHECK(teams == 3);
}
