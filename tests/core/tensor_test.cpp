// The value type: creation, sharing, in-place forms, reading, printing.

#include <sstream>
#include <thread>

#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_scalar;
using test::expect_shaped;
using test::for_each_device;

TEST_CASE("tensors from C++ data") {
    for_each_device([] {
        expect_scalar(Tensor(2.5f), 2.5);
        CHECK(Tensor(3).dtype() == i32);
        CHECK(Tensor(true).dtype() == boolean);
        expect_shaped(Tensor({{1.f, 2.f}, {3.f, 4.f}}), {2, 2}, {1, 2, 3, 4});
        expect_shaped(Tensor({{{1}, {2}}, {{3}, {4}}}), {2, 2, 1}, {1, 2, 3, 4});
        expect_shaped(Tensor({{true, false}}), {1, 2}, {1, 0});
        expect(Tensor(std::vector<double>{1, 2}), {1, 2});
        expect(Tensor(std::vector<bool>{true, false}), {1, 0});
        expect_shaped(Tensor(std::vector<int>{1, 2, 3, 4}, {2, 2}), {2, 2}, {1, 2, 3, 4});
        float numbers[] = {1, 2, 3};
        const Tensor copied = from_data(numbers, {3}, f32);
        numbers[0] = 9;
        expect(copied, {1, 2, 3});
        CHECK(empty({2, 0}).numel() == 0);
        CHECK(Tensor(1.f).device() == default_device());
    });
    float numbers[] = {1, 2, 3};
    const Tensor viewed = from_blob(numbers, {3}, f32);
    numbers[0] = 9;
    CHECK(viewed.to_vector<float>() == std::vector<float>{9, 2, 3});
}

TEST_CASE("ranges and matrices with a rule") {
    for_each_device([] {
        expect(arange(4), {0, 1, 2, 3});
        expect(arange(1, 2, 0.25), {1, 1.25, 1.5, 1.75});
        expect(arange(5, 0, -2), {5, 3, 1});
        CHECK(arange(4).dtype() == i64);
        CHECK(arange(4.).dtype() == f32);
        CHECK(arange(3, f64).dtype() == f64);
        expect(linspace(0, 1, 5), {0, 0.25, 0.5, 0.75, 1});
        expect(linspace(0, 0.1, 3, f64), {0, 0.05, 0.1}, 1);
        expect(logspace(0, 2, 3), {1, 10, 100}, 8);
        expect_shaped(eye(2, 3), {2, 3}, {1, 0, 0, 0, 1, 0});
        const Tensor m = arange(9).reshape({3, 3});
        expect_shaped(tril(m), {3, 3}, {0, 0, 0, 3, 4, 0, 6, 7, 8});
        expect_shaped(triu(m, 1), {3, 3}, {0, 1, 2, 0, 0, 5, 0, 0, 0});
        expect_shaped(tril(full({2, 2}, test::kNaN, f32), -1), {2, 2}, {0, 0, test::kNaN, 0});
        expect(diag(m, 1), {1, 5});
        expect_shaped(diag(Tensor({1, 2}), -1), {3, 3}, {0, 0, 0, 1, 0, 0, 0, 2, 0});
        expect_shaped(one_hot(Tensor({2, 0}), 3), {2, 3}, {0, 0, 1, 1, 0, 0});
        expect_shaped(full_like(m, 7).to(f32), {3, 3}, std::vector<double>(9, 7));
    });
    SINTER_EXPECT_ERROR(ValueError, "arange: the step may not be 0", arange(0, 3, 0));
}

TEST_CASE("in-place forms change this tensor alone") {
    for_each_device([] {
        Tensor x({1.f, 2.f});
        const Tensor before = x, doubled = x * 2;
        x += 1;
        expect(x, {2, 3});
        expect(before, {1, 2});
        expect(doubled, {2, 4});
        x *= Tensor({10.f, 1.f});
        x -= 1;
        x /= 2;
        expect(x, {9.5, 1});
        x.realize();
        for (int i = 0; i < 3; ++i) {
            x += x;
            x.realize();
        }
        expect(x, {76, 8});
        x.assign(0);
        expect(x, {0, 0});
        Tensor y = x;
        y += 1;
        x.realize();
        y.realize();
        expect(x, {0, 0});
        expect(y, {1, 1});
        Tensor whole({1, 2});
        whole += 1;
        CHECK(whole.dtype() == i32);
        expect(whole, {2, 3});
    });
    Tensor x({1.f, 2.f});
    SINTER_EXPECT_ERROR(ShapeError, "operator+=: a value of shape [2, 2] does not fit into f32[2]",
                        x += ones({2, 2}));
}

TEST_CASE("swapping two tensors in place reads both before it writes") {
    for_each_device([] {
        Tensor a({1.f, 2.f}), b({3.f, 4.f});
        const Tensor old = a;
        a.assign(b);
        b.assign(old);
        realize(a, b);
        expect(a, {3, 4});
        expect(b, {1, 2});
    });
}

