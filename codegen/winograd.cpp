#include "winograd.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <utility>

#include <sinter/ir/error.h>

#include "convolution.h"
#include "scratch.h"
#include "winograd_transform.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kImageSlot = ir::kNearSlot, kProductSlot = ir::kNearSlot - 1,
                       kFilterSlot = ir::kNearSlot - 2;
constexpr std::int64_t kTiles = 128, kTrips = 8, kShortRow = 8;
constexpr double kMostImage = 1 << 28;  // bytes of the launch's scratch
// Costs in products of a vector's lane: of a channel's tile, transformed, more where a row has few
// tiles to go side by side; of a filter; and to what part of the work it has to come down.
constexpr double kTransform = 500, kFewTiles = 10, kFilterTransform = 300, kGain = 0.9;
constexpr double kLeastWork = 1e7;  // products of less are done at once

// The value with other indices in place of ranges. What it reads along the ranges of `moving` is
// `there` or else 0.
Ref with_indices(Arena& a, Ref value, std::span<const std::pair<std::int64_t, Ref>> indices,
                 std::uint64_t moving, Ref there) {
    const Ref moved = rebuild(value, [&](Ref n, std::span<const Ref> src) -> Ref {
        if (n->is(Op::Range))
            for (const auto& [number, index] : indices)
                if (n->arg(0) == number) return index;
        if (!n->is(Op::Load) || (n->src(1)->ranges() & moving) == 0) return make_folded(a, n, src);
        return ir::load(a, src[0], src[1], fold(a, Op::And, src[2], there), n->arg(0));
    });
    const Ref choice[] = {there, moved, a.constant_bits(value->dtype(), 0)};
    return there == nullptr || moved->is(Op::Load)
               ? moved
               : make_folded(a, Op::Where, value->dtype(), choice);
}

// Where numbers of f32 lie in scratch memory.
class Layout {
public:
    // Where `count` more begin.
    std::int64_t append(std::int64_t count) {
        return std::exchange(end_, end_ + whole_lines(4 * count) / 4);
    }
    std::int64_t bytes() const { return 4 * end_; }

private:
    std::int64_t end_ = 0;
};

// A kernel on its way to phases and steps.
class Cutter {
public:
    // Throws ValueError where the sizes do not fit.
    Cutter(Form& form, const Analysis& before, const Convolution& convolution,
           const WinogradSizes& sizes);
    WinogradCut run();

private:
    // Blocks, each of which has a plane of elements for every place of a tile.
    struct Memory {
        Ref memory = nullptr;
        std::int64_t base = 0, plane = 0;
    };
    // Ranges of the channels that are summed over, and the place of their element.
    struct Inputs {
        std::vector<std::pair<std::int64_t, Ref>> indices;
        Ref place;
    };
    using Digit = std::pair<Ref, std::int64_t>;

    std::int64_t part_in(const std::vector<BlockPart>& parts, std::int64_t range,
                         std::int64_t whole) const;
    void split();
    void divide(Ref range, std::int64_t size, Ref& outer, Ref& within);
    Ref filters();
    Ref image();
    Ref products();
    Ref results();

    Ref index(std::int64_t n) const { return a_.index(n); }
    Ref fresh(std::int64_t size, Role role) {
        return size == 1 ? index(0) : ir::range(a_, form_.fresh_number(), size, role);
    }
    Inputs fresh_inputs(Role role);
    // An index made of digits, the last running fastest.
    Ref digits(std::initializer_list<Digit> all) const;
    Ref digits(Ref outer, std::int64_t size, Ref within) const {
        return digits({{outer, 0}, {within, size}});
    }
    Ref at(const Memory& where, Ref block, Ref square, Ref place) const {
        const Ref plane = digits(block, squares_, square);
        return fold(a_, Op::Add, index(where.base), digits(plane, where.plane, place));
    }
    // A block of tiles, and a tile within it.
    Ref block(Ref image, Ref row) const { return digits(image, e_.down / rows_, row); }
    Ref tile(Ref image, Ref row, Ref column) const {
        return digits({{image, images_}, {row, rows_}, {column, e_.across}});
    }
    Ref image_at(Ref block, Ref square, Ref input, Ref tile) const;
    Ref filter_at(Ref square, Ref input, Ref block, Ref output) const;
    Ref product_at(Ref square, Ref output, Ref tile) const;
    Ref store_squares(const WinogradTransform::Square& values, const Memory& where,
                      const std::function<Ref(Ref square)>& place) const;

