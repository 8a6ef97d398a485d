#include "leaf.h"

#include <map>
#include <mutex>

#include <sinter/autograd.h>
#include <sinter/create.h>
#include <sinter/elementwise.h>
#include <sinter/runtime/realize.h>

#include "call.h"

namespace sinter {
namespace {

/// Leaves by number. Weak: a Leaf lives as long as a Tensor that has it.
struct Registry {
    std::mutex mutex;
    std::map<std::uint64_t, std::weak_ptr<Leaf>> leaves;
    std::uint64_t next = 0;
};

Registry& registry() {
    // Never destroyed: Tensors that are globals end after main.
    static Registry& instance = *new Registry;
    return instance;
}

}  // namespace

std::shared_ptr<Leaf> Leaf::make(ir::UOp node) {
    std::shared_ptr<Leaf> leaf(new Leaf(std::move(node)));
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    leaf->number_ = r.next++;
    r.leaves.emplace(leaf->number_, leaf);
    return leaf;
}

Leaf::~Leaf() {
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    r.leaves.erase(number_);
}

std::vector<std::shared_ptr<Leaf>> Leaf::all() {
    std::vector<std::shared_ptr<Leaf>> living;
    Registry& r = registry();
    const std::lock_guard lock(r.mutex);
    for (const auto& [number, leaf] : r.leaves) {
        if (auto alive = leaf.lock()) living.push_back(std::move(alive));
    }
    return living;
}

ir::UOp Leaf::node() const {
    const std::lock_guard lock(registry().mutex);
    // As Tensor::node(): an assignment that has run is the memory it wrote.
    if (node_->is(ir::Op::Assign)) {
        if (ir::UOp buffer = runtime::realized(node_)) return buffer;
    }
    return node_;
}

bool Leaf::is_at(ir::Ref node) const {
    const std::lock_guard lock(registry().mutex);
    return node_.get() == node;
}

void Leaf::move_to(ir::UOp node) {
    // The old node is freed outside the lock: what hangs on it may be large.
    const std::lock_guard lock(registry().mutex);
    std::swap(node_, node);
}

Tensor Leaf::gradient() const {
    const std::lock_guard lock(registry().mutex);
    return gradient_;
}

void Leaf::set_gradient(Tensor gradient) {
    const std::lock_guard lock(registry().mutex);
    std::swap(gradient_, gradient);
}

void Leaf::add(const Tensor& gradient) {
    const Tensor before = this->gradient();
    set_gradient(before.defined() ? before + gradient : gradient);
}

Tensor in_own_memory(const Tensor& x, const Where& where) {
    Tensor result = x;
    result.realize(where);
    // Two owners are `x`, if it was memory before, and `result`; a third may be anything.
    const std::uint32_t mine = result.node(where) == x.node(where) ? 2 : 1;
    if (result.node(where).use_count() - 1 <= mine) return result;
    const DeviceGuard here(result.device());
    std::vector<std::byte> bytes(static_cast<std::size_t>(result.numel()) *
                                 size_of(result.dtype()));
    result.read_bytes(bytes, where);
    return from_data(bytes.data(), result.shape(), result.dtype(), where);
}

// --- the part of Tensor that leaves are for

Tensor& Tensor::requires_grad(bool on, Where where) {
    const Call call("requires_grad", where);
    const UOp value = node(where);
    if (!on) {
        leaf_.reset();
        return *this;
    }
    if (leaf_) return *this;
    if (!is_float(value->dtype())) {
        fail<DTypeError>("only floats have gradients, the tensor is " + text(value));
    }
    *this = in_own_memory(*this, where);
    leaf_ = Leaf::make(node(where));
    return *this;
}

Tensor Tensor::grad() const { return leaf_ ? leaf_->gradient() : Tensor(); }

void Tensor::zero_grad() {
    if (leaf_) leaf_->set_gradient({});
}

void Tensor::backward(Where where) const { sinter::backward(*this, where); }

}  // namespace sinter
