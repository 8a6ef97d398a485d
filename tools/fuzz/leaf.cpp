// Elements of leaves.

#include <cmath>
#include <limits>

#include "program.h"
#include "random.h"

namespace fuzz {
namespace {

double tame(Random& random) {
    // About normal: the sum of uniforms.
    return (random.unit() + random.unit() + random.unit() + random.unit() - 2) * 2;
}

double special(Random& random) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    static const std::vector<double> kValues = {
        0,        -0.0,         1,     -1,
        0.5,      kInf,         -kInf, std::numeric_limits<double>::quiet_NaN(),
        1e-40,    -1e-42,       3e38,  -3e38,
        65504,    6e-8,         88.7,  -87.5,
        16777217, 2147483648.0, 1e-3,  1e3};
    return random.chance(0.5) ? random.of(kValues) : tame(random);
}

double draw_real(Draw draw, Random& random) {
    switch (draw) {
        case Draw::Grid:
            return 0.25 * static_cast<double>(random.between(-12, 12));
        case Draw::Wide:
            return std::ldexp(tame(random), static_cast<int>(random.between(-30, 30)));
        case Draw::Special:
            return special(random);
        case Draw::Tame:
        case Draw::Below:
        case Draw::AnyInt:
        case Draw::SmallInt:
            break;
    }
    return tame(random);
}

double rounded(sn::DType dt, double value) {
    switch (dt) {
        case sn::DType::F16:
            return static_cast<double>(sn::f16_to_f32(sn::f64_to_f16(value)));
        case sn::DType::BF16:
            return static_cast<double>(sn::bf16_to_f32(sn::f64_to_bf16(value)));
        case sn::DType::F32:
            return static_cast<double>(static_cast<float>(value));
        default:
            return value;
    }
}

std::int64_t wrapped(sn::DType dt, std::int64_t value) {
    const int unused = 64 - 8 * static_cast<int>(sn::size_of(dt));
    const auto high = static_cast<std::uint64_t>(value) << unused;
    return sn::is_unsigned(dt) ? static_cast<std::int64_t>(high >> unused)
                               : static_cast<std::int64_t>(high) >> unused;
}

std::int64_t draw_int(const Leaf& leaf, Random& random) {
    if (leaf.dtype == sn::boolean) return random.between(0, 1);
    switch (leaf.draw) {
        case Draw::Below:
            return random.between(0, leaf.below - 1);
        case Draw::AnyInt: {
            static const std::vector<std::int64_t> kEdges = {
                0,
                1,
                -1,
                2,
                127,
                128,
                255,
                32767,
                65535,
                2147483647,
                4294967295,
                std::numeric_limits<std::int64_t>::max(),
                std::numeric_limits<std::int64_t>::min()};
            const std::int64_t value =
                random.chance(0.5) ? random.of(kEdges) : static_cast<std::int64_t>(random.next());
            return wrapped(leaf.dtype, value);
        }
        default:
            return wrapped(leaf.dtype, random.between(-9, 9));
    }
}

}  // namespace

void draw_elements(Leaf& leaf, std::uint64_t seed) {
    Random random(seed);
    std::int64_t count = 1;
    for (const std::int64_t size : leaf.shape) count *= size;
    leaf.reals.clear();
    leaf.ints.clear();
    for (std::int64_t i = 0; i < count; ++i)
        if (sn::is_float(leaf.dtype))
            leaf.reals.push_back(rounded(leaf.dtype, draw_real(leaf.draw, random)));
        else
            leaf.ints.push_back(draw_int(leaf, random));
}

Program with_other_data(const Program& program, std::uint64_t seed) {
    Program other = program;
    for (std::size_t i = 0; i < other.steps.size(); ++i)
        if (other.steps[i].row == kLeaf) draw_elements(other.steps[i].leaf, seed + i);
    return other;
}

}  // namespace fuzz
