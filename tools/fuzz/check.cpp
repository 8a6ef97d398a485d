#include "check.h"

#include <sinter/testing.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <thread>

#include "maker.h"

namespace fuzz {
namespace {

/// A result, floats in `reals`, other elements in `ints`.
using Values = Leaf;

template <class T>
void take_elements(const std::vector<std::byte>& bytes, Values& values) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
        T element;
        std::memcpy(&element, bytes.data() + at, sizeof(T));
        if constexpr (std::is_floating_point_v<T>)
            values.reals.push_back(static_cast<double>(element));
        else if (values.dtype == sn::f16)
            values.reals.push_back(
                static_cast<double>(sn::f16_to_f32(static_cast<std::uint16_t>(element))));
        else if (values.dtype == sn::bf16)
            values.reals.push_back(
                static_cast<double>(sn::bf16_to_f32(static_cast<std::uint16_t>(element))));
        else
            values.ints.push_back(static_cast<std::int64_t>(element));
    }
}

Values read(const sn::Tensor& tensor) {
    Values values;
    values.dtype = tensor.dtype();
    values.shape = tensor.shape();
    std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.numel()) *
                                 sn::size_of(values.dtype));
    tensor.read_bytes(bytes);
    switch (values.dtype) {
        case sn::DType::I8:
            take_elements<std::int8_t>(bytes, values);
            break;
        case sn::DType::I16:
            take_elements<std::int16_t>(bytes, values);
            break;
        case sn::DType::I32:
            take_elements<std::int32_t>(bytes, values);
            break;
        case sn::DType::U16:
        case sn::DType::F16:
        case sn::DType::BF16:
            take_elements<std::uint16_t>(bytes, values);
            break;
        case sn::DType::U32:
            take_elements<std::uint32_t>(bytes, values);
            break;
        case sn::DType::I64:
        case sn::DType::U64:
            take_elements<std::int64_t>(bytes, values);
            break;
        case sn::DType::F32:
            take_elements<float>(bytes, values);
            break;
        case sn::DType::F64:
            take_elements<double>(bytes, values);
            break;
        default:
            take_elements<std::uint8_t>(bytes, values);
            break;
    }
    return values;
}

sn::Tensor broken(const sn::Tensor& right) {
    if (!sn::is_float(right.dtype())) return right;
    return sn::add(right, sn::mul(sn::abs(right), 0.01));
}

std::vector<Values> replay(const Program& program, const std::string& broken_row = {}) {
    std::vector<sn::Tensor> variables;
    variables.reserve(program.steps.size());
    for (const Step& step : program.steps) {
        run_step(step, variables);
        if (step.row != kLeaf && rows()[static_cast<std::size_t>(step.row)].name == broken_row)
            variables.back() = broken(variables.back());
    }
    if (program.together) {
        std::vector<sn::Tensor*> outputs;
        for (const int output : program.outputs)
            outputs.push_back(&variables[static_cast<std::size_t>(output)]);
        sn::Tensor::realize(std::span<sn::Tensor* const>(outputs));
    }
    std::vector<Values> results;
    for (const int output : program.outputs)
        results.push_back(read(variables[static_cast<std::size_t>(output)]));
    return results;
}

std::vector<Values> replay_on(const std::string& device, const Program& program,
                              const std::string& broken_row = {}) {
    const sn::DeviceGuard guard{sn::Device(device)};
    return replay(program, broken_row);
}

// --- the judgement

std::string shown(const Values& values, std::size_t i) {
    char text[48];
    if (sn::is_float(values.dtype)) {
        std::snprintf(text, sizeof text, "%.17g", values.reals[i]);
        return text;
    }
    return values.dtype == sn::u64 ? std::to_string(static_cast<std::uint64_t>(values.ints[i]))
                                   : std::to_string(values.ints[i]);
}

// What kind of number: NaN, an infinity by its sign, or finite.
int kind(double x) { return std::isnan(x) ? 2 : std::isinf(x) ? (x > 0 ? 1 : -1) : 0; }

bool identical(const Values& a, const Values& b, std::size_t i) {
    if (!sn::is_float(a.dtype)) return a.ints[i] == b.ints[i];
    const double x = a.reals[i], y = b.reals[i];
    if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
    return x == y && std::signbit(x) == std::signbit(y);
}

double as_real(const Values& values, std::size_t i) {
    if (sn::is_float(values.dtype)) return values.reals[i];
    return values.dtype == sn::u64 ? static_cast<double>(static_cast<std::uint64_t>(values.ints[i]))
                                   : static_cast<double>(values.ints[i]);
}

