// The loops and branches that are open, what loops carry, and running values.

#include <algorithm>

#include <sinter/ir/error.h>

#include "combine.h"
#include "emitter.h"

namespace sinter::codegen {

void Emitter::open_loop(Value begin, Value end, bool may_be_empty) {
    Level level;
    level.loop = std::make_unique<Loop>();
    level.loop->begin = begin;
    level.loop->end = end;
    level.loop->may_be_empty = may_be_empty;
    level.block = &level.loop->body;
    levels_.push_back(std::move(level));
    Inst index{Code::LoopIndex};
    index.dtype = DType::Index;
    function_.insts.push_back(index);
    depth_.push_back(levels_.size() - 1);
    levels_.back().loop->index = static_cast<Value>(function_.insts.size() - 1);
}

Value Emitter::loop_index() const { return levels_.back().loop->index; }

Value Emitter::carry(Value init) {
    Level& level = levels_.back();
    Inst phi{Code::Phi};
    phi.dtype = dtype(init);
    phi.lanes = lanes(init);
    function_.insts.push_back(phi);
    depth_.push_back(levels_.size() - 1);
    const auto v = static_cast<Value>(function_.insts.size() - 1);
    level.carried.push_back(level.loop->carried.size());
    level.loop->carried.push_back({v, init, kNone});
    return v;
}

void Emitter::set_next(Value v) {
    Level& level = levels_.back();
    level.loop->carried[level.carried[level.set++]].next = v;
}

// The running values of a vector's lanes: each lane takes in the one 1, 2, 4, … before it.
Value Emitter::scan_lanes(ir::ReduceKind kind, Value v) {
    const DType dt = dtype(v);
    const Value neutral = constant(dt, ir::identity_bits(kind, dt), lanes_);
    Inst numbers{Code::Lanes};
    numbers.dtype = DType::Index;
    numbers.lanes = lanes_;
    numbers.imm = 1;
    const Value lane = push(numbers, 0);
    for (int by = 1; by < lanes_; by *= 2) {
        const Value has_one =
            arith(Op::Le, DType::Bool, {constant(DType::Index, by, lanes_), lane});
        v = combine(*this, kind, select(has_one, rotate(v, lanes_ - by), neutral), v);
    }
    return v;
}

Value Emitter::make_scan(Ref node) {
    const auto kind = static_cast<ir::ReduceKind>(node->arg(0));
    const bool in_lanes = vector_range_ != nullptr && node->src().back() == vector_range_;
    Value next = lookup(node->src(0))->front();
    if (in_lanes) next = scan_lanes(kind, splat(next, lanes_));
    const Ref walked = node->src(1);
    if (!walked->is(Op::Range) || walked == vector_range_) return next;  // of one trip
    std::size_t depth = 0;
    for (std::size_t d = 1; d < levels_.size(); ++d)
        if (levels_[d].loop != nullptr && (levels_[d].opened & range_bit(walked)) != 0) depth = d;
    if (depth == 0) throw InternalError("codegen: a scan outside the loop it walks");
    const Value init = constant(node->dtype(), ir::identity_bits(kind, node->dtype()), lanes(next));
    Inst phi{Code::Phi};
    phi.dtype = node->dtype();
    phi.lanes = lanes(next);
    function_.insts.push_back(phi);
    depth_.push_back(depth);
    const auto carried = static_cast<Value>(function_.insts.size() - 1);
    const Value running = combine(*this, kind, carried, next);
    // The next trip waits for one step alone: what the last lane has is known without the carry.
    const Value after =
        in_lanes ? combine(*this, kind, carried, splat(first(rotate(next, lanes_ - 1)), lanes_))
                 : running;
    if (depth_of(after) != depth) throw InternalError("codegen: a scan inside another loop");
    levels_[depth].loop->carried.push_back({carried, init, after});
    return running;
}

// What was filled in a level that ends is read after it.
Emitter::Level Emitter::take_level() {
    forget_level();
    Level level = std::move(levels_.back());
    levels_.pop_back();
    scratch_depth_ = std::min(scratch_depth_, levels_.size() - 1);
    return level;
}

std::vector<Value> Emitter::close_loop() {
    Level level = take_level();
    Loop& loop = *level.loop;
    for (const Loop::Carried& c : loop.carried) {
        Inst phi{Code::Phi};
        phi.dtype = dtype(c.phi);
        phi.lanes = lanes(c.phi);
        function_.insts.push_back(phi);
        depth_.push_back(levels_.size() - 1);
        loop.results.push_back(static_cast<Value>(function_.insts.size() - 1));
    }
    std::vector<Value> results;
    for (std::size_t i : level.carried) results.push_back(loop.results[i]);
    levels_.back().block->items.emplace_back(std::move(level.loop));
    return results;
}

void Emitter::open_if(Value condition) {
    Level level;
    level.branch = std::make_unique<If>();
    level.branch->condition = condition;
    level.block = &level.branch->then;
    levels_.push_back(std::move(level));
}

void Emitter::open_else() {
    forget_level();
    levels_.back().block = &levels_.back().branch->otherwise;
}

void Emitter::close_if() {
    Level level = take_level();
    levels_.back().block->items.emplace_back(std::move(level.branch));
}

}  // namespace sinter::codegen
