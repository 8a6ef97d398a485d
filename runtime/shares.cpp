#include <sinter/runtime/shares.h>

#include <algorithm>

#include <sinter/runtime/pool.h>

namespace sinter::runtime {
namespace {

constexpr std::int64_t kChunks = 8;  // a chunk is this part of what is left of a piece

std::uint64_t pack(std::int64_t begin, std::int64_t end) {
    return static_cast<std::uint64_t>(begin) << 32 | static_cast<std::uint64_t>(end);
}
std::int64_t begin_of(std::uint64_t left) { return static_cast<std::int64_t>(left >> 32); }
std::int64_t end_of(std::uint64_t left) { return static_cast<std::int64_t>(left & UINT32_MAX); }

}  // namespace

Shares::Shares(std::size_t loops, int threads)
    : pieces_(std::make_unique<Piece[]>(loops * static_cast<std::size_t>(threads))),
      threads_(threads) {}

void Shares::reset(std::size_t loop, std::int64_t trips) {
    Piece* const pieces = &pieces_[loop * static_cast<std::size_t>(threads_)];
    for (int t = 0; t < threads_; ++t)
        pieces[t].left.store(
            pack(ThreadPool::piece(trips, t, threads_), ThreadPool::piece(trips, t + 1, threads_)),
            std::memory_order_relaxed);
}

// The numbers alone are shared here: what a trip reads and writes is ordered by the barriers around
// the loop.
Shares::Chunk Shares::take_from(Piece& piece, bool front, std::int64_t least) {
    std::uint64_t left = piece.left.load(std::memory_order_relaxed);
    for (;;) {
        const std::int64_t begin = begin_of(left), end = end_of(left), count = end - begin;
        if (count == 0) return {};
        const std::int64_t mine = std::min(count, std::max(least, count / kChunks));
        const Chunk chunk = front ? Chunk{begin, begin + mine} : Chunk{end - mine, end};
        const std::uint64_t rest = front ? pack(begin + mine, end) : pack(begin, end - mine);
        if (piece.left.compare_exchange_weak(left, rest, std::memory_order_relaxed)) return chunk;
    }
}

Shares::Chunk Shares::take(std::size_t loop, int thread, std::int64_t least) {
    Piece* const pieces = &pieces_[loop * static_cast<std::size_t>(threads_)];
    for (int i = 0; i < threads_; ++i) {
        const int of = (thread + i) % threads_;
        if (const Chunk chunk = take_from(pieces[of], i == 0, least); !chunk.empty()) return chunk;
    }
    return {};
}

}  // namespace sinter::runtime
