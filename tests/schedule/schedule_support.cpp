#include "schedule_support.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include <sinter/ir/error.h>
#include <sinter/ir/kernel.h>
#include <sinter/ir/spec.h>

namespace sinter::test {

using ir::Op;
using ir::ReduceKind;
using ir::Shape;
using ir::UOp;

namespace {

std::int64_t count(const Shape& shape) {
    std::int64_t n = 1;
    for (std::int64_t d : shape) n *= d;
    return n;
}

double element(DType dt, const void* data, std::size_t i) {
    const auto at = [&]<class T>(T) { return static_cast<double>(static_cast<const T*>(data)[i]); };
    switch (dt) {
        case DType::Bool:
        case DType::U8:
            return at(std::uint8_t{});
        case DType::I8:
            return at(std::int8_t{});
        case DType::I16:
            return at(std::int16_t{});
        case DType::U16:
            return at(std::uint16_t{});
        case DType::I32:
            return at(std::int32_t{});
        case DType::U32:
            return at(std::uint32_t{});
        case DType::I64:
            return at(std::int64_t{});
        case DType::U64:
            return at(std::uint64_t{});
        case DType::F16:
            return f16_to_f32(static_cast<const std::uint16_t*>(data)[i]);
        case DType::BF16:
            return bf16_to_f32(static_cast<const std::uint16_t*>(data)[i]);
        case DType::F32:
            return at(float{});
        case DType::F64:
            return at(double{});
        default:
            return 0;
    }
}

// Room for sums in another order and for one rounding more or less.
double tolerance(DType dt) {
    switch (dt) {
        case DType::F16:
            return 0x1p-8;
        case DType::BF16:
            return 0x1p-5;
        case DType::F32:
            return 0x1p-16;
        case DType::F64:
            return 0x1p-40;
        default:
            return 0;
    }
}

// The same for a root: of the coarsest type that a float on the way to it is rounded to.
double tolerance_of(ir::Ref root) {
    double most = tolerance(root->dtype());
    if (!is_float(root->dtype())) return most;
    for (ir::Ref node : ir::toposort(std::span<const ir::Ref>(&root, 1)))
        most = std::max(most, tolerance(node->dtype()));
    return most;
}

bool agree(double a, double b, double tol) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    if (a == b) return true;
    return std::abs(a - b) <= tol * std::max(1.0, std::max(std::abs(a), std::abs(b)));
}

void print(std::ostream& os, ir::Ref sink) {
    const std::vector<ir::Ref> order = ir::toposort(std::span<const ir::Ref>(&sink, 1));
    for (std::size_t i = 0; i < order.size(); ++i) {
        os << "  " << i << " = " << ir::describe(order[i]) << " (";
        for (ir::Ref s : order[i]->src())
            os << ' ' << (std::find(order.begin(), order.end(), s) - order.begin());
        os << " )\n";
    }
}

}  // namespace

UOp data(DType dt, const Shape& shape, unsigned seed, std::int64_t bound) {
    const auto n = static_cast<std::size_t>(count(shape));
    auto memory = runtime::Memory::allocate(runtime::DeviceId::CPU,
                                            std::max<std::size_t>(1, n * size_of(dt)));
    std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 12345;
    for (std::size_t i = 0; i < n; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const auto bits = static_cast<std::int64_t>(state >> 33);
        const double real = static_cast<double>(bits % 4001 - 2000) / 1000.0;
        auto* at = static_cast<std::byte*>(memory->data()) + i * size_of(dt);
        const auto write = [&]<class T>(T v) { std::memcpy(at, &v, sizeof(T)); };
        switch (dt) {
            case DType::F64:
                write(real);
                break;
            case DType::F32:
                write(static_cast<float>(real));
                break;
            case DType::F16:
                write(f64_to_f16(real));
                break;
            case DType::BF16:
                write(f64_to_bf16(real));
                break;
            case DType::Bool:
                write(static_cast<std::uint8_t>(bits & 1));
                break;
            default: {
                const std::int64_t v = bits % bound;
                std::memcpy(at, &v, size_of(dt));
            }
        }
    }
    return runtime::make_buffer(dt, shape, memory);
}

// What a CPU assumes.
static schedule::Assumptions assumptions(const schedule::Normalised& graph, const Given& given) {
    std::vector<bool> steady;
    for (ir::Ref input : graph.inputs)
        steady.push_back(std::ranges::find(given.steady, input, &UOp::get) != given.steady.end());
    return {std::vector<bool>(graph.inputs.size(), given.may_overwrite),
            512 << 10,
            false,
            steady,
            given.panel_columns,
            given.pack_always};
}

schedule::Schedule schedule_of(const std::vector<UOp>& roots, const Given& given) {
    std::vector<ir::Ref> refs;
    for (const UOp& r : roots) refs.push_back(r.get());
    const schedule::Normalised graph = schedule::normalise(refs);
    return schedule::make_schedule(graph, assumptions(graph, given));
}

