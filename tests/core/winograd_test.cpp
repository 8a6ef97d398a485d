// Convolutions computed in tiles, with fewer products than they have, against REF.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <sinter/ir/env.h>

#include <cmath>

#include "support.h"

using namespace sinter;
using test::Program;

namespace {

// Sums of so many products, of six points: factors of up to 5/2 twice on the way there, and back;
// with eight, which windows of more than 3 x 3 have, their errors are four times as large.
double tolerance(double products, double points = 6) {
    return (points == 6 ? 8 : 32) * std::sqrt(products) * 0x1p-23;
}

Tensor values(Shape shape) { return randn(std::move(shape)).realize(); }

Tensor channels_last(const Tensor& x) { return permute(x, {0, 2, 3, 1}); }
Tensor channels_first(const Tensor& x) { return permute(x, {0, 3, 1, 2}); }

// The gradients of a convolution's image and filter.
std::vector<Tensor> gradients(Shape image, Shape filter, std::int64_t padding = 0) {
    const Tensor x = values(std::move(image)), w = values(std::move(filter));
    const Tensor y = conv2d(x, w, {}, {.padding = padding});
    return gradient(sum(y * values(y.shape())), {x, w});
}

struct Case {
    const char* name;
    double products;
    Program program;
    double points = 6;
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
    {"windows of 5 x 5", 25 * 9,
     [] { return conv2d(values({2, 9, 15, 18}), values({10, 9, 5, 5}), {}, {.padding = 2}); }, 8},
    {"windows of 7 x 7, in pieces", 49 * 6,
     [] { return conv2d(values({2, 6, 16, 21}), values({7, 6, 7, 7})); }, 8},
    {"windows of 2 x 2 and 4 x 4", 16 * 5,
     [] {
         const Tensor x = values({2, 5, 13, 11});
         return cat(
             {flatten(conv2d(x, values({6, 5, 2, 2}))), flatten(conv2d(x, values({6, 5, 4, 4})))},
             0);
     },
     8},
    {"windows that are no squares", 15 * 7,
     [] { return conv2d(values({2, 7, 12, 13}), values({5, 7, 3, 5})); }, 8},
    {"channels of groups", 9 * 6,
     [] { return conv2d(values({2, 12, 17, 17}), values({8, 6, 3, 3}), {}, {.groups = 2}); }},
    {"the gradient of a filter", 3 * 12 * 14,
     [] { return gradients({3, 8, 14, 16}, {12, 8, 3, 3})[1]; }},
    {"the gradient of a filter, padded, of pieces that reach beyond", 2 * 9 * 7,
     [] { return gradients({2, 5, 9, 7}, {6, 5, 3, 3}, 1)[1]; }},
    {"the gradient of a filter of 5 x 5", 4 * 11 * 13,
     [] { return gradients({4, 6, 15, 17}, {7, 6, 5, 5})[1]; }, 8},
    {"the gradient of a filter, channels side by side", 5 * 10 * 10,
     [] {
         const Tensor x = channels_first(values({5, 12, 12, 16})), w = values({24, 16, 3, 3}),
                      y = conv2d(x, w), g = channels_first(values({5, 10, 10, 24}));
         return gradient(sum(y * g), {w})[0];
     }},
    {"the gradient of a filter, of a value that is computed", 3 * 12 * 12,
     [] {
         const Tensor x = values({3, 6, 14, 14}), w = values({8, 6, 3, 3});
         return gradient(sum(square(relu(conv2d(relu(x), w)))), {w})[0];
     }},
    {"windows apart, dilated, of one column", 9 * 12,
     [] {
         const Tensor x = values({2, 12, 17, 17}), w = values({8, 12, 3, 3});
         return cat(
             {flatten(conv2d(x, w, {}, {.stride = 2})), flatten(conv2d(x, w, {}, {.dilation = 2})),
              flatten(conv2d(x, values({8, 12, 3, 1})))},
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
                  tolerance(c.products, c.points));
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

TEST_CASE("the gradient of a deep convolution's filter goes in tiles by itself, in chunks") {
    const auto run = [](const char* winograd) {
        const ir::env::Override mode("WINOGRAD", winograd);
        return test::values_on("CPU",
                               [] { return gradients({16, 32, 14, 14}, {32, 32, 3, 3}, 1)[1]; });
    };
    const std::vector<float> in_tiles = run("2"), direct = run("0");
    CHECK(run("1") == in_tiles);
    CHECK(in_tiles != direct);
    CHECK(test::relative_difference(in_tiles, direct) < tolerance(16 * 14 * 14));
}

namespace {

// Pins each schedule in turn to the kernel that sums, whose values stay the same.
void check_schedules(const Program& program, std::initializer_list<const char*> schedules,
                     std::initializer_list<std::pair<const char*, const char*>> refused) {
    const DeviceGuard cpu{Device("CPU")};
    const std::vector<float> want = test::values_on("REF", program);
    reset_stats();
    CHECK(test::values_on("CPU", program) == want);
    std::string name;
    for (const std::string& kernel : stats().kernel_names)
        if (kernel.starts_with("r_")) name = kernel;
    for (const char* text : schedules) {
        CAPTURE(text);
        const PinnedSchedule pin(name, text);
        CHECK(test::values_on("CPU", program) == want);
    }
    for (const auto& [text, message] : refused) {
        CAPTURE(text);
        const PinnedSchedule pin(name, text);
        const std::string said =
            test::message_of<ValueError>([&] { return test::values_on("CPU", program); });
        CAPTURE(said);
        CHECK(test::says(said, message));
    }
}

Tensor small_integers(Shape shape) { return randint(-4, 5, std::move(shape)).to(f32).realize(); }

}  // namespace

TEST_CASE("tiles of 2 by 2, in any parts, are exact for small integers") {
    check_schedules(
        [] {
            manual_seed(7);
            return conv2d(small_integers({4, 6, 11, 10}), small_integers({8, 6, 3, 3}));
        },
        {
            "kernel: winograd r2 r3 by 2 of 3 channels first 0 0 trips blocks",
            "kernel: winograd r2 r3 by 2 of 3 channels first 0 0 trips r0:2 r1:4 r2:1 blocks",
            "kernel: winograd r2 r3 by 2 of 3 channels first 1 1 trips r0:1 r2:5 blocks",
            "kernel: winograd r2 r3 by 2 of 3 channels first 0 1 trips r1:2 blocks",
            "kernel: winograd r2 r3 by 2 of 3 channels first 1 0 trips r0:4 r1:1 blocks",
            "kernel: winograd r2 r3 by 3 of 2 channels first 1 1 trips r1:2 blocks",
            "kernel: winograd r2 r3 by 3 of 2 channels first 0 1 trips r1:2 blocks r4:2 r5:1",
            "kernel: winograd r2 r3 by 2 of 3 channels first 0 0 trips blocks\npart 0: as it is\n"
            "part 1: split r18 by 2 into serial r40 unroll r41; split r20 by 4 into serial - "
            "vector r43; unroll; order r19 r40 r15 r16 r17",
        },
        {
            {"kernel: winograd r2 r3 by 4 of 4 channels first 0 0 trips blocks",
             "no tiles of 4 with windows of 4"},
            {"kernel: winograd r3 r2 by 2 of 3 channels first 0 0 trips blocks",
             "no convolution along these ranges"},
            {"kernel: winograd r2 r3 by 2 of 3 channels first 0 0 trips r1:3 blocks",
             "3 of 8 are no even part"},
            {"kernel: winograd r2 r3 by 2 of 3 channels first 0 0 trips blocks\npart 0: as it is\n"
             "part 1: split r16 by 2 into serial r40 unroll r41",
             "r16 cannot be unrolled"},
            {"kernel: winograd r2 r3 by 2 of 3 channels first 0 0 trips blocks\npart 0: as it is\n"
             "part 1: split r17 by 2 into serial r40 vector r41",
             "r17 cannot be a vector"},
        });
}

TEST_CASE("pieces of a window as large as the image, in any parts, are exact for small integers") {
    check_schedules(
        [] {
            manual_seed(8);
            const Tensor x = small_integers({4, 6, 11, 10}), w = small_integers({8, 6, 3, 3}),
                         y = conv2d(x, w);
            return gradient(sum(y * small_integers(y.shape())), {w})[0];
        },
        {
            "kernel: winograd r2 r3 by 3 of 2 channels first 0 1 trips blocks",
            "kernel: winograd r2 r3 by 3 of 2 channels first 0 1 trips r0:4 blocks r4:1",
            "kernel: winograd r2 r3 by 3 of 2 channels first 0 0 trips r0:1 r1:3 blocks r4:2 r5:1",
            "kernel: winograd r2 r3 by 2 of 3 channels first 1 1 trips r1:2 blocks r4:1 r5:1",
            "kernel: sums over r4 by 2; winograd r2 r3 by 3 of 2 channels first 0 1 trips blocks "
            "r4:1",
        },
        {{"kernel: winograd r2 r3 by 3 of 2 channels first 0 1 trips blocks r4:3",
          "3 of 4 are no even part"}});
}
