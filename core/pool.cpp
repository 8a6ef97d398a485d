#include <sinter/pool.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "call.h"
#include "spatial.h"

namespace sinter {
namespace {

using ir::Op;
using ir::ReduceKind;
using ir::Shape;

std::size_t leading_axes(const UOp& x, std::size_t n) {
    if (x->rank() < n + 1 || x->rank() > n + 2)
        fail<ShapeError>("takes " + std::to_string(n + 1) + " or " + std::to_string(n + 2) +
                         " axes, the last " + std::to_string(n) + " of them spatial, got " +
                         text(x));
    return x->rank() - n;
}

// The windows of one axis.
struct Span {
    std::int64_t size, kernel, stride, padding, dilation;
    std::int64_t out = 0, tail = 0;  // windows, and what they need behind the padding

    std::int64_t reach() const { return dilation * (kernel - 1) + 1; }
};

std::vector<Span> spans(const UOp& x, std::size_t first, const PerAxis& kernel,
                        const std::optional<PerAxis>& stride, const PerAxis& padding,
                        const PerAxis& dilation, bool ceil_mode) {
    const std::size_t n = x->rank() - first;
    const Shape sizes = kernel.checked("kernel", n, 1);
    const Shape steps = stride ? stride->checked("stride", n, 1) : sizes;
    const Shape pads = padding.checked("padding", n, 0);
    const Shape gaps = dilation.checked("dilation", n, 1);
    std::vector<Span> out;
    for (std::size_t d = 0; d < n; ++d) {
        Span s{x->shape()[first + d], sizes[d], steps[d], pads[d], gaps[d]};
        if (2 * s.padding > s.kernel)
            fail<ValueError>("padding " + text(pads) + " is more than half the kernel " +
                             text(sizes));
        const std::int64_t room = s.size + 2 * s.padding - s.reach();
        if (room < 0 && !(ceil_mode && room > -s.stride))
            fail<ShapeError>("the kernel " + text(sizes) + " is larger than the padded input " +
                             text(x));
        s.out = (room + (ceil_mode ? s.stride - 1 : 0)) / s.stride + 1;
        // A window must not start in the padding behind the input.
        if (ceil_mode && (s.out - 1) * s.stride >= s.size + s.padding) --s.out;
        s.tail = std::max<std::int64_t>((s.out - 1) * s.stride - room, 0);
        out.push_back(s);
    }
    return out;
}

// Windows' elements as last axes, and those axes.
std::pair<UOp, Shape> seen_through(const UOp& x, std::size_t first, const std::vector<Span>& spans,
                                   double fill) {
    Shape before(first, 0), after(first, 0), kernel, stride, dilation, axes;
    for (const Span& s : spans) {
        before.push_back(s.padding);
        after.push_back(s.padding + s.tail);
        kernel.push_back(s.kernel);
        stride.push_back(s.stride);
        dilation.push_back(s.dilation);
    }
    UOp seen = windows(ir::pad(x, before, after, fill), first, kernel, stride, dilation);
    for (std::size_t d = x->rank(); d < seen->rank(); ++d)
        axes.push_back(static_cast<std::int64_t>(d));
    return {seen, axes};
}

UOp without(const UOp& x, Ints axes) {
    return ir::reshape(x, x->shape().first(x->rank() - axes.size()));
}

double lowest(DType dt) { return is_float(dt) ? -INFINITY : static_cast<double>(info(dt).min); }

Tensor max_pool(std::string_view op, std::size_t n, const Arg& x, const PerAxis& kernel,
                const MaxPoolOptions& options) {
    Call call(op, x);
    const UOp value = call.node(x);
    const std::size_t first = leading_axes(value, n);
    const auto all = spans(value, first, kernel, options.stride, options.padding, options.dilation,
                           options.ceil_mode);
    const auto [seen, axes] = seen_through(value, first, all, lowest(value->dtype()));
    return call.wrap(without(ir::reduce(ReduceKind::Max, seen, axes), axes));
}

// How many elements the windows of one axis hold, as floats of `shape` along `axis`; null where all
// are full.
UOp counts(const Span& s, bool with_padding, DType dtype, Ints shape, std::size_t axis) {
    const std::int64_t low = with_padding ? -s.padding : 0;
    const std::int64_t high = s.size + (with_padding ? s.padding : 0);
    const std::int64_t last = (s.out - 1) * s.stride - s.padding;
    if (-s.padding >= low && last + s.kernel <= high) return {};
    const auto number = [&](std::int64_t v) { return ir::constant_int(i64, v, shape); };
    const UOp i = ir::iota(i64, shape, static_cast<std::int64_t>(axis));
    const UOp start =
        ir::binary(Op::Sub, ir::binary(Op::Mul, i, number(s.stride)), number(s.padding));
    const UOp end = ir::binary(Op::Min, ir::binary(Op::Add, start, number(s.kernel)), number(high));
    return ir::cast(ir::binary(Op::Sub, end, ir::binary(Op::Max, start, number(low))), dtype);
}

Tensor avg_pool(std::string_view op, std::size_t n, const Arg& x, const PerAxis& kernel,
                const AvgPoolOptions& options) {
    Call call(op, x);
    const UOp value = call.float_node(x);
    const std::size_t first = leading_axes(value, n);
    if (options.divisor && *options.divisor == 0) fail<ValueError>("the divisor may not be 0");
    const auto all =
        spans(value, first, kernel, options.stride, options.padding, PerAxis(1), options.ceil_mode);
    const UOp wide = ir::cast(value, accumulator_type(value->dtype()));
    const auto [seen, axes] = seen_through(wide, first, all, 0);
    const UOp sum = without(ir::reduce(ReduceKind::Add, seen, axes), axes);
    double full = 1;
    UOp divisor;
    if (options.divisor) {
        full = static_cast<double>(*options.divisor);
    } else {
        for (std::size_t d = 0; d < all.size(); ++d) {
            const UOp count =
                counts(all[d], options.count_include_pad, wide->dtype(), sum->shape(), first + d);
            if (!count)
                full *= static_cast<double>(all[d].kernel);
            else
                divisor = divisor ? ir::binary(Op::Mul, divisor, count) : count;
        }
    }
    const UOp constant = like(sum, full);
    divisor = divisor ? ir::binary(Op::Mul, divisor, constant) : constant;
    return call.wrap(ir::cast(ir::binary(Op::Div, sum, divisor), value->dtype()));
}

// One axis of an adaptive pool: [.., n, ..] to [.., out, ..].
UOp adaptive_axis(const UOp& x, std::size_t axis, std::int64_t out, bool average) {
    const std::int64_t n = x->shape()[axis];
    const auto place = static_cast<std::ptrdiff_t>(axis);
    Shape pooled = shape_of(x);
    pooled[axis] = out;
    const Shape inner{static_cast<std::int64_t>(axis) + 1};
    const ReduceKind kind = average ? ReduceKind::Add : ReduceKind::Max;
    if (out == 0) return ir::shrink(x, Shape(x->rank(), 0), pooled);
    if (n % out == 0) {  // equal windows, side by side
        Shape split = pooled;
        const std::int64_t each = n / out;
        split.insert(split.begin() + place + 1, each);
        UOp r = ir::reshape(ir::reduce(kind, ir::reshape(x, split), inner), pooled);
        return average ? ir::binary(Op::Div, r, like(r, static_cast<double>(each))) : r;
    }
    // Windows of different sizes: gathered at the largest size, with what is too much masked.
    // With n and out in lowest terms i n mod out is every remainder r once, and window i has
    // ceil((r + n) / out) elements: most where r is out - 1.
    const std::int64_t common = std::gcd(n, out), windows = out / common;
    const std::int64_t longest = (n / common + 2 * windows - 2) / windows;
    Shape wide = pooled;
    wide.insert(wide.begin() + place + 1, longest);
    checked_numel(wide);
    Shape line = pooled;
    line[axis] = out * longest;
    const auto number = [&](std::int64_t v) { return ir::constant_int(i64, v, wide); };
    const auto divided = [&](const UOp& a) { return ir::binary(Op::IDiv, a, number(out)); };
    const UOp i = ir::iota(i64, wide, static_cast<std::int64_t>(axis));
    const UOp j = ir::iota(i64, wide, static_cast<std::int64_t>(axis) + 1);
    const UOp scaled = ir::binary(Op::Mul, i, number(n));
    const UOp start = divided(scaled);
    const UOp end = divided(ir::binary(Op::Add, scaled, number(n + out - 1)));
    const UOp at = ir::binary(Op::Add, start, j);
    const UOp inside = ir::binary(Op::Lt, at, end);
    const UOp index = ir::reshape(ir::binary(Op::Min, at, number(n - 1)), line);
    const UOp gathered = ir::reshape(ir::gather(x, index, static_cast<std::int64_t>(axis)), wide);
    const double rest = average ? 0 : lowest(x->dtype());
    UOp r = ir::reshape(ir::reduce(kind, ir::where(inside, gathered, like(gathered, rest)), inner),
                        pooled);
    if (!average) return r;
    Shape begin(wide.size(), 0), first = wide;
    first[axis + 1] = 1;
    const UOp size = ir::reshape(ir::shrink(ir::binary(Op::Sub, end, start), begin, first), pooled);
    return ir::binary(Op::Div, r, ir::cast(size, r->dtype()));
}

Tensor adaptive(std::string_view op, std::size_t n, const Arg& x, const PerAxis& out,
                bool average) {
    Call call(op, x);
    const UOp value = average ? call.float_node(x) : call.node(x);
    const std::size_t first = leading_axes(value, n);
    const Shape sizes = out.checked("output size", n, 0);
    UOp y = average ? ir::cast(value, accumulator_type(value->dtype())) : value;
    for (std::size_t d = 0; d < n; ++d) {
        if (y->shape()[first + d] == 0 && sizes[d] != 0)
            fail<ShapeError>("has nothing to pool: " + text(value));
        y = adaptive_axis(y, first + d, sizes[d], average);
    }
    return call.wrap(ir::cast(y, value->dtype()));
}

}  // namespace

Tensor max_pool1d(const Arg& x, const PerAxis& kernel, const MaxPoolOptions& options) {
    return max_pool("max_pool1d", 1, x, kernel, options);
}
Tensor max_pool2d(const Arg& x, const PerAxis& kernel, const MaxPoolOptions& options) {
    return max_pool("max_pool2d", 2, x, kernel, options);
}
Tensor max_pool3d(const Arg& x, const PerAxis& kernel, const MaxPoolOptions& options) {
    return max_pool("max_pool3d", 3, x, kernel, options);
}
Tensor avg_pool1d(const Arg& x, const PerAxis& kernel, const AvgPoolOptions& options) {
    return avg_pool("avg_pool1d", 1, x, kernel, options);
}
Tensor avg_pool2d(const Arg& x, const PerAxis& kernel, const AvgPoolOptions& options) {
    return avg_pool("avg_pool2d", 2, x, kernel, options);
}
Tensor avg_pool3d(const Arg& x, const PerAxis& kernel, const AvgPoolOptions& options) {
    return avg_pool("avg_pool3d", 3, x, kernel, options);
}
Tensor adaptive_avg_pool1d(const Arg& x, const PerAxis& out) {
    return adaptive("adaptive_avg_pool1d", 1, x, out, true);
}
Tensor adaptive_avg_pool2d(const Arg& x, const PerAxis& out) {
    return adaptive("adaptive_avg_pool2d", 2, x, out, true);
}
Tensor adaptive_avg_pool3d(const Arg& x, const PerAxis& out) {
    return adaptive("adaptive_avg_pool3d", 3, x, out, true);
}
Tensor adaptive_max_pool1d(const Arg& x, const PerAxis& out) {
    return adaptive("adaptive_max_pool1d", 1, x, out, false);
}
Tensor adaptive_max_pool2d(const Arg& x, const PerAxis& out) {
    return adaptive("adaptive_max_pool2d", 2, x, out, false);
}
Tensor adaptive_max_pool3d(const Arg& x, const PerAxis& out) {
    return adaptive("adaptive_max_pool3d", 3, x, out, false);
}

}  // namespace sinter
