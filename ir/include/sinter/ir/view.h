#pragma once
// How movement ops are free: a View maps indices of a shape to positions of the shape below it, a
// ShapeTracker is a stack of Views down to memory. Movement only ever edits the stack; nothing is
// copied.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <sinter/ir/arena.h>
#include <sinter/ir/node.h>

namespace sinter::ir {

/// Row-major strides of `shape`; axes of size 1 get stride 0, so that equal layouts compare equal.
std::vector<std::int64_t> row_major_strides(std::span<const std::int64_t> shape);

/// Half-open bounds of the indices of one axis.
struct Interval {
    std::int64_t lo = 0, hi = 0;
    std::int64_t size() const { return hi - lo; }
    friend bool operator==(const Interval&, const Interval&) = default;
};

/// Where an index of a view lies; `index` means nothing where `valid` is false.
struct Position {
    std::int64_t index;
    bool valid;
};

/// The map i -> offset + sum(i[d] * strides[d]), defined where lo <= i[d] < hi of each axis'
/// `valid` interval.
///
/// Always in canonical form, so that views that are the same map are (nearly always) equal: an axis
/// on which one index is valid has stride 0; a view of no elements, or of no valid element, has all
/// strides and the offset 0.
class View {
public:
    /// Elements of `shape` in row-major order.
    static View contiguous(std::span<const std::int64_t> shape);
    /// `valid` may be empty: everything is valid.
    View(Shape shape, std::vector<std::int64_t> strides, std::int64_t offset,
         std::vector<Interval> valid = {});

    const Shape& shape() const { return shape_; }
    const std::vector<std::int64_t>& strides() const { return strides_; }
    std::int64_t offset() const { return offset_; }
    /// One interval an axis; [0, size) where the axis has no mask.
    const std::vector<Interval>& valid() const { return valid_; }
    std::size_t rank() const { return shape_.size(); }
    std::int64_t numel() const;
    bool has_mask() const;
    /// No element is valid (also true of views without elements).
    bool never_valid() const;
    /// Element i (row-major) is position i, for all of them.
    bool is_contiguous() const;
    Position at(std::span<const std::int64_t> indices) const;

    // The movement ops that are one View for every View; arguments as in docs/ir.md, already
    // checked.
    View permuted(std::span<const std::int64_t> axes) const;
    View expanded(std::span<const std::int64_t> shape) const;
    View padded(std::span<const std::int64_t> before, std::span<const std::int64_t> after) const;
    View shrunk(std::span<const std::int64_t> begin, std::span<const std::int64_t> end) const;
    View flipped(std::span<const std::int64_t> axes) const;
    View strided(std::span<const std::int64_t> step) const;

    friend bool operator==(const View&, const View&) = default;

private:
    void canonicalise();

    Shape shape_;
    std::vector<std::int64_t> strides_;
    std::int64_t offset_ = 0;
    std::vector<Interval> valid_;
};

std::ostream& operator<<(std::ostream& os, const View& view);

/// `top` over `below` as one View, where there is one: positions of `top` are row-major positions
/// in below's shape.
std::optional<View> merge(const View& top, const View& below);

/// A stack of Views from a value's shape (the last view) down to positions in memory (the first).
/// Value type; the movement ops edit it in place and return it.
class ShapeTracker {
public:
    static ShapeTracker contiguous(std::span<const std::int64_t> shape);
    explicit ShapeTracker(View view) : views_{std::move(view)} {}

    const Shape& shape() const { return views_.back().shape(); }
    /// From memory upwards; never empty.
    const std::vector<View>& views() const { return views_; }
    bool is_view() const { return views_.size() == 1; }
    bool is_contiguous() const { return is_view() && views_[0].is_contiguous(); }
    bool has_mask() const;
    /// Bits (as of a Const) of the value where the index is not valid; 0 where there is no mask.
    std::int64_t fill_bits() const { return fill_bits_; }

    // Semantics and arguments of the ops of these names in docs/ir.md; throw ShapeError for
    // arguments that do not fit.
    ShapeTracker& reshape(std::span<const std::int64_t> shape);
    ShapeTracker& permute(std::span<const std::int64_t> axes);
    ShapeTracker& expand(std::span<const std::int64_t> shape);
    /// Throws InternalError where elements that are not valid already stand for another fill.
    ShapeTracker& pad(std::span<const std::int64_t> before, std::span<const std::int64_t> after,
                      std::int64_t fill_bits = 0);
    ShapeTracker& shrink(std::span<const std::int64_t> begin, std::span<const std::int64_t> end);
    ShapeTracker& flip(std::span<const std::int64_t> axes);
    ShapeTracker& stride(std::span<const std::int64_t> step);
    ShapeTracker& window(std::int64_t axis, std::int64_t size, std::int64_t step,
                         std::int64_t dilation);
    /// This tracker's value, read through `top`, whose base is that value.
    ShapeTracker& compose(const ShapeTracker& top);
    /// Applies a tensor-level movement node to the tracker of its source.
    ShapeTracker& apply(Ref movement);

    /// Memory position of one element.
    Position at(std::span<const std::int64_t> indices) const;

    struct Index {
        Ref index;  ///< DType::Index
        Ref valid;  ///< DType::Bool
    };
    /// Memory position of the element at `indices` (Index expressions, one an axis, each within its
    /// axis) as kernel-level expressions.
    Index to_index(Arena& arena, std::span<const Ref> indices) const;

    /// By axis: by how much the memory position moves when the index along it grows by one, where
    /// that is the same everywhere; none where it is not, or is not known to be.
    std::vector<std::optional<std::int64_t>> real_strides() const;

    friend bool operator==(const ShapeTracker&, const ShapeTracker&) = default;

private:
    void replace_top(View view);
    void push(View view);
    void settle();  // merges downwards from the top and forgets a fill that is not needed

    std::vector<View> views_;
    std::int64_t fill_bits_ = 0;
};

std::ostream& operator<<(std::ostream& os, const ShapeTracker& tracker);

/// Follows the tensor-level movement nodes from `node` down to the first node that is none, the
/// base, and returns it with the tracker of `node` over the base's row-major elements. Where
/// paddings with two different fills meet, the walk ends there, and the base is the source of the
/// upper padding: a movement node to be read as a value of its own.
std::pair<Ref, ShapeTracker> track(Ref node);

}  // namespace sinter::ir
