// Convolutions and pools against their definitions as loops.

#include "support.h"

using namespace sinter;
using test::expect;
using test::expect_shaped;
using test::for_each_device;
using test::kNaN;

namespace {

// Numbers with few bits, so that products and sums are exact in any order.
std::vector<double> numbers(std::int64_t n, int seed) {
    std::vector<double> out;
    for (std::int64_t i = 0; i < n; ++i)
        out.push_back(static_cast<double>((i * 7 + seed * 13 + i * i % 5) % 11) - 5);
    return out;
}

Tensor tensor_of(const std::vector<double>& values, const Shape& shape) {
    return Tensor(values, shape).to(f32).contiguous();
}

struct Conv2dCase {
    std::int64_t batch, in, out, h, w, kh, kw, groups;
    std::vector<std::int64_t> stride, padding, dilation;
};

// Calls f(element of the result, of x, of w) for each product of
// out[n, o, y, x] = sum over c, i, j of x[n, c, y s + i d - p, ...] w[o, c, i, j]
template <class F>
void for_each_product(const Conv2dCase& c, const Shape& shape, F&& f) {
    const std::int64_t each = c.in / c.groups;
    std::size_t result = 0;
    for (std::int64_t n = 0; n < c.batch; ++n)
        for (std::int64_t o = 0; o < c.out; ++o)
            for (std::int64_t y = 0; y < shape[2]; ++y)
                for (std::int64_t z = 0; z < shape[3]; ++z, ++result)
                    for (std::int64_t k = 0; k < each; ++k)
                        for (std::int64_t i = 0; i < c.kh; ++i)
                            for (std::int64_t j = 0; j < c.kw; ++j) {
                                const std::int64_t row =
                                    y * c.stride[0] + i * c.dilation[0] - c.padding[0];
                                const std::int64_t column =
                                    z * c.stride[1] + j * c.dilation[1] - c.padding[1];
                                if (row < 0 || row >= c.h || column < 0 || column >= c.w) continue;
                                const std::int64_t channel = o / (c.out / c.groups) * each + k;
                                const auto at = ((n * c.in + channel) * c.h + row) * c.w + column;
                                const auto weight = ((o * each + k) * c.kh + i) * c.kw + j;
                                f(result, static_cast<std::size_t>(at),
                                  static_cast<std::size_t>(weight));
                            }
}

std::vector<double> naive_conv2d(const Conv2dCase& c, const std::vector<double>& x,
                                 const std::vector<double>& w, Shape& shape) {
    const auto size = [&](std::size_t a, std::int64_t n, std::int64_t k) {
        return (n + 2 * c.padding[a] - c.dilation[a] * (k - 1) - 1) / c.stride[a] + 1;
    };
    shape = {c.batch, c.out, size(0, c.h, c.kh), size(1, c.w, c.kw)};
    std::vector<double> out(static_cast<std::size_t>(c.batch * c.out * shape[2] * shape[3]), 0);
    for_each_product(c, shape, [&](std::size_t result, std::size_t at, std::size_t weight) {
        out[result] += x[at] * w[weight];
    });
    return out;
}

// What x and w get of the gradient dy of the result.
void naive_gradients(const Conv2dCase& c, const std::vector<double>& x,
                     const std::vector<double>& w, const std::vector<double>& dy,
                     const Shape& shape, std::vector<double>& dx, std::vector<double>& dw) {
    dx.assign(x.size(), 0);
    dw.assign(w.size(), 0);
    for_each_product(c, shape, [&](std::size_t result, std::size_t at, std::size_t weight) {
        dx[at] += dy[result] * w[weight];
        dw[weight] += dy[result] * x[at];
    });
}

// Larger ones, in whole register tiles and not, whose gradients are convolutions themselves or not.
const std::vector<Conv2dCase> kGradientCases = {
    {2, 16, 32, 8, 8, 3, 3, 1, {1, 1}, {1, 1}, {1, 1}},
    {1, 33, 17, 9, 13, 3, 3, 1, {1, 1}, {0, 2}, {1, 1}},
    {2, 8, 12, 12, 11, 5, 3, 1, {1, 1}, {2, 0}, {1, 2}},
    {1, 12, 8, 16, 16, 3, 3, 2, {1, 1}, {1, 1}, {1, 1}},
    {1, 16, 24, 15, 14, 3, 3, 1, {2, 2}, {1, 1}, {1, 1}},
    {3, 5, 16, 7, 7, 4, 4, 1, {1, 1}, {3, 3}, {1, 1}},
    {1, 16, 48, 4, 7, 4, 7, 1, {1, 1}, {0, 0}, {1, 1}},
    {2, 20, 20, 10, 10, 2, 2, 1, {1, 2}, {0, 0}, {1, 1}},
    {2, 24, 40, 15, 14, 1, 1, 1, {2, 2}, {0, 0}, {1, 1}},
};

const std::vector<Conv2dCase> kCases = {
    {1, 1, 1, 4, 4, 3, 3, 1, {1, 1}, {0, 0}, {1, 1}},
    {2, 3, 4, 5, 6, 3, 2, 1, {1, 1}, {1, 1}, {1, 1}},
    {2, 4, 6, 7, 5, 3, 3, 2, {2, 1}, {1, 0}, {1, 2}},
    {1, 4, 4, 6, 6, 3, 3, 4, {3, 2}, {2, 1}, {2, 1}},
    {3, 2, 5, 3, 4, 1, 1, 1, {1, 1}, {0, 0}, {1, 1}},
    {1, 2, 2, 1, 9, 1, 3, 1, {1, 4}, {0, 2}, {1, 3}},
    {2, 24, 40, 15, 14, 1, 1, 1, {2, 2}, {0, 1}, {1, 1}},
};

}  // namespace

