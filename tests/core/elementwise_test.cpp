#include <cmath>

#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_shaped;
using test::for_each_device;
using test::kInf;
using test::kNaN;

TEST_CASE("operands broadcast as in NumPy") {
    for_each_device([] {
        const Tensor a({{1.f}, {2.f}}), b({10.f, 20.f, 30.f});
        expect_shaped(a + b, {2, 3}, {11, 21, 31, 12, 22, 32});
        expect_shaped(a * 2, {2, 1}, {2, 4});
        expect_shaped(1 - b, {3}, {-9, -19, -29});
        expect_shaped(zeros({2, 0}) + zeros({1, 1}), {2, 0}, {});
    });
}

TEST_CASE("dtypes promote, numbers are weakly typed") {
    const Tensor truth({true}), small({std::int8_t{1}}), whole({1}), x({1.f}), d({1.0});
    CHECK((truth + truth).dtype() == boolean);
    CHECK((truth + 1).dtype() == i64);
    CHECK((small + 1).dtype() == i8);
    CHECK((small + whole).dtype() == i32);
    CHECK((whole + 1.5).dtype() == f32);
    CHECK((whole / whole).dtype() == f32);
    CHECK((x + 1.5).dtype() == f32);
    CHECK((x + d).dtype() == f64);
    CHECK((x.to(f16) + 1).dtype() == f16);
    CHECK((x.to(f16) + x.to(bf16)).dtype() == f32);
    CHECK((whole < 2.5).dtype() == boolean);
    CHECK(exp(whole).dtype() == f32);
    CHECK(floor(whole).dtype() == i32);
    CHECK(full({1}, 3).dtype() == i64);
}

TEST_CASE("division and remainders follow Python") {
    for_each_device([] {
        const Tensor a({7, -7, 7, -7}), b({2, 2, -2, -2});
        expect(a / b, {3.5, -3.5, -3.5, 3.5});
        expect(floor_divide(a, b), {3, -4, -4, 3});
        expect(a % b, {1, 1, -1, -1});
        expect(fmod(a, b), {1, -1, 1, -1});
        expect(floor_divide(a, 0), {0, 0, 0, 0});
        expect(a % 0, {7, -7, 7, -7});
        const Tensor x({5.5f, -5.5f, 5.5f, -5.5f, 1.f, 3.f}),
            y({2.f, 2.f, -2.f, -2.f, INFINITY, 0.f});
        expect(x % y, {1.5, 0.5, -0.5, -1.5, 1, kNaN});
        expect(fmod(x, y), {1.5, -1.5, 1.5, -1.5, 1, kNaN});
        expect(floor_divide(x, y), {2, -3, -3, 2, 0, kInf});
        // 0.1f is a little more than a tenth, so ten of them do not fit into 1.
        expect(floor_divide(Tensor({1.f}), 0.1), {9});
    });
}

TEST_CASE("powers") {
    for_each_device([] {
        const Tensor x({2.f, -3.f, 0.f, 9.f});
        expect(pow(x, 2), {4, 9, 0, 81});
        expect(pow(x, 3), {8, -27, 0, 729});
        expect(pow(x, 0), {1, 1, 1, 1});
        expect(pow(x, 0.5), {std::sqrt(2.0), kNaN, 0, 3});
        expect(pow(x, -1), {0.5, -1 / 3.0, kInf, 1 / 9.0});
        expect(pow(x, 1.5), {std::pow(2, 1.5), kNaN, 0, 27});
        expect(pow(2, x), {4, 0.125, 1, 512});
        const Tensor whole({2, -3, 0, 1});
        expect(pow(whole, 5), {32, -243, 0, 1});
        expect(pow(whole, Tensor({10, 3, 0, -2})), {1024, -27, 1, 1});
        expect(pow(Tensor({2, -1, -1, 1}), Tensor({-1, -1, -2, -5})), {0, -1, 1, 1});
    });
    SINTER_EXPECT_ERROR(ValueError,
                        "pow: integers to the power -1 are no integers: cast the base to a float "
                        "first",
                        pow(Tensor({2}), -1));
}

