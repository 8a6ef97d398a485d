// Random numbers: the same on every device. Each call has a generator of its own, whose seed is the
// first parameter.

#include "maker.h"

namespace fuzz {
namespace {

using Draws = std::function<sn::Tensor(const Call&, sn::Generator&)>;

void add(std::vector<Row>& all, const std::string& name, std::function<bool(Maker&)> make,
         Draws draws, const std::string& arguments) {
    all.push_back({name,
                   [make = std::move(make)](Maker& m) {
                       m.param(Param::of_int(m.random.between(0, 1000)));
                       return make(m);
                   },
                   [draws = std::move(draws)](const Call& c) {
                       sn::Generator generator(static_cast<std::uint64_t>(c.integer(0)));
                       return draws(c, generator);
                   },
                   // $x is the operand, $1 and $2 are parameters.
                   [name, arguments](const std::vector<std::string>& in, const Step& step) {
                       std::string text = arguments;
                       const auto put = [&](const std::string& what, const std::string& with) {
                           for (std::size_t at; (at = text.find(what)) != std::string::npos;)
                               text.replace(at, what.size(), with);
                       };
                       if (!in.empty()) put("$x", in[0]);
                       for (std::size_t i = 1; i < step.params.size(); ++i)
                           put("$" + std::to_string(i), text_of(step.params[i]));
                       return "[&] { sn::Generator g(" + text_of(step.params[0]) +
                              "); return sn::" + name + "(" + text + "); }()";
                   }});
    all.back().weight = 0.5;
}

bool shape_and_float(Maker& m) {
    m.param(Param::of_list(m.shape()));
    m.param(Param::of_type(m.dtype(Take::Float)));
    return true;
}

bool a_float(Maker& m) {
    m.in(m.pick(Take::Float));
    return true;
}

}  // namespace

void add_random(std::vector<Row>& all) {
    const std::string options = "{.dtype = $2, .generator = &g}";
    add(
        all, "rand", shape_and_float,
        [](const Call& c, sn::Generator& g) {
            return sn::rand(c.shape(1), {.dtype = c.type(2), .generator = &g});
        },
        "$1, " + options);
    add(
        all, "randn", shape_and_float,
        [](const Call& c, sn::Generator& g) {
            return sn::randn(c.shape(1), {.dtype = c.type(2), .generator = &g});
        },
        "$1, " + options);
    add(
        all, "uniform", shape_and_float,
        [](const Call& c, sn::Generator& g) {
            return sn::uniform(c.shape(1), -2, 3, {.dtype = c.type(2), .generator = &g});
        },
        "$1, -2, 3, " + options);
    add(
        all, "normal", shape_and_float,
        [](const Call& c, sn::Generator& g) {
            return sn::normal(c.shape(1), 1, 2, {.dtype = c.type(2), .generator = &g});
        },
        "$1, 1, 2, " + options);
    add(
        all, "exponential", shape_and_float,
        [](const Call& c, sn::Generator& g) {
            return sn::exponential(c.shape(1), 2, {.dtype = c.type(2), .generator = &g});
        },
        "$1, 2, " + options);
    add(
        all, "randint",
        [](Maker& m) {
            m.param(Param::of_list(m.shape()));
            m.param(Param::of_type(m.random.chance(0.5) ? sn::i64 : sn::i32));
            return true;
        },
        [](const Call& c, sn::Generator& g) {
            return sn::randint(-5, 20, c.shape(1), {.dtype = c.type(2), .generator = &g});
        },
        "-5, 20, $1, " + options);
    add(
        all, "randperm",
        [](Maker& m) {
            m.param(Param::of_int(m.random.between(0, 40)));
            return true;
        },
        [](const Call& c, sn::Generator& g) {
            return sn::randperm(c.integer(1), {.dtype = sn::i64, .generator = &g});
        },
        "$1, {.dtype = sn::i64, .generator = &g}");
    add(
        all, "rand_like", a_float,
        [](const Call& c, sn::Generator& g) { return sn::rand_like(c.arg(0), &g); }, "$x, &g");
    add(
        all, "randn_like", a_float,
        [](const Call& c, sn::Generator& g) { return sn::randn_like(c.arg(0), &g); }, "$x, &g");
    add(
        all, "bernoulli",
        [](Maker& m) {
            m.in(m.before("sigmoid", {{m.pick(Take::Float), {}}}));
            return true;
        },
        [](const Call& c, sn::Generator& g) { return sn::bernoulli(c.arg(0), &g); }, "$x, &g");
    add(
        all, "dropout", a_float,
        [](const Call& c, sn::Generator& g) { return sn::dropout(c.arg(0), 0.25, true, &g); },
        "$x, 0.25, true, &g");
}

}  // namespace fuzz
