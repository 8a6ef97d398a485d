// Bad calls: the message is the user's line, the op, the operands and what is wrong.

#include "support.h"

using namespace sinter;

namespace {
Tensor matrix() { return arange(6).reshape({2, 3}); }
}  // namespace

TEST_CASE("shapes that do not broadcast are named") {
    const Tensor a = zeros({2, 3}), b = zeros({4});
    SINTER_EXPECT_ERROR(ShapeError,
                        "add: shapes [2, 3] and [4] do not broadcast: axis -1 is 3 and 4", a + b);
    SINTER_EXPECT_ERROR(ShapeError,
                        "lt: shapes [2, 3] and [4] do not broadcast: axis -1 is 3 and 4", a < b);
    SINTER_EXPECT_ERROR(ShapeError,
                        "expand: f32[2, 3] cannot expand to [2, 4]: axis 1 is 3, only axes of size "
                        "1 expand",
                        a.expand({2, 4}));
}

TEST_CASE("an error inside a composite op names the op that was called") {
    const Tensor a = zeros({2, 3}), b = zeros({4});
    SINTER_EXPECT_ERROR(ShapeError,
                        "lerp: shapes [4] and [2, 3] do not broadcast: axis -1 is 4 and 3",
                        lerp(a, b, 0.5));
    SINTER_EXPECT_ERROR(ShapeError,
                        "mse_loss: prediction f32[2, 3] and target f32[4] must have the same shape",
                        mse_loss(a, b));
}

TEST_CASE("a call over several lines is named by the line of its operand") {
    std::string message =
        test::message_of<ShapeError>([] { return matmul(zeros({2, 3}), zeros({4, 5})); });
    CHECK(message.find("matmul: inner sizes differ: a is [2, 3] and b is [4, 5]; b needs 3 rows") !=
          std::string::npos);
}

TEST_CASE("wrong axes") {
    const Tensor a = matrix();
    SINTER_EXPECT_ERROR(ShapeError, "sum: axis 2 is outside the 2 axes of i64[2, 3] (-2 to 1)",
                        a.sum(2));
    SINTER_EXPECT_ERROR(ShapeError, "softmax: axis -3 is outside the 2 axes of f32[2, 3] (-2 to 1)",
                        softmax(a.to(f32), -3));
    SINTER_EXPECT_ERROR(ShapeError, "sum: axis -1 is named twice in [1, -1] of i64[2, 3]",
                        a.sum({1, -1}));
    SINTER_EXPECT_ERROR(ShapeError,
                        "cumsum: axis 1 is outside the 0 axes of f32[] (a scalar has none)",
                        cumsum(Tensor(1.f), 1));
    SINTER_EXPECT_ERROR(ShapeError, "permute: needs each of the 2 axes of i64[2, 3] once, got [0]",
                        a.permute({0}));
}

TEST_CASE("sizes that do not fit or overflow") {
    const Tensor a = matrix();
    SINTER_EXPECT_ERROR(ShapeError, "reshape: i64[2, 3] with 6 elements cannot become [4, -1]",
                        a.reshape({4, -1}));
    SINTER_EXPECT_ERROR(ShapeError, "reshape: only one size may be -1: [-1, -1]",
                        a.reshape({-1, -1}));
    SINTER_EXPECT_ERROR(ShapeError,
                        "zeros: sizes overflow: [1099511627776, 1099511627776] has more elements "
                        "than 64 bits count",
                        zeros({std::int64_t{1} << 40, std::int64_t{1} << 40}));
    SINTER_EXPECT_ERROR(ShapeError, "ones: sizes may not be negative: [2, -1]", ones({2, -1}));
    SINTER_EXPECT_ERROR(ShapeError, "Tensor: 3 values do not fill [2, 2], which has 4 elements",
                        Tensor(std::vector<float>{1, 2, 3}, Shape{2, 2}));
    SINTER_EXPECT_ERROR(ShapeError, "Tensor: rows of a nested list must be equally long",
                        Tensor({{1, 2}, {3}}));
    SINTER_EXPECT_ERROR(ShapeError, "item: needs exactly one element, the tensor is i64[2, 3]",
                        a.item<int>());
    const Tensor wide = ones({1}).expand({std::int64_t{1} << 59});
    SINTER_EXPECT_ERROR(ShapeError,
                        "repeat: sizes overflow: f32[576460752303423488] repeated 64 times",
                        repeat(wide, {64}));
}

