// What REF's noise lets other devices do.

#include <sinter/sinter.h>
#include <sinter/testing.h>

#include "support.h"

using namespace sinter;
using test::Program;

TEST_CASE(
    "one plus a tanh may be off by a last place, wherever the tanh was moved; other sums not") {
    const auto changes = [](const Program& program) {
        const std::vector<float> plain = test::values_on("REF", program);
        for (std::uint64_t seed = 1; seed < 8; ++seed) {
            const RefNoise noise(seed);
            if (test::values_on("REF", program) != plain) return true;
        }
        return false;
    };
    const auto x = [] { return Tensor(std::vector<float>{0x1p-30f, 0x1p-29f}).realize(); };
    CHECK(changes([&] { return tanh(x()) + 1.0; }));
    CHECK(changes([&] { return 1.0 + tanh(x()).reshape({2, 1}).expand({2, 3}); }));
    CHECK_FALSE(changes([&] { return tanh(x()) + 2.0; }));
}
