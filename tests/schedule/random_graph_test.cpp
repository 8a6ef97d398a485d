// Random graphs of every op against REF.

#include <sinter/ir/uop.h>

#include <random>
#include <utility>

#include "schedule_support.h"

using namespace sinter;
using namespace sinter::test;
using ir::Op;
using ir::ReduceKind;
using ir::Shape;
using ir::UOp;
using Ints = std::vector<std::int64_t>;

namespace {

// One draw a statement: compilers evaluate arguments in different orders.
class Generator {
public:
    explicit Generator(unsigned seed) : random_(seed) {}

    std::vector<UOp> graph() {
        for (int i = 0; i < 3; ++i) {
            const DType dt = dtype();
            const Shape sizes = shape();
            pool_.push_back(data(dt, sizes, random_()));
        }
        const int steps = 3 + pick(14);
        for (int i = 0; i < steps; ++i) pool_.push_back(step());
        std::vector<UOp> roots{pool_.back()};
        for (int i = pick(3); i > 0; --i) roots.push_back(any());
        return roots;
    }

private:
    int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
    template <class T>
    T one_of(std::initializer_list<T> choices) {
        return choices.begin()[pick(static_cast<int>(choices.size()))];
    }
    std::int64_t size() {
        const int rare = pick(8) == 0 ? 8 : 7;
        return std::vector<std::int64_t>{
            1, 2, 3, 4, 4, 6, 8, 0}[static_cast<std::size_t>(pick(rare))];
    }
    DType dtype() { return one_of({f32, f32, f32, f32, f64, i32}); }
    Shape shape() {
        Shape s;
        for (int i = pick(4); i > 0; --i) s.push_back(size());
        return s;
    }
    const UOp& any() {
        return pool_[pool_.size() - 1 -
                     static_cast<std::size_t>(
                         pick(std::min<int>(6, static_cast<int>(pool_.size()))))];
    }
    Ints axes(const UOp& x) {
        Ints out;
        for (std::size_t d = 0; d < x->rank(); ++d)
            if (pick(2) == 0) out.push_back(static_cast<std::int64_t>(d));
        return out;
    }

    // `y` in the shape and dtype of `x`: by broadcasting, slicing or padding, whatever fits.
    UOp like(UOp y, const UOp& x) {
        if (y->dtype() != x->dtype()) y = ir::cast(y, x->dtype());
        Shape aligned(y->shape().begin(), y->shape().end());
        while (aligned.size() > x->rank()) {
            if (aligned.front() != 1)
                return data(x->dtype(), Shape(x->shape().begin(), x->shape().end()), random_());
            aligned.erase(aligned.begin());
        }
        while (aligned.size() < x->rank()) aligned.insert(aligned.begin(), 1);
        y = ir::reshape(y, aligned);
        Ints begin(aligned.size(), 0), end = aligned, before(aligned.size(), 0),
                                       after(aligned.size(), 0);
        Shape wide = aligned;
        for (std::size_t d = 0; d < aligned.size(); ++d) {
            const std::int64_t want = x->shape()[d];
            if (aligned[d] > want) {
                begin[d] = pick(static_cast<int>(aligned[d] - want) + 1);
                end[d] = begin[d] + want;
            } else if (aligned[d] == 1) {
                wide[d] = want;
                continue;
            } else {
                before[d] = pick(static_cast<int>(want - aligned[d]) + 1);
                after[d] = want - aligned[d] - before[d];
            }
            wide[d] = want;
        }
        return ir::expand(ir::pad(ir::shrink(y, begin, end), before, after, pick(2)), wide);
    }

    UOp bounded(const UOp& x) { return is_float(x->dtype()) ? ir::unary(Op::Tanh, x) : x; }

