#include "tiles.h"

#include <algorithm>
#include <cmath>

#include <sinter/ir/error.h>

#include "dots.h"
#include "scratch.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::int64_t kTile = 16;  // rows of a tile, and words or sums of its rows
constexpr std::int64_t kSumSlot = ir::kNearSlot, kRowSlot = ir::kNearSlot - 1,
                       kColumnSlot = ir::kNearSlot - 2;
constexpr std::int64_t kWordBytes = 4;
// What a trip has at most, and at least where there are few trips; trips that keep threads busy,
// and cycles that are not worth another thread.
constexpr std::int64_t kMostRows = 512, kMostColumns = 512, kLeast = 64, kTrips = 8;
// Words of a block: with many rows and columns, so few that two rows of tiles and two columns of
// them, 8 KB each, stay in the nearest cache; else the sums are read and written less often.
constexpr std::int64_t kNearSteps = 128, kSteps = 256, kMany = 128;
constexpr double kShort = 1 << 16;
// Cycles: of a word's products by tiles; by vectors, one at a time and several at a time; of a
// word's copy where it lies in memory as it is, and where it is put together; of a sum, added to
// what is in memory.
constexpr double kTiled = 1.0 / 140, kVector = 1.0 / 14, kDots = 1.0 / 25, kCopied = 0.2,
                 kMade = 0.6, kAdded = 0.2;
constexpr double kGain = 0.9, kLeastProducts = 1 << 16;

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

// A sum of words' products.
struct WordSum {
    const Reducing* sum = nullptr;
    Ref value = nullptr;  // of the sum; with what makes up for the signs of bytes, if that is there
    Ref words[2] = {nullptr, nullptr};
    bool is_signed[2] = {false, true};
    std::vector<Ref> masks;  // outside which the products are 0
};

bool is_high(Ref n) { return n->is(Op::Const) && (n->arg(0) & 0xffffffff) == 0x80808080; }

Ref dot_of(const Reducing& r) {
    const Ref dot = without_masks(r.node->src(0));
    return dot->is(Op::Dot) ? dot : nullptr;
}

// The one sum of a kernel, or of two of which one makes up for the other's signs (dots.cpp): tiles
// of bytes of any signs can be multiplied.
std::optional<WordSum> find_sum(const Analysis& a) {
    if (a.reductions.empty() || a.reductions.size() > 2) return std::nullopt;
    WordSum w;
    const Reducing* correction = nullptr;
    for (const Reducing& r : a.reductions) {
        const Ref dot = dot_of(r);
        if (dot == nullptr) return std::nullopt;
        (is_high(dot->src(0)) || is_high(dot->src(1)) ? correction : w.sum) = &r;
    }
    if (w.sum == nullptr || (a.reductions.size() == 2) != (correction != nullptr))
        return std::nullopt;
    w.value = w.sum->node;
    const Ref dot = dot_of(*w.sum);
    std::ranges::copy(dot->src().first(2), w.words);
    for (Ref v = w.value->src(0); v != dot; v = v->src(1)) w.masks.push_back(v->src(0));
    const bool bytes = dot->arg(0) == static_cast<std::int64_t>(DotKind::QuadsOfBytes);
    if (correction == nullptr) return w;

    const Ref other = dot_of(*correction);
    const int turned = is_high(other->src(0)) ? 0 : 1;
    if (!bytes || other->src(1 - turned) != w.words[1 - turned] || !w.words[turned]->is(Op::Xor) ||
        !is_high(w.words[turned]->src(1)))
        return std::nullopt;
    w.words[turned] = w.words[turned]->src(0);
    w.is_signed[turned] = !w.is_signed[turned];
    // Both are used where one is taken from the other, and nowhere else.
    Ref difference = nullptr;
    for (Ref s : a.stores)
        for (Ref n : ir::toposort(std::span(&s, 1))) {
            if (n->is(Op::Reduce) || std::ranges::none_of(n->src(), [&](Ref x) {
                    return x == w.value || x == correction->node;
                }))
                continue;
            const bool both =
                n->is(Op::Sub) && n->src(0) == w.value && n->src(1) == correction->node;
            if (!both || (difference != nullptr && difference != n)) return std::nullopt;
            difference = n;
        }
    if (difference == nullptr) return std::nullopt;
    w.value = difference;
    return w;
}

