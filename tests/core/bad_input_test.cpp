// Every family of ops refuses bad calls with the user's line, the op's name and what it was given;
// what cannot be computed leaves everything usable.

#include <sstream>
#include <thread>

#include "support.h"

using namespace sinter;

namespace {

Tensor f(const Shape& shape) { return zeros(shape); }

}  // namespace

/// The expression throws an E that begins with this line and the op's name, and has `part` in it.
#define REFUSES(E, op, part, ...)                                             \
    test::expect_refusal<E>(__FILE__, __LINE__, std::string(op) + ": ", part, \
                            [&] { (void)(__VA_ARGS__); })

TEST_CASE("creation refuses") {
    REFUSES(ShapeError, "zeros", "[-1]", zeros({-1}));
    REFUSES(ShapeError, "full", "overflow", full({INT64_MAX, 2}, 1.5));
    REFUSES(ShapeError, "eye", "-2", eye(-2));
    REFUSES(ValueError, "arange", "step", arange(0, 5, 0));
    REFUSES(ValueError, "arange", "step", arange(0, 5, -1));
    REFUSES(ValueError, "linspace", "-3", linspace(0, 1, -3));
    REFUSES(ShapeError, "tril", "f32[3]", tril(f({3})));
    REFUSES(ShapeError, "diag", "f32[2, 2, 2]", diag(f({2, 2, 2})));
    REFUSES(ValueError, "one_hot", "-1", one_hot(arange(3), -1));
    REFUSES(ValueError, "from_blob", "f32", from_blob(nullptr, {2}, f32));
    REFUSES(DeviceError, "Device", "the devices are CPU, CUDA and REF", Device("TPU"));
    REFUSES(ShapeError, "Tensor", "2 values do not fill [3]", Tensor(std::vector{1, 2}, {3}));
}

TEST_CASE("random numbers refuse") {
    REFUSES(ValueError, "randint", "5", randint(5, 5, {2}));
    REFUSES(DTypeError, "rand", "i32", rand({2}, {.dtype = i32}));
    REFUSES(DTypeError, "randint", "f32", randint(0, 3, {2}, {.dtype = f32}));
    REFUSES(ValueError, "dropout", "1.5", dropout(f({2}), 1.5));
    REFUSES(ShapeError, "randn", "[2, -2]", randn({2, -2}));
    REFUSES(ValueError, "randperm", "-1", randperm(-1));
}

TEST_CASE("elementwise ops and comparisons refuse") {
    const Tensor a = f({2, 3}), b = f({4});
    REFUSES(ShapeError, "sub", "[2, 3] and [4]", a - b);
    REFUSES(ShapeError, "mul", "[2, 3] and [4]", a * b);
    REFUSES(ShapeError, "div", "[2, 3] and [4]", a / b);
    REFUSES(ShapeError, "pow", "[2, 3] and [4]", a.pow(b));
    REFUSES(ShapeError, "maximum", "[2, 3] and [4]", a.maximum(b));
    REFUSES(ShapeError, "eq", "[2, 3] and [4]", a == b);
    REFUSES(ShapeError, "where", "[4]", where(a > 0, b, 1));
    REFUSES(DTypeError, "bitwise_or", "f32[2, 3]", a | 1);
    REFUSES(ValueError, "pow", "", pow(Tensor({2, 3}), -1));
}

TEST_CASE("reductions refuse") {
    const Tensor a = f({2, 3}), nothing = f({2, 0});
    REFUSES(ShapeError, "sum", "f32[2, 3]", sum(a, 2));
    REFUSES(ShapeError, "mean", "f32[2, 3]", mean(a, -3));
    REFUSES(ShapeError, "var", "f32[2, 3]", var(a, 7));
    REFUSES(ShapeError, "any", "[2, 3]", any(a, {0, 0}));
    REFUSES(ShapeError, "argmax", "f32[2, 3]", argmax(a, 2));
    REFUSES(ShapeError, "logsumexp", "f32[2, 3]", logsumexp(a, 2));
    REFUSES(ShapeError, "log_softmax", "f32[2, 3]", log_softmax(a, 2));
    REFUSES(ShapeError, "cumprod", "f32[2, 3]", cumprod(a, 2));
    REFUSES(ValueError, "max", "f32[2, 0]", max(nothing));
    REFUSES(ValueError, "min", "f32[2, 0]", min(nothing, 1));
    REFUSES(ValueError, "argmax", "f32[2, 0]", argmax(nothing, 1));
}

