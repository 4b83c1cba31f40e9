#include "base/error.h"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

namespace gantry {
namespace {

Result<int> half(int number) {
  if (number % 2) return Error(ErrorCode::invalid_input, "odd", "use an even number");
  return number / 2;
}

Result<int> quarter(int number) {
  TRY(int once, half(number));
  TRY(int twice, half(once));
  return twice;
}

template <class Exception>
Error seen(Exception exception) {
  return error_of(std::make_exception_ptr(exception));
}

TEST(Error, TryPassesTheFirstErrorOn) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error().message(), "odd");
}

TEST(Error, ValueOrThrowThrowsTheWholeError) {
  EXPECT_EQ(value_or_throw(half(4)), 2);
  try {
    value_or_throw(half(3));
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_input);
    EXPECT_EQ(error.hint(), "use an even number");
  }
}

TEST(Error, ContextIsAddedInFront) {
  Error error = Error(ErrorCode::not_found, "no such file", "make it").in("reading x");
  EXPECT_EQ(error.message(), "reading x: no such file");
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_EQ(error.hint(), "make it");
}

TEST(Error, ForeignExceptionsBecomeOurs) {
  using boost::system::system_error;
  EXPECT_EQ(seen(Error(ErrorCode::conflict, "x")).code(), ErrorCode::conflict);
  EXPECT_EQ(seen(system_error(boost::asio::error::operation_aborted)).code(), ErrorCode::cancelled);
  EXPECT_EQ(seen(system_error(boost::asio::error::connection_refused)).code(), ErrorCode::unavailable);
  EXPECT_EQ(seen(std::runtime_error("boom")).code(), ErrorCode::internal);
  EXPECT_EQ(seen(42).code(), ErrorCode::internal);
}

TEST(Error, OnlyACancellationIsOne) {
  EXPECT_FALSE(is_cancelled(nullptr));
  EXPECT_TRUE(is_cancelled(std::make_exception_ptr(Error(ErrorCode::cancelled, ""))));
  EXPECT_FALSE(is_cancelled(std::make_exception_ptr(Error(ErrorCode::unavailable, ""))));
}

}  // namespace
}  // namespace gantry