    Form& form_;
    Arena& a_;
    const Analysis& before_;
    const Convolution& c_;
    const std::int64_t tile_, points_, squares_;
    const bool inputs_first_, outputs_first_;
    const WinogradTransform transform_;
    const Extent e_;
    std::int64_t images_, rows_, outputs_;  // of a trip; rows are of tiles
    std::int64_t blocks_, tiles_;           // of tiles; in one of them
    bool image_is_near_, filter_is_near_;
    Memory product_memory_, image_memory_, filter_memory_;
    // Indices of the trip, and within it; rows and columns of tiles.
    Ref outer_image_, outer_row_, outer_output_, image_, row_, column_, output_;
    Ref in_row_ = nullptr, in_column_ = nullptr;  // within a tile
    WinogradCut cut_;
};

Cutter::Cutter(Form& form, const Analysis& before, const Convolution& convolution,
               const WinogradSizes& sizes)
    : form_(form),
      a_(form.arena()),
      before_(before),
      c_(convolution),
      tile_(sizes.tile),
      points_(sizes.tile + kWindow - 1),
      squares_(points_ * points_),
      inputs_first_(sizes.inputs_first),
      outputs_first_(sizes.outputs_first),
      transform_(a_, sizes.tile),
      e_(extent_of(before, convolution, sizes.tile)) {
    images_ = part_in(sizes.trips, c_.batch, e_.images);
    rows_ = part_in(sizes.trips, c_.rows, e_.down);
    outputs_ = part_in(sizes.trips, c_.outputs, e_.outputs);
    blocks_ = e_.images / images_ * (e_.down / rows_);
    tiles_ = images_ * rows_ * e_.across;
    // Where a trip has all of the result's channels, nobody else needs its part of the image; where
    // it has all tiles, its filters.
    image_is_near_ = outputs_ == e_.outputs;
    filter_is_near_ = !image_is_near_ && blocks_ == 1;
    Layout near, shared;
    const auto make = [&](std::int64_t elements, std::int64_t blocks, std::int64_t near_slot) {
        const std::int64_t plane = row_step(elements, 4);
        const bool is_near = near_slot != kSharedSlot;
        return Memory{ir::param(a_, f32, near_slot),
                      (is_near ? near : shared).append(squares_ * plane * (is_near ? 1 : blocks)),
                      plane};
    };
    product_memory_ = make(outputs_ * tiles_, 1, kProductSlot);
    image_memory_ = make(e_.inputs * tiles_, blocks_, image_is_near_ ? kImageSlot : kSharedSlot);
    filter_memory_ = make(e_.inputs * outputs_, e_.outputs / outputs_,
                          filter_is_near_ ? kFilterSlot : kSharedSlot);
    if (near.bytes() > kMostScratch)
        throw ValueError("schedule: the products of a trip do not fit a thread's scratch");
    cut_.near_bytes = near.bytes();
    cut_.shared_bytes = shared.bytes();
    outer_image_ = outer_row_ = outer_output_ = image_ = row_ = column_ = output_ = index(0);
}

std::int64_t Cutter::part_in(const std::vector<BlockPart>& parts, std::int64_t range,
                             std::int64_t whole) const {
    const auto found = std::ranges::find(parts, range, &BlockPart::range);
    const std::int64_t part = found == parts.end() ? whole : found->size;
    if (part < 1 || part > whole || whole % part != 0)
        throw ValueError("schedule: " + std::to_string(part) + " of " + std::to_string(whole) +
                         " are no even part");
    return part;
}

Ref Cutter::digits(std::initializer_list<Digit> all) const {
    Ref place = index(0);
    for (const auto& [digit, size] : all)
        place = fold(a_, Op::Add, fold(a_, Op::Mul, place, index(size)), digit);
    return place;
}

Cutter::Inputs Cutter::fresh_inputs(Role role) {
    Inputs inputs{{}, index(0)};
    for (std::int64_t n : c_.inputs) {
        inputs.indices.emplace_back(n, fresh(before_.size(n), role));
        inputs.place = digits(inputs.place, before_.size(n), inputs.indices.back().second);
    }
    return inputs;
}

Ref Cutter::image_at(Ref block, Ref square, Ref input, Ref tile) const {
    return at(image_memory_, image_is_near_ ? index(0) : block, square,
              inputs_first_ ? digits(tile, e_.inputs, input) : digits(input, tiles_, tile));
}

Ref Cutter::filter_at(Ref square, Ref input, Ref block, Ref output) const {
    return at(filter_memory_, filter_is_near_ ? index(0) : block, square,
              outputs_first_ ? digits(input, outputs_, output) : digits(output, e_.inputs, input));
}

