#include "order.h"

#include <algorithm>
#include <bit>

namespace sinter::codegen {
namespace {

constexpr std::int64_t kLine = 64;  // bytes
constexpr int kPositionBits = 32;
constexpr int kLeastDigit = 4, kMostDigit = 11;  // bits; counters of more leave the nearest cache
constexpr std::int64_t kSlack = 64;              // records that vectors may write past the end
// Cycles of moving a record, and of a counter's share in a pass.
constexpr double kMove = 4, kTally = 1.5;
// Leaving out pays where so many times the wanted ones are there.
constexpr std::int64_t kSelect = 8;
constexpr std::uint16_t kZeroLanes = 16;
// Groups of so many vectors of records, each a line; they are looked at as wholes where one wanted
// record comes on so many.
constexpr std::int64_t kGroup = 16, kGrouped = 64, kLeastGrouped = 512;
constexpr std::int64_t kShortRow = 4096;  // records
constexpr int kShortDigit = 8;
constexpr std::int64_t kInRange = 1;  // of shifts and casts: what a machine does is the result

std::int64_t lines(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }
std::int64_t size(DType dt) { return static_cast<std::int64_t>(size_of(dt)); }

int best_digit(int key_bits, std::int64_t count) {
    int best = kLeastDigit;
    double least = 0;
    for (int d = kLeastDigit; d <= std::min(kMostDigit, key_bits); ++d) {
        const int passes = (key_bits + d - 1) / d;
        const double cost =
            passes * (kMove * static_cast<double>(count) + kTally * static_cast<double>(1 << d));
        if (d == kLeastDigit || cost < least) {
            least = cost;
            best = d;
        }
    }
    return best;
}

OrderLayout make_layout(DType key, bool positions, std::int64_t count, std::int64_t wanted,
                        std::int64_t at) {
    OrderLayout l{};
    l.row = nullptr;
    const int bits = static_cast<int>(8 * size_of(key));
    l.key = key;
    l.positions = positions;
    l.beside = positions && bits > kPositionBits;
    l.record = positions && !l.beside ? u64 : key;
    l.key_shift = positions && !l.beside ? kPositionBits : 0;
    l.count = count;
    l.wanted = wanted;
    l.selects = wanted * kSelect <= count;
    l.groups = wanted * kGrouped <= count && count >= kLeastGrouped;
    // All counters are looked at: no more of them than records, and fewer where there is a second
    // digit to tell by.
    const int most =
        std::min(kMostDigit, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(count))));
    l.top_bits = std::min(bits, l.groups && count <= kShortRow ? kShortDigit : most);
    // Of what is left there may be more than is wanted.
    const std::int64_t left = l.groups    ? 2 * wanted
                              : l.selects ? wanted + count / (2 * kSelect)
                                          : count;
    l.digit_bits = best_digit(bits, left);
    l.passes = (bits + l.digit_bits - 1) / l.digit_bits;
    const auto reserve = [&](std::int64_t n) {
        const std::int64_t begin = lines(at);
        at = begin + n;
        return begin;
    };
    for (std::int64_t& buffer : l.records) buffer = reserve((count + kSlack) * size(l.record));
    for (std::int64_t& buffer : l.positions_at)
        buffer = l.beside ? reserve((count + kSlack) * size(u32)) : 0;
    l.counters = reserve(std::max(std::int64_t{l.passes} << l.digit_bits,
                                  l.selects ? std::int64_t{1} << l.top_bits : 0) *
                         size(u32));
    l.least = l.groups ? reserve((count / kGroup + kSlack) * size(l.record)) : 0;
    l.bytes = lines(at);
    return l;
}

// Element `index` of an array of the layout.
Ref element(Arena& a, const OrderLayout& l, DType dtype, std::int64_t offset, Ref index) {
    const Ref row = fold(a, Op::Mul, l.row, a.index(l.stride / size(dtype)));
    return fold(a, Op::Add, row, fold(a, Op::Add, index, a.index(offset / size(dtype))));
}

Ref scratch_load(Arena& a, const OrderLayout& l, DType dtype, std::int64_t offset, Ref index,
                 Ref order) {
    const Ref src[] = {ir::param(a, dtype, l.slot), element(a, l, dtype, offset, index),
                       a.truth(true), order};
    const std::int64_t fill = 0;
    return a.make(Op::Load, dtype, src, std::span(&fill, 1));
}

Ref machine_cast(Arena& a, Ref x, DType to) {
    return x->dtype() == to ? x : a.make(Op::Cast, to, {x}, {kInRange});
}

