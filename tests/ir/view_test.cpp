// Views against a naive model of movement: a value is the explicit list of the memory positions of
// its elements, -1 where an element is padding.

#include <doctest/doctest.h>

#include <functional>
#include <numeric>
#include <random>
#include <sstream>
#include <unordered_map>

#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/uop.h>
#include <sinter/ir/view.h>

using namespace sinter;
using namespace sinter::ir;

namespace {

using Ints = std::vector<std::int64_t>;

std::int64_t product(const Ints& shape) {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

// Calls f with every index of `shape`, in row-major order.
void for_each_index(const Ints& shape, const std::function<void(const Ints&)>& f) {
    Ints index(shape.size(), 0);
    for (std::int64_t n = product(shape); n > 0; --n) {
        f(index);
        for (std::size_t d = shape.size(); d-- > 0;) {
            if (++index[d] < shape[d]) break;
            index[d] = 0;
        }
    }
}

struct Naive {
    Ints shape;
    Ints positions;

    static Naive contiguous(const Ints& shape) {
        Naive x{shape, Ints(static_cast<std::size_t>(product(shape)))};
        std::iota(x.positions.begin(), x.positions.end(), 0);
        return x;
    }
    std::int64_t at(const Ints& index) const {
        std::int64_t flat = 0;
        for (std::size_t d = 0; d < shape.size(); ++d) {
            if (index[d] < 0 || index[d] >= shape[d]) return -1;
            flat = flat * shape[d] + index[d];
        }
        return positions[static_cast<std::size_t>(flat)];
    }
    // The value of `to_shape` whose element at an index is this one's at from(index).
    Naive moved(const Ints& to_shape, const std::function<Ints(const Ints&)>& from) const {
        Naive to{to_shape, {}};
        for_each_index(to_shape,
                       [&](const Ints& index) { to.positions.push_back(at(from(index))); });
        return to;
    }
};

// Whether any single View is this map: where it is valid must be a box, and it must be affine
// there.
bool is_one_view(const Naive& x) {
    const std::size_t rank = x.shape.size();
    Ints lo(rank, 1 << 30), hi(rank, -1);
    std::int64_t count = 0;
    for_each_index(x.shape, [&](const Ints& index) {
        if (x.at(index) < 0) return;
        ++count;
        for (std::size_t d = 0; d < rank; ++d) {
            lo[d] = std::min(lo[d], index[d]);
            hi[d] = std::max(hi[d], index[d] + 1);
        }
    });
    if (count == 0) return rank > 0;  // a scalar has no axis to mask
    std::int64_t volume = 1;
    for (std::size_t d = 0; d < rank; ++d) volume *= hi[d] - lo[d];
    if (volume != count) return false;
    Ints strides(rank, 0);
    for (std::size_t d = 0; d < rank; ++d) {
        if (hi[d] - lo[d] < 2) continue;
        Ints next = lo;
        ++next[d];
        strides[d] = x.at(next) - x.at(lo);
    }
    bool affine = true;
    for_each_index(x.shape, [&](const Ints& index) {
        const std::int64_t position = x.at(index);
        if (position < 0) return;
        std::int64_t expected = x.at(lo);
        for (std::size_t d = 0; d < rank; ++d) expected += (index[d] - lo[d]) * strides[d];
        affine = affine && position == expected;
    });
    return affine;
}

class Chain {
public:
    explicit Chain(std::uint32_t seed) : random_(seed) {
        Ints shape;
        const std::int64_t rank = pick(0, 4);
        for (std::int64_t d = 0; d < rank; ++d) shape.push_back(size());
        naive_ = Naive::contiguous(shape);
        tracker_ = ShapeTracker::contiguous(shape);
        text_ << "contiguous" << join(shape);
    }

    const Naive& naive() const { return naive_; }
    const ShapeTracker& tracker() const { return tracker_; }
    std::string text() const { return text_.str(); }

    void step() {
        switch (pick(0, 7)) {
            case 0:
                return reshape();
            case 1:
                return permute();
            case 2:
                return expand();
            case 3:
                return pad();
            case 4:
                return shrink();
            case 5:
                return flip();
            case 6:
                return stride();
            case 7:
                return window();
        }
    }

private:
    static constexpr std::int64_t kMaxElements = 400;

    std::int64_t pick(std::int64_t lo, std::int64_t hi) {
        return lo + static_cast<std::int64_t>(random_() % static_cast<std::uint32_t>(hi - lo + 1));
    }
    bool chance(int percent) { return pick(0, 99) < percent; }
    std::int64_t size() { return chance(2) ? 0 : pick(1, 6); }
    const Ints& shape() const { return naive_.shape; }
    std::size_t rank() const { return shape().size(); }
    static std::string join(const Ints& values) {
        std::string out = "(";
        for (std::int64_t v : values) out += std::to_string(v) + " ";
        return out + ")";
    }

    // Merges and splits sizes at random, so that reshapes both follow and cross axes.
    void reshape() {
        Ints to;
        std::int64_t rest = product(shape());
        if (rest == 0) {
            to = shape();
            std::shuffle(to.begin(), to.end(), random_);
        } else if (chance(50)) {
            for (std::int64_t s : shape()) {
                if (!to.empty() && chance(50)) {
                    to.back() *= s;
                } else {
                    to.push_back(s);
                }
            }
        } else {
            while (rest > 1 && to.size() < 5) {
                Ints divisors;
                for (std::int64_t f = 2; f <= rest; ++f) {
                    if (rest % f == 0) divisors.push_back(f);
                }
                to.push_back(divisors[static_cast<std::size_t>(
                    pick(0, static_cast<std::int64_t>(divisors.size()) - 1))]);
                rest /= to.back();
            }
            if (rest > 1) to.back() *= rest;
        }
        if (to.size() < 5 && chance(30)) {
            to.insert(to.begin() + pick(0, static_cast<std::int64_t>(to.size())), 1);
        }
        if (product(to) != product(shape())) return;
        tracker_.reshape(to);
        naive_.shape = to;
        text_ << " reshape" << join(to);
    }
    void permute() {
        Ints axes(rank());
        std::iota(axes.begin(), axes.end(), 0);
        std::shuffle(axes.begin(), axes.end(), random_);
        Ints to;
        for (std::int64_t a : axes) to.push_back(shape()[static_cast<std::size_t>(a)]);
        naive_ = naive_.moved(to, [&](const Ints& i) {
            Ints from(i.size());
            for (std::size_t d = 0; d < i.size(); ++d)
                from[static_cast<std::size_t>(axes[d])] = i[d];
            return from;
        });
        tracker_.permute(axes);
        text_ << " permute" << join(axes);
    }
    void expand() {
        Ints to = shape();
        for (std::int64_t& s : to) {
            if (s == 1 && chance(60)) s = chance(3) ? 0 : pick(1, 4);
        }
        if (product(to) > kMaxElements) return;
        const Ints old = shape();
        naive_ = naive_.moved(to, [&](Ints i) {
            for (std::size_t d = 0; d < i.size(); ++d) i[d] = std::min(i[d], old[d] - 1);
            return i;
        });
        tracker_.expand(to);
        text_ << " expand" << join(to);
    }
    void pad() {
        Ints before(rank(), 0), after(rank(), 0), to = shape();
        for (std::size_t d = 0; d < rank(); ++d) {
            if (chance(50)) continue;
            before[d] = pick(0, 2);
            after[d] = pick(0, 2);
            to[d] += before[d] + after[d];
        }
        if (product(to) > kMaxElements) return;
        naive_ = naive_.moved(to, [&](Ints i) {
            for (std::size_t d = 0; d < i.size(); ++d) i[d] -= before[d];
            return i;
        });
        tracker_.pad(before, after);
        text_ << " pad" << join(before) << join(after);
    }
    void shrink() {
        Ints begin(rank(), 0), end = shape(), to = shape();
        for (std::size_t d = 0; d < rank(); ++d) {
            if (chance(50) || (shape()[d] == 1 && chance(95))) continue;
            begin[d] = pick(0, shape()[d] / 2);
            end[d] = pick(std::min(begin[d] + (chance(95) ? 1 : 0), shape()[d]), shape()[d]);
            to[d] = end[d] - begin[d];
        }
        naive_ = naive_.moved(to, [&](Ints i) {
            for (std::size_t d = 0; d < i.size(); ++d) i[d] += begin[d];
            return i;
        });
        tracker_.shrink(begin, end);
        text_ << " shrink" << join(begin) << join(end);
    }
    void flip() {
        Ints axes;
        for (std::size_t d = 0; d < rank(); ++d) {
            if (chance(40)) axes.push_back(static_cast<std::int64_t>(d));
        }
        const Ints old = shape();
        naive_ = naive_.moved(old, [&](Ints i) {
            for (std::int64_t a : axes) {
                const std::size_t d = static_cast<std::size_t>(a);
                i[d] = old[d] - 1 - i[d];
            }
            return i;
        });
        tracker_.flip(axes);
        text_ << " flip" << join(axes);
    }
    void stride() {
        Ints step(rank(), 1), to = shape();
        for (std::size_t d = 0; d < rank(); ++d) {
            if (chance(70)) continue;
            step[d] = pick(1, 3);
            to[d] = (to[d] + step[d] - 1) / step[d];
        }
        naive_ = naive_.moved(to, [&](Ints i) {
            for (std::size_t d = 0; d < i.size(); ++d) i[d] *= step[d];
            return i;
        });
        tracker_.stride(step);
        text_ << " stride" << join(step);
    }
    void window() {
        if (rank() == 0 || rank() > 4) return;
        const std::size_t axis =
            static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(rank()) - 1));
        const std::int64_t width = pick(1, 3), hop = pick(1, 2), dilation = pick(1, 2);
        const std::int64_t reach = dilation * (width - 1) + 1;
        if (shape()[axis] < reach) return;
        Ints to = shape();
        to[axis] = (to[axis] - reach) / hop + 1;
        to.push_back(width);
        if (product(to) > kMaxElements) return;
        naive_ = naive_.moved(to, [&](Ints i) {
            i[axis] = i[axis] * hop + i.back() * dilation;
            i.pop_back();
            return i;
        });
        tracker_.window(static_cast<std::int64_t>(axis), width, hop, dilation);
        text_ << " window(" << axis << " " << width << " " << hop << " " << dilation << ")";
    }

