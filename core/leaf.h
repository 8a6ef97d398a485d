#pragma once
// Tensors that gradients are collected for.

#include <memory>
#include <vector>

#include <sinter/ir/uop.h>
#include <sinter/tensor.h>

namespace sinter {

/// `x` in memory that no other tensor and no graph refers to: equal expressions are one node, and
/// may have become one memory too, so that what was computed from which could not be told.
Tensor in_own_memory(const Tensor& x, const Where& where);

/// The state that requires_grad(true) gives a Tensor and its copies: the expression that the Tensor
/// stands for now (assign and realize change it) and the gradient collected so far. All that live
/// are in one registry, by which backward() finds those that a loss depends on; any thread may call
/// anything.
class Leaf : public std::enable_shared_from_this<Leaf> {
public:
    static std::shared_ptr<Leaf> make(ir::UOp node);
    ~Leaf();
    /// Those that live, in the order they were made.
    static std::vector<std::shared_ptr<Leaf>> all();

    ir::UOp node() const;
    /// Whether it stands for this very node.
    bool is_at(ir::Ref node) const;
    void move_to(ir::UOp node);
    Tensor gradient() const;
    void set_gradient(Tensor gradient);
    void add(const Tensor& gradient);

private:
    explicit Leaf(ir::UOp node) : node_(std::move(node)) {}
    ir::UOp node_;
    Tensor gradient_;
    std::uint64_t number_ = 0;
};

}  // namespace sinter
