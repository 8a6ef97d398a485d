#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include <sinter/runtime/shares.h>

using sinter::runtime::Shares;

TEST_CASE("a thread takes its own piece from the front, then others' from the back") {
    Shares shares(2, 2);
    shares.reset(1, 100);
    std::int64_t next = 0;
    while (next < 50) {
        const Shares::Chunk chunk = shares.take(1, 0, 1);
        REQUIRE(chunk.begin == next);
        REQUIRE(chunk.end > next);
        next = chunk.end;
    }
    CHECK(next == 50);
    std::int64_t end = 100;
    while (end > 50) {
        const Shares::Chunk chunk = shares.take(1, 0, 20);
        REQUIRE(chunk.end == end);
        CHECK(end - chunk.begin == std::min<std::int64_t>(end - 50, 20));
        end = chunk.begin;
    }
    CHECK(shares.take(1, 0, 1).empty());
    CHECK(shares.take(1, 1, 1).empty());
    shares.reset(1, 1);
    CHECK(shares.take(1, 1, 5).end == 1);
    CHECK(shares.take(1, 0, 5).empty());
}

TEST_CASE("threads that take chunks at the same time get every trip once") {
    constexpr int kThreads = 4;
    for (const std::int64_t trips : {1, 3, 64, 100000}) {
        Shares shares(1, kThreads);
        shares.reset(0, trips);
        std::vector<std::atomic<int>> taken(static_cast<std::size_t>(trips));
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t)
            threads.emplace_back([&, t] {
                for (;;) {
                    const Shares::Chunk chunk = shares.take(0, t, 1);
                    if (chunk.empty()) return;
                    for (std::int64_t i = chunk.begin; i < chunk.end; ++i)
                        taken[static_cast<std::size_t>(i)].fetch_add(1);
                }
            });
        for (std::thread& thread : threads) thread.join();
        CHECK(std::ranges::all_of(taken, [](const auto& times) { return times.load() == 1; }));
    }
}