    std::mt19937 random_;
    Naive naive_;
    ShapeTracker tracker_ = ShapeTracker::contiguous({});
    std::ostringstream text_;
};

// Number of elements at which the tracker differs from the model.
int differences(const Chain& chain) {
    if (chain.tracker().shape() != chain.naive().shape) return 1 << 20;
    int count = 0;
    for_each_index(chain.naive().shape, [&](const Ints& index) {
        const Position position = chain.tracker().at(index);
        const std::int64_t expected = chain.naive().at(index);
        if (position.valid != (expected >= 0)) ++count;
        if (position.valid && position.index != expected) ++count;
    });
    return count;
}

// Number of pairs of neighbouring valid elements that contradict real_strides().
int contradictions(const Chain& chain) {
    const auto strides = chain.tracker().real_strides();
    if (strides.size() != chain.naive().shape.size()) return 1 << 20;
    int count = 0;
    for_each_index(chain.naive().shape, [&](const Ints& index) {
        for (std::size_t d = 0; d < index.size(); ++d) {
            Ints next = index;
            ++next[d];
            const std::int64_t here = chain.naive().at(index), there = chain.naive().at(next);
            if (here >= 0 && there >= 0 && strides[d] && there - here != *strides[d]) ++count;
        }
    });
    return count;
}

