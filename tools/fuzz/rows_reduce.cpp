// Reductions and scans.

#include <optional>
#include <string>
#include <utility>

#include "maker.h"

namespace fuzz {
namespace {

// A reduction over some axes: sn::name(x, axes, keepdim, …).
bool over_axes(Maker& m, Take take, bool of_nothing) {
    const sn::Tensor& x = m.in(m.pick(take));
    const Ints axes = m.some_axes(x);
    if (!of_nothing) {
        for (const std::int64_t axis : axes)
            if (x.size(axis) == 0) return false;
        if (axes.empty() && x.numel() == 0) return false;
    }
    m.param(axes.empty() ? Param::of_word(0, "sn::Axes()") : Param::of_list(axes));
    m.param(Param::of_flag(m.random.chance(0.4)));
    return true;
}

using Reduction = sn::Tensor (*)(const sn::Arg&, const sn::Axes&, bool);

void reductions(std::vector<Row>& all, Take take, bool of_nothing,
                std::initializer_list<std::pair<const char*, Reduction>> ops, double weight) {
    for (const auto& [name, op] : ops) {
        all.push_back({name,
                       [take, of_nothing](Maker& m) { return over_axes(m, take, of_nothing); },
                       [op](const Call& c) { return op(c.arg(0), c.axes(0), c.flag(1)); }});
        all.back().weight = weight;
    }
}

using AlongAxis = sn::Tensor (*)(const sn::Arg&, std::int64_t);

void along_axis(std::vector<Row>& all, Take take, bool of_nothing,
                std::initializer_list<std::pair<const char*, AlongAxis>> ops) {
    for (const auto& [name, op] : ops)
        all.push_back({name,
                       [take, of_nothing](Maker& m) {
                           const sn::Tensor& x = m.in(m.pick(take));
                           if (x.ndim() == 0) return false;
                           const std::int64_t axis = m.axis(x);
                           if (!of_nothing && x.size(axis) == 0) return false;
                           m.param(Param::of_int(axis));
                           return true;
                       },
                       [op](const Call& c) { return op(c.arg(0), c.integer(0)); }});
}

using Extreme = sn::Tensor (*)(const sn::Arg&, std::optional<std::int64_t>, bool);

void positions(std::vector<Row>& all, std::initializer_list<std::pair<const char*, Extreme>> ops) {
    for (const auto& [name, op] : ops)
        all.push_back({name,
                       [](Maker& m) {
                           const sn::Tensor& x = m.in(m.pick(Take::MostlyFloat));
                           if (x.ndim() == 0 || m.random.chance(0.2)) {
                               if (x.numel() == 0) return false;
                               m.param(Param::of_word(0, "sn::none"));
                           } else {
                               const std::int64_t axis = m.axis(x);
                               if (x.size(axis) == 0) return false;
                               m.param(Param::of_int(axis));
                           }
                           m.param(Param::of_flag(m.random.chance(0.4)));
                           return true;
                       },
                       [op](const Call& c) { return op(c.arg(0), c.axis(0), c.flag(1)); }});
}

// --- sorting: of the two results either is taken, as parameter `result` says.

sn::Tensor result_of(const sn::Sorted& sorted, bool indices) {
    return indices ? sorted.indices : sorted.values;
}

// sn::name(x, parameters...).values or .indices
std::function<std::string(const std::vector<std::string>&, const Step&)> sorted_text(
    std::string name, std::size_t result) {
    return [name = std::move(name), result](const std::vector<std::string>& in, const Step& step) {
        std::string text = "sn::" + name + "(" + in[0];
        for (std::size_t i = 0; i < result; ++i) text += ", " + text_of(step.params[i]);
        return text + ")" + (text_of(step.params[result]) == "true" ? ".indices" : ".values");
    };
}

// Picks a tensor, and an axis of it with `least` elements.
std::optional<std::pair<const sn::Tensor*, std::int64_t>> row_of(Maker& m, std::int64_t least) {
    const sn::Tensor& x = m.in(m.pick(Take::Any));
    if (x.ndim() == 0) return std::nullopt;
    const std::int64_t axis = m.axis(x);
    if (x.size(axis) < least) return std::nullopt;
    return std::pair(&x, axis);
}

void sorts(std::vector<Row>& all) {
    all.push_back({"sort",
                   [](Maker& m) {
                       const auto row = row_of(m, 0);
                       if (!row) return false;
                       m.param(Param::of_int(row->second));
                       m.param(Param::of_flag(m.random.chance(0.5)));
                       m.param(Param::of_flag(m.random.chance(0.3)));
                       return true;
                   },
                   [](const Call& c) {
                       return result_of(sn::sort(c.arg(0), c.integer(0), c.flag(1)), c.flag(2));
                   },
                   sorted_text("sort", 2)});
    all.push_back({"argsort",
                   [](Maker& m) {
                       const auto row = row_of(m, 0);
                       if (!row) return false;
                       m.param(Param::of_int(row->second));
                       m.param(Param::of_flag(m.random.chance(0.5)));
                       return true;
                   },
                   [](const Call& c) { return sn::argsort(c.arg(0), c.integer(0), c.flag(1)); }});
    all.push_back({"topk",
                   [](Maker& m) {
                       const auto row = row_of(m, 0);
                       if (!row) return false;
                       const std::int64_t n = row->first->size(row->second);
                       m.param(Param::of_int(m.random.between(0, n)));
                       m.param(Param::of_int(row->second));
                       m.param(Param::of_flag(m.random.chance(0.5)));
                       m.param(Param::of_flag(m.random.chance(0.4)));
                       return true;
                   },
                   [](const Call& c) {
                       return result_of(sn::topk(c.arg(0), c.integer(0), c.integer(1), c.flag(2)),
                                        c.flag(3));
                   },
                   sorted_text("topk", 3)});
    all.push_back({"kthvalue",
                   [](Maker& m) {
                       const auto row = row_of(m, 1);
                       if (!row) return false;
                       const std::int64_t n = row->first->size(row->second);
                       m.param(Param::of_int(m.random.between(1, n)));
                       m.param(Param::of_int(row->second));
                       m.param(Param::of_flag(m.random.chance(0.5)));
                       m.param(Param::of_flag(m.random.chance(0.4)));
                       return true;
                   },
                   [](const Call& c) {
                       return result_of(
                           sn::kthvalue(c.arg(0), c.integer(0), c.integer(1), c.flag(2)),
                           c.flag(3));
                   },
                   sorted_text("kthvalue", 3)});
    all.push_back({"median",
                   [](Maker& m) {
                       const auto row = row_of(m, 1);
                       if (!row) return false;
                       m.param(Param::of_int(row->second));
                       m.param(Param::of_flag(m.random.chance(0.5)));
                       m.param(Param::of_flag(m.random.chance(0.4)));
                       return true;
                   },
                   [](const Call& c) {
                       return result_of(sn::median(c.arg(0), c.integer(0), c.flag(1)), c.flag(2));
                   },
                   sorted_text("median", 2)});
}

}  // namespace

void add_reduce(std::vector<Row>& all) {
    reductions(all, Take::Any, true, {{"sum", sn::sum}}, 4);
    reductions(all, Take::MostlyFloat, true,
               {{"prod", sn::prod},
                {"mean", sn::mean},
                {"any", sn::any},
                {"all", sn::all},
                {"count_nonzero", sn::count_nonzero}},
               1);
    reductions(all, Take::MostlyFloat, false, {{"max", sn::max}, {"min", sn::min}}, 2);
    reductions(all, Take::Float, false, {{"logsumexp", sn::logsumexp}}, 1);
    const std::pair<const char*,
                    sn::Tensor (*)(const sn::Arg&, const sn::Axes&, bool, std::int64_t)>
        moments[] = {{"var", sn::var}, {"std", sn::std}};
    for (const auto& [name, op] : moments)
        all.push_back(
            {name,
             [](Maker& m) {
                 if (!over_axes(m, Take::Float, true)) return false;
                 m.param(Param::of_int(m.random.between(0, 1)));
                 return true;
             },
             [op](const Call& c) { return op(c.arg(0), c.axes(0), c.flag(1), c.integer(2)); }});
    sorts(all);
    positions(all, {{"argmax", sn::argmax}, {"argmin", sn::argmin}});
    along_axis(all, Take::Float, true,
               {{"softmax", sn::softmax}, {"log_softmax", sn::log_softmax}});
    along_axis(all, Take::MostlyFloat, true, {{"cumsum", sn::cumsum}, {"cumprod", sn::cumprod}});
    along_axis(all, Take::MostlyFloat, true, {{"cummax", sn::cummax}, {"cummin", sn::cummin}});
    all.push_back(
        {"norm",
         [](Maker& m) {
             static const std::vector<double> orders = {0, 1, 2, 3, 0.5};
             const sn::Tensor& x = m.in(m.pick(Take::Float));
             m.param(Param::of_real(m.random.of(orders)));
             const Ints axes = m.some_axes(x);
             m.param(axes.empty() ? Param::of_word(0, "sn::Axes()") : Param::of_list(axes));
             m.param(Param::of_flag(m.random.chance(0.4)));
             return true;
         },
         [](const Call& c) { return sn::norm(c.arg(0), c.real(0), c.axes(1), c.flag(2)); }});
}

}  // namespace fuzz
