// Launch order, in-place writes and the memory plan; what a schedule may depend on.

#include <sinter/ir/uop.h>

#include <algorithm>
#include <map>
#include <set>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::ReduceKind;
using ir::Shape;
using ir::UOp;
using Ints = std::vector<std::int64_t>;
using schedule::Block;
using schedule::Schedule;

namespace {

UOp add(const UOp& a, const UOp& b) { return ir::binary(Op::Add, a, b); }
UOp mul(const UOp& a, const UOp& b) { return ir::binary(Op::Mul, a, b); }
UOp filled(const UOp& like, const UOp& scalar) {
    return ir::expand(ir::reshape(scalar, Shape(like->rank(), 1)), like->shape());
}

struct Update {
    std::vector<UOp> roots;
};

// One step of Adam over parameters of these shapes, as nn writes it.
Update adam(const std::vector<Shape>& shapes, double rate) {
    Update out;
    const UOp lr = ir::bind(f32, rate), b1 = ir::constant(f32, 0.9), b2 = ir::constant(f32, 0.999);
    unsigned seed = 1;
    for (const Shape& shape : shapes) {
        const UOp p = data(f32, shape, seed++), g = data(f32, shape, seed++),
                  m = data(f32, shape, seed++), v = ir::unary(Op::Abs, data(f32, shape, seed));
        const UOp v0 = data(f32, shape, seed++);
        const UOp m1 = add(mul(m, filled(m, b1)), mul(g, filled(g, ir::constant(f32, 0.1))));
        const UOp v1 = add(mul(mul(v0, v0), filled(v, b2)),
                           mul(mul(g, g), filled(g, ir::constant(f32, 0.001))));
        const UOp step = ir::binary(
            Op::Div, m1, add(ir::unary(Op::Sqrt, v1), filled(v1, ir::constant(f32, 1e-8))));
        out.roots.push_back(ir::assign(p, ir::binary(Op::Sub, p, mul(step, filled(step, lr)))));
        out.roots.push_back(ir::assign(m, m1));
        out.roots.push_back(ir::assign(v0, v1));
    }
    return out;
}

void check(const std::vector<UOp>& roots, bool may_overwrite = true) {
    const std::string wrong = mismatch(roots, {may_overwrite});
    CHECK_MESSAGE(wrong.empty(), wrong);
}

std::size_t written_in_place(const Schedule& s) {
    return static_cast<std::size_t>(
        std::ranges::count_if(s.blocks, [](const Block& b) { return b.reuses >= 0; }));
}

}  // namespace

TEST_CASE("an Adam update of parameters of many shapes is one launch, in place") {
    const Update update = adam({{32, 1, 3, 3}, {32}, {64, 32, 3, 3}, {64}, {10, 100}, {10}}, 1e-3);
    check(update.roots);
    const Schedule s = schedule_of(update.roots, {true});
    CHECK_MESSAGE(s.launches.size() == 1, text(s));
    CHECK(s.kernels.size() == 1);
    CHECK(s.launches[0].segments.size() == 6);
    CHECK(written_in_place(s) == 18);
}

TEST_CASE("a value of a Bind is no part of the schedule") {
    std::vector<std::vector<std::int64_t>> keys;
    for (double rate : {1e-3, 2e-3}) {
        const Update update = adam({{8, 4}, {8}}, rate);
        std::vector<ir::Ref> refs;
        for (const UOp& r : update.roots) refs.push_back(r.get());
        const schedule::Normalised graph = schedule::normalise(refs);
        keys.push_back(graph.key);
        CHECK(graph.inputs.size() == 8);
        CHECK(graph.binds.size() == 1);
    }
    CHECK(keys[0] == keys[1]);
}

TEST_CASE("a target that is read elsewhere is written after it was read") {
    const UOp x = data(f32, {20, 30}), w = data(f32, {30, 20}, 2);
    const UOp y = matmul(x, w);  // reads x in another order than it is written
    const std::vector<UOp> roots{ir::assign(x, scaled(x, 0.5)), y};
    check(roots);
    const Schedule s = schedule_of(roots, {true});
    CHECK(written_in_place(s) == 1);
    CHECK_MESSAGE(s.kernels[s.launches[0].kernel].name.starts_with("r_"), text(s));
}

TEST_CASE("a target that is needed after the write is not written over") {
    const UOp x = data(f32, {20, 30});
    const UOp fresh = ir::assign(x, scaled(x, 0.5));
    // Needs both: the sums of the new value and the old one in another order.
    const UOp sums =
        row_sum(ir::contiguous(add(row_sum(fresh, 0), ir::constant(f32, 1, Shape{1, 30}))), 1);
    const UOp both = mul(ir::flip(x, Ints{0}), ir::expand(sums, Shape{20, 30}));
    check({fresh, both});
}

