// Indexing by brackets and by tensors.

#include "brackets.h"

namespace fuzz {

namespace {

// One entry between the brackets, as the list of a parameter: its kind, then its numbers. An open
// end of a slice is kOpen.
enum Entry : std::int64_t { kPosition, kSlice, kEllipsis, kNewAxis, kTensor };
constexpr std::int64_t kOpen = INT64_MIN;

// Indices into an axis of n > 0 elements, mostly a leaf, else computed ones.
int indices(Maker& m, const sn::Shape& shape, std::int64_t n) {
    const sn::DType dt = m.random.chance(0.7) ? sn::i64 : sn::i32;
    if (m.random.chance(0.3)) {
        std::vector<int> fit;
        for (const int i : m.values_of(Take::Integer))
            if (m.value(i).shape() == shape) fit.push_back(i);
        if (!fit.empty()) {
            const int wide = m.before("cast", {{m.random.of(fit), {}}}, {Param::of_type(sn::i64)});
            Operand bound;
            bound.number = Param::of_int(n);
            return m.before("remainder", {{wide, {}}, bound});
        }
    }
    return m.leaf(dt, shape, Draw::Below, n);
}

std::function<bool(const sn::Tensor&)> nonempty() {
    return [](const sn::Tensor& t) { return t.ndim() > 0 && t.numel() > 0 && t.numel() <= 600; };
}

/// x, an axis, and indices with x's shape but along the axis.
struct Addressed {
    int x;
    std::int64_t axis;
    sn::Shape index_shape;
    int index;
};

Addressed address(Maker& m, Take take) {
    const int x = m.pick(take, nonempty(), {4, 3});
    const std::int64_t axis = m.random.between(0, m.value(x).ndim() - 1);
    const std::int64_t n = m.value(x).size(axis);
    sn::Shape shape = m.value(x).shape();
    shape[static_cast<std::size_t>(axis)] = m.size();
    return {x, axis, shape, indices(m, shape, n)};
}

bool make_gather(Maker& m) {
    const Addressed a = address(m, Take::Any);
    m.in(a.x);
    m.in(a.index);
    m.param(Param::of_int(m.from_end(a.axis, m.value(a.x).ndim())));
    return true;
}

// A source of x's dtype for indices of that shape.
bool make_scatter(Maker& m, Take take) {
    const Addressed a = address(m, take);
    const sn::DType dt = m.value(a.x).dtype();
    std::vector<int> fit;
    for (const int i : m.values_of(take))
        if (m.value(i).dtype() == dt && m.value(i).shape() == a.index_shape) fit.push_back(i);
    m.in(a.x);
    m.in(a.index);
    m.in(!fit.empty() ? m.random.of(fit) : m.leaf(dt, a.index_shape));
    m.param(Param::of_int(m.from_end(a.axis, m.value(a.x).ndim())));
    return true;
}

// x, a vector of indices, and a source with slices for them.
bool make_slices(Maker& m) {
    const int x = m.pick(Take::MostlyFloat, nonempty(), {4, 3});
    const std::int64_t axis = m.random.between(0, m.value(x).ndim() - 1);
    sn::Shape shape = m.value(x).shape();
    const std::int64_t count = m.random.between(0, 5);
    const int index = indices(m, {count}, shape[static_cast<std::size_t>(axis)]);
    shape[static_cast<std::size_t>(axis)] = count;
    const sn::DType dt = m.value(x).dtype();
    if (dt == sn::boolean) return false;
    m.in(x);
    m.in(index);
    m.in(m.leaf(dt, shape));
    m.param(Param::of_int(axis));
    return true;
}

// sn::name(x, axis, index, …)
std::string axis_second(const std::string& name, const std::vector<std::string>& in,
                        const Step& step) {
    std::string text = "sn::" + name + "(" + in[0] + ", " + text_of(step.params[0]) + ", " + in[1];
    if (in.size() > 2) text += ", " + in[2];
    for (std::size_t i = 1; i < step.params.size(); ++i) text += ", " + text_of(step.params[i]);
    return text + ")";
}

void add(std::vector<Row>& all, std::string name, std::function<bool(Maker&)> make,
         std::function<sn::Tensor(const Call&)> run) {
    all.push_back({name, std::move(make), std::move(run),
                   [name](const std::vector<std::string>& in, const Step& step) {
                       return axis_second(name, in, step);
                   }});
}

}  // namespace

bool choose_brackets(Maker& m, const sn::Tensor& x) {
    bool ellipsis = false, tensor = false;
    std::int64_t least = INT64_MAX;
    for (const std::int64_t size : x.shape()) least = std::min(least, size);
    for (std::int64_t d = 0; d < x.ndim(); ++d) {
        // What stands after an ellipsis may meet another axis: it has to fit every axis.
        const std::int64_t n = ellipsis ? least : x.size(d);
        const double luck = m.random.unit();
        if (luck < 0.2 && n > 0) {
            m.param(Param::of_list({kPosition, m.random.between(-n, n - 1)}));
        } else if (luck < 0.65) {
            const auto end = [&] {
                return m.random.chance(0.3) ? kOpen : m.random.between(-n - 1, n + 1);
            };
            const std::int64_t step = m.random.chance(0.5)   ? 1
                                      : m.random.chance(0.5) ? -1
                                      : m.random.chance(0.5) ? 2
                                                             : -2;
            const std::int64_t begin = end();
            m.param(Param::of_list({kSlice, begin, end(), step}));
        } else if (luck < 0.75 && !ellipsis) {
            m.param(Param::of_list({kEllipsis}));
            ellipsis = true;
            d += m.random.between(-1, x.ndim() - d - 1);
        } else if (luck < 0.82) {
            m.param(Param::of_list({kNewAxis}));
            --d;
            if (m.step.params.size() > 7) return true;
        } else if (luck < 0.95 && !tensor && n > 0) {
            m.param(Param::of_list({kTensor}));
            m.in(indices(m, {m.random.between(1, 4)}, n));
            tensor = true;
        } else {
            return !m.step.params.empty();
        }
    }
    return !m.step.params.empty();
}

std::vector<sn::Index> brackets_of(const Call& c, std::size_t first_tensor) {
    std::vector<sn::Index> all;
    const auto end = [](std::int64_t v) { return v == kOpen ? std::optional<std::int64_t>() : v; };
    for (std::size_t i = 0; i < c.params(); ++i) {
        const Ints& entry = c.list(i);
        switch (entry[0]) {
            case kPosition:
                all.emplace_back(entry[1]);
                break;
            case kSlice:
                all.emplace_back(sn::slice(end(entry[1]), end(entry[2]), entry[3]));
                break;
            case kEllipsis:
                all.emplace_back(sn::ellipsis);
                break;
            case kNewAxis:
                all.emplace_back(sn::newaxis);
                break;
            default:
                all.emplace_back(c.tensor(first_tensor++));
                break;
        }
    }
    return all;
}

std::string brackets_text(const std::vector<std::string>& in, const Step& step,
                          std::size_t first_tensor) {
    std::string text = "{";
    const auto end = [](std::int64_t v) {
        return v == kOpen ? std::string("sn::none") : std::to_string(v);
    };
    for (const Param& param : step.params) {
        if (text.size() > 1) text += ", ";
        switch (param.list[0]) {
            case kPosition:
                text += std::to_string(param.list[1]);
                break;
            case kSlice:
                text += "sn::slice(" + end(param.list[1]) + ", " + end(param.list[2]) + ", " +
                        std::to_string(param.list[3]) + ")";
                break;
            case kEllipsis:
                text += "sn::ellipsis";
                break;
            case kNewAxis:
                text += "sn::newaxis";
                break;
            default:
                text += in[first_tensor++];
                break;
        }
    }
    return text + "}";
}

void add_index(std::vector<Row>& all) {
    all.push_back({"at",
                   [](Maker& m) {
                       const int x = m.pick(
                           Take::Any, [](const sn::Tensor& t) { return t.ndim() > 0; }, {4, 3});
                       m.in(x);
                       const sn::Tensor value = m.value(x);  // making indices adds values
                       return choose_brackets(m, value);
                   },
                   [](const Call& c) { return c.tensor(0).at(brackets_of(c, 1)); },
                   [](const std::vector<std::string>& in, const Step& step) {
                       return in[0] + "[" + brackets_text(in, step, 1) + "]";
                   }});
    all.back().weight = 5;
    add(all, "gather", make_gather,
        [](const Call& c) { return sn::gather(c.arg(0), c.integer(0), c.tensor(1)); });
    all.back().weight = 3;
    all.push_back({"take_along_dim", make_gather, [](const Call& c) {
                       return sn::take_along_dim(c.arg(0), c.tensor(1), c.integer(0));
                   }});
    add(
        all, "index_select",
        [](Maker& m) {
            const int x = m.pick(Take::Any, nonempty(), {4, 3});
            const std::int64_t axis = m.random.between(0, m.value(x).ndim() - 1);
            const int index = indices(m, {m.random.between(0, 6)}, m.value(x).size(axis));
            m.in(x);
            m.in(index);
            m.param(Param::of_int(axis));
            return true;
        },
        [](const Call& c) { return sn::index_select(c.arg(0), c.integer(0), c.tensor(1)); });
    all.push_back({"take",
                   [](Maker& m) {
                       const int x = m.pick(Take::Any, nonempty(), {4, 3});
                       const sn::Shape shape = {m.size(), 2};
                       const int index = indices(m, shape, m.value(x).numel());
                       m.in(x);
                       m.in(index);
                       return true;
                   },
                   [](const Call& c) { return sn::take(c.arg(0), c.tensor(1)); }});
    all.push_back({"embedding",
                   [](Maker& m) {
                       const int table =
                           m.pick(Take::Float,
                                  [](const sn::Tensor& t) {
                                      return t.ndim() == 2 && t.numel() > 0 && t.numel() <= 300;
                                  },
                                  {5, 4});
                       const int index =
                           indices(m, m.random.chance(0.5) ? sn::Shape{3} : sn::Shape{2, 3},
                                   m.value(table).size(0));
                       m.in(index);
                       m.in(table);
                       return true;
                   },
                   [](const Call& c) { return sn::embedding(c.arg(0), c.tensor(1)); }});
    all.back().weight = 2;
    add(
        all, "scatter", [](Maker& m) { return make_scatter(m, Take::Any); },
        [](const Call& c) { return sn::scatter(c.arg(0), c.integer(0), c.tensor(1), c.arg(2)); });
    all.back().weight = 2;
    add(
        all, "scatter_add", [](Maker& m) { return make_scatter(m, Take::Number); },
        [](const Call& c) {
            return sn::scatter_add(c.arg(0), c.integer(0), c.tensor(1), c.arg(2));
        });
    all.back().weight = 2;
    add(
        all, "scatter_reduce",
        [](Maker& m) {
            static const char* kKinds[] = {"Sum", "Prod", "Max", "Min"};
            if (!make_scatter(m, Take::Number)) return false;
            const std::int64_t kind = m.random.between(0, 3);
            m.param(Param::of_word(kind, std::string("sn::ScatterReduce::") + kKinds[kind]));
            return true;
        },
        [](const Call& c) {
            return sn::scatter_reduce(c.arg(0), c.integer(0), c.tensor(1), c.arg(2),
                                      static_cast<sn::ScatterReduce>(c.integer(1)));
        });
    add(all, "index_add", make_slices,
        [](const Call& c) { return sn::index_add(c.arg(0), c.integer(0), c.tensor(1), c.arg(2)); });
    add(all, "index_copy", make_slices, [](const Call& c) {
        return sn::index_copy(c.arg(0), c.integer(0), c.tensor(1), c.arg(2));
    });
}

}  // namespace fuzz
