// Movement and joining.

#include <algorithm>

#include "maker.h"

namespace fuzz {
namespace {

bool has_axes(const sn::Tensor& x) { return x.ndim() > 0; }
bool has_two_axes(const sn::Tensor& x) { return x.ndim() > 1; }

// Another shape with as many elements.
sn::Shape regrouped(Maker& m, const sn::Tensor& x) {
    sn::Shape shape = x.shape();
    for (int times = 0; times < 3; ++times) {
        const auto rank = static_cast<std::int64_t>(shape.size());
        if (rank > 1 && m.random.chance(0.5)) {  // two axes become one
            const auto d = static_cast<std::size_t>(m.random.between(0, rank - 2));
            shape[d] *= shape[d + 1];
            shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(d) + 1);
        } else if (rank > 0 && rank < 5) {  // one becomes two
            const auto d = static_cast<std::size_t>(m.random.between(0, rank - 1));
            for (const std::int64_t f : {2, 3, 5, 4})
                if (shape[d] > 0 && shape[d] % f == 0 && m.random.chance(0.6)) {
                    shape[d] /= f;
                    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(d), f);
                    break;
                }
        }
        if (shape.size() < 5 && m.random.chance(0.15))
            shape.insert(
                shape.begin() + m.random.between(0, static_cast<std::int64_t>(shape.size())), 1);
    }
    return shape;
}

Ints shuffled_axes(Maker& m, std::int64_t rank) {
    Ints axes;
    for (std::int64_t d = 0; d < rank; ++d)
        axes.insert(axes.begin() + m.random.between(0, d), m.from_end(d, rank));
    return axes;
}

std::string list_call(std::string_view name, const std::vector<std::string>& in,
                      const std::string& rest) {
    std::string text = "sn::" + std::string(name) + "({";
    for (std::size_t i = 0; i < in.size(); ++i) text += (i == 0 ? "" : ", ") + in[i];
    return text + "}" + rest + ")";
}

// Values of x's dtype, and of its shape but (if allowed) along `axis`.
void more_like(Maker& m, int first, std::int64_t axis, bool may_differ) {
    const sn::Shape shape = m.value(first).shape();
    const sn::DType dt = m.value(first).dtype();
    m.in(first);
    for (std::int64_t more = m.random.between(0, 2); more > 0; --more) {
        sn::Shape wanted = shape;
        if (may_differ) wanted[static_cast<std::size_t>(axis)] = m.size();
        std::vector<int> fit;
        for (const int i : m.values_of(Take::Any)) {
            sn::Shape other = m.value(i).shape();
            if (m.value(i).dtype() != dt || other.size() != shape.size()) continue;
            if (may_differ)
                other[static_cast<std::size_t>(axis)] = shape[static_cast<std::size_t>(axis)];
            if (other == shape) fit.push_back(i);
        }
        m.in(!fit.empty() && m.random.chance(0.6) ? m.random.of(fit) : m.leaf(dt, wanted));
    }
}

void add_shapes(std::vector<Row>& all) {
    for (const char* name : {"reshape", "view"}) {
        all.push_back({name,
                       [](Maker& m) {
                           const sn::Tensor& x = m.in(m.pick(Take::Any));
                           sn::Shape shape = regrouped(m, x);
                           if (x.numel() > 0 && !shape.empty() && m.random.chance(0.3))
                               shape[0] = -1;
                           m.param(Param::of_list(shape));
                           return true;
                       },
                       [](const Call& c) { return sn::reshape(c.arg(0), c.shape(0)); }});
        all.back().weight = name[0] == 'r' ? 3 : 0.5;
    }
    all.push_back(
        {"flatten",
         [](Maker& m) {
             const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {2, 3}));
             const std::int64_t first = m.random.between(0, x.ndim() - 1);
             m.param(Param::of_int(first));
             m.param(Param::of_int(m.random.between(first, x.ndim() - 1)));
             return true;
         },
         [](const Call& c) { return sn::flatten(c.arg(0), c.integer(0), c.integer(1)); }});
    all.push_back(
        {"unflatten",
         [](Maker& m) {
             const auto even = [](const sn::Tensor& t) {
                 return t.ndim() > 0 && t.size(0) > 0 && t.size(0) % 2 == 0;
             };
             m.in(m.pick(Take::Any, even, {4, 3}));
             m.param(Param::of_int(0));
             m.param(Param::of_list(m.random.chance(0.5) ? Ints{2, -1} : Ints{-1, 2}));
             return true;
         },
         [](const Call& c) { return sn::unflatten(c.arg(0), c.integer(0), c.shape(1)); }});
    all.push_back({"squeeze",
                   [](Maker& m) {
                       m.in(m.pick(Take::Any));
                       m.param(Param::of_word(0, "sn::Axes()"));
                       return true;
                   },
                   [](const Call& c) { return sn::squeeze(c.arg(0), c.axes(0)); }});
    all.push_back({"unsqueeze",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any));
                       if (x.ndim() > 5) return false;
                       m.param(
                           Param::of_int(m.from_end(m.random.between(0, x.ndim()), x.ndim() + 1)));
                       return true;
                   },
                   [](const Call& c) { return sn::unsqueeze(c.arg(0), c.integer(0)); }});
    for (const char* name : {"expand", "broadcast_to"})
        all.push_back({name,
                       [](Maker& m) {
                           const sn::Tensor& x = m.in(m.pick(Take::Any));
                           sn::Shape shape = x.shape();
                           for (std::int64_t& size : shape)
                               if (size == 1 && m.random.chance(0.7)) size = m.size();
                           if (shape.size() < 5 && m.random.chance(0.4))
                               shape.insert(shape.begin(), m.size());
                           if (numel_of(shape) > kMostElements) return false;
                           m.param(Param::of_list(shape));
                           return true;
                       },
                       [](const Call& c) { return sn::broadcast_to(c.arg(0), c.shape(0)); }});
    all.back().weight = 2;
}

