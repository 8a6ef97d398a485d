#include <sinter/runtime/capture.h>

#include <algorithm>
#include <set>
#include <utility>

#include <sinter/ir/env.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/allocator.h>

#include "execute.h"
#include "plan.h"
#include "scan.h"
#include "tape.h"

namespace sinter::runtime {
namespace {

thread_local Recorder* recorder = nullptr;

// What one replay may keep, of all the memory there is.
constexpr std::size_t kKeptPart = 4;

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
               std::span<const Output> outputs, const std::vector<bool>& steady)
    : runs_(std::move(runs)),
      externals_(steady.size()),
      bytes_(externals_, 0),
      kept_(externals_, false),
      overwrites_(externals_, false),
      tape_(std::make_unique<Tape>()),
      steady_tape_(std::make_unique<Tape>()) {
    find_overwritten(inputs, outputs);
    std::vector<std::vector<std::uint32_t>> results;  // values, by run and root
    std::set<std::uint32_t> watched;
    std::size_t next_input = 0;
    std::uint32_t first_bind = 0;
    for (const RecordedRun& run : runs_) {
        const std::span<const std::int32_t> mine = inputs.subspan(next_input, run.inputs.size());
        next_input += mine.size();
        const std::shared_ptr<const Plan> plan =
            plans_.emplace_back(steady_plan(run, mine, steady));
        const schedule::Schedule& schedule = plan->schedule;
        std::vector<std::uint32_t> values;  // by block
        for (const schedule::Block& block : schedule.blocks) {
            const std::size_t bytes = static_cast<std::size_t>(block.numel) * size_of(block.dtype);
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
                        values.push_back(new_value(bytes));
                    }
                    break;
                case schedule::Block::Kind::Temporary:
                    values.push_back(Tape::kScratch);
                    break;
                case schedule::Block::Kind::Kept:
                    values.push_back(new_value(bytes, true));
                    break;
            }
        }
        for (const schedule::Launch& launch : schedule.launches)
            for (const schedule::Segment& segment : launch.segments)
                for (const std::uint32_t b : segment.blocks)
                    if (launch.steady && schedule.blocks[b].kind == schedule::Block::Kind::Input)
                        watched.insert(values[b]);
        tape_->append(*plan, values, first_bind, Tape::Which::Others);
        steady_tape_->append(*plan, values, first_bind, Tape::Which::Steady);
        first_bind += static_cast<std::uint32_t>(run.binds.size());
        std::vector<std::uint32_t>& made = results.emplace_back();
        for (const std::uint32_t block : schedule.outputs) made.push_back(values[block]);
    }
    for (const Output& output : outputs) outputs_.push_back(results.at(output.run).at(output.root));
    watched_.assign(watched.begin(), watched.end());
    for (std::uint32_t v = 0; v < externals_; ++v)
        if (overwrites_[v]) overwritten_.push_back(v);
    tape_->finish();
    steady_tape_->finish();
    binding_ = std::make_unique<Binding>(*tape_);
    steady_binding_ = std::make_unique<Binding>(*steady_tape_);
    made_.resize(bytes_.size());
    addresses_.resize(bytes_.size());
}

Replay::~Replay() = default;

// Which externals the runs write over, by the plans that were recorded: these are not steady. Plans
// that know more of their inputs may find others that can be.
void Replay::find_overwritten(std::span<const std::int32_t> inputs,
                              std::span<const Output> outputs) {
    std::vector<std::vector<std::int32_t>> results;  // by run and root: the external, or -1
    for (const RecordedRun& run : runs_) {
        const schedule::Schedule& schedule = run.plan->schedule;
        std::vector<std::int32_t> behind;  // by block
        for (const schedule::Block& block : schedule.blocks) {
            std::int32_t external = -1;
            if (block.kind == schedule::Block::Kind::Input) {
                external = inputs[static_cast<std::size_t>(block.node)];
                if (external < 0) {
                    const Output& from = outputs[static_cast<std::size_t>(~external)];
                    external = results.at(from.run).at(from.root);
                }
            } else if (block.reuses >= 0) {
                external = behind[static_cast<std::size_t>(block.reuses)];
                if (external >= 0) overwrites_[static_cast<std::size_t>(external)] = true;
            }
            behind.push_back(external);
        }
        inputs = inputs.subspan(run.inputs.size());
        std::vector<std::int32_t>& made = results.emplace_back();
        for (const std::uint32_t block : schedule.outputs) made.push_back(behind[block]);
    }
}

