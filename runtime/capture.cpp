#include <sinter/runtime/capture.h>

#include <algorithm>

#include <sinter/ir/error.h>

#include "execute.h"
#include "plan.h"
#include "scan.h"
#include "tape.h"

namespace sinter::runtime {
namespace {

thread_local Recorder* recorder = nullptr;

}  // namespace

Recording::Recording(Recorder& target) {
    if (recorder != nullptr) throw InternalError("a capture inside a capture");
    recorder = &target;
}
Recording::~Recording() { recorder = nullptr; }

Recorder* current_recorder() { return recorder; }

bool same_graph(const RecordedRun& a, const RecordedRun& b) {
    return a.plan == b.plan || a.plan->graph == b.plan->graph;
}

DType output_dtype(const RecordedRun& run, std::size_t root) {
    return run.plan->schedule.blocks[run.plan->schedule.outputs[root]].dtype;
}

bool owned_by(ir::Ref buffer, std::uint32_t handles) {
    return ir::UOp::share(buffer).use_count() - 1 == handles &&
           memory_behind(buffer).use_count() == 1;
}

Replay::Replay(std::vector<RecordedRun> runs, std::span<const std::int32_t> inputs,
               std::span<const Output> outputs, std::size_t externals)
    : runs_(std::move(runs)),
      externals_(externals),
      bytes_(externals, 0),
      overwrites_(externals, false),
      tape_(std::make_unique<Tape>()) {
    std::vector<std::vector<std::uint32_t>> results;  // values, by run and root
    std::size_t next_input = 0;
    std::uint32_t first_bind = 0;
    for (const RecordedRun& run : runs_) {
        const schedule::Schedule& schedule = run.plan->schedule;
        const std::span<const std::int32_t> mine = inputs.subspan(next_input, schedule.input_count);
        next_input += mine.size();
        std::vector<std::uint32_t> values;  // by block
        for (const schedule::Block& block : schedule.blocks) {
            switch (block.kind) {
                case schedule::Block::Kind::Input: {
                    const std::int32_t source = mine[static_cast<std::size_t>(block.node)];
                    const Output from =
                        source < 0 ? outputs[static_cast<std::size_t>(~source)] : Output{};
                    values.push_back(source < 0 ? results.at(from.run).at(from.root)
                                                : static_cast<std::uint32_t>(source));
                    break;
                }
                case schedule::Block::Kind::Output:
                    if (block.reuses >= 0) {
                        const std::uint32_t target = values[static_cast<std::size_t>(block.reuses)];
                        values.push_back(target);
                        if (target < externals_) overwrites_[target] = true;
                    } else {
                        values.push_back(new_value(static_cast<std::size_t>(block.numel) *
                                                   size_of(block.dtype)));
                    }
                    break;
                case schedule::Block::Kind::Temporary:
                    values.push_back(Tape::kScratch);
                    break;
            }
        }
        tape_->append(*run.plan, values, first_bind);
        first_bind += static_cast<std::uint32_t>(run.binds.size());
        std::vector<std::uint32_t>& made = results.emplace_back();
        for (const std::uint32_t block : schedule.outputs) made.push_back(values[block]);
    }
    for (const Output& output : outputs) outputs_.push_back(results.at(output.run).at(output.root));
    tape_->finish();
    binding_ = std::make_unique<Binding>(*tape_);
    made_.resize(bytes_.size());
    addresses_.resize(bytes_.size());
}

Replay::~Replay() = default;

std::uint32_t Replay::new_value(std::size_t bytes) {
    bytes_.push_back(bytes);
    return static_cast<std::uint32_t>(bytes_.size() - 1);
}

std::int64_t Replay::external_behind(std::size_t i) const {
    return outputs_[i] < externals_ ? static_cast<std::int64_t>(outputs_[i]) : -1;
}

void Replay::run(std::span<const ir::Ref> externals, std::span<const std::int64_t> binds) {
    std::shared_ptr<Memory> scratch;
    if (tape_->scratch_bytes() > 0)
        scratch = Memory::allocate(DeviceId::CPU, static_cast<std::size_t>(tape_->scratch_bytes()));
    for (std::size_t v = 0; v < externals_; ++v)
        addresses_[v] = memory_behind(externals[v])->data();
    for (std::size_t v = externals_; v < bytes_.size(); ++v) {
        made_[v] = Memory::allocate(DeviceId::CPU, bytes_[v]);
        addresses_[v] = made_[v]->data();
    }
    binding_->bind(addresses_, binds, scratch ? static_cast<std::byte*>(scratch->data()) : nullptr);
    try {
        binding_->run();
    } catch (...) {
        release();
        throw;
    }
    for (const RecordedRun& run : runs_) count_launches(*run.plan);
    for (const std::uint32_t v : outputs_)
        if (v < externals_) made_[v] = memory_behind(externals[v]);
}

void Replay::release() { std::ranges::fill(made_, nullptr); }

std::size_t Replay::launch_count() const { return tape_->launch_count(); }
std::size_t Replay::barrier_count() const { return tape_->barrier_count(); }

}  // namespace sinter::runtime
