#include <sinter/codegen/candidates.h>

#include <algorithm>
#include <set>

#include <sinter/ir/error.h>

#include "lowering.h"
#include "neighbours.h"
#include "place.h"

namespace sinter::codegen {
namespace {

const std::string kName = "k";
constexpr std::size_t kTriesEach = 4;  // of proposals for one that is possible and new

}  // namespace

struct Candidates::State {
    State(ir::Ref root, const Target& machine)
        : target(machine), kernel(prepare(arena, root, machine)) {
        const Analysis a = analyse(kernel.sink);
        for (const Streamed& s : streamable(a))
            if (s.size == nullptr && result_bytes(a, s.slot) >= kLeastStreamed)
                large.insert(s.slot);
        for (const Streamed& s : large_results(a, false)) large.insert(s.slot);
    }

    Lowered lower(const Schedule* schedule, const Wish* wish) {
        return lower_prepared(arena, kernel, kName, target, schedule, wish);
    }

    // What stores past the caches cost whoever reads the result next is not measured, so results
    // that are read from there stay in them, unless the cost model says otherwise.
    bool leaves_caches(const Schedule& schedule) const {
        for (const std::vector<Step>& part : schedule.parts)
            for (const Step& step : part)
                if (step.kind == StepKind::Stream && !large.contains(step.operands[0])) return true;
        return false;
    }

    // Adds what was made, if it is new and can be made again.
    void take(const Program& program, bool replayed, std::vector<Schedule>& to) {
        if (!seen.insert(program.source).second) return;
        Schedule schedule = Schedule::parse(program.schedule);
        if (leaves_caches(schedule)) return;
        if (!replayed && lower(&schedule, nullptr).program.source != program.source) return;
        to.push_back(std::move(schedule));
    }

    template <class Try>
    static void attempt(const Try& go) {
        try {
            go();
        } catch (const ValueError&) {  // not possible: there are others
        }
    }

    const Target target;
    ir::Arena arena;
    const Prepared kernel;
    std::set<std::int64_t> large;  // slots that may be written past the caches
    std::set<std::string> seen;    // sources
};

Candidates::Candidates(ir::Ref sink, const Target& target)
    : state_(std::make_unique<State>(sink, target)) {}
Candidates::~Candidates() = default;

std::vector<Schedule> Candidates::best(std::size_t n) {
    State& s = *state_;
    std::vector<Schedule> found;
    if (n == 0) return found;
    const Wish none;
    const Lowered first = s.lower(nullptr, &none);
    s.take(first.program, false, found);
    const std::vector<Step> line = Schedule::parse(first.program.schedule).kernel;

    // In turn: another cut, another plan of each part.
    std::vector<std::vector<Step>> cuts = other_cuts(line);
    if (cuts.empty())
        if (std::optional<std::vector<Step>> cut = unasked_cut(s.arena, s.kernel, s.target))
            cuts.push_back(std::move(*cut));
    const std::size_t most_plans = first.plans.empty() ? 0 : std::ranges::max(first.plans);
    std::size_t tries = kTriesEach * n;
    for (std::size_t rank = 1; rank <= std::max(cuts.size(), most_plans); ++rank) {
        for (std::size_t part = 0; part <= first.plans.size(); ++part) {
            if (found.size() >= n || tries == 0) return found;
            Wish wish;
            if (part == first.plans.size()) {
                if (rank > cuts.size()) continue;
                wish.kernel = &cuts[rank - 1];
            } else {
                if (rank >= first.plans[part]) continue;
                wish.plans.resize(part + 1, 0);
                wish.plans[part] = rank;
            }
            --tries;
            State::attempt([&] { s.take(s.lower(nullptr, &wish).program, false, found); });
        }
    }
    return found;
}

std::vector<Schedule> Candidates::near(const Schedule& schedule, std::size_t n) {
    State& s = *state_;
    std::vector<Schedule> found;
    const std::vector<Schedule> others = neighbours(schedule);
    const std::vector<std::vector<Step>> cuts = other_cuts(schedule.kernel);
    for (std::size_t i = 0; i < std::max(others.size(), cuts.size()); ++i) {
        if (i < others.size() && found.size() < n)
            State::attempt([&] { s.take(s.lower(&others[i], nullptr).program, true, found); });
        if (i < cuts.size() && found.size() < n)
            State::attempt([&] {
                const Wish wish{&cuts[i]};
                s.take(s.lower(nullptr, &wish).program, false, found);
            });
        if (found.size() >= n) break;
    }
    return found;
}

}  // namespace sinter::codegen
