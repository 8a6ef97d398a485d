#pragma once
// Order: keys with their positions, sorted in the thread's scratch by radix, at a cost linear in
// their number; equal keys keep their order.

#include "emitter.h"

namespace sinter::codegen {

/// Where an Order keeps what, and how it goes about it. Offsets are in bytes, sizes in elements.
///
/// A record is what moves: the key alone, or the key above its 32-bit position, or, for keys of 64
/// bits, the key beside its position in an array of its own. Every pass moves all records from one
/// buffer to the other, by one digit of the key, the lowest first (LSD radix sort; Knuth, volume 3,
/// 5.2.5).
struct OrderLayout {
    Ref row;            ///< which of the scratches it is
    std::int64_t slot;  ///< the memory they are in
    DType key, record;
    bool positions, beside;  ///< positions are kept; in arrays of their own
    std::int64_t count;      ///< records
    std::int64_t wanted;     ///< places that are read, from the first
    bool selects;            ///< so few that the others are left out first, by their highest digit
    bool groups;             ///< so few that most groups of neighbours have none
    int top_bits;            ///< of that digit
    int key_shift;           ///< of the key in a record
    int digit_bits, passes;
    std::int64_t records[2], positions_at[2], counters, least;  ///< `least`: of the groups' lanes
    std::int64_t bytes;   ///< end of all of it, a multiple of a cache line
    std::int64_t stride;  ///< bytes from row to row

    /// The buffer with the result.
    int last() const { return (passes + (selects ? 1 : 0)) % 2; }
};

/// Gives every Order of a scheduled kernel its scratch and makes reads of it what reads places
/// (Nth). `scratch` counts the bytes in use of the memory `slot` and grows. The thread's scratch
/// serves one trip after the other; of the launch's every trip of these parallel ranges, outermost
/// first, has its own.
Ref place_orders(Arena& arena, Ref sink, std::int64_t slot, std::int64_t& scratch,
                 std::span<const Ref> trips);

bool has_order(Ref sink);

/// Of an Order that has its place.
OrderLayout layout_of(Ref order);
/// Whether two of them have the same place, as one has that is sorted anew for other trips.
bool share_place(Ref a, Ref b);

/// The stores that keep one key (a vector of them, where the position has lanes).
std::vector<Ref> store_record(Arena& arena, const OrderLayout& layout, Ref key, Ref position);

/// Sorts the records that were stored.
void emit_order(Emitter& emit, const OrderLayout& layout);

}  // namespace sinter::codegen
