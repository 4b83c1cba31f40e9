#include "cli/interrupt.h"

#include <atomic>
#include <cerrno>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

namespace gantry::cli {
namespace {

constexpr int signal_exit_base = 128;

std::atomic<int> signals_seen = 0;
std::atomic<int> signals_asking = 1;
std::atomic<int> wake_descriptor = -1;

/// Async-signal-safe: an atomic, write() and _exit() only.
void on_signal(int number) {
  int saved = errno;
  if (signals_seen.fetch_add(1) >= signals_asking) ::_exit(signal_exit_base + number);
  char byte = 1;
  [[maybe_unused]] ssize_t wrote = ::write(wake_descriptor.load(), &byte, 1);
  errno = saved;
}

}  // namespace

struct Interrupts::Pipe {
  int ends[2] = {-1, -1};
  struct sigaction old_int{};
  struct sigaction old_term{};
};

Interrupts::Interrupts() : pipe_(std::make_unique<Pipe>()) {
  if (::pipe2(pipe_->ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw Error(ErrorCode::unavailable, "cannot make a pipe: no file descriptors are left");
  }
  wake_descriptor = pipe_->ends[1];
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, &pipe_->old_int);
  ::sigaction(SIGTERM, &action, &pipe_->old_term);
}

Interrupts::~Interrupts() {
  ::sigaction(SIGINT, &pipe_->old_int, nullptr);
  ::sigaction(SIGTERM, &pipe_->old_term, nullptr);
  ::close(pipe_->ends[0]);
  ::close(pipe_->ends[1]);
}

int Interrupts::count() const { return signals_seen; }

void Interrupts::let_ask(int signals) { signals_asking = signals; }

Async<> Interrupts::wait(Env& env, int signals) {
  using Descriptor = asio::posix::basic_stream_descriptor<Executor>;
  if (count() >= signals) co_return;
  // A copy: the descriptor object closes what it was given.
  Descriptor readable(env.executor(), ::fcntl(pipe_->ends[0], F_DUPFD_CLOEXEC, 0));
  while (count() < signals) {
    co_await readable.async_wait(Descriptor::wait_read, use_async);
    char bytes[16];
    [[maybe_unused]] ssize_t got = ::read(pipe_->ends[0], bytes, sizeof bytes);
  }
}

}  // namespace gantry::cli
