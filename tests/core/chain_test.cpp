// Kernels joined row by row (attention, products of products) against REF, at sizes that leave
// ragged blocks.

#include <sinter/ir/env.h>
#include <sinter/sinter.h>
#include <sinter/testing.h>

#include <cmath>

#include "support.h"

using namespace sinter;
using test::Program;

namespace {

double difference(const Program& program) {
    return test::relative_difference(test::values_on("CPU", program),
                                     test::values_on("REF", program));
}

std::uint64_t launches(const Program& program) {
    const DeviceGuard guard{Device("CPU")};
    manual_seed(7);
    const Tensor result = program();
    const std::uint64_t before = stats().launches;
    result.to_vector<float>();
    return stats().launches - before;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, bool causal) {
    Tensor scores = matmul(q, transpose(k, -2, -1)) / std::sqrt(q.shape().back());
    const std::int64_t t = q.shape()[q.ndim() - 2], s = k.shape()[k.ndim() - 2];
    if (causal) scores = where(tril(ones({t, s}, boolean)), scores, -INFINITY);
    return matmul(softmax(scores, -1), v);
}

// Sums of a few hundred products in f32, and one exp.
constexpr double kTolerance = 1e-5;

}  // namespace

TEST_CASE("attention in blocks of rows is what REF computes") {
    struct Case {
        std::int64_t heads, t, d;
        bool causal;
    };
    for (const auto& [heads, t, d, causal] :
         {Case{1, 523, 16, false}, Case{3, 300, 20, true}, Case{2, 517, 33, true},
          Case{1, 576, 16, true}, Case{2, 1024, 16, true}}) {
        CAPTURE(t);
        const Program program = [=] {
            const Tensor q = randn({heads, t, d}).realize(), k = randn({heads, t, d}).realize(),
                         v = randn({heads, t, d}).realize();
            return attention(q, k, v, causal);
        };
        CHECK(difference(program) < kTolerance);
        CHECK(launches(program) == 1);
    }
}

TEST_CASE("gradients of attention in blocks of rows are what REF computes") {
    for (const bool causal : {false, true}) {
        CAPTURE(causal);
        for (const std::size_t which : {0, 1, 2}) {
            CAPTURE(which);
            const Program program = [=] {
                const Tensor x[] = {randn({3, 300, 16}).realize(), randn({3, 300, 16}).realize(),
                                    randn({3, 300, 16}).realize()};
                const Tensor up = randn({3, 300, 16}).realize();
                return gradient(sum(attention(x[0], x[1], x[2], causal) * up), x[which]);
            };
            CHECK(difference(program) < kTolerance);
        }
    }
}

namespace {

// A result and its three gradients, as they come and in one row.
std::vector<Tensor> trained(const std::function<Tensor(const std::vector<Tensor>&)>& f,
                            const Shape& queries, const Shape& keys) {
    const std::vector<Tensor> x = {randn(queries).realize(), randn(keys).realize(),
                                   randn(keys).realize()};
    const Tensor y = f(x), up = randn(queries).realize();
    std::vector<Tensor> all = gradient(sum(y * up), x);
    all.push_back(y);
    return all;
}

Tensor in_one_row(const std::vector<Tensor>& tensors) {
    std::vector<Tensor> flat;
    for (const Tensor& t : tensors) flat.push_back(flatten(t));
    return cat(flat, 0);
}

}  // namespace

TEST_CASE("attention and its gradients are two kernels, with no weights in memory") {
    struct Case {
        const char* name;
        std::function<Tensor(const std::vector<Tensor>&)> f;
        Shape queries, keys;
    };
    const Tensor bias = [] {
        const DeviceGuard guard{Device("CPU")};
        return randn({2, 1, 530, 530}).realize();
    }();
    const std::vector<float> biases = bias.to_vector<float>();
    const auto plain = [](const std::vector<Tensor>& x) {
        return attention(x[0], x[1], x[2], false);
    };
    const auto causal = [](const std::vector<Tensor>& x) {
        return attention(x[0], x[1], x[2], true);
    };
    const auto with = [](const auto& change) {
        return [=](const std::vector<Tensor>& x) {
            return matmul(softmax(change(matmul(x[0], transpose(x[1], -2, -1))), -1), x[2]);
        };
    };
    const auto masked = [](const auto& mask) {
        return [=](const Tensor& s) {
            const Tensor all = ones({s.shape()[s.ndim() - 2], s.shape().back()}, boolean);
            return where(mask(all), s, -INFINITY);
        };
    };
    const Case cases[] = {
        {"plain", plain, {3, 600, 16}, {3, 600, 16}},
        {"causal", causal, {3, 600, 16}, {3, 600, 16}},
        {"causal, heads, ragged", causal, {2, 3, 523, 20}, {2, 3, 523, 20}},
        {"causal, whole blocks", causal, {2, 1024, 16}, {2, 1024, 16}},
        {"fewer queries", plain, {2, 300, 24}, {2, 900, 24}},
        {"fewer keys", causal, {2, 900, 24}, {2, 400, 24}},
        {"the other half",
         with(masked([](const Tensor& t) { return triu(t); })),
         {2, 600, 16},
         {2, 600, 16}},
        {"some columns ahead",
         with(masked([](const Tensor& t) { return tril(t, 7); })),
         {2, 600, 16},
         {2, 600, 16}},
        {"a bias",
         with([&](const Tensor& s) { return s + Tensor(biases, {2, 1, 530, 530}); }),
         {2, 2, 530, 16},
         {2, 2, 530, 16}},
    };
    for (const Case& c : cases) {
        CAPTURE(std::string(c.name));
        const auto all = [&] { return trained(c.f, c.queries, c.keys); };
        CHECK(difference([&] { return in_one_row(all()); }) < kTolerance);

        const DeviceGuard guard{Device("CPU")};
        std::vector<Tensor> results = all();
        const std::uint64_t before = stats().launches;
        Tensor::realize(std::span<Tensor>(results));
        CHECK(stats().launches - before == 2);
    }
}

