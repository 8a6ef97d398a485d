#include <sinter/ir/env.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <optional>

#include <sinter/ir/error.h>

namespace sinter::ir::env {
namespace {

std::int64_t parse(const EnvVar& var, std::string_view value) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size())
        throw ValueError(std::string(var.name) + "=" + std::string(value) +
                         ": not a whole number. " + std::string(var.doc));
    return number;
}

// Values of all variables. Numbers are kept apart, so that debug() and flag() cost a load.
class Values {
public:
    Values() {
        for (std::size_t row = 0; row < kEnvVars.size(); ++row) {
            const char* value = std::getenv(kEnvVars[row].name.data());
            set(row,
                value != nullptr && *value != '\0' ? value : std::string(kEnvVars[row].fallback));
        }
    }

    std::string text(std::size_t row) const {
        const std::lock_guard lock(mutex_);
        return texts_[row];
    }

    std::int64_t number(std::size_t row) const {
        return numbers_[row].load(std::memory_order_relaxed);
    }

    void set(std::size_t row, std::string value) {
        const std::int64_t parsed =
            kEnvVars[row].kind == Kind::Text ? 0 : parse(kEnvVars[row], value);
        const std::lock_guard lock(mutex_);
        texts_[row] = std::move(value);
        numbers_[row].store(parsed, std::memory_order_relaxed);
    }

private:
    mutable std::mutex mutex_;
    std::array<std::string, kEnvVars.size()> texts_;
    std::array<std::atomic<std::int64_t>, kEnvVars.size()> numbers_{};
};

// Never destroyed: threads that outlive main may still ask.
Values& values() {
    static Values& all = *new Values;
    return all;
}

}  // namespace

std::string text(Name name) { return values().text(name.row); }
std::string value_of(const EnvVar& row) {
    return values().text(static_cast<std::size_t>(&row - kEnvVars.data()));
}
std::int64_t number(Name name) { return values().number(name.row); }
bool flag(Name name) { return number(name) != 0; }
int debug() { return static_cast<int>(number("DEBUG")); }

Override::Override(Name name, std::string value)
    : row_(name.row), before_(values().text(name.row)) {
    values().set(row_, std::move(value));
}

Override::~Override() { values().set(row_, std::move(before_)); }

}  // namespace sinter::ir::env