TEST_CASE("movement and joining refuse") {
    const Tensor a = f({2, 3}), b = f({2, 4});
    REFUSES(ShapeError, "reshape", "f32[2, 3]", a.reshape({5}));
    REFUSES(ShapeError, "permute", "f32[2, 3]", a.permute({0, 0}));
    REFUSES(ShapeError, "transpose", "f32[2, 3]", a.transpose(0, 2));
    REFUSES(ShapeError, "expand", "f32[2, 3]", a.expand({3, 3}));
    REFUSES(ShapeError, "squeeze", "f32[2, 3]", a.squeeze(4));
    REFUSES(ShapeError, "unsqueeze", "axis 4", a.unsqueeze(4));
    REFUSES(ShapeError, "flip", "f32[2, 3]", a.flip(2));
    REFUSES(ShapeError, "repeat", "[2]", repeat(a, {2}));
    REFUSES(ShapeError, "cat", "f32[2, 4]", cat({a, b}, 0));
    REFUSES(ValueError, "cat", "", cat(std::span<const Tensor>(), 0));
    REFUSES(ShapeError, "stack", "f32[2, 4]", stack({a, b}));
    REFUSES(ShapeError, "split", "f32[2, 3]", split(a, std::vector<std::int64_t>{1, 3}, 1));
    REFUSES(ValueError, "chunk", "0", chunk(a, 0));
    REFUSES(ShapeError, "pad", "f32[2, 3]", pad(a, {1, 1, 1, 1, 1, 1}));
    REFUSES(ShapeError, "pad", "f32[2, 3]", pad(a, {-2, -2}));
    REFUSES(ShapeError, "roll", "f32[2, 3]", roll(a, 1, 5));
    REFUSES(IndexError, "narrow", "f32[2, 3]", narrow(a, 0, 0, 3));
    REFUSES(ShapeError, "unflatten", "f32[2, 3]", unflatten(a, 1, {2, 2}));
}

TEST_CASE("indexing by tensors refuses") {
    const Tensor a = f({2, 3});
    REFUSES(DTypeError, "gather", "f32[1, 1]", gather(a, 0, f({1, 1})));
    REFUSES(ShapeError, "gather", "f32[2, 3]", gather(a, 0, Tensor({0})));
    REFUSES(ShapeError, "gather", "f32[2, 3]", gather(a, 2, Tensor({{0}})));
    REFUSES(ShapeError, "index_select", "[1, 1]", index_select(a, 0, Tensor({{0}})));
    REFUSES(ShapeError, "scatter", "f32[2, 3]", scatter(a, 0, Tensor({0}), 1));
    REFUSES(ShapeError, "scatter_add", "f32[2, 3]", scatter_add(a, 3, Tensor({{0}}), 1));
    REFUSES(ShapeError, "embedding", "f32[3]", embedding(Tensor({0}), f({3})));
    // The index is named as it was written, also where it counts from the end.
    test::for_each_device([&] {
        const Tensor b = f({2, 3}).contiguous();
        const auto at = [&](int i) { return gather(b, 1, Tensor({{i}})); };
        REFUSES(IndexError, "item", "gather along axis 1: index 3 is out", at(3).item<float>());
        REFUSES(IndexError, "item", "gather along axis 1: index -4 is out", at(-4).item<float>());
        REFUSES(IndexError, "item", "gather along axis 1: index -7 is out", at(-7).item<float>());
        CHECK(at(-3).item<float>() == 0);
        const Tensor low = scatter(b, 1, Tensor({{-9}}), 1);
        REFUSES(IndexError, "to_vector", "scatter along axis 1: index -9 is out",
                low.to_vector<float>());
    });
}

TEST_CASE("products, convolutions and pools refuse") {
    const Tensor image = f({1, 3, 8, 8}), weight = f({4, 3, 3, 3});
    REFUSES(ShapeError, "matmul", "[2, 3]", matmul(f({2, 3}), f({2, 3})));
    REFUSES(ShapeError, "matmul", "", matmul(f({2, 4, 3}), f({5, 3, 4})));
    REFUSES(ShapeError, "matmul", "", matmul(f({2, 3}), Tensor(1.f)));
    REFUSES(ShapeError, "dot", "[3]", dot(f({2}), f({3})));
    REFUSES(ShapeError, "einsum", "j", einsum("ij,jk->ik", {f({2, 3}), f({4, 5})}));
    REFUSES(ValueError, "einsum", "'>'", einsum("ij,jk>ik", {f({2, 3}), f({3, 5})}));
    REFUSES(ShapeError, "conv2d", "[4, 3, 3, 3]", conv2d(f({1, 2, 8, 8}), weight));
    REFUSES(ShapeError, "conv2d", "[2, 2]", conv2d(f({1, 3, 2, 2}), weight));
    REFUSES(ShapeError, "conv2d", "[5]", conv2d(image, weight, f({5})));
    REFUSES(ValueError, "conv2d", "stride", conv2d(image, weight, {}, {.stride = 0}));
    REFUSES(ValueError, "conv2d", "groups", conv2d(image, weight, {}, {.groups = 2}));
    REFUSES(ShapeError, "conv_transpose2d", "[4, 3, 3, 3]", conv_transpose2d(image, weight));
    REFUSES(ShapeError, "max_pool2d", "[1, 3, 8, 8]", max_pool2d(image, 9));
    REFUSES(ShapeError, "avg_pool2d", "f32[8]", avg_pool2d(f({8}), 2));
    REFUSES(ValueError, "max_pool2d", "padding", max_pool2d(image, 2, {.padding = 2}));
}