// The key (0) or position (1) at a place.
Ref read_place(Arena& a, const OrderLayout& l, Ref order, Ref place, std::int64_t which) {
    if (which == 1 && l.beside)
        return machine_cast(a, scratch_load(a, l, u32, l.positions_at[l.last()], place, order),
                            DType::Index);
    const Ref record = scratch_load(a, l, l.record, l.records[l.last()], place, order);
    if (which == 0 && l.key_shift == 0) return record;
    if (which == 0) {
        const Ref by = a.constant_bits(l.record, l.key_shift);
        return machine_cast(a, a.make(Op::Shr, l.record, {record, by}, {kInRange}), l.key);
    }
    const Ref low = a.constant_bits(l.record, (std::int64_t{1} << kPositionBits) - 1);
    return machine_cast(a, a.binary(Op::And, record, low), DType::Index);
}

// Arguments of an Order that has its place.
enum OrderArg { kCount, kPositions, kWanted, kOffset, kSlot, kStride, kArgs };

}  // namespace

bool has_order(Ref sink) {
    return std::ranges::any_of(ir::toposort(std::span(&sink, 1)),
                               [](Ref n) { return n->is(Op::Order); });
}

Ref place_orders(Arena& a, Ref sink, std::int64_t slot, std::int64_t& scratch,
                 std::span<const Ref> trips) {
    const std::vector<Ref> nodes = ir::toposort(std::span(&sink, 1));
    struct Use {
        bool positions = false;
        std::int64_t wanted = 0;
    };
    RefMap<Use> uses;
    for (Ref n : nodes)
        if (n->is(Op::Nth)) {
            Use& use = uses[n->src(0)];
            use.positions = use.positions || n->arg(0) == 1;
            use.wanted = std::max(use.wanted, n->src(1)->vmax() + 1);
        }
    Ref row = a.index(0);
    std::int64_t rows = 1;
    for (Ref r : trips) {
        row = fold(a, Op::Add, fold(a, Op::Mul, row, r->src(0)), r);
        rows *= r->src(0)->arg(0);
    }
    return rebuild(sink, [&](Ref n, std::span<const Ref> src) -> Ref {
        if (n->is(Op::Order)) {
            const Use* found = uses.find(n);
            const Use use = found != nullptr ? *found : Use{};
            const std::int64_t count = n->arg(0),
                               wanted = std::clamp<std::int64_t>(use.wanted, 1, count);
            const std::int64_t own =
                make_layout(src[0]->dtype(), use.positions, count, wanted, 0).bytes;
            const std::int64_t args[kArgs] = {count,          use.positions, wanted,
                                              lines(scratch), slot,          own};
            scratch = args[kOffset] + own * rows;
            std::vector<Ref> placed{src[0], src[1], row};
            placed.insert(placed.end(), src.begin() + 2, src.end());
            return a.make(Op::Order, DType::None, placed, args);
        }
        if (n->is(Op::Nth)) return read_place(a, layout_of(src[0]), src[0], src[1], n->arg(0));
        return make_folded(a, n, src);
    });
}

OrderLayout layout_of(Ref order) {
    OrderLayout l = make_layout(order->src(0)->dtype(), order->arg(kPositions) != 0,
                                order->arg(kCount), order->arg(kWanted), order->arg(kOffset));
    l.row = order->src(2);
    l.slot = order->arg(kSlot);
    l.stride = order->arg(kStride);
    return l;
}

bool share_place(Ref a, Ref b) {
    return a->arg(kSlot) == b->arg(kSlot) && a->arg(kOffset) == b->arg(kOffset);
}

std::vector<Ref> store_record(Arena& a, const OrderLayout& l, Ref key, Ref position) {
    const auto store = [&](DType dtype, std::int64_t offset, Ref value) {
        return ir::store(a, ir::param(a, dtype, l.slot), element(a, l, dtype, offset, position),
                         value, a.truth(true));
    };
    if (!l.positions) return {store(l.record, l.records[0], key)};
    if (l.beside)
        return {store(l.record, l.records[0], key),
                store(u32, l.positions_at[0], machine_cast(a, position, u32))};
    const Ref high = a.make(
        Op::Shl, u64, {machine_cast(a, key, u64), a.constant_bits(u64, l.key_shift)}, {kInRange});
    return {store(u64, l.records[0], a.binary(Op::Or, high, machine_cast(a, position, u64)))};
}

