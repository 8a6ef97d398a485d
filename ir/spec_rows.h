#pragma once
// The tables behind spec.h, one a level; and the words they are written in.

#include <algorithm>

#include <sinter/ir/spec.h>

namespace sinter::ir {

std::span<const SpecRow> tensor_spec();
std::span<const SpecRow> kernel_spec();
std::span<const SpecRow> scheduled_spec();

namespace spec_words {

// A call, not a braced row: a row's line would be that of the table's end.
inline SpecRow row(const OpSet& ops, const char* says, SpecRow::Predicate holds,
                   std::source_location here = std::source_location::current()) {
    return {ops, says, holds, here};
}
inline SpecRow row(Op op, const char* says, SpecRow::Predicate holds,
                   std::source_location here = std::source_location::current()) {
    return {op_set({op}), says, holds, here};
}

inline bool sources(Ref n, std::size_t count) { return n->src().size() == count; }
inline bool is_element(DType dt) { return dt != DType::None && dt != DType::Index; }
inline bool same_dtypes(std::span<const Ref> nodes, DType dt) {
    return std::all_of(nodes.begin(), nodes.end(), [dt](Ref s) { return s->dtype() == dt; });
}

/// Arity and dtypes of an elementwise node; `Index` is a dtype like any other here.
bool elementwise_types(Ref n);
/// Whether the op takes operands of this dtype (docs/ir.md, Numbers).
bool takes(Op op, DType dt);
OpSet elementwise_ops();

}  // namespace spec_words
}  // namespace sinter::ir