Ref Cutter::product_at(Ref square, Ref output, Ref tile) const {
    return at(product_memory_, index(0), square,
              outputs_first_ ? digits(tile, outputs_, output) : digits(output, tiles_, tile));
}

// A range of the result in parts of a trip.
void Cutter::divide(Ref range, std::int64_t size, Ref& outer, Ref& within) {
    within = range;
    if (range->src(0)->arg(0) == size) return;
    if (size == 1) {
        outer = form_.bind(range, Role::Parallel);
        within = index(0);
    } else {
        const Form::Halves halves = form_.split(range, size, Role::Parallel, Role::Loop);
        outer = halves.outer;
        within = halves.inner;
    }
    cut_.trips.push_back(outer);
}

void Cutter::split() {
    const auto tiled = [&](std::int64_t n, Ref& tiles) {
        const Form::Halves halves = form_.split(before_.range[n], tile_, Role::Loop, Role::Unroll);
        if (halves.outer == nullptr) return halves.inner;
        // The last tiles are no code of their own, which is long: masks hold back what they lack.
        tiles = ir::range(a_, halves.outer->arg(0), halves.outer->src(0), Role::Loop);
        form_.set_sink(rebuild(form_.sink(), [&](Ref node, std::span<const Ref> src) {
            return node == halves.outer ? tiles : make_folded(a_, node, src);
        }));
        return halves.inner;
    };
    if (c_.batch >= 0) divide(before_.range[c_.batch], images_, outer_image_, image_);
    in_row_ = tiled(c_.rows, row_);
    in_column_ = tiled(c_.columns, column_);
    if (e_.down > 1) divide(row_, rows_, outer_row_, row_);
    divide(before_.range[c_.outputs], outputs_, outer_output_, output_);
}

Ref Cutter::store_squares(const WinogradTransform::Square& values, const Memory& where,
                          const std::function<Ref(Ref square)>& place) const {
    std::vector<Ref> stores;
    for (const WinogradTransform::Row& row : values)
        for (Ref value : row)
            stores.push_back(ir::store(a_, where.memory,
                                       place(index(static_cast<std::int64_t>(stores.size()))),
                                       value, a_.truth(true)));
    return a_.make(Op::Sink, DType::None, stores);
}

Ref Cutter::filters() {
    const Inputs inputs = fresh_inputs(Role::Loop);
    const Ref block = filter_is_near_ ? outer_output_ : fresh(e_.outputs / outputs_, Role::Loop),
              output = fresh(outputs_, Role::Loop);
    WinogradTransform::Square g;
    for (std::int64_t i = 0; i < kWindow; ++i) {
        g.emplace_back();
        for (std::int64_t j = 0; j < kWindow; ++j) {
            auto indices = inputs.indices;
            indices.emplace_back(c_.outputs, digits(block, outputs_, output));
            indices.emplace_back(c_.window_rows, index(i));
            indices.emplace_back(c_.window_columns, index(j));
            g.back().push_back(with_indices(a_, c_.filter, indices, 0, nullptr));
        }
    }
    return store_squares(transform_.filter(g), filter_memory_, [&](Ref square) {
        return filter_at(square, inputs.place, block, output);
    });
}

// Of which tiles overlap.
Ref Cutter::image() {
    const Inputs inputs = fresh_inputs(Role::Loop);
    const bool near = image_is_near_;
    const Ref outer_image = near ? outer_image_ : fresh(e_.images / images_, Role::Loop),
              outer_row = near ? outer_row_ : fresh(e_.down / rows_, Role::Loop),
              image = fresh(images_, Role::Loop), row = fresh(rows_, Role::Loop),
              column = fresh(e_.across, Role::Loop);
    const std::int64_t height = e_.height + kWindow - 1, width = e_.width + kWindow - 1;
    WinogradTransform::Square d;
    for (std::int64_t i = 0; i < points_; ++i) {
        d.emplace_back();
        for (std::int64_t j = 0; j < points_; ++j) {
            const Ref y = fold(a_, Op::Add, digits(digits(outer_row, rows_, row), tile_, index(0)),
                               index(i)),
                      x = fold(a_, Op::Add, digits(column, tile_, index(0)), index(j));
            auto indices = inputs.indices;
            indices.emplace_back(c_.batch, digits(outer_image, images_, image));
            indices.emplace_back(c_.rows, y);
            indices.emplace_back(c_.columns, x);
            indices.emplace_back(c_.window_rows, index(0));
            indices.emplace_back(c_.window_columns, index(0));
            // The last tiles may reach beyond what there is.
            const Ref there = fold(a_, Op::And, fold(a_, Op::Lt, y, index(height)),
                                   fold(a_, Op::Lt, x, index(width)));
            d.back().push_back(with_indices(
                a_, c_.image, indices,
                range_bit(before_.range[c_.rows]) | range_bit(before_.range[c_.columns]), there));
        }
    }
    return store_squares(transform_.image(d), image_memory_, [&](Ref square) {
        return image_at(block(outer_image, outer_row), square, inputs.place,
                        tile(image, row, column));
    });
}

