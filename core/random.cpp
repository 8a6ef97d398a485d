#include <sinter/random.h>

#include <algorithm>
#include <mutex>
#include <numbers>
#include <numeric>
#include <vector>

#include <sinter/elementwise.h>

#include "call.h"
#include "capture.h"

namespace sinter {

/// The key of one call of a generator, with the ids of the Binds that hold it.
struct Draw {
    Generator::Key key{};
    std::int64_t low = 0, high = 0;

    static Draw from(Generator& generator);
};

namespace {

using ir::Op;

// Threefry2x32 with 20 rounds: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.
// `Word` is a number on the host or a node.
constexpr int kRotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
constexpr std::uint32_t kParity = 0x1BD11BDA;

template <class Word>
struct Pair {
    Word low, high;
};

template <class Word, class Constant, class Rotate>
Pair<Word> threefry(Pair<Word> key, Pair<Word> counter, Constant constant, Rotate rotate) {
    const Word keys[3] = {key.low, key.high, key.low ^ key.high ^ constant(kParity)};
    Word x = counter.low + keys[0], y = counter.high + keys[1];
    for (int round = 0; round < 20; ++round) {
        x = x + y;
        y = rotate(y, kRotations[round % 8]) ^ x;
        if (round % 4 != 3) continue;
        const int group = round / 4 + 1;
        x = x + keys[group % 3];
        y = y + keys[(group + 1) % 3] + constant(static_cast<std::uint32_t>(group));
    }
    return {x, y};
}

Pair<std::uint32_t> on_host(Pair<std::uint32_t> key, std::uint64_t counter) {
    return threefry<std::uint32_t>(
        key, {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32)},
        [](std::uint32_t c) { return c; },
        [](std::uint32_t x, int by) { return (x << by) | (x >> (32 - by)); });
}

// A node of u32 with the operators that threefry is written in.
struct Bits {
    UOp node;
    friend Bits operator+(const Bits& a, const Bits& b) {
        return {ir::binary(Op::Add, a.node, b.node)};
    }
    friend Bits operator^(const Bits& a, const Bits& b) {
        return {ir::binary(Op::Xor, a.node, b.node)};
    }
};

// The two random words of each element of a vector of n, from a key known when the graph runs.
Pair<Bits> random_bits(const Draw& draw, std::int64_t n, std::uint32_t stream = 0) {
    const ir::Shape shape{n};
    const auto constant = [&](std::uint32_t c) {
        return Bits{ir::constant_int(u32, static_cast<std::int64_t>(c), shape)};
    };
    const auto rotate = [&](const Bits& x, int by) {
        const auto shifted = [&](Op op, int bits) {
            return ir::binary(op, x.node, ir::constant_int(u32, bits, shape));
        };
        return Bits{ir::binary(Op::Or, shifted(Op::Shl, by), shifted(Op::Shr, 32 - by))};
    };
    const UOp low_key = ir::bind_int(u32, static_cast<std::int64_t>(draw.key.low), shape, draw.low);
    const UOp high_key =
        ir::bind_int(u32, static_cast<std::int64_t>(draw.key.high), shape, draw.high);
    Bits high = constant(stream);
    UOp low = ir::iota(u32, shape, 0);
    if (n > (std::int64_t{1} << 32)) {
        const UOp i = ir::iota(i64, shape, 0);
        const UOp top = ir::binary(Op::Shr, i, ir::constant_int(i64, 32, shape));
        high = high ^ Bits { ir::cast(top, u32) };
    }
    return threefry<Bits>({{low_key}, {high_key}}, {{low}, high}, constant, rotate);
}

UOp scaled(const UOp& x, double factor) { return ir::binary(Op::Mul, x, like(x, factor)); }

UOp top_bits(const Bits& x, int bits) {
    return ir::binary(Op::Shr, x.node, ir::constant_int(u32, 32 - bits, x.node->shape()));
}

// [0, 1) in f32 (or f64), as many bits as the mantissa of `dtype` holds.
UOp unit_interval(const Pair<Bits>& words, DType dtype) {
    if (dtype == f64) {
        const UOp high = scaled(ir::cast(top_bits(words.low, 27), f64), 0x1p26);
        const UOp low = ir::cast(top_bits(words.high, 26), f64);
        return scaled(ir::binary(Op::Add, high, low), 0x1p-53);
    }
    const int bits = dtype == f16 ? 11 : dtype == bf16 ? 8 : 24;
    // Below 2^24: signed and unsigned conversion agree, and the signed one is the cheaper.
    const UOp whole = ir::cast(top_bits(words.low, bits), i32);
    return scaled(ir::cast(whole, f32), 1.0 / static_cast<double>(1 << bits));
}

void require_float(DType dtype) {
    if (!is_float(dtype)) fail<DTypeError>("makes floats, not " + std::string(name(dtype)));
}

Draw draw(Generator* generator) {
    return Draw::from(generator != nullptr ? *generator : default_generator());
}

UOp uniform_vector(const RandomOptions& options, std::int64_t n) {
    require_float(options.dtype);
    return unit_interval(random_bits(draw(options.generator), n), options.dtype);
}

UOp normal_vector(const RandomOptions& options, std::int64_t n) {
    require_float(options.dtype);
    const Draw key = draw(options.generator);
    const Pair<Bits> words = random_bits(key, n);
    UOp radius, turn;
    if (options.dtype == f64) {
        const UOp u = unit_interval(words, f64);
        radius = ir::binary(Op::Sub, like(u, 1), u);
        turn = unit_interval(random_bits(key, n, 0x80000000U), f64);
    } else {
        // All 32 bits, in (0, 1]: the tail reaches 6.8 deviations.
        const UOp u = scaled(ir::cast(words.low.node, f32), 0x1p-32);
        radius = ir::binary(Op::Add, u, like(u, 0x1p-33));
        turn = scaled(ir::cast(ir::cast(top_bits(words.high, 24), i32), f32), 0x1p-24);
    }
    const UOp length = ir::unary(Op::Sqrt, scaled(ir::unary(Op::Log, radius), -2));
    return ir::binary(Op::Mul, length, ir::unary(Op::Cos, scaled(turn, 2 * std::numbers::pi)));
}

Tensor shaped(const UOp& vector, const Shape& shape, DType dtype) {
    return Tensor(ir::reshape(ir::cast(vector, dtype), shape), -1);
}

}  // namespace

