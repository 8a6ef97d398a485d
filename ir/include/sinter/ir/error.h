#pragma once
// Failures a user can meet. Every message names the op, the shapes and dtypes, and what to do;
// where the call is known, the line of the user's code stands in front.

#include <source_location>
#include <stdexcept>
#include <string>

namespace sinter {

/// Base of every exception that Sinter throws.
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& message) : std::runtime_error(message) {}
};

/// Shapes or axes that do not fit the op.
class ShapeError : public Error {
    using Error::Error;
};
/// A dtype the op does not take.
class DTypeError : public Error {
    using Error::Error;
};
/// An index outside its bound.
class IndexError : public Error {
    using Error::Error;
};
/// Tensors on different devices, an unknown device, or one that cannot be opened.
class DeviceError : public Error {
    using Error::Error;
};
/// A value that cannot be computed or differentiated as asked.
class ValueError : public Error {
    using Error::Error;
};
/// A file that is missing, truncated or corrupted.
class FileError : public Error {
    using Error::Error;
};
/// Memory that could not be had.
class OutOfMemoryError : public Error {
    using Error::Error;
};
/// A library (LLVM, NVRTC, driver) that is missing or refused the code.
class BackendError : public Error {
    using Error::Error;
};
/// An invariant of Sinter is broken: a bug of ours, with the node or rule that broke it.
class InternalError : public Error {
    using Error::Error;
};

/// "file.cpp:12: " in front of the messages of errors about a user's call.
std::string at(const std::source_location& where);

}  // namespace sinter