// The value of a kernel-level Index or Bool expression, with its ranges set to `indices`.
std::int64_t evaluate(Ref root, const Ints& indices) {
    std::unordered_map<Ref, std::int64_t> value;
    for (Ref node : toposort(std::span<const Ref>(&root, 1))) {
        const auto src = [&](std::size_t i) { return value.at(node->src(i)); };
        const auto floored = [&] {
            const std::int64_t a = src(0), b = src(1);
            return (a - ((a % b) + b) % b) / b;
        };
        switch (node->op()) {
            case Op::Const:
                value[node] = node->arg(0);
                break;
            case Op::Range:
                value[node] = indices[static_cast<std::size_t>(node->arg(0))];
                break;
            case Op::Add:
                value[node] = src(0) + src(1);
                break;
            case Op::Sub:
                value[node] = src(0) - src(1);
                break;
            case Op::Mul:
                value[node] = src(0) * src(1);
                break;
            case Op::IDiv:
                value[node] = floored();
                break;
            case Op::Mod:
                value[node] = src(0) - floored() * src(1);
                break;
            case Op::Lt:
                value[node] = src(0) < src(1);
                break;
            case Op::Le:
                value[node] = src(0) <= src(1);
                break;
            case Op::And:
                value[node] = src(0) & src(1);
                break;
            case Op::Or:
                value[node] = src(0) | src(1);
                break;
            case Op::Not:
                value[node] = !src(0);
                break;
            case Op::Eq:
                value[node] = src(0) == src(1);
                break;
            case Op::Ne:
                value[node] = src(0) != src(1);
                break;
            case Op::Min:
                value[node] = std::min(src(0), src(1));
                break;
            case Op::Max:
                value[node] = std::max(src(0), src(1));
                break;
            case Op::Where:
                value[node] = src(0) ? src(1) : src(2);
                break;
            default:
                FAIL("unexpected op in an index");
        }
        REQUIRE(node->vmin() <= value[node]);
        REQUIRE(value[node] <= node->vmax());
    }
    return value.at(root);
}

