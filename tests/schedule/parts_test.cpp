// Values that are put together from others are written by the kernels that make their parts.

#include <sinter/ir/uop.h>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::Shape;
using ir::UOp;

namespace {

// Sums, which take a kernel of their own.
UOp sums(const Shape& shape, unsigned seed) {
    Shape terms = shape;
    terms.push_back(20);
    const auto last = static_cast<std::int64_t>(shape.size());
    return ir::reshape(row_sum(relu(data(f32, terms, seed)), last), shape);
}
UOp sums(std::int64_t rows, std::int64_t columns, unsigned seed) {
    return sums({rows, columns}, seed);
}

// `parts` side by side along an axis, as cat makes them.
UOp side_by_side(const std::vector<UOp>& parts, std::size_t axis) {
    Shape whole(parts[0]->shape().begin(), parts[0]->shape().end());
    whole[axis] = 0;
    for (const UOp& p : parts) whole[axis] += p->shape()[axis];
    const UOp position = ir::iota(i64, whole, static_cast<std::int64_t>(axis));
    UOp out;
    std::int64_t begin = 0;
    for (const UOp& p : parts) {
        Shape before(whole.size(), 0), after(whole.size(), 0);
        before[axis] = begin;
        after[axis] = whole[axis] - begin - p->shape()[axis];
        const UOp padded = ir::pad(p, before, after);
        out = out ? ir::where(ir::binary(Op::Lt, position, ir::constant_int(i64, begin, whole)),
                              out, padded)
                  : padded;
        begin += p->shape()[axis];
    }
    return out;
}

void check(const UOp& result, std::size_t launches) {
    const schedule::Schedule s = schedule_of({result});
    CHECK_MESSAGE(s.launches.size() == launches, text(s));
    const std::string wrong = mismatch({result});
    CHECK_MESSAGE(wrong.empty(), wrong);
}

}  // namespace

TEST_CASE("sums side by side need no kernel that copies them") {
    check(side_by_side({sums(7, 16, 1), sums(5, 16, 2)}, 0), 2);
    check(side_by_side({sums(7, 16, 1), sums(7, 48, 2), sums(7, 32, 3)}, 1), 3);
}

TEST_CASE("parts may lie the other way round, and in several axes") {
    const UOp turned = ir::permute(sums(24, 6, 1), std::vector<std::int64_t>{1, 0});
    check(side_by_side({turned, sums(6, 16, 2)}, 1), 2);
    const UOp heads = ir::permute(sums({2, 3, 4, 16}, 3), std::vector<std::int64_t>{0, 2, 1, 3});
    const UOp other = sums({2, 4, 3, 16}, 4);
    check(side_by_side({heads, other}, 1), 2);
    check(ir::reshape(side_by_side({heads, other}, 3), Shape{2 * 4, 3 * 32}), 2);
}

TEST_CASE("the gradient of a value that was cut into pieces is written in pieces") {
    const auto padded = [](const UOp& x, std::int64_t before, std::int64_t after) {
        return ir::pad(x, Shape{0, before}, Shape{0, after});
    };
    const UOp a = padded(sums(9, 16, 1), 0, 32), b = padded(sums(9, 16, 2), 16, 16),
              c = padded(sums(9, 16, 3), 32, 0);
    const UOp gradient = ir::binary(Op::Add, ir::binary(Op::Add, c, b), a);
    check(gradient, 3);
    check(row_sum(relu(gradient), 1), 4);  // and who reads it waits for all of them
}

TEST_CASE("what a product adds up of a row lies in one piece of a value that is put together") {
    // [which, images, heads, rows, numbers], of which the heads' numbers of all three are summed.
    std::vector<UOp> parts;
    for (unsigned i = 0; i < 3; ++i) parts.push_back(sums({1, 2, 4, 24, 16}, i + 1));
    const UOp all = side_by_side(parts, 0);
    const UOp rows = ir::reshape(ir::permute(all, std::vector<std::int64_t>{1, 3, 0, 2, 4}),
                                 Shape{2 * 24, 3 * 4 * 16});
    const UOp result = matmul(rows, data(f32, {3 * 4 * 16, 40}, 9));
    check(result, 4);
    const schedule::Schedule s = schedule_of({result});
    // No division of the sum's range: its numbers follow one another.
    CHECK_MESSAGE(text(s).find("IDiv") == std::string::npos, text(s));
}

TEST_CASE("a value that is put together is copied where its parts cannot be written in place") {
    // Single elements of each line.
    check(side_by_side({ir::reshape(sums(7, 16, 1), Shape{7, 16, 1}),
                        ir::reshape(sums(7, 16, 2), Shape{7, 16, 1})},
                       2),
          3);
    // Some elements are of no part, or of two.
    check(ir::pad(side_by_side({sums(7, 16, 1), sums(7, 16, 2)}, 1), Shape{0, 1}, Shape{0, 0}), 3);
    const UOp a = ir::pad(sums(7, 32, 1), Shape{0, 0}, Shape{0, 16}),
              b = ir::pad(sums(7, 16, 2), Shape{0, 16}, Shape{0, 16});
    check(ir::binary(Op::Add, a, b), 3);
    // More is done than to copy.
    check(scaled(side_by_side({sums(7, 16, 1), sums(7, 16, 2)}, 1), 2), 3);
    // A part that is read elsewhere, or backwards.
    const UOp part = sums(7, 16, 1), result = side_by_side({part, sums(7, 16, 2)}, 0);
    const schedule::Schedule s = schedule_of({result, row_sum(relu(part), 1)});
    CHECK_MESSAGE(s.launches.size() == 4, text(s));
    CHECK(mismatch({result, row_sum(relu(part), 1)}).empty());
    check(side_by_side({ir::flip(part, Shape{0}), sums(7, 16, 2)}, 0), 3);
}
