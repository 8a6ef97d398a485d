#pragma once
// The schedule vocabulary: each transformation is a substitution on ranges of a kernel's graph.

#include <vector>

#include <sinter/codegen/schedule.h>

#include "rebuild.h"

namespace sinter::codegen {

/// Bytes of a thread's scratch that a schedule may ask for.
inline constexpr std::int64_t kMostScratch = 32 << 20;

/// Numbers that a step gives its new ranges; -1: any that is free.
struct NewNumbers {
    std::int64_t outer = -1, inner = -1;
};

/// A kernel's graph while it is being transformed, and what was done to it.
class Form {
public:
    Form(Arena& arena, Ref sink);

    Arena& arena() const { return arena_; }
    Ref sink() const { return sink_; }
    void set_sink(Ref sink) { sink_ = sink; }
    /// A range number that no node below the sink uses. Throws InternalError when all 64 are taken.
    std::int64_t fresh_number();
    /// That one, which is free; a fresh one for -1.
    std::int64_t take(std::int64_t number);
    bool is_used(std::int64_t number) const { return (used_ >> number & 1) != 0; }
    /// What was done so far.
    const std::vector<Step>& steps() const { return steps_; }
    void record(StepKind kind, std::vector<std::int64_t> operands = {});
    /// While one lives, nothing is recorded: what is done is part of a step that is.
    class Quiet {
    public:
        explicit Quiet(Form& form) : form_(form) { ++form_.quiet_; }
        ~Quiet() { --form_.quiet_; }
        Quiet(const Quiet&) = delete;
        Quiet& operator=(const Quiet&) = delete;

    private:
        Form& form_;
    };
    /// What others use already: bytes at the start of the thread's scratch, and ranges.
    void reserve(std::int64_t scratch_bytes, std::span<const Ref> ranges) {
        scratch_ = scratch_bytes;
        for (Ref r : ranges) used_ |= range_bit(r);
    }

    std::int64_t reserved_bytes() const { return scratch_; }

    struct Halves {
        Ref outer, inner;
    };
    /// r = outer * n + inner, for every use of r. Where n does not divide the size, loads, stores
    /// and reduces of r are masked by r < size, and the outer range is marked as ragged: its last
    /// trip differs.
    Halves split(Ref r, std::int64_t n, ir::Role outer, ir::Role inner, NewNumbers numbers = {});
    /// The same for a row of the memory `slot`, which is stored to along r: r = outer * n + inner
    /// less what lies between its first element and the line's begin, and the first trip differs as
    /// well.
    Halves split_lined(Ref r, std::int64_t n, ir::Role outer, ir::Role inner, std::int64_t slot,
                       NewNumbers numbers = {});
    /// The most elements that may lie between the line's begin and the row's; 0 for slot -1.
    std::int64_t head(Ref r, std::int64_t slot) const;
    /// The same where both halves run as r does and its quotient and remainder by n, which divides
    /// its size, index memory: these are the halves then.
    Halves divide(Ref r, std::int64_t n, NewNumbers numbers = {});
    /// r runs as `role`.
    Ref bind(Ref r, ir::Role role);
    /// One range in place of two, where every index uses them as outer * size(inner) + inner; null
    /// if some does not.
    Ref fuse(Ref outer, Ref inner);
    /// `value` is kept in the thread's scratch: computed once over the ranges of `over` for each
    /// trip of the others it depends on, and read from there by all that used it; side by side in
    /// the order of `over`, the last running fastest. A load keeps its mask. Gives the bytes of
    /// scratch used, with those reserved.
    /// Reductions named in `computing` go on computing the value themselves. Steps of all ranges
    /// but the last lie `padding` elements further apart.
    std::int64_t stage(Ref value, std::span<const Ref> over, std::span<const Ref> computing = {},
                       std::int64_t padding = 0);
    /// The same for a load, whose copy goes through the ranges over[first] … over[last - 1], which
    /// make one row of memory, as one range in unrolled blocks of `by`.
    struct Row {
        std::size_t first, last;
    };
    std::int64_t stage(Ref value, std::span<const Ref> over, Row row, int by);
    /// The copy that was made last goes through a range of its own in place of r, and gives it.
    Ref rename_in_copy(Ref r, std::int64_t number = -1);
    /// Where r is free it is `other`, of its size.
    void let(Ref r, Ref other);
    /// `into` in place of two ranges, of as many elements: they are its digits, outer first.
    void join(Ref outer, Ref inner, Ref into);
    /// Of a tile that a team of threads computes, `load` is kept in the team's scratch for `step`
    /// steps of the reduction at a time: rows are row * size(copy) + copy. The threads along `lane`
    /// copy neighbours in memory. Gives the bytes of scratch used.
    struct Tile {
        Ref row, copy, step;
    };
    std::int64_t share(Ref load, const Tile& tile, Ref lane);
    /// Unrolled ranges become copies of the code: of the stores they are free in, and of the
    /// accumulators of the reduces that close them. Copies of stores along
    /// `innermost`, if there, follow one another.
    void expand_unrolled(Ref innermost = nullptr);

private:
    // r = outer * n + inner - head, an index from 0 to below n.
    Halves split_from(Ref head, Ref r, std::int64_t n, ir::Role outer, ir::Role inner,
                      NewNumbers numbers);
    void append_value(std::vector<std::int64_t>& operands, Ref value) const;

    Arena& arena_;
    Ref sink_;
    std::uint64_t used_ = 0;
    std::int64_t scratch_ = 0;
    std::vector<Step> steps_;
    int quiet_ = 0;
};

/// The node that a step names: the n-th Load below the sink (`is_load`), or the n-th node, sources
/// before their users; null if there is none.
Ref named_value(Ref sink, bool is_load, std::int64_t n);

}  // namespace sinter::codegen