// --- generators

struct Generator::Impl {
    std::mutex mutex;
    State state;

    // Each call has a key of its own, made from the seed and the number of the call, so that calls
    // of any size are independent.
    Key next() {
        const std::lock_guard lock(mutex);
        const Pair<std::uint32_t> key = on_host(
            {static_cast<std::uint32_t>(state.seed), static_cast<std::uint32_t>(state.seed >> 32)},
            state.calls++);
        return {key.low, key.high};
    }
    void set(State to) {
        const std::lock_guard lock(mutex);
        state = to;
    }
};

Generator::Generator(std::uint64_t seed) : impl_(std::make_shared<Impl>()) {
    impl_->state.seed = seed;
    if (Capture* capture = Capture::current()) capture->born_object(impl_.get());
}
Generator::~Generator() = default;

void Generator::seed(std::uint64_t seed) { set_state({seed, 0}); }

Generator::State Generator::state() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->state;
}

void Generator::set_state(State state) {
    impl_->set(state);
    if (Capture* capture = Capture::current(); capture && !capture->is_born(impl_.get()))
        capture->add_action([impl = impl_, state](std::int64_t*) { impl->set(state); });
}

Generator::Key Generator::next_key() {
    if (Capture* capture = Capture::current(); capture && !capture->is_born(impl_.get()))
        capture->add_action([impl = impl_](std::int64_t*) { impl->next(); });
    return impl_->next();
}

// A captured function draws anew at every call; a generator that it makes itself gives the same
// numbers every time.
Draw Draw::from(Generator& generator) {
    const std::shared_ptr<Generator::Impl>& impl = generator.impl_;
    Draw draw{impl->next()};
    Capture* const capture = Capture::current();
    if (capture == nullptr || capture->is_born(impl.get())) return draw;
    const Capture::HostBind low = capture->new_host_bind(), high = capture->new_host_bind();
    draw.low = low.id;
    draw.high = high.id;
    capture->add_action([impl, low = low.index, high = high.index](std::int64_t* bits) {
        const Generator::Key key = impl->next();
        bits[low] = static_cast<std::int64_t>(key.low);
        bits[high] = static_cast<std::int64_t>(key.high);
    });
    return draw;
}

// The registry of random state: one generator a process.
Generator& default_generator() {
    static Generator generator(0);
    return generator;
}

void manual_seed(std::uint64_t seed) { default_generator().seed(seed); }

// --- tensors

Tensor rand(const Shape& shape, const RandomOptions& options, Where where) {
    const Call call("rand", where);
    return shaped(uniform_vector(options, checked_numel(shape)), shape, options.dtype);
}