namespace {

// Sorts the records of one row.
class Sorter {
public:
    Sorter(Emitter& e, const OrderLayout& l)
        : e_(e), l_(l), memory_(l.slot == kSharedSlot ? Arg::Shared : Arg::Thread) {}

    void run() {
        Value count = index(l_.count);
        int first = 0;
        if (l_.selects) {
            count = leave_out_others();
            first = 1;
        }
        const std::int64_t counters = std::int64_t{1} << l_.digit_bits;
        const auto table = [&](int pass) { return l_.counters + pass * counters * size(u32); };
        const auto digit_of = [&](Value record, int pass) {
            return digit_at(record, l_.key_shift + pass * l_.digit_bits, l_.digit_bits);
        };
        clear(l_.passes * counters);
        each(count, [&](Value i) {
            const Value record = read(l_.record, l_.records[first], i);
            for (int pass = 0; pass < l_.passes; ++pass)
                tally(table(pass), digit_of(record, pass), one_);
        });
        for (int pass = 0; pass < l_.passes; ++pass) {
            // Counts become the places where digits begin.
            e_.open_loop(index(0), index(counters), false);
            const Value begin = e_.carry(none_);
            const Value seen = read(u32, table(pass), e_.loop_index());
            write(table(pass), e_.loop_index(), begin);
            e_.set_next(e_.arith(Op::Add, u32, {begin, seen}));
            e_.close_loop();
            const int from = (first + pass) % 2, to = 1 - from;
            each(count, [&](Value i) {
                const Value record = read(l_.record, l_.records[from], i);
                const Value digit = digit_of(record, pass);
                const Value place = read(u32, table(pass), digit);
                move(from, i, to, e_.arith(Op::Cast, DType::Index, {place}, kInRange), record);
                write(table(pass), digit, e_.arith(Op::Add, u32, {place, one_}));
            });
        }
    }

private:
    Value index(std::int64_t v) { return e_.constant(DType::Index, v, 1); }
    Value plus(Value a, Value b) { return e_.arith(Op::Add, DType::Index, {a, b}); }
    Value times(Value i, std::int64_t n) { return e_.arith(Op::Mul, DType::Index, {i, index(n)}); }
    template <class Body>
    void each(Value begin, Value end, bool may_be_none, Body&& body) {
        e_.open_loop(begin, end, may_be_none);
        body(e_.loop_index());
        e_.close_loop();
    }
    template <class Body>
    void each(Value n, Body&& body) {
        each(index(0), n, false, body);
    }

    // The index of an element of this row's scratch.
    Value here(DType dtype, Value i) {
        if (l_.row->is(Op::Const) && l_.row->arg(0) == 0) return i;
        return plus(times(e_.value(l_.row), l_.stride / size(dtype)), i);
    }
    Value read(DType dtype, std::int64_t offset, Value i, std::uint16_t lanes = 1) {
        return e_.read_scratch(memory_, dtype, offset, here(dtype, i), lanes);
    }
    void write(std::int64_t offset, Value i, Value value) {
        e_.write_scratch(memory_, offset, here(e_.dtype(value), i), value);
    }
    void move(int from, Value i, int to, Value at, Value record) {
        write(l_.records[to], at, record);
        if (l_.beside) write(l_.positions_at[to], at, read(u32, l_.positions_at[from], i));
    }
    void clear(std::int64_t n) {
        const std::uint16_t lanes = memory_ == Arg::Thread ? kZeroLanes : 1;
        each(index(n / lanes),
             [&](Value i) { write(l_.counters, times(i, lanes), e_.constant(u32, 0, lanes)); });
    }
    void tally(std::int64_t table, Value digit, Value more) {
        write(table, digit, e_.arith(Op::Add, u32, {read(u32, table, digit), more}));
    }
    Value digit_at(Value record, int shift, int bits) {
        const Value by = e_.constant(l_.record, shift, 1),
                    low = e_.constant(l_.record, (std::int64_t{1} << bits) - 1, 1);
        const Value digit = e_.arith(Op::And, l_.record,
                                     {e_.arith(Op::Shr, l_.record, {record, by}, kInRange), low});
        return e_.arith(Op::Cast, DType::Index, {digit}, kInRange);
    }
    int key_bits() const { return 8 * static_cast<int>(size_of(l_.key)); }
    // The highest `bits` bits of a key.
    Value prefix(Value record, int bits) {
        return digit_at(record, l_.key_shift + key_bits() - bits, bits);
    }
    Value least_of(Value a, Value b) { return e_.select(e_.compare(Op::Lt, b, a), b, a); }