// A sum over the channels for each place of a tile.
Ref Cutter::products() {
    const Inputs inputs = fresh_inputs(Role::Reduce);
    const Ref square = fresh(squares_, Role::Loop), tile = fresh(tiles_, Role::Loop),
              output = fresh(outputs_, Role::Loop), whole = a_.truth(true);
    const Ref image = ir::load(
                  a_, image_memory_.memory,
                  image_at(block(outer_image_, outer_row_), square, inputs.place, tile), whole),
              filter = ir::load(a_, filter_memory_.memory,
                                filter_at(square, inputs.place, outer_output_, output), whole);
    std::vector<Ref> sum{a_.mul(image, filter)};
    for (const auto& [number, range] : inputs.indices)
        if (range->is(Op::Range)) sum.push_back(range);
    const Ref total = sum.size() == 1 ? sum[0] : a_.make(Op::Reduce, f32, sum, c_.reduce->args());
    return a_.make(
        Op::Sink, DType::None,
        {ir::store(a_, product_memory_.memory, product_at(square, output, tile), total, whole)});
}

Ref Cutter::results() {
    WinogradTransform::Square m;
    for (std::int64_t i = 0; i < points_; ++i) {
        m.emplace_back();
        for (std::int64_t j = 0; j < points_; ++j)
            m.back().push_back(
                ir::load(a_, product_memory_.memory,
                         product_at(index(i * points_ + j), output_, tile(image_, row_, column_)),
                         a_.truth(true)));
    }
    // A choice by the place in the tile; each copy of the unrolled code has one of them.
    const auto pick = [&](Ref place, const std::vector<Ref>& from) {
        Ref value = from.back();
        for (std::size_t i = from.size() - 1; i-- > 0;) {
            const Ref first = fold(a_, Op::Lt, place, index(static_cast<std::int64_t>(i) + 1));
            const Ref choice[] = {first, from[i], value};
            value = make_folded(a_, Op::Where, f32, choice);
        }
        return value;
    };
    std::vector<Ref> rows;
    for (const WinogradTransform::Row& row : transform_.result(m))
        rows.push_back(pick(in_column_, row));
    const Ref result = pick(in_row_, rows), reduce = analyse(form_.sink()).reductions[0].node;
    form_.set_sink(rebuild(form_.sink(), [&](Ref n, std::span<const Ref> src) {
        return n == reduce ? result : make_folded(a_, n, src);
    }));
    form_.expand_unrolled();
    return form_.sink();
}

WinogradCut Cutter::run() {
    split();
    (filter_is_near_ ? cut_.steps : cut_.phases).push_back(filters());
    (image_is_near_ ? cut_.steps : cut_.phases).push_back(image());
    cut_.steps.push_back(products());
    cut_.steps.push_back(results());
    return std::move(cut_);
}

// The largest part of n that divides it and is no more than `most`, in whole `units` if any is.
std::int64_t even_part(std::int64_t n, std::int64_t most, std::int64_t unit) {
    for (std::int64_t d = std::min(n, most) / unit * unit; d > 0; d -= unit)
        if (n % d == 0) return d;
    for (std::int64_t d = std::min(n, most); d > 1; --d)
        if (n % d == 0) return d;
    return 1;
}

// In products of a vector's lane.
bool pays(const Extent& e, std::int64_t squares) {
    const auto inputs = static_cast<double>(e.inputs), outputs = static_cast<double>(e.outputs),
               tiles = static_cast<double>(e.across * e.down * e.images);
    const double direct = inputs * outputs * static_cast<double>(kWindow * kWindow) *
                          static_cast<double>(e.height * e.width * e.images);
    const double turned =
        inputs * outputs * static_cast<double>(squares) * tiles +
        (inputs + outputs) * tiles * kTransform * (1 + kFewTiles / static_cast<double>(e.across)) +
        inputs * outputs * kFilterTransform;
    return turned <= kGain * direct && direct >= kLeastWork;
}

}  // namespace

