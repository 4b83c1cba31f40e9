#include "server/live_logs.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gantry::server {
namespace {

constexpr std::size_t read_bytes_max = 256 * 1024;
constexpr std::size_t tail_bytes_max = 128 * 1024;
constexpr std::size_t readers_per_ms = 5;
constexpr Duration news_pause_max = milliseconds(40);
constexpr Duration follow_step = minutes(10);  // how long a silent log is waited for before the wait is renewed

Error file_error(const std::string& what, const std::string& path) {
  return Error(ErrorCode::unavailable, fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)),
               "check the disk that holds the data directory");
}

void write_all(const std::string& path, std::int64_t offset, std::string_view bytes) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) throw file_error("open", path);
  std::size_t done = 0;
  while (done < bytes.size()) {
    ssize_t wrote = ::pwrite(file, bytes.data() + done, bytes.size() - done, offset + static_cast<off_t>(done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) {
      Error error = file_error("write", path);
      ::close(file);
      throw error;
    }
    done += static_cast<std::size_t>(wrote);
  }
  ::close(file);
}

std::string read_piece(int file, const std::string& path, std::int64_t offset, std::size_t bytes) {
  std::string piece(bytes, '\0');
  ssize_t got = ::pread(file, piece.data(), bytes, offset);
  if (got < 0) throw file_error("read", path);
  piece.resize(static_cast<std::size_t>(got));
  return piece;
}

}  // namespace

namespace {
/// The run whose log is in the file of this name: "<task>-<run>.log".
std::optional<wire::RunRef> run_of(std::string_view name) {
  constexpr std::string_view suffix = ".log";
  auto dash = name.rfind('-');
  if (!name.ends_with(suffix) || dash == std::string_view::npos) return std::nullopt;
  auto task = TaskId::parse(name.substr(0, dash));
  std::string_view digits = name.substr(dash + 1, name.size() - dash - 1 - suffix.size());
  int run = -1;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), run);
  if (!task || error != std::errc() || end != digits.data() + digits.size() || run < 0) return std::nullopt;
  return wire::RunRef{*task, run};
}
}  // namespace

LiveLogs::Log::~Log() {
  if (descriptor >= 0) ::close(descriptor);
}

/// Follows one log; shares it, so that it stays readable after finish() has renamed the file.
class LiveLogs::Reader : public net::BodyReader {
 public:
  Reader(Env& env, std::shared_ptr<Log> log, std::int64_t offset, bool follow)
      : env_(env), log_(std::move(log)), at_(offset), follow_(follow) {
    ++log_->readers;
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() override { --log_->readers; }

  Async<std::string> read_some() override {
    while (at_ >= log_->bytes) {
      if (log_->finished || !follow_) co_return std::string();
      co_await log_->news.wait(env_, follow_step, nullptr);
    }
    auto behind = static_cast<std::size_t>(log_->bytes - at_);
    if (behind <= log_->tail.size()) {
      at_ = log_->bytes;
      co_return log_->tail.substr(log_->tail.size() - behind);
    }
    if (log_->descriptor < 0) {
      log_->descriptor = ::open(log_->path.c_str(), O_RDONLY | O_CLOEXEC);
      if (log_->descriptor < 0) throw file_error("open", log_->path);
    }
    std::size_t bytes = std::min(behind, read_bytes_max);
    auto read = [log = log_, at = at_, bytes] { return read_piece(log->descriptor, log->path, at, bytes); };
    std::string piece = co_await env_.blocking(read);
    at_ += static_cast<std::int64_t>(piece.size());
    co_return piece;
  }

 private:
  Env& env_;
  std::shared_ptr<Log> log_;
  std::int64_t at_;
  bool follow_;
};

LiveLogs::LiveLogs(Env& env, std::string directory) : env_(env), directory_(std::move(directory)) {
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot make {}: {}", directory_, error.message()),
                "check the data directory");
  }
  for (const auto& file : std::filesystem::directory_iterator(directory_, error)) {
    if (auto run = run_of(file.path().filename().string())) files_.insert(*run);
  }
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("cannot read {}: {}", directory_, error.message()),
                "check the data directory");
  }
}

std::string LiveLogs::path_of(wire::RunRef run) const {
  return fmt::format("{}/{}-{}.log", directory_, run.task.to_string(), run.run);
}

bool LiveLogs::is_open(wire::RunRef run) const {
  auto found = logs_.find(run);
  if (found != logs_.end()) return found->second->exists;
  return files_.contains(run);
}

std::vector<wire::RunRef> LiveLogs::all_open() const { return {files_.begin(), files_.end()}; }

Async<std::shared_ptr<LiveLogs::Log>> LiveLogs::find(wire::RunRef run) {
  if (auto found = logs_.find(run); found != logs_.end()) co_return found->second;
  auto log = std::make_shared<Log>();
  log->path = path_of(run);
  // One stat of a local file, once a log: not worth a thread.
  struct stat info{};
  if (::stat(log->path.c_str(), &info) == 0) {
    log->exists = true;
    log->bytes = info.st_size;
  }
  logs_.emplace(run, log);
  co_return log;
}

