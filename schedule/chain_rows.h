#pragma once
// What two kernels have in common that may hand a value to one another row by row.

#include <span>
#include <vector>

#include <sinter/ir/kernel.h>

namespace sinter::schedule {

/// A range's size, -1 where it is not known.
inline std::int64_t size_of_range(ir::Ref r) {
    return r->src(0)->is(ir::Op::Const) ? r->src(0)->arg(0) : -1;
}
std::size_t count_ranges(ir::Ref sink);
bool has_reduction(ir::Ref sink);

/// What is asked of a kernel before it is looked at as part of a chain: plain stores, in any order.
bool may_be_chained(ir::Ref sink);

struct Row {
    ir::Ref written, read;  ///< the range of the one that writes, of the one that reads
    std::int64_t stride;    ///< in the value's memory
};

/// Ranges of the writer (whose stores, `store` among them, all run over them) and the reader that
/// go through the value's memory alike, outermost first; empty where there are none or an index is
/// no sum of ranges.
std::vector<Row> common_rows(ir::Ref writer, ir::Ref store, ir::Ref reader, std::int64_t slot);

/// Whether, beyond its rows, every load of the slot stays within the row that it is in.
bool stays_in_row(ir::Ref reader, std::int64_t slot, std::span<const Row> rows);

/// The most bytes, those of `but_slot` aside, that blocks of rows read again and again, and that
/// should stay near in between: what does not depend on the innermost row, and what a sum of
/// products goes through for each of the outer rows (an operand that has no such row would be read
/// whole for each of them).
double shared_bytes(ir::Ref sink, std::span<const ir::Ref> rows, std::int64_t but_slot);

/// Whether a sum of products goes through a whole operand, that of `but_slot` aside, for each step
/// of a row that is not the innermost.
bool reads_again_for_outer_rows(ir::Ref sink, std::span<const ir::Ref> rows, std::int64_t but_slot);

}  // namespace sinter::schedule
