#include "base/error.h"

#include <cstdlib>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <fmt/core.h>

namespace gantry {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_input: return "invalid-input";
    case ErrorCode::not_authenticated: return "not-authenticated";
    case ErrorCode::not_authorized: return "not-authorized";
    case ErrorCode::not_found: return "not-found";
    case ErrorCode::conflict: return "conflict";
    case ErrorCode::expired: return "expired";
    case ErrorCode::too_large: return "too-large";
    case ErrorCode::unavailable: return "unavailable";
    case ErrorCode::deadline_exceeded: return "deadline-exceeded";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::corrupt: return "corrupt";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::internal: return "internal";
  }
  return "internal";
}

Error Error::in(std::string_view where) const {
  Error error = *this;
  error.message_ = fmt::format("{}: {}", where, message_);
  return error;
}

Error Error::with_fault(InputFault fault) const {
  Error error = *this;
  error.fault_ = fault;
  return error;
}

Error error_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error;
  } catch (const boost::system::system_error& error) {
    if (error.code() == boost::asio::error::operation_aborted) return Error(ErrorCode::cancelled, "cancelled");
    return Error(ErrorCode::unavailable, error.code().message());
  } catch (const std::exception& error) {
    return Error(ErrorCode::internal, error.what());
  } catch (...) {
    return Error(ErrorCode::internal, "an exception of an unknown type");
  }
}

bool is_cancelled(const std::exception_ptr& exception) {
  return exception && error_of(exception).code() == ErrorCode::cancelled;
}

void assert_failed(const char* condition, std::source_location where) {
  fmt::print(stderr, "{}:{}: broken invariant: {}\n", where.file_name(), where.line(), condition);
  std::abort();
}

}  // namespace gantry
