#include <doctest/doctest.h>

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <regex>
#include <sstream>

#include <sinter/ir/env.h>
#include <sinter/ir/kernel.h>

#include "run.h"

using namespace sinter;
using namespace sinter::ir;
using sinter::testing::CompiledKernel;

namespace {

std::vector<codegen::Target> targets() {
    return {runtime::make_target("native"), runtime::make_target("avx2"),
            runtime::make_target("sse2")};
}

std::vector<float> noise(std::size_t n, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> v(n);
    for (float& x : v) x = normal(random);
    return v;
}

Ref sink_of(Arena& a, std::initializer_list<Ref> stores) {
    return a.make(Op::Sink, DType::None, stores);
}

}  // namespace

TEST_CASE("an elementwise kernel runs over sizes that are no multiple of a vector") {
    for (const codegen::Target& target : targets())
        for (std::int64_t n : {1, 2, 3, 15, 16, 17, 31, 32, 33, 100, 1000}) {
            CAPTURE(n);
            Arena a;
            const Ref i = range(a, 0, n, Role::Loop), yes = a.truth(true);
            const Ref x = load(a, param(a, f32, 0), i, yes), y = load(a, param(a, f32, 1), i, yes);
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f32, 2), i, a.add(a.mul(x, y), y), yes)}), target);
            std::vector<float> u = noise(static_cast<std::size_t>(n)),
                               v = noise(static_cast<std::size_t>(n), 2),
                               w(static_cast<std::size_t>(n) + 1, 7.0f);
            kernel.run({u.data(), v.data(), w.data()}, {}, 3);
            for (std::size_t k = 0; k < u.size(); ++k) REQUIRE(w[k] == u[k] * v[k] + v[k]);
            CHECK(w.back() == 7.0f);
        }
}

TEST_CASE("a kernel over a variable size serves every size") {
    for (const codegen::Target& target : targets()) {
        Arena a;
        const Ref n = variable(a, DType::Index, 0, 1, 1 << 20);
        const Ref i = range(a, 0, n, Role::Loop), yes = a.truth(true);
        const Ref x = load(a, param(a, f32, 0), i, yes);
        const CompiledKernel kernel(sink_of(a, {store(a, param(a, f32, 1), i, a.mul(x, x), yes)}),
                                    target);
        for (std::int64_t size : {1, 5, 16, 31, 32, 33, 64, 1001}) {
            CAPTURE(size);
            std::vector<float> u = noise(static_cast<std::size_t>(size)),
                               v(static_cast<std::size_t>(size) + 1, 7.0f);
            kernel.run({u.data(), v.data()}, {size}, 2);
            for (std::size_t k = 0; k < u.size(); ++k) REQUIRE(v[k] == u[k] * u[k]);
            CHECK(v.back() == 7.0f);
        }
    }
}

TEST_CASE("results larger than the caches are written past them, where their memory is aligned") {
    constexpr std::int64_t kLarge = (8 << 20) + 5;
    const std::vector<float> u = noise(kLarge);
    for (const codegen::Target& target : targets())
        for (bool variable_size : {false, true}) {
            CAPTURE(variable_size);
            Arena a;
            const Ref n =
                variable_size ? variable(a, DType::Index, 0, 1, 1 << 25) : a.index(kLarge);
            const Ref i = range(a, 0, n, Role::Loop), yes = a.truth(true);
            const Ref x = load(a, param(a, f32, 0), i, yes);
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f32, 1), i, a.add(x, x), yes)}), target);
            CHECK(kernel.program.source.find("!nontemporal") != std::string::npos);
            CHECK(kernel.program.source.find("sfence") != std::string::npos);
            std::vector<float> v(kLarge + 40);
            std::size_t line = 0;  // where one begins
            while (reinterpret_cast<std::uintptr_t>(v.data() + line) % 64 != 0) ++line;
            for (std::size_t shift : {line, line + 1, line + 4}) {
                CAPTURE(shift);
                v.assign(v.size(), 7.0f);
                kernel.run({const_cast<float*>(u.data()), v.data() + shift}, {kLarge}, 3);
                bool same = true;
                for (std::size_t k = 0; k < kLarge; ++k) same = same && v[k + shift] == u[k] + u[k];
                CHECK(same);
                CHECK(v[kLarge + shift] == 7.0f);
            }
        }
    // Small ones, and those that are read as well, are written as ever.
    for (const std::int64_t n : {std::int64_t{1000}, kLarge}) {
        Arena a;
        const Ref i = range(a, 0, n, Role::Loop), yes = a.truth(true);
        const Ref x = load(a, param(a, f32, 0), i, yes);
        const Ref target = param(a, f32, n == kLarge ? 0 : 1);
        const CompiledKernel kernel(sink_of(a, {store(a, target, i, a.add(x, x), yes)}),
                                    runtime::make_target("native"));
        CHECK(kernel.program.source.find("!nontemporal !") == std::string::npos);
    }
}

