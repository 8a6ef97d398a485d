#include "neighbours.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <sinter/ir/kernel.h>

#include "winograd.h"

namespace sinter::codegen {
namespace {

using ir::Role;
using Steps = std::vector<Step>;

constexpr std::int64_t kMostNumbers = 63;

// What other sizes there are for one, the most promising first.
std::vector<std::int64_t> other_sizes(std::int64_t n, Role inner) {
    std::vector<std::int64_t> all;
    if (inner == Role::Vector)
        all = {n / 2, n * 2};
    else if (inner == Role::Unroll)
        all = {n - 1, n + 1, n * 2, n / 2, n - 2, n + 2};
    else
        all = {n * 2, n / 2, n + n / 2};
    std::vector<std::int64_t> sizes;
    for (std::int64_t size : all)
        if (size >= (inner == Role::Vector ? 2 : 1) && size != n &&
            std::ranges::count(sizes, size) == 0)
            sizes.push_back(size);
    return sizes;
}

// A number that no step mentions; more numbers than ranges are mentioned, which does no harm.
std::int64_t fresh_number(const Steps& steps) {
    std::int64_t n = 0;
    for (const Step& step : steps)
        for (std::int64_t operand : step.operands)
            if (operand < kMostNumbers) n = std::max(n, operand + 1);
    return n;
}

bool is_split(const Step& step) {
    return step.kind == StepKind::Split || step.kind == StepKind::SplitLined;
}

void append_splits(const Steps& steps, std::size_t i, std::vector<Steps>& to) {
    const auto inner = static_cast<Role>(steps[i].operands[4]);
    const std::int64_t n = steps[i].operands[1], outer = steps[i].operands[3];
    for (std::int64_t size : other_sizes(n, inner)) {
        Steps other = steps;
        other[i].operands[1] = size;
        if (outer >= 0 || size > n) to.push_back(other);
        // There may be several trips now, or one alone.
        if (outer < 0 && size < n) {
            const std::int64_t number = fresh_number(steps);
            if (number >= kMostNumbers) continue;
            other[i].operands[3] = number;
            to.push_back(other);
        } else if (outer >= 0 && size > n) {
            other[i].operands[3] = -1;
            for (Step& step : other) {  // it is gone from the lists
                if (step.kind != StepKind::Trips && step.kind != StepKind::Order) continue;
                const auto found =
                    std::ranges::find(step.operands.begin() + 1, step.operands.end(), outer);
                if (found == step.operands.end()) continue;
                step.operands.erase(found);
                --step.operands[0];
            }
            std::erase_if(other, [](const Step& step) {
                return step.kind == StepKind::Order && step.operands[0] == 0;
            });
            to.push_back(std::move(other));
        }
    }
}

// A copy left out, with what is said of its ranges; rows that lie otherwise.
void append_stages(const Steps& steps, std::size_t i, std::vector<Steps>& to) {
    std::size_t end = i + 1;
    std::vector<std::int64_t> own;  // ranges of the copy alone
    while (end < steps.size()) {
        const Step& step = steps[end];
        if (step.kind == StepKind::RenameInCopy)
            own.push_back(step.operands[1]);
        else if (is_split(step) && std::ranges::count(own, step.operands[0]) != 0)
            own.insert(own.end(), {step.operands[3], step.operands[5]});
        else if (step.kind != StepKind::Let || std::ranges::count(own, step.operands[0]) == 0)
            break;
        ++end;
    }
    Steps without = steps;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i),
                  without.begin() + static_cast<std::ptrdiff_t>(end));
    to.push_back(std::move(without));
    Steps other = steps;
    constexpr std::int64_t kPadding = 16;
    if (steps[i].kind == StepKind::Stage) {
        other[i].kind = StepKind::StagePadded;
        other[i].operands.push_back(kPadding);
    } else if (steps[i].kind == StepKind::StagePadded) {
        other[i].kind = StepKind::Stage;
        other[i].operands.pop_back();
    } else {
        return;
    }
    to.push_back(std::move(other));
}