    // The highest digit that any of the wanted ones has, where `already` have lower ones than all
    // that are counted; and how many come before it.
    std::pair<Value, Value> highest_wanted(int bits, Value already) {
        e_.open_loop(index(0), index(std::int64_t{1} << bits), false);
        const Value before = e_.carry(already), limit = e_.carry(index(0)),
                    below = e_.carry(already);
        const Value some = e_.compare(Op::Lt, before, e_.constant(u32, l_.wanted, 1));
        e_.set_next(e_.arith(Op::Add, u32, {before, read(u32, l_.counters, e_.loop_index())}));
        e_.set_next(e_.select(some, e_.loop_index(), limit));
        e_.set_next(e_.select(some, before, below));
        const std::vector<Value> found = e_.close_loop();
        return {found[1], found[2]};
    }

    // Of those from `begin` on, the records with a prefix of at most `highest` follow the `kept`
    // ones in the other buffer. Gives how many there are then.
    Value keep(Value begin, Value end, Value kept, Value highest, int bits) {
        e_.open_loop(begin, end, true);
        const Value at = e_.carry(kept), i = e_.loop_index();
        const Value record = read(l_.record, l_.records[0], i);
        move(0, i, 1, at, record);
        const Value wanted = e_.compare(Op::Le, prefix(record, bits), highest);
        e_.set_next(e_.select(wanted, plus(at, index(1)), at));
        return e_.close_loop()[0];
    }

    // Keeps what is wanted, and as little else as can be told by prefixes. Of each lane of a group
    // only the least record is counted: as many of these as are wanted have no higher prefix than
    // so many records, of which there are all the others as well.
    Value leave_out_others() {
        const auto wide = static_cast<std::uint16_t>(kLine / size(l_.record));
        const std::int64_t group = kGroup * wide;
        const bool in_groups = l_.groups && memory_ == Arg::Thread;
        const std::int64_t whole = in_groups ? l_.count / group : 0;
        const Value groups = index(whole), rest = index(whole * group), count = index(l_.count);
        const auto each_counted = [&](const auto& body) {
            if (in_groups)
                each(times(groups, wide), [&](Value i) { body(read(l_.record, l_.least, i)); });
            each(rest, count, true, [&](Value i) { body(read(l_.record, l_.records[0], i)); });
        };
        if (in_groups)
            each(groups, [&](Value g) {
                Value least = kNone;
                for (std::int64_t i = 0; i < kGroup; ++i) {
                    const Value records =
                        read(l_.record, l_.records[0] + i * kLine, times(g, group), wide);
                    least = least == kNone ? records : least_of(least, records);
                }
                write(l_.least, times(g, wide), least);
            });
        int bits = l_.top_bits;
        clear(std::int64_t{1} << bits);
        each_counted([&](Value record) { tally(l_.counters, prefix(record, bits), one_); });
        auto [highest, below] = highest_wanted(bits, none_);
        // The few that are counted are counted once more, by the digit after this one.
        const int more = std::min(l_.top_bits, key_bits() - bits);
        if (in_groups && more > 0) {
            clear(std::int64_t{1} << more);
            each_counted([&](Value record) {
                const Value other = e_.compare(Op::Ne, prefix(record, bits), highest);
                tally(l_.counters, digit_at(record, l_.key_shift + key_bits() - bits - more, more),
                      e_.select(other, none_, one_));
            });
            highest =
                plus(times(highest, std::int64_t{1} << more), highest_wanted(more, below).first);
            bits += more;
        }
        Value kept = index(0);
        if (in_groups) {
            e_.open_loop(index(0), groups, false);
            const Value at = e_.carry(kept), g = e_.loop_index(), begin = times(g, group);
            Value least = read(l_.record, l_.least, times(g, wide), wide);
            for (int by = wide / 2; by > 0; by /= 2) least = least_of(least, e_.rotate(least, by));
            const Value any = e_.compare(Op::Le, prefix(e_.first(least), bits), highest);
            const Value end = plus(begin, e_.select(any, index(group), index(0)));
            e_.set_next(keep(begin, end, at, highest, bits));
            kept = e_.close_loop()[0];
        }
        return keep(rest, count, kept, highest, bits);
    }

    Emitter& e_;
    const OrderLayout& l_;
    const Arg memory_;
    const Value one_ = e_.constant(u32, 1, 1), none_ = e_.constant(u32, 0, 1);
};

}  // namespace

void emit_order(Emitter& emit, const OrderLayout& layout) { Sorter(emit, layout).run(); }

}  // namespace sinter::codegen