TEST_CASE("softmax goes through its rows three times in one kernel") {
    for (const codegen::Target& target : targets())
        for (std::int64_t cols : {1, 7, 16, 50, 64, 200}) {
            CAPTURE(cols);
            const std::int64_t rows = 5;
            Arena a;
            const Ref r = range(a, 0, rows, Role::Loop), c = range(a, 1, cols, Role::Loop),
                      yes = a.truth(true);
            const Ref at = a.add(a.mul(r, a.index(cols)), c);
            const Ref x = load(a, param(a, f32, 0), at, yes);
            const Ref max =
                a.make(Op::Reduce, f32, {x, c}, {static_cast<std::int64_t>(ReduceKind::Max)});
            const Ref e = a.unary(Op::Exp, a.sub(x, max));
            const Ref sum =
                a.make(Op::Reduce, f32, {e, c}, {static_cast<std::int64_t>(ReduceKind::Add)});
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f32, 1), at, a.binary(Op::Div, e, sum), yes)}),
                target);
            std::vector<float> in = noise(static_cast<std::size_t>(rows * cols)),
                               out(in.size(), 9.0f);
            kernel.run({in.data(), out.data()}, {}, 2);
            // While a row is near, the next one is fetched.
            if (cols == 1 || cols == 200)
                CHECK((kernel.program.source.find("llvm.prefetch") != std::string::npos) ==
                      (cols == 200));
            for (std::int64_t i = 0; i < rows; ++i) {
                double total = 0;
                for (std::int64_t j = 0; j < cols; ++j)
                    total +=
                        std::exp(static_cast<double>(in[static_cast<std::size_t>(i * cols + j)]));
                for (std::int64_t j = 0; j < cols; ++j)
                    REQUIRE(out[static_cast<std::size_t>(i * cols + j)] ==
                            doctest::Approx(std::exp(static_cast<double>(
                                                in[static_cast<std::size_t>(i * cols + j)])) /
                                            total)
                                .epsilon(1e-5));
            }
        }
}

TEST_CASE("of tensors that are put together, each is read for its own part alone") {
    Arena a;
    const Ref part = range(a, 0, 3, Role::Loop), i = range(a, 1, 200, Role::Loop);
    Ref sum = nullptr;
    for (std::int64_t p = 0; p < 3; ++p) {
        const Ref from = a.binary(Op::Lt, a.index(p - 1), part),
                  to = a.binary(Op::Lt, part, a.index(p + 1));
        const Ref x = load(a, param(a, f32, 1 + p), i, a.binary(Op::And, from, to));
        sum = sum == nullptr ? x : a.add(sum, x);
    }
    const CompiledKernel kernel(
        sink_of(a, {store(a, param(a, f32, 0), a.add(a.mul(part, a.index(200)), i), sum,
                          a.truth(true))}),
        runtime::make_target("native"));
    std::vector<float> in[3] = {noise(200), noise(200), noise(200)}, out(600, 9.0f);
    for (std::size_t k = 0; k < 200; ++k) {
        in[1][k] += 10;
        in[2][k] += 20;
    }
    kernel.run({out.data(), in[0].data(), in[1].data(), in[2].data()}, {}, 2);
    for (std::size_t k = 0; k < 600; ++k) REQUIRE(out[k] == in[k / 200][k % 200]);
    CHECK(kernel.program.schedule.find("split r0 by 3 into parallel - unroll") !=
          std::string::npos);
}

TEST_CASE("what is far and goes into a tile's results is fetched before the tile's sums") {
    for (const bool far : {true, false}) {
        CAPTURE(far);
        Arena a;
        const std::int64_t rows = far ? 1024 : 64, columns = 512, steps = 256;
        const Ref i = range(a, 0, rows, Role::Loop), j = range(a, 1, columns, Role::Loop),
                  k = range(a, 2, steps, Role::Reduce), yes = a.truth(true);
        const Ref x = load(a, param(a, f32, 0), a.add(a.mul(i, a.index(steps)), k), yes),
                  y = load(a, param(a, f32, 1), a.add(a.mul(k, a.index(columns)), j), yes),
                  at = a.add(a.mul(i, a.index(columns)), j);
        const Ref sum = a.make(Op::Reduce, f32, {a.mul(x, y), k},
                               {static_cast<std::int64_t>(ReduceKind::Add)}),
                  gate = load(a, param(a, f32, 2), at, yes);
        const CompiledKernel kernel(
            sink_of(a, {store(a, param(a, f32, 3), at,
                              a.mul(sum, a.unary(Op::Exp, a.mul(gate, gate))), yes)}),
            runtime::make_target("native"));
        const std::string& source = kernel.program.source;
        const std::size_t fetched = source.find("call void @llvm.prefetch"),
                          product = source.find("@llvm.fma");
        CHECK((fetched < product) == far);
    }
}

TEST_CASE("in an innermost loop nothing is multiplied for addresses") {
    Arena a;
    const std::int64_t rows = 96, columns = 200, steps = 100;
    const Ref i = range(a, 0, rows, Role::Loop), j = range(a, 1, columns, Role::Loop),
              k = range(a, 2, steps, Role::Reduce), yes = a.truth(true);
    const Ref x = load(a, param(a, f32, 0), a.add(a.mul(i, a.index(steps)), k), yes),
              y = load(a, param(a, f32, 1), a.add(a.mul(k, a.index(columns)), j), yes);
    const Ref sum =
        a.make(Op::Reduce, f32, {a.mul(x, y), k}, {static_cast<std::int64_t>(ReduceKind::Add)});
    const CompiledKernel kernel(
        sink_of(a, {store(a, param(a, f32, 2), a.add(a.mul(i, a.index(columns)), j), sum, yes)}),
        runtime::make_target("native"));
    // From the label of a loop to the branch back to it, where there is no other label between.
    std::size_t loops = 0;
    std::istringstream lines(kernel.program.source);
    std::string label, body;
    for (std::string line; std::getline(lines, line);) {
        if (line.ends_with(":")) {
            label = line.substr(0, line.size() - 1);
            body.clear();
        }
        body += line + "\n";
        if (!label.starts_with("loop") || line.find("label %" + label + ",") == std::string::npos)
            continue;
        ++loops;
        CHECK_MESSAGE(body.find("= mul i64") == std::string::npos, body);
    }
    CHECK(loops > 0);
}

