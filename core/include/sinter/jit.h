#pragma once
// jit: a function of tensors, captured once and replayed.

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include <sinter/tensor.h>

namespace sinter {

struct JitOptions {
    /// Now and then (at calls 4, 8, 16, …) the function itself runs, and an error tells if it no
    /// longer does what was captured.
    bool verify = true;
    /// Signatures kept; the least lately used go first.
    std::size_t captures = 8;
    /// What is made of tensors of the world alone is kept between calls, until one of them changes,
    /// and weights are laid out anew for the products that read them. It costs the memory of both.
    bool keep = true;
};

/// What became of the calls of a jitted function, for tests and for those who wonder.
struct JitStats {
    std::uint64_t runs = 0;        ///< the function itself ran
    std::uint64_t replays = 0;     ///< what was captured ran in its place
    std::size_t kernels = 0;       ///< launches of the last replay
    std::size_t barriers = 0;      ///< waits of its threads for one another
    std::size_t kept_kernels = 0;  ///< launches beside these that ran when a tensor changed
    std::string reason;            ///< why the last call was no replay; empty if it was one
};

/// In a function given to jit: runs `action` now, and again at every replay, in the order of these
/// calls; elsewhere it only runs it. For what the function does on the host beside building graphs
/// (counting steps). What `action` refers to must live as long as the jitted function.
void each_call(std::function<void()> action, Where where = Where::current());

namespace detail {

/// Says that something on the host changed which captured functions may depend on (a module's
/// training flag): those that asked for it run once more.
void change_host_state();
/// Says that the function being captured depends on it.
void depend_on_host_state();

// --- walking arguments and results: Tensors, and vectors, arrays, pairs and tuples of such

template <class T>
struct IsTuple : std::false_type {};
template <class... Ts>
struct IsTuple<std::tuple<Ts...>> : std::true_type {};
template <class A, class B>
struct IsTuple<std::pair<A, B>> : std::true_type {};
template <class T>
struct IsSequence : std::false_type {};
template <class T>
struct IsSequence<std::vector<T>> : std::true_type {};
template <class T, std::size_t n>
struct IsSequence<std::array<T, n>> : std::true_type {};

template <class T>
constexpr bool is_static = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// Whether T is made of Tensors, and of numbers if they are allowed.
template <class T, bool numbers>
constexpr bool is_tree();
template <class T, bool numbers, std::size_t... i>
constexpr bool is_tuple_tree(std::index_sequence<i...>) {
    return (is_tree<std::tuple_element_t<i, T>, numbers>() && ...);
}
template <class T, bool numbers>
constexpr bool is_tree() {
    if constexpr (std::same_as<T, Tensor>)
        return true;
    else if constexpr (is_static<T>)
        return numbers;
    else if constexpr (IsSequence<T>::value)
        return !std::same_as<T, std::vector<bool>> && is_tree<typename T::value_type, numbers>();
    else if constexpr (IsTuple<T>::value)
        return is_tuple_tree<T, numbers>(std::make_index_sequence<std::tuple_size_v<T>>());
    else
        return false;
}

/// Every Tensor of a tree goes to on_tensor; numbers, enumerations and lengths to on_word, as bits.
template <class T, class OnTensor, class OnWord>
void walk(T& tree, const OnTensor& on_tensor, const OnWord& on_word) {
    using Plain = std::remove_const_t<T>;
    if constexpr (std::same_as<Plain, Tensor>) {
        on_tensor(tree);
    } else if constexpr (std::floating_point<Plain>) {
        const auto value = static_cast<double>(tree);
        std::int64_t bits = 0;
        static_assert(sizeof bits == sizeof value);
        __builtin_memcpy(&bits, &value, sizeof bits);
        on_word(bits);
    } else if constexpr (is_static<Plain>) {
        on_word(static_cast<std::int64_t>(tree));
    } else if constexpr (IsSequence<Plain>::value) {
        on_word(static_cast<std::int64_t>(tree.size()));
        for (auto& part : tree) walk(part, on_tensor, on_word);
    } else {
        std::apply([&](auto&... parts) { (walk(parts, on_tensor, on_word), ...); }, tree);
    }
}

/// What all jitted functions share: captures by signature, and their replay.
class JitCore {
public:
    JitCore(const JitOptions& options, Where where);
    ~JitCore();
    JitCore(const JitCore&) = delete;
    JitCore& operator=(const JitCore&) = delete;

    /// One call, with the types that the core does not know.
    class Call {
    public:
        explicit Call(std::type_index call_type) : type(call_type) {}
        virtual ~Call() = default;
        /// Arguments of the function's own, in the given Tensors' place; returns where those are.
        virtual std::vector<Tensor*> stand_in(std::vector<Tensor> tensors) = 0;
        /// Runs the function on them; returns the Tensors of its result.
        virtual std::vector<Tensor*> run() = 0;
        /// The result with undefined Tensors.
        virtual std::shared_ptr<const void> form() = 0;
        /// Makes the result of such a form; returns its Tensors.
        virtual std::vector<Tensor*> make(const void* form) = 0;

