#include "shrink.h"

#include <algorithm>
#include <cmath>

#include "check.h"
#include "table.h"

namespace fuzz {
namespace {

using Fails = std::function<bool(const Program&)>;

/// Without the steps that no output needs; numbers are assigned anew.
Program compacted(const Program& program) {
    const std::size_t n = program.steps.size();
    std::vector<bool> needed(n, false);
    for (const int output : program.outputs) needed[static_cast<std::size_t>(output)] = true;
    for (std::size_t i = n; i-- > 0;) {
        const Step& step = program.steps[i];
        const bool statement =
            step.row != kLeaf && rows()[static_cast<std::size_t>(step.row)].statement;
        if (!needed[i] && !statement) continue;
        needed[i] = true;
        for (const Operand& operand : step.in)
            if (operand.step >= 0) needed[static_cast<std::size_t>(operand.step)] = true;
    }
    Program small = program;
    small.steps.clear();
    std::vector<int> renamed(n, -1);
    for (std::size_t i = 0; i < n; ++i) {
        if (!needed[i]) continue;
        renamed[i] = static_cast<int>(small.steps.size());
        Step step = program.steps[i];
        for (Operand& operand : step.in)
            if (operand.step >= 0) operand.step = renamed[static_cast<std::size_t>(operand.step)];
        small.steps.push_back(std::move(step));
    }
    for (int& output : small.outputs) output = renamed[static_cast<std::size_t>(output)];
    return small;
}

class Shrinker {
public:
    Shrinker(Program program, const Fails& fails) : best_(std::move(program)), fails_(fails) {}

    Program run() {
        for (int round = 0; round < 4; ++round) {
            const std::size_t before = tried_;
            changed_ = false;
            flags();
            outputs();
            statements();
            leaves_for_steps();
            bypasses();
            leaf_values();
            if (!changed_ || before == tried_) break;
        }
        return best_;
    }

private:
    bool accept(Program candidate) {
        if (tried_ > 600) return false;
        ++tried_;
        candidate = compacted(candidate);
        if (!fails_(candidate)) return false;
        best_ = std::move(candidate);
        changed_ = true;
        return true;
    }

    void flags() {
        for (bool Program::* flag :
             {&Program::captured, &Program::threads, &Program::twice, &Program::together})
            if (best_.*flag) {
                Program candidate = best_;
                candidate.*flag = false;
                accept(std::move(candidate));
            }
    }

    void outputs() {
        if (best_.outputs.size() > 1)
            for (std::size_t i = 0; i < best_.outputs.size(); ++i) {  // one alone
                Program candidate = best_;
                candidate.outputs = {best_.outputs[i]};
                if (accept(std::move(candidate))) return;
            }
        for (std::size_t i = best_.outputs.size(); i-- > 0 && best_.outputs.size() > 1;) {
            Program candidate = best_;
            candidate.outputs.erase(candidate.outputs.begin() + static_cast<std::ptrdiff_t>(i));
            accept(std::move(candidate));
        }
    }

    void statements() {
        for (std::size_t i = best_.steps.size(); i-- > 0;) {
            if (i >= best_.steps.size()) continue;
            const Step& step = best_.steps[i];
            if (step.row == kLeaf || !rows()[static_cast<std::size_t>(step.row)].statement)
                continue;
            Program candidate = best_;
            candidate.steps.erase(candidate.steps.begin() + static_cast<std::ptrdiff_t>(i));
            const auto moved = [&](int& number) {
                if (number > static_cast<int>(i)) --number;
            };
            for (Step& later : candidate.steps)
                for (Operand& operand : later.in) moved(operand.step);
            for (int& output : candidate.outputs) moved(output);
            if (accept(std::move(candidate))) continue;
            for (std::size_t k = step.in.size(); k-- > 0 && best_.steps[i].in.size() > 1;) {
                candidate = best_;
                candidate.steps[i].in.erase(candidate.steps[i].in.begin() +
                                            static_cast<std::ptrdiff_t>(k));
                if (accept(std::move(candidate))) break;
            }
        }
    }

    // A step's value on REF in its place, from the last to the first: what comes before it goes.
    void leaves_for_steps() {
        std::vector<std::optional<Leaf>> values;
        try {
            values = values_on_ref(best_);
        } catch (const std::exception&) {
            return;
        }
        for (std::size_t i = best_.steps.size(); i-- > 0;) {
            if (best_.steps[i].row == kLeaf || !values[i]) continue;
            Program candidate = best_;
            candidate.steps[i] = {};
            candidate.steps[i].leaf = *values[i];
            if (accept(std::move(candidate))) return leaves_for_steps();  // numbers have changed
        }
    }

    // An operand of the same type and shape in a step's place.
    void bypasses() {
        std::vector<std::optional<Leaf>> values;
        try {
            values = values_on_ref(best_);
        } catch (const std::exception&) {
            return;
        }
        for (std::size_t i = best_.steps.size(); i-- > 0;)
            for (const Operand& operand : best_.steps[i].in) {
                if (operand.step < 0 || !values[i]) continue;
                const std::optional<Leaf>& other = values[static_cast<std::size_t>(operand.step)];
                if (!other || other->dtype != values[i]->dtype || other->shape != values[i]->shape)
                    continue;
                Program candidate = best_;
                const auto renamed = [&](int& number) {
                    if (number == static_cast<int>(i)) number = operand.step;
                };
                for (Step& later : candidate.steps)
                    for (Operand& use : later.in) renamed(use.step);
                for (int& output : candidate.outputs) renamed(output);
                if (accept(std::move(candidate))) return bypasses();
            }
    }

    void leaf_values() {
        for (std::size_t i = 0; i < best_.steps.size(); ++i) {
            if (best_.steps[i].row != kLeaf) continue;
            const auto with = [&](const std::function<void(Leaf&)>& change) {
                Program candidate = best_;
                change(candidate.steps[i].leaf);
                return accept(std::move(candidate));
            };
            const auto all = [](double real, std::int64_t integer) {
                return [=](Leaf& leaf) {
                    std::fill(leaf.reals.begin(), leaf.reals.end(), real);
                    std::fill(leaf.ints.begin(), leaf.ints.end(), integer);
                };
            };
            const Leaf& leaf = best_.steps[i].leaf;
            const bool plain = std::all_of(leaf.reals.begin(), leaf.reals.end(),
                                           [](double x) { return x == 1; }) &&
                               std::all_of(leaf.ints.begin(), leaf.ints.end(),
                                           [](std::int64_t x) { return x == 0; });
            if (plain || with(all(1, 0))) continue;
            if (with(all(0.5, 1))) continue;
            with([](Leaf& rounded) {
                for (double& x : rounded.reals)
                    if (std::isfinite(x) && std::fabs(x) < 1e3) x = std::round(x * 4) / 4;
            });
        }
    }

    Program best_;
    const Fails& fails_;
    std::size_t tried_ = 0;
    bool changed_ = false;
};

}  // namespace

Program shrink(Program program, const Fails& fails) {
    return Shrinker(std::move(program), fails).run();
}

}  // namespace fuzz
