#include "capture.h"

#include <mutex>

#include <sinter/runtime/realize.h>

#include "call.h"
#include "leaf.h"

namespace sinter {

thread_local constinit Capture* Capture::current_ = nullptr;

namespace {

/// Lives by Tensor: of those that a captured function reads or writes.
struct Watches {
    std::mutex mutex;
    std::unordered_map<const Tensor*, std::shared_ptr<Life>> lives;
};
Watches& watches() {
    // Never destroyed: Tensors that are globals end after main.
    static Watches& all = *new Watches;
    return all;
}

}  // namespace

std::shared_ptr<Life> watch(Tensor& tensor) {
    const std::lock_guard lock(watches().mutex);
    std::shared_ptr<Life>& life = watches().lives[&tensor];
    if (!life) life = std::make_shared<Life>();
    TensorAccess::watch(tensor);
    return life;
}

void Tensor::end_watch() noexcept {
    const std::lock_guard lock(watches().mutex);
    const auto found = watches().lives.find(this);
    if (found == watches().lives.end()) return;
    found->second->over.store(true, std::memory_order_release);
    watches().lives.erase(found);
}

void TensorAccess::move_to(Tensor& t, ir::UOp buffer) {
    t.device_ = static_cast<std::int32_t>(buffer->arg(1));
    t.handle() = std::move(buffer);
    if (t.leaf_) t.leaf_->move_to(t.handle());
}

Capture::Capture() {
    recorder.is_state = [this](std::int64_t id) { return state_.contains(id); };
}

Capture::Scope::Scope(Capture& capture) : recording_(capture.recorder) { current_ = &capture; }
Capture::Scope::~Scope() { current_ = nullptr; }

Capture::External& Capture::external(const Tensor& t) {
    const auto [place, fresh] = known_.try_emplace(&t, externals.size());
    // A Tensor is the world's to change: the function is given it, and may.
    if (fresh)
        externals.push_back(
            {const_cast<Tensor*>(&t), External::Kind::Unread, 0, {}, false, {}, {}});
    return externals[place->second];
}

void Capture::reads(const Tensor& t) {
    if (born_.contains(&t) || known_.contains(&t)) return;
    External& e = external(t);
    const UOp& node = TensorAccess::handle(t);
    // Other expressions stay expressions where they have been computed: see Recorder.
    const UOp buffer = node && (node->is(ir::Op::Buffer) || node->is(ir::Op::Assign))
                           ? runtime::realized(node)
                           : UOp();
    if (!node) {
        e.kind = External::Kind::Undefined;
    } else if (buffer) {
        e.kind = External::Kind::Memory;
        e.id = buffer->arg(0);
        e.dtype = buffer->dtype();
        e.shape.assign(buffer->shape().begin(), buffer->shape().end());
        add_state(e.id);
    } else {
        e.kind = node->is(ir::Op::Bind) ? External::Kind::Bind : External::Kind::Lazy;
        e.node = node;
    }
}

void Capture::writes(Tensor& t) {
    if (!born_.contains(&t)) external(t).written = true;
}

void Capture::destroyed(const Tensor* t) {
    if (born_.erase(t) != 0) return;
    if (known_.contains(t)) refuse("it destroys a tensor that it did not make");
    known_.erase(t);
    for (External& e : externals)
        if (e.tensor == t) e.tensor = nullptr;
}

std::int64_t Capture::new_id() {
    static std::atomic<std::int64_t> next{1};
    return next.fetch_add(1, std::memory_order_relaxed);
}

Capture::HostBind Capture::new_host_bind() {
    const HostBind bind{new_id(), host_bits++};
    host_binds.emplace(bind.id, bind.index);
    return bind;
}

void Capture::refuse(std::string reason) {
    if (recorder.refusal.empty()) recorder.refusal = std::move(reason);
}

void require_no_capture(std::string_view what) {
    if (Capture::current() == nullptr) return;
    fail<ValueError>(std::string(what) +
                     " inside a function captured by jit: the value would be that of this call "
                     "alone; return the tensor and read it outside");
}

}  // namespace sinter
