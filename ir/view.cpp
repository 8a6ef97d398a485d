#include <sinter/ir/view.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <ostream>

namespace sinter::ir {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape) {
    std::vector<std::int64_t> strides(shape.size());
    std::int64_t stride = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
        strides[d] = shape[d] == 1 ? 0 : stride;
        stride *= shape[d];
    }
    return strides;
}

View View::contiguous(std::span<const std::int64_t> shape) {
    return View(Shape(shape.begin(), shape.end()), row_major_strides(shape), 0);
}

View::View(Shape shape, std::vector<std::int64_t> strides, std::int64_t offset,
           std::vector<Interval> valid)
    : shape_(std::move(shape)),
      strides_(std::move(strides)),
      offset_(offset),
      valid_(std::move(valid)) {
    if (valid_.empty()) {
        for (std::int64_t size : shape_) valid_.push_back({0, size});
    }
    canonicalise();
}

void View::canonicalise() {
    for (std::size_t d = 0; d < rank(); ++d) {
        valid_[d].lo = std::max<std::int64_t>(valid_[d].lo, 0);
        valid_[d].hi = std::min(valid_[d].hi, shape_[d]);
    }
    if (never_valid()) {
        std::fill(strides_.begin(), strides_.end(), 0);
        offset_ = 0;
        for (std::size_t d = 0; d < rank(); ++d) valid_[d] = {0, 0};
        if (numel() == 0) {
            for (std::size_t d = 0; d < rank(); ++d) valid_[d] = {0, shape_[d]};
        }
        return;
    }
    for (std::size_t d = 0; d < rank(); ++d) {
        if (valid_[d].size() != 1) continue;
        offset_ += strides_[d] * valid_[d].lo;
        strides_[d] = 0;
    }
}

std::int64_t View::numel() const {
    return std::accumulate(shape_.begin(), shape_.end(), std::int64_t{1}, std::multiplies<>());
}

bool View::has_mask() const {
    for (std::size_t d = 0; d < rank(); ++d) {
        if (valid_[d] != Interval{0, shape_[d]}) return true;
    }
    return false;
}

bool View::never_valid() const {
    return std::any_of(valid_.begin(), valid_.end(), [](Interval v) { return v.size() <= 0; });
}

bool View::is_contiguous() const { return *this == contiguous(shape_); }

Position View::at(std::span<const std::int64_t> indices) const {
    Position position{offset_, true};
    for (std::size_t d = 0; d < rank(); ++d) {
        position.index += indices[d] * strides_[d];
        position.valid = position.valid && valid_[d].lo <= indices[d] && indices[d] < valid_[d].hi;
    }
    return position;
}

View View::permuted(std::span<const std::int64_t> axes) const {
    Shape shape;
    std::vector<std::int64_t> strides;
    std::vector<Interval> valid;
    for (std::int64_t axis : axes) {
        shape.push_back(shape_[axis]);
        strides.push_back(strides_[axis]);
        valid.push_back(valid_[axis]);
    }
    return View(std::move(shape), std::move(strides), offset_, std::move(valid));
}

View View::expanded(std::span<const std::int64_t> shape) const {
    View result = *this;
    for (std::size_t d = 0; d < rank(); ++d) {
        if (shape[d] == shape_[d]) continue;
        result.shape_[d] = shape[d];
        result.strides_[d] = 0;
        if (valid_[d].hi == 1) result.valid_[d] = {0, shape[d]};
    }
    result.canonicalise();
    return result;
}

View View::padded(std::span<const std::int64_t> before, std::span<const std::int64_t> after) const {
    View result = *this;
    for (std::size_t d = 0; d < rank(); ++d) {
        result.shape_[d] += before[d] + after[d];
        result.offset_ -= strides_[d] * before[d];
        result.valid_[d] = {valid_[d].lo + before[d], valid_[d].hi + before[d]};
    }
    result.canonicalise();
    return result;
}

View View::shrunk(std::span<const std::int64_t> begin, std::span<const std::int64_t> end) const {
    View result = *this;
    for (std::size_t d = 0; d < rank(); ++d) {
        result.shape_[d] = end[d] - begin[d];
        result.offset_ += strides_[d] * begin[d];
        result.valid_[d] = {valid_[d].lo - begin[d], valid_[d].hi - begin[d]};
    }
    result.canonicalise();
    return result;
}

View View::flipped(std::span<const std::int64_t> axes) const {
    View result = *this;
    for (std::int64_t d : axes) {
        result.offset_ += strides_[d] * (shape_[d] - 1);
        result.strides_[d] = -strides_[d];
        result.valid_[d] = {shape_[d] - valid_[d].hi, shape_[d] - valid_[d].lo};
    }
    result.canonicalise();
    return result;
}

View View::strided(std::span<const std::int64_t> step) const {
    View result = *this;
    for (std::size_t d = 0; d < rank(); ++d) {
        result.shape_[d] = ceil_div(shape_[d], step[d]);
        result.strides_[d] = strides_[d] * step[d];
        result.valid_[d] = {ceil_div(valid_[d].lo, step[d]), ceil_div(valid_[d].hi, step[d])};
    }
    result.canonicalise();
    return result;
}

std::ostream& operator<<(std::ostream& os, const View& view) {
    os << "View(shape=[";
    for (std::size_t d = 0; d < view.rank(); ++d) os << (d ? ", " : "") << view.shape()[d];
    os << "] strides=[";
    for (std::size_t d = 0; d < view.rank(); ++d) os << (d ? ", " : "") << view.strides()[d];
    os << "] offset=" << view.offset();
    if (view.has_mask()) {
        os << " valid=[";
        for (std::size_t d = 0; d < view.rank(); ++d) {
            os << (d ? ", " : "") << view.valid()[d].lo << ":" << view.valid()[d].hi;
        }
        os << "]";
    }
    return os << ")";
}

}  // namespace sinter::ir
