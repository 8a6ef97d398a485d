#include "table.h"

#include <stdexcept>

namespace fuzz {

sn::Arg Call::arg(std::size_t i) const {
    const Operand& operand = step_.in[i];
    if (operand.step >= 0) return variables_[static_cast<std::size_t>(operand.step)];
    switch (operand.number.kind) {
        case Param::Kind::Int:
            return operand.number.integer;
        case Param::Kind::Flag:
            return operand.number.integer != 0;
        default:
            return operand.number.real;
    }
}

sn::Tensor& Call::tensor(std::size_t i) const {
    return variables_[static_cast<std::size_t>(step_.in[i].step)];
}

std::vector<sn::Tensor> Call::tensors() const {
    std::vector<sn::Tensor> all;
    for (std::size_t i = 0; i < operands(); ++i) all.push_back(tensor(i));
    return all;
}

sn::Axes Call::axes(std::size_t i) const {
    const Param& param = step_.params[i];
    if (param.kind == Param::Kind::List) return sn::Axes(param.list);
    if (param.kind == Param::Kind::Int) return sn::Axes(param.integer);
    return {};
}

std::optional<std::int64_t> Call::axis(std::size_t i) const {
    const Param& param = step_.params[i];
    if (param.kind == Param::Kind::Int) return param.integer;
    return std::nullopt;
}

std::optional<double> Call::bound(std::size_t i) const {
    const Param& param = step_.params[i];
    if (param.kind == Param::Kind::Real) return param.real;
    return std::nullopt;
}

const std::vector<Row>& rows() {
    static const std::vector<Row> all = [] {
        std::vector<Row> rows;
        add_elementwise(rows);
        add_movement(rows);
        add_reduce(rows);
        add_create(rows);
        add_index(rows);
        add_products(rows);
        add_network(rows);
        add_random(rows);
        add_in_place(rows);
        return rows;
    }();
    return all;
}

int row_named(std::string_view name) {
    for (std::size_t i = 0; i < rows().size(); ++i)
        if (rows()[i].name == name) return static_cast<int>(i);
    throw std::logic_error("no row named " + std::string(name));
}

}  // namespace fuzz