// The shortest stride of a range in the results.
std::int64_t result_stride(const Analysis& a, std::int64_t n) {
    std::int64_t stride = INT64_MAX;
    for (const MemoryAccess& m : a.accesses)
        if (m.is_store && m.stride[n] != 0) stride = std::min(stride, std::abs(m.stride[n]));
    return stride;
}

// The ranges of a kernel by what they are in its sum; the last of each are the nearest in the
// results.
struct Dimensions {
    std::vector<std::int64_t> rows, columns, batches, steps;
    std::size_t column = 1;  // which of the words is the columns'

    std::size_t row() const { return 1 - column; }
};

// Nothing where a range has no place, or a mask holds back more than the words of one operand.
std::optional<Dimensions> dimensions_of(const Analysis& a, const WordSum& w) {
    if (!may_be_cut(a, *w.sum)) return std::nullopt;
    Dimensions d;
    const std::uint64_t either = w.words[0]->ranges() ^ w.words[1]->ranges();
    // The result lies side by side along its columns.
    std::int64_t least = INT64_MAX;
    for (std::int64_t n : a.numbers) {
        if (!has(w.sum->scope & either, n) || result_stride(a, n) >= least) continue;
        least = result_stride(a, n);
        d.column = has(w.words[1]->ranges(), n) ? 1 : 0;
    }
    std::uint64_t only_rows = 0, only_columns = 0;
    for (std::int64_t n : a.numbers) {
        if (!has(w.sum->closed | w.sum->scope, n)) return std::nullopt;
        const bool row = has(w.words[d.row()]->ranges(), n),
                   column = has(w.words[d.column]->ranges(), n);
        if (has(w.sum->closed, n)) {
            d.steps.push_back(n);
        } else if (row == column) {
            d.batches.push_back(n);
        } else {
            (row ? d.rows : d.columns).push_back(n);
            (row ? only_rows : only_columns) |= std::uint64_t{1} << n;
        }
    }
    if (d.rows.empty() || d.columns.empty()) return std::nullopt;
    for (Ref mask : w.masks)
        if ((mask->ranges() & only_rows) != 0 && (mask->ranges() & only_columns) != 0)
            return std::nullopt;
    const auto by_stride = [&](std::int64_t n) { return result_stride(a, n); };
    std::ranges::stable_sort(d.rows, std::greater(), by_stride);
    std::ranges::stable_sort(d.columns, std::greater(), by_stride);
    return d;
}

bool has_tiles(const Target& target, const WordSum& w) {
    return w.value->dtype() == f32 ? target.tiles_of_bf16 : target.tiles_of_bytes;
}

std::int64_t count(const Analysis& a, const std::vector<std::int64_t>& ranges) {
    std::int64_t all = 1;
    for (std::int64_t n : ranges) all *= a.size(n);
    return all;
}

// About `most` of these ranges, whole ones of those that lie nearest; in parts of whole tiles.
std::vector<BlockPart> parts_of(const Analysis& a, const std::vector<std::int64_t>& ranges,
                                std::int64_t most) {
    std::vector<BlockPart> parts;
    for (std::size_t i = ranges.size(); i-- > 0;) {
        const std::int64_t n = a.size(ranges[i]);
        const std::int64_t pieces = (n + most - 1) / most;
        std::int64_t mine = (n + pieces - 1) / pieces;
        if (pieces > 1 && mine > kTile) mine = std::min(round_up(mine, kTile), n);
        parts.push_back({ranges[i], mine});
        most = std::max<std::int64_t>(1, most / mine);
    }
    return parts;
}

