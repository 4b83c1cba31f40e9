#include "object/file_store.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "object/limits.h"
#include "object/object_file.h"

namespace gantry::object {

namespace {

constexpr int shards = 256;  // by the first byte of the hash

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

void check_name(const std::string& name) {
  if (!name.empty() && name.size() <= name_bytes_max) return;
  throw Error(ErrorCode::invalid_input,
              fmt::format("an object's name has 1 to {} bytes, not {}", name_bytes_max, name.size()));
}

void check_info(const ObjectInfo& info) {
  if (info.content_type.size() > content_type_bytes_max) {
    throw Error(ErrorCode::invalid_input, fmt::format("a content type has at most {} bytes, not {}",
                                                      content_type_bytes_max, info.content_type.size()));
  }
  if (info.content_encoding.empty() || info.content_encoding == "gzip") return;
  throw Error(ErrorCode::invalid_input, fmt::format("content encoding \"{}\" is not known; it is empty or gzip",
                                                    info.content_encoding.substr(0, content_type_bytes_max)));
}

/// A file in temp/ that is removed unless it was renamed away. Lives on the io_context thread.
class TempFile {
 public:
  TempFile(Env& env, std::string path) : env_(env), path_(std::move(path)) {}
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;
  ~TempFile() {
    if (kept_) return;
    // Removing a large file takes its time.
    env_.run_blocking([path = path_] { ::unlink(path.c_str()); });
  }
  const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  Env& env_;
  std::string path_;
  bool kept_ = false;
};

/// Appends to a file on the blocking pool while its owner gathers what comes next.
class WriteBehind {
 public:
  WriteBehind(Env& env, std::shared_ptr<File> file) : env_(env), state_(std::make_shared<State>(std::move(file))) {}

  /// Begins to write as soon as the last bytes are written. Throws what writing those threw.
  Async<> write(std::string bytes) {
    co_await settle();
    state_->busy = true;
    auto append = [state = state_, bytes = std::move(bytes)] {
      try {
        state->append(bytes);
      } catch (...) {
        state->failure = std::current_exception();
      }
    };
    env_.run_blocking([append = std::move(append), state = state_, where = env_.executor(),
                       work = asio::make_work_guard(env_.executor())]() mutable {
      append();
      asio::post(where, [state = std::move(state)] {
        state->busy = false;
        state->written.notify_all();
      });
    });
  }

  /// Until all is written.
  Async<> settle() {
    auto state = state_;
    while (state->busy) co_await state->written.wait();
    if (state->failure) std::rethrow_exception(state->failure);
  }

 private:
  struct State {
    explicit State(std::shared_ptr<File> f) : file(std::move(f)) {}
    void append(const std::string& bytes) {
      file->append(bytes);
      since_begun += bytes.size();
      if (since_begun < write_back_bytes) return;
      file->begin_writing_back();
      since_begun = 0;
    }
    std::shared_ptr<File> file;
    std::size_t since_begun = 0;  // bytes since the system was last told to write to the disk
    std::exception_ptr failure;
    bool busy = false;
    Event written;
  };

  Env& env_;
  std::shared_ptr<State> state_;
};

struct Opened {
  std::shared_ptr<File> file;
  ObjectInfo info;
};

/// Blocks. `name` is for the message.
Opened open_object(const std::string& path, const std::string& name) {
  std::shared_ptr<File> file;
  try {
    file = open_file(path, OpenMode::read);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
    throw Error(ErrorCode::not_found, fmt::format("there is no object \"{}\"", name));
  }
  auto trailer = read_trailer(*file);
  if (!trailer || trailer->name != name) {
    throw Error(ErrorCode::corrupt,
                fmt::format("{}, which should hold object \"{}\", has no trailer for it", path, name),
                "the disk or somebody else changed the file; remove it, and restore it from a backup if it matters");
  }
  return {std::move(file), std::move(trailer->info)};
}

class FileStore : public ObjectStore {
 public:
  FileStore(Env& env, std::string directory);

  Async<> put(std::string name, ObjectInfo info, std::shared_ptr<net::BodyReader> body,
              std::int64_t bytes_expected) override;
  Async<> adopt_file(std::string name, ObjectInfo info, std::string path) override;
  Async<OpenObject> open(std::string name, std::int64_t offset, std::int64_t bytes) override;
  Async<ObjectInfo> info(std::string name) override;
  Async<> remove(std::string name) override;
  Async<std::optional<std::vector<std::string>>> names(int part) override;

 private:
  void lock();
  void sweep();
  std::string shard_of(const std::string& hash) const { return directory_ + "/objects/" + hash.substr(0, 2); }
  std::string path_of(const std::string& name) const;
  std::string new_temp_path();

  Env& env_;
  std::string directory_;
  std::unique_ptr<File> lock_;
};

FileStore::FileStore(Env& env, std::string directory) : env_(env), directory_(std::move(directory)) {
  make_directory(directory_);
  lock();
  make_directory(directory_ + "/temp");
  make_directory(directory_ + "/objects");
  sync_directory(directory_);
  sweep();
}

void FileStore::lock() {
  std::string path = directory_ + "/lock";
  int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) {
    throw Error(ErrorCode::unavailable, fmt::format("open {}: {}", path, std::generic_category().message(errno)),
                "the directory must be writable for the user of Gantry");
  }
  lock_ = std::make_unique<File>(descriptor, path);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return;
  throw Error(ErrorCode::conflict, fmt::format("object directory {} is in use by another process", directory_),
              "stop the other server, or give this one a directory of its own");
}

void FileStore::sweep() {
  int swept = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory_ + "/temp", error), end; !error && entry != end;
       entry.increment(error)) {
    unlink_file(entry->path().string());
    ++swept;
  }
  if (error) {
    throw Error(ErrorCode::unavailable, fmt::format("read directory {}/temp: {}", directory_, error.message()));
  }
  if (swept > 0) log_info("objects: removed {} unfinished files from {}/temp", swept, directory_);
}

