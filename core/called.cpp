#include <sinter/called.h>

#include <sinter/ir/error.h>

namespace sinter {
namespace {

// The innermost call of this thread, which knows those around it.
thread_local const Called* current = nullptr;

}  // namespace

Called::Called(std::string_view name, const Where& where)
    : name_(name), where_(where), outer_(current) {
    current = this;
}

Called::~Called() { current = outer_; }

const Called* Called::outermost() {
    const Called* call = current;
    while (call != nullptr && call->outer_ != nullptr) call = call->outer_;
    return call;
}

std::string detail::message_of_call(const std::string& message) {
    const Called* call = Called::outermost();
    if (call == nullptr) return message;
    return at(call->where()) + std::string(call->name()) + ": " + message;
}

}  // namespace sinter