Tensor randn(const Shape& shape, const RandomOptions& options, Where where) {
    const Call call("randn", where);
    return shaped(normal_vector(options, checked_numel(shape)), shape, options.dtype);
}

Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape,
               const RandomOptions& options, Where where) {
    const Call call("randint", where);
    if (low >= high) fail<ValueError>("needs low < high, got " + text(low) + " and " + text(high));
    if (!is_integer(options.dtype))
        fail<DTypeError>("makes integers, not " + std::string(name(options.dtype)));
    const std::int64_t n = checked_numel(shape);
    const Pair<Bits> words = random_bits(draw(options.generator), n);
    const std::uint64_t range = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    const auto number = [&](std::uint64_t value) {
        return ir::constant_int(u64, static_cast<std::int64_t>(value), ir::Shape{n});
    };
    UOp x;
    if (range <= (1U << 16)) {
        // The high half of a product (Lemire, 2019): a bias below range / 2^32.
        const UOp product = ir::binary(Op::Mul, ir::cast(words.low.node, u64), number(range));
        x = ir::binary(Op::Shr, product, number(32));
    } else {
        const UOp top = ir::binary(Op::Shl, ir::cast(words.high.node, u64), number(32));
        x = ir::binary(Op::Mod, ir::binary(Op::Or, top, ir::cast(words.low.node, u64)),
                       number(range));
    }
    x = ir::binary(Op::Add, ir::cast(x, i64), ir::constant_int(i64, low, ir::Shape{n}));
    return shaped(x, shape, options.dtype);
}

Tensor randperm(std::int64_t n, const RandomOptions& options, Where where) {
    const Call call("randperm", where);
    if (n < 0) fail<ValueError>("the count may not be negative: " + text(n));
    if (!is_integer(options.dtype))
        fail<DTypeError>("makes integers, not " + std::string(name(options.dtype)));
    if (Capture* capture = Capture::current()) capture->refuse("randperm draws on the host");
    const Generator::Key key = draw(options.generator).key;
    std::vector<std::pair<std::uint64_t, std::int64_t>> order(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < order.size(); ++i) {
        const Pair<std::uint32_t> words = on_host({key.low, key.high}, i);
        order[i] = {(std::uint64_t{words.high} << 32) | words.low, static_cast<std::int64_t>(i)};
    }
    std::ranges::sort(order);
    std::vector<std::int64_t> out;
    out.reserve(order.size());
    for (const auto& [rank, i] : order) out.push_back(i);
    return cast(Tensor(out, where), options.dtype);
}

Tensor uniform(const Shape& shape, double low, double high, const RandomOptions& options,
               Where where) {
    const Call call("uniform", where);
    const UOp u = uniform_vector(options, checked_numel(shape));
    return shaped(ir::binary(Op::Add, scaled(u, high - low), like(u, low)), shape, options.dtype);
}

Tensor normal(const Shape& shape, double mean, double deviation, const RandomOptions& options,
              Where where) {
    const Call call("normal", where);
    if (!(deviation >= 0))
        fail<ValueError>("the deviation may not be negative: " + std::to_string(deviation));
    const UOp z = normal_vector(options, checked_numel(shape));
    return shaped(ir::binary(Op::Add, scaled(z, deviation), like(z, mean)), shape, options.dtype);
}

Tensor exponential(const Shape& shape, double rate, const RandomOptions& options, Where where) {
    const Call call("exponential", where);
    if (!(rate > 0)) fail<ValueError>("the rate must be positive: " + std::to_string(rate));
    const UOp u = uniform_vector(options, checked_numel(shape));
    return shaped(scaled(ir::unary(Op::Log1p, ir::unary(Op::Neg, u)), -1 / rate), shape,
                  options.dtype);
}

Tensor rand_like(const Arg& x, Generator* generator) {
    Call call("rand_like", x);
    const UOp value = call.node(x);
    const UOp u = uniform_vector({float_type(value->dtype()), generator}, value->numel());
    return call.wrap(ir::reshape(ir::cast(u, float_type(value->dtype())), value->shape()));
}

Tensor randn_like(const Arg& x, Generator* generator) {
    Call call("randn_like", x);
    const UOp value = call.node(x);
    const UOp z = normal_vector({float_type(value->dtype()), generator}, value->numel());
    return call.wrap(ir::reshape(ir::cast(z, float_type(value->dtype())), value->shape()));
}

Tensor bernoulli(const Arg& p, Generator* generator) {
    Call call("bernoulli", p);
    const UOp chance = call.float_node(p);
    const DType wide = accumulator_type(chance->dtype());
    const UOp u = ir::reshape(uniform_vector({wide, generator}, chance->numel()), chance->shape());
    return call.wrap(ir::cast(ir::binary(Op::Lt, u, ir::cast(chance, wide)), chance->dtype()));
}

Tensor dropout(const Arg& x, double p, bool training, Generator* generator) {
    Call call("dropout", x);
    if (!(p >= 0 && p <= 1))
        fail<ValueError>("the probability must be within [0, 1], got " + std::to_string(p));
    const UOp value = call.float_node(x);
    if (!training || p == 0) return call.wrap(value);
    if (p == 1) return call.wrap(scaled(value, 0));
    const UOp u = ir::reshape(uniform_vector({f32, generator}, value->numel()), value->shape());
    const UOp keep = ir::binary(Op::Lt, u, like(u, 1 - p));
    return call.wrap(ir::where(keep, scaled(value, 1 / (1 - p)), like(value, 0)));
}

}  // namespace sinter