TEST_CASE("empty reductions without identity") {
    const Tensor nothing = zeros({0, 3});
    SINTER_EXPECT_ERROR(
        ValueError, "max: empty reduction without identity: f32[0, 3] has no elements along [0]",
        nothing.max(0));
    SINTER_EXPECT_ERROR(
        ValueError,
        "argmin: empty reduction without identity: f32[0, 3] has no elements along [0, 1]",
        nothing.argmin());
    test::for_each_device([&] {
        test::expect_shaped(nothing.sum(0), {3}, {0, 0, 0});
        test::expect_shaped(nothing.prod(0), {3}, {1, 1, 1});
        test::expect_shaped(nothing.mean(0), {3}, {test::kNaN, test::kNaN, test::kNaN});
        test::expect_shaped(nothing.max(1), {0}, {});
        test::expect_scalar(nothing.any(), 0);
        test::expect_scalar(nothing.all(), 1);
    });
}

TEST_CASE("dtypes an op does not take") {
    const Tensor truth({true, false}), x({1.f, 2.f});
    SINTER_EXPECT_ERROR(DTypeError,
                        "sub: bool minus bool is not defined: use logical_xor or cast first",
                        truth - truth);
    SINTER_EXPECT_ERROR(DTypeError, "bitwise_and: takes integers or bool, got f32[2]", x & 1);
    SINTER_EXPECT_ERROR(DTypeError, "neg: is not defined for bool: cast first", -truth);
    SINTER_EXPECT_ERROR(DTypeError, "bitcast: elements of f32[2] and of i64 differ in size",
                        bitcast(x, i64));
    SINTER_EXPECT_ERROR(DTypeError, "one_hot: takes integers, got f32[2]", one_hot(x, 3));
    Tensor whole({1, 2});
    SINTER_EXPECT_ERROR(DTypeError,
                        "operator/=: the result is f32, which a tensor of dtype i32 cannot keep",
                        whole /= 2);
}

TEST_CASE("indices outside their bound") {
    const Tensor a = matrix();
    SINTER_EXPECT_ERROR(
        IndexError, "operator[]: index 3 is out of range for axis 1 of i64[2, 3] with 3 elements",
        (a[{0, 3}]));
    SINTER_EXPECT_ERROR(
        IndexError, "operator[]: index -3 is out of range for axis 0 of i64[2, 3] with 2 elements",
        a[-3]);
    SINTER_EXPECT_ERROR(IndexError, "operator[]: too many indices: 3 for i64[2, 3]",
                        (a[{0, 0, 0}]));
    SINTER_EXPECT_ERROR(ShapeError, "operator[]: only one ellipsis may stand in an index",
                        (a[{ellipsis, ellipsis}]));
    SINTER_EXPECT_ERROR(ValueError, "operator[]: the step of a slice may not be 0",
                        a[slice(none, none, 0)]);
    SINTER_EXPECT_ERROR(DTypeError,
                        "operator[]: an index must be integers or a bool mask, got f32[1]",
                        a[Tensor({0.f})]);
    SINTER_EXPECT_ERROR(IndexError,
                        "narrow: start 1 and length 3 leave the axis of 3 elements (axis 1 of "
                        "i64[2, 3])",
                        a.narrow(1, 1, 3));
}

