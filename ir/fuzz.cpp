#include <sinter/ir/fuzz.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include <sinter/ir/error.h>
#include <sinter/ir/evaluate.h>
#include <sinter/ir/print.h>
#include <sinter/ir/ref_map.h>

namespace sinter::ir {
namespace {

// The value of an elementwise graph whose leaves have values.
class Interpreter {
public:
    explicit Interpreter(std::span<const Ref> roots)
        : order_(toposort(roots)), number_of_(order_.size()) {
        for (std::size_t i = 0; i < order_.size(); ++i) number_of_[order_[i]] = i;
        values_.resize(order_.size());
        known_.resize(order_.size());
    }

    const std::vector<Ref>& order() const { return order_; }
    void set(Ref leaf, std::int64_t bits) { values_[*number_of_.find(leaf)] = bits; }
    /// None where some op's result is not fixed to the bit.
    std::optional<std::int64_t> value(Ref node) const {
        const std::size_t i = *number_of_.find(node);
        return known_[i] ? std::optional(values_[i]) : std::nullopt;
    }

    void run() {
        for (std::size_t i = 0; i < order_.size(); ++i) {
            const Ref node = order_[i];
            known_[i] = true;
            if (node->is(Op::Const)) values_[i] = node->arg(0);
            if (!is_elementwise(node->op())) continue;
            std::array<ConstValue, 3> src{};
            for (std::size_t s = 0; s < node->src().size(); ++s) {
                const std::size_t from = *number_of_.find(node->src(s));
                known_[i] = known_[i] && known_[from];
                src[s] = {node->src(s)->dtype(), values_[from]};
            }
            if (!known_[i]) continue;
            const auto bits = evaluate(node->op(), node->dtype(),
                                       std::span<const ConstValue>(src.data(), node->src().size()));
            known_[i] = bits.has_value();
            if (bits) values_[i] = *bits;
        }
    }

private:
    std::vector<Ref> order_;
    RefMap<std::size_t> number_of_;
    std::vector<std::int64_t> values_;
    std::vector<char> known_;
};

bool same(DType dt, std::int64_t a, std::int64_t b) {
    if (a == b) return true;
    return is_float(dt) && std::isnan(const_double(a)) && std::isnan(const_double(b));
}

std::int64_t random_bits(DType dt, std::mt19937_64& random) {
    const auto pick = [&](std::uint64_t n) { return random() % n; };
    if (is_float(dt)) {
        constexpr double inf = std::numeric_limits<double>::infinity();
        constexpr double special[] = {0.0, -0.0, 1,     -1,   inf,   -inf,
                                      0.5, 2,    65504, 3e38, 1e-40, 6e-8};
        switch (pick(4)) {
            case 0:
                return round_bits(dt, pick(8) == 0 ? std::nan("") : special[pick(12)]);
            case 1:
                return round_bits(dt,
                                  static_cast<double>(static_cast<std::int64_t>(pick(33)) - 16));
            default: {
                const double unit = static_cast<double>(random() >> 11) * 0x1p-53 * 2 - 1;
                return round_bits(dt, std::ldexp(unit, static_cast<int>(pick(40)) - 20));
            }
        }
    }
    if (dt == DType::Bool) return static_cast<std::int64_t>(pick(2));
    // Index arithmetic never overflows: values stay small enough for products of three.
    if (dt == DType::Index) return static_cast<std::int64_t>(pick(2001)) - 1000;
    switch (pick(4)) {
        case 0:
            return wrap_int(dt, static_cast<std::int64_t>(pick(17)) - 8);
        case 1: {
            const std::int64_t end = pick(2) == 0 ? info(dt).min : dt == u64 ? -1 : info(dt).max;
            return wrap_int(
                dt, static_cast<std::int64_t>(static_cast<std::uint64_t>(end) + pick(5) - 2));
        }
        default:
            return wrap_int(dt, static_cast<std::int64_t>(random()));
    }
}

using Dtypes = std::array<DType, kMaxCaptures>;

// Makes an instance of a left side: the captures are Variables (or Consts), everything else as the
// pattern says. Dtypes follow from `dtype` of the root downwards; null where the pattern's
// constraints do not allow it.
class Instance {
public:
    Instance(Arena& arena, const Pat& pat, std::mt19937_64& random)
        : arena_(arena), pat_(pat), random_(random) {}

