#include <sinter/runtime/pins.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace sinter::runtime {
namespace {

struct Pinned {
    std::int64_t id;
    std::string kernel;
    std::shared_ptr<const codegen::Schedule> schedule;
};

struct Registry {
    std::mutex mutex;
    std::vector<Pinned> pins;
    std::int64_t changes = 0;
};

Registry& registry() {
    // Never destroyed: threads that outlive main may still realize.
    static Registry& all = *new Registry;
    return all;
}

}  // namespace

Pin::Pin(std::string kernel, const std::string& schedule) {
    auto parsed = std::make_shared<const codegen::Schedule>(codegen::Schedule::parse(schedule));
    const std::lock_guard lock(registry().mutex);
    id_ = ++registry().changes;
    registry().pins.push_back({id_, std::move(kernel), std::move(parsed)});
}

Pin::~Pin() {
    const std::lock_guard lock(registry().mutex);
    ++registry().changes;
    std::erase_if(registry().pins, [&](const Pinned& p) { return p.id == id_; });
}

std::shared_ptr<const codegen::Schedule> pinned_schedule(const std::string& kernel) {
    const std::lock_guard lock(registry().mutex);
    for (auto p = registry().pins.rbegin(); p != registry().pins.rend(); ++p)
        if (p->kernel == kernel) return p->schedule;
    return nullptr;
}

std::int64_t pins_now() {
    const std::lock_guard lock(registry().mutex);
    return registry().pins.empty() ? 0 : registry().changes;
}

}  // namespace sinter::runtime
