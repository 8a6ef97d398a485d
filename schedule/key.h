#pragma once
// Layout of Normalised::key. A node is a header, its sources (by number), its arguments and its
// shape; nodes follow one another, sources first. A Sink with the roots as sources ends the list.

#include <cstdint>

#include <sinter/ir/dtype.h>
#include <sinter/ir/op.h>

namespace sinter::schedule {

struct KeyHeader {
    ir::Op op;
    DType dtype;
    std::uint8_t rank;
    std::uint32_t nsrc;   // < 2^20
    std::uint32_t nargs;  // < 2^20
};

inline std::int64_t pack_header(const KeyHeader& h) {
    return static_cast<std::int64_t>(h.op) | static_cast<std::int64_t>(h.dtype) << 8 |
           static_cast<std::int64_t>(h.rank) << 16 | static_cast<std::int64_t>(h.nsrc) << 24 |
           static_cast<std::int64_t>(h.nargs) << 44;
}

inline KeyHeader unpack_header(std::int64_t word) {
    const auto field = [word](int at, std::int64_t mask) { return word >> at & mask; };
    return {static_cast<ir::Op>(field(0, 0xFF)), static_cast<DType>(field(8, 0xFF)),
            static_cast<std::uint8_t>(field(16, 0xFF)),
            static_cast<std::uint32_t>(field(24, 0xFFFFF)),
            static_cast<std::uint32_t>(field(44, 0xFFFFF))};
}

}  // namespace sinter::schedule
