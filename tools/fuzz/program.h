#pragma once
// A tensor program as data: replayed on any device, shrunk, printed.

#include <sinter/sinter.h>

#include <cstdint>
#include <string>
#include <vector>

namespace fuzz {

namespace sn = sinter;
using Ints = std::vector<std::int64_t>;

/// An argument that is no tensor.
struct Param {
    enum class Kind { Int, Real, Flag, List, Type, Word, None };
    Kind kind = Kind::None;
    std::int64_t integer = 0;  ///< Int, Flag; the value of Type and Word
    double real = 0;
    Ints list;
    std::string word;  ///< as C++ spells it: "sn::PadMode::Reflect"

    static Param of_int(std::int64_t v) { return {Kind::Int, v, 0, {}, {}}; }
    static Param of_real(double v) { return {Kind::Real, 0, v, {}, {}}; }
    static Param of_flag(bool v) { return {Kind::Flag, v ? 1 : 0, 0, {}, {}}; }
    static Param of_list(Ints v) { return {Kind::List, 0, 0, std::move(v), {}}; }
    static Param of_type(sn::DType v) {
        return {Kind::Type, static_cast<std::int64_t>(v), 0, {}, {}};
    }
    static Param of_word(std::int64_t v, std::string text) {
        return {Kind::Word, v, 0, {}, std::move(text)};
    }
    /// An argument left to its default, which must be so for all that follow it.
    static Param none() { return {}; }
};

/// A value of an earlier step, or a number in its place.
struct Operand {
    int step = -1;
    Param number;
};

/// How the elements of a leaf were drawn, so that other data can take their place.
enum class Draw : std::uint8_t { Tame, Grid, Wide, Special, Below, AnyInt, SmallInt };

/// Memory with given elements: floats in `reals`, integers and bool in `ints`.
struct Leaf {
    sn::DType dtype = sn::f32;
    sn::Shape shape;
    Draw draw = Draw::Tame;
    std::int64_t below = 0;  ///< Draw::Below: integers in [0, below)
    std::vector<double> reals;
    std::vector<std::int64_t> ints;
};

inline constexpr int kLeaf = -1;

/// One line of the program; step i defines the variable v<i>, unless its row is a statement.
struct Step {
    int row = kLeaf;
    Leaf leaf;
    std::vector<Operand> in;
    std::vector<Param> params;
};

struct Program {
    std::vector<Step> steps;
    std::vector<int> outputs;
    bool together = true;  ///< outputs are computed by one realize, else each when it is read
    bool twice = false;    ///< once more with other data in the leaves, which may find the schedule
                           ///< in the cache
    bool threads = false;  ///< in two threads at once
    bool captured = false;  ///< as a jitted function, replayed with other data in the leaves
};

/// Fills the leaf's elements.
void draw_elements(Leaf& leaf, std::uint64_t seed);
/// The program with other elements in its leaves.
Program with_other_data(const Program& program, std::uint64_t seed);

}  // namespace fuzz
