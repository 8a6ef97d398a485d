#include <sinter/ir/env.h>

#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_scalar;
using test::expect_shaped;
using test::for_each_device;
using test::kInf;
using test::kNaN;

TEST_CASE("sums over one axis, several and all, kept or not") {
    for_each_device([] {
        const Tensor x = arange(24).reshape({2, 3, 4}).to(f32);
        expect_scalar(x.sum(), 276);
        expect_shaped(x.sum(1), {2, 4}, {12, 15, 18, 21, 48, 51, 54, 57});
        expect_shaped(x.sum({0, -1}), {3}, {60, 92, 124});
        expect_shaped(x.sum({0, -1}, true), {1, 3, 1}, {60, 92, 124});
        expect_shaped(x.sum(Axes(std::vector<std::int64_t>{})), {2, 3, 4}, x.to_vector<double>());
    });
}

TEST_CASE("sums of integers and bool are i64, of 16-bit floats carried in f32") {
    for_each_device([] {
        const Tensor bytes = full({1000}, 100, i8);
        CHECK(bytes.sum().dtype() == i64);
        expect_scalar(bytes.sum(), 100000);
        expect_scalar(Tensor({true, false, true}).sum(), 2);
        const Tensor halves = ones({4097}, f16);
        CHECK(halves.sum().dtype() == f16);
        expect_scalar(halves.sum(), 4096);  // 4097 is no f16; summed in f16 it would stay at 2048
        expect_scalar(full({1000}, 100, f16).mean(), 100);  // though the sum overflows
        CHECK(mean(Tensor({1, 2})).dtype() == f32);
        expect_scalar(mean(Tensor({1, 2})), 1.5);
        expect_scalar(prod(Tensor({2, 3, 4})), 24);
    });
}

TEST_CASE("a scan along one axis of what is normalised along another") {
    for_each_device([] {
        const Tensor x = (arange(30) % 7).reshape({5, 6}).to(f64).contiguous();
        const std::vector<double> values = x.to_vector<double>();
        // Rows sum to 1 after the division; the scan goes down the columns.
        const std::vector<double> shares = cumsum(x / sum(x, 1, true), 0).to_vector<double>();
        const std::vector<double> across = cumsum(x / sum(x, 0, true), 1).to_vector<double>();
        for (std::size_t i = 0; i < 5; ++i)
            for (std::size_t j = 0; j < 6; ++j) {
                double down = 0, along = 0;
                for (std::size_t k = 0; k <= i; ++k) {
                    double row = 0;
                    for (std::size_t c = 0; c < 6; ++c) row += values[k * 6 + c];
                    down += values[k * 6 + j] / row;
                }
                for (std::size_t k = 0; k <= j; ++k) {
                    double column = 0;
                    for (std::size_t r = 0; r < 5; ++r) column += values[r * 6 + k];
                    along += values[i * 6 + k] / column;
                }
                CHECK(test::close(shares[i * 6 + j], down, f64));
                CHECK(test::close(across[i * 6 + j], along, f64));
            }
    });
}

TEST_CASE("the first of equals is at 0 where all are the least there is") {
    for_each_device([] {
        for (DType dtype : {u8, u32, u64, i8, i64}) {
            CAPTURE(name(dtype));
            const Tensor x = full({2, 5}, dtype == i8 ? -128 : 0, dtype).contiguous();
            expect(argmax(x, 1), {0, 0});
            expect(argmax(x - x, 1), {0, 0});  // known to be 0 when the kernel is made
            expect(argmax(zeros({2, 20}, dtype), 1), {0, 0});
            expect(argmin(~zeros({2, 20}, dtype), 1), {0, 0});
        }
    });
}

TEST_CASE("a variance beside values of more rows than one") {
    for_each_device([] {
        const Tensor x = Tensor({{-0.25f, -0.75f}, {-0.25f, -0.75f}, {0.5f, 0.25f}}).contiguous();
        Tensor odds = logit(abs(x)), other = logical_xor(odds, var(ones({3}).contiguous()));
        realize(odds, other);
        const double l = std::log(3.0);
        expect_shaped(odds, {3, 2}, {-l, l, -l, l, 0, -l});
        expect_shaped(other, {3, 2}, {1, 1, 1, 1, 0, 1});
    });
}

TEST_CASE("extremes keep NaN, and the first of equals wins") {
    for_each_device([] {
        const Tensor x({{3.f, 1.f, 3.f}, {NAN, 5.f, 2.f}});
        expect(x.max(1), {3, kNaN});
        expect(x.min(0), {kNaN, 1, 2});
        expect(x.argmax(1), {0, 0});
        expect(x.argmin(1), {1, 0});
        expect_scalar(x.argmax(), 3);
        expect_shaped(x.argmax(-1, true), {2, 1}, {0, 0});
        CHECK(x.argmax().dtype() == i64);
        expect_scalar(Tensor({-3, -1, -2}).max(), -1);
        expect_scalar(Tensor({true, false}).min(), 0);
    });
}