TEST_CASE("rows that fill no whole number of vectors are gone through one after the other") {
    Arena a;
    const std::int64_t images = 50, channels = 6, points = 410;
    const Ref c = range(a, 0, channels, Role::Loop), n = range(a, 1, images, Role::Reduce),
              i = range(a, 2, points, Role::Reduce);
    const Ref row = a.add(a.mul(n, a.index(channels)), c);
    const Ref x = load(a, param(a, f32, 1), a.add(a.mul(row, a.index(points)), i), a.truth(true));
    const Ref sum =
        a.make(Op::Reduce, f32, {x, n, i}, {static_cast<std::int64_t>(ReduceKind::Add)});
    const CompiledKernel kernel(sink_of(a, {store(a, param(a, f32, 0), c, sum, a.truth(true))}),
                                runtime::make_target("avx2"));
    std::vector<float> in(static_cast<std::size_t>(images * channels * points)), out(channels);
    for (std::size_t k = 0; k < in.size(); ++k) in[k] = static_cast<float>(k % 7);
    kernel.run({out.data(), in.data()}, {}, 2);
    for (std::int64_t k = 0; k < channels; ++k) {
        float expected = 0;
        for (std::int64_t p = 0; p < images * points; ++p)
            expected +=
                in[static_cast<std::size_t>((p / points * channels + k) * points + p % points)];
        CHECK(out[static_cast<std::size_t>(k)] == expected);
    }
    CHECK_MESSAGE(kernel.program.schedule.find("order r1 r3") != std::string::npos,
                  kernel.program.schedule);
}

TEST_CASE("windows whose lanes lie apart go in short vectors, one at a time") {
    Arena a;
    const std::int64_t images = 64, side = 3, window = 2, height = side * window;
    const Ref n = range(a, 0, images, Role::Loop), r = range(a, 1, side, Role::Loop),
              c = range(a, 2, side, Role::Loop), p = range(a, 3, window, Role::Reduce),
              q = range(a, 4, window, Role::Reduce), yes = a.truth(true);
    const Ref row = a.add(a.mul(r, a.index(window)), p),
              column = a.add(a.mul(c, a.index(window)), q);
    const Ref x = load(
        a, param(a, f32, 1),
        a.add(a.add(a.mul(n, a.index(height * height)), a.mul(row, a.index(height))), column), yes);
    const Ref most =
        a.make(Op::Reduce, f32, {x, p, q}, {static_cast<std::int64_t>(ReduceKind::Max)});
    const Ref at = a.add(a.add(a.mul(n, a.index(side * side)), a.mul(r, a.index(side))), c);
    const CompiledKernel kernel(sink_of(a, {store(a, param(a, f32, 0), at, most, yes)}),
                                runtime::make_target("native"));
    const std::vector<float> in = noise(static_cast<std::size_t>(images * height * height));
    std::vector<float> out(static_cast<std::size_t>(images * side * side)), copy = in;
    kernel.run({out.data(), copy.data()}, {}, 2);
    for (std::int64_t k = 0; k < images * side * side; ++k) {
        const std::int64_t first = k / 9 * 36 + k % 9 / 3 * 12 + k % 3 * 2;
        float best = -std::numeric_limits<float>::infinity();
        for (std::int64_t w : {0, 1, 6, 7})
            best = std::max(best, in[static_cast<std::size_t>(first + w)]);
        REQUIRE(out[static_cast<std::size_t>(k)] == best);
    }
    CHECK(kernel.program.source.find("<16 x float>") == std::string::npos);
}

