// For tests: runs coroutines to their end on a real io_context. A test in which nothing happens for a minute fails with
// an exception instead of hanging.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>

#include "base/env.h"

namespace gantry::engine {

class TestLoop {
 public:
  TestLoop() : env_(io_) {}

  asio::io_context& io() { return io_; }
  SystemEnv& env() { return env_; }
  Executor executor() { return io_.get_executor(); }

  void run_until(const std::function<bool()>& done) {
    while (!done()) {
      if (io_.stopped()) io_.restart();
      if (io_.run_one_for(std::chrono::minutes(1)) == 0 && !done())
        throw std::runtime_error("nothing happens any more");
    }
  }

  template <class T>
  T run(Async<T> work) {
    auto result = std::make_shared<std::pair<std::exception_ptr, std::optional<T>>>();
    asio::co_spawn(executor(), std::move(work), [result](std::exception_ptr exception, T value) {
      result->first = exception;
      result->second.emplace(std::move(value));
    });
    run_until([&] { return result->second.has_value(); });
    if (result->first) std::rethrow_exception(result->first);
    return std::move(*result->second);
  }

  void run(Async<> work) {
    auto result = std::make_shared<std::pair<std::exception_ptr, bool>>();
    asio::co_spawn(executor(), std::move(work),
                   [result](std::exception_ptr exception) { *result = {exception, true}; });
    run_until([&] { return result->second; });
    if (result->first) std::rethrow_exception(result->first);
  }

  /// What `work` threw.
  template <class T>
  std::optional<Error> error_of_running(Async<T> work) {
    try {
      run(std::move(work));
    } catch (const Error& error) {
      return error;
    }
    return std::nullopt;
  }

 private:
  asio::io_context io_;
  SystemEnv env_;
};

}  // namespace gantry::engine
