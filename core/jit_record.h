#pragma once
// A capture as it is kept: where every operand of its runs comes from, and where results go.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sinter/runtime/capture.h>

#include "capture.h"

namespace sinter {

/// Where the value of a result or of a Tensor of the world comes from.
struct Source {
    enum class Kind : std::uint8_t {
        Undefined,
        External,  ///< memory that the replay was given
        Output,    ///< memory that it made
    };
    Kind kind = Kind::Undefined;
    std::uint32_t index = 0;
    friend bool operator==(const Source&, const Source&) = default;
};

/// What a replay goes by. Externals are numbered: arguments, then slots, then constants.
class Record {
public:
    /// From a capture that has ended: `arguments` are the ids of the Buffers that stood for them,
    /// `results` the Tensors of its result, in memory. Throws InternalError for a run whose
    /// operands are of unknown origin.
    Record(Capture& capture, std::span<const std::int64_t> arguments,
           std::span<Tensor* const> results);

    /// Whether both do the same to the same tensors, but for which memory is written in place.
    bool same(const Record& other) const;
    /// Whether the same Tensors shared memory with one another in both.
    bool same_sharing(const Record& other) const;

    /// Makes ready for replays; with `keep`, what is made of memory of the world alone stays from
    /// one to the next (runtime::Replay).
    void arm(bool keep);
    /// Finds everything where a replay needs it. `arguments` are Buffers. Returns null, or why the
    /// function itself has to run.
    const char* prepare(std::span<const ir::UOp> arguments);
    /// Forgets what prepare found.
    void drop();
    /// Runs what was prepared, and moves the Tensors of the world that the function writes. The
    /// results' Buffers; null for an undefined one.
    std::vector<ir::UOp> replay();

    std::size_t result_count() const { return results_.size(); }
    const runtime::Replay& runs() const { return *replay_; }

private:
    /// A Tensor of the world.
    struct Outside {
        Tensor* tensor;
        std::shared_ptr<Life> life;
        Capture::External::Kind kind;
        ir::UOp node;            // Lazy: the expression. Bind: the scalar it was
        std::uint32_t slot = 0;  // Memory: which; Bind: number among scalars
        bool written = false;
        Source last;  // written: what it becomes
    };
    /// Memory that Tensors of the world share.
    struct Slot {
        std::int64_t id;  // at the capture
        DType dtype{};
        ir::Shape shape;
        ir::UOp pinned;  // must be this Buffer still, since an expression refers to it
        std::vector<std::uint32_t> tensors;  // among outsides_
    };
    struct ScalarSource {
        enum class Kind : std::uint8_t { Constant, Host, Outside };
        Kind kind = Kind::Constant;
        std::int64_t bits = 0;  // Constant
        std::size_t index = 0;  // Host: of its bits; Outside: number among scalars
    };
    void take_outsides(Capture& capture);
    void pin_memory_of_expressions();
    void take_runs(Capture& capture);
    void take_scalars(const Capture& capture);
    void take_results(std::span<Tensor* const> results);
    Source source_of(const Tensor& tensor);
    std::uint32_t output_number(std::uint32_t run, std::uint32_t root);
    const char* prepare_outsides();
    const char* check_owners() const;

    std::vector<Outside> outsides_;
    std::vector<Slot> slots_;
    std::vector<ir::UOp> constants_;
    std::vector<std::int64_t> argument_ids_;
    std::vector<runtime::RecordedRun> runs_;
    std::vector<std::int32_t> inputs_;  // of all runs, as Replay takes them
    std::vector<runtime::Replay::Output> outputs_;
    struct Kept {
        DType dtype;
        ir::Shape shape;
    };
    std::vector<Kept> output_shapes_;
    std::vector<ScalarSource> scalars_;  // of all runs
    std::size_t outside_scalars_ = 0;
    std::vector<Source> results_;
    std::vector<Capture::Action> actions_;
    std::size_t host_bits_ = 0;
    bool reads_host_state_ = false;
    std::uint64_t host_epoch_ = 0;
    std::unique_ptr<runtime::Replay> replay_;

    // Of the call under way.
    std::vector<ir::UOp> held_;  // arguments
    std::vector<ir::Ref> externals_;
    std::vector<ir::Ref> scalar_nodes_;  // of the world
    std::vector<std::int64_t> bits_, binds_;
};

}  // namespace sinter
