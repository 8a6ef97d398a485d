// In-place forms, and realizing in the middle of a program.

#include "brackets.h"

namespace fuzz {
namespace {

// The step's value is a copy of operand 0 that is then changed: what operand 0 was must stay as it
// is.
sn::Tensor changed(const Call& c, const std::function<void(sn::Tensor&)>& change) {
    sn::Tensor x = c.tensor(0);
    change(x);
    return x;
}

std::function<std::string(const std::vector<std::string>&, const Step&)> lambda(
    std::string change) {
    return [change](const std::vector<std::string>& in, const Step&) {
        return "[&] { sn::Tensor x = " + in[0] + "; " + change + in[1] + "; return x; }()";
    };
}

bool two_floats(Maker& m) {
    const int x = m.pick(Take::Float);
    const sn::Shape shape = m.value(x).shape();
    const int y = m.pick(
        Take::Float,
        [&](const sn::Tensor& t) {
            const auto both = broadcast(shape, t.shape());
            return both && *both == shape;
        },
        shape);
    m.in(x);
    m.in(y);
    return true;
}

}  // namespace

void add_in_place(std::vector<Row>& all) {
    all.push_back(
        {"operator+=", two_floats,
         [](const Call& c) { return changed(c, [&](sn::Tensor& x) { x += c.tensor(1); }); },
         lambda("x += ")});
    all.back().weight = 2;
    all.push_back(
        {"operator-=", two_floats,
         [](const Call& c) { return changed(c, [&](sn::Tensor& x) { x -= c.tensor(1); }); },
         lambda("x -= ")});
    all.push_back(
        {"operator*=", two_floats,
         [](const Call& c) { return changed(c, [&](sn::Tensor& x) { x *= c.tensor(1); }); },
         lambda("x *= ")});
    all.push_back(
        {"operator/=", two_floats,
         [](const Call& c) { return changed(c, [&](sn::Tensor& x) { x /= c.tensor(1); }); },
         lambda("x /= ")});
    all.push_back(
        {"assign", two_floats,
         [](const Call& c) { return changed(c, [&](sn::Tensor& x) { x.assign(c.tensor(1)); }); },
         [](const std::vector<std::string>& in, const Step&) {
             return "[&] { sn::Tensor x = " + in[0] + "; x.assign(" + in[1] + "); return x; }()";
         }});
    all.back().weight = 2;
    all.push_back(
        {"set",
         [](Maker& m) {
             const int x =
                 m.pick(Take::Any, [](const sn::Tensor& t) { return t.ndim() > 0; }, {4, 3});
             m.in(x);
             m.in(m.leaf(m.value(x).dtype(), {}));
             const sn::Tensor value = m.value(x);
             return choose_brackets(m, value);
         },
         [](const Call& c) {
             return changed(c, [&](sn::Tensor& x) { x.set(brackets_of(c, 2), c.tensor(1)); });
         },
         [](const std::vector<std::string>& in, const Step& step) {
             return "[&] { sn::Tensor x = " + in[0] + "; x.set(" + brackets_text(in, step, 2) +
                    ", " + in[1] + "); return x; }()";
         }});
    all.back().weight = 2;

    all.push_back({"realize",
                   [](Maker& m) {
                       const std::vector<int> values = m.values_of(Take::Any);
                       if (values.empty()) return false;
                       for (std::int64_t more = m.random.between(1, 3); more > 0; --more)
                           m.in(m.random.of(values));
                       return true;
                   },
                   [](const Call& c) {
                       std::vector<sn::Tensor*> all_of_them;
                       for (std::size_t i = 0; i < c.operands(); ++i)
                           all_of_them.push_back(&c.tensor(i));
                       sn::Tensor::realize(std::span<sn::Tensor* const>(all_of_them));
                       return sn::Tensor();
                   }});
    all.back().statement = true;
    all.back().weight = 3;
}

}  // namespace fuzz
