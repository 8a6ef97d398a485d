// Sums of products of bf16 and of 8-bit integers, several at a time where the machine has an
// instruction for it, against REF.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <sinter/ir/env.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <string>

#include "support.h"

using namespace sinter;

namespace {

struct Sizes {
    std::int64_t rows, steps, columns;
};

// Whole words and not, fewer steps than two words, one, none; tiles of rows and columns and parts.
constexpr Sizes kSizes[] = {{37, 64, 53}, {130, 68, 70}, {3, 7, 5},   {16, 8, 16}, {5, 2, 33},
                            {7, 1, 9},    {4, 0, 6},     {1, 96, 40}, {40, 96, 1}, {65, 131, 67}};

// Whole numbers over all of a dtype's range, or those that products of bf16 are exact in.
Tensor numbers(const Shape& shape, DType dt, double seed) {
    const Tensor n = arange(Tensor(zeros(shape)).numel()).reshape(shape).to(f64);
    const Tensor wave = sin(n * 0.7131 + seed);
    if (dt == bf16) return round(wave * 16).to(dt).realize();
    const double low = dt == u8 ? 0 : -128;
    return floor((wave + 1) * 128 + low).to(i32).to(dt).realize();
}

struct Layout {
    const char* name;
    bool first_turned, second_turned;
};
constexpr Layout kLayouts[] = {{"rows by columns", false, false},
                               {"both along the sum", false, true},
                               {"both across the sum", true, false},
                               {"turned", true, true}};

// What an operand is multiplied as: in i32, or in bf16, whose products are summed in f32.
Tensor factor(const Tensor& x, bool turned) {
    const Tensor y = turned ? transpose(x, x.ndim() - 2, x.ndim() - 1) : x;
    return x.dtype() == bf16 ? y : y.to(i32);
}

Tensor operand(std::int64_t rows, std::int64_t columns, bool turned, DType dt, double seed) {
    return numbers(turned ? Shape{columns, rows} : Shape{rows, columns}, dt, seed);
}

void agrees(const test::Program& program, std::initializer_list<const char*> modes) {
    const std::vector<float> want = test::values_on("REF", program);
    for (const char* dots : modes) {
        const ir::env::Override mode("DOTS", dots);
        CAPTURE(dots);
        CHECK(test::values_on("CPU", program) == want);
    }
}

}  // namespace

TEST_CASE("products of narrow numbers are exact for every size and layout") {
    const DType pairs[][2] = {{bf16, bf16}, {i8, i8}, {u8, i8}, {i8, u8}, {u8, u8}};
    for (const auto& [first, second] : pairs)
        for (const Sizes& s : kSizes)
            for (const Layout& l : kLayouts) {
                const std::string where = std::string(name(first)) + " " +
                                          std::string(name(second)) + " " + std::to_string(s.rows) +
                                          " " + std::to_string(s.steps) + " " +
                                          std::to_string(s.columns) + " " + l.name;
                CAPTURE(where);
                agrees(
                    [&, a = first, b = second] {
                        return matmul(factor(operand(s.rows, s.steps, l.first_turned, a, 1),
                                             l.first_turned),
                                      factor(operand(s.steps, s.columns, l.second_turned, b, 2),
                                             l.second_turned))
                            .to(f32);
                    },
                    {"2", "3"});
            }
}

TEST_CASE("batches, values before and after, and windows of narrow numbers") {
    const struct {
        const char* name;
        test::Program program;
    } cases[] = {
        {"a batch of bf16",
         [] {
             return matmul(numbers({3, 20, 34}, bf16, 1), numbers({3, 34, 18}, bf16, 2)).to(f32);
         }},
        {"a batch that shares an operand",
         [] {
             return matmul(numbers({3, 20, 32}, i8, 1).to(i32), numbers({32, 18}, i8, 2).to(i32))
                 .to(f32);
         }},
        {"bias, relu and a cast",
         [] {
             return relu(matmul(numbers({33, 64}, bf16, 1), numbers({64, 40}, bf16, 2)) +
                         numbers({40}, bf16, 3))
                 .to(f32);
         }},
        {"relu and a choice before",
         [] {
             const Tensor x = numbers({33, 66}, bf16, 1);
             return matmul(relu(x), where(numbers({66, 40}, bf16, 2) < 3,
                                          numbers({66, 40}, bf16, 2), full({}, 2.0, bf16)))
                 .to(f32);
         }},
        {"an offset before, quantised after",
         [] {
             const Tensor x = numbers({33, 64}, u8, 1).to(i32) - 128;
             const Tensor y = matmul(x, numbers({64, 40}, i8, 2).to(i32)).to(f32) * 0x1p-12;
             return clamp(floor(y), -128, 127).to(i8).to(f32);
         }},
        {"rows that an index picks",
         [] {
             const Tensor rows = (arange(21) * 5 % 17).realize();
             return matmul(numbers({17, 64}, i8, 1)[rows].to(i32), numbers({64, 40}, i8, 2).to(i32))
                 .to(f32);
         }},
        {"a convolution of bf16",
         [] {
             return conv2d(numbers({2, 6, 9, 11}, bf16, 1), numbers({5, 6, 3, 3}, bf16, 2), {},
                           {.padding = 1})
                 .to(f32);
         }},
        {"a convolution of bytes, one step wide",
         [] {
             return conv2d(numbers({2, 16, 9, 11}, i8, 1).to(i32),
                           numbers({5, 16, 1, 1}, i8, 2).to(i32))
                 .to(f32);
         }},
    };
    for (const auto& c : cases) {
        CAPTURE(c.name);
        agrees(c.program, {"3", "2", "1", "0"});
        const ir::env::Override cut("BLOCKS", "2");
        agrees(c.program, {"2", "3"});
    }
}

TEST_CASE("bf16 that is infinite or NaN stays so in pairs, and no zero beside it does") {
    const float inf = std::numeric_limits<float>::infinity();
    for (const std::int64_t steps : {64, 67}) {
        CAPTURE(steps);
        const ir::env::Override mode("DOTS", "2");
        const auto program = [&] {
            const Tensor n = arange(steps);
            const Tensor x = where(n == steps - 1, full({}, inf, f32), full({}, 1.0, f32));
            const Tensor rows = stack({x, x * -1, where(n == 3, x / 0.0 - x / 0.0, x)}, 0);
            return matmul(rows.to(bf16).realize(), full({steps, 20}, 0.5, bf16).realize()).to(f32);
        };
        const std::vector<float> want = test::values_on("REF", program),
                                 got = test::values_on("CPU", program);
        REQUIRE(want.size() == got.size());
        for (std::size_t i = 0; i < want.size(); ++i) {
            CHECK((std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i]));
            if (i < 40) CHECK(std::isinf(want[i]));
        }
    }
}

TEST_CASE("narrow numbers whose masks depend on more than their place are widened where they are") {
    const test::Program slope = [] {
        const Tensor x = randn({3, 3, 3, 4, 4}).to(f16).realize(),
                     w = randn({1, 3, 1, 1, 3}).to(f16).realize();
        const Tensor y = conv3d(x, w, {}, {.stride = 2, .padding = 2});
        return vjp(y, x, randn(y.shape()).to(f16).realize()).to(f32);
    };
    const std::vector<float> got = test::values_on("CPU", slope),
                             want = test::values_on("REF", slope);
    REQUIRE(got.size() == want.size());
    // A sum of at most two products, rounded to f16.
    for (std::size_t i = 0; i < got.size(); ++i)
        CHECK(std::fabs(got[i] - want[i]) <= 0x1p-9 * (1 + std::fabs(want[i])));
}
