#pragma once
// Workloads of the benchmark protocol: tensors from its generator, and what is computed from them.

#include <sinter/sinter.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace sinter::tool {

/// A kind that is not offered.
class Unsupported : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Makes the input tensors of one workload, in the order in which they are asked for; all are in
/// memory.
class Source {
public:
    Source(std::uint64_t seed, DType dtype) : seed_(seed), dtype_(dtype) {}

    /// Uniform in offset ± scale, in the workload's dtype.
    Tensor values(const Shape& shape, double scale = 1, double offset = 0);
    /// Integers in [0, high), as i32.
    Tensor integers(const Shape& shape, std::int64_t high);
    /// Cosine and sine of p * base^(-j / half), [positions, half, 2]: takes a number, but no random
    /// ones.
    Tensor rotary(std::int64_t positions, std::int64_t half, double base);

private:
    std::uint64_t seed_, next_ = 0;
    DType dtype_;
};

/// What is timed: computes everything from the inputs and gives the results, realized.
using Call = std::function<std::vector<Tensor>()>;

/// Which results of the reported calls are the outputs.
enum class Reported : std::uint8_t { EveryCall, LastCall };

struct Workload {
    Call call;
    Reported reported = Reported::EveryCall;
    /// Training steps report three losses, an optimizer the weights after three steps.
    int reported_calls = 1;
};

/// Parameters of a kind, with a message that names what is missing.
class Params {
public:
    explicit Params(nlohmann::json values) : values_(std::move(values)) {}
    std::int64_t integer(const char* name) const { return values_.at(name).get<std::int64_t>(); }
    std::int64_t integer(const char* name, std::int64_t fallback) const {
        return values_.value(name, fallback);
    }
    bool flag(const char* name) const { return values_.value(name, false); }
    std::string text(const char* name, const std::string& fallback) const {
        return values_.value(name, fallback);
    }
    std::vector<std::int64_t> integers(const char* name) const {
        return values_.at(name).get<std::vector<std::int64_t>>();
    }
    double number(const char* name) const { return values_.at(name).get<double>(); }
    bool is_null(const char* name) const { return values_.at(name).is_null(); }

private:
    nlohmann::json values_;
};

/// Throws Unsupported for a kind that is not offered.
Workload make_workload(const std::string& kind, const Params& params, Source& source);

/// Rows of the tables of kinds, by file.
struct Kind {
    const char* name;
    Workload (*make)(const Params&, Source&);
};
std::vector<Kind> operator_kinds();
std::vector<Kind> model_kinds();

/// A call that builds the expressions anew and realizes them together.
Call realizing(std::function<std::vector<Tensor>()> build);
/// A call that does so the first times, and from then on replays what these ran. The tensors that
/// `build` refers to stand for new numbers in every call: nothing that is made of them is kept.
Call captured(std::function<std::vector<Tensor>()> build);
/// The same, but what `build` refers to are a model's weights, of which the capture may keep what
/// it likes; the numbers that are new in every call are its arguments.
using Model = std::function<std::vector<Tensor>(const std::vector<Tensor>& inputs)>;
Call captured(std::vector<Tensor> inputs, Model build);

/// Answers the benchmark's requests, one JSON object a line, until the input ends or asks to exit.
int serve();

}  // namespace sinter::tool
