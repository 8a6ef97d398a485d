#include "memory.h"

#include <algorithm>
#include <limits>

namespace sinter::schedule {

namespace {

constexpr std::int64_t kAlignment = 64;

struct Life {
    std::uint32_t block;
    std::size_t first, last;  // launches
    std::int64_t bytes;
};

}  // namespace

std::int64_t place_temporaries(std::span<const Launch> launches, std::vector<Block>& blocks) {
    std::vector<Life> lives;
    std::vector<std::size_t> life_of(blocks.size(), blocks.size());
    for (std::size_t at = 0; at < launches.size(); ++at)
        for (const Segment& segment : launches[at].segments)
            for (std::uint32_t b : segment.blocks) {
                if (blocks[b].kind != Block::Kind::Temporary) continue;
                if (life_of[b] == blocks.size()) {
                    life_of[b] = lives.size();
                    const std::int64_t bytes =
                        blocks[b].numel * static_cast<std::int64_t>(size_of(blocks[b].dtype));
                    lives.push_back(
                        {b, at, at, (bytes + kAlignment - 1) / kAlignment * kAlignment});
                }
                lives[life_of[b]].last = at;
            }
    std::ranges::stable_sort(lives, std::greater(), &Life::bytes);

    std::int64_t total = 0;
    std::vector<const Life*> placed;  // by offset
    for (const Life& life : lives) {
        std::int64_t best = -1, best_gap = std::numeric_limits<std::int64_t>::max(), end = 0;
        for (const Life* other : placed) {
            if (other->last < life.first || life.last < other->first) continue;
            const std::int64_t offset = blocks[other->block].offset, gap = offset - end;
            if (gap >= life.bytes && gap < best_gap) {
                best = end;
                best_gap = gap;
            }
            end = std::max(end, offset + other->bytes);
        }
        const std::int64_t offset = best >= 0 ? best : end;
        blocks[life.block].offset = offset;
        total = std::max(total, offset + life.bytes);
        const auto at = std::ranges::upper_bound(
            placed, offset, {}, [&](const Life* l) { return blocks[l->block].offset; });
        placed.insert(at, &life);
    }
    return total;
}

}  // namespace sinter::schedule