TEST_CASE("an index out of range is reported where the values are the same at every index") {
    test::for_each_device([] {
        const Tensor far({0, 5}), one = Tensor({1.f}).contiguous(), row = Tensor({{1.f, 2.f}});
        const auto fails = [](const Tensor& t) {
            CHECK_THROWS_AS((void)t.contiguous().realize(), IndexError);
        };
        fails(gather(zeros({3}), 0, far));
        fails(gather(ones({3}, DType::Bool), 0, far));
        fails(gather(one, 0, far));               // an axis of one element
        fails(gather(expand(one, {3}), 0, far));  // an expanded axis
        fails(index_select(row.contiguous(), 0, Tensor({-2})));
        fails(pad(gather(zeros({3}), 0, far), {1, 1}));
        fails(sum(gather(zeros({3}), 0, far)));
        fails(cross_entropy(zeros({2, 3}), Tensor({0, 3})));
        fails(scatter(one, 0, far, Tensor({2.f, 3.f})));
        fails(scatter_add(row.contiguous(), 0, Tensor({{1, 0}}), Tensor({{2.f, 3.f}})));
        fails(scatter_add(zeros({0}), 0, Tensor({0}), Tensor({1.f})));
        CHECK(gather(zeros({3}), 0, Tensor({0, 2})).to_vector<float>() == std::vector<float>{0, 0});
        CHECK(scatter_add(one, 0, Tensor({0, 0}), Tensor({2.f, 3.f})).item<float>() == 6);
    });
}

TEST_CASE("indices that are computed are checked where there are elements alone") {
    // 19 elements leave lanes of a vector over: what those would read is no index.
    test::for_each_device([] {
        const Tensor values = (arange(7) * 10).contiguous();
        const Tensor numbers = (arange(19) % 7 + 100).contiguous();
        const Tensor picked = gather(values, 0, numbers - 100);
        CHECK(picked.to_vector<std::int64_t>() ==
              ((arange(19) % 7) * 10).to_vector<std::int64_t>());
    });
}

TEST_CASE("an index that is out of range when the graph runs names the bound") {
    test::for_each_device([] {
        const Tensor a = matrix().to(f32).contiguous();
        const Tensor far = index_select(a, 1, Tensor({0, 5}));
        const std::string message =
            test::message_of<IndexError>([&] { (void)far.to_vector<float>(); });
        CHECK(message.find("errors_test.cpp") != std::string::npos);
        CHECK(message.find("5") != std::string::npos);
        CHECK(message.find("3") != std::string::npos);
        const Tensor low = index_select(a, 1, Tensor({-4}));
        CHECK_THROWS_AS((void)low.to_vector<float>(), IndexError);
        Tensor wrong = scatter_add(a, 1, Tensor({{3}, {0}}), 1);
        CHECK_THROWS_AS(wrong.realize(), IndexError);
        // Two index tensors: an index outside its own axis does not name another row's element.
        const Tensor pair = a[{Tensor({0}), Tensor({3})}];
        CHECK_THROWS_AS((void)pair.to_vector<float>(), IndexError);
    });
}

TEST_CASE("tensors on different devices, and devices that are none") {
    const Tensor a = Tensor({1.f}).to(Device("CPU")), b = Tensor({1.f}).to(Device("REF"));
    const std::string message = test::message_of<DeviceError>([&] { return a + b; });
    CHECK(message.find("add: operands are on different devices, CPU and REF") != std::string::npos);
    const std::string unknown = test::message_of<DeviceError>([] { return Device("TPU"); });
    CHECK(unknown.find("TPU") != std::string::npos);
    CHECK(unknown.find("REF") != std::string::npos);
}

TEST_CASE("a tensor without a value") {
    const Tensor nothing;
    CHECK(!nothing.defined());
    SINTER_EXPECT_ERROR(ValueError, "exp: this Tensor has no value yet: assign one first",
                        exp(nothing));
    SINTER_EXPECT_ERROR(ValueError, "to_vector: this Tensor has no value yet: assign one first",
                        nothing.to_vector<float>());
}
