// REF's elementwise functions against values worked out by hand.

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;

namespace {

std::string unary(Op op, DType dt, const std::vector<double>& x) {
    return ref(ir::unary(op, vec(dt, x)));
}
std::string binary(Op op, DType dt, const std::vector<double>& a, const std::vector<double>& b) {
    return ref(ir::binary(op, vec(dt, a), vec(dt, b)));
}

struct MathCase {
    Op op;
    std::vector<double> x, y;
};

}  // namespace

TEST_CASE(
    "functions of floats have their exact values and IEEE special values in every float type") {
    const MathCase cases[] = {
        {Op::Neg, {1, -2, 0, kInf, kNaN}, {-1, 2, -0.0, -kInf, kNaN}},
        {Op::Abs, {1, -2, -0.0, -kInf, kNaN}, {1, 2, 0, kInf, kNaN}},
        {Op::Sign, {3, -2, -0.0, 0, -kInf, kNaN}, {1, -1, 0, 0, -1, kNaN}},
        {Op::Floor, {1.5, -1.5, -0.5, 2, -kInf, kNaN}, {1, -2, -1, 2, -kInf, kNaN}},
        {Op::Ceil, {1.5, -1.5, -0.5, 2, kInf, kNaN}, {2, -1, -0.0, 2, kInf, kNaN}},
        {Op::Trunc, {1.5, -1.5, -0.5, 2, kInf, kNaN}, {1, -1, -0.0, 2, kInf, kNaN}},
        {Op::Round, {0.5, 1.5, 2.5, -0.5, -1.5, kInf, kNaN}, {0, 2, 2, -0.0, -2, kInf, kNaN}},
        {Op::Recip, {2, -0.5, 0, -0.0, kInf, kNaN}, {0.5, -2, kInf, -kInf, 0, kNaN}},
        {Op::Sqrt, {4, 2.25, -0.0, -1, kInf, kNaN}, {2, 1.5, -0.0, kNaN, kInf, kNaN}},
        {Op::Exp, {0, -kInf, kInf, kNaN}, {1, 0, kInf, kNaN}},
        {Op::Exp2, {3, -2, 0, -kInf, kInf, kNaN}, {8, 0.25, 1, 0, kInf, kNaN}},
        {Op::Expm1, {0, -0.0, -kInf, kInf, kNaN}, {0, -0.0, -1, kInf, kNaN}},
        {Op::Log, {1, 0, -1, kInf, kNaN}, {0, -kInf, kNaN, kInf, kNaN}},
        {Op::Log2, {8, 0.25, 0, -1, kInf, kNaN}, {3, -2, -kInf, kNaN, kInf, kNaN}},
        {Op::Log1p, {0, -0.0, -1, -2, kInf, kNaN}, {0, -0.0, -kInf, kNaN, kInf, kNaN}},
        {Op::Sin, {0, -0.0, kInf, kNaN}, {0, -0.0, kNaN, kNaN}},
        {Op::Cos, {0, kInf, kNaN}, {1, kNaN, kNaN}},
        {Op::Tan, {0, -0.0, kInf, kNaN}, {0, -0.0, kNaN, kNaN}},
        {Op::Asin, {0, 2, kNaN}, {0, kNaN, kNaN}},
        {Op::Acos, {1, 2, kNaN}, {0, kNaN, kNaN}},
        {Op::Atan, {0, -0.0, kNaN}, {0, -0.0, kNaN}},
        {Op::Sinh, {0, kInf, -kInf, kNaN}, {0, kInf, -kInf, kNaN}},
        {Op::Cosh, {0, kInf, -kInf, kNaN}, {1, kInf, kInf, kNaN}},
        {Op::Tanh, {0, -0.0, kInf, -kInf, kNaN}, {0, -0.0, 1, -1, kNaN}},
        {Op::Erf, {0, -0.0, kInf, -kInf, kNaN}, {0, -0.0, 1, -1, kNaN}},
    };
    for (const DType dt : kFloats)
        for (const MathCase& c : cases) {
            CAPTURE(ir::name(c.op));
            CAPTURE(name(dt));
            CHECK(unary(c.op, dt, c.x) == text(c.y));
        }
}

