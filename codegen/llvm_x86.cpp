// Instructions of x86 that LLVM IR has no operation for, in registers of 16 to 64 bytes.

#include <algorithm>

#include "dots.h"
#include "llvm_writer.h"

namespace sinter::codegen {

std::string LlvmWriter::shuffled(DType dt, int lanes, const std::string& x, const std::string& y,
                                 int to, int first) {
    const std::string t = type(dt, lanes), r = fresh("t");
    line(r + " = shufflevector " + t + " " + x + ", " + t + " " + y + ", " + vector_of("i32", to) +
         " " + vector_constant("i32", to, [&](int lane) {
             return std::to_string(std::min(first + lane, 2 * lanes - 1));
         }));
    return r;
}

// x 2^n, in registers of 16 to 64 bytes. Gives the value's name.
std::string LlvmWriter::scaled(DType dt, int lanes, const std::string& x, const std::string& n) {
    const std::string t = type(dt, lanes);
    const int bytes = lanes * static_cast<int>(size_of(dt));
    if (lanes == 1) {
        std::string wide[2];
        for (const int k : {0, 1}) {
            wide[k] = fresh("t");
            line(wide[k] + " = insertelement " + type(dt, 2) + " poison, " + t + " " +
                 (k == 0 ? x : n) + ", i64 0");
        }
        const std::string both = scaled(dt, 2, wide[0], wide[1]), r = fresh("t");
        line(r + " = extractelement " + type(dt, 2) + " " + both + ", i64 0");
        return r;
    }
    if (bytes < 16) {
        const std::string wide = scaled(dt, 2 * lanes, shuffled(dt, lanes, x, x, 2 * lanes, 0),
                                        shuffled(dt, lanes, n, n, 2 * lanes, 0));
        return shuffled(dt, 2 * lanes, wide, wide, lanes, 0);
    }
    if (bytes > 64) {
        const int half = lanes / 2;
        std::string parts[2];
        for (const int k : {0, 1})
            parts[k] = scaled(dt, half, shuffled(dt, lanes, x, x, half, k * half),
                              shuffled(dt, lanes, n, n, half, k * half));
        return shuffled(dt, half, parts[0], parts[1], lanes, 0);
    }
    std::vector<std::pair<std::string, std::string>> args{
        {t, x}, {t, n}, {t, "zeroinitializer"}, {lanes == 16 ? "i16" : "i8", "-1"}};
    if (bytes == 64) args.emplace_back("i32", "4");  // rounding as it is set
    const std::string r = fresh("t");
    line(r + " = " +
         call(t,
              "llvm.x86.avx512.mask.scalef." + std::string(dt == f32 ? "ps" : "pd") + "." +
                  std::to_string(8 * bytes),
              args));
    return r;
}

// In registers of 16 to 64 bytes. Gives the value's name.
std::string LlvmWriter::dot(const Inst& i, int lanes, const std::string& x, const std::string& y,
                            const std::string& sum) {
    const std::string t = type(i.dtype, lanes), words = type(DType::U32, lanes);
    const std::string r = fresh("t");
    if (lanes == 1) {
        std::string wide[3];
        for (const int k : {0, 1, 2}) {
            const DType dt = k < 2 ? DType::U32 : i.dtype;
            wide[k] = fresh("t");
            line(wide[k] + " = insertelement " + type(dt, 4) + " zeroinitializer, " + type(dt, 1) +
                 " " +
                 (k == 0   ? x
                  : k == 1 ? y
                           : sum) +
                 ", i64 0");
        }
        const std::string four = dot(i, 4, wide[0], wide[1], wide[2]);
        line(r + " = extractelement " + type(i.dtype, 4) + " " + four + ", i64 0");
        return r;
    }
    const int most = target_.vector_bits / 32;
    if (lanes < 4 || lanes > most) {
        // Too few: twice as many; too many: by halves.
        const bool few = lanes < 4;
        const int to = few ? 2 * lanes : lanes / 2;
        std::string parts[2];
        for (int k = 0; k < (few ? 1 : 2); ++k)
            parts[k] = dot(i, to, shuffled(DType::U32, lanes, x, x, to, k * to),
                           shuffled(DType::U32, lanes, y, y, to, k * to),
                           shuffled(i.dtype, lanes, sum, sum, to, k * to));
        return few ? shuffled(i.dtype, to, parts[0], parts[0], lanes, 0)
                   : shuffled(i.dtype, to, parts[0], parts[1], lanes, 0);
    }
    const std::string bits = std::to_string(32 * lanes);
    if (i.imm == static_cast<std::int64_t>(DotKind::QuadsOfBytes)) {
        line(r + " = " +
             call(t, "llvm.x86.avx512.vpdpbusd." + bits, {{t, sum}, {words, x}, {words, y}}));
        return r;
    }
    const std::string pairs = vector_of("bfloat", 2 * lanes);
    std::string operands[2];
    for (const int k : {0, 1}) {
        operands[k] = fresh("t");
        line(operands[k] + " = bitcast " + words + " " + (k == 0 ? x : y) + " to " + pairs);
    }
    line(r + " = " +
         call(t, "llvm.x86.avx512bf16.dpbf16ps." + bits,
              {{t, sum}, {pairs, operands[0]}, {pairs, operands[1]}}));
    return r;
}

}  // namespace sinter::codegen
