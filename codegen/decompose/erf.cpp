// erf(x) = x + x p(x^2) near zero, 1 - e^-g(x) beyond, where g = -log(1 - erf) is smooth; both
// minimax (Remez).

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

// In x^2, |x| < 0.93.
constexpr double kSmall32[] = {0.12837916612625122,  -0.3761262893676758,  0.11283625662326813,
                               -0.02685573138296604, 0.005192405078560114, -0.0008049769676290452,
                               7.996649947017431e-05};
constexpr double kSmall64[] = {
    0.1283791670955126,      -0.37612638903183754,    0.11283791670955125,
    -0.02686617064513093,    0.005223977625437237,    -0.0008548327022995566,
    0.00012055332954617768,  -1.4925649255607226e-05, 1.6462083104099384e-06,
    -1.6365218520331313e-07, 1.4798352004202666e-08,  -1.2204179304939899e-09,
    8.862629171940682e-11,   -4.494327114783868e-12,
};
// g in x, 0.92 < x < 3.95.
constexpr double kLarge32[] = {-0.0001773361291270703, 1.1295276880264282,    0.6333211064338684,
                               0.10830850154161453,    -0.02513781748712063,  0.004178053233772516,
                               -0.0004359052691143006, 2.1219502741587348e-05};
// g in x, 0.92 < x < 6.
constexpr double kLarge64[] = {
    -2.3826357625700898e-08, 1.1283794741764341,      0.6366179011049612,
    0.10277977593465548,     -0.01914785358263673,    -0.00016977481930833594,
    0.0016338037930600758,   -0.0005112794369174992,  -5.484138717437604e-05,
    0.00013199503611653051,  -7.589200046322746e-05,  2.902963070321466e-05,
    -8.42728720985171e-06,   1.927414030763219e-06,   -3.495312225975186e-07,
    4.970217583035078e-08,   -5.3889899203437184e-09, 4.222391024833011e-10,
    -2.133494317686101e-11,  4.776193413080474e-13,   1.0054590659244624e-14,
    -6.481045384509077e-16};

}  // namespace

Value erf(Value x) {
    const bool wide = x.dtype() == DType::F64;
    const Value size = abs(x);
    const Value square = x * x;
    const Value small =
        fma(x, polynomial(square, wide ? std::span<const double>(kSmall64) : kSmall32), x);
    // At the bound the result rounds to 1.
    const Value bounded = at_most(size, wide ? 5.95 : 3.95);
    const Value g = wide ? polynomial(bounded, kLarge64) : polynomial(bounded, kLarge32);
    const Value large = 1.0 - exp_bounded(-g);
    return where(size < 0.925, small, flip_sign(large, sign_of(x)));
}

}  // namespace sinter::codegen::math
