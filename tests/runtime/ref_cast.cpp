// REF's casts: what each pair of kinds does at the edges.

#include "ref_support.h"

using namespace sinter;
using namespace sinter::test;

namespace {
std::string cast(DType from, const std::vector<double>& x, DType to) {
    return ref(ir::cast(vec(from, x), to));
}
}  // namespace

TEST_CASE("casts from floats to integers truncate and saturate, and NaN gives 0") {
    for (const DType from : kFloats)
        for (const DType to : kSigned) {
            CAPTURE(name(from));
            CAPTURE(name(to));
            const std::string low = std::to_string(info(to).min),
                              high = std::to_string(info(to).max);
            CHECK(cast(from, {1.75, -1.75, -0.5, kInf, -kInf, kNaN}, to) ==
                  "1 -1 0 " + high + " " + low + " 0");
        }
    for (const DType from : kFloats)
        for (const DType to : kUnsigned) {
            CAPTURE(name(from));
            CAPTURE(name(to));
            const std::string high =
                to == u64 ? "18446744073709551615" : std::to_string(info(to).max);
            CHECK(cast(from, {1.75, -0.5, -3, kInf, -kInf, kNaN}, to) == "1 0 0 " + high + " 0 0");
        }
    CHECK(cast(f32, {127, 128, -128.9, -129}, i8) == "127 127 -128 -128");
    CHECK(cast(f32, {2147483520.0, 2147483648.0, -2147483648.0, -3e9}, i32) ==
          "2147483520 2147483647 -2147483648 -2147483648");
    CHECK(cast(f64, {2147483646.5, 4294967295.5, 4294967296.0}, u32) ==
          "2147483646 4294967295 4294967295");
    CHECK(cast(f64, {9223372036854774784.0, 9223372036854775808.0, -9223372036854775808.0}, i64) ==
          "9223372036854774784 9223372036854775807 -9223372036854775808");
    CHECK(cast(f64, {18446744073709549568.0, 18446744073709551616.0}, u64) ==
          "18446744073709549568 18446744073709551615");
}

TEST_CASE("casts to bool are != 0, and NaN is true") {
    for (const DType from : kFloats)
        CHECK(cast(from, {0, -0.0, 0.5, kNaN, kInf}, boolean) == "0 0 1 1 1");
    for (const DType from : kInts) CHECK(cast(from, {0, 1, 64}, boolean) == "0 1 1");
    CHECK(ref(ir::cast(int_vec(i64, {std::int64_t{1} << 40}), boolean)) == "1");
}

TEST_CASE("casts from bool give 0 and 1 in every dtype") {
    for (const DType to : {i8, i16, i32, i64, u8, u16, u32, u64, f16, bf16, f32, f64})
        CHECK(cast(boolean, {0, 1}, to) == "0 1");
}

TEST_CASE("casts between integers wrap") {
    CHECK(cast(i32, {257, -1, 128, -129}, i8) == "1 -1 -128 127");
    CHECK(cast(i32, {257, -1}, u8) == "1 255");
    CHECK(cast(i8, {-1, 5}, u64) == "18446744073709551615 5");
    CHECK(ref(ir::cast(int_vec(u64, {-1}), i64)) == "-1");
    CHECK(ref(ir::cast(int_vec(u64, {-1}), i32)) == "-1");
    CHECK(cast(u32, {4294967295.0}, i64) == "4294967295");
    CHECK(cast(u32, {4294967295.0}, i32) == "-1");
}

TEST_CASE("casts between floats round once") {
    CHECK(cast(f32, {65504, 65519, 65520, 1e-8, kNaN, -kInf, -0.0}, f16) ==
          text({65504, 65504, kInf, 0, kNaN, -kInf, -0.0}));
    CHECK(cast(f32, {1.00390625, 1.01171875}, bf16) == "1 1.015625");  // ties to even
    CHECK(cast(f64, {16777217.0, 1e300}, f32) == "16777216 inf");
    CHECK(cast(f16, {0.5, kInf, kNaN}, f64) == "0.5 inf nan");
    CHECK(cast(bf16, {3.140625}, f16) == "3.140625");
    // Just above the tie between 1 and the next f16: by way of f32 it would land on the tie and go
    // down.
    CHECK(cast(f64, {1.0 + 0x1p-11 + 0x1p-40}, f16) == text(1.0 + 0x1p-10));
    CHECK(cast(f64, {1.0 + 0x1p-8 + 0x1p-40}, bf16) == text(1.0 + 0x1p-7));
}

TEST_CASE("casts from integers to floats round once") {
    CHECK(cast(i32, {16777217, -16777219}, f32) == "16777216 -16777220");
    CHECK(ref(ir::cast(int_vec(i64, {9007199254740993, -1}), f64)) == "9007199254740992 -1");
    CHECK(ref(ir::cast(int_vec(u64, {-1}), f32)) == text(0x1p64));
    CHECK(ref(ir::cast(int_vec(i64, {std::numeric_limits<std::int64_t>::min()}), f32)) ==
          text(-0x1p63));
    CHECK(cast(i32, {65519, 65520, 2049}, f16) == "65504 inf 2048");
    // 2^62 + 2^38 is the tie between two f32; one more is above it, though a double cannot tell.
    const std::int64_t tie = (std::int64_t{1} << 62) + (std::int64_t{1} << 38);
    CHECK(ref(ir::cast(int_vec(i64, {tie, tie + 1, -tie - 1}), f32)) ==
          text({0x1p62, 0x1p62 + 0x1p39, -0x1p62 - 0x1p39}));
    const std::int64_t tie16 = (std::int64_t{1} << 62) + (std::int64_t{1} << 54);
    CHECK(ref(ir::cast(int_vec(i64, {tie16, tie16 + 1}), bf16)) == text({0x1p62, 0x1p62 + 0x1p55}));
}

TEST_CASE("bitcasts keep the bits") {
    CHECK(ref(ir::bitcast(vec(f32, {1, -0.0}), u32)) == "1065353216 2147483648");
    CHECK(ref(ir::bitcast(vec(i8, {-1}), u8)) == "255");
    CHECK(ref(ir::bitcast(vec(u16, {15360, 31744}), f16)) == "1 inf");
    CHECK(ref(ir::bitcast(vec(f64, {1}), i64)) == "4607182418800017408");
}
