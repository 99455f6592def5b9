#include "objects.h"

#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace tilewise {

// A kernel file is linked with --emit-relocs and each of its functions has a section of its own, so every mention of
// an array or of another function is still written down: where it stands, and what is meant.
struct Function {
    Elf64_Addr end;
    std::set<const Elf64_Sym*> arrays;
    std::set<Elf64_Addr> mentions;  // where other functions begin
};

class KernelFile {
public:
    explicit KernelFile(const char* path) {
        std::ifstream file(path, std::ios::binary);
        content_.assign(std::istreambuf_iterator<char>(file), {});
        if (content_.size() < sizeof(Elf64_Ehdr)) return;  // a cache may be deleted while its programs run
        auto* header = at<Elf64_Ehdr>(0);
        sections_ = at<Elf64_Shdr>(header->e_shoff);
        for (unsigned i = 0; i < header->e_shnum; ++i)
            if (sections_[i].sh_type == SHT_SYMTAB) read_functions(i);
        for (unsigned i = 0; i < header->e_shnum; ++i)
            if (sections_[i].sh_type == SHT_RELA) read_mentions(sections_[i]);
    }

    // -> the sizes of all arrays that can be reached from the function that begins there
    size_t shared_bytes(Elf64_Addr function) const {
        std::set<const Elf64_Sym*> arrays;
        std::set<Elf64_Addr> seen{function};
        for (std::vector<Elf64_Addr> waiting{function}; !waiting.empty();) {
            auto found = functions_.find(waiting.back());
            waiting.pop_back();
            if (found == functions_.end()) continue;
            arrays.insert(found->second.arrays.begin(), found->second.arrays.end());
            for (Elf64_Addr other : found->second.mentions)
                if (seen.insert(other).second) waiting.push_back(other);
        }
        size_t bytes = 0;
        for (const Elf64_Sym* array : arrays) bytes += array->st_size;
        return bytes;
    }

private:
    template <class T>
    const T* at(size_t offset) const {
        return reinterpret_cast<const T*>(content_.data() + offset);
    }

    void read_functions(unsigned section) {
        symbol_section_ = section;
        symbols_ = at<Elf64_Sym>(sections_[section].sh_offset);
        for (size_t i = 0; i < sections_[section].sh_size / sizeof(Elf64_Sym); ++i)
            if (ELF64_ST_TYPE(symbols_[i].st_info) == STT_FUNC && symbols_[i].st_size)
                functions_[symbols_[i].st_value].end = symbols_[i].st_value + symbols_[i].st_size;
    }

    std::map<Elf64_Addr, Function>::iterator function_around(Elf64_Addr address) {
        auto after = functions_.upper_bound(address);
        if (after == functions_.begin()) return functions_.end();
        auto found = std::prev(after);
        return address < found->second.end ? found : functions_.end();
    }

    void read_mentions(const Elf64_Shdr& section) {
        // Those of debugging information count from the beginning of their section; those of the loader name no symbols
        // of this table.
        if (section.sh_link != symbol_section_ || !(sections_[section.sh_info].sh_flags & SHF_EXECINSTR)) return;
        auto* mentions = at<Elf64_Rela>(section.sh_offset);
        for (size_t i = 0; i < section.sh_size / sizeof(Elf64_Rela); ++i) {
            auto from = function_around(mentions[i].r_offset);
            if (from == functions_.end()) continue;
            const Elf64_Sym& symbol = symbols_[ELF64_R_SYM(mentions[i].r_info)];
            Elf64_Addr address = symbol.st_value;
            if (ELF64_ST_TYPE(symbol.st_info) == STT_TLS) from->second.arrays.insert(&symbol);
            // A function that only this file knows goes by its distance from the beginning of all code.
            if (ELF64_ST_TYPE(symbol.st_info) == STT_SECTION) address += Elf64_Addr(mentions[i].r_addend) + counted_from;
            auto other = symbol.st_shndx == SHN_UNDEF ? functions_.end() : function_around(address);
            if (other != functions_.end() && ELF64_ST_TYPE(symbol.st_info) != STT_TLS)
                from->second.mentions.insert(other->first);
        }
    }

    // x86-64 counts distances from the end of an instruction, which is 4 bytes after where they are written.
#ifdef __x86_64__
    static constexpr Elf64_Addr counted_from = 4;
#else
    static constexpr Elf64_Addr counted_from = 0;
#endif
    std::vector<char> content_;
    const Elf64_Shdr* sections_ = nullptr;
    const Elf64_Sym* symbols_ = nullptr;
    unsigned symbol_section_ = 0;
    std::map<Elf64_Addr, Function> functions_;
};

size_t static_shared_bytes(const void* kernel) {
    static std::map<std::string, KernelFile> files;
    static std::map<const void*, size_t> known;
    auto [found, fresh] = known.try_emplace(kernel, 0);
    Dl_info place;
    if (!fresh || !dladdr(kernel, &place)) return found->second;
    auto file = files.try_emplace(place.dli_fname, place.dli_fname).first;
    auto offset = static_cast<const char*>(kernel) - static_cast<const char*>(place.dli_fbase);
    return found->second = file->second.shared_bytes(Elf64_Addr(offset));
}

}  // namespace tilewise
