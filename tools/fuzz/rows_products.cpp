// Products, and gradients of all that came before.

#include <cmath>

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

// Queries, keys and values of up to two batches, and which keys a query sees: 0 all, 1 those up to
// an offset from it, 2 those from there on.
bool make_attention(Maker& m) {
    const sn::DType dt = m.random.chance(0.7) ? sn::f32 : m.dtype(Take::Float);
    const std::int64_t queries = m.random.between(1, 40),
                       keys = m.random.chance(0.7) ? queries : m.random.between(1, 40),
                       width = m.random.between(1, 9);
    const Ints batches = m.random.chance(0.5) ? Ints{} : Ints{m.random.between(1, 3)};
    for (const Ints& last : {Ints{queries, width}, Ints{keys, width}, Ints{keys, width}}) {
        Ints shape = batches;
        shape.insert(shape.end(), last.begin(), last.end());
        m.in(m.leaf(dt, sn::Shape(shape), Draw::Tame));
    }
    // Every query sees a key: what becomes of weights that there are none of is open.
    const std::int64_t mask = m.random.between(0, 2),
                       more = m.random.chance(0.6) ? 0 : m.random.between(0, 4);
    m.param(Param::of_int(mask));
    m.param(Param::of_int(mask == 1 ? more : std::min<std::int64_t>(0, keys - queries) - more));
    return true;
}

sn::Tensor attention(const Call& c) {
    const sn::Tensor &q = c.tensor(0), &k = c.tensor(1), &v = c.tensor(2);
    sn::Tensor scores = sn::matmul(q, sn::transpose(k, -2, -1));
    const sn::Tensor all =
        sn::ones({q.shape()[q.ndim() - 2], k.shape()[k.ndim() - 2]}, sn::boolean);
    if (c.integer(0) != 0)
        scores =
            sn::where(c.integer(0) == 1 ? sn::tril(all, c.integer(1)) : sn::triu(all, c.integer(1)),
                      scores, -INFINITY);
    return sn::matmul(sn::softmax(scores, -1), v);
}

std::string print_attention(const std::vector<std::string>& texts, const Step& step) {
    const std::string all = "sn::ones({" + texts[0] + ".shape()[" + texts[0] + ".ndim() - 2], " +
                            texts[1] + ".shape()[" + texts[1] + ".ndim() - 2]}, sn::boolean)";
    std::string scores = "sn::matmul(" + texts[0] + ", sn::transpose(" + texts[1] + ", -2, -1))";
    if (step.params[0].integer != 0)
        scores = std::string("sn::where(sn::") + (step.params[0].integer == 1 ? "tril" : "triu") +
                 "(" + all + ", " + std::to_string(step.params[1].integer) + "), " + scores +
                 ", -INFINITY)";
    return "sn::matmul(sn::softmax(" + scores + ", -1), " + texts[2] + ")";
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
    all.push_back({"attention", make_attention, attention, print_attention});
    all.back().weight = 3;
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
