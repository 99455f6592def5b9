#include "objects.h"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace tilewise {

// A kernel file is linked with --emit-relocs and each of its functions has a section of its own, so every mention of
// an array or of another function is still written down: where it stands, and what is meant.
class KernelFile {
public:
    explicit KernelFile(const char* path) {
        std::ifstream file(path, std::ios::binary);
        content_.assign(std::istreambuf_iterator<char>(file), {});
        if (content_.size() < sizeof(Elf64_Ehdr)) return;
        auto* header = at<Elf64_Ehdr>(0);
        sections_ = at<Elf64_Shdr>(header->e_shoff);
        section_names_ = at<char>(sections_[header->e_shstrndx].sh_offset);
        for (unsigned i = 0; i < header->e_shnum; ++i)
            if (sections_[i].sh_type == SHT_SYMTAB) read_symbols(i);
        for (unsigned i = 0; i < header->e_shnum; ++i)
            if (sections_[i].sh_type == SHT_RELA) read_mentions(sections_[i]);
    }

    bool is_known() const { return sections_ != nullptr; }

    // -> the arrays that can be reached from the function that begins there
    std::vector<Variable> shared_by(Elf64_Addr function) const {
        std::set<const Elf64_Sym*> arrays;
        std::set<Elf64_Addr> seen{function};
        for (std::vector<Elf64_Addr> waiting{function}; !waiting.empty();) {
            auto found = things_.find(waiting.back());
            waiting.pop_back();
            if (found == things_.end()) continue;
            arrays.insert(found->second.arrays.begin(), found->second.arrays.end());
            for (Elf64_Addr other : found->second.mentions)
                if (seen.insert(other).second) waiting.push_back(other);
        }
        std::vector<Variable> variables;
        for (const Elf64_Sym* array : arrays) variables.push_back(variable(*array));
        return variables;
    }

    Variables variables;

private:
    // A function, or data that may hold the addresses of functions.
    struct Thing {
        Elf64_Addr end;
        std::set<const Elf64_Sym*> arrays;
        std::set<Elf64_Addr> mentions;  // where other things begin
    };

    template <class T>
    const T* at(size_t offset) const {
        return reinterpret_cast<const T*>(content_.data() + offset);
    }

    // `kernel(float*)::tile` is tile to its reader.
    Variable variable(const Elf64_Sym& symbol) const {
        std::string name = symbol_names_ + symbol.st_name;
        if (char* readable = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, nullptr)) {
            name = readable;
            std::free(readable);
        }
        if (auto scope = name.rfind("::"); scope != std::string::npos) name.erase(0, scope + 2);
        return {name, symbol.st_value, symbol.st_size};
    }

    void read_symbols(unsigned number) {
        const Elf64_Shdr& table = sections_[number];
        symbol_table_ = number;
        symbols_ = at<Elf64_Sym>(table.sh_offset);
        symbol_names_ = at<char>(sections_[table.sh_link].sh_offset);
        for (size_t i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
            const Elf64_Sym& symbol = symbols_[i];
            unsigned type = ELF64_ST_TYPE(symbol.st_info);
            if ((type != STT_FUNC && type != STT_OBJECT) || !symbol.st_size) continue;
            things_[symbol.st_value].end = symbol.st_value + symbol.st_size;
            if (type != STT_OBJECT || symbol.st_shndx >= SHN_LORESERVE) continue;
            const Elf64_Shdr& home = sections_[symbol.st_shndx];
            if (std::strcmp(section_names_ + home.sh_name, "tw_constant") == 0)
                variables.constants = {"constant memory", home.sh_addr, home.sh_size};
            else if (home.sh_flags & SHF_WRITE && !std::strchr(symbol_names_ + symbol.st_name, '.'))
                variables.device.push_back(variable(symbol));  // a name with a dot is the compiler's own
        }
    }

    std::map<Elf64_Addr, Thing>::iterator thing_around(Elf64_Addr address) {
        auto after = things_.upper_bound(address);
        if (after == things_.begin()) return things_.end();
        auto found = std::prev(after);
        return address < found->second.end ? found : things_.end();
    }

    void read_mentions(const Elf64_Shdr& section) {
        // Those of debugging information count from the beginning of their section; those of the loader name no symbols
        // of this table.
        const Elf64_Shdr& home = sections_[section.sh_info];
        if (section.sh_link != symbol_table_ || !(home.sh_flags & SHF_ALLOC)) return;
        auto* mentions = at<Elf64_Rela>(section.sh_offset);
        for (size_t i = 0; i < section.sh_size / sizeof(Elf64_Rela); ++i) {
            auto from = thing_around(mentions[i].r_offset);
            const Elf64_Sym& symbol = symbols_[ELF64_R_SYM(mentions[i].r_info)];
            if (from == things_.end() || symbol.st_shndx == SHN_UNDEF) continue;
            if (ELF64_ST_TYPE(symbol.st_info) == STT_TLS) {
                from->second.arrays.insert(&symbol);
                continue;
            }
            Elf64_Addr address = symbol.st_value;
            // A function that only this file knows goes by its distance from the beginning of all code.
            if (ELF64_ST_TYPE(symbol.st_info) == STT_SECTION)
                address += Elf64_Addr(mentions[i].r_addend) + (home.sh_flags & SHF_EXECINSTR ? counted_from : 0);
            auto other = thing_around(address);
            if (other != things_.end()) from->second.mentions.insert(other->first);
        }
    }

    // Code of x86-64 counts distances from the end of an instruction, which is 4 bytes after where they are written.
#ifdef __x86_64__
    static constexpr Elf64_Addr counted_from = 4;
#else
    static constexpr Elf64_Addr counted_from = 0;
#endif
    std::vector<char> content_;
    const Elf64_Shdr* sections_ = nullptr;
    const Elf64_Sym* symbols_ = nullptr;
    const char *section_names_ = nullptr, *symbol_names_ = nullptr;
    unsigned symbol_table_ = 0;
    std::map<Elf64_Addr, Thing> things_;
};

static const KernelFile& file_of(const void* kernel, Elf64_Addr& offset) {
    static std::map<std::string, KernelFile> files;
    Dl_info place;
    if (!dladdr(kernel, &place)) std::abort();  // whoever launches it has called into its file
    offset = Elf64_Addr(static_cast<const char*>(kernel) - static_cast<const char*>(place.dli_fbase));
    return files.try_emplace(place.dli_fname, place.dli_fname).first->second;
}

const std::vector<Variable>* static_shared(const void* kernel) {
    static std::map<const void*, std::vector<Variable>> known;
    Elf64_Addr offset;
    const KernelFile& file = file_of(kernel, offset);
    if (!file.is_known()) return nullptr;
    auto [found, fresh] = known.try_emplace(kernel);
    if (fresh) found->second = file.shared_by(offset);
    return &found->second;
}

const Variables& variables_beside(const void* kernel) {
    Elf64_Addr offset;
    return file_of(kernel, offset).variables;
}

}  // namespace tilewise