std::int64_t size_of_parts(std::span<const BlockPart> parts) {
    std::int64_t all = 1;
    for (const BlockPart& p : parts) all *= p.size;
    return all;
}

// Whether words of a factor are read as they lie.
bool lies_in_words(Ref factor) { return factor->is(Op::Load); }

// Bytes from a row of tiles' words to the next.
std::int64_t row_bytes(std::int64_t words) {
    return row_step(round_up(words, kTile), kWordBytes) * kWordBytes;
}

class Cutter {
public:
    Cutter(Form& form, const Analysis& before, const Dimensions& dimensions,
           const BlockSizes& sizes)
        : form_(form), a_(form.arena()), before_(before), all_(dimensions), sizes_(sizes) {}
    TileCut run();

private:
    // What a trip has of a range.
    struct Digit {
        Ref range;  // null where it has one step
        std::int64_t size;
    };
    std::vector<Digit> divide(const std::vector<std::int64_t>& ranges,
                              const std::vector<BlockPart>& parts, Role inner,
                              std::vector<Ref>& outer, bool even);
    static std::int64_t count(std::span<const Digit> digits) {
        std::int64_t all = 1;
        for (const Digit& d : digits) all *= d.size;
        return all;
    }
    Ref index(std::span<const Digit> digits) const;
    // What is copied goes through ranges of its own.
    struct Copy {
        Ref word;
        std::vector<std::pair<Ref, Ref>> changed = {};
    };
    Digit renamed(Copy& copy, const Digit& digit);
    std::vector<Digit> renamed(Copy& copy, std::span<const Digit> digits);
    Ref stored(const Copy& copy, std::int64_t slot, std::int64_t base, Ref row, std::int64_t stride,
               Ref column) const;
    Ref copy_rows(Ref word, std::span<const Digit> rows, std::span<const Digit> steps);
    Ref copy_columns(Ref word, std::span<const Digit> columns, std::span<const Digit> steps);

    Form& form_;
    Arena& a_;
    const Analysis& before_;
    const Dimensions& all_;
    const BlockSizes& sizes_;
    TileCut cut_;
};

std::vector<Cutter::Digit> Cutter::divide(const std::vector<std::int64_t>& ranges,
                                          const std::vector<BlockPart>& parts, Role inner,
                                          std::vector<Ref>& outer, bool even) {
    std::vector<Digit> digits;
    for (std::int64_t n : ranges) {
        const auto part = std::ranges::find(parts, n, &BlockPart::range);
        const std::int64_t size = before_.size(n), mine = part == parts.end() ? size : part->size;
        if (mine < 1 || mine > size || (even && size % mine != 0))
            throw ValueError("schedule: no blocks of " + std::to_string(mine) + " along r" +
                             std::to_string(n));
        const Ref range = before_.range[n];
        if (mine == size) {
            digits.push_back({range, size});
        } else if (mine == 1) {
            outer.push_back(form_.bind(range, Role::Parallel));
        } else {
            const Form::Halves halves = form_.split(range, mine, Role::Parallel, inner);
            outer.push_back(halves.outer);
            digits.push_back({halves.inner, mine});
        }
    }
    return digits;
}

Ref Cutter::index(std::span<const Digit> digits) const {
    Ref place = a_.index(0);
    for (const Digit& d : digits)
        place = fold(a_, Op::Add, fold(a_, Op::Mul, place, a_.index(d.size)), d.range);
    return place;
}

Cutter::Digit Cutter::renamed(Copy& copy, const Digit& digit) {
    const std::int64_t args[] = {form_.fresh_number(), static_cast<std::int64_t>(Role::Loop), 1};
    const Ref size = digit.range->src(0);
    const Ref range = a_.make(Op::Range, DType::Index, std::span(&size, 1),
                              std::span(args, is_ragged(digit.range) ? 3 : 2));
    copy.changed.emplace_back(digit.range, range);
    return {range, digit.size};
}

