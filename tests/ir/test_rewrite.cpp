#include <doctest/doctest.h>

#include <sstream>
#include <thread>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/print.h>
#include <sinter/ir/simplify.h>

namespace sinter::ir {
namespace {

using namespace pat;

const Pat x = any(0), y = any(1), c0 = constant(2), c1 = constant(3);

Ref value(Arena& a, std::int64_t slot = 0, DType dt = f32) {
    return variable(a, dt, slot, info(dt).min, info(dt).max);
}

}  // namespace

TEST_CASE("a rule matches both orders of a commutative op") {
    const RewriteRules rules = {{x * 1, x}, {(x + c0) + y, y}};
    Arena a;
    const Ref v = value(a), one = a.constant(f32, 1), two = a.constant(f32, 2), w = value(a, 1);
    CHECK(rewrite(a, a.mul(one, v), rules) == v);
    CHECK(rewrite(a, a.mul(v, one), rules) == v);
    CHECK(rewrite(a, a.mul(v, two), rules) == a.mul(v, two));
    for (Ref inner : {a.add(two, v), a.add(v, two)})
        for (Ref outer : {a.add(inner, w), a.add(w, inner)}) CHECK(rewrite(a, outer, rules) == w);
}

TEST_CASE("a capture that stands twice matches one node only") {
    const RewriteRules rules = {{where(x, y, y), y}};
    Arena a;
    const Ref p = value(a, 0, boolean), v = value(a, 1), w = value(a, 2);
    CHECK(rewrite(a, a.where(p, v, v), rules) == v);
    CHECK(rewrite(a, a.where(p, v, w), rules) == a.where(p, v, w));
}

TEST_CASE("rules ask for dtypes and for conditions, and rules of functions may decline") {
    const RewriteRules rules = {
        {(x + x).of(kInts), x * 2},
        {idiv(x, c0), x, [](const Bindings& m) { return m[c0]->arg(0) == 7; }},
        {max(x, y), [](Arena&, Ref l,
                       Ref r) { return l->is(Op::Variable) && r->is(Op::Const) ? l : nullptr; }},
    };
    Arena a;
    const Ref v = value(a), i = value(a, 1, i32);
    CHECK(rewrite(a, a.add(v, v), rules) == a.add(v, v));
    CHECK(rewrite(a, a.add(i, i), rules) == a.mul(i, a.constant(i32, 2)));
    CHECK(rewrite(a, a.idiv(i, a.constant(i32, 7)), rules) == i);
    CHECK(rewrite(a, a.idiv(i, a.constant(i32, 8)), rules)->is(Op::IDiv));
    CHECK(rewrite(a, a.binary(Op::Max, a.constant(i32, 1), i), rules) == i);
    CHECK(rewrite(a, a.binary(Op::Max, i, i), rules)->is(Op::Max));
}

TEST_CASE("rewriting goes on to the fixpoint, sources first or users first") {
    const RewriteRules rules = {{(x + c0) + c1, x + (c0 + c1)},
                                {c0 + c1, [](Arena& a, const Bindings& m) {
                                     return a.constant_bits(i32, m[c0]->arg(0) + m[c1]->arg(0));
                                 }}};
    for (Mode mode : {Mode::BottomUp, Mode::TopDown}) {
        Arena a;
        const Ref v = value(a, 0, i32);
        Ref sum = v;
        for (int i = 1; i <= 10; ++i) sum = a.add(sum, a.constant(i32, i));
        CHECK(rewrite(a, sum, rules, mode) == a.add(v, a.constant(i32, 55)));
    }
}

TEST_CASE("the mode decides whether a rule sees sources as written") {
    const RewriteRules rules = {
        {-(-x), x}, {-x, abs(x), [](const Bindings& m) { return m[x]->is(Op::Variable); }}};
    Arena a;
    const Ref v = value(a);
    const Ref twice = a.unary(Op::Neg, a.unary(Op::Neg, v));
    CHECK(rewrite(a, twice, rules, Mode::TopDown) == v);
    CHECK(rewrite(a, twice, rules, Mode::BottomUp) == a.unary(Op::Neg, a.unary(Op::Abs, v)));
}

TEST_CASE("rules that go in circles are an error that names them") {
    const RewriteRules flip = {{x + y, y - x}, {x - y, x + y}};
    const RewriteRules grow = {{abs(x), abs(sqrt(abs(x)))}};
    for (Mode mode : {Mode::BottomUp, Mode::TopDown}) {
        Arena a;
        const Ref v = value(a), w = value(a, 1);
        CHECK_THROWS_WITH_AS(rewrite(a, a.add(v, w), flip, mode),
                             doctest::Contains("test_rewrite.cpp"), InternalError);
        CHECK_THROWS_WITH_AS(rewrite(a, a.unary(Op::Abs, v), grow, mode),
                             doctest::Contains("Abs(x0)"), InternalError);
    }
}

TEST_CASE("a chain of 300,000 nodes is rewritten, substituted and simplified") {
    const RewriteRules rules = {{x * 1, x}, {-(-x), x}};
    for (Mode mode : {Mode::BottomUp, Mode::TopDown}) {
        Arena a;
        const Ref v = value(a), w = value(a, 1);
        Ref deep = v, expected = w;
        for (int i = 0; i < 100'000; ++i) {
            deep = a.unary(Op::Sqrt, a.unary(Op::Neg, a.unary(Op::Neg, deep)));
            expected = a.unary(Op::Sqrt, expected);
        }
        const std::pair<Ref, Ref> map[] = {{v, w}};
        CHECK(substitute(a, rewrite(a, deep, rules, mode), map) == expected);
        CHECK(simplify(a, substitute(a, deep, map)) == expected);
    }
    // Integer constants along a chain are gathered into one.
    Arena a;
    const Ref v = value(a, 0, i32);
    Ref chain = v;
    for (int i = 0; i < 300'000; ++i) chain = a.add(chain, a.constant(i32, 1));
    CHECK(simplify(a, chain) == a.add(v, a.constant(i32, 300'000)));
    // A long sum of different terms is not collected over and over.
    Ref sum = range(a, 0, 8, Role::Loop);
    for (int i = 0; i < 20'000; ++i) sum = a.add(sum, variable(a, DType::Index, i, 0, 7));
    CHECK(simplify(a, sum)->vmax() == 7 + 20'000 * 7);
}

TEST_CASE("shared nodes are rewritten once") {
    int fired = 0;
    const RewriteRules rules = {{sqrt(x), [&](Arena& a, Ref v) {
                                     ++fired;
                                     return a.unary(Op::Abs, v);
                                 }}};
    Arena a;
    Ref node = a.unary(Op::Sqrt, value(a));
    for (int i = 0; i < 60; ++i) node = a.add(node, node);  // 2^60 paths
    const Ref roots[] = {node, a.unary(Op::Neg, node)};
    rewrite(a, roots, rules);
    CHECK(fired == 1);
}

TEST_CASE("substitution replaces all at once") {
    Arena a;
    const Ref v = value(a), w = value(a, 1);
    const std::pair<Ref, Ref> swap[] = {{v, w}, {w, v}};
    CHECK(substitute(a, a.sub(v, w), swap) == a.sub(w, v));
    const std::pair<Ref, Ref> wrap[] = {{v, a.unary(Op::Neg, v)}};
    CHECK(substitute(a, a.add(v, w), wrap) == a.add(a.unary(Op::Neg, v), w));
}

TEST_CASE("at DEBUG=5 rules are traced with their place, matches and time") {
    const env::Override debug("DEBUG", "5");
    const RewriteRules rules = {{sqrt(x), abs(x)}};
    const auto work = [&] {
        Arena a;
        Ref node = value(a);
        for (int i = 0; i < 100; ++i) node = a.unary(Op::Sqrt, node);
        rewrite(a, node, rules);
    };
    std::thread other(work);
    work();
    other.join();
    std::ostringstream trace;
    print_rule_trace(trace);
    std::istringstream lines(trace.str());
    std::string line, found;
    while (std::getline(lines, line))
        if (line.find("Sqrt(x0) -> Abs(x0)") != std::string::npos) found = line;
    CHECK(found.find("test_rewrite.cpp:") != std::string::npos);
    CHECK(found.find(" 200 ") != std::string::npos);
}

}  // namespace sinter::ir
