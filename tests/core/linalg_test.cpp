#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_scalar;
using test::expect_shaped;
using test::for_each_device;

TEST_CASE("matmul of vectors, matrices and batches") {
    for_each_device([] {
        const Tensor a({{1, 2}, {3, 4}, {5, 6}}), b({{1, 0, 2}, {0, 1, 3}}), v({1, 2});
        expect_shaped(matmul(a, b), {3, 3}, {1, 2, 8, 3, 4, 18, 5, 6, 28});
        expect(matmul(a, v), {5, 11, 17});
        expect(matmul(v, b), {1, 2, 8});
        expect_scalar(matmul(v, v), 5);
        expect_scalar(dot(v, v), 5);
        expect_shaped(outer(v, Tensor({3, 4})), {2, 2}, {3, 4, 6, 8});
        CHECK(matmul(a, b).dtype() == i32);
        CHECK(to_string(matmul(ones({4, 1, 2, 3}), ones({5, 3, 6})).shape()) == "[4, 5, 2, 6]");
        CHECK(to_string(matmul(ones({3}), ones({5, 3, 6})).shape()) == "[5, 6]");
        CHECK(to_string(matmul(ones({5, 2, 3}), ones({3})).shape()) == "[5, 2]");
        expect_shaped(matmul(ones({2, 0}), ones({0, 2})), {2, 2}, {0, 0, 0, 0});
        expect_shaped(matmul(ones({2, 3}).mT(), arange(4).reshape({2, 2}).mT()), {3, 2},
                      {1, 5, 1, 5, 1, 5});
    });
    SINTER_EXPECT_ERROR(ShapeError,
                        "matmul: takes vectors, matrices or batches of them, got f32[] and f32[2]; "
                        "scalars multiply with *",
                        matmul(Tensor(1.f), ones({2})));
    SINTER_EXPECT_ERROR(ShapeError,
                        "matmul: shapes [2] and [3] do not broadcast: axis -1 is 2 and 3",
                        matmul(ones({2, 1, 1}), ones({3, 1, 1})));
}

TEST_CASE("16-bit matrix products are summed in f32") {
    for_each_device([] {
        // 4096 + 1 is no f16: summed in f16 the ones would be lost one by one.
        Tensor a = ones({1, 4160}, f16);
        a.set({0, 0}, 2048);
        expect_shaped(matmul(a, ones({4160, 1}, f16)), {1, 1}, {6208}, 0);
    });
}

TEST_CASE("einsum") {
    for_each_device([] {
        const Tensor m = arange(9).reshape({3, 3}), v = arange(3), w = arange(2);
        expect_scalar(einsum("ii", {m}), 12);
        expect(einsum("ii->i", {m}), {0, 4, 8});
        expect_shaped(einsum("ij->ji", {m}), {3, 3}, {0, 3, 6, 1, 4, 7, 2, 5, 8});
        expect_shaped(einsum("i, j -> ij", {v, w}), {3, 2}, {0, 0, 0, 1, 0, 2});
        expect(einsum("ij,j->i", {m, v}), {5, 14, 23});
        expect(einsum("ij,j", {m, v}), {5, 14, 23});
        expect_scalar(einsum("i,ij,j->", {v, m, v}), 60);
        const Tensor a = arange(12).reshape({2, 2, 3}), b = arange(6).reshape({3, 2});
        const Tensor want = matmul(a, b);
        expect_shaped(einsum("bij,jk->bik", {a, b}), {2, 2, 2}, want.to_vector<double>());
        expect_shaped(einsum("...ij,jk", {a, b}), {2, 2, 2}, want.to_vector<double>());
        expect_shaped(einsum("bij,jk,kl->bil", {a, b, b.mT()}), {2, 2, 3},
                      matmul(want, b.mT()).to_vector<double>());
        expect_shaped(einsum("bi,bi->b", {ones({2, 3}), ones({1, 3})}), {2}, {3, 3});
    });
    const Tensor m = ones({3, 3});
    SINTER_EXPECT_ERROR(ShapeError, "einsum: 'j' is 3 and 2 (operand 1 is f32[2, 4])",
                        einsum("ij,jk->ik", {m, ones({2, 4})}));
    SINTER_EXPECT_ERROR(ShapeError, "einsum: operand 0 is f32[3, 3], but \"ijk\" names 3 axes",
                        einsum("ijk->i", {m}));
    SINTER_EXPECT_ERROR(ValueError, "einsum: \"ij,jk->ik\" has 2 operands, got 1",
                        einsum("ij,jk->ik", {m}));
    SINTER_EXPECT_ERROR(ValueError, "einsum: \"ij->iz\": the output's 'z' is in no operand",
                        einsum("ij->iz", {m}));
}