std::optional<WinogradSizes> choose_winograd(const Form& form, WinogradWish wish,
                                             std::int64_t cache_bytes) {
    const Analysis a = analyse(form.sink());
    const std::optional<Convolution> found = find_convolution(a);
    if (!found) return std::nullopt;
    const Convolution& c = *found;
    // Vectors along tiles would go across an image whose channels lie side by side.
    WinogradSizes sizes{c.rows, c.columns, 4, c.inputs_first, c.inputs_first, {}};
    const std::int64_t squares = (sizes.tile + kWindow - 1) * (sizes.tile + kWindow - 1);
    const Extent e = extent_of(a, c, sizes.tile);
    if (wish == WinogradWish::WhereItPays && !pays(e, squares)) return std::nullopt;
    // Rows of tiles, and images, of a trip: its tiles make columns of products.
    std::int64_t rows = 1, some = 1;
    const auto choose_tiles = [&](std::int64_t most) {
        rows = even_part(e.down, std::max<std::int64_t>(1, most / e.across), 1);
        some = rows < e.down
                   ? 1
                   : even_part(e.images, std::max<std::int64_t>(1, most / (e.across * e.down)), 1);
        return rows * some * e.across;
    };
    std::int64_t tiles = choose_tiles(kTiles);
    // What is made of them stays near; and the filters, where the trip has all tiles.
    const bool has_all = rows == e.down && some == e.images;
    // Few tiles of a row make short vectors.
    if (e.across <= kShortRow) {
        sizes.inputs_first = sizes.inputs_first || !has_all;
        sizes.outputs_first = true;
    }
    std::int64_t most = std::max<std::int64_t>(
        kLanes, has_all ? cache_bytes * 3 / 2 / (squares * 4 * (tiles + e.inputs))
                        : cache_bytes / 2 / (squares * 4 * tiles));
    std::int64_t channels = even_part(e.outputs, most, kLanes);
    while (channels > kLanes &&
           e.images / some * (e.down / rows) * (e.outputs / channels) < kTrips) {
        most = channels / 2;
        channels = even_part(e.outputs, most, kLanes);
    }
    // A large image is transformed in the trips, all channels of few tiles at a time.
    const double whole_image = static_cast<double>(squares * 4 * e.across * e.down) *
                               static_cast<double>(e.images * e.inputs);
    if (channels < e.outputs && whole_image > kMostImage) {
        channels = e.outputs;
        tiles = choose_tiles(2 * cache_bytes / (squares * 4 * (e.outputs + e.inputs)));
    }
    const std::int64_t near = squares * 4 *
                              (channels * tiles + (channels == e.outputs ? e.inputs * tiles
                                                   : has_all             ? e.inputs * channels
                                                                         : 0));
    if (near > 3 * cache_bytes) return std::nullopt;
    const auto keep = [&](std::int64_t range, std::int64_t size, std::int64_t whole) {
        if (size != whole) sizes.trips.push_back({range, size});
    };
    keep(c.batch, some, e.images);
    keep(c.rows, rows, e.down);
    keep(c.outputs, channels, e.outputs);
    return sizes;
}

Step step_of(const WinogradSizes& sizes) {
    Step step{StepKind::Winograd,
              {sizes.rows, sizes.columns, sizes.tile, sizes.inputs_first ? 1 : 0,
               sizes.outputs_first ? 1 : 0}};
    step.operands.push_back(static_cast<std::int64_t>(sizes.trips.size()));
    for (const BlockPart& p : sizes.trips)
        step.operands.insert(step.operands.end(), {p.range, p.size});
    return step;
}

WinogradSizes winograd_of(const Step& step) {
    const std::vector<std::int64_t>& o = step.operands;
    WinogradSizes sizes{o[0], o[1], o[2], o[3] != 0, o[4] != 0, {}};
    for (std::size_t i = 6; i + 1 < o.size(); i += 2) sizes.trips.push_back({o[i], o[i + 1]});
    return sizes;
}

WinogradCut cut_convolution(Form& form, const WinogradSizes& sizes) {
    const Analysis before = analyse(form.sink());
    const std::optional<Convolution> found = find_convolution(before);
    if (!found || found->rows != sizes.rows || found->columns != sizes.columns)
        throw ValueError("schedule: the kernel is no convolution of windows of 3 x 3");
    if (sizes.tile != 2 && sizes.tile != 4)
        throw ValueError("schedule: no tiles of " + std::to_string(sizes.tile));
    Cutter cutter(form, before, *found, sizes);
    Step step = step_of(sizes);
    form.record(step.kind, std::move(step.operands));
    const Form::Quiet one_step(form);
    return cutter.run();
}

}  // namespace sinter::codegen
