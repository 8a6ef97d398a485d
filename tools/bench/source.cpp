#include <cmath>
#include <memory>

#include "workload.h"

namespace sinter::tool {
namespace {

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15u, kStream = 0xD1B54A32D192ED03u;

// Finaliser of splitmix64 (Steele, Lea, Flood 2014).
std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

std::size_t numel(const Shape& shape) {
    std::size_t n = 1;
    for (std::int64_t size : shape) n *= static_cast<std::size_t>(size);
    return n;
}

Tensor in_memory(Tensor x) {
    x = x.contiguous();
    x.realize();
    return x;
}

}  // namespace

Tensor Source::values(const Shape& shape, double scale, double offset) {
    const std::uint64_t key = mix(seed_ * kGolden + ++next_ * kStream);
    std::vector<float> v(numel(shape));
    const auto s = static_cast<float>(scale), o = static_cast<float>(offset);
    for (std::size_t i = 0; i < v.size(); ++i) {
        const float unit = static_cast<float>(mix(key + (i + 1) * kGolden) >> 40) * 0x1p-23f - 1.0f;
        const float scaled = unit * s;
        v[i] = scaled + o;
    }
    return in_memory(from_data(v.data(), shape, f32).to(dtype_));
}

Tensor Source::integers(const Shape& shape, std::int64_t high) {
    const std::uint64_t key = mix(seed_ * kGolden + ++next_ * kStream);
    std::vector<std::int32_t> v(numel(shape));
    for (std::size_t i = 0; i < v.size(); ++i)
        v[i] = static_cast<std::int32_t>(
            ((mix(key + (i + 1) * kGolden) >> 32) * static_cast<std::uint64_t>(high)) >> 32);
    return in_memory(from_data(v.data(), shape, i32));
}

Tensor Source::rotary(std::int64_t positions, std::int64_t half, double base) {
    ++next_;
    std::vector<float> v;
    for (std::int64_t p = 0; p < positions; ++p)
        for (std::int64_t j = 0; j < half; ++j) {
            const double angle =
                static_cast<double>(p) *
                std::pow(base, -static_cast<double>(j) / static_cast<double>(half));
            v.push_back(static_cast<float>(std::cos(angle)));
            v.push_back(static_cast<float>(std::sin(angle)));
        }
    return in_memory(from_data(v.data(), {positions, half, 2}, f32).to(dtype_));
}

Call realizing(std::function<std::vector<Tensor>()> build) {
    return [build = std::move(build)] {
        std::vector<Tensor> results = build();
        Tensor::realize(std::span<Tensor>(results));
        return results;
    };
}

Call captured(std::function<std::vector<Tensor>()> build) {
    const auto function = std::make_shared<Jit<std::function<std::vector<Tensor>()>>>(
        jit(std::move(build), {.keep = false}));
    return [function] { return (*function)(); };
}

Call captured(std::vector<Tensor> inputs, Model build) {
    const auto function = std::make_shared<Jit<Model>>(jit(std::move(build)));
    return [function, inputs = std::move(inputs)] { return (*function)(inputs); };
}

Workload make_workload(const std::string& kind, const Params& params, Source& source) {
    for (const std::vector<Kind>& kinds : {operator_kinds(), model_kinds()})
        for (const Kind& k : kinds)
            if (kind == k.name) return k.make(params, source);
    throw Unsupported("no workload of kind " + kind);
}

}  // namespace sinter::tool
