#pragma once
// Capture of what realize() runs, and replay of it over other memory.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include <sinter/ir/uop.h>
#include <sinter/runtime/realize.h>

namespace sinter::runtime {

struct Plan;
class Tape;
class Binding;

/// One run of a plan, as realize() made it. Buffers are named by their ids, which are the
/// process's: a handle would keep memory from being written in place.
struct RecordedRun {
    std::shared_ptr<const Plan> plan;
    std::vector<std::int64_t> inputs;   ///< ids of Buffers
    std::vector<std::int64_t> outputs;  ///< ids of the Buffers made, by root
    std::vector<ir::UOp> binds;
    /// What the plan was made from: the graph's key, and which inputs may be written over.
    std::vector<std::int64_t> key;
    std::vector<bool> may_overwrite;
};

/// Whether two runs computed the same graph, whatever their inputs were and whichever of them could
/// be written over.
bool same_graph(const RecordedRun& a, const RecordedRun& b);
DType output_dtype(const RecordedRun& run, std::size_t root);

/// What the realizes of one thread did while a function was captured. In a capture, expressions
/// that were computed before, or elsewhere, are computed again: another call may find what they are
/// made of changed.
struct Recorder {
    /// Whether a Buffer that is not the output of a run so far belongs to somebody who may let go
    /// of it or write to it. All others are constants of the capture, and kept.
    std::function<bool(std::int64_t id)> is_state;

    std::vector<RecordedRun> runs;
    std::unordered_set<std::int64_t> made;  ///< ids of their outputs
    std::vector<ir::UOp> constants;  ///< Buffers that runs read, in the order of their first use
    std::string refusal;             ///< why the runs cannot be replayed; empty if they can
};

/// Makes realize() on this thread tell `recorder` of its runs, as long as this lives. Not nested.
class Recording {
public:
    explicit Recording(Recorder& recorder);
    ~Recording();
    Recording(const Recording&) = delete;
    Recording& operator=(const Recording&) = delete;
};
/// That of this thread, or null.
Recorder* current_recorder();

/// A recorded sequence of runs as one: one list of operands, one parallel region. What is made of
/// steady externals alone is kept, and made again when the memory of one of them is another, or was
/// written over.
class Replay {
public:
    /// The output `root` of run `run`.
    struct Output {
        std::uint32_t run, root;
    };
    /// `inputs` says by run and input, one after the other, which external it is (its number), or
    /// (with the sign bit set) which earlier output: ~position in `outputs`; `outputs` are those
    /// that anybody asks for. Binds of all runs follow one another. `steady` says by external that
    /// it seldom changes; those that a run writes over are taken not to be.
    Replay(std::vector<RecordedRun> runs, std::span<const std::int32_t> inputs,
           std::span<const Output> outputs, const std::vector<bool>& steady);
    ~Replay();
    Replay(const Replay&) = delete;
    Replay& operator=(const Replay&) = delete;

    /// Whether a run writes over this external: before run(), its Buffer may be nobody's else.
    bool overwrites(std::size_t external) const { return overwrites_[external]; }
    /// The external whose memory output i is, or -1.
    std::int64_t external_behind(std::size_t i) const;

    /// Runs all over the memory of these Buffers. One thread at a time. Throws IndexError and
    /// OutOfMemoryError; then nothing that is not written over has changed.
    void run(std::span<const ir::Ref> externals, std::span<const std::int64_t> binds);
    /// Memory of output i after run(), until release().
    const std::shared_ptr<Memory>& memory(std::size_t i) const { return made_[outputs_[i]]; }
    void release();

    /// Kernels of a run, and barriers between them, for tests; those that make what is kept apart.
    std::size_t launch_count() const;
    std::size_t barrier_count() const;
    std::size_t steady_launch_count() const;

private:
    void find_overwritten(std::span<const std::int32_t> inputs, std::span<const Output> outputs);
    std::shared_ptr<const Plan> steady_plan(const RecordedRun& run,
                                            std::span<const std::int32_t> inputs,
                                            const std::vector<bool>& steady) const;
    std::uint32_t new_value(std::size_t bytes, bool kept = false);
    void allocate();
    bool is_up_to_date(std::span<const ir::Ref> externals);
    void bind_and_run(Binding& binding, const Tape& tape, std::span<const std::int64_t> binds);

    std::vector<RecordedRun> runs_;
    std::size_t externals_;
    std::vector<std::size_t> bytes_;                  // by value: what a run allocates for it
    std::vector<std::uint32_t> outputs_;              // values
    std::vector<bool> kept_;                          // by value: from run to run
    std::vector<bool> overwrites_;                    // by external
    std::vector<std::shared_ptr<const Plan>> plans_;  // by run
    std::vector<std::uint32_t> overwritten_;          // externals
    std::vector<std::uint32_t> watched_;              // externals that kept values are made of
    std::vector<std::uint64_t> stamps_;               // of those when they were
    bool made_kept_ = false;
    std::unique_ptr<Tape> tape_, steady_tape_;
    std::unique_ptr<Binding> binding_, steady_binding_;
    std::vector<std::shared_ptr<Memory>> made_;  // by value
    std::vector<void*> addresses_;               // by value
};

/// Who owns a Buffer, and its memory: what overwrites() asks for is one owner for each handle
/// known.
bool owned_by(ir::Ref buffer, std::uint32_t handles);

}  // namespace sinter::runtime
