#include <sinter/jit.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <list>
#include <mutex>

#include <sinter/create.h>
#include <sinter/runtime/realize.h>

#include "call.h"
#include "capture.h"
#include "host_state.h"
#include "jit_record.h"
#include "leaf.h"

namespace sinter {
namespace {

std::atomic<std::uint64_t> epoch{0};

// From this call on the function is run anew now and then.
constexpr std::uint64_t kFirstCheck = 4;

}  // namespace

std::uint64_t host_epoch() { return epoch.load(std::memory_order_relaxed); }

void each_call(std::function<void()> action, Where where) {
    const Call call("each_call", where);
    if (!action) fail<ValueError>("there is no function to call");
    action();
    if (Capture* capture = Capture::current())
        capture->add_action([action = std::move(action)](std::int64_t*) { action(); });
}

namespace detail {

void change_host_state() { epoch.fetch_add(1, std::memory_order_relaxed); }

void depend_on_host_state() {
    if (Capture* capture = Capture::current()) capture->reads_host_state();
}

struct JitCore::Impl {
    // What is known of calls with arguments of one kind.
    struct Program {
        std::type_index type;
        std::vector<std::int64_t> signature;
        std::uint64_t calls = 0;
        std::unique_ptr<Record> record;  // of the last run of the function, if it can be replayed
        bool armed = false;              // the last two runs did the same
        std::shared_ptr<const void> form;
    };

    JitOptions options;
    Where where;
    mutable std::recursive_mutex calls;  // held by the call under way
    mutable std::mutex mutex;            // of the statistics
    JitStats stats;
    std::list<Program> programs;  // the most lately used first

    void note(const char* reason) {
        const std::lock_guard lock(mutex);
        if (reason == nullptr) {
            ++stats.replays;
            stats.reason.clear();
        } else {
            ++stats.runs;
            stats.reason = reason;
        }
    }

    Program& find(std::type_index type, std::vector<std::int64_t> signature) {
        for (auto it = programs.begin(); it != programs.end(); ++it)
            if (it->type == type && it->signature == signature) {
                programs.splice(programs.begin(), programs, it);
                return programs.front();
            }
        programs.push_front({type, std::move(signature), 0, nullptr, false, nullptr});
        if (programs.size() > std::max<std::size_t>(options.captures, 1)) programs.pop_back();
        return programs.front();
    }