std::vector<Cutter::Digit> Cutter::renamed(Copy& copy, std::span<const Digit> digits) {
    std::vector<Digit> all;
    for (const Digit& d : digits) all.push_back(renamed(copy, d));
    return all;
}

// The copied words, in rows of `stride` bytes.
Ref Cutter::stored(const Copy& copy, std::int64_t slot, std::int64_t base, Ref row,
                   std::int64_t stride, Ref column) const {
    const Ref value = rebuild(copy.word, [&](Ref n, std::span<const Ref> src) {
        const auto found = std::ranges::find(copy.changed, n, &std::pair<Ref, Ref>::first);
        return found != copy.changed.end() ? found->second : make_folded(a_, n, src);
    });
    const Ref begin = fold(a_, Op::Add, a_.index(base / kWordBytes),
                           fold(a_, Op::Mul, row, a_.index(stride / kWordBytes)));
    return a_.make(Op::Sink, DType::None,
                   {ir::store(a_, ir::param(a_, value->dtype(), slot),
                              fold(a_, Op::Add, begin, column), value, a_.truth(true))});
}

Ref Cutter::copy_rows(Ref word, std::span<const Digit> rows, std::span<const Digit> steps) {
    Copy copy{word};
    TileProduct& p = cut_.product;
    const std::vector<Digit> outer = renamed(copy, rows), inner = renamed(copy, steps);
    return stored(copy, kRowSlot, p.x, index(outer), p.x_row, index(inner));
}

// A tile's columns side by side, where they are whole tiles.
Ref Cutter::copy_columns(Ref word, std::span<const Digit> columns, std::span<const Digit> steps) {
    Copy copy{word};
    TileProduct& p = cut_.product;
    const bool tiled = p.columns > kTile && columns.back().size % kTile == 0;
    p.y_row = tiled ? kTile * kWordBytes : row_bytes(p.columns);
    p.y_tile = tiled ? p.steps * p.y_row : kTile * kWordBytes;
    std::vector<Digit> outer = renamed(copy, columns.first(columns.size() - (tiled ? 1 : 0)));
    const std::vector<Digit> inner = renamed(copy, steps);
    if (!tiled) return stored(copy, kColumnSlot, p.y, index(inner), p.y_row, index(outer));
    const std::int64_t tiles = columns.back().size / kTile;
    const Ref within = ir::range(a_, form_.fresh_number(), kTile, Role::Loop);
    const Ref tile =
        tiles == 1 ? a_.index(0) : ir::range(a_, form_.fresh_number(), tiles, Role::Loop);
    copy.changed.emplace_back(columns.back().range,
                              fold(a_, Op::Add, fold(a_, Op::Mul, tile, a_.index(kTile)), within));
    outer.push_back({tile, tiles});
    const Ref row =
        fold(a_, Op::Add, fold(a_, Op::Mul, index(outer), a_.index(p.steps)), index(inner));
    return stored(copy, kColumnSlot, p.y, row, p.y_row, within);
}