void add_orders(std::vector<Row>& all) {
    all.push_back({"permute",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {2, 3, 4}));
                       m.param(Param::of_list(shuffled_axes(m, x.ndim())));
                       return true;
                   },
                   [](const Call& c) { return sn::permute(c.arg(0), c.axes(0)); }});
    all.back().weight = 3;
    all.push_back(
        {"transpose",
         [](Maker& m) {
             const sn::Tensor& x = m.in(m.pick(Take::Any, has_two_axes, {3, 4}));
             m.param(Param::of_int(m.axis(x)));
             m.param(Param::of_int(m.axis(x)));
             return true;
         },
         [](const Call& c) { return sn::transpose(c.arg(0), c.integer(0), c.integer(1)); }});
    all.push_back({"mT",
                   [](Maker& m) {
                       m.in(m.pick(Take::Any, has_two_axes, {3, 4}));
                       return true;
                   },
                   [](const Call& c) { return sn::mT(c.arg(0)); }});
    all.push_back({"movedim",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {2, 3, 4}));
                       m.param(Param::of_list({m.axis(x)}));
                       m.param(Param::of_list({m.axis(x)}));
                       return true;
                   },
                   [](const Call& c) { return sn::movedim(c.arg(0), c.axes(0), c.axes(1)); }});
    all.push_back({"flip",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {2, 3}));
                       m.param(Param::of_list(m.some_axes(x)));
                       return true;
                   },
                   [](const Call& c) { return sn::flip(c.arg(0), sn::Axes(c.list(0))); },
                   [](const std::vector<std::string>& in, const Step& step) {
                       return "sn::flip(" + in[0] + ", sn::Axes(std::vector<std::int64_t>" +
                              braces(step.params[0].list) + "))";
                   }});
    all.back().weight = 2;
    all.push_back({"roll",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {2, 3}));
                       m.param(Param::of_list({m.random.between(-9, 9)}));
                       if (m.random.chance(0.7))
                           m.param(Param::of_list({m.axis(x)}));
                       else
                           m.param(Param::of_word(0, "sn::Axes()"));
                       return true;
                   },
                   [](const Call& c) { return sn::roll(c.arg(0), c.axes(0), c.axes(1)); }});
    all.push_back({"rot90",
                   [](Maker& m) {
                       m.in(m.pick(Take::Any, has_two_axes, {3, 4}));
                       m.param(Param::of_int(m.random.between(-5, 5)));
                       return true;
                   },
                   [](const Call& c) { return sn::rot90(c.arg(0), c.integer(0)); }});
}