TEST_CASE("NaN propagates through maximum, minimum, relu and clamp") {
    for_each_device([] {
        const Tensor x({NAN, 1.f, -1.f, 5.f});
        expect(maximum(x, 0), {kNaN, 1, 0, 5});
        expect(minimum(0, x), {kNaN, 0, -1, 0});
        expect(relu(x), {kNaN, 1, 0, 5});
        expect(clamp(x, -0.5, 2.0), {kNaN, 1, -0.5, 2});
        expect(clamp(x, 0.0, none), {kNaN, 1, 0, 5});
        expect(fmax(x, 0), {0, 1, 0, 5});
        expect(fmin(x, 0), {0, 0, -1, 0});
    });
}

TEST_CASE("comparisons and logic") {
    for_each_device([] {
        const Tensor a({1.f, NAN, 3.f}), b({1.f, NAN, 2.f});
        expect(a == b, {1, 0, 0});
        expect(a != b, {0, 1, 1});
        expect(a < b, {0, 0, 0});
        expect(a >= b, {1, 0, 1});
        expect(logical_and(a, Tensor({0, 1, 1})), {0, 1, 1});
        expect(!a, {0, 0, 0});
        expect(Tensor({6, 5}) & 3, {2, 1});
        expect(Tensor({6, 5}) ^ 3, {5, 6});
        expect(~Tensor({6, -1}), {-7, 0});
        expect(Tensor({1, 3}) << 4, {16, 48});
        expect(Tensor({-16, 48}) >> 4, {-1, 3});
        expect(isnan(a), {0, 1, 0});
        expect(isfinite(Tensor({1.f, INFINITY, NAN})), {1, 0, 0});
        expect(isinf(Tensor({1.f, -INFINITY, NAN})), {0, 1, 0});
        CHECK(allclose(a, b, 1, 1, true));
        CHECK(!allclose(a, b, 1, 1));
        CHECK(equal(Tensor({1, 2}), Tensor({1, 2})));
        CHECK(!equal(Tensor({1, 2}), Tensor({1})));
    });
}

TEST_CASE("where, masked_fill and lerp") {
    for_each_device([] {
        const Tensor x({1.f, -2.f, 3.f});
        expect(where(x > 0, x, 0), {1, 0, 3});
        expect(where(x > 0, 1, 2.5), {1, 2.5, 1});
        expect(masked_fill(x, x < 0, kInf), {1, kInf, 3});
        expect(lerp(x, Tensor({3.f, 2.f, 3.f}), 0.25), {1.5, -1, 3});
        expect(nan_to_num(Tensor({NAN, INFINITY, 1.f}), 7, 8), {7, 8, 1});
    });
}

TEST_CASE("float functions agree with the C library") {
    for_each_device([] {
        const std::vector<double> at{-2.5, -1, -0.3, 0.25, 0.5, 1, 3};
        const Tensor x(at);
        const auto check = [&](const Tensor& got, double (*f)(double)) {
            std::vector<double> want;
            for (const double v : at) want.push_back(f(v));
            expect(got, want, 16, 1);
        };
        check(exp(x), std::exp);
        check(expm1(x), std::expm1);
        check(log(x), std::log);
        check(log10(x), std::log10);
        check(log1p(x), std::log1p);
        check(sqrt(x), std::sqrt);
        check(sin(x), std::sin);
        check(tan(x), std::tan);
        check(asin(x), std::asin);
        check(sinh(x), std::sinh);
        check(tanh(x), std::tanh);
        check(asinh(x), std::asinh);
        check(acosh(x), std::acosh);
        check(atanh(x), std::atanh);
        check(erf(x), std::erf);
        check(erfc(x), std::erfc);
        check(round(x), std::nearbyint);
        check(trunc(x), std::trunc);
        expect(rsqrt(Tensor({4.0, 0.0})), {0.5, kInf});
        expect(asinh(Tensor({1e200, -1e200, 1e-8})), {std::asinh(1e200), -std::asinh(1e200), 1e-8});
        expect(acosh(Tensor({1e200, kInf})), {std::acosh(1e200), kInf});
        expect(hypot(Tensor({3e200, 0.0}), Tensor({4e200, 0.0})), {5e200, 0});
        expect(copysign(Tensor({1.0, -2.0}), Tensor({-0.0, 3.0})), {-1, 2});
        expect(logaddexp(Tensor({1000.0, -kInf}), Tensor({1000.0, -kInf})),
               {1000 + std::log(2.0), -kInf});
    });
}