TileCut Cutter::run() {
    for (std::int64_t n : all_.batches) {
        const auto part = std::ranges::find(sizes_.trips, n, &BlockPart::range);
        if (before_.size(n) > 1 && (part == sizes_.trips.end() || part->size != 1))
            throw ValueError("schedule: r" + std::to_string(n) +
                             " has to be cut into single steps");
    }
    const auto parts_of_trip = [&](const std::vector<std::int64_t>& ranges) {
        return divide(ranges, sizes_.trips, Role::Loop, cut_.trips, false);
    };
    parts_of_trip(all_.batches);
    const std::vector<Digit> rows = parts_of_trip(all_.rows);
    const std::size_t trips = cut_.trips.size();
    const std::vector<Digit> columns = parts_of_trip(all_.columns);
    std::uint64_t of_columns = 0;
    for (Ref r : std::span(cut_.trips).subspan(trips)) of_columns |= range_bit(r);
    for (const Digit& d : columns) of_columns |= range_bit(d.range);
    const std::vector<Digit> steps =
        divide(all_.steps, sizes_.blocks, Role::Reduce, cut_.blocks, true);

    const Analysis after = analyse(form_.sink());
    const std::optional<WordSum> sum = find_sum(after);
    if (!sum) throw InternalError("tiles: a sum that was cut is none any more");
    Ref x = sum->words[all_.row()], y = sum->words[all_.column];
    for (Ref mask : sum->masks) {
        Ref& word = (mask->ranges() & of_columns) == 0 ? x : y;
        word = a_.where(mask, word, a_.constant_bits(word->dtype(), 0));
    }

    TileProduct& p = cut_.product;
    p.dtype = sum->value->dtype();
    p.x_signed = sum->is_signed[all_.row()];
    p.y_signed = sum->is_signed[all_.column];
    p.rows = count(rows);
    p.columns = count(columns);
    p.steps = count(steps);
    p.c_row = row_bytes(p.columns);
    p.x_row = row_bytes(p.steps);
    for (Ref r : cut_.blocks) p.blocks *= r->src(0)->arg(0);
    p.x = round_up(p.rows, kTile) * p.c_row;
    p.y = p.x + round_up(p.rows, kTile) * p.x_row;
    cut_.rows = copy_rows(x, rows, steps);
    cut_.columns = copy_columns(y, columns, steps);
    cut_.near_bytes = p.y + p.steps * row_bytes(p.columns);
    if (cut_.near_bytes > kMostScratch)
        throw ValueError("schedule: the words of a trip do not fit a thread's scratch");

    const Ref place =
        fold(a_, Op::Add, fold(a_, Op::Mul, index(rows), a_.index(p.c_row / kWordBytes)),
             index(columns));
    const Ref total = ir::load(a_, ir::param(a_, p.dtype, kSumSlot), place, a_.truth(true), 0);
    cut_.finish = rebuild(form_.sink(), [&](Ref n, std::span<const Ref> src) {
        return n == sum->value ? total : make_folded(a_, n, src);
    });
    return std::move(cut_);
}

}  // namespace