std::string FileStore::path_of(const std::string& name) const {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(name.data()), name.size(), digest.data());
  std::string hash = hex(digest.data(), digest.size());
  return shard_of(hash) + "/" + hash.substr(2);
}

std::string FileStore::new_temp_path() {
  std::array<std::uint8_t, 16> bytes{};
  env_.random_bytes(bytes);
  return directory_ + "/temp/" + hex(bytes.data(), bytes.size());
}

/// Blocks: ends the file with its trailer, and makes it the object at `path`. Once the rename is durable, so is the
/// put.
void publish(File& file, const Trailer& trailer, const std::string& path) {
  std::string shard = path.substr(0, path.rfind('/'));
  if (::access(shard.c_str(), F_OK) != 0) {
    make_directory(shard);
    sync_directory(shard.substr(0, shard.rfind('/')));
  }
  file.append(trailer_text(trailer));
  file.sync();
  rename_file(file.path(), path);
  sync_directory(shard);
}

Async<> FileStore::put(std::string name, ObjectInfo info, std::shared_ptr<net::BodyReader> body,
                       std::int64_t bytes_expected) {
  check_name(name);
  check_info(info);
  TempFile temp(env_, new_temp_path());
  auto file = co_await env_.blocking([path = temp.path()] { return open_file(path, OpenMode::create_new); });
  info.bytes = 0;
  WriteBehind disk(env_, file);
  std::string pending;
  while (true) {
    std::string piece = co_await body->read_some();
    bool ended = piece.empty();
    info.bytes += static_cast<std::int64_t>(piece.size());
    if (bytes_expected >= 0 && (info.bytes > bytes_expected || (ended && info.bytes < bytes_expected))) {
      throw Error(ErrorCode::invalid_input,
                  fmt::format("object \"{}\" was announced with {} bytes and {} {}", name, bytes_expected,
                              ended ? "ended after" : "has at least", info.bytes));
    }
    if (pending.empty()) {
      pending = std::move(piece);
      pending.reserve(write_piece_bytes);
    } else {
      pending += piece;
    }
    if (ended || pending.size() >= write_piece_bytes) co_await disk.write(std::exchange(pending, {}));
    if (ended) break;
  }
  co_await disk.settle();
  std::string path = path_of(name);
  co_await env_.blocking(
      [file, path, trailer = Trailer{std::move(name), std::move(info)}] { publish(*file, trailer, path); });
  temp.keep();
}

Async<> FileStore::adopt_file(std::string name, ObjectInfo info, std::string path) {
  check_name(name);
  check_info(info);
  std::string target = path_of(name);
  co_await env_.blocking(
      [target, from = std::move(path), trailer = Trailer{std::move(name), std::move(info)}]() mutable {
        auto file = open_file(from, OpenMode::append);
        // A crash may have come between the trailer and the rename of an earlier try.
        auto earlier = read_trailer(*file);
        if (earlier && earlier->name == trailer.name) file->truncate(earlier->info.bytes);
        trailer.info.bytes = file->size();
        publish(*file, trailer, target);
        std::filesystem::path parent = std::filesystem::path(from).parent_path();
        sync_directory(parent.empty() ? "." : parent.string());
      });
}

Async<OpenObject> FileStore::open(std::string name, std::int64_t offset, std::int64_t bytes) {
  check_name(name);
  std::string path = path_of(name);
  Opened opened = co_await env_.blocking([path, name] { return open_object(path, name); });
  if (offset < 0 || offset > opened.info.bytes) {
    throw Error(ErrorCode::invalid_input, fmt::format("object \"{}\" has {} bytes; none can be read from offset {}",
                                                      name, opened.info.bytes, offset));
  }
  std::int64_t left = opened.info.bytes - offset;
  if (bytes >= 0) left = std::min(left, bytes);
  auto body = net::file_body(env_, opened.file->descriptor(), offset, left, opened.file->path());
  co_return OpenObject{std::move(opened.info), std::move(body)};
}

Async<ObjectInfo> FileStore::info(std::string name) {
  check_name(name);
  std::string path = path_of(name);
  Opened opened = co_await env_.blocking([path, name] { return open_object(path, name); });
  co_return std::move(opened.info);
}

Async<> FileStore::remove(std::string name) {
  check_name(name);
  // Not made durable: after a crash the object may be back, and whoever expires objects removes it again.
  co_await env_.blocking([path = path_of(name)] { unlink_file(path); });
}

/// Blocks. What is no whole object is passed over.
std::vector<std::string> names_in(const std::string& shard) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(shard, error), end; !error && entry != end; entry.increment(error)) {
    try {
      auto trailer = read_trailer(*open_file(entry->path().string(), OpenMode::read));
      if (trailer) names.push_back(std::move(trailer->name));
    } catch (const Error&) {
      continue;  // removed meanwhile
    }
  }
  return names;
}

Async<std::optional<std::vector<std::string>>> FileStore::names(int part) {
  if (part < 0 || part >= shards) co_return std::nullopt;
  std::string shard = fmt::format("{}/objects/{:02x}", directory_, part);
  co_return co_await env_.blocking([shard] { return names_in(shard); });
}

}  // namespace

std::unique_ptr<ObjectStore> make_file_store(Env& env, std::string directory) {
  return std::make_unique<FileStore>(env, std::move(directory));
}

}  // namespace gantry::object