TEST_CASE("matrix products of every layout and ragged size") {
    struct Case {
        std::int64_t m, n, k;
        bool ta, tb;
    };
    for (const codegen::Target& target : targets())
        for (const Case& s : {Case{1, 1, 1, false, false}, Case{64, 64, 64, false, false},
                              Case{7, 33, 20, false, false}, Case{13, 10, 65, false, true},
                              Case{64, 100, 50, true, false}, Case{70, 17, 3, true, true},
                              Case{5, 200, 31, false, true}, Case{70, 1030, 33, false, false},
                              Case{66, 2048, 9, true, false}, Case{200, 150, 70, false, true},
                              Case{100, 520, 37, false, true}, Case{300, 16, 64, false, true},
                              Case{33, 530, 5200, false, true}, Case{310, 300, 900, true, false},
                              Case{1030, 100, 700, false, false}}) {
            CAPTURE(s.m);
            CAPTURE(s.n);
            Arena a;
            const Ref i = range(a, 0, s.m, Role::Loop), j = range(a, 1, s.n, Role::Loop),
                      k = range(a, 2, s.k, Role::Reduce), yes = a.truth(true);
            const Ref x = load(
                a, param(a, f32, 0),
                s.ta ? a.add(a.mul(k, a.index(s.m)), i) : a.add(a.mul(i, a.index(s.k)), k), yes);
            const Ref y = load(
                a, param(a, f32, 1),
                s.tb ? a.add(a.mul(j, a.index(s.k)), k) : a.add(a.mul(k, a.index(s.n)), j), yes);
            const Ref sum = a.make(Op::Reduce, f32, {a.mul(x, y), k},
                                   {static_cast<std::int64_t>(ReduceKind::Add)});
            const Ref bias = load(a, param(a, f32, 3), j, yes);
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f32, 2), a.add(a.mul(i, a.index(s.n)), j),
                                  a.add(sum, bias), yes)}),
                target);
            std::vector<float> u = noise(static_cast<std::size_t>(s.m * s.k)),
                               v = noise(static_cast<std::size_t>(s.k * s.n), 2),
                               b = noise(static_cast<std::size_t>(s.n), 3),
                               out(static_cast<std::size_t>(s.m * s.n) + 1, 5.0f);
            kernel.run({u.data(), v.data(), out.data(), b.data()}, {}, 3);
            for (std::int64_t p = 0; p < s.m; ++p)
                for (std::int64_t q = 0; q < s.n; ++q) {
                    double total = b[static_cast<std::size_t>(q)], size = 1;
                    for (std::int64_t t = 0; t < s.k; ++t) {
                        const double term =
                            static_cast<double>(
                                u[static_cast<std::size_t>(s.ta ? t * s.m + p : p * s.k + t)]) *
                            static_cast<double>(
                                v[static_cast<std::size_t>(s.tb ? q * s.k + t : t * s.n + q)]);
                        total += term;
                        size += std::fabs(term);
                    }
                    REQUIRE(std::fabs(out[static_cast<std::size_t>(p * s.n + q)] - total) <=
                            1e-6 * size);
                }
            CHECK(out.back() == 5.0f);
        }
}

namespace {

// Of m by 512 and 512 by 196 elements.
Ref product_of_rows(Arena& a, std::int64_t m) {
    const Ref i = range(a, 0, m, Role::Loop), j = range(a, 1, 196, Role::Loop),
              k = range(a, 2, 512, Role::Reduce), yes = a.truth(true);
    const Ref x = load(a, param(a, f32, 0), a.add(a.mul(i, a.index(512)), k), yes),
              y = load(a, param(a, f32, 1), a.add(a.mul(k, a.index(196)), j), yes);
    const Ref sum =
        a.make(Op::Reduce, f32, {a.mul(x, y), k}, {static_cast<std::int64_t>(ReduceKind::Add)});
    return sink_of(a, {store(a, param(a, f32, 2), a.add(a.mul(i, a.index(196)), j), sum, yes)});
}

codegen::Target wide_target() {
    codegen::Target target;
    target.triple = "x86_64-pc-linux-gnu";
    target.vector_bits = 512;
    target.vector_registers = 32;
    target.fma = true;
    return target;
}

}  // namespace

TEST_CASE("rows go through all columns where copies of these stay near and serve many rows") {
    const auto goes_whole = [](std::int64_t m) {
        Arena a;
        const std::string schedule =
            codegen::lower(product_of_rows(a, m), "kernel", wide_target()).schedule;
        CAPTURE(schedule);
        return std::regex_search(
            schedule, std::regex("into serial (r[0-9]+) loop r[0-9]+;.* stage load 1 over \\1 r2"));
    };
    CHECK(goes_whole(4096));
    CHECK_FALSE(goes_whole(512));
}

TEST_CASE("the last trip of a product computes no columns behind the end") {
    const codegen::Target target = wide_target();
    Arena a;
    const Ref sink = product_of_rows(a, 96);
    const auto schedule = codegen::Schedule::parse(
        "part 0: split r0 by 12 into serial r4 unroll r5; split r1 by 32 into parallel r6 loop r7; "
        "split r7 by 16 into unroll r8 vector r9; bind r2 to serial; stage load 1 over r2 r8 r9; "
        "unroll r8; trips r6; order r4 r2");
    const std::string source = codegen::lower(sink, "kernel", target, &schedule).source;
    CHECK(source.find("call <16 x float> @llvm.fma.v16f32") != std::string::npos);
    CHECK(source.find("call float @llvm.fma.f32") == std::string::npos);
}

TEST_CASE("every second or fourth element is read, and none behind the memory") {
    constexpr std::size_t kPage = 4096;
    // The memory ends where a page begins that may not be read.
    void* pages =
        mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(pages != MAP_FAILED);
    char* end = static_cast<char*>(pages) + 3 * kPage;
    REQUIRE(mprotect(end, kPage, PROT_NONE) == 0);
    for (const codegen::Target& target : targets())
        for (std::int64_t step : {2, 3, 4})
            for (std::int64_t n : {16, 33, 100, 256})
                for (bool masked : {false, true}) {
                    CAPTURE(step);
                    CAPTURE(n);
                    Arena a;
                    const Ref i = range(a, 0, n, Role::Loop), yes = a.truth(true);
                    const Ref valid = masked ? a.binary(Op::Lt, a.index(2), i) : yes;
                    const Ref x =
                        load(a, param(a, f32, 0), a.mul(i, a.index(step)), valid, const_bits(5.0));
                    const CompiledKernel kernel(
                        sink_of(a, {store(a, param(a, f32, 1), i, a.add(x, x), yes)}), target);
                    const auto size = static_cast<std::size_t>((n - 1) * step + 1);
                    float* in = reinterpret_cast<float*>(end) - size;
                    const std::vector<float> values = noise(size);
                    std::ranges::copy(values, in);
                    std::vector<float> out(static_cast<std::size_t>(n));
                    kernel.run({in, out.data()}, {}, 2);
                    for (std::int64_t k = 0; k < n; ++k) {
                        const float v =
                            masked && k <= 2 ? 5.0f : values[static_cast<std::size_t>(k * step)];
                        REQUIRE(out[static_cast<std::size_t>(k)] == v + v);
                    }
                }
    munmap(pages, 4 * kPage);
}

