// Products, and gradients of all that came before.

#include "maker.h"

namespace fuzz {
namespace {

bool vectors(Maker& m, bool same_length) {
    const auto vector = [](const sn::Tensor& t) { return t.ndim() == 1 && t.numel() <= 50; };
    const int a = m.pick(Take::Number, vector, {m.size()});
    const std::int64_t n = m.value(a).numel();
    const int b =
        m.pick(Take::Number,
               [&](const sn::Tensor& t) { return vector(t) && (!same_length || t.numel() == n); },
               {same_length ? n : m.size()});
    m.in(a);
    m.in(b);
    return true;
}

// A leaf or value that fits on the right of x.
bool make_matmul(Maker& m) {
    const auto fits = [](const sn::Tensor& t) {
        return t.ndim() > 0 && t.ndim() < 5 && t.numel() <= 600;
    };
    const int a = m.pick(Take::Number, fits, {m.size(), m.size()});
    const sn::Shape left = m.value(a).shape();
    const std::int64_t inner = left.back();
    sn::Shape right;
    if (m.random.chance(0.2)) {
        right = {inner};
    } else {
        right = {inner, m.random.chance(0.2) ? m.random.between(16, 40) : m.size()};
        if (left.size() > 2 && m.random.chance(0.5))
            right.insert(right.begin(), left[left.size() - 3]);
        else if (left.size() <= 2 && m.random.chance(0.15))
            right.insert(right.begin(), m.random.between(1, 3));
    }
    const std::int64_t cost = numel_of(left) / std::max<std::int64_t>(1, inner) * numel_of(right);
    // Bytes that are summed in i32.
    if (m.random.chance(0.1) && numel_of(right) <= 600) {
        for (const sn::Shape& shape : {left, right}) {
            const int bytes = m.leaf(m.random.chance(0.5) ? sn::i8 : sn::u8, shape);
            m.in(m.before("cast", {{bytes, {}}}, {Param::of_type(sn::i32)}));
        }
        return cost <= 40000;
    }
    const sn::DType dt = m.value(a).dtype();
    std::vector<int> fit;
    for (const int i : m.values_of(Take::Number))
        if (m.value(i).shape() == right) fit.push_back(i);
    m.in(a);
    m.in(!fit.empty() && m.random.chance(0.5)
             ? m.random.of(fit)
             : m.leaf(m.random.chance(0.8) ? dt : m.dtype(Take::Number), right));
    return cost <= 40000;
}

// A float value, one it was computed from, and a cotangent.
bool make_gradient(Maker& m, bool with_cotangent) {
    const std::vector<int> floats = m.values_of(Take::Float);
    if (floats.empty()) return false;
    for (int attempt = 0; attempt < 8; ++attempt) {
        const int y = m.random.of(floats), x = m.random.of(floats);
        if (x == y || !m.has_gradient(y, x) || m.value(y).numel() > kMostElements) continue;
        const sn::Shape shape = m.value(y).shape();
        const sn::DType dt = m.value(y).dtype();
        const int cotangent = m.leaf(dt, shape, m.random.chance(0.5) ? Draw::Grid : Draw::Tame);
        if (with_cotangent) {
            m.in(y);
            m.in(x);
            m.in(cotangent);
            return true;
        }
        const int weighted = m.before("mul", {{y, {}}, {cotangent, {}}});
        const int loss = m.before("sum", {{weighted, {}}},
                                  {Param::of_word(0, "sn::Axes()"), Param::of_flag(false)});
        m.in(loss);
        m.in(x);
        return true;
    }
    return false;
}

}  // namespace

void add_products(std::vector<Row>& all) {
    all.push_back(
        {"matmul", make_matmul, [](const Call& c) { return sn::matmul(c.arg(0), c.arg(1)); }});
    all.back().weight = 5;
    all.push_back({"dot", [](Maker& m) { return vectors(m, true); },
                   [](const Call& c) { return sn::dot(c.arg(0), c.arg(1)); }});
    all.push_back({"outer", [](Maker& m) { return vectors(m, false); },
                   [](const Call& c) { return sn::outer(c.arg(0), c.arg(1)); }});
    // Gradients refuse inputs that turn out not to reach the loss: what the rows hold to reach it
    // is an estimate.
    all.push_back({"gradient", [](Maker& m) { return make_gradient(m, false); },
                   [](const Call& c) { return sn::gradient(c.tensor(0), c.tensor(1)); }});
    all.back().weight = 8;
    all.back().may_refuse = true;
    all.push_back({"vjp", [](Maker& m) { return make_gradient(m, true); },
                   [](const Call& c) { return sn::vjp(c.tensor(0), c.tensor(1), c.tensor(2)); }});
    all.back().weight = 8;
    all.back().may_refuse = true;
}

}  // namespace fuzz