std::optional<BlockSizes> choose_tiles(const Form& form, const Target& target, TileWish wish) {
    if (!target.tiles_of_bf16 && !target.tiles_of_bytes) return std::nullopt;
    const Analysis a = analyse(form.sink());
    const std::optional<WordSum> sum = find_sum(a);
    if (!sum || !has_tiles(target, *sum)) return std::nullopt;
    const std::optional<Dimensions> dimensions = dimensions_of(a, *sum);
    if (!dimensions) return std::nullopt;
    const Dimensions& w = *dimensions;
    const std::int64_t rows = count(a, w.rows), columns = count(a, w.columns),
                       steps = count(a, w.steps), batches = count(a, w.batches);
    std::int64_t most_rows = kMostRows, most_columns = kMostColumns;
    const auto d = [](std::int64_t n) { return static_cast<double>(n); };
    const double products = d(rows) * d(columns) * d(steps) * d(batches);
    // Blocks divide the sum; a range that has no fitting part is whole.
    BlockSizes sizes;
    const std::int64_t most_steps = std::min(rows, columns) >= kMany ? kNearSteps : kSteps;
    std::int64_t block = 1;
    for (std::size_t i = w.steps.size(); i-- > 0;) {
        const std::int64_t n = a.size(w.steps[i]);
        std::int64_t mine = n;
        if (n * block > most_steps) {
            mine = std::max<std::int64_t>(1, std::min(n, most_steps / block));
            while (mine > 1 && n % mine != 0) --mine;
            if (mine * block < kTile) mine = n;
        }
        if (mine != n) sizes.blocks.push_back({w.steps[i], mine});
        block *= mine;
    }
    std::vector<BlockPart> row_parts, column_parts;
    const auto words = [&] {
        const std::int64_t m = size_of_parts(row_parts), n = size_of_parts(column_parts);
        return m * n + (m + n) * block;
    };
    while (true) {
        row_parts = parts_of(a, w.rows, most_rows);
        column_parts = parts_of(a, w.columns, most_columns);
        const std::int64_t trips = batches * trips_of(a, row_parts) * trips_of(a, column_parts);
        const bool few = trips < kTrips && products * kTiled > kShort;
        const bool large = words() * kWordBytes > target.cache_bytes;
        if ((!few && !large) || std::max(most_rows, most_columns) <= kLeast) break;
        (most_rows > most_columns ? most_rows : most_columns) /= 2;
    }
    if (words() * kWordBytes > kMostScratch / 2) return std::nullopt;
    if (wish == TileWish::WhereItPays) {
        const double m = d(size_of_parts(row_parts)), n = d(size_of_parts(column_parts)),
                     each = d(batches * trips_of(a, row_parts) * trips_of(a, column_parts)),
                     blocks = d(steps) / d(block);
        const auto padded = [&](double x) { return std::ceil(x / kTile) * kTile; };
        const auto copies = [&](Ref word) { return lies_in_words(word) ? kCopied : kMade; };
        const double tiled =
            each * (padded(m) * padded(n) * padded(d(block)) * blocks * kTiled +
                    m * d(steps) * copies(sum->words[w.row()]) +
                    n * d(steps) * copies(sum->words[w.column]) + m * n * (blocks + 1) * kAdded);
        const bool dots = sum->value->dtype() == f32 ? target.fast_dots_of_bf16 : true;
        if (products < kLeastProducts || tiled > kGain * products * (dots ? kDots : kVector))
            return std::nullopt;
    }
    for (std::int64_t n : w.batches)
        if (a.size(n) > 1) sizes.trips.push_back({n, 1});
    for (const std::vector<BlockPart>* parts : {&row_parts, &column_parts})
        for (const BlockPart& p : *parts)
            if (p.size != a.size(p.range)) sizes.trips.push_back(p);
    return sizes;
}

double nanoseconds_of(const TileProduct& product) {
    constexpr double kNanosecondsACycle = 0.35;
    return static_cast<double>(product.rows * product.columns) *
           static_cast<double>(product.steps) * kTiled * kNanosecondsACycle;
}

Step contract_step(const BlockSizes& sizes) {
    Step step = step_of(sizes);
    step.kind = StepKind::Contract;
    step.operands.pop_back();  // no columns
    return step;
}

BlockSizes contract_sizes(const Step& step) {
    Step blocks{StepKind::Blocks, step.operands};
    blocks.operands.push_back(-1);
    return sizes_of(blocks);
}

TileCut cut_into_tiles(Form& form, const BlockSizes& sizes, const Target& target) {
    const Analysis before = analyse(form.sink());
    const std::optional<WordSum> sum = find_sum(before);
    const std::optional<Dimensions> dimensions =
        sum && has_tiles(target, *sum) ? dimensions_of(before, *sum) : std::nullopt;
    if (!dimensions)
        throw ValueError("schedule: the kernel is no sum of words that this target has tiles for");
    const auto in_steps = [&](const BlockPart& p) {
        return std::ranges::count(dimensions->steps, p.range) != 0;
    };
    for (const BlockPart& p : sizes.trips)
        if (in_steps(p) || before.range[p.range] == nullptr)
            throw ValueError("schedule: r" + std::to_string(p.range) + " is none of the result");
    for (const BlockPart& p : sizes.blocks)
        if (!in_steps(p))
            throw ValueError("schedule: r" + std::to_string(p.range) + " is none of the sum");
    Step step = contract_step(sizes);
    form.record(step.kind, std::move(step.operands));
    const Form::Quiet one_step(form);
    return Cutter(form, before, *dimensions, sizes).run();
}

}  // namespace sinter::codegen
