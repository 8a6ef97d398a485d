#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/allocator.h>
#include <sinter/runtime/realize.h>

using namespace sinter;
using namespace sinter::runtime;

namespace {
constexpr std::size_t kMega = std::size_t{1} << 20;
}

TEST_CASE("size classes hold what is asked for and waste at most an eighth") {
    std::size_t last = 0;
    for (std::size_t bytes = 0; bytes < 70000; ++bytes) {
        const std::size_t size = Allocator::class_of(bytes);
        if (size < bytes || size < 64 || size % 64 != 0 || size < last)
            FAIL("class of ", bytes, " is ", size);
        if (bytes > 512 && size - bytes > bytes / 8 + 64) FAIL("class of ", bytes, " is ", size);
        last = size;
    }
    CHECK(Allocator::class_of(SIZE_MAX) == 0);
}

TEST_CASE("freed blocks are used again by requests of their class") {
    Allocator allocator({64 * kMega, 16 * kMega});
    void* a = allocator.allocate(5000);
    allocator.free(a, 5000);
    CHECK(allocator.stats().kept == Allocator::class_of(5000));
    CHECK(allocator.allocate(4990) == a);
    CHECK(allocator.stats().kept == 0);
    CHECK(allocator.stats().in_use == Allocator::class_of(5000));
    allocator.free(a, 4990);
    allocator.trim();
    CHECK(allocator.stats().kept == 0);
    CHECK(allocator.stats().in_use == 0);
}

TEST_CASE("no more is kept than the cap") {
    Allocator allocator({64 * kMega, kMega});
    void* large = allocator.allocate(4 * kMega);
    void* small = allocator.allocate(1000);
    allocator.free(large, 4 * kMega);
    allocator.free(small, 1000);
    CHECK(allocator.stats().kept == Allocator::class_of(1000));
}

TEST_CASE("kept blocks make room for others before memory runs out") {
    Allocator allocator({10 * kMega, 10 * kMega});
    for (const std::size_t bytes : {8 * kMega, 9 * kMega, 7 * kMega}) {
        void* block = allocator.allocate(bytes);
        std::memset(block, 1, bytes);
        allocator.free(block, bytes);
    }
    CHECK(allocator.stats().kept <= 10 * kMega);
}

TEST_CASE("blocks are aligned, the large ones to huge pages, and all of them can be written") {
    Allocator allocator(Allocator::defaults());
    for (const std::size_t bytes :
         {std::size_t{0}, std::size_t{1}, std::size_t{4097}, kMega, 2 * kMega, 5 * kMega + 3}) {
        void* block = allocator.allocate(bytes);
        CHECK(reinterpret_cast<std::uintptr_t>(block) % (bytes >= 2 * kMega ? 2 * kMega : 64) == 0);
        std::memset(block, 1, bytes);
        allocator.free(block, bytes);
    }
}

TEST_CASE("memory that cannot be had is an error that names the bytes, and nothing is lost by it") {
    for (const std::size_t bytes :
         {std::size_t{1} << 60, std::size_t{1} << 46, SIZE_MAX, SIZE_MAX - 100}) {
        const std::string text = std::to_string(bytes);
        CHECK_THROWS_WITH_AS(Memory::allocate(DeviceId::CPU, bytes),
                             doctest::Contains(text.c_str()), OutOfMemoryError);
    }
    const std::size_t before = Allocator::instance().stats().in_use;
    {
        const auto memory = Memory::allocate(DeviceId::CPU, 1000);
        CHECK(Allocator::instance().stats().in_use > before);
    }
    CHECK(Allocator::instance().stats().in_use == before);
}

TEST_CASE("a limit is a limit") {
    Allocator allocator({kMega, kMega});
    void* half = allocator.allocate(kMega / 2);
    CHECK_THROWS_AS(allocator.allocate(kMega), OutOfMemoryError);
    allocator.free(half, kMega / 2);
    allocator.free(allocator.allocate(kMega), kMega);
}

TEST_CASE("threads allocate at the same time") {
    Allocator allocator(Allocator::defaults());
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&allocator, t] {
            for (int i = 0; i < 1000; ++i) {
                const std::size_t bytes = static_cast<std::size_t>((i * 37 + t) % 5000);
                void* block = allocator.allocate(bytes);
                std::memset(block, t, bytes);
                allocator.free(block, bytes);
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(allocator.stats().in_use == 0);
}

TEST_CASE("borrowed memory stays its owner's") {
    std::vector<float> mine{1, 2, 3};
    {
        const std::int64_t shape[] = {3};
        const ir::UOp buffer =
            make_buffer(f32, shape, Memory::borrow(mine.data(), mine.size() * sizeof(float)));
        CHECK(memory_of(buffer).data() == mine.data());
        CHECK(realized(buffer) == buffer);
    }
    CHECK(mine == std::vector<float>{1, 2, 3});
}

TEST_CASE("a buffer needs memory that holds it") {
    const std::int64_t shape[] = {100};
    CHECK_THROWS_AS(make_buffer(f32, shape, Memory::allocate(DeviceId::CPU, 399)), InternalError);
    CHECK_THROWS_AS(memory_of(ir::constant(f32, 1.0)), InternalError);
}

TEST_CASE("devices are known by name") {
    CHECK(parse_device("CPU") == DeviceId::CPU);
    CHECK(name(parse_device("REF")) == "REF");
    CHECK_THROWS_WITH_AS(parse_device("TPU"), doctest::Contains("CPU, CUDA and REF"), DeviceError);
    const ir::env::Override device("DEVICE", "REF");
    CHECK(default_device() == DeviceId::REF);
}