    Ref make(DType dtype) { return node(pat_.nodes().size() - 1, dtype); }
    const Bindings& bindings() const { return bindings_; }

private:
    DType any_of(DTypeSet set) {
        std::vector<DType> all;
        for (int i = 0; i < kDTypeCount - 1; ++i)
            if (set.contains(static_cast<DType>(i))) all.push_back(static_cast<DType>(i));
        return all.empty() ? DType::None : all[random_() % all.size()];
    }

    // What dtype the operands of a comparison or cast have, where the pattern says.
    DTypeSet operand_set(std::size_t at) const {
        const PatNode& p = pat_.nodes()[at];
        if (p.capture >= 0 && bindings_[p.capture] != nullptr) return bindings_[p.capture]->dtype();
        return p.dtypes;
    }

    Ref node(std::size_t at, DType dtype) {
        const PatNode& p = pat_.nodes()[at];
        if (!p.dtypes.contains(dtype)) return nullptr;
        if (p.capture >= 0 && bindings_[p.capture] != nullptr)
            return bindings_[p.capture]->dtype() == dtype ? bindings_[p.capture] : nullptr;
        Ref made = nullptr;
        switch (p.kind) {
            case PatNode::Kind::Any:
                made = arena_.make(Op::Variable, dtype, {},
                                   {p.capture, info(dtype).min, info(dtype).max});
                break;
            case PatNode::Kind::Constant:
                made = arena_.constant_bits(dtype, random_bits(dtype, random_));
                break;
            case PatNode::Kind::Literal:
                return arena_.constant_bits(
                    dtype, is_float(dtype) ? round_bits(dtype, p.literal)
                                           : wrap_int(dtype, static_cast<std::int64_t>(p.literal)));
            case PatNode::Kind::Apply:
                made = apply(p, dtype);
                break;
        }
        if (made != nullptr && p.capture >= 0) bindings_.at(p.capture) = made;
        return made;
    }

    Ref apply(const PatNode& p, DType dtype) {
        std::vector<Op> ops;
        for (std::size_t i = 0; i < kOpCount; ++i)
            if (p.ops.test(i)) ops.push_back(static_cast<Op>(i));
        const Op op = ops[random_() % ops.size()];
        if (p.nsrc == 0 || info(op).arity != p.nsrc) return nullptr;
        DType operands = dtype;
        if (info(op).dtype == DTypeRule::Bool || op == Op::Cast || op == Op::Bitcast) {
            if (info(op).dtype == DTypeRule::Bool && dtype != boolean) return nullptr;
            DTypeSet set = DTypeSet::all();
            for (std::size_t i = 0; i < p.nsrc; ++i) set = set & operand_set(p.src[i]);
            operands = any_of(set);
            if (operands == DType::None) return nullptr;
        }
        std::array<Ref, 3> src{};
        for (std::size_t i = 0; i < p.nsrc; ++i) {
            src[i] = node(p.src[i], op == Op::Where && i == 0 ? boolean : operands);
            if (src[i] == nullptr) return nullptr;
        }
        return arena_.make(op, dtype, std::span<const Ref>(src.data(), p.nsrc));
    }