constexpr int kChains = 20000;

}  // namespace

TEST_CASE("random movement chains address what the naive model addresses") {
    int steps = 0, one = 0, possible = 0;
    for (int seed = 0; seed < kChains; ++seed) {
        Chain chain(static_cast<std::uint32_t>(seed));
        const int length = 1 + seed % 9;
        for (int i = 0; i < length; ++i, ++steps) {
            chain.step();
            const bool right = differences(chain) == 0 && contradictions(chain) == 0;
            INFO(chain.text());
            REQUIRE(right);
        }
        const bool could = is_one_view(chain.naive());
        REQUIRE((could || !chain.tracker().is_view()));
        one += chain.tracker().is_view();
        possible += could;
    }
    MESSAGE(kChains << " chains, " << steps << " steps: " << 100.0 * one / kChains
                    << "% end as one View, " << 100.0 * possible / kChains << "% could");
    // What is missed are coincidences: carries that cancel, or that masks hide.
    CHECK(one >= 0.998 * possible);
}

TEST_CASE("index expressions say what the views say") {
    for (int seed = 0; seed < 2000; ++seed) {
        Chain chain(static_cast<std::uint32_t>(seed) + 1000000);
        for (int i = 0; i < 1 + seed % 9; ++i) chain.step();
        Arena arena;
        std::vector<Ref> ranges;
        for (std::int64_t size : chain.naive().shape) {
            ranges.push_back(
                range(arena, static_cast<std::int64_t>(ranges.size()), size, Role::Loop));
        }
        const ShapeTracker::Index index = chain.tracker().to_index(arena, ranges);
        CHECK(index.index->dtype() == DType::Index);
        CHECK(index.valid->dtype() == DType::Bool);
        INFO(chain.text());
        for_each_index(chain.naive().shape, [&](const Ints& at) {
            const std::int64_t expected = chain.naive().at(at);
            const bool valid = evaluate(index.valid, at) != 0;
            REQUIRE(valid == (expected >= 0));
            if (valid) REQUIRE(evaluate(index.index, at) == expected);
        });
    }
}

TEST_CASE("an index without a mask or a carry has no division") {
    Arena arena;
    const Ref i = range(arena, 0, 8, Role::Loop), j = range(arena, 1, 3, Role::Loop);
    ShapeTracker x = ShapeTracker::contiguous(Ints{3, 8});
    x.permute(Ints{1, 0});
    const Ref at[] = {i, j};
    const ShapeTracker::Index index = x.to_index(arena, at);
    CHECK(index.valid == arena.truth(true));
    CHECK(index.index == arena.add(i, arena.mul(j, arena.index(8))));
}

