#include "chain.h"

#include <algorithm>
#include <map>

#include <sinter/ir/affine.h>
#include <sinter/ir/error.h>

#include "analysis.h"
#include "scratch.h"

namespace sinter::codegen {
namespace {

using ir::Role;

constexpr double kNearShare = 7.0 / 32;  // of the second-level cache
constexpr std::int64_t kRowStep = 12;  // rows of a block: whole register tiles of 2, 3, 4, 6 or 12
constexpr std::int64_t kMostRows = 48;

struct NearValue {
    DType dtype;
    std::int64_t row = 0;     // elements from row to row in the whole value
    std::int64_t padded = 0;  // and in near memory
    std::int64_t base = 0;    // elements
    std::size_t place = 0;    // values of one place follow one another in time
    std::int64_t row_bytes() const { return padded * static_cast<std::int64_t>(size_of(dtype)); }
};

// Gives values of as many bytes a row, of which one is last read before a step writes the other,
// one place. Returns the bytes a row of all places.
std::int64_t share_places(std::map<std::int64_t, NearValue>& values,
                          std::span<const std::vector<Ref>> steps) {
    std::map<std::int64_t, std::size_t> last_read;  // by slot: the step
    for (std::size_t i = 0; i < steps.size(); ++i)
        for (Ref n : ir::toposort(steps[i]))
            if (n->is(Op::Load) && ir::is_near(n->src(0))) last_read[n->src(0)->arg(0)] = i;
    struct Place {
        std::int64_t row_bytes;
        std::size_t taken;  // up to this step
    };
    std::vector<Place> places;
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i < steps.size(); ++i)
        for (Ref s : steps[i]) {
            if (!ir::is_near(s->src(0))) continue;
            const std::int64_t slot = s->src(0)->arg(0);
            NearValue& v = values.at(slot);
            auto place = std::ranges::find_if(places, [&](const Place& p) {
                return p.taken < i && p.row_bytes == v.row_bytes();
            });
            if (place == places.end()) {
                place = places.insert(places.end(), {v.row_bytes(), 0});
                bytes += v.row_bytes();
            }
            place->taken = std::max(i, last_read[slot]);
            v.place = static_cast<std::size_t>(place - places.begin());
        }
    return bytes;
}

}  // namespace

bool has_near_memory(Ref sink) {
    return std::ranges::any_of(sink->src(), [](Ref s) { return ir::is_near(s->src(0)); });
}

std::vector<std::vector<Ref>> chain_steps(Ref sink, std::uint64_t rows) {
    std::vector<std::vector<Ref>> steps;
    std::uint64_t of_last = 0;
    for (Ref s : sink->src()) {
        std::uint64_t own = 0;  // open or closed
        for (Ref n : ir::toposort(std::span(&s, 1)))
            if (n->is(Op::Range)) own |= range_bit(n) & ~rows;
        if (steps.empty() || (own & of_last) == 0) {
            steps.emplace_back();
            of_last = 0;
        }
        steps.back().push_back(s);
        of_last |= own;
    }
    return steps;
}

ChainCut cut_chain(Form& form, std::int64_t cache_bytes, std::optional<std::int64_t> given_rows) {
    Arena& a = form.arena();
    const Analysis before = analyse(form.sink());
    const std::uint64_t rows = ir::ranges_of_all_stores(form.sink());

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
        v.row = m.stride[inner];
        v.padded = row_step(v.row, static_cast<std::int64_t>(size_of(v.dtype)));
    }
    if (inner < 0) throw InternalError("codegen: near memory without rows");

    const std::int64_t row_bytes = share_places(values, chain_steps(form.sink(), rows));
    std::int64_t block = std::min(
        kMostRows,
        static_cast<std::int64_t>(kNearShare * static_cast<double>(cache_bytes)) / row_bytes);
    if (block >= kRowStep)
        block = block / kRowStep * kRowStep;
    else if (block >= kRowStep / 2)
        block = kRowStep / 2;
    block = std::max<std::int64_t>(1, block);
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
    std::map<std::size_t, std::int64_t> begins;  // by place, in bytes
    for (auto& [slot, v] : values) {
        const auto [begin, fresh] = begins.try_emplace(v.place, cut.near_bytes);
        if (fresh) cut.near_bytes += whole_lines(block * v.row_bytes()) + kLineBytes;
        v.base = begin->second / static_cast<std::int64_t>(size_of(v.dtype));
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

    for (const std::vector<Ref>& stores : chain_steps(form.sink(), trips | range_bit(halves.inner)))
        cut.sinks.push_back(a.make(Op::Sink, DType::None, stores));
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
        phases.shared_bytes += whole_lines((s->src(1)->vmax() + 1) * bytes);
    }
    const std::uint64_t rows = ir::ranges_of_all_stores(form.sink());
    for (const std::vector<Ref>& stores : chain_steps(form.sink(), rows))
        phases.sinks.push_back(a.make(
            Op::Sink, DType::None, rebuild(stores, [&](Ref n, std::span<const Ref> src) -> Ref {
                if (!is_near_access(n)) return make_folded(a, n, src);
                const Ref memory = n->src(0);
                std::vector<Ref> moved(src.begin(), src.end());
                moved[0] = ir::param(a, memory->dtype(), kSharedSlot);
                moved[1] = fold(a, Op::Add, src[1], a.index(bases.at(memory->arg(0))));
                return make_folded(a, n, moved);
            })));
    return phases;
}

}  // namespace sinter::codegen