TEST_CASE("conv2d with strides, padding, dilation and groups") {
    for_each_device([] {
        for (const Conv2dCase& c : kCases) {
            const Shape xs{c.batch, c.in, c.h, c.w}, ws{c.out, c.in / c.groups, c.kh, c.kw};
            const auto x = numbers(c.batch * c.in * c.h * c.w, 1);
            const auto w = numbers(c.out * c.in / c.groups * c.kh * c.kw, 2);
            Shape shape;
            const auto want = naive_conv2d(c, x, w, shape);
            const ConvOptions options{c.stride, c.padding, c.dilation, c.groups};
            expect_shaped(conv2d(tensor_of(x, xs), tensor_of(w, ws), {}, options), shape, want, 0);
        }
    });
}

TEST_CASE("gradients of conv2d with strides, padding, dilation and groups") {
    const auto check = [](const Conv2dCase& c) {
        CAPTURE(c.in);
        CAPTURE(c.out);
        CAPTURE(c.kw);
        const Shape xs{c.batch, c.in, c.h, c.w}, ws{c.out, c.in / c.groups, c.kh, c.kw};
        const auto x = numbers(c.batch * c.in * c.h * c.w, 1);
        const auto w = numbers(c.out * c.in / c.groups * c.kh * c.kw, 2);
        const Tensor tx = tensor_of(x, xs).realize(), tw = tensor_of(w, ws).realize();
        const Tensor y = conv2d(tx, tw, {}, {c.stride, c.padding, c.dilation, c.groups});
        const auto dy = numbers(y.numel(), 3);
        const std::vector<Tensor> got = gradient(sum(y * tensor_of(dy, y.shape())), {tx, tw});
        std::vector<double> dx, dw;
        naive_gradients(c, x, w, dy, y.shape(), dx, dw);
        expect_shaped(got[0], xs, dx, 0);
        expect_shaped(got[1], ws, dw, 0);
    };
    for_each_device([&] {
        for (const Conv2dCase& c : kCases) check(c);
        for (const Conv2dCase& c : kGradientCases) check(c);
    });
}

