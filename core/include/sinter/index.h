#pragma once
// What may stand in x[...]: numbers, slices, `ellipsis`, `newaxis`, tensors of integers and masks.

#include <concepts>
#include <cstdint>
#include <optional>
#include <source_location>

#include <sinter/arg.h>

namespace sinter {

/// Leaves an end of a slice open: slice(none, none, -1) reverses.
inline constexpr std::nullopt_t none = std::nullopt;

/// begin : end : step, as in Python: ends may be negative or open, the step is not 0.
struct Slice {
    std::optional<std::int64_t> begin, end;
    std::int64_t step = 1;
};
inline Slice slice(std::optional<std::int64_t> begin = none, std::optional<std::int64_t> end = none,
                   std::int64_t step = 1) {
    return {begin, end, step};
}

struct Ellipsis {};
struct NewAxis {};
/// As many whole axes as are left.
inline constexpr Ellipsis ellipsis;
/// A new axis of size 1.
inline constexpr NewAxis newaxis;

/// One entry between the brackets of x[{...}].
class Index {
public:
    enum class Kind : std::uint8_t { Position, Slice, Ellipsis, NewAxis, Tensor };

    template <std::integral T>
        requires(!std::same_as<T, bool>)
    Index(T position, Where where = Where::current())
        : kind_(Kind::Position), position_(static_cast<std::int64_t>(position)), where_(where) {}
    Index(Slice slice, Where where = Where::current())
        : kind_(Kind::Slice), slice_(slice), where_(where) {}
    Index(Ellipsis, Where where = Where::current()) : kind_(Kind::Ellipsis), where_(where) {}
    Index(NewAxis, Where where = Where::current()) : kind_(Kind::NewAxis), where_(where) {}
    Index(const Tensor& tensor, Where where = Where::current())
        : kind_(Kind::Tensor), tensor_(&tensor), where_(where) {}

    Kind kind() const { return kind_; }
    std::int64_t position() const { return position_; }
    const Slice& slice() const { return slice_; }
    const Tensor& tensor() const { return *tensor_; }
    const Where& where() const { return where_; }

private:
    Kind kind_;
    std::int64_t position_ = 0;
    Slice slice_;
    const Tensor* tensor_ = nullptr;
    Where where_;
};

}  // namespace sinter
