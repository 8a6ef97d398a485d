#pragma once
// How the values lie that only kernels see: row-major, or with another axis outermost.

#include <cstdint>
#include <functional>
#include <vector>

#include "plan.h"

namespace sinter::schedule {

/// By node: the axis that lies outermost in memory; the others follow in order. 0 is row-major.
using Layouts = std::vector<std::uint8_t>;

/// Looks for products along the channels of images that lie apart, [images, channels, pixels]: a
/// product W·x of every image on its own, of as many columns as it has pixels. Where these are few,
/// and all such values that the kernel reads and writes are temporaries, their channels become the
/// outermost axis, so that the columns of all images are those of one product.
Layouts choose_layouts(const Expansion& expansion, const Plan& plan,
                       const std::function<bool(Id)>& is_temporary);

}  // namespace sinter::schedule
