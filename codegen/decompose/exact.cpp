// Sums and products without rounding error, as two values (T. J. Dekker, A floating-point technique
// for extending the available precision, 1971; D. Knuth, TAOCP vol. 2, 4.2.2).

#include "decompose/functions.h"

namespace sinter::codegen::math {
namespace {

// Veltkamp's splitting into halves of at most 26 bits.
Exact split(Value x) {
    const Value scaled = x * (x.dtype() == DType::F64 ? 0x1p27 + 1 : 0x1p12 + 1);
    const Value high = scaled - (scaled - x);
    return {high, x - high};
}

}  // namespace

Exact two_sum(Value a, Value b) {
    const Value sum = a + b;
    const Value from_a = sum - b;
    return {sum, (a - from_a) + (b - (sum - from_a))};
}

Exact two_product(Value a, Value b) {
    const Value product = a * b;
    if (a.context().target.fma) return {product, fma(a, b, -product)};
    const Exact x = split(a), y = split(b);
    return {product,
            ((x.high * y.high - product) + x.high * y.low + x.low * y.high) + x.low * y.low};
}

}  // namespace sinter::codegen::math