TEST_CASE("activations") {
    for_each_device([] {
        const std::vector<double> at{-1000, -3, -0.5, 0, 0.5, 3, 1000};
        const Tensor x(at);
        const auto check = [&](const Tensor& got, auto f) {
            std::vector<double> want;
            for (const double v : at) want.push_back(f(v));
            expect(got, want, 16, 1);
        };
        const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
        const auto soft = [](double v) {
            return std::max(v, 0.0) + std::log1p(std::exp(-std::fabs(v)));
        };
        check(relu(x), [](double v) { return std::max(v, 0.0); });
        check(relu6(x), [](double v) { return std::clamp(v, 0.0, 6.0); });
        check(leaky_relu(x), [](double v) { return v > 0 ? v : 0.01 * v; });
        check(elu(x), [](double v) { return v > 0 ? v : std::expm1(v); });
        check(celu(x, 2), [](double v) { return v > 0 ? v : 2 * std::expm1(v / 2); });
        check(selu(x), [](double v) {
            return 1.0507009873554805 * (v > 0 ? v : 1.6732632423543772 * std::expm1(v));
        });
        check(gelu(x), [](double v) { return v / 2 * (1 + std::erf(v / std::sqrt(2.0))); });
        check(gelu(x, Gelu::Tanh), [](double v) {
            return v / 2 *
                   (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (v + 0.044715 * v * v * v)));
        });
        check(sigmoid(x), sigma);
        check(silu(x), [&](double v) { return v * sigma(v); });
        check(mish(x), [&](double v) { return v * std::tanh(soft(v)); });
        check(softplus(x), soft);
        check(softsign(x), [](double v) { return v / (1 + std::fabs(v)); });
        check(logsigmoid(x), [&](double v) { return -soft(-v); });
        check(hardsigmoid(x), [](double v) { return std::clamp(v + 3, 0.0, 6.0) / 6; });
        check(hardswish(x), [](double v) { return v * std::clamp(v + 3, 0.0, 6.0) / 6; });
        check(hardtanh(x), [](double v) { return std::clamp(v, -1.0, 1.0); });
        check(tanhshrink(x), [](double v) { return v - std::tanh(v); });
        check(hardshrink(x), [](double v) { return std::fabs(v) > 0.5 ? v : 0; });
        check(softshrink(x), [](double v) { return v > 0.5 ? v - 0.5 : v < -0.5 ? v + 0.5 : 0; });
    });
}

TEST_CASE("casts truncate, saturate and take NaN to 0") {
    for_each_device([] {
        const Tensor x({1.9f, -1.9f, 1e10f, -1e10f, NAN, INFINITY});
        expect(x.to(i8), {1, -1, 127, -128, 0, 127});
        expect(x.to(u8), {1, 0, 255, 0, 0, 255});
        expect(x.to(boolean), {1, 1, 1, 1, 1, 1});
        expect(Tensor({300, -1}).to(u8), {44, 255});
        expect(Tensor({1.0, 0x1p-25, 65520.0}).to(f16), {1, 0, kInf});
        expect(bitcast(Tensor({1.f}), i32), {0x3f800000});
    });
}
