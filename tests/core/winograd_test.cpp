// Convolutions computed in tiles, with fewer products than they have, against REF.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <sinter/ir/env.h>

#include <cmath>

#include "support.h"

using namespace sinter;
using test::Program;

namespace {

// Sums of so many products, in tiles of 4: factors of up to 5/2 twice on the way there, and back.
double tolerance(double products) { return 8 * std::sqrt(products) * 0x1p-23; }

Tensor values(Shape shape) { return randn(std::move(shape)).realize(); }

Tensor channels_last(const Tensor& x) { return permute(x, {0, 2, 3, 1}); }
Tensor channels_first(const Tensor& x) { return permute(x, {0, 3, 1, 2}); }

struct Case {
    const char* name;
    double products;
    Program program;
};

const Case kCases[] = {
    {"whole tiles", 9 * 16, [] { return conv2d(values({2, 16, 14, 18}), values({8, 16, 3, 3})); }},
    {"padded, tiles that reach beyond the image", 9 * 7,
     [] { return conv2d(values({3, 7, 9, 6}), values({11, 7, 3, 3}), {}, {.padding = 1}); }},
    {"one tile, one image", 9 * 20,
     [] { return conv2d(values({1, 20, 4, 5}), values({12, 20, 3, 3}), {}, {.padding = 1}); }},
    {"smaller than a tile", 9 * 5,
     [] { return conv2d(values({4, 5, 5, 3}), values({3, 5, 3, 3})); }},
    {"a channel in, a channel out", 9,
     [] { return conv2d(values({2, 1, 8, 8}), values({1, 1, 3, 3}), {}, {.padding = 1}); }},
    {"channels side by side", 9 * 24,
     [] {
         const Tensor x = channels_first(values({2, 11, 13, 24}));
         return contiguous(channels_last(conv2d(x, values({32, 24, 3, 3}))));
     }},
    {"values before, and others after", 9 * 16,
     [] {
         const Tensor x = relu(values({2, 16, 12, 12})), w = values({16, 16, 3, 3}) * 0.5f;
         const Tensor y = conv2d(x, w, values({16}), {.padding = 1});
         return relu(y) + values({2, 16, 12, 12});
     }},
    {"narrow numbers", 9 * 16,
     [] {
         const Tensor x = values({2, 16, 12, 12}).to(bf16).realize(),
                      w = values({16, 16, 3, 3}).to(bf16).realize();
         return conv2d(x, w).to(f32);
     }},
    {"the gradient of an image", 9 * 12,
     [] {
         const Tensor x = values({2, 8, 10, 10}), w = values({12, 8, 3, 3});
         return gradient(sum(square(conv2d(x, w))), {x})[0];
     }},
    {"windows apart, dilated, of groups, of other sizes", 9 * 12,
     [] {
         const Tensor x = values({2, 12, 17, 17}), w = values({8, 12, 3, 3});
         return cat(
             {flatten(conv2d(x, w, {}, {.stride = 2})), flatten(conv2d(x, w, {}, {.dilation = 2})),
              flatten(conv2d(x, values({8, 6, 3, 3}), {}, {.groups = 2})),
              flatten(conv2d(x, values({8, 12, 3, 2})))},
             0);
     }},
};

}  // namespace

TEST_CASE("convolutions in tiles are what REF computes") {
    for (const Case& c : kCases) {
        CAPTURE(c.name);
        const std::vector<float> want = test::values_on("REF", c.program);
        for (const char* winograd : {"0", "2"}) {
            CAPTURE(winograd);
            const ir::env::Override mode("WINOGRAD", winograd), again("SCHEDULE", "1");
            CHECK(test::relative_difference(test::values_on("CPU", c.program), want) <
                  tolerance(c.products));
        }
    }
}

TEST_CASE("a deep convolution goes in tiles by itself, a shallow one does not") {
    const auto run = [](const Program& program, const char* winograd) {
        const ir::env::Override mode("WINOGRAD", winograd);
        return test::values_on("CPU", program);
    };
    const Program deep = [] {
        return conv2d(values({4, 32, 28, 28}), values({64, 32, 3, 3}), {}, {.padding = 1});
    };
    const std::vector<float> in_tiles = run(deep, "2"), direct = run(deep, "0");
    CHECK(run(deep, "1") == in_tiles);
    CHECK(in_tiles != direct);
    CHECK(test::relative_difference(in_tiles, direct) < tolerance(9 * 32));
    const Program shallow = [] {
        return conv2d(values({4, 3, 60, 60}), values({64, 3, 3, 3}), {}, {.padding = 1});
    };
    CHECK(run(shallow, "1") == run(shallow, "0"));
}

TEST_CASE("tiles of 2 by 2, in any parts, are exact for small integers") {
    const DeviceGuard cpu{Device("CPU")};
    const Program program = [] {
        manual_seed(7);
        return conv2d(randint(-4, 5, {4, 6, 11, 10}).to(f32).realize(),
                      randint(-4, 5, {8, 6, 3, 3}).to(f32).realize());
    };
    const std::vector<float> want = test::values_on("REF", program);
    reset_stats();
    CHECK(test::values_on("CPU", program) == want);
    std::string name;
    for (const std::string& kernel : stats().kernel_names)
        if (kernel.starts_with("r_")) name = kernel;
    for (const char* text : {
             "kernel: winograd r2 r3 by 2 channels first 0 0 trips",
             "kernel: winograd r2 r3 by 2 channels first 0 0 trips r0:2 r1:4 r2:1",
             "kernel: winograd r2 r3 by 2 channels first 1 1 trips r0:1 r2:5",
             "kernel: winograd r2 r3 by 2 channels first 0 1 trips r1:2",
             "kernel: winograd r2 r3 by 2 channels first 1 0 trips r0:4 r1:1",
         }) {
        CAPTURE(text);
        const PinnedSchedule pin(name, text);
        CHECK(test::values_on("CPU", program) == want);
    }
    for (const auto& [text, message] : {
             std::pair("kernel: winograd r2 r3 by 3 channels first 0 0 trips", "no tiles of 3"),
             std::pair("kernel: winograd r3 r2 by 2 channels first 0 0 trips",
                       "no convolution of windows of 3 x 3"),
             std::pair("kernel: winograd r2 r3 by 2 channels first 0 0 trips r1:3",
                       "3 of 8 are no even part"),
         }) {
        CAPTURE(text);
        const PinnedSchedule pin(name, text);
        const std::string said =
            test::message_of<ValueError>([&] { return test::values_on("CPU", program); });
        CAPTURE(said);
        CHECK(test::says(said, message));
    }
}