Async<> LiveLogs::wait_idle(std::shared_ptr<Log> log) {
  while (log->busy) co_await log->idle.wait();
}

namespace {
/// Marks a log as being changed, until the end of the scope.
template <class LogPointer>
class Busy {
 public:
  explicit Busy(LogPointer log) : log_(std::move(log)) { log_->busy = true; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() {
    log_->busy = false;
    log_->idle.notify_all();
  }

 private:
  LogPointer log_;
};
}  // namespace

Async<std::int64_t> LiveLogs::append(wire::RunRef run, std::int64_t offset, std::string bytes) {
  std::shared_ptr<Log> log = co_await find(run);
  co_await wait_idle(log);
  if (log->finished) throw Error(ErrorCode::conflict, "the log has been closed");
  if (offset > log->bytes) {
    throw Error(ErrorCode::conflict,
                fmt::format("the log has {} bytes, offset {} would leave a gap", log->bytes, offset));
  }
  auto known = static_cast<std::size_t>(log->bytes - offset);
  if (known >= bytes.size()) co_return log->bytes;
  std::int64_t end = offset + static_cast<std::int64_t>(bytes.size());
  if (end > log_bytes_max) throw Error(ErrorCode::too_large, fmt::format("a log has at most {} bytes", log_bytes_max));
  bytes.erase(0, known);
  Busy busy(log);
  files_.insert(run);
  auto fresh = std::make_shared<const std::string>(std::move(bytes));
  auto write = [path = log->path, at = log->bytes, fresh] { write_all(path, at, *fresh); };
  co_await env_.blocking(std::move(write));
  log->exists = true;
  log->bytes = end;
  if (log->readers == 0) {
    log->tail = std::string();
  } else {
    log->tail += *fresh;
    if (log->tail.size() > tail_bytes_max) log->tail.erase(0, log->tail.size() - tail_bytes_max / 2);
  }
  tell(log);
  co_return end;
}

void LiveLogs::tell(const std::shared_ptr<Log>& log) {
  if (log->telling) return;
  Duration pause = std::min(Duration(static_cast<std::int64_t>(log->news.waiting() / readers_per_ms)), news_pause_max);
  if (pause == Duration(0)) {
    log->news.wake_all();
    return;
  }
  log->telling = true;
  env_.call_after(pause, [weak = std::weak_ptr(log)] {
    auto told = weak.lock();
    if (!told) return;
    told->telling = false;
    told->news.wake_all();
  });
}

Async<std::int64_t> LiveLogs::size(wire::RunRef run) {
  std::shared_ptr<Log> log = co_await find(run);
  std::int64_t bytes = log->exists ? log->bytes : -1;
  if (bytes < 0 && log.use_count() <= 2) logs_.erase(run);
  co_return bytes;
}

Async<std::shared_ptr<net::BodyReader>> LiveLogs::read(wire::RunRef run, std::int64_t offset, bool follow) {
  std::shared_ptr<Log> log = co_await find(run);
  if (!log->exists && !follow) {
    if (log.use_count() <= 2) logs_.erase(run);  // nobody else waits for it
    co_return nullptr;
  }
  co_return std::make_shared<Reader>(env_, log, offset, follow);
}

Async<bool> LiveLogs::finish(wire::RunRef run, object::ObjectStore& objects, std::string object_name) {
  std::shared_ptr<Log> log = co_await find(run);
  co_await wait_idle(log);
  bool had_log = log->exists;
  if (had_log && !log->finished) {
    Busy busy(log);
    // Readers go on with the descriptor: the rename takes the path away.
    if (log->descriptor < 0) log->descriptor = ::open(log->path.c_str(), O_RDONLY | O_CLOEXEC);
    object::ObjectInfo info{log->bytes, "text/plain; charset=utf-8", ""};
    co_await objects.adopt_file(std::move(object_name), std::move(info), log->path);
  }
  end(run, log);
  co_return had_log;
}

Async<> LiveLogs::discard(wire::RunRef run) {
  std::shared_ptr<Log> log = co_await find(run);
  co_await wait_idle(log);
  if (log->exists && !log->finished) {
    Busy busy(log);
    // Readers go on with the descriptor.
    if (log->descriptor < 0) log->descriptor = ::open(log->path.c_str(), O_RDONLY | O_CLOEXEC);
    auto remove = [path = log->path] {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw file_error("remove", path);
    };
    co_await env_.blocking(remove);
  }
  end(run, log);
}

void LiveLogs::end(wire::RunRef run, const std::shared_ptr<Log>& log) {
  log->finished = true;
  log->news.wake_all();
  files_.erase(run);
  auto present = logs_.find(run);  // another one, if two have ended this one
  if (present != logs_.end() && present->second == log) logs_.erase(present);
}

void LiveLogs::close(wire::RunRef run) {
  auto found = logs_.find(run);
  if (found == logs_.end() || found->second->exists) return;
  found->second->finished = true;
  found->second->news.wake_all();
  logs_.erase(found);
}

}  // namespace gantry::server