// `x` with the box [from, to) of it set to `value`, which has the box's shape.
UOp with_box(const UOp& x, const Ints& from, const Ints& to, const UOp& value) {
    Ints after;
    for (std::size_t i = 0; i < to.size(); ++i) after.push_back(x->shape()[i] - to[i]);
    const auto placed = [&](const UOp& part) { return ir::pad(part, from, after); };
    return ir::where(placed(ir::constant(boolean, 1, value->shape())), placed(value), x);
}

// How many elements the kernels of `s` write.
std::int64_t elements_written(const Schedule& s) {
    std::int64_t elements = 0;
    for (const schedule::Launch& launch : s.launches)
        for (ir::Ref store : s.kernels[launch.kernel].sink->src()) {
            std::int64_t trips = 1;
            for (ir::Ref n : ir::toposort(std::span<const ir::Ref>(&store, 1)))
                if (n->is(Op::Range) && (n->ranges() & store->ranges()) != 0)
                    trips *= n->src(0)->is(Op::Const) ? n->src(0)->arg(0)
                                                      : launch.segments[0].scalars[0].bits;
            elements += trips;
        }
    return elements;
}

TEST_CASE("of memory that is written in place only what changes is gone through") {
    const UOp x = data(f32, {12, 20, 8}), y = data(f32, {12, 20, 8}, 2);
    const struct {
        Ints from, to;
    } boxes[] = {{{0, 19, 0}, {12, 20, 8}}, {{3, 0, 0}, {4, 20, 8}},  {{2, 5, 1}, {9, 11, 7}},
                 {{0, 0, 0}, {1, 1, 1}},    {{0, 0, 0}, {12, 20, 7}}, {{11, 19, 7}, {12, 20, 8}},
                 {{0, 0, 0}, {2, 20, 8}}};
    for (const auto& [from, to] : boxes) {
        Shape shape;
        std::int64_t volume = 1;
        for (std::size_t i = 0; i < 3; ++i) {
            shape.push_back(to[i] - from[i]);
            volume *= shape.back();
        }
        CAPTURE(volume);
        const UOp set = ir::assign(x, with_box(x, from, to, data(f32, shape, 3)));
        check({set});
        CHECK(elements_written(schedule_of({set}, {true})) == volume);
        CHECK(elements_written(schedule_of({set})) == 12 * 20 * 8);
        // Two of one shape, and one of other values than its target's.
        check({set, ir::assign(y, with_box(y, from, to, data(f32, shape, 4)))});
        const UOp beside = ir::assign(y, with_box(x, from, to, data(f32, shape, 4)));
        check({set, beside});
        check({set, row_sum(x, 1)});
        check({set, row_sum(set, 1), scaled(set, 2)});
        // A product of which a part alone is wanted, and running sums.
        const Shape wide{shape[0], shape[1], 30, shape[2]};
        const UOp sums = ir::reshape(row_sum(data(f32, wide, 5), 2), shape);
        check({ir::assign(x, with_box(x, from, to, sums))});
        const UOp all = ir::scan(ir::ReduceKind::Add, y, 1);
        check({ir::assign(x, with_box(x, from, to, ir::shrink(all, from, to)))});
    }
}

TEST_CASE("what is set in place in two boxes is gone through once, from the first to the last") {
    const UOp x = data(f32, {30, 8});
    const UOp once = with_box(x, {4, 0}, {6, 8}, data(f32, {2, 8}, 2));
    const UOp twice = ir::assign(x, with_box(once, {20, 0}, {21, 8}, data(f32, {1, 8}, 3)));
    check({twice});
    const UOp reversed = ir::assign(
        x, ir::where(ir::pad(ir::constant(boolean, 1, Shape{25, 8}), Ints{0, 0}, Ints{5, 0}), x,
                     scaled(x, 3)));
    check({reversed});
}

TEST_CASE("a kernel that reads its target elsewhere than it writes gets other memory") {
    const UOp x = data(f32, {20, 20});
    for (const UOp& value : {ir::flip(x, Ints{0}), ir::permute(x, Ints{1, 0}),
                             ir::binary(Op::Sub, x, ir::expand(row_max(x, 1), Shape{20, 20}))}) {
        check({ir::assign(x, value)});
        CHECK(written_in_place(schedule_of({ir::assign(x, value)}, {true})) == 0);
    }
    CHECK(written_in_place(schedule_of({ir::assign(x, scaled(x, 2))})) == 0);
}

