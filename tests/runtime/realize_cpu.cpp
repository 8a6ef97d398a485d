// realize on the CPU: kernels, caches, in-place writes.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>
#include <vector>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/program.h>
#include <sinter/runtime/realize.h>

#include "folder.h"

using namespace sinter;
using namespace sinter::runtime;
using ir::Op;
using ir::UOp;

namespace {

template <class T>
UOp on_cpu(DType dtype, const std::vector<T>& values) {
    auto memory = Memory::allocate(DeviceId::CPU, values.size() * sizeof(T));
    if (!values.empty()) std::memcpy(memory->data(), values.data(), values.size() * sizeof(T));
    const std::int64_t shape[] = {static_cast<std::int64_t>(values.size())};
    return make_buffer(dtype, shape, std::move(memory));
}
UOp floats(const std::vector<float>& values) { return on_cpu(f32, values); }

std::vector<float> values_of(const UOp& node) {
    const UOp buffer = realized(node);
    const auto* data = static_cast<const float*>(memory_of(buffer).data());
    return {data, data + buffer->numel()};
}

const void* address_of(const UOp& node) { return memory_of(realized(node)).data(); }

UOp add(const UOp& a, const UOp& b) { return ir::binary(Op::Add, a, b); }
UOp mul(const UOp& a, const UOp& b) { return ir::binary(Op::Mul, a, b); }
UOp full_like(const UOp& x, double value) { return ir::constant(f32, value, x->shape()); }

void realize_one(const UOp& root) { realize(std::span<const UOp>(&root, 1)); }

using test::Folder;

}  // namespace

TEST_CASE("a graph over memory of the CPU runs as a kernel there") {
    const UOp x = floats({1, 2, 3}), root = add(mul(x, x), x);
    reset_stats();
    realize_one(root);
    CHECK(values_of(root) == std::vector<float>{2, 6, 12});
    CHECK(memory_of(realized(root)).device() == DeviceId::CPU);
    CHECK(stats().launches == 1);
    CHECK(stats().kernel_names.size() == 1);
}

TEST_CASE("several roots are realized together, and each only once") {
    const UOp x = floats({1, 2, 3, 4});
    const std::int64_t axes[] = {0};
    const UOp sum = ir::reduce(ir::ReduceKind::Add, x, axes), twice = add(x, x);
    const UOp roots[] = {sum, twice, sum, x};
    realize(roots);
    CHECK(values_of(sum) == std::vector<float>{10});
    CHECK(values_of(twice) == std::vector<float>{2, 4, 6, 8});
    reset_stats();
    realize(roots);
    CHECK(stats().launches == 0);
}

TEST_CASE("a view of memory that keeps its bytes shares them") {
    const UOp x = floats({1, 2, 3, 4});
    const std::int64_t shape[] = {2, 2};
    const UOp root = ir::reshape(x, shape);
    reset_stats();
    realize_one(root);
    CHECK(stats().launches == 0);
    CHECK(address_of(root) == memory_of(x).data());
    CHECK(realized(root)->rank() == 2);
}

TEST_CASE("tensors without elements are realized") {
    const UOp x = floats({});
    const UOp root = add(x, x);
    realize_one(root);
    CHECK(values_of(root).empty());
    const std::int64_t axes[] = {0};
    const UOp sum = ir::reduce(ir::ReduceKind::Add, x, axes);
    realize_one(sum);
    CHECK(values_of(sum) == std::vector<float>{0});
}

TEST_CASE("bound values of every float type reach the kernel") {
    for (DType dtype : {f16, bf16, f32, f64}) {
        CAPTURE(name(dtype));
        const UOp x = floats({1, 2, 3}), two = ir::bind(dtype, 2.5, x->shape());
        const UOp root = mul(x, ir::cast(add(two, two), f32));
        realize_one(root);
        CHECK(values_of(root) == std::vector<float>{5, 10, 15});
    }
}

TEST_CASE("a graph of the same structure finds its plan; bound values may differ") {
    const auto graph = [](const std::vector<float>& values, double factor) {
        const UOp x = floats(values);
        return mul(add(x, full_like(x, 0.25)), ir::bind(f32, factor, x->shape()));
    };
    const UOp first = graph({1, 2}, 2), second = graph({3, 4}, 10), larger = graph({1, 2, 3}, 2);
    realize_one(first);
    reset_stats();
    realize_one(second);
    CHECK(stats().schedule_hits == 1);
    CHECK(stats().schedule_misses == 0);
    CHECK(stats().compiled == 0);
    CHECK(values_of(first) == std::vector<float>{2.5f, 4.5f});
    CHECK(values_of(second) == std::vector<float>{32.5f, 42.5f});
    realize_one(larger);
    CHECK(stats().schedule_misses == 1);
    CHECK(values_of(larger) == std::vector<float>{2.5f, 4.5f, 6.5f});
}

