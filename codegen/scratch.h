#pragma once
// How values lie in scratch memory.

#include <cstdint>

namespace sinter::codegen {

/// Each begins on a line of the cache.
inline constexpr std::int64_t kLineBytes = 64;

/// `bytes`, to the end of their last line.
inline std::int64_t whole_lines(std::int64_t bytes) {
    return (bytes + kLineBytes - 1) / kLineBytes * kLineBytes;
}

/// Elements from a row to the next: rows that lie a power of two apart fall into few sets of a
/// cache, and are moved apart by a line.
inline std::int64_t row_step(std::int64_t elements, std::int64_t element_bytes) {
    constexpr std::int64_t kAlias = 1024;
    return elements * element_bytes % kAlias == 0 ? elements + kLineBytes / element_bytes
                                                  : elements;
}

}  // namespace sinter::codegen
