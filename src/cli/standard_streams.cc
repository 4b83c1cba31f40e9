#include "cli/standard_streams.h"

#include <algorithm>
#include <cerrno>

#include <sys/epoll.h>
#include <unistd.h>

#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr std::size_t read_bytes_max = 32 * 1024;
/// A pipe that can be written takes as much at once (PIPE_BUF).
constexpr std::size_t write_bytes_max = 4096;

int make_watcher() {
  int watcher = ::epoll_create1(EPOLL_CLOEXEC);
  if (watcher < 0) throw Error(ErrorCode::unavailable, "cannot wait for the terminal: no file descriptors are left");
  return watcher;
}

}  // namespace

Readiness::Readiness(Env& env, int descriptor, For what) : watcher_(env.executor(), make_watcher()) {
  epoll_event event{};
  event.events = what == For::reading ? EPOLLIN : EPOLLOUT;
  always_ = ::epoll_ctl(watcher_.native_handle(), EPOLL_CTL_ADD, descriptor, &event) != 0;
}

Async<> Readiness::wait() { return always_ ? yield_now() : wait_for_watcher(); }

Async<> Readiness::wait_for_watcher() {
  auto start = [this](Resumer<bool> resume) {
    watcher_.async_wait(asio::posix::descriptor_base::wait_read,
                        [resume](const boost::system::error_code&) { resume(true); });
  };
  co_await suspend<bool>(start);
}

Async<std::string> read_input(Readiness& ready, int descriptor) {
  std::string bytes;
  for (;;) {
    co_await ready.wait();
    bytes.resize(read_bytes_max);
    ssize_t got = ::read(descriptor, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    co_return bytes;
  }
}

Async<> write_output(Readiness& ready, int descriptor, std::string bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += write_bytes_max) {
    co_await ready.wait();
    write_all(descriptor, std::string_view(bytes).substr(at, write_bytes_max));
  }
}

}  // namespace gantry::cli