/// True if `got` is as good as `want`: within `factor` times the spread of what REF gives under
/// noise.
bool within_noise(const Values& got, const Values& want, const std::vector<Values>& noisy,
                  std::size_t i, double factor) {
    const double x = as_real(got, i), y = as_real(want, i);
    double spread = 0;
    bool signs_differ = false;
    for (const Values& sample : noisy) {
        const double s = as_real(sample, i);
        if (kind(s) != kind(y)) return true;  // which kind it is hangs on rounding
        if (kind(s) == 0) spread = std::max(spread, std::fabs(s - y));
        signs_differ = signs_differ || std::signbit(s) != std::signbit(y);
    }
    if (kind(x) != kind(y)) {
        // An infinity beside a number so large that the spread reaches beyond the type.
        if (kind(y) != 0 || kind(x) == 2) return false;
        const double largest = want.dtype == sn::f64 ? std::numeric_limits<double>::max()
                               : want.dtype == sn::f16
                                   ? 65504.0
                                   : static_cast<double>(std::numeric_limits<float>::max());
        return std::fabs(y) + factor * spread >= largest;
    }
    if (kind(x) != 0) return true;
    // Where noise moves the value off zero, a right one may be a little to either side of it.
    if (x == 0 && y == 0) return signs_differ || spread > 0;
    return std::fabs(x - y) <= factor * spread;
}

/// The first element that differs by more than noise explains, or nothing.
std::optional<std::string> difference(const std::vector<Values>& got,
                                      const std::vector<Values>& want,
                                      const std::vector<std::vector<Values>>& noisy,
                                      const Program& program, double factor) {
    for (std::size_t k = 0; k < want.size(); ++k) {
        const std::string name = "v" + std::to_string(program.outputs[k]);
        if (got[k].dtype != want[k].dtype || got[k].shape != want[k].shape)
            return name + ": " + std::string(sn::name(got[k].dtype)) + sn::to_string(got[k].shape) +
                   ", REF has " + std::string(sn::name(want[k].dtype)) +
                   sn::to_string(want[k].shape);
        std::vector<Values> samples;
        for (const std::vector<Values>& sample : noisy) samples.push_back(sample[k]);
        const std::size_t n = want[k].reals.size() + want[k].ints.size();
        std::size_t wrong = 0, first = 0;
        for (std::size_t i = 0; i < n; ++i)
            if (!identical(got[k], want[k], i) &&
                !within_noise(got[k], want[k], samples, i, factor) && wrong++ == 0)
                first = i;
        if (wrong > 0)
            return name + ": " + std::to_string(wrong) + " of " + std::to_string(n) +
                   " elements differ, first element " + std::to_string(first) + ": " +
                   shown(got[k], first) + ", REF has " + shown(want[k], first);
    }
    return std::nullopt;
}

bool all_identical(const std::vector<Values>& got, const std::vector<Values>& want) {
    for (std::size_t k = 0; k < want.size(); ++k) {
        if (got[k].dtype != want[k].dtype || got[k].shape != want[k].shape) return false;
        for (std::size_t i = 0; i < want[k].reals.size() + want[k].ints.size(); ++i)
            if (!identical(got[k], want[k], i)) return false;
    }
    return true;
}

Outcome judge_values(const std::vector<Values>& got, const Program& program) {
    const std::vector<Values> want = replay_on("REF", program);
    if (all_identical(got, want)) return {};
    // A few noisy runs explain nearly every difference; many more before it is called a failure.
    struct Round {
        std::size_t samples;
        double factor;
    };
    constexpr Round kRounds[] = {{3, 2}, {40, 4}, {400, 4}};
    std::vector<std::vector<Values>> noisy;
    std::optional<std::string> wrong;
    for (const Round& round : kRounds) {
        while (noisy.size() < round.samples) {
            const sn::RefNoise noise(noisy.size() + 1);
            noisy.push_back(replay_on("REF", program));
        }
        wrong = difference(got, want, noisy, program, round.factor);
        if (!wrong) return {};
    }
    return {Verdict::Different, *wrong};
}