TEST_CASE("transcendental functions are the double's value rounded once to the type") {
    // 20 digits of each value, from tables.
    const struct {
        Op op;
        double x, y;
    } cases[] = {
        {Op::Exp, 1, 2.7182818284590452354},    {Op::Exp2, 0.5, 1.4142135623730950488},
        {Op::Expm1, 1, 1.7182818284590452354},  {Op::Log, 2, 0.69314718055994530942},
        {Op::Log2, 3, 1.5849625007211561815},   {Op::Log1p, 1, 0.69314718055994530942},
        {Op::Sin, 1, 0.84147098480789650665},   {Op::Cos, 1, 0.54030230586813971740},
        {Op::Tan, 1, 1.5574077246549022305},    {Op::Asin, 0.5, 0.52359877559829887308},
        {Op::Acos, 0.5, 1.0471975511965977462}, {Op::Atan, 1, 0.78539816339744830962},
        {Op::Sinh, 1, 1.1752011936438014569},   {Op::Cosh, 1, 1.5430806348152437785},
        {Op::Tanh, 1, 0.76159415595576488812},  {Op::Erf, 1, 0.84270079294971486934},
        {Op::Sqrt, 2, 1.4142135623730950488},   {Op::Recip, 3, 0.33333333333333333333},
    };
    for (const auto& c : cases) {
        CAPTURE(ir::name(c.op));
        CHECK(unary(c.op, f32, {c.x}) == text(static_cast<double>(static_cast<float>(c.y))));
        CHECK(unary(c.op, f16, {c.x}) == text(static_cast<double>(f16_to_f32(f64_to_f16(c.y)))));
        CHECK(unary(c.op, bf16, {c.x}) == text(static_cast<double>(bf16_to_f32(f64_to_bf16(c.y)))));
        // The C library's last digit is its own business: one unit in the last place.
        const double got = std::stod(unary(c.op, f64, {c.x}));
        CHECK(std::fabs(got - c.y) <= std::fabs(c.y) * std::numeric_limits<double>::epsilon());
    }
}

TEST_CASE("functions of integers: negation, magnitude, sign and complement wrap") {
    for (const DType dt : kSigned) {
        CAPTURE(name(dt));
        const std::int64_t low = info(dt).min;
        CHECK(ref(ir::unary(Op::Neg, int_vec(dt, {5, -3, 0, low}))) ==
              "-5 3 0 " + std::to_string(low));
        CHECK(ref(ir::unary(Op::Abs, int_vec(dt, {5, -3, 0, low}))) ==
              "5 3 0 " + std::to_string(low));
        CHECK(ref(ir::unary(Op::Sign, int_vec(dt, {5, -3, 0, low}))) == "1 -1 0 -1");
        CHECK(ref(ir::unary(Op::Not, int_vec(dt, {5, -1, 0}))) == "-6 0 -1");
    }
    CHECK(unary(Op::Neg, u8, {1, 0, 200}) == "255 0 56");
    CHECK(unary(Op::Neg, u64, {1}) == "18446744073709551615");
    CHECK(unary(Op::Abs, u16, {65535}) == "65535");
    CHECK(unary(Op::Sign, u32, {7, 0}) == "1 0");
    CHECK(unary(Op::Not, u8, {0, 240}) == "255 15");
    CHECK(unary(Op::Not, boolean, {0, 1}) == "1 0");
}

TEST_CASE("arithmetic of integers wraps in every width") {
    for (const DType dt : kSigned) {
        CAPTURE(name(dt));
        const std::int64_t low = info(dt).min, high = info(dt).max;
        const auto apply = [&](Op op, std::int64_t a, std::int64_t b) {
            return ref(ir::binary(op, int_vec(dt, {a}), int_vec(dt, {b})));
        };
        CHECK(apply(Op::Add, high, 1) == std::to_string(low));
        CHECK(apply(Op::Sub, low, 1) == std::to_string(high));
        CHECK(apply(Op::Mul, low, -1) == std::to_string(low));
        CHECK(apply(Op::Mul, high, 2) == "-2");
    }
    CHECK(binary(Op::Add, u8, {255, 10}, {1, 20}) == "0 30");
    CHECK(binary(Op::Sub, u16, {0}, {1}) == "65535");
    CHECK(binary(Op::Mul, u16, {65535}, {65535}) == "1");
    CHECK(binary(Op::Mul, u32, {65536}, {65537}) == "65536");
    CHECK(ref(ir::binary(Op::Add, int_vec(u64, {-1}), int_vec(u64, {2}))) == "1");
}