void append_orders(const Steps& steps, std::size_t i, std::vector<Steps>& to) {
    for (std::size_t k = 1; k + 1 < steps[i].operands.size(); ++k) {
        Steps other = steps;
        std::swap(other[i].operands[k], other[i].operands[k + 1]);
        to.push_back(std::move(other));
    }
}

// Lists of proposals, one for each step of the part, then those for steps it lacks.
std::vector<std::vector<Steps>> proposals(const Steps& steps) {
    std::vector<std::vector<Steps>> lists;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        std::vector<Steps>& list = lists.emplace_back();
        switch (steps[i].kind) {
            case StepKind::Split:
            case StepKind::SplitLined:
                append_splits(steps, i, list);
                break;
            case StepKind::Stage:
            case StepKind::StagePadded:
            case StepKind::StageWhile:
            case StepKind::StageTurned:
                append_stages(steps, i, list);
                break;
            case StepKind::Trips:
            case StepKind::Order:
                append_orders(steps, i, list);
                break;
            case StepKind::Squares:
            case StepKind::Stream:
            case StepKind::Prefetch:
            case StepKind::Fetch: {
                Steps without = steps;
                without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
                list.push_back(std::move(without));
                break;
            }
            default:
                break;
        }
    }
    std::vector<Steps>& added = lists.emplace_back();
    for (Step step : {Step{StepKind::Stream, {0, 0}}, Step{StepKind::Prefetch, {}}})
        if (std::ranges::find(steps, step.kind, &Step::kind) == steps.end()) {
            added.push_back(steps);
            added.back().push_back(std::move(step));
        }
    return lists;
}

// The first of each list, then the second of each, …
template <class T>
std::vector<T> in_turn(std::vector<std::vector<T>>& lists) {
    std::vector<T> all;
    std::size_t longest = 0;
    for (const auto& list : lists) longest = std::max(longest, list.size());
    for (std::size_t i = 0; i < longest; ++i)
        for (auto& list : lists)
            if (i < list.size()) all.push_back(std::move(list[i]));
    return all;
}

}  // namespace

std::vector<Schedule> neighbours(const Schedule& schedule) {
    std::vector<std::vector<Schedule>> by_part;
    for (std::size_t p = 0; p < schedule.parts.size(); ++p) {
        std::vector<std::vector<Steps>> lists = proposals(schedule.parts[p]);
        std::vector<Schedule>& mine = by_part.emplace_back();
        for (Steps& steps : in_turn(lists)) {
            Schedule other = schedule;
            other.parts[p] = std::move(steps);
            mine.push_back(std::move(other));
        }
    }
    return in_turn(by_part);
}

std::vector<std::vector<Step>> other_cuts(const std::vector<Step>& kernel) {
    std::vector<std::vector<Steps>> lists;
    for (std::size_t i = 0; i < kernel.size(); ++i) {
        const Step& step = kernel[i];
        const auto vary = [&](std::size_t operand) {
            std::vector<Steps> list;
            const std::int64_t n = step.operands[operand];
            for (const std::int64_t size : {n * 2, n / 2, n + n / 2}) {
                if (size < 1 || size == n) continue;
                list.push_back(kernel);
                list.back()[i].operands[operand] = size;
            }
            lists.push_back(std::move(list));
        };
        if (step.kind == StepKind::Chain) {
            vary(0);
            continue;  // it cannot be left out
        }
        if (step.kind == StepKind::Chunk || step.kind == StepKind::Sums) {
            vary(1);
        } else if (step.kind == StepKind::Blocks || step.kind == StepKind::Contract ||
                   step.kind == StepKind::Winograd) {
            std::size_t at = step.kind == StepKind::Winograd ? kWinogradParts : 0;
            for (int group = 0; group < 2; ++group) {
                const auto count = static_cast<std::size_t>(step.operands[at]);
                for (std::size_t k = 0; k < count; ++k) vary(at + 2 + 2 * k);
                at += 1 + 2 * count;
            }
        } else {
            continue;
        }
        Steps without = kernel;
        without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
        lists.push_back({std::move(without)});
    }
    return in_turn(lists);
}

}  // namespace sinter::codegen