    void call(JitCore::Call& call);
    void run(JitCore::Call& call, std::span<const UOp> arguments, Program& program,
             const char* reason);
    void run_plainly(JitCore::Call& call, const char* reason);
    std::unique_ptr<Record> capture(JitCore::Call& call, std::span<const UOp> arguments,
                                    std::string& refusal);
    std::vector<UOp> replay(Record& record) const;
    void give(JitCore::Call& call, Program& program, std::vector<UOp> nodes);
};

namespace {

// The memory of an argument, computed if need be.
UOp in_memory(const UOp& node) {
    if (UOp buffer = runtime::realized(node)) return buffer;
    return runtime::realize(std::span<const UOp>(&node, 1)).front();
}

std::shared_ptr<runtime::Memory> memory_of(const UOp& buffer) {
    return static_cast<const runtime::Storage*>(buffer->attachment())->memory;
}

}  // namespace

JitCore::JitCore(const JitOptions& options, Where where)
    : impl_(std::make_unique<Impl>(options, where)) {}
JitCore::~JitCore() = default;

bool JitCore::inside_capture() { return Capture::current() != nullptr; }

void JitCore::forget() {
    const std::lock_guard lock(impl_->calls);
    impl_->programs.clear();
}

JitStats JitCore::stats() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->stats;
}

void JitCore::call(Call& call) {
    const std::lock_guard lock(impl_->calls);
    impl_->call(call);
}

void JitCore::Impl::call(JitCore::Call& call) {
    std::vector<UOp> arguments;
    arguments.reserve(call.tensors.size());
    std::vector<std::int64_t> signature = call.words;
    signature.push_back(static_cast<std::int64_t>(runtime::default_device()));
    bool marked = false;
    {
        const sinter::Call named("jit", where);
        for (const Tensor* t : call.tensors) {
            arguments.push_back(in_memory(t->node(where)));
            const UOp& buffer = arguments.back();
            signature.push_back(static_cast<std::int64_t>(buffer->dtype()) |
                                static_cast<std::int64_t>(buffer->rank()) << 8 |
                                buffer->arg(1) << 16);
            signature.insert(signature.end(), buffer->shape().begin(), buffer->shape().end());
            marked = marked || t->requires_grad();
        }
    }
    if (marked) return run_plainly(call, "an argument collects gradients");
    Program& program = find(call.type, std::move(signature));
    ++program.calls;
    if (!program.armed) return run(call, arguments, program, "it is being captured");
    if (const char* reason = program.record->prepare(arguments))
        return run(call, arguments, program, reason);
    if (options.verify && program.calls >= kFirstCheck && std::has_single_bit(program.calls)) {
        program.record->drop();
        return run(call, arguments, program, nullptr);
    }
    give(call, program, replay(*program.record));
    note(nullptr);
    const std::lock_guard lock(mutex);
    stats.kernels = program.record->runs().launch_count();
    stats.barriers = program.record->runs().barrier_count();
    stats.kept_kernels = program.record->runs().steady_launch_count();
}

std::vector<UOp> JitCore::Impl::replay(Record& record) const {
    const sinter::Call named("jit", where);
    try {
        return record.replay();
    } catch (const IndexError& error) {
        fail<IndexError>(error.what());
    } catch (const OutOfMemoryError& error) {
        fail<OutOfMemoryError>(error.what());
    }
}

void JitCore::Impl::give(JitCore::Call& call, Program& program, std::vector<UOp> nodes) {
    const std::vector<Tensor*> places = call.make(program.form.get());
    for (std::size_t i = 0; i < places.size(); ++i)
        if (nodes[i]) {
            const std::int64_t device = nodes[i]->arg(1);
            *places[i] = Tensor(std::move(nodes[i]), device);
        }
}

// Without a capture, as if there were no jit.
void JitCore::Impl::run_plainly(JitCore::Call& call, const char* reason) {
    std::vector<Tensor> given;
    given.reserve(call.tensors.size());
    for (const Tensor* t : call.tensors) given.push_back(*t);
    call.stand_in(std::move(given));
    call.run();
    note(reason);
}

// Runs the function itself. No reason: a replay would have been possible, so this must be what it
// does.
void JitCore::Impl::run(JitCore::Call& call, std::span<const UOp> arguments, Program& program,
                        const char* reason) {
    const std::unique_ptr<Record> before = std::move(program.record);
    program.armed = false;
    std::string refusal;
    std::unique_ptr<Record> now = capture(call, arguments, refusal);
    note(!refusal.empty() ? refusal.c_str() : reason != nullptr ? reason : "it is checked");
    if (reason == nullptr && (!now || (!now->same(*before) && now->same_sharing(*before))))
        throw ValueError(
            at(where) +
            "jit: the function no longer does what was captured: something that jit cannot see has "
            "changed, such as a number or a flag of C++; results since that change are of the old "
            "one. Make it an argument, read it through host_scalar or call reset() when it "
            "changes");
    if (!now) return;
    program.armed = before != nullptr && now->same(*before);
    if (!program.form) program.form = call.form();
    program.record = std::move(now);
    if (program.armed) program.record->arm(options.keep);
}

std::unique_ptr<Record> JitCore::Impl::capture(JitCore::Call& call, std::span<const UOp> arguments,
                                               std::string& refusal) {
    Capture capture;
    // Buffers of the call's own stand for the arguments, so that a Tensor that is an argument and
    // is referred to as well is two things.
    std::vector<Tensor> given;
    std::vector<std::int64_t> ids;
    for (const UOp& argument : arguments) {
        UOp buffer =
            runtime::make_buffer(argument->dtype(), argument->shape(), memory_of(argument));
        ids.push_back(buffer->arg(0));
        capture.add_state(ids.back());
        given.emplace_back(std::move(buffer), argument->arg(1));
    }
    std::vector<Tensor*> own = call.stand_in(std::move(given));
    for (const Tensor* t : own) capture.constructed(t);
    std::vector<Tensor*> results;
    {
        const Capture::Scope scope(capture);
        results = call.run();
        // What leaves the function is memory.
        std::vector<Tensor*> leaving;
        for (Tensor* t : results)
            if (TensorAccess::handle(*t)) leaving.push_back(t);
        for (const Capture::External& e : capture.externals)
            if (e.written && e.tensor != nullptr && TensorAccess::handle(*e.tensor))
                leaving.push_back(e.tensor);
        Tensor::realize(std::span<Tensor* const>(leaving), where);
    }
    std::size_t surviving = 0;
    for (const Tensor* t : capture.born())
        if (std::ranges::find(results, t) == results.end() &&
            std::ranges::find(own, t) == own.end())
            ++surviving;
    if (surviving != 0) capture.refuse("it keeps a tensor that it made");
    refusal = capture.recorder.refusal;
    if (!refusal.empty()) return nullptr;
    return std::make_unique<Record>(capture, ids, results);
}

}  // namespace detail
}  // namespace sinter
