#include "agent/shell/shell_session.h"

#include <deque>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

#include "agent/limits.h"
#include "base/log.h"
#include "wire/shell_messages.h"

namespace gantry::agent {
namespace {

using wire::ShellCode;
using wire::ShellMessage;

/// Ctrl-C ends what runs in the foreground, Ctrl-D the shell behind it.
constexpr const char* hang_up = "\x03\x04";
/// For a command whose input nobody will give any more to take that in.
constexpr Duration hang_up_max = seconds(2);
/// Input that the command has not taken: past this the client is to wait.
constexpr std::size_t pause_above_bytes = 64 * 1024;
constexpr int resize_tries_max = 5;
constexpr Duration resize_retry_delay = milliseconds(30);

class ShellSession {
 public:
  ShellSession(Env& env, std::shared_ptr<engine::ExecSession> exec, std::shared_ptr<net::WebSocket> socket, bool tty)
      : exec_(std::move(exec)), socket_(std::move(socket)), tty_(tty), env_(env), scope_(env.executor(), "shell") {}

  /// Until the command or the client is gone.
  Async<> run();

 private:
  Async<> read_client();
  Async<bool> take(ShellMessage message);
  Async<> resize(int rows, int columns);
  Async<> take_messages();
  Async<> write_input();
  Async<> send_output();
  Async<> say(std::string message);
  void finish_side(const std::exception_ptr& failure);
  Async<> hang_up_command();