void add_repeats(std::vector<Row>& all) {
    for (const char* name : {"repeat", "tile"})
        all.push_back(
            {name,
             [](Maker& m) {
                 const sn::Tensor& x = m.in(m.pick(Take::Any));
                 Ints counts;
                 std::int64_t n = x.numel();
                 for (std::int64_t d = x.ndim() + (x.ndim() < 4 && m.random.chance(0.3) ? 1 : 0);
                      d > 0; --d) {
                     counts.push_back(m.random.between(m.random.chance(0.1) ? 0 : 1, 3));
                     n *= counts.back();
                 }
                 m.param(Param::of_list(counts));
                 return n <= kMostElements;
             },
             name[0] == 'r' ? [](const Call& c) { return sn::repeat(c.arg(0), c.shape(0)); }
                            : [](const Call& c) { return sn::tile(c.arg(0), c.shape(0)); }});
    all.push_back(
        {"repeat_interleave",
         [](Maker& m) {
             const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {2, 3}));
             m.param(Param::of_int(m.random.between(0, 3)));
             m.param(m.random.chance(0.8) ? Param::of_int(m.axis(x))
                                          : Param::of_word(0, "sn::none"));
             return x.numel() * 3 <= kMostElements;
         },
         [](const Call& c) { return sn::repeat_interleave(c.arg(0), c.integer(0), c.axis(1)); }});
    all.push_back(
        {"pad",
         [](Maker& m) {
             const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {3, 4}));
             const std::int64_t mode = m.random.chance(0.5) ? 0 : m.random.between(1, 3);
             static const char* kModes[] = {"Constant", "Reflect", "Replicate", "Circular"};
             Ints widths;
             for (std::int64_t d = x.ndim() - 1; d >= 0 && (widths.empty() || m.random.chance(0.5));
                  --d) {
                 const std::int64_t n = x.size(d);
                 // Reflected elements come from beside the edge, wrapped ones from the other end.
                 const std::int64_t most = mode == 0   ? 3
                                           : mode == 1 ? n - 1
                                           : mode == 3 ? n
                                                       : (n > 0 ? 3 : 0);
                 const std::int64_t least = mode == 0 && n > 1 ? -(n / 2) : 0;
                 for (int side = 0; side < 2; ++side)
                     widths.push_back(m.random.between(
                         std::min(least, most < 0 ? std::int64_t{0} : most),
                         std::max<std::int64_t>(0, std::min<std::int64_t>(most, 3))));
             }
             if (mode != 0 && x.numel() == 0) return false;
             m.param(Param::of_list(widths));
             m.param(Param::of_word(mode, std::string("sn::PadMode::") + kModes[mode]));
             m.param(Param::of_real(m.random.chance(0.5) ? 0 : 2));
             if (x.dtype() == sn::boolean) m.step.params.back().real = 1;
             return x.numel() * 4 <= kMostElements;
         },
         [](const Call& c) {
             return sn::pad(c.arg(0), c.list(0), static_cast<sn::PadMode>(c.integer(1)), c.real(2));
         }});
    all.back().weight = 3;
}

