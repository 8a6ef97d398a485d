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
using Row = WinogradTransform::Row;

constexpr std::int64_t kLanes = 16;
constexpr std::int64_t kImageSlot = ir::kNearSlot, kProductSlot = ir::kNearSlot - 1,
                       kFilterSlot = ir::kNearSlot - 2;

// The value with other indices in place of ranges. Where `there` is given, what it reads along the
// ranges of `moving` is there or else 0.
Ref with_indices(Arena& a, Ref value, std::span<const std::pair<std::int64_t, Ref>> indices,
                 std::uint64_t moving, Ref there) {
    const Ref moved = rebuild(value, [&](Ref n, std::span<const Ref> src) -> Ref {
        if (n->is(Op::Range))
            for (const auto& [number, index] : indices)
                if (n->arg(0) == number) return index;
        if (there == nullptr || !n->is(Op::Load) || (n->src(1)->ranges() & moving) == 0)
            return make_folded(a, n, src);
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
    // A range of the sum, of channels or of a window's pieces: what a block has of it.
    struct Summed {
        std::int64_t number, size, part;
        Ref block;  // its index
    };
    // The element of a block that one of fresh ranges is at: indices of the channels, the piece of
    // the window, and its place.
    struct Inputs {
        std::vector<std::pair<std::int64_t, Ref>> indices;
        Ref piece_row, piece_column, place;
        std::vector<Ref> ranges;
        Ref lane;  // of the last channels, those side by side in a vector
    };
    // A fresh range, or one in parts that fill a vector, if they do.
    struct Lanes {
        Ref index, outer, lane;
    };
    using Digit = std::pair<Ref, std::int64_t>;

    std::int64_t part_in(const std::vector<BlockPart>& parts, std::int64_t range,
                         std::int64_t whole) const;
    void split();
    void add_summed(const WinogradSizes& sizes);
    bool in_blocks() const { return !cut_.blocks.empty(); }
    void divide(Ref range, std::int64_t size, Ref& outer, Ref& within);
    void lay_out();
    Ref filter_element(const Inputs& inputs, Ref output, Ref i, std::int64_t j) const;
    Ref image_element(const Inputs& inputs, Ref image, Ref y, Ref x) const;
    void filters();
    void image();
    void add_transform(Ref sink, bool near, std::vector<Ref> trips);
    Ref products();
    Ref results();

    Ref index(std::int64_t n) const { return a_.index(n); }
    Ref fresh(std::int64_t size, Role role) {
        return size == 1 ? index(0) : ir::range(a_, form_.fresh_number(), size, role);
    }
    Inputs fresh_inputs(Role role, bool with_lane);
    Lanes fresh_lanes(std::int64_t size, Role role, bool in_parts);
    static std::int64_t lanes_of(std::int64_t size) { return size % kLanes == 0 ? kLanes : size; }
    // An index made of digits, the last running fastest.
    Ref digits(std::initializer_list<Digit> all) const;
    Ref digits(Ref outer, std::int64_t size, Ref within) const {
        return digits({{outer, 0}, {within, size}});
    }
    Ref at(const Memory& where, Ref block, Ref square, Ref place) const {
        const Ref plane = digits(block, squares_, square);
        return fold(a_, Op::Add, index(where.base), digits(plane, where.plane, place));
    }
    // A part of the tiles, and a tile within it.
    Ref part(Ref image, Ref row) const { return digits(image, down_ / rows_, row); }
    Ref tile(Ref image, Ref row, Ref column) const {
        return in_blocks() ? digits({{row, rows_}, {column, across_}, {image, images_}})
                           : digits({{image, images_}, {row, rows_}, {column, across_}});
    }
    Ref image_at(Ref part, Ref square, Ref input, Ref tile) const;
    Ref filter_at(Ref square, Ref input, Ref block, Ref output) const;
    Ref product_at(Ref square, Ref output, Ref tile) const;
    Row hand_over(const Row& values, Ref first, Ref second, Ref lane,
                  std::vector<Ref>& stores) const;
    Ref turn(Row (WinogradTransform::*way)(const Row&) const, std::int64_t size, Ref lane,
             const std::function<Ref(Ref row, std::int64_t column)>& element, const Memory& where,
             const std::function<Ref(Ref square)>& place);

    Form& form_;
    Arena& a_;
    const Analysis& before_;
    const Convolution& c_;
    const std::int64_t tile_, window_, points_, squares_;
    const bool inputs_first_, outputs_first_;
    const WinogradTransform transform_;
    const Extent e_;
    const std::int64_t down_, across_;      // tiles
    std::int64_t images_, rows_, outputs_;  // of a trip; rows are of tiles
    std::int64_t parts_, tiles_;            // of all tiles, for trips; in one of them
    std::vector<Summed> summed_;
    std::int64_t steps_ = 1;  // of the sum, in a block
    bool image_is_near_, filter_is_near_;
    Memory product_memory_, image_memory_, filter_memory_;
    std::int64_t turned_base_ = 0;  // of a transform's rows
    // Indices of the trip, and within it; rows and columns of tiles.
    Ref outer_image_, outer_row_, outer_output_, image_, row_, column_, output_;
    std::vector<std::pair<std::int64_t, Ref>> groups_;
    Ref in_row_ = nullptr, in_column_ = nullptr;  // within a tile
    Ref output_lane_ = nullptr;                   // of the result's channels, within a vector
    WinogradCut cut_;
};

Cutter::Cutter(Form& form, const Analysis& before, const Convolution& convolution,
               const WinogradSizes& sizes)
    : form_(form),
      a_(form.arena()),
      before_(before),
      c_(convolution),
      tile_(sizes.tile),
      window_(sizes.window),
      points_(sizes.tile + sizes.window - 1),
      squares_(points_ * points_),
      inputs_first_(sizes.inputs_first),
      outputs_first_(sizes.outputs_first),
      transform_(a_, sizes.tile, sizes.window),
      e_(extent_of(before, convolution)),
      down_((e_.height + tile_ - 1) / tile_),
      across_((e_.width + tile_ - 1) / tile_) {
    images_ = part_in(sizes.trips, c_.batch, e_.images);
    rows_ = part_in(sizes.trips, c_.rows, down_);
    outputs_ = part_in(sizes.trips, c_.outputs, e_.outputs);
    parts_ = e_.images / images_ * (down_ / rows_);
    tiles_ = images_ * rows_ * across_;
    add_summed(sizes);
    // Where a trip has all of the result's channels, nobody else needs its part of the image; where
    // it has all tiles, its filters. A block's are made as it is reached, and a group's for it
    // alone.
    const bool all_near = in_blocks() || !c_.groups.empty();
    image_is_near_ = all_near || outputs_ == e_.outputs;
    filter_is_near_ = all_near || (!image_is_near_ && parts_ == 1);
    lay_out();
    outer_image_ = outer_row_ = outer_output_ = image_ = row_ = column_ = output_ = index(0);
}

void Cutter::lay_out() {
    Layout near, shared;
    const auto make = [&](std::int64_t elements, std::int64_t blocks, std::int64_t slot) {
        const std::int64_t plane = row_step(elements, 4);
        const bool is_near = slot != kSharedSlot;
        return Memory{ir::param(a_, f32, slot),
                      (is_near ? near : shared).append(squares_ * plane * (is_near ? 1 : blocks)),
                      plane};
    };
    product_memory_ = make(outputs_ * tiles_, 1, kProductSlot);
    image_memory_ = make(steps_ * tiles_, parts_, image_is_near_ ? kImageSlot : kSharedSlot);
    filter_memory_ =
        make(steps_ * outputs_, e_.outputs / outputs_, filter_is_near_ ? kFilterSlot : kSharedSlot);
    turned_base_ = near.append(squares_ * std::max({across_, lanes_of(outputs_), lanes_of(images_),
                                                    lanes_of(summed_.back().part)}));
    if (near.bytes() > kMostScratch)
        throw ValueError("schedule: the products of a trip do not fit a thread's scratch");
    cut_.near_bytes = near.bytes();
    cut_.shared_bytes = shared.bytes();
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

// The sum's ranges, outermost first: pieces of the window, then channels.
void Cutter::add_summed(const WinogradSizes& sizes) {
    const auto add = [&](std::int64_t number, std::int64_t size) {
        const std::int64_t part = part_in(sizes.blocks, number, size);
        summed_.push_back({number, size, part, fresh(size / part, Role::Parallel)});
        if (part < size) cut_.blocks.push_back(summed_.back().block);
        steps_ *= part;
    };
    add(c_.window_rows, (e_.window_height + window_ - 1) / window_);
    add(c_.window_columns, (e_.window_width + window_ - 1) / window_);
    for (std::int64_t n : c_.inputs) add(n, before_.size(n));
}

Cutter::Lanes Cutter::fresh_lanes(std::int64_t size, Role role, bool in_parts) {
    if (!in_parts) {
        const Ref range = fresh(size, role);
        return {range, range, index(0)};
    }
    const std::int64_t lanes = lanes_of(size);
    const Ref outer = fresh(size / lanes, role), lane = fresh(lanes, Role::Loop);
    return {digits(outer, lanes, lane), outer, lane};
}

Cutter::Inputs Cutter::fresh_inputs(Role role, bool with_lane) {
    Inputs inputs{groups_, nullptr, nullptr, index(0), {}, index(0)};
    for (const Summed& s : summed_) {
        const Lanes lanes = fresh_lanes(s.part, role, with_lane && &s == &summed_.back());
        const Ref whole = digits(s.block, s.part, lanes.index);
        inputs.place = digits(inputs.place, s.part, lanes.index);
        inputs.lane = lanes.lane;  // of the last
        if (lanes.outer->is(Op::Range)) inputs.ranges.push_back(lanes.outer);
        if (s.number == c_.window_rows)
            inputs.piece_row = whole;
        else if (s.number == c_.window_columns)
            inputs.piece_column = whole;
        else
            inputs.indices.emplace_back(s.number, whole);
    }
    return inputs;
}

Ref Cutter::image_at(Ref part, Ref square, Ref input, Ref tile) const {
    return at(image_memory_, image_is_near_ ? index(0) : part, square,
              inputs_first_ ? digits(tile, steps_, input) : digits(input, tiles_, tile));
}

Ref Cutter::filter_at(Ref square, Ref input, Ref block, Ref output) const {
    return at(filter_memory_, filter_is_near_ ? index(0) : block, square,
              outputs_first_ ? digits(input, outputs_, output) : digits(output, steps_, input));
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
    const auto tiled = [&](std::int64_t n, Role within, Ref& tiles) {
        const Form::Halves halves = form_.split(before_.range[n], tile_, Role::Loop, within);
        if (halves.outer == nullptr) return halves.inner;
        // The last tiles are no code of their own, which is long: masks hold back what they lack.
        tiles = ir::range(a_, halves.outer->arg(0), halves.outer->src(0), Role::Loop);
        form_.set_sink(rebuild(form_.sink(), [&](Ref node, std::span<const Ref> src) {
            return node == halves.outer ? tiles : make_folded(a_, node, src);
        }));
        return halves.inner;
    };
    if (c_.batch >= 0) divide(before_.range[c_.batch], images_, outer_image_, image_);
    in_row_ = tiled(c_.rows, Role::Loop, row_);
    in_column_ = tiled(c_.columns, Role::Unroll, column_);
    if (down_ > 1) divide(row_, rows_, outer_row_, row_);
    divide(before_.range[c_.outputs], outputs_, outer_output_, output_);
    output_lane_ = output_;
    if (outputs_first_ && lanes_of(outputs_) < outputs_) {
        const Form::Halves parts = form_.split(output_, kLanes, Role::Loop, Role::Loop);
        output_ = digits(parts.outer, kLanes, parts.inner);
        output_lane_ = parts.inner;
    }
    for (std::int64_t n : c_.groups) {
        groups_.emplace_back(n, form_.bind(before_.range[n], Role::Parallel));
        cut_.trips.push_back(groups_.back().second);
    }
}

// Squares are turned by rows, then by columns, in loops: code for all of one at once takes long to
// compile. The values of each step of the first loop wait in the thread's scratch; gives, of all
// its steps, the value that the second loop is at.
Row Cutter::hand_over(const Row& values, Ref first, Ref second, Ref lane,
                      std::vector<Ref>& stores) const {
    const Ref memory = ir::param(a_, f32, kThreadSlot), whole = a_.truth(true);
    const std::int64_t steps = first->src(0)->arg(0),
                       lanes = lane->is(Op::Range) ? lane->src(0)->arg(0) : 1;
    const auto at = [&](Ref value, Ref step) {
        return fold(a_, Op::Add, index(turned_base_),
                    digits({{value, 0}, {step, steps}, {lane, lanes}}));
    };
    for (std::size_t i = 0; i < values.size(); ++i)
        stores.push_back(ir::store(a_, memory, at(index(static_cast<std::int64_t>(i)), first),
                                   values[i], whole));
    Row all;
    for (std::int64_t i = 0; i < steps; ++i)
        all.push_back(ir::load(a_, memory, at(second, index(i)), whole));
    return all;
}

Ref Cutter::turn(Row (WinogradTransform::*way)(const Row&) const, std::int64_t size, Ref lane,
                 const std::function<Ref(Ref row, std::int64_t column)>& element,
                 const Memory& where, const std::function<Ref(Ref square)>& place) {
    const Ref row = fresh(size, Role::Loop), column = fresh(points_, Role::Loop);
    Row elements;
    for (std::int64_t j = 0; j < size; ++j) elements.push_back(element(row, j));
    std::vector<Ref> stores;
    const Row turned =
        (transform_.*way)(hand_over((transform_.*way)(elements), row, column, lane, stores));
    for (std::int64_t i = 0; i < points_; ++i)
        stores.push_back(ir::store(a_, where.memory, place(digits(index(i), points_, column)),
                                   turned[static_cast<std::size_t>(i)], a_.truth(true)));
    return a_.make(Op::Sink, DType::None, stores);
}

// Of the filter at a place of the piece; 0 beyond the window, which the last pieces may reach.
Ref Cutter::filter_element(const Inputs& inputs, Ref output, Ref i, std::int64_t j) const {
    const Ref y = digits(inputs.piece_row, window_, i),
              x = digits(inputs.piece_column, window_, index(j));
    auto indices = inputs.indices;
    indices.emplace_back(c_.outputs, output);
    indices.emplace_back(c_.window_rows, y);
    indices.emplace_back(c_.window_columns, x);
    const auto inside = [&](Ref position, std::int64_t size) {
        return size % window_ == 0 ? a_.truth(true) : fold(a_, Op::Lt, position, index(size));
    };
    const bool always = e_.window_height % window_ == 0 && e_.window_width % window_ == 0;
    return with_indices(
        a_, c_.filter, indices,
        range_bit(before_.range[c_.window_rows]) | range_bit(before_.range[c_.window_columns]),
        always ? nullptr
               : fold(a_, Op::And, inside(y, e_.window_height), inside(x, e_.window_width)));
}

// Of the image; 0 where the last tiles reach beyond what there is.
Ref Cutter::image_element(const Inputs& inputs, Ref image, Ref y, Ref x) const {
    auto indices = inputs.indices;
    indices.emplace_back(c_.batch, image);
    indices.emplace_back(c_.rows, y);
    indices.emplace_back(c_.columns, x);
    indices.emplace_back(c_.window_rows, index(0));
    indices.emplace_back(c_.window_columns, index(0));
    const Ref height = index(e_.height + e_.window_height - 1),
              width = index(e_.width + e_.window_width - 1);
    return with_indices(a_, c_.image, indices,
                        range_bit(before_.range[c_.rows]) | range_bit(before_.range[c_.columns]),
                        fold(a_, Op::And, fold(a_, Op::Lt, y, height), fold(a_, Op::Lt, x, width)));
}

void Cutter::filters() {
    const bool near = filter_is_near_;
    const Role role = near ? Role::Loop : Role::Parallel;
    const Inputs inputs = fresh_inputs(role, !outputs_first_);
    const Ref block = near ? outer_output_ : fresh(e_.outputs / outputs_, role);
    const Lanes outputs = fresh_lanes(outputs_, role, outputs_first_);
    const Ref sink = turn(
        &WinogradTransform::filter, window_, outputs_first_ ? outputs.lane : inputs.lane,
        [&](Ref i, std::int64_t j) {
            return filter_element(inputs, digits(block, outputs_, outputs.index), i, j);
        },
        filter_memory_,
        [&](Ref square) { return filter_at(square, inputs.place, block, outputs.index); });
    std::vector<Ref> trips = inputs.ranges;
    trips.insert(trips.end(), {block, outputs.outer});
    add_transform(sink, near, std::move(trips));
}

// Of which tiles overlap.
void Cutter::image() {
    const bool near = image_is_near_;
    const Role role = near ? Role::Loop : Role::Parallel;
    const Inputs inputs = fresh_inputs(role, inputs_first_);
    const bool along_images = !inputs_first_ && in_blocks(),
               along_columns = !inputs_first_ && !in_blocks();
    const Ref outer_image = near ? outer_image_ : fresh(e_.images / images_, role),
              outer_row = near ? outer_row_ : fresh(down_ / rows_, role), row = fresh(rows_, role);
    const Lanes images = fresh_lanes(images_, role, along_images),
                columns = fresh_lanes(across_, role, along_columns);
    const auto at = [&](Ref tile, Ref piece, Ref element) {
        return fold(a_, Op::Add,
                    fold(a_, Op::Add, fold(a_, Op::Mul, tile, index(tile_)),
                         fold(a_, Op::Mul, piece, index(window_))),
                    element);
    };
    const Ref sink = turn(
        &WinogradTransform::image, points_,
        inputs_first_  ? inputs.lane
        : along_images ? images.lane
                       : columns.lane,
        [&](Ref i, std::int64_t j) {
            return image_element(inputs, digits(outer_image, images_, images.index),
                                 at(digits(outer_row, rows_, row), inputs.piece_row, i),
                                 at(columns.index, inputs.piece_column, index(j)));
        },
        image_memory_,
        [&](Ref square) {
            return image_at(part(outer_image, outer_row), square, inputs.place,
                            tile(images.index, row, columns.index));
        });
    std::vector<Ref> trips = inputs.ranges;
    trips.insert(trips.end(), {outer_image, outer_row, images.outer, row, columns.outer});
    add_transform(sink, near, std::move(trips));
}

// To the trip's steps, or as a phase before, whose ranges run in parallel but for vectors.
void Cutter::add_transform(Ref sink, bool near, std::vector<Ref> trips) {
    if (near) {
        (in_blocks() ? cut_.block_steps : cut_.steps).push_back(sink);
        return;
    }
    std::erase_if(trips, [](Ref r) { return !r->is(Op::Range); });
    cut_.phases.push_back({sink, std::move(trips)});
}

// A sum over the channels for each place of a tile.
Ref Cutter::products() {
    const Inputs inputs = fresh_inputs(Role::Reduce, false);
    const Ref square = fresh(squares_, Role::Loop), tile = fresh(tiles_, Role::Loop),
              output = fresh(outputs_, Role::Loop), whole = a_.truth(true);
    const Ref image = ir::load(a_, image_memory_.memory,
                               image_at(part(outer_image_, outer_row_), square, inputs.place, tile),
                               whole),
              filter = ir::load(a_, filter_memory_.memory,
                                filter_at(square, inputs.place, outer_output_, output), whole);
    std::vector<Ref> sum{a_.mul(image, filter)};
    sum.insert(sum.end(), inputs.ranges.begin(), inputs.ranges.end());
    const Ref total = sum.size() == 1 ? sum[0] : a_.make(Op::Reduce, f32, sum, c_.reduce->args()),
              place = product_at(square, output, tile);
    const Ref store = ir::store(
        a_, product_memory_.memory, place,
        in_blocks() ? add_to_block_sum(a_, cut_.blocks, product_memory_.memory, place, total)
                    : total,
        whole);
    return a_.make(Op::Sink, DType::None, {store});
}

Ref Cutter::results() {
    const Ref column = fresh(points_, Role::Loop);
    Row products;
    for (std::int64_t i = 0; i < points_; ++i)
        products.push_back(ir::load(
            a_, product_memory_.memory,
            product_at(digits(index(i), points_, column), output_, tile(image_, row_, column_)),
            a_.truth(true)));
    std::vector<Ref> stores;
    const Row row = transform_.result(hand_over(transform_.result(products), column, in_row_,
                                                outputs_first_ ? output_lane_ : column_, stores));
    // By the place in the tile; each copy of the unrolled code has one of them.
    Ref result = row.back();
    for (std::size_t i = row.size() - 1; i-- > 0;) {
        const Ref first = fold(a_, Op::Lt, in_column_, index(static_cast<std::int64_t>(i) + 1));
        const Ref choice[] = {first, row[i], result};
        result = make_folded(a_, Op::Where, f32, choice);
    }
    const Ref reduce = analyse(form_.sink()).reductions[0].node,
              sink = rebuild(form_.sink(), [&](Ref n, std::span<const Ref> src) {
                  return n == reduce ? result : make_folded(a_, n, src);
              });
    stores.insert(stores.end(), sink->src().begin(), sink->src().end());
    form_.set_sink(a_.make(Op::Sink, DType::None, stores));
    form_.expand_unrolled();
    return form_.sink();
}

WinogradCut Cutter::run() {
    split();
    filters();
    image();
    (in_blocks() ? cut_.block_steps : cut_.steps).push_back(products());
    cut_.steps.push_back(results());
    return std::move(cut_);
}

}  // namespace

WinogradCut cut_convolution(Form& form, const WinogradSizes& sizes) {
    const Analysis before = analyse(form.sink());
    const std::optional<Convolution> found = find_convolution(before);
    if (!found || found->rows != sizes.rows || found->columns != sizes.columns)
        throw ValueError("schedule: the kernel is no convolution along these ranges");
    if (!WinogradTransform::supports(sizes.tile, sizes.window))
        throw ValueError("schedule: no tiles of " + std::to_string(sizes.tile) +
                         " with windows of " + std::to_string(sizes.window));
    Cutter cutter(form, before, *found, sizes);
    Step step = step_of(sizes);
    form.record(step.kind, std::move(step.operands));
    const Form::Quiet one_step(form);
    return cutter.run();
}

}  // namespace sinter::codegen
