// Where convolutions go in fewer products than they have, and in which parts.

#include <algorithm>
#include <cmath>
#include <utility>

#include "convolution.h"
#include "winograd.h"
#include "winograd_transform.h"

namespace sinter::codegen {
namespace {

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kTiles = 128, kTrips = 8, kShortRow = 8;
constexpr double kMostImage = 1 << 28;  // bytes of the launch's scratch
// Costs in products of a vector's lane: of a transformed value of the image or the result, more
// where a row has few tiles to go side by side; of a filter's; of a sum that is kept from block to
// block; and to what part of the work it has to come down.
constexpr double kValue = 12, kFewTiles = 4, kFilterValue = 6, kKeep = 8, kGain = 0.9;
constexpr double kLeastWork = 1e7;   // products of less are done at once
constexpr double kNearShare = 0.75;  // of the second-level cache, for a block

// The largest part of n that divides it and is no more than `most`, in whole `units` if any is.
std::int64_t even_part(std::int64_t n, std::int64_t most, std::int64_t unit) {
    for (std::int64_t d = std::min(n, most) / unit * unit; d > 0; d -= unit)
        if (n % d == 0) return d;
    for (std::int64_t d = std::min(n, most); d > 1; --d)
        if (n % d == 0) return d;
    return 1;
}

std::int64_t whole_parts(std::int64_t n, std::int64_t part) { return (n + part - 1) / part; }

// A way to cut results and windows into tiles and pieces.
struct Tiling {
    std::int64_t tile, window;
    std::int64_t down, across;                // tiles
    std::int64_t pieces_down, pieces_across;  // of a window
    double squares, tiles, steps;             // points; tiles in all; steps of the sum

    Tiling(const Extent& e, std::int64_t tile_size, std::int64_t window_size)
        : tile(tile_size),
          window(window_size),
          down(whole_parts(e.height, tile)),
          across(whole_parts(e.width, tile)),
          pieces_down(whole_parts(e.window_height, window)),
          pieces_across(whole_parts(e.window_width, window)),
          squares(static_cast<double>((tile + window - 1) * (tile + window - 1))),
          tiles(static_cast<double>(down * across * e.images)),
          steps(static_cast<double>(e.inputs * pieces_down * pieces_across)) {}

    std::int64_t points() const { return static_cast<std::int64_t>(squares); }
    // Whether windows, of more pieces than there are tiles, are summed up block by block.
    bool in_blocks() const { return pieces_down * pieces_across > down * across; }
};

double direct_products(const Extent& e) {
    return static_cast<double>(e.inputs * e.outputs) *
           static_cast<double>(e.window_height * e.window_width) *
           static_cast<double>(e.height * e.width * e.images);
}

// In products of a vector's lane.
double cost_of(const Extent& e, const Tiling& t) {
    const auto outputs = static_cast<double>(e.outputs);
    const auto value = [&](std::int64_t side_by_side) {
        return kValue * (1 + kFewTiles / static_cast<double>(side_by_side));
    };
    const std::int64_t row = t.in_blocks() ? e.images : t.across;
    return t.squares * (t.steps * outputs * t.tiles + t.steps * t.tiles * value(row) +
                        outputs * t.tiles * value(row) +
                        t.steps * outputs * (t.in_blocks() ? kValue : kFilterValue));
}

Tiling best_tiling(const Extent& e) {
    // More points make fewer products and larger errors: not for windows of 3.
    const std::int64_t side =
        std::min(std::max(e.height, e.width), std::max(e.window_height, e.window_width));
    Tiling best(e, 4, 3);
    for (const std::int64_t both : {7, 9})
        for (std::int64_t tile = 2; tile <= both - 2 && (both == 7 || side > 3); ++tile)
            if (const Tiling other(e, tile, both - tile); cost_of(e, other) < cost_of(e, best))
                best = other;
    return best;
}

bool pays(const Extent& e, const Tiling& t) {
    const double direct = direct_products(e);
    return cost_of(e, t) <= kGain * direct && direct * static_cast<double>(e.groups) >= kLeastWork;
}

// What a trip has of the result, and a block of the sum, for windows of many pieces: what is made
// of the block's operands stays near, as do the products.
struct Blocking {
    std::int64_t images, outputs, inputs, pieces_down;
    double cost = INFINITY;  // a step of the sum, of all products

