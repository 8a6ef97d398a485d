#pragma once
// How the values lie that only kernels see: row-major, with their axes in another order, or as a
// part of a larger value.

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "plan.h"

namespace sinter::schedule {

/// A place in the memory of another value.
struct Part {
    Id whole;
    std::int64_t offset;
    std::vector<std::int64_t> strides;  ///< by axis
};

struct Layouts {
    /// By node: the axes as they lie in memory, the outermost first; empty if they are in order.
    std::vector<std::vector<std::uint8_t>> orders;
    std::unordered_map<Id, Part> parts;
    /// By kernel: whether nothing is left to do, as its result is there when its parts are.
    std::vector<bool> assembled;
};

/// Looks for products along the channels of images that lie apart, [images, channels, pixels]: a
/// product W·x of every image on its own, of as many columns as it has pixels. Where these are few,
/// and all such values that the kernel reads and writes are temporaries, their channels become the
/// outermost axis, so that the columns of all images are those of one product. And temporaries of
/// which products add up several axes that do not lie side by side (gradients of the queries, keys
/// and values of all heads) have those innermost. `parts` and `assembled` are for place_parts
/// (parts.h).
Layouts choose_layouts(const Expansion& expansion, const Plan& plan,
                       const std::function<bool(Id)>& is_temporary);

}  // namespace sinter::schedule