Outcome check_once(const Program& program, const Judge& judge) {
    if (!program.threads)
        return judge_values(replay_on(judge.device, program, judge.broken_row), program);
    std::vector<Values> results[2];
    std::string thrown[2];
    {
        const sn::DeviceGuard guard{sn::Device(judge.device)};
        std::thread threads[2];
        for (int t = 0; t < 2; ++t)
            threads[t] = std::thread([&, t] {
                try {
                    results[t] = replay(program, judge.broken_row);
                } catch (const std::exception& error) {
                    thrown[t] = error.what();
                }
            });
        for (std::thread& thread : threads) thread.join();
    }
    for (int t = 0; t < 2; ++t) {
        if (!thrown[t].empty()) return {Verdict::Threw, "in one of two threads: " + thrown[t]};
        Outcome outcome = judge_values(results[t], program);
        if (outcome.verdict != Verdict::Same) {
            outcome.why = "in one of two threads: " + outcome.why;
            return outcome;
        }
    }
    return {};
}

// The program as a function of its leaves, captured by two calls, which the next ones replay. Every
// second leaf is an argument; the others are tensors of the world, of which replays may keep what
// is made of them alone: they move to other memory between calls, or are written over for the last.
Outcome check_captured(const Program& program, const Judge& judge) {
    const auto is_leaf = [](const Step& step) { return step.row == kLeaf; };
    std::vector<sn::Tensor> world;
    const auto is_argument = [](std::size_t leaf) { return leaf % 2 == 0; };
    auto function = sn::jit(
        [&](const std::vector<sn::Tensor>& arguments) {
            std::vector<sn::Tensor> variables, outputs;
            variables.reserve(program.steps.size());
            std::size_t next = 0;
            for (const Step& step : program.steps) {
                if (!is_leaf(step)) {
                    run_step(step, variables);
                    continue;
                }
                const std::size_t leaf = next++;
                variables.push_back(is_argument(leaf) ? arguments.at(leaf / 2)
                                                      : world.at(leaf / 2));
            }
            for (const int output : program.outputs)
                outputs.push_back(variables[static_cast<std::size_t>(output)]);
            return outputs;
        },
        {.verify = false});
    const sn::DeviceGuard guard{sn::Device(judge.device)};
    std::vector<Program> calls{program, with_other_data(program, 1), with_other_data(program, 2)};
    const bool written_over = program.steps.size() % 2 == 0;
    if (written_over) calls.push_back(with_other_data(program, 3));
    const Program& last = calls.back();
    std::vector<Values> results;
    for (const Program& data : calls) {
        std::vector<sn::Tensor> leaves, arguments;
        for (const Step& step : data.steps)
            if (is_leaf(step)) run_step(step, leaves);
        world.resize(leaves.size() / 2);
        for (std::size_t leaf = 0; leaf < leaves.size(); ++leaf) {
            if (is_argument(leaf))
                arguments.push_back(leaves[leaf]);
            else if (written_over && &data == &last)
                world[leaf / 2].assign(leaves[leaf]).realize();
            else
                world[leaf / 2] = leaves[leaf];
        }
        std::vector<sn::Tensor> outputs;
        try {
            outputs = function(arguments);
        } catch (const sn::ValueError& error) {
            // Some rows read values.
            if (std::strstr(error.what(), "inside a function captured by jit") != nullptr)
                return {};
            throw;
        }
        results.clear();
        for (const sn::Tensor& output : outputs) results.push_back(read(output));
    }
    Outcome outcome = judge_values(results, last);
    if (outcome.verdict != Verdict::Same)
        outcome.why = "when captured and replayed: " + outcome.why;
    return outcome;
}

}  // namespace

Outcome check(const Program& program, const Judge& judge) {
    try {
        Outcome outcome = check_once(program, judge);
        if (outcome.verdict == Verdict::Same && program.captured && judge.broken_row.empty())
            outcome = check_captured(program, judge);
        if (outcome.verdict != Verdict::Same || !program.twice) return outcome;
        outcome = check_once(with_other_data(program, 1), judge);
        if (outcome.verdict != Verdict::Same)
            outcome.why = "when run again with other data: " + outcome.why;
        return outcome;
    } catch (const std::exception& error) {
        return {Verdict::Threw, error.what()};
    }
}

std::vector<std::optional<Leaf>> values_on_ref(const Program& program) {
    const sn::DeviceGuard guard{sn::Device("REF")};
    std::vector<sn::Tensor> variables;
    for (const Step& step : program.steps) run_step(step, variables);
    std::vector<std::optional<Leaf>> values;
    for (const sn::Tensor& variable : variables)
        values.push_back(variable.defined() ? std::optional<Leaf>(read(variable)) : std::nullopt);
    return values;
}

}  // namespace fuzz
