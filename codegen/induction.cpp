#include "induction.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace sinter::codegen {
namespace {

using ir::Op;

constexpr std::size_t kMostCarried = 8;  // each takes a register
constexpr std::size_t kMostWalks = 2;    // of one sum; more share a register for it

// Calls with every instruction of the block, those of its branches included.
template <class Call>
void for_each_value(const Block& block, const Call& call) {
    for (const Item& item : block.items) {
        if (const auto* value = std::get_if<Value>(&item)) {
            call(*value);
        } else if (const auto* branch = std::get_if<std::unique_ptr<If>>(&item)) {
            for_each_value((*branch)->then, call);
            for_each_value((*branch)->otherwise, call);
        }
    }
}

bool has_loop(const Block& block) {
    return std::ranges::any_of(block.items, [](const Item& item) {
        if (const auto* branch = std::get_if<std::unique_ptr<If>>(&item))
            return has_loop((*branch)->then) || has_loop((*branch)->otherwise);
        return std::holds_alternative<std::unique_ptr<Loop>>(item);
    });
}

class Carrier {
public:
    explicit Carrier(Function& function) : function_(function) {}

    void block(Block& block) {
        std::vector<Item> items;
        for (Item& item : block.items) {
            if (auto* loop = std::get_if<std::unique_ptr<Loop>>(&item)) {
                if (has_loop((*loop)->body))
                    this->block((*loop)->body);
                else
                    carry(**loop, items);
            } else if (auto* branch = std::get_if<std::unique_ptr<If>>(&item)) {
                this->block((*branch)->then);
                this->block((*branch)->otherwise);
            }
            items.push_back(std::move(item));
        }
        block.items = std::move(items);
    }

private:
    Inst& inst(Value v) { return function_.insts[static_cast<std::size_t>(v)]; }

    bool is_constant(Value v) { return inst(v).code == Code::Const; }

    // By how much `v` grows from trip to trip: 0 for what stays, nothing for the rest.
    std::optional<std::int64_t> step_of(Value v) {
        if (const auto known = steps_.find(v); known != steps_.end()) return known->second;
        if (inside_.contains(v)) return std::nullopt;
        return 0;
    }

    std::optional<std::int64_t> step_of(const Inst& i) {
        const bool sum = i.op == Op::Add || i.op == Op::Sub || i.op == Op::Mul;
        if (i.code != Code::Arith || !sum || i.dtype != DType::Index || i.lanes != 1)
            return std::nullopt;
        const auto a = step_of(i.src[0]), b = step_of(i.src[1]);
        if (!a || !b || (*a == 0 && *b == 0)) return std::nullopt;
        std::int64_t step = 0;
        bool too_large = false;
        if (i.op == Op::Add)
            too_large = __builtin_add_overflow(*a, *b, &step);
        else if (i.op == Op::Sub)
            too_large = __builtin_sub_overflow(*a, *b, &step);
        else if (is_constant(i.src[1]))
            too_large = __builtin_mul_overflow(*a, inst(i.src[1]).imm, &step);
        else if (is_constant(i.src[0]))
            too_large = __builtin_mul_overflow(*b, inst(i.src[0]).imm, &step);
        if (too_large || step == 0) return std::nullopt;
        return step;
    }

    Value add_inst(Inst i) {
        function_.insts.push_back(i);
        return static_cast<Value>(function_.insts.size() - 1);
    }

    Value constant(std::int64_t bits) {
        Inst i{Code::Const};
        i.dtype = DType::Index;
        i.imm = bits;
        return add_inst(i);
    }

    // `v` in the first trip.
    Value at_begin(const Loop& loop, Value v, std::vector<Item>& before) {
        if (v == loop.index) return loop.begin;
        if (!steps_.contains(v)) return v;
        Inst i = inst(v);
        const Value a = at_begin(loop, i.src[0], before), b = at_begin(loop, i.src[1], before);
        const auto is = [&](Value x, std::int64_t bits) {
            return is_constant(x) && inst(x).imm == bits;
        };
        if (i.op == Op::Mul && (is(a, 0) || is(b, 0))) return constant(0);
        if (i.op == Op::Mul && is(b, 1)) return a;
        if (i.op != Op::Mul && is(b, 0)) return a;
        if (i.op == Op::Add && is(a, 0)) return b;
        i.src[0] = a;
        i.src[1] = b;
        before.emplace_back(add_inst(i));
        return std::get<Value>(before.back());
    }