    Arena& arena_;
    const Pat& pat_;
    std::mt19937_64& random_;
    Bindings bindings_;
};

std::string values_text(const Interpreter& interpreter) {
    std::string text;
    Arena arena;
    for (Ref node : interpreter.order())
        if (node->is(Op::Variable) || node->is(Op::Range))
            text += "  " + describe(node) + " = " +
                    describe(arena.constant_bits(node->dtype(), *interpreter.value(node))) + "\n";
    return text;
}

std::string outcome(const Interpreter& interpreter, Ref before, Ref after) {
    Arena arena;
    return "  before: " +
           describe(arena.constant_bits(before->dtype(), *interpreter.value(before))) +
           "\n  after:  " +
           describe(arena.constant_bits(after->dtype(), *interpreter.value(after))) + "\n";
}

}  // namespace

std::string fuzz_rule(const RewriteRule& rule, std::uint64_t seed, int rounds,
                      std::uint64_t* tried) {
    if (rule.rhs() == nullptr)
        throw InternalError(rule.text() + ": only rules with a pattern on the right are fuzzed");
    std::mt19937_64 random(seed);
    for (int i = 0; i < kDTypeCount - 1; ++i) {
        const auto dtype = static_cast<DType>(i);
        for (int round = 0; round < rounds; ++round) {
            Arena arena;
            Instance instance(arena, rule.lhs(), random);
            const Ref before = instance.make(dtype);
            if (before == nullptr) continue;
            const Ref after = rule.fire(arena, before, instance.bindings());
            if (after == nullptr) continue;
            const Ref roots[] = {before, after};
            Interpreter interpreter(roots);
            for (Ref leaf : interpreter.order())
                if (leaf->is(Op::Variable))
                    interpreter.set(leaf, random_bits(leaf->dtype(), random));
            interpreter.run();
            if (after->dtype() != dtype)
                return rule.text() + "\n  " + describe(before) + " becomes " + describe(after) +
                       "\n";
            if (!interpreter.value(before)) continue;
            if (tried != nullptr) ++*tried;
            if (!interpreter.value(after) ||
                !same(dtype, *interpreter.value(before), *interpreter.value(after)))
                return rule.text() + "\n" + to_text(roots) + values_text(interpreter) +
                       (interpreter.value(after) ? outcome(interpreter, before, after) : "");
        }
    }
    return "";
}

std::string differ_at(Ref before, Ref after, Ref given) {
    std::vector<Ref> roots = {before, after};
    if (given != nullptr) roots.push_back(given);
    Interpreter interpreter(roots);
    // Sizes come before the ranges that have them, since sources come first.
    std::vector<Ref> leaves;
    for (Ref node : interpreter.order()) {
        if (node->is(Op::Range) || node->is(Op::Variable))
            leaves.push_back(node);
        else if (!node->is(Op::Const) && !is_elementwise(node->op()))
            throw InternalError("differ_at: " + describe(node) + " has no value of its own");
    }
    std::vector<std::int64_t> point(leaves.size());
    const auto first = [&](std::size_t d) {
        return leaves[d]->is(Op::Range) ? 0 : leaves[d]->vmin();
    };
    const auto last = [&](std::size_t d) {
        if (!leaves[d]->is(Op::Range)) return leaves[d]->vmax();
        const Ref size = leaves[d]->src(0);
        if (size->is(Op::Const)) return size->arg(0) - 1;
        const auto at = std::find(leaves.begin(), leaves.end(), size);
        if (at == leaves.end())
            throw InternalError("differ_at: the size of " + describe(leaves[d]) +
                                " is no Variable");
        return point[static_cast<std::size_t>(at - leaves.begin())] - 1;
    };
    // Counts through all points, the last leaf fastest.
    std::size_t d = 0;
    std::vector<char> started(leaves.size());
    for (;;) {
        if (d == leaves.size()) {
            for (std::size_t i = 0; i < leaves.size(); ++i) interpreter.set(leaves[i], point[i]);
            interpreter.run();
            const bool counts = given == nullptr || interpreter.value(given).value_or(0) != 0;
            if (counts && interpreter.value(before) != interpreter.value(after))
                return values_text(interpreter) + outcome(interpreter, before, after);
            if (d == 0) return "";
            --d;
        }
        point[d] = started[d] ? point[d] + 1 : first(d);
        started[d] = 1;
        if (point[d] <= last(d)) {
            ++d;
        } else {
            started[d] = 0;
            if (d == 0) return "";
            --d;
        }
    }
}

}  // namespace sinter::ir