TEST_CASE("programs come from the disk cache when memory has none; damaged ones are made again") {
    const Folder folder;
    const ir::env::Override dir("SINTER_CACHE_DIR", folder.path.string());
    const auto run = [] {
        clear_caches();
        reset_stats();
        const UOp x = floats({1, 2, 3}), root = add(mul(x, full_like(x, 3)), full_like(x, 100.5));
        realize_one(root);
        CHECK(values_of(root) == std::vector<float>{103.5f, 106.5f, 109.5f});
        return stats();
    };
    CHECK(run().compiled == 1);
    const Stats second = run();
    CHECK(second.disk_hits == 1);
    CHECK(second.compiled == 0);
    {
        const ir::env::Override debug("NOOPT", "1");  // changes the code, so it is another program
        CHECK(run().compiled == 1);
    }
    for (const auto& entry : std::filesystem::directory_iterator(folder.path))
        std::filesystem::resize_file(entry.path(), std::filesystem::file_size(entry.path()) - 1);
    const Stats damaged = run();
    CHECK(damaged.disk_hits == 0);
    CHECK(damaged.compiled == 1);
    CHECK(run().disk_hits == 1);
    CHECK_FALSE(build_id().empty());
    const ir::env::Override off("SINTER_CACHE_DIR", "off");
    CHECK(run().compiled == 1);
}

TEST_CASE("a target of narrower vectors computes the same") {
    const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
    std::vector<std::vector<float>> results;
    for (const char* target : {"sse2", "native"}) {
        const ir::env::Override word("SINTER_TARGET", target);
        const UOp x = floats(values), root = ir::unary(Op::Exp, mul(x, full_like(x, 0.125)));
        realize_one(root);
        results.push_back(values_of(root));
    }
    for (std::size_t i = 0; i < values.size(); ++i)
        CHECK(results[0][i] == doctest::Approx(results[1][i]).epsilon(1e-6));
}

TEST_CASE("an assignment whose target nobody else owns is written in place") {
    UOp target = floats({1, 2, 3});
    const void* memory = address_of(target);
    UOp roots[] = {ir::assign(target, add(target, full_like(target, 1)))};
    target = UOp();
    realize(roots, std::vector<std::uint32_t>(std::size(roots), 0));
    CHECK(values_of(roots[0]) == std::vector<float>{2, 3, 4});
    CHECK(address_of(roots[0]) == memory);
}

TEST_CASE("results beside one that is written in place read what was there") {
    // In a kernel of several stores over the same points, or in two kernels.
    for (const std::size_t n : {std::size_t{3}, std::size_t{64}, std::size_t{1001}})
        for (const bool first : {true, false}) {
            CAPTURE(n);
            std::vector<float> values(n), others(n);
            for (std::size_t i = 0; i < n; ++i) {
                values[i] = static_cast<float>(i % 11);
                others[i] = static_cast<float>(i % 5) - 2;
            }
            UOp target = floats(values), other = floats(others);
            const void* memory = address_of(target);
            std::vector<UOp> roots{ir::assign(target, add(mul(target, other), other)),
                                   mul(target, other), add(target, full_like(target, 1))};
            if (!first) std::swap(roots.front(), roots.back());
            target = other = UOp();
            realize(roots, std::vector<std::uint32_t>(roots.size(), 0));
            if (!first) std::swap(roots.front(), roots.back());
            CHECK(address_of(roots[0]) == memory);
            const std::vector<float> sums = values_of(roots[0]), products = values_of(roots[1]),
                                     more = values_of(roots[2]);
            for (std::size_t i = 0; i < n; ++i) {
                REQUIRE(sums[i] == values[i] * others[i] + others[i]);
                REQUIRE(products[i] == values[i] * others[i]);
                REQUIRE(more[i] == values[i] + 1);
            }
        }
}

