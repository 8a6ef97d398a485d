#include <sinter/shape.h>

#include <ostream>

#include "call.h"

namespace sinter {

std::string to_string(const Shape& shape) { return text(shape); }

std::ostream& operator<<(std::ostream& os, const Shape& shape) { return os << to_string(shape); }

std::vector<std::int64_t> PerAxis::checked(std::string_view what, std::size_t count,
                                           std::int64_t least) const {
    std::vector<std::int64_t> all = values_;
    if (all.size() == 1) all.resize(count, all[0]);
    if (all.size() != count)
        fail<ShapeError>(std::string(what) + " needs one number or " + std::to_string(count) +
                         ", got " + text(values_));
    for (const std::int64_t value : all) {
        if (value < least)
            fail<ValueError>(std::string(what) + " must be at least " + text(least) + ", got " +
                             text(values_));
        // So that products of two of them do not overflow.
        if (value >= std::int64_t{1} << 31)
            fail<ValueError>(std::string(what) + " must be below 2^31, got " + text(values_));
    }
    return all;
}

}  // namespace sinter