std::size_t kernels(const std::vector<UOp>& roots) { return schedule_of(roots).launches.size(); }

std::string mismatch(const std::vector<UOp>& roots, const Given& given) {
    std::vector<ir::Ref> refs;
    for (const UOp& r : roots) refs.push_back(r.get());
    const schedule::Normalised graph = schedule::normalise(refs);
    const schedule::Schedule s = schedule::make_schedule(graph, assumptions(graph, given));
    for (const schedule::Kernel& k : s.kernels)
        ir::check_spec(ir::Level::Kernel, std::span<const ir::Ref>(&k.sink, 1), "schedule");
    const std::vector<UOp> expected = runtime::ref::evaluate(roots);
    std::vector<std::vector<std::byte>> inputs;
    for (ir::Ref input : graph.inputs) {
        const runtime::Memory& m = runtime::memory_of(UOp::share(input));
        const auto bytes = static_cast<std::size_t>(input->numel()) * size_of(input->dtype());
        inputs.emplace_back(static_cast<const std::byte*>(m.data()),
                            static_cast<const std::byte*>(m.data()) + bytes);
    }
    std::vector<std::int64_t> binds;
    for (ir::Ref b : graph.binds) binds.push_back(b->arg(0));
    Run result;
    try {
        result = run(s, inputs, binds);
    } catch (const Error& e) {
        return std::string(e.what()) + "\n" + text(s);
    }
    for (const std::string& f : result.failed_checks) return f;
    for (std::size_t r = 0; r < roots.size(); ++r) {
        const DType dt = roots[r]->dtype();
        const double allowed = tolerance_of(roots[r].get());
        const void* want = runtime::memory_of(expected[r]).data();
        for (std::size_t i = 0; i < static_cast<std::size_t>(roots[r]->numel()); ++i) {
            const double a = element(dt, result.roots[r].data(), i), b = element(dt, want, i);
            if (agree(a, b, allowed)) continue;
            std::ostringstream os;
            os << "root " << r << " element " << i << ": " << a << ", REF has " << b << "\n"
               << text(s);
            return os.str();
        }
    }
    return {};
}

std::string text(const schedule::Schedule& s) {
    std::ostringstream os;
    for (const schedule::Kernel& k : s.kernels) {
        os << k.name << "\n";
        print(os, k.sink);
    }
    for (const schedule::Launch& l : s.launches) {
        os << "launch " << l.kernel << " flops=" << l.flops << " bytes=" << l.bytes;
        for (const schedule::Segment& seg : l.segments) {
            os << " [";
            for (std::uint32_t b : seg.blocks) os << ' ' << b;
            os << " |";
            for (const schedule::Scalar& v : seg.scalars) os << ' ' << v.bind << ':' << v.bits;
            os << " ]";
        }
        os << "\n";
    }
    for (const schedule::Block& b : s.blocks)
        os << "block " << static_cast<int>(b.kind) << ' ' << name(b.dtype) << ' ' << b.numel
           << " at " << b.offset << " node " << b.node << " reuses " << b.reuses << "\n";
    os << "outputs";
    for (std::uint32_t b : s.outputs) os << ' ' << b;
    os << "\narena " << s.arena_bytes << "\n";
    return os.str();
}

UOp row_max(const UOp& x, std::int64_t axis) {
    return ir::reduce(ReduceKind::Max, x, std::vector<std::int64_t>{axis});
}
UOp row_sum(const UOp& x, std::int64_t axis) {
    return ir::reduce(ReduceKind::Add, x, std::vector<std::int64_t>{axis});
}
UOp spread(const UOp& x, const UOp& like) { return ir::expand(x, like->shape()); }
UOp scaled(const UOp& x, double factor) {
    return ir::binary(Op::Mul, x, ir::constant(x->dtype(), factor, x->shape()));
}
UOp matmul(const UOp& a, const UOp& b) {
    const std::int64_t m = a->shape()[0], k = a->shape()[1], n = b->shape()[1];
    const UOp left = ir::expand(ir::reshape(a, Shape{m, k, 1}), Shape{m, k, n});
    const UOp right = ir::expand(ir::reshape(b, Shape{1, k, n}), Shape{m, k, n});
    return ir::reshape(row_sum(ir::binary(Op::Mul, left, right), 1), Shape{m, n});
}
UOp gelu(const UOp& x) {
    const UOp erf = ir::unary(Op::Erf, scaled(x, 0.7071067811865476));
    return scaled(
        ir::binary(Op::Mul, x, ir::binary(Op::Add, erf, ir::constant(x->dtype(), 1, x->shape()))),
        0.5);
}
UOp relu(const UOp& x) { return ir::binary(Op::Max, x, ir::constant(x->dtype(), 0, x->shape())); }

}  // namespace sinter::test
