#include "maker.h"

#include <algorithm>

namespace fuzz {

bool takes(Take take, sn::DType dt) {
    switch (take) {
        case Take::Any:
        case Take::MostlyFloat:
            return true;
        case Take::Number:
            return dt != sn::boolean;
        case Take::Float:
            return sn::is_float(dt);
        case Take::Integer:
            return sn::is_integer(dt);
        case Take::Index:
            return dt == sn::i32 || dt == sn::i64;
        case Take::Bool:
            return dt == sn::boolean;
        case Take::Bits:
            return !sn::is_float(dt);
    }
    return false;
}

std::int64_t numel_of(const sn::Shape& shape) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    return count;
}

std::optional<sn::Shape> broadcast(const sn::Shape& a, const sn::Shape& b) {
    sn::Shape out(std::max(a.size(), b.size()), 1);
    for (std::size_t d = 0; d < out.size(); ++d) {
        const std::int64_t x = d < a.size() ? a[a.size() - 1 - d] : 1;
        const std::int64_t y = d < b.size() ? b[b.size() - 1 - d] : 1;
        if (x != y && x != 1 && y != 1) return std::nullopt;
        out[out.size() - 1 - d] = x == 1 ? y : x;
    }
    return out;
}

// --- choices

sn::DType Maker::dtype(Take take) {
    static const std::vector<sn::DType> kCommon = {sn::f32, sn::f32, sn::f32, sn::f32,
                                                   sn::f64, sn::f16, sn::bf16};
    static const std::vector<sn::DType> kAll = {sn::boolean, sn::i8,  sn::i16, sn::i32, sn::i64,
                                                sn::u8,      sn::u16, sn::u32, sn::u64, sn::f16,
                                                sn::bf16,    sn::f32, sn::f64};
    if (take == Take::MostlyFloat && random.chance(0.85)) take = Take::Float;
    if (take == Take::Any && random.chance(0.5)) take = Take::Float;
    while (true) {
        const sn::DType dt = take == Take::Float ? random.of(kCommon) : random.of(kAll);
        if (takes(take, dt)) return dt;
    }
}

std::int64_t Maker::size() {
    static const std::vector<std::int64_t> kSizes = {0, 1, 1, 1, 2, 2, 3,  3,
                                                     4, 5, 6, 7, 8, 9, 16, 17};
    const std::int64_t size = random.of(kSizes);
    // Nothing is left of a program with many empty tensors.
    return size == 0 && random.chance(0.7) ? 2 : size;
}

sn::Shape Maker::shape() {
    static const std::vector<std::int64_t> kLong = {31, 32, 33, 64, 100, 257, 1000, 2049};
    if (random.chance(0.08)) return {random.of(kLong)};
    if (random.chance(0.04)) return {random.between(1, 3), random.of(kLong) % 700};
    while (true) {
        sn::Shape shape;
        for (std::int64_t d = random.between(0, 4); d > 0; --d) shape.push_back(size());
        if (numel_of(shape) <= 400) return shape;
    }
}

std::int64_t Maker::from_end(std::int64_t axis, std::int64_t rank) {
    return random.chance(0.3) ? axis - rank : axis;
}

std::int64_t Maker::axis(const sn::Tensor& x) {
    return from_end(random.between(0, x.ndim() - 1), x.ndim());
}

Ints Maker::some_axes(const sn::Tensor& x) {
    Ints axes;
    if (random.chance(0.25)) return axes;
    for (std::int64_t d = 0; d < x.ndim(); ++d)
        if (random.chance(0.5)) axes.push_back(from_end(d, x.ndim()));
    return axes;
}

Operand Maker::number(sn::DType dt) {
    Operand operand;
    if (dt == sn::boolean && random.chance(0.5))
        operand.number = Param::of_flag(random.chance(0.5));
    else if (!sn::is_float(dt) && random.chance(0.8))
        operand.number =
            Param::of_int(random.between(sn::is_unsigned(dt) || dt == sn::boolean ? 0 : -5, 9));
    else
        operand.number = Param::of_real(0.25 * static_cast<double>(random.between(-12, 12)));
    return operand;
}

