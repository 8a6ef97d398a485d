// The schedule vocabulary: every step alone gives the right numbers, reads back from its text, and
// is refused where it would not.

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>

#include "run.h"

using namespace sinter;
using namespace sinter::ir;
using codegen::Schedule;
using sinter::testing::CompiledKernel;

namespace {

constexpr std::int64_t kRows = 37, kColumns = 53, kDepth = 29;

// Small integers: sums are exact in any order.
std::vector<float> numbers(std::int64_t n, std::int64_t seed) {
    std::vector<float> v;
    for (std::int64_t i = 0; i < n; ++i)
        v.push_back(static_cast<float>((i * 7 + seed * 5 + i * i % 11) % 13 - 6));
    return v;
}

// A kernel of two operands and one result, and what that must be.
struct Case {
    std::string name;
    Ref sink;
    std::vector<float> x, y, want;
};

Ref at(Arena& a, Ref row, std::int64_t width, Ref column) {
    return a.add(a.mul(row, a.index(width)), column);
}

// out[i, k] = sum over j of x[i, j] y[j, k]
Case product(Arena& a) {
    const Ref i = range(a, 0, kRows, Role::Loop), k = range(a, 1, kColumns, Role::Loop),
              j = range(a, 2, kDepth, Role::Reduce), yes = a.truth(true);
    const Ref x = load(a, param(a, f32, 0), at(a, i, kDepth, j), yes),
              y = load(a, param(a, f32, 1), at(a, j, kColumns, k), yes);
    const std::int64_t add[] = {static_cast<std::int64_t>(ReduceKind::Add)};
    const Ref src[] = {a.mul(x, y), j};
    const Ref sum = a.make(Op::Reduce, f32, src, add);
    Case c{"product",
           a.make(Op::Sink, DType::None,
                  {store(a, param(a, f32, 2), at(a, i, kColumns, k), sum, yes)}),
           numbers(kRows * kDepth, 1),
           numbers(kDepth * kColumns, 2),
           {}};
    for (std::int64_t r = 0; r < kRows; ++r)
        for (std::int64_t q = 0; q < kColumns; ++q) {
            float total = 0;
            for (std::int64_t p = 0; p < kDepth; ++p)
                total += c.x[static_cast<std::size_t>(r * kDepth + p)] *
                         c.y[static_cast<std::size_t>(p * kColumns + q)];
            c.want.push_back(total);
        }
    return c;
}

// out[i, k] = y[i, k] - sum over k of x[i, k]²
Case rows(Arena& a) {
    const Ref i = range(a, 0, kRows, Role::Loop), k = range(a, 1, kColumns, Role::Loop),
              yes = a.truth(true);
    const Ref place = at(a, i, kColumns, k);
    const Ref x = load(a, param(a, f32, 0), place, yes), y = load(a, param(a, f32, 1), place, yes);
    const std::int64_t add[] = {static_cast<std::int64_t>(ReduceKind::Add)};
    const Ref src[] = {a.mul(x, x), k};
    const Ref value = a.binary(Op::Sub, y, a.make(Op::Reduce, f32, src, add));
    Case c{"rows",
           a.make(Op::Sink, DType::None, {store(a, param(a, f32, 2), place, value, yes)}),
           numbers(kRows * kColumns, 1),
           numbers(kRows * kColumns, 2),
           {}};
    for (std::int64_t r = 0; r < kRows; ++r) {
        float total = 0;
        for (std::int64_t q = 0; q < kColumns; ++q)
            total += c.x[static_cast<std::size_t>(r * kColumns + q)] *
                     c.x[static_cast<std::size_t>(r * kColumns + q)];
        for (std::int64_t q = 0; q < kColumns; ++q)
            c.want.push_back(c.y[static_cast<std::size_t>(r * kColumns + q)] - total);
    }
    return c;
}

// out[0] = sum of x[i] y[i]
Case whole(Arena& a) {
    const Ref i = range(a, 0, kRows * kColumns, Role::Reduce), yes = a.truth(true);
    const Ref x = load(a, param(a, f32, 0), i, yes), y = load(a, param(a, f32, 1), i, yes);
    const std::int64_t add[] = {static_cast<std::int64_t>(ReduceKind::Add)};
    const Ref src[] = {a.mul(x, y), i};
    Case c{"whole",
           a.make(Op::Sink, DType::None,
                  {store(a, param(a, f32, 2), a.index(0), a.make(Op::Reduce, f32, src, add), yes)}),
           numbers(kRows * kColumns, 1),
           numbers(kRows * kColumns, 2),
           {0}};
    for (std::size_t p = 0; p < c.x.size(); ++p) c.want[0] += c.x[p] * c.y[p];
    return c;
}

// out[k, i] = x[i, k] + y[k]
Case turned(Arena& a) {
    const Ref i = range(a, 0, kRows, Role::Loop), k = range(a, 1, kColumns, Role::Loop),
              yes = a.truth(true);
    const Ref x = load(a, param(a, f32, 0), at(a, i, kColumns, k), yes),
              y = load(a, param(a, f32, 1), k, yes);
    Case c{"turned",
           a.make(Op::Sink, DType::None,
                  {store(a, param(a, f32, 2), at(a, k, kRows, i), a.add(x, y), yes)}),
           numbers(kRows * kColumns, 1),
           numbers(kColumns, 2),
           {}};
    for (std::int64_t q = 0; q < kColumns; ++q)
        for (std::int64_t r = 0; r < kRows; ++r)
            c.want.push_back(c.x[static_cast<std::size_t>(r * kColumns + q)] +
                             c.y[static_cast<std::size_t>(q)]);
    return c;
}

// out[i, k] = x[i, k] y[i, k]
Case flat(Arena& a) {
    const Ref i = range(a, 0, kRows, Role::Loop), k = range(a, 1, kColumns, Role::Loop),
              yes = a.truth(true);
    const Ref place = at(a, i, kColumns, k);
    Case c{"flat",
           a.make(Op::Sink, DType::None,
                  {store(a, param(a, f32, 2), place,
                         a.mul(load(a, param(a, f32, 0), place, yes),
                               load(a, param(a, f32, 1), place, yes)),
                         yes)}),
           numbers(kRows * kColumns, 1),
           numbers(kRows * kColumns, 2),
           {}};
    for (std::size_t p = 0; p < c.x.size(); ++p) c.want.push_back(c.x[p] * c.y[p]);
    return c;
}

// out[i, k] = the largest x[j, k] of j to i
Case running(Arena& a) {
    const Ref i = range(a, 0, kRows, Role::Loop), k = range(a, 1, kColumns, Role::Loop),
              yes = a.truth(true), place = at(a, i, kColumns, k);
    const std::int64_t most[] = {static_cast<std::int64_t>(ReduceKind::Max)};
    const Ref src[] = {load(a, param(a, f32, 0), place, yes), i};
    Case c{"running",
           a.make(Op::Sink, DType::None,
                  {store(a, param(a, f32, 2), place, a.make(Op::Scan, f32, src, most), yes)}),
           numbers(kRows * kColumns, 1),
           {},
           {}};
    c.want = c.x;
    for (std::size_t p = kColumns; p < c.want.size(); ++p)
        c.want[p] = std::max(c.want[p], c.want[p - kColumns]);
    return c;
}

using Maker = Case (*)(Arena&);

// The text of the program that the schedule makes, when its numbers were right on all targets.
std::string run(Maker make, const std::string& text) {
    CAPTURE(text);
    std::string source;
    for (const char* name : {"native", "avx2", "sse2"}) {
        Arena a;
        Case c = make(a);
        const Schedule schedule = Schedule::parse(text);
        const codegen::Target target = runtime::make_target(name);
        const CompiledKernel kernel(c.sink, target, &schedule);
        // What was done reads back, and does the same again.
        const Schedule again = Schedule::parse(kernel.program.schedule);
        CHECK(codegen::lower(c.sink, "kernel", target, &again).source == kernel.program.source);
        std::vector<float> out(c.want.size() + 1, 7.0f);
        kernel.run({c.x.data(), c.y.data(), out.data()}, {}, 3);
        CHECK(out.back() == 7.0f);
        out.pop_back();
        CHECK(out == c.want);
        if (source.empty()) source = kernel.program.source;
    }
    return source;
}

std::string refusal(Maker make, const std::string& text) {
    Arena a;
    const Case c = make(a);
    try {
        const Schedule schedule = Schedule::parse(text);
        codegen::lower(c.sink, "kernel", runtime::make_target("avx2"), &schedule);
    } catch (const ValueError& error) {
        return error.what();
    }
    return "no error";
}

bool has_text(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a schedule of nothing runs every kernel") {
    for (Maker make : {product, rows, whole, turned}) run(make, "as it is");
}

TEST_CASE("split alone, into parts that divide a range or do not") {
    for (const char* by : {"1", "4", "37", "10"}) {
        const std::string n = by;
        run(product, "split r1 by " + n + " into parallel r3 serial r4");
        run(product, "split r2 by " + n +
                         (n == "37" ? " into serial - serial r4" : " into serial r3 serial r4"));
    }
    run(rows, "split r1 by 60 into serial - serial r4");
}

TEST_CASE("parallel and serial ranges alone, and the order of loops") {
    run(product, "bind r0 to serial");
    run(product, "bind r1 to serial; order r1 r2");
    run(product, "bind r0 to serial; bind r1 to serial; order r1 r0 r2");
    run(product, "bind r0 to serial; bind r1 to serial; order r2 r1 r0");
    run(product, "bind r0 to parallel; bind r1 to parallel; trips r1 r0");
    run(turned, "bind r0 to serial; order r0");
}

TEST_CASE("vectors alone: of results, of a sum, of a row that is read twice") {
    for (const char* lanes : {"2", "8", "16", "64"}) {
        const std::string n = lanes;
        const auto outer = [&](std::int64_t size) {
            return size <= std::stoll(n) ? std::string("-") : std::string("r3");
        };
        run(product, "split r1 by " + n + " into serial " + outer(kColumns) + " vector r4");
        run(product, "split r0 by " + n + " into parallel " + outer(kRows) + " vector r4");
        run(product, "split r2 by " + n + " into serial " + outer(kDepth) + " vector r4");
        run(rows, "split r1 by " + n + " into serial " + outer(kColumns) + " vector r4");
        run(whole, "split r0 by " + n + " into serial r3 vector r4");
    }
    CHECK(has_text(run(product, "split r1 by 8 into serial r3 vector r4"), "<8 x float>"));
}

TEST_CASE("unrolled ranges alone are accumulators in registers") {
    run(product, "split r0 by 4 into parallel r3 unroll r4");
    run(product,
        "split r0 by 6 into parallel r3 unroll r4; split r1 by 5 into serial r5 unroll r6");
    run(product, "split r2 by 3 into serial r3 unroll r4");
    run(rows, "split r1 by 4 into serial r3 unroll r4");
    run(whole, "split r0 by 8 into serial r3 unroll r4");
    run(product,
        "split r0 by 3 into parallel r3 unroll r4; split r1 by 16 into serial r5 loop r6; "
        "split r6 by 8 into unroll r7 vector r8; unroll r7");
}

TEST_CASE("rows from where their lines begin") {
    run(rows, "split r1 by 16 into serial r3 vector r4 lined 2");
    run(rows, "split r1 by 16 into serial r3 vector r4 lined 2; stream 2 from 0");
    run(flat,
        "split r1 by 32 into parallel r3 loop r4 lined 2; split r4 by 16 into unroll r5 "
        "vector r6");
    run(flat,
        "split r0 by 4 into parallel r3 serial r4; split r1 by 16 into serial r5 vector r6 "
        "lined 2");
}

TEST_CASE("fused ranges run as one") {
    run(flat, "fuse r0 with r1");
    run(flat, "kernel: fuse r0 with r1\npart 0: split r0 by 16 into parallel r2 vector r3");
    CHECK(has_text(refusal(turned, "fuse r0 with r1"), "as if they were one"));
}

TEST_CASE("staged operands alone, in every layout") {
    run(product, "stage load 0 over r2");
    run(product, "stage load 1 over r2 r1");
    run(product, "stage load 1 over r1 r2");
    run(product, "stage load 1 over r1 r2 padded 5");
    run(product, "bind r0 to serial; stage load 1 over r2 r1; stage load 1 over r2");
    // a panel of vectors, as products of matrices have it
    run(product,
        "split r1 by 8 into parallel r3 vector r4; split r0 by 4 into serial r5 unroll r6; "
        "stage load 1 over r2 r4; order r5 r2");
    // rows that lie across the vector are turned as they are copied
    run(product,
        "split r0 by 8 into parallel r3 vector r4; turn load 0 over r2 r4 from 0 to 1 by 8; "
        "squares");
    // a copy that goes through its own range, in vectors
    run(product,
        "split r1 by 8 into parallel r3 vector r4; stage load 0 over r2 r0; "
        "copy along r0 as r5; split r5 by 8 into serial r6 loop r7; let r7 be r4");
}

TEST_CASE("a copy goes in any order through what is walked in order after it") {
    const std::string steps = "stage load 0 over r0 r1; copy along r0 as r2; order r2 r1 r0";
    run(running, steps);
    Arena a;
    const Case c = running(a);
    const Schedule schedule = Schedule::parse(steps);
    const codegen::Program program =
        codegen::lower(c.sink, "kernel", runtime::make_target("native"), &schedule);
    CAPTURE(program.schedule);
    CHECK(program.schedule.find("order r2 r1 r0") != std::string::npos);
}

TEST_CASE("values of a row are staged, and computed once") {
    int staged = 0;
    for (int n = 0; n < 24; ++n) {
        const std::string value = "value " + std::to_string(n) + " over r1";
        if (refusal(rows, "stage " + value) != "no error") continue;
        CHECK(has_text(run(rows, "stage " + value), "%thread, i64"));
        run(rows, "split r1 by 8 into serial r3 vector r4; stage load 0 over r3 r4; unroll");
        run(rows, "bind r0 to serial; stage " + value + " padded 3");
        for (int reduce = 0; reduce < 24; ++reduce)
            if (const std::string text =
                    "stage " + value + " while value " + std::to_string(reduce);
                refusal(rows, text) == "no error")
                run(rows, text);
        ++staged;
    }
    CHECK(staged >= 2);  // the square, and the difference
}

TEST_CASE("squares, streaming stores and prefetch alone") {
    run(turned, "squares");
    run(turned,
        "split r1 by 4 into parallel r3 vector r4; split r0 by 4 into parallel r5 unroll r6; "
        "squares");
    CHECK(has_text(run(flat,
                       "kernel: fuse r0 with r1\npart 0: split r0 by 16 into parallel r3 "
                       "vector r4; stream 2 from 0"),
                   "!nontemporal"));
    CHECK(
        has_text(run(rows, "split r1 by 16 into serial r3 vector r4; prefetch"), "llvm.prefetch"));
}

TEST_CASE("a sum is cut into chunks, or a product into blocks of its steps") {
    run(whole, "kernel: chunk r0 by 100");
    run(whole, "kernel: chunk r0 by 512\npart 0: split r2 by 8 into serial r3 vector r4");
    run(product, "kernel: blocks r0:8 r1:16 of r2:10 columns -");
    run(product,
        "kernel: blocks r1:16 of columns r1\npart 0: split r0 by 4 into serial r7 unroll r8");
    run(product, "kernel: blocks of r2:7 columns r0");
    run(product, "kernel: blocks r0:8 of r2:1 columns -");
}

TEST_CASE("a sum of products comes in chunks that are added up, and each in blocks") {
    const Maker even = [](Arena& a) {
        Case c = whole(a);
        return c;
    };
    run(even, "kernel: sums over r0 by 53");
    run(even, "kernel: sums over r0 by 37");
    run(product, "kernel: sums over r2 by 4");
}

namespace {

// The squares of a column's distances from its sum, added up: one sum reads the other.
Case nested_sums(Arena& a) {
    const Ref j = range(a, 0, kColumns, Role::Loop), i = range(a, 1, kRows, Role::Reduce),
              yes = a.truth(true);
    const Ref x = load(a, param(a, f32, 0), at(a, i, kColumns, j), yes);
    const std::int64_t add[] = {static_cast<std::int64_t>(ReduceKind::Add)};
    const Ref inner[] = {x, i};
    const Ref apart = a.binary(Op::Sub, x, a.make(Op::Reduce, f32, inner, add));
    const Ref outer[] = {a.mul(apart, apart), i};
    const Ref sum = a.make(Op::Reduce, f32, outer, add);
    return {"nested sums",
            a.make(Op::Sink, DType::None, {store(a, param(a, f32, 1), j, sum, yes)}),
            {},
            {},
            {}};
}

}  // namespace

TEST_CASE("what would change results is refused, and the step is quoted") {
    const auto why = [](Maker make, const std::string& step, const std::string& part) {
        const std::string text = refusal(make, step);
        CAPTURE(text);
        CHECK(has_text(text, "schedule: "));
        CHECK(has_text(text, part));
    };
    why(product, "bind r2 to parallel", "`bind r2 to parallel`: r2 cannot run in parallel");
    why(product, "split r7 by 4 into serial r3 serial r4", "the kernel has no range r7");
    why(product, "split r0 by 0 into serial r3 serial r4", "parts have 1 to 2^31 - 1 steps");
    why(product, "split r0 by 40 into serial r3 serial r4", "there is one trip");
    why(product, "split r0 by 4 into serial - serial r4", "there are several trips");
    why(product, "split r0 by 4 into serial r1 serial r4", "r1 is another range already");
    why(product, "split r0 by 4 into serial r3 serial r3", "two ranges of one number");
    why(product, "split r0 by 3 into serial r3 vector r4", "a power of two of lanes");
    why(product, "split r0 by 4 into serial r3 vector r4; split r1 by 4 into serial r5 vector r6",
        "r4 is the vector range already");
    why(product, "split r0 by 20 into serial r3 unroll r4; split r1 by 20 into serial r5 unroll r6",
        "cannot be unrolled");
    why(product, "stage load 9 over r0", "no such value");
    why(product, "stage load 0 over r1", "different ranges of its own");
    why(product, "bind r1 to parallel; stage load 1 over r1 r2", "different ranges of its own");
    why(product, "stage load 1 over r1", "not all of the kernel has");
    why(product, "stage load 1 over r1 r2 padded 99999999", "so far apart");
    why(product, "stage load 1 over r1 r2 padded 20000000", "does not fit");
    why(product, "turn load 1 over r1 r2 from 0 to 2 by 4", "as if they were one");
    why(product, "trips r0", "the trips are not the ranges that run in parallel");
    why(product, "let r0 be r1", "different sizes");
    why(product, "copy along r0 as r5", "no copy was staged");
    why(product, "fetch 2", "slot 2 is not read");
    why(product, "stream 0 from 0", "not written, or read as well");
    why(product, "split r0 by 16 into parallel r3 vector r4 lined 2", "has no rows along r0");
    why(product, "split r1 by 8 into parallel r3 vector r4 lined 2", "has no rows along r1");
    why(rows, "stage load 0 over r1; split r1 by 16 into serial r3 vector r4 lined 2", "no rows");
    why(product, "share load 0 rows r0 r0 steps r2 lanes r9:64", "only teams of threads share");
    why(product, "kernel: chunk r2 by 4", "no reduction of the whole");
    why(product, "kernel: blocks r0:99 of columns -", "no blocks of 99");
    why(rows, "kernel: blocks r0:4 of columns -", "not one of sums alone");
    why(nested_sums, "kernel: blocks of r1:4 columns -", "not one of sums alone");
    why(nested_sums, "kernel: sums over r1 by 1", "no sum over r1");
    why(product, "kernel: sums over r2 by 999", "no sum over r2 comes in chunks of 999");
    why(product, "kernel: chunk r2 by 4; chunk r2 by 4", "cut already");
    why(product, "kernel: chain 4 rows", "not of this kind");
    why(product, "kernel: squares", "a step of a part");
    why(product, "as it is\nas it is", "it has 2 parts, the kernel 1");
}

TEST_CASE("steps that cannot be read are quoted, with how they read") {
    const auto message = [](const std::string& text) {
        try {
            Schedule::parse(text);
        } catch (const ValueError& error) {
            return std::string(error.what());
        }
        return std::string("no error");
    };
    CHECK(message("bind r0 4") ==
          "schedule: cannot read the step `bind r0 4`; it reads `bind %r to %o`");
    CHECK(has_text(message("knit r0"), "cannot read the step `knit r0`"));
    CHECK(has_text(message("bind r0 to sofa"), "cannot read"));
    CHECK(has_text(message("bind r99 to serial"), "cannot read"));
    CHECK(has_text(message("bind r0 to serial extra"), "cannot read"));
    CHECK(
        has_text(message("split r0 by 99999999999999999999 into loop r1 loop r2"), "cannot read"));
    CHECK(message("") == "no error");
    CHECK(Schedule::parse("kernel: as it is\npart 0: (a note) bind r0 to serial; ") ==
          Schedule{{}, {{{codegen::StepKind::Bind, {0, 3}}}}});
}

TEST_CASE("every kind of step reads back from its text") {
    const char* texts[] = {"split r0 by 4 into parallel r3 unroll r4",
                           "split r0 by 64 into serial - vector r4",
                           "split r0 by 16 into serial r3 vector r4 lined 2",
                           "divide r0 by 4 into r3 r4",
                           "bind r0 to serial",
                           "fuse r0 with r1",
                           "stage load 1 over r1 r2",
                           "stage value 17 over r1 r2 padded 5",
                           "stage value 17 over r1 while value 3 value 9",
                           "turn load 1 over r1 r2 from 0 to 1 by 16",
                           "copy along r0 as r5",
                           "let r7 be r4",
                           "share load 0 rows r5 r6 steps r12 lanes r13:256",
                           "join r5 r9 as r13",
                           "unroll",
                           "unroll r7",
                           "trips",
                           "trips r3 r7",
                           "order r11 r12",
                           "squares",
                           "stream 2 from 100",
                           "prefetch",
                           "fetch 0 2",
                           "chunk r0 by 100",
                           "sums over r2 by 29",
                           "blocks r0:8 r1:16 of r2:10 columns r1",
                           "blocks of columns -",
                           "chain 12 rows"};
    std::string all;
    for (const char* text : texts) {
        const Schedule one = Schedule::parse(text);
        REQUIRE(one.parts.size() == 1);
        CHECK(to_text(one.parts[0]) == text);
        all += (all.empty() ? "" : "; ") + std::string(text);
    }
    const Schedule schedule = Schedule::parse("kernel: fuse r0 with r1\npart 0: " + all);
    CHECK(Schedule::parse(schedule.text()) == schedule);
}

TEST_CASE("random schedules of a kernel are right, and the same for the same seed") {
    for (Maker make : {product, rows, whole, turned})
        for (int seed = 2; seed < 40; ++seed) {
            CAPTURE(seed);
            const env::Override picked("SCHEDULE", std::to_string(seed));
            Arena a;
            Case c = make(a);
            const codegen::Target target = runtime::make_target("native");
            const CompiledKernel kernel(c.sink, target);
            CAPTURE(kernel.program.schedule);
            CHECK(codegen::lower(c.sink, "kernel", target).source == kernel.program.source);
            std::vector<float> out(c.want.size(), 7.0f);
            kernel.run({c.x.data(), c.y.data(), out.data()}, {}, 2);
            CHECK(out == c.want);
        }
}