TEST_CASE("conv_transpose2d is the transpose of conv2d") {
    // <conv(x), y> = <x, conv_transpose(y)> for every x and y, all of them small whole numbers.
    for_each_device([] {
        for (const Conv2dCase& c : kCases) {
            const Shape xs{c.batch, c.in, c.h, c.w}, ws{c.out, c.in / c.groups, c.kh, c.kw};
            const Tensor x = tensor_of(numbers(c.batch * c.in * c.h * c.w, 3), xs);
            const Tensor w = tensor_of(numbers(c.out * c.in / c.groups * c.kh * c.kw, 4), ws);
            const Tensor seen =
                conv2d(x, w, {}, {c.stride, c.padding, c.dilation, c.groups}).realize();
            const Tensor y = tensor_of(numbers(seen.numel(), 5), seen.shape());
            std::vector<std::int64_t> rest;  // what a stride leaves over at the end
            for (std::size_t a = 0; a < 2; ++a) {
                const std::int64_t n = a == 0 ? c.h : c.w, k = a == 0 ? c.kh : c.kw;
                rest.push_back((n + 2 * c.padding[a] - c.dilation[a] * (k - 1) - 1) % c.stride[a]);
            }
            const Tensor back = conv_transpose2d(
                y, w, {}, {c.stride, c.padding, PerAxis(rest), c.dilation, c.groups});
            CHECK(to_string(back.shape()) == to_string(xs));
            CHECK(sum(seen * y).item<double>() == sum(x * back).item<double>());
        }
    });
}

TEST_CASE("conv1d, conv3d, bias, same padding and unbatched inputs") {
    for_each_device([] {
        const Tensor line({{1.f, 2.f, 3.f, 4.f}});
        expect_shaped(conv1d(line, ones({1, 1, 2}), Tensor({10.f})), {1, 3}, {13, 15, 17});
        expect_shaped(conv1d(line, ones({1, 1, 3}), {}, {.same = true}), {1, 4}, {3, 6, 9, 7});
        expect_shaped(conv1d(line, ones({1, 1, 2}), {}, {.padding = {1, 0}}), {1, 4}, {1, 3, 5, 7});
        expect_shaped(conv3d(ones({1, 2, 2, 2, 2}), ones({1, 2, 2, 2, 2})), {1, 1, 1, 1, 1}, {16});
        CHECK(conv1d(line.to(f16), ones({1, 1, 2}, f16)).dtype() == f16);
        expect_shaped(conv_transpose1d(line, ones({1, 1, 2}), {}, {.stride = 3}), {1, 11},
                      {1, 1, 0, 2, 2, 0, 3, 3, 0, 4, 4});
    });
    const Tensor x = ones({1, 2, 4, 4});
    SINTER_EXPECT_ERROR(ShapeError,
                        "conv2d: x has 2 channels in 1 groups, so the weight must be [out, 2, "
                        "...], got f32[3, 1, 3, 3]",
                        conv2d(x, ones({3, 1, 3, 3})));
    SINTER_EXPECT_ERROR(ShapeError,
                        "conv2d: the kernel [5, 5] with dilation [1, 1] is larger than the padded "
                        "input [4, 4]",
                        conv2d(x, ones({3, 2, 5, 5})));
    SINTER_EXPECT_ERROR(ValueError, "conv2d: stride must be at least 1, got [0]",
                        conv2d(x, ones({3, 2, 3, 3}), {}, {.stride = 0}));
}