std::vector<int> Maker::values_of(Take take) const {
    std::vector<int> all;
    for (std::size_t i = 0; i < variables_.size(); ++i)
        if (usable_[i] && takes(take, variables_[i].dtype())) all.push_back(static_cast<int>(i));
    return all;
}

int Maker::leaf(sn::DType dt, const sn::Shape& shape, std::optional<Draw> draw,
                std::int64_t below) {
    Step made;
    made.leaf.dtype = dt;
    made.leaf.shape = shape;
    made.leaf.below = below;
    const double luck = random.unit();
    if (draw)
        made.leaf.draw = *draw;
    else if (sn::is_float(dt))
        made.leaf.draw = luck < 0.6    ? Draw::Tame
                         : luck < 0.85 ? Draw::Grid
                         : luck < 0.93 ? Draw::Wide
                                       : Draw::Special;
    else
        made.leaf.draw = luck < 0.75 ? Draw::SmallInt : Draw::AnyInt;
    draw_elements(made.leaf, random.next());
    return append(std::move(made));
}

int Maker::pick(Take take) {
    std::vector<int> all = values_of(take);
    if (take == Take::MostlyFloat && random.chance(0.85)) all = values_of(Take::Float);
    if (all.empty() || random.chance(0.12)) return leaf(dtype(take), shape());
    // The youngest most often: long chains are what fuses.
    const double skew = random.unit();
    return all[static_cast<std::size_t>((1 - skew * skew) * 0.999999 *
                                        static_cast<double>(all.size()))];
}

int Maker::pick(Take take, const std::function<bool(const sn::Tensor&)>& fits,
                const sn::Shape& wanted) {
    std::vector<int> all;
    for (const int i : values_of(take))
        if (fits(value(i))) all.push_back(i);
    if (all.empty() || random.chance(0.15)) return leaf(dtype(take), wanted);
    const double skew = random.unit();
    return all[static_cast<std::size_t>((1 - skew * skew) * 0.999999 *
                                        static_cast<double>(all.size()))];
}

int Maker::partner(int a, Take take) {
    const sn::Shape shape = value(a).shape();
    sn::Shape wanted = shape;
    if (random.chance(0.3))  // drops leading axes, and sets others to 1
        wanted.erase(wanted.begin(),
                     wanted.begin() + random.between(0, static_cast<std::int64_t>(wanted.size())));
    for (std::int64_t& size : wanted)
        if (random.chance(0.15)) size = 1;
    return pick(
        take,
        [&](const sn::Tensor& x) {
            const std::optional<sn::Shape> both = broadcast(shape, x.shape());
            return both && numel_of(*both) <= kMostElements;
        },
        wanted);
}

// --- growing

void run_step(const Step& step, std::vector<sn::Tensor>& variables) {
    if (step.row != kLeaf) {
        const Row& row = rows()[static_cast<std::size_t>(step.row)];
        variables.push_back(row.run(Call(step, variables)));
        return;
    }
    const Leaf& leaf = step.leaf;
    std::vector<std::byte> bytes;
    const auto put = [&](auto element) {
        const auto* begin = reinterpret_cast<const std::byte*>(&element);
        bytes.insert(bytes.end(), begin, begin + sizeof element);
    };
    for (const double x : leaf.reals) switch (leaf.dtype) {
            case sn::DType::F16:
                put(sn::f64_to_f16(x));
                break;
            case sn::DType::BF16:
                put(sn::f64_to_bf16(x));
                break;
            case sn::DType::F32:
                put(static_cast<float>(x));
                break;
            default:
                put(x);
        }
    for (const std::int64_t x : leaf.ints) switch (sn::size_of(leaf.dtype)) {
            case 1:
                put(static_cast<std::int8_t>(x));
                break;
            case 2:
                put(static_cast<std::int16_t>(x));
                break;
            case 4:
                put(static_cast<std::int32_t>(x));
                break;
            default:
                put(x);
        }
    variables.push_back(sn::from_data(bytes.data(), leaf.shape, leaf.dtype));
}