TEST_CASE("results that lie across the rows of a causal chain are what REF computes") {
    for (const bool upper : {false, true}) {
        const Program program = [=] {
            const Tensor q = randn({2, 600, 16}).realize(), k = randn({2, 600, 16}).realize(),
                         v = randn({2, 600, 16}).realize();
            const Tensor all = ones({600, 600}, boolean);
            const Tensor scores =
                where(upper ? triu(all) : tril(all), matmul(q, transpose(k, -2, -1)), -INFINITY);
            return transpose(matmul(softmax(scores, -1), v), -2, -1).contiguous();
        };
        CHECK(difference(program) < kTolerance);
    }
}

TEST_CASE("masks by position end blocks of rows early only where they may") {
    constexpr std::int64_t kRows = 512;
    struct Mask {
        const char* name;
        std::function<Tensor(const Tensor& all)> make;
    };
    const Mask masks[] = {
        {"causal", [](const Tensor& all) { return tril(all); }},
        {"some columns ahead", [](const Tensor& all) { return tril(all, 5); }},
        {"some rows without any", [](const Tensor& all) { return tril(all, -3); }},
        {"the other half", [](const Tensor& all) { return triu(all); }},
        {"a band", [](const Tensor& all) { return logical_and(tril(all), triu(all, -40)); }},
    };
    for (const Mask& mask : masks) {
        CAPTURE(mask.name);
        const Program program = [&] {
            const Tensor q = randn({2, kRows, 24}).realize(), k = randn({2, kRows, 24}).realize(),
                         v = randn({2, kRows, 24}).realize();
            const Tensor scores = where(mask.make(ones({kRows, kRows}, boolean)),
                                        matmul(q, transpose(k, -2, -1)), -INFINITY);
            return nan_to_num(matmul(softmax(scores, -1), v), -7.0);
        };
        CHECK(difference(program) < kTolerance);
    }
}

TEST_CASE("a product of a product in blocks of rows is what REF computes") {
    const Program program = [] {
        const Tensor a = randn({1030, 19}).realize(), b = randn({19, 257}).realize(),
                     c = randn({257, 31}).realize();
        return matmul(relu(matmul(a, b)), c);
    };
    CHECK(difference(program) < kTolerance);
    CHECK(launches(program) == 1);
}

TEST_CASE("sums over pixels are taken of many channels at a time, not of few images") {
    const Program program = [] {
        const Tensor w = randn({1500, 64}).realize(), x = randn({64, 4 * 150}).realize();
        return sum(relu(reshape(matmul(w, x), {1500, 4, 150})), 2);
    };
    CHECK(difference(program) < kTolerance);
    CHECK(launches(program) == 1);
}

TEST_CASE("a kernel that writes a value beside its rows is no part of a chain over them") {
    // Small enough for the mean to be computed, and written, where the first product is.
    const ir::env::Override chain("CHAIN", "2");
    const Program program = [] {
        const Tensor x = randn({3, 4}).realize(), w = randn({2, 6}).realize(),
                     y = randn({147}).realize();
        const Tensor part = (x * mean(square(y)))[{slice(0, 2), slice(0, 2)}];
        const Tensor out = elu(matmul(part, w));
        return vjp(out, x, ones_like(out));
    };
    CHECK(difference(program) < kTolerance);
}

TEST_CASE("kernels join no chain around a scatter that needs one of them and makes for another") {
    const ir::env::Override chain("CHAIN", "2");
    const Program program = [] {
        const Tensor x = randn({2, 3, 4}).realize(), src = randn({2, 5, 4}).realize(),
                     places = zeros({2, 5, 4}, i64).realize();
        const Tensor y = atan2(log_softmax(x, 1), -2.75), dx = gradient(sum(y), {x})[0];
        return dx + scatter(y, -2, places, src);
    };
    CHECK(difference(program) < kTolerance);
}

TEST_CASE("a value that others read too stays in memory") {
    const Program program = [] {
        const Tensor a = randn({1030, 19}).realize(), b = randn({19, 257}).realize(),
                     c = randn({257, 31}).realize();
        const Tensor inner = matmul(a, b);
        return cat({matmul(inner, c), inner}, 1);
    };
    CHECK(difference(program) < kTolerance);
}