        const std::type_index type;
        std::vector<const Tensor*> tensors;  ///< of the arguments
        std::vector<std::int64_t> words;     ///< the rest of them
    };
    void call(Call& call);
    /// Whether this thread captures already: the function is then part of that one.
    static bool inside_capture();
    void forget();
    JitStats stats() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace detail

/// What jit makes of a function: see jit.
template <class F>
class Jit {
public:
    explicit Jit(F fn, const JitOptions& options = {}, Where where = Where::current())
        : fn_(std::move(fn)), core_(std::make_unique<detail::JitCore>(options, where)) {}

    template <class... Args>
    auto operator()(const Args&... args) {
        static_assert(std::is_invocable_v<F&, const Args&...>,
                      "a jitted function takes its arguments by value or by const reference");
        static_assert((detail::is_tree<Args, true>() && ...),
                      "arguments of a jitted function are Tensors, numbers and enumerations, and "
                      "vectors, arrays, pairs and tuples of them");
        using R = std::remove_cvref_t<std::invoke_result_t<F&, const Args&...>>;
        if constexpr (std::is_void_v<R>) {
            const auto fn = [this](const Args&... given) {
                std::invoke(fn_, given...);
                return std::array<Tensor, 0>();
            };
            invoke<std::array<Tensor, 0>>(fn, args...);
        } else {
            static_assert(detail::is_tree<R, false>(),
                          "a jitted function gives a Tensor, or a vector, array, pair or tuple of "
                          "Tensors; other values would be those of its first call");
            return invoke<R>(
                [this](const Args&... given) -> R { return std::invoke(fn_, given...); }, args...);
        }
    }

    /// Forgets what was captured.
    void reset() { core_->forget(); }
    JitStats stats() const { return core_->stats(); }

private:
    template <class R, class Fn, class... Args>
    class Call final : public detail::JitCore::Call {
    public:
        Call(const Fn& fn, const Args&... args)
            : detail::JitCore::Call(typeid(std::tuple<Args...>)), fn_(fn), args_(args...) {
            detail::walk(
                args_, [this](const Tensor& t) { tensors.push_back(&t); },
                [this](std::int64_t word) { words.push_back(word); });
        }
        std::vector<Tensor*> stand_in(std::vector<Tensor> given) override {
            given_.emplace(args_);
            std::vector<Tensor*> places = tensors_of(*given_);
            for (std::size_t i = 0; i < places.size(); ++i) *places[i] = std::move(given[i]);
            return places;
        }
        std::vector<Tensor*> run() override {
            result.emplace(std::apply(fn_, std::as_const(*given_)));
            return tensors_of(*result);
        }
        std::shared_ptr<const void> form() override {
            auto copy = std::make_shared<R>(*result);
            for (Tensor* t : tensors_of(*copy)) *t = Tensor();
            return copy;
        }
        std::vector<Tensor*> make(const void* form) override {
            result.emplace(*static_cast<const R*>(form));
            return tensors_of(*result);
        }
        std::optional<R> result;

    private:
        template <class Tree>
        static std::vector<Tensor*> tensors_of(Tree& tree) {
            std::vector<Tensor*> found;
            detail::walk(tree, [&](Tensor& t) { found.push_back(&t); }, [](std::int64_t) {});
            return found;
        }
        const Fn& fn_;
        const std::tuple<const Args&...> args_;
        std::optional<std::tuple<Args...>> given_;
    };

    template <class R, class Fn, class... Args>
    R invoke(const Fn& fn, const Args&... args) {
        if (detail::JitCore::inside_capture()) return fn(args...);
        Call<R, Fn, Args...> call(fn, args...);
        core_->call(call);
        return std::move(*call.result);
    }

    F fn_;
    std::unique_ptr<detail::JitCore> core_;
};

/// A function that runs its C++ code in its first calls only, and from then on replays the kernels
/// that this ran, on new arguments, with next to no work on the host:
///
///     auto step = sinter::jit([&](const Tensor& x, const Tensor& y) {
///         Tensor loss = cross_entropy(net(x), y);
///         optimizer.step(loss);
///         return loss;
///     });
///     for (const nn::Batch& batch : loader) step(batch.x, batch.y);
///
/// The results are those of calling `fn`, in memory: gradients end there. docs/jit.md says what is
/// captured, what is seen to change, and what a function may not do. Calls of one jitted function
/// take turns.
///
/// A call throws ValueError if the function reads values (item, to_vector, printing), and where it
/// is found to do something else than was captured.
template <class F>
Jit<std::decay_t<F>> jit(F&& fn, const JitOptions& options = {}, Where where = Where::current()) {
    return Jit<std::decay_t<F>>(std::forward<F>(fn), options, where);
}

}  // namespace sinter