TEST_CASE("an assignment never changes what somebody can still ask for") {
    const auto increment = [](const UOp& target) {
        return ir::assign(target, add(target, full_like(target, 1)));
    };
    SUBCASE("the buffer itself") {
        const UOp target = floats({1, 2, 3});
        UOp roots[] = {increment(target)};
        realize(roots, std::vector<std::uint32_t>(std::size(roots), 0));
        CHECK(values_of(roots[0]) == std::vector<float>{2, 3, 4});
        CHECK(values_of(target) == std::vector<float>{1, 2, 3});
    }
    SUBCASE("an expression over it that is not realized yet") {
        UOp target = floats({1, 2, 3});
        const UOp later = mul(target, target);
        UOp roots[] = {increment(target)};
        target = UOp();
        realize(roots, std::vector<std::uint32_t>(std::size(roots), 0));
        CHECK(values_of(roots[0]) == std::vector<float>{2, 3, 4});
        realize_one(later);
        CHECK(values_of(later) == std::vector<float>{1, 4, 9});
    }
    SUBCASE("a root that keeps its history, through which a gradient would read it") {
        UOp target = floats({1, 2, 3});
        const UOp loss = mul(target, target);
        UOp roots[] = {increment(target), loss};
        target = UOp();
        realize(roots, std::vector<std::uint32_t>(std::size(roots), 0));
        CHECK(values_of(roots[0]) == std::vector<float>{2, 3, 4});
        CHECK(values_of(loss->src(0) ? UOp::share(loss->src(0)) : UOp()) ==
              std::vector<float>{1, 2, 3});
    }
    SUBCASE("a copy of the assignment's handle, through whose history a gradient would read it") {
        UOp target = floats({1, 2, 3});
        UOp roots[] = {increment(target)};
        const UOp copy = roots[0];
        const void* memory = address_of(target);
        target = UOp();
        realize(roots, std::vector<std::uint32_t>(std::size(roots), 0));
        CHECK(values_of(copy) == std::vector<float>{2, 3, 4});
        CHECK(address_of(copy) != memory);
    }
    SUBCASE("another buffer over the same memory") {
        UOp target = floats({1, 2, 3});
        const std::int64_t shape[] = {3, 1};
        const UOp view = ir::reshape(target, shape);
        realize_one(view);
        const UOp kept = realized(view);
        UOp roots[] = {increment(target)};
        target = UOp();
        realize(roots, std::vector<std::uint32_t>(std::size(roots), 0));
        CHECK(values_of(kept) == std::vector<float>{1, 2, 3});
    }
}

TEST_CASE(
    "an index out of range is an error that names op, index and bound, and realizes nothing") {
    const UOp x = floats({1, 2, 3});
    const auto gather = [&x](const std::vector<std::int64_t>& index) {
        return ir::gather(x, on_cpu(i64, index), 0);
    };
    const UOp good = gather({2, 0, 1});
    realize_one(good);
    CHECK(values_of(good) == std::vector<float>{3, 1, 2});
    for (const std::int64_t wrong : {std::int64_t{3}, std::int64_t{-1}, std::int64_t{1} << 40}) {
        const UOp bad = gather({0, wrong, 1});
        CHECK_THROWS_WITH_AS(realize_one(bad), doctest::Contains(std::to_string(wrong).c_str()),
                             IndexError);
        CHECK_FALSE(realized(bad));
    }
}

TEST_CASE("memory that cannot be had is an error, and the next realize works") {
    const UOp x = floats({1});
    const std::int64_t shape[] = {std::int64_t{1} << 44};
    const UOp huge = ir::expand(x, shape);
    const UOp root = add(huge, full_like(huge, 1));
    CHECK_THROWS_AS(realize_one(root), OutOfMemoryError);
    const UOp small = add(x, x);
    realize_one(small);
    CHECK(values_of(small) == std::vector<float>{2});
}

TEST_CASE("any number of threads realize, graphs of their own and shared ones") {
    const UOp shared_input = floats(std::vector<float>(1000, 1));
    const UOp shared = add(shared_input, full_like(shared_input, 41));
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 10; ++i) {
                const UOp x = floats({static_cast<float>(t), static_cast<float>(i)});
                const UOp own = mul(x, full_like(x, i % 3 + 1));
                realize_one(own);
                realize_one(shared);
                const float factor = static_cast<float>(i % 3 + 1);
                const std::vector<float> expected{static_cast<float>(t) * factor,
                                                  static_cast<float>(i) * factor};
                if (values_of(own) == expected && values_of(shared) == std::vector<float>(1000, 42))
                    ++right;
            }
        });
    for (auto& thread : threads) thread.join();
    CHECK(right == 40);
}
