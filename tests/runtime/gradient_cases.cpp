#include "gradient_cases.h"

#include "runtime_buffers.h"

namespace sinter::gradient_cases {
namespace {

using ir::Op;
using ir::ReduceKind;
using ir::UOp;
using Xs = std::vector<UOp>;

const Dims kShape{3, 4};

template <Op op>
Case unary(double low, double high) {
    return {std::string(ir::name(op)), op, {{kShape, low, high}}, [](const Xs& x) {
                return ir::unary(op, x[0]);
            }};
}
template <Op op>
Case binary(Source a, Source b, std::string note = "") {
    return {std::string(ir::name(op)) + note, op, {std::move(a), std::move(b)}, [](const Xs& x) {
                return ir::binary(op, x[0], x[1]);
            }};
}
template <int tenths>
Case power(double low, double high) {
    return {
        "Pow by " + std::to_string(tenths / 10.0), Op::Pow, {{kShape, low, high}}, [](const Xs& x) {
            return ir::binary(Op::Pow, x[0],
                              ir::constant(x[0]->dtype(), tenths / 10.0, x[0]->shape()));
        }};
}
template <ReduceKind kind>
Case reduction(Dims shape, std::string note, UOp (*apply)(const Xs&),
               std::vector<double> values = {}) {
    return {"Reduce " + std::string(ir::name(kind)) + " " + note,
            Op::Reduce,
            {{std::move(shape), -2, 2, std::move(values)}},
            apply};
}
template <ReduceKind kind>
Case running(std::string note, std::int64_t n, std::vector<double> values = {}) {
    return {"Scan " + std::string(ir::name(kind)) + " " + note,
            Op::Scan,
            {{{n, 2}, -2, 2, std::move(values)}},
            [](const Xs& x) { return ir::scan(kind, x[0], 0); }};
}
template <ReduceKind kind>
Case scattering(std::string note, std::vector<double> source = {}) {
    return {"Scatter " + std::string(ir::name(kind)) + " " + note,
            Op::Scatter,
            {{{5, 2}}, {{4, 2}, -2, 2, std::move(source)}},
            [](const Xs& x) {
                // Index 1 twice in the first column, 3 three times in the second.
                const UOp index = index_buffer({4, 2}, {1, 3, 4, 3, 1, 0, 2, 3});
                return ir::scatter(kind, x[0], index, x[1], 0);
            }};
}
Case movement(std::string name, Op op, UOp (*apply)(const Xs&), Dims shape = kShape) {
    return {std::move(name), op, {{std::move(shape)}}, apply};
}

void add_elementwise(std::vector<Case>& cases) {
    cases.insert(cases.end(),
                 {
                     unary<Op::Neg>(-2, 2),
                     unary<Op::Abs>(0.2, 2),
                     unary<Op::Sign>(-2, -0.2),
                     unary<Op::Floor>(0.1, 0.9),
                     unary<Op::Ceil>(-0.9, -0.1),
                     unary<Op::Trunc>(1.1, 1.9),
                     unary<Op::Round>(0.6, 1.4),
                     unary<Op::Recip>(0.4, 3),
                     unary<Op::Sqrt>(0.3, 3),
                     unary<Op::Exp>(-2, 2),
                     unary<Op::Exp2>(-2, 2),
                     unary<Op::Expm1>(-2, 2),
                     unary<Op::Log>(0.3, 3),
                     unary<Op::Log2>(0.3, 3),
                     unary<Op::Log1p>(-0.6, 3),
                     unary<Op::Sin>(-4, 4),
                     unary<Op::Cos>(-4, 4),
                     unary<Op::Tan>(-1.2, 1.2),
                     unary<Op::Asin>(-0.9, 0.9),
                     unary<Op::Acos>(-0.9, 0.9),
                     unary<Op::Atan>(-3, 3),
                     unary<Op::Sinh>(-2, 2),
                     unary<Op::Cosh>(-2, 2),
                     unary<Op::Tanh>(-2, 2),
                     unary<Op::Erf>(-2, 2),
                     unary<Op::Abs>(-2, -0.2),
                     binary<Op::Add>({kShape}, {kShape}),
                     binary<Op::Sub>({kShape}, {kShape}),
                     binary<Op::Mul>({kShape}, {kShape}),
                     binary<Op::Div>({kShape}, {kShape, 0.4, 2}),
                     binary<Op::Max>({kShape}, {kShape}),
                     binary<Op::Min>({kShape}, {kShape}),
                     binary<Op::Pow>({kShape, 0.3, 3}, {kShape, -2, 2}),
                     binary<Op::Atan2>({kShape}, {kShape, 0.3, 2}),
                     binary<Op::Atan2>({kShape, 0.3, 2}, {kShape, -2, -0.1}, " behind"),
                     power<0>(-2, 2),
                     power<10>(-2, 2),
                     power<20>(-2, 2),
                     power<30>(-2, 2),
                     power<5>(0.3, 3),
                     power<-15>(0.3, 3),
                     power<-20>(-2, -0.4),
                 });
    cases.push_back({"Where", Op::Where, {{{4}}, {{4}}}, [](const Xs& x) {
                         const UOp truth = ir::cast(index_buffer({4}, {1, 0, 0, 1}), boolean);
                         return ir::where(truth, x[0], x[1]);
                     }});
    cases.push_back({"Mul by itself", Op::Mul, {{kShape}}, [](const Xs& x) {
                         return ir::binary(Op::Mul, x[0], x[0]);
                     }});
    cases.push_back({"Cast", Op::Cast, {{kShape}}, [](const Xs& x) {
                         // Through f64 and back: narrower types have no use for finite differences.
                         const DType home = x[0]->dtype();
                         return ir::cast(ir::cast(x[0], home == f64 ? f32 : f64), home);
                     }});
}

void add_movement(std::vector<Case>& cases) {
    cases.insert(
        cases.end(),
        {
            movement("Reshape", Op::Reshape,
                     [](const Xs& x) { return ir::reshape(x[0], Dims{2, 6}); }),
            movement("Permute", Op::Permute,
                     [](const Xs& x) { return ir::permute(x[0], Dims{2, 0, 1}); }, {2, 3, 4}),
            movement("Expand", Op::Expand,
                     [](const Xs& x) { return ir::expand(x[0], Dims{3, 5, 2}); }, {3, 1, 1}),
            movement("Pad", Op::Pad,
                     [](const Xs& x) { return ir::pad(x[0], Dims{1, 0}, Dims{2, 3}, 1.5); }),
            movement("Shrink", Op::Shrink,
                     [](const Xs& x) { return ir::shrink(x[0], Dims{1, 0}, Dims{3, 2}); }),
            movement("Flip", Op::Flip, [](const Xs& x) { return ir::flip(x[0], Dims{1}); }),
            movement("Stride", Op::Stride, [](const Xs& x) { return ir::stride(x[0], Dims{3, 2}); },
                     {7, 4}),
            movement("Stride past the end", Op::Stride,
                     [](const Xs& x) { return ir::stride(x[0], Dims{9}); }, {4}),
            movement("Window", Op::Window, [](const Xs& x) { return ir::window(x[0], 1, 3, 2, 2); },
                     {2, 10}),
            movement("Window overlapping", Op::Window,
                     [](const Xs& x) { return ir::window(x[0], 0, 3, 1, 1); }, {6, 2}),
            movement("Fold", Op::Fold, [](const Xs& x) { return ir::fold(x[0], 1, 10, 2, 2); },
                     {2, 3, 3}),
        });
}

void add_reductions(std::vector<Case>& cases) {
    cases.insert(cases.end(),
                 {
                     reduction<ReduceKind::Add>(
                         {3, 4}, "one axis",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Add, x[0], Dims{1}); }),
                     reduction<ReduceKind::Add>(
                         {2, 3, 2}, "two axes",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Add, x[0], Dims{0, 2}); }),
                     reduction<ReduceKind::Mul>(
                         {2, 3}, "one axis",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Mul, x[0], Dims{1}); }),
                     reduction<ReduceKind::Mul>(
                         {2, 3, 2}, "outer and inner axis",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Mul, x[0], Dims{0, 2}); }),
                     reduction<ReduceKind::Mul>(
                         {3, 4}, "with zeros",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Mul, x[0], Dims{1}); },
                         {1.5, -2, 0.5, 3, 0, 2, -1, 0.5, 0, 3, 0, 2}),
                     reduction<ReduceKind::Max>(
                         {3, 4}, "one axis",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Max, x[0], Dims{0}); }),
                     reduction<ReduceKind::Min>(
                         {3, 4}, "all axes",
                         [](const Xs& x) { return ir::reduce(ReduceKind::Min, x[0], Dims{0, 1}); }),
                     {"Sort",
                      Op::Sort,
                      {{{3, 4}, -2, 2}},
                      [](const Xs& x) { return ir::sort(x[0], 1, 4, ir::Sorting::Ascending); }},
                     {"Sort, the largest",
                      Op::Sort,
                      {{{4, 3}, -2, 2}},
                      [](const Xs& x) { return ir::sort(x[0], 0, 2, ir::Sorting::Descending); }},
                     running<ReduceKind::Add>("", 5),
                     running<ReduceKind::Mul>("", 6),
                     running<ReduceKind::Mul>("of one", 1),
                     running<ReduceKind::Mul>("with zeros", 5, {1, 0, 0, 2, 3, -1, 0.5, 0, -2, 2}),
                     running<ReduceKind::Max>("", 6),
                     running<ReduceKind::Min>("", 6),
                 });
}