TEST_CASE("several tensors are realized together") {
    for_each_device([] {
        Tensor a = arange(4) + 1, b = arange(4) * 2;
        realize(a, b);
        expect(a, {1, 2, 3, 4});
        expect(b, {0, 2, 4, 6});
        std::vector<Tensor> many{a + b, a - b};
        Tensor::realize(many);
        expect(many[0], {1, 4, 7, 10});
    });
}

TEST_CASE("values move between devices") {
    const Tensor a = Tensor({1.f, 2.f}).to(Device("REF"));
    CHECK(a.device() == Device("REF"));
    const Tensor b = (a + 1).to(Device("CPU"));
    CHECK(b.device() == Device("CPU"));
    expect(b * 2, {4, 6});
}

TEST_CASE("an expression of constants has no device of its own, wherever it was computed before") {
    const Device cpu("CPU"), ref("REF");
    const auto table = [] { return arange(4) * 2.0 + full({4}, 1.0); };
    const auto device_computed_on = [&] {
        Tensor t = table();
        t.realize();
        return t.device();
    };
    const DeviceGuard guard(cpu);
    const Tensor kept = table();
    expect(kept, {1, 3, 5, 7});  // in the CPU's memory
    const Tensor there = Tensor({10.f, 20.f, 30.f, 40.f}).to(ref);
    expect(there + table(), {11, 23, 35, 47});
    CHECK(device_computed_on() == cpu);
    {
        const DeviceGuard other(ref);
        expect(kept + Tensor({1.f, 1.f, 1.f, 1.f}), {2, 4, 6, 8});
        CHECK(device_computed_on() == ref);
        expect(kept, {1, 3, 5, 7});
    }
    expect(kept + there.to(cpu), {11, 23, 35, 47});
    CHECK(device_computed_on() == cpu);

    Tensor a = there * 2.0, b = table() * 3.0;
    realize(a, b);  // together, where the first one's memory is
    CHECK(b.device() == ref);
    expect(b, {3, 9, 15, 21});

    Tensor counted = zeros({2});
    counted += 1.0;
    const Tensor before = counted;
    expect(before, {1, 1});
    const DeviceGuard other(ref);
    expect(before + Tensor({1.f, 2.f}), {2, 3});
}

TEST_CASE("elements are read back as any type") {
    for_each_device([] {
        const Tensor x({1.7f, -300.f, NAN});
        CHECK(x.to_vector<std::int8_t>() == std::vector<std::int8_t>{1, -128, 0});
        CHECK(x.to_vector<bool>() == std::vector<bool>{true, true, true});
        CHECK(Tensor({1.5f}).to(bf16).item<float>() == 1.5f);
        CHECK(Tensor(7).item<double>() == 7.0);
    });
}

TEST_CASE("tensors print as NumPy's do") {
    for_each_device([] {
        const auto text = [](const Tensor& x) { return to_string(x); };
        CHECK(text(Tensor(2.5f)) == "2.5");
        CHECK(text(Tensor({1.5f, 2.f, 3.25f, NAN})) == "[1.5  2.   3.25  nan]");
        CHECK(text(Tensor({0.1f, -1.f})) == "[ 0.1 -1. ]");
        CHECK(text(Tensor({1e-5f, 3.f})) == "[1.e-05 3.e+00]");
        CHECK(text(Tensor({0.1f}).to(f16)) == "[0.1]");
        CHECK(text(Tensor({true, false})) == "[ true false]");
        CHECK(text(arange(4).reshape({2, 2}) - 1) == "[[-1  0]\n [ 1  2]]");
        CHECK(text(zeros({0, 3})) == "[]");
        CHECK(text(ones({1, 1, 1})) == "[[[1.]]]");
        CHECK(text(arange(2000)) == "[   0    1    2 ... 1997 1998 1999]");
        std::ostringstream os;
        os << ones({2, 3}).shape() << ones({2}).dtype() << default_device();
        CHECK(os.str() == "[2, 3]f32" + std::string(default_device().name()));
    });
}

TEST_CASE("threads build and realize at the same time") {
    for_each_device([] {
        const Tensor shared = (arange(100) + 1).to(f32);
        std::vector<double> sums(4);
        std::vector<std::thread> threads;
        const Device device = default_device();
        for (std::size_t t = 0; t < sums.size(); ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i < 10; ++i)
                    sums[t] += sum(shared * (static_cast<int>(t) + 1)).item<double>();
            });
        for (std::thread& thread : threads) thread.join();
        CHECK(device == default_device());
        for (std::size_t t = 0; t < sums.size(); ++t)
            CHECK(sums[t] == 50500.0 * static_cast<double>(t + 1));
    });
}

TEST_CASE("a chain of 300,000 ops builds, runs and is destroyed") {
    for_each_device([] {
        Tensor x = zeros({2}).contiguous();
        for (int i = 0; i < 300000; ++i) x = x + 1;
        expect(x, {300000, 300000});
    });
}