TEST_CASE("variance, deviation and norms") {
    for_each_device([] {
        const Tensor x({{1.f, 2.f, 3.f, 4.f}, {1e4f, 1e4f + 1, 1e4f + 2, 1e4f + 3}});
        expect(x.var(1), {5 / 3.0, 5 / 3.0});
        expect(x.var(1, false, 0), {1.25, 1.25});
        expect(x.std(1), {std::sqrt(5 / 3.0), std::sqrt(5 / 3.0)});
        expect_scalar(Tensor({2.f}).var(), kNaN);
        const Tensor v({3.f, -4.f, 0.f});
        expect_scalar(norm(v), 5);
        expect_scalar(norm(v, 1), 7);
        expect_scalar(norm(v, 0), 2);
        expect_scalar(norm(v, kInf), 4);
        expect_scalar(norm(v, -kInf), 0);
        expect_scalar(norm(v, 3), std::cbrt(91.0), 16);
    });
}

TEST_CASE("any, all and counts") {
    for_each_device([] {
        const Tensor x({{0.f, 1.f}, {0.f, NAN}, {0.f, 2.f}});
        expect(x.any(0), {0, 1});
        expect(x.all(0), {0, 1});
        expect(count_nonzero(x, 0), {0, 3});
    });
}

TEST_CASE("softmax and its kin neither overflow nor lose infinities") {
    for_each_device([] {
        const Tensor x({{1000.f, 1000.f}, {0.f, -INFINITY}, {-1000.f, 0.f}});
        expect_shaped(softmax(x, 1), {3, 2}, {0.5, 0.5, 1, 0, 0, 1});
        expect_shaped(softmax(x, 0), {3, 2}, {1, 1, 0, 0, 0, 0});
        expect_shaped(log_softmax(x, 1), {3, 2},
                      {-std::log(2.0), -std::log(2.0), 0, -kInf, -1000, 0}, 4, 1);
        expect(logsumexp(x, 1), {1000 + std::log(2.0), 0, 0}, 4, 1);
        expect_scalar(logsumexp(full({2}, -kInf, f32)), -kInf);
        expect_scalar(logsumexp(Tensor({INFINITY, 1.f})), kInf);
        CHECK(softmax(x.to(bf16), 1).dtype() == bf16);
    });
}

TEST_CASE("running reductions") {
    for_each_device([] {
        const Tensor x({{1, 2, 3}, {3, 2, 5}});
        expect_shaped(cumsum(x, 1), {2, 3}, {1, 3, 6, 3, 5, 10});
        expect_shaped(cumsum(x, 0), {2, 3}, {1, 2, 3, 4, 4, 8});
        CHECK(cumsum(x, 0).dtype() == i64);
        expect_shaped(cumprod(x, -1), {2, 3}, {1, 2, 6, 3, 6, 30});
        expect_shaped(cummax(x, 1), {2, 3}, {1, 2, 3, 3, 3, 5});
        expect_shaped(cummin(x, 1), {2, 3}, {1, 1, 1, 3, 2, 2});
    });
}

TEST_CASE("a running sum over what a reduction along another axis normalised") {
    for_each_device([] {
        const Tensor y = cumsum(softmax(zeros({3, 2, 4}), 0), 1);
        const float third = 1.0f / 3, both = third + third;
        std::vector<float> want;
        for (int i = 0; i < 3; ++i)
            for (float v : {third, both}) want.insert(want.end(), 4, v);
        CHECK(y.to_vector<float>() == want);
    });
}

// What LLVM makes of a store of one lane alone may be a choice that it has no instruction for.
TEST_CASE("a last vector of one row is stored like the others") {
    for_each_device([] {
        const Tensor x = full({17, 2}, 1.f).realize();
        const Tensor y = clamp(norm(bce(x, x, Reduction::None), 2.0, {-1}, false), -0.5, none);
        expect_shaped(y, {17}, std::vector<double>(17, 0.0));
    });
}

TEST_CASE("quotients beyond the end of a row count for nothing, whatever the vectors") {
    const DeviceGuard cpu{Device("CPU")};
    for (const char* target : {"", "avx2", "sse2"}) {
        CAPTURE(target);
        const ir::env::Override chosen("SINTER_TARGET", target);
        for (const std::int64_t n : {1, 2, 3, 5, 6, 7, 9, 11, 13, 15, 17, 23, 31, 33, 39})
            for (const std::int64_t rows : {1, 3}) {
                CAPTURE(n);
                CAPTURE(rows);
                const Tensor x = full({rows, n}, 3).to(f32).realize(),
                             y = full({rows, n}, 2).to(f32).realize();
                const auto all = [&](const Tensor& got, std::int64_t size, double each) {
                    CHECK(got.to_vector<double>() ==
                          std::vector<double>(static_cast<std::size_t>(size), each));
                };
                all(sum(x / y, 1), rows, 1.5 * static_cast<double>(n));
                all(sum(x / y, 0), n, 1.5 * static_cast<double>(rows));
                all(max(x / y, 1), rows, 1.5);
                all(sum(x.to(f64) / y.to(f64), 1), rows, 1.5 * static_cast<double>(n));
            }
    }
}
