// New tensors, and ops whose values depend on the shape of their operand alone.

#include "maker.h"

namespace fuzz {
namespace {

bool shape_and_type(Maker& m) {
    m.param(Param::of_list(m.shape()));
    m.param(Param::of_type(m.dtype(Take::Any)));
    return true;
}

bool like(Maker& m) {
    m.in(m.pick(Take::Any));
    return true;
}

bool matrix_offset(Maker& m, const sn::Shape& shape, std::int64_t most_axes) {
    m.in(m.pick(
        Take::Any, [&](const sn::Tensor& t) { return t.ndim() > 1 && t.ndim() <= most_axes; },
        shape));
    m.param(Param::of_int(m.random.between(-2, 2)));
    return true;
}

}  // namespace

void add_create(std::vector<Row>& all) {
    const std::size_t first = all.size();
    all.push_back(
        {"zeros", shape_and_type, [](const Call& c) { return sn::zeros(c.shape(0), c.type(1)); }});
    all.push_back(
        {"ones", shape_and_type, [](const Call& c) { return sn::ones(c.shape(0), c.type(1)); }});
    all.push_back({"full",
                   [](Maker& m) {
                       m.param(Param::of_list(m.shape()));
                       m.param(Param::of_int(m.random.between(0, 5)));
                       m.param(Param::of_type(m.dtype(Take::Any)));
                       return true;
                   },
                   [](const Call& c) { return sn::full(c.shape(0), c.integer(1), c.type(2)); }});
    all.push_back({"scalar",
                   [](Maker& m) {
                       m.param(Param::of_int(m.random.between(0, 5)));
                       m.param(Param::of_type(m.dtype(Take::Any)));
                       return true;
                   },
                   [](const Call& c) { return sn::scalar(c.integer(0), c.type(1)); }});
    all.push_back({"zeros_like", like, [](const Call& c) { return sn::zeros_like(c.arg(0)); }});
    all.push_back({"ones_like", like, [](const Call& c) { return sn::ones_like(c.arg(0)); }});
    all.push_back({"full_like",
                   [](Maker& m) {
                       m.in(m.pick(Take::Any));
                       m.param(Param::of_int(m.random.between(0, 1)));
                       return true;
                   },
                   [](const Call& c) { return sn::full_like(c.arg(0), c.integer(0)); }});
    all.push_back({"arange",
                   [](Maker& m) {
                       m.param(Param::of_int(m.random.between(0, 40)));
                       const sn::DType dt = m.dtype(Take::Number);
                       m.param(Param::of_type(dt));
                       return true;
                   },
                   [](const Call& c) { return sn::arange(c.integer(0), c.type(1)); }});
    all.push_back({"linspace",
                   [](Maker& m) {
                       m.param(Param::of_real(-1.5));
                       m.param(Param::of_real(0.5 * static_cast<double>(m.random.between(-2, 6))));
                       m.param(Param::of_int(m.random.between(0, 20)));
                       return true;
                   },
                   [](const Call& c) { return sn::linspace(c.real(0), c.real(1), c.integer(2)); }});
    all.push_back({"logspace",
                   [](Maker& m) {
                       m.param(Param::of_real(-1));
                       m.param(Param::of_real(1));
                       m.param(Param::of_int(m.random.between(0, 20)));
                       return true;
                   },
                   [](const Call& c) { return sn::logspace(c.real(0), c.real(1), c.integer(2)); }});
    all.push_back({"eye",
                   [](Maker& m) {
                       m.param(Param::of_int(m.size()));
                       m.param(Param::of_int(m.size()));
                       m.param(Param::of_type(m.dtype(Take::Any)));
                       return true;
                   },
                   [](const Call& c) { return sn::eye(c.integer(0), c.integer(1), c.type(2)); }});
    for (std::size_t i = first; i < all.size(); ++i) all[i].weight = 0.25;

    all.push_back({"tril", [](Maker& m) { return matrix_offset(m, {3, 4}, 9); },
                   [](const Call& c) { return sn::tril(c.arg(0), c.integer(0)); }});
    all.push_back({"triu", [](Maker& m) { return matrix_offset(m, {4, 3}, 9); },
                   [](const Call& c) { return sn::triu(c.arg(0), c.integer(0)); }});
    all.push_back({"diag",
                   [](Maker& m) {
                       const auto fits = [](const sn::Tensor& t) {
                           return (t.ndim() == 1 && t.numel() < 40) ||
                                  (t.ndim() == 2 && t.size(0) > 2 && t.size(1) > 2);
                       };
                       m.in(m.pick(Take::Any, fits, {4, 3}));
                       m.param(Param::of_int(m.random.between(-2, 2)));
                       return true;
                   },
                   [](const Call& c) { return sn::diag(c.arg(0), c.integer(0)); }});
    all.push_back(
        {"one_hot",
         [](Maker& m) {
             m.in(m.pick(Take::Integer, [](const sn::Tensor& t) { return t.numel() < 300; }, {5}));
             m.param(Param::of_int(m.random.between(1, 8)));
             return true;
         },
         [](const Call& c) { return sn::one_hot(c.arg(0), c.integer(0)); }});
}

}  // namespace fuzz
