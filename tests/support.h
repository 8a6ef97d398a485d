#pragma once
// Comparisons of tensors for tests: tolerances follow from the dtype, NaN equals NaN only in the
// same place.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <sinter/sinter.h>

namespace sinter::test {

/// Devices that tests run on: the one that DEVICE names, else all of them.
inline std::vector<Device> devices() {
    if (const char* named = std::getenv("DEVICE"); named != nullptr && *named != '\0')
        return {Device(named)};
    return {Device("REF"), Device("CPU")};
}

/// Runs `f` once a device, with it as the default.
template <class F>
void for_each_device(F&& f) {
    for (const Device device : devices()) {
        const std::string name(device.name());
        CAPTURE(name);
        const DeviceGuard guard(device);
        f();
    }
}

/// Distance from 1 to the next number; 0 for integers.
inline double epsilon(DType dt) {
    if (dt == f16) return 0x1p-10;
    if (dt == bf16) return 0x1p-7;
    if (dt == f32) return 0x1p-23;
    return dt == f64 ? 0x1p-52 : 0;
}

/// Whether `got` is `want` within `steps` roundings of a number of this size, or of `scale` where
/// that is larger (sums of numbers of that size).
inline bool close(double got, double want, DType dt, double steps = 4, double scale = 0) {
    if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
    if (std::isinf(want) || std::isinf(got)) return want == got;
    return std::fabs(got - want) <= steps * epsilon(dt) * std::max(std::fabs(want), scale);
}

inline std::string show(const std::vector<double>& values) {
    std::string out = "{";
    for (const double v : values) out += (out.size() == 1 ? "" : ", ") + std::to_string(v);
    return out + "}";
}

/// Every element close, and the shape equal.
inline void expect_shaped(const Tensor& got, const Shape& shape, const std::vector<double>& want,
                          double steps = 4, double scale = 0) {
    REQUIRE(to_string(got.shape()) == to_string(shape));
    const std::vector<double> values = got.to_vector<double>();
    REQUIRE(values.size() == want.size());
    bool all = true;
    for (std::size_t i = 0; i < want.size(); ++i)
        all = all && close(values[i], want[i], got.dtype(), steps, scale);
    const std::string have = show(values), wanted = show(want);
    CAPTURE(have);
    CAPTURE(wanted);
    CHECK(all);
}

/// A vector.
inline void expect(const Tensor& got, const std::vector<double>& want, double steps = 4,
                   double scale = 0) {
    expect_shaped(got, {static_cast<std::int64_t>(want.size())}, want, steps, scale);
}

/// A scalar.
inline void expect_scalar(const Tensor& got, double want, double steps = 4, double scale = 0) {
    expect_shaped(got, Shape{}, {want}, steps, scale);
}

/// What makes a tensor, with the generator set to the same seed, computed on a device.
using Program = std::function<Tensor()>;
inline std::vector<float> values_on(const char* device, const Program& program) {
    const DeviceGuard guard{Device(device)};
    manual_seed(7);
    return program().to_vector<float>();
}

/// The largest difference, in units of the largest wanted; infinite where one has NaN.
inline double relative_difference(const std::vector<float>& got, const std::vector<float>& want) {
    REQUIRE(got.size() == want.size());
    double most = 0, scale = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double d = std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
        most = std::max(most, d <= std::numeric_limits<double>::max()
                                  ? d
                                  : std::numeric_limits<double>::infinity());
        scale = std::max(scale, std::fabs(static_cast<double>(want[i])));
    }
    return most / scale;
}

/// The message of the E that f throws; another exception fails the test.
template <class E>
std::string message_of(const std::function<void()>& f) {
    try {
        f();
    } catch (const E& error) {
        return error.what();
    } catch (const std::exception& other) {
        return std::string("another kind of exception: ") + other.what();
    }
    return "no error";
}

inline bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// f throws an E whose message begins with a line of `file` and `start`, and has `part` in it.
template <class E>
void expect_refusal(const char* file, int line, const std::string& start, const std::string& part,
                    const std::function<void()>& f) {
    const std::string message = message_of<E>(f);
    const std::string begin = std::string(file) + ":" + std::to_string(line) + ": " + start;
    CAPTURE(message);
    CAPTURE(begin);
    CHECK(message.starts_with(begin));
    CAPTURE(part);
    CHECK(says(message, part));
}

/// f throws an E with this text, which begins with a line of `file`.
template <class E>
void expect_error(const char* file, int line, const std::string& text,
                  const std::function<void()>& f) {
    const std::string message = message_of<E>(f);
    const std::string place = std::string(file) + ":" + std::to_string(line) + ": ";
    CHECK(message == place + text);
}

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInf = std::numeric_limits<double>::infinity();

}  // namespace sinter::test

/// The expression throws an E whose message is this line and `text`.
#define SINTER_EXPECT_ERROR(E, text, ...) \
    ::sinter::test::expect_error<E>(__FILE__, __LINE__, text, [&] { (void)(__VA_ARGS__); })