    void carry(Loop& loop, std::vector<Item>& before) {
        inside_.clear();
        steps_.clear();
        for_each_value(loop.body, [&](Value v) { inside_.insert(v); });
        for (const Loop::Carried& c : loop.carried) inside_.insert(c.phi);
        inside_.insert(loop.index);
        steps_[loop.index] = 1;
        std::vector<Value> sums;
        for (const Item& item : loop.body.items) {
            const auto* v = std::get_if<Value>(&item);
            if (v == nullptr) continue;
            if (const auto step = step_of(inst(*v))) {
                steps_[*v] = *step;
                sums.push_back(*v);
            }
        }
        std::set<Value> used;  // by other than sums
        for_each_value(loop.body, [&](Value v) {
            if (steps_.contains(v)) return;
            for (Value s : inst(v).src) used.insert(s);
        });
        for (const Loop::Carried& c : loop.carried) used.insert(c.next);
        if (std::ranges::count_if(sums, [&](Value v) { return used.contains(v); }) >
            static_cast<std::ptrdiff_t>(kMostCarried))
            return;
        std::erase_if(loop.body.items, [&](const Item& item) {
            const auto* v = std::get_if<Value>(&item);
            return v != nullptr && std::ranges::find(sums, *v) != sums.end();
        });
        const bool reads_only = only_reads(loop.body);
        std::vector<std::pair<Value, Value>> inits;  // made while the sums are what they were
        for (Value v : sums)
            if (used.contains(v)) inits.emplace_back(v, at_begin(loop, v, before));
        for (const auto& [v, init] : inits) {
            if (const std::vector<Walk> walks = walks_by(loop.body, v);
                reads_only && !walks.empty() && walks.size() <= kMostWalks)
                for (const Walk& walk : walks) carry_memory(loop, walk, init, steps_.at(v), before);
            else
                carry_sum(loop, v, init);
        }
        if (!inits.empty() && !used.contains(loop.index)) count_by_last(loop, before);
    }

    void carry_sum(Loop& loop, Value sum, Value init) {
        Inst more{Code::Arith};
        more.op = Op::Add;
        more.dtype = DType::Index;
        more.src[0] = sum;
        more.src[1] = constant(steps_.at(sum));
        inst(sum) = Inst{Code::Phi};
        inst(sum).dtype = DType::Index;
        loop.body.items.emplace_back(add_inst(more));
        loop.carried.push_back({sum, init, std::get<Value>(loop.body.items.back())});
        loop.results.push_back(kNone);
        last_step_ = steps_.at(sum);
    }

    // Memory that is read from a place that moves on: addresses of one register each.
    struct Walk {
        Value memory;
        DType dtype;
        std::vector<Value> reads;
    };

    // What is read at `sum`; nothing if it is used for other things as well.
    std::vector<Walk> walks_by(const Block& body, Value sum) {
        std::vector<Walk> walks;
        bool others = false;
        for_each_value(body, [&](Value v) {
            const Inst& i = inst(v);
            if (std::ranges::find(i.src, sum) == std::end(i.src)) return;
            if ((i.code != Code::Load && i.code != Code::Prefetch) || i.src[1] != sum ||
                inside_.contains(i.src[0])) {
                others = true;
                return;
            }
            auto walk = std::ranges::find_if(
                walks, [&](const Walk& w) { return w.memory == i.src[0] && w.dtype == i.dtype; });
            if (walk == walks.end()) walk = walks.insert(walk, {i.src[0], i.dtype, {}});
            walk->reads.push_back(v);
        });
        if (others) walks.clear();
        return walks;
    }

    bool only_reads(const Block& body) {
        bool reads = true;
        for_each_value(body, [&](Value v) {
            const Code code = inst(v).code;
            reads = reads && code != Code::Store && code != Code::Check;
        });
        return reads;
    }

    Value address(Value memory, Value index, std::int64_t elements, DType dtype) {
        Inst i{Code::Address};
        i.dtype = dtype;
        i.src[0] = memory;
        i.src[1] = index;
        i.imm = elements;
        return add_inst(i);
    }

    void carry_memory(Loop& loop, const Walk& walk, Value index, std::int64_t step,
                      std::vector<Item>& before) {
        const Value init = address(walk.memory, index, 0, walk.dtype),
                    place = add_inst(Inst{Code::Phi}),
                    next = address(place, kNone, step, walk.dtype);
        for (Value v : walk.reads) {
            inst(v).src[0] = place;
            inst(v).src[1] = kNone;
        }
        before.emplace_back(init);
        loop.body.items.emplace_back(next);
        loop.carried.push_back({place, init, next});
        loop.results.push_back(kNone);
        last_step_ = step;
    }

    // The value carried last says when the loop ends.
    void count_by_last(Loop& loop, std::vector<Item>& before) {
        if (last_step_ < 0 || !is_constant(loop.begin) || !is_constant(loop.end)) return;
        const Loop::Carried& last = loop.carried.back();
        const std::int64_t way = (inst(loop.end).imm - inst(loop.begin).imm) * last_step_;
        const Inst& next = inst(last.next);
        if (next.code == Code::Address) {
            loop.until = address(last.init, kNone, way, next.dtype);
        } else {
            Inst until = next;
            until.src[0] = last.init;
            until.src[1] = constant(way);
            loop.until = add_inst(until);
        }
        before.emplace_back(loop.until);
    }

    Function& function_;
    std::set<Value> inside_;               // what the loop makes
    std::map<Value, std::int64_t> steps_;  // of sums of the loop's index
    std::int64_t last_step_ = 0;           // of what is carried last
};

}  // namespace

void carry_indices(Function& function) { Carrier(function).block(function.body); }

}  // namespace sinter::codegen