TEST_CASE("integer division and remainder floor, and division by zero has its documented result") {
    for (const DType dt : kSigned) {
        CAPTURE(name(dt));
        const std::int64_t low = info(dt).min;
        const ir::UOp a = int_vec(dt, {7, -7, 7, -7, 6, -6, 5, -5, 0, low, low});
        const ir::UOp b = int_vec(dt, {2, 2, -2, -2, 3, -3, 0, 0, 0, -1, 1});
        CHECK(ref(ir::binary(Op::IDiv, a, b)) ==
              "3 -4 -4 3 2 2 0 0 0 " + std::to_string(low) + " " + std::to_string(low));
        CHECK(ref(ir::binary(Op::Mod, a, b)) == "1 1 -1 -1 0 0 5 -5 0 0 0");
    }
    for (const DType dt : kUnsigned) {
        CAPTURE(name(dt));
        CHECK(binary(Op::IDiv, dt, {7, 200, 5}, {2, 100, 0}) == "3 2 0");
        CHECK(binary(Op::Mod, dt, {7, 200, 5}, {2, 99, 0}) == "1 2 5");
    }
    CHECK(ref(ir::binary(Op::IDiv, int_vec(u64, {-1}), int_vec(u64, {2}))) ==
          "9223372036854775807");
}

TEST_CASE("shifts outside the width give 0, or -1 for negative values shifted right") {
    for (const DType dt : kInts) {
        CAPTURE(name(dt));
        const auto width = static_cast<double>(size_of(dt) * 8);
        CHECK(binary(Op::Shl, dt, {1, 3, 1, 1}, {0, 2, width, width + 1}) == "1 12 0 0");
        CHECK(binary(Op::Shr, dt, {12, 100, 100, 100}, {2, 0, width, width + 1}) == "3 100 0 0");
    }
    for (const DType dt : kSigned) {
        CAPTURE(name(dt));
        const auto width = static_cast<double>(size_of(dt) * 8);
        CHECK(binary(Op::Shl, dt, {1, -1, 1}, {-1, 1, width - 1}) ==
              "0 -2 " + std::to_string(info(dt).min));
        CHECK(binary(Op::Shr, dt, {-8, -1, -8, 8, -8}, {1, 5, width, -1, -1}) == "-4 -1 -1 0 -1");
    }
}

TEST_CASE("bitwise and logical functions") {
    for (const DType dt : kInts) {
        CAPTURE(name(dt));
        CHECK(binary(Op::And, dt, {12, 7}, {10, 0}) == "8 0");
        CHECK(binary(Op::Or, dt, {12, 7}, {10, 0}) == "14 7");
        CHECK(binary(Op::Xor, dt, {12, 7}, {10, 7}) == "6 0");
    }
    CHECK(binary(Op::And, boolean, {0, 0, 1, 1}, {0, 1, 0, 1}) == "0 0 0 1");
    CHECK(binary(Op::Or, boolean, {0, 0, 1, 1}, {0, 1, 0, 1}) == "0 1 1 1");
    CHECK(binary(Op::Xor, boolean, {0, 0, 1, 1}, {0, 1, 0, 1}) == "0 1 1 0");
}

TEST_CASE("arithmetic of floats follows IEEE in every float type") {
    for (const DType dt : kFloats) {
        CAPTURE(name(dt));
        CHECK(binary(Op::Add, dt, {1, kInf, kInf, kNaN, -0.0}, {2, 1, -kInf, 1, -0.0}) ==
              text({3, kInf, kNaN, kNaN, -0.0}));
        CHECK(binary(Op::Sub, dt, {1, kInf, 0, kNaN}, {2, kInf, 0, 1}) ==
              text({-1, kNaN, 0, kNaN}));
        CHECK(binary(Op::Mul, dt, {1.5, kInf, kNaN, -0.0}, {2, 0, 0, 5}) ==
              text({3, kNaN, kNaN, -0.0}));
        CHECK(binary(Op::Div, dt, {1, 1, -1, 0, kInf, 7}, {4, 0, 0, 0, kInf, -kInf}) ==
              text({0.25, kInf, -kInf, kNaN, kNaN, -0.0}));
        CHECK(binary(Op::Pow, dt, {2, 2, -2, -2, 0, 0, kNaN, 1, kInf},
                     {3, -1, 3, 0.5, -1, 0, 0, kNaN, -1}) ==
              text({8, 0.5, -8, kNaN, kInf, 1, 1, 1, 0}));
        CHECK(binary(Op::Atan2, dt, {0, -0.0, kNaN, 0}, {1, 1, 1, kInf}) ==
              text({0, -0.0, kNaN, 0}));
    }
}

