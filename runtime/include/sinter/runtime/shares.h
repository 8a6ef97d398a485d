#pragma once
// Loops shared out among threads that do not all run equally fast.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sinter::runtime {

/// Trips of a loop that threads take in chunks: each its own piece first, from the front, so that
/// loops of the same size find the same data in the same core's caches; then what others have left,
/// from the back. Chunks shrink as trips run out (Polychronopoulos and Kuck, "Guided
/// self-scheduling"), so that threads end together though one of them is held up, or trips differ
/// in length.
class Shares {
public:
    static constexpr std::int64_t kMostTrips = INT32_MAX;

    struct Chunk {
        std::int64_t begin = 0, end = 0;  ///< both 0: nothing is left
        bool empty() const { return begin == end; }
    };

    Shares() = default;
    /// For `loops` loops that `threads` threads go through.
    Shares(std::size_t loops, int threads);

    /// All trips of a loop, up to kMostTrips, are to be done. Not while threads take any.
    void reset(std::size_t loop, std::int64_t trips);
    /// The next trips for `thread`, at least `least` of them unless fewer are left. Every trip is
    /// given to one thread, once.
    Chunk take(std::size_t loop, int thread, std::int64_t least);

private:
    // What is left of a thread's piece: begin in the upper half, end in the lower. On a line of its
    // own, since its thread alone changes it most of the time.
    struct alignas(64) Piece {
        std::atomic<std::uint64_t> left{0};
    };
    static Chunk take_from(Piece& piece, bool front, std::int64_t least);

    std::unique_ptr<Piece[]> pieces_;  // by loop and thread
    int threads_ = 0;
};

}  // namespace sinter::runtime
