#pragma once
// The table of ops: how a step of each is made, run and printed.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "program.h"

namespace fuzz {

class Maker;

/// A step being run: its operands and parameters, converted to what the op takes.
class Call {
public:
    Call(const Step& step, std::vector<sn::Tensor>& variables)
        : step_(step), variables_(variables) {}

    std::size_t operands() const { return step_.in.size(); }
    std::size_t params() const { return step_.params.size(); }
    /// Operand i, a tensor or a number.
    sn::Arg arg(std::size_t i) const;
    /// Operand i, which is a tensor.
    sn::Tensor& tensor(std::size_t i) const;
    std::vector<sn::Tensor> tensors() const;

    std::int64_t integer(std::size_t i) const { return step_.params[i].integer; }
    double real(std::size_t i) const { return step_.params[i].real; }
    bool flag(std::size_t i) const { return step_.params[i].integer != 0; }
    sn::DType type(std::size_t i) const { return static_cast<sn::DType>(step_.params[i].integer); }
    const Ints& list(std::size_t i) const { return step_.params[i].list; }
    sn::Shape shape(std::size_t i) const { return sn::Shape(step_.params[i].list); }
    /// Of a parameter that may be left out.
    sn::Axes axes(std::size_t i) const;
    std::optional<std::int64_t> axis(std::size_t i) const;
    std::optional<double> bound(std::size_t i) const;

private:
    const Step& step_;
    std::vector<sn::Tensor>& variables_;
};

struct Row {
    std::string name;
    /// Chooses operands and parameters; false if the values there are do not do.
    std::function<bool(Maker&)> make;
    std::function<sn::Tensor(const Call&)> run;
    /// C++ of the step, from the text of its operands and parameters; by default a call of
    /// sn::name.
    std::function<std::string(const std::vector<std::string>&, const Step&)> print = {};
    bool statement = false;   ///< defines no variable
    bool mutates = false;     ///< changes its first operand, which is then the value of the step
    bool may_refuse = false;  ///< ValueError is no failure: the step is left out
    double weight = 1;
};

const std::vector<Row>& rows();
/// Throws for a name that is not there.
int row_named(std::string_view name);

// The families of rows; each appends its own.
void add_elementwise(std::vector<Row>& all);
void add_movement(std::vector<Row>& all);
void add_reduce(std::vector<Row>& all);
void add_create(std::vector<Row>& all);
void add_index(std::vector<Row>& all);
void add_products(std::vector<Row>& all);
void add_network(std::vector<Row>& all);
void add_random(std::vector<Row>& all);
void add_in_place(std::vector<Row>& all);

/// C++ text.
std::string text_of(const Param& param);
std::string braces(const Ints& list);

}  // namespace fuzz
