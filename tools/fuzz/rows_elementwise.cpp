// Elementwise ops and activations.

#include "maker.h"

namespace fuzz {
namespace {

/// By way of another device, whichever the default one is: what is computed from what is then the
/// same on every device.
sn::Tensor there_and_back(const sn::Tensor& x) {
    const sn::Device home = sn::default_device(), ref("REF");
    return sn::to(sn::to(x, home == ref ? sn::Device("CPU") : ref), home);
}

using Unary = sn::Tensor (*)(const sn::Arg&);
using Binary = sn::Tensor (*)(const sn::Arg&, const sn::Arg&);

void unary(std::vector<Row>& all, Take take,
           std::initializer_list<std::pair<const char*, Unary>> ops) {
    for (const auto& [name, op] : ops)
        all.push_back({name,
                       [take](Maker& m) {
                           m.in(m.pick(take));
                           return true;
                       },
                       [op](const Call& c) { return op(c.arg(0)); }});
}

bool two_operands(Maker& m, Take take) {
    const int a = m.pick(take);
    if (m.random.chance(0.25)) {
        const Operand number = m.number(m.value(a).dtype());
        const bool is_float = number.number.kind == Param::Kind::Real;
        const bool is_bool = number.number.kind == Param::Kind::Flag;
        if ((is_float && !takes(take, sn::f32)) || (is_bool && !takes(take, sn::boolean)))
            return false;
        m.in(a);
        m.step.in.push_back(number);
        if (m.random.chance(0.3)) std::swap(m.step.in[0], m.step.in[1]);
        return true;
    }
    const int b = m.partner(a, take);
    m.in(a);
    m.in(b);
    // u64 beside a signed type is computed in f32, which not every op takes.
    return takes(take, sn::promote(m.value(a).dtype(), m.value(b).dtype()));
}

void binary(std::vector<Row>& all, Take take,
            std::initializer_list<std::pair<const char*, Binary>> ops, double weight = 1) {
    for (const auto& [name, op] : ops) {
        all.push_back({name, [take](Maker& m) { return two_operands(m, take); },
                       [op](const Call& c) { return op(c.arg(0), c.arg(1)); }});
        all.back().weight = weight;
    }
}

/// An op of a tensor with numbers after it, each from the values given.
struct Choice {
    std::vector<double> values;
};

void with_numbers(std::vector<Row>& all, const char* name, Take take, std::vector<Choice> choices,
                  std::function<sn::Tensor(const Call&)> run) {
    all.push_back({name,
                   [take, choices](Maker& m) {
                       m.in(m.pick(take));
                       for (const Choice& choice : choices)
                           m.param(Param::of_real(m.random.of(choice.values)));
                       return true;
                   },
                   std::move(run)});
}

}  // namespace

void add_elementwise(std::vector<Row>& all) {
    unary(all, Take::Number,
          {{"neg", sn::neg}, {"abs", sn::abs}, {"sign", sn::sign}, {"square", sn::square}});
    unary(all, Take::MostlyFloat,
          {{"reciprocal", sn::reciprocal},
           {"sqrt", sn::sqrt},
           {"rsqrt", sn::rsqrt},
           {"exp", sn::exp},
           {"exp2", sn::exp2},
           {"expm1", sn::expm1},
           {"log", sn::log},
           {"log2", sn::log2},
           {"log10", sn::log10},
           {"log1p", sn::log1p},
           {"sin", sn::sin},
           {"cos", sn::cos},
           {"tan", sn::tan},
           {"asin", sn::asin},
           {"acos", sn::acos},
           {"atan", sn::atan},
           {"sinh", sn::sinh},
           {"cosh", sn::cosh},
           {"tanh", sn::tanh},
           {"asinh", sn::asinh},
           {"acosh", sn::acosh},
           {"atanh", sn::atanh},
           {"erf", sn::erf},
           {"erfc", sn::erfc},
           {"logit", sn::logit}});
    unary(all, Take::Number,
          {{"floor", sn::floor}, {"ceil", sn::ceil}, {"trunc", sn::trunc}, {"round", sn::round}});
    unary(all, Take::Float, {{"frac", sn::frac}});
    unary(all, Take::Any,
          {{"isnan", sn::isnan},
           {"isinf", sn::isinf},
           {"isfinite", sn::isfinite},
           {"logical_not", sn::logical_not},
           {"contiguous", sn::contiguous},
           {"detach", sn::detach}});
    unary(all, Take::Bits, {{"bitwise_not", sn::bitwise_not}});

    binary(all, Take::Any, {{"add", sn::add}, {"mul", sn::mul}}, 4);
    binary(all, Take::Number, {{"sub", sn::sub}}, 3);
    binary(all, Take::Any, {{"div", sn::div}, {"maximum", sn::maximum}, {"minimum", sn::minimum}},
           2);
    binary(all, Take::Number,
           {{"floor_divide", sn::floor_divide}, {"remainder", sn::remainder}, {"fmod", sn::fmod}});
    binary(all, Take::Any,
           {{"fmax", sn::fmax},
            {"fmin", sn::fmin},
            {"eq", sn::eq},
            {"ne", sn::ne},
            {"lt", sn::lt},
            {"le", sn::le},
            {"gt", sn::gt},
            {"ge", sn::ge},
            {"logical_and", sn::logical_and},
            {"logical_or", sn::logical_or},
            {"logical_xor", sn::logical_xor}});
    binary(all, Take::Float,
           {{"pow", sn::pow},
            {"atan2", sn::atan2},
            {"hypot", sn::hypot},
            {"copysign", sn::copysign},
            {"logaddexp", sn::logaddexp},
            {"xlogy", sn::xlogy}});
    binary(all, Take::Bits,
           {{"bitwise_and", sn::bitwise_and},
            {"bitwise_or", sn::bitwise_or},
            {"bitwise_xor", sn::bitwise_xor}});
    binary(all, Take::Integer, {{"shift_left", sn::shift_left}, {"shift_right", sn::shift_right}});

    all.push_back({"isclose", [](Maker& m) { return two_operands(m, Take::Float); },
                   [](const Call& c) { return sn::isclose(c.arg(0), c.arg(1)); }});
    all.push_back({"allclose", [](Maker& m) { return two_operands(m, Take::Float); },
                   [](const Call& c) { return sn::Tensor(sn::allclose(c.arg(0), c.arg(1))); },
                   [](const auto& in, const Step&) {
                       return "sn::Tensor(sn::allclose(" + in[0] + ", " + in[1] + "))";
                   }});
    all.back().weight = 0.25;
    all.push_back({"equal",
                   [](Maker& m) {
                       m.in(m.pick(Take::Number));
                       m.in(m.pick(Take::Number));
                       return true;
                   },
                   [](const Call& c) { return sn::Tensor(sn::equal(c.arg(0), c.arg(1))); },
                   [](const auto& in, const Step&) {
                       return "sn::Tensor(sn::equal(" + in[0] + ", " + in[1] + "))";
                   }});
    all.back().weight = 0.25;
    all.push_back({"to",  // and back
                   [](Maker& m) {
                       m.in(m.pick(Take::Any));
                       return true;
                   },
                   [](const Call& c) { return there_and_back(c.tensor(0)); },
                   [](const auto& in, const Step&) {
                       return "sn::to(sn::to(" + in[0] +
                              ", sn::Device(sn::default_device() == sn::Device(\"REF\")"
                              " ? \"CPU\" : \"REF\")), sn::default_device())";
                   }});
    all.back().weight = 0.5;
    all.push_back({"where",
                   [](Maker& m) {
                       const int condition = m.pick(Take::Bool);
                       const int a = m.partner(condition, Take::Any);
                       const auto both = broadcast(m.value(condition).shape(), m.value(a).shape());
                       const int b = m.pick(
                           Take::Any,
                           [&](const sn::Tensor& x) {
                               const auto shape = broadcast(*both, x.shape());
                               return shape && numel_of(*shape) <= kMostElements;
                           },
                           *both);
                       m.in(condition);
                       m.in(a);
                       if (m.random.chance(0.2))
                           m.step.in.push_back(m.number(m.value(a).dtype()));
                       else
                           m.in(b);
                       return true;
                   },
                   [](const Call& c) { return sn::where(c.arg(0), c.arg(1), c.arg(2)); }});
    all.back().weight = 2;
    all.push_back({"masked_fill",
                   [](Maker& m) {
                       const int x = m.pick(Take::Float);
                       const sn::Shape shape = m.value(x).shape();
                       const int mask = m.pick(
                           Take::Bool,
                           [&](const sn::Tensor& t) {
                               const auto both = broadcast(shape, t.shape());
                               return both && *both == shape;
                           },
                           shape);
                       m.in(x);
                       m.in(mask);
                       m.step.in.push_back(m.number(sn::f32));
                       return true;
                   },
                   [](const Call& c) { return sn::masked_fill(c.arg(0), c.arg(1), c.arg(2)); }});
    all.push_back({"clamp",
                   [](Maker& m) {
                       m.in(m.pick(Take::MostlyFloat));
                       if (!takes(Take::Float, m.value(m.step.in[0].step).dtype())) return false;
                       const bool low = m.random.chance(0.8);
                       m.param(low ? Param::of_real(-0.5) : Param::none());
                       m.param(low && m.random.chance(0.3) ? Param::none() : Param::of_real(1.25));
                       return true;
                   },
                   [](const Call& c) { return sn::clamp(c.arg(0), c.bound(0), c.bound(1)); },
                   [](const std::vector<std::string>& in, const Step& step) {
                       const auto bound = [&](std::size_t i) {
                           return step.params[i].kind == Param::Kind::None
                                      ? "sn::none"
                                      : text_of(step.params[i]);
                       };
                       return "sn::clamp(" + in[0] + ", " + bound(0) + ", " + bound(1) + ")";
                   }});
    all.push_back({"lerp",
                   [](Maker& m) {
                       const int a = m.pick(Take::Float), b = m.partner(a, Take::Float);
                       m.in(a);
                       m.in(b);
                       m.step.in.push_back(m.number(sn::f32));
                       return true;
                   },
                   [](const Call& c) { return sn::lerp(c.arg(0), c.arg(1), c.arg(2)); }});
    unary(all, Take::Float, {{"nan_to_num", [](const sn::Arg& x) { return sn::nan_to_num(x); }}});
    all.push_back({"cast",
                   [](Maker& m) {
                       m.in(m.pick(Take::Any));
                       m.param(Param::of_type(m.dtype(Take::Any)));
                       return true;
                   },
                   [](const Call& c) { return sn::cast(c.arg(0), c.type(0)); }});
    all.back().weight = 3;
    all.push_back({"bitcast",
                   [](Maker& m) {
                       // Of floats the bits of a NaN are open, and bool has bits that are none of
                       // its values.
                       const sn::DType from = m.in(m.pick(Take::Integer)).dtype();
                       const sn::DType to = m.dtype(Take::Number);
                       m.param(Param::of_type(to));
                       return sn::size_of(from) == sn::size_of(to);
                   },
                   [](const Call& c) { return sn::bitcast(c.arg(0), c.type(0)); }});

    // --- activations
    unary(all, Take::Float,
          {{"relu", sn::relu},
           {"relu6", sn::relu6},
           {"selu", sn::selu},
           {"quick_gelu", sn::quick_gelu},
           {"silu", sn::silu},
           {"mish", sn::mish},
           {"softsign", sn::softsign},
           {"sigmoid", sn::sigmoid},
           {"logsigmoid", sn::logsigmoid},
           {"hardsigmoid", sn::hardsigmoid},
           {"hardswish", sn::hardswish},
           {"tanhshrink", sn::tanhshrink}});
    with_numbers(all, "leaky_relu", Take::Float, {{{0.01, 0.5}}},
                 [](const Call& c) { return sn::leaky_relu(c.arg(0), c.real(0)); });
    with_numbers(all, "elu", Take::Float, {{{1, 0.5}}},
                 [](const Call& c) { return sn::elu(c.arg(0), c.real(0)); });
    with_numbers(all, "celu", Take::Float, {{{1, 0.5}}},
                 [](const Call& c) { return sn::celu(c.arg(0), c.real(0)); });
    with_numbers(all, "softplus", Take::Float, {{{1, 2}}},
                 [](const Call& c) { return sn::softplus(c.arg(0), c.real(0)); });
    with_numbers(all, "hardtanh", Take::Float, {{{-1, -0.5}}, {{1, 2}}},
                 [](const Call& c) { return sn::hardtanh(c.arg(0), c.real(0), c.real(1)); });
    with_numbers(all, "hardshrink", Take::Float, {{{0.5}}},
                 [](const Call& c) { return sn::hardshrink(c.arg(0), c.real(0)); });
    with_numbers(all, "softshrink", Take::Float, {{{0.5}}},
                 [](const Call& c) { return sn::softshrink(c.arg(0), c.real(0)); });
    with_numbers(all, "threshold", Take::Float, {{{0.25}}, {{-1, 2}}},
                 [](const Call& c) { return sn::threshold(c.arg(0), c.real(0), c.real(1)); });
    all.push_back({"prelu",
                   [](Maker& m) {
                       const int x = m.pick(Take::Float);
                       m.in(x);
                       m.in(m.leaf(m.value(x).dtype(), {}, Draw::Tame));
                       return true;
                   },
                   [](const Call& c) { return sn::prelu(c.arg(0), c.arg(1)); }});
    all.push_back(
        {"gelu",
         [](Maker& m) {
             m.in(m.pick(Take::Float));
             m.param(m.random.chance(0.5) ? Param::of_word(0, "sn::Gelu::Erf")
                                          : Param::of_word(1, "sn::Gelu::Tanh"));
             return true;
         },
         [](const Call& c) { return sn::gelu(c.arg(0), static_cast<sn::Gelu>(c.integer(0))); }});
    all.push_back({"glu",
                   [](Maker& m) {
                       const auto even = [](const sn::Tensor& t) {
                           return t.ndim() > 0 && t.size(-1) % 2 == 0;
                       };
                       m.in(m.pick(Take::Float, even, {3, 4}));
                       m.param(Param::of_int(-1));
                       return true;
                   },
                   [](const Call& c) { return sn::glu(c.arg(0), c.integer(0)); }});
}

}  // namespace fuzz
