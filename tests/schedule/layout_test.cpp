// How values lie that only kernels see, and what that does to the kernels around them.

#include <sinter/ir/uop.h>

#include <algorithm>
#include <string>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::Shape;
using ir::UOp;
using schedule::Schedule;

namespace {

UOp mul(const UOp& a, const UOp& b) { return ir::binary(Op::Mul, a, b); }

// A 1×1 convolution of images [n, c, h, w] with weights [k, c].
UOp mixed(const UOp& x, std::int64_t channels, unsigned seed) {
    const std::int64_t n = x->shape()[0], c = x->shape()[1], h = x->shape()[2], w = x->shape()[3];
    const Shape all{n, channels, c, h, w};
    const UOp weights = data(f32, {channels, c}, seed);
    const UOp sums =
        row_sum(mul(ir::expand(ir::reshape(x, Shape{n, 1, c, h, w}), all),
                    ir::expand(ir::reshape(weights, Shape{1, channels, c, 1, 1}), all)),
                2);
    return scaled(ir::reshape(sums, Shape{n, channels, h, w}), 0.1);
}

bool has_kernel(const Schedule& s, const std::string& name) {
    return std::ranges::any_of(s.kernels,
                               [&](const schedule::Kernel& k) { return k.name == name; });
}

UOp images(std::int64_t side) { return data(f32, {3, 8, side, side}); }

}  // namespace

TEST_CASE("products of the channels of small images are one product of all images") {
    UOp x = relu(mixed(images(5), 12, 1));
    const UOp kept = x;
    x = relu(mixed(x, 16, 2));
    x = ir::binary(Op::Add, kept, mixed(x, 12, 3));  // and what is added to them lies alike
    const UOp result = mixed(x, 6, 4);
    const Schedule s = schedule_of({result});
    CHECK_MESSAGE(has_kernel(s, "r_16_75_12_add"), text(s));
    CHECK_MESSAGE(has_kernel(s, "r_12_75_16_add"), text(s));
    CHECK_MESSAGE(has_kernel(s, "r_3_6_25_12_add"), text(s));  // results are row-major
    const std::string wrong = mismatch({result});
    CHECK_MESSAGE(wrong.empty(), wrong);
}

TEST_CASE("images of many pixels lie one after the other") {
    const UOp result = mixed(relu(mixed(relu(mixed(images(17), 12, 1)), 16, 2)), 6, 3);
    CHECK(has_kernel(schedule_of({result}), "r_3_16_289_12_add"));
}

TEST_CASE("images that a result or an input shares a product with lie one after the other") {
    const UOp first = relu(mixed(images(5), 12, 1)), second = relu(mixed(first, 16, 2));
    CHECK(has_kernel(schedule_of({second}), "r_3_16_25_12_add"));
    const UOp added = ir::binary(Op::Add, mixed(first, 8, 3), images(5));
    CHECK(has_kernel(schedule_of({mixed(relu(added), 6, 4)}), "r_3_8_25_12_add"));
}

TEST_CASE("what is summed down as well as along is right, however it lies") {
    const UOp x = relu(mixed(relu(mixed(images(4), 12, 1)), 16, 2));
    const UOp mean = scaled(row_sum(row_sum(row_sum(x, 3), 2), 0), 1.0 / 48);  // a channel's
    const UOp y = mixed(ir::binary(Op::Sub, x, spread(mean, x)), 12, 3);
    const std::string wrong = mismatch({mixed(relu(y), 6, 4), row_sum(y, 1)});
    CHECK_MESSAGE(wrong.empty(), wrong);
}
