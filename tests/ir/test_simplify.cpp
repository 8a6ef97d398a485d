#include <doctest/doctest.h>

#include <sinter/ir/affine.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/print.h>
#include <sinter/ir/simplify.h>

namespace sinter::ir {
namespace {

struct Fixture {
    Arena a;
    Ref i = range(a, 0, 8, Role::Loop), j = range(a, 1, 4, Role::Loop),
        k = range(a, 2, 3, Role::Loop);
    Ref c(std::int64_t v) { return a.index(v); }
    Ref flat() { return a.add(a.mul(i, c(4)), j); }  // i*4 + j, below 32
    void same(Ref before, Ref after) {
        const Ref got = simplify(a, before);
        INFO(to_text(before));
        INFO(to_text(got));
        CHECK(got == after);
    }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "div and mod of a sum by a stride give its parts back") {
    same(a.idiv(flat(), c(4)), i);
    same(a.mod(flat(), c(4)), j);
    same(a.idiv(flat(), c(32)), c(0));
    same(a.mod(flat(), c(32)), a.add(a.mul(i, c(4)), j));
    same(a.idiv(flat(), c(8)), a.idiv(i, c(2)));
}

TEST_CASE_FIXTURE(Fixture, "a flattened and unflattened index is itself") {
    const Ref x = flat();
    same(a.add(a.mul(a.idiv(x, c(5)), c(5)), a.mod(x, c(5))), a.add(a.mul(i, c(4)), j));
    const Ref parts = a.add(a.add(a.mul(a.mod(a.idiv(x, c(2)), c(3)), c(2)), a.mod(x, c(2))),
                            a.mul(a.idiv(x, c(6)), c(6)));
    same(parts, a.add(a.mul(i, c(4)), j));
}

TEST_CASE_FIXTURE(Fixture, "comparisons lose common factors and what cannot matter") {
    same(a.lt(flat(), c(32)), a.truth(true));
    same(a.lt(flat(), c(12)), a.lt(i, c(3)));
    same(a.le(c(4), flat()), a.lt(c(0), i));
    same(a.lt(a.idiv(flat(), c(5)), c(3)), a.lt(a.add(a.mul(i, c(4)), j), c(15)));
    same(a.land(a.lt(i, c(3)), a.lt(i, c(5))), a.lt(i, c(3)));
    same(a.unary(Op::Not, a.lt(i, c(3))), a.lt(c(2), i));
}

TEST_CASE_FIXTURE(Fixture, "symbolic sizes divide away") {
    const Ref n = variable(a, DType::Index, 0, 1, 1000);
    const Ref r = range(a, 3, n, Role::Loop);
    const Ref x = a.add(a.mul(i, n), r);
    same(a.idiv(x, n), i);
    same(a.mod(x, n), r);
    same(a.lt(r, n), a.truth(true));
}

}  // namespace sinter::ir
