#include <link.h>

#include <cstring>

#include <sinter/runtime/program.h>

namespace sinter::runtime {
namespace {

// The GNU build-id note of the object that this code is in.
int find_note(dl_phdr_info* object, std::size_t, void* data) {
    auto& id = *static_cast<std::string*>(data);
    const auto here = reinterpret_cast<std::uintptr_t>(&find_note);
    bool ours = false;
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
        ours =
            ours || (segment.p_type == PT_LOAD && here >= begin && here - begin < segment.p_memsz);
    }
    if (!ours) return 0;
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_NOTE) continue;
        const char* at = reinterpret_cast<const char*>(object->dlpi_addr + segment.p_vaddr);
        const char* end = at + segment.p_memsz;
        while (static_cast<std::size_t>(end - at) >= sizeof(ElfW(Nhdr))) {
            ElfW(Nhdr) note;
            std::memcpy(&note, at, sizeof note);
            const auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
            const char* name = at + sizeof note;
            const char* content = name + padded(note.n_namesz);
            at = content + padded(note.n_descsz);
            if (at > end) break;
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
                std::memcmp(name, "GNU", 4) == 0)
                id.assign(content, note.n_descsz);
        }
    }
    return 1;
}

}  // namespace

const std::string& build_id() {
    static const std::string id = [] {
        std::string found;
        dl_iterate_phdr(find_note, &found);
        return found;
    }();
    return id;
}

}  // namespace sinter::runtime