TEST_CASE("losses refuse") {
    REFUSES(ShapeError, "cross_entropy", "[3]", cross_entropy(f({2, 10}), arange(3)));
    REFUSES(ShapeError, "l1_loss", "[3]", l1_loss(f({2}), f({3})));
    REFUSES(ShapeError, "bce_with_logits", "[3]", bce_with_logits(f({2}), f({3})));
}

TEST_CASE("gradients refuse, in the line of the call") {
    const Tensor x({1.f, 2.f}), y({3.f});
    REFUSES(ShapeError, "gradient", "[2]", gradient(x * x, x));
    REFUSES(ValueError, "gradient", "does not reach the loss", gradient(sum(x), y));
    REFUSES(ShapeError, "backward", "[2]", (x * x).backward());
    REFUSES(ValueError, "backward", "requires_grad", sum(x).backward());
    REFUSES(DTypeError, "gradient", "i64", gradient(sum(arange(3)), x));
}

TEST_CASE("reading and realizing refuse, in the line of the call") {
    test::for_each_device([] {
        const Tensor nothing, a = f({2, 3});
        std::vector<std::byte> room(5);
        REFUSES(ValueError, "item", "no value yet", nothing.item<float>());
        REFUSES(ValueError, "Tensor", "no value yet", nothing.shape());
        REFUSES(ShapeError, "item", "f32[2, 3]", a.item<float>());
        REFUSES(ShapeError, "read_bytes", "24 bytes", a.read_bytes(room));
        Tensor wrong = index_select(a.contiguous(), 0, Tensor({2})), fine = a + 1;
        REFUSES(IndexError, "to_vector", "2", wrong.to_vector<float>());
        REFUSES(IndexError, "realize", "2", wrong.realize());
        REFUSES(IndexError, "realize", "2", realize(wrong, fine));
        REFUSES(IndexError, "realize", "2", realize(fine, wrong));
        std::ostringstream text;
        REFUSES(IndexError, "print", "2", text << wrong);
        REFUSES(IndexError, "print", "2", to_string(wrong));
        fine.realize();
        CHECK(fine.to_vector<float>() == std::vector<float>(6, 1));
    });
}

TEST_CASE("in-place forms refuse, and leave the tensor as it was") {
    test::for_each_device([] {
        Tensor a = f({2, 3}) + 7, whole({1, 2});
        REFUSES(ShapeError, "assign", "[2, 3] and [2, 2]", a.assign(f({2, 2})));
        REFUSES(ShapeError, "operator+=", "[2, 3] and [5]", a += f({5}));
        REFUSES(IndexError, "set", "f32[2, 3]", a.set({2}, 0));
        REFUSES(DTypeError, "operator*=", "i32", whole *= 0.5);
        CHECK(a.to_vector<float>() == std::vector<float>(6, 7));
        CHECK(whole.to_vector<int>() == std::vector<int>{1, 2});
    });
}

TEST_CASE("memory that cannot be had is an error, and the process goes on") {
    test::for_each_device([] {
        constexpr std::int64_t kAbsurd = std::int64_t{1} << 44;
        Tensor huge = ones({kAbsurd}) + rand({1});
        REFUSES(OutOfMemoryError, "realize", "bytes", huge.realize());
        REFUSES(OutOfMemoryError, "to_vector", "bytes", huge.to_vector<float>());
        Tensor small = ones({3}) * 2;
        REFUSES(OutOfMemoryError, "realize", "bytes", realize(small, huge));
        CHECK(small.to_vector<float>() == std::vector<float>(3, 2));
        // As a part of an expression that itself is small.
        const Tensor square = matmul(ones({kAbsurd / 1024, 2}).contiguous(), ones({2, 4}));
        REFUSES(OutOfMemoryError, "item", "bytes", (void)square.contiguous().sum().item<float>());
    });
}

TEST_CASE("any number of threads build, differentiate, realize and fail at the same time") {
    test::for_each_device([] {
        const Tensor shared = rand({16, 16}).realize();
        const double expected = sum(matmul(shared, shared) * 2).item<double>();
        const Device device = default_device();
        std::vector<int> right(4, 0);
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < right.size(); ++t)
            threads.emplace_back([&, t] {
                for (int i = 0; i < 8; ++i) {
                    Tensor x = rand({8, static_cast<std::int64_t>(t) + 1 + i % 2}).to(device);
                    const Tensor slope = gradient(sum(x * x * x), x);
                    const bool slopes = allclose(slope, 3 * x * x, 1e-5, 1e-6);
                    bool refused = false;
                    try {
                        (void)index_select(x, 0, Tensor({8})).to_vector<float>();
                    } catch (const IndexError&) {
                        refused = true;
                    }
                    const double sum_now = sum(matmul(shared, shared) * 2).item<double>();
                    if (slopes && refused && sum_now == expected) ++right[t];
                }
            });
        for (std::thread& thread : threads) thread.join();
        CHECK(right == std::vector<int>(4, 8));
    });
}
