// Symbolic integers: bounds and divisibility, by what the ops compute.
#include <doctest/doctest.h>

#include <random>

#include <sinter/ir/affine.h>
#include <sinter/ir/evaluate.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/print.h>
#include <sinter/ir/simplify.h>

namespace sinter::ir {
namespace {

constexpr DType kIntegers[] = {i8, i16, i32, i64, u8, u16, u32, u64, boolean};
constexpr Op kIntegerOps[] = {Op::Neg,  Op::Not, Op::Abs, Op::Sign, Op::Add, Op::Sub, Op::Mul,
                              Op::IDiv, Op::Mod, Op::Max, Op::Min,  Op::And, Op::Or,  Op::Xor,
                              Op::Shl,  Op::Shr, Op::Lt,  Op::Le,   Op::Eq,  Op::Ne};
constexpr Op kBoolOps[] = {Op::Not, Op::And, Op::Or, Op::Xor, Op::Max,
                           Op::Min, Op::Lt,  Op::Le, Op::Eq,  Op::Ne};

// The largest int64 as a bound of u64 stands for "no bound".
bool within(Ref node, std::int64_t bits) {
    if (node->dtype() != u64) return node->vmin() <= bits && bits <= node->vmax();
    const auto value = static_cast<std::uint64_t>(bits);
    return static_cast<std::uint64_t>(node->vmin()) <= value &&
           (node->vmax() == info(u64).max || value <= static_cast<std::uint64_t>(node->vmax()));
}

struct Random {
    std::mt19937_64 engine{1};
    std::uint64_t operator()(std::uint64_t n) { return engine() % n; }
    // A value of the type: at its ends, near zero, anywhere.
    std::int64_t value(DType dt) {
        if (dt == boolean) return static_cast<std::int64_t>((*this)(2));
        switch ((*this)(3)) {
            case 0:
                return wrap_int(dt, static_cast<std::int64_t>((*this)(9)) - 4);
            case 1:
                return wrap_int(dt, static_cast<std::int64_t>(
                                        static_cast<std::uint64_t>((*this)(2) == 0 ? info(dt).min
                                                                   : dt == u64     ? -1
                                                                                   : info(dt).max) +
                                        (*this)(5) - 2));
            default:
                return wrap_int(dt, static_cast<std::int64_t>(engine()));
        }
    }
};

}  // namespace

TEST_CASE("bounds of integer ops of every dtype hold for what the ops compute") {
    Random random;
    for (DType dt : kIntegers) {
        const std::span<const Op> ops =
            dt == boolean ? std::span<const Op>(kBoolOps) : std::span<const Op>(kIntegerOps);
        for (Op op : ops) {
            for (int round = 0; round < 400; ++round) {
                Arena a;
                // Each operand is a Variable with bounds of its own and a value in them.
                Ref src[2];
                ConstValue values[2];
                for (int s = 0; s < 2; ++s) {
                    std::int64_t x = random.value(dt), y = random.value(dt), v = random.value(dt);
                    if (dt == u64 && (x < 0 || y < 0)) x = 0, y = info(u64).max;
                    if (x > y) std::swap(x, y);
                    if (dt == u64 ? (y != info(u64).max && (v < x || v > y)) || (v >= 0 && v < x)
                                  : v < x || v > y)
                        v = x;
                    src[s] = variable(a, dt, s, x, y);
                    values[s] = {dt, v};
                }
                const auto arity = static_cast<std::size_t>(info(op).arity);
                const DType result = info(op).dtype == DTypeRule::Bool ? boolean : dt;
                const Ref node = a.make(op, result, std::span<const Ref>(src, arity));
                const auto bits = evaluate(op, result, std::span<const ConstValue>(values, arity));
                REQUIRE(bits.has_value());
                INFO(to_text(node), "operands ", values[0].bits, " ", values[1].bits, " give ",
                     *bits, ", bounds ", node->vmin(), " ", node->vmax());
                CHECK(within(node, *bits));
            }
        }
        for (DType to : kIntegers) {
            for (int round = 0; round < 200; ++round) {
                Arena a;
                std::int64_t x = random.value(dt), y = random.value(dt);
                if (dt == u64 && (x < 0 || y < 0)) x = 0, y = info(u64).max;
                if (x > y) std::swap(x, y);
                const Ref node = a.make(Op::Cast, to, {variable(a, dt, 0, x, y)});
                const ConstValue ends[] = {{dt, x}, {dt, y}};
                for (const ConstValue& end : ends) {
                    const auto bits = evaluate(Op::Cast, to, std::span<const ConstValue>(&end, 1));
                    INFO(to_text(node), end.bits, " gives ", *bits, ", bounds ", node->vmin(), " ",
                         node->vmax());
                    CHECK(within(node, *bits));
                }
            }
        }
    }
}

TEST_CASE("an index is a sum of terms in an order of its own") {
    Arena a;
    const Ref i = range(a, 1, 8, Role::Loop), j = range(a, 0, 4, Role::Loop),
              n = variable(a, DType::Index, 3, 1, 9);
    const Ref q = a.idiv(i, a.index(3));
    const Ref x = a.sub(a.mul(a.add(a.mul(i, a.index(6)), a.add(q, a.index(5))), a.index(2)),
                        a.sub(j, a.mul(n, a.index(3))));
    const Affine sum = affine(x);
    CHECK(sum.terms == std::vector<std::pair<Ref, std::int64_t>>{{n, 3}, {j, -1}, {i, 12}, {q, 2}});
    CHECK(sum.constant == 10);
    CHECK(affine(from_affine(a, sum)) == sum);
    CHECK(sum.coefficient(i) == 12);
    CHECK(sum.coefficient(a.index(7)) == 0);
    CHECK(bounds(sum) == Bounds{3 - 3 + 10, 27 + 84 + 4 + 10});
    CHECK(sum - sum == Affine{});
    CHECK(affine(a.sub(x, x)) == Affine{});
    // Equal sums are equal nodes, however they were written.
    CHECK(from_affine(a, affine(a.add(i, j))) == from_affine(a, affine(a.add(j, i))));
}

TEST_CASE("the constant that divides an index is known") {
    Arena a;
    const Ref i = range(a, 0, 8, Role::Loop), n = variable(a, DType::Index, 0, 0, 100);
    CHECK(const_factor(i) == 1);
    CHECK(const_factor(a.mul(i, a.index(6))) == 6);
    CHECK(const_factor(a.add(a.mul(i, a.index(6)), a.mul(n, a.index(-4)))) == 2);
    CHECK(const_factor(a.add(a.mul(i, a.index(6)), a.index(9))) == 3);
    CHECK(const_factor(a.index(-12)) == 12);
    CHECK(const_factor(a.index(0)) == 0);
    // A Variable that counts in eights: its divisibility is a factor.
    const Ref eights = a.mul(n, a.index(8));
    CHECK(simplify(a, a.mod(eights, a.index(4))) == a.index(0));
    CHECK(simplify(a, a.idiv(eights, a.index(4))) == a.mul(n, a.index(2)));
    CHECK(simplify(a, a.binary(Op::Eq, eights, a.index(12))) == a.truth(false));
}

TEST_CASE("a mask tightens what it bounds") {
    Arena a;
    const Ref i = range(a, 0, 8, Role::Loop), j = range(a, 1, 4, Role::Loop);
    const auto c = [&](std::int64_t v) { return a.index(v); };
    CHECK(simplify_given(a, a.mod(i, c(4)), a.lt(i, c(4))) == i);
    CHECK(simplify_given(a, a.idiv(i, c(4)), a.le(c(4), i)) == c(1));
    CHECK(simplify_given(a, i, a.binary(Op::Eq, i, c(3))) == c(3));
    CHECK(simplify_given(a, a.lt(i, c(6)), a.lt(i, c(5))) == a.truth(true));
    CHECK(simplify_given(a, a.land(a.lt(i, c(6)), a.lt(j, c(2))), a.lt(i, c(5))) == a.lt(j, c(2)));
    // As a whole: under i + j >= 3, the padded position i + j - 3 needs no wrapping.
    const Ref padded = a.sub(a.add(i, j), c(3));
    const Ref inside = a.land(a.le(c(3), a.add(i, j)), a.lt(a.add(i, j), c(8)));
    CHECK(simplify_given(a, a.mod(padded, c(5)), inside) == simplify(a, padded));
    // The mask says nothing about other terms, and a range inside a Load is left alone.
    CHECK(simplify_given(a, a.mod(j, c(3)), a.lt(i, c(4))) == a.mod(j, c(3)));
    const Ref loaded =
        a.cast(load(a, param(a, i32, 0), a.mod(i, c(4)), a.truth(true)), DType::Index);
    CHECK(simplify_given(a, loaded, a.lt(i, c(4))) == loaded);
}

TEST_CASE("an index check is not simplified away") {
    Arena a;
    const Ref value = a.cast(load(a, param(a, i64, 0), a.index(0), a.truth(true)), i64);
    const Ref one = a.make(Op::Check, DType::Index, {value}, {1, 0});  // the only legal value is 0
    const auto keeps = [&](Ref root) {
        const Ref after = simplify(a, root);
        for (Ref node : toposort(std::span<const Ref>(&after, 1)))
            if (node->is(Op::Check)) return true;
        return false;
    };
    CHECK(keeps(a.add(one, range(a, 0, 4, Role::Loop))));
    CHECK(keeps(a.mul(one, a.index(16))));
    CHECK(keeps(a.mul(one, a.index(0))));
    CHECK(keeps(a.idiv(a.make(Op::Check, DType::Index, {value}, {8, 0}), a.index(8))));
    CHECK(keeps(a.mod(one, a.index(1))));
    CHECK(keeps(a.mod(a.mul(one, a.index(4)), a.index(4))));
    CHECK(keeps(a.lt(one, a.index(1))));
    CHECK(keeps(a.binary(Op::Max, one, a.index(5))));
}

}  // namespace sinter::ir
