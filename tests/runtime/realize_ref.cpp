// realize on REF, and between devices: what needs no kernels.
#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <vector>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/realize.h>

using namespace sinter;
using namespace sinter::runtime;
using ir::UOp;

namespace {

UOp on(DeviceId device, const std::vector<float>& values) {
    auto memory = Memory::allocate(device, values.size() * sizeof(float));
    if (!values.empty()) std::memcpy(memory->data(), values.data(), values.size() * sizeof(float));
    const std::int64_t shape[] = {static_cast<std::int64_t>(values.size())};
    return make_buffer(f32, shape, std::move(memory));
}

std::vector<float> values_of(const UOp& node) {
    const UOp buffer = realized(node);
    const auto* data = static_cast<const float*>(memory_of(buffer).data());
    return {data, data + buffer->numel()};
}

UOp twice(const UOp& x) { return ir::binary(ir::Op::Add, x, x); }

void realize_one(const UOp& root) { realize(std::span<const UOp>(&root, 1)); }

std::int64_t id(DeviceId device) { return static_cast<std::int64_t>(device); }

}  // namespace

TEST_CASE("a graph over REF's memory is evaluated there") {
    const UOp root = twice(on(DeviceId::REF, {1, 2, 3}));
    realize_one(root);
    CHECK(values_of(root) == std::vector<float>{2, 4, 6});
    CHECK(memory_of(realized(root)).device() == DeviceId::REF);
}

TEST_CASE("a graph without memory goes to the default device") {
    const ir::env::Override device("DEVICE", "REF");
    const std::int64_t shape[] = {2};
    const UOp root = twice(ir::constant(f32, 1.5, shape));
    realize_one(root);
    CHECK(values_of(root) == std::vector<float>{3, 3});
    CHECK(memory_of(realized(root)).device() == DeviceId::REF);
}

TEST_CASE("what is realized is computed once, and is a leaf for what comes after") {
    const UOp x = on(DeviceId::REF, {1, 2});
    const UOp half_way = twice(x), root = twice(half_way);
    realize_one(half_way);
    const UOp before = realized(half_way);
    static_cast<float*>(memory_of(x).data())[0] = 100;
    const UOp roots[] = {root, half_way, x, root};
    realize(roots);
    CHECK(realized(half_way) == before);
    CHECK(values_of(root) == std::vector<float>{4, 8});
}

TEST_CASE("memory of two devices in one expression is an error that names them") {
    const UOp mixed = ir::binary(ir::Op::Add, on(DeviceId::CPU, {1}), on(DeviceId::REF, {2}));
    CHECK_THROWS_WITH_AS(realize_one(mixed), doctest::Contains("CPU and on REF"), DeviceError);
    CHECK_FALSE(realized(mixed));
}

TEST_CASE("roots on several devices are realized together, each where it is") {
    const std::int64_t shape[] = {2};
    const UOp roots[] = {twice(on(DeviceId::CPU, {1, 2})), twice(ir::constant(f32, 5, shape)),
                         twice(on(DeviceId::REF, {3, 4}))};
    realize(roots);
    CHECK(values_of(roots[0]) == std::vector<float>{2, 4});
    CHECK(memory_of(realized(roots[0])).device() == DeviceId::CPU);
    CHECK(values_of(roots[1]) == std::vector<float>{10, 10});
    CHECK(values_of(roots[2]) == std::vector<float>{6, 8});
    CHECK(memory_of(realized(roots[2])).device() == DeviceId::REF);
    const UOp mixed[] = {twice(on(DeviceId::CPU, {1})),
                         ir::binary(ir::Op::Add, on(DeviceId::CPU, {1}), on(DeviceId::REF, {2}))};
    CHECK_THROWS_AS(realize(mixed), DeviceError);
}

TEST_CASE("copies carry values between devices, also one above another") {
    const UOp cpu = on(DeviceId::CPU, {1, 2}), ref = on(DeviceId::REF, {10, 20});
    const UOp sum = ir::binary(ir::Op::Add, ir::copy_to(cpu, id(DeviceId::REF)), ref);
    const UOp back = ir::copy_to(sum, id(DeviceId::CPU));
    const UOp there = twice(ir::copy_to(back, id(DeviceId::REF)));
    const UOp roots[] = {back, there};
    realize(roots);
    CHECK(values_of(back) == std::vector<float>{11, 22});
    CHECK(memory_of(realized(back)).device() == DeviceId::CPU);
    CHECK(values_of(there) == std::vector<float>{22, 44});
    CHECK(memory_of(realized(there)).device() == DeviceId::REF);
}

TEST_CASE("a long chain is realized without recursion") {
    UOp node = on(DeviceId::REF, {0});
    const std::int64_t shape[] = {1};
    const UOp one = ir::constant(f32, 1, shape);
    constexpr int kLength = 300000;
    for (int i = 0; i < kLength; ++i) node = ir::binary(ir::Op::Add, node, one);
    realize_one(node);
    CHECK(values_of(node) == std::vector<float>{kLength});
}

TEST_CASE("threads that realize the same node agree on one result") {
    const UOp root = twice(on(DeviceId::REF, std::vector<float>(1000, 1)));
    std::vector<std::thread> threads;
    std::vector<UOp> results(4);
    for (UOp& result : results)
        threads.emplace_back([&root, &result] {
            realize_one(root);
            result = realized(root);
        });
    for (auto& thread : threads) thread.join();
    for (const UOp& result : results) CHECK(result == results[0]);
}
