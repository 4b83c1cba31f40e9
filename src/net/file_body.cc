#include "net/file_body.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

namespace gantry::net {
namespace {

/// Larger than other bodies' pieces: a turn on the pool costs as much as copying some of them.
constexpr std::size_t piece_bytes = 256 * 1024;

/// Blocks. Fewer bytes only at the end of the file.
std::string read_at(int descriptor, std::int64_t offset, std::size_t bytes) {
  std::string piece;
  piece.resize_and_overwrite(bytes, [](char*, std::size_t n) { return n; });
  std::size_t have = 0;
  while (have < bytes) {
    ssize_t got =
        ::pread(descriptor, piece.data() + have, bytes - have, static_cast<off_t>(offset) + static_cast<off_t>(have));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(ErrorCode::unavailable, fmt::format("a file cannot be read: {}", std::strerror(errno)));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  piece.resize(have);
  return piece;
}

class FileBody : public BodyReader {
 public:
  FileBody(Env& env, std::shared_ptr<const Descriptor> file, std::int64_t offset, std::int64_t bytes, std::string name)
      : env_(env), file_(std::move(file)), offset_(offset), bytes_left_(bytes), name_(std::move(name)) {}

  Async<std::string> read_some() override {
    if (!ahead_) read_ahead();
    if (!ahead_) co_return std::string();
    auto ahead = ahead_;
    while (!ahead->done) co_await ahead->news.wait();
    ahead_ = nullptr;
    if (ahead->failure) std::rethrow_exception(ahead->failure);
    if (ahead->piece.size() != ahead->bytes) {
      throw Error(ErrorCode::corrupt, fmt::format("{} is shorter than it should be", name_));
    }
    read_ahead();
    co_return std::move(ahead->piece);
  }

 private:
  struct Ahead {
    std::size_t bytes = 0;
    bool done = false;
    std::string piece;
    std::exception_ptr failure;
    Event news;
  };

  void read_ahead() {
    auto bytes = static_cast<std::size_t>(std::min<std::int64_t>(bytes_left_, piece_bytes));
    if (bytes == 0) return;
    ahead_ = std::make_shared<Ahead>();
    ahead_->bytes = bytes;
    auto read = [file = file_, offset = offset_, ahead = ahead_] {
      try {
        ahead->piece = read_at(file->number(), offset, ahead->bytes);
      } catch (...) {
        ahead->failure = std::current_exception();
      }
    };
    env_.run_blocking([read = std::move(read), ahead = ahead_, where = env_.executor(),
                       work = asio::make_work_guard(env_.executor())]() mutable {
      read();
      asio::post(where, [ahead = std::move(ahead)] {
        ahead->done = true;
        ahead->news.notify_all();
      });
    });
    offset_ += static_cast<std::int64_t>(bytes);
    bytes_left_ -= static_cast<std::int64_t>(bytes);
  }

  Env& env_;
  std::shared_ptr<const Descriptor> file_;
  std::int64_t offset_;
  std::int64_t bytes_left_;
  std::string name_;
  std::shared_ptr<Ahead> ahead_;  // the piece that is being read, or has been
};

}  // namespace

Descriptor::~Descriptor() { ::close(number_); }

std::shared_ptr<Descriptor> open_to_read(const std::string& path) {
  int number = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  return number < 0 ? nullptr : std::make_shared<Descriptor>(number);
}

std::shared_ptr<BodyReader> file_body(Env& env, std::shared_ptr<const Descriptor> file, std::int64_t offset,
                                      std::int64_t bytes, std::string name) {
  return std::make_shared<FileBody>(env, std::move(file), offset, bytes, std::move(name));
}

}  // namespace gantry::net