void add_indexing(std::vector<Case>& cases) {
    cases.push_back({"Gather of one index a row", Op::Gather, {{{3, 4}}}, [](const Xs& x) {
                         const UOp index = index_buffer({3, 1}, {2, 0, 3});
                         return ir::gather(x[0], index, 1);
                     }});
    cases.push_back({"Gather", Op::Gather, {{{4, 2}}}, [](const Xs& x) {
                         const UOp index = index_buffer({3, 2}, {0, 3, 2, 3, 0, 1});
                         return ir::gather(x[0], index, 0);
                     }});
    cases.insert(cases.end(), {
                                  scattering<ReduceKind::Add>(""),
                                  scattering<ReduceKind::Set>(""),
                                  scattering<ReduceKind::Mul>(""),
                                  scattering<ReduceKind::Max>(""),
                                  scattering<ReduceKind::Min>(""),
                              });
}

void add_marks(std::vector<Case>& cases) {
    cases.push_back({"Contiguous", Op::Contiguous, {{kShape}}, [](const Xs& x) {
                         return ir::contiguous(ir::permute(x[0], Dims{1, 0}));
                     }});
    cases.push_back({"Copy", Op::Copy, {{kShape}}, [](const Xs& x) {
                         return ir::copy_to(x[0],
                                            static_cast<std::int64_t>(runtime::DeviceId::REF));
                     }});
    cases.push_back({"Assign", Op::Assign, {{kShape}}, [](const Xs& x) {
                         const UOp target = float_buffer(x[0]->dtype(), kShape, Values(12, 0.0));
                         return ir::assign(target, ir::unary(Op::Sin, x[0]));
                     }});
}

