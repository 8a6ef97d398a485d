#include <doctest/doctest.h>

#include <sinter/ir/kernel.h>
#include <sinter/ir/print.h>
#include <sinter/ir/uop.h>

namespace sinter::ir {

using Ints = std::vector<std::int64_t>;

TEST_CASE("a kernel as text: one numbered line a node, sources first") {
    Arena a;
    const Ref r = range(a, 0, 8, Role::Loop),
              c = range(a, 1, variable(a, DType::Index, 2, 1, 16), Role::Reduce);
    const Ref x = load(a, param(a, f16, 0), a.add(a.mul(r, a.index(16)), c), a.lt(c, a.index(9)),
                       const_bits(-0.5));
    const Ref sum = a.make(Op::Reduce, f32, {a.cast(x, f32), c}, {0});
    const Ref sink =
        a.make(Op::Sink, DType::None, {store(a, param(a, f32, 1), r, sum, a.truth(true))});
    CHECK(to_text(sink) ==
          "%0 = Param f32 p1\n"
          "%1 = Const index 8\n"
          "%2 = Range index r0 loop %1\n"
          "%3 = Param f16 p0\n"
          "%4 = Const index 16\n"
          "%5 = Mul index %2 %4\n"
          "%6 = Variable index v2 in [1, 16]\n"
          "%7 = Range index r1 reduce %6\n"
          "%8 = Add index %5 %7\n"
          "%9 = Const index 9\n"
          "%10 = Lt bool %7 %9\n"
          "%11 = Load f16 fill=-0.5 %3 %8 %10\n"
          "%12 = Cast f32 %11\n"
          "%13 = Reduce f32 add %12 %7\n"
          "%14 = Const bool true\n"
          "%15 = Store %0 %2 %13 %14\n"
          "%16 = Sink %15\n");
}

TEST_CASE("a tensor graph as text carries shapes and named arguments") {
    const UOp x = constant(f32, 0.1, Ints{4, 6});
    CHECK(describe(x.get()) == "Const f32[4, 6] 0.1");
    CHECK(describe(reduce(ReduceKind::Max, x, Ints{1}).get()) == "Reduce f32[4, 1] max axes=[1]");
    CHECK(describe(permute(x, Ints{1, 0}).get()) == "Permute f32[6, 4] axes=[1, 0]");
    CHECK(describe(pad(x, Ints{1, 0}, Ints{0, 2}, -1).get()) ==
          "Pad f32[5, 8] by=[1, 0, 0, 2] fill=-1");
    CHECK(describe(bind(f64, 3).get()) == "Bind f64");
    CHECK(describe(constant_int(u64, -1).get()) == "Const u64 18446744073709551615");
    CHECK(describe(nullptr) == "none");
}

TEST_CASE("a graph for Graphviz names every node and edge once") {
    Arena a;
    const Ref v = variable(a, i32, 0, 0, 7);
    const Ref roots[] = {a.sub(v, a.constant(i32, 1))};
    CHECK(to_dot(roots, "a \"kernel\"") ==
          "digraph \"a \\\"kernel\\\"\" {\n"
          "  node [shape=box, fontname=monospace];\n"
          "  n0 [label=\"Variable i32 v0 in [0, 7]\"];\n"
          "  n1 [label=\"Const i32 1\"];\n"
          "  n2 [label=\"Sub i32\"];\n"
          "  n0 -> n2 [label=\"0\"];\n"
          "  n1 -> n2 [label=\"1\"];\n"
          "}\n");
}

TEST_CASE("a graph of 300,000 nodes prints") {
    Arena a;
    Ref node = a.constant(f32, 1);
    for (int i = 1; i < 300'000; ++i) node = a.unary(Op::Sqrt, node);
    CHECK(to_text(node).ends_with("%299999 = Sqrt f32 %299998\n"));
}

}  // namespace sinter::ir