TEST_CASE("matrices of every element size are transposed") {
    for (const codegen::Target& target : targets())
        for (DType dt : {DType::U8, DType::BF16, DType::F32, DType::F64})
            for (std::int64_t rows : {16, 50, 96})
                for (std::int64_t cols : {32, 70, 129}) {
                    CAPTURE(rows);
                    CAPTURE(cols);
                    Arena a;
                    const Ref i = range(a, 0, rows, Role::Loop), j = range(a, 1, cols, Role::Loop),
                              yes = a.truth(true);
                    const Ref x = load(a, param(a, dt, 0), a.add(a.mul(j, a.index(rows)), i), yes);
                    const CompiledKernel kernel(
                        sink_of(a, {store(a, param(a, dt, 1), a.add(a.mul(i, a.index(cols)), j), x,
                                          yes)}),
                        target);
                    const auto size = size_of(dt), n = static_cast<std::size_t>(rows * cols);
                    std::vector<unsigned char> in(n * size), out(n * size);
                    std::mt19937 random(5);
                    for (unsigned char& b : in) b = static_cast<unsigned char>(random());
                    kernel.run({in.data(), out.data()}, {}, 3);
                    bool same = true;
                    for (std::size_t p = 0; p < static_cast<std::size_t>(rows); ++p)
                        for (std::size_t q = 0; q < static_cast<std::size_t>(cols); ++q)
                            for (std::size_t b = 0; b < size; ++b)
                                same = same &&
                                       out[(p * static_cast<std::size_t>(cols) + q) * size + b] ==
                                           in[(q * static_cast<std::size_t>(rows) + p) * size + b];
                    CHECK(same);
                }
}

TEST_CASE(
    "a long sum is split over chunks, and the mean and variance of one tensor are one kernel") {
    for (const codegen::Target& target : targets())
        for (std::int64_t n : {100, 100000, 99991}) {
            CAPTURE(n);
            Arena a;
            const Ref i = range(a, 0, n, Role::Reduce), yes = a.truth(true), zero = a.index(0);
            const Ref x = load(a, param(a, f32, 0), i, yes);
            const std::int64_t add = static_cast<std::int64_t>(ReduceKind::Add),
                               max = static_cast<std::int64_t>(ReduceKind::Max);
            const Ref mean = a.mul(a.make(Op::Reduce, f32, {x, i}, {add}),
                                   a.constant(f32, 1.0 / static_cast<double>(n)));
            const Ref d = a.sub(x, mean);
            const Ref var = a.make(Op::Reduce, f32, {a.mul(d, d), i}, {add});
            const Ref top = a.make(Op::Reduce, f32, {x, i}, {max});
            const CompiledKernel kernel(sink_of(a, {store(a, param(a, f32, 1), zero, mean, yes),
                                                    store(a, param(a, f32, 2), zero, var, yes),
                                                    store(a, param(a, f32, 3), zero, top, yes)}),
                                        target);
            std::vector<float> in = noise(static_cast<std::size_t>(n));
            float m = 0, v = 0, t = 0;
            kernel.run({in.data(), &m, &v, &t}, {}, 2);
            double total = 0, square = 0, best = -1e9;
            for (float f : in) total += f;
            total /= static_cast<double>(n);
            for (float f : in)
                square += (f - total) * (f - total), best = std::max(best, static_cast<double>(f));
            CHECK(m == doctest::Approx(total).epsilon(1e-4));
            CHECK(v == doctest::Approx(square).epsilon(1e-4));
            CHECK(t == static_cast<float>(best));
            CHECK((n > 1000) == (kernel.program.phases.size() == 3));
        }
}

namespace {

// A matrix of f32 in slot 0, of whose rows something is made: one element each in slot 1.
struct RowsToReduce {
    Arena& a;
    const Ref row, column, value;
    RowsToReduce(Arena& arena, std::int64_t rows, std::int64_t cols)
        : a(arena),
          row(range(a, 0, rows, Role::Loop)),
          column(range(a, 1, cols, Role::Reduce)),
          value(
              load(a, param(a, f32, 0), a.add(a.mul(row, a.index(cols)), column), a.truth(true))) {}

    Ref arg_max() const {
        const Ref tuple = a.make(Op::Accumulate, DType::None, {value, a.cast(column, i64), column},
                                 {static_cast<std::int64_t>(Combine::ArgMax), 2});
        return a.make(Op::Get, i64, {tuple}, {1});
    }
    Ref reduced(ReduceKind kind) const {
        return a.make(Op::Reduce, f32, {value, column}, {static_cast<std::int64_t>(kind)});
    }
    Ref stored(DType dtype, Ref result) const {
        return sink_of(a, {store(a, param(a, dtype, 1), row, result, a.truth(true))});
    }
};

}  // namespace