/// Several ops together, where the rules meet.
void add_compositions(std::vector<Case>& cases) {
    cases.push_back({"softmax", Op::Exp, {{kShape}}, [](const Xs& x) {
                         const UOp top = ir::detach(
                             ir::expand(ir::reduce(ReduceKind::Max, x[0], Dims{1}), kShape));
                         const UOp e = ir::unary(Op::Exp, ir::binary(Op::Sub, x[0], top));
                         const UOp sum = ir::reduce(ReduceKind::Add, e, Dims{1});
                         return ir::binary(Op::Div, e, ir::expand(sum, kShape));
                     }});
    cases.push_back({"matmul", Op::Mul, {{{3, 4}}, {{4, 2}}}, [](const Xs& x) {
                         const Dims wide{3, 4, 2};
                         const UOp a = ir::expand(ir::reshape(x[0], Dims{3, 4, 1}), wide);
                         const UOp b = ir::expand(ir::reshape(x[1], Dims{1, 4, 2}), wide);
                         return ir::reduce(ReduceKind::Add, ir::binary(Op::Mul, a, b), Dims{1});
                     }});
}

}  // namespace

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    add_elementwise(cases);
    add_movement(cases);
    add_reductions(cases);
    add_indexing(cases);
    add_marks(cases);
    add_compositions(cases);
    return cases;
}

}  // namespace sinter::gradient_cases
