#pragma once
// Module: a network as a struct whose members are tensors and other modules.

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <sinter/nn/state_dict.h>
#include <sinter/tensor.h>

namespace sinter::nn {

/// A network's trainable tensors, and the buffers (running statistics) that its forward pass
/// updates: an optimizer computes those in the same step. They are the module's own members: it
/// must outlive them, and stay where it is.
struct Parameters : std::vector<Tensor*> {
    using std::vector<Tensor*>::vector;
    std::vector<Tensor*> buffers;
};

struct NamedTensor {
    std::string name;
    Tensor* tensor;
};

class Module;
struct NamedModule {
    std::string name;
    Module* module;
};

/// Base of all layers and networks. A derived struct has its tensors and modules as members and
/// names them in its constructor:
///
///     struct Net : sinter::nn::Module {
///         sinter::nn::Linear fc1{784, 128}, fc2{128, 10};
///         Net() { add("fc1", fc1); add("fc2", fc2); }
///         Tensor operator()(const Tensor& x) const { return fc2(relu(fc1(x))); }
///     };
///
/// A module can be moved but not copied: who wants the same values twice loads one's state_dict()
/// into the other. What is added must be a member of the object itself (found again by its place in
/// it), not something it points to.
class Module {
public:
    virtual ~Module() = default;

    /// Every trainable tensor below this module, each once, and every buffer.
    Parameters parameters();
    std::vector<NamedTensor> named_parameters();
    std::vector<NamedTensor> named_buffers();
    /// The modules added to this one.
    std::vector<NamedModule> children();
    /// How many numbers there are to train.
    std::int64_t parameter_count();

    /// Layers that act differently in training (BatchNorm, Dropout) follow this flag; it starts
    /// true.
    void train(bool on = true);
    void eval() { train(false); }
    bool training() const;

    /// Parameters and buffers, by name.
    StateDict state_dict() const;
    /// Copies values in, cast to the dtype here. Throws ShapeError for a value of another shape
    /// and, if `strict`, ValueError for names that are missing or not known here; nothing is
    /// changed then.
    void load_state_dict(const StateDict& state, bool strict = true,
                         Where where = Where::current());

    /// Moves all floating tensors to a dtype, or all tensors to a device.
    void to(DType dtype);
    void to(Device device);

protected:
    Module() = default;
    Module(Module&&) = default;
    Module& operator=(Module&&) = default;

    // A name that is empty, has a dot or is there already is a ValueError.

    /// A trainable tensor: it is marked by requires_grad().
    void add(std::string name, Tensor& parameter, Where where = Where::current());
    /// A tensor that belongs to the state but is not trained.
    void add_buffer(std::string name, Tensor& buffer, Where where = Where::current());
    void add(std::string name, Module& child, Where where = Where::current());
    /// Children that are not members, such as those of a list.
    virtual std::vector<NamedModule> owned_children() { return {}; }

private:
    enum class Part : std::uint8_t { Parameter, Buffer, Child };
    struct Entry {
        std::string name;
        std::ptrdiff_t place;  // in bytes from this Module
        Part part;
    };
    void add(std::string name, void* member, Part part, const Where& where);
    void* member(const Entry& entry) { return reinterpret_cast<std::byte*>(this) + entry.place; }
    void collect(Part part, const std::string& prefix, std::vector<NamedTensor>& out);
    std::vector<NamedTensor> all_tensors();

    std::vector<Entry> entries_;
    bool training_ = true;
};

}  // namespace sinter::nn
