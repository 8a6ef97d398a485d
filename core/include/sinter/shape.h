#pragma once
// Sizes and axes as arguments.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace sinter {

/// Sizes of a tensor, axis by axis; a vector that prints.
class Shape : public std::vector<std::int64_t> {
public:
    using std::vector<std::int64_t>::vector;
    Shape() = default;
    Shape(std::vector<std::int64_t> sizes) : std::vector<std::int64_t>(std::move(sizes)) {}
};

/// "[2, 3]".
std::string to_string(const Shape& shape);
std::ostream& operator<<(std::ostream& os, const Shape& shape);

/// Axes named in a call: one, several, or (by default) all of them. Negative axes count from the
/// last.
class Axes {
public:
    Axes() = default;
    template <std::integral T>
    Axes(T axis) : all_(false), axes_{static_cast<std::int64_t>(axis)} {}
    Axes(std::initializer_list<std::int64_t> axes) : all_(false), axes_(axes) {}
    Axes(std::vector<std::int64_t> axes) : all_(false), axes_(std::move(axes)) {}
    bool all() const { return all_; }
    const std::vector<std::int64_t>& list() const { return axes_; }

private:
    bool all_ = true;
    std::vector<std::int64_t> axes_;
};

/// A number for each spatial axis, or one for all of them: stride = 2, stride = {2, 1}.
class PerAxis {
public:
    template <std::integral T>
    PerAxis(T value) : values_{static_cast<std::int64_t>(value)} {}
    PerAxis(std::initializer_list<std::int64_t> values) : values_(values) {}
    PerAxis(std::vector<std::int64_t> values) : values_(std::move(values)) {}
    const std::vector<std::int64_t>& values() const { return values_; }
    /// `count` numbers, the one given repeated. ShapeError if there are neither 1 nor `count`,
    /// ValueError if one is less than `least` or not below 2^31; `what` names them.
    std::vector<std::int64_t> checked(std::string_view what, std::size_t count,
                                      std::int64_t least) const;

private:
    std::vector<std::int64_t> values_;
};

}  // namespace sinter
