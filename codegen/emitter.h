#pragma once
// Puts instructions where they belong while loops are open: each value goes to the outermost loop
// it depends on.

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "linear.h"
#include "rebuild.h"

namespace sinter::codegen {

/// Memory that is written past the caches: all of it is too much for them.
struct Streamed {
    std::int64_t slot;
    bool end_to_end = false;  ///< in one walk, so that parts of a line meet
    bool late = false;        ///< what reads it next runs much later
    Ref size = nullptr;       ///< if not null: only where this index…
    std::int64_t least = 0;   ///< …is at least so much
    Value lined = kNone;      ///< the Lined of its stores, when it was made
};
/// What a store past the caches writes at once.
inline constexpr std::int64_t kLineBytes = 64;

class Emitter {
public:
    Emitter(Arena& arena, bool fma);

    Function& function() { return function_; }
    void set_vector(Ref range);
    std::uint16_t vector_lanes() const { return lanes_; }
    std::uint64_t open_ranges() const { return open_; }

    // --- values
    /// The value of a node of the graph, made if it is not known here. Reductions must have been
    /// defined.
    Value value(Ref node);
    bool known(Ref node) const;
    void define(Ref reduction, std::vector<Value> components);
    /// `range` has this value until the innermost open loop or branch closes.
    void bind(Ref range, Value value);

    Value constant(DType dtype, std::int64_t bits, std::uint16_t lanes);
    Value argument(Arg which);
    Value arith(Op op, DType dtype, std::initializer_list<Value> src, std::int64_t imm = 0);
    Value compare(Op op, Value a, Value b) { return arith(op, DType::Bool, {a, b}); }
    Value logic(Op op, Value a, Value b) { return arith(op, DType::Bool, {a, b}); }
    Value logic_not(Value a) { return arith(Op::Not, DType::Bool, {a}); }
    Value select(Value condition, Value a, Value b) {
        return arith(Op::Where, dtype(a), {condition, a, b});
    }
    Value splat(Value v, std::uint16_t lanes);
    Value rotate(Value v, int by);
    Value first(Value v);
    DType dtype(Value v) const { return function_.insts[static_cast<std::size_t>(v)].dtype; }
    std::uint16_t lanes(Value v) const {
        return function_.insts[static_cast<std::size_t>(v)].lanes;
    }

    bool is_constant(Value v, std::int64_t bits) const {
        const Inst& inst = function_.insts[static_cast<std::size_t>(v)];
        return inst.code == Code::Const && inst.imm == bits;
    }

    // --- effects, in the innermost open block
    void store(Ref store);
    /// Those of `stores` that write neighbours, by lanes that lie apart, are transposed and written
    /// by rows. Gives which they were.
    std::vector<bool> store_transposed(std::span<const Ref> stores);
    /// The thread's scratch has been filled by these stores: what reads it stays in this scope, and
    /// what was read there before is forgotten.
    void scratch_is_filled(std::span<const Ref> stores);
    /// What was in the thread's scratch before has been read.
    void scratch_is_free();
    /// Neither these nodes nor what was made of them is known any more.
    void forget(const std::function<bool(Ref)>& is_stale);
    /// Makes what `store` will write, so that nothing is read after other stores have been made.
    void prepare(Ref store);
    /// Finds loads below `roots` of as many neighbours as a vector has lanes, whose lanes lie
    /// apart: they will be read by rows, and transposed.
    void find_squares(std::span<const Ref> roots);
    /// Loads with small steps between their lanes are read as what they span.
    void read_spans() { spans_ = true; }
    /// Stores to this memory go past the caches.
    void stream(const Streamed& memory) { streamed_.push_back(memory); }
    /// Near memory is stored to: what is read of it is read in place.
    void updates(Ref memory) { updated_.push_back(memory); }
    /// While a range is set (null for none), loads in loops below here are accompanied by a
    /// prefetch of what the range's next trip will read in their place. Gives what was set before.
    struct Ahead {
        Ref range = nullptr;
        std::size_t depth = 0;
    };
    Ahead look_ahead(Ref range) { return look_ahead(Ahead{range, levels_.size() - 1}); }
    Ahead look_ahead(const Ahead& ahead) { return std::exchange(ahead_, ahead); }
    bool streams() const { return !streamed_.empty(); }
    /// Memory of this slot is larger than the near caches and read about once: where it is walked
    /// in order, a later place of it is fetched beside each load.
    void read_far(std::int64_t slot) { far_.push_back(slot); }
    /// Not while this is off: where several passes go over the same memory, little is done in each.
    bool fetch_far(bool on) { return std::exchange(fetches_far_, on); }
    /// What these values read of such memory, apart from reductions below them, is on its way from
    /// now on: there is time before they are computed.
    void fetch_for_later(std::span<const Ref> values);
    /// acc += a * b in one step where `value` is a product, the reduction a sum, and the target
    /// fuses; else false.
    bool accumulate_product(Ref reduction, Ref value, Value& acc, std::uint16_t lanes);

