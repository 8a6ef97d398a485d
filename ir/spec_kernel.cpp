// The kernel form: docs/kernels.md as predicates. The two levels differ in what ranges may be and
// in what codegen adds for itself: vectors, fused multiply-adds, ranges that a memory access names
// to be walked in order.

#include <sinter/ir/kernel.h>

#include "spec_rows.h"

namespace sinter::ir {
namespace {

using namespace spec_words;

bool is_ranges(std::span<const Ref> nodes) {
    return std::all_of(nodes.begin(), nodes.end(), [](Ref s) { return s->is(Op::Range); });
}
bool args(Ref n, std::size_t count) { return n->args().size() == count; }
bool kind_up_to(std::int64_t kind, ReduceKind last) {
    return kind >= 0 && kind <= static_cast<std::int64_t>(last);
}
// A reduction's sources; its arguments are `fixed` ones, then perhaps the number of copies.
bool values_then_ranges(Ref n, std::size_t fixed) {
    if (n->args().size() < fixed || n->args().size() > fixed + 1) return false;
    for (std::int64_t count : n->args().subspan(1))
        if (count < 1 || count > static_cast<std::int64_t>(n->src().size())) return false;
    // Where every range has become copies of the code, copies are all that is left to combine.
    const bool copied = n->args().size() == fixed + 1 && n->args().back() > 1;
    return value_count(n) >= 1 && (copied || value_count(n) < n->src().size()) &&
           value_count(n) <= n->src().size() && is_ranges(named_ranges(n));
}
bool is_carried(DType dt) { return is_element(dt) && dt == accumulator_type(dt); }
bool is_vector_or_unroll(Ref range) {
    return role_of(range) == Role::Unroll || role_of(range) == Role::Vector;
}

// Ops of index arithmetic.
bool index_op(Op op) {
    switch (op) {
        case Op::Add:
        case Op::Sub:
        case Op::Mul:
        case Op::IDiv:
        case Op::Mod:
        case Op::Min:
        case Op::Max:
        case Op::Neg:
        case Op::Lt:
        case Op::Le:
        case Op::Eq:
        case Op::Ne:
        case Op::Where:
        case Op::Cast:
            return true;
        default:
            return false;
    }
}

bool elementwise_in_kernel(Ref n) {
    if (n->src().size() != static_cast<std::size_t>(info(n->op()).arity)) return false;
    const DType operand = n->src(n->is(Op::Where) ? n->src().size() - 1 : 0)->dtype();
    if (operand == DType::Index) {
        if (!index_op(n->op()) || !same_dtypes(n->src().subspan(n->is(Op::Where) ? 1 : 0), operand))
            return false;
        if (n->is(Op::Where)) return n->src(0)->dtype() == DType::Bool && n->dtype() == operand;
        if (n->is(Op::Cast)) return n->dtype() != DType::None;
        return n->dtype() == (info(n->op()).dtype == DTypeRule::Bool ? DType::Bool : operand);
    }
    // Of floats, marked: times a power of two.
    if (n->is(Op::Shl) && !n->args().empty() && (operand == f32 || operand == f64))
        return same_dtypes(n->src(), operand) && n->dtype() == operand;
    return elementwise_types(n);
}

// Ops whose machine instruction has the documented result for some operands alone; codegen marks
// the nodes whose operands it knows to be such.
OpSet markable() { return op_set({Op::Cast, Op::IDiv, Op::Mod, Op::Shl, Op::Shr}); }

// Rows that hold before and after the transformations.
std::vector<SpecRow> common_rows() {
    return {
        row(Op::Const, "bits alone, of a dtype with values",
            [](Ref n) { return sources(n, 0) && args(n, 1) && n->dtype() != DType::None; }),
        row(Op::Variable, "slot and bounds",
            [](Ref n) { return sources(n, 0) && args(n, 3) && n->dtype() != DType::None; }),
        row(Op::Variable, "an integer's bounds are in order",
            [](Ref n) { return is_float(n->dtype()) || n->arg(1) <= n->arg(2); }),
        row(Op::Range, "an index with a number below 64",
            [](Ref n) {
                return n->dtype() == DType::Index && sources(n, 1) && n->args().size() >= 2 &&
                       n->arg(0) >= 0 && n->arg(0) < 64;
            }),
        row(Op::Range, "the size is an index that depends on no range",
            [](Ref n) { return n->src(0)->dtype() == DType::Index && n->src(0)->ranges() == 0; }),
        row(Op::Param, "the memory of a slot, and whether it is read late",
            [](Ref n) {
                return sources(n, 0) && (args(n, 1) || args(n, 2)) && is_element(n->dtype());
            }),
        row(elementwise_ops(), "operands have the dtypes that the op takes", elementwise_in_kernel),
        row(elementwise_ops() & ~markable(), "no arguments",
            [](Ref n) { return n->args().empty(); }),
        row(Op::Load, "memory, index and mask; then ranges to be walked in order",
            [](Ref n) {
                return n->src().size() >= 3 && n->src(0)->is(Op::Param) &&
                       n->src(1)->dtype() == DType::Index && n->src(2)->dtype() == DType::Bool &&
                       is_ranges(n->src().subspan(3));
            }),
        row(Op::Load, "the memory's dtype, the bits of a fill, whether it may be read anyway",
            [](Ref n) { return (args(n, 1) || args(n, 2)) && n->dtype() == n->src(0)->dtype(); }),
        row(Op::Reduce, "a value and the ranges it closes",
            [](Ref n) {
                return values_then_ranges(n, 1) && kind_up_to(n->arg(0), ReduceKind::Min);
            }),
        row(Op::Reduce, "16-bit floats are carried in f32",
            [](Ref n) {
                return is_carried(n->dtype()) &&
                       same_dtypes(n->src().first(value_count(n)), n->dtype());
            }),
        row(Op::Scan, "a value and the range it runs along, once split: trips and lanes",
            [](Ref n) {
                return (sources(n, 2) || sources(n, 3)) && is_ranges(n->src().subspan(1)) &&
                       args(n, 1) && kind_up_to(n->arg(0), ReduceKind::Min);
            }),
        row(Op::Scan, "16-bit floats are carried in f32",
            [](Ref n) { return is_carried(n->dtype()) && n->src(0)->dtype() == n->dtype(); }),
        row(Op::Accumulate, "an effect: a combination of values and the ranges it closes",
            [](Ref n) {
                return n->dtype() == DType::None && values_then_ranges(n, 2) && n->arg(0) >= 0 &&
                       n->arg(0) <= static_cast<std::int64_t>(Combine::ArgMin);
            }),
        row(Op::Accumulate, "argmax and argmin carry a value and its position, i32 or i64",
            [](Ref n) {
                if (n->arg(1) != 2) return false;
                for (std::size_t i = 0; i < value_count(n); i += 2)
                    if (n->src(i)->dtype() != n->src(0)->dtype() ||
                        n->src(i + 1)->dtype() != n->src(1)->dtype())
                        return false;
                return is_element(n->src(0)->dtype()) &&
                       (n->src(1)->dtype() == i32 || n->src(1)->dtype() == i64);
            }),
        row(Op::Get, "a component of an Accumulate",
            [](Ref n) {
                return sources(n, 1) && n->src(0)->is(Op::Accumulate) && args(n, 1) &&
                       n->arg(0) >= 0 && n->arg(0) < n->src(0)->arg(1) &&
                       n->dtype() == n->src(0)->src(static_cast<std::size_t>(n->arg(0)))->dtype();
            }),
        row(Op::Order,
            "an effect: a key, its position, and the ranges it closes; how many there are",
            [](Ref n) {
                return n->dtype() == DType::None && args(n, 1) && n->src().size() > 2 &&
                       is_unsigned(n->src(0)->dtype()) && n->src(1)->dtype() == DType::Index &&
                       is_ranges(n->src().subspan(2));
            }),
        row(Op::Nth, "the key or the position at a place of an Order",
            [](Ref n) {
                return sources(n, 2) && args(n, 1) && n->src(0)->is(Op::Order) &&
                       n->src(1)->dtype() == DType::Index &&
                       n->dtype() == (n->arg(0) == 0 ? n->src(0)->src(0)->dtype() : DType::Index);
            }),
        row(Op::Check, "the index of an integer value below a bound",
            [](Ref n) {
                return sources(n, 1) && (args(n, 2) || args(n, 3)) && n->dtype() == DType::Index &&
                       n->arg(0) >= 0 && (is_integer(n->src(0)->dtype()));
            }),
        row(Op::Store, "memory, index, value and mask; then ranges to be walked in order",
            [](Ref n) {
                return n->dtype() == DType::None && n->src().size() >= 4 &&
                       n->src(0)->is(Op::Param) && n->src(1)->dtype() == DType::Index &&
                       n->src(2)->dtype() == n->src(0)->dtype() &&
                       n->src(3)->dtype() == DType::Bool && is_ranges(n->src().subspan(4));
            }),
        row(Op::Store, "writes, or combines by a kind",
            [](Ref n) {
                return args(n, 1) &&
                       (n->arg(0) == kPlainStore || kind_up_to(n->arg(0), ReduceKind::Set));
            }),
        row(Op::Sink, "a kernel is its stores, and depends on no range",
            [](Ref n) {
                return n->dtype() == DType::None &&
                       std::all_of(n->src().begin(), n->src().end(),
                                   [](Ref s) { return s->is(Op::Store); });
            }),
    };
}

OpSet ops_of(const std::vector<SpecRow>& rows) {
    OpSet all;
    for (const SpecRow& row : rows) all |= row.ops;
    return all;
}

}  // namespace

std::span<const SpecRow> kernel_spec() {
    static const std::vector<SpecRow> rows = [] {
        std::vector<SpecRow> all = common_rows();
        all.push_back(
            row(ops_of(all), "vectors are made by codegen", [](Ref n) { return n->lanes() == 1; }));
        all.push_back(row(Op::Range, "a range is an output's or a reduction's", [](Ref n) {
            return args(n, 2) && (role_of(n) == Role::Loop || role_of(n) == Role::Reduce);
        }));
        all.push_back(row(Op::Range, "a size is a constant or given at launch", [](Ref n) {
            return n->src(0)->is(Op::Const) || n->src(0)->is(Op::Variable);
        }));
        all.push_back(row(op_set({Op::Reduce, Op::Accumulate}), "copies are made by codegen",
                          [](Ref n) { return args(n, n->is(Op::Reduce) ? 1 : 2); }));
        all.push_back(row(markable(), "no arguments", [](Ref n) { return n->args().empty(); }));
        all.push_back(row(op_set({Op::Load, Op::Store}), "order is codegen's choice",
                          [](Ref n) { return sources(n, n->is(Op::Load) ? 3 : 4); }));
        return all;
    }();
    return rows;
}

std::span<const SpecRow> scheduled_spec() {
    static const std::vector<SpecRow> rows = [] {
        std::vector<SpecRow> all = common_rows();
        all.push_back(row(Op::Range, "a range has its place", [](Ref n) {
            return role_of(n) == Role::Parallel || role_of(n) == Role::Serial ||
                   is_vector_or_unroll(n);
        }));
        all.push_back(row(Op::Range, "unrolled and vector ranges have constant sizes", [](Ref n) {
            return !is_vector_or_unroll(n) || n->src(0)->is(Op::Const);
        }));
        all.push_back(row(markable(), "at most a mark that the operands are in range", [](Ref n) {
            return n->args().empty() || (args(n, 1) && n->arg(0) == 1);
        }));
        all.push_back(row(Op::Fma, "three floats of one dtype", [](Ref n) {
            return sources(n, 3) && is_float(n->dtype()) && same_dtypes(n->src(), n->dtype());
        }));
        all.push_back(
            row(Op::Dot, "two words and the sum that their products are added to", [](Ref n) {
                return sources(n, 3) && args(n, 1) && n->src(0)->dtype() == u32 &&
                       n->src(1)->dtype() == u32 && n->src(2)->dtype() == n->dtype() &&
                       n->dtype() == (n->arg(0) == 0 ? f32 : i32);
            }));
        return all;
    }();
    return rows;
}

}  // namespace sinter::ir
