// What is made of inputs that seldom change is made apart, and kept.

#include <sinter/ir/uop.h>

#include <algorithm>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::Shape;
using ir::UOp;
using schedule::Block;
using schedule::Schedule;

namespace {

std::size_t steady_launches(const Schedule& s) {
    return static_cast<std::size_t>(
        std::ranges::count_if(s.launches, [](const schedule::Launch& l) { return l.steady; }));
}
std::size_t kept_blocks(const Schedule& s) {
    return static_cast<std::size_t>(std::ranges::count_if(
        s.blocks, [](const Block& b) { return b.kind == Block::Kind::Kept; }));
}

void check(const std::vector<UOp>& roots, const Given& given, std::size_t steady,
           std::size_t kept) {
    const Schedule s = schedule_of(roots, given);
    CHECK_MESSAGE(steady_launches(s) == steady, text(s));
    CHECK_MESSAGE(kept_blocks(s) == kept, text(s));
    const std::string wrong = mismatch(roots, given);
    CHECK_MESSAGE(wrong.empty(), wrong);
}

UOp transposed(const UOp& x) { return ir::permute(x, Shape{1, 0}); }
UOp marked(const UOp& x) { return ir::unary(Op::Contiguous, x); }

}  // namespace

TEST_CASE("what is made of steady inputs alone is made by launches of its own, and kept") {
    const UOp w = data(f32, {40, 30}, 1), x = data(f32, {40, 30}, 2);
    const UOp norms = marked(row_sum(relu(w), 1)), scaled_w = marked(scaled(norms, 0.5));
    const UOp y = ir::binary(Op::Mul, x, spread(scaled_w, x));
    check({y}, {.steady = {w}}, 1, 1);
    check({y}, {.steady = {x}}, 0, 0);
    check({y}, {}, 0, 0);
    check({y, row_sum(relu(ir::binary(Op::Mul, norms, norms)), 0)}, {.steady = {w}}, 1, 2);
    check({y, norms}, {.steady = {w}}, 0, 0);  // a result is of its run
    const UOp sum = marked(row_sum(ir::binary(Op::Add, w, x), 1));
    check({ir::binary(Op::Mul, x, spread(sum, x))}, {.steady = {w}}, 0, 0);
}

TEST_CASE("weights of products of a few rows are laid out once") {
    const UOp x = data(f32, {8, 256}, 1), w = data(f32, {256, 320}, 2);
    const UOp back = data(f32, {320, 256}, 3);
    check({matmul(x, w)}, {.steady = {w}}, 1, 1);
    check({matmul(x, w)}, {.steady = {x}}, 0, 0);
    check({matmul(x, transposed(back))}, {.steady = {back}}, 0, 0);  // lies well already
    check({relu(matmul(relu(matmul(x, w)), transposed(w)))}, {.steady = {w}}, 1, 1);
    // Computed weights are computed once.
    check({matmul(x, ir::binary(Op::Mul, w, relu(w)))}, {.steady = {w}}, 1, 1);
    // Few numbers, one row and many rows are left alone.
    const UOp few = data(f32, {16, 32}, 4);
    check({matmul(data(f32, {8, 16}, 5), few)}, {.steady = {few}}, 0, 0);
    check({matmul(data(f32, {1, 256}, 6), w)}, {.steady = {w}}, 0, 0);
    check({matmul(data(f32, {600, 256}, 7), w)}, {.steady = {w}}, 0, 0);
}

TEST_CASE("narrow weights are laid out in panels") {
    const UOp w = data(bf16, {256, 320}, 2), v = data(bf16, {320, 256}, 3);
    const UOp x = data(bf16, {16, 256}, 1);
    const Given given{.steady = {w, v}, .panel_columns = 64};
    check({matmul(x, w)}, given, 1, 1);
    check({matmul(x, transposed(v))}, given, 1, 1);
    check({matmul(x, w)}, {.steady = {w}}, 0, 0);  // no instructions for panels
    const UOp square = data(bf16, {256, 256}, 8);  // one matrix, both ways
    check({matmul(ir::cast(matmul(x, square), bf16), transposed(square))},
          {.steady = {square}, .panel_columns = 64}, 1, 2);
    const UOp odd = data(bf16, {256, 300}, 4);
    check({matmul(x, odd)}, {.steady = {odd}, .panel_columns = 64}, 0, 0);
    const UOp few = data(i8, {8, 256}, 5), many = data(i8, {40, 256}, 6),
              bytes = data(i8, {256, 320}, 7);
    const auto wide = [](const UOp& a) { return ir::cast(a, i32); };
    const Given given_bytes{.steady = {bytes}, .panel_columns = 64};
    check({matmul(wide(few), wide(bytes))}, given_bytes, 1, 1);
    check({matmul(wide(many), wide(bytes))}, given_bytes, 1, 1);
}
