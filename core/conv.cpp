#include <sinter/conv.h>

#include <numeric>

#include "call.h"
#include "spatial.h"

namespace sinter {
namespace {

using ir::Op;
using ir::Shape;

// The operands of a convolution over `n` spatial axes, checked.
struct Operands {
    UOp x, weight, bias;  // bias may be null
    Shape sizes, kernel;  // spatial
    std::int64_t batch = 1, channels = 0, groups = 1;
    DType dtype = f32;
    bool batched = true;
};

Operands operands(Call& call, std::size_t n, const Arg& x, const Tensor& weight, const Tensor& bias,
                  std::int64_t groups) {
    Operands o;
    o.x = call.node(x);
    o.weight = call.node(weight);
    o.groups = groups;
    o.dtype = promote(o.x->dtype(), o.weight->dtype());
    if (o.dtype == boolean) fail<DTypeError>("is not defined for bool: cast first");
    o.batched = o.x->rank() == n + 2;
    if ((!o.batched && o.x->rank() != n + 1) || o.weight->rank() != n + 2)
        fail<ShapeError>("takes x of " + std::to_string(n + 1) + " or " + std::to_string(n + 2) +
                         " axes and a weight of " + std::to_string(n + 2) + ", got " + text(o.x) +
                         " and " + text(o.weight));
    if (!o.batched) {
        Shape one = shape_of(o.x);
        one.insert(one.begin(), 1);
        o.x = ir::reshape(o.x, one);
    }
    o.batch = o.x->shape()[0];
    o.channels = o.x->shape()[1];
    for (std::size_t d = 2; d < n + 2; ++d) {
        o.sizes.push_back(o.x->shape()[d]);
        o.kernel.push_back(o.weight->shape()[d]);
        if (o.kernel.back() == 0) fail<ShapeError>("the kernel of " + text(o.weight) + " is empty");
        // So that its product with a stride or dilation does not overflow.
        if (o.kernel.back() >= std::int64_t{1} << 31)
            fail<ShapeError>("the kernel of " + text(o.weight) + " must be below 2^31 an axis");
    }
    if (groups < 1 || o.channels % groups != 0)
        fail<ValueError>(text(groups) + " groups do not divide the " + text(o.channels) +
                         " channels of " + text(o.x));
    if (bias.defined()) o.bias = call.node(bias);
    // Products are made and summed in this type.
    const DType wide = accumulator_type(o.dtype);
    o.x = ir::cast(o.x, wide);
    o.weight = ir::cast(o.weight, wide);
    return o;
}

// Adds the bias and rounds: [batch, out, sizes...], without the batch if x had none.
Tensor finish(Call& call, const Operands& o, UOp y, std::int64_t out) {
    if (o.bias) {
        if (o.bias->rank() != 1 || o.bias->numel() != out)
            fail<ShapeError>("the bias must be [" + text(out) + "], got " + text(o.bias));
        Shape line(y->rank(), 1);
        line[1] = out;
        y = ir::binary(Op::Add, y,
                       expand_to(ir::reshape(ir::cast(o.bias, y->dtype()), line), y->shape()));
    }
    y = ir::cast(y, o.dtype);
    if (!o.batched) y = ir::reshape(y, Shape(y->shape().begin() + 1, y->shape().end()));
    return call.wrap(y);
}

// Sum over channels of a group and the kernel: x is [batch, channels, sizes...] with its padding;
// one multiply and one reduce, which the scheduler knows as a convolution.
UOp correlate(const UOp& x, const UOp& weight, std::int64_t groups, Ints stride, Ints dilation) {
    const std::size_t n = stride.size();
    const std::int64_t batch = x->shape()[0], each = x->shape()[1] / groups;
    const std::int64_t out = weight->shape()[0] / groups;
    const Ints kernel = weight->shape().subspan(2);
    for (std::size_t d = 0; d < n; ++d)
        if (x->shape()[d + 2] < dilation[d] * (kernel[d] - 1) + 1)
            fail<ShapeError>("the kernel " + text(kernel) + " with dilation " + text(dilation) +
                             " is larger than the padded input " + text(x->shape().subspan(2)));
    const UOp seen = windows(x, 2, kernel, stride, dilation);
    const Shape starts(seen->shape().begin() + 2,
                       seen->shape().begin() + 2 + static_cast<std::ptrdiff_t>(n));

    const auto joined = [](std::initializer_list<Ints> parts) {
        Shape all;
        for (const Ints part : parts) all.insert(all.end(), part.begin(), part.end());
        return all;
    };
    // [batch, groups, 1, starts..., channels, kernel...]
    const Shape split = joined({Shape{batch, groups, each}, starts, kernel});
    Shape order{0, 1};
    for (std::size_t d = 0; d < n; ++d) order.push_back(static_cast<std::int64_t>(3 + d));
    order.push_back(2);
    for (std::size_t d = 0; d < n; ++d) order.push_back(static_cast<std::int64_t>(3 + n + d));
    const Shape ones(n, 1);
    const Shape left = joined({Shape{batch, groups, 1}, starts, Shape{each}, kernel});
    const Shape right = joined({Shape{1, groups, out}, ones, Shape{each}, kernel});
    const Shape full = joined({Shape{batch, groups, out}, starts, Shape{each}, kernel});
    const UOp a = ir::reshape(ir::permute(ir::reshape(seen, split), order), left);
    const UOp b = ir::reshape(weight, right);
    const UOp product = ir::binary(Op::Mul, expand_to(a, full), expand_to(b, full));
    Shape axes(n + 1);
    std::iota(axes.begin(), axes.end(), static_cast<std::int64_t>(3 + n));
    const UOp sum = ir::reduce(ir::ReduceKind::Add, product, axes);
    return ir::reshape(sum, joined({Shape{batch, groups * out}, starts}));
}

UOp pad_spatial(const UOp& x, Ints before, Ints after) {
    Shape front{0, 0}, back{0, 0};
    front.insert(front.end(), before.begin(), before.end());
    back.insert(back.end(), after.begin(), after.end());
    return ir::pad(x, front, back);
}

Tensor conv(std::string_view op, std::size_t n, const Arg& x, const Tensor& weight,
            const Tensor& bias, const ConvOptions& options) {
    Call call(op, x);
    const Operands o = operands(call, n, x, weight, bias, options.groups);
    const Shape stride = options.stride.checked("stride", n, 1);
    const Shape dilation = options.dilation.checked("dilation", n, 1);
    const std::int64_t out = o.weight->shape()[0], each = o.channels / o.groups;
    if (o.weight->shape()[1] != each)
        fail<ShapeError>("x has " + text(o.channels) + " channels in " + text(o.groups) +
                         " groups, so the weight must be [out, " + text(each) + ", ...], got " +
                         text(o.weight));
    if (out % o.groups != 0)
        fail<ShapeError>("the " + text(out) + " outputs of " + text(o.weight) +
                         " do not fall into " + text(o.groups) + " groups");
    Shape before, after;
    if (options.same) {
        for (std::size_t d = 0; d < n; ++d) {
            if (stride[d] != 1) fail<ValueError>("`same` padding needs stride 1");
            const std::int64_t total = dilation[d] * (o.kernel[d] - 1);
            before.push_back(total / 2);
            after.push_back(total - total / 2);
        }
    } else if (options.padding.values().size() == 2 * n) {
        const Shape both = options.padding.checked("padding", 2 * n, 0);
        for (std::size_t d = 0; d < n; ++d) {
            before.push_back(both[2 * d]);
            after.push_back(both[2 * d + 1]);
        }
    } else {
        before = after = options.padding.checked("padding", n, 0);
    }
    const UOp y = correlate(pad_spatial(o.x, before, after), o.weight, o.groups, stride, dilation);
    return finish(call, o, y, out);
}

// [channels, out / groups, kernel...] to [out, channels / groups, kernel...], the kernel reversed:
// with stride 1 the transpose of a convolution is one with this weight.
UOp transposed_weight(const UOp& weight, std::int64_t groups) {
    const std::int64_t each = weight->shape()[0] / groups, out = weight->shape()[1];
    Shape split{groups, each, out}, order{0, 2, 1}, flipped;
    Shape joined{groups * out, each};
    for (std::size_t d = 2; d < weight->rank(); ++d) {
        split.push_back(weight->shape()[d]);
        joined.push_back(weight->shape()[d]);
        order.push_back(static_cast<std::int64_t>(d + 1));
        flipped.push_back(static_cast<std::int64_t>(d));
    }
    return ir::flip(ir::reshape(ir::permute(ir::reshape(weight, split), order), joined), flipped);
}

// What each input element adds to each output under it, [batch, out, sizes..., kernel...], folded.
UOp spread(const Operands& o, Ints stride, Ints dilation, Ints whole) {
    const std::size_t n = stride.size();
    const std::int64_t each = o.channels / o.groups, out = o.weight->shape()[1];
    Shape left{o.batch, o.groups, 1}, right{1, o.groups, out}, full{o.batch, o.groups, out};
    Shape joined{o.batch, o.groups * out};
    for (std::size_t d = 0; d < 2 * n; ++d) {
        const std::int64_t size = d < n ? o.sizes[d] : o.kernel[d - n];
        left.push_back(d < n ? size : 1);
        right.push_back(d < n ? 1 : size);
        full.push_back(size);
        joined.push_back(size);
    }
    for (Shape* shape : {&left, &right, &full}) shape->push_back(each);
    // Channels of a group go last.
    Shape split{o.batch, o.groups, each}, order{0, 1};
    Shape weight_split{o.groups, each, out}, weight_order{0, 2};
    for (std::size_t d = 0; d < n; ++d) {
        split.push_back(o.sizes[d]);
        order.push_back(static_cast<std::int64_t>(d + 3));
        weight_split.push_back(o.kernel[d]);
        weight_order.push_back(static_cast<std::int64_t>(d + 3));
    }
    order.push_back(2);
    weight_order.push_back(1);
    const UOp a = ir::reshape(ir::permute(ir::reshape(o.x, split), order), left);
    const UOp b =
        ir::reshape(ir::permute(ir::reshape(o.weight, weight_split), weight_order), right);
    const UOp product = ir::binary(Op::Mul, expand_to(a, full), expand_to(b, full));
    const Shape last{static_cast<std::int64_t>(full.size()) - 1};
    UOp y = ir::reshape(ir::reduce(ir::ReduceKind::Add, product, last), joined);
    for (std::size_t d = n; d-- > 0;)
        y = ir::fold(y, static_cast<std::int64_t>(d + 2), whole[d], stride[d], dilation[d]);
    return y;
}

Tensor conv_transpose(std::string_view op, std::size_t n, const Arg& x, const Tensor& weight,
                      const Tensor& bias, const ConvTransposeOptions& options) {
    Call call(op, x);
    const Operands o = operands(call, n, x, weight, bias, options.groups);
    const Shape stride = options.stride.checked("stride", n, 1);
    const Shape dilation = options.dilation.checked("dilation", n, 1);
    const Shape padding = options.padding.checked("padding", n, 0);
    const Shape extra = options.output_padding.checked("output_padding", n, 0);
    if (o.weight->shape()[0] != o.channels)
        fail<ShapeError>("x has " + text(o.channels) + " channels, so the weight must be [" +
                         text(o.channels) + ", out / groups, ...], got " + text(o.weight));
    Shape whole, begin{0, 0}, end{o.batch, o.weight->shape()[1] * o.groups};
    bool plain = true;
    for (std::size_t d = 0; d < n; ++d) {
        if (extra[d] >= std::max(stride[d], dilation[d]))
            fail<ValueError>("output_padding " + text(extra) +
                             " must be smaller than stride or dilation");
        const std::int64_t reach = dilation[d] * (o.kernel[d] - 1);
        std::int64_t spread_size = 0;
        if (__builtin_mul_overflow(o.sizes[d] - 1, stride[d], &spread_size) ||
            __builtin_add_overflow(spread_size, reach + 1 + extra[d], &spread_size))
            fail<ShapeError>("the output of input " + text(o.sizes) + " and stride " +
                             text(stride) + " is too large");
        whole.push_back(spread_size);
        begin.push_back(padding[d]);
        end.push_back(whole[d] - padding[d]);
        if (end.back() <= begin.back() || o.sizes[d] == 0)
            fail<ShapeError>("the output would be empty: input " + text(o.sizes) + ", kernel " +
                             text(o.kernel) + ", padding " + text(padding));
        plain = plain && stride[d] == 1;
    }
    UOp y;
    if (plain) {
        Shape before, after;
        for (std::size_t d = 0; d < n; ++d) {
            const std::int64_t reach = dilation[d] * (o.kernel[d] - 1);
            before.push_back(reach);
            after.push_back(reach + extra[d]);
        }
        y = correlate(pad_spatial(o.x, before, after), transposed_weight(o.weight, o.groups),
                      o.groups, stride, dilation);
    } else {
        // Output padding below the stride holds no window's elements; a larger one (dilation above
        // stride) is zeros.
        Shape covered = whole, zeros;
        for (std::size_t d = 0; d < n; ++d) {
            zeros.push_back(extra[d] >= stride[d] ? extra[d] : 0);
            covered[d] -= zeros[d];
        }
        y = pad_spatial(spread(o, stride, dilation, covered), Shape(n, 0), zeros);
    }
    return finish(call, o, ir::shrink(y, begin, end), end[1]);
}

}  // namespace

Tensor conv1d(const Arg& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
    return conv("conv1d", 1, x, weight, bias, options);
}
Tensor conv2d(const Arg& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
    return conv("conv2d", 2, x, weight, bias, options);
}
Tensor conv3d(const Arg& x, const Tensor& weight, const Tensor& bias, const ConvOptions& options) {
    return conv("conv3d", 3, x, weight, bias, options);
}
Tensor conv_transpose1d(const Arg& x, const Tensor& weight, const Tensor& bias,
                        const ConvTransposeOptions& options) {
    return conv_transpose("conv_transpose1d", 1, x, weight, bias, options);
}
Tensor conv_transpose2d(const Arg& x, const Tensor& weight, const Tensor& bias,
                        const ConvTransposeOptions& options) {
    return conv_transpose("conv_transpose2d", 2, x, weight, bias, options);
}
Tensor conv_transpose3d(const Arg& x, const Tensor& weight, const Tensor& bias,
                        const ConvTransposeOptions& options) {
    return conv_transpose("conv_transpose3d", 3, x, weight, bias, options);
}

}  // namespace sinter
