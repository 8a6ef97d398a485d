// 16-bit floats through composite ops: every machine that code is made for agrees with REF, within
// a few steps of the type at the size of the operands.

#include <functional>

#include <sinter/ir/env.h>

#include "support.h"

using namespace sinter;

namespace {

using Composite = std::function<Tensor(const Tensor&, const Tensor&)>;

struct Case {
    const char* name;
    Composite run;  ///< of x [12, 20] and y [20, 36]
    double steps;   ///< by which roundings on the way may move the result
};

// Sums are carried in f32 on both devices, so that one rounding may fall to the other side for each
// op that is rounded.
const Case kCases[] = {
    {"softmax", [](const Tensor& x, const Tensor&) { return softmax(x, 1); }, 4},
    {"log_softmax", [](const Tensor& x, const Tensor&) { return log_softmax(x, 0); }, 4},
    {"matmul", [](const Tensor& x, const Tensor& y) { return matmul(x, y); }, 1},
    {"linear with gelu", [](const Tensor& x, const Tensor& y) { return gelu(matmul(x, y) + y[0]); },
     4},
    {"layer norm",
     [](const Tensor& x, const Tensor&) {
         return (x - mean(x, 1, true)) * rsqrt(var(x, 1, true, 0) + 1e-3);
     },
     8},
    {"mean, var and max",
     [](const Tensor& x, const Tensor&) { return mean(x, 0) + var(x, 0) * max(x, 0); }, 4},
    {"hypot", [](const Tensor& x, const Tensor&) { return hypot(x, x * x); }, 4},
    {"hypot of one", [](const Tensor& x, const Tensor&) { return hypot(x[0][1], x[0][2]); }, 4},
    {"a choice",
     [](const Tensor& x, const Tensor&) {
         return where(x < 0.25, x, transpose(x, 0, 1).reshape({12, 20}));
     },
     1},
    {"cumsum", [](const Tensor& x, const Tensor&) { return cumsum(x, 1); }, 1},
    {"conv2d",
     [](const Tensor& x, const Tensor& y) {
         return conv2d(x.reshape({1, 2, 12, 10}),
                       y.reshape({-1})[slice(0, 54)].reshape({3, 2, 3, 3}));
     },
     1},
    {"gradient of softmax",
     [](const Tensor& x, const Tensor&) { return gradient(sum(square(softmax(x, 1))), x); }, 16},
};

Tensor numbers(const Shape& shape, double step, DType dt) {
    const Tensor n = arange(Tensor(zeros(shape)).numel()).reshape(shape).to(f64);
    return (sin(n * step) * 1.5).to(dt).realize();
}

}  // namespace

TEST_CASE("composites of 16-bit floats agree with REF on every target") {
    for (const DType dt : {f16, bf16})
        for (const Case& c : kCases) {
            const auto values = [&](const char* device) {
                const DeviceGuard guard{Device(device)};
                const Tensor result = c.run(numbers({12, 20}, 0.7, dt), numbers({20, 36}, 0.3, dt));
                CHECK(result.dtype() == dt);
                return result.to_vector<double>();
            };
            const std::vector<double> want = values("REF");
            double scale = 0;
            for (const double v : want) scale = std::max(scale, std::fabs(v));
            REQUIRE(scale > 0);
            for (const char* target : {"sse2", "avx2", "native"}) {
                const ir::env::Override chosen("SINTER_TARGET", target);
                const std::string where = std::string(c.name) + " " + std::string(name(dt));
                CAPTURE(where);
                CAPTURE(target);
                const std::vector<double> got = values("CPU");
                REQUIRE(got.size() == want.size());
                for (std::size_t i = 0; i < want.size(); ++i) {
                    CAPTURE(i);
                    CAPTURE(got[i]);
                    CAPTURE(want[i]);
                    REQUIRE(test::close(got[i], want[i], dt, c.steps, scale));
                }
            }
        }
}

TEST_CASE("sums of 16-bit floats do not stall") {
    test::for_each_device([] {
        for (const DType dt : {f16, bf16}) {
            // One by one in the type itself this would stop at 2048, in bf16 at 256.
            test::expect_scalar(sum(ones({5000}, dt)), dt == bf16 ? 4992 : 5000, 0);
            test::expect_scalar(mean(ones({70000}, dt)), 1, 0);
        }
    });
}
