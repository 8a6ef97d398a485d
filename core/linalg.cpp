#include <sinter/linalg.h>

#include "call.h"

namespace sinter {

using ir::Op;

// The product is spelled as a multiply over [.., M, N, K] and a sum over K, which the scheduler
// knows as a matrix product.
Tensor matmul(const Arg& a, const Arg& b) {
    Call call("matmul", a);
    const DType dt = result_type(a, b);
    const UOp left = call.node(a), right = call.node(b);
    if (left->rank() == 0 || right->rank() == 0)
        fail<ShapeError>("takes vectors, matrices or batches of them, got " + text(left) + " and " +
                         text(right) + "; scalars multiply with *");
    if (dt == boolean) fail<DTypeError>("is not defined for bool: cast first");
    const bool row = left->rank() == 1, column = right->rank() == 1;
    const ir::Shape ls = shape_of(left), rs = shape_of(right);
    const std::int64_t m = row ? 1 : ls[ls.size() - 2], k = ls.back();
    const std::int64_t n = column ? 1 : rs.back(), k2 = column ? rs[0] : rs[rs.size() - 2];
    if (k != k2)
        fail<ShapeError>("inner sizes differ: a is " + text(ls) + " and b is " + text(rs) +
                         "; b needs " + text(k) + (column ? " elements" : " rows"));
    const ir::Shape batch = broadcast_shapes(Ints(ls).first(row ? 0 : ls.size() - 2),
                                             Ints(rs).first(column ? 0 : rs.size() - 2));
    auto with = [](Ints front, std::initializer_list<std::int64_t> back) {
        ir::Shape out(front.begin(), front.end());
        out.insert(out.end(), back);
        return out;
    };
    // Computed in f32 for 16-bit floats, rounded once.
    const DType wide = accumulator_type(dt);
    const ir::Shape full = with(batch, {m, n, k});
    checked_numel(with(batch, {m, n}));
    UOp x =
        ir::reshape(ir::cast(left, wide), with(Ints(ls).first(row ? 0 : ls.size() - 2), {m, 1, k}));
    UOp y = ir::cast(right, wide);
    if (!column) {
        ir::Shape axes(rs.size());
        for (std::size_t d = 0; d < axes.size(); ++d) axes[d] = static_cast<std::int64_t>(d);
        std::swap(axes[axes.size() - 1], axes[axes.size() - 2]);
        y = ir::permute(y, axes);
    }
    y = ir::reshape(y, with(Ints(rs).first(column ? 0 : rs.size() - 2), {1, n, k}));
    const UOp product = ir::binary(Op::Mul, expand_to(x, full), expand_to(y, full));
    const std::int64_t last[] = {static_cast<std::int64_t>(full.size()) - 1};
    const UOp sum = ir::cast(ir::reduce(ir::ReduceKind::Add, product, last), dt);
    ir::Shape out = batch;
    if (!row) out.push_back(m);
    if (!column) out.push_back(n);
    return call.wrap(ir::reshape(sum, out));
}

Tensor dot(const Arg& a, const Arg& b) {
    Call call("dot", a);
    const UOp x = call.node(a), y = call.node(b);
    if (x->rank() != 1 || y->rank() != 1)
        fail<ShapeError>("takes two vectors, got " + text(x) + " and " + text(y));
    return matmul(a, b);
}

Tensor outer(const Arg& a, const Arg& b) {
    Call call("outer", a);
    const Two two = [&] {
        const DType dt = result_type(a, b);
        return Two{ir::cast(call.node(a), dt), ir::cast(call.node(b), dt)};
    }();
    if (two.a->rank() != 1 || two.b->rank() != 1)
        fail<ShapeError>("takes two vectors, got " + text(two.a) + " and " + text(two.b));
    const ir::Shape shape{two.a->numel(), two.b->numel()}, column{two.a->numel(), 1};
    checked_numel(shape);
    return call.wrap(ir::binary(two.a->dtype() == boolean ? Op::And : Op::Mul,
                                expand_to(ir::reshape(two.a, column), shape),
                                expand_to(two.b, shape)));
}

}  // namespace sinter