TEST_CASE("argmax gives the first of equals, NaN is beyond every number") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const codegen::Target& target : targets()) {
        const std::int64_t rows = 4, cols = 37;
        Arena a;
        const RowsToReduce rows_of(a, rows, cols);
        const CompiledKernel kernel(rows_of.stored(i64, rows_of.arg_max()), target);
        std::vector<float> in(static_cast<std::size_t>(rows * cols), 1.0f);
        in[20] = in[30] = 3.0f;
        in[37 + 5] = nan;
        in[37 + 9] = nan;
        in[37 + 2] = 9;
        for (std::size_t k = 74; k < 111; ++k) in[k] = -std::numeric_limits<float>::infinity();
        std::vector<std::int64_t> out(4, -1);
        kernel.run({in.data(), out.data()});
        CHECK(out == std::vector<std::int64_t>{20, 5, 0, 0});
    }
}

TEST_CASE("maximum, its place and the sum of rows whose steps are taken several at a time") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const codegen::Target& target : targets())
        for (const std::int64_t cols : {127, 128, 129, 301, 1000}) {
            const std::int64_t rows = cols;
            Arena a;
            const RowsToReduce rows_of(a, rows, cols);
            const CompiledKernel place(rows_of.stored(i64, rows_of.arg_max()), target),
                most(rows_of.stored(f32, rows_of.reduced(ReduceKind::Max)), target),
                sum(rows_of.stored(f32, rows_of.reduced(ReduceKind::Add)), target);
            // Row k has its largest number in column k and in some behind; every third row a NaN.
            std::vector<float> in(static_cast<std::size_t>(rows * cols));
            std::vector<std::int64_t> expected;
            for (std::int64_t k = 0; k < rows; ++k) {
                float* row = in.data() + k * cols;
                for (std::int64_t i = 0; i < cols; ++i) row[i] = static_cast<float>(i % 7);
                for (std::int64_t i = k; i < cols; i += 1 + k % 37) row[i] = 9;
                if (k % 3 == 1) row[(k * 11) % cols] = row[(k * 11) % cols / 2] = nan;
                expected.push_back(k % 3 == 1 ? (k * 11) % cols / 2 : k);
                if (k % 5 == 4 && k % 3 != 1) {  // nothing is beyond the first
                    std::fill_n(row, cols, -std::numeric_limits<float>::infinity());
                    expected.back() = 0;
                }
            }
            std::vector<std::int64_t> at(static_cast<std::size_t>(rows), -1);
            std::vector<float> largest(at.size(), -1), total(at.size(), -1);
            place.run({in.data(), at.data()});
            most.run({in.data(), largest.data()});
            sum.run({in.data(), total.data()});
            CHECK(at == expected);
            for (std::int64_t k = 0; k < rows; ++k) {
                const auto i = static_cast<std::size_t>(k);
                float whole = 0;  // of small integers: exact in any order
                for (std::int64_t n = 0; n < cols; ++n)
                    whole += in[static_cast<std::size_t>(k * cols + n)];
                if (k % 3 == 1) {
                    CHECK(std::isnan(largest[i]));
                    CHECK(std::isnan(total[i]));
                } else {
                    CHECK(largest[i] == (k % 5 == 4 ? -std::numeric_limits<float>::infinity() : 9));
                    CHECK(total[i] == whole);
                }
            }
        }
}

TEST_CASE("running sums, data-dependent reads and combining writes") {
    for (const codegen::Target& target : targets()) {
        const std::int64_t rows = 3, cols = 40;
        {
            Arena a;
            const Ref r = range(a, 0, rows, Role::Loop), c = range(a, 1, cols, Role::Loop),
                      yes = a.truth(true);
            const Ref at = a.add(a.mul(r, a.index(cols)), c);
            const Ref sum = a.make(Op::Scan, i32, {load(a, param(a, i32, 0), at, yes), c},
                                   {static_cast<std::int64_t>(ReduceKind::Add)});
            const CompiledKernel kernel(sink_of(a, {store(a, param(a, i32, 1), at, sum, yes)}),
                                        target);
            std::vector<std::int32_t> in(static_cast<std::size_t>(rows * cols)), out(in.size());
            for (std::size_t k = 0; k < in.size(); ++k)
                in[k] = static_cast<std::int32_t>(k * k % 17);
            kernel.run({in.data(), out.data()}, {}, 2);
            for (std::size_t k = 0; k < in.size(); ++k)
                REQUIRE(out[k] == in[k] + (k % 40 == 0 ? 0 : out[k - 1]));
        }
        const auto indices = [&](std::int64_t bad) {
            std::vector<std::int64_t> v{3, 0, 3, 2, 1, 3, 0};
            if (bad >= 0) v[static_cast<std::size_t>(bad)] = -7;
            return v;
        };
        for (std::int64_t bad : {-1, 4}) {
            Arena a;
            const Ref j = range(a, 0, 7, Role::Loop), d = range(a, 1, cols, Role::Loop),
                      yes = a.truth(true);
            const Ref row =
                a.make(Op::Check, DType::Index, {load(a, param(a, i64, 1), j, yes)}, {4, 5});
            const Ref x = load(a, param(a, f32, 0), a.add(a.mul(row, a.index(cols)), d), yes);
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f32, 2), a.add(a.mul(j, a.index(cols)), d), x, yes)}),
                target);
            std::vector<float> table = noise(static_cast<std::size_t>(4 * cols)),
                               out(static_cast<std::size_t>(7 * cols));
            std::vector<std::int64_t> index = indices(bad);
            const auto check = kernel.run({table.data(), index.data(), out.data()});
            CHECK(check ==
                  (bad < 0 ? std::vector<std::int64_t>{0, 0} : std::vector<std::int64_t>{6, -7}));
            for (std::size_t k = 0; k < out.size() && bad < 0; ++k)
                REQUIRE(out[k] == table[static_cast<std::size_t>(index[k / 40]) * 40 + k % 40]);
        }
        for (ReduceKind kind : {ReduceKind::Add, ReduceKind::Set, ReduceKind::Max}) {
            Arena a;
            const Ref j = range(a, 0, 7, Role::Loop), d = range(a, 1, cols, Role::Loop),
                      yes = a.truth(true);
            const Ref row =
                a.make(Op::Check, DType::Index, {load(a, param(a, i64, 1), j, yes)}, {4, 0});
            const Ref v = load(a, param(a, f32, 0), a.add(a.mul(j, a.index(cols)), d), yes);
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f32, 2), a.add(a.mul(row, a.index(cols)), d), v, yes,
                                  static_cast<std::int64_t>(kind))}),
                target);
            std::vector<float> in = noise(static_cast<std::size_t>(7 * cols)),
                               out(static_cast<std::size_t>(4 * cols), 0.5f), want = out;
            std::vector<std::int64_t> index = indices(-1);
            kernel.run({in.data(), index.data(), out.data()}, {}, 2);
            for (std::size_t k = 0; k < in.size(); ++k) {
                float& w = want[static_cast<std::size_t>(index[k / 40]) * 40 + k % 40];
                w = kind == ReduceKind::Add   ? w + in[k]
                    : kind == ReduceKind::Set ? in[k]
                                              : std::max(w, in[k]);
            }
            for (std::size_t k = 0; k < out.size(); ++k) REQUIRE(out[k] == want[k]);
        }
    }
}

