#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_scalar;
using test::for_each_device;

TEST_CASE("regression losses") {
    for_each_device([] {
        const Tensor p({1.f, 2.f, 5.f}), t({1.f, 1.5f, 2.f});
        expect_scalar(mse_loss(p, t), 9.25 / 3);
        expect_scalar(mse_loss(p, t, Reduction::Sum), 9.25);
        expect(l1_loss(p, t, Reduction::None), {0, 0.5, 3});
        expect(smooth_l1_loss(p, t, 1, Reduction::None), {0, 0.125, 2.5});
        expect(huber_loss(p, t, 2, Reduction::None), {0, 0.125, 4});
    });
}

TEST_CASE("cross-entropy of classes and of probabilities") {
    for_each_device([] {
        const Tensor logits({{1.f, 2.f, 3.f}, {1.f, 0.f, -1.f}});
        const double z = std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0));
        const double a = z - 3, b = z - 3;  // the second row is the first, shifted and reversed
        expect_scalar(cross_entropy(logits, Tensor({2, 0})), (a + b) / 2, 8);
        expect(cross_entropy(logits, Tensor({0, 0}), {.reduction = Reduction::None}), {z - 1, b},
               8);
        expect_scalar(cross_entropy(logits, Tensor({2, -100})), a, 8);
        expect_scalar(cross_entropy(logits, Tensor({2, 1}), {.ignore_index = 1}), a, 8);
        expect_scalar(cross_entropy(logits, Tensor({2, -100}), {.label_smoothing = 0.3}),
                      0.7 * a + 0.1 * (a + (z - 2) + (z - 1)), 8);
        const Tensor soft({{0.f, 0.f, 1.f}, {1.f, 0.f, 0.f}});
        expect_scalar(cross_entropy(logits, soft), (a + b) / 2, 8);
        expect_scalar(nll_loss(log_softmax(logits, 1), Tensor({2, 0})), (a + b) / 2, 8);
        const Tensor image = logits.reshape({2, 3, 1, 1});
        expect_scalar(cross_entropy(image, Tensor({{{2}}, {{0}}})), (a + b) / 2, 8);
        expect_scalar(cross_entropy(logits[0], Tensor(2)), a, 8);
    });
    SINTER_EXPECT_ERROR(ShapeError,
                        "cross_entropy: scores are f32[2, 3] with classes along axis 1; targets "
                        "must be [2], got i32[3]",
                        cross_entropy(zeros({2, 3}), Tensor({0, 1, 2})));
    for_each_device([] {
        const Tensor logits({{1.f, 2.f, 3.f}, {1.f, 0.f, -1.f}});
        const Tensor far = cross_entropy(logits, Tensor({0, 3}));
        CHECK_THROWS_AS((void)far.item<float>(), IndexError);
    });
}

TEST_CASE("binary cross-entropy neither overflows nor takes the logarithm of 0") {
    for_each_device([] {
        const Tensor t({0.f, 1.f, 1.f});
        expect(bce_with_logits(Tensor({-1000.f, 1000.f, -1000.f}), t, Reduction::None),
               {0, 0, 1000});
        expect(bce_with_logits(Tensor({0.f, 2.f, -1.f}), t, Reduction::None),
               {std::log(2.0), std::log1p(std::exp(-2.0)), std::log1p(std::exp(1.0))}, 8);
        expect(bce(Tensor({0.f, 0.25f, 0.f}), t, Reduction::None), {0, std::log(4.0), 100}, 8);
    });
}
