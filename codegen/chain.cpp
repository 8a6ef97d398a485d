#include "chain.h"

#include <algorithm>
#include <map>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "analysis.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr std::int64_t kNearBytes = 448 << 10;  // of the second-level cache
constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kRowStep = 12;  // rows of a block: whole register tiles of 2, 3, 4, 6 or 12
constexpr std::int64_t kMostRows = 48;
// Rows that lie a power of two apart fall into few sets of a cache: they are moved apart by a line.
constexpr std::int64_t kAliasBytes = 1024;

struct NearValue {
    DType dtype;
    std::int64_t row = 0;     // elements from row to row in the whole value
    std::int64_t padded = 0;  // and in near memory
    std::int64_t base = 0;    // elements
};

}  // namespace

bool has_near_memory(Ref sink) {
    return std::ranges::any_of(sink->src(), [](Ref s) { return ir::is_near(s->src(0)); });
}

ChainCut cut_chain(Form& form, std::optional<std::int64_t> given_rows) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    std::uint64_t rows = ~std::uint64_t{0};
    for (Ref s : before.stores) rows &= s->ranges();

    // The innermost row is the one with the shortest stride; the others only choose among blocks.
    std::map<std::int64_t, NearValue> values;  // by slot
    std::vector<std::pair<std::int64_t, std::int64_t>> by_stride;
    std::int64_t inner = -1;
    for (const MemoryAccess& m : before.accesses) {
        if (!m.is_store || !ir::is_near(m.node->src(0))) continue;
        by_stride.clear();
        for (std::int64_t n : before.numbers)
            if ((rows >> n & 1) != 0) by_stride.emplace_back(-m.stride[n], n);
        std::ranges::sort(by_stride);
        inner = by_stride.back().second;
        NearValue& v = values[m.node->src(0)->arg(0)];
        v.dtype = m.node->src(0)->dtype();
        v.row = v.padded = m.stride[inner];
        const auto bytes = static_cast<std::int64_t>(size_of(v.dtype));
        if (v.row * bytes % kAliasBytes == 0) v.padded += kAlignment / bytes;
    }
    if (inner < 0) throw InternalError("codegen: near memory without rows");

    std::int64_t row_bytes = 0;
    for (const auto& [slot, v] : values)
        row_bytes += v.padded * static_cast<std::int64_t>(size_of(v.dtype));
    std::int64_t block = std::min(kMostRows, kNearBytes / row_bytes);
    block = block >= kRowStep ? block / kRowStep * kRowStep : std::max<std::int64_t>(1, block);
    block = std::min(block, before.size(inner));
    if (given_rows) {
        if (*given_rows < 1 || *given_rows > before.size(inner) ||
            *given_rows > kMostScratch / row_bytes)
            throw ValueError("schedule: a chain by " + std::to_string(*given_rows) +
                             " rows: there are " + std::to_string(before.size(inner)) + ", of " +
                             std::to_string(row_bytes) + " bytes near");
        block = *given_rows;
    }
    form.record(StepKind::Chain, {block});
    const Form::Quiet one_step(form);

    ChainCut cut;
    for (auto& [slot, v] : values) {
        const auto bytes = static_cast<std::int64_t>(size_of(v.dtype));
        v.base = cut.near_bytes / bytes;
        cut.near_bytes +=
            (block * v.padded * bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
    }
    const Form::Halves halves = form.split(before.range[inner], block, Role::Parallel, Role::Loop);
    for (const auto& [stride, n] : by_stride)
        if (n != inner) cut.trips.push_back(form.bind(before.range[n], Role::Parallel));
    if (halves.outer != nullptr) cut.trips.push_back(halves.outer);
    cut.block_of_rows = halves.outer;
    cut.rows = block;
    cut.columns = values.begin()->second.row;
    for (const auto& [slot, v] : values)
        if (v.row != cut.columns) cut.columns = 0;

    // Near memory holds one block, at the same place for every trip.
    std::uint64_t trips = 0;
    for (Ref r : cut.trips) trips |= range_bit(r);
    form.set_sink(rebuild(form.sink(), [&](Ref n, std::span<const Ref> src) -> Ref {
        if (!is_near_access(n)) return make_folded(a, n, src);
        const NearValue& v = values.at(n->src(0)->arg(0));
        ir::Affine index = ir::affine(src[1]);
        std::erase_if(index.terms, [&](const auto& t) { return (t.first->ranges() & trips) != 0; });
        for (auto& [term, stride] : index.terms)
            if (term == halves.inner) stride = v.padded;
        index.constant += v.base;
        std::vector<Ref> moved(src.begin(), src.end());
        moved[1] = ir::from_affine(a, index);
        return make_folded(a, n, moved);
    }));

    std::vector<Ref> last;
    for (Ref s : form.sink()->src()) {
        if (ir::is_near(s->src(0)))
            cut.sinks.push_back(a.make(Op::Sink, DType::None, {s}));
        else
            last.push_back(s);
    }
    cut.sinks.push_back(a.make(Op::Sink, DType::None, last));
    return cut;
}

Phases chain_as_phases(Form& form) {
    Arena& a = form.arena();
    Phases phases;
    std::map<std::int64_t, std::int64_t> bases;  // by slot, in elements
    for (Ref s : form.sink()->src()) {
        const Ref memory = s->src(0);
        if (!ir::is_near(memory) || bases.contains(memory->arg(0))) continue;
        const auto bytes = static_cast<std::int64_t>(size_of(memory->dtype()));
        bases[memory->arg(0)] = phases.shared_bytes / bytes;
        phases.shared_bytes +=
            ((s->src(1)->vmax() + 1) * bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    std::vector<Ref> last;
    for (Ref s : form.sink()->src()) {
        const bool near = ir::is_near(s->src(0));
        const Ref whole = rebuild(s, [&](Ref n, std::span<const Ref> src) -> Ref {
            if (!is_near_access(n)) return make_folded(a, n, src);
            const Ref memory = n->src(0);
            std::vector<Ref> moved(src.begin(), src.end());
            moved[0] = ir::param(a, memory->dtype(), kSharedSlot);
            moved[1] = fold(a, Op::Add, src[1], a.index(bases.at(memory->arg(0))));
            return make_folded(a, n, moved);
        });
        if (near)
            phases.sinks.push_back(a.make(Op::Sink, DType::None, {whole}));
        else
            last.push_back(whole);
    }
    phases.sinks.push_back(a.make(Op::Sink, DType::None, last));
    return phases;
}

}  // namespace sinter::codegen