TEST_CASE("max pools") {
    for_each_device([] {
        const Tensor x = arange(16).to(f32).reshape({1, 4, 4}) * -1;
        expect_shaped(max_pool2d(x, 2), {1, 2, 2}, {0, -2, -8, -10});
        expect_shaped(max_pool2d(x, 3, {.stride = 2, .padding = 1}), {1, 2, 2}, {0, -1, -4, -5});
        expect_shaped(max_pool1d(arange(7).reshape({1, 7}), 3, {.stride = 2, .ceil_mode = true}),
                      {1, 3}, {2, 4, 6});
        expect_shaped(max_pool1d(arange(6).reshape({1, 6}), 3, {.stride = 2, .ceil_mode = true}),
                      {1, 3}, {2, 4, 5});
        expect_shaped(max_pool1d(arange(6).reshape({1, 6}), 2, {.stride = 1, .dilation = 3}),
                      {1, 3}, {3, 4, 5});
        expect_shaped(max_pool1d(Tensor({{1.f, NAN, 0.f, 2.f}}), 2), {1, 2}, {kNaN, 2});
        CHECK(max_pool3d(ones({1, 2, 4, 4, 4}), 2).numel() == 16);
    });
}

TEST_CASE("average pools count what PyTorch counts") {
    for_each_device([] {
        const Tensor x = arange(16).to(f32).reshape({1, 4, 4});
        expect_shaped(avg_pool2d(x, 2), {1, 2, 2}, {2.5, 4.5, 10.5, 12.5});
        // nn.AvgPool2d(3, 2, 1, ceil_mode=True): padding counts, the part behind it does not.
        expect_shaped(avg_pool2d(x, 3, {.stride = 2, .padding = 1, .ceil_mode = true}), {1, 3, 3},
                      {10 / 9.0, 24 / 9.0, 10 / 6.0, 51 / 9.0, 90 / 9.0, 33 / 6.0, 25 / 6.0,
                       42 / 6.0, 15 / 4.0});
        expect_shaped(
            avg_pool2d(x, 3,
                       {.stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}),
            {1, 3, 3}, {2.5, 4, 5, 8.5, 10, 11, 12.5, 14, 15});
        expect_shaped(avg_pool1d(arange(4).reshape({1, 4}), 2, {.divisor = 1}), {1, 2}, {1, 5});
    });
    SINTER_EXPECT_ERROR(ValueError, "avg_pool1d: padding [2] is more than half the kernel [3]",
                        avg_pool1d(ones({1, 8}), 3, {.padding = 2}));
}

TEST_CASE("adaptive pools of every small size have the windows that they say") {
    for (std::int64_t n = 1; n <= 9; ++n) {
        for (std::int64_t out = 1; out <= 13; ++out) {
            CAPTURE(n);
            CAPTURE(out);
            std::vector<double> largest, mean;
            for (std::int64_t i = 0; i < out; ++i) {
                const std::int64_t begin = i * n / out, end = ((i + 1) * n + out - 1) / out;
                largest.push_back(static_cast<double>(end - 1));
                mean.push_back(static_cast<double>(begin + end - 1) / 2);
            }
            const DeviceGuard guard{Device("REF")};
            const Tensor x = arange(n).reshape({1, n}).to(f32);
            expect_shaped(adaptive_max_pool1d(x, out), {1, out}, largest);
            expect_shaped(adaptive_avg_pool1d(x, out), {1, out}, mean);
        }
    }
    // Made at once, however large; never computed.
    const Tensor x = zeros({1, 3});
    CHECK(adaptive_max_pool1d(x, INT32_MAX).shape() == Shape{1, INT32_MAX});
    SINTER_EXPECT_ERROR(ValueError,
                        "adaptive_max_pool1d: output size must be below 2^31, got [2147483648]",
                        adaptive_max_pool1d(x, std::int64_t{1} << 31));
    SINTER_EXPECT_ERROR(ValueError,
                        "max_pool1d: dilation must be below 2^31, got [9223372036854775807]",
                        max_pool1d(x, 3, {.dilation = INT64_MAX}));
}

