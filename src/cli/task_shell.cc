#include "cli/task_shell.h"

#include <csignal>
#include <deque>

#include <boost/asio/basic_signal_set.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "cli/raw_terminal.h"
#include "cli/standard_streams.h"
#include "cli/terminal.h"
#include "wire/shell_messages.h"

namespace gantry::cli {
namespace {

using wire::ShellCode;
using wire::ShellMessage;

/// Output that nobody has read yet: past the one the shell is told to pause, below the other to go on.
constexpr std::size_t pause_above_bytes = 1 << 20;
constexpr std::size_t resume_below_bytes = 256 << 10;

class Shell {
 public:
  Shell(Env& env, std::shared_ptr<net::WebSocket> socket, bool tty)
      : env_(env), socket_(std::move(socket)), tty_(tty), scope_(env.executor(), "shell") {}

  /// Throws Error if it ends without an exit code.
  Async<> run();
  int exit_code() const { return exit_code_.value_or(exit_failed); }

 private:
  struct Piece {
    int descriptor;
    std::string bytes;
  };

  Async<> receive();
  Async<> take_messages();
  Async<bool> take(ShellMessage message);
  Async<> print();
  Async<> print_pieces();
  Async<> send_input();
  Async<> pass_input();
  Async<> follow_size();
  Async<> say(std::string message) { return socket_->write_binary(std::move(message)); }
  Async<> say_size();

  Env& env_;
  std::shared_ptr<net::WebSocket> socket_;
  bool tty_;
  Scope scope_;
  std::deque<Piece> output_;
  std::size_t output_bytes_ = 0;
  bool told_to_pause_ = false;
  bool input_paused_ = true;  // until the shell is ready
  bool received_ = false;     // all that will come
  bool printed_ = false;
  std::optional<int> exit_code_;
  std::exception_ptr failure_;  // the first
  Event news_;
};

/// False after the last one.
Async<bool> Shell::take(ShellMessage message) {
  switch (message.code) {
    case ShellCode::output:
    case ShellCode::error_output:
      output_bytes_ += message.bytes.size();
      output_.push_back({message.code == ShellCode::output ? STDOUT_FILENO : STDERR_FILENO, std::move(message.bytes)});
      if (output_bytes_ > pause_above_bytes && !std::exchange(told_to_pause_, true)) {
        co_await say(encode_shell(ShellCode::pause));
      }
      break;
    case ShellCode::pause: input_paused_ = true; break;
    case ShellCode::resume: input_paused_ = false; break;
    case ShellCode::stopped: exit_code_ = message.exit_code; break;
    case ShellCode::error: throw Error(ErrorCode::unavailable, std::move(message.bytes));
    case ShellCode::shutdown: throw Error(ErrorCode::unavailable, "the task's node has ended the shell");
    default: break;
  }
  news_.notify_all();
  co_return !exit_code_;
}

Async<> Shell::take_messages() {
  bool more = true;
  while (more) {
    while (output_bytes_ > wire::shell_window_bytes && !printed_) co_await news_.wait();
    auto message = co_await socket_->read();
    if (!message) throw Error(ErrorCode::unavailable, "the shell is gone: its task has ended, or its node was lost");
    more = co_await take(value_or_throw(wire::decode_shell(message->bytes)));
  }
}

Async<> Shell::receive() {
  std::exception_ptr failure;
  try {
    co_await take_messages();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure_ && failure && !is_cancelled(failure)) failure_ = failure;
  received_ = true;
  news_.notify_all();
}

Async<> Shell::print_pieces() {
  Readiness out(env_, STDOUT_FILENO, Readiness::For::writing);
  Readiness err(env_, STDERR_FILENO, Readiness::For::writing);
  for (;;) {
    while (output_.empty() && !received_) co_await news_.wait();
    if (output_.empty()) co_return;
    Piece piece = std::move(output_.front());
    output_.pop_front();
    std::size_t bytes = piece.bytes.size();
    Readiness& ready = piece.descriptor == STDOUT_FILENO ? out : err;
    co_await write_output(ready, piece.descriptor, std::move(piece.bytes));
    output_bytes_ -= bytes;
    news_.notify_all();
    bool goes_on = !received_ && output_bytes_ < resume_below_bytes;
    if (goes_on && std::exchange(told_to_pause_, false)) co_await say(encode_shell(ShellCode::resume));
  }
}

Async<> Shell::print() {
  std::exception_ptr failure;
  try {
    co_await print_pieces();
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure_ && failure && !is_cancelled(failure) && !received_) failure_ = failure;
  printed_ = true;
  news_.notify_all();
}

Async<> Shell::pass_input() {
  Readiness ready(env_, STDIN_FILENO, Readiness::For::reading);
  for (;;) {
    while (input_paused_) co_await news_.wait();
    std::string bytes = co_await read_input(ready, STDIN_FILENO);
    if (bytes.empty()) break;
    co_await say(encode_shell(ShellCode::input, bytes));
  }
  co_await say(encode_shell(ShellCode::end));
}

/// Its end is not the session's: what is wrong with the connection, the other side finds out.
Async<> Shell::send_input() {
  try {
    co_await pass_input();
  } catch (const Error&) {
    co_return;
  }
}

Async<> Shell::say_size() {
  TerminalSize size = terminal_size(STDIN_FILENO);
  co_await say(encode_shell(ShellMessage{.code = ShellCode::resize, .rows = size.rows, .columns = size.columns}));
}

Async<> Shell::follow_size() {
  asio::basic_signal_set<Executor> changed(env_.executor(), SIGWINCH);
  try {
    for (;;) {
      co_await say_size();
      co_await changed.async_wait(use_async);
    }
  } catch (const Error&) {
    co_return;  // as above
  }
}

Async<> Shell::run() {
  std::optional<RawTerminal> terminal;
  if (tty_) terminal.emplace();
  if (tty_) scope_.spawn("size", follow_size());
  scope_.spawn("receive", receive());
  scope_.spawn("print", print());
  scope_.spawn("input", send_input());
  while (!printed_) co_await news_.wait();
  scope_.cancel();
  co_await scope_.join();
  terminal.reset();
  if (failure_ && !exit_code_) std::rethrow_exception(failure_);
}

}  // namespace

Async<int> run_task_shell(std::shared_ptr<Client> client, ShellWish wish) {
  bool tty = is_terminal(STDIN_FILENO) && is_terminal(STDOUT_FILENO);
  std::string target = fmt::format("/v1/tasks/{}/runs/{}/shell?tty={}", net::percent_encode(wish.task), wish.run, tty);
  for (const std::string& word : wish.command) target += "&command=" + net::percent_encode(word);
  net::WebSocketLimits limits;
  limits.message_bytes_max = wire::shell_message_bytes_max;
  std::shared_ptr<net::WebSocket> socket = co_await client->open_socket(std::move(target), limits);
  auto shell = std::make_unique<Shell>(client->env(), socket, tty);
  co_await net::run_socket(socket, shell->run());
  co_return shell->exit_code();
}

}  // namespace gantry::cli
