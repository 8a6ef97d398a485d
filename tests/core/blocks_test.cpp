// Sums of products that go through their steps in blocks, against REF: as they are chosen for large
// operands, and with every sum cut into blocks of a few steps.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <sinter/ir/env.h>

#include <cmath>

#include "support.h"

using namespace sinter;
using test::Program;

namespace {

// Sums of `steps` products in another order; results are about sqrt(steps) large.
double tolerance(double steps) { return 4 * std::sqrt(steps) * 0x1p-23; }

struct Case {
    const char* name;
    double steps;
    Program program;
};

Tensor values(Shape shape) { return randn(std::move(shape)).realize(); }

const Case kCases[] = {
    {"few rows, many steps", 5300, [] { return matmul(values({17, 5300}), values({5300, 530})); }},
    {"few rows of a large operand", 700,
     [] { return matmul(values({9, 700}), values({700, 1531})); }},
    {"one row of a large operand", 1500,
     [] { return matmul(values({1, 1500}), values({1500, 1031})) + values({1031}); }},
    {"a vector and matrices of a batch", 700,
     [] { return matmul(values({3, 1, 700}), values({3, 700, 1531})); }},
    {"sums down long columns", 9000, [] { return sum(values({9000, 700}), 0) * 0.5; }},
    {"sums down a prime number of rows", 9001,
     [] { return sum(square(values({9001, 700})), 0) + sum(values({9001, 700}), 0); }},
    {"several sums down the columns of several memories", 9000,
     [] {
         const Tensor x = values({9000, 700}), y = cos(values({9000, 700})),
                      scale = values({9000, 1});
         return sum(x * y * scale, 0) * 0.25 + sum(y * scale, 0) * sum(square(x), 0) * 1e-3;
     }},
    {"sums of f64 and of f32", 5000,
     [] {
         const Tensor x = values({5000, 1040}), y = (x + 1).to(f64);
         return sum(x, 0) + sum(x.to(f64) * y, 0).to(f32);
     }},
    {"a vector and long columns", 9000,
     [] { return matmul(values({1, 9000}), values({9000, 600})); }},
    {"two rows of a large operand", 900,
     [] { return matmul(values({2, 900}), values({900, 1531})); }},
    {"few rows, and many of the operand's", 9000,
     [] { return matmul(values({5, 9000}), values({9000, 530})); }},
    {"few results of a long sum", 20000,
     [] { return matmul(values({33, 20000}), values({20000, 40})) * 0.5 + 1; }},
    {"few results of an odd number of steps", 20011,
     [] { return matmul(values({70, 20011}), values({20011, 19})); }},
    {"rows of two tiles and a bit", 3000,
     [] { return matmul(values({100, 3000}), values({3000, 130})); }},
    {"rows of tokens, and a transposed weight", 5300,
     [] { return matmul(values({63, 5300}), transpose(values({1030, 5300}), 0, 1)); }},
    {"few columns", 5300, [] { return matmul(values({530, 5300}), values({5300, 17})); }},
    {"a prime number of steps", 5303,
     [] { return matmul(values({17, 5303}), transpose(values({523, 5303}), 0, 1)); }},
    {"steps far apart in both operands", 900,
     [] { return matmul(transpose(values({900, 310}), 0, 1), values({900, 290})); }},
    {"the same of a batch", 300,
     [] { return matmul(transpose(values({5, 300, 150}), 1, 2), values({5, 300, 70})); }},
    {"heads side by side", 520,
     [] {
         const Tensor heads = permute(values({2, 6, 260, 64}), {0, 2, 1, 3});
         return matmul(transpose(reshape(heads, {520, 384}), 0, 1), values({520, 130}));
     }},
    {"a value before, and others after", 5200,
     [] {
         const Tensor x = tanh(values({13, 5200}));
         return gelu(matmul(x, values({5200, 515})) * 0.02 + values({515}));
     }},
    {"windows of few channels", 64 * 16 * 16,
     [] {
         const Tensor x = values({64, 1, 20, 20}), w = values({32, 1, 5, 5});
         return gradient(sum(square(conv2d(x, w))), {w})[0];
     }},
    {"windows of many channels", 13 * 20 * 20,
     [] {
         const Tensor x = values({13, 24, 20, 20}), w = values({40, 24, 3, 3});
         return gradient(sum(square(conv2d(x, w, {}, {.padding = 1}))), {w})[0];
     }},
    {"windows apart, and others dilated", 24 * 16 * 15,
     [] {
         const Tensor x = values({24, 6, 33, 34}), w = values({18, 6, 3, 4});
         const ConvOptions options{.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 3}};
         return gradient(sum(square(conv2d(x, w, {}, options))), {w})[0] * 0.5 + 1;
     }},
    {"windows of groups", 12 * 22 * 22,
     [] {
         const Tensor x = values({12, 4, 24, 24}), w = values({36, 2, 3, 3});
         return gradient(sum(square(conv2d(x, w, {}, {.groups = 2}))), {w})[0];
     }},
    {"the gradient of a convolution's weight", 4 * 36 * 36,
     [] {
         const Tensor x = values({4, 6, 38, 38}), w = values({20, 6, 3, 3});
         return gradient(sum(square(conv2d(x, w))), {w})[0];
     }},
};

}  // namespace

TEST_CASE("sums of products in blocks are what REF computes") {
    for (const Case& c : kCases) {
        CAPTURE(c.name);
        const std::vector<float> want = test::values_on("REF", c.program);
        for (const char* blocks : {"0", "1", "2"}) {
            CAPTURE(blocks);
            const ir::env::Override mode("BLOCKS", blocks);
            CHECK(test::relative_difference(test::values_on("CPU", c.program), want) <
                  tolerance(c.steps));
        }
    }
}

TEST_CASE("two products of a gate are two kernels, whose weights are read once") {
    const DeviceGuard guard{Device("CPU")};
    const Tensor x = values({128, 300}), up = values({300, 2048}), gate = values({300, 2048});
    Tensor result = silu(matmul(x, gate)) * matmul(x, up);
    const std::uint64_t before = stats().launches;
    result.realize();
    CHECK(stats().launches - before == 2);
}

TEST_CASE("few rows of narrow numbers are widened once for all columns of a trip") {
    // Small integers: every sum is exact.
    for (const std::int64_t rows : {5, 17, 40}) {
        CAPTURE(rows);
        const test::Program program = [rows] {
            const Tensor x = randint(-3, 4, {rows, 640}).to(bf16).realize(),
                         w = randint(-3, 4, {640, 2304}).to(bf16).realize();
            return matmul(x, w);
        };
        CHECK(test::values_on("CPU", program) == test::values_on("REF", program));
    }
}

TEST_CASE("several products in a trip each have their own copies") {
    // Batches of transposed operands, several of which a trip takes together.
    const test::Program program = [] {
        const Tensor g = randint(-3, 4, {8, 256, 64}).to(f32).realize(),
                     w = randint(-3, 4, {256, 128}).to(f32).realize();
        return matmul(transpose(g, 1, 2), w);
    };
    CHECK(test::values_on("CPU", program) == test::values_on("REF", program));
}
