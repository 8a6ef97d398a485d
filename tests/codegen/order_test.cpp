#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include <sinter/ir/kernel.h>

#include "run.h"

using namespace sinter;
using namespace sinter::ir;
using sinter::testing::CompiledKernel;

namespace {

template <class Key>
void check_order(DType dt, std::int64_t n, const codegen::Target& target) {
    constexpr std::int64_t kRows = 3;
    const auto width = static_cast<std::size_t>(n);
    Arena a;
    const Ref r = range(a, 0, kRows, Role::Loop), c = range(a, 1, n, Role::Loop),
              yes = a.truth(true), at = a.add(a.mul(r, a.index(n)), c);
    const Ref order =
        a.make(Op::Order, DType::None, {load(a, param(a, dt, 0), at, yes), c, c}, {n});
    const Ref key = a.make(Op::Nth, dt, {order, c}, {0}),
              position = a.cast(a.make(Op::Nth, DType::Index, {order, c}, {1}), i64);
    std::mt19937_64 random(7);
    std::vector<Key> keys(kRows * width), sorted(keys.size());
    for (std::size_t k = 0; k < keys.size(); ++k)
        keys[k] = static_cast<Key>(k % 3 == 0 ? random() % 5 : random());
    std::vector<std::int64_t> positions(keys.size());
    const auto check = [&](bool with_keys, bool with_positions) {
        CAPTURE(with_keys);
        CAPTURE(with_positions);
        std::vector<Ref> stores;
        if (with_keys) stores.push_back(store(a, param(a, dt, 1), at, key, yes));
        if (with_positions) stores.push_back(store(a, param(a, i64, 2), at, position, yes));
        const CompiledKernel kernel(a.make(Op::Sink, DType::None, stores), target);
        kernel.run({keys.data(), sorted.data(), positions.data()}, {}, 2);
        for (std::size_t row = 0; row < kRows; ++row) {
            const Key* x = keys.data() + row * width;
            std::vector<std::int64_t> want(width);
            std::iota(want.begin(), want.end(), std::int64_t{0});
            std::ranges::stable_sort(want, {}, [&](std::int64_t i) { return x[i]; });
            bool right = true;
            for (std::size_t k = 0; k < width; ++k) {
                if (with_keys) right = right && sorted[row * width + k] == x[want[k]];
                if (with_positions) right = right && positions[row * width + k] == want[k];
            }
            CHECK(right);
        }
    };
    check(true, false);
    check(false, true);
    check(true, true);
}

}  // namespace

TEST_CASE("an Order gives keys and positions of rows, equal keys as they come") {
    for (const char* name : {"native", "avx2", "sse2"})
        for (const std::int64_t n : {2, 7, 16, 100, 1000, 3000}) {
            const codegen::Target target = runtime::make_target(name);
            CAPTURE(name);
            CAPTURE(n);
            check_order<std::uint8_t>(u8, n, target);
            check_order<std::uint16_t>(u16, n, target);
            check_order<std::uint32_t>(u32, n, target);
            check_order<std::uint64_t>(u64, n, target);
        }
}
