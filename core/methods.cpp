// Ops as methods: each is the free function of its name, called in the caller's line.
#include <sinter/ops.h>

namespace sinter {

Tensor Tensor::to(DType dtype, Where where) const { return sinter::cast(Arg(*this, where), dtype); }
Tensor Tensor::to(Device device, Where where) const {
    return sinter::to(Arg(*this, where), device);
}
Tensor Tensor::astype(DType dtype, Where where) const {
    return sinter::cast(Arg(*this, where), dtype);
}
Tensor Tensor::detach(Where where) const { return sinter::detach(Arg(*this, where)); }
Tensor Tensor::contiguous(Where where) const { return sinter::contiguous(Arg(*this, where)); }

Tensor Tensor::abs(Where where) const { return sinter::abs(Arg(*this, where)); }
Tensor Tensor::neg(Where where) const { return sinter::neg(Arg(*this, where)); }
Tensor Tensor::sign(Where where) const { return sinter::sign(Arg(*this, where)); }
Tensor Tensor::square(Where where) const { return sinter::square(Arg(*this, where)); }
Tensor Tensor::sqrt(Where where) const { return sinter::sqrt(Arg(*this, where)); }
Tensor Tensor::rsqrt(Where where) const { return sinter::rsqrt(Arg(*this, where)); }
Tensor Tensor::reciprocal(Where where) const { return sinter::reciprocal(Arg(*this, where)); }
Tensor Tensor::exp(Where where) const { return sinter::exp(Arg(*this, where)); }
Tensor Tensor::exp2(Where where) const { return sinter::exp2(Arg(*this, where)); }
Tensor Tensor::expm1(Where where) const { return sinter::expm1(Arg(*this, where)); }
Tensor Tensor::log(Where where) const { return sinter::log(Arg(*this, where)); }
Tensor Tensor::log2(Where where) const { return sinter::log2(Arg(*this, where)); }
Tensor Tensor::log10(Where where) const { return sinter::log10(Arg(*this, where)); }
Tensor Tensor::log1p(Where where) const { return sinter::log1p(Arg(*this, where)); }
Tensor Tensor::sin(Where where) const { return sinter::sin(Arg(*this, where)); }
Tensor Tensor::cos(Where where) const { return sinter::cos(Arg(*this, where)); }
Tensor Tensor::tan(Where where) const { return sinter::tan(Arg(*this, where)); }
Tensor Tensor::tanh(Where where) const { return sinter::tanh(Arg(*this, where)); }
Tensor Tensor::erf(Where where) const { return sinter::erf(Arg(*this, where)); }
Tensor Tensor::floor(Where where) const { return sinter::floor(Arg(*this, where)); }
Tensor Tensor::ceil(Where where) const { return sinter::ceil(Arg(*this, where)); }
Tensor Tensor::round(Where where) const { return sinter::round(Arg(*this, where)); }
Tensor Tensor::trunc(Where where) const { return sinter::trunc(Arg(*this, where)); }
Tensor Tensor::sigmoid(Where where) const { return sinter::sigmoid(Arg(*this, where)); }
Tensor Tensor::relu(Where where) const { return sinter::relu(Arg(*this, where)); }
Tensor Tensor::silu(Where where) const { return sinter::silu(Arg(*this, where)); }
Tensor Tensor::isnan(Where where) const { return sinter::isnan(Arg(*this, where)); }
Tensor Tensor::isinf(Where where) const { return sinter::isinf(Arg(*this, where)); }
Tensor Tensor::isfinite(Where where) const { return sinter::isfinite(Arg(*this, where)); }
Tensor Tensor::logical_not(Where where) const { return sinter::logical_not(Arg(*this, where)); }
Tensor Tensor::sum(const Axes& axes, bool keepdim, Where where) const {
    return sinter::sum(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::prod(const Axes& axes, bool keepdim, Where where) const {
    return sinter::prod(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::max(const Axes& axes, bool keepdim, Where where) const {
    return sinter::max(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::min(const Axes& axes, bool keepdim, Where where) const {
    return sinter::min(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::mean(const Axes& axes, bool keepdim, Where where) const {
    return sinter::mean(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::any(const Axes& axes, bool keepdim, Where where) const {
    return sinter::any(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::all(const Axes& axes, bool keepdim, Where where) const {
    return sinter::all(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::logsumexp(const Axes& axes, bool keepdim, Where where) const {
    return sinter::logsumexp(Arg(*this, where), axes, keepdim);
}
Tensor Tensor::var(const Axes& axes, bool keepdim, std::int64_t correction, Where where) const {
    return sinter::var(Arg(*this, where), axes, keepdim, correction);
}
Tensor Tensor::std(const Axes& axes, bool keepdim, std::int64_t correction, Where where) const {
    return sinter::std(Arg(*this, where), axes, keepdim, correction);
}
Tensor Tensor::argmax(std::optional<std::int64_t> axis, bool keepdim, Where where) const {
    return sinter::argmax(Arg(*this, where), axis, keepdim);
}
Tensor Tensor::argmin(std::optional<std::int64_t> axis, bool keepdim, Where where) const {
    return sinter::argmin(Arg(*this, where), axis, keepdim);
}
Tensor Tensor::softmax(std::int64_t axis, Where where) const {
    return sinter::softmax(Arg(*this, where), axis);
}
Tensor Tensor::log_softmax(std::int64_t axis, Where where) const {
    return sinter::log_softmax(Arg(*this, where), axis);
}
Tensor Tensor::cumsum(std::int64_t axis, Where where) const {
    return sinter::cumsum(Arg(*this, where), axis);
}
Tensor Tensor::cumprod(std::int64_t axis, Where where) const {
    return sinter::cumprod(Arg(*this, where), axis);
}
Tensor Tensor::reshape(const Shape& shape, Where where) const {
    return sinter::reshape(Arg(*this, where), shape);
}
Tensor Tensor::view(const Shape& shape, Where where) const {
    return sinter::view(Arg(*this, where), shape);
}
Tensor Tensor::flatten(std::int64_t first, std::int64_t last, Where where) const {
    return sinter::flatten(Arg(*this, where), first, last);
}
Tensor Tensor::squeeze(const Axes& axes, Where where) const {
    return sinter::squeeze(Arg(*this, where), axes);
}
Tensor Tensor::unsqueeze(std::int64_t axis, Where where) const {
    return sinter::unsqueeze(Arg(*this, where), axis);
}
Tensor Tensor::permute(const Axes& axes, Where where) const {
    return sinter::permute(Arg(*this, where), axes);
}
Tensor Tensor::transpose(std::int64_t a, std::int64_t b, Where where) const {
    return sinter::transpose(Arg(*this, where), a, b);
}
Tensor Tensor::mT(Where where) const { return sinter::mT(Arg(*this, where)); }
Tensor Tensor::movedim(const Axes& source, const Axes& destination, Where where) const {
    return sinter::movedim(Arg(*this, where), source, destination);
}
Tensor Tensor::expand(const Shape& shape, Where where) const {
    return sinter::expand(Arg(*this, where), shape);
}
Tensor Tensor::broadcast_to(const Shape& shape, Where where) const {
    return sinter::broadcast_to(Arg(*this, where), shape);
}
Tensor Tensor::flip(const Axes& axes, Where where) const {
    return sinter::flip(Arg(*this, where), axes);
}
Tensor Tensor::narrow(std::int64_t axis, std::int64_t start, std::int64_t length,
                      Where where) const {
    return sinter::narrow(Arg(*this, where), axis, start, length);
}
Tensor Tensor::clamp(const std::optional<Arg>& low, const std::optional<Arg>& high,
                     Where where) const {
    return sinter::clamp(Arg(*this, where), low, high);
}
Tensor Tensor::pow(const Arg& b) const { return sinter::pow(Arg(*this, b.where()), b); }
Tensor Tensor::maximum(const Arg& b) const { return sinter::maximum(Arg(*this, b.where()), b); }
Tensor Tensor::minimum(const Arg& b) const { return sinter::minimum(Arg(*this, b.where()), b); }
Tensor Tensor::matmul(const Arg& b) const { return sinter::matmul(Arg(*this, b.where()), b); }
Tensor Tensor::dot(const Arg& b) const { return sinter::dot(Arg(*this, b.where()), b); }

}  // namespace sinter