int Maker::append(Step made) {
    program_.steps.push_back(made);
    const Row* row = made.row == kLeaf ? nullptr : &rows()[static_cast<std::size_t>(made.row)];
    const std::size_t number = variables_.size();
    try {
        run_step(made, variables_);
    } catch (const sn::ValueError& error) {
        program_.steps.pop_back();
        if (row != nullptr && row->may_refuse) return -1;
        program_.steps.push_back(made);
        throw Refused{program_, error.what()};
    } catch (const std::exception& error) {
        throw Refused{program_, error.what()};
    }
    const bool statement = row != nullptr && row->statement;
    const bool big = !statement && variables_.back().numel() > 20 * kMostElements;
    usable_.push_back(!statement && !big);
    std::vector<bool> reach(number + 1, false);
    if (!statement && sn::is_float(variables_.back().dtype())) {
        for (const Operand& operand : made.in)
            if (operand.step >= 0) {
                const std::vector<bool>& through = reaches_[static_cast<std::size_t>(operand.step)];
                for (std::size_t i = 0; i < through.size(); ++i)
                    if (through[i]) reach[i] = true;
            }
        reach[number] = true;
    }
    reaches_.push_back(std::move(reach));
    if (statement &&
        row->name == "realize")  // memory now: what was made of it before has another node below
        for (const Operand& operand : made.in) {
            const auto x = static_cast<std::size_t>(operand.step);
            for (std::size_t i = 0; i < reaches_.size(); ++i)
                if (x < reaches_[i].size() && i != x) reaches_[i][x] = false;
            std::fill(reaches_[x].begin(), reaches_[x].end(), false);
            reaches_[x][x] = true;
        }
    return static_cast<int>(number);
}

bool Maker::has_gradient(int from, int to) const {
    const std::vector<bool>& reach = reaches_[static_cast<std::size_t>(from)];
    return static_cast<std::size_t>(to) < reach.size() && reach[static_cast<std::size_t>(to)];
}

int Maker::before(std::string_view row, std::vector<Operand> in, std::vector<Param> params) {
    Step helper;
    helper.row = row_named(row);
    helper.in = std::move(in);
    helper.params = std::move(params);
    return append(std::move(helper));
}

bool Maker::grow() {
    static const std::vector<int> weighted = [] {
        std::vector<int> all;
        for (std::size_t i = 0; i < rows().size(); ++i)
            for (int k = 0; k < static_cast<int>(rows()[i].weight * 4); ++k)
                all.push_back(static_cast<int>(i));
        return all;
    }();
    step = {};
    const int row = random.of(weighted);
    if (!rows()[static_cast<std::size_t>(row)].make(*this)) return false;
    step.row = row;
    return append(step) >= 0;
}

Program Maker::make() {
    const std::int64_t length = random.chance(0.1) ? random.between(20, 40) : random.between(1, 14);
    for (std::int64_t made = 0; made < length;)
        if (grow()) ++made;
    std::vector<bool> used(variables_.size(), false);
    for (const Step& s : program_.steps)
        for (const Operand& operand : s.in)
            if (operand.step >= 0) used[static_cast<std::size_t>(operand.step)] = true;
    for (std::size_t i = 0; i < variables_.size(); ++i)
        if (usable_[i] && program_.steps[i].row != kLeaf && (!used[i] || random.chance(0.2)))
            program_.outputs.push_back(static_cast<int>(i));
    if (random.chance(0.3)) std::reverse(program_.outputs.begin(), program_.outputs.end());
    program_.together = random.chance(0.6);
    program_.twice = random.chance(0.15);
    program_.threads = random.chance(0.05);
    program_.captured = random.chance(0.1);
    return program_;
}

}  // namespace fuzz