TEST_CASE("16-bit floats round after every op") {
    // f16: 2048 + 1 is a tie between 2048 and 2050, which goes to the even mantissa.
    CHECK(binary(Op::Add, f16, {2048, 2049}, {1, 2}) == "2048 2050");
    CHECK(binary(Op::Mul, f16, {60000, 6.103515625e-05, 5.9604644775390625e-08}, {2, 0.5, 0.5}) ==
          text({kInf, 3.0517578125e-05, 0}));
    CHECK(binary(Op::Add, bf16, {256, 258}, {1, 1}) == "256 260");
    const ir::UOp x = vec(f16, {2048}), one = vec(f16, {1});
    CHECK(ref(ir::binary(Op::Add, ir::binary(Op::Add, x, one), one)) == "2048");
    CHECK(binary(Op::Add, f32, {16777216, 1}, {1, 0.5}) == "16777216 1.5");
}

TEST_CASE("max and min keep NaN, and order the two zeros") {
    for (const DType dt : kFloats) {
        CAPTURE(name(dt));
        CHECK(binary(Op::Max, dt, {1, kNaN, 1, kNaN, -kInf, -0.0, 0},
                     {2, 1, kNaN, kNaN, -5, 0, -0.0}) == text({2, kNaN, kNaN, kNaN, -5, 0, 0}));
        CHECK(binary(Op::Min, dt, {1, kNaN, 1, kNaN, -kInf, -0.0, 0},
                     {2, 1, kNaN, kNaN, -5, 0, -0.0}) ==
              text({1, kNaN, kNaN, kNaN, -kInf, -0.0, -0.0}));
    }
    for (const DType dt : kInts) {
        CHECK(binary(Op::Max, dt, {1, 5}, {2, 3}) == "2 5");
        CHECK(binary(Op::Min, dt, {1, 5}, {2, 3}) == "1 3");
    }
    CHECK(ref(ir::binary(Op::Max, int_vec(u64, {-1}), int_vec(u64, {1}))) ==
          "18446744073709551615");
    CHECK(binary(Op::Max, boolean, {0, 0, 1}, {0, 1, 1}) == "0 1 1");
    CHECK(binary(Op::Min, boolean, {0, 0, 1}, {0, 1, 1}) == "0 0 1");
}

TEST_CASE("comparisons with NaN are false but for Ne") {
    for (const DType dt : kFloats) {
        CAPTURE(name(dt));
        const std::vector<double> a = {1, 2, 2, kNaN, 1, kNaN, 0, kInf},
                                  b = {2, 1, 2, 1, kNaN, kNaN, -0.0, kInf};
        CHECK(binary(Op::Lt, dt, a, b) == "1 0 0 0 0 0 0 0");
        CHECK(binary(Op::Le, dt, a, b) == "1 0 1 0 0 0 1 1");
        CHECK(binary(Op::Eq, dt, a, b) == "0 0 1 0 0 0 1 1");
        CHECK(binary(Op::Ne, dt, a, b) == "1 1 0 1 1 1 0 0");
    }
    for (const DType dt : kInts) {
        CAPTURE(name(dt));
        CHECK(binary(Op::Lt, dt, {1, 2, 2}, {2, 1, 2}) == "1 0 0");
        CHECK(binary(Op::Le, dt, {1, 2, 2}, {2, 1, 2}) == "1 0 1");
        CHECK(binary(Op::Eq, dt, {1, 2, 2}, {2, 1, 2}) == "0 0 1");
        CHECK(binary(Op::Ne, dt, {1, 2, 2}, {2, 1, 2}) == "1 1 0");
    }
    CHECK(ref(ir::binary(Op::Lt, int_vec(u64, {1}), int_vec(u64, {-1}))) == "1");
    CHECK(ref(ir::binary(Op::Lt, int_vec(i64, {1}), int_vec(i64, {-1}))) == "0");
    CHECK(binary(Op::Lt, boolean, {0, 1}, {1, 1}) == "1 0");
}

TEST_CASE("where picks by condition, in every dtype") {
    const ir::UOp c = vec(boolean, {1, 0, 1});
    for (const DType dt : {boolean, i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64}) {
        CAPTURE(name(dt));
        CHECK(ref(ir::where(c, vec(dt, {1, 1, 0}), vec(dt, {0, 0, 1}))) == "1 0 0");
    }
    CHECK(ref(ir::where(c, vec(f32, {1, 2, kNaN}), vec(f32, {kNaN, 5, 6}))) == "1 5 nan");
}

TEST_CASE("elementwise functions of empty tensors are empty") {
    CHECK(unary(Op::Exp, f32, {}) == "");
    CHECK(binary(Op::Add, i8, {}, {}) == "");
}
