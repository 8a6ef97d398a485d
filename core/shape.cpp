#include <sinter/shape.h>

#include <ostream>

namespace sinter {

std::ostream& operator<<(std::ostream& os, const Shape& shape) { return os << to_string(shape); }

}  // namespace sinter
