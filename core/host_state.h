#pragma once
// A count of changes on the host that captured functions may depend on (modules' training flags).

#include <cstdint>

namespace sinter {

std::uint64_t host_epoch();

}  // namespace sinter
