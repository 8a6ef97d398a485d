#pragma once
// What a function does to the tensors around it while jit captures it.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <sinter/ir/uop.h>
#include <sinter/runtime/capture.h>
#include <sinter/tensor.h>

namespace sinter {

/// Whether a Tensor that is not ours still lives; its destructor says when it ends.
struct Life {
    std::atomic<bool> over{false};
};
/// The life of `tensor`, from now on watched.
std::shared_ptr<Life> watch(Tensor& tensor);

/// One capture: notes of this thread's tensors, made by Tensor itself. A Tensor made while it lasts
/// is the function's own; any other that is read or written is the world's, and has to be found in
/// the same place, in a state that the capture provides for, when it is replayed.
class Capture {
public:
    /// That of this thread, or null.
    static Capture* current() { return current_; }

    /// A Tensor of the world.
    struct External {
        enum class Kind : std::uint8_t {
            Unread,     ///< only written
            Undefined,  ///< was so
            Memory,     ///< read: a Buffer, `id`
            Bind,       ///< read: a scalar known at run time, `node`
            Lazy,       ///< read: an expression, `node`
        };
        Tensor* tensor;
        Kind kind;
        std::int64_t id = 0;
        ir::UOp node;
        bool written = false;
        DType dtype{};  // Memory
        ir::Shape shape;
    };

    /// Host numbers that replays ask for again: they fill in the bits of binds, in order.
    using Action = std::function<void(std::int64_t* bits)>;

    Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    // --- told by Tensor
    void constructed(const Tensor* t) { born_.insert(t); }
    void destroyed(const Tensor* t);
    void reads(const Tensor& t);
    void writes(Tensor& t);

    // --- told by ops
    /// A Bind id for number `index` of the bits that actions fill in.
    struct HostBind {
        std::int64_t id;
        std::size_t index;
    };
    HostBind new_host_bind();
    /// The id of a Bind whose bits are what they are now.
    static std::int64_t new_id();
    void add_action(Action action) { actions.push_back(std::move(action)); }
    /// An object of the world, or of the function.
    void born_object(const void* object) { objects_.insert(object); }
    bool is_born(const void* object) const { return objects_.contains(object); }
    void refuse(std::string reason);
    /// The function asked for host state (detail::host_epoch) that replays compare.
    void reads_host_state() { host_state_read = true; }

    /// Notes what goes on in this thread, as long as it lives.
    class Scope {
    public:
        explicit Scope(Capture& capture);
        ~Scope();
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        runtime::Recording recording_;
    };
    /// Nothing is noted as long as it lives.
    class Pause {
    public:
        Pause() : before_(current_) { current_ = nullptr; }
        ~Pause() { current_ = before_; }
        Pause(const Pause&) = delete;
        Pause& operator=(const Pause&) = delete;

    private:
        Capture* before_;
    };

    /// Buffers that are an argument's or the world's.
    void add_state(std::int64_t id) { state_.insert(id); }
    /// Own tensors that still live.
    const std::unordered_set<const Tensor*>& born() const { return born_; }

    runtime::Recorder recorder;
    std::vector<External> externals;  ///< in the order in which they were met
    std::vector<Action> actions;
    std::unordered_map<std::int64_t, std::size_t> host_binds;  ///< id -> index
    std::size_t host_bits = 0;
    bool host_state_read = false;

private:
    friend class Tensor;
    External& external(const Tensor& t);

    std::unordered_set<const Tensor*> born_;
    std::unordered_map<const Tensor*, std::size_t> known_;  // among externals
    std::unordered_set<std::int64_t> state_;
    std::unordered_set<const void*> objects_;
    [[gnu::tls_model("initial-exec")]] static thread_local constinit Capture* current_;
};

/// Throws ValueError if the caller's values are only known when a captured function is replayed.
void require_no_capture(std::string_view what);

/// What jit does with a Tensor from inside.
struct TensorAccess {
    static ir::UOp& handle(Tensor& t) { return t.handle(); }
    static const ir::UOp& handle(const Tensor& t) { return t.handle(); }
    static Leaf* leaf(const Tensor& t) { return t.leaf_.get(); }
    static void watch(Tensor& t) { t.watched_ = true; }
    /// The Tensor becomes this memory, as realize() does it.
    static void move_to(Tensor& t, ir::UOp buffer);
};

}  // namespace sinter
