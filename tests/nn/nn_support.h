#pragma once
// Fixed numbers for networks, and comparison with those of PyTorch 2.15 (f32, CPU).

#include <cmath>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sinter/nn.h>

#include "support.h"

namespace sinter::nn::test {

using Floats = std::vector<float>;

/// ((i * step) % 11) / 10 spread over [low, high]: what the reference program filled its tensors
/// with.
inline Tensor pattern(const Shape& shape, int step = 7, double low = -1, double high = 1) {
    std::int64_t n = 1;
    for (const std::int64_t size : shape) n *= size;
    Floats values(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto k = static_cast<int>(i) * step % 11;
        values[i] = static_cast<float>(k / 10.0 * (high - low) + low);
    }
    return Tensor(values, shape);
}

/// Parameters in order: pattern of step 3, 5, 7, …
inline void fill(Module& module) {
    int step = 3;
    for (Tensor* p : module.parameters()) {
        p->assign(pattern(p->shape(), step));
        p->realize();
        step += 2;
    }
}

/// Within a few roundings of f32 sums of some ten numbers of size 1; NaN never.
inline void check_close(const Tensor& actual, const Floats& expected, double tolerance = 3e-6) {
    const Floats values = actual.to_vector<float>();
    REQUIRE(values.size() == expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        CAPTURE(i);
        CAPTURE(values[i]);
        CAPTURE(expected[i]);
        const double size = std::max(1.0, std::abs(static_cast<double>(expected[i])));
        CHECK(std::abs(static_cast<double>(values[i]) - expected[i]) <= tolerance * size);
    }
}

/// Runs `body` once on the oracle and once on the CPU.
template <class F>
void on_each_device(F&& body) {
    for (const char* name : {"REF", "CPU"}) {
        CAPTURE(name);
        const DeviceGuard guard{Device(name)};
        body();
    }
}

using sinter::test::message_of;
using sinter::test::says;

}  // namespace sinter::nn::test