TEST_CASE("an input that is a root itself is kept") {
    const UOp x = data(f32, {20, 20});
    check({ir::assign(x, scaled(x, 2)), x});
    CHECK(written_in_place(schedule_of({ir::assign(x, scaled(x, 2)), x}, {true})) == 0);
}

TEST_CASE("temporaries that live at one time do not overlap") {
    UOp x = data(f32, {24, 24});
    std::vector<UOp> roots;
    for (unsigned i = 0; i < 6; ++i) {
        const UOp y = matmul(relu(matmul(x, data(f32, {24, 24}, i))), data(f32, {24, 24}, i + 20));
        x = add(x, y);
    }
    check({x});
    const Schedule s = schedule_of({x});
    std::map<std::uint32_t, std::pair<std::size_t, std::size_t>> lives;
    for (std::size_t l = 0; l < s.launches.size(); ++l)
        for (const schedule::Segment& segment : s.launches[l].segments)
            for (std::uint32_t b : segment.blocks)
                if (s.blocks[b].kind == Block::Kind::Temporary) {
                    lives.try_emplace(b, l, l);
                    lives[b].second = l;
                }
    std::int64_t all = 0;
    for (const auto& [a, life_a] : lives) {
        all += s.blocks[a].numel * 4;
        CHECK(s.blocks[a].offset % 64 == 0);
        for (const auto& [b, life_b] : lives) {
            if (b <= a || life_a.second < life_b.first || life_b.second < life_a.first) continue;
            const bool apart = s.blocks[a].offset + s.blocks[a].numel * 4 <= s.blocks[b].offset ||
                               s.blocks[b].offset + s.blocks[b].numel * 4 <= s.blocks[a].offset;
            CHECK(apart);
        }
    }
    CHECK(lives.size() >= 10);
    CHECK(s.arena_bytes * 3 <= all);
}

TEST_CASE("a chain of 300,000 nodes is cut into equal kernels") {
    UOp x = data(f32, {4});
    const UOp one = ir::constant(f32, 1, Shape{4});
    for (int i = 0; i < 150000; ++i) x = ir::unary(Op::Sin, add(x, one));
    const Schedule s = schedule_of({x});
    CHECK(s.launches.size() > 50);
    CHECK(s.launches.size() < 400);
    CHECK(s.kernels.size() <= 3);
}

TEST_CASE("a chain of 300,000 movements is one kernel") {
    UOp x = data(f32, {4, 3});
    for (int i = 0; i < 150000; ++i) x = ir::flip(ir::permute(x, Ints{1, 0}), Ints{0});
    check({x}, false);
    CHECK(schedule_of({x}).launches.size() == 1);
}

TEST_CASE("values with thousands of readers and deep sharing stay linear") {
    UOp x = data(f32, {16});
    for (int i = 0; i < 2000; ++i) x = add(x, scaled(x, 0.5 / (i + 1)));
    CHECK(schedule_of({x}).launches.size() <= 10);
}

TEST_CASE("the same graph made again gives the same schedule") {
    const auto build = [](unsigned seed) {
        const UOp x = data(f32, {40, 30}, seed);
        const UOp h = relu(matmul(x, data(f32, {30, 50}, 2)));
        const UOp e = ir::unary(Op::Exp, ir::binary(Op::Sub, h, spread(row_max(h, 1), h)));
        return text(schedule_of({ir::binary(Op::Div, e, spread(row_sum(e, 1), e)), row_sum(h, 0)}));
    };
    const std::string first = build(1);
    std::vector<UOp> kept;  // so that addresses differ
    for (unsigned i = 0; i < 100; ++i) kept.push_back(data(f32, {i + 1}, i));
    CHECK(build(2) == first);
}

TEST_CASE("equal kernels are one entry") {
    std::vector<UOp> roots;
    for (unsigned i = 0; i < 5; ++i)
        roots.push_back(row_sum(ir::unary(Op::Exp, data(f32, {20, 30}, i)), 1));
    const Schedule s = schedule_of(roots);
    CHECK_MESSAGE(s.kernels.size() == 1, text(s));
    CHECK(s.launches.size() == 5);
}

TEST_CASE("what nobody asked for is not computed") {
    const UOp x = data(f32, {20, 30});
    const UOp y = ir::where(ir::constant(boolean, 1, Shape{20, 30}), x, ir::unary(Op::Exp, x));
    const Schedule s = schedule_of({scaled(y, 2)});
    CHECK(text(s).find("Exp") == std::string::npos);
}