  std::shared_ptr<engine::ExecSession> exec_;
  std::shared_ptr<net::WebSocket> socket_;
  bool tty_;
  Env& env_;
  Scope scope_;
  std::deque<std::string> input_;  // that the command has not taken
  std::size_t input_bytes_ = 0;
  bool input_over_ = false;
  bool client_told_to_pause_ = false;
  bool paused_ = false;   // by the client
  bool stopped_ = false;  // the command has ended, and the client knows how
  bool over_ = false;
  Event news_;
};

void ShellSession::finish_side(const std::exception_ptr& failure) {
  if (failure && !is_cancelled(failure)) log_debug("shell: {}", error_of(failure).message());
  over_ = true;
  news_.notify_all();
}

Async<> ShellSession::say(std::string message) { co_await socket_->write_binary(std::move(message)); }

/// An engine may refuse it while the command is about to start.
Async<> ShellSession::resize(int rows, int columns) {
  for (int attempt = 1;; ++attempt) {
    std::optional<Error> failure;
    try {
      co_await exec_->resize(rows, columns);
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure) co_return;
    if (attempt == resize_tries_max) throw *failure;
    co_await env_.sleep(resize_retry_delay * attempt);
  }
}

/// False if the message was none.
Async<bool> ShellSession::take(ShellMessage message) {
  switch (message.code) {
    case ShellCode::input:
      if (input_over_ || message.bytes.empty()) co_return true;
      input_bytes_ += message.bytes.size();
      input_.push_back(std::move(message.bytes));
      if (input_bytes_ > pause_above_bytes && !std::exchange(client_told_to_pause_, true)) {
        news_.notify_all();
        co_await say(encode_shell(ShellCode::pause));
      }
      break;
    case ShellCode::end: input_over_ = true; break;
    case ShellCode::pause: paused_ = true; break;
    case ShellCode::resume: paused_ = false; break;
    case ShellCode::resize:
      if (!tty_) {
        co_await say(encode_shell(ShellCode::error, "cannot resize, not a tty instance"));
      } else {
        co_await resize(message.rows, message.columns);
      }
      break;
    default: co_return false;
  }
  news_.notify_all();
  co_return true;
}

Async<> ShellSession::take_messages() {
  while (auto message = co_await socket_->read()) {
    auto decoded = wire::decode_shell(message->bytes);
    bool known = decoded.has_value();
    if (known) {
      std::optional<Error> failure;
      try {
        known = co_await take(std::move(decoded).assume_value());
      } catch (const Error& error) {
        failure = error;
      }
      if (failure) log_debug("shell: {}", failure->message());  // a size that came too late, say
    }
    if (!known) {
      socket_->close(net::close_policy, "that is no message for a shell");
      co_return;
    }
    while (input_bytes_ > wire::shell_window_bytes && !over_) co_await news_.wait();
  }
}

Async<> ShellSession::read_client() {
  std::exception_ptr failure;
  try {
    co_await take_messages();
  } catch (...) {
    failure = std::current_exception();
  }
  finish_side(failure);
}

Async<> ShellSession::write_input() {
  std::exception_ptr failure;
  try {
    for (;;) {
      while (input_.empty() && !input_over_) co_await news_.wait();
      if (input_.empty()) break;
      std::string bytes = std::move(input_.front());
      input_.pop_front();
      std::size_t size = bytes.size();
      co_await exec_->write(std::move(bytes));
      input_bytes_ -= size;
      news_.notify_all();
      if (input_bytes_ == 0 && std::exchange(client_told_to_pause_, false))
        co_await say(encode_shell(ShellCode::resume));
    }
    if (tty_) {
      co_await exec_->write("\x04");
    } else {
      co_await exec_->close_input();
    }
  } catch (...) {
    failure = std::current_exception();
  }
  // A command that has closed its input may write on: this side's end is not the session's.
  if (failure && !is_cancelled(failure)) log_debug("shell: {}", error_of(failure).message());
  input_.clear();
  input_bytes_ = 0;
  news_.notify_all();
}

Async<> ShellSession::send_output() {
  std::exception_ptr failure;
  try {
    co_await say(encode_shell(ShellCode::resume));  // ready
    for (;;) {
      while (paused_) co_await news_.wait();
      engine::Output output = co_await exec_->read();
      if (output.bytes.empty()) break;
      ShellCode code = output.stream == 2 ? ShellCode::error_output : ShellCode::output;
      co_await say(encode_shell(code, output.bytes));
    }
    int code = co_await exec_->exit_code();
    co_await say(encode_shell(ShellMessage{.code = ShellCode::stopped, .exit_code = code}));
    stopped_ = true;
  } catch (...) {
    failure = std::current_exception();
  }
  finish_side(failure);
}

/// As a terminal does whose owner has gone.
Async<> ShellSession::hang_up_command() {
  std::optional<Error> failure;
  try {
    if (tty_) {
      co_await exec_->write(hang_up);
    } else {
      co_await exec_->close_input();
    }
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) log_debug("shell: {}", failure->message());
}

Async<> ShellSession::run() {
  scope_.spawn("client", read_client());
  scope_.spawn("input", write_input());
  scope_.spawn("output", send_output());
  std::exception_ptr failure;
  try {
    while (!over_) co_await news_.wait();
  } catch (...) {
    failure = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  scope_.cancel();
  co_await scope_.join();
  if (!stopped_) {
    scope_.spawn("hang up", hang_up_command());
    Duration until = env_.uptime() + hang_up_max;
    while (scope_.size() > 0 && env_.uptime() < until) co_await env_.sleep(milliseconds(20));
    scope_.cancel();
    co_await scope_.join();
  }
  exec_->close();
  if (!failure && !stopped_) socket_->close(net::close_going_away, "the shell is gone");
  if (failure) std::rethrow_exception(failure);
}

Async<> refuse(std::shared_ptr<net::WebSocket> socket, std::string reason) {
  try {
    co_await socket->write_binary(encode_shell(ShellCode::error, reason));
  } catch (const Error& error) {
    log_debug("shell: {}", error.message());
  }
}

Async<> open_and_serve(Env& env, engine::Engine& engine, std::shared_ptr<net::WebSocket> socket, std::string container,
                       wire::ShellRequest request) {
  std::shared_ptr<engine::ExecSession> exec;
  std::optional<std::string> refusal;
  if (container.empty()) refusal = "the task's container does not run yet, or no more";
  if (!refusal) {
    try {
      engine::ExecSpec spec;
      spec.command = request.command.empty() ? default_shell() : std::move(request.command);
      spec.tty = request.tty;
      spec.open_stdin = true;
      exec = co_await engine.exec(container, std::move(spec));
    } catch (const Error& error) {
      refusal = error.message();
    }
  }
  if (refusal) {
    co_await refuse(socket, std::move(*refusal));
    co_return;
  }
  ShellSession session(env, std::move(exec), socket, request.tty);
  co_await session.run();
}

}  // namespace

std::vector<std::string> default_shell() {
  return {"/bin/sh", "-c", "if [ -x /bin/bash ]; then exec /bin/bash; else exec /bin/sh; fi"};
}

Async<> serve_shell(Env& env, engine::Engine& engine, std::shared_ptr<net::WebSocket> socket, std::string container,
                    wire::ShellRequest request) {
  Async<> talk = open_and_serve(env, engine, socket, std::move(container), std::move(request));
  co_await net::run_socket(socket, std::move(talk));
}

Async<> meet_shell(engine::Engine& engine, ServerApi& server, Signer signer, std::string node, std::string container,
                   wire::ShellRequest request) {
  net::WebSocketLimits limits;
  limits.message_bytes_max = wire::shell_message_bytes_max;
  std::shared_ptr<net::WebSocket> socket;
  std::optional<Error> failure;
  try {
    socket = co_await server.open_socket(signer, fmt::format("/v1/nodes/{}/shells/{}", node, request.session), limits);
  } catch (const Error& error) {
    failure = error;
  }
  if (failure) {
    log_warning("a shell in task {}: {}", request.run.task.to_string(), failure->message());
    co_return;
  }
  co_await serve_shell(server.env(), engine, std::move(socket), std::move(container), std::move(request));
}

}  // namespace gantry::agent
