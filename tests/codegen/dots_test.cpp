// Words of narrow numbers: the step alone, what it is refused for, and which code comes of it.

#include <doctest/doctest.h>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>

#include "run.h"

using namespace sinter;
using namespace sinter::ir;
using codegen::Schedule;
using sinter::testing::CompiledKernel;

namespace {

constexpr std::int64_t kRows = 70, kColumns = 90;

// out[i, k] = sum over j of x[i, j] y[j, k], in i32 or f32
Ref product(Arena& a, DType x_type, DType y_type, std::int64_t depth) {
    const Ref i = range(a, 0, kRows, Role::Loop), k = range(a, 1, kColumns, Role::Loop),
              j = range(a, 2, depth, Role::Reduce), yes = a.truth(true);
    const auto at = [&](Ref row, std::int64_t width, Ref column) {
        return a.add(a.mul(row, a.index(width)), column);
    };
    const DType sum = is_float(x_type) ? f32 : i32;
    const Ref x = load(a, param(a, x_type, 0), at(i, depth, j), yes),
              y = load(a, param(a, y_type, 1), at(j, kColumns, k), yes);
    const std::int64_t add[] = {static_cast<std::int64_t>(ReduceKind::Add)};
    const Ref src[] = {a.mul(a.cast(x, sum), a.cast(y, sum)), j};
    const Ref total = a.make(Op::Reduce, sum, src, add);
    return a.make(Op::Sink, DType::None,
                  {store(a, param(a, sum, 2), at(i, kColumns, k), total, yes)});
}

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++n;
    return n;
}

// Of calls, not of the declaration.
std::size_t dots_in(const std::string& source, const std::string& name) {
    return count(source, " = call <16 x " + name);
}
constexpr const char* kPairs = "float> @llvm.x86.avx512bf16.dpbf16ps.512(";
constexpr const char* kQuads = "i32> @llvm.x86.avx512.vpdpbusd.512(";

codegen::Target recent() {
    codegen::Target target;
    target.triple = "x86_64-pc-linux-gnu";
    target.vector_bits = 512;
    target.vector_registers = 32;
    target.fma = target.native_f16 = target.native_bf16 = true;
    target.dots_of_bf16 = target.fast_dots_of_bf16 = target.dots_of_bytes = true;
    return target;
}

std::string source_of(DType x, DType y, std::int64_t depth, const codegen::Target& target) {
    Arena a;
    return codegen::lower(product(a, x, y, depth), "kernel", target).source;
}

template <class X, class Y>
void step_is_right(DType x_type, DType y_type, std::int64_t depth, const std::string& text) {
    CAPTURE(text);
    CAPTURE(depth);
    const codegen::Target target = runtime::make_target("native");
    if (!target.dots_of_bytes) return;
    Arena a;
    const Ref sink = product(a, x_type, y_type, depth);
    const Schedule schedule = Schedule::parse(text);
    const CompiledKernel kernel(sink, target, &schedule);
    CHECK(kernel.program.schedule.find("dots r2 by 4") != std::string::npos);
    const Schedule again = Schedule::parse(kernel.program.schedule);
    CHECK(codegen::lower(sink, "kernel", target, &again).source == kernel.program.source);
    std::vector<X> x(static_cast<std::size_t>(kRows * depth));
    std::vector<Y> y(static_cast<std::size_t>(depth * kColumns));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<X>(i * 37 + i * i % 91);
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = static_cast<Y>(i * 53 + i * i % 71);
    std::vector<std::int32_t> want, out(static_cast<std::size_t>(kRows * kColumns), 77);
    for (std::int64_t r = 0; r < kRows; ++r)
        for (std::int64_t c = 0; c < kColumns; ++c) {
            std::int32_t total = 0;
            for (std::int64_t d = 0; d < depth; ++d)
                total += std::int32_t{x[static_cast<std::size_t>(r * depth + d)]} *
                         std::int32_t{y[static_cast<std::size_t>(d * kColumns + c)]};
            want.push_back(total);
        }
    kernel.run({x.data(), y.data(), out.data()}, {}, 3);
    CHECK(out == want);
}

}  // namespace

TEST_CASE("sums of narrow products alone are made of words, by every schedule of their range") {
    for (const std::int64_t depth : {64, 61, 12}) {
        const std::string dots = "kernel: dots r2 by 4 into r3\npart 0: ";
        for (const char* part :
             {"as it is", "split r1 by 16 into serial r4 vector r5", "bind r0 to serial",
              "split r3 by 2 into serial r4 vector r5", "split r1 by 2 into parallel r4 vector r5",
              "split r0 by 64 into parallel r4 vector r5",
              "split r3 by 2 into serial r4 unroll r5"}) {
            step_is_right<std::int8_t, std::int8_t>(i8, i8, depth, dots + part);
            step_is_right<std::uint8_t, std::int8_t>(u8, i8, depth, dots + part);
            step_is_right<std::int8_t, std::uint8_t>(i8, u8, depth, dots + part);
            step_is_right<std::uint8_t, std::uint8_t>(u8, u8, depth, dots + part);
        }
    }
}

