#pragma once
// The numbers behind the planner's choices, in bytes of memory traffic.

#include <cstddef>
#include <cstdint>

namespace sinter::schedule::cost {

/// One operation takes the time of so many bytes from memory.
inline constexpr double kFlop = 0.25;
/// One launch more.
inline constexpr double kLaunch = 16 * 1024;
/// A value may be computed so many times in place of being read back, before its repeated
/// operations are counted.
inline constexpr double kRepeats = 4;
/// So many windows of a convolution may read an element of an image that they alone read.
inline constexpr double kWindowRepeats = 256;
/// Repeated operations that are never worth a store.
inline constexpr double kTinyWork = 4096;
/// Rows from which running over them alone keeps every core busy.
inline constexpr double kParallelRows = 16;
/// Elements below which a second core does not help.
inline constexpr double kSerialWork = 32 * 1024;
/// Windows that overlap repeat a little at their edges.
inline constexpr double kHalo = 1.6;
/// Uses expanded into one kernel, after which values are stored.
inline constexpr std::uint32_t kMaxNodes = 2000;
/// Places at which one kernel may evaluate one value.
inline constexpr std::size_t kMaxPlaces = 16;
/// A value that kernels hand to one another a few rows at a time instead of through memory: it is
/// at least so large, has so many rows for each that keeps the machine busy, and at least so many
/// rows of it are kept near.
inline constexpr double kChainBytes = 1 << 20;
inline constexpr std::int64_t kChainRows = 16;
inline constexpr std::int64_t kNearRows = 6;
/// Images of so many pixels are too few columns for a product on its own: the last vectors are
/// half empty, and operands are fetched again for each.
inline constexpr std::int64_t kFewPixels = 256;
/// What is read after so many other bytes have gone through the caches is not there any more.
inline constexpr double kLateBytes = 32 << 20;
/// Matrices of so many elements that seldom change are laid out anew for products of so many rows.
inline constexpr std::int64_t kPackedElements = 64 * 1024;
inline constexpr std::int64_t kPackedRows = 4, kMostPackedRows = 512;
/// Bytes of memory that go together.
inline constexpr std::int64_t kLine = 64;
inline constexpr std::size_t kMaxStores = 12;
inline constexpr std::size_t kMaxRanges = 48;

}  // namespace sinter::schedule::cost
