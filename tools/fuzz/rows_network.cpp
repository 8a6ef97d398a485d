// Ops of networks: convolutions, pools, losses, einsum.

#include <algorithm>

#include "maker.h"

namespace fuzz {
namespace {

// --- convolutions. Parameters: stride, padding, dilation, groups (and output padding of
// transposes).

/// A value or leaf [batch, channels, sizes...] with `axes` spatial axes, none empty.
int image(Maker& m, std::int64_t axes, std::int64_t channels) {
    sn::Shape shape = {m.random.between(1, 3), channels};
    for (std::int64_t d = 0; d < axes; ++d) shape.push_back(m.random.between(3, axes == 3 ? 4 : 8));
    return m.pick(
        Take::Float,
        [&](const sn::Tensor& t) {
            if (t.ndim() != axes + 2 || t.numel() == 0 || t.numel() > 600 || t.size(1) != channels)
                return false;
            for (std::int64_t d = 2; d < t.ndim(); ++d)
                if (t.size(d) < 3) return false;
            return true;
        },
        shape);
}

bool make_conv(Maker& m, std::int64_t axes, bool transposed) {
    const std::int64_t groups = m.random.chance(0.3) ? 2 : 1,
                       channels = groups * m.random.between(1, 3);
    const std::int64_t made = groups * m.random.between(1, 3);
    const int x = image(m, axes, channels);
    const sn::DType dt = m.value(x).dtype();
    sn::Shape kernel =
        transposed ? sn::Shape{channels, made / groups} : sn::Shape{made, channels / groups};
    for (std::int64_t d = 0; d < axes; ++d) kernel.push_back(m.random.between(1, 3));
    const std::int64_t dilation = m.random.chance(0.2) && !transposed ? 2 : 1;
    const std::int64_t stride = m.random.between(1, 2);
    m.in(x);
    m.in(m.leaf(dt, kernel));
    if (m.random.chance(0.5)) m.in(m.leaf(dt, {made}));
    m.param(Param::of_int(stride));
    // Dilated kernels of 3 reach over 5 elements, images have 3 at least.
    m.param(Param::of_int(dilation == 2 ? m.random.between(1, 2)
                          : transposed  ? 0
                                        : m.random.between(0, 2)));
    m.param(Param::of_int(dilation));
    m.param(Param::of_int(groups));
    m.param(Param::of_int(transposed && stride == 2 && m.random.chance(0.4) ? 1 : 0));
    return true;
}

sn::ConvOptions conv_options(const Call& c) {
    return {.stride = c.integer(0),
            .padding = c.integer(1),
            .dilation = c.integer(2),
            .groups = c.integer(3)};
}

sn::ConvTransposeOptions transpose_options(const Call& c) {
    return {.stride = c.integer(0),
            .padding = c.integer(1),
            .output_padding = c.integer(4),
            .dilation = c.integer(2),
            .groups = c.integer(3)};
}

sn::Tensor bias_of(const Call& c) { return c.operands() > 2 ? c.tensor(2) : sn::Tensor(); }

std::string conv_text(const std::string& name, bool transposed, const std::vector<std::string>& in,
                      const Step& step) {
    const auto option = [&](std::size_t i) { return text_of(step.params[i]); };
    return "sn::" + name + "(" + in[0] + ", " + in[1] + ", " + (in.size() > 2 ? in[2] : "{}") +
           ", {.stride = " + option(0) + ", .padding = " + option(1) +
           (transposed ? ", .output_padding = " + option(4) : "") + ", .dilation = " + option(2) +
           ", .groups = " + option(3) + "})";
}

using Conv = sn::Tensor (*)(const sn::Arg&, const sn::Tensor&, const sn::Tensor&,
                            const sn::ConvOptions&);
using ConvTranspose = sn::Tensor (*)(const sn::Arg&, const sn::Tensor&, const sn::Tensor&,
                                     const sn::ConvTransposeOptions&);

void add_convolutions(std::vector<Row>& all) {
    const std::pair<const char*, Conv> forward[] = {
        {"conv1d", sn::conv1d}, {"conv2d", sn::conv2d}, {"conv3d", sn::conv3d}};
    const std::pair<const char*, ConvTranspose> back[] = {
        {"conv_transpose1d", sn::conv_transpose1d},
        {"conv_transpose2d", sn::conv_transpose2d},
        {"conv_transpose3d", sn::conv_transpose3d}};
    for (std::int64_t axes = 1; axes <= 3; ++axes) {
        const std::string name = forward[axes - 1].first, transposed = back[axes - 1].first;
        all.push_back({name, [axes](Maker& m) { return make_conv(m, axes, false); },
                       [op = forward[axes - 1].second](const Call& c) {
                           return op(c.arg(0), c.tensor(1), bias_of(c), conv_options(c));
                       },
                       [name](const auto& in, const Step& step) {
                           return conv_text(name, false, in, step);
                       }});
        all.back().weight = axes == 2 ? 2 : 1;
        all.push_back({transposed, [axes](Maker& m) { return make_conv(m, axes, true); },
                       [op = back[axes - 1].second](const Call& c) {
                           return op(c.arg(0), c.tensor(1), bias_of(c), transpose_options(c));
                       },
                       [transposed](const auto& in, const Step& step) {
                           return conv_text(transposed, true, in, step);
                       }});
    }
}

// --- pools. Parameters: kernel, stride, padding, ceil_mode.

bool make_pool(Maker& m, std::int64_t axes) {
    const std::int64_t kernel = m.random.between(1, 3);
    m.in(image(m, axes, m.random.between(1, 3)));
    m.param(Param::of_int(kernel));
    m.param(Param::of_int(m.random.between(1, 3)));
    m.param(Param::of_int(m.random.between(0, kernel / 2)));
    m.param(Param::of_flag(m.random.chance(0.3)));
    return true;
}

std::string pool_text(const std::string& name, const std::vector<std::string>& in,
                      const Step& step) {
    return "sn::" + name + "(" + in[0] + ", " + text_of(step.params[0]) +
           ", {.stride = " + text_of(step.params[1]) + ", .padding = " + text_of(step.params[2]) +
           ", .ceil_mode = " + text_of(step.params[3]) + "})";
}

using MaxPool = sn::Tensor (*)(const sn::Arg&, const sn::PerAxis&, const sn::MaxPoolOptions&);
using AvgPool = sn::Tensor (*)(const sn::Arg&, const sn::PerAxis&, const sn::AvgPoolOptions&);
using Adaptive = sn::Tensor (*)(const sn::Arg&, const sn::PerAxis&);

void add_pools(std::vector<Row>& all) {
    const std::pair<const char*, MaxPool> max[] = {{"max_pool1d", sn::max_pool1d},
                                                   {"max_pool2d", sn::max_pool2d},
                                                   {"max_pool3d", sn::max_pool3d}};
    const std::pair<const char*, AvgPool> avg[] = {{"avg_pool1d", sn::avg_pool1d},
                                                   {"avg_pool2d", sn::avg_pool2d},
                                                   {"avg_pool3d", sn::avg_pool3d}};
    const std::pair<const char*, Adaptive> adaptive[] = {
        {"adaptive_avg_pool1d", sn::adaptive_avg_pool1d},
        {"adaptive_max_pool1d", sn::adaptive_max_pool1d},
        {"adaptive_avg_pool2d", sn::adaptive_avg_pool2d},
        {"adaptive_max_pool2d", sn::adaptive_max_pool2d},
        {"adaptive_avg_pool3d", sn::adaptive_avg_pool3d},
        {"adaptive_max_pool3d", sn::adaptive_max_pool3d}};
    for (std::int64_t axes = 1; axes <= 3; ++axes) {
        const std::string max_name = max[axes - 1].first, avg_name = avg[axes - 1].first;
        all.push_back({max_name, [axes](Maker& m) { return make_pool(m, axes); },
                       [op = max[axes - 1].second](const Call& c) {
                           return op(c.arg(0), c.integer(0),
                                     {.stride = sn::PerAxis(c.integer(1)),
                                      .padding = c.integer(2),
                                      .ceil_mode = c.flag(3)});
                       },
                       [max_name](const auto& in, const Step& step) {
                           return pool_text(max_name, in, step);
                       }});
        all.push_back({avg_name, [axes](Maker& m) { return make_pool(m, axes); },
                       [op = avg[axes - 1].second](const Call& c) {
                           sn::AvgPoolOptions options;
                           options.stride = sn::PerAxis(c.integer(1));
                           options.padding = c.integer(2);
                           options.ceil_mode = c.flag(3);
                           return op(c.arg(0), c.integer(0), options);
                       },
                       [avg_name](const auto& in, const Step& step) {
                           return pool_text(avg_name, in, step);
                       }});
        for (std::int64_t k = 0; k < 2; ++k)
            all.push_back({adaptive[2 * (axes - 1) + k].first,
                           [axes](Maker& m) {
                               m.in(image(m, axes, m.random.between(1, 3)));
                               m.param(Param::of_int(m.random.between(1, 3)));
                               return true;
                           },
                           [op = adaptive[2 * (axes - 1) + k].second](const Call& c) {
                               return op(c.arg(0), c.integer(0));
                           }});
    }
}

// --- losses

const char* const kReductions[] = {"Mean", "Sum", "None"};

Param reduction(Maker& m) {
    const std::int64_t kind = m.random.between(0, 2);
    return Param::of_word(kind, std::string("sn::Reduction::") + kReductions[kind]);
}

// A prediction and a target of one shape.
bool two_alike(Maker& m) {
    const int x = m.pick(Take::Float);
    const sn::Shape shape = m.value(x).shape();
    m.in(x);
    m.in(m.pick(Take::Float, [&](const sn::Tensor& t) { return t.shape() == shape; }, shape));
    return true;
}

sn::Reduction reduction_of(const Call& c, std::size_t i) {
    return static_cast<sn::Reduction>(c.integer(i));
}

bool make_classes(Maker& m) {
    const int x =
        m.pick(Take::Float,
               [](const sn::Tensor& t) {
                   return t.ndim() > 0 && t.ndim() < 4 && t.numel() > 0 && t.numel() <= 600;
               },
               {4, 5});
    const sn::Shape shape = m.value(x).shape();
    const std::size_t axis = shape.size() == 1 ? 0 : 1;
    sn::Shape target = shape;
    target.erase(target.begin() + static_cast<std::ptrdiff_t>(axis));
    m.in(x);
    m.in(m.leaf(sn::i64, target, Draw::Below, shape[axis]));
    m.param(reduction(m));
    return true;
}

std::string classes_text(const std::string& name, const std::vector<std::string>& in,
                         const Step& step) {
    return "sn::" + name + "(" + in[0] + ", " + in[1] +
           ", {.reduction = " + text_of(step.params[0]) + "})";
}

using Loss = sn::Tensor (*)(const sn::Arg&, const sn::Arg&, sn::Reduction);
using CurvedLoss = sn::Tensor (*)(const sn::Arg&, const sn::Arg&, double, sn::Reduction);
using ClassLoss = sn::Tensor (*)(const sn::Arg&, const sn::Tensor&, const sn::CrossEntropyOptions&);

void add_losses(std::vector<Row>& all) {
    const std::pair<const char*, Loss> losses[] = {{"mse_loss", sn::mse_loss},
                                                   {"l1_loss", sn::l1_loss},
                                                   {"bce", sn::bce},
                                                   {"bce_with_logits", sn::bce_with_logits}};
    for (const auto& [name, op] : losses)
        all.push_back({name,
                       [](Maker& m) {
                           m.param(reduction(m));
                           return two_alike(m);
                       },
                       [op](const Call& c) { return op(c.arg(0), c.arg(1), reduction_of(c, 0)); }});
    const std::pair<const char*, CurvedLoss> curved[] = {{"smooth_l1_loss", sn::smooth_l1_loss},
                                                         {"huber_loss", sn::huber_loss}};
    for (const auto& [name, op] : curved)
        all.push_back({name,
                       [](Maker& m) {
                           m.param(Param::of_real(m.random.chance(0.5) ? 1 : 0.5));
                           m.param(reduction(m));
                           return two_alike(m);
                       },
                       [op](const Call& c) {
                           return op(c.arg(0), c.arg(1), c.real(0), reduction_of(c, 1));
                       }});
    const std::pair<const char*, ClassLoss> classes[] = {{"cross_entropy", sn::cross_entropy},
                                                         {"nll_loss", sn::nll_loss}};
    for (const auto& [name, op] : classes)
        all.push_back({name, make_classes,
                       [op](const Call& c) {
                           return op(c.arg(0), c.tensor(1), {.reduction = reduction_of(c, 0)});
                       },
                       [text = std::string(name)](const auto& in, const Step& step) {
                           return classes_text(text, in, step);
                       }});
}

// --- einsum: a formula, and operands with a size for each of its letters

struct Formula {
    const char* text;
    std::vector<std::string> operands;
};

void add_einsum(std::vector<Row>& all) {
    static const std::vector<Formula> formulas = {{"ij,jk->ik", {"ij", "jk"}},
                                                  {"bij,bjk->bik", {"bij", "bjk"}},
                                                  {"ij->ji", {"ij"}},
                                                  {"ii->i", {"ii"}},
                                                  {"ij->", {"ij"}},
                                                  {"i,j->ij", {"i", "j"}},
                                                  {"ij,kj,k->i", {"ij", "kj", "k"}},
                                                  {"bhqd,bhkd->bhqk", {"bhqd", "bhkd"}},
                                                  {"ijk,ilk->jl", {"ijk", "ilk"}},
                                                  {"ij,ij->i", {"ij", "ij"}}};
    all.push_back(
        {"einsum",
         [](Maker& m) {
             const std::int64_t which =
                 m.random.between(0, static_cast<std::int64_t>(formulas.size()) - 1);
             const Formula& formula = formulas[static_cast<std::size_t>(which)];
             std::int64_t sizes[26];
             for (std::int64_t& size : sizes)
                 size = m.random.chance(0.05) ? 0 : m.random.between(1, 6);
             const sn::DType dt = m.dtype(Take::Float);
             for (const std::string& letters : formula.operands) {
                 sn::Shape shape;
                 for (const char letter : letters) shape.push_back(sizes[letter - 'a']);
                 m.in(m.pick(
                     Take::Float,
                     [&](const sn::Tensor& t) { return t.shape() == shape && t.dtype() == dt; },
                     shape));
             }
             m.param(Param::of_word(which, std::string("\"") + formula.text + "\""));
             return true;
         },
         [](const Call& c) {
             return sn::einsum(formulas[static_cast<std::size_t>(c.integer(0))].text, c.tensors());
         },
         [](const std::vector<std::string>& in, const Step& step) {
             std::string operands;
             for (const std::string& operand : in)
                 operands += (operands.empty() ? "" : ", ") + operand;
             return "sn::einsum(" + text_of(step.params[0]) + ", {" + operands + "})";
         }});
    all.back().weight = 2;
}

}  // namespace

void add_network(std::vector<Row>& all) {
    add_convolutions(all);
    add_pools(all);
    add_losses(all);
    add_einsum(all);
}

}  // namespace fuzz
