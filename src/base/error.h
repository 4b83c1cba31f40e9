// Errors. In core/ an expected failure is a value: Result<T>. In the layers that do I/O a failed operation throws Error
// and unwinds to whoever owns the operation, with context added on the way.
//
// A message says what was wrong, where, and (in the hint) what to do about it. It never holds a secret.
#pragma once

#include <exception>
#include <source_location>
#include <string>
#include <string_view>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>

namespace gantry {

enum class ErrorCode {
  invalid_input,      // the request itself is wrong; the same request will never work
  not_authenticated,  // we do not know who asks
  not_authorized,     // we know who asks, and they may not
  not_found,
  conflict,  // contradicts what is recorded
  expired,   // was here, is gone
  too_large,
  unavailable,        // cannot be done now; the same request may work later
  deadline_exceeded,  // a wait had a limit, and it has passed
  cancelled,          // whoever owns the operation no longer wants it
  corrupt,            // stored bytes are not what was written
  unsupported,        // a version, a feature or a format that this build does not know
  internal,           // a defect of ours
};

/// What an invalid_input found fault with, where that makes a difference to who is told of it.
enum class InputFault {
  meaning,    // well formed, but it cannot be
  arguments,  // a path or query parameter
  syntax,     // the body is not what its content type says
  schema,     // the body is not of the shape that is asked for
};

/// The code as it is printed in JSON and logs, for example "not-found".
std::string_view error_code_name(ErrorCode code);

class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {})
      : code_(code), message_(std::move(message)), hint_(std::move(hint)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }
  /// What to do about it; may be empty.
  const std::string& hint() const { return hint_; }
  const char* what() const noexcept override { return message_.c_str(); }
  InputFault fault() const { return fault_; }

  /// The same error, with "where: " before its message.
  Error in(std::string_view where) const;
  /// The same error, with this fault.
  Error with_fault(InputFault fault) const;

 private:
  ErrorCode code_;
  std::string message_;
  std::string hint_;
  InputFault fault_ = InputFault::meaning;
};

template <class T>
using Result = boost::outcome_v2::basic_result<T, Error, boost::outcome_v2::policy::terminate>;

inline auto success() { return boost::outcome_v2::success(); }

/// The value, or the error thrown.
template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::move(result).assume_error();
  if constexpr (!std::is_void_v<T>) return std::move(result).assume_value();
}

/// An exception of any type as an Error; what is not ours becomes `internal` with its what().
Error error_of(const std::exception_ptr& exception);

/// True if the exception says that the coroutine was cancelled.
bool is_cancelled(const std::exception_ptr& exception);

/// Ends the program with a message; for broken invariants only. Stays on in release builds.
[[noreturn]] void assert_failed(const char* condition, std::source_location where);

}  // namespace gantry

#define GANTRY_ASSERT(condition) \
  ((condition) ? void() : ::gantry::assert_failed(#condition, std::source_location::current()))
#define TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
#define CO_TRY(...) BOOST_OUTCOME_CO_TRY(__VA_ARGS__)