TEST_CASE("sums of bytes go by the machine's tiles, in any parts") {
    if (!runtime::make_target("native").tiles_of_bytes) {
        MESSAGE("this machine has no tiles of bytes (AMX): what multiplies them was not run");
        return;
    }
    for (const std::int64_t depth : {64, 61, 192})
        for (const char* cut : {"contract of", "contract r0:32 r1:48 of", "contract r0:16 of",
                                "contract r0:70 r1:90 of", "contract r0:1 of", "contract r1:1 of",
                                "contract r0:7 r1:11 of", "contract r0:33 r1:17 of r3:16",
                                "contract r0:35 of r3:1", "contract r1:64 of r3:8"}) {
            const std::string text = cut;
            // Blocks divide the sum.
            if (text.find("r3") != std::string::npos && depth == 61) continue;
            const std::string line = "kernel: dots r2 by 4 into r3; " + text;
            step_is_right<std::int8_t, std::int8_t>(i8, i8, depth, line);
            step_is_right<std::uint8_t, std::int8_t>(u8, i8, depth, line);
            step_is_right<std::int8_t, std::uint8_t>(i8, u8, depth, line);
            step_is_right<std::uint8_t, std::uint8_t>(u8, u8, depth, line);
        }
}

TEST_CASE("sums by tiles are the cost model's choice where the machine has them, for each sign") {
    codegen::Target target = recent();
    target.tiles_of_bf16 = target.tiles_of_bytes = true;
    CHECK(count(source_of(bf16, bf16, 256, target), "call void @llvm.x86.tdpbf16ps") >= 4);
    for (const auto& [x, y, name] :
         {std::tuple(i8, i8, "tdpbssd"), std::tuple(i8, u8, "tdpbsud"),
          std::tuple(u8, i8, "tdpbusd"), std::tuple(u8, u8, "tdpbuud")}) {
        const std::string source = source_of(x, y, 256, target);
        CHECK(count(source, std::string("call void @llvm.x86.") + name) >= 4);
        CHECK(dots_in(source, kQuads) == 0);
    }
    for (const char* mode : {"0", "2"}) {
        const env::Override dots("DOTS", mode);
        CHECK(count(source_of(bf16, bf16, 256, target), "tdpbf16ps") == 0);
    }
    // Few rows are read as fast as they are multiplied.
    CHECK(count(source_of(bf16, bf16, 4, target), "tdpbf16ps") == 0);
}

TEST_CASE("tiles of narrow products are instructions for pairs and quads, and nothing else") {
    // At least four rows by two vectors in the loop that does the work.
    CHECK(dots_in(source_of(bf16, bf16, 64, recent()), kPairs) >= 8);
    CHECK(count(source_of(bf16, bf16, 64, recent()), "@llvm.fma") == 0);
    for (const DType x : {i8, u8})
        for (const DType y : {i8, u8}) {
            const std::string source = source_of(x, y, 64, recent());
            CHECK(dots_in(source, kQuads) >= 8);
            CHECK(count(source, " mul <") == 0);
        }
}

TEST_CASE("machines without the instructions, or slower by them, have none") {
    codegen::Target slow = recent();
    slow.fast_dots_of_bf16 = false;
    CHECK(dots_in(source_of(bf16, bf16, 64, slow), kPairs) == 0);
    {
        const env::Override mode("DOTS", "2");
        CHECK(dots_in(source_of(bf16, bf16, 64, slow), kPairs) >= 8);
    }
    const env::Override mode("DOTS", "0");
    CHECK(dots_in(source_of(bf16, bf16, 64, recent()), kPairs) == 0);
    CHECK(dots_in(source_of(i8, i8, 64, recent()), kQuads) == 0);
    for (const char* name : {"sse2", "avx2", "avx512"})
        CHECK(count(source_of(i8, i8, 64, runtime::make_target(name)), "vpdpbusd") == 0);
}

TEST_CASE("words that a sum cannot have are refused") {
    const auto refusal = [](DType x, const std::string& text, const codegen::Target& target) {
        Arena a;
        const Schedule schedule = Schedule::parse(text);
        try {
            codegen::lower(product(a, x, x, 64), "kernel", target, &schedule);
        } catch (const ValueError& error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    const std::string none = "is none of products that this target adds";
    CHECK(refusal(i8, "kernel: dots r2 by 4 into r3", recent()) == "no error");
    CHECK(count(refusal(i8, "kernel: dots r2 by 2 into r3", recent()), none) == 1);
    CHECK(count(refusal(i8, "kernel: dots r1 by 4 into r3", recent()), none) == 1);
    CHECK(count(refusal(f32, "kernel: dots r2 by 2 into r3", recent()), none) == 1);
    CHECK(count(refusal(bf16, "kernel: dots r2 by 2 into r3", runtime::make_target("sse2")),
                none) == 1);
    CHECK(count(refusal(i8, "kernel: dots r2 by 4 into r2", recent()), "in use") == 1);
    const std::string words = "kernel: dots r2 by 4 into r3; contract ";
    CHECK(count(refusal(i8, words + "of", recent()), "has tiles for") == 1);
    codegen::Target tiles = recent();
    tiles.tiles_of_bytes = true;
    CHECK(refusal(i8, words + "r0:16 of r3:8", tiles) == "no error");
    CHECK(count(refusal(i8, words + "of r3:3", tiles), "no blocks of 3") == 1);
    CHECK(count(refusal(i8, words + "r0:71 of", tiles), "no blocks of 71") == 1);
    CHECK(count(refusal(i8, words + "r3:8 of", tiles), "none of the result") == 1);
    CHECK(count(refusal(i8, words + "of r0:8", tiles), "none of the sum") == 1);
    CHECK(count(refusal(i8, "kernel: contract of", tiles), "has tiles for") == 1);
    CHECK(count(refusal(i8, "dots r2 by 4 into r3", recent()), "of the kernel") == 1);
}
