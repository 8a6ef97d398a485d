#include <sinter/sinter.h>

#include <cmath>

#include "rows.h"
#include "timing.h"

namespace sinter::tool {
namespace {

// Times the realization of `make` over inputs that are in memory.
std::function<double(double)> timed(const std::vector<Shape>& shapes,
                                    const std::function<Tensor(const std::vector<Tensor>&)>& make) {
    return [=](double seconds) {
        std::vector<Tensor> inputs;
        for (const Shape& shape : shapes) {
            inputs.push_back(randn(shape));
            inputs.back().realize();
        }
        return seconds_a_call([&] { make(inputs).realize(); }, seconds);
    };
}

Row matmul_row(std::int64_t m, std::int64_t n, std::int64_t k, bool transposed) {
    const double md = static_cast<double>(m), nd = static_cast<double>(n),
                 kd = static_cast<double>(k);
    return {
        "matmul_" + std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k) +
            (transposed ? "_t" : ""),
        transposed ? "a product with a transposed matrix" : "a product",
        0,
        2 * md * nd * kd,
        4 * (md * kd + kd * nd + md * nd),
        timed({{m, k}, transposed ? Shape{n, k} : Shape{k, n}}, [=](const std::vector<Tensor>& x) {
            return matmul(x[0], transposed ? x[1].transpose(0, 1) : x[1]);
        })};
}

// A product of a few rows by a weight [k, n] in a captured function, which may keep a copy of it
// that lies better.
Row weight_row(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype, bool keep) {
    const double md = static_cast<double>(m), nd = static_cast<double>(n),
                 kd = static_cast<double>(k);
    Row row{
        "rows_" + std::to_string(m) + "_" + std::string(name(dtype)) + (keep ? "_kept" : ""),
        keep ? "the same, the weight laid out once"
             : "captured: so many by a weight of " + std::to_string(k) + "x" + std::to_string(n),
        0,
        dtype == i8 ? 0 : 2 * md * nd * kd,  // the limit is that of floats
        0,
        [=](double seconds) {
            Tensor x = randn({m, k}), w = randn({k, n});
            if (dtype == i8) x = (x * 8).to(u8), w = w * 8;
            x = x.to(dtype == i8 ? u8 : dtype).realize();
            w = w.to(dtype).realize();
            const DType terms = dtype == i8 ? i32 : dtype;
            auto layer = jit([&](const Tensor& in) { return matmul(in.to(terms), w.to(terms)); },
                             {.verify = false, .keep = keep});
            return seconds_a_call([&] { layer(x); }, seconds);
        }};
    row.bf16 = dtype == bf16;
    return row;
}

Row row_kernel(const std::string& name, double passes, std::int64_t rows, std::int64_t cols,
               const std::function<Tensor(const Tensor&)>& f) {
    return {name + "_" + std::to_string(rows) + "x" + std::to_string(cols),
            "over the last axis",
            0,
            0,
            4 * passes * static_cast<double>(rows * cols),
            timed({{rows, cols}}, [=](const std::vector<Tensor>& x) { return f(x[0]); })};
}

}  // namespace

std::vector<Row> kernel_rows() {
    constexpr std::int64_t kElements = 1 << 24;
    return {
        matmul_row(256, 256, 256, false),
        matmul_row(512, 512, 512, false),
        matmul_row(512, 512, 512, true),
        matmul_row(1024, 1024, 1024, false),
        weight_row(32, 4096, 1024, f32, false),
        weight_row(32, 4096, 1024, f32, true),
        weight_row(32, 4096, 1024, bf16, false),
        weight_row(32, 4096, 1024, bf16, true),
        weight_row(16, 4096, 1024, i8, false),
        weight_row(16, 4096, 1024, i8, true),
        {"conv5x5_64x32x24", "a convolution, 32 to 32 channels", 0, 2.0 * 64 * 32 * 400 * 800, 0,
         timed({{64, 32, 24, 24}, {32, 32, 5, 5}},
               [](const std::vector<Tensor>& x) { return conv2d(x[0], x[1]); })},
        {"gelu_chain_16M", "gelu(a*b+a)*b", 0, 0, 12.0 * kElements,
         timed({{kElements}, {kElements}},
               [](const std::vector<Tensor>& x) { return gelu(x[0] * x[1] + x[0]) * x[1]; })},
        row_kernel("softmax", 2, 4096, 1024, [](const Tensor& x) { return softmax(x, -1); }),
        row_kernel("log_softmax", 2, 4096, 1024,
                   [](const Tensor& x) { return log_softmax(x, -1); }),
        row_kernel("var", 1, 4096, 1024, [](const Tensor& x) { return x.var(-1); }),
        {"sum_16M", "of all elements", 0, 0, 4.0 * kElements,
         timed({{kElements}}, [](const std::vector<Tensor>& x) { return sum(x[0]); })},
        {"transpose_4096", "copied", 0, 0, 8.0 * kElements,
         timed({{4096, 4096}},
               [](const std::vector<Tensor>& x) { return x[0].transpose(0, 1).contiguous(); })},
    };
}

}  // namespace sinter::tool