    std::int64_t trips(const Extent& e) const {
        return e.images / images * (e.outputs / outputs) * e.groups;
    }
};

Blocking choose_blocking(const Extent& e, const Tiling& t, std::int64_t innermost_input,
                         std::int64_t cache_bytes) {
    Blocking best{1, 1, 1, 1};
    const auto parts_of = [](std::int64_t n, std::int64_t unit) {
        std::vector<std::int64_t> parts;
        for (std::int64_t most = n; most > 0; most = parts.back() - 1)
            parts.push_back(even_part(n, most, unit));
        return parts;
    };
    const auto all = static_cast<double>(e.images * e.outputs);
    for (std::int64_t images : parts_of(e.images, kLanes))
        for (std::int64_t outputs : parts_of(e.outputs, kLanes))
            for (std::int64_t inputs : parts_of(innermost_input, 1))
                for (std::int64_t down : parts_of(t.pieces_down, 1)) {
                    if (inputs > 1 && down < t.pieces_down) continue;
                    const auto steps = static_cast<double>(inputs * down * t.pieces_across),
                               some = static_cast<double>(images * t.down * t.across),
                               others = static_cast<double>(outputs);
                    const double bytes = 4 * t.squares * (some * others + steps * (some + others));
                    if (bytes > kNearShare * static_cast<double>(cache_bytes)) continue;
                    const double cost =
                        t.squares * kValue * all *
                            (static_cast<double>(t.down * t.across) / others +
                             1 / static_cast<double>(images)) +
                        kKeep * t.squares * all * static_cast<double>(t.down * t.across) / steps;
                    if (cost < best.cost) best = {images, outputs, inputs, down, cost};
                }
    return best;
}

// Channels of the result for trips that have all tiles, which transform their filters themselves:
// each trip reads the whole image from afar, and what does not stay near is written and read again.
std::int64_t channels_of_all_tiles(const Extent& e, std::int64_t channel_bytes, std::int64_t tiles,
                                   std::int64_t steps, std::int64_t cache_bytes) {
    std::int64_t best = e.outputs, least = INT64_MAX;
    for (std::int64_t most = e.outputs; most > 0; most -= kLanes) {
        const std::int64_t channels = even_part(e.outputs, most, kLanes),
                           trips = e.outputs / channels,
                           near = channel_bytes * channels * (tiles + steps),
                           far = channel_bytes * tiles * steps;
        // What is gone through in order leaves a cache that it does not fit almost at once.
        const std::int64_t gone = std::clamp<std::int64_t>(3 * (near - cache_bytes), 0, near),
                           bytes = trips * (far + 2 * gone);
        if (trips * e.groups >= kTrips && bytes < least) {
            least = bytes;
            best = channels;
        }
        most = std::min(most, channels);
    }
    return best;
}

struct Choice {
    Analysis analysis;
    Convolution convolution;
    Extent extent;
    Tiling tiling;
};

std::optional<Choice> choose_tiling(const Form& form, WinogradWish wish) {
    Analysis a = analyse(form.sink());
    std::optional<Convolution> found = find_convolution(a);
    if (!found) return std::nullopt;
    const Extent e = extent_of(a, *found);
    const Tiling t = best_tiling(e);
    if (wish == WinogradWish::WhereItPays && !pays(e, t)) return std::nullopt;
    return Choice{std::move(a), std::move(*found), e, t};
}

Blocking choose_blocking(const Choice& c, std::int64_t cache_bytes) {
    const std::vector<std::int64_t>& inputs = c.convolution.inputs;
    return choose_blocking(c.extent, c.tiling, inputs.empty() ? 1 : c.analysis.size(inputs.back()),
                           cache_bytes);
}

void keep(std::vector<BlockPart>& parts, std::int64_t range, std::int64_t part,
          std::int64_t whole) {
    if (part != whole) parts.push_back({range, part});
}

}  // namespace

std::optional<BlockPart> choose_winograd_chunks(const Form& form, WinogradWish wish,
                                                std::int64_t cache_bytes) {
    const std::optional<Choice> c = choose_tiling(form, wish);
    if (!c || !c->tiling.in_blocks() || c->convolution.inputs.empty()) return std::nullopt;
    const Blocking b = choose_blocking(*c, cache_bytes);
    const std::int64_t range = c->convolution.inputs.front(), size = c->analysis.size(range),
                       chunks = whole_parts(kTrips, b.trips(c->extent));
    if (std::isinf(b.cost) || chunks == 1) return std::nullopt;
    const std::int64_t chunk = even_part(size, size / chunks, 1);
    return chunk == size || size < chunks ? std::nullopt : std::optional(BlockPart{range, chunk});
}

std::optional<WinogradSizes> choose_winograd(const Form& form, WinogradWish wish,
                                             std::int64_t cache_bytes) {
    const std::optional<Choice> choice = choose_tiling(form, wish);
    if (!choice) return std::nullopt;
    const Analysis& a = choice->analysis;
    const Convolution& c = choice->convolution;
    const Extent& e = choice->extent;
    const Tiling& t = choice->tiling;
    // Vectors along tiles would go across an image whose channels lie side by side.
    WinogradSizes sizes{c.rows,         c.columns,      t.tile, t.window,
                        c.inputs_first, c.inputs_first, {},     {}};
    if (t.in_blocks()) {
        const Blocking b = choose_blocking(*choice, cache_bytes);
        if (std::isinf(b.cost)) return std::nullopt;
        sizes.outputs_first = true;
        sizes.inputs_first = false;
        keep(sizes.trips, c.batch, b.images, e.images);
        keep(sizes.trips, c.outputs, b.outputs, e.outputs);
        for (std::int64_t n : c.inputs)
            keep(sizes.blocks, n, n == c.inputs.back() ? b.inputs : 1, a.size(n));
        keep(sizes.blocks, c.window_rows, b.pieces_down, t.pieces_down);
        return sizes;
    }
    const std::int64_t squares = t.points(), steps = static_cast<std::int64_t>(t.steps);
    // Rows of tiles, and images, of a trip: its tiles make columns of products.
    std::int64_t rows = 1, some = 1;
    const auto choose_tiles = [&](std::int64_t most) {
        rows = even_part(t.down, std::max<std::int64_t>(1, most / t.across), 1);
        some = rows < t.down
                   ? 1
                   : even_part(e.images, std::max<std::int64_t>(1, most / (t.across * t.down)), 1);
        return rows * some * t.across;
    };
    std::int64_t tiles = choose_tiles(kTiles);
    // What is made of them stays near; and the filters, where the trip has all tiles.
    const bool has_all = rows == t.down && some == e.images;
    // Few tiles of a row make short vectors.
    if (t.across <= kShortRow) sizes.inputs_first = sizes.outputs_first = true;
    std::int64_t channels =
        has_all ? channels_of_all_tiles(e, squares * 4, tiles, steps, cache_bytes)
                : even_part(e.outputs,
                            std::max<std::int64_t>(kLanes, cache_bytes / 2 / (squares * 4 * tiles)),
                            kLanes);
    // Half the tiles, if all channels are near then: the image's transform is never far.
    if (!has_all && channels < e.outputs) {
        tiles = choose_tiles(kTiles / 2);
        if (squares * 4 * tiles * (e.outputs + steps) <= cache_bytes / 2)
            channels = e.outputs;
        else
            tiles = choose_tiles(kTiles);
    }
    const std::int64_t tile_trips = e.images / some * (t.down / rows) * e.groups;
    while (channels > kLanes && tile_trips * (e.outputs / channels) < kTrips)
        channels = even_part(e.outputs, channels / 2, kLanes);
    // A large image is transformed in the trips, all channels of few tiles at a time.
    const double whole_image = 4 * t.squares * t.tiles * t.steps;
    if (channels < e.outputs && whole_image > kMostImage) {
        channels = e.outputs;
        tiles = choose_tiles(2 * cache_bytes / (squares * 4 * (e.outputs + steps)));
    }
    const bool image_is_near = channels == e.outputs || e.groups > 1,
               filters_are_near = e.groups > 1 || (has_all && !image_is_near);
    const std::int64_t near = squares * 4 *
                              (channels * tiles + (image_is_near ? steps * tiles : 0) +
                               (filters_are_near ? steps * channels : 0));
    if (near > 3 * cache_bytes) return std::nullopt;
    keep(sizes.trips, c.batch, some, e.images);
    keep(sizes.trips, c.rows, rows, t.down);
    keep(sizes.trips, c.outputs, channels, e.outputs);
    return sizes;
}

Step step_of(const WinogradSizes& sizes) {
    Step step{StepKind::Winograd,
              {sizes.rows, sizes.columns, sizes.tile, sizes.window, sizes.inputs_first ? 1 : 0,
               sizes.outputs_first ? 1 : 0}};
    append_parts(step, sizes.trips);
    append_parts(step, sizes.blocks);
    return step;
}

WinogradSizes winograd_of(const Step& step) {
    const std::span<const std::int64_t> o = step.operands;
    WinogradSizes sizes{o[0], o[1], o[2], o[3], o[4] != 0, o[5] != 0, {}, {}};
    std::span<const std::int64_t> rest = o.subspan(kWinogradParts);
    sizes.trips = take_parts(rest);
    sizes.blocks = take_parts(rest);
    return sizes;
}

}  // namespace sinter::codegen