TEST_CASE("running sums and extremes along rows, forwards and backwards, of every length") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const codegen::Target& target : targets())
        for (const ReduceKind kind :
             {ReduceKind::Add, ReduceKind::Max, ReduceKind::Min, ReduceKind::Mul})
            for (const std::int64_t cols : {5, 16, 17, 40, 64, 129})
                for (const bool backwards : {false, true}) {
                    CAPTURE(cols);
                    CAPTURE(static_cast<int>(kind));
                    const std::int64_t rows = 3;
                    Arena a;
                    const Ref r = range(a, 0, rows, Role::Loop), c = range(a, 1, cols, Role::Loop),
                              yes = a.truth(true);
                    const Ref along = backwards ? a.sub(a.index(cols - 1), c) : c;
                    const Ref at = a.add(a.mul(r, a.index(cols)), along);
                    const Ref scan = a.make(Op::Scan, f32, {load(a, param(a, f32, 0), at, yes), c},
                                            {static_cast<std::int64_t>(kind)});
                    const CompiledKernel kernel(
                        sink_of(a, {store(a, param(a, f32, 1), at, scan, yes)}), target);
                    std::vector<float> in(static_cast<std::size_t>(rows * cols)),
                        out(in.size(), 99.0f), want(in.size());
                    for (std::size_t k = 0; k < in.size(); ++k)
                        in[k] = kind == ReduceKind::Mul ? (k % 3 == 0 ? -1.0f : 1.0f)
                                                        : static_cast<float>((k * 37) % 23) - 11;
                    in[static_cast<std::size_t>(2 * cols + cols / 2)] = nan;
                    for (std::int64_t row = 0; row < rows; ++row)
                        for (std::int64_t i = 0; i < cols; ++i) {
                            const auto place = [&](std::int64_t n) {
                                return static_cast<std::size_t>(row * cols +
                                                                (backwards ? cols - 1 - n : n));
                            };
                            const float x = in[place(i)];
                            float& w = want[place(i)];
                            if (i == 0) {
                                w = x;
                                continue;
                            }
                            const float before = want[place(i - 1)];
                            w = kind == ReduceKind::Add                     ? before + x
                                : kind == ReduceKind::Mul                   ? before * x
                                : std::isnan(before) || std::isnan(x)       ? nan
                                : (kind == ReduceKind::Max) == (before < x) ? x
                                                                            : before;
                        }
                    kernel.run({in.data(), out.data()}, {}, 2);
                    for (std::size_t k = 0; k < in.size(); ++k)
                        REQUIRE((out[k] == want[k] || (std::isnan(out[k]) && std::isnan(want[k]))));
                }
}