void add_parts(std::vector<Row>& all) {
    all.push_back({"narrow",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {4, 3}));
                       const std::int64_t axis = m.axis(x),
                                          start = m.random.between(0, x.size(axis));
                       m.param(Param::of_int(axis));
                       m.param(Param::of_int(start));
                       m.param(Param::of_int(m.random.between(0, x.size(axis) - start)));
                       return true;
                   },
                   [](const Call& c) {
                       return sn::narrow(c.arg(0), c.integer(0), c.integer(1), c.integer(2));
                   }});
    const auto piece = [](std::string_view call) {
        return [call = std::string(call)](const std::vector<std::string>& in, const Step& step) {
            return "sn::" + call + "(" + in[0] + ", " + text_of(step.params[0]) + ", " +
                   text_of(step.params[1]) + ")[" + text_of(step.params[2]) + "]";
        };
    };
    all.push_back({"split",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {5, 3}));
                       const std::int64_t axis = m.axis(x), n = x.size(axis);
                       if (n == 0) return false;
                       const std::int64_t size = m.random.between(1, n);
                       m.param(Param::of_int(size));
                       m.param(Param::of_int(axis));
                       m.param(Param::of_int(m.random.between(0, (n + size - 1) / size - 1)));
                       return true;
                   },
                   [](const Call& c) {
                       return sn::split(c.arg(0), c.integer(0),
                                        c.integer(1))[static_cast<std::size_t>(c.integer(2))];
                   },
                   piece("split")});
    all.push_back(
        {"chunk",
         [](Maker& m) {
             const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {5, 3}));
             const std::int64_t axis = m.axis(x);
             if (x.size(axis) == 0) return false;
             m.param(Param::of_int(m.random.between(1, 4)));
             m.param(Param::of_int(axis));
             m.param(Param::of_int(0));
             return true;
         },
         [](const Call& c) { return sn::chunk(c.arg(0), c.integer(0), c.integer(1)).back(); },
         [](const std::vector<std::string>& in, const Step& step) {
             return "sn::chunk(" + in[0] + ", " + text_of(step.params[0]) + ", " +
                    text_of(step.params[1]) + ").back()";
         }});
    all.push_back({"unbind",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {3, 3}));
                       const std::int64_t axis = m.axis(x);
                       if (x.size(axis) == 0 || x.size(axis) > 40) return false;
                       m.param(Param::of_int(axis));
                       m.param(Param::of_int(m.random.between(0, x.size(axis) - 1)));
                       return true;
                   },
                   [](const Call& c) {
                       return sn::unbind(c.arg(0),
                                         c.integer(0))[static_cast<std::size_t>(c.integer(1))];
                   },
                   [](const std::vector<std::string>& in, const Step& step) {
                       return "sn::unbind(" + in[0] + ", " + text_of(step.params[0]) + ")[" +
                              text_of(step.params[1]) + "]";
                   }});
    all.push_back({"diagonal",
                   [](Maker& m) {
                       const sn::Tensor& x = m.in(m.pick(Take::Any, has_two_axes, {3, 4}));
                       const std::int64_t b = m.random.between(1, x.ndim() - 1),
                                          a = m.random.between(0, b - 1);
                       m.param(Param::of_int(m.random.between(-2, 2)));
                       m.param(Param::of_int(a));
                       m.param(Param::of_int(b));
                       return x.size(a) > 2 && x.size(b) > 2;
                   },
                   [](const Call& c) {
                       return sn::diagonal(c.arg(0), c.integer(0), c.integer(1), c.integer(2));
                   }});
    all.push_back(
        {"unfold",
         [](Maker& m) {
             const sn::Tensor& x = m.in(m.pick(Take::Any, has_axes, {7, 2}));
             const std::int64_t axis = m.axis(x);
             if (x.size(axis) == 0 || x.ndim() > 5) return false;
             m.param(Param::of_int(axis));
             m.param(Param::of_int(m.random.between(1, std::min<std::int64_t>(4, x.size(axis)))));
             m.param(Param::of_int(m.random.between(1, 3)));
             return x.numel() * 4 <= kMostElements;
         },
         [](const Call& c) {
             return sn::unfold(c.arg(0), c.integer(0), c.integer(1), c.integer(2));
         }});
    all.back().weight = 2;
}

void add_joins(std::vector<Row>& all) {
    all.push_back({"cat",
                   [](Maker& m) {
                       const int first = m.pick(Take::Any, has_axes, {3, 2});
                       const std::int64_t axis = m.random.between(0, m.value(first).ndim() - 1);
                       more_like(m, first, axis, true);
                       m.param(Param::of_int(m.from_end(axis, m.value(first).ndim())));
                       return true;
                   },
                   [](const Call& c) { return sn::cat(c.tensors(), c.integer(0)); },
                   [](const std::vector<std::string>& in, const Step& step) {
                       return list_call("cat", in, ", " + text_of(step.params[0]));
                   }});
    all.back().weight = 3;
    all.push_back({"stack",
                   [](Maker& m) {
                       const int first = m.pick(Take::Any);
                       const std::int64_t rank = m.value(first).ndim();
                       if (rank > 4) return false;
                       more_like(m, first, 0, false);
                       m.param(Param::of_int(m.from_end(m.random.between(0, rank), rank + 1)));
                       return true;
                   },
                   [](const Call& c) { return sn::stack(c.tensors(), c.integer(0)); },
                   [](const std::vector<std::string>& in, const Step& step) {
                       return list_call("stack", in, ", " + text_of(step.params[0]));
                   }});
    all.push_back({"meshgrid",
                   [](Maker& m) {
                       const auto vector = [](const sn::Tensor& t) {
                           return t.ndim() == 1 && t.numel() < 30;
                       };
                       m.in(m.pick(Take::Any, vector, {3}));
                       m.in(m.pick(Take::Any, vector, {4}));
                       m.param(Param::of_int(m.random.between(0, 1)));
                       return true;
                   },
                   [](const Call& c) {
                       return sn::meshgrid(c.tensors())[static_cast<std::size_t>(c.integer(0))];
                   },
                   [](const std::vector<std::string>& in, const Step& step) {
                       return list_call("meshgrid", in, "") + "[" + text_of(step.params[0]) + "]";
                   }});
}

}  // namespace

void add_movement(std::vector<Row>& all) {
    add_shapes(all);
    add_orders(all);
    add_repeats(all);
    add_parts(all);
    add_joins(all);
}

}  // namespace fuzz
