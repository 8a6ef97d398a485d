// Index arithmetic proved over small ranges: random expressions, evaluated at every point before
// and after.
#include <doctest/doctest.h>

#include <random>

#include <sinter/ir/affine.h>
#include <sinter/ir/evaluate.h>
#include <sinter/ir/fuzz.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/print.h>
#include <sinter/ir/simplify.h>

namespace sinter::ir {
namespace {

// Makes random index expressions and masks over a few ranges and a variable.
class Generator {
public:
    explicit Generator(std::uint64_t seed) : random_(seed) {
        leaves_ = {
            range(arena, 0, 1 + pick(7), Role::Loop), range(arena, 1, 1 + pick(5), Role::Loop),
            range(arena, 2, 1 + pick(4), Role::Reduce), variable(arena, DType::Index, 0, 1, 4)};
        leaves_.push_back(range(arena, 3, leaves_[3], Role::Loop));  // of symbolic size
    }

    Ref index(int depth) {
        if (depth == 0)
            return pick(4) == 0 ? arena.index(pick(13) - 4)
                                : leaves_[static_cast<std::size_t>(pick(5))];
        const auto constant = [&] { return arena.index(1 + pick(12)); };
        switch (pick(11)) {
            case 0:
            case 1:
                return arena.add(index(depth - 1), index(depth - 1));
            case 2:
                return arena.sub(index(depth - 1), index(depth - 1));
            case 3:
                return arena.mul(index(depth - 1), arena.index(pick(9) - 2));
            case 4:
            case 5:
                return arena.idiv(index(depth - 1), constant());
            case 6:
            case 7:
                return arena.mod(index(depth - 1), constant());
            case 8:
                return pick(2) == 0 ? arena.idiv(index(depth - 1), leaves_[3])
                                    : arena.mod(index(depth - 1), leaves_[3]);
            case 9:
                return arena.binary(pick(2) == 0 ? Op::Min : Op::Max, index(depth - 1),
                                    index(depth - 1));
            default:
                return pick(3) != 0
                           ? arena.mul(index(depth - 1), leaves_[static_cast<std::size_t>(pick(5))])
                           : arena.where(mask(depth - 1), index(depth - 1), index(depth - 1));
        }
    }

    // i*stride + j, cut and put together in ways that views make.
    Ref flattened(int depth) {
        Ref x = arena.add(arena.mul(leaves_[0], arena.index(1 + pick(8))), leaves_[1]);
        if (pick(2) == 0) x = arena.add(arena.mul(x, arena.index(1 + pick(6))), leaves_[2]);
        for (int i = 0; i < depth; ++i) {
            const Ref c = arena.index(1 + pick(8)), d = arena.index(1 + pick(8));
            const Ref high = arena.mod(arena.idiv(x, c), d), low = arena.mod(x, c);
            x = arena.add(arena.mul(pick(2) == 0 ? high : arena.idiv(x, c), pick(3) == 0 ? d : c),
                          low);
        }
        return x;
    }

    Ref mask(int depth) {
        if (depth > 1 && pick(2) == 0) {
            const Ref p = mask(depth - 1), q = mask(depth - 1);
            switch (pick(4)) {
                case 0:
                    return arena.binary(Op::Or, p, q);
                case 1:
                    return arena.unary(Op::Not, p);
                default:
                    return arena.land(p, q);
            }
        }
        constexpr Op ops[] = {Op::Lt, Op::Lt, Op::Le, Op::Eq, Op::Ne};
        return arena.binary(ops[pick(5)], index(depth),
                            pick(2) == 0 ? index(depth) : arena.index(pick(20) - 4));
    }

    std::int64_t pick(std::int64_t n) {
        return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n));
    }

    Arena arena;

private:
    std::vector<Ref> leaves_;
    std::mt19937_64 random_;
};

void prove(Arena& arena, Ref before) {
    const Ref after = simplify(arena, before);
    const std::string counterexample = differ_at(before, after);
    if (!counterexample.empty()) FAIL(to_text(before), "becomes\n", to_text(after), counterexample);
    CHECK(simplify(arena, after) == after);
}

}  // namespace

TEST_CASE("simplified indices have the same value at every point") {
    for (std::uint64_t seed = 0; seed < 6000; ++seed) {
        Generator g(seed);
        CAPTURE(seed);
        prove(g.arena, g.index(1 + static_cast<int>(seed % 4)));
    }
}

TEST_CASE("simplified flattened indices have the same value at every point") {
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
        Generator g(seed);
        CAPTURE(seed);
        prove(g.arena, g.flattened(1 + static_cast<int>(seed % 3)));
    }
}

TEST_CASE("simplified masks have the same value at every point") {
    for (std::uint64_t seed = 0; seed < 6000; ++seed) {
        Generator g(seed);
        CAPTURE(seed);
        prove(g.arena, g.mask(1 + static_cast<int>(seed % 3)));
    }
}

TEST_CASE("an index simplified under a mask has the same value wherever the mask holds") {
    for (std::uint64_t seed = 0; seed < 4000; ++seed) {
        Generator g(seed);
        const Ref mask = g.mask(1 + static_cast<int>(seed % 3));
        const Ref before = seed % 2 == 0 ? g.index(3) : g.flattened(2);
        const Ref after = simplify_given(g.arena, before, mask);
        const std::string counterexample = differ_at(before, after, mask);
        if (!counterexample.empty())
            FAIL("seed ", seed, "\n", to_text(before), "becomes\n", to_text(after), "under\n",
                 to_text(mask), counterexample);
    }
}

TEST_CASE("bounds hold at every point") {
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
        Generator g(seed);
        const Ref x = g.index(3);
        const Ref low = g.arena.le(g.arena.index(x->vmin()), x),
                  high = g.arena.le(x, g.arena.index(x->vmax()));
        CAPTURE(seed);
        CHECK(differ_at(low, g.arena.truth(true)) == "");
        CHECK(differ_at(high, g.arena.truth(true)) == "");
    }
}

}  // namespace sinter::ir