TEST_CASE("sums along rows and along columns meet in one sum") {
    // out = sum over i, j of x(i, j) A(i) B(j), A the sums of rows, B those of columns: whichever
    // loop is outside, the other sum needs its range once more inside.
    for (const codegen::Target& target : targets())
        for (const auto& [rows, cols] :
             {std::pair<std::int64_t, std::int64_t>{3, 5}, {4, 4}, {17, 33}}) {
            CAPTURE(rows);
            Arena a;
            const Ref i = range(a, 0, rows, Role::Reduce), j = range(a, 1, cols, Role::Reduce),
                      yes = a.truth(true);
            const Ref x = load(a, param(a, f64, 0), a.add(a.mul(i, a.index(cols)), j), yes);
            constexpr auto add = static_cast<std::int64_t>(ReduceKind::Add);
            const Ref along_rows = a.make(Op::Reduce, f64, {x, j}, {add});
            const Ref along_columns = a.make(Op::Reduce, f64, {x, i}, {add});
            const Ref sum =
                a.make(Op::Reduce, f64, {a.mul(x, a.mul(along_rows, along_columns)), i, j}, {add});
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f64, 1), a.index(0), sum, yes)}), target);
            std::vector<double> u(static_cast<std::size_t>(rows * cols)), out(1);
            for (std::size_t k = 0; k < u.size(); ++k) u[k] = static_cast<double>(k % 7) - 2;
            kernel.run({u.data(), out.data()});
            double expected = 0;
            const auto at = [&](std::int64_t r, std::int64_t c) {
                return u[static_cast<std::size_t>(r * cols + c)];
            };
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t c = 0; c < cols; ++c) {
                    double row = 0, column = 0;
                    for (std::int64_t k = 0; k < cols; ++k) row += at(r, k);
                    for (std::int64_t k = 0; k < rows; ++k) column += at(k, c);
                    expected += at(r, c) * row * column;
                }
            CHECK(out[0] == expected);  // whole numbers: exact
        }
}

TEST_CASE("a store over its operand's memory comes after all that the other stores read") {
    // One store needs the sums of its rows first, the other could go through memory the other way.
    const char* plain = "0";
    SUBCASE("as chosen") {}
    SUBCASE("in plain loops") { plain = "1"; }
    const env::Override mode("NOOPT", plain);
    for (const codegen::Target& target : targets())
        for (const auto& [rows, cols] :
             {std::pair<std::int64_t, std::int64_t>{3, 5}, {17, 33}, {100, 7}}) {
            CAPTURE(rows);
            Arena a;
            const Ref i = range(a, 0, rows, Role::Loop), j = range(a, 1, cols, Role::Loop),
                      yes = a.truth(true);
            const Ref place = a.add(a.mul(j, a.index(rows)), i);
            const Ref x = load(a, param(a, f64, 0), place, yes),
                      y = load(a, param(a, f64, 1), place, yes);
            constexpr auto add = static_cast<std::int64_t>(ReduceKind::Add);
            const Ref row = a.make(Op::Reduce, f64, {y, j}, {add});
            const Ref total = a.make(Op::Reduce, f64, {a.mul(row, row), i}, {add});
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f64, 2), place, a.add(a.add(x, row), total), yes),
                            store(a, param(a, f64, 3), place, a.add(x, x), yes)}),
                target);
            const auto n = static_cast<std::size_t>(rows * cols);
            std::vector<double> u(n), v(n), twice(n), more(n), sums(static_cast<std::size_t>(rows));
            for (std::size_t k = 0; k < n; ++k) {
                u[k] = static_cast<double>(k % 13);
                v[k] = static_cast<double>(k % 7) - 2;
                sums[k % sums.size()] += v[k];
            }
            const std::vector<double> before = u;
            double sum = 0;
            for (double s : sums) sum += s * s;
            for (const bool in_place_first : {true, false}) {
                u = before;
                kernel.run({u.data(), v.data(), in_place_first ? u.data() : more.data(),
                            in_place_first ? twice.data() : u.data()});
                for (std::size_t k = 0; k < n; ++k) {
                    REQUIRE((in_place_first ? u : more)[k] ==
                            before[k] + sums[k % sums.size()] + sum);
                    REQUIRE((in_place_first ? twice : u)[k] == 2 * before[k]);
                }
            }
        }
}

TEST_CASE("a sum of rows is known before the loop over columns that it shares opens") {
    // out(i, j) = x(i, j) A(i) + T with A the sums of rows and T the sum of all A: i runs twice, so
    // that neither i nor j is parallel, and x lies in memory so that j has the longer stride.
    for (const codegen::Target& target : targets())
        for (const auto& [rows, cols] :
             {std::pair<std::int64_t, std::int64_t>{3, 5}, {4, 4}, {17, 33}}) {
            CAPTURE(rows);
            Arena a;
            const Ref i = range(a, 0, rows, Role::Loop), j = range(a, 1, cols, Role::Loop),
                      yes = a.truth(true);
            const Ref place = a.add(a.mul(j, a.index(rows)), i);
            const Ref x = load(a, param(a, f64, 0), place, yes);
            constexpr auto add = static_cast<std::int64_t>(ReduceKind::Add);
            const Ref row = a.make(Op::Reduce, f64, {x, j}, {add});
            const Ref total = a.make(Op::Reduce, f64, {a.mul(row, row), i}, {add});
            const CompiledKernel kernel(
                sink_of(a, {store(a, param(a, f64, 1), place, a.add(a.mul(x, row), total), yes)}),
                target);
            std::vector<double> u(static_cast<std::size_t>(rows * cols)), out(u.size());
            for (std::size_t k = 0; k < u.size(); ++k) u[k] = static_cast<double>(k % 7) - 2;
            kernel.run({u.data(), out.data()});
            std::vector<double> sums(static_cast<std::size_t>(rows));
            double sum = 0;
            for (std::size_t k = 0; k < u.size(); ++k) sums[k % sums.size()] += u[k];
            for (double s : sums) sum += s * s;
            for (std::size_t k = 0; k < u.size(); ++k)
                REQUIRE(out[k] == u[k] * sums[k % sums.size()] + sum);
        }
}
