#include <sinter/nn/module.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <sinter/elementwise.h>
#include <sinter/jit.h>
#include <sinter/nn/sequential.h>

#include "check.h"

namespace sinter::nn {
namespace {

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (i == 8) return text + ", and " + std::to_string(names.size() - i) + " more";
        text += (i == 0 ? "" : ", ") + names[i];
    }
    return text;
}

}  // namespace

void Module::add(std::string name, void* member, Part part, const Where& where) {
    const Called call("Module::add", where);
    require(!name.empty() && name.find('.') == std::string::npos,
            "\"" + name + "\" is no name of a part; it may not be empty or have a dot");
    require(std::ranges::find(entries_, name, &Entry::name) == entries_.end(),
            "there is a part named \"" + name + "\" already");
    const auto place = static_cast<std::byte*>(member) - reinterpret_cast<std::byte*>(this);
    entries_.push_back({std::move(name), place, part});
}

void Module::add(std::string name, Tensor& parameter, Where where) {
    parameter.requires_grad(true, where);
    add(std::move(name), static_cast<void*>(&parameter), Part::Parameter, where);
}

void Module::add_buffer(std::string name, Tensor& buffer, Where where) {
    add(std::move(name), static_cast<void*>(&buffer), Part::Buffer, where);
}

void Module::add(std::string name, Module& child, Where where) {
    add(std::move(name), static_cast<void*>(&child), Part::Child, where);
}

std::vector<NamedModule> Module::children() {
    std::vector<NamedModule> all;
    for (const Entry& entry : entries_) {
        if (entry.part == Part::Child)
            all.push_back({entry.name, static_cast<Module*>(member(entry))});
    }
    for (NamedModule& child : owned_children()) all.push_back(std::move(child));
    return all;
}

void Module::collect(Part part, const std::string& prefix, std::vector<NamedTensor>& out) {
    for (const Entry& entry : entries_) {
        if (entry.part == part)
            out.push_back({prefix + entry.name, static_cast<Tensor*>(member(entry))});
    }
    for (const NamedModule& child : children()) {
        child.module->collect(part, prefix + child.name + ".", out);
    }
}

std::vector<NamedTensor> Module::named_parameters() {
    std::vector<NamedTensor> all;
    collect(Part::Parameter, "", all);
    return all;
}

std::vector<NamedTensor> Module::named_buffers() {
    std::vector<NamedTensor> all;
    collect(Part::Buffer, "", all);
    return all;
}

// Module by module, parameters before buffers, as PyTorch orders a state_dict.
std::vector<NamedTensor> Module::all_tensors() {
    std::vector<NamedTensor> all;
    const auto visit = [&all](auto& self, Module& module, const std::string& prefix) -> void {
        for (const Part part : {Part::Parameter, Part::Buffer}) {
            for (const Entry& entry : module.entries_) {
                if (entry.part != part) continue;
                all.push_back({prefix + entry.name, static_cast<Tensor*>(module.member(entry))});
            }
        }
        for (const NamedModule& child : module.children()) {
            self(self, *child.module, prefix + child.name + ".");
        }
    };
    visit(visit, *this, "");
    return all;
}

Parameters Module::parameters() {
    Parameters all;
    std::unordered_set<const Tensor*> seen;
    for (const NamedTensor& named : named_parameters()) {
        if (seen.insert(named.tensor).second) all.push_back(named.tensor);
    }
    for (const NamedTensor& named : named_buffers()) all.buffers.push_back(named.tensor);
    return all;
}

std::int64_t Module::parameter_count() {
    std::int64_t count = 0;
    for (const Tensor* parameter : parameters()) count += parameter->numel();
    return count;
}

bool Module::training() const {
    detail::depend_on_host_state();
    return training_;
}

void Module::train(bool on) {
    if (training_ != on) detail::change_host_state();
    training_ = on;
    for (const NamedModule& child : children()) child.module->train(on);
}

StateDict Module::state_dict() const {
    StateDict state;
    for (const NamedTensor& named : const_cast<Module*>(this)->all_tensors()) {
        state.emplace_back(named.name, *named.tensor);
    }
    return state;
}

void Module::load_state_dict(const StateDict& state, bool strict, Where where) {
    const Called call("load_state_dict", where);
    std::unordered_map<std::string, const Tensor*> given;
    for (const auto& [name, value] : state) given.emplace(name, &value);
    std::vector<std::pair<Tensor*, const Tensor*>> copies;
    std::vector<std::string> missing;
    for (const NamedTensor& mine : all_tensors()) {
        const auto found = given.find(mine.name);
        if (found == given.end()) {
            missing.push_back(mine.name);
            continue;
        }
        const Tensor& value = *found->second;
        if (value.shape() != mine.tensor->shape()) {
            fail<ShapeError>(mine.name + " has shape " + to_string(mine.tensor->shape()) +
                             " here and " + to_string(value.shape()) + " in the state");
        }
        copies.emplace_back(mine.tensor, &value);
        given.erase(found);
    }
    if (strict && (!missing.empty() || !given.empty())) {
        std::vector<std::string> unknown;
        for (const auto& [name, value] : state) {
            if (given.contains(name)) unknown.push_back(name);
        }
        fail<ValueError>((missing.empty() ? "" : "the state lacks " + joined(missing)) +
                         (missing.empty() || unknown.empty() ? "" : "; ") +
                         (unknown.empty() ? "" : "no part is named " + joined(unknown)) +
                         "; pass strict = false to load what fits");
    }
    std::vector<Tensor*> changed;
    for (const auto& [mine, value] : copies) {
        mine->assign(value->detach());
        changed.push_back(mine);
    }
    Tensor::realize(std::span<Tensor* const>(changed));
}

void Module::to(DType dtype) {
    for (const NamedTensor& named : all_tensors()) {
        if (!is_float(named.tensor->dtype())) continue;
        const bool trained = named.tensor->requires_grad();
        *named.tensor = named.tensor->to(dtype).detach();
        named.tensor->requires_grad(trained);
    }
}

void Module::to(Device device) {
    for (const NamedTensor& named : all_tensors()) {
        const bool trained = named.tensor->requires_grad();
        *named.tensor = named.tensor->to(device).detach();
        named.tensor->requires_grad(trained);
    }
}

std::size_t At::checked(std::size_t size) const {
    const Called call("ModuleList", where_);
    if (i_ < 0 || static_cast<std::size_t>(i_) >= size) {
        fail<IndexError>("module " + std::to_string(i_) + " is outside the " +
                         std::to_string(size) + " there are");
    }
    return static_cast<std::size_t>(i_);
}

}  // namespace sinter::nn