    /// An element (or as many as `lanes`, or `value`, says) of scratch memory, `offset` bytes and
    /// `index` elements from its begin.
    Value read_scratch(Arg memory, DType dtype, std::int64_t offset, Value index,
                       std::uint16_t lanes = 1);
    void write_scratch(Arg memory, std::int64_t offset, Value index, Value value);
    /// Says that `node` has its value from here on, in this scope.
    void define_here(Ref node);

    // --- loops and branches
    void open_loop(Value begin, Value end, bool may_be_empty);
    Value loop_index() const;
    /// A value of the innermost loop that starts as `init`; set_next gives, in the order of the
    /// calls, what the next trip starts with, and close_loop the values after the loop.
    Value carry(Value init);
    void set_next(Value v);
    std::vector<Value> close_loop();
    void open_if(Value condition);
    void open_else();
    void close_if();

private:
    struct Level {
        std::unique_ptr<Loop> loop;
        std::unique_ptr<If> branch;
        Block* block = nullptr;
        std::vector<Ref> made;  // known here and not outside
        std::uint64_t opened = 0;
        std::vector<std::size_t> carried;                             // of carry(), in order
        std::vector<std::tuple<Value, Value, std::int64_t>> fetched;  // memory, index, line
        std::size_t set = 0;
    };
    struct Known {
        std::vector<Value> values;
        bool valid = false;
    };
    struct Address {
        Access access = Access::Scalar;
        Value index = kNone;
        std::int64_t constant = 0;
        std::int64_t step = 0;
        // Divides all but the lane, and a constant apart.
        std::int64_t outer_align = 0, outer_constant = 0;
        std::int64_t align = 0;  // divides all but the constant
    };

    Value push(const Inst& inst, std::size_t depth);
    std::size_t depth_of(Value v) const {
        return v == kNone ? 0 : depth_[static_cast<std::size_t>(v)];
    }
    void remember(Ref node, std::vector<Value> values, std::size_t depth);
    void forget_level();
    Level take_level();
    bool waits_for_reduction(Ref index) const;
    bool is_vector(Ref node) const { return (node->ranges() & vector_mask_) != 0; }
    Value make(Ref node);
    Value make_load(Ref node);
    void make_square(std::span<const Ref> loads);
    std::int64_t lane_step(Ref index) const;
    void transpose(std::vector<Value>& rows, int block);
    void store_rows(std::span<const Ref> stores);
    Value mix(Value a, Value b, int distance, bool high);
    Value make_scan(Ref node);
    Value scan_lanes(ir::ReduceKind kind, Value v);
    Address address(Ref index);
    Value mask(Ref valid, Access access);
    Value streaming(Ref store, const Address& where);
    std::int64_t next_row(Ref load, const Inst& inst);
    void prefetch_far(Ref load, const Inst& inst, std::size_t depth);
    void prefetch(const Inst& load, std::int64_t elements);
    std::span<const Ref> needs(Ref node) const;
    const std::vector<Value>* lookup(Ref node) const;

    Arena& arena_;
    bool fma_;
    Function function_;
    std::vector<std::size_t> depth_;
    std::vector<Level> levels_;
    RefMap<Known> known_;
    std::map<std::tuple<DType, std::int64_t, std::uint16_t>, Value> constants_;
    Ref vector_range_ = nullptr;
    std::uint64_t vector_mask_ = 0;
    std::uint64_t open_ = 0;
    std::uint16_t lanes_ = 1;
    std::size_t scratch_depth_ = 0;
    std::vector<Streamed> streamed_;
    std::vector<std::int64_t> far_;
    bool fetches_far_ = true;
    std::vector<Ref> updated_;
    Ahead ahead_;
    bool spans_ = false;
    RefMap<std::shared_ptr<std::vector<Ref>>> squares_;  // of each load in one: its loads, in order
};

}  // namespace sinter::codegen
