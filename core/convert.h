#pragma once
// Elements of one dtype as elements of another, on the host: what reading back does.

#include <cstddef>

#include <sinter/ir/dtype.h>

namespace sinter {

/// Float to integer truncates and saturates, NaN gives 0; to bool is "!= 0"; integers wrap.
void convert_elements(void* out, DType to, const void* in, DType from, std::size_t n);

/// One element as a double (16-bit floats too); 64-bit integers may round.
double element_as_double(const void* data, DType dtype, std::size_t i);

}  // namespace sinter