// The run's plan, or one that keeps what is made of steady externals if there is such a thing and
// room for it.
std::shared_ptr<const Plan> Replay::steady_plan(const RecordedRun& run,
                                                std::span<const std::int32_t> inputs,
                                                const std::vector<bool>& steady) const {
    std::vector<bool> mine;
    for (const std::int32_t source : inputs) {
        const auto external = static_cast<std::size_t>(source);
        mine.push_back(source >= 0 && steady[external] && !overwrites_[external]);
    }
    if (std::ranges::find(mine, true) == mine.end() || ir::env::number("PACK") == 0)
        return run.plan;
    schedule::Normalised graph{run.key, std::vector<ir::Ref>(inputs.size(), nullptr), {}};
    for (const ir::UOp& bind : run.binds) graph.binds.push_back(bind.get());
    std::shared_ptr<const Plan> plan =
        PlanCache::instance().get(std::move(graph), run.may_overwrite, DeviceId::CPU, mine);
    std::size_t bytes = 0;
    for (const schedule::Block& block : plan->schedule.blocks)
        if (block.kind == schedule::Block::Kind::Kept)
            bytes += static_cast<std::size_t>(block.numel) * size_of(block.dtype);
    const bool keeps = std::ranges::any_of(plan->schedule.launches, &schedule::Launch::steady);
    const bool fits = bytes <= Allocator::defaults().limit / kKeptPart;
    return keeps && fits ? plan : run.plan;
}

std::uint32_t Replay::new_value(std::size_t bytes, bool kept) {
    bytes_.push_back(bytes);
    kept_.push_back(kept);
    return static_cast<std::uint32_t>(bytes_.size() - 1);
}

std::int64_t Replay::external_behind(std::size_t i) const {
    return outputs_[i] < externals_ ? static_cast<std::int64_t>(outputs_[i]) : -1;
}

void Replay::allocate() {
    for (std::size_t v = externals_; v < bytes_.size(); ++v) {
        if (!kept_[v] || !made_[v]) made_[v] = Memory::allocate(DeviceId::CPU, bytes_[v]);
        addresses_[v] = made_[v]->data();
    }
}

// Whether what is kept was made of what the externals are now; notes what they are.
bool Replay::is_up_to_date(std::span<const ir::Ref> externals) {
    bool same = std::exchange(made_kept_, true);
    stamps_.resize(watched_.size(), 0);
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        const std::uint64_t now = memory_behind(externals[watched_[i]])->stamp();
        same = same && now == stamps_[i] && now != 0;
        stamps_[i] = now;
    }
    return same;
}

void Replay::bind_and_run(Binding& binding, const Tape& tape, std::span<const std::int64_t> binds) {
    std::shared_ptr<Memory> scratch;
    if (tape.scratch_bytes() > 0)
        scratch = Memory::allocate(DeviceId::CPU, static_cast<std::size_t>(tape.scratch_bytes()));
    binding.bind(addresses_, binds, scratch ? static_cast<std::byte*>(scratch->data()) : nullptr);
    binding.run();
}

void Replay::run(std::span<const ir::Ref> externals, std::span<const std::int64_t> binds) {
    for (std::size_t v = 0; v < externals_; ++v)
        addresses_[v] = memory_behind(externals[v])->data();
    try {
        allocate();
        if (steady_tape_->launch_count() > 0 && !is_up_to_date(externals)) {
            bind_and_run(*steady_binding_, *steady_tape_, binds);
            for (const std::shared_ptr<const Plan>& plan : plans_)
                count_launches(*plan, Tape::Which::Steady);
        }
        if (!overwritten_.empty()) {
            std::uint64_t stamp = Memory::new_stamps(overwritten_.size());
            for (const std::uint32_t v : overwritten_)
                memory_behind(externals[v])->written_over(stamp++);
        }
        bind_and_run(*binding_, *tape_, binds);
    } catch (...) {
        made_kept_ = false;
        release();
        throw;
    }
    for (const std::shared_ptr<const Plan>& plan : plans_)
        count_launches(*plan, Tape::Which::Others);
    for (const std::uint32_t v : outputs_)
        if (v < externals_) made_[v] = memory_behind(externals[v]);
}

void Replay::release() {
    for (std::size_t v = 0; v < made_.size(); ++v)
        if (!kept_[v]) made_[v] = nullptr;
}

std::size_t Replay::steady_launch_count() const { return steady_tape_->launch_count(); }
std::size_t Replay::launch_count() const { return tape_->launch_count(); }
std::size_t Replay::barrier_count() const { return tape_->barrier_count(); }

}  // namespace sinter::runtime
