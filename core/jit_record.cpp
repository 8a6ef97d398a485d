#include "jit_record.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include <sinter/ir/arena.h>
#include <sinter/ir/error.h>
#include <sinter/runtime/realize.h>

#include "call.h"
#include "host_state.h"
#include "leaf.h"

namespace sinter {
namespace {

using Kind = Capture::External::Kind;

// The Buffer that a Tensor with this node reads from, without a handle; null for an expression.
ir::Ref buffer_of(ir::Ref node) {
    if (node->is(ir::Op::Buffer)) return node;
    if (!node->is(ir::Op::Assign)) return nullptr;
    const auto* done = static_cast<const runtime::Realized*>(node->attachment());
    return done == nullptr ? nullptr : done->on(runtime::DeviceId::CPU);
}

bool fits(ir::Ref buffer, DType dtype, const ir::Shape& shape) {
    return buffer->dtype() == dtype && std::ranges::equal(buffer->shape(), shape) &&
           buffer->arg(1) == static_cast<std::int64_t>(runtime::DeviceId::CPU);
}

}  // namespace

// --- from a capture

Record::Record(Capture& capture, std::span<const std::int64_t> arguments,
               std::span<Tensor* const> results)
    : constants_(capture.recorder.constants),
      argument_ids_(arguments.begin(), arguments.end()),
      actions_(std::move(capture.actions)),
      host_bits_(capture.host_bits),
      reads_host_state_(capture.host_state_read),
      host_epoch_(host_epoch()) {
    take_outsides(capture);
    pin_memory_of_expressions();
    take_runs(capture);
    take_scalars(capture);
    take_results(results);
}

void Record::arm(bool keep) {
    std::vector<bool> steady(argument_ids_.size(), false);
    steady.resize(argument_ids_.size() + slots_.size() + constants_.size(), keep);
    replay_ = std::make_unique<runtime::Replay>(runs_, inputs_, outputs_, steady);
}

void Record::take_outsides(Capture& capture) {
    std::unordered_map<ir::Ref, std::uint32_t> scalars;
    std::unordered_map<std::int64_t, std::uint32_t> known;  // slots by id
    for (Capture::External& e : capture.externals) {
        Outside outside{e.tensor, watch(*e.tensor), e.kind, std::move(e.node), 0, e.written, {}};
        if (e.kind == Kind::Memory) {
            const auto [slot, fresh] =
                known.try_emplace(e.id, static_cast<std::uint32_t>(slots_.size()));
            outside.slot = slot->second;
            if (fresh) slots_.push_back({e.id, e.dtype, std::move(e.shape), {}, {}});
            slots_[outside.slot].tensors.push_back(static_cast<std::uint32_t>(outsides_.size()));
        } else if (e.kind == Kind::Bind) {
            outside.slot =
                scalars.try_emplace(outside.node.get(), static_cast<std::uint32_t>(scalars.size()))
                    .first->second;
        }
        outsides_.push_back(std::move(outside));
    }
    outside_scalars_ = scalars.size();
}

// What an expression of the world is made of stays what it is, whatever becomes of the Tensors.
void Record::pin_memory_of_expressions() {
    std::vector<ir::Ref> expressions;
    for (const Outside& o : outsides_)
        if (o.kind == Kind::Lazy) expressions.push_back(o.node.get());
    if (expressions.empty()) return;
    for (ir::Ref node : ir::toposort(expressions)) {
        ir::Ref buffer = buffer_of(node);
        if (buffer == nullptr) continue;
        for (Slot& slot : slots_)
            if (slot.id == buffer->arg(0)) slot.pinned = UOp::share(buffer);
    }
}

std::uint32_t Record::output_number(std::uint32_t run, std::uint32_t root) {
    for (std::size_t i = 0; i < outputs_.size(); ++i)
        if (outputs_[i].run == run && outputs_[i].root == root)
            return static_cast<std::uint32_t>(i);
    outputs_.push_back({run, root});
    output_shapes_.push_back({runtime::output_dtype(runs_[run], root), {}});
    return static_cast<std::uint32_t>(outputs_.size() - 1);
}

void Record::take_runs(Capture& capture) {
    runs_ = std::move(capture.recorder.runs);
    std::unordered_map<std::int64_t, std::int32_t> externals;  // by id
    std::unordered_map<std::int64_t, runtime::Replay::Output> made;
    std::int32_t next = 0;
    for (const std::int64_t id : argument_ids_) externals.emplace(id, next++);
    for (const Slot& slot : slots_) externals.emplace(slot.id, next++);
    for (const UOp& constant : constants_) externals.emplace(constant->arg(0), next++);
    for (std::uint32_t r = 0; r < runs_.size(); ++r) {
        for (const std::int64_t id : runs_[r].inputs) {
            if (const auto e = externals.find(id); e != externals.end()) {
                inputs_.push_back(e->second);
                continue;
            }
            const auto o = made.find(id);
            if (o == made.end())
                throw InternalError("jit: a kernel reads memory of unknown origin");
            inputs_.push_back(
                ~static_cast<std::int32_t>(output_number(o->second.run, o->second.root)));
        }
        for (std::uint32_t root = 0; root < runs_[r].outputs.size(); ++root)
            made.emplace(runs_[r].outputs[root], runtime::Replay::Output{r, root});
    }
}

void Record::take_scalars(const Capture& capture) {
    for (const runtime::RecordedRun& run : runs_)
        for (const UOp& bind : run.binds) {
            ScalarSource source;
            source.bits = bind->arg(0);
            if (const auto host = capture.host_binds.find(bind->arg(1));
                host != capture.host_binds.end()) {
                source = {ScalarSource::Kind::Host, 0, host->second};
            } else {
                for (const Outside& o : outsides_)
                    if (o.kind == Kind::Bind && o.node == bind)
                        source = {ScalarSource::Kind::Outside, 0, o.slot};
            }
            scalars_.push_back(source);
        }
}

void Record::take_results(std::span<Tensor* const> results) {
    for (Tensor* t : results) results_.push_back(source_of(*t));
    for (Outside& o : outsides_)
        if (o.written) o.last = source_of(*o.tensor);
}

Source Record::source_of(const Tensor& tensor) {
    const UOp& node = TensorAccess::handle(tensor);
    if (!node) return {};
    const std::int64_t id = node->arg(0);  // a Buffer's
    for (std::uint32_t r = 0; r < runs_.size(); ++r)
        for (std::uint32_t root = 0; root < runs_[r].outputs.size(); ++root)
            if (runs_[r].outputs[root] == id) {
                const std::uint32_t i = output_number(r, root);
                output_shapes_[i].shape.assign(node->shape().begin(), node->shape().end());
                return {Source::Kind::Output, i};
            }
    std::uint32_t external = 0;
    for (const std::int64_t argument : argument_ids_) {
        if (argument == id) return {Source::Kind::External, external};
        ++external;
    }
    for (const Slot& slot : slots_) {
        if (slot.id == id) return {Source::Kind::External, external};
        ++external;
    }
    for (const UOp& constant : constants_) {
        if (constant == node) return {Source::Kind::External, external};
        ++external;
    }
    constants_.push_back(node);
    return {Source::Kind::External, external};
}

// --- comparing

bool Record::same(const Record& other) const {
    if (outsides_.size() != other.outsides_.size() || slots_.size() != other.slots_.size() ||
        constants_.size() != other.constants_.size() || runs_.size() != other.runs_.size() ||
        inputs_ != other.inputs_ || scalars_.size() != other.scalars_.size() ||
        results_ != other.results_ || actions_.size() != other.actions_.size())
        return false;
    for (std::size_t i = 0; i < runs_.size(); ++i)
        if (!runtime::same_graph(runs_[i], other.runs_[i])) return false;
    for (std::size_t i = 0; i < outsides_.size(); ++i) {
        const Outside &a = outsides_[i], &b = other.outsides_[i];
        if (a.tensor != b.tensor || a.kind != b.kind || a.slot != b.slot ||
            a.written != b.written || !(a.last == b.last) ||
            (a.kind == Kind::Lazy && !(a.node == b.node)))
            return false;
    }
    for (std::size_t i = 0; i < scalars_.size(); ++i) {
        const ScalarSource &a = scalars_[i], &b = other.scalars_[i];
        if (a.kind != b.kind || a.index != b.index || a.bits != b.bits) return false;
    }
    for (std::size_t i = 0; i < constants_.size(); ++i) {
        const UOp &a = constants_[i], &b = other.constants_[i];
        if (a == b) continue;
        if (a->dtype() != b->dtype() || !std::ranges::equal(a->shape(), b->shape())) return false;
        const std::size_t bytes = static_cast<std::size_t>(a->numel()) * size_of(a->dtype());
        if (bytes != 0 &&
            std::memcmp(runtime::memory_of(a).data(), runtime::memory_of(b).data(), bytes) != 0)
            return false;
    }
    return true;
}

bool Record::same_sharing(const Record& other) const {
    return std::ranges::equal(outsides_, other.outsides_, [](const Outside& a, const Outside& b) {
        return a.tensor == b.tensor && a.kind == b.kind && a.slot == b.slot;
    });
}

// --- replay

const char* Record::prepare(std::span<const ir::UOp> arguments) {
    if (reads_host_state_ && host_epoch_ != host_epoch())
        return "a module's mode changed: the function runs once more";
    held_.assign(arguments.begin(), arguments.end());
    externals_.clear();
    for (const UOp& argument : held_) externals_.push_back(argument.get());
    externals_.resize(held_.size() + slots_.size(), nullptr);
    scalar_nodes_.assign(outside_scalars_, nullptr);
    if (const char* reason = prepare_outsides()) return reason;
    for (const UOp& constant : constants_) externals_.push_back(constant.get());
    return check_owners();
}

const char* Record::prepare_outsides() {
    ir::Ref* const slots = externals_.data() + held_.size();
    for (const Outside& o : outsides_) {
        if (o.life->over.load(std::memory_order_acquire))
            return "a tensor that the function refers to is gone";
        ir::Ref node = TensorAccess::handle(*o.tensor).get();
        switch (o.kind) {
            case Kind::Unread:
                break;
            case Kind::Undefined:
                if (node != nullptr) return "a tensor was given its first value";
                break;
            case Kind::Lazy:
                if (node != o.node.get()) return "a tensor became another expression";
                break;
            case Kind::Bind: {
                if (node == nullptr || !node->is(ir::Op::Bind) ||
                    node->dtype() != o.node->dtype() ||
                    !std::ranges::equal(node->shape(), o.node->shape()) || node->arg(1) != 0)
                    return "a scalar became something else";
                ir::Ref& known = scalar_nodes_[o.slot];
                if (known != nullptr && known != node) return "scalars that were equal are not";
                known = node;
                break;
            }
            case Kind::Memory: {
                if (node == nullptr) return "a tensor has no value any more";
                ir::Ref buffer = buffer_of(node);
                if (buffer == nullptr) return "a tensor became an expression";
                const Slot& slot = slots_[o.slot];
                if (!fits(buffer, slot.dtype, slot.shape))
                    return "a tensor has another shape, dtype or device";
                ir::Ref& known = slots[o.slot];
                if (known != nullptr && known != buffer)
                    return "tensors that shared memory do not any more";
                if (slot.pinned && slot.pinned.get() != buffer)
                    return "a tensor moved that an expression refers to";
                if (node != buffer && replay_->overwrites(held_.size() + o.slot))
                    return "a tensor's value is also that of an expression";
                known = buffer;
                break;
            }
        }
    }
    return nullptr;
}

// What is written over belongs to the Tensors that are meant, and to nobody else.
const char* Record::check_owners() const {
    for (std::size_t s = 0; s < slots_.size(); ++s) {
        const std::size_t external = held_.size() + s;
        if (!replay_->overwrites(external)) continue;
        ir::Ref buffer = externals_[external];
        std::uint32_t handles = 0;
        const Leaf* counted = nullptr;
        for (const std::uint32_t i : slots_[s].tensors) {
            ++handles;
            const Leaf* leaf = TensorAccess::leaf(*outsides_[i].tensor);
            if (leaf != nullptr && leaf != counted && leaf->is_at(buffer)) {
                counted = leaf;
                ++handles;
            }
        }
        if (!runtime::owned_by(buffer, handles))
            return "somebody keeps a value that is written over";
    }
    return nullptr;
}

void Record::drop() {
    held_.clear();
    externals_.clear();
}

std::vector<ir::UOp> Record::replay() {
    bits_.resize(host_bits_);
    for (const Capture::Action& action : actions_) action(bits_.data());
    binds_.clear();
    for (const ScalarSource& s : scalars_)
        binds_.push_back(s.kind == ScalarSource::Kind::Constant ? s.bits
                         : s.kind == ScalarSource::Kind::Host   ? bits_[s.index]
                                                                : scalar_nodes_[s.index]->arg(0));
    replay_->run(externals_, binds_);

    std::vector<UOp> made(outputs_.size());
    const auto value = [&](const Source& source) -> UOp {
        switch (source.kind) {
            case Source::Kind::Undefined:
                return {};
            case Source::Kind::External:
                return UOp::share(externals_[source.index]);
            case Source::Kind::Output:
                break;
        }
        UOp& node = made[source.index];
        if (!node) {
            const Kept& kept = output_shapes_[source.index];
            node = runtime::make_buffer(kept.dtype, kept.shape, replay_->memory(source.index));
        }
        return node;
    };
    std::vector<UOp> results;
    results.reserve(results_.size());
    for (const Source& source : results_) results.push_back(value(source));
    std::vector<std::pair<Tensor*, UOp>> moves;
    for (const Outside& o : outsides_) {
        if (!o.written) continue;
        const std::int64_t own =
            o.kind == Kind::Memory ? static_cast<std::int64_t>(held_.size() + o.slot) : -2;
        const bool stays = o.last.kind == Source::Kind::External
                               ? o.last.index == own
                               : o.last.kind == Source::Kind::Output &&
                                     replay_->external_behind(o.last.index) == own;
        if (!stays) moves.emplace_back(o.tensor, value(o.last));
    }
    for (auto& [tensor, node] : moves) {
        if (node)
            TensorAccess::move_to(*tensor, std::move(node));
        else
            TensorAccess::handle(*tensor) = UOp();
    }
    replay_->release();
    drop();
    return results;
}

}  // namespace sinter
