#pragma once
// Growing a program a step at a time.

#include <optional>

#include "program.h"
#include "random.h"
#include "table.h"

namespace fuzz {

/// Dtypes that an operand may have.
enum class Take { Any, Number, Float, Integer, Index, Bool, Bits, MostlyFloat };

/// A failure while a program was made: a step that its row holds legal was refused.
struct Refused {
    Program program;  ///< ends with the step
    std::string why;
};

class Maker {
public:
    explicit Maker(std::uint64_t seed) : random(seed) {}

    Random random;

    /// A whole program. Throws Refused.
    Program make();

    // --- for the rows: they choose what `step` is made of
    Step step;

    /// A value to take, existing or a new leaf; its number.
    int pick(Take take);
    /// As `pick`, of a value for which `fits` holds; a new leaf of `shape` if there is none.
    int pick(Take take, const std::function<bool(const sn::Tensor&)>& fits, const sn::Shape& shape);
    /// A value that broadcasts with value `a`.
    int partner(int a, Take take);
    int leaf(sn::DType dtype, const sn::Shape& shape, std::optional<Draw> draw = std::nullopt,
             std::int64_t below = 0);
    /// Adds a step of another row before this one; its number.
    int before(std::string_view row, std::vector<Operand> in, std::vector<Param> params = {});

    const sn::Tensor& value(int number) const {
        return variables_[static_cast<std::size_t>(number)];
    }
    /// Adds operands and parameters to `step`.
    const sn::Tensor& in(int number) {
        step.in.push_back({number, {}});
        return value(number);
    }
    void param(Param p) { step.params.push_back(std::move(p)); }
    /// A number as an operand, that does not raise the kind of `dtype` more often than not.
    Operand number(sn::DType dtype);

    sn::DType dtype(Take take);
    sn::Shape shape();
    std::int64_t size();
    /// Any axis of `x`, at times counted from the last.
    std::int64_t axis(const sn::Tensor& x);
    std::int64_t from_end(std::int64_t axis, std::int64_t rank);
    /// Some axes, ascending; empty for "all".
    Ints some_axes(const sn::Tensor& x);
    /// True if the last realize took value `x` away from the graphs that gradients walk.
    bool has_gradient(int from, int to) const;

    std::vector<int> values_of(Take take) const;

private:
    int append(Step made);
    bool grow();

    Program program_;
    std::vector<sn::Tensor> variables_;
    std::vector<std::vector<bool>> reaches_;  // [value][which values its gradient flows to]
    std::vector<bool> usable_;
};

bool takes(Take take, sn::DType dtype);
std::int64_t numel_of(const sn::Shape& shape);
/// The common shape, or nothing.
std::optional<sn::Shape> broadcast(const sn::Shape& a, const sn::Shape& b);

/// Runs one step: appends its variable. What a statement defines is an undefined Tensor.
void run_step(const Step& step, std::vector<sn::Tensor>& variables);

/// Elements a value may have at most.
inline constexpr std::int64_t kMostElements = 3000;

}  // namespace fuzz
