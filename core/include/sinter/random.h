#pragma once
// Random numbers, counter-based: a call's numbers are a function of the generator's seed, the
// number of calls made of it before, and the element's position, computed by tensor ops that fuse
// with whatever uses them. So the same seed gives the same numbers on every device, eager or
// captured (floating-point functions of them, as in randn, within the accuracy of those functions).

#include <cstdint>
#include <memory>
#include <optional>

#include <sinter/tensor.h>

namespace sinter {

/// A stream of random numbers; see manual_seed for the one that is used where none is named. Any
/// number of threads may draw from it; which of them gets which numbers is then up to them.
class Generator {
public:
    explicit Generator(std::uint64_t seed = 0);
    ~Generator();
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;

    void seed(std::uint64_t seed);

    /// Where the stream is, to be kept in a checkpoint and set again.
    struct State {
        std::uint64_t seed = 0, calls = 0;
    };
    State state() const;
    void set_state(State state);

    /// The two words that the next call's numbers are made from.
    struct Key {
        std::uint32_t low, high;
    };
    Key next_key();

private:
    friend struct Draw;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// The process's generator, seeded with 0 at start.
Generator& default_generator();
void manual_seed(std::uint64_t seed);

struct RandomOptions {
    DType dtype = f32;
    Generator* generator = nullptr;  ///< default_generator() if null
};

/// Uniform in [0, 1), with as many random bits as the dtype's mantissa.
Tensor rand(const Shape& shape, const RandomOptions& options = {}, Where where = Where::current());
/// Normal, mean 0 and variance 1 (Box and Muller, 1958).
Tensor randn(const Shape& shape, const RandomOptions& options = {}, Where where = Where::current());
/// Whole numbers low <= x < high, i64 unless another integer dtype is named.
Tensor randint(std::int64_t low, std::int64_t high, const Shape& shape,
               const RandomOptions& options = {.dtype = i64}, Where where = Where::current());
/// The numbers 0..n-1 in random order (i64), drawn on the host.
Tensor randperm(std::int64_t n, const RandomOptions& options = {.dtype = i64},
                Where where = Where::current());
Tensor uniform(const Shape& shape, double low = 0, double high = 1,
               const RandomOptions& options = {}, Where where = Where::current());
Tensor normal(const Shape& shape, double mean = 0, double deviation = 1,
              const RandomOptions& options = {}, Where where = Where::current());
/// -log(1 - u) / rate.
Tensor exponential(const Shape& shape, double rate = 1, const RandomOptions& options = {},
                   Where where = Where::current());
Tensor rand_like(const Arg& x, Generator* generator = nullptr);
Tensor randn_like(const Arg& x, Generator* generator = nullptr);
/// 1 with probability p, element by element, else 0; dtype of p.
Tensor bernoulli(const Arg& p, Generator* generator = nullptr);
/// Zero with probability p, else x / (1 - p). p outside [0, 1]: ValueError.
Tensor dropout(const Arg& x, double p = 0.5, bool training = true, Generator* generator = nullptr);

}  // namespace sinter