TEST_CASE("sizes whose product with a stride or dilation overflows are refused") {
    const std::int64_t many = std::int64_t{1} << 40;
    const Tensor x = zeros({1, 1, 3}), w = zeros({1, 1, 3});
    SINTER_EXPECT_ERROR(
        ShapeError, "conv1d: the kernel of f32[1, 1, 1099511627776] must be below 2^31 an axis",
        conv1d(x, zeros({1, 1, 1}).expand({1, 1, many}), {}, {.dilation = std::int64_t{1} << 30}));
    SINTER_EXPECT_ERROR(ShapeError,
                        "conv_transpose1d: the output of input [1099511627776] and stride "
                        "[1073741824] is too large",
                        conv_transpose1d(zeros({1, 1, 1}).expand({1, 1, many}), w, {},
                                         {.stride = std::int64_t{1} << 30}));
}

TEST_CASE("adaptive pools split an axis that does not divide") {
    for_each_device([] {
        const Tensor x = arange(7).to(f32).reshape({1, 7});
        expect_shaped(adaptive_avg_pool1d(x, 3), {1, 3}, {1, 3, 5});
        expect_shaped(adaptive_max_pool1d(x, 3), {1, 3}, {2, 4, 6});
        expect_shaped(adaptive_avg_pool1d(x, 1), {1, 1}, {3});
        expect_shaped(adaptive_avg_pool1d(x, 10), {1, 10},
                      {0, 0.5, 1.5, 2, 2.5, 3.5, 4, 4.5, 5.5, 6});
        expect_shaped(adaptive_max_pool2d(arange(16).reshape({1, 4, 4}), {2, 1}), {1, 2, 1},
                      {7, 15});
    });
}

TEST_CASE("windows that overlap, of an image read for nothing else, are what REF computes") {
    constexpr std::int64_t kChannels = 6;
    using Make = std::function<Tensor(const Tensor& x, const Tensor& weight)>;
    for (const std::int64_t size : {2, 3, 5, 7, 11, 13})
        for (const std::int64_t stride : {1, 2, 3})
            for (const std::int64_t padding : {0, 1}) {
                CAPTURE(size);
                CAPTURE(stride);
                CAPTURE(padding);
                const auto same = [&](const std::string& what, const Make& make) {
                    CAPTURE(what);
                    const test::Program program = [&] {
                        return make(
                            tensor_of(numbers(2 * kChannels * 21 * 37, 3), {2, kChannels, 21, 37}),
                            tensor_of(numbers(kChannels * size * size, 3),
                                      {kChannels, 1, size, size}));
                    };
                    CHECK(test::values_on("CPU", program) == test::values_on("REF", program));
                };
                const ConvOptions options{
                    .stride = {stride}, .padding = {padding}, .groups = kChannels};
                same("channels apart",
                     [&](const Tensor& x, const Tensor& w) { return conv2d(x, w, {}, options); });
                same("channels side by side", [&](const Tensor& x, const Tensor& w) {
                    const Tensor lined = x.permute({0, 2, 3, 1}).contiguous();
                    return conv2d(lined.permute({0, 3, 1, 2}), w, {}, options)
                        .permute({0, 2, 3, 1})
                        .contiguous();
                });
                same("dilated", [&](const Tensor& x, const Tensor& w) {
                    const ConvOptions apart{.stride = {stride},
                                            .padding = {size},
                                            .dilation = {size},
                                            .groups = kChannels};
                    return conv2d(x, narrow(narrow(w, 2, 0, 2), 3, 0, 2), {}, apart);
                });
                same("gradient", [&](const Tensor& x, const Tensor& w) {
                    return gradient(sum(conv2d(x, w, {}, options)), {x})[0];
                });
                same("maximum", [&](const Tensor& x, const Tensor&) {
                    return max_pool2d(x, size, {.stride = stride, .padding = padding});
                });
                same("sum", [&](const Tensor& x, const Tensor&) {
                    return floor(avg_pool2d(x, size, {.stride = stride}) *
                                     static_cast<double>(size * size) +
                                 0.5);
                });
            }
}
