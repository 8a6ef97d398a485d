#include <doctest/doctest.h>

#include <algorithm>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/spec.h>
#include <sinter/ir/uop.h>

namespace sinter::ir {
namespace {

using Ints = std::vector<std::int64_t>;

void check(Level level, Ref root) { check_spec(level, std::span<const Ref>(&root, 1), "test"); }

// Row sums of an 8x16 matrix, as the scheduler would write them, with a few parts to break.
struct RowSums {
    Arena a;
    Ref r = range(a, 0, 8, Role::Loop), c = range(a, 1, 16, Role::Reduce);
    Ref index = a.add(a.mul(r, a.index(16)), c);
    Ref in = param(a, f32, 0), out = param(a, f32, 1);
    Ref element = load(a, in, index, a.truth(true));
    Ref total = a.make(Op::Reduce, f32, {element, c}, {static_cast<std::int64_t>(ReduceKind::Add)});
    Ref sink(Ref value) {
        return a.make(Op::Sink, DType::None, {store(a, out, r, value, a.truth(true))});
    }
    void breaks(Ref root, const char* rule, Level level = Level::Kernel) {
        CHECK_THROWS_WITH_AS(check(level, root), doctest::Contains(rule), InternalError);
    }
};

}  // namespace

TEST_CASE("every op of the tensor level is legal there as its maker makes it") {
    const UOp x = buffer(f32, Ints{4, 6}, 0), y = buffer(f32, Ints{4, 6}, 0);
    const UOp position = iota(i64, Ints{4, 6}, 1), p = binary(Op::Lt, x, y);
    std::vector<UOp> all = {x,
                            position,
                            p,
                            bind(f32, 2.0),
                            constant(f16, 1.5, Ints{3}),
                            where(p, x, y),
                            cast(x, bf16),
                            bitcast(x, i32),
                            reshape(x, Ints{24}),
                            permute(x, Ints{1, 0}),
                            expand(constant(f32, 1, Ints{1, 6}), Ints{4, 6}),
                            pad(x, Ints{1, 0}, Ints{0, 2}, -1),
                            shrink(x, Ints{1, 0}, Ints{3, 6}),
                            flip(x, Ints{1}),
                            ir::stride(x, Ints{2, 3}),
                            window(x, 1, 3, 1, 1),
                            fold(window(x, 1, 3, 1, 1), 1, 6, 1, 1),
                            reduce(ReduceKind::Add, x, Ints{0, 1}),
                            arg_reduce(ReduceKind::Max, x, 1),
                            sort(x, 1, 3, Sorting::Ascending),
                            sort_positions(x, 0, 4, Sorting::Descending),
                            scan(ReduceKind::Add, x, 0),
                            gather(x, position, 1),
                            scatter(ReduceKind::Add, x, position, y, 1),
                            contiguous(x),
                            detach(x),
                            assign(x, y),
                            copy_to(x, 1)};
    for (std::size_t i = 0; i < kOpCount; ++i) {
        const auto op = static_cast<Op>(i);
        if (info(op).kind == OpKind::Unary && op != Op::Cast && op != Op::Bitcast)
            all.push_back(unary(op, op == Op::Not ? position : x));
        if (info(op).kind == OpKind::Binary || info(op).kind == OpKind::Compare) {
            const bool integers = op == Op::IDiv || op == Op::Mod || op == Op::And ||
                                  op == Op::Or || op == Op::Xor || op == Op::Shl || op == Op::Shr;
            all.push_back(integers ? binary(op, position, position) : binary(op, x, y));
        }
    }
    std::vector<Ref> roots;
    for (const UOp& u : all) roots.push_back(u.get());
    CHECK_NOTHROW(check_spec(Level::Tensor, roots, "test"));
}

TEST_CASE("a kernel is legal before and after its ranges are placed, each in its level") {
    RowSums k;
    const Ref before = k.sink(k.total);
    CHECK_NOTHROW(check(Level::Kernel, before));
    k.breaks(before, "a range has its place", Level::Scheduled);

    const Ref rows = range(k.a, 0, 8, Role::Parallel), columns = range(k.a, 1, 16, Role::Vector);
    const Ref element =
        load(k.a, k.in, k.a.add(k.a.mul(rows, k.a.index(16)), columns), k.a.truth(true));
    const Ref total = k.a.make(Op::Reduce, f32, {element, columns}, {0});
    const Ref after =
        k.a.make(Op::Sink, DType::None, {store(k.a, k.out, rows, total, k.a.truth(true))});
    CHECK_NOTHROW(check(Level::Scheduled, after));
    k.breaks(after, "a range is an output's or a reduction's");
}

TEST_CASE("illegal kernels are told with the node, the rule and the pass") {
    RowSums k;
    Arena& a = k.a;
    CHECK_THROWS_WITH_AS(check(Level::Tensor, k.sink(k.total)),
                         doctest::Contains("level tensor: no row"), InternalError);
    k.breaks(k.sink(a.make(Op::Add, f32, {k.total, a.constant(f16, 1)})),
             "Add f32 (Reduce f32 add");
    k.breaks(k.sink(a.make(Op::Add, f32, {k.total, a.constant(f16, 1)})), "after test: ");
    k.breaks(k.sink(a.make(Op::Add, f32, {k.total, a.constant(f16, 1)})), "spec_kernel.cpp:");
    k.breaks(k.sink(a.cast(k.total, f64)), "memory, index, value and mask");
    k.breaks(k.sink(a.make(Op::Reduce, f32, {k.element}, {0})), "a value and the ranges it closes");
    k.breaks(k.sink(a.make(Op::Reduce, f32, {k.element, a.index(3)}, {0})),
             "a value and the ranges it closes");
    k.breaks(k.sink(a.make(Op::Load, f32, {k.in, a.constant(i32, 0), a.truth(true)}, {0})),
             "memory, index and mask");
    k.breaks(k.sink(a.unary(Op::Not, k.total)), "dtypes that the op takes");
    k.breaks(k.sink(a.binary(Op::And, k.total, k.total)), "dtypes that the op takes");
    k.breaks(k.sink(a.make(Op::Fma, f32, {k.total, k.total, k.total})),
             "no row of the spec names this op");
    k.breaks(k.sink(a.cast(a.make(Op::Exp, DType::Index, {k.index}), f32)),
             "dtypes that the op takes");
    const Ref half = load(a, param(a, f16, 2), k.index, a.truth(true));
    k.breaks(k.sink(a.cast(a.make(Op::Reduce, f16, {half, k.c}, {0}), f32)),
             "16-bit floats are carried in f32");
    const Ref again = range(a, 1, 5, Role::Reduce);
    k.breaks(k.sink(a.add(k.total, a.make(Op::Reduce, f32, {a.cast(again, f32), again}, {0}))),
             "its number is taken by");
}

TEST_CASE("every row of a spec knows its own line") {
    for (Level level : {Level::Tensor, Level::Kernel, Level::Scheduled}) {
        std::vector<std::uint_least32_t> lines;
        for (const SpecRow& row : spec(level)) lines.push_back(row.where.line());
        std::sort(lines.begin(), lines.end());
        CHECK(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
    }
}

TEST_CASE("passes check what they establish under SPEC=1") {
    RowSums k;
    const Ref bad = k.sink(k.a.cast(k.total, f64));
    const env::Override on("SPEC", "1");
    CHECK(checks_spec());
    CHECK_THROWS_WITH_AS(establishes(Level::Kernel, bad, "fold constants"),
                         doctest::Contains("after fold constants: "), InternalError);
}

}  // namespace sinter::ir
