#pragma once
// Names for calls: what errors of ops begin with.

#include <string>
#include <string_view>

#include <sinter/arg.h>

namespace sinter {

/// Says what was called and from where, for as long as it lives: errors of the ops that this thread
/// builds meanwhile begin with that line and name, instead of the op's own. Ops say it of
/// themselves; where one stands inside another the outermost counts, which is the one in the user's
/// line:
///
///     Tensor Block::operator()(const Tensor& x, Where where = Where::current()) const {
///         const Called call("Block", where);
///         …
///     }
///
/// `name` must outlive it.
class Called {
public:
    Called(std::string_view name, const Where& where);
    ~Called();
    Called(const Called&) = delete;
    Called& operator=(const Called&) = delete;

    std::string_view name() const { return name_; }
    const Where& where() const { return where_; }
    /// That of this thread, or null.
    static const Called* outermost();

private:
    std::string_view name_;
    Where where_;
    const Called* outer_;
};

namespace detail {

/// "file:line: name: message" of the outermost call of this thread.
std::string message_of_call(const std::string& message);

template <class E>
[[noreturn]] void fail(const std::string& message) {
    throw E(message_of_call(message));
}

}  // namespace detail
}  // namespace sinter