TEST_CASE("reshapes that follow the axes of a permuted or padded value stay one View") {
    ShapeTracker x = ShapeTracker::contiguous(Ints{4, 6});
    x.permute(Ints{1, 0}).reshape(Ints{3, 2, 4});
    REQUIRE(x.is_view());
    CHECK(x.views()[0].strides() == Ints{2, 1, 6});
    x.reshape(Ints{6, 4}).permute(Ints{1, 0});
    CHECK(x.is_contiguous());

    ShapeTracker y = ShapeTracker::contiguous(Ints{4, 6});
    y.pad(Ints{1, 0}, Ints{1, 0}).reshape(Ints{6, 2, 3}).reshape(Ints{36});
    REQUIRE(y.is_view());
    CHECK(y.views()[0].valid()[0] == Interval{6, 30});

    ShapeTracker z = ShapeTracker::contiguous(Ints{4, 6});
    z.permute(Ints{1, 0}).reshape(Ints{24});
    CHECK(!z.is_view());
    z.reshape(Ints{6, 4});
    CHECK(z.is_view());
}

TEST_CASE(
    "windows of an axis without mask are one View, of a padded one two, or one again when inside") {
    ShapeTracker x = ShapeTracker::contiguous(Ints{2, 10});
    x.window(1, 3, 2, 2);
    REQUIRE(x.is_view());
    CHECK(x.shape() == Ints{2, 3, 3});
    CHECK(x.views()[0].strides() == Ints{10, 2, 2});

    ShapeTracker y = ShapeTracker::contiguous(Ints{10});
    y.pad(Ints{1}, Ints{1}).window(0, 3, 1, 1);
    CHECK(y.views().size() == 2);
    y.shrink(Ints{1, 0}, Ints{9, 3});
    CHECK(y.is_view());
    CHECK(!y.has_mask());
}

TEST_CASE("a padding keeps its fill until nothing of it is left") {
    const std::int64_t one = const_bits(1.0);
    ShapeTracker x = ShapeTracker::contiguous(Ints{4});
    x.pad(Ints{1}, Ints{0}, one);
    CHECK(x.fill_bits() == one);
    CHECK_THROWS_AS(x.pad(Ints{1}, Ints{0}, const_bits(2.0)), InternalError);
    x.shrink(Ints{1}, Ints{5});
    CHECK(x.fill_bits() == 0);
    CHECK(x.is_contiguous());
}

TEST_CASE("track stops where two fills meet") {
    const UOp x = buffer(f32, Ints{4, 6}, 0);
    const UOp y = reshape(pad(permute(x, Ints{1, 0}), Ints{1, 0}, Ints{1, 0}, 1.0), Ints{32});
    const auto [base, tracker] = track(y.get());
    CHECK(base == x.get());
    CHECK(tracker.shape() == Ints{32});
    CHECK(tracker.fill_bits() == const_bits(1.0));
    CHECK(!tracker.at(Ints{3}).valid);
    CHECK(tracker.at(Ints{5}).index == 6);

    const UOp z = flip(pad(y, Ints{1}, Ints{0}, 2.0), Ints{0});
    const auto [upper, rest] = track(z.get());
    CHECK(upper == y.get());
    CHECK(rest.fill_bits() == const_bits(2.0));
    CHECK(rest.at(Ints{0}).index == 31);
}

TEST_CASE("chains of 300,000 movements are tracked") {
    UOp x = buffer(f32, Ints{4, 6}, 0);
    const Ref base = x.get();
    for (int i = 0; i < 150000; ++i) x = flip(permute(x, Ints{1, 0}), Ints{0});
    const auto [found, tracker] = track(x.get());
    CHECK(found == base);
    CHECK(tracker.is_contiguous());
}

TEST_CASE("movements that do not fit say why") {
    ShapeTracker x = ShapeTracker::contiguous(Ints{4, 6});
    CHECK_THROWS_WITH_AS(x.reshape(Ints{5, 5}),
                         "reshape: shape [4, 6]: has 24 elements, [5, 5] has 25", ShapeError);
    CHECK_THROWS_AS(x.permute(Ints{0, 0}), ShapeError);
    CHECK_THROWS_AS(x.expand(Ints{4, 12}), ShapeError);
    CHECK_THROWS_AS(x.pad(Ints{-1, 0}, Ints{0, 0}), ShapeError);
    CHECK_THROWS_AS(x.shrink(Ints{0, 5}, Ints{4, 7}), ShapeError);
    CHECK_THROWS_AS(x.flip(Ints{2}), ShapeError);
    CHECK_THROWS_AS(x.stride(Ints{0, 1}), ShapeError);
    CHECK_THROWS_AS(x.window(1, 4, 1, 2), ShapeError);
}
