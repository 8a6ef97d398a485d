#pragma once
// Modules in a row, and lists of modules.

#include <concepts>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sinter/nn/module.h>

namespace sinter::nn {

/// Each layer takes what the one before gave. Layers are modules or plain functions from Tensor to
/// Tensor:
///
///     Sequential net(Linear(784, 128), ReLU(), Linear(128, 10));
///     Tensor y = net(x);
///
/// The layers are moved in; their names are their positions, "0", "1", …
class Sequential : public Module {
public:
    Sequential() = default;
    template <class... Layers>
        requires((std::invocable<const Layers&, const Tensor&> && ...) &&
                 !(sizeof...(Layers) == 1 && (std::derived_from<Layers, Sequential> && ...)))
    explicit Sequential(Layers... layers) {
        (push(std::move(layers)), ...);
    }
    /// Adds a layer at the end.
    template <class Layer>
        requires std::invocable<const Layer&, const Tensor&>
    Sequential& push(Layer layer) {
        slots_.push_back(std::make_unique<Holder<Layer>>(std::move(layer)));
        return *this;
    }
    std::size_t size() const { return slots_.size(); }

    /// Errors of the layers name the caller's line.
    Tensor operator()(const Tensor& x, Where where = Where::current()) const {
        Tensor y = x;
        for (const auto& slot : slots_) y = slot->call(y, where);
        return y;
    }

protected:
    std::vector<NamedModule> owned_children() override {
        std::vector<NamedModule> all;
        for (std::size_t i = 0; i < slots_.size(); ++i) {
            if (Module* m = slots_[i]->module()) all.push_back({std::to_string(i), m});
        }
        return all;
    }

private:
    struct Slot {
        virtual ~Slot() = default;
        virtual Tensor call(const Tensor& x, Where where) const = 0;
        virtual Module* module() = 0;
    };
    template <class Layer>
    struct Holder final : Slot {
        explicit Holder(Layer held) : layer(std::move(held)) {}
        Tensor call(const Tensor& x, Where where) const override {
            if constexpr (std::invocable<const Layer&, const Tensor&, Where>) {
                return layer(x, where);
            } else if constexpr (std::invocable<const Layer&, const Arg&>) {
                return layer(Arg(x, where));
            } else {
                return layer(x);
            }
        }
        Module* module() override {
            if constexpr (std::derived_from<Layer, Module>) {
                return &layer;
            } else {
                return nullptr;
            }
        }
        Layer layer;
    };
    std::vector<std::unique_ptr<Slot>> slots_;
};

/// A position in a ModuleList, with the line of the caller.
class At {
public:
    template <std::integral T>
    At(T i, Where where = Where::current()) : i_(static_cast<std::int64_t>(i)), where_(where) {}
    std::size_t checked(std::size_t size) const;

private:
    std::int64_t i_;
    Where where_;
};

/// Modules of one kind, named by position. Growing it moves them: collect parameters() when it is
/// complete.
template <class M>
    requires std::derived_from<M, Module>
class ModuleList : public Module {
public:
    ModuleList() = default;
    M& push(M layer) {
        layers_.push_back(std::move(layer));
        return layers_.back();
    }
    std::size_t size() const { return layers_.size(); }
    /// IndexError outside the list.
    M& operator[](At i) { return layers_[i.checked(size())]; }
    const M& operator[](At i) const { return layers_[i.checked(size())]; }
    auto begin() { return layers_.begin(); }
    auto end() { return layers_.end(); }
    auto begin() const { return layers_.begin(); }
    auto end() const { return layers_.end(); }

protected:
    std::vector<NamedModule> owned_children() override {
        std::vector<NamedModule> all;
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            all.push_back({std::to_string(i), &layers_[i]});
        }
        return all;
    }

private:
    std::vector<M> layers_;
};

}  // namespace sinter::nn
