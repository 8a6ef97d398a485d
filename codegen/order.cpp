#include "order.h"

#include <algorithm>

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
    l.top_bits = std::min(bits, kMostDigit);
    // Of what is left there may be more than is wanted.
    l.digit_bits = best_digit(bits, l.selects ? wanted + count / (2 * kSelect) : count);
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

void emit_order(Emitter& e, const OrderLayout& l) {
    const Arg memory = l.slot == kSharedSlot ? Arg::Shared : Arg::Thread;
    const auto index = [&](std::int64_t v) { return e.constant(DType::Index, v, 1); };
    const auto each = [&](Value n, const auto& body) {
        e.open_loop(index(0), n, false);
        body(e.loop_index());
        e.close_loop();
    };
    // The index of an element of this row's scratch.
    const auto here = [&](DType dtype, Value i) {
        if (l.row->is(Op::Const) && l.row->arg(0) == 0) return i;
        const Value row = e.value(l.row);
        return e.arith(Op::Add, DType::Index,
                       {e.arith(Op::Mul, DType::Index, {row, index(l.stride / size(dtype))}), i});
    };
    const auto read = [&](DType dtype, std::int64_t offset, Value i) {
        return e.read_scratch(memory, dtype, offset, here(dtype, i));
    };
    const auto write = [&](std::int64_t offset, Value i, Value value) {
        e.write_scratch(memory, offset, here(e.dtype(value), i), value);
    };
    const auto digit_at = [&](Value record, int shift, int bits) {
        const Value by = e.constant(l.record, shift, 1),
                    low = e.constant(l.record, (std::int64_t{1} << bits) - 1, 1);
        const Value digit =
            e.arith(Op::And, l.record, {e.arith(Op::Shr, l.record, {record, by}, kInRange), low});
        return e.arith(Op::Cast, DType::Index, {digit}, kInRange);
    };
    const auto digit_of = [&](Value record, int pass) {
        return digit_at(record, l.key_shift + pass * l.digit_bits, l.digit_bits);
    };
    const auto move = [&](int from, Value i, int to, Value at, Value record) {
        write(l.records[to], at, record);
        if (l.beside) write(l.positions_at[to], at, read(u32, l.positions_at[from], i));
    };
    const std::uint16_t lanes = memory == Arg::Thread ? kZeroLanes : 1;
    const auto clear = [&](std::int64_t n) {
        each(index(n / lanes), [&](Value i) {
            write(l.counters, e.arith(Op::Mul, DType::Index, {i, index(lanes)}),
                  e.constant(u32, 0, lanes));
        });
    };
    const Value one = e.constant(u32, 1, 1);
    const auto tally = [&](std::int64_t table, Value digit) {
        write(table, digit, e.arith(Op::Add, u32, {read(u32, table, digit), one}));
    };

    Value count = index(l.count);
    int first = 0;
    if (l.selects) {
        const int shift = l.key_shift + 8 * static_cast<int>(size_of(l.key)) - l.top_bits;
        const std::int64_t digits = std::int64_t{1} << l.top_bits;
        clear(digits);
        each(count, [&](Value i) {
            tally(l.counters, digit_at(read(l.record, l.records[0], i), shift, l.top_bits));
        });
        // The highest digit that any of the wanted ones has.
        e.open_loop(index(0), index(digits), false);
        const Value before = e.carry(e.constant(u32, 0, 1)), limit = e.carry(index(0));
        const Value some = e.compare(Op::Lt, before, e.constant(u32, l.wanted, 1));
        e.set_next(e.arith(Op::Add, u32, {before, read(u32, l.counters, e.loop_index())}));
        e.set_next(e.select(some, e.loop_index(), limit));
        const Value highest = e.close_loop()[1];
        e.open_loop(index(0), count, false);
        const Value kept = e.carry(index(0)), i = e.loop_index();
        const Value record = read(l.record, l.records[0], i);
        move(0, i, 1, kept, record);
        const Value keep = e.compare(Op::Le, digit_at(record, shift, l.top_bits), highest);
        e.set_next(e.select(keep, e.arith(Op::Add, DType::Index, {kept, index(1)}), kept));
        count = e.close_loop()[0];
        first = 1;
    }
    const std::int64_t counters = std::int64_t{1} << l.digit_bits;
    const auto table = [&](int pass) { return l.counters + pass * counters * size(u32); };

    clear(l.passes * counters);
    each(count, [&](Value i) {
        const Value record = read(l.record, l.records[first], i);
        for (int pass = 0; pass < l.passes; ++pass) tally(table(pass), digit_of(record, pass));
    });
    for (int pass = 0; pass < l.passes; ++pass) {
        // Counts become the places where digits begin.
        e.open_loop(index(0), index(counters), false);
        const Value begin = e.carry(e.constant(u32, 0, 1));
        const Value seen = read(u32, table(pass), e.loop_index());
        write(table(pass), e.loop_index(), begin);
        e.set_next(e.arith(Op::Add, u32, {begin, seen}));
        e.close_loop();
        const int from = (first + pass) % 2, to = 1 - from;
        each(count, [&](Value i) {
            const Value record = read(l.record, l.records[from], i);
            const Value digit = digit_of(record, pass);
            const Value place = read(u32, table(pass), digit);
            move(from, i, to, e.arith(Op::Cast, DType::Index, {place}, kInRange), record);
            write(table(pass), digit, e.arith(Op::Add, u32, {place, one}));
        });
    }
}

}  // namespace sinter::codegen