    UOp step() {
        const UOp x = any();
        const auto rank = static_cast<int>(x->rank());
        const bool real = is_float(x->dtype());
        switch (pick(20)) {
            case 0:
            case 1:
                if (!real) return ir::unary(Op::Neg, x);
                return ir::unary(one_of({Op::Exp, Op::Sin, Op::Neg, Op::Abs, Op::Sqrt}),
                                 bounded(x));
            case 2:
            case 3:
            case 4: {
                const Op op = one_of({Op::Add, Op::Sub, Op::Mul, Op::Max});
                return ir::binary(op, bounded(x), bounded(like(any(), x)));
            }
            case 5: {
                const UOp limit = like(any(), x), other = like(any(), x);
                return ir::where(ir::binary(Op::Lt, x, limit), other, x);
            }
            case 6:
                return ir::cast(bounded(x), dtype());
            case 7: {
                const ReduceKind kind =
                    one_of({ReduceKind::Add, ReduceKind::Max, ReduceKind::Min, ReduceKind::Add});
                return ir::reduce(kind, bounded(x), axes(x));
            }
            case 8: {  // normalise rows: spread a reduction again
                if (rank == 0) return x;
                const UOp r = ir::reduce(ReduceKind::Max, x, Ints{pick(rank)});
                return ir::binary(Op::Sub, bounded(x), bounded(ir::expand(r, x->shape())));
            }
            case 9: {
                Ints order(x->rank());
                for (std::size_t d = 0; d < order.size(); ++d)
                    order[d] = static_cast<std::int64_t>(d);
                std::shuffle(order.begin(), order.end(), random_);
                return ir::permute(x, order);
            }
            case 10:
                return ir::flip(x, axes(x));
            case 11: {
                Ints before(x->rank()), after(x->rank());
                for (auto& b : before) b = pick(3) == 0 ? pick(3) : 0;
                for (auto& a : after) a = pick(3) == 0 ? pick(3) : 0;
                return ir::pad(x, before, after, pick(3) - 1);
            }
            case 12: {
                Ints step(x->rank());
                for (auto& s : step) s = 1 + pick(3);
                return ir::stride(x, step);
            }
            case 13: {  // flatten, or split an axis
                if (rank >= 4) return ir::reshape(x, Shape{x->numel()});
                Shape s;
                for (std::int64_t n : x->shape()) {
                    if (n % 2 == 0 && n > 0 && pick(2) == 0) {
                        s.push_back(2);
                        n /= 2;
                    }
                    s.push_back(n);
                }
                if (s.size() > 1 && pick(2) == 0) {
                    s[0] *= s[1];
                    s.erase(s.begin() + 1);
                }
                return ir::reshape(x, s);
            }
            case 14: {
                if (rank == 0 || rank > 4) return x;
                const auto d = static_cast<std::size_t>(pick(rank));
                const std::int64_t n = x->shape()[d], k = 1 + pick(2), dilation = 1 + pick(2),
                                   step = 1 + pick(2);
                if (n < (k - 1) * dilation + 1) return x;
                const UOp w = ir::window(x, static_cast<std::int64_t>(d), k, step, dilation);
                return pick(2) == 0
                           ? w
                           : ir::fold(bounded(w), static_cast<std::int64_t>(d), n, step, dilation);
            }
            case 15: {
                if (rank == 0) return x;
                const ReduceKind kind = one_of({ReduceKind::Add, ReduceKind::Max});
                return ir::scan(kind, bounded(x), pick(rank));
            }
            case 16: {
                if (rank == 0) return x;
                const auto d = static_cast<std::size_t>(pick(rank));
                if (x->shape()[d] == 0) return x;
                if (pick(3) == 0) {
                    const auto order =
                        pick(2) == 0 ? ir::Sorting::Ascending : ir::Sorting::Descending;
                    const auto axis = static_cast<std::int64_t>(d);
                    const std::int64_t count = 1 + pick(x->shape()[d]);
                    return pick(2) == 0 ? ir::sort(x, axis, count, order)
                                        : ir::sort_positions(x, axis, count, order);
                }
                return pick(2) == 0
                           ? ir::arg_reduce(ReduceKind::Max, x, static_cast<std::int64_t>(d))
                           : gather(x, d);
            }
            case 17:
                return rank == 0 ? x : scatter(x, static_cast<std::size_t>(pick(rank)));
            case 18:
                return pick(2) == 0 ? ir::contiguous(x) : ir::detach(x);
            default: {  // a product
                if (rank != 2 || !real || x->numel() == 0)
                    return rank == 0 ? x : ir::cast(ir::iota(i32, x->shape(), pick(rank)), f32);
                const Shape sizes{x->shape()[1], size()};
                return matmul(bounded(x), bounded(data(x->dtype(), sizes, random_())));
            }
        }
    }

    UOp gather(const UOp& x, std::size_t axis) {
        Shape s(x->shape().begin(), x->shape().end());
        const std::int64_t n = s[axis];
        s[axis] = size();
        const DType dt = one_of({i64, i32});
        return ir::gather(x, data(dt, s, random_(), n), static_cast<std::int64_t>(axis));
    }

    UOp scatter(const UOp& x, std::size_t axis) {
        Shape s(x->shape().begin(), x->shape().end());
        const std::int64_t n = s[axis];
        if (n == 0) return x;
        s[axis] = size();
        const UOp index = data(i64, s, random_(), n), src = data(x->dtype(), s, random_());
        const ReduceKind kind = one_of({ReduceKind::Add, ReduceKind::Set, ReduceKind::Max});
        return ir::scatter(kind, bounded(x), index, src, static_cast<std::int64_t>(axis));
    }

    std::mt19937 random_;
    std::vector<UOp> pool_;
};

// Every second Buffer that the roots are made of.
std::vector<UOp> some_buffers(const std::vector<UOp>& roots) {
    std::vector<ir::Ref> refs;
    for (const UOp& r : roots) refs.push_back(r.get());
    std::vector<UOp> found;
    bool take = true;
    for (ir::Ref n : ir::toposort(refs))
        if (n->is(Op::Buffer) && std::exchange(take, !take)) found.push_back(UOp::share(n));
    return found;
}

}  // namespace

TEST_CASE("random graphs have the values that REF gives") {
    for (unsigned seed = 1; seed <= 600; ++seed) {
        CAPTURE(seed);
        std::string wrong;
        try {
            const std::vector<UOp> roots = Generator(seed).graph();
            std::int64_t points = 0;
            for (const UOp& r : roots) points += r->numel();
            if (points > 20000) continue;
            wrong = seed % 3 == 0 ? mismatch(roots, {.steady = some_buffers(roots),
                                                     .panel_columns = 2,
                                                     .pack_always = true})
                                  : mismatch(roots, {.may_overwrite = seed % 2 == 0});
        } catch (const std::exception& e) {
            wrong = e.what();
        }
        REQUIRE_MESSAGE(wrong.empty(), wrong);
    }
}
